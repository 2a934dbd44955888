//! What the server tells a client beside messages: notices and errors, to lines and back.
//!
//! A line's words stand once, in the table of [`notice`] or [`error`], from which both directions are made. Clients
//! decide by variants and by [codes](code), and show the words.
//!
//! A line of a newer server is still a reply: one with unknown words is [`Notice::Other`] or [`Error::Other`].

pub mod code;
pub mod error;
pub mod notice;

use std::fmt;

pub use self::error::Error;
pub use self::notice::{About, Crowd, HelpEntry, Names, Notice};

/// What a connection is told first.
pub const GREETING: [Notice<'static>; 3] = [
    Notice::Greeting { about: concat!(env!("CARGO_PKG_VERSION"), ": a chat; what is said here is kept") },
    Notice::NewHere,
    Notice::HaveAccount,
];

/// A line of the server that is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// `* WORDS`
    Notice(Notice<'a>),
    /// `! CODE: WORDS`
    Error(Error<'a>),
}

impl Reply<'_> {
    /// Returns the reply in a line without its ending, or `None` if it is none. It displays as that line.
    pub fn parse(line: &str) -> Option<Reply<'_>> {
        if let Some(words) = line.strip_prefix("* ") {
            return Some(Reply::Notice(Notice::parse(words)));
        }
        let text = line.strip_prefix("! ")?;
        let error = match text.split_once(": ") {
            Some((code, words)) if !code.is_empty() => Error::parse(code, words),
            _ => Error::Other { code: "", words: text },
        };
        Some(Reply::Error(error))
    }
}

impl fmt::Display for Reply<'_> {
    /// Writes the line without its ending.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Notice(notice) => write!(f, "* {notice}"),
            Reply::Error(error) if error.code().is_empty() => write!(f, "! {error}"),
            Reply::Error(error) => write!(f, "! {}: {error}", error.code()),
        }
    }
}

impl<'a> From<Notice<'a>> for Reply<'a> {
    fn from(notice: Notice<'a>) -> Reply<'a> {
        Reply::Notice(notice)
    }
}

impl<'a> From<Error<'a>> for Reply<'a> {
    fn from(error: Error<'a>) -> Reply<'a> {
        Reply::Error(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::name::Name;
    use crate::protocol::record::Timestamp;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn every_reply_is_read_back_from_its_line() {
        let notices = Notice::samples().into_iter().map(Reply::from);
        let errors = Error::samples().into_iter().map(Reply::from);
        for reply in notices.chain(errors) {
            let line = reply.to_string();
            assert_eq!(Reply::parse(&line), Some(reply), "{line}");
        }
    }

    #[test]
    fn every_error_has_a_code_on_the_list_and_every_code_an_error() {
        let used: Vec<&str> = Error::samples().iter().map(Error::code).collect();
        for code in &used {
            assert!(code::ALL.contains(code), "{code}");
            assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code}");
        }
        for code in code::ALL {
            assert!(used.contains(code), "{code}");
        }
    }

    #[test]
    fn replies_of_a_newer_server_can_be_used() {
        let words = "the weather is fine";
        assert_eq!(Reply::parse("* the weather is fine"), Some(Notice::Other { words }.into()));
        let unknown = Error::Other { code: "bad-weather", words };
        assert_eq!(Reply::parse("! bad-weather: the weather is fine"), Some(unknown.into()));
        let reworded = Reply::parse("! bad-login: no");
        assert_eq!(reworded, Some(Error::Other { code: code::BAD_LOGIN, words: "no" }.into()));
    }

    #[test]
    fn words_that_are_not_written_like_that_are_other_words() {
        let others = ["* 03 online", "* +3 online", "* a and b, c joined", "* 7up joined", "* a  joined"];
        for line in others.into_iter().chain(["* welcome 7up", "* users:  a", "* Bye", "* bye "]) {
            let words = &line[2..];
            assert_eq!(Reply::parse(line), Some(Notice::Other { words }.into()), "{line}");
        }
        let at = "2026-02-30T00:00:00.000000Z";
        let line = format!("! damaged: 7 bytes at {at} cannot be shown");
        assert!(matches!(Reply::parse(&line), Some(Reply::Error(Error::Other { code: "damaged", .. }))));
        for words in ["no code", ": no code", ""] {
            let uncoded = Error::Other { code: "", words };
            assert_eq!(Reply::parse(&format!("! {words}")), Some(uncoded.into()), "{words}");
        }
        for line in ["", "*", "*bye", "!", "2026-11-22T12:03:11.042317Z bob: * bye", " * bye"] {
            assert_eq!(Reply::parse(line), None, "{line}");
        }
    }

    #[test]
    fn names_that_are_words_of_a_notice_are_found_in_it() {
        let crowd = |names: &[&str], others| {
            let names = names.iter().map(|text| name(text)).collect::<Vec<_>>();
            Crowd { names: names.into(), others }
        };
        let names = ["joined", "left", "and", "others"];
        let joined = Notice::Joined { who: crowd(&names, 0) };
        assert_eq!(joined.to_string(), "joined, left, and and others joined");
        assert_eq!(Notice::parse("joined, left, and and others joined"), joined);
        let left = Notice::Left { who: crowd(&["others", "and"], 3) };
        assert_eq!(Notice::parse("others, and and 3 others left"), left);
    }

    #[test]
    fn lines_are_written_as_the_protocol_says() {
        let lines = [
            (Reply::from(Notice::Welcome { name: name("Alice") }), "* welcome Alice"),
            (Notice::Users { names: Names(vec![name("a"), name("B")].into()) }.into(), "* users: a B"),
            (Notice::Online { count: 3 }.into(), "* 3 online"),
            (Notice::MoreFrom { more: 12, name: name("bob") }.into(), "* 12 more from bob: /history bob"),
            (
                Notice::Help { entry: HelpEntry { form: "/help", does: "show this list" } }.into(),
                "* /help                    show this list",
            ),
            (Error::BadLogin.into(), "! bad-login: wrong name or password"),
            (
                Error::Damaged { bytes: 7, at: Timestamp::default() }.into(),
                "! damaged: 7 bytes at 1970-01-01T00:00:00.000000Z cannot be shown",
            ),
        ];
        for (reply, line) in lines {
            assert_eq!(reply.to_string(), line);
        }
    }
}
