//! Logging in: how long it may take, how often it may fail, and who waits for whom.

use std::net::IpAddr;

use chinwag::limits::{HASHING_QUEUE_MAX, SECOND_US, WORK_STEP_ROUNDS};

use crate::sim::disk::USERS;
use crate::sim::harness::{Sim, options};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Hashing takes so many turns for one password.
fn slow_hashing(turns: u32) -> Sim {
    let mut options = options();
    options.rules.kdf_rounds = turns * WORK_STEP_ROUNDS;
    let mut sim = Sim::with(options);
    // Each look at the clock finds that the slice of this turn is over.
    sim.world.look_us = 2_000;
    sim
}

/// Turns until a client is shown a line that begins like this.
fn turns_until(sim: &mut Sim, name: &str, start: &str) -> usize {
    for turns in 1..100_000 {
        sim.turn();
        if sim.output(name).iter().any(|line| line.starts_with(start)) {
            return turns;
        }
    }
    panic!("{name} was never shown {start:?}");
}

#[test]
fn who_does_not_log_in_within_a_minute_is_told_and_closed() {
    let mut sim = Sim::new();
    sim.connect("idle");
    sim.join("alice");
    sim.run_seconds(59);
    sim.output("idle");
    assert!(!sim.peer("idle").is_at_end());
    sim.run_seconds(1);
    assert_eq!(sim.output("idle"), ["! login-timeout: nobody logged in here for too long"]);
    assert!(sim.peer("idle").is_at_end());
    sim.run_seconds(3);
    assert!(sim.peer("idle").is_gone(), "it does not linger for ever either");
    assert!(!sim.peer("alice").is_at_end(), "who is logged in stays");
    sim.say("alice", "still here");
}

#[test]
fn nothing_but_a_login_extends_the_time_to_log_in() {
    let mut sim = Sim::new();
    let lines = ["hello", "/help", "/login alice wrong-horse", "/register x short", "/replay 3", ""];
    for client in lines {
        sim.connect(client);
    }
    sim.connect("late");
    for number in 0..3 {
        sim.run_seconds(19);
        // Another name each time, so that no login has to wait for earlier failures.
        lines.iter().for_each(|line| sim.say(line, &line.replace("alice", &format!("alice{number}"))));
    }
    sim.enter("late", "late");
    sim.run_seconds(3);
    assert!(
        lines.iter().all(|client| !sim.peer(client).is_open() || sim.peer(client).is_finished_by_server())
    );
    sim.run_seconds(2);
    assert!(lines.iter().all(|client| sim.peer(client).is_gone()));
    sim.run_seconds(100);
    sim.say("late", "still here");
    assert!(sim.output("late").iter().any(|line| line.ends_with("late: still here")));
}

#[test]
fn nobody_is_closed_for_being_late_while_the_server_hashes_for_half_a_minute() {
    let mut sim = slow_hashing(16);
    // Every turn takes more than two seconds here.
    sim.world.look_us = SECOND_US;
    sim.connect("alice");
    sim.send("alice", "/register alice correct-horse\nhello\n");
    let started_us = sim.world.mono_us;
    sim.settle();
    assert!(sim.world.mono_us - started_us > 62 * SECOND_US);
    let output = sim.output("alice");
    assert_eq!(output[3], "* welcome alice");
    assert!(output[4].ends_with(" alice: hello"));
    // Longer than that nobody has a place without a login.
    sim.connect("bob");
    sim.world.look_us = 2 * SECOND_US;
    sim.say("bob", "/register bob correct-horse");
    assert_eq!(sim.output("bob")[3], "! login-timeout: nobody logged in here for too long");
}

#[test]
fn no_line_is_handled_before_the_login_that_was_sent_before_it() {
    let mut sim = slow_hashing(10);
    sim.connect("alice");
    sim.send("alice", "/register alice correct-horse\nhello\n");
    sim.turns(5);
    assert_eq!(sim.output("alice").len(), 3, "the greeting");
    assert!(!sim.is_idle(), "it goes on by itself");
    sim.settle();
    let output = sim.output("alice");
    assert_eq!(output[0], "* welcome alice");
    assert!(output[1].ends_with(" alice: hello"), "{output:?}");
}

