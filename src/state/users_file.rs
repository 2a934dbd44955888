//! `users.txt`: read at startup, and appended to in every turn that changes an account.
//!
//! The checksum chain (see [`crate::state::users`]) decides what counts. At startup:
//!
//! - Each line has to verify. A line that does not is damage, unless it is torn (see [`crate::log::recovery`]): torn
//!   bytes at the end are moved to a file of their own. If there is no room for that, they stay, and the next
//!   append starts with a newline. The chain skips them, which proves that no line was lost there.
//! - A last line that lacks only its newline is complete if its CHECK is right.
//! - A file of version 0.1 has no checksums. It is replaced by one that does, and kept as `users.txt.0.1`.
//! - Everything that the mark in `state.txt` covers has to be there (see [`crate::state::checkpoint`]).

mod agreement;
mod unchecked;

use std::io;
use std::ops::ControlFlow;

use log::{info, warn};

use self::unchecked::{recover_unchecked, sum_of};
use crate::limits::{USERS_APPEND_BYTES_MAX, USERS_COMPACT_LINES};
use crate::log::mark::Disagreement;
use crate::log::offset::Offset;
use crate::log::recovery::{Damage, RecoverError, for_each_line, has_unwritten_sectors, try_each_line};
use crate::log::storage::{
    AppendError, AppendFile, File, Storage, SyncPolicy, copy_to_new, open_if_there, rewrite, set_aside,
};
use crate::protocol::name::Name;
use crate::state::checkpoint::{UsersMark, forget};
use crate::state::durable::State;
use crate::state::users::{CREDENTIAL_BYTES, Check, SealedLine, UserRecord, is_beginning, write_line};

/// The accounts' file name.
pub const USERS_FILE: &str = "users.txt";

/// The contents of a `users.txt`, and its condition.
#[derive(Debug)]
pub struct Users {
    /// The sum of its records.
    pub state: State,
    /// How it is written.
    pub form: Form,
    /// The CHECK of its last line.
    check: Check,
    /// Lines that count.
    pub lines: usize,
    /// Where the last of them ends.
    pub whole: Offset,
    /// The length of the file.
    pub length: u64,
    /// What follows them.
    pub end: End,
    /// Bytes of torn writes that the chain skips.
    pub passed_over: u64,
}

/// How a `users.txt` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// With checksums.
    Sealed,
    /// Without, by version 0.1.
    Unchecked,
}

/// What follows the last line that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing.
    Whole,
    /// Nothing, but that line lacks its newline.
    NoNewline,
    /// A torn write, in which these names can be read.
    Torn(Vec<Name>),
}

/// Reads a `users.txt`.
///
/// # Errors
/// The first damage that is not a torn write, or the system's error.
pub fn read_users(file: &impl File) -> Result<Users, RecoverError> {
    let form = form_of(file)?;
    // An account takes at least a line, which is seldom shorter.
    let count = usize::try_from(file.len()?).unwrap_or(0) / CREDENTIAL_BYTES;
    let mut reading = Reading {
        users: Users {
            state: State::with_capacity(count),
            form,
            check: Check::START,
            lines: 0,
            whole: Offset::START,
            length: 0,
            end: End::Whole,
            passed_over: 0,
        },
        verified: Vec::with_capacity(APPLIED_TOGETHER),
        bad: None,
        damage: None,
    };
    let length = for_each_line(file, |offset, line| reading.line(offset, line))?;
    reading.end(length).map_err(RecoverError::Damaged)
}

/// Returns how a file is written: any line in the form of one with a CHECK tells that all have one.
fn form_of(file: &impl File) -> io::Result<Form> {
    let mut has_unchecked = false;
    let sealed = try_each_line(file, |_, line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if SealedLine::parse(line).is_some() {
            return ControlFlow::Break(());
        }
        has_unchecked = has_unchecked || UserRecord::parse_unchecked(line).is_some();
        ControlFlow::Continue(())
    })?;
    Ok(if sealed.is_continue() && has_unchecked { Form::Unchecked } else { Form::Sealed })
}

/// Records that are applied together: enough that the memory which one waits for is read for many at a time.
const APPLIED_TOGETHER: usize = 64;

/// A `users.txt` while it is read.
struct Reading {
    users: Users,
    /// Records that verify and are not applied yet, each with the offset of its line.
    verified: Vec<(Offset, UserRecord)>,
    /// Lines after the last one that counts.
    bad: Option<Bad>,
    damage: Option<Damage>,
}

