//! Sockets as they are: readiness told once, ends and resets at any moment, no descriptors, many at a time.

use std::io::ErrorKind;

use chinwag::limits::{
    ACCEPTS_PER_TURN_MAX, BATCH_BYTES_MAX, CATCH_UP_CHUNK_BYTES, CATCH_UPS_PER_TURN_MAX, LINE_BYTES_MAX,
    LINES_PER_TURN_MAX, SECOND_US,
};
use chinwag::server::LoopState;

use crate::sim::disk::LOG;
use crate::sim::harness::{Sim, options, text_of, without_presence};

fn two() -> Sim {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.join("bob");
    sim.run_seconds(10);
    sim.clear();
    sim
}

fn unlimited(names: &[&str]) -> Sim {
    let mut options = options();
    options.rate = None;
    let mut sim = Sim::with(options);
    names.iter().for_each(|name| sim.join(name));
    sim.run_seconds(10);
    sim.clear();
    sim
}

fn texts(lines: Vec<String>) -> Vec<String> {
    without_presence(lines).iter().map(|line| text_of(line).to_owned()).collect()
}

#[test]
fn more_than_is_read_or_handled_in_a_turn_is_carried_over() {
    for read_max in [1, 5, 1_000, usize::MAX] {
        let mut sim = unlimited(&["alice", "bob"]);
        sim.peer("bob").read_max = read_max;
        let lines: Vec<_> = (0..3_000).map(|number| number.to_string()).collect();
        // Readiness is told once for all of this.
        sim.send("bob", lines.join("\n") + "\n");
        let turns = sim.settle();
        assert!(turns as u32 >= 3_000 / LINES_PER_TURN_MAX, "{turns} turns");
        assert_eq!(texts(sim.output("alice")), lines, "{read_max} bytes a read");
        assert_eq!(sim.peer("bob").unread(), 0);
        // Also where nothing is answered in between.
        sim.send("bob", "\n".repeat(10 * LINES_PER_TURN_MAX as usize) + "last\n");
        sim.settle();
        assert_eq!(texts(sim.output("alice")), ["last"]);
    }
}

#[test]
fn those_who_flood_do_not_keep_others_waiting() {
    // Together they fill a turn's batch in every turn, and they came first.
    let names: Vec<_> = (0..40).map(|number| format!("flooder{number}")).collect();
    let mut sim = unlimited(&["alice"]);
    names.iter().for_each(|name| sim.join(name));
    sim.join("dave");
    for name in &names {
        sim.send(name, ("x".repeat(4_000) + "\n").repeat(80));
    }
    sim.turns(2);
    sim.send("dave", "hello\n");
    sim.turns(6);
    let output = sim.output("dave");
    assert!(output.iter().any(|line| line.ends_with(" dave: hello")), "not within six turns");
    assert!(sim.peer("flooder0").unread() > 0, "the flood is not over");
}

#[test]
fn what_a_turn_appends_to_the_log_is_bounded_however_many_flood() {
    let names: Vec<_> = (0..40).map(|number| format!("flooder{number}")).collect();
    let mut sim = unlimited(&[]);
    names.iter().for_each(|name| sim.join(name));
    for name in &names {
        sim.send(name, ("x".repeat(4_000) + "\n").repeat(10));
    }
    let mut most = 0;
    while sim.disk.length(LOG) < 40 * 10 * 4_000 {
        let (length, appends) = (sim.disk.length(LOG), sim.disk.counts(LOG).0);
        sim.turn();
        let (added, appends) = (sim.disk.length(LOG) - length, sim.disk.counts(LOG).0 - appends);
        assert!((1..=BATCH_BYTES_MAX + LINE_BYTES_MAX).contains(&added), "{added} bytes");
        assert_eq!(appends, 1);
        most = most.max(added);
    }
    assert!(most >= BATCH_BYTES_MAX, "it is the bound that holds them back: {most}");
}

