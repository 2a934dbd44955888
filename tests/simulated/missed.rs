//! What one missed while away, and how much of it is shown.

use chinwag::limits::{SECOND_US, SEEN_PER_SAVE_MAX};

use crate::sim::disk::{LOG, SEEN};
use crate::sim::harness::{Sim, options, text_of, without_presence};
use crate::sim::transcript::check;

/// Bob was here and went; then alice said 60 things, every tenth of them to him alone.
fn bob_was_away() -> Sim {
    let mut options = options();
    options.rate = None;
    let mut sim = Sim::with(options);
    sim.join("alice");
    sim.join("bob");
    sim.say("alice", "he sees this");
    sim.say("bob", "/quit");
    for number in 0..60 {
        sim.say("alice", &if number % 10 == 0 { format!("/msg bob p{number}") } else { format!("{number}") });
    }
    sim.run_seconds(10);
    sim.clear();
    sim.connect("bob");
    sim.settle();
    sim.clear();
    sim
}

fn texts(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| text_of(line).to_owned()).collect()
}

/// What he is to be shown: every private message, and so many of the last public ones.
fn expected(public: usize) -> Vec<String> {
    let from = (0..60).filter(|number| number % 10 != 0).rev().nth(public.saturating_sub(1)).unwrap_or(0);
    (0..60)
        .filter(|&number| number % 10 == 0 || (number >= from && public > 0))
        .map(|number| if number % 10 == 0 { format!("p{number}") } else { number.to_string() })
        .collect()
}

#[test]
fn a_login_shows_the_last_50_public_and_every_private_message_since_the_last_visit_in_order() {
    let mut sim = bob_was_away();
    sim.say("bob", "/login bob correct-horse");
    let output = sim.output("bob");
    assert_eq!(output[0], "* welcome bob");
    assert_eq!(texts(&output[1..]), expected(50));
    assert_eq!(expected(50).len(), 56, "of 54 public ones the first 4 are left out, and no private one");
    assert!(output[1..].is_sorted());
    // Once: neither again by time, nor at the next visit, and what comes now is live.
    sim.say("alice", "now");
    assert_eq!(texts(&without_presence(sim.output("bob"))), ["now"]);
    sim.say("bob", "/quit");
    sim.join("bob");
    sim.run_seconds(3);
    assert_eq!(sim.output("bob"), [""; 0]);
}

#[test]
fn an_account_chooses_how_much_it_is_shown_before_its_login() {
    for replay in [1, 5, 1000] {
        let mut sim = bob_was_away();
        sim.say("bob", &format!("/replay {replay}"));
        sim.say("bob", "/login bob correct-horse");
        let output = sim.output("bob");
        assert_eq!(output[..2], [format!("* replay {replay}"), "* welcome bob".into()]);
        assert_eq!(texts(&output[2..]), expected(replay), "/replay {replay}");
    }
}

#[test]
fn a_choice_made_after_the_login_holds_for_the_next_one() {
    let mut sim = bob_was_away();
    sim.say("bob", "/login bob correct-horse");
    sim.say("bob", "/replay 2");
    sim.say("bob", "/quit");
    for number in 0..5 {
        sim.say("alice", &format!("again {number}"));
    }
    sim.connect("bob");
    sim.settle();
    sim.clear();
    sim.say("bob", "/login bob correct-horse");
    assert_eq!(texts(&sim.output("bob")), ["* welcome bob", "again 3", "again 4"]);
}

#[test]
fn a_bot_asks_for_nothing_and_is_shown_nothing() {
    let mut sim = bob_was_away();
    sim.send("bob", "/replay 0\n/login bob correct-horse\n");
    sim.settle();
    assert_eq!(sim.output("bob"), ["* replay 0", "* welcome bob"]);
    sim.say("alice", "/msg bob live");
    assert_eq!(texts(&without_presence(sim.output("bob"))), ["live"]);
}

#[test]
fn who_comes_for_the_first_time_is_shown_the_last_50_public_messages() {
    let mut sim = bob_was_away();
    sim.say("bob", "/quit");
    sim.connect("carol");
    sim.say("carol", "/register carol correct-horse");
    let output = sim.output("carol");
    let public: Vec<_> = expected(50).into_iter().filter(|text| !text.starts_with('p')).collect();
    assert_eq!(texts(&output[4..]), public);
    assert_eq!(public.len(), 50);
    assert_eq!(output[3], "* welcome carol");
}

