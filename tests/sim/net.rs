//! Sockets as two bounded pipes, with the readiness of an edge-triggered poller. What a poller may tell differs:
//! one says a thing once and not again before an operation would block; another says all that is possible with
//! whatever happens to the socket; and each may tell of what is not so ([`Habits`]).

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use chinwag::ids::ConnectionId;
use chinwag::transport::net::{Accepted, Net, Readiness, Stream};

use super::disk::SimDisk;
use super::gate::Gate;
use super::tally::Tally;
use super::world::XorShift;

/// What the kernel holds of one direction where a test says nothing else.
const RECEIVE_BYTES: usize = 64 << 10;

/// One connection, from its peer's side.
pub struct Peer {
    addr: SocketAddr,
    /// Sent by the peer and not yet taken by the server's kernel.
    unsent: VecDeque<u8>,
    /// In the server's kernel, to be read.
    incoming: VecDeque<u8>,
    /// Written by the server, to be taken by the peer.
    outgoing: VecDeque<u8>,
    /// What `outgoing` holds at most.
    pub capacity: usize,
    /// What one read gives at most.
    pub read_max: usize,
    /// What one write takes at most.
    pub write_max: usize,
    /// Writes fail although the peer is there: the system has no memory for them.
    pub write_fails: bool,
    /// Calls of read and write, to see that nobody is visited in vain.
    pub reads: usize,
    pub writes: usize,
    /// Calls of write that a signal interrupted.
    pub interrupted_writes: usize,
    /// The peer will send no more.
    finished: bool,
    /// The peer has closed: what it is sent is answered with a reset.
    closed: bool,
    reset: bool,
    /// The server will send no more.
    server_finished: bool,
    /// The server has closed.
    server_closed: bool,
    watched_as: Option<ConnectionId>,
    readable_told: bool,
    writable_told: bool,
    hang_up_told: bool,
    /// Something came, or room was made, since anything was told.
    has_news: bool,
    /// All that the server wrote since it was last asked for.
    written: Vec<u8>,
    /// All that the server ever read.
    pub read_bytes: usize,
    /// How often the server was told that something can be read, of a peer that is not known to be lost.
    pub heard: usize,
    /// Bytes of the header with which a proxy announced it. Until the server has read them, it has no client address.
    header_bytes: usize,
    /// What was written to it before that.
    to_anybody: Vec<u8>,
    gate: Gate,
}

/// How a system's poller and calls behave, within what the trait allows.
#[derive(Clone, Copy, Default)]
pub struct Habits {
    /// With any event all is told that is possible at the moment, as epoll(7) does.
    pub tells_all: bool,
    /// A read may be short and not the last, as where nothing is promised.
    pub reads_short: bool,
    /// Of a thousand waits and sockets, so many are told of what is not so.
    pub spurious: u64,
    /// Of a thousand calls, so many are interrupted by a signal.
    pub interrupted: u64,
}

/// The network.
pub struct Network {
    disk: SimDisk,
    peers: Vec<Peer>,
    /// Those that are not accepted yet.
    backlog: VecDeque<usize>,
    newcomers_told: bool,
    is_listening: bool,
    /// What the next calls of accept give before anything else.
    pub accept_errors: VecDeque<io::ErrorKind>,
    pub out_of_descriptors: bool,
    /// There is not even a descriptor to turn anyone away.
    pub no_spare: bool,
    pub watch_fails: bool,
    pub shutdown: bool,
    /// What the server asked for when it last waited, and how many events it got.
    pub last_timeout: Option<Duration>,
    pub last_events: usize,
    pub accepts: usize,
    /// The address of a proxy, through which every other connection comes then.
    pub proxy: Option<SocketAddr>,
    pub habits: Habits,
    pub random: XorShift,
    pub tally: Tally,
}

#[derive(Clone)]
pub struct SimNet(Rc<RefCell<Network>>);

impl SimNet {
    pub fn new(disk: SimDisk) -> SimNet {
        SimNet(Rc::new(RefCell::new(Network {
            disk,
            peers: Vec::new(),
            backlog: VecDeque::new(),
            newcomers_told: false,
            is_listening: true,
            accept_errors: VecDeque::new(),
            out_of_descriptors: false,
            no_spare: false,
            watch_fails: false,
            shutdown: false,
            last_timeout: None,
            last_events: 0,
            accepts: 0,
            proxy: None,
            habits: Habits::default(),
            random: XorShift::new(7),
            tally: Tally::default(),
        })))
    }

