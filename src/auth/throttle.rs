//! Rate limits for password attempts and registrations.
//!
//! Every failure counts against its address, and against the pair of address and account. After three failures, the
//! next attempt from the address is delayed: by 5 s, then twice as long each time, up to an hour. The count drains by
//! one per hour, so no address makes more than twelve guesses in an hour.
//!
//! Addresses from which nobody has logged in to an account are *strangers* to it. After a stranger's failure, the next
//! stranger at that account is judged 5 s later, so that all strangers together make at most 720 guesses an hour at one
//! account. The owner at a *familiar* address waits for neither: only failures of that address at that account count.
//!
//! Names are treated alike whether or not there is such an account.

mod familiar;
mod ledger;
mod registrations;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use self::familiar::Familiar;
use self::ledger::Ledger;
use self::registrations::Registrations;
pub use self::registrations::TooMany;

use crate::ids::AccountId;
use crate::limits::{
    FAILURE_US, Micros, PRESSURE_MAX_US, PRESSURE_US, STRANGER_PAUSE_US, THROTTLE_ENTRIES_MAX, WIDE_FACTOR,
};
use crate::protocol::name::Name;

/// The unit to which limits apply: an IPv4 address, an IPv6 /64, which is what one customer gets, or the /48 around
/// several of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(u64);

/// Tags in the high bits: prefixes of IPv6 multicast addresses, which no peer can have.
const V4: u64 = 0xff04 << 48;
const WIDE: u64 = 0xff06 << 48;

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Origin {
        // A socket for both families reports IPv4 peers as mapped addresses, which would all share one network.
        Origin(match address.to_canonical() {
            IpAddr::V4(address) => V4 | u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        })
    }
}

impl Origin {
    /// Returns the /48 around a /64; `None` for IPv4.
    pub fn wide(self) -> Option<Origin> {
        (self.0 >> 48 != V4 >> 48).then_some(Origin(WIDE | self.0 >> 16))
    }
}

/// An attempt to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Where it comes from.
    pub origin: Origin,
    /// The name of the account whose password it gives; `None` for a registration.
    pub account: Option<Name>,
    /// The account of that name; `None` if there is none.
    pub known: Option<AccountId>,
    /// Whether its session is logged in already.
    pub is_inside: bool,
}

/// The failures held against an attempt; lower values are served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// Failures of the address at this account.
    pub at_account: u32,
    /// Weight on the address: [`FAILURE_US`] for each failure, and less for each attempt that was refused as busy.
    pub weight_us: Micros,
}

impl Standing {
    /// Returns the failures of the address.
    pub fn failures(&self) -> u32 {
        failures(self.weight_us)
    }
}

fn failures(weight_us: Micros) -> u32 {
    ((weight_us + FAILURE_US / 2) / FAILURE_US) as u32
}

/// Counts per address and account.
#[derive(Default)]
pub struct Throttle {
    registrations: Registrations,
    by_origin: Ledger<Origin>,
    by_pair: Ledger<(Name, Origin)>,
    familiar: Familiar,
    /// When a stranger's attempt at an account was last judged, unless it succeeded, and from where it came.
    judged: HashMap<Name, (Micros, Origin)>,
    /// The same in chronological order.
    judged_order: VecDeque<(Micros, Name)>,
    /// Whether addresses are ignored: `--per-address off`.
    ignores_origins: bool,
}

impl Throttle {
    /// Returns a throttle without entries. `accounts_per_hour` is for all addresses together.
    pub fn new(ignores_origins: bool, accounts_per_hour: Option<u32>) -> Throttle {
        let registrations = Registrations::new(accounts_per_hour);
        Throttle { registrations, ignores_origins, ..Throttle::default() }
    }

    // Registrations

