//! The scenarios: what is measured, and what it must come to.

#[path = "scenarios/fan_out.rs"]
mod fan_out;

use std::io;
use std::time::Duration;

use crate::bench::Bench;

/// One of them.
pub struct Scenario {
    /// For `--scenario`.
    pub name: &'static str,
    /// For `--help`.
    pub about: &'static str,
    /// Whether it can do with a server that was there before.
    pub works_remotely: bool,
    /// It must be over by then.
    pub time_max: Duration,
    /// Measures, and adds to the report.
    pub run: fn(&mut Bench) -> io::Result<()>,
}

/// All of them, in their order.
pub const SCENARIOS: [Scenario; 2] = [
    Scenario {
        name: "fan-out",
        about: "256 messages under way to 200, 1,000 and 5,000 receivers",
        works_remotely: true,
        time_max: Duration::from_secs(120),
        run: fan_out::flat_out,
    },
    Scenario {
        name: "paced",
        about: "50 messages a second to 1,000 receivers",
        works_remotely: true,
        time_max: Duration::from_secs(60),
        run: fan_out::paced,
    },
];
