//! The files of a data directory: a small trait over a directory and a file, and the all-or-nothing append that
//! everything durable is made of.

use std::cmp::Ordering;
use std::io;

use log::warn;

use crate::log::offset::Offset;

/// A data directory. The names are plain file names in it.
pub trait Storage {
    /// A file of it.
    type File: File;
    /// Whether there is a file of that name.
    ///
    /// # Errors
    /// Name the path.
    fn exists(&self, name: &str) -> io::Result<bool>;
    /// Opens a file, and makes it where it is missing, so that it is there after a crash too.
    ///
    /// # Errors
    /// Name the path.
    fn open(&mut self, name: &str) -> io::Result<Self::File>;
    /// Opens a file emptied, or new.
    ///
    /// # Errors
    /// Name the path.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;
    /// Puts the file `from` in the place of the file `to`, for good once it returns.
    ///
    /// # Errors
    /// Name the path.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. After a crash it may be there again.
    ///
    /// # Errors
    /// Name the path.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Whether `file` is still the file of that name: it was not removed, renamed or replaced since it was opened.
    ///
    /// # Errors
    /// Name the path.
    fn is_current(&self, name: &str, file: &Self::File) -> io::Result<bool>;
}

/// What the system says of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Its length in bytes.
    pub length: u64,
    /// Whether it still has a name in some directory.
    pub is_linked: bool,
}

/// A file that only grows, or is cut off at its end.
pub trait File {
    /// Its length, and whether it still has a name.
    ///
    /// # Errors
    /// The system's.
    fn state(&self) -> io::Result<FileState>;
    /// Its length in bytes.
    ///
    /// # Errors
    /// Those of [`File::state`].
    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.length)
    }
    /// Reads at an offset; less than asked for where the file ends, or a signal came.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, bytes: &mut [u8], offset: Offset) -> io::Result<usize>;
    /// Writes at the end; returns how many of the first bytes were written.
    ///
    /// # Errors
    /// The system's.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Returns once all that was appended would survive a power loss.
    ///
    /// # Errors
    /// The system's. What was appended since the last success may be lost then, and must not be tried again: the
    /// kernel may have dropped the pages (Rebello et al., "Can Applications Recover from fsync Failures?", 2020).
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file off.
    ///
    /// # Errors
    /// The system's.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Whether there is nothing in it.
    ///
    /// # Errors
    /// Those of [`File::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Opens a file, unless there is none.
///
/// # Errors
/// Those of the storage.
pub fn open_if_there<S: Storage>(storage: &mut S, name: &str) -> io::Result<Option<S::File>> {
    if storage.exists(name)? { storage.open(name).map(Some) } else { Ok(None) }
}

