//! A part of the log in memory, shared by all readers in turn, and what of it one of them is sent.
//!
//! ```text
//!  the log:   [a: public][b: not for this reader][c: damage][d: public][e: not for this reader]
//!  the text:  [a][! damaged: ...][d]
//! ```
//!
//! The text is one piece, so that it is sent in one write however often lines that a reader may see alternate with
//! lines that it may not. If it is one run of lines it stays where it was read, and nothing is copied.

use std::io::{self, Write};
use std::ops::Range;

use crate::limits::CATCH_UP_CHUNK_BYTES;
use crate::log::journal::Journal;
use crate::log::judge::{JUDGEABLE_BYTES_MIN, Judge, Judged, Message, judgeable};
use crate::log::offset::Offset;
use crate::log::storage::File;
use crate::protocol::line::skip_line;
use crate::protocol::record::{Ends, Timestamp, ends_of};

/// A part of the log, and what a reader is sent of it.
pub struct Chunk {
    buffer: Box<[u8]>,
    /// Where in the log it begins.
    start: Offset,
    /// Bytes of `buffer` that were read.
    filled: usize,
    /// The first of these that can be judged.
    length: usize,
    /// Lines of `buffer` to be sent behind `copied`.
    run: Range<usize>,
    copied: Vec<u8>,
    parts: Vec<Part>,
    /// The state of its reader at its end: the last good line, and damage that is not reported yet.
    pub behind: (Judge, u64),
    /// Where those of its messages begin that a search counts.
    marks: Vec<u32>,
    /// The parts of `buffer` that are not as they were written.
    changed: Vec<Range<usize>>,
}

/// A part of the text.
struct Part {
    /// Where it begins in the text.
    at: usize,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    /// Lines that follow each other in the log, the first of them at this offset.
    Lines(Offset),
    /// A notice; behind it the log goes on here, after the good line of that timestamp.
    Notice(Offset, Timestamp),
}

impl Default for Chunk {
    fn default() -> Chunk {
        Chunk {
            buffer: vec![0; CATCH_UP_CHUNK_BYTES].into_boxed_slice(),
            start: Offset::START,
            filled: 0,
            length: 0,
            run: 0..0,
            copied: Vec::new(),
            parts: Vec::new(),
            behind: (Judge::after(Timestamp::default()), 0),
            marks: Vec::new(),
            changed: Vec::new(),
        }
    }
}

impl Chunk {
    /// Reads about `bytes` of the log from `from` on, and nothing that begins at `until` or behind it. What was read
    /// is at least a line, or a part of one that is too long. Returns `false` if a block of the log had to be verified
    /// instead: then nothing was read, and the chunk is empty.
    ///
    /// # Errors
    /// The system's, and that the log is shorter than it was.
    pub fn read<F: File>(
        &mut self,
        journal: &mut Journal<F>,
        from: Offset,
        until: Offset,
        bytes: usize,
    ) -> io::Result<bool> {
        // The last line that begins before `until` may end behind it.
        let wanted = from.bytes_to(until).saturating_add(JUDGEABLE_BYTES_MIN as u64);
        let mut bytes = wanted.min(bytes.min(self.buffer.len()) as u64) as usize;
        loop {
            let left = from.bytes_to(journal.end());
            self.filled = left.min(bytes as u64) as usize;
            if journal.verify_block(&(from..from + self.filled), &mut self.buffer)? {
                self.clear(from);
                return Ok(false);
            }
            journal.read(from, &mut self.buffer[..self.filled])?;
            let judgeable = judgeable(&self.buffer[..self.filled], self.filled as u64 == left);
            self.length = from.bytes_to(until).min(judgeable as u64) as usize;
            if self.length > 0 && self.buffer[self.length - 1] != b'\n' {
                // A line that begins before `until` ends behind it.
                self.length += skip_line(&self.buffer[self.length..judgeable]);
            }
            if judgeable > 0 || left == 0 {
                break;
            }
            bytes = 2 * JUDGEABLE_BYTES_MIN;
        }
        self.begin(from);
        self.set_changed(journal);
        Ok(true)
    }

