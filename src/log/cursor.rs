//! Catching up: a reader's place in the log, which moves towards the end.
//!
//! `/history`, the replay at login and connections whose socket is too slow all use a cursor. It reads the file in
//! chunks, writes the lines that the reader may see to its socket, and remembers only the place of the first line that
//! the socket did not take. That chunk is read again when the socket has room, so a cursor costs a few integers and at
//! most the rest of one line, however slow the reader and however long the log.
//!
//! ```text
//!  missed:    search, what the replay shows, "* N more ...", end of the log at the login, all - end, then live
//!  history:   search, what was asked for, "* end of history", end of the log at the request, all - end, then live
//!  too slow:  search, the first line not sent, all - end, then live
//! ```
//!
//! Damage is skipped, and a notice for each damaged place tells the reader how many bytes it has.

mod part;

use std::io;

use self::part::{History, Part};
use crate::ids::AccountId;
use crate::limits::{CATCH_UP_CHUNK_BYTES, CATCH_UP_CHUNK_BYTES_MIN, SEARCH_CHUNK_BYTES_MIN};
use crate::log::blocks::start_of;
use crate::log::chain::{Chain, Next};
use crate::log::chunk::Chunk;
use crate::log::journal::Journal;
use crate::log::judge::Judge;
use crate::log::offset::Offset;
use crate::log::reader::Reader;
use crate::log::replay::Replay;
use crate::log::search::{Find, LookBack};
use crate::log::storage::File;
use crate::protocol::command::HistoryRange;
use crate::protocol::name::Name;
use crate::protocol::record::{Audience, Target, TimePrefix, Timestamp};
use crate::protocol::reply::{Error, Reply};
use crate::protocol::room::RoomName;

/// A reader's place in the log.
#[derive(Debug)]
pub struct Cursor {
    searching: Searching,
    /// The start of the first line that was not sent.
    next: Offset,
    /// The state of judging there.
    judge: Judge,
    /// Bytes of damage that end there and were not reported to the reader.
    damaged: u64,
    /// Messages up to this timestamp are skipped: the reader has them already.
    shown: Timestamp,
    /// The size of a chunk; adapts to what the socket takes.
    chunk_bytes: usize,
    /// The block whose first line comes next, if others were passed over.
    aligning: Option<u32>,
    part: Part,
    /// Where the lines are, for parts that show nothing but private messages of the reader and lines of rooms.
    chain: Option<Box<Chain>>,
}

/// A search that precedes reading.
#[derive(Debug)]
enum Searching {
    Nothing,
    /// By timestamp.
    Time(Box<Find>),
    /// Backwards, counting the messages that follow.
    Back(Box<LookBack>),
}

/// The result of one step of a cursor.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// There was nothing to show in this step; there is more to read.
    Passed,
    /// The chunk holds lines to send; call [`Cursor::advance`] with what was sent.
    Lines,
    /// Notices to send next, as complete lines; there is more to read.
    Notices(String),
    /// The requested history is complete; what was said since the request follows.
    EndOfHistory,
    /// The end of the log is reached: the reader is live.
    AtEnd,
}

impl Cursor {
    /// Shows everything from the message of `first` on; `None` shows only new messages.
    pub fn behind<F: File>(first: Option<Timestamp>, journal: &Journal<F>) -> Cursor {
        let Some(first) = first else { return Cursor::at(journal.end(), journal.last(), Part::All) };
        let searching = Searching::Time(Box::new(Find::new(TimePrefix::whole(first), journal)));
        Cursor { searching, ..Cursor::at(Offset::START, first.previous(), Part::All) }
    }

    /// Shows what a login shows of the messages after `seen`: private ones, the last `public_wanted` public ones, and
    /// as many of each room.
    pub fn missed<F: File>(seen: Timestamp, public_wanted: u32, journal: &Journal<F>) -> Cursor {
        let next = seen.next().filter(|_| public_wanted > 0 && seen < journal.last());
        // If everything was seen, or nothing is to be shown, the file need not be read.
        let Some(next) = next else { return Cursor::behind(None, journal) };
        let part = Part::Replay(Box::new(Replay::new(journal.end(), public_wanted, false)));
        let searching = if seen == Timestamp::default() {
            Searching::Back(Box::new(LookBack::new(journal.end(), Offset::START)))
        } else {
            Searching::Time(Box::new(Find::new(TimePrefix::whole(next), journal)))
        };
        Cursor { searching, ..Cursor::at(Offset::START, seen, part) }
    }

