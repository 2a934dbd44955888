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
use std::ops::Range;

use crate::limits::{BATCH_BYTES_MAX, CATCH_UP_CHUNK_BYTES, Micros};
use crate::log::blocks::{Blocks, FindAccount};
use crate::log::judge::{Judge, judgeable};
use crate::log::mark::{Ending, LogMark};
use crate::log::offset::Offset;
use crate::log::recovery::{Damage, RecoverError};
use crate::log::storage::{
    AppendError, AppendFile, File, Storage, SyncPolicy, open_if_there, read_full, set_aside,
};
use crate::log::tail::Tail;
use crate::protocol::event::Deed;
use crate::protocol::name::Name;
use crate::protocol::record::{self, Stamper, Target, Timestamp};

/// The log's file name.
pub const LOG_FILE: &str = "chat_history.txt";

/// A line in a [`Batch`]: readable only through what [`Journal::commit`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staged {
    start: u32,
    end: u32,
}

impl Staged {
    /// Both lines, if the other one was staged directly after this one.
    pub fn followed_by(self, other: Staged) -> Option<Staged> {
        (self.end == other.start).then_some(Staged { start: self.start, end: other.end })
    }
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
    pub fn stage(&mut self, wall_us: Micros, from: &Name, to: &Target, text: &str) -> Option<Staged> {
        let start = self.lines.len() as u32;
        record::write_line(&mut self.lines, self.stamper.stamp(wall_us)?, from, to, text);
        Some(Staged { start, end: self.lines.len() as u32 })
    }

    /// Formats an event, like a message.
    pub fn stage_deed(
        &mut self,
        wall_us: Micros,
        from: &Name,
        to: &Target,
        deed: &Deed<'_>,
    ) -> Option<Staged> {
        let start = self.lines.len() as u32;
        record::write_deed(&mut self.lines, self.stamper.stamp(wall_us)?, from, to, deed);
        Some(Staged { start, end: self.lines.len() as u32 })
    }
}

/// The proof that a batch is on disk, and the way to its lines.
pub struct Committed {
    batch: Batch,
}

impl Committed {
    /// A line, with its ending; or several.
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
    /// The end of the last committed message.
    written: Option<LogMark>,
    /// The end of the last message that is known to be synced.
    synced: Option<LogMark>,
    /// The index; `None` until it is opened, and every line is judged by itself then.
    blocks: Option<Blocks<F>>,
}

impl<F: File> Journal<F> {
    /// Opens the log, compares it with its mark, looks at its tail and sets aside what a crash has torn.
    ///
    /// # Errors
    /// See [`RecoverError`].
    pub fn recover<S: Storage<File = F>>(
        storage: &mut S,
        sync: SyncPolicy,
        mark: Option<LogMark>,
    ) -> Result<Journal<F>, RecoverError> {
        let ending = match mark {
            Some(mark) => {
                let file = open_if_there(storage, LOG_FILE)?;
                let compared = mark.compare(file.as_ref(), LOG_FILE)?;
                compared.map_err(|why| if why.is_gone { why.refusal_of_lost_log() } else { why.refusal() })?
            }
            None => Ending::Whole,
        };
        let mut file = storage.open(LOG_FILE)?;
        let length = file.len()?;
        let Tail { whole, last } = Tail::read(&file, length)?.map_err(RecoverError::Damaged)?;
        if let (Ending::NoNewline, Some(mark)) = (ending, mark) {
            let log = AppendFile::unended(file, length, b"\n")?;
            return Ok(Journal {
                log,
                sync,
                last: last.max(mark.time),
                written: Some(mark),
                synced: Some(mark),
                blocks: None,
            });
        }
        // Behind the last message there may be bad lines.
        let end = LogMark { length: whole.bytes(), time: last };
        let is_message = whole > Offset::START && end.compare(Some(&file), LOG_FILE)?.is_ok();
        let synced = if is_message { Some(end) } else { mark };
        let log = if whole.bytes() == length || set_aside(storage, &mut file, LOG_FILE, whole)? {
            AppendFile::new(file, whole.bytes())?
        } else {
            // The beginning of a message looks like a shorter one. A zero makes sure that nobody is shown it.
            AppendFile::unended(file, length, b"\0\n")?
        };
        Ok(Journal { log, sync, last, written: synced, synced, blocks: None })
    }

