//! A disk that remembers what was synced, and can be full, broken, or cut off from its power.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use chinwag::storage::{File, Storage};

pub const LOG: &str = "chat_history.txt";
pub const USERS: &str = "users.txt";
pub const SEEN: &str = "seen.txt";

/// The files, and what is wrong with them at the moment. A fault named after a file is of that file only.
#[derive(Default)]
pub struct Disk {
    names: BTreeMap<String, usize>,
    inodes: Vec<Inode>,
    /// Bytes that all files together may still grow by, where there is an end to that.
    pub room: Option<usize>,
    /// The file that takes nothing: it is over its quota.
    pub full: Option<&'static str>,
    /// The most that one append takes.
    pub append_max: Option<usize>,
    /// The file whose sync fails.
    pub sync_fails: Option<&'static str>,
    pub truncate_fails: bool,
    pub read_fails: bool,
    /// Whether messages may be shown that are written and not synced.
    pub shows_unsynced: bool,
    /// Where in the log each message begins that may be shown, by its timestamp.
    shown: Vec<(Vec<u8>, usize)>,
    indexed: usize,
}

#[derive(Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    /// So many of the first bytes would survive a power loss.
    synced: usize,
    appends: usize,
    syncs: usize,
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

    /// Whether `line`, or the beginning of one, is one that may be shown.
    pub fn may_show(&self, line: &[u8]) -> bool {
        let stamp = &line[..line.len().min(27)];
        let at = self.shown.partition_point(|(shown, _)| shown.as_slice() < stamp);
        let Some((_, start)) = self.shown.get(at) else { return false };
        self.inodes[self.names[LOG]].bytes[*start..].starts_with(line)
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

    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.state().inode(name).bytes).into_owned()
    }

    /// Puts a file there, as it would be after a clean shutdown.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        *self.state().inode(name) = Inode { bytes: bytes.to_vec(), synced: bytes.len(), ..Inode::default() };
        self.state().index();
    }

    /// How often a file was appended to, and synced.
    pub fn counts(&self, name: &str) -> (usize, usize) {
        let mut state = self.state();
        let inode = state.inode(name);
        (inode.appends, inode.syncs)
    }

    pub fn unsynced(&self, name: &str) -> usize {
        let mut state = self.state();
        let inode = state.inode(name);
        inode.bytes.len() - inode.synced
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

/// An open file.
pub struct SimFile {
    disk: SimDisk,
    index: usize,
}

impl Storage for SimDisk {
    type File = SimFile;

    fn open(&mut self, name: &str) -> io::Result<SimFile> {
        self.state().inode(name);
        let index = self.state().names[name];
        Ok(SimFile { disk: self.clone(), index })
    }

    fn create(&mut self, name: &str) -> io::Result<SimFile> {
        *self.state().inode(name) = Inode::default();
        self.open(name)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let index = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.into(), index);
        Ok(())
    }
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.index].bytes.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        if state.read_fails {
            return Err(io::Error::other("the disk cannot be read"));
        }
        let rest = state.inodes[self.index].bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        if state.is(state.full, self.index) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let count =
            bytes.len().min(state.append_max.unwrap_or(usize::MAX)).min(state.room.unwrap_or(usize::MAX));
        if count == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.room = state.room.map(|room| room - count);
        let inode = &mut state.inodes[self.index];
        inode.bytes.extend_from_slice(&bytes[..count]);
        inode.appends += 1;
        state.index();
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.is(state.sync_fails, self.index) {
            return Err(io::Error::other("the disk lost what it had not written"));
        }
        let inode = &mut state.inodes[self.index];
        inode.synced = inode.bytes.len();
        inode.syncs += 1;
        state.index();
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.truncate_fails {
            return Err(io::Error::other("the disk does not cut files"));
        }
        let inode = &mut state.inodes[self.index];
        let freed = inode.bytes.len() - length as usize;
        inode.bytes.truncate(length as usize);
        inode.synced = inode.synced.min(length as usize);
        state.room = state.room.map(|room| room + freed);
        state.index();
        Ok(())
    }
}
