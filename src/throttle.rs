//! What an address or an account may still do: registrations in an hour, and logins after failures. Bounded in
//! memory: where too many are remembered, the one that was quiet for longest is forgotten.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::limits::{
    FAILURE_DELAY_MAX_US, FAILURE_MEMORY_US, FAILURES_FREE, Micros, REGISTRATION_WINDOW_US,
    REGISTRATIONS_PER_ADDRESS, SECOND_US, THROTTLE_ENTRIES_MAX,
};
use crate::name::Name;

/// Who counts as one: an IPv4 address, or an IPv6 network of 64 bits, which is what one customer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Origin {
        // An IPv4 peer of a socket for both is written as an IPv6 address; all of those share 64 bits.
        Origin(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
            v4 => v4,
        })
    }
}

/// What is remembered of an address or an account.
#[derive(Clone, Copy, Default)]
struct Entry {
    count: u32,
    /// Registrations: when the window began. Failures: when the last one was.
    since_us: Micros,
    /// Failures: not before this may the next one be tried.
    not_before_us: Micros,
}

/// Counts per address and account.
#[derive(Default)]
pub struct Throttle {
    registrations: HashMap<Origin, Entry>,
    failures_by_origin: HashMap<Origin, Entry>,
    failures_by_name: HashMap<Name, Entry>,
    /// Addresses are not looked at: `--per-address off`.
    ignores_origins: bool,
}

impl Throttle {
    /// Looks at addresses, or only at accounts.
    pub fn new(ignores_origins: bool) -> Throttle {
        Throttle { ignores_origins, ..Throttle::default() }
    }

    /// Whether an account may be made from here now.
    pub fn may_register(&self, origin: Origin, now_us: Micros) -> bool {
        self.ignores_origins
            || self.registrations.get(&origin).is_none_or(|entry| {
                entry.count < REGISTRATIONS_PER_ADDRESS || now_us - entry.since_us >= REGISTRATION_WINDOW_US
            })
    }

    /// An account was made from here.
    pub fn registered(&mut self, origin: Origin, now_us: Micros) {
        if self.ignores_origins {
            return;
        }
        let entry = entry_of(&mut self.registrations, origin, now_us);
        if now_us - entry.since_us >= REGISTRATION_WINDOW_US {
            *entry = Entry { since_us: now_us, ..Entry::default() };
        }
        entry.count += 1;
    }

    /// An account that was said to be made from here was not: the disk did not take it.
    pub fn not_registered(&mut self, origin: Origin) {
        if let Some(entry) = self.registrations.get_mut(&origin) {
            entry.count = entry.count.saturating_sub(1);
        }
    }

    /// How long a login to this account has to wait here.
    pub fn login_delay_us(&self, origin: Origin, name: &Name, now_us: Micros) -> Micros {
        let by_origin = self.failures_by_origin.get(&origin).filter(|_| !self.ignores_origins);
        let by_name = self.failures_by_name.get(name);
        let not_before = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.not_before_us);
        not_before(by_origin).max(not_before(by_name)).saturating_sub(now_us)
    }

    /// A login failed.
    pub fn failed(&mut self, origin: Origin, name: &Name, now_us: Micros) {
        if !self.ignores_origins {
            count_failure(entry_of(&mut self.failures_by_origin, origin, now_us), now_us);
        }
        count_failure(entry_of(&mut self.failures_by_name, *name, now_us), now_us);
    }

    /// A login succeeded. Its address is not forgiven: else one account of one's own would open all others.
    pub fn succeeded(&mut self, name: &Name) {
        self.failures_by_name.remove(name);
    }
}

fn count_failure(entry: &mut Entry, now_us: Micros) {
    if now_us - entry.since_us >= FAILURE_MEMORY_US {
        *entry = Entry::default();
    }
    entry.count += 1;
    entry.since_us = now_us;
    if let Some(beyond) = entry.count.checked_sub(FAILURES_FREE) {
        // 1 s after the last free one, then 2, 4, 8 …
        entry.not_before_us = now_us + (SECOND_US << beyond.min(20)).min(FAILURE_DELAY_MAX_US);
    }
}

fn entry_of<K: Copy + Eq + std::hash::Hash>(
    entries: &mut HashMap<K, Entry>,
    key: K,
    now_us: Micros,
) -> &mut Entry {
    if entries.len() >= THROTTLE_ENTRIES_MAX && !entries.contains_key(&key) {
        let oldest = entries.iter().min_by_key(|(_, entry)| entry.since_us).map(|(key, _)| *key);
        oldest.map(|oldest| entries.remove(&oldest));
    }
    entries.entry(key).or_insert(Entry { since_us: now_us, ..Entry::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn addresses_count_by_64_bits_in_ipv6_and_whole_in_ipv4() {
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:2"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_ne!(origin("10.0.0.1"), origin("10.0.0.2"));
        assert_eq!(origin("::ffff:10.0.0.1"), origin("10.0.0.1"));
    }

    #[test]
    fn ten_accounts_an_hour_from_one_address() {
        let mut throttle = Throttle::new(false);
        let (here, there) = (origin("10.0.0.1"), origin("10.0.0.2"));
        for _ in 0..REGISTRATIONS_PER_ADDRESS {
            assert!(throttle.may_register(here, 5));
            throttle.registered(here, 5);
        }
        assert!(!throttle.may_register(here, REGISTRATION_WINDOW_US));
        assert!(throttle.may_register(there, 5));
        assert!(throttle.may_register(here, REGISTRATION_WINDOW_US + 5));
        throttle.registered(here, REGISTRATION_WINDOW_US + 5);
        assert!(throttle.may_register(here, REGISTRATION_WINDOW_US + 6));
    }

    #[test]
    fn the_delay_grows_after_three_failures_per_address_and_per_account() {
        let mut throttle = Throttle::new(false);
        let (here, there) = (origin("10.0.0.1"), origin("10.0.0.2"));
        let (alice, bob) = (Name::parse(b"alice").unwrap(), Name::parse(b"bob").unwrap());
        let mut delays = Vec::new();
        for _ in 0..10 {
            throttle.failed(here, &alice, 0);
            delays.push(throttle.login_delay_us(here, &alice, 0) / SECOND_US);
        }
        assert_eq!(delays, [0, 0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(throttle.login_delay_us(here, &bob, 0), FAILURE_DELAY_MAX_US, "the address");
        assert_eq!(throttle.login_delay_us(there, &alice, 0), FAILURE_DELAY_MAX_US, "the account");
        assert_eq!(throttle.login_delay_us(there, &bob, 0), 0);
        assert_eq!(throttle.login_delay_us(here, &alice, FAILURE_DELAY_MAX_US), 0);
        throttle.succeeded(&alice);
        assert_eq!(throttle.login_delay_us(there, &alice, 0), 0);
        throttle.failed(here, &bob, FAILURE_MEMORY_US);
        assert_eq!(throttle.login_delay_us(here, &bob, FAILURE_MEMORY_US), 0, "forgotten");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut throttle = Throttle::new(false);
        for number in 0..2 * THROTTLE_ENTRIES_MAX as u32 {
            let here = IpAddr::from(number.to_be_bytes()).into();
            throttle.registered(here, number.into());
            throttle.failed(here, &Name::parse(format!("n{number}").as_bytes()).unwrap(), number.into());
        }
        assert_eq!(throttle.registrations.len(), THROTTLE_ENTRIES_MAX);
        assert_eq!(throttle.failures_by_origin.len(), THROTTLE_ENTRIES_MAX);
        assert_eq!(throttle.failures_by_name.len(), THROTTLE_ENTRIES_MAX);
    }
}
