//! Catching up: a place in the log that moves towards its end.
//!
//! `/history`, what was missed while away, and a reader too slow for its socket are all this: whole lines read
//! from the file in chunks, those that the reader may see written to its socket, and of what the socket did not
//! take only the place remembered. A chunk is read again when the socket has room, so a cursor costs some numbers
//! and at most the rest of one line, however slow its reader and however long the log.
//!
//! ```text
//!  missed:    S - only private ones to the reader - Q - all that it may see - end of the log, then live
//!  history:   start - all that it may see - until, "* end of history", resume - all - end of the log, then live
//!  too slow:  the first line not sent - all that it may see - end of the log, then live
//! ```

use std::io::{self, IoSlice};
use std::ops::Range;

use crate::journal::Journal;
use crate::limits::{CATCH_UP_CHUNK_BYTES, LINE_BYTES_MAX, SEARCH_CHUNK_BYTES_MIN};
use crate::line::skip_line;
use crate::name::Name;
use crate::record::{Audience, Ends, Timestamp, ends_of};
use crate::storage::File;

/// A part of the history, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryStart {
    /// From the first message.
    First,
    /// So many messages before the end.
    Last(u64),
    /// From this byte of the log on.
    At(u64),
}

/// A reader's place in the log.
#[derive(Debug)]
pub struct Cursor {
    /// Where reading begins is still being looked for.
    search: Option<Search>,
    /// The start of the first line that was not handed out.
    next: u64,
    /// Before this place only private messages to the reader are shown.
    everything_from: u64,
    /// Up to here it is history that was asked for.
    history_until: Option<u64>,
    /// Where to go on behind the history: what stands there was not seen before.
    resume: u64,
}

/// Looks backwards for the place that so many messages lie behind.
#[derive(Debug)]
struct Search {
    /// All from here to the end was counted.
    before: u64,
    /// Not to be looked behind.
    floor: u64,
    /// Messages still to find.
    wanted: u64,
    /// Whether private messages count, too.
    counts_private: bool,
    /// Bytes to read next.
    chunk_bytes: usize,
}

/// What one step of a cursor came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something was read and nothing of it is to be shown; there is more.
    Passed,
    /// The chunk holds lines to be sent; [`Cursor::advance`] tells how much was.
    Lines,
    /// The history that was asked for is through; there is more behind it.
    EndOfHistory,
    /// The end of the log: its reader is live.
    AtEnd,
}

/// A part of the log in memory, shared by all cursors in turn, and what of it is to be sent.
pub struct Chunk {
    buffer: Box<[u8]>,
    /// Where in the log it begins.
    start: u64,
    /// Whole lines, as bytes of `buffer`.
    length: usize,
    /// The parts that the reader may see, in order; each one ends with a line.
    runs: Vec<Range<usize>>,
}

impl Default for Chunk {
    fn default() -> Chunk {
        let buffer = vec![0; CATCH_UP_CHUNK_BYTES].into_boxed_slice();
        Chunk { buffer, start: 0, length: 0, runs: Vec::new() }
    }
}

impl Cursor {
    /// Shows all from the message of `timestamp` on.
    ///
    /// # Errors
    /// Those of reading the log.
    pub fn behind<F: File>(timestamp: Timestamp, journal: &Journal<F>) -> io::Result<Cursor> {
        Ok(Cursor::at(journal.find(&timestamp.to_bytes())?))
    }

    /// Shows every private message after `seen`, and the last `public_wanted` of the public ones.
    ///
    /// # Errors
    /// Those of reading the log.
    pub fn missed<F: File>(seen: Timestamp, public_wanted: u32, journal: &Journal<F>) -> io::Result<Cursor> {
        // Who has seen all, and who is not to be shown anything, need no look at the file.
        let start = if public_wanted == 0 || seen >= journal.last() {
            journal.end()
        } else {
            journal.find(&seen.next().to_bytes())?
        };
        let search = Search::new(journal.end(), start, public_wanted.into(), false);
        Ok(Cursor { search: Some(search), ..Cursor::at(start) })
    }

    /// Shows the last `public_wanted` public messages of all, for who comes for the first time.
    pub fn first_visit<F: File>(public_wanted: u32, journal: &Journal<F>) -> Cursor {
        let search = Search::new(journal.end(), 0, public_wanted.into(), false);
        // Nothing can have been sent to an account that was not there: where the search ends, reading begins.
        Cursor { search: Some(search), next: u64::MAX, ..Cursor::at(journal.end()) }
    }

    /// Shows a part of the history that ends at `until`, and then goes on where the log ends now.
    pub fn history<F: File>(start: HistoryStart, until: u64, journal: &Journal<F>) -> Cursor {
        let (search, next) = match start {
            HistoryStart::First => (None, 0),
            HistoryStart::At(offset) => (None, offset),
            HistoryStart::Last(wanted) => (Some(Search::new(until, 0, wanted, true)), u64::MAX),
        };
        Cursor { search, history_until: Some(until), resume: journal.end(), ..Cursor::at(next) }
    }

