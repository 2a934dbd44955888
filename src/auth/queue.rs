//! The queue for password hashing: whose derivation is next.
//!
//! An attempt is admitted at the moment its derivation would start, not when its line arrives: only then is it known
//! what the attempts before it came to. Of those that the [`Throttle`] lets start, the ones of addresses with the
//! fewest failures are first, and logins come before changes of passwords. Equal ones share the time by address:
//! start-time fair queueing (Goyal, Vin, Cheng, 1996), where each derivation is a job of its own. A job's tag is one
//! more than that of its address's last one, and never less than that of the job being served, so an address with
//! forty jobs delays another's only one by one job.
//!
//! Attempts of one address are judged one after the other: the next one starts when the last one is decided.

use crate::auth::throttle::{Claim, Standing, Throttle};
use crate::ids::SessionId;
use crate::limits::{FAILURE_US, HASHING_CHANGES_MAX, HASHING_QUEUE_MAX, Micros, STRANGERS_WAITING_MAX};
use crate::protocol::name::Name;

struct Job {
    session: SessionId,
    claim: Claim,
    tag: u64,
    /// Rises with each arrival.
    number: u64,
    /// Part of its work is done.
    is_started: bool,
}

/// Sessions waiting for their derivations.
#[derive(Default)]
pub struct HashingQueue {
    /// In the order of arrival.
    jobs: Vec<Job>,
    /// The one being served.
    current: Option<SessionId>,
    /// The highest tag that was served.
    virtual_time: u64,
    arrivals: u64,
}

impl HashingQueue {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Returns how many wait.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Returns the session being served.
    pub fn current(&self) -> Option<SessionId> {
        self.current
    }

    /// Adds a session. Returns the one that has to go for it, if there are too many now: it is removed, and may be
    /// the new one.
    pub fn push(
        &mut self,
        session: SessionId,
        claim: Claim,
        throttle: &Throttle,
        now_us: Micros,
    ) -> Option<SessionId> {
        let same_origin = self.jobs.iter().filter(|job| job.claim.origin == claim.origin);
        let own_last = same_origin.map(|job| job.tag).max().unwrap_or(0);
        let tag = own_last.max(self.virtual_time) + 1;
        self.arrivals += 1;
        self.jobs.push(Job { session, claim, tag, number: self.arrivals, is_started: false });
        let of_account = claim.account.and_then(|name| self.trim(&name, throttle, now_us));
        let refused = of_account.or_else(|| self.least_deserving(&claim, throttle, now_us))?;
        self.remove(refused);
        Some(refused)
    }

    /// Removes and returns a stranger's session from an account that is being guessed at, if too many wait there.
    pub fn trim(&mut self, name: &Name, throttle: &Throttle, now_us: Micros) -> Option<SessionId> {
        if throttle.strangers_not_before_us(name) <= now_us {
            return None;
        }
        let strangers = self.strangers(name, throttle);
        if strangers.clone().count() <= STRANGERS_WAITING_MAX {
            return None;
        }
        let last = strangers.max_by_key(|job| (throttle.standing(&job.claim, now_us), job.number));
        let last = last.map(|job| job.session);
        last.inspect(|&last| {
            self.remove(last);
        })
    }

    /// Removes and returns a session whose address has to wait until after `until_us` by now.
    pub fn remove_delayed(&mut self, throttle: &Throttle, until_us: Micros) -> Option<(SessionId, Claim)> {
        let is_delayed =
            |job: &&Job| !job.is_started && throttle.address_not_before_us(&job.claim) > until_us;
        let job = self.jobs.iter().find(is_delayed)?;
        let (session, claim) = (job.session, job.claim);
        self.remove(session);
        Some((session, claim))
    }

