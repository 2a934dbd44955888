//! `blocks.txt`, the only index of the log: one line for each block of 64 KiB.
//!
//! ```text
//!  the log:     [block 0        ][block 1        ][block 2        ][the last block, which grows ]
//!  blocks.txt:  [line 0][line 1][line 2]                           (after a shutdown: its sum so far)
//! ```
//!
//! A line of the log belongs to the block in which it begins. A block's line has a sum of its bytes, and the people
//! with a private line and the rooms with a line in it, each with the previous block that has one. So whatever changed
//! in a block since it was written is found before anything of it is shown, and the private lines of one person, or the
//! lines of one room, are found without reading what lies between them.
//!
//! - A line is written after a sync of the log that covers its block. `blocks.txt` itself is not synced: it can be
//!   rebuilt from the log. Blocks for which it has no line are judged by their lines alone, and read one after the
//!   other.
//! - A block is verified once, before the first of its lines is used. Blocks that were added to the index while the
//!   server runs count as verified.
//! - Nothing of a block whose sum is wrong is shown until `--repair` has accepted it. That block keeps its old line.

mod entry;
mod growing;
mod latest;
mod mend;
mod table;

use std::io;
use std::ops::Range;

use log::{error, info, warn};

use self::entry::{Entry, Sum, write_entry};
use self::growing::Growing;
pub use self::growing::{number_at, start_of};
use self::latest::{Latest, account_of};
use self::mend::mend;
use self::table::{Marks, Table};
use crate::ids::AccountId;
use crate::limits::{BLOCK_BYTES, BLOCKS_PENDING_BYTES_MAX};
use crate::log::offset::Offset;
use crate::log::recovery::{Damage, for_each_line};
use crate::log::storage::{File, Storage, read_full, rewrite};
use crate::protocol::name::Name;
use crate::protocol::record::Target;

/// The index's file name.
pub const BLOCKS_FILE: &str = "blocks.txt";

/// Finds the account of a name, for one of the people.
pub type FindAccount<'a> = &'a dyn Fn(&Name) -> Option<AccountId>;

/// The index of the log.
#[derive(Debug)]
pub struct Blocks<F> {
    table: Table<F>,
    /// Blocks that have a line, in the file or waiting for it.
    count: u32,
    /// Lines that are not in the file yet.
    pending: String,
    /// What a shutdown wrote of the block after these: how many of its bytes have a sum, and the sum.
    partial: Option<(u32, Sum)>,
    latest: Latest,
    /// One bit for each block.
    verified: Vec<u64>,
    /// Blocks whose sum is wrong, and how many of their bytes it covers.
    bad: Vec<(u32, u32)>,
    growing: Growing,
    /// The end of the log in which nothing further could be read.
    stuck_at: Option<Offset>,
    /// Whether the last append failed, which is logged once.
    is_failing: bool,
}

impl<F: File> Blocks<F> {
    /// Reads `blocks.txt` for a log that ends at `end`, and mends it if single lines of it are bad.
    ///
    /// # Errors
    /// The system's.
    pub fn open<S: Storage<File = F>>(
        storage: &mut S,
        log: &F,
        end: Offset,
        find: FindAccount<'_>,
    ) -> io::Result<Blocks<F>> {
        let mut table = Table::new(storage.open(BLOCKS_FILE)?)?;
        let mut content = Content::read(&mut table, end, find)?;
        if content.bad_lines > 0 {
            match mend(storage, table.file(), log, end) {
                Ok(rebuilt) => {
                    let bad = content.bad_lines;
                    warn!("{BLOCKS_FILE}: lines that are bad or beyond the log: {bad}; rebuilt: {rebuilt}");
                    table = Table::new(storage.open(BLOCKS_FILE)?)?;
                    content = Content::read(&mut table, end, find)?;
                }
                Err(why) => warn!("{BLOCKS_FILE}: cannot be mended: {why}"),
            }
        }
        let Content { count, partial, latest, .. } = content;
        let whole = number_at(end);
        if count < whole {
            info!("{BLOCKS_FILE}: {count} of {whole} blocks have a line; the others are added");
        }
        Ok(Blocks {
            table,
            count,
            // Pages of it that are never written take no memory.
            pending: String::with_capacity(BLOCKS_PENDING_BYTES_MAX),
            partial,
            latest,
            verified: vec![0; words(count)],
            bad: Vec::new(),
            growing: Growing::new(count, log)?,
            stuck_at: None,
            is_failing: false,
        })
    }

