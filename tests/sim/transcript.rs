//! Conversations as they would be seen on terminals, each line checked, and that there are no others.
//!
//! ```text
//! alice> /register alice correct-horse      alice types this; then a second passes
//! alice< * welcome alice                     she is shown this, and nothing else
//! bob>> hello                                typed as well, but nothing happens until the next line of another kind
//! bob> ^D                                    he closes his end (^C: both, ^X: with a reset)
//! bob< ^D                                    the server has closed its end
//! @ 60                                       a minute passes
//! ```
//!
//! Who is mentioned for the first time connects, and the greeting is taken for granted. Timestamps are shown as
//! `TS`, and must rise.

use std::collections::{BTreeMap, VecDeque};

use chinwag::limits::SECOND_US;
use chinwag::server::Options;

use super::harness::{Sim, options};

/// What passes after each line typed: enough for a notice of who came to be due, and little against any timer.
const STEP_US: u64 = 11 * SECOND_US / 10;

/// Plays a transcript on a new server.
pub fn check(script: &str) -> Sim {
    check_with(options(), script)
}

pub fn check_with(options: Options, script: &str) -> Sim {
    let mut sim = Sim::with(options);
    play(&mut sim, script);
    sim
}

/// Goes on with a transcript.
pub fn play(sim: &mut Sim, script: &str) {
    let mut player =
        Player { sim, seen: BTreeMap::new(), last: BTreeMap::new(), asked: BTreeMap::new(), at: 0 };
    for (index, line) in script.lines().enumerate() {
        player.at = index + 1;
        player.step(line.trim_start());
    }
    player.expect_silence();
}

struct Player<'a> {
    sim: &'a mut Sim,
    /// What each client was shown and the transcript did not mention yet.
    seen: BTreeMap<String, VecDeque<String>>,
    /// The timestamp of the last message each client was shown.
    last: BTreeMap<String, String>,
    /// How often each client asked for history: so often it may be shown what is earlier.
    asked: BTreeMap<String, usize>,
    /// The line of the transcript.
    at: usize,
}

impl Player<'_> {
    fn step(&mut self, line: &str) {
        if line.is_empty() || line.starts_with('#') {
        } else if let Some(seconds) = line.strip_prefix("@ ") {
            self.expect_silence();
            self.sim.run_for((seconds.parse::<f64>().expect("seconds") * 1e6) as u64);
            self.listen();
        } else if let Some((name, typed)) = split(line, ">> ") {
            self.expect_silence();
            self.types(name, typed);
        } else if let Some((name, typed)) = split(line, "> ") {
            self.expect_silence();
            self.types(name, typed);
            self.sim.run_for(STEP_US);
            self.listen();
        } else if let Some((name, expected)) = split(line, "< ") {
            self.connect(name);
            if expected == "^D" {
                assert!(self.sim.peer(name).is_at_end(), "line {}: {name} is not closed", self.at);
                return;
            }
            let shown = self.seen.get_mut(name).and_then(VecDeque::pop_front);
            assert_eq!(shown.as_deref(), Some(expected), "line {}: {name} was shown (left)", self.at);
        } else {
            panic!("line {}: no step: {line}", self.at);
        }
    }

    fn types(&mut self, name: &str, typed: &str) {
        self.connect(name);
        if typed.to_lowercase().starts_with("/history") {
            *self.asked.entry(name.into()).or_default() += 1;
        }
        let mut peer = self.sim.peer(name);
        match typed {
            "^D" => peer.finish(),
            "^C" => peer.close(),
            "^X" => peer.reset(),
            _ => peer.send(format!("{typed}\n").as_bytes()),
        }
    }

    fn connect(&mut self, name: &str) {
        if self.sim.has(name) {
            return;
        }
        self.sim.connect(name);
        self.sim.settle();
        let greeting = self.sim.output(name);
        assert!(greeting.iter().all(|line| line.starts_with("* ")), "{greeting:?}");
        assert!(greeting.concat().contains("/register NAME PASSWORD"), "{greeting:?}");
        assert!(greeting.concat().contains("/login NAME PASSWORD"), "{greeting:?}");
    }

    fn listen(&mut self) {
        for name in self.sim.names() {
            for line in self.sim.output(&name) {
                let shown = self.stamped(&name, line);
                self.seen.entry(name.clone()).or_default().push_back(shown);
            }
            assert!(!self.sim.is_mid_line(&name), "line {}: {name} was shown half a line", self.at);
        }
    }

    /// A line with its timestamp made the same everywhere, after a look at whether it rises.
    fn stamped(&mut self, name: &str, line: String) -> String {
        if !line.starts_with(|first: char| first.is_ascii_digit()) {
            if line == "* end of history" {
                self.last.remove(name);
            }
            return line;
        }
        let (stamp, behind) = line.split_at(27);
        let last = self.last.insert(name.into(), stamp.into());
        if last.is_some_and(|last| *last >= *stamp) {
            let asked = self.asked.get_mut(name).filter(|asked| **asked > 0);
            *asked.unwrap_or_else(|| panic!("line {}: {name}: time goes back: {line}", self.at)) -= 1;
        }
        format!("TS{behind}")
    }

    fn expect_silence(&mut self) {
        for (name, lines) in &mut self.seen {
            let rest = std::mem::take(lines);
            assert!(rest.is_empty(), "line {}: {name} was shown more than that: {rest:#?}", self.at);
        }
    }
}

fn split<'a>(line: &'a str, arrow: &str) -> Option<(&'a str, &'a str)> {
    let (name, rest) = line.split_once(arrow.trim_end())?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let rest = rest.strip_prefix(' ').or(rest.is_empty().then_some(""))?;
    is_name.then_some((name, rest))
}
