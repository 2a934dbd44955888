//! Disks that do not do as they are told: full, slow, failing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::*;
use crate::faults::check;

/// Lets the limit on the size of files of a process be this.
fn limit_files(server: &Server, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let status = Command::new("prlimit").args([&limit, "--pid", &server.id().to_string()]).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_full_disk_refuses_what_it_cannot_hold_and_keeps_all_else() {
    if !is_there("prlimit") {
        return;
    }
    let server = Server::start(&QUICK);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    alice.say("alice", "one");
    bob.expect_message("alice: one");
    let held = server.history();
    // Room for a part of a line: none of it may stay.
    limit_files(&server, &(held.len() + 10).to_string());
    for text in ["two", "/msg bob two", "two and a half"] {
        alice.send(text);
        alice.expect_error("not-saved");
        assert_eq!(server.history(), held);
    }
    alice.send_raw("many\n".repeat(20).as_bytes());
    for _ in 0..20 {
        alice.expect_error("not-saved");
    }
    for session in [&mut alice, &mut bob] {
        assert_eq!(session.ask_history("/history").join("\n") + "\n", held, "reading goes on");
        session.send("/users");
        session.expect("* users: alice bob");
        session.expect("* 2 online");
    }
    // No account either, where its file cannot grow.
    let users = std::fs::read(server.file("users.txt")).unwrap();
    limit_files(&server, &(users.len() + 10).to_string());
    let mut carol = server.connect();
    carol.send(&format!("/register carol {PASSWORD}"));
    carol.expect_error("not-saved");
    carol.send(&format!("/login carol {PASSWORD}"));
    carol.expect_error("bad-login");
    assert_eq!(std::fs::read(server.file("users.txt")).unwrap(), users);
    // Who is known comes in all the same.
    carol.send(&format!("/login bob {PASSWORD}"));
    carol.welcomed("bob");

    limit_files(&server, "unlimited");
    alice.say("alice", "three");
    bob.expect_message("alice: three");
    server.register("carol");
    let stopped = server.kill();
    assert_eq!(check(&stopped.data).0, Some(0));
    let mut carol = stopped.start(&QUICK).login("carol");
    let _ = carol.next();
}

#[test]
fn files_that_were_removed_are_written_again_at_shutdown() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    alice.say("alice", "one");
    let (log, users) = (server.history(), std::fs::read(server.file("users.txt")).unwrap());
    for name in ["chat_history.txt", "users.txt"] {
        std::fs::remove_file(server.file(name)).unwrap();
    }
    alice.send("two");
    alice.expect_error("not-saved");
    let stopped = server.stop();
    assert_eq!(std::fs::read_to_string(stopped.data.join("chat_history.txt")).unwrap(), log);
    assert_eq!(std::fs::read(stopped.data.join("users.txt")).unwrap(), users);
    let server = stopped.start(&QUICK);
    let mut alice = server.login("alice");
    assert_eq!(alice.ask_history("/history").join("\n") + "\n", log);
    alice.say("alice", "three");
}

#[test]
fn a_file_that_was_put_in_the_place_of_another_stays_at_shutdown() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    alice.say("alice", "one");
    std::fs::rename(server.file("chat_history.txt"), server.file("elsewhere.txt")).unwrap();
    std::fs::write(server.file("chat_history.txt"), "").unwrap();
    let stopped = server.stop();
    assert_eq!(std::fs::read_to_string(stopped.data.join("chat_history.txt")).unwrap(), "");
}

/// Starts a server in which a system call on a file of it goes wrong, from the `when`th one on.
fn failing(data: &Path, file: &str, call: &str, error: &str, when: u32) -> Server {
    tampered(data, file, &format!("inject={call}:error={error}:when={when}+"))
}

/// Starts a server in which the system calls on a file of it are tampered with, as strace(1) says it.
fn tampered(data: &Path, file: &str, fault: &str) -> Server {
    traced(data, file, fault, Path::new("/dev/null"))
}

/// The same with the calls written down.
fn traced(data: &Path, file: &str, fault: &str, trace: &Path) -> Server {
    let (path, trace) = (data.join(file), trace.to_str().unwrap());
    let strace = ["strace", "-D", "-f", "-o", trace, "-P", path.to_str().unwrap(), "-e", fault];
    Setup::new(&QUICK).data(data).under(strace).start()
}

