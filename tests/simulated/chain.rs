//! The chains of `blocks.txt`: a reader of private lines passes over everything else, and sees the same.

use std::fmt::Write;

use chinwag::limits::BLOCK_BYTES;
use chinwag::log::chunk::Chunk;
use chinwag::log::cursor::{Cursor, Progress};
use chinwag::log::journal::Journal;
use chinwag::log::reader::{Reader, Rooms};
use chinwag::log::storage::SyncPolicy;
use chinwag::protocol::command::HistoryRange;
use chinwag::protocol::name::Name;
use chinwag::protocol::record::{Target, TimePrefix, Timestamp};
use chinwag::protocol::room::RoomName;
use chinwag::server::LoopState;

use crate::sim::disk::{BLOCKS, LOG, SimDisk, SimFile};
use crate::sim::harness::{Sim, options, text_of};
use crate::sim::world::XorShift;

/// Begins to read for alice.
type Make = Box<dyn Fn(&Journal<SimFile>) -> Cursor>;

fn name(text: &str) -> Name {
    Name::parse(text.as_bytes()).unwrap()
}

fn with(text: &str) -> Target {
    Target::parse(text.as_bytes()).unwrap()
}

/// The rooms of alice, one of which she sees from the middle of the log on.
struct OfAlice;

const SEEN_FROM: u64 = 2_000;

impl Rooms for OfAlice {
    fn shown_from(&self, reader: &Name, room: &[u8]) -> Option<Timestamp> {
        match room.to_ascii_lowercase().as_slice() {
            b"rust" if reader.is(b"alice") => Some(Timestamp::default()),
            b"board" if reader.is(b"alice") => Some(stamp(SEEN_FROM)),
            _ => None,
        }
    }
}

fn rooms_of_alice() -> Vec<RoomName> {
    [&b"#rust"[..], b"#board"].map(|room| RoomName::parse(room).unwrap()).to_vec()
}

fn stamp(number: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000 + number)
}

/// A log in which some blocks have private lines for alice, in several spellings, or lines of rooms, and most have
/// none.
fn random_log(random: &mut XorShift, blocks: usize) -> String {
    let mut log = String::new();
    let mut number = 0;
    let mut private_of = 0;
    while log.len() < blocks * BLOCK_BYTES + 3_000 {
        if random.below(60) == 0 {
            private_of = random.below(12);
        }
        let ends = match (private_of, random.below(12)) {
            (0, 0..3) => "bob -> Alice",
            (1, 0) => "ALICE -> bob",
            (2, 5) => "alice -> carol",
            (3, 0) => "dave -> alice",
            (4, 0..2) => "bob -> #rust",
            (5, 3) => "dave -> #Board",
            (6, 4..6) => "carol -> #other",
            (_, 1) => "bob -> carol",
            _ => "carol",
        };
        let longest = random.one_of(&[60, 3_900]);
        let text = "x".repeat(random.below(longest) as usize);
        writeln!(log, "{} {ends}: {number}{text}", stamp(number)).unwrap();
        number += 1;
    }
    log
}

/// Opens a log with its index, to which all full blocks were added.
fn open(disk: &SimDisk) -> Journal<SimFile> {
    let mut storage = disk.clone();
    let mut journal = Journal::recover(&mut storage, SyncPolicy::Always, None).unwrap();
    journal.open_blocks(&mut storage, &|_| None).unwrap();
    let mut buffer = vec![0; BLOCK_BYTES];
    while journal.is_index_behind() {
        journal.add_to_index(&|_| None, &mut buffer).unwrap();
    }
    journal.save_index().unwrap();
    journal
}

/// What alice is given, and how much was read for it.
fn read_all(journal: &mut Journal<SimFile>, mut cursor: Cursor, disk: &SimDisk) -> (String, usize) {
    let (alice, mut chunk) = (Reader { name: name("alice"), rooms: &OfAlice }, Chunk::default());
    let mut given = String::new();
    let before = disk.state().read_bytes;
    for _ in 0..100_000 {
        match cursor.step(journal, &alice, &mut chunk).unwrap() {
            Progress::Passed => {}
            Progress::Notices(lines) => given += &lines,
            Progress::EndOfHistory => given += "* end\n",
            Progress::AtEnd => return (given, disk.state().read_bytes - before),
            Progress::Lines => {
                let text = String::from_utf8(chunk.text().to_vec()).unwrap();
                given += &text;
                cursor.advance(text.len(), &chunk);
            }
        }
    }
    panic!("it does not end");
}

