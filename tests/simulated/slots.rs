//! Places: what a connection without a login may cost, who yields when all places are taken, and how long anything
//! unanswered is kept.

use std::net::IpAddr;

use chinwag::limits::{SECOND_US, STRANGERS_LINES_PER_TURN_MAX};
use chinwag::session::quota::ByteLimits;

use crate::sim::disk::LOG;
use crate::sim::harness::{Sim, options};

fn with_places(count: usize) -> Sim {
    let mut options = options();
    options.max_connections = count;
    options.rules.limits_addresses = false;
    Sim::with(options)
}

fn connect_from(sim: &mut Sim, name: &str, address: &str) {
    let address: IpAddr = address.parse().unwrap();
    sim.connect_from(name, address);
    sim.settle();
    sim.run_for(SECOND_US / 10);
}

#[test]
fn slots_the_oldest_stranger_of_the_largest_network_yields() {
    let mut sim = with_places(6);
    sim.join("alice");
    connect_from(&mut sim, "early", "192.0.2.1");
    for (name, address) in [("a", "2001:db8:7:1::1"), ("b", "2001:db8:7:2::1"), ("c", "2001:db8:8::1")] {
        connect_from(&mut sim, name, address);
    }
    connect_from(&mut sim, "d", "192.0.2.9");
    sim.clear();
    // The /48 of `a` and `b` holds two, everyone else one.
    connect_from(&mut sim, "e", "198.51.100.1");
    assert!(sim.output("a")[0].starts_with("! server-full: "));
    assert!(sim.peer("a").is_gone() && !sim.peer("a").was_reset());
    assert_eq!(sim.output("e").len(), 3);
    // Of equal networks the oldest connection yields, whoever comes.
    connect_from(&mut sim, "f", "192.0.2.9");
    assert!(sim.peer("early").is_gone());
    assert_eq!(sim.output("f").len(), 3);
    assert!(["b", "c", "d", "e"].iter().all(|name| sim.peer(name).is_open()));
    sim.say("alice", "here");
    assert!(sim.output("alice").iter().any(|line| line.ends_with("alice: here")));
}

#[test]
fn slots_many_newcomers_at_once_get_places_and_the_number_of_connections_stays_bounded() {
    let mut sim = with_places(50);
    for number in 0..50 {
        sim.connect(&format!("old {number}"));
    }
    sim.settle();
    for number in 0..120 {
        sim.connect(&format!("new {number}"));
    }
    for _ in 0..30 {
        sim.turn();
        sim.world.advance(1_000);
        assert!(sim.server.usage().connections <= 50);
    }
    sim.settle();
    // The last 50 who came are there; everyone else had a place for a while.
    assert!((70..120).all(|number| sim.peer(&format!("new {number}")).is_open()));
    assert!((0..50).all(|number| sim.peer(&format!("old {number}")).is_gone()));
}

#[test]
fn slots_sessions_of_the_account_with_most_of_them_yield_the_quietest_first() {
    let mut sim = with_places(9);
    sim.join("alice");
    for client in ["bob", "bob2", "bob3"] {
        sim.connect(client);
        sim.enter(client, "bob");
    }
    for client in ["carol", "carol2", "carol3", "carol4", "carol5"] {
        sim.connect(client);
        sim.enter(client, "carol");
        sim.run_seconds(1);
    }
    sim.say("carol", "I am not quiet");
    sim.clear();
    sim.connect("newcomer");
    sim.settle();
    assert_eq!(sim.output("newcomer").len(), 3);
    let last_words = sim.output("carol2");
    assert!(last_words.last().unwrap().starts_with("! replaced: "), "{last_words:?}");
    assert!(sim.peer("carol2").is_gone());
    // The newcomer is the next to yield, so that sessions go only for those who log in.
    sim.connect("another");
    sim.settle();
    assert!(sim.peer("newcomer").is_gone() && sim.peer("carol3").is_open());
    sim.enter("another", "dave");
    for number in 0..5 {
        sim.connect("next");
        sim.settle();
        sim.enter("next", &format!("n{number}"));
    }
    // One session each for alice, bob, carol and six others: nobody has more than another.
    sim.connect("too many");
    sim.settle();
    assert_eq!(
        sim.output("too many"),
        ["! server-full: all 9 connections are taken; please try again later"]
    );
    for client in ["alice", "bob3", "carol"] {
        assert!(sim.peer(client).is_open(), "{client}");
    }
}

