//! `state.txt`: with it a start notices that another file is older or shorter than it was, and knows the names in the
//! log without reading it. Whatever happens to it, a good directory starts.

use chinwag::limits::{RECOVERY_BYTES, SECOND_US};
use chinwag::log::storage::SyncPolicy;
use chinwag::protocol::name::Name;
use chinwag::protocol::record::Timestamp;
use chinwag::server::LoopState;
use chinwag::server::repair::repair;
use chinwag::state::checkpoint::{Checkpoint, CheckpointFile, Known};
use chinwag::state::users::UserRecord;
use chinwag::state::users_file::UsersFile;

use crate::sim::disk::{LOG, SEEN, STATE, SimDisk, USERS};
use crate::sim::harness::{Sim, options};
use crate::sim::world::XorShift;

fn chatty() -> Sim {
    let mut options = options();
    options.rate = None;
    let mut sim = Sim::with(options);
    for name in ["alice", "bob", "carol"] {
        sim.join(name);
        sim.say("alice", &format!("hello {name}"));
        sim.run_seconds(3);
    }
    sim
}

fn copy(disk: &SimDisk) -> SimDisk {
    disk.crash(|_, unsynced| unsynced.to_vec())
}

fn shut_down(sim: &mut Sim) {
    sim.net.state().shutdown = true;
    while sim.turn() == LoopState::Running {
        sim.world.advance(SECOND_US);
    }
}

fn start(disk: &SimDisk) -> Result<Sim, String> {
    Sim::try_on(copy(disk), options())
}

/// The last mark of the log or of `users.txt`: its length.
fn marked(state: &str, kind: &str) -> usize {
    let lines = state.lines().rev().filter_map(|line| line.strip_prefix(kind));
    lines.map(|line| line.split(':').nth(1).unwrap().parse().unwrap()).next().unwrap_or(0)
}

