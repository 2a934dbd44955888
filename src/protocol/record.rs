//! A message and its line, which is the same in the log, on the wire and in `/history`:
//!
//! ```text
//! 2026-11-22T12:03:11.042317Z alice: hello
//! 2026-11-22T12:03:11.042318Z alice -> bob: psst
//! ```
//!
//! The timestamp has a fixed width and rises strictly over the whole log, so lines compare as their bytes do.
//!
//! [`Record`] is a line as a value. The server looks millions of lines up without reading their texts; for that there
//! are [`ends_of`] and [`check_line`].

mod timestamp;

use std::fmt;

use crate::limits::{LINE_BYTES_MAX, NAME_BYTES_MAX};
use crate::protocol::name::Name;

pub use self::timestamp::{Stamper, TIMESTAMP_BYTES, TimePrefix, Timestamp};

/// A durable line: a message. It displays as its line without the ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was said, and its id.
    pub at: Timestamp,
    /// Its sender.
    pub from: Name,
    /// Its recipient; `None` for everyone.
    pub to: Option<Name>,
    /// What was said.
    pub text: &'a str,
}

impl<'a> Record<'a> {
    /// Returns the record in a line without its ending, or `None` if it is none. All texts are accepted, so that a line
    /// of a newer server can be shown.
    pub fn parse(line: &'a str) -> Option<Record<'a>> {
        let at = Timestamp::parse(line.as_bytes())?;
        let ends = message_ends(line.as_bytes()).ok()?;
        let to = match ends.to {
            Audience::Public => None,
            Audience::Private(to) => Some(Name::parse(to)?),
        };
        Some(Record { at, from: Name::parse(ends.from)?, to, text: &line[ends.text_at..] })
    }
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.at, self.from)?;
        if let Some(to) = &self.to {
            write!(f, " -> {to}")?;
        }
        write!(f, ": {}", self.text)
    }
}

/// Who a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience<'a> {
    /// Everyone.
    Public,
    /// The account of this name, and its sender.
    Private(&'a [u8]),
}

/// The two ends of a message, looked up in its line without reading its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends<'a> {
    /// Its sender's name.
    pub from: &'a [u8],
    /// Who it is for.
    pub to: Audience<'a>,
    /// Where in the line its text begins.
    pub text_at: usize,
}

impl Ends<'_> {
    /// Whether the account of this name may see the message.
    pub fn visible_to(&self, reader: &Name) -> bool {
        match self.to {
            Audience::Public => true,
            Audience::Private(to) => reader.is(to) || reader.is(self.from),
        }
    }

    /// Whether the message is private between these two accounts, which may be the same.
    pub fn is_between(&self, one: &Name, other: &Name) -> bool {
        match self.to {
            Audience::Public => false,
            Audience::Private(to) => {
                (one.is(self.from) && other.is(to)) || (other.is(self.from) && one.is(to))
            }
        }
    }
}

/// The two ends of the message in `line`, or `None` where it is none. The timestamp and the text are not looked
/// at: [`check_line`] does.
pub fn ends_of(line: &[u8]) -> Option<Ends<'_>> {
    let body_at = TIMESTAMP_BYTES + 1;
    let body = line.get(body_at..)?;
    let from_length = name_length(body);
    let from = &body[..from_length];
    let behind = &body[from_length..];
    if behind.starts_with(b": ") {
        return Some(Ends { from, to: Audience::Public, text_at: body_at + from_length + 2 });
    }
    let to = behind.strip_prefix(b" -> ")?;
    let to_length = name_length(to);
    to[to_length..].starts_with(b": ").then(|| Ends {
        from,
        to: Audience::Private(&to[..to_length]),
        text_at: body_at + from_length + 4 + to_length + 2,
    })
}

/// How many of the first bytes could be a name's; one more than allowed is enough to tell that it is none.
fn name_length(bytes: &[u8]) -> usize {
    let is_part = |&byte: &u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    bytes.iter().position(|byte| !is_part(byte)).unwrap_or(bytes.len())
}

/// The two ends of the message in `line`, which begins with a timestamp, with everything checked but its text.
///
/// # Errors
/// What is wrong with it, in a few words for the operator.
pub fn message_ends(line: &[u8]) -> Result<Ends<'_>, &'static str> {
    let Some(ends) = ends_of(line).filter(|_| line[TIMESTAMP_BYTES] == b' ') else {
        return Err("a line that is no message");
    };
    if !is_valid_name(ends.from) {
        return Err("a sender with no valid name");
    }
    match ends.to {
        Audience::Private(to) if !is_valid_name(to) => Err("a recipient with no valid name"),
        _ => Ok(ends),
    }
}

/// Whether `bytes`, of which [`ends_of`] found all to be characters of a name, are a valid one.
fn is_valid_name(bytes: &[u8]) -> bool {
    bytes.len() <= NAME_BYTES_MAX && bytes.first().is_some_and(u8::is_ascii_alphabetic)
}

