//! Thousands of connections to one server, on one poller. Knows nothing of what is said.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::failure;

/// One read takes at most this much, so that who gets a lot does not delay the others.
const READ_BYTES: usize = 128 << 10;
/// Well below the number of ports that the system hands out for one address.
const PEERS_PER_ADDRESS: usize = 4000;

/// Which connection: they are numbered as they come, and none goes before all do.
pub type PeerId = usize;

struct Peer {
    stream: TcpStream,
    /// What its socket did not take yet.
    unsent: Vec<u8>,
    /// It is read only when asked for, by [`Swarm::read`].
    is_paused: bool,
}

/// The connections.
pub struct Swarm {
    server: SocketAddr,
    poll: Poll,
    events: Events,
    peers: Vec<Peer>,
    /// Those that may have more to read than one read took.
    unfinished: Vec<PeerId>,
    buffer: Box<[u8]>,
    /// When all of this must be over.
    deadline: Instant,
    /// How often something was read.
    pub reads: u64,
}

impl Swarm {
    /// None yet, to the server at this address.
    pub fn new(server: SocketAddr, deadline: Instant) -> io::Result<Swarm> {
        Ok(Swarm {
            server,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            peers: Vec::new(),
            unfinished: Vec::new(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            deadline,
            reads: 0,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// One more. Where the server is on loopback, it comes from the loopback address of this number, or from
    /// whatever address has ports left; `receive_bytes` is what the kernel may hold of what is not read.
    pub fn connect(&mut self, address: Option<usize>, receive_bytes: Option<usize>) -> io::Result<PeerId> {
        let address = address.unwrap_or(self.peers.len() / PEERS_PER_ADDRESS);
        let socket = Socket::new(Domain::for_address(self.server), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // Closing resets, so that thousands of ports are free for the next scenario at once.
        socket.set_linger(Some(Duration::ZERO))?;
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let IpAddr::V4(ip) = self.server.ip()
            && ip.is_loopback()
        {
            let own = Ipv4Addr::new(127, 0, (address / 250) as u8, (address % 250) as u8 + 1);
            socket.bind(&SocketAddr::from((own, 0)).into())?;
        }
        match socket.connect(&self.server.into()) {
            Err(error) if !is_under_way(&error) => {
                return Err(failure(format!("connecting to {}: {error}", self.server)));
            }
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        let id = self.peers.len();
        self.poll.registry().register(&mut stream, Token(id), Interest::READABLE | Interest::WRITABLE)?;
        self.peers.push(Peer { stream, unsent: Vec::new(), is_paused: false });
        Ok(id)
    }

    /// Sends, now or when the socket has room.
    pub fn send(&mut self, id: PeerId, bytes: &[u8]) -> io::Result<()> {
        let peer = &mut self.peers[id];
        peer.unsent.extend_from_slice(bytes);
        peer.flush()
    }

    /// From now on it is read only by [`Swarm::read`], or again by [`Swarm::poll`].
    pub fn pause(&mut self, id: PeerId, is_paused: bool) {
        self.peers[id].is_paused = is_paused;
        if !is_paused {
            self.unfinished.push(id);
        }
    }

    /// Reads at most `most` bytes of one connection.
    pub fn read(
        &mut self,
        id: PeerId,
        most: usize,
        on_bytes: &mut dyn FnMut(PeerId, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let most = most.min(self.buffer.len());
        match self.peers[id].stream.read(&mut self.buffer[..most]) {
            Ok(0) => Err(failure(format!("the server closed connection {id}"))),
            Ok(count) => {
                self.reads += 1;
                if count == self.buffer.len() {
                    self.unfinished.push(id);
                }
                on_bytes(id, &self.buffer[..count])
            }
            Err(error) if is_under_way(&error) => Ok(()),
            Err(error) => Err(failure(format!("connection {id}: {error}"))),
        }
    }

    /// Waits for at most `timeout`, and reads what came.
    pub fn poll(
        &mut self,
        timeout: Duration,
        on_bytes: &mut dyn FnMut(PeerId, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if Instant::now() > self.deadline {
            return Err(failure("it takes too long: the server does not answer, or is slow with passwords"));
        }
        crate::go_on()?;
        let timeout = if self.unfinished.is_empty() { timeout } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        let mut readable = std::mem::take(&mut self.unfinished);
        for event in &self.events {
            let id = event.token().0;
            if event.is_writable() {
                self.peers[id].flush()?;
            }
            if event.is_readable() {
                readable.push(id);
            }
        }
        for id in readable.drain(..) {
            if !self.peers[id].is_paused {
                self.read(id, usize::MAX, on_bytes)?;
            }
        }
        if self.unfinished.is_empty() {
            self.unfinished = readable;
        }
        Ok(())
    }
}

impl Peer {
    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if is_under_way(&error) => break,
                Err(error) => return Err(failure(format!("sending: {error}"))),
            }
        }
        Ok(())
    }
}

/// It will go on when the poller says so.
fn is_under_way(error: &io::Error) -> bool {
    /// EINPROGRESS, which has no kind of its own.
    const IN_PROGRESS: i32 = 115;
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected | io::ErrorKind::Interrupted
    ) || error.raw_os_error() == Some(IN_PROGRESS)
}