    /// Checks that an account may be registered from an address now.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn may_register(&mut self, origin: Origin, now_us: Micros) -> Result<(), TooMany> {
        if self.ignores_origins { Ok(()) } else { self.registrations.check(origin, now_us) }
    }

    /// Counts accounts that were registered before the start, so long ago.
    pub fn registered_earlier(&mut self, ages_us: impl Iterator<Item = Micros>, now_us: Micros) {
        if !self.ignores_origins {
            self.registrations.add_earlier(ages_us, now_us);
        }
    }

    /// Counts a new account.
    pub fn registered(&mut self, origin: Origin, now_us: Micros) {
        if !self.ignores_origins {
            self.registrations.add(origin, now_us);
        }
    }

    /// Reverts [`Throttle::registered`] after the disk refused the account.
    pub fn not_registered(&mut self, origin: Origin) {
        self.registrations.take_back(origin);
    }

    // Attempts

    /// Whether an attempt has to queue with the other strangers at its account.
    pub fn is_stranger(&self, claim: &Claim) -> bool {
        claim.account.is_some() && !claim.is_inside && !self.is_familiar(claim)
    }

    /// Returns the time from which the address of an attempt allows it to be judged.
    pub fn address_not_before_us(&self, claim: &Claim) -> Micros {
        if self.ignores_origins {
            return 0;
        }
        if let Some(name) = claim.account.filter(|_| self.is_familiar(claim)) {
            return self.by_pair.not_before_us(&(name, claim.origin));
        }
        let keys = [Some(claim.origin), claim.origin.wide()];
        keys.iter().flatten().map(|key| self.by_origin.not_before_us(key)).max().unwrap_or(0)
    }

    /// Returns the moment from which the next stranger may be judged at an account.
    pub fn strangers_not_before_us(&self, name: &Name) -> Micros {
        self.judged.get(name).map_or(0, |(judged_us, _)| judged_us + STRANGER_PAUSE_US)
    }

    /// Returns the moment from which an attempt may be judged.
    pub fn not_before_us(&self, claim: &Claim) -> Micros {
        let of_account = claim.account.filter(|_| self.is_stranger(claim));
        let of_account = of_account.map_or(0, |name| self.strangers_not_before_us(&name));
        of_account.max(self.address_not_before_us(claim))
    }

    /// Estimates when an attempt may be judged if `ahead` strangers are before it.
    pub fn expected_us(&self, claim: &Claim, ahead: usize) -> Micros {
        let of_address = self.address_not_before_us(claim);
        match claim
            .account
            .filter(|_| self.is_stranger(claim))
            .map(|name| self.strangers_not_before_us(&name))
        {
            Some(next_us @ 1..) => of_address.max(next_us + ahead as Micros * STRANGER_PAUSE_US),
            _ => of_address,
        }
    }

    /// Whether two attempts are from the same address, so that they are judged one after the other.
    pub fn are_one(&self, one: &Claim, other: &Claim) -> bool {
        !self.ignores_origins && one.origin == other.origin
    }

    /// Returns the failures held against an attempt.
    pub fn standing(&self, claim: &Claim, now_us: Micros) -> Standing {
        if self.ignores_origins {
            return Standing { at_account: 0, weight_us: 0 };
        }
        let pair_us = claim.account.map_or(0, |name| self.by_pair.weight_us(&(name, claim.origin), now_us));
        let weight_us = if self.is_familiar(claim) {
            pair_us
        } else {
            let keys = [Some(claim.origin), claim.origin.wide()];
            keys.iter().flatten().map(|key| self.by_origin.weight_us(key, now_us)).max().unwrap_or(0)
        };
        Standing { at_account: failures(pair_us), weight_us }
    }

    /// Notes that an attempt is being judged.
    pub fn begun(&mut self, claim: &Claim, now_us: Micros) {
        while let Some(&(judged_us, name)) = self.judged_order.front()
            && (judged_us + STRANGER_PAUSE_US <= now_us || self.judged_order.len() > THROTTLE_ENTRIES_MAX)
        {
            self.judged_order.pop_front();
            if self.judged.get(&name).is_some_and(|&(last_us, _)| last_us == judged_us) {
                self.judged.remove(&name);
            }
        }
        if let Some(name) = claim.account.filter(|_| self.is_stranger(claim)) {
            self.judged.insert(name, (now_us, claim.origin));
            self.judged_order.push_back((now_us, name));
        }
    }

    /// Counts `count` wrong passwords or taken names. At a familiar address of the account, only the pair of both
    /// counts, so that a success forgives only failures that were subject to the pair's delays.
    pub fn failed(&mut self, claim: &Claim, count: u32, now_us: Micros) {
        if self.ignores_origins {
            return;
        }
        let is_familiar = self.is_familiar(claim);
        for _ in 0..count {
            if !is_familiar {
                self.by_origin.fail(claim.origin, FAILURE_US, now_us);
                if let Some(wide) = claim.origin.wide() {
                    self.by_origin.fail(wide, FAILURE_US / Micros::from(WIDE_FACTOR), now_us);
                }
            }
            if let Some(name) = claim.account {
                self.by_pair.fail((name, claim.origin), FAILURE_US, now_us);
            }
        }
    }

    /// Notes that an attempt was refused because the queue is full. This adds a little weight, so that clients that
    /// retry without a pause are served after the others.
    pub fn refused(&mut self, claim: &Claim, now_us: Micros) {
        if !self.ignores_origins {
            self.by_origin.press(claim.origin, PRESSURE_US, PRESSURE_MAX_US, now_us);
        }
    }

    /// Notes a successful login. Failures of the address at other accounts still count: otherwise an attacker could
    /// reset the count by logging in to an account of their own.
    pub fn succeeded(&mut self, origin: Origin, (account, name): (AccountId, &Name), now_us: Micros) {
        // Only if it was the stranger judged last. Otherwise each login of the owner, also one with a token, would give
        // strangers one more guess.
        if self.judged.get(name).is_some_and(|&(_, judged)| judged == origin) {
            self.judged.remove(name);
        }
        let pair_us = self.by_pair.weight_us(&(*name, origin), now_us);
        self.by_pair.forgive(&(*name, origin), pair_us, now_us);
        if !self.familiar.has(account, origin) {
            self.by_origin.forgive(&origin, pair_us, now_us);
            if let Some(wide) = origin.wide() {
                self.by_origin.forgive(&wide, pair_us / Micros::from(WIDE_FACTOR), now_us);
            }
        }
        for other in self.familiar.add(account, origin) {
            self.estrange(other, name, now_us);
        }
    }

    /// Forgets all familiar addresses of an account except the one that its new password was set from.
    pub fn password_changed(&mut self, origin: Origin, (account, name): (AccountId, &Name), now_us: Micros) {
        for other in self.familiar.keep_only(account, origin) {
            self.estrange(other, name, now_us);
        }
    }

    /// Makes an address a stranger to an account again. Its failures there were not counted against the address, so a
    /// later success must not subtract them from it.
    fn estrange(&mut self, origin: Origin, name: &Name, now_us: Micros) {
        self.by_pair.forgive(&(*name, origin), Micros::MAX, now_us);
    }

    fn is_familiar(&self, claim: &Claim) -> bool {
        !self.ignores_origins && claim.known.is_some_and(|account| self.familiar.has(account, claim.origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{FAMILIAR_ADDRESSES_MAX, SECOND_US};

    const HOUR_US: Micros = 3600 * SECOND_US;

    fn origin(text: &str) -> Origin {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn claim(from: &str, name: &str) -> Claim {
        let account = Name::parse(name.as_bytes()).unwrap();
        let known = Some(AccountId::for_test(&account));
        Claim { origin: origin(from), account: Some(account), known, is_inside: false }
    }

    /// A successful login.
    fn succeed(throttle: &mut Throttle, claim: &Claim, now_us: Micros) {
        throttle.succeeded(claim.origin, account(claim), now_us);
    }

    fn account(claim: &Claim) -> (AccountId, &Name) {
        (claim.known.unwrap(), claim.account.as_ref().unwrap())
    }

    fn throttle() -> Throttle {
        Throttle::new(false, None)
    }

    /// Guesses of an attempt that is made again as soon as it may be, within an hour.
    fn guesses(throttle: &mut Throttle, claims: &[Claim]) -> usize {
        let mut count = 0;
        let mut now_us = SECOND_US;
        while now_us < HOUR_US + SECOND_US {
            let may = |claim: &&Claim| throttle.not_before_us(claim) <= now_us;
            match claims.iter().find(may) {
                Some(claim) => {
                    throttle.begun(claim, now_us);
                    throttle.failed(claim, 1, now_us);
                    count += 1;
                }
                None => {
                    let next_us = claims.iter().map(|claim| throttle.not_before_us(claim)).min().unwrap();
                    now_us = next_us;
                }
            }
        }
        count
    }

    #[test]
    fn addresses_count_by_64_and_48_bits_in_ipv6_and_whole_in_ipv4() {
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:2"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_eq!(origin("2001:db8::1").wide(), origin("2001:db8:0:1::1").wide());
        assert_ne!(origin("2001:db8::1").wide(), origin("2001:db8:1::1").wide());
        assert_ne!(origin("10.0.0.1"), origin("10.0.0.2"));
        assert_eq!(origin("10.0.0.1").wide(), None);
        assert_eq!(origin("::ffff:10.0.0.1"), origin("10.0.0.1"));
        assert_ne!(origin("::1"), origin("0.0.0.1"));
    }

    #[test]
    fn one_address_guesses_twelve_times_an_hour_at_one_account_or_at_many() {
        assert_eq!(guesses(&mut throttle(), &[claim("10.0.0.1", "alice")]), 12);
        let many: Vec<_> = (0..50).map(|number| claim("10.0.0.1", &format!("n{number}"))).collect();
        assert_eq!(guesses(&mut throttle(), &many), 12);
        let network: Vec<_> = (0..50).map(|number| claim(&format!("2001:db8::{number}"), "alice")).collect();
        assert_eq!(guesses(&mut throttle(), &network), 12);
    }

    #[test]
    fn a_network_of_48_bits_guesses_forty_eight_times_an_hour_at_most() {
        let many: Vec<_> = (0..200)
            .map(|number| claim(&format!("2001:db8:0:{number:x}::1"), &format!("n{number}")))
            .collect();
        let count = guesses(&mut throttle(), &many);
        assert!((24..=48).contains(&count), "{count}");
    }

    #[test]
    fn all_strangers_together_guess_720_times_an_hour_at_one_account() {
        let many: Vec<_> = (0..1000)
            .map(|number| claim(&format!("10.0.{}.{}", number / 250, number % 250), "alice"))
            .collect();
        assert_eq!(guesses(&mut throttle(), &many), 720);
    }

    #[test]
    fn logins_of_the_owner_give_strangers_no_more_guesses() {
        let mut throttle = throttle();
        let (owner, stranger) = (claim("10.0.0.1", "alice"), claim("10.0.0.2", "alice"));
        succeed(&mut throttle, &owner, 5);
        throttle.begun(&stranger, 5);
        throttle.failed(&stranger, 1, 5);
        for now_us in 6..20 {
            throttle.begun(&owner, now_us);
            succeed(&mut throttle, &owner, now_us);
            // With a token, from anywhere.
            succeed(&mut throttle, &claim("10.0.0.9", "alice"), now_us);
            assert_eq!(throttle.not_before_us(&claim("10.0.0.3", "alice")), 5 + STRANGER_PAUSE_US);
        }
    }

    #[test]
    fn the_owner_at_a_usual_address_waits_for_no_stranger() {
        let mut throttle = throttle();
        let (owner, stranger) = (claim("10.0.0.1", "alice"), claim("10.0.0.2", "alice"));
        succeed(&mut throttle, &owner, 5);
        throttle.begun(&stranger, 5);
        throttle.failed(&stranger, 1, 5);
        assert_eq!(throttle.not_before_us(&stranger), 5 + STRANGER_PAUSE_US);
        assert_eq!(throttle.not_before_us(&claim("10.0.0.3", "alice")), 5 + STRANGER_PAUSE_US);
        assert_eq!(throttle.not_before_us(&owner), 0);
        // Nor for what others do at the same address to other accounts.
        throttle.failed(&claim("10.0.0.1", "bob"), 12, 5);
        assert_eq!(throttle.not_before_us(&owner), 0);
        assert_eq!(throttle.standing(&owner, 5), Standing { at_account: 0, weight_us: 0 });
        assert!(throttle.not_before_us(&claim("10.0.0.1", "carol")) > 600 * SECOND_US);
        // Its own failures count there.
        throttle.failed(&owner, 3, 5);
        assert_eq!(throttle.not_before_us(&owner), 5 + 5 * SECOND_US);
    }

    #[test]
    fn an_account_has_a_few_usual_addresses_and_a_new_password_leaves_one() {
        let mut throttle = throttle();
        let from = |number: usize| claim(&format!("10.0.0.{number}"), "alice");
        for number in 0..FAMILIAR_ADDRESSES_MAX + 2 {
            succeed(&mut throttle, &from(number), 5);
        }
        assert!(throttle.is_stranger(&from(1)) && !throttle.is_stranger(&from(2)));
        throttle.password_changed(from(3).origin, account(&from(0)), 5);
        assert!(throttle.is_stranger(&from(2)) && !throttle.is_stranger(&from(3)));
        assert!(!throttle.is_stranger(&Claim { is_inside: true, ..from(2) }));
    }

    #[test]
    fn a_success_forgives_what_failed_at_that_account_and_no_more() {
        let mut throttle = throttle();
        let (own, other) = (claim("10.0.0.1", "mallory"), claim("10.0.0.1", "alice"));
        throttle.failed(&other, 4, 5);
        throttle.failed(&own, 4, 5);
        assert_eq!(throttle.standing(&other, 5).failures(), 8);
        succeed(&mut throttle, &own, 5);
        assert_eq!(throttle.standing(&other, 5), Standing { at_account: 4, weight_us: 4 * FAILURE_US });
        assert_eq!(throttle.standing(&own, 5), Standing { at_account: 0, weight_us: 0 });
        assert_eq!(throttle.not_before_us(&other), 5 + 10 * SECOND_US);
    }

    #[test]
    fn an_account_of_ones_own_does_not_wash_off_failures_at_others() {
        let mut throttle = throttle();
        let (own, other) = (claim("10.0.0.1", "mallory"), claim("10.0.0.1", "alice"));
        succeed(&mut throttle, &own, 5);
        throttle.failed(&other, 100, 5);
        for _ in 0..100 {
            throttle.failed(&own, 5, 5);
            succeed(&mut throttle, &own, 5);
        }
        assert_eq!(throttle.standing(&other, 5).failures(), 24);
        assert_eq!(throttle.not_before_us(&other), 5 + HOUR_US);
        // Not even after other addresses took the place of this one.
        throttle.failed(&own, 11, 5);
        for number in 2..2 + FAMILIAR_ADDRESSES_MAX {
            succeed(&mut throttle, &claim(&format!("10.0.0.{number}"), "mallory"), 5);
        }
        succeed(&mut throttle, &own, 5);
        assert_eq!(throttle.standing(&other, 5).failures(), 24);
    }

    #[test]
    fn thousands_of_other_addresses_do_not_make_it_forget() {
        let mut throttle = throttle();
        let known = claim("10.0.0.1", "alice");
        throttle.failed(&known, 8, 0);
        for number in 0..2 * THROTTLE_ENTRIES_MAX as u32 {
            let origin = IpAddr::from((number + (11 << 24)).to_be_bytes()).into();
            throttle.failed(&Claim { origin, ..known }, 1, number.into());
        }
        assert_eq!(throttle.standing(&known, 0).at_account, 8);
        assert_eq!(throttle.not_before_us(&known), 160 * SECOND_US);
        assert_eq!(throttle.by_origin.len(), THROTTLE_ENTRIES_MAX);
        assert_eq!(throttle.by_pair.len(), THROTTLE_ENTRIES_MAX);
    }

    #[test]
    fn what_is_remembered_of_the_last_seconds_is_bounded() {
        let mut throttle = throttle();
        for number in 0..2 * THROTTLE_ENTRIES_MAX {
            throttle.begun(&claim("10.0.0.1", &format!("n{number}")), 5);
        }
        assert!(throttle.judged.len() <= THROTTLE_ENTRIES_MAX + 1);
        throttle.begun(&claim("10.0.0.1", "x"), 5 + STRANGER_PAUSE_US);
        assert_eq!((throttle.judged.len(), throttle.judged_order.len()), (1, 1));
    }

    #[test]
    fn refusals_weigh_less_than_a_failure_and_delay_nothing() {
        let mut throttle = throttle();
        let here = claim("10.0.0.1", "alice");
        throttle.refused(&here, 5);
        assert!(throttle.standing(&here, 5).weight_us > 0);
        (0..100_000).for_each(|_| throttle.refused(&here, 5));
        assert!(throttle.standing(&here, 5).weight_us <= FAILURE_US);
        assert_eq!(throttle.not_before_us(&here), 0);
    }

    #[test]
    fn without_addresses_only_the_account_is_guarded() {
        let mut throttle = Throttle::new(true, Some(1));
        let here = claim("127.0.0.1", "alice");
        (0..50).for_each(|_| throttle.registered(here.origin, 5));
        assert_eq!(throttle.may_register(here.origin, 5), Ok(()));
        succeed(&mut throttle, &here, 5);
        assert_eq!(guesses(&mut throttle, &[here]), 720);
    }
}
