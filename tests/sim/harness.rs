//! A server and those who talk to it, moved by hand: what is sent, how many turns are made, how time goes on.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use chinwag::clock::World;
use chinwag::limits::{Micros, SECOND_US};
use chinwag::log::storage::SyncPolicy;
use chinwag::server::{Fatal, LoopState, Options, Server};

use super::disk::{LOG, SimDisk};
use super::net::{Peer, SimNet};
use super::world::SimWorld;

/// Turns without an end of work; a server that makes so many spins.
const TURNS_MAX: usize = 200_000;

pub struct Sim {
    pub server: Server<SimNet, SimDisk>,
    pub net: SimNet,
    pub disk: SimDisk,
    pub world: SimWorld,
    pub options: Options,
    clients: BTreeMap<String, Client>,
    /// The next address that nobody has used.
    next_address: u32,
}

struct Client {
    peer: usize,
    /// A line whose end has not come yet.
    partial: Vec<u8>,
    /// Whether the last line was a welcome.
    is_welcome: bool,
}

/// As the flags' defaults, but with passwords that cost nothing, and as many accounts as a test likes to make.
pub fn options() -> Options {
    let mut options = Options::default();
    options.rules.kdf_rounds = 10;
    options.rules.accounts_per_hour = None;
    options
}

impl Sim {
    pub fn new() -> Sim {
        Sim::with(options())
    }

    pub fn with(options: Options) -> Sim {
        Sim::on(SimDisk::default(), options)
    }

    pub fn on(disk: SimDisk, options: Options) -> Sim {
        Sim::try_on(disk, options).unwrap_or_else(|error| panic!("it does not start: {error}"))
    }

    pub fn try_on(disk: SimDisk, options: Options) -> Result<Sim, String> {
        Sim::try_at(SimWorld::new(), disk, options)
    }

    fn try_at(mut world: SimWorld, disk: SimDisk, options: Options) -> Result<Sim, String> {
        disk.state().shows_unsynced = options.sync != SyncPolicy::Always;
        let net = SimNet::new(disk.clone());
        let server = Server::new(net.clone(), disk.clone(), options.clone(), world.now());
        let (server, clients) = (server.map_err(|error| error.to_string())?, BTreeMap::new());
        Ok(Sim { server, net, disk, world, options, clients, next_address: 0 })
    }

    /// Kills the server and starts another on what is left of the disk, some time later.
    pub fn restart_on(self, disk: SimDisk) -> Sim {
        let Sim { server, mut world, options, next_address, .. } = self;
        drop(server);
        world.advance(60 * SECOND_US);
        let sim = Sim::try_at(world, disk, options);
        Sim { next_address, ..sim.unwrap_or_else(|error| panic!("it does not start: {error}")) }
    }

    /// The same after a kill -9: the system still has all that was written.
    pub fn restart(self) -> Sim {
        let disk = self.disk.crash(|_, unsynced| unsynced.to_vec());
        self.restart_on(disk)
    }

    // Connections

    /// Connects from an address of its own.
    pub fn connect(&mut self, name: &str) {
        self.next_address += 1;
        let address = IpAddr::from((0x0a00_0000 + self.next_address).to_be_bytes());
        self.connect_from(name, address);
    }

    pub fn connect_from(&mut self, name: &str, address: IpAddr) {
        let peer = self.net.connect(SocketAddr::new(address, 40_000));
        self.clients.insert(name.into(), Client { peer, partial: Vec::new(), is_welcome: false });
    }

    /// Connects and logs in, or registers the first time; all that is answered is taken.
    pub fn join(&mut self, name: &str) {
        self.connect(name);
        self.enter(name, name);
    }

    /// Logs a connection in to an account, which is made where it is missing.
    pub fn enter(&mut self, client: &str, account: &str) {
        let exists =
            self.disk.read("users.txt").to_lowercase().contains(&format!("{}:", account.to_lowercase()));
        let command = if exists { "login" } else { "register" };
        self.say(client, &format!("/{command} {account} correct-horse"));
        let output = self.output(client);
        assert!(output.iter().any(|line| *line == format!("* welcome {account}")), "{client}: {output:#?}");
    }

    /// The same, and adds what is shown to what there was.
    pub fn join_showing(&mut self, name: &str, output: &mut Vec<String>) {
        self.connect(name);
        self.say(name, &format!("/login {name} correct-horse"));
        output.extend(self.output(name));
    }

