//! A server, its machine and those who talk to it, from a seed: with the same one everything happens again.

use chinwag::clock::World;
use chinwag::limits::{
    BYTES_BEFORE_LOGIN_MAX, CATCH_UP_SLICE_US, DIRECT_BYTES_MAX, HASHING_QUEUE_MAX, INPUT_BYTES_MAX,
    OUTBOX_BYTES_MAX, OUTBOX_HIGH_WATER_BYTES, SLICES_US,
};
use chinwag::server::{LoopState, Options, Server, Usage};
use chinwag::session::quota::ByteLimits;

use super::absentees::Absentees;
use super::adversary::Adversary;
use super::clock;
use super::disk::SimDisk;
use super::faults::{End, befall, befall_disk, heal};
use super::harness::options;
use super::meddler::meddle;
use super::model::{Guarantee, Model, Rules, broken, hold};
use super::net::{Habits, SimNet};
use super::roomers::Roomers;
use super::rot::BitRot;
use super::tally::Tally;
use super::visitors::Visitors;
use super::workload::{Stage, Workload};
use super::world::{SimWorld, XorShift};

/// Things done by people and faults, before all calms down.
const STEPS: usize = 1_200;
/// Turns without an end of work; a server that makes so many spins.
const TURNS_MAX: usize = 200_000;

/// Of the runs in which the messages of an account are counted: more than who behaves says, and less than who is loud.
const DAILY_BYTES: u64 = 100_000;

/// After so long without a byte a session is silent, with some time to spare.
const SILENCE_US: u64 = 35_000_000;

/// Of the runs behind a proxy.
const PROXY: &str = "10.254.0.7";

pub struct Run {
    random: XorShift,
    options: Options,
    server: Server<SimNet, SimDisk>,
    net: SimNet,
    disk: SimDisk,
    world: SimWorld,
    model: Model,
    people: Workload,
    adversary: Adversary,
    /// Whether the adversary is about.
    is_besieged: bool,
    /// The adversary's choices, apart from those of everyone else.
    hostile_random: XorShift,
    visitors: Visitors,
    /// Whether visitors come.
    is_visited: bool,
    /// The visitors' choices, and the meddler's.
    visitors_random: XorShift,
    absentees: Absentees,
    /// Whether there are absentees.
    has_absentees: bool,
    /// The absentees' choices.
    absentees_random: XorShift,
    roomers: Roomers,
    /// Whether there are roomers.
    has_roomers: bool,
    /// The roomers' choices.
    roomers_random: XorShift,
    /// Whether the wall clock goes wrong.
    is_clock_wild: bool,
    /// What it does then.
    clock_random: XorShift,
    bit_rot: BitRot,
    tally: Tally,
    turn: u64,
    is_loud: bool,
}

