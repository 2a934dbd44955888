//! Answers that take more than a line: reading the log for connections that catch up, `/users`, and goodbyes.
//! Each connection has at most one such task, and takes no line before it is done.

use std::collections::HashMap;
use std::fmt::Write;
use std::io;

use log::error;

use super::closing::End;
use super::rotation::Rotation;
use super::{Server, shrink};
use crate::clock::World;
use crate::ids::ConnectionId;
use crate::limits::{CATCH_UP_SLICE_US, CATCH_UPS_OF_LOGINS_MAX, CATCH_UPS_PER_TURN_MAX, STALL_US};
use crate::log::cursor::{Cursor, Progress};
use crate::log::journal::LOG_FILE;
use crate::log::reader::Reader;
use crate::log::storage::Storage;
use crate::protocol::command::HistoryRange;
use crate::protocol::name::Name;
use crate::protocol::record::Target;
use crate::protocol::reply::{Error, Names, Notice, Reply};
use crate::protocol::room::RoomName;
use crate::session::RoomsFrom;
use crate::session::effects::Ask;
use crate::transport::net::Net;
use crate::transport::reactor::Activity;

/// Work in progress for a connection, which takes no line before it is done.
pub(super) enum Task {
    /// A request that starts once all earlier output is sent.
    Ask(Ask),
    /// Its input has ended: it closes once all earlier output is sent.
    Leave,
    /// It reads the log.
    Read(Reading),
    /// It is sent the names of everyone online that follow this name.
    ListUsers(Option<Name>),
    /// It is sent the members of a room that follow this name.
    ListMembers(RoomName, Option<Name>),
    /// It is sent the rooms from here on.
    ListRooms(RoomsFrom),
}

pub(super) struct Reading {
    /// Its place in the log.
    pub cursor: Cursor,
    /// The feed's count of notices when the connection left the feed; `None` if it cannot have missed any.
    pub notices: Option<u32>,
    /// Whether the chat waits for this to finish.
    pub is_answer: bool,
    /// Steps and bytes left until the session accepts lines although this is not finished.
    pub lines_after: Option<(u32, usize)>,
    /// What it was waiting to start when it fell behind, or what was requested since.
    pub then: Option<Box<Task>>,
}

/// The tasks of all connections.
#[derive(Default)]
pub(super) struct Answers {
    tasks: HashMap<ConnectionId, Task>,
    /// Connections with a task that can proceed: those with a replay at login, and all others.
    logins: Rotation,
    readers: Rotation,
}

impl Answers {
    /// Whether any task can proceed.
    pub fn can_proceed(&self) -> bool {
        self.logins.len() + self.readers.len() > 0
    }

    /// Takes the task of a connection, which may go on, or end.
    pub fn take(&mut self, id: ConnectionId) -> Option<Task> {
        self.tasks.remove(&id)
    }

    /// Starts a task of a connection, or lets it follow the replay that is not finished.
    fn begin(&mut self, id: ConnectionId, task: Task) {
        match self.tasks.get_mut(&id) {
            Some(Task::Read(reading)) => {
                assert!(reading.then.is_none(), "lines are taken one after the other");
                reading.then = Some(Box::new(task));
            }
            _ => _ = self.tasks.insert(id, task),
        }
    }

    /// Gives back room that is no longer needed.
    pub fn shrink(&mut self) {
        shrink(&mut self.tasks);
        self.logins.shrink();
        self.readers.shrink();
    }
}

impl<N: Net, S: Storage> Server<N, S> {
    /// Starts a task for a connection, to be done before it takes another line.
    pub(super) fn begin(&mut self, id: ConnectionId, task: Task) {
        let Some(connection) = self.reactor.connection(id) else { return };
        connection.activity = match connection.activity {
            Activity::None | Activity::Task => Activity::Task,
            Activity::Replay | Activity::RestOfReplay => Activity::Replay,
        };
        self.answers.begin(id, task);
        self.queue_task(id);
    }

