//! The delivered mark, which may move back but hides nothing.
//!
//! The rule: a login shows what follows the first message that the account may not have received. It has received all
//! that a session was sent that ended well or that the server heard from lately; and of a session whose connection
//! broke, that has been silent for half a minute, or that was silent for so long when the server ended it, all that it
//! had been sent when it was last heard from. A session that began after a message did not receive that message.

use super::super::net::{Peer, SimNet};
use super::accounts::Account;
use super::asked::Asked;
use super::connection::{Client, Connection};
use super::log::Log;
use super::received::Received;
use super::stream::Between;
use super::{Model, Waiting};

/// After this long without a byte a session is silent for certain: half a minute, and what a turn needs.
const SILENT_US: u64 = 31_000_000;
/// After this long without a byte it may be.
const MAYBE_SILENT_US: u64 = 29_000_000;

impl Model {
    /// Where the messages may begin that a login is shown.
    pub(super) fn missed_from(&mut self, id: usize, name: &str, waiting: &Waiting) -> Between {
        let is_other =
            |&&other: &&usize| other != id && self.connections[other].names().iter().any(|it| it == name);
        let has_others = self.open.iter().any(|other| is_other(&other));
        let account = &self.accounts[name];
        let mut received = account.received.clone();
        for it in self.open.iter().filter(is_other).map(|&other| &self.connections[other]) {
            // A session that may have ended just now, and well, counts whole.
            let is_silent = it.is_silent(self.now_us) && it.is_staying();
            if is_silent || it.ended_in_silence {
                received.add_all(&it.heard);
            } else {
                it.sent(&self.log).for_each(|span| received.add(span));
            }
        }
        let certain = received.first_gap(name, &self.log);
        // The welcome of a lagging reader is written later than its login, and others may have been lost since.
        let most = if self.connections[id].may_lag { account.last_delivered } else { certain };
        let noted = waiting.seen.min(self.seen.place_of(name, &self.log)).min(most);
        let account = self.account(name);
        if !has_others && !account.may_have_lost {
            account.replays_from = noted;
        }
        let least = account.replays_from.min(most);
        self.connections[id].may_have_gap = has_others;
        Between(least, most)
    }

    /// The marks of sessions that are lost move back.
    pub(super) fn note_losses(&mut self, net: &SimNet) {
        for &id in &self.open {
            let connection = &self.connections[id];
            let peer = net.peer(connection.peer);
            // Perhaps the server has ended it, because it was silent or while it was.
            let may_have_ended = connection.is_closing || connection.may_have_left;
            let may_be_silent = connection.heard_us + MAYBE_SILENT_US <= self.now_us;
            let is_lost = connection.client == Client::Gone || peer.was_reset() || peer.write_fails;
            if is_lost || connection.lags || may_have_ended && may_be_silent {
                for name in connection.names() {
                    let account = self.accounts.entry(name).or_default();
                    account.may_have_lost = true;
                    account.may_not_be_noted();
                }
            }
        }
    }

    /// What the open sessions of an account have been sent.
    pub(super) fn sent_to_sessions(
        connections: &[Connection],
        open: &[usize],
        name: &str,
        log: &Log,
    ) -> Received {
        let sessions = open.iter().map(|&id| &connections[id]);
        let sessions = sessions.filter(|it| it.account.as_deref() == Some(name));
        let mut sent = Received::default();
        sessions.flat_map(|it| it.sent(log)).for_each(|span| sent.add(span));
        sent
    }
}

impl Connection {
    /// What may have been written to its socket.
    fn sent(&self, log: &Log) -> impl Iterator<Item = (usize, usize)> {
        self.stream.iter().flat_map(|stream| stream.sent(log))
    }

    /// Whether something came from it in this turn, before anything else was written to it.
    pub fn listen(&mut self, peer: &Peer, log: &Log, now_us: u64) {
        if peer.heard > self.heard_times
            && let Some(stream) = &self.stream
        {
            stream.sent(log).for_each(|span| self.heard.add(span));
        }
        if peer.heard > self.heard_times || peer.read_bytes > self.read_bytes {
            self.heard_us = now_us;
        }
        (self.heard_times, self.read_bytes) = (peer.heard, peer.read_bytes);
    }

    /// Whether the server cannot have ended it before it learnt that it is lost.
    pub fn is_loss_certain(&self, peer: &Peer) -> bool {
        let may_have_been_ended =
            self.is_closing || self.may_lag || self.leaves() || self.may_have_read_in_vain;
        peer.was_reset() && !peer.has_finished() && !may_have_been_ended
    }

    /// Whether nothing has come from it for so long that it is silent.
    fn is_silent(&self, now_us: u64) -> bool {
        self.heard_us + SILENT_US <= now_us
    }

    /// The server tells it that it ends its session, for a reason of its own.
    pub fn is_ended_by_server(&mut self, now_us: u64) {
        // A lagging reader is told so late.
        self.ended_in_silence = self.client == Client::Open && !self.may_lag && self.is_silent(now_us);
    }

    /// Whether the server has no reason to end it.
    fn is_staying(&self) -> bool {
        !self.is_over() && !self.lags && !self.may_have_left && !self.leaves()
    }

    fn leaves(&self) -> bool {
        self.asked.iter().any(|waiting| matches!(waiting.asked, Asked::Quit | Asked::Endless))
    }

    /// What the account has certainly received of a session that has ended.
    pub fn leave_mark(&self, is_lost: bool, account: &mut Account, log: &Log) {
        if is_lost || self.ended_in_silence {
            account.received.add_all(&self.heard);
        } else {
            self.sent(log).for_each(|span| account.received.add(span));
        }
    }
}
