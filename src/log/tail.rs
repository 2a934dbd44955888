//! The end of the log as a start finds it: what a crash tore there, and where the messages go on.
//!
//! In the log, a last line without its newline is always torn, because the beginning of a message looks like a
//! shorter message. Whole sectors of zeroes behind the last newline are torn as well. Nothing else is set aside:
//! a bad line before the last newline stays where it is, and nobody is shown it.

use std::io;

use crate::limits::{BATCH_BYTES_MAX, LINE_BYTES_MAX, RECOVERY_BYTES};
use crate::log::offset::Offset;
use crate::log::recovery::{Damage, has_unwritten_sectors};
use crate::log::storage::{File, read_full};
use crate::protocol::line::skip_line;
use crate::protocol::record::{Timestamp, check_line};

/// What one crash can tear.
const TORN_BYTES_MAX: usize = BATCH_BYTES_MAX + LINE_BYTES_MAX;

/// The end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Where its last whole line ends; behind that, all is torn.
    pub whole: Offset,
    /// The time after which the log goes on, the epoch if it has no messages: that of the last message, unless its
    /// timestamp is out of order.
    pub last: Timestamp,
}

impl Tail {
    /// Reads the end of a log of `length` bytes, however long it is.
    ///
    /// # Errors
    /// Damage at the end: then nobody knows what time it is in the log. Or the system's error.
    pub fn read(file: &impl File, length: u64) -> io::Result<Result<Tail, Damage>> {
        let end = Offset::after(length);
        let start = end.back(RECOVERY_BYTES);
        let mut bytes = vec![0; (end - start) as usize];
        let count = read_full(file, &mut bytes, start)?;
        bytes.truncate(count);
        // What is read begins within a line, unless it is the whole file.
        let partial = if start == Offset::START { 0 } else { skip_line(&bytes) };
        Ok(Tail::of(&bytes[partial..], start + partial))
    }

    fn of(bytes: &[u8], offset: Offset) -> Result<Tail, Damage> {
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let (lines, torn) = bytes.split_at(whole);
        let whole = offset + whole;
        if !torn.is_empty() && !is_torn(torn, whole) {
            return Err(Damage {
                offset: whole,
                what: "the end, which is neither a message nor a torn write",
            });
        }
        let last = last_in_order(lines);
        match last {
            None if !lines.is_empty() || offset > Offset::START => {
                Err(Damage { offset, what: "the end, in which there is no message" })
            }
            _ => Ok(Tail { whole, last: last.unwrap_or_default() }),
        }
    }
}

/// Whether `bytes`, which end the file and contain no newline, are what a crash leaves of an append. Zeroes that go
/// up to the end may begin anywhere: the file was made longer before its last bytes were written.
fn is_torn(bytes: &[u8], offset: Offset) -> bool {
    let written = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    if bytes[..written].contains(&0) {
        bytes.len() <= TORN_BYTES_MAX && has_unwritten_sectors(bytes, offset)
    } else {
        bytes.len() <= TORN_BYTES_MAX && written < LINE_BYTES_MAX
    }
}

