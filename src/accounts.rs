//! The accounts: a table in memory, and its two files.
//!
//! ```text
//! users.txt   alice:pbkdf2-sha256:600000:SALTHEX:HASHHEX      the last line of a name stands; synced
//! seen.txt    alice 2026-11-22T12:03:11.042317Z               the last line of a name stands; not synced
//! ```

use std::collections::HashMap;
use std::fmt::Write;
use std::io;

use log::{info, warn};

use crate::journal::{Damage, RecoverError, is_torn};
use crate::kdf::{KEY_BYTES, Key, SALT_BYTES, Salt};
use crate::limits::{HASHING_QUEUE_MAX, SEEN_COMPACT_BYTES};
use crate::line::skip_line;
use crate::name::Name;
use crate::record::{TIMESTAMP_BYTES, Timestamp};
use crate::storage::{AppendError, AppendFile, File, Storage, SyncPolicy, append_all, read_full, set_aside};

/// The accounts' file name.
pub const USERS_FILE: &str = "users.txt";
/// The file name of how far each account has read.
pub const SEEN_FILE: &str = "seen.txt";
const ALGORITHM: &str = "pbkdf2-sha256";
/// What one turn appends at most: who waited to be hashed before it and who came in it, 144 bytes each.
const BATCH_BYTES_MAX: u64 = 2 * HASHING_QUEUE_MAX as u64 * 144;

/// Which session: the number of its connection, reused after that is gone.
pub type SessionId = u32;

/// What a password is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Rounds of the derivation.
    pub rounds: u32,
    /// Its salt.
    pub salt: Salt,
    /// Its result.
    pub key: Key,
}

/// Which account: its place in the table, for as long as the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u32);

/// Someone who registered.
#[derive(Debug)]
pub struct Account {
    /// As it was registered.
    pub name: Name,
    /// For the next login.
    pub credential: Credential,
    /// The last message that was handed to any of its sessions.
    pub seen: Timestamp,
    /// `/replay N`, said while logged in.
    pub replay: Option<u32>,
    /// The newest of its sessions, the others follow from that one; `None` while it is offline.
    pub newest_session: Option<SessionId>,
}

/// All accounts.
#[derive(Debug, Default)]
pub struct Accounts {
    table: Vec<Account>,
    by_name: HashMap<Name, AccountId>,
}

impl Accounts {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The account of this name, whatever the case.
    pub fn find(&self, name: &Name) -> Option<AccountId> {
        self.by_name.get(name).copied()
    }

    /// Adds an account, or gives the one of this name another credential.
    pub fn set(&mut self, name: Name, credential: Credential) -> AccountId {
        if let Some(id) = self.find(&name) {
            self[id].credential = credential;
            return id;
        }
        let id = AccountId(self.table.len().try_into().expect("memory ends before 2^32 accounts"));
        self.by_name.insert(name, id);
        self.table.push(Account {
            name,
            credential,
            seen: Timestamp::default(),
            replay: None,
            newest_session: None,
        });
        id
    }
}

impl std::ops::Index<AccountId> for Accounts {
    type Output = Account;

    fn index(&self, id: AccountId) -> &Account {
        &self.table[id.0 as usize]
    }
}

impl std::ops::IndexMut<AccountId> for Accounts {
    fn index_mut(&mut self, id: AccountId) -> &mut Account {
        &mut self.table[id.0 as usize]
    }
}

/// The proof that a turn's credentials are on disk.
#[derive(Clone, Copy)]
pub struct CredentialsSaved {
    _only_made_by_commit: (),
}

/// `users.txt`.
#[derive(Debug)]
pub struct UsersFile<F> {
    file: AppendFile<F>,
}

