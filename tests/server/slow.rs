//! Readers that are slower than the chat.

use std::io::Read;
use std::net::TcpStream;

use socket2::{Domain, SockRef, Socket, Type};

use crate::common::*;

const MESSAGES: usize = 22_000;
const TEXT_BYTES: usize = 1000;
const MIB: u64 = 1 << 20;

/// A connection whose side of the network holds little.
fn connect_narrow(server: &Server) -> Client {
    let socket = Socket::new(Domain::for_address(server.address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(8192).unwrap();
    socket.connect(&server.address.into()).unwrap();
    let mut client = Client::over(TcpStream::from(socket));
    client.greeted();
    client
}

fn text(number: usize) -> String {
    format!("{number:06} {}", "x".repeat(TEXT_BYTES))
}

/// Says messages in packets and reads the receipts.
fn talk(alice: &mut Client, numbers: std::ops::Range<usize>, line: impl Fn(usize) -> (String, String)) {
    let numbers: Vec<_> = numbers.collect();
    for packet in numbers.chunks(20) {
        let lines: String = packet.iter().map(|&number| line(number).0 + "\n").collect();
        alice.send_raw(lines.as_bytes());
        for &number in packet {
            alice.expect_message(&line(number).1);
        }
    }
}

/// Lets a reader stop, has much said meanwhile, lets it go on, and checks that nothing is missing.
fn check_a_slow_reader(line: impl Fn(usize) -> (String, String)) {
    let server = Server::start(&UNSYNCED);
    let mut alice = server.register("alice");
    let mut slow = connect_narrow(&server);
    slow.send(&format!("/register slow {PASSWORD}"));
    slow.welcomed("slow");
    // What the server needs for a conversation as such is not what is measured.
    talk(&mut alice, 0..400, &line);
    for number in 0..400 {
        slow.expect_message(&line(number).1);
    }
    let before = server.memory_bytes();
    talk(&mut alice, 400..MESSAGES, &line);
    let after = server.memory_bytes();
    if let (Some(before), Some(after)) = (before, after) {
        assert!(after < before + MIB, "the memory grew from {before} to {after}");
    }
    let mut last = String::new();
    for number in 400..MESSAGES {
        let stamp = slow.expect_message(&line(number).1);
        assert!(stamp > last, "{stamp} after {last}");
        last = stamp;
    }
    // Up to date, it follows and is heard.
    slow.say("slow", "I am back");
    alice.expect_message("slow: I am back");
    alice.say("alice", "welcome back");
    slow.expect_message("alice: welcome back");
}

#[test]
fn a_slow_reader_catches_up_without_a_gap() {
    check_a_slow_reader(|number| (text(number), format!("alice: {}", text(number))));
}

#[test]
fn a_slow_reader_catches_up_with_private_messages_in_their_places() {
    check_a_slow_reader(|number| match number % 3 {
        0 => (format!("/msg slow {}", text(number)), format!("alice -> slow: {}", text(number))),
        _ => (text(number), format!("alice: {}", text(number))),
    });
}

#[test]
fn a_slow_reader_is_not_shown_what_others_whispered_meanwhile() {
    let server = Server::start(&UNSYNCED);
    let (mut alice, _bob) = (server.register("alice"), server.register("bob"));
    let mut slow = connect_narrow(&server);
    slow.send(&format!("/register slow {PASSWORD}"));
    slow.welcomed("slow");
    let line = |number: usize| match number % 2 {
        0 => (format!("/msg bob {}", text(number)), format!("alice -> bob: {}", text(number))),
        _ => (text(number), format!("alice: {}", text(number))),
    };
    // Bob reads nothing either, and both are behind.
    talk(&mut alice, 0..8000, line);
    for number in (1..8000).step_by(2) {
        slow.expect_message(&line(number).1);
    }
    slow.say("slow", "that was all");
}

#[test]
fn a_reader_that_stops_in_the_midst_of_answers_gets_all_of_them() {
    let server = Server::start(&UNSYNCED);
    let mut alice = server.register("alice");
    let mut slow = connect_narrow(&server);
    slow.send(&format!("/register slow {PASSWORD}"));
    slow.welcomed("slow");
    talk(&mut alice, 0..3000, |number| (text(number), format!("alice: {}", text(number))));
    // It asks and does not read, while the others go on.
    slow.send("/history 1000\n/users\nmy word\n/history 1");
    talk(&mut alice, 3000..6000, |number| (text(number), format!("alice: {}", text(number))));
    slow.send("/quit");
    let lines: Vec<String> = slow.rest();
    let end = lines.iter().position(|line| line == "* end of history").unwrap();
    let numbers = |lines: &[String]| -> Vec<usize> {
        let texts = lines.iter().filter_map(|line| line.strip_prefix("alice: "));
        texts.map(|text| text[..6].parse().unwrap()).collect()
    };
    // Live up to some message, then the thousand before it again, then live from there on.
    let shown = numbers(&lines[..end]);
    let live = shown.len() - 1000;
    assert_eq!(shown[..live], (0..live).collect::<Vec<_>>(), "what was said before the answer");
    assert_eq!(shown[live..], (live - 1000..live).collect::<Vec<_>>(), "the answer");
    let users = lines.iter().position(|line| line == "* users: alice slow").unwrap();
    let word = lines.iter().position(|line| line == "slow: my word").unwrap();
    assert!(end < users && users < word);
    assert_eq!(lines[lines.len() - 3..], ["slow: my word", "* end of history", "* bye"]);
    let behind = numbers(&lines[end..word]);
    assert_eq!(behind, (live..live + behind.len()).collect::<Vec<_>>(), "and on without a gap");
}

#[test]
fn a_reader_of_a_byte_now_and_then_holds_up_nobody_and_gets_every_byte() {
    const MESSAGES: usize = 8000;
    let server = Server::start(&UNSYNCED);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    let mut slow = connect_narrow(&server);
    slow.send(&format!("/register slow {PASSWORD}"));
    slow.welcomed("slow");
    assert_eq!(slow.raw_line().unwrap().unwrap(), b"* talking to everyone\n");
    let before = server.memory_bytes();
    let mut shown = Vec::new();
    for number in 0..MESSAGES {
        alice.say("alice", &text(number));
        bob.expect_message(&format!("alice: {}", text(number)));
        // Past the buffer of the client, so that it is one byte for the server too.
        let mut byte = [0];
        slow.stream().read_exact(&mut byte).unwrap();
        shown.extend(byte);
    }
    if let (Some(before), Some(after)) = (before, server.memory_bytes()) {
        assert!(after < before + MIB, "the memory grew from {before} to {after}");
    }
    alice.say("alice", "the end");
    while !shown.ends_with(b" alice: the end\n") {
        shown.extend(slow.raw_line().unwrap().expect("it is not cut off"));
    }
    let shown = String::from_utf8(shown).unwrap();
    let messages: String = shown.split_inclusive('\n').filter(|line| !line.starts_with("* ")).collect();
    assert!(messages == server.history(), "it is shown the file, byte by byte");
}

#[test]
fn a_half_closed_reader_that_is_slow_gets_everything_before_the_close() {
    let server = Server::start(&UNSYNCED);
    let mut slow = connect_narrow(&server);
    let mut script = format!("/register slow {PASSWORD}\n");
    for number in 0..3000 {
        script += &format!("{}\n", text(number));
    }
    script += "/history\n";
    // The server stops to read while its answers are not taken: what it does not take yet is sent meanwhile.
    let stream = slow.stream().try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        std::io::Write::write_all(&mut &stream, script.as_bytes()).unwrap();
        SockRef::from(&stream).shutdown(std::net::Shutdown::Write).unwrap();
    });
    slow.welcomed("slow");
    for _ in 0..2 {
        for number in 0..3000 {
            slow.expect_message(&format!("slow: {}", text(number)));
        }
    }
    slow.expect("* end of history");
    assert_eq!(slow.next(), None);
    sender.join().unwrap();
}