    /// Shows the last `public_wanted` public messages of all, for an account that is new.
    pub fn first_visit<F: File>(public_wanted: u32, journal: &Journal<F>) -> Cursor {
        if public_wanted == 0 {
            return Cursor::behind(None, journal);
        }
        let part = Part::Replay(Box::new(Replay::new(journal.end(), public_wanted, true)));
        let searching = Searching::Back(Box::new(LookBack::new(journal.end(), Offset::START)));
        Cursor { searching, ..Cursor::at(Offset::START, Timestamp::default(), part) }
    }

    /// Shows a part of the history, or of one conversation, and then continues from the current end of the log.
    pub fn history<F: File>(range: HistoryRange, with: Option<Target>, journal: &Journal<F>) -> Cursor {
        let find = |time| Searching::Time(Box::new(Find::new(time, journal)));
        let end = journal.end();
        let (searching, wanted) = match range {
            HistoryRange::All => (Searching::Nothing, None),
            HistoryRange::Last(count) => {
                (Searching::Back(Box::new(LookBack::new(end, Offset::START))), Some(count))
            }
            HistoryRange::Since(time) => (find(time), None),
            HistoryRange::Before(count, time) => (find(time), Some(count)),
        };
        let history = History { with, wanted, until: end, resume: end, resume_after: journal.last() };
        let part = Part::History(Box::new(history));
        let mut cursor = Cursor { searching, ..Cursor::at(Offset::START, Timestamp::default(), part) };
        if wanted == Some(0) {
            cursor.found(end);
        }
        cursor
    }

    fn at(next: Offset, shown: Timestamp, part: Part) -> Cursor {
        Cursor {
            searching: Searching::Nothing,
            next,
            judge: Judge::after(Timestamp::default()),
            damaged: 0,
            shown,
            chunk_bytes: CATCH_UP_CHUNK_BYTES,
            aligning: None,
            part,
            chain: None,
        }
    }

    /// Passes over blocks without a line of the reader's conversations wherever nothing else is to be shown. `rooms`
    /// are those of the reader.
    pub fn follow<F: File>(
        &mut self,
        journal: &Journal<F>,
        reader: Name,
        account: Option<AccountId>,
        rooms: &[RoomName],
    ) {
        let (is_chained, with) = match &self.part {
            Part::All => (false, None),
            Part::Replay(replay) => (!replay.is_first(), None),
            Part::History(history) => (history.is_chained(), history.with),
        };
        if !is_chained {
            return;
        }
        let (own, rooms) = match with {
            Some(Target::Room(room)) => (None, vec![room]),
            Some(_) => (Some(reader), Vec::new()),
            None => (Some(reader), rooms.to_vec()),
        };
        let parties = own.map(Target::Person).into_iter().chain(rooms.into_iter().map(Target::Room));
        self.chain = Some(Box::new(Chain::new(journal, parties, account)));
    }

    /// Whether everything was sent.
    pub fn is_at_end<F: File>(&self, journal: &Journal<F>) -> bool {
        matches!((&self.searching, &self.part), (Searching::Nothing, Part::All))
            && self.damaged == 0
            && self.next >= journal.end()
    }

    /// Whether this is a replay that omits private messages and has not sent the notice about them. Until then, what
    /// it sends does not count as seen, so that the notice is repeated if the connection breaks.
    pub fn owes_omissions(&self) -> bool {
        matches!(&self.part, Part::Replay(replay) if replay.omits_private())
    }

