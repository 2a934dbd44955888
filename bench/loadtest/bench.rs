//! What every scenario uses: where it works, how servers and bare loops are started, what is said meanwhile.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use chinwag::log::blocks::BLOCKS_FILE;
use chinwag::log::journal::LOG_FILE;

use crate::crowd::{Crowd, Stamping};
use crate::failure;
use crate::fixtures::{LINE_BYTES, Letters, make_accounts, make_log};
use crate::histogram::Histogram;
use crate::limit::Audience;
use crate::logins::{Entrance, Logins, settle};
use crate::options::Options;
use crate::process::{Cores, Process, pinned, wait_until};
use crate::report::{Report, bytes};
use crate::swarm::{PeerId, Swarm};

/// Descriptors that a process needs beside its connections.
const OTHER_FILES: usize = 100;

const LINES_PER_MEGABYTE: u64 = 1_000_000 / LINE_BYTES as u64;
/// The accounts of a data directory with a made log.
const LOG_ACCOUNTS: usize = 200;
/// What a server logs when it has read its whole log after a start.
const ALL_IS_READ: &str = "bytes are good";
/// A turn of the load waits no longer for the server.
const TURN_MAX: Duration = Duration::from_millis(20);

/// The run.
pub struct Bench {
    /// What was asked for.
    pub options: Options,
    /// What was measured so far.
    pub report: Report,
    /// What runs where.
    pub cores: Option<Cores>,
    /// Where data directories are made; gone at the end.
    pub directory: PathBuf,
    /// When the scenario must be over.
    pub deadline: Instant,
    started: Instant,
    data_directories: usize,
}

/// What is measured: a process, and all connections to it.
pub struct Target {
    /// `None` for a server that was there before.
    pub process: Option<Process>,
    /// The connections.
    pub swarm: Swarm,
    stamping: Stamping,
    entrance: Entrance,
}

/// How a server is started.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// `None` for a new, empty directory.
    pub data: Option<&'a Path>,
    /// Rounds for new passwords.
    pub kdf_rounds: u32,
    /// Whether the limits on addresses and rates are those of a server that nobody configured.
    pub is_limited: bool,
}

impl Server<'static> {
    /// On an empty directory, with passwords that cost nothing.
    pub const EMPTY: Server<'static> = Server { data: None, kdf_rounds: 1, is_limited: false };
}

impl Server<'_> {
    /// On a directory that is there, with passwords that cost nothing.
    pub fn on(data: &Path) -> Server<'_> {
        Server { data: Some(data), kdf_rounds: 1, is_limited: false }
    }
}

impl Bench {
    /// Works in `directory`, which it empties.
    pub fn new(options: Options, cores: Option<Cores>, directory: PathBuf) -> io::Result<Bench> {
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        let started = Instant::now();
        Ok(Bench {
            options,
            report: Report::default(),
            cores,
            directory,
            deadline: started,
            started,
            data_directories: 0,
        })
    }

    /// Says on stderr what is going on.
    pub fn progress(&self, what: impl std::fmt::Display) {
        eprintln!("{:>4} s  {what}", self.started.elapsed().as_secs());
    }

    /// How many of `wanted` connections the limit on open files leaves room for, with so many to a receiver.
    ///
    /// # Errors
    /// Where these are fewer than `least`.
    pub fn connections(&self, wanted: usize, descriptors_each: usize, least: usize) -> io::Result<usize> {
        let most = open_files_limit().saturating_sub(OTHER_FILES) / descriptors_each;
        if most < least {
            return Err(failure(format!(
                "open files for {most} connections, and {least} are needed: see ulimit -n"
            )));
        }
        if wanted > most {
            self.progress(format!("only {most} connections instead of {wanted}: see ulimit -n"));
        }
        Ok(wanted.min(most))
    }

    /// A data directory's path, which nothing is at yet.
    pub fn new_directory(&mut self) -> PathBuf {
        self.data_directories += 1;
        self.directory.join(format!("data-{}", self.data_directories))
    }

    /// A data directory with a long log, made when it is first asked for by this name.
    pub fn big_log(&mut self, name: &str, letters: Letters) -> io::Result<PathBuf> {
        let directory = self.directory.join(name);
        if !directory.exists() {
            self.progress(format!("a log of {} is made", bytes(self.log_bytes() as f64)));
            make_log(&directory, self.log_lines(), letters)?;
            make_accounts(&directory, &[(LOG_ACCOUNTS, 1)])?;
            self.settle_files(&directory)?;
        }
        Ok(directory)
    }

    /// How many lines such a log has when it is made.
    pub fn log_lines(&self) -> u64 {
        self.options.log_megabytes * LINES_PER_MEGABYTE
    }

