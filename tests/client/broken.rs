//! Clients of a whole server whose connections break at any moment, with what was on its way in both directions.
//! Each is told of every message once and in order, and learns of each of its own whether it was taken.
//!
//! Bytes go from the client's output over a wire, where they are lost with the connection, to the server; what the
//! server wrote and the client has not taken is lost as well. Now and then the whole server is killed.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use chinwag::client::{Client, Credentials, Event, LineId, Message, Origin};
use chinwag::protocol::name::Name;
use chinwag::protocol::record::Timestamp;
use chinwag::server::Options;

use crate::sim::harness::{Sim, options};
use crate::sim::world::XorShift;

const SEEDS: u64 = 300;
const STEPS: usize = 1_500;
/// Who there is, as which account, and who is ignored. Two are sessions of one account.
const PEOPLE: [(&str, &str, &[&str]); 4] = [
    ("alice", "alice", &[]),
    ("alice elsewhere", "alice", &[]),
    ("bob", "bob", &[]),
    ("carol", "carol", &["bob"]),
];
const ACCOUNTS: [&str; 3] = ["alice", "bob", "carol"];
/// How a text goes on behind its number: nothing of it may keep a receipt from being known.
const ENDINGS: [&str; 8] =
    ["", " ", ": x", " -> bob: x", "\ttab", " caf\u{e9} \u{1f468}\u{200d}\u{1f469}", "\u{202e}", "\r\u{7f}x"];
/// As many messages as a login and a client without a time to go on from show: up to there nobody misses any.
const SHOWN_AT_LOGIN: usize = 50;

/// What became of a submitted line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Kept,
    NotSent,
    Refused,
}

/// A message as it was submitted, and as it is to come back.
struct Submitted {
    line: String,
    to: Option<&'static str>,
    text: String,
}

struct Person {
    name: &'static str,
    account: &'static str,
    ignored: &'static [&'static str],
    client: Client,
    password: String,
    /// A change of the password whose outcome is not known yet.
    new_password: Option<(LineId, String)>,
    /// The old password was tried as well.
    tried_both: bool,
    /// `None` while there is no connection.
    peer: Option<usize>,
    /// One that the client has given up and the server knows nothing of.
    abandoned: Option<usize>,
    /// On the way to the server.
    wire: Vec<u8>,
    told: Vec<Message>,
    /// What was looked up.
    asked: Vec<Message>,
    submitted: BTreeMap<LineId, Submitted>,
    outcomes: BTreeMap<LineId, Outcome>,
    /// `/users` and `/history` that were submitted and neither answered nor not sent.
    questions: [i32; 2],
    /// How long the log was when the first welcome came: of all from there on nothing may be missing. Where one
    /// connection after another went before anything was told of, the client asks for the last fifty, and no more
    /// is due.
    due_from: Option<usize>,
    /// The client has a time to go on from.
    has_begun: bool,
}

struct Party {
    seed: u64,
    sim: Sim,
    random: XorShift,
    people: Vec<Person>,
    texts: u32,
}

#[test]
fn whenever_connections_break_everything_is_told_once_and_in_order() {
    // Receipts that came as they should, and those that were found in what was missed.
    let (mut live, mut found) = (0, 0);
    for seed in 0..SEEDS {
        let mut party = Party::new(seed);
        for _ in 0..STEPS {
            party.step();
        }
        party.calm_down();
        for person in &party.people {
            party.check(person);
            let receipts = person.told.iter().filter(|message| message.receipt.is_some());
            let (missed, said): (Vec<_>, Vec<_>) =
                receipts.partition(|message| message.origin == Origin::Missed);
            (live, found) = (live + said.len() as u64, found + missed.len() as u64);
        }
    }
    // Where nobody gets a word in edgeways, nothing of this says much.
    assert!(live > 40 * SEEDS && found > 4 * SEEDS, "{live} receipts, and {found} after a lost connection");
}

impl Person {
    fn new(name: &'static str, account: &'static str, ignored: &'static [&'static str]) -> Person {
        let mut client = Client::new(ignored.iter().filter_map(|name| Name::parse(name.as_bytes())));
        client.log_in(Credentials { name: account.into(), password: "correct-horse".into(), is_new: true });
        Person {
            name,
            account,
            ignored,
            client,
            password: "correct-horse".into(),
            new_password: None,
            tried_both: false,
            peer: None,
            abandoned: None,
            wire: Vec::new(),
            told: Vec::new(),
            asked: Vec::new(),
            submitted: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            questions: [0; 2],
            due_from: None,
            has_begun: false,
        }
    }

    fn ends(&mut self, id: LineId, outcome: Outcome, seed: u64) {
        let before = self.outcomes.insert(id, outcome);
        assert_eq!(before, None, "{}, seed {seed}: {id} has two outcomes, also {outcome:?}", self.name);
    }

    /// Whether there is no other session of the account.
    fn is_alone(&self) -> bool {
        PEOPLE.iter().filter(|it| it.1 == self.account).count() == 1
    }

    fn hears(&self, line: &str) -> bool {
        self.ignored.iter().all(|name| sender_of(line) != *name)
    }
}

