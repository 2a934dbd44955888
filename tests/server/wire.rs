//! What goes over the wire, from raw sockets and from `nc`.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::*;

#[test]
fn a_script_through_nc_gets_every_answer() {
    if !can_half_close() {
        return;
    }
    let server = Server::start(&QUICK);
    let mut nc = Command::new("nc");
    nc.args(["-N", "127.0.0.1", &server.port()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut nc = nc.spawn().unwrap();
    let script = "/register carol correct-horse\nhello\n/history 5\n/quit\n";
    nc.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = nc.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = printed.lines().map(|line| text_of(line).unwrap_or(line)).collect();
    let after_the_greeting = lines.iter().position(|&line| line == "* welcome carol").expect(&printed);
    assert!(lines[..after_the_greeting].iter().all(|line| line.starts_with("* ")), "{printed}");
    assert_eq!(
        lines[after_the_greeting..],
        [
            "* welcome carol",
            "* talking to everyone",
            "carol: hello",
            "carol: hello",
            "* end of history",
            "* bye"
        ],
    );
}

#[test]
fn a_message_goes_to_everyone_with_one_timestamp() {
    let server = Server::start(&QUICK);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    let at_alice = alice.say("alice", "hello");
    assert_eq!(bob.expect_message("alice: hello"), at_alice, "both see the same bytes");
    assert_eq!(server.history(), format!("{at_alice} alice: hello\n"), "and so does the file");
    let second = bob.say("bob", "hello yourself");
    assert!(second > at_alice);
    alice.expect_message("bob: hello yourself");
}

#[test]
fn a_private_message_reaches_its_two_accounts_and_nobody_else() {
    let server = Server::start(&QUICK);
    let (mut alice, mut bob, mut carol) =
        (server.register("alice"), server.register("bob"), server.register("carol"));
    let before = alice.say("alice", "in public");
    alice.send("/msg BOB psst");
    let private = alice.expect_message("alice -> bob: psst");
    bob.send("/msg alice yes?");
    alice.expect_message("bob -> alice: yes?");
    let after = alice.say("alice", "in public again");

    assert_eq!(
        bob.until("alice: in public again"),
        ["alice: in public", "alice -> bob: psst", "bob -> alice: yes?"]
    );
    assert_eq!(carol.until("alice: in public again"), ["alice: in public"], "live");

    let day = &before[..10];
    let public = [format!("{before} alice: in public"), format!("{after} alice: in public again")];
    for command in ["/history", "/history 10", "/history 2", &format!("/history {day}")] {
        assert_eq!(carol.ask_history(command), public, "{command}");
    }
    assert_eq!(carol.ask_history(&format!("/history {private}")), public[1..]);
    assert_eq!(carol.ask_history(&format!("/history 9 before {after}")), public[..1]);
    assert_eq!(carol.ask_history(&format!("/history 1 before {after}")), public[..1]);
    for session in [&mut alice, &mut bob] {
        let all = session.ask_history("/history");
        assert_eq!(all.join("\n") + "\n", server.history(), "who wrote or got it sees all");
        assert_eq!(session.ask_history("/history 3"), all[1..]);
        assert_eq!(session.ask_history(&format!("/history {private}")), all[1..]);
        assert_eq!(session.ask_history(&format!("/history 1 before {after}")), all[2..3]);
    }
}

#[test]
fn all_sessions_of_an_account_get_its_messages_and_only_the_last_one_leaves() {
    let server = Server::start(&QUICK);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    let mut second = server.connect();
    second.send(&format!("/login ALICE {PASSWORD}"));
    second.welcomed("alice");
    second.send("/users");
    second.expect("* users: alice bob");
    second.expect("* 2 online");
    bob.send("/msg alice psst");
    bob.expect_message("bob -> alice: psst");
    for session in [&mut alice, &mut second] {
        session.expect_message("bob -> alice: psst");
    }
    alice.send("/msg bob from one");
    alice.expect_message("alice -> bob: from one");
    second.expect_message("alice -> bob: from one");
    bob.expect_message("alice -> bob: from one");

    alice.send("/quit");
    alice.expect("* bye");
    assert_eq!(alice.next(), None);
    bob.send("/users");
    bob.expect("* users: alice bob");
    bob.expect("* 2 online");
    second.say("alice", "still here");
    drop(second);
    server.logged(&["closed", "(alice)", "end of input"]);
    bob.expect_message("alice: still here");
    bob.send("/users");
    bob.expect("* users: bob");
    bob.expect("* 1 online");
}

#[test]
fn after_kill_9_everything_is_there_and_what_was_missed_is_shown_once() {
    let server = Server::start(&QUICK);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    alice.say("alice", "one");
    let one = bob.expect_message("alice: one");
    bob.send("/quit");
    bob.until("* bye");
    alice.say("alice", "two");
    alice.send("/msg bob three");
    alice.expect_message("alice -> bob: three");
    alice.expect("* bob is offline and will see it at the next login");
    let written = server.history();
    // Marks are written once per second.
    let has_mark = |it: String| it.contains(&format!("bob {one}\n"));
    wait_for("bob's mark", || fs::read_to_string(server.file("seen.txt")).is_ok_and(has_mark).then_some(()));
    let stopped = server.kill();

    let server = stopped.start(&QUICK);
    assert_eq!(server.history(), written);
    let mut bob = server.login("bob");
    bob.expect_message("alice: two");
    bob.expect_message("alice -> bob: three");
    bob.send("/quit");
    bob.expect("* bye");
    assert_eq!(bob.next(), None);
    let mut bob = server.login("bob");
    bob.say("bob", "nothing was shown again");
    assert_eq!(bob.ask_history("/history 4")[..3].join("\n") + "\n", written);
}

#[test]
fn a_password_is_changed_for_good() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    alice.send("/passwd wrong-horse battery-staple");
    alice.expect_error("bad-login");
    alice.send("/passwd correct-horse short");
    alice.expect_error("bad-password");
    alice.send("/passwd correct-horse battery staple");
    alice.expect("* password changed");
    let stopped = server.kill();

    let server = stopped.start(&QUICK);
    let mut alice = server.connect();
    alice.send("/login alice correct-horse");
    alice.expect_error("bad-login");
    alice.send("/login alice battery staple");
    alice.expect("* after failed logins, this attempt will be checked in 5 s");
    alice.welcomed("alice");
}

#[test]
fn before_the_login_only_what_needs_none_is_done() {
    let server = Server::start(&QUICK);
    server.register("alice");
    let mut nobody = server.connect();
    for line in ["hello", "/msg alice hi", "/history", "/users", "/passwd correct-horse other-horse"] {
        nobody.send(line);
        nobody.expect_error("not-logged-in");
    }
    nobody.send("/help");
    let help = nobody.line();
    assert!(help.starts_with("* /register NAME PASSWORD"), "{help}");
    nobody.send("/dance");
    wait_for("the answer behind the help", || nobody.line().starts_with("! unknown-command: ").then_some(()));
    for (line, code) in [
        ("/register alice other-password", "name-taken"),
        ("/register ALICE other-password", "name-taken"),
        ("/register 1alice other-password", "bad-name"),
        ("/register abcdefghijklmnopqrstu other-password", "bad-name"),
        ("/register bob short", "bad-password"),
        ("/login alice wrong-password", "bad-login"),
        ("/login nobody wrong-password", "bad-login"),
        ("/register bob", "bad-usage"),
    ] {
        nobody.send(line);
        nobody.expect_error(code);
    }
    nobody.send("/replay 0");
    nobody.expect("* replay 0");
    assert_eq!(server.history(), "", "nothing was said");
    nobody.send("/quit");
    nobody.expect("* bye");
    assert_eq!(nobody.next(), None);
}

#[test]
fn a_half_closed_peer_gets_all_done_and_answered_before_the_close() {
    let server = Server::start(&QUICK);
    let mut client = server.connect();
    let mut script = format!("/register alice {PASSWORD}\n");
    for number in 0..500 {
        script += &format!("message {number}\n");
    }
    script += "/history 2\n/users\n";
    client.send_raw(script.as_bytes());
    client.finish();
    let mut expected = vec!["* welcome alice".to_owned()];
    expected.extend((0..500).map(|number| format!("alice: message {number}")));
    expected.extend(["alice: message 498", "alice: message 499"].map(String::from));
    expected.extend(["* end of history", "* users: alice", "* 1 online"].map(String::from));
    assert_eq!(client.rest(), expected);
    assert_eq!(server.history().lines().count(), 500);
}

#[test]
fn a_last_line_without_an_ending_is_refused() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    alice.send_raw(b"whole\nhal");
    alice.finish();
    alice.expect_message("alice: whole");
    alice.expect_error("unfinished-line");
    assert_eq!(alice.next(), None);
    assert_eq!(server.history().lines().count(), 1);
}

