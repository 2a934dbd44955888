//! The client's half of the wire: a line of text to a [`Command`]; and the words of the server's other half that
//! are the same for everyone.

mod suggestion;
mod table;

use self::suggestion::{closest, unknown};
use self::table::{COMMANDS, Entry, split_word};
use crate::limits::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};
use crate::protocol::record::TimePrefix;
use crate::protocol::reply::{Error, HelpEntry, Notice};
use crate::protocol::text::{
    Class, class, has_own_cell, has_visible, is_blank, rows_as_seen, sanitise, tidy,
};

/// What a line from a client asks for. Names are not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named as the arguments of the commands are")]
pub enum Command<'a> {
    /// Nothing: the line is blank.
    Nothing,
    /// A public message.
    Say(&'a str),
    /// `/msg NAME TEXT` and `/msg #ROOM TEXT`
    Whisper { to: &'a str, text: &'a str },
    /// `/to`, `/to NAME` and `/to #ROOM`
    To(Option<&'a str>),
    /// `/join #ROOM` and `/join #ROOM private`
    Join { room: &'a str, is_private: bool },
    /// `/leave` and `/leave #ROOM`
    Leave(Option<&'a str>),
    /// `/topic …`: `None` asks for it, and an empty text removes it.
    Topic { room: Option<&'a str>, text: Option<&'a str> },
    /// `/rooms`
    Rooms,
    /// `/invite NAME` and `/invite NAME #ROOM`
    Invite { name: &'a str, room: Option<&'a str> },
    /// `/kick NAME [WHY]` and `/kick #ROOM NAME [WHY]`
    Kick { room: Option<&'a str>, name: &'a str, why: &'a str },
    /// `/op NAME` and `/op #ROOM NAME`
    Op { room: Option<&'a str>, name: &'a str },
    /// `/deop NAME` and `/deop #ROOM NAME`
    Deop { room: Option<&'a str>, name: &'a str },
    /// `/room #ROOM private`, `/room #ROOM announce` and `/room #ROOM everyone`
    Room { room: Option<&'a str>, setting: RoomSetting },
    /// `/ping TEXT`
    Ping(&'a str),
    /// `/register NAME PASSWORD`
    Register { name: &'a str, password: &'a str },
    /// `/login NAME PASSWORD`
    Login { name: &'a str, password: &'a str },
    /// `/token`
    Token,
    /// `/resume NAME TOKEN`
    Resume { name: &'a str, token: &'a str },
    /// `/code CODE`
    Code(&'a str),
    /// `/passwd OLD NEW`: where passwords have spaces, only the old one's hash tells which space divides them.
    Passwd { passwords: &'a str },
    /// `/history …`
    History { with: Option<&'a str>, range: HistoryRange },
    /// `/users` and `/users #ROOM`
    Users(Option<&'a str>),
    /// `/replay N`
    Replay(u32),
    /// `/help`
    Help,
    /// `/quit`
    Quit,
}

/// How a room is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomSetting {
    /// Only people who are invited can enter.
    Private,
    /// Only owners speak.
    Announce,
    /// Everyone in it speaks.
    Everyone,
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

/// Why a line is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse<'a> {
    /// There is no such command.
    Unknown(&'a str),
    /// There is, and this is how it is written.
    Usage(&'static str),
    /// A command that does not begin in the first column. As a message it could tell everyone what was meant for one
    /// person or for nobody.
    Indented,
    /// A message by command whose recipient was erased again as it was typed, or erased altogether: what is left of the
    /// line in its writer's eyes is something else.
    Erased,
}

/// A line as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// What it asks for.
    pub command: Result<Command<'a>, Misuse<'a>>,
    /// Whether characters of it were replaced by U+FFFD.
    pub replaced: bool,
}

/// Returns the notices that answer `/help`.
pub fn help() -> impl Iterator<Item = Notice<'static>> {
    let slash = ("//TEXT", "send a message that starts with a slash");
    let forms = COMMANDS.iter().flat_map(|entry| entry.forms).chain([&slash]).copied().collect::<Vec<_>>();
    let entries = forms.into_iter().map(|(form, does)| Notice::Help { entry: HelpEntry { form, does } });
    entries.chain([Notice::HelpOnMessages])
}

/// Returns what a name is, in words.
pub fn name_rule() -> String {
    Error::BAD_NAME.to_string()
}

/// Returns what a password is, in words.
pub fn password_rule() -> String {
    Error::BAD_PASSWORD.to_string()
}

/// Returns the words of the commands, without the slash and without aliases.
pub fn command_words() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|entry| entry.words[0])
}

/// Reads a line as it was received, without its ending; `line` becomes its text, with the text of a message tidied.
///
/// A message of which nothing is visible is no message, and a command behind something invisible is refused.
pub fn read<'a>(raw: &[u8], line: &'a mut String) -> Input<'a> {
    let replaced = sanitise(raw, line);
    let is_command = line.starts_with('/') && !line.starts_with("//");
    let text_at = match parse(line) {
        Ok(Command::Say(text) | Command::Whisper { text, .. } | Command::Topic { text: Some(text), .. }) => {
            Some(line.len() - text.len())
        }
        Ok(Command::Kick { why, .. }) if !why.is_empty() => Some(line.len() - why.len()),
        _ => None,
    };
    if replaced || !line.starts_with(has_own_cell) {
        let rows = rows_as_seen(raw);
        let (first, others) = rows.split_first().expect("the first row can be empty");
        if !is_command && rows.iter().all(String::is_empty) {
            return Input { command: Ok(Command::Nothing), replaced };
        }
        if others.iter().any(|row| names_command(row)) || (!is_command && names_command(first)) {
            return Input { command: Err(Misuse::Indented), replaced };
        }
        if is_command && text_at.is_some() && !is_like(line, first) {
            return Input { command: Err(Misuse::Erased), replaced };
        }
    }
    if let Some(text_at) = text_at {
        tidy(line, text_at);
        lower_case_command(line);
    }
    let command = match text_at {
        // It may begin with a slash only now.
        Some(0) if !is_command => Ok(if has_visible(line) { Command::Say(line) } else { Command::Nothing }),
        _ => parse(line),
    };
    Input { command, replaced }
}

/// Whether a message by command is still the same command, to the same people, in what its writer sees of it.
fn is_like(line: &str, seen: &str) -> bool {
    let usage_of = |line: &str| Some(entry_of(split_word(line.strip_prefix('/')?).0)?.usage);
    let is_same_recipient = match (parse(line), parse(seen)) {
        (Ok(Command::Whisper { to, .. }), Ok(Command::Whisper { to: seen, .. })) => {
            to == seen || to.contains(char::REPLACEMENT_CHARACTER)
        }
        _ => true,
    };
    usage_of(line) == usage_of(seen) && is_same_recipient
}

/// `/ME waves` is stored as `/me waves`.
fn lower_case_command(line: &mut str) {
    if !line.starts_with("//")
        && let Some(word) = line.get_mut(.."/me ".len())
        && word.starts_with('/')
    {
        word.make_ascii_lowercase();
    }
}

/// Reads one line, already clean and without its ending.
///
/// # Errors
/// What to tell the person who wrote it.
pub fn parse(line: &str) -> Result<Command<'_>, Misuse<'_>> {
    if !has_visible(line) {
        return Ok(Command::Nothing);
    }
    let Some(rest) = line.strip_prefix('/') else {
        return if names_command(line) { Err(Misuse::Indented) } else { Ok(Command::Say(line)) };
    };
    if rest.starts_with('/') {
        return Ok(Command::Say(rest));
    }
    let (word, arguments) = split_word(rest);
    let entry = entry_of(word).ok_or(Misuse::Unknown(word))?;
    (entry.read)(line, arguments).ok_or(Misuse::Usage(entry.usage))
}

/// Whether a line is a command, or one with a slip of the finger in its word, behind blanks, unreadable bytes and
/// whatever else shows nothing by itself.
fn names_command(line: &str) -> bool {
    let line = line.trim_start_matches(|it| !has_own_cell(it) || it == char::REPLACEMENT_CHARACTER);
    line.strip_prefix('/').is_some_and(|rest| {
        let word = split_word(rest).0;
        entry_of(word).is_some() || closest(word).is_some_and(|(_, slips)| slips <= 1)
    })
}

/// The command of this word. Capitals are forgiven: telephones begin a line with one.
fn entry_of(word: &str) -> Option<&'static Entry> {
    COMMANDS.iter().find(|entry| entry.words.iter().any(|other| other.eq_ignore_ascii_case(word)))
}

/// The ways to divide the arguments of `/passwd` in two passwords, in order. Blanks around the new one are not part
/// of it; the old one may be of version 0.1, which allowed them.
pub fn password_splits(passwords: &str) -> impl Iterator<Item = (&str, &str)> {
    passwords
        .match_indices(' ')
        .map(|(at, _)| (&passwords[..at], passwords[at + 1..].trim_matches(is_blank)))
        .filter(|(old, new)| has_password_form(old) && is_password(new))
}

/// Whether `text` (clean already) may be a new password. Characters that nobody sees are refused, except between
/// others: a password that ends with one cannot be typed again.
pub fn is_password(text: &str) -> bool {
    let is_end = |it: Option<char>| it.is_some_and(|it| matches!(class(it), Class::Visible | Class::Mark));
    has_password_form(text)
        && is_end(text.chars().next())
        && is_end(text.chars().next_back())
        && !text.chars().any(|it| matches!(class(it), Class::Dropped | Class::Unsafe))
}

/// Whether version 0.1 took `text` as a password.
fn has_password_form(text: &str) -> bool {
    (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&text.len())
        && !text.contains(['\t', char::REPLACEMENT_CHARACTER])
}

impl<'a> From<Misuse<'a>> for Error<'a> {
    fn from(misuse: Misuse<'a>) -> Error<'a> {
        match misuse {
            Misuse::Unknown(word) => unknown(word),
            Misuse::Usage(usage) => Error::Usage { usage },
            Misuse::Indented => Error::IndentedCommand,
            Misuse::Erased => Error::ErasedCommand,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::reply::Reply;

    #[test]
    fn a_line_is_a_command_a_message_or_misuse() {
        use Command::*;
        let time = |text: &str| TimePrefix::parse(text.as_bytes()).unwrap();
        let of_all = |range| History { with: None, range };
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
            ("/w  bob x", Whisper { to: "bob", text: "x" }),
            ("/TELL\tbob\u{a0}x", Whisper { to: "bob", text: "x" }),
            ("/me waves", Say("/me waves")),
            ("//me waves", Say("/me waves")),
            ("\u{3000}\u{ad}", Nothing),
            ("/login a  p q ", Login { name: "a", password: " p q " }),
            ("/login   a pw", Login { name: "a", password: "pw" }),
            ("/Login a pw", Login { name: "a", password: "pw" }),
            ("/register a pw", Register { name: "a", password: "pw" }),
            ("/register  a \t p w\u{a0}", Register { name: "a", password: "p w" }),
            ("/passwd old new", Passwd { passwords: "old new" }),
            ("/history Bob", History { with: Some("Bob"), range: HistoryRange::All }),
            ("/history before  3", History { with: Some("before"), range: HistoryRange::Last(3) }),
            (
                "/history bob 3 before 2026-",
                History { with: Some("bob"), range: HistoryRange::Before(3, time("2026-")) },
            ),
            ("/history", of_all(HistoryRange::All)),
            ("/history ", of_all(HistoryRange::All)),
            ("/history 5", of_all(HistoryRange::Last(5))),
            ("/history 2026", of_all(HistoryRange::Last(2026))),
            ("/history 99999999999999999999999", of_all(HistoryRange::Last(u64::MAX))),
            ("/history 2026-", of_all(HistoryRange::Since(time("2026-")))),
            ("/history 2026-11-22T12:0", of_all(HistoryRange::Since(time("2026-11-22T12:0")))),
            ("/history 3 before 2026-11-22", of_all(HistoryRange::Before(3, time("2026-11-22")))),
            ("/history 5 before 2026", of_all(HistoryRange::Before(5, time("2026")))),
            ("/history 5 before 2026-02", of_all(HistoryRange::Before(5, time("2026-02")))),
            (
                "/history bob 5 before 2026-02-28T23:59",
                History { with: Some("bob"), range: HistoryRange::Before(5, time("2026-02-28T23:59")) },
            ),
            ("/users", Users(None)),
            ("/users ", Users(None)),
            ("/who", Users(None)),
            ("/names", Users(None)),
            ("/users #rust", Users(Some("#rust"))),
            ("/msg #rust hi there", Whisper { to: "#rust", text: "hi there" }),
            ("/join #rust", Join { room: "#rust", is_private: false }),
            ("/J  #rust  Private ", Join { room: "#rust", is_private: true }),
            ("/to", To(None)),
            ("/dm bob", To(Some("bob"))),
            ("/leave", Leave(None)),
            ("/part #rust", Leave(Some("#rust"))),
            ("/list", Rooms),
            ("/topic", Topic { room: None, text: None }),
            ("/topic #rust ", Topic { room: Some("#rust"), text: None }),
            ("/topic a b", Topic { room: None, text: Some("a b") }),
            ("/topic #rust  a #b", Topic { room: Some("#rust"), text: Some("a #b") }),
            ("/topic #rust -", Topic { room: Some("#rust"), text: Some("") }),
            ("/invite bob", Invite { name: "bob", room: None }),
            ("/invite bob #rust", Invite { name: "bob", room: Some("#rust") }),
            ("/kick bob", Kick { room: None, name: "bob", why: "" }),
            ("/kick #rust bob  a b", Kick { room: Some("#rust"), name: "bob", why: "a b" }),
            ("/op #rust bob", Op { room: Some("#rust"), name: "bob" }),
            ("/deop bob", Deop { room: None, name: "bob" }),
            ("/room #rust Private", Room { room: Some("#rust"), setting: RoomSetting::Private }),
            ("/room announce", Room { room: None, setting: RoomSetting::Announce }),
            ("/ping  a b", Ping("a b")),
            ("/history #rust 3", History { with: Some("#rust"), range: HistoryRange::Last(3) }),
            ("/replay 0", Replay(0)),
            ("/help me", Help),
            ("/quit", Quit),
            ("/Exit", Quit),
            ("/q", Quit),
            ("/bye", Quit),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn misuse_says_how_it_is_written() {
        for (line, expected) in [
            (" /msg bob psst", "! bad-usage: a command must begin in the first column; nothing was sent"),
            ("\t/Login a pw", "! bad-usage: a command must begin in the first column; nothing was sent"),
            ("/", "! unknown-command: there is no /; /help lists all commands"),
            ("/frobnicate", "! unknown-command: there is no /frobnicate; /help lists all commands"),
            ("/hi", "! unknown-command: there is no /hi; /help lists all commands"),
            ("/hlep", "! unknown-command: there is no /hlep; did you mean /help?"),
            ("/Mgs bob x", "! unknown-command: there is no /Mgs; did you mean /msg?"),
            ("/pasword a b", "! unknown-command: there is no /pasword; did you mean /password?"),
            ("/logn a b", "! unknown-command: there is no /logn; did you mean /login?"),
            ("/hist 5", "! unknown-command: there is no /hist; did you mean /history?"),
            ("/\u{200b}msg bob x", "! unknown-command: there is no /\u{200b}msg; /help lists all commands"),
            (
                "/NICK x",
                "! unknown-command: there is no /NICK; names are fixed, but /register creates another account",
            ),
            ("/join", "! bad-usage: /join #ROOM, or /join #ROOM private"),
            ("/join #x open", "! bad-usage: /join #ROOM, or /join #ROOM private"),
            ("/join #x private y", "! bad-usage: /join #ROOM, or /join #ROOM private"),
            ("/to #x y", "! bad-usage: /to #ROOM, /to NAME, or /to for everyone"),
            ("/leave #x y", "! bad-usage: /leave, or /leave #ROOM"),
            ("/rooms x", "! bad-usage: /rooms"),
            ("/invite", "! bad-usage: /invite NAME [#ROOM]"),
            ("/invite a #b c", "! bad-usage: /invite NAME [#ROOM]"),
            ("/kick #x", "! bad-usage: /kick [#ROOM] NAME [WHY]"),
            ("/op #x", "! bad-usage: /op [#ROOM] NAME"),
            ("/deop a b", "! bad-usage: /deop [#ROOM] NAME"),
            ("/room #x", "! bad-usage: /room [#ROOM] private, announce or everyone"),
            ("/room #x closed", "! bad-usage: /room [#ROOM] private, announce or everyone"),
            ("/users #x y", "! bad-usage: /users, or /users #ROOM"),
            ("/me", "! bad-usage: /me TEXT"),
            ("/me \u{200b}", "! bad-usage: /me TEXT"),
            ("/w bob \u{2800}", "! bad-usage: /msg NAME TEXT, or /msg #ROOM TEXT"),
            ("/tell bob", "! bad-usage: /msg NAME TEXT, or /msg #ROOM TEXT"),
            ("/who is it", "! bad-usage: /users, or /users #ROOM"),
            (" /mgs bob x", "! bad-usage: a command must begin in the first column; nothing was sent"),
            ("\u{3000}/W bob x", "! bad-usage: a command must begin in the first column; nothing was sent"),
            ("\u{fffd}/q", "! bad-usage: a command must begin in the first column; nothing was sent"),
            ("/msg", "! bad-usage: /msg NAME TEXT, or /msg #ROOM TEXT"),
            ("/msg bob", "! bad-usage: /msg NAME TEXT, or /msg #ROOM TEXT"),
            ("/msg bob  ", "! bad-usage: /msg NAME TEXT, or /msg #ROOM TEXT"),
            ("/login a", "! bad-usage: /login NAME PASSWORD"),
            ("/register  b", "! bad-usage: /register NAME PASSWORD"),
            ("/passwd x", "! bad-usage: /passwd OLD NEW"),
            ("/users x", "! bad-usage: /users, or /users #ROOM"),
            ("/quit now", "! bad-usage: /quit"),
            ("/replay", "! bad-usage: /replay N"),
            ("/replay -1", "! bad-usage: /replay N"),
            ("/replay 4294967296", "! bad-usage: /replay N"),
        ] {
            let error = Error::from(parse(line).unwrap_err());
            assert_eq!(Reply::from(error).to_string(), expected, "{line:?}");
        }
        for line in [
            "/history x y",
            "/history -1",
            "/history 3 before",
            "/history 3 before 5",
            "/history 3 before 20260",
            "/history 1 2 3 4",
            "/history 2026-02-31",
            "/history 2026-13-01",
            "/history bob 2026-11-22T25",
            "/history 5 before 2026-02-30T12:00",
        ] {
            assert!(
                matches!(parse(line), Err(Misuse::Usage(usage)) if usage.starts_with("/history")),
                "{line}"
            );
        }
    }

    #[test]
    fn a_command_behind_something_invisible_is_refused() {
        for prefix in [
            &b" "[..],
            b"\t\xc2\xa0\xe3\x80\x80",
            b"\x1b[A",
            b"\x1b[A\x1b[1;2D\x1bOC",
            b"\x1b[15~ ",
            b"\x1b",
            b"\x1b[",
            b"\x1bx",
            b"\x7f",
            b"xy\x08\x08",
            b"\xc3\xa4\x7f",
            b"some words\x15",
            b"word\x17",
            b"\x00\x01",
            b"\x9b",
            b"\xef\xbb\xbf",
            b"\xe2\x80\x8b\xe2\x81\xa0",
            b"\xe2\x80\xae",
            b"\xc2\xad",
            b"\xe3\x85\xa4",
            b"\xef\xb8\x8f",
            "\u{301}".as_bytes(),
            "\u{20dd}\u{93f}".as_bytes(),
            "\u{605}\u{70f}".as_bytes(),
            "\u{1161}\u{d7cb}".as_bytes(),
            "\u{13441}\u{1d159}\u{2800}".as_bytes(),
            "e\u{301}\x7f".as_bytes(),
            b"hello\r",
            "hello\x0b \u{85}".as_bytes(),
            "hello\u{2028}".as_bytes(),
            "hello\u{2029}".as_bytes(),
        ] {
            for command in
                ["/msg bob psst", "/Passwd old new", "/w bob psst", "/m\u{200b}sg bob psst", "/help"]
            {
                let (raw, mut line) = ([prefix, command.as_bytes()].concat(), String::new());
                let read = read(&raw, &mut line).command;
                assert_eq!(read, Err(Misuse::Indented), "{}", raw.escape_ascii());
            }
        }
        let mut line = String::new();
        let erased = read(b"//\x7fmsg bob psst", &mut line).command;
        assert_eq!(erased, Err(Misuse::Indented));
    }

    #[test]
    fn what_is_read_as_a_message_is_tidy_and_shows_something() {
        use Command::*;
        for (raw, expected) in [
            ("a\u{3164}b", Ok(Say("ab"))),
            ("\u{3164}/etc", Ok(Say("/etc"))),
            ("\u{2060}//etc", Ok(Say("//etc"))),
            ("\u{2060}/me", Err(Misuse::Indented)),
            ("/msg bob a\u{feff}b", Ok(Whisper { to: "bob", text: "ab" })),
            ("/msg bob \u{3164}\u{115f}", Err(Misuse::Usage("/msg NAME TEXT, or /msg #ROOM TEXT"))),
            ("/ME \u{2060}waves", Ok(Say("/me waves"))),
            ("//ME waves", Ok(Say("/ME waves"))),
            ("/me \u{3164}", Err(Misuse::Usage("/me TEXT"))),
            ("\u{1b}[A", Ok(Nothing)),
            ("x\u{7f}", Ok(Nothing)),
            ("\0\u{200b}\u{3164} ", Ok(Nothing)),
            ("a\u{1b}[Ab /help", Ok(Say("a\u{fffd}[Ab /help"))),
            ("\u{1b}[A/etc", Ok(Say("\u{fffd}[A/etc"))),
            ("hello\r/passwd old new\rbye", Err(Misuse::Indented)),
            ("/me waves\r/passwd old new", Err(Misuse::Indented)),
            ("/me \u{7f}\u{7f}\u{7f}\u{7f}/passwd old new", Err(Misuse::Erased)),
            ("/msg bob x\u{17}\u{17}carol hi", Err(Misuse::Erased)),
            ("/w bob \u{15}hello", Err(Misuse::Erased)),
            ("/msg bob x\u{15}/passwd old", Err(Misuse::Erased)),
            ("/me \u{7}", Ok(Say("/me \u{fffd}"))),
            ("/msg bob hu\u{7f}i", Ok(Whisper { to: "bob", text: "hu\u{fffd}i" })),
            ("/ME waves\u{1b}[A", Ok(Say("/me waves\u{fffd}[A"))),
            ("hello\rworld", Ok(Say("hello\u{fffd}world"))),
            ("\u{301}/etc", Ok(Say("\u{301}/etc"))),
            ("\u{13441}\u{1d159}", Ok(Nothing)),
            ("\r\u{2028}\r", Ok(Nothing)),
            (
                "/login al\u{200b}ice  pass\u{3164}word",
                Ok(Login { name: "al\u{200b}ice", password: " pass\u{3164}word" }),
            ),
        ] {
            let mut line = String::new();
            assert_eq!(read(raw.as_bytes(), &mut line).command, expected, "{raw:?}");
        }
        let mut line = String::new();
        let blanks = format!("/msg bob {0}x{0}", " ".repeat(40));
        let text = format!("{0}x{0}", " ".repeat(32));
        assert_eq!(read(blanks.as_bytes(), &mut line).command, Ok(Whisper { to: "bob", text: &text }));
        assert_eq!(read(b"\xe9", &mut line).command, Ok(Say("\u{fffd}")));
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
        let splits: Vec<_> = password_splits("correct-horse  battery-staple ").collect();
        assert_eq!(splits, [("correct-horse", "battery-staple"), ("correct-horse ", "battery-staple")]);
    }

    #[test]
    fn passwords_have_8_to_128_bytes_and_no_control_characters() {
        assert!(is_password("12345678") && is_password(&"x".repeat(128)) && is_password("pässword"));
        assert!(!is_password("1234567") && !is_password(&"x".repeat(129)) && !is_password("1234\t5678"));
        assert!(!is_password("1234\u{fffd}5678") && !is_password("1234\u{3164}5678"));
        for blank in [" ", "\u{a0}", "\u{200b}", "\u{ad}"] {
            assert!(is_password(&format!("1234{blank}5678")), "{blank:?}");
            assert!(!is_password(&format!("12345678{blank}")) && !is_password(&format!("{blank}12345678")));
        }
    }

    #[test]
    fn help_names_every_command_and_fits_a_line() {
        let help: Vec<_> = help().map(|notice| Reply::from(notice).to_string()).collect();
        for command in
            ["/register", "/login", "/passwd", "/msg", "/me", "/history", "/users", "/replay", "/quit"]
        {
            assert!(help.iter().any(|line| line.contains(command)), "{command}");
        }
        assert!(help.iter().all(|line| line.len() <= 120), "{help:#?}");
        let parsed: Vec<_> = help.iter().filter_map(|line| Reply::parse(line)).collect();
        assert_eq!(parsed, super::help().map(Reply::from).collect::<Vec<_>>());
    }
}