    /// Chooses the session to be served next, if any may be now, and returns it with whether its work begins.
    pub fn select(&mut self, throttle: &Throttle, now_us: Micros) -> Option<(SessionId, Claim, bool)> {
        let is_eligible = |job: &&Job| self.starts_us(job, throttle).is_some_and(|at_us| at_us <= now_us);
        let eligible: Vec<(&Job, Standing)> = self
            .jobs
            .iter()
            .filter(is_eligible)
            .map(|job| (job, throttle.standing(&job.claim, now_us)))
            .collect();
        let is_before_at_account = |(job, standing): &(&Job, Standing), other: &(&Job, Standing)| {
            let is_rival = !job.is_started && throttle.is_stranger(&job.claim);
            is_rival
                && job.claim.account == other.0.claim.account
                && (*standing, job.number) < (other.1, other.0.number)
        };
        let is_first_at_account = |other: &&(&Job, Standing)| {
            other.0.is_started
                || !throttle.is_stranger(&other.0.claim)
                || !eligible.iter().any(|rival| is_before_at_account(rival, other))
        };
        let rank = |(job, standing): &&(&Job, Standing)| {
            (standing.failures(), job.claim.is_inside, job.tag, job.number)
        };
        let session = eligible.iter().filter(is_first_at_account).min_by_key(rank)?.0.session;
        let job = self.jobs.iter_mut().find(|job| job.session == session)?;
        let begins = !std::mem::replace(&mut job.is_started, true);
        self.virtual_time = self.virtual_time.max(job.tag);
        self.current = Some(session);
        Some((session, job.claim, begins))
    }

    /// Ends the turn of the session being served, which has more to do.
    pub fn turn_over(&mut self) {
        let Some(current) = self.current.take() else { return };
        if let Some(job) = self.jobs.iter_mut().find(|job| job.session == current) {
            job.tag = self.virtual_time + 1;
        }
    }

    /// Removes a session: it is decided, or gone. Returns its claim if work was done on it.
    pub fn remove(&mut self, session: SessionId) -> Option<Claim> {
        let position = self.jobs.iter().position(|job| job.session == session)?;
        if self.current == Some(session) {
            self.current = None;
        }
        let job = self.jobs.remove(position);
        job.is_started.then_some(job.claim)
    }

    /// Returns when somebody may be served; `None` if nobody waits.
    pub fn due_us(&self, throttle: &Throttle) -> Option<Micros> {
        self.jobs.iter().filter_map(|job| self.starts_us(job, throttle)).min()
    }

    /// Returns about when a session may be served, as far as failures before it go.
    pub fn expected_us(&self, session: SessionId, throttle: &Throttle, now_us: Micros) -> Micros {
        let Some(job) = self.jobs.iter().find(|job| job.session == session) else { return 0 };
        let ahead = self.ahead(job, throttle, now_us);
        throttle.expected_us(&job.claim, ahead)
    }

    /// From when on a job may be served; `None` while another of its address is.
    fn starts_us(&self, job: &Job, throttle: &Throttle) -> Option<Micros> {
        let is_rival = |other: &Job| other.is_started && throttle.are_one(&other.claim, &job.claim);
        match job.is_started {
            true => Some(0),
            false if self.jobs.iter().any(is_rival) => None,
            false => Some(throttle.not_before_us(&job.claim)),
        }
    }

