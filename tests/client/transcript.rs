//! Conversations as text.
//!
//! | line | what it is |
//! |---|---|
//! | `< …` | the server sends this line |
//! | `<< …` | the server sends this without an ending |
//! | `> …` | the client has sent this line |
//! | `= …` | the user submits this line |
//! | `+`, `-` | there is a connection, it is gone |
//! | `? …` | these are online, as far as the client knows |
//! | `login NAME PASSWORD`, `register NAME PASSWORD`, `resume NAME TOKEN` | the user logs in |
//! | anything else | an event |
//!
//! `@7` is a timestamp, `TOKEN` one certain token. A conversation is played with the server's bytes as they are, cut
//! in two at every position, one by one, and with lines that end as in telnet; what comes of it must be the same each
//! time.

use chinwag::client::{Client, Credentials, Event, Message, Origin, Token};
use chinwag::limits::LINE_BYTES_MAX;
use chinwag::protocol::name::Name;

/// How the server's bytes arrive, where a few lines come together.
#[derive(Clone, Copy)]
enum Arrival {
    Whole,
    CutAt(usize),
    OneByOne,
    /// With `\r\n`.
    CarriageReturns,
}

/// Plays a conversation, in which those named are ignored from the start.
pub fn check_with(ignored: &[&str], script: &str) {
    let lines: Vec<&str> = script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let whole = play(ignored, &lines, Arrival::Whole);
    assert_eq!(whole.join("\n"), lines.join("\n"));
    let longest = lines.iter().map(|line| line.len()).sum::<usize>();
    for arrival in (1..longest).map(Arrival::CutAt).chain([Arrival::OneByOne, Arrival::CarriageReturns]) {
        assert_eq!(play(ignored, &lines, arrival).join("\n"), lines.join("\n"));
    }
}

/// Plays a conversation.
pub fn check(script: &str) {
    check_with(&[], script);
}

/// What came of it, written as the script is.
fn play(ignored: &[&str], script: &[&str], arrival: Arrival) -> Vec<String> {
    let mut client = Client::new(ignored.iter().filter_map(|name| Name::parse(name.as_bytes())));
    let mut played = Vec::new();
    let mut lines = script.iter().peekable();
    while let Some(line) = lines.next() {
        let said = |line: &str| line.strip_prefix("< ").map(|line| format!("{}\n", timestamps(line)));
        if let Some(mut bytes) = said(line) {
            played.push((*line).to_owned());
            while let Some(more) = lines.peek().and_then(|line| said(line)) {
                played.push((*lines.next().expect("it was peeked at")).to_owned());
                bytes += &more;
            }
            receive(&mut client, bytes.as_bytes(), arrival);
        } else if let Some(part) = line.strip_prefix("<< ") {
            played.push((*line).to_owned());
            receive(&mut client, timestamps(part).as_bytes(), arrival);
        } else if line.starts_with('?') {
            let online: Vec<&str> = client.online().iter().map(Name::as_str).collect();
            played.push(format!("? {}", online.join(" ")).trim_end().to_owned());
        } else if let Some(line) = line.strip_prefix("= ") {
            played.push(format!("= {line}"));
            client.submit(line);
        } else if act(&mut client, line) {
            played.push((*line).to_owned());
        }
        tell(&mut client, &mut played);
    }
    played
}

fn receive(client: &mut Client, bytes: &[u8], arrival: Arrival) {
    match arrival {
        Arrival::Whole => client.receive(bytes),
        Arrival::CutAt(at) => {
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            client.receive(first);
            client.receive(second);
        }
        Arrival::OneByOne => bytes.chunks(1).for_each(|byte| client.receive(byte)),
        Arrival::CarriageReturns => {
            let lines = bytes.split_inclusive(|byte| *byte == b'\n');
            lines.for_each(|line| match line.strip_suffix(b"\n") {
                Some(text) if text.len() + 2 <= LINE_BYTES_MAX => client.receive(&[text, b"\r\n"].concat()),
                _ => client.receive(line),
            });
        }
    }
}

