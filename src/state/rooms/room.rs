//! One room: what may be done in it, and what follows.

use crate::protocol::event::{Access, Because, Deed};
use crate::protocol::name::Name;
use crate::protocol::record::Timestamp;
use crate::protocol::room::RoomName;
use crate::state::event::Refusal;

/// A member of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub name: Name,
    /// When they last joined.
    pub since: Timestamp,
    /// When they became an owner, if they are one.
    pub(super) owner_since: Option<Timestamp>,
}

impl Member {
    /// Whether they own the room.
    pub fn is_owner(&self) -> bool {
        self.owner_since.is_some()
    }
}

/// A person who may join a private room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invitation {
    pub name: Name,
    pub by: Name,
    pub at: Timestamp,
}

/// What a room is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub text: Box<str>,
    pub by: Name,
    pub at: Timestamp,
}

/// Something that somebody did at some time.
pub(super) type Act = (Timestamp, Name);

/// A room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    pub(super) name: RoomName,
    pub(super) created: Act,
    pub(super) access: Access,
    /// When it became private, if that was after its creation.
    pub(super) closed: Option<Act>,
    /// Since when only owners speak, if so.
    pub(super) announces: Option<Act>,
    pub(super) topic: Option<Box<Topic>>,
    /// In the order of their names.
    pub(super) members: Vec<Member>,
    pub(super) invitations: Vec<Invitation>,
}

impl Room {
    /// Its name, as its creator gave it.
    pub fn name(&self) -> RoomName {
        self.name
    }

    /// Whether people need an invitation.
    pub fn is_private(&self) -> bool {
        self.access == Access::Private
    }

    /// Whether only owners speak.
    pub fn announces(&self) -> bool {
        self.announces.is_some()
    }

    /// What it is about; empty if it has no topic.
    pub fn topic(&self) -> &str {
        self.topic.as_ref().map_or("", |topic| &topic.text)
    }

    /// Its members, in the order of their names.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member of this name.
    pub fn member(&self, name: &Name) -> Option<&Member> {
        self.place(name).ok().map(|place| &self.members[place])
    }

    /// Whether a person is invited and has not joined since.
    pub fn is_invited(&self, name: &Name) -> bool {
        self.invitations.iter().any(|invitation| invitation.name == *name)
    }

    /// How many people are invited.
    pub fn invitations(&self) -> usize {
        self.invitations.len()
    }

    /// Whether a person may know that the room exists.
    pub fn is_known_to(&self, name: &Name) -> bool {
        !self.is_private() || self.member(name).is_some() || self.is_invited(name)
    }

    fn place(&self, name: &Name) -> Result<usize, usize> {
        self.members.binary_search_by(|member| member.name.cmp(name))
    }

    fn is_owner(&self, name: &Name) -> bool {
        self.member(name).is_some_and(Member::is_owner)
    }

    fn owners(&self) -> usize {
        self.members.iter().filter(|member| member.is_owner()).count()
    }

    pub(super) fn admit(&self, by: &Name, deed: &Deed<'_>) -> Result<(), Refusal> {
        let room = self.name;
        let require = |holds: bool, refusal: Refusal| if holds { Ok(()) } else { Err(refusal) };
        match deed {
            Deed::Created { .. } if self.is_known_to(by) => return Err(Refusal::RoomExists(room)),
            Deed::Created { .. } => return Err(Refusal::RoomTaken(room)),
            Deed::Joined => {
                require(self.member(by).is_none(), Refusal::AlreadyMember(*by, room))?;
                return require(!self.is_private() || self.is_invited(by), Refusal::RoomTaken(room));
            }
            _ => {}
        }
        // Who is not a member learns nothing of a private room.
        require(self.is_known_to(by), Refusal::NoRoom(room))?;
        require(self.member(by).is_some(), Refusal::NotMember(room))?;
        let is_owner = self.is_owner(by);
        match deed {
            Deed::Left => {
                let leaves_others = self.members.len() > 1;
                return require(!(is_owner && leaves_others && self.owners() == 1), Refusal::LastOwner(room));
            }
            Deed::Topic { .. } if !self.announces() => return Ok(()),
            _ => require(is_owner, Refusal::NotOwner(room))?,
        }
        match deed {
            Deed::Invited { name } => {
                require(self.member(name).is_none(), Refusal::AlreadyMember(*name, room))?;
                require(!self.is_invited(name), Refusal::AlreadyInvited(*name, room))
            }
            Deed::Removed { who: Because { name, .. } } => {
                require(*name != *by, Refusal::RemovesSelf(room))?;
                let is_there = self.member(name).is_some() || self.is_invited(name);
                require(is_there, Refusal::NoSuchMember(*name, room))
            }
            Deed::Appointed { name } => {
                let member = self.member(name).ok_or(Refusal::NoSuchMember(*name, room))?;
                require(!member.is_owner(), Refusal::AlreadyOwner(*name, room))
            }
            Deed::Dismissed { name } => {
                require(self.is_owner(name), Refusal::NoSuchOwner(*name, room))?;
                require(self.owners() > 1, Refusal::LastOwner(room))
            }
            Deed::MadePrivate => require(!self.is_private(), Refusal::IsSo(room)),
            Deed::MadeAnnounce => require(!self.announces(), Refusal::IsSo(room)),
            Deed::MadeOpenToAll => require(self.announces(), Refusal::IsSo(room)),
            Deed::Created { .. } | Deed::Joined | Deed::Left | Deed::Topic { .. } | Deed::Other { .. } => {
                Ok(())
            }
        }
    }

    pub(super) fn apply(&mut self, by: Name, deed: &Deed<'_>, at: Timestamp) {
        match *deed {
            Deed::Joined => {
                self.invitations.retain(|invitation| invitation.name != by);
                let member = Member { name: by, since: at, owner_since: None };
                match self.place(&by) {
                    Ok(place) => self.members[place] = member,
                    Err(place) => {
                        self.members.reserve_exact(1);
                        self.members.insert(place, member);
                    }
                }
            }
            Deed::Left => self.remove(&by),
            Deed::Invited { name } => self.invitations.push(Invitation { name, by, at }),
            Deed::Removed { who } => self.remove(&who.name),
            Deed::Appointed { name } => self.set_owner(&name, Some(at)),
            Deed::Dismissed { name } => self.set_owner(&name, None),
            Deed::Topic { text: "" } => self.topic = None,
            Deed::Topic { text } => self.topic = Some(Box::new(Topic { text: text.into(), by, at })),
            Deed::MadePrivate => (self.access, self.closed) = (Access::Private, Some((at, by))),
            Deed::MadeAnnounce => self.announces = Some((at, by)),
            Deed::MadeOpenToAll => self.announces = None,
            Deed::Created { .. } | Deed::Other { .. } => {}
        }
    }

    fn set_owner(&mut self, name: &Name, owner_since: Option<Timestamp>) {
        if let Ok(place) = self.place(name) {
            self.members[place].owner_since = owner_since;
        }
    }

    fn remove(&mut self, name: &Name) {
        self.invitations.retain(|invitation| invitation.name != *name);
        if let Ok(place) = self.place(name) {
            self.members.remove(place);
        }
    }

    /// From when on a person sees the lines of the room; `None` if they see none.
    pub(super) fn shown_from(&self, name: &Name) -> Option<Timestamp> {
        let member = self.member(name)?;
        Some(if self.is_private() { member.since } else { self.created.0 })
    }
}