    /// Reads lines that end at `before`, the end of a line, and of which the first begins at `floor` or behind it.
    ///
    /// # Errors
    /// As for [`Chunk::read`].
    pub fn read_before<F: File>(
        &mut self,
        journal: &mut Journal<F>,
        before: Offset,
        floor: Offset,
        bytes: usize,
    ) -> io::Result<bool> {
        let start = before.back(bytes.min(self.buffer.len())).max(floor);
        self.filled = (before - start) as usize;
        if journal.verify_block(&(start..before), &mut self.buffer)? {
            self.clear(before);
            return Ok(false);
        }
        journal.read(start, &mut self.buffer[..self.filled])?;
        let partial = if start == floor { 0 } else { skip_line(&self.buffer[..self.filled]) };
        // If no line begins in it, it is damage, and stays as it is.
        let partial = if partial == self.filled { 0 } else { partial };
        self.buffer.copy_within(partial..self.filled, 0);
        self.filled -= partial;
        self.length = self.filled;
        self.begin(start + partial);
        self.set_changed(journal);
        Ok(true)
    }

    /// Room for reading something else than a part of the log for a reader.
    pub fn scratch(&mut self) -> &mut [u8] {
        self.clear(Offset::START);
        &mut self.buffer
    }

    fn clear(&mut self, start: Offset) {
        (self.filled, self.length) = (0, 0);
        self.changed.clear();
        self.begin(start);
    }

    fn set_changed<F: File>(&mut self, journal: &Journal<F>) {
        self.changed.clear();
        if let Some(blocks) = journal.blocks() {
            self.changed.extend(blocks.bad_in(&(self.start..self.start + self.filled)));
        }
    }

    fn begin(&mut self, start: Offset) {
        self.start = start;
        self.run = 0..0;
        self.copied.clear();
        self.parts.clear();
        self.marks.clear();
    }

    /// Where in the log it begins.
    pub fn start(&self) -> Offset {
        self.start
    }

    /// Where in the log the first byte behind it is.
    pub fn end(&self) -> Offset {
        self.start + self.length
    }

    /// Where its first line ends; `None` if that is not in it.
    pub fn first_line_end(&self) -> Option<Offset> {
        let length = skip_line(&self.buffer[..self.filled]);
        self.buffer[..length].ends_with(b"\n").then(|| self.start + length)
    }

    /// Its lines, judged.
    pub fn lines<'a>(&'a self, judge: &'a mut Judge) -> impl Iterator<Item = Judged<'a>> {
        judge.lines_outside(&self.changed, &self.buffer[..self.filled], self.length)
    }

