//! A turn's commit: the only gate between what a turn staged and what it shows.
//!
//! The log comes first, then `users.txt`. A refused write refuses everything after it, so an account record is on disk
//! only if all messages of its turn are, and senders are never refused what was said before a record that was saved. If
//! it is unknown what is on disk, the server ends and shows nothing of the turn. Messages that were synced by then are
//! stored once, like those of a crash before their receipt.

use std::io;

use log::error;

use super::{Fatal, Server, fatal};
use crate::clock::{Now, World};
use crate::limits::{LOOK_PAUSE_US, Micros, SECOND_US};
use crate::log::journal::{Batch, Commit, Committed, LOG_FILE};
use crate::log::storage::{AppendError, Storage};
use crate::protocol::reply::Error;
use crate::session::effects::{Context, Effects};
use crate::state::users_file::{RecordsSaved, USERS_FILE};
use crate::transport::net::Net;

/// What the turn has caused so far, to be committed and then released.
pub(super) struct Stage {
    /// The messages. Commit takes the batch and release puts it back.
    pub batch: Batch,
    /// The account records, and all that is to happen once they and the messages are saved.
    pub effects: Effects,
}

impl Stage {
    /// An empty stage.
    pub fn new(batch: Batch) -> Stage {
        Stage { batch, effects: Effects::default() }
    }

    /// What the chat needs to handle a line or to continue its work.
    pub fn context<'a>(&'a mut self, now: Now, world: &'a mut dyn World) -> Context<'a> {
        Context { now, world, batch: &mut self.batch, effects: &mut self.effects }
    }

    /// Whether no more lines should be handled in this turn.
    pub fn is_full(&self) -> bool {
        self.batch.is_full() || self.effects.is_full()
    }

    /// Whether nothing is to be saved.
    fn saves_nothing(&self) -> bool {
        self.batch.is_empty() && self.effects.saves().is_empty()
    }
}

/// When a commit does more than save what is staged.
#[derive(Default)]
pub(super) struct FileTimers {
    /// When to check again that the files are still at their paths.
    look_us: Micros,
    /// When the log is to be synced, under `--sync second`.
    sync_us: Option<Micros>,
}

impl FileTimers {
    /// When a commit is due although nothing is staged.
    pub fn due_us(&self) -> Option<Micros> {
        self.sync_us
    }
}

/// The proof that a turn was committed, and what became of it; nothing is released without one. Only
/// [`Server::commit`] makes it.
pub(super) struct Gate {
    /// The messages, and the account records, which are saved after them or not at all.
    outcome: Result<(Committed, Result<RecordsSaved, Error<'static>>), Error<'static>>,
}

impl Gate {
    /// The turn's messages, or the error that tells their senders why they were refused.
    pub(super) fn messages(&self) -> Result<&Committed, Error<'static>> {
        self.outcome.as_ref().map(|(committed, _)| committed).map_err(|error| *error)
    }

    /// The proof that the turn's account records are saved, or the error that tells why they are not.
    pub(super) fn accounts(&self) -> Result<RecordsSaved, Error<'static>> {
        let (_, accounts) = self.outcome.as_ref().map_err(|error| *error)?;
        accounts.as_ref().copied().map_err(|error| *error)
    }

    /// Makes the batch ready for the next turn, if the gate has it.
    pub(super) fn recycle(self) -> Option<Batch> {
        self.outcome.ok().map(|(committed, _)| committed.recycle())
    }
}

impl<N: Net, S: Storage> Server<N, S> {
    /// Commits all messages of the turn with one append and one sync, and then all account records with another.
    pub(super) fn commit(&mut self) -> Result<Gate, Fatal> {
        self.look_at_files()?;
        let outcome = match self.commit_messages()? {
            Ok(committed) => Ok((committed, self.commit_accounts()?)),
            Err(refusal) => Err(refusal),
        };
        Ok(Gate { outcome })
    }

    /// Commits the batch, and syncs the log if that is due.
    fn commit_messages(&mut self) -> Result<Result<Committed, Error<'static>>, Fatal> {
        if !self.stage.batch.is_empty() {
            self.keep_checkpoint_soon();
        }
        let batch = std::mem::take(&mut self.stage.batch);
        let messages = match self
            .journal
            .commit(batch)
            .map_err(fatal("chat_history.txt cannot be saved, and what is on disk is unknown"))?
        {
            Commit::Saved(committed) => Ok(committed),
            Commit::Refused(batch, why) => {
                self.stage.batch = batch;
                Err(refusal(LOG_FILE, &why))
            }
        };
        if self.file_timers.sync_us.is_some_and(|due_us| due_us <= self.now.mono_us) {
            self.journal.sync().map_err(fatal("chat_history.txt cannot be synced"))?;
            self.file_timers.sync_us = None;
            self.keep_checkpoint_soon();
        } else if self.file_timers.sync_us.is_none() && self.journal.is_unsynced() {
            self.file_timers.sync_us = Some(self.now.mono_us + SECOND_US);
        }
        Ok(messages)
    }

    fn commit_accounts(&mut self) -> Result<Result<RecordsSaved, Error<'static>>, Fatal> {
        if !self.stage.effects.saves().is_empty() {
            self.keep_checkpoint_soon();
        }
        let records = self.stage.effects.saves().iter().flat_map(|save| &save.records);
        match self.users.commit(&mut self.storage, records) {
            Ok(saved) => Ok(Ok(saved)),
            Err(AppendError::Refused(why)) => Ok(Err(refusal(USERS_FILE, &why))),
            Err(AppendError::Fatal(why)) => {
                Err(fatal("users.txt cannot be saved, and what is on disk is unknown")(why))
            }
        }
    }

    /// Checks at most once per second, before a commit, that the files are still at their paths. Anything appended
    /// to a file that was removed or renamed would be lost at the next start.
    fn look_at_files(&mut self) -> Result<(), Fatal> {
        if self.stage.saves_nothing() || self.now.mono_us < self.file_timers.look_us {
            return Ok(());
        }
        self.file_timers.look_us = self.now.mono_us + LOOK_PAUSE_US;
        let is_lost = [
            (USERS_FILE, self.users.look(&self.storage).map_err(fatal("the data directory"))?),
            (LOG_FILE, self.journal.look(&self.storage).map_err(fatal("the data directory"))?),
        ];
        for (name, _) in is_lost.iter().filter(|(_, is_lost)| *is_lost) {
            error!(
                "{name}: removed, renamed or replaced while the server uses it: put it back and restart chinwagd"
            );
        }
        Ok(())
    }
}

/// Logs a refused commit, and returns the error that tells users.
fn refusal(file: &str, why: &io::Error) -> Error<'static> {
    error!("{file}: not saved: {why}");
    match why.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull,
        io::ErrorKind::StaleNetworkFileHandle => Error::FilesMoved,
        io::ErrorKind::FileTooLarge => Error::HistoryTooLarge,
        _ => Error::DiskError,
    }
}
