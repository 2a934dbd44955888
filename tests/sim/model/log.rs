//! The log as the model reads it, by its own understanding of what a message looks like.

use std::collections::HashMap;

use super::hostile::{AUTHOR, is_own_name};
use super::{Guarantee, hold};
use crate::sim::rooms::parts;

/// Bytes of a timestamp.
const STAMP: usize = "2026-11-22T12:03:11.042317Z".len();

/// Which line of which connection it was. Every text that is said begins with this, so that it is known again.
pub type Tag = (usize, u64);

/// A message.
#[derive(Debug)]
pub struct Record {
    /// The whole line, without its ending.
    pub line: String,
    /// In small letters, as all names here.
    pub from: String,
    /// `None` for everyone.
    pub to: Option<String>,
    pub text: String,
    pub tag: Tag,
    /// Where the line is in the file.
    pub at: usize,
}

impl Record {
    pub fn stamp(&self) -> &str {
        &self.line[..STAMP]
    }

    /// Whether it was said or done in a room. Who may see that is decided by the gate.
    pub fn is_of_room(&self) -> bool {
        self.to.as_ref().is_some_and(|to| to.starts_with('#'))
    }

    pub fn is_for(&self, account: &str) -> bool {
        !self.is_of_room() && self.to.as_ref().is_none_or(|to| to == account || self.from == account)
    }

    pub fn is_to(&self, account: &str) -> bool {
        self.to.as_deref() == Some(account)
    }

    /// Whether a line has the form of a message, whoever said it.
    pub fn has_form(line: &str) -> bool {
        if let Some((from, room, what)) = parts(line) {
            let is_sound = is_name(from) && is_name(room) && !what.chars().any(|it| it.is_control());
            return line.get(..STAMP).is_some_and(is_stamp) && is_sound;
        }
        let ends = || line.get(STAMP..)?.strip_prefix(' ')?.split_once(": ");
        let is_text = |text: &str| !text.chars().any(|it| it.is_control() && it != '\t');
        line.get(..STAMP).is_some_and(is_stamp)
            && ends().is_some_and(|(ends, text)| ends.split(" -> ").all(is_name) && is_text(text))
    }

    fn parse(line: &str) -> Option<Record> {
        line.get(..STAMP).filter(|stamp| is_stamp(stamp))?;
        if let Some((from, room, what)) = parts(line) {
            let is_sound = is_own_name(from) && is_name(room) && !what.chars().any(must_not_stand_in_a_text);
            return is_sound.then(|| Record::new(line, from, Some(&format!("#{room}")), what, (AUTHOR, 0)));
        }
        let (ends, text) = line[STAMP..].strip_prefix(' ')?.split_once(": ")?;
        let (from, to) = match ends.split_once(" -> ") {
            Some((from, to)) => (from, Some(to)),
            None => (ends, None),
        };
        if !is_name(from) || !to.is_none_or(is_name) || text.chars().any(must_not_stand_in_a_text) {
            return None;
        }
        if is_own_name(from) {
            return Some(Record::new(line, from, to, text, (AUTHOR, 0)));
        }
        let tag = text.trim_start_matches('/').strip_prefix('c')?.split(' ').next()?.split_once('.')?;
        let tag = (tag.0.parse().ok()?, tag.1.parse().ok()?);
        Some(Record::new(line, from, to, text, tag))
    }

    fn new(line: &str, from: &str, to: Option<&str>, text: &str, tag: Tag) -> Record {
        let (from, to) = (from.to_ascii_lowercase(), to.map(str::to_ascii_lowercase));
        Record { line: line.into(), from, to, text: text.into(), tag, at: 0 }
    }
}

/// Whether it looks like a timestamp.
pub fn is_stamp(text: &str) -> bool {
    let is_like = |(byte, like): (u8, u8)| if like == b'0' { byte.is_ascii_digit() } else { byte == like };
    text.len() == STAMP && text.bytes().zip(*b"0000-00-00T00:00:00.000000Z").all(is_like)
}

/// `[A-Za-z][A-Za-z0-9_-]{0,19}`
pub fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    name.len() <= 20 && name.starts_with(|it: char| it.is_ascii_alphabetic()) && name.bytes().all(is_part)
}