    /// Does a bounded piece of work: reads about one chunk, to search it or to send it, or verifies a block before its
    /// first line is read.
    ///
    /// # Errors
    /// Those of reading the log.
    pub fn step<F: File>(
        &mut self,
        journal: &mut Journal<F>,
        reader: &Reader<'_>,
        chunk: &mut Chunk,
    ) -> io::Result<Progress> {
        match &mut self.searching {
            Searching::Time(find) => {
                if let Some(found) = find.step(journal, chunk)? {
                    self.found_time(found);
                }
                return Ok(Progress::Passed);
            }
            Searching::Back(_) => return self.look_back(journal, reader, chunk),
            Searching::Nothing => {}
        }
        let until = match &self.part {
            Part::All => journal.end(),
            Part::Replay(replay) => replay.until,
            Part::History(history) => history.until,
        };
        if self.next >= until {
            return Ok(self.end_part());
        }
        let Some(until) = self.pass_over(until, journal, chunk)? else { return Ok(Progress::Passed) };
        if !chunk.read(journal, self.next, until, self.chunk_bytes)? {
            return Ok(Progress::Passed);
        }
        let before = (self.judge, self.damaged);
        self.judge.set_latest(journal.last());
        self.compose(reader, chunk);
        if chunk.text().is_empty() {
            self.next = chunk.end();
            self.chunk_bytes = (2 * self.chunk_bytes).min(CATCH_UP_CHUNK_BYTES);
            return Ok(Progress::Passed);
        }
        chunk.behind = (self.judge, self.damaged);
        (self.judge, self.damaged) = before;
        Ok(Progress::Lines)
    }

    /// Passes over what has nothing for the reader. Returns up to where is to be read from here on, or `None` if that
    /// takes further steps.
    fn pass_over<F: File>(
        &mut self,
        until: Offset,
        journal: &mut Journal<F>,
        chunk: &mut Chunk,
    ) -> io::Result<Option<Offset>> {
        if let Some(block) = self.aligning {
            let before = start_of(block) - 1;
            if chunk.read(journal, before, journal.end(), SEARCH_CHUNK_BYTES_MIN)? {
                self.aligning = None;
                if chunk.first_line_end().is_none() {
                    self.judge = Judge::within_line();
                }
                self.next = chunk.first_line_end().unwrap_or(chunk.end()).min(until);
            }
            return Ok(None);
        }
        let only_chained_before = until.min(self.part.only_chained_before());
        let Some(chain) = self.chain.as_mut().filter(|_| self.next < only_chained_before) else {
            return Ok(Some(until));
        };
        let until = only_chained_before;
        match chain.forwards(self.next, journal)? {
            Next::Wait => return Ok(None),
            Next::Read(end) => return Ok(Some(end.min(until))),
            Next::Skip(block) if start_of(block) >= until => self.next = until,
            Next::Skip(block) => self.aligning = Some(block),
        }
        self.judge = Judge::after(self.judge.last());
        Ok(None)
    }

    /// Composes the text that the reader is sent of a chunk. Moves the judge and the count of damage to the chunk's
    /// end.
    fn compose(&mut self, reader: &Reader<'_>, chunk: &mut Chunk) {
        let Cursor { judge, damaged, shown, part, .. } = self;
        let (start, mut last) = (chunk.start(), judge.last());
        chunk.compose(judge, |text, judged| {
            let Ok(message) = judged.verdict else {
                *damaged += judged.range.len() as u64;
                return;
            };
            if *damaged > 0 {
                let reply = damage(*damaged, last, message.timestamp);
                text.notice(judged.range.start, last, format_args!("{reply}"));
                *damaged = 0;
            }
            last = message.timestamp;
            if message.timestamp > *shown
                && reader.sees(&message)
                && part.shows(start + judged.range.start, &message, reader)
            {
                text.line(&judged.range);
            }
        });
    }

