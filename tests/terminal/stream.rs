//! In the places of a shell: before a pipe, behind one, at a file, and at a terminal on one side only.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::common::*;
use crate::screen::*;

/// Runs a line of shell, in which `$CHINWAG` is the client and its server.
fn shell(server: &Server, line: &str, config: &TempDir) -> (Option<i32>, String, String) {
    let mut command = Command::new("sh");
    command.args(["-c", &line.replace("CHINWAG", &format!("{CHINWAG} {}", server.address))]);
    command.env("XDG_CONFIG_HOME", config.path()).env("CHINWAG_PASSWORD", PASSWORD).env("TERM", "xterm");
    command.current_dir(config.path());
    run(&mut command)
}

#[test]
fn a_line_can_be_said_by_echo() {
    let (server, config) = stage();
    let (code, out, err) = shell(&server, "echo hi | CHINWAG --register --user alice", &config);
    assert_eq!((code, &*err), (Some(0), ""));
    let lines: Vec<&str> = out.lines().map(|line| text_of(line).unwrap_or(line)).collect();
    assert_eq!(lines, ["* welcome alice", "alice: hi", "* bye"]);
    // Bytes as they came over the wire.
    assert!(out.contains(&server.history()), "{out}");
    let (code, out, _) = shell(&server, "echo hi again | CHINWAG --user alice | cat", &config);
    assert_eq!(code, Some(0));
    assert!(out.contains(&server.history().lines().last().unwrap().to_owned()), "{out}");
    assert!(!out.contains('\x1b') && !out.contains('\r') && !out.contains("> "), "{out:?}");
}

#[test]
fn a_file_can_be_said_and_an_empty_one_is_nothing() {
    let (server, config) = stage();
    fs::write(config.path().join("report"), "one\r\n\n  two\n/history 1\nthree").unwrap();
    let (code, out, err) = shell(&server, "CHINWAG --register --user alice < report", &config);
    assert_eq!((code, &*err), (Some(0), ""));
    let texts: Vec<&str> = out.lines().map(|line| text_of(line).unwrap_or(line)).collect();
    let expected = [
        "* welcome alice",
        "alice: one",
        "alice:   two",
        "alice:   two",
        "* end of history",
        "alice: three",
        "* bye",
    ];
    assert_eq!(texts, expected);
    let (code, out, err) = shell(&server, "CHINWAG --user alice < /dev/null", &config);
    assert_eq!((code, &*err), (Some(0), ""));
    assert!(out.contains("* welcome alice\n"), "{out}");
    let (code, _, err) = shell(&server, "CHINWAG --user alice <&-", &config);
    assert_eq!((code, &*err), (Some(0), ""));
}

#[test]
fn a_script_may_say_goodbye_itself() {
    let (server, config) = stage();
    let line = "printf 'hello\\n/quit\\n' | CHINWAG --register --user alice";
    let (code, out, err) = shell(&server, line, &config);
    assert_eq!((code, &*err), (Some(0), ""), "{out}");
    assert!(out.ends_with("* bye\n"), "{out}");
    // What comes after it is not lost in silence.
    let line = "printf 'hello\\n/quit\\nmore\\n' | CHINWAG --user alice";
    let (code, _, err) = shell(&server, line, &config);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("more"), "{err}");
    assert!(!server.history().contains("more"));
}

#[test]
fn what_is_no_line_for_a_chat_is_refused_and_the_rest_is_said() {
    let (server, config) = stage();
    let long = "y".repeat(5000);
    fs::write(config.path().join("report"), format!("one\n{long}\ntwo\n/nonsense\n/msg alice\nthree\n"))
        .unwrap();
    let (code, _, err) = shell(&server, "CHINWAG --register --user alice < report", &config);
    assert_eq!(code, Some(1));
    assert!(err.contains("line-too-long") && err.contains("unknown-command"), "{err}");
    let texts: Vec<String> =
        server.history().lines().filter_map(|line| text_of(line).map(str::to_owned)).collect();
    assert_eq!(texts, ["alice: one", "alice: two", "alice: three"]);
}

#[test]
fn input_that_is_no_text_is_said_with_marks_in_place_of_what_it_is_not() {
    let (server, config) = stage();
    fs::write(config.path().join("report"), b"a\xff\xfeb\x1b[31mc\0d\n").unwrap();
    let (code, out, err) = shell(&server, "CHINWAG --register --user alice < report", &config);
    assert_eq!((code, &*err), (Some(0), ""));
    assert!(!out.contains('\x1b'), "{out:?}");
    let history = server.history();
    let text = text_of(history.trim_end()).unwrap();
    assert_eq!(text.replace('\u{fffd}', ""), "alice: ab[31mcd");
}

