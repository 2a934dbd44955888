//! A long history: found quickly, read in pieces, exact.

use std::fs;
use std::time::{Duration, Instant};

use chinwag::protocol::name::Name;
use chinwag::protocol::record::{Record, Target};
use tempfile::TempDir;

use crate::common::*;

const MIB: u64 = 1 << 20;

/// The lines of a history that `name` may see.
pub fn visible(history: &str, name: &str) -> Vec<String> {
    let is_visible = |line: &&str| {
        let Record { from, to, .. } = Record::parse(line).unwrap_or_else(|| panic!("no message: {line}"));
        let is_it = |end: Name| end.as_str().eq_ignore_ascii_case(name);
        match to {
            Target::Person(to) => is_it(from) || is_it(to),
            Target::Everyone => true,
            Target::Room(_) => panic!("nobody is in a room: {line}"),
        }
    };
    history.lines().filter(is_visible).map(str::to_owned).collect()
}

/// Chats for a while: how long each message took until the other had it.
fn chat(alice: &mut Client, bob: &mut Client, times: usize) -> Vec<Duration> {
    let ping = |number| {
        let started = Instant::now();
        alice.say("alice", &format!("ping {number}"));
        bob.expect_message(&format!("alice: ping {number}"));
        started.elapsed()
    };
    (0..times).map(ping).collect()
}

/// The middle of what was measured, and what all but a twentieth are below; at least a millisecond each, which
/// nobody notices.
fn median_and_most(mut took: Vec<Duration>) -> (Duration, Duration) {
    took.sort();
    let at = |percent: usize| took[took.len() * percent / 100].max(Duration::from_millis(1));
    (at(50), at(95))
}

#[test]
fn many_slow_readers_of_a_long_history_cost_no_memory_and_hold_up_nobody() {
    let data = TempDir::new().unwrap();
    let filler = "y".repeat(950);
    write_history(data.path(), (0..200_000).map(|number| format!("old: {number:06} {filler}")));
    let length = fs::metadata(data.path().join("chat_history.txt")).unwrap().len();
    assert!(length > 180 * MIB);

    let server = Setup::new(&UNSYNCED).data(data.path()).start();
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    for session in [&mut alice, &mut bob] {
        // The last fifty of what was said before they came.
        for number in 199_950..200_000 {
            session.expect_message(&format!("old: {number:06} {filler}"));
        }
    }
    chat(&mut alice, &mut bob, 50);
    // Where nobody reads anything: by how long it takes there at the same time it is told what a hold-up is, on a
    // machine of whatever speed, whatever else it does.
    let elsewhere = Server::start(&UNSYNCED);
    let [mut alice_elsewhere, mut bob_elsewhere] = ["alice", "bob"].map(|name| elsewhere.register(name));
    let before = server.memory_bytes();
    let mut readers: Vec<_> = (0..10).map(|number| server.register(&format!("reader{number}"))).collect();
    for (number, reader) in readers.iter_mut().enumerate() {
        reader.until("alice: ping 49");
        reader.send(&format!("my turn {number}"));
        reader.until(&format!("reader{number}: my turn {number}"));
        reader.send("/history");
    }
    let mut piece = vec![0; 20_000];
    let (mut took, mut took_elsewhere) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        for reader in &mut readers {
            reader.read_some(&mut piece);
        }
        alice.send("/users");
        alice.until("* 12 online");
        bob.send("/users");
        bob.until("* 12 online");
        took.extend(chat(&mut alice, &mut bob, 10));
        took_elsewhere.extend(chat(&mut alice_elsewhere, &mut bob_elsewhere, 10));
    }
    let (median, most) = median_and_most(took);
    let (median_elsewhere, most_elsewhere) = median_and_most(took_elsewhere);
    assert!(
        median < 20 * median_elsewhere && most < 100 * most_elsewhere,
        "{median:?} {most:?}, and elsewhere {median_elsewhere:?} {most_elsewhere:?}"
    );
    if let (Some(before), Some(after)) = (before, server.memory_bytes()) {
        assert!(after < before + 3 * MIB, "the memory grew from {before} to {after}");
    }
}

#[test]
fn a_reader_of_all_history_gets_every_byte_and_then_follows() {
    let data = TempDir::new().unwrap();
    write_history(
        data.path(),
        (0..60_000).map(|number| format!("old: {number:06} {}", "z".repeat(number % 300))),
    );
    let before = fs::read_to_string(data.path().join("chat_history.txt")).unwrap();
    let server = Setup::new(&UNSYNCED).data(data.path()).start();
    let mut alice = server.register("alice");
    alice.until(&format!("old: 059999 {}", "z".repeat(59_999 % 300)));
    let mut reader = server.register("reader");
    reader.until(&format!("old: 059999 {}", "z".repeat(59_999 % 300)));
    reader.send("/history");
    let mut history = vec![reader.line()];
    // What is said while it reads comes behind the end of what it asked for.
    for number in 0..300 {
        alice.say("alice", &format!("meanwhile {number}"));
    }
    let mut live = Vec::new();
    let mut is_over = false;
    while live.last().is_none_or(|line: &String| !line.ends_with(" alice: meanwhile 299")) {
        match reader.line() {
            line if line == "* end of history" => is_over = true,
            line if is_over => live.push(line),
            line => history.push(line),
        }
    }
    let all: Vec<_> = history.into_iter().chain(live).collect();
    let meanwhile = &server.history()[before.len()..];
    let expected: Vec<_> = before.lines().chain(meanwhile.lines()).collect();
    assert!(all == expected, "all of it, once, in order: {} and {} lines", all.len(), expected.len());
}

