//! A connection that is lost, and made again.

use tempfile::TempDir;

use crate::common::*;
use crate::screen::*;
use crate::stream::waiting_bytes;

/// The server again, on what it left behind and where it was.
fn again(stopped: &Stopped, port: &str) -> Server {
    let address = format!("127.0.0.1:{port}");
    let flags: Vec<&str> = QUICK.into_iter().chain(["--listen", &address]).collect();
    Setup::new(&flags).data(&stopped.data).start_on_two()
}

#[test]
fn what_was_missed_appears_once_and_what_was_typed_meanwhile_is_said_not_to_be_sent() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    let mut bob = server.register("bob");
    bob.say("bob", "before");
    alice.shows("bob: before");
    let port = server.port();
    let stopped = server.kill();
    alice.shows("! offline: the connection is lost");
    alice.enters("into the void");
    alice.shows("! not sent: into the void");
    alice.types("half");
    let server = again(&stopped, &port);
    let mut bob = server.login("bob");
    bob.send("while you were away");
    bob.send("/msg alice psst");
    bob.until("bob -> alice: psst");
    alice.waits_for("the second welcome", |screen| screen.matches("* welcome alice").count() == 2);
    alice.shows("bob -> alice: psst");
    bob.send("after");
    bob.until("bob: after");
    alice.shows("bob: after");
    alice.last_line_is("> half");
    alice.types(&format!(" and half{ENTER}"));
    assert!(bob.until("alice: half and half").iter().all(|line| !line.contains("void")));
    alice.shows("alice: half and half");
    let screen = alice.screen();
    for text in ["bob: before", "bob: while you were away", "bob -> alice: psst", "bob: after"] {
        assert_eq!(screen.matches(text).count(), 1, "{text}: {screen}");
    }
    assert!(!server.history().contains("void"));
}

/// A server that takes `hello`, and goes before it says so; and what is said at the next login.
fn hello_and_gone() -> Played {
    let mut played = Played::start();
    let server = &mut played.server;
    server.send("* welcome alice");
    server.expect("/users");
    server.expect("/history 1");
    server.send("* 1 online\n2026-01-01T00:00:00.000001Z bob: first\n* end of history");
    server.expect("/token");
    server.send(&format!("* token {TOKEN}"));
    played.terminal.enters("hello");
    server.expect("hello");
    server.stream().shutdown(std::net::Shutdown::Both).unwrap();
    played.terminal.shows("! not confirmed yet: hello");
    played
}

fn back(played: &Played) -> Client {
    let mut server = Client::over(played.listener.accept().unwrap().0);
    server.send("* chinwag 0.2.0: a chat");
    server.expect("/replay 0");
    server.expect(&format!("/resume alice {TOKEN}"));
    server.send("* replay 0\n* welcome alice");
    server.expect("/history 2026-01-01T00:00:00.000001Z");
    server.expect("/users");
    server.send("2026-01-01T00:00:00.000001Z bob: first");
    server
}

#[test]
fn a_line_without_a_receipt_is_shown_so_and_never_sent_twice() {
    let played = hello_and_gone();
    let mut server = back(&played);
    server.send("* end of history\n* 1 online");
    let alice = &played.terminal;
    alice.shows("! not sent: hello");
    alice.enters("next");
    server.expect("next");
    // The line can be had back.
    alice.types(&[UP, UP].concat());
    alice.last_line_is("> hello");
}

#[test]
fn one_that_was_taken_after_all_is_shown_as_it_is() {
    let played = hello_and_gone();
    let mut server = back(&played);
    server.send("2026-01-01T00:00:00.000002Z alice: hello\n* end of history\n* 1 online");
    let alice = &played.terminal;
    alice.shows("alice: hello");
    alice.enters("next");
    server.expect("next");
    assert!(!alice.screen().contains("not sent"), "{}", alice.screen());
}

#[test]
fn who_leaves_while_the_connection_is_gone_is_told_what_was_not_acknowledged() {
    let mut played = hello_and_gone();
    played.terminal.types(CTRL_D);
    played.terminal.shows("chinwag: not acknowledged: hello");
    assert_eq!(played.terminal.ended().code(), Some(1));
}

#[test]
fn a_server_that_is_not_there_is_said_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    drop(listener);
    let config = TempDir::new().unwrap();
    let mut terminal = Terminal::start(Start { server, flags: &[], environment: &[], config: config.path() });
    terminal.shows(&format!("chinwag: {server}: Connection refused"));
    assert_eq!(terminal.ended().code(), Some(1));
}

#[test]
fn a_server_that_dies_with_a_line_in_its_hands_is_never_given_it_twice() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    alice.enters("first");
    alice.shows("alice: first");
    server.signal("STOP");
    alice.enters("on its way");
    let port = server.port();
    wait_for("the line on its way", || (waiting_bytes(&server) >= "on its way\n".len()).then_some(()));
    let stopped = server.kill();
    alice.shows("! not confirmed yet: on its way");
    let server = again(&stopped, &port);
    alice.shows("! not sent: on its way");
    alice.enters("last");
    alice.shows("alice: last");
    let texts: Vec<String> =
        server.history().lines().filter_map(|line| text_of(line).map(str::to_owned)).collect();
    assert_eq!(texts, ["alice: first", "alice: last"]);
}