    /// How many bytes these are.
    pub fn log_bytes(&self) -> u64 {
        self.log_lines() * LINE_BYTES as u64
    }

    /// Lets a server do what it does once with a data directory that it did not make: it indexes the log, and rewrites
    /// the accounts. Each further start finds the files of a clean shutdown.
    pub fn settle_files(&mut self, data: &Path) -> io::Result<()> {
        let process = self.start_server(Server::on(data))?;
        let log_bytes = data.join(LOG_FILE).metadata()?.len();
        if log_bytes > 0 {
            self.wait_for_scan(&process)?;
            let blocks = log_bytes / chinwag::limits::BLOCK_BYTES as u64;
            wait_until("blocks.txt does not become complete", self.deadline, || {
                let lines = fs::read(data.join(BLOCKS_FILE))?.iter().filter(|&&byte| byte == b'\n').count();
                Ok(lines as u64 >= blocks)
            })?;
        }
        process.stop(self.deadline)
    }

    /// Waits until a server has read and verified its whole log.
    pub fn wait_for_scan(&self, process: &Process) -> io::Result<()> {
        process.wait_for_words(ALL_IS_READ, self.deadline)
    }

    /// Starts a server.
    pub fn start_server(&mut self, server: Server<'_>) -> io::Result<Process> {
        let new = self.new_directory();
        let mut command = pinned(self.cores.map(|cores| cores.server), &self.options.server);
        command.args(["--listen", "127.0.0.1:0", "--sync", "always"]);
        if !server.is_limited {
            command.args(["--rate", "off", "--per-address", "off"]);
        }
        command.arg("--kdf-rounds").arg(server.kdf_rounds.to_string());
        command.arg("--data").arg(server.data.unwrap_or(&new));
        self.start(command, "server.log")
    }

    /// Starts a server, or takes the one that is there already.
    pub fn server(&mut self, server: Server<'_>) -> io::Result<Target> {
        let (process, address) = match self.options.address {
            Some(address) => (None, address),
            None => {
                let process = self.start_server(server)?;
                let address = process.address;
                (Some(process), address)
            }
        };
        let swarm = Swarm::new(address, self.deadline)?;
        let entrance = if server.data.is_some() { Entrance::Login } else { Entrance::Register };
        Ok(Target { process, swarm, stamping: Stamping::Server, entrance })
    }

    /// Starts a bare loop.
    pub fn limit(&mut self, audience: Audience) -> io::Result<Target> {
        let file = self.new_directory();
        let mut command = pinned(self.cores.map(|cores| cores.server), &std::env::current_exe()?);
        command.args(["--limit", audience.as_str()]).arg(file);
        let process = self.start(command, "limit.log")?;
        let swarm = Swarm::new(process.address, self.deadline)?;
        Ok(Target { process: Some(process), swarm, stamping: Stamping::Nobody, entrance: Entrance::Greeting })
    }

    /// A bare loop, unless the server is one that was there before: that may be on another machine.
    pub fn limit_beside(&mut self, audience: Audience) -> io::Result<Option<Target>> {
        self.options.address.is_none().then(|| self.limit(audience)).transpose()
    }

    fn start(&self, command: Command, log: &str) -> io::Result<Process> {
        let log = self.directory.join(log);
        Process::start(command, &log).map_err(|error| {
            let text = fs::read_to_string(&log).unwrap_or_default();
            failure(format!("{error}\n{}", text.lines().last().unwrap_or_default()))
        })
    }
}

impl Target {
    /// Lets so many come in, with the accounts from `first_account` on, and waits until all is quiet.
    pub fn admit(&mut self, first_account: usize, count: usize) -> io::Result<()> {
        self.logins(first_account, count).finish(&mut self.swarm)?;
        settle(&mut self.swarm)
    }

    /// The same, to be gone on with.
    pub fn logins(&self, first_account: usize, count: usize) -> Logins {
        Logins::new(&self.swarm, self.entrance, first_account, count)
    }

    /// Its resident memory, in bytes; nothing where it is not ours.
    pub fn rss(&self) -> io::Result<f64> {
        self.process.as_ref().map_or(Ok(0.0), |process| Ok(process.rss()? as f64))
    }

    /// A crowd of all who are in, the first `senders` of whom speak.
    pub fn crowd(&self, senders: usize, text_bytes: usize) -> Crowd {
        Crowd::new(self.stamping, self.swarm.len(), senders, text_bytes)
    }

    /// Whether the lines must be sent complete.
    pub fn stamping(&self) -> Stamping {
        self.stamping
    }