impl Party {
    fn new(seed: u64) -> Party {
        let options = Options { rate: None, per_address: None, ..options() };
        let people = PEOPLE.map(|(name, account, ignored)| Person::new(name, account, ignored));
        Party { seed, sim: Sim::with(options), random: XorShift::new(seed), people: people.into(), texts: 0 }
    }

    fn step(&mut self) {
        let who = self.random.below(PEOPLE.len() as u64) as usize;
        match self.random.below(40) {
            // What is said without a login is not sent, and teaches little.
            0..6 if self.people[who].client.is_in() || self.random.below(20) == 0 => self.speak(who),
            6..13 => self.send(who, 100),
            13..19 => self.arrive(who, 100),
            19..27 => self.take(who, 600),
            27 if self.random.below(3) == 0 => self.break_off(who),
            28 | 29 => self.come_back(who),
            30 => {
                let us = self.random.below(400_000);
                self.sim.world.advance(us);
            }
            31 => match self.random.below(100) {
                0 => self.kill_the_server(),
                1..20 => self.change_password(who),
                _ => {}
            },
            _ => self.sim.turns(1),
        }
    }

    fn speak(&mut self, who: usize) {
        self.texts += 1;
        let to = ACCOUNTS[self.random.below(ACCOUNTS.len() as u64) as usize];
        let ending = ENDINGS[self.random.below(ENDINGS.len() as u64) as usize];
        // Some say the same again and again: one copy must not count for two. Not where another session of the
        // account might say it: its copy cannot be told from one's own.
        let is_again = self.people[who].is_alone() && self.random.below(4) == 0;
        let text = if is_again { "again".into() } else { format!("text {}{ending}", self.texts) };
        let clean = text.replace(['\u{202e}', '\r', '\u{7f}'], "\u{fffd}");
        let person = &mut self.people[who];
        let (line, to, text) = match self.random.below(12) {
            0..5 => (text, None, clean),
            5 => (format!("//{text}"), None, format!("/{clean}")),
            6 => (format!("/me {text}"), None, format!("/me {}", clean.trim())),
            7 | 8 => (format!("/msg {to} {text}"), Some(to), clean),
            9 => (format!("/MSG {} {text}", to.to_uppercase()), Some(to), clean),
            10 => return self.ask(who, "/users".into(), 0),
            _ => {
                let count = 1 + self.random.below(5);
                return self.ask(who, format!("/history {count}"), 1);
            }
        };
        let id = person.client.submit(&line).expect("no line here is empty");
        person.submitted.insert(id, Submitted { line, to, text });
        self.listen(who);
    }

    fn ask(&mut self, who: usize, line: String, kind: usize) {
        self.people[who].questions[kind] += 1;
        self.people[who].client.submit(&line);
        self.listen(who);
    }

    fn change_password(&mut self, who: usize) {
        self.texts += 1;
        let new = format!("battery staple {}", self.texts);
        let person = &mut self.people[who];
        if person.is_alone() && person.new_password.is_none() {
            let line = format!("/passwd {} {new}", person.password);
            let id = person.client.submit(&line).expect("it is not empty");
            person.new_password = Some((id, new));
        }
        self.listen(who);
    }

    /// Some of what the client has to send goes on its way.
    fn send(&mut self, who: usize, bytes_max: u64) {
        let count = self.random.below(bytes_max) as usize + 1;
        let person = &mut self.people[who];
        let count = count.min(person.client.output().len());
        person.wire.extend_from_slice(&person.client.output()[..count]);
        person.client.sent(count);
    }

