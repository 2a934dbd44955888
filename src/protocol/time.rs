//! Timestamps: the ids of durable lines, and how people write times.
//!
//! A timestamp has a fixed width, so timestamps compare as their bytes do.

use std::fmt;

use crate::limits::{Micros, SECOND_US};

/// Bytes of a written timestamp.
pub const TIMESTAMP_BYTES: usize = "2026-11-22T12:03:11.042317Z".len();
const PATTERN: &[u8; TIMESTAMP_BYTES] = b"0000-00-00T00:00:00.000000Z";
/// What is left of the calendar after the last time that the clock may give: enough for millions of messages after a
/// clock that was wrong is right again.
const RESERVED_US: Micros = 60 * SECOND_US;

/// A moment in UTC, in microseconds since the Unix epoch (RFC 3339 when written). The id of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(Micros);

impl Timestamp {
    /// 9999-12-31T23:59:59.999999Z, the last one of this width.
    pub const MAX: Timestamp = Timestamp(253_402_300_799_999_999);

    /// Converts from microseconds since the Unix epoch; what is past [`Timestamp::MAX`] becomes that.
    pub const fn from_micros(micros: Micros) -> Timestamp {
        if micros < Timestamp::MAX.0 { Timestamp(micros) } else { Timestamp::MAX }
    }

    /// Microseconds since the Unix epoch.
    pub fn micros(self) -> Micros {
        self.0
    }

    /// The start of a line that is a timestamp, or `None` where it is none.
    pub fn parse(line: &[u8]) -> Option<Timestamp> {
        let text: &[u8; TIMESTAMP_BYTES] = line.first_chunk()?;
        if !is_timestamp_prefix(text) {
            return None;
        }
        let digit = |at: usize| u64::from(text[at] & 0xf);
        let pair = |at: usize| 10 * digit(at) + digit(at + 1);
        let (year, month, day) = (100 * pair(0) + pair(2), pair(5), pair(8));
        let (hour, minute, second) = (pair(11), pair(14), pair(17));
        if !(1970..).contains(&year) || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59
        {
            return None;
        }
        let days = days_from_civil(year, month, day)?;
        let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
        let micros = 10_000 * pair(20) + 100 * pair(22) + pair(24);
        Some(Timestamp(seconds * SECOND_US + micros))
    }

    /// As it is written at the start of a line.
    pub fn to_bytes(self) -> [u8; TIMESTAMP_BYTES] {
        let mut text = *PATTERN;
        let (year, month, day) = civil_from_days(self.0 / SECOND_US / 86_400);
        let second = self.0 / SECOND_US % 86_400;
        put_digits(&mut text[0..4], year);
        put_digits(&mut text[5..7], month);
        put_digits(&mut text[8..10], day);
        put_digits(&mut text[11..13], second / 3600);
        put_digits(&mut text[14..16], second / 60 % 60);
        put_digits(&mut text[17..19], second % 60);
        put_digits(&mut text[20..26], self.0 % SECOND_US);
        text
    }

    /// The moment after this one, or `None` after [`Timestamp::MAX`].
    pub fn next(self) -> Option<Timestamp> {
        Some(Timestamp(self.0 + 1)).filter(|next| *next <= Timestamp::MAX)
    }

    /// The moment before this one; the epoch has none and stays.
    pub fn previous(self) -> Timestamp {
        Timestamp(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_bytes()).expect("digits and punctuation"))
    }
}

/// The beginning of a timestamp, as a person writes a time: `2026-11-22`, `2026-11-22T12:03`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimePrefix {
    bytes: [u8; TIMESTAMP_BYTES],
    length: u8,
}

impl TimePrefix {
    /// The time that `text` is: the beginning of some timestamp, from the year on.
    pub fn parse(text: &[u8]) -> Option<TimePrefix> {
        if text.len() < "2026".len() || !is_timestamp_prefix(text) || !begins_a_moment(text) {
            return None;
        }
        let mut bytes = [0; TIMESTAMP_BYTES];
        bytes[..text.len()].copy_from_slice(text);
        Some(TimePrefix { bytes, length: text.len() as u8 })
    }

    /// All of a timestamp.
    pub fn whole(timestamp: Timestamp) -> TimePrefix {
        TimePrefix { bytes: timestamp.to_bytes(), length: TIMESTAMP_BYTES as u8 }
    }

    /// As it was written; compares as the moments do.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Whether the calendar has a moment that begins as `text`, which has the shape of a timestamp's beginning and all of
/// the year.
fn begins_a_moment(text: &[u8]) -> bool {
    // Between them, these complete whatever can be completed: a month or a day after its first digit, too.
    [b"2000-01-01T00:00:00.000000Z", b"2000-00-00T00:00:00.000000Z"].iter().any(|rest| {
        let mut whole = **rest;
        whole[..text.len()].copy_from_slice(text);
        // The calendar repeats itself after 400 years, and a timestamp has no year before 1970.
        let year = whole[..4].iter().fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0'));
        put_digits(&mut whole[..4], 2000 + year % 400);
        Timestamp::parse(&whole).is_some()
    })
}

/// Whether `text` is the beginning of some timestamp, by its shape.
fn is_timestamp_prefix(text: &[u8]) -> bool {
    text.len() <= TIMESTAMP_BYTES
        && text.iter().zip(PATTERN).fold(true, |all, (byte, pattern)| {
            // The digits that may stand there, counted from the one in the pattern.
            let span = if *pattern == b'0' { 9 } else { 0 };
            all & (byte.wrapping_sub(*pattern) <= span)
        })
}

/// Makes the timestamps: the wall clock's, or one more than the last where the clock has not gone on.
#[derive(Default)]
pub struct Stamper {
    last: Timestamp,
    /// The second whose text `text` holds, so that it is formatted once a second and not once a message.
    second: Option<u64>,
    text: [u8; TIMESTAMP_BYTES],
}

impl Stamper {
    /// Goes on after `last`.
    pub fn after(last: Timestamp) -> Stamper {
        Stamper { last, ..Stamper::default() }
    }

