//! What an operator sees: flags, output, the log, the end; and that hashing passwords holds up nobody.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::*;
use crate::crowd::reset;
use crate::faults::check;

#[test]
fn a_bad_flag_is_named_in_one_line() {
    for (flags, named) in [
        (&["--colour"][..], "--colour"),
        (&["-x"], "-x"),
        (&["stray"], "stray"),
        (&["--listen"], "--listen"),
        (&["--listen", "5000"], "--listen"),
        (&["--listen", "localhost"], "--listen"),
        (&["--listen", "127.0.0.1:70000"], "--listen"),
        (&["--data"], "--data"),
        (&["--data", ""], "--data"),
        (&["--sync", "sometimes"], "--sync"),
        (&["--kdf-rounds", "0"], "--kdf-rounds"),
        (&["--kdf-rounds", "many"], "--kdf-rounds"),
        (&["--kdf-rounds", "10000001"], "--kdf-rounds"),
        (&["--rate", "0"], "--rate"),
        (&["--rate=-1"], "--rate"),
        (&["--replay", "-1"], "--replay"),
        (&["--max-connections", "0"], "--max-connections"),
        (&["--per-address", "on"], "--per-address"),
        (&["--check=yes"], "--check"),
        (&["--yes"], "--yes"),
        (&["--repair", "--check"], "--check"),
    ] {
        let (status, printed, said) = run_chinwagd(flags);
        assert_eq!(status, Some(2), "{flags:?}: {said}");
        assert_eq!(printed, "", "{flags:?}");
        assert!(said.lines().count() == 1 && said.contains(named), "{flags:?}: {said}");
    }
}

