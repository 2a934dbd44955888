//! Readers that take little at a time: they cost the server next to nothing, lose nothing, and are never cut off.

use std::time::Duration;

use chinwag::limits::{OUTBOX_BYTES_MAX, SECOND_US};

use crate::sim::harness::{Sim, options, text_of, without_presence};
use crate::sim::world::XorShift;

const TEN_MINUTES_US: u64 = 600 * SECOND_US;

/// Nobody is limited in how fast he talks.
fn chatty(names: &[&str]) -> Sim {
    let mut options = options();
    options.rate = None;
    let mut sim = Sim::with(options);
    names.iter().for_each(|name| sim.join(name));
    sim.run_seconds(10);
    sim.clear();
    sim
}

fn messages(lines: &[String]) -> Vec<String> {
    lines.iter().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).cloned().collect()
}

/// Takes all that comes, so many bytes at a time.
fn take_all(sim: &mut Sim, name: &str, at_a_time: usize) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let taken = sim.take(name, at_a_time);
        lines.extend(taken);
        sim.settle();
        if sim.peer(name).untaken() == 0 {
            assert!(!sim.is_mid_line(name));
            return lines;
        }
    }
}

/// Everyone talks to everyone, so many bytes in all, until `slow`, who takes nothing, is far behind.
fn talk(sim: &mut Sim, bytes: usize, random: &mut XorShift) {
    let mut said = 0;
    while said < bytes {
        let length = 1 + random.below(1_500) as usize;
        let text = "x".repeat(length);
        let line = match random.below(5) {
            0 => format!("/msg slow {text}\n"),
            1 => format!("/msg bob {text}\n"),
            _ => text + "\n",
        };
        let from = if random.below(2) == 0 { "alice" } else { "bob" };
        sim.send(from, line);
        said += length;
        sim.turn();
        sim.clear_but("slow");
    }
    sim.settle();
}

#[test]
fn a_slow_reader_gets_every_message_once_and_whole_and_is_live_again() {
    for seed in 0..30 {
        let mut random = XorShift::new(seed);
        let mut sim = chatty(&["alice", "bob", "slow"]);
        let capacity = [1, 27, 100, 1_000, 4_096, 50_000][random.below(6) as usize];
        sim.peer("slow").capacity = capacity;
        sim.peer("slow").write_max = [usize::MAX, 3_001, 9_000][random.below(3) as usize];
        let mut output = Vec::new();
        for _ in 0..3 {
            talk(&mut sim, 2 * OUTBOX_BYTES_MAX / 3, &mut random);
            // Takes some now, and goes on being slow.
            for _ in 0..random.below(30) {
                let count = 1 + random.below(5_000) as usize;
                output.extend(sim.take("slow", count));
                sim.turn();
            }
        }
        let at_a_time = 3_000 + random.below(50_000) as usize;
        sim.peer("slow").capacity = at_a_time;
        output.extend(take_all(&mut sim, "slow", at_a_time));
        assert_eq!(messages(&output), sim.visible_to("slow"), "seed {seed}");
        // It is live: what is said now is sent from memory.
        sim.disk.state().read_fails = true;
        sim.say("alice", "now");
        assert_eq!(text_of(&sim.output("slow")[0]), "now");
    }
}

#[test]
fn a_line_cut_at_any_byte_is_continued_there() {
    // Both where the reader is live and where it reads the file.
    for behind in [0, OUTBOX_BYTES_MAX + 5_000] {
        for cut in 0..90 {
            let mut sim = chatty(&["alice", "slow"]);
            sim.peer("slow").capacity = cut;
            sim.send("alice", "one\n/msg slow two\nthree\n");
            sim.settle();
            while sim.visible_to("slow").iter().map(String::len).sum::<usize>() < behind {
                sim.say("alice", &"x".repeat(4_000));
            }
            sim.peer("slow").capacity = usize::MAX;
            let mut output = sim.take("slow", cut);
            sim.settle();
            output.extend(sim.output("slow"));
            assert_eq!(messages(&output), sim.visible_to("slow"), "cut at {cut}, {behind} behind");
            assert!(!sim.is_mid_line("slow"));
        }
    }
}

