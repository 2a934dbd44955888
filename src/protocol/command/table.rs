//! The table of all commands: how each is written, and how it is read.

use super::{Command, HistoryRange, RoomSetting};
use crate::protocol::record::TimePrefix;
use crate::protocol::text::{has_visible, is_blank};

/// One command.
pub(super) struct Entry {
    /// Its word without the slash, then its aliases.
    pub words: &'static [&'static str],
    /// What an error says about its form.
    pub usage: &'static str,
    /// Its forms and what they do, as `/help` lists them.
    pub forms: &'static [(&'static str, &'static str)],
    /// Reads the whole line and the arguments in it; `None` if they are wrong.
    pub read: for<'a> fn(&'a str, &'a str) -> Option<Command<'a>>,
}

/// Every command. The order is that of `/help`.
pub(super) const COMMANDS: &[Entry] = &[
    Entry {
        words: &["register"],
        usage: "/register NAME PASSWORD",
        forms: &[("/register NAME PASSWORD", "create an account and log in")],
        read: |_, arguments| {
            let (name, password) = two(arguments)?;
            Some(Command::Register { name, password: password.trim_matches(is_blank) })
        },
    },
    Entry {
        words: &["login"],
        usage: "/login NAME PASSWORD",
        forms: &[("/login NAME PASSWORD", "log in; what you missed follows")],
        read: |_, arguments| two(arguments).map(|(name, password)| Command::Login { name, password }),
    },
    Entry {
        words: &["token"],
        usage: "/token",
        forms: &[("/token", "get a token, with which /resume logs in for some time")],
        read: |_, arguments| bare(arguments, Command::Token),
    },
    Entry {
        words: &["resume"],
        usage: "/resume NAME TOKEN",
        forms: &[("/resume NAME TOKEN", "log in with a token instead of your password")],
        read: |_, arguments| {
            two(arguments).map(|(name, token)| Command::Resume { name, token: token.trim_matches(is_blank) })
        },
    },
    Entry {
        words: &["code"],
        usage: "/code CODE",
        forms: &[("/code CODE", "use a code from the operator; then /register sets a new password")],
        read: |_, arguments| {
            Some(arguments.trim_matches(is_blank)).filter(|it| !it.is_empty()).map(Command::Code)
        },
    },
    Entry {
        words: &["passwd", "password"],
        usage: "/passwd OLD NEW",
        forms: &[("/passwd OLD NEW", "change your password (also /password)")],
        read: |_, arguments| two(arguments).map(|_| Command::Passwd { passwords: arguments }),
    },
    Entry {
        words: &["msg", "w", "tell"],
        usage: "/msg NAME TEXT, or /msg #ROOM TEXT",
        forms: &[(
            "/msg NAME TEXT",
            "send a private message; if NAME is offline, it waits for the next login (also /w, /tell)",
        )],
        read: |_, arguments| {
            let (to, text) = two(arguments)?;
            has_visible(text).then_some(Command::Whisper { to, text })
        },
    },
    Entry {
        words: &["me"],
        usage: "/me TEXT",
        forms: &[("/me TEXT", "say what you do, in the third person: /me waves")],
        read: |line, arguments| has_visible(arguments).then_some(Command::Say(line)),
    },
    Entry {
        words: &["history"],
        usage: "/history [NAME | #ROOM] [N | TIME | N before TIME], TIME as in 2026-11-22T12:03",
        forms: &[
            (
                "/history",
                "show all that you may see; /history N, the last N; /history 2026-11-22, since then",
            ),
            ("/history N before TIME", "show the N messages before TIME, to page back"),
            ("/history NAME", "show your private messages with NAME; N and TIME may follow as above"),
            ("/history #ROOM", "show what was said in a room that you are in; N and TIME may follow"),
        ],
        read: |_, arguments| history(arguments.trim()),
    },
    Entry {
        words: &["join", "j"],
        usage: "/join #ROOM, or /join #ROOM private",
        forms: &[
            ("/join #ROOM", "enter a room, or create it; what you type goes there then (also /j)"),
            ("/join #ROOM private", "create a room that people enter only if you invite them"),
        ],
        read: |_, arguments| {
            let mut words = words(arguments);
            let (room, setting) = (words.next()?, words.next());
            let is_private = setting.is_some_and(|it| it.eq_ignore_ascii_case("private"));
            let is_whole = words.next().is_none() && (setting.is_none() || is_private);
            is_whole.then_some(Command::Join { room, is_private })
        },
    },
    Entry {
        words: &["to", "query", "dm"],
        usage: "/to #ROOM, /to NAME, or /to for everyone",
        forms: &[(
            "/to #ROOM",
            "talk to a room from here on; /to NAME, to a person; /to, to everyone (also /dm)",
        )],
        read: |_, arguments| {
            let mut words = words(arguments);
            let target = words.next();
            words.next().is_none().then_some(Command::To(target))
        },
    },
    Entry {
        words: &["leave", "part"],
        usage: "/leave, or /leave #ROOM",
        forms: &[("/leave #ROOM", "leave a room; without #ROOM, the one you are talking to (also /part)")],
        read: |_, arguments| {
            let mut words = words(arguments);
            let room = words.next();
            words.next().is_none().then_some(Command::Leave(room))
        },
    },
    Entry {
        words: &["rooms", "list"],
        usage: "/rooms",
        forms: &[("/rooms", "list your rooms, and those that you can enter (also /list)")],
        read: |_, arguments| bare(arguments, Command::Rooms),
    },
    Entry {
        words: &["topic"],
        usage: "/topic [#ROOM] TEXT, or /topic [#ROOM] - for none",
        forms: &[("/topic TEXT", "set what the room is about; /topic shows it, /topic - removes it")],
        read: |_, arguments| {
            let (room, text) = room_and_rest(arguments);
            let text = Some(text.trim_start_matches(is_blank)).filter(|text| !text.is_empty());
            Some(Command::Topic {
                room,
                text: text.map(|text| if text.trim_end() == "-" { "" } else { text }),
            })
        },
    },
    Entry {
        words: &["invite"],
        usage: "/invite NAME [#ROOM]",
        forms: &[("/invite NAME #ROOM", "let a person enter a private room that you own")],
        read: |_, arguments| {
            let mut words = words(arguments);
            let (name, room) = (words.next()?, words.next());
            words.next().is_none().then_some(Command::Invite { name, room })
        },
    },
    Entry {
        words: &["kick", "remove"],
        usage: "/kick [#ROOM] NAME [WHY]",
        forms: &[("/kick #ROOM NAME WHY", "remove a person from a room that you own, or an invitation")],
        read: |_, arguments| {
            let (room, rest) = room_and_rest(arguments);
            let (name, why) = split_word(rest.trim_start_matches(is_blank));
            (!name.is_empty()).then_some(Command::Kick { room, name, why: why.trim_start_matches(is_blank) })
        },
    },
    Entry {
        words: &["op"],
        usage: "/op [#ROOM] NAME",
        forms: &[("/op #ROOM NAME", "make a member an owner of a room that you own")],
        read: |_, arguments| room_and_name(arguments).map(|(room, name)| Command::Op { room, name }),
    },
    Entry {
        words: &["deop"],
        usage: "/deop [#ROOM] NAME",
        forms: &[("/deop #ROOM NAME", "make an owner of a room an ordinary member again")],
        read: |_, arguments| room_and_name(arguments).map(|(room, name)| Command::Deop { room, name }),
    },
    Entry {
        words: &["room"],
        usage: "/room [#ROOM] private, announce or everyone",
        forms: &[
            ("/room #ROOM private", "let only invited people enter a room that you own; this is final"),
            ("/room #ROOM announce", "let only owners speak; /room #ROOM everyone undoes it"),
        ],
        read: |_, arguments| {
            let (room, setting) = room_and_name(arguments)?;
            let setting = match setting.to_ascii_lowercase().as_str() {
                "private" => RoomSetting::Private,
                "announce" => RoomSetting::Announce,
                "everyone" => RoomSetting::Everyone,
                _ => return None,
            };
            Some(Command::Room { room, setting })
        },
    },
    Entry {
        words: &["users", "who", "names"],
        usage: "/users, or /users #ROOM",
        forms: &[("/users", "list who is online; /users #ROOM, who is in a room (also /who, /names)")],
        read: |_, arguments| {
            let mut words = words(arguments);
            let room = words.next();
            let is_room = room.is_none_or(|room| room.starts_with('#'));
            (is_room && words.next().is_none()).then_some(Command::Users(room))
        },
    },
    Entry {
        words: &["ping"],
        usage: "/ping TEXT",
        forms: &[("/ping TEXT", "get TEXT back, to see that the server is there")],
        read: |_, arguments| Some(Command::Ping(arguments.trim_matches(is_blank))),
    },
    Entry {
        words: &["replay"],
        usage: "/replay N",
        forms: &[("/replay N", "set how many missed public messages a login shows; 0 shows nothing at all")],
        read: |_, arguments| arguments.trim().parse().ok().map(Command::Replay),
    },
    Entry {
        words: &["help"],
        usage: "/help",
        forms: &[("/help", "show this list")],
        read: |_, _| Some(Command::Help),
    },
    Entry {
        words: &["quit", "exit", "q", "bye"],
        usage: "/quit",
        forms: &[("/quit", "disconnect (also /exit, /q, /bye)")],
        read: |_, arguments| bare(arguments, Command::Quit),
    },
];

