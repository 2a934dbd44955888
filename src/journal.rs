//! The log: the one order of all messages, written ahead of being shown.
//!
//! A turn stages its messages in a [`Batch`]; [`Journal::commit`] appends and syncs the batch as a whole. Only
//! what commit returns gives access to the staged lines, so that nothing can be shown before it is on disk.
//!
//! ```text
//!  chat_history.txt
//!  [ committed: whole lines, synced                    | at most one batch, torn by a crash ]
//!                                                      ^ where recovery cuts
//! ```

use std::io;

use crate::judge::{Judge, judgeable};
use crate::limits::{BATCH_BYTES_MAX, CATCH_UP_CHUNK_BYTES, LINE_BYTES_MAX, Micros, RECOVERY_BYTES};
use crate::line::skip_line;
use crate::name::Name;
use crate::record::{self, Stamper, Timestamp};
pub use crate::recovery::{Damage, RecoverError};
use crate::storage::{AppendError, AppendFile, File, Storage, SyncPolicy, read_full, set_aside};

/// The log's file name.
pub const LOG_FILE: &str = "chat_history.txt";

/// A line in a [`Batch`]: readable only through what [`Journal::commit`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staged {
    start: u32,
    end: u32,
}

/// The messages of a turn, as lines, in order.
#[derive(Default)]
pub struct Batch {
    lines: Vec<u8>,
    stamper: Stamper,
}

impl Batch {
    /// Whether nothing is staged.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many bytes are staged.
    pub fn bytes(&self) -> usize {
        self.lines.len()
    }

    /// Whether no more lines should be handled in this turn.
    pub fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_BYTES_MAX
    }

    /// Returns the moment at which something is issued, or expires: the later of the wall clock and the last message.
    pub fn time(&self, wall_us: Micros) -> Timestamp {
        Timestamp::from_micros(wall_us).max(self.stamper.last())
    }

    /// Formats a message, for the only time. Returns `None` if the clock is past the last timestamp that there is.
    pub fn stage(&mut self, wall_us: Micros, from: &Name, to: Option<&Name>, text: &str) -> Option<Staged> {
        let start = self.lines.len() as u32;
        record::write_line(&mut self.lines, self.stamper.stamp(wall_us)?, from, to, text);
        Some(Staged { start, end: self.lines.len() as u32 })
    }
}

/// The proof that a batch is on disk, and the way to its lines.
pub struct Committed {
    batch: Batch,
}

impl Committed {
    /// A line, with its ending.
    pub fn line(&self, staged: Staged) -> &[u8] {
        &self.batch.lines[staged.start as usize..staged.end as usize]
    }

    /// Makes the batch ready for the next turn; its memory is used again.
    pub fn recycle(mut self) -> Batch {
        self.batch.lines.clear();
        self.batch
    }
}

/// What became of a batch.
pub enum Commit {
    /// It is on disk.
    Saved(Committed),
    /// Nothing of it is in the log; its senders must be told why. The batch comes back empty.
    Refused(Batch, io::Error),
}

/// The log.
#[derive(Debug)]
pub struct Journal<F> {
    log: AppendFile<F>,
    sync: SyncPolicy,
    /// The timestamp of the last committed message; the epoch in an empty log.
    last: Timestamp,
}

impl<F: File> Journal<F> {
    /// Opens the log, looks at its tail and sets aside what a crash has torn.
    ///
    /// # Errors
    /// See [`RecoverError`].
    pub fn recover<S: Storage<File = F>>(
        storage: &mut S,
        sync: SyncPolicy,
    ) -> Result<Journal<F>, RecoverError> {
        let mut file = storage.open(LOG_FILE)?;
        let length = file.len()?;
        let tail = Tail::read(&file, length)?;
        let committed = tail.committed().map_err(RecoverError::Damaged)?;
        if committed < length {
            set_aside(storage, &mut file, LOG_FILE, committed)?;
        }
        let log = AppendFile::new(file, committed)?;
        Ok(Journal { log, sync, last: tail.last })
    }