impl<F: File> UsersFile<F> {
    /// Reads all accounts, sets aside what a crash has torn, and rewrites the file where most of it is outdated.
    ///
    /// # Errors
    /// See [`RecoverError`]. It is one that there is no file although there are messages.
    pub fn recover<S: Storage<File = F>>(
        storage: &mut S,
        has_messages: bool,
    ) -> Result<(UsersFile<F>, Accounts), RecoverError> {
        if has_messages && !storage.exists(USERS_FILE)? {
            let why = "users.txt is missing beside a history, and whoever took a name of that would see its private \
                       messages; restore it, or make an empty one to begin without accounts";
            return Err(io::Error::new(io::ErrorKind::NotFound, why).into());
        }
        let mut file = storage.open(USERS_FILE)?;
        let mut accounts = Accounts::default();
        let mut lines = 0_usize;
        let mut bad: Option<(Damage, bool)> = None;
        let mut good_behind_bad = false;
        let length = for_each_line(&file, |offset, line| match parse_user(line) {
            Some((name, credential)) if bad.is_none() => {
                accounts.set(name, credential);
                lines += 1;
            }
            Some(_) => good_behind_bad = true,
            None => {
                bad = bad.or(Some((Damage { offset, what: "a line that is no account" }, is_torn(line))));
            }
        })?;
        let committed = match bad {
            None => length,
            // As with the log: a power failure leaves zeroes where a sector of the last append did not make it, and
            // nobody was told of what stands behind them.
            Some((damage, is_torn)) => {
                let in_last_batch = length - damage.offset <= BATCH_BYTES_MAX;
                if !is_torn || (good_behind_bad && !in_last_batch) {
                    return Err(RecoverError::Damaged(damage));
                }
                damage.offset
            }
        };
        if committed < length {
            set_aside(storage, &mut file, USERS_FILE, committed)?;
        }
        if lines > 1000 && lines > 2 * accounts.len() {
            let text = accounts.table.iter().map(|account| user_line(&account.name, &account.credential));
            match rewrite(storage, USERS_FILE, text) {
                Ok(()) => info!("{USERS_FILE}: rewritten, {lines} lines are {} now", accounts.len()),
                Err(error) => warn!("{USERS_FILE}: not rewritten: {error}"),
            }
            file = storage.open(USERS_FILE)?;
        }
        let committed = file.len()?;
        Ok((UsersFile { file: AppendFile::new(file, committed)? }, accounts))
    }

    /// Appends and syncs a turn's credentials, whatever the policy for messages is: there are few.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn commit<'a>(
        &mut self,
        credentials: impl Iterator<Item = (&'a Name, &'a Credential)>,
    ) -> Result<CredentialsSaved, AppendError> {
        let batch: String = credentials.map(|(name, credential)| user_line(name, credential)).collect();
        if !batch.is_empty() {
            self.file.append(batch.as_bytes(), SyncPolicy::Always)?;
        }
        Ok(CredentialsSaved { _only_made_by_commit: () })
    }
}

/// `seen.txt`.
#[derive(Debug)]
pub struct SeenFile<F> {
    file: AppendFile<F>,
    /// Its length when it was last read or rewritten.
    compact_bytes: u64,
    /// Whether a failed append was said already.
    failing: bool,
    /// Whether the rest of one could not be cut off: what follows would be taken for its end.
    torn: bool,
}

