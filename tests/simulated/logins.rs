//! Logging in: how long it may take, how often it may fail, and who waits for whom.

use std::net::IpAddr;

use chinwag::limits::{HASHING_QUEUE_MAX, LOGIN_GRACE_US, SECOND_US, WORK_STEP_ROUNDS};

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
    assert_eq!(sim.output("idle"), ["! login-timeout: you did not log in within 60 s"]);
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
    assert_eq!(sim.output("bob")[3], "! login-timeout: you did not log in within 60 s");
}

#[test]
fn nobody_is_late_whose_last_line_is_answered_already() {
    let mut sim = Sim::new();
    sim.connect("guest");
    sim.run_for(LOGIN_GRACE_US - 1_000);
    sim.clear();
    sim.send("guest", "/quit\n");
    // The line is handled in time, and the turn that releases the answer begins too late.
    sim.turn();
    assert!(sim.output("guest").is_empty());
    sim.world.advance(SECOND_US);
    sim.settle();
    assert_eq!(sim.output("guest"), ["* bye"]);
    assert!(sim.peer("guest").is_finished_by_server());
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
fn strangers_at_one_account_are_judged_five_seconds_apart() {
    let mut sim = Sim::new();
    sim.connect_from("alice", address("10.9.9.9"));
    sim.enter("alice", "alice");
    sim.run_seconds(10);
    // All at once, each from an address of its own: three of them wait, and the others are turned away.
    for number in 0..10 {
        sim.connect(&format!("m{number}"));
        sim.send(&format!("m{number}"), "/login alice wrong-horse\n");
    }
    sim.settle();
    let mut judged = Vec::new();
    let mut busy = 0;
    for second in 0..60 {
        for number in 0..10 {
            for line in sim.output(&format!("m{number}")) {
                judged.extend(line.starts_with("! bad-login").then_some(second));
                busy += usize::from(line.starts_with("! busy"));
            }
        }
        sim.run_seconds(1);
    }
    assert_eq!(judged, [0, 5, 10, 15]);
    assert_eq!(busy, 6);
    // Others are not made to wait, nor is the owner at home.
    assert_eq!(wait_of(&mut sim, "10.1.2.1", "alice"), 0);
    assert_eq!(wait_of(&mut sim, "10.1.2.2", "bob"), 0);
    sim.connect_from("alice2", address("10.9.9.9"));
    sim.enter("alice2", "alice");
    // Anywhere else the owner is a stranger.
    sim.run_seconds(5);
    assert_eq!(wait_of(&mut sim, "10.1.2.3", "alice"), 0);
    sim.connect("alice3");
    sim.say("alice3", "/login alice correct-horse");
    assert_eq!(sim.output("alice3")[3], "* after failed logins, this attempt will be checked in 5 s");
    sim.run_seconds(4);
    assert_eq!(sim.output("alice3"), [""; 0]);
    sim.run_seconds(1);
    assert_eq!(sim.output("alice3"), ["* welcome alice"]);
}

#[test]
fn a_stranger_who_failed_less_at_an_account_is_judged_before_others() {
    let mut sim = Sim::new();
    sim.join("alice");
    for from in ["10.1.1.1", "10.1.1.2", "10.1.1.3"] {
        wait_of(&mut sim, from, "alice");
    }
    for from in ["10.1.1.1", "10.1.1.2", "10.1.1.3"] {
        sim.connect_from(from, address(from));
        sim.say(from, "/login alice wrong-horse");
    }
    sim.connect("owner");
    sim.say("owner", "/login alice correct-horse");
    assert!(sim.output("10.1.1.3").contains(&"! busy: too many logins are waiting; please try again".into()));
    sim.run_seconds(5);
    assert!(sim.output("owner").contains(&"* welcome alice".into()));
}

#[test]
fn guesses_at_an_account_are_720_an_hour_and_12_from_one_address() {
    for (addresses, most) in [(1, 12), (3, 36), (150, 720)] {
        let mut options = options();
        options.rate = None;
        let mut sim = Sim::with(options);
        let name = |number: usize| format!("{}", number % addresses);
        let lives = addresses.max(4);
        let mut guesses = 0;
        for second in 0..3600 {
            for number in 0..lives {
                let (client, name) = (format!("m{number}"), name(number));
                let is_open = sim.has(&client) && !sim.peer(&client).is_at_end();
                let output = if is_open { sim.output(&client) } else { Vec::new() };
                guesses += output.iter().filter(|line| line.starts_with("! bad-login")).count();
                if !is_open {
                    let ip = address(&format!("10.2.0.{}", name.parse::<u8>().unwrap()));
                    sim.connect_from(&client, ip);
                }
                if !is_open || output.iter().any(|line| line.starts_with("! ")) {
                    sim.send(&client, format!("/login alice guess-{second}-{number}\n"));
                }
            }
            sim.run_seconds(1);
        }
        assert!(guesses <= most, "{addresses} addresses guess {guesses} times");
        assert!(guesses * 10 >= most * 8, "{addresses} addresses guess only {guesses} times");
    }
}

#[test]
fn an_address_that_fails_often_waits_for_any_account_and_is_forgiven_in_time() {
    let mut sim = Sim::new();
    let mut wait = |name: &str| wait_of(&mut sim, "2001:db8::1", name);
    assert_eq!([wait("a"), wait("b"), wait("c"), wait("d"), wait("e")], [0, 0, 0, 5, 10]);
    assert_eq!(wait_of(&mut sim, "2001:db8::2", "f"), 20, "it is its whole network");
    assert_eq!(wait_of(&mut sim, "2001:db8:0:1::", "g"), 0, "and not the next");
    assert_eq!(wait_of(&mut sim, "2001:db8::3", "f"), 40);
    // Whoever would have to wait for longer than a login may take is told so at once.
    sim.connect_from("mallory", address("2001:db8::4"));
    sim.say("mallory", "/login alice wrong-horse");
    assert_eq!(
        sim.output("mallory")[3],
        "! too-many-failures: too many failed logins from your address; try again in 2 min"
    );
    sim.say("mallory", "/register alice correct-horse");
    assert!(sim.output("mallory")[0].starts_with("! too-many-failures"));
    sim.run_seconds(24 * 3600);
    assert_eq!(wait_of(&mut sim, "2001:db8::1", "a"), 0);
}

#[test]
fn a_network_of_48_bits_has_four_times_the_failures_of_one_of_64() {
    let mut sim = Sim::new();
    let mut waits = Vec::new();
    for number in 0..11 {
        let from = format!("2001:db8:0:{number:x}::1");
        waits.push(wait_of(&mut sim, &from, &format!("n{number}")));
    }
    assert_eq!(waits, [0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 5]);
}

#[test]
fn asking_which_names_are_taken_counts_as_failing() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.connect_from("mallory", address("10.1.1.1"));
    for _ in 0..3 {
        // An attempt costs a second of the rate.
        sim.run_seconds(1);
        sim.say("mallory", "/register alice correct-horse");
        assert!(sim.output("mallory").last().unwrap().starts_with("! name-taken"));
    }
    sim.say("mallory", "/register alice correct-horse");
    assert_eq!(sim.output("mallory"), ["* after failed logins, this attempt will be checked in 5 s"]);
    sim.run_seconds(5);
    assert_eq!(sim.output("mallory"), ["! name-taken: alice is already registered"]);
    let mut asked = 0;
    for _ in 0..900 {
        sim.say("mallory", "/register alice correct-horse");
        sim.run_for(SECOND_US / 100);
        asked += sim.output("mallory").iter().filter(|line| line.starts_with("! name-taken")).count();
    }
    assert_eq!(asked, 0);
}