    /// The CPU time that the process has used; nothing where it is not ours.
    pub fn cpu(&self) -> io::Result<Duration> {
        self.process.as_ref().map_or(Ok(Duration::ZERO), Process::cpu)
    }

    /// Lets a crowd speak as long as something else goes on, and waits until everyone has heard everything.
    pub fn talk(&mut self, crowd: &mut Crowd, pace: Pace, meanwhile: &mut dyn Meanwhile) -> io::Result<Talk> {
        let (cpu, said, reads) = (self.cpu()?, crowd.said(), self.swarm.reads);
        if let Pace::PerSecond(_) = pace {
            crowd.start_measuring();
        }
        let started = Instant::now();
        let mut pacer = Pacer::new(pace);
        while meanwhile.go_on(&mut self.swarm, crowd)? {
            let wait = pacer.say(crowd, &mut self.swarm)?;
            self.swarm.poll(wait.min(TURN_MAX), &mut |id, bytes| match crowd.has(id) {
                true => crowd.received(id, bytes),
                false => meanwhile.received(id, bytes),
            })?;
        }
        crowd.finish(&mut self.swarm)?;
        let elapsed = started.elapsed();
        let messages = crowd.said() - said;
        Ok(Talk {
            deliveries: messages as f64 * crowd.len() as f64,
            reads: (self.swarm.reads - reads) as f64,
            elapsed,
            cpu: self.cpu()? - cpu,
            latencies: crowd.stop_measuring(),
        })
    }
}

/// What goes on while a crowd speaks.
pub trait Meanwhile {
    /// Does what is due; returns whether it is not over yet.
    fn go_on(&mut self, swarm: &mut Swarm, crowd: &mut Crowd) -> io::Result<bool>;
    /// What someone outside of the crowd was told.
    fn received(&mut self, id: PeerId, bytes: &[u8]) -> io::Result<()>;
}

/// Nothing, for a while.
pub struct Until(Instant);

impl Until {
    /// From now on for so long.
    pub fn after(length: Duration) -> Until {
        Until(Instant::now() + length)
    }
}

impl Meanwhile for Until {
    fn go_on(&mut self, _: &mut Swarm, _: &mut Crowd) -> io::Result<bool> {
        Ok(Instant::now() < self.0)
    }

    fn received(&mut self, _: PeerId, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

impl Meanwhile for Logins {
    fn go_on(&mut self, swarm: &mut Swarm, _: &mut Crowd) -> io::Result<bool> {
        Logins::go_on(self, swarm)?;
        Ok(!self.are_done())
    }

    fn received(&mut self, id: PeerId, bytes: &[u8]) -> io::Result<()> {
        Logins::received(self, id, bytes)
    }
}

/// How fast a crowd speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So many messages are under way at any time.
    Flat(usize),
    /// So many messages a second.
    PerSecond(u32),
}

/// Keeps a crowd at its pace.
pub struct Pacer {
    pace: Pace,
    due: Instant,
}

impl Pacer {
    /// From now on.
    pub fn new(pace: Pace) -> Pacer {
        Pacer { pace, due: Instant::now() }
    }

    /// Lets the crowd say what is due; returns how long there is nothing more.
    pub fn say(&mut self, crowd: &mut Crowd, swarm: &mut Swarm) -> io::Result<Duration> {
        match self.pace {
            Pace::Flat(under_way) => {
                crowd.say_up_to(swarm, under_way)?;
                Ok(TURN_MAX)
            }
            Pace::PerSecond(rate) => {
                let now = Instant::now();
                while self.due <= now {
                    crowd.say_one(swarm)?;
                    self.due += Duration::from_secs(1) / rate;
                }
                Ok(self.due.saturating_duration_since(now))
            }
        }
    }
}

/// What came of it.
pub struct Talk {
    /// Messages times receivers; all arrived.
    pub deliveries: f64,
    /// How many pieces they arrived in.
    pub reads: f64,
    /// Until the last had arrived.
    pub elapsed: Duration,
    /// Of the process meanwhile.
    pub cpu: Duration,
    /// From the sending to each hearing; empty where it was not measured.
    pub latencies: Histogram,
}

impl Talk {
    /// In seconds.
    pub fn cpu_per_delivery(&self) -> f64 {
        self.cpu.as_secs_f64() / self.deliveries
    }

    /// How many there were in a second.
    pub fn deliveries_a_second(&self) -> f64 {
        self.deliveries / self.elapsed.as_secs_f64()
    }
}

/// The soft RLIMIT_NOFILE (proc_pid_limits(5)).
fn open_files_limit() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let number = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok());
    number.unwrap_or(usize::MAX)
}
