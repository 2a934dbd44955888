//! Lines that were sent and are not answered yet. Answers come in the order of the lines, so only the first can be
//! the one that is answered.

use std::collections::VecDeque;

use super::event::{LineId, Message};
use crate::protocol::record::Target;

/// What a line asks for, as far as its answer must be told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The server's welcome.
    Login,
    /// The message's own copy.
    Message {
        /// Where it is said.
        to: Target,
        /// What is said.
        text: String,
    },
    /// Messages up to `* end of history`.
    History(Purpose),
    /// `* talking to …`
    To {
        /// Where lines went before.
        before: Target,
    },
    /// Its own event, or `* you left …`
    Deed,
    /// Lines up to `* rooms: N`
    Rooms,
    /// Names up to `* members of #ROOM: N`
    Members,
    /// `* topic of …` or that there is none.
    Topic,
    /// `* pong …`
    Ping,
    /// Names up to `* N online`. Not to be shown where the client itself wants to know.
    Users {
        /// Whether the user asked.
        is_shown: bool,
    },
    /// `* replay N`. Not to be shown where the client itself asked for it.
    Replay {
        /// Whether the user asked.
        is_shown: bool,
    },
    /// `* password changed`
    Passwd {
        /// The password from then on, if it is clear where it begins.
        new: Option<String>,
    },
    /// `* token HEX`, which is never shown.
    Token,
    /// `* bye`
    Quit,
}

/// Why messages are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The user wants to see them.
    Show,
    /// The newest one, to know from where to go on after a lost connection.
    Baseline,
    /// What was missed while the connection was down.
    Resume,
}

/// One such line.
#[derive(Clone, Debug)]
pub struct Pending {
    /// `None` where the client itself asks.
    pub id: Option<LineId>,
    /// As it was submitted.
    pub line: String,
    /// What it asks for.
    pub asked: Asked,
}

impl Pending {
    /// Whether this is the message that was sent.
    pub fn is_receipt(&self, message: &Message) -> bool {
        match &self.asked {
            Asked::Message { to, text } => !message.is_deed && *to == message.to && *text == message.text,
            Asked::Deed => message.is_deed,
            _ => false,
        }
    }
}

/// Those lines in their order.
pub type Queue = VecDeque<Pending>;
