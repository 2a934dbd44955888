//! A log that nobody reads: it holds up nobody.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::common::*;
use crate::running::listening_port;

/// What a service gets as its stderr, with no room left in it; and how many bytes are in it.
fn full_outputs() -> [(Box<dyn Read + Send>, OwnedFd, usize); 2] {
    /// See pipe(7).
    const PIPE_BYTES: usize = 16 * 4096;
    let (ours, mut theirs) = std::io::pipe().unwrap();
    theirs.write_all(&[b'x'; PIPE_BYTES]).unwrap();
    let pipe: (Box<dyn Read + Send>, _, _) = (Box::new(ours), theirs.into(), PIPE_BYTES);

    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let mut bytes = 0;
    while let Ok(count) = theirs.write(&[b'x'; 4096]) {
        bytes += count;
    }
    theirs.set_nonblocking(false).unwrap();
    [pipe, (Box::new(ours), theirs.into(), bytes)]
}

#[test]
fn log_lines_about_one_address_are_limited_and_those_left_out_are_counted() {
    let server = Setup::new(&["--kdf-rounds", "1"]).start();
    for _ in 0..150 {
        drop(server.connect());
    }
    // Whatever is not about an address is always written; the number comes first.
    server.signal("TERM");
    server.logged(&["shutting down"]);
    let log = server.log();
    let closed = log.lines().filter(|line| line.contains(": closed: ")).count();
    assert!((60..=75).contains(&closed), "{closed} of 150:\n{log}");
    let note = server.logged(&["lines left out, about addresses that caused too many: "]);
    let count: usize = note.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(closed + count <= 150 && count >= 70, "{note}");
}

#[test]
fn a_log_that_nobody_reads_holds_up_nobody_and_what_it_lacks_is_counted() {
    if !cfg!(target_os = "linux") {
        return skip("how much a pipe holds is known of Linux alone");
    }
    let lines_of_a_start = Server::start(&QUICK).log().lines().count();
    assert!(lines_of_a_start > 0);
    for (mut reader, output, bytes) in full_outputs() {
        // Not there yet, as for the other one: of a directory that it did not make there may be more to say.
        let own = tempfile::tempdir().unwrap();
        let data = own.path().join("data");
        let mut command = Command::new(CHINWAGD);
        command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data).args(QUICK);
        let stdout = output.try_clone().unwrap();
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(stdout).stderr(output);
        let mut process = Process::start(&mut command);
        drop(command);
        let port = wait_for("its port", || listening_port(process.id()));
        let enter = |name: &str| {
            let mut session = Client::connect(([127, 0, 0, 1], port).into());
            session.greeted();
            session.send(&format!("/register {name} {PASSWORD}"));
            session.welcomed(name);
            session
        };
        let [mut alice, mut bob] = ["alice", "bob"].map(enter);
        alice.say("alice", "nobody reads the log");
        bob.expect_message("alice: nobody reads the log");

        // Then somebody does.
        reader.read_exact(&mut vec![0; bytes]).unwrap();
        let _carol = enter("carol");
        let (lines, logged) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(reader).lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        let next = || logged.recv_timeout(PATIENCE).expect("a line of the log");
        let of_the_lost = next();
        let (before, lost) = of_the_lost
            .split_once(" lines lost, for which stderr had no room: ")
            .unwrap_or_else(|| panic!("{of_the_lost}"));
        assert!(before.trim_end().ends_with(" WARN"), "{of_the_lost}");
        assert_eq!(lost.parse(), Ok(lines_of_a_start + 2), "all of the start, and the two who came");
        assert!(next().contains("carol"));

        let status = Command::new("kill").args(["-TERM", &process.id().to_string()]).status();
        assert!(status.unwrap().success());
        assert_eq!(process.wait().code(), Some(0));
    }
}

#[test]
fn a_terminal_that_stands_still_holds_up_nobody() {
    const LOGINS: usize = 400;
    let data = tempfile::tempdir().unwrap();
    let (terminal, other_end) = pty_process::blocking::open().unwrap();
    let mut command = pty_process::blocking::Command::new(CHINWAGD);
    command = command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data.path()).args(QUICK);
    let mut process = command.spawn(other_end).unwrap();
    let port = wait_for("its port", || listening_port(process.id()));
    // Each is a line in the log; the terminal has room for some of them.
    for number in 0..LOGINS {
        let mut client = Client::connect(([127, 0, 0, 1], port).into());
        client.greeted();
        client.send(&format!("/login nobody{number} {PASSWORD}"));
        client.expect_error("bad-login");
    }
    let status = Command::new("kill").args(["-TERM", &process.id().to_string()]).status();
    assert!(status.unwrap().success());
    assert!(wait_for("its end", || process.try_wait().unwrap()).success());
    drop(terminal);
}
