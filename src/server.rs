//! The server: one turn of the loop, in the only order that keeps the guarantees.

mod answers;
mod seen;
mod usage;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::time::Duration;

use log::{info, warn};

use self::answers::{Reading, Task};
pub use self::usage::Usage;

use crate::accounts::{AccountId, CredentialsSaved, SeenFile, UsersFile};
use crate::chat::{Chat, Rules};
use crate::cursor::{Chunk, Cursor};
use crate::effects::{Context, Effect, Effects};
use crate::feed::Feed;
use crate::journal::{Batch, Commit, Committed, Journal, RecoverError};
use crate::limits::{
    CONNECTIONS_PER_ADDRESS, CONNECTIONS_RESERVED_MAX, LINE_BYTES_MAX, LINES_PER_TURN_MAX, LINGER_US,
    LOGIN_GRACE_US, Micros, RATE_BURST_SECONDS, RATE_LINES_PER_SECOND, SECOND_US, SEEN_PAUSE_US,
    SHUTDOWN_FLUSH_US, STALL_US, UNENDED_BYTES_MAX,
};
use crate::line::{Next, TIMING_MARK_ANSWER, sanitise};
use crate::net::{ConnectionId, Net};
use crate::reactor::{Attention, Reactor};
use crate::record::Timestamp;
use crate::storage::{AppendError, Storage, SyncPolicy};
use crate::throttle::Origin;
use crate::world::{Now, World};

/// What the operator chose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// When messages are synced.
    pub sync: SyncPolicy,
    /// What the chat is told.
    pub rules: Rules,
    /// Lines a second that a session may send; `None` for as many as it likes.
    pub rate: Option<u32>,
    /// Connections at a time.
    pub max_connections: usize,
    /// Connections of one address at a time; `None` for no such limit.
    pub per_address: Option<u32>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            sync: SyncPolicy::Always,
            rules: Rules {
                kdf_rounds: crate::limits::KDF_ROUNDS_DEFAULT,
                replay: crate::limits::REPLAY_DEFAULT,
                limits_addresses: true,
            },
            rate: Some(RATE_LINES_PER_SECOND),
            max_connections: 1000,
            per_address: Some(CONNECTIONS_PER_ADDRESS),
        }
    }
}

/// Whether the loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It does.
    On,
    /// All is said and saved.
    Over,
}

/// Why a server cannot start, or go on.
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

/// The one way from a turn's batch to its release: what was staged, and whether it is on disk.
struct Gate {
    messages: Result<Committed, String>,
    accounts: Result<CredentialsSaved, String>,
}

/// A whole server.
pub struct Server<N: Net, S: Storage> {
    options: Options,
    reactor: Reactor<N>,
    storage: S,
    journal: Journal<S::File>,
    users: UsersFile<S::File>,
    seen: SeenFile<S::File>,
    chat: Chat,
    feed: Feed,
    /// What the feed ended at after the last flush.
    flushed: u64,
    /// The last message then.
    flushed_last: Timestamp,
    /// This turn's messages. Taken by commit, and given back by release.
    batch: Batch,
    effects: Effects,
    tasks: HashMap<ConnectionId, Task>,
    /// Connections with a task that can go on.
    task_queue: VecDeque<ConnectionId>,
    chunk: Chunk,
    connections_by_origin: HashMap<Origin, u32>,
    /// The origin of each connection, by its number.
    origins: Vec<Option<Origin>>,
    now: Now,
    /// When `seen.txt` is to be brought up to date; `None` while it is.
    seen_due_us: Option<Micros>,
    /// Where among the connections that goes on.
    seen_next: usize,
    /// When the log is to be synced, under `--sync second`.
    sync_due_us: Option<Micros>,
    /// When the server gives up on those who do not take their last bytes.
    stops_at_us: Option<Micros>,
    // Used again each turn, so that none allocates.
    ready: Vec<ConnectionId>,
    attention: Vec<(ConnectionId, Attention)>,
    spare_effects: Effects,
    text: String,
}