/// Lines that do not verify.
struct Bad {
    first: Damage,
    bytes: Vec<u8>,
}

impl Reading {
    fn line(&mut self, offset: Offset, line: &[u8]) {
        if self.damage.is_some() {
            return;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        // Without checksums nothing proves that a line behind a bad one was ever written by a server.
        let is_proven = self.bad.is_none() || self.users.form == Form::Sealed;
        match self.parse(text) {
            Ok((record, check)) if is_proven => {
                self.damage = self.pass_over().err();
                self.verified.push((offset, record));
                if self.verified.len() == APPLIED_TOGETHER {
                    self.apply_verified();
                }
                self.users.check = check;
                self.users.lines += 1;
                self.users.whole = offset + line.len();
                self.users.end = if text.len() < line.len() { End::Whole } else { End::NoNewline };
            }
            parsed => {
                // What is wrong with the records before this line comes first.
                self.apply_verified();
                let what = parsed.err().unwrap_or("a line behind a bad one");
                let first = Damage { offset, what };
                let bad = self.bad.get_or_insert_with(|| Bad { first, bytes: Vec::new() });
                bad.bytes.extend_from_slice(line);
                let is_too_long = bad.bytes.len() > USERS_APPEND_BYTES_MAX;
                self.damage = self.damage.or(is_too_long.then_some(bad.first));
            }
        }
    }

    /// Returns a record that verifies and the CHECK of its line, or what is wrong with the line.
    fn parse(&self, line: &[u8]) -> Result<(UserRecord, Check), &'static str> {
        if self.users.form == Form::Unchecked {
            let record = UserRecord::parse_unchecked(line).ok_or("a line that is no account")?;
            return Ok((record, Check::START));
        }
        match SealedLine::parse(line) {
            Some(sealed) if sealed.follows(self.users.check) => Ok((sealed.record, sealed.check)),
            Some(_) => {
                Err("a line whose checksum does not match: it was changed, or lines before it were removed, \
                     moved or copied here")
            }
            None if UserRecord::parse_unchecked(line).is_some() => {
                Err("a line without a checksum in a file with checksums")
            }
            None => Err("a line that is no account record"),
        }
    }

    /// Skips bad lines before a line that verifies: they are not part of the chain. They must be a torn write that was
    /// left in place because there was no room to move it.
    fn pass_over(&mut self) -> Result<(), Damage> {
        let Some(bad) = self.bad.take() else { return Ok(()) };
        let torn = bad.bytes.strip_suffix(b"\n").unwrap_or(&bad.bytes);
        self.users.passed_over += bad.bytes.len() as u64;
        // The beginning of a line can look like all of one of version 0.1, which somebody may have put there.
        let is_left_over = is_torn(torn, bad.first.offset) && UserRecord::parse_unchecked(torn).is_none();
        if is_left_over { Ok(()) } else { Err(bad.first) }
    }

    fn apply_verified(&mut self) {
        let recovered = self.users.state.recover_all(&self.verified);
        self.damage = self.damage.or(recovered.err());
        self.verified.clear();
    }

    fn end(mut self, length: u64) -> Result<Users, Damage> {
        self.apply_verified();
        self.users.length = length;
        if let Some(damage) = self.damage {
            return Err(damage);
        }
        if let Some(bad) = self.bad {
            if !is_torn(&bad.bytes, bad.first.offset) {
                return Err(bad.first);
            }
            self.users.end = End::Torn(names_in(&bad.bytes));
        }
        Ok(self.users)
    }
}

/// Whether `bytes`, which stand at `offset` and do not verify, are what a crash leaves of an append.
fn is_torn(bytes: &[u8], offset: Offset) -> bool {
    bytes.len() <= USERS_APPEND_BYTES_MAX && (has_unwritten_sectors(bytes, offset) || is_beginning(bytes))
}

/// Returns the names that can be read at the start of lines.
pub fn names_in(bytes: &[u8]) -> Vec<Name> {
    let names = bytes.split(|&byte| byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Name::parse(&line[..colon])
    });
    names.collect()
}

/// The proof that a turn's records are on disk.
#[derive(Clone, Copy)]
pub struct RecordsSaved {
    _only_made_by_commit: (),
}

/// `users.txt`, open for appending.
#[derive(Debug)]
pub struct UsersFile<F> {
    file: AppendFile<F>,
    /// The CHECK of its last line.
    check: Check,
    /// Where that line ends; `None` without checksums.
    mark: Option<UsersMark>,
    /// Whether it is still without checksums, because there was no room for a new file. Nothing is appended to it.
    is_unchecked: bool,
}

