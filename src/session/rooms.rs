//! Rooms: the commands about them, and what follows from an event once it is committed.

use log::info;

use super::moves::{Move, What};
use super::{Chat, Waiting, parse_target};
use crate::ids::{AccountId, SessionId};
use crate::limits::{LINE_BYTES_MAX, MOVES_REFUSED_PER_TURN_MAX};
use crate::log::journal::Staged;
use crate::protocol::command::{Command, RoomSetting};
use crate::protocol::event::{Access, Because, Deed};
use crate::protocol::name::Name;
use crate::protocol::record::{Body, Record, Target};
use crate::protocol::reply::{Error, Notice};
use crate::protocol::room::RoomName;
use crate::session::effects::{Ask, Context, Effect, Effects};
use crate::state::accounts::Account;
use crate::state::event::{Event, Refusal};
use crate::state::rooms::Room;

/// Commands.
impl Chat {
    /// Handles a command about conversations.
    pub(super) fn room_command(
        &mut self,
        id: SessionId,
        account: AccountId,
        command: Command<'_>,
        context: &mut Context<'_>,
    ) {
        let text = match command {
            Command::Topic { text, .. } => text.unwrap_or(""),
            Command::Kick { why, .. } => why,
            _ => "",
        };
        if let Some(over) =
            text.trim_end().len().checked_sub(self.rules.topic_bytes_max).filter(|&over| over > 0)
        {
            return context.effects.direct(id, Error::TextTooLong { over: over as u64 });
        }
        let outcome = match command {
            Command::To(target) => self.set_target(id, account, target, context.effects),
            Command::Rooms => {
                self.ask(id, Ask::Rooms, context.effects);
                Ok(())
            }
            Command::Users(room) => self.room_of(id, room).and_then(|room| {
                self.check_member(account, &room)?;
                self.ask(id, Ask::UsersOf(room), context.effects);
                Ok(())
            }),
            Command::Topic { room, text: None } => self.room_of(id, room).and_then(|room| {
                self.check_member(account, &room)?;
                context.effects.direct(id, self.topic_of(&room));
                Ok(())
            }),
            Command::Join { room, is_private } => {
                RoomName::parse(room.as_bytes()).ok_or(Error::NOT_A_ROOM).map(|room| {
                    self.queue(id, account, room, What::Join { is_private }, context);
                })
            }
            Command::Leave(room) => self.queue_deed(id, account, room, Ok(Deed::Left), context),
            Command::Topic { room, text: Some(text) } => {
                self.queue_deed(id, account, room, Ok(Deed::Topic { text: text.trim_end() }), context)
            }
            Command::Invite { name, room } => {
                let deed = self.known(name).map(|name| Deed::Invited { name });
                self.queue_deed(id, account, room, deed, context)
            }
            Command::Kick { room, name, why } => {
                let who = self.spelled(name).map(|name| Because { name, why: why.trim_end() });
                self.queue_deed(id, account, room, who.map(|who| Deed::Removed { who }), context)
            }
            Command::Op { room, name } => {
                let deed = self.spelled(name).map(|name| Deed::Appointed { name });
                self.queue_deed(id, account, room, deed, context)
            }
            Command::Deop { room, name } => {
                let deed = self.spelled(name).map(|name| Deed::Dismissed { name });
                self.queue_deed(id, account, room, deed, context)
            }
            Command::Room { room, setting } => {
                let deed = match setting {
                    RoomSetting::Private => Deed::MadePrivate,
                    RoomSetting::Announce => Deed::MadeAnnounce,
                    RoomSetting::Everyone => Deed::MadeOpenToAll,
                };
                self.queue_deed(id, account, room, Ok(deed), context)
            }
            _ => unreachable!("all other commands are handled elsewhere"),
        };
        if let Err(error) = outcome {
            context.effects.direct(id, error);
        }
    }

