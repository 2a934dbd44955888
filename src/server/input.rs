//! Input: handles the lines of ready connections, within the bounds of the turn and the rate.

use super::Server;
use super::answers::Task;
use super::closing::End;
use super::waiting::{Wait, count_line, line_due_us};
use crate::clock::World;
use crate::ids::ConnectionId;
use crate::limits::{
    LINE_BYTES_MAX, LINES_PER_TURN_MAX, Micros, SECOND_US, STRANGERS_LINES_PER_TURN_MAX, STRANGERS_SLICE_US,
    UNENDED_BYTES_MAX,
};
use crate::log::storage::Storage;
use crate::protocol::command::{self, Command, Misuse};
use crate::protocol::line::{Next, Protocol, TIMING_MARK_ANSWER};
use crate::protocol::reply::Error;
use crate::session::effects::Effects;
use crate::transport::net::Net;

impl<N: Net, S: Storage> Server<N, S> {
    /// Reads and handles the lines of ready connections that are logged in, one connection at a time, so that input is
    /// handled while it is in the cache and one buffer serves all.
    pub(super) fn handle(&mut self, world: &mut dyn World) {
        let mut ready = std::mem::take(&mut self.scratch.ready);
        self.reactor.take_ready(&mut ready);
        for (position, &id) in ready.iter().enumerate() {
            if self.stage.is_full() {
                // Connections that were not served come before those that filled the batch.
                self.reactor.schedule_first(&ready[position..]);
                break;
            }
            self.handle_ready(id, &mut { LINES_PER_TURN_MAX }, world);
        }
        self.scratch.ready = ready;
        // After all other lines, so that each of these was checked against the same state.
        self.chat.stage_move(&mut self.stage.context(self.now, world));
    }

    /// Does the same for connections without a login, for a bounded time. What they cause is committed and released
    /// in the next turn.
    pub(super) fn handle_strangers(&mut self, world: &mut dyn World) {
        let waiting = self.reactor.ready_strangers();
        if waiting == 0 {
            return;
        }
        let started_us = world.now().mono_us;
        let mut lines_left = STRANGERS_LINES_PER_TURN_MAX;
        // Those that are scheduled meanwhile wait for the next turn: their replies are not in their outboxes yet.
        for _ in 0..waiting {
            let Some(id) = self.reactor.take_ready_stranger() else { continue };
            self.handle_ready(id, &mut lines_left, world);
            let is_full = lines_left == 0 || self.stage.is_full();
            if is_full || world.now().mono_us.saturating_sub(started_us) >= STRANGERS_SLICE_US {
                return;
            }
        }
    }

    /// Reads from a ready connection and handles its lines.
    fn handle_ready(&mut self, id: ConnectionId, lines_left: &mut u32, world: &mut dyn World) {
        let awaits_header = self.reactor.connection(id).is_some_and(|it| it.awaits_header());
        if awaits_header && !self.read_header(id) {
            return;
        }
        let bytes = self.fill(id);
        if self.is_gone_while_hashing(id) {
            self.leave(id, End::Orderly, "disconnected during a login");
            self.reactor.doom(id);
        } else {
            self.handle_lines(id, lines_left, world);
            self.charge_reading(id, bytes);
        }
        self.reactor.shelve_input(id);
    }

    /// Reads from a connection if it may be read from now. Returns how many bytes were read.
    fn fill(&mut self, id: ConnectionId) -> usize {
        let Some(connection) = self.reactor.connection(id) else { return 0 };
        if connection.is_lingering() {
            self.reactor.discard_input(id, self.now.mono_us);
        } else if self.held_by(id).is_none() && !self.must_wait_to_read(id) {
            let bytes = self.reactor.fill(id, self.now.mono_us);
            if self.reactor.connection(id).is_some_and(|it| it.input.take_timing_mark()) {
                self.reactor.push_direct(id, TIMING_MARK_ANSWER, &self.feed);
            }
            return bytes;
        }
        0
    }

    /// Whether the rate leaves no room for reading from a connection that is not logged in.
    fn must_wait_to_read(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.reactor.connection(id) else { return true };
        !connection.is_logged_in && line_due_us(self.options.rate, connection) > self.now.mono_us
    }

