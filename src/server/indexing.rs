//! Keeping `blocks.txt` up to date: a block of the log is added once it is full and was shown, and the lines of such
//! blocks are saved once a second.

use log::warn;

use super::{Fatal, Server, fatal};
use crate::limits::{
    BLOCK_STEPS_PER_TURN, BLOCKS_AT_SHUTDOWN_BYTES_MAX, BLOCKS_PAUSE_US, Micros, SCAN_RETRY_US,
};
use crate::log::blocks::{BLOCKS_FILE, Blocks};
use crate::log::journal::LOG_FILE;
use crate::log::storage::Storage;
use crate::transport::net::Net;

/// When the index goes on.
#[derive(Debug, Default)]
pub(super) struct Indexing {
    /// After an error, the time of the next attempt.
    retry_us: Option<Micros>,
    /// When lines are to be saved; `None` if none wait.
    save_us: Option<Micros>,
}

impl<N: Net, S: Storage> Server<N, S> {
    /// When the index has something to do; 0 for at once.
    pub(super) fn indexing_due_us(&self) -> Option<Micros> {
        let add_us = self.journal.has_full_block().then(|| self.indexing.retry_us.unwrap_or(0));
        [add_us, self.indexing.save_us].into_iter().flatten().min()
    }

    /// Adds a bounded part of the log to the index, and saves the lines that wait if that is due.
    pub(super) fn index(&mut self) -> Result<(), Fatal> {
        let now_us = self.now.mono_us;
        if self.indexing.retry_us.is_none_or(|retry_us| retry_us <= now_us) {
            self.add_full_blocks(BLOCK_STEPS_PER_TURN);
        }
        if self.indexing.save_us.is_some_and(|save_us| save_us <= now_us) {
            self.journal.save_index().map_err(fatal("chat_history.txt cannot be synced"))?;
            self.indexing.save_us = None;
        }
        if self.indexing.save_us.is_none() && self.journal.blocks().is_some_and(Blocks::is_pending) {
            self.indexing.save_us = Some(now_us + BLOCKS_PAUSE_US);
        }
        Ok(())
    }

    /// Brings the index up to date at a shutdown, once the log is synced. A rebuild that is far from its end goes on
    /// after the next start.
    pub(super) fn finish_index(&mut self) {
        if self.journal.bytes_to_index() <= BLOCKS_AT_SHUTDOWN_BYTES_MAX {
            while self.journal.is_index_behind() && self.add_to_index() {}
        }
        if let Some(blocks) = self.journal.blocks_mut() {
            blocks.save();
            blocks.save_partial();
        }
    }

    /// Adds up to `steps` pieces of full blocks. A block that still grows can wait: to read each message again would
    /// double what it costs.
    fn add_full_blocks(&mut self, steps: usize) {
        for _ in 0..steps {
            if !self.journal.has_full_block() || !self.add_to_index() {
                break;
            }
        }
    }

    /// Adds a piece. Returns whether the log could be read.
    fn add_to_index(&mut self) -> bool {
        let accounts = self.chat.accounts();
        let added = self.journal.add_to_index(&|name| accounts.find(name), self.chunk.scratch());
        if let Err(why) = &added
            && self.indexing.retry_us.is_none()
        {
            warn!("{LOG_FILE}: cannot be read, so that {BLOCKS_FILE} is not kept up to date: {why}");
        }
        self.indexing.retry_us = added.is_err().then(|| self.now.mono_us + SCAN_RETRY_US);
        added.is_ok()
    }
}
