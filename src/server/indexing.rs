//! Keeping `blocks.txt` up to date: what was appended to the log is added after it was shown, and the lines of full
//! blocks are saved once a second.

use log::warn;

use super::{Fatal, Server, fatal};
use crate::limits::{BLOCK_STEPS_PER_TURN, BLOCKS_PAUSE_US, Micros, SCAN_RETRY_US};
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
        let add_us = self.journal.is_index_behind().then(|| self.indexing.retry_us.unwrap_or(0));
        [add_us, self.indexing.save_us].into_iter().flatten().min()
    }

    /// Adds a bounded part of the log to the index, and saves the lines that wait if that is due.
    pub(super) fn index(&mut self) -> Result<(), Fatal> {
        let now_us = self.now.mono_us;
        if self.indexing.retry_us.is_none_or(|retry_us| retry_us <= now_us) {
            self.add_to_index(BLOCK_STEPS_PER_TURN);
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

    /// Brings the index up to date at a shutdown, once the log is synced.
    pub(super) fn finish_index(&mut self) {
        while self.journal.is_index_behind() && self.add_to_index(1) {}
        if let Some(blocks) = self.journal.blocks_mut() {
            blocks.save();
            blocks.save_partial();
        }
    }

    /// Adds up to `steps` pieces. Returns whether the log could be read.
    fn add_to_index(&mut self, steps: usize) -> bool {
        for _ in 0..steps {
            if !self.journal.is_index_behind() {
                break;
            }
            let accounts = self.chat.accounts();
            let added = self.journal.add_to_index(&|name| accounts.find(name), self.chunk.scratch());
            if let Err(why) = added {
                if self.indexing.retry_us.is_none() {
                    warn!("{LOG_FILE}: cannot be read, so that {BLOCKS_FILE} is not kept up to date: {why}");
                }
                self.indexing.retry_us = Some(self.now.mono_us + SCAN_RETRY_US);
                return false;
            }
            self.indexing.retry_us = None;
        }
        true
    }
}