    /// The last one made.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// Returns the next timestamp, as it is written, or `None` if the calendar of four-digit years has none for this
    /// clock.
    pub fn stamp(&mut self, wall_us: Micros) -> Option<&[u8; TIMESTAMP_BYTES]> {
        if wall_us > Timestamp::MAX.0 - RESERVED_US {
            return None;
        }
        let timestamp = Timestamp(wall_us).max(self.last.next()?);
        self.last = timestamp;
        let second = timestamp.0 / SECOND_US;
        if self.second == Some(second) {
            put_digits(&mut self.text[20..26], timestamp.0 % SECOND_US);
        } else {
            self.second = Some(second);
            self.text = timestamp.to_bytes();
        }
        Some(&self.text)
    }
}

fn put_digits(text: &mut [u8], mut number: u64) {
    for byte in text.iter_mut().rev() {
        *byte = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Howard Hinnant, "chrono-compatible low-level date algorithms", for days since 1970-01-01.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// The inverse; `None` for a day that the month does not have.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let shifted_year = year - u64::from(month <= 2);
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    (civil_from_days(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_written_as_rfc_3339_and_read_back() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399_999_999, "2000-02-28T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_795_425_791_042_317, "2026-11-23T09:23:11.042317Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (Timestamp::MAX.0, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Timestamp(micros).to_string(), text);
            assert_eq!(Timestamp::parse(text.as_bytes()), Some(Timestamp(micros)));
        }
        for day in 0..200_000 {
            let (year, month, day_of_month) = civil_from_days(day);
            assert_eq!(days_from_civil(year, month, day_of_month), Some(day));
        }
    }

    #[test]
    fn what_is_no_moment_is_no_timestamp() {
        for text in [
            "",
            "2026-11-22T12:03:11.042317",
            "2026-13-22T12:03:11.042317Z",
            "2026-00-22T12:03:11.042317Z",
            "2026-02-29T12:03:11.042317Z",
            "2026-11-00T12:03:11.042317Z",
            "2026-11-22T24:03:11.042317Z",
            "2026-11-22T12:60:11.042317Z",
            "2026-11-22T12:03:60.042317Z",
            "2026-11-22 12:03:11.042317Z",
            "1969-11-22T12:03:11.042317Z",
        ] {
            assert_eq!(Timestamp::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn timestamps_have_digits_where_the_pattern_has_them_and_nothing_else_elsewhere() {
        for (at, &pattern) in PATTERN.iter().enumerate() {
            for byte in 0..=u8::MAX {
                let mut text = *PATTERN;
                text[at] = byte;
                let expected = if pattern == b'0' { byte.is_ascii_digit() } else { byte == pattern };
                assert_eq!(is_timestamp_prefix(&text), expected, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn the_beginning_of_a_moment_is_a_time_and_the_beginning_of_none_is_not() {
        for text in [
            "2026",
            "2026-",
            "2026-0",
            "2026-1",
            "2026-12-3",
            "2026-04-3",
            "2028-02-29",
            "2026-11-22T2",
            "2026-11-22T23:5",
            "2026-11-22T12:03:59.9",
            "2026-11-22T12:03:11.042317Z",
            "1969-12-31",
            "0000-02-29",
            "9999-12-31T23:59:59.999999Z",
        ] {
            let time = TimePrefix::parse(text.as_bytes());
            assert_eq!(time.map(|time| time.as_bytes().to_vec()), Some(text.into()), "{text}");
        }
        for text in [
            "",
            "202",
            "20260",
            "2026-2",
            "2026-00",
            "2026-13-01",
            "2026-02-3",
            "2026-02-31",
            "2026-04-31",
            "2026-02-29",
            "1900-02-29",
            "2026-11-22 12",
            "2026-11-22T3",
            "2026-11-22T24:00",
            "2026-11-22T12:60",
            "2026-11-22T12:03:11.042317Z ",
        ] {
            assert_eq!(TimePrefix::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn timestamps_rise_also_when_the_clock_stands_still_or_steps_back() {
        let mut stamper = Stamper::default();
        let mut last = [0; TIMESTAMP_BYTES];
        for wall_us in [5_000_000, 5_000_000, 5_999_999, 5_999_999, 3, 7_000_000, 6_999_999] {
            let next = *stamper.stamp(wall_us).unwrap();
            assert!(next > last, "{}", next.escape_ascii());
            assert_eq!(Timestamp::parse(&next), Some(stamper.last()));
            last = next;
        }
        assert_eq!(stamper.last(), Timestamp(7_000_001));
    }

    #[test]
    fn at_the_end_of_the_calendar_there_is_no_timestamp_and_a_right_clock_gives_some_again() {
        let end_us = Timestamp::MAX.0;
        for wall_us in [end_us - 1_000_000, end_us, end_us + 1, u64::MAX] {
            let mut stamper = Stamper::after(Timestamp(5));
            assert!(stamper.stamp(wall_us).is_none());
            assert_eq!(stamper.stamp(0), Some(&Timestamp(6).to_bytes()));
        }
        let mut stamper = Stamper::after(Timestamp(end_us - 1));
        assert_eq!(stamper.stamp(7), Some(b"9999-12-31T23:59:59.999999Z"));
        assert!(stamper.stamp(7).is_none());
    }
}