fn assert_takes_no_name_and_knows_accounts(disk: &SimDisk, names: &[&str], taken: &str, what: &str) {
    let mut sim = start(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    // While the log cannot be scanned, only state.txt tells which names are taken.
    for read_fails in [true, false] {
        sim.disk.state().read_fails = read_fails;
        sim.connect("mallory");
        sim.say("mallory", &format!("/register {taken} stolen-by-registering"));
        sim.run_seconds(3);
        let output = sim.output("mallory");
        assert!(!output.iter().any(|line| line.starts_with("* welcome")), "{what}: {output:?}");
    }
    for name in names {
        sim.join(name);
    }
}

/// A directory whose `state.txt` has lines of each kind, since bob's and carol's accounts were lost and given up.
fn with_reserved_names() -> SimDisk {
    let mut sim = chatty();
    sim.say("bob", "i am bob");
    sim.say("alice", "/msg carol hello");
    shut_down(&mut sim);
    let disk = copy(&sim.disk);
    let first = disk.read(USERS).lines().next().unwrap().to_owned() + "\n";
    disk.put(USERS, first.as_bytes());
    disk.remove(SEEN);
    disk.remove(STATE);
    let mut sim = Sim::on(disk, options());
    sim.join("alice");
    sim.run_seconds(10);
    sim.say("alice", "more");
    sim.run_seconds(2);
    let state = sim.disk.read(STATE);
    for kind in ["users:", "log:", "reserved:bob:", "reserved:carol:", "scanned:"] {
        assert!(state.lines().any(|line| line.starts_with(kind)), "{kind} is missing in {state}");
    }
    copy(&sim.disk)
}

#[test]
fn state_with_any_byte_changed_or_cut_off_anywhere_starts_and_frees_no_name() {
    let disk = with_reserved_names();
    let state = disk.bytes_from(STATE, 0);
    for at in 0..state.len() {
        for bit in [0, 3, 5] {
            let mut changed = state.clone();
            changed[at] ^= 1 << bit;
            disk.put(STATE, &changed);
            let taken = if at % 2 == 0 { "bob" } else { "carol" };
            assert_takes_no_name_and_knows_accounts(&disk, &["alice"], taken, &format!("bit {bit} at {at}"));
        }
        disk.put(STATE, &state[..at]);
        let taken = if at % 2 == 0 { "bob" } else { "carol" };
        assert_takes_no_name_and_knows_accounts(&disk, &["alice"], taken, &format!("cut at {at}"));
    }
    disk.remove(STATE);
    assert_takes_no_name_and_knows_accounts(&disk, &["alice"], "bob", "removed");
}

#[test]
fn state_from_any_earlier_moment_starts() {
    let mut sim = Sim::new();
    let mut states = vec![Vec::new()];
    for number in 0..12 {
        sim.join(&format!("user{number}"));
        sim.say("user0", &format!("number {number}"));
        sim.run_seconds(2);
        states.push(sim.disk.bytes_from(STATE, 0));
        if number % 4 == 3 {
            sim = sim.restart();
            sim.join("user0");
        }
    }
    let disk = copy(&sim.disk);
    for state in states {
        disk.put(STATE, &state);
        let mut sim = start(&disk).unwrap();
        sim.join("user11");
    }
}

#[test]
fn state_tells_that_a_file_was_cut_off_before_its_mark_and_allows_it_behind() {
    let mut sim = Sim::new();
    let mut states = Vec::new();
    for number in 0..40 {
        sim.join(&format!("user{number}"));
        sim.say(&format!("user{number}"), "hello");
        sim.run_seconds(2);
        states.push(sim.disk.read(STATE));
        if sim.names().len() == 20 {
            sim = sim.restart();
            sim.join("user0");
        }
    }
    let whole = copy(&sim.disk);
    // The marks that others left could refuse instead.
    whole.remove(SEEN);
    let mut random = XorShift::new(1);
    let (mut refused, mut allowed) = (0, 0);
    for number in 0..1_000 {
        let (file, kind) = if number % 2 == 0 { (LOG, "log") } else { (USERS, "users") };
        let disk = copy(&whole);
        let state = &states[random.below(states.len() as u64) as usize];
        disk.put(STATE, state.as_bytes());
        let text = disk.read(file);
        let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        let end = ends[random.below(ends.len() as u64) as usize];
        disk.put(file, &text.as_bytes()[..end]);
        let before = copy(&disk);
        let outcome = Sim::try_on(disk.clone(), options());
        let mark = marked(state, kind);
        if end < mark {
            let error = outcome.err().unwrap_or_else(|| panic!("{file} of {end} bytes, marked {mark}"));
            assert!(error.contains(file) && error.contains(&format!("ends at byte {end}")), "{error}");
            assert!(error.contains(&mark.to_string()) && error.contains("--repair"), "{error}");
            for name in [LOG, USERS, STATE] {
                assert_eq!(disk.bytes_from(name, 0), before.bytes_from(name, 0), "{name} is not touched");
            }
            refused += 1;
        } else {
            outcome.unwrap_or_else(|error| panic!("{file} of {end} bytes, marked {mark}: {error}"));
            allowed += 1;
        }
    }
    assert!(refused > 200 && allowed > 200, "{refused} were refused, {allowed} allowed");
}

#[test]
fn state_tells_that_a_file_is_another_one_and_a_repair_accepts_it() {
    let mut sim = chatty();
    shut_down(&mut sim);
    let disk = copy(&sim.disk);
    let mut other = Sim::new();
    ["carol", "bob", "alice"].iter().for_each(|name| other.join(name));
    let other = other.disk;
    let log = disk.read(LOG);
    let last = log[..log.len() - 1].rfind('\n').unwrap() + 1;
    let mut changed = log.clone();
    changed.replace_range(last + 25..last + 26, if &log[last + 25..last + 26] == "7" { "8" } else { "7" });
    let mut users = disk.bytes_from(USERS, 0);
    let length = users.len();
    users[length - 40..length - 20].fill(0);
    let unsealed: String = disk
        .read(USERS)
        .lines()
        .map(|line| line.split(':').take(5).collect::<Vec<_>>().join(":") + "\n")
        .collect();
    let longer = unsealed.repeat(2);
    for (file, bytes, expected) in [
        (LOG, changed.as_bytes(), format!("ends at byte {}", log.len())),
        (LOG, &log.as_bytes()[..last], format!("ends at byte {last}")),
        (USERS, &other.bytes_from(USERS, 0)[..], format!("ends at byte {length}")),
        (USERS, longer.as_bytes(), "no checksums".into()),
        (USERS, b"", "empty".into()),
    ] {
        let disk = copy(&disk);
        disk.put(file, bytes);
        let error = start(&disk).err().unwrap_or_else(|| panic!("{file}: {expected}"));
        assert!(error.contains(file) && error.contains(&expected) && error.contains("--repair"), "{error}");
        let mut storage = copy(&disk);
        let now = Timestamp::from_micros(1_795_000_000_000_000);
        for is_agreed in [false, true] {
            let mut said = Vec::new();
            let is_done = repair(&mut storage, is_agreed, now, &mut said).unwrap();
            assert_eq!(is_done, is_agreed);
            let said = String::from_utf8(said).unwrap();
            assert!(said.contains(file) && said.contains(&expected), "{said}");
            assert_eq!(start(&storage).is_ok(), is_agreed, "{said}");
            assert_eq!(storage.bytes_from(file, 0), bytes, "it is accepted as it is");
        }
    }
    for file in [LOG, USERS] {
        let disk = copy(&disk);
        disk.remove(file);
        let error = start(&disk).err().unwrap();
        assert!(error.contains(file) && error.contains("missing"), "{error}");
    }
}

#[test]
fn state_proves_that_only_the_last_newline_of_a_file_is_missing() {
    let mut sim = chatty();
    shut_down(&mut sim);
    for file in [LOG, USERS] {
        let disk = copy(&sim.disk);
        let text = disk.bytes_from(file, 0);
        disk.put(file, &text[..text.len() - 1]);
        let sim = start(&disk).unwrap();
        assert_eq!(sim.disk.bytes_from(file, 0), text);
        // With no room for it, too.
        disk.state().room = Some(0);
        let mut sim = Sim::on(disk, options());
        sim.disk.state().room = None;
        sim.join("alice");
        sim.say("alice", "one more");
        sim.say("alice", "/history 2");
        let output = sim.output("alice");
        assert!(output.iter().any(|line| line.ends_with(": hello carol")), "{output:?}");
        let kept = if file == LOG { &text[..] } else { &text[..text.len() - 1] };
        assert!(sim.disk.bytes_from(file, 0).starts_with(kept));
    }
}

#[test]
fn state_opens_the_registration_without_a_scan_of_the_log() {
    let mut sim = chatty();
    for _ in 0..1_500 {
        sim.say("alice", &"x".repeat(3_900));
    }
    sim.say("bob", "the end");
    for is_clean in [true, false] {
        sim.run_seconds(2);
        if is_clean {
            shut_down(&mut sim);
        } else {
            sim.join("alice");
            sim.join("bob");
            // This is said after the last mark, and scanned.
            sim.say("bob", "and killed");
        }
        let disk = copy(&sim.disk);
        assert!(disk.length(LOG) > 5 << 20);
        sim = sim.restart_on(disk);
        let read = sim.disk.state().read_bytes;
        assert!(read <= RECOVERY_BYTES + (64 << 10), "{read} bytes read at the start");
        sim.connect("dave");
        sim.send("dave", format!("/register dave{is_clean} correct-horse\n"));
        sim.turns(5);
        let output = sim.output("dave");
        assert!(output.iter().any(|line| line.starts_with("* welcome dave")), "{output:?}");
        assert!(sim.disk.state().read_bytes < read + (2 << 20), "it did not read all");
        // All of it is verified nevertheless.
        sim.run_seconds(10);
        let length = sim.disk.length(LOG);
        assert!(sim.disk.state().read_bytes > read + length);
    }
}

#[test]
fn state_never_says_more_than_what_is_synced() {
    for sync in [SyncPolicy::Always, SyncPolicy::Second, SyncPolicy::Never] {
        let mut options = options();
        options.sync = sync;
        let mut sim = Sim::with(options.clone());
        sim.join("alice");
        for number in 0..50 {
            sim.say("alice", &format!("number {number}"));
            sim.run_for(SECOND_US / 3);
            let disk =
                sim.disk.crash(|name, unsynced| if name == STATE { unsynced.to_vec() } else { Vec::new() });
            let marked = marked(&disk.read(STATE), "log");
            assert!(marked <= sim.disk.synced_length(LOG), "{sync:?}: {marked} bytes are marked");
            Sim::try_on(disk, options.clone()).unwrap_or_else(|error| panic!("{sync:?}: {error}"));
        }
        sim.run_seconds(3);
        let length = sim.disk.length(LOG);
        let mark = marked(&sim.disk.read(STATE), "log");
        assert_eq!(mark, if sync == SyncPolicy::Never { 0 } else { length }, "{sync:?}");
        shut_down(&mut sim);
        assert_eq!(marked(&sim.disk.read(STATE), "log"), length, "{sync:?}");
        assert_eq!(sim.disk.unsynced(LOG), 0);
    }
}

#[test]
fn state_that_cannot_be_written_changes_nothing_else() {
    let mut sim = chatty();
    sim.disk.state().full = Some(STATE);
    sim.say("alice", "no room");
    sim.run_seconds(2);
    sim.disk.remove(STATE);
    sim.say("alice", "removed");
    sim.run_seconds(2);
    sim.disk.state().room = Some(0);
    shut_down(&mut sim);
    assert!(!sim.disk.has(STATE), "there was no room for it");
    let disk = copy(&sim.disk);
    disk.state().room = Some(0);
    let mut sim = Sim::on(disk, options());
    sim.join("alice");
    sim.run_seconds(2);
    assert!(!sim.disk.has(STATE));
    sim.disk.state().heal();
    shut_down(&mut sim);
    assert_eq!(marked(&sim.disk.read(STATE), "users"), sim.disk.length(USERS));
    start(&sim.disk).unwrap();
}

#[test]
fn state_accuses_no_file_whenever_the_power_fails_in_a_rewrite_of_the_accounts() {
    let mut disk = copy(&chatty().disk);
    let (mut users, state) = UsersFile::recover(&mut disk, true, None).unwrap();
    for number in 0..1_100_u64 {
        let (name, at) = (Name::parse(b"bob").unwrap(), Timestamp::from_micros(number));
        users.commit(&mut disk, [UserRecord::Revoked { name, at }].iter()).unwrap();
    }
    // The file that is rewritten is shorter than its mark.
    let known = Known::of(&mut disk).unwrap();
    let checkpoint = Checkpoint { users: users.mark(), ..known.checkpoint };
    CheckpointFile::recover(&mut disk, known, checkpoint, &state);
    assert_eq!(marked(&disk.read(STATE), "users"), disk.length(USERS));
    for changes in 1.. {
        let disk = copy(&disk);
        disk.state().power_fails_after = Some(changes);
        let outcome = Sim::try_on(disk.clone(), options());
        let left = disk.crash(|_, _| Vec::new());
        if !disk.is_dead() {
            outcome.unwrap();
            assert!(changes > 8 && disk.read(USERS).lines().count() < 100, "{changes}");
            return;
        }
        let left = start(&left).unwrap_or_else(|error| panic!("after {changes} changes: {error}")).disk;
        // Any part of what it left is true of the file.
        let state = left.bytes_from(STATE, 0);
        for (at, _) in state.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            left.put(STATE, &state[..at + 1]);
            start(&left).unwrap_or_else(|error| panic!("after {changes} changes, cut at {at}: {error}"));
        }
    }
}