#[test]
fn parts_of_a_history_are_exactly_what_was_asked_for() {
    let data = TempDir::new().unwrap();
    // Nearly all of it is between two others.
    let message = |number: usize| match number % 1000 {
        17 => format!("old: public {number}"),
        400 => format!("bob -> Alice: for you {number}"),
        401 => format!("alice -> bob: from you {number}"),
        _ => format!("bob -> carol: {number} {}", "s".repeat(number % 120)),
    };
    // Names in the log can't be registered, so the account comes first.
    let first = Setup::new(&UNSYNCED).data(data.path()).start();
    first.register("alice");
    first.stop();
    write_history(data.path(), (0..80_000).map(message));
    let history = fs::read_to_string(data.path().join("chat_history.txt")).unwrap();
    let server = Setup::new(&UNSYNCED).data(data.path()).start();
    let stamp = |number: usize| &history.lines().nth(number).unwrap()[..STAMP_BYTES];
    let mut alice = server.connect();
    alice.send(&format!("/replay 0\n/login alice {PASSWORD}"));
    alice.expect("* replay 0");
    alice.welcomed("alice");
    let seen = visible(&history, "alice");
    assert_eq!(seen.len(), 240);

    assert_eq!(alice.ask_history("/history"), seen);
    for count in [0, 1, 2, 5, 100, 239, 240, 241, 1_000_000] {
        assert_eq!(alice.ask_history(&format!("/history {count}")), seen[240_usize.saturating_sub(count)..]);
    }
    // From every sort of prefix, those at or behind it; and those before.
    for time in [
        stamp(0),
        stamp(17),
        stamp(18),
        stamp(40_400),
        stamp(79_401),
        stamp(79_999),
        &stamp(30_000)[..19],
        &stamp(30_000)[..16],
        "2023-11-14",
        "2023-11-15",
        "2023-11-14T22:13:5",
        "2023-11-14T22:14:2",
        "1999-01-01",
        "2999-01-01T00:00",
    ] {
        let since: Vec<_> = seen.iter().filter(|line| &line[..time.len()] >= time).cloned().collect();
        assert_eq!(alice.ask_history(&format!("/history {time}")), since, "{time}");
        let before = &seen[..seen.len() - since.len()];
        for count in [1, 3, 50, 500] {
            let expected = &before[before.len().saturating_sub(count)..];
            assert_eq!(
                alice.ask_history(&format!("/history {count} before {time}")),
                expected,
                "{count} {time}"
            );
        }
    }
    // Paging back, page by page, meets every message once.
    let mut pages = Vec::new();
    let mut before = "9999-12-31".to_owned();
    loop {
        let page = alice.ask_history(&format!("/history 7 before {before}"));
        let Some(first) = page.first() else { break };
        before = first[..STAMP_BYTES].to_owned();
        pages.splice(0..0, page);
    }
    assert_eq!(pages, seen);
    alice.say("alice", "live again");

    let mut dave = server.connect();
    dave.send("/replay 5");
    dave.expect("* replay 5");
    dave.register("dave");
    let public = visible(&server.history(), "dave");
    for line in &public[public.len() - 5..] {
        dave.expect(line);
    }
    assert_eq!(dave.ask_history("/history"), public, "nothing of what was between others");
}

#[test]
fn every_private_message_is_shown_at_the_next_login_however_long_ago() {
    let data = TempDir::new().unwrap();
    let first = Setup::new(&UNSYNCED).data(data.path()).start();
    let mut alice = first.register("alice");
    drop(first.register("bob"));
    first.logged(&["closed", "(bob)"]);
    alice.send("/msg bob long ago");
    alice.expect_message("alice -> bob: long ago");
    alice.expect("* bob is offline and will see it at the next login");
    for packet in 0..100 {
        let lines: String =
            (0..100).map(|number| format!("{packet:03}{number:02} {}\n", "w".repeat(90))).collect();
        alice.send_raw(lines.as_bytes());
        for _ in 0..100 {
            alice.line();
        }
    }
    alice.send("/msg bob just now");
    alice.expect_message("alice -> bob: just now");
    drop(alice);
    let stopped = first.stop();
    let server = stopped.start(&UNSYNCED);
    let mut bob = server.login("bob");
    bob.expect_message("alice -> bob: long ago");
    for number in 50..100 {
        bob.expect_message(&format!("alice: 099{number:02} {}", "w".repeat(90)));
    }
    bob.expect_message("alice -> bob: just now");
    bob.say("bob", "thanks");
}

#[test]
fn a_copy_made_while_the_server_runs_is_a_backup() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    let mut copies = Vec::new();
    for number in 0..200 {
        alice.send(&format!("message {number}"));
        if number % 50 == 49 {
            let copy = TempDir::new().unwrap();
            for file in fs::read_dir(&server.data).unwrap().map(Result::unwrap) {
                fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
            }
            copies.push(copy);
        }
    }
    alice.until("alice: message 199");
    let history = server.history();
    for copy in copies {
        let restored = Setup::new(&QUICK).data(copy.path()).start();
        assert!(history.starts_with(&restored.history()));
        restored.login("alice").ask_history("/history 1");
    }
}
