//! Quotas of an account: lines per second, which its sessions use in turn, and bytes of messages per day.
//!
//! Lines are paced by the generic cell rate algorithm (ITU-T I.371). A session claims the next place of its account
//! when it has a line, and handles the line when the place's time comes, so that sessions take turns. Bytes are counted
//! in windows of a day, each of which begins with the account's first message after the previous window. Only accounts
//! with recent messages have an entry. A restart begins new windows.

use std::collections::HashMap;

use crate::clock::Now;
use crate::ids::AccountId;
use crate::limits::{DAY_US, Micros, QUOTA_ENTRIES_MIN, RATE_BURST_SECONDS, SECOND_US};
use crate::protocol::record::Timestamp;

/// Bytes of messages, as lines of the log, that an account may add to it.
#[derive(Clone, Copy, Debug)]
pub struct ByteLimits {
    /// Within a day; `None` for no limit.
    pub daily: Option<u64>,
    /// Within the first day of an account; `None` for no limit but the daily one.
    pub first_day: Option<u64>,
}

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverQuota {
    /// How many bytes are left.
    pub left: u64,
    /// The limit that applies.
    pub limit: u64,
    /// The wall-clock time at which there are more.
    pub resumes_us: Micros,
}

/// An account's recent usage.
#[derive(Clone, Copy, Default)]
struct Usage {
    /// The theoretical arrival time of its next line.
    line_due_us: Micros,
    /// When its day began; meaningless while `bytes` is 0.
    since_us: Micros,
    /// Bytes of messages since then.
    bytes: u64,
}

impl Usage {
    fn is_over(&self, now_us: Micros) -> bool {
        self.bytes == 0 || now_us >= self.since_us + DAY_US
    }
}

/// The accounts with recent usage.
#[derive(Default)]
pub struct Quotas {
    by_account: HashMap<AccountId, Usage>,
    /// Number of entries above which outdated ones are dropped.
    entries_max: usize,
}

impl Quotas {
    /// Claims the next place for a line of an account. Returns when the line may be handled.
    pub fn claim_line(&mut self, account: AccountId, rate: u32, now_us: Micros) -> Micros {
        let usage = self.usage(account, now_us);
        let due_us = line_due_after(rate, usage.line_due_us);
        usage.line_due_us = usage.line_due_us.max(now_us) + SECOND_US / Micros::from(rate);
        due_us
    }

    /// Counts a message of an account that was registered at `registered`.
    ///
    /// # Errors
    /// The message would exceed the quota; it is not counted.
    pub fn charge(
        &mut self,
        account: AccountId,
        registered: Timestamp,
        bytes: usize,
        limits: ByteLimits,
        now: Now,
    ) -> Result<(), OverQuota> {
        let first_day_ends_us = registered.micros() + DAY_US;
        let first_day = limits.first_day.filter(|_| now.wall_us < first_day_ends_us);
        let limit = match (limits.daily, first_day) {
            (None, None) => return Ok(()),
            (daily, first_day) => daily.unwrap_or(u64::MAX).min(first_day.unwrap_or(u64::MAX)),
        };
        let usage = self.usage(account, now.mono_us);
        if usage.is_over(now.mono_us) {
            (usage.since_us, usage.bytes) = (now.mono_us, 0);
        }
        let (left, bytes) = (limit.saturating_sub(usage.bytes), bytes as u64);
        if bytes > left {
            let window_ends_us = now.wall_us + usage.since_us + DAY_US - now.mono_us;
            let has_more_later = limits.daily.is_none_or(|daily| usage.bytes + bytes <= daily);
            let resumes_us = match first_day {
                Some(_) if has_more_later => window_ends_us.min(first_day_ends_us),
                _ => window_ends_us,
            };
            return Err(OverQuota { left, limit, resumes_us });
        }
        usage.bytes += bytes;
        Ok(())
    }

    fn usage(&mut self, account: AccountId, now_us: Micros) -> &mut Usage {
        if self.by_account.len() > self.entries_max {
            self.by_account.retain(|_, usage| usage.line_due_us > now_us || !usage.is_over(now_us));
            self.entries_max = QUOTA_ENTRIES_MIN.max(2 * self.by_account.len());
        }
        self.by_account.entry(account).or_default()
    }
}