impl<N: Net, S: Storage> Server<N, S> {
    /// Recovers the data directory and is ready for its first turn.
    ///
    /// # Errors
    /// What is wrong with the data directory, in words that name the file.
    pub fn new(net: N, mut storage: S, options: Options) -> Result<Server<N, S>, Fatal> {
        // Where a file cannot be opened, the error names its path.
        let recovering = |file| {
            move |why| match why {
                RecoverError::Io(_) => Fatal { what: "the data directory", why },
                RecoverError::Damaged(_) => Fatal { what: file, why },
            }
        };
        let journal =
            Journal::recover(&mut storage, options.sync).map_err(recovering(crate::journal::LOG_FILE))?;
        let (users, mut accounts) = UsersFile::recover(&mut storage, journal.end() > 0)
            .map_err(recovering(crate::accounts::USERS_FILE))?;
        let seen = SeenFile::recover(&mut storage, &mut accounts).map_err(fatal("the data directory"))?;
        match journal.end() {
            0 => info!("accounts: {}; history: empty", accounts.len()),
            end => info!("accounts: {}; history: {end} bytes, up to {}", accounts.len(), journal.last()),
        }
        let reserved = options.max_connections.min(CONNECTIONS_RESERVED_MAX);
        Ok(Server {
            options,
            reactor: Reactor::new(net, reserved),
            storage,
            batch: journal.new_batch(),
            flushed_last: journal.last(),
            journal,
            users,
            seen,
            chat: Chat::new(options.rules, accounts, reserved),
            feed: Feed::default(),
            flushed: 0,
            effects: Effects::default(),
            tasks: HashMap::new(),
            task_queue: VecDeque::new(),
            chunk: Chunk::default(),
            connections_by_origin: HashMap::new(),
            origins: Vec::with_capacity(reserved),
            now: Now::default(),
            seen_due_us: None,
            seen_next: 0,
            sync_due_us: None,
            stops_at_us: None,
            ready: Vec::new(),
            attention: Vec::new(),
            spare_effects: Effects::default(),
            text: String::new(),
        })
    }

    /// One turn of the loop.
    ///
    /// # Errors
    /// Where a guarantee cannot be kept any more; the process must end, and nothing of this turn was shown.
    pub fn turn(&mut self, world: &mut dyn World) -> Result<Turned, Fatal> {
        self.wait(world)?;
        if self.stops_at_us.is_some() {
            return self.stop();
        }
        self.expire();
        self.accept();
        self.handle(world);
        // From here to release nothing may be staged: what release shows is what commit saved.
        let gate = self.commit()?;
        self.release(gate);
        self.flush();
        // After release, so that a cursor which reaches the end of the log has all that the feed holds; and after
        // flush, so that no message waits for those who read the past.
        self.catch_up();
        // After flush for the same reason. What it comes to is committed and released in the next turn.
        self.work(world);
        self.keep_seen();
        // Last, so that no event of this turn meets a connection that was given a freed number.
        self.reap();
        Ok(Turned::On)
    }

    fn wait(&mut self, world: &mut dyn World) -> Result<(), Fatal> {
        let timeout = self.due_us(world).map(Duration::from_micros);
        let shutdown = self.reactor.wait(timeout).map_err(fatal("waiting for the network"))?;
        self.now = world.now();
        if shutdown && self.stops_at_us.is_none() {
            self.begin_to_stop();
        } else if shutdown {
            self.stops_at_us = Some(0);
        }
        Ok(())
    }