#[test]
fn a_failed_sync_ends_the_server_and_nothing_of_it_was_shown() {
    if !can_trace() {
        return;
    }
    let data = TempDir::new().unwrap();
    // The start syncs once.
    let mut server = failing(data.path(), "chat_history.txt", "fdatasync", "EIO", 3);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    alice.say("alice", "one");
    bob.expect_message("alice: one");
    alice.send("two");
    assert_eq!(alice.next(), None, "its author least of all");
    assert_eq!(bob.next(), None);
    assert_eq!(server.wait().code(), Some(1));
    server.logged(&["ERROR", "chat_history.txt"]);
    // It is there once or not at all.
    let server = Setup::new(&QUICK).data(data.path()).start();
    assert!(server.history().lines().count() <= 2);
    server.login("alice").ask_history("/history");
}

#[test]
fn a_failed_sync_of_the_accounts_ends_the_server_without_a_welcome() {
    if !can_trace() {
        return;
    }
    let data = TempDir::new().unwrap();
    let mut server = failing(data.path(), "users.txt", "fdatasync", "EIO", 3);
    let mut alice = server.register("alice");
    let mut bob = server.connect();
    bob.send(&format!("/register bob {PASSWORD}"));
    assert_eq!(bob.next(), None);
    assert_eq!(alice.next(), None);
    assert_eq!(server.wait().code(), Some(1));
    server.logged(&["ERROR", "users.txt"]);
}

#[test]
fn a_disk_without_space_refuses_and_what_can_be_read_is_read() {
    if !can_trace() {
        return;
    }
    let data = TempDir::new().unwrap();
    let server = failing(data.path(), "chat_history.txt", "write", "ENOSPC", 2);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    alice.say("alice", "one");
    bob.expect_message("alice: one");
    alice.send("two");
    let refusal = alice.expect_error("not-saved");
    assert!(refusal.contains("disk is full"), "{refusal}");
    server.logged(&["ERROR", "chat_history.txt", "not saved"]);
    assert_eq!(bob.ask_history("/history").len(), 1);
    assert_eq!(alice.ask_history("/history").len(), 1);
}

#[test]
fn a_history_that_cannot_be_read_is_said_and_ends_only_who_asked() {
    if !can_trace() {
        return;
    }
    let data = TempDir::new().unwrap();
    // The start and the two that log in read nothing of an empty log.
    let server = failing(data.path(), "chat_history.txt", "pread64", "EIO", 1);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    for session in [&mut alice, &mut bob] {
        // Answered means that they have caught up.
        session.send("/users");
        session.until("* 2 online");
    }
    alice.say("alice", "one");
    bob.expect_message("alice: one");
    bob.send("/history");
    bob.expect_error("history-unavailable");
    assert_eq!(bob.next(), None);
    alice.say("alice", "two");
    server.logged(&["ERROR", "chat_history.txt", "read"]);
}

#[test]
fn with_a_slow_sync_nothing_is_shown_before_it_and_many_share_one() {
    const SYNC: Duration = Duration::from_millis(200);
    const TALKERS: usize = 20;
    if !can_trace() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let (data, trace) = (directory.path().join("data"), directory.path().join("trace"));
    // Enough for some turns of a reader.
    write_history(&data, (0..2000).map(|number| format!("old: {number} {}", "x".repeat(200))));
    let delay = format!("inject=fdatasync:delay_enter={}", SYNC.as_micros());
    let server = traced(&data, "chat_history.txt", &delay, &trace);
    let mut talkers: Vec<_> = (0..TALKERS)
        .map(|number| {
            let mut talker = server.connect();
            talker.send("/replay 0");
            talker.expect("* replay 0");
            talker.register(&format!("talker{number}"));
            talker
        })
        .collect();
    let mut reader = server.register("reader");
    reader.until(&format!("old: 1999 {}", "x".repeat(200)));

    let started = Instant::now();
    talkers[0].say("talker0", "alone");
    assert!(started.elapsed() >= SYNC, "shown after {:?}", started.elapsed());
    reader.expect_message("talker0: alone");
    // What they say while a sync is under way goes into the next one, while another reads all that was.
    reader.send("/history\nI am done");
    let started = Instant::now();
    talkers.iter_mut().for_each(|talker| talker.send("together"));
    let mut said = 0;
    while said < TALKERS + 1 {
        said += usize::from(text_of(&talkers[0].line()).is_some());
    }
    assert!(started.elapsed() >= SYNC, "shown after {:?}", started.elapsed());
    let history = reader.until("* end of history");
    let read = history.iter().filter(|text| text.starts_with("old: ")).count();
    assert_eq!(read, 2000, "reading goes on");
    reader.until("reader: I am done");
    server.kill();
    let trace = trace_of_killed(&trace);
    // One is of the start, and one of what was said alone.
    let syncs = trace.matches("fdatasync(").count() - 2;
    assert!((1..TALKERS / 2).contains(&syncs), "{syncs} syncs for {TALKERS} who talked together");
}