    fn at(next: u64) -> Cursor {
        Cursor { search: None, next, everything_from: 0, history_until: None, resume: 0 }
    }

    /// Whether all is handed out.
    pub fn is_at_end<F: File>(&self, journal: &Journal<F>) -> bool {
        self.search.is_none() && self.history_until.is_none() && self.next >= journal.end()
    }

    /// Does a bounded piece of work: looks one chunk further back, or reads one chunk to be sent.
    ///
    /// # Errors
    /// Those of reading the log.
    pub fn step<F: File>(
        &mut self,
        journal: &Journal<F>,
        reader: &Name,
        chunk: &mut Chunk,
    ) -> io::Result<Progress> {
        if let Some(search) = &mut self.search {
            if let Some(found) = search.step(journal, reader, chunk)? {
                self.everything_from = found;
                self.next = self.next.min(found);
                self.search = None;
            }
            return Ok(Progress::Passed);
        }
        let until = self.history_until.unwrap_or(u64::MAX);
        if self.next >= until {
            self.history_until = None;
            self.next = self.resume;
            return Ok(Progress::EndOfHistory);
        }
        chunk.start = self.next;
        chunk.length = journal.read_lines(self.next, until, &mut chunk.buffer)?;
        if chunk.length == 0 {
            return Ok(Progress::AtEnd);
        }
        chunk.keep(|line_start, ends| match ends.to {
            _ if line_start >= self.everything_from => ends.visible_to(reader),
            Audience::Public => false,
            Audience::Private(to) => to.eq_ignore_ascii_case(reader.as_bytes()),
        });
        if chunk.runs.is_empty() {
            self.next += chunk.length as u64;
            return Ok(Progress::Passed);
        }
        Ok(Progress::Lines)
    }

    /// The first `count` bytes of what [`Chunk::slices`] gave were sent.
    pub fn advance<'a>(&mut self, mut count: usize, chunk: &'a Chunk) -> Sent<'a> {
        let mut sent = Sent { rest: &[], last: None };
        let mut runs = chunk.runs.iter().peekable();
        while let Some(run) = runs.next_if(|_| count > 0) {
            let sent_end = run.start + count.min(run.len());
            count -= sent_end - run.start;
            // The line of the last byte sent counts as handed out: what is missing of it, the caller takes over.
            let line_start = last_line_end(&chunk.buffer[..sent_end - 1]);
            let line_end = line_start + skip_line(&chunk.buffer[line_start..run.end]);
            sent.rest = &chunk.buffer[sent_end..line_end];
            let whole_end = if sent.rest.is_empty() { line_end } else { line_start };
            if whole_end > run.start {
                let start = last_line_end(&chunk.buffer[..whole_end - 1]);
                sent.last = Timestamp::parse(&chunk.buffer[start..whole_end]);
            }
            self.next = chunk.start + line_end as u64;
            if line_end < run.end {
                return sent;
            }
        }
        if runs.peek().is_none() {
            // What is behind the last run is not for this reader.
            self.next = chunk.start + chunk.length as u64;
        }
        sent
    }
}

/// What came of giving a chunk to a socket.
#[derive(Debug, PartialEq, Eq)]
pub struct Sent<'a> {
    /// What is missing of the last line that was sent in part.
    pub rest: &'a [u8],
    /// The timestamp of the last message that was sent whole.
    pub last: Option<Timestamp>,
}

impl Search {
    fn new(before: u64, floor: u64, wanted: u64, counts_private: bool) -> Search {
        Search { before, floor, wanted, counts_private, chunk_bytes: SEARCH_CHUNK_BYTES_MIN }
    }

    /// Looks one chunk further back. Returns the place once it is found.
    fn step<F: File>(
        &mut self,
        journal: &Journal<F>,
        reader: &Name,
        chunk: &mut Chunk,
    ) -> io::Result<Option<u64>> {
        if self.wanted == 0 || self.before <= self.floor {
            return Ok(Some(self.before));
        }
        let buffer = &mut chunk.buffer[..self.chunk_bytes];
        let range = journal.read_lines_before(self.before, self.floor, buffer)?;
        chunk.start = range.start;
        chunk.length = (range.end - range.start) as usize;
        let counts = |ends: &Ends<'_>| match ends.to {
            Audience::Public => true,
            Audience::Private(_) => self.counts_private && ends.visible_to(reader),
        };
        let found = chunk.lines().filter(|(_, ends)| counts(ends)).count() as u64;
        if found >= self.wanted {
            let skipped = (found - self.wanted) as usize;
            let first = chunk.lines().filter(|(_, ends)| counts(ends)).nth(skipped);
            return Ok(first.map(|(line, _)| chunk.start + line.start as u64));
        }
        self.wanted -= found;
        self.before = range.start;
        self.chunk_bytes = (self.chunk_bytes * 2).min(CATCH_UP_CHUNK_BYTES);
        Ok(None)
    }
}