/// Runs a seed; returns what happened.
///
/// # Panics
/// Where a guarantee does not hold; its name stands first.
pub fn run(seed: u64) -> Tally {
    let mut run = Run::new(seed);
    for _ in 0..STEPS {
        run.step();
    }
    run.calm();
    run.restart_for_good();
    let (messages, slowest) = (run.model.messages(), run.people.slowest_ping);
    run.collect();
    run.tally.add("messages", messages as u64);
    run.tally.raise("slowest ping, in turns", slowest);
    run.tally
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut random = XorShift::new(seed + 1);
        let mut options = options();
        options.rate = random.one_of(&[None, Some(10), Some(100)]);
        let daily = XorShift::new(seed + 8).one_of(&[None, None, Some(DAILY_BYTES)]);
        options.rules.bytes = ByteLimits { daily, first_day: None };
        options.rules.kdf_rounds = random.one_of(&[10, 10, 3_000]);
        options.max_connections = random.one_of(&[40, 1_000]);
        options.per_address = random.one_of(&[Some(5), Some(32)]);
        let mut clock_random = XorShift::new(seed + 4);
        let is_clock_wild = clock_random.below(3) == 0;
        let rules = Rules {
            connections_max: options.max_connections,
            per_address: options.per_address.map_or(usize::MAX, |most| most as usize),
            rate: options.rate,
            daily_bytes: daily.filter(|_| options.rate.is_some()).map(|most| most as usize),
            is_clock_wild,
        };
        let is_loud = random.below(4) == 0;
        let mut hostile_random = XorShift::new(seed + 3);
        let mut visitors_random = XorShift::new(seed + 7);
        let mut absentees_random = XorShift::new(seed + 9);
        let mut roomers_random = XorShift::new(seed + 10);
        let is_behind_proxy = XorShift::new(seed + 6).below(3) == 0;
        if is_behind_proxy {
            options.proxies = vec![PROXY.parse().expect("it is an address")];
        }
        let disk = SimDisk::default();
        disk.state().random = XorShift::new(seed + 2);
        let net = SimNet::new(disk.clone());
        net.state().habits =
            Habits { tells_all: random.below(3) > 0, reads_short: random.below(2) == 0, ..Habits::default() };
        net.state().proxy =
            is_behind_proxy.then(|| format!("{PROXY}:40000").parse().expect("it is an address"));
        let mut world = SimWorld::new();
        let server = Server::new(net.clone(), disk.clone(), options.clone(), world.now())
            .expect("an empty directory is fine");
        Run {
            random,
            options,
            server,
            net,
            world,
            model: Model::new(rules, &disk),
            disk,
            people: Workload::new(),
            adversary: Adversary::default(),
            is_besieged: hostile_random.below(3) == 0,
            hostile_random,
            visitors: Visitors::default(),
            is_visited: visitors_random.below(3) == 0,
            visitors_random,
            absentees: Absentees::default(),
            has_absentees: absentees_random.below(3) == 0,
            absentees_random,
            roomers: Roomers::default(),
            has_roomers: roomers_random.below(3) == 0,
            roomers_random,
            is_clock_wild,
            clock_random,
            bit_rot: BitRot::new(XorShift::new(seed + 5)),
            tally: Tally::default(),
            turn: 0,
            is_loud,
        }
    }

    fn stage(&mut self) -> (&mut Workload, Stage<'_>) {
        let Run { net, model, random, tally, world, people, is_loud, .. } = self;
        (people, Stage { net, model, random, tally, now_us: world.mono_us, is_loud: *is_loud })
    }

    fn hostile_stage(&mut self) -> (&mut Adversary, Stage<'_>) {
        let Run { net, model, hostile_random: random, tally, world, adversary, .. } = self;
        (adversary, Stage { net, model, random, tally, now_us: world.mono_us, is_loud: false })
    }

    fn visitors_stage(&mut self) -> (&mut Visitors, Stage<'_>) {
        let Run { net, model, visitors_random: random, tally, world, visitors, .. } = self;
        (visitors, Stage { net, model, random, tally, now_us: world.mono_us, is_loud: false })
    }

    fn absentees_stage(&mut self) -> (&mut Absentees, Stage<'_>) {
        let Run { net, model, absentees_random: random, tally, world, absentees, .. } = self;
        (absentees, Stage { net, model, random, tally, now_us: world.mono_us, is_loud: false })
    }

    fn roomers_stage(&mut self) -> (&mut Roomers, SimDisk, Stage<'_>) {
        let Run { net, model, roomers_random: random, tally, world, roomers, disk, .. } = self;
        let stage = Stage { net, model, random, tally, now_us: world.mono_us, is_loud: false };
        (roomers, disk.clone(), stage)
    }

    fn step(&mut self) {
        if self.has_roomers {
            let (roomers, _, mut stage) = self.roomers_stage();
            roomers.act(&mut stage);
        }
        if self.is_besieged {
            let (adversary, mut stage) = self.hostile_stage();
            adversary.act(&mut stage);
        }
        if self.is_visited {
            let (visitors, mut stage) = self.visitors_stage();
            visitors.act(&mut stage);
        }
        if self.has_absentees {
            let (absentees, mut stage) = self.absentees_stage();
            if absentees.act(&mut stage) {
                self.world.advance(SILENCE_US);
            }
        }
        if self.is_clock_wild && self.clock_random.below(25) == 0 {
            clock::go_wild(&mut self.world, &mut self.clock_random, &mut self.tally);
        }
        for _ in 0..1 + self.random.below(3) {
            let (people, mut stage) = self.stage();
            people.act(&mut stage);
        }
        if self.random.below(60) == 0 {
            let (people, mut stage) = self.stage();
            people.disperse(&mut stage);
        }
        if self.random.below(5) == 0 {
            let victim = self.people.victim(&mut self.random);
            let Run { net, disk, world, random, tally, .. } = self;
            match befall(net, disk, world, victim, random, tally) {
                End::No => {}
                End::Kill => {
                    self.tally.count("kill");
                    self.restart(false);
                }
                End::Shutdown => {
                    self.tally.count("shutdown");
                    self.model.shuts_down();
                    self.net.state().shutdown = true;
                }
            }
        }
        for _ in 0..self.random.below(3) {
            self.turn();
        }
        let us = self.random.one_of(&[0, 100, 10_000, 300_000]);
        self.world.advance(us);
    }

    /// One turn, and a look at all that came of it.
    fn turn(&mut self) {
        let turn = self.turn;
        let (people, mut stage) = self.stage();
        people.turn_begins(turn, &mut stage);
        self.turn += 1;
        self.tally.count("turns");
        if clock::is_at_the_end(&self.world) {
            self.model.time_is_over();
        }
        let began_us = self.world.mono_us;
        self.model.begins(began_us);
        let outcome = self.server.turn(&mut self.world);
        let (took_us, look_us) = (self.world.mono_us - began_us, self.world.look_us);
        hold(Guarantee::NeverStalls, took_us <= SLICES_US + 16 * look_us, || {
            format!("a turn took {took_us} us, with {look_us} us for a look at the clock")
        });
        let waited_us = std::mem::take(&mut self.disk.state().waited_us);
        self.world.advance(waited_us);
        let is_last = !matches!(outcome, Ok(LoopState::Running)) || self.disk.is_dead();
        let failures = self.world.random_failures;
        self.model.look(&self.net, &self.disk, self.world.mono_us, failures, is_last);
        if !is_last {
            self.model.assert_knows_the_accounts(self.server.state());
            if self.server.knows_events() {
                self.roomers.assert_known(self.server.state(), &self.disk);
            }
            assert_within_limits(&self.server.usage());
        }
        match outcome {
            _ if self.disk.is_dead() => return self.restart(true),
            Ok(LoopState::Running) => {}
            Ok(LoopState::Finished) => {
                hold(Guarantee::Refused, self.net.state().peers_left() == 0, || {
                    "someone was left open".into()
                });
                return self.restart(false);
            }
            Err(error) => {
                let is_explained = self.disk.state().may_end_a_server();
                hold(Guarantee::Progress, is_explained, || format!("the server ended: {error}"));
                return self.restart(true);
            }
        }
        let turn = self.turn;
        let (people, mut stage) = self.stage();
        people.look_at_ping(turn, look_us >= CATCH_UP_SLICE_US, &mut stage);
        people.read(&mut stage);
        let (adversary, mut stage) = self.hostile_stage();
        adversary.read(&mut stage);
        let (visitors, mut stage) = self.visitors_stage();
        visitors.read(&mut stage);
        let (absentees, mut stage) = self.absentees_stage();
        absentees.read(&mut stage);
        let (roomers, disk, mut stage) = self.roomers_stage();
        roomers.read(&disk, &mut stage);
    }

    /// Starts another server on what is left.
    fn restart(&mut self, after_failure: bool) {
        let mut is_dead = after_failure;
        self.collect();
        loop {
            if is_dead && self.disk.is_dead() && self.random.below(3) == 0 {
                self.tally.count("kill in a change of the disk");
                self.disk.state().revive();
            } else if is_dead {
                self.disk = self.disk.after_power_failure();
            }
            self.disk.state().heal();
            let mut may_fail = false;
            match self.random.below(6) {
                // Also a start can be cut short. It is almost the only time at which files are renamed.
                0 | 2 => {
                    let changes = 1 + self.random.below(6);
                    self.disk.state().power_fails_after = Some(changes);
                }
                // And the disk can be what it was: full, or broken.
                1 => {
                    befall_disk(&mut self.disk.state(), &mut self.random);
                    may_fail = true;
                }
                _ => {}
            }
            let before = std::mem::replace(&mut self.net, SimNet::new(self.disk.clone()));
            self.net.state().habits = before.state().habits;
            self.net.state().proxy = before.state().proxy;
            let us = self.random.one_of(&[0, 1_000_000, 60_000_000]);
            self.world.advance(us);
            let now = self.world.now();
            match Server::new(self.net.clone(), self.disk.clone(), self.options.clone(), now) {
                // Even if it started: the last thing that a start does is to write what may be lost.
                _ if self.disk.is_dead() => is_dead = true,
                Ok(server) => {
                    self.server = server;
                    break;
                }
                Err(_) if may_fail => {
                    self.tally.count("start that a broken disk refused");
                    self.tally.take_from(&mut self.disk.state().tally);
                    is_dead = false;
                }
                Err(error) => broken(Guarantee::Durable, format!("it does not start any more: {error}")),
            }
        }
        self.disk.state().heal();
        self.tally.count("starts");
        self.people.are_cut_off();
        self.adversary.is_cut_off();
        self.visitors.are_cut_off();
        self.absentees.are_cut_off();
        self.roomers.are_cut_off();
        self.model.restarted(&self.disk);
        self.model.assert_knows_the_accounts(self.server.state());
        if self.turn.is_multiple_of(2) {
            self.bit_rot.examine(&self.disk, &self.model, &self.world, &mut self.tally);
        } else {
            let Run { disk, model, world, visitors_random: random, tally, .. } = self;
            meddle(disk, model, world, random, tally);
        }
    }

    /// Takes over what was counted on this machine.
    fn collect(&mut self) {
        self.tally.take_from(&mut self.net.state().tally);
        self.tally.take_from(&mut self.disk.state().tally);
        self.tally.add("no randomness", std::mem::take(&mut self.world.random_failures));
    }

    /// The faults are over, and everyone takes what comes: all is to be answered and shown, and then it is quiet.
    fn calm(&mut self) {
        heal(&self.net, &self.disk, &mut self.world);
        let (adversary, mut stage) = self.hostile_stage();
        adversary.leave_all(&mut stage);
        self.is_besieged = false;
        let (visitors, mut stage) = self.visitors_stage();
        visitors.leave_all(&mut stage);
        self.is_visited = false;
        let (absentees, mut stage) = self.absentees_stage();
        absentees.leave_all(&mut stage);
        self.has_absentees = false;
        if clock::is_at_the_end(&self.world) {
            clock::set_right(&mut self.world);
        }
        let (people, mut stage) = self.stage();
        people.disperse(&mut stage);
        people.calm_down(&mut stage);
        let (roomers, _, mut stage) = self.roomers_stage();
        roomers.calm_down(&mut stage);
        self.run_seconds(400);
        self.model.assert_calm();
        let (roomers, _, mut stage) = self.roomers_stage();
        roomers.assert_calm(&mut stage);
        roomers.leave_all(&mut stage);
        self.has_roomers = false;
        let (people, mut stage) = self.stage();
        people.fidget(&mut stage);
        // The sessions of an account share its rate of lines.
        self.run_seconds(70);
        self.model.assert_calm();
        let (people, mut stage) = self.stage();
        if !people.probe(&mut stage) {
            // It was cut off. Somebody comes for it.
            people.act(&mut stage);
            people.calm_down(&mut stage);
            self.run_seconds(100);
            let (people, mut stage) = self.stage();
            hold(Guarantee::Progress, people.probe(&mut stage), || "nobody can log in".into());
        }
        self.run_seconds(2);
        self.model.assert_calm();
        hold(Guarantee::Progress, self.model.was_just_said("probe"), || "what was said is not kept".into());
        // First they leave: one account has only so many sessions.
        let (people, mut stage) = self.stage();
        people.all_leave(&mut stage);
        self.run_seconds(5);
        self.log_in_everywhere();
        self.run_seconds(700);
        let timeout = self.net.state().last_timeout;
        hold(Guarantee::Progress, timeout.is_none(), || format!("it ticks on, for {timeout:?}"));
    }

    /// Every account that was ever acknowledged can be logged in to.
    fn log_in_everywhere(&mut self) {
        for name in self.model.names() {
            let is_certain = self.model.is_settled(&name);
            let mut is_in = false;
            for password in self.model.passwords_of(&name) {
                let (people, mut stage) = self.stage();
                let (peer, id) = people.log_in(&name, &password, &mut stage);
                self.run_seconds(35);
                is_in |= self.model.account_of(id).is_some();
                self.net.peer(peer).close();
                self.model.gone(id);
            }
            hold(Guarantee::Accounts, is_in || !is_certain, || format!("{name} cannot log in"));
        }
    }

    /// After a kill all is as it was.
    fn restart_for_good(&mut self) {
        let before = self.model.messages();
        self.restart(false);
        hold(Guarantee::Durable, self.model.messages() == before, || "messages are gone, or new".into());
        self.log_in_everywhere();
        self.model.assert_calm();
    }

    /// Lets time go by, and the server wake when it asked to be woken.
    fn run_seconds(&mut self, seconds: u64) {
        let end_us = self.world.mono_us + seconds * 1_000_000;
        loop {
            self.settle();
            let timeout = self.net.state().last_timeout.map(|timeout| timeout.as_micros() as u64);
            match timeout.filter(|timeout_us| self.world.mono_us + timeout_us <= end_us) {
                Some(timeout_us) => self.world.advance(timeout_us),
                None => break,
            }
        }
        self.world.advance(end_us.saturating_sub(self.world.mono_us));
        self.settle();
    }

    fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            self.turn();
            let net = self.net.state();
            if net.last_events == 0 && net.last_timeout.is_none_or(|timeout| !timeout.is_zero()) {
                return;
            }
        }
        broken(Guarantee::Progress, "it is never done");
    }
}

/// What a server holds between two turns, each against its bound.
fn assert_within_limits(usage: &Usage) {
    let bounds = [
        ("of input of a connection", usage.input_bytes, INPUT_BYTES_MAX),
        ("for a connection", usage.outbox_bytes, OUTBOX_BYTES_MAX + DIRECT_BYTES_MAX),
        ("for a connection alone", usage.own_bytes, OUTBOX_HIGH_WATER_BYTES + DIRECT_BYTES_MAX),
        ("of a connection without a login", usage.stranger_bytes, BYTES_BEFORE_LOGIN_MAX),
        ("for all", usage.feed_bytes, 2 * OUTBOX_BYTES_MAX),
        ("for some", usage.aside_bytes, 2 * OUTBOX_BYTES_MAX),
        ("logins waiting", usage.logins_waiting, HASHING_QUEUE_MAX),
    ];
    for (what, held, most) in bounds {
        hold(Guarantee::Bounded, held <= most, || format!("{held} {what}, and {most} at most"));
    }
}
