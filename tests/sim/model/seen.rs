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

    /// `handed`: up to where the open sessions of an account have been sent everything. `may_be_late`: this is not the
    /// time to note anything.
    pub fn look(
        &mut self,
        disk: &SimDisk,
        log: &Log,
        accounts: &mut BTreeMap<String, Account>,
        handed: impl Fn(&str) -> usize,
        (turn, now_us): (u64, u64),
        may_be_late: bool,
    ) {
        for name in self.read_on(disk) {
            let account = accounts.get_mut(&name).expect("marks are of accounts");
            account.may_have_lost = false;
            let (seen, handed) = (self.place_of(&name, log), account.received.max(handed(&name)));
            let skipped = log.first(handed, seen, |it| it.is_for(&name));
            hold(Guarantee::Ordered, skipped.is_none(), || {
                let line = skipped.map_or("", |place| &log.record(place).line);
                let stamp = &self.stamps[&name];
                format!("{name} has seen all up to {stamp}, by the file, and may not have received: {line}")
            });
        }
        if may_be_late {
            return;
        }
        let due = (turn.saturating_sub(NOTED_WITHIN_TURNS), now_us.saturating_sub(NOTED_WITHIN_US));
        let long_ago = accounts
            .iter_mut()
            .filter_map(|(name, account)| account.handed_by(due.0, due.1).map(|place| (name.clone(), place)));
        let long_ago: Vec<_> = long_ago.collect();
        for (name, place) in long_ago {
            let seen = self.place_of(&name, log).max(accounts[&name].unnoted);
            let again = log.first(seen, place, |it| it.is_for(&name));
            hold(Guarantee::Ordered, again.is_none(), || {
                let line = again.map_or("", |place| &log.record(place).line);
                let stamp = self.stamps.get(&name);
                format!("{name} has seen all up to {stamp:?}, by the file, and was shown: {line}")
            });
        }
    }

    /// Reads what was added; returns whose marks have changed.
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
                let name = name.to_ascii_lowercase();
                let before = self.stamps.insert(name.clone(), stamp.into());
                if before.as_deref() != Some(stamp) {
                    names.push(name);
                }
            }
        }
        names
    }
}
