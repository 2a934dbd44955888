//! Finding a place in the log, one bounded step at a time: by its time, by bisection, since timestamps rise; or
//! backwards, by what lies behind it.

use std::io;

use crate::limits::{CATCH_UP_CHUNK_BYTES, SEARCH_CHUNK_BYTES_MIN};
use crate::log::chunk::Chunk;
use crate::log::journal::Journal;
use crate::log::judge::{Judge, Message};
use crate::log::offset::Offset;
use crate::log::storage::File;
use crate::protocol::record::{TimePrefix, Timestamp};

/// Below this many bytes, what is left of a bisection is read line by line.
const BISECTED_BYTES_MIN: u64 = 2 * SEARCH_CHUNK_BYTES_MIN as u64;

/// Finds the first message that is not before a time.
#[derive(Debug)]
pub struct Find {
    time: TimePrefix,
    /// Every line that begins before this place is before the time.
    low: Offset,
    /// No line that begins here or behind it is.
    high: Offset,
    /// Where the reading goes on that has not come to a good line yet, and what is known there.
    reading: Option<(Offset, Judge)>,
}

impl Find {
    /// Begins to look for the first message that is not before `time`.
    pub fn new<F: File>(time: TimePrefix, journal: &Journal<F>) -> Find {
        Find { time, low: Offset::START, high: journal.end(), reading: None }
    }

    /// Reads about a chunk, or verifies a block. Returns the place once it is found; it is the end of the log if all
    /// messages are before the time.
    ///
    /// # Errors
    /// Those of reading the log.
    pub fn step<F: File>(
        &mut self,
        journal: &mut Journal<F>,
        chunk: &mut Chunk,
    ) -> io::Result<Option<Offset>> {
        let mut budget = CATCH_UP_CHUNK_BYTES;
        loop {
            let reading = self.reading;
            if self.high - self.low > BISECTED_BYTES_MIN {
                self.probe(journal, chunk, budget)?;
            } else if let Some(found) = self.scan(journal, chunk, budget)? {
                return Ok(Some(found));
            }
            let read = (chunk.end() - chunk.start()) as usize;
            if read == 0 {
                // A block was verified instead.
                self.reading = reading;
                return Ok(None);
            }
            budget = budget.saturating_sub(read.max(SEARCH_CHUNK_BYTES_MIN));
            if budget < BISECTED_BYTES_MIN as usize {
                return Ok(None);
            }
        }
    }

    /// Looks at the middle, or goes on behind it as long as there is only damage.
    fn probe<F: File>(
        &mut self,
        journal: &mut Journal<F>,
        chunk: &mut Chunk,
        budget: usize,
    ) -> io::Result<()> {
        let middle = self.low.midpoint(self.high);
        let (at, mut judge, bytes) = match self.reading.take() {
            None => (middle - 1, Judge::within_line(), BISECTED_BYTES_MIN as usize),
            Some((at, judge)) => (at, judge, budget),
        };
        judge.set_latest(journal.last());
        if !chunk.read(journal, at, journal.end(), bytes)? {
            return Ok(());
        }
        let (low, high, time) = (&mut self.low, &mut self.high, self.time);
        let mut good = chunk.good_lines(&mut judge).take_while(|(start, _)| *start < *high);
        // Of two good lines the second: nothing was known of what is before the first, which may be an outlier.
        let first = good.next();
        let found = good.next().or(first);
        drop(good);
        match found {
            Some((start, line)) if is_before(line, &time) => *low = start + 1,
            Some(_) => *high = middle,
            None if chunk.end() >= *high => *high = middle,
            None => self.reading = Some((chunk.end(), judge)),
        }
        Ok(())
    }

    /// Reads on from `low`, line by line.
    fn scan<F: File>(
        &mut self,
        journal: &mut Journal<F>,
        chunk: &mut Chunk,
        budget: usize,
    ) -> io::Result<Option<Offset>> {
        let (at, mut judge) = self.reading.take().unwrap_or_else(|| match self.low {
            Offset::START => (Offset::START, Judge::after(Timestamp::default())),
            // It is within a line that is before the time.
            low => (low, Judge::within_line()),
        });
        if at >= journal.end() {
            return Ok(Some(journal.end()));
        }
        judge.set_latest(journal.last());
        if !chunk.read(journal, at, journal.end(), budget)? {
            return Ok(None);
        }
        let found = chunk.good_lines(&mut judge).find(|(_, line)| !is_before(line, &self.time));
        let found = found.map(|(start, _)| start);
        self.reading = Some((chunk.end(), judge));
        Ok(found)
    }
}

fn is_before(line: &[u8], time: &TimePrefix) -> bool {
    let time = time.as_bytes();
    &line[..time.len()] < time
}

/// Looks backwards.
#[derive(Debug)]
pub struct LookBack {
    /// Everything from here to the end was looked at.
    before: Offset,
    /// The place not to be looked behind, the start of a line.
    floor: Offset,
    /// Bytes to read next.
    chunk_bytes: usize,
}

impl LookBack {
    /// Begins at `before`, the end of a line.
    pub fn new(before: Offset, floor: Offset) -> LookBack {
        LookBack { before, floor, chunk_bytes: SEARCH_CHUNK_BYTES_MIN }
    }

    /// Everything from here on was looked at.
    pub fn before(&self) -> Offset {
        self.before
    }

    /// Passes over what lies between `before`, which may be within a line, and what was looked at.
    pub fn skip_to(&mut self, before: Offset) {
        self.before = before;
    }

    /// The place that is not looked behind.
    pub fn floor(&self) -> Offset {
        self.floor
    }

    /// Reads one chunk further back, of which nothing is before `from`, and marks the messages in it that `counts` says
    /// yes to, or verifies a block. Returns whether there was anything left to read.
    ///
    /// What is damage is told by the chunk alone, so that among damaged lines one may count that is not shown.
    ///
    /// # Errors
    /// Those of reading the log.
    pub fn step<F: File>(
        &mut self,
        journal: &mut Journal<F>,
        chunk: &mut Chunk,
        from: Offset,
        counts: impl Fn(&Message<'_>) -> bool,
    ) -> io::Result<bool> {
        if self.before <= self.floor {
            return Ok(false);
        }
        let bytes = self.chunk_bytes.min((self.before - from) as usize);
        if !chunk.read_before(journal, self.before, self.floor, bytes)? {
            return Ok(true);
        }
        self.before = chunk.start();
        self.chunk_bytes = (self.chunk_bytes * 2).min(CATCH_UP_CHUNK_BYTES);
        chunk.mark(journal.last(), counts);
        Ok(true)
    }
}
