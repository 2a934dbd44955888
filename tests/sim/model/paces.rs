//! How much an account may say: lines per second, which its sessions share, and bytes per day.

use std::collections::BTreeMap;

use super::asked::line_bytes;
use super::hostile::is_own_name;
use super::logins::SESSIONS;
use super::{Guarantee, Model, hold, key};

const SECOND_US: u64 = 1_000_000;
/// Seconds of its rate that an account may say at once.
const BURST_SECONDS: u64 = 2;

#[derive(Default)]
pub struct Paces {
    of: BTreeMap<String, Pace>,
    /// Bytes that the sessions of each account asked to be kept, at most.
    asked_bytes: BTreeMap<String, usize>,
}

/// What an account has said since the server started.
#[derive(Default)]
struct Pace {
    /// What it said lately, in the time that so much may take (a leaky bucket), and when that was.
    level_us: u64,
    at_us: u64,
    /// The turn since which there is something.
    since: u64,
    /// Bytes of its messages. No server here runs for a day.
    bytes: usize,
}

impl Model {
    /// A message is in the log: whether its author may say so much.
    pub(super) fn look_at_pace(&mut self, place: usize) {
        let record = self.log.record(place);
        let (name, length) = (record.from.clone(), record.line.len() + 1);
        let now_us = self.began_us(self.turn);
        let pace = self.paces.of.entry(name.clone()).or_default();
        pace.bytes += length;
        let most = self.rules.daily_bytes.unwrap_or(usize::MAX);
        hold(Guarantee::Bounded, pace.bytes <= most, || {
            format!("{name} said {} bytes, and {most} a day at most", pace.bytes)
        });
        let Some(rate) = self.rules.rate else { return };
        let line_us = SECOND_US / u64::from(rate);
        pace.level_us = pace.level_us.saturating_sub(now_us - pace.at_us);
        if pace.level_us == 0 {
            pace.since = self.turn;
        }
        (pace.level_us, pace.at_us) = (pace.level_us + line_us, now_us);
        let (level_us, since) = (pace.level_us, pace.since);
        // Each session may have one line left whose time came before.
        let own = is_own_name(&name);
        let sessions = if own { SESSIONS } else { self.sessions_of(&name, since).min(SESSIONS) };
        let most_us = BURST_SECONDS * SECOND_US + (sessions as u64 + 2) * line_us;
        hold(Guarantee::Bounded, level_us <= most_us, || {
            format!("{name} says more than {rate} lines a second: {}", self.log.record(place).line)
        });
    }

    /// A session asks for a message to be kept.
    pub(super) fn note_said(&mut self, id: usize, to: Option<&str>, text: &str) {
        for name in self.connections[id].names() {
            *self.paces.asked_bytes.entry(name.clone()).or_default() += line_bytes(&name, to, text);
        }
    }

    /// Whether an account may have said as much as it may in a day.
    pub(super) fn may_be_over_quota(&self, name: &str) -> bool {
        let asked = self.paces.asked_bytes.get(&key(name)).copied().unwrap_or(0);
        self.rules.daily_bytes.is_some_and(|most| asked > most)
    }
}