/// The last timestamp of the longest sequence of messages whose timestamps rise. A few that are out of order, such
/// as one with a flipped bit, do not count, wherever they stand.
fn last_in_order(mut bytes: &[u8]) -> Option<Timestamp> {
    // At n: the lowest timestamp that ends a rising sequence of n + 1 messages so far.
    let mut ends: Vec<Timestamp> = Vec::new();
    while !bytes.is_empty() {
        let (line, rest) = bytes.split_at(skip_line(bytes));
        bytes = rest;
        let Ok(timestamp) = check_line(line) else { continue };
        match ends.partition_point(|&end| end < timestamp) {
            longest if longest == ends.len() => ends.push(timestamp),
            shorter => ends[shorter] = timestamp,
        }
    }
    ends.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(number: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + number * 1000)
    }

    fn line(number: u64) -> String {
        format!("{} alice: message {number}\n", stamp(number))
    }

    fn lines(count: u64) -> Vec<u8> {
        (0..count).map(line).collect::<String>().into_bytes()
    }

    /// How much of a log counts, where it would go on, or where it is damaged.
    fn tail(parts: &[&[u8]]) -> Result<(usize, Timestamp), u64> {
        let bytes = parts.concat();
        let tail = Tail::of(&bytes, Offset::START);
        tail.map(|tail| (tail.whole.bytes() as usize, tail.last)).map_err(|damage| damage.offset.bytes())
    }

    #[test]
    fn a_tail_without_a_newline_or_of_unwritten_sectors_is_torn() {
        let good = lines(50);
        let kept = Ok((good.len(), stamp(49)));
        let to_sector = good.len().next_multiple_of(512) - good.len();
        let text = "x".repeat(to_sector);
        for torn in
            [&b""[..], b"2", b"2026-11-22T12:03:11.042317Z alice: whole but for its newline", &[0; 10_000]]
        {
            assert_eq!(tail(&[&good, torn]), kept, "{torn:?}");
        }
        for length in 1..line(50).len() {
            assert_eq!(tail(&[&good, &line(50).as_bytes()[..length]]), kept);
        }
        assert_eq!(tail(&[&good, text.as_bytes(), &[0; 512], b"rest of a line"]), kept);
        assert_eq!(tail(&[&good, text.as_bytes(), &[0; 512], &[b'x'; 512], &[0; 512], b"rest"]), kept);
        assert_eq!(tail(&[]), Ok((0, Timestamp::default())));
        assert_eq!(tail(&[b"x"]), Ok((0, Timestamp::default())), "the first message of all is torn");
    }

    #[test]
    fn a_tail_that_is_not_torn_is_damage() {
        let good = lines(50);
        let damaged = Err(good.len() as u64);
        let to_sector = good.len().next_multiple_of(512) - good.len();
        assert_eq!(tail(&[&good, "x".repeat(LINE_BYTES_MAX).as_bytes()]), damaged);
        assert_eq!(tail(&[&good, &vec![0; TORN_BYTES_MAX + 1]]), damaged);
        assert_eq!(tail(&[&good, b"\0rest of a line"]), damaged, "no whole sector");
        assert_eq!(tail(&[&good, "x".repeat(to_sector + 1).as_bytes(), &[0; 511], b"x"]), damaged);
        let utf_16: Vec<u8> = good.iter().flat_map(|&byte| [byte, 0]).collect();
        assert!(tail(&[&utf_16]).is_err());
        for junk in [&b"junk\n"[..], &[0; 4096], b"\n"] {
            let junk = junk.repeat(1000);
            assert!(tail(&[&junk]).is_err());
        }
    }

    #[test]
    fn a_tail_keeps_bad_lines_before_the_last_newline() {
        let (good, end) = (lines(50), line(60));
        for bad in [&b"\0"[..], b"junk\n", b"\r\n", &[0; 4096], b"2026-11-22T12:03:11.042317Z al\0ce: hi\n"] {
            let whole = good.len() + bad.len() + end.len();
            assert_eq!(tail(&[&good, bad, end.as_bytes(), b"torn"]).unwrap().0, whole);
        }
        assert_eq!(tail(&[&good, b"junk\n"]), Ok((good.len() + 5, stamp(49))));
    }

    #[test]
    fn a_tail_goes_on_after_the_last_message_whose_timestamp_is_in_order() {
        let in_order = |numbers: &[u64]| {
            let lines: String = numbers.iter().map(|&number| line(number)).collect();
            tail(&[lines.as_bytes()]).unwrap().1
        };
        assert_eq!(in_order(&[1, 2, 3]), stamp(3));
        assert_eq!(in_order(&[1, 2, 900, 3, 4]), stamp(4), "one was changed to a later time");
        assert_eq!(in_order(&[900, 901, 2, 3, 4]), stamp(4));
        assert_eq!(in_order(&[5, 6, 7, 1]), stamp(7), "the last was changed to an earlier time");
        assert_eq!(in_order(&[5, 6, 7, 7]), stamp(7));
        assert_eq!(in_order(&[5, 6, 900]), stamp(900), "nothing tells that it was not said then");
    }
}
