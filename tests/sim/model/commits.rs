//! The order of a turn's commit: the log, then users.txt, and nothing of a turn after a write that was refused.

use super::super::disk::{LOG, SimDisk, USERS};
use super::{Guarantee, hold};

/// What was done to the two files up to the last turn.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Commits {
    log: Done,
    users: Done,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Done {
    /// Appends that were refused.
    refused: u64,
    last_append: u64,
    last_sync: u64,
}

impl Done {
    fn to(name: &str, disk: &SimDisk) -> Done {
        let (last_append, last_sync) = disk.last_done(name);
        Done { refused: disk.state().refused(name), last_append, last_sync }
    }
}

impl Commits {
    /// From the start of a server on.
    pub fn from(disk: &SimDisk) -> Commits {
        Commits { log: Done::to(LOG, disk), users: Done::to(USERS, disk) }
    }

    /// Looks at the commit of one turn.
    pub fn look(&mut self, disk: &SimDisk) {
        let before = std::mem::replace(self, Commits::from(disk));
        let (log, users) = (self.log, self.users);
        if users == before.users {
            return;
        }
        hold(Guarantee::Refused, log.refused == before.log.refused, || {
            "the messages of a turn were refused, and its accounts were written".into()
        });
        let is_after = log.last_append == before.log.last_append
            || users.last_append == before.users.last_append
            || users.last_append > log.last_sync;
        hold(Guarantee::Durable, log.last_sync >= log.last_append && is_after, || {
            "the accounts of a turn were written before its messages were synced".into()
        });
    }
}