/// Reads as much at `offset` as there is, up to all of `bytes`; returns how much.
///
/// # Errors
/// Those of [`File::read_at`].
pub fn read_full(file: &impl File, bytes: &mut [u8], offset: Offset) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], offset + read) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Appends all of `bytes`, in as many steps as it takes.
///
/// # Errors
/// Those of [`File::append`]. Some of the bytes may be in the file then.
pub fn append_all(file: &mut impl File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.append(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What could not be appended, and what it means.
#[derive(Debug)]
pub enum AppendError {
    /// Nothing of it is in the file; what was there before is. It can be tried again.
    Refused(io::Error),
    /// Nobody knows what is in the file. The process must end.
    Fatal(io::Error),
}

/// When what was appended is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before it is shown to anyone.
    Always,
    /// Within a second.
    Second,
    /// When the system likes to.
    Never,
}

/// A file to which whole batches are appended: all of one, or nothing.
#[derive(Debug)]
pub struct AppendFile<F> {
    file: F,
    /// Up to here the file holds whole batches. Behind it nothing is, or nothing that counts.
    committed: u64,
    /// Whether something committed was not synced yet.
    unsynced: bool,
    /// What has to be appended before the next batch, because the file ends within a line.
    ending: &'static [u8],
    /// Whether the file was found to be removed, renamed, replaced or truncated by somebody else: what is appended to
    /// it is lost.
    is_lost: bool,
}

impl<F: File> AppendFile<F> {
    /// Takes over a file whose contents are whole up to `committed`, and cuts off what is behind.
    ///
    /// # Errors
    /// That the file is shorter than that, or the system's.
    pub fn new(mut file: F, committed: u64) -> io::Result<AppendFile<F>> {
        match file.len()?.cmp(&committed) {
            Ordering::Less => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ordering::Equal => {}
            Ordering::Greater => file.truncate(committed)?,
        }
        // What is there may be in the page cache only, where a server was killed before its sync.
        file.sync()?;
        Ok(AppendFile { file, committed, unsynced: false, ending: b"", is_lost: false })
    }

    /// Takes over a file of `length` bytes that ends within a line, and ends that with `ending`: at once, or before
    /// the next batch if there is no room now.
    ///
    /// # Errors
    /// The system's, apart from a full disk.
    pub fn unended(file: F, length: u64, ending: &'static [u8]) -> io::Result<AppendFile<F>> {
        let mut file = AppendFile { ending, ..AppendFile::new(file, length)? };
        match file.end_line() {
            Ok(()) => file.file.sync()?,
            Err(_) => file.cut()?,
        }
        Ok(file)
    }

    fn end_line(&mut self) -> io::Result<()> {
        append_all(&mut self.file, self.ending)?;
        self.committed += self.ending.len() as u64;
        self.ending = b"";
        Ok(())
    }

    /// How much of the file counts.
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// The file, for reading.
    pub fn file(&self) -> &F {
        &self.file
    }

    /// Whether something was appended since the last sync.
    pub fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// Appends a batch, and syncs it where `sync` is [`SyncPolicy::Always`].
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append(&mut self, batch: &[u8], sync: SyncPolicy) -> Result<(), AppendError> {
        if self.is_lost {
            return Err(AppendError::Refused(lost()));
        }
        if let Err(error) = self.end_line().and_then(|()| append_all(&mut self.file, batch)) {
            self.cut().map_err(AppendError::Fatal)?;
            if sync == SyncPolicy::Always {
                // Who is told that it was refused says it again: after a power failure it must not be there twice.
                self.file.sync().map_err(AppendError::Fatal)?;
            }
            return Err(AppendError::Refused(error));
        }
        let state = self.file.state().map_err(AppendError::Fatal)?;
        let expected = self.committed + batch.len() as u64;
        if state != (FileState { length: expected, is_linked: true }) {
            self.is_lost = true;
            // Whoever is told that it was refused says it again: it must not be there, neither in a file that was
            // truncated nor behind what somebody else wrote.
            let kept = Offset::after(state.length).back(batch.len());
            let mut end = vec![0; batch.len()];
            let read = read_full(&self.file, &mut end, kept).map_err(AppendError::Fatal)?;
            if &end[..read] == batch {
                self.file
                    .truncate(kept.bytes())
                    .and_then(|()| self.file.sync())
                    .map_err(AppendError::Fatal)?;
            }
            return Err(AppendError::Refused(lost()));
        }
        self.unsynced = true;
        if sync == SyncPolicy::Always
            && let Err(error) = self.sync()
        {
            // The system may have it in memory only and take it for synced from now on, and the next start with it.
            let _ = self.cut();
            return Err(AppendError::Fatal(error));
        }
        self.committed += batch.len() as u64;
        Ok(())
    }

    /// Looks whether the file is still the one of that name, and refuses all appends if it is not. Returns whether
    /// that is news.
    ///
    /// # Errors
    /// Those of [`Storage::is_current`].
    pub fn look<S: Storage<File = F>>(&mut self, storage: &S, name: &str) -> io::Result<bool> {
        let is_news = !self.is_lost && !storage.is_current(name, &self.file)?;
        self.is_lost |= is_news;
        Ok(is_news)
    }

    /// Writes the file again under its name if no file has that name any more: it was removed or moved away, but as
    /// long as it is open, everything in it can be read. Returns whether it did.
    ///
    /// # Errors
    /// The system's.
    pub fn restore<S: Storage<File = F>>(&self, storage: &mut S, name: &str) -> io::Result<bool> {
        let is_missing = !storage.exists(name)?;
        if is_missing {
            copy_to_new(storage, &self.file, Offset::START, name)?;
        }
        Ok(is_missing)
    }

    /// Syncs what was appended before.
    ///
    /// # Errors
    /// The system's; the process must end then.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file.sync()?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Cuts off what is behind the last whole batch: the rest of one that failed.
    ///
    /// # Errors
    /// The system's.
    pub fn cut(&mut self) -> io::Result<()> {
        self.file.truncate(self.committed)
    }
}

/// Why nothing is appended to a file any more.
fn lost() -> io::Error {
    let why = "the file was removed, renamed, replaced or truncated while the server used it; put it back and restart \
               chinwagd";
    io::Error::new(io::ErrorKind::StaleNetworkFileHandle, why)
}

/// Moves what is behind `whole` in `file` to a new file named after both. Nothing is lost by that which anyone was
/// ever shown. If there is no room for the new file, nothing changes: returns whether the bytes were moved.
///
/// # Errors
/// That the file cannot be cut off or synced: then nobody knows what is on the disk.
pub fn set_aside<S: Storage>(
    storage: &mut S,
    file: &mut S::File,
    name: &str,
    whole: Offset,
) -> io::Result<bool> {
    let torn = whole.bytes_to(Offset::after(file.len()?));
    match copy_to_new(storage, file, whole, &format!("{name}.torn-at-{whole}")) {
        Ok(aside) => {
            file.truncate(whole.bytes())?;
            file.sync()?;
            warn!("{name}: {torn} torn bytes at offset {whole} set aside in {aside}");
            Ok(true)
        }
        Err(error) => {
            warn!("{name}: {torn} torn bytes at offset {whole} stay there: {error}");
            Ok(false)
        }
    }
}

/// Copies a file from an offset on to a new one, which is called `name`, or `name.1`, `name.2`, ... if there is
/// such a file already; returns the name.
///
/// # Errors
/// Those of the storage. Then there is no new file.
pub fn copy_to_new<S: Storage>(
    storage: &mut S,
    from: &S::File,
    offset: Offset,
    name: &str,
) -> io::Result<String> {
    let name = unused_name(storage, name)?;
    let copied = copy(storage, from, offset, &name);
    if copied.is_err() {
        let _ = storage.remove(&name);
    }
    copied.map(|()| name)
}

fn copy<S: Storage>(storage: &mut S, from: &S::File, mut offset: Offset, name: &str) -> io::Result<()> {
    let mut to = storage.create(name)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = read_full(from, &mut buffer, offset)?;
        if count == 0 {
            return to.sync();
        }
        append_all(&mut to, &buffer[..count])
            .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
        offset += count;
    }
}

