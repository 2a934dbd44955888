//! Connections that come: which are admitted, and which address each counts for.

use std::collections::HashMap;

use log::info;

use super::Server;
use crate::limits::LOGIN_GRACE_US;
use crate::net::Net;
use crate::storage::Storage;
use crate::throttle::Origin;

impl<N: Net, S: Storage> Server<N, S> {
    pub(super) fn accept(&mut self) {
        if !self.reactor.has_newcomers(self.now.mono_us) {
            return;
        }
        let limit = self.options.max_connections;
        let per_address = self.options.per_address;
        let by_origin = &mut self.connections_by_origin;
        let mut count = self.reactor.len();
        let full = format!("! server-full: all {limit} connections are taken; please try again later\n");
        let admit = |peer: std::net::SocketAddr| {
            if count >= limit {
                info!("{peer}: refused: the server is full");
                return Err(full.clone());
            }
            let of_origin = by_origin.entry(peer.ip().into()).or_insert(0);
            if per_address.is_some_and(|most| *of_origin >= most) {
                info!("{peer}: refused: too many connections of its address");
                return Err(format!("! too-many-connections: your address has {of_origin} open already\n"));
            }
            *of_origin += 1;
            count += 1;
            Ok(())
        };
        for (id, peer) in self.reactor.accept(self.now.mono_us, admit, &full) {
            let Some(id) = id else {
                forget(&mut self.connections_by_origin, peer.ip().into());
                continue;
            };
            if self.origins.len() <= id as usize {
                self.origins.resize(id as usize + 1, None);
            }
            self.origins[id as usize] = Some(peer.ip().into());
            self.chat.open(id, peer, &mut self.effects);
            self.reactor.arm(id, self.now.mono_us + LOGIN_GRACE_US);
        }
    }
}

/// One connection less of an address.
pub(super) fn forget(by_origin: &mut HashMap<Origin, u32>, origin: Origin) {
    if let Some(count) = by_origin.get_mut(&origin) {
        *count -= 1;
        if *count == 0 {
            by_origin.remove(&origin);
        }
    }
}