#[test]
fn many_who_read_the_history_do_not_keep_others_waiting() {
    let mut sim = unlimited(&["alice", "bob"]);
    for _ in 0..100 {
        sim.say("alice", &"x".repeat(4_000));
    }
    for number in 0..100 {
        let name = format!("reader{number}");
        sim.connect(&name);
        sim.enter(&name, &format!("reader{}", number / 10));
    }
    sim.clear();
    (0..100).for_each(|number| sim.send(&format!("reader{number}"), "/history\n"));
    for _ in 0..20 {
        sim.send("bob", "hello\n");
        let read = sim.disk.state().read_bytes;
        sim.turn();
        assert_eq!(texts(sim.output("alice")), ["hello"], "in the turn it is said");
        let read = sim.disk.state().read_bytes - read;
        // The index reads what was just said.
        let most = CATCH_UPS_PER_TURN_MAX * CATCH_UP_CHUNK_BYTES + LINE_BYTES_MAX;
        assert!(read <= most, "{read} bytes");
    }
    sim.settle();
    for number in 0..100 {
        let mut output = sim.output(&format!("reader{number}"));
        // What was live before it asked is in the history again.
        output.sort();
        output.dedup();
        assert_eq!(output[1..], sim.visible_to("anyone"), "all of it, and its end");
    }
}

#[test]
fn lines_beyond_the_burst_are_delayed_in_order_and_none_is_lost() {
    let mut sim = two();
    let lines: Vec<_> = (0..60).map(|number| number.to_string()).collect();
    sim.send("bob", lines.join("\n") + "\n");
    sim.settle();
    assert_eq!(texts(sim.output("alice")), lines[..20]);
    // Others are not held up by that.
    sim.say("alice", "quick");
    assert_eq!(texts(sim.output("alice")), ["quick"]);
    let wakes = sim.run_seconds(1);
    assert_eq!(texts(sim.output("alice")), lines[20..30]);
    assert!(wakes <= 12, "{wakes}");
    sim.run_seconds(3);
    assert_eq!(texts(sim.output("alice")), lines[30..]);
    // After a rest there is a burst again.
    sim.run_seconds(2);
    sim.send("bob", lines.join("\n") + "\n");
    sim.settle();
    assert_eq!(texts(sim.output("alice")), lines[..20]);
}

#[test]
fn a_flood_is_left_in_the_kernel() {
    let mut sim = two();
    sim.send("bob", "flood\n".repeat(100_000));
    sim.run_seconds(5);
    assert!(sim.peer("bob").unread() > 580_000, "{}", sim.peer("bob").unread());
    // Who floods without a login is held back just so.
    sim.connect("mallory");
    sim.settle();
    sim.send("mallory", "flood\n".repeat(100_000));
    sim.run_seconds(5);
    assert!(sim.peer("mallory").unread() > 580_000);
}

#[test]
fn a_flood_that_then_ends_is_still_handled_to_its_end() {
    let mut sim = two();
    let lines: Vec<_> = (0..60).map(|number| number.to_string()).collect();
    sim.send("bob", lines.join("\n") + "\n");
    sim.settle();
    sim.peer("bob").finish();
    sim.run_seconds(10);
    assert_eq!(texts(sim.output("alice")), lines);
    assert_eq!(texts(sim.output("bob")), lines);
    assert!(sim.peer("bob").is_gone());
}

#[test]
fn what_came_before_a_reset_is_said() {
    let mut sim = two();
    sim.send("bob", "one\ntwo\n");
    sim.peer("bob").reset();
    sim.settle();
    sim.run_seconds(2);
    assert_eq!(texts(sim.output("alice")), ["one", "two"]);
    assert!(sim.peer("bob").is_gone());
}

#[test]
fn lines_behind_one_whose_answer_cannot_be_sent_are_said() {
    let mut sim = two();
    // He closes without taking the answer: the first write is met by a reset, with lines still unread.
    sim.send("bob", "/help\n");
    sim.send("bob", "one\n".repeat(LINES_PER_TURN_MAX as usize));
    sim.peer("bob").close();
    sim.run_seconds(10);
    assert_eq!(texts(sim.output("alice")).len(), LINES_PER_TURN_MAX as usize);
    assert!(sim.peer("bob").is_gone());
}

