//! In scripts: lines in, lines out, and an exit status.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::common::*;
use crate::screen::CHINWAG;

struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs a client with this input to its end.
fn pipe(server: &str, flags: &[&str], input: &str) -> Outcome {
    pipe_with(server, flags, input, &[("CHINWAG_PASSWORD", PASSWORD)])
}

fn pipe_with(server: &str, flags: &[&str], input: &str, environment: &[(&str, &str)]) -> Outcome {
    let files = TempDir::new().unwrap();
    let mut command = Command::new(CHINWAG);
    command.args(flags).arg(server).env("XDG_CONFIG_HOME", files.path()).env("TERM", "xterm-256color");
    command.env_remove("CHINWAG_PASSWORD").envs(environment.iter().copied());
    let (out, err) = (files.path().join("out"), files.path().join("err"));
    command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
    let file = files.path().join("input");
    fs::write(&file, input).unwrap();
    command.stdin(fs::File::open(file).unwrap());
    let code = Process::start(&mut command).wait().code();
    let read = |path| String::from_utf8(fs::read(path).unwrap()).unwrap();
    Outcome { code, out: read(out), err: read(err) }
}

const NEW_BOT: [&str; 3] = ["--register", "--user", "bot"];
const BOT: [&str; 2] = ["--user", "bot"];

#[test]
fn it_prints_plain_lines_and_ends_well_once_everything_is_acknowledged() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    let outcome =
        pipe(&server.address.to_string(), &NEW_BOT, "hello\n/msg alice psst\nno newline at the end");
    assert_eq!((outcome.code, &*outcome.err), (Some(0), ""));
    alice.expect_message("bot: hello");
    alice.expect_message("bot -> alice: psst");
    alice.expect_message("bot: no newline at the end");
    assert!(!outcome.out.contains('\x1b') && !outcome.out.contains("\n> "), "{}", outcome.out);
    let texts: Vec<&str> = outcome.out.lines().map(|line| text_of(line).unwrap_or(line)).collect();
    let said: Vec<&&str> = texts.iter().filter(|line| line.starts_with("bot")).collect();
    assert_eq!(said, [&"bot: hello", &"bot -> alice: psst", &"bot: no newline at the end"]);
    assert!(outcome.out.contains("* welcome bot\n") && outcome.out.ends_with("* bye\n"), "{}", outcome.out);
}

#[test]
fn thousands_of_lines_are_all_acknowledged_in_order() {
    let server = Server::start(&UNSYNCED);
    let input: String = (0..3000).map(|number| format!("line {number}\n")).collect();
    let outcome = pipe(&server.address.to_string(), &NEW_BOT, &input);
    assert_eq!((outcome.code, &*outcome.err), (Some(0), ""));
    let stored: Vec<String> =
        server.history().lines().map(|line| text_of(line).unwrap().replace("bot: ", "")).collect();
    assert_eq!(stored.join("\n") + "\n", input);
}

#[test]
fn a_rate_delays_a_script_and_loses_nothing() {
    let server = Server::start(&["--kdf-rounds", "1", "--per-address", "off", "--rate", "10"]);
    // Longer than a goodbye is waited for.
    let input: String = (0..50).map(|number| format!("line {number}\n")).collect();
    let outcome = pipe(&server.address.to_string(), &NEW_BOT, &input);
    assert_eq!((outcome.code, &*outcome.err), (Some(0), ""));
    assert_eq!(server.history().lines().count(), 50);
}

#[test]
fn a_line_that_was_not_taken_is_told_and_shows_in_the_status() {
    let server = Server::start(&QUICK);
    let outcome = pipe(&server.address.to_string(), &NEW_BOT, "one\n/msg nobody hi\n/nonsense\ntwo\n");
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.err.contains("not taken: no-such-user: nobody is called nobody: /msg nobody hi"),
        "{}",
        outcome.err
    );
    assert!(outcome.err.contains("not taken: unknown-command"), "{}", outcome.err);
    assert!(outcome.err.ends_with("chinwag: 2 lines were not taken\n"), "{}", outcome.err);
    assert!(server.history().ends_with(" bot: two\n"), "the others are said all the same");
}

