//! The client's half of the wire: a line of text to a [`Command`]; and the words of the server's other half that
//! are the same for everyone.

use std::fmt;

use crate::limits::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};
use crate::record::TimePrefix;

/// What a line from a client asks for. Names are not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named as the arguments of the commands are")]
pub enum Command<'a> {
    /// Nothing: the line is blank.
    Nothing,
    /// A public message.
    Say(&'a str),
    /// `/msg NAME TEXT`
    Whisper { to: &'a str, text: &'a str },
    /// `/register NAME PASSWORD`
    Register { name: &'a str, password: &'a str },
    /// `/login NAME PASSWORD`
    Login { name: &'a str, password: &'a str },
    /// `/passwd OLD NEW`: where passwords have spaces, only the old one's hash tells which space divides them.
    Passwd { passwords: &'a str },
    /// `/history …`
    History(HistoryRange),
    /// `/users`
    Users,
    /// `/replay N`
    Replay(u32),
    /// `/help`
    Help,
    /// `/quit`
    Quit,
}

/// Which part of the history is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryRange {
    /// All of it.
    All,
    /// The last so many.
    Last(u64),
    /// All from this time on.
    Since(TimePrefix),
    /// The so many before this time.
    Before(u64, TimePrefix),
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse<'a> {
    /// There is no such command.
    Unknown(&'a str),
    /// There is, and this is how it is written.
    Usage(&'static str),
    /// It is a command behind blanks: as a message it could tell everyone what was meant for one.
    Indented,
}

/// Every command: how it is written and what it does, as `/help` tells it.
const COMMANDS: [(&str, &str); 11] = [
    ("/register NAME PASSWORD", "make an account and log in"),
    ("/login NAME PASSWORD", "log in; what you missed follows"),
    ("/passwd OLD NEW", "change your password"),
    ("/msg NAME TEXT", "a private message; it waits for who is offline"),
    ("/history", "all that you may see; /history N, the last N; /history 2026-11-22, since then"),
    ("/history N before TIME", "the N before a timestamp, to page back"),
    ("/users", "who is online"),
    ("/replay N", "how many missed public messages a login shows; 0 for nothing at all"),
    ("/help", "this"),
    ("/quit", "goodbye"),
    ("//TEXT", "a message that starts with a slash"),
];

/// What `/help` answers, as lines without their endings.
pub fn help() -> impl Iterator<Item = String> {
    let text = "anything else is a message to everyone; your own copy means that it is on disk";
    let commands = COMMANDS.iter().map(|(usage, does)| format!("* {usage:<24} {does}"));
    commands.chain([format!("* {text}")])
}

/// The words of the commands, without the slash.
pub fn command_words() -> impl Iterator<Item = &'static str> {
    COMMANDS
        .iter()
        .filter_map(|(usage, _)| split_word(usage).0.strip_prefix('/'))
        .filter(|it| !it.starts_with('/'))
}

/// Reads one line, already clean and without its ending.
///
/// # Errors
/// What to tell who wrote it.
pub fn parse(line: &str) -> Result<Command<'_>, Misuse<'_>> {
    if line.trim().is_empty() {
        return Ok(Command::Nothing);
    }
    let Some(rest) = line.strip_prefix('/') else {
        return if is_indented_command(line) { Err(Misuse::Indented) } else { Ok(Command::Say(line)) };
    };
    if rest.starts_with('/') {
        return Ok(Command::Say(rest));
    }
    let (word, arguments) = split_word(rest);
    let usage = |at: usize| Misuse::Usage(COMMANDS[at].0);
    // Capitals are forgiven: telephones begin a line with one.
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    if is("msg") {
        two(arguments)
            .filter(|(_, text)| !text.trim().is_empty())
            .map(|(to, text)| Command::Whisper { to, text })
            .ok_or(usage(3))
    } else if is("register") {
        two(arguments).map(|(name, password)| Command::Register { name, password }).ok_or(usage(0))
    } else if is("login") {
        two(arguments).map(|(name, password)| Command::Login { name, password }).ok_or(usage(1))
    } else if is("passwd") {
        two(arguments).map(|_| Command::Passwd { passwords: arguments }).ok_or(usage(2))
    } else if is("history") {
        history_range(arguments.trim())
            .map(Command::History)
            .ok_or(Misuse::Usage("/history [N | TIME | N before TIME], TIME as in 2026-11-22T12:03"))
    } else if is("users") {
        bare(arguments, Command::Users).ok_or(usage(6))
    } else if is("replay") {
        arguments.trim().parse().map(Command::Replay).map_err(|_| usage(7))
    } else if is("help") {
        Ok(Command::Help)
    } else if is("quit") {
        bare(arguments, Command::Quit).ok_or(usage(9))
    } else {
        Err(Misuse::Unknown(word))
    }
}

fn is_indented_command(line: &str) -> bool {
    line.trim_start().strip_prefix('/').is_some_and(|rest| {
        let word = split_word(rest).0;
        COMMANDS.iter().any(|(usage, _)| split_word(&usage[1..]).0.eq_ignore_ascii_case(word))
    })
}

/// The ways to divide the arguments of `/passwd` in two possible passwords, in order.
pub fn password_splits(passwords: &str) -> impl Iterator<Item = (&str, &str)> {
    passwords
        .match_indices(' ')
        .map(|(at, _)| (&passwords[..at], &passwords[at + 1..]))
        .filter(|(old, new)| is_password(old) && is_password(new))
}

/// Whether `text` (clean already) may be a password.
pub fn is_password(text: &str) -> bool {
    (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&text.len())
        && !text.contains(['\t', char::REPLACEMENT_CHARACTER])
}

fn split_word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

/// A word and the rest of the line, neither of them empty.
fn two(arguments: &str) -> Option<(&str, &str)> {
    let (first, rest) = split_word(arguments);
    (!first.is_empty() && !rest.is_empty()).then_some((first, rest))
}

fn bare<'a>(arguments: &str, command: Command<'a>) -> Option<Command<'a>> {
    arguments.trim().is_empty().then_some(command)
}