    /// Where the blocks end that have a line. What follows has to be read to know who it is for.
    pub fn end(&self) -> Offset {
        start_of(self.count)
    }

    /// The last block with a private line for a person or a line of a room, of those that have a line.
    pub fn latest(&self, party: &Target, account: Option<AccountId>) -> Option<u32> {
        self.latest.get(party, account)
    }

    /// The block before `number` with a line of a party that has one in that; `None` inside if it is the first. Nothing
    /// is known if the line cannot be read.
    ///
    /// # Errors
    /// The system's.
    pub fn previous(&mut self, number: u32, party: &Target) -> io::Result<Option<Option<u32>>> {
        let previous =
            |entry: Entry<'_>| entry.parties().find(|(it, _)| it == party).map(|(_, previous)| previous);
        Ok(self.entry(number, previous)?.flatten())
    }

    fn entry<R>(&mut self, number: u32, read: impl FnOnce(Entry<'_>) -> R) -> io::Result<Option<R>> {
        if number >= self.count {
            return Ok(None);
        }
        if number >= self.table.count() {
            let line = self.pending.split_inclusive('\n').nth((number - self.table.count()) as usize);
            return Ok(line.and_then(|line| Entry::parse(line.as_bytes())).map(read));
        }
        self.table.entry(number, read)
    }

    // Verifying

    /// The first block with bytes in `range` that is not verified yet.
    pub fn unverified(&self, range: &Range<Offset>) -> Option<u32> {
        if range.is_empty() {
            return None;
        }
        let end = self.count + u32::from(self.partial.is_some());
        (number_at(range.start)..end.min(number_at(range.end - 1) + 1))
            .find(|&block| !self.is_verified(block))
    }

    fn is_verified(&self, block: u32) -> bool {
        self.verified[block as usize / 64] >> (block % 64) & 1 == 1
    }

    fn set_verified(&mut self, block: u32) {
        self.verified[block as usize / 64] |= 1 << (block % 64);
    }

    /// Compares the sum of a block with its bytes.
    ///
    /// # Errors
    /// The system's, and that the log is too short.
    pub fn verify(&mut self, block: u32, log: &F, buffer: &mut [u8]) -> io::Result<()> {
        let covered = match self.partial {
            Some(partial) if block == self.count => Some(partial),
            _ => self.entry(block, |entry| (entry.length, entry.sum))?,
        };
        let Some((length, sum)) = covered else {
            warn!("{BLOCKS_FILE}: the line of block {block} is bad; the next start rebuilds it");
            self.set_verified(block);
            return Ok(());
        };
        let bytes = &mut buffer[..length as usize];
        if read_full(log, bytes, start_of(block))? < bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if Sum::of(bytes) != sum {
            self.set_bad(block, length);
        }
        self.set_verified(block);
        Ok(())
    }

    fn set_bad(&mut self, block: u32, length: u32) {
        if let Err(at) = self.bad.binary_search_by_key(&block, |&(block, _)| block) {
            self.bad.insert(at, (block, length));
            let start = start_of(block);
            error!(
                "chat_history.txt: damaged: bytes {start} to {} are not as they were written; nothing of them is shown \
                 until `--repair --yes` accepts them",
                start + length as usize
            );
        }
    }

    /// The parts of `range` that are not as they were written, relative to its start. One that ends where the range
    /// begins is empty.
    pub fn bad_in(&self, range: &Range<Offset>) -> impl Iterator<Item = Range<usize>> {
        let Range { start, end } = *range;
        let first = self.bad.partition_point(|&(block, _)| start_of(block + 1) < start);
        let bad = self.bad[first..].iter().map(|&(block, length)| {
            let bad = start_of(block);
            // The sum of a part ends with a line, so that what follows is the start of one.
            let length = length as usize - usize::from((length as usize) < BLOCK_BYTES);
            bad..bad + length
        });
        let relative = move |offset: Offset| (offset.clamp(start, end) - start) as usize;
        bad.take_while(move |bad| bad.start < end)
            .filter(move |bad| bad.end >= start)
            .map(move |bad| relative(bad.start)..relative(bad.end))
    }

    // Adding

    /// How many bytes of a log that ends at `end` are in no sum yet.
    pub fn left(&self, end: Offset) -> u64 {
        self.growing.position().bytes_to(end)
    }

    /// Whether there is more to add of a log that ends at `end`.
    pub fn is_behind(&self, end: Offset) -> bool {
        self.left(end) > 0 && self.stuck_at != Some(end) && self.pending.len() < BLOCKS_PENDING_BYTES_MAX
    }

    /// Whether a log that ends at `end` has a full block that is not added, and can be.
    pub fn has_full_block(&self, end: Offset) -> bool {
        number_at(end) > self.count && self.is_behind(end)
    }

    /// Adds a piece of the log, which ends at `end`.
    ///
    /// # Errors
    /// The system's.
    pub fn add(&mut self, log: &F, end: Offset, find: FindAccount<'_>, buffer: &mut [u8]) -> io::Result<()> {
        let covered = self.partial.map(|(length, _)| self.end() + length as usize);
        let position = self.growing.position();
        let until = covered.filter(|&covered| position < covered).unwrap_or(Offset::MAX);
        if !self.growing.read(log, end, until, buffer)? {
            self.stuck_at = Some(end);
            return Ok(());
        }
        if let Some((length, sum)) = self.partial
            && covered == Some(self.growing.position())
        {
            if self.growing.sum() != sum {
                self.set_bad(self.count, length);
            }
            self.set_verified(self.count);
        }
        if self.growing.position() == start_of(self.count + 1) {
            self.finish(find);
        }
        Ok(())
    }

    /// Adds the line of a block that is full.
    fn finish(&mut self, find: FindAccount<'_>) {
        let number = self.count;
        let (sum, parties) = self.growing.finish();
        // The sum of damaged bytes would make them look good.
        let is_bad = self.bad.last().is_some_and(|&(bad, _)| bad == number);
        let partial = self.partial.take().filter(|_| is_bad);
        let (length, sum) = partial.unwrap_or((BLOCK_BYTES as u32, sum));
        let parties = parties.map(|party| (party, self.latest.set(&party, account_of(&party, find), number)));
        write_entry(&mut self.pending, number, length, sum, parties);
        self.count += 1;
        self.verified.resize(words(self.count), 0);
        self.set_verified(number);
    }

    /// Whether lines wait to be written.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Appends the lines that wait. The log up to their blocks is synced.
    pub fn save(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        match self.table.append(&self.pending) {
            Ok(()) => {
                self.pending.clear();
                self.is_failing = false;
            }
            Err(why) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    warn!("{BLOCKS_FILE}: not saved, so a part of it will be rebuilt: {why}");
                }
            }
        }
    }

    /// Writes the sum of the last block so far, at a shutdown. The log is synced.
    pub fn save_partial(&mut self) {
        let length = (self.growing.position() - self.end()) as u32;
        let is_bad = self.bad.last().is_some_and(|&(bad, _)| bad == self.count);
        let is_longer = self.partial.map_or(0, |(length, _)| length) < length;
        if !self.pending.is_empty() || is_bad || !is_longer {
            return;
        }
        let mut line = String::new();
        write_entry(&mut line, self.count, length, self.growing.sum(), std::iter::empty());
        if let Err(why) = self.table.append_last(&line) {
            warn!("{BLOCKS_FILE}: the sum of the last block is not saved: {why}");
        }
    }
}