#[test]
fn lines_may_end_as_telnet_ends_them_and_its_negotiation_is_skipped() {
    let server = Server::start(&QUICK);
    let mut alice = server.connect();
    alice.send_raw(b"\xff\xfd\x03\xff\xfb\x18/register alice correct-horse\r\n");
    alice.welcomed("alice");
    alice.send_raw(b"one\r\n\r\n\ntw\xff\xfb\x0ao\r\n");
    alice.send_raw(b"\xff\xfa\x1f\x00\x50\x00\x0a\xff\xf0three\n//four\n");
    for text in ["one", "two", "three", "/four"] {
        alice.expect_message(&format!("alice: {text}"));
    }
    assert_eq!(server.history().matches('\r').count(), 0);
}

#[test]
fn a_line_has_at_most_4096_bytes_read_or_written() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    // As a message the line grows by its timestamp and its author.
    let room = 4096 - "2026-11-22T12:03:11.042317Z alice: \n".len();
    let longest = "x".repeat(room);
    alice.say("alice", &longest);
    assert_eq!(server.history().len(), 4096);
    alice.send(&"x".repeat(room + 1));
    let refusal = alice.expect_error("line-too-long");
    assert!(refusal.contains(" 1 byte"), "it says by how much: {refusal}");
    // 4096 with the ending: the reader takes it, and what it says about it is the chat's answer.
    alice.send(&"x".repeat(4095));
    let refusal = alice.expect_error("line-too-long");
    assert!(refusal.contains(&format!(" {} bytes too long", 4095 - room)), "{refusal}");
    for length in [4096, 4097, 8192, 100_000] {
        alice.send(&"x".repeat(length));
        alice.expect_error("line-too-long");
        alice.say("alice", "and on");
    }
    assert_eq!(server.history().lines().count(), 5);
}