#[test]
fn others_chat_while_passwords_are_hashed() {
    let mut sim = slow_hashing(50);
    sim.join("alice");
    for number in 0..20 {
        sim.connect(&number.to_string());
        sim.send(&number.to_string(), "/login alice wrong-horse\n");
    }
    sim.turns(3);
    for _ in 0..10 {
        sim.output("alice");
        sim.send("alice", "hello\n");
        sim.turn();
        assert_eq!(sim.output("alice").len(), 1, "said in the turn it came in");
    }
}

#[test]
fn each_failure_beyond_the_third_makes_the_next_try_wait_longer() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.run_seconds(10);
    // Each time from another address: it is the account that is guarded.
    let waits: Vec<_> =
        (0..10).map(|number| wait_of(&mut sim, &format!("10.1.1.{number}"), "alice")).collect();
    assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 30, 30]);
    // Others are not made to wait, and one success ends it.
    assert_eq!(wait_of(&mut sim, "10.1.2.1", "bob"), 0);
    sim.connect("alice2");
    sim.say("alice2", "/login alice correct-horse");
    assert_eq!(sim.output("alice2")[3], "* after failed logins this one is checked in 30 s");
    sim.run_seconds(29);
    assert_eq!(sim.output("alice2"), [""; 0]);
    sim.run_seconds(1);
    assert_eq!(sim.output("alice2"), ["* welcome alice"]);
    assert_eq!(wait_of(&mut sim, "10.1.2.2", "alice"), 0);
}

#[test]
fn an_address_that_fails_often_waits_for_any_account_and_is_forgiven_in_time() {
    let mut sim = Sim::new();
    let mut wait = |name: &str| wait_of(&mut sim, "2001:db8::1", name);
    assert_eq!([wait("a"), wait("b"), wait("c"), wait("d"), wait("e")], [0, 0, 0, 1, 2]);
    assert_eq!(wait_of(&mut sim, "2001:db8::2", "f"), 4, "it is its whole network");
    assert_eq!(wait_of(&mut sim, "2001:db8:0:1::", "g"), 0, "and not the next");
    sim.run_seconds(900);
    assert_eq!(wait_of(&mut sim, "2001:db8::1", "a"), 0);
}

/// How many seconds pass before a wrong password is found to be wrong.
fn wait_of(sim: &mut Sim, from: &str, name: &str) -> u64 {
    sim.connect_from("mallory", address(from));
    sim.say("mallory", &format!("/login {name} wrong-horse"));
    for seconds in 0..100 {
        if sim.output("mallory").iter().any(|line| line.starts_with("! bad-login")) {
            sim.peer("mallory").reset();
            sim.settle();
            return seconds;
        }
        sim.run_seconds(1);
    }
    panic!("it is never answered");
}

#[test]
fn ten_accounts_an_hour_are_made_from_one_address() {
    let mut sim = Sim::new();
    for number in 0..=10 {
        let name = format!("n{number}");
        sim.connect_from(&name, address("10.9.9.9"));
        sim.say(&name, &format!("/register {name} correct-horse"));
        let output = sim.output(&name);
        let expected = if number < 10 { "* welcome" } else { "! too-many-accounts" };
        assert!(output[3].starts_with(expected), "{number}: {output:?}");
    }
    sim.join("another");
    sim.run_seconds(3600);
    sim.connect_from("later", address("10.9.9.9"));
    sim.say("later", "/register later correct-horse");
    assert_eq!(sim.output("later")[3], "* welcome later");
}

