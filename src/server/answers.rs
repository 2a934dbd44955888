//! Answers that take more than a line: reading the log for who catches up, the list of those online, goodbyes.
//! Each connection has at most one under way, and takes no line before it is done.

use std::io;

use log::error;

use super::Server;
use crate::cursor::{Cursor, Progress};
use crate::effects::Ask;
use crate::journal::LOG_FILE;
use crate::limits::{CATCH_UPS_OF_LOGINS_MAX, CATCH_UPS_PER_TURN_MAX, STALL_US};
use crate::name::Name;
use crate::net::{ConnectionId, Net};
use crate::protocol::HistoryRange;
use crate::storage::Storage;

/// What a connection is in the midst of, beyond lines and answers: it takes no line before that is done.
pub(super) enum Task {
    /// Something that begins once all that was said before is sent.
    Ask(Ask),
    /// The end of its input was reached: it closes once all that was said before is sent.
    Leave,
    /// It reads the log.
    Read(Reading),
    /// It is being told who is online, from behind this name on.
    ListUsers(Option<Name>),
}

pub(super) struct Reading {
    /// Its place in the log.
    pub cursor: Cursor,
    /// The feed's count of notices when it stopped to follow; `None` where nothing can have been missed.
    pub notices: Option<u32>,
    /// Whether the chat waits for the end of this.
    pub is_answer: bool,
    /// How many more steps and bytes it takes until the session accepts lines although this is not through.
    pub lines_after: Option<(u32, usize)>,
    /// What it was waiting to begin when it fell behind, or what was asked for since.
    pub then: Option<Box<Task>>,
}

impl<N: Net, S: Storage> Server<N, S> {
    /// Gives a connection something to do before it takes another line.
    pub(super) fn begin(&mut self, id: ConnectionId, task: Task) {
        let Some(connection) = self.reactor.connection(id) else { return };
        connection.busy = true;
        connection.takes_lines_behind = false;
        match self.tasks.get_mut(&id) {
            // It still reads what it missed; this follows.
            Some(Task::Read(reading)) => {
                assert!(reading.then.is_none(), "lines are taken one after the other");
                reading.then = Some(Box::new(task));
            }
            _ => {
                self.tasks.insert(id, task);
            }
        }
        self.queue_task(id);
    }

    /// Lets a connection's task go on, in its turn.
    pub(super) fn queue_task(&mut self, id: ConnectionId) {
        if let Some(connection) = self.reactor.connection(id)
            && !std::mem::replace(&mut connection.is_queued, true)
        {
            let account = self.chat.account_of(id);
            let queue = if self.replaying.contains(&id) { &mut self.logins } else { &mut self.readers };
            queue.push(account, id);
        }
    }

    /// Whether a task can go on.
    pub(super) fn has_tasks(&self) -> bool {
        self.logins.len() + self.readers.len() > 0
    }

    /// Does a bounded number of steps for connections that read the log, or wait to begin: first for those that have
    /// just logged in, and for the accounts of each kind in rotation.
    pub(super) fn catch_up(&mut self) {
        let mut left = CATCH_UPS_PER_TURN_MAX;
        while left > CATCH_UPS_PER_TURN_MAX - CATCH_UPS_OF_LOGINS_MAX
            && let Some(id) = self.logins.pop()
        {
            self.step_task(id);
            left -= 1;
        }
        for _ in 0..self.readers.len().min(left) {
            if let Some(id) = self.readers.pop() {
                self.step_task(id);
            }
        }
    }

    fn step_task(&mut self, id: ConnectionId) {
        if let Some(connection) = self.reactor.connection(id) {
            connection.is_queued = false;
        }
        let Some(task) = self.tasks.remove(&id) else { return };
        if let Some(task) = self.go_on(id, task) {
            self.tasks.insert(id, task);
        }
    }

    /// Does a bounded piece of a task. Returns it where it is not done; it is queued again where it can go on at
    /// once, and else when its outbox is empty or its socket has room.
    fn go_on(&mut self, id: ConnectionId, task: Task) -> Option<Task> {
        let connection = self.reactor.connection(id)?;
        if connection.is_broken() && !matches!(task, Task::Leave | Task::Ask(Ask::Quit)) {
            // Nobody is there to be answered; what the peer sent before it went is still to be handled.
            return self.skip(id, task);
        }
        let is_drained = connection.outbox.is_drained(&self.feed);
        if is_drained && connection.outbox.is_live() {
            // While it follows the feed nobody needs to note that, and now it may stop to.
            connection.handed = self.flushed_last;
        }
        match task {
            Task::Ask(_) | Task::Leave | Task::ListUsers(_) if !is_drained => Some(task),
            Task::Ask(Ask::Quit) => {
                self.reactor.push_own(id, b"* bye\n", &self.feed);
                self.hang_up(id, "quit");
                None
            }
            Task::Leave => {
                self.hang_up(id, "end of input");
                None
            }
            Task::Ask(Ask::Users) => self.list_users(id, None),
            Task::ListUsers(after) => self.list_users(id, after),
            Task::Ask(Ask::History(range, with)) => self.begin_history(id, range, with),
            Task::Read(reading) => self.read(id, reading),
        }
    }

    fn skip(&mut self, id: ConnectionId, task: Task) -> Option<Task> {
        match task {
            Task::Read(Reading { then: Some(then), .. }) => {
                // A goodbye stays one.
                self.queue_task(id);
                return Some(*then);
            }
            Task::Read(Reading { is_answer: false, .. }) => self.done(id),
            _ => self.answered(id),
        }
        None
    }

