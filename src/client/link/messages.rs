//! What the user and the connection's thread tell each other.

use std::time::Duration;

use crate::client::{Credentials, Event, Token};

/// How it behaves.
#[derive(Clone, Copy, Debug)]
pub struct LinkOptions {
    /// A lost connection is made again.
    pub reconnects: bool,
    /// Lines wait until one is logged in; otherwise it is told at once that they were not sent.
    pub holds_lines: bool,
}

/// What the user wants.
pub enum Command {
    /// To log in with a password.
    LogIn(Credentials),
    /// To log in with a token.
    Resume {
        /// The account's name.
        name: String,
        /// Issued for it earlier.
        token: Token,
    },
    /// To say something, or have something done.
    Submit(String),
    /// To leave now.
    Leave,
    /// To leave once everything is answered.
    Finish,
}

/// What has happened.
pub enum Update {
    /// The client has something to tell.
    Event(Event),
    /// The connection is gone; it is tried again after the pause.
    Lost(String, Duration),
    /// It is all over.
    Ended(End),
}

/// How it was over.
pub struct End {
    /// Why it could not go on; `None` where the user left.
    pub why: Option<String>,
    /// What was said and never acknowledged.
    pub unacknowledged: Vec<String>,
}
