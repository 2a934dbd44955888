//! Bytes from a socket to lines.
//!
//! A line ends with `\n`, `\r\n` or, as telnet's Enter in character mode, `\r\0`. Telnet commands are taken out. The
//! first line of a connection tells a client of another protocol.
//!
//! ```text
//!          start        end            INPUT_BYTES_MAX
//!            v           v                 v
//!  [ handled | not yet    | room to read    ]
//! ```
//!
//! The buffer exists only while it holds something; an idle connection has none. A short rest that waits, such as
//! a line half typed, is kept in as many bytes as it has.

use std::io;

use crate::limits::{INPUT_BYTES_MAX, LINE_BYTES_MAX, SHELVED_BYTES_MAX, UNENDED_BYTES_MAX};

/// What a [`LineBuffer`] reads into. Kept in a pool by its user between two uses.
pub type InputBuffer = Box<[u8]>;

/// An empty one.
pub fn new_input_buffer() -> InputBuffer {
    vec![0; INPUT_BYTES_MAX].into_boxed_slice()
}

/// The input of one connection that was read and not handled yet.
#[derive(Default)]
pub struct LineBuffer {
    /// None while there is nothing between `start` and `end`. Of [`INPUT_BYTES_MAX`], or just a rest.
    buffer: Option<InputBuffer>,
    /// Where the first line begins.
    start: u16,
    /// Up to here there is no line ending; between `start` and `end`.
    scanned: u16,
    /// Up to here the buffer is filled.
    end: u16,
    /// Where in a telnet command the input stands.
    telnet: Telnet,
    /// Telnet asked for a timing mark, which was not answered yet.
    timing_mark_due: bool,
    /// Bytes thrown away of a line that was too long, while its end has not come; else 0.
    skipped: u32,
    /// A line that is not empty was handed out.
    has_begun: bool,
    /// Bytes of telnet commands since the last line ending.
    stripped: u32,
}

/// What comes next in the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A line, without its ending (`\n` or `\r\n`).
    Line(&'a [u8]),
    /// A line that was longer than [`LINE_BYTES_MAX`]. Said once; its rest is skipped.
    TooLong,
    /// [`UNENDED_BYTES_MAX`] bytes came without a line ending, telnet commands included.
    Endless,
    /// The client speaks another protocol. Nothing that it sends may be taken for a line.
    Foreign(Protocol),
    /// No whole line is there.
    Nothing,
}

/// A protocol that clients speak to the wrong port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.x. A web page can make a browser send lines of its choice to any port, behind a request line.
    Http,
    /// TLS.
    Tls,
}

impl LineBuffer {
    /// Whether [`LineBuffer::fill`] can take anything.
    pub fn has_room(&self) -> bool {
        self.waiting_bytes() < INPUT_BYTES_MAX
    }

    /// Whether there is anything at all that was not handled, a part of a line too.
    pub fn is_empty(&self) -> bool {
        self.start == self.end && self.skipped == 0
    }

    /// How many bytes were read and not handled.
    pub fn waiting_bytes(&self) -> usize {
        usize::from(self.end - self.start)
    }

