//! seen.txt, which may be behind what was shown, so that something is shown again, and never ahead of it.

use std::collections::BTreeMap;

use super::super::disk::{SEEN, SimDisk};
use super::accounts::Account;
use super::log::{Log, is_name, is_stamp};
use super::{Guarantee, hold};

/// How long the server may take to note what was shown: a second, and what a turn needs.
const NOTED_WITHIN_US: u64 = 3_000_000;
const NOTED_WITHIN_TURNS: u64 = 5;

#[derive(Default)]
pub struct Seen {
    /// The timestamps by account.
    stamps: BTreeMap<String, String>,
    /// How much of the file was read.
    bytes: usize,
    /// How much of it was there when the server started. A power failure can have spoilt lines of that, which stay
    /// where the disk is too full for another file.
    old_bytes: usize,
    /// How often its end had been cut off then.
    cuts: usize,
    /// Accounts that have left in this turn, and up to which place they had been shown everything.
    left: Vec<(String, usize)>,
}

impl Seen {
    pub fn read(disk: &SimDisk) -> Seen {
        let mut seen = Seen { old_bytes: disk.length(SEEN), ..Seen::default() };
        seen.read_on(disk);
        seen
    }

    /// The place of the first message that is not seen, by the file.
    pub fn place_of(&self, account: &str, log: &Log) -> usize {
        self.stamps.get(account).map_or(0, |stamp| log.behind(stamp))
    }

    pub fn must_know(&mut self, account: &str, place: usize) {
        self.left.push((account.into(), place));
    }

    /// `may_be_late`: this is not the time to note anything.
    pub fn look(
        &mut self,
        disk: &SimDisk,
        log: &Log,
        accounts: &mut BTreeMap<String, Account>,
        (turn, now_us): (u64, u64),
        may_be_late: bool,
    ) {
        for name in self.read_on(disk) {
            let (seen, handed) = (self.place_of(&name, log), accounts[&name].handed);
            let skipped = log.first(handed, seen, |it| it.is_for(&name));
            hold(Guarantee::Ordered, skipped.is_none(), || {
                let line = skipped.map_or("", |place| &log.record(place).line);
                let stamp = &self.stamps[&name];
                format!("{name} has seen all up to {stamp}, by the file, and was not shown: {line}")
            });
        }
        let left = std::mem::take(&mut self.left);
        if may_be_late {
            return;
        }
        let due = (turn.saturating_sub(NOTED_WITHIN_TURNS), now_us.saturating_sub(NOTED_WITHIN_US));
        let long_ago = accounts
            .iter_mut()
            .filter_map(|(name, account)| account.handed_by(due.0, due.1).map(|place| (name.clone(), place)));
        let long_ago: Vec<_> = long_ago.collect();
        for (name, place) in left.into_iter().chain(long_ago) {
            let seen = self.place_of(&name, log).max(accounts[&name].unnoted);
            let again = log.first(seen, place, |it| it.is_for(&name));
            hold(Guarantee::Ordered, again.is_none(), || {
                let line = again.map_or("", |place| &log.record(place).line);
                let stamp = self.stamps.get(&name);
                format!("{name} has seen all up to {stamp:?}, by the file, and was shown: {line}")
            });
        }
    }

    /// Reads what was added; returns of whom.
    fn read_on(&mut self, disk: &SimDisk) -> Vec<String> {
        let cuts = std::mem::replace(&mut self.cuts, disk.cuts(SEEN));
        if disk.length(SEEN) < self.bytes || cuts != self.cuts {
            self.bytes = 0;
        }
        let added = disk.bytes_from(SEEN, self.bytes);
        let end = added.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let mut names = Vec::new();
        for line in added[..end].split_inclusive(|&byte| byte == b'\n') {
            let is_old = self.bytes < self.old_bytes;
            self.bytes += line.len();
            let line = String::from_utf8_lossy(line);
            let (name, stamp) = line.trim_end_matches('\n').split_once(' ').unwrap_or_default();
            let is_good = is_name(name) && is_stamp(stamp);
            hold(Guarantee::Ordered, is_good || is_old, || format!("in seen.txt: {line}"));
            if is_good {
                self.stamps.insert(name.to_ascii_lowercase(), stamp.into());
                names.push(name.to_ascii_lowercase());
            }
        }
        names
    }
}
