//! Behind a proxy: the real address of each client in the limits and in the operator's log.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

use crate::common::*;

const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A connection from the proxy's address.
fn from_proxy(server: &Server) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((PROXY, 0)).into()).unwrap();
    socket.connect(&server.address.into()).unwrap();
    Client::over(socket.into())
}

/// A header of version 2 for TCP over IPv6, with a TLV behind the addresses.
fn binary_header(source: &str, port: u16) -> Vec<u8> {
    let source: std::net::Ipv6Addr = source.parse().unwrap();
    let addresses = [source.octets(), std::net::Ipv6Addr::LOCALHOST.octets()].concat();
    let block = [&addresses[..], &port.to_be_bytes(), &5000_u16.to_be_bytes(), b"\x05\0\x02id"].concat();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0", &[block.len() as u8][..], &block].concat()
}

#[test]
fn proxies_the_log_and_the_limits_know_the_address_in_the_header() {
    let flags =
        ["--kdf-rounds", "1", "--per-address", "1", "--proxy-from=127.0.0.2", "--proxy-from", "fd00::/8"];
    let server = Server::start(&flags);
    server.logged(&["connections from 127.0.0.2/32 must begin with a PROXY header"]);
    server.logged(&["connections from fd00::/8 must begin with a PROXY header"]);

    let mut alice = from_proxy(&server);
    alice.send_raw(b"PROXY TCP4 192.0.2.33 127.0.0.1 40123 5000\r\n/register alice correct-horse\n");
    alice.greeted();
    alice.welcomed("alice");
    server.logged(&["INFO  192.0.2.33:40123: alice registered"]);
    let mut bob = from_proxy(&server);
    bob.send_raw(&binary_header("2001:db8::33", 40_124));
    bob.greeted();
    bob.send("/login alice wrong-horse");
    bob.expect_error("bad-login");
    server.logged(&["[2001:db8::33]:40124: "]);

    let mut second = from_proxy(&server);
    second.send_raw(&binary_header("2001:db8::34", 40_125));
    assert!(second.line().starts_with("! too-many-connections: "));
    assert_eq!(second.next(), None);
    server.logged(&["[2001:db8::34]:40125: refused: too many connections of its address"]);

    drop(alice);
    server.logged(&["192.0.2.33:40123: closed: ", "(alice)"]);
    let log = server.log();
    assert!(!log.contains(" 127.0.0.2:"), "nothing is said about the proxy itself:\n{log}");
}

#[test]
fn proxies_a_connection_without_a_header_is_closed_with_one_line_in_the_log() {
    let server = Server::start(&["--kdf-rounds", "1", "--proxy-from", "127.0.0.2"]);
    let (mut silent, mut liar) = (from_proxy(&server), from_proxy(&server));
    let addresses = [&silent, &liar].map(|client| client.stream().local_addr().unwrap());
    assert!(addresses.iter().all(|address| address.ip() == IpAddr::V4(PROXY)));
    // An ordinary connection is not asked for a header, and what looks like one is a line.
    let mut other = server.connect();
    other.send_raw(b"PROXY TCP4 192.0.2.33 127.0.0.1 40123 5000\r\n");
    other.expect_error("not-logged-in");

    liar.send("/login alice correct-horse");
    let mut bytes = [0; 1];
    assert!(liar.raw_line().map_or(true, |line| line.is_none()), "it is closed, maybe with a reset");
    silent.finish();
    assert_eq!(silent.read_some(&mut bytes), 0);
    server.logged(&[&format!("{}: closed: it does not begin with a PROXY header", addresses[1])]);
    server.logged(&[&format!("{}: closed: it ended before its PROXY header was complete", addresses[0])]);
    let log = server.log();
    assert_eq!(log.matches(" 127.0.0.2:").count(), 2, "{log}");
    assert!(!log.contains("192.0.2.33"), "{log}");
}
