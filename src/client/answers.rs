//! What the server's lines mean: which of them answers what, and what is to be told.

use super::event::{Event, Message, Origin, Refusal};
use super::login::Token;
use super::pending::{Asked, Pending, Purpose};
use super::{Client, EARLY_MAX, Gathering, State};
use crate::protocol::record::{Target, Timestamp};
use crate::protocol::reply::{Crowd, Notice, Reply};

impl Client {
    /// A clean line of the server, without its ending.
    pub(super) fn line(&mut self, line: &str) {
        match Reply::parse(line) {
            reply if !self.is_greeted() => self.first_line(line, reply),
            Some(Reply::Notice(notice)) => self.server_notice(notice),
            Some(Reply::Error(error)) => self.error(error.into()),
            // Before a login there is nothing else to say.
            None if self.state == State::Outside => {}
            None => match Message::parse(line) {
                Some(message) => self.message(message),
                None => self.notice(line),
            },
        }
    }

    /// The greeting is the first line, unless the server has no room.
    fn first_line(&mut self, line: &str, reply: Option<Reply<'_>>) {
        let refusal = match &reply {
            Some(Reply::Error(error)) => Some(Refusal::from(*error)).filter(Refusal::is_of_the_connection),
            _ => None,
        };
        if self.state == State::Foreign {
            // What it says is not for us.
        } else if let Some(refusal) = refusal {
            self.events.push_back(Event::Error(refusal));
        } else if let Some(Reply::Notice(Notice::Greeting { .. })) = reply {
            self.state = State::Outside;
            self.events.push_back(Event::Greeted);
            self.send_login();
        } else {
            self.state = State::Foreign;
            self.events.push_back(Event::NotChinwag(line.into()));
        }
    }

    fn asked(&self) -> Option<&Asked> {
        self.pending.front().map(|pending| &pending.asked)
    }

    fn server_notice(&mut self, notice: Notice<'_>) {
        if self.state == State::Outside {
            return self.notice_outside(&notice);
        }
        match (self.asked().cloned(), notice) {
            (Some(Asked::History(purpose)), Notice::EndOfHistory) => self.end_of_history(purpose),
            (Some(Asked::Users { .. }), Notice::Users { names }) => self.listed.extend_from_slice(&names.0),
            (Some(Asked::Users { is_shown }), Notice::Online { .. }) => self.end_of_users(is_shown),
            (Some(Asked::Replay { is_shown }), notice @ Notice::Replay { .. }) => {
                self.pending.pop_front();
                if is_shown {
                    self.notice(notice.to_string());
                }
            }
            (Some(Asked::Passwd { new }), notice @ Notice::PasswordChanged) => {
                self.pending.pop_front();
                self.notice(notice.to_string());
                self.password_changed(new);
            }
            (Some(Asked::Token), Notice::Token { token }) => {
                self.pending.pop_front();
                if let Some(token) = Token::parse(token) {
                    self.take_token(token);
                }
            }
            (Some(Asked::Quit), Notice::Bye) => {
                self.pending.pop_front();
                self.events.push_back(Event::Bye);
            }
            (
                Some(Asked::To { .. }),
                notice
                @ (Notice::TalkingToEveryone | Notice::TalkingToRoom { .. } | Notice::TalkingTo { .. }),
            ) => {
                self.pending.pop_front();
                self.notice(notice.to_string());
            }
            // Every login says this; where lines go is decided here.
            (_, Notice::TalkingToEveryone) => {}
            (Some(Asked::Deed), notice @ Notice::LeftRoom { room }) => {
                self.pending.pop_front();
                if self.target == Target::Room(room) {
                    self.target = Target::Everyone;
                }
                self.notice(notice.to_string());
            }
            (Some(Asked::Rooms), notice @ Notice::Rooms { .. })
            | (Some(Asked::Members), notice @ Notice::RoomMembers { .. })
            | (Some(Asked::Topic), notice @ (Notice::TopicOf { .. } | Notice::NoTopicOf { .. }))
            | (Some(Asked::Ping), notice @ Notice::Pong { .. }) => {
                self.pending.pop_front();
                self.notice(notice.to_string());
            }
            (_, Notice::Joined { who }) => self.presence(who, true),
            (_, Notice::Left { who }) => self.presence(who, false),
            (_, notice) => {
                if matches!(notice, Notice::PresenceMissed | Notice::PresenceMissed01) {
                    self.ask_users();
                }
                self.notice(notice.to_string());
            }
        }
    }