    pub fn state(&self) -> RefMut<'_, Network> {
        self.0.borrow_mut()
    }

    pub fn peer(&self, id: usize) -> RefMut<'_, Peer> {
        RefMut::map(self.state(), |state| &mut state.peers[id])
    }

    pub fn connect(&self, addr: SocketAddr) -> usize {
        let id = self.state().peers.len();
        let proxy = self.state().proxy;
        let Some(proxy) = proxy.filter(|_| id.is_multiple_of(2)) else {
            return self.connect_with(addr, Vec::new(), 0);
        };
        self.state().tally.count("connection through a proxy");
        let header = proxy_header(addr, proxy, id.is_multiple_of(4));
        let header_bytes = header.len();
        self.connect_with(proxy, header, header_bytes)
    }

    /// Connects as a proxy that sends `bytes` for a header. That is none, so that nothing may be answered but what is
    /// for anybody.
    pub fn connect_without_header(&self, proxy: SocketAddr, bytes: Vec<u8>) -> usize {
        self.connect_with(proxy, bytes, usize::MAX)
    }

    fn connect_with(&self, addr: SocketAddr, first: Vec<u8>, header_bytes: usize) -> usize {
        let mut state = self.state();
        let id = state.peers.len();
        state.backlog.push_back(id);
        state.peers.push(Peer {
            addr,
            header_bytes,
            to_anybody: Vec::new(),
            unsent: first.into(),
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            capacity: usize::MAX,
            read_max: usize::MAX,
            write_max: usize::MAX,
            write_fails: false,
            reads: 0,
            writes: 0,
            interrupted_writes: 0,
            finished: false,
            closed: false,
            reset: false,
            server_finished: false,
            server_closed: false,
            watched_as: None,
            readable_told: false,
            writable_told: false,
            hang_up_told: false,
            has_news: false,
            written: Vec::new(),
            read_bytes: 0,
            heard: 0,
            gate: Gate::default(),
        });
        id
    }

    /// Whether a call is interrupted this time.
    fn is_interrupted(&self) -> bool {
        let mut state = self.state();
        let of_a_thousand = state.habits.interrupted;
        let interrupted = of_a_thousand > 0 && state.random.below(1_000) < of_a_thousand;
        if interrupted {
            state.tally.count("interrupted call");
        }
        interrupted
    }
}

impl Network {
    /// Connections that the server has not let go of.
    pub fn peers_left(&self) -> usize {
        self.peers.iter().filter(|peer| peer.watched_as.is_some()).count()
    }
}

impl Peer {
    pub fn send(&mut self, bytes: &[u8]) {
        assert!(!self.finished && !self.reset, "who has finished sends no more");
        self.unsent.extend(bytes);
        self.deliver();
    }

    /// Half-closes: what was sent before still arrives.
    pub fn finish(&mut self) {
        self.finished = true;
        self.has_news = true;
    }

    /// Closes both directions; the server learns of the second only by writing.
    pub fn close(&mut self) {
        self.finished = true;
        self.closed = true;
        self.outgoing.clear();
    }

    /// Breaks the connection. What is in the server's kernel can still be read.
    pub fn reset(&mut self) {
        self.reset = true;
        self.unsent.clear();
        self.outgoing.clear();
    }

