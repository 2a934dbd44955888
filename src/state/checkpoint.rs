//! `state.txt`: what the log and `users.txt` are known to hold, so that a start notices when one of them is older or
//! shorter than it was, and need not read the whole log to know which names are taken and what the rooms are.
//!
//! ```text
//! log:LENGTH:TIME:CHECK       the log had LENGTH bytes, all synced, and ended with a message of TIME
//! users:LENGTH:CHECK:CHECK    users.txt had LENGTH bytes, and its last line had this CHECK
//! reserved:NAME:CHECK         a name without an account that occurs in the log or has a read mark
//! event:LINE:CHECK            a line of the log that changes the state, or one of fewer that come to the same
//! scanned:LENGTH:CHECK        each name in the first LENGTH bytes of the log has an account or is reserved by a line
//!                             above this one, and the events in these bytes come to what the ones above come to
//! ```
//!
//! The last CHECK of each line belongs to the same chain of checksums as in `users.txt` (see [`crate::state::users`]).
//! The first bad line ends what counts.
//!
//! # What makes the marks safe
//!
//! - A line is written only after the syncs that cover what it says. So it holds after any crash.
//! - The log and `users.txt` only grow. Before either is replaced by another file, [`forget`] rewrites this one without
//!   marks. So every line was true from when it was written on, and any first part of the file is true. If a part is
//!   lost, a start knows less, but accuses no file wrongly.
//! - `scanned` counts only below a mark of `users.txt` and a mark of the log that covers it. A file that lost accounts
//!   is refused because of its mark, so none of its names becomes free.
//! - Events count only above a `scanned`. Behind its place, they are read in the log.
//!
//! A copy of this file from before such a replacement is not recognized as old: a start refuses the newer file.
//!
//! This file is a cache. Only a rewrite syncs it, and if it cannot be written, the server goes on.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::{self, Write};
use std::io;
use std::ops::ControlFlow;

use log::warn;

use crate::limits::{STATE_COMPACT_BYTES, STATE_EVENTS_MAX};
use crate::log::cache::CacheFile;
use crate::log::mark::LogMark;
use crate::log::offset::Offset;
use crate::log::recovery::{Damage, try_each_line};
use crate::log::storage::{File, Storage, open_if_there, rewrite};
use crate::protocol::name::Name;
use crate::protocol::record::{Body, Record, Target, Timestamp};
use crate::state::durable::State;
use crate::state::rooms::Rooms;
use crate::state::users::Check;

/// The file name of the checkpoint.
pub const STATE_FILE: &str = "state.txt";
/// What its loss means, for the operator.
const LOSS: &str = "the next start may not notice that another file was truncated";

/// `users.txt` had this length, and its last line had this CHECK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsersMark {
    /// In bytes.
    pub length: u64,
    /// The CHECK of the line that ended there.
    pub check: Check,
}

/// What the files are known to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The mark of the log.
    pub log: Option<LogMark>,
    /// The mark of `users.txt`.
    pub users: Option<UsersMark>,
    /// Each name in this many first bytes of the log has an account or is reserved.
    pub scanned: u64,
}

impl UsersMark {
    /// The mark of an empty file, with which every file agrees.
    pub const NOTHING: UsersMark = UsersMark { length: 0, check: Check::START };
}

impl Checkpoint {
    /// A checkpoint of what is known now. Nothing follows from `scanned` without the marks that cover it.
    pub fn new(log: Option<LogMark>, users: Option<UsersMark>, scanned: u64) -> Checkpoint {
        let checkpoint = Checkpoint { log, users, scanned };
        if checkpoint.is_scan_covered() { checkpoint } else { Checkpoint { scanned: 0, ..checkpoint } }
    }

    /// Whether the marks cover `scanned`.
    fn is_scan_covered(&self) -> bool {
        self.users.is_some() && self.log.is_some_and(|log| log.length >= self.scanned)
    }
}

/// What a `state.txt` says, up to its first bad line.
#[derive(Debug)]
pub struct Known {
    /// What its last lines say.
    pub checkpoint: Checkpoint,
    /// Names without an account.
    pub reserved: Vec<Name>,
    /// The rooms, up to the place that is scanned.
    pub rooms: Rooms,
    /// Events behind that, which do not count.
    events: Vec<String>,
    /// The first line that does not count, if there is one.
    pub damage: Option<Damage>,
    /// Where the last line ends that counts.
    whole: Offset,
    /// The CHECK of that line.
    check: Check,
}

impl Known {
    /// Reads the `state.txt` of a directory, which need not have one.
    ///
    /// # Errors
    /// The system's.
    pub fn of(storage: &mut impl Storage) -> io::Result<Known> {
        Known::read(open_if_there(storage, STATE_FILE)?.as_ref())
    }

