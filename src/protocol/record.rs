//! A durable line, which is the same in the log, on the wire and in `/history`: a message, or an event.
//!
//! ```text
//! 2026-11-22T12:03:11.042317Z alice: hello
//! 2026-11-22T12:03:11.042318Z alice -> bob: psst
//! 2026-11-22T12:03:11.042319Z alice -> #rust: hi
//! 2026-11-22T12:03:11.042320Z alice -> #rust joined
//! ```
//!
//! The timestamp has a fixed width and rises strictly over the whole log, so lines compare as their bytes do. Who a
//! line is for stands before any free text, so that no text can change it.
//!
//! [`Record`] is a line as a value. The server looks millions of lines up without reading their texts; for that there
//! are [`ends_of`] and [`check_line`].

use std::fmt;

use crate::limits::{LINE_BYTES_MAX, NAME_BYTES_MAX};
use crate::protocol::event::Deed;
use crate::protocol::name::Name;
use crate::protocol::room::RoomName;

pub use crate::protocol::time::{Stamper, TIMESTAMP_BYTES, TimePrefix, Timestamp};

/// Where something is said or done: a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The public conversation.
    Everyone,
    /// A room.
    Room(RoomName),
    /// The private conversation with a person.
    Person(Name),
}

impl Target {
    /// Returns the room or the person that `text` names.
    pub fn parse(text: &[u8]) -> Option<Target> {
        match text.strip_prefix(b"#") {
            Some(room) => RoomName::without_sign(room).map(Target::Room),
            None => Name::parse(text).map(Target::Person),
        }
    }

    /// How many bytes of a line name it, with the arrow.
    fn bytes(&self) -> usize {
        match self {
            Target::Everyone => 0,
            Target::Room(room) => " -> #".len() + room.as_bytes().len(),
            Target::Person(name) => " -> ".len() + name.as_bytes().len(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Everyone => f.write_str("everyone"),
            Target::Room(room) => room.fmt(f),
            Target::Person(name) => name.fmt(f),
        }
    }
}

/// What a durable line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Something that was said.
    Text(&'a str),
    /// Something that was done.
    Deed(Deed<'a>),
}

/// A durable line. It displays as that line without the ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it happened, and its id.
    pub at: Timestamp,
    /// Who said or did it.
    pub from: Name,
    /// Where.
    pub to: Target,
    /// What.
    pub body: Body<'a>,
}

impl<'a> Record<'a> {
    /// Returns the record in a line without its ending, or `None` if it is none. All texts are accepted, so that a line
    /// of a newer server can be shown.
    pub fn parse(line: &'a str) -> Option<Record<'a>> {
        let at = Timestamp::parse(line.as_bytes())?;
        let ends = message_ends(line.as_bytes()).ok()?;
        let to = match ends.to {
            Audience::Public => Target::Everyone,
            Audience::Room(room) => Target::Room(RoomName::without_sign(room)?),
            Audience::Private(to) => Target::Person(Name::parse(to)?),
        };
        let rest = &line[ends.text_at..];
        let body = if ends.is_deed { Body::Deed(Deed::parse(rest)?) } else { Body::Text(rest) };
        Some(Record { at, from: Name::parse(ends.from)?, to, body })
    }

    /// How long its line is, with its ending.
    pub fn line_length(&self) -> usize {
        let body = match self.body {
            Body::Text(text) => ": ".len() + text.len(),
            Body::Deed(deed) => " ".len() + deed.to_string().len(),
        };
        TIMESTAMP_BYTES + 1 + self.from.as_bytes().len() + self.to.bytes() + body + 1
    }
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.at, self.from)?;
        if self.to != Target::Everyone {
            write!(f, " -> {}", self.to)?;
        }
        match self.body {
            Body::Text(text) => write!(f, ": {text}"),
            Body::Deed(deed) => write!(f, " {deed}"),
        }
    }
}

