//! The files of a data directory: a small trait over a directory and a file, their real ones, and the
//! all-or-nothing append that everything durable is made of.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use log::warn;

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
}

/// A file that only grows, or is cut off at its end.
pub trait File {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The system's.
    fn len(&self) -> io::Result<u64>;
    /// Reads at an offset; less than asked for where the file ends, or a signal came.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
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

/// Reads as much at `offset` as there is, up to all of `bytes`; returns how much.
///
/// # Errors
/// Those of [`File::read_at`].
pub fn read_full(file: &impl File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], offset + read as u64) {
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
}

impl<F: File> AppendFile<F> {
    /// Takes over a file whose contents are whole up to `committed`, and cuts off what is behind.
    ///
    /// # Errors
    /// The system's.
    pub fn new(mut file: F, committed: u64) -> io::Result<AppendFile<F>> {
        if file.len()? != committed {
            file.truncate(committed)?;
        }
        // What is there may be in the page cache only, where a server was killed before its sync.
        file.sync()?;
        Ok(AppendFile { file, committed, unsynced: false })
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
        if let Err(error) = append_all(&mut self.file, batch) {
            self.cut().map_err(AppendError::Fatal)?;
            if sync == SyncPolicy::Always {
                // Who is told that it was refused says it again: after a power failure it must not be there twice.
                self.file.sync().map_err(AppendError::Fatal)?;
            }
            return Err(AppendError::Refused(error));
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

/// Moves what is behind `length` in `file` to a new file named after both, and cuts it off. Nothing is lost by
/// that which anyone was ever shown.
///
/// # Errors
/// Those of the storage.
pub fn set_aside<S: Storage>(
    storage: &mut S,
    file: &mut S::File,
    name: &str,
    length: u64,
) -> io::Result<String> {
    let aside_name = format!("{name}.torn-at-{length}");
    let mut aside = storage.create(&aside_name)?;
    let mut buffer = vec![0; 64 << 10];
    let mut offset = length;
    loop {
        let count = read_full(file, &mut buffer, offset)?;
        if count == 0 {
            break;
        }
        append_all(&mut aside, &buffer[..count]).map_err(|error| naming(aside_name.as_ref(), error))?;
        offset += count as u64;
    }
    aside.sync()?;
    file.truncate(length)?;
    file.sync()?;
    warn!("{name}: {} torn bytes at offset {length} set aside in {aside_name}", offset - length);
    Ok(aside_name)
}

/// A data directory on the real file system, held against a second server while this value lives.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Holds the lock.
    _lock: fs::File,
}

impl Directory {
    /// Opens a directory, makes it (0700) where it is missing, and locks it.
    ///
    /// # Errors
    /// In words that name the path.
    pub fn open(path: &Path) -> io::Result<Directory> {
        make_directory(path).map_err(|error| naming(path, error))?;
        #[cfg(unix)]
        if let Ok(metadata) = fs::metadata(path)
            && let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
            && mode & 0o077 != 0
        {
            warn!("{}: others can enter it, its mode is {mode:o}; chmod 700 keeps them out", path.display());
        }
        let lock_path = path.join("lock");
        let lock = options().open(&lock_path).map_err(|error| naming(&lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Directory { path: path.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("{}: in use by another chinwagd", path.display()),
            )),
            Err(fs::TryLockError::Error(error)) => Err(naming(&lock_path, error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that a file which was made or renamed in it is there after a crash.
    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.path)
            .and_then(|handle| handle.sync_all())
            .map_err(|error| naming(&self.path, error))
    }

    fn open_with(&mut self, name: &str, options: &fs::OpenOptions) -> io::Result<RealFile> {
        let path = self.path.join(name);
        let is_new = !self.exists(name)?;
        let file = options.open(&path).map_err(|error| naming(&path, error))?;
        // A directory can be opened on some systems, and a device or a pipe is no place for a history.
        if !file.metadata().map_err(|error| naming(&path, error))?.is_file() {
            return Err(naming(&path, io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        if is_new {
            self.sync()?;
        }
        Ok(RealFile { file })
    }
}

impl Storage for Directory {
    type File = RealFile;

    fn exists(&self, name: &str) -> io::Result<bool> {
        let path = self.path.join(name);
        path.try_exists().map_err(|error| naming(&path, error))
    }

    fn open(&mut self, name: &str) -> io::Result<RealFile> {
        self.open_with(name, &options())
    }

    fn create(&mut self, name: &str) -> io::Result<RealFile> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        owner_only(&mut options);
        self.open_with(name, &options)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let to = self.path.join(to);
        fs::rename(self.path.join(from), &to).map_err(|error| naming(&to, error))?;
        self.sync()
    }
}

/// A file on the real file system.
#[derive(Debug)]
pub struct RealFile {
    file: fs::File,
}

impl RealFile {
    /// Opens a file to be read only; `None` where there is none.
    ///
    /// # Errors
    /// Name the path.
    pub fn open_read_only(path: &Path) -> io::Result<Option<RealFile>> {
        match fs::File::open(path) {
            Ok(file) => Ok(Some(RealFile { file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(naming(path, error)),
        }
    }
}

impl File for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.file, bytes, offset)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

fn options() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    owner_only(&mut options);
    options
}

fn owner_only(options: &mut fs::OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
}

/// Makes a directory and those above it that are missing, each one there after a crash too.
fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if path.try_exists()? {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_directory(parent)?;
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    fs::File::open(parent)?.sync_all()
}

fn naming(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_by_one_and_private_to_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let mut directory = Directory::open(&path).unwrap();
        directory.open("x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("x")), 0o600);
        assert_eq!(mode(&path.join("lock")), 0o600);
        let second = Directory::open(&path).unwrap_err().to_string();
        assert!(second.contains("in use by another chinwagd") && second.contains("a/b"), "{second}");
        drop(directory);
        Directory::open(&path).unwrap();
    }

    #[test]
    fn errors_name_the_path() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("file"), "").unwrap();
        let error = Directory::open(&parent.path().join("file")).unwrap_err().to_string();
        assert!(error.contains("/file"), "{error}");
        fs::create_dir_all(parent.path().join("data/chat_history.txt")).unwrap();
        let mut directory = Directory::open(&parent.path().join("data")).unwrap();
        let error = directory.open("chat_history.txt").unwrap_err().to_string();
        assert!(error.contains("chat_history.txt"), "{error}");
    }

    #[test]
    fn what_is_set_aside_is_kept_beside_the_file() {
        let parent = tempfile::tempdir().unwrap();
        let mut directory = Directory::open(parent.path()).unwrap();
        let mut file = directory.open("log").unwrap();
        file.append(b"good\nbad").unwrap();
        let aside = set_aside(&mut directory, &mut file, "log", 5).unwrap();
        assert_eq!(fs::read(parent.path().join("log")).unwrap(), b"good\n");
        assert_eq!(fs::read(parent.path().join(aside)).unwrap(), b"bad");
        file.append(b"more\n").unwrap();
        assert_eq!(fs::read(parent.path().join("log")).unwrap(), b"good\nmore\n");
    }
}
