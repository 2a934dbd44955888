//! What a login shows of the messages that were missed: of the private ones the newest from each sender, of the
//! public ones the newest of all.
//!
//! It is counted backwards from the end of the log to the last message that was seen, and then read forwards. A
//! bounded number of senders is counted one by one; all others have one allowance together.

use std::fmt::Write;

use crate::limits::{REPLAY_PRIVATE_MAX, REPLAY_SENDERS_MAX};
use crate::name::Name;
use crate::record::{Audience, Ends};

/// What is shown of the messages between the last one seen and the end of the log at the login.
#[derive(Debug)]
pub struct Replay {
    /// Where the log ended at the login.
    pub until: u64,
    /// Public messages still to be counted.
    public_wanted: u64,
    /// From here on, public messages are shown, and private ones that the reader sent from elsewhere.
    public_from: u64,
    /// The account is new: nobody can have sent it anything.
    is_first: bool,
    senders: Vec<Sender>,
}

/// Who sent the reader private messages; without a name, all for whom there was no room.
#[derive(Debug)]
struct Sender {
    name: Option<Name>,
    count: u64,
    /// The first message that is shown.
    from: u64,
}

impl Replay {
    /// Begins to count from `until` backwards.
    pub fn new(until: u64, public_wanted: u32, is_first: bool) -> Replay {
        Replay {
            until,
            public_wanted: public_wanted.into(),
            public_from: u64::MAX,
            is_first,
            senders: Vec::new(),
        }
    }

    /// Whether [`Replay::count`] is to be told of a message.
    pub fn counts(&self, ends: &Ends<'_>, reader: &Name) -> bool {
        match ends.to {
            Audience::Public => self.public_wanted > 0,
            Audience::Private(to) => !self.is_first && reader.is(to),
        }
    }

    /// Counts a message that begins at `offset` and is before all that were counted. Returns whether that was the
    /// last one that matters.
    pub fn count(&mut self, offset: u64, ends: &Ends<'_>) -> bool {
        if ends.to == Audience::Public {
            // Of a chunk, more may be marked than is wanted.
            if self.public_wanted > 0 {
                self.public_wanted -= 1;
                self.public_from = offset;
            }
            return self.public_wanted == 0 && self.is_first;
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
            self.senders.push(Sender { name, count: 0, from: u64::MAX });
            self.senders.len() - 1
        });
        &mut self.senders[at]
    }

    /// All is counted down to `floor`. Returns where the first message is that may be shown.
    pub fn counted(&mut self, floor: u64) -> u64 {
        if self.public_wanted > 0 {
            self.public_from = floor;
        }
        let private_from = self.senders.iter().map(|sender| sender.from).min();
        private_from.unwrap_or(u64::MAX).min(self.public_from)
    }

    /// Whether a message that begins at `offset` and that the reader may see is shown.
    pub fn shows(&self, offset: u64, ends: &Ends<'_>, reader: &Name) -> bool {
        match ends.to {
            Audience::Private(to) if reader.is(to) => {
                let sender = self.senders.iter().find(|sender| sender.is(ends.from));
                let sender = sender.or_else(|| self.senders.iter().find(|sender| sender.name.is_none()));
                sender.is_none_or(|sender| offset >= sender.from)
            }
            _ => offset >= self.public_from,
        }
    }

    /// Whether there are messages that are not shown and of which the reader is to be told.
    pub fn omits_private(&self) -> bool {
        self.senders.iter().any(|sender| sender.count > REPLAY_PRIVATE_MAX)
    }

    /// What the reader is told of them, as lines.
    pub fn omissions(&self) -> String {
        let mut lines = String::new();
        for Sender { name, count, .. } in self.senders.iter().filter(|it| it.count > REPLAY_PRIVATE_MAX) {
            let more = count - REPLAY_PRIVATE_MAX;
            match name {
                Some(name) => writeln!(lines, "* {more} more from {name}: /history {name}"),
                None => writeln!(lines, "* {more} more from others: /history"),
            }
            .expect("writing to a string cannot fail");
        }
        lines
    }
}

impl Sender {
    fn is(&self, name: &[u8]) -> bool {
        self.name.is_some_and(|it| it.is(name))
    }
}
