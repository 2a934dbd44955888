//! From a committed batch to the sockets: effects become bytes in the feed and in outboxes, and are flushed.

use std::fmt::Write;

use super::Server;
use super::answers::{Reading, Task};
use super::closing::End;
use super::commit::Gate;
use crate::ids::{AccountId, ConnectionId, SessionId};
use crate::limits::{LOGIN_GRACE_US, REPLAY_BYTES_BEFORE_LINES, REPLAY_STEPS_BEFORE_LINES, STALL_US};
use crate::log::cursor::Cursor;
use crate::log::journal::{Committed, Staged};
use crate::log::storage::Storage;
use crate::protocol::record::{Body, Record, Target, Timestamp};
use crate::protocol::reply::{Error, Notice, Reply};
use crate::protocol::room::RoomName;
use crate::session::effects::{Effect, Effects};
use crate::transport::feed::Position;
use crate::transport::net::Net;
use crate::transport::reactor::{Activity, Attention};

/// How far the feed was when it was last flushed.
pub(super) struct Flushed {
    /// Its end.
    pub end: Position,
    /// The timestamp of the last message.
    pub last: Timestamp,
}

impl<N: Net, S: Storage> Server<N, S> {
    /// Carries out the turn's effects, now that it is committed.
    pub(super) fn release(&mut self, gate: Gate) {
        let saves = self.stage.effects.take_saves();
        let mut effects = std::mem::take(&mut self.stage.effects);
        self.stage.effects = std::mem::take(&mut self.scratch.effects);
        let mut others = std::mem::take(&mut self.scratch.others);
        self.release_effects(&effects, &gate, &mut others);
        effects.clear();
        for save in &saves {
            self.chat.saved(save, gate.accounts(), self.now, &mut others);
        }
        // Before this turn's new sessions follow the feed, so that they are not notified of themselves.
        self.chat.tell_presence(self.now, &mut others);
        // These effects follow from what was saved and stage nothing, so they need not wait for another turn.
        self.release_effects(&others, &gate, &mut effects);
        others.clear();
        effects.clear();
        (self.scratch.effects, self.scratch.others) = (effects, others);
        if let Some(batch) = gate.recycle() {
            self.stage.batch = batch;
        }
    }

    /// Carries out effects. Those that follow from an event are added to `others`.
    fn release_effects(&mut self, effects: &Effects, gate: &Gate, others: &mut Effects) {
        let messages = gate.messages();
        // Lines that follow each other in one room go to the same people, who are looked up once.
        let mut lines_of_room: Option<(RoomName, Staged)> = None;
        for &effect in effects.list() {
            if let Effect::SayInRoom(_, room, staged) = effect
                && let Some((of, lines)) = &mut lines_of_room
                && *of == room
                && let Some(joined) = lines.followed_by(staged)
            {
                *lines = joined;
                continue;
            }
            self.say_lines_of_room(lines_of_room.take(), messages);
            match effect {
                Effect::Direct(id, text) => {
                    self.reactor.push_direct(id.connection(), effects.text(text), &self.feed);
                }
                Effect::Everyone(text) => self.feed.publish_notice(effects.text(text)),
                Effect::Say(from, staged) => match messages {
                    Ok(committed) => self.feed.publish_message(committed.line(staged)),
                    Err(error) => self.reply(from.connection(), error),
                },
                Effect::Whisper { from, author, to, offline, line } => match messages {
                    Ok(committed) => {
                        self.whisper(author, to, committed.line(line));
                        if offline {
                            self.tell_offline(from.connection(), to);
                        }
                    }
                    Err(error) => self.reply(from.connection(), error),
                },
                Effect::SayInRoom(from, room, staged) => match messages {
                    Ok(_) => lines_of_room = Some((room, staged)),
                    Err(error) => self.reply(from.connection(), error),
                },
                Effect::Deed(from, staged) => match messages {
                    Ok(committed) => {
                        let line = committed.line(staged);
                        let record = self.chat.apply_line(line);
                        self.checkpoint.add_event(record.at, line);
                        self.tell_deed(&record, line);
                        self.chat.moved(from, &record, others);
                    }
                    Err(error) => self.chat.not_moved(from, error, others),
                },
                Effect::Enter { session, replay, is_new } => self.enter(session.connection(), replay, is_new),
                Effect::Ask(id, ask) => self.begin(id.connection(), Task::Ask(ask)),
                Effect::Resume(id) => self.resume(id.connection()),
                Effect::Close(id, reason) => self.hang_up(id.connection(), End::Forced, reason),
            }
        }
        self.say_lines_of_room(lines_of_room, messages);
    }

    fn say_lines_of_room(
        &mut self,
        lines: Option<(RoomName, Staged)>,
        messages: Result<&Committed, Error<'static>>,
    ) {
        if let (Some((room, lines)), Ok(committed)) = (lines, messages) {
            self.say_in_room(&room, committed.line(lines));
        }
    }