    /// How long nothing needs to be done unless a socket becomes ready; `None` for ever.
    fn due_us(&self, world: &mut dyn World) -> Option<Micros> {
        let due_us = if self.stops_at_us.is_some() {
            self.stops_at_us.filter(|_| !self.reactor.has_unflushed()).or(Some(0))
        } else if self.chat.has_work() || !self.effects.is_empty() || !self.task_queue.is_empty() {
            Some(0)
        } else {
            let timers = [self.reactor.due_us(), self.chat.due_us(), self.seen_due_us, self.sync_due_us];
            timers.into_iter().flatten().min()
        };
        due_us.map(|due_us| due_us.saturating_sub(world.now().mono_us))
    }

    /// What is due by the clock on single connections.
    fn expire(&mut self) {
        while let Some(id) = self.reactor.take_due(self.now.mono_us) {
            self.look_at(id);
        }
    }

    /// Acts on what is due on a connection, and arms it for what is due next.
    fn look_at(&mut self, id: ConnectionId) {
        let now_us = self.now.mono_us;
        let Some(connection) = self.reactor.connection(id) else { return };
        let (since_us, line_due_us) = (connection.since_us, connection.line_due_us);
        let stalled_since_us = connection.stalled_since_us();
        if connection.is_lingering() {
            return match since_us + LINGER_US {
                due_us if due_us <= now_us => self.reactor.doom(id),
                due_us => self.reactor.arm(id, due_us),
            };
        }
        let is_open = connection.is_open();
        if let Some(stalled_since_us) = stalled_since_us {
            if stalled_since_us + STALL_US <= now_us {
                self.leave(id, "its socket took nothing for ten minutes");
                return self.reactor.doom(id);
            }
            self.reactor.arm(id, stalled_since_us + STALL_US);
        }
        if !is_open {
            return;
        }
        if self.chat.account_of(id).is_none() && !self.chat.is_waiting(id) {
            if since_us + LOGIN_GRACE_US <= now_us {
                self.chat.login_timeout(id, &mut self.effects);
                return self.hang_up(id, "no login in time");
            }
            self.reactor.arm(id, since_us + LOGIN_GRACE_US);
        }
        match self.line_due_after(line_due_us) {
            due_us if due_us > now_us => self.reactor.arm(id, due_us),
            _ => self.reactor.schedule(id),
        }
    }

    fn accept(&mut self) {
        if !self.reactor.has_newcomers(self.now.mono_us) {
            return;
        }
        let limit = self.options.max_connections;
        let per_address = self.options.per_address;
        let by_origin = &mut self.connections_by_origin;
        let mut count = self.reactor.len();
        let full = format!("! server-full: all {limit} connections are taken; please try again later\n");
        let admit = |peer: std::net::SocketAddr| {
            if count >= limit {
                info!("{peer}: refused: the server is full");
                return Err(full.clone());
            }
            let of_origin = by_origin.entry(peer.ip().into()).or_insert(0);
            if per_address.is_some_and(|most| *of_origin >= most) {
                info!("{peer}: refused: too many connections of its address");
                return Err(format!("! too-many-connections: your address has {of_origin} open already\n"));
            }
            *of_origin += 1;
            count += 1;
            Ok(())
        };
        for (id, peer) in self.reactor.accept(self.now.mono_us, admit, &full) {
            let Some(id) = id else {
                forget(&mut self.connections_by_origin, peer.ip().into());
                continue;
            };
            if self.origins.len() <= id as usize {
                self.origins.resize(id as usize + 1, None);
            }
            self.origins[id as usize] = Some(peer.ip().into());
            self.chat.open(id, peer, &mut self.effects);
            self.reactor.arm(id, self.now.mono_us + LOGIN_GRACE_US);
        }
    }

    /// Whether lines of a connection may be handled: nothing that it said before is still to be answered, and
    /// not too much to be sent.
    fn takes_lines(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.reactor.connection(id) else { return false };
        connection.is_open()
            && !connection.busy
            && !connection.outbox.is_above_high_water(&self.feed)
            && !self.chat.is_waiting(id)
    }

