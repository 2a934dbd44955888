//! The besiegers: a process of its own that attacks a server from a thousand loopback addresses.
//!
//! It runs on the load's core at the lowest priority, so that measuring the honest clients always goes first. It takes
//! whatever the server does to it: a connection that is closed or refused is opened again.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::failure;
use crate::logins::{PASSWORD, name};

/// Addresses that attack, each in one way.
pub const ADDRESSES: usize = 1000;
/// Accounts whose passwords they guess: the first ones of these, counted from the first account they are told.
pub const VICTIMS: usize = 3;
/// Accounts of their own, behind those of the victims.
pub const DIRECT_ACCOUNTS: usize = 50;
/// A connection that is over is opened again after this.
const RECONNECT_AFTER: Duration = Duration::from_millis(20);
/// A guess that was not judged is made again after this.
const GUESS_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// What one flooding connection has under way.
const FLOOD_BYTES: usize = 8 << 10;
/// For those that never read, so that the server has what they leave and not the kernel.
const SMALL_BUFFER_BYTES: usize = 4096;
/// So often it writes before others do.
const WRITES_AT_ONCE: usize = 8;
const READ_BYTES: usize = 64 << 10;

/// What one connection is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    /// Guesses the password of a victim as fast as it is answered.
    Guess(usize),
    /// Connects and leaves.
    ComeAndGo,
    /// Sends lines, logged in to an account or not.
    Flood(Option<usize>),
    /// Logs in to an account and reads all of the history, again and again.
    ReadHistory(usize),
    /// Asks for answers and never reads them, logged in to an account or not.
    NeverRead(Option<usize>),
    /// Holds a connection open.
    Linger,
}

/// So many addresses that attack in one way, each over so many connections.
struct Part {
    addresses: usize,
    each: usize,
    /// The attack of the address of this number.
    attack: fn(usize) -> Attack,
}

const PARTS: [Part; 8] = [
    Part { addresses: 480, each: 3, attack: |number| Attack::Guess(number % VICTIMS) },
    Part { addresses: 150, each: 1, attack: |_| Attack::ComeAndGo },
    Part { addresses: 20, each: 1, attack: |number| Attack::Flood(Some(number)) },
    Part { addresses: 80, each: 2, attack: |_| Attack::Flood(None) },
    Part { addresses: 20, each: 4, attack: |number| Attack::ReadHistory(20 + number) },
    Part { addresses: 10, each: 2, attack: |number| Attack::NeverRead(Some(40 + number)) },
    Part { addresses: 90, each: 4, attack: |_| Attack::NeverRead(None) },
    Part { addresses: 150, each: 4, attack: |_| Attack::Linger },
];

/// The connections that all of them hold at most.
pub fn connections() -> usize {
    PARTS.iter().map(|part| part.addresses * part.each).sum()
}

/// What they came to, as the process prints it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Guesses that were judged, for each victim.
    pub judged: [u64; VICTIMS],
    /// Connections that were opened.
    pub connections: u64,
    /// Connections that the server closed, or refused.
    pub closed: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

impl Outcome {
    fn to_line(self) -> String {
        let Outcome { judged: [a, b, c], connections, closed, bytes } = self;
        format!("{a} {b} {c} {connections} {closed} {bytes}")
    }

    /// Parses the line that the process prints at its end.
    pub fn parse(line: &str) -> Option<Outcome> {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Outcome {
            judged: [next()?, next()?, next()?],
            connections: next()?,
            closed: next()?,
            bytes: next()?,
        })
    }
}

struct Besieger {
    attack: Attack,
    address: usize,
    /// `None` between two connections.
    stream: Option<TcpStream>,
    unsent: Vec<u8>,
    /// The beginning of a line.
    partial: Vec<u8>,
    is_in: bool,
}

/// What is due later. Each kind of delay has a queue of its own, so that every queue is in the order of time.
#[derive(Default)]
struct Later {
    connect: VecDeque<(Instant, usize)>,
    guess: VecDeque<(Instant, usize)>,
}

struct Siege {
    server: SocketAddr,
    /// The number of the first victim's account.
    first_account: usize,
    poll: Poll,
    besiegers: Vec<Besieger>,
    later: Later,
    guesses: u64,
    outcome: Outcome,
}

