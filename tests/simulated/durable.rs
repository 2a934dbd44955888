//! What is shown is on disk, and what cannot be put there is refused: full disks, broken ones, crashes.

use chinwag::log::storage::{Storage, SyncPolicy};
use chinwag::server::LoopState;

use crate::sim::disk::{LOG, SEEN, STATE, SimDisk, USERS};
use crate::sim::harness::{Sim, options, text_of, without_presence};

fn two() -> Sim {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.join("bob");
    sim.run_seconds(10);
    sim.clear();
    sim
}

fn texts(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| text_of(line)).collect()
}

#[test]
fn all_messages_of_a_turn_cost_one_append_and_one_sync() {
    let mut sim = two();
    let (appends, syncs) = sim.disk.counts(LOG);
    sim.send("alice", "one\ntwo\n/msg bob three\n");
    sim.send("bob", "four\n");
    sim.settle();
    assert_eq!(sim.output("bob").len(), 4);
    assert_eq!(sim.disk.counts(LOG), (appends + 1, syncs + 1));
    // And nothing said costs nothing.
    sim.say("bob", "/users");
    sim.run_seconds(60);
    assert_eq!(sim.disk.counts(LOG), (appends + 1, syncs + 1));
}

#[test]
fn a_full_disk_is_told_to_each_sender_and_to_nobody_else_and_reading_goes_on() {
    for room in [0, 1, 40, 75] {
        let mut sim = two();
        sim.say("alice", "before");
        sim.clear();
        let before = sim.disk.read(LOG);
        sim.disk.state().room = Some(room);
        sim.send("alice", "one\n/msg bob two\n");
        sim.send("bob", "three\n");
        sim.settle();
        let refusal = "! not-saved: the server's disk is full; please try again later";
        assert_eq!(sim.output("alice"), [refusal; 2], "{room} bytes of room");
        assert_eq!(sim.output("bob"), [refusal]);
        assert_eq!(sim.disk.read(LOG), before, "no half line is left");
        // Reading goes on.
        sim.say("bob", "/history");
        assert_eq!(texts(&sim.output("bob")), ["before", "* end of history"]);
        sim.say("bob", "/users");
        assert_eq!(sim.output("bob").len(), 2);
        // And it works again as soon as there is room, for the same messages too.
        sim.disk.state().room = None;
        sim.say("alice", "after");
        assert_eq!(texts(&sim.output("bob")), ["after"]);
        assert_eq!(texts(&sim.output("alice")), ["after"]);
        assert_eq!(sim.disk.read(LOG).lines().count(), 2);
        let mut sim = sim.restart();
        sim.join("bob");
        sim.say("bob", "/history");
        assert_eq!(texts(&sim.output("bob")), ["before", "after", "* end of history"]);
    }
}

#[test]
fn appends_that_take_little_at_a_time_lose_nothing() {
    for most in [1, 7, 28] {
        let mut sim = two();
        sim.disk.state().append_max = Some(most);
        sim.send("alice", "one\ntwo\n");
        sim.settle();
        assert_eq!(texts(&sim.output("bob")), ["one", "two"]);
    }
}

#[test]
fn a_failed_sync_ends_the_server_and_nothing_of_the_batch_was_shown() {
    let mut sim = two();
    sim.disk.state().sync_fails = Some(LOG);
    sim.send("alice", "one\n/msg bob two\n/history\n");
    let error = sim.try_turn().expect_err("it cannot go on").to_string();
    assert!(error.contains("chat_history.txt"), "{error}");
    assert_eq!(sim.output("alice"), [""; 0]);
    assert_eq!(sim.output("bob"), [""; 0]);
    // The system may take for synced what it lost: the next server must not find it in its memory.
    assert_eq!(sim.disk.read(LOG), "");
}

#[test]
fn a_file_that_cannot_be_cut_ends_the_server() {
    let mut sim = two();
    sim.disk.state().room = Some(10);
    sim.disk.state().truncate_fails = true;
    sim.send("alice", "one\n");
    assert!(sim.try_turn().is_err());
    assert_eq!(sim.output("alice"), [""; 0]);
}