    /// Takes up to `count` bytes of what the server wrote.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        if count >= self.outgoing.len() {
            return std::mem::take(&mut self.outgoing).into();
        }
        self.outgoing.drain(..count).collect()
    }

    /// All that the server wrote since this was last asked for, whether or not it was taken.
    pub fn take_written(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.written)
    }

    /// Whether the server took it in.
    pub fn is_accepted(&self) -> bool {
        self.watched_as.is_some() || self.server_closed
    }

    /// Whether the server knows whose it is.
    pub fn is_announced(&self) -> bool {
        self.read_bytes >= self.header_bytes
    }

    /// Whether the server has said that no more will come.
    pub fn is_finished_by_server(&self) -> bool {
        self.server_finished
    }

    /// Bytes that the server has not read.
    pub fn unread(&self) -> usize {
        self.unsent.len() + self.incoming.len()
    }

    /// What the server wrote and was not taken.
    pub fn untaken(&self) -> usize {
        self.outgoing.len()
    }

    /// Whether the peer can still send.
    pub fn is_open(&self) -> bool {
        !self.finished && !self.reset && !self.server_closed
    }

    /// Whether nothing more will come.
    pub fn is_at_end(&self) -> bool {
        self.outgoing.is_empty() && (self.server_finished || self.server_closed || self.reset)
    }

    /// Whether the server has let go of it.
    pub fn is_gone(&self) -> bool {
        self.server_closed
    }

    /// Whether the server broke the connection, with what was on its way.
    pub fn was_reset(&self) -> bool {
        self.reset
    }

    /// Whether the peer said that it sends no more.
    pub fn has_finished(&self) -> bool {
        self.finished
    }

    fn deliver(&mut self) {
        if self.server_closed && !self.unsent.is_empty() {
            // The kernel answers what nobody can read with a reset, and what was under way is lost.
            return self.reset();
        }
        let room = RECEIVE_BYTES - self.incoming.len();
        let count = room.min(self.unsent.len());
        self.incoming.extend(self.unsent.drain(..count));
        self.has_news |= count > 0;
    }

    /// What to tell, if anything. `is_spurious` makes something of it that is not so.
    fn readiness(&mut self, habits: Habits, is_spurious: bool) -> Option<Readiness> {
        let id = self.watched_as?;
        let at_end = self.finished && self.unsent.is_empty();
        let is_readable = !self.incoming.is_empty() || at_end || self.reset;
        let is_writable = self.outgoing.len() < self.capacity || self.reset;
        let hung_up = self.reset && !std::mem::replace(&mut self.hang_up_told, true);
        let mut readable = hung_up || is_readable && !std::mem::replace(&mut self.readable_told, true);
        let mut writable = hung_up || is_writable && !std::mem::replace(&mut self.writable_told, true);
        if habits.tells_all && (std::mem::take(&mut self.has_news) || readable || writable) {
            (readable, writable) = (is_readable || hung_up, is_writable || hung_up);
        }
        readable |= is_spurious;
        writable |= is_spurious;
        self.heard += usize::from(readable && !self.reset);
        let reads_short = hung_up || at_end || habits.reads_short || self.read_max < usize::MAX;
        (readable || writable).then_some(Readiness::Connection {
            id,
            readable,
            writable,
            hung_up,
            reads_short,
        })
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        self.deliver();
        let count = bytes.len().min(self.incoming.len()).min(self.read_max);
        if count > 0 {
            self.read_bytes += count;
            for (to, from) in bytes.iter_mut().zip(self.incoming.drain(..count)) {
                *to = from;
            }
            // What comes from here on is told of, as is an end that came already, but was not told of yet.
            self.readable_told &= !self.incoming.is_empty();
            return Ok(count);
        }
        if self.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if self.finished {
            return Ok(0);
        }
        self.readable_told = false;
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, slices: &[IoSlice<'_>], disk: &SimDisk) -> io::Result<usize> {
        self.writes += 1;
        if disk.is_dead() {
            // The machine stands still: what this server still does, nobody will ever know.
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        assert!(!self.server_finished, "nothing is written behind the end");
        if self.reset {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let bytes = slices.iter().map(|slice| &slice[..]).collect::<Vec<_>>().concat();
        assert!(!bytes.is_empty(), "a write of nothing is a visit in vain");
        // A socket may take these words in pieces.
        let words = [&self.to_anybody[..], &bytes].concat();
        let is_for_anybody =
            words.starts_with(b"! server-full: ") || words == b"* the server is shutting down\n";
        assert!(self.is_announced() || is_for_anybody, "before its header: {}", words.escape_ascii());
        if self.closed {
            // The kernel takes it; that nobody is there comes out later.
            self.gate.pass(&bytes, &disk.state());
            self.written.extend(&bytes);
            self.reset();
            return Ok(bytes.len());
        }
        if self.write_fails {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let room = self.capacity.saturating_sub(self.outgoing.len());
        if room == 0 {
            self.writable_told = false;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = bytes.len().min(room).min(self.write_max);
        if count == room {
            self.writable_told = false;
        }
        self.gate.pass(&bytes[..count], &disk.state());
        if !self.is_announced() {
            self.to_anybody.extend(&bytes[..count]);
        }
        self.outgoing.extend(&bytes[..count]);
        self.written.extend(&bytes[..count]);
        Ok(count)
    }
}

/// A header of the PROXY protocol for a connection from an IPv4 address.
pub fn proxy_header(source: SocketAddr, proxy: SocketAddr, is_binary: bool) -> Vec<u8> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (source.ip(), proxy.ip()) else {
        panic!("only IPv4 is simulated")
    };
    if !is_binary {
        return format!("PROXY TCP4 {from} {to} {} {}\r\n", source.port(), proxy.port()).into();
    }
    let ports = [source.port().to_be_bytes(), proxy.port().to_be_bytes()].concat();
    let start = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x12";
    [&start[..], &from.octets(), &to.octets(), &ports, b"\x04\0\x03\r\n\xff"].concat()
}

/// The server's end of a connection.
pub struct SimStream {
    net: SimNet,
    id: usize,
}

impl Stream for SimStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.net.is_interrupted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let read = self.net.peer(self.id).read(bytes);
        if read.as_ref().is_ok_and(|&count| count > 0 && self.net.peer(self.id).unread() > 0) {
            self.net.state().tally.count("short read");
        }
        read
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.net.peer(self.id).watched_as.is_some() && self.net.is_interrupted() {
            self.net.peer(self.id).interrupted_writes += 1;
            return Err(io::ErrorKind::Interrupted.into());
        }
        let disk = self.net.state().disk.clone();
        let written = self.net.peer(self.id).write(slices, &disk);
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        match &written {
            Ok(count) if *count < offered => self.net.state().tally.count("short write"),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.net.state().tally.count("blocked write");
            }
            _ => {}
        }
        written
    }

    fn finish(&mut self) {
        self.net.peer(self.id).server_finished = true;
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let mut peer = self.net.peer(self.id);
        peer.watched_as = None;
        peer.server_closed = true;
        if !peer.incoming.is_empty() {
            // tcp(7): a close with input unread is a reset, which overtakes what was written.
            peer.reset();
        }
    }
}