#[test]
fn whoever_is_gone_is_let_go_whatever_was_asked_for() {
    for ask in ["/history", "/users", "/help", "/quit", "/passwd correct-horse battery-staple", "hello", "un"]
    {
        for early in [0, 1, 2, 3] {
            let mut sim = two();
            sim.run_seconds(60);
            sim.say("alice", "one");
            sim.output("bob");
            // The rest of the burst comes only when the peer has been found to be gone.
            sim.send("bob", "/help\n".repeat(25));
            if early > 0 {
                sim.turns(early);
            }
            sim.send("bob", if ask == "un" { "unfinished".into() } else { format!("{ask}\n{ask}\n") });
            sim.peer("bob").close();
            sim.run_seconds(30);
            assert!(sim.peer("bob").is_gone(), "{ask} after {early} turns");
            sim.say("alice", "/users");
            assert!(sim.output("alice").contains(&"* 1 online".to_owned()), "{ask}");
        }
    }
}

#[test]
fn a_half_close_is_answered_to_the_last_line() {
    let mut sim = two();
    for number in 0..300 {
        sim.say("alice", &number.to_string());
        sim.run_seconds(1);
    }
    sim.clear();
    sim.peer("bob").capacity = 50;
    sim.send("bob", "/history\n/users\nbye\n/history 1\n");
    sim.peer("bob").finish();
    sim.settle();
    let mut output = Vec::new();
    // 300 messages and more, of some 40 bytes each.
    for _ in 0..1_000 {
        output.extend(sim.take("bob", 50));
        sim.settle();
    }
    assert!(sim.peer("bob").is_at_end(), "it is never closed");
    assert!(!sim.peer("bob").was_reset() && !sim.is_mid_line("bob"));
    let texts = texts(output);
    assert_eq!(
        texts[299..303],
        ["299", "* end of history", "* users", "* 2 online"].map(|text| match text {
            "* users" => "alice bob",
            text => text,
        })
    );
    assert_eq!(texts[303..], ["bye", "bye", "* end of history"]);
}

#[test]
fn the_number_of_one_that_is_gone_brings_nothing_of_it_to_the_next() {
    let mut sim = two();
    for round in 0..50 {
        let old = format!("old{round}");
        sim.connect(&old);
        if round == 0 {
            sim.enter(&old, "mallory");
        } else {
            sim.send(&old, "/login mallory correct-horse\n");
            sim.turns(round % 4);
        }
        // Asked for, and gone before the answer; another comes in the same batch of events.
        sim.send(&old, "/history\n/users\n/msg mallory secret\n");
        sim.turns(round % 3);
        match round % 3 {
            0 => sim.peer(&old).reset(),
            1 => sim.peer(&old).close(),
            _ => sim.send(&old, "/quit\n"),
        }
        let new = format!("new{round}");
        sim.connect(&new);
        sim.run_seconds(3);
        let output = sim.output(&new);
        assert_eq!(output.len(), 3, "only the greeting: {output:#?}");
        sim.peer(&new).reset();
        sim.settle();
    }
}

#[test]
fn errors_of_accept_end_nothing_and_do_not_make_it_spin() {
    let mut sim = two();
    for kind in [ErrorKind::Other, ErrorKind::OutOfMemory, ErrorKind::PermissionDenied] {
        sim.net.state().accept_errors.push_back(kind);
    }
    sim.connect("carol");
    sim.settle();
    let accepts = sim.net.state().accepts;
    assert!(sim.timeout_us().is_some_and(|timeout| (1..=SECOND_US).contains(&timeout)));
    sim.say("bob", "hello");
    assert_eq!(texts(sim.output("alice")), ["hello"]);
    assert_eq!(sim.net.state().accepts, accepts, "it waits before it tries again");
    sim.run_seconds(1);
    assert_eq!(sim.output("carol").len(), 3);
}

