//! Admission of new connections, and eviction of others when there are too many.
//!
//! Connections that are not logged in are limited per address, and are the first to be evicted: the oldest one of the
//! network that holds the most. Logged-in connections do not count against their address.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use log::info;

use super::headers::PendingHeader;
use super::{Server, shrink};
use crate::auth::throttle::Origin;
use crate::clock::World;
use crate::ids::{ConnectionId, SessionId};
use crate::limits::{ACCEPT_SLICE_US, ACCEPTS_PER_TURN_MAX, EVICTIONS_PER_TURN_MAX, LOGIN_GRACE_US, Micros};
use crate::log::storage::Storage;
use crate::protocol::reply::{Error, Reply};
use crate::transport::net::Net;

/// The connections that are not logged in, or no longer.
#[derive(Default)]
pub(super) struct Strangers {
    /// Each with its address, and whether it counts against its address.
    all: HashMap<ConnectionId, (IpAddr, bool)>,
    /// How many connections count against each address.
    by_origin: HashMap<Origin, u32>,
    /// The same connections by network, the oldest first: an IPv4 address, or an IPv6 /48.
    by_network: HashMap<IpAddr, VecDeque<ConnectionId>>,
    /// Those from proxies whose header is not complete. They have no session.
    pub(super) headers: HashMap<ConnectionId, PendingHeader>,
}

impl Strangers {
    /// Returns how many connections count against an address.
    fn count(&self, address: IpAddr) -> u32 {
        self.by_origin.get(&address.into()).copied().unwrap_or(0)
    }

    /// Adds a connection; `counts` tells whether it counts against its address.
    pub(super) fn add(&mut self, id: ConnectionId, address: IpAddr, counts: bool) {
        self.all.insert(id, (address, counts));
        if counts {
            *self.by_origin.entry(address.into()).or_insert(0) += 1;
        }
        self.by_network.entry(network(address)).or_default().push_back(id);
    }

    /// Forgets a connection, if it is one of these: it is closed, or logged in.
    pub(super) fn remove(&mut self, id: ConnectionId) {
        let Some((address, counts)) = self.all.remove(&id) else { return };
        if counts && let Some(count) = self.by_origin.get_mut(&address.into()) {
            *count -= 1;
            if *count == 0 {
                self.by_origin.remove(&address.into());
            }
        }
        if let Some(ids) = self.by_network.get_mut(&network(address)) {
            ids.retain(|&other| other != id);
            if ids.is_empty() {
                self.by_network.remove(&network(address));
            }
        }
    }

    /// Gives back room that is no longer needed.
    pub(super) fn shrink(&mut self) {
        shrink(&mut self.all);
        shrink(&mut self.by_origin);
        shrink(&mut self.by_network);
        shrink(&mut self.headers);
    }

    /// Returns the connection to evict next: the oldest one of the network that holds the most, and the oldest of
    /// all if several networks do. `since_us` returns when a connection was accepted.
    fn next_to_yield(&self, mut since_us: impl FnMut(ConnectionId) -> Micros) -> Option<ConnectionId> {
        let networks = self.by_network.values();
        let oldest = networks.filter_map(|ids| Some((ids.len(), *ids.front()?)));
        let key = |(count, id): (usize, ConnectionId)| (std::cmp::Reverse(count), since_us(id), id);
        oldest.map(key).min().map(|(.., id)| id)
    }
}

/// Returns the network of an address for evictions: an IPv4 address, or an IPv6 /48.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 80 << 80).into()),
        v4 => v4,
    }
}