    /// A log that may be damaged in any way.
    #[cfg(test)]
    pub fn as_it_is(file: F, last: Timestamp) -> Journal<F> {
        let length = file.len().expect("it can be looked at");
        let log = AppendFile::new(file, length).expect("it can be cut");
        Journal { log, sync: SyncPolicy::Always, last }
    }

    /// A batch that goes on after the last message.
    pub fn new_batch(&self) -> Batch {
        Batch { lines: Vec::new(), stamper: Stamper::after(self.last) }
    }

    /// Appends a turn's batch and syncs it, both once.
    ///
    /// # Errors
    /// Where nobody knows what is in the file; the process must end and show nothing of the batch.
    pub fn commit(&mut self, mut batch: Batch) -> io::Result<Commit> {
        if !batch.lines.is_empty() {
            match self.log.append(&batch.lines, self.sync) {
                Ok(()) => self.last = batch.stamper.last(),
                Err(AppendError::Fatal(error)) => return Err(error),
                Err(AppendError::Refused(error)) => {
                    batch.lines.clear();
                    return Ok(Commit::Refused(batch, error));
                }
            }
        }
        Ok(Commit::Saved(Committed { batch }))
    }

    /// Whether [`Journal::sync`] has something to do.
    pub fn is_unsynced(&self) -> bool {
        self.sync == SyncPolicy::Second && self.log.is_unsynced()
    }

    /// Syncs what was committed, for the policies that put it off.
    ///
    /// # Errors
    /// The system's; the process must end then.
    pub fn sync(&mut self) -> io::Result<()> {
        self.log.sync()
    }

    /// The length of the log: where the next message will begin.
    pub fn end(&self) -> u64 {
        self.log.committed()
    }

    /// The timestamp of the last message.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// Fills `buffer` with what stands at `from`, which is committed.
    ///
    /// # Errors
    /// The system's, and that the log is shorter than it was: somebody truncated it.
    pub fn read(&self, from: u64, buffer: &mut [u8]) -> io::Result<()> {
        let count = read_full(self.log.file(), buffer, from)?;
        if count < buffer.len() {
            let why = format!("it ends at byte {}, and {} were written", from + count as u64, self.end());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        Ok(())
    }
}

/// The end of a log as a start finds it.
struct Tail {
    /// Where `lines` begins in the file, the start of a line.
    offset: u64,
    length: u64,
    /// The timestamp of the last good line before `bad`, or of the last of all.
    last: Timestamp,
    /// The first thing that is no good line, and whether a crash leaves such a thing.
    bad: Option<(Damage, bool)>,
    /// Whether a good line follows behind it.
    good_behind_bad: bool,
}

impl Tail {
    /// Reads back from the end until there is a good line: all of the log's end that a crash can tear.
    fn read(file: &impl File, length: u64) -> io::Result<Tail> {
        let mut window = RECOVERY_BYTES as u64;
        loop {
            let start = length.saturating_sub(window);
            let mut bytes = vec![0; (length - start) as usize];
            let count = read_full(file, &mut bytes, start)?;
            bytes.truncate(count);
            // The window begins within a line, unless it is the whole file.
            let partial = if start == 0 { 0 } else { skip_line(&bytes) };
            let mut tail = Tail {
                offset: start + partial as u64,
                length: start + count as u64,
                last: Timestamp::default(),
                bad: None,
                good_behind_bad: false,
            };
            tail.scan(&bytes[partial..]);
            if tail.last != Timestamp::default() || start == 0 {
                return Ok(tail);
            }
            window *= 2;
        }
    }

    fn scan(&mut self, mut bytes: &[u8]) {
        let mut offset = self.offset;
        while !bytes.is_empty() {
            let (line, rest) = bytes.split_at(skip_line(bytes));
            match check_next(line, self.last) {
                Ok(timestamp) if self.bad.is_none() => self.last = timestamp,
                Ok(_) => self.good_behind_bad = true,
                Err(what) => {
                    // One that is whole and only out of order was not torn: the damage is before it.
                    self.good_behind_bad |= record::check_line(line).is_ok();
                    self.bad = self.bad.or(Some((Damage { offset, what }, is_torn(line))));
                }
            }
            offset += line.len() as u64;
            bytes = rest;
        }
    }

