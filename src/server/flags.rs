//! The command line of `chinwagd`: arguments in, [`Flags`] or a message out.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::limits::KDF_ROUNDS_MAX;
use crate::log::storage::SyncPolicy;
use crate::protocol::name::Name;
use crate::server::Options;

/// What `--help` prints.
const HELP: &str = "\
chinwagd: a chat server that anyone reaches with `nc localhost 5000`

usage: chinwagd [FLAG]...

  --listen ADDR:PORT      where to listen; again for more; *:PORT is every address; port 0 picks a free one
                          (default 127.0.0.1:5000, and [::1]:5000 where there is IPv6)
  --data DIR              where the history and the accounts are (default data)
  --sync always|second|never
                          when messages are synced to disk (default always, before anyone sees them;
                          with the others a crash can lose what was shown)
  --kdf-rounds N          rounds of PBKDF2-HMAC-SHA256 for passwords (default 600000)
  --rate N|off            lines a second that one account may send, with a burst of twice that (default 10);
                          off lifts everything that is counted per account
  --daily-bytes SIZE|off  bytes of messages of one account in a day, such as 64M (default 64M)
  --first-day-bytes SIZE|off
                          the same on the first day of an account (default 4M)
  --replay N              missed public messages shown at a login (default 50)
  --max-connections N     connections at a time (default: what the limit on open files allows)
  --per-address N|off     connections of one address at a time (default 32); off also lifts the limits
                          on new accounts and failed logins of an address
  --proxy-from ADDRESS[/BITS]
                          peers whose connections begin with a header of the PROXY protocol; again for more
  --registration open|closed
                          whether anyone may make an account (default open)
  --max-accounts N        accounts in all (default 100000)
  --accounts-per-hour N|off
                          new accounts within an hour, from all addresses together (default 100)
  --max-rooms N           rooms in all (default 10000)
  --rooms-per-account N   rooms that an account may be in (default 200)
  --max-members N         members of a room (default 10000)
  --topic-bytes N         bytes of a room's topic, or of a reason (default 300)
  --check                 only verify the data directory, or a copy of one: 0 if all is well, 1 if not
  --repair                show how to repair a damaged data directory; with --yes, do it
  --reset NAME            print a one-time code with which NAME chooses a new password
  --new-history           set the history aside and begin a new one; accounts and names stay
                          (these three: only while no server runs, and one at a time)
  --help, --version

The log goes to stderr; RUST_LOG=warn makes it quieter, RUST_LOG=debug louder.
";

/// What the command line says.
pub struct Flags {
    /// `--listen`, in the order given; empty means the default.
    pub listen: Vec<String>,
    /// `--data`.
    pub data: PathBuf,
    /// Everything the server itself needs to know, except the number of connections.
    pub options: Options,
    /// `--max-connections`; `None` means as many as the limit on open files allows.
    pub max_connections: Option<usize>,
    /// `--check`.
    pub check: bool,
    /// `--repair`.
    pub repair: bool,
    /// `--yes`, which lets `--repair` change something.
    pub yes: bool,
    /// `--reset`.
    pub reset: Option<Name>,
    /// `--new-history`.
    pub new_history: bool,
}

/// What to do.
pub enum Parsed {
    /// Run with these flags.
    Run(Box<Flags>),
    /// Print this and exit.
    Print(String),
}

