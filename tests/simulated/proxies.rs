//! Connections through a proxy: the address in their PROXY header is theirs for every limit, and without a header they
//! are nobody's.

use std::net::IpAddr;

use chinwag::limits::SECOND_US;
use chinwag::server::LoopState;

use crate::sim::harness::{Sim, options};

const PROXY: &str = "10.77.0.9";
const GREETING_LINES: usize = 3;

/// A server that expects headers from 10.77.0.0/16.
fn behind_proxy(per_address: Option<u32>) -> Sim {
    let mut options = options();
    options.per_address = per_address;
    options.proxies = vec!["10.77.0.0/16".parse().unwrap()];
    Sim::with(options)
}

fn open(sim: &mut Sim, client: &str, address: &str) {
    let address: IpAddr = address.parse().unwrap();
    sim.connect_from(client, address);
    sim.settle();
}

fn text_header(source: &str) -> String {
    format!("PROXY TCP4 {source} 198.51.100.1 40123 5000\r\n")
}

/// A header of version 2, with some bytes that telnet would take for commands.
fn binary_header(source: [u8; 4]) -> Vec<u8> {
    let block =
        [&source[..], &[255, 250, 255, 255, 0xff, 0xfb, 0x13, 0x88], &[4, 0, 4, 255, 255, 10, 13]].concat();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"[..], &[block.len() as u8], &block].concat()
}

/// Connects through the proxy and sends a header.
fn come_from(sim: &mut Sim, client: &str, source: &str) {
    open(sim, client, PROXY);
    sim.send(client, text_header(source));
    sim.settle();
}

fn is_greeted(lines: &[String]) -> bool {
    lines.len() == GREETING_LINES && lines[0].starts_with("* chinwag ")
}

#[test]
fn proxies_nothing_is_answered_before_the_last_byte_of_a_header_and_the_next_byte_is_input() {
    for header in [text_header("192.0.2.1").into_bytes(), binary_header([192, 0, 2, 255])] {
        let mut sim = behind_proxy(None);
        let bytes = [&header[..], b"/replay 7\n/replay 8\n"].concat();
        for cut in 0..=bytes.len() {
            let client = format!("client {cut}");
            open(&mut sim, &client, PROXY);
            sim.send(&client, &bytes[..cut]);
            sim.settle();
            let early = sim.output(&client);
            assert_eq!(early.is_empty(), cut < header.len(), "{cut}: {early:?}");
            sim.send(&client, &bytes[cut..]);
            sim.settle();
            let output = [early, sim.output(&client)].concat();
            assert!(is_greeted(&output[..GREETING_LINES]), "{cut}: {output:?}");
            assert_eq!(output[GREETING_LINES..], ["* replay 7", "* replay 8"], "{cut}");
        }
    }
}

#[test]
fn proxies_a_header_may_come_byte_by_byte_with_a_session_behind_it() {
    for read_max in [1, 7, usize::MAX] {
        let mut sim = behind_proxy(Some(32));
        open(&mut sim, "alice", PROXY);
        sim.peer("alice").read_max = read_max;
        let lines = "/register alice correct-horse\nhello\n/quit\n";
        sim.send("alice", [&binary_header([203, 0, 113, 9])[..], lines.as_bytes()].concat());
        sim.peer("alice").finish();
        sim.run_seconds(5);
        let output = sim.output("alice");
        assert!(is_greeted(&output[..GREETING_LINES]), "{output:?}");
        assert!(output[4].ends_with(" alice: hello"), "{output:?}");
        assert_eq!(output.last().unwrap(), "* bye");
        assert!(sim.peer("alice").is_gone() && !sim.peer("alice").was_reset());
    }
}

#[test]
fn proxies_what_follows_a_header_is_bounded_like_any_input() {
    let mut sim = behind_proxy(None);
    open(&mut sim, "flood", PROXY);
    sim.send("flood", text_header("192.0.2.1") + &"/replay 1\n".repeat(20_000));
    sim.run_for(SECOND_US / 10);
    assert!(sim.server.usage().input_bytes <= 4096);
    assert!(sim.peer("flood").unread() > 180_000);
    assert!(sim.output("flood").len() <= GREETING_LINES + 22);
}

#[test]
fn proxies_other_peers_are_not_asked_and_not_believed() {
    let mut sim = behind_proxy(Some(1));
    open(&mut sim, "honest", "192.0.2.1");
    assert!(is_greeted(&sim.output("honest")));
    open(&mut sim, "liar", "10.78.0.9");
    assert!(is_greeted(&sim.output("liar")));
    // Were it believed, this address would have too many connections.
    sim.send("liar", text_header("192.0.2.1"));
    sim.settle();
    let output = sim.output("liar");
    assert!(output.len() == 1 && output[0].starts_with("! not-logged-in: "), "{output:?}");
    assert!(sim.peer("liar").is_open());
}

