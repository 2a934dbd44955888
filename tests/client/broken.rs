//! Clients of a whole server whose connections break at any moment, with what was on its way in both directions.
//! Each is told of every message once and in order, and learns of each of its own whether it was taken.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use chinwag::client::{Client, Credentials, Event, LineId, Message, Origin};
use chinwag::record::Timestamp;
use chinwag::server::Options;

use crate::sim::harness::{Sim, options};
use crate::sim::net::Peer;
use crate::sim::world::XorShift;

const SEEDS: u64 = 300;
const STEPS: usize = 250;
const NAMES: [&str; 3] = ["alice", "bob", "carol"];

/// What became of a submitted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Kept,
    NotSent,
}

struct Person {
    name: &'static str,
    client: Client,
    /// `None` while there is no connection.
    peer: Option<usize>,
    told: Vec<Message>,
    submitted: BTreeMap<LineId, String>,
    outcomes: BTreeMap<LineId, Outcome>,
    /// How long the log was when the first welcome came.
    welcomed_at: Option<usize>,
}

struct Party {
    sim: Sim,
    random: XorShift,
    people: Vec<Person>,
    texts: u32,
}

#[test]
fn whenever_connections_break_everything_is_told_once_and_in_order() {
    for seed in 0..SEEDS {
        let mut party = Party::new(seed);
        for _ in 0..STEPS {
            party.step();
        }
        party.calm_down();
        party.people.iter().for_each(|person| party.check(person, seed));
    }
}

impl Party {
    fn new(seed: u64) -> Party {
        let options = Options { rate: None, per_address: None, ..options() };
        let people = NAMES.map(|name| {
            let mut client = Client::new([]);
            client.log_in(Credentials { name: name.into(), password: "correct-horse".into(), is_new: true });
            Person {
                name,
                client,
                peer: None,
                told: Vec::new(),
                submitted: BTreeMap::new(),
                outcomes: BTreeMap::new(),
                welcomed_at: None,
            }
        });
        Party { sim: Sim::with(options), random: XorShift::new(seed), people: people.into(), texts: 0 }
    }

    fn step(&mut self) {
        let who = self.random.below(NAMES.len() as u64) as usize;
        match self.random.below(16) {
            0..5 => self.speak(who),
            5..8 => self.send(who, 40),
            8..12 => self.take(who, 300),
            12 => self.break_off(who),
            13 => self.come_back(who),
            _ => self.sim.turns(1),
        }
    }

    fn speak(&mut self, who: usize) {
        let to = NAMES[self.random.below(NAMES.len() as u64) as usize];
        // Some say the same again and again: one copy must not count for two.
        self.texts += 1;
        let text = if self.random.below(4) == 0 { "again".into() } else { format!("text {}", self.texts) };
        let line = match self.random.below(8) {
            0..5 => text,
            5 => format!("/msg {to} {text}"),
            6 => "/users".into(),
            _ => format!("/history {}", 1 + self.random.below(5)),
        };
        let is_message = !line.starts_with('/') || line.starts_with("/msg");
        let person = &mut self.people[who];
        let id = person.client.submit(&line).expect("no line here is empty");
        if is_message {
            person.submitted.insert(id, line);
        }
        self.listen(who);
    }

    /// Some of what the client has to send arrives.
    fn send(&mut self, who: usize, bytes_max: u64) {
        let count = self.random.below(bytes_max) as usize + 1;
        let person = &mut self.people[who];
        let Some(peer) = person.peer else { return };
        let mut peer = self.sim.net.peer(peer);
        if peer.is_open() {
            let count = count.min(person.client.output().len());
            peer.send(&person.client.output()[..count]);
            person.client.sent(count);
        }
    }

    /// Some of what the server wrote arrives.
    fn take(&mut self, who: usize, bytes_max: u64) {
        let count = self.random.below(bytes_max) as usize + 1;
        let Some(peer) = self.people[who].peer else { return };
        let bytes = self.sim.net.peer(peer).take(count);
        self.people[who].client.receive(&bytes);
        self.listen(who);
    }

    /// The connection breaks, with all that is on its way to the client, and perhaps to the server too.
    fn break_off(&mut self, who: usize) {
        let Some(peer) = self.people[who].peer.take() else { return };
        let how: fn(&mut Peer) = if self.random.below(2) == 0 { Peer::reset } else { Peer::close };
        how(&mut self.sim.net.peer(peer));
        self.people[who].client.disconnected();
        self.listen(who);
    }