impl<N: Net, S: Storage> Server<N, S> {
    /// Accepts connections for a bounded time.
    pub(super) fn accept(&mut self, world: &mut dyn World) {
        if !self.may_accept() {
            return;
        }
        // None of these may be chosen to make room for another.
        self.close_doomed();
        let started_us = world.now().mono_us;
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            self.accept_one();
            if !self.may_accept() || world.now().mono_us.saturating_sub(started_us) >= ACCEPT_SLICE_US {
                return;
            }
        }
    }

    fn may_accept(&self) -> bool {
        // Evicted connections hold their descriptors until the end of the turn.
        let has_room = self.reactor.len() < self.options.max_connections + EVICTIONS_PER_TURN_MAX;
        has_room && self.reactor.has_pending_accepts(self.now.mono_us)
    }

    fn accept_one(&mut self) {
        let limit = self.options.max_connections;
        let full = Error::ServerFull { limit: limit as u64 };
        let Some((stream, peer)) = self.reactor.accept(self.now.mono_us, &line(full)) else { return };
        let is_proxied = self.options.proxies.iter().any(|subnet| subnet.contains(peer.ip()));
        let refusal = if is_proxied { None } else { self.refusal_of_address(peer) };
        let refusal = refusal.or_else(|| self.is_full_for(peer).then_some(full));
        if let Some(refusal) = refusal {
            self.reactor.turn_away(stream, &line(refusal));
        } else if let Some(id) = self.reactor.admit(stream, self.now.mono_us) {
            if is_proxied {
                self.await_header(id, peer);
            } else {
                self.open_session(id, peer);
            }
            self.reactor.arm(id, self.now.mono_us + LOGIN_GRACE_US);
        }
    }

    /// Opens the session of a connection that is admitted.
    pub(super) fn open_session(&mut self, id: ConnectionId, peer: SocketAddr) {
        self.strangers.add(id, peer.ip(), true);
        self.chat.open(id.session(), peer, &mut self.stage.effects);
    }

    /// Returns the refusal of a connection whose address has too many.
    pub(super) fn refusal_of_address(&self, peer: SocketAddr) -> Option<Error<'static>> {
        let open = self.strangers.count(peer.ip());
        let is_refused = self.options.per_address.is_some_and(|most| open >= most);
        is_refused.then(|| {
            info!("{peer}: refused: too many connections of its address");
            Error::TooManyConnections { open: open.into() }
        })
    }

    /// Makes room for a connection if there is none. Returns whether that is not possible.
    fn is_full_for(&mut self, peer: SocketAddr) -> bool {
        let is_refused = self.reactor.staying() >= self.options.max_connections && !self.make_room();
        if is_refused {
            info!("{peer}: refused: the server is full");
        }
        is_refused
    }

    /// Evicts a connection to make room for another, and returns whether it could. A logged-in session is evicted only
    /// if its account has others: of the account with the most sessions, the one that has been silent longest.
    fn make_room(&mut self) -> bool {
        let reactor = &mut self.reactor;
        let since_us = |id| reactor.connection(id).map_or(0, |connection| connection.since_us);
        if let Some(id) = self.strangers.next_to_yield(since_us) {
            let limit = self.options.max_connections as u64;
            self.evict(id, Error::MadeRoom { limit }, "yielded its place");
            return true;
        }
        let Some(id) = self.silent_session_of_the_greediest() else { return false };
        self.evict(id, Error::ReplacedWhenFull, "yielded its place");
        true
    }

    /// Visits every session. Only a full server on which everyone is logged in does this.
    fn silent_session_of_the_greediest(&mut self) -> Option<ConnectionId> {
        let accounts = self.reactor.ids().filter_map(|id| {
            let account = self.chat.account_of(id.session())?;
            (self.chat.newest_session(account) == Some(id.session())).then_some(account)
        });
        let counts = accounts.map(|account| (self.chat.sessions_of(account).count(), account));
        let (count, account) = counts.max_by_key(|&(count, account)| (count, std::cmp::Reverse(account)))?;
        if count < 2 {
            return None;
        }
        let reactor = &mut self.reactor;
        let mut heard_us = |id: &ConnectionId| reactor.connection(*id).map_or(0, |it| it.heard_us);
        // The newest come first, and of equal ones the last, which is the oldest, is taken.
        let ids = self.chat.sessions_of(account).map(SessionId::connection);
        ids.max_by_key(|id| std::cmp::Reverse(heard_us(id)))
    }

    /// Notes that a connection is logged in.
    pub(super) fn note_login(&mut self, id: ConnectionId) {
        self.strangers.remove(id);
        self.reactor.note_login(id);
    }

    /// Notes that a connection's session has ended. The connection can be evicted, but does not count against its
    /// address.
    pub(super) fn note_logout(&mut self, id: ConnectionId, address: IpAddr) {
        // A session can end in the turn in which it logged in, before it was taken out.
        if !self.strangers.all.contains_key(&id) {
            self.strangers.add(id, address, false);
        }
    }
}

/// Returns the whole line for a connection that is not admitted.
fn line(error: Error<'_>) -> String {
    format!("{}\n", Reply::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("it is an address")
    }

    #[test]
    fn the_oldest_connection_of_the_network_with_most_of_them_yields() {
        let mut strangers = Strangers::default();
        let addresses = ["10.0.0.1", "2001:db8:5:1::1", "10.0.0.2", "2001:db8:5:2::1", "2001:db8:5:3::9"];
        for (id, text) in addresses.iter().enumerate() {
            strangers.add(ConnectionId::at(id), address(text), true);
        }
        let mut order = Vec::new();
        while let Some(id) = strangers.next_to_yield(|id| id.index() as Micros) {
            order.push(id);
            strangers.remove(id);
        }
        assert_eq!(order, [1, 3, 0, 2, 4].map(ConnectionId::at), "three of one /48, and then by age");
        assert!(strangers.by_origin.is_empty() && strangers.by_network.is_empty());
    }

    #[test]
    fn what_does_not_count_against_its_address_yields_all_the_same() {
        let mut strangers = Strangers::default();
        let id = ConnectionId::at(7);
        strangers.add(id, address("::ffff:10.0.0.1"), false);
        assert_eq!(strangers.count(address("10.0.0.1")), 0);
        assert_eq!(strangers.next_to_yield(|_| 0), Some(id));
        strangers.remove(id);
        strangers.remove(id);
        assert_eq!(strangers.next_to_yield(|_| 0), None);
    }
}
