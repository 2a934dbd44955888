//! Disks that do not do as they are told: full, slow, failing.

use std::path::Path;
use std::process::Command;

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
    carol.expect("* welcome bob");

    limit_files(&server, "unlimited");
    alice.say("alice", "three");
    bob.expect_message("alice: three");
    server.register("carol");
    let stopped = server.kill();
    assert_eq!(check(&stopped.data).0, Some(0));
    let mut carol = stopped.start(&QUICK).login("carol");
    let _ = carol.next();
}

/// Starts a server in which a system call on a file of it goes wrong, from the `when`th one on.
fn failing(data: &Path, file: &str, call: &str, error: &str, when: u32) -> Server {
    let path = data.join(file);
    let fault = format!("inject={call}:error={error}:when={when}+");
    let strace = ["strace", "-D", "-f", "-o", "/dev/null", "-P", path.to_str().unwrap(), "-e", &fault];
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
    server.logged(&["WARN", "chat_history.txt", "not saved"]);
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