#[test]
fn nobody_is_welcome_whose_account_is_not_on_disk() {
    let mut sim = two();
    sim.connect("carol");
    sim.settle();
    sim.clear();
    sim.disk.state().full = Some(USERS);
    sim.send("carol", "/register carol correct-horse\nhello\n");
    sim.settle();
    let output = sim.output("carol");
    assert!(output[0].starts_with("! not-saved: "), "{output:?}");
    assert!(output[1].starts_with("! not-logged-in: "));
    // The name stays free, and those who are in feel nothing.
    sim.say("bob", "hello");
    assert_eq!(texts(&sim.output("alice")), ["hello"]);
    sim.disk.state().full = None;
    sim.join("carol2");
    sim.connect("other");
    sim.enter("other", "carol");

    sim.connect("dave");
    sim.settle();
    sim.clear();
    sim.disk.state().sync_fails = Some(USERS);
    sim.send("dave", "/register dave correct-horse\n");
    let error = (0..10).find_map(|_| sim.try_turn().err()).expect("it cannot go on").to_string();
    assert!(error.contains("users.txt"), "{error}");
    assert_eq!(without_presence(sim.output("dave")), [""; 0]);
}

#[test]
fn a_password_that_cannot_be_saved_is_not_changed() {
    let mut sim = two();
    sim.disk.state().full = Some(USERS);
    sim.say("alice", "/passwd correct-horse battery-staple");
    assert!(sim.output("alice")[0].starts_with("! not-saved: "));
    sim.disk.state().full = None;
    sim.connect("alice2");
    sim.enter("alice2", "alice");
}

#[test]
fn more_rounds_that_cannot_be_saved_hinder_no_login() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.options.rules.kdf_rounds = 20;
    let mut sim = sim.restart();
    sim.disk.state().full = Some(USERS);
    sim.join("alice");
    sim.clear();
    sim.say("alice", "hello");
    assert_eq!(texts(&without_presence(sim.output("alice"))), ["hello"]);
}

#[test]
fn after_a_crash_everything_shown_is_there_whatever_the_disk_kept_of_the_rest() {
    // The batch of the crash is written, its sync never returns, and nothing is done after it.
    let crashed = || {
        let mut sim = two();
        sim.say("alice", "one");
        sim.say("bob", "/msg alice two");
        sim.disk.state().sync_fails = Some(LOG);
        sim.disk.state().truncate_fails = true;
        sim.send("alice", "never seen\nnor this\n");
        sim.try_turn().expect_err("the power is gone");
        sim
    };
    let unsynced = crashed().disk.unsynced(LOG);
    assert!(unsynced > 70);
    for kept in 0..=unsynced {
        for zeroed in [false, true] {
            let sim = crashed();
            let disk = sim.disk.crash(|name, unsynced| match name {
                LOG if zeroed => {
                    unsynced.iter().enumerate().map(|(at, byte)| byte * u8::from(at < kept)).collect()
                }
                LOG => unsynced[..kept].to_vec(),
                _ => Vec::new(),
            });
            let mut sim = sim.restart_on(disk);
            sim.join("alice");
            sim.clear();
            sim.say("alice", "after");
            sim.say("alice", "/history");
            let output = without_presence(sim.output("alice"));
            let history = texts(&output[1..output.len() - 1]);
            assert_eq!(history[..2], ["one", "two"], "{kept} bytes kept");
            let between = &history[2..history.len() - 1];
            assert!(["never seen", "nor this"].starts_with(between), "{kept} bytes kept: {history:?}");
            assert_eq!(history.last(), Some(&"after"));
            assert!(output[1..output.len() - 1].is_sorted());
        }
    }
}

#[test]
fn a_torn_tail_is_set_aside_and_not_thrown_away() {
    let mut sim = two();
    sim.say("alice", "one");
    let whole = sim.disk.read(LOG);
    sim.disk.put(LOG, (whole.clone() + "2026-11-22T12:00:59.000000Z bob: hal").as_bytes());
    let mut sim = sim.restart();
    assert_eq!(sim.disk.read(LOG), whole);
    let aside = format!("{LOG}.torn-at-{}", whole.len());
    assert_eq!(sim.disk.read(&aside), "2026-11-22T12:00:59.000000Z bob: hal");
    sim.join("bob");
}

