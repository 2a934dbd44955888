//! Accepting blocks of the log that are not as they were written.

use std::io::{self, Write};

use crate::log::blocks::{BLOCKS_FILE, discard_blocks, verify_blocks};
use crate::log::journal::LOG_FILE;
use crate::log::storage::Storage;

/// Blocks listed one by one, before "and N more".
const BLOCKS_SHOWN_MAX: usize = 20;

/// Accepts the blocks of the log that are not as they were written: the next start computes their sums again. Returns
/// whether there are any.
pub fn accept_blocks<S: Storage>(storage: &mut S, is_agreed: bool, out: &mut impl Write) -> io::Result<bool> {
    if !storage.exists(BLOCKS_FILE)? || !storage.exists(LOG_FILE)? {
        return Ok(false);
    }
    let mut changed = Vec::new();
    let (blocks, log) = (storage.open(BLOCKS_FILE)?, storage.open(LOG_FILE)?);
    verify_blocks(&blocks, &log, |range| changed.push(range), |_| {})?;
    for range in changed.iter().take(BLOCKS_SHOWN_MAX) {
        let (start, end) = (range.start, range.end);
        writeln!(
            out,
            "{LOG_FILE}: bytes {start} to {end} are not as they were written; what is in them now is accepted, and \
             shown to the people it names"
        )?;
    }
    if let Some(more) = changed.len().checked_sub(BLOCKS_SHOWN_MAX + 1) {
        writeln!(out, "{LOG_FILE}: and so are {} more blocks", more + 1)?;
    }
    if !changed.is_empty() && is_agreed {
        discard_blocks(storage)?;
    }
    Ok(!changed.is_empty())
}