    /// A log that may be damaged in any way.
    #[cfg(test)]
    pub fn as_it_is(file: F, last: Timestamp) -> Journal<F> {
        let length = file.len().expect("it can be looked at");
        let log = AppendFile::new(file, length).expect("it can be cut");
        Journal { log, sync: SyncPolicy::Always, last, written: None, synced: None, blocks: None }
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
                Ok(()) => {
                    self.last = batch.stamper.last();
                    self.written = Some(LogMark { length: self.log.committed(), time: self.last });
                    if !self.log.is_unsynced() {
                        self.synced = self.written;
                    }
                }
                Err(AppendError::Fatal(error)) => return Err(error),
                Err(AppendError::Refused(error)) => {
                    batch.lines.clear();
                    return Ok(Commit::Refused(batch, error));
                }
            }
        }
        Ok(Commit::Saved(Committed { batch }))
    }

    /// Looks whether the log is still where it was opened, and refuses all batches if it is not. Returns whether that
    /// is news.
    ///
    /// # Errors
    /// The system's.
    pub fn look<S: Storage<File = F>>(&mut self, storage: &S) -> io::Result<bool> {
        self.log.look(storage, LOG_FILE)
    }

    /// Writes the log again if it was removed or moved away; see [`AppendFile::restore`].
    ///
    /// # Errors
    /// The system's.
    pub fn restore<S: Storage<File = F>>(&self, storage: &mut S) -> io::Result<bool> {
        self.log.restore(storage, LOG_FILE)
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
        self.log.sync()?;
        self.synced = self.written;
        Ok(())
    }

    /// The end of the last message that is known to be synced; `None` if there is none.
    pub fn mark(&self) -> Option<LogMark> {
        self.synced
    }

    /// Opens the index, `blocks.txt`.
    ///
    /// # Errors
    /// The system's.
    pub fn open_blocks<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        find: FindAccount<'_>,
    ) -> io::Result<()> {
        self.blocks = Some(Blocks::open(storage, self.log.file(), self.end(), find)?);
        Ok(())
    }

    /// The index, if it is open.
    pub fn blocks(&self) -> Option<&Blocks<F>> {
        self.blocks.as_ref()
    }

    /// The same, for following it.
    pub fn blocks_mut(&mut self) -> Option<&mut Blocks<F>> {
        self.blocks.as_mut()
    }

    /// Verifies the first block with bytes in `range` that is not verified yet. Returns whether there was one.
    ///
    /// # Errors
    /// The system's.
    pub fn verify_block(&mut self, range: &Range<Offset>, buffer: &mut [u8]) -> io::Result<bool> {
        let Some(blocks) = &mut self.blocks else { return Ok(false) };
        let Some(block) = blocks.unverified(range) else { return Ok(false) };
        blocks.verify(block, self.log.file(), buffer)?;
        Ok(true)
    }

    /// Whether the index lacks a part of the log that can be added.
    pub fn is_index_behind(&self) -> bool {
        self.blocks.as_ref().is_some_and(|blocks| blocks.is_behind(self.end()))
    }

    /// Bytes of the log that the index lacks.
    pub fn bytes_to_index(&self) -> u64 {
        self.blocks.as_ref().map_or(0, |blocks| blocks.left(self.end()))
    }

    /// Whether a full block can be added to the index.
    pub fn has_full_block(&self) -> bool {
        self.blocks.as_ref().is_some_and(|blocks| blocks.has_full_block(self.end()))
    }

    /// Adds a piece of the log to the index.
    ///
    /// # Errors
    /// The system's.
    pub fn add_to_index(&mut self, find: FindAccount<'_>, buffer: &mut [u8]) -> io::Result<()> {
        let end = self.end();
        match &mut self.blocks {
            Some(blocks) => blocks.add(self.log.file(), end, find, buffer),
            None => Ok(()),
        }
    }

    /// Syncs the log and then appends the lines of full blocks to the index: it never has a line of bytes that are
    /// not on disk, whatever the policy is.
    ///
    /// # Errors
    /// That the log cannot be synced; the process must end then.
    pub fn save_index(&mut self) -> io::Result<()> {
        self.sync()?;
        if let Some(blocks) = &mut self.blocks {
            blocks.save();
        }
        Ok(())
    }

    /// The end of the log, where the next message will begin.
    pub fn end(&self) -> Offset {
        Offset::after(self.log.committed())
    }

    /// The timestamp of the last message.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// Fills `buffer` with what stands at `from`, which is committed.
    ///
    /// # Errors
    /// The system's, and that the log is shorter than it was: somebody truncated it.
    pub fn read(&self, from: Offset, buffer: &mut [u8]) -> io::Result<()> {
        let count = read_full(self.log.file(), buffer, from)?;
        if count < buffer.len() {
            let why = format!("it ends at byte {}, and {} were written", from + count, self.end());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        Ok(())
    }
}

