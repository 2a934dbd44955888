//! What may be answered to a login, a registration or a change of a password.

use std::collections::BTreeMap;

use super::accounts::Changed;
use chinwag::protocol::reply::{Error, Notice, Reply};

use super::answers::{Fit, answer_if, code_of};
use super::asked::{Asked, is_official, twin_of};
use super::connection::{Connection, Waiting};
use super::log::is_name;
use super::{Guarantee, Model, hold, key};

// Written down here once more, so that a server whose own numbers grow is seen.

/// Logins that may wait for their password to be checked.
const LOGINS_WAITING: usize = 64;
/// Changes of passwords that may.
const CHANGES_WAITING: usize = 16;
/// Strangers that may wait at an account that is guessed at.
const STRANGERS_WAITING: usize = 3;
/// Sessions of one account.
pub(super) const SESSIONS: usize = 16;
/// Accounts made from one address within an hour.
const REGISTRATIONS: usize = 10;
const HOUR_US: u64 = 3_600_000_000;
/// The longest delay that an attempt is not refused for, in seconds: a minute for the address, and the turns of the
/// strangers that wait at the account.
const DELAY_MAX: u64 = 60 + 5 * STRANGERS_WAITING as u64;
/// Failures of an address after which the delay is longer than that.
const FAILURES_REFUSED: u32 = 7;
/// Turns from the check of a password to the welcome.
const WELCOME_TURNS: u64 = 3;
/// The most that one wrong `/passwd` counts.
const FAILURES_OF_PASSWD: u32 = 8;

/// Who was waiting to log in, and what failed.
#[derive(Default)]
pub struct Logins {
    /// The last turn in which more waited than may, in all.
    crowded: u64,
    /// The same for changes of passwords.
    changes_crowded: u64,
    /// The same for strangers at each account.
    accounts_crowded: BTreeMap<String, u64>,
    /// What failed from each address since the server started, at most.
    failures: BTreeMap<u32, u32>,
    /// When accounts were made from each address, at the earliest.
    registrations: BTreeMap<u32, Vec<u64>>,
}

impl Logins {
    /// Notes that a connection is gone: what it waited for may count as a failure.
    pub fn note_abandoned(&mut self, connection: &Connection) {
        if connection.asked.iter().any(|waiting| matches!(waiting.asked, Asked::Passwd { .. })) {
            self.note_failures(connection.address, FAILURES_OF_PASSWD);
        } else if connection.may_wait_for_a_login() {
            self.note_failures(connection.address, 1);
        }
    }

    /// Notes that an account was made from an address, between two moments. Returns how many were within an hour.
    fn note_registration(&mut self, address: u32, earliest_us: u64, latest_us: u64) -> usize {
        let registrations = self.registrations.entry(address).or_default();
        registrations.push(earliest_us);
        registrations.iter().filter(|&&it| it + HOUR_US > latest_us).count()
    }

    pub fn note_failures(&mut self, address: u32, count: u32) {
        *self.failures.entry(address).or_default() += count;
    }
}

impl Model {
    /// Notes who waited in a turn, before its answers are looked at.
    pub(super) fn note_crowds(&mut self) {
        let (mut everyone, mut changes, mut hostile) = (0, 0, 0);
        let mut at_accounts: BTreeMap<String, usize> = BTreeMap::new();
        for connection in self.open.iter().map(|&id| &self.connections[id]) {
            hostile += usize::from(connection.is_hostile);
            everyone += usize::from(connection.may_wait_for_a_login());
            for waiting in &connection.asked {
                match &waiting.asked {
                    Asked::Login { name, .. } => *at_accounts.entry(key(name)).or_default() += 1,
                    Asked::Passwd { .. } => changes += 1,
                    _ => {}
                }
            }
        }
        let (turn, logins) = (self.turn, &mut self.logins);
        if everyone > LOGINS_WAITING {
            logins.crowded = turn;
        }
        if changes + hostile > CHANGES_WAITING {
            logins.changes_crowded = turn;
        }
        for (name, _) in at_accounts.into_iter().filter(|(_, count)| count + hostile > STRANGERS_WAITING) {
            logins.accounts_crowded.insert(name, turn);
        }
    }

    /// Whether an address may have failed so often that it is refused at once. Answers that wait for a reader may tell
    /// of further failures.
    fn may_be_refused(&self, address: u32) -> bool {
        let others = self.open.iter().map(|&id| &self.connections[id]);
        let others = others.filter(|it| it.address == address && it.may_wait_for_a_login());
        let pending: u32 = others.map(|it| it.asked.len() as u32).sum();
        self.logins.failures.get(&address).copied().unwrap_or(0) + pending >= FAILURES_REFUSED
    }

