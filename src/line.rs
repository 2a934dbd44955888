//! Bytes from a socket to lines of clean text.
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
}

/// What comes next in the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A line, without its ending (`\n` or `\r\n`).
    Line(&'a [u8]),
    /// A line that was longer than [`LINE_BYTES_MAX`]. Said once; its rest is skipped.
    TooLong,
    /// [`UNENDED_BYTES_MAX`] bytes came without a line ending.
    Endless,
    /// No whole line is there.
    Nothing,
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
        let (kept, asks_for_mark) = self.telnet.strip(&mut buffer[from..from + count]);
        self.end += kept as u16;
        self.timing_mark_due |= asks_for_mark;
        Ok(count)
    }

    /// Whether [`TIMING_MARK_ANSWER`] is to be sent now.
    pub fn take_timing_mark(&mut self) -> bool {
        std::mem::take(&mut self.timing_mark_due)
    }

    /// The next line, or why there is none. A line is handed out once.
    pub fn next_line(&mut self) -> Next<'_> {
        loop {
            let Some(buffer) = &self.buffer else { return Next::Nothing };
            let unscanned = &buffer[usize::from(self.scanned)..usize::from(self.end)];
            let Some(length) = position_of_newline(unscanned) else {
                self.scanned = self.end;
                return self.without_ending();
            };
            let line = usize::from(self.start)..usize::from(self.scanned) + length;
            self.start = line.end as u16 + 1;
            self.scanned = self.start;
            if std::mem::take(&mut self.skipped) > 0 {
                continue;
            }
            if line.len() + 1 > LINE_BYTES_MAX {
                return Next::TooLong;
            }
            let line = &self.buffer.as_ref().expect("it was there above")[line];
            return Next::Line(line.strip_suffix(b"\r").unwrap_or(line));
        }
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

fn position_of_newline(bytes: &[u8]) -> Option<usize> {
    let length = skip_line(bytes);
    (length > 0 && bytes[length - 1] == b'\n').then(|| length - 1)
}

/// The length of the first line of `bytes` with its ending, or of all of it where it has none.
///
/// std searches with the C library's memchr here, which reads many bytes at a time.
pub fn skip_line(mut bytes: &[u8]) -> usize {
    io::BufRead::skip_until(&mut bytes, b'\n').expect("reading a slice cannot fail")
}

/// Where in a telnet command (RFC 854) the input stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Telnet {
    /// In text.
    #[default]
    Text,
    /// After IAC.
    Command,
    /// After IAC WILL, WONT or DONT: one more byte names the option.
    Option,
    /// After IAC DO.
    Do,
    /// Within IAC SB …
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
const SE: u8 = 240;

/// What a telnet client waits for after a Ctrl-C (RFC 860): until then it shows nothing of what arrives. The only
/// thing that the server ever says in telnet's language; a whole line, as all that it sends.
pub const TIMING_MARK_ANSWER: &[u8] = &[IAC, WONT, TIMING_MARK, b'\n'];

