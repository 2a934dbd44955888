//! One connection at a time, whose answers are waited for, each from an address that nobody used before.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::failure;
use crate::logins::{PASSWORD, name};

/// No answer within this is none.
const PATIENCE: Duration = Duration::from_secs(60);
const BUFFER_BYTES: usize = 128 << 10;

/// A connection.
pub struct Visitor {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Visitor {
    /// Connects from the next loopback address.
    pub fn connect(server: SocketAddr) -> io::Result<Visitor> {
        static VISITS: AtomicU32 = AtomicU32::new(0);
        let visit = VISITS.fetch_add(1, Ordering::Relaxed);
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        // Closing resets, so that no port is left waiting.
        socket.set_linger(Some(Duration::from_secs(1)))?;
        let own = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 20, 0, 1)) + visit);
        socket.bind(&SocketAddr::new(IpAddr::V4(own), 0).into())?;
        socket.connect_timeout(&server.into(), PATIENCE)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Visitor { stream: BufReader::with_capacity(BUFFER_BYTES, stream), line: String::new() })
    }

    /// Connects and logs in to the account of this number.
    pub fn log_in(server: SocketAddr, account: usize) -> io::Result<Visitor> {
        let mut visitor = Visitor::connect(server)?;
        visitor.say(&format!("/replay 0\n/login {} {PASSWORD}\n", name(account)))?;
        visitor.wait_for("* welcome")?;
        Ok(visitor)
    }

    /// Connects and registers.
    pub fn register(server: SocketAddr, name: &str) -> io::Result<Visitor> {
        let mut visitor = Visitor::connect(server)?;
        visitor.say(&format!("/replay 0\n/register {name} {PASSWORD}\n"))?;
        visitor.wait_for("* welcome")?;
        Ok(visitor)
    }

    /// Sends complete lines.
    pub fn say(&mut self, words: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(words.as_bytes())
    }

    /// The next message or error, with its ending: others may come and go meanwhile.
    pub fn next_message(&mut self) -> io::Result<&str> {
        loop {
            if !self.next_line()?.starts_with('*') {
                return Ok(&self.line);
            }
        }
    }

    fn next_line(&mut self) -> io::Result<&str> {
        self.line.clear();
        match self.stream.read_line(&mut self.line)? {
            0 => Err(failure("closed")),
            _ => Ok(&self.line),
        }
    }

    /// Reads up to the line that begins so.
    ///
    /// # Errors
    /// If an error comes before it, or the end.
    pub fn wait_for(&mut self, beginning: &str) -> io::Result<String> {
        loop {
            let line = self.next_line()?;
            if line.starts_with(beginning) {
                return Ok(line.to_owned());
            }
            if line.starts_with("! ") {
                return Err(failure(line.trim_end()));
            }
        }
    }
}
