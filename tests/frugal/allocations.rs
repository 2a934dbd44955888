//! Allocations of a whole server on real sockets, in this thread: those of its turns are counted, and not those of
//! the clients around it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use chinwag::clock::World;
use chinwag::limits::POOLED_OUTBOX_BYTES_MAX;
use chinwag::log::directory::Directory;
use chinwag::server::{Options, Server};
use chinwag::transport::net::MioNet;
use tempfile::TempDir;

use crate::common::PATIENCE;
use crate::world::SimWorld;

/// More than what a turn could be sized for by accident, and few enough for a limit of 1,024 open files.
const CLIENTS: usize = 300;
/// Fewer than may wait for their passwords to be hashed.
const JOIN_AT_ONCE: usize = 48;
/// Before what is reused has its size, from turn to turn and from block to block of the log.
const WARM_UP_ROUNDS: usize = 16;
const ROUNDS: usize = 20;

/// A server, and sessions that are logged in to it.
struct Party {
    server: Server<MioNet, Directory>,
    world: SimWorld,
    clients: Vec<TcpStream>,
    allocations: u64,
    /// Allocated by the server and not freed.
    bytes: i64,
    _directory: TempDir,
    /// Held as long as the test goes on.
    _alive: Sender<()>,
}

impl Party {
    fn new() -> Party {
        Party::of(CLIENTS)
    }

    /// With an account of its own for each client, and no room for another connection.
    fn of(clients: usize) -> Party {
        let directory = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (rate, per_address) = (None, None);
        let mut options = Options { rate, per_address, max_connections: clients, ..Options::default() };
        options.rules.kdf_rounds = 1;
        options.rules.limits_addresses = false;
        let storage = Directory::open(&directory.path().join("data")).unwrap();
        let net = MioNet::new(vec![listener]).unwrap();
        let (mut server, mut world) = (None, SimWorld::new());
        let now = world.now();
        let info = allocation_counter::measure(|| server = Some(Server::new(net, storage, options, now)));
        let mut party = Party {
            server: server.expect("it was just made").unwrap_or_else(|error| panic!("{error}")),
            world,
            clients: Vec::new(),
            allocations: 0,
            bytes: info.bytes_current,
            _directory: directory,
            _alive: wake_when_late(address),
        };
        (0..clients).for_each(|_| party.connect(address));
        for first in (0..clients).step_by(JOIN_AT_ONCE) {
            party.join(first..clients.min(first + JOIN_AT_ONCE));
        }
        // Who came is told to all by now; the clock stands still from here on, so nothing is due any more.
        party.world.advance(2_000_000);
        party.say(0, "hello");
        party.hear_all(1);
        party
    }

    fn connect(&mut self, address: SocketAddr) {
        let client = TcpStream::connect(address).unwrap();
        client.set_nodelay(true).unwrap();
        client.set_nonblocking(true).unwrap();
        self.clients.push(client);
        self.turn();
    }

    /// Lets them register at once, and come to the end of what they missed.
    fn join(&mut self, clients: Range<usize>) {
        for client in clients.clone() {
            self.say(client, &format!("/register {} correct-horse", name(client)));
        }
        for client in clients {
            self.until(client, |line| line == "* talking to everyone");
        }
    }

    fn say(&mut self, client: usize, line: &str) {
        self.clients[client].write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn turn(&mut self) {
        let (server, world) = (&mut self.server, &mut self.world);
        let info = allocation_counter::measure(|| {
            server.turn(world).unwrap_or_else(|error| panic!("{error}"));
        });
        self.allocations += info.count_total;
        self.bytes += info.bytes_current;
    }

    /// Lets the server go on until a client has been told a line like this.
    fn until(&mut self, client: usize, is_it: impl Fn(&str) -> bool) {
        let mut told = String::new();
        let started = std::time::Instant::now();
        loop {
            take(&mut self.clients[client], &mut told);
            if told.lines().any(&is_it) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{client} is told {told:?}");
            self.turn();
        }
    }

    /// Lets the server go on until each client has been told so many messages.
    fn hear_all(&mut self, messages: usize) {
        let mut told = vec![String::new(); self.clients.len()];
        let started = std::time::Instant::now();
        loop {
            for (client, told) in self.clients.iter_mut().zip(&mut told) {
                take(client, told);
            }
            let heard =
                |told: &String| told.lines().filter(|line| line.starts_with("20")).count() >= messages;
            if told.iter().all(heard) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{told:?}");
            self.turn();
        }
    }

    /// Allocations in so many rounds of the same, once it is under way.
    fn count(&mut self, mut round: impl FnMut(&mut Party)) -> u64 {
        (0..WARM_UP_ROUNDS).for_each(|_| round(self));
        self.allocations = 0;
        (0..ROUNDS).for_each(|_| round(self));
        self.allocations
    }
}

/// Wakes a server that still waits when the test should long be over, so that the test fails and does not wait with
/// it: where a message is lost, nothing else comes.
fn wake_when_late(address: SocketAddr) -> Sender<()> {
    let (alive, is_alive) = channel();
    std::thread::spawn(move || {
        let mut pause = PATIENCE;
        while is_alive.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            let _ = TcpStream::connect(address);
            pause = Duration::from_secs(1);
        }
    });
    alive
}

