//! The choice of missed messages that a login shows: the latest private ones from each sender, and the latest ones of
//! every other conversation.
//!
//! The messages are counted backwards from the end of the log to the last one that was seen, and then read forwards, in
//! which each conversation has one start. A bounded number of senders is counted one by one; all others share one
//! allowance. An account is in a bounded number of rooms.

use std::fmt::Write;

use crate::limits::{REPLAY_PRIVATE_MAX, REPLAY_SENDERS_MAX};
use crate::log::offset::Offset;
use crate::protocol::name::Name;
use crate::protocol::record::{Audience, Ends};
use crate::protocol::reply::{Notice, Reply};
use crate::protocol::room::RoomName;

/// Counts the messages between the last one seen and the end of the log, and decides which are shown.
#[derive(Debug)]
pub struct Replay {
    /// The end of the log at the login.
    pub until: Offset,
    /// Lines of each room that are shown.
    wanted: u64,
    /// Public messages still to be counted.
    public_wanted: u64,
    /// The offset from which public messages are shown, and private ones that the reader sent from other sessions.
    public_from: Offset,
    /// The account is new, so it has no private messages.
    is_first: bool,
    senders: Vec<Sender>,
    rooms: Vec<OfRoom>,
}

/// What is counted of a room.
#[derive(Debug)]
struct OfRoom {
    room: RoomName,
    count: u64,
    /// The first line that is shown.
    from: Offset,
}

/// A sender of private messages to the reader; without a name, all senders for which there was no room.
#[derive(Debug)]
struct Sender {
    name: Option<Name>,
    count: u64,
    /// The first message that is shown.
    from: Offset,
}

impl Replay {
    /// Starts counting backwards from `until`.
    pub fn new(until: Offset, public_wanted: u32, is_first: bool) -> Replay {
        Replay {
            until,
            wanted: public_wanted.into(),
            public_wanted: public_wanted.into(),
            public_from: Offset::MAX,
            is_first,
            senders: Vec::new(),
            rooms: Vec::new(),
        }
    }

    /// Whether a message must be passed to [`Replay::count`].
    pub fn counts(&self, ends: &Ends<'_>, reader: &Name) -> bool {
        match ends.to {
            Audience::Public => self.public_wanted > 0,
            Audience::Room(room) => {
                let of_room = self.rooms.iter().find(|it| it.room.is(room));
                !self.is_first && of_room.is_none_or(|it| it.count < self.wanted)
            }
            Audience::Private(to) => !self.is_first && reader.is(to),
        }
    }

    /// Counts a message that begins at `offset`, before all messages counted so far. Returns whether no further message
    /// matters.
    pub fn count(&mut self, offset: Offset, ends: &Ends<'_>) -> bool {
        match ends.to {
            Audience::Public => {
                // A chunk may have more marked messages than are wanted.
                if self.public_wanted > 0 {
                    self.public_wanted -= 1;
                    self.public_from = offset;
                }
                return self.public_wanted == 0 && self.is_first;
            }
            Audience::Room(room) => {
                let place = self.rooms.iter().position(|it| it.room.is(room));
                let place = place.unwrap_or_else(|| {
                    let room = RoomName::without_sign(room).expect("it was judged to be a room's name");
                    self.rooms.push(OfRoom { room, count: 0, from: offset });
                    self.rooms.len() - 1
                });
                let of_room = &mut self.rooms[place];
                if of_room.count < self.wanted {
                    (of_room.count, of_room.from) = (of_room.count + 1, offset);
                }
                return false;
            }
            Audience::Private(_) => {}
        }
        let sender = self.sender(ends.from);
        sender.count += 1;
        if sender.count <= REPLAY_PRIVATE_MAX {
            sender.from = offset;
        }
        false
    }

    fn sender(&mut self, name: &[u8]) -> &mut Sender {
        let is_room = self.senders.len() < REPLAY_SENDERS_MAX;
        let known = self.senders.iter().position(|sender| sender.is(name));
        let unnamed = || self.senders.iter().position(|sender| sender.name.is_none());
        let at = known.or_else(|| if is_room { None } else { unnamed() });
        let at = at.unwrap_or_else(|| {
            let name = if is_room { Name::parse(name) } else { None };
            self.senders.push(Sender { name, count: 0, from: Offset::MAX });
            self.senders.len() - 1
        });
        &mut self.senders[at]
    }

    /// Whether the account is new.
    pub fn is_first(&self) -> bool {
        self.is_first
    }

    /// A room of which everything that is shown was counted, if a line of it was counted last.
    pub fn is_complete(&self, room: &[u8]) -> Option<RoomName> {
        let of_room = self.rooms.iter().find(|it| it.room.is(room));
        of_room.filter(|it| it.count == self.wanted).map(|it| it.room)
    }

    /// Whether no public messages are still to be counted, and others may be.
    pub fn counts_only_chained(&self) -> bool {
        self.public_wanted == 0 && !self.is_first
    }

    /// Before this offset, no public messages are shown.
    pub fn public_from(&self) -> Offset {
        self.public_from
    }

    /// Ends the count at `floor`. Returns the offset of the first message that may be shown.
    pub fn counted(&mut self, floor: Offset) -> Offset {
        if self.public_wanted > 0 {
            self.public_from = floor;
        }
        let senders = self.senders.iter().map(|sender| sender.from);
        let others = senders.chain(self.rooms.iter().map(|room| room.from)).min();
        others.unwrap_or(Offset::MAX).min(self.public_from)
    }

    /// Whether a message that begins at `offset` and that the reader may see is shown.
    pub fn shows(&self, offset: Offset, ends: &Ends<'_>, reader: &Name) -> bool {
        match ends.to {
            Audience::Private(to) if reader.is(to) => {
                let sender = self.senders.iter().find(|sender| sender.is(ends.from));
                let sender = sender.or_else(|| self.senders.iter().find(|sender| sender.name.is_none()));
                sender.is_none_or(|sender| offset >= sender.from)
            }
            Audience::Room(room) => {
                let of_room = self.rooms.iter().find(|it| it.room.is(room));
                of_room.is_none_or(|it| offset >= it.from)
            }
            Audience::Public | Audience::Private(_) => offset >= self.public_from,
        }
    }

    /// Whether private messages are omitted, which the reader must be told.
    pub fn omits_private(&self) -> bool {
        self.senders.iter().any(|sender| sender.count > REPLAY_PRIVATE_MAX)
    }

    /// Returns the notices about them, as lines.
    pub fn omissions(&self) -> String {
        let mut lines = String::new();
        for Sender { name, count, .. } in self.senders.iter().filter(|it| it.count > REPLAY_PRIVATE_MAX) {
            let more = count - REPLAY_PRIVATE_MAX;
            let notice = match name {
                Some(name) => Notice::MoreFrom { more, name: *name },
                None => Notice::MoreFromOthers { more },
            };
            writeln!(lines, "{}", Reply::from(notice)).expect("writing to a string cannot fail");
        }
        lines
    }
}

impl Sender {
    fn is(&self, name: &[u8]) -> bool {
        self.name.is_some_and(|it| it.is(name))
    }
}
