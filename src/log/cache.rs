//! A file that may be lost: appended to without a sync, and rewritten from memory when it has grown.

use std::io;

use log::warn;

use crate::log::storage::{AppendError, AppendFile, File, Storage, SyncPolicy, rewrite};

/// A file that may be lost, open for appending.
#[derive(Debug)]
pub struct CacheFile<F> {
    file: AppendFile<F>,
    name: &'static str,
    /// What may happen if an append is lost, in words.
    loss: &'static str,
    /// Its length when it was last read or rewritten.
    compact_bytes: u64,
    /// Whether the last append failed, which is logged once.
    failing: bool,
    /// Whether a failed append could not be truncated: anything appended now would continue its line.
    torn: bool,
}

impl<F: File> CacheFile<F> {
    /// Takes over a file whose first `whole` bytes are good, and truncates the rest. This works even if the disk is
    /// full.
    ///
    /// # Errors
    /// The system's.
    pub fn new(name: &'static str, loss: &'static str, file: F, whole: u64) -> io::Result<CacheFile<F>> {
        let file = AppendFile::new(file, whole)?;
        Ok(CacheFile { file, name, loss, compact_bytes: whole, failing: false, torn: false })
    }

    /// Appends whole lines, and returns whether they are saved.
    pub fn append(&mut self, lines: &[u8]) -> bool {
        if lines.is_empty() {
            return true;
        }
        let cut = if self.torn { self.file.cut().map_err(AppendError::Fatal) } else { Ok(()) };
        let appended = cut.and_then(|()| self.file.append(lines, SyncPolicy::Never));
        self.torn = matches!(appended, Err(AppendError::Fatal(_)));
        match appended {
            Ok(()) => {
                self.failing = false;
                true
            }
            Err(AppendError::Refused(error) | AppendError::Fatal(error)) => {
                if !self.failing {
                    warn!("{}: not saved, so {}: {error}", self.name, self.loss);
                }
                self.failing = true;
                false
            }
        }
    }

    /// Returns whether the file has grown by `bytes` and to several times its compact size, and should be rewritten.
    /// Returns this once for each such growth, so that a rewrite that failed is not retried in every turn.
    pub fn note_growth(&mut self, bytes: u64) -> bool {
        let grown = self.file.committed();
        let is_large = grown >= self.compact_bytes + bytes && grown >= 4 * self.compact_bytes;
        if is_large {
            self.compact_bytes = grown;
        }
        is_large
    }

    /// Atomically replaces the file, which need not exist, by one of these lines. Returns `None`, and says why, if that
    /// fails.
    pub fn create<S: Storage<File = F>>(
        storage: &mut S,
        name: &'static str,
        loss: &'static str,
        lines: impl Iterator<Item = String>,
    ) -> Option<CacheFile<F>> {
        let created = rewrite(storage, name, lines).and_then(|()| {
            let file = storage.open(name)?;
            let length = file.len()?;
            CacheFile::new(name, loss, file, length)
        });
        created.inspect_err(|error| warn!("{name}: not rewritten: {error}")).ok()
    }

    /// Atomically replaces the file by one of these lines, or goes on with it as it is.
    pub fn rewrite<S: Storage<File = F>>(&mut self, storage: &mut S, lines: impl Iterator<Item = String>) {
        if let Some(file) = CacheFile::create(storage, self.name, self.loss, lines) {
            *self = file;
        }
    }
}
