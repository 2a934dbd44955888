//! The network: a small trait over a poller, its listeners and its streams, and the real one. Only this file and its
//! folder name mio and the options of sockets, and the signals that end a server, which mio waits for as well.

mod listen;

use std::fs;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener};
use std::os::fd::AsRawFd;
use std::time::Duration;

use log::{debug, warn};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook_mio::v1_0::Signals;
use socket2::{SockRef, TcpKeepalive};

pub use self::listen::listen;
use crate::ids::ConnectionId;
use crate::limits::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, STALL_US};

/// Sockets, nonblocking and edge-triggered: readiness is told once, and lasts until an operation would block, or
/// until a short read where that is promised to be the last. It may be told again meanwhile, and where it is not so.
pub trait Net {
    /// A connection.
    type Stream: Stream;
    /// Waits for at most `timeout`, or without end, and adds what became ready.
    ///
    /// # Errors
    /// Only such as leave no way to go on.
    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()>;
    /// Takes one newcomer.
    ///
    /// # Errors
    /// Those that are not the newcomer's own; it may be tried again later.
    fn accept(&mut self) -> io::Result<Accepted<Self::Stream>>;
    /// Waits for a connection from now on.
    ///
    /// # Errors
    /// The system's.
    fn watch(&mut self, stream: &mut Self::Stream, id: ConnectionId) -> io::Result<()>;
    /// Takes one newcomer where there are no descriptors left, tells it so and closes it.
    ///
    /// # Errors
    /// Where even that is not possible at the moment.
    fn turn_away(&mut self, message: &[u8]) -> io::Result<()>;
    /// Takes no more newcomers.
    fn stop_accepting(&mut self);
}

/// A connection.
pub trait Stream {
    /// Reads what is there; 0 at the end of it.
    ///
    /// # Errors
    /// `WouldBlock`, or the system's.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize>;
    /// Writes what there is room for.
    ///
    /// # Errors
    /// `WouldBlock`, or the system's.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Tells the peer that no more will come.
    fn finish(&mut self);
}

/// Something that became possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// There are newcomers.
    Newcomers,
    /// For a connection.
    Connection {
        /// Which.
        id: ConnectionId,
        /// A read will not block; also at the end of the input, and after an error.
        readable: bool,
        /// A write will not block.
        writable: bool,
        /// The peer is gone altogether.
        hung_up: bool,
        /// A read may give less than it was given room for, and not be the last: the end of the input is behind
        /// it, or urgent data are in it (tcp(7)). Else a short read has emptied the socket (epoll(7)).
        reads_short: bool,
    },
    /// The operator wants an end.
    Shutdown,
}

/// What came of taking a newcomer.
pub enum Accepted<S> {
    /// It is here.
    Stream(S, SocketAddr),
    /// There is none.
    Nobody,
    /// There is no descriptor for it: [`Net::turn_away`].
    OutOfDescriptors,
}

/// The system's sockets.
pub struct MioNet {
    poll: Poll,
    events: Events,
    listeners: Vec<Listener>,
    signals: Signals,
    /// Held so that it can be given up for telling a newcomer that there is no other.
    spare: Option<fs::File>,
}

struct Listener {
    socket: TcpListener,
    /// There may be newcomers.
    ready: bool,
}

const LISTENERS_FROM: usize = u32::MAX as usize + 1;
const SIGNALS: Token = Token(usize::MAX - 1);
const EVENTS_PER_WAIT: usize = 1024;
const TELLS_OF_URGENT_DATA: bool = cfg!(any(target_os = "linux", target_os = "android"));
/// Newcomers who may wait to be accepted, if the system allows as many (listen(2)). Of more than that some are
/// dropped when they believe to be connected already, and would wait for a greeting for ever. std's is 128.
const BACKLOG: i32 = 4096;
/// Linux clones an accepted socket from its listener, options included: five system calls less for each connection.
const ACCEPTED_INHERIT_OPTIONS: bool = cfg!(any(target_os = "linux", target_os = "android"));
/// ENFILE and EMFILE, the same number on every Unix.
const OUT_OF_DESCRIPTORS: [i32; 2] = [23, 24];