#[test]
fn answers_asked_for_before_falling_behind_still_come_in_their_order() {
    for ask in ["/users", "/history 3", "/help"] {
        for take in [1, 1_000, 70_000] {
            let mut sim = chatty(&["alice", "slow"]);
            sim.peer("slow").capacity = 100;
            // More than its socket takes, so that what it asks for has to wait.
            sim.say("alice", &"one".repeat(100));
            sim.send("slow", format!("{ask}\nafter\n/quit\n"));
            sim.settle();
            for _ in 0..100 {
                sim.say("alice", &"x".repeat(4_000));
            }
            sim.peer("slow").capacity = take.max(100);
            let mut output = take_all(&mut sim, "slow", take.max(50));
            sim.run_seconds(3);
            output.extend(sim.output("slow"));
            let output = without_presence(output);
            assert_eq!(output.last().unwrap(), "* bye", "{ask}");
            assert!(sim.peer("slow").is_at_end());
            let has = |start: &str| output.iter().filter(|line| line.starts_with(start)).count();
            match ask {
                "/users" => assert_eq!((has("* users: alice slow"), has("* 2 online")), (1, 1)),
                "/help" => assert_eq!(has("* /"), 30),
                _ => assert_eq!(has("* end of history"), 1),
            }
            let mut all = messages(&output);
            if ask == "/history 3" {
                let end = output.iter().position(|line| line == "* end of history").unwrap();
                let asked = messages(&output[..end]).split_off(messages(&output[..end]).len() - 3);
                let from = messages(&output[..end]).len() - 3;
                assert!(asked.is_sorted());
                all.drain(from..from + 3);
            }
            assert_eq!(all, sim.visible_to("slow"), "{ask}, {take} at a time");
            assert!(all.iter().any(|line| text_of(line) == "after"));
        }
    }
}

#[test]
fn presence_that_a_slow_reader_was_not_shown_is_said_to_be_missing() {
    let mut sim = chatty(&["alice", "slow"]);
    sim.peer("slow").capacity = 10;
    for _ in 0..80 {
        sim.say("alice", &"x".repeat(4_000));
    }
    sim.join("carol");
    sim.run_seconds(2);
    sim.peer("slow").capacity = usize::MAX;
    let output = take_all(&mut sim, "slow", usize::MAX);
    assert_eq!(messages(&output), sim.visible_to("slow"));
    let notices: Vec<_> = output.iter().filter(|line| line.starts_with('*')).collect();
    assert_eq!(notices, ["* you may have missed who joined and left; /users lists who is online"]);
}

#[test]
fn input_is_not_read_while_too_much_waits_for_the_socket() {
    for is_logged_in in [true, false] {
        let mut sim = chatty(&["alice"]);
        sim.connect("greedy");
        if is_logged_in {
            sim.enter("greedy", "greedy");
        }
        sim.settle();
        sim.clear();
        sim.peer("greedy").capacity = 100;
        sim.send("greedy", "/help\n".repeat(5_000));
        sim.settle();
        let unread = sim.peer("greedy").unread();
        assert!(unread > 20_000, "{unread}");
        sim.run_seconds(50);
        assert_eq!(sim.peer("greedy").unread(), unread, "nor later");
        sim.say("alice", "hello");
        assert!(sim.output("alice").last().unwrap().ends_with("hello"));
        // Taken, all of it is answered.
        sim.peer("greedy").capacity = 50_000;
        let output = take_all(&mut sim, "greedy", 50_000);
        assert_eq!(output.iter().filter(|line| line.contains("/register N")).count(), 5_000);
    }
}

#[test]
fn who_takes_nothing_for_ten_minutes_is_closed_and_shown_the_rest_at_the_next_login() {
    for bytes in [10_000, 2 * OUTBOX_BYTES_MAX] {
        let mut sim = chatty(&["alice", "slow"]);
        sim.peer("slow").capacity = 100;
        for _ in 0..bytes / 4_000 {
            sim.say("alice", &format!("/msg slow {}", "x".repeat(4_000)));
        }
        sim.run_for(TEN_MINUTES_US - 1_000_000);
        assert!(!sim.peer("slow").is_gone());
        sim.run_seconds(2);
        assert!(sim.peer("slow").is_gone());
        let mut output = sim.output("slow");
        sim.join_showing("slow", &mut output);
        // One line was cut, and comes again whole.
        assert_eq!(messages(&output), sim.visible_to("slow"));
    }
}