    /// Its good lines, and where in the log each begins.
    pub fn good_lines<'a>(&'a self, judge: &'a mut Judge) -> impl Iterator<Item = (Offset, &'a [u8])> {
        let buffer = &self.buffer[..self.filled];
        let lines = judge.lines_outside(&self.changed, buffer, self.length);
        let good = lines.filter(|judged| judged.verdict.is_ok());
        good.map(|judged| (self.start + judged.range.start, &buffer[judged.range]))
    }

    /// The bytes of one of its lines.
    pub fn line(&self, range: &Range<usize>) -> &[u8] {
        &self.buffer[range.clone()]
    }

    /// Marks its messages that `counts` says yes to.
    pub fn mark(&mut self, latest: Timestamp, counts: impl Fn(&Message<'_>) -> bool) {
        let mut judge = Judge::after(Timestamp::default());
        judge.set_latest(latest);
        for judged in judge.lines_outside(&self.changed, &self.buffer[..self.filled], self.length) {
            if judged.verdict.is_ok_and(|message| counts(&message)) {
                self.marks.push(judged.range.start as u32);
            }
        }
    }

    /// Takes the last of the marks: where in the log its message begins, and its ends.
    pub fn pop_mark(&mut self) -> Option<(Offset, Ends<'_>)> {
        let at = self.marks.pop()? as usize;
        let ends = ends_of(&self.buffer[at..self.length]).expect("only messages are marked");
        Some((self.start + at, ends))
    }

    /// Makes the text: `each` adds to it.
    pub fn compose(&mut self, judge: &mut Judge, mut each: impl FnMut(&mut Text<'_>, Judged<'_>)) {
        let (buffer, length) = (&self.buffer[..self.filled], self.length);
        let mut text = Text {
            buffer,
            start: self.start,
            run: &mut self.run,
            copied: &mut self.copied,
            parts: &mut self.parts,
        };
        for judged in judge.lines_outside(&self.changed, buffer, length) {
            each(&mut text, judged);
        }
        if !text.copied.is_empty() {
            text.end_run();
        }
    }

    /// What is to be sent.
    pub fn text(&self) -> &[u8] {
        if self.copied.is_empty() { &self.buffer[self.run.clone()] } else { &self.copied }
    }

    /// Where a reader stands that was sent the first `count` bytes of the text, which is more than none.
    pub fn sent(&self, count: usize) -> Sent<'_> {
        let text = self.text();
        let line_end = |from: usize| from + skip_line(&text[from..]);
        let part = &self.parts[self.parts.partition_point(|part| part.at < count) - 1];
        // The last line that was sent, whole or in part.
        let last_start = last_line_end(&text[..count - 1]).max(part.at);
        let rest = &text[count..line_end(last_start)];
        let whole_end = if rest.is_empty() { count } else { last_start };
        let (next, last) = match part.what {
            What::Notice(next, last) => (next, last),
            What::Lines(first) => {
                let next = first + (line_end(last_start) - part.at);
                (next, Timestamp::parse(&text[last_start..]).unwrap_or_default())
            }
        };
        Sent { rest, next, last, message: self.last_message(whole_end) }
    }

    /// The timestamp of the last message in the first `end` bytes of the text, which are whole lines.
    fn last_message(&self, end: usize) -> Option<Timestamp> {
        let parts = &self.parts[..self.parts.partition_point(|part| part.at < end)];
        let is_lines = |part: &Part| matches!(part.what, What::Lines(_));
        let at = parts.iter().rposition(is_lines)?;
        let end = parts.get(at + 1).map_or(end, |part| part.at);
        let text = self.text();
        Timestamp::parse(&text[last_line_end(&text[..end - 1])..])
    }
}

/// What came of giving a text to a socket.
#[derive(Debug, PartialEq, Eq)]
pub struct Sent<'a> {
    /// What is missing of the last line that was sent in part.
    pub rest: &'a [u8],
    /// Where the log goes on behind that line.
    pub next: Offset,
    /// The timestamp of the last good line before that place.
    pub last: Timestamp,
    /// The timestamp of the last message that was sent whole.
    pub message: Option<Timestamp>,
}

/// A text that is being made.
pub struct Text<'a> {
    buffer: &'a [u8],
    start: Offset,
    run: &'a mut Range<usize>,
    copied: &'a mut Vec<u8>,
    parts: &'a mut Vec<Part>,
}

impl Text<'_> {
    /// Adds a line.
    pub fn line(&mut self, line: &Range<usize>) {
        if self.run.end == line.start && self.run.start < self.run.end {
            self.run.end = line.end;
            return;
        }
        self.end_run();
        self.parts.push(Part { at: self.copied.len(), what: What::Lines(self.start + line.start) });
        *self.run = line.clone();
    }

    /// Adds a notice, behind which the log goes on at `next`, a byte of the chunk, after the good line of `last`.
    pub fn notice(&mut self, next: usize, last: Timestamp, words: std::fmt::Arguments<'_>) {
        self.end_run();
        let what = What::Notice(self.start + next, last);
        self.parts.push(Part { at: self.copied.len(), what });
        writeln!(self.copied, "{words}").expect("writing to memory cannot fail");
    }

    fn end_run(&mut self) {
        let run = std::mem::take(self.run);
        self.copied.extend_from_slice(&self.buffer[run]);
    }
}

fn last_line_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)
}
