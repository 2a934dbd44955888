//! Saving what the files are known to hold; see [`crate::state::checkpoint`].

use super::Server;
use crate::log::storage::Storage;
use crate::state::checkpoint::Checkpoint;
use crate::transport::net::Net;

impl<N: Net, S: Storage> Server<N, S> {
    /// What the files are known to hold now.
    fn known(&self) -> Checkpoint {
        let log = self.journal.mark();
        let is_complete = self.chat.knows_names() && self.chat.state().rooms().closed().next().is_none();
        let scanned = match is_complete {
            // Messages since the start are between accounts.
            true => log.map_or(0, |log| log.length),
            // The state is that of some place in the log, or lacks events.
            false => 0,
        };
        Checkpoint::new(log, self.users.mark(), scanned)
    }

    /// Lets `state.txt` be brought up to date within a second, together with `seen.txt`.
    pub(super) fn keep_checkpoint_soon(&mut self) {
        self.seen.save_soon(self.now.mono_us);
    }

    /// Brings `state.txt` up to date.
    pub(super) fn keep_checkpoint(&mut self) {
        let known = self.known();
        self.checkpoint.note(known);
        if self.is_learning() {
            return;
        }
        self.checkpoint.compact(&mut self.storage, known, self.chat.state());
    }

    /// Saves which names are reserved, after more of the log was scanned.
    pub(super) fn keep_names(&mut self) {
        let known = self.known();
        self.checkpoint.note_names(&mut self.storage, known, self.chat.state());
    }

    /// Whether events of the log are still being applied. The state is that of some place in the log then, and a copy
    /// of it would be worth less than the file that there is.
    fn is_learning(&self) -> bool {
        self.scan.is_some() && !self.chat.knows_names()
    }

    /// Rewrites `state.txt` at shutdown, after all files are synced.
    pub(super) fn close_checkpoint(&mut self) {
        let known = self.known();
        if self.is_learning() {
            return self.checkpoint.note(known);
        }
        self.checkpoint.rewrite(&mut self.storage, known, self.chat.state());
    }
}
