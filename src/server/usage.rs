//! The server's current usage of what [`crate::limits`] bounds.

use super::Server;
use crate::log::storage::Storage;
use crate::state::durable::State;
use crate::transport::net::Net;

/// Of what belongs to single connections, the most that one of them has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Connections, those that are closing too.
    pub connections: usize,
    /// Bytes read and not handled.
    pub input_bytes: usize,
    /// Bytes that wait for a socket, in memory shared by all or its own.
    pub outbox_bytes: usize,
    /// Those of them that are its own.
    pub own_bytes: usize,
    /// Of a connection that is not logged in, bytes read and not handled, and its own that wait for the socket.
    pub stranger_bytes: usize,
    /// Bytes of the feed, which all share.
    pub feed_bytes: usize,
    /// Bytes of its other buffer, which some share.
    pub aside_bytes: usize,
    /// Logins, registrations and changes of passwords that wait to be hashed.
    pub logins_waiting: usize,
}

impl<N: Net, S: Storage> Server<N, S> {
    /// What the events came to that are committed.
    pub fn state(&self) -> &State {
        self.chat.state()
    }

    /// Whether all events of the log are part of the state. Until then nobody is let in.
    pub fn knows_events(&self) -> bool {
        self.chat.knows_names()
    }

    /// What it holds now. Looks at every connection.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage {
            connections: self.reactor.len(),
            feed_bytes: self.feed.held_bytes(),
            aside_bytes: self.feed.held_aside_bytes(),
            logins_waiting: self.chat.logins_waiting(),
            ..Usage::default()
        };
        for connection in self.reactor.connections() {
            usage.input_bytes = usage.input_bytes.max(connection.input.waiting_bytes());
            usage.outbox_bytes = usage.outbox_bytes.max(connection.outbox.pending(&self.feed));
            usage.own_bytes = usage.own_bytes.max(connection.outbox.pending_direct());
            if !connection.is_logged_in {
                let bytes = connection.input.waiting_bytes() + connection.outbox.pending_direct();
                usage.stranger_bytes = usage.stranger_bytes.max(bytes);
            }
        }
        usage
    }
}
