//! A data directory that version 0.1 wrote, in `tests/fixtures/version-0.1`, and what that version showed of it.
//!
//! Six accounts are in it: one with capital letters, one that changed its password, one that missed messages, two
//! whose names nobody can register any more, and one whose password begins with a blank. They said what looks like
//! other kinds of lines, and what is refused or ignored today. `transcript.txt` has the sessions that came next: on
//! lines that begin with `> ` what a client sends, all at once, and then all that it received.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::common::*;
use crate::faults::check;

const FILES: [&str; 3] = ["chat_history.txt", "users.txt", "seen.txt"];

/// All that may differ from version 0.1, besides where a login says that what is said goes: words that were put
/// better, its number, and what rooms add.
const DIFFERENCES: [(&str, &str); 4] = [
    (
        "* chinwag 0.1.0: a chat; what is said here is kept",
        concat!("* chinwag ", env!("CARGO_PKG_VERSION"), ": a chat; what is said here is kept"),
    ),
    (
        "* have an account? /login NAME PASSWORD; /help tells the rest",
        "* have an account? /login NAME PASSWORD; /help lists all commands",
    ),
    (
        "! not-logged-in: first /login NAME PASSWORD, or /register NAME PASSWORD",
        "! not-logged-in: log in first, with /login NAME PASSWORD or /register NAME PASSWORD",
    ),
    ("! bad-usage: /msg NAME TEXT", "! bad-usage: /msg NAME TEXT, or /msg #ROOM TEXT"),
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/version-0.1").join(name)
}

/// A copy of the directory, with the modes that version 0.1 gave its files.
fn directory() -> TempDir {
    let directory = TempDir::new().unwrap();
    for name in FILES {
        let path = directory.path().join(name);
        fs::copy(fixture(name), &path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    directory
}

/// The sessions of the transcript: what is sent, and what is to come, with the differences.
fn sessions() -> Vec<(String, Vec<String>)> {
    let transcript = fs::read_to_string(fixture("transcript.txt")).unwrap();
    let sessions = transcript.split("\n\n").map(|session| {
        let (sent, received): (Vec<&str>, Vec<&str>) = session.lines().partition(|it| it.starts_with("> "));
        let sent = sent.iter().map(|line| line["> ".len()..].to_owned() + "\n").collect();
        let received = received.into_iter().map(|line| {
            let difference = DIFFERENCES.iter().find(|(then, _)| *then == line);
            difference.map_or(line, |(_, now)| now).to_owned()
        });
        (sent, received.collect())
    });
    sessions.collect()
}

/// All lines that a new connection receives that sends this.
fn replay(server: &Server, sent: &str) -> Vec<String> {
    let mut client = Client::connect(server.address);
    client.send_raw(sent.as_bytes());
    std::iter::from_fn(|| client.next()).collect()
}

/// What follows the messages that a login shows, if the session asks for `/users` first.
fn after_the_replay(lines: &[String]) -> &[String] {
    let users = lines.iter().position(|line| line.starts_with("* users: ")).expect("they are listed");
    &lines[users..]
}

#[test]
fn a_directory_of_version_0_1_is_whole_before_and_after_its_first_start() {
    let directory = directory();
    let (status, said) = check(directory.path());
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("users.txt: of version 0.1, without checksums; the next start adds them"),
        "{said}"
    );
    assert!(said.ends_with("all is well\n"), "{said}");
    for name in FILES {
        let path = directory.path().join(name);
        assert_eq!(fs::read(path).unwrap(), fs::read(fixture(name)).unwrap(), "{name} is only read");
    }

    Setup::new(&QUICK).data(directory.path()).start().stop();
    let (status, said) = check(directory.path());
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("users.txt: accounts: 6, ") && !said.contains("0.1"), "{said}");
    let kept = fs::read(directory.path().join("users.txt.0.1")).unwrap();
    assert_eq!(kept, fs::read(fixture("users.txt")).unwrap(), "the old file is kept");
    let history = fs::read(directory.path().join("chat_history.txt")).unwrap();
    assert_eq!(history, fs::read(fixture("chat_history.txt")).unwrap());
}

#[test]
fn sessions_on_a_directory_of_version_0_1_are_answered_as_that_version_did() {
    let directory = directory();
    let server = Setup::new(&QUICK).data(directory.path()).start();
    for (sent, expected) in sessions() {
        assert_eq!(replay(&server, &sent), expected, "{sent}");
    }
    server.stop();
    let (status, said) = check(directory.path());
    assert_eq!(status, Some(0), "{said}");

    // What was missed has been shown by now; the history stays as it was.
    let server = Setup::new(&QUICK).data(directory.path()).start();
    let (sent, expected) = &sessions()[0];
    let received = replay(&server, sent);
    assert_eq!(after_the_replay(&received), after_the_replay(expected));
    let shown = &received[..received.len() - after_the_replay(&received).len()];
    assert_eq!(shown.last().unwrap(), "* welcome carol");
    server.stop();
}
