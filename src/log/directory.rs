//! The data directory on the real file system.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use log::warn;

use crate::log::offset::Offset;
use crate::log::storage::{File, FileState, Storage};

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
        is_regular(&lock_path)?;
        let lock = options().open(&lock_path).map_err(|error| naming(&lock_path, error))?;
        lock_file(&lock, path)?;
        // Absolute, so that an operator who reads the log knows which directory it is.
        let path = fs::canonicalize(path).map_err(|error| naming(path, error))?;
        Ok(Directory { path, _lock: lock })
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
        let is_new = !is_regular(&path)?;
        let file = options.open(&path).map_err(|error| naming(&path, error))?;
        if is_new {
            self.sync()?;
        }
        let metadata = file.metadata().map_err(|error| naming(&path, error))?;
        Ok(RealFile { file, identity: identity(&metadata) })
    }
}

/// The permission bits of a file or directory; `None` if there is none.
///
/// # Errors
/// Name the path.
pub fn mode_of(path: &Path) -> io::Result<Option<u32>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(naming(path, error)),
    }
}

/// Whether there is a file; an error if something else has the name, which may be a directory, or a pipe that would
/// be waited for, or a symbolic link to nothing, such as a disk that is not mounted.
fn is_regular(path: &Path) -> io::Result<bool> {
    let problem = |what: String| Err(naming(path, io::Error::new(io::ErrorKind::InvalidInput, what)));
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(metadata) if metadata.is_dir() => problem("is a directory, and should be a file".into()),
        Ok(_) => problem("is not a regular file".into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
            Ok(target) => problem(format!(
                "is a symbolic link to {}, which is not there; is a disk not mounted?",
                target.display()
            )),
            Err(_) => Ok(false),
        },
        Err(error) => Err(naming(path, error)),
    }
}

impl Storage for Directory {
    type File = RealFile;

    fn exists(&self, name: &str) -> io::Result<bool> {
        is_regular(&self.path.join(name))
    }

    /// The file is locked as well: who removes the lock of the directory cannot start a second server in it.
    fn open(&mut self, name: &str) -> io::Result<RealFile> {
        let file = self.open_with(name, &options())?;
        let path = self.path.join(name);
        lock_file(&file.file, &path)?;
        Ok(file)
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

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        fs::remove_file(&path).map_err(|error| naming(&path, error))
    }

    fn is_current(&self, name: &str, file: &RealFile) -> io::Result<bool> {
        let path = self.path.join(name);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(identity(&metadata) == file.identity),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(naming(&path, error)),
        }
    }
}

/// A file on the real file system.
#[derive(Debug)]
pub struct RealFile {
    file: fs::File,
    identity: (u64, u64),
}

impl RealFile {
    /// Opens a file to be read only; `None` if there is none.
    ///
    /// # Errors
    /// Name the path. It is an error that the name is that of a directory or a pipe.
    pub fn open_read_only(path: &Path) -> io::Result<Option<RealFile>> {
        if !is_regular(path)? {
            return Ok(None);
        }
        let file = fs::File::open(path).map_err(|error| naming(path, error))?;
        let metadata = file.metadata().map_err(|error| naming(path, error))?;
        Ok(Some(RealFile { file, identity: identity(&metadata) }))
    }
}

impl File for RealFile {
    fn state(&self) -> io::Result<FileState> {
        let metadata = self.file.metadata()?;
        Ok(FileState { length: metadata.len(), is_linked: has_name(&metadata) })
    }

    #[cfg(unix)]
    fn read_at(&self, bytes: &mut [u8], offset: Offset) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.file, bytes, offset.bytes())
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

#[cfg(unix)]
fn has_name(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) > 0
}

/// Device and inode: no two files have the same while both exist.
#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

fn lock_file(file: &fs::File, path: &Path) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(fs::TryLockError::WouldBlock) => {
            let what = format!("{}: in use by another chinwagd", path.display());
            Err(io::Error::new(io::ErrorKind::ResourceBusy, what))
        }
        Err(fs::TryLockError::Error(error)) => Err(naming(path, error)),
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
    fn a_file_that_cannot_be_looked_at_is_an_error_and_not_a_missing_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert!(!is_regular(&path).unwrap());
        fs::write(&path, "").unwrap();
        assert!(is_regular(&path).unwrap());
        let error = is_regular(&path.join("within")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }

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
    fn files_are_locked_themselves_and_known_by_more_than_their_name() {
        let parent = tempfile::tempdir().unwrap();
        let mut first = Directory::open(parent.path()).unwrap();
        let file = first.open("x").unwrap();
        fs::remove_file(parent.path().join("lock")).unwrap();
        let mut second = Directory::open(parent.path()).unwrap();
        let error = second.open("x").unwrap_err().to_string();
        assert!(error.contains("/x: in use by another chinwagd"), "{error}");
        assert!(first.is_current("x", &file).unwrap());
        first.rename("x", "y").unwrap();
        assert!(!first.is_current("x", &file).unwrap() && first.is_current("y", &file).unwrap());
        fs::write(parent.path().join("x"), "").unwrap();
        assert!(!first.is_current("x", &file).unwrap() && file.state().unwrap().is_linked);
        first.remove("y").unwrap();
        assert!(!first.is_current("y", &file).unwrap() && !file.state().unwrap().is_linked);
    }

    #[test]
    fn what_is_no_file_is_named_and_never_waited_for() {
        use std::os::unix::fs::symlink;
        let parent = tempfile::tempdir().unwrap();
        let mut directory = Directory::open(parent.path()).unwrap();
        let path = |name: &str| parent.path().join(name);
        fs::create_dir(path("folder")).unwrap();
        symlink("nowhere", path("link")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        for (name, what) in [("folder", "directory"), ("link", "nowhere"), ("pipe", "regular")] {
            for error in [
                directory.open(name).unwrap_err(),
                directory.exists(name).unwrap_err(),
                RealFile::open_read_only(&path(name)).unwrap_err(),
            ] {
                let error = error.to_string();
                assert!(error.contains(&format!("/{name}: ")) && error.contains(what), "{error}");
            }
        }
        assert!(!path("nowhere").exists());
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
}
