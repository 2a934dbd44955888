//! The slab of connections: who may read, who may write, who is due, who is closing. It knows no chat.
//!
//! Readiness is edge-triggered, so it is kept here until an operation would block, or a short read says that there
//! is no more: a connection with input that was not read to the end, or with lines that were not handled, is *ready*
//! and is looked at again in the next turn; one that did not get all its bytes written is *dirty*.

mod connection;
mod output;

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use log::warn;
use slab::Slab;

use self::connection::Life;
pub use self::connection::{Activity, Connection, Hold};
pub use self::output::Attention;
use crate::ids::ConnectionId;
use crate::limits::{
    ACCEPT_PAUSE_US, DISCARD_PAUSE_US, INPUT_BYTES_BEFORE_LOGIN_MAX, Micros, POOLED_INPUTS_MAX,
};
use crate::protocol::line::InputBuffer;
use crate::protocol::record::Timestamp;
use crate::transport::feed::Feed;
use crate::transport::net::{Accepted, Net, Readiness, Stream};
use crate::transport::outbox::OwnPool;

/// The connections.
pub struct Reactor<N: Net> {
    net: N,
    connections: Slab<Connection<N::Stream>>,
    /// No connection was ever at this place of the table or behind it.
    end: usize,
    /// To be looked at for input in the next turn, if they still exist and are ready.
    ready: Vec<ConnectionId>,
    /// The same for connections that are not logged in, which need not all fit into a turn.
    ready_strangers: VecDeque<ConnectionId>,
    /// To be flushed in this turn, or the next.
    dirty: Vec<ConnectionId>,
    doomed: Vec<ConnectionId>,
    /// The next moment that each connection has something due.
    deadlines: BTreeSet<(Micros, ConnectionId)>,
    /// Live connections that have not taken all of the feed, or of what else waits for them.
    lagging: usize,
    pending_accepts: bool,
    /// After an error of `accept`.
    accepts_from_us: Micros,
    readiness: Vec<Readiness>,
    input_pool: Vec<InputBuffer>,
    direct_pool: OwnPool,
    sink: Box<[u8]>,
}

