//! What people and bots do, and what they mean by it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::model::asked::{Asked, clean, twin_of};
use super::model::stream::Range;
use super::model::{Guarantee, Model, hold};
use super::net::SimNet;
use super::tally::Tally;
use super::world::XorShift;

/// The names that people log in by.
const NAMES: [&str; 6] = ["ann", "Ben", "cat-9", "dan", "eve_", "Fay"];
/// Whoever is asked by these numbers is left in peace: nothing happens to their sockets.
const PINGER: usize = 0;
const WATCHER: usize = 1;
const PEOPLE: usize = 14;
/// Of a crowd, those who read the history: more than may in one turn, and not so many that a ping has to wait for long.
const READERS: usize = 20;
/// Turns within which whoever behaves is answered, whatever others do.
pub const PING_TURNS_MAX: u64 = 16;
/// Between two pings, so that no limit on lines delays them.
const PING_PAUSE_US: u64 = 150_000;

/// What others need who do something.
pub struct Stage<'a> {
    pub net: &'a SimNet,
    pub model: &'a mut Model,
    pub random: &'a mut XorShift,
    pub tally: &'a mut Tally,
    pub now_us: u64,
    /// Whether people have much to say, so that who does not listen falls far behind.
    pub is_loud: bool,
}

/// A connection as its client holds it, and what is typed and not sent.
struct Person {
    connection: Option<(usize, usize)>,
    typed: VecDeque<(Vec<u8>, Asked)>,
    /// How many of the bytes of the first one are sent.
    sent: usize,
    /// The number of the next line.
    number: u64,
    /// Takes what comes as it comes.
    reads: bool,
    address: u32,
}

pub struct Workload {
    people: Vec<Person>,
    /// So that no two passwords and no two new names are the same.
    fresh: u64,
    /// The turn in which a ping was sent that is not answered.
    ping: Option<u64>,
    /// Short turns since then.
    short_turns: u64,
    /// When the last one was.
    pinged_us: u64,
    /// None are sent.
    is_quiet: bool,
    /// The connection of which one was answered: it has read what it missed.
    pinged: Option<usize>,
    /// The most turns that one took.
    pub slowest_ping: u64,
}

impl Person {
    /// Closes, in the midst of a line perhaps.
    fn hang_up(&mut self, stage: &mut Stage<'_>) {
        if let Some((peer, id)) = self.connection.take() {
            self.break_off(id, stage);
            stage.net.peer(peer).close();
            stage.model.gone(id);
        }
        self.reads = true;
    }

    fn break_off(&mut self, id: usize, stage: &mut Stage<'_>) {
        if self.sent > 0 {
            stage.model.sent(id, Asked::Misuse("unfinished-line"));
        }
        self.typed.clear();
        self.sent = 0;
    }
}

impl Workload {
    pub fn new() -> Workload {
        let person = |address| Person {
            connection: None,
            typed: VecDeque::new(),
            sent: 0,
            number: 0,
            reads: true,
            address,
        };
        let people = (0..PEOPLE as u32).map(|number| person(number + 1)).collect();
        Workload {
            people,
            fresh: 0,
            ping: None,
            short_turns: 0,
            pinged_us: 0,
            is_quiet: false,
            pinged: None,
            slowest_ping: 0,
        }
    }

    /// The server is gone.
    pub fn are_cut_off(&mut self) {
        self.people.truncate(PEOPLE);
        for person in &mut self.people {
            person.connection = None;
            person.typed.clear();
            person.sent = 0;
        }
        self.ping = None;
    }

    /// Someone to whose socket something may happen.
    pub fn victim(&self, random: &mut XorShift) -> Option<usize> {
        let number = 2 + random.below(self.people.len() as u64 - 2) as usize;
        self.people[number].connection.map(|(peer, _)| peer)
    }

    pub fn act(&mut self, stage: &mut Stage<'_>) {
        self.tend(PINGER, "pinger", stage);
        self.tend(WATCHER, "watcher", stage);
        let number = 2 + stage.random.below(self.people.len() as u64 - 2) as usize;
        self.look(number, stage);
        match (self.people[number].connection, stage.random.below(100)) {
            (None, 0) => self.crowd(stage),
            (None, _) => self.come(number, stage),
            (Some((peer, id)), 0..4) => self.leave(number, peer, id, stage),
            (Some((peer, _)), 4..7) => self.change_reading(number, peer, stage),
            (Some((peer, id)), 7..25) => {
                let count = stage.random.one_of(&[1, 30, 700, 3_000, 100_000]);
                take(stage, peer, id, count);
            }
            (Some(_), 25..27) => self.flood(number, stage),
            (Some(_), 27..30) => self.script(number, stage),
            _ => self.write_something(number, stage),
        }
        let at_once = stage.random.one_of(&[1, 5, 60, usize::MAX, usize::MAX, usize::MAX]);
        self.send(number, at_once, stage);
    }

