//! What a connection waits for before it is given its next line.
//!
//! Several reasons can hold at once: a password is hashed while the socket takes nothing and the log is read for the
//! same connection. So the reason is not stored. Each part knows its own, and [`Server::wait_of`] asks all of them.
//! When a reason ends, its owner schedules the connection, which then asks again.

use super::Server;
use crate::ids::ConnectionId;
use crate::limits::{ATTEMPT_US, Micros, SECOND_US};
use crate::log::storage::Storage;
use crate::session::quota::line_due_after;
use crate::transport::net::Net;
use crate::transport::reactor::{Connection, Hold};

/// Why a connection is not given a line now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// What its connection waits for: its header, an answer that is made or read, or its socket.
    Connection(Hold),
    /// What its session waits for: a password that is hashed, its turn to change the state, or a reply to its last line
    /// that comes later.
    Session,
    /// This turn handles no more lines of it.
    Turn,
    /// Its next line is not due before this time.
    Rate(Micros),
}

/// How much of this turn was used when a connection was first given a line in it.
#[derive(Clone, Copy)]
pub(super) struct Used {
    effects: usize,
    batch: usize,
}

impl<N: Net, S: Storage> Server<N, S> {
    /// Returns how much of this turn is used.
    pub(super) fn used(&self) -> Used {
        Used { effects: self.stage.effects.bytes(), batch: self.stage.batch.bytes() }
    }

    /// Returns what a connection waits for, apart from the next turn and its rate. It is not read from meanwhile.
    pub(super) fn held_by(&mut self, id: ConnectionId) -> Option<Wait> {
        let hold = self.reactor.connection(id).map_or(Some(Hold::Life), |it| it.hold(&self.feed));
        match hold {
            Some(hold) => Some(Wait::Connection(hold)),
            None => self.chat.is_waiting(id.session()).then_some(Wait::Session),
        }
    }

    /// Returns what a connection waits for before its next line may be handled, or `None` if it may be handled now. The
    /// line claims its place among those of its account here. `used` is what was used of the turn before the
    /// connection's first line in it, and `lines_left` is how many lines the turn still handles.
    pub(super) fn wait_of(&mut self, id: ConnectionId, used: Used, lines_left: u32) -> Option<Wait> {
        if let Some(wait) = self.held_by(id) {
            return Some(wait);
        }
        if self.stage.is_full() || lines_left == 0 {
            return Some(Wait::Turn);
        }
        let (rate, now_us) = (self.options.rate, self.now.mono_us);
        let Some(connection) = self.reactor.connection(id) else { return Some(Wait::Connection(Hold::Life)) };
        let has_more = !connection.input.is_empty() || (!connection.is_logged_in && connection.readable);
        if has_more
            && connection.line_due_us == 0
            && let (Some(account), Some(rate)) = (self.chat.account_of(id.session()), rate)
        {
            connection.line_due_us = self.chat.quotas.claim_line(account, rate, now_us);
        }
        let due_us = line_due_us(rate, connection);
        if due_us > now_us && has_more {
            return Some(Wait::Rate(due_us));
        }
        // Replies to this turn's lines are not in the outbox yet. Public messages never will be.
        let (effects, batch) = (&self.stage.effects, &self.stage.batch);
        let receipts = if effects.ends_with_direct_message() { batch.bytes() - used.batch } else { 0 };
        let replies = effects.bytes() - used.effects + receipts;
        (replies > connection.reply_bytes_max()).then_some(Wait::Turn)
    }
}

/// Returns when the next line of a connection may be handled: at the time that it claimed from its account, or by
/// its own rate before the login.
pub(super) fn line_due_us<S>(rate: Option<u32>, connection: &Connection<S>) -> Micros {
    match rate {
        Some(rate) if !connection.is_logged_in => line_due_after(rate, connection.line_due_us),
        Some(_) => connection.line_due_us,
        None => 0,
    }
}

/// Counts a handled line of a connection. Before the login, an attempt to log in counts as many lines: a client that
/// is refused and repeats it at once would otherwise keep the server busy with refusals.
pub(super) fn count_line<S>(
    rate: Option<u32>,
    connection: &mut Connection<S>,
    is_attempt: bool,
    now_us: Micros,
) {
    connection.line_due_us = match rate {
        Some(rate) if !connection.is_logged_in => {
            let line_us = SECOND_US / Micros::from(rate);
            connection.line_due_us.max(now_us) + if is_attempt { line_us.max(ATTEMPT_US) } else { line_us }
        }
        _ => 0,
    };
}
