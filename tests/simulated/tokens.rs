//! Login tokens, one-time codes, and who may make an account.

use chinwag::auth::credential::secret_hash;
use chinwag::protocol::name::Name;
use chinwag::protocol::record::Timestamp;
use chinwag::state::users::UserRecord;
use chinwag::state::users_file::UsersFile;

use crate::sim::disk::USERS;
use crate::sim::harness::{Sim, options};

const DAY: u64 = 24 * 3600;
const CODE: &str = "0123456789abcdef0123456789abcdef";
const BAD_TOKEN: &str = "! bad-token: the token is unknown or has expired; log in with your password";
const BAD_CODE: &str = "! bad-code: the code is unknown, has been used or has expired";

/// The token that a session is given.
fn token_of(sim: &mut Sim, client: &str) -> String {
    sim.say(client, "/token");
    let output = sim.output(client);
    let token = output[0].strip_prefix("* token ").unwrap_or_else(|| panic!("{output:?}"));
    assert!(token.len() == 32 && token.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it)));
    assert_eq!(sim.disk.unsynced(USERS), 0, "it is stored before it is told");
    assert!(!sim.disk.read(USERS).contains(token), "only its hash is");
    token.to_owned()
}

/// What a new connection is answered to a line.
fn answer(sim: &mut Sim, client: &str, line: &str) -> Vec<String> {
    sim.connect(client);
    sim.say(client, line);
    sim.output(client).split_off(3)
}

/// Issues a code for a name, as `--reset` does while the server is down.
fn restart_with_code(sim: Sim, name: &str) -> Sim {
    let Sim { mut disk, mut world, options, server, .. } = sim;
    drop(server);
    let (mut users, state) = UsersFile::recover(&mut disk, false, None).unwrap();
    let name = Name::parse(name.as_bytes()).unwrap();
    let issued = Timestamp::from_micros(chinwag::clock::World::now(&mut world).wall_us);
    let is_known = state.accounts().find(&name).is_some();
    let reserved = Some(UserRecord::Reserved { name, at: issued }).filter(|_| !is_known);
    let code = UserRecord::Code { name, hash: secret_hash(CODE), issued };
    users.commit(&mut disk, reserved.iter().chain([&code])).unwrap();
    let mut sim = Sim::on(disk, options);
    sim.world = world;
    sim
}

#[test]
fn tokens_log_in_like_a_password_without_waiting_for_one() {
    let mut sim = Sim::new();
    sim.join("alice");
    let token = token_of(&mut sim, "alice");
    sim.say("alice", "/quit");
    sim.join("bob");
    sim.say("bob", "/msg alice psst");
    // Others guess at the account, and the queue is full of them.
    for number in 0..100 {
        sim.connect(&format!("m{number}"));
        sim.send(&format!("m{number}"), format!("/login n{} wrong-horse\n", number / 2));
    }
    let shown = answer(&mut sim, "again", &format!("/resume Alice {token}"));
    assert_eq!(shown[0], "* welcome alice");
    assert!(shown[1].ends_with(" bob -> alice: psst"));
    let again = answer(&mut sim, "more", &format!("/resume alice {token}"));
    assert_eq!(again[0], "* welcome alice", "it is good more than once");
}

#[test]
fn tokens_are_good_for_their_account_only_and_nothing_else_is_one() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.join("bob");
    let token = token_of(&mut sim, "alice");
    let upper = token.to_uppercase();
    for line in [
        format!("/resume bob {token}"),
        format!("/resume nobody {token}"),
        format!("/resume 1x {token}"),
        format!("/resume alice {}", &token[1..]),
        format!("/resume alice {upper}x"),
        "/resume alice x".to_owned(),
    ] {
        assert_eq!(answer(&mut sim, "mallory", &line), [BAD_TOKEN], "{line}");
    }
    sim.connect("stranger");
    sim.say("stranger", "/token");
    assert!(sim.output("stranger")[3].starts_with("! not-logged-in"));
    sim.say("alice", &format!("/resume alice {token}"));
    assert!(sim.output("alice")[0].starts_with("! already-logged-in"));
}

#[test]
fn tokens_that_are_wrong_count_as_failures_of_their_address() {
    let mut sim = Sim::new();
    sim.connect_from("mallory", "10.1.1.1".parse().unwrap());
    for _ in 0..8 {
        sim.say("mallory", "/resume alice 00000000000000000000000000000000");
        // An attempt costs a second of the rate.
        sim.run_seconds(1);
    }
    sim.clear();
    sim.say("mallory", "/login alice wrong-horse");
    assert!(sim.output("mallory")[0].starts_with("! too-many-failures"));
}

