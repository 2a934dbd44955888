//! The command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use crate::scenarios::SCENARIOS;

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
            if flag == "--bench" {
                continue;
            }
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
        match flag {
            "--scenario" if SCENARIOS.iter().any(|scenario| scenario.name == value) => {
                self.scenarios.push(value.to_owned());
            }
            "--scenario" => return Err("no such scenario; see --help".into()),
            "--clients" => self.clients = Some(number(2)?),
            "--senders" => self.senders = number(1)?,
            "--size" => self.size = number(crate::crowd::TEXT_BYTES_MIN)?,
            "--rate" => self.rate = number(1)? as u32,
            "--duration" => {
                self.duration = value
                    .parse()
                    .ok()
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                    .filter(|duration| *duration > Duration::ZERO)
                    .ok_or("expected seconds")?;
            }
            "--addr" => {
                let addresses = value.to_socket_addrs().map_err(|error| error.to_string())?;
                self.address = Some(addresses.into_iter().next().ok_or("no such address")?);
            }
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
  --addr ADDR:PORT  measure a server that runs already, and nothing beside it; accounts load00000 and so on
                    are made there, or used again
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
