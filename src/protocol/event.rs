//! The part of an event that says what was done. In its line, it follows who did it and where.
//!
//! ```text
//! 2026-11-22T12:03:11.042320Z alice -> #rust joined
//! 2026-11-22T12:03:11.042321Z alice -> #rust removed bob: spam
//! ```
//!
//! The words of each kind stand once, in the table below, from which they are written and read. Free text comes last.

use std::fmt;

use crate::protocol::name::Name;
use crate::protocol::wording::{Field, wordings};

wordings! {
    /// What was done.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    Deed {
        /// The room was created, with its creator as its first member and owner.
        Created { access: Access } ["created" access]
        /// Somebody became a member.
        Joined ["joined"]
        /// A member left.
        Left ["left"]
        /// A person may join a private room.
        Invited { name: Name } ["invited " name]
        /// A member was removed, or an invitation withdrawn.
        Removed { who: Because<'a> } ["removed " who]
        /// A member became an owner.
        Appointed { name: Name } ["made " name " an owner"]
        /// An owner is an ordinary member again.
        Dismissed { name: Name } ["dismissed " name " as an owner"]
        /// The room has a topic from here on; none if it is empty.
        Topic { text: &'a str } ["topic: " text]
        /// Only invited people can join from here on.
        MadePrivate ["made the room private"]
        /// Only owners speak from here on.
        MadeAnnounce ["let only owners speak"]
        /// All members speak from here on.
        MadeOpenToAll ["let everyone speak"]
        ;
        /// Words that this version does not know. They are never read as this.
        Other { words } [words]
    }
}

impl<'a> Deed<'a> {
    /// Returns what was done, in these words, or `None` if this version knows no such words.
    pub fn parse(words: &'a str) -> Option<Deed<'a>> {
        Deed::read(words, |_| true)
    }

    /// The person besides its author who may see the line, whether a member or not: it is about them.
    pub fn concerns(&self) -> Option<Name> {
        match self {
            Deed::Invited { name } => Some(*name),
            Deed::Removed { who } => Some(who.name),
            _ => None,
        }
    }
}

/// Who can enter a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Open,
    /// People who are invited.
    Private,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::Open => "",
            Access::Private => ", private",
        })
    }
}

impl Field<'_> for Access {
    fn read(text: &str) -> Option<Access> {
        [Access::Open, Access::Private].into_iter().find(|access| access.to_string() == text)
    }

    #[cfg(test)]
    fn sample(number: usize) -> Access {
        [Access::Open, Access::Private, Access::Open][number]
    }
}

/// A person, and why something is done to them; the reason can be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Because<'a> {
    /// Who.
    pub name: Name,
    /// Why.
    pub why: &'a str,
}

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            "" => self.name.fmt(f),
            why => write!(f, "{}: {why}", self.name),
        }
    }
}

impl<'a> Field<'a> for Because<'a> {
    fn read(text: &'a str) -> Option<Because<'a>> {
        let (name, why) = text.split_once(": ").unwrap_or((text, ""));
        Some(Because { name: Name::parse(name.as_bytes())?, why })
    }

    #[cfg(test)]
    fn sample(number: usize) -> Because<'a> {
        Because { name: Field::sample(number), why: ["", "spam", "a: b"][number] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deed_is_read_back_from_its_words() {
        for deed in Deed::samples() {
            assert_eq!(Deed::parse(&deed.to_string()), Some(deed), "{deed}");
        }
    }

    #[test]
    fn deeds_are_written_as_the_protocol_says() {
        let name = Name::parse(b"bob").unwrap();
        for (deed, words) in [
            (Deed::Created { access: Access::Open }, "created"),
            (Deed::Created { access: Access::Private }, "created, private"),
            (Deed::Removed { who: Because { name, why: "" } }, "removed bob"),
            (Deed::Removed { who: Because { name, why: "a: b" } }, "removed bob: a: b"),
            (Deed::Topic { text: "" }, "topic: "),
        ] {
            assert_eq!(deed.to_string(), words);
        }
    }

    #[test]
    fn other_words_are_no_deed() {
        for words in
            ["", "exploded", "joined ", "created, open", "removed ", "removed bob:", "invited 7", "left!"]
        {
            assert_eq!(Deed::parse(words), None, "{words}");
        }
    }
}
