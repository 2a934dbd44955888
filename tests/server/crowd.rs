//! Many at once: more connections than there is room for, and such as go away without a word.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::common::*;
use crate::faults::check;

/// Connects and returns the error that it was told before the close, or the session.
fn try_connect(server: &Server) -> Result<Client, String> {
    let mut client = Client::connect(server.address);
    let first = client.line();
    if first.starts_with("! ") {
        assert_eq!(client.next(), None, "who is refused is closed");
        return Err(first);
    }
    client.greeted();
    Ok(client)
}

/// Closes as a crash does: with a reset.
pub fn reset(client: Client) {
    SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn out_of_descriptors_the_newcomer_is_told_and_nobody_else_notices() {
    if !is_there("prlimit") {
        return;
    }
    let setup = Setup::new(&["--kdf-rounds", "1", "--rate", "off", "--per-address", "off"]);
    let server = setup.under(["prlimit", "--nofile=64"]).start();
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    let mut others = Vec::new();
    let mut refusals = Vec::new();
    for number in 0..98 {
        match try_connect(&server) {
            // Whoever is logged in does not yield to others.
            Ok(mut client) => {
                client.send(&format!("/register n{number} {PASSWORD}"));
                client.welcomed(&format!("n{number}"));
                others.push(client);
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    assert!(others.len() >= 25 && refusals.len() >= 98 - 62, "{} stay", others.len());
    assert!(refusals.iter().all(|refusal| refusal.starts_with("! server-full: ")), "{refusals:?}");
    alice.say("alice", "nothing happened");
    bob.expect_message("alice: nothing happened");
    for other in &mut others {
        other.expect_message("alice: nothing happened");
    }
    assert_eq!(alice.ask_history("/history").len(), 1);
    others.truncate(20);
    let late = wait_for("room for a newcomer", || try_connect(&server).ok());
    drop(late);
}

#[test]
fn a_limit_that_sinks_below_what_is_open_only_keeps_newcomers_out() {
    if !is_there("prlimit") {
        return;
    }
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    let mut others: Vec<_> = (0..20).map(|_| server.connect()).collect();
    let limit = |count: usize| {
        let limit = format!("--nofile={count}:4096");
        let status = Command::new("prlimit").args([&limit, "--pid", &server.id().to_string()]).status();
        assert!(status.unwrap().success());
    };
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
    limit(open);
    // Numbers that were free below the limit are taken first.
    let mut last = Vec::new();
    wait_for("the last descriptor to be taken", || match try_connect(&server) {
        Ok(client) => {
            last.push(client);
            None
        }
        Err(_) => Some(()),
    });
    assert!(last.len() <= 2, "{}", last.len());
    for _ in 0..40 {
        let refusal = try_connect(&server).err().expect("there is no descriptor for it");
        assert!(refusal.starts_with("! server-full: "), "{refusal}");
    }
    server.logged(&["descriptor"]);
    alice.say("alice", "here as ever");
    others.truncate(10);
    let mut late = wait_for("room for a newcomer", || try_connect(&server).ok());
    late.send(&format!("/register late {PASSWORD}"));
    late.welcomed("late");
}

#[test]
fn no_more_than_the_wanted_number_of_connections_are_taken() {
    let server = Setup::new(&["--kdf-rounds", "1", "--max-connections", "3"]).start();
    let mut first: Vec<_> = ["ann", "ben", "cat"].map(|name| server.register(name)).into();
    for _ in 0..5 {
        let refusal = try_connect(&server).err().expect("there is none");
        assert!(refusal.starts_with("! server-full: "), "{refusal}");
    }
    first.pop();
    let mut again = wait_for("room for a newcomer", || try_connect(&server).ok());
    // Whoever is not logged in yields.
    let _last = try_connect(&server).expect("there is room");
    again.expect_error("server-full");
}

#[test]
fn an_address_takes_only_its_part_of_the_connections() {
    let server = Setup::new(&["--kdf-rounds", "1", "--per-address", "2"]).start();
    let mut first: Vec<_> = (0..2).map(|_| try_connect(&server).expect("there is room")).collect();
    for _ in 0..5 {
        let refusal = try_connect(&server).err().expect("there is none");
        assert!(refusal.starts_with("! too-many-connections: "), "{refusal}");
    }
    let elsewhere = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let address: std::net::SocketAddr = "127.0.0.2:0".parse().unwrap();
    match elsewhere.bind(&SockAddr::from(address)) {
        Ok(()) => {
            elsewhere.connect(&server.address.into()).unwrap();
            Client::over(TcpStream::from(elsewhere)).greeted();
        }
        Err(error) => skip(&format!("no second address to come from: {error}")),
    }
    first.pop();
    wait_for("room for a newcomer", || try_connect(&server).ok());
}

#[test]
fn an_address_makes_ten_accounts_and_an_account_has_sixteen_sessions() {
    let server = Server::start(&["--kdf-rounds", "1", "--per-address", "100"]);
    let mut sessions: Vec<_> = (0..10).map(|number| server.register(&format!("user{number}"))).collect();
    let mut one_more = server.connect();
    one_more.send(&format!("/register user10 {PASSWORD}"));
    one_more.expect_error("too-many-accounts");
    sessions.extend((1..16).map(|_| server.login("user0")));
    one_more.send(&format!("/login user0 {PASSWORD}"));
    one_more.welcomed("user0");
    sessions[0].expect_error("replaced");
}

#[test]
fn what_was_sent_before_a_reset_is_read_and_kept() {
    let server = Server::start(&QUICK);
    let mut bob = server.register("bob");
    for round in 0..10 {
        // It may still be reading what it missed, and half of the times it asks for more.
        let mut alice = if round == 0 { server.register("alice") } else { server.login("alice") };
        let asks = ["", "/users\n", "/history\n/users\n", "/history 2\n"][round % 4];
        let packet: String = (0..100).map(|number| format!("last words {round} {number}\n{asks}")).collect();
        alice.send_raw(packet.as_bytes());
        reset(alice);
        for number in 0..100 {
            bob.expect_message(&format!("alice: last words {round} {number}"));
        }
    }
    assert_eq!(server.history().lines().count(), 1000);
    wait_for("alice to be gone", || {
        bob.send("/users");
        let users = bob.line();
        bob.line();
        (users == "* users: bob").then_some(())
    });
    assert_eq!(server.log().matches("closed: ").count(), 10);
}

#[test]
fn a_private_message_before_a_reset_reaches_the_other_sessions_of_its_author() {
    let server = Server::start(&QUICK);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    alice.say("alice", "hello");
    bob.expect_message("alice: hello");
    for number in 0..50 {
        let mut second = server.login("alice");
        second.send(&format!("/msg bob psst {number}"));
        reset(second);
        bob.expect_message(&format!("alice -> bob: psst {number}"));
        alice.expect_message(&format!("alice -> bob: psst {number}"));
    }
}

#[test]
fn nothing_is_done_that_comes_behind_a_goodbye() {
    let server = Server::start(&QUICK);
    let mut bob = server.register("bob");
    for round in 0..10 {
        let mut alice = if round == 0 { server.register("alice") } else { server.login("alice") };
        alice.send("hello\n/history\n/quit\nnot this");
        match round % 2 {
            0 => reset(alice),
            _ => assert!(alice.rest().ends_with(&["* bye".to_owned()])),
        }
        bob.expect_message("alice: hello");
    }
    bob.say("bob", "only these");
    assert_eq!(server.history().lines().count(), 11);
}

#[test]
fn a_peer_that_is_gone_while_its_password_is_hashed_is_forgotten() {
    // It would take longer than any test waits.
    let server = Server::start(&["--kdf-rounds", "10000000", "--per-address", "off"]);
    let mut alice = server.connect();
    alice.send(&format!("/register alice {PASSWORD}"));
    let mut bob = server.connect();
    bob.send("/users");
    bob.expect_error("not-logged-in");
    reset(alice);
    server.logged(&["closed", "during a login"]);
    assert_eq!(std::fs::read(server.file("users.txt")).unwrap(), b"");
}

#[test]
fn two_hundred_who_connect_and_say_nothing_are_in_nobodys_way() {
    let server = Server::start(&QUICK);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    for number in 0..20 {
        alice.say("alice", &format!("message {number}"));
        bob.expect_message(&format!("alice: message {number}"));
    }
    for (number, stream) in silent.into_iter().enumerate() {
        match number % 4 {
            0 => drop(stream),
            1 => reset(Client::over(stream)),
            // Half a line, and gone.
            2 => (&stream).write_all(b"/regis").unwrap(),
            _ => stream.shutdown(std::net::Shutdown::Write).unwrap(),
        }
    }
    bob.say("bob", "still here");
    alice.expect_message("bob: still here");
    wait_for("all of them to be gone", || {
        let closed = server.log().matches("closed: ").count();
        (closed == 200).then_some(())
    });
}

/// Lets this process and those it starts have thousands of files open; if it may not, says that the test is skipped.
fn can_open_thousands() -> bool {
    if !is_there("prlimit") {
        return false;
    }
    let own = std::process::id().to_string();
    let (status, _, said) = run(Command::new("prlimit").args(["--nofile=8000:", "--pid", &own]));
    if status != Some(0) {
        skip(&format!("8000 open files are not allowed: {said}"));
    }
    status == Some(0)
}

/// Begins to connect.
fn begin_to_connect(server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    // It says that this is under way.
    let _ = socket.connect(&server.address.into());
    TcpStream::from(socket)
}

/// Waits until a connection that was begun is greeted.
fn greeted(newcomer: &TcpStream) {
    wait_for("the connection", || newcomer.peer_addr().ok());
    newcomer.set_nonblocking(false).unwrap();
    Client::over(newcomer.try_clone().unwrap()).greeted();
}

#[test]
fn a_thousand_who_come_while_the_server_is_busy_wait_and_are_all_greeted() {
    const NEWCOMERS: usize = 1000;
    let backlog_max = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    if backlog_max.trim().parse().is_ok_and(|most: usize| most < NEWCOMERS) {
        return skip(&format!("this system lets only {} wait", backlog_max.trim()));
    }
    if !can_open_thousands() {
        return;
    }
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    server.signal("STOP");
    let newcomers: Vec<_> = (0..NEWCOMERS).map(|_| begin_to_connect(&server)).collect();
    for newcomer in &newcomers {
        wait_for("the connection", || newcomer.peer_addr().ok());
    }
    // From here on nothing happens that could remind the server of those whom its first turn does not take.
    server.signal("CONT");
    newcomers.iter().for_each(greeted);
    alice.say("alice", "welcome to all");
}

#[test]
fn five_thousand_who_connect_at_once_are_all_greeted_and_the_others_go_on() {
    const NEWCOMERS: usize = 5000;
    if !can_open_thousands() {
        return;
    }
    let server = Server::start(&QUICK);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    let mut newcomers: Vec<_> = (0..4000).map(|_| begin_to_connect(&server)).collect();
    // Of more than 4096 who wait the system would drop some: so many are in by then that they never are.
    greeted(&newcomers[1000]);
    newcomers.extend((newcomers.len()..NEWCOMERS).map(|_| begin_to_connect(&server)));
    for number in 0..50 {
        alice.say("alice", &format!("message {number}"));
        bob.expect_message(&format!("alice: message {number}"));
    }
    newcomers.swap_remove(1000);
    newcomers.iter().for_each(greeted);
    bob.say("bob", "all are here");
    alice.expect_message("bob: all are here");
    drop(newcomers);
    server.register("late");
    wait_for("all of them to be gone", || {
        (server.log().matches("closed: ").count() >= NEWCOMERS).then_some(())
    });
    bob.say("bob", "and gone");
}

#[test]
fn resets_at_any_point_of_a_login_leave_nothing_behind() {
    const ROUNDS: usize = 84;
    const GUESTS: usize = 12;
    // So that a password takes some turns.
    let server = Server::start(&["--kdf-rounds", "50000", "--rate", "off", "--per-address", "off"]);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    for round in 0..ROUNDS {
        let command = if round < GUESTS { "register" } else { "login" };
        let packet = format!("/{command} guest{} {PASSWORD}\n/history\n", round % GUESTS);
        let mut guest = server.connect();
        // Cut at seven places: before the first byte, within each part, and behind the last.
        guest.send_raw(&packet.as_bytes()[..packet.len() * (round % 7) / 6]);
        if round % 2 == 0 {
            // By then the server has begun with what it was sent.
            alice.say("alice", "before");
            bob.expect_message("alice: before");
        }
        reset(guest);
        alice.say("alice", "behind");
        bob.expect_message("alice: behind");
    }
    wait_for("all of them to be gone", || (server.log().matches("closed: ").count() == ROUNDS).then_some(()));
    alice.send("/users");
    alice.expect("* users: alice bob");
    alice.expect("* 2 online");
    // Each account is there as a whole, or not at all.
    for number in 0..GUESTS {
        let mut guest = server.connect();
        guest.send(&format!("/login guest{number} {PASSWORD}"));
        let mut answer = guest.line();
        if answer.starts_with("* after failed logins, ") {
            // A login that was cut off while it was checked counts as a failure.
            answer = guest.line();
        }
        if answer != format!("* welcome guest{number}") {
            server.register(&format!("guest{number}"));
        }
    }
    let left = server.stop();
    assert_eq!(check(&left.data).0, Some(0));
    let users = std::fs::read_to_string(left.data.join("users.txt")).unwrap();
    assert_eq!(users.lines().count(), GUESTS + 2);
}

#[test]
fn a_flood_of_one_does_not_hold_up_another() {
    let server = Server::start(&QUICK);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    let mut stream = alice.stream().try_clone().unwrap();
    let (heard, is_heard) = std::sync::mpsc::channel();
    // It goes on until the other was heard: were that to wait for its end, it would wait for ever.
    let writer = std::thread::spawn(move || {
        let mut sent = 0;
        while is_heard.try_recv().is_err() {
            let packet: String = (sent..sent + 5000).map(|number| format!("flood {number}\n")).collect();
            stream.write_all(packet.as_bytes()).unwrap();
            sent += 5000;
        }
        stream.write_all(b"the end\n").unwrap();
        sent
    });
    let reader = std::thread::spawn(move || alice.until("alice: the end"));
    bob.expect_message("alice: flood 0");
    for number in 0..5 {
        bob.send(&format!("a word between {number}"));
        bob.until(&format!("bob: a word between {number}"));
    }
    heard.send(()).unwrap();
    let sent = writer.join().unwrap();
    let lines = reader.join().unwrap();
    let flood: Vec<_> = lines.into_iter().filter(|line| line.starts_with("alice: ")).collect();
    assert_eq!(flood.len(), sent);
    for (number, line) in flood.iter().enumerate() {
        assert_eq!(line, &format!("alice: flood {number}"), "none is lost, and all are in order");
    }
}

#[test]
fn who_asks_while_others_never_pause_is_answered() {
    // Synced, so that who reads is quicker than who talks.
    let server = Server::start(&QUICK);
    let (alice, mut bob) = (server.register("alice"), server.register("bob"));
    let stream = alice.stream().try_clone().unwrap();
    let (mut sink, mut source) = (alice.stream().try_clone().unwrap(), alice.stream().try_clone().unwrap());
    // Enough that messages come in every turn, as long as it takes.
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while std::io::Read::read(&mut sink, &mut buffer).is_ok_and(|count| count > 0) {}
    });
    let writer = std::thread::spawn(move || {
        let packet = "on and on\n".repeat(1000);
        while source.write_all(packet.as_bytes()).is_ok() {}
    });
    for _ in 0..5 {
        bob.expect_message("alice: on and on");
        bob.send("/users");
        bob.until("* 2 online");
        bob.send("/history 3");
        bob.until("* end of history");
    }
    let mut carol = server.register("carol");
    carol.send("here I am");
    carol.until("carol: here I am");
    carol.finish();
    assert!(carol.rest().iter().all(|line| line.starts_with("alice: ")));
    bob.send("/quit");
    bob.until("* bye");
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    writer.join().unwrap();
    reader.join().unwrap();
}
