//! The load test: how close the server comes to a bare loop that does nothing but read, append, sync and write.
//!
//! One thread on mio plays thousands of clients. What is measured runs on a core of its own; server and bare loop
//! are measured in turn, on the same work. Times differ from machine to machine, so ratios are what is judged.
//!
//! | file | what it is |
//! |---|---|
//! | `process` | what is measured, as a process: its core, CPU time and memory |
//! | `limit` | the bare loop |
//! | `swarm` | thousands of connections on one poller |
//! | `logins` | many of them on their way in |
//! | `crowd` | those who are in: they speak, and hear all, once, in order |
//! | `readers` | those who read the history |
//! | `besiegers` | those who attack |
//! | `probes` | an honest client that comes again and again |
//! | `visitor` | a connection whose answers are waited for |
//! | `netcat` | what `cat FILE | nc` moves, beside them |
//! | `histogram` | latencies |
//! | `fixtures` | data directories, made without a server |
//! | `bench` | what every scenario uses |
//! | `scenarios` | what is measured, and what it must come to |
//! | `report` | table and picture |
//! | `options` | the command line |

#[path = "loadtest/bench.rs"]
mod bench;
#[path = "loadtest/besiegers.rs"]
mod besiegers;
#[path = "loadtest/crowd.rs"]
mod crowd;
#[path = "loadtest/fixtures.rs"]
mod fixtures;
#[path = "loadtest/histogram.rs"]
mod histogram;
#[path = "loadtest/limit.rs"]
mod limit;
#[path = "loadtest/logins.rs"]
mod logins;
#[path = "loadtest/netcat.rs"]
mod netcat;
#[path = "loadtest/options.rs"]
mod options;
#[path = "loadtest/probes.rs"]
mod probes;
#[path = "loadtest/process.rs"]
mod process;
#[path = "loadtest/readers.rs"]
mod readers;
#[path = "loadtest/report.rs"]
mod report;
#[path = "loadtest/scenarios.rs"]
mod scenarios;
#[path = "loadtest/swarm.rs"]
mod swarm;
#[path = "loadtest/visitor.rs"]
mod visitor;

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bench::Bench;
use limit::Audience;
use options::Options;
use process::{Cores, pinned};
use scenarios::SCENARIOS;
use signal_hook::consts::{SIGINT, SIGTERM};

/// Set once this process is on its core.
const PINNED: &str = "CHINWAG_LOADTEST_PINNED";
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/loadtest");

fn main() -> ExitCode {
    // Cargo's own flag, which says nothing but that this is a bench.
    let (is_bench, arguments): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument == "--bench");
    let outcome = match &arguments[..] {
        [flag, whom, path] if flag == "--limit" => match Audience::parse(whom) {
            Some(audience) => limit::run(audience, Path::new(path)),
            None => Err(failure(format!("--limit {whom}: expected all, peer or pair"))),
        },
        [flag, rest @ ..] if flag == "--besiege" => besiegers::parse(rest)
            .and_then(|(server, account, length)| besiegers::run(server, account, length)),
        [flag, path, address] if flag == "--send" => netcat::send(Path::new(path), address),
        // Without it this is `cargo test --benches`, which only wants to know that it builds.
        [] if is_bench.is_empty() => return ExitCode::SUCCESS,
        _ => match Options::parse(arguments.iter().cloned()) {
            Ok(Some(options)) => run(options, &arguments),
            Ok(None) => {
                print!("{}", options::help());
                Ok(())
            }
            Err(problem) => {
                eprintln!("loadtest: {problem}");
                return ExitCode::from(2);
            }
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options, arguments: &[String]) -> io::Result<()> {
    let cores = Cores::from_text(std::env::var(PINNED).ok());
    if cores.is_none()
        && let Some(cores) = Cores::choose()
    {
        let mut command = pinned(Some(cores.load), &std::env::current_exe()?);
        // It returns only where it fails.
        return Err(command.arg("--bench").args(arguments).env(PINNED, cores.to_string()).exec());
    }
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED))?;
    }
    let directory = Path::new(DIRECTORY);
    // Of its own, so that two can run at once.
    let mut bench = Bench::new(options, cores, directory.join(format!("work-{}", std::process::id())))?;
    match bench.cores {
        Some(Cores { server, load }) => {
            bench.progress(format!("server on core {server}, load on core {load}"))
        }
        None => bench.progress("nothing is pinned to a core: no taskset, or one core"),
    }
    let outcome = measure(&mut bench);
    let report = &bench.report;
    if !report.is_empty() {
        print!("{}", report.table());
        fs::write(directory.join("report.md"), report.markdown())?;
        fs::write(directory.join("report.svg"), report.svg())?;
    }
    let removed = fs::remove_dir_all(&bench.directory);
    outcome.and(removed)
}

/// Whoever is in the midst of something ends it, so that no server is left behind.
static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Whether to go on.
///
/// # Errors
/// Where somebody wants an end.
pub(crate) fn go_on() -> io::Result<()> {
    match INTERRUPTED.load(Ordering::Relaxed) {
        true => Err(failure("interrupted")),
        false => Ok(()),
    }
}

fn measure(bench: &mut Bench) -> io::Result<()> {
    for scenario in &SCENARIOS {
        let is_wanted = match &bench.options.scenarios[..] {
            [] => bench.options.address.is_none() || scenario.works_remotely,
            names => names.iter().any(|name| name == scenario.name),
        };
        if !is_wanted {
            continue;
        }
        if bench.options.address.is_some() && !scenario.works_remotely {
            return Err(failure(format!("{}: not with --addr", scenario.name)));
        }
        bench.deadline = Instant::now() + bench.options.stretched(scenario.time_max);
        (scenario.run)(bench).map_err(|error| failure(format!("{}: {error}", scenario.name)))?;
    }
    Ok(())
}

/// Something went wrong, in words for whoever runs this.
pub(crate) fn failure(words: impl Into<String>) -> io::Error {
    io::Error::other(words.into())
}