fn words(count: u32) -> usize {
    // The block that grows has a bit too.
    count as usize / 64 + 1
}

/// What a start reads in `blocks.txt`.
struct Content {
    count: u32,
    partial: Option<(u32, Sum)>,
    latest: Latest,
    /// Lines that are bad, or do not belong to the log, and those behind one of these.
    bad_lines: u64,
}

impl Content {
    /// Reads all lines up to the first that is bad.
    fn read<F: File>(table: &mut Table<F>, log_end: Offset, find: FindAccount<'_>) -> io::Result<Content> {
        let mut content = Content { count: 0, partial: None, latest: Latest::default(), bad_lines: 0 };
        let mut marks = Marks::default();
        // A line with a sum of only a part of its block: of one that is bad, or, at the end, of the block that grows.
        let mut held: Option<(Vec<u8>, Offset)> = None;
        for_each_line(table.file(), |offset, line| {
            let number = content.count + u32::from(held.is_some());
            let is_next = |entry: &Entry<'_>| entry.number == number && entry.end() <= log_end;
            let entry = if content.bad_lines == 0 { Entry::parse(line).filter(is_next) } else { None };
            let Some(entry) = entry else {
                content.bad_lines += 1;
                return;
            };
            if let Some((line, offset)) = held.take()
                && let Some(entry) = Entry::parse(&line)
            {
                content.add(&entry, find);
                marks.add(entry.number, offset, line.len());
            }
            if (entry.length as usize) < BLOCK_BYTES {
                content.partial = Some((entry.length, entry.sum));
                held = Some((line.to_vec(), offset));
                return;
            }
            content.add(&entry, find);
            marks.add(entry.number, offset, line.len());
        })?;
        table.set(content.count, marks);
        Ok(content)
    }

