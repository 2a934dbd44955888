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

/// Names that could be mistaken for the server, for somebody in charge or, in a notice, for everyone or no one.
const OF_THE_SERVER: [&str; 43] = [
    "admin",
    "administrator",
    "alert",
    "all",
    "announcement",
    "anybody",
    "anyone",
    "broadcast",
    "chinwag",
    "chinwagd",
    "console",
    "daemon",
    "error",
    "everybody",
    "everyone",
    "help",
    "host",
    "me",
    "mod",
    "moderator",
    "nc",
    "nobody",
    "noone",
    "notice",
    "op",
    "operator",
    "other",
    "others",
    "owner",
    "root",
    "security",
    "server",
    "service",
    "somebody",
    "someone",
    "staff",
    "support",
    "sysadmin",
    "sysop",
    "system",
    "warning",
    "webmaster",
    "you",
];
/// Digits that stand for letters. In words as short as `me` they are ordinary: `m3`.
const DIGITS: [(u8, u8); 3] = [(b'3', b'e'), (b'4', b'a'), (b'7', b't')];
/// Letters of the shortest word in which [`DIGITS`] count.
const SPELLED_BYTES_MIN: usize = 4;

/// A name with every letter that can be taken for another replaced by one of them. Names that look alike have one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Look([u8; NAME_BYTES_MAX]);

/// Looks.
impl Name {
    /// Whether it could be mistaken for the server, whatever hyphens and underscores are in it.
    pub fn looks_official(&self) -> bool {
        let letters: Vec<u8> = self.as_bytes().iter().copied().filter(u8::is_ascii_alphanumeric).collect();
        let own = skeleton(&letters);
        let mut spelled = own;
        for byte in &mut spelled.0 {
            *byte = DIGITS.iter().find(|(digit, _)| digit == byte).map_or(*byte, |&(_, letter)| letter);
        }
        OF_THE_SERVER.iter().any(|word| {
            let looks = [word.to_string(), word.replace('i', "1"), word.to_ascii_uppercase()];
            let mut looks = looks.iter().map(|word| skeleton(word.as_bytes()));
            looks.any(|look| look == own || word.len() >= SPELLED_BYTES_MIN && look == spelled)
        })
    }

    /// Whether it could be mistaken for another name, the same one included.
    pub fn looks_like(&self, other: &Name) -> bool {
        self.look() == other.look()
    }

    /// What it looks like.
    pub fn look(&self) -> Look {
        skeleton(self.as_bytes())
    }
}

/// The rows of Unicode's confusables (UTS #39) that concern the characters of a name, and some pairs of letters that
/// run together in many fonts. A capital I looks like an l, but not like the i that it is the same letter as, so this
/// depends on how a name is spelled.
fn skeleton(name: &[u8]) -> Look {
    let (mut skeleton, mut length) = ([0; NAME_BYTES_MAX], 0);
    let mut rest = name;
    while let [byte, behind @ ..] = rest {
        rest = behind;
        let (look, pair) = match (*byte, behind.first()) {
            (b'r', Some(b'n')) => (b'm', true),
            (b'v' | b'V', Some(b'v' | b'V')) => (b'w', true),
            (b'c', Some(b'l' | b'I' | b'1')) => (b'd', true),
            (b'I' | b'1', _) => (b'l', false),
            (b'0', _) => (b'o', false),
            (b'2', _) => (b'z', false),
            (b'5', _) => (b's', false),
            (b'8', _) => (b'b', false),
            (b'9', _) => (b'g', false),
            (b'_', _) => (b'-', false),
            (other, _) => (other.to_ascii_lowercase(), false),
        };
        skeleton[length] = look;
        length += 1;
        rest = &rest[usize::from(pair)..];
    }
    // The rest is zero, which no name contains.
    Look(skeleton)
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
    fn names_that_look_alike_are_known() {
        let name = |text: &str| Name::parse(text.as_bytes()).unwrap();
        for (one, other) in [
            ("bill", "biII"),
            ("bill", "bi1L"),
            ("Ian", "lan"),
            ("Bob", "b0b"),
            ("norma", "norrna"),
            ("will", "vvi1l"),
            ("wow", "VVoW"),
            ("ada", "acla"),
            ("adam", "ac1arn"),
            ("zoe", "Z0E"),
            ("Zoe2", "zoez"),
            ("sam_smith", "sam-5mith"),
            ("bob8", "bobB"),
            ("greg", "gre9"),
        ] {
            let (one, other) = (name(one), name(other));
            assert!(one.looks_like(&other) && other.looks_like(&one), "{one} {other}");
        }
        for (one, other) in [
            ("alice", "allce"),
            ("Ilan", "Lian"),
            ("user1", "user2"),
            ("user-1", "user1"),
            ("marcia", "marda"),
            ("MARCIA", "marda"),
            ("anna", "ana"),
        ] {
            let (one, other) = (name(one), name(other));
            assert!(!one.looks_like(&other), "{one} {other}");
        }
        let numbered: Vec<Name> = (0..2000).map(|number| name(&format!("user{number}"))).collect();
        let looks: std::collections::HashSet<Look> = numbered.iter().map(Name::look).collect();
        assert_eq!(looks.len(), numbered.len(), "numbers don't look like each other");
    }

    #[test]
    fn names_that_look_like_the_server_are_known() {
        for text in ["server", "SERVER", "Y0U", "rne", "sy5tem", "AdMlN", "ADMIN", "adm1n", "r0ot", "aII"] {
            assert!(Name::parse(text.as_bytes()).unwrap().looks_official(), "{text}");
        }
        for text in [
            "serv3r",
            "s3rv3r",
            "system-",
            "SYS_TEM",
            "y-o-u",
            "no-one",
            "Oth3rs",
            "hos7",
            "n0b0dy_",
            "m0d3r470r",
            "al-l",
            "sta-ff",
            "warn1ng",
            "WARN1NG",
            "s0me0ne",
        ] {
            assert!(Name::parse(text.as_bytes()).unwrap().looks_official(), "{text}");
        }
        for text in [
            "ali",
            "Al",
            "m3",
            "otto",
            "otherwise",
            "mother",
            "user",
            "users",
            "user5",
            "Ann3",
            "Hosta",
            "modest",
        ] {
            assert!(!Name::parse(text.as_bytes()).unwrap().looks_official(), "{text}");
        }
        for text in ["servers", "meg", "youssef", "alla", "admin2", "roots"] {
            assert!(!Name::parse(text.as_bytes()).unwrap().looks_official(), "{text}");
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