#[test]
fn what_keeps_it_from_talking_is_told_in_a_line() {
    let server = Server::start(&QUICK);
    drop(server.register("bot"));
    let address = server.address.to_string();
    let check = |outcome: Outcome, code: i32, words: &str| {
        assert_eq!(outcome.code, Some(code), "{words}: {}", outcome.err);
        assert!(outcome.err.starts_with("chinwag: ") && outcome.err.contains(words), "{}", outcome.err);
        assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
    };
    let wrong = [("CHINWAG_PASSWORD", "wrong-horse")];
    check(pipe_with(&address, &BOT, "hi\n", &wrong), 1, "bad-login: wrong name or password");
    check(pipe_with(&address, &BOT, "hi\n", &[]), 2, "CHINWAG_PASSWORD or --password-file");
    check(pipe(&address, &[], "hi\n"), 2, "--user NAME is needed");
    check(pipe(&address, &["--bogus"], "hi\n"), 2, "--bogus: unknown flag");
    check(pipe(&address, &["--user", "bot", "--password-file", "/nonexistent"], ""), 2, "/nonexistent");
    check(pipe(&address, &NEW_BOT, "hi\n"), 1, "name-taken");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    check(pipe(&nobody, &BOT, "hi\n"), 1, "refused");
    assert!(!server.history().contains("hi"));
}

#[test]
fn another_kind_of_server_is_recognised() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n").unwrap();
        stream
    });
    let outcome = pipe(&address, &BOT, "hi\n");
    drop(other.join().unwrap());
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.err, "chinwag: that is not a chinwag server; it says: SSH-2.0-OpenSSH_9.2p1\n");
}

#[test]
fn a_server_that_waits_for_the_first_word_is_told_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let other = std::thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).map(|_| received)
    });
    let outcome = pipe(&address, &BOT, "hi\n");
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.err, "chinwag: no greeting within 10 s; is it a chinwag server?\n");
    assert_eq!(other.join().unwrap().unwrap(), b"");
}

#[test]
fn a_server_that_goes_ends_a_script_with_a_reason() {
    let server = Server::start(&QUICK);
    let config = TempDir::new().unwrap();
    let mut command = Command::new(CHINWAG);
    command.args(NEW_BOT).arg(server.address.to_string());
    command.env("XDG_CONFIG_HOME", config.path()).env("CHINWAG_PASSWORD", PASSWORD);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut client = command.spawn().unwrap();
    let mut input = client.stdin.take().unwrap();
    input.write_all(b"hello\n").unwrap();
    wait_for("the line", || server.history().contains("bot: hello").then_some(()));
    let _stopped = server.kill();
    let outcome = client.wait_with_output().unwrap();
    assert_eq!(outcome.status.code(), Some(1));
    let said = String::from_utf8(outcome.stderr).unwrap();
    assert!(said.starts_with("chinwag: ") && said.contains("closed it"), "{said}");
}

#[test]
fn who_reads_no_further_ends_it_quietly() {
    let server = Server::start(&QUICK);
    let config = TempDir::new().unwrap();
    let mut command = Command::new(CHINWAG);
    command.args(NEW_BOT).arg(server.address.to_string());
    command.env("XDG_CONFIG_HOME", config.path()).env("CHINWAG_PASSWORD", PASSWORD);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = command.spawn().unwrap();
    drop(client.stdout.take());
    let mut input = client.stdin.take().unwrap();
    // It may be gone already.
    let _ = input.write_all(b"hello\n");
    let outcome = client.wait_with_output().unwrap();
    assert_eq!(outcome.status.code(), Some(1));
    assert_eq!(String::from_utf8(outcome.stderr).unwrap(), "");
}