    /// A new connection. What the server's kernel still holds of the old one is read before that: a line that is said
    /// only after the client has looked for it in the history could not be known of.
    fn come_back(&mut self, who: usize) {
        if self.people[who].peer.is_some() {
            return;
        }
        self.sim.settle();
        let address = SocketAddr::from(([10, 0, 0, who as u8 + 1], 40_000));
        self.people[who].peer = Some(self.sim.net.connect(address));
        self.people[who].client.connected();
    }

    fn listen(&mut self, who: usize) {
        let person = &mut self.people[who];
        while let Some(event) = person.client.next_event() {
            match event {
                Event::Welcome(_) => {
                    let length = self.sim.visible_to(person.name).len();
                    person.welcomed_at.get_or_insert(length);
                }
                // Where the welcome was lost, the account is there all the same.
                Event::LoginFailed(refusal) if refusal.code == "name-taken" => {
                    let (name, password) = (person.name.into(), "correct-horse".into());
                    person.client.log_in(Credentials { name, password, is_new: false });
                }
                Event::Message(message) => {
                    if let Some(id) = message.receipt {
                        assert_eq!(person.outcomes.insert(id, Outcome::Kept), None, "{id} has two outcomes");
                    }
                    if message.origin != Origin::Asked {
                        person.told.push(message);
                    }
                }
                Event::NotSent { id, .. } if person.submitted.contains_key(&id) => {
                    assert_eq!(person.outcomes.insert(id, Outcome::NotSent), None, "{id} has two outcomes");
                }
                Event::Refused { line, refusal, .. } => {
                    assert_eq!(refusal.code, "no-such-user", "{line}");
                    person.submitted.retain(|_, submitted| *submitted != line);
                }
                Event::Error(refusal) => panic!("{refusal}"),
                _ => {}
            }
        }
    }

    /// All come back, and everything arrives.
    fn calm_down(&mut self) {
        for _ in 0..50 {
            for who in 0..NAMES.len() {
                self.come_back(who);
                self.send(who, u64::MAX / 2);
                self.sim.settle();
                self.take(who, u64::MAX / 2);
            }
        }
        for person in &self.people {
            assert!(person.client.is_in() && person.client.is_settled(), "{} is not done", person.name);
        }
    }

    fn check(&self, person: &Person, seed: u64) {
        let what = || format!("{}, seed {seed}", person.name);
        let visible = self.sim.visible_to(person.name);
        let times: Vec<Timestamp> = person.told.iter().map(|message| message.at).collect();
        assert!(times.is_sorted_by(|a, b| a < b), "{}: {times:?}", what());
        let told: Vec<String> = person.told.iter().map(Message::to_string).collect();
        let due = &visible[person.welcomed_at.expect("all came in")..];
        assert!(told.ends_with(due), "{}: a gap: {told:#?} of {due:#?}", what());
        assert!(told.iter().all(|line| visible.contains(line)), "{}: not for them: {told:#?}", what());
        for (id, line) in &person.submitted {
            let outcome = person.outcomes.get(id).unwrap_or_else(|| panic!("{}: {line}: no outcome", what()));
            let text =
                line.strip_prefix("/msg ").map_or(&**line, |it| it.split_once(' ').expect("has a text").1);
            let is_mine = |kept: &&String| {
                let (ends, kept) = kept[28..].split_once(": ").expect("every line is a message");
                kept == text && ends.split(' ').next() == Some(person.name)
            };
            let kept = visible.iter().filter(is_mine).count();
            let same: Vec<LineId> =
                person.submitted.iter().filter(|it| it.1 == line).map(|it| *it.0).collect();
            if same.len() == 1 && text != "again" {
                assert_eq!(kept, usize::from(*outcome == Outcome::Kept), "{}: {line}: {outcome:?}", what());
            }
        }
        let again = |outcome| {
            let is_it = |it: &(&LineId, &String)| it.1.ends_with("again") && person.outcomes[it.0] == outcome;
            person.submitted.iter().filter(is_it).count()
        };
        let kept = visible.iter().filter(|line| {
            line.ends_with(": again") && line[28..].split([' ', ':']).next() == Some(person.name)
        });
        assert_eq!(again(Outcome::Kept), kept.count(), "{}: as many receipts as were kept", what());
    }
}
