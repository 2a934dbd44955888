//! What a line of a client asks for, as whoever wrote it means it.

use super::key;
use super::log::{Tag, must_not_be_kept, must_not_stand_in_a_text};
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
    /// A token for the account.
    Token,
    /// To log in with a token.
    Resume {
        name: String,
        token: String,
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

/// A text as it is to be kept: without what could move a cursor or hide, and with no more than 32 blanks in a row and
/// 16 accents on a letter.
pub fn clean(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut blanks, mut accents) = (0, 0);
    for character in String::from_utf8_lossy(bytes).chars().filter(|&it| !must_not_be_kept(it)) {
        // Word breaks show nothing either.
        let (is_blank, is_accent) = (" \t\u{200b}".contains(character), character == '\u{301}');
        blanks = if is_blank { blanks + 1 } else { 0 };
        accents = if is_accent { accents + 1 } else { 0 };
        let is_bad = must_not_stand_in_a_text(character);
        if blanks <= 32 && accents <= 16 {
            text.push(if is_bad { char::REPLACEMENT_CHARACTER } else { character });
        }
    }
    text
}

/// How long the line of a message is, with its ending.
pub fn line_bytes(from: &str, to: Option<&str>, text: &str) -> usize {
    let ends = from.len() + to.map_or(0, |to| " -> ".len() + to.len());
    "2026-11-22T12:03:11.042317Z ".len() + ends + ": ".len() + text.len() + 1
}

/// Of the names that people here try to register, those that look like another one.
pub fn twin_of(name: &str) -> Option<&'static str> {
    let twins = [("cat-9", "cat_9"), ("eve_", "eve-")];
    let name = key(name);
    twins.iter().find_map(|&(one, other)| match () {
        () if name == one => Some(other),
        () if name == other => Some(one),
        () => None,
    })
}

/// And those that look like the server.
pub fn is_official(name: &str) -> bool {
    ["server", "y0u"].contains(&&*key(name))
}
