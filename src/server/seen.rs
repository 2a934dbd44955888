//! The delivered mark: up to which message each account has been sent everything. A login replays what comes after.
//!
//! A message that a socket took is not yet received. So a session knows two marks: what its socket took, and `heard`,
//! what it had taken when the peer was last heard from. If the session ends well, the first one counts. If its peer is
//! lost, or silent when the server ends the session, only the second one does, and the account's mark moves back unless
//! another session was sent more. This may repeat messages and never hides any.

use std::collections::BTreeSet;

use super::Server;
use super::closing::End;
use crate::ids::{AccountId, ConnectionId, SessionId};
use crate::limits::{Micros, SEEN_PAUSE_US, SEEN_PER_SAVE_MAX};
use crate::log::offset::Offset;
use crate::log::storage::{File, Storage};
use crate::protocol::record::Timestamp;
use crate::state::accounts::Accounts;
use crate::state::marks::SeenFile;
use crate::transport::net::Net;
use crate::transport::reactor::Connection;

/// The read marks, and when they are saved.
pub(super) struct ReadMarks<F> {
    file: SeenFile<F>,
    /// Accounts whose marks have changed since they were saved.
    pending: BTreeSet<AccountId>,
    /// When `seen.txt` and `state.txt` are to be brought up to date; `None` while they are.
    due_us: Option<Micros>,
    /// Where among the connections that goes on.
    next: usize,
}

impl<F: File> ReadMarks<F> {
    /// The marks of a server that starts.
    pub fn new(file: SeenFile<F>) -> ReadMarks<F> {
        ReadMarks { file, pending: BTreeSet::new(), due_us: None, next: 0 }
    }

    /// When marks, or the checkpoint, are to be saved.
    pub fn due_us(&self) -> Option<Micros> {
        self.due_us
    }

    /// Lets the checkpoint be saved within a second, together with the marks.
    pub fn save_soon(&mut self, now_us: Micros) {
        self.due_us.get_or_insert(now_us + SEEN_PAUSE_US);
    }

    /// Lets the mark of an account be saved within a second.
    fn save_mark_soon(&mut self, account: AccountId, now_us: Micros) {
        self.pending.insert(account);
        self.save_soon(now_us);
    }

    /// Sets the mark of an account, and lets it be saved if it has changed.
    fn set(&mut self, account: AccountId, mark: Timestamp, now_us: Micros) {
        if mark != self.file.mark(account) {
            self.file.set_mark(account, mark);
            self.save_mark_soon(account, now_us);
        }
    }

    /// Appends the marks that have changed, all at once. If that fails, they are saved later: a mark that has moved
    /// back must not be forgotten.
    pub fn save(&mut self, accounts: &Accounts) {
        if self.file.append(accounts, self.pending.iter().copied()) {
            self.pending.clear();
        }
    }
}

impl<N: Net, S: Storage> Server<N, S> {
    /// Updates the account's mark at the end of one of its sessions.
    pub(super) fn note_end(&mut self, id: ConnectionId, account: AccountId, end: End) {
        let (mark, now_us) = (self.flushed.last, self.now.mono_us);
        let Some(connection) = self.reactor.connection(id) else { return };
        let is_lost = connection.is_broken()
            || connection.hung_up
            || connection.stalled_since_us().is_some()
            || end == End::Forced && connection.is_silent(now_us);
        let received = if is_lost { connection.heard } else { connection.received(mark) };
        let received = connection.is_entered().then_some(received);
        let Some(certain) = received.max(self.certain(account, Some(id))) else { return };
        self.share_certain(account, certain);
        let seen = self.reach(account, Some(id), certain, |it| it.delivered_now(mark));
        self.seen.set(account, seen, now_us);
    }