#[test]
fn damage_near_the_end_hides_its_own_line_only_and_stays_where_it_is() {
    let mut sim = two();
    let said: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    said.iter().for_each(|text| sim.say("alice", text));
    let log = sim.disk.read(LOG);
    for damage in ["\0", "nonsense", "2026-11-22T12:00:00.000000Z alice; "] {
        let mut bytes = log.clone().into_bytes();
        let third = log.match_indices('\n').nth(2).unwrap().0 + 1;
        bytes[third..third + damage.len()].copy_from_slice(damage.as_bytes());
        let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
        disk.put(LOG, &bytes);
        let mut sim = Sim::on(disk, options());
        sim.join("bob");
        sim.clear();
        sim.say("bob", "/history");
        let shown = sim.output("bob");
        let shown: Vec<_> = shown.iter().filter(|line| !line.starts_with(['!', '*'])).collect();
        let shown: Vec<_> = shown.iter().map(|line| text_of(line)).collect();
        let expected: Vec<_> = said.iter().filter(|text| *text != "3").map(String::as_str).collect();
        assert_eq!(shown, expected, "{damage:?}");
        assert_eq!(sim.disk.read(LOG).as_bytes(), bytes, "nothing is changed");
    }
}

#[test]
fn damage_at_the_end_and_in_the_accounts_is_refused_and_its_place_named() {
    let mut sim = two();
    sim.say("alice", "one");
    let log = sim.disk.read(LOG);
    for (damage, offset) in [(vec![0; 200_000], log.len()), (b"\0x".to_vec(), log.len())] {
        let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
        disk.put(LOG, &[log.as_bytes(), &damage].concat());
        let before = disk.read(LOG);
        let error = Sim::try_on(disk.clone(), options()).err().expect("it must not start");
        assert!(error.contains(LOG) && error.contains(&format!("byte {offset}")), "{error}");
        assert_eq!(disk.read(LOG), before, "nothing is changed");
    }
    for users in [Some("junk\n"), None] {
        let disk = without_state(&sim);
        users.map_or_else(|| disk.remove(USERS), |users| disk.put(USERS, users.as_bytes()));
        let error = Sim::try_on(disk.clone(), options()).err().expect("their names could be taken");
        assert!(error.contains(USERS), "{error}");
        // Who wants to begin anew says so.
        disk.put(USERS, b"");
        Sim::on(disk, options());
    }
    let mut users = sim.disk.read(USERS);
    users.replace_range(3..4, "!");
    let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
    disk.put(USERS, users.as_bytes());
    let error = Sim::try_on(disk, options()).err().expect("it must not start");
    assert!(error.contains(USERS) && error.contains("byte 0"), "{error}");
}

#[test]
fn every_welcomed_account_is_there_after_a_crash_and_a_torn_one_was_not_welcomed() {
    let mut sim = two();
    sim.disk.state().sync_fails = Some(USERS);
    sim.disk.state().truncate_fails = true;
    sim.connect("carol");
    sim.send("carol", "/register carol correct-horse\n");
    (0..10).find_map(|_| sim.try_turn().err()).expect("the power is gone");
    for kept in [0, 1, 30, 100] {
        let disk = sim.disk.crash(|_, unsynced| unsynced[..unsynced.len().min(kept)].to_vec());
        let mut sim = Sim::on(disk, options());
        sim.join("alice");
        sim.join("bob");
        sim.connect("carol");
        sim.say("carol", "/register carol correct-horse");
        assert_eq!(sim.output("carol")[3], "* welcome carol");
    }
}

#[test]
fn with_sync_second_the_log_is_synced_within_a_second_and_then_rests() {
    let mut options = options();
    options.sync = SyncPolicy::Second;
    let mut sim = Sim::with(options);
    sim.join("alice");
    sim.say("alice", "one");
    assert_eq!(texts(&without_presence(sim.output("alice"))).last(), Some(&"one"));
    assert!(sim.disk.unsynced(LOG) > 0);
    assert_eq!(sim.disk.unsynced(USERS), 0, "accounts are always synced");
    sim.run_seconds(1);
    assert_eq!(sim.disk.unsynced(LOG), 0);
    let syncs = sim.disk.counts(LOG);
    sim.run_seconds(100);
    assert_eq!(sim.disk.counts(LOG), syncs);
    sim.say("alice", "two");
    sim.disk.state().sync_fails = Some(LOG);
    sim.world.advance(1_000_000);
    assert!(sim.try_turn().is_err(), "what was shown may be lost: it must not go on");
}

