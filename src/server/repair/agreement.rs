//! The repair of files that are complete, but older or shorter than `state.txt` says: they are accepted as they are.

use std::io::{self, Write};

use crate::log::journal::LOG_FILE;
use crate::log::mark::Disagreement;
use crate::log::recovery::RecoverError;
use crate::log::storage::{Storage, open_if_there};
use crate::state::checkpoint::{Known, STATE_FILE, forget};
use crate::state::durable::State;
use crate::state::users_file::{USERS_FILE, UsersFile, read_users};

/// Drops all marks if one of the files disagrees with its mark, or only reports that if `is_agreed` is false. Returns
/// whether any disagrees. This does not accept the loss of the whole log.
///
/// # Errors
/// Those of the storage.
pub(super) fn accept_as_they_are<S: Storage>(
    storage: &mut S,
    is_agreed: bool,
    out: &mut impl Write,
) -> io::Result<bool> {
    let disagreements = disagreements(storage)?;
    let accepted: Vec<_> = disagreements.iter().filter(|it| !(it.is_gone && it.file == LOG_FILE)).collect();
    for disagreement in &accepted {
        writeln!(out, "{disagreement}; it is accepted as it is, and what is lost stays lost")?;
    }
    if accepted.is_empty() {
        return Ok(false);
    }
    writeln!(out, "{STATE_FILE}: what it says of the other files is dropped")?;
    if is_agreed {
        forget(storage)?;
    }
    Ok(true)
}

fn disagreements<S: Storage>(storage: &mut S) -> io::Result<Vec<Disagreement>> {
    let checkpoint = Known::of(storage)?.checkpoint;
    let mut disagreements = Vec::new();
    if let Some(mark) = checkpoint.log {
        disagreements.extend(mark.compare(open_if_there(storage, LOG_FILE)?.as_ref(), LOG_FILE)?.err());
    }
    if let Some(mark) = checkpoint.users {
        let file = open_if_there(storage, USERS_FILE)?;
        let users = match file.as_ref().map(read_users).transpose() {
            Ok(users) => users,
            // It is rewritten.
            Err(RecoverError::Damaged(_)) => None,
            Err(RecoverError::Io(error)) => return Err(error),
        };
        disagreements.extend(mark.compare(file.as_ref(), users.as_ref())?.err());
    }
    Ok(disagreements)
}