#[test]
fn a_megabyte_without_an_ending_ends_the_connection() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    let megabyte = vec![b'x'; 1 << 20];
    alice.send_raw(&megabyte);
    alice.expect_error("line-too-long");
    alice.expect_error("line-too-long");
    assert_eq!(alice.next(), None);
    server.logged(&["closed", "without end", "(alice)"]);
    assert_eq!(server.history(), "");
    server.login("alice").say("alice", "back");
}

#[test]
fn nobody_can_forge_another_kind_of_line_or_move_a_cursor() {
    let server = Server::start(&QUICK);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    let r = '\u{fffd}';
    for (sent, shown) in [
        (&b"* bob left"[..], "* bob left".to_owned()),
        (b"! bad-login: wrong name or password", "! bad-login: wrong name or password".into()),
        (
            b"2026-11-22T12:03:11.042317Z bob: I said that",
            "2026-11-22T12:03:11.042317Z bob: I said that".into(),
        ),
        (b"bob: x", "bob: x".into()),
        (b"a\rb", format!("a{r}b")),
        (b"\x1b[2J\x07\x08x", format!("{r}[2J{r}{r}x")),
        (b"nul \0 del \x7f", format!("nul {r} del {r}")),
        ("c1 \u{9b}31m bidi \u{202e}x".as_bytes(), format!("c1 {r}31m bidi {r}x")),
        ("zwsp \u{200b} bom \u{feff} sep \u{2028}".as_bytes(), format!("zwsp \u{200b} bom  sep {r}")),
        (b"latin-1 gr\xfc\xdfe", format!("latin-1 gr{r}{r}e")),
        ("utf-8 grüße 👩\u{200d}👩\ttab".as_bytes(), "utf-8 grüße 👩\u{200d}👩\ttab".into()),
    ] {
        alice.send_raw(&[sent, b"\n"].concat());
        alice.expect_message(&format!("alice: {shown}"));
        bob.expect_message(&format!("alice: {shown}"));
        bob.ask_history("/history 1")[0].strip_suffix(&format!(" alice: {shown}")).expect("the same again");
    }
}

#[test]
fn who_wants_few_missed_messages_gets_all_private_ones_and_who_wants_none_gets_nothing() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    drop(server.register("bot"));
    server.logged(&["closed", "(bot)"]);
    let mut miss = |visit: usize| {
        alice.send(&format!("/msg bot psst {visit}"));
        alice.expect_message(&format!("alice -> bot: psst {visit}"));
        alice.expect("* bot is offline and will see it at the next login");
        for number in 0..60 {
            alice.say("alice", &format!("public {visit} {number}"));
        }
    };
    let visit = |first: &str| {
        let mut bot = server.connect();
        bot.send_raw(format!("{first}/login bot {PASSWORD}\n/quit\n").as_bytes());
        bot.rest()
    };
    let shown = |visit: usize, last: usize| -> Vec<String> {
        let public = (60 - last..60).map(|number| format!("alice: public {visit} {number}"));
        std::iter::once(format!("alice -> bot: psst {visit}")).chain(public).collect()
    };

    miss(0);
    let few = visit("/replay 2\n");
    assert_eq!(few[..2], ["* replay 2", "* welcome bot"]);
    assert_eq!(few[2..few.len() - 1], shown(0, 2));
    miss(1);
    let bot = visit("");
    assert_eq!(bot[0], "* welcome bot");
    assert_eq!(bot[1..bot.len() - 1], shown(1, 50), "fifty unless one asks for another number");
    miss(2);
    assert_eq!(visit("/replay 0\n"), ["* replay 0", "* welcome bot", "* bye"]);
    // It is there for who asks, and was not kept for the next login.
    let mut bot = server.login("bot");
    let history = bot.ask_history("/history 61");
    assert!(history.iter().filter_map(|line| text_of(line)).eq(&shown(2, 60)));
}

#[test]
fn what_stands_behind_urgent_data_is_read_as_well() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    // All of it is there before the server looks. A read stops at the urgent byte, which is no part of the text.
    server.signal("STOP");
    alice.send("before");
    socket2::SockRef::from(alice.stream()).send_out_of_band(b"!").unwrap();
    alice.send("behind");
    server.signal("CONT");
    alice.expect_message("alice: before");
    alice.expect_message("alice: behind");
}
