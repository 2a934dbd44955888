//! Startup: recovers the data directory, in the order in which its files depend on each other.

use std::io;

use log::info;

use super::admission::Strangers;
use super::answers::Answers;
use super::clock::Clock;
use super::commit::{FileTimers, Stage};
use super::delivery::Flushed;
use super::indexing::Indexing;
use super::scan::Scan;
use super::seen::ReadMarks;
use super::{Fatal, Options, Scratch, Server, fatal};
use crate::clock::Now;
use crate::limits::CONNECTIONS_RESERVED_MAX;
use crate::log::chunk::Chunk;
use crate::log::journal::{Journal, LOG_FILE};
use crate::log::offset::Offset;
use crate::log::recovery::RecoverError;
use crate::log::storage::{File, Storage};
use crate::session::Chat;
use crate::session::quota::ByteLimits;
use crate::state::checkpoint::{Checkpoint, CheckpointFile, Known};
use crate::state::event::Event;
use crate::state::marks::SeenFile;
use crate::state::users_file::{USERS_FILE, UsersFile};
use crate::transport::feed::Feed;
use crate::transport::net::Net;
use crate::transport::reactor::Reactor;

impl<N: Net, S: Storage> Server<N, S> {
    /// Recovers the data directory and returns a server that is ready for its first turn. `now` is the time of the
    /// start.
    ///
    /// # Errors
    /// The data directory cannot be used; the message names the file.
    pub fn new(net: N, mut storage: S, options: Options, now: Now) -> Result<Server<N, S>, Fatal> {
        // Where a file cannot be opened, the error names its path.
        let recovering = |file| {
            move |why| match why {
                RecoverError::Io(_) => Fatal { what: "the data directory", why },
                RecoverError::Damaged(_) => Fatal { what: file, why },
            }
        };
        let mut known = Known::of(&mut storage).map_err(fatal("the data directory"))?;
        let Checkpoint { log, users, scanned } = known.checkpoint;
        require_log(&mut storage).map_err(fatal("the data directory"))?;
        let mut journal = Journal::recover(&mut storage, options.sync, log).map_err(recovering(LOG_FILE))?;
        let (users, mut state) = UsersFile::recover(&mut storage, journal.end() > Offset::START, users)
            .map_err(recovering(USERS_FILE))?;
        let seen = SeenFile::recover(&mut storage, &mut state, journal.last())
            .map_err(fatal("the data directory"))?;
        known.reserved.iter().for_each(|name| state.apply(&Event::Trace(*name)));
        if scanned > 0 {
            state.set_rooms(std::mem::take(&mut known.rooms));
        }
        let scan = Scan::new(&journal, scanned);
        let are_names_known = scan.as_ref().is_none_or(Scan::knows_names);
        let scanned = if are_names_known { journal.mark().map_or(0, |log| log.length) } else { scanned };
        let checkpoint = Checkpoint::new(journal.mark(), users.mark(), scanned);
        let checkpoint = CheckpointFile::recover(&mut storage, known, checkpoint, &state);
        journal
            .open_blocks(&mut storage, &|name| state.accounts().find(name))
            .map_err(fatal("the data directory"))?;
        let reserved = state.accounts().iter().filter(|(_, account)| account.credential().is_none()).count();
        let reserved = if reserved == 0 { String::new() } else { format!(", reserved: {reserved}") };
        let accounts = format!("accounts: {}{reserved}", state.accounts().len());
        match journal.end() {
            Offset::START => info!("{accounts}; history: empty"),
            end => info!("{accounts}; history: {end} bytes, up to {}", journal.last()),
        }
        let mut rules = options.rules;
        if options.rate.is_none() {
            rules.bytes = ByteLimits { daily: None, first_day: None };
            rules.limits_moves = false;
        }
        let reserved = options.max_connections.min(CONNECTIONS_RESERVED_MAX);
        let wall_us = now.wall_us.max(journal.last().micros());
        let mut chat = Chat::new(rules, state, reserved, Now { wall_us, ..now });
        let feed = Feed::default();
        if are_names_known {
            chat.names_known_at_start();
        }
        Ok(Server {
            options,
            reactor: Reactor::new(net, reserved),
            storage,
            stage: Stage::new(journal.new_batch()),
            flushed: Flushed { end: feed.end(), last: journal.last() },
            journal,
            users,
            seen: ReadMarks::new(seen),
            checkpoint,
            chat,
            feed,
            answers: Answers::default(),
            scan,
            indexing: Indexing::default(),
            clock: Clock::default(),
            chunk: Chunk::default(),
            strangers: Strangers::default(),
            now: Now::default(),
            file_timers: FileTimers::default(),
            stops_at_us: None,
            scratch: Scratch::default(),
        })
    }
}

/// Refuses a directory that has accounts but no log. A server creates both files at its first start, so the log was
/// lost or is on a disk that is not mounted.
fn require_log<S: Storage>(storage: &mut S) -> io::Result<()> {
    if storage.exists(LOG_FILE)? || !storage.exists(USERS_FILE)? || storage.open(USERS_FILE)?.len()? == 0 {
        return Ok(());
    }
    let why = "chat_history.txt is missing, although there are accounts: is the disk with the log not mounted? Put it \
               back, or begin a new history with `chinwagd --new-history --data DIR`";
    Err(io::Error::new(io::ErrorKind::NotFound, why))
}