impl<F: File> SeenFile<F> {
    /// Reads how far everyone has read. A bad line is left out: then its account is shown something again.
    ///
    /// # Errors
    /// The system's.
    pub fn recover<S: Storage<File = F>>(
        storage: &mut S,
        accounts: &mut Accounts,
    ) -> io::Result<SeenFile<F>> {
        let mut file = storage.open(SEEN_FILE)?;
        // What is torn at the end is cut off, which a full disk does not hinder.
        let (mut lines, mut bad, mut whole) = (0_usize, 0, 0);
        for_each_line(&file, |offset, line| {
            lines += 1;
            if line.ends_with(b"\n") {
                whole = offset + line.len() as u64;
            }
            match parse_seen(line).map(|(name, seen)| (accounts.find(&name), seen)) {
                Some((Some(id), seen)) => accounts[id].seen = seen,
                Some((None, _)) => {}
                None => bad += 1,
            }
        })?;
        if bad > 0 {
            warn!("{SEEN_FILE}: {bad} bad lines left out; who they are of may be shown messages again");
        }
        if bad > 0 || (lines > 1000 && lines > 2 * accounts.len()) {
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

    /// Appends how far some accounts have read. What fails is only said: it repeats something, and skips nothing.
    pub fn append(&mut self, accounts: &Accounts, ids: impl Iterator<Item = AccountId>) {
        let mut batch = String::new();
        for id in ids {
            write_seen(&mut batch, &accounts[id]);
        }
        if batch.is_empty() {
            return;
        }
        let cut = if self.torn { self.file.cut().map_err(AppendError::Fatal) } else { Ok(()) };
        let appended = cut.and_then(|()| self.file.append(batch.as_bytes(), SyncPolicy::Never));
        self.torn = matches!(appended, Err(AppendError::Fatal(_)));
        match appended {
            Ok(()) => self.failing = false,
            Err(AppendError::Refused(error) | AppendError::Fatal(error)) => {
                if !self.failing {
                    warn!("{SEEN_FILE}: not saved, so something may be shown again: {error}");
                }
                self.failing = true;
            }
        }
    }

    /// Rewrites the file where it has grown to several times what it needs.
    pub fn compact<S: Storage<File = F>>(&mut self, storage: &mut S, accounts: &Accounts) {
        let grown = self.file.committed();
        if grown < self.compact_bytes + SEEN_COMPACT_BYTES || grown < 4 * self.compact_bytes {
            return;
        }
        // Whether or not it works: not to be tried again every turn.
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

fn rewrite_seen<S: Storage>(storage: &mut S, accounts: &Accounts) -> io::Result<()> {
    let has_seen = accounts.table.iter().filter(|account| account.seen != Timestamp::default());
    let text = has_seen.map(|account| {
        let mut line = String::new();
        write_seen(&mut line, account);
        line
    });
    rewrite(storage, SEEN_FILE, text)
}

/// Replaces a file by one of these lines, such that at any crash either of the two is there.
fn rewrite<S: Storage>(storage: &mut S, name: &str, lines: impl Iterator<Item = String>) -> io::Result<()> {
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

/// Calls `each` with the offset and the bytes of every line, its ending included; returns the file's length.
fn for_each_line(file: &impl File, mut each: impl FnMut(u64, &[u8])) -> io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let (mut start, mut filled) = (0, 0);
    loop {
        let count = read_full(file, &mut buffer[filled..], start + filled as u64)?;
        filled += count;
        let at_end = filled < buffer.len();
        let mut offset = 0;
        while offset < filled {
            let line = &buffer[offset..offset + skip_line(&buffer[offset..filled])];
            // The last one may go on in the next chunk, unless it fills this one: then it is no line of ours.
            if !line.ends_with(b"\n") && !at_end && offset > 0 {
                break;
            }
            each(start + offset as u64, line);
            offset += line.len();
        }
        buffer.copy_within(offset..filled, 0);
        start += offset as u64;
        filled -= offset;
        if at_end {
            return Ok(start);
        }
    }
}

fn user_line(name: &Name, credential: &Credential) -> String {
    let Credential { rounds, salt, key } = credential;
    format!("{name}:{ALGORITHM}:{rounds}:{}:{}\n", hex::encode(salt), hex::encode(key))
}

fn parse_user(line: &[u8]) -> Option<(Name, Credential)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let mut fields = line.split(':');
    let name = Name::parse(fields.next()?.as_bytes())?;
    if fields.next()? != ALGORITHM {
        return None;
    }
    let rounds = fields.next()?.parse().ok().filter(|&rounds| rounds > 0)?;
    let mut credential = Credential { rounds, salt: [0; SALT_BYTES], key: [0; KEY_BYTES] };
    hex::decode_to_slice(fields.next()?, &mut credential.salt).ok()?;
    hex::decode_to_slice(fields.next()?, &mut credential.key).ok()?;
    fields.next().is_none().then_some((name, credential))
}

fn write_seen(text: &mut String, account: &Account) {
    writeln!(text, "{} {}", account.name, account.seen).expect("writing to a string cannot fail");
}

fn parse_seen(line: &[u8]) -> Option<(Name, Timestamp)> {
    let line = line.strip_suffix(b"\n")?;
    let (name, timestamp) = line.split_at_checked(line.len().checked_sub(TIMESTAMP_BYTES)?)?;
    Some((Name::parse(name.strip_suffix(b" ")?)?, Timestamp::parse(timestamp)?))
}

/// Reads `users.txt` whole and calls `damaged` for each bad line; returns the accounts.
///
/// # Errors
/// The system's.
pub fn verify_users(file: &impl File, mut damaged: impl FnMut(Damage)) -> io::Result<Accounts> {
    let mut accounts = Accounts::default();
    for_each_line(file, |offset, line| match parse_user(line) {
        Some((name, credential)) => {
            accounts.set(name, credential);
        }
        None => damaged(Damage { offset, what: "a line that is no account" }),
    })?;
    Ok(accounts)
}

/// Reads `seen.txt` whole and calls `damaged` for each bad line, and each that is of none of `accounts`.
///
/// # Errors
/// The system's.
pub fn verify_seen(
    file: &impl File,
    accounts: Option<&Accounts>,
    mut damaged: impl FnMut(Damage),
) -> io::Result<()> {
    for_each_line(file, |offset, line| match parse_seen(line) {
        Some((name, _)) if accounts.is_none_or(|accounts| accounts.find(&name).is_some()) => {}
        Some(_) => damaged(Damage { offset, what: "a line of no account" }),
        None => damaged(Damage { offset, what: "a line that is no name and timestamp" }),
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Directory, RealFile};
    use std::fs;
    use std::path::Path;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn credential(number: u8) -> Credential {
        Credential { rounds: 600_000, salt: [number; SALT_BYTES], key: [number; KEY_BYTES] }
    }

    fn users(directory: &Path) -> Result<(UsersFile<RealFile>, Accounts), RecoverError> {
        UsersFile::recover(&mut Directory::open(directory).unwrap(), false)
    }

    #[test]
    fn an_account_is_one_line_and_the_last_line_of_a_name_stands() {
        let directory = tempfile::tempdir().unwrap();
        let (mut file, _) = users(directory.path()).unwrap();
        let saves =
            [(name("alice"), credential(1)), (name("Bob"), credential(2)), (name("ALICE"), credential(3))];
        file.commit(saves.iter().map(|(name, credential)| (name, credential))).unwrap();
        drop(file);
        let text = fs::read_to_string(directory.path().join(USERS_FILE)).unwrap();
        let (salt, key) = ("02".repeat(16), "02".repeat(32));
        assert_eq!(text.lines().nth(1).unwrap(), format!("Bob:pbkdf2-sha256:600000:{salt}:{key}"));
        let (_, accounts) = users(directory.path()).unwrap();
        assert_eq!(accounts.len(), 2);
        let alice = accounts.find(&name("Alice")).unwrap();
        assert_eq!((accounts[alice].name.as_str(), accounts[alice].credential), ("alice", credential(3)));
    }

    #[test]
    fn a_torn_account_is_set_aside_and_damage_before_it_is_refused() {
        let good = user_line(&name("alice"), &credential(1));
        let behind = user_line(&name("bob"), &credential(2));
        let torn = &good[..good.len() - 1];
        for (text, expected) in [
            (format!("{good}{torn}"), Ok(good.len())),
            (format!("{good}\0\0\0"), Ok(good.len())),
            (torn.to_owned(), Ok(0)),
            // A turn's accounts are one append: of the first a sector did not make it.
            (format!("{good}ali\0\0\0\n{behind}"), Ok(good.len())),
            (format!("{good}junk\n{good}"), Err(good.len() as u64)),
            // Whole lines were written by somebody: none is taken for torn, or all accounts could be taken over.
            (format!("{good}junk\n"), Err(good.len() as u64)),
            (good.replace('\n', "\r\n"), Err(0)),
            (format!("{good}\0\0\n{}", good.repeat(150)), Err(good.len() as u64)),
        ] {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join(USERS_FILE), &text).unwrap();
            match (users(directory.path()), expected) {
                (Ok((_, accounts)), Ok(kept)) => {
                    assert!(accounts.find(&name("bob")).is_none(), "nobody was told of him");
                    assert_eq!(fs::read_to_string(directory.path().join(USERS_FILE)).unwrap(), text[..kept]);
                    let aside = directory.path().join(format!("{USERS_FILE}.torn-at-{kept}"));
                    assert_eq!(fs::read_to_string(aside).unwrap(), text[kept..]);
                }
                (Err(RecoverError::Damaged(damage)), Err(offset)) => assert_eq!(damage.offset, offset),
                (outcome, _) => panic!("{text:?}: {:?}", outcome.map(|(_, accounts)| accounts)),
            }
        }
    }

    #[test]
    fn a_file_of_mostly_outdated_lines_is_rewritten() {
        let directory = tempfile::tempdir().unwrap();
        let old: String =
            (0..3000).map(|number| user_line(&name("alice"), &credential(number as u8))).collect();
        fs::write(directory.path().join(USERS_FILE), old).unwrap();
        let (mut file, _) = users(directory.path()).unwrap();
        file.commit([(&name("bob"), &credential(7))].into_iter()).unwrap();
        let expected = user_line(&name("alice"), &credential((2999 % 256) as u8))
            + &user_line(&name("bob"), &credential(7));
        assert_eq!(fs::read_to_string(directory.path().join(USERS_FILE)).unwrap(), expected);
    }

    #[test]
    fn lines_are_read_whole_across_chunks() {
        let directory = tempfile::tempdir().unwrap();
        let text: String =
            (0..9000).map(|number| user_line(&name(&format!("n{number}")), &credential(1))).collect();
        assert!(text.len() > 4 * 256 * 1024);
        fs::write(directory.path().join(USERS_FILE), text).unwrap();
        assert_eq!(users(directory.path()).unwrap().1.len(), 9000);
    }

    #[test]
    fn seen_is_the_last_line_of_a_name_and_a_bad_line_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let mut accounts = Accounts::default();
        let (alice, bob) =
            (accounts.set(name("alice"), credential(1)), accounts.set(name("bob"), credential(1)));
        let stamp = |micros| Timestamp::from_micros(micros);
        let mut storage = Directory::open(directory.path()).unwrap();
        let mut file = SeenFile::recover(&mut storage, &mut accounts).unwrap();
        for micros in [1, 2, 3] {
            accounts[alice].seen = stamp(micros);
            accounts[bob].seen = stamp(10 * micros);
            file.append(&accounts, [alice, bob].into_iter());
        }
        let path = directory.path().join(SEEN_FILE);
        fs::write(&path, fs::read_to_string(&path).unwrap() + "carol 2026-11-22T12:03:11.042317Z\nbob 2026-")
            .unwrap();
        (accounts[alice].seen, accounts[bob].seen) = (stamp(0), stamp(0));
        let mut file = SeenFile::recover(&mut storage, &mut accounts).unwrap();
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
        let alice = accounts.set(name("alice"), credential(1));
        accounts[alice].seen = Timestamp::from_micros(1);
        let mut file = SeenFile::recover(&mut storage, &mut accounts).unwrap();
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
