//! The operator's tools for a data directory that no server uses: `--repair`, `--reset` and `--new-history`.
//!
//! None of them frees a name or discards anything: a replaced file is kept beside the new one under another name.

mod agreement;
mod blocks;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{self, Write};

use self::agreement::{accept_as_they_are, open_users};
use self::blocks::accept_blocks;
use crate::auth::credential::secret_hash;
use crate::ids::AccountId;
use crate::limits::NAME_BYTES_MAX;
use crate::log::blocks::discard_blocks;
use crate::log::journal::{LOG_FILE, verify};
use crate::log::offset::Offset;
use crate::log::recovery::{RecoverError, for_each_line};
use crate::log::storage::{AppendError, File, Storage, append_all, copy_to_new, unused_name};
use crate::log::tail::Tail;
use crate::protocol::name::Name;
use crate::protocol::record::{TIMESTAMP_BYTES, Timestamp};
use crate::server::check::log_names;
use crate::state::checkpoint::{Known, forget};
use crate::state::durable::State;
use crate::state::event::Event;
use crate::state::marks::{SEEN_FILE, has_marks, mark_names};
use crate::state::users::{CREDENTIAL_BYTES, Check, SealedLine, UserRecord};
use crate::state::users_file::{USERS_FILE, UsersFile, names_in, read_users, rewrite_users};

/// Records written in one append.
const RECORDS_PER_APPEND: usize = 100;
/// Names listed in a warning, before "and N more".
const NAMES_SHOWN_MAX: usize = 10;

/// Repairs what a start would refuse, or only reports how if `is_agreed` is false. Returns whether nothing is left to
/// do. A lost log cannot be repaired, so something is left then.
///
/// # Errors
/// Those of the storage.
pub fn repair<S: Storage>(
    storage: &mut S,
    is_agreed: bool,
    now: Timestamp,
    out: &mut impl Write,
) -> io::Result<bool> {
    let names = known_names(storage)?;
    // Whether the log is gone is known from its mark, among others.
    let lost = lost_log(storage)?;
    let are_older = accept_as_they_are(storage, is_agreed, out)?;
    let log_is_changed = accept_blocks(storage, is_agreed, out)?;
    let log_is_bad = repair_log(storage, is_agreed, out)? || log_is_changed;
    let users_are_bad = repair_users(storage, &names, is_agreed, now, out)?;
    if let Some(what) = lost {
        writeln!(
            out,
            "{LOG_FILE}: {what}; this cannot be repaired. Is its disk not mounted? Put the log or a backup of it back, \
             or begin a new history with --new-history"
        )?;
    }
    let is_bad = log_is_bad || users_are_bad || are_older;
    match (is_bad, is_agreed) {
        (false, _) if lost.is_some() => {}
        (false, _) => writeln!(out, "nothing needs a repair")?,
        (true, true) => writeln!(out, "done")?,
        (true, false) => writeln!(out, "nothing was changed; --repair --yes does it")?,
    }
    Ok(lost.is_none() && (is_agreed || !is_bad))
}

/// Returns what is wrong if a start would refuse the directory because its log is gone.
fn lost_log<S: Storage>(storage: &mut S) -> io::Result<Option<&'static str>> {
    let has_accounts = storage.exists(USERS_FILE)? && storage.open(USERS_FILE)?.len()? > 0;
    let has_marks = storage.exists(SEEN_FILE)? && has_marks(&storage.open(SEEN_FILE)?)?;
    let has_mark = Known::of(storage)?.checkpoint.log.is_some();
    if !storage.exists(LOG_FILE)? {
        let is_expected = has_accounts || has_marks || has_mark;
        return Ok(
            is_expected.then_some("missing, although there are accounts or something was read or saved")
        );
    }
    let mut is_damaged = false;
    let is_empty = verify(&storage.open(LOG_FILE)?, |_| is_damaged = true)?.messages == 0;
    Ok(match (is_empty, is_damaged, has_marks || has_mark) {
        (true, true, _) => Some("damaged, and there is no message in it"),
        (true, false, true) => Some("empty, although something was read or saved"),
        _ => None,
    })
}

