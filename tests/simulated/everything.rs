//! Everything at once, from a seed: whatever people do and whatever befalls their sockets and the disk, the gate
//! holds, nothing of the server's own assertions fails, and afterwards everyone is heard.

use crate::sim::disk::LOG;
use crate::sim::harness::{Sim, options, text_of};
use crate::sim::world::XorShift;

const NAMES: [&str; 6] = ["ann", "ben", "cat", "dan", "eve", "fay"];

fn some_line(random: &mut XorShift, own: &str) -> String {
    let other = NAMES[random.below(6) as usize];
    match random.below(22) {
        0 | 1 => format!("/login {own} correct-horse\n"),
        2 => format!("/login {own} wrong-horse\n"),
        3 => format!("/register {own} correct-horse\n"),
        4 => "/history\n".into(),
        5 => format!("/history {}\n", random.below(50)),
        6 => "/history 2026-11-22T12:01\n".into(),
        7 => format!("/history {} before 2026-11-22T12:02\n", random.below(9)),
        8 => "/users\n".into(),
        9 => format!("/replay {}\n", random.below(9)),
        10 => "/passwd correct-horse correct-horse\n".into(),
        11 => "/quit\n".into(),
        12 => "/help\n".into(),
        13 => "no ending".into(),
        14 | 15 => format!("/msg {other} {}\n", "p".repeat(random.below(3_000) as usize + 1)),
        _ => "x".repeat(random.below(4_200) as usize) + "\n",
    }
}

/// Does something to someone, or to everyone.
fn befall(sim: &mut Sim, random: &mut XorShift, slot: &str) {
    let own = NAMES[random.below(6) as usize];
    let open = sim.peer(slot).is_open();
    match random.below(40) {
        0 if open => sim.peer(slot).reset(),
        1 if open => sim.peer(slot).close(),
        2 if open => sim.peer(slot).finish(),
        3 => sim.peer(slot).capacity = [1, 50, 5_000, 100_000][random.below(4) as usize],
        4 => sim.peer(slot).read_max = 1 + random.below(5_000) as usize,
        5 => sim.peer(slot).write_max = 1_000 + random.below(5_000) as usize,
        6 => sim.disk.state().room = Some(random.below(10_000) as usize),
        7..9 => sim.disk.state().room = None,
        9..12 => drop(sim.take(slot, 3_000)),
        12 => {
            let us = random.below(3_000_000);
            sim.world.advance(us);
        }
        13 => sim.world.wall_us -= random.below(5_000_000),
        14 => sim.world.look_us = random.below(2) * 1_000,
        15 => sim.net.state().accept_errors.push_back(std::io::ErrorKind::Other),
        _ if open => {
            let line = some_line(random, own);
            sim.send(slot, line);
        }
        _ => {
            sim.connect(slot);
            sim.send(slot, format!("/login {own} correct-horse\n"));
        }
    }
}

fn run(seed: u64) {
    let mut random = XorShift::new(seed);
    let mut options = options();
    options.rate = [None, Some(10)][random.below(2) as usize];
    options.rules.kdf_rounds = [10, 3_000][random.below(2) as usize];
    let mut sim = Sim::with(options);
    NAMES.iter().for_each(|name| sim.join(name));
    let slots: Vec<_> = (0..12).map(|slot| format!("slot {slot}")).collect();
    for slot in &slots {
        sim.connect(slot);
    }
    for _ in 0..1_500 {
        let slot = random.below(12) as usize;
        befall(&mut sim, &mut random, &slots[slot]);
        if random.below(3) > 0 {
            sim.turn();
        }
    }
    // The faults are over, and all take what they are sent.
    sim.disk.state().room = None;
    sim.world.look_us = 0;
    for name in sim.names() {
        sim.peer(&name).capacity = usize::MAX;
        sim.peer(&name).write_max = usize::MAX;
    }
    sim.run_seconds(200);
    sim.say("ann", "probe");
    for name in NAMES {
        // They were here all the time and asked for nothing: each message once, in order, none left out.
        let mut shown = sim.output(name);
        shown.retain(|line| line.starts_with(|first: char| first.is_ascii_digit()));
        let visible = sim.visible_to(name);
        assert_eq!(text_of(visible.last().unwrap()), "probe", "seed {seed}");
        let first = (0..visible.len()).find(|&at| shown.get(at) != visible.get(at)).unwrap_or(visible.len());
        assert!(shown == visible, "seed {seed}, {name}: from {:?} on", visible.get(first));
    }
    // All is as it would be read again, and no timer ticks on.
    assert!(sim.disk.read(LOG).lines().is_sorted(), "seed {seed}");
    for slot in &slots {
        sim.peer(slot).reset();
    }
    sim.run_seconds(700);
    assert_eq!(sim.timeout_us(), None, "seed {seed}");
    let log = sim.disk.read(LOG);
    let mut sim = sim.restart();
    assert_eq!(sim.disk.read(LOG), log, "seed {seed}: nothing was torn");
    sim.join("ben");
}

#[test]
fn whatever_happens_the_guarantees_hold_and_everyone_is_heard_afterwards() {
    // As many as one likes to wait for: SEEDS=1000 cargo test everything
    let seeds = std::env::var("SEEDS").map_or(40, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        run(seed);
    }
}
