//! A data directory in whatever state: it starts or says where it is damaged, nothing is lost by it, and what it
//! made of it is what it finds the next time.

#![no_main]

#[path = "../../sim/mod.rs"]
mod sim;

use std::collections::BTreeMap;

use chinwag::accounts::{Credential, SeenFile, UsersFile};
use chinwag::journal::{Journal, verify};
use chinwag::name::Name;
use chinwag::record::{TIMESTAMP_BYTES, Timestamp};
use chinwag::storage::{Storage, SyncPolicy};
use libfuzzer_sys::fuzz_target;
use sim::disk::{LOG, SEEN, SimDisk, USERS};

/// What stands beside a file because it was torn, if it is `length` long now.
fn aside(disk: &SimDisk, name: &str, length: usize) -> Vec<u8> {
    disk.bytes_from(&format!("{name}.torn-at-{length}"), 0)
}

fn log(bytes: &[u8]) {
    let mut disk = SimDisk::default();
    disk.put(LOG, bytes);
    let Ok(journal) = Journal::recover(&mut disk, SyncPolicy::Always) else {
        assert_eq!(disk.bytes_from(LOG, 0), bytes, "what is refused is not touched");
        return;
    };
    let (end, last) = (journal.end(), journal.last());
    let kept = disk.bytes_from(LOG, 0);
    assert_eq!(kept.len() as u64, end);
    assert_eq!([kept.clone(), aside(&disk, LOG, kept.len())].concat(), bytes, "it is all still there");
    assert!(kept.is_empty() || kept.ends_with(b"\n"), "no line is torn");
    let again = Journal::recover(&mut disk, SyncPolicy::Always).expect("it is well now");
    assert_eq!((again.end(), again.last()), (end, last));
    // Where all of it is well, every message is found at its place.
    let file = disk.open(LOG).expect("it opens");
    let mut damages = 0;
    verify(&file, |_| damages += 1).expect("it can be read");
    if damages == 0 {
        let mut offset = 0;
        for line in kept.split_inclusive(|&byte| byte == b'\n') {
            assert_eq!(again.find(&line[..27]).expect("it can be read"), offset);
            offset += line.len() as u64;
        }
    }
}

/// What stands before and behind the first `between`, where a name is before it and a line ends behind it.
fn divided(line: &[u8], between: u8) -> Option<(Name, &[u8])> {
    let line = line.strip_suffix(b"\n")?;
    let at = line.iter().position(|&byte| byte == between)?;
    Some((Name::parse(&line[..at])?, &line[at + 1..]))
}

/// What the last line of each name in `users.txt` says of it.
fn last_of_users(users: &[u8]) -> BTreeMap<Name, &[u8]> {
    let lines = users.split_inclusive(|&byte| byte == b'\n');
    lines.map(|line| divided(line, b':').expect("no line is torn")).collect()
}

/// The same of the good lines in `seen.txt`.
fn last_of_seen(seen: &[u8]) -> BTreeMap<Name, Timestamp> {
    let lines = seen.split_inclusive(|&byte| byte == b'\n').filter_map(|line| divided(line, b' '));
    let lines = lines.filter(|(_, timestamp)| timestamp.len() == TIMESTAMP_BYTES);
    lines.filter_map(|(name, timestamp)| Some((name, Timestamp::parse(timestamp)?))).collect()
}

/// Whether this is what a line of `users.txt` says behind a name.
fn is_in(line: &[u8], credential: &Credential) -> bool {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let line = String::from_utf8_lossy(line).to_lowercase();
    let fields: Vec<_> = line.split(':').collect();
    fields.len() == 4
        && fields[1].parse() == Ok(credential.rounds)
        && fields[2] == hex(&credential.salt)
        && fields[3] == hex(&credential.key)
}

fn accounts(users: &[u8], seen: &[u8]) {
    let mut disk = SimDisk::default();
    disk.put(USERS, users);
    disk.put(SEEN, seen);
    let Ok((_, mut accounts)) = UsersFile::recover(&mut disk, false) else {
        assert_eq!(disk.bytes_from(USERS, 0), users, "what is refused is not touched");
        return;
    };
    let kept = disk.bytes_from(USERS, 0);
    // A file of more than a thousand lines may have lost those that do not stand any more.
    if users.iter().filter(|&&byte| byte == b'\n').count() <= 1000 {
        assert_eq!([kept.clone(), aside(&disk, USERS, kept.len())].concat(), users, "it is all still there");
    }
    SeenFile::recover(&mut disk, &mut accounts).expect("what was seen may be forgotten");
    let kept_of_seen = disk.bytes_from(SEEN, 0);
    let (_, mut again) = UsersFile::recover(&mut disk, false).expect("it is well now");
    SeenFile::recover(&mut disk, &mut again).expect("it is well now");
    assert_eq!((disk.bytes_from(USERS, 0), disk.bytes_from(SEEN, 0)), (kept.clone(), kept_of_seen));
    // Everyone who stands there is known, with the last password and the last message seen, and nobody else is.
    let (standing, seen) = (last_of_users(&kept), last_of_seen(seen));
    assert_eq!((accounts.len(), again.len()), (standing.len(), standing.len()));
    for (name, line) in standing {
        for accounts in [&accounts, &again] {
            let account = &accounts[accounts.find(&name).expect("it is known")];
            assert!(is_in(line, &account.credential), "{name}");
            assert_eq!(account.seen, seen.get(&name).copied().unwrap_or_default(), "{name}");
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((b'u', rest)) => accounts(rest, rest),
        // What stands in one file would be damage in the other.
        Some((b's', rest)) => {
            let lines = rest.split_inclusive(|&byte| byte == b'\n').filter(|line| !line.contains(&b' '));
            accounts(&lines.collect::<Vec<_>>().concat(), rest);
        }
        Some((_, rest)) => log(rest),
        None => {}
    }
});