    /// Whether a login may have found too many others.
    fn may_be_busy(&self, name: &str, since: u64) -> bool {
        let at_account = self.logins.accounts_crowded.get(&key(name)).copied().unwrap_or(0);
        self.logins.crowded.max(at_account) >= since
    }

    /// Sessions that an account may have had since a turn.
    pub(super) fn sessions_of(&self, name: &str, since: u64) -> usize {
        let name = key(name);
        let of_server = self.connections.iter().rev().take_while(|it| it.turn >= self.first_turn);
        of_server.filter(|it| it.ended >= since && it.may_be.contains(&name)).count()
    }

    /// Whether a line tells that the answer to an attempt takes a while.
    fn is_delay(&self, id: usize, reply: &Reply<'_>) -> bool {
        let Reply::Notice(Notice::LoginDelayed { seconds }) = reply else { return false };
        self.connections[id].part.is_empty() && *seconds <= DELAY_MAX
    }

    /// Whether a login waits until the server has read its history. Nobody is told so who may not log in.
    pub(super) fn is_reading(&self, id: usize, reply: &Reply<'_>) -> bool {
        let waits: Reply<'_> = Notice::LoginWaits.into();
        *reply == waits && !self.connections[id].part.contains(&waits.to_string())
    }

    pub(super) fn fit_login(
        &mut self,
        id: usize,
        reply: &Reply<'_>,
        name: &str,
        password: &str,
        waiting: &Waiting,
    ) -> Fit {
        let (since, turn) = (waiting.turn, self.turn);
        let (is_in, address) = (self.connections[id].account.is_some(), self.connections[id].address);
        let (is_busy, is_refused) = (self.may_be_busy(name, since), self.may_be_refused(address));
        let is_late = self.connections[id].may_lag || self.connections[id].may_be_welcome_late;
        if self.is_delay(id, reply) || self.is_reading(id, reply) {
            return Fit::Part;
        }
        let account = self.account(name);
        if let Reply::Notice(Notice::Welcome { name: welcomed }) = reply {
            // A password that was changed while the login waited opens nothing any more.
            let since = if is_late { since } else { since.max(turn.saturating_sub(WELCOME_TURNS)) };
            let may =
                !is_in && key(welcomed.as_str()) == key(name) && account.may_have_had(Some(password), since);
            hold(Guarantee::Accounts, may, || format!("{welcomed} is welcome with {password}: {account:?}"));
            account.is(password, since, turn);
            self.welcome(id, name, waiting, false);
            return Fit::Answer;
        }
        answer_if(match code_of(reply) {
            "bad-login" => {
                hold(Guarantee::Accounts, is_in || !account.had(password, since), || {
                    format!("{name} cannot log in with {password}: {account:?}")
                });
                account.is_not(password, since, turn);
                self.logins.note_failures(address, 1);
                self.guessed_wrong(id, name, waiting);
                !is_in
            }
            "busy" => is_busy,
            "too-many-failures" => is_refused,
            "already-logged-in" => is_in,
            _ => false,
        })
    }