/// Returns when a line may be handled, given the theoretical arrival time of the next one.
pub fn line_due_after(rate: u32, line_due_us: Micros) -> Micros {
    let interval_us = SECOND_US / Micros::from(rate);
    line_due_us.saturating_sub(RATE_BURST_SECONDS * SECOND_US - interval_us)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::name::Name;
    use crate::state::durable::State;

    const LIMITS: ByteLimits = ByteLimits { daily: Some(1000), first_day: Some(100) };

    fn accounts(count: u32) -> Vec<AccountId> {
        let mut state = State::default();
        let name = |number| Name::parse(format!("n{number}").as_bytes()).expect("it is a name");
        (0..count).map(|number| state.add_for_test(name(number))).collect()
    }

    fn at(seconds: u64) -> Now {
        Now { wall_us: 10 * DAY_US + seconds * SECOND_US, mono_us: (1 + seconds) * SECOND_US }
    }

    #[test]
    fn places_for_lines_come_at_the_rate_after_a_burst() {
        let account = accounts(1)[0];
        let mut quotas = Quotas::default();
        let now_us = 50 * SECOND_US;
        let dues: Vec<_> = (0..23).map(|_| quotas.claim_line(account, 10, now_us)).collect();
        assert!(dues[..20].iter().all(|&due_us| due_us <= now_us), "{dues:?}");
        assert_eq!(dues[20..], [1, 2, 3].map(|number| now_us + number * SECOND_US / 10));
    }

    #[test]
    fn a_day_begins_with_the_first_message_and_ends_a_day_later() {
        let account = accounts(1)[0];
        let (mut quotas, old) = (Quotas::default(), Timestamp::default());
        for second in 0..10 {
            assert_eq!(quotas.charge(account, old, 100, LIMITS, at(second)), Ok(()));
        }
        let refused = OverQuota { left: 0, limit: 1000, resumes_us: at(86_400).wall_us };
        assert_eq!(quotas.charge(account, old, 1, LIMITS, at(86_399)), Err(refused));
        assert_eq!(quotas.charge(account, old, 1000, LIMITS, at(86_400)), Ok(()));
    }

    #[test]
    fn a_young_account_has_less_until_it_is_a_day_old() {
        let account = accounts(1)[0];
        let mut quotas = Quotas::default();
        let registered = Timestamp::from_micros(at(0).wall_us);
        assert_eq!(quotas.charge(account, registered, 60, LIMITS, at(3_600)), Ok(()));
        let refused = OverQuota { left: 40, limit: 100, resumes_us: at(86_400).wall_us };
        assert_eq!(quotas.charge(account, registered, 41, LIMITS, at(7_200)), Err(refused));
        assert_eq!(quotas.charge(account, registered, 40, LIMITS, at(7_200)), Ok(()));
        // The window goes on, with the larger limit.
        assert_eq!(quotas.charge(account, registered, 900, LIMITS, at(86_400)), Ok(()));
        assert!(quotas.charge(account, registered, 1, LIMITS, at(86_401)).is_err());
        let unlimited = ByteLimits { daily: None, first_day: None };
        assert_eq!(quotas.charge(account, registered, 1 << 40, unlimited, at(86_402)), Ok(()));
    }

    #[test]
    fn accounts_that_are_quiet_for_a_day_are_forgotten() {
        let accounts = accounts(3 * QUOTA_ENTRIES_MIN as u32);
        let mut quotas = Quotas::default();
        for (number, &account) in accounts.iter().enumerate() {
            let now = at(number as u64 * 86_400 / 100);
            assert_eq!(quotas.charge(account, Timestamp::default(), 1, LIMITS, now), Ok(()));
            quotas.claim_line(account, 10, now.mono_us);
        }
        assert!(quotas.by_account.len() <= QUOTA_ENTRIES_MIN + 1, "{}", quotas.by_account.len());
    }
}
