//! The lines of `blocks.txt`: one for each block of the log.
//!
//! ```text
//! 7 65536 0123456789abcdef alice:3 bob:- #rust:5 89abcdef
//! ```
//!
//! These are the block's number, how many of its first bytes the sum covers, the first 16 hex digits of their SHA-256,
//! the people with a private line and the rooms with a line that begins in the block, each with the number of the
//! previous block that has one, and the first 8 hex digits of the SHA-256 of the line up to here. Each line is checked
//! by itself, so that a bad one can be rebuilt alone.

use std::fmt::{self, Write};

use sha2::{Digest, Sha256};

use super::growing::start_of;
use crate::log::offset::Offset;
use crate::protocol::record::Target;

/// Hex digits of a line's checksum.
const CHECK_BYTES: usize = 8;

/// The beginning of a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum([u8; 8]);

impl Sum {
    /// The sum of these bytes.
    pub fn of(bytes: &[u8]) -> Sum {
        Sum::after(Sha256::new_with_prefix(bytes))
    }

    /// The sum of all that was hashed.
    pub fn after(hasher: Sha256) -> Sum {
        let digest = hasher.finalize();
        Sum(*digest.first_chunk().expect("it has 32 bytes"))
    }

    fn parse(text: &str) -> Option<Sum> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Sum(bytes))
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// A line whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Which block it describes.
    pub number: u32,
    /// How many of the block's first bytes the sum covers.
    pub length: u32,
    /// Their sum.
    pub sum: Sum,
    /// The parties, as they are written.
    parties: &'a str,
}

impl<'a> Entry<'a> {
    /// Reads a line with its ending. Returns `None` if it is not exactly as it was written.
    pub fn parse(line: &'a [u8]) -> Option<Entry<'a>> {
        let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
        let (text, written) = line.split_at_checked(line.len().checked_sub(CHECK_BYTES)?)?;
        if check_of(text) != written.as_bytes() {
            return None;
        }
        let mut fields = text.splitn(4, ' ');
        let number = fields.next()?.parse().ok()?;
        let length = fields.next()?.parse().ok()?;
        let sum = Sum::parse(fields.next()?)?;
        Some(Entry { number, length, sum, parties: fields.next()? })
    }

    /// The people with a private line in the block and the rooms with a line, and the previous block with one for each.
    pub fn parties(&self) -> impl Iterator<Item = (Target, Option<u32>)> + use<'a> {
        self.parties.split_terminator(' ').filter_map(|party| {
            let (party, previous) = party.split_once(':')?;
            Some((Target::parse(party.as_bytes())?, previous.parse().ok()))
        })
    }

    /// Where the sum ends in the log.
    pub fn end(&self) -> Offset {
        start_of(self.number) + self.length as usize
    }
}

/// Returns the number at the start of a line, whatever the rest of it is.
pub fn number_of(line: &[u8]) -> Option<u32> {
    let end = line.iter().position(|&byte| byte == b' ')?;
    std::str::from_utf8(&line[..end]).ok()?.parse().ok()
}

/// Appends a line.
pub fn write_entry(
    out: &mut String,
    number: u32,
    length: u32,
    sum: Sum,
    parties: impl Iterator<Item = (Target, Option<u32>)>,
) {
    let start = out.len();
    let put = |out: &mut String, text: fmt::Arguments<'_>| {
        out.write_fmt(text).expect("writing to a string cannot fail");
    };
    put(out, format_args!("{number} {length} {sum} "));
    for (party, previous) in parties {
        match previous {
            Some(previous) => put(out, format_args!("{party}:{previous} ")),
            None => put(out, format_args!("{party}:- ")),
        }
    }
    let check = check_of(&out[start..]);
    out.extend(check.map(char::from));
    out.push('\n');
}

fn check_of(text: &str) -> [u8; CHECK_BYTES] {
    let mut digits = [0; CHECK_BYTES];
    hex::encode_to_slice(&Sha256::digest(text)[..CHECK_BYTES / 2], &mut digits)
        .expect("it has as many digits");
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(text: &str) -> Target {
        Target::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_line_reads_as_it_was_written_and_no_changed_one_does() {
        let parties = [(party("Alice"), Some(3)), (party("bob"), None), (party("#Alice"), Some(4))];
        let mut line = String::new();
        write_entry(&mut line, 7, 65536, Sum::of(b"bytes"), parties.into_iter());
        let entry = Entry::parse(line.as_bytes()).unwrap();
        assert_eq!((entry.number, entry.length, entry.sum), (7, 65536, Sum::of(b"bytes")));
        assert!(entry.parties().eq(parties));
        assert_eq!(entry.end().bytes(), 8 * 65536);
        assert_eq!(number_of(line.as_bytes()), Some(7));
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut changed = line.clone().into_bytes();
                changed[at] ^= 1 << bit;
                assert_eq!(Entry::parse(&changed), None, "{at}.{bit}");
            }
            assert_eq!(Entry::parse(&line.as_bytes()[..at]), None);
        }
        let mut alone = String::new();
        write_entry(&mut alone, 0, 9, Sum::of(b""), std::iter::empty());
        assert!(Entry::parse(alone.as_bytes()).is_some_and(|entry| entry.parties().next().is_none()));
    }
}
