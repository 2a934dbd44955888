//! Roomers: people who enter and leave rooms, talk there, invite and remove each other, and crash in between.
//!
//! Whether one of them may be shown a line is decided by the [gate](super::gate). Looked at here are the answers, which
//! are told apart by a `/ping` behind each line: a line that was refused did nothing, and one that was not did what it
//! says, as the log shows; that whoever stays is shown everything that is said in their rooms, once and in order; and
//! that the server knows who is in which room.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use chinwag::protocol::reply::{Error, Notice, Reply};
use chinwag::protocol::room::RoomName;
use chinwag::state::durable::State;

use super::disk::{LOG, SimDisk};
use super::model::hostile::{DIRECT_PASSWORD, ROOMERS};
use super::model::{Guarantee, broken, hold};
use super::rooms::{Rooms, parts};
use super::workload::Stage;

const ROOMS: [&str; 4] = ["#den", "#Attic", "#cave-2", "#porch"];
/// Their addresses, all of which nobody else uses.
const FIRST_ADDRESS: u32 = 0x50_0000;
/// Of so many steps, something happens in one.
const PAUSE: u64 = 3;

/// A line that was sent and is not answered yet.
#[derive(Debug)]
struct Sent {
    /// What the `/ping` behind it says.
    ping: String,
    line: String,
    /// Part of the line of the log that it leads to.
    kept: Option<String>,
    /// Lines of the log when it was sent.
    since: usize,
    errors: usize,
}

struct Link {
    peer: usize,
    id: usize,
    sent: VecDeque<Sent>,
    partial: Vec<u8>,
    /// Lines of the log when it was welcome; everything said since is to be shown.
    inside_since: Option<usize>,
    shown: BTreeSet<usize>,
    last: Option<usize>,
    /// Whether it asked for history, of which everything is shown again.
    looks_back: bool,
    reads: bool,
}

#[derive(Default)]
struct Roomer {
    link: Option<Link>,
    is_known: bool,
}

#[derive(Default)]
pub struct Roomers {
    people: [Roomer; ROOMERS.len()],
    rooms: Rooms,
    /// So that no two lines and no two addresses are the same.
    fresh: u32,
}

impl Roomers {
    pub fn act(&mut self, stage: &mut Stage<'_>) {
        if stage.random.below(PAUSE) > 0 {
            return;
        }
        let number = stage.random.below(ROOMERS.len() as u64) as usize;
        let is_open = self.people[number]
            .link
            .as_ref()
            .is_some_and(|link| !stage.model.is_over(link.id) && stage.net.peer(link.peer).is_open());
        if !is_open {
            self.hang_up(number, stage);
            return self.come(number, stage);
        }
        match stage.random.below(40) {
            0 => self.hang_up(number, stage),
            1 | 2 => {
                let link = self.people[number].link.as_mut().expect("it is open");
                link.reads = !link.reads;
                let capacity = if link.reads { usize::MAX } else { 300 };
                stage.net.peer(link.peer).capacity = capacity;
            }
            _ => self.write_something(number, stage),
        }
    }

    fn come(&mut self, number: usize, stage: &mut Stage<'_>) {
        self.fresh += 1;
        let ip = IpAddr::from((0x0a00_0000 + FIRST_ADDRESS + self.fresh).to_be_bytes());
        let peer = stage.net.connect(SocketAddr::new(ip, 40_000));
        let id = stage.model.intruded(peer, FIRST_ADDRESS + self.fresh);
        self.people[number].link = Some(Link {
            peer,
            id,
            sent: VecDeque::new(),
            partial: Vec::new(),
            inside_since: None,
            shown: BTreeSet::new(),
            last: None,
            looks_back: false,
            reads: true,
        });
        let name = ROOMERS[number];
        // Whether there is the account already is found out.
        let command = if self.people[number].is_known { "login" } else { "register" };
        self.people[number].is_known = !self.people[number].is_known || stage.random.below(4) > 0;
        stage.net.peer(peer).send(format!("/{command} {name} {DIRECT_PASSWORD}\n").as_bytes());
    }

    fn hang_up(&mut self, number: usize, stage: &mut Stage<'_>) {
        let Some(Link { peer, id, .. }) = self.people[number].link.take() else { return };
        if stage.random.below(2) == 0 {
            stage.net.peer(peer).reset();
        } else {
            stage.net.peer(peer).close();
        }
        stage.model.gone(id);
    }