#[test]
fn help_and_version_are_printed() {
    let (status, printed, said) = run_chinwagd(&["--help"]);
    assert_eq!((status, said.as_str()), (Some(0), ""));
    for flag in ["listen", "data", "sync", "kdf-rounds", "rate", "replay", "max-connections", "per-address"] {
        assert!(printed.contains(&format!("--{flag} ")), "{flag}");
    }
    let (status, printed, said) = run_chinwagd(&["--version"]);
    assert_eq!((status, said.as_str()), (Some(0), ""));
    assert_eq!(printed, format!("chinwagd {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_start_logs_the_absolute_path_of_the_data_and_whether_strangers_can_register() {
    let own = tempfile::tempdir().unwrap();
    let beyond = ["--listen", "0.0.0.0:0"];
    let start = |flags: &[&str]| {
        // The data directory is given relative to the current one.
        let relative =
            std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect::<PathBuf>();
        let relative = relative.join(own.path().strip_prefix("/").unwrap());
        assert!(relative.is_relative());
        let server = Setup::new(&[&QUICK[..], flags].concat()).data(&relative);
        if flags.is_empty() { server.start() } else { server.start_on_two() }
    };
    let server = start(&[]);
    server.logged(&[&format!(", data in {}", own.path().canonicalize().unwrap().display())]);
    assert!(!server.log().contains("registration is"), "only this machine reaches it");
    server.stop();
    let server = start(&beyond);
    server.logged(&["WARN  registration is open"]);
    server.stop();
    let server = start(&[&beyond[..], &["--registration", "closed"]].concat());
    server.logged(&["INFO  registration is closed"]);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let (status, printed, said) = run_chinwagd(&["--listen", &address, "--data", data]);
    assert_eq!((status, printed.as_str()), (Some(1), ""));
    assert!(said.lines().last().unwrap().contains(&address), "{said}");
}

#[test]
fn it_listens_on_several_addresses_and_prints_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let mut flags = QUICK.to_vec();
    flags.extend(["--listen", "127.0.0.2:0"]);
    let server = Setup::new(&flags).data(data.path()).start_on_two();
    let printed = server.printed();
    let addresses: Vec<_> =
        printed.lines().map(|line| line.strip_prefix("listening on ").expect(&printed)).collect();
    assert_eq!(addresses.len(), 2, "{printed}");
    let mut sessions: Vec<_> = addresses
        .iter()
        .map(|address| {
            let mut client = Client::connect(address.parse().unwrap());
            client.greeted();
            client
        })
        .collect();
    sessions[0].send(&format!("/register alice {PASSWORD}"));
    sessions[0].welcomed("alice");
    sessions[1].send(&format!("/register bob {PASSWORD}"));
    sessions[1].welcomed("bob");
    sessions[0].say("alice", "hello");
    sessions[1].expect_message("alice: hello");
    assert_eq!(server.printed(), printed);
}

#[test]
fn the_log_tells_who_came_from_where_and_never_what_was_said() {
    let server = Setup::new(&QUICK).under(["env", "RUST_LOG=trace"]).start();
    let mut alice = server.register("alice");
    let address = alice.stream().local_addr().unwrap().to_string();
    let start = server.logged(&["chinwagd", env!("CARGO_PKG_VERSION")]);
    assert!(
        start.contains(&server.address.to_string()) && start.contains(server.data.to_str().unwrap()),
        "{start}"
    );
    server.logged(&[&address, "alice", "registered"]);
    alice.say("alice", "topsecret words");
    alice.send("/msg alice topsecret whisper");
    alice.expect_message("alice -> alice: topsecret whisper");
    alice.send("/passwd correct-horse topsecret-staple");
    alice.expect("* password changed");
    alice.send("/topsecret");
    alice.expect_error("unknown-command");
    alice.send("/passwd topsecret-staple correct-horse");
    alice.expect("* password changed");
    server.login("alice").send("/quit");
    server.logged(&["alice", "logged in"]);
    server.logged(&["closed", "quit", "alice"]);

    let mut mallory = server.connect();
    let address = mallory.stream().local_addr().unwrap().to_string();
    mallory.send("/login alice topsecret-guess");
    mallory.expect_error("bad-login");
    server.logged(&["WARN", &address, "wrong name or password", "alice"]);
    mallory.send("/login topsecret!\x1b[2J topsecret-guess");
    mallory.expect_error("bad-login");
    drop(mallory);
    server.logged(&[&address, "closed", "end of input"]);
    let log = server.log();
    assert!(!log.contains("topsecret") && !log.contains(PASSWORD), "{log}");
    assert!(
        log.lines().all(|line| chinwag::protocol::record::Timestamp::parse(line.as_bytes()).is_some()),
        "{log}"
    );
    assert_eq!(server.printed(), format!("listening on {}\n", server.address));
}

#[test]
fn at_its_end_everyone_is_told() {
    for signal in ["TERM", "INT", "HUP"] {
        let mut server = Server::start(&QUICK);
        let (mut alice, mut bob, mut nobody) =
            (server.register("alice"), server.register("bob"), server.connect());
        alice.say("alice", "one");
        bob.expect_message("alice: one");
        server.signal(signal);
        for client in [&mut alice, &mut bob, &mut nobody] {
            client.expect("* the server is shutting down");
            assert_eq!(client.next(), None);
        }
        assert_eq!(server.wait().code(), Some(0), "{signal}");
        server.logged(&["shutting down"]);
        // Nothing was missed by those who were there.
        let left = server.ended();
        let again = left.start(&QUICK);
        let mut bob = again.login("bob");
        bob.say("bob", "two");
    }
}

#[test]
fn at_its_end_nobody_who_has_stopped_to_read_is_waited_for() {
    let mut server = Server::start(&UNSYNCED);
    let mut alice = server.register("alice");
    let stopped = server.register("stopped");
    let text = "x".repeat(2000);
    for _ in 0..6000 {
        alice.say("alice", &text);
    }
    server.signal("TERM");
    alice.expect("* the server is shutting down");
    // Were it waited for, that would take longer than anything may here.
    assert_eq!(server.wait().code(), Some(0));
    drop(stopped);
    let left = server.ended();
    let server = left.start(&UNSYNCED);
    let mut late = server.login("stopped");
    for _ in 0..50 {
        late.expect_message(&format!("alice: {text}"));
    }
    late.say("stopped", "I was only slow");
}

#[test]
fn fifty_wrong_logins_at_once_hold_up_nobody_else() {
    const GUESSERS: usize = 50;
    const GUESSES: usize = 4;
    /// What a password holds up is told by how often another is served meanwhile, and not by the clock of a machine
    /// that may be slow: a slice of its hashing goes by between two turns. There are some fifty of them, and
    /// nine where a turn ends by its number of rounds alone.
    const PINGS_A_GUESS_MIN: usize = 12;
    // The first two come in while it costs nothing.
    let mut server = Server::start(&QUICK);
    server.register("alice");
    server.register("bob");
    let left = server.stop();
    let users = fs::read_to_string(left.data.join("users.txt")).unwrap();
    assert_eq!(users.lines().count(), 2);
    // Unsynced, so that it is nothing but the hashing that a message could wait for.
    server = left.start(&["--rate", "off", "--per-address", "off", "--sync", "never"]);
    let (mut alice, mut bob) = (server.login("alice"), server.login("bob"));
    let mut guessers: Vec<_> = (0..GUESSERS).map(|_| server.connect()).collect();
    for (number, guesser) in guessers.iter_mut().enumerate() {
        guesser.send(&format!("/login nobody{number} wrong-password"));
    }
    let guessed = || server.log().matches("wrong name or password").count();
    let before = wait_for("the first guess", || Some(guessed()).filter(|&count| count > 0));
    let mut pings = 0;
    while guessed() < before + GUESSES {
        alice.say("alice", "ping");
        bob.expect_message("alice: ping");
        pings += 1;
    }
    let guesses = guessed() - before;
    assert!(pings >= guesses * PINGS_A_GUESS_MIN, "{pings} pings while {guesses} passwords were hashed");
    assert!(guessed() < GUESSERS, "it was over before it could hold up anyone");
    // Who is gone is not hashed for.
    guessers.into_iter().for_each(reset);
    server.logged(&["during a login"]);
    alice.say("alice", "and on");
}

#[test]
fn passwords_are_stored_with_the_rounds_of_today() {
    let server = Server::start(&QUICK);
    server.register("alice");
    let left = server.stop();
    let rounds = |left: &Stopped| {
        let users = fs::read_to_string(left.data.join("users.txt")).unwrap();
        users.lines().last().unwrap().split(':').nth(2).unwrap().to_owned()
    };
    assert_eq!(rounds(&left), "1");
    let server = left.start(&["--kdf-rounds", "3000"]);
    server.logged(&["WARN", "--kdf-rounds 3000"]);
    server.login("alice");
    assert_eq!(rounds(&left), "3000", "raised at the login");
    let left_again = server.stop();
    let server = left_again.start(&QUICK);
    server.login("alice");
    assert_eq!(rounds(&left_again), "3000", "and never lowered");
}

#[test]
fn what_weakens_a_guarantee_says_so() {
    for (policy, words) in [("second", "last second"), ("never", "can lose")] {
        let server = Server::start(&["--sync", policy, "--kdf-rounds", "1"]);
        server.logged(&["WARN", &format!("--sync {policy}"), words]);
        let mut alice = server.register("alice");
        alice.say("alice", "kept by the system all the same");
        // Not a crash of the system, so what was written is there.
        let left = server.kill();
        assert_eq!(fs::read_to_string(left.data.join("chat_history.txt")).unwrap().lines().count(), 1);
    }
}

#[test]
fn a_peer_that_says_nothing_is_asked_whether_it_is_there() {
    // The kernel counts in hundredths of a second there.
    const IDLE_MAX: u64 = 100 * chinwag::limits::KEEPALIVE_IDLE.as_secs();
    if !std::path::Path::new("/proc/self/net/tcp").exists() {
        return skip("there is no /proc/self/net/tcp here");
    }
    let server = Server::start(&QUICK);
    let alice = server.register("alice");
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    let ends = [port(server.address), port(alice.stream().local_addr().unwrap())];
    // While something is under way another timer stands there.
    let idle = wait_for("a timer for keepalive", || {
        let sockets = fs::read_to_string(format!("/proc/{}/net/tcp", server.id())).unwrap();
        sockets.lines().find_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let is_it = fields[1].ends_with(&ends[0]) && fields[2].ends_with(&ends[1]);
            let idle = fields[5].strip_prefix("02:").filter(|_| is_it)?;
            u64::from_str_radix(idle, 16).ok()
        })
    });
    assert!(idle <= IDLE_MAX, "it is asked in {idle} hundredths of a second");
}