    /// Those that wait for strangers' turns at an account.
    fn strangers<'a>(
        &'a self,
        name: &'a Name,
        throttle: &'a Throttle,
    ) -> impl Iterator<Item = &'a Job> + Clone {
        self.jobs.iter().filter(move |job| {
            !job.is_started && job.claim.account == Some(*name) && throttle.is_stranger(&job.claim)
        })
    }

    /// How many have their turn before a stranger at the same account. If the attempt under way there fails, the others
    /// are refused, and if it succeeds, nobody has to wait.
    fn ahead(&self, job: &Job, throttle: &Throttle, now_us: Micros) -> usize {
        let Some(name) = rival(job, throttle, now_us) else { return 0 };
        let place = |job: &Job| (throttle.standing(&job.claim, now_us), job.number);
        let own = place(job);
        let ahead = self.strangers(&name, throttle).filter(|other| place(other) < own).count();
        ahead.min(STRANGERS_WAITING_MAX)
    }

    /// Whoever has to go, if there are too many: of those whose work has not begun, the one of the address with the
    /// most failures and the most sessions waiting.
    fn least_deserving(&self, claim: &Claim, throttle: &Throttle, now_us: Micros) -> Option<SessionId> {
        let changes = self.jobs.iter().filter(|job| job.claim.is_inside).count();
        let only_changes = claim.is_inside && changes > HASHING_CHANGES_MAX;
        if self.jobs.len() <= HASHING_QUEUE_MAX && !only_changes {
            return None;
        }
        // Under attack, this runs for each attempt, so what the throttle knows is looked up once for each job.
        let standings: Vec<Standing> =
            self.jobs.iter().map(|job| throttle.standing(&job.claim, now_us)).collect();
        let rivals: Vec<Option<Name>> = self.jobs.iter().map(|job| rival(job, throttle, now_us)).collect();
        let score = |&at: &usize| {
            let (job, standing, name) = (&self.jobs[at], standings[at], rivals[at]);
            let of_origin = self.jobs.iter().filter(|other| other.claim.origin == job.claim.origin).count();
            let is_ahead = |&other: &usize| {
                rivals[other] == name && (standings[other], self.jobs[other].number) < (standing, job.number)
            };
            let ahead = name.map_or(0, |_| (0..self.jobs.len()).filter(is_ahead).count());
            (standing.weight_us + of_origin as Micros * FAILURE_US, ahead, job.number)
        };
        let is_candidate =
            |&at: &usize| !self.jobs[at].is_started && self.jobs[at].claim.is_inside >= only_changes;
        (0..self.jobs.len()).filter(is_candidate).max_by_key(score).map(|at| self.jobs[at].session)
    }
}

