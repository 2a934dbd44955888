//! `seen.txt`: how far each account has read.
//!
//! ```text
//! alice 2026-11-22T12:03:11.042317Z       the last line of a name counts; not synced
//! ```
//!
//! Losing a mark repeats messages and never hides any. So bad lines are ignored, and so is a mark that is later than
//! the last message of the log: the name's previous mark counts instead, if it has one.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::io;

use log::warn;

use crate::ids::AccountId;
use crate::limits::SEEN_COMPACT_BYTES;
use crate::log::cache::CacheFile;
use crate::log::offset::Offset;
use crate::log::recovery::{Damage, for_each_line};
use crate::log::storage::{File, Storage};
use crate::protocol::name::Name;
use crate::protocol::record::{TIMESTAMP_BYTES, Timestamp};
use crate::state::accounts::Accounts;
use crate::state::durable::State;
use crate::state::event::Event;

/// The file name of how far each account has read.
pub const SEEN_FILE: &str = "seen.txt";

/// How far each account has read: the last message that was delivered to any of its sessions.
#[derive(Debug, Default)]
struct Marks {
    /// By the accounts' numbers; those at the end that have no mark are left out.
    by_account: Vec<Timestamp>,
    /// Of names that have a mark and no account.
    others: HashMap<Name, Timestamp>,
}

impl Marks {
    fn of(&self, id: AccountId) -> Timestamp {
        self.by_account.get(id.0 as usize).copied().unwrap_or_default()
    }

    fn set(&mut self, id: AccountId, mark: Timestamp) {
        let index = id.0 as usize;
        if self.by_account.len() <= index {
            self.by_account.resize(index + 1, Timestamp::default());
        }
        self.by_account[index] = mark;
    }
}

/// `seen.txt`.
#[derive(Debug)]
pub struct SeenFile<F> {
    marks: Marks,
    file: CacheFile<F>,
}

impl<F: File> SeenFile<F> {
    /// Reads all marks for a log whose last message has the timestamp `last`. Names without an account are reserved.
    ///
    /// # Errors
    /// The system's.
    pub fn recover<S: Storage<File = F>>(
        storage: &mut S,
        state: &mut State,
        last: Timestamp,
    ) -> io::Result<SeenFile<F>> {
        let file = storage.open(SEEN_FILE)?;
        if last == Timestamp::default() && has_marks(&file)? {
            let why = "there are read marks in seen.txt, but no messages: is the disk with the log not mounted? Put \
                       chat_history.txt back, or begin a new history with `chinwagd --new-history --data DIR`";
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        let (mut lines, mut bad, mut late, mut whole) = (0_usize, 0, 0, Offset::START);
        let mut marks = Marks::default();
        marks.by_account.reserve_exact(state.accounts().len());
        for_each_line(&file, |offset, line| {
            lines += 1;
            if line.ends_with(b"\n") {
                whole = offset + line.len();
            }
            let Some((name, seen)) = parse_seen(line) else {
                bad += 1;
                return;
            };
            let is_late = seen > last;
            late += u64::from(is_late);
            match state.accounts().find(&name) {
                Some(_) if is_late => {}
                Some(id) => marks.set(id, seen),
                None => {
                    state.apply(&Event::Trace(name));
                    if !is_late {
                        marks.others.insert(name, seen);
                    }
                }
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
        let mut file = CacheFile::new(SEEN_FILE, "something may be shown again", file, whole.bytes())?;
        // A late mark must not take effect once the log has grown past it.
        if bad > 0 || late > 0 || (lines > 1000 && lines > 2 * state.accounts().len()) {
            file.rewrite(storage, lines_of(&marks, state.accounts()));
        }
        Ok(SeenFile { marks, file })
    }

    /// The last message that was delivered to any session of an account.
    pub fn mark(&self, id: AccountId) -> Timestamp {
        self.marks.of(id)
    }

    /// Notes how far an account has read. [`SeenFile::append`] saves it.
    pub fn set_mark(&mut self, id: AccountId, mark: Timestamp) {
        self.marks.set(id, mark);
    }

    /// Appends how far some accounts have read, and returns whether it is saved.
    pub fn append(&mut self, accounts: &Accounts, ids: impl Iterator<Item = AccountId>) -> bool {
        let mut batch = String::new();
        for id in ids {
            write_mark(&mut batch, &accounts[id].name, self.marks.of(id));
        }
        self.file.append(batch.as_bytes())
    }

    /// Rewrites the file if it has grown to several times its compact size.
    pub fn compact<S: Storage<File = F>>(&mut self, storage: &mut S, accounts: &Accounts) {
        if self.file.note_growth(SEEN_COMPACT_BYTES) {
            self.file.rewrite(storage, lines_of(&self.marks, accounts));
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

fn lines_of<'a>(marks: &'a Marks, accounts: &'a Accounts) -> impl Iterator<Item = String> + 'a {
    let of_accounts = accounts.iter().map(|(id, account)| (&account.name, marks.of(id)));
    // A mark reserves its name, so that one without an account stays.
    let others = marks.others.iter().map(|(name, seen)| (name, *seen));
    let all = of_accounts.chain(others).filter(|(_, seen)| *seen != Timestamp::default());
    all.map(|(name, seen)| {
        let mut line = String::new();
        write_mark(&mut line, name, seen);
        line
    })
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
    use crate::log::directory::Directory;
    use crate::state::users::UserRecord::Reserved;
    use std::fs;

    const LAST: Timestamp = Timestamp::from_micros(1000);

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn account(state: &mut State, text: &str) -> AccountId {
        state.apply(&Event::Account(Reserved { name: name(text), at: Timestamp::default() }));
        state.accounts().find(&name(text)).unwrap()
    }

    #[test]
    fn seen_is_the_last_line_of_a_name_and_a_bad_line_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::default();
        let (alice, bob) = (account(&mut state, "alice"), account(&mut state, "bob"));
        let stamp = |micros| Timestamp::from_micros(micros);
        let mut storage = Directory::open(directory.path()).unwrap();
        let mut file = SeenFile::recover(&mut storage, &mut state, LAST).unwrap();
        for micros in [1, 2, 3] {
            file.set_mark(alice, stamp(micros));
            file.set_mark(bob, stamp(10 * micros));
            file.append(state.accounts(), [alice, bob].into_iter());
        }
        let path = directory.path().join(SEEN_FILE);
        fs::write(&path, fs::read_to_string(&path).unwrap() + "carol 2026-11-22T12:03:11.042317Z\nbob 2026-")
            .unwrap();
        drop(file);
        let mut file = SeenFile::recover(&mut storage, &mut state, LAST).unwrap();
        assert_eq!((file.mark(alice), file.mark(bob)), (stamp(3), stamp(30)));
        file.append(state.accounts(), std::iter::once(alice));
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
        let mut state = State::default();
        let alice = account(&mut state, "alice");
        let mut file = SeenFile::recover(&mut storage, &mut state, LAST).unwrap();
        file.set_mark(alice, Timestamp::from_micros(1));
        let path = directory.path().join(SEEN_FILE);
        for _ in 0..SEEN_COMPACT_BYTES / 30_000 {
            file.append(state.accounts(), std::iter::repeat_n(alice, 1000));
            file.compact(&mut storage, state.accounts());
        }
        file.set_mark(alice, Timestamp::from_micros(2));
        file.append(state.accounts(), std::iter::once(alice));
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