#[test]
fn a_rate_is_as_many_lines_as_the_flag_says() {
    const RATE: usize = 1000;
    const LINES: usize = 3 * RATE;
    let rate = RATE.to_string();
    let server =
        Server::start(&["--kdf-rounds", "1", "--per-address", "off", "--sync", "never", "--rate", &rate]);
    let mut alice = server.register("alice");
    let started = Instant::now();
    let lines: String = (0..LINES).map(|number| format!("{number}\n")).collect();
    alice.send_raw(lines.as_bytes());
    for number in 0..LINES {
        alice.expect_message(&format!("alice: {number}"));
        // With the rate of the default it would take minutes.
        assert!(started.elapsed() < PATIENCE, "{number} lines in {:?}", started.elapsed());
    }
    // What is more than the burst takes a second; the millisecond is for the clocks.
    let least = Duration::from_millis(999);
    assert!(started.elapsed() > least, "{LINES} lines in {:?}", started.elapsed());
}

#[test]
fn a_login_shows_as_many_missed_messages_as_the_flag_says() {
    let server = Server::start(&[&QUICK[..], &["--replay", "3"]].concat());
    let mut alice = server.register("alice");
    drop(server.register("bob"));
    server.logged(&["closed", "(bob)"]);
    for number in 0..10 {
        alice.say("alice", &format!("public {number}"));
    }
    let mut bob = server.login("bob");
    bob.send("/quit");
    assert_eq!(bob.until("* bye"), ["alice: public 7", "alice: public 8", "alice: public 9"]);
}