#[test]
fn proxies_connections_count_against_the_address_in_their_header() {
    let mut sim = behind_proxy(Some(2));
    let too_many = "! too-many-connections: your address already has 2 that are not logged in";
    open(&mut sim, "direct", "192.0.2.1");
    come_from(&mut sim, "first", "192.0.2.1");
    come_from(&mut sim, "second", "192.0.2.1");
    assert!(is_greeted(&sim.output("first")));
    assert_eq!(sim.output("second"), [too_many]);
    assert!(sim.peer("second").is_gone() && !sim.peer("second").was_reset());
    come_from(&mut sim, "neighbour", "192.0.2.2");
    assert!(is_greeted(&sim.output("neighbour")));
    // An IPv6 /64 is one address, in a header too.
    for (number, is_admitted) in [(1, true), (2, true), (3, false)] {
        let client = format!("six {number}");
        open(&mut sim, &client, PROXY);
        sim.send(&client, format!("PROXY TCP6 2001:db8:1:2:{number}::9 2001:db8::1 40123 5000\r\n"));
        sim.settle();
        assert_eq!(is_greeted(&sim.output(&client)), is_admitted, "{client}");
    }
    // A place is free again as soon as one of them is in, or gone.
    sim.enter("first", "first");
    come_from(&mut sim, "third", "192.0.2.1");
    assert!(is_greeted(&sim.output("third")));
    sim.peer("third").close();
    sim.run_seconds(1);
    come_from(&mut sim, "fourth", "192.0.2.1");
    assert!(is_greeted(&sim.output("fourth")));
}

#[test]
fn proxies_without_a_header_yet_count_against_no_address() {
    let mut sim = behind_proxy(Some(2));
    for number in 0..20 {
        open(&mut sim, &format!("silent {number}"), PROXY);
    }
    come_from(&mut sim, "client", "192.0.2.1");
    assert!(is_greeted(&sim.output("client")));
    // A proxy that speaks for itself has its own address, whichever version it speaks.
    let own: [&[u8]; 3] = [
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0",
        b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n",
    ];
    for (number, header) in own.iter().enumerate() {
        sim.send(&format!("silent {number}"), header);
        sim.settle();
        let output = sim.output(&format!("silent {number}"));
        assert_eq!(is_greeted(&output), number < 2, "{output:?}");
        assert_eq!(output[0].starts_with("! too-many-connections: "), number == 2, "{output:?}");
    }
}

#[test]
fn proxies_a_bad_header_or_none_closes_the_connection_without_a_word() {
    let long = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x02\x09"[..], &[0; 521]].concat();
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(4000));
    let wrong: [&[u8]; 7] = [
        b"/register mallory correct-horse\n",
        b"\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n/register mallory correct-horse\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        b"GET / HTTP/1.1\r\n\r\n",
        &long,
        endless.as_bytes(),
    ];
    for bytes in wrong {
        let mut sim = behind_proxy(Some(32));
        open(&mut sim, "mallory", PROXY);
        sim.send("mallory", bytes);
        sim.settle();
        assert!(sim.peer("mallory").is_gone(), "{}", bytes.escape_ascii());
        assert_eq!(sim.peer("mallory").take_written(), b"");
        assert_eq!(sim.server.usage().connections, 0);
        assert_eq!(sim.disk.read("users.txt"), "");
    }
    // The connection ends within the header, or breaks.
    for (length, is_reset) in [(0, false), (9, false), (9, true)] {
        let mut sim = behind_proxy(Some(32));
        open(&mut sim, "mallory", PROXY);
        sim.send("mallory", &text_header("192.0.2.1")[..length]);
        if is_reset {
            sim.peer("mallory").reset();
        } else {
            sim.peer("mallory").finish();
        }
        sim.settle();
        assert!(sim.peer("mallory").is_gone());
        assert_eq!(sim.server.usage().connections, 0);
    }
}