#[test]
fn chains_give_exactly_the_lines_that_reading_everything_gives() {
    for seed in 1..=12 {
        let random = &mut XorShift::new(seed);
        let disk = SimDisk::default();
        let log = random_log(random, 30);
        disk.put(LOG, log.as_bytes());
        let mut journal = open(&disk);
        // All blocks are verified, and the lines of half of the index come from a file that a start has read.
        if seed % 2 == 0 {
            drop(journal);
            journal = open(&disk);
        }
        let last = log.lines().count() as u64;
        let (mut read, mut read_by_chain) = (0, 0);
        for _ in 0..25 {
            let time = stamp(random.below(last));
            let prefix = TimePrefix::whole(time);
            let with = with(
                random.one_of(&["bob", "Carol", "DAVE", "alice", "nobody", "#RUST", "#board", "#other"]),
            );
            let count = random.below(300);
            let make: Make = match random.below(6) {
                0 => Box::new(move |journal| Cursor::history(HistoryRange::All, Some(with), journal)),
                1 => Box::new(move |journal| Cursor::history(HistoryRange::Last(count), Some(with), journal)),
                2 => {
                    Box::new(move |journal| Cursor::history(HistoryRange::Since(prefix), Some(with), journal))
                }
                3 => Box::new(move |journal| {
                    Cursor::history(HistoryRange::Before(count, prefix), Some(with), journal)
                }),
                4 => Box::new(move |journal| Cursor::missed(Timestamp::default(), 5, journal)),
                _ => Box::new(move |journal| Cursor::missed(time, 30, journal)),
            };
            let cursor = make(&journal);
            let (expected, bytes) = read_all(&mut journal, cursor, &disk);
            read += bytes;
            let mut cursor = make(&journal);
            cursor.follow(&journal, name("aLICE"), None, &rooms_of_alice());
            let (given, bytes) = read_all(&mut journal, cursor, &disk);
            read_by_chain += bytes;
            assert_eq!(given, expected, "seed {seed}");
        }
        assert!(read_by_chain < read, "seed {seed}: {read_by_chain} of {read}");
    }
}

#[test]
fn chains_go_on_through_lines_that_are_not_in_the_file_yet() {
    let disk = SimDisk::default();
    let log = random_log(&mut XorShift::new(5), 30);
    disk.put(LOG, log.as_bytes());
    let mut storage = disk.clone();
    let mut journal = Journal::recover(&mut storage, SyncPolicy::Always, None).unwrap();
    journal.open_blocks(&mut storage, &|_| None).unwrap();
    let mut buffer = vec![0; BLOCK_BYTES];
    while journal.is_index_behind() {
        journal.add_to_index(&|_| None, &mut buffer).unwrap();
        if disk.length(BLOCKS) == 0 && journal.blocks().unwrap().end().bytes() > 12 * BLOCK_BYTES as u64 {
            journal.save_index().unwrap();
        }
    }
    assert_eq!(disk.read(BLOCKS).lines().count(), 13);
    for party in ["bob", "carol", "dave", "#rust"] {
        let whole = Cursor::history(HistoryRange::All, Some(with(party)), &journal);
        let (expected, read) = read_all(&mut journal, whole, &disk);
        let mut cursor = Cursor::history(HistoryRange::All, Some(with(party)), &journal);
        cursor.follow(&journal, name("alice"), None, &[]);
        let (given, read_by_chain) = read_all(&mut journal, cursor, &disk);
        assert_eq!(given, expected, "{party}");
        assert!(read_by_chain < read, "{party}: {read_by_chain} of {read}");
    }
}

#[test]
fn chains_hold_what_was_said_in_a_block_on_both_sides_of_a_restart() {
    let mut sim = Sim::new();
    ["alice", "bob"].iter().for_each(|name| sim.join(name));
    sim.say("alice", "/msg bob before");
    sim.net.state().shutdown = true;
    while sim.turn() == LoopState::Running {}
    assert!(sim.disk.read(BLOCKS).starts_with("0 "), "the sum of the block so far is there");
    let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
    let mut options = options();
    options.rate = None;
    let mut sim = Sim::try_on(disk, options).unwrap();
    ["alice", "bob"].iter().for_each(|name| sim.join(name));
    sim.say("alice", "/msg bob behind");
    for _ in 0..2 * BLOCK_BYTES / 3_000 {
        sim.say("bob", &"x".repeat(3_000));
    }
    let mut sim = sim.restart();
    sim.run_seconds(5);
    sim.join("bob");
    sim.clear();
    sim.say("bob", "/history alice");
    let texts: Vec<String> = sim.output("bob").iter().map(|line| text_of(line).to_owned()).collect();
    assert_eq!(texts, ["before", "behind", "* end of history"]);
}