    fn write_something(&mut self, number: usize, stage: &mut Stage<'_>) {
        self.fresh += 1;
        let room = stage.random.one_of(&ROOMS);
        let other = stage.random.one_of(&ROOMERS);
        let token = format!("token-{}.", self.fresh);
        let with_token = |line: String| (line + &token, Some(token.clone()));
        let bare = |line: String| (line, None);
        let (line, kept) = match stage.random.below(30) {
            0..4 => bare(format!("/join {room}")),
            4 => bare(format!("/join {room} private")),
            5 => bare(format!("/leave {room}")),
            6 => with_token(format!("/topic {room} ")),
            7..10 => bare(format!("/invite {other} {room}")),
            10 => with_token(format!("/kick {room} {other} ")),
            11 => bare(format!("/op {room} {other}")),
            12 => bare(format!("/deop {room} {other}")),
            13 => bare(format!("/room {room} {}", stage.random.one_of(&["private", "announce", "everyone"]))),
            14 => bare(format!("/to {room}")),
            15 => bare("/rooms".into()),
            16 => bare(format!("/users {room}")),
            17 => bare(format!("/history {room} 5")),
            18 => bare("/history".into()),
            // To wherever it talks.
            19 => with_token("psst ".into()),
            _ => {
                let length = stage.random.one_of(&[0, 10, 10, 300, 3_000]);
                with_token(format!("/msg {room} {}", "x".repeat(length)))
            }
        };
        let (since, ping) = (self.rooms.len(), format!("ping-{}", self.fresh));
        let Some(link) = &mut self.people[number].link else { return };
        if link.inside_since.is_none() || link.sent.len() > 20 {
            return;
        }
        link.looks_back |= line.starts_with("/history");
        stage.tally.count("line of a roomer");
        stage.net.peer(link.peer).send(format!("{line}\n/ping {ping}\n").as_bytes());
        link.sent.push_back(Sent { ping, line, kept, since, errors: 0 });
    }

    /// Takes what came, and looks at it.
    pub fn read(&mut self, disk: &SimDisk, stage: &mut Stage<'_>) {
        self.rooms.read_on(disk);
        for number in 0..ROOMERS.len() {
            let Some(link) = self.people[number].link.as_mut().filter(|link| link.reads) else { continue };
            let bytes = stage.net.peer(link.peer).take(usize::MAX);
            if !bytes.is_empty() {
                stage.model.took(link.id);
            }
            link.partial.extend(bytes);
            while let Some(link) = &mut self.people[number].link
                && let Some(end) = link.partial.iter().position(|&byte| byte == b'\n')
            {
                let line: Vec<u8> = link.partial.drain(..=end).collect();
                let line = String::from_utf8(line).expect("all that is sent is UTF-8");
                self.hear(number, line.trim_end_matches('\n'), disk);
            }
        }
    }

    fn hear(&mut self, number: usize, line: &str, disk: &SimDisk) {
        let rooms = &self.rooms;
        let Some(link) = &mut self.people[number].link else { return };
        if line.starts_with(|first: char| first.is_ascii_digit()) {
            let Some(place) = rooms.place_of(line) else {
                broken(Guarantee::Durable, format!("a roomer was shown what is not in the log: {line}"));
            };
            let is_next = link.looks_back || link.last.is_none_or(|last| last < place);
            hold(Guarantee::Ordered, is_next, || format!("{} was shown again: {line}", ROOMERS[number]));
            (link.last, _) = (Some(place), link.shown.insert(place));
            return;
        }
        match Reply::parse(line) {
            Some(Reply::Notice(Notice::Welcome { .. })) => {
                link.inside_since = Some(rooms.len());
                self.people[number].is_known = true;
            }
            Some(Reply::Notice(Notice::Pong { text })) => {
                let Some(sent) = link.sent.pop_front().filter(|sent| sent.ping == text) else {
                    broken(Guarantee::Refused, format!("{} is told {line} out of order", ROOMERS[number]));
                };
                look_at_outcome(ROOMERS[number], &sent, rooms, &disk.read(LOG));
            }
            // Of torn sectors in the file; it answers nothing.
            Some(Reply::Error(Error::Damaged { .. })) => {}
            Some(Reply::Error(_)) => {
                if let Some(sent) = link.sent.front_mut() {
                    sent.errors += 1;
                }
            }
            Some(Reply::Notice(_)) => {}
            None => broken(Guarantee::KnownLines, format!("a roomer was told {line:?}")),
        }
    }