#[test]
fn the_server_chooses_where_nobody_does() {
    let mut options = options();
    options.rules.replay = 2;
    let mut sim = Sim::with(options);
    sim.join("alice");
    for number in 0..4 {
        sim.say("alice", &number.to_string());
    }
    sim.connect("bob");
    sim.say("bob", "/register bob correct-horse");
    assert_eq!(texts(&sim.output("bob")[3..]), ["* welcome bob", "2", "3"]);
}

#[test]
fn what_one_session_was_shown_another_of_the_account_did_not_miss() {
    check(
        "alice> /register alice correct-horse
         alice< * welcome alice
         bob> /register bob correct-horse
         bob< * welcome bob
         alice< * bob joined
         alice> one
         alice< TS alice: one
         bob< TS alice: one
         bob2> /login bob correct-horse
         bob2< * welcome bob
         bob> /quit
         bob< * bye
         bob< ^D
         alice> two
         alice< TS alice: two
         bob2< TS alice: two
         bob2> ^C
         alice< * bob left
         alice> three
         alice< TS alice: three
         bob3> /login bob correct-horse
         bob3< * welcome bob
         bob3< TS alice: three
         alice< * bob joined",
    );
}

#[test]
fn what_was_missed_outlives_a_restart_and_is_shown_once() {
    let mut sim = bob_was_away().restart();
    for visit in 0..2 {
        sim.connect("bob");
        sim.settle();
        sim.clear();
        sim.say("bob", "/login bob correct-horse");
        let output = sim.output("bob");
        let shown = if visit == 0 { expected(50) } else { Vec::new() };
        assert_eq!(texts(&output[1..]), shown, "visit {visit}");
        sim.say("bob", "/quit");
        sim.run_seconds(2);
        sim = sim.restart();
    }
}

#[test]
fn how_far_someone_online_has_read_is_saved_within_seconds() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.join("bob");
    sim.say("alice", "one");
    sim.run_seconds(6);
    // Neither of them leaves: the server is killed.
    let mut sim = sim.restart();
    sim.connect("bob");
    sim.say("bob", "/login bob correct-horse");
    assert_eq!(sim.output("bob")[3..], ["* welcome bob"]);
}

#[test]
fn how_far_all_have_read_is_saved_also_while_people_never_stop_talking() {
    let mut options = options();
    options.rate = None;
    let mut sim = Sim::with(options);
    sim.join("alice");
    sim.join("bob");
    for number in 0..50 {
        sim.say("alice", &number.to_string());
        sim.run_for(SECOND_US / 10);
    }
    // Neither of them leaves: the server is killed.
    let mut sim = sim.restart();
    sim.connect("bob");
    sim.say("bob", "/login bob correct-horse");
    let again = texts(&sim.output("bob")[4..]);
    assert!(again.len() <= 10, "no more than what was said in a second: {again:?}");
}

#[test]
fn how_far_more_accounts_have_read_than_are_saved_at_once_is_saved_in_turns() {
    let mut sim = Sim::new();
    let names: Vec<_> = (0..SEEN_PER_SAVE_MAX + 50).map(|number| format!("n{number}")).collect();
    names.iter().for_each(|name| sim.join(name));
    sim.run_seconds(10);
    sim.say("n0", "one");
    let stamp = sim.disk.read(LOG)[..27].to_owned();
    let saved = |sim: &Sim| {
        let seen = sim.disk.read(SEEN);
        names.iter().filter(|name| seen.contains(&format!("{name} {stamp}\n"))).count()
    };
    sim.run_seconds(1);
    assert_eq!(saved(&sim), SEEN_PER_SAVE_MAX);
    sim.run_seconds(1);
    assert_eq!(saved(&sim), names.len());
    assert_eq!(sim.disk.read(SEEN).lines().count(), names.len(), "each of them once");
    assert_eq!(sim.timeout_us(), None, "and then it rests");
}

#[test]
fn losing_how_far_all_have_read_repeats_and_never_skips() {
    for left in ["", "bob 2026-11-22T12:00:0", "\0\0\0\0", "bob 2026-11-22T11:00:00.000000Z\nnonsense\n"] {
        let sim = bob_was_away();
        let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
        disk.put(SEEN, left.as_bytes());
        let mut sim = sim.restart_on(disk);
        sim.connect("bob");
        sim.say("bob", "/login bob correct-horse");
        let output = sim.output("bob");
        assert_eq!(texts(&output[4..]), expected(50), "{left:?}");
        sim.say("bob", "/history");
        let history = sim.output("bob");
        assert_eq!(history[..history.len() - 1], sim.visible_to("bob"));
    }
}

