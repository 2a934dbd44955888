//! `blocks.txt`: what was changed in the log since it was written is shown to nobody, and the index never misleads.

use std::collections::BTreeSet;
use std::fs;

use chinwag::limits::BLOCK_BYTES;
use chinwag::log::storage::SyncPolicy;
use chinwag::protocol::record::Timestamp;
use chinwag::server::check::check;
use chinwag::server::repair::{new_history, repair};
use chinwag::server::{LoopState, Options};

use crate::sim::disk::{BLOCKS, LOG, SEEN, STATE, SimDisk, USERS};
use crate::sim::harness::{Sim, options};
use crate::sim::world::XorShift;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

fn unlimited() -> Options {
    Options { rate: None, ..options() }
}

/// Says so many things, some in private, with a few long ones in between.
fn talk(sim: &mut Sim, count: usize) {
    for number in 0..count {
        let text = format!("{number} {}", "x".repeat(number * 7919 % 1500));
        match number % 7 {
            0 => sim.send("alice", format!("/msg bob {text}\n")),
            1 => sim.send("bob", format!("/w ALICE {text}\n")),
            2 if number % 3 == 0 => sim.send("carol", format!("/msg dave {text}\n")),
            _ => sim.send("carol", format!("{text}\n")),
        }
        sim.settle();
    }
    sim.run_seconds(2);
    sim.clear();
}

fn chat_of(options: Options, count: usize) -> Sim {
    let mut sim = Sim::with(options);
    ["alice", "bob", "carol", "dave"].iter().for_each(|name| sim.join(name));
    talk(&mut sim, count);
    sim
}

fn chat(count: usize) -> Sim {
    chat_of(unlimited(), count)
}

/// What a kill leaves.
fn left(disk: &SimDisk) -> SimDisk {
    disk.crash(|_, unsynced| unsynced.to_vec())
}

/// What a shutdown leaves.
fn shut_down(sim: &mut Sim) -> SimDisk {
    sim.net.state().shutdown = true;
    while sim.turn() == LoopState::Running {
        sim.names().iter().for_each(|name| drop(sim.output(name)));
    }
    left(&sim.disk)
}

fn start(disk: &SimDisk) -> Sim {
    let mut sim = Sim::on(left(disk), unlimited());
    sim.world.advance(86_400_000_000);
    sim
}

/// All messages that somebody is shown who logs in and asks for all, and what is said about damage.
fn shown(sim: &mut Sim, name: &str) -> (Vec<String>, Vec<String>) {
    sim.connect(name);
    sim.say(name, &format!("/login {name} correct-horse"));
    let missed = sim.output(name);
    sim.say(name, "/history");
    let history = sim.output(name);
    assert_eq!(history.last().map(String::as_str), Some("* end of history"), "{name}");
    let damage = history.iter().filter(|line| line.starts_with("! damaged: ")).cloned().collect();
    let is_message = |line: &String| line.starts_with(|first: char| first.is_ascii_digit());
    (missed.into_iter().chain(history).filter(is_message).collect(), damage)
}

fn lines_of(disk: &SimDisk) -> u64 {
    disk.read(BLOCKS).lines().count() as u64
}

fn is_well(disk: &SimDisk) -> bool {
    let directory = tempfile::tempdir().unwrap();
    for name in [LOG, USERS, SEEN, BLOCKS].into_iter().filter(|name| disk.has(name)) {
        fs::write(directory.path().join(name), disk.bytes_from(name, 0)).unwrap();
    }
    check(directory.path(), NOW, &mut Vec::new()).unwrap()
}

fn repaired(disk: &SimDisk) -> SimDisk {
    let mut disk = left(disk);
    let mut said = Vec::new();
    assert!(!repair(&mut disk, false, NOW, &mut said).unwrap(), "it only says what it would do");
    assert!(repair(&mut disk, true, NOW, &mut said).unwrap());
    left(&disk)
}

fn flip(disk: &SimDisk, name: &str, at: usize, bit: u32) {
    let mut bytes = disk.bytes_from(name, 0);
    bytes[at] ^= 1 << bit;
    disk.put(name, &bytes);
}