    /// Reads a `state.txt`, up to its first bad line.
    ///
    /// # Errors
    /// The system's.
    pub fn read(file: Option<&impl File>) -> io::Result<Known> {
        let mut known = Known {
            checkpoint: Checkpoint::default(),
            reserved: Vec::new(),
            rooms: Rooms::default(),
            events: Vec::new(),
            damage: None,
            whole: Offset::START,
            check: Check::START,
        };
        let Some(file) = file else { return Ok(known) };
        let read = try_each_line(file, |offset, line| {
            let unsealed = line.strip_suffix(b"\n").and_then(|line| known.check.unseal(line));
            match unsealed.and_then(|(text, check)| known.apply(text).map(|()| check)) {
                Some(check) => (known.check, known.whole) = (check, offset + line.len()),
                None => {
                    let what = "a line that does not continue the one before it, or of a newer version";
                    return ControlFlow::Break(Damage { offset, what });
                }
            }
            ControlFlow::Continue(())
        })?;
        known.damage = read.break_value();
        Ok(known)
    }

    /// Applies a line; `None` if it is of no known kind.
    fn apply(&mut self, line: &[u8]) -> Option<()> {
        let (kind, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        match kind {
            "log" => {
                let (length, time) = value.split_once(':')?;
                let time = Timestamp::parse(time.as_bytes())?;
                self.checkpoint.log = Some(LogMark { length: length.parse().ok()?, time });
            }
            "users" => {
                let (length, _) = value.split_once(':')?;
                let check = Check::at_end(value.as_bytes())?;
                self.checkpoint.users = Some(UsersMark { length: length.parse().ok()?, check });
            }
            "reserved" => self.reserved.push(Name::parse(value.as_bytes())?),
            "event" => self.events.push(Record::parse(value).map(|_| value.to_owned())?),
            "scanned" => {
                self.checkpoint.scanned = value.parse().ok()?;
                for line in self.events.drain(..) {
                    self.rooms.apply_record(&Record::parse(&line)?);
                }
                return self.checkpoint.is_scan_covered().then_some(());
            }
            _ => return None,
        }
        Some(())
    }
}

/// Drops all marks, for good once this returns: the log or `users.txt` is about to be replaced. Reserved names stay.
/// No server may have the file open.
///
/// # Errors
/// The system's. Then nothing may be replaced.
pub fn forget(storage: &mut impl Storage) -> io::Result<()> {
    let known = Known::of(storage)?;
    if known.whole == Offset::START && known.damage.is_none() {
        return Ok(());
    }
    let mut lines = Lines::default();
    known.reserved.iter().for_each(|name| lines.push(format_args!("reserved:{name}")));
    rewrite(storage, STATE_FILE, std::iter::once(lines.text))
}

/// Lines to be written, and the CHECK of the last one.
struct Lines {
    text: String,
    check: Check,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines::after(Check::START)
    }
}

impl Lines {
    fn after(check: Check) -> Lines {
        Lines { text: String::new(), check }
    }

    fn push(&mut self, line: fmt::Arguments<'_>) {
        let start = self.text.len();
        write!(self.text, "{line}:").expect("writing to a string cannot fail");
        self.check = self.check.seal(&mut self.text, start);
    }

    /// Adds what `now` says and `before` does not.
    fn push_marks(&mut self, before: &Checkpoint, now: &Checkpoint) {
        if let Some(UsersMark { length, check }) = now.users.filter(|_| now.users != before.users) {
            self.push(format_args!("users:{length}:{}", check.as_str()));
        }
        if let Some(LogMark { length, time }) = now.log.filter(|_| now.log != before.log) {
            self.push(format_args!("log:{length}:{time}"));
        }
    }

    fn push_scanned(&mut self, before: &Checkpoint, now: &Checkpoint) {
        if now.scanned > 0 && now.scanned != before.scanned {
            self.push(format_args!("scanned:{}", now.scanned));
        }
    }
}

/// `state.txt`, open for appending.
#[derive(Debug)]
pub struct CheckpointFile<F> {
    /// `None` while it cannot be created.
    file: Option<CacheFile<F>>,
    /// The CHECK of its last line.
    check: Check,
    /// What its lines say.
    written: Checkpoint,
    /// How many names are reserved by its lines, if these are all that there were at the last rewrite.
    reserved: Option<usize>,
    /// Lines of events that are not in the file yet, each with its time.
    events: VecDeque<(Timestamp, String)>,
    /// The time of the last event.
    last_event: Timestamp,
    /// Whether an event is missing in the file, so that it must be rewritten before more of the log counts as scanned.
    lacks_events: bool,
}