    /// The room of this name, or the one that the session talks to.
    fn room_of(&self, id: SessionId, room: Option<&str>) -> Result<RoomName, Error<'static>> {
        match (room, self.session(id).target()) {
            (Some(room), _) => RoomName::parse(room.as_bytes()).ok_or(Error::NOT_A_ROOM),
            (None, Target::Room(room)) => Ok(room),
            (None, _) => Err(Error::NoRoomHere),
        }
    }

    /// Checks that an account is in a room.
    ///
    /// # Errors
    /// What to tell the account.
    pub fn check_member(&self, account: AccountId, room: &RoomName) -> Result<(), Error<'static>> {
        let name = &self.accounts()[account].name;
        match self.state().rooms().get(room).filter(|room| room.is_known_to(name)) {
            None => Err(Error::NoSuchRoom { room: *room }),
            Some(room) if room.member(name).is_none() => Err(Error::NotMember { room: room.name() }),
            Some(_) => Ok(()),
        }
    }

    /// The name of an account, as it is spelled.
    fn known(&self, name: &str) -> Result<Name, Error<'static>> {
        let name = Name::parse(name.as_bytes()).ok_or(Error::NotAName)?;
        let account = self.accounts().find(&name).ok_or(Error::NoSuchUser { name })?;
        Ok(self.accounts()[account].name)
    }

    /// The same, or the name as it was given: a member need not have an account.
    fn spelled(&self, name: &str) -> Result<Name, Error<'static>> {
        match self.known(name) {
            Err(Error::NoSuchUser { name }) => Ok(name),
            known => known,
        }
    }

    fn topic_of(&self, room: &RoomName) -> Notice<'_> {
        let topic = self.state().rooms().get(room).map_or("", Room::topic);
        if topic.is_empty() {
            Notice::NoTopicOf { room: *room }
        } else {
            Notice::TopicOf { room: *room, text: topic }
        }
    }

    fn set_target(
        &mut self,
        id: SessionId,
        account: AccountId,
        target: Option<&str>,
        effects: &mut Effects,
    ) -> Result<(), Error<'static>> {
        let target = match target.map(parse_target).transpose()? {
            None => Target::Everyone,
            Some(Target::Room(room)) => {
                self.check_member(account, &room)?;
                Target::Room(self.state().rooms().get(&room).map_or(room, Room::name))
            }
            Some(Target::Person(name)) => Target::Person(self.known(name.as_str())?),
            Some(Target::Everyone) => unreachable!("nothing is read as this"),
        };
        self.talk_to(id, target, effects);
        Ok(())
    }

    /// Sets where a session talks, and says so.
    pub(super) fn talk_to(&mut self, id: SessionId, target: Target, effects: &mut Effects) {
        self.session_mut(id).target = (target != Target::Everyone).then(|| Box::new(target));
        effects.direct(
            id,
            match target {
                Target::Everyone => Notice::TalkingToEveryone,
                Target::Room(room) => Notice::TalkingToRoom { room },
                Target::Person(name) => Notice::TalkingTo { name },
            },
        );
    }

    fn queue_deed(
        &mut self,
        id: SessionId,
        account: AccountId,
        room: Option<&str>,
        deed: Result<Deed<'_>, Error<'static>>,
        context: &mut Context<'_>,
    ) -> Result<(), Error<'static>> {
        let (room, deed) = (self.room_of(id, room)?, deed?);
        self.queue(id, account, room, What::Deed(deed.to_string().into()), context);
        Ok(())
    }

    fn queue(
        &mut self,
        id: SessionId,
        account: AccountId,
        room: RoomName,
        what: What,
        context: &Context<'_>,
    ) {
        self.session_mut(id).waiting = Waiting::ForMove(Box::new(Move { room, what }));
        self.moves.push(id, account, self.rules.limits_moves, context.now.mono_us);
    }
}

/// Changes of the state.
impl Chat {
    /// Stages the change whose turn it is, if one is due. The last thing that is staged in a turn.
    pub fn stage_move(&mut self, context: &mut Context<'_>) {
        for _ in 0..MOVES_REFUSED_PER_TURN_MAX {
            let Some(id) = self.moves.take(context.now.mono_us) else { return };
            let Waiting::ForMove(wanted) =
                std::mem::replace(&mut self.session_mut(id).waiting, Waiting::ForAnswer)
            else {
                unreachable!("sessions in the queue wait with a change");
            };
            match self.admit_move(id, &wanted, context) {
                Ok(Some(staged)) => return context.effects.push(Effect::Deed(id, staged)),
                Ok(None) => {}
                Err(error) => context.effects.direct(id, error),
            }
            self.resume(id, context.effects);
        }
    }