#[test]
fn blocks_of_a_thousand_flipped_bits_none_shows_anything_to_others_or_passes_the_check() {
    let sim = chat(450);
    let disk = left(&sim.disk);
    let covered = lines_of(&disk) * BLOCK_BYTES as u64;
    assert!(covered >= 3 * BLOCK_BYTES as u64, "{covered}");
    assert!(is_well(&disk));
    let visible: Vec<BTreeSet<String>> =
        ["carol", "dave"].iter().map(|name| sim.visible_to(name).into_iter().collect()).collect();
    let mut random = XorShift::new(1);
    // Every third in a recipient's name or in front of it.
    let log = disk.bytes_from(LOG, 0);
    let arrows: Vec<usize> = (0..covered as usize).filter(|&at| log[at..].starts_with(b" -> ")).collect();
    for number in 0..1_000 {
        let at = match number % 3 {
            0 => (random.one_of(&arrows) + random.below(8) as usize).min(covered as usize - 1),
            _ => random.below(covered) as usize,
        };
        let bit = random.below(8) as u32;
        let disk = left(&disk);
        flip(&disk, LOG, at, bit);
        assert!(!is_well(&disk), "{at}.{bit}");
        let mut sim = start(&disk);
        for (name, visible) in ["carol", "dave"].iter().zip(&visible) {
            let (shown, damage) = shown(&mut sim, name);
            assert_eq!(damage.len(), 1, "{at}.{bit}: {damage:?}");
            let strange = shown.iter().find(|line| !visible.contains(*line));
            assert_eq!(strange, None, "{at}.{bit}: {name}");
        }
    }
}

