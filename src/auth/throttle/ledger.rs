//! A bounded table of leaky buckets: the weight on each key, and the time until which the key is delayed.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::limits::{
    FAILURE_DELAY_MAX_US, FAILURE_DELAY_MIN_US, FAILURE_US, FAILURES_FREE, FAILURES_MAX, Micros,
    THROTTLE_ENTRIES_MAX,
};

/// The weight on a key. It drains by one failure per hour.
#[derive(Clone, Copy)]
struct Entry {
    /// When it has drained completely.
    ends_us: Micros,
    /// Nothing is judged for this key before.
    not_before_us: Micros,
}

/// At most [`THROTTLE_ENTRIES_MAX`] entries. A new key evicts the entry that drains first, which has the fewest or the
/// oldest failures.
pub(super) struct Ledger<K> {
    entries: HashMap<K, Entry>,
    by_end: BTreeSet<(Micros, K)>,
}

impl<K> Default for Ledger<K> {
    fn default() -> Ledger<K> {
        Ledger { entries: HashMap::new(), by_end: BTreeSet::new() }
    }
}

impl<K: Copy + Eq + Hash + Ord> Ledger<K> {
    /// Returns the weight on a key: [`FAILURE_US`] for each failure, less what has drained.
    pub fn weight_us(&self, key: &K, now_us: Micros) -> Micros {
        self.entries.get(key).map_or(0, |entry| entry.ends_us.saturating_sub(now_us))
    }

    /// Returns the moment before which nothing is judged for a key.
    pub fn not_before_us(&self, key: &K) -> Micros {
        self.entries.get(key).map_or(0, |entry| entry.not_before_us)
    }

    /// Adds the weight of a failure, and the delay that follows from the total.
    pub fn fail(&mut self, key: K, weight_us: Micros, now_us: Micros) {
        let ends_us = self.ends_us(&key, now_us) + weight_us;
        let ends_us = ends_us.min(now_us + FAILURES_MAX * FAILURE_US);
        let not_before_us = now_us + delay_us(ends_us - now_us);
        self.set(key, Entry { ends_us, not_before_us }, now_us);
    }

    /// Adds weight without a delay, up to `most_us`.
    pub fn press(&mut self, key: K, weight_us: Micros, most_us: Micros, now_us: Micros) {
        let ends_us = self.ends_us(&key, now_us);
        if ends_us < now_us + most_us {
            let ends_us = (ends_us + weight_us).min(now_us + most_us);
            let not_before_us = self.not_before_us(&key);
            self.set(key, Entry { ends_us, not_before_us }, now_us);
        }
    }

    /// Removes weight from a key, and the part of its delay that the weight caused.
    pub fn forgive(&mut self, key: &K, weight_us: Micros, now_us: Micros) {
        let Some(entry) = self.entries.get(key).copied() else { return };
        let ends_us = entry.ends_us.saturating_sub(weight_us);
        if ends_us <= now_us {
            self.entries.remove(key);
            self.by_end.remove(&(entry.ends_us, *key));
            return;
        }
        let not_before_us = entry.not_before_us.min(now_us + delay_us(ends_us - now_us));
        self.set(*key, Entry { ends_us, not_before_us }, now_us);
    }

    fn ends_us(&self, key: &K, now_us: Micros) -> Micros {
        self.entries.get(key).map_or(now_us, |entry| entry.ends_us.max(now_us))
    }

    fn set(&mut self, key: K, entry: Entry, now_us: Micros) {
        match self.entries.insert(key, entry) {
            Some(old) => {
                self.by_end.remove(&(old.ends_us, key));
            }
            None => self.make_room(now_us),
        }
        self.by_end.insert((entry.ends_us, key));
    }

    /// Removes a few drained entries, and the one that drains first if there are too many.
    fn make_room(&mut self, now_us: Micros) {
        for _ in 0..4 {
            let is_over = |&&(ends_us, _): &&(Micros, K)| ends_us <= now_us;
            let is_full = self.entries.len() > THROTTLE_ENTRIES_MAX;
            let Some(&first) = self.by_end.first().filter(|first| is_full || is_over(first)) else { return };
            self.by_end.remove(&first);
            self.entries.remove(&first.1);
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.by_end.len());
        self.entries.len()
    }
}

