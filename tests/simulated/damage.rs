//! A log that was changed by something other than the server, and what its readers and its operator are told.

use chinwag::limits::{RESERVED_NAMES_MAX, SECOND_US};

use crate::sim::disk::{LOG, STATE, USERS};
use crate::sim::harness::{Sim, options, text_of, without_presence};

fn chatty(names: &[&str]) -> Sim {
    let mut options = options();
    options.rate = None;
    let mut sim = Sim::with(options);
    names.iter().for_each(|name| sim.join(name));
    sim.run_seconds(10);
    sim.clear();
    sim
}

/// Changes the bytes of the log under the running server, which does not notice.
fn damage(sim: &Sim, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = sim.disk.bytes_from(LOG, 0);
    change(&mut bytes);
    sim.disk.put(LOG, &bytes);
}

#[test]
fn damage_in_the_history_is_named_in_its_place_to_whoever_reads_past_it() {
    let mut sim = chatty(&["alice", "bob"]);
    for number in 0..30 {
        sim.say("alice", &format!("number {number}"));
    }
    let lines: Vec<String> = sim.disk.read(LOG).lines().map(str::to_owned).collect();
    damage(&sim, |bytes| {
        let at = lines[..10].iter().map(|line| line.len() + 1).sum::<usize>();
        // Two whole lines, and in a third the timestamp: it comes before that of the line before it.
        bytes[at..at + lines[10].len() + 1 + lines[11].len()].fill(0);
        let third = lines[..20].iter().map(|line| line.len() + 1).sum::<usize>();
        bytes[third..third + 4].copy_from_slice(b"2001");
    });
    let notice = |bytes: usize, line: usize| {
        format!("! damaged: {bytes} bytes at {} cannot be shown", &lines[line][..27])
    };
    let mut expected = lines[..10].to_vec();
    expected.push(notice(lines[10].len() + lines[11].len() + 2, 9));
    expected.extend_from_slice(&lines[12..20]);
    expected.push(notice(lines[20].len() + 1, 19));
    expected.extend_from_slice(&lines[21..]);
    expected.push("* end of history".into());
    sim.clear();
    sim.say("bob", "/history");
    assert_eq!(without_presence(sim.output("bob")), expected);
    sim.say("bob", &format!("/history {}", &lines[15][..27]));
    assert_eq!(without_presence(sim.output("bob")), expected[14..]);
    sim.say("bob", "/history 5");
    assert_eq!(without_presence(sim.output("bob")), expected[expected.len() - 6..]);
}

#[test]
fn damage_is_passed_in_bounded_steps_while_others_talk() {
    let mut sim = chatty(&["alice", "bob", "carol"]);
    for number in 0..400 {
        sim.say("alice", &format!("{number} {}", "x".repeat(3_000)));
    }
    let first = sim.disk.read(LOG)[..27].to_owned();
    damage(&sim, |bytes| {
        let (from, to) = (bytes.len() / 4, bytes.len() - 50_000);
        bytes[from..to].fill(b'\n');
    });
    sim.clear();
    for ask in
        ["/history", &format!("/history {first}"), "/history 300", &format!("/history 5 before {first}")]
    {
        sim.send("bob", format!("{ask}\n"));
        let mut turns = 0;
        while !sim.output("bob").iter().any(|line| line == "* end of history") {
            let read = sim.disk.state().read_bytes;
            sim.send("alice", "still here\n");
            sim.turn();
            assert!(sim.output("carol").iter().any(|line| line.ends_with("still here")), "in the same turn");
            assert!(sim.disk.state().read_bytes - read <= 80 << 10);
            turns += 1;
            assert!(turns < 200, "{ask}");
        }
    }
}

#[test]
fn damage_that_shortened_the_log_ends_an_answer_with_an_error() {
    for ask in ["/history", "/history 3", "/history 2026-11-22T12:00:10", "/history 3 before 2026-11-23"] {
        let mut sim = chatty(&["alice", "bob"]);
        for number in 0..30 {
            sim.say("alice", &format!("number {number}"));
        }
        damage(&sim, |bytes| bytes.truncate(500));
        sim.clear();
        sim.say("bob", ask);
        let output = without_presence(sim.output("bob"));
        assert!(output.last().unwrap().starts_with("! history-unavailable: "), "{ask}: {output:?}");
        // Nothing more is saved in it, and everyone else is served.
        sim.say("alice", "hello");
        assert!(sim.output("alice").iter().any(|line| line.starts_with("! not-saved: somebody removed")));
        sim.say("alice", "/users");
        assert!(sim.output("alice").last().unwrap().ends_with("online"));
    }
}

/// What is left of a server whose users.txt lost its newest accounts, with so much said before.
fn without_newest_account(sim: Sim) -> Sim {
    let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
    let users = disk.read(USERS);
    let first = users.split_inclusive('\n').next().unwrap();
    disk.put(USERS, first.as_bytes());
    disk.remove("seen.txt");
    // It would tell.
    disk.remove(STATE);
    sim.restart_on(disk)
}