    /// Takes what came, where one does, and lets go of what the server has closed.
    pub fn read(&mut self, stage: &mut Stage<'_>) {
        for number in 0..self.people.len() {
            self.look(number, stage);
            if let Some((peer, id)) = self.people[number].connection.filter(|_| self.people[number].reads) {
                take(stage, peer, id, usize::MAX);
            }
        }
    }

    /// Everyone takes all that comes from now on, finishes what was begun and begins nothing new.
    pub fn calm_down(&mut self, stage: &mut Stage<'_>) {
        for number in 0..self.people.len() {
            self.look(number, stage);
            self.send(number, usize::MAX, stage);
            self.people[number].reads = true;
            if let Some((peer, _)) = self.people[number].connection {
                let mut peer = stage.net.peer(peer);
                (peer.capacity, peer.read_max, peer.write_max) = (usize::MAX, usize::MAX, usize::MAX);
            }
        }
    }

    /// Everyone sends more lines at once than are handled in a turn, of which only the last has an answer. Where
    /// nothing else happens, nothing but what is carried over leads to it.
    pub fn fidget(&mut self, stage: &mut Stage<'_>) {
        for number in 0..self.people.len() {
            (0..40).for_each(|_| self.write(number, "", Asked::Nothing));
            self.write(number, "/help", Asked::Help);
            self.send(number, usize::MAX, stage);
            self.people[number].typed.clear();
        }
        self.is_quiet = true;
    }

    pub fn all_leave(&mut self, stage: &mut Stage<'_>) {
        self.people.iter_mut().for_each(|person| person.hang_up(stage));
        self.ping = None;
    }

    /// The pinger says something that everyone is to see. Whether it can.
    pub fn probe(&mut self, stage: &mut Stage<'_>) -> bool {
        let Some((_, id)) = self.people[PINGER].connection.filter(|&(_, id)| !stage.model.is_over(id)) else {
            return false;
        };
        self.is_quiet = false;
        self.say(PINGER, id, None, b"probe", stage);
        self.send(PINGER, usize::MAX, stage);
        true
    }

    /// Logs in to an account on a new connection that nothing happens to; returns it, and what the model calls it.
    pub fn log_in(&mut self, name: &str, password: &str, stage: &mut Stage<'_>) -> (usize, usize) {
        let (peer, id) = connect(stage, 5_000 + self.fresh as u32);
        self.fresh += 1;
        let line = format!("/login {name} {password}\n");
        stage.net.peer(peer).send(line.as_bytes());
        stage.model.sent(id, Asked::Login { name: name.into(), password: password.into() });
        (peer, id)
    }

    /// Whether the ping was answered in time; looked at after each turn. `is_short` is whether the clock left room in
    /// it for a single step of each kind of work.
    pub fn look_at_ping(&mut self, turn: u64, is_short: bool, stage: &mut Stage<'_>) {
        self.short_turns += u64::from(is_short);
        let (Some((_, id)), Some(sent)) = (self.people[PINGER].connection, self.ping) else { return };
        if stage.model.is_over(id) {
            self.ping = None;
            return;
        }
        // In a short turn one reader is served, and not sixteen.
        let turns = turn - sent - self.short_turns.min(2 * READERS as u64);
        let is_live = self.pinged == Some(id);
        hold(Guarantee::NeverStalls, !is_live || turns <= PING_TURNS_MAX, || {
            format!("{turns} turns are over, and there is no answer to {}", stage.model.first_waiting(id))
        });
        if !stage.model.is_waiting(id) {
            (self.ping, self.pinged) = (None, Some(id));
            self.slowest_ping = self.slowest_ping.max(if is_live { turns } else { 0 });
        }
    }

