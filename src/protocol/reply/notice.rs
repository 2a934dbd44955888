//! Notices: what the server tells people that is neither a message nor an error.

use std::borrow::Cow;
use std::fmt;

use crate::protocol::name::Name;
use crate::protocol::room::RoomName;
use crate::protocol::wording::{Field, wordings};

wordings! {
    /// A notice.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Notice {
        /// A server's first line: its version and what it is.
        Greeting { about: &'a str } ["chinwag " about]
        /// The second line: how to register.
        NewHere ["new here? /register NAME PASSWORD"]
        /// The third line: how to log in.
        HaveAccount ["have an account? /login NAME PASSWORD; /help lists all commands"]
        /// The session is logged in.
        Welcome { name: Name } ["welcome " name]
        /// These accounts came online.
        Joined { who: Crowd<'a> } [who " joined"]
        /// These accounts went offline.
        Left { who: Crowd<'a> } [who " left"]
        /// Some of those who are online: `/users` is answered with any number of these and [`Notice::Online`].
        Users { names: Names<'a> } ["users: " names]
        /// The number of accounts that are online, which ends the answer to `/users`.
        Online { count: u64 } [count " online"]
        /// What the session says goes to everyone from here on.
        TalkingToEveryone ["talking to everyone"]
        /// What the session says goes to a room from here on.
        TalkingToRoom { room: RoomName } ["talking to " room]
        /// What the session says goes to a person from here on.
        TalkingTo { name: Name } ["talking to " name]
        /// What a room is about.
        TopicOf { room: RoomName, text: &'a str } ["topic of " room ": " text]
        /// A room has no topic.
        NoTopicOf { room: RoomName } [room " has no topic"]
        /// The session's account has left a room.
        LeftRoom { room: RoomName } ["you left " room]
        /// A room in the answer to `/rooms` that the account is in.
        OwnRoom { room: RoomName, about: About<'a> } ["in " room ": " about]
        /// A room in the answer to `/rooms` that the account is invited to.
        InvitedTo { room: RoomName } ["invited to " room ": /join " room]
        /// A room in the answer to `/rooms` that anybody may join.
        OpenRoom { room: RoomName, about: About<'a> } ["open " room ": " about]
        /// The number of rooms, which ends the answer to `/rooms`.
        Rooms { count: u64 } ["rooms: " count]
        /// Some of the members of a room: `/users #ROOM` is answered with any number of these and
        /// [`Notice::RoomMembers`].
        UsersOf { room: RoomName, names: Names<'a> } ["users of " room ": " names]
        /// Some of the members that are not online.
        AwayOf { room: RoomName, names: Names<'a> } ["not online, of " room ": " names]
        /// The owners among these.
        OwnersOf { room: RoomName, names: Names<'a> } ["owners of " room ": " names]
        /// The number of members of a room, which ends the answer to `/users #ROOM`.
        RoomMembers { room: RoomName, count: u64 } ["members of " room ": " count]
        /// The answer to `/ping`.
        Pong { text: &'a str } ["pong " text]
        /// The end of the answer to `/history`.
        EndOfHistory ["end of history"]
        /// A login does not show so many private messages from this sender.
        MoreFrom { more: u64, name: Name } [more " more from " name ": /history " name]
        /// A login does not show so many private messages from senders that are not listed.
        MoreFromOthers { more: u64 } [more " more from others: /history"]
        /// Logins show so many missed public messages from now on.
        Replay { count: u64 } ["replay " count]
        /// The password was changed.
        PasswordChanged ["password changed"]
        /// The token that was asked for, as 32 hexadecimal digits.
        Token { token: &'a str } ["token " token]
        /// A code was accepted for choosing a new password.
        CodeAccepted { name: Name } ["code accepted: now /register " name " PASSWORD"]
        /// A private message waits for its recipient.
        Offline { name: Name } [name " is offline and will see it at the next login"]
        /// An attempt waits because others failed before.
        LoginDelayed { seconds: u64 } ["after failed logins, this attempt will be checked in " seconds " s"]
        /// A registration waits until all names in the history are known.
        RegistrationDelayed ["the server is still reading its history; your registration follows"]
        /// A login waits until all events in the history are known.
        LoginWaits ["the server is still reading its history; your login follows"]
        /// The client was behind, and presence notices are not in the log.
        PresenceMissed ["you may have missed who joined and left; /users lists who is online"]
        /// Version 0.1's [`Notice::LoginDelayed`].
        LoginDelayed01 { seconds: u64 } ["after failed logins this one is checked in " seconds " s"]
        /// Version 0.1's [`Notice::PresenceMissed`].
        PresenceMissed01 ["who came and went meanwhile was not shown; /users tells who is here"]
        /// The server shuts down.
        ShuttingDown ["the server is shutting down"]
        /// The answer to `/quit`.
        Bye ["bye"]
        /// The last line of the answer to `/help`.
        HelpOnMessages
            ["anything else is a message, to everyone or where /to says; your own copy of it means that it is on disk"]
        /// A line of the answer to `/help`.
        Help { entry: HelpEntry<'a> } [entry]
        ;
        /// Words that this version does not know.
        Other { words } [words]
    }
}

impl<'a> Notice<'a> {
    /// Returns the notice with these words.
    pub fn parse(words: &'a str) -> Notice<'a> {
        Notice::read(words, |_| true).unwrap_or(Notice::Other { words })
    }
}

/// Accounts that came or went together: `a`, `a and b`, `a, b and c`, `a, b and 41 others`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crowd<'a> {
    /// Those that are named, at least one.
    pub names: Cow<'a, [Name]>,
    /// The number of those that are not.
    pub others: u32,
}

impl fmt::Display for Crowd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.names.len() - usize::from(self.others == 0).min(self.names.len());
        for (position, name) in self.names.iter().enumerate() {
            let before = match position {
                0 => "",
                _ if position == last => " and ",
                _ => ", ",
            };
            write!(f, "{before}{name}")?;
        }
        match self.others {
            0 => Ok(()),
            others if self.names.is_empty() => write!(f, "{others} others"),
            others => write!(f, " and {others} others"),
        }
    }
}

impl<'a> Field<'a> for Crowd<'a> {
    fn read(text: &'a str) -> Option<Crowd<'a>> {
        let (names, others) = match text.strip_suffix(" others").and_then(|it| it.rsplit_once(" and ")) {
            Some((names, count)) if count.starts_with(|first: char| first.is_ascii_digit()) => {
                (names.to_owned(), count.parse().ok()?)
            }
            _ => (
                text.rsplit_once(" and ").map_or(text.to_owned(), |(most, last)| format!("{most}, {last}")),
                0,
            ),
        };
        let names: Option<Vec<Name>> = names.split(", ").map(Field::read).collect();
        Some(Crowd { names: names?.into(), others })
    }

    #[cfg(test)]
    fn sample(number: usize) -> Crowd<'a> {
        let names: Vec<Name> = (0..=number).map(Field::sample).collect();
        Crowd { names: names.into(), others: [0, 0, 7][number] }
    }
}

/// Names, with a space between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names<'a>(pub Cow<'a, [Name]>);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, name) in self.0.iter().enumerate() {
            f.write_str(if position > 0 { " " } else { "" })?;
            fmt::Display::fmt(name, f)?;
        }
        Ok(())
    }
}

impl<'a> Field<'a> for Names<'a> {
    fn read(text: &'a str) -> Option<Names<'a>> {
        text.split(' ').map(Field::read).collect::<Option<Vec<Name>>>().map(|names| Names(names.into()))
    }

    #[cfg(test)]
    fn sample(number: usize) -> Names<'a> {
        Names((0..=number).map(Field::sample).collect::<Vec<_>>().into())
    }
}

/// A room in the answer to `/rooms`, without its name: `3 members, private: TOPIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About<'a> {
    /// How many people are in it.
    pub members: u64,
    /// Whether people need an invitation.
    pub is_private: bool,
    /// Whether only owners speak.
    pub announces: bool,
    /// Its topic; empty if it has none.
    pub topic: &'a str,
}

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.members, if self.members == 1 { "member" } else { "members" })?;
        f.write_str(if self.is_private { ", private" } else { "" })?;
        f.write_str(if self.announces { ", only owners speak" } else { "" })?;
        match self.topic {
            "" => Ok(()),
            topic => write!(f, ": {topic}"),
        }
    }
}

impl<'a> Field<'a> for About<'a> {
    fn read(text: &'a str) -> Option<About<'a>> {
        let strip = |text: &'a str, words: &str| match text.strip_prefix(words) {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (members, rest) = text.split_once(" member")?;
        let members = members.parse().ok()?;
        let (_, rest) = strip(rest, "s");
        let (is_private, rest) = strip(rest, ", private");
        let (announces, rest) = strip(rest, ", only owners speak");
        let topic = if rest.is_empty() { "" } else { rest.strip_prefix(": ")? };
        Some(About { members, is_private, announces, topic })
    }

    #[cfg(test)]
    fn sample(number: usize) -> About<'a> {
        let topic = ["", "a topic: x", ""][number];
        About { members: number as u64, is_private: number == 1, announces: number > 0, topic }
    }
}

/// A form of a command and what it does, in two columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelpEntry<'a> {
    /// Such as `/msg NAME TEXT`.
    pub form: &'a str,
    /// What it does.
    pub does: &'a str,
}

/// Width of the first column.
const FORM_COLUMNS: usize = 24;

impl fmt::Display for HelpEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<FORM_COLUMNS$} {}", self.form, self.does)
    }
}

impl<'a> Field<'a> for HelpEntry<'a> {
    fn read(text: &'a str) -> Option<HelpEntry<'a>> {
        let (form, does) = text.split_at_checked(FORM_COLUMNS).filter(|_| text.starts_with('/'))?;
        Some(HelpEntry { form: form.trim_end(), does: does.strip_prefix(' ')? })
    }

    #[cfg(test)]
    fn sample(number: usize) -> HelpEntry<'a> {
        let forms = ["/help", "//TEXT", "/a-form/of-24/characters"];
        HelpEntry { form: forms[number], does: ["show this list", "x", "é"][number] }
    }
}