#[test]
fn tokens_last_for_thirty_days_also_over_restarts() {
    let mut sim = Sim::new();
    sim.join("alice");
    let token = token_of(&mut sim, "alice");
    let mut sim = sim.restart();
    let resume = format!("/resume alice {token}");
    sim.run_seconds(30 * DAY - 120);
    assert_eq!(answer(&mut sim, "a", &resume)[0], "* welcome alice");
    sim.run_seconds(120);
    assert_eq!(answer(&mut sim, "b", &resume), [BAD_TOKEN]);
}

#[test]
fn tokens_do_not_come_back_when_the_clock_steps_back() {
    let mut sim = Sim::new();
    sim.join("alice");
    let token = token_of(&mut sim, "alice");
    sim.run_seconds(31 * DAY);
    sim.say("alice", "the log remembers the time");
    sim.world.wall_us -= 31 * DAY * 1_000_000;
    assert_eq!(answer(&mut sim, "b", &format!("/resume alice {token}")), [BAD_TOKEN]);
}

#[test]
fn tokens_are_revoked_by_a_new_password_also_one_of_the_same_turn() {
    let mut sim = Sim::new();
    sim.join("alice");
    let token = token_of(&mut sim, "alice");
    sim.connect("thief");
    sim.enter("thief", "alice");
    // The new password is derived in this turn and stored in the next, in which the thief's line comes.
    sim.send("alice", "/passwd correct-horse battery-staple\n");
    sim.turn();
    sim.send("thief", "/token\n");
    sim.settle();
    assert_eq!(sim.output("alice"), ["* password changed"]);
    let stolen = sim.output("thief");
    assert!(stolen.last().unwrap().starts_with("! signed-out"), "{stolen:?}");
    let stolen = stolen.iter().filter_map(|line| line.strip_prefix("* token "));
    for token in stolen.chain([token.as_str()]) {
        assert_eq!(answer(&mut sim, "b", &format!("/resume alice {token}")), [BAD_TOKEN]);
    }
    let mut sim = sim.restart();
    assert_eq!(answer(&mut sim, "b", &format!("/resume alice {token}")), [BAD_TOKEN]);
    sim.connect("c");
    sim.say("c", "/login alice battery-staple");
    assert!(sim.output("c").contains(&"* welcome alice".to_owned()));
    token_of(&mut sim, "c");
}

#[test]
fn tokens_that_two_sessions_ask_for_in_one_turn_count_one_after_the_other() {
    let mut sim = Sim::new();
    sim.join("alice");
    (0..15).for_each(|_| _ = token_of(&mut sim, "alice"));
    sim.connect("again");
    sim.enter("again", "alice");
    sim.send("alice", "/token\n");
    sim.send("again", "/token\n");
    sim.settle();
    let answers = [sim.output("alice"), sim.output("again")].concat();
    let given = answers.iter().filter(|line| line.starts_with("* token ")).count();
    let refused = answers.iter().filter(|line| line.starts_with("! too-many-tokens")).count();
    assert_eq!((given, refused), (1, 1), "{answers:?}");
}

#[test]
fn tokens_are_sixteen_at_most_and_sixteen_an_hour() {
    let mut sim = Sim::new();
    sim.join("alice");
    let mut tokens = Vec::new();
    for _ in 0..16 {
        tokens.push(token_of(&mut sim, "alice"));
        sim.run_seconds(1);
    }
    sim.say("alice", "/token");
    assert!(sim.output("alice")[0].starts_with("! too-many-tokens"));
    sim.run_seconds(3600);
    tokens.push(token_of(&mut sim, "alice"));
    assert_eq!(answer(&mut sim, "a", &format!("/resume alice {}", tokens[0])), [BAD_TOKEN]);
    for token in [&tokens[1], &tokens[16]] {
        assert_eq!(answer(&mut sim, "b", &format!("/resume alice {token}"))[0], "* welcome alice");
    }
}

#[test]
fn tokens_that_are_not_saved_are_not_told() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.disk.state().full = Some(USERS);
    sim.say("alice", "/token");
    assert!(sim.output("alice")[0].starts_with("! not-saved"));
    sim.disk.state().full = None;
    token_of(&mut sim, "alice");
    sim.world.random_fails = true;
    sim.say("alice", "/token");
    assert!(sim.output("alice")[0].starts_with("! no-randomness"));
}