#[test]
fn without_randomness_nobody_registers_and_all_else_goes_on() {
    if !can_trace() {
        return;
    }
    // How often it is asked for up to there depends on the C library.
    let data = TempDir::new().unwrap();
    let trace = data.path().join("trace");
    let strace = ["strace", "-D", "-f", "-e", "trace=getrandom", "-o", trace.to_str().unwrap()];
    let server = Setup::new(&QUICK).data(&data.path().join("data")).under(strace).start();
    server.register("alice");
    let stopped = server.stop();
    let asked = wait_for("the end of the trace", || {
        let trace = std::fs::read_to_string(&trace).unwrap();
        trace.contains("+++ exited").then(|| trace.matches("getrandom(").count())
    });
    let fault = format!("inject=getrandom:error=EIO:when={asked}+");
    let strace = ["strace", "-D", "-f", "-o", "/dev/null", "-e", &fault];
    let server = Setup::new(&QUICK).data(&stopped.data).under(strace).start();
    let mut bob = server.connect();
    bob.send(&format!("/register bob {PASSWORD}"));
    bob.expect_error("no-randomness");
    server.logged(&["WARN", "randomness"]);
    let mut alice = server.login("alice");
    alice.send(&format!("/passwd {PASSWORD} battery-staple"));
    alice.expect_error("no-randomness");
    alice.say("alice", "but I can talk");
    assert_eq!(std::fs::read_to_string(server.file("users.txt")).unwrap().lines().count(), 1);
}

/// A server in a mount namespace of its own, after these commands there, with `$1` for its data directory; none
/// where that is not allowed, which it says.
fn in_namespace(data: &Path, commands: &str) -> Option<Result<Server, String>> {
    if !is_there("unshare") {
        return None;
    }
    let script = format!("{commands} && shift && exec \"$@\"");
    let unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"];
    let wrapper = unshare.into_iter().chain([script.as_str(), "sh", data.to_str().unwrap()]);
    let (status, _, said) = run(Command::new("unshare").args(&unshare[1..]).args([commands, "sh"]).arg(data));
    if status != Some(0) {
        skip(&format!("no mounting in a namespace: {said}"));
        return None;
    }
    Some(Setup::new(&QUICK).data(data).under(wrapper).try_start())
}

#[test]
fn a_file_system_without_room_refuses_what_does_not_fit_until_there_is_room() {
    let directory = TempDir::new().unwrap();
    let data = directory.path();
    let Some(server) = in_namespace(data, "mount -t tmpfs -o size=64k,mode=700 chinwag \"$1\"") else {
        return;
    };
    let server = server.unwrap();
    // Only there its files can be seen.
    let inside = PathBuf::from(format!("/proc/{}/root{}", server.id(), data.display()));
    let log = inside.join("chat_history.txt");
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    std::fs::write(inside.join("filler"), vec![0; 24 << 10]).unwrap();

    // A page is full in the midst of a line, of which nothing may stay.
    let text = "x".repeat(900);
    let mut said = 0;
    loop {
        alice.send(&text);
        let answer = alice.line();
        match text_of(&answer) {
            Some(_) => said += 1,
            None => break assert!(answer.starts_with("! not-saved: the server's disk is full"), "{answer}"),
        }
        bob.expect_message(&format!("alice: {text}"));
    }
    assert!(said > 10, "{said}");
    let held = std::fs::read_to_string(&log).unwrap();
    assert!(held.ends_with('\n') && held.lines().count() == said);
    assert_ne!(held.len() % 4096, 0, "there was room for a part of a line");
    for session in [&mut alice, &mut bob] {
        assert_eq!(session.ask_history("/history").join("\n") + "\n", held, "reading goes on");
    }
    let mut carol = server.connect();
    carol.send(&format!("/login bob {PASSWORD}"));
    carol.welcomed("bob");

    std::fs::remove_file(inside.join("filler")).unwrap();
    alice.say("alice", &text);
    bob.expect_message(&format!("alice: {text}"));
    server.register("dave");
    let now = std::fs::read_to_string(&log).unwrap();
    assert!(now.starts_with(&held) && now.ends_with('\n') && now.lines().count() == said + 1);
}

#[test]
fn a_read_only_file_system_is_named() {
    let directory = TempDir::new().unwrap();
    let data = directory.path();
    let commands = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\"";
    let Some(server) = in_namespace(data, commands) else { return };
    let log = server.map(|_| ()).expect_err("it cannot write there");
    let last = log.lines().last().expect("it says why");
    assert!(last.contains(data.to_str().unwrap()) && last.contains("Read-only file system"), "{log}");
    assert_eq!(std::fs::read_dir(data).unwrap().count(), 0);
}