#[test]
fn proxies_a_header_must_come_within_the_login_deadline_and_does_not_extend_it() {
    let mut sim = behind_proxy(Some(32));
    for client in ["silent", "slow", "late"] {
        open(&mut sim, client, PROXY);
    }
    for byte in b"PROXY TCP4 192.0.2.1 192.0.2.2 40123 5000".chunks(1) {
        sim.send("slow", byte);
        sim.run_seconds(1);
    }
    sim.run_for(18 * SECOND_US);
    assert!(["silent", "slow", "late"].iter().all(|client| sim.peer(client).is_open()));
    sim.send("late", text_header("192.0.2.7"));
    sim.settle();
    assert!(is_greeted(&sim.output("late")));
    sim.run_seconds(3);
    for client in ["silent", "slow"] {
        assert!(sim.peer(client).is_gone(), "{client}");
        assert_eq!(sim.peer(client).take_written(), b"", "{client}");
    }
    assert_eq!(sim.output("late"), ["! login-timeout: you did not log in within 60 s"]);
}

#[test]
fn proxies_a_header_that_came_in_time_counts_if_the_server_itself_is_late() {
    for read_max in [1, usize::MAX] {
        let mut sim = behind_proxy(Some(32));
        open(&mut sim, "client", PROXY);
        sim.peer("client").read_max = read_max;
        sim.send("client", text_header("192.0.2.7"));
        sim.world.advance(70 * SECOND_US);
        sim.settle();
        let output = sim.output("client");
        assert!(is_greeted(&output[..GREETING_LINES]), "{output:?}");
        assert_eq!(output[GREETING_LINES..], ["! login-timeout: you did not log in within 60 s"]);
    }
}

#[test]
fn proxies_failed_logins_and_new_accounts_count_against_the_address_in_the_header() {
    let mut sim = behind_proxy(Some(32));
    come_from(&mut sim, "alice", "198.51.100.1");
    sim.enter("alice", "alice");
    for number in 0..4 {
        come_from(&mut sim, "guesser", "192.0.2.1");
        sim.say("guesser", &format!("/login nobody{number} wrong-horse"));
    }
    let output = sim.output("guesser");
    assert!(output.last().unwrap().starts_with("* after failed logins, "), "{output:?}");
    // Someone else behind the same proxy does not wait.
    come_from(&mut sim, "neighbour", "192.0.2.2");
    sim.say("neighbour", "/login alice correct-horse");
    assert!(sim.output("neighbour").iter().any(|line| line == "* welcome alice"));

    for number in 0..10 {
        come_from(&mut sim, "maker", "203.0.113.1");
        sim.enter("maker", &format!("maker{number}"));
    }
    come_from(&mut sim, "maker", "203.0.113.1");
    sim.say("maker", "/register onemore correct-horse");
    let output = sim.output("maker");
    assert!(output.last().unwrap().starts_with("! too-many-accounts: "), "{output:?}");
    come_from(&mut sim, "neighbour", "203.0.113.2");
    sim.enter("neighbour", "onemore");
}

#[test]
fn proxies_connections_without_a_header_yield_like_all_that_are_not_logged_in() {
    let mut options = options();
    options.max_connections = 4;
    options.proxies = vec![PROXY.parse().unwrap()];
    let mut sim = Sim::with(options);
    sim.join("alice");
    for client in ["half", "silent"] {
        open(&mut sim, client, PROXY);
    }
    sim.send("half", "PROXY TCP4 192.0.2.1 ");
    open(&mut sim, "direct", "192.0.2.1");
    // The proxy holds most of the places.
    open(&mut sim, "next", "192.0.2.2");
    assert!(sim.peer("half").is_gone());
    // A connection that was announced counts for its own network. All have one now, and the oldest yields.
    sim.send("silent", text_header("192.0.2.77"));
    sim.settle();
    assert!(is_greeted(&sim.output("silent")));
    open(&mut sim, "another", "192.0.2.9");
    assert!(sim.peer("silent").is_gone() && sim.peer("next").is_open());
    for number in 0..100 {
        open(&mut sim, &format!("flood {number}"), PROXY);
        assert!(sim.server.usage().connections <= 4);
    }
    sim.say("alice", "still here");
    assert!(sim.output("alice").iter().any(|line| line.ends_with("alice: still here")));
}

#[test]
fn proxies_a_shutdown_does_not_wait_for_a_header() {
    let mut sim = behind_proxy(Some(32));
    open(&mut sim, "silent", PROXY);
    open(&mut sim, "deaf", PROXY);
    sim.peer("deaf").capacity = 0;
    open(&mut sim, "broken", PROXY);
    sim.peer("broken").close();
    sim.net.state().shutdown = true;
    for _ in 0..10 {
        if sim.turn() == LoopState::Finished {
            return assert_eq!(sim.server.usage().connections, 0);
        }
        sim.world.advance(SECOND_US);
    }
    panic!("it is never over");
}