    pub fn turn_begins(&mut self, turn: u64, stage: &mut Stage<'_>) {
        let Some((_, id)) = self.people[PINGER].connection else { return };
        let may = stage.model.account_of(id).is_some() && !stage.model.is_waiting(id) && self.ping.is_none();
        if may && !self.is_quiet && stage.now_us >= self.pinged_us + PING_PAUSE_US {
            match stage.random.below(4) {
                0 => self.write(PINGER, "/users", Asked::Users),
                1 => self.write(PINGER, "/history 1", Asked::History(Range::Last(1))),
                _ => self.say(PINGER, id, None, b"ping", stage),
            }
            self.send(PINGER, usize::MAX, stage);
            self.ping = Some(turn);
            self.short_turns = 0;
            self.pinged_us = stage.now_us;
        }
    }

    /// Keeps one who behaves logged in.
    fn tend(&mut self, number: usize, name: &str, stage: &mut Stage<'_>) {
        self.look(number, stage);
        match self.people[number].connection {
            None => {
                let address = self.people[number].address;
                self.people[number].connection = Some(connect(stage, address));
                self.enter(number, name, stage);
            }
            Some((_, id)) if stage.model.account_of(id).is_none() && !stage.model.is_waiting(id) => {
                self.enter(number, name, stage);
            }
            Some(_) => {}
        }
        self.send(number, usize::MAX, stage);
    }

    fn look(&mut self, number: usize, stage: &mut Stage<'_>) {
        let person = &mut self.people[number];
        if let Some((peer, id)) = person.connection
            && (stage.model.is_over(id) || !stage.net.peer(peer).is_open())
        {
            // What comes of it still is taken, or it is closed.
            let mut peer = stage.net.peer(peer);
            if stage.random.below(2) == 0 || !peer.is_open() {
                peer.capacity = usize::MAX;
                peer.take(usize::MAX);
            }
            let is_over = peer.is_at_end() || peer.is_gone() || stage.random.below(200) == 0;
            drop(peer);
            if is_over {
                person.hang_up(stage);
            }
        }
    }

    fn come(&mut self, number: usize, stage: &mut Stage<'_>) {
        let address = self.people[number].address;
        self.people[number].connection = Some(connect(stage, address));
        let name = self.some_name(number, stage);
        if stage.random.below(8) == 0 {
            let count = stage.random.one_of(&[0, 0, 1, 3, 500]);
            self.write(number, &format!("/replay {count}"), Asked::Replay(count));
        }
        self.enter(number, &name, stage);
        if stage.random.below(3) == 0 {
            self.write_something(number, stage);
        }
    }

    fn some_name(&mut self, number: usize, stage: &mut Stage<'_>) -> String {
        match stage.random.below(20) {
            0 => {
                self.fresh += 1;
                format!("new{}", self.fresh)
            }
            1..4 => stage.random.one_of(&NAMES).to_ascii_uppercase(),
            _ => NAMES[number % NAMES.len()].into(),
        }
    }

    /// Registers, or logs in with what may be the right password.
    fn enter(&mut self, number: usize, name: &str, stage: &mut Stage<'_>) {
        let passwords = stage.model.passwords_of(name);
        let may_err = number > WATCHER;
        if passwords.is_empty() || may_err && stage.random.below(40) == 0 {
            let password = self.fresh_password(stage);
            let asked = Asked::Register { name: name.into(), password: password.clone() };
            return self.write(number, &format!("/register {name} {password}"), asked);
        }
        let mut password = passwords[stage.random.below(passwords.len() as u64) as usize].clone();
        if may_err && stage.random.below(15) == 0 {
            password = "wrong-horse".into();
        }
        let asked = Asked::Login { name: name.into(), password: password.clone() };
        self.write(number, &format!("/login {name} {password}"), asked);
    }

    fn fresh_password(&mut self, stage: &mut Stage<'_>) -> String {
        self.fresh += 1;
        match stage.random.below(30) {
            0 => "short".into(),
            1 => format!("pass{}{}", self.fresh, "w".repeat(128)),
            2 => format!("with spaces {}", self.fresh),
            _ => format!("password-{}", self.fresh),
        }
    }

    fn write(&mut self, number: usize, line: &str, asked: Asked) {
        self.write_bytes(number, line.as_bytes().to_vec(), asked);
    }

    fn write_bytes(&mut self, number: usize, mut line: Vec<u8>, asked: Asked) {
        line.push(b'\n');
        self.people[number].typed.push_back((line, asked));
    }