/// `name`, or `name.1`, `name.2`, ..., whichever is the first that no file has.
///
/// # Errors
/// Those of [`Storage::exists`].
pub fn unused_name<S: Storage>(storage: &S, name: &str) -> io::Result<String> {
    let (mut unused, mut number) = (name.to_owned(), 0);
    while storage.exists(&unused)? {
        number += 1;
        unused = format!("{name}.{number}");
    }
    Ok(unused)
}

/// Atomically replaces a file by one of these lines.
///
/// # Errors
/// Those of the storage. Unless the last step, the renaming, failed, the file is as it was.
pub fn rewrite<S: Storage>(
    storage: &mut S,
    name: &str,
    lines: impl Iterator<Item = String>,
) -> io::Result<()> {
    let temporary_name = format!("{name}.new");
    let mut file = storage.create(&temporary_name)?;
    let mut buffer = String::new();
    for line in lines {
        buffer.push_str(&line);
        if buffer.len() >= 64 << 10 {
            append_all(&mut file, buffer.as_bytes())?;
            buffer.clear();
        }
    }
    append_all(&mut file, buffer.as_bytes())?;
    file.sync()?;
    storage.rename(&temporary_name, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    /// A directory in memory, with room for so many more bytes.
    #[derive(Clone, Default)]
    struct Memory(Rc<RefCell<Contents>>);

    type Contents = (BTreeMap<String, Vec<u8>>, usize);

    struct MemoryFile(Memory, String);

    impl Storage for Memory {
        type File = MemoryFile;

        fn exists(&self, name: &str) -> io::Result<bool> {
            Ok(self.0.borrow().0.contains_key(name))
        }

        fn open(&mut self, name: &str) -> io::Result<MemoryFile> {
            self.0.borrow_mut().0.entry(name.to_owned()).or_default();
            Ok(MemoryFile(self.clone(), name.to_owned()))
        }

        fn create(&mut self, name: &str) -> io::Result<MemoryFile> {
            self.0.borrow_mut().0.insert(name.to_owned(), Vec::new());
            self.open(name)
        }

        fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
            let bytes = self.0.borrow_mut().0.remove(from).ok_or(io::ErrorKind::NotFound)?;
            self.0.borrow_mut().0.insert(to.to_owned(), bytes);
            Ok(())
        }

        fn remove(&mut self, name: &str) -> io::Result<()> {
            self.0.borrow_mut().0.remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
        }

        fn is_current(&self, _: &str, _: &MemoryFile) -> io::Result<bool> {
            Ok(true)
        }
    }

    impl File for MemoryFile {
        fn state(&self) -> io::Result<FileState> {
            Ok(FileState { length: self.0.0.borrow().0[&self.1].len() as u64, is_linked: true })
        }

        fn read_at(&self, bytes: &mut [u8], offset: Offset) -> io::Result<usize> {
            let memory = self.0.0.borrow();
            let rest = &memory.0[&self.1][offset.bytes() as usize..];
            let count = rest.len().min(bytes.len());
            bytes[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }

        fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut memory = self.0.0.borrow_mut();
            let count = bytes.len().min(memory.1);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            memory.1 -= count;
            memory.0.get_mut(&self.1).expect("it is open").extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn truncate(&mut self, length: u64) -> io::Result<()> {
            self.0.0.borrow_mut().0.get_mut(&self.1).expect("it is open").truncate(length as usize);
            Ok(())
        }
    }

    fn memory(room: usize, bytes: &[u8]) -> (Memory, MemoryFile) {
        let mut memory = Memory::default();
        let file = memory.open("log").unwrap();
        memory.0.borrow_mut().0.insert("log".into(), bytes.to_vec());
        memory.0.borrow_mut().1 = room;
        (memory, file)
    }

    fn contents(memory: &Memory, name: &str) -> String {
        String::from_utf8(memory.0.borrow().0[name].clone()).unwrap()
    }

    #[test]
    fn appends_to_a_file_that_somebody_truncated_are_refused_and_leave_nothing() {
        let (storage, file) = memory(100, b"one\ntwo\n");
        let mut file = AppendFile::new(file, 8).unwrap();
        file.append(b"three\n", SyncPolicy::Always).unwrap();
        storage.0.borrow_mut().0.insert("log".into(), b"one\n".to_vec());
        for _ in 0..2 {
            assert!(matches!(file.append(b"four\n", SyncPolicy::Always), Err(AppendError::Refused(_))));
            assert_eq!(contents(&storage, "log"), "one\n");
        }
    }

    #[test]
    fn appends_to_a_file_that_somebody_wrote_to_are_refused_and_leave_nothing() {
        for foreign in ["foreign\n", "torn", "\0\0\0"] {
            let (storage, file) = memory(100, b"one\ntwo\n");
            let mut file = AppendFile::new(file, 8).unwrap();
            let changed = format!("one\ntwo\n{foreign}");
            storage.0.borrow_mut().0.insert("log".into(), changed.clone().into_bytes());
            for _ in 0..2 {
                assert!(matches!(file.append(b"three\n", SyncPolicy::Always), Err(AppendError::Refused(_))));
                assert_eq!(contents(&storage, "log"), changed);
            }
        }
    }

    #[test]
    fn torn_bytes_are_kept_beside_the_file_under_a_new_name_each_time() {
        let (mut storage, mut file) = memory(100, b"");
        for (torn, name) in [("bad", "log.torn-at-5"), ("worse", "log.torn-at-5.1"), ("", "log.torn-at-5.2")]
        {
            storage.0.borrow_mut().0.insert("log".into(), format!("good\n{torn}").into_bytes());
            assert!(set_aside(&mut storage, &mut file, "log", Offset::after(5)).unwrap());
            assert_eq!(
                (contents(&storage, "log").as_str(), contents(&storage, name).as_str()),
                ("good\n", torn)
            );
        }
    }

    #[test]
    fn a_file_that_is_too_short_is_refused_and_not_filled_up() {
        let (storage, file) = memory(100, b"one\n");
        let error = AppendFile::new(file, 8).err().expect("it is refused");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(contents(&storage, "log"), "one\n");
    }

    #[test]
    fn torn_bytes_stay_if_there_is_no_room_and_the_next_batch_starts_with_an_ending() {
        let (mut storage, mut file) = memory(2, b"good\nbad");
        assert!(!set_aside(&mut storage, &mut file, "log", Offset::after(5)).unwrap());
        assert!(!storage.exists("log.torn-at-5").unwrap(), "no part of it is left");
        storage.0.borrow_mut().1 = 0;
        let mut file = AppendFile::unended(file, 8, b"\n").unwrap();
        assert!(matches!(file.append(b"one\n", SyncPolicy::Always), Err(AppendError::Refused(_))));
        storage.0.borrow_mut().1 = 3;
        assert!(matches!(file.append(b"two\n", SyncPolicy::Always), Err(AppendError::Refused(_))));
        storage.0.borrow_mut().1 = 100;
        file.append(b"three\n", SyncPolicy::Always).unwrap();
        assert_eq!(contents(&storage, "log"), "good\nbad\nthree\n");
        assert_eq!(file.committed(), 15);
    }
}
