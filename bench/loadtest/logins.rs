//! Many connections on their way in: a bounded number at a time, each from the connect to its welcome.

use std::io;
use std::time::{Duration, Instant};

use crate::failure;
use crate::swarm::{PeerId, Swarm};

/// Everyone's password.
pub const PASSWORD: &str = "load-test-password";

/// Fewer than the server lets wait for a hash, or the kernel for an accept.
const UNDER_WAY_MAX: usize = 48;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The account of this number. All names are of the same length.
pub fn name(number: usize) -> String {
    format!("load{number:05}")
}

/// How one comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// By being greeted.
    Greeting,
    /// By logging in to an account that is there.
    Login,
    /// By making an account, or logging in to it where it is there already.
    Register,
}

/// Some connections, on the way in or already there.
pub struct Logins {
    entrance: Entrance,
    /// The first of them; the others follow.
    first_peer: PeerId,
    /// The account of the first of them.
    first_account: usize,
    count: usize,
    under_way_max: usize,
    /// They come from this many addresses; `None`: from as few as have the ports.
    addresses: Option<usize>,
    /// Of the kernel, for each; `None` for its own choice.
    receive_bytes: Option<usize>,
    /// What each that has connected was told last, up to a line's end; `None` once it was welcomed.
    unended: Vec<Option<Vec<u8>>>,
    welcomed: usize,
    /// Whose turn it is to say what, and when.
    again: Vec<(Instant, PeerId, &'static str)>,
    /// How often one was told to try again.
    pub retries: usize,
}

impl Logins {
    /// `count` of them, with the accounts from `first_account` on, behind all that are connected already.
    pub fn new(swarm: &Swarm, entrance: Entrance, first_account: usize, count: usize) -> Logins {
        Logins {
            entrance,
            first_peer: swarm.len(),
            first_account,
            count,
            under_way_max: UNDER_WAY_MAX,
            addresses: None,
            receive_bytes: None,
            unended: Vec::with_capacity(count),
            welcomed: 0,
            again: Vec::new(),
            retries: 0,
        }
    }

    /// All at once, from so many addresses.
    pub fn at_once_from(mut self, addresses: usize) -> Logins {
        self.under_way_max = self.count;
        self.addresses = Some(addresses);
        self
    }

    /// With so small a buffer of the kernel's for what they do not read.
    pub fn with_receive_buffer(mut self, bytes: usize) -> Logins {
        self.receive_bytes = Some(bytes);
        self
    }

    /// Whether all are in.
    pub fn are_done(&self) -> bool {
        self.welcomed == self.count
    }

    /// Lets the next ones come, and those speak whose turn it is.
    pub fn go_on(&mut self, swarm: &mut Swarm) -> io::Result<()> {
        while self.unended.len() < self.count && self.unended.len() - self.welcomed < self.under_way_max {
            let number = self.unended.len();
            let address = self.addresses.map(|count| number % count);
            let id = swarm.connect(address, self.receive_bytes)?;
            assert_eq!(id, self.first_peer + number, "nobody else connects meanwhile");
            self.unended.push(Some(Vec::new()));
            match self.entrance {
                Entrance::Greeting => {}
                Entrance::Login => self.say(swarm, id, "login")?,
                Entrance::Register => self.say(swarm, id, "register")?,
            }
        }
        let now = Instant::now();
        while let Some(position) = self.again.iter().position(|(due, ..)| *due <= now) {
            let (_, id, command) = self.again.swap_remove(position);
            self.say(swarm, id, command)?;
        }
        Ok(())
    }

    fn say(&self, swarm: &mut Swarm, id: PeerId, command: &str) -> io::Result<()> {
        let name = name(self.first_account + id - self.first_peer);
        swarm.send(id, format!("/replay 0\n/{command} {name} {PASSWORD}\n").as_bytes())
    }

    /// What one of them was told.
    pub fn received(&mut self, id: PeerId, bytes: &[u8]) -> io::Result<()> {
        let Some(unended) = &mut self.unended[id - self.first_peer] else { return Ok(()) };
        unended.extend_from_slice(bytes);
        let whole = unended.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let text: Vec<u8> = unended.drain(..whole).collect();
        for line in text.split(|&byte| byte == b'\n') {
            if line.starts_with(b"* welcome") {
                self.unended[id - self.first_peer] = None;
                self.welcomed += 1;
                return Ok(());
            } else if line.starts_with(b"! busy") {
                self.retries += 1;
                self.again.push((Instant::now() + RETRY_AFTER, id, self.command()));
            } else if line.starts_with(b"! name-taken") {
                self.again.push((Instant::now(), id, "login"));
            } else if line.starts_with(b"!") {
                return Err(failure(format!("login: {}", String::from_utf8_lossy(line))));
            }
        }
        Ok(())
    }

    fn command(&self) -> &'static str {
        if self.entrance == Entrance::Register { "register" } else { "login" }
    }

    /// Waits until all are in.
    pub fn finish(&mut self, swarm: &mut Swarm) -> io::Result<()> {
        while !self.are_done() {
            self.go_on(swarm)?;
            swarm.poll(
                Duration::from_millis(20),
                &mut |id, bytes| match id.checked_sub(self.first_peer) {
                    Some(_) => self.received(id, bytes),
                    // Who is in already is only told of those that come.
                    None => Ok(()),
                },
            )?;
        }
        Ok(())
    }
}

/// Waits until nobody is told anything any more: who has come is said at most once a second.
pub fn settle(swarm: &mut Swarm) -> io::Result<()> {
    const QUIET: Duration = Duration::from_millis(1300);
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < QUIET {
        let mut heard = false;
        swarm.poll(QUIET.saturating_sub(quiet_since.elapsed()), &mut |_, _| {
            heard = true;
            Ok(())
        })?;
        if heard {
            quiet_since = Instant::now();
        }
    }
    Ok(())
}