#[test]
fn blocks_a_changed_one_is_hidden_from_all_until_a_repair_and_the_others_are_shown() {
    let sim = chat(300);
    let disk = left(&sim.disk);
    let all = sim.visible_to("alice");
    flip(&disk, LOG, BLOCK_BYTES + 500, 0);
    let mut sim = start(&disk);
    let (shown_now, damage) = shown(&mut sim, "alice");
    let log = disk.read(LOG);
    let is_hidden = |line: &String| {
        let end = (log.find(line.as_str()).unwrap_or(BLOCK_BYTES) + line.len()) as u64;
        let start = end - line.len() as u64;
        start <= 2 * BLOCK_BYTES as u64 && end >= BLOCK_BYTES as u64
    };
    let expected: BTreeSet<_> = all.iter().filter(|line| !is_hidden(line)).cloned().collect();
    assert_eq!(shown_now.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(damage.len(), 1);
    // What is said from now on is shown, and the block stays hidden after another start.
    sim.say("alice", "still here");
    let mut sim = start(&left(&sim.disk));
    let (shown_again, damage) = shown(&mut sim, "alice");
    assert!(shown_again.iter().any(|line| line.ends_with(": still here")) && damage.len() == 1);
    let disk = repaired(&sim.disk);
    assert!(is_well(&disk));
    let mut sim = start(&disk);
    let (shown_after, damage) = shown(&mut sim, "alice");
    assert!(damage.is_empty());
    assert!(shown_after.len() > all.len() - 2, "all but the changed line");
}

#[test]
fn blocks_a_shutdown_covers_the_last_one_and_no_growth_makes_its_damage_good() {
    let mut sim = chat(90);
    let log = shut_down(&mut sim);
    let length = log.length(LOG);
    let inside = length - 40;
    let number = length / BLOCK_BYTES;
    assert!(log.read(BLOCKS).contains(&format!("{number} {} ", length % BLOCK_BYTES)));
    assert!(is_well(&log));
    for shuts_down in [false, true] {
        let disk = left(&log);
        flip(&disk, LOG, inside, 1);
        assert!(!is_well(&disk));
        let mut sim = start(&disk);
        let (_, damage) = shown(&mut sim, "carol");
        assert_eq!(damage.len(), 1);
        ["alice", "bob", "dave"].iter().for_each(|name| sim.join(name));
        talk(&mut sim, 10);
        if shuts_down {
            let disk = shut_down(&mut sim);
            sim = start(&disk);
            ["alice", "bob", "carol", "dave"].iter().for_each(|name| sim.join(name));
        }
        talk(&mut sim, 200);
        let disk = left(&sim.disk);
        assert!(lines_of(&disk) > number as u64 + 1, "the block is full");
        assert!(!is_well(&disk));
        let before = sim.visible_to("carol");
        let mut sim = start(&disk);
        let (shown, damage) = shown(&mut sim, "carol");
        assert_eq!(damage.len(), 1, "{shuts_down}");
        let shown: BTreeSet<_> = shown.into_iter().collect();
        let log = disk.bytes_from(LOG, length);
        let behind = String::from_utf8(log).unwrap();
        for line in behind.lines().filter(|line| before.iter().any(|it| it == line)) {
            assert!(shown.contains(line), "what was said behind the damage is shown: {line}");
        }
    }
}

#[test]
fn blocks_every_change_of_the_file_is_mended_and_shows_nothing_wrong() {
    let mut sim = chat(200);
    let disk = shut_down(&mut sim);
    let index = disk.bytes_from(BLOCKS, 0);
    assert!(lines_of(&disk) >= 3 && index.len() < 400, "{}", index.len());
    let visible: Vec<_> = ["alice", "dave"].iter().map(|name| (*name, sim.visible_to(name))).collect();
    let mut cases: Vec<Option<Vec<u8>>> = vec![None, Some(Vec::new())];
    cases.extend((0..index.len()).map(|at| {
        let mut changed = index.clone();
        changed[at] ^= 1 << (at % 8);
        Some(changed)
    }));
    cases.extend((0..index.len()).map(|length| Some(index[..length].to_vec())));
    cases.extend((0..index.len()).map(|at| Some([&index[..at], &index[at + 1..]].concat())));
    cases.push(Some([&index[..], &index[..]].concat()));
    cases.push(Some([&index[..], b"junk without an end"].concat()));
    cases.push(Some(vec![0; 2000]));
    for (number, case) in cases.into_iter().enumerate() {
        let disk = left(&disk);
        match case {
            Some(bytes) => disk.put(BLOCKS, &bytes),
            None => disk.remove(BLOCKS),
        }
        let mut sim = start(&disk);
        for (name, visible) in &visible {
            let (shown, damage) = shown(&mut sim, name);
            assert!(damage.is_empty(), "{number}: {damage:?}");
            assert!(shown.ends_with(visible), "{number}: {name}");
        }
        let disk = shut_down(&mut sim);
        assert_eq!(disk.read(BLOCKS), String::from_utf8_lossy(&index), "{number}: it is rebuilt");
    }
}

#[test]
fn blocks_a_bad_line_among_good_ones_does_not_make_damage_elsewhere_good() {
    let sim = chat(300);
    let disk = left(&sim.disk);
    flip(&disk, BLOCKS, 3, 0);
    flip(&disk, LOG, 2 * BLOCK_BYTES + 100, 0);
    let mut sim = start(&disk);
    let (_, damage) = shown(&mut sim, "alice");
    assert_eq!(damage.len(), 1);
    assert!(!is_well(&sim.disk));
}

#[test]
fn blocks_lines_beyond_the_end_of_the_log_do_not_count_even_after_it_has_grown() {
    let sim = chat(300);
    let disk = left(&sim.disk);
    let log = disk.read(LOG);
    let cut = log[..BLOCK_BYTES + 3000].rfind('\n').unwrap() + 1;
    disk.put(LOG, &log.as_bytes()[..cut]);
    // Nothing else tells that it is shorter than it was.
    [SEEN, STATE].iter().for_each(|file| disk.remove(file));
    let mut sim = start(&disk);
    ["alice", "bob", "carol", "dave"].iter().for_each(|name| sim.join(name));
    talk(&mut sim, 200);
    let visible = sim.visible_to("alice");
    let (shown, damage) = shown(&mut start(&left(&sim.disk)), "alice");
    assert!(damage.is_empty() && shown.ends_with(&visible));
}

#[test]
fn blocks_of_another_log_or_an_older_one_show_nothing_wrong() {
    let mut sim = chat(120);
    let older = shut_down(&mut sim).bytes_from(BLOCKS, 0);
    let mut sim = start(&left(&sim.disk));
    ["alice", "bob", "carol", "dave"].iter().for_each(|name| sim.join(name));
    talk(&mut sim, 200);
    let disk = left(&sim.disk);
    disk.put(BLOCKS, &older);
    let visible = sim.visible_to("alice");
    let (all, damage) = shown(&mut start(&disk), "alice");
    assert!(damage.is_empty() && all.ends_with(&visible));
    // That of another log is damage, until a repair.
    let mut other = Sim::with(unlimited());
    ["bob", "alice", "carol", "dave"].iter().for_each(|name| other.join(name));
    talk(&mut other, 300);
    disk.put(BLOCKS, &other.disk.bytes_from(BLOCKS, 0));
    let (some, damage) = shown(&mut start(&disk), "alice");
    assert!(damage.len() == 1 && some.iter().all(|line| visible.contains(line)));
    let (all, damage) = shown(&mut start(&repaired(&disk)), "alice");
    assert!(damage.is_empty() && all.ends_with(&visible));
}

#[test]
fn blocks_a_new_history_begins_with_an_empty_index() {
    let mut sim = chat(200);
    let mut disk = shut_down(&mut sim);
    new_history(&mut disk, NOW, &mut Vec::new()).unwrap();
    let mut sim = start(&disk);
    ["alice", "bob", "carol", "dave"].iter().for_each(|name| sim.join(name));
    talk(&mut sim, 200);
    assert!(is_well(&left(&sim.disk)));
    let visible = sim.visible_to("alice");
    let (shown, damage) = shown(&mut start(&left(&sim.disk)), "alice");
    assert!(damage.is_empty() && shown.ends_with(&visible));
}

#[test]
fn blocks_have_no_line_of_bytes_that_are_not_on_disk() {
    for sync in [SyncPolicy::Never, SyncPolicy::Second, SyncPolicy::Always] {
        let mut sim = chat_of(Options { sync, ..unlimited() }, 200);
        assert!(lines_of(&sim.disk) > 0, "{sync:?}");
        for _ in 0..20 {
            sim.send("carol", format!("{}\n", "y".repeat(3_500)).repeat(30));
            sim.settle();
            sim.clear();
            // The system keeps what it was not told to keep: of the log nothing, and all of the index.
            let disk = sim.disk.crash(|name, unsynced| match name {
                LOG => Vec::new(),
                _ => unsynced.to_vec(),
            });
            let covered = lines_of(&disk) * BLOCK_BYTES as u64;
            assert!(covered <= disk.length(LOG) as u64, "{sync:?}");
            sim.run_seconds(1);
        }
    }
}

#[test]
fn blocks_a_full_disk_stops_nothing_and_the_index_goes_on_when_there_is_room() {
    let mut sim = chat(100);
    sim.disk.state().full = Some(BLOCKS);
    talk(&mut sim, 200);
    let lines = lines_of(&sim.disk);
    assert!(is_well(&left(&sim.disk)));
    sim.disk.state().full = None;
    sim.run_seconds(3);
    assert!(lines_of(&sim.disk) > lines);
    let visible = sim.visible_to("alice");
    let (shown, damage) = shown(&mut start(&left(&sim.disk)), "alice");
    assert!(damage.is_empty() && shown.ends_with(&visible));
}

#[test]
fn blocks_a_rebuild_delays_no_shutdown_and_goes_on_after_the_next_start() {
    let mut sim = Sim::with(unlimited());
    sim.join("carol");
    for _ in 0..40 {
        sim.send("carol", ("x".repeat(3_900) + "\n").repeat(30));
        sim.settle();
        sim.clear();
    }
    let disk = shut_down(&mut sim);
    let index = disk.read(BLOCKS);
    assert!(index.lines().count() > 60);
    disk.put(BLOCKS, b"");
    let mut sim = start(&disk);
    sim.turn();
    let before = sim.disk.state().read_bytes;
    let disk = shut_down(&mut sim);
    let read = sim.disk.state().read_bytes - before;
    assert!(read < 10 * BLOCK_BYTES, "{read} of {}", disk.length(LOG));
    assert!(index.starts_with(&disk.read(BLOCKS)));
    let mut sim = start(&disk);
    sim.run_seconds(5);
    let disk = shut_down(&mut sim);
    assert_eq!(disk.read(BLOCKS), index);
}
