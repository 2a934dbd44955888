//! The processes that are measured: the server and the bare loop, each on a core of its own.

use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure;

/// How long a process may take until it listens.
const STARTUP_MAX: Duration = Duration::from_secs(30);

/// Which core runs what; nothing is pinned where there is only one, or no taskset(1).
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// For what is measured.
    pub server: usize,
    /// For the load.
    pub load: usize,
}

impl Cores {
    /// Two of the cores that this process may use.
    pub fn choose() -> Option<Cores> {
        let is_there = Command::new("taskset").arg("--version").stdout(Stdio::null()).status();
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        let mut cores = list.trim().split(',').filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse::<usize>().ok()?..=last.parse().ok()?)
        });
        let mut cores = cores.by_ref().flatten();
        let (server, load) = (cores.next()?, cores.next()?);
        is_there.is_ok_and(|status| status.success()).then_some(Cores { server, load })
    }
}

impl Cores {
    /// What [`Cores::to_string`] made.
    pub fn from_text(text: Option<String>) -> Option<Cores> {
        let text = text?;
        let (server, load) = text.split_once(',')?;
        Some(Cores { server: server.parse().ok()?, load: load.parse().ok()? })
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.server, self.load)
    }
}

/// A command that runs on `core` alone.
pub fn pinned(core: Option<usize>, program: &Path) -> Command {
    match core {
        None => Command::new(program),
        Some(core) => {
            let mut command = Command::new("taskset");
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
    }
}

/// A child that is ended with its value.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It fails where the child is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks again and again until the answer is yes.
///
/// # Errors
/// With this problem after the deadline.
pub fn wait_until(
    problem: &str,
    deadline: Instant,
    mut is_so: impl FnMut() -> io::Result<bool>,
) -> io::Result<()> {
    while !is_so()? {
        crate::go_on()?;
        if Instant::now() > deadline {
            return Err(failure(problem));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A process that listens.
pub struct Process {
    child: Running,
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start until it said so.
    pub startup: Duration,
    /// When it was started.
    pub started: Instant,
    log: PathBuf,
    /// Where its own lines begin in the log.
    log_start: u64,
}

impl Process {
    /// Starts it, its stderr to `log`, and waits for the line `listening on ADDR:PORT`.
    pub fn start(mut command: Command, log: &Path) -> io::Result<Process> {
        // A pair of sockets in place of a pipe, since reading it can be bounded in time.
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(STARTUP_MAX))?;
        let file = fs::File::options().create(true).append(true).open(log)?;
        let (log, log_start) = (log.to_owned(), file.metadata()?.len());
        command.stdin(Stdio::null()).stdout(OwnedFd::from(theirs)).stderr(file);
        let started = Instant::now();
        let child = Running(
            command.spawn().map_err(|error| failure(format!("{:?}: {error}", command.get_program())))?,
        );
        // The command holds the other end too, without which a child that dies would not end the reading.
        drop(command);
        let mut line = String::new();
        BufReader::new(ours).read_line(&mut line)?;
        let startup = started.elapsed();
        let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| failure(format!("it does not listen, but says {line:?}")))?;
        Ok(Process { child, address, startup, started, log, log_start })
    }

    /// Waits until its log has these words.
    pub fn wait_for_words(&self, words: &str, deadline: Instant) -> io::Result<()> {
        wait_until(&format!("it does not log {words:?}"), deadline, || {
            let mut file = fs::File::open(&self.log)?;
            file.seek(SeekFrom::Start(self.log_start))?;
            Ok(io::read_to_string(file)?.contains(words))
        })
    }

    /// Ends it with SIGTERM, and waits until it has saved everything.
    pub fn stop(mut self, deadline: Instant) -> io::Result<()> {
        let id = self.child.0.id().to_string();
        if !Command::new("kill").args(["-TERM", &id]).status()?.success() {
            return Err(failure("SIGTERM cannot be sent"));
        }
        let mut status = None;
        wait_until("it does not stop", deadline, || {
            status = self.child.0.try_wait()?;
            Ok(status.is_some())
        })?;
        match status {
            Some(status) if status.success() => Ok(()),
            status => Err(failure(format!("it stopped with {status:?}"))),
        }
    }

    /// The CPU time it has used, once it rests: while it runs, the kernel's figure lags behind.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut last = self.cpu_now()?;
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(2));
            let now = self.cpu_now()?;
            if now == last {
                break;
            }
            last = now;
        }
        Ok(last)
    }

    /// The CPU time it has used (proc_pid_schedstat(5), in nanoseconds).
    pub fn cpu_now(&self) -> io::Result<Duration> {
        let text = self.proc("schedstat")?;
        let nanos = text.split_whitespace().next().and_then(|field| field.parse().ok());
        nanos.map(Duration::from_nanos).ok_or_else(|| failure("schedstat is not what it should be"))
    }

    /// Its resident memory, in bytes: exactly, where the kernel tells, or else as it is accounted.
    pub fn rss(&self) -> io::Result<u64> {
        let (text, key) = match self.proc("smaps_rollup") {
            Ok(text) => (text, "Rss:"),
            Err(_) => (self.proc("status")?, "VmRSS:"),
        };
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let kib =
            line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
        kib.map(|kib| kib << 10).ok_or_else(|| failure("the resident memory is not told"))
    }

    fn proc(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.0.id()))
    }
}