    fn write_something(&mut self, number: usize, stage: &mut Stage<'_>) {
        let Some((_, id)) = self.people[number].connection else { return };
        let who = stage.model.account_of(id).map(str::to_owned);
        match stage.random.below(100) {
            _ if who.is_none() && stage.random.below(3) > 0 && self.people[number].typed.is_empty() => {
                let name = self.some_name(number, stage);
                self.enter(number, &name, stage);
            }
            0..40 => {
                let text = some_text(stage);
                self.say(number, id, None, &text, stage);
            }
            40..60 => {
                let to = stage
                    .random
                    .one_of(&["ann", "ben", "CAT-9", "dan", "eve_", "fay", "watcher", "nobody", "1x"]);
                let text = some_text(stage);
                self.say(number, id, Some(to), &text, stage);
            }
            60..72 => self.ask_for_history(number, stage),
            72..75 => self.write(number, "/users", Asked::Users),
            75 | 76 => self.write(number, "/help", Asked::Help),
            77 => {
                let count = stage.random.one_of(&[0, 2, 50]);
                self.write(number, &format!("/replay {count}"), Asked::Replay(count));
            }
            78..81 => self.change_password(number, id, stage),
            81..83 => self.write(number, "", Asked::Nothing),
            83 => self.write(number, "  \t", Asked::Nothing),
            84 => self.write(number, "/frobnicate 7", Asked::Misuse("unknown-command")),
            85 => self.write(number, "/history 3 after noon", Asked::Misuse("bad-usage")),
            86 => self.write(number, " /msg ann psst", Asked::Misuse("bad-usage")),
            87 => self.write(number, "/msg ann", Asked::Misuse("bad-usage")),
            88 => self.write(number, &"x".repeat(4096), Asked::Misuse("line-too-long")),
            89 => self.write(number, &"y".repeat(9_000), Asked::Misuse("line-too-long")),
            90 => {
                let asked = Asked::Register { name: "1bad".into(), password: "password-x".into() };
                self.write(number, "/register 1bad password-x", asked);
            }
            91 if stage.random.below(10) == 0 => {
                stage.tally.count("line without an end");
                self.write(number, &"z".repeat((1 << 20) + 20_000), Asked::Endless);
            }
            92 => self.write(number, "/quit", Asked::Quit),
            93 => {
                // A Ctrl-C within telnet.
                stage.model.asked_for_mark(id);
                self.people[number].typed.push_back((vec![255, 244, 255, 253, 6, b'\n'], Asked::Nothing));
            }
            94 => self.register_a_look_alike(number, stage),
            _ => {
                if let Some(name) = who {
                    self.enter(number, &name, stage);
                }
            }
        }
    }

    /// A name that looks like the server's, or like one that is surely taken.
    fn register_a_look_alike(&mut self, number: usize, stage: &mut Stage<'_>) {
        let name = stage.random.one_of(&["Server", "y0u", "CAT_9", "eve-"]);
        if twin_of(name).is_none_or(|twin| stage.model.is_settled(twin)) {
            let password = self.fresh_password(stage);
            let asked = Asked::Register { name: name.into(), password: password.clone() };
            self.write(number, &format!("/register {name} {password}"), asked);
        }
    }

    /// A message, with what tells it from all others.
    fn say(&mut self, number: usize, id: usize, to: Option<&str>, text: &[u8], stage: &mut Stage<'_>) {
        let person = &mut self.people[number];
        let tag = (id, person.number);
        person.number += 1;
        let mut text = [format!("c{}.{} ", tag.0, tag.1).as_bytes(), text].concat();
        let is_slashed = to.is_none() && stage.random.below(30) == 0;
        if is_slashed {
            text.insert(0, b'/');
        }
        let command = to.map_or(String::new(), |to| format!("/msg {to} "));
        let slash: &[u8] = if is_slashed { b"/" } else { b"" };
        let line = [command.as_bytes(), slash, &text].concat();
        // Of telnet's, only the doubled byte is in the texts here.
        let is_long = line.len() + 1 > 4096;
        let line = line.iter().flat_map(|&byte| vec![byte; if byte == 255 { 2 } else { 1 }]).collect();
        let asked = Asked::Say { to: to.map(str::to_owned), text: clean(&text), tag };
        self.write_bytes(number, line, if is_long { Asked::Misuse("line-too-long") } else { asked });
    }