    /// How much of the log counts.
    ///
    /// A crash tears what was never synced: of the very end it leaves a part, or zeroes where a page did not make
    /// it. Then no good line follows, or within one batch one that nobody was shown. Anything else is damage, and
    /// it or what follows it may have been shown to people.
    fn committed(&self) -> Result<u64, Damage> {
        let Some((damage, is_torn)) = self.bad else { return Ok(self.length) };
        let in_last_batch = self.length - damage.offset <= (BATCH_BYTES_MAX + LINE_BYTES_MAX) as u64;
        if is_torn && (!self.good_behind_bad || in_last_batch) { Ok(damage.offset) } else { Err(damage) }
    }
}

/// Whether a crash leaves such a thing of a file's last lines: the beginning of one, or zeroes in the place of some.
pub fn is_torn(line: &[u8]) -> bool {
    line.contains(&0) || (!line.ends_with(b"\n") && line.len() < LINE_BYTES_MAX)
}

/// A line that comes after the message of `last`.
fn check_next(line: &[u8], last: Timestamp) -> Result<Timestamp, &'static str> {
    let timestamp = record::check_line(line)?;
    if timestamp > last { Ok(timestamp) } else { Err("a timestamp that does not rise") }
}

/// What [`verify`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Good messages.
    pub messages: u64,
    /// The timestamp of the last of them; the epoch if there is none.
    pub last: Timestamp,
}

