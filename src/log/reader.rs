//! Who reads the log, and what of it they may see.

use crate::log::judge::Message;
use crate::protocol::name::Name;
use crate::protocol::record::{Audience, Ends, Timestamp};

/// What the log has to know of rooms. The state knows it.
pub trait Rooms {
    /// From when on a person sees the lines of the room whose name is `room` behind its sign; `None` if they see none.
    fn shown_from(&self, reader: &Name, room: &[u8]) -> Option<Timestamp>;
}

/// A reader of the log.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// Their name.
    pub name: Name,
    /// Which rooms they see.
    pub rooms: &'a dyn Rooms,
}

impl Reader<'_> {
    /// Whether the reader may see a line.
    pub fn sees(&self, message: &Message<'_>) -> bool {
        let Ends { from, to, about, .. } = &message.ends;
        match to {
            Audience::Public => true,
            Audience::Private(to) => self.name.is(to) || self.name.is(from),
            Audience::Room(room) => {
                about.is_some_and(|name| name == self.name)
                    || self.rooms.shown_from(&self.name, room).is_some_and(|from| message.timestamp >= from)
            }
        }
    }
}

/// For logs without rooms.
#[cfg(test)]
pub struct NoRooms;

#[cfg(test)]
impl Rooms for NoRooms {
    fn shown_from(&self, _reader: &Name, _room: &[u8]) -> Option<Timestamp> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::record::message_ends;

    struct OneRoom;

    impl Rooms for OneRoom {
        fn shown_from(&self, reader: &Name, room: &[u8]) -> Option<Timestamp> {
            (reader.is(b"alice") && room == b"rust").then_some(Timestamp::from_micros(5))
        }
    }

    fn sees(reader: &str, micros: u64, line: &str) -> bool {
        let timestamp = Timestamp::from_micros(micros);
        let line = format!("{timestamp} {line}\n");
        let message = Message { timestamp, ends: message_ends(line.as_bytes()).unwrap() };
        Reader { name: Name::parse(reader.as_bytes()).unwrap(), rooms: &OneRoom }.sees(&message)
    }

    #[test]
    fn a_private_line_is_visible_to_its_two_ends_and_nobody_else() {
        for (reader, expected) in
            [("alice", true), ("BOB", true), ("carol", false), ("bo", false), ("bobb", false), ("Z", false)]
        {
            assert_eq!(sees(reader, 9, "Alice -> bob: carol"), expected, "{reader}");
            assert!(sees(reader, 9, "Alice: #rust"));
        }
    }

    #[test]
    fn a_line_of_a_room_is_visible_to_its_members_since_they_see_it() {
        for (line, at, expected) in [
            ("bob -> #rust: alice", 5, true),
            ("bob -> #rust: alice", 4, false),
            ("bob -> #rust joined", 6, true),
            ("bob -> #board: alice", 6, false),
            ("alice -> #board: hi", 6, false),
        ] {
            assert_eq!(sees("alice", at, line), expected, "{line}");
            assert!(!sees("bob", at, line), "{line}");
        }
    }

    #[test]
    fn who_is_invited_or_removed_is_shown_that() {
        for line in ["alice -> #board invited bob", "alice -> #board removed bob: why"] {
            assert!(sees("bob", 1, line), "{line}");
            assert!(!sees("carol", 1, line), "{line}");
        }
        assert!(!sees("bob", 1, "alice -> #board made bob an owner"));
        assert!(!sees("bob", 1, "alice -> #board topic: invited bob"));
    }
}