#[test]
fn without_descriptors_a_newcomer_is_told_and_the_others_feel_nothing() {
    let mut sim = two();
    sim.net.state().out_of_descriptors = true;
    for name in ["carol", "dave"] {
        sim.connect(name);
    }
    sim.settle();
    for name in ["carol", "dave"] {
        assert!(sim.output(name)[0].starts_with("! server-full: "));
        assert!(sim.peer(name).is_gone() && !sim.peer(name).was_reset());
    }
    sim.say("bob", "hello");
    assert_eq!(texts(sim.output("alice")), ["hello"]);
    // Not even one to turn them away with: they wait, and the server does not spin.
    sim.net.state().no_spare = true;
    sim.connect("erin");
    assert!(sim.run_seconds(5) < 100);
    assert_eq!(sim.output("erin"), [""; 0]);
    sim.net.state().no_spare = false;
    sim.net.state().out_of_descriptors = false;
    sim.run_seconds(1);
    assert_eq!(sim.output("erin").len(), 3);
    sim.enter("erin", "erin");
}

#[test]
fn a_newcomer_that_cannot_be_waited_for_is_let_go() {
    let mut sim = two();
    sim.net.state().watch_fails = true;
    for _ in 0..40 {
        sim.connect_from("carol", "10.7.7.7".parse().unwrap());
        sim.settle();
        assert!(sim.peer("carol").is_gone());
    }
    sim.net.state().watch_fails = false;
    sim.connect_from("carol", "10.7.7.7".parse().unwrap());
    sim.settle();
    assert_eq!(sim.output("carol").len(), 3, "nor do those count for its address");
}

#[test]
fn the_server_is_full_at_some_point_and_says_so() {
    let mut options = options();
    options.max_connections = 3;
    let mut sim = Sim::with(options);
    for name in ["a", "b", "c"] {
        sim.join(name);
    }
    sim.connect("d");
    sim.settle();
    assert_eq!(sim.output("d"), ["! server-full: all 3 connections are taken; please try again later"]);
    assert!(sim.peer("d").is_gone());
    sim.peer("a").reset();
    sim.settle();
    sim.connect("e");
    sim.settle();
    assert_eq!(sim.output("e").len(), 3);
}

#[test]
fn a_thousand_newcomers_at_once_are_all_taken() {
    let mut sim = two();
    for number in 0..900 {
        sim.connect(&number.to_string());
    }
    sim.send("bob", "hello\n");
    let accepts = sim.net.state().accepts;
    sim.turn();
    assert_eq!(texts(sim.output("alice")), ["hello"], "nobody waits for them");
    assert_eq!(sim.net.state().accepts, accepts + ACCEPTS_PER_TURN_MAX as usize);
    sim.settle();
    assert!((0..900).all(|number| sim.output(&number.to_string()).len() == 3));
}

#[test]
fn an_idle_server_sleeps() {
    let mut sim = two();
    sim.say("bob", "hello");
    // Whoever is logged in, or was and is gone, leaves no timer behind.
    sim.say("bob", "/quit");
    sim.run_seconds(5);
    assert_eq!(sim.timeout_us(), None);
    let writes = sim.peer("alice").writes;
    assert_eq!(sim.run_seconds(3600), 0);
    assert_eq!(sim.peer("alice").writes, writes);
}

#[test]
fn a_shutdown_first_completes_what_the_last_turn_began() {
    // What a turn does for strangers after its commit is committed and released by the next turn.
    let mut sim = Sim::new();
    sim.connect("late");
    sim.settle();
    sim.world.advance(30 * SECOND_US);
    sim.connect("new");
    sim.settle();
    sim.clear();
    sim.world.advance(30 * SECOND_US);
    sim.send("new", "/register new correct-horse\n");
    sim.turn();
    sim.net.state().shutdown = true;
    while sim.turn() == LoopState::Running {}
    assert_eq!(sim.output("late"), ["! login-timeout: you did not log in within 60 s"]);
    assert_eq!(sim.output("new"), ["* welcome new", "* the server is shutting down"]);
    assert!(sim.disk.read("users.txt").starts_with("new:"), "{}", sim.disk.read("users.txt"));
}