#[test]
fn logins_that_are_refused_and_repeated_at_once_are_read_once_a_second() {
    let mut sim = Sim::new();
    sim.connect_from("mallory", address("10.1.1.1"));
    sim.send("mallory", "/resume nobody 00000000000000000000000000000000\n".repeat(10));
    sim.run_for(SECOND_US / 2);
    let answered = |sim: &mut Sim| sim.output("mallory").iter().filter(|line| line.starts_with('!')).count();
    // The third one comes just behind the burst of two seconds.
    assert_eq!(answered(&mut sim), 3);
    for _ in 0..5 {
        sim.run_seconds(1);
        assert_eq!(answered(&mut sim), 1);
    }
}

#[test]
fn whoever_leaves_before_the_answer_has_failed() {
    let mut sim = slow_hashing(10);
    for number in 0..7 {
        sim.connect_from("mallory", address("10.1.1.1"));
        sim.send("mallory", format!("/login n{number} wrong-horse\n"));
        sim.turns(4);
        sim.peer("mallory").reset();
        sim.settle();
        sim.run_seconds(60);
    }
    sim.connect_from("mallory", address("10.1.1.1"));
    sim.say("mallory", "/login alice wrong-horse");
    assert!(
        sim.output("mallory")[3].contains("this attempt will be checked in"),
        "it waits for what it failed"
    );
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
        assert!(!sim.peer("mallory").is_at_end(), "it was closed after {seconds} s");
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
    assert_eq!(
        sim.output("one more"),
        ["! too-many-connections: your address already has 32 that are not logged in"]
    );
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
fn the_session_that_is_silent_for_longest_yields_however_long_ago_it_spoke() {
    let mut sim = Sim::new();
    sim.join("alice");
    for number in 1..16 {
        sim.connect(&number.to_string());
        sim.enter(&number.to_string(), "alice");
    }
    // Another order than that in which they came.
    for number in (0..16).map(|number| number * 7 % 16) {
        let name = if number == 0 { "alice".to_owned() } else { number.to_string() };
        sim.say(&name, "/users");
        sim.run_seconds(1 + number * 1_000);
    }
    for number in (0..16).map(|number| number * 7 % 16) {
        sim.clear();
        sim.connect(&format!("new {number}"));
        sim.enter(&format!("new {number}"), "alice");
        let name = if number == 0 { "alice".to_owned() } else { number.to_string() };
        assert!(sim.output(&name).concat().starts_with("! replaced"), "{name}");
        sim.run_seconds(1);
    }
}

#[test]
fn the_session_that_is_silent_for_longest_yields_to_a_seventeenth() {
    let mut sim = Sim::new();
    sim.join("alice");
    for number in 1..16 {
        sim.connect(&number.to_string());
        sim.enter(&number.to_string(), "alice");
        sim.run_seconds(1);
    }
    // The oldest has just said something, and the next one has not.
    sim.say("alice", "/users");
    sim.clear();
    sim.connect("one more");
    sim.enter("one more", "alice");
    let words = "! replaced: alice can have 16 sessions, and this one had been silent longest";
    assert_eq!(sim.output("1"), [words]);
    assert!(sim.peer("1").is_at_end());
    sim.say("one more", "hello");
    for name in ["alice", "2", "15", "one more"] {
        assert_eq!(sim.output(name).len(), 1, "{name} is still there");
    }
    // A thief's sessions do not keep the owner out, however many come.
    for number in 0..40 {
        sim.connect(&format!("thief {number}"));
        sim.send(&format!("thief {number}"), "/login alice correct-horse\n");
    }
    sim.settle();
    sim.connect("owner");
    sim.enter("owner", "alice");
    sim.say("owner", "/passwd correct-horse battery-staple");
    assert_eq!(sim.output("owner"), ["* password changed"]);
    sim.run_seconds(5);
    sim.clear();
    sim.connect("bob");
    sim.say("bob", "/register bob correct-horse");
    sim.say("bob", "/msg alice psst");
    assert_eq!(sim.output("owner").iter().filter(|line| line.ends_with(": psst")).count(), 1);
    for name in sim.names().into_iter().filter(|name| name != "bob" && name != "owner") {
        assert_eq!(sim.output(&name), [""; 0], "{name} is shown nothing");
        assert!(sim.peer(&name).is_at_end(), "{name}");
    }
}

#[test]
fn a_new_password_ends_the_other_sessions_also_if_its_own_is_gone() {
    let mut sim = slow_hashing(10);
    sim.join("alice");
    sim.connect("other");
    sim.enter("other", "alice");
    sim.clear();
    sim.send("alice", "/passwd correct-horse battery-staple\n");
    sim.turns(1);
    // The other one is in the middle of the same: it ends all the same.
    sim.send("other", "/passwd correct-horse other-password\n");
    sim.settle();
    assert_eq!(sim.output("alice"), ["* password changed"]);
    let words = "! signed-out: the password was changed in another session; log in with the new one";
    assert_eq!(sim.output("other"), [words]);
    sim.run_seconds(5);
    assert!(sim.peer("other").is_gone());
    sim.connect("again");
    sim.say("again", "/login alice battery-staple");
    assert_eq!(sim.output("again")[3], "* welcome alice");
}

#[test]
fn a_session_that_was_ended_is_shown_nothing_more_though_it_reads_slowly() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.connect("thief");
    sim.enter("thief", "alice");
    sim.peer("thief").capacity = 1;
    sim.say("alice", "/passwd correct-horse battery-staple");
    sim.join("bob");
    sim.say("bob", "/msg alice psst");
    sim.peer("thief").capacity = usize::MAX;
    sim.run_seconds(5);
    let shown = sim.output("thief");
    assert!(!shown.iter().any(|line| line.ends_with("psst")), "{shown:?}");
    assert!(shown.last().unwrap().starts_with("! signed-out"), "{shown:?}");
}

