//! The server: one turn of the loop, in the one order that keeps the guarantees.

mod admission;
mod answers;
pub mod check;
mod checkpoint;
mod clock;
mod closing;
mod commit;
mod delivery;
pub mod flags;
mod headers;
mod indexing;
mod input;
pub mod loglimit;
mod options;
pub mod repair;
mod rotation;
mod scan;
mod seen;
mod startup;
mod usage;
mod waiting;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::io;
use std::time::Duration;

use self::admission::Strangers;
use self::answers::Answers;
use self::clock::Clock;
use self::closing::End;
use self::commit::{FileTimers, Stage};
use self::delivery::Flushed;
use self::indexing::Indexing;
pub use self::options::Options;
use self::scan::Scan;
use self::seen::ReadMarks;
pub use self::usage::Usage;
use self::waiting::line_due_us;

use crate::clock::{Now, World};
use crate::ids::ConnectionId;
use crate::limits::{
    GOODBYE_US, LINGER_US, LOGIN_GRACE_US, LOGIN_VERDICT_US, Micros, STALL_US, TABLE_ENTRIES_MIN,
};
use crate::log::chunk::Chunk;
use crate::log::journal::Journal;
use crate::log::recovery::RecoverError;
use crate::log::storage::Storage;
use crate::session::Chat;
use crate::session::effects::Effects;
use crate::state::checkpoint::CheckpointFile;
use crate::state::users_file::UsersFile;
use crate::transport::feed::Feed;
use crate::transport::net::Net;
use crate::transport::reactor::{Attention, Reactor};

/// Whether the loop continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopState {
    /// Keep running.
    Running,
    /// All output is flushed and all files are synced: stop.
    Finished,
}

/// Why a server cannot start or continue.
#[derive(Debug)]
pub struct Fatal {
    what: &'static str,
    why: RecoverError,
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

fn fatal(what: &'static str) -> impl Fn(io::Error) -> Fatal {
    move |error| Fatal { what, why: error.into() }
}

/// A complete server.
pub struct Server<N: Net, S: Storage> {
    options: Options,
    reactor: Reactor<N>,
    storage: S,
    journal: Journal<S::File>,
    users: UsersFile<S::File>,
    seen: ReadMarks<S::File>,
    checkpoint: CheckpointFile<S::File>,
    chat: Chat,
    feed: Feed,
    flushed: Flushed,
    stage: Stage,
    answers: Answers,
    /// The scan of the log after startup, until it is complete.
    scan: Option<Scan>,
    indexing: Indexing,
    clock: Clock,
    chunk: Chunk,
    strangers: Strangers,
    now: Now,
    file_timers: FileTimers,
    /// When a server that shuts down gives up on connections that do not take their last bytes.
    stops_at_us: Option<Micros>,
    scratch: Scratch,
}

/// Memory that each turn uses again, so that no turn allocates.
#[derive(Default)]
struct Scratch {
    ready: Vec<ConnectionId>,
    attention: Vec<(ConnectionId, Attention)>,
    /// For the effects of the turn that follows the one being released.
    effects: Effects,
    /// For the effects that follow from those of the turn being released.
    others: Effects,
    /// The line that is being handled, or the reply that is being sent.
    text: String,
}

impl<N: Net, S: Storage> Server<N, S> {
    /// One turn of the loop.
    ///
    /// # Errors
    /// A guarantee can no longer be kept. The process must exit; nothing of this turn was shown.
    pub fn turn(&mut self, world: &mut dyn World) -> Result<LoopState, Fatal> {
        self.wait(world)?;
        if self.stops_at_us.is_some() {
            return self.stop();
        }
        self.handle(world);
        // From here to release nothing may be staged: what release shows is what commit saved.
        let gate = self.commit()?;
        self.release(gate);
        self.flush();
        // Everything from here on is for those who can wait, and each part of it is bounded. Newcomers come before the
        // deadlines: a connection that makes room for one must not have last words that are not in its outbox yet.
        self.accept(world);
        self.expire();
        // After release, so that a cursor which reaches the end of the log has all that the feed holds.
        self.catch_up(world);
        self.scan(world)?;
        // What these two cause is committed and released in the next turn. After catch up, so that nobody is let go
        // whose last answer is not in its outbox yet.
        self.handle_strangers(world);
        self.work(world);
        self.index()?;
        self.keep_seen();
        // Last, so that no event of this turn reaches a new connection that reuses a number.
        self.reap();
        Ok(LoopState::Running)
    }