impl Net for SimNet {
    type Stream = SimStream;

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        let mut state = self.state();
        let before = ready.len();
        if std::mem::take(&mut state.shutdown) {
            ready.push(Readiness::Shutdown);
        }
        let Network { peers, habits, random, tally, .. } = &mut *state;
        for peer in peers.iter_mut().filter(|peer| !(peer.server_closed && peer.unsent.is_empty())) {
            peer.deliver();
            let is_spurious = habits.spurious > 0 && random.below(1_000) < habits.spurious;
            if is_spurious {
                tally.count("spurious event");
            }
            ready.extend(peer.readiness(*habits, is_spurious));
        }
        if state.is_listening && !state.backlog.is_empty() && !state.newcomers_told {
            state.newcomers_told = true;
            ready.push(Readiness::Newcomers);
        }
        state.last_timeout = timeout;
        state.last_events = ready.len() - before;
        Ok(())
    }

    fn accept(&mut self) -> io::Result<Accepted<SimStream>> {
        let mut state = self.state();
        state.accepts += 1;
        if let Some(kind) = state.accept_errors.pop_front() {
            state.tally.count("failed accept");
            return Err(kind.into());
        }
        if state.backlog.is_empty() {
            state.newcomers_told = false;
            return Ok(Accepted::Nobody);
        }
        if state.out_of_descriptors {
            state.tally.count("out of descriptors");
            return Ok(Accepted::OutOfDescriptors);
        }
        let id = state.backlog.pop_front().expect("looked at above");
        let addr = state.peers[id].addr;
        Ok(Accepted::Stream(SimStream { net: self.clone(), id }, addr))
    }

    fn watch(&mut self, stream: &mut SimStream, id: ConnectionId) -> io::Result<()> {
        if self.state().watch_fails {
            self.state().tally.count("failed watch");
            return Err(io::Error::other("no room for another to be waited for"));
        }
        assert!(!self.state().peers.iter().any(|peer| peer.watched_as == Some(id)), "{id:?} is given twice");
        self.peer(stream.id).watched_as = Some(id);
        Ok(())
    }

    fn turn_away(&mut self, message: &[u8]) -> io::Result<()> {
        let newcomer = {
            let mut state = self.state();
            if state.no_spare {
                return Err(io::Error::other("too many open files"));
            }
            state.backlog.pop_front()
        };
        if let Some(id) = newcomer {
            let mut stream = SimStream { net: self.clone(), id };
            let _ = stream.write(&[IoSlice::new(message)]);
            stream.finish();
            let _ = stream.read(&mut [0; 4096]);
        }
        Ok(())
    }

    fn stop_accepting(&mut self) {
        self.state().is_listening = false;
    }
}
