//! Rate limits of the operator's log, so that a peer that reconnects, is refused or fails to log in again and again
//! does not fill a disk.
//!
//! Every line that a peer causes begins with its address and a colon; lines that do not are never left out. Each
//! address has a bucket, and all of them share another.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::auth::throttle::Origin;
use crate::limits::{
    LOG_ALL_BURST, LOG_ALL_INTERVAL_US, LOG_BURST, LOG_INTERVAL_US, LOG_ORIGINS_MAX, LOG_REPORT_PAUSE_US,
    Micros,
};

/// The buckets, and how many lines were left out.
#[derive(Default)]
pub struct LogLimit {
    /// The theoretical arrival times of the next lines (generic cell rate algorithm, ITU-T I.371).
    by_origin: HashMap<Origin, Micros>,
    of_all_us: Micros,
    left_out: u64,
    reported_us: Micros,
}

impl LogLimit {
    /// Whether a line with this text may be written.
    pub fn admits(&mut self, text: &str, now_us: Micros) -> bool {
        let Some(peer) = peer(text) else { return true };
        let origin = peer.ip().into();
        if self.by_origin.len() >= LOG_ORIGINS_MAX && !self.by_origin.contains_key(&origin) {
            // An empty bucket need not be remembered.
            self.by_origin.retain(|_, due_us| *due_us > now_us);
        }
        let has_room = self.by_origin.len() < LOG_ORIGINS_MAX || self.by_origin.contains_key(&origin);
        let is_admitted = match has_room {
            true => {
                let due_us = self.by_origin.entry(origin).or_insert(0);
                take(due_us, now_us, LOG_INTERVAL_US, LOG_BURST)
            }
            false => false,
        } && take(&mut self.of_all_us, now_us, LOG_ALL_INTERVAL_US, LOG_ALL_BURST);
        self.left_out += u64::from(!is_admitted);
        is_admitted
    }

    /// Returns the number of lines left out since the last report; `None` if there are none or it is too early.
    pub fn take_report(&mut self, now_us: Micros) -> Option<u64> {
        if self.left_out == 0 || now_us < self.reported_us + LOG_REPORT_PAUSE_US {
            return None;
        }
        self.reported_us = now_us;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// The address at the beginning of a text.
fn peer(text: &str) -> Option<SocketAddr> {
    text.split_once(": ")?.0.parse().ok()
}

/// Takes one token from a bucket of `burst` tokens that regains one per interval. Returns whether there was one.
fn take(due_us: &mut Micros, now_us: Micros, interval_us: Micros, burst: u64) -> bool {
    let next_us = (*due_us).max(now_us) + interval_us;
    let is_there = next_us <= now_us + burst * interval_us;
    if is_there {
        *due_us = next_us;
    }
    is_there
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SECOND_US;

    const NOW_US: Micros = 100 * SECOND_US;

    #[test]
    fn an_address_fills_its_own_bucket_only() {
        let mut limit = LogLimit::default();
        let closed = |limit: &mut LogLimit, now_us| {
            let ports = 1..=500;
            ports.filter(|port| limit.admits(&format!("192.0.2.7:{port}: closed"), now_us)).count() as u64
        };
        assert_eq!(closed(&mut limit, NOW_US), LOG_BURST);
        assert!(limit.admits("[2001:db8::1]:5000: alice logged in", NOW_US));
        assert!(limit.admits("shutting down", NOW_US));
        assert!(limit.admits("chat_history.txt: not saved: the disk is full", NOW_US));
        assert_eq!(closed(&mut limit, NOW_US + 10 * LOG_INTERVAL_US), 10);
    }

    #[test]
    fn what_was_left_out_is_counted_and_said_from_time_to_time() {
        let mut limit = LogLimit::default();
        let flood = |limit: &mut LogLimit| {
            (0..LOG_BURST + 70).filter(|_| limit.admits("192.0.2.7:1: closed", NOW_US)).count()
        };
        flood(&mut limit);
        assert_eq!(limit.take_report(NOW_US), Some(70));
        flood(&mut limit);
        assert_eq!(limit.take_report(NOW_US + 1), None);
        assert_eq!(limit.take_report(NOW_US + LOG_REPORT_PAUSE_US), Some(LOG_BURST + 70));
        assert_eq!(limit.take_report(NOW_US + 9 * LOG_REPORT_PAUSE_US), None);
    }

    #[test]
    fn many_addresses_share_a_bucket_and_a_bounded_table() {
        let mut limit = LogLimit::default();
        let mut admitted = 0;
        for number in 0..3 * LOG_ORIGINS_MAX as u32 {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
            admitted += u64::from(limit.admits(&format!("{address}:1: closed"), NOW_US));
        }
        assert_eq!(admitted, LOG_ALL_BURST);
        assert!(limit.by_origin.len() <= LOG_ORIGINS_MAX);
        assert!(limit.admits("10.0.0.1:2: closed", NOW_US + 100 * LOG_ALL_INTERVAL_US));
    }
}
