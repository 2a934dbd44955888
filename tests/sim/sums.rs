//! `blocks.txt` as the model reads it: which bytes of the log have a sum, and whether they are still as that says.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::disk::{BLOCKS, LOG, SimDisk};

const BLOCK_BYTES: usize = 65_536;

/// The parts of the log that have a sum.
#[derive(Default)]
pub struct Sums {
    covered: Vec<Range<usize>>,
    /// Those whose sum is wrong.
    changed: Vec<Range<usize>>,
}

impl Sums {
    pub fn read(disk: &SimDisk) -> Sums {
        let mut sums = Sums::default();
        if !disk.has(BLOCKS) || !disk.has(LOG) {
            return sums;
        }
        let log = disk.bytes_from(LOG, 0);
        let digits = |bytes: &[u8], count: usize| hex::encode(Sha256::digest(bytes))[..count].to_owned();
        for line in disk.bytes_from(BLOCKS, 0).split_inclusive(|&byte| byte == b'\n') {
            let Some(line) = std::str::from_utf8(line).ok().and_then(|line| line.strip_suffix('\n')) else {
                continue;
            };
            let Some((text, check)) = line.rsplit_once(' ') else { continue };
            if digits(format!("{text} ").as_bytes(), 8) != check {
                continue;
            }
            let mut fields = text.split(' ');
            let mut number = || fields.next()?.parse::<usize>().ok();
            let (Some(block), Some(length)) = (number(), number()) else { continue };
            let range = block * BLOCK_BYTES..block * BLOCK_BYTES + length;
            if range.end > log.len() {
                continue;
            }
            if fields.next() != Some(&digits(&log[range.clone()], 16)) {
                sums.changed.push(range.clone());
            }
            sums.covered.push(range);
        }
        sums
    }

    /// Whether a line at these offsets must be hidden from all.
    pub fn hide(&self, line: &Range<usize>) -> bool {
        // The ending of the line before it belongs to it too.
        let from = line.start.saturating_sub(1);
        self.changed.iter().any(|part| part.start < line.end && from < part.end)
    }

    /// Whether a change of the byte at this offset cannot go unnoticed.
    pub fn cover(&self, offset: usize) -> bool {
        self.covered.iter().any(|part| part.contains(&offset))
    }
}