#[test]
fn ten_accounts_an_hour_are_made_from_one_address_also_when_all_are_asked_for_at_once() {
    let mut sim = Sim::new();
    for number in 0..20 {
        let name = format!("n{number}");
        // An IPv6 address counts with its whole network.
        sim.connect_from(&name, address(&format!("2001:db8::{number}")));
        sim.send(&name, format!("/register {name} correct-horse\n"));
    }
    sim.settle();
    let made = sim.disk.read(USERS).lines().count();
    assert_eq!(made, 10);
    let refused =
        (0..20).filter(|number| sim.output(&format!("n{number}"))[3].starts_with("! too-many-accounts"));
    assert_eq!(refused.count(), 10);
}

#[test]
fn an_address_has_so_many_connections_and_no_more() {
    let mut sim = Sim::new();
    for number in 0..32 {
        sim.connect_from(&number.to_string(), address(&format!("2001:db8::{number}")));
    }
    sim.connect_from("one more", address("2001:db8::ffff"));
    sim.connect_from("neighbour", address("2001:db8:0:1::"));
    sim.settle();
    assert_eq!(sim.output("one more"), ["! too-many-connections: your address has 32 open already"]);
    assert!(sim.peer("one more").is_gone() && !sim.peer("one more").was_reset());
    assert_eq!(sim.output("neighbour").len(), 3);
    // One that goes makes room for another.
    sim.peer("5").reset();
    sim.settle();
    sim.connect_from("later", address("2001:db8::aaaa"));
    sim.settle();
    assert_eq!(sim.output("later").len(), 3);
}

#[test]
fn an_account_has_so_many_sessions_and_no_more() {
    let mut sim = Sim::new();
    sim.join("alice");
    for number in 1..16 {
        sim.connect(&number.to_string());
        sim.enter(&number.to_string(), "alice");
    }
    sim.connect("one more");
    sim.say("one more", "/login alice correct-horse");
    assert_eq!(sim.output("one more")[3], "! too-many-sessions: alice is logged in 16 times already");
    sim.say("7", "/quit");
    sim.run_seconds(3);
    sim.enter("one more", "alice");
    sim.clear();
    sim.say("one more", "hello");
    assert_eq!(sim.output("alice").len(), 1);
}

#[test]
fn the_queue_for_hashing_is_bounded_and_fair() {
    let mut sim = slow_hashing(20);
    for number in 0..HASHING_QUEUE_MAX + 5 {
        let name = number.to_string();
        // All from a network of their own, within the bound of connections for each of its addresses.
        sim.connect_from(&name, address(&format!("10.1.{}.1", number / 30)));
        sim.send(&name, "/login nobody wrong-horse\n");
    }
    sim.turns(3);
    let busy: Vec<_> = (0..HASHING_QUEUE_MAX + 5)
        .filter(|number| sim.output(&number.to_string()).iter().any(|line| line.starts_with("! busy")))
        .collect();
    assert_eq!(busy.len(), 5, "{busy:?}");
    // Who comes from elsewhere is served next, though all those wait.
    sim.connect("alice");
    sim.send("alice", "/register alice correct-horse\n");
    let turns = turns_until(&mut sim, "alice", "* welcome alice");
    // One is being served, and each of the three addresses has its next turn at most.
    assert!(turns <= 4 * 21, "{turns} turns");
    // Whoever was told that it is busy may try again at once.
    sim.settle();
    sim.say(&busy[0].to_string(), "/help");
    assert!(!sim.output(&busy[0].to_string()).is_empty());
}

#[test]
fn what_a_disconnect_leaves_behind_is_not_hashed() {
    let mut sim = slow_hashing(1000);
    for number in 0..30 {
        sim.connect(&number.to_string());
        sim.send(&number.to_string(), "/register mallory correct-horse\n");
    }
    sim.turns(2);
    for number in 0..30 {
        sim.peer(&number.to_string()).reset();
    }
    sim.turns(2);
    assert!((0..30).all(|number| sim.peer(&number.to_string()).is_gone()));
    assert!(sim.settle() < 5, "nothing is left to be done");
    assert_eq!(sim.disk.read(USERS), "");
}