    fn notice_outside(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Welcome { name } => {
                self.pending.clear();
                self.welcome(*name);
            }
            Notice::LoginDelayed { .. } | Notice::LoginDelayed01 { .. } => self.notice(notice.to_string()),
            // What else is said here is for people who type the commands themselves.
            _ => {}
        }
    }

    fn error(&mut self, refusal: Refusal) {
        if refusal.is_of_the_connection() {
            if self.state == State::Outside {
                // They end it before a login.
                self.pending.clear();
            }
            return self.events.push_back(Event::Error(refusal));
        }
        if self.state == State::Outside {
            self.pending.clear();
            return self.login_refused(refusal);
        }
        match self.pending.pop_front() {
            Some(Pending { id: Some(id), line, asked }) => {
                if let Asked::To { before } = asked
                    && self.pending.iter().all(|pending| !matches!(pending.asked, Asked::To { .. }))
                {
                    self.target = before;
                }
                self.refuse(id, &line, refusal);
            }
            Some(Pending { asked: Asked::History(purpose), .. }) => self.end_of_question(purpose),
            Some(_) => {}
            None => self.events.push_back(Event::Error(refusal)),
        }
    }

    fn presence(&mut self, who: Crowd<'_>, is_here: bool) {
        let (names, others) = (who.names.into_owned(), who.others);
        for name in &names {
            match is_here {
                true => self.online.insert(*name),
                false => self.online.remove(name),
            };
        }
        if others > 0 {
            self.ask_users();
        }
        self.events.push_back(if is_here {
            Event::Joined(names, others)
        } else {
            Event::Left(names, others)
        });
    }

    fn end_of_users(&mut self, is_shown: bool) {
        self.pending.pop_front();
        self.is_catching_up = false;
        let listed = std::mem::take(&mut self.listed);
        self.online = listed.iter().copied().collect();
        self.events.push_back(Event::Online);
        if is_shown {
            self.events.push_back(Event::Users(listed));
        }
    }

    fn end_of_history(&mut self, purpose: Purpose) {
        self.pending.pop_front();
        match purpose {
            Purpose::Show => {
                let count = std::mem::take(&mut self.answered);
                self.events.push_back(Event::EndOfHistory { count });
            }
            Purpose::Baseline | Purpose::Resume => self.end_of_question(purpose),
        }
    }

    /// The client's own question is answered, or will not be.
    fn end_of_question(&mut self, purpose: Purpose) {
        let Some(mut gathering) = self.gathering.take() else { return };
        if self.lacks_token() {
            self.ask_token();
        }
        if purpose == Purpose::Baseline {
            // It is the newest message there is: what came before it was said just now, and it is the last of that.
            let newest = gathering.early.pop().map(|message| message.at);
            gathering.early.into_iter().for_each(|message| self.tell_new(message, Origin::Live));
            self.told = self.told.max(newest).or(Some(Timestamp::default()));
            return;
        }
        gathering.early.into_iter().for_each(|message| self.tell_new(message, Origin::Missed));
        self.told = self.told.or(Some(Timestamp::default()));
        for pending in std::mem::take(&mut self.unconfirmed) {
            if let Some(id) = pending.id {
                self.events.push_back(Event::NotSent { id, line: pending.line });
            }
        }
    }

    fn message(&mut self, message: Message) {
        // One that is said just now counts as well: which it is cannot be told.
        self.answered += usize::from(self.asked() == Some(&Asked::History(Purpose::Show)));
        match self.asked() {
            Some(Asked::History(Purpose::Baseline)) => self.early().push(message),
            Some(Asked::History(Purpose::Resume)) => self.resumed(message),
            Some(Asked::History(Purpose::Show)) if self.told.is_some_and(|told| message.at <= told) => {
                self.tell(message, Origin::Asked);
            }
            _ => {
                let origin = if self.is_catching_up { Origin::Missed } else { Origin::Live };
                self.tell_new(message, origin);
            }
        }
    }

    fn early(&mut self) -> &mut Vec<Message> {
        &mut self.gathering.get_or_insert_with(Gathering::default).early
    }

    /// A message of the answer to what was missed, or said live before it.
    fn resumed(&mut self, message: Message) {
        let told = self.told;
        let gathering = self.gathering.get_or_insert_with(Gathering::default);
        let last = gathering.early.last().map(|message| message.at).or(told);
        // The answer begins with a message that was told of before, so before those that were said meanwhile.
        gathering.has_begun |= last.is_some_and(|last| message.at <= last);
        if gathering.has_begun {
            // A login that shows what was missed shows private messages that are older than any answer.
            let is_older = |early: &Message| early.at < message.at;
            let older: Vec<Message> = gathering.early.extract_if(.., |early| is_older(early)).collect();
            older.into_iter().for_each(|early| self.tell_new(early, Origin::Missed));
            return self.tell_new(message, Origin::Missed);
        }
        gathering.early.push(message);
        if gathering.early.len() > EARLY_MAX {
            gathering.has_begun = true;
            let early = std::mem::take(&mut gathering.early);
            early.into_iter().for_each(|message| self.tell_new(message, Origin::Missed));
        }
    }

    /// Tells of a message, unless it is a repeat.
    fn tell_new(&mut self, message: Message, origin: Origin) {
        if self.told.is_none_or(|told| message.at > told) {
            self.told = Some(message.at);
            self.tell(message, origin);
        }
    }

    fn tell(&mut self, mut message: Message, origin: Origin) {
        message.origin = origin;
        if Some(message.from) == self.name {
            message.receipt = self.take_receipt(&message);
        } else if self.ignored.contains(&message.from) {
            return;
        } else if message.is_private() && origin != Origin::Asked {
            self.correspondent = Some(message.from);
        }
        self.events.push_back(Event::Message(message));
    }

    /// The submitted line whose copy this message is.
    fn take_receipt(&mut self, message: &Message) -> Option<u64> {
        if self.pending.front().is_some_and(|pending| pending.is_receipt(message)) {
            return self.pending.pop_front()?.id;
        }
        let at = self.unconfirmed.iter().position(|pending| pending.is_receipt(message))?;
        self.unconfirmed.remove(at)?.id
    }
}