#[test]
fn a_server_that_dies_again_and_again_in_the_middle_of_talk_leaves_no_gap_and_no_repeat() {
    const DEATHS: usize = 3;
    let mut server = Server::start(&QUICK);
    let (port, mut stopped) = (server.port(), Vec::new());
    let config = TempDir::new().unwrap();
    let alice = Terminal::register(&server, "alice", config.path());
    drop(server.register("bot"));
    let mut number = 0;
    for death in 0..=DEATHS {
        let mut bot = server.login("bot");
        // Half of it while alice is not back yet, and half of it when she is.
        for part in 0..2 {
            let lines: String = (0..200).map(|at| format!("talk {};\n", number + at)).collect();
            number += 200;
            bot.send_raw(lines.as_bytes());
            bot.until(&format!("bot: talk {};", number - 1));
            alice.waits_for("the way back in", |_| alice.count("* welcome alice") > death);
            if part == 1 {
                // The server dies with some of it on its way.
                alice.shows("bot: talk ");
            }
        }
        alice.enters(&format!("death {death}"));
        alice.shows(&format!("death {death}"));
        if death < DEATHS {
            stopped.push(server.kill());
            server = again(&stopped[death], &port);
        }
    }
    alice.shows(&format!("bot: talk {};", number - 1));
    // What the log has is what was shown, in its order.
    let written = String::from_utf8(alice.written()).unwrap();
    let shown: Vec<usize> = written
        .match_indices("talk ")
        .filter_map(|(at, word)| written[at + word.len()..].split_once(';')?.0.parse().ok())
        .collect();
    let stored: Vec<usize> = server
        .history()
        .lines()
        .filter_map(|line| line.split_once("bot: talk ")?.1.strip_suffix(';')?.parse().ok())
        .collect();
    assert_eq!(stored.len(), number);
    assert!(shown == stored, "{} shown, {} stored", shown.len(), stored.len());
}

#[test]
fn who_is_not_let_in_again_is_told_why_and_can_leave() {
    let (server, config) = stage();
    let mut alice = Terminal::register(&server, "alice", config.path());
    wait_for_token(&config);
    let port = server.port();
    let stopped = server.kill();
    alice.shows("! offline");
    // Meanwhile the password is changed, which revokes the token.
    let server = stopped.start(&QUICK);
    let mut elsewhere = server.login("alice");
    elsewhere.send(&format!("/passwd {PASSWORD} battery-staple"));
    elsewhere.expect("* password changed");
    let stopped = server.kill();
    let _server = again(&stopped, &port);
    alice.shows(
        "! the connection has ended: bad-token: the token is unknown or has expired; log in with your password; \
         Ctrl-D leaves",
    );
    alice.types(CTRL_D);
    assert_eq!(alice.ended().code(), Some(0));
}

#[test]
fn a_session_that_was_ended_for_good_is_not_made_again_and_takes_no_line() {
    for (code, words) in [("replaced", "a newer session"), ("signed-out", "the password was changed")] {
        let mut played = Played::start();
        let (server, alice) = (&mut played.server, &mut played.terminal);
        server.send("* welcome alice\n* 1 online\n* end of history");
        server.expect("/users");
        alice.last_line_is(">");
        server.send(&format!("! {code}: {words}"));
        server.stream().shutdown(std::net::Shutdown::Both).unwrap();
        alice.shows(&format!("! the connection has ended: {code}: {words}"));
        for line in ["too late", "/msg bob psst", "/users"] {
            alice.enters(line);
            alice.shows(&format!("! not sent: {line}"));
        }
        alice.enters("/passwd correct-horse battery-staple");
        alice.shows("! not sent: /passwd");
        assert!(!alice.screen().contains("staple"), "{}", alice.screen());
        alice.types(CTRL_D);
        assert_eq!(alice.ended().code(), Some(0));
        played.listener.set_nonblocking(true).unwrap();
        assert!(played.listener.accept().is_err(), "it came again");
    }
}

#[test]
fn a_server_that_dies_while_a_question_is_open_is_found_again() {
    let (server, config) = stage();
    drop(server.register("alice"));
    let terminal = Terminal::start(Start {
        server: server.address,
        flags: &["--user", "alice"],
        environment: &[],
        config: config.path(),
    });
    terminal.shows("password of alice:");
    let port = server.port();
    let stopped = server.kill();
    let _server = again(&stopped, &port);
    terminal.enters_hidden(PASSWORD);
    terminal.shows("* welcome alice");
    terminal.enters("hello");
    terminal.shows("alice: hello");
}
