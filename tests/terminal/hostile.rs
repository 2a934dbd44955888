//! A server that means harm: all that it can do is to say something.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::common::*;
use crate::screen::*;

/// What a terminal would obey, or what would hide. None of the sequences is one that the client itself writes.
const HARM: [&str; 24] = [
    "\x1b[2J",
    "\x1b[41m",
    "\x1b[3;3H",
    "\x1b[6n",
    "\x1b]0;title\x07",
    "\x1b]52;c;aGk=\x1b\\",
    "\x1bP$q\x1b\\",
    "\x1bc",
    "\x1b[?1049h",
    "\x1b_apc\x1b\\",
    "\x1b",
    "\u{9b}2J",
    "\u{9d}0;x\u{9c}",
    "\u{85}",
    "\x07",
    "\x08",
    "\r",
    "\x0b",
    "\x0e",
    "\x7f",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{2028}",
];

/// All that was written is text, and what the client itself does: colours, and moving about while a line is edited.
fn assert_is_the_clients_own(written: &[u8]) {
    let text = std::str::from_utf8(written).expect("only text is written");
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\x1b' {
            // What shows nothing and writing systems need, such as the word break U+200B, is a part of texts.
            let hides = matches!(character,
                '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fff9}'..='\u{fffb}');
            // It rings for a private message, before its line.
            let rings = character == '\x07' && rest.as_str().starts_with("\x1b[2m");
            let is_fine = matches!(character, '\n' | '\r' | '\t') || !(hides || character.is_control());
            let is_fine = is_fine || rings;
            assert!(is_fine, "{character:?} before {:?}", rest.as_str().chars().take(40).collect::<String>());
            continue;
        }
        let sequence: String = rest.as_str().chars().take(12).collect();
        assert_eq!(rest.next(), Some('['), "{sequence:?}");
        let end = rest.as_str().find(|it: char| it.is_ascii_alphabetic()).expect("a sequence ends");
        let (parameters, kind) = (&rest.as_str()[..end], &rest.as_str()[end..=end]);
        let numbers: Vec<&str> = parameters.split(';').collect();
        let is_own = match kind {
            "m" => {
                matches!(&numbers[..], ["0" | "1" | "2" | "31"] | ["1", "35" | "7"])
                    || matches!(&numbers[..], ["38", "5", _] | ["1", "38", "5", _])
            }
            "A" | "B" | "C" | "D" => parameters.bytes().all(|byte| byte.is_ascii_digit()),
            "J" | "K" => parameters.is_empty(),
            "h" | "l" => matches!(parameters, "?2004" | "?2026"),
            _ => false,
        };
        assert!(is_own, "{sequence:?}");
        rest = rest.as_str()[end + 1..].chars();
    }
}

/// Every kind of line with harm in it, and lines of which none is right.
fn harmful_lines() -> Vec<u8> {
    let mut lines = Vec::new();
    let mut number = 0;
    for harm in HARM {
        for start in [
            "",
            "* ",
            "! ",
            "! code: ",
            "* users: ",
            "* replay ",
            "* end of history",
            "* bye",
            "* welcome ",
            "STAMP bob: ",
            "STAMP bob -> alice: ",
            "STAMP bob: /me ",
            "STAMP ",
            "STAMP bob",
            "STAMP b",
        ] {
            number += 1;
            let stamp = format!("2026-01-01T00:00:00.{number:06}Z");
            lines.extend_from_slice(format!("{}{harm}x\n", start.replace("STAMP", &stamp)).as_bytes());
        }
        lines
            .extend_from_slice(format!("* {harm} joined\n* 3{harm} online\n* bob, {harm} left\n").as_bytes());
    }
    lines.extend_from_slice(b"* \xff\xfe\x80\xc3\n2026-01-01T00:00:01.000000Z bob: \xe2\x80 \xf0\x9f\xa6\n");
    lines.extend_from_slice(
        b"2026-99-99T99:99:99.999999Z bob: no time\n2026-01-01T00:00:01.000001Z : nobody\n",
    );
    lines.extend_from_slice(b"\n\n* \n! \n*\n!\n:\n -> : \n\0\0\0\n* \0\n");
    lines.extend_from_slice(&[b'x'; 100_000]);
    lines.extend_from_slice(b"\n* ");
    lines.extend_from_slice(&b"\x1b[41m".repeat(20_000));
    lines.push(b'\n');
    lines
}

#[test]
fn nothing_in_any_kind_of_line_is_more_than_text() {
    let mut played = Played::start();
    played.server.send("* welcome alice\n* 1 online\n* end of history");
    played.terminal.last_line_is(">");
    played.terminal.types("half a li");
    played.server.send_raw(&harmful_lines());
    played.server.send("2026-01-02T00:00:00.000001Z bob: the end");
    played.terminal.shows("bob: the end");
    played.terminal.last_line_is("> half a li");
    assert_is_the_clients_own(&played.terminal.written());
}