impl<F: File> UsersFile<F> {
    /// Reads all accounts, compares the file with its mark and repairs what a crash left.
    ///
    /// # Errors
    /// See [`RecoverError`]. A missing file is an error if there are messages or a mark.
    pub fn recover<S: Storage<File = F>>(
        storage: &mut S,
        has_messages: bool,
        mark: Option<UsersMark>,
    ) -> Result<(UsersFile<F>, State), RecoverError> {
        let mark = mark.unwrap_or(UsersMark::NOTHING);
        mark.compare(open_if_there(storage, USERS_FILE)?.as_ref(), None)?.map_err(Disagreement::refusal)?;
        if has_messages && !storage.exists(USERS_FILE)? {
            let why = "users.txt is missing beside a history; restore it from a backup, or make an empty one to \
                       begin without accounts: the names in the history stay reserved";
            return Err(io::Error::new(io::ErrorKind::NotFound, why).into());
        }
        let mut file = storage.open(USERS_FILE)?;
        let mut users = read_users(&file)?;
        mark.compare(Some(&file), Some(&users))?.map_err(Disagreement::refusal)?;
        if users.passed_over > 0 {
            info!("{USERS_FILE}: {} bytes of torn writes are passed over", users.passed_over);
        }
        if has_messages && users.state.accounts().is_empty() {
            warn!(
                "{USERS_FILE}: no account in it, although there is a history: nobody can log in, and the names in the \
                 history stay reserved. If that is not meant, stop the server and restore the file from a backup, or \
                 give a name back with --reset NAME"
            );
        }
        if users.form == Form::Unchecked {
            return recover_unchecked(storage, file, users);
        }
        let end = users.mark();
        let file = match users.end {
            End::Whole => AppendFile::new(file, users.length)?,
            End::NoNewline => AppendFile::unended(file, users.length, b"\n")?,
            End::Torn(_) if set_aside(storage, &mut file, USERS_FILE, users.whole)? => {
                AppendFile::new(file, users.whole.bytes())?
            }
            End::Torn(_) => AppendFile::unended(file, users.length, b"\n")?,
        };
        let mut recovered = UsersFile { file, check: users.check, mark: end, is_unchecked: false };
        if users.lines > USERS_COMPACT_LINES && users.lines > 2 * users.state.records_len() {
            match forget(storage).and_then(|()| recovered.replace(storage, &users.state)) {
                Ok(()) => {
                    info!(
                        "{USERS_FILE}: rewritten, {} lines are {} now",
                        users.lines,
                        users.state.records_len()
                    );
                }
                Err(error) => warn!("{USERS_FILE}: not rewritten: {error}"),
            }
        }
        users.state.shrink();
        Ok((recovered, users.state))
    }

    /// Appends and syncs a turn's records, whatever the sync policy for messages is.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn commit<'a, S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        records: impl Iterator<Item = &'a UserRecord>,
    ) -> Result<RecordsSaved, AppendError> {
        let mut batch = String::new();
        let mut check = self.check;
        let mut records = records.peekable();
        if records.peek().is_some() && self.is_unchecked {
            let users = read_users(self.file.file())
                .map_err(|error| AppendError::Refused(io::Error::other(error.to_string())))?;
            self.convert(storage, &sum_of(users)).map_err(AppendError::Refused)?;
            check = self.check;
        }
        for record in records {
            check = write_line(&mut batch, record, check);
        }
        if batch.len() > USERS_APPEND_BYTES_MAX {
            return Err(AppendError::Refused(io::Error::other("too many accounts changed at once")));
        }
        if !batch.is_empty() {
            self.file.append(batch.as_bytes(), SyncPolicy::Always)?;
            self.check = check;
            self.mark = Some(UsersMark { length: self.file.committed(), check });
        }
        Ok(RecordsSaved { _only_made_by_commit: () })
    }

    /// The end of the last saved line; `None` while there are no checksums.
    pub fn mark(&self) -> Option<UsersMark> {
        self.mark
    }

    /// Checks that the file is still at its path, and refuses all records from then on if it is not. Returns whether
    /// that was first noticed now.
    ///
    /// # Errors
    /// The system's.
    pub fn look<S: Storage<File = F>>(&mut self, storage: &S) -> io::Result<bool> {
        self.file.look(storage, USERS_FILE)
    }

    /// Writes the file again if it was removed or moved away; see [`AppendFile::restore`].
    ///
    /// # Errors
    /// The system's.
    pub fn restore<S: Storage<File = F>>(&self, storage: &mut S) -> io::Result<bool> {
        self.file.restore(storage, USERS_FILE)
    }

    /// Replaces a file of version 0.1 by one with checksums, and keeps the old one.
    fn convert<S: Storage<File = F>>(&mut self, storage: &mut S, state: &State) -> io::Result<()> {
        let kept = copy_to_new(storage, self.file.file(), Offset::START, &format!("{USERS_FILE}.0.1"))?;
        self.replace(storage, state)?;
        self.is_unchecked = false;
        info!("{USERS_FILE}: rewritten with checksums; the file of version 0.1 is kept as {kept}");
        Ok(())
    }

    /// Replaces the file by one with only the records that count.
    fn replace<S: Storage<File = F>>(&mut self, storage: &mut S, state: &State) -> io::Result<()> {
        let check = rewrite_users(storage, state)?;
        let file = storage.open(USERS_FILE)?;
        let length = file.len()?;
        self.file = AppendFile::new(file, length)?;
        self.check = check;
        self.mark = Some(UsersMark { length, check });
        Ok(())
    }
}