    /// Queues a connection whose task can proceed.
    pub(super) fn queue_task(&mut self, id: ConnectionId) {
        if let Some(connection) = self.reactor.connection(id)
            && !std::mem::replace(&mut connection.is_queued, true)
        {
            let is_replay = matches!(connection.activity, Activity::Replay | Activity::RestOfReplay);
            let queue = if is_replay { &mut self.answers.logins } else { &mut self.answers.readers };
            queue.push(self.chat.account_of(id.session()), id);
        }
    }

    /// Does task steps for a bounded time: first for replays at login, then for all others. Within each of the two,
    /// accounts take turns.
    pub(super) fn catch_up(&mut self, world: &mut dyn World) {
        if !self.answers.can_proceed() {
            return;
        }
        let started_us = world.now().mono_us;
        let mut left = CATCH_UPS_PER_TURN_MAX;
        while left > CATCH_UPS_PER_TURN_MAX - CATCH_UPS_OF_LOGINS_MAX
            && let Some(id) = self.answers.logins.pop()
        {
            // Those that have missed nothing need no chunk, however many log in at once.
            left -= usize::from(self.reads_log(id));
            self.step_task(id);
            if world.now().mono_us.saturating_sub(started_us) >= CATCH_UP_SLICE_US / 2 {
                break;
            }
        }
        for _ in 0..self.answers.readers.len().min(left) {
            if let Some(id) = self.answers.readers.pop() {
                self.step_task(id);
            }
            if world.now().mono_us.saturating_sub(started_us) >= CATCH_UP_SLICE_US {
                break;
            }
        }
    }

    /// Whether the next step of a connection's task reads a chunk of the log.
    fn reads_log(&self, id: ConnectionId) -> bool {
        let is_at_end = |reading: &Reading| reading.cursor.is_at_end(&self.journal);
        matches!(self.answers.tasks.get(&id), Some(Task::Read(reading)) if !is_at_end(reading))
    }

    fn step_task(&mut self, id: ConnectionId) {
        if let Some(connection) = self.reactor.connection(id) {
            connection.is_queued = false;
        }
        let Some(task) = self.answers.take(id) else { return };
        if let Some(task) = self.go_on(id, task) {
            self.answers.tasks.insert(id, task);
        }
    }

    /// Does a bounded piece of a task. Returns the task if it is not done. It is queued again now if it can proceed
    /// at once, otherwise when its outbox is empty or its socket has room.
    fn go_on(&mut self, id: ConnectionId, task: Task) -> Option<Task> {
        let connection = self.reactor.connection(id)?;
        if connection.is_broken() && !matches!(task, Task::Leave | Task::Ask(Ask::Quit)) {
            // Nobody receives the answer, but lines that the peer sent before it left are still handled.
            return self.skip(id, task);
        }
        let is_drained = connection.outbox.is_drained(&self.feed);
        if is_drained && connection.outbox.is_live() {
            // While it follows the feed nobody needs to note that, and now it may stop to.
            connection.last_delivered = self.flushed.last;
        }
        match task {
            Task::Ask(_) | Task::Leave | Task::ListUsers(_) | Task::ListMembers(..) | Task::ListRooms(_)
                if !is_drained =>
            {
                Some(task)
            }
            Task::Ask(Ask::Quit) => {
                self.reply(id, Notice::Bye);
                self.hang_up(id, End::Orderly, "quit");
                None
            }
            Task::Leave => {
                self.hang_up(id, End::Orderly, "end of input");
                None
            }
            Task::Ask(Ask::Users) => self.list_users(id, None),
            Task::ListUsers(after) => self.list_users(id, after),
            Task::Ask(Ask::UsersOf(room)) => self.list_members(id, room, None),
            Task::ListMembers(room, after) => self.list_members(id, room, after),
            Task::Ask(Ask::Rooms) => self.list_rooms(id, RoomsFrom::default()),
            Task::ListRooms(from) => self.list_rooms(id, from),
            Task::Ask(Ask::History(range, with)) => self.begin_history(id, range, with),
            Task::Read(reading) => self.read(id, reading),
        }
    }

    fn skip(&mut self, id: ConnectionId, task: Task) -> Option<Task> {
        match task {
            Task::Read(Reading { then: Some(then), .. }) => {
                // A goodbye must not be skipped.
                self.queue_task(id);
                return Some(*then);
            }
            Task::Read(Reading { is_answer: false, .. }) => self.done(id),
            _ => self.answered(id),
        }
        None
    }