/// Of all characters those that people here know to send.
pub fn must_not_stand_in_a_text(character: char) -> bool {
    character != '\t' && character.is_control()
        || matches!(character, '\u{202e}' | '\u{2028}')
        || must_not_be_kept(character)
}

/// Of those, the ones that nothing takes the place of.
pub fn must_not_be_kept(character: char) -> bool {
    matches!(character, '\u{3164}' | '\u{feff}' | '\u{fffe}')
}

/// All messages on disk, in their order. A place in it is a number of messages.
#[derive(Default)]
pub struct Log {
    records: Vec<Record>,
    bytes: usize,
    last_of_connection: HashMap<usize, u64>,
    /// Whether sectors that the power failed in stay in the file, of which readers are told.
    pub has_torn_lines: bool,
}

impl Log {
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// How much of the file was read.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn record(&self, place: usize) -> &Record {
        &self.records[place]
    }

    /// Reads on; returns where the new ones begin.
    pub fn extend(&mut self, bytes: &[u8]) -> usize {
        let first_new = self.len();
        let text = String::from_utf8_lossy(bytes);
        hold(Guarantee::Durable, text.is_empty() || text.ends_with('\n'), || {
            format!("half a line: {text:?}")
        });
        let mut next = self.bytes;
        for (line, raw) in text.split_terminator('\n').zip(bytes.split_inclusive(|&byte| byte == b'\n')) {
            let at = next;
            next += raw.len();
            // Sectors of an append that the power failed in stay where they are, and nobody is shown them.
            if line.contains('\0') {
                self.has_torn_lines = true;
                continue;
            }
            hold(Guarantee::Bounded, line.len() < 4096, || format!("a line of {} bytes", line.len() + 1));
            let record = Record::parse(line);
            let mut record =
                record.unwrap_or_else(|| super::broken(Guarantee::Durable, format!("no message: {line:?}")));
            record.at = at;
            let last = self.records.last().map_or("", Record::stamp);
            hold(Guarantee::Ordered, last < record.stamp(), || {
                format!("time does not rise: {last}, then {line}")
            });
            if record.tag.0 == AUTHOR {
                record.tag.1 = self.records.len() as u64;
            }
            let (connection, number) = record.tag;
            let before = self.last_of_connection.insert(connection, number);
            hold(Guarantee::Ordered, before.is_none_or(|before| before < number), || {
                format!("one sender's line twice, or before an earlier one: {line}")
            });
            self.records.push(record);
        }
        self.bytes += bytes.len();
        first_new
    }

    /// The place of the first message that is not before a time.
    pub fn find(&self, time: &str) -> usize {
        self.records.partition_point(|record| record.stamp() < time)
    }

    /// The place behind the message of a time.
    pub fn behind(&self, stamp: &str) -> usize {
        self.records.partition_point(|record| record.stamp() <= stamp)
    }

    /// The place of a message that was shown.
    pub fn place_of(&self, line: &str) -> Option<usize> {
        let place = self.find(line.get(..STAMP)?);
        self.records.get(place).filter(|record| record.line == line).map(|_| place)
    }

    /// The first place from `from` on, before `until`, of a message that `shows` says yes to.
    pub fn first(&self, from: usize, until: usize, shows: impl Fn(&Record) -> bool) -> Option<usize> {
        (from..until.min(self.len())).find(|&place| shows(&self.records[place]))
    }

    /// The first place from `from` on, before `until`, that `shows` says yes to.
    pub fn first_place(&self, from: usize, until: usize, shows: impl Fn(usize) -> bool) -> Option<usize> {
        (from..until.min(self.len())).find(|&place| shows(place))
    }

    /// The place that the last `count` messages before `end` begin at, of those that `counts` says yes to.
    pub fn last(&self, count: u64, end: usize, counts: impl Fn(&Record) -> bool) -> usize {
        let mut left = count;
        let mut place = end;
        while left > 0 && place > 0 {
            place -= 1;
            left -= u64::from(counts(&self.records[place]));
        }
        place
    }
}