    fn ask_for_history(&mut self, number: usize, stage: &mut Stage<'_>) {
        let count = stage.random.one_of(&[0, 1, 5, 60, 3_000]);
        let which = stage.random.below(1 << 20);
        let stamp = stage.model.stamp(which).unwrap_or("2026-11-22T12:00:00.000000Z");
        let time = &stamp[..stage.random.one_of(&[10, 16, 19, 22, 27, 27])];
        let (line, range) = match stage.random.below(6) {
            0 => ("/history".into(), Range::All),
            1 | 2 => (format!("/history {count}"), Range::Last(count)),
            3 => (format!("/HISTORY {time}"), Range::Since(time.into())),
            _ => (format!("/history {count} before {time}"), Range::Before(count, time.into())),
        };
        self.write(number, &line, Asked::History(range));
    }

    fn change_password(&mut self, number: usize, id: usize, stage: &mut Stage<'_>) {
        // One at a time of an account: two at once would leave it open which of them stands.
        let Some(name) = stage.model.account_of(id).filter(|name| stage.model.is_settled(name)) else {
            return;
        };
        if number <= WATCHER || !self.people[number].typed.is_empty() {
            return;
        }
        let old = stage.model.passwords_of(name).remove(0);
        let is_right = stage.random.below(4) > 0;
        self.fresh += 1;
        let new = format!("password-{}", self.fresh);
        let old = if is_right { old } else { "wrong-horse".into() };
        self.write(number, &format!("/passwd {old} {new}"), Asked::Passwd { new, is_right });
        self.send(number, usize::MAX, stage);
    }

    fn flood(&mut self, number: usize, stage: &mut Stage<'_>) {
        stage.tally.count("flood");
        let count = 20 + stage.random.below(60);
        if stage.random.below(3) == 0 {
            // More lines than are handled in a turn, and nothing to answer but the last of them.
            (0..count).for_each(|_| self.write(number, "", Asked::Nothing));
            return self.write(number, "/help", Asked::Help);
        }
        (0..count).for_each(|_| self.write_something(number, stage));
    }

    /// All at once, and then no more.
    fn script(&mut self, number: usize, stage: &mut Stage<'_>) {
        let Some((peer, id)) = self.people[number].connection else { return };
        for _ in 0..stage.random.below(6) {
            self.write_something(number, stage);
        }
        if stage.random.below(2) == 0 {
            self.write(number, "/quit", Asked::Quit);
        }
        self.send(number, usize::MAX, stage);
        if !stage.net.peer(peer).is_open() {
            return;
        }
        if stage.random.below(3) == 0 {
            stage.net.peer(peer).send(b"no ending");
            stage.model.sent(id, Asked::Misuse("unfinished-line"));
        }
        self.finish(number, peer, id, stage);
    }

    fn finish(&mut self, number: usize, peer: usize, id: usize, stage: &mut Stage<'_>) {
        self.people[number].break_off(id, stage);
        stage.net.peer(peer).finish();
        stage.model.finished(id);
        stage.tally.count("half-close");
    }

    fn leave(&mut self, number: usize, peer: usize, id: usize, stage: &mut Stage<'_>) {
        if !stage.net.peer(peer).is_open() {
            return;
        }
        match stage.random.below(5) {
            0 => self.finish(number, peer, id, stage),
            1 | 2 => {
                self.people[number].hang_up(stage);
                stage.tally.count("close");
            }
            3 => {
                stage.net.peer(peer).reset();
                stage.model.gone(id);
                stage.tally.count("reset");
            }
            _ => self.write(number, "/quit", Asked::Quit),
        }
    }

    fn change_reading(&mut self, number: usize, peer: usize, stage: &mut Stage<'_>) {
        if !stage.net.peer(peer).is_accepted() {
            return;
        }
        let reads = stage.random.below(3) > 0;
        self.people[number].reads = reads;
        let mut peer = stage.net.peer(peer);
        peer.capacity = if reads { 1 << 20 } else { stage.random.one_of(&[1, 28, 900, 5_000, 100_000]) };
        if !reads {
            stage.tally.count("stalled reader");
        }
    }

