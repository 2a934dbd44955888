//! What a turn may take, and what a server may hold, as far as it can be seen from outside.

use std::collections::BTreeMap;

use chinwag::limits::{
    BATCH_BYTES_MAX, CATCH_UP_CHUNK_BYTES, CATCH_UPS_PER_TURN_MAX, INPUT_BYTES_MAX, LINE_BYTES_MAX,
    SESSIONS_PER_ACCOUNT_MAX,
};

use super::super::disk::{LOG, SimDisk};
use super::super::net::SimNet;
use super::connection::Connection;
use super::{Guarantee, Rules, hold};

/// Thrown away in one turn of what a closed connection still sends.
const DISCARDED_MAX: usize = 16 * 4096;

/// Counts up to the last turn.
#[derive(Default)]
pub struct Bounds {
    /// Bytes read from each connection.
    read: BTreeMap<usize, usize>,
    /// Bytes of files.
    read_of_files: usize,
    syncs: usize,
}

impl Bounds {
    /// From the start of a server on.
    pub fn from(disk: &SimDisk) -> Bounds {
        let syncs = disk.counts(LOG).1;
        Bounds { read: BTreeMap::new(), read_of_files: disk.state().read_bytes, syncs }
    }

    pub fn look(
        &mut self,
        net: &SimNet,
        disk: &SimDisk,
        connections: &[Connection],
        open: &[usize],
        rules: Rules,
        appended: usize,
    ) {
        self.look_at_work(net, disk, connections, open, appended);
        let (mut accepted, mut by_address, mut sessions) = (0, BTreeMap::new(), BTreeMap::new());
        for connection in open.iter().map(|&id| &connections[id]) {
            if net.peer(connection.peer).is_accepted() {
                accepted += 1;
                *by_address.entry(connection.address).or_insert(0) += 1;
            }
            if let Some(account) =
                connection.account.as_ref().filter(|_| connection.is_surely_online(u64::MAX))
            {
                *sessions.entry(account).or_insert(0) += 1;
            }
        }
        hold(Guarantee::Bounded, accepted <= rules.connections_max, || format!("{accepted} connections"));
        let most = by_address.values().copied().max().unwrap_or(0);
        hold(Guarantee::Bounded, most <= rules.per_address, || format!("{most} connections of one address"));
        let most = sessions.values().copied().max().unwrap_or(0);
        hold(Guarantee::Bounded, most <= SESSIONS_PER_ACCOUNT_MAX, || {
            format!("{most} sessions of one account")
        });
    }

    /// A turn's work for one, and for all.
    fn look_at_work(
        &mut self,
        net: &SimNet,
        disk: &SimDisk,
        connections: &[Connection],
        open: &[usize],
        appended: usize,
    ) {
        for connection in open.iter().map(|&id| &connections[id]) {
            let total = net.peer(connection.peer).read_bytes;
            let read = total - self.read.insert(connection.peer, total).unwrap_or(0);
            let most = if connection.is_closing { DISCARDED_MAX } else { 2 * INPUT_BYTES_MAX };
            hold(Guarantee::NeverStalls, read <= most, || format!("{read} bytes read in a turn"));
        }
        let most = BATCH_BYTES_MAX + LINE_BYTES_MAX;
        hold(Guarantee::NeverStalls, appended <= most, || format!("{appended} bytes appended in a turn"));
        let syncs = disk.counts(LOG).1;
        let of_turn = syncs - std::mem::replace(&mut self.syncs, syncs);
        hold(Guarantee::NeverStalls, of_turn <= 1, || format!("{of_turn} syncs in a turn"));
        let total = disk.state().read_bytes;
        let read = total - std::mem::replace(&mut self.read_of_files, total);
        let for_searches = open.len() * 2 * CATCH_UP_CHUNK_BYTES;
        let most = CATCH_UPS_PER_TURN_MAX * CATCH_UP_CHUNK_BYTES + for_searches;
        hold(Guarantee::NeverStalls, read <= most, || format!("{read} bytes of files read in a turn"));
    }
}
