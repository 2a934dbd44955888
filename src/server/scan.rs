//! The scan of the whole log after startup, a slice in each turn. It verifies every block and every line, applies the
//! events, and reserves every name without an account, so that nobody can register the name and receive its private
//! messages.
//!
//! If `state.txt` knows the names and the state up to some place, the scan begins there. Once it has come to the end,
//! people can log in and register. Then it verifies the log from the beginning on.

use std::io;

use log::{error, info, warn};

use super::{Fatal, Server, fatal};
use crate::clock::World;
use crate::limits::{CATCH_UP_CHUNK_BYTES, Micros, RESERVED_NAMES_MAX, SCAN_CHUNKS_PER_TURN, SCAN_RETRY_US};
use crate::log::chunk::Chunk;
use crate::log::journal::{Journal, LOG_FILE};
use crate::log::judge::Judge;
use crate::log::offset::Offset;
use crate::log::storage::{File, Storage};
use crate::protocol::name::Name;
use crate::protocol::record::{Audience, Timestamp, UNKNOWN_DEED};
use crate::session::Chat;
use crate::state::durable::State;
use crate::state::event::Event;
use crate::transport::net::Net;

/// A scan in progress.
pub(super) struct Scan {
    /// All names before this place were known when the server started. The scan begins there, and then once more at the
    /// beginning of the log; 0 in this second part.
    scanned: Offset,
    next: Offset,
    /// The end of the log at startup. Later messages were written by existing accounts.
    end: Offset,
    judge: Judge,
    /// Damaged bytes, how many contiguous places they form, and the offset of the first.
    damaged: u64,
    places: u64,
    first_damaged: Option<Offset>,
    /// Whether its events are not part of the state yet.
    begins_unknown: bool,
    /// Events that the ones before them do not allow, and the first of them, with what is wrong.
    refused: u64,
    first_refused: Option<(Offset, &'static str)>,
    /// The time of the last message before damage that may hide events.
    hides_until: Option<Timestamp>,
    /// Whether it has applied an event, which `state.txt` lacks.
    has_events: bool,
    /// Where an event of an unknown kind is that is not part of the state.
    unknown: Option<Offset>,
    /// Whether the last byte read was damaged.
    is_in_damage: bool,
    /// After an error, the time of the next attempt; 0 before the first one.
    retry_us: Micros,
    /// Names that were handled already, by a hash of their bytes.
    known: Box<[Option<Name>; 256]>,
}

impl Scan {
    /// Starts behind the first `scanned` bytes of the log, whose names are known. Returns `None` if the log is empty.
    pub fn new<F: File>(journal: &Journal<F>, scanned: u64) -> Option<Scan> {
        let scanned = Offset::after(scanned);
        (journal.end() > Offset::START).then(|| Scan {
            scanned,
            next: scanned,
            end: journal.end(),
            judge: Judge::after(Timestamp::default()),
            damaged: 0,
            places: 0,
            first_damaged: None,
            begins_unknown: scanned < journal.end(),
            refused: 0,
            first_refused: None,
            hides_until: None,
            has_events: false,
            unknown: None,
            is_in_damage: false,
            retry_us: 0,
            known: Box::new([None; 256]),
        })
    }

    /// Whether it has nothing to look at before all names are known.
    pub fn knows_names(&self) -> bool {
        self.scanned >= self.end
    }

    /// The second part, which verifies everything from the beginning on.
    fn verification(self) -> Scan {
        Scan {
            scanned: Offset::START,
            next: Offset::START,
            judge: Judge::after(Timestamp::default()),
            damaged: 0,
            places: 0,
            first_damaged: None,
            begins_unknown: false,
            is_in_damage: false,
            ..self
        }
    }

    /// When it continues.
    pub fn due_us(&self) -> Micros {
        self.retry_us
    }

    /// Applies the messages of a chunk. This reserves the names in them.
    fn look_at(&mut self, chunk: &Chunk, chat: &mut Chat) {
        let mut judge = self.judge;
        let mut last = judge.last();
        for judged in chunk.lines(&mut judge) {
            if self.begins_unknown && judged.verdict == Err(UNKNOWN_DEED) {
                self.unknown = Some(chunk.start() + judged.range.start);
            }
            let Ok(message) = judged.verdict else {
                self.damaged += judged.range.len() as u64;
                self.places += u64::from(!std::mem::replace(&mut self.is_in_damage, true));
                let offset = chunk.start() + judged.range.start;
                self.first_damaged = self.first_damaged.or(Some(offset));
                // What the power failed in was shown to nobody: a last line without an ending, for which there was no
                // room elsewhere, and zeroes behind what `state.txt` knows. In front of that they can be anything.
                let line = chunk.line(&judged.range);
                let is_last = offset + line.len() == self.end && !line.ends_with(b"\n");
                let is_torn = is_last || self.scanned > Offset::START && line.contains(&0);
                if self.begins_unknown && !is_torn {
                    self.hides_until = Some(last);
                }
                continue;
            };
            (self.is_in_damage, last) = (false, message.timestamp);
            let to = match message.ends.to {
                Audience::Private(to) => Some(to),
                Audience::Public | Audience::Room(_) => None,
            };
            // Nearly every message has only names that were applied already, and changes nothing.
            let is_from_new = self.is_new(message.ends.from);
            let is_news = match message.ends.is_deed {
                // Those before this place are part of the state already.
                true => self.begins_unknown,
                false => to.is_some_and(|to| self.is_new(to)) || is_from_new,
            };
            self.has_events |= is_news && message.ends.is_deed;
            if is_news
                && let Some(event) =
                    Event::of_line(chunk.line(&judged.range), message.timestamp, &message.ends)
                && let Err(what) = chat.recover(&event)
            {
                let offset = chunk.start() + judged.range.start;
                self.refused += 1;
                self.first_refused = self.first_refused.or(Some((offset, what)));
            }
        }
        self.judge = judge;
        self.next = chunk.end();
    }

