//! Starting, coming in, and being there: what a server costs before anything is said.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use chinwag::state::checkpoint::STATE_FILE;

use crate::bench::{Bench, Server};
use crate::fixtures::{make_accounts, no_letters};
use crate::report::{Goal, Row, bytes, count, duration, median, time};
use crate::visitor::Visitor;

const STARTS: usize = 3;
const ACCOUNTS: usize = 1_000_000;
const LOGINS: usize = 5000;

/// From the start of the process until it listens, with much on disk.
pub fn cold_start(bench: &mut Bench) -> io::Result<()> {
    let log = bench.big_log("big-log", no_letters)?;
    let scenario = format!("start, {} log", bytes(bench.log_bytes() as f64));
    let seconds = startup(bench, &log)?;
    let goal = Goal::AtMost(0.05);
    bench.report.add(Row::new(&scenario, "time", time(seconds)).goal(goal, seconds, "≤ 50 ms"));
    without_state(bench, &log, &scenario)?;
    let accounts = bench.new_directory();
    bench.progress(format!("start: {} accounts are made", count(ACCOUNTS as f64)));
    make_accounts(&accounts, &[(ACCOUNTS, 1)])?;
    bench.settle_files(&accounts)?;
    let seconds = startup(bench, &accounts)?;
    let rss_empty = bench.start_server(Server::EMPTY)?.rss()? as f64;
    let rss = bench.start_server(Server::on(&accounts))?.rss()? as f64;
    let scenario = format!("start, {} accounts", count(ACCOUNTS as f64));
    let goal = Goal::AtMost(0.4);
    bench.report.add(Row::new(&scenario, "time", time(seconds)).goal(goal, seconds, "≤ 400 ms"));
    bench.report.add(Row::new(&scenario, "memory", bytes(rss)));
    let each = (rss - rss_empty) / ACCOUNTS as f64;
    bench.report.add(Row::new(&scenario, "memory per account", bytes(each)).goal(
        Goal::AtMost(120.0),
        each,
        "≤ 120 B",
    ));
    fs::remove_dir_all(accounts)
}

fn startup(bench: &mut Bench, data: &Path) -> io::Result<f64> {
    let mut seconds = Vec::new();
    for _ in 0..STARTS {
        let process = bench.start_server(Server::on(data))?;
        seconds.push(process.startup.as_secs_f64());
        process.stop(bench.deadline)?;
    }
    Ok(median(&seconds))
}

/// A server that does not know which names are in the log reads all of it before anybody can register.
fn without_state(bench: &mut Bench, data: &Path, scenario: &str) -> io::Result<()> {
    bench.progress("start: without state.txt");
    let (mut logins, mut registrations) = (Vec::new(), Vec::new());
    for start in 0..STARTS {
        fs::remove_file(data.join(STATE_FILE))?;
        let process = bench.start_server(Server::on(data))?;
        let _visitor = Visitor::log_in(process.address, 0)?;
        logins.push(process.started.elapsed().as_secs_f64());
        Visitor::register(process.address, &format!("newcomer{start}"))?;
        registrations.push(process.started.elapsed().as_secs_f64());
        process.stop(bench.deadline)?;
    }
    for (figure, seconds, most, words) in [
        ("time without state.txt, until a login", median(&logins), 0.1, "≤ 100 ms"),
        ("time without state.txt, until a registration", median(&registrations), 4.0, "≤ 4 s"),
    ] {
        bench.report.add(Row::new(scenario, figure, time(seconds)).goal(Goal::AtMost(most), seconds, words));
    }
    Ok(())
}

/// Many log in, one after the other; twice as many take twice as long.
pub fn logins(bench: &mut Bench) -> io::Result<()> {
    let all = bench.connections(bench.options.clients.unwrap_or(LOGINS), 1, 2)?;
    let half = time_logins(bench, all / 2)?;
    let whole = time_logins(bench, all)?;
    let scenario = format!("logins, {}", count(all as f64));
    let seconds = whole.as_secs_f64();
    bench.report.add(Row::new(&scenario, "time, in all", duration(whole)).goal(
        Goal::AtMost(2.0),
        seconds,
        "≤ 2 s",
    ));
    let ratio = seconds / half.as_secs_f64();
    bench.report.add(
        Row::new(&scenario, "against half as many", duration(whole))
            .limit(duration(half))
            .ratio(&[ratio])
            .goal(Goal::AtMost(2.5), ratio, "linear: ≤ 2.50 ×"),
    );
    Ok(())
}

fn time_logins(bench: &mut Bench, clients: usize) -> io::Result<Duration> {
    bench.progress(format!("logins: {}", count(clients as f64)));
    let data = bench.new_directory();
    make_accounts(&data, &[(clients, 1)])?;
    let mut target = bench.server(Server::on(&data))?;
    let started = Instant::now();
    target.logins(0, clients).finish(&mut target.swarm)?;
    Ok(started.elapsed())
}

/// The program and its memory, before anyone has come.
pub fn footprint(bench: &mut Bench) -> io::Result<()> {
    let size = fs::metadata(&bench.options.server)?.len() as f64;
    let process = bench.start_server(Server::EMPTY)?;
    let rss = process.rss()? as f64;
    bench.report.add(Row::new("at rest", "program", bytes(size)).goal(Goal::AtMost(1.5e6), size, "≤ 1.5 MB"));
    bench.report.add(Row::new("at rest", "memory", bytes(rss)).goal(Goal::AtMost(3e6), rss, "≤ 3 MB"));
    Ok(())
}
