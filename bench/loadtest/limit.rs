//! The bare loop: what a single thread can do at best, to hold the server against.
//!
//! It reads, appends, syncs once a turn, and writes. No accounts, no history, no parsing but for one thing: what
//! a read cut off in the midst of a line waits for its rest. It reads each socket only as often as it must, and
//! writes to each connection once a turn, from one shared buffer.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::failure;

/// Said to everyone who comes, so that they know that they are expected.
pub const GREETING: &[u8] = b"* welcome\n";

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 64 << 10;
/// More than this waits for no socket: whoever uses this loop reads all the time.
const UNSENT_BYTES_MAX: usize = 64 << 20;

/// Who gets what a connection says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everyone.
    All,
    /// The one that came right before or after it.
    Peer,
    /// That one and itself.
    Pair,
}

impl Audience {
    const NAMES: [(&'static str, Audience); 3] =
        [("all", Audience::All), ("peer", Audience::Peer), ("pair", Audience::Pair)];

    /// As it is given as an argument.
    pub fn as_str(self) -> &'static str {
        let named = Audience::NAMES.iter().find(|(_, audience)| *audience == self);
        named.expect("all have a name").0
    }

    /// What that argument means.
    pub fn parse(text: &str) -> Option<Audience> {
        Audience::NAMES.iter().find(|(name, _)| *name == text).map(|(_, audience)| *audience)
    }
}

struct Connection {
    stream: TcpStream,
    /// The beginning of a line whose end was not read yet.
    unended: Vec<u8>,
    /// How much of what was ever said to all it was sent.
    position: u64,
}

struct Limit {
    audience: Audience,
    poll: Poll,
    listener: TcpListener,
    connections: Slab<Connection>,
    file: fs::File,
    /// What was said, from `base` on: this turn's, and what someone's socket did not take.
    said: Vec<u8>,
    base: u64,
    /// Up to where it is on disk.
    synced: u64,
    /// Who said what in this turn, as ranges of `said`; only where not all get everything.
    parts: Vec<(usize, Range<usize>)>,
    /// Somebody's socket has room again.
    has_room: bool,
}

/// Runs until the last connection has gone.
pub fn run(audience: Audience, path: &Path) -> io::Result<()> {
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let file = fs::File::options().create(true).append(true).open(path)?;
    let mut limit = Limit {
        audience,
        poll,
        listener,
        connections: Slab::new(),
        file,
        said: Vec::new(),
        base: 0,
        synced: 0,
        parts: Vec::new(),
        has_room: false,
    };
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; READ_BYTES];
    while limit.turn(&mut events, &mut buffer)? {}
    Ok(())
}

impl Limit {
    /// Returns whether to go on.
    fn turn(&mut self, events: &mut Events, buffer: &mut [u8]) -> io::Result<bool> {
        match self.poll.poll(events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &*events {
            if event.token() == LISTENER {
                self.accept()?;
                continue;
            }
            self.has_room |= event.is_writable();
            if event.is_readable() && !self.read(event.token().0, buffer) {
                self.connections.remove(event.token().0);
                if self.connections.is_empty() {
                    return Ok(false);
                }
            }
        }
        let end = self.base + self.said.len() as u64;
        if end > self.synced {
            self.file.write_all(&self.said[(self.synced - self.base) as usize..])?;
            self.file.sync_data()?;
        }
        match self.audience {
            Audience::All if end > self.synced || self.has_room => self.write_to_all(end)?,
            Audience::All => {}
            Audience::Peer | Audience::Pair => self.write_to_peers()?,
        }
        self.synced = end;
        self.has_room = false;
        Ok(true)
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let entry = self.connections.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(entry.key()), interest)?;
            let greeted = stream.write(GREETING)?;
            assert_eq!(greeted, GREETING.len(), "a new socket has room for a line");
            let position = self.base + self.said.len() as u64;
            entry.insert(Connection { stream, unended: Vec::new(), position });
        }
    }

    /// Adds what a connection says; returns whether it is still there.
    fn read(&mut self, id: usize, buffer: &mut [u8]) -> bool {
        let Some(connection) = self.connections.get_mut(id) else { return true };
        let from = self.said.len();
        let is_there = loop {
            match connection.stream.read(buffer) {
                Ok(0) => break false,
                Ok(count) => {
                    let bytes = &buffer[..count];
                    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                    if whole > 0 {
                        self.said.append(&mut connection.unended);
                        self.said.extend_from_slice(&bytes[..whole]);
                    }
                    connection.unended.extend_from_slice(&bytes[whole..]);
                    // Less than there was room for: there is no more, and more would be told of (epoll(7)).
                    if count < buffer.len() {
                        break true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break false,
            }
        };
        if self.audience != Audience::All && self.said.len() > from {
            self.parts.push((id, from..self.said.len()));
        }
        is_there
    }

    fn write_to_all(&mut self, end: u64) -> io::Result<()> {
        let mut all_have_it = true;
        for (_, connection) in &mut self.connections {
            if connection.position < end {
                let unsent = &self.said[(connection.position - self.base) as usize..];
                connection.position += write(&mut connection.stream, unsent)? as u64;
                all_have_it &= connection.position == end;
            }
        }
        if all_have_it {
            self.said.clear();
            self.base = end;
        } else if self.said.len() > UNSENT_BYTES_MAX {
            return Err(failure("someone does not read"));
        }
        Ok(())
    }

    fn write_to_peers(&mut self) -> io::Result<()> {
        for (id, range) in self.parts.drain(..) {
            let itself = (self.audience == Audience::Pair).then_some(id);
            for id in [id ^ 1].into_iter().chain(itself) {
                if let Some(connection) = self.connections.get_mut(id)
                    && write(&mut connection.stream, &self.said[range.clone()])? < range.len()
                {
                    return Err(failure("a socket has no room for the few bytes that are under way"));
                }
            }
        }
        self.base += self.said.len() as u64;
        self.said.clear();
        Ok(())
    }
}

fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Ok(count) => Ok(count),
        // Who is gone is noticed when reading.
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
            Ok(bytes.len())
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error),
    }
}