    /// Many at once, of one address or not, and of one account or two, who soon leave again.
    fn crowd(&mut self, stage: &mut Stage<'_>) {
        if self.people.len() > PEOPLE {
            return;
        }
        stage.tally.count("burst of connections");
        let count = stage.random.one_of(&[10, 25, 80]);
        let address = 2_000 + stage.random.below(1_000) as u32;
        let is_one_address = stage.random.below(2) == 0;
        let names = [stage.random.one_of(&NAMES), stage.random.one_of(&NAMES)];
        for number in 0..count {
            let address = if is_one_address { address } else { address + number };
            let name = names[number as usize % 2];
            let connection = Some(connect(stage, address));
            let person =
                Person { connection, typed: VecDeque::new(), sent: 0, number: 0, reads: true, address };
            self.people.push(person);
            let number = self.people.len() - 1;
            if stage.random.below(5) > 0 {
                self.enter(number, name, stage);
                if number < PEOPLE + READERS {
                    self.write(number, "/history 60", Asked::History(Range::Last(60)));
                }
                self.send(number, usize::MAX, stage);
            }
        }
    }

    /// The crowd goes, with last words that come to more than a turn takes.
    pub fn disperse(&mut self, stage: &mut Stage<'_>) {
        for number in PEOPLE..self.people.len() {
            if let Some((_, id)) = self.people[number].connection
                && stage.model.account_of(id).is_some()
                && self.people[number].typed.is_empty()
            {
                for _ in 0..3 {
                    let text = some_text(stage);
                    self.say(number, id, None, &text, stage);
                }
                self.send(number, usize::MAX, stage);
            }
        }
        self.people.drain(PEOPLE..).for_each(|mut person| person.hang_up(stage));
    }

    /// Sends up to `count` bytes of what is typed.
    fn send(&mut self, number: usize, mut count: usize, stage: &mut Stage<'_>) {
        let person = &mut self.people[number];
        let Some((peer, id)) = person.connection.filter(|&(peer, _)| stage.net.peer(peer).is_open()) else {
            return;
        };
        while count > 0
            && let Some((line, asked)) = person.typed.front()
        {
            // What is too long is refused before its end has come, so it is sent as a whole.
            // Of telnet's nothing is left that would be unfinished.
            let is_whole = matches!(asked, Asked::Misuse("line-too-long") | Asked::Endless) || line[0] == 255;
            let now = if is_whole { line.len() } else { (line.len() - person.sent).min(count) };
            stage.net.peer(peer).send(&line[person.sent..person.sent + now]);
            count = count.saturating_sub(now);
            person.sent += now;
            if person.sent == line.len() {
                stage.model.sent(id, asked.clone());
                person.typed.pop_front();
                person.sent = 0;
            }
        }
    }
}

fn connect(stage: &mut Stage<'_>, address: u32) -> (usize, usize) {
    let ip = IpAddr::from((0x0a00_0000 + address).to_be_bytes());
    let peer = stage.net.connect(SocketAddr::new(ip, 40_000));
    stage.tally.count("connections");
    (peer, stage.model.connected(peer, address))
}

fn take(stage: &mut Stage<'_>, peer: usize, id: usize, count: usize) {
    if !stage.net.peer(peer).take(count).is_empty() {
        stage.model.took(id);
    }
}

/// Of any length that a line may have, and a bit more; with all that is hard to read in it.
fn some_text(stage: &mut Stage<'_>) -> Vec<u8> {
    const ODD: [&[u8]; 18] = [
        b"\x80",
        b"\xff",
        b"\x07",
        b"\x1b[2J",
        b"\0",
        // A NUL behind it would end the line.
        b"\r-",
        b"\t",
        b"\xc3\xa9",
        b"\xe2\x80\xae",
        b"\xe2\x80\x8b",
        b"\xef\xbb\xbf",
        b"\xe3\x85\xa4",
        b"\xef\xbf\xbe",
        b" \t \t \t \t \t \t \t \t \t \t",
        b"                                        ",
        "a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}".as_bytes(),
        b"\xed\xa0\x80",
        b" -> ben: ",
    ];
    let length = match stage.random.below(20) {
        _ if stage.is_loud => 1_000 + stage.random.below(3_000) as usize,
        0 => 4_000 + stage.random.below(100) as usize,
        1..5 => stage.random.below(3_000) as usize,
        _ => stage.random.below(60) as usize,
    };
    let mut text = b"x".repeat(length);
    for _ in 0..stage.random.below(12).saturating_sub(8) {
        text.extend_from_slice(stage.random.one_of(&ODD));
    }
    // An ending is what it looks like.
    text.push(b'.');
    text
}