#[test]
fn an_unknown_name_costs_as_much_as_a_known_one() {
    let turns = |line: &str| {
        let mut sim = slow_hashing(30);
        sim.join("alice");
        sim.run_seconds(5);
        sim.connect("mallory");
        sim.send("mallory", line);
        turns_until(&mut sim, "mallory", "! bad-login: wrong name or password")
    };
    let known = turns("/login alice wrong-horse\n");
    assert!(known >= 30);
    assert_eq!(turns("/login nobody wrong-horse\n"), known);
}

#[test]
fn passwords_are_hashed_anew_at_login_when_the_rounds_have_risen() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.options.rules.kdf_rounds = 20;
    let mut sim = sim.restart();
    sim.connect("mallory");
    sim.say("mallory", "/login alice wrong-horse");
    assert_eq!(sim.disk.read(USERS).lines().count(), 1);
    sim.join("alice");
    let users = sim.disk.read(USERS);
    let lines: Vec<_> = users.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with("alice:pbkdf2-sha256:10:") && lines[1].starts_with("alice:pbkdf2-sha256:20:")
    );
    assert_eq!(sim.disk.unsynced(USERS), 0);
    let mut sim = sim.restart();
    sim.join("alice");
    assert_eq!(sim.disk.read(USERS).lines().count(), 2, "once is enough");
}

#[test]
fn a_password_is_checked_against_the_one_that_stands_when_the_check_is_done() {
    for rounds_rise in [false, true] {
        let mut sim = Sim::new();
        sim.join("alice");
        sim.options.rules.kdf_rounds = if rounds_rise { 20 } else { 10 };
        let mut sim = sim.restart();
        for name in ["x", "y", "z", "u", "v"] {
            wait_of(&mut sim, "10.1.1.1", name);
        }
        // An address that failed before has to wait, and meanwhile the password it gave is changed.
        for (name, password) in [("old", "correct-horse"), ("new", "battery-staple")] {
            sim.connect_from(name, address("10.1.1.1"));
            sim.say(name, &format!("/login alice {password}"));
            assert!(sim.output(name)[3].contains("this one is checked in"));
        }
        sim.join("alice");
        sim.say("alice", "/passwd correct-horse battery-staple");
        assert_eq!(sim.output("alice"), ["* password changed"]);
        sim.run_seconds(30);
        assert_eq!(sim.output("old"), ["! bad-login: wrong name or password"]);
        assert!(sim.output("new").contains(&"* welcome alice".to_owned()));
        // Nor was the old one stored again with more rounds.
        sim.connect("again");
        sim.say("again", "/login alice battery-staple");
        assert_eq!(sim.output("again")[3], "* welcome alice");
    }
}

#[test]
fn two_sessions_that_log_in_at_once_when_the_rounds_have_risen_both_get_in() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.options.rules.kdf_rounds = 20;
    let mut sim = sim.restart();
    sim.world.look_us = 2_000;
    for name in ["a", "b", "c"] {
        sim.connect(name);
        sim.send(name, "/login alice correct-horse\n");
    }
    sim.settle();
    for name in ["a", "b", "c"] {
        assert_eq!(sim.output(name)[3], "* welcome alice", "{name}");
    }
}

#[test]
fn without_randomness_no_password_is_stored_and_old_ones_are_good() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.world.random_fails = true;
    sim.connect("bob");
    sim.say("bob", "/register bob correct-horse");
    assert!(sim.output("bob")[3].starts_with("! no-randomness"));
    sim.say("alice", "/passwd correct-horse battery-staple");
    assert!(sim.output("alice")[0].starts_with("! no-randomness"));
    sim.connect("alice2");
    sim.enter("alice2", "alice");
    sim.world.random_fails = false;
    sim.enter("bob", "bob");
}

#[test]
fn who_took_nothing_before_a_login_and_takes_nothing_after_it_is_closed_in_ten_minutes() {
    let mut sim = Sim::new();
    sim.connect("bob");
    sim.peer("bob").capacity = 1;
    sim.say("bob", "/register bob correct-horse");
    // The login has ended the timer that ran until it, and with it that of his socket.
    sim.run_seconds(601);
    assert!(sim.peer("bob").is_gone());
}
