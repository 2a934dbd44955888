//! Events: everything durable that the state depends on, and why an event is refused.
//!
//! An event is one line of a file. [`protocol::record`](crate::protocol::record) reads and writes the line of a
//! message, [`users`](crate::state::users) that of an account record, each for the running server, for its start and
//! for the operator's tools.

use crate::protocol::name::Name;
use crate::protocol::record::{Audience, Ends};
use crate::protocol::reply::Error;
use crate::state::users::UserRecord;

/// Something that happened once and lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A line of the log. The state depends on the names in it, not on its text.
    Message {
        /// Its author.
        from: Name,
        /// Who it is for; `None` for everyone.
        to: Option<Name>,
    },
    /// A line of `users.txt`.
    Account(UserRecord),
    /// A name occurs elsewhere than in an event: it has a read mark, or is in the torn end of a `users.txt` of version
    /// 0.1. It was somebody's, so nobody else may register it.
    Trace(Name),
}

impl Event {
    /// The event of a message with these ends, or `None` if they are no names.
    pub fn message(ends: &Ends<'_>) -> Option<Event> {
        let from = Name::parse(ends.from)?;
        let to = match ends.to {
            Audience::Private(to) => Some(Name::parse(to)?),
            Audience::Public => None,
        };
        Some(Event::Message { from, to })
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
        }
    }
}
