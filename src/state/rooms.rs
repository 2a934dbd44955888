//! Rooms: their members, owners and invitations, and what a member may see.
//!
//! A room exists from its creation until its last member has left. Its name is free then; what was said in it stays in
//! the log and is shown to nobody, because a room shows nothing from before its creation.
//!
//! Members are kept by name and not by account, so that a membership does not depend on `users.txt`.
//!
//! If events may be missing, because the log was damaged and `state.txt` does not have them, nobody knows who left or
//! was removed since, and which rooms became private. All rooms from before the damage are closed then: they are as
//! secret as private ones, and for everybody.

mod room;

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use self::room::Invitation;
pub use self::room::{Member, Room};
use crate::protocol::event::{Access, Deed};
use crate::protocol::name::Name;
use crate::protocol::record::{Body, Record, Target, Timestamp};
use crate::protocol::room::RoomName;
use crate::state::event::Refusal;

/// All rooms.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rooms {
    by_name: HashMap<RoomName, Room>,
    /// Those that anybody may join.
    open: BTreeSet<RoomName>,
    /// Rooms up to this time are closed, because events may be missing.
    closed_until: Timestamp,
    /// The rooms that each member is in, in the order of their names.
    by_member: HashMap<Name, Vec<RoomName>>,
}

impl Rooms {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The room of this name, unless it is closed.
    pub fn get(&self, room: &RoomName) -> Option<&Room> {
        self.by_name.get(room).filter(|room| !self.is_closed(room))
    }

    fn is_closed(&self, room: &Room) -> bool {
        room.created.0 <= self.closed_until
    }

    /// Closes all rooms that were created up to a time: events since then may be missing. Returns how many that are.
    pub(super) fn close(&mut self, until: Timestamp) -> usize {
        self.closed_until = until;
        self.closed().count()
    }

    /// The rooms that are closed.
    pub fn closed(&self) -> impl Iterator<Item = &Room> {
        self.by_name.values().filter(|room| self.is_closed(room))
    }