impl Chunk {
    /// What is to be sent.
    pub fn slices(&self) -> impl Iterator<Item = IoSlice<'_>> {
        self.runs.iter().map(|run| IoSlice::new(&self.buffer[run.clone()]))
    }

    /// The messages in it. What is no message is passed over: damage is shown to nobody.
    fn lines(&self) -> impl Iterator<Item = (Range<usize>, Ends<'_>)> {
        let bytes = &self.buffer[..self.length];
        // All at once, and each by itself only where there is damage.
        let are_clean = is_clean(bytes);
        let mut start = 0;
        std::iter::from_fn(move || {
            while start < bytes.len() {
                let line = start..start + skip_line(&bytes[start..]);
                start = line.end;
                let ends = message(&bytes[line.clone()]);
                if let Some(ends) = ends.filter(|_| are_clean || is_clean(&bytes[line.clone()])) {
                    return Some((line, ends));
                }
            }
            None
        })
    }

    /// Makes runs of the messages that `shown` says yes to, by where they begin in the log.
    fn keep(&mut self, shown: impl Fn(u64, &Ends<'_>) -> bool) {
        let mut runs = std::mem::take(&mut self.runs);
        runs.clear();
        for (line, ends) in self.lines() {
            if shown(self.start + line.start as u64, &ends) {
                match runs.last_mut() {
                    Some(run) if run.end == line.start => run.end = line.end,
                    _ => runs.push(line),
                }
            }
        }
        self.runs = runs;
    }
}

/// The ends of the message in a line as it is read from the file, where it is one.
fn message(line: &[u8]) -> Option<Ends<'_>> {
    if line.len() > LINE_BYTES_MAX || line.last() != Some(&b'\n') {
        return None;
    }
    Timestamp::parse(line).and_then(|_| ends_of(line))
}

/// Whether these lines can be shown: not where damage made a control sequence of something.
fn is_clean(lines: &[u8]) -> bool {
    let is_control = |byte: u8| (byte < b' ' && byte != b'\n' && byte != b'\t') | (byte == 0x7f);
    // Without a branch a byte, since all that is read goes through it.
    !lines.iter().fold(false, |has, &byte| has | is_control(byte)) && std::str::from_utf8(lines).is_ok()
}