/// Whether lines can be shown: they are UTF-8 and hold no control character but tabs and their endings, so that
/// damage cannot make a control sequence of something. Which other characters a text may hold is decided before it
/// is stored: that rule changes, and what is in the log stays valid.
pub fn has_clean_text(lines: &[u8]) -> bool {
    let is_control = |byte: u8| (byte < b' ' && byte != b'\n' && byte != b'\t') | (byte == 0x7f);
    // Without a branch for each byte, since everything that is read goes through it.
    let has_control = lines.iter().fold(false, |has, &byte| has | is_control(byte));
    // U+0080 to U+009F.
    let pairs = lines.iter().zip(lines.get(1..).unwrap_or_default());
    let has_c1 = pairs.fold(false, |has, (&first, &second)| has | ((first == 0xc2) & (second < 0xa0)));
    !has_control && !has_c1 && std::str::from_utf8(lines).is_ok()
}

/// Whether `line` (with its ending) is one that this server could have written: its timestamp, or what is wrong
/// with it.
///
/// # Errors
/// A few words for the operator.
pub fn check_line(line: &[u8]) -> Result<Timestamp, &'static str> {
    if line.len() > LINE_BYTES_MAX {
        return Err("a line that is too long");
    }
    if !line.ends_with(b"\n") {
        return Err("a line without an ending");
    }
    let timestamp = Timestamp::parse(line).ok_or("a line without a timestamp")?;
    message_ends(line)?;
    if has_clean_text(line) { Ok(timestamp) } else { Err("text that cannot be shown") }
}

/// How long a message's line is, with its ending.
pub fn line_length(from: &Name, to: Option<&Name>, text: &str) -> usize {
    let to_length = to.map_or(0, |to| " -> ".len() + to.as_bytes().len());
    TIMESTAMP_BYTES + 1 + from.as_bytes().len() + to_length + ": ".len() + text.len() + 1
}

/// Writes a message's line. The caller has seen to it that [`line_length`] is within [`LINE_BYTES_MAX`].
pub fn write_line(
    out: &mut Vec<u8>,
    timestamp: &[u8; TIMESTAMP_BYTES],
    from: &Name,
    to: Option<&Name>,
    text: &str,
) {
    assert!(line_length(from, to, text) <= LINE_BYTES_MAX);
    out.extend_from_slice(timestamp);
    out.push(b' ');
    out.extend_from_slice(from.as_bytes());
    if let Some(to) = to {
        out.extend_from_slice(b" -> ");
        out.extend_from_slice(to.as_bytes());
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_line_is_read_back_as_it_was_written() {
        for (from, to, text) in [
            ("alice", None, "hello"),
            ("a", Some("bob"), "x -> y: z"),
            ("A-_9", None, " : "),
            ("a", None, ""),
        ] {
            let mut line = Vec::new();
            let to_name = to.map(name);
            write_line(&mut line, &Timestamp::from_micros(1).to_bytes(), &name(from), to_name.as_ref(), text);
            assert_eq!(line.len(), line_length(&name(from), to_name.as_ref(), text));
            assert_eq!(check_line(&line), Ok(Timestamp::from_micros(1)));
            let ends = ends_of(&line).unwrap();
            assert_eq!(ends.from, from.as_bytes());
            assert_eq!(ends.to, to.map_or(Audience::Public, |to| Audience::Private(to.as_bytes())));
            assert_eq!(&line[ends.text_at..line.len() - 1], text.as_bytes());
            let line = std::str::from_utf8(&line[..line.len() - 1]).unwrap();
            let record = Record { at: Timestamp::from_micros(1), from: name(from), to: to_name, text };
            assert_eq!(Record::parse(line), Some(record));
            assert_eq!(record.to_string(), line);
        }
    }

    #[test]
    fn a_private_line_is_visible_to_its_two_ends_and_nobody_else() {
        let line = b"2026-11-22T12:03:11.042318Z Alice -> bob: carol";
        let ends = ends_of(line).unwrap();
        for (reader, expected) in
            [("alice", true), ("BOB", true), ("carol", false), ("bo", false), ("bobb", false), ("Z", false)]
        {
            assert_eq!(ends.visible_to(&name(reader)), expected, "{reader}");
        }
    }

    #[test]
    fn what_this_server_would_not_have_written_is_damage() {
        let stamp = "2026-11-22T12:03:11.042318Z";
        for (line, expected) in [
            (format!("{stamp} a: x\n"), Ok(())),
            (format!("{stamp} a: x"), Err("a line without an ending")),
            ("\n".into(), Err("a line without a timestamp")),
            (format!("{stamp}\n"), Err("a line that is no message")),
            (format!("{stamp}_a: x\n"), Err("a line that is no message")),
            (format!("{stamp} a:x\n"), Err("a line that is no message")),
            (format!("{stamp} a -> : x\n"), Err("a recipient with no valid name")),
            (format!("{stamp} : x\n"), Err("a sender with no valid name")),
            (format!("{stamp} a: x\0y\n"), Err("text that cannot be shown")),
            (format!("{stamp} a: x\u{9b}y\n"), Err("text that cannot be shown")),
            (format!("{stamp} a: \u{ad}\u{a0}\u{202e}\n"), Ok(())),
            ("9999-12-31T23:59:59.999999Z a: x\n".into(), Ok(())),
            (format!("{stamp} a: {}\n", "x".repeat(4096)), Err("a line that is too long")),
        ] {
            assert_eq!(check_line(line.as_bytes()).map(|_| ()), expected, "{line}");
        }
        assert_eq!(
            check_line(&[stamp.as_bytes(), b" a: \xff\n"].concat()).map(|_| ()),
            Err("text that cannot be shown")
        );
    }
}
