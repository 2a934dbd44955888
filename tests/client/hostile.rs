//! Servers that mean harm: nothing of what they send reaches a screen as anything but text, and nothing grows.

use chinwag::client::{Client, Credentials, Event, Message};
use chinwag::protocol::text::is_unsafe;

/// What a line may begin with, so that each kind of event gets its share.
const STARTS: [&str; 12] = [
    "",
    "* ",
    "! ",
    "! code: ",
    "* users: ",
    "* welcome ",
    "* after failed logins, ",
    "* bob, ",
    "2026-11-22T12:00:00.000001Z ",
    "2026-11-22T12:00:00.000002Z bob: ",
    "2026-11-22T12:00:00.000003Z bob -> alice: ",
    "2026-11-22T12:00:00.000004Z alice: /me ",
];

/// What no line may do.
const HARM: [&[u8]; 14] = [
    b"\x1b[2J\x1b[H",
    b"\x1b]0;title\x07",
    b"\x1b]52;c;cm0gLXJm\x07",
    b"\x1bP$q\x1b\\",
    b"a\rb\x08\x08c\0d\x7f",
    b"\xc2\x9b31m",
    b"\xe2\x80\xae\xe2\x81\xa6 right to left",
    b"\xe2\x80\xa8 a line \xe2\x80\xa9 a paragraph",
    b"\xff\xfe\xc0\xaf\xed\xa0\x80 no UTF-8",
    b"\xe2\x82 and half a letter \xf0\x9f\x98",
    b"\xef\xbb\xbf\xe2\x80\x8b invisible \xf3\xa0\x81\x81",
    b"\xff\xfb\x01\xff\xfa\x18 telnet \xff\xf0",
    b"joined",
    b" -> : ",
];

/// All of it, at each moment at which the client listens for something else.
fn hostile_bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    for harm in HARM {
        for start in STARTS {
            bytes.extend(
                [start.as_bytes(), harm, b"\n", start.as_bytes(), b"x", harm, b" joined\r\n"].concat(),
            );
        }
    }
    for byte in (0..=u8::MAX).filter(|byte| *byte != b'\n') {
        bytes.extend([b"* ", &[byte][..], b"[2J\n! x: ", &[byte], b"\n"].concat());
    }
    bytes
}

fn client(at: &str) -> Client {
    let mut client = Client::new([]);
    client.log_in(Credentials { name: "alice".into(), password: "correct-horse".into(), is_new: false });
    client.connected();
    client.receive(b"* chinwag 0.2.0: a chat\n");
    client.receive(at.as_bytes());
    for line in ["hello", "/users", "/history 5", "/passwd correct-horse battery-staple", "/replay 3"] {
        client.submit(line);
    }
    client
}

/// Moments: outside; while it is asked who is there; while the newest message is asked for; when all is quiet.
const MOMENTS: [&str; 4] = [
    "",
    "* welcome alice\n",
    "* welcome alice\n* 1 online\n",
    "* welcome alice\n* 1 online\n2026-11-22T12:00:00.000001Z bob: one\n* end of history\n",
];

fn told(client: &mut Client) -> Vec<Event> {
    std::iter::from_fn(|| client.next_event()).collect()
}

/// Everything in an event that can be shown.
fn texts(event: Event) -> Vec<String> {
    match event {
        Event::Welcome(name) => vec![name.to_string()],
        Event::LoginFailed(refusal) | Event::Error(refusal) => vec![refusal.code, refusal.words],
        Event::TokenRefused { name, refusal } => vec![name, refusal.code, refusal.words],
        Event::Token { name, token } => vec![name.to_string(), token.to_string()],
        Event::NotChinwag(text) | Event::Notice(text) => vec![text],
        Event::Message(message) => vec![message.to_string(), message.text],
        Event::Joined(names, _) | Event::Left(names, _) | Event::Users(names) => {
            names.iter().map(ToString::to_string).collect()
        }
        Event::Refused { line, refusal, .. } => vec![line, refusal.code, refusal.words],
        Event::Unconfirmed { line, .. } | Event::NotSent { line, .. } => vec![line],
        Event::EndOfHistory { .. } | Event::Greeted => vec![],
        Event::IgnoredChanged | Event::Online | Event::Bye => vec![],
    }
}

#[test]
fn nothing_that_moves_a_cursor_or_hides_is_in_any_event() {
    for moment in MOMENTS {
        let mut client = client(moment);
        client.receive(&hostile_bytes());
        client.disconnected();
        let texts: Vec<String> = told(&mut client).into_iter().flat_map(texts).collect();
        assert!(texts.len() > 100, "after {moment:?} only {} texts", texts.len());
        for text in texts {
            assert!(!text.contains(is_unsafe), "{text:?}");
        }
    }
}

#[test]
fn hostile_bytes_mean_the_same_wherever_they_are_cut() {
    let bytes = hostile_bytes();
    for moment in MOMENTS {
        let events_of = |pieces: usize| {
            let mut client = client(moment);
            bytes.chunks(pieces).for_each(|piece| client.receive(piece));
            told(&mut client)
        };
        let whole = events_of(usize::MAX);
        for pieces in (1..70).chain([4_095, 4_096, 4_097, 8_192]) {
            assert!(events_of(pieces) == whole, "in pieces of {pieces} after {moment:?}");
        }
    }
}

#[test]
fn a_line_that_is_too_long_is_not_told_and_what_follows_is() {
    let start = b"2026-11-22T12:00:00.000002Z bob: ";
    let longest = 4_096 - start.len() - 1;
    for (length, is_told) in [(longest, true), (longest + 1, false), (100_000, false), (3 << 20, false)] {
        for pieces in [1_000, 4_096, 10_000, usize::MAX] {
            let mut client = client(MOMENTS[3]);
            told(&mut client);
            let line = [&start[..], &vec![b'x'; length], b"\n"].concat();
            let line = [&line[..], b"2026-11-22T12:00:00.000009Z bob: still here\n"].concat();
            line.chunks(pieces).for_each(|piece| client.receive(piece));
            let texts: Vec<String> = told(&mut client).into_iter().flat_map(texts).collect();
            assert_eq!(texts.iter().any(|text| text.starts_with('x')), is_told, "{length} bytes");
            assert!(texts.iter().all(|text| text.len() <= 4_096));
            assert!(texts.iter().any(|text| text == "still here"), "{length} bytes");
        }
    }
}

#[test]
fn what_is_almost_a_message_is_none() {
    for line in [
        "2026-99-99T99:99:99.999999Z bob: x",
        "2026-11-22T12:00:00.000001Zbob: x",
        "2026-11-22T12:00:00.000001Z  bob: x",
        "2026-11-22T12:00:00.000001Z bob:x",
        "2026-11-22T12:00:00.000001Z bob",
        "2026-11-22T12:00:00.000001Z : x",
        "2026-11-22T12:00:00.000001Z 7up: x",
        "2026-11-22T12:00:00.000001Z bob -> : x",
        "2026-11-22T12:00:00.000001Z bob -> a b: x",
        "2026-11-22T12:00:00.000001Z abcdefghijklmnopqrstu: x",
        "2026-11-22T12:00:00.000001Z \u{fffd}[2Jbob: x",
        "",
    ] {
        assert_eq!(Message::parse(line), None, "{line:?}");
    }
}
