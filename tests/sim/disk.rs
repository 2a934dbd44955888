//! A disk that remembers what was synced, and can be full, broken, or cut off from its power.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use chinwag::log::offset::Offset;
use chinwag::log::storage::{File, FileState, Storage};

use super::rooms::Rooms;
use super::tally::Tally;
use super::world::XorShift;

pub const LOG: &str = "chat_history.txt";
pub const USERS: &str = "users.txt";
pub const SEEN: &str = "seen.txt";
pub const STATE: &str = "state.txt";
pub const BLOCKS: &str = "blocks.txt";

/// The files, and what is wrong with them at the moment. A fault named after a file is of that file only.
#[derive(Default)]
pub struct Disk {
    names: BTreeMap<String, usize>,
    inodes: Vec<Inode>,
    /// Bytes that all files together may still grow by, where there is an end to that.
    pub room: Option<usize>,
    /// What an append says that finds no room.
    pub refusal: Option<io::ErrorKind>,
    /// The file that takes nothing: it is over its quota.
    pub full: Option<&'static str>,
    /// The most that one append takes.
    pub append_max: Option<usize>,
    /// The file whose sync fails.
    pub sync_fails: Option<&'static str>,
    pub truncate_fails: bool,
    pub read_fails: bool,
    /// Of a thousand calls, so many are interrupted by a signal.
    pub interrupted: u64,
    /// How long every sync takes; it adds up in `waited_us`.
    pub sync_us: u64,
    pub waited_us: u64,
    /// Changes until the power fails in the midst of one: then all is dead.
    pub power_fails_after: Option<u64>,
    is_dead: bool,
    pub random: XorShift,
    /// All that was ever read.
    pub read_bytes: usize,
    /// Appends that found no room, by file.
    refused: BTreeMap<String, u64>,
    /// Appends and syncs that were done, of all files.
    done: u64,
    pub tally: Tally,
    /// Whether messages may be shown that are written and not synced.
    pub shows_unsynced: bool,
    /// Where in the log each message begins that may be shown, by its timestamp.
    shown: Vec<(Vec<u8>, usize)>,
    indexed: usize,
    rooms: RefCell<Rooms>,
}

#[derive(Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    /// So many of the first bytes would survive a power loss.
    synced: usize,
    appends: usize,
    syncs: usize,
    /// Which of all that were done was the last append, and which the last sync.
    last_append: u64,
    last_sync: u64,
    /// How often its end was cut off.
    cuts: usize,
    /// What was cut off last, while a power failure could still undo that.
    cut_off: Vec<u8>,
}

impl Disk {
    fn inode(&mut self, name: &str) -> &mut Inode {
        let index = *self.names.entry(name.into()).or_insert_with(|| {
            self.inodes.push(Inode::default());
            self.inodes.len() - 1
        });
        &mut self.inodes[index]
    }

    fn is(&self, name: Option<&str>, index: usize) -> bool {
        name.is_some_and(|name| self.names.get(name) == Some(&index))
    }

    /// Whether something failed after which nobody knows what is in a file.
    pub fn may_end_a_server(&self) -> bool {
        self.tally.of("failed sync") + self.tally.of("failed truncate") > 0
    }

    /// It was no power failure: only the server was killed in the midst of what it did, and the system stays.
    pub fn revive(&mut self) {
        self.is_dead = false;
    }

    /// Nothing is wrong any more.
    pub fn heal(&mut self) {
        (self.room, self.refusal, self.full, self.append_max) = (None, None, None, None);
        (self.sync_fails, self.truncate_fails, self.read_fails) = (None, false, false);
        (self.interrupted, self.sync_us, self.power_fails_after) = (0, 0, None);
    }

    /// Takes note of the messages that may be shown from now on.
    fn index(&mut self) {
        let Some(&log) = self.names.get(LOG) else { return };
        let inode = &self.inodes[log];
        let end = if self.shows_unsynced { inode.bytes.len() } else { inode.synced };
        self.indexed = self.indexed.min(end);
        let indexed = self.indexed;
        self.shown.truncate(self.shown.partition_point(|(_, start)| *start < indexed));
        for line in inode.bytes[self.indexed..end].split_inclusive(|&byte| byte == b'\n') {
            if line.ends_with(b"\n") {
                self.shown.push((line[..line.len().min(27)].to_vec(), self.indexed));
                self.indexed += line.len();
            }
        }
    }

