//! Files that are not as they should be.

use std::fs;
use std::io::Write;
use std::path::Path;

use tempfile::TempDir;

use crate::common::*;

/// Starts a server that is expected to refuse, and checks that it says all of `words`.
fn refuses_to_start(data: &Path, words: &[&str]) {
    let flags = ["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let (status, printed, log) = run_chinwagd(&flags);
    assert_eq!(status, Some(1), "{log}");
    assert_eq!(printed, "", "it was never ready");
    let last = log.lines().last().expect("it says why");
    assert!(words.iter().all(|word| last.contains(word)), "{words:?}: {log}");
}

pub fn check(data: &Path) -> (Option<i32>, String) {
    let (status, printed, log) = run_chinwagd(&["--check", "--data", data.to_str().unwrap()]);
    (status, printed + &log)
}

/// A directory that a server left, in which alice and bob are and these messages were said by alice.
fn used(messages: &[&str]) -> Stopped {
    let server = Server::start(&QUICK);
    server.register("bob");
    let mut alice = server.register("alice");
    for message in messages {
        alice.say("alice", message);
    }
    drop(alice);
    server.logged(&["closed", "(alice)"]);
    server.stop()
}

fn append(path: &Path, bytes: &[u8]) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn what_is_no_data_directory_is_named() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    refuses_to_start(&file, &[file.to_str().unwrap()]);
    refuses_to_start(&file.join("below"), &[file.to_str().unwrap()]);
    for name in ["chat_history.txt", "users.txt", "seen.txt", "lock"] {
        let data = directory.path().join(format!("data-{name}"));
        let path = data.join(name);
        fs::create_dir_all(&path).unwrap();
        refuses_to_start(&data, &[path.to_str().unwrap()]);
    }
    let missing = directory.path().join("missing");
    let (status, said) = check(&missing);
    assert!(status == Some(1) && said.contains(missing.to_str().unwrap()), "{said}");
    assert!(!missing.exists(), "a check makes nothing");
    let empty = TempDir::new().unwrap();
    let (status, said) = check(empty.path());
    assert!(status == Some(1) && said.contains(empty.path().to_str().unwrap()), "{said}");
}

#[test]
fn a_history_without_its_accounts_is_refused_and_named() {
    let stopped = used(&["one"]);
    fs::remove_file(stopped.data.join("users.txt")).unwrap();
    fs::remove_file(stopped.data.join("seen.txt")).unwrap();
    let (status, said) = check(&stopped.data);
    assert!(status == Some(1) && said.contains("users.txt: missing"), "{said}");
    refuses_to_start(&stopped.data, &["users.txt"]);
    assert!(!stopped.data.join("users.txt").exists(), "or the next start would take it for wanted");
    fs::write(stopped.data.join("users.txt"), "").unwrap();
    refuses_to_start(&stopped.data, &["users.txt: empty", "state.txt", "--repair"]);
    fs::remove_file(stopped.data.join("state.txt")).unwrap();
    let (status, said) = check(&stopped.data);
    assert!(status == Some(1) && said.contains("gives them back: alice\n"), "{said}");
    let server = stopped.start(&QUICK);
    server.logged(&["WARN", "users.txt", "no account", "backup", "--reset"]);
    server.register("carol");
}

#[test]
fn a_missing_log_is_refused_while_there_are_accounts() {
    let stopped = used(&[]);
    fs::remove_file(stopped.data.join("seen.txt")).unwrap();
    fs::rename(stopped.data.join("chat_history.txt"), stopped.data.join("elsewhere.txt")).unwrap();
    let (status, said) = check(&stopped.data);
    assert!(status == Some(1) && said.contains("chat_history.txt: missing"), "{said}");
    for _ in 0..2 {
        refuses_to_start(&stopped.data, &["chat_history.txt", "--new-history"]);
        assert!(
            !stopped.data.join("chat_history.txt").exists(),
            "the next start would take it for a new one"
        );
    }
    fs::rename(stopped.data.join("elsewhere.txt"), stopped.data.join("chat_history.txt")).unwrap();
    stopped.start(&QUICK).register("carol");
}

#[test]
fn a_directory_that_others_can_enter_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    for (mode, is_warned_of) in [(0o700, false), (0o750, true), (0o701, true)] {
        let data = TempDir::new().unwrap();
        fs::set_permissions(data.path(), fs::Permissions::from_mode(mode)).unwrap();
        let server = Setup::new(&QUICK).data(data.path()).start();
        assert_eq!(server.log().contains("chmod 700"), is_warned_of, "{mode:o}: {}", server.log());
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    // Root may write anywhere but here.
    if !Path::new("/proc/self").exists() {
        return skip("there is no /proc here");
    }
    refuses_to_start(Path::new("/proc/chinwag"), &["/proc/chinwag"]);
    refuses_to_start(Path::new("/proc/self"), &["/proc/self/lock"]);
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let mut permissions = fs::metadata(&data).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&data, permissions.clone()).unwrap();
    if fs::write(data.join("probe"), "").is_ok() {
        skip("permissions do not bind whoever runs this");
    } else {
        refuses_to_start(&data, &[data.to_str().unwrap()]);
    }
}