fn history_range(arguments: &str) -> Option<HistoryRange> {
    if arguments.is_empty() {
        return Some(HistoryRange::All);
    }
    let mut words = arguments.split_ascii_whitespace();
    let (first, second, third) = (words.next()?, words.next(), words.next());
    let time = |word: &str| TimePrefix::parse(word.as_bytes());
    match (second, third, words.next()) {
        (None, None, None) => {
            number(first).map(HistoryRange::Last).or_else(|| time(first).map(HistoryRange::Since))
        }
        (Some("before"), Some(third), None) => Some(HistoryRange::Before(number(first)?, time(third)?)),
        _ => None,
    }
}

/// Only digits are a number, however many: nobody has more messages than fit.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().unwrap_or(u64::MAX))
}

impl fmt::Display for Misuse<'_> {
    /// As the error line that answers it, without its ending.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misuse::Unknown(word) => {
                let shown: String = word.chars().take(20).collect();
                write!(f, "! unknown-command: there is no /{shown}; /help tells what there is")
            }
            Misuse::Usage(usage) => write!(f, "! bad-usage: {usage}"),
            Misuse::Indented => {
                f.write_str("! bad-usage: a command begins in the first column; nothing was sent")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_a_message_or_misuse() {
        use Command::*;
        let time = |text: &str| TimePrefix::parse(text.as_bytes()).unwrap();
        for (line, expected) in [
            ("", Nothing),
            ("  \t", Nothing),
            ("hello", Say("hello")),
            (" /etc/passwd", Say(" /etc/passwd")),
            ("  // a comment", Say("  // a comment")),
            ("see /msg", Say("see /msg")),
            ("//x", Say("/x")),
            ("//", Say("/")),
            ("* forged", Say("* forged")),
            ("/msg bob hi there ", Whisper { to: "bob", text: "hi there " }),
            ("/msg bob  x", Whisper { to: "bob", text: " x" }),
            ("/login a  p q ", Login { name: "a", password: " p q " }),
            ("/Login a pw", Login { name: "a", password: "pw" }),
            ("/register a pw", Register { name: "a", password: "pw" }),
            ("/passwd old new", Passwd { passwords: "old new" }),
            ("/history", History(HistoryRange::All)),
            ("/history ", History(HistoryRange::All)),
            ("/history 5", History(HistoryRange::Last(5))),
            ("/history 2026", History(HistoryRange::Last(2026))),
            ("/history 99999999999999999999999", History(HistoryRange::Last(u64::MAX))),
            ("/history 2026-", History(HistoryRange::Since(time("2026-")))),
            ("/history 2026-11-22T12:0", History(HistoryRange::Since(time("2026-11-22T12:0")))),
            ("/history 3 before 2026-11-22", History(HistoryRange::Before(3, time("2026-11-22")))),
            ("/users", Users),
            ("/users ", Users),
            ("/replay 0", Replay(0)),
            ("/help me", Help),
            ("/quit", Quit),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn misuse_says_how_it_is_written() {
        for (line, expected) in [
            (" /msg bob psst", "! bad-usage: a command begins in the first column; nothing was sent"),
            ("\t/Login a pw", "! bad-usage: a command begins in the first column; nothing was sent"),
            ("/", "! unknown-command: there is no /; /help tells what there is"),
            ("/nick x", "! unknown-command: there is no /nick; /help tells what there is"),
            ("/msg", "! bad-usage: /msg NAME TEXT"),
            ("/msg bob", "! bad-usage: /msg NAME TEXT"),
            ("/msg bob  ", "! bad-usage: /msg NAME TEXT"),
            ("/login a", "! bad-usage: /login NAME PASSWORD"),
            ("/register  b", "! bad-usage: /register NAME PASSWORD"),
            ("/passwd x", "! bad-usage: /passwd OLD NEW"),
            ("/users x", "! bad-usage: /users"),
            ("/quit now", "! bad-usage: /quit"),
            ("/replay", "! bad-usage: /replay N"),
            ("/replay -1", "! bad-usage: /replay N"),
            ("/replay 4294967296", "! bad-usage: /replay N"),
        ] {
            assert_eq!(parse(line).unwrap_err().to_string(), expected, "{line:?}");
        }
        for line in
            ["/history x", "/history -1", "/history 3 before", "/history 3 before 5", "/history 1 2 3 4"]
        {
            assert!(
                matches!(parse(line), Err(Misuse::Usage(usage)) if usage.starts_with("/history")),
                "{line}"
            );
        }
    }

    #[test]
    fn two_passwords_with_spaces_are_divided_in_every_way_that_gives_two_passwords() {
        let splits: Vec<_> = password_splits("correct horse battery staple").collect();
        assert_eq!(
            splits,
            [("correct horse", "battery staple")],
            "only this one leaves both sides long enough"
        );
        assert_eq!(password_splits("short1 short2").count(), 0);
    }

    #[test]
    fn passwords_have_8_to_128_bytes_and_no_control_characters() {
        assert!(is_password("12345678") && is_password(&"x".repeat(128)) && is_password("pässword"));
        assert!(!is_password("1234567") && !is_password(&"x".repeat(129)) && !is_password("1234\t5678"));
        assert!(!is_password("1234\u{fffd}5678"));
    }

    #[test]
    fn help_names_every_command_and_fits_a_line() {
        let help: Vec<_> = help().collect();
        for command in ["/register", "/login", "/passwd", "/msg", "/history", "/users", "/replay", "/quit"] {
            assert!(help.iter().any(|line| line.contains(command)), "{command}");
        }
        assert!(help.iter().all(|line| line.starts_with("* ") && line.len() <= 120), "{help:#?}");
    }
}