    /// Before something is changed: whether the power fails just then.
    fn power_fails_at(&mut self, what: &'static str) -> io::Result<bool> {
        if self.is_dead {
            return Err(dead());
        }
        self.power_fails_after = self.power_fails_after.map(|left| left.saturating_sub(1));
        self.is_dead = self.power_fails_after == Some(0);
        if self.is_dead {
            self.tally.count(what);
        }
        Ok(self.is_dead)
    }

    /// Where nothing tells whether what the power failed in was done.
    fn was_done(&mut self) -> bool {
        self.random.below(2) == 0
    }

    /// Appends to a file that found no room.
    pub fn refused(&self, name: &str) -> u64 {
        self.refused.get(name).copied().unwrap_or(0)
    }

    fn refuse(&mut self, index: usize, kind: io::ErrorKind, what: &'static str) -> io::Error {
        let name = self.names.iter().find(|(_, it)| **it == index).map_or("", |(name, _)| name);
        *self.refused.entry(name.to_owned()).or_default() += 1;
        self.tally.count(what);
        kind.into()
    }

    fn is_interrupted(&mut self) -> bool {
        let interrupted = self.interrupted > 0 && self.random.below(1_000) < self.interrupted;
        if interrupted {
            self.tally.count("interrupted call");
        }
        interrupted
    }

    /// Whether `line`, or the beginning of one, is one that may be shown.
    pub fn may_show(&self, line: &[u8]) -> bool {
        let stamp = &line[..line.len().min(27)];
        let at = self.shown.partition_point(|(shown, _)| shown.as_slice() < stamp);
        let Some(&log) = self.names.get(LOG) else { return false };
        let is_at = |(_, start): &(Vec<u8>, usize)| self.inodes[log].bytes[*start..].starts_with(line);
        // Timestamps rise, unless somebody changed the file.
        self.shown.get(at).is_some_and(is_at) || self.shown.iter().any(is_at)
    }
}

impl Disk {
    /// Whether an account may be shown this line of a room.
    pub fn may_show_of_room(&self, account: &str, line: &str) -> bool {
        let Some(&log) = self.names.get(LOG) else { return false };
        let mut rooms = self.rooms.borrow_mut();
        rooms.read(&self.inodes[log].bytes);
        rooms.may_show(account, line)
    }
}

/// The disk, as the server and the test hold it.
#[derive(Clone, Default)]
pub struct SimDisk(Rc<RefCell<Disk>>);

impl SimDisk {
    /// To look at it, and to break it.
    pub fn state(&self) -> RefMut<'_, Disk> {
        self.0.borrow_mut()
    }

    /// Whether the power is gone. What is left is told by [`SimDisk::after_power_failure`].
    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// How much of a file is there for good.
    pub fn synced_length(&self, name: &str) -> usize {
        self.state().inode(name).synced
    }

    /// A file's bytes from an offset on.
    pub fn bytes_from(&self, name: &str, offset: usize) -> Vec<u8> {
        self.state().inode(name).bytes.get(offset..).unwrap_or_default().to_vec()
    }

    /// How often the end of a file was cut off.
    pub fn cuts(&self, name: &str) -> usize {
        self.state().inode(name).cuts
    }

    /// Whether there is such a file.
    pub fn has(&self, name: &str) -> bool {
        self.state().names.contains_key(name)
    }

    /// Takes a file away.
    pub fn remove(&self, name: &str) {
        self.state().names.remove(name);
    }

    /// Cuts the last byte of a file off, behind the back of whoever has it open.
    pub fn cut_last_byte(&self, name: &str) {
        let mut state = self.state();
        let inode = state.inode(name);
        inode.bytes.pop();
        inode.synced = inode.bytes.len();
    }

    pub fn length(&self, name: &str) -> usize {
        self.state().inode(name).bytes.len()
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.state().inode(name).bytes).into_owned()
    }

    /// Puts a file there, as it would be after a clean shutdown.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        *self.state().inode(name) = Inode { bytes: bytes.to_vec(), synced: bytes.len(), ..Inode::default() };
        self.state().index();
    }

    /// Changes a file's bytes behind the back of whoever has it open.
    pub fn change(&self, name: &str, bytes: &[u8]) {
        self.state().inode(name).bytes = bytes.to_vec();
    }

    /// How often a file was appended to, and synced.
    pub fn counts(&self, name: &str) -> (usize, usize) {
        let mut state = self.state();
        let inode = state.inode(name);
        (inode.appends, inode.syncs)
    }

    /// When a file was last appended to, and synced, in the order of all appends and syncs.
    pub fn last_done(&self, name: &str) -> (u64, u64) {
        let mut state = self.state();
        let inode = state.inode(name);
        (inode.last_append, inode.last_sync)
    }

    pub fn unsynced(&self, name: &str) -> usize {
        let mut state = self.state();
        let inode = state.inode(name);
        inode.bytes.len() - inode.synced
    }

    /// Lets no cut have reached the disk that was not synced.
    pub fn undo_cuts(&self) {
        for inode in &mut self.state().inodes {
            let cut_off = std::mem::take(&mut inode.cut_off);
            inode.bytes.extend(cut_off);
        }
    }

    /// What is there after a power loss, if `kept` is what is left of each file's unsynced bytes.
    pub fn crash(&self, mut kept: impl FnMut(&str, &[u8]) -> Vec<u8>) -> SimDisk {
        let after = SimDisk::default();
        let state = self.state();
        for (name, &index) in &state.names {
            let Inode { bytes, synced, .. } = &state.inodes[index];
            let mut left = bytes[..*synced].to_vec();
            left.extend(kept(name, &bytes[*synced..]));
            after.put(name, &left);
        }
        after
    }
}

