//! What a line of a client asks for, as whoever wrote it means it.

use super::log::{Tag, must_not_stand_in_a_text};
use super::stream::Range;

#[derive(Clone, Debug)]
pub enum Asked {
    /// A blank line.
    Nothing,
    /// A message, to everyone or to one, with its text as it is to be kept.
    Say {
        to: Option<String>,
        text: String,
        tag: Tag,
    },
    Register {
        name: String,
        password: String,
    },
    Login {
        name: String,
        password: String,
    },
    /// `is_right` where the old password is the account's.
    Passwd {
        new: String,
        is_right: bool,
    },
    History(Range),
    Users,
    Replay(u64),
    Help,
    Quit,
    /// What is answered with an error of this code, whoever asks.
    Misuse(&'static str),
    /// More than a connection may send without an ending: it is closed.
    Endless,
}

/// A text as it is to be kept: without what could move a cursor or hide.
pub fn clean(bytes: &[u8]) -> String {
    let replace = |it| if must_not_stand_in_a_text(it) { char::REPLACEMENT_CHARACTER } else { it };
    String::from_utf8_lossy(bytes).chars().map(replace).collect()
}

/// How long the line of a message is, with its ending.
pub fn line_bytes(from: &str, to: Option<&str>, text: &str) -> usize {
    let ends = from.len() + to.map_or(0, |to| " -> ".len() + to.len());
    "2026-11-22T12:03:11.042317Z ".len() + ends + ": ".len() + text.len() + 1
}
