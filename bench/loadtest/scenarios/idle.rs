//! Who says nothing: what a connection costs when it only is there.

use std::io;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Server, Target};
use crate::report::{Goal, Row, bytes, count, duration};

/// Connections after each step.
const STEPS: [usize; 3] = [5000, 10_000, 15_000];
/// The one that is judged.
const JUDGED: usize = 10_000;
const BYTES_EACH_MAX: f64 = 512.0;
/// Longer than anything that a server does from time to time.
const QUIET: Duration = Duration::from_secs(6);

/// Memory for each connection, and the CPU time in which nothing happens.
pub fn run(bench: &mut Bench) -> io::Result<()> {
    let steps = bench.options.clients.map_or(STEPS.to_vec(), |clients| vec![clients]);
    let mut target = bench.server(Server::EMPTY)?;
    let at_rest = target.rss()?;
    let mut connected = 0;
    for wanted in steps {
        let clients = bench.connections(wanted, 1, 2)?;
        if clients <= connected {
            continue;
        }
        bench.progress(format!("idle: up to {} register", count(clients as f64)));
        target.admit(connected, clients - connected)?;
        connected = clients;
        // All of it, the accounts and what the first connection made the server touch included.
        let each = (target.rss()? - at_rest) / connected as f64;
        let row = Row::new(label(connected), "memory per connection", bytes(each));
        bench.report.add(match wanted {
            JUDGED => row.goal(Goal::AtMost(BYTES_EACH_MAX), each, "≤ 512 B"),
            _ => row,
        });
    }
    bench.progress("idle: quiet");
    let used = quiet_cpu(&mut target)?;
    bench.report.add(Row::new(label(connected), "CPU in 6 quiet seconds", duration(used)).goal(
        Goal::AtMost(0.0),
        used.as_secs_f64(),
        "0",
    ));
    Ok(())
}

fn label(connected: usize) -> String {
    format!("idle, {}", count(connected as f64))
}

/// What is used within a quiet period, once what had to be tidied up is done.
fn quiet_cpu(target: &mut Target) -> io::Result<Duration> {
    const ATTEMPTS: usize = 4;
    let mut used = Duration::ZERO;
    for _ in 0..ATTEMPTS {
        let (before, started) = (target.cpu()?, Instant::now());
        while let Some(rest) = QUIET.checked_sub(started.elapsed()) {
            target.swarm.poll(rest, &mut |_, _| Ok(()))?;
        }
        used = target.cpu()? - before;
        if used == Duration::ZERO {
            break;
        }
    }
    Ok(used)
}
