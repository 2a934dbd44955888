//! What a cursor shows of the log.

use crate::log::offset::Offset;
use crate::log::replay::Replay;
use crate::protocol::name::Name;
use crate::protocol::record::{Ends, Timestamp};

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
    /// Only the private messages to and from this name.
    pub with: Option<Name>,
    /// The last messages still to be counted; `None` for all.
    pub wanted: Option<u64>,
    /// Where it ends.
    pub until: Offset,
    /// The end of the log and its last timestamp at the request, up to which the reader has seen everything.
    pub resume: Offset,
    pub resume_after: Timestamp,
}

impl Part {
    /// Whether a message that the reader may see is shown.
    pub fn shows(&self, offset: Offset, ends: &Ends<'_>, reader: &Name) -> bool {
        match self {
            Part::All => true,
            Part::Replay(replay) => replay.shows(offset, ends, reader),
            Part::History(history) => history.with.is_none_or(|with| ends.is_between(reader, &with)),
        }
    }

    /// Before this offset, only private messages of the reader are shown.
    pub fn only_private_before(&self) -> Offset {
        match self {
            Part::Replay(replay) => replay.public_from(),
            Part::History(history) if history.with.is_some() => Offset::MAX,
            Part::All | Part::History(_) => Offset::START,
        }
    }

    /// Whether only private messages of the reader are still to be counted.
    pub fn counts_only_private(&self) -> bool {
        match self {
            Part::Replay(replay) => replay.counts_only_private(),
            Part::History(history) => history.with.is_some(),
            Part::All => false,
        }
    }

    /// Whether a search backwards must pass a message to [`Part::count`].
    pub fn counts(&self, ends: &Ends<'_>, reader: &Name) -> bool {
        match self {
            Part::Replay(replay) => replay.counts(ends, reader),
            Part::All | Part::History(_) => {
                ends.visible_to(reader) && self.shows(Offset::START, ends, reader)
            }
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
