//! When the server has to end a connection: at the login deadline, after ten minutes without taking anything, and
//! after its last words.

use super::super::net::SimNet;
use super::connection::{Client, Connection};
use super::log::Log;
use super::{Guarantee, Model, hold};

const SECOND_US: u64 = 1_000_000;
/// A minute for the login, and half a minute more for one that is being checked.
const LOGIN_US: u64 = 90 * SECOND_US;
const STALL_US: u64 = 600 * SECOND_US;
/// What a look at the clock costs, and what is told only in the next turn.
const SLACK_US: u64 = SECOND_US / 10;
/// Turns that a goodbye, or the end of a stall, may take where signals interrupt it.
const SLACK_TURNS: u64 = 20;

/// What a connection is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deadlines {
    /// When it was seen to be accepted.
    accepted_us: Option<u64>,
    /// Since when its socket is full, although there is more for it: the turn, the moment by which the server noticed,
    /// and what is in it.
    full: Option<(u64, u64, usize)>,
    /// The turn in which the time for its login was over.
    late: Option<u64>,
    /// The turn of its last words.
    closing: Option<u64>,
}

impl Model {
    /// Looks whether the server ended all whose time is over.
    pub(super) fn look_at_deadlines(&mut self, net: &SimNet) {
        let (turn, now_us, began_us) = (self.turn, self.now_us, self.began_us(self.turn));
        if self.is_shutting_down {
            return;
        }
        for &id in &self.open {
            let connection = &mut self.connections[id];
            let peer = net.peer(connection.peer);
            if connection.client != Client::Open || peer.is_finished_by_server() || peer.was_reset() {
                continue;
            }
            let is_full = peer.untaken() >= peer.capacity && !connection.has_taken;
            let wants_more = is_full && connection.wants_more(&self.log);
            let is_in = connection.account.is_some() || connection.is_closing;
            let deadlines = &mut connection.deadlines;
            if peer.is_accepted() {
                deadlines.accepted_us.get_or_insert(now_us);
            }
            let due_us = deadlines.accepted_us.map_or(u64::MAX, |us| us + LOGIN_US + SLACK_US);
            if !is_in && began_us >= due_us {
                deadlines.late.get_or_insert(turn);
            }
            // If its window grew, the socket may have taken something and be full again.
            let full = deadlines.full.filter(|&(.., untaken)| untaken == peer.untaken());
            deadlines.full = wants_more.then(|| match full {
                // The time begins with the first attempt to send more, which may still be read from the log.
                Some((since, _, untaken)) if since + SLACK_TURNS > turn => (since, now_us, untaken),
                Some(full) => full,
                None => (turn, now_us, peer.untaken()),
            });
            if connection.is_closing {
                deadlines.closing.get_or_insert(turn);
            }
            let (deadlines, knows) = (*deadlines, !connection.may_lag);
            connection.has_taken = false;
            let closing = deadlines.closing.unwrap_or(turn);
            hold(Guarantee::Bounded, !knows || closing + SLACK_TURNS >= turn, || {
                format!("connection {id} is open after the server's last words")
            });
            let late = deadlines.late.filter(|_| knows && !is_in).unwrap_or(turn);
            hold(Guarantee::Bounded, late + SLACK_TURNS >= turn, || {
                format!("connection {id} is open, and nobody logged in there for a minute and a half")
            });
            let is_stuck = deadlines.full.is_some_and(|(since, us, _)| {
                since + 2 * SLACK_TURNS < turn && us + STALL_US + SLACK_US < began_us
            });
            hold(Guarantee::Bounded, !is_stuck, || {
                format!("connection {id} is open, and took nothing for ten minutes")
            });
        }
    }
}

impl Connection {
    /// Whether there is a message for it that it was not sent.
    fn wants_more(&self, log: &Log) -> bool {
        self.stream.as_ref().is_some_and(|stream| !stream.is_at_end(log))
    }
}