    /// Some of it arrives.
    fn arrive(&mut self, who: usize, bytes_max: u64) {
        let count = self.random.below(bytes_max) as usize + 1;
        let person = &mut self.people[who];
        let count = count.min(person.wire.len());
        let bytes: Vec<u8> = person.wire.drain(..count).collect();
        let Some(peer) = person.peer else { return };
        let mut peer = self.sim.net.peer(peer);
        if peer.is_open() {
            peer.send(&bytes);
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

    /// The connection breaks, with all that is on its way. The server hears of it at once, when it writes, or not.
    fn break_off(&mut self, who: usize) {
        let Some(peer) = self.people[who].peer.take() else { return };
        // Whatever the server writes finds room, so that it can come to the end of what it has read: a line is
        // handled after the answer to the one before it has left.
        self.sim.net.peer(peer).capacity = usize::MAX;
        match self.random.below(3) {
            0 => self.sim.net.peer(peer).reset(),
            1 => self.sim.net.peer(peer).close(),
            _ => {
                // Only one: an account has so many sessions.
                if let Some(older) = self.people[who].abandoned.replace(peer) {
                    self.sim.net.peer(older).reset();
                }
            }
        }
        self.lose(who);
    }

    fn lose(&mut self, who: usize) {
        self.people[who].wire.clear();
        self.people[who].client.disconnected();
        self.listen(who);
    }

    /// Nothing is left of it but its disk, and of that all that was written.
    fn kill_the_server(&mut self) {
        for who in 0..PEOPLE.len() {
            self.people[who].abandoned = None;
            if self.people[who].peer.take().is_some() {
                self.lose(who);
            }
        }
        let sim = std::mem::replace(&mut self.sim, Sim::new());
        self.sim = sim.restart();
    }

    /// A new connection. The server comes to the end of the old one before that, of what its kernel still holds and of
    /// what it has read. A line that it handles only after the client has looked for it in the history would be kept
    /// although it was said to be not sent: nothing in the protocol could tell. That takes a server that delays lines
    /// (`--rate`, a full socket) of a connection that it does not know to be dead.
    fn come_back(&mut self, who: usize) {
        if self.people[who].peer.is_some() {
            return;
        }
        self.sim.settle();
        let address = SocketAddr::from(([10, 0, 0, who as u8 + 1], 40_000));
        let peer = self.sim.net.connect(address);
        // Some are slow: the server falls back to the file for them.
        self.sim.net.peer(peer).capacity =
            [usize::MAX, usize::MAX, 300, 2_000][self.random.below(4) as usize];
        self.people[who].peer = Some(peer);
        self.people[who].client.connected();
    }

    fn listen(&mut self, who: usize) {
        let seed = self.seed;
        let person = &mut self.people[who];
        while let Some(event) = person.client.next_event() {
            match event {
                Event::Welcome(_) => {
                    person.tried_both = false;
                    let length = self.sim.visible_to(person.account).len();
                    person.due_from.get_or_insert(length);
                }
                // Where the welcome was lost, the account is there all the same; or the other session was first.
                Event::LoginFailed(refusal) if refusal.code == "name-taken" => {
                    let (name, password) = (person.account.into(), person.password.clone());
                    person.client.log_in(Credentials { name, password, is_new: false });
                }
                // The user knows which password may be the new one, also where the client cannot tell.
                Event::TokenRefused { .. } => {
                    let new = person.new_password.as_ref().map(|(_, new)| new.clone());
                    // The connection may have broken after the change and before the next token came.
                    let password = new.unwrap_or_else(|| person.password.clone());
                    person.client.log_in(Credentials {
                        name: person.account.into(),
                        password,
                        is_new: false,
                    });
                }
                // A change that broke off may not have been stored.
                Event::LoginFailed(refusal) if refusal.code == "bad-login" && !person.tried_both => {
                    person.tried_both = true;
                    let (name, password) = (person.account.into(), person.password.clone());
                    person.client.log_in(Credentials { name, password, is_new: false });
                }
                Event::LoginFailed(refusal) => panic!("{}, seed {seed}: {refusal}", person.name),
                Event::Message(message) => {
                    if let Some(id) = message.receipt {
                        let submitted = &person.submitted[&id];
                        assert_eq!(message.text, submitted.text, "the receipt of another line, seed {seed}");
                        assert_eq!(
                            Some(message.to.to_string().to_ascii_lowercase())
                                .filter(|to| to != "everyone")
                                .as_deref(),
                            submitted.to
                        );
                        person.ends(id, Outcome::Kept, seed);
                    }
                    match message.origin {
                        Origin::Asked => person.asked.push(message),
                        _ => person.told.push(message),
                    }
                }
                Event::NotSent { id, line } => match &*line {
                    "/users" => person.questions[0] -= 1,
                    line if line.starts_with("/history") => person.questions[1] -= 1,
                    line if line.starts_with("/passwd") => {
                        let change = person.new_password.take();
                        assert_eq!(change.map(|it| it.0), Some(id), "{}, seed {seed}", person.name);
                    }
                    _ => person.ends(id, Outcome::NotSent, seed),
                },
                Event::Refused { id, line, refusal } => {
                    assert_eq!(refusal.code, "no-such-user", "{line}, seed {seed}");
                    person.ends(id, Outcome::Refused, seed);
                }
                Event::Notice(text) if text == "password changed" => {
                    person.password = person.new_password.take().expect("it was being changed").1;
                }
                Event::Users(_) => person.questions[0] -= 1,
                Event::EndOfHistory { .. } => person.questions[1] -= 1,
                Event::Error(refusal) => panic!("{}, seed {seed}: {refusal}", person.name),
                _ => {}
            }
        }
        if !person.has_begun
            && (!person.told.is_empty() || person.client.is_in() && person.client.is_settled())
        {
            person.has_begun = true;
            let shown_from = self.sim.visible_to(person.account).len().saturating_sub(SHOWN_AT_LOGIN);
            person.due_from = person.due_from.max(Some(shown_from));
        }
    }

    /// All come back, and everything arrives.
    fn calm_down(&mut self) {
        for _ in 0..50 {
            for who in 0..PEOPLE.len() {
                self.come_back(who);
                if let Some(peer) = self.people[who].peer {
                    self.sim.net.peer(peer).capacity = usize::MAX;
                }
                self.send(who, u64::MAX / 2);
                self.arrive(who, u64::MAX / 2);
                // A login after failed ones waits.
                self.sim.run_seconds(1);
                self.take(who, u64::MAX / 2);
            }
        }
        // Somebody who goes and comes back within a second is not told of, as nothing has changed since the last
        // notice; but who asked in between was told that they are gone. So all ask again.
        self.sim.run_seconds(2);
        for who in 0..PEOPLE.len() {
            self.take(who, u64::MAX / 2);
            self.ask(who, "/users".into(), 0);
            self.send(who, u64::MAX / 2);
            self.arrive(who, u64::MAX / 2);
            self.sim.settle();
            self.take(who, u64::MAX / 2);
        }
        for person in &self.people {
            assert!(
                person.client.is_in() && person.client.is_settled(),
                "{} is not done, seed {}",
                person.name,
                self.seed
            );
        }
    }

    fn check(&self, person: &Person) {
        let what = || format!("{}, seed {}", person.name, self.seed);
        let visible = self.sim.visible_to(person.account);
        let times: Vec<Timestamp> = person.told.iter().map(|message| message.at).collect();
        assert!(times.is_sorted_by(|a, b| a < b), "{}: {times:?}", what());
        let heard: Vec<&String> = visible.iter().filter(|line| person.hears(line)).collect();
        let told: Vec<String> = person.told.iter().map(Message::to_string).collect();
        let told: Vec<&String> = told.iter().collect();
        let due = visible[person.due_from.expect("all came in")..].iter().filter(|line| person.hears(line));
        let due: Vec<&String> = due.collect();
        assert!(told.ends_with(&due), "{}: a gap: {told:#?} of {due:#?}", what());
        assert!(told.iter().all(|line| heard.contains(line)), "{}: not for them: {told:#?}", what());
        if person.is_alone() && visible.len() <= SHOWN_AT_LOGIN {
            assert_eq!(told, heard, "{}: all of it was missed, or said since", what());
        }
        let asked: Vec<String> = person.asked.iter().map(Message::to_string).collect();
        assert!(asked.iter().all(|line| heard.contains(&line)), "{}: not for them: {asked:#?}", what());
        let online: Vec<&str> = person.client.online().iter().map(Name::as_str).collect();
        assert_eq!(online, ACCOUNTS, "{}: all are here", what());
        assert_eq!(person.new_password, None, "{}: the password is known", what());
        assert_eq!(person.questions, [0; 2], "{}: each question has one answer", what());
        self.check_outcomes(person, &visible);
    }

    /// Each line has one outcome, and the log says the same.
    fn check_outcomes(&self, person: &Person, visible: &[String]) {
        let what = || format!("{}, seed {}", person.name, self.seed);
        assert!(person.outcomes.keys().eq(person.submitted.keys()), "{}: {:?}", what(), person.outcomes);
        let mine: Vec<(Option<String>, &str)> = visible
            .iter()
            .filter(|line| sender_of(line) == person.account)
            .map(|line| {
                let (ends, text) = line[28..].split_once(": ").expect("every line is a message");
                (ends.split_once(" -> ").map(|(_, to)| to.to_ascii_lowercase()), text)
            })
            .collect();
        for submitted in person.submitted.values() {
            let is_it = |to: Option<&str>, text: &str| to == submitted.to && text == submitted.text;
            let kept = mine.iter().filter(|(to, text)| is_it(to.as_deref(), text)).count();
            let same = person.submitted.iter().filter(|(_, other)| is_it(other.to, &other.text));
            let receipts = same.filter(|(id, _)| person.outcomes[id] == Outcome::Kept).count();
            assert_eq!(kept, receipts, "{}: {}: as many receipts as were kept", what(), submitted.line);
        }
    }
}

fn sender_of(line: &str) -> &str {
    line[28..].split([' ', ':']).next().expect("there is always a first part")
}