#[test]
fn a_shutdown_is_told_flushed_and_over() {
    let mut sim = two();
    sim.connect("stranger");
    sim.settle();
    sim.clear();
    sim.send("bob", "last words\n");
    sim.turn();
    sim.net.state().shutdown = true;
    let mut turns = 0;
    while sim.turn() == LoopState::Running {
        turns += 1;
        assert!(turns < 20);
    }
    assert_eq!(texts(sim.output("alice")), ["last words", "* the server is shutting down"]);
    assert_eq!(sim.output("stranger"), ["* the server is shutting down"]);
    for name in ["alice", "bob", "stranger"] {
        assert!(sim.peer(name).is_gone() && !sim.peer(name).was_reset(), "{name}");
    }
    // Nothing of it comes again.
    let mut sim = sim.restart();
    sim.connect("alice");
    sim.say("alice", "/login alice correct-horse");
    assert_eq!(sim.output("alice")[3..], ["* welcome alice"]);
}

#[test]
fn at_a_shutdown_who_takes_nothing_is_waited_for_no_longer_than_two_seconds() {
    let mut sim = two();
    sim.peer("bob").capacity = 1;
    sim.say("alice", "hello");
    sim.net.state().shutdown = true;
    sim.connect("too late");
    let started_us = sim.world.mono_us;
    let mut turns = 0;
    while sim.turn() == LoopState::Running {
        turns += 1;
        assert!(turns < 20, "it spins");
        if sim.is_idle() {
            let timeout_us = sim.timeout_us().expect("it has an end");
            sim.world.advance(timeout_us);
        }
    }
    assert_eq!(sim.world.mono_us - started_us, 2 * SECOND_US);
    assert_eq!(sim.output("too late"), [""; 0]);
    let mut sim = sim.restart();
    sim.connect("bob");
    sim.say("bob", "/login bob correct-horse");
    assert_eq!(texts(sim.output("bob")[4..].to_vec()), ["hello"]);
}

#[test]
fn a_second_shutdown_does_not_wait() {
    let mut sim = two();
    sim.peer("bob").capacity = 1;
    sim.say("alice", "hello");
    sim.net.state().shutdown = true;
    sim.turns(3);
    sim.net.state().shutdown = true;
    assert_eq!(sim.turn(), LoopState::Finished);
}

#[test]
fn timestamps_rise_whatever_the_clock_does() {
    let mut sim = two();
    for (number, step_us) in [-1_i64, -3_600_000_000, 5, -86_400_000_000, 0, 0].into_iter().enumerate() {
        sim.world.wall_us = sim.world.wall_us.checked_add_signed(step_us).unwrap();
        sim.say("alice", &number.to_string());
        sim.run_seconds(1);
    }
    let before = sim.output("bob");
    let mut sim = sim.restart();
    sim.world.wall_us -= 172_800_000_000;
    sim.join("alice");
    sim.join("bob");
    sim.say("alice", "after");
    let after = without_presence(sim.output("bob"));
    let all = [before, after].concat();
    assert_eq!(all.len(), 7);
    assert!(all.windows(2).all(|pair| pair[0][..27] < pair[1][..27]), "{all:#?}");
}

#[test]
fn timers_do_not_care_for_the_wall_clock() {
    let mut sim = two();
    sim.connect("idle");
    sim.settle();
    sim.clear();
    sim.world.wall_us += 86_400_000_000;
    sim.run_seconds(50);
    sim.world.wall_us -= 2 * 86_400_000_000;
    sim.run_seconds(9);
    assert_eq!(sim.output("idle"), [""; 0]);
    sim.run_seconds(1);
    assert_eq!(sim.output("idle").len(), 1);
}

#[test]
fn who_can_be_told_nothing_more_is_told_that_this_is_the_end() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.join("bob");
    sim.run_seconds(10);
    sim.clear();
    sim.peer("bob").write_fails = true;
    sim.say("alice", "one");
    sim.peer("bob").write_fails = false;
    assert!(sim.peer("bob").is_at_end(), "else he would wait for what never comes");
    // What he had sent is still taken, and he is gone once he closes too.
    sim.say("bob", "two");
    assert_eq!(sim.output("alice").last().map(|line| text_of(line)), Some("two"));
    sim.peer("bob").finish();
    sim.settle();
    assert!(sim.peer("bob").is_gone());
    let mut output = Vec::new();
    sim.join_showing("bob", &mut output);
    assert!(output.iter().any(|line| text_of(line) == "one"), "{output:?}");
}