/// What [`verify`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Good messages.
    pub messages: u64,
    /// The timestamp of the last of them; the epoch if there is none.
    pub last: Timestamp,
}

/// Reads all of a log and calls `damaged` for each line that is no message. Sums are not looked at.
///
/// # Errors
/// The system's.
pub fn verify(file: &impl File, mut damaged: impl FnMut(Damage)) -> io::Result<Verified> {
    let mut buffer = vec![0; CATCH_UP_CHUNK_BYTES];
    let mut judge = Judge::after(Timestamp::default());
    if let Ok(tail) = Tail::read(file, file.len()?)? {
        judge.set_latest(tail.last);
    }
    let (mut messages, mut start) = (0, Offset::START);
    loop {
        let count = read_full(file, &mut buffer, start)?;
        let length = judgeable(&buffer[..count], count < buffer.len());
        for judged in judge.lines(&buffer[..count], length) {
            match judged.verdict {
                Ok(_) => messages += 1,
                Err(what) => damaged(Damage { offset: start + judged.range.start, what }),
            }
        }
        start += length;
        if count < buffer.len() {
            return Ok(Verified { messages, last: judge.last() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SECOND_US;
    use crate::log::directory::Directory;
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

    fn recover(directory: &Path) -> Result<Journal<crate::log::directory::RealFile>, RecoverError> {
        Journal::recover(&mut Directory::open(directory).unwrap(), SyncPolicy::Always, None)
    }

    #[test]
    fn a_start_sets_torn_bytes_aside_and_touches_no_damaged_log() {
        let good = lines(50);
        for (torn, is_refused) in [
            (&b""[..], false),
            (b"2026-11-22T12:03:11.042317Z alice: whole but for its newline", false),
            (&[0; 10_000], false),
            (b"junk\n", false),
            (b"\0 and no sector", true),
            (&[0; 1 << 20], true),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(LOG_FILE);
            let log = [good.as_bytes(), torn].concat();
            fs::write(&path, &log).unwrap();
            let outcome = recover(directory.path());
            if is_refused {
                assert!(matches!(outcome, Err(RecoverError::Damaged(_))));
                assert_eq!(fs::read(&path).unwrap(), log, "nothing is touched");
                continue;
            }
            let kept = if torn.ends_with(b"\n") { log.len() } else { good.len() };
            let journal = outcome.unwrap();
            assert_eq!((journal.end().bytes(), journal.last()), (kept as u64, stamp(49)));
            assert_eq!(fs::read(&path).unwrap(), log[..kept]);
            let aside = directory.path().join(format!("{LOG_FILE}.torn-at-{kept}"));
            assert_eq!(fs::read(aside).unwrap_or_default(), log[kept..]);
        }
    }

    #[test]
    fn a_start_reads_only_the_tail_and_verify_reads_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOG_FILE);
        let log = format!("damage\n{}", lines(6000));
        assert!(log.len() > 2 * crate::limits::RECOVERY_BYTES);
        fs::write(&path, &log).unwrap();
        let journal = recover(directory.path()).unwrap();
        assert_eq!((journal.end().bytes(), journal.last()), (log.len() as u64, stamp(5999)));

        let mut damages = Vec::new();
        let verified = verify(journal.log.file(), |damage| damages.push(damage)).unwrap();
        assert_eq!(verified, Verified { messages: 6000, last: stamp(5999) });
        assert_eq!(damages, [Damage { offset: Offset::START, what: "a line without a timestamp" }]);
    }

    #[test]
    fn a_batch_is_appended_whole_and_goes_on_after_the_last_message() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(LOG_FILE), lines(5)).unwrap();
        let mut journal = recover(directory.path()).unwrap();
        let mut batch = journal.new_batch();
        let alice = Name::parse(b"alice").unwrap();
        let first = batch.stage(0, &alice, &Target::Everyone, "one").unwrap();
        let second = batch.stage(0, &alice, &Target::Person(alice), "two").unwrap();
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
        assert_eq!(journal.end().bytes() as usize, (lines(5) + &text).len());
        assert!(committed.recycle().is_empty());
    }
}
