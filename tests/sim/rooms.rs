//! Who was in which room when, as the log tells it. Nothing here is shared with the server.

use std::collections::BTreeMap;

use super::disk::{LOG, SimDisk};

/// Bytes of a timestamp and a space.
const STAMP: usize = 28;

/// A room from its creation until its last member has left. Places are numbers of lines.
#[derive(Debug)]
struct Room {
    created: usize,
    is_private: bool,
    /// When it became private, if that was after its creation.
    closed: Option<usize>,
    /// Everyone who ever was a member: from when, and until when.
    members: Vec<(String, usize, Option<usize>)>,
}

impl Room {
    fn is_open_at(&self, place: usize) -> bool {
        !self.is_private && self.closed.is_none_or(|closed| place < closed)
    }

    /// Whether somebody may be shown the line of a place, at any time from then on until now.
    fn may_show(&self, account: &str, place: usize) -> bool {
        let shows = |from: usize, until: Option<usize>| {
            let was_there = from <= place && until.is_none_or(|until| place < until);
            was_there || from > place && self.is_open_at(from)
        };
        place >= self.created
            && self.members.iter().any(|(name, from, until)| name == account && shows(*from, *until))
    }

    fn leave(&mut self, name: &str, place: usize) {
        let stays =
            |(other, _, until): &&mut (String, usize, Option<usize>)| other == name && until.is_none();
        self.members.iter_mut().filter(stays).for_each(|(.., until)| *until = Some(place));
    }

    fn members(&self) -> impl Iterator<Item = &str> {
        self.members.iter().filter(|(.., until)| until.is_none()).map(|(name, ..)| name.as_str())
    }
}

/// All rooms of a log, those that are gone too.
#[derive(Debug, Default)]
pub struct Rooms {
    /// By name in small letters; the last one of a name is the one that there is, if it has members.
    rooms: BTreeMap<String, Vec<Room>>,
    /// Lines by their timestamps.
    places: BTreeMap<String, usize>,
    /// The room of each line that is of one.
    of_rooms: BTreeMap<usize, String>,
    lines: usize,
    read_bytes: usize,
}

/// The parts of a line of a room: who, which, and what was done or said there.
pub fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (from, rest) = line.get(STAMP..)?.split_once(" -> #").filter(|(from, _)| !from.contains(':'))?;
    let end = rest.find([' ', ':'])?;
    Some((from, &rest[..end], &rest[end..]))
}

/// Whom an event is about who may see it without being a member.
fn about(what: &str) -> Option<&str> {
    let name = what.strip_prefix(" invited ").or_else(|| what.strip_prefix(" removed "))?;
    Some(name.split(':').next().unwrap_or(name))
}

impl Rooms {
    /// Reads on in the log of a disk, which only grows.
    pub fn read_on(&mut self, disk: &SimDisk) {
        let added = disk.bytes_from(LOG, self.read_bytes);
        let whole = added.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        String::from_utf8_lossy(&added[..whole]).lines().for_each(|line| self.apply(line));
        self.read_bytes += whole;
    }

    /// Reads on in a log of which it has read the beginning. If it became shorter, it begins again.
    pub fn read(&mut self, log: &[u8]) {
        if log.len() < self.read_bytes {
            *self = Rooms::default();
        }
        let whole = log.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1).max(self.read_bytes);
        for line in String::from_utf8_lossy(&log[self.read_bytes..whole]).lines() {
            self.apply(line);
        }
        self.read_bytes = whole;
    }

    fn apply(&mut self, line: &str) {
        // Sectors of an append that the power failed in stay where they are, and are no line.
        let Some(stamp) = line.get(..STAMP).filter(|_| !line.contains('\0')) else { return };
        let place = self.lines;
        self.lines += 1;
        self.places.insert(stamp.into(), place);
        let Some((from, room, what)) = parts(line).filter(|(.., what)| !what.starts_with(": ")) else {
            return;
        };
        let (from, all) =
            (from.to_ascii_lowercase(), self.rooms.entry(room.to_ascii_lowercase()).or_default());
        if let Some(access) = what.strip_prefix(" created") {
            let members = vec![(from, place, None)];
            all.push(Room { created: place, is_private: access == ", private", closed: None, members });
            return;
        }
        let Some(room) = all.last_mut() else { return };
        match what {
            " joined" => room.members.push((from, place, None)),
            " left" => room.leave(&from, place),
            " made the room private" => room.closed = Some(place),
            _ if what.starts_with(" removed ") => {
                let name = about(what).expect("it is about somebody").to_ascii_lowercase();
                room.leave(&name, place);
            }
            _ => {}
        }
    }

    /// Whether an account may be shown this line of a room.
    pub fn may_show(&self, account: &str, line: &str) -> bool {
        let Some((_, room, what)) = parts(line) else { return false };
        let Some(&place) = self.places.get(&line[..STAMP]) else { return false };
        let account = account.to_ascii_lowercase();
        let rooms = self.rooms.get(&room.to_ascii_lowercase());
        about(what).is_some_and(|name| name.eq_ignore_ascii_case(&account))
            || rooms.is_some_and(|rooms| rooms.iter().any(|room| room.may_show(&account, place)))
    }

    /// The members of a room, in small letters.
    pub fn members(&self, room: &str) -> Vec<&str> {
        let last = self.rooms.get(&room.to_ascii_lowercase()).and_then(|rooms| rooms.last());
        last.map_or(Vec::new(), |room| room.members().collect())
    }

    /// Whether a room is there that people enter by invitation.
    pub fn is_private(&self, room: &str) -> bool {
        let last = self.rooms.get(&room.to_ascii_lowercase()).and_then(|rooms| rooms.last());
        last.is_some_and(|room| (room.is_private || room.closed.is_some()) && room.members().next().is_some())
    }

    /// How many lines were read.
    pub fn len(&self) -> usize {
        self.lines
    }

    /// The number of a line.
    pub fn place_of(&self, line: &str) -> Option<usize> {
        self.places.get(line.get(..STAMP)?).copied()
    }

    /// All rooms that ever were, in small letters and without a sign.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rooms.keys().map(String::as_str)
    }

    /// Whether somebody ever was in a room.
    pub fn was_in(&self, account: &str, room: &str) -> bool {
        let account = account.to_ascii_lowercase();
        let mut rooms = self.rooms.get(&room.to_ascii_lowercase()).into_iter().flatten();
        rooms.any(|room| room.members.iter().any(|(name, ..)| *name == account))
    }

    /// The lines from a place on of rooms that somebody has been in since they were said.
    pub fn stayed(&self, account: &str, since: usize) -> impl Iterator<Item = usize> {
        let account = account.to_ascii_lowercase();
        let lines = self.of_rooms.range(since..);
        lines.filter_map(move |(&place, room)| {
            let room = self.rooms.get(room)?.last()?;
            let stays = |(name, from, until): &(String, usize, Option<usize>)| {
                *name == account && *from <= place && until.is_none()
            };
            room.members.iter().any(stays).then_some(place)
        })
    }
}