/// Who a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience<'a> {
    /// Everyone.
    Public,
    /// The members of the room of this name, which stands without its sign.
    Room(&'a [u8]),
    /// The account of this name, and its sender.
    Private(&'a [u8]),
}

/// The two ends of a line, looked up without reading its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends<'a> {
    /// The name of its author.
    pub from: &'a [u8],
    /// Who it is for.
    pub to: Audience<'a>,
    /// Where in the line its text, or what was done, begins.
    pub text_at: usize,
    /// Whether it is an event and no message.
    pub is_deed: bool,
    /// The person besides its author who may see it, whether a member of the room or not. [`ends_of`] does not tell.
    pub about: Option<Name>,
}

impl Ends<'_> {
    /// Whether the line is a private message between these two accounts, which may be the same.
    pub fn is_between(&self, one: &Name, other: &Name) -> bool {
        match self.to {
            Audience::Public | Audience::Room(_) => false,
            Audience::Private(to) => {
                (one.is(self.from) && other.is(to)) || (other.is(self.from) && one.is(to))
            }
        }
    }
}

/// The two ends of the line, or `None` if it is no durable one. The timestamp and the text are not looked at:
/// [`check_line`] does.
pub fn ends_of(line: &[u8]) -> Option<Ends<'_>> {
    let body_at = TIMESTAMP_BYTES + 1;
    let body = line.get(body_at..)?;
    let from_length = name_length(body);
    let (from, behind) = body.split_at(from_length);
    let (to, behind) = match behind.strip_prefix(b" -> ") {
        None => (Audience::Public, behind),
        Some(to) => {
            let (sign, name) = match to.strip_prefix(b"#") {
                Some(name) => (1, name),
                None => (0, to),
            };
            let (name, behind) = name.split_at(name_length(name));
            (if sign == 1 { Audience::Room(name) } else { Audience::Private(name) }, behind)
        }
    };
    let is_deed = match behind {
        [b':', b' ', ..] => false,
        [b' ', first, ..] if first.is_ascii_lowercase() => true,
        _ => return None,
    };
    let text_at = line.len() - behind.len() + if is_deed { 1 } else { 2 };
    Some(Ends { from, to, text_at, is_deed, about: None })
}

/// How many of the first bytes could be a name's; one more than allowed is enough to tell that it is none.
fn name_length(bytes: &[u8]) -> usize {
    let is_part = |&byte: &u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    bytes.iter().position(|byte| !is_part(byte)).unwrap_or(bytes.len())
}

/// The two ends of `line`, which begins with a timestamp, with everything checked but a message's text.
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
        Audience::Private(to) if !is_valid_name(to) => return Err("a recipient with no valid name"),
        Audience::Room(room) if !is_valid_name(room) => return Err("a room with no valid name"),
        _ => {}
    }
    if !ends.is_deed {
        return Ok(ends);
    }
    let deed = deed_in(line, &ends).ok_or(UNKNOWN_DEED)?;
    Ok(Ends { about: deed.concerns(), ..ends })
}

/// What is wrong with an event that this version does not know. A newer version may have written it.
pub const UNKNOWN_DEED: &str = "an event of an unknown kind";