impl<F: File> CheckpointFile<F> {
    /// Rewrites the file, after a start that found `known` there and agrees with it.
    pub fn recover<S: Storage<File = F>>(
        storage: &mut S,
        known: Known,
        checkpoint: Checkpoint,
        state: &State,
    ) -> CheckpointFile<F> {
        let Known { checkpoint: written, damage, whole, check, .. } = known;
        if let Some(Damage { offset, what }) = damage {
            warn!("{STATE_FILE}: bad from byte {offset} on: {what}; nothing from there on counts");
        }
        let mut recovered = CheckpointFile {
            file: None,
            check,
            written,
            reserved: None,
            events: VecDeque::new(),
            last_event: Timestamp::default(),
            lacks_events: false,
        };
        recovered.rewrite(storage, checkpoint, state);
        if recovered.file.is_none() {
            let opened = open_if_there(storage, STATE_FILE);
            let file = opened
                .and_then(|it| it.map(|it| CacheFile::new(STATE_FILE, LOSS, it, whole.bytes())).transpose());
            recovered.file = file.unwrap_or_else(|error| {
                warn!("{STATE_FILE}: not opened, so {LOSS}: {error}");
                None
            });
        }
        recovered
    }

    /// Adds an event, which is committed, with its line.
    pub fn add_event(&mut self, at: Timestamp, line: &[u8]) {
        self.last_event = at;
        if self.events.len() == STATE_EVENTS_MAX {
            self.events.clear();
            self.lacks_events = true;
        }
        if !self.lacks_events {
            // The text of an event can end with a space.
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            self.events.push_back((at, String::from_utf8_lossy(line).into_owned()));
        }
    }

    /// Notes that the state has an event which the file does not have, and which is not added.
    pub fn lacks_event(&mut self) {
        self.lacks_events = true;
    }

    /// Appends what is news.
    pub fn note(&mut self, checkpoint: Checkpoint) {
        let Some(file) = &mut self.file else { return };
        let mut lines = Lines::after(self.check);
        // A copy must not be there without what it is a copy of.
        let is_synced = |at: Timestamp| checkpoint.log.is_some_and(|log| at <= log.time);
        let count = self.events.partition_point(|&(at, _)| is_synced(at));
        self.events.range(..count).for_each(|(_, line)| lines.push(format_args!("event:{line}")));
        lines.push_marks(&self.written, &checkpoint);
        let scanned = match self.reserved {
            Some(_) if !self.lacks_events => checkpoint.scanned,
            // Some of the names or events may not be in the file.
            _ => self.written.scanned,
        };
        let checkpoint = Checkpoint { scanned, ..checkpoint };
        lines.push_scanned(&self.written, &checkpoint);
        if file.append(lines.text.as_bytes()) {
            (self.check, self.written) = (lines.check, checkpoint);
            self.events.drain(..count);
        }
    }

    /// Rewrites the file if it has grown to several times its compact size.
    pub fn compact<S: Storage<File = F>>(&mut self, storage: &mut S, checkpoint: Checkpoint, state: &State) {
        let is_large = self.file.as_mut().is_some_and(|file| file.note_growth(STATE_COMPACT_BYTES));
        if is_large || self.lacks_events {
            self.rewrite(storage, checkpoint, state);
        }
    }

