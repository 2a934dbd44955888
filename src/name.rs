//! An account's name: ASCII, at most [`NAME_BYTES_MAX`] bytes, one identity whatever the case.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::limits::NAME_BYTES_MAX;

/// `[A-Za-z][A-Za-z0-9_-]{0,19}`. Compared, ordered and hashed without regard to case, shown as it was given.
#[derive(Clone, Copy)]
pub struct Name {
    bytes: [u8; NAME_BYTES_MAX],
    length: u8,
}

impl Name {
    /// The name that `text` is, or `None` where it is not a valid one.
    pub fn parse(text: &[u8]) -> Option<Name> {
        let valid = text.len() <= NAME_BYTES_MAX
            && text.first()?.is_ascii_alphabetic()
            && text.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if !valid {
            return None;
        }
        let mut bytes = [0; NAME_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text);
        Some(Name { bytes, length: text.len() as u8 })
    }

    /// As it was given.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether `bytes` are this name, ignoring case.
    pub fn is(&self, bytes: &[u8]) -> bool {
        self.as_bytes().eq_ignore_ascii_case(bytes)
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("parse lets only ASCII in")
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.as_bytes().eq_ignore_ascii_case(other.as_bytes())
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut folded = self.bytes;
        folded.make_ascii_lowercase();
        state.write(&folded[..usize::from(self.length)]);
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        let folded = |name: &Name| name.bytes.map(|byte| byte.to_ascii_lowercase());
        // The unused bytes are zero and no name contains one, so whole arrays order as the names do.
        folded(self).cmp(&folded(other))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_starts_with_a_letter_and_has_at_most_twenty_of_the_allowed_bytes() {
        for valid in ["a", "Z", "alice", "a-b_c9", "abcdefghijklmnopqrst"] {
            assert_eq!(Name::parse(valid.as_bytes()).map(|name| name.to_string()).as_deref(), Some(valid));
        }
        for invalid in ["", "1a", "-a", "_a", "a b", "a:b", "älice", "abcdefghijklmnopqrstu", "a\n", "a.b"] {
            assert!(Name::parse(invalid.as_bytes()).is_none(), "{invalid:?}");
        }
    }

    #[test]
    fn names_in_other_cases_are_one_identity() {
        use std::collections::{BTreeSet, HashSet};
        let spellings = [&b"Alice"[..], b"alice", b"ALICE"].map(|text| Name::parse(text).unwrap());
        assert_eq!(spellings.iter().collect::<HashSet<_>>().len(), 1);
        assert_eq!(spellings.iter().collect::<BTreeSet<_>>().len(), 1);
        assert!(Name::parse(b"al").unwrap() < Name::parse(b"Alice").unwrap());
    }
}