fn last_line_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Directory, RealFile};
    use crate::journal::LOG_FILE;
    use crate::storage::SyncPolicy;

    struct Log {
        _directory: tempfile::TempDir,
        journal: Journal<RealFile>,
        lines: Vec<String>,
    }

    fn stamp(number: usize) -> Timestamp {
        Timestamp::from_micros(1_000_000 + number as u64)
    }

    /// A log of public messages, of some between bob and carol, and, where `for_alice` says so, some for alice.
    fn log_of(count: usize, for_alice: impl Fn(usize) -> bool, public: impl Fn(usize) -> bool) -> Log {
        let lines: Vec<String> = (0..count)
            .map(|number| {
                let to = match number {
                    _ if for_alice(number) => " -> Alice",
                    _ if public(number) => "",
                    _ => " -> carol",
                };
                format!("{} bob{to}: {number}{}\n", stamp(number), "x".repeat(number * 31 % 200))
            })
            .collect();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(LOG_FILE), lines.concat()).unwrap();
        let storage = &mut Directory::open(directory.path()).unwrap();
        let journal = Journal::recover(storage, SyncPolicy::Always).unwrap();
        Log { _directory: directory, journal, lines }
    }

    /// Runs a cursor to the end with a socket that takes `at_most` bytes at a time; what alice was given.
    fn read_all(log: &Log, mut cursor: Cursor, at_most: usize) -> String {
        let alice = Name::parse(b"alice").unwrap();
        let mut chunk = Chunk::default();
        let mut given = Vec::new();
        loop {
            match cursor.step(&log.journal, &alice, &mut chunk).unwrap() {
                Progress::Passed => {}
                Progress::EndOfHistory => given.extend_from_slice(b"* end\n"),
                Progress::AtEnd => return String::from_utf8(given).unwrap(),
                Progress::Lines => {
                    let offered: Vec<u8> = chunk.slices().flat_map(|slice| slice.to_vec()).collect();
                    let taken = offered.len().min(at_most);
                    given.extend_from_slice(&offered[..taken]);
                    let sent = cursor.advance(taken, &chunk);
                    let whole = given.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                    let last = given[..whole].split_inclusive(|&byte| byte == b'\n').next_back();
                    if sent.last.is_some() {
                        assert_eq!(sent.last, last.and_then(Timestamp::parse));
                    }
                    given.extend_from_slice(sent.rest);
                    assert!(given.ends_with(b"\n"));
                }
            }
        }
    }

    fn visible(log: &Log, range: std::ops::Range<usize>) -> Vec<&str> {
        log.lines[range].iter().map(String::as_str).filter(|line| !line.contains(" -> carol")).collect()
    }

    const SIZES: [usize; 6] = [1, 2, 100, 227, 4096, usize::MAX];

    #[test]
    fn who_fell_behind_gets_all_from_there_however_little_the_socket_takes() {
        let log = log_of(900, |number| number % 7 == 3, |number| number % 3 > 0);
        for at_most in SIZES {
            for from in [0, 1, 450, 899] {
                let cursor = Cursor::behind(stamp(from), &log.journal).unwrap();
                assert_eq!(read_all(&log, cursor, at_most), visible(&log, from..900).concat());
            }
        }
    }

    #[test]
    fn who_was_away_gets_the_last_public_and_every_private_message() {
        let log = log_of(900, |number| number % 50 == 3, |number| number % 3 > 0);
        for at_most in SIZES {
            for (seen, wanted) in [(0, 50), (100, 50), (890, 50), (898, 1), (0, 10_000), (899, 50), (5, 1)] {
                let is_public = |line: &&str| !line.contains(" -> ");
                let missed = visible(&log, seen + 1..900);
                let publics = missed.iter().filter(|line| is_public(line)).count();
                let mut skipped = publics.saturating_sub(wanted);
                let expected: String = missed
                    .into_iter()
                    .filter(|line| {
                        let skip = is_public(line) && skipped > 0;
                        skipped -= usize::from(skip);
                        !skip
                    })
                    .collect();
                let cursor = Cursor::missed(stamp(seen), wanted as u32, &log.journal).unwrap();
                assert_eq!(read_all(&log, cursor, at_most), expected, "{seen} {wanted}");
            }
        }
        let nothing = Cursor::missed(stamp(0), 0, &log.journal).unwrap();
        assert_eq!(read_all(&log, nothing, 100), "");
    }

    #[test]
    fn a_first_visit_shows_the_last_public_messages() {
        let log = log_of(900, |_| false, |number| number % 30 == 0);
        let cursor = Cursor::first_visit(5, &log.journal);
        let expected: String = [750, 780, 810, 840, 870].map(|number| log.lines[number].as_str()).concat();
        assert_eq!(read_all(&log, cursor, 100), expected);
    }

    #[test]
    fn the_last_n_count_only_what_the_reader_may_see() {
        let log = log_of(2000, |number| number % 90 == 1, |number| number % 70 == 0);
        let all = visible(&log, 0..2000);
        for wanted in [0, 1, 2, 10, all.len() - 1, all.len(), all.len() + 1, usize::MAX] {
            let start = HistoryStart::Last(wanted as u64);
            let cursor = Cursor::history(start, log.journal.end(), &log.journal);
            let expected = all[all.len().saturating_sub(wanted)..].concat() + "* end\n";
            assert_eq!(read_all(&log, cursor, 100), expected, "{wanted}");
        }
    }

    #[test]
    fn history_ends_where_it_was_asked_to() {
        let log = log_of(900, |_| false, |number| number % 2 == 0);
        let until = log.journal.find(&stamp(500).to_bytes()).unwrap();
        for at_most in SIZES {
            let read = |start| read_all(&log, Cursor::history(start, until, &log.journal), at_most);
            assert_eq!(read(HistoryStart::First), visible(&log, 0..500).concat() + "* end\n");
            assert_eq!(read(HistoryStart::Last(3)), visible(&log, 494..500).concat() + "* end\n");
            assert_eq!(read(HistoryStart::At(until)), "* end\n");
        }
    }

    #[test]
    fn damage_is_shown_to_nobody() {
        let log = log_of(2000, |_| false, |_| true);
        // Longer than a chunk, and without a line ending but at its end.
        let (before, damaged, behind) = (&log.lines[..100], &log.lines[100..900], &log.lines[900..]);
        let junk = "j".repeat(damaged.concat().len() - 1) + "\n";
        assert!(junk.len() > CATCH_UP_CHUNK_BYTES);
        let path = log._directory.path().join(LOG_FILE);
        std::fs::write(path, before.concat() + &junk + &behind.concat()).unwrap();
        let read = |start| read_all(&log, Cursor::history(start, log.journal.end(), &log.journal), 1000);
        assert_eq!(read(HistoryStart::First), before.concat() + &behind.concat() + "* end\n");
        assert_eq!(
            read(HistoryStart::Last(1150)),
            log.lines[50..100].concat() + &behind.concat() + "* end\n"
        );
    }
}
