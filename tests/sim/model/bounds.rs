//! What a turn may take, and what a server may hold, as far as it can be seen from outside.

use std::collections::BTreeMap;

use super::super::disk::{LOG, SimDisk};
use super::super::net::SimNet;
use super::connection::Connection;
use super::log::Log;
use super::logins::SESSIONS;
use super::{Guarantee, Rules, hold};

// Written down here once more, so that a server whose own numbers grow is seen.

/// Read from a connection in one turn: twice what may wait to be handled.
const READ_MAX: usize = 2 * 8192;
/// Thrown away in one turn of what a closed connection still sends.
const DISCARDED_MAX: usize = 16 * 4096;
/// Appended to the log in one turn: a batch, and the line that makes it full. A start relies on it.
const APPENDED_MAX: usize = (128 << 10) + 4096;
/// Newcomers that are taken in one turn.
const ACCEPTS_MAX: usize = 64;
/// Read in one turn for everyone who reads the log or looks for a place in it, and to verify it. Of a line that is cut
/// off at the end of what was read, the beginning is read twice.
const READ_FOR_ALL_MAX: usize = (16 + 4) * (80 << 10);

/// What a turn has come to, beyond what this counts itself.
pub struct Work<'a> {
    pub log: &'a Log,
    /// Bytes by which the log grew.
    pub appended: usize,
}

/// Counts up to the last turn.
#[derive(Default)]
pub struct Bounds {
    /// Bytes read from each connection.
    read: BTreeMap<usize, usize>,
    /// Bytes of files.
    read_of_files: usize,
    syncs: usize,
    accepts: usize,
}

impl Bounds {
    /// From the start of a server on.
    pub fn from(disk: &SimDisk) -> Bounds {
        let syncs = disk.counts(LOG).1;
        Bounds { read_of_files: disk.state().read_bytes, syncs, ..Bounds::default() }
    }

    pub fn look(
        &mut self,
        net: &SimNet,
        disk: &SimDisk,
        connections: &[Connection],
        open: &[usize],
        rules: Rules,
        work: &Work<'_>,
    ) {
        self.look_at_work(net, disk, connections, open, work);
        let (mut accepted, mut by_address, mut sessions) = (0, BTreeMap::new(), BTreeMap::new());
        for connection in open.iter().map(|&id| &connections[id]) {
            if net.peer(connection.peer).is_accepted() {
                accepted += 1;
                let is_announced = net.peer(connection.peer).is_announced();
                // Whoever is logged in, or was, does not count against the address.
                // Of an adversary that does not read, nobody knows.
                let may_be_in = !connection.may_be.is_empty() || connection.is_hostile && connection.may_lag;
                if !may_be_in && is_announced {
                    *by_address.entry(connection.address).or_insert(0) += 1;
                }
            }
            // A session that was replaced is told so only once its socket has room and it has read what it asked for.
            let reads = connection.stream.as_ref().is_some_and(|stream| !stream.is_at_end(work.log));
            let is_certain = connection.is_surely_online(u64::MAX) && !connection.may_lag && !reads;
            if let Some(account) = connection.account.as_ref().filter(|_| is_certain) {
                *sessions.entry(account).or_insert(0) += 1;
            }
        }
        hold(Guarantee::Bounded, accepted <= rules.connections_max, || format!("{accepted} connections"));
        let most = by_address.values().copied().max().unwrap_or(0);
        hold(Guarantee::Bounded, most <= rules.per_address, || format!("{most} connections of one address"));
        let most = sessions.values().copied().max().unwrap_or(0);
        hold(Guarantee::Bounded, most <= SESSIONS, || format!("{most} sessions of one account"));
    }

    /// A turn's work for one, and for all.
    fn look_at_work(
        &mut self,
        net: &SimNet,
        disk: &SimDisk,
        connections: &[Connection],
        open: &[usize],
        work: &Work<'_>,
    ) {
        for connection in open.iter().map(|&id| &connections[id]) {
            let total = net.peer(connection.peer).read_bytes;
            let read = total - self.read.insert(connection.peer, total).unwrap_or(0);
            let most = if connection.is_closing || connection.is_hostile { DISCARDED_MAX } else { READ_MAX };
            hold(Guarantee::NeverStalls, read <= most, || format!("{read} bytes read in a turn"));
        }
        let appended = work.appended;
        hold(Guarantee::NeverStalls, appended <= APPENDED_MAX, || {
            format!("{appended} bytes appended in a turn")
        });
        let accepts = net.state().accepts;
        let of_turn = accepts - std::mem::replace(&mut self.accepts, accepts);
        hold(Guarantee::NeverStalls, of_turn <= ACCEPTS_MAX, || format!("{of_turn} accepted in a turn"));
        let syncs = disk.counts(LOG).1;
        let of_turn = syncs - std::mem::replace(&mut self.syncs, syncs);
        hold(Guarantee::NeverStalls, of_turn <= 1, || format!("{of_turn} syncs in a turn"));
        let total = disk.state().read_bytes;
        let read = total - std::mem::replace(&mut self.read_of_files, total);
        hold(Guarantee::NeverStalls, read <= READ_FOR_ALL_MAX, || {
            format!("{read} bytes of files read in a turn")
        });
    }
}
