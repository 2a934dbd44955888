//! Talking: what appears, and what can be typed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::common::*;
use crate::screen::*;

#[test]
fn two_clients_and_an_nc_talk_with_each_other() {
    if !can_half_close() {
        return;
    }
    let (server, config) = stage();
    let (alice, bob) = (
        Terminal::register(&server, "alice", config.path()),
        Terminal::register(&server, "bob", config.path()),
    );
    alice.enters("hello from alice");
    bob.shows("alice: hello from alice");
    bob.enters("hello from bob");
    alice.shows("bob: hello from bob");
    let script = format!("/register carol {PASSWORD}\nhello from nc\n/msg alice psst\n/quit\n");
    let mut nc = Command::new("nc");
    nc.args(["-N", "127.0.0.1", &server.port()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut nc = nc.spawn().unwrap();
    std::io::Write::write_all(&mut nc.stdin.take().unwrap(), script.as_bytes()).unwrap();
    let printed = String::from_utf8(nc.wait_with_output().unwrap().stdout).unwrap();
    assert!(
        printed.contains(" alice: hello from alice\n") && printed.contains(" bob: hello from bob\n"),
        "{printed}"
    );
    alice.shows("carol: hello from nc");
    alice.shows("[private] carol -> alice: psst");
    bob.shows("carol: hello from nc");
    assert!(!bob.screen().contains("psst"));
    // What one says stands on the screen once, as the server has it.
    assert_eq!(alice.screen().matches("hello from alice").count(), 1, "{}", alice.screen());
}

#[test]
fn a_burst_of_20000_lines_does_not_disturb_the_line_being_typed() {
    const LINES: usize = 20_000;
    let server = Server::start(&UNSYNCED);
    let config = TempDir::new().unwrap();
    let alice = Terminal::register(&server, "alice", config.path());
    let mut bot = server.register("bot");
    alice.types("half a li");
    alice.last_line_is("> half a li");
    for packet in 0..LINES / 100 {
        let lines: String = (0..100).map(|number| format!("burst {};\n", packet * 100 + number)).collect();
        bot.send_raw(lines.as_bytes());
        if packet == LINES / 200 {
            alice.types("ne, and ");
        }
        for _ in 0..100 {
            bot.line();
        }
    }
    alice.types("the rest");
    alice.shows(&format!("bot: burst {};", LINES - 1));
    alice.last_line_is("> half a line, and the rest");
    alice.types(ENTER);
    alice.shows("alice: half a line, and the rest");
    assert!(server.history().ends_with(" alice: half a line, and the rest\n"));
    // Each of them appeared, once, in order.
    let written = String::from_utf8_lossy(&alice.written()).into_owned();
    let numbers: Vec<usize> = written
        .match_indices("burst ")
        .filter_map(|(at, word)| written[at + word.len()..].split_once(';')?.0.parse().ok())
        .collect();
    assert_eq!(numbers, (0..LINES).collect::<Vec<_>>());
}

/// A history of two days, and what a newcomer sees of it.
fn two_days(config: &TempDir, zone: &str) -> (Server, Terminal) {
    let data = config.path().join("data");
    fs::create_dir_all(&data).unwrap();
    let log = "2026-03-01T23:50:00.000001Z bob: late\n2026-03-02T00:10:00.000001Z bob: early\n\
               2026-03-02T08:30:00.000001Z bob: morning\n";
    fs::write(data.join("chat_history.txt"), log).unwrap();
    fs::write(data.join("users.txt"), "").unwrap();
    let server = Setup::new(&QUICK).data(&data).start();
    let alice = Terminal::register_with(&server, "alice", config.path(), &[("TZ", zone)]);
    alice.shows("bob: morning");
    (server, alice)
}

#[test]
fn the_time_is_local_and_a_date_stands_where_the_day_changes() {
    let config = TempDir::new().unwrap();
    let (_server, alice) = two_days(&config, "UTC0");
    alice.shows(
        "--- Sunday, 1 March 2026 ---\n23:50 bob: late\n--- Monday, 2 March 2026 ---\n00:10 bob: early\n\
         08:30 bob: morning",
    );
    let config = TempDir::new().unwrap();
    let (_server, alice) = two_days(&config, "JST-9");
    alice.shows("--- Monday, 2 March 2026 ---\n08:50 bob: late\n09:10 bob: early\n17:30 bob: morning");
}

#[test]
fn names_have_colours_private_messages_stand_out_and_ones_own_name_rings() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    let mut bob = server.register("bob");
    let written = |terminal: &Terminal| String::from_utf8_lossy(&terminal.written()).into_owned();
    let bells = |terminal: &Terminal| terminal.written().iter().filter(|byte| **byte == 0x07).count();
    bob.say("bob", "malice and alicex are others");
    alice.shows("are others");
    alice.enters("I am alice");
    alice.shows("alice: I am alice");
    assert_eq!(bells(&alice), 0, "nobody called");
    bob.expect_message("alice: I am alice");
    bob.say("bob", "where is ALICE?");
    alice.shows("where is ALICE?");
    assert_eq!(bells(&alice), 1);
    assert!(written(&alice).contains("\x1b[1;7mALICE\x1b[0m"));
    bob.send("/msg alice psst");
    alice.shows("[private] bob -> alice: psst");
    assert_eq!(bells(&alice), 2);
    assert!(written(&alice).contains("\x1b[1;35m[private]\x1b[0m"));
    let colour = |name: &str| {
        let text = written(&alice);
        let (before, _) = text.split_once(&format!("m{name}\x1b[0m:")).expect("the name has a colour");
        before.rsplit('[').next().unwrap().to_owned()
    };
    assert_ne!(colour("bob"), colour("alice"));
    // Not every two names differ, as there are but twelve; these do.
    let mut carol = server.register("carol");
    carol.send("hi");
    alice.shows("carol: hi");
    assert_ne!(colour("bob"), colour("carol"));
}

#[test]
fn no_bell_and_no_colour_are_respected() {
    let (server, config) = stage();
    let environment = [("CHINWAG_PASSWORD", PASSWORD), ("NO_COLOR", "1")];
    let flags = ["--register", "--user", "alice", "--no-bell"];
    let start =
        Start { server: server.address, flags: &flags, environment: &environment, config: config.path() };
    let alice = Terminal::start(start);
    alice.shows("* welcome alice");
    let mut bob = server.register("bob");
    bob.say("bob", "alice!");
    bob.send("/msg alice psst");
    alice.shows("bob -> alice: psst");
    alice.enters("hi");
    alice.shows("alice: hi");
    let written = String::from_utf8_lossy(&alice.written()).into_owned();
    assert!(!written.contains('\x07'));
    // Select graphic rendition (ECMA-48, 8.3.117) is what colours are made of; moving the cursor is not.
    let sequences = written.split("\x1b[").skip(1);
    let finals: Vec<char> = sequences.filter_map(|it| it.chars().find(char::is_ascii_alphabetic)).collect();
    assert!(!finals.contains(&'m'), "{written:?}");
}

#[test]
fn an_empty_no_color_is_none() {
    let (server, config) = stage();
    let alice = Terminal::register_with(&server, "alice", config.path(), &[("NO_COLOR", "")]);
    alice.enters("hi");
    alice.shows("alice: hi");
    assert!(alice.count("\x1b[1;38;5;") > 0, "{:?}", String::from_utf8(alice.written()));
}

#[test]
fn tab_completes_commands_and_the_names_of_those_who_are_here() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    let mut robert = server.register("Robert");
    alice.shows("* Robert joined");
    alice.types("/his");
    alice.types(TAB);
    alice.last_line_is("> /history");
    alice.types(CTRL_C);
    alice.last_line_is(">");
    alice.types(&format!("/msg ro{TAB}psst"));
    alice.last_line_is("> /msg Robert psst");
    alice.types(ENTER);
    robert.expect_message("alice -> Robert: psst");
    alice.shows("alice -> Robert: psst");
    robert.send("/quit");
    alice.shows("* Robert left");
    alice.types(&format!("hello ro{TAB}"));
    alice.types("x");
    alice.last_line_is("> hello rox");
}