/// Whether the line is something that is done, and no event.
fn act(client: &mut Client, line: &str) -> bool {
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["+"] => client.connected(),
        ["-"] => client.disconnected(),
        ["again"] => client.log_in_again(),
        ["resume", name, "TOKEN"] => {
            client.resume(name.into(), Token::parse(TOKEN).expect("it is a token"));
        }
        [verb @ ("login" | "register"), name, password] => client.log_in(Credentials {
            name: name.into(),
            password: password.into(),
            is_new: verb == "register",
        }),
        _ => return false,
    }
    true
}

fn tell(client: &mut Client, played: &mut Vec<String>) {
    while let Some(event) = client.next_event() {
        played.extend(in_words(&event));
    }
    let sent = String::from_utf8(client.output().to_vec()).expect("only text is sent");
    client.sent(sent.len());
    played.extend(sent.lines().map(|line| format!("> {}", marks(line))));
}

/// `@7` to a timestamp, and back.
const DAY: &str = "2026-11-22T12:00:00.";

/// `TOKEN`
pub const TOKEN: &str = "00112233445566778899aabbccddeeff";

fn timestamps(line: &str) -> String {
    let line = &*line.replace("TOKEN", TOKEN);
    let Some((before, behind)) = line.split_once('@') else { return line.into() };
    let digits = behind.find(|it: char| !it.is_ascii_digit()).unwrap_or(behind.len());
    match behind[..digits].parse::<u32>() {
        Ok(number) => format!("{before}{DAY}{number:06}Z{}", &behind[digits..]),
        Err(_) => line.into(),
    }
}

fn marks(line: &str) -> String {
    let line = &*line.replace(TOKEN, "TOKEN");
    let Some((before, behind)) = line.split_once(DAY) else { return line.into() };
    format!("{before}@{}{}", behind[..6].trim_start_matches('0'), &behind[7..])
}

/// Nothing where it is only a hint to look at the list of those online.
fn in_words(event: &Event) -> Option<String> {
    let names = |names: &[Name]| names.iter().map(Name::to_string).collect::<Vec<_>>().join(" ");
    Some(match event {
        Event::Online | Event::Greeted => return None,
        Event::Welcome(name) => format!("welcome {name}"),
        Event::LoginFailed(refusal) => format!("failed: {refusal}"),
        Event::TokenRefused { name, refusal } => format!("token of {name} refused: {refusal}"),
        Event::Token { name, token } => format!("token of {name}: {}", marks(&token.to_string())),
        Event::NotChinwag(line) => format!("not chinwag: {line}"),
        Event::Message(message) => message_in_words(message),
        Event::Joined(who, others) => format!("joined: {} +{others}", names(who)),
        Event::Left(who, others) => format!("left: {} +{others}", names(who)),
        Event::Users(who) => format!("users: {}", names(who)),
        Event::EndOfHistory { count } => format!("end of history ({count})"),
        Event::Notice(text) => format!("notice: {text}"),
        Event::Refused { id, line, refusal } => format!("refused #{id} {line}: {refusal}"),
        Event::Unconfirmed { id, line } => format!("unconfirmed #{id} {line}"),
        Event::NotSent { id, line } => format!("not sent #{id} {line}"),
        Event::Error(refusal) => format!("error: {refusal}"),
        Event::IgnoredChanged => "ignored changed".into(),
        Event::Bye => "bye".into(),
    })
}

fn message_in_words(message: &Message) -> String {
    let origin = match message.origin {
        Origin::Live => "live",
        Origin::Missed => "missed",
        Origin::Asked => "asked",
    };
    let receipt = message.receipt.map_or(String::new(), |id| format!(" #{id}"));
    let action = message.action().map_or(String::new(), |action| format!(" ({action})"));
    format!("{origin}{receipt}{action} {}", marks(&message.to_string()))
}