    /// All rooms that are not closed, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Room> {
        self.by_name.values().filter(|room| !self.is_closed(room))
    }

    /// The open rooms whose names follow `after`, in the order of their names.
    pub fn open_after(&self, after: Option<RoomName>) -> impl Iterator<Item = &Room> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.open.range((from, Bound::Unbounded)).filter_map(|name| self.get(name))
    }

    /// How many are open.
    pub fn open_len(&self) -> usize {
        self.open.len()
    }

    /// The rooms to which a person is invited, in no order.
    pub fn invitations_of<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Room> {
        self.iter().filter(move |room| room.is_invited(name))
    }

    /// The rooms of a member, in the order of their names.
    pub fn of(&self, name: &Name) -> &[RoomName] {
        self.by_member.get(name).map_or(&[], Vec::as_slice)
    }

    /// From when on a person sees the lines of a room; `None` if they see none.
    pub fn shown_from(&self, name: &Name, room: &RoomName) -> Option<Timestamp> {
        self.get(room)?.shown_from(name)
    }

    /// Checks whether a person may speak in a room.
    ///
    /// # Errors
    /// Why not.
    pub fn admit_message(&self, from: &Name, room: &RoomName) -> Result<(), Refusal> {
        let Some(room) = self.get(room).filter(|room| room.is_known_to(from)) else {
            return Err(Refusal::NoRoom(*room));
        };
        let member = room.member(from).ok_or(Refusal::NotMember(room.name))?;
        match room.announces() && !member.is_owner() {
            true => Err(Refusal::NotOwner(room.name)),
            false => Ok(()),
        }
    }

    /// Checks whether something may be done in a room.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, by: &Name, room: &RoomName, deed: &Deed<'_>) -> Result<(), Refusal> {
        match (self.get(room), deed) {
            (Some(room), deed) => room.admit(by, deed),
            (None, Deed::Created { .. } | Deed::Joined) if self.by_name.contains_key(room) => {
                Err(Refusal::RoomTaken(*room))
            }
            (None, Deed::Created { .. }) => Ok(()),
            (None, _) => Err(Refusal::NoRoom(*room)),
        }
    }

    /// Applies an event of a copy.
    pub(super) fn apply_record(&mut self, record: &Record<'_>) {
        if let (Target::Room(room), Body::Deed(deed)) = (record.to, record.body) {
            self.apply(record.from, room, &deed, record.at);
        }
    }

    /// Applies what was done.
    pub(super) fn apply(&mut self, by: Name, name: RoomName, deed: &Deed<'_>, at: Timestamp) {
        if let Deed::Created { access } = *deed {
            let creator = Member { name: by, since: at, owner_since: Some(at) };
            let room = Room {
                name,
                created: (at, by),
                access,
                closed: None,
                announces: None,
                topic: None,
                members: vec![creator],
                invitations: Vec::new(),
            };
            self.by_name.insert(name, room);
            if access == Access::Open {
                self.open.insert(name);
            }
            return self.enter(by, name);
        }
        let Some(room) = self.by_name.get_mut(&name) else { return };
        room.apply(by, deed, at);
        let (is_empty, name) = (room.members.is_empty(), room.name);
        match deed {
            Deed::Joined => self.enter(by, name),
            Deed::Left => self.leave(&by, &name),
            Deed::Removed { who } => self.leave(&who.name, &name),
            Deed::MadePrivate => _ = self.open.remove(&name),
            _ => {}
        }
        if is_empty {
            self.by_name.remove(&name);
            self.open.remove(&name);
        }
    }

    fn enter(&mut self, member: Name, room: RoomName) {
        let rooms = self.by_member.entry(member).or_default();
        if let Err(place) = rooms.binary_search(&room) {
            rooms.reserve_exact(1);
            rooms.insert(place, room);
        }
    }

    fn leave(&mut self, member: &Name, room: &RoomName) {
        let Some(rooms) = self.by_member.get_mut(member) else { return };
        rooms.retain(|other| other != room);
        if rooms.is_empty() {
            self.by_member.remove(member);
        }
    }

    /// Calls `each` with events that make up the rooms, in an order in which they can be applied: the contents of a
    /// copy. Each has the time at which it happened.
    pub(super) fn for_each_event(&self, mut each: impl FnMut(Timestamp, Name, RoomName, Deed<'_>)) {
        // In order, so that the same rooms make the same file.
        let mut names = BTreeSet::new();
        names.extend(self.iter().map(Room::name));
        for room in names.iter().filter_map(|name| self.get(name)) {
            let ((created, creator), name) = (room.created, room.name);
            let access = if room.closed.is_some() { Access::Open } else { room.access };
            each(created, creator, name, Deed::Created { access });
            for member in room.members.iter().filter(|it| it.since != created || it.name != creator) {
                each(member.since, member.name, name, Deed::Joined);
            }
            // Only now, because a room that nobody is in is gone.
            if room.member(&creator).is_none() {
                each(created, creator, name, Deed::Left);
            }
            for member in &room.members {
                let is_creators = member.name == creator && member.since == created;
                match member.owner_since {
                    Some(at) if !(is_creators && at == created) => {
                        each(at, creator, name, Deed::Appointed { name: member.name });
                    }
                    None if is_creators => each(created, creator, name, Deed::Dismissed { name: creator }),
                    _ => {}
                }
            }
            if let Some((at, by)) = room.closed {
                each(at, by, name, Deed::MadePrivate);
            }
            if let Some((at, by)) = room.announces {
                each(at, by, name, Deed::MadeAnnounce);
            }
            if let Some(topic) = &room.topic {
                each(topic.at, topic.by, name, Deed::Topic { text: &topic.text });
            }
            for &Invitation { name: invited, by, at } in &room.invitations {
                each(at, by, name, Deed::Invited { name: invited });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn room(text: &str) -> RoomName {
        RoomName::parse(text.as_bytes()).unwrap()
    }

    /// Rooms that are told what happens by lines without their times; each is a second after the one before.
    #[derive(Default)]
    struct Told {
        rooms: Rooms,
        seconds: u64,
    }

    impl Told {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.seconds * 1_000_000)
        }

        /// Applies an event, or returns the name of its refusal.
        fn tell(&mut self, line: &str) -> Result<(), String> {
            self.seconds += 1;
            let line = format!("{} {line}", self.now());
            let record = Record::parse(&line).unwrap();
            let (Target::Room(room), Body::Deed(deed)) = (record.to, record.body) else { panic!("{line}") };
            let admitted = self.rooms.admit(&record.from, &room, &deed);
            if admitted.is_ok() {
                self.rooms.apply_record(&record);
            }
            admitted
                .map_err(|refusal| format!("{refusal:?}").split(['(', '{', ' ']).next().unwrap().to_owned())
        }

        fn tell_all(&mut self, lines: &[&str]) {
            lines.iter().for_each(|line| self.tell(line).unwrap_or_else(|why| panic!("{line}: {why}")));
        }

        fn refuse_all(&mut self, lines: &[(&str, &str)]) {
            for (line, why) in lines {
                assert_eq!(self.tell(line).unwrap_err(), *why, "{line}");
            }
        }

        fn members(&self, of: &str) -> String {
            let members = self.rooms.get(&room(of)).map_or(&[][..], Room::members);
            let mark = |member: &Member| if member.is_owner() { "@" } else { "" };
            members.iter().map(|it| format!("{}{}", mark(it), it.name)).collect::<Vec<_>>().join(" ")
        }
    }

    #[test]
    fn an_open_room_takes_everyone_and_is_gone_with_its_last_member() {
        let mut told = Told::default();
        told.refuse_all(&[("alice -> #rust joined", "NoRoom"), ("alice -> #rust left", "NoRoom")]);
        told.tell_all(&["alice -> #rust created", "bob -> #Rust joined", "bob -> #rust topic: crabs"]);
        told.refuse_all(&[
            ("carol -> #rust created", "RoomExists"),
            ("bob -> #rust joined", "AlreadyMember"),
            ("carol -> #rust left", "NotMember"),
            ("carol -> #rust topic: x", "NotMember"),
            ("alice -> #rust left", "LastOwner"),
            ("bob -> #rust made bob an owner", "NotOwner"),
            ("alice -> #rust made carol an owner", "NoSuchMember"),
            ("alice -> #rust made alice an owner", "AlreadyOwner"),
            ("alice -> #rust dismissed alice as an owner", "LastOwner"),
            ("alice -> #rust removed alice", "RemovesSelf"),
            ("alice -> #rust removed carol", "NoSuchMember"),
            ("alice -> #rust let everyone speak", "IsSo"),
        ]);
        assert_eq!(told.members("#RUST"), "@alice bob");
        assert_eq!(told.rooms.of(&name("BOB")), [room("#rust")]);
        told.tell_all(&["alice -> #rust made bob an owner", "alice -> #rust left", "bob -> #rust left"]);
        assert_eq!((told.rooms.len(), told.rooms.open_len(), told.rooms.of(&name("bob")).len()), (0, 0, 0));
        assert!(told.rooms.by_member.is_empty());
    }

    #[test]
    fn a_private_room_is_entered_by_invitation_only_and_known_to_nobody_else() {
        let mut told = Told::default();
        told.tell_all(&["alice -> #board created, private", "alice -> #board invited bob"]);
        told.refuse_all(&[
            ("carol -> #board joined", "RoomTaken"),
            ("carol -> #board created", "RoomTaken"),
            ("carol -> #board left", "NoRoom"),
            ("carol -> #board topic: x", "NoRoom"),
            ("carol -> #board invited carol", "NoRoom"),
            ("bob -> #board topic: x", "NotMember"),
            ("alice -> #board invited bob", "AlreadyInvited"),
            ("alice -> #board invited alice", "AlreadyMember"),
            ("alice -> #board made the room private", "IsSo"),
        ]);
        told.tell_all(&["bob -> #board joined"]);
        told.refuse_all(&[("bob -> #board invited carol", "NotOwner")]);
        told.tell_all(&["alice -> #board removed bob: why"]);
        told.refuse_all(&[("bob -> #board joined", "RoomTaken"), ("bob -> #board left", "NoRoom")]);
        told.tell_all(&["alice -> #board invited bob", "alice -> #board removed bob"]);
        told.refuse_all(&[("bob -> #board joined", "RoomTaken")]);
        assert_eq!(told.rooms.open_len(), 0);
    }

    #[test]
    fn members_see_an_open_room_since_its_creation_and_a_private_one_since_they_joined() {
        let mut told = Told::default();
        let seen = |told: &Told, who: &str| {
            told.rooms.shown_from(&name(who), &room("#r")).map(|from| from.micros() / 1_000_000)
        };
        told.tell_all(&["alice -> #r created", "bob -> #r joined"]);
        assert_eq!(["alice", "bob", "carol"].map(|who| seen(&told, who)), [Some(1), Some(1), None]);
        told.tell_all(&["alice -> #r made the room private"]);
        assert_eq!(["alice", "bob", "carol"].map(|who| seen(&told, who)), [Some(1), Some(2), None]);
        told.tell_all(&["bob -> #r left", "alice -> #r invited bob", "bob -> #r joined"]);
        assert_eq!(seen(&told, "bob"), Some(6));
        told.tell_all(&["bob -> #r left", "alice -> #r left", "carol -> #r created"]);
        assert_eq!(["alice", "bob", "carol"].map(|who| seen(&told, who)), [None, None, Some(9)]);
    }

    #[test]
    fn in_a_room_for_announcements_only_owners_speak() {
        let mut told = Told::default();
        told.tell_all(&["alice -> #r created", "bob -> #r joined", "alice -> #r let only owners speak"]);
        let may_speak = |told: &Told, who: &str| told.rooms.admit_message(&name(who), &room("#r"));
        assert_eq!(may_speak(&told, "alice"), Ok(()));
        assert_eq!(may_speak(&told, "bob"), Err(Refusal::NotOwner(room("#r"))));
        assert_eq!(may_speak(&told, "carol"), Err(Refusal::NotMember(room("#r"))));
        told.refuse_all(&[("bob -> #r topic: x", "NotOwner"), ("alice -> #r let only owners speak", "IsSo")]);
        told.tell_all(&["alice -> #r let everyone speak", "bob -> #r topic: x"]);
        assert_eq!(may_speak(&told, "bob"), Ok(()));
        told.tell_all(&["alice -> #r made the room private"]);
        assert_eq!(may_speak(&told, "carol"), Err(Refusal::NoRoom(room("#r"))));
    }

    /// A copy holds events that come to the same, whatever happened.
    #[test]
    fn a_copy_comes_to_the_same_rooms() {
        let people = ["alice", "bob", "carol", "dave"];
        let mut seed = 7_u64;
        let mut draw = |count: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % count
        };
        let mut told = Told::default();
        let mut applied = 0;
        for _ in 0..20_000 {
            let (who, whom) = (people[draw(4)], people[draw(4)]);
            let place = ["#a", "#B", "#c"][draw(3)];
            let what = match draw(12) {
                0 => "created".to_owned(),
                1 => "created, private".to_owned(),
                2 | 3 => "joined".to_owned(),
                4 => "left".to_owned(),
                5 => format!("invited {whom}"),
                6 => format!("removed {whom}: why"),
                7 => format!("made {whom} an owner"),
                8 => format!("dismissed {whom} as an owner"),
                9 => ["topic: ", "topic: a: b"][draw(2)].to_owned(),
                10 => "made the room private".to_owned(),
                _ => ["let only owners speak", "let everyone speak"][draw(2)].to_owned(),
            };
            applied += usize::from(told.tell(&format!("{who} -> {place} {what}")).is_ok());
            let mut copy = Rooms::default();
            told.rooms.for_each_event(|at, from, room, deed| {
                let line = Record { at, from, to: Target::Room(room), body: Body::Deed(deed) }.to_string();
                copy.apply_record(&Record::parse(&line).unwrap());
            });
            assert_eq!(copy, told.rooms);
        }
        assert!(applied > 2000, "{applied}");
    }
}
