//! What a client's user is to be told.

use super::login::Token;
use crate::protocol::event::Deed;
use crate::protocol::name::Name;
use crate::protocol::record::{Body, Record, Target, Timestamp};
use crate::protocol::reply::{Error, code};
use crate::protocol::room::RoomName;

/// A line that was submitted: numbered from 0 on, in order.
pub type LineId = u64;

/// Something to be told, in the order in which it is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The other side is a chinwag server.
    Greeted,
    /// Logged in, under the name as it was registered.
    Welcome(Name),
    /// The server refused the login.
    LoginFailed(Refusal),
    /// The server refused the token, which is to be forgotten: only the password helps now.
    TokenRefused {
        /// The account's name, as it was given.
        name: String,
        /// Why.
        refusal: Refusal,
    },
    /// The server issued a token, which is to be kept for the next time.
    Token {
        /// Whose it is.
        name: Name,
        /// As good as a password.
        token: Token,
    },
    /// The other side is not a chinwag server; its first line, cleaned.
    NotChinwag(String),
    /// A message.
    Message(Message),
    /// These came, and so many others.
    Joined(Vec<Name>, u32),
    /// These went, and so many others.
    Left(Vec<Name>, u32),
    /// Who is online, as it was asked for.
    Users(Vec<Name>),
    /// The list of those online is another than before.
    Online,
    /// The end of the messages that were asked for.
    EndOfHistory {
        /// How many there were at most, those of who is ignored included.
        count: usize,
    },
    /// Words of the server or of the client itself, without a mark at their beginning.
    Notice(String),
    /// A line was not taken, by the server or already here.
    Refused {
        /// Which.
        id: LineId,
        /// As it was submitted.
        line: String,
        /// Why.
        refusal: Refusal,
    },
    /// The connection went before the line was acknowledged; whether it was taken is not known yet.
    Unconfirmed {
        /// Which.
        id: LineId,
        /// As it was submitted.
        line: String,
    },
    /// The line was not taken, and never will be.
    NotSent {
        /// Which.
        id: LineId,
        /// As it was submitted.
        line: String,
    },
    /// An error that answers no line.
    Error(Refusal),
    /// The list of who is ignored has changed, and is to be kept.
    IgnoredChanged,
    /// The server has said goodbye.
    Bye,
}

/// An error: `! CODE: WORDS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, in kebab-case: one of [`code`], or a newer server's.
    pub code: String,
    /// For people.
    pub words: String,
}

/// Errors that end a connection, or answer no line.
const OF_THE_CONNECTION: [&str; 7] = [
    code::SERVER_FULL,
    code::TOO_MANY_CONNECTIONS,
    code::LOGIN_TIMEOUT,
    code::HISTORY_UNAVAILABLE,
    code::UNFINISHED_LINE,
    code::REPLACED,
    code::SIGNED_OUT,
];

impl Refusal {
    /// Whether it concerns the connection and answers no line.
    pub fn is_of_the_connection(&self) -> bool {
        OF_THE_CONNECTION.contains(&self.code.as_str())
    }

    /// Whether the session was ended for good: to reconnect by itself would only end another one.
    pub fn ends_the_session(&self) -> bool {
        matches!(self.code.as_str(), code::REPLACED | code::SIGNED_OUT)
    }
}

impl From<Error<'_>> for Refusal {
    fn from(error: Error<'_>) -> Refusal {
        let code = Some(error.code()).filter(|code| !code.is_empty());
        Refusal { code: code.unwrap_or("error").into(), words: error.to_string() }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.words)
    }
}

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was said just now.
    Live,
    /// It was missed, while away or while the connection was down.
    Missed,
    /// It was asked for and is not new.
    Asked,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// When it was said, and its id.
    pub at: Timestamp,
    /// Who said it.
    pub from: Name,
    /// Where it was said.
    pub to: Target,
    /// What was said, clean, or what was done.
    pub text: String,
    /// Whether it is an event: its text continues a sentence about its author.
    pub is_deed: bool,
    /// How it came.
    pub origin: Origin,
    /// The submitted line whose receipt it is.
    pub receipt: Option<LineId>,
}

impl Message {
    /// The message in a clean line without its ending, or `None` where it is none.
    pub fn parse(line: &str) -> Option<Message> {
        let Record { at, from, to, body } = Record::parse(line)?;
        let (text, is_deed) = match body {
            Body::Text(text) => (text.to_owned(), false),
            Body::Deed(deed) => (deed.to_string(), true),
        };
        Some(Message { at, from, to, text, is_deed, origin: Origin::Live, receipt: None })
    }

    /// Whether it was said in private.
    pub fn is_private(&self) -> bool {
        matches!(self.to, Target::Person(_))
    }

    /// The room in which it was said.
    pub fn room(&self) -> Option<RoomName> {
        match self.to {
            Target::Room(room) => Some(room),
            _ => None,
        }
    }

    /// What its sender does, where the text is written as `/me does`.
    pub fn action(&self) -> Option<&str> {
        if self.is_deed {
            return Some(&self.text);
        }
        self.text.strip_prefix("/me ").map(str::trim).filter(|action| !action.is_empty())
    }
}

impl std::fmt::Display for Message {
    /// As the server writes it, without the ending.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Message { at, from, to, text, .. } = self;
        let body = if self.is_deed { Deed::parse(text).map(Body::Deed) } else { None };
        Record { at: *at, from: *from, to: *to, body: body.unwrap_or(Body::Text(text)) }.fmt(f)
    }
}