    /// Reads once into the room behind what is there and returns what `read` did: the bytes before telnet
    /// commands were taken out, 0 at the end of the input. Only to be called where there is room.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn fill(
        &mut self,
        pool: &mut Vec<InputBuffer>,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut take = || pool.pop().unwrap_or_else(new_input_buffer);
        let buffer = self.buffer.get_or_insert_with(&mut take);
        if buffer.len() < INPUT_BYTES_MAX {
            let rest = std::mem::replace(buffer, take());
            buffer[..rest.len()].copy_from_slice(&rest);
        }
        if usize::from(self.end) == INPUT_BYTES_MAX {
            buffer.copy_within(usize::from(self.start).., 0);
            self.end -= self.start;
            self.scanned -= self.start;
            self.start = 0;
        }
        let from = usize::from(self.end);
        assert!(from < INPUT_BYTES_MAX, "fill is called only where there is room");
        let count = read(&mut buffer[from..])?;
        let has_text = self.end > self.start && buffer[from - 1] != b'\n';
        let (kept, asks_for_mark) = self.telnet.strip(&mut buffer[from..from + count], has_text);
        self.end += kept as u16;
        self.stripped = self.stripped.saturating_add((count - kept) as u32);
        self.timing_mark_due |= asks_for_mark;
        Ok(count)
    }

    /// Whether [`TIMING_MARK_ANSWER`] is to be sent now.
    pub fn take_timing_mark(&mut self) -> bool {
        std::mem::take(&mut self.timing_mark_due)
    }

    /// The next line, or why there is none. A line is handed out once.
    pub fn next_line(&mut self) -> Next<'_> {
        if !self.has_begun && self.unhandled().starts_with(TLS_HANDSHAKE) {
            return Next::Foreign(Protocol::Tls);
        }
        loop {
            if self.stripped >= UNENDED_BYTES_MAX {
                return Next::Endless;
            }
            let Some(buffer) = &self.buffer else { return Next::Nothing };
            let unscanned = &buffer[usize::from(self.scanned)..usize::from(self.end)];
            let Some(length) = position_of_newline(unscanned) else {
                self.scanned = self.end;
                return self.without_ending();
            };
            let mut line = usize::from(self.start)..usize::from(self.scanned) + length;
            self.start = line.end as u16 + 1;
            self.scanned = self.start;
            self.stripped = 0;
            if std::mem::take(&mut self.skipped) > 0 {
                continue;
            }
            let is_too_long = line.len() + 1 > LINE_BYTES_MAX;
            if !self.has_begun {
                if buffer[line.clone()].starts_with(BYTE_ORDER_MARK) {
                    line.start += BYTE_ORDER_MARK.len();
                }
                let first = &buffer[line.clone()];
                let is_http = if is_too_long { may_be_request_line(first) } else { is_request_line(first) };
                if is_http {
                    return Next::Foreign(Protocol::Http);
                }
                self.has_begun = !first.trim_ascii().is_empty();
            }
            if is_too_long {
                return Next::TooLong;
            }
            let line = &self.buffer.as_ref().expect("it was there above")[line];
            return Next::Line(line.strip_suffix(b"\r").unwrap_or(line));
        }
    }

    fn unhandled(&self) -> &[u8] {
        let buffer = self.buffer.as_deref().unwrap_or(&[]);
        &buffer[usize::from(self.start)..usize::from(self.end)]
    }

    /// Gives the buffer back where nothing is left in it.
    pub fn release(&mut self, pool: &mut Vec<InputBuffer>, pool_max: usize) {
        if self.start == self.end {
            (self.start, self.scanned, self.end) = (0, 0, 0);
            give_back(self.buffer.take(), pool, pool_max);
        }
    }

    /// Gives the buffer back also where a short rest is left in it, which is kept apart. For when the rest will
    /// wait.
    pub fn shelve(&mut self, pool: &mut Vec<InputBuffer>, pool_max: usize) {
        self.release(pool, pool_max);
        let rest = usize::from(self.start)..usize::from(self.end);
        if let Some(buffer) = &mut self.buffer
            && buffer.len() == INPUT_BYTES_MAX
            && rest.len() <= SHELVED_BYTES_MAX
        {
            self.scanned -= self.start;
            (self.start, self.end) = (0, rest.len() as u16);
            let rest = buffer[rest].into();
            give_back(Some(std::mem::replace(buffer, rest)), pool, pool_max);
        }
    }

    /// No line ending up to `end`: throws away what can no longer become a line.
    fn without_ending(&mut self) -> Next<'static> {
        let waiting = self.end - self.start;
        let may_become_a_line = self.skipped == 0 && usize::from(waiting) < LINE_BYTES_MAX;
        if may_become_a_line || waiting == 0 {
            return Next::Nothing;
        }
        let first = self.skipped == 0;
        if first && !std::mem::replace(&mut self.has_begun, true) && may_be_request_line(self.unhandled()) {
            return Next::Foreign(Protocol::Http);
        }
        self.skipped = self.skipped.saturating_add(u32::from(waiting));
        self.start = self.end;
        match self.skipped {
            UNENDED_BYTES_MAX.. => Next::Endless,
            _ if first => Next::TooLong,
            _ => Next::Nothing,
        }
    }
}

