//! Rooms, as on a terminal: who is shown what, live, in the history and at a login, and what is refused.

use chinwag::server::LoopState;

use crate::sim::disk::LOG;
use crate::sim::harness::{Sim, options};
use crate::sim::transcript::{check, check_with};

/// Four people are registered and here, and nobody is told so any more.
const OPENING: &str = "alice> /register alice correct-horse
                       alice< * welcome alice
                       bob> /register bob correct-horse
                       bob< * welcome bob
                       alice< * bob joined
                       carol> /register carol correct-horse
                       carol< * welcome carol
                       alice< * carol joined
                       bob< * carol joined\n";

fn check_three(script: &str) -> Sim {
    check(&(OPENING.to_owned() + script))
}

#[test]
fn rooms_are_created_entered_and_left_and_only_members_are_shown_what_is_said() {
    check_three(
        "alice> /join #rust
         alice< TS alice -> #rust created
         alice< * talking to #rust
         alice> /topic crabs and: such
         alice< TS alice -> #rust topic: crabs and: such
         bob> /join #RUST
         bob< TS bob -> #rust joined
         bob< * talking to #rust
         bob< * topic of #rust: crabs and: such
         alice< TS bob -> #rust joined
         # What they type goes there, and nobody else is shown it.
         alice> hello
         alice< TS alice -> #rust: hello
         bob< TS alice -> #rust: hello
         bob> /me waves
         alice< TS bob -> #rust: /me waves
         bob< TS bob -> #rust: /me waves
         # A room is one of the places to talk to.
         bob> /to
         bob< * talking to everyone
         bob> to all
         alice< TS bob: to all
         bob< TS bob: to all
         carol< TS bob: to all
         bob> /msg #rust again here
         alice< TS bob -> #rust: again here
         bob< TS bob -> #rust: again here
         bob> /to carol
         bob< * talking to carol
         bob> psst
         bob< TS bob -> carol: psst
         carol< TS bob -> carol: psst
         bob> /to #Rust
         bob< * talking to #rust
         # Who is not in it cannot speak there.
         carol> /msg #rust may I?
         carol< ! not-member: you are not in #rust; /join #rust
         carol> /to #rust
         carol< ! not-member: you are not in #rust; /join #rust
         carol> /history #rust
         carol< ! not-member: you are not in #rust; /join #rust
         carol> /users #rust
         carol< ! not-member: you are not in #rust; /join #rust
         carol> /topic #rust
         carol< ! not-member: you are not in #rust; /join #rust
         carol> /history
         carol< TS bob: to all
         carol< TS bob -> carol: psst
         carol< * end of history
         # An open room shows a new member everything.
         carol> /join #rust
         carol< TS carol -> #rust joined
         carol< * talking to #rust
         carol< * topic of #rust: crabs and: such
         alice< TS carol -> #rust joined
         bob< TS carol -> #rust joined
         carol> /history #rust 5
         carol< TS bob -> #rust joined
         carol< TS alice -> #rust: hello
         carol< TS bob -> #rust: /me waves
         carol< TS bob -> #rust: again here
         carol< TS carol -> #rust joined
         carol< * end of history
         carol> /leave
         carol< * you left #rust
         carol< * talking to everyone
         alice< TS carol -> #rust left
         bob< TS carol -> #rust left
         carol> /history
         carol< TS bob: to all
         carol< TS bob -> carol: psst
         carol< * end of history
         alice> /leave
         alice< ! not-allowed: you are the last owner of #rust; name another one first: /op #rust NAME
         alice> /op bob
         alice< TS alice -> #rust made bob an owner
         bob< TS alice -> #rust made bob an owner
         alice> /leave
         alice< * you left #rust
         alice< * talking to everyone
         bob< TS alice -> #rust left
         bob> /leave
         bob< * you left #rust
         bob< * talking to everyone
         # It is gone, and what is created in its place shows nothing of it.
         carol> /join #rust
         carol< TS carol -> #rust created
         carol< * talking to #rust
         carol> /history #rust
         carol< TS carol -> #rust created
         carol< * end of history",
    );
}