    pub(super) fn fit_register(
        &mut self,
        id: usize,
        reply: &Reply<'_>,
        name: &str,
        password: &str,
        waiting: &Waiting,
    ) -> Fit {
        let (since, turn) = (waiting.turn, self.turn);
        let connection = &self.connections[id];
        let (is_in, address) = (connection.account.is_some(), connection.address);
        if self.is_delay(id, reply) {
            return Fit::Part;
        }
        let twin = twin_of(name).and_then(|twin| self.accounts.get(twin));
        if matches!(reply, Reply::Notice(Notice::Welcome { name: welcomed }) if welcomed.as_str() == name) {
            let is_free = !is_official(name) && twin.is_none_or(|twin| !twin.was_there(since));
            hold(Guarantee::Accounts, is_free, || format!("{name} looks like another name"));
            let account = self.account(name);
            let may = !is_in && account.may_have_had(None, since);
            hold(Guarantee::Accounts, may, || format!("{name} was there already: {account:?}"));
            account.has(password, turn);
            account.ends_to_change(id, turn);
            let between = (self.began_us(since + 1), self.began_us(turn));
            let made = self.logins.note_registration(address, between.0, between.1);
            hold(Guarantee::Bounded, made <= REGISTRATIONS, || {
                format!("address {address} made {made} accounts within an hour")
            });
            self.welcome(id, name, waiting, true);
            return Fit::Answer;
        }
        if *reply == Notice::RegistrationDelayed.into() && self.connections[id].part.is_empty() {
            return Fit::Part;
        }
        let is_sound = is_name(name) && (8..=128).contains(&password.len());
        let registered =
            self.connections.iter().filter(|it| it.address == address && !it.may_be.is_empty()).count();
        let account = &self.accounts[&key(name)];
        let is_taken = twin.is_some_and(|twin| !twin.was_absent(since))
            || account.was_there(since)
            || account.may_have_had_another(password, since);
        let is_explained = match code_of(reply) {
            "already-logged-in" => is_in,
            "bad-name" => !is_name(name) || is_official(name),
            "bad-password" => !is_sound,
            "name-taken" => is_taken || account.may_have_had(Some(password), 0) && !account.may_be_absent(),
            "not-saved" => self.trouble.accounts_refused() >= since,
            "no-randomness" => self.trouble.no_random >= since,
            "busy" => self.logins.crowded >= since,
            "too-many-failures" => self.may_be_refused(address),
            "too-many-accounts" => registered >= REGISTRATIONS,
            _ => false,
        };
        if code_of(reply) == "name-taken" {
            self.logins.note_failures(address, 1);
        }
        if is_explained {
            let account = self.account(name);
            account.did_not_become(password, turn);
            account.ends_to_change(id, turn);
        }
        answer_if(is_explained)
    }

    pub(super) fn fit_passwd(
        &mut self,
        id: usize,
        reply: &Reply<'_>,
        new: &str,
        is_right: bool,
        since: u64,
    ) -> Fit {
        let (is_in, address) = (self.connections[id].account.is_some(), self.connections[id].address);
        let name = self.connections[id].account.clone().unwrap_or_default();
        if *reply == Notice::PasswordChanged.into() {
            hold(Guarantee::Accounts, is_right && is_in, || format!("{name} changed the password: {new}"));
            let (turn, end) = (self.turn, self.log.len());
            let account = self.account(&name);
            account.has(new, turn);
            account.ends_to_change(id, turn);
            account.changed_by = Some(Changed { by: id, turn, end });
            account.tokens.revoke(since, turn);
            return Fit::Answer;
        }
        if self.is_delay(id, reply) {
            return Fit::Part;
        }
        let is_explained = match code_of(reply) {
            "bad-login" => !is_right,
            "not-saved" => self.trouble.accounts_refused() >= since,
            "no-randomness" => self.trouble.no_random >= since,
            "busy" => self.logins.crowded.max(self.logins.changes_crowded) >= since,
            "too-many-failures" => self.may_be_refused(address),
            _ => return Fit::No,
        };
        if code_of(reply) == "bad-login" {
            self.logins.note_failures(address, FAILURES_OF_PASSWD);
        }
        self.not_changed(id, new, is_explained)
    }

    pub(super) fn not_changed(&mut self, id: usize, new: &str, is_explained: bool) -> Fit {
        if is_explained && let Some(name) = self.connections[id].who() {
            let turn = self.turn;
            let account = self.account(&name);
            account.did_not_become(new, turn);
            account.ends_to_change(id, turn);
        }
        answer_if(is_explained)
    }

    /// Whether the end of a session has to do with other sessions of its account.
    pub(super) fn is_ended_by_another(&self, id: usize, error: &Error<'_>) -> bool {
        let connection = &self.connections[id];
        let Some(name) = &connection.account else { return false };
        let since = connection.inside_since();
        match error {
            Error::Replaced { .. } => self.sessions_of(name, since) > SESSIONS,
            Error::SignedOut => self.accounts[name].may_have_changed(since),
            _ => false,
        }
    }

    /// Whether a session may have ended for another of its account. The copies of messages that were not sent to it by
    /// then are dropped.
    pub(super) fn may_be_ended_by_another(&self, id: usize) -> bool {
        let connection = &self.connections[id];
        connection.account.as_ref().is_some_and(|name| {
            let since = connection.inside_since();
            self.accounts[name].may_have_changed(since) || self.sessions_of(name, since) > SESSIONS
        })
    }

    /// Notes which sessions may have ended for another of their account without having been told so yet.
    pub(super) fn note_ended_by_others(&mut self) {
        for index in 0..self.open.len() {
            let id = self.open[index];
            let may_be_told_late = self.connections[id].may_lag || self.connections[id].is_interrupted;
            if may_be_told_late && self.may_be_ended_by_another(id) {
                self.connections[id].may_have_left = true;
            }
        }
    }
}