    /// Moves on after the first `count` bytes of the chunk's text were sent. Returns the rest of a line that was sent
    /// in part, and the timestamp of the last message that was sent.
    pub fn advance<'a>(&mut self, count: usize, chunk: &'a Chunk) -> (&'a [u8], Option<Timestamp>) {
        let offered = chunk.text().len();
        if count < offered {
            // The socket may take about as much the next time.
            let read = (chunk.end() - chunk.start()) as usize;
            self.chunk_bytes = (read * count / offered).clamp(CATCH_UP_CHUNK_BYTES_MIN, CATCH_UP_CHUNK_BYTES);
        } else {
            self.chunk_bytes = (2 * self.chunk_bytes).min(CATCH_UP_CHUNK_BYTES);
        }
        if count == 0 {
            return (&[], None);
        }
        let sent = chunk.sent(count);
        if count + sent.rest.len() == offered {
            // The rest of the chunk, after the last line of the text, is not for this reader.
            (self.judge, self.damaged) = chunk.behind;
            self.next = chunk.end();
        } else {
            (self.judge, self.damaged) = (Judge::after(sent.last), 0);
            self.next = sent.next;
        }
        (sent.rest, sent.message)
    }

    /// Ends the current part: all of it was shown.
    fn end_part(&mut self) -> Progress {
        if self.damaged > 0 {
            let last = self.judge.last();
            let reply = damage(std::mem::take(&mut self.damaged), last, last);
            return Progress::Notices(format!("{reply}\n"));
        }
        match std::mem::replace(&mut self.part, Part::All) {
            Part::All => Progress::AtEnd,
            Part::Replay(replay) if replay.omits_private() => Progress::Notices(replay.omissions()),
            Part::Replay(_) => Progress::Passed,
            Part::History(history) => {
                self.next = history.resume;
                self.judge = Judge::after(history.resume_after);
                self.shown = history.resume_after;
                Progress::EndOfHistory
            }
        }
    }

    /// Continues after a search by time, which found the first message at or after that time.
    fn found_time(&mut self, found: Offset) {
        let back = |before, floor| Searching::Back(Box::new(LookBack::new(before, floor)));
        match &mut self.part {
            Part::Replay(replay) => self.searching = back(replay.until, found),
            Part::History(history) if history.wanted.is_some() => {
                history.until = found.min(history.until);
                self.searching = back(history.until, Offset::START);
            }
            Part::All | Part::History(_) => self.found(found),
        }
    }

    fn found(&mut self, next: Offset) {
        self.searching = Searching::Nothing;
        self.next = next;
    }

    /// Searches one chunk further back.
    fn look_back<F: File>(
        &mut self,
        journal: &mut Journal<F>,
        reader: &Reader<'_>,
        chunk: &mut Chunk,
    ) -> io::Result<Progress> {
        let (part, Searching::Back(back)) = (&mut self.part, &mut self.searching) else {
            unreachable!("called only during a search backwards");
        };
        let mut from = Offset::START;
        if let Some(chain) = self.chain.as_mut().filter(|_| part.counts_only_chained()) {
            let Some(range) = chain.back(back.before(), journal)? else { return Ok(Progress::Passed) };
            from = range.start;
            back.skip_to(range.end);
        }
        let mut found = None;
        if back.step(journal, chunk, from, |message| part.counts(message, reader))? {
            while found.is_none()
                && let Some((offset, ends)) = chunk.pop_mark()
            {
                found = part.count(offset, &ends).then_some(offset);
                if let (Part::Replay(replay), Audience::Room(room)) = (&*part, ends.to)
                    && let (Some(room), Some(chain)) = (replay.is_complete(room), &mut self.chain)
                {
                    chain.forget(&Target::Room(room));
                }
            }
        } else {
            found = Some(back.floor());
        }
        if let Some(found) = found {
            let next = part.counted(found);
            self.found(next);
        }
        Ok(Progress::Passed)
    }
}

