//! A connection, as it looks from outside.

use std::collections::VecDeque;

use super::asked::Asked;
use super::deadlines::Deadlines;
use super::log::Log;
use super::received::Received;
use super::stream::Stream;
use super::{Guarantee, broken};

/// What the client did with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Open,
    /// It sends no more, and wants all its answers.
    Finished,
    /// It closed, or broke the connection.
    Gone,
}

/// A line that was sent and not answered, and how things were then.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub asked: Asked,
    pub turn: u64,
    /// Where the log ended.
    pub end: usize,
    /// For a login: where the account's first message stands that is not seen by the file.
    pub seen: usize,
}

/// After the receipt of a private message: whether it must be told that the other is offline.
#[derive(Debug)]
pub struct Offline {
    pub name: String,
    pub must: bool,
    pub may: bool,
}

#[derive(Debug)]
pub struct Connection {
    pub peer: usize,
    /// Its client is an adversary: what it is answered is not predicted, only looked at ([`super::hostile`]).
    pub is_hostile: bool,
    /// It speaks HTTP, or is a proxy's without a header.
    pub must_execute_nothing: bool,
    pub address: u32,
    /// When it connected.
    pub since_us: u64,
    pub turn: u64,
    /// The turn in which the server let go of it.
    pub ended: u64,
    /// Who the server said that it is.
    pub account: Option<String>,
    /// Who it said that it is.
    pub may_be: Vec<String>,
    /// The turn of its welcome.
    pub welcomed: u64,
    /// Whether it is to be told next where what it says goes.
    pub awaits_target: bool,
    /// What it chose before its login.
    pub replay: Option<u64>,
    pub asked: VecDeque<Waiting>,
    /// Lines of an answer that came before its last one.
    pub part: Vec<String>,
    pub offline: Option<Offline>,
    /// Who it was told to be offline before the receipts of its messages to them.
    pub offline_early: Vec<String>,
    pub marks: usize,
    /// Lines of the greeting that came.
    pub greeted: usize,
    pub stream: Option<Stream>,
    pub client: Client,
    /// The server has said goodbye, or closed.
    pub is_closing: bool,
    /// Its socket is full, or takes little at a time.
    pub lags: bool,
    /// It was so at some time: it may have fallen behind.
    pub may_lag: bool,
    /// How many writes to it were interrupted, and whether one was in this turn: what it is told comes later then.
    pub interrupted_writes: usize,
    pub is_interrupted: bool,
    /// A write to it was interrupted before its welcome, which may have come a turn later for that.
    pub may_be_welcome_late: bool,
    /// It may have been closed, and not been told so yet.
    pub may_have_left: bool,
    /// It may have been closed because the log could not be read for it.
    pub may_have_read_in_vain: bool,
    /// The server ended its session after it had been silent for so long that it may have been lost.
    pub ended_in_silence: bool,
    /// What its socket had taken when the server last heard from it.
    pub heard: Received,
    /// How often the server heard from it, how many bytes it read, and when either of them last changed.
    pub heard_times: usize,
    pub read_bytes: usize,
    pub heard_us: u64,
    /// It may have begun after messages that only other sessions were sent, so that it moves no mark.
    pub may_have_gap: bool,
    /// When the client last took something.
    pub took_us: u64,
    /// Its socket or its client took something in this turn.
    pub has_taken: bool,
    pub deadlines: Deadlines,
    /// The number of the last line of which it has a receipt, and one more.
    pub receipts: u64,
    partial: Vec<u8>,
}

impl Connection {
    pub fn new(peer: usize, address: u32, now_us: u64, turn: u64) -> Connection {
        Connection {
            peer,
            is_hostile: false,
            must_execute_nothing: false,
            address,
            since_us: now_us,
            turn,
            ended: u64::MAX,
            account: None,
            may_be: Vec::new(),
            welcomed: 0,
            awaits_target: false,
            replay: None,
            asked: VecDeque::new(),
            part: Vec::new(),
            offline: None,
            offline_early: Vec::new(),
            marks: 0,
            greeted: 0,
            stream: None,
            client: Client::Open,
            is_closing: false,
            lags: false,
            may_lag: false,
            interrupted_writes: 0,
            is_interrupted: false,
            may_be_welcome_late: false,
            may_have_left: false,
            may_have_read_in_vain: false,
            ended_in_silence: false,
            heard: Received::default(),
            heard_times: 0,
            read_bytes: 0,
            heard_us: now_us,
            may_have_gap: false,
            took_us: now_us,
            has_taken: false,
            deadlines: Deadlines::default(),
            receipts: 0,
            partial: Vec::new(),
        }
    }

    /// All accounts that it may be logged in to.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.may_be.clone();
        names.sort();
        names.dedup();
        names
    }

    /// The account that it is logged in to, or is about to be.
    pub fn who(&self) -> Option<String> {
        self.account.clone().or_else(|| self.may_be.last().cloned())
    }

    /// Whether it is open, and all its answers are predicted.
    pub fn is_predicted(&self) -> bool {
        self.client == Client::Open && !self.is_hostile
    }

    /// The turn from which on it may have been logged in: a lagging reader is told so late.
    pub fn inside_since(&self) -> u64 {
        if self.may_lag || self.may_be_welcome_late { self.turn } else { self.welcomed }
    }

    /// Whether the log may be read for it: for a history, for what a login missed, or because it is behind.
    pub fn may_read(&self, log: &Log) -> bool {
        let reads =
            |asked: &Asked| matches!(asked, Asked::History(_) | Asked::Login { .. } | Asked::Register { .. });
        self.asked.iter().any(|waiting| reads(&waiting.asked))
            || self.stream.as_ref().is_some_and(|stream| !stream.is_at_end(log))
    }

    /// Whether one of the two ends has closed, or is about to.
    pub fn is_over(&self) -> bool {
        self.is_closing || self.client != Client::Open
    }

    /// Whether it was logged in from before that turn on and did not say that it leaves.
    pub fn is_surely_online(&self, since: u64) -> bool {
        let leaves = |waiting: &Waiting| matches!(waiting.asked, Asked::Quit | Asked::Endless);
        self.account.is_some()
            && !self.is_hostile
            && self.welcomed < since
            && !self.is_over()
            && !self.may_have_left
            && !self.asked.iter().any(leaves)
    }

    /// The whole lines that end in what was written to it.
    pub fn lines_of(&mut self, written: &[u8]) -> Vec<Vec<u8>> {
        self.partial.extend_from_slice(written);
        let end = self.partial.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let whole: Vec<u8> = self.partial.drain(..end).collect();
        whole.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    /// Blank lines have no answer.
    pub fn pass_over_blanks(&mut self) {
        while self.asked.front().is_some_and(|waiting| matches!(waiting.asked, Asked::Nothing)) {
            self.asked.pop_front();
        }
    }

    /// Whether it sent a private message to a name, has no receipt of it, and was not told that the name is offline.
    pub fn waits_for_receipt(&self, name: &str) -> bool {
        let is_to = |it: &&Waiting| match &it.asked {
            Asked::Say { to: Some(to), .. } => to.eq_ignore_ascii_case(name),
            _ => false,
        };
        let told = self.offline_early.iter().filter(|it| *it == name).count();
        self.asked.iter().filter(is_to).count() > told
    }

    /// Where something else was said than that a recipient is offline.
    pub fn assert_offline_told(&self, id: usize, is_over: bool) {
        if let Some(offline) = self.offline.as_ref().filter(|it| it.must && !is_over) {
            broken(
                Guarantee::Refused,
                format!("connection {id} was not told that {} is offline", offline.name),
            );
        }
    }
}