#[test]
fn a_disk_that_does_not_take_how_far_all_have_read_hinders_nobody() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.join("bob");
    sim.disk.state().full = Some(SEEN);
    sim.clear();
    sim.say("alice", "one");
    sim.run_seconds(10);
    assert_eq!(texts(&without_presence(sim.output("bob"))), ["one"]);
    let mut sim = sim.restart();
    sim.connect("bob");
    sim.say("bob", "/login bob correct-horse");
    assert_eq!(texts(&sim.output("bob")[4..]), ["one"]);
}

#[test]
fn how_far_all_have_read_is_saved_again_once_the_disk_takes_it() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.join("bob");
    sim.disk.state().full = Some(SEEN);
    sim.say("alice", "one");
    sim.run_seconds(10);
    sim.disk.state().heal();
    sim.say("alice", "two");
    sim.run_seconds(10);
    let mut sim = sim.restart();
    let mut output = Vec::new();
    sim.join_showing("bob", &mut output);
    assert_eq!(output.last().unwrap(), "* welcome bob");
}

#[test]
fn what_was_shown_before_another_session_came_is_not_shown_again_after_a_kill() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.join("bob");
    sim.run_seconds(10);
    sim.say("alice", "once");
    sim.connect("bob2");
    sim.enter("bob2", "bob");
    sim.run_seconds(10);
    let mut sim = sim.restart();
    let mut output = Vec::new();
    sim.join_showing("bob", &mut output);
    assert_eq!(output.last().unwrap(), "* welcome bob");
}

#[test]
fn who_hears_nothing_of_what_others_say_in_private_has_seen_all_of_it() {
    let mut sim = Sim::new();
    for name in ["alice", "bob", "carol"] {
        sim.join(name);
    }
    sim.run_seconds(10);
    sim.say("alice", "/msg carol psst");
    let log = sim.disk.read(LOG);
    let seen = format!("bob {}\n", &log.lines().last().unwrap()[..27]);
    // Also while he is in: a second later it is saved.
    sim.run_seconds(2);
    assert!(sim.disk.read(SEEN).contains(&seen), "else his next login reads all of it");
    sim.say("alice", "/msg carol psst");
    sim.say("bob", "/quit");
    sim.run_seconds(2);
    let log = sim.disk.read(LOG);
    let seen = format!("bob {}\n", &log.lines().last().unwrap()[..27]);
    assert!(sim.disk.read(SEEN).contains(&seen));
}

#[test]
fn half_a_line_that_cannot_be_taken_back_is_not_continued_by_another() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.join("bob");
    sim.run_seconds(10);
    let before = sim.disk.read(SEEN);
    sim.say("alice", "hello");
    sim.disk.state().room = Some(10);
    sim.disk.state().truncate_fails = true;
    sim.run_seconds(5);
    assert!(sim.disk.read(SEEN).len() > before.len(), "half a line is left");
    sim.disk.state().heal();
    sim.say("alice", "hello again");
    sim.run_seconds(5);
    let seen = sim.disk.read(SEEN);
    let added = seen.strip_prefix(&before).unwrap();
    let is_whole = |line: &str| line.len() == line.find(' ').unwrap() + " 2026-11-22T12:03:11.042318Z".len();
    assert!(added.contains("alice ") && added.lines().all(is_whole), "{added}");
}

#[test]
fn what_two_broken_sessions_of_one_account_did_not_get_is_not_seen() {
    let mut options = options();
    options.rate = None;
    let mut sim = Sim::with(options);
    let talkers: Vec<String> = (0..20).map(|number| format!("talker{number}")).collect();
    for name in &talkers {
        sim.join(name);
    }
    for client in ["bob", "bob again"] {
        sim.connect(client);
        sim.enter(client, "bob");
    }
    sim.run_seconds(10);
    for attempt in ["1", "2", "3"] {
        sim.connect(attempt);
        sim.say(attempt, "/login bob wrong-horse");
    }
    // One waits for its password to be checked. Both break, and there is more to do than the turn can take, so that it
    // gets to neither before it writes to both.
    sim.say("bob", "/passwd correct-horse battery-staple");
    sim.clear();
    let before = sim.disk.length(LOG);
    for name in &talkers {
        sim.send(name, format!("{}\n", "x".repeat(2_000)).repeat(4));
    }
    sim.peer("bob").reset();
    sim.peer("bob again").reset();
    sim.turn();
    assert!(sim.disk.length(LOG) > before + 100_000);
    sim.settle();
    let first = String::from_utf8(sim.disk.bytes_from(LOG, before)).unwrap()[..27].to_owned();
    let seen = sim.disk.read(SEEN);
    let seen = seen.lines().filter_map(|line| line.strip_prefix("bob ")).next_back();
    assert!(
        seen.is_none_or(|seen| *seen < *first),
        "{seen:?} is seen, and from {first} on nothing was shown"
    );
}