    /// The server knows who is in which room. `rooms` are told by the log alone.
    pub fn assert_known(&mut self, state: &State, disk: &SimDisk) {
        self.rooms.read_on(disk);
        let mut count = 0;
        for room in self.rooms.names() {
            let members = self.rooms.members(room);
            if members.is_empty() {
                continue;
            }
            count += 1;
            let name = RoomName::without_sign(room.as_bytes()).expect("it is one");
            let Some(known) = state.rooms().get(&name) else {
                broken(Guarantee::Durable, format!("the server does not know #{room}, with {members:?}"));
            };
            let mut known_members: Vec<String> =
                known.members().iter().map(|member| member.name.as_str().to_ascii_lowercase()).collect();
            known_members.sort_unstable();
            let mut members: Vec<&str> = members;
            members.sort_unstable();
            hold(Guarantee::Durable, known_members == members, || {
                format!("in #{room} are {members:?}, and the server says {known_members:?}")
            });
            hold(Guarantee::Private, known.is_private() == self.rooms.is_private(room), || {
                format!("the server is wrong about whether #{room} is private")
            });
        }
        hold(Guarantee::Durable, state.rooms().len() == count, || {
            format!("there are {count} rooms, and the server knows {}", state.rooms().len())
        });
    }

    /// Everyone takes what comes from now on.
    pub fn calm_down(&mut self, stage: &mut Stage<'_>) {
        for link in self.people.iter_mut().filter_map(|roomer| roomer.link.as_mut()) {
            link.reads = true;
            let mut peer = stage.net.peer(link.peer);
            (peer.capacity, peer.read_max, peer.write_max) = (usize::MAX, usize::MAX, usize::MAX);
        }
    }

    /// All that was sent is answered, and everyone was shown what was said in their rooms.
    pub fn assert_calm(&mut self, stage: &mut Stage<'_>) {
        for (name, roomer) in ROOMERS.iter().zip(&self.people) {
            let Some(link) = &roomer.link else { continue };
            if stage.model.is_over(link.id) || !stage.net.peer(link.peer).is_open() {
                continue;
            }
            hold(Guarantee::Refused, link.sent.is_empty(), || {
                format!("{name} has no answer to {:?}", link.sent)
            });
            let Some(since) = link.inside_since else { continue };
            let missing = self.rooms.stayed(name, since).find(|place| !link.shown.contains(place));
            hold(Guarantee::Ordered, missing.is_none(), || {
                format!("{name} was not shown line {} of the log", missing.expect("it is there"))
            });
        }
    }

    pub fn leave_all(&mut self, stage: &mut Stage<'_>) {
        (0..ROOMERS.len()).for_each(|number| self.hang_up(number, stage));
    }

    /// The server is gone.
    pub fn are_cut_off(&mut self) {
        self.people.iter_mut().for_each(|roomer| roomer.link = None);
    }
}

/// A line was refused and did nothing, or it did what it says.
fn look_at_outcome(name: &str, sent: &Sent, rooms: &Rooms, log: &str) {
    let Sent { line, kept, since, errors, .. } = sent;
    hold(Guarantee::Refused, *errors <= 1, || format!("{errors} errors for one line: {line}"));
    let is_refused = *errors > 0;
    if let Some(token) = kept {
        let is_kept = log.contains(token.as_str());
        hold(Guarantee::Refused, is_kept != is_refused, || {
            format!("{name}: {line:?} was refused: {is_refused}, and is in the log: {is_kept}")
        });
    }
    let mut words = line.split(' ');
    let (command, room) = (words.next(), words.next().and_then(|room| room.strip_prefix('#')));
    let Some(room) = room.filter(|_| matches!(command, Some("/join" | "/leave")) && !is_refused) else {
        return;
    };
    let did = |line: &&str| {
        parts(line).is_some_and(|(from, place, what)| {
            let is_it = match command {
                Some("/leave") => what == " left",
                _ => what == " joined" || what.starts_with(" created"),
            };
            is_it && from.eq_ignore_ascii_case(name) && place.eq_ignore_ascii_case(room)
        })
    };
    let has_done = log.lines().skip(*since).any(|line| did(&line))
        || command == Some("/join") && rooms.was_in(name, room);
    hold(Guarantee::Refused, has_done, || format!("{name}: {line:?} was not refused and did nothing"));
}
