//! `chinwagd`, the server's program: listeners, clocks, logging.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chinwag::clock::{Now, World};
use chinwag::limits::{
    CONNECTIONS_PER_ADDRESS, EVICTIONS_PER_TURN_MAX, KDF_ROUNDS_WARN, LOG_REPORT_PAUSE_US, Micros,
    RATE_LINES_PER_SECOND, SECOND_US,
};
use chinwag::log::directory::Directory;
use chinwag::log::storage::SyncPolicy;
use chinwag::protocol::record::{TIMESTAMP_BYTES, Timestamp};
use chinwag::server::check::check;
use chinwag::server::flags::{Flags, Parsed, parse_flags};
use chinwag::server::loglimit::LogLimit;
use chinwag::server::repair;
use chinwag::server::{LoopState, Options, Server};
use chinwag::transport::net::{MioNet, Unwaited, listen};
use log::{Level, error, info, warn};

fn main() -> ExitCode {
    let flags = match parse_flags(std::env::args_os().skip(1)) {
        Ok(Parsed::Run(flags)) => *flags,
        Ok(Parsed::Print(text)) => {
            let printed = io::stdout().write_all(text.as_bytes());
            return if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Err(problem) => {
            let _ = writeln!(io::stderr(), "chinwagd: {problem}");
            return ExitCode::from(2);
        }
    };
    let is_tool = flags.repair || flags.new_history || flags.reset.is_some();
    let outcome = if flags.check {
        check(&flags.data, wall_clock(), &mut io::stdout().lock()).map_err(|error| error.to_string())
    } else if is_tool {
        start_log(false);
        use_tool(&flags).map_err(|error| error.to_string())
    } else {
        start_log(flags.options.per_address.is_some());
        serve(flags).map(|()| true)
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            error!("{problem}");
            if !log::log_enabled!(log::Level::Error) {
                let _ = writeln!(io::stderr(), "chinwagd: {problem}");
            }
            ExitCode::FAILURE
        }
    }
}

/// `--repair`, `--reset` or `--new-history`. Returns whether all is done.
fn use_tool(flags: &Flags) -> io::Result<bool> {
    if !flags.data.is_dir() {
        let why = format!("{}: no such directory", flags.data.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    let mut directory = Directory::open(&flags.data)?;
    let (now, out) = (wall_clock(), &mut io::stdout().lock());
    if flags.repair {
        return repair::repair(&mut directory, flags.yes, now, out);
    }
    if flags.new_history {
        repair::new_history(&mut directory, now, out)?;
    } else if let Some(name) = flags.reset {
        let mut code = [0; 16];
        getrandom::fill(&mut code).map_err(io::Error::other)?;
        repair::reset(&mut directory, name, now, &hex::encode(code), out)?;
    }
    Ok(true)
}

fn wall_clock() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(now.as_micros() as Micros)
}

fn serve(flags: Flags) -> Result<(), String> {
    let directory = Directory::open(&flags.data).map_err(|error| error.to_string())?;
    let listeners = listen(&flags.listen)?;
    let addresses: Vec<SocketAddr> = listeners.iter().filter_map(|it| it.local_addr().ok()).collect();
    info!(
        "chinwagd {} on {}, data in {}",
        env!("CARGO_PKG_VERSION"),
        addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" and "),
        directory.path().display()
    );
    let net = MioNet::new(listeners).map_err(|error| format!("waiting for the network: {error}"))?;
    let mut options = flags.options;
    // Four files of the data directory are still to be opened; connections that yield to others in a turn are closed
    // at its end.
    options.max_connections = connection_limit(flags.max_connections, 4 + EVICTIONS_PER_TURN_MAX);
    warn_of_weak(&options);
    let mut world = System { started: Instant::now() };
    let mut server =
        Server::new(net, directory, options.clone(), world.now()).map_err(|error| error.to_string())?;
    info!(
        "at most {} connections, {} of one address, {} lines a second each; sync {}; passwords with {} rounds",
        options.max_connections,
        options.per_address.map_or("any number".into(), |most| most.to_string()),
        options.rate.map_or("any number of".into(), |rate| rate.to_string()),
        match options.sync {
            SyncPolicy::Always => "always",
            SyncPolicy::Second => "every second",
            SyncPolicy::Never => "never",
        },
        options.rules.kdf_rounds
    );
    for subnet in &options.proxies {
        info!("connections from {subnet} must begin with a PROXY header");
    }
    if addresses.iter().any(|address| !address.ip().is_loopback()) {
        match options.rules.is_registration_open {
            true => warn!("registration is open: whoever reaches this server can make an account"),
            false => info!("registration is closed: nobody can make an account"),
        }
    }
    server.watch_clock(world.now());
    let mut stdout = Unwaited::new(io::stdout());
    for address in addresses {
        // Whoever closed stdout, or filled it up, does not want to know.
        let _ = stdout.write(format!("listening on {address}\n").as_bytes());
    }
    while server.turn(&mut world).map_err(|error| error.to_string())? == LoopState::Running {}
    Ok(())
}

/// The system's clocks and its randomness.
struct System {
    started: Instant,
}

impl World for System {
    fn now(&mut self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // From one second on, so that no moment is 0.
        let mono_us = SECOND_US + self.started.elapsed().as_micros() as Micros;
        Now { wall_us: wall.as_micros() as Micros, mono_us }
    }

    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(io::Error::other)
    }
}

