//! seen.txt, which may be behind what was shown, so that something is shown again, and never ahead of it.

use std::collections::BTreeMap;

use super::super::disk::{SEEN, SimDisk};
use super::accounts::Account;
use super::log::{Log, is_name, is_stamp};
use super::received::Received;
use super::{Guarantee, hold};

/// How long the server may take to note what was shown: a second, and what a turn needs.
const NOTED_WITHIN_US: u64 = 3_000_000;
const NOTED_WITHIN_TURNS: u64 = 5;

#[derive(Default)]
pub struct Seen {
    /// The timestamps by account.
    stamps: BTreeMap<String, String>,
    /// What was read of the file.
    text: Vec<u8>,
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

    /// `sent`: what the open sessions of an account have been sent. `may_be_late`: this is not the time to note
    /// anything.
    pub fn look(
        &mut self,
        disk: &SimDisk,
        log: &Log,
        accounts: &mut BTreeMap<String, Account>,
        sent: impl Fn(&str) -> Received,
        (turn, now_us): (u64, u64),
        may_be_late: bool,
    ) {
        for name in self.read_on(disk) {
            let account = accounts.get_mut(&name).expect("marks are of accounts");
            account.may_have_lost = false;
            let mut received = sent(&name);
            received.add_all(&account.received);
            let skipped = Some(received.first_gap(&name, log)).filter(|&gap| gap < self.place_of(&name, log));
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

    /// Reads what was added; returns whose marks have changed by it.
    fn read_on(&mut self, disk: &SimDisk) -> Vec<String> {
        let cuts = std::mem::replace(&mut self.cuts, disk.cuts(SEEN));
        if disk.length(SEEN) < self.text.len() || cuts != self.cuts {
            self.read_again(disk);
        }
        let added = disk.bytes_from(SEEN, self.text.len());
        let end = added.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let mut before = BTreeMap::new();
        for line in added[..end].split_inclusive(|&byte| byte == b'\n') {
            let is_old = self.text.len() < self.old_bytes;
            self.text.extend_from_slice(line);
            let mark = parse(line);
            hold(Guarantee::Ordered, mark.is_some() || is_old, || {
                format!("in seen.txt: {}", String::from_utf8_lossy(line))
            });
            if let Some((name, stamp)) = mark {
                let of_name = self.stamps.insert(name.clone(), stamp);
                before.entry(name).or_insert(of_name);
            }
        }
        let has_changed =
            |(name, before): &(String, Option<String>)| self.stamps.get(name) != before.as_ref();
        before.into_iter().filter(has_changed).map(|(name, _)| name).collect()
    }

    /// The file was cut or replaced. The lines that are in it as they were before say nothing new, although a mark
    /// among them may have been moved back by a line that was cut off.
    fn read_again(&mut self, disk: &SimDisk) {
        let now = disk.bytes_from(SEEN, 0);
        let same = self.text.iter().zip(&now).take_while(|(before, now)| before == now).count();
        let end = now[..same].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        self.text.truncate(end);
        self.stamps = self.text.split_inclusive(|&byte| byte == b'\n').filter_map(parse).collect();
    }
}

/// A name in small letters and its mark.
fn parse(line: &[u8]) -> Option<(String, String)> {
    let line = String::from_utf8_lossy(line);
    let (name, stamp) = line.trim_end_matches('\n').split_once(' ')?;
    (is_name(name) && is_stamp(stamp)).then(|| (name.to_ascii_lowercase(), stamp.into()))
}