    /// Reads and handles the lines of those that are ready, one connection after the other, so that what was read
    /// is handled before anything else takes its place in the cache, and one buffer serves all.
    fn handle(&mut self, world: &mut dyn World) {
        let mut ready = std::mem::take(&mut self.ready);
        self.reactor.take_ready(&mut ready);
        for (position, &id) in ready.iter().enumerate() {
            if self.batch.is_full() {
                // Those who were not heard come before those who filled it.
                self.reactor.schedule_first(&ready[position..]);
                break;
            }
            self.fill(id);
            if self.is_gone_while_hashing(id) {
                self.leave(id, "disconnected during a login");
                self.reactor.doom(id);
            } else {
                self.handle_lines(id, world);
            }
            self.reactor.shelve_input(id);
        }
        self.ready = ready;
    }

    fn fill(&mut self, id: ConnectionId) {
        let Some(connection) = self.reactor.connection(id) else { return };
        if connection.is_lingering() {
            self.reactor.discard_input(id);
        } else if self.takes_lines(id) {
            self.reactor.fill(id);
            if self.reactor.connection(id).is_some_and(|it| it.input.take_timing_mark()) {
                self.reactor.push_own(id, TIMING_MARK_ANSWER, &self.feed);
            }
        }
    }

    /// Nobody is there any more to whom the result of a costly derivation could matter.
    fn is_gone_while_hashing(&mut self, id: ConnectionId) -> bool {
        self.reactor.connection(id).is_some_and(|connection| connection.hung_up) && self.chat.is_hashing(id)
    }

    fn handle_lines(&mut self, id: ConnectionId, world: &mut dyn World) {
        let now_us = self.now.mono_us;
        for _ in 0..LINES_PER_TURN_MAX {
            if !self.takes_lines(id) {
                return;
            }
            if self.batch.is_full() {
                return self.reactor.schedule(id);
            }
            let Some(connection) = self.reactor.connection(id) else { return };
            let line_due_us = connection.line_due_us;
            let due_us = line_due_after(self.options.rate, line_due_us);
            if due_us > now_us && !connection.input.is_empty() {
                return self.reactor.arm(id, due_us);
            }
            let (text, effects) = (&mut self.text, &mut self.effects);
            match connection.input.next_line() {
                Next::Line(line) => {
                    let replaced = sanitise(line, text);
                    connection.line_due_us = next_line_due(self.options.rate, line_due_us, now_us);
                    let (now, batch) = (self.now, &mut self.batch);
                    self.chat.line(id, text, replaced, &mut Context { now, world, batch, effects });
                }
                Next::TooLong => {
                    connection.line_due_us = next_line_due(self.options.rate, line_due_us, now_us);
                    effects.own(
                        id,
                        format_args!(
                            "! line-too-long: a line has at most {LINE_BYTES_MAX} bytes with its ending; skipped"
                        ),
                    );
                }
                Next::Endless => {
                    effects.own(
                        id,
                        format_args!("! line-too-long: {UNENDED_BYTES_MAX} bytes without an ending; goodbye"),
                    );
                    return self.hang_up(id, "a line without end");
                }
                Next::Nothing => return self.end_of_lines(id),
            }
        }
        self.reactor.schedule(id);
    }

    /// All whole lines are handled.
    fn end_of_lines(&mut self, id: ConnectionId) {
        let Some(connection) = self.reactor.connection(id) else { return };
        if connection.readable {
            return self.reactor.schedule(id);
        }
        if !connection.ended {
            return;
        }
        if !connection.input.is_empty() {
            self.effects
                .own(id, format_args!("! unfinished-line: the last line had no ending and was not taken"));
        }
        let gone = connection.is_broken() || connection.hung_up;
        if gone {
            self.leave(id, "connection lost");
            self.reactor.doom(id);
        } else {
            self.begin(id, Task::Leave);
        }
    }