/// Returns the names that occur in the log, have a read mark or are reserved.
fn known_names<S: Storage>(storage: &mut S) -> io::Result<BTreeSet<Name>> {
    let mut names: BTreeSet<Name> = Known::of(storage)?.reserved.into_iter().collect();
    if storage.exists(LOG_FILE)? {
        names.extend(log_names(&storage.open(LOG_FILE)?)?);
    }
    if storage.exists(SEEN_FILE)? {
        names.extend(mark_names(&storage.open(SEEN_FILE)?)?);
    }
    Ok(names)
}

/// Moves the damaged lines of the log to a file of their own. Returns whether there are any.
fn repair_log<S: Storage>(storage: &mut S, is_agreed: bool, out: &mut impl Write) -> io::Result<bool> {
    if !storage.exists(LOG_FILE)? {
        return Ok(false);
    }
    let file = storage.open(LOG_FILE)?;
    let mut bad = Vec::new();
    let verified = verify(&file, |damage| bad.push(damage.offset))?;
    // Without any message, it is lost.
    if bad.is_empty() || verified.messages == 0 {
        return Ok(false);
    }
    let count = bad.len();
    let aside = unused_name(storage, &format!("{LOG_FILE}.damaged"))?;
    let messages = verified.messages;
    writeln!(
        out,
        "{LOG_FILE}: damaged places: {count}, the first at byte {}; they go to {aside}, and {messages} messages stay",
        bad[0]
    )?;
    if !is_agreed {
        return Ok(true);
    }
    let temporary = format!("{LOG_FILE}.new");
    let (mut kept, mut moved) = (storage.create(&temporary)?, storage.create(&aside)?);
    let mut outcome = Ok(());
    let mut is_bad = false;
    let mut at_line_start = true;
    for_each_line(&file, |offset, line| {
        // A long line comes in pieces, which all go to the same file.
        if at_line_start {
            is_bad = bad.binary_search(&offset).is_ok();
        }
        at_line_start = line.ends_with(b"\n");
        if outcome.is_ok() {
            outcome = append_all(if is_bad { &mut moved } else { &mut kept }, line);
        }
    })?;
    outcome?;
    moved.sync()?;
    kept.sync()?;
    forget(storage)?;
    discard_blocks(storage)?;
    storage.rename(&temporary, LOG_FILE)?;
    Ok(true)
}

/// Drops the lines of `users.txt` that do not verify. A dropped line may have replaced a password or revoked tokens.
/// So the accounts in these lines are reserved, like all known names without an account, and earlier tokens and codes
/// are void. Returns whether a start would refuse the file as it is.
fn repair_users<S: Storage>(
    storage: &mut S,
    names: &BTreeSet<Name>,
    is_agreed: bool,
    now: Timestamp,
    out: &mut impl Write,
) -> io::Result<bool> {
    let is_missing = !storage.exists(USERS_FILE)?;
    if is_missing && names.is_empty() {
        return Ok(false);
    }
    let mut salvage = Salvage::new(names);
    if is_missing {
        writeln!(out, "{USERS_FILE}: missing, although there is a history")?;
    } else {
        let file = storage.open(USERS_FILE)?;
        let damage = match read_users(&file) {
            Ok(_) => return Ok(false),
            Err(RecoverError::Damaged(damage)) => damage,
            Err(RecoverError::Io(error)) => return Err(error),
        };
        writeln!(out, "{USERS_FILE}: damaged at byte {}: {}", damage.offset, damage.what)?;
        let mut is_sealed = false;
        for_each_line(&file, |_, line| is_sealed |= SealedLine::parse(trimmed(line)).is_some())?;
        for_each_line(&file, |_, line| salvage.line(trimmed(line), is_sealed))?;
    }
    let Salvage { mut state, dropped, dropped_names, dropped_times, credentials, unexplained, .. } = salvage;
    let accounts = state.accounts();
    let missing = names.iter().filter(|name| accounts.find(name).is_none()).copied();
    let registered = accounts.iter().filter(|(_, account)| dropped_times.contains(&account.registered));
    let registered = registered.map(|(_, account)| account.name);
    let reserved: BTreeSet<Name> = dropped_names.into_iter().chain(missing).chain(registered).collect();
    for &name in &reserved {
        // An account keeps its spelling and the time of its registration.
        let name = spelled(&state, name);
        state.apply(&Event::Account(UserRecord::Reserved { name, at: now }));
    }
    let accounts = state.accounts();
    let open = accounts.iter().filter(|(_, account)| account.credential().is_some()).count();
    writeln!(out, "{USERS_FILE}: {dropped} lines are dropped; accounts that can log in: {open}")?;
    if !reserved.is_empty() {
        let list: Vec<&str> = reserved.iter().map(Name::as_str).collect();
        writeln!(out, "{USERS_FILE}: reserved until `--reset NAME` gives them back: {}", list.join(" "))?;
    }
    if dropped > 0 {
        writeln!(out, "{USERS_FILE}: login tokens and codes from before a dropped line are void")?;
    }
    let at_risk = accounts.iter().filter(|(id, account)| {
        account.credential().is_some() && credentials.get(id).is_some_and(|&line| line < unexplained)
    });
    let at_risk: Vec<&str> = at_risk.map(|(_, account)| account.name.as_str()).collect();
    if !at_risk.is_empty() {
        let (shown, more) = at_risk.split_at(at_risk.len().min(NAMES_SHOWN_MAX));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        writeln!(
            out,
            "{USERS_FILE}: warning: a dropped line may have held a new password, and it is not known whose; an earlier \
             password of one of these accounts may be valid again: {}{more}",
            shown.join(" ")
        )?;
    }
    if is_agreed {
        if !is_missing {
            let file = storage.open(USERS_FILE)?;
            let kept = copy_to_new(storage, &file, Offset::START, &format!("{USERS_FILE}.damaged"))?;
            writeln!(out, "{USERS_FILE}: the old one is kept as {kept}")?;
        }
        forget(storage)?;
        rewrite_users(storage, &state)?;
    }
    Ok(true)
}