#[test]
fn the_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start(&QUICK);
    server.register("alice").say("alice", "hello");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&server.data), 0o700);
    for name in ["chat_history.txt", "users.txt", "seen.txt", "lock"] {
        assert_eq!(mode(&server.file(name)), 0o600, "{name}");
    }
    let users = fs::read_to_string(server.file("users.txt")).unwrap();
    assert!(users.starts_with("alice:pbkdf2-sha256:1:") && !users.contains(PASSWORD), "{users}");
}

#[test]
fn two_servers_do_not_share_a_directory() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    refuses_to_start(&server.data, &[server.data.to_str().unwrap(), "in use"]);
    assert_eq!(check(&server.data).0, Some(0), "but it can be checked");
    alice.say("alice", "the first one goes on");
    let stopped = server.kill();
    stopped.start(&QUICK).login("alice");
}

#[test]
fn a_torn_tail_is_set_aside_and_the_rest_is_kept() {
    let stamp = "2999-01-01T00:00:00.000000Z";
    for (what, tail) in [
        ("half a line", format!("{stamp} alice: hal").into_bytes()),
        ("half a timestamp", b"2999-01-01T0".to_vec()),
        ("zeroes", vec![0; 5000]),
        ("most of a line and more", format!("{stamp} alice: {}", "x".repeat(3000)).into_bytes()),
    ] {
        let stopped = used(&["one", "two"]);
        let log = stopped.data.join("chat_history.txt");
        let good = fs::read(&log).unwrap();
        append(&log, &tail);
        let (status, said) = check(&stopped.data);
        let offset = good.len().to_string();
        assert!(
            status == Some(1) && said.contains(&format!("at byte {offset}: a torn write")),
            "{what}: {said}"
        );

        let server = stopped.start(&QUICK);
        let aside = format!("chat_history.txt.torn-at-{offset}");
        server.logged(&["chat_history.txt", &format!("offset {offset}"), &aside, &tail.len().to_string()]);
        assert_eq!(fs::read(&log).unwrap(), good, "{what}");
        assert_eq!(fs::read(server.file(&aside)).unwrap(), tail, "{what}");
        let mut alice = server.login("alice");
        alice.say("alice", "three");
        let texts: Vec<_> =
            alice.ask_history("/history").iter().map(|line| text_of(line).unwrap().to_owned()).collect();
        assert_eq!(texts, ["alice: one", "alice: two", "alice: three"], "{what}");
        assert_eq!(check(&stopped.data).0, Some(0), "{what}");
    }
}

#[test]
fn a_log_that_is_all_torn_starts_over() {
    let stopped = used(&[]);
    fs::write(stopped.data.join("chat_history.txt"), "half a li").unwrap();
    let server = stopped.start(&QUICK);
    assert_eq!(fs::read(server.file("chat_history.txt.torn-at-0")).unwrap(), b"half a li");
    server.login("alice").say("alice", "one");
}

#[test]
fn a_torn_account_is_set_aside_and_the_others_are_kept() {
    let stopped = used(&["one"]);
    let users = stopped.data.join("users.txt");
    let good = fs::read(&users).unwrap();
    append(&users, b"carol:pbkdf2-sha256:1:00112233445566778899aab");
    assert_eq!(check(&stopped.data).0, Some(1));
    let server = stopped.start(&QUICK);
    let aside = format!("users.txt.torn-at-{}", good.len());
    server.logged(&["users.txt", &aside]);
    assert_eq!(fs::read(&users).unwrap(), good);
    server.login("alice");
    server.register("carol");
}