    fn work(&mut self, world: &mut dyn World) {
        let (now, batch, effects) = (self.now, &mut self.batch, &mut self.effects);
        let mut context = Context { now, world, batch, effects };
        self.chat.work(&mut context);
        self.chat.end_delays(&mut context);
    }

    /// One append and one sync for all messages of the turn, and the same for all accounts: the only gate.
    fn commit(&mut self) -> Result<Gate, Fatal> {
        let saves = self.effects.saves().iter().map(|save| (&save.name, &save.credential));
        let accounts = match self.users.commit(saves) {
            Ok(saved) => Ok(saved),
            Err(AppendError::Refused(why)) => Err(refusal(crate::accounts::USERS_FILE, &why)),
            Err(AppendError::Fatal(why)) => {
                return Err(fatal("users.txt cannot be saved, and what is on disk is unknown")(why));
            }
        };
        if self.seen_due_us.is_none() && !self.batch.is_empty() {
            self.seen_due_us = Some(self.now.mono_us + SEEN_PAUSE_US);
        }
        let batch = std::mem::take(&mut self.batch);
        let messages = match self
            .journal
            .commit(batch)
            .map_err(fatal("chat_history.txt cannot be saved, and what is on disk is unknown"))?
        {
            Commit::Saved(committed) => Ok(committed),
            Commit::Refused(batch, why) => {
                self.batch = batch;
                Err(refusal(crate::journal::LOG_FILE, &why))
            }
        };
        if self.sync_due_us.is_some_and(|due_us| due_us <= self.now.mono_us) {
            self.journal.sync().map_err(fatal("chat_history.txt cannot be synced"))?;
            self.sync_due_us = None;
        } else if self.sync_due_us.is_none() && self.journal.is_unsynced() {
            self.sync_due_us = Some(self.now.mono_us + SECOND_US);
        }
        Ok(Gate { messages, accounts })
    }

    /// Does what the turn's lines have asked for, now that it is on disk.
    fn release(&mut self, gate: Gate) {
        let saves = self.effects.take_saves();
        let mut effects = std::mem::take(&mut self.effects);
        self.effects = std::mem::take(&mut self.spare_effects);
        self.release_effects(&effects, &gate.messages);
        effects.clear();
        for save in &saves {
            let outcome = gate.accounts.as_ref().map(|saved| *saved).map_err(String::as_str);
            self.chat.saved(save, outcome, &mut effects);
        }
        // Now, while those who came in this turn do not follow the feed yet and need not be told of themselves.
        self.chat.tell_presence(self.now, &mut effects);
        // These come of what was saved and stage nothing: they need not wait for another turn.
        self.release_effects(&effects, &gate.messages);
        effects.clear();
        self.spare_effects = effects;
        if let Ok(committed) = gate.messages {
            self.batch = committed.recycle();
        }
    }

    fn release_effects(&mut self, effects: &Effects, messages: &Result<Committed, String>) {
        for &effect in effects.list() {
            match effect {
                Effect::Own(id, text) => self.reactor.push_own(id, effects.text(text), &self.feed),
                Effect::Everyone(text) => self.feed.publish_notice(effects.text(text)),
                Effect::Say(from, staged) => match messages {
                    Ok(committed) => self.feed.publish_message(committed.line(staged)),
                    Err(refusal) => self.refuse(from, refusal),
                },
                Effect::Whisper { from, author, to, offline, line } => match messages {
                    Ok(committed) => {
                        self.whisper(author, to, committed.line(line));
                        if offline {
                            self.tell_offline(from, to);
                        }
                    }
                    Err(refusal) => self.refuse(from, refusal),
                },
                Effect::Enter { session, replay, is_new } => self.enter(session, replay, is_new),
                Effect::Ask(id, ask) => self.begin(id, Task::Ask(ask)),
                Effect::Resume(id) => self.resume(id),
            }
        }
    }

    fn refuse(&mut self, id: ConnectionId, refusal: &str) {
        self.reactor.push_own(id, format!("{refusal}\n").as_bytes(), &self.feed);
    }