#[test]
fn rooms_that_are_private_are_secret_but_for_their_name() {
    check_three(
        "alice> /join #board private
         alice< TS alice -> #board created, private
         alice< * talking to #board
         alice> /topic plans
         alice< TS alice -> #board topic: plans
         alice> first
         alice< TS alice -> #board: first
         # To others it does not exist, except that the name is taken.
         bob> /join #board
         bob< ! room-taken: #board is taken; only its owners can invite you
         bob> /join #board private
         bob< ! room-taken: #board is taken; only its owners can invite you
         bob> /to #board
         bob< ! no-such-room: there is no #board that you can enter; /rooms lists the others
         bob> /to #nothing
         bob< ! no-such-room: there is no #nothing that you can enter; /rooms lists the others
         bob> /msg #board hi
         bob< ! no-such-room: there is no #board that you can enter; /rooms lists the others
         bob> /history #board
         bob< ! no-such-room: there is no #board that you can enter; /rooms lists the others
         bob> /users #board
         bob< ! no-such-room: there is no #board that you can enter; /rooms lists the others
         bob> /topic #board
         bob< ! no-such-room: there is no #board that you can enter; /rooms lists the others
         bob> /topic #board mine
         bob< ! no-such-room: there is no #board that you can enter; /rooms lists the others
         bob> /invite bob #board
         bob< ! no-such-room: there is no #board that you can enter; /rooms lists the others
         bob> /kick #board alice
         bob< ! no-such-room: there is no #board that you can enter; /rooms lists the others
         bob> /leave #board
         bob< ! no-such-room: there is no #board that you can enter; /rooms lists the others
         bob> /op #board bob
         bob< ! no-such-room: there is no #board that you can enter; /rooms lists the others
         bob> /room #board announce
         bob< ! no-such-room: there is no #board that you can enter; /rooms lists the others
         bob> /rooms
         bob< * rooms: 0
         bob> /history
         bob< * end of history
         # Who is invited is told, and sees what is said from then on.
         alice> /invite bob
         alice< TS alice -> #board invited bob
         bob< TS alice -> #board invited bob
         bob> /history #board
         bob< ! not-member: you are not in #board; /join #board
         bob> /rooms
         bob< * invited to #board: /join #board
         bob< * rooms: 0
         bob> /join #board
         bob< TS bob -> #board joined
         bob< * talking to #board
         bob< * topic of #board: plans
         alice< TS bob -> #board joined
         alice> second
         alice< TS alice -> #board: second
         bob< TS alice -> #board: second
         bob> /history #board
         bob< TS alice -> #board invited bob
         bob< TS bob -> #board joined
         bob< TS alice -> #board: second
         bob< * end of history
         bob> /invite carol #board
         bob< ! not-allowed: only owners of #board may do that
         # Who was removed sees nothing more, and what they type goes nowhere.
         alice> /kick bob too loud
         alice< TS alice -> #board removed bob: too loud
         bob< TS alice -> #board removed bob: too loud
         alice> third
         alice< TS alice -> #board: third
         bob> for them alone
         bob< ! no-such-room: there is no #board that you can enter; /rooms lists the others
         bob> /history
         bob< TS alice -> #board invited bob
         bob< TS alice -> #board removed bob: too loud
         bob< * end of history
         bob> /join #board
         bob< ! room-taken: #board is taken; only its owners can invite you",
    );
}

#[test]
fn rooms_are_listed_with_those_who_are_in_them() {
    check_three(
        "alice> /join #rust
         alice< TS alice -> #rust created
         alice< * talking to #rust
         alice> /join #board private
         alice< TS alice -> #board created, private
         alice< * talking to #board
         alice> /topic plans
         alice< TS alice -> #board topic: plans
         bob> /join #rust
         bob< TS bob -> #rust joined
         bob< * talking to #rust
         alice< TS bob -> #rust joined
         alice> /room #rust announce
         alice< TS alice -> #rust let only owners speak
         bob< TS alice -> #rust let only owners speak
         bob> may I?
         bob< ! not-allowed: only owners of #rust may do that
         alice> /rooms
         alice< * in #board: 1 member, private: plans
         alice< * in #rust: 2 members, only owners speak
         alice< * rooms: 2
         carol> /list
         carol< * open #rust: 2 members, only owners speak
         carol< * rooms: 1
         bob> /quit
         bob< * bye
         bob< ^D
         alice< * bob left
         carol< * bob left
         alice> /users #rust
         alice< * users of #rust: alice
         alice< * not online, of #rust: bob
         alice< * owners of #rust: alice
         alice< * members of #rust: 2
         alice> /topic
         alice< * topic of #board: plans
         alice> /topic -
         alice< TS alice -> #board topic: \n\
         alice> /topic
         alice< * #board has no topic
         alice> /room private
         alice< ! already-done: #board is set that way already
         alice> /ping a  b
         alice< * pong a  b",
    );
}

