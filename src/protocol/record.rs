//! A message and its line, which is the same in the log, on the wire and in `/history`:
//!
//! ```text
//! 2026-11-22T12:03:11.042317Z alice: hello
//! 2026-11-22T12:03:11.042318Z alice -> bob: psst
//! ```
//!
//! The timestamp has a fixed width and rises strictly over the whole log, so lines compare as their bytes do.

use std::fmt;

use crate::limits::{LINE_BYTES_MAX, Micros, NAME_BYTES_MAX, SECOND_US};
use crate::protocol::name::Name;

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
        let number = |from: usize, digits: usize| {
            text[from..from + digits].iter().fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0'))
        };
        let (year, month, day) = (number(0, 4), number(5, 2), number(8, 2));
        let (hour, minute, second) = (number(11, 2), number(14, 2), number(17, 2));
        if !(1970..).contains(&year) || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59
        {
            return None;
        }
        let days = days_from_civil(year, month, day)?;
        let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
        Some(Timestamp(seconds * SECOND_US + number(20, 6)))
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
        && text.iter().zip(PATTERN).all(|(byte, pattern)| match pattern {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
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
            write_line(&mut line, &Timestamp(1).to_bytes(), &name(from), to_name.as_ref(), text);
            assert_eq!(line.len(), line_length(&name(from), to_name.as_ref(), text));
            assert_eq!(check_line(&line), Ok(Timestamp(1)));
            let ends = ends_of(&line).unwrap();
            assert_eq!(ends.from, from.as_bytes());
            assert_eq!(ends.to, to.map_or(Audience::Public, |to| Audience::Private(to.as_bytes())));
            assert_eq!(&line[ends.text_at..line.len() - 1], text.as_bytes());
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
