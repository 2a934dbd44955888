//! The answers to `/users #ROOM` and `/rooms`, a page at a time.

use std::collections::BTreeSet;

use super::Chat;
use crate::ids::AccountId;
use crate::limits::USERS_PAGE_BYTES;
use crate::protocol::name::Name;
use crate::protocol::reply::{About, Names, Notice};
use crate::protocol::room::RoomName;
use crate::state::rooms::Room;

/// Where a list of rooms goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoomsFrom {
    /// With the rooms of the account.
    #[default]
    Start,
    /// With those that follow this one.
    Own(RoomName),
    /// With all to which it is invited, and the open rooms.
    Others,
    /// With the open rooms that follow this one.
    Open(RoomName),
}

impl Chat {
    /// Calls `reply` with a page of the answer to `/users #ROOM`: members that follow `after`. Returns where it goes
    /// on; `None` if it is complete.
    pub fn members_page(
        &self,
        name: &RoomName,
        after: Option<&Name>,
        mut reply: impl FnMut(Notice<'_>),
    ) -> Option<Name> {
        let room = self.state().rooms().get(name)?;
        let members = room.members();
        let from = after.map_or(0, |after| members.partition_point(|member| member.name <= *after));
        let (mut online, mut others, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        let (mut bytes, mut last) = (0, None);
        for member in &members[from..] {
            if bytes > USERS_PAGE_BYTES {
                break;
            }
            bytes += member.name.as_bytes().len() + 1;
            let account = self.accounts().find(&member.name);
            let is_online = account.is_some_and(|account| self.newest_session(account).is_some());
            if is_online { &mut online } else { &mut others }.push(member.name);
            if member.is_owner() {
                owners.push(member.name);
            }
            last = Some(member.name);
        }
        if !online.is_empty() {
            reply(Notice::UsersOf { room: room.name(), names: Names(online.into()) });
        }
        if !others.is_empty() {
            reply(Notice::AwayOf { room: room.name(), names: Names(others.into()) });
        }
        if !owners.is_empty() {
            reply(Notice::OwnersOf { room: room.name(), names: Names(owners.into()) });
        }
        last = last.filter(|last| members.last().is_some_and(|member| member.name != *last));
        if last.is_none() {
            reply(Notice::RoomMembers { room: room.name(), count: members.len() as u64 });
        }
        last
    }

    /// Calls `reply` with a page of the answer to `/rooms`. Returns where it goes on; `None` if it is complete.
    pub fn rooms_page(
        &self,
        account: AccountId,
        from: RoomsFrom,
        mut reply: impl FnMut(Notice<'_>),
    ) -> Option<RoomsFrom> {
        let (name, rooms) = (&self.accounts()[account].name, self.state().rooms());
        let mut bytes = 0;
        let mut list = |room: &Room, is_own: bool| {
            let about = About {
                members: room.members().len() as u64,
                is_private: room.is_private(),
                announces: room.announces(),
                topic: room.topic(),
            };
            bytes += ROOM_BYTES + room.topic().len();
            let room = room.name();
            reply(if is_own { Notice::OwnRoom { room, about } } else { Notice::OpenRoom { room, about } });
            bytes > USERS_PAGE_BYTES
        };
        if let RoomsFrom::Start | RoomsFrom::Own(_) = from {
            let own =
                rooms.of(name).iter().filter(|room| !matches!(from, RoomsFrom::Own(last) if **room <= last));
            let mut own = own.filter_map(|room| rooms.get(room));
            let last = own.find(|room| list(room, true));
            return Some(last.map_or(RoomsFrom::Others, |room| RoomsFrom::Own(room.name())));
        }
        let after = match from {
            RoomsFrom::Open(after) => Some(after),
            _ => None,
        };
        let mut others = rooms.open_after(after).filter(|room| room.member(name).is_none());
        let last = others.find(|room| list(room, false)).map(Room::name);
        if after.is_none() {
            let mut invitations = BTreeSet::new();
            invitations.extend(rooms.invitations_of(name).map(Room::name));
            let shown = invitations.into_iter().take(INVITATIONS_SHOWN_MAX);
            shown.for_each(|room| reply(Notice::InvitedTo { room }));
        }
        if last.is_none() {
            let own = rooms.of(name).iter().filter_map(|room| rooms.get(room));
            let count = rooms.open_len() + own.filter(|room| room.is_private()).count();
            reply(Notice::Rooms { count: count as u64 });
        }
        last.map(RoomsFrom::Open)
    }
}

/// About how long a line of `/rooms` is without the topic.
const ROOM_BYTES: usize = 64;
/// The most invitations that `/rooms` lists.
const INVITATIONS_SHOWN_MAX: usize = 50;
