//! What a cursor shows of the log.

use crate::log::judge::Message;
use crate::log::offset::Offset;
use crate::log::reader::Reader;
use crate::log::replay::Replay;
use crate::protocol::record::{Audience, Ends, Target, Timestamp};

/// Which lines are shown.
#[derive(Debug)]
pub enum Part {
    /// All lines that the reader may see.
    All,
    /// The missed messages that a login shows.
    Replay(Box<Replay>),
    /// The requested part of the history.
    History(Box<History>),
}

/// A requested part of the history.
#[derive(Debug)]
pub struct History {
    /// Only this conversation: a room, or the private messages to and from a person.
    pub with: Option<Target>,
    /// The last messages still to be counted; `None` for all.
    pub wanted: Option<u64>,
    /// Where it ends.
    pub until: Offset,
    /// The end of the log and its last timestamp at the request, up to which the reader has seen everything.
    pub resume: Offset,
    pub resume_after: Timestamp,
}

impl History {
    fn has(&self, message: &Message<'_>, reader: &Reader<'_>) -> bool {
        match (self.with, message.ends.to) {
            (None, _) | (Some(Target::Everyone), Audience::Public) => true,
            (Some(Target::Person(with)), _) => message.ends.is_between(&reader.name, &with),
            (Some(Target::Room(room)), Audience::Room(name)) => room.is(name),
            _ => false,
        }
    }

    /// Whether all of it is found through the chain.
    pub fn is_chained(&self) -> bool {
        matches!(self.with, Some(Target::Room(_) | Target::Person(_)))
    }
}

impl Part {
    /// Whether a message that the reader may see is shown.
    pub fn shows(&self, offset: Offset, message: &Message<'_>, reader: &Reader<'_>) -> bool {
        match self {
            Part::All => true,
            Part::Replay(replay) => replay.shows(offset, &message.ends, &reader.name),
            Part::History(history) => history.has(message, reader),
        }
    }

    /// Before this offset, only lines in the chain are shown.
    pub fn only_chained_before(&self) -> Offset {
        match self {
            Part::Replay(replay) => replay.public_from(),
            Part::History(history) if history.is_chained() => Offset::MAX,
            Part::All | Part::History(_) => Offset::START,
        }
    }

    /// Whether only lines in the chain are still to be counted.
    pub fn counts_only_chained(&self) -> bool {
        match self {
            Part::Replay(replay) => replay.counts_only_chained(),
            Part::History(history) => history.is_chained(),
            Part::All => false,
        }
    }

    /// Whether a search backwards must pass a message to [`Part::count`].
    pub fn counts(&self, message: &Message<'_>, reader: &Reader<'_>) -> bool {
        reader.sees(message)
            && match self {
                Part::Replay(replay) => replay.counts(&message.ends, &reader.name),
                Part::All | Part::History(_) => self.shows(Offset::START, message, reader),
            }
    }

    /// Counts a message. Returns whether it is the first one to be shown.
    pub fn count(&mut self, offset: Offset, ends: &Ends<'_>) -> bool {
        match self {
            Part::Replay(replay) => replay.count(offset, ends),
            Part::History(history) => {
                history.wanted = history.wanted.map(|wanted| wanted - 1);
                history.wanted == Some(0)
            }
            Part::All => unreachable!("nothing is counted"),
        }
    }

    /// Ends the count at `found`. Returns where reading begins.
    pub fn counted(&mut self, found: Offset) -> Offset {
        match self {
            Part::Replay(replay) => replay.counted(found),
            Part::All | Part::History(_) => found,
        }
    }
}