/// Opens `users.txt`, unless it disagrees with its mark or is damaged.
///
/// # Errors
/// Those of the start of a server.
pub(super) fn open_users<S: Storage>(storage: &mut S) -> io::Result<(UsersFile<S::File>, State)> {
    let mark = Known::of(storage)?.checkpoint.users;
    UsersFile::recover(storage, false, mark).map_err(|error| match error {
        RecoverError::Io(error) => error,
        damaged @ RecoverError::Damaged(_) => {
            io::Error::new(io::ErrorKind::InvalidData, format!("{USERS_FILE}: {damaged}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::credential::Credential;
    use crate::log::directory::{Directory, RealFile};
    use crate::log::mark::LogMark;
    use crate::protocol::name::Name;
    use crate::protocol::record::Timestamp;
    use crate::server::check::check;
    use crate::server::repair::{new_history, repair, reset};
    use crate::state::checkpoint::{Checkpoint, CheckpointFile};
    use crate::state::event::Event;
    use crate::state::users::UserRecord;
    use std::fs;
    use std::path::Path;

    const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    /// Three accounts that said hello, a reserved name, and all marks.
    fn directory() -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let mut storage = Directory::open(directory.path()).unwrap();
        let (mut users, mut state) = UsersFile::recover(&mut storage, false, None).unwrap();
        let mut log = String::new();
        let mut time = NOW;
        for text in ["alice", "bob", "carol"] {
            let credential = Credential { rounds: 600_000, salt: [1; 16], key: [2; 32] };
            let record = UserRecord::Credential { name: name(text), credential, registered: time };
            users.commit(&mut storage, [record].iter()).unwrap();
            state.apply(&Event::Account(record));
            log += &format!("{time} {text}: hello\n");
            time = time.next().unwrap();
        }
        state.apply(&Event::Trace(name("dave")));
        storage.create(LOG_FILE).unwrap();
        fs::write(directory.path().join(LOG_FILE), &log).unwrap();
        let length = log.len() as u64;
        let mark = LogMark { length, time: Timestamp::from_micros(NOW.micros() + 2) };
        let checkpoint = Checkpoint::new(Some(mark), users.mark(), length);
        let known = Known::of(&mut storage).unwrap();
        CheckpointFile::<RealFile>::recover(&mut storage, known, checkpoint, &state);
        directory
    }

    fn said_by_check(path: &Path) -> (bool, String) {
        let mut out = Vec::new();
        let is_well = check(path, NOW, &mut out).unwrap();
        (is_well, String::from_utf8(out).unwrap())
    }

    fn lose_last_line(path: &Path, file: &str) {
        let text = fs::read_to_string(path.join(file)).unwrap();
        let last = text[..text.len() - 1].rfind('\n').unwrap() + 1;
        fs::write(path.join(file), &text[..last]).unwrap();
    }

    #[test]
    fn files_that_are_shorter_than_their_marks_are_reported_and_accepted_if_that_is_agreed() {
        let directory = directory();
        let (is_well, said) = said_by_check(directory.path());
        assert!(
            is_well && said.contains("state.txt: reserved until `--reset NAME` gives them back: dave"),
            "{said}"
        );
        for file in [LOG_FILE, USERS_FILE] {
            let directory = self::directory();
            let path = directory.path();
            lose_last_line(path, file);
            let (is_well, said) = said_by_check(path);
            assert!(!is_well && said.contains(&format!("{file}: ends at byte ")), "{said}");
            let state = fs::read(path.join(STATE_FILE)).unwrap();
            for is_agreed in [false, true] {
                let mut out = Vec::new();
                let mut storage = Directory::open(path).unwrap();
                assert_eq!(repair(&mut storage, is_agreed, NOW, &mut out).unwrap(), is_agreed);
                assert!(String::from_utf8(out).unwrap().contains(&format!("{file}: ends at byte ")));
                assert_eq!(fs::read(path.join(STATE_FILE)).unwrap() == state, !is_agreed);
            }
            let known = Known::of(&mut Directory::open(path).unwrap()).unwrap();
            assert_eq!((known.checkpoint, known.reserved), (Checkpoint::default(), vec![name("dave")]));
            assert!(!said_by_check(path).1.contains("state.txt says"));
        }
    }

    #[test]
    fn tools_refuse_accounts_that_are_older_than_their_mark_and_leave_no_mark_of_an_old_log() {
        let directory = directory();
        let path = directory.path();
        let users = fs::read(path.join(USERS_FILE)).unwrap();
        lose_last_line(path, USERS_FILE);
        let mut storage = Directory::open(path).unwrap();
        let error = reset(&mut storage, name("alice"), NOW, "code", &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("users.txt: ends at byte "), "{error}");
        new_history(&mut storage, NOW, &mut Vec::new()).unwrap_err();
        fs::write(path.join(USERS_FILE), users).unwrap();
        reset(&mut storage, name("alice"), NOW, "code", &mut Vec::new()).unwrap();
        assert!(disagreements(&mut storage).unwrap().is_empty());
        new_history(&mut storage, NOW, &mut Vec::new()).unwrap();
        assert!(disagreements(&mut storage).unwrap().is_empty());
        let users = read_users(&storage.open(USERS_FILE).unwrap()).unwrap();
        assert!(users.state.accounts().is_reserved(&name("dave")), "its name stays reserved");
        drop(storage);
        assert!(said_by_check(path).0);
    }

    #[test]
    fn check_names_the_bad_line_of_a_state() {
        let directory = directory();
        let path = directory.path();
        let mut state = fs::read(path.join(STATE_FILE)).unwrap();
        state[3] ^= 1;
        fs::write(path.join(STATE_FILE), state).unwrap();
        let (is_well, said) = said_by_check(path);
        assert!(!is_well && said.contains("state.txt: damaged at byte 0: "), "{said}");
    }
}