#[test]
fn with_sync_never_the_system_syncs_when_it_likes_to() {
    let mut options = options();
    options.sync = SyncPolicy::Never;
    let mut sim = Sim::with(options);
    sim.join("alice");
    let (_, syncs) = sim.disk.counts(LOG);
    sim.say("alice", "one");
    sim.run_seconds(100);
    assert_eq!(sim.disk.counts(LOG).1, syncs);
    assert!(sim.disk.unsynced(LOG) > 0);
    assert!(sim.timeout_us().is_none());
}

#[test]
fn a_log_that_cannot_be_read_is_said_to_be_so_and_no_gap_is_shown() {
    let mut sim = two();
    sim.say("alice", "one");
    sim.clear();
    sim.disk.state().read_fails = true;
    sim.say("bob", "/history");
    assert!(sim.output("bob")[0].starts_with("! history-unavailable"));
    assert!(sim.peer("bob").is_at_end());
    sim.say("alice", "two");
    assert_eq!(texts(&without_presence(sim.output("alice"))), ["two"]);
    sim.disk.state().read_fails = false;
    sim.run_seconds(3);
    sim.join("bob");
}

/// Lets carol register and alice say something, so that the next turn commits both.
fn account_and_message() -> Sim {
    let mut sim = two();
    sim.connect("carol");
    sim.settle();
    sim.clear();
    sim.send("carol", "/register carol correct-horse\n");
    sim.turn();
    sim.send("alice", "with carol\n");
    sim
}

#[test]
fn the_accounts_of_a_turn_are_written_after_its_messages_are_synced() {
    let mut sim = account_and_message();
    let (log, users) = (sim.disk.counts(LOG), sim.disk.counts(USERS));
    sim.turn();
    assert_eq!(sim.disk.counts(LOG), (log.0 + 1, log.1 + 1));
    assert_eq!(sim.disk.counts(USERS), (users.0 + 1, users.1 + 1), "in the same turn");
    assert!(sim.disk.last_done(USERS).0 > sim.disk.last_done(LOG).1);

    // At whatever moment the power fails: where the account is, the message is.
    for changes in 1.. {
        let mut sim = account_and_message();
        sim.disk.state().power_fails_after = Some(changes);
        let outcome = sim.try_turn();
        if !sim.disk.is_dead() {
            outcome.expect("nothing failed");
            assert!(changes > 4, "two appends and two syncs can fail");
            break;
        }
        assert!(outcome.is_err() && sim.output("alice").is_empty() && sim.output("carol").is_empty());
        let left = sim.disk.crash(|_, unsynced| unsynced.to_vec());
        let is_saved = left.read(LOG).contains("with carol\n");
        assert!(is_saved || !left.read(USERS).contains("carol:"), "at change {changes}");
        let mut sim = sim.restart_on(left);
        sim.join("bob");
        sim.clear();
        sim.say("bob", "/history");
        let expected = ["with carol", "* end of history"];
        assert_eq!(texts(&sim.output("bob")), expected[usize::from(!is_saved)..], "once or not at all");
        sim.join("carol");
    }
}

#[test]
fn the_accounts_of_a_turn_are_refused_with_its_messages() {
    let refusal = "! not-saved: the server's disk is full; please try again later";
    for room in [None, Some(0), Some(20)] {
        let mut sim = account_and_message();
        let users = sim.disk.read(USERS);
        match room {
            Some(room) => sim.disk.state().room = Some(room),
            None => sim.disk.state().full = Some(LOG),
        }
        sim.turn();
        assert_eq!(sim.output("alice"), [refusal]);
        assert_eq!(sim.output("carol"), [refusal]);
        assert_eq!(sim.disk.read(USERS), users);
        // A turn that says nothing writes nothing to the log, which refuses nothing then.
        (sim.disk.state().room, sim.disk.state().full) = (None, Some(LOG));
        sim.say("carol", "/register carol correct-horse");
        assert_eq!(sim.output("carol").last().unwrap(), "* welcome carol");
        let sim = sim.restart();
        assert_eq!((sim.disk.read(LOG).as_str(), sim.disk.read(USERS).lines().count()), ("", 3));
    }
}

