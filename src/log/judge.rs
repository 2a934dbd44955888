//! Distinguishes messages in the log from damage, by the same rule for every reader, the scan after startup and
//! `--check`.
//!
//! A line is a message if this server could have written it, if its timestamp is later than that of the last good line
//! before it and not later than that of the last message of the log, and if the next line does not show it to be an
//! outlier:
//!
//! ```text
//!  12:01 good      12:01 good
//!  12:99 damage    12:07 damage: 12:02 follows it, and is later than 12:01
//!  12:02 good      12:02 good
//!  11:58 damage    12:03 good
//!  12:03 good
//! ```
//!
//! So a timestamp out of order damages only its own line, and the timestamps that a reader is shown always increase.
//! The rule looks no further than the next line, so it does not depend on how the log is divided into chunks.

use std::ops::Range;

use crate::limits::LINE_BYTES_MAX;
use crate::protocol::line::skip_line;
use crate::protocol::record::{Ends, TIMESTAMP_BYTES, Timestamp, UNKNOWN_DEED, has_clean_text, message_ends};

/// The state of judging: what is known of the log before the next line.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    /// The timestamp of the last good line; the epoch if there was none.
    last: Timestamp,
    /// No good line has a later timestamp.
    latest: Timestamp,
    /// Whether the next byte continues a line that has not ended.
    mid_line: bool,
}

/// A line and its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged<'a> {
    /// Its bytes, including its ending.
    pub range: Range<usize>,
    /// Its message, or what is wrong with it.
    pub verdict: Result<Message<'a>, &'static str>,
}

/// A good line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Who it is from and for.
    pub ends: Ends<'a>,
}

impl Judge {
    /// Judges lines that come after the good line of `last`.
    pub fn after(last: Timestamp) -> Judge {
        Judge { last, latest: Timestamp::MAX, mid_line: false }
    }

    /// Judges from a place in the log that may be in the middle of a line.
    pub fn within_line() -> Judge {
        Judge { mid_line: true, ..Judge::after(Timestamp::default()) }
    }

    /// Accepts no timestamp later than `latest` from here on.
    pub fn set_latest(&mut self, latest: Timestamp) {
        self.latest = latest;
    }

    /// The timestamp of the last good line; the epoch if there was none.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// Judges the lines that begin within the first `length` bytes, in order. `bytes` holds them whole, as
    /// [`judgeable`] says.
    pub fn lines<'a>(&'a mut self, bytes: &'a [u8], length: usize) -> impl Iterator<Item = Judged<'a>> {
        self.lines_outside(&[], bytes, length)
    }

    /// The same, where parts of `bytes` are known to have been changed. A line is damaged if a byte of it, or the
    /// ending before it, is in such a part.
    pub fn lines_outside<'a>(
        &'a mut self,
        changed: &'a [Range<usize>],
        bytes: &'a [u8],
        length: usize,
    ) -> impl Iterator<Item = Judged<'a>> {
        let is_changed =
            |from: usize, to: usize| changed.iter().any(|part| from <= part.end && part.start < to);
        // Checks all text at once; each line is checked by itself only if there is damage.
        let are_clean = has_clean_text(&bytes[..length]);
        let mut start = 0;
        let mut stamp = Timestamp::parse(bytes);
        std::iter::from_fn(move || {
            if start >= length {
                return None;
            }
            let range = start..start + skip_line(&bytes[start..length]);
            let next = Timestamp::parse(&bytes[range.end..]);
            // A timestamp that was changed shows nothing about the line before it.
            let sound = next.filter(|_| !is_changed(range.end, range.end + TIMESTAMP_BYTES));
            let line = &bytes[range.clone()];
            let verdict = self.judge(line, stamp, sound);
            let is_changed = verdict.as_ref().err().is_none_or(|what| *what == UNKNOWN_DEED)
                && is_changed(range.start, range.end);
            let verdict = if is_changed { Err("a line that is not as it was written") } else { verdict };
            let verdict = verdict.and_then(|message| {
                if are_clean || has_clean_text(line) { Ok(message) } else { Err("text that cannot be shown") }
            });
            if let Ok(message) = &verdict {
                self.last = message.timestamp;
            }
            (start, stamp) = (range.end, next);
            Some(Judged { range, verdict })
        })
    }

    fn judge<'a>(
        &mut self,
        line: &'a [u8],
        stamp: Option<Timestamp>,
        next: Option<Timestamp>,
    ) -> Result<Message<'a>, &'static str> {
        let is_ended = line.ends_with(b"\n");
        let is_rest = std::mem::replace(&mut self.mid_line, !is_ended);
        if is_rest || line.len() > LINE_BYTES_MAX {
            return Err("a line that is too long");
        }
        if !is_ended {
            return Err("a line without an ending");
        }
        let timestamp = stamp.ok_or("a line without a timestamp")?;
        let ends = message_ends(line)?;
        let is_outlier = next.is_some_and(|next| self.last < next && next <= timestamp);
        if timestamp <= self.last || timestamp > self.latest || is_outlier {
            return Err("a timestamp that is out of order");
        }
        Ok(Message { timestamp, ends })
    }
}