    /// Sends a reply to a connection after all that it is sent already.
    pub(super) fn reply<'a>(&mut self, id: ConnectionId, reply: impl Into<Reply<'a>>) {
        self.scratch.text.clear();
        writeln!(self.scratch.text, "{}", reply.into()).expect("writing to a string cannot fail");
        self.reactor.push_direct(id, self.scratch.text.as_bytes(), &self.feed);
    }

    /// Sends a private message to all sessions of its two accounts that follow the feed. The others read it in the
    /// log.
    pub(super) fn whisper(&mut self, author: AccountId, to: AccountId, line: &[u8]) {
        self.tell(to, line);
        if author != to {
            self.tell(author, line);
        }
    }

    fn tell(&mut self, account: AccountId, line: &[u8]) {
        for id in self.chat.sessions_of(account).map(SessionId::connection) {
            if self.reactor.connection(id).is_some_and(|connection| connection.outbox.is_live()) {
                self.reactor.push_direct(id, line, &self.feed);
            }
        }
    }

    /// Sends lines of a room to all sessions of its members that follow the feed. They are stored once for all of them.
    fn say_in_room(&mut self, room: &RoomName, lines: &[u8]) {
        let Some(room) = self.chat.state().rooms().get(room) else { return };
        let accounts = room.members().iter().filter_map(|member| self.chat.accounts().find(&member.name));
        let aside = self.feed.store_aside(lines);
        for id in accounts.flat_map(|account| self.chat.sessions_of(account)).map(SessionId::connection) {
            self.reactor.push_aside(id, aside, &self.feed);
        }
    }

    /// Sends an event to those who may see it.
    fn tell_deed(&mut self, record: &Record<'_>, line: &[u8]) {
        let (Target::Room(room), Body::Deed(deed)) = (record.to, record.body) else { return };
        self.say_in_room(&room, line);
        if let Some(name) = deed.concerns()
            && self.chat.state().rooms().get(&room).is_some_and(|room| room.member(&name).is_none())
            && let Some(account) = self.chat.accounts().find(&name)
        {
            self.tell(account, line);
        }
    }

    pub(super) fn tell_offline(&mut self, id: ConnectionId, account: AccountId) {
        let name = self.chat.accounts()[account].name;
        self.reply(id, Notice::Offline { name });
    }

    /// Starts the replay of a session that just logged in, after which it follows the feed.
    pub(super) fn enter(&mut self, id: ConnectionId, replay: u32, is_new: bool) {
        let Some(account) = self.chat.account_of(id.session()) else { return };
        // The login deadline no longer applies: thousands of idle sessions need no timer and cause no wake-up.
        self.reactor.disarm(id);
        self.note_login(id);
        self.look_at(id);
        let from = self.start_of_replay(id, account, is_new);
        let mut cursor = if is_new {
            Cursor::first_visit(replay, &self.journal)
        } else {
            Cursor::missed(from, replay, &self.journal)
        };
        let name = self.chat.accounts()[account].name;
        cursor.follow(&self.journal, name, Some(account), self.chat.state().rooms().of(&name));
        if let Some(connection) = self.reactor.connection(id) {
            connection.activity = Activity::Replay;
        }
        let lines_after = Some((REPLAY_STEPS_BEFORE_LINES, REPLAY_BYTES_BEFORE_LINES));
        let (notices, is_answer, then) = (None, true, None);
        self.begin(id, Task::Read(Reading { cursor, notices, is_answer, lines_after, then }));
    }

    /// Lets a session take lines again.
    pub(super) fn resume(&mut self, id: ConnectionId) {
        let Some(connection) = self.reactor.connection(id) else { return };
        if !connection.is_logged_in {
            // The login deadline may have passed while a login was being checked.
            let since_us = connection.since_us;
            self.reactor.arm(id, since_us + LOGIN_GRACE_US);
        }
        self.reactor.schedule(id);
    }

    /// Flushes each connection that has pending output with one vectored write.
    pub(super) fn flush(&mut self) {
        let has_grown = self.feed.end() > self.flushed.end;
        let mut attention = std::mem::take(&mut self.scratch.attention);
        self.reactor.flush(&self.feed, has_grown, self.journal.last(), self.now.mono_us, &mut attention);
        self.flushed = Flushed { end: self.feed.end(), last: self.journal.last() };
        for (id, attention) in attention.drain(..) {
            match attention {
                Attention::Drained => self.queue_task(id),
                Attention::Stalled => self.reactor.arm(id, self.now.mono_us + STALL_US),
                Attention::Overflowing => self.fall_behind(id),
                Attention::Broken => self.broken(id),
            }
        }
        // Before the feed forgets what they wait for.
        self.reactor.find_far_behind(&self.feed, &mut attention);
        attention.drain(..).for_each(|(id, _)| self.fall_behind(id));
        self.scratch.attention = attention;
        self.feed.trim(self.reactor.all_have_the_feed());
    }
}