/// Reads all of a log and calls `damaged` for each line that is no message.
///
/// # Errors
/// The system's.
pub fn verify(file: &impl File, mut damaged: impl FnMut(Damage)) -> io::Result<Verified> {
    let mut buffer = vec![0; CATCH_UP_CHUNK_BYTES];
    let mut judge = Judge::after(Timestamp::default());
    judge.set_latest(Tail::read(file, file.len()?)?.last);
    let (mut messages, mut start) = (0, 0);
    loop {
        let count = read_full(file, &mut buffer, start)?;
        let length = judgeable(&buffer[..count], count < buffer.len());
        for judged in judge.lines(&buffer[..count], length) {
            match judged.verdict {
                Ok(_) => messages += 1,
                Err(what) => damaged(Damage { offset: start + judged.range.start as u64, what }),
            }
        }
        start += length as u64;
        if count < buffer.len() {
            return Ok(Verified { messages, last: judge.last() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Directory;
    use crate::limits::SECOND_US;
    use std::fs;
    use std::path::Path;

    fn stamp(number: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000 * SECOND_US + number * 1000)
    }

    fn line(number: u64) -> String {
        format!("{} alice: message {number}{}\n", stamp(number), "x".repeat((number * 37 % 300) as usize))
    }

    fn lines(count: u64) -> String {
        (0..count).map(line).collect()
    }

    fn recover(directory: &Path) -> Result<Journal<crate::directory::RealFile>, RecoverError> {
        Journal::recover(&mut Directory::open(directory).unwrap(), SyncPolicy::Always)
    }

    /// What a start makes of a log: what it keeps and what it sets aside, or where it finds damage.
    fn check_recovery(log: &[u8], expected: Result<usize, u64>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOG_FILE);
        fs::write(&path, log).unwrap();
        match (recover(directory.path()), expected) {
            (Ok(journal), Ok(kept)) => {
                assert_eq!(journal.end(), kept as u64);
                assert_eq!(fs::read(&path).unwrap(), &log[..kept]);
                let aside = directory.path().join(format!("{LOG_FILE}.torn-at-{kept}"));
                assert_eq!(fs::read(aside).unwrap_or_default(), &log[kept..]);
            }
            (Err(RecoverError::Damaged(damage)), Err(offset)) => {
                assert_eq!(damage.offset, offset);
                assert_eq!(fs::read(&path).unwrap(), log, "nothing is touched");
            }
            (Ok(journal), Err(offset)) => panic!("kept {} instead of refusing at {offset}", journal.end()),
            (Err(error), _) => panic!("{error}"),
        }
    }

    #[test]
    fn a_start_keeps_whole_lines_and_sets_aside_what_a_crash_has_torn() {
        let good = lines(50);
        let torn = |tail: &[u8]| check_recovery(&[good.as_bytes(), tail].concat(), Ok(good.len()));
        torn(b"");
        for length in 1..line(50).len() {
            torn(&line(50).as_bytes()[..length]);
        }
        torn(&[0; 10_000]);
        torn(&[b"2026-11-22T", &[0; 5000][..], b"\n"].concat());
        // A page of zeroes within the last batch: what follows it was shown to nobody.
        torn(&[&[0; 4096][..], b"rest of a line\n", line(60).as_bytes()].concat());
        check_recovery(b"", Ok(0));
        check_recovery(b"x", Ok(0));
    }

    #[test]
    fn a_tail_torn_over_more_than_the_window_is_found_too() {
        let good = lines(10);
        check_recovery(&[good.as_bytes(), &vec![0; 3 * RECOVERY_BYTES][..]].concat(), Ok(good.len()));
    }

    #[test]
    fn damage_that_no_crash_explains_is_refused_at_its_offset() {
        let (before, behind) = (lines(50), (51..60).map(line).collect::<String>());
        let refused = |bad: &str| {
            let log = format!("{before}{bad}\n{behind}");
            check_recovery(log.as_bytes(), Err(before.len() as u64));
        };
        refused("no message of ours");
        refused(line(49).trim_end());
        refused(&line(50)[..30]);
        // Whole lines at the end were written by somebody, as they are or before an editor went over them.
        let edited = line(51).replace('\n', "\r\n");
        for end in [edited.as_str(), "no message of ours\n", &"x".repeat(LINE_BYTES_MAX)] {
            check_recovery(format!("{before}{end}").as_bytes(), Err(before.len() as u64));
        }
        check_recovery(edited.as_bytes(), Err(0));
        // Zeroes too far from the end to be of the last batch.
        let far = "y".repeat(200);
        let many: String = (51..1800).map(|number| format!("{} alice: {far}\n", stamp(number))).collect();
        let log = [before.as_bytes(), &[0; 100], b"\n", many.as_bytes()].concat();
        assert!(many.len() < RECOVERY_BYTES && many.len() > BATCH_BYTES_MAX + LINE_BYTES_MAX);
        check_recovery(&log, Err(before.len() as u64));
    }

    #[test]
    fn a_start_reads_only_the_tail_and_verify_reads_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOG_FILE);
        let log = format!("damage\n{}", lines(6000));
        assert!(log.len() > 2 * RECOVERY_BYTES);
        fs::write(&path, &log).unwrap();
        let journal = recover(directory.path()).unwrap();
        assert_eq!((journal.end(), journal.last()), (log.len() as u64, stamp(5999)));

        let mut damages = Vec::new();
        let verified = verify(journal.log.file(), |damage| damages.push(damage)).unwrap();
        assert_eq!(verified, Verified { messages: 6000, last: stamp(5999) });
        assert_eq!(damages, [Damage { offset: 0, what: "a line without a timestamp" }]);
    }

    #[test]
    fn a_batch_is_appended_whole_and_goes_on_after_the_last_message() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(LOG_FILE), lines(5)).unwrap();
        let mut journal = recover(directory.path()).unwrap();
        let mut batch = journal.new_batch();
        let alice = Name::parse(b"alice").unwrap();
        let first = batch.stage(0, &alice, None, "one").unwrap();
        let second = batch.stage(0, &alice, Some(&alice), "two").unwrap();
        let Commit::Saved(committed) = journal.commit(batch).unwrap() else { panic!("it was saved") };
        let written = [committed.line(first), committed.line(second)].concat();
        let text = String::from_utf8(written).unwrap();
        assert_eq!(
            text,
            format!(
                "{0} alice: one\n{1} alice -> alice: two\n",
                stamp(5 - 1).next().unwrap(),
                stamp(4).next().and_then(Timestamp::next).unwrap()
            )
        );
        assert_eq!(fs::read_to_string(directory.path().join(LOG_FILE)).unwrap(), lines(5) + &text);
        assert_eq!(journal.end() as usize, (lines(5) + &text).len());
        assert!(committed.recycle().is_empty());
    }
}