    fn list_users(&mut self, id: ConnectionId, after: Option<Name>) -> Option<Task> {
        let mut page = Vec::new();
        let more = self.chat.users_page(after.as_ref(), &mut page);
        self.reactor.push_own(id, &page, &self.feed);
        if more.is_none() {
            self.answered(id);
            return None;
        }
        Some(Task::ListUsers(more))
    }

    /// All earlier messages are sent, so the log's end is where this connection is.
    fn begin_history(&mut self, id: ConnectionId, range: HistoryRange, with: Option<Name>) -> Option<Task> {
        if let Some(connection) = self.reactor.connection(id) {
            connection.outbox.leave_feed(&self.feed);
        }
        self.queue_task(id);
        let cursor = Cursor::history(range, with, &self.journal);
        let notices = Some(self.feed.notices());
        Some(Task::Read(Reading { cursor, notices, is_answer: true, lines_after: None, then: None }))
    }

    fn read(&mut self, id: ConnectionId, mut reading: Reading) -> Option<Task> {
        let connection = self.reactor.connection(id)?;
        if !connection.is_writable() {
            return Some(Task::Read(reading));
        }
        let Some(account) = self.chat.account_of(id) else {
            unreachable!("only who is logged in reads");
        };
        let name = self.chat.accounts[account].name;
        match reading.cursor.step(&self.journal, &name, &mut self.chunk) {
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
            Ok(Progress::Notices(lines)) => self.reactor.push_own(id, lines.as_bytes(), &self.feed),
            Ok(Progress::EndOfHistory) => self.reactor.push_own(id, b"* end of history\n", &self.feed),
            Ok(Progress::AtEnd) => return self.caught_up(id, reading),
            Err(why) => {
                self.unreadable(id, &why);
                return None;
            }
        }
        // Not only in a turn without news: where others talk in every turn there is none.
        if reading.cursor.is_at_end(&self.journal) {
            return self.caught_up(id, reading);
        }
        self.accept_lines(id, &mut reading);
        self.queue_task(id);
        Some(Task::Read(reading))
    }

    /// After a part of what it missed, a session accepts lines; the rest is read like that of a slow reader.
    fn accept_lines(&mut self, id: ConnectionId, reading: &mut Reading) {
        let Some((steps, bytes)) = &mut reading.lines_after else { return };
        *steps = steps.saturating_sub(1);
        if *steps > 0 && *bytes > 0 {
            return;
        }
        (reading.lines_after, reading.is_answer) = (None, false);
        self.chat.answered(id);
        if let Some(connection) = self.reactor.connection(id) {
            connection.takes_lines_behind = true;
            self.reactor.schedule(id);
        }
    }

    /// Writes what the chunk holds for a reader, behind its own bytes, in one go; returns how much of it was taken.
    fn send_chunk(&mut self, id: ConnectionId, cursor: &mut Cursor) -> usize {
        let now_us = self.now.mono_us;
        let taken = self.reactor.send(id, self.chunk.text(), &self.feed, now_us);
        let (rest, last) = cursor.advance(taken, &self.chunk);
        if !rest.is_empty() {
            self.reactor.push_rest(id, rest, &self.feed);
        }
        // What a replay leaves out must not count as seen before the reader was told of it.
        let last = last.filter(|_| !cursor.owes_omissions());
        let Some(connection) = self.reactor.connection(id) else { return taken };
        if let Some(last) = last {
            connection.handed = connection.handed.max(last);
        }
        if let Some(since_us) = connection.stalled_since_us() {
            self.reactor.arm(id, since_us + STALL_US);
        }
        taken
    }

    /// A reader has reached the end of the log: it follows the feed from here on.
    fn caught_up(&mut self, id: ConnectionId, reading: Reading) -> Option<Task> {
        let connection = self.reactor.connection(id)?;
        connection.outbox.go_live(&self.feed);
        self.replaying.remove(&id);
        if reading.notices.is_some_and(|notices| notices != self.feed.notices()) {
            let notice = "* who came and went meanwhile was not shown; /users tells who is here\n";
            self.reactor.push_own(id, notice.as_bytes(), &self.feed);
        }
        // Flushing nothing is how it is noted that all up to here was handed out.
        self.reactor.push_own(id, b"", &self.feed);
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

    /// The answer that the chat waited for is given.
    fn answered(&mut self, id: ConnectionId) {
        self.chat.answered(id);
        self.done(id);
    }

    fn done(&mut self, id: ConnectionId) {
        if let Some(connection) = self.reactor.connection(id) {
            connection.busy = false;
            connection.takes_lines_behind = false;
            self.replaying.remove(&id);
            self.reactor.schedule(id);
        }
    }

    /// The log cannot be read: to go on would leave a gap.
    pub(super) fn unreadable(&mut self, id: ConnectionId, why: &io::Error) {
        error!("{}: cannot be read: {why}", LOG_FILE);
        let words =
            b"! history-unavailable: the server cannot read its history; you lose nothing, come back later\n";
        self.reactor.push_own(id, words, &self.feed);
        self.hang_up(id, "the log cannot be read");
    }

    /// A live connection that is too slow becomes a reader of the file, from the first message it was not sent.
    pub(super) fn fall_behind(&mut self, id: ConnectionId) {
        let cursor = Cursor::behind(self.reactor.drop_messages(id, &self.feed), &self.journal);
        let notices = Some(self.feed.notices());
        let then = self.tasks.remove(&id).map(Box::new);
        self.begin(id, Task::Read(Reading { cursor, notices, is_answer: false, lines_after: None, then }));
    }
}