/// Parses the arguments behind the program's name.
///
/// # Errors
/// A message for the user that names the flag at fault.
pub fn parse_flags(arguments: impl Iterator<Item = OsString>) -> Result<Parsed, String> {
    let mut flags = Flags {
        listen: Vec::new(),
        data: "data".into(),
        options: Options::default(),
        max_connections: None,
        check: false,
        repair: false,
        yes: false,
        reset: None,
        new_history: false,
    };
    let mut arguments = arguments.map(|argument| {
        argument.into_string().map_err(|argument| format!("{}: not UTF-8", argument.to_string_lossy()))
    });
    while let Some(argument) = arguments.next().transpose()? {
        let (flag, attached) = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            _ => (argument, None),
        };
        let switch = match flag.as_str() {
            "--check" => Some(&mut flags.check),
            "--repair" => Some(&mut flags.repair),
            "--yes" => Some(&mut flags.yes),
            "--new-history" => Some(&mut flags.new_history),
            _ => None,
        };
        if (switch.is_some() || matches!(flag.as_str(), "--help" | "-h" | "--version" | "-V"))
            && attached.is_some()
        {
            return Err(format!("{flag} takes no value"));
        }
        if let Some(switch) = switch {
            *switch = true;
            continue;
        }
        match flag.as_str() {
            "--help" | "-h" => return Ok(Parsed::Print(HELP.into())),
            "--version" | "-V" => {
                return Ok(Parsed::Print(format!("chinwagd {}\n", env!("CARGO_PKG_VERSION"))));
            }
            "--listen"
            | "--data"
            | "--sync"
            | "--kdf-rounds"
            | "--rate"
            | "--daily-bytes"
            | "--first-day-bytes"
            | "--replay"
            | "--max-connections"
            | "--per-address"
            | "--proxy-from"
            | "--registration"
            | "--max-accounts"
            | "--accounts-per-hour"
            | "--rooms-per-account"
            | "--max-rooms"
            | "--max-members"
            | "--topic-bytes"
            | "--reset" => {}
            _ if !flag.starts_with('-') => return Err(format!("{flag}: unexpected argument; see --help")),
            _ => return Err(format!("{flag}: unknown flag; see --help")),
        }
        let value = match attached {
            Some(value) => value,
            None => arguments.next().transpose()?.ok_or_else(|| format!("{flag} needs a value"))?,
        };
        set_flag(&mut flags, &flag, value)?;
    }
    check_together(&flags)?;
    Ok(Parsed::Run(Box::new(flags)))
}

/// Checks that there is at most one command that starts no server, and that nothing else belongs to another command.
fn check_together(flags: &Flags) -> Result<(), String> {
    let commands = [
        ("--check", flags.check),
        ("--repair", flags.repair),
        ("--reset", flags.reset.is_some()),
        ("--new-history", flags.new_history),
    ];
    let mut given = commands.iter().filter(|(_, is_given)| *is_given).map(|(command, _)| command);
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        return Err(format!("{first} and {second}: one of them at a time"));
    }
    if flags.yes && !flags.repair {
        return Err("--yes: only with --repair; see --help".into());
    }
    Ok(())
}

fn set_flag(flags: &mut Flags, flag: &str, value: String) -> Result<(), String> {
    let bad = |expected: &str| format!("{flag} {value}: expected {expected}");
    let number = |least: u32| {
        value
            .parse::<u32>()
            .ok()
            .filter(|&number| number >= least)
            .ok_or_else(|| bad(&format!("a number, at least {least}")))
    };
    let number_or_off = |most: u32| match value.as_str() {
        "off" => Ok(None),
        _ => number(1)
            .and_then(
                |number| if number <= most { Ok(Some(number)) } else { Err(bad(&format!("at most {most}"))) },
            )
            .map_err(|problem| format!("{problem}, or off")),
    };
    let size_or_off = || match value.as_str() {
        "off" => Ok(None),
        _ => size(&value)
            .map(Some)
            .ok_or_else(|| bad("a number of bytes such as 4096, 512K, 64M or 1G, or off")),
    };
    match flag {
        "--listen" => {
            let has_port = value
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            if !has_port {
                return Err(bad("ADDR:PORT, such as 127.0.0.1:5000, [::1]:5000 or *:5000"));
            }
            flags.listen.push(value);
        }
        "--reset" => {
            flags.reset = Some(Name::parse(value.as_bytes()).ok_or_else(|| bad("the name of an account"))?);
        }
        "--data" if value.is_empty() => return Err(bad("a directory")),
        "--data" => flags.data = value.into(),
        "--sync" => {
            flags.options.sync = match value.as_str() {
                "always" => SyncPolicy::Always,
                "second" => SyncPolicy::Second,
                "never" => SyncPolicy::Never,
                _ => return Err(bad("always, second or never")),
            }
        }
        "--registration" => {
            flags.options.rules.is_registration_open = match value.as_str() {
                "open" => true,
                "closed" => false,
                _ => return Err(bad("open or closed")),
            }
        }
        "--max-accounts" => flags.options.rules.accounts_max = number(1)? as usize,
        "--accounts-per-hour" => flags.options.rules.accounts_per_hour = number_or_off(1_000_000)?,
        "--rooms-per-account" => flags.options.rules.rooms_per_account = number(0)? as usize,
        "--max-rooms" => flags.options.rules.rooms_max = number(0)? as usize,
        "--max-members" => flags.options.rules.members_max = number(1)? as usize,
        "--topic-bytes" => flags.options.rules.topic_bytes_max = number(0)? as usize,
        "--kdf-rounds" => {
            flags.options.rules.kdf_rounds = number(1)?;
            if flags.options.rules.kdf_rounds > KDF_ROUNDS_MAX {
                return Err(bad(&format!("at most {KDF_ROUNDS_MAX}")));
            }
        }
        "--rate" => flags.options.rate = number_or_off(1_000_000)?,
        "--daily-bytes" => flags.options.rules.bytes.daily = size_or_off()?,
        "--first-day-bytes" => flags.options.rules.bytes.first_day = size_or_off()?,
        "--replay" => flags.options.rules.replay = number(0)?,
        "--max-connections" => flags.max_connections = Some(number(1)? as usize),
        "--per-address" => {
            flags.options.per_address = number_or_off(u32::MAX)?;
            flags.options.rules.limits_addresses = flags.options.per_address.is_some();
        }
        "--proxy-from" => {
            let expected = "an IP address, or a range such as 10.0.0.0/8";
            flags.options.proxies.push(value.parse().map_err(|_| bad(expected))?);
        }
        _ => unreachable!("parse_flags knows the same flags"),
    }
    Ok(())
}