/// Atomically replaces `users.txt` by the fewest records that make up a state. Returns the CHECK of its last line.
///
/// # Errors
/// The system's.
pub fn rewrite_users(storage: &mut impl Storage, state: &State) -> io::Result<Check> {
    let mut check = Check::START;
    let lines = state.records().map(|record| {
        let mut line = String::new();
        check = write_line(&mut line, &record, check);
        line
    });
    rewrite(storage, USERS_FILE, lines)?;
    Ok(check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::credential::{Credential, secret_hash};
    use crate::log::directory::{Directory, RealFile};
    use crate::protocol::record::Timestamp;
    use std::fs;
    use std::path::Path;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn registration(text: &str, number: u8) -> UserRecord {
        let credential = Credential { rounds: 600_000, salt: [number; 16], key: [number; 32] };
        UserRecord::Credential { name: name(text), credential, registered: Timestamp::from_micros(7) }
    }

    /// A line as version 0.1 wrote it.
    fn old_line(name: &str, number: u8) -> String {
        let number = hex::encode([number]);
        format!("{name}:pbkdf2-sha256:600000:{}:{}\n", number.repeat(16), number.repeat(32))
    }

    fn sealed(records: &[UserRecord]) -> String {
        let (mut text, mut check) = (String::new(), Check::START);
        records.iter().for_each(|record| check = write_line(&mut text, record, check));
        text
    }

    fn recover(directory: &Path) -> Result<(UsersFile<RealFile>, State), RecoverError> {
        UsersFile::recover(&mut Directory::open(directory).unwrap(), false, None)
    }

    fn read(directory: &Path, file: &str) -> String {
        fs::read_to_string(directory.join(file)).unwrap()
    }

    /// The accounts after a start on this file, and the file then; or where the start finds damage.
    fn start(text: &[u8]) -> Result<(State, String, tempfile::TempDir), Damage> {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(USERS_FILE), text).unwrap();
        match recover(directory.path()) {
            Ok((_, state)) => {
                let text = read(directory.path(), USERS_FILE);
                Ok((state, text, directory))
            }
            Err(RecoverError::Damaged(damage)) => {
                assert_eq!(fs::read(directory.path().join(USERS_FILE)).unwrap(), text, "nothing is touched");
                Err(damage)
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn users_go_on_where_the_chain_ended() {
        let directory = tempfile::tempdir().unwrap();
        let records = [registration("alice", 1), registration("Bob", 2), registration("alice", 3)];
        for record in &records {
            let mut storage = Directory::open(directory.path()).unwrap();
            let (mut file, _) = UsersFile::recover(&mut storage, false, None).unwrap();
            let twice =
                [*record, UserRecord::Revoked { name: *record.name(), at: Timestamp::from_micros(9) }];
            file.commit(&mut storage, twice.iter()).unwrap();
        }
        let (_, state) = recover(directory.path()).unwrap();
        let accounts = state.accounts();
        assert_eq!(accounts.len(), 2);
        let alice = accounts.find(&name("ALICE")).unwrap();
        assert_eq!(accounts[alice].credential().unwrap().salt, [3; 16]);
        assert_eq!(read(directory.path(), USERS_FILE).lines().count(), 6);
    }

    #[test]
    fn users_of_version_0_1_are_given_checksums_once_and_kept() {
        let old = old_line("alice", 1) + &old_line("Bob", 2) + &old_line("alice", 3);
        let (state, text, directory) = start(old.as_bytes()).unwrap();
        assert_eq!(state.accounts().len(), 2);
        let record = |text: &str, number| match registration(text, number) {
            UserRecord::Credential { name, credential, .. } => {
                UserRecord::Credential { name, credential, registered: Timestamp::default() }
            }
            other => other,
        };
        assert_eq!(text, sealed(&[record("alice", 3), record("Bob", 2)]));
        assert_eq!(read(directory.path(), "users.txt.0.1"), old);
        recover(directory.path()).unwrap();
        assert!(!directory.path().join("users.txt.0.1.1").exists(), "once");
        fs::write(directory.path().join(USERS_FILE), old_line("carol", 4)).unwrap();
        recover(directory.path()).unwrap();
        assert_eq!(read(directory.path(), "users.txt.0.1"), old, "never overwritten");
        assert_eq!(read(directory.path(), "users.txt.0.1.1"), old_line("carol", 4));
    }

    #[test]
    fn users_of_version_0_1_with_two_spellings_or_too_many_rounds_are_damaged() {
        let alice = old_line("alice", 1);
        for bad in [
            old_line("ALICE", 2),
            old_line("bob", 2).replace("600000", "4294967295"),
            old_line("bob", 2).replace("600000", "0"),
            old_line("bob", 2).replace('\n', "\r\n"),
            "junk\n".to_owned(),
            "\0".to_owned() + &old_line("bob", 2),
            sealed(&[registration("bob", 2)]),
        ] {
            let text = alice.clone() + &bad + &old_line("carol", 3);
            // A line with a checksum makes all others damage.
            let expected = if bad.contains(":1970-") { 0 } else { alice.len() as u64 };
            assert_eq!(start(text.as_bytes()).unwrap_err().offset.bytes(), expected, "{bad}");
        }
        let text = alice.clone() + &old_line("ALICE", 2);
        let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(start(&utf_16).unwrap_err().offset.bytes(), 0);
    }

    #[test]
    fn users_of_version_0_1_whose_last_line_is_cut_keep_its_name() {
        let (good, last) = (old_line("alice", 1), old_line("bob", 2));
        for length in 1..last.len() {
            let text = good.clone() + &last[..length];
            let (state, kept, directory) = start(text.as_bytes()).unwrap();
            assert_eq!(read(directory.path(), "users.txt.0.1"), text);
            let (_, again) = recover(directory.path()).unwrap();
            assert!(state.records().eq(again.records()), "a restart finds the same state");
            for accounts in [state.accounts(), again.accounts()] {
                let bob = accounts.find(&name("bob"));
                if length <= 3 {
                    // Who was meant cannot be read.
                    assert_eq!(accounts.len(), 1, "{length}");
                } else {
                    let has_password = bob.is_some_and(|bob| accounts[bob].credential().is_some());
                    assert_eq!(has_password, length == last.len() - 1, "{length}");
                    assert!(!accounts.is_free(&name("bob")), "{length}");
                }
            }
            assert!(kept.ends_with('\n'));
        }
    }

    #[test]
    fn users_torn_at_the_end_are_set_aside_and_damage_is_refused() {
        let records: Vec<_> = (0..40).map(|number| registration(&format!("u{number}"), number)).collect();
        let text = sealed(&records);
        let last = text.trim_end().rfind('\n').unwrap() + 1;
        for length in last + 1..text.len() - 1 {
            let (state, kept, directory) = start(&text.as_bytes()[..length]).unwrap();
            assert_eq!((state.accounts().len(), kept.as_str()), (39, &text[..last]), "{length}");
            assert_eq!(read(directory.path(), &format!("users.txt.torn-at-{last}")), text[last..length]);
        }
        let (state, kept, _) = start(&text.as_bytes()[..text.len() - 1]).unwrap();
        assert_eq!((state.accounts().len(), kept), (40, text.clone()), "only the newline was missing");

        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = text.clone().into_bytes();
            change(&mut bytes);
            start(&bytes).map(|(state, ..)| state.accounts().len()).map_err(|damage| damage.offset.bytes())
        };
        // Sectors of the last append that were never written.
        let sector = last.next_multiple_of(512).min(text.len() - 512) / 512 * 512;
        assert!(changed(&|bytes| bytes[sector..sector + 512].fill(0)).is_ok());
        assert!(changed(&|bytes| bytes[sector + 1..sector + 512].fill(0)).is_err());
        assert_eq!(changed(&|bytes| bytes.extend([0; 512])), Ok(40));
        assert_eq!(changed(&|bytes| bytes.extend([0; USERS_APPEND_BYTES_MAX + 1])), Err(text.len() as u64));
        assert_eq!(changed(&|bytes| bytes.extend(b"junk\n")), Err(text.len() as u64));
        assert_eq!(changed(&|bytes| bytes.extend(text.as_bytes())), Err(text.len() as u64), "copied");
        assert_eq!(
            changed(&|bytes| drop(bytes.drain(last - 1..last))),
            Err(text[..last - 1].rfind('\n').unwrap() as u64 + 1)
        );
        let old = old_line("bob", 2);
        assert_eq!(changed(&|bytes| bytes.extend(old.as_bytes())), Err(text.len() as u64));
    }

    #[test]
    fn users_are_damaged_at_the_first_bad_record_whatever_follows_it() {
        let mut records: Vec<_> =
            (0..200).map(|number| registration(&format!("u{number}"), number)).collect();
        let revoked = UserRecord::Revoked { name: name("nobody"), at: Timestamp::from_micros(9) };
        for bad in [0, 1, 62, 63, 64, 65, 127, 128, 199] {
            let good = std::mem::replace(&mut records[bad], revoked);
            let text = sealed(&records).into_bytes();
            let offset = Offset::after(sealed(&records[..bad]).len() as u64);
            for rest in [&b""[..], b"bob:pbkdf2", b"junk\n", &[0; USERS_APPEND_BYTES_MAX + 1]] {
                let damage = start(&[&text, rest].concat()).unwrap_err();
                assert_eq!(damage, Damage { offset, what: "a token, a code or a revocation of no account" });
            }
            records[bad] = good;
        }
        // A record depends on those right before it.
        let twice = [registration("al", 1), registration("AL", 2)];
        assert_eq!(
            start(sealed(&twice).as_bytes()).unwrap_err().offset.bytes(),
            sealed(&twice[..1]).len() as u64
        );
    }

    #[test]
    fn users_torn_on_a_full_disk_stay_and_the_chain_passes_over_them() {
        let text = sealed(&[registration("alice", 1)]);
        for torn in [&b"bob:pbkdf2-sha256:6000"[..], b"bo", b"\0\0\0\0"] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(USERS_FILE);
            // What a start leaves that finds no room, and what is appended later.
            let mut check = Check::START;
            let mut lines = String::new();
            for record in [registration("alice", 1), registration("carol", 2)] {
                lines.clear();
                check = write_line(&mut lines, &record, check);
            }
            fs::write(&path, [text.as_bytes(), torn, b"\n", lines.as_bytes()].concat()).unwrap();
            let users = read_users(&crate::log::directory::RealFile::open_read_only(&path).unwrap().unwrap())
                .unwrap();
            assert_eq!(users.passed_over, torn.len() as u64 + 1, "the operator is told");
            assert_eq!(recover(directory.path()).unwrap().1.accounts().len(), 2);
        }
    }

    #[test]
    fn users_are_rewritten_if_most_of_the_lines_are_outdated() {
        let directory = tempfile::tempdir().unwrap();
        let old: Vec<_> = (0..3000).map(|number| registration("alice", number as u8)).collect();
        fs::write(directory.path().join(USERS_FILE), sealed(&old)).unwrap();
        let mut storage = Directory::open(directory.path()).unwrap();
        let (mut file, _) = UsersFile::recover(&mut storage, false, None).unwrap();
        let token =
            UserRecord::Token { name: name("alice"), hash: secret_hash("x"), issued: Timestamp::default() };
        file.commit(&mut storage, [token].iter()).unwrap();
        let expected = sealed(&[registration("alice", (2999 % 256) as u8), token]);
        assert_eq!(read(directory.path(), USERS_FILE), expected);
    }

    #[test]
    fn users_are_read_whole_across_chunks() {
        let records: Vec<_> = (0..9000).map(|number| registration(&format!("n{number}"), 1)).collect();
        let text = sealed(&records);
        assert!(text.len() > 4 * 256 * 1024);
        assert_eq!(start(text.as_bytes()).unwrap().0.accounts().len(), 9000);
    }
}