    /// Whether a name was not seen a short while ago. It is not new the next time.
    fn is_new(&mut self, name: &[u8]) -> bool {
        let hash = name.iter().fold(0_u8, |hash, &byte| hash.wrapping_mul(31).wrapping_add(byte));
        let known = &mut self.known[usize::from(hash)];
        if known.is_some_and(|known| known.as_bytes() == name) {
            return false;
        }
        *known = Name::parse(name);
        true
    }

    fn report(&self, state: &State) {
        let reserved = state.accounts().reserved().len();
        match self.first_damaged {
            None => info!("{LOG_FILE}: all {} bytes are good; names reserved: {reserved}", self.end),
            Some(first) => warn!(
                "{LOG_FILE}: damaged: {} bytes in {} places, the first at byte {first}; they stay, and are not shown; \
                 --check names each; names reserved: {reserved}",
                self.damaged, self.places
            ),
        }
        if let Some((offset, what)) = self.first_refused {
            warn!(
                "{LOG_FILE}: byte {offset}: {what}; such events: {}; they were left out: somebody or something altered \
                 the log",
                self.refused
            );
        }
        if state.has_lost_names() {
            warn!(
                "{LOG_FILE}: it holds more than {RESERVED_NAMES_MAX} names without an account, which cannot all be \
                 reserved: registration stays closed"
            );
        }
    }
}

impl<N: Net, S: Storage> Server<N, S> {
    /// Scans a bounded part of the log.
    ///
    /// # Errors
    /// A newer version wrote the log: what it means by its events is unknown, so nobody may be let in.
    pub(super) fn scan(&mut self, world: &mut dyn World) -> Result<(), Fatal> {
        let Some(mut scan) = self.scan.take_if(|scan| scan.retry_us <= self.now.mono_us) else {
            return Ok(());
        };
        scan.judge.set_latest(self.journal.last());
        for _ in 0..SCAN_CHUNKS_PER_TURN {
            if let Some(offset) = scan.unknown {
                let why = format!(
                    "byte {offset}: an event of an unknown kind: a newer version of chinwagd wrote it, or it is damaged"
                );
                return Err(fatal(LOG_FILE)(io::Error::new(io::ErrorKind::InvalidData, why)));
            }
            if scan.next >= scan.end {
                self.scan = self.end_scan(scan, world);
                return Ok(());
            }
            match self.chunk.read(&mut self.journal, scan.next, scan.end, CATCH_UP_CHUNK_BYTES) {
                Ok(false) => {}
                Ok(true) => scan.look_at(&self.chunk, &mut self.chat),
                Err(why) => {
                    if scan.retry_us == 0 {
                        let effect =
                            if self.chat.knows_names() { "" } else { ", so that nobody can register" };
                        error!("{LOG_FILE}: cannot be read{effect}: {why}");
                    }
                    scan.retry_us = self.now.mono_us + SCAN_RETRY_US;
                    break;
                }
            }
        }
        self.scan = Some(scan);
        Ok(())
    }

    /// Acts on the end of the scan, or of its first part; returns the second part then.
    fn end_scan(&mut self, scan: Scan, world: &mut dyn World) -> Option<Scan> {
        let is_first_part = scan.scanned > Offset::START;
        if !is_first_part {
            scan.report(self.chat.state());
        }
        if let Some(until) = scan.hides_until {
            let closed = self.chat.close_rooms(until);
            if closed > 0 {
                error!(
                    "{LOG_FILE}: damaged, and state.txt lacks events: nobody knows who left which room, so {closed} \
                     rooms stay closed; restore {LOG_FILE} or state.txt from a backup"
                );
            }
        }
        if scan.has_events {
            self.checkpoint.lacks_event();
        }
        self.chat.names_known(&mut self.stage.context(self.now, world));
        self.keep_names();
        is_first_part.then(|| scan.verification())
    }
}