#[test]
fn lines_can_be_recalled_cleared_and_pasted() {
    let (server, config) = stage();
    let mut alice = Terminal::register(&server, "alice", config.path());
    for line in ["one", "two"] {
        alice.enters(line);
        alice.shows(&format!("alice: {line}"));
    }
    alice.types(UP);
    alice.last_line_is("> two");
    alice.types(UP);
    alice.last_line_is("> one");
    alice.types(DOWN);
    alice.last_line_is("> two");
    alice.types(CTRL_C);
    alice.last_line_is(">");
    alice.types("a\rb\rc\rd");
    alice.shows("alice: c");
    alice.last_line_is("> d");
    assert!(server.history().ends_with(" alice: c\n"));
    let texts: Vec<String> =
        server.history().lines().filter_map(|line| text_of(line).map(str::to_owned)).collect();
    assert_eq!(texts, ["alice: one", "alice: two", "alice: a", "alice: b", "alice: c"]);
    // With something typed it deletes; on an empty line it leaves.
    alice.types(CTRL_D);
    alice.types(CTRL_C);
    alice.last_line_is(">");
    alice.types(CTRL_D);
    assert_eq!(alice.ended().code(), Some(0));
    server.logged(&["closed: quit", "alice"]);
}

#[test]
fn a_line_over_several_rows_is_taken_off_the_screen_when_it_is_said() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    alice.enters("before");
    alice.shows("alice: before");
    for length in [76, 77, 78, 79, 157, 158, 159, 240] {
        let text = "x".repeat(length);
        alice.enters(&text);
        let in_rows = |screen: &str| joined(screen).replace('\n', "");
        alice.waits_for("the line, once", |screen| {
            in_rows(screen).matches(&format!("alice: {text}")).count() == 1
        });
        alice.last_line_is(">");
        assert!(alice.screen().contains("alice: before"), "{length}: {}", alice.screen());
        assert_eq!(in_rows(&alice.screen()).matches(&format!("> {text}")).count(), 0, "{}", alice.screen());
        alice.enters("/me cleans up");
        alice.shows("* alice cleans up");
        // Room for the next one.
        alice.types("\x0c");
        alice.last_line_is(">");
        alice.enters("before");
        alice.shows("alice: before");
    }
}