#[test]
fn a_password_a_token_and_more_rounds_are_refused_with_the_messages_of_their_turn() {
    let mut sim = two();
    sim.options.rules.kdf_rounds = 20;
    let mut sim = sim.restart();
    sim.join("bob");
    let users = sim.disk.read(USERS);
    for (line, answer) in [
        ("/login alice correct-horse", "* welcome alice"),
        ("/passwd correct-horse battery-staple", "! not-saved: "),
        ("/token", "! not-saved: "),
    ] {
        if line.starts_with("/login") {
            sim.connect("alice");
            sim.settle();
        }
        sim.clear();
        sim.disk.state().full = Some(LOG);
        sim.send("alice", format!("{line}\n"));
        let mut output = Vec::new();
        while !output.iter().any(|line: &String| line.starts_with(answer)) {
            sim.send("bob", "lost\n");
            sim.turn();
            output.extend(sim.output("alice"));
            assert!(sim.output("bob").iter().all(|line| line.starts_with("! not-saved: ")), "{line}");
        }
        assert_eq!(sim.disk.read(USERS), users, "{line}");
        sim.settle();
    }
    sim.disk.state().full = None;
    sim.connect("alice2");
    sim.enter("alice2", "alice");
}

#[test]
fn the_messages_of_a_turn_are_saved_although_its_accounts_are_refused() {
    let mut sim = account_and_message();
    sim.disk.state().full = Some(USERS);
    sim.turn();
    assert_eq!(texts(&sim.output("alice")), ["with carol"]);
    assert_eq!(texts(&sim.output("bob")), ["with carol"]);
    assert_eq!(sim.output("carol"), ["! not-saved: the server's disk is full; please try again later"]);
}

#[test]
fn a_failed_sync_of_the_accounts_shows_no_message_of_the_turn_and_the_message_is_stored_once() {
    let mut sim = account_and_message();
    sim.disk.state().sync_fails = Some(USERS);
    let error = sim.try_turn().expect_err("it cannot go on").to_string();
    assert!(error.contains("users.txt"), "{error}");
    for name in ["alice", "bob", "carol"] {
        assert_eq!(sim.output(name), [""; 0], "{name}");
    }
    let mut sim = sim.restart();
    sim.join("bob");
    sim.clear();
    sim.say("bob", "/history");
    assert_eq!(texts(&sim.output("bob")), ["with carol", "* end of history"]);
    sim.join("carol");
}

#[test]
fn a_registration_that_was_not_saved_is_none_of_those_that_an_address_has() {
    let mut sim = Sim::new();
    sim.connect("alice");
    sim.settle();
    sim.disk.state().full = Some(USERS);
    for attempt in 0..20 {
        sim.clear();
        sim.say("alice", "/register alice correct-horse");
        assert!(sim.output("alice")[0].starts_with("! not-saved: "), "attempt {attempt}");
        sim.run_seconds(1);
    }
    sim.disk.state().full = None;
    sim.say("alice", "/register alice correct-horse");
    assert!(sim.output("alice").contains(&"* welcome alice".to_owned()));
}

#[test]
fn what_was_refused_is_not_there_after_a_power_failure_either() {
    let mut sim = two();
    sim.say("alice", "before");
    sim.clear();
    // The first line of the batch finds room, and the second does not.
    sim.disk.state().room = Some(60);
    sim.send("alice", "one\ntwo\n");
    sim.settle();
    assert!(sim.output("alice").iter().all(|line| line.starts_with("! not-saved: ")));
    sim.disk.undo_cuts();
    let mut sim = sim.restart();
    sim.join("bob");
    sim.clear();
    sim.say("bob", "/history");
    assert_eq!(texts(&sim.output("bob")), ["before", "* end of history"]);
}