#[test]
fn a_server_that_dies_in_the_middle_is_told_with_what_it_did_not_acknowledge() {
    let (server, config) = stage();
    let mut command = Command::new(CHINWAG);
    command.args(["--register", "--user", "bot"]).arg(server.address.to_string());
    command.env("XDG_CONFIG_HOME", config.path()).env("CHINWAG_PASSWORD", PASSWORD);
    let out = config.path().join("out");
    command.stdin(Stdio::piped()).stdout(fs::File::create(&out).unwrap()).stderr(Stdio::piped());
    let mut client = command.spawn().unwrap();
    let mut input = client.stdin.take().unwrap();
    input.write_all(b"first\n").unwrap();
    wait_for("the receipt", || fs::read_to_string(&out).unwrap().contains("bot: first").then_some(()));
    server.signal("STOP");
    input.write_all(b"second\nthird\n").unwrap();
    drop(input);
    // Both are on their way: the socket of the stopped server holds them.
    wait_for("the lines on their way", || (waiting_bytes(&server) >= "second\nthird\n".len()).then_some(()));
    let stopped = server.kill();
    let outcome = client.wait_with_output().unwrap();
    assert_eq!(outcome.status.code(), Some(1));
    let said = String::from_utf8(outcome.stderr).unwrap();
    assert!(said.contains("not acknowledged: second") && said.contains("not acknowledged: third"), "{said}");
    assert!(!said.contains("first"), "{said}");
    assert!(!stopped.start(&QUICK).history().contains("second"));
}

/// Bytes that wait to be read by a server, of all its connections (`/proc/net/tcp`, see proc_pid_net(5)).
pub fn waiting_bytes(server: &Server) -> usize {
    let address = format!("0100007F:{:04X}", server.address.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let queues = table.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _remote, state, queues) = (words.next()?, words.next()?, words.next()?, words.next()?);
        // Established.
        let queue = (local == address && state == "01").then(|| queues.split_once(':')).flatten()?;
        usize::from_str_radix(queue.1, 16).ok()
    });
    queues.sum()
}

#[test]
fn at_a_terminal_with_a_pipe_behind_it_prints_plain_lines() {
    let (server, config) = stage();
    let out = config.path().join("out");
    let environment = [("CHINWAG_PASSWORD", PASSWORD)];
    let line = format!(
        "{CHINWAG} --register --user alice {} > {}; echo it ended with $?",
        server.address,
        out.display()
    );
    let mut terminal = Terminal::run("sh", &["-c", &line], &environment, config.path());
    wait_for("the way in", || {
        fs::read_to_string(&out).is_ok_and(|out| out.contains("* welcome alice\n")).then_some(())
    });
    terminal.enters("hello");
    wait_for("the line", || server.history().contains("alice: hello").then_some(()));
    terminal.types(CTRL_D);
    terminal.shows("it ended with 0");
    assert!(terminal.ended().success());
    let printed = fs::read_to_string(&out).unwrap();
    assert!(printed.contains(&server.history()) && !printed.contains('\x1b'), "{printed:?}");
}

#[test]
fn with_a_pipe_before_it_at_a_terminal_it_prints_plain_lines() {
    let (server, config) = stage();
    let environment = [("CHINWAG_PASSWORD", PASSWORD)];
    let line =
        format!("echo hello | {CHINWAG} --register --user alice {}; echo it ended with $?", server.address);
    let mut terminal = Terminal::run("sh", &["-c", &line], &environment, config.path());
    terminal.shows("it ended with 0");
    assert!(terminal.ended().success());
    assert!(terminal.screen().contains("Z alice: hello"), "{}", terminal.screen());
    assert_eq!(terminal.count("\x1b"), 0);
}

#[test]
fn a_wrong_command_line_is_told_in_one_line() {
    let (server, config) = stage();
    for (flags, word) in [
        ("--bogus", "--bogus"),
        ("--user", "--user"),
        ("--user 7up", "7up"),
        ("--user alice --password correct-horse", "--password"),
        ("--user alice --password=correct-horse", "--password"),
        ("--user alice one two", "one"),
        ("--user alice --password-file /nonexistent", "/nonexistent"),
        ("--user alice --no-bell=yes", "--no-bell"),
        ("--user alice -x", "-x"),
        ("--user alice ''", ""),
    ] {
        let (code, out, err) = shell(&server, &format!("CHINWAG {flags} < /dev/null"), &config);
        assert_eq!(code, Some(2), "{flags}: {err}");
        assert!(
            err.starts_with("chinwag: ") && err.contains(word) && err.lines().count() == 1,
            "{flags}: {err}"
        );
        assert_eq!(out, "", "{flags}");
        assert!(!err.contains("horse"), "{flags}: {err}");
    }
    for flag in ["--help", "--version"] {
        let (code, out, err) = shell(&server, &format!("CHINWAG {flag}"), &config);
        assert_eq!((code, &*err), (Some(0), ""));
        assert!(out.starts_with("chinwag"), "{out}");
    }
}