    /// A private message to all sessions of its two accounts that follow the feed. The others read it in the log.
    fn whisper(&mut self, author: AccountId, to: AccountId, line: &[u8]) {
        for account in [Some(to), Some(author).filter(|&author| author != to)].into_iter().flatten() {
            for id in self.chat.sessions_of(account) {
                if self.reactor.connection(id).is_some_and(|connection| connection.outbox.is_live()) {
                    self.reactor.push_own(id, line, &self.feed);
                }
            }
        }
    }

    fn tell_offline(&mut self, id: ConnectionId, account: AccountId) {
        let name = self.chat.accounts[account].name;
        let notice = format!("* {name} is offline and will see it at the next login\n");
        self.reactor.push_own(id, notice.as_bytes(), &self.feed);
    }

    /// A session that just logged in is shown what it missed, and then follows the feed.
    fn enter(&mut self, id: ConnectionId, replay: u32, is_new: bool) {
        let Some(account) = self.chat.account_of(id) else { return };
        // The time to log in is over for it: thousands who are in have no entry among the deadlines, nor does
        // anything wake up for them.
        self.reactor.disarm(id);
        self.look_at(id);
        self.save_seen(account);
        let seen = self.chat.accounts[account].seen;
        let cursor = if is_new {
            self.chat.accounts[account].seen = self.journal.last();
            if self.journal.end() > 0 {
                self.seen.append(&self.chat.accounts, std::iter::once(account));
            }
            Ok(Cursor::first_visit(replay, &self.journal))
        } else {
            Cursor::missed(seen, replay, &self.journal)
        };
        match cursor {
            Ok(cursor) => {
                let reading = Reading { cursor, notices: None, is_answer: true, then: None };
                self.begin(id, Task::Read(reading));
            }
            Err(why) => self.unreadable(id, &why),
        }
    }

    /// A session takes lines again.
    fn resume(&mut self, id: ConnectionId) {
        let now_us = self.now.mono_us;
        if let Some(connection) = self.reactor.connection(id) {
            if self.chat.account_of(id).is_none() {
                // Whoever tried to log in and failed gets time to try again.
                connection.since_us = now_us;
                self.reactor.arm(id, now_us + LOGIN_GRACE_US);
            }
            self.reactor.schedule(id);
        }
    }

    /// One vectored write for each connection with something to say.
    fn flush(&mut self) {
        let has_grown = self.feed.end() > self.flushed;
        let mut attention = std::mem::take(&mut self.attention);
        self.reactor.flush(&self.feed, has_grown, self.journal.last(), self.now.mono_us, &mut attention);
        self.flushed = self.feed.end();
        self.flushed_last = self.journal.last();
        for (id, attention) in attention.drain(..) {
            match attention {
                Attention::Drained => self.queue_task(id),
                Attention::Stalled => self.reactor.arm(id, self.now.mono_us + STALL_US),
                Attention::Overflowing => self.fall_behind(id),
                Attention::Broken => self.broken(id),
            }
        }
        self.attention = attention;
        self.feed.trim(self.reactor.all_have_the_feed());
    }

    /// Nothing reaches the peer any more. What it sent before is still read.
    fn broken(&mut self, id: ConnectionId) {
        self.reactor.give_up_output(id);
        let Some(connection) = self.reactor.connection(id) else { return };
        if connection.is_open() && !self.chat.is_hashing(id) {
            connection.read_to_the_end();
            self.reactor.schedule(id);
            // Where its input does not end by itself, the stall ends it.
            self.reactor.arm(id, self.now.mono_us + STALL_US);
            // What it is in the midst of is skipped, so that it gets to its next line.
            return self.queue_task(id);
        }
        self.leave(id, "connection lost");
        self.reactor.doom(id);
    }