impl<N: Net> Reactor<N> {
    /// Over these sockets, with room for so many connections.
    pub fn new(net: N, connections: usize) -> Reactor<N> {
        Reactor {
            net,
            // A table that grows is copied in the midst of a turn, and leaves holes in memory where it was.
            connections: Slab::with_capacity(connections),
            end: 0,
            ready: Vec::new(),
            ready_strangers: VecDeque::new(),
            dirty: Vec::new(),
            doomed: Vec::new(),
            deadlines: BTreeSet::new(),
            lagging: 0,
            pending_accepts: false,
            accepts_from_us: 0,
            readiness: Vec::new(),
            input_pool: Vec::new(),
            direct_pool: Vec::new(),
            sink: vec![0; 4096].into_boxed_slice(),
        }
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// How many of them are not closed at the end of this turn.
    pub fn staying(&self) -> usize {
        self.connections.len() - self.doomed.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// A connection; `None` where it is gone, or about to be.
    pub fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection<N::Stream>> {
        self.connections.get_mut(id.index()).filter(|connection| connection.life != Life::Doomed)
    }

    /// All connections.
    pub fn connections(&self) -> impl Iterator<Item = &Connection<N::Stream>> {
        self.connections.iter().map(|(_, connection)| connection)
    }

    /// All connections' numbers.
    pub fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        self.connections.iter().map(|(index, _)| ConnectionId::at(index))
    }

    /// When there is something to do without any socket's doing: 0 for now, `None` for never.
    pub fn due_us(&self) -> Option<Micros> {
        let is_idle = self.ready.is_empty() && self.ready_strangers.is_empty();
        if !is_idle || !self.dirty.is_empty() || !self.doomed.is_empty() {
            return Some(0);
        }
        let accepts = self.pending_accepts.then_some(self.accepts_from_us);
        accepts.into_iter().chain(self.deadlines.first().map(|&(due, _)| due)).min()
    }

    /// Waits, and notes what became ready. Whether the operator wants an end. `mark` is the last message of the feed
    /// at the last flush.
    ///
    /// # Errors
    /// Only such as leave no way to go on.
    pub fn wait(&mut self, timeout: Option<Duration>, mark: Timestamp) -> io::Result<bool> {
        let mut readiness = std::mem::take(&mut self.readiness);
        self.net.wait(timeout, &mut readiness)?;
        let mut shutdown = false;
        for ready in readiness.drain(..) {
            match ready {
                Readiness::Shutdown => shutdown = true,
                Readiness::Newcomers => self.pending_accepts = true,
                Readiness::Connection { id, readable, writable, hung_up, reads_short } => {
                    let Some(connection) = self.connections.get_mut(id.index()) else { continue };
                    connection.hung_up |= hung_up;
                    connection.readable |= readable;
                    if readable && !connection.hung_up {
                        // Now, not when the bytes are read: they may wait, while more is sent to a peer that is gone.
                        connection.heard = connection.received(mark);
                    }
                    connection.reads_short |= reads_short;
                    // Told with every event, but news only for who was waiting for it.
                    let has_room_again =
                        writable && !std::mem::replace(&mut connection.socket.writable, true);
                    if readable {
                        self.schedule(id);
                    }
                    if has_room_again {
                        self.make_dirty(id);
                    }
                }
            }
        }
        self.readiness = readiness;
        Ok(shutdown)
    }

    /// Whether [`Reactor::accept`] has something to do.
    pub fn has_pending_accepts(&self, now_us: Micros) -> bool {
        self.pending_accepts && now_us >= self.accepts_from_us
    }

    /// Takes one newcomer, who is then either admitted or turned away; `None` where there is none. `full` is for
    /// connections for which there is no descriptor.
    pub fn accept(&mut self, now_us: Micros, full: &str) -> Option<(N::Stream, SocketAddr)> {
        match self.net.accept() {
            Ok(Accepted::Stream(stream, peer)) => return Some((stream, peer)),
            Ok(Accepted::Nobody) => self.pending_accepts = false,
            Ok(Accepted::OutOfDescriptors) => {
                warn!("out of file descriptors: turning a newcomer away");
                if let Err(error) = self.net.turn_away(full.as_bytes()) {
                    self.pause_accepting(now_us, &error);
                }
            }
            Err(error) => self.pause_accepting(now_us, &error),
        }
        None
    }

    /// Closes the connection of a newcomer, with a refusal.
    pub fn turn_away(&mut self, mut stream: N::Stream, refusal: &str) {
        // In a flood of connections most are gone already.
        if stream.write(&[IoSlice::new(refusal.as_bytes())]).is_ok() {
            stream.finish();
            // Reading first what it sent keeps the close from being a reset that could overtake the refusal.
            let _ = stream.read(&mut self.sink);
        }
    }

    /// Adds the connection of a newcomer; `None` where the system does not take it.
    pub fn admit(&mut self, mut stream: N::Stream, now_us: Micros) -> Option<ConnectionId> {
        let entry = self.connections.vacant_entry();
        let id = ConnectionId::at(entry.key());
        if let Err(error) = self.net.watch(&mut stream, id) {
            warn!("a newcomer cannot be waited for: {error}");
            return None;
        }
        self.end = self.end.max(id.index() + 1);
        entry.insert(Connection::new(stream, now_us));
        Some(id)
    }

    /// Looks at a connection's input in the next turn.
    pub fn schedule(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.index())
            && !std::mem::replace(&mut connection.is_ready, true)
        {
            if connection.is_logged_in { self.ready.push(id) } else { self.ready_strangers.push_back(id) }
        }
    }

    /// Looks at the input of these in the next turn, before that of others.
    pub fn schedule_first(&mut self, ids: &[ConnectionId]) {
        let others = std::mem::take(&mut self.ready);
        ids.iter().for_each(|&id| self.schedule(id));
        self.ready.extend(others);
    }