#[test]
fn slots_a_session_does_not_count_against_its_address() {
    let mut options = options();
    options.per_address = Some(2);
    let mut sim = Sim::with(options);
    for name in ["ann", "ben", "cat", "dan"] {
        connect_from(&mut sim, name, "192.0.2.1");
        sim.enter(name, name);
    }
    connect_from(&mut sim, "eve", "192.0.2.1");
    connect_from(&mut sim, "fay", "192.0.2.1");
    connect_from(&mut sim, "gus", "192.0.2.1");
    assert_eq!(
        sim.output("gus"),
        ["! too-many-connections: your address already has 2 that are not logged in"]
    );
    // Nor does one that is about to close.
    sim.peer("ann").capacity = 0;
    sim.say("ben", "hello");
    sim.say("ann", "/quit");
    sim.enter("eve", "eve");
    connect_from(&mut sim, "gus", "192.0.2.1");
    assert_eq!(sim.output("gus").len(), 3);
}

#[test]
fn slots_no_reply_is_made_for_a_reader_that_has_not_taken_the_last_one() {
    for account in [None, Some("alice")] {
        let mut sim = Sim::new();
        sim.connect("deaf");
        if let Some(account) = account {
            sim.enter("deaf", account);
        }
        sim.settle();
        sim.peer("deaf").capacity = 0;
        for _ in 0..20 {
            sim.send("deaf", "/help\n".repeat(100));
            sim.run_seconds(2);
        }
        let usage = sim.server.usage();
        let most = if account.is_none() { 3 << 10 } else { 8 << 10 };
        assert!(usage.own_bytes <= most, "{account:?}: {usage:?}");
        assert!(account.is_some() || usage.input_bytes <= 4096, "{usage:?}");
        if account.is_some() {
            // Not one of them is lost.
            sim.peer("deaf").capacity = usize::MAX;
            sim.run_seconds(300);
            let lines = sim.output("deaf");
            assert_eq!(lines.iter().filter(|line| line.starts_with("* /help")).count(), 2000);
        }
    }
}

#[test]
fn slots_a_script_is_answered_line_by_line_without_waiting() {
    let mut options = options();
    options.rate = None;
    let mut sim = Sim::with(options);
    sim.connect("script");
    let started_us = sim.world.mono_us;
    let lines = "/help\n".repeat(40) + "/register bob correct-horse\n" + &"/help\n".repeat(40) + "/quit\n";
    sim.send("script", lines);
    sim.settle();
    let output = sim.output("script");
    assert_eq!(output.iter().filter(|line| line.starts_with("* /help")).count(), 80);
    assert_eq!(output.last().unwrap(), "* bye");
    assert!(sim.world.mono_us - started_us < SECOND_US, "no timer was waited for");
}

#[test]
fn slots_last_words_that_a_stranger_does_not_take_keep_its_place_for_seconds() {
    let mut sim = Sim::new();
    sim.connect("deaf");
    sim.settle();
    sim.peer("deaf").capacity = 0;
    sim.say("deaf", "/help");
    sim.run_seconds(75);
    assert!(sim.peer("deaf").is_gone());
}

#[test]
fn slots_bytes_that_never_become_a_line_are_read_slowly_and_not_for_ever() {
    let endless = |number: usize| match number {
        0 => [&[255, 250], &[7; 4000][..]].concat(),
        1 => [255, 241].repeat(2000),
        _ => vec![b'x'; 4000],
    };
    for number in 0..3 {
        let mut sim = Sim::new();
        sim.connect("stranger");
        sim.join("alice");
        let (mut read, mut output) = (Vec::new(), Vec::new());
        for _ in 0..30 {
            for _ in 0..100 {
                if sim.peer("stranger").is_open() {
                    sim.send("stranger", endless(number));
                }
            }
            let before = sim.peer("stranger").read_bytes;
            sim.run_seconds(1);
            read.push(sim.peer("stranger").read_bytes - before);
            output.extend(sim.output("stranger"));
        }
        assert!(read[0] <= 200_000, "{number}: {read:?}");
        // When its end has been said, the rest is thrown away for two seconds, at no great speed either.
        assert!(read[1..].iter().all(|&read| read <= 2_000_000), "{number}: {read:?}");
        assert!(read[1..20].iter().all(|&read| read <= 50_000), "{number}: {read:?}");
        assert!(output.iter().any(|line| line.starts_with("! line-too-long: ")), "{number}: {read:?}");
        // And after the login: what comes without a line ending is counted, whatever it consists of.
        for _ in 0..300 {
            if sim.peer("alice").is_open() {
                sim.send("alice", endless(number));
            }
            sim.turns(3);
        }
        sim.settle();
        assert!(sim.peer("alice").is_finished_by_server(), "{number}");
    }
}