#[test]
fn rooms_refuse_what_does_not_fit_with_one_clear_line() {
    check_three(
        "alice> /join rust
         alice< ! bad-name: a room is # and a letter, followed by up to 19 letters, digits, - or _
         alice> /join #1
         alice< ! bad-name: a room is # and a letter, followed by up to 19 letters, digits, - or _
         alice> /join #abcdefghijklmnopqrstu
         alice< ! bad-name: a room is # and a letter, followed by up to 19 letters, digits, - or _
         alice> /leave
         alice< ! bad-usage: you are not talking to a room; give its name, such as #rust
         alice> /topic words
         alice< ! bad-usage: you are not talking to a room; give its name, such as #rust
         alice> /join #rust
         alice< TS alice -> #rust created
         alice< * talking to #rust
         alice> /join #rust
         alice< * talking to #rust
         bob> /join #rust private
         bob< ! room-taken: #rust exists and is open; /join #rust
         alice> /invite nobody
         alice< ! no-such-user: nobody is called nobody
         alice> /invite alice
         alice< ! already-done: alice is in #rust already
         alice> /kick alice
         alice< ! not-allowed: you cannot remove yourself; /leave #rust
         alice> /kick bob
         alice< ! no-such-user: bob is not in #rust
         alice> /deop alice
         alice< ! not-allowed: you are the last owner of #rust; name another one first: /op #rust NAME
         alice> /op bob
         alice< ! no-such-user: bob is not in #rust",
    );
}

/// Plays a script on a server with these limits.
fn check_limited(script: &str, limit: impl FnOnce(&mut chinwag::session::Rules)) {
    let mut options = options();
    limit(&mut options.rules);
    check_with(options, &(OPENING.to_owned() + script));
}

#[test]
fn rooms_have_limits_that_are_named() {
    check_limited(
        "alice> /join #a
         alice< TS alice -> #a created
         alice< * talking to #a
         alice> /join #b
         alice< TS alice -> #b created
         alice< * talking to #b
         alice> /join #c
         alice< ! too-many-rooms: you can be in at most 2 rooms; /leave one first
         bob> /join #c
         bob< ! too-many-rooms: this server has reached its limit of 2 rooms
         bob> /join #a
         bob< TS bob -> #a joined
         bob< * talking to #a
         alice< TS bob -> #a joined
         carol> /join #a
         carol< ! too-many-members: #a has reached its limit of 2 members
         bob> /topic 12345
         bob< TS bob -> #a topic: 12345
         alice< TS bob -> #a topic: 12345
         bob> /topic 123456
         bob< ! line-too-long: the text is 1 bytes too long
         alice> /kick #a bob 123456
         alice< ! line-too-long: the text is 1 bytes too long",
        |rules| {
            (rules.rooms_per_account, rules.rooms_max, rules.members_max) = (2, 2, 2);
            rules.topic_bytes_max = 5;
        },
    );
}