#[test]
fn missed_flood_the_newest_of_each_sender_are_shown_and_the_rest_is_counted() {
    let mut options = options();
    options.rate = None;
    let mut sim = Sim::with(options);
    ["alice", "mallory", "bob"].iter().for_each(|name| sim.join(name));
    sim.say("bob", "/quit");
    sim.say("alice", "/msg bob the one that matters");
    for number in 0..230 {
        sim.say("mallory", &format!("/msg bob {number}"));
    }
    sim.connect("bob");
    sim.settle();
    sim.clear();
    sim.say("bob", "/login bob correct-horse");
    let mut expected = vec!["the one that matters".to_owned()];
    expected.extend((30..230).map(|number| number.to_string()));
    let output = sim.output("bob");
    assert_eq!(output.last().unwrap(), "* 30 more from mallory: /history mallory");
    assert_eq!(texts(&output[1..output.len() - 1]), expected);
    // All of it is in the conversation, and nothing else is.
    sim.say("bob", "/history MALLORY");
    let history = sim.output("bob");
    let all: Vec<_> = (0..230).map(|number| number.to_string()).collect();
    assert_eq!(texts(&history[..history.len() - 1]), all);
    sim.say("bob", "/history alice 5");
    assert_eq!(texts(&sim.output("bob")), ["the one that matters", "* end of history"]);
    sim.say("bob", "/history nobody");
    assert_eq!(sim.output("bob"), ["! no-such-user: nobody is called nobody"]);
}

#[test]
fn missed_flood_does_not_keep_a_session_from_being_heard() {
    let mut options = options();
    options.rate = None;
    let mut sim = Sim::with(options);
    ["alice", "mallory", "bob"].iter().for_each(|name| sim.join(name));
    sim.say("bob", "/quit");
    for _ in 0..150 {
        sim.say("mallory", &format!("/msg bob {}", "x".repeat(4_000)));
    }
    sim.clear();
    sim.connect("bob");
    sim.peer("bob").capacity = 70_000;
    sim.send("bob", "/login bob correct-horse\nhello\n/history 1\nbye\n");
    sim.settle();
    let mut output = sim.take("bob", 69_000);
    sim.settle();
    let heard = texts(&without_presence(sim.output("alice")));
    assert_eq!(heard, ["hello"], "and what is asked for waits until the rest is shown");
    sim.say("alice", "live");
    sim.peer("bob").capacity = 50_000;
    for _ in 0..30 {
        output.extend(sim.take("bob", 50_000));
        sim.settle();
    }
    let output = without_presence(output);
    let end = output.iter().position(|line| line == "* end of history").unwrap();
    let mut shown: Vec<_> = output.iter().filter(|line| line.starts_with('2')).cloned().collect();
    assert_eq!(shown.len(), 150 + 3 + 1, "what was missed, what was said since, and the answer once more");
    assert_eq!(text_of(&output[end - 1]), "live");
    shown.remove(end - 1 - output.iter().position(|line| line.starts_with('2')).unwrap());
    assert!(shown.is_sorted_by(|a, b| a < b));
    assert_eq!(texts(&shown)[150..], ["hello", "live", "bye"]);
}

#[test]
fn missed_messages_after_which_a_reader_broke_are_counted_again() {
    let mut options = options();
    options.rate = None;
    let mut sim = Sim::with(options);
    ["mallory", "bob"].iter().for_each(|name| sim.join(name));
    sim.say("bob", "/quit");
    for number in 0..210 {
        sim.say("mallory", &format!("/msg bob {number} {}", "x".repeat(1_000)));
    }
    sim.connect("bob");
    sim.peer("bob").capacity = 50_000;
    sim.say("bob", "/login bob correct-horse");
    sim.take("bob", 40_000);
    sim.settle();
    sim.peer("bob").reset();
    sim.settle();
    let mut output = Vec::new();
    sim.join_showing("bob", &mut output);
    assert_eq!(output.last().unwrap(), "* 10 more from mallory: /history mallory");
}
