//! Warnings about a wall clock that jumps or is behind the log.

use log::{info, warn};

use super::Server;
use crate::clock::Now;
use crate::limits::{CLOCK_TOLERANCE_US, Micros};
use crate::log::storage::Storage;
use crate::protocol::record::Timestamp;
use crate::transport::net::Net;

/// What is known of the clock.
#[derive(Default)]
pub(super) struct Clock {
    /// The last reading.
    last: Option<Now>,
    /// It is behind the last message, and the warning was logged.
    is_behind: bool,
}

impl<N: Net, S: Storage> Server<N, S> {
    /// Warns if the wall clock begins to be behind the last message, or jumps. Called at startup, and in every turn.
    pub fn watch_clock(&mut self, now: Now) {
        if let Some(last) = self.clock.last.replace(now) {
            let expected_us = last.wall_us.saturating_add(now.mono_us.saturating_sub(last.mono_us));
            if now.wall_us.abs_diff(expected_us) > CLOCK_TOLERANCE_US {
                warn!("the clock jumped to {} from {}", stamp(now.wall_us), stamp(expected_us));
            }
        }
        let last = self.journal.last();
        let is_behind = now.wall_us.saturating_add(CLOCK_TOLERANCE_US) < last.micros();
        if is_behind && !self.clock.is_behind {
            warn!(
                "the clock says {}, and the last message was at {last}: messages are stamped right after that until it \
                 catches up",
                stamp(now.wall_us)
            );
        } else if self.clock.is_behind && now.wall_us >= last.micros() {
            info!("the clock has caught up with the last message");
        }
        // Hysteresis between the two thresholds, so that the warning is not repeated.
        self.clock.is_behind = is_behind || (self.clock.is_behind && now.wall_us < last.micros());
    }
}

fn stamp(wall_us: Micros) -> Timestamp {
    Timestamp::from_micros(wall_us)
}