#[test]
fn quota_sessions_of_an_account_share_its_rate_and_take_turns() {
    let mut sim = Sim::new();
    sim.join("bob");
    let sessions = ["m1", "m2", "m3", "m4"];
    for client in sessions {
        sim.connect(client);
        sim.enter(client, "mallory");
    }
    sim.run_seconds(10);
    for (number, client) in sessions.into_iter().enumerate() {
        // The first session has by far the most to say.
        let count = if number == 0 { 400 } else { 30 };
        sim.send(client, format!("from {client}\n").repeat(count));
    }
    sim.say("bob", "hello");
    assert!(sim.output("bob").iter().any(|line| line.ends_with("bob: hello")), "others are not delayed");
    sim.run_seconds(8);
    let log = sim.disk.read(LOG);
    let counts = sessions.map(|client| log.matches(&format!("mallory: from {client}\n")).count());
    let total: usize = counts.iter().sum();
    assert!((98..=102).contains(&total), "a burst of 20 and ten a second: {counts:?}");
    // The burst goes to whoever was first; from then on each of them has its turn.
    assert!(counts[1..].iter().all(|&count| count >= 18), "{counts:?}");
}

#[test]
fn quota_an_account_says_so_much_a_day_and_less_on_its_first() {
    let mut options = options();
    options.rules.bytes = ByteLimits { daily: Some(10_000), first_day: Some(3_000) };
    let mut sim = Sim::with(options);
    sim.join("bob");
    for client in ["m1", "m2"] {
        sim.connect(client);
        sim.enter(client, "mallory");
    }
    sim.clear();
    let line = "x".repeat(950);
    for client in ["m1", "m2", "m1"] {
        sim.say(client, &format!("/msg bob {line}"));
    }
    sim.clear();
    // Neither session may say more, to anyone. Whatever stores nothing is still answered.
    sim.say("m2", &line);
    let refused = sim.output("m2");
    assert!(refused[0].starts_with("! over-quota: "), "{refused:?}");
    assert!(refused[0].contains(" of 3000 bytes a day left until 2026-11-23T12:"), "{refused:?}");
    sim.say("m1", "/users");
    assert!(sim.output("m1").iter().any(|line| line.starts_with("* users: ")));
    sim.say("bob", "mine is not used up");
    assert!(sim.output("bob").iter().any(|line| line.ends_with("bob: mine is not used up")));
    let kept = sim.disk.read(LOG).matches("mallory").count();
    assert_eq!(kept, 3);
    // A day later there is more, and more than on the first day.
    sim.run_seconds(86_400);
    sim.clear();
    for _ in 0..9 {
        sim.say("m1", &line);
        sim.run_seconds(1);
    }
    assert_eq!(sim.disk.read(LOG).matches("mallory").count(), kept + 9);
    sim.clear();
    sim.say("m1", &line);
    sim.say("m1", &line);
    assert!(sim.output("m1").iter().any(|line| line.contains(" of 10000 bytes a day left")));
}

#[test]
fn turns_handle_few_lines_of_connections_without_a_login_and_all_of_members() {
    let mut sim = with_places(300);
    sim.join("alice");
    sim.join("bob");
    let strangers: Vec<String> = (0..200).map(|number| format!("stranger {number}")).collect();
    strangers.iter().for_each(|stranger| sim.connect(stranger));
    sim.settle();
    sim.run_seconds(1);
    sim.clear();
    for stranger in &strangers {
        sim.send(stranger, "/users\n");
    }
    sim.send("alice", "hello\n");
    let mut answered = Vec::new();
    for _ in 0..5 {
        sim.turn();
        let now = strangers.iter().filter(|stranger| !sim.output(stranger).is_empty()).count();
        answered.push(now);
        if answered.len() == 1 {
            assert!(sim.output("bob").iter().any(|line| line.ends_with(" alice: hello")));
        }
    }
    let most = STRANGERS_LINES_PER_TURN_MAX as usize;
    assert_eq!(answered, [0, most, most, most, 200 - 3 * most]);
}
