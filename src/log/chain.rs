//! The blocks of the log with a line of some parties (people with a private line, and rooms), found through
//! `blocks.txt`.
//!
//! ```text
//!  the log:  [  ][x ][  ][  ][x ][x ][  ][ what has no line in blocks.txt yet ]
//!                 ^-----------^---^ newest
//! ```
//!
//! Each block names the previous one of each party, so the chains are walked backwards, always from the last block of
//! all. A reader who goes forwards remembers the runs
//! of blocks that are next, a bounded number of them, and walks again once these are used up. All that has no line in
//! `blocks.txt` is read. If a line of the chain is bad, everything is.

use std::io;
use std::ops::Range;

use crate::ids::AccountId;
use crate::limits::{CHAIN_HOPS_PER_STEP, CHAIN_RUNS_MAX, LINE_BYTES_MAX};
use crate::log::blocks::{number_at, start_of};
use crate::log::journal::Journal;
use crate::log::offset::Offset;
use crate::log::storage::File;
use crate::protocol::record::Target;

/// One party, and where its chain is.
#[derive(Debug)]
struct Link {
    party: Target,
    newest: Option<u32>,
    /// The block that a walk has come to; `None` behind the first.
    at: Option<u32>,
}

/// The blocks with a line of some parties.
#[derive(Debug)]
pub struct Chain {
    links: Vec<Link>,
    /// Blocks from this one on are not in the chain, and are read.
    indexed: u32,
    /// Runs of blocks ahead of a reader, each as its first and its last block, the nearest last.
    ahead: Vec<(u32, u32)>,
    phase: Phase,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The chain is walked backwards, towards older lines.
    Backwards,
    /// The runs ahead are collected.
    Collecting { has_dropped: bool },
    /// The runs ahead are read.
    Forwards { has_dropped: bool },
    /// A line of the chain is bad, so every block is read.
    Broken,
}

/// What a reader does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask again in the next step.
    Wait,
    /// Read from here on, up to this offset.
    Read(Offset),
    /// Go on with the first line that begins in this block.
    Skip(u32),
}

impl Chain {
    /// The chain of some parties, as it is now. The account is that of the people among them.
    pub fn new<F: File>(
        journal: &Journal<F>,
        parties: impl Iterator<Item = Target>,
        account: Option<AccountId>,
    ) -> Chain {
        let blocks = journal.blocks();
        let links = parties.map(|party| {
            let account = account.filter(|_| matches!(party, Target::Person(_)));
            let newest = blocks.and_then(|blocks| blocks.latest(&party, account));
            Link { party, newest, at: newest }
        });
        let links = links.collect();
        let indexed = blocks.map_or(0, |blocks| number_at(blocks.end()));
        Chain { links, indexed, ahead: Vec::new(), phase: Phase::Backwards }
    }

    /// The block that the walk has come to; `None` behind the first.
    fn at(&self) -> Option<u32> {
        self.links.iter().filter_map(|link| link.at).max()
    }

    /// Goes to the block before the one that the walk has come to.
    fn hop<F: File>(&mut self, at: u32, journal: &mut Journal<F>) -> io::Result<()> {
        for link in self.links.iter_mut().filter(|link| link.at == Some(at)) {
            let previous = match journal.blocks_mut() {
                Some(blocks) => blocks.previous(at, &link.party)?,
                None => None,
            };
            match previous.filter(|previous| previous.is_none_or(|previous| previous < at)) {
                Some(previous) => link.at = previous,
                None => self.phase = Phase::Broken,
            }
        }
        Ok(())
    }

    /// Passes over the lines of a party from here on: a search backwards needs no more of them.
    pub fn forget(&mut self, party: &Target) {
        if self.phase == Phase::Backwards {
            self.links.iter_mut().filter(|link| link.party == *party).for_each(|link| link.at = None);
        }
    }

    /// The part of the log in which a search backwards goes on that has looked at all lines that begin at `before` or
    /// behind it; `None` if the walk is not there yet. Both ends may be within a line.
    ///
    /// # Errors
    /// Those of reading `blocks.txt`.
    pub fn back<F: File>(
        &mut self,
        before: Offset,
        journal: &mut Journal<F>,
    ) -> io::Result<Option<Range<Offset>>> {
        if self.phase == Phase::Broken || before > start_of(self.indexed) {
            return Ok(Some(Offset::START..before));
        }
        for _ in 0..CHAIN_HOPS_PER_STEP {
            match self.at() {
                None => return Ok(Some(Offset::START..Offset::START)),
                // Lines that begin in it were looked at.
                Some(at) if start_of(at) >= before => self.hop(at, journal)?,
                // The last line that begins in it may end behind it. So may the last one of the block before, and a
                // search must come to the start of a line.
                Some(at) => {
                    let end = start_of(at + 1) + LINE_BYTES_MAX;
                    return Ok(Some(start_of(at).back(LINE_BYTES_MAX)..before.min(end)));
                }
            }
            if self.phase == Phase::Broken {
                return Ok(Some(Offset::START..before));
            }
        }
        Ok(None)
    }

    /// What a reader does whose next line begins at `next`.
    ///
    /// # Errors
    /// Those of reading `blocks.txt`.
    pub fn forwards<F: File>(&mut self, next: Offset, journal: &mut Journal<F>) -> io::Result<Next> {
        let block = number_at(next);
        if self.phase == Phase::Broken || block >= self.indexed {
            return Ok(Next::Read(Offset::MAX));
        }
        if self.phase == Phase::Backwards {
            self.collect();
        }
        if let Phase::Collecting { has_dropped } = self.phase {
            return self.walk(block, has_dropped, journal);
        }
        while let Some(&(first, last)) = self.ahead.last() {
            if block < first {
                return Ok(Next::Skip(first));
            }
            if block <= last {
                return Ok(Next::Read(start_of(last + 1)));
            }
            self.ahead.pop();
        }
        if self.phase == (Phase::Forwards { has_dropped: true }) {
            self.collect();
            return Ok(Next::Wait);
        }
        Ok(Next::Skip(self.indexed))
    }

    fn collect(&mut self) {
        self.links.iter_mut().for_each(|link| link.at = link.newest);
        self.phase = Phase::Collecting { has_dropped: false };
        self.ahead.clear();
    }

    /// Collects the runs down to `block`, of which the last ones are dropped if there are too many.
    fn walk<F: File>(
        &mut self,
        block: u32,
        mut has_dropped: bool,
        journal: &mut Journal<F>,
    ) -> io::Result<Next> {
        for _ in 0..CHAIN_HOPS_PER_STEP {
            let Some(at) = self.at().filter(|&at| at >= block) else {
                self.phase = Phase::Forwards { has_dropped };
                return Ok(Next::Wait);
            };
            match self.ahead.last_mut() {
                Some((first, _)) if *first == at + 1 => *first = at,
                _ => {
                    if self.ahead.len() == CHAIN_RUNS_MAX {
                        self.ahead.remove(0);
                        has_dropped = true;
                    }
                    self.ahead.push((at, at));
                }
            }
            self.hop(at, journal)?;
            if self.phase == Phase::Broken {
                return Ok(Next::Wait);
            }
        }
        self.phase = Phase::Collecting { has_dropped };
        Ok(Next::Wait)
    }
}