    fn wait(&mut self, world: &mut dyn World) -> Result<(), Fatal> {
        let timeout = self.due_us(world).map(Duration::from_micros);
        let shutdown =
            self.reactor.wait(timeout, self.flushed.last).map_err(fatal("waiting for the network"))?;
        self.now = world.now();
        self.watch_clock(self.now);
        if shutdown && self.stops_at_us.is_none() {
            self.begin_to_stop()?;
        } else if shutdown {
            self.stops_at_us = Some(0);
        }
        Ok(())
    }

    /// Returns the poll timeout in microseconds; `None` means no deadline.
    fn due_us(&self, world: &mut dyn World) -> Option<Micros> {
        let due_us = if self.stops_at_us.is_some() {
            self.stops_at_us.filter(|_| !self.reactor.has_unflushed()).or(Some(0))
        } else if self.chat.has_work() || !self.stage.effects.is_empty() || self.answers.can_proceed() {
            Some(0)
        } else {
            let scan_due_us = self.scan.as_ref().map(Scan::due_us);
            let timers = [
                self.reactor.due_us(),
                self.chat.due_us(),
                self.seen.due_us(),
                self.file_timers.due_us(),
                scan_due_us,
                self.indexing_due_us(),
            ];
            timers.into_iter().flatten().min()
        };
        due_us.map(|due_us| due_us.saturating_sub(world.now().mono_us))
    }

    /// Acts on the connections whose timers are due.
    fn expire(&mut self) {
        while let Some(id) = self.reactor.take_due(self.now.mono_us) {
            self.look_at(id);
        }
    }

    /// Acts on what is due on a connection, and arms it for what is due next.
    fn look_at(&mut self, id: ConnectionId) {
        let now_us = self.now.mono_us;
        let Some(connection) = self.reactor.connection(id) else { return };
        if connection.awaits_header() {
            return self.expire_header(id);
        }
        let since_us = connection.since_us;
        let line_due_us = line_due_us(self.options.rate, connection);
        let is_logged_in = connection.is_logged_in;
        let stalled_since_us = connection.stalled_since_us();
        if connection.is_lingering() {
            if since_us + LINGER_US <= now_us {
                return self.reactor.doom(id);
            }
            self.reactor.arm(id, since_us + LINGER_US);
            return self.reactor.schedule(id);
        }
        let is_open = connection.is_open();
        if let Some(stalled_since_us) = stalled_since_us {
            if stalled_since_us + STALL_US <= now_us {
                self.leave(id, End::Forced, "its socket took nothing for ten minutes");
                return self.reactor.doom(id);
            }
            self.reactor.arm(id, stalled_since_us + STALL_US);
        }
        if !is_logged_in && self.chat.account_of(id.session()).is_none() {
            let deadline_us = match is_open {
                true if since_us + LOGIN_GRACE_US > now_us => since_us + LOGIN_GRACE_US,
                true if self.chat.is_waiting(id.session()) => since_us + LOGIN_GRACE_US + LOGIN_VERDICT_US,
                true => now_us,
                // Until a write has been tried, its last words are not late: they leave with the next flush.
                false => stalled_since_us.map_or(now_us, |_| since_us) + GOODBYE_US,
            };
            if deadline_us > now_us {
                self.reactor.arm(id, deadline_us);
            } else if is_open {
                self.chat.login_timeout(id.session(), &mut self.stage.effects);
                return self.hang_up(id, End::Forced, "no login in time");
            } else {
                return self.reactor.doom(id);
            }
        }
        if !is_open {
            return;
        }
        match line_due_us {
            due_us if due_us > now_us => self.reactor.arm(id, due_us),
            _ => self.reactor.schedule(id),
        }
    }

    fn work(&mut self, world: &mut dyn World) {
        self.chat.work(&mut self.stage.context(self.now, world));
    }
}

/// Gives back the room that a table needed in a burst: what thousands of connections need for a moment, when all log in
/// again after a restart, they would otherwise hold while they are idle.
fn shrink<K: Eq + Hash, V>(table: &mut HashMap<K, V>) {
    let entries = table.len().max(TABLE_ENTRIES_MIN);
    if table.capacity() > 4 * entries {
        table.shrink_to(2 * entries);
    }
}
