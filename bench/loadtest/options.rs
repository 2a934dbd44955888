//! The command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::scenarios::SCENARIOS;

/// With its time and names it is a line of the server's still.
const TEXT_BYTES_MAX: usize = 4000;
const RATE_MAX: usize = 100_000;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which scenarios, by name; all where there is none.
    pub scenarios: Vec<String>,
    /// Receivers, in place of a scenario's own numbers.
    pub clients: Option<usize>,
    /// How many of them speak.
    pub senders: usize,
    /// Bytes of a message's text.
    pub size: usize,
    /// Messages a second, where it is not flat out.
    pub rate: u32,
    /// How long one measured stretch takes.
    pub duration: Duration,
    /// Length of the logs that are made, in megabytes.
    pub log_megabytes: u64,
    /// A server that is there already.
    pub address: Option<SocketAddr>,
    /// The server's program.
    pub server: PathBuf,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            scenarios: Vec::new(),
            clients: None,
            senders: 10,
            size: 64,
            rate: 50,
            duration: Duration::from_secs(2),
            log_megabytes: 1000,
            address: None,
            server: env!("CARGO_BIN_EXE_chinwagd").into(),
        }
    }
}

impl Options {
    /// Takes the arguments apart; `None` where only help was wanted.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
        let mut options = Options::default();
        let mut arguments = arguments;
        while let Some(flag) = arguments.next() {
            if matches!(flag.as_str(), "--help" | "-h") {
                return Ok(None);
            }
            let value = arguments
                .next()
                .ok_or_else(|| format!("{flag}: unknown, or without its value; see --help"))?;
            options.set(&flag, &value).map_err(|problem| format!("{flag} {value}: {problem}"))?;
        }
        Ok(Some(options))
    }

    /// How long something may take that takes `usual` where a measured stretch takes as long as by default.
    pub fn stretched(&self, usual: Duration) -> Duration {
        usual.mul_f64((self.duration.as_secs_f64() / Options::default().duration.as_secs_f64()).max(1.0))
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<(), String> {
        let number = |least: usize| match value.parse() {
            Ok(number) if number >= least => Ok(number),
            _ => Err(format!("expected a number, at least {least}")),
        };
        let at_most = |number: usize, most: usize| match number <= most {
            true => Ok(number),
            false => Err(format!("expected at most {most}")),
        };
        match flag {
            "--scenario" if SCENARIOS.iter().any(|scenario| scenario.name == value) => {
                self.scenarios.push(value.to_owned());
            }
            "--scenario" => return Err("no such scenario; see --help".into()),
            "--clients" => self.clients = Some(number(2)?),
            "--senders" => self.senders = number(1)?,
            "--size" => self.size = at_most(number(crate::crowd::TEXT_BYTES_MIN)?, TEXT_BYTES_MAX)?,
            "--rate" => self.rate = at_most(number(1)?, RATE_MAX)? as u32,
            "--duration" => {
                self.duration = value
                    .parse()
                    .ok()
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                    .filter(|duration| *duration > Duration::ZERO)
                    .ok_or("expected seconds")?;
            }
            "--log-mb" => self.log_megabytes = number(10)? as u64,
            "--addr" => {
                let addresses = value.to_socket_addrs().map_err(|error| error.to_string())?;
                self.address = Some(addresses.into_iter().next().ok_or("no such address")?);
            }
            "--server" if !Path::new(value).is_file() => return Err("no such file".into()),
            "--server" => self.server = value.into(),
            _ => return Err("unknown; see --help".into()),
        }
        Ok(())
    }
}

/// What `--help` says.
pub fn help() -> String {
    let mut text = String::from(
        "\
The load test: how close chinwagd comes to a bare loop that does nothing but read, sync and write.

usage: scripts/loadtest.sh [FLAG]...

  --scenario NAME   only this one; again for more
  --clients N       so many receivers, in place of a scenario's own numbers
  --senders N       so many of them speak (default 10)
  --size BYTES      of a message's text (default 64)
  --rate N          messages a second, in all scenarios that are not flat out (default 50)
  --duration SECS   of one measured stretch (default 2)
  --log-mb N        length of the logs that are made, in megabytes (default 1000)
  --addr ADDR:PORT  measure a server that runs already, and nothing beside it; accounts load00000 and so on
                    are made there, or used again; start it with --kdf-rounds 1 --rate off --per-address off,
                    or its limits are what is measured
  --server PATH     the server's program (default: the one built with this)
  --limit WHOM PATH run the bare loop alone: all, peer or pair get what is said, PATH is appended to
  --help            this

scenarios:

",
    );
    for scenario in &SCENARIOS {
        text.push_str(&format!("  {:<17} {}\n", scenario.name, scenario.about));
    }
    text.push_str("\nThe table goes to stdout, report.svg and report.md to target/loadtest.\n");
    text
}