/// Returns the error about skipped damage. Its place is given by the timestamp of the message before it, or if there
/// is none, by that of the message behind it.
fn damage(bytes: u64, before: Timestamp, behind: Timestamp) -> Reply<'static> {
    let at = if before == Timestamp::default() { behind } else { before };
    Error::Damaged { bytes, at }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{REPLAY_PRIVATE_MAX, REPLAY_SENDERS_MAX};
    use crate::log::directory::{Directory, RealFile};
    use crate::log::journal::LOG_FILE;
    use crate::log::reader::NoRooms;
    use crate::log::storage::Storage;

    struct Log {
        directory: tempfile::TempDir,
        journal: Journal<RealFile>,
        lines: Vec<String>,
    }

    impl Log {
        /// The log of these lines, as a start finds it.
        fn of(lines: Vec<String>) -> Log {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join(LOG_FILE), lines.concat()).unwrap();
            let storage = &mut Directory::open(directory.path()).unwrap();
            let last = lines.iter().filter_map(|line| Timestamp::parse(line.as_bytes())).max();
            let journal = Journal::as_it_is(storage.open(LOG_FILE).unwrap(), last.unwrap_or_default());
            Log { directory, journal, lines }
        }

        /// Opens the same log once more, to read in it.
        fn open(&self) -> Journal<RealFile> {
            let file = RealFile::open_read_only(&self.directory.path().join(LOG_FILE)).unwrap();
            Journal::as_it_is(file.unwrap(), self.journal.last())
        }

        fn write(&mut self) {
            *self = Log::of(std::mem::take(&mut self.lines));
        }

        fn rewrite(&mut self, number: usize, line: &str) {
            self.lines[number] = line.into();
            self.write();
        }
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
        Log::of(lines)
    }

    /// Runs a cursor to the end with a socket that takes `at_most` bytes at a time; what alice was given.
    fn read_all(log: &Log, mut cursor: Cursor, at_most: usize) -> String {
        let alice = alice();
        let mut chunk = Chunk::default();
        let mut given = Vec::new();
        let mut journal = log.open();
        loop {
            match cursor.step(&mut journal, &alice, &mut chunk).unwrap() {
                Progress::Passed => {}
                Progress::Notices(lines) => given.extend_from_slice(lines.as_bytes()),
                Progress::EndOfHistory => given.extend_from_slice(b"* end\n"),
                Progress::AtEnd => return String::from_utf8(given).unwrap(),
                Progress::Lines => {
                    let taken = chunk.text().len().min(at_most);
                    given.extend_from_slice(&chunk.text()[..taken]);
                    let whole = given.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                    let last = given[..whole].split_inclusive(|&byte| byte == b'\n');
                    let last = last.rev().find_map(Timestamp::parse);
                    let (rest, sent) = cursor.advance(taken, &chunk);
                    assert!(sent.is_none() || sent == last);
                    given.extend_from_slice(rest);
                    assert!(given.ends_with(b"\n"));
                }
            }
        }
    }

    fn alice() -> Reader<'static> {
        Reader { name: Name::parse(b"alice").unwrap(), rooms: &NoRooms }
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
                let cursor = Cursor::behind(Some(stamp(from)), &log.journal);
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
                let cursor = Cursor::missed(stamp(seen), wanted as u32, &log.journal);
                assert_eq!(read_all(&log, cursor, at_most), expected, "{seen} {wanted}");
            }
        }
        let nothing = Cursor::missed(stamp(0), 0, &log.journal);
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
            let cursor = history(HistoryRange::Last(wanted as u64), &log);
            let expected = all[all.len().saturating_sub(wanted)..].concat() + "* end\n";
            assert_eq!(read_all(&log, cursor, 100), expected, "{wanted}");
        }
    }

    fn history(range: HistoryRange, log: &Log) -> Cursor {
        Cursor::history(range, None, &log.journal)
    }

    #[test]
    fn history_begins_and_ends_at_any_time() {
        for count in [0, 1, 2, 50, 900] {
            let log = log_of(count, |_| false, |number| number % 2 == 0);
            for at in [0, 1, 2, 3, 49, 50, 51, 500, 899, 900, 1000] {
                for time in [stamp(at), stamp(at).previous()] {
                    let first = if time == stamp(at) { at } else { at.saturating_sub(1) }.min(count);
                    let time = TimePrefix::whole(time);
                    let since = read_all(&log, history(HistoryRange::Since(time), &log), 1000);
                    assert_eq!(since, visible(&log, first..count).concat() + "* end\n", "{at} of {count}");
                    for wanted in [0, 3, 1000] {
                        let before = visible(&log, 0..first);
                        let expected = before[before.len().saturating_sub(wanted)..].concat() + "* end\n";
                        let range = HistoryRange::Before(wanted as u64, time);
                        assert_eq!(read_all(&log, history(range, &log), 1000), expected);
                    }
                }
            }
            let prefix = |text: &str| TimePrefix::parse(text.as_bytes()).unwrap();
            let all = visible(&log, 0..count).concat() + "* end\n";
            assert_eq!(read_all(&log, history(HistoryRange::Since(prefix("1970-")), &log), 100), all);
            assert_eq!(read_all(&log, history(HistoryRange::Since(prefix("2999-12")), &log), 9), "* end\n");
        }
    }

    #[test]
    fn a_conversation_is_what_two_people_said_to_each_other_in_private() {
        let log = log_of(900, |number| number % 7 == 3, |number| number % 3 > 0);
        let with = |name: &str, range| {
            let with = Target::parse(name.as_bytes()).unwrap();
            read_all(&log, Cursor::history(range, Some(with), &log.journal), 500)
        };
        let private: Vec<_> = (0..900).filter(|number| number % 7 == 3).collect();
        let lines = |numbers: &[usize]| numbers.iter().map(|&it| log.lines[it].as_str()).collect::<String>();
        assert_eq!(with("BOB", HistoryRange::All), lines(&private) + "* end\n");
        assert_eq!(with("bob", HistoryRange::Last(5)), lines(&private[private.len() - 5..]) + "* end\n");
        let time = TimePrefix::whole(stamp(private[40]));
        assert_eq!(with("bob", HistoryRange::Since(time)), lines(&private[40..]) + "* end\n");
        assert_eq!(with("bob", HistoryRange::Before(2, time)), lines(&private[38..40]) + "* end\n");
        for name in ["carol", "alice"] {
            assert_eq!(with(name, HistoryRange::All), "* end\n", "what bob wrote to {name}");
        }
    }

    #[test]
    fn of_a_flood_of_private_messages_the_newest_of_each_sender_are_shown() {
        let flood = REPLAY_PRIVATE_MAX as usize + 30;
        // One from dave before the flood from bob, and one within it.
        let mut log = log_of(flood + 2, |number| number != 0 && number != 20, |_| false);
        for number in [0, 20] {
            log.rewrite(number, &format!("{} dave -> alice: {number}\n", stamp(number)));
        }
        let replay = Cursor::missed(Timestamp::default(), 50, &log.journal);
        let expected = log.lines[0].clone()
            + &log.lines[20]
            + &log.lines[flood + 2 - REPLAY_PRIVATE_MAX as usize..].concat()
            + "* 30 more from bob: /history bob\n";
        assert_eq!(read_all(&log, replay, 700), expected);
    }

    #[test]
    fn more_senders_than_are_counted_one_by_one_have_one_allowance() {
        let (senders, others) = (REPLAY_SENDERS_MAX, REPLAY_PRIVATE_MAX as usize + 7);
        let mut log = log_of(others + senders, |_| true, |_| false);
        for number in 0..others + senders {
            // The newest senders are counted by name.
            let line = format!("{} s{} -> alice: x\n", stamp(number), number % (others + senders));
            log.rewrite(number, &line);
        }
        let replay = Cursor::missed(Timestamp::default(), 1, &log.journal);
        let expected = log.lines[7..].concat() + "* 7 more from others: /history\n";
        assert_eq!(read_all(&log, replay, 7000), expected);
    }

    #[test]
    fn what_is_left_out_is_owed_until_it_is_said() {
        let log = log_of(REPLAY_PRIVATE_MAX as usize + 1, |_| true, |_| false);
        let mut cursor = Cursor::missed(Timestamp::default(), 50, &log.journal);
        let (alice, mut chunk) = (alice(), Chunk::default());
        let mut journal = log.open();
        loop {
            match cursor.step(&mut journal, &alice, &mut chunk).unwrap() {
                Progress::Lines => assert!(cursor.owes_omissions()),
                Progress::Notices(_) => break assert!(!cursor.owes_omissions()),
                _ => {}
            }
            cursor.advance(chunk.text().len(), &chunk);
        }
    }

    /// Everything in a log, and whatever stands between, as alice is shown it.
    fn all(log: &Log) -> String {
        for at_most in [1, 7, 90, 3000, usize::MAX] {
            let read = read_all(log, history(HistoryRange::All, log), at_most);
            assert_eq!(read, read_all(log, history(HistoryRange::All, log), 500), "{at_most}");
        }
        read_all(log, history(HistoryRange::All, log), usize::MAX)
    }

    fn damaged(bytes: usize, at: usize) -> String {
        format!("! damaged: {bytes} bytes at {} cannot be shown\n", stamp(at))
    }

    #[test]
    fn damage_is_not_shown_and_its_reader_is_told_once_for_each_place() {
        let mut log = log_of(300, |_| false, |_| true);
        let junk = "junk\n".repeat(3);
        let lengths: Vec<_> = [0, 20, 21, 299].map(|it| log.lines[it].len()).into();
        log.lines[0] = "x".repeat(lengths[0] - 1) + "\n";
        log.lines[20].replace_range(..1, "x");
        log.lines[21].replace_range(..1, "\x1b");
        log.lines[100] += &junk;
        log.write();
        let expected = damaged(lengths[0], 1)
            + &log.lines[1..20].concat()
            + &damaged(lengths[1] + lengths[2], 19)
            + &log.lines[22..100].concat()
            + log.lines[100].trim_end_matches(&junk)
            + &damaged(junk.len(), 100)
            + &log.lines[101..].concat()
            + "* end\n";
        assert_eq!(all(&log), expected);
    }

    #[test]
    fn damage_longer_than_a_chunk_is_told_once_whether_it_has_lines_or_not() {
        for what in ["j", "\n", "\0"] {
            let mut log = log_of(2000, |_| false, |_| true);
            let length = 3 * CATCH_UP_CHUNK_BYTES + 17;
            log.lines[1000] = what.repeat(length - 1) + "\n";
            log.write();
            let (before, behind) = (log.lines[..1000].concat(), log.lines[1001..].concat());
            let expected = before + &damaged(length, 999) + &behind + "* end\n";
            assert_eq!(all(&log), expected);
            for (wanted, from) in [(5, 1995), (999, 1001)] {
                let last = read_all(&log, history(HistoryRange::Last(wanted), &log), 5000);
                assert_eq!(last, log.lines[from..].concat() + "* end\n");
            }
            for at in [0, 1, 500, 999, 1001, 1500, 1999] {
                let time = TimePrefix::whole(stamp(at));
                let since = read_all(&log, history(HistoryRange::Since(time), &log), 5000);
                assert!(since.starts_with(&log.lines[at]), "{at}");
                let before = read_all(&log, history(HistoryRange::Before(1, time), &log), 5000);
                let last = if at == 1001 { 999 } else { at.saturating_sub(1) };
                let expected = if at == 0 { "" } else { &log.lines[last] };
                assert!(before.starts_with(expected), "{at}: {before}");
            }
        }
    }

    #[test]
    fn every_step_is_bounded_however_long_the_damage() {
        let mut log = log_of(2000, |_| false, |_| true);
        log.lines[1000] = "j\n".repeat(2 << 20);
        log.write();
        let (alice, mut chunk) = (alice(), Chunk::default());
        for at in [0, 999, 1001, 1999] {
            let mut cursor = history(HistoryRange::Since(TimePrefix::whole(stamp(at))), &log);
            let mut steps = 0;
            while cursor.step(&mut log.journal, &alice, &mut chunk).unwrap() == Progress::Passed {
                let length = chunk.end() - chunk.start();
                assert!(length <= CATCH_UP_CHUNK_BYTES as u64);
                steps += 1;
            }
            assert!(steps < 4 * (4 << 20) / CATCH_UP_CHUNK_BYTES, "{steps} for {at}");
        }
    }

    #[test]
    fn a_time_is_found_beside_a_lone_timestamp_that_is_out_of_order() {
        for (outlier, wrong) in [(500, 10), (500, 1900), (0, 1900), (1000, 2), (1750, 1751), (1999, 3)] {
            let mut log = log_of(2000, |_| false, |_| true);
            let wrong_stamp = stamp(wrong).to_string();
            log.lines[outlier].replace_range(..wrong_stamp.len(), &wrong_stamp);
            log.write();
            for at in (0..2000).step_by(83).chain([outlier - outlier.min(1), outlier + 1]) {
                let time = TimePrefix::whole(stamp(at.min(1998)));
                let since = read_all(&log, history(HistoryRange::Since(time), &log), 5000);
                let mut first = log.lines[at.min(1998)].as_str();
                if at == outlier {
                    first = &log.lines[at + 1];
                }
                assert!(since.starts_with(first) || since.starts_with("! damaged"), "{outlier} {wrong} {at}");
            }
        }
    }

    #[test]
    fn two_swapped_blocks_show_no_line_twice_and_none_out_of_order() {
        let mut log = log_of(3000, |_| false, |_| true);
        let middle = log.lines.split_off(2000);
        log.lines.rotate_left(1000);
        log.lines.extend(middle);
        log.write();
        let lines: Vec<String> = all(&log).lines().map(str::to_owned).collect();
        let messages: Vec<_> = lines.iter().filter(|line| line.starts_with('1')).collect();
        assert!(messages.is_sorted_by(|a, b| a < b));
        assert_eq!(messages.len(), 2000);
        assert_eq!(lines.iter().filter(|line| line.starts_with("! damaged")).count(), 1);
        for at in (0..3000).step_by(97) {
            let range = HistoryRange::Since(TimePrefix::whole(stamp(at)));
            let since = read_all(&log, history(range, &log), 5000);
            let messages: Vec<_> = since.lines().filter(|line| line.starts_with('1')).collect();
            assert!(messages.is_sorted_by(|a, b| a < b), "{at}");
        }
    }

    #[test]
    fn a_log_that_became_shorter_is_an_error_and_no_endless_search() {
        let mut log = log_of(2000, |_| false, |_| true);
        let path = log.directory.path().join(LOG_FILE);
        std::fs::File::options().write(true).open(path).unwrap().set_len(1000).unwrap();
        let (alice, mut chunk) = (alice(), Chunk::default());
        let ranges = [
            HistoryRange::All,
            HistoryRange::Last(3),
            HistoryRange::Since(TimePrefix::whole(stamp(700))),
            HistoryRange::Before(3, TimePrefix::whole(stamp(1500))),
        ];
        for range in ranges {
            let mut cursor = history(range, &log);
            let steps = (0..100).map(|_| cursor.step(&mut log.journal, &alice, &mut chunk));
            let mut errors = steps.filter_map(Result::err);
            assert_eq!(errors.next().unwrap().kind(), io::ErrorKind::UnexpectedEof, "{range:?}");
        }
    }

    #[test]
    fn a_socket_that_takes_little_is_read_little_for() {
        let mut log = log_of(3000, |_| false, |_| true);
        let (alice, mut chunk) = (alice(), Chunk::default());
        let mut cursor = history(HistoryRange::All, &log);
        let mut read = Vec::new();
        for taken in [300, 300, 300, usize::MAX, usize::MAX, usize::MAX, usize::MAX] {
            assert_eq!(cursor.step(&mut log.journal, &alice, &mut chunk).unwrap(), Progress::Lines);
            read.push(chunk.end() - chunk.start());
            cursor.advance(chunk.text().len().min(taken), &chunk);
        }
        assert!(read[0] > 60_000 && read[1] <= 8 << 10 && read[2] <= 8 << 10, "{read:?}");
        assert!(read.is_sorted_by(|a, b| a <= b) || read[3..].is_sorted(), "{read:?}");
        assert!(read[6] > read[3], "{read:?}");
    }
}
