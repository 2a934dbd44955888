//! A data directory in whatever state: it starts or says where it is damaged, nothing is lost by it, and what it
//! made of it is what it finds the next time.

#![no_main]

#[path = "../../sim/mod.rs"]
mod sim;

use std::collections::BTreeMap;

use chinwag::log::chunk::Chunk;
use chinwag::log::journal::{Journal, verify};
use chinwag::state::marks::SeenFile;
use chinwag::protocol::name::Name;
use chinwag::protocol::record::{TIMESTAMP_BYTES, TimePrefix, Timestamp};
use chinwag::log::search::Find;
use chinwag::log::storage::{Storage, SyncPolicy};
use chinwag::state::users_file::UsersFile;
use libfuzzer_sys::fuzz_target;
use sim::disk::{LOG, SEEN, SimDisk, USERS};

/// What stands beside a file because it was torn, if it is `length` long now.
fn aside(disk: &SimDisk, name: &str, length: usize) -> Vec<u8> {
    disk.bytes_from(&format!("{name}.torn-at-{length}"), 0)
}

fn log(bytes: &[u8]) {
    let mut disk = SimDisk::default();
    disk.put(LOG, bytes);
    let Ok(journal) = Journal::recover(&mut disk, SyncPolicy::Always, None) else {
        assert_eq!(disk.bytes_from(LOG, 0), bytes, "what is refused is not touched");
        return;
    };
    let (end, last) = (journal.end(), journal.last());
    let kept = disk.bytes_from(LOG, 0);
    assert_eq!(kept.len() as u64, end);
    assert_eq!([kept.clone(), aside(&disk, LOG, kept.len())].concat(), bytes, "it is all still there");
    assert!(kept.is_empty() || kept.ends_with(b"\n"), "no line is torn");
    let again = Journal::recover(&mut disk, SyncPolicy::Always, None).expect("it is well now");
    assert_eq!((again.end(), again.last()), (end, last));
    // Where all of it is well, every message is found at its place.
    let file = disk.open(LOG).expect("it opens");
    let mut damages = 0;
    verify(&file, |_| damages += 1).expect("it can be read");
    if damages == 0 {
        let (mut offset, mut chunk) = (0, Chunk::default());
        for line in kept.split_inclusive(|&byte| byte == b'\n') {
            let time = TimePrefix::parse(&line[..TIMESTAMP_BYTES]).expect("every line begins with one");
            let mut find = Find::new(time, &again);
            let mut step = || find.step(&again, &mut chunk).expect("it can be read");
            let found = std::iter::repeat_with(&mut step).flatten().next();
            assert_eq!(found, Some(offset));
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

/// What the last line of each name in `seen.txt` says, if it is a good one.
fn last_of_seen(seen: &[u8]) -> BTreeMap<Name, Timestamp> {
    let lines = seen.split_inclusive(|&byte| byte == b'\n').filter_map(|line| divided(line, b' '));
    let lines = lines.filter(|(_, timestamp)| timestamp.len() == TIMESTAMP_BYTES);
    lines.filter_map(|(name, timestamp)| Some((name, Timestamp::parse(timestamp)?))).collect()
}

fn accounts(users: &[u8], seen: &[u8]) {
    const LATEST: Timestamp = Timestamp::from_micros(u64::MAX);
    let mut disk = SimDisk::default();
    disk.put(USERS, users);
    disk.put(SEEN, seen);
    let Ok((_, mut state)) = UsersFile::recover(&mut disk, false, None) else {
        assert_eq!(disk.bytes_from(USERS, 0), users, "what is refused is not touched");
        return;
    };
    let marks = SeenFile::recover(&mut disk, &mut state, LATEST).expect("what was seen may be forgotten");
    let kept = (disk.bytes_from(USERS, 0), disk.bytes_from(SEEN, 0));
    let (_, mut again) = UsersFile::recover(&mut disk, false, None).expect("it is well now");
    SeenFile::recover(&mut disk, &mut again, LATEST).expect("it is well now");
    assert_eq!((disk.bytes_from(USERS, 0), disk.bytes_from(SEEN, 0)), kept);
    assert!(state.records().eq(again.records()), "the second start knows the same accounts");
    // Everyone whose mark can be read has it, or keeps the name reserved.
    for (name, mark) in last_of_seen(seen) {
        match state.accounts().find(&name) {
            Some(id) => assert_eq!(marks.mark(id), mark, "{name}"),
            None => assert!(state.accounts().is_reserved(&name), "{name}"),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        // A line of one file is a bad line of the other.
        Some((b'u', rest)) => accounts(rest, rest),
        Some((_, rest)) => log(rest),
        None => {}
    }
});