impl Telnet {
    /// Takes the commands out of `bytes` in place; returns how many bytes of text are left at its start, and
    /// whether a timing mark was asked for.
    fn strip(&mut self, bytes: &mut [u8]) -> (usize, bool) {
        if *self == Telnet::Text && !bytes.contains(&IAC) {
            return (bytes.len(), false);
        }
        let (mut kept, mut asks_for_mark) = (0, false);
        for position in 0..bytes.len() {
            let byte = bytes[position];
            let (next, is_text) = match (*self, byte) {
                (Telnet::Text, IAC) => (Telnet::Command, false),
                (Telnet::Text, _) => (Telnet::Text, true),
                // A doubled IAC is the byte itself, which is no UTF-8 and becomes U+FFFD.
                (Telnet::Command, IAC) => (Telnet::Text, true),
                (Telnet::Command, DO) => (Telnet::Do, false),
                (Telnet::Command, WILL..=DONT) => (Telnet::Option, false),
                (Telnet::Command, SB) => (Telnet::Negotiation, false),
                // No command below SE exists: then it was no IAC, and a line ending must not be swallowed.
                (Telnet::Command, 0..SE) => (Telnet::Text, true),
                (Telnet::Command | Telnet::Option | Telnet::Do, _) => (Telnet::Text, false),
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

/// Writes `raw` to `text` with everything replaced by U+FFFD that is no valid UTF-8, or that could move a cursor
/// or hide: control characters but the tab, bidi controls, invisible format characters. Whether anything was.
pub fn sanitise(raw: &[u8], text: &mut String) -> bool {
    text.clear();
    let mut replaced = false;
    for chunk in raw.utf8_chunks() {
        let valid = chunk.valid();
        if valid.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
            text.push_str(valid);
        } else {
            for character in valid.chars() {
                let bad = is_unsafe(character);
                replaced |= bad;
                text.push(if bad { char::REPLACEMENT_CHARACTER } else { character });
            }
        }
        if !chunk.invalid().is_empty() {
            replaced = true;
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    replaced
}

/// Whether a character may not stand in a message.
///
/// The controls (C0, DEL, C1) but the tab; the line and paragraph separators; and of the format characters
/// (Unicode 16, category Cf) those that are invisible or turn the direction of writing. ZWNJ and ZWJ stay: Persian
/// and emoji need them.
pub fn is_unsafe(character: char) -> bool {
    match character {
        '\t' | '\u{200c}' | '\u{200d}' => false,
        _ => {
            character.is_control()
                || matches!(
                    character,
                    '\u{ad}' | '\u{61c}' | '\u{70f}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
                    | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                    | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
                    | '\u{e0000}'..='\u{e007f}'
                )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn telnet_negotiation_is_skipped_also_where_it_holds_a_newline() {
        check(b"a\xff\xfb\x0ab\n", &["\"ab\""]);
        check(b"\xff\xfa\x1f\x00\x50\x00\x0a\xff\xf0x\n", &["\"x\""]);
        check(b"\xff\xfa\x18\xff\xff\x0a\xff\xf0x\n", &["\"x\""]);
        check(b"\xff\xf4\xff\xfd\x06x\n", &["\"x\""]);
        check(b"\xff\xffx\n", &["\"\\\\xffx\""]);
        check(b"\xff\nx\n", &["\"\"", "\"x\""]);
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

    fn check_text(raw: &[u8], expected: &str) {
        let mut text = String::from("left over");
        let replaced = sanitise(raw, &mut text);
        assert_eq!(text, expected);
        assert_eq!(replaced, raw != expected.as_bytes());
    }

    #[test]
    fn what_could_move_a_cursor_or_hide_becomes_the_replacement_character() {
        check_text(b"plain ~text\t!", "plain ~text\t!");
        check_text(
            "grüße 😀 👩\u{200d}👩 می\u{200c}خواهم".as_bytes(),
            "grüße 😀 👩\u{200d}👩 می\u{200c}خواهم",
        );
        check_text(b"\x1b[2J", "\u{fffd}[2J");
        check_text(b"a\x00b\x7fc\rd", "a\u{fffd}b\u{fffd}c\u{fffd}d");
        check_text("\u{9b}31m\u{202e}x\u{2066}\u{200b}\u{feff}\u{2028}".as_bytes(), &{
            let r = "\u{fffd}";
            format!("{r}31m{r}x{r}{r}{r}{r}")
        });
        check_text(b"\xc0\xaf", "\u{fffd}\u{fffd}");
        check_text(b"\xe2\x82", "\u{fffd}");
        check_text(b"", "");
        for byte in (0..=0x1f).chain([0x7f]) {
            let expected = if byte == b'\t' { "\t" } else { "\u{fffd}" };
            check_text(&[byte], expected);
        }
    }
}