/// Attacks a server for some time, and prints what came of it.
pub fn run(server: SocketAddr, first_account: usize, length: Duration) -> io::Result<()> {
    let until = Instant::now() + length;
    let mut siege = Siege {
        server,
        first_account,
        poll: Poll::new()?,
        besiegers: Vec::new(),
        later: Later::default(),
        guesses: 0,
        outcome: Outcome::default(),
    };
    let mut address = 0;
    for Part { addresses, each, attack } in PARTS {
        for number in 0..addresses {
            for _ in 0..each {
                siege.enlist(attack(number), address);
            }
            address += 1;
        }
    }
    assert_eq!(address, ADDRESSES, "every address has its part");
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; READ_BYTES];
    while Instant::now() < until {
        siege.do_what_is_due()?;
        match siege.poll.poll(&mut events, Some(Duration::from_millis(10))) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            let number = event.token().0;
            if event.is_readable() || event.is_error() {
                siege.read(number, &mut buffer);
            }
            if event.is_writable() {
                siege.write(number);
            }
        }
    }
    println!("{}", siege.outcome.to_line());
    Ok(())
}

impl Siege {
    fn enlist(&mut self, attack: Attack, address: usize) {
        // Within the first second, so that they do not all come in one burst.
        let due = Instant::now() + Duration::from_secs(1) * (address as u32) / ADDRESSES as u32;
        self.later.connect.push_back((due, self.besiegers.len()));
        let (unsent, partial) = (Vec::new(), Vec::new());
        self.besiegers.push(Besieger { attack, address, stream: None, unsent, partial, is_in: false });
    }

    fn do_what_is_due(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while let Some(number) = pop_due(&mut self.later.connect, now) {
            self.connect(number)?;
        }
        while let Some(number) = pop_due(&mut self.later.guess, now) {
            self.guess(number);
            self.write(number);
        }
        Ok(())
    }

    fn connect(&mut self, number: usize) -> io::Result<()> {
        let besieger = &mut self.besiegers[number];
        let socket = Socket::new(Domain::for_address(self.server), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // Closing resets, so that no port is left waiting.
        socket.set_linger(Some(Duration::ZERO))?;
        if matches!(besieger.attack, Attack::NeverRead(_)) {
            socket.set_recv_buffer_size(SMALL_BUFFER_BYTES)?;
        }
        let (high, low) = (besieger.address / 250, besieger.address % 250);
        let own = Ipv4Addr::new(127, 10, high as u8, low as u8 + 1);
        socket.bind(&SocketAddr::new(IpAddr::V4(own), 0).into())?;
        // Whether it succeeds, the first read or write tells.
        let _ = socket.connect(&self.server.into());
        let mut stream = TcpStream::from_std(socket.into());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(number), interest)?;
        besieger.stream = Some(stream);
        besieger.partial.clear();
        besieger.unsent.clear();
        besieger.is_in = false;
        self.outcome.connections += 1;
        self.greet(number);
        Ok(())
    }

    /// The first words of a connection; they leave once it is there.
    fn greet(&mut self, number: usize) {
        match self.besiegers[number].attack {
            Attack::Guess(_) => self.guess(number),
            Attack::Flood(Some(own)) | Attack::ReadHistory(own) | Attack::NeverRead(Some(own)) => {
                let account = name(self.first_account + VICTIMS + own);
                self.send(number, format!("/replay 0\n/login {account} {PASSWORD}\n").as_bytes());
            }
            Attack::ComeAndGo | Attack::Flood(None) | Attack::NeverRead(None) | Attack::Linger => {}
        }
    }

    fn guess(&mut self, number: usize) {
        let besieger = &self.besiegers[number];
        if let (Attack::Guess(victim), Some(_)) = (besieger.attack, &besieger.stream) {
            self.guesses += 1;
            let line = format!("/login {} guess-{:08}\n", name(self.first_account + victim), self.guesses);
            self.send(number, line.as_bytes());
        }
    }

    fn send(&mut self, number: usize, bytes: &[u8]) {
        self.besiegers[number].unsent.extend_from_slice(bytes);
    }