    /// Charges bytes that form no line, such as endless telnet negotiations, like long lines before the login.
    pub(super) fn charge_reading(&mut self, id: ConnectionId, bytes: usize) {
        let (rate, now_us) = (self.options.rate, self.now.mono_us);
        let Some(connection) = self.reactor.connection(id).filter(|it| !it.is_logged_in) else { return };
        if let Some(rate) = rate.filter(|_| bytes > 0) {
            let line_us = SECOND_US / Micros::from(rate);
            let cost_us = line_us * bytes as Micros / LINE_BYTES_MAX as Micros;
            connection.line_due_us = connection.line_due_us.max(now_us) + cost_us;
        }
    }

    /// Whether the peer has hung up while its password is being hashed: nobody would receive the result.
    pub(super) fn is_gone_while_hashing(&mut self, id: ConnectionId) -> bool {
        self.reactor.connection(id).is_some_and(|connection| connection.hung_up)
            && self.chat.is_hashing(id.session())
    }

    /// Handles lines of a connection as long as it may be given any, and there are lines left in this turn.
    fn handle_lines(&mut self, id: ConnectionId, lines_left: &mut u32, world: &mut dyn World) {
        let now_us = self.now.mono_us;
        let used = self.used();
        for _ in 0..LINES_PER_TURN_MAX {
            match self.wait_of(id, used, *lines_left) {
                None => {}
                Some(Wait::Rate(due_us)) => return self.reactor.arm(id, due_us),
                Some(Wait::Turn) => return self.reactor.schedule(id),
                // It is scheduled when that ends.
                Some(Wait::Connection(_) | Wait::Session) => return,
            }
            let Some(connection) = self.reactor.connection(id) else { return };
            match connection.input.next_line() {
                Next::Line(line) => {
                    let input = command::read(line, &mut self.scratch.text);
                    *lines_left -= 1;
                    count_line(self.options.rate, connection, is_attempt(&input.command), now_us);
                    self.chat.line(id.session(), input, &mut self.stage.context(self.now, world));
                }
                Next::TooLong => {
                    *lines_left -= 1;
                    count_line(self.options.rate, connection, false, now_us);
                    let error = Error::LineTooLong { limit: LINE_BYTES_MAX as u64 };
                    self.stage.effects.direct(id.session(), error);
                }
                Next::Endless => {
                    let error = Error::EndlessLine { bytes: UNENDED_BYTES_MAX as u64 };
                    self.stage.effects.direct(id.session(), error);
                    return self.hang_up(id, End::Forced, "a line without end");
                }
                Next::Foreign(protocol) => {
                    turn_away(id, protocol, &mut self.stage.effects);
                    return self.hang_up(id, End::Forced, "it speaks another protocol");
                }
                Next::Nothing => return self.end_of_lines(id),
            }
        }
        self.reactor.schedule(id);
    }

    /// Handles the end of a connection's complete lines: reads on, or ends the connection if its input has ended.
    pub(super) fn end_of_lines(&mut self, id: ConnectionId) {
        let Some(connection) = self.reactor.connection(id) else { return };
        if connection.readable {
            return self.reactor.schedule(id);
        }
        if !connection.ended {
            return;
        }
        if !connection.input.is_empty() {
            self.stage.effects.direct(id.session(), Error::UnfinishedLine);
        }
        let gone = connection.is_broken() || connection.hung_up;
        if gone {
            self.leave(id, End::Orderly, "connection lost");
            self.reactor.doom(id);
        } else {
            self.begin(id, Task::Leave);
        }
    }
}

/// Whether a line is an attempt to log in or to register.
fn is_attempt(command: &Result<Command<'_>, Misuse<'_>>) -> bool {
    use Command::{Code, Login, Register, Resume};
    matches!(command, Ok(Register { .. } | Login { .. } | Resume { .. } | Code(_)))
}

/// Answers a client of another protocol, in its own words if it may understand them.
fn turn_away(id: ConnectionId, protocol: Protocol, effects: &mut Effects) {
    match protocol {
        Protocol::Http => {
            let body = "This is a chinwag chat server, not a web server. Try: nc HOST 5000";
            let length = body.len() + "\n".len();
            let response = format!(
                "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{body}"
            );
            effects.direct_foreign(id.session(), &response);
        }
        Protocol::Tls => effects.direct(id.session(), Error::NoTls),
    }
}