fn give_back(buffer: Option<InputBuffer>, pool: &mut Vec<InputBuffer>, pool_max: usize) {
    // A rest that was kept apart is no buffer to read into.
    pool.extend(buffer.filter(|buffer| buffer.len() == INPUT_BYTES_MAX && pool.len() < pool_max));
}

/// The length of the first line of `bytes` with its ending, or of all of it where it has none.
pub fn skip_line(bytes: &[u8]) -> usize {
    position_of_newline(bytes).map_or(bytes.len(), |at| at + 1)
}

/// Looks at 32 bytes at a time, for which the compiler uses vector instructions. No public function of std does so.
fn position_of_newline(bytes: &[u8]) -> Option<usize> {
    let (pieces, _) = bytes.as_chunks::<32>();
    let has_newline = |piece: &[u8; 32]| piece.iter().fold(false, |found, &byte| found | (byte == b'\n'));
    let before = 32 * pieces.iter().take_while(|piece| !has_newline(piece)).count();
    bytes[before..].iter().position(|&byte| byte == b'\n').map(|at| before + at)
}

/// What a byte order mark is in UTF-8. Some editors put one at the start of a file, and scripts send files.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// How a TLS client begins (RFC 8446, 5.1): a record of the type handshake, version 3.
const TLS_HANDSHAKE: &[u8] = &[0x16, 0x03];

/// Whether a line is the first one of an HTTP request: a method, a target and a version (RFC 9112, 3), as leniently
/// as servers read it.
fn is_request_line(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or(line);
    let is_version = version.len() > HTTP.len()
        && version[..HTTP.len()].eq_ignore_ascii_case(HTTP)
        && version[HTTP.len()..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).count();
    is_version && words >= 3 && token_length(line) > 0
}

const HTTP: &[u8] = b"HTTP/";

/// Whether a line that is too long begins as a request line does: with a token, a space, and a path or an address.
fn may_be_request_line(line: &[u8]) -> bool {
    let length = token_length(line);
    let target = line.get(length + 1..).unwrap_or_default();
    length > 0
        && (target.starts_with(b"/")
            || target.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http")))
}

/// The length of the token (RFC 9110, 5.6.2) at the start of a line that a space follows, or 0 if there is none.
fn token_length(line: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let length = line.iter().take_while(|byte| is_part(byte)).count();
    if line.get(length) == Some(&b' ') { length } else { 0 }
}

/// Where in a telnet command (RFC 854) the input stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Telnet {
    /// In text.
    #[default]
    Text,
    /// In text, after a carriage return.
    Return,
    /// After IAC.
    Command,
    /// After IAC WILL, WONT or DONT: one more byte names the option.
    Option,
    /// After IAC DO.
    Do,
    /// Within IAC SB …, which a line ending ends: then it was text in another encoding.
    Negotiation,
    /// After an IAC within that: SE ends it.
    NegotiationCommand,
}

const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const TIMING_MARK: u8 = 6;
const SB: u8 = 250;
const ERASE_LINE: u8 = 248;
const ERASE_CHARACTER: u8 = 247;
/// Ctrl-C: a line that was begun is given up.
const INTERRUPT: u8 = 244;
const SE: u8 = 240;
/// What keys that erase send without telnet.
const BACKSPACE: u8 = 0x08;
const CONTROL_U: u8 = 0x15;

/// What a telnet client waits for after a Ctrl-C (RFC 860): until then it shows nothing of what arrives. The only
/// thing that the server ever says in telnet's language; a whole line, as all that it sends.
pub const TIMING_MARK_ANSWER: &[u8] = &[IAC, WONT, TIMING_MARK, b'\n'];

impl Telnet {
    /// The state after a byte of text.
    fn behind(byte: u8) -> Telnet {
        if byte == b'\r' { Telnet::Return } else { Telnet::Text }
    }