fn name(number: usize) -> String {
    format!("guest{number:03}")
}

fn take(client: &mut TcpStream, told: &mut String) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        told.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
}

#[test]
fn a_public_message_allocates_nothing_however_many_get_it() {
    let mut party = Party::new();
    let count = party.count(|party| {
        party.say(0, "hello everyone");
        party.hear_all(1);
    });
    assert_eq!(count, 0);
}

#[test]
fn messages_of_many_in_one_turn_allocate_nothing() {
    let mut party = Party::new();
    let count = party.count(|party| {
        (0..CLIENTS).for_each(|client| party.say(client, "hello everyone"));
        party.hear_all(CLIENTS);
    });
    assert_eq!(count, 0);
}

#[test]
fn a_private_message_and_its_copy_allocate_nothing() {
    let mut party = Party::new();
    let count = party.count(|party| {
        for client in (0..CLIENTS).step_by(2) {
            party.say(client, &format!("/msg {} psst", name(client + 1)));
        }
        party.hear_all(1);
    });
    assert_eq!(count, 0);
}

#[test]
fn a_line_in_a_room_allocates_nothing_however_many_get_it() {
    let mut party = Party::new();
    for client in 0..CLIENTS {
        party.say(client, "/join #room");
        party.until(client, |line| line == "* talking to #room");
    }
    // So long that a buffer with a copy of it would not be kept for the next line.
    let line = "hello room ".repeat(300);
    assert!(line.len() > POOLED_OUTBOX_BYTES_MAX);
    party.say(0, "now");
    party.until(CLIENTS - 1, |line| line.ends_with(": now"));
    let count = party.count(|party| {
        party.say(0, &line);
        party.hear_all(1);
    });
    assert_eq!(count, 0);
}

#[test]
fn a_line_half_typed_keeps_no_more_memory_than_it_has_bytes() {
    const EACH_BYTES_MAX: i64 = 200;
    let mut party = Party::new();
    let mut kept = 0;
    for client in 0..CLIENTS {
        party.clients[client].write_all(b"hello every").unwrap();
        let (server, world) = (&mut party.server, &mut party.world);
        kept += allocation_counter::measure(|| assert!(server.turn(world).is_ok())).bytes_current;
    }
    assert!(kept <= CLIENTS as i64 * EACH_BYTES_MAX, "{kept} bytes for {CLIENTS}");
    (0..CLIENTS).for_each(|client| party.say(client, "one"));
    party.hear_all(CLIENTS);
}

/// With the tables of the accounts, and without what all connections share. The process needs a little more: the
/// allocator keeps some of what was freed.
#[test]
fn an_idle_session_and_its_account_take_at_most_440_bytes() {
    // 16 of them are debug assertions of mio's.
    const EACH_BYTES_MAX: i64 = 440;
    // Lists of a power of two are full, and hash tables of a power of two are half empty.
    const FEW: usize = 64;
    const MANY: usize = 256;
    let held = |clients| {
        let mut party = Party::of(clients);
        // The read marks are saved by then.
        party.world.advance(2_000_000);
        party.say(0, "hello again");
        party.hear_all(1);
        party.bytes
    };
    let each = (held(MANY) - held(FEW)) / (MANY - FEW) as i64;
    assert!(each <= EACH_BYTES_MAX, "{each} bytes");
}