    fn admit_move(
        &mut self,
        id: SessionId,
        wanted: &Move,
        context: &mut Context<'_>,
    ) -> Result<Option<Staged>, Error<'static>> {
        let Some(account) = self.session(id).account() else {
            unreachable!("only accounts change the state")
        };
        let Account { name, registered, .. } = self.accounts()[account];
        let at = context.batch.time(context.now.wall_us);
        let room = self.state().rooms().get(&wanted.room);
        let deed = match (&wanted.what, room) {
            (What::Deed(words), _) => Deed::parse(words).expect("it was written by the same rules"),
            (What::Join { is_private: true }, Some(room)) if !room.is_private() => {
                return Err(Error::RoomIsOpen { room: room.name() });
            }
            (What::Join { .. }, Some(room)) if room.member(&name).is_some() => {
                let room = room.name();
                self.talk_to(id, Target::Room(room), context.effects);
                return Ok(None);
            }
            (What::Join { .. }, Some(_)) => Deed::Joined,
            (What::Join { is_private }, None) => {
                Deed::Created { access: if *is_private { Access::Private } else { Access::Open } }
            }
        };
        // As its creator spelled it.
        let to = Target::Room(room.map_or(wanted.room, Room::name));
        let event = Event::Deed { at, by: name, to, deed };
        self.state().admit(&event, at).map_err(Refusal::to_error)?;
        self.check_limits(&name, &wanted.room, &deed)?;
        let length = Record { at, from: name, to, body: Body::Deed(deed) }.line_length();
        if let Some(over) = length.checked_sub(LINE_BYTES_MAX).filter(|&over| over > 0) {
            return Err(Error::TextTooLong { over: over as u64 });
        }
        self.charge(account, registered, length, context.now)?;
        let staged = context.batch.stage_deed(context.now.wall_us, &name, &to, &deed);
        staged.map(Some).ok_or(Error::TimeIsUp)
    }

    fn check_limits(&self, name: &Name, room: &RoomName, deed: &Deed<'_>) -> Result<(), Error<'static>> {
        let (rooms, rules) = (self.state().rooms(), &self.rules);
        if matches!(deed, Deed::Created { .. } | Deed::Joined)
            && rooms.of(name).len() >= rules.rooms_per_account
        {
            return Err(Error::TooManyRooms { limit: rules.rooms_per_account as u64 });
        }
        match (deed, rooms.get(room)) {
            (Deed::Created { .. }, _) if rooms.len() >= rules.rooms_max => {
                Err(Error::RoomsFull { limit: rules.rooms_max as u64 })
            }
            (Deed::Joined, Some(room)) if room.members().len() >= rules.members_max => {
                Err(Error::RoomFull { room: room.name(), limit: rules.members_max as u64 })
            }
            (Deed::Invited { .. }, Some(room)) if room.invitations() >= rules.members_max => {
                Err(Error::RoomFull { room: room.name(), limit: rules.members_max as u64 })
            }
            _ => Ok(()),
        }
    }

    /// Applies an event of a session, given its line, which is committed.
    pub fn apply_line<'a>(&mut self, line: &'a [u8]) -> Record<'a> {
        let line = std::str::from_utf8(line).expect("lines are written as UTF-8");
        let record = Record::parse(line.trim_end_matches('\n')).expect("it was written as a record");
        self.state.apply(&Event::of(&record));
        record
    }

    /// Tells a session what its event came to, and lets it go on.
    pub fn moved(&mut self, id: SessionId, record: &Record<'_>, effects: &mut Effects) {
        if !self.is_open(id) || self.is_ending(id) {
            return;
        }
        if let (Target::Room(room), Body::Deed(deed)) = (record.to, record.body) {
            info!("{}: {} {deed}, {room}", self.session(id).peer, record.from);
            match deed {
                Deed::Created { .. } | Deed::Joined => {
                    self.talk_to(id, record.to, effects);
                    if !self.state().rooms().get(&room).map_or("", Room::topic).is_empty() {
                        effects.direct(id, self.topic_of(&room));
                    }
                }
                Deed::Left => {
                    effects.direct(id, Notice::LeftRoom { room });
                    if self.session(id).target() == record.to {
                        self.talk_to(id, Target::Everyone, effects);
                    }
                }
                _ => {}
            }
        }
        self.resume(id, effects);
    }

    /// Tells a session that its event was refused, and lets it go on.
    pub fn not_moved(&mut self, id: SessionId, error: Error<'_>, effects: &mut Effects) {
        if self.is_open(id) && !self.is_ending(id) {
            effects.direct(id, error);
            self.resume(id, effects);
        }
    }
}