    fn list_users(&mut self, id: ConnectionId, after: Option<Name>) -> Option<Task> {
        let (names, has_more) = self.chat.users_page(after.as_ref());
        let last = names.last().copied();
        if last.is_some() {
            self.reply(id, Notice::Users { names: Names(names.into()) });
        }
        if has_more {
            return Some(Task::ListUsers(last));
        }
        self.reply(id, Notice::Online { count: self.chat.online() as u64 });
        self.answered(id);
        None
    }

    fn list_members(&mut self, id: ConnectionId, room: RoomName, after: Option<Name>) -> Option<Task> {
        let account = self.chat.account_of(id.session())?;
        // Who was removed since is told nothing more.
        let is_member = self.chat.check_member(account, &room).is_ok();
        let next = if is_member {
            self.chat.members_page(&room, after.as_ref(), |notice| {
                self.reactor.push_direct(id, line_of(&mut self.scratch.text, notice), &self.feed);
            })
        } else {
            self.reply(id, Error::NoSuchRoom { room });
            None
        };
        if next.is_some() {
            return Some(Task::ListMembers(room, next));
        }
        self.answered(id);
        None
    }

    fn list_rooms(&mut self, id: ConnectionId, from: RoomsFrom) -> Option<Task> {
        let account = self.chat.account_of(id.session())?;
        let next = self.chat.rooms_page(account, from, |notice| {
            self.reactor.push_direct(id, line_of(&mut self.scratch.text, notice), &self.feed);
        });
        if let Some(next) = next {
            self.queue_if_drained(id);
            return Some(Task::ListRooms(next));
        }
        self.answered(id);
        None
    }

    /// Queues a connection that a page of an answer left nothing to be sent: no socket would do it.
    fn queue_if_drained(&mut self, id: ConnectionId) {
        if self.reactor.connection(id).is_some_and(|it| it.outbox.is_drained(&self.feed)) {
            self.queue_task(id);
        }
    }

    /// All earlier messages are sent, so the connection's position is the end of the log.
    fn begin_history(&mut self, id: ConnectionId, range: HistoryRange, with: Option<Target>) -> Option<Task> {
        if let Some(connection) = self.reactor.connection(id) {
            connection.outbox.leave_feed(&self.feed);
        }
        self.queue_task(id);
        let mut cursor = Cursor::history(range, with, &self.journal);
        if let Some(account) = self.chat.account_of(id.session()) {
            let name = self.chat.accounts()[account].name;
            cursor.follow(&self.journal, name, Some(account), self.chat.state().rooms().of(&name));
        }
        let notices = Some(self.feed.notices());
        Some(Task::Read(Reading { cursor, notices, is_answer: true, lines_after: None, then: None }))
    }

    fn read(&mut self, id: ConnectionId, mut reading: Reading) -> Option<Task> {
        let connection = self.reactor.connection(id)?;
        if !connection.is_writable() {
            return Some(Task::Read(reading));
        }
        let Some(account) = self.chat.account_of(id.session()) else {
            unreachable!("only logged-in connections read the log");
        };
        let reader = Reader { name: self.chat.accounts()[account].name, rooms: self.chat.state() };
        match reading.cursor.step(&mut self.journal, &reader, &mut self.chunk) {
            Ok(Progress::Passed) => {}
            Ok(Progress::Lines) => {
                let sent = self.send_chunk(id, &mut reading.cursor);
                if let Some((_, bytes)) = &mut reading.lines_after {
                    *bytes = bytes.saturating_sub(sent);
                }
                if self.reactor.connection(id)?.is_broken() {
                    self.broken(id);
                    return self.skip(id, Task::Read(reading));
                }
            }
            Ok(Progress::Notices(lines)) => self.reactor.push_direct(id, lines.as_bytes(), &self.feed),
            Ok(Progress::EndOfHistory) => self.reply(id, Notice::EndOfHistory),
            Ok(Progress::AtEnd) => return self.caught_up(id, reading),
            Err(why) => {
                self.unreadable(id, &why);
                return None;
            }
        }
        // Checked after each step: while others talk in every turn, no step would start at the end.
        if reading.cursor.is_at_end(&self.journal) {
            return self.caught_up(id, reading);
        }
        self.accept_lines(id, &mut reading);
        self.queue_task(id);
        Some(Task::Read(reading))
    }