#[test]
fn a_full_disk_never_hinders_a_start_and_what_is_torn_stays() {
    let sim = {
        let mut sim = two();
        sim.say("alice", "one");
        sim.run_seconds(10);
        sim
    };
    let (seen, log) = (sim.disk.read(SEEN), sim.disk.read(LOG));
    for (name, torn) in [(SEEN, "alice 2026-"), (SEEN, "junk\n"), (USERS, "carol:pb")] {
        let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
        disk.put(name, (disk.read(name) + torn).as_bytes());
        let before = disk.read(name);
        disk.state().room = Some(0);
        let mut sim = Sim::on(disk, options());
        if name != SEEN {
            assert_eq!(sim.disk.read(name), before);
        }
        sim.disk.state().room = None;
        sim.join("bob");
        sim.join("dave");
        sim.say("bob", "two");
        assert!(sim.disk.read(SEEN).starts_with(&seen), "what was whole is kept");
        let mut sim = sim.restart();
        sim.join("dave");
        sim.clear();
        sim.say("dave", "/history");
        let output = sim.output("dave");
        let shown: Vec<_> = output.iter().filter(|line| !line.starts_with('!')).cloned().collect();
        assert_eq!(texts(&shown), ["one", "two", "* end of history"], "{name} {torn:?}");
        assert!(sim.disk.read(LOG).starts_with(&log));
    }
}

#[test]
fn accounts_of_version_0_1_that_a_full_disk_does_not_let_be_rewritten_log_in_and_do_not_change() {
    let sim = two();
    let disk = without_state(&sim);
    let before = in_version_0_1(&disk.read(USERS));
    disk.put(USERS, before.as_bytes());
    disk.state().room = Some(100);
    let mut sim = Sim::on(disk, options());
    assert_eq!(sim.disk.read(USERS), before);
    sim.join("alice");
    sim.connect("carol");
    sim.say("carol", "/register carol correct-horse");
    assert!(sim.output("carol").last().unwrap().starts_with("! not-saved: the server's disk is full"));
    assert_eq!(sim.disk.read(USERS), before);
    sim.disk.state().room = None;
    sim.say("carol", "/register carol correct-horse");
    assert!(sim.output("carol").contains(&"* welcome carol".to_owned()));
    assert_eq!(sim.disk.read("users.txt.0.1"), before);
    let mut sim = sim.restart();
    ["alice", "bob", "carol"].iter().for_each(|name| sim.join(name));
}

/// The directory of a killed server, without `state.txt`.
fn without_state(sim: &Sim) -> SimDisk {
    let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
    disk.remove(STATE);
    disk
}

/// Accounts as version 0.1 wrote them: without the time and the checksum.
fn in_version_0_1(users: &str) -> String {
    let old = |line: &str| line.split(':').take(5).collect::<Vec<_>>().join(":") + "\n";
    users.lines().map(old).collect()
}

/// Starts with the power failing in its first change, its second and so on, until nothing is left to fail in; hands
/// each time what is there if nothing was kept that was not synced.
fn fail_at_each_change_of_a_start(disk: &SimDisk, mut look: impl FnMut(&SimDisk)) {
    for changes in 1.. {
        let disk = disk.crash(|_, unsynced| unsynced.to_vec());
        disk.state().power_fails_after = Some(changes);
        let outcome = Sim::try_on(disk.clone(), options());
        if !disk.is_dead() {
            outcome.expect("nothing failed");
            assert!(changes > 5, "it changes several things");
            return;
        }
        look(&disk.crash(|_, _| Vec::new()));
    }
}

#[test]
fn whenever_the_power_fails_in_rewriting_the_accounts_they_are_there() {
    let mut sim = two();
    sim.say("bob", "hello");
    sim.run_seconds(10);
    let disk = without_state(&sim);
    let old = in_version_0_1(&disk.read(USERS));
    let bob = old.lines().find(|line| line.starts_with("bob:")).unwrap().to_owned() + "\n";
    disk.put(USERS, (old + &bob.repeat(2_000)).as_bytes());
    let seen = disk.read(SEEN).lines().last().unwrap().to_owned() + "\n";
    disk.put(SEEN, (disk.read(SEEN) + &seen.repeat(2_000)).as_bytes());
    fail_at_each_change_of_a_start(&disk, |left| {
        let mut sim = Sim::on(left.crash(|_, _| Vec::new()), options());
        assert!(sim.disk.read(USERS).lines().count() == 2 && sim.disk.read(SEEN).lines().count() <= 2);
        sim.join("alice");
        sim.connect("bob");
        sim.say("bob", "/login bob correct-horse");
        let output = without_presence(sim.output("bob"));
        assert_eq!(output.last().unwrap(), "* welcome bob", "and he is shown nothing again");
    });
}

