//! Ending a session, a connection and the server.

use log::{info, warn};

use super::{Fatal, LoopState, Server, fatal};
use crate::ids::ConnectionId;
use crate::limits::{GOODBYE_US, SHUTDOWN_FLUSH_US, STALL_US};
use crate::log::journal::LOG_FILE;
use crate::log::storage::Storage;
use crate::protocol::reply::{Error, Notice, Reply};
use crate::state::users_file::USERS_FILE;
use crate::transport::net::Net;
use crate::transport::reactor::Activity;

/// How a session ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The peer ends it or is known to be lost, or the server shuts down.
    Orderly,
    /// The server ends it for another reason. If the peer was silent, it may have been lost before.
    Forced,
}

impl<N: Net, S: Storage> Server<N, S> {
    /// Gives up output to a peer that is gone. Lines that it sent before are still handled.
    pub(super) fn broken(&mut self, id: ConnectionId) {
        self.reactor.give_up_output(id);
        let Some(connection) = self.reactor.connection(id) else { return };
        if connection.is_open() && self.chat.is_open(id.session()) && !self.chat.is_hashing(id.session()) {
            connection.read_to_the_end();
            self.reactor.schedule(id);
            // If its input does not end by itself, the stall timeout ends it.
            self.reactor.arm(id, self.now.mono_us + STALL_US);
            // Its current task is skipped, so that its next line is handled.
            return self.queue_task(id);
        }
        self.leave(id, End::Orderly, "connection lost");
        self.reactor.doom(id);
    }

    /// Ends a session, and its connection once all is sent.
    pub(super) fn hang_up(&mut self, id: ConnectionId, end: End, reason: &str) {
        self.leave(id, end, reason);
        let Some(connection) = self.reactor.connection(id) else { return };
        connection.since_us = self.now.mono_us;
        if !connection.is_logged_in {
            self.reactor.arm(id, self.now.mono_us + GOODBYE_US);
        }
        self.stop_following(id);
        self.reactor.close(id);
    }

    /// Ends a session and its connection, so that its slot is free at the end of the turn. Last words that its
    /// socket does not take at once are lost.
    pub(super) fn evict(&mut self, id: ConnectionId, error: Error<'_>, reason: &str) {
        self.leave(id, End::Forced, reason);
        self.stop_following(id);
        // A connection that is already closing has other last words.
        if self.reactor.connection(id).is_some_and(|connection| connection.is_open()) {
            self.reply(id, error);
        }
        self.reactor.dismiss(id, &self.feed, self.now.mono_us);
        self.strangers.remove(id);
    }

    /// Takes a connection out of the feed. Messages that were not sent are shown at the next login.
    fn stop_following(&mut self, id: ConnectionId) {
        let Some(connection) = self.reactor.connection(id) else { return };
        connection.activity = Activity::None;
        if connection.outbox.is_live() {
            if connection.outbox.is_drained(&self.feed) {
                connection.outbox.leave_feed(&self.feed);
            } else {
                self.reactor.drop_messages(id, &self.feed);
            }
        }
    }

    /// Ends a session.
    pub(super) fn leave(&mut self, id: ConnectionId, end: End, reason: &str) {
        if let Some(pending) = self.strangers.headers.remove(&id) {
            return info!("{}: closed: {reason}", pending.peer);
        }
        self.answers.take(id);
        if let Some(account) = self.chat.account_of(id.session()) {
            self.note_end(id, account, end);
            if let Some(peer) = self.chat.peer_of(id.session()) {
                self.note_logout(id, peer.ip());
            }
        }
        self.chat.close(id.session(), reason, self.now);
    }

    /// Drops the connections that are closed, and the room in tables that only a burst needed.
    pub(super) fn reap(&mut self) {
        self.close_doomed();
        self.strangers.shrink();
        self.answers.shrink();
    }

    pub(super) fn close_doomed(&mut self) {
        let strangers = &mut self.strangers;
        self.reactor.reap(|id| strangers.remove(id));
    }

    pub(super) fn begin_to_stop(&mut self) -> Result<(), Fatal> {
        info!("shutting down");
        // Completes what the last turn did after its flush: answers to strangers, timeouts, new passwords.
        let gate = self.commit()?;
        self.release(gate);
        self.reactor.stop_accepting();
        self.stops_at_us = Some(self.now.mono_us + SHUTDOWN_FLUSH_US);
        let notice = Reply::from(Notice::ShuttingDown);
        self.feed.publish_notice(format!("{notice}\n").as_bytes());
        let ids: Vec<_> = self.reactor.ids().collect();
        for id in ids {
            if self.reactor.connection(id).is_some_and(|it| it.is_open() && !it.outbox.is_live()) {
                self.reply(id, Notice::ShuttingDown);
            }
        }
        Ok(())
    }

    /// One turn of a shutdown, which only flushes pending output.
    pub(super) fn stop(&mut self) -> Result<LoopState, Fatal> {
        self.flush();
        let is_over = self.stops_at_us.is_none_or(|at_us| at_us <= self.now.mono_us);
        let ids: Vec<_> = self.reactor.ids().collect();
        for id in ids {
            let Some(connection) = self.reactor.connection(id) else { continue };
            if is_over || connection.outbox.is_drained(&self.feed) {
                self.leave(id, End::Orderly, "shutdown");
                self.reactor.finish(id);
            }
        }
        self.reap();
        if !self.reactor.is_empty() {
            return Ok(LoopState::Running);
        }
        self.seen.save(self.chat.accounts());
        self.journal.sync().map_err(fatal("chat_history.txt cannot be synced"))?;
        self.finish_index();
        self.restore_files()?;
        self.close_checkpoint();
        info!("goodbye");
        Ok(LoopState::Finished)
    }

    /// Writes files that were removed or moved away while the server ran to their places again.
    fn restore_files(&mut self) -> Result<(), Fatal> {
        let restored = [
            (LOG_FILE, self.journal.restore(&mut self.storage)),
            (USERS_FILE, self.users.restore(&mut self.storage)),
        ];
        for (name, restored) in restored {
            if restored.map_err(fatal("a file that was removed while the server ran cannot be restored"))? {
                warn!("{name}: removed or moved away while the server ran; written again");
            }
        }
        Ok(())
    }
}