/// Returns the account at which a job waits for its turn among strangers.
fn rival(job: &Job, throttle: &Throttle, now_us: Micros) -> Option<Name> {
    let name = job.claim.account.filter(|_| !job.is_started && throttle.is_stranger(&job.claim))?;
    (throttle.strangers_not_before_us(&name) > now_us).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AccountId, ConnectionId};
    use crate::limits::{SECOND_US, STRANGER_PAUSE_US};
    use std::net::IpAddr;

    const NOW_US: Micros = 100 * SECOND_US;

    struct Queue {
        queue: HashingQueue,
        throttle: Throttle,
    }

    fn id(session: u32) -> SessionId {
        ConnectionId::at(session as usize).session()
    }

    /// A login to an account that nobody else wants.
    fn login(number: u8, session: u32) -> Claim {
        let account = Name::parse(format!("n{session}").as_bytes());
        Claim { origin: IpAddr::from([10, 0, 0, number]).into(), account, known: None, is_inside: false }
    }

    fn at(number: u8, account: &str) -> Claim {
        let account = Name::parse(account.as_bytes()).expect("it is a name");
        let known = Some(AccountId::for_test(&account));
        Claim { account: Some(account), known, ..login(number, 0) }
    }

    impl Queue {
        fn new() -> Queue {
            Queue { queue: HashingQueue::default(), throttle: Throttle::new(false, None) }
        }

        fn push(&mut self, session: u32, claim: Claim) -> Option<u32> {
            let refused = self.queue.push(id(session), claim, &self.throttle, NOW_US);
            refused.map(|session| session.index() as u32)
        }

        fn remove(&mut self, session: u32) -> Option<Claim> {
            self.queue.remove(id(session))
        }

        fn select(&mut self) -> Option<u32> {
            self.queue.select(&self.throttle, NOW_US).map(|(session, ..)| session.index() as u32)
        }

        /// All that may be served now, each to its end.
        fn served(&mut self) -> Vec<u32> {
            std::iter::from_fn(|| {
                let first = self.select()?;
                self.remove(first);
                Some(first)
            })
            .collect()
        }
    }

    #[test]
    fn addresses_take_turns_and_each_keeps_its_order() {
        let mut queue = Queue::new();
        for session in 0..4 {
            queue.push(session, login(1, session));
        }
        queue.push(10, login(2, 10));
        queue.push(11, login(2, 11));
        queue.push(20, login(3, 20));
        assert_eq!(queue.served(), [0, 10, 20, 1, 11, 2, 3]);
    }

    #[test]
    fn newcomers_do_not_starve_those_who_wait() {
        let mut queue = Queue::new();
        queue.push(1, login(1, 1));
        queue.push(2, login(1, 2));
        let mut served = Vec::new();
        for newcomer in 10..20 {
            queue.push(newcomer.into(), login(newcomer, newcomer.into()));
            let first = queue.select().unwrap();
            queue.remove(first);
            served.push(first);
        }
        assert!(served.iter().position(|&session| session == 2).unwrap() <= 3, "{served:?}");
    }

    #[test]
    fn each_derivation_is_a_turn_of_its_own() {
        let mut queue = Queue::new();
        queue.push(1, login(1, 1));
        assert_eq!(queue.select(), Some(1));
        queue.push(2, login(2, 2));
        queue.push(3, login(3, 3));
        queue.queue.turn_over();
        queue.remove(2);
        queue.push(2, login(2, 2));
        let mut order = Vec::new();
        for _ in 0..3 {
            order.push(queue.select().unwrap());
            queue.queue.turn_over();
        }
        order.sort_unstable();
        assert_eq!(order, [1, 2, 3], "nobody has a second turn before the others have one");
    }

    #[test]
    fn an_address_has_one_attempt_under_way() {
        let mut queue = Queue::new();
        queue.push(1, login(1, 1));
        queue.push(2, login(1, 2));
        assert_eq!(queue.select(), Some(1));
        queue.queue.turn_over();
        assert_eq!(queue.select(), Some(1), "the other waits for its end");
        queue.remove(1);
        assert_eq!(queue.select(), Some(2));
    }

    #[test]
    fn failures_put_an_address_behind_the_others() {
        let mut queue = Queue::new();
        for session in 0..20 {
            let claim = login(session as u8 + 10, session);
            queue.throttle.failed(&claim, 1 + session % 2, NOW_US);
            queue.push(session, claim);
        }
        queue.push(100, login(1, 100));
        let served = queue.served();
        assert_eq!(served[0], 100);
        let (once, twice) = served[1..].split_at(10);
        assert!(once.iter().all(|session| session % 2 == 0), "{once:?}");
        assert!(twice.iter().all(|session| session % 2 == 1), "{twice:?}");
    }

    #[test]
    fn logins_come_before_changes_of_passwords() {
        let mut queue = Queue::new();
        queue.push(1, Claim { is_inside: true, ..login(1, 1) });
        queue.push(2, login(2, 2));
        assert_eq!(queue.served(), [2, 1]);
    }

    #[test]
    fn the_expected_wait_does_not_count_strangers_who_will_be_refused() {
        let mut queue = Queue::new();
        (1..20).for_each(|number| assert_eq!(queue.push(number.into(), at(number, "alice")), None));
        // Whether the one that is judged fails is not known yet.
        queue.throttle.begun(&at(99, "alice"), NOW_US);
        queue.push(20, at(20, "alice"));
        let wait_us = queue.queue.expected_us(id(19), &queue.throttle, NOW_US) - NOW_US;
        assert_eq!(wait_us, STRANGER_PAUSE_US * (1 + STRANGERS_WAITING_MAX as Micros));
    }

    #[test]
    fn of_strangers_at_an_account_the_one_who_failed_least_there_is_next() {
        let mut queue = Queue::new();
        // The first failed more often, but elsewhere.
        queue.throttle.failed(&at(1, "bob"), 2, NOW_US);
        queue.throttle.failed(&at(2, "alice"), 1, NOW_US);
        queue.push(2, at(2, "alice"));
        queue.push(1, at(1, "alice"));
        assert_eq!(queue.select(), Some(1));
    }

    #[test]
    fn one_stranger_at_a_time_and_the_owner_whenever_it_likes() {
        let mut queue = Queue::new();
        let owner = at(1, "alice");
        let account = (owner.known.unwrap(), &owner.account.unwrap());
        queue.throttle.succeeded(owner.origin, account, NOW_US);
        queue.throttle.begun(&at(2, "alice"), NOW_US);
        queue.push(3, at(3, "alice"));
        assert_eq!(queue.select(), None);
        assert_eq!(queue.queue.due_us(&queue.throttle), Some(NOW_US + STRANGER_PAUSE_US));
        queue.push(4, owner);
        assert_eq!(queue.select(), Some(4));
        assert_eq!(queue.queue.due_us(&queue.throttle), Some(0));
    }

    #[test]
    fn few_wait_at_an_account_that_is_guessed_at() {
        let mut queue = Queue::new();
        for session in 1..10 {
            assert_eq!(queue.push(session, at(session as u8, "alice")), None, "nobody failed yet");
        }
        queue.throttle.begun(&at(99, "alice"), NOW_US);
        let mut gone = Vec::new();
        while let Some(session) = queue.queue.trim(&at(0, "alice").account.unwrap(), &queue.throttle, NOW_US)
        {
            gone.push(session);
        }
        assert_eq!(gone, [9, 8, 7, 6, 5, 4].map(id));
        assert_eq!(queue.push(10, at(10, "alice")), Some(10));
        queue.throttle.refused(&at(2, "alice"), NOW_US);
        assert_eq!(queue.push(11, at(11, "alice")), Some(2), "it tried before, and the new one did not");
        assert_eq!(queue.push(12, at(12, "bob")), None);
        let expected = queue.queue.expected_us(id(11), &queue.throttle, NOW_US);
        assert_eq!(expected, NOW_US + 3 * STRANGER_PAUSE_US);
    }

    #[test]
    fn a_full_queue_refuses_the_greedy_and_those_who_failed() {
        let mut queue = Queue::new();
        for session in 0..HASHING_QUEUE_MAX as u32 {
            assert_eq!(queue.push(session, login(1, session)), None);
        }
        assert_eq!(queue.push(1000, login(1, 1000)), Some(1000));
        assert_eq!(queue.push(1001, login(2, 1001)), Some(HASHING_QUEUE_MAX as u32 - 1));
        assert_eq!(queue.queue.len(), HASHING_QUEUE_MAX);
        assert_eq!(queue.select(), Some(0));
        queue.throttle.failed(&login(3, 0), 24, NOW_US);
        queue.throttle.failed(&login(1, 0), 24, NOW_US);
        assert_ne!(queue.push(1002, login(4, 1002)), Some(0), "the one under way stays");
        let mut queue = Queue::new();
        for session in 0..HASHING_QUEUE_MAX as u32 {
            let claim = login(session as u8, session);
            queue.throttle.failed(&claim, u32::from(session == 40), NOW_US);
            queue.push(session, claim);
        }
        assert_eq!(queue.push(1000, login(200, 1000)), Some(40));
        assert_eq!(queue.push(1001, login(201, 1001)), Some(1001), "all the same: the last one goes");
    }

    #[test]
    fn changes_of_passwords_do_not_fill_the_queue() {
        let mut queue = Queue::new();
        let change = |number: u8| Claim { is_inside: true, ..login(number, number.into()) };
        for number in 0..HASHING_CHANGES_MAX as u8 {
            assert_eq!(queue.push(number.into(), change(number)), None);
        }
        assert_eq!(queue.push(100, change(100)), Some(100));
        assert_eq!(queue.push(101, login(101, 101)), None);
    }

    #[test]
    fn one_that_is_gone_is_not_served() {
        let mut queue = Queue::new();
        queue.push(1, login(1, 1));
        queue.push(2, login(2, 2));
        assert!(queue.remove(1).is_none() && queue.remove(7).is_none());
        assert_eq!(queue.select(), Some(2));
        assert!(queue.remove(2).is_some(), "its work had begun");
        assert!(queue.queue.is_empty() && queue.queue.current().is_none());
    }
}