/// How many connections the limit on open files leaves room for, or as many as was asked for, if that is less.
fn connection_limit(wanted: Option<usize>, still_to_open: usize) -> usize {
    /// Where the system does not tell: less than any system's default allows.
    const UNKNOWN: usize = 200;
    let allowed = open_files_limit()
        .map_or(UNKNOWN, |limit| limit.saturating_sub(open_files().unwrap_or(32) + still_to_open).max(1));
    match wanted {
        Some(wanted) if wanted > allowed => {
            warn!(
                "--max-connections {wanted}: the limit on open files (ulimit -n) leaves room for {allowed}"
            );
            allowed
        }
        Some(wanted) => wanted,
        None => allowed,
    }
}

/// The soft RLIMIT_NOFILE, as Linux tells it (proc_pid_limits(5)).
fn open_files_limit() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(1 << 20),
        number => number.parse().ok(),
    }
}

fn open_files() -> Option<usize> {
    // One of them is the directory that is being read.
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count() - 1)
}

fn warn_of_weak(options: &Options) {
    if options.rules.kdf_rounds < KDF_ROUNDS_WARN {
        warn!("--kdf-rounds {}: stolen passwords would be easy to guess", options.rules.kdf_rounds);
    }
    match options.sync {
        SyncPolicy::Always => {}
        SyncPolicy::Second => warn!("--sync second: a crash can lose the last second of what was shown"),
        SyncPolicy::Never => warn!("--sync never: a crash can lose what was shown"),
    }
    if options.rate.is_none_or(|rate| rate > 10 * RATE_LINES_PER_SECOND)
        || options.per_address.is_none_or(|most| most > 10 * CONNECTIONS_PER_ADDRESS)
    {
        info!("the limits on floods are lifted, or high");
    }
}

/// One line an event, with UTC; `RUST_LOG` says of which level.
fn start_log(limits_addresses: bool) {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .format(|out, record| out.write_all(log_line(record.level(), &record.args().to_string()).as_bytes()))
        .target(env_logger::Target::Pipe(Box::new(LogOutput::new(limits_addresses))))
        .init();
}

/// Where the text of a line begins, behind its time and level.
const LOG_TEXT_AT: usize = TIMESTAMP_BYTES + " INFO  ".len();

fn log_line(level: Level, text: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::from_micros(now.as_micros() as Micros);
    // Nothing from outside can begin a line of its own, or speak to the terminal.
    let text: String = text.chars().flat_map(escaped).collect();
    format!("{now} {level:<5} {text}\n")
}

/// Where the log goes. Whoever should read it and does not would hold up the chat, so what finds no room is lost.
struct LogOutput {
    stderr: Box<dyn Write + Send>,
    /// Lines since the last one that found room.
    lost: u64,
    /// Whether only the beginning of one did.
    torn: bool,
    /// `None` with `--per-address off`.
    limit: Option<LogLimit>,
    started: Instant,
}

impl LogOutput {
    fn new(limits_addresses: bool) -> LogOutput {
        // A terminal says that it has room where it has some, and then waits for more.
        let own = io::stderr().is_terminal().then(unwaited_terminal).and_then(Result::ok);
        let stderr = own.map_or_else(
            || Box::new(Unwaited::new(io::stderr())) as Box<dyn Write + Send>,
            |terminal| Box::new(terminal),
        );
        LogOutput {
            stderr,
            lost: 0,
            torn: false,
            limit: limits_addresses.then(LogLimit::default),
            started: Instant::now(),
        }
    }

    /// Writes a line; whether there was room for all of it.
    fn put(&mut self, line: &[u8]) -> bool {
        let mut rest = line;
        while !rest.is_empty() {
            match self.stderr.write(rest) {
                Ok(count @ 1..) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        self.torn |= !rest.is_empty() && rest.len() < line.len();
        rest.is_empty()
    }
}

impl Write for LogOutput {
    /// Takes a whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // From one report's pause on, so that the first report need not wait.
        let now_us = LOG_REPORT_PAUSE_US + self.started.elapsed().as_micros() as Micros;
        let text = line.get(LOG_TEXT_AT..).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("");
        if let Some(limit) = &mut self.limit {
            if !limit.admits(text, now_us) {
                return Ok(line.len());
            }
            if let Some(count) = limit.take_report(now_us) {
                let note = format!("lines left out, about addresses that caused too many: {count}");
                self.write_line(log_line(Level::Warn, &note).as_bytes());
            }
        }
        self.write_line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogOutput {
    /// Writes a line, or counts it as lost.
    fn write_line(&mut self, line: &[u8]) {
        if self.lost > 0 {
            let note = format!("lines lost, for which stderr had no room: {}", self.lost);
            let ending = if self.torn { "\n" } else { "" };
            if self.put(format!("{ending}{}", log_line(Level::Warn, &note)).as_bytes()) {
                (self.lost, self.torn) = (0, false);
            }
        }
        if self.lost > 0 || !self.put(line) {
            self.lost += 1;
        }
    }
}

/// The terminal behind stderr, opened once more, so that whoever shares stderr does not notice that this one does not
/// wait.
fn unwaited_terminal() -> io::Result<File> {
    let terminal = File::options().write(true).open("/dev/stderr")?;
    // No socket, but the standard library lets only those be told not to wait, by a call that is the same for all.
    let terminal = UnixStream::from(OwnedFd::from(terminal));
    terminal.set_nonblocking(true)?;
    Ok(File::from(OwnedFd::from(terminal)))
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    let bad = chinwag::protocol::text::is_unsafe(character);
    let escape = bad.then(|| character.escape_unicode()).into_iter().flatten();
    escape.chain((!bad).then_some(character))
}