/// Of this size are the pieces of a file that reach the disk or do not.
const SECTOR_BYTES: usize = 512;

impl SimDisk {
    /// What a power failure leaves: of what was not synced all, nothing, a part cut off at any byte, or all with
    /// zeroes for some sectors, in each file as it happens; and perhaps what was cut off.
    pub fn after_power_failure(&self) -> SimDisk {
        let is_cut = self.state().was_done();
        if !is_cut {
            self.undo_cuts();
        }
        let synced: BTreeMap<String, usize> = {
            let state = self.state();
            state.names.iter().map(|(name, &index)| (name.clone(), state.inodes[index].synced)).collect()
        };
        let mut random = std::mem::replace(&mut self.state().random, XorShift::new(1));
        let mut tally = std::mem::take(&mut self.state().tally);
        let after = self.crash(|name, unsynced| {
            if unsynced.is_empty() {
                return Vec::new();
            }
            let (what, left) = what_is_left(unsynced, synced[name], &mut random);
            tally.count(what);
            left
        });
        let mut state = after.state();
        (state.random, state.tally) = (random, tally);
        drop(state);
        after
    }
}

fn what_is_left(unsynced: &[u8], offset: usize, random: &mut XorShift) -> (&'static str, Vec<u8>) {
    let cut = random.below(unsynced.len() as u64 + 1) as usize;
    match random.below(5) {
        0 => ("unsynced bytes all lost", Vec::new()),
        1 => ("unsynced bytes all kept", unsynced.to_vec()),
        2 | 3 => ("unsynced bytes torn", unsynced[..cut].to_vec()),
        _ => {
            let lost = random.below(1 << 20);
            let is_lost = |at: usize| lost >> (((offset + at) / SECTOR_BYTES) % 20) & 1 == 1;
            let with_zeroes =
                unsynced.iter().enumerate().map(|(at, &byte)| if is_lost(at) { 0 } else { byte });
            ("unsynced bytes zeroed", with_zeroes.collect())
        }
    }
}

fn dead() -> io::Error {
    io::Error::other("the power is gone")
}

/// An open file.
pub struct SimFile {
    disk: SimDisk,
    index: usize,
}

impl Storage for SimDisk {
    type File = SimFile;

    fn exists(&self, name: &str) -> io::Result<bool> {
        Ok(self.state().names.contains_key(name))
    }

    fn open(&mut self, name: &str) -> io::Result<SimFile> {
        let is_new = !self.state().names.contains_key(name);
        if self.is_dead() || is_new && self.state().power_fails_at("power failure in a create")? {
            return Err(dead());
        }
        self.state().inode(name);
        let index = self.state().names[name];
        Ok(SimFile { disk: self.clone(), index })
    }