/// The first word and what follows the blank behind it.
pub(super) fn split_word(text: &str) -> (&str, &str) {
    text.split_once(is_blank).unwrap_or((text, ""))
}

/// A word, behind any blanks, and the rest of the line, neither of them empty.
fn two(arguments: &str) -> Option<(&str, &str)> {
    let (first, rest) = split_word(arguments.trim_start_matches(is_blank));
    (!first.is_empty() && !rest.is_empty()).then_some((first, rest))
}

/// The words of arguments.
fn words(arguments: &str) -> impl Iterator<Item = &str> {
    arguments.split(is_blank).filter(|word| !word.is_empty())
}

/// A room, if the arguments begin with one, and the rest of them.
fn room_and_rest(arguments: &str) -> (Option<&str>, &str) {
    let arguments = arguments.trim_start_matches(is_blank);
    match arguments.starts_with('#') {
        true => {
            let (room, rest) = split_word(arguments);
            (Some(room), rest)
        }
        false => (None, arguments),
    }
}

/// A room, if the arguments begin with one, and exactly one word.
fn room_and_name(arguments: &str) -> Option<(Option<&str>, &str)> {
    let (room, rest) = room_and_rest(arguments);
    let mut words = words(rest);
    let name = words.next()?;
    words.next().is_none().then_some((room, name))
}

fn bare<'a>(arguments: &str, command: Command<'a>) -> Option<Command<'a>> {
    arguments.trim().is_empty().then_some(command)
}

fn history(arguments: &str) -> Option<Command<'_>> {
    // A number and a time begin with a digit, and a name never does.
    let has_name = arguments.starts_with(|first: char| first.is_ascii_alphabetic() || first == '#');
    let (name, rest) = if has_name { split_word(arguments) } else { ("", arguments) };
    let range = history_range(rest.trim())?;
    Some(Command::History { with: has_name.then_some(name), range })
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