#[test]
fn rooms_survive_a_restart_and_show_what_was_missed() {
    for crashes in [false, true] {
        for loses_copy in [false, true] {
            let mut sim = Sim::new();
            ["alice", "bob", "carol"].iter().for_each(|name| sim.join(name));
            sim.say("alice", "/join #rust");
            sim.say("alice", "/join #board private");
            sim.say("bob", "/join #rust");
            sim.say("alice", "/invite bob #board");
            sim.say("alice", "/topic #rust crabs");
            sim.run_seconds(3);
            sim.say("bob", "/quit");
            for number in 0..60 {
                sim.run_seconds(1);
                sim.say("alice", &format!("/msg #rust {number}"));
                sim.say("alice", &format!("/msg #board {number}"));
            }
            if !crashes {
                sim.net.state().shutdown = true;
                while sim.turn() == LoopState::Running {}
            }
            let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
            if loses_copy {
                disk.remove("state.txt");
            }
            let mut sim = sim.restart_on(disk);
            sim.run_seconds(5);
            sim.connect("bob");
            sim.say("bob", "/login bob correct-horse");
            let output = sim.output("bob");
            let of_rust: Vec<String> = (10..60).map(|number| format!("alice -> #rust: {number}")).collect();
            let missed: Vec<&str> = output[4..].iter().map(|line| &line[28..]).collect();
            assert_eq!(missed, of_rust, "{crashes} {loses_copy}");
            sim.say("bob", "/join #board");
            sim.say("bob", "/topic #rust");
            sim.say("bob", "/history #board");
            let output = sim.output("bob").join("\n");
            assert!(output.contains("bob -> #board joined") && output.contains("* topic of #rust: crabs"));
            assert!(!output.contains("#board: 59"), "{output}");
            sim.connect("carol");
            sim.say("carol", "/login carol correct-horse");
            sim.say("carol", "/history");
            sim.say("carol", "/join #board");
            let output = sim.output("carol").join("\n");
            assert!(!output.contains("-> #") && output.contains("! room-taken"), "{output}");
            assert_eq!(sim.disk.read(LOG).matches(" joined\n").count(), 2);
        }
    }
}

#[test]
fn rooms_have_one_winner_where_two_want_the_same() {
    let mut sim = Sim::new();
    ["alice", "bob", "carol"].iter().for_each(|name| sim.join(name));
    sim.clear();
    sim.send("alice", "/join #rust private\n");
    sim.send("bob", "/join #rust private\n");
    sim.settle();
    let outputs = ["alice", "bob"].map(|name| sim.output(name).join("\n"));
    assert_eq!(sim.disk.read(LOG).matches("created").count(), 1);
    assert_eq!(outputs.iter().filter(|it| it.contains("! room-taken")).count(), 1, "{outputs:?}");
    // A removal and a message of the removed in one turn: the message comes first, whoever is heard first.
    let owner = if outputs[0].contains("created") { "alice" } else { "bob" };
    sim.say(owner, "/invite carol #rust");
    sim.say("carol", "/join #rust");
    sim.clear();
    for (first, second) in [("carol", owner), (owner, "carol")] {
        for who in [first, second] {
            let line = if who == "carol" { "me too\n" } else { "/kick #rust carol\n" };
            sim.send(who, line);
        }
        sim.settle();
        let log = sim.disk.read(LOG);
        let last: Vec<&str> = log.lines().rev().take(2).map(|line| &line[28..]).collect();
        assert!(
            last[0].ends_with("-> #rust removed carol") && last[1] == "carol -> #rust: me too",
            "{last:?}"
        );
        sim.say(owner, "/invite carol #rust");
        sim.say("carol", "/join #rust");
    }
}

#[test]
fn rooms_change_once_a_second_after_a_burst_and_hold_up_nobody() {
    let mut sim = Sim::new();
    ["alice", "bob"].iter().for_each(|name| sim.join(name));
    sim.run_seconds(5);
    sim.clear();
    let all: String = (0..8).map(|number| format!("/join #r{number}\n")).collect();
    sim.send("alice", all + "done\n");
    sim.settle();
    assert_eq!(sim.disk.read(LOG).matches("created").count(), 5);
    sim.say("bob", "hello");
    assert!(sim.output("bob").concat().contains("bob: hello"));
    sim.say("bob", "/join #r0");
    assert!(sim.output("bob").concat().contains("bob -> #r0 joined"), "others have their own burst");
    sim.run_for(1_000_000);
    assert_eq!(sim.disk.read(LOG).matches("created").count(), 6);
    sim.run_seconds(3);
    assert!(sim.disk.read(LOG).ends_with("alice -> #r7: done\n"));
}

