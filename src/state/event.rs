//! Events: everything durable that the state depends on, and why an event is refused.
//!
//! An event is one line of a file. [`protocol::record`](crate::protocol::record) reads and writes the line of a
//! message, [`users`](crate::state::users) that of an account record, each for the running server, for its start and
//! for the operator's tools.

use crate::protocol::event::Deed;
use crate::protocol::name::Name;
use crate::protocol::record::{Audience, Body, Ends, Record, Target, Timestamp, deed_in};
use crate::protocol::reply::Error;
use crate::protocol::room::RoomName;
use crate::state::users::UserRecord;

/// Something that happened once and lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message. The state depends on the names in it, not on its text.
    Message {
        /// Its author.
        from: Name,
        /// Where it was said.
        to: Target,
    },
    /// Any other line of the log.
    Deed {
        /// When.
        at: Timestamp,
        /// Who did it.
        by: Name,
        /// Where.
        to: Target,
        /// What.
        deed: Deed<'a>,
    },
    /// A line of `users.txt`.
    Account(UserRecord),
    /// A name occurs elsewhere than in an event: it has a read mark, or is in the torn end of a `users.txt` of version
    /// 0.1. It was somebody's, so nobody else may register it.
    Trace(Name),
}

impl<'a> Event<'a> {
    /// The event of a line of the log that has this time and these ends, or `None` if they are no names.
    pub fn of_line(line: &'a [u8], at: Timestamp, ends: &Ends<'_>) -> Option<Event<'a>> {
        let from = Name::parse(ends.from)?;
        let to = match ends.to {
            Audience::Public => Target::Everyone,
            Audience::Room(room) => Target::Room(RoomName::without_sign(room)?),
            Audience::Private(to) => Target::Person(Name::parse(to)?),
        };
        match ends.is_deed {
            true => Some(Event::Deed { at, by: from, to, deed: deed_in(line, ends)? }),
            false => Some(Event::Message { from, to }),
        }
    }

    /// The event of a durable line.
    pub fn of(record: &Record<'a>) -> Event<'a> {
        let Record { at, from, to, body } = *record;
        match body {
            Body::Text(_) => Event::Message { from, to },
            Body::Deed(deed) => Event::Deed { at, by: from, to, deed },
        }
    }
}

/// Why an event is refused; see [`State::admit`](crate::state::durable::State::admit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is an account of this name, or it is reserved.
    NameTaken(Name),
    /// The first name looks like the second one, which an account has.
    NameLooksLike(Name, Name),
    /// The name looks like one that is reserved.
    NameLooksTaken(Name),
    /// There is an account of this name, and the record is of another registration.
    RegisteredTwice(Name),
    /// The record does not spell the name as its account does.
    SpelledDifferently(Name),
    /// There is no account of this name.
    NoAccount(Name),
    /// Nobody can log in as the name, which only a code changes.
    Locked(Name),
    /// There is a private room of this name, and the person is not invited.
    RoomTaken(RoomName),
    /// There is a room of this name, which the person can join.
    RoomExists(RoomName),
    /// There is no room of this name, or none that the person may know of.
    NoRoom(RoomName),
    /// The person is not a member of the room.
    NotMember(RoomName),
    /// Only owners of the room may do this.
    NotOwner(RoomName),
    /// They are a member of the room.
    AlreadyMember(Name, RoomName),
    /// They are invited to the room.
    AlreadyInvited(Name, RoomName),
    /// They are neither a member of the room nor invited to it.
    NoSuchMember(Name, RoomName),
    /// They own the room.
    AlreadyOwner(Name, RoomName),
    /// They do not own the room.
    NoSuchOwner(Name, RoomName),
    /// The room would have no owner.
    LastOwner(RoomName),
    /// An owner cannot remove themselves.
    RemovesSelf(RoomName),
    /// The room has this setting already.
    IsSo(RoomName),
    /// Nothing of this kind is done there.
    OutOfPlace,
}

impl Refusal {
    /// The reply to the person who caused the event.
    pub fn to_error(self) -> Error<'static> {
        match self {
            Refusal::NameTaken(name) | Refusal::RegisteredTwice(name) | Refusal::SpelledDifferently(name) => {
                Error::NameTaken { name }
            }
            Refusal::NameLooksLike(name, other) => Error::NameLooksLike { name, other },
            Refusal::NameLooksTaken(name) => Error::NameLooksTaken { name },
            Refusal::NoAccount(name) => Error::NoSuchUser { name },
            Refusal::Locked(_) => Error::BadCode,
            Refusal::RoomTaken(room) => Error::RoomTaken { room },
            Refusal::RoomExists(room) => Error::RoomIsOpen { room },
            Refusal::NoRoom(room) => Error::NoSuchRoom { room },
            Refusal::NotMember(room) => Error::NotMember { room },
            Refusal::NotOwner(room) => Error::NotOwner { room },
            Refusal::AlreadyMember(name, room) => Error::AlreadyMember { name, room },
            Refusal::AlreadyInvited(name, room) => Error::AlreadyInvited { name, room },
            Refusal::NoSuchMember(name, room) => Error::NoSuchMember { name, room },
            Refusal::AlreadyOwner(name, room) => Error::AlreadyOwner { name, room },
            Refusal::NoSuchOwner(name, room) => Error::NoSuchOwner { name, room },
            Refusal::LastOwner(room) => Error::LastOwner { room },
            Refusal::RemovesSelf(room) => Error::RemovesSelf { room },
            Refusal::IsSo(room) => Error::IsSo { room },
            Refusal::OutOfPlace => Error::OutOfPlace,
        }
    }

    /// What is wrong with a file that holds such an event, or `None` if a server may have written it nevertheless:
    ///
    /// - Version 0.1 let names that look alike be registered. Nor does a compacted file tell that a name was given back
    ///   with a code, which may look like another one.
    /// - A code is revoked by the record before the password that was chosen with it.
    pub fn damage(self) -> Option<&'static str> {
        match self {
            Refusal::RegisteredTwice(_) => Some("a second registration of a name"),
            Refusal::SpelledDifferently(_) => Some("a second account of a name, spelled differently"),
            Refusal::NoAccount(_) => Some("a token, a code or a revocation of no account"),
            Refusal::NameTaken(_)
            | Refusal::NameLooksLike(..)
            | Refusal::NameLooksTaken(_)
            | Refusal::Locked(_) => None,
            Refusal::RoomTaken(_)
            | Refusal::RoomExists(_)
            | Refusal::NoRoom(_)
            | Refusal::NotMember(_)
            | Refusal::NotOwner(_)
            | Refusal::AlreadyMember(..)
            | Refusal::AlreadyInvited(..)
            | Refusal::NoSuchMember(..)
            | Refusal::AlreadyOwner(..)
            | Refusal::NoSuchOwner(..)
            | Refusal::LastOwner(_)
            | Refusal::RemovesSelf(_)
            | Refusal::IsSo(_)
            | Refusal::OutOfPlace => Some("an event that the ones before it do not allow"),
        }
    }
}
