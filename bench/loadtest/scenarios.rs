//! The scenarios: what is measured, and what it must come to.

#[path = "scenarios/fan_out.rs"]
mod fan_out;
#[path = "scenarios/idle.rs"]
mod idle;
#[path = "scenarios/letters.rs"]
mod letters;
#[path = "scenarios/ping_pong.rs"]
mod ping_pong;
#[path = "scenarios/siege.rs"]
mod siege;
#[path = "scenarios/start.rs"]
mod start;
#[path = "scenarios/strain.rs"]
mod strain;

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

const fn remote(
    name: &'static str,
    about: &'static str,
    seconds_max: u64,
    run: fn(&mut Bench) -> io::Result<()>,
) -> Scenario {
    Scenario { name, about, works_remotely: true, time_max: Duration::from_secs(seconds_max), run }
}

const fn local(
    name: &'static str,
    about: &'static str,
    seconds_max: u64,
    run: fn(&mut Bench) -> io::Result<()>,
) -> Scenario {
    Scenario { works_remotely: false, ..remote(name, about, seconds_max, run) }
}

/// All of them, in their order.
pub const SCENARIOS: [Scenario; 14] = [
    remote("fan-out", "256 messages under way to 200, 1,000 and 5,000 receivers", 180, fan_out::flat_out),
    remote("paced", "50 messages a second to 1,000 receivers", 60, fan_out::paced),
    remote("room", "256 messages under way in a room of 10 of 10,000, and of 5,000", 180, fan_out::in_rooms),
    remote("ping-pong", "500 pairs who answer each other", 90, ping_pong::run),
    local("idle", "memory and CPU of up to 15,000 who say nothing", 120, idle::run),
    local("logins", "5,000 logins that cost nothing", 60, start::logins),
    local("login-storm", "200 logins at full cost, while 100 chat", 120, strain::login_storm),
    local("slow-readers", "100 of 1,000 take a kilobyte a second", 60, strain::slow_readers),
    local("siege", "1,000 addresses attack in every way, while 100 chat and some log in", 180, siege::run),
    local("start", "with a log of 1 GB, and with a million accounts", 180, start::cold_start),
    local("history", "10 read a log of 1 GB, while 100 chat; then one alone", 180, strain::history),
    local("private-history", "one reads her private lines, 1 % of a log of 1 GB", 180, letters::frequent),
    local(
        "old-private",
        "the last 50 private lines of two people, 0.9 GB back in a log of 1 GB",
        180,
        letters::former,
    ),
    local("at-rest", "the program's size, and its memory", 20, start::footprint),
];