    /// Ends a session, and its connection once all is sent.
    fn hang_up(&mut self, id: ConnectionId, reason: &str) {
        self.leave(id, reason);
        let Some(connection) = self.reactor.connection(id) else { return };
        connection.busy = false;
        if connection.outbox.is_live() {
            if connection.outbox.is_drained(&self.feed) {
                connection.outbox.leave_feed(&self.feed);
            } else {
                // What is not sent is shown at the next login.
                self.reactor.drop_messages(id, &self.feed);
            }
        }
        self.reactor.close(id);
    }

    /// Ends a session.
    fn leave(&mut self, id: ConnectionId, reason: &str) {
        self.tasks.remove(&id);
        if let Some(account) = self.chat.account_of(id) {
            self.save_seen(account);
        }
        self.chat.close(id, reason);
    }

    fn reap(&mut self) {
        let (origins, by_origin) = (&mut self.origins, &mut self.connections_by_origin);
        self.reactor.reap(|id| {
            forget(by_origin, origins[id as usize].take().expect("every connection has one"));
        });
    }

    fn begin_to_stop(&mut self) {
        info!("shutting down");
        self.reactor.stop_accepting();
        self.stops_at_us = Some(self.now.mono_us + SHUTDOWN_FLUSH_US);
        let words = "* the server is shutting down\n";
        self.feed.publish_notice(words.as_bytes());
        let ids: Vec<_> = self.reactor.ids().collect();
        for id in ids {
            if self.reactor.connection(id).is_some_and(|it| it.is_open() && !it.outbox.is_live()) {
                self.reactor.push_own(id, words.as_bytes(), &self.feed);
            }
        }
    }

    /// A turn of the end: only what was said is still sent.
    fn stop(&mut self) -> Result<Turned, Fatal> {
        self.flush();
        let is_over = self.stops_at_us.is_none_or(|at_us| at_us <= self.now.mono_us);
        let ids: Vec<_> = self.reactor.ids().collect();
        for id in ids {
            let Some(connection) = self.reactor.connection(id) else { continue };
            if is_over || connection.outbox.is_drained(&self.feed) {
                self.leave(id, "shutdown");
                self.reactor.finish(id);
            }
        }
        self.reap();
        if !self.reactor.is_empty() {
            return Ok(Turned::On);
        }
        self.journal.sync().map_err(fatal("chat_history.txt cannot be synced"))?;
        info!("goodbye");
        Ok(Turned::Over)
    }

    fn line_due_after(&self, line_due_us: Micros) -> Micros {
        line_due_after(self.options.rate, line_due_us)
    }
}

/// One connection less of an address.
fn forget(by_origin: &mut HashMap<Origin, u32>, origin: Origin) {
    if let Some(count) = by_origin.get_mut(&origin) {
        *count -= 1;
        if *count == 0 {
            by_origin.remove(&origin);
        }
    }
}

/// Not before this may a line be handled, by what is known of the earlier ones.
fn line_due_after(rate: Option<u32>, line_due_us: Micros) -> Micros {
    match rate {
        Some(rate) => {
            let interval_us = SECOND_US / Micros::from(rate);
            line_due_us.saturating_sub(RATE_BURST_SECONDS * SECOND_US - interval_us)
        }
        None => 0,
    }
}

/// The theoretical arrival time of the line after one that is handled now.
fn next_line_due(rate: Option<u32>, line_due_us: Micros, now_us: Micros) -> Micros {
    rate.map_or(0, |rate| line_due_us.max(now_us) + SECOND_US / Micros::from(rate))
}

/// The line, without its ending, that tells a user so.
fn refusal(file: &str, why: &io::Error) -> String {
    warn!("{file}: not saved: {why}");
    format!("! not-saved: {}; please try again later", in_words(why))
}

/// What a user may know of an error of the disk.
fn in_words(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the server's disk is full",
        io::ErrorKind::FileTooLarge => "the server's history may not grow further",
        _ => "the server's disk does not take it",
    }
}
