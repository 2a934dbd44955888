//! A client's connection, on a thread of its own that waits for the socket and for the user at once. When it is lost,
//! it is made again, with growing pauses. Only here does a client touch a socket, a clock or a thread; it is behind the
//! feature `link`, and no part of the server.

use std::io::{self, Read, Write};
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Waker};
use socket2::{SockRef, TcpKeepalive};

use self::command_queue::CommandQueue;
pub use self::messages::{Command, End, LinkOptions, Update};
use super::{Client, Event};

mod command_queue;
mod messages;

const SOCKET: mio::Token = mio::Token(0);
const WAKER: mio::Token = mio::Token(1);
/// Lines that may wait for their answers before further ones are taken from the user.
const UNANSWERED_MAX: usize = 64;
/// One attempt to connect to one address.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a server may take to greet.
const GREETING_MAX: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const GOODBYE_MAX: Duration = Duration::from_secs(2);
/// Reads before the user is listened to again.
const READS_PER_TURN_MAX: usize = 64;
/// Refusals of a login that may be over soon.
const PASSING: [&str; 3] = ["busy", "not-saved", "no-randomness"];
/// From one attempt to the next; the last one stays.
const PAUSE_SECONDS: [u64; 6] = [1, 2, 4, 8, 15, 30];
/// A peer that is gone without a word is noticed after this much silence, and some questions.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The user's end of the connection. The user leaves where it is dropped.
pub struct Link {
    command_queue: Arc<CommandQueue>,
    waits: bool,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// Connects, and goes on by itself. `update` is told what happens, on the thread of the connection.
    ///
    /// # Errors
    /// Where the server cannot be reached at all.
    pub fn start(
        server: &str,
        client: Client,
        link_options: LinkOptions,
        update: impl FnMut(&Client, Update) + Send + 'static,
    ) -> io::Result<Link> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let command_queue = Arc::new(CommandQueue::default());
        let mut worker = Worker {
            server: server.to_owned(),
            client,
            poll,
            command_queue: Arc::clone(&command_queue),
            stream: None,
            link_options,
            attempts: 0,
            retry_at: None,
            greeted_by: None,
            was_greeted: false,
            leave_by: None,
            has_left: false,
            finishes: false,
            refusal: None,
            final_words: None,
            has_logged_in: false,
            has_more: false,
            update,
        };
        worker.connect()?;
        let thread = thread::Builder::new().name("link".into()).spawn(move || worker.run())?;
        Ok(Link { command_queue, waits: link_options.holds_lines, waker, thread: Some(thread) })
    }

    /// Passes on what the user wants. A script waits here if the server is far behind.
    pub fn send(&self, command: Command) {
        self.pass_on(command);
    }

    /// Passes on a line. Returns whether it was passed on: after the session has ended, a line is not sent, and no
    /// event says so.
    pub fn submit(&self, line: &str) -> bool {
        self.pass_on(Command::Submit(line.to_owned()))
    }

    fn pass_on(&self, command: Command) -> bool {
        let waits = self.waits && !matches!(command, Command::Leave);
        let is_added = self.command_queue.add(command, waits);
        let _ = self.waker.wake();
        is_added
    }

    /// Waits for the end, and for all that is told of it.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.send(Command::Leave);
    }
}

struct Worker<F> {
    server: String,
    client: Client,
    poll: Poll,
    command_queue: Arc<CommandQueue>,
    stream: Option<TcpStream>,
    link_options: LinkOptions,
    /// To connect, since it last worked.
    attempts: usize,
    retry_at: Option<Instant>,
    /// By when the server must have greeted; `None` once it has.
    greeted_by: Option<Instant>,
    /// It has greeted once, so it is a chinwag server that can be waited for.
    was_greeted: bool,
    /// The user leaves, by then in any case.
    leave_by: Option<Instant>,
    /// The server was told so.
    has_left: bool,
    /// The user leaves once everything is answered.
    finishes: bool,
    /// The last error that answers no line: it may be why the connection ends.
    refusal: Option<String>,
    /// Why this connection is of no use any more.
    final_words: Option<String>,
    /// The user has said how.
    has_logged_in: bool,
    /// There may be more to read.
    has_more: bool,
    update: F,
}

impl<F: FnMut(&Client, Update)> Worker<F> {
    fn run(mut self) {
        let mut events = Events::with_capacity(8);
        let end = loop {
            if let Err(error) = self.poll.poll(&mut events, self.timeout())
                && error.kind() != io::ErrorKind::Interrupted
            {
                break Some(format!("waiting for the network: {error}"));
            }
            if let Some(end) = self.turn() {
                break end;
            }
        };
        let unacknowledged = self.client.unacknowledged().map(str::to_owned).collect();
        if self.stream.take().is_some() {
            self.client.disconnected();
        }
        // Without a connection, each of them is not sent.
        for line in self.command_queue.end() {
            self.client.submit(&line);
        }
        self.tell();
        (self.update)(&self.client, Update::Ended(End { why: end, unacknowledged }));
    }

