//! Output: what is pushed to connections, and the flush that writes it.

use std::io::IoSlice;

use super::Reactor;
use super::connection::{Activity, Life};
use crate::ids::ConnectionId;
use crate::limits::{LINGER_US, Micros, SLICES_PER_WRITE_MAX};
use crate::protocol::record::Timestamp;
use crate::transport::feed::{Aside, Feed};
use crate::transport::net::{Net, Stream};

/// What needs to be looked at after a connection was flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// All is sent, and there is a task for it.
    Drained,
    /// Too much is waiting for its socket.
    Overflowing,
    /// It began to stall.
    Stalled,
    /// Writing to it failed.
    Broken,
}

impl<N: Net> Reactor<N> {
    /// Adds bytes for one connection.
    pub fn push_direct(&mut self, id: ConnectionId, bytes: &[u8], feed: &Feed) {
        if let Some(connection) = self.connections.get_mut(id.index())
            && !connection.socket.broken
        {
            connection.outbox.push_direct(bytes, feed, &mut self.direct_pool);
            self.make_dirty(id);
        }
    }

    /// Adds lines that the feed holds for some connections, if this one follows it.
    pub fn push_aside(&mut self, id: ConnectionId, aside: Aside, feed: &Feed) {
        if let Some(connection) = self.connections.get_mut(id.index())
            && connection.outbox.is_live()
            && connection.life != Life::Doomed
            && !connection.socket.broken
        {
            connection.outbox.push_aside(aside, feed, &mut self.direct_pool);
            self.make_dirty(id);
        }
    }

    /// Stops a connection from following the feed, and drops what of it was not sent; returns the timestamp of
    /// the first message so dropped.
    pub fn drop_messages(&mut self, id: ConnectionId, feed: &Feed) -> Option<Timestamp> {
        let connection = &mut self.connections[id.index()];
        if std::mem::take(&mut connection.lags) {
            self.lagging -= 1;
        }
        connection.outbox.drop_messages(feed, &mut self.direct_pool)
    }

    /// Writes once to each connection that has something to be sent: all that are live where the feed has grown,
    /// and those that are dirty. `mark` is the last message of the feed.
    pub fn flush(
        &mut self,
        feed: &Feed,
        feed_has_grown: bool,
        mark: Timestamp,
        now_us: Micros,
        attention: &mut Vec<(ConnectionId, Attention)>,
    ) {
        let mut dirty = std::mem::take(&mut self.dirty);
        if feed_has_grown {
            for id in (0..self.end).map(ConnectionId::at) {
                if self.connections.get(id.index()).is_some_and(|it| it.outbox.is_live() || it.is_dirty) {
                    self.flush_one(id, feed, mark, now_us, attention);
                }
            }
        } else {
            for &id in &dirty {
                self.flush_one(id, feed, mark, now_us, attention);
            }
        }
        // What was made dirty meanwhile is for the next turn.
        dirty.clear();
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    /// Finds the connections that wait for asides which the feed is about to forget. Most were not looked at by the
    /// last flush: nothing was added for them, and their sockets have no room.
    pub fn find_far_behind(&self, feed: &Feed, attention: &mut Vec<(ConnectionId, Attention)>) {
        if !feed.must_forget_asides() {
            return;
        }
        for (index, connection) in &self.connections {
            if connection.life != Life::Doomed && connection.outbox.waits_for_old_aside(feed) {
                attention.push((ConnectionId::at(index), Attention::Overflowing));
            }
        }
    }

    /// Whether nobody waits for bytes of the feed, or for asides.
    pub fn all_have_the_feed(&self) -> bool {
        self.lagging == 0
    }

    /// Sends a connection nothing more: the peer is gone.
    pub fn give_up_output(&mut self, id: ConnectionId) {
        let connection = &mut self.connections[id.index()];
        if std::mem::take(&mut connection.lags) {
            self.lagging -= 1;
        }
        connection.socket.broken = true;
        // Where the system only had no memory for it the peer is still there, and comes again once it sees the end.
        connection.socket.stream.finish();
        connection.outbox.clear(&mut self.direct_pool);
    }

    /// Writes a connection's own bytes and `behind` to it, in one go; returns how many bytes of `behind` it took.
    pub fn send(&mut self, id: ConnectionId, behind: &[u8], feed: &Feed, now_us: Micros) -> usize {
        let connection = &mut self.connections[id.index()];
        let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE_MAX];
        let (own_count, own_bytes) = connection.outbox.slices(feed, &mut slices);
        // If its own bytes take all slices, the rest of them goes first.
        let (mut count, mut bytes) = (own_count, own_bytes);
        if own_count < SLICES_PER_WRITE_MAX {
            slices[own_count] = IoSlice::new(behind);
            count += 1;
            bytes += behind.len();
        }
        let taken = connection.socket.write(&slices[..count], bytes, now_us);
        let own_taken = taken.min(own_bytes);
        connection.outbox.advance(own_taken, feed, &mut self.direct_pool);
        taken - own_taken
    }

