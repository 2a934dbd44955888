//! Lines of rooms are held once for all who get them, and for a bounded time: members whose sockets take little read
//! them in the log.

use chinwag::limits::{BATCH_BYTES_MAX, LINE_BYTES_MAX, OUTBOX_BYTES_MAX};

use crate::sim::disk::LOG;
use crate::sim::harness::{Sim, options, text_of};
use crate::sim::world::XorShift;

/// What the buffer holds at the end of a turn if somebody waits for all of it.
const ASIDES_BYTES_MAX: usize = 2 * OUTBOX_BYTES_MAX;

/// Alice, Bob and one whose socket takes as much as it is given, all in `#busy`. Only the first two are in `#other`.
struct Busy {
    sim: Sim,
    /// Lines of the log that came before.
    earlier: usize,
    aside_bytes_max: usize,
}

impl Busy {
    fn new() -> Busy {
        let mut options = options();
        options.rate = None;
        let mut sim = Sim::with(options);
        ["alice", "bob", "slow"].iter().for_each(|name| sim.join(name));
        for name in ["alice", "bob", "slow"] {
            sim.say(name, "/join #busy");
        }
        sim.say("alice", "/join #other");
        sim.say("bob", "/join #other");
        sim.run_seconds(10);
        sim.clear();
        let earlier = sim.disk.read(LOG).lines().count();
        Busy { sim, earlier, aside_bytes_max: 0 }
    }

    /// Says a line without an answer, and makes a turn.
    fn say(&mut self, name: &str, line: &str) {
        self.sim.send(name, format!("{line}\n"));
        self.turn();
    }

    fn turn(&mut self) {
        self.sim.turn();
        self.sim.clear_but("slow");
        let usage = self.sim.server.usage();
        assert!(usage.aside_bytes < ASIDES_BYTES_MAX, "{usage:?}");
        assert!(usage.outbox_bytes <= OUTBOX_BYTES_MAX, "{usage:?}");
        self.aside_bytes_max = self.aside_bytes_max.max(usage.aside_bytes);
    }

    /// Says this again and again in a conversation, so many bytes in all.
    fn talk(&mut self, to: &str, bytes: usize) {
        for number in 0..bytes / 4_000 {
            let from = ["alice", "bob"][number % 2];
            self.say(from, &format!("/msg {to} {}", "x".repeat(4_000)));
        }
        self.sim.settle();
        self.sim.clear_but("slow");
    }

    /// Takes all that comes for `slow`, so many bytes at a time.
    fn take_all(&mut self, at_a_time: usize) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.extend(self.sim.take("slow", at_a_time));
            self.sim.settle();
            if self.sim.peer("slow").untaken() == 0 {
                assert!(!self.sim.is_mid_line("slow"));
                return lines;
            }
        }
    }

    /// What `slow` is to be shown since.
    fn shown_to_slow(&self) -> Vec<String> {
        let log = self.sim.disk.read(LOG);
        let is_shown = |line: &&str| {
            let ends = line[28..].split(':').next().expect("a line has ends");
            ends.split_once(" -> ").is_none_or(|(_, to)| ["slow", "#busy"].contains(&to))
        };
        log.lines().skip(self.earlier).filter(is_shown).map(str::to_owned).collect()
    }

    /// Whether what is said now reaches `slow` from memory.
    fn check_is_live(&mut self) {
        self.sim.disk.state().read_fails = true;
        self.sim.say("alice", "/msg #busy now");
        let output = self.sim.output("slow");
        assert_eq!(output.iter().map(|line| text_of(line)).collect::<Vec<_>>(), ["now"]);
        self.sim.disk.state().read_fails = false;
    }
}