#[test]
fn who_takes_a_byte_now_and_then_is_never_closed() {
    let mut sim = chatty(&["alice", "slow"]);
    sim.peer("slow").capacity = 1;
    sim.say("alice", "hello everyone");
    for _ in 0..10 {
        sim.run_for(TEN_MINUTES_US - 2_000_000);
        sim.take("slow", 1);
        sim.settle();
    }
    assert!(!sim.peer("slow").is_gone());
}

#[test]
fn a_slow_reader_of_history_gets_it_all_while_others_talk() {
    let mut random = XorShift::new(7);
    let mut sim = chatty(&["alice", "bob", "slow"]);
    talk(&mut sim, 300_000, &mut random);
    sim.clear();
    sim.peer("slow").capacity = 1_000;
    sim.send("slow", "/history\n");
    sim.settle();
    let before = sim.visible_to("slow");
    let mut output = Vec::new();
    for _ in 0..200 {
        talk(&mut sim, 500, &mut random);
        output.extend(sim.take("slow", 1_000));
    }
    sim.peer("slow").capacity = 10_000;
    output.extend(take_all(&mut sim, "slow", 10_000));
    let end = output.iter().position(|line| line == "* end of history").expect("an end");
    let (history, live) = output.split_at(end);
    let all = sim.visible_to("slow");
    assert_eq!(history, &all[..before.len()]);
    assert_eq!(live[1..], all[before.len()..]);
}

#[test]
fn who_asks_while_others_never_stop_talking_is_answered_and_heard() {
    // A message in every single turn: no moment in which nothing is left to be sent.
    let mut sim = chatty(&["alice", "bob"]);
    sim.connect("carol");
    sim.send("carol", "/register carol correct-horse\nhello\n/history 2\n/users\nbye\n/quit\n");
    let mut output = Vec::new();
    for turn in 0..60 {
        sim.send("alice", format!("{turn}\n"));
        sim.turn();
        output.extend(sim.output("carol"));
    }
    assert_eq!(output.last().map(String::as_str), Some("* bye"), "{output:#?}");
    for line in ["* welcome carol", "* end of history", "* 3 online"] {
        assert!(output.iter().any(|shown| shown == line), "{line}");
    }
    let said = messages(&sim.output("bob"));
    for text in ["hello", "bye"] {
        assert!(said.iter().any(|line| text_of(line) == text), "{text}");
    }
}

#[test]
fn a_slow_reader_costs_no_turns_while_it_takes_nothing() {
    let mut sim = chatty(&["alice", "slow"]);
    sim.peer("slow").capacity = 10;
    for _ in 0..100 {
        sim.say("alice", &"x".repeat(4_000));
    }
    sim.run_seconds(10);
    let writes = sim.peer("slow").writes;
    for _ in 0..50 {
        sim.say("alice", "x");
    }
    assert!(sim.peer("slow").writes <= writes + 1, "a blocked socket is not written to");
    sim.turns(2);
    assert!(sim.net.state().last_timeout.is_none_or(|timeout| timeout > Duration::from_millis(500)));
}

#[test]
fn a_reset_in_the_turn_that_would_leave_a_reader_behind_ends_only_its_connection() {
    // One of these counts is the one with which the next line is too much.
    for lines in 60..70 {
        let mut sim = chatty(&["alice", "slow"]);
        sim.peer("slow").capacity = 10;
        for _ in 0..lines {
            sim.say("alice", &"x".repeat(4_000));
        }
        sim.clear_but("slow");
        sim.send("alice", "y".repeat(4_000) + "\n");
        sim.peer("slow").reset();
        sim.settle();
        assert!(sim.output("alice").iter().any(|line| line.contains("yyyy")), "{lines}");
    }
}

#[test]
fn who_is_closed_in_a_turn_is_sent_nothing_that_is_said_in_it() {
    let mut sim = chatty(&["alice", "bob"]);
    sim.peer("bob").capacity = 10;
    sim.say("alice", "before");
    sim.world.advance(TEN_MINUTES_US);
    // He takes it at last, and too late. He has left already when these are said, so the first is not for him.
    sim.peer("bob").capacity = usize::MAX;
    sim.send("alice", "/msg bob one\ntwo\n");
    sim.settle();
    let output = messages(&sim.output("bob"));
    assert!(sim.visible_to("bob").starts_with(&output), "{output:?} has a gap");
}
