//! The delivered mark, which moves back when a peer is lost, and how often marks are written.

use chinwag::limits::{SECOND_US, SESSIONS_PER_ACCOUNT_MAX};
use chinwag::server::LoopState;

use crate::sim::disk::SEEN;
use crate::sim::harness::{Sim, options, text_of, without_presence};

/// Bob is heard from, and then alice tells him three things that his socket takes.
fn bob_was_told() -> Sim {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.join("bob");
    sim.say("alice", "/msg bob zero");
    sim.say("bob", "/help");
    sim.run_seconds(5);
    for text in ["one", "two", "three"] {
        sim.say("alice", &format!("/msg bob {text}"));
        sim.run_seconds(12);
    }
    sim.clear();
    sim
}

/// What a new session of bob is shown after its welcome.
fn shown_to_bob(sim: &mut Sim, client: &str) -> Vec<String> {
    sim.connect(client);
    sim.settle();
    sim.clear();
    sim.say(client, "/login bob correct-horse");
    without_presence(sim.output(client))[1..].iter().map(|line| text_of(line).to_owned()).collect()
}

#[test]
fn mark_moves_back_when_a_connection_breaks() {
    let mut sim = bob_was_told();
    sim.peer("bob").reset();
    sim.settle();
    assert_eq!(shown_to_bob(&mut sim, "again"), ["one", "two", "three"]);
}

#[test]
fn mark_moves_back_when_a_write_fails() {
    let mut sim = bob_was_told();
    sim.peer("bob").write_fails = true;
    sim.say("alice", "/msg bob four");
    sim.run_seconds(700);
    assert_eq!(shown_to_bob(&mut sim, "again"), ["one", "two", "three", "four"]);
}

#[test]
fn mark_moves_back_when_a_socket_stalls_and_outlives_a_restart() {
    let mut sim = bob_was_told();
    sim.peer("bob").capacity = 0;
    sim.say("alice", "/msg bob four");
    sim.run_seconds(700);
    let mut sim = sim.restart();
    assert_eq!(shown_to_bob(&mut sim, "again"), ["one", "two", "three", "four"]);
}

#[test]
fn mark_moves_back_to_the_first_message_of_an_account_that_was_never_heard_from() {
    let mut sim = Sim::new();
    sim.join("bob");
    sim.join("alice");
    sim.say("alice", "/msg bob one");
    sim.run_seconds(5);
    sim.peer("bob").reset();
    sim.run_seconds(5);
    let mut sim = sim.restart();
    assert_eq!(shown_to_bob(&mut sim, "again"), ["one"]);
}

#[test]
fn mark_covers_everything_sent_before_a_clean_end() {
    for end in ["/quit", "half-close"] {
        let mut sim = bob_was_told();
        if end == "/quit" {
            sim.say("bob", "/quit");
        } else {
            sim.peer("bob").finish();
            sim.settle();
        }
        assert_eq!(shown_to_bob(&mut sim, "again"), [""; 0], "{end}");
    }
}

#[test]
fn mark_moves_back_when_a_silent_session_is_replaced() {
    let mut sim = Sim::new();
    sim.join("alice");
    let clients: Vec<_> = (0..SESSIONS_PER_ACCOUNT_MAX).map(|number| format!("bob{number}")).collect();
    for client in &clients {
        sim.connect(client);
        sim.enter(client, "bob");
    }
    sim.run_seconds(5);
    // All of them have lost their network, and nobody can know yet.
    sim.say("alice", "/msg bob one");
    sim.run_seconds(40);
    sim.clear();
    assert_eq!(shown_to_bob(&mut sim, "again"), ["one"]);
    assert!(sim.output(&clients[0]).iter().any(|line| line.starts_with("! replaced: ")));
}

#[test]
fn mark_moves_back_when_a_silent_session_yields_its_place() {
    let mut options = options();
    options.max_connections = 3;
    let mut sim = Sim::with(options);
    sim.join("alice");
    for client in ["first", "second"] {
        sim.connect(client);
        sim.enter(client, "bob");
    }
    sim.run_seconds(5);
    sim.say("alice", "/msg bob one");
    sim.run_seconds(40);
    sim.clear();
    assert_eq!(shown_to_bob(&mut sim, "again"), ["one"]);
    assert!(sim.peer("first").is_gone());
}