/// A name as its account spells it.
fn spelled(state: &State, name: Name) -> Name {
    state.accounts().find(&name).map_or(name, |id| state.accounts()[id].name)
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// The part of a damaged `users.txt` that can be kept.
struct Salvage<'a> {
    /// The names in the log and the read marks.
    known: &'a BTreeSet<Name>,
    state: State,
    /// The CHECK of the last line that verified.
    trusted: Check,
    /// The CHECK as written in the previous line.
    written: Check,
    /// Lines so far.
    lines: usize,
    /// When the accounts were registered, without those of version 0.1.
    registered: HashSet<Timestamp>,
    /// The line of each account's last credential.
    credentials: HashMap<AccountId, usize>,
    dropped: usize,
    /// Names at the start of lines that were dropped.
    dropped_names: Vec<Name>,
    /// Times of registration in lines that were dropped.
    dropped_times: HashSet<Timestamp>,
    /// The last dropped line that may have changed an account that it does not show, or zero.
    unexplained: usize,
}

impl<'a> Salvage<'a> {
    fn new(known: &'a BTreeSet<Name>) -> Salvage<'a> {
        Salvage {
            known,
            state: State::default(),
            trusted: Check::START,
            written: Check::START,
            lines: 0,
            registered: HashSet::new(),
            credentials: HashMap::new(),
            dropped: 0,
            dropped_names: Vec::new(),
            dropped_times: HashSet::new(),
            unexplained: 0,
        }
    }

    /// Reads a line. It counts if it verifies after the last line that did, or after the CHECK written in the previous
    /// line, in which case only that line was changed.
    fn line(&mut self, line: &[u8], is_sealed: bool) {
        self.lines += 1;
        let record = if is_sealed {
            let sealed = SealedLine::parse(line);
            let good = sealed.filter(|it| it.follows(self.written) || it.follows(self.trusted));
            self.written = Check::at_end(line).unwrap_or(self.trusted);
            self.trusted = good.map_or(self.trusted, |sealed| sealed.check);
            good.map(|sealed| sealed.record)
        } else {
            UserRecord::parse_unchecked(line)
        };
        match record.filter(|record| self.state.recover(record).is_ok()) {
            Some(record) => self.note(&record),
            None => self.drop_line(line, is_sealed),
        }
    }

    fn note(&mut self, record: &UserRecord) {
        let Some(id) = self.state.accounts().find(record.name()) else { return };
        let registered = self.state.accounts()[id].registered;
        if registered > Timestamp::default() {
            self.registered.insert(registered);
        }
        if matches!(record, UserRecord::Credential { .. }) {
            self.credentials.insert(id, self.lines);
        }
    }

    /// Notes whose line this may have been. Nobody knows what it was, so it counts as one that revoked everybody's
    /// tokens and codes.
    fn drop_line(&mut self, line: &[u8], is_sealed: bool) {
        self.dropped += 1;
        for name in self.state.holders().collect::<Vec<_>>() {
            self.state.apply(&Event::Account(UserRecord::Revoked { name, at: Timestamp::default() }));
        }
        let names = names_in(line);
        let times = line.windows(TIMESTAMP_BYTES).filter_map(Timestamp::parse);
        let times: Vec<Timestamp> = times.filter(|time| self.registered.contains(time)).collect();
        let is_known = |name: &Name| self.known.contains(name) || self.state.accounts().find(name).is_some();
        let is_matched = !times.is_empty() || names.iter().any(is_known);
        // A line that is too long may contain other lines. Before one with only a wrong CHECK, lines may be missing.
        let hides_none = line.len() <= NAME_BYTES_MAX + CREDENTIAL_BYTES && SealedLine::parse(line).is_none();
        // Version 0.1 could not replace passwords.
        if is_sealed && !(is_matched && hides_none) {
            self.unexplained = self.lines;
        }
        self.dropped_names.extend(names);
        self.dropped_times.extend(times);
    }
}

/// Stores the hash of a one-time code for choosing a new password for a name.
///
/// # Errors
/// That the name is free, that the accounts cannot be read, or those of the storage.
pub fn reset<S: Storage>(
    storage: &mut S,
    name: Name,
    now: Timestamp,
    code: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    let names = known_names(storage)?;
    let last = last_message(storage)?;
    let (mut users, state) = open_users(storage)?;
    // An account keeps its spelling.
    let known = state.accounts().find(&name).map(|id| state.accounts()[id].name);
    if known.is_none() && !names.contains(&name) {
        let why = format!("{name}: there is no such account, and the name is free: anyone can register it");
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    let name = known.unwrap_or(name);
    let issued = now.max(last);
    let mut records = Vec::new();
    if known.is_none() {
        records.push(UserRecord::Reserved { name, at: issued });
    }
    records.push(UserRecord::Code { name, hash: secret_hash(code), issued });
    append(&mut users, storage, state, &records)?;
    writeln!(out, "a code for {name}, valid for one day and once:\n\n  {code}\n")?;
    writeln!(
        out,
        "start chinwagd; {name} connects and types:\n\n  /code {code}\n  /register {name} NEWPASSWORD"
    )
}

/// Starts a new history: renames the log and the read marks, and reserves the names in the old log.
///
/// # Errors
/// That the accounts cannot be read, or those of the storage.
pub fn new_history<S: Storage>(storage: &mut S, now: Timestamp, out: &mut impl Write) -> io::Result<()> {
    let names = known_names(storage)?;
    let (mut users, state) = open_users(storage)?;
    let accounts = state.accounts().len();
    let missing = names.into_iter().filter(|name| state.accounts().find(name).is_none());
    let records: Vec<_> = missing.map(|name| UserRecord::Reserved { name, at: now }).collect();
    append(&mut users, storage, state, &records)?;
    forget(storage)?;
    discard_blocks(storage)?;
    // Marks first: after a crash in between, the old history is only replayed again. The other way round, the next
    // start would refuse marks without messages.
    for name in [SEEN_FILE, LOG_FILE] {
        if storage.exists(name)? {
            let kept = unused_name(storage, &format!("{name}.old"))?;
            storage.rename(name, &kept)?;
            writeln!(out, "{name} is {kept} now")?;
        }
    }
    storage.open(LOG_FILE)?;
    writeln!(out, "accounts: {}; newly reserved names: {}", accounts, records.len())
}

fn last_message<S: Storage>(storage: &mut S) -> io::Result<Timestamp> {
    if !storage.exists(LOG_FILE)? {
        return Ok(Timestamp::default());
    }
    let log = storage.open(LOG_FILE)?;
    let length = log.len()?;
    Ok(Tail::read(&log, length)?.map_or(Timestamp::default(), |tail| tail.last))
}

fn append<S: Storage>(
    users: &mut UsersFile<S::File>,
    storage: &mut S,
    mut state: State,
    records: &[UserRecord],
) -> io::Result<()> {
    for record in records {
        let event = Event::Account(*record);
        state.admit(&event, record.time()).expect("a name is reserved before it is given a code");
        state.apply(&event);
    }
    for records in records.chunks(RECORDS_PER_APPEND) {
        users.commit(storage, records.iter()).map_err(|error| match error {
            AppendError::Refused(error) | AppendError::Fatal(error) => {
                io::Error::new(error.kind(), format!("{USERS_FILE}: {error}"))
            }
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::credential::Credential;
    use crate::log::directory::Directory;
    use crate::server::check::check;
    use crate::state::marks::SeenFile;
    use crate::state::users::write_line;
    use std::fs;
    use std::path::Path;

    const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);
    const NAMES: [&str; 8] = ["user0", "user1", "User2", "u3-longer_name", "anna", "bob", "carol", "d"];

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn credential(number: usize) -> Credential {
        Credential { rounds: 600_000, salt: [number as u8; 16], key: [0x40 | number as u8; 32] }
    }

    /// A directory in which every account has said something or has a mark.
    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let (mut users, mut log, mut seen, mut check) =
            (String::new(), String::new(), String::new(), Check::START);
        for (number, text) in NAMES.iter().enumerate() {
            let time = Timestamp::from_micros(1_700_000_000_000_000 + number as u64);
            let record =
                UserRecord::Credential { name: name(text), credential: credential(number), registered: time };
            check = write_line(&mut users, &record, check);
            if number % 2 == 0 {
                log += &format!("{time} {text} -> {text}: a note\n");
            } else {
                log += &format!("{time} user0: hello\n");
                seen += &format!("{text} {time}\n");
            }
        }
        for (file, text) in [(USERS_FILE, &users), (LOG_FILE, &log), (SEEN_FILE, &seen)] {
            fs::write(directory.path().join(file), text).unwrap();
        }
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        directory
    }

    /// What a start knows of accounts and reserved names, the log having been read; `None` if it is refused.
    fn start(path: &Path) -> Option<State> {
        let mut storage = Directory::open(path).unwrap();
        let known = Known::of(&mut storage).unwrap();
        let (_, mut state) = UsersFile::recover(&mut storage, true, known.checkpoint.users).ok()?;
        let last = last_message(&mut storage).unwrap();
        SeenFile::recover(&mut storage, &mut state, last).ok()?;
        let log = storage.open(LOG_FILE).unwrap();
        log_names(&log).unwrap().into_iter().for_each(|name| state.apply(&Event::Trace(name)));
        Some(state)
    }

    fn passes_check(path: &Path) -> bool {
        check(path, NOW, &mut Vec::new()).unwrap_or(false)
    }

    /// No name is free, and each password opens its own account or none.
    fn assert_safe(state: &State, what: &str) {
        let accounts = state.accounts();
        for (number, text) in NAMES.iter().enumerate() {
            assert!(!accounts.is_free(&name(text)), "{what}: {text} is free");
            let standing = accounts.find(&name(text)).and_then(|id| accounts[id].credential());
            assert!(standing.is_none_or(|standing| standing == credential(number)), "{what}: {text}");
        }
        let others = accounts.iter().filter(|(_, account)| !NAMES.contains(&account.name.as_str()));
        assert_eq!(others.filter(|(_, account)| account.credential().is_some()).count(), 0, "{what}");
    }

    fn run(path: &Path, is_agreed: bool) -> (bool, String) {
        let mut out = Vec::new();
        let done = repair(&mut Directory::open(path).unwrap(), is_agreed, NOW, &mut out).unwrap();
        (done, String::from_utf8(out).unwrap())
    }

    /// Numbers that look random and are the same each time (Marsaglia's xorshift).
    fn random(state: &mut u64, below: usize) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state % below as u64) as usize
    }

    #[test]
    fn users_with_random_flips_and_cuts_free_no_name_and_open_no_account() {
        let directory = directory();
        let path = directory.path();
        assert!(passes_check(path), "it was well before");
        let users = path.join(USERS_FILE);
        let good = fs::read(&users).unwrap();
        let mut state = 88_172_645_463_325_252;
        let mut refused = 0;
        for round in 0..2000 {
            let mut bytes = good.clone();
            let is_flip = round % 2 == 0;
            if is_flip {
                let bit = random(&mut state, bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            } else {
                bytes.truncate(random(&mut state, good.len()));
            }
            let what = format!("round {round}");
            fs::write(&users, &bytes).unwrap();
            assert!(!passes_check(path), "{what}: the check sees nothing");
            match start(path) {
                Some(state) => {
                    assert!(!is_flip, "{what}: a changed file is used");
                    assert_safe(&state, &what);
                }
                None => {
                    refused += 1;
                    assert_eq!(fs::read(&users).unwrap(), bytes, "{what}: nothing is touched");
                    if round % 50 == 0 {
                        assert!(run(path, true).0);
                        assert_safe(&start(path).expect("it was repaired"), &what);
                    }
                }
            }
        }
        assert!(refused >= 1000, "{refused}");
    }

    #[test]
    fn repair_shows_first_and_then_drops_damaged_lines_and_reserves_their_names() {
        let directory = directory();
        let path = directory.path();
        assert_eq!(run(path, false), (true, "nothing needs a repair\n".to_owned()));
        let users = path.join(USERS_FILE);
        let bad = fs::read_to_string(&users).unwrap().replacen("anna:pbkdf2", "anna:pbkdf3", 1);
        fs::write(&users, &bad).unwrap();
        let (done, said) = run(path, false);
        assert!(!done && said.contains("1 lines are dropped") && said.contains(": anna\n"), "{said}");
        assert_eq!(fs::read_to_string(&users).unwrap(), bad, "nothing was changed");
        assert!(run(path, true).0);
        assert_eq!(fs::read_to_string(path.join("users.txt.damaged")).unwrap(), bad);
        let state = start(path).unwrap();
        assert_safe(&state, "repaired");
        let open = state.accounts().iter().filter(|(_, account)| account.credential().is_some()).count();
        assert_eq!(open, NAMES.len() - 1, "the line behind the bad one counts");
        assert!(passes_check(path));
    }

    /// Accounts of which anna changed her password or revoked her tokens in the last line but one, and their tokens.
    fn changed(last: UserRecord) -> Vec<String> {
        let time = |number: u64| Timestamp::from_micros(1_700_000_000_000_000 + number);
        let first = |text, number: usize| UserRecord::Credential {
            name: name(text),
            credential: credential(number),
            registered: time(number as u64),
        };
        let token = |text| UserRecord::Token { name: name(text), hash: secret_hash(text), issued: time(50) };
        let records = [
            first("anna", 4),
            first("bob", 5),
            token("anna"),
            token("bob"),
            last,
            first("carol", 6),
            token("carol"),
        ];
        let mut check = Check::START;
        let lines = records.iter().map(|record| {
            let mut line = String::new();
            check = write_line(&mut line, record, check);
            line
        });
        lines.collect()
    }

    #[test]
    fn repair_brings_back_no_replaced_password_and_no_revoked_token() {
        let registered = Timestamp::from_micros(1_700_000_000_000_004);
        let new = UserRecord::Credential { name: name("anna"), credential: credential(9), registered };
        let revoked = UserRecord::Revoked { name: name("anna"), at: NOW };
        let flip = |at: usize, bit: u8| move |line: &mut [u8]| line[at] ^= bit;
        let zero = |range: std::ops::Range<usize>| move |line: &mut [u8]| line[range.clone()].fill(0);
        let length = |record: &UserRecord| {
            let mut line = String::new();
            write_line(&mut line, record, Check::START);
            line.trim_end().len()
        };
        type Change = Box<dyn Fn(&mut [u8])>;
        // What was changed; whether anna can be told; whether others may be concerned.
        let cases: [(&str, UserRecord, Change, bool, bool); 7] = [
            ("a name", new, Box::new(flip(0, 2)), true, true),
            ("a name that is none now", new, Box::new(flip(1, 0x80)), true, false),
            ("60 bytes", new, Box::new(zero(0..60)), true, false),
            ("a key", new, Box::new(flip(80, 0x40)), true, false),
            ("all but its CHECK", new, Box::new(zero(0..length(&new) - 9)), false, true),
            ("a revocation", revoked, Box::new(flip(7, 1)), true, false),
            ("the name in a revocation", revoked, Box::new(flip(0, 0x80)), false, true),
        ];
        for (what, last, change, is_told, is_warned_of) in cases {
            let directory = directory();
            let path = directory.path();
            fs::remove_file(path.join(SEEN_FILE)).unwrap();
            fs::write(path.join(LOG_FILE), "").unwrap();
            let mut lines: Vec<Vec<u8>> = changed(last).into_iter().map(String::into_bytes).collect();
            change(&mut lines[4]);
            fs::write(path.join(USERS_FILE), lines.concat()).unwrap();
            let (done, said) = run(path, true);
            let state = start(path).expect(what);
            let accounts = state.accounts();
            let find = |text| accounts.find(&name(text)).expect(what);
            let (anna, bob, carol) = (find("anna"), find("bob"), find("carol"));
            assert!(done, "{what}");
            assert_eq!(accounts[anna].credential().is_none(), is_told, "{what}: {said}");
            assert_eq!(accounts[bob].credential(), Some(credential(5)), "{what}");
            assert_eq!(accounts[carol].credential(), Some(credential(6)), "{what}");
            let soon = Timestamp::from_micros(1_700_000_000_001_000);
            let has_token = |id, token| state.has_token(id, &secret_hash(token), soon);
            assert!(!has_token(anna, "anna"), "{what}");
            assert!(!has_token(bob, "bob"), "{what}");
            assert!(has_token(carol, "carol"), "{what}: it is newer");
            let expected = if is_told { "valid again: bob\n" } else { "valid again: anna bob\n" };
            assert_eq!(said.contains(expected), is_warned_of, "{what}: {said}");
            assert_eq!(said.contains("warning"), is_warned_of, "{what}: {said}");
        }
    }

    #[test]
    fn repair_warns_if_lines_were_lost_inside_of_a_line_or_between_two() {
        let registered = Timestamp::from_micros(1_700_000_000_000_004);
        let new = UserRecord::Credential { name: name("anna"), credential: credential(9), registered };
        for is_joined in [false, true] {
            let directory = directory();
            let path = directory.path();
            let mut lines = changed(new);
            let lost = lines.remove(4);
            if is_joined {
                // Only its CHECK is left, and it has run into the line of bob's token before it.
                let end = lost.rfind(':').unwrap();
                lines[3] = lines[3].trim_end().to_owned() + &"\0".repeat(end) + &lost[end..];
            }
            fs::write(path.join(USERS_FILE), lines.concat()).unwrap();
            let (_, said) = run(path, true);
            assert!(said.contains("may be valid again: anna"), "{said}");
        }
    }

    #[test]
    fn a_warning_lists_few_of_many_names() {
        let directory = directory();
        let path = directory.path();
        let (mut users, mut check) = (String::new(), Check::START);
        for number in 0..23 {
            let registered = Timestamp::from_micros(1_700_000_000_000_000 + number);
            let name = name(&format!("many{number:02}"));
            let record = UserRecord::Credential { name, credential: credential(1), registered };
            check = write_line(&mut users, &record, check);
        }
        fs::write(path.join(USERS_FILE), users + "no record of anybody\n").unwrap();
        let (_, said) = run(path, false);
        assert!(said.contains("valid again: many00 ") && said.contains(" many09 and 13 more\n"), "{said}");
    }

    #[test]
    fn repair_of_a_log_without_a_message_repairs_the_accounts_only() {
        let directory = directory();
        let path = directory.path();
        fs::write(path.join(LOG_FILE), "junk\n").unwrap();
        let users = fs::read_to_string(path.join(USERS_FILE)).unwrap();
        fs::write(path.join(USERS_FILE), users.replacen("anna:pbkdf2", "anna:pbkdf3", 1)).unwrap();
        let (done, said) = run(path, true);
        assert!(!done && said.contains("no message in it") && said.contains("--new-history"), "{said}");
        assert_eq!(fs::read(path.join(LOG_FILE)).unwrap(), b"junk\n");
        new_history(&mut Directory::open(path).unwrap(), NOW, &mut Vec::new()).unwrap();
        assert_safe(&start(path).unwrap(), "a new history");
    }

    #[test]
    fn repair_says_that_it_cannot_bring_back_a_log() {
        for (log, users, seen, expected) in [
            (false, true, false, Some("missing")),
            (false, false, true, Some("missing")),
            (true, true, true, Some("empty")),
            (true, true, false, None),
            (false, false, false, None),
        ] {
            let directory = directory();
            let path = directory.path();
            fs::write(path.join(LOG_FILE), "").unwrap();
            for (file, is_there) in [(LOG_FILE, log), (USERS_FILE, users), (SEEN_FILE, seen)] {
                if !is_there {
                    fs::remove_file(path.join(file)).unwrap();
                }
            }
            for is_agreed in [false, true] {
                let (done, said) = run(path, is_agreed);
                assert_eq!(path.join(LOG_FILE).exists(), log, "a start would take it for wanted");
                assert_eq!(said.contains("--new-history"), expected.is_some(), "{said}");
                assert!(said.contains(expected.unwrap_or("nothing needs a repair")), "{said}");
                assert_eq!(done, expected.is_none(), "{said}");
            }
            new_history(&mut Directory::open(path).unwrap(), NOW, &mut Vec::new()).unwrap();
            assert_eq!(run(path, false), (true, "nothing needs a repair\n".to_owned()));
        }
    }

    #[test]
    fn repair_of_the_log_moves_bad_lines_and_keeps_all_messages() {
        let directory = directory();
        let path = directory.path();
        let log = path.join(LOG_FILE);
        let good = fs::read_to_string(&log).unwrap();
        let second = good.find('\n').unwrap() + 1;
        let bad = format!("{}junk\n{}\0\n", &good[..second], &good[second..]);
        fs::write(&log, &bad).unwrap();
        assert!(!run(path, false).0);
        assert_eq!(fs::read_to_string(&log).unwrap(), bad);
        assert!(run(path, true).0);
        assert_eq!(fs::read_to_string(&log).unwrap(), good);
        assert_eq!(fs::read_to_string(path.join("chat_history.txt.damaged")).unwrap(), "junk\n\0\n");
        assert!(passes_check(path));
    }

    #[test]
    fn reset_gives_a_code_for_an_account_and_for_a_reserved_name_only() {
        let directory = directory();
        let path = directory.path();
        // An older copy of the accounts.
        let users = fs::read_to_string(path.join(USERS_FILE)).unwrap();
        fs::write(path.join(USERS_FILE), users.lines().next().unwrap().to_owned() + "\n").unwrap();
        for (text, is_known) in [("USER0", true), ("bob", true), ("anna", true), ("stranger", false)] {
            let code = &hex::encode([text.len() as u8; 16]);
            let mut out = Vec::new();
            let outcome = reset(&mut Directory::open(path).unwrap(), name(text), NOW, code, &mut out);
            assert_eq!(outcome.is_ok(), is_known, "{text}");
            let said = String::from_utf8(out).unwrap();
            assert_eq!(said.contains(&format!("/code {code}")), is_known, "{said}");
            let state = start(path).unwrap();
            let accounts = state.accounts();
            if is_known {
                let id = state.account_of_code(&secret_hash(code), NOW).unwrap();
                assert_eq!(accounts[id].name, name(text));
                assert!(!accounts.is_free(&name(text)));
            }
        }
    }

    #[test]
    fn a_new_history_keeps_the_old_one_and_all_its_names() {
        let directory = directory();
        let path = directory.path();
        let users = fs::read_to_string(path.join(USERS_FILE)).unwrap();
        fs::write(path.join(USERS_FILE), users.lines().next().unwrap().to_owned() + "\n").unwrap();
        let log = fs::read(path.join(LOG_FILE)).unwrap();
        for kept in ["chat_history.txt.old", "chat_history.txt.old.1"] {
            let mut out = Vec::new();
            new_history(&mut Directory::open(path).unwrap(), NOW, &mut out).unwrap();
            let said = String::from_utf8(out).unwrap();
            assert!(said.contains(kept), "{said}");
        }
        assert_eq!(fs::read(path.join("chat_history.txt.old")).unwrap(), log);
        assert!(path.join("seen.txt.old").exists() && fs::read(path.join(LOG_FILE)).unwrap().is_empty());
        let state = start(path).unwrap();
        assert_safe(&state, "a new history");
        assert_eq!(state.accounts().len(), NAMES.len());
        assert!(passes_check(path));
    }
}