/// The port at which a process listens, as Linux tells it (proc_net_tcp(5)).
pub fn listening_port(process: u32) -> Option<u16> {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?;
    let open: Vec<_> = descriptors.filter_map(|it| fs::read_link(it.ok()?.path()).ok()).collect();
    let sockets = fs::read_to_string(format!("/proc/{process}/net/tcp")).ok()?;
    sockets.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_its_own = open.iter().any(|it| it.to_str() == Some(&format!("socket:[{}]", fields[9])));
        let is_listening = fields[3] == "0A";
        let port = fields[1].rsplit(':').next().filter(|_| is_its_own && is_listening)?;
        u16::from_str_radix(port, 16).ok()
    })
}

#[test]
fn it_serves_whatever_became_of_its_input_and_outputs() {
    if !std::path::Path::new("/proc/self/net/tcp").exists() {
        return skip("there is no /proc/self/net/tcp here");
    }
    for redirections in [
        ">&-",
        ">/dev/full",
        "2>&-",
        "2>/dev/full",
        ">&- 2>&-",
        ">/dev/full 2>/dev/full",
        "<&- >&- 2>&-",
        // Pipes at whose other ends nobody is.
        "",
    ] {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("exec \"$@\" {redirections}"),
            "sh",
            CHINWAGD,
            "--listen",
            "127.0.0.1:0",
        ]);
        command.args(QUICK).arg("--data").arg(data.path());
        let broken_pipe = || std::io::pipe().unwrap().1;
        command.stdin(Stdio::null()).stdout(broken_pipe()).stderr(broken_pipe());
        let mut process = Process::start(&mut command);
        drop(command);
        let port = wait_for("its port", || listening_port(process.id()));
        let mut sessions = ["alice", "bob"].map(|name| {
            let mut session = Client::connect(([127, 0, 0, 1], port).into());
            session.greeted();
            session.send(&format!("/register {name} {PASSWORD}"));
            session.welcomed(name);
            session
        });
        let [alice, bob] = &mut sessions;
        alice.say("alice", "nobody hears what it says");
        bob.expect_message("alice: nobody hears what it says");
        let status = Command::new("kill").args(["-TERM", &process.id().to_string()]).status();
        assert!(status.unwrap().success());
        assert_eq!(process.wait().code(), Some(0), "{redirections}");
        // The data are not what it meant to print.
        assert!(!fs::read_to_string(data.path().join("chat_history.txt")).unwrap().contains("listening"));
        assert_eq!(check(data.path()).0, Some(0), "{redirections}");
    }
}

#[test]
fn what_was_asked_for_and_could_not_be_printed_is_a_failure() {
    let data = tempfile::tempdir().unwrap();
    for flag in ["--help", "--version", "--check"] {
        let words = ["-c", "exec \"$@\" >/dev/full", "sh", CHINWAGD, flag, "--data"];
        let (status, _, said) = run(Command::new("sh").args(words).arg(data.path()));
        assert_eq!(status, Some(1), "{flag}: {said}");
    }
}
