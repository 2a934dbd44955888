//! Leaving, in whatever state the connection is.

use std::fs;

use crate::common::*;
use crate::screen::*;

#[test]
fn who_leaves_a_server_that_says_nothing_is_not_kept() {
    let (server, config) = stage();
    let mut alice = Terminal::register(&server, "alice", config.path());
    server.signal("STOP");
    // More than may wait for its answer, and more than may wait behind that.
    for number in 0..200 {
        alice.types(&format!("{number};{ENTER}"));
    }
    alice.types(CTRL_D);
    assert_eq!(alice.ended().code(), Some(1));
    // Some were on their way, and the others were not sent.
    let written = String::from_utf8(alice.written()).unwrap();
    let (_, told) =
        written.split_once("chinwag: not acknowledged: ").expect("what was not acknowledged is told");
    let told = format!(" {told}");
    for number in 0..200 {
        let is_told =
            told.contains(&format!(" {number};")) || written.contains(&format!("! not sent: {number};"));
        assert!(is_told, "{number}: {told}");
    }
    assert!(alice.echoes());
}

#[test]
fn what_was_typed_before_leaving_is_said() {
    let (server, config) = stage();
    let mut alice = Terminal::register(&server, "alice", config.path());
    for number in 0..100 {
        alice.types(&format!("{number};{ENTER}"));
    }
    alice.types(CTRL_D);
    assert_eq!(alice.ended().code(), Some(0), "{}", alice.screen());
    assert_eq!(server.history().lines().count(), 100);
}

#[test]
fn who_leaves_in_the_middle_of_much_talk_has_seen_it_without_a_gap() {
    let server = Server::start(&UNSYNCED);
    let config = tempfile::TempDir::new().unwrap();
    let mut alice = Terminal::register(&server, "alice", config.path());
    let mut bot = server.register("bot");
    let lines: String = (0..20_000).map(|number| format!("talk {number};\n")).collect();
    let talker = std::thread::spawn(move || {
        bot.send_raw(lines.as_bytes());
        bot.until("bot: talk 19999;");
    });
    alice.waits_for("some talk", |screen| screen.contains("talk "));
    alice.types(CTRL_D);
    assert_eq!(alice.ended().code(), Some(0));
    talker.join().unwrap();
    let written = String::from_utf8(alice.written()).unwrap();
    let numbers: Vec<usize> = written
        .match_indices("talk ")
        .filter_map(|(at, word)| written[at + word.len()..].split_once(';')?.0.parse().ok())
        .collect();
    for (expected, number) in numbers.iter().enumerate() {
        assert_eq!(*number, expected);
    }
}

#[test]
fn the_terminal_is_given_back_as_it_was() {
    let (server, config) = stage();
    let line =
        format!("stty -a > before; {CHINWAG} --register --user alice {}; stty -a > after", server.address);
    let line = format!("cd {}; {line}", config.path().display());
    let environment = [("CHINWAG_PASSWORD", PASSWORD)];
    let mut terminal = Terminal::run("sh", &["-c", &line], &environment, config.path());
    terminal.shows("* welcome alice");
    terminal.types(CTRL_D);
    assert!(terminal.ended().success());
    let read = |name: &str| fs::read_to_string(config.path().join(name)).unwrap();
    assert!(read("before").contains(" echo "), "{}", read("before"));
    assert_eq!(read("after"), read("before"));
    // Nor does it go on marking what is pasted.
    assert_eq!(terminal.count("\x1b[?2004h"), terminal.count("\x1b[?2004l"));
}

#[test]
fn the_terminal_is_given_back_whatever_signal_ends_it() {
    let (server, config) = stage();
    drop(server.register("alice"));
    for (signal, password) in [("TERM", true), ("HUP", true), ("QUIT", true), ("INT", true), ("TERM", false)]
    {
        // The shell outlives it, and shows the mode.
        let line = format!(
            "stty -a > before; {CHINWAG} --user alice {}; echo it ended with $?; stty -a > after",
            server.address
        );
        let line = format!("cd {}; {line}", config.path().display());
        let environment: &[(&str, &str)] = if password { &[("CHINWAG_PASSWORD", PASSWORD)] } else { &[] };
        let _ = fs::remove_dir_all(config.path().join("chinwag"));
        let mut terminal = Terminal::run("bash", &["-c", &line], environment, config.path());
        match password {
            true => terminal.last_line_is(">"),
            false => terminal.shows("password of alice:"),
        }
        wait_for("a silent terminal", || (!terminal.echoes()).then_some(()));
        // Of the two, the client is the child.
        let children = run(std::process::Command::new("pgrep").args(["-P", &terminal.id().to_string()])).1;
        let kill = ["-s", signal, children.trim()];
        assert_eq!(run(std::process::Command::new("kill").args(kill)).0, Some(0), "{children}");
        // The line editor takes an interrupt for the wish to leave.
        terminal.shows(if signal == "INT" { "it ended with 0" } else { "it ended with 1" });
        terminal.ended();
        let read = |name: &str| fs::read_to_string(config.path().join(name)).unwrap();
        assert!(read("before").contains(" echo "), "{}", read("before"));
        assert_eq!(read("after"), read("before"), "after {signal}");
        assert!(terminal.written().ends_with(b"\r\n"));
        let last = |mode: &str| String::from_utf8_lossy(&terminal.written()).rfind(mode);
        assert!(last("\x1b[?2004l") > last("\x1b[?2004h"), "after {signal} it still marks what is pasted");
    }
}

#[test]
fn a_terminal_that_can_do_nothing_is_given_back_too() {
    let (server, config) = stage();
    let line = format!("{CHINWAG} --user alice {}; echo it ended with $?; stty -a", server.address);
    let mut terminal = Terminal::run("bash", &["-c", &line], &[("TERM", "dumb")], config.path());
    terminal.shows("password of alice:");
    wait_for("hidden input", || (!terminal.echoes()).then_some(()));
    terminal.types(CTRL_C);
    terminal.shows("it ended with 1");
    terminal.ended();
    assert!(terminal.screen().contains(" echo "), "{}", terminal.screen());
}

#[test]
fn it_can_be_put_aside_and_taken_up_again() {
    if !is_there("bash") {
        return;
    }
    let (server, config) = stage();
    let mut bob = server.register("bob");
    let environment = [("CHINWAG_PASSWORD", PASSWORD), ("PS1", "prompt: ")];
    let mut shell = Terminal::run("bash", &["--norc", "--noediting", "-i"], &environment, config.path());
    shell.shows("prompt: ");
    shell.types(&format!("{CHINWAG} --register --user alice {}\n", server.address));
    shell.shows("* welcome alice");
    shell.types("half a li");
    shell.last_line_is("> half a li");
    shell.types("\x1a");
    shell.shows("Stopped");
    assert!(shell.echoes());
    bob.say("bob", "meanwhile");
    shell.types("fg\n");
    shell.shows("bob: meanwhile");
    shell.last_line_is("> half a li");
    shell.types(&format!("ne{ENTER}"));
    bob.expect_message("alice: half a line");
    shell.shows("alice: half a line");
    shell.types(CTRL_D);
    bob.send("/quit");
    shell.last_line_is("prompt: ");
    shell.types("exit\n");
    shell.ended();
}