    /// Lets a session accept lines after the first part of its replay; the rest is read as for a slow reader.
    fn accept_lines(&mut self, id: ConnectionId, reading: &mut Reading) {
        let Some((steps, bytes)) = &mut reading.lines_after else { return };
        *steps = steps.saturating_sub(1);
        if *steps > 0 && *bytes > 0 {
            return;
        }
        (reading.lines_after, reading.is_answer) = (None, false);
        self.chat.answered(id.session());
        if let Some(connection) = self.reactor.connection(id) {
            connection.activity = Activity::RestOfReplay;
            self.reactor.schedule(id);
        }
    }

    /// Writes the chunk's text to a reader, after its own bytes, in one write. Returns how many bytes of it were taken.
    fn send_chunk(&mut self, id: ConnectionId, cursor: &mut Cursor) -> usize {
        let now_us = self.now.mono_us;
        let taken = self.reactor.send(id, self.chunk.text(), &self.feed, now_us);
        let (rest, last) = cursor.advance(taken, &self.chunk);
        if !rest.is_empty() {
            self.reactor.push_rest(id, rest, &self.feed);
        }
        // Messages that a replay omits must not count as seen before the reader has the notice about them.
        let last = last.filter(|_| !cursor.owes_omissions());
        let Some(connection) = self.reactor.connection(id) else { return taken };
        if let Some(last) = last {
            connection.last_delivered = connection.last_delivered.max(last);
        }
        if let Some(since_us) = connection.stalled_since_us() {
            self.reactor.arm(id, since_us + STALL_US);
        }
        taken
    }

    /// Makes a reader that has reached the end of the log follow the feed.
    fn caught_up(&mut self, id: ConnectionId, reading: Reading) -> Option<Task> {
        let connection = self.reactor.connection(id)?;
        connection.outbox.go_live(&self.feed);
        connection.activity = Activity::Task;
        if reading.notices.is_some_and(|notices| notices != self.feed.notices()) {
            self.reply(id, Notice::PresenceMissed);
        }
        // An empty push makes flush record that everything up to here was sent.
        self.reactor.push_direct(id, b"", &self.feed);
        if let Some(then) = reading.then {
            self.queue_task(id);
            return Some(*then);
        }
        if reading.is_answer {
            self.answered(id);
        } else {
            self.done(id);
        }
        None
    }

    /// Finishes the answer that the chat waits for.
    fn answered(&mut self, id: ConnectionId) {
        self.chat.answered(id.session());
        self.done(id);
    }

    fn done(&mut self, id: ConnectionId) {
        if let Some(connection) = self.reactor.connection(id) {
            connection.activity = Activity::None;
            self.reactor.schedule(id);
        }
    }

    /// Closes a connection for which the log cannot be read: continuing would leave a gap.
    pub(super) fn unreadable(&mut self, id: ConnectionId, why: &io::Error) {
        error!("{}: cannot be read: {why}", LOG_FILE);
        self.reply(id, Error::HistoryUnavailable);
        self.hang_up(id, End::Forced, "the log cannot be read");
    }

    /// Turns a live connection that is too slow into a reader of the file, from the first message it was not sent.
    pub(super) fn fall_behind(&mut self, id: ConnectionId) {
        let cursor = Cursor::behind(self.reactor.drop_messages(id, &self.feed), &self.journal);
        let notices = Some(self.feed.notices());
        let then = self.answers.take(id).map(Box::new);
        self.begin(id, Task::Read(Reading { cursor, notices, is_answer: false, lines_after: None, then }));
    }
}

/// Writes the line of a reply.
fn line_of<'a>(text: &'a mut String, notice: Notice<'_>) -> &'a [u8] {
    text.clear();
    writeln!(text, "{}", Reply::from(notice)).expect("writing to a string cannot fail");
    text.as_bytes()
}