#[test]
fn the_queue_for_hashing_is_bounded_and_fair() {
    let mut sim = slow_hashing(400);
    for number in 0..HASHING_QUEUE_MAX + 5 {
        let name = number.to_string();
        // All from a network of their own, within the bound of connections for each of its addresses.
        sim.connect_from(&name, address(&format!("10.1.{}.1", number / 30)));
        sim.send(&name, "/login nobody wrong-horse\n");
    }
    // All their lines are handled before a single hash is done.
    sim.world.look_us = 5;
    sim.turns(4);
    sim.world.look_us = 2_000;
    let busy: Vec<_> = (0..HASHING_QUEUE_MAX + 5)
        .filter(|number| sim.output(&number.to_string()).iter().any(|line| line.starts_with("! busy")))
        .collect();
    assert_eq!(busy.len(), 5, "{busy:?}");
    // Who comes from elsewhere is served next, though all those wait.
    sim.connect("alice");
    sim.send("alice", "/register alice correct-horse\n");
    let turns = turns_until(&mut sim, "alice", "* welcome alice");
    // One is being served, and each of the three addresses has its next turn at most.
    assert!(turns <= 4 * 401, "{turns} turns");
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
    sim.turns_in_no_time(2);
    for number in 0..30 {
        sim.peer(&number.to_string()).reset();
    }
    sim.turns_in_no_time(2);
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
    sim.run_seconds(5);
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
        for name in ["x", "y", "z", "u"] {
            wait_of(&mut sim, "10.1.1.1", name);
        }
        // An address that failed before has to wait, and meanwhile the password it gave is changed.
        for (name, password) in [("old", "correct-horse"), ("new", "battery-staple")] {
            sim.connect_from(name, address("10.1.1.1"));
            sim.say(name, &format!("/login alice {password}"));
            assert!(sim.output(name)[3].contains("this attempt will be checked in"));
        }
        sim.join("alice");
        sim.say("alice", "/passwd correct-horse battery-staple");
        assert_eq!(sim.output("alice"), ["* password changed"]);
        sim.run_seconds(35);
        assert_eq!(sim.output("old"), ["! bad-login: wrong name or password"]);
        let shown = sim.output("new");
        assert!(shown.contains(&"* welcome alice".to_owned()), "{shown:?}");
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
    for name in ["a", "b", "c"] {
        sim.connect(name);
        sim.send(name, "/login alice correct-horse\n");
    }
    sim.turn();
    // Room for three lines in a turn, but not for three hashes.
    sim.world.look_us = 400;
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

#[test]
fn logins_that_missed_nothing_take_no_more_turns_however_many_there_are() {
    let turns = |count: usize| {
        let mut sim = Sim::new();
        for number in 0..count {
            sim.connect(&format!("guest{number}"));
        }
        sim.settle();
        for name in sim.names() {
            sim.send(&name, format!("/replay 0\n/register {name} correct-horse\n"));
        }
        let turns = sim.settle();
        for name in sim.names() {
            assert!(sim.output(&name).contains(&format!("* welcome {name}")), "{name}");
        }
        turns
    };
    assert_eq!(turns(30), turns(2));
}