    /// Takes the logged-in connections to be looked at in this turn, for their input.
    pub fn take_ready(&mut self, ready: &mut Vec<ConnectionId>) {
        ready.clear();
        std::mem::swap(&mut self.ready, ready);
        ready.retain(|&id| {
            let connection = self.connections.get_mut(id.index()).filter(|it| it.is_logged_in);
            connection.is_some_and(|it| std::mem::replace(&mut it.is_ready, false))
        });
    }

    /// How many times [`Reactor::take_ready_stranger`] has something to take.
    pub fn ready_strangers(&self) -> usize {
        self.ready_strangers.len()
    }

    /// Takes the connection without a login that has been waiting longest to be looked at; `None` if it is gone or
    /// logged in.
    pub fn take_ready_stranger(&mut self) -> Option<ConnectionId> {
        let id = self.ready_strangers.pop_front()?;
        let connection = self.connections.get_mut(id.index()).filter(|it| !it.is_logged_in)?;
        std::mem::replace(&mut connection.is_ready, false).then_some(id)
    }

    /// Notes that a connection is logged in.
    pub fn note_login(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.index()) else { return };
        connection.is_logged_in = true;
        connection.line_due_us = 0;
        if connection.is_ready {
            self.ready.push(id);
        }
    }

    /// Reads all that is there, or until there is no room; returns how many bytes came.
    pub fn fill(&mut self, id: ConnectionId, now_us: Micros) -> usize {
        let Some(connection) = self.connections.get_mut(id.index()) else { return 0 };
        let room_max = connection.input_bytes_max();
        let mut bytes = 0;
        // Of bytes as they come: telnet's commands leave the room as it is, and could go on for ever.
        while connection.readable && bytes < room_max && connection.input.waiting_bytes() < room_max {
            let (stream, mut room) = (&mut connection.socket.stream, 0);
            let room_left = room_max - connection.input.waiting_bytes();
            let mut read = |into: &mut [u8]| {
                room = into.len().min(room_left);
                stream.read(&mut into[..room])
            };
            let outcome = connection.input.fill(&mut self.input_pool, &mut read);
            bytes += connection.note_read(outcome, room, now_us);
        }
        connection.input.release(&mut self.input_pool, POOLED_INPUTS_MAX);
        bytes
    }

    /// Reads once, without taking telnet commands out, and appends what came to `bytes`. Afterwards `bytes` holds at
    /// most [`INPUT_BYTES_BEFORE_LOGIN_MAX`], so that [`Reactor::push_input`] can take any part of it.
    pub fn read_raw(&mut self, id: ConnectionId, bytes: &mut Vec<u8>, now_us: Micros) {
        let Some(connection) = self.connections.get_mut(id.index()).filter(|it| it.readable) else { return };
        let room = self.sink.len().min(INPUT_BYTES_BEFORE_LOGIN_MAX - bytes.len());
        let outcome = connection.socket.stream.read(&mut self.sink[..room]);
        let count = connection.note_read(outcome, room, now_us);
        bytes.extend_from_slice(&self.sink[..count]);
    }

    /// Adds bytes that were read with [`Reactor::read_raw`] to the empty input of a connection.
    pub fn push_input(&mut self, id: ConnectionId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(id.index()).filter(|_| !bytes.is_empty()) else {
            return;
        };
        let read = |into: &mut [u8]| {
            into[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        };
        connection.input.fill(&mut self.input_pool, read).expect("copying cannot fail");
    }

    /// Gives back the input buffer of a connection that was looked at, unless it is to be looked at again at once.
    pub fn shelve_input(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.index())
            && !connection.is_ready
        {
            connection.input.shelve(&mut self.input_pool, POOLED_INPUTS_MAX);
        }
    }

    /// Throws away what a lingering connection still sends, a bounded amount, and goes on after a pause; it is doomed
    /// at the end of its input.
    pub fn discard_input(&mut self, id: ConnectionId, now_us: Micros) {
        let Some(connection) = self.connections.get_mut(id.index()) else { return };
        for _ in 0..16 {
            match connection.socket.stream.read(&mut self.sink) {
                Ok(0) => return self.doom(id),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.readable = false;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.doom(id),
            }
        }
        self.arm(id, now_us + DISCARD_PAUSE_US);
    }

    /// Closes a connection once its outbox, which follows no feed any more, is empty.
    pub fn close(&mut self, id: ConnectionId) {
        let connection = &mut self.connections[id.index()];
        assert!(!connection.outbox.is_live(), "who follows the feed is never done");
        if connection.socket.broken || (connection.hung_up && connection.ended) {
            return self.doom(id);
        }
        if connection.is_open() {
            connection.life = Life::Flushing;
            self.make_dirty(id);
        }
    }

    /// Closes a connection at the end of the turn, whatever it has still to be sent.
    pub fn doom(&mut self, id: ConnectionId) {
        let connection = &mut self.connections[id.index()];
        if connection.life != Life::Doomed {
            connection.life = Life::Doomed;
            self.doomed.push(id);
        }
    }

    /// Writes once more, tells the peer that no more will come, and closes at the end of the turn.
    pub fn dismiss(&mut self, id: ConnectionId, feed: &Feed, now_us: Micros) {
        if !self.connections[id.index()].is_broken() {
            // More than once only where a signal interrupts it.
            for _ in 0..8 {
                let connection = &self.connections[id.index()];
                if connection.is_writable() && connection.outbox.pending_direct() > 0 {
                    self.send(id, &[], feed, now_us);
                }
            }
            let stream = &mut self.connections[id.index()].socket.stream;
            stream.finish();
            let _ = stream.read(&mut self.sink);
        }
        self.doom(id);
    }

    /// Tells the peer that no more will come, and closes at the end of the turn.
    pub fn finish(&mut self, id: ConnectionId) {
        let connection = &mut self.connections[id.index()];
        if !connection.is_broken() {
            connection.socket.stream.finish();
        }
        self.doom(id);
    }

    /// Sees to it that a connection is looked at by [`Reactor::take_due`] at `due_us`, or before.
    pub fn arm(&mut self, id: ConnectionId, due_us: Micros) {
        let connection = &mut self.connections[id.index()];
        if connection.deadline_us == 0 || due_us < connection.deadline_us {
            self.deadlines.remove(&(connection.deadline_us, id));
            connection.deadline_us = due_us;
            self.deadlines.insert((due_us, id));
        }
    }

    /// Whatever was due on a connection is not any more.
    pub fn disarm(&mut self, id: ConnectionId) {
        let connection = &mut self.connections[id.index()];
        self.deadlines.remove(&(connection.deadline_us, id));
        connection.deadline_us = 0;
    }

    /// A connection with something due, which then has no deadline.
    pub fn take_due(&mut self, now_us: Micros) -> Option<ConnectionId> {
        let &(due_us, id) = self.deadlines.first().filter(|&&(due_us, _)| due_us <= now_us)?;
        self.deadlines.remove(&(due_us, id));
        self.connections[id.index()].deadline_us = 0;
        Some(id)
    }

    /// Accepts no more connections.
    pub fn stop_accepting(&mut self) {
        self.net.stop_accepting();
        self.pending_accepts = false;
    }

    /// Drops the connections that are closed. Their numbers are given again only from here on, so that no event
    /// of this turn can reach a connection it was not meant for. `gone` is told of each.
    pub fn reap(&mut self, mut gone: impl FnMut(ConnectionId)) {
        while let Some(id) = self.doomed.pop() {
            let mut connection = self.connections.remove(id.index());
            self.deadlines.remove(&(connection.deadline_us, id));
            self.lagging -= usize::from(connection.lags);
            connection.outbox.clear(&mut self.direct_pool);
            if connection.is_dirty {
                self.dirty.retain(|&other| other != id);
            }
            gone(id);
        }
    }

    fn pause_accepting(&mut self, now_us: Micros, error: &io::Error) {
        warn!("cannot accept, waiting a little: {error}");
        self.accepts_from_us = now_us + ACCEPT_PAUSE_US;
    }
}