impl MioNet {
    /// Waits on these listening sockets, and for SIGTERM, SIGINT and SIGHUP.
    ///
    /// # Errors
    /// The system's.
    pub fn new(listeners: Vec<StdListener>) -> io::Result<MioNet> {
        let poll = Poll::new()?;
        // SIGXFSZ is only caught so that it does not kill: the write that caused it fails with EFBIG.
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGXFSZ])?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        let mut net = MioNet {
            poll,
            events: Events::with_capacity(EVENTS_PER_WAIT),
            listeners: Vec::new(),
            signals,
            spare: spare(),
        };
        for (index, listener) in listeners.into_iter().enumerate() {
            listener.set_nonblocking(true)?;
            if ACCEPTED_INHERIT_OPTIONS {
                set_options(SockRef::from(&listener))?;
            }
            let mut socket = TcpListener::from_std(listener);
            net.poll.registry().register(&mut socket, Token(LISTENERS_FROM + index), Interest::READABLE)?;
            net.listeners.push(Listener { socket, ready: false });
        }
        Ok(net)
    }

    fn accept_from_any(&mut self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        for listener in &mut self.listeners {
            while listener.ready {
                match listener.socket.accept() {
                    Ok(newcomer) => return Ok(Some(newcomer)),
                    Err(error) => match error.kind() {
                        io::ErrorKind::WouldBlock => listener.ready = false,
                        // The newcomer's own trouble: it is gone already (accept(2), "Error handling").
                        io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::Interrupted
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::NetworkDown
                        | io::ErrorKind::NetworkUnreachable
                        | io::ErrorKind::HostUnreachable => {}
                        _ => return Err(error),
                    },
                }
            }
        }
        Ok(None)
    }
}

impl Net for MioNet {
    type Stream = TcpStream;

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        for event in &self.events {
            match event.token() {
                SIGNALS => {
                    if self.signals.pending().any(|signal| signal != SIGXFSZ) {
                        ready.push(Readiness::Shutdown);
                    }
                }
                Token(token) if token >= LISTENERS_FROM => {
                    self.listeners[token - LISTENERS_FROM].ready = true;
                    ready.push(Readiness::Newcomers);
                }
                Token(token) => ready.push(readiness(ConnectionId::at(token), event)),
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<Accepted<TcpStream>> {
        match self.accept_from_any() {
            Ok(None) => Ok(Accepted::Nobody),
            Ok(Some((stream, peer))) => {
                if !ACCEPTED_INHERIT_OPTIONS && let Err(error) = set_options(SockRef::from(&stream)) {
                    debug!("{peer}: socket options: {error}");
                }
                Ok(Accepted::Stream(stream, peer))
            }
            Err(error) if error.raw_os_error().is_some_and(|code| OUT_OF_DESCRIPTORS.contains(&code)) => {
                Ok(Accepted::OutOfDescriptors)
            }
            Err(error) => Err(error),
        }
    }

    fn watch(&mut self, stream: &mut TcpStream, id: ConnectionId) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        // Only so that urgent data are told of.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let interest = interest | Interest::PRIORITY;
        self.poll.registry().register(stream, Token(id.index()), interest)
    }

    fn turn_away(&mut self, message: &[u8]) -> io::Result<()> {
        self.spare = None;
        let outcome = self.accept_from_any();
        if let Ok(Some((stream, _))) = &outcome {
            tell_and_close(stream, message);
        }
        let outcome = outcome.map(|_| ());
        self.spare = spare();
        outcome
    }

    fn stop_accepting(&mut self) {
        self.listeners.clear();
    }
}

impl Stream for TcpStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Read::read(self, bytes)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // send(2) knows of sockets only, and is cheaper than writev(2) by what that needs to find out.
        match slices {
            [slice] => Write::write(self, slice),
            _ => self.write_vectored(slices),
        }
    }

    fn finish(&mut self) {
        // It fails where the peer is gone, and then there is nobody to tell.
        let _ = self.shutdown(Shutdown::Write);
    }
}