#[test]
fn the_clients_own_commands_work() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    let mut bob = server.register("bob");
    alice.enters("/help");
    alice.shows("anything else is a message, to everyone or where /to says");
    // The list is longer than the screen.
    let list = String::from_utf8(alice.written()).unwrap();
    for command in ["/reply TEXT", "/me TEXT", "/ignore NAME", "/unignore NAME", "/history N before TIME"] {
        assert!(list.contains(command), "{command} is not listed");
    }
    alice.enters("/me waves");
    bob.expect_message("alice: /me waves");
    alice.shows("* alice waves");
    alice.enters("/reply hi");
    alice.shows("! nobody-wrote");
    bob.send("/msg alice psst");
    bob.expect_message("bob -> alice: psst");
    alice.shows("bob -> alice: psst");
    alice.types("/reply ");
    alice.last_line_is("> /msg bob");
    alice.enters("hi bob");
    bob.expect_message("alice -> bob: hi bob");
    alice.enters("/nonsense");
    alice.shows("! unknown-command: there is no /nonsense");
    alice.enters("/users");
    alice.shows("2 online: alice bob");
}

#[test]
fn who_is_ignored_stays_so_the_next_time() {
    let (server, config) = stage();
    let mut bob = server.register("bob");
    let mut alice = Terminal::register(&server, "alice", config.path());
    alice.enters("/ignore bob");
    alice.shows("* bob is ignored from now on");
    bob.say("bob", "first");
    alice.enters("after the first");
    alice.shows("alice: after the first");
    assert!(!alice.screen().contains("bob: first"));
    let file = config.path().join("chinwag/ignored");
    assert_eq!(fs::read_to_string(&file).unwrap(), "bob\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    alice.types(CTRL_D);
    assert_eq!(alice.ended().code(), Some(0));
    bob.expect_message("alice: after the first");
    let environment = [("CHINWAG_PASSWORD", PASSWORD)];
    let flags = ["--user", "alice"];
    let start =
        Start { server: server.address, flags: &flags, environment: &environment, config: config.path() };
    let again = Terminal::start(start);
    again.shows("* welcome alice");
    bob.say("bob", "second");
    again.enters("after the second");
    again.shows("alice: after the second");
    assert!(!again.screen().contains("bob: second"));
    again.enters("/unignore bob");
    again.shows("* bob is heard again");
    bob.send("third");
    again.shows("bob: third");
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
}

#[test]
fn a_new_password_is_asked_for_so_that_nobody_sees_it() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    alice.enters("/passwd");
    alice.shows("old password:");
    alice.enters_hidden(PASSWORD);
    alice.shows("new password:");
    alice.enters_hidden("battery-staple");
    alice.shows("and once more:");
    alice.enters_hidden("battery-staple");
    alice.shows("* password changed");
    let written = String::from_utf8_lossy(&alice.written()).into_owned();
    assert!(!written.contains("battery-staple") && !written.contains(PASSWORD));
    let mut other = server.connect();
    other.send("/login alice battery-staple");
    other.expect("* welcome alice");
}

#[test]
fn nothing_that_a_server_sends_reaches_the_terminal_as_a_control_sequence() {
    let Played { terminal: alice, mut server, .. } = Played::start();
    server.send("* welcome alice");
    server.expect("/users");
    server.send("* 1 online\n* end of history");
    for hostile in
        ["\x1b[31mESC", "\x1b]0;OSC\x07", "\u{9b}31mC1", "\u{202e}bidi", "\rCR", "\x08BS", "\x0eSO"]
    {
        for start in ["", "* ", "! ", "! code: ", "* users: ", "2026-01-01T00:00:00.000001Z bob: "] {
            server.send(&format!("{start}{hostile}"));
        }
        server.send(&format!("2026-01-01T00:00:00.000001Z {hostile}: x"));
        server.send(&format!("* {hostile} joined"));
    }
    server.send_raw(b"* \xff\xfe\x80 invalid\n");
    server.send(&"x".repeat(100_000));
    server.send("2026-01-02T00:00:00.000001Z bob: the end");
    alice.shows("bob: the end");
    let written = alice.written();
    let text = String::from_utf8(written).expect("only text is written");
    for what in ["\x1b[31mESC", "\x1b]0", "\x07", "\u{9b}", "\u{202e}", "\rCR", "\x08BS", "\x0e"] {
        assert!(!text.contains(what), "{what:?}");
    }
    // What is left of escape sequences is the client's own: colours, and moving about.
    for sequence in text.split('\x1b').skip(1) {
        assert!(sequence.starts_with('['), "{sequence:?}");
    }
}
