//! The lines of `blocks.txt`, of which a few places are remembered in memory so that each is found in one read.

use std::io;

use super::entry::{Entry, number_of};
use crate::limits::BLOCKS_PAGE_BYTES;
use crate::log::offset::Offset;
use crate::log::storage::{File, append_all, read_full};
use crate::protocol::line::skip_line;

/// The file with the lines of all blocks from the first on.
#[derive(Debug)]
pub struct Table<F> {
    file: F,
    /// How many of its lines count.
    count: u32,
    marks: Marks,
    /// Whether something follows these lines: the line of the last block, or the rest of a failed append.
    has_more: bool,
    /// The lines between two marks that were read last, and where they begin.
    page: Vec<u8>,
    page_at: Offset,
}

/// Lines that begin at least [`BLOCKS_PAGE_BYTES`] after each other: their blocks, and where they begin.
#[derive(Debug, Default)]
pub struct Marks {
    places: Vec<(u32, Offset)>,
    /// The end of the last line.
    end: Offset,
}

impl Marks {
    /// Adds the next line.
    pub fn add(&mut self, number: u32, offset: Offset, length: usize) {
        if self.places.last().is_none_or(|&(_, last)| offset >= last + BLOCKS_PAGE_BYTES) {
            self.places.push((number, offset));
        }
        self.end = offset + length;
    }
}

impl<F: File> Table<F> {
    /// A file of whose lines nothing is known yet.
    ///
    /// # Errors
    /// The system's.
    pub fn new(file: F) -> io::Result<Table<F>> {
        let has_more = !file.is_empty()?;
        Ok(Table {
            file,
            count: 0,
            marks: Marks::default(),
            has_more,
            page: Vec::new(),
            page_at: Offset::START,
        })
    }

    /// The file, for reading.
    pub fn file(&self) -> &F {
        &self.file
    }

    /// Sets what is known of the lines.
    pub fn set(&mut self, count: u32, marks: Marks) {
        (self.count, self.marks) = (count, marks);
        // If it is not so, the next append has nothing to cut off.
        self.has_more = true;
    }

    /// How many lines there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Reads a line; `None` if it is bad.
    ///
    /// # Errors
    /// The system's.
    pub fn entry<R>(&mut self, number: u32, read: impl FnOnce(Entry<'_>) -> R) -> io::Result<Option<R>> {
        let behind = self.marks.places.partition_point(|&(first, _)| first <= number);
        let (_, start) = self.marks.places[behind - 1];
        let end = self.marks.places.get(behind).map_or(self.marks.end, |&(_, offset)| offset);
        if (self.page_at, self.page.len() as u64) != (start, end - start) {
            self.page.resize((end - start) as usize, 0);
            self.page_at = start;
            let count = read_full(&self.file, &mut self.page, start);
            // What could not be read must not be taken for it the next time.
            self.page.truncate(count.as_ref().map_or(0, |&count| count));
            count?;
        }
        let mut rest = &self.page[..];
        while !rest.is_empty() {
            let line;
            (line, rest) = rest.split_at(skip_line(rest));
            if number_of(line) == Some(number) {
                return Ok(Entry::parse(line).map(read));
            }
        }
        Ok(None)
    }

    /// Appends whole lines of the next blocks.
    ///
    /// # Errors
    /// The system's. Then none of them counts.
    pub fn append(&mut self, lines: &str) -> io::Result<()> {
        self.write(lines)?;
        self.has_more = false;
        for line in lines.split_inclusive('\n') {
            self.marks.add(self.count, self.marks.end, line.len());
            self.count += 1;
        }
        Ok(())
    }

    /// Appends the line of the block that grows. The next append replaces it.
    ///
    /// # Errors
    /// The system's.
    pub fn append_last(&mut self, line: &str) -> io::Result<()> {
        self.write(line)
    }

    fn write(&mut self, lines: &str) -> io::Result<()> {
        if std::mem::replace(&mut self.has_more, true) {
            self.file.truncate(self.marks.end.bytes())?;
        }
        append_all(&mut self.file, lines.as_bytes())
    }
}