#[test]
fn names_of_the_history_that_have_no_account_cannot_be_registered() {
    for (line, length) in [("/msg bob for you alone", 10), ("/msg bob for you alone", 3_000)] {
        let mut sim = chatty(&["alice", "bob"]);
        sim.say("alice", line);
        for _ in 0..400 {
            sim.say("alice", &"x".repeat(length));
        }
        let mut sim = without_newest_account(sim);
        for name in ["bob", "BOB"] {
            sim.connect(name);
            sim.say(name, &format!("/register {name} other-horse"));
            let output = sim.output(name);
            assert!(output.last().unwrap().starts_with("! name-taken: "), "{output:?}");
        }
        sim.join("carol");
    }
}

#[test]
fn names_are_waited_for_by_registrations_and_by_nothing_else() {
    let mut sim = chatty(&["alice", "bob"]);
    for _ in 0..400 {
        sim.say("alice", &"x".repeat(3_000));
    }
    sim.say("bob", "i was here");
    let mut sim = without_newest_account(sim);
    for client in ["alice", "bob", "carol", "gone"] {
        sim.connect(client);
    }
    sim.send("alice", "/login alice correct-horse\nhello\n");
    sim.send("bob", "/register bob other-horse\n");
    sim.send("carol", "/register carol correct-horse\nhello\n");
    sim.send("gone", "/register dave correct-horse\n");
    sim.turns(3);
    let waits = "* the server is still reading its history; your registration follows";
    for client in ["bob", "carol", "gone"] {
        assert_eq!(sim.output(client).last().map(String::as_str), Some(waits), "{client}");
    }
    sim.peer("gone").close();
    // A slice a turn, without anything from outside: then it rests.
    let turns = sim.settle();
    assert!(turns < 100, "{turns}");
    let output = sim.output("carol");
    assert!(output[0] == "* welcome carol" && text_of(output.last().unwrap()) == "hello", "{output:?}");
    assert!(sim.output("bob").last().unwrap().starts_with("! name-taken: "));
    assert!(sim.output("alice").iter().any(|line| text_of(line) == "hello"));
    sim.run_seconds(120);
    assert_eq!(sim.timeout_us().filter(|&us| us < SECOND_US), None);
}

#[test]
fn names_are_looked_for_again_when_the_history_could_not_be_read() {
    let mut sim = chatty(&["alice", "bob"]);
    sim.say("bob", "i was here");
    let mut sim = without_newest_account(sim);
    sim.disk.state().read_fails = true;
    sim.connect("bob");
    sim.say("bob", "/register bob other-horse");
    assert!(sim.output("bob").last().unwrap().starts_with("* the server is still reading"));
    sim.run_seconds(5);
    assert!(sim.output("bob").is_empty());
    sim.disk.state().heal();
    sim.run_seconds(5);
    assert!(sim.output("bob").last().unwrap().starts_with("! name-taken: "));
}

#[test]
fn more_names_than_can_be_reserved_close_the_registration() {
    let mut sim = chatty(&["alice"]);
    sim.say("alice", "first");
    let mut log = sim.disk.read(LOG);
    for number in 0..=RESERVED_NAMES_MAX {
        let (second, micros) = (number / 10_000, number % 10_000);
        log += &format!("2026-11-22T13:00:{second:02}.{micros:06}Z n{number}: x\n");
    }
    let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
    disk.put(LOG, log.as_bytes());
    let mut sim = sim.restart_on(disk);
    sim.connect("carol");
    for _ in 0..2 {
        sim.say("carol", "/register carol correct-horse");
        assert!(sim.output("carol").last().unwrap().starts_with("! registration-closed: "));
    }
    sim.join("alice");
}

#[test]
fn no_value_of_the_clock_stops_the_server_and_a_right_one_lets_it_go_on() {
    let mut sim = chatty(&["alice", "bob"]);
    let right = sim.world.wall_us;
    for wall_us in [u64::MAX, u64::MAX - 1, 253_402_300_799_999_999, 253_402_300_800_000_000] {
        sim.world.wall_us = wall_us;
        sim.clear();
        sim.say("alice", "too late");
        sim.say("alice", "/msg bob too late");
        let output = sim.output("alice");
        assert_eq!(output.len(), 2);
        assert!(output.iter().all(|line| line.starts_with("! not-saved: the server's clock ")), "{output:?}");
        sim.say("bob", "/history 2026");
        // Timers go by another clock.
        sim.world.mono_us += 10 * SECOND_US;
        sim.settle();
        sim.world.wall_us = right;
        sim = sim.restart();
        ["alice", "bob"].iter().for_each(|name| sim.join(name));
        sim.say("alice", "in time");
        assert!(text_of(sim.output("alice").last().unwrap()) == "in time");
    }
    sim.world.wall_us = 0;
    sim.say("alice", "before all");
    let log = sim.disk.read(LOG);
    assert!(log.lines().is_sorted() && log.ends_with("before all\n"));
}