    /// Takes the commands out of `bytes` in place; returns how many bytes of text are left at its start, and
    /// whether a timing mark was asked for. What erases text becomes the character of the key that does, so that the
    /// reader of the line knows of it; `has_text` says whether the line had any before.
    fn strip(&mut self, bytes: &mut [u8], has_text: bool) -> (usize, bool) {
        let is_text = matches!(self, Telnet::Text | Telnet::Return);
        if is_text && !bytes.contains(&IAC) && !bytes.contains(&0) {
            if let Some(last) = bytes.last() {
                *self = Telnet::behind(*last);
            }
            return (bytes.len(), false);
        }
        let (mut kept, mut asks_for_mark) = (0, false);
        for position in 0..bytes.len() {
            let mut byte = bytes[position];
            let (next, is_text) = match (*self, byte) {
                (Telnet::Text | Telnet::Return, IAC) => (Telnet::Command, false),
                (Telnet::Return, 0) => {
                    byte = b'\n';
                    (Telnet::Text, true)
                }
                (Telnet::Text | Telnet::Return, _) => (Telnet::behind(byte), true),
                // A doubled IAC is the byte itself, which is no UTF-8 and becomes U+FFFD.
                (Telnet::Command, IAC) => (Telnet::Text, true),
                (Telnet::Command, DO) => (Telnet::Do, false),
                (Telnet::Command, WILL..=DONT) => (Telnet::Option, false),
                (Telnet::Command, SB) => (Telnet::Negotiation, false),
                (Telnet::Command, ERASE_CHARACTER | ERASE_LINE | INTERRUPT) => {
                    byte = if byte == ERASE_CHARACTER { BACKSPACE } else { CONTROL_U };
                    let has_text = bytes[..kept].last().map_or(has_text, |&last| last != b'\n');
                    (Telnet::Text, has_text)
                }
                // No command below SE exists: then it was no IAC, and a line ending must not be swallowed.
                (Telnet::Command, 0..SE) => (Telnet::behind(byte), true),
                (Telnet::Command | Telnet::Option | Telnet::Do, _) => (Telnet::Text, false),
                (Telnet::Negotiation | Telnet::NegotiationCommand, b'\n') => (Telnet::Text, true),
                (Telnet::Negotiation, IAC) => (Telnet::NegotiationCommand, false),
                (Telnet::Negotiation, _) => (Telnet::Negotiation, false),
                (Telnet::NegotiationCommand, SE) => (Telnet::Text, false),
                (Telnet::NegotiationCommand, _) => (Telnet::Negotiation, false),
            };
            asks_for_mark |= (*self, byte) == (Telnet::Do, TIMING_MARK);
            *self = next;
            if is_text {
                bytes[kept] = byte;
                kept += 1;
            }
        }
        (kept, asks_for_mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_its_first_newline_wherever_that_is() {
        for length in 0..=100 {
            let mut bytes = vec![b'\x0b'; length];
            assert_eq!(skip_line(&bytes), length);
            for newline in (0..length).rev() {
                bytes[newline] = b'\n';
                assert_eq!(skip_line(&bytes), newline + 1, "of {length}");
            }
        }
    }

    /// Feeds `input` in pieces of `piece` bytes and describes what came out.
    fn lines_of(input: &[u8], piece: usize) -> Vec<String> {
        let mut pool = Vec::new();
        let mut buffer = LineBuffer::default();
        let mut seen = Vec::new();
        for piece in input.chunks(piece) {
            let mut rest = piece;
            while !rest.is_empty() {
                assert!(buffer.has_room());
                buffer.fill(&mut pool, |into| io::Read::read(&mut rest, into)).unwrap();
                loop {
                    match buffer.next_line() {
                        Next::Line(line) => seen.push(format!("{:?}", line.escape_ascii().to_string())),
                        Next::Nothing => break,
                        Next::Foreign(protocol) => {
                            // The connection ends here.
                            seen.push(format!("Foreign({protocol:?})"));
                            return seen;
                        }
                        other => seen.push(format!("{other:?}")),
                    }
                }
                buffer.shelve(&mut pool, 1);
            }
        }
        if !buffer.is_empty() {
            seen.push("unfinished".into());
        }
        seen
    }

    fn check(input: &[u8], expected: &[&str]) {
        for piece in [1, 2, 3, 7, 4095, 4096, 4097, 8192, usize::MAX] {
            assert_eq!(lines_of(input, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn lines_end_with_lf_or_crlf_however_they_arrive() {
        check(b"one\ntwo\r\n\nthree\r\r\n", &["\"one\"", "\"two\"", "\"\"", "\"three\\\\r\""]);
        check(b"", &[]);
        check(b"no ending", &["unfinished"]);
        check(b"one\nno ending", &["\"one\"", "unfinished"]);
    }

    #[test]
    fn a_line_of_4096_bytes_with_its_ending_is_taken_and_one_more_is_not() {
        let line = |length: usize| [&vec![b'x'; length][..], b"\nnext\n"].concat();
        let taken = format!("{:?}", "x".repeat(4095));
        check(&line(4095), &[&taken, "\"next\""]);
        for length in [4096, 4097, 8191, 8192, 8193, 100_000, UNENDED_BYTES_MAX as usize - 1] {
            check(&line(length), &["TooLong", "\"next\""]);
        }
    }

    #[test]
    fn a_megabyte_without_an_ending_is_endless() {
        let seen = lines_of(&vec![b'x'; UNENDED_BYTES_MAX as usize], 8192);
        assert_eq!(seen, ["TooLong", "Endless", "unfinished"]);
    }

    #[test]
    fn telnet_commands_are_skipped_and_a_newline_ends_a_negotiation() {
        check(b"a\xff\xfb\x0ab\n", &["\"ab\""]);
        check(b"\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0x\n", &["\"x\""]);
        check(b"\xff\xfa\x18\xff\xff\xff\xf0x\n", &["\"x\""]);
        check(b"\xff\xf4\xff\xfd\x06x\n", &["\"x\""]);
        check(b"\xff\xffx\n", &["\"\\\\xffx\""]);
        check(b"\xff\nx\n", &["\"\"", "\"x\""]);
        // Two letters of Latin-1, and what was typed after them.
        check(b"a\xff\xfab\nc\xff\xfa\xff\nd\n", &["\"a\"", "\"c\"", "\"d\""]);
        check(b"\xff\xfa\x1f\x00\x50\x00\x0a\xff\xf0x\n", &["\"\"", "\"x\""]);
    }

    #[test]
    fn what_telnet_erases_is_erased_as_by_a_key() {
        // Erase Character, Erase Line, Interrupt Process.
        check(b"ab\xff\xf7c\n", &["\"ab\\\\x08c\""]);
        check(b"ab\xff\xf8c\n", &["\"ab\\\\x15c\""]);
        check(b"ab\xff\xf4\xff\xfd\x06c\n", &["\"ab\\\\x15c\""]);
        // Where there is nothing to erase, they are as nothing.
        check(b"\xff\xf7\xff\xf8a\n\xff\xf4\xff\xf7b\r\n\xff\xf8\n", &["\"a\"", "\"b\"", "\"\""]);
        check(b"a\r\0\xff\xf7b\n", &["\"a\"", "\"b\""]);
    }

    #[test]
    fn a_carriage_return_and_nul_end_a_line() {
        check(b"one\r\0two\r\0\r\0", &["\"one\"", "\"two\"", "\"\""]);
        check(b"a\0b\rc\r\r\0d\0\n", &["\"a\\\\x00b\\\\rc\\\\r\"", "\"d\\\\x00\""]);
        check(b"a\r\xff\xf1\0b\n", &["\"a\\\\r\\\\x00b\""]);
        check(b"\xff\x0d\0x\n", &["\"\"", "\"x\""]);
    }

    #[test]
    fn a_byte_order_mark_is_skipped_at_the_start_and_nowhere_else() {
        let mark = |rest: &[u8]| [BYTE_ORDER_MARK, rest].concat();
        check(&mark(b"/help\nx\n"), &["\"/help\"", "\"x\""]);
        check(&mark(b"\n"), &["\"\""]);
        let escaped = "\"\\\\xef\\\\xbb\\\\xbfx\"";
        check(&mark(&mark(b"x\n")), &[escaped]);
        check(&[b"a\n", &mark(b"x\n")[..]].concat(), &["\"a\"", escaped]);
    }

    #[test]
    fn a_client_of_another_protocol_is_known_by_how_it_begins() {
        let target = "x".repeat(5000);
        for request in [
            "GET / HTTP/1.1\r\n",
            "POST /register HTTP/1.0\r\nHost: x\r\n\r\n/quit\n",
            "OPTIONS * HTTP/1.1\n",
            "get http://example.org:5000/?a=b http/1.1\r\n",
            "M-SEARCH * HTTP/1.1\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "brew /a b HTTP/1.1 \r\n",
            "\r\nGET / HTTP/1.1\r\n",
            "\u{feff}GET / HTTP/1.1\r\n",
            &format!("POST /{target} HTTP/1.1\r\n"),
            &format!("get Http://{target} HTTP/1.1\r\n"),
        ] {
            check_first(request.as_bytes(), "Foreign(Http)");
        }
        check_first(b"\x16\x03\x01\x02\x00\n\x01\n", "Foreign(Tls)");
        for line in [
            "/msg bob GET / HTTP/1.1",
            "GET /",
            "GET HTTP/1.1",
            "hello there HTTP/1.1x",
            "hello there HTTP/",
            "(a b HTTP/1.1",
        ] {
            check(format!("{line}\n").as_bytes(), &[&format!("{line:?}")]);
        }
        check(b"hi\nGET / HTTP/1.1\n\x16\x03\n", &["\"hi\"", "\"GET / HTTP/1.1\"", "\"\\\\x16\\\\x03\""]);
        for long in [target.clone(), format!("hello {target}"), format!("c90.0 {target}")] {
            check(format!("{long}\nx\n").as_bytes(), &["TooLong", "\"x\""]);
        }
    }

    /// Checks what comes first.
    fn check_first(input: &[u8], expected: &str) {
        for piece in [1, 2, 3, 4095, 4096, 8192, usize::MAX] {
            let lines = lines_of(input, piece);
            let first = lines.iter().find(|line| *line != "\"\"");
            assert_eq!(
                first.map(String::as_str),
                Some(expected),
                "in pieces of {piece}: {}",
                input.escape_ascii()
            );
        }
    }

    #[test]
    fn a_timing_mark_is_noticed_once_however_it_arrives() {
        for piece in 1..8 {
            let mut buffer = LineBuffer::default();
            let mut marks = 0;
            for mut bytes in b"\xff\xfb\x06\xff\xf4\xff\xfd\x06x\n".chunks(piece) {
                buffer.fill(&mut Vec::new(), |into| io::Read::read(&mut bytes, into)).unwrap();
                marks += u32::from(buffer.take_timing_mark());
            }
            assert_eq!((marks, buffer.next_line()), (1, Next::Line(b"x")));
        }
    }

    #[test]
    fn an_idle_buffer_holds_no_memory() {
        let mut pool = Vec::new();
        let mut buffer = LineBuffer::default();
        buffer.fill(&mut pool, |into| io::Read::read(&mut &b"hi\n"[..], into)).unwrap();
        assert_eq!(buffer.next_line(), Next::Line(b"hi"));
        buffer.release(&mut pool, 1);
        assert!(buffer.buffer.is_none());
        assert_eq!(pool.len(), 1);
    }

    #[test]
    fn a_line_half_typed_holds_as_much_memory_as_it_has_bytes() {
        let mut pool = Vec::new();
        let mut buffer = LineBuffer::default();
        for (mut typed, line, rest_bytes) in
            [(&b"hi\nwhat"[..], Some(&b"hi"[..]), 4), (b"ev", None, 6), (b"er\n", Some(b"whatever"), 0)]
        {
            buffer.fill(&mut pool, |into| io::Read::read(&mut typed, into)).unwrap();
            if let Some(line) = line {
                assert_eq!(buffer.next_line(), Next::Line(line));
            }
            assert_eq!(buffer.next_line(), Next::Nothing);
            buffer.shelve(&mut pool, 1);
            assert_eq!(buffer.buffer.as_ref().map_or(0, |rest| rest.len()), rest_bytes);
            assert_eq!(pool.len(), 1);
        }
    }
}
