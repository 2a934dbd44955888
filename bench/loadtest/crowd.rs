//! A crowd that hears the same public lines, some of whom speak; and the proof that each heard all of them, once
//! and in order.
//!
//! ```text
//!           base                               end
//!   [ gone  | heard by the first, not by all   |
//!             ^ a member's position
//! ```
//!
//! Whoever is told something new extends the common text, where it is taken apart, once: the messages of each
//! sender must come in the order of their numbers, and timestamps must rise. All others must be told the very
//! same bytes, each at its own pace.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use chinwag::protocol::record::{TIMESTAMP_BYTES, ends_of};

use crate::failure;
use crate::histogram::Histogram;
use crate::logins::name;
use crate::swarm::{PeerId, Swarm};

/// A timestamp for the lines that the bare loop is given, which makes none.
pub const ANY_TIMESTAMP: &str = "2026-01-01T00:00:00.000000Z";
/// Digits of a message's number, which its text begins with.
const NUMBER_DIGITS: usize = 8;
/// A text has at least its number and the space behind it.
pub const TEXT_BYTES_MIN: usize = NUMBER_DIGITS + 1;
/// The common text is trimmed when it is longer than this.
const TRIM_BYTES: usize = 4 << 20;

/// What the far end does with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamping {
    /// It adds the time and the name.
    Server,
    /// It adds nothing, so the line is sent with both.
    Nobody,
}

struct Member {
    /// Up to where it heard the common text.
    position: u64,
    /// The number of the first message that it has not heard; kept up where it matters.
    line: u64,
}

/// One message in the common text.
struct Line {
    end: u64,
    sender: usize,
    sent: Instant,
}

#[derive(Default)]
struct Sender {
    said: u64,
    /// How many of its messages someone heard.
    told: u64,
    /// How many of its messages it heard itself.
    heard: u64,
    /// When it said those that nobody heard yet.
    sent: VecDeque<Instant>,
}

/// The crowd, and what it heard.
pub struct Crowd {
    stamping: Stamping,
    members: Vec<Member>,
    senders: Vec<Sender>,
    text_bytes: usize,
    common: Vec<u8>,
    base: u64,
    trim_at: usize,
    /// Up to where the common text was taken apart.
    parsed: u64,
    lines: VecDeque<Line>,
    /// The number of the first of `lines`.
    first_line: u64,
    last_timestamp: [u8; TIMESTAMP_BYTES],
    /// From the sending of each message to the hearing by each, while that is measured.
    latencies: Option<Histogram>,
    /// Members that are not waited for, and whose latency is not measured.
    slow: Range<usize>,
    next_sender: usize,
    outgoing: Vec<u8>,
}

impl Crowd {
    /// Of the first `count` connections, all of them in with the first accounts; the first `senders` of them
    /// speak, in texts of `text_bytes`.
    pub fn new(stamping: Stamping, count: usize, senders: usize, text_bytes: usize) -> Crowd {
        Crowd {
            stamping,
            senders: (0..senders.min(count)).map(|_| Sender::default()).collect(),
            members: (0..count).map(|_| Member { position: 0, line: 0 }).collect(),
            text_bytes: text_bytes.max(TEXT_BYTES_MIN),
            common: Vec::new(),
            base: 0,
            trim_at: TRIM_BYTES,
            parsed: 0,
            lines: VecDeque::new(),
            first_line: 0,
            last_timestamp: [b'0'; TIMESTAMP_BYTES],
            latencies: None,
            slow: 0..0,
            next_sender: 0,
            outgoing: Vec::new(),
        }
    }

    /// These members are not waited for, and their latency is not measured.
    pub fn set_slow(&mut self, slow: Range<usize>) {
        self.slow = slow;
    }

    /// How many hear.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether this connection is one of its members'.
    pub fn has(&self, id: PeerId) -> bool {
        id < self.members.len()
    }

    /// How many messages were said so far.
    pub fn said(&self) -> u64 {
        self.senders.iter().map(|sender| sender.said).sum()
    }

    /// From now on latencies are measured.
    pub fn start_measuring(&mut self) {
        assert!(self.have_all_heard_all(), "only a silent crowd can begin to measure");
        let next_line = self.first_line + self.lines.len() as u64;
        for member in &mut self.members {
            member.line = member.line.max(next_line);
        }
        self.latencies = Some(Histogram::default());
    }

    /// What was measured.
    pub fn stop_measuring(&mut self) -> Histogram {
        self.latencies.take().unwrap_or_default()
    }

    /// Lets everyone who speaks keep so many messages under way, together.
    pub fn say_up_to(&mut self, swarm: &mut Swarm, under_way: usize) -> io::Result<()> {
        let senders = self.senders.len();
        for index in 0..senders {
            let share = under_way / senders + usize::from(index < under_way % senders);
            let missing = share as u64 - (self.senders[index].said - self.senders[index].heard);
            self.say(swarm, index, missing)?;
        }
        Ok(())
    }

    /// Lets the next one say one message.
    pub fn say_one(&mut self, swarm: &mut Swarm) -> io::Result<()> {
        self.say(swarm, self.next_sender, 1)?;
        self.next_sender = (self.next_sender + 1) % self.senders.len();
        Ok(())
    }