/// Returns the delay after a failure, by the weight that it leaves: none for the first few failures, then 5 s, doubled
/// by each further one up to an hour. So there are at most twelve failures in any hour.
fn delay_us(weight_us: Micros) -> Micros {
    match weight_us.div_ceil(FAILURE_US).checked_sub(FAILURES_FREE) {
        Some(beyond) => (FAILURE_DELAY_MIN_US << beyond.min(16)).min(FAILURE_DELAY_MAX_US),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SECOND_US;

    #[test]
    fn a_key_that_fails_whenever_it_may_fails_twelve_times_an_hour_at_most() {
        let mut ledger = Ledger::default();
        let mut failures: Vec<Micros> = Vec::new();
        let mut now_us = 7 * SECOND_US;
        while now_us < 200 * 3600 * SECOND_US {
            failures.push(now_us);
            ledger.fail("key", FAILURE_US, now_us);
            now_us = now_us.max(ledger.not_before_us(&"key"));
        }
        let of_hour = |&from: &Micros| {
            failures.iter().filter(|&&at| at >= from && at < from + 3600 * SECOND_US).count()
        };
        assert_eq!(failures.iter().map(of_hour).max(), Some(12));
        assert!(of_hour(&failures[100]) <= 2, "in the long run about one an hour");
    }

    #[test]
    fn a_pause_does_not_buy_more_failures_than_the_hours_it_lasts() {
        for pause_hours in 1..30 {
            let mut ledger = Ledger::default();
            let mut failures: Vec<Micros> = Vec::new();
            let mut now_us = SECOND_US;
            for _ in 0..200 {
                failures.push(now_us);
                ledger.fail(1, FAILURE_US, now_us);
                now_us = now_us.max(ledger.not_before_us(&1));
                if failures.len().is_multiple_of(9) {
                    now_us += pause_hours * 3600 * SECOND_US;
                }
            }
            let of_hour = |&from: &Micros| {
                failures.iter().filter(|&&at| at >= from && at < from + 3600 * SECOND_US).count()
            };
            assert!(failures.iter().map(of_hour).max() <= Some(12), "{pause_hours}");
        }
    }

    #[test]
    fn the_delay_starts_after_the_third_failure_and_ends_at_an_hour() {
        let mut ledger = Ledger::default();
        let mut delay = || {
            ledger.fail(1, FAILURE_US, 0);
            ledger.not_before_us(&1) / SECOND_US
        };
        let delays: Vec<_> = (0..14).map(|_| delay()).collect();
        assert_eq!(delays, [0, 0, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
    }

    #[test]
    fn a_failure_drains_in_an_hour_and_all_of_them_in_a_day() {
        let mut ledger = Ledger::default();
        ledger.fail(1, FAILURE_US, 0);
        assert_eq!(ledger.weight_us(&1, FAILURE_US / 2), FAILURE_US / 2);
        assert_eq!(ledger.weight_us(&1, FAILURE_US), 0);
        (0..1000).for_each(|_| ledger.fail(2, FAILURE_US, 0));
        assert_eq!(ledger.weight_us(&2, 24 * 3600 * SECOND_US), 0);
    }

    #[test]
    fn what_is_forgiven_takes_its_delay_with_it() {
        let mut ledger = Ledger::default();
        (0..6).for_each(|_| ledger.fail(1, FAILURE_US, 0));
        ledger.forgive(&1, 2 * FAILURE_US, 0);
        assert_eq!(ledger.not_before_us(&1), 10 * SECOND_US, "as after four");
        ledger.forgive(&1, 4 * FAILURE_US, 0);
        assert_eq!((ledger.not_before_us(&1), ledger.weight_us(&1, 0), ledger.len()), (0, 0, 0));
    }

    #[test]
    fn pressing_weighs_up_to_a_bound_and_delays_nothing() {
        let mut ledger = Ledger::default();
        (0..1000).for_each(|_| ledger.press(1, 10 * SECOND_US, FAILURE_US, 5));
        assert_eq!(ledger.weight_us(&1, 5), FAILURE_US);
        assert_eq!(ledger.not_before_us(&1), 0);
        ledger.fail(1, FAILURE_US, 5);
        ledger.fail(1, FAILURE_US, 5);
        assert_eq!(ledger.not_before_us(&1), 5 + 5 * SECOND_US);
        ledger.press(1, 10 * SECOND_US, FAILURE_US, 5);
        assert_eq!(ledger.weight_us(&1, 5), 3 * FAILURE_US);
    }

    #[test]
    fn many_keys_make_it_forget_the_lightest_and_never_the_heaviest() {
        let mut ledger = Ledger::default();
        (0..5).for_each(|_| ledger.fail(u64::MAX, FAILURE_US, 0));
        for key in 0..3 * THROTTLE_ENTRIES_MAX as u64 {
            ledger.fail(key, FAILURE_US, key + 1);
        }
        assert_eq!(ledger.len(), THROTTLE_ENTRIES_MAX);
        assert!(ledger.weight_us(&u64::MAX, 0) == 5 * FAILURE_US);
        assert_eq!(ledger.weight_us(&0, 1), 0, "the oldest of the light ones is gone");
    }

    #[test]
    fn what_is_drained_makes_room_first() {
        let mut ledger = Ledger::default();
        (0..100).for_each(|key| ledger.fail(key, FAILURE_US, 0));
        (100..200).for_each(|key| ledger.fail(key, FAILURE_US, 2 * FAILURE_US));
        assert_eq!(ledger.len(), 100);
    }
}
