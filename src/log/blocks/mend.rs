//! Mending a `blocks.txt` of which single lines are bad: the good ones keep their sums, and only the blocks without a
//! line are read again.

use std::collections::BTreeMap;
use std::io;

use super::entry::{Entry, Sum, write_entry};
use super::growing::{Growing, start_of};
use super::{BLOCKS_FILE, number_at};
use crate::limits::{BLOCK_BYTES, BLOCKS_MENDED_MAX};
use crate::log::offset::Offset;
use crate::log::recovery::for_each_line;
use crate::log::storage::{File, Storage, rewrite};
use crate::protocol::record::Target;

/// A block, and the people and rooms with a line in it.
struct Block {
    length: u32,
    sum: Sum,
    parties: Vec<Target>,
}

/// Writes the file anew for a log of `end` bytes: the good lines, and the missing ones between them. If too many are
/// missing, it ends before the first of these. Returns how many were rebuilt.
///
/// # Errors
/// The system's.
pub fn mend<S: Storage>(storage: &mut S, file: &S::File, log: &S::File, end: Offset) -> io::Result<usize> {
    let mut blocks = BTreeMap::new();
    for_each_line(file, |_, line| {
        if let Some(entry) = Entry::parse(line).filter(|entry| entry.end() <= end) {
            let parties = entry.parties().map(|(party, _)| party).collect();
            blocks.insert(entry.number, Block { length: entry.length, sum: entry.sum, parties });
        }
    })?;
    let last = blocks.last_key_value().map_or(0, |(&last, _)| last);
    let missing: Vec<u32> = (0..last).filter(|number| !blocks.contains_key(number)).collect();
    match missing.get(BLOCKS_MENDED_MAX) {
        Some(_) => drop(blocks.split_off(&missing[0])),
        None => {
            for &number in &missing {
                blocks.insert(number, rebuild(number, log, end)?);
            }
        }
    }
    let mut latest: BTreeMap<Target, u32> = BTreeMap::new();
    let lines = blocks.iter().map(|(&number, Block { length, sum, parties })| {
        let mut line = String::new();
        let parties = parties.iter().map(|&party| (party, latest.insert(party, number)));
        write_entry(&mut line, number, *length, *sum, parties);
        line
    });
    rewrite(storage, BLOCKS_FILE, lines)?;
    Ok(missing.len())
}

/// Reads a block of which nothing is known.
fn rebuild(number: u32, log: &impl File, end: Offset) -> io::Result<Block> {
    let mut growing = Growing::new(number, log)?;
    let mut buffer = vec![0; BLOCK_BYTES];
    while number_at(growing.position()) == number && growing.position() < start_of(number + 1) {
        if !growing.read(log, end, Offset::MAX, &mut buffer)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let (sum, parties) = growing.finish();
    Ok(Block { length: BLOCK_BYTES as u32, sum, parties: parties.collect() })
}
