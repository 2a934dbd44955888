//! A room's name: `#` and what an account's name is, one identity whatever the case.

use std::fmt;

use crate::protocol::name::Name;

/// `#[A-Za-z][A-Za-z0-9_-]{0,19}`. Compared, ordered and hashed without regard to case, shown as it was given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(Name);

impl RoomName {
    /// Returns the room's name that `text` is, with its `#`, or `None` if it is none.
    pub fn parse(text: &[u8]) -> Option<RoomName> {
        RoomName::without_sign(text.strip_prefix(b"#")?)
    }

    /// Returns the name of the room whose name is `text` behind its `#`.
    pub fn without_sign(text: &[u8]) -> Option<RoomName> {
        Name::parse(text).map(RoomName)
    }

    /// What follows the `#`, as it was given.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether `bytes` are what follows the `#`, ignoring case.
    pub fn is(&self, bytes: &[u8]) -> bool {
        self.0.is(bytes)
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_a_sign_and_a_name() {
        for valid in ["#a", "#Rust", "#a-b_c9", "#abcdefghijklmnopqrst"] {
            assert_eq!(
                RoomName::parse(valid.as_bytes()).map(|room| room.to_string()).as_deref(),
                Some(valid)
            );
        }
        for invalid in ["", "#", "rust", "##rust", "#1", "#a b", "#a:", "#abcdefghijklmnopqrstu", "#ä"] {
            assert!(RoomName::parse(invalid.as_bytes()).is_none(), "{invalid:?}");
        }
        assert_eq!(RoomName::parse(b"#RUST"), RoomName::parse(b"#rust"));
    }
}