    fn create(&mut self, name: &str) -> io::Result<SimFile> {
        if self.state().power_fails_at("power failure in a create")? {
            if self.state().was_done() {
                *self.state().inode(name) = Inode::default();
            }
            return Err(dead());
        }
        *self.state().inode(name) = Inode::default();
        self.open(name)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.power_fails_at("power failure in a rename")? && !state.was_done() {
            return Err(dead());
        }
        let index = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.into(), index);
        if state.is_dead { Err(dead()) } else { Ok(()) }
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.power_fails_at("power failure in a removal")? && !state.was_done() {
            return Err(dead());
        }
        state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        if state.is_dead { Err(dead()) } else { Ok(()) }
    }

    fn is_current(&self, name: &str, file: &SimFile) -> io::Result<bool> {
        Ok(self.state().names.get(name) == Some(&file.index))
    }
}

impl File for SimFile {
    fn state(&self) -> io::Result<FileState> {
        let state = self.disk.state();
        let length = state.inodes[self.index].bytes.len() as u64;
        Ok(FileState { length, is_linked: state.names.values().any(|&index| index == self.index) })
    }

    fn read_at(&self, bytes: &mut [u8], offset: Offset) -> io::Result<usize> {
        let mut state = self.disk.state();
        if state.is_dead {
            return Err(dead());
        }
        if state.is_interrupted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if state.read_fails {
            state.tally.count("failed read of a file");
            return Err(io::Error::other("the disk cannot be read"));
        }
        let rest = state.inodes[self.index].bytes.get(offset.bytes() as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        state.read_bytes += count;
        Ok(count)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        if state.power_fails_at("power failure in an append")? {
            let done = state.random.below(bytes.len() as u64 + 1) as usize;
            let inode = &mut state.inodes[self.index];
            inode.cut_off.clear();
            inode.bytes.extend_from_slice(&bytes[..done]);
            return Err(dead());
        }
        if state.is_interrupted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if state.is(state.full, self.index) {
            return Err(state.refuse(self.index, io::ErrorKind::QuotaExceeded, "full quota"));
        }
        let count =
            bytes.len().min(state.append_max.unwrap_or(usize::MAX)).min(state.room.unwrap_or(usize::MAX));
        if count == 0 {
            let (kind, what) = match state.refusal {
                Some(io::ErrorKind::FileTooLarge) => (io::ErrorKind::FileTooLarge, "too large a file"),
                _ => (io::ErrorKind::StorageFull, "full disk"),
            };
            return Err(state.refuse(self.index, kind, what));
        }
        if count < bytes.len() {
            state.tally.count("short append");
        }
        state.room = state.room.map(|room| room - count);
        state.done += 1;
        let done = state.done;
        let inode = &mut state.inodes[self.index];
        inode.cut_off.clear();
        inode.bytes.extend_from_slice(&bytes[..count]);
        (inode.appends, inode.last_append) = (inode.appends + 1, done);
        state.index();
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.power_fails_at("power failure in a sync")? {
            if state.was_done() {
                let inode = &mut state.inodes[self.index];
                inode.synced = inode.bytes.len();
                inode.cut_off.clear();
            }
            return Err(dead());
        }
        if state.sync_us > 0 {
            state.waited_us += state.sync_us;
            state.tally.count("slow sync");
        }
        if state.is(state.sync_fails, self.index) {
            state.tally.count("failed sync");
            return Err(io::Error::other("the disk lost what it had not written"));
        }
        state.done += 1;
        let done = state.done;
        let inode = &mut state.inodes[self.index];
        inode.synced = inode.bytes.len();
        inode.cut_off.clear();
        (inode.syncs, inode.last_sync) = (inode.syncs + 1, done);
        state.index();
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.power_fails_at("power failure in a truncate")? && !state.was_done() {
            return Err(dead());
        }
        if state.truncate_fails {
            state.tally.count("failed truncate");
            return Err(io::Error::other("the disk does not cut files"));
        }
        let inode = &mut state.inodes[self.index];
        inode.cuts += 1;
        let freed = inode.bytes.len() - length as usize;
        inode.cut_off = inode.bytes.split_off(length as usize);
        inode.synced = inode.synced.min(length as usize);
        state.room = state.room.map(|room| room + freed);
        state.index();
        if state.is_dead { Err(dead()) } else { Ok(()) }
    }
}