    /// Returns the message after which a session that just logged in is shown what its account missed. Messages that
    /// only silent sessions were sent may be lost and are shown again.
    pub(super) fn start_of_replay(
        &mut self,
        id: ConnectionId,
        account: AccountId,
        is_new: bool,
    ) -> Timestamp {
        if is_new {
            self.seen.file.set_mark(account, self.journal.last());
        } else {
            self.note_seen(account);
        }
        // Its first mark reserves its name.
        if is_new && self.journal.end() > Offset::START {
            self.seen.save_mark_soon(account, self.now.mono_us);
        }
        let (mark, now_us) = (self.flushed.last, self.now.mono_us);
        let certain = self.certain(account, Some(id)).unwrap_or(self.seen.file.mark(account));
        let from = self.reach(account, Some(id), certain, |it| {
            if it.is_silent(now_us) { it.heard } else { it.delivered_now(mark) }
        });
        if let Some(connection) = self.reactor.connection(id) {
            (connection.heard, connection.from) = (certain, from);
        }
        from
    }

    /// Updates the account's mark to what its sessions were sent since.
    fn note_seen(&mut self, account: AccountId) {
        let mark = self.flushed.last;
        let Some(certain) = self.certain(account, None) else { return };
        self.share_certain(account, certain);
        let reach = self.reach(account, None, certain, |it| it.delivered_now(mark));
        // Only an end moves it back.
        if reach > self.seen.file.mark(account) {
            self.seen.set(account, reach, self.now.mono_us);
        }
    }

    /// The last message that the account has certainly received, by its sessions without `except`; `None` if it has
    /// none.
    fn certain(&mut self, account: AccountId, except: Option<ConnectionId>) -> Option<Timestamp> {
        let ids = self.chat.sessions_of(account).map(SessionId::connection).filter(|&id| Some(id) != except);
        let connections = ids.filter_map(|id| {
            let connection = self.reactor.connection(id)?;
            connection.is_entered().then_some(connection.heard)
        });
        connections.max()
    }

    fn share_certain(&mut self, account: AccountId, certain: Timestamp) {
        for id in self.chat.sessions_of(account).map(SessionId::connection) {
            if let Some(connection) = self.reactor.connection(id).filter(|it| it.is_entered()) {
                connection.heard = connection.heard.max(certain);
            }
        }
    }

    /// Up to which message the account has been sent everything, if it has all up to `start`, and `end` is how far
    /// each of its sessions without `except` has come. Sessions that begin after a gap do not count.
    fn reach(
        &mut self,
        account: AccountId,
        except: Option<ConnectionId>,
        start: Timestamp,
        end: impl Fn(&Connection<N::Stream>) -> Timestamp,
    ) -> Timestamp {
        let mut reach = start;
        loop {
            let before = reach;
            let ids = self.chat.sessions_of(account).map(SessionId::connection);
            for id in ids.filter(|&id| Some(id) != except) {
                if let Some(connection) = self.reactor.connection(id).filter(|it| it.from <= reach) {
                    reach = reach.max(end(connection));
                }
            }
            if reach == before {
                return reach;
            }
        }
    }

    /// Saves the marks that have changed, once per second: those of logins and ends, and of a bounded number of other
    /// sessions.
    pub(super) fn keep_seen(&mut self) {
        if self.seen.due_us.is_none_or(|due_us| due_us > self.now.mono_us) {
            return;
        }
        let ids: Vec<_> = self.reactor.ids().filter(|&id| id.index() >= self.seen.next).collect();
        self.seen.next = 0;
        let most = self.seen.pending.len() + SEEN_PER_SAVE_MAX;
        for id in ids {
            if self.seen.pending.len() >= most {
                self.seen.next = id.index();
                break;
            }
            if let Some(account) = self.chat.account_of(id.session()) {
                self.note_seen(account);
            }
        }
        self.seen.save(self.chat.accounts());
        let has_more = self.seen.next > 0 || !self.seen.pending.is_empty();
        self.seen.due_us = has_more.then_some(self.now.mono_us + SEEN_PAUSE_US);
        self.seen.file.compact(&mut self.storage, self.chat.accounts());
        self.keep_checkpoint();
    }
}
