//! Connections from proxies whose PROXY header is not complete.
//!
//! Such a connection holds a slot and can be evicted like any that is not logged in, but counts against no address and
//! has no session. Once its header is complete it is admitted under the address in the header, and the bytes after the
//! header are its input.

use std::net::SocketAddr;

use super::Server;
use super::closing::End;
use crate::ids::ConnectionId;
use crate::limits::LOGIN_GRACE_US;
use crate::log::storage::Storage;
use crate::transport::net::Net;
use crate::transport::proxy;

/// A header that is not complete.
pub(super) struct PendingHeader {
    /// The proxy.
    pub(super) peer: SocketAddr,
    /// The bytes received so far, less than [`crate::limits::PROXY_HEADER_BYTES_MAX`] bytes.
    bytes: Vec<u8>,
}

impl<N: Net, S: Storage> Server<N, S> {
    /// Waits for the header of a connection that a proxy has opened.
    pub(super) fn await_header(&mut self, id: ConnectionId, peer: SocketAddr) {
        self.strangers.add(id, peer.ip(), false);
        let other = self.strangers.headers.insert(id, PendingHeader { peer, bytes: Vec::new() });
        assert!(other.is_none(), "a number is given again only after its connection is gone");
        if let Some(connection) = self.reactor.connection(id) {
            connection.await_header();
        }
    }

    /// Reads all of a connection's header that has arrived. Returns whether the connection takes lines now.
    pub(super) fn read_header(&mut self, id: ConnectionId) -> bool {
        loop {
            let Some(pending) = self.strangers.headers.get_mut(&id) else { return false };
            let Some(connection) = self.reactor.connection(id) else { return false };
            match proxy::parse(&pending.bytes) {
                Ok(Some(header)) => return self.complete_header(id, header),
                // At most once for each byte of the longest header.
                Ok(None) if connection.readable => {
                    self.reactor.read_raw(id, &mut pending.bytes, self.now.mono_us);
                }
                Ok(None) => {
                    if connection.ended {
                        self.close_without_header(id, "it ended before its PROXY header was complete");
                    }
                    return false;
                }
                Err(problem) => {
                    self.close_without_header(id, &problem.to_string());
                    return false;
                }
            }
        }
    }

    /// Admits a connection under the address in its header, unless that address has too many connections. Returns
    /// whether it is admitted.
    fn complete_header(&mut self, id: ConnectionId, header: proxy::Header) -> bool {
        let Some(pending) = self.strangers.headers.remove(&id) else { return false };
        let peer = header.source.unwrap_or(pending.peer);
        self.strangers.remove(id);
        if let Some(refusal) = self.refusal_of_address(peer) {
            self.reply(id, refusal);
            self.reactor.dismiss(id, &self.feed, self.now.mono_us);
            return false;
        }
        if let Some(connection) = self.reactor.connection(id) {
            connection.begin_to_talk();
        }
        self.open_session(id, peer);
        let input = &pending.bytes[header.length..];
        self.reactor.push_input(id, input);
        self.charge_reading(id, input.len());
        true
    }

    /// Closes a connection whose header has not come by the login deadline.
    pub(super) fn expire_header(&mut self, id: ConnectionId) {
        let Some(connection) = self.reactor.connection(id) else { return };
        let deadline_us = connection.since_us + LOGIN_GRACE_US;
        // If the server itself was late, the header may be there. Its client then receives the timeout error.
        if self.now.mono_us < deadline_us || self.read_header(id) {
            self.reactor.arm(id, deadline_us);
        } else if self.reactor.connection(id).is_some_and(|it| it.awaits_header()) {
            self.close_without_header(id, "no PROXY header in time");
        }
    }

    fn close_without_header(&mut self, id: ConnectionId, reason: &str) {
        self.leave(id, End::Forced, reason);
        self.reactor.doom(id);
    }
}