#[test]
fn rooms_stay_closed_if_damage_may_hide_that_somebody_was_removed() {
    let mut sim = Sim::new();
    ["alice", "bob"].iter().for_each(|name| sim.join(name));
    for line in ["/join #board private", "/invite bob #board"] {
        sim.say("alice", line);
    }
    sim.say("bob", "/join #board");
    sim.say("alice", "/kick #board bob");
    sim.say("alice", "secret");
    sim.run_seconds(3);
    let log = sim.disk.read(LOG);
    let damaged = log.replace("-> #board removed bob", "-~ #board removed bob");
    assert_ne!(damaged, log);
    for keeps_copy in [true, false] {
        let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
        disk.put(LOG, damaged.as_bytes());
        if !keeps_copy {
            disk.remove("state.txt");
        }
        let mut sim = Sim::try_on(disk, options()).unwrap();
        sim.run_seconds(3);
        for restarted in [false, true] {
            ["alice", "bob"].iter().for_each(|name| sim.join(name));
            sim.say("bob", "/history #board");
            sim.say("bob", "/msg #board hello?");
            sim.say("bob", "/join #board");
            let output = sim.output("bob").join("\n");
            assert!(!output.contains("secret") && output.contains("! room-taken"), "{output}");
            sim.clear();
            sim.say("alice", "/history #board 1");
            let output = sim.output("alice").join("\n");
            assert_eq!(output.contains("secret"), keeps_copy, "{output}");
            if !restarted {
                // A room that is created now is not affected.
                sim.say("alice", "/join #new private");
                sim.say("alice", "/leave #new");
                assert!(sim.output("alice").concat().contains("you left #new"));
                sim.net.state().shutdown = true;
                while sim.turn() == LoopState::Running {}
                let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
                sim = Sim::try_on(disk, options()).unwrap();
                sim.run_seconds(3);
            }
        }
    }
}

#[test]
fn rooms_of_a_newer_version_are_not_guessed_at() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.say("alice", "/join #board private");
    sim.run_seconds(3);
    for keeps_copy in [true, false] {
        let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
        // Behind what state.txt knows.
        let log = disk.read(LOG) + "2099-01-01T00:00:00.000001Z alice -> #board sealed the room\n";
        disk.put(LOG, log.as_bytes());
        if !keeps_copy {
            disk.remove("state.txt");
        }
        let mut sim = Sim::try_on(disk, options()).unwrap();
        sim.connect("alice");
        sim.send("alice", "/login alice correct-horse\n");
        let outcome = (0..20).find_map(|_| sim.try_turn().err());
        let error = outcome.expect("it ends").to_string();
        assert!(error.contains("a newer version of chinwagd wrote it") && error.contains("byte "), "{error}");
        assert!(!sim.output("alice").iter().any(|line| line.starts_with("* welcome")));
    }
}

#[test]
fn rooms_are_not_changed_by_a_session_that_yielded_while_it_waited_for_its_turn() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.say("alice", "/token");
    let token = sim.output("alice").iter().find_map(|line| line.strip_prefix("* token ").map(str::to_owned));
    let token = token.expect("it was issued");
    for number in 1..16 {
        sim.connect(&number.to_string());
        sim.say(&number.to_string(), &format!("/resume alice {token}"));
    }
    sim.run_seconds(10);
    // The sixth waits for a second.
    sim.say("alice", &(0..6).map(|number| format!("/join #r{number}\n")).collect::<String>());
    assert_eq!(sim.disk.read(LOG).matches("created").count(), 5);
    (1..16).for_each(|number| sim.say(&number.to_string(), "/ping x"));
    sim.run_for(999_000);
    // It is due in the turn that ends the session.
    sim.connect("one more");
    sim.settle();
    sim.send("one more", format!("/resume alice {token}\n"));
    sim.turn();
    sim.world.advance(1_000_000);
    sim.settle();
    assert!(sim.output("alice").last().is_some_and(|line| line.starts_with("! replaced")));
    sim.run_seconds(3);
    assert_eq!(sim.disk.read(LOG).matches("created").count(), 5);
}

#[test]
fn rooms_without_a_topic_are_copied_like_others() {
    let mut sim = Sim::new();
    sim.join("alice");
    for line in ["/join #rust", "/topic crabs", "/topic -"] {
        sim.say("alice", line);
    }
    sim.run_seconds(3);
    let copied = sim.disk.read("state.txt");
    let known = chinwag::state::checkpoint::Known::of(&mut sim.disk.clone()).unwrap();
    assert!(known.damage.is_none() && known.rooms.len() == 1, "{copied}");
}