    /// Rewrites the file if there are reserved names or events that are not in it.
    pub fn note_names<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        checkpoint: Checkpoint,
        state: &State,
    ) {
        if self.lacks_events || self.reserved != Some(state.accounts().reserved().len()) {
            self.rewrite(storage, checkpoint, state);
        }
        self.note(checkpoint);
    }

    /// Replaces the file by one of only the lines that count, once all events are synced.
    pub fn rewrite<S: Storage<File = F>>(&mut self, storage: &mut S, checkpoint: Checkpoint, state: &State) {
        if self.last_event > checkpoint.log.map_or(Timestamp::default(), |log| log.time) {
            return;
        }
        let nothing = Checkpoint::default();
        let mut lines = Lines::default();
        lines.push_marks(&nothing, &checkpoint);
        // In order, so that the same names make the same file.
        let names: BTreeSet<&Name> = state.accounts().reserved().iter().collect();
        names.iter().for_each(|name| lines.push(format_args!("reserved:{name}")));
        // Where nothing is scanned, the state is that of some place in the log.
        if checkpoint.scanned > 0 {
            state.rooms().for_each_event(|at, from, room, deed| {
                let record = Record { at, from, to: Target::Room(room), body: Body::Deed(deed) };
                lines.push(format_args!("event:{record}"));
            });
        }
        // Last, because it says that the names and events above are all.
        lines.push_scanned(&nothing, &checkpoint);
        let file = CacheFile::create(storage, STATE_FILE, LOSS, std::iter::once(lines.text));
        self.reserved = file.is_some().then_some(names.len());
        if let Some(file) = file {
            self.file = Some(file);
            (self.check, self.written) = (lines.check, checkpoint);
            self.events.clear();
            self.lacks_events = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::directory::Directory;
    use crate::state::event::Event;
    use std::fs;
    use std::path::Path;

    fn checkpoint(length: u64) -> Checkpoint {
        let log = LogMark { length, time: Timestamp::from_micros(1_700_000_000_000_000 + length) };
        let users = UsersMark { length: length / 2, check: Check::at_end(b":0123abcd").unwrap() };
        Checkpoint::new(Some(log), Some(users), length)
    }

    fn state(names: &[&str]) -> State {
        let mut state = State::default();
        for name in names {
            state.apply(&Event::Trace(Name::parse(name.as_bytes()).unwrap()));
        }
        state
    }

    fn read(path: &Path) -> Known {
        Known::of(&mut Directory::open(path).unwrap()).unwrap()
    }

    fn write(path: &Path, lines: &[&str]) {
        let mut sealed = Lines::default();
        lines.iter().for_each(|line| sealed.push(format_args!("{line}")));
        fs::write(path.join(STATE_FILE), sealed.text).unwrap();
    }

    #[test]
    fn state_is_read_as_it_was_written_and_ends_with_its_first_bad_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let mut storage = Directory::open(path).unwrap();
        let known = Known::of(&mut storage).unwrap();
        let names = state(&["bob", "al"]);
        let mut file = CheckpointFile::recover(&mut storage, known, checkpoint(100), &names);
        file.note(checkpoint(100));
        file.note(checkpoint(250));
        drop((file, storage));
        let text = fs::read_to_string(path.join(STATE_FILE)).unwrap();
        assert_eq!(text.lines().count(), 8, "{text}");
        let known = read(path);
        assert_eq!((known.checkpoint, known.damage), (checkpoint(250), None));
        assert_eq!(known.reserved.iter().map(Name::as_str).collect::<Vec<_>>(), ["al", "bob"]);

        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for bad in 0..lines.len() {
            let mut changed = lines.clone();
            changed.remove(bad);
            fs::write(path.join(STATE_FILE), changed.concat()).unwrap();
            let known = read(path);
            let whole = Offset::after(lines[..bad].concat().len() as u64);
            let damage = known.damage.map(|damage| damage.offset);
            assert_eq!((known.whole, damage), (whole, (bad + 1 < lines.len()).then_some(whole)));
        }
    }

    #[test]
    fn state_knows_scanned_names_only_below_marks_that_cover_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let (log, users) = ("log:100:2026-11-22T12:03:11.042317Z", "users:50:0123abcd");
        for (lines, scanned) in [
            (&[users, log, "scanned:100"][..], 100),
            (&[log, users, "scanned:60"], 60),
            (&[users, log, "scanned:101"], 0),
            (&[log, "scanned:100", users], 0),
            (&[users, "scanned:100", log], 0),
            (&[users, log, "rooms:3", "scanned:100"], 0),
        ] {
            write(path, lines);
            let known = read(path);
            assert_eq!(known.damage.is_none(), scanned > 0, "{lines:?}");
            assert_eq!(known.damage.map_or(known.checkpoint.scanned, |_| 0), scanned, "{lines:?}");
        }
    }

    #[test]
    fn state_that_is_forgotten_keeps_reserved_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        write(
            path,
            &["users:50:0123abcd", "reserved:bob", "log:100:2026-11-22T12:03:11.042317Z", "scanned:100"],
        );
        forget(&mut Directory::open(path).unwrap()).unwrap();
        let known = read(path);
        assert_eq!((known.checkpoint, known.damage), (Checkpoint::default(), None));
        assert_eq!(known.reserved, [Name::parse(b"bob").unwrap()]);
    }

    #[test]
    fn state_that_does_not_hold_all_reserved_names_does_not_say_that_it_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        write(path, &["users:50:0123abcd", "reserved:bob"]);
        // So that it cannot be rewritten.
        let obstacle = path.join(format!("{STATE_FILE}.new"));
        fs::create_dir(&obstacle).unwrap();
        let mut storage = Directory::open(path).unwrap();
        let known = Known::of(&mut storage).unwrap();
        let names = state(&["bob", "carol"]);
        let mut file = CheckpointFile::recover(&mut storage, known, checkpoint(100), &names);
        file.note_names(&mut storage, checkpoint(200), &names);
        file.note(checkpoint(300));
        let text = || fs::read_to_string(path.join(STATE_FILE)).unwrap();
        assert!(text().contains("log:300:") && !text().contains("scanned:"), "{}", text());
        fs::remove_dir(obstacle).unwrap();
        file.note_names(&mut storage, checkpoint(300), &names);
        assert!(text().contains("reserved:carol:") && text().contains("scanned:300:"), "{}", text());
        let length = text().len();
        file.note_names(&mut storage, checkpoint(300), &names);
        assert_eq!(text().len(), length, "nothing is news");
    }
}