#[test]
fn mark_moves_back_when_a_silent_session_is_signed_out() {
    let mut sim = bob_was_told();
    sim.say("bob", "/help");
    sim.run_seconds(1);
    sim.say("alice", "/msg bob four");
    // Only the first session was sent this, and it is not silent for long enough.
    assert_eq!(shown_to_bob(&mut sim, "second"), [""; 0]);
    sim.run_seconds(40);
    sim.say("second", "/passwd correct-horse another-horse");
    sim.run_seconds(5);
    assert!(sim.output("bob").iter().any(|line| line.starts_with("! signed-out: ")));
    sim.say("second", "/quit");
    sim.connect("again");
    sim.settle();
    sim.clear();
    sim.say("again", "/login bob another-horse");
    assert_eq!(
        without_presence(sim.output("again"))[1..].iter().map(|it| text_of(it)).collect::<Vec<_>>(),
        ["four"]
    );
}

#[test]
fn mark_covers_what_another_session_was_sent() {
    let mut sim = bob_was_told();
    assert_eq!(shown_to_bob(&mut sim, "second"), ["one", "two", "three"]);
    sim.say("alice", "/msg bob four");
    sim.peer("bob").reset();
    sim.settle();
    sim.say("second", "/quit");
    assert_eq!(shown_to_bob(&mut sim, "again"), [""; 0]);
}

#[test]
fn mark_of_a_lost_session_counts_where_another_one_is_lost_later() {
    let mut sim = bob_was_told();
    shown_to_bob(&mut sim, "second");
    sim.say("bob", "/help");
    sim.run_seconds(5);
    sim.say("alice", "/msg bob four");
    sim.peer("bob").reset();
    sim.settle();
    sim.peer("second").reset();
    sim.settle();
    assert_eq!(shown_to_bob(&mut sim, "again"), ["four"]);
}

#[test]
fn mark_does_not_cover_what_only_silent_sessions_were_sent() {
    let mut sim = bob_was_told();
    assert_eq!(shown_to_bob(&mut sim, "again"), ["one", "two", "three"]);
    let mut sim = bob_was_told();
    sim.say("bob", "/help");
    assert_eq!(shown_to_bob(&mut sim, "again"), [""; 0], "it was heard from just now");
}

#[test]
fn mark_stays_behind_messages_that_only_a_lost_session_was_sent() {
    let mut sim = bob_was_told();
    sim.say("bob", "/help");
    sim.run_seconds(1);
    sim.say("alice", "/msg bob four");
    sim.run_seconds(1);
    // The second session begins after a message that the first one was sent in vain.
    assert_eq!(shown_to_bob(&mut sim, "second"), [""; 0]);
    sim.say("alice", "/msg bob five");
    sim.say("second", "/help");
    sim.peer("bob").reset();
    sim.settle();
    sim.say("second", "/help");
    sim.say("second", "/quit");
    assert_eq!(shown_to_bob(&mut sim, "again"), ["four", "five"]);
}

#[test]
fn mark_closes_a_gap_once_the_first_session_is_heard_from_again() {
    let mut sim = bob_was_told();
    sim.say("bob", "/help");
    sim.run_seconds(1);
    sim.say("alice", "/msg bob four");
    shown_to_bob(&mut sim, "second");
    sim.say("bob", "/help");
    sim.say("alice", "/msg bob five");
    sim.peer("bob").reset();
    sim.settle();
    sim.say("second", "/quit");
    assert_eq!(shown_to_bob(&mut sim, "again"), [""; 0]);
}

#[test]
fn mark_does_not_move_while_the_server_reads_what_came_long_ago() {
    let mut sim = bob_was_told();
    // More than the server reads at once, and it handles ten lines per second.
    sim.send("bob", format!("/msg alice {}\n", "x".repeat(2_000)).repeat(60));
    sim.settle();
    sim.say("alice", "/msg bob four");
    sim.run_seconds(20);
    sim.peer("bob").reset();
    sim.settle();
    let shown = shown_to_bob(&mut sim, "again");
    assert!(shown.contains(&"four".to_owned()), "{shown:?}");
}

#[test]
fn marks_are_written_once_per_second() {
    let mut options = options();
    options.rate = None;
    options.per_address = None;
    let mut sim = Sim::with(options);
    sim.join("alice");
    sim.join("bob");
    sim.run_seconds(3);
    sim.say("alice", "hello");
    let (before, _) = sim.disk.counts(SEEN);
    for _ in 0..100 {
        sim.connect("guest");
        sim.settle();
        sim.say("guest", "/login bob correct-horse");
        sim.say("guest", "/quit");
        sim.say("alice", "/msg bob hello");
        sim.run_for(SECOND_US / 20);
    }
    let appends = sim.disk.counts(SEEN).0 - before;
    assert!((4..=6).contains(&appends), "{appends} appends in five seconds");
    // And once at the end.
    let (before, _) = sim.disk.counts(SEEN);
    sim.say("alice", "/msg bob hello");
    sim.net.state().shutdown = true;
    while sim.turn() == LoopState::Running {}
    assert_eq!(sim.disk.counts(SEEN).0, before + 1);
}