    fn add(&mut self, entry: &Entry<'_>, find: FindAccount<'_>) {
        for (party, _) in entry.parties() {
            self.latest.set(&party, account_of(&party, find), entry.number);
        }
        self.count += 1;
        self.partial = None;
    }
}

/// Reads `blocks.txt` and calls `changed` for each block of the log whose bytes are not as they were written, with its
/// range, and `bad` for each bad line. Lines beyond the end of the log do not count.
///
/// # Errors
/// The system's.
pub fn verify_blocks<F: File>(
    file: &F,
    log: &F,
    mut changed: impl FnMut(Range<Offset>),
    mut bad: impl FnMut(Damage),
) -> io::Result<()> {
    let log_end = Offset::after(log.len()?);
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut outcome = Ok(());
    for_each_line(file, |offset, line| {
        let Some(entry) = Entry::parse(line) else {
            return bad(Damage { offset, what: "a line that was changed; the next start rebuilds it" });
        };
        if entry.end() > log_end || outcome.is_err() {
            return;
        }
        let bytes = &mut buffer[..entry.length as usize];
        let start = start_of(entry.number);
        match read_full(log, bytes, start) {
            Ok(_) if Sum::of(bytes) != entry.sum => changed(start..entry.end()),
            Ok(_) => {}
            Err(why) => outcome = Err(why),
        }
    })?;
    outcome
}

/// Empties `blocks.txt`, so that the next start rebuilds it: before the log becomes another one, and to accept blocks
/// that were changed.
///
/// # Errors
/// Those of the storage.
pub fn discard_blocks<S: Storage>(storage: &mut S) -> io::Result<()> {
    if storage.exists(BLOCKS_FILE)? {
        rewrite(storage, BLOCKS_FILE, std::iter::empty())?;
    }
    Ok(())
}