fn readiness(id: ConnectionId, event: &Event) -> Readiness {
    let hung_up = event.is_error() || (event.is_read_closed() && event.is_write_closed());
    Readiness::Connection {
        id,
        readable: event.is_readable() || event.is_read_closed() || hung_up,
        // After a hang-up a write tells so, which a waiting one would never.
        writable: event.is_writable() || hung_up,
        hung_up,
        reads_short: hung_up || event.is_read_closed() || event.is_priority() || !TELLS_OF_URGENT_DATA,
    }
}

fn set_options(socket: SockRef<'_>) -> io::Result<()> {
    // What is written is whole turns already: waiting for more would only delay them.
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    // The kernel gives up on a peer that acknowledges nothing when the stall timeout does, and not after 15 minutes of
    // retransmissions (tcp(7)). A shorter value would cut off readers whose window is closed.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(Duration::from_micros(STALL_US)))?;
    Ok(())
}

/// For a newcomer who cannot stay. Reading first what it sent keeps the close from being a reset that could
/// overtake the message.
fn tell_and_close(mut stream: &TcpStream, message: &[u8]) {
    if stream.write(message).is_ok() {
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read(&mut [0; 4096]);
    }
}

/// An output that others made and share, as stderr is, and that is never waited for: it stays as blocking as it was.
pub struct Unwaited<W> {
    output: W,
    /// `None` for what the system does not poll, such as a file, which does not make anyone wait.
    poll: Option<(Poll, Events)>,
}

impl<W: AsRawFd + Write> Unwaited<W> {
    /// What is written at once where there is room: on Linux, whatever takes a byte takes that many (pipe(7)).
    const BYTES_MAX: usize = 4096;

    /// Of an output.
    pub fn new(output: W) -> Unwaited<W> {
        let register = |poll: Poll| {
            let fd = output.as_raw_fd();
            poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::WRITABLE)?;
            Ok((poll, Events::with_capacity(1)))
        };
        let poll = Poll::new().and_then(register).ok();
        Unwaited { output, poll }
    }

    fn has_room(&mut self) -> io::Result<bool> {
        let Some((poll, events)) = &mut self.poll else {
            return Ok(true);
        };
        // To register again is what makes an edge-triggered poller look again.
        let fd = self.output.as_raw_fd();
        poll.registry().reregister(&mut SourceFd(&fd), Token(0), Interest::WRITABLE)?;
        poll.poll(events, Some(Duration::ZERO))?;
        Ok(!events.is_empty())
    }
}

impl<W: AsRawFd + Write> Write for Unwaited<W> {
    /// At most 4096 bytes; or `WouldBlock`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.has_room()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.output.write(&bytes[..bytes.len().min(Self::BYTES_MAX)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn spare() -> Option<fs::File> {
    fs::File::open("/dev/null").inspect_err(|error| warn!("no spare descriptor: {error}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_sockets_have_the_options() {
        let listener = StdListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let mut net = MioNet::new(vec![listener]).expect("the poller works");
        let _client = std::net::TcpStream::connect(address).expect("it listens");
        let mut ready = Vec::new();
        while !ready.contains(&Readiness::Newcomers) {
            net.wait(None, &mut ready).expect("it waits");
        }
        let Ok(Accepted::Stream(stream, _)) = net.accept() else { panic!("nobody came") };
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().expect("it can be asked"));
        assert!(socket.keepalive().expect("it can be asked"));
        assert_eq!(socket.tcp_keepalive_time().expect("it can be asked"), KEEPALIVE_IDLE);
        assert_eq!(socket.tcp_keepalive_interval().expect("it can be asked"), KEEPALIVE_INTERVAL);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        assert_eq!(
            socket.tcp_user_timeout().expect("it can be asked"),
            Some(Duration::from_micros(STALL_US))
        );
    }
}
