//! The command line.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;

use chinwag::protocol::command::name_rule;
use chinwag::protocol::name::Name;

use crate::failure::Failure;

const HELP: &str = "\
chinwag: a terminal client for chinwagd

usage: chinwag [FLAG]... [HOST[:PORT]]     (default localhost:5000)

  --user NAME             log in as NAME, and do not ask
  --register              make that account first
  --password-file FILE    its first line is the password; so is CHINWAG_PASSWORD in the environment
  --forget                forget the login that is kept for the server (with --user, for NAME), and do nothing else
  --no-bell               no sound when somebody calls you or writes you in private
  --help, --version

In the chat, /help lists the commands. Tab completes commands and names, Ctrl-C clears the line, Ctrl-D leaves.
Without a terminal it sends the lines of its input, prints what comes as plain lines, and ends with 0 once all
is acknowledged: chinwag --user bot --password-file FILE HOST < report.txt
NO_COLOR in the environment turns colours off.
";

/// What was asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// `HOST:PORT`.
    pub server: String,
    /// `--user`
    pub user: Option<String>,
    /// `--register`
    pub register: bool,
    /// `--password-file`
    pub password_file: Option<PathBuf>,
    /// `--forget`
    pub forget: bool,
    /// `--no-bell`
    pub no_bell: bool,
}

/// What the command line comes to.
pub enum Parsed {
    /// Run like this.
    Run(Options),
    /// Only say this.
    Print(String),
}

/// Takes the arguments apart.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Parsed, String> {
    let mut options = Options::default();
    let mut arguments = arguments.map(|argument| {
        argument.into_string().map_err(|argument| format!("{}: not UTF-8", argument.to_string_lossy()))
    });
    while let Some(argument) = arguments.next().transpose()? {
        let (flag, attached) = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            _ => (argument, None),
        };
        let mut value = || match attached.clone() {
            Some(value) => Ok(value),
            None => arguments.next().transpose()?.ok_or_else(|| format!("{flag} needs a value")),
        };
        match flag.as_str() {
            "--user" => options.user = Some(a_name(value()?)?),
            "--password-file" => options.password_file = Some(value()?.into()),
            "--help" | "-h" | "--version" | "-V" | "--register" | "--forget" | "--no-bell"
                if attached.is_some() =>
            {
                return Err(format!("{flag} takes no value"));
            }
            "--help" | "-h" => return Ok(Parsed::Print(HELP.into())),
            "--version" | "-V" => {
                return Ok(Parsed::Print(format!("chinwag {}\n", env!("CARGO_PKG_VERSION"))));
            }
            "--register" => options.register = true,
            "--forget" => options.forget = true,
            "--no-bell" => options.no_bell = true,
            "--password" => {
                return Err(
                    "--password: others could read it; use --password-file or CHINWAG_PASSWORD".into()
                );
            }
            _ if flag.starts_with('-') => {
                return Err(format!("{flag}: unknown flag; see --help"));
            }
            _ if options.server.is_empty() => options.server = with_port(&flag)?,
            _ => return Err(format!("{flag}: one server at a time; see --help")),
        }
    }
    if options.server.is_empty() {
        options.server = with_port("localhost")?;
    }
    Ok(Parsed::Run(options))
}

fn a_name(name: String) -> Result<String, String> {
    match Name::parse(name.as_bytes()) {
        Some(_) => Ok(name),
        None => Err(format!("--user {name}: {}", name_rule())),
    }
}

/// `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT` or a bare IPv6 address, with the port.
fn with_port(server: &str) -> Result<String, String> {
    const PORT: u16 = 5000;
    let bad = || format!("{server}: expected HOST or HOST:PORT");
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if server.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(format!("[{server}]:{PORT}"));
    }
    match server.rsplit_once(':') {
        _ if server.ends_with(']') => Ok(format!("{server}:{PORT}")),
        None if !server.is_empty() => Ok(format!("{server}:{PORT}")),
        Some((host, port)) if !host.is_empty() && is_port(port) => Ok(server.to_owned()),
        _ => Err(bad()),
    }
}

impl Options {
    /// The password, where it was given in one of the two ways that others cannot see.
    pub fn password(&self) -> Result<Option<String>, Failure> {
        if let Some(path) = &self.password_file {
            let text = fs::read_to_string(path).map_err(|error: io::Error| {
                Failure::usage(format!("--password-file {}: {error}", path.display()))
            })?;
            let first = text.lines().next().unwrap_or("");
            if first.is_empty() {
                return Err(Failure::usage(format!("--password-file {}: no password in it", path.display())));
            }
            return Ok(Some(first.to_owned()));
        }
        Ok(std::env::var("CHINWAG_PASSWORD").ok().filter(|password| !password.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], expected: Result<&str, &str>) {
        let parsed = parse(arguments.iter().map(OsString::from));
        let shown = match parsed {
            Ok(Parsed::Run(options)) => Ok(format!("{} {:?}", options.server, options.user)),
            Ok(Parsed::Print(text)) => Ok(text.lines().next().unwrap_or("").to_owned()),
            Err(problem) => Err(problem),
        };
        match expected {
            Ok(expected) => assert_eq!(shown.as_deref(), Ok(expected)),
            Err(part) => assert!(shown.clone().is_err_and(|it| it.contains(part)), "{shown:?}"),
        }
    }

    #[test]
    fn the_server_is_a_host_with_or_without_a_port() {
        check(&[], Ok("localhost:5000 None"));
        check(&["example.org"], Ok("example.org:5000 None"));
        check(&["example.org:6000", "--user=bob"], Ok("example.org:6000 Some(\"bob\")"));
        check(&["::1"], Ok("[::1]:5000 None"));
        check(&["[::1]"], Ok("[::1]:5000 None"));
        check(&["[::1]:6000", "--user", "bob"], Ok("[::1]:6000 Some(\"bob\")"));
        check(&["host:port"], Err("host:port: expected HOST"));
        check(&["host:0"], Err("expected HOST"));
        check(&["one", "two"], Err("two: one server at a time"));
    }

    #[test]
    fn a_wrong_flag_is_named() {
        check(&["--usr", "bob"], Err("--usr: unknown flag"));
        check(&["--user"], Err("--user needs a value"));
        check(&["--user", "7up"], Err("--user 7up: a name is a letter"));
        check(&["--no-bell=yes"], Err("--no-bell takes no value"));
        check(&["--password", "secret"], Err("others could read it"));
    }
}