/// What was done, in a line that is an event. Its text counts up to the first byte that is not UTF-8.
pub fn deed_in<'a>(line: &'a [u8], ends: &Ends<'_>) -> Option<Deed<'a>> {
    let text = line[ends.text_at..].utf8_chunks().next()?.valid();
    Deed::parse(text.strip_suffix('\n').unwrap_or(text))
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
pub fn line_length(from: &Name, to: &Target, text: &str) -> usize {
    TIMESTAMP_BYTES + 1 + from.as_bytes().len() + to.bytes() + ": ".len() + text.len() + 1
}

/// Writes a message's line. The caller has seen to it that [`line_length`] is within [`LINE_BYTES_MAX`].
pub fn write_line(
    out: &mut Vec<u8>,
    timestamp: &[u8; TIMESTAMP_BYTES],
    from: &Name,
    to: &Target,
    text: &str,
) {
    assert!(line_length(from, to, text) <= LINE_BYTES_MAX);
    write_head(out, timestamp, from, to);
    out.extend_from_slice(b": ");
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

/// Writes an event's line.
pub fn write_deed(
    out: &mut Vec<u8>,
    timestamp: &[u8; TIMESTAMP_BYTES],
    from: &Name,
    to: &Target,
    deed: &Deed<'_>,
) {
    write_head(out, timestamp, from, to);
    std::io::Write::write_fmt(out, format_args!(" {deed}\n")).expect("writing to memory cannot fail");
}

fn write_head(out: &mut Vec<u8>, timestamp: &[u8; TIMESTAMP_BYTES], from: &Name, to: &Target) {
    out.extend_from_slice(timestamp);
    out.push(b' ');
    out.extend_from_slice(from.as_bytes());
    match to {
        Target::Everyone => {}
        Target::Room(room) => {
            out.extend_from_slice(b" -> #");
            out.extend_from_slice(room.as_bytes());
        }
        Target::Person(name) => {
            out.extend_from_slice(b" -> ");
            out.extend_from_slice(name.as_bytes());
        }
    }
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
            ("a", Some("#rust"), "joined"),
            ("A-_9", None, " : "),
            ("a", None, ""),
        ] {
            let mut line = Vec::new();
            let target = to.map_or(Target::Everyone, |to| Target::parse(to.as_bytes()).unwrap());
            write_line(&mut line, &Timestamp::from_micros(1).to_bytes(), &name(from), &target, text);
            assert_eq!(line.len(), line_length(&name(from), &target, text));
            assert_eq!(check_line(&line), Ok(Timestamp::from_micros(1)));
            let ends = ends_of(&line).unwrap();
            assert_eq!(ends.from, from.as_bytes());
            let audience = to.map_or(Audience::Public, |to| match to.strip_prefix('#') {
                Some(room) => Audience::Room(room.as_bytes()),
                None => Audience::Private(to.as_bytes()),
            });
            assert_eq!((ends.to, ends.is_deed), (audience, false));
            assert_eq!(&line[ends.text_at..line.len() - 1], text.as_bytes());
            let line = std::str::from_utf8(&line[..line.len() - 1]).unwrap();
            let body = Body::Text(text);
            let record = Record { at: Timestamp::from_micros(1), from: name(from), to: target, body };
            assert_eq!(record.line_length(), line.len() + 1);
            assert_eq!(Record::parse(line), Some(record));
            assert_eq!(record.to_string(), line);
        }
    }

    #[test]
    fn an_event_is_read_back_as_it_was_written() {
        let at = Timestamp::from_micros(1);
        let room = Target::parse(b"#rust").unwrap();
        for deed in Deed::samples() {
            let mut line = Vec::new();
            write_deed(&mut line, &at.to_bytes(), &name("alice"), &room, &deed);
            assert_eq!(check_line(&line), Ok(at));
            let ends = message_ends(&line).unwrap();
            assert_eq!((ends.from, ends.to, ends.is_deed), (&b"alice"[..], Audience::Room(b"rust"), true));
            assert_eq!((ends.about, deed_in(&line, &ends)), (deed.concerns(), Some(deed)));
            let line = std::str::from_utf8(&line[..line.len() - 1]).unwrap();
            let record = Record { at, from: name("alice"), to: room, body: Body::Deed(deed) };
            assert_eq!((Record::parse(line), record.line_length()), (Some(record), line.len() + 1));
            assert_eq!(record.to_string(), line);
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
            (format!("{stamp} a -> #: x\n"), Err("a room with no valid name")),
            (format!("{stamp} a -> #r: x\n"), Ok(())),
            (format!("{stamp} a -> #r joined\n"), Ok(())),
            (format!("{stamp} a -> #r Joined\n"), Err("a line that is no message")),
            (format!("{stamp} a -> #r exploded\n"), Err(UNKNOWN_DEED)),
            (format!("{stamp} a exploded\n"), Err(UNKNOWN_DEED)),
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