#[test]
fn damage_before_the_tail_stays_and_is_found_by_a_check_and_damaged_accounts_are_refused() {
    let long = "x".repeat(3000);
    let stopped = used(&[&long, "one", "two", "three", &long]);
    let log = stopped.data.join("chat_history.txt");
    let good = fs::read_to_string(&log).unwrap();
    let at = good.find(" alice: one").unwrap() - STAMP_BYTES;
    for (what, bad, offset) in [
        ("a lost colon", good.replacen(" alice: one", " alice; one", 1), at),
        ("a control character", good.replacen(" alice: one", " alice: \x1bne", 1), at),
        ("a lost timestamp", good.replacen(&good[at..at + STAMP_BYTES], "", 1), at),
    ] {
        assert_ne!(bad, good, "{what}");
        fs::write(&log, &bad).unwrap();
        // It knows of what was said after the damage before this one.
        fs::remove_file(stopped.data.join("state.txt")).unwrap();
        let (status, said) = check(&stopped.data);
        let damaged = format!("chat_history.txt: damaged at byte {offset}: ");
        assert!(status == Some(1) && said.contains(&damaged), "{what}: {said}");
        let server = Setup::new(&QUICK).data(&stopped.data).start();
        let mut alice = server.login("alice");
        alice.say("alice", "still here");
        drop(server);
        assert!(fs::read_to_string(&log).unwrap().starts_with(&bad), "{what}: nothing was touched");
    }
    fs::write(&log, &good).unwrap();
    fs::remove_file(stopped.data.join("state.txt")).unwrap();

    let users = stopped.data.join("users.txt");
    let text = fs::read_to_string(&users).unwrap();
    fs::write(&users, text.replacen("pbkdf2", "pbkdf3", 1)).unwrap();
    refuses_to_start(&stopped.data, &["users.txt", "byte 0"]);
    let (status, said) = check(&stopped.data);
    assert!(status == Some(1) && said.contains("users.txt: damaged at byte 0"), "{said}");
    fs::write(&users, &text).unwrap();
    assert_eq!(check(&stopped.data).0, Some(0));
    stopped.start(&QUICK).login("alice");
}

#[test]
fn damage_far_from_the_end_is_found_by_a_check() {
    let data = TempDir::new().unwrap();
    write_history(data.path(), (0..40_000).map(|number| format!("old: {number} {}", "x".repeat(50))));
    let log = data.path().join("chat_history.txt");
    assert!(!check(data.path()).1.contains("damaged"));
    let mut bytes = fs::read(&log).unwrap();
    let line = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(9999).unwrap().0 + 1;
    bytes[line + 40] = 0;
    fs::write(&log, &bytes).unwrap();
    let (status, said) = check(data.path());
    assert!(
        status == Some(1) && said.contains(&format!("chat_history.txt: damaged at byte {line}:")),
        "{said}"
    );
    // The server starts, and reports the line once it has read the log. Readers see a notice in place of the line.
    let server = Setup::new(&UNSYNCED).data(data.path()).start();
    let whole = String::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let damaged = lines[9999 + 1].len() + 1;
    server.logged(&["WARN", &format!("damaged: {damaged} bytes in 1 places, the first at byte {line}")]);
    let mut alice = server.connect();
    alice.send("/replay 0");
    alice.expect("* replay 0");
    alice.register("alice");
    let notice = format!("! damaged: {damaged} bytes at {} cannot be shown", &lines[9999][..STAMP_BYTES]);
    alice.send("/history");
    for line in lines {
        alice.expect(if line.contains('\0') { &notice } else { line });
    }
    alice.expect("* end of history");
}

#[test]
fn a_check_names_all_reserved_names_and_tells_what_needs_no_repair() {
    let stopped = used(&["one"]);
    let run = |flags: &[&str]| {
        let flags = [flags, &["--data", stopped.data.to_str().unwrap()]].concat();
        let (status, printed, log) = run_chinwagd(&flags);
        assert_eq!(status, Some(0), "{flags:?}: {printed}{log}");
    };
    let users = stopped.data.join("users.txt");
    let text = fs::read_to_string(&users).unwrap();
    // The lines of bob and of alice, in this order.
    fs::write(&users, text.replacen("alice:pbkdf2", "alicf:pbkdf2", 1)).unwrap();
    run(&["--repair", "--yes"]);
    let (status, said) = check(&stopped.data);
    let reserved = "reserved until `--reset NAME` gives them back: alice alicf\n";
    assert!(status == Some(0) && said.contains(&format!("users.txt: {reserved}")), "{said}");
    stopped.start(&QUICK).logged(&["accounts: 3, reserved: 2; history:"]);

    // An older copy without alice, whose name is in the log, and without bob, who has a mark.
    fs::write(&users, "").unwrap();
    let log = fs::read_to_string(stopped.data.join("chat_history.txt")).unwrap();
    append(&stopped.data.join("seen.txt"), format!("bob {}\n", &log[..STAMP_BYTES]).as_bytes());
    run(&["--repair", "--yes"]);
    let (status, said) = check(&stopped.data);
    let reserved = "reserved until `--reset NAME` gives them back: alice bob\n";
    assert!(status == Some(1) && said.contains(reserved), "{said}");
    for name in ["alice", "bob"] {
        run(&["--reset", name]);
    }

    fs::write(stopped.data.join("state.txt"), "junk\n").unwrap();
    append(&stopped.data.join("seen.txt"), b"junk\n");
    let (status, said) = check(&stopped.data);
    let expected =
        ["state.txt: damaged", "state.txt: needs no repair", "seen.txt: damaged", "seen.txt: needs no"];
    assert!(status == Some(1) && expected.iter().all(|it| said.contains(it)), "{said}");
    run(&["--repair"]);
    drop(stopped.start(&QUICK));
    assert_eq!(check(&stopped.data).0, Some(0));
}