#[test]
fn asides_a_slow_member_of_a_busy_room_gets_every_line_once_and_whole_and_is_live_again() {
    for seed in 0..20 {
        let mut random = XorShift::new(seed);
        let mut busy = Busy::new();
        let capacity = [1, 27, 100, 1_000, 4_096, 50_000][random.below(6) as usize];
        busy.sim.peer("slow").capacity = capacity;
        busy.sim.peer("slow").write_max = [usize::MAX, 3_001, 9_000][random.below(3) as usize];
        let mut output = Vec::new();
        for _ in 0..3 {
            let mut said = 0;
            while said < OUTBOX_BYTES_MAX / 2 {
                // More than one line in a turn, some of them for others only.
                for _ in 0..1 + random.below(3) {
                    let text = "x".repeat(1 + random.below(1_500) as usize);
                    said += text.len();
                    let to = ["#busy", "#busy", "#other", "all", "slow", "bob"][random.below(6) as usize];
                    let line = if to == "all" { format!("{text}\n") } else { format!("/msg {to} {text}\n") };
                    busy.sim.send("alice", if to == "all" { format!("/to all\n{line}") } else { line });
                }
                busy.turn();
            }
            // Takes some now, and goes on being slow.
            for _ in 0..random.below(30) {
                let count = 1 + random.below(5_000) as usize;
                output.extend(busy.sim.take("slow", count));
                busy.turn();
            }
        }
        busy.sim.settle();
        let at_a_time = 3_000 + random.below(50_000) as usize;
        busy.sim.peer("slow").capacity = at_a_time;
        output.extend(busy.take_all(at_a_time));
        assert_eq!(output, busy.shown_to_slow(), "seed {seed}");
        busy.check_is_live();
    }
}

#[test]
fn asides_stay_bounded_while_a_member_never_reads_and_wait_for_it_in_the_log() {
    let mut busy = Busy::new();
    busy.sim.peer("slow").capacity = 10;
    busy.talk("#busy", 8 * OUTBOX_BYTES_MAX);
    assert!(busy.aside_bytes_max > OUTBOX_BYTES_MAX / 2, "it waited in memory as long as it could");
    // Nobody waits for a line in memory any more.
    assert_eq!(busy.sim.server.usage().aside_bytes, 0);
    busy.sim.peer("slow").capacity = usize::MAX;
    assert_eq!(busy.take_all(usize::MAX), busy.shown_to_slow());
    busy.check_is_live();
}

#[test]
fn asides_that_a_member_waits_for_are_not_forgotten_while_others_talk_elsewhere() {
    // Where everyone reads, nothing is ever held from one turn to the next; so somebody must be slow in the other room.
    for lines in [1, 3] {
        let mut busy = Busy::new();
        busy.sim.peer("slow").capacity = 10;
        for number in 0..lines {
            busy.say("alice", &format!("/msg #busy {number}"));
            // Public lines between them, so that the last is behind the first in the outbox.
            busy.say("bob", "/to all");
            busy.say("bob", "between");
        }
        busy.sim.settle();
        busy.sim.clear_but("slow");
        // Its connection is not looked at: nothing of this is for it.
        let writes = busy.sim.peer("slow").writes;
        busy.talk("#other", 3 * OUTBOX_BYTES_MAX);
        assert_eq!(busy.sim.peer("slow").writes, writes);
        assert!(busy.aside_bytes_max > ASIDES_BYTES_MAX - 2 * LINE_BYTES_MAX, "{}", busy.aside_bytes_max);
        assert_eq!(busy.sim.server.usage().aside_bytes, 0, "it reads the log now");
        busy.sim.peer("slow").capacity = usize::MAX;
        assert_eq!(busy.take_all(usize::MAX), busy.shown_to_slow(), "{lines} lines");
        busy.check_is_live();
    }
}

#[test]
fn asides_are_held_for_no_longer_than_the_turn_if_everyone_takes_them() {
    let mut busy = Busy::new();
    for _ in 0..50 {
        // Many in one turn, of both rooms, so that some members have more than one piece to be sent.
        for to in ["#busy", "#other", "#busy", "#busy", "#other"] {
            busy.sim.send("alice", format!("/msg {to} {}\n", "x".repeat(BATCH_BYTES_MAX / 200)));
        }
        busy.turn();
        assert_eq!(busy.sim.server.usage().aside_bytes, 0);
    }
    assert_eq!(busy.sim.output("slow"), busy.shown_to_slow());
}