    fn timeout(&self) -> Option<Duration> {
        if self.has_more {
            return Some(Duration::ZERO);
        }
        let due = [self.retry_at, self.greeted_by, self.leave_by].into_iter().flatten().min()?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// Does what can be done. Returns why it is over, where it is.
    fn turn(&mut self) -> Option<Option<String>> {
        let now = Instant::now();
        if self.leave_by.is_some_and(|by| by <= now) {
            return Some(None);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            if let Err(error) = self.connect()
                && let Some(end) = self.lost(&error.to_string())
            {
                return Some(end);
            }
        }
        if let Some(why) = self.move_bytes(now)
            && let Some(end) = self.lost(&why)
        {
            return Some(end);
        }
        None
    }

    /// Reads, does what the user wants, and writes. Returns why the connection is gone, where it is.
    fn move_bytes(&mut self, now: Instant) -> Option<String> {
        let mut gone = self.read();
        self.tell();
        self.obey();
        self.tell();
        gone = self.final_words.take().or(gone).or_else(|| self.write());
        gone.or_else(|| self.not_greeted(now))
    }

    /// Another kind of server that waits for the client's first word never greets, and is not asked again.
    fn not_greeted(&mut self, now: Instant) -> Option<String> {
        self.greeted_by.filter(|by| *by <= now)?;
        self.link_options.reconnects &= self.was_greeted;
        let seconds = GREETING_MAX.as_secs();
        Some(format!("no greeting within {seconds} s; is it a chinwag server?"))
    }

    fn connect(&mut self) -> io::Result<()> {
        let mut outcome = Err(io::Error::new(io::ErrorKind::NotFound, "no such host"));
        for address in self.server.to_socket_addrs()? {
            outcome = std::net::TcpStream::connect_timeout(&address, CONNECT_MAX);
            if outcome.is_ok() {
                break;
            }
        }
        let stream = outcome?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
        self.stream = Some(stream);
        self.greeted_by = Some(Instant::now() + GREETING_MAX);
        self.client.connected();
        Ok(())
    }

    /// The connection is gone, or could not be made. Returns why it is over, where it is.
    fn lost(&mut self, why: &str) -> Option<Option<String>> {
        let refusal = self.refusal.take();
        let why = refusal.unwrap_or_else(|| why.to_owned());
        if self.stream.take().is_some() {
            self.client.disconnected();
            // For the next connection.
            self.client.log_in_again();
            self.tell();
        }
        self.greeted_by = None;
        if self.leave_by.is_some() {
            return Some(None);
        }
        if !self.link_options.reconnects {
            return Some(Some(why));
        }
        let pause = Duration::from_secs(PAUSE_SECONDS[self.attempts.min(PAUSE_SECONDS.len() - 1)]);
        self.attempts += 1;
        self.retry_at = Some(Instant::now() + pause);
        (self.update)(&self.client, Update::Lost(why, pause));
        None
    }

    fn read(&mut self) -> Option<String> {
        let mut stream = self.stream.take()?;
        let outcome = self.read_from(&mut stream);
        self.stream = Some(stream);
        outcome
    }

    fn read_from(&mut self, stream: &mut TcpStream) -> Option<String> {
        let mut buffer = [0; 16 << 10];
        self.has_more = false;
        for _ in 0..READS_PER_TURN_MAX {
            match stream.read(&mut buffer) {
                Ok(0) => return Some("the server closed it".into()),
                Ok(count) => {
                    self.client.receive(&buffer[..count]);
                    // At once, so that a long history is not gathered here.
                    self.tell();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(error.to_string()),
            }
        }
        // Readiness is not told again before a read would block.
        self.has_more = true;
        None
    }

    fn write(&mut self) -> Option<String> {
        let stream = self.stream.as_mut()?;
        while !self.client.output().is_empty() {
            match stream.write(self.client.output()) {
                Ok(count) => self.client.sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(error.to_string()),
            }
        }
        None
    }

    fn tell(&mut self) {
        while let Some(event) = self.client.next_event() {
            self.heed(&event);
            (self.update)(&self.client, Update::Event(event));
        }
    }

    /// What an event means for the connection.
    fn heed(&mut self, event: &Event) {
        let was_in = self.client.name().is_some();
        match event {
            Event::Greeted => {
                self.was_greeted = true;
                self.greeted_by = None;
            }
            Event::Welcome(_) => {
                self.attempts = 0;
                self.refusal = None;
            }
            Event::Error(refusal) => {
                self.link_options.reconnects &= !refusal.ends_the_session();
                self.refusal = Some(refusal.to_string());
            }
            // Whoever was in before is not let in again.
            Event::LoginFailed(refusal) | Event::TokenRefused { refusal, .. } if was_in => {
                self.link_options.reconnects &= PASSING.contains(&refusal.code.as_str());
                self.final_words = Some(refusal.to_string());
            }
            Event::NotChinwag(line) => {
                self.link_options.reconnects = false;
                self.final_words = Some(format!("that is not a chinwag server; it says: {line}"));
            }
            _ => {}
        }
    }

    fn obey(&mut self) {
        if self.command_queue.user_leaves() {
            self.hurry();
        }
        while self.client.unanswered() < UNANSWERED_MAX && !self.has_left {
            // A refused login is followed by another.
            let only_login = self.link_options.holds_lines && self.has_logged_in && !self.client.is_in();
            match self.command_queue.take(only_login) {
                Some(Command::LogIn(credentials)) => {
                    self.has_logged_in = true;
                    self.client.log_in(credentials);
                }
                Some(Command::Resume { name, token }) => {
                    self.has_logged_in = true;
                    self.client.resume(name, token);
                }
                Some(Command::Submit(line)) => {
                    self.client.submit(&line);
                }
                Some(Command::Finish) => self.finishes = true,
                Some(Command::Leave) => self.leave(),
                None => break,
            }
        }
        if self.finishes && self.client.is_in() && self.client.is_settled() {
            self.finishes = false;
            self.leave();
        }
    }

    fn leave(&mut self) {
        self.has_left = true;
        self.client.submit("/quit");
        self.hurry();
    }

    /// From the first time on, there is only so much time left.
    fn hurry(&mut self) {
        let patience = if self.stream.is_some() { GOODBYE_MAX } else { Duration::ZERO };
        self.leave_by.get_or_insert(Instant::now() + patience);
    }
}