#[test]
fn chains_with_more_runs_than_are_remembered_are_walked_again() {
    let mut log = String::new();
    let mut number = 0;
    // A private line in every other block.
    while log.len() < 300 * BLOCK_BYTES {
        let is_private =
            (log.len() / BLOCK_BYTES).is_multiple_of(2) && (log.len() + 4_000) / BLOCK_BYTES % 2 == 1;
        let ends = if is_private { "bob -> alice" } else { "carol" };
        writeln!(log, "{} {ends}: {}", stamp(number), "x".repeat(3_500)).unwrap();
        number += 1;
    }
    let disk = SimDisk::default();
    disk.put(LOG, log.as_bytes());
    let mut journal = open(&disk);
    let cursor = Cursor::history(HistoryRange::All, Some(with("bob")), &journal);
    let (expected, _) = read_all(&mut journal, cursor, &disk);
    assert!(expected.lines().count() >= 100);
    let mut cursor = Cursor::history(HistoryRange::All, Some(with("bob")), &journal);
    cursor.follow(&journal, name("alice"), None, &[]);
    assert_eq!(read_all(&mut journal, cursor, &disk).0, expected);
}

#[test]
fn chains_are_followed_without_reading_much_beside_their_blocks() {
    let mut log = String::new();
    let mut number = 0;
    // A private line in the middle of every tenth block.
    while log.len() < 200 * BLOCK_BYTES {
        let is_private = log.len() / BLOCK_BYTES % 10 == 5 && log.len() % BLOCK_BYTES / 100 == 300;
        let ends = if is_private { "bob -> alice" } else { "carol" };
        writeln!(log, "{} {ends}: {}", stamp(number), "x".repeat(90)).unwrap();
        number += 1;
    }
    let disk = SimDisk::default();
    disk.put(LOG, log.as_bytes());
    let mut journal = open(&disk);
    let mut cursor = Cursor::history(HistoryRange::Last(15), Some(with("bob")), &journal);
    cursor.follow(&journal, name("alice"), None, &[]);
    let (given, read) = read_all(&mut journal, cursor, &disk);
    assert_eq!(given.lines().count(), 16);
    // Each block once backwards and once forwards, and the places where its first and its last line end.
    assert!(read < 15 * 11 * BLOCK_BYTES / 4, "{read}");
}

#[test]
fn chains_with_a_bad_line_are_left_for_reading_everything() {
    let disk = SimDisk::default();
    let log = random_log(&mut XorShift::new(3), 30);
    disk.put(LOG, log.as_bytes());
    let mut journal = open(&disk);
    let cursor = Cursor::history(HistoryRange::All, Some(with("bob")), &journal);
    let (expected, _) = read_all(&mut journal, cursor, &disk);
    // Under the running server.
    let index = disk.read(BLOCKS);
    for line in 0..30 {
        let changed: String = index
            .lines()
            .enumerate()
            .map(|(number, it)| if number == line { it.replace(':', ";") + "\n" } else { format!("{it}\n") })
            .collect();
        disk.change(BLOCKS, changed.as_bytes());
        let mut cursor = Cursor::history(HistoryRange::All, Some(with("bob")), &journal);
        cursor.follow(&journal, name("alice"), None, &[]);
        assert_eq!(read_all(&mut journal, cursor, &disk).0, expected, "line {line}");
    }
}

#[test]
fn chains_find_old_private_lines_without_reading_what_was_said_since() {
    let mut options = options();
    options.rate = None;
    let mut sim = Sim::with(options);
    ["alice", "bob", "carol"].iter().for_each(|name| sim.join(name));
    for number in 0..60 {
        sim.say("alice", &format!("/msg BOB number {number}"));
    }
    let private: Vec<String> = sim.disk.read(LOG).lines().map(str::to_owned).collect();
    let say_much = |sim: &mut Sim, count: usize| {
        for _ in 0..count {
            sim.send("carol", ("x".repeat(3_900) + "\n").repeat(30));
            sim.settle();
            sim.clear();
        }
        sim.run_seconds(3);
    };
    say_much(&mut sim, 30);
    sim.say("bob", "/msg Alice here");
    let answer = sim.disk.read(LOG).lines().last().unwrap().to_owned();
    say_much(&mut sim, 30);
    let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
    let mut sim = sim.restart_on(disk);
    sim.run_seconds(5);
    sim.join("bob");
    sim.clear();
    let before = sim.disk.state().read_bytes;
    sim.say("bob", "/history alice 31");
    let mut expected = private[30..].to_vec();
    expected.extend([answer, "* end of history".to_owned()]);
    assert_eq!(sim.output("bob"), expected);
    let read = sim.disk.state().read_bytes - before;
    assert!(read < 12 * BLOCK_BYTES, "{read} of {}", sim.disk.length(LOG));
}
