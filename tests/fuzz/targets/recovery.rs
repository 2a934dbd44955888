//! A data directory in whatever state: it starts or says where it is damaged, nothing is lost by it, and what it
//! made of it is what it finds the next time.

#![no_main]

#[path = "../../sim/mod.rs"]
mod sim;

use chinwag::accounts::{SeenFile, UsersFile};
use chinwag::journal::{Journal, verify};
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

fn accounts(bytes: &[u8]) {
    let mut disk = SimDisk::default();
    disk.put(USERS, bytes);
    disk.put(SEEN, bytes);
    let Ok((_, mut accounts)) = UsersFile::recover(&mut disk) else { return };
    SeenFile::recover(&mut disk, &mut accounts).expect("what was seen may be forgotten");
    let (users, seen) = (disk.bytes_from(USERS, 0), disk.bytes_from(SEEN, 0));
    assert!(users.is_empty() || users.ends_with(b"\n"));
    let (_, mut again) = UsersFile::recover(&mut disk).expect("it is well now");
    SeenFile::recover(&mut disk, &mut again).expect("it is well now");
    assert_eq!(again.len(), accounts.len());
    assert_eq!((disk.bytes_from(USERS, 0), disk.bytes_from(SEEN, 0)), (users, seen));
}

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((b'u', rest)) => accounts(rest),
        Some((_, rest)) => log(rest),
        None => {}
    }
});