#[test]
fn codes_choose_a_new_password_once_and_end_what_the_old_one_began() {
    let mut sim = Sim::new();
    sim.join("alice");
    let token = token_of(&mut sim, "alice");
    let mut sim = restart_with_code(sim, "alice");
    sim.join("alice");
    sim.connect("owner");
    sim.say("owner", &format!("/code {CODE}"));
    assert_eq!(sim.output("owner")[3], "* code accepted: now /register alice PASSWORD");
    sim.connect("twin");
    sim.say("twin", &format!("/code {CODE}"));
    sim.clear();
    // For another name the code is no good.
    sim.say("owner", "/register carol battery-staple");
    assert_eq!(sim.output("owner")[0], "* welcome carol");
    sim.connect("owner2");
    sim.say("owner2", &format!("/code {CODE}"));
    sim.say("owner2", "/register Alice battery-staple");
    assert!(sim.output("owner2").contains(&"* welcome alice".to_owned()));
    assert!(sim.output("alice").last().unwrap().starts_with("! signed-out"));
    sim.say("twin", "/register alice another-password");
    assert_eq!(sim.output("twin"), [BAD_CODE]);
    assert_eq!(answer(&mut sim, "late", &format!("/code {CODE}")), [BAD_CODE]);
    assert_eq!(answer(&mut sim, "thief", &format!("/resume alice {token}")), [BAD_TOKEN]);
    let mut sim = sim.restart();
    assert_eq!(answer(&mut sim, "late", &format!("/code {CODE}")), [BAD_CODE]);
    assert_eq!(answer(&mut sim, "a", "/login alice battery-staple")[0], "* welcome alice");
}

#[test]
fn codes_are_good_for_a_day_and_for_names_without_an_account_too() {
    for (seconds, is_good) in [(DAY - 60, true), (DAY, false)] {
        let mut options = options();
        options.rules.is_registration_open = false;
        let mut sim = restart_with_code(Sim::with(options), "dave");
        sim.run_seconds(seconds);
        sim.connect("dave");
        sim.say("dave", &format!("/code {CODE}"));
        sim.say("dave", "/register dave correct-horse");
        let output = sim.output("dave");
        assert_eq!(output.contains(&"* welcome dave".to_owned()), is_good, "{output:?}");
        assert_eq!(output.contains(&BAD_CODE.to_owned()), !is_good);
    }
}

#[test]
fn registration_can_be_closed_and_accounts_are_limited_in_all_and_by_the_hour() {
    let mut closed = options();
    closed.rules.is_registration_open = false;
    let mut sim = Sim::with(closed);
    assert!(answer(&mut sim, "a", "/register alice correct-horse")[0].starts_with("! registration-closed"));

    let mut few = options();
    few.rules.accounts_max = 3;
    let mut sim = Sim::with(few);
    for name in ["alice", "bob", "carol"] {
        sim.join(name);
    }
    assert!(answer(&mut sim, "d", "/register dave correct-horse")[0].starts_with("! too-many-accounts"));
    sim.say("alice", "/passwd correct-horse battery-staple");
    assert_eq!(sim.output("alice").last().unwrap(), "* password changed");

    let mut slow = options();
    slow.rules.accounts_per_hour = Some(5);
    let mut sim = Sim::with(slow);
    for number in 0..5 {
        sim.join(&format!("n{number}"));
    }
    assert!(answer(&mut sim, "x", "/register xaver correct-horse")[0].starts_with("! too-many-accounts"));
    sim.run_seconds(3600);
    sim.join("yann");
}

#[test]
fn registrations_of_the_last_hour_count_after_a_restart() {
    let mut slow = options();
    slow.rules.accounts_per_hour = Some(5);
    let mut sim = Sim::with(slow);
    for number in 0..3 {
        sim.join(&format!("n{number}"));
    }
    sim.run_seconds(1800);
    for number in 3..5 {
        sim.join(&format!("n{number}"));
    }
    // A restart takes a minute. The clock of the machine may be another one then.
    let mut sim = sim.restart();
    assert!(answer(&mut sim, "x", "/register xaver correct-horse")[0].starts_with("! too-many-accounts"));
    let mut sim = sim.restart();
    sim.run_seconds(1800 - 60);
    for name in ["xaver", "yann", "zoe"] {
        sim.join(name);
    }
    assert!(answer(&mut sim, "w", "/register walter correct-horse")[0].starts_with("! too-many-accounts"));
    // After a change of a password the account is still as old as it was.
    sim.say("yann", "/passwd correct-horse battery-staple");
    sim.run_seconds(3600);
    let mut sim = sim.restart();
    (0..5).for_each(|number| sim.join(&format!("m{number}")));
}