    /// Keeps the rest of a line of which [`Reactor::send`] sent the beginning.
    pub fn push_rest(&mut self, id: ConnectionId, rest: &[u8], feed: &Feed) {
        let connection = &mut self.connections[id.index()];
        // Not dirty by that: it goes with the next chunk, or when the socket has room.
        connection.outbox.push_rest(rest, feed, &mut self.direct_pool);
    }

    pub(super) fn make_dirty(&mut self, id: ConnectionId) {
        let connection = &mut self.connections[id.index()];
        if !std::mem::replace(&mut connection.is_dirty, true) {
            self.dirty.push(id);
        }
    }

    fn flush_one(
        &mut self,
        id: ConnectionId,
        feed: &Feed,
        mark: Timestamp,
        now_us: Micros,
        attention: &mut Vec<(ConnectionId, Attention)>,
    ) {
        let Some(connection) = self.connections.get_mut(id.index()) else { return };
        if connection.life == Life::Doomed {
            // It has left, so that what was private to it in this turn is missing among these bytes.
            return;
        }
        connection.is_dirty = false;
        let mut pending = connection.outbox.pending(feed);
        if pending > 0 && connection.is_writable() {
            let was_stalled = connection.stalled_since_us().is_some();
            let taken = match connection.outbox.only_slice(feed) {
                // By far the most common, so that no list is made for it.
                Some(slice) => connection.socket.write(&[IoSlice::new(slice)], slice.len(), now_us),
                None => {
                    let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE_MAX];
                    let (count, bytes) = connection.outbox.slices(feed, &mut slices);
                    connection.socket.write(&slices[..count], bytes, now_us)
                }
            };
            connection.outbox.advance(taken, feed, &mut self.direct_pool);
            pending -= taken;
            if connection.is_broken() {
                // And nothing else: what it had still to be sent is given up, not caught up with.
                return attention.push((id, Attention::Broken));
            }
            if connection.stalled_since_us().is_some() && !was_stalled {
                attention.push((id, Attention::Stalled));
            }
        }
        let lags = pending > 0 && connection.outbox.is_live();
        self.lagging = self.lagging + usize::from(lags) - usize::from(connection.lags);
        connection.lags = lags;
        if pending == 0 {
            return self.drained(id, mark, now_us, attention);
        }
        if connection.outbox.is_overflowing(feed) {
            return attention.push((id, Attention::Overflowing));
        }
        let reads_on = connection.has_input() && connection.hold(feed).is_none();
        if connection.is_writable() {
            // Short of what was offered, but it did not say that it would block.
            self.make_dirty(id);
        }
        if reads_on {
            self.schedule(id);
        }
    }

    fn drained(
        &mut self,
        id: ConnectionId,
        mark: Timestamp,
        now_us: Micros,
        attention: &mut Vec<(ConnectionId, Attention)>,
    ) {
        let connection = &mut self.connections[id.index()];
        if connection.outbox.is_live() {
            connection.last_delivered = mark;
        }
        if connection.activity != Activity::None {
            attention.push((id, Attention::Drained));
            if connection.activity == Activity::RestOfReplay && connection.has_input() {
                self.schedule(id);
            }
        } else if connection.life == Life::Flushing {
            connection.socket.stream.finish();
            if connection.ended {
                return self.doom(id);
            }
            connection.life = Life::Lingering;
            connection.since_us = now_us;
            self.arm(id, now_us + LINGER_US);
            self.schedule(id);
        } else if connection.is_open() && connection.has_input() {
            self.schedule(id);
        }
    }

    /// Whether something is left to be written by the next turn.
    pub fn has_unflushed(&self) -> bool {
        !self.dirty.is_empty()
    }
}
