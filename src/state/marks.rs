//! `seen.txt`: how far each account has read.
//!
//! ```text
//! alice 2026-11-22T12:03:11.042317Z       the last line of a name counts; not synced
//! ```
//!
//! Losing a mark repeats messages and never hides any. So bad lines are ignored, and so is a mark that is later than
//! the last message of the log: the name's previous mark counts instead, if it has one.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;

use log::warn;

use crate::ids::AccountId;
use crate::limits::SEEN_COMPACT_BYTES;
use crate::log::recovery::{Damage, for_each_line};
use crate::log::storage::{AppendError, AppendFile, File, Storage, SyncPolicy, rewrite};
use crate::protocol::name::Name;
use crate::protocol::record::{TIMESTAMP_BYTES, Timestamp};
use crate::state::accounts::Accounts;

/// The file name of how far each account has read.
pub const SEEN_FILE: &str = "seen.txt";

/// `seen.txt`.
#[derive(Debug)]
pub struct SeenFile<F> {
    file: AppendFile<F>,
    /// Its length when it was last read or rewritten.
    compact_bytes: u64,
    /// Whether the last append failed, which is logged once.
    failing: bool,
    /// Whether a failed append could not be truncated: anything appended now would continue its line.
    torn: bool,
}

impl<F: File> SeenFile<F> {
    /// Reads all marks for a log whose last message has the timestamp `last`. Names without an account are reserved.
    ///
    /// # Errors
    /// The system's.
    pub fn recover<S: Storage<File = F>>(
        storage: &mut S,
        accounts: &mut Accounts,
        last: Timestamp,
    ) -> io::Result<SeenFile<F>> {
        let mut file = storage.open(SEEN_FILE)?;
        if last == Timestamp::default() && has_marks(&file)? {
            let why = "there are read marks in seen.txt, but no messages: is the disk with the log not mounted? Put \
                       chat_history.txt back, or begin a new history with `chinwagd --new-history --data DIR`";
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        // A torn end is truncated, which works even if the disk is full.
        let (mut lines, mut bad, mut late, mut whole) = (0_usize, 0, 0, 0);
        for_each_line(&file, |offset, line| {
            lines += 1;
            if line.ends_with(b"\n") {
                whole = offset + line.len() as u64;
            }
            let Some((name, seen)) = parse_seen(line) else {
                bad += 1;
                return;
            };
            let is_late = seen > last;
            late += u64::from(is_late);
            match accounts.find(&name) {
                Some(_) if is_late => {}
                Some(id) => accounts[id].seen = seen,
                None => accounts.reserve_marked(name, if is_late { Timestamp::default() } else { seen }),
            }
        })?;
        if bad > 0 {
            warn!("{SEEN_FILE}: {bad} bad lines left out; their accounts may be shown messages again");
        }
        if late > 0 {
            warn!(
                "{SEEN_FILE}: {late} marks are later than the last message of the log ({last}) and do not count; \
                 their accounts may be shown messages again"
            );
        }
        // A late mark must not take effect once the log has grown past it.
        if bad > 0 || late > 0 || (lines > 1000 && lines > 2 * accounts.len()) {
            match rewrite_seen(storage, accounts) {
                Ok(()) => {
                    file = storage.open(SEEN_FILE)?;
                    whole = file.len()?;
                }
                Err(error) => warn!("{SEEN_FILE}: not rewritten: {error}"),
            }
        }
        Ok(SeenFile {
            file: AppendFile::new(file, whole)?,
            compact_bytes: whole,
            failing: false,
            torn: false,
        })
    }

    /// Appends how far some accounts have read, and returns whether it is saved.
    pub fn append(&mut self, accounts: &Accounts, ids: impl Iterator<Item = AccountId>) -> bool {
        let mut batch = String::new();
        for id in ids {
            write_mark(&mut batch, &accounts[id].name, accounts[id].seen);
        }
        if batch.is_empty() {
            return true;
        }
        let cut = if self.torn { self.file.cut().map_err(AppendError::Fatal) } else { Ok(()) };
        let appended = cut.and_then(|()| self.file.append(batch.as_bytes(), SyncPolicy::Never));
        self.torn = matches!(appended, Err(AppendError::Fatal(_)));
        match appended {
            Ok(()) => {
                self.failing = false;
                true
            }
            Err(AppendError::Refused(error) | AppendError::Fatal(error)) => {
                if !self.failing {
                    warn!("{SEEN_FILE}: not saved, so something may be shown again: {error}");
                }
                self.failing = true;
                false
            }
        }
    }

    /// Rewrites the file if it has grown to several times its compact size.
    pub fn compact<S: Storage<File = F>>(&mut self, storage: &mut S, accounts: &Accounts) {
        let grown = self.file.committed();
        if grown < self.compact_bytes + SEEN_COMPACT_BYTES || grown < 4 * self.compact_bytes {
            return;
        }
        // Set even if the rewrite fails, so that it is not retried in every turn.
        self.compact_bytes = grown;
        let rewritten =
            rewrite_seen(storage, accounts).and_then(|()| storage.open(SEEN_FILE)).and_then(|file| {
                let length = file.len()?;
                AppendFile::new(file, length)
            });
        match rewritten {
            Ok(file) => {
                self.compact_bytes = file.committed();
                self.file = file;
                self.torn = false;
            }
            Err(error) => warn!("{SEEN_FILE}: not rewritten: {error}"),
        }
    }
}

/// Whether there is any mark, which implies that there were messages.
///
/// # Errors
/// The system's.
pub fn has_marks(file: &impl File) -> io::Result<bool> {
    let mut has_marks = false;
    for_each_line(file, |_, line| {
        has_marks |= parse_seen(line).is_some_and(|(_, seen)| seen > Timestamp::default());
    })?;
    Ok(has_marks)
}

fn rewrite_seen<S: Storage>(storage: &mut S, accounts: &Accounts) -> io::Result<()> {
    let marks = accounts.iter().map(|(_, account)| (&account.name, account.seen));
    let marks = marks.filter(|(_, seen)| *seen != Timestamp::default());
    // A mark reserves its name, so that one without an account stays.
    let lines = marks.chain(accounts.marked()).map(|(name, seen)| {
        let mut line = String::new();
        write_mark(&mut line, name, seen);
        line
    });
    rewrite(storage, SEEN_FILE, lines)
}

fn write_mark(text: &mut String, name: &Name, seen: Timestamp) {
    writeln!(text, "{name} {seen}").expect("writing to a string cannot fail");
}

fn parse_seen(line: &[u8]) -> Option<(Name, Timestamp)> {
    let line = line.strip_suffix(b"\n")?;
    let (name, timestamp) = line.split_at_checked(line.len().checked_sub(TIMESTAMP_BYTES)?)?;
    Some((Name::parse(name.strip_suffix(b" ")?)?, Timestamp::parse(timestamp)?))
}

/// Reads `seen.txt` whole and calls `damaged` for each bad line, each that is of none of `accounts`, and each that is
/// later than the last message of the log.
///
/// # Errors
/// The system's.
pub fn verify_marks(
    file: &impl File,
    accounts: Option<&Accounts>,
    last: Timestamp,
    mut damaged: impl FnMut(Damage),
) -> io::Result<()> {
    for_each_line(file, |offset, line| match parse_seen(line) {
        Some((name, _)) if accounts.is_some_and(|accounts| accounts.find(&name).is_none()) => {
            damaged(Damage { offset, what: "a mark of no account" });
        }
        Some((_, seen)) if seen > last => {
            damaged(Damage {
                offset,
                what: "a mark that is later than the last message, and does not count",
            });
        }
        Some(_) => {}
        None => damaged(Damage { offset, what: "a line that is no name and timestamp" }),
    })?;
    Ok(())
}

/// The names that have a mark.
///
/// # Errors
/// The system's.
pub fn mark_names(file: &impl File) -> io::Result<BTreeSet<Name>> {
    let mut names = BTreeSet::new();
    for_each_line(file, |_, line| names.extend(parse_seen(line).map(|(name, _)| name)))?;
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::credential::Credential;
    use crate::log::directory::Directory;
    use crate::state::users::UserRecord;
    use std::fs;

    const LAST: Timestamp = Timestamp::from_micros(1000);

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn account(accounts: &mut Accounts, text: &str) -> AccountId {
        let credential = Credential { rounds: 1, salt: [1; 16], key: [1; 32] };
        let registered = Timestamp::default();
        accounts.apply(&UserRecord::Credential { name: name(text), credential, registered })
    }

    #[test]
    fn seen_is_the_last_line_of_a_name_and_a_bad_line_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let mut accounts = Accounts::default();
        let (alice, bob) = (account(&mut accounts, "alice"), account(&mut accounts, "bob"));
        let stamp = |micros| Timestamp::from_micros(micros);
        let mut storage = Directory::open(directory.path()).unwrap();
        let mut file = SeenFile::recover(&mut storage, &mut accounts, LAST).unwrap();
        for micros in [1, 2, 3] {
            accounts[alice].seen = stamp(micros);
            accounts[bob].seen = stamp(10 * micros);
            file.append(&accounts, [alice, bob].into_iter());
        }
        let path = directory.path().join(SEEN_FILE);
        fs::write(&path, fs::read_to_string(&path).unwrap() + "carol 2026-11-22T12:03:11.042317Z\nbob 2026-")
            .unwrap();
        (accounts[alice].seen, accounts[bob].seen) = (stamp(0), stamp(0));
        drop(file);
        let mut file = SeenFile::recover(&mut storage, &mut accounts, LAST).unwrap();
        assert_eq!((accounts[alice].seen, accounts[bob].seen), (stamp(3), stamp(30)));
        file.append(&accounts, std::iter::once(alice));
        let text = format!("alice {0}\nbob {1}\nalice {0}\n", stamp(3), stamp(30));
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            text,
            "rewritten without the bad line, then appended to"
        );
    }

    #[test]
    fn a_seen_file_that_has_grown_is_rewritten_while_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let mut storage = Directory::open(directory.path()).unwrap();
        let mut accounts = Accounts::default();
        let alice = account(&mut accounts, "alice");
        accounts[alice].seen = Timestamp::from_micros(1);
        let mut file = SeenFile::recover(&mut storage, &mut accounts, LAST).unwrap();
        let path = directory.path().join(SEEN_FILE);
        for _ in 0..SEEN_COMPACT_BYTES / 30_000 {
            file.append(&accounts, std::iter::repeat_n(alice, 1000));
            file.compact(&mut storage, &accounts);
        }
        accounts[alice].seen = Timestamp::from_micros(2);
        file.append(&accounts, std::iter::once(alice));
        let length = fs::metadata(&path).unwrap().len();
        assert!(length < SEEN_COMPACT_BYTES, "{length}");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.split_inclusive('\n').all(|line| parse_seen(line.as_bytes()).is_some()));
        assert!(
            text.ends_with(&format!("alice {}\n", Timestamp::from_micros(2))),
            "it goes on in the new one"
        );
    }
}