    pub fn peer(&self, name: &str) -> std::cell::RefMut<'_, Peer> {
        let client = self.clients.get(name).unwrap_or_else(|| panic!("{name} never connected"));
        self.net.peer(client.peer)
    }

    pub fn has(&self, name: &str) -> bool {
        self.clients.contains_key(name)
    }

    pub fn send(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        self.peer(name).send(bytes.as_ref());
    }

    /// Sends a line and lets the server do what it brings about.
    pub fn say(&mut self, name: &str, line: &str) {
        self.send(name, format!("{line}\n"));
        self.settle();
    }

    /// The lines that came since they were last asked for. What has no end yet is kept for the next time.
    pub fn output(&mut self, name: &str) -> Vec<String> {
        self.take(name, usize::MAX)
    }

    /// Takes up to `count` bytes of what the server wrote, and returns the lines that end in them.
    pub fn take(&mut self, name: &str, count: usize) -> Vec<String> {
        let client = self.clients.get_mut(name).unwrap_or_else(|| panic!("{name} never connected"));
        client.partial.extend(self.net.peer(client.peer).take(count));
        let end = client.partial.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let lines = client.partial.drain(..end).collect();
        let lines = String::from_utf8(lines).expect("all that is sent is UTF-8");
        // What follows every welcome is left out.
        let is_told = |line: &&str| {
            let follows_welcome = client.is_welcome && *line == "* talking to everyone";
            client.is_welcome = line.starts_with("* welcome ");
            !follows_welcome
        };
        lines.lines().filter(is_told).map(str::to_owned).collect()
    }

    /// Whether a line has begun whose end did not come.
    pub fn is_mid_line(&self, name: &str) -> bool {
        !self.clients[name].partial.is_empty()
    }

    /// All messages of the log that an account may see, in order.
    pub fn visible_to(&self, account: &str) -> Vec<String> {
        let log = self.disk.read(LOG);
        let visible = log.lines().filter(|line| {
            let (ends, _) = line[28..].split_once(": ").expect("every line is a message");
            ends.split_once(" -> ").is_none_or(|(from, to)| from == account || to == account)
        });
        visible.map(str::to_owned).collect()
    }

    // Turns and time

    pub fn try_turn(&mut self) -> Result<LoopState, Fatal> {
        self.server.turn(&mut self.world)
    }

    pub fn turn(&mut self) -> LoopState {
        self.try_turn().unwrap_or_else(|error| panic!("a turn failed: {error}"))
    }

    pub fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.turn();
        }
    }

    /// Turns during which no time passes.
    pub fn turns_in_no_time(&mut self, count: usize) {
        let look_us = std::mem::take(&mut self.world.look_us);
        self.turns(count);
        self.world.look_us = look_us;
    }

    /// Makes turns until nothing is left to do at this moment. Returns how many that took.
    pub fn settle(&mut self) -> usize {
        for turns in 1..TURNS_MAX {
            self.turn();
            if self.is_idle() {
                return turns;
            }
        }
        panic!("it is never done");
    }

    /// Whether the last turn would have had to wait.
    pub fn is_idle(&self) -> bool {
        let net = self.net.state();
        net.last_events == 0 && net.last_timeout.is_none_or(|timeout| !timeout.is_zero())
    }

    /// How long the server would wait for; `None` for ever.
    pub fn timeout_us(&self) -> Option<Micros> {
        self.net.state().last_timeout.map(|timeout| timeout.as_micros() as Micros)
    }

    /// Lets time go by, and the server wake when it asked to be woken. Returns how often it did.
    pub fn run_for(&mut self, us: Micros) -> usize {
        let end_us = self.world.mono_us + us;
        self.settle();
        let mut wakes = 0;
        while let Some(timeout_us) = self.timeout_us()
            && self.world.mono_us + timeout_us <= end_us
        {
            self.world.advance(timeout_us);
            self.settle();
            wakes += 1;
            assert!(wakes < TURNS_MAX, "it ticks");
        }
        self.world.advance(end_us.saturating_sub(self.world.mono_us));
        self.settle();
        wakes
    }

    pub fn run_seconds(&mut self, seconds: u64) -> usize {
        self.run_for(seconds * SECOND_US)
    }

    /// Forgets what all clients were sent so far.
    pub fn clear(&mut self) {
        self.clear_but("");
    }

    /// The same for all but one, who is slow.
    pub fn clear_but(&mut self, slow: &str) {
        for name in self.names().iter().filter(|name| *name != slow) {
            self.output(name);
        }
    }

    pub fn names(&self) -> Vec<String> {
        self.clients.keys().cloned().collect()
    }
}

/// Lines without the notices of who came and went, which are coalesced by time.
pub fn without_presence(lines: Vec<String>) -> Vec<String> {
    let is_presence =
        |line: &str| line.starts_with("* ") && (line.ends_with(" joined") || line.ends_with(" left"));
    lines.into_iter().filter(|line| !is_presence(line)).collect()
}

/// A message's text, without its time and its ends.
pub fn text_of(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, text)| text)
}
