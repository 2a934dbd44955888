//! An account, as far as it can be known from outside.

use std::collections::VecDeque;

use super::received::Received;
use super::tokens::Tokens;

/// Missed public messages that a login shows.
const REPLAY: u64 = 50;

/// A change of a password, acknowledged to a connection.
#[derive(Clone, Copy, Debug)]
pub struct Changed {
    pub by: usize,
    pub turn: u64,
    /// Where the log ended then.
    pub end: usize,
}

#[derive(Debug)]
pub struct Account {
    /// One of these is its password, or `None`: it is not there.
    pub possible: Vec<Option<String>>,
    /// What was possible once, and until which turn.
    past: Vec<(Option<String>, u64)>,
    /// The last turn in which what is possible changed.
    changed: u64,
    /// Connections that asked for it to be made, or to have another password.
    changing: Vec<usize>,
    /// The last change of the password that was acknowledged.
    pub changed_by: Option<Changed>,
    /// One of these many missed messages is shown, unless a session chose.
    pub replays: Vec<u64>,
    /// Up to this place in the log everything that it may see was written to one of its sessions, or was not to
    /// be shown.
    pub last_delivered: usize,
    /// What the sessions that have ended have certainly received: all that a session was sent that ended well, and all
    /// that a lost one had been sent when it was last heard from.
    pub received: Received,
    /// A login replays from this place on at the earliest.
    pub replays_from: usize,
    /// A session may have been lost since a mark of it was written.
    pub may_have_lost: bool,
    /// Since when everything was, up to where the log ended then: the place, the turn and the moment.
    all_handed: VecDeque<(usize, u64, u64)>,
    /// Up to this place that may not have been noted, and will not be before something else is shown.
    pub unnoted: usize,
    /// The last turn in which it may have been online.
    pub maybe_online: u64,
    pub tokens: Tokens,
}

impl Default for Account {
    fn default() -> Account {
        Account {
            possible: vec![None],
            past: Vec::new(),
            changed: 0,
            changing: Vec::new(),
            changed_by: None,
            replays: vec![REPLAY],
            last_delivered: 0,
            received: Received::default(),
            replays_from: 0,
            may_have_lost: false,
            all_handed: VecDeque::new(),
            unnoted: 0,
            maybe_online: 0,
            tokens: Tokens::default(),
        }
    }
}

impl Account {
    pub fn is_absent(&self) -> bool {
        self.possible == [None]
    }

    pub fn may_be_absent(&self) -> bool {
        self.possible.contains(&None)
    }

    /// Its password, where there is only one possibility.
    pub fn certain(&self) -> Option<&str> {
        match &self.possible[..] {
            [Some(password)] => Some(password),
            _ => None,
        }
    }

    /// Whether it is there for certain, and nobody is about to change its password.
    pub fn is_settled(&self) -> bool {
        self.certain().is_some() && self.changing.is_empty()
    }

    /// Whether the password may have changed since a turn.
    pub fn may_have_changed(&self, since: u64) -> bool {
        self.changed >= since || !self.changing.is_empty()
    }

    /// A connection asked for it to have this password.
    pub fn may_become(&mut self, password: &str, id: usize, turn: u64) {
        self.changing.push(id);
        self.tokens.may_be_revoked();
        self.possible.push(Some(password.into()));
        self.changed = turn;
    }

    /// That was refused.
    pub fn did_not_become(&mut self, password: &str, turn: u64) {
        if self.possible.len() > 1 {
            self.retain(turn, |possible| possible.as_deref() != Some(password));
        }
    }

    /// Whatever a connection asked for has become so by now, or never will.
    pub fn ends_to_change(&mut self, id: usize, turn: u64) {
        if let Some(at) = self.changing.iter().position(|&changing| changing == id) {
            self.changing.remove(at);
            self.changed = turn;
        }
    }

    /// Its password is this, unless it became another since.
    pub fn is(&mut self, password: &str, since: u64, turn: u64) {
        if self.changed < since && self.changing.is_empty() {
            self.has(password, turn);
        }
    }

    /// Its password is not this, unless it became that since.
    pub fn is_not(&mut self, password: &str, since: u64, turn: u64) {
        if self.changed < since && self.changing.is_empty() {
            self.did_not_become(password, turn);
        }
    }

    /// That was acknowledged.
    pub fn has(&mut self, password: &str, turn: u64) {
        self.retain(turn, |possible| possible.as_deref() == Some(password));
        if self.possible.is_empty() {
            self.possible.push(Some(password.into()));
        }
    }

    fn retain(&mut self, turn: u64, stays: impl Fn(&Option<String>) -> bool) {
        let (stay, go) = std::mem::take(&mut self.possible).into_iter().partition(stays);
        self.possible = stay;
        let go: Vec<Option<String>> = go;
        self.past.extend(go.into_iter().map(|it| (it, turn)));
        self.changed = turn;
    }

    /// Whether it may have had this password at some moment since that turn; `None`: not to have been there.
    pub fn may_have_had(&self, password: Option<&str>, since: u64) -> bool {
        self.possible.iter().any(|it| it.as_deref() == password)
            || self.past.iter().any(|(it, until)| it.as_deref() == password && *until >= since)
    }

    /// Whether it may have had any other password since that turn.
    pub fn may_have_had_another(&self, password: &str, since: u64) -> bool {
        let past = self.past.iter().filter(|(_, until)| *until >= since).map(|(it, _)| it);
        self.possible.iter().chain(past).flatten().any(|it| it != password)
    }

    /// Whether it had this password all the time since that turn.
    pub fn had(&self, password: &str, since: u64) -> bool {
        self.certain() == Some(password) && self.changed < since
    }

    /// Whether it had no password at any moment since that turn.
    pub fn was_absent(&self, since: u64) -> bool {
        let past = self.past.iter().filter(|(_, until)| *until >= since).map(|(it, _)| it);
        self.possible.iter().chain(past).flatten().next().is_none()
    }

    /// Whether it was there all the time since that turn.
    pub fn was_there(&self, since: u64) -> bool {
        !self.may_have_had(None, since)
    }

    pub fn was_handed(&mut self, handed: usize, is_all: bool, turn: u64, now_us: u64) {
        self.last_delivered = self.last_delivered.max(handed);
        if is_all && self.all_handed.back().is_none_or(|&(place, ..)| place != handed) {
            self.all_handed.push_back((handed, turn, now_us));
        }
    }

    /// The place up to which everything was handed to it by that turn and by that moment, told once.
    pub fn handed_by(&mut self, turn: u64, us: u64) -> Option<usize> {
        let count = self.all_handed.iter().take_while(|&&(_, of, at_us)| of <= turn && at_us <= us).count();
        self.all_handed.drain(..count).next_back().map(|(place, ..)| place)
    }

    /// The disk did not take what was to be noted, or the mark may have moved back.
    pub fn may_not_be_noted(&mut self) {
        self.unnoted = self.last_delivered;
    }

    /// Another server runs, and the file says that everything was seen up to a place.
    pub fn restarted(&mut self, seen: usize) {
        // An adversary may have been sent anything.
        let is_known = self.last_delivered < usize::MAX;
        self.received = Received::all_before(if is_known { seen } else { usize::MAX });
        self.replays_from = seen;
        self.may_have_lost = false;
        self.replays = vec![REPLAY];
        self.changing.clear();
        self.changed_by = None;
        self.all_handed.clear();
        self.unnoted = 0;
    }
}