    fn write(&mut self, number: usize) {
        let besieger = &mut self.besiegers[number];
        let flood: &[u8] = match besieger.attack {
            Attack::ComeAndGo if besieger.stream.is_some() => return self.reconnect(number),
            Attack::Flood(own) if besieger.is_in || own.is_none() => b"flooding\n",
            Attack::NeverRead(Some(_)) => b"/history 1000\n",
            Attack::NeverRead(None) => b"/help\n",
            _ => b"",
        };
        let Some(stream) = &mut besieger.stream else { return };
        for _ in 0..WRITES_AT_ONCE {
            if !flood.is_empty() && besieger.unsent.len() < FLOOD_BYTES {
                besieger.unsent.extend(flood.iter().cycle().take(FLOOD_BYTES / flood.len() * flood.len()));
            }
            if besieger.unsent.is_empty() {
                return;
            }
            match stream.write(&besieger.unsent) {
                Ok(count) => drop(besieger.unsent.drain(..count)),
                Err(error) if is_under_way(&error) => return,
                Err(_) => return self.closed(number),
            }
        }
    }

    fn read(&mut self, number: usize, buffer: &mut [u8]) {
        loop {
            let besieger = &mut self.besiegers[number];
            let Some(stream) = &mut besieger.stream else { return };
            if matches!(besieger.attack, Attack::NeverRead(_)) {
                // Whether it is still there can be seen without taking anything.
                return match stream.peek(buffer) {
                    Ok(count) if count > 0 => {}
                    Err(error) if is_under_way(&error) => {}
                    _ => self.closed(number),
                };
            }
            match stream.read(buffer) {
                Ok(0) => return self.closed(number),
                Ok(count) => {
                    self.outcome.bytes += count as u64;
                    self.hear(number, &buffer[..count]);
                    if count < buffer.len() {
                        return self.write(number);
                    }
                }
                Err(error) if is_under_way(&error) => return self.write(number),
                Err(_) => return self.closed(number),
            }
        }
    }

    fn hear(&mut self, number: usize, bytes: &[u8]) {
        let besieger = &mut self.besiegers[number];
        besieger.partial.extend_from_slice(bytes);
        let end = besieger.partial.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = besieger.partial.drain(..end).collect();
        for line in lines.split(|&byte| byte == b'\n') {
            self.hear_line(number, line);
        }
    }

    fn hear_line(&mut self, number: usize, line: &[u8]) {
        let attack = self.besiegers[number].attack;
        match attack {
            Attack::Guess(victim) if line.starts_with(b"! bad-login") => {
                self.outcome.judged[victim] += 1;
                self.guess(number);
            }
            Attack::Guess(_) if line.starts_with(b"! ") => {
                self.later.guess.push_back((Instant::now() + GUESS_AGAIN_AFTER, number));
            }
            Attack::ReadHistory(_) if line.starts_with(b"* welcome") || line == b"* end of history" => {
                self.send(number, b"/history\n");
            }
            Attack::Flood(Some(_)) if line.starts_with(b"* welcome") => self.besiegers[number].is_in = true,
            _ => {}
        }
    }

    fn closed(&mut self, number: usize) {
        self.outcome.closed += 1;
        self.reconnect(number);
    }

    fn reconnect(&mut self, number: usize) {
        self.besiegers[number].stream = None;
        self.later.connect.push_back((Instant::now() + RECONNECT_AFTER, number));
    }
}

fn pop_due(queue: &mut VecDeque<(Instant, usize)>, now: Instant) -> Option<usize> {
    let is_due = queue.front().is_some_and(|(due, _)| *due <= now);
    if is_due { queue.pop_front().map(|(_, number)| number) } else { None }
}

/// It will go on when the poller says so.
fn is_under_way(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, NotConnected, WouldBlock};
    matches!(error.kind(), WouldBlock | NotConnected | Interrupted)
}

/// Reads the arguments of the process: the server, the number of the first victim's account, and seconds.
pub fn parse(arguments: &[String]) -> io::Result<(SocketAddr, usize, Duration)> {
    let [server, first_account, seconds] = arguments else {
        return Err(failure("--besiege ADDR:PORT ACCOUNT SECONDS"));
    };
    let number = |text: &String| text.parse().map_err(|_| failure(format!("{text}: expected a number")));
    let server = server.parse().map_err(|_| failure(format!("{server}: expected ADDR:PORT")))?;
    Ok((server, number(first_account)? as usize, Duration::from_secs(number(seconds)?)))
}
