//! The scan of the whole log after startup, a slice in each turn. It verifies every block and every line, and
//! reserves every name without an account, so that nobody can register the name and receive its private messages.
//!
//! If `state.txt` knows the names up to some place, the scan begins there, and once it has come to the end,
//! registration is open. Then it verifies the log from the beginning on.

use log::{error, info, warn};

use super::Server;
use crate::clock::World;
use crate::limits::{CATCH_UP_CHUNK_BYTES, Micros, RESERVED_NAMES_MAX, SCAN_CHUNKS_PER_TURN, SCAN_RETRY_US};
use crate::log::chunk::Chunk;
use crate::log::journal::{Journal, LOG_FILE};
use crate::log::judge::Judge;
use crate::log::offset::Offset;
use crate::log::storage::{File, Storage};
use crate::protocol::name::Name;
use crate::protocol::record::{Audience, Timestamp};
use crate::session::Chat;
use crate::state::durable::State;
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
            is_in_damage: false,
            retry_us: 0,
            known: Box::new([None; 256]),
        })
    }

    /// Whether it has nothing to look at before all names are known.
    pub fn knows_names(&self) -> bool {
        self.scanned >= self.end
    }

    /// Up to where all names are known.
    pub fn scanned(&self) -> Offset {
        self.scanned
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
        for judged in chunk.lines(&mut judge) {
            let Ok(message) = judged.verdict else {
                self.damaged += judged.range.len() as u64;
                self.places += u64::from(!std::mem::replace(&mut self.is_in_damage, true));
                let offset = chunk.start() + judged.range.start;
                self.first_damaged = self.first_damaged.or(Some(offset));
                continue;
            };
            self.is_in_damage = false;
            let to = match message.ends.to {
                Audience::Private(to) => Some(to),
                Audience::Public => None,
            };
            // Nearly every message has only names that were applied already, and changes nothing.
            let is_from_new = self.is_new(message.ends.from);
            if to.is_some_and(|to| self.is_new(to)) || is_from_new {
                chat.recover_message(&message.ends);
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
    pub(super) fn scan(&mut self, world: &mut dyn World) {
        let Some(mut scan) = self.scan.take_if(|scan| scan.retry_us <= self.now.mono_us) else { return };
        scan.judge.set_latest(self.journal.last());
        for _ in 0..SCAN_CHUNKS_PER_TURN {
            if scan.next >= scan.end {
                self.scan = self.end_scan(scan, world);
                return;
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
    }

    /// Acts on the end of the scan, or of its first part; returns the second part then.
    fn end_scan(&mut self, scan: Scan, world: &mut dyn World) -> Option<Scan> {
        let is_first_part = scan.scanned > Offset::START;
        if !is_first_part {
            scan.report(self.chat.state());
        }
        self.chat.names_known(&mut self.stage.context(self.now, world));
        self.keep_names();
        is_first_part.then(|| scan.verification())
    }
}