/// A number of bytes, with an optional binary unit.
fn size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) => (
            digits,
            match text.as_bytes()[digits.len()] {
                b'K' => 10,
                b'M' => 20,
                _ => 30,
            },
        ),
        None => (text, 0),
    };
    digits.parse::<u64>().ok().filter(|&number| number > 0)?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Flags, String> {
        match parse_flags(arguments.iter().map(OsString::from))? {
            Parsed::Run(flags) => Ok(*flags),
            Parsed::Print(text) => Err(text),
        }
    }

    #[test]
    fn flags_take_their_value_behind_a_space_or_an_equals_sign() {
        let flags =
            parse(&["--data", "x", "--rate=7", "--listen=[::1]:1", "--check"]).expect("all are known");
        assert_eq!(flags.data, PathBuf::from("x"));
        assert_eq!(flags.options.rate, Some(7));
        assert_eq!(flags.listen, ["[::1]:1"]);
        assert!(flags.check);
    }

    #[test]
    fn per_address_off_lifts_every_limit_on_addresses() {
        let flags = parse(&["--per-address", "off"]).expect("it is a value");
        assert_eq!(flags.options.per_address, None);
        assert!(!flags.options.rules.limits_addresses);
    }

    #[test]
    fn proxies_are_addresses_or_ranges() {
        let flags = parse(&["--proxy-from", "127.0.0.2", "--proxy-from=2001:db8::/32"]).expect("both are");
        let proxies: Vec<String> = flags.options.proxies.iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["127.0.0.2/32", "2001:db8::/32"]);
    }

    #[test]
    fn sizes_have_binary_units() {
        let sizes = ["1", "4096", "512K", "64M", "2G"].map(size);
        assert_eq!(sizes, [1, 4096, 512 << 10, 64 << 20, 2 << 30].map(Some));
        assert!(["", "0", "K", "1.5M", "4k", "99999999999G", "-1"].iter().all(|text| size(text).is_none()));
        let flags = parse(&["--daily-bytes=off", "--first-day-bytes", "1M"]).expect("both are known");
        assert_eq!(
            (flags.options.rules.bytes.daily, flags.options.rules.bytes.first_day),
            (None, Some(1 << 20))
        );
    }

    #[test]
    fn flags_that_exclude_each_other_start_nothing() {
        for (arguments, expected) in [
            (&["--yes"][..], "--yes: only with --repair; see --help"),
            (&["--check", "--yes"], "--yes: only with --repair; see --help"),
            (&["--check", "--repair"], "--check and --repair: one of them at a time"),
            (&["--repair", "--yes", "--new-history"], "--repair and --new-history: one of them at a time"),
            (&["--new-history", "--reset=bob"], "--reset and --new-history: one of them at a time"),
            (&["--reset", "bob", "--check"], "--check and --reset: one of them at a time"),
        ] {
            assert_eq!(parse(arguments).err().as_deref(), Some(expected), "{arguments:?}");
        }
        let flags = parse(&["--yes", "--repair", "--data=x"]).expect("these belong together");
        assert!(flags.repair && flags.yes);
    }

    #[test]
    fn flags_that_make_no_sense_are_named_in_the_message() {
        let wrong: [&[&str]; 7] = [
            &["--rate", "0"],
            &["--rate"],
            &["--check=1"],
            &["--what"],
            &["what"],
            &["--listen", "5000"],
            &["--proxy-from", "10.0.0.0/33"],
        ];
        for arguments in wrong {
            let message = parse(arguments).err().expect("it makes no sense");
            assert!(message.contains(arguments[0].split('=').next().expect("a part")), "{message}");
        }
    }
}