#[test]
fn whenever_the_power_fails_in_setting_aside_what_is_torn_that_is_somewhere() {
    let mut sim = two();
    sim.say("alice", "one");
    sim.run_seconds(10);
    let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
    let whole = disk.read(LOG);
    disk.put(LOG, (whole.clone() + "2026-11-22T").as_bytes());
    let aside = format!("{LOG}.torn-at-{}", whole.len());
    fail_at_each_change_of_a_start(&disk, |left| {
        let is_in_place = left.read(LOG) == whole.clone() + "2026-11-22T";
        assert!(is_in_place || (left.read(LOG) == whole && left.read(&aside) == "2026-11-22T"));
    });
}

#[test]
fn with_sync_second_all_is_synced_when_it_ends() {
    let mut options = options();
    options.sync = SyncPolicy::Second;
    let mut sim = Sim::with(options);
    sim.join("alice");
    sim.say("alice", "one");
    assert!(sim.disk.unsynced(LOG) > 0);
    sim.net.state().shutdown = true;
    while sim.turn() == LoopState::Running {}
    assert_eq!(sim.disk.unsynced(LOG), 0);
}

#[test]
fn files_that_somebody_removes_renames_or_truncates_take_no_message_and_no_account() {
    let refusal = "! not-saved: somebody removed or changed the server's files; please try again later";
    type Change = fn(&SimDisk, &str);
    let changes: [(&str, Change); 4] = [
        ("removed", |disk, name| disk.remove(name)),
        ("renamed", |disk, name| disk.clone().rename(name, "elsewhere").unwrap()),
        ("replaced", |disk, name| {
            disk.remove(name);
            disk.put(name, b"");
        }),
        ("truncated", |disk, name| disk.put(name, b"")),
    ];
    for (how, change) in changes {
        for (name, line) in [(LOG, "lost"), (USERS, "/register carol correct-horse")] {
            let mut sim = two();
            sim.say("alice", "before");
            sim.connect("carol");
            sim.run_seconds(2);
            sim.clear();
            change(&sim.disk, name);
            let speaker = if name == LOG { "alice" } else { "carol" };
            sim.say(speaker, line);
            assert_eq!(sim.output(speaker).last().unwrap(), refusal, "{name} {how}");
            assert!(sim.output("bob").is_empty(), "{name} {how}");
            if how == "truncated" || how == "replaced" {
                assert_eq!(sim.disk.read(name), "", "and nothing of it is there");
            }
        }
    }
}

#[test]
fn a_history_that_is_gone_although_there_are_marks_prevents_a_start() {
    let mut sim = two();
    sim.say("alice", "one");
    sim.run_seconds(10);
    for (is_missing, has_state) in [(true, true), (false, true), (true, false), (false, false)] {
        let disk =
            if has_state { sim.disk.crash(|_, unsynced| unsynced.to_vec()) } else { without_state(&sim) };
        if is_missing {
            disk.remove(LOG)
        } else {
            disk.put(LOG, b"")
        }
        let error = Sim::try_on(disk, options()).err().expect("it does not start");
        assert!(error.contains("--new-history") && error.contains("chat_history.txt"), "{error}");
    }
}

#[test]
fn names_with_marks_and_without_an_account_stay_reserved() {
    let mut sim = two();
    sim.say("alice", "/msg bob for bob only");
    sim.run_seconds(10);
    let disk = without_state(&sim);
    // An older copy of the accounts, from before bob registered.
    let users = disk.read(USERS);
    disk.put(USERS, (users.lines().next().unwrap().to_owned() + "\n").as_bytes());
    for _ in 0..2 {
        let mut sim = Sim::on(disk.crash(|_, unsynced| unsynced.to_vec()), options());
        sim.connect("mallory");
        sim.say("mallory", "/register BOB correct-horse");
        let answer = sim.output("mallory").last().unwrap().clone();
        assert!(answer.starts_with("! name-taken: "), "{answer}");
        // Also once seen.txt was rewritten.
        disk.put(SEEN, (sim.disk.read(SEEN) + "junk\n").as_bytes());
    }
}