/// Returns how many of `bytes`, which begin at the start of a line, can be judged: complete lines that are followed by
/// a timestamp or the end of the log, or a part of a line that is too long to be a message. Returns 0 if more bytes
/// are needed, which is never so with [`JUDGEABLE_BYTES_MIN`].
pub fn judgeable(bytes: &[u8], ends_log: bool) -> usize {
    if ends_log {
        return bytes.len();
    }
    let usable = bytes.len().saturating_sub(TIMESTAMP_BYTES);
    match bytes[..usable].iter().rposition(|&byte| byte == b'\n') {
        Some(at) => at + 1,
        None if usable > LINE_BYTES_MAX => usable,
        None => 0,
    }
}

/// The number of bytes with which [`judgeable`] never returns 0.
pub const JUDGEABLE_BYTES_MIN: usize = LINE_BYTES_MAX + TIMESTAMP_BYTES + 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// A line stamped with so many microseconds, or, for a `!`, one that is no message.
    fn line(what: &str) -> String {
        match what.parse() {
            Ok(micros) => format!("{} alice: x\n", Timestamp::from_micros(micros)),
            Err(_) => format!("{what}\n"),
        }
    }

    fn goods(lines: &str, latest: u64) -> String {
        let bytes: String = lines.split(' ').map(line).collect();
        let mut judge = Judge::after(Timestamp::default());
        judge.set_latest(Timestamp::from_micros(latest));
        let judged = judge.lines(bytes.as_bytes(), bytes.len());
        let good = judged.filter_map(|it| it.verdict.ok()).map(|it| it.timestamp.micros().to_string());
        good.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_timestamp_that_does_not_rise_damages_its_own_line_only() {
        for (lines, expected) in [
            ("1 2 3", "1 2 3"),
            ("1 2 2 3", "1 2 3"),
            ("5 6 1 7", "5 6 7"),
            // An outlier that is too high, at the start, in the middle and at the end.
            ("50 1 2 3", "1 2 3"),
            ("1 2 50 3 4", "1 2 3 4"),
            ("1 2 3 101", "1 2 3"),
            // Later than the last message of the log, however many.
            ("1 200 201 202 2 3", "1 2 3"),
            // Two blocks swapped: the second is damage, and nothing comes twice.
            ("10 11 12 1 2 3 20 21", "10 11 12 20 21"),
            ("1 ! 2 !! 3", "1 2 3"),
            ("! 50 ! 51", "50 51"),
        ] {
            assert_eq!(goods(lines, 100), expected, "{lines}");
        }
    }

    #[test]
    fn the_division_into_chunks_changes_nothing() {
        let junk = "j".repeat(3 * LINE_BYTES_MAX);
        let long = format!("1 2 90 3 {junk} 4 5 4 6 {}", line("7").trim_end().to_owned() + " ! 8 9 200 10");
        let bytes: String = long.split(' ').map(line).collect();
        let judge_all = |size: usize| {
            let mut judge = Judge::after(Timestamp::default());
            judge.set_latest(Timestamp::from_micros(100));
            let (mut at, mut good, mut damaged) = (0, Vec::new(), 0);
            while at < bytes.len() {
                let end = bytes.len().min(at + size);
                let chunk = &bytes.as_bytes()[at..end];
                let length = judgeable(chunk, end == bytes.len());
                assert!(length > 0, "{size} at {at}");
                for judged in judge.lines(chunk, length) {
                    match judged.verdict {
                        Ok(message) => good.push(message.timestamp.micros()),
                        Err(_) => damaged += judged.range.len(),
                    }
                }
                at += length;
            }
            (good, damaged)
        };
        let whole = judge_all(usize::MAX / 2);
        assert_eq!(whole.0, [1, 2, 3, 4, 5, 6, 8, 9, 10]);
        for size in (JUDGEABLE_BYTES_MIN..JUDGEABLE_BYTES_MIN + 300).chain([2 * LINE_BYTES_MAX]) {
            assert_eq!(judge_all(size), whole, "{size}");
        }
    }

    #[test]
    fn the_rest_of_a_line_that_is_too_long_is_never_a_message() {
        let message = line("5");
        let bytes = "j".repeat(2 * LINE_BYTES_MAX) + &message + &line("6");
        let at = bytes.find(&message).unwrap();
        let mut judge = Judge::after(Timestamp::default());
        assert!(judge.lines(&bytes.as_bytes()[..at], at).all(|it| it.verdict.is_err()));
        let rest = &bytes.as_bytes()[at..];
        let verdicts: Vec<_> = judge.lines(rest, rest.len()).map(|it| it.verdict.is_ok()).collect();
        assert_eq!(verdicts, [false, true]);
        let verdicts: Vec<_> =
            Judge::within_line().lines(rest, rest.len()).map(|it| it.verdict.is_ok()).collect();
        assert_eq!(verdicts, [false, true]);
    }
}
