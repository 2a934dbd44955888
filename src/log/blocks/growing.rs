//! The last block of the log, which grows: its sum so far, and the people and rooms with a line that begins in it.

use std::cmp::Ordering;
use std::io;
use std::vec::Drain;

use sha2::{Digest, Sha256};

use super::entry::Sum;
use crate::limits::{BLOCK_BYTES, NAME_BYTES_MAX};
use crate::log::offset::Offset;
use crate::log::storage::{File, read_full};
use crate::protocol::line::skip_line;
use crate::protocol::name::Name;
use crate::protocol::record::{Audience, TIMESTAMP_BYTES, Target, message_ends};
use crate::protocol::room::RoomName;

/// Bytes of a line that suffice to tell who it is from, for and about: all of an event but its free text.
const HEAD_BYTES: usize = TIMESTAMP_BYTES + 1 + NAME_BYTES_MAX + " -> #".len() + NAME_BYTES_MAX + DEED_BYTES;
/// Bytes of an event without free text, and some more.
const DEED_BYTES: usize = 2 * NAME_BYTES_MAX + 24;

/// A block that is read from its start on.
#[derive(Debug)]
pub struct Growing {
    /// Everything before this place is in the sum.
    position: Offset,
    hasher: Sha256,
    /// As often as they occur.
    parties: Vec<Target>,
    at_line_start: bool,
}

impl Growing {
    /// Begins with block `number` of a log.
    ///
    /// # Errors
    /// The system's.
    pub fn new(number: u32, log: &impl File) -> io::Result<Growing> {
        let position = start_of(number);
        let mut before = [b'\n'];
        if position > Offset::START {
            read_full(log, &mut before, position - 1)?;
        }
        let at_line_start = before == *b"\n";
        Ok(Growing { position, hasher: Sha256::new(), parties: Vec::new(), at_line_start })
    }

    /// Where it goes on.
    pub fn position(&self) -> Offset {
        self.position
    }

    /// The sum so far.
    pub fn sum(&self) -> Sum {
        Sum::after(self.hasher.clone())
    }

    /// Takes the sum and the parties of a block that is full, each once, and begins with the next one.
    pub fn finish(&mut self) -> (Sum, Drain<'_, Target>) {
        self.parties.sort_unstable_by(compare);
        self.parties.dedup();
        (Sum::after(std::mem::take(&mut self.hasher)), self.parties.drain(..))
    }

    /// Reads on in a log of `end` bytes, up to `until` or the end of the block. Returns whether anything was read: a
    /// line is needed as far as it tells who it is for.
    ///
    /// # Errors
    /// The system's, and that the log is shorter than `end`.
    pub fn read(
        &mut self,
        log: &impl File,
        end: Offset,
        until: Offset,
        buffer: &mut [u8],
    ) -> io::Result<bool> {
        let until = until.min(start_of(number_at(self.position) + 1));
        let wanted = self.position.bytes_to(end.min(until + HEAD_BYTES));
        let wanted = wanted.min(buffer.len() as u64) as usize;
        if read_full(log, &mut buffer[..wanted], self.position)? < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = &buffer[..wanted];
        let most = wanted.min((until - self.position) as usize);
        let mut length = most;
        let mut start = if self.at_line_start { 0 } else { skip_line(bytes) };
        while start < most {
            let line = &bytes[start..start + skip_line(&bytes[start..])];
            if !line.ends_with(b"\n") && line.len() < HEAD_BYTES {
                length = start;
                break;
            }
            self.add_parties(line);
            start += line.len();
        }
        if let Some(&last) = bytes[..length].last() {
            self.at_line_start = last == b'\n';
        }
        self.hasher.update(&bytes[..length]);
        self.position += length;
        Ok(length > 0)
    }

    fn add_parties(&mut self, line: &[u8]) {
        let Ok(ends) = message_ends(line) else { return };
        match ends.to {
            Audience::Public => {}
            Audience::Room(room) => {
                let people = ends.about.map(Target::Person);
                self.parties.extend(RoomName::without_sign(room).map(Target::Room).into_iter().chain(people));
            }
            Audience::Private(to) => {
                self.parties.extend([ends.from, to].into_iter().filter_map(Name::parse).map(Target::Person));
            }
        }
    }
}

/// Not inline: the sort would hold it a hundred times, which took 80 KB of the program.
#[inline(never)]
fn compare(one: &Target, other: &Target) -> Ordering {
    one.cmp(other)
}

/// The number of the block that holds a byte of the log.
pub fn number_at(offset: Offset) -> u32 {
    (offset.bytes() / BLOCK_BYTES as u64) as u32
}

/// Where in the log a block begins.
pub fn start_of(number: u32) -> Offset {
    Offset::after(u64::from(number) * BLOCK_BYTES as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::directory::RealFile;

    /// The parties of a log, read in pieces of so many bytes.
    fn parties(log: &str, piece: usize) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, log).unwrap();
        let file = RealFile::open_read_only(&path).unwrap().unwrap();
        let mut growing = Growing::new(0, &file).unwrap();
        let mut buffer = vec![0; piece];
        while growing.read(&file, Offset::after(log.len() as u64), Offset::MAX, &mut buffer).unwrap() {}
        assert_eq!(growing.position().bytes() as usize, log.len());
        let (_, parties) = growing.finish();
        parties.map(|party| party.to_string()).collect()
    }

    #[test]
    fn parties_are_found_wherever_a_line_is_cut() {
        let (a, b) = ("a".repeat(NAME_BYTES_MAX), "b".repeat(NAME_BYTES_MAX));
        let (room, stamp) = (format!("#{}", "r".repeat(NAME_BYTES_MAX)), "2026-11-22T12:03:11.042317Z");
        let text = "x".repeat(400);
        for (line, expected) in [
            (format!("{a} -> {b}: {text}"), vec![a.clone(), b.clone()]),
            (format!("{a} -> {room}: {text}"), vec![room.clone()]),
            (format!("{a} -> {room} joined"), vec![room.clone()]),
            (format!("{a} -> {room} dismissed {b} as an owner"), vec![room.clone()]),
            (format!("{a} -> {room} invited {b}"), vec![room.clone(), b.clone()]),
            (format!("{a} -> {room} removed {b}: {text}é"), vec![room.clone(), b.clone()]),
            (format!("{a} -> {room} topic: {}", "é".repeat(200)), vec![room.clone()]),
        ] {
            for before in (0..400).step_by(3) {
                let log = format!("{stamp} c: {}\n{stamp} {line}\n{stamp} c: {text}\n", "y".repeat(before));
                assert_eq!(parties(&log, HEAD_BYTES + 60), expected, "{before}: {line}");
            }
        }
    }
}