#[test]
fn no_text_looks_like_a_line_of_its_own() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    let mut bob = server.register("bob");
    alice.shows("* bob joined");
    for columns in [80, 57, 33] {
        alice.resizes(columns);
        alice.types("\x0c");
        alice.last_line_is(">");
        let head = "12:34 bob: ".len();
        let room = usize::from(columns) - head;
        for forged in ["09:30 carol -> alice: psst", "* carol left", "! offline: no", "--- Monday"] {
            // Narrow and wide padding, marks, and symbols that terminals do not agree about.
            let wide = "\u{6f22}".repeat(room / 2) + &"x".repeat(room % 2);
            let marks = format!("{}{}", "e\u{301}".repeat(2), "x".repeat(room - 2));
            for padding in [&*"x".repeat(room), &wide, &marks, &"x".repeat(room + usize::from(columns))] {
                bob.send(&format!("{padding}{forged}"));
            }
        }
        bob.send(&format!("done at {columns}"));
        alice.shows(&format!("bob: done at {columns}"));
        for row in alice.screen().lines() {
            let begins = |start: &str| row.starts_with(start);
            let is_row = begins("      ") || row.get(5..10) == Some(" bob:") || row.trim_end() == ">";
            assert!(is_row, "{row:?} at {columns}:\n{}", alice.screen());
        }
    }
}

#[test]
fn nothing_that_is_said_before_the_login_is_more_than_text() {
    for first in ["* hello", "! server-full: ", "2026-01-01T00:00:00.000001Z bob: ", "* welcome "] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = TempDir::new().unwrap();
        let start = Start {
            server: listener.local_addr().unwrap(),
            flags: &[],
            environment: &[],
            config: config.path(),
        };
        let mut terminal = Terminal::start(start);
        let mut server = Client::over(listener.accept().unwrap().0);
        server.send("* chinwag 0.2.0: a chat");
        terminal.shows("[l/r]");
        for harm in HARM {
            server.send(&format!("{first}{harm}{first}x"));
        }
        terminal.enters("l");
        terminal.shows("name:");
        terminal.enters("alice");
        terminal.shows("password of alice:");
        terminal.enters_hidden(PASSWORD);
        server.expect(&format!("/login alice {PASSWORD}"));
        server.send("! bad-login: \x1b[41mno\x07\n");
        terminal.shows("bad-login");
        terminal.types(CTRL_D);
        drop(server);
        terminal.types(CTRL_D);
        let _ = terminal.ended();
        assert_is_the_clients_own(&terminal.written());
    }
}

#[test]
fn nothing_that_another_kind_of_server_says_is_more_than_text() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for harm in HARM {
        let config = TempDir::new().unwrap();
        let server = listener.local_addr().unwrap();
        let mut terminal = Terminal::start(Start {
            server,
            flags: &["--user", "alice"],
            environment: &[("CHINWAG_PASSWORD", PASSWORD)],
            config: config.path(),
        });
        let mut server = Client::over(listener.accept().unwrap().0);
        server.send(&format!("SSH-2.0-{harm}x"));
        terminal.shows("chinwag: that is not a chinwag server; it says: SSH-2.0-");
        assert_eq!(terminal.ended().code(), Some(1));
        assert!(terminal.echoes());
        assert_is_the_clients_own(&terminal.written());
        assert_eq!(server.next(), None, "it was sent nothing");
    }
}

#[test]
fn nothing_that_a_script_prints_is_more_than_text() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = TempDir::new().unwrap();
    let mut command = Command::new(CHINWAG);
    command.args(["--user", "alice"]).arg(listener.local_addr().unwrap().to_string());
    command.env("XDG_CONFIG_HOME", config.path()).env("CHINWAG_PASSWORD", PASSWORD);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let client = command.spawn().unwrap();
    let mut server = Client::over(listener.accept().unwrap().0);
    server.send("* chinwag 0.1.0: a chat");
    server.expect(&format!("/login alice {PASSWORD}"));
    server.send("* welcome alice\n* 1 online\n* end of history");
    server.send_raw(&harmful_lines());
    server.stream().flush().unwrap();
    drop(server);
    let outcome = client.wait_with_output().unwrap();
    assert!(outcome.stdout.len() > 10_000, "{}", outcome.stdout.len());
    for written in [outcome.stdout, outcome.stderr] {
        assert!(!written.contains(&0x1b) && !written.contains(&b'\r'));
        assert_is_the_clients_own(&written);
    }
}