    fn say(&mut self, swarm: &mut Swarm, index: usize, count: u64) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        let sender = &mut self.senders[index];
        let out = &mut self.outgoing;
        out.clear();
        for _ in 0..count {
            if self.stamping == Stamping::Nobody {
                out.extend_from_slice(format!("{ANY_TIMESTAMP} {}: ", name(index)).as_bytes());
            }
            push_text(out, sender.said, self.text_bytes);
            sender.said += 1;
        }
        let now = Instant::now();
        sender.sent.extend((0..count).map(|_| now));
        swarm.send(index, out)
    }

    /// What a member was told.
    pub fn received(&mut self, index: PeerId, bytes: &[u8]) -> io::Result<()> {
        let position = self.members[index].position;
        let at = (position - self.base) as usize;
        let known = bytes.len().min(self.common.len() - at);
        if bytes[..known] != self.common[at..at + known] {
            return Err(failure(format!(
                "receiver {index} is told something else than others, near byte {position}"
            )));
        }
        if bytes.len() > known {
            self.common.extend_from_slice(&bytes[known..]);
            self.take_apart()?;
        }
        self.members[index].position += bytes.len() as u64;
        if index < self.senders.len() || (self.latencies.is_some() && !self.slow.contains(&index)) {
            self.count_lines(index);
        }
        if self.common.len() > self.trim_at {
            self.trim();
        }
        Ok(())
    }

    fn count_lines(&mut self, index: usize) {
        let member = &mut self.members[index];
        let is_measured = !self.slow.contains(&index);
        let mut latencies =
            self.latencies.as_mut().filter(|_| is_measured).map(|latencies| (latencies, Instant::now()));
        member.line = member.line.max(self.first_line);
        let from = (member.line - self.first_line) as usize;
        for line in self.lines.range(from..).take_while(|line| line.end <= member.position) {
            member.line += 1;
            if line.sender == index {
                self.senders[index].heard += 1;
            }
            if let Some((latencies, now)) = &mut latencies {
                latencies.record(*now - line.sent);
            }
        }
    }

    /// Looks at the new lines of the common text.
    fn take_apart(&mut self) -> io::Result<()> {
        let mut at = (self.parsed - self.base) as usize;
        while let Some(length) = self.common[at..].iter().position(|&byte| byte == b'\n') {
            let line = &self.common[at..at + length];
            at += length + 1;
            self.parsed += length as u64 + 1;
            match line.first() {
                Some(b'0'..=b'9') => {}
                Some(b'*') => continue,
                _ => return Err(failure(format!("told: {}", String::from_utf8_lossy(line)))),
            }
            let timestamp = &line[..TIMESTAMP_BYTES.min(line.len())];
            if self.stamping == Stamping::Server {
                if timestamp <= &self.last_timestamp[..] {
                    return Err(failure("timestamps do not rise"));
                }
                self.last_timestamp.copy_from_slice(timestamp);
            }
            let Some((sender, number)) = ends_of(line)
                .and_then(|ends| Some((account_number(ends.from)?, text_number(&line[ends.text_at..])?)))
            else {
                continue;
            };
            let Some(state) = self.senders.get_mut(sender) else { continue };
            if number != state.told {
                return Err(failure(format!(
                    "message {number} of sender {sender} where {} is due",
                    state.told
                )));
            }
            state.told += 1;
            let sent = state.sent.pop_front().ok_or_else(|| failure("told what nobody said"))?;
            self.lines.push_back(Line { end: self.parsed, sender, sent });
        }
        Ok(())
    }

    fn trim(&mut self) {
        let heard_by_all =
            self.members.iter().map(|member| member.position).min().unwrap_or(0).min(self.parsed);
        self.common.drain(..(heard_by_all - self.base) as usize);
        self.base = heard_by_all;
        self.trim_at = TRIM_BYTES.max(2 * self.common.len());
        while self.lines.front().is_some_and(|line| line.end <= heard_by_all) {
            self.lines.pop_front();
            self.first_line += 1;
        }
    }

    /// Whether all that was said was heard by all that are waited for.
    pub fn have_all_heard_all(&self) -> bool {
        let end = self.base + self.common.len() as u64;
        self.parsed == end
            && self.senders.iter().all(|sender| sender.told == sender.said)
            && self
                .members
                .iter()
                .enumerate()
                .all(|(index, member)| member.position == end || self.slow.contains(&index))
    }

    /// Waits until they have.
    pub fn finish(&mut self, swarm: &mut Swarm) -> io::Result<()> {
        while !self.have_all_heard_all() {
            swarm.poll(Duration::from_millis(20), &mut |id, bytes| match self.has(id) {
                true => self.received(id, bytes),
                false => Ok(()),
            })?;
        }
        Ok(())
    }
}

/// The text of a message and its line ending: its number, and as much behind it as makes `bytes`.
pub fn push_text(out: &mut Vec<u8>, number: u64, bytes: usize) {
    let start = out.len();
    let mut digits = [b'0'; NUMBER_DIGITS];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits);
    out.push(b' ');
    out.resize(start + bytes, b'x');
    out.push(b'\n');
}

/// The number at the start of a text of ours.
pub fn text_number(text: &[u8]) -> Option<u64> {
    let digits = text.get(..NUMBER_DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The number of an account of ours.
pub fn account_number(name: &[u8]) -> Option<usize> {
    std::str::from_utf8(name.strip_prefix(b"load")?).ok()?.parse().ok()
}
