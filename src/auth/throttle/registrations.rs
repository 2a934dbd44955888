//! New accounts of the last hour: the total, and the number from each address and network.

use std::collections::{HashMap, VecDeque};

use super::Origin;
use crate::limits::{
    Micros, REGISTRATION_WINDOW_US, REGISTRATIONS_PER_ADDRESS, THROTTLE_ENTRIES_MAX, WIDE_FACTOR,
};

/// Why no account may be registered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMany {
    /// The address has registered too many within the hour.
    OfAddress,
    /// All addresses together have.
    OfHour,
}

/// All registrations of the last hour.
#[derive(Default)]
pub(super) struct Registrations {
    /// Until when each counts, the oldest first, and its address, unless it is from before the start.
    recent: VecDeque<(Micros, Option<Origin>)>,
    by_origin: HashMap<Origin, u32>,
    per_hour: Option<u32>,
}

impl Registrations {
    pub fn new(per_hour: Option<u32>) -> Registrations {
        Registrations { per_hour, ..Registrations::default() }
    }

    /// Counts accounts that were registered before the start, so long ago. Their addresses are not known. Must be
    /// called before anything is added.
    pub fn add_earlier(&mut self, ages_us: impl Iterator<Item = Micros>, now_us: Micros) {
        let left_us = ages_us.filter_map(|age_us| REGISTRATION_WINDOW_US.checked_sub(age_us));
        let mut left_us: Vec<Micros> = left_us.collect();
        left_us.sort_unstable();
        let most = left_us.len().saturating_sub(THROTTLE_ENTRIES_MAX);
        self.recent.extend(left_us.drain(most..).map(|left_us| (now_us + left_us, None)));
    }

    pub fn check(&mut self, origin: Origin, now_us: Micros) -> Result<(), TooMany> {
        self.expire(now_us);
        let of = |origin: Origin| self.by_origin.get(&origin).copied().unwrap_or(0);
        let wide = origin.wide().map_or(0, of);
        if of(origin) >= REGISTRATIONS_PER_ADDRESS || wide >= WIDE_FACTOR * REGISTRATIONS_PER_ADDRESS {
            return Err(TooMany::OfAddress);
        }
        match self.per_hour {
            Some(most) if self.recent.len() >= most as usize => Err(TooMany::OfHour),
            _ => Ok(()),
        }
    }

    pub fn add(&mut self, origin: Origin, now_us: Micros) {
        if self.recent.len() >= THROTTLE_ENTRIES_MAX {
            self.drop_oldest();
        }
        self.recent.push_back((now_us + REGISTRATION_WINDOW_US, Some(origin)));
        for key in [Some(origin), origin.wide()].into_iter().flatten() {
            *self.by_origin.entry(key).or_insert(0) += 1;
        }
    }

    /// Removes the latest registration of an address.
    pub fn take_back(&mut self, origin: Origin) {
        if let Some(at) = self.recent.iter().rposition(|&(_, other)| other == Some(origin)) {
            self.recent.remove(at);
            self.count_down(origin);
        }
    }

    fn expire(&mut self, now_us: Micros) {
        while self.recent.front().is_some_and(|&(until_us, _)| until_us <= now_us) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, Some(origin))) = self.recent.pop_front() {
            self.count_down(origin);
        }
    }

    fn count_down(&mut self, origin: Origin) {
        for key in [Some(origin), origin.wide()].into_iter().flatten() {
            if let Some(count) = self.by_origin.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.by_origin.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn origin(text: &str) -> Origin {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn an_address_makes_ten_within_any_hour() {
        let mut registrations = Registrations::new(None);
        let here = origin("10.0.0.1");
        let mut made = Vec::new();
        for minute in 0..300 {
            let now_us = minute * 60_000_000;
            while registrations.check(here, now_us).is_ok() {
                registrations.add(here, now_us);
                made.push(minute);
            }
        }
        assert_eq!(made.len(), 50);
        let of_hour = |&from: &u64| made.iter().filter(|&&at| (from..from + 60).contains(&at)).count();
        assert_eq!(made.iter().map(of_hour).max(), Some(10));
        assert_eq!(registrations.check(origin("10.0.0.2"), 0), Ok(()));
    }

    #[test]
    fn a_network_of_48_bits_makes_forty() {
        let mut registrations = Registrations::new(None);
        for number in 0..40 {
            let here = origin(&format!("2001:db8:0:{number:x}::1"));
            assert_eq!(registrations.check(here, 5), Ok(()));
            registrations.add(here, 5);
        }
        assert_eq!(registrations.check(origin("2001:db8:0:ffff::"), 5), Err(TooMany::OfAddress));
        assert_eq!(registrations.check(origin("2001:db8:1::"), 5), Ok(()));
        assert_eq!(registrations.check(origin("10.0.0.1"), 5), Ok(()), "IPv4 has no wider network");
    }

    #[test]
    fn all_together_make_so_many_an_hour() {
        let mut registrations = Registrations::new(Some(25));
        let from = |number: u32| IpAddr::from(number.to_be_bytes()).into();
        for number in 0..25 {
            assert_eq!(registrations.check(from(number), 100), Ok(()));
            registrations.add(from(number), 100);
        }
        assert_eq!(registrations.check(from(99), 100), Err(TooMany::OfHour));
        assert_eq!(registrations.check(from(99), 100 + REGISTRATION_WINDOW_US), Ok(()));
    }

    #[test]
    fn accounts_of_before_the_start_count_until_they_are_an_hour_old() {
        const MINUTE_US: Micros = 60_000_000;
        let here = origin("10.0.0.1");
        let mut registrations = Registrations::new(Some(3));
        // The clock that counts from the start is younger than they are.
        let ages_us = [5, 200, 40, 59, 60].map(|minutes| minutes * MINUTE_US);
        registrations.add_earlier(ages_us.into_iter(), 1);
        assert_eq!(registrations.check(here, 1), Err(TooMany::OfHour));
        assert_eq!(registrations.check(here, 1 + MINUTE_US), Ok(()));
        registrations.add(here, 1 + MINUTE_US);
        assert_eq!(registrations.check(here, 20 * MINUTE_US), Err(TooMany::OfHour));
        assert_eq!(registrations.check(here, 1 + 20 * MINUTE_US), Ok(()));
        registrations.take_back(here);
        assert_eq!((registrations.recent.len(), registrations.by_origin.len()), (1, 0));

        let mut registrations = Registrations::new(Some(1));
        registrations.add_earlier((0..2 * THROTTLE_ENTRIES_MAX as Micros).rev(), 1);
        assert_eq!(registrations.recent.len(), THROTTLE_ENTRIES_MAX);
        assert_eq!(registrations.recent.back(), Some(&(1 + REGISTRATION_WINDOW_US, None)));
    }

    #[test]
    fn what_was_not_stored_does_not_count() {
        let mut registrations = Registrations::new(Some(1));
        let here = origin("10.0.0.1");
        registrations.add(here, 1);
        registrations.take_back(here);
        registrations.take_back(here);
        assert_eq!(registrations.check(here, 1), Ok(()));
        assert!(registrations.by_origin.is_empty());
    }

    #[test]
    fn it_remembers_a_bounded_number() {
        let mut registrations = Registrations::new(None);
        for number in 0..2 * THROTTLE_ENTRIES_MAX as u32 {
            registrations.add(IpAddr::from(number.to_be_bytes()).into(), number.into());
        }
        assert_eq!(registrations.recent.len(), THROTTLE_ENTRIES_MAX);
        assert_eq!(registrations.by_origin.len(), THROTTLE_ENTRIES_MAX);
    }
}
