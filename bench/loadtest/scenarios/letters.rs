//! Private lines of two people in a long log: spread over all of it, and far back.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chinwag::log::journal::LOG_FILE;
use chinwag::protocol::record::TIMESTAMP_BYTES;

use crate::bench::{Bench, Server};
use crate::crowd::text_number;
use crate::failure;
use crate::fixtures::{FORMER, FORMER_LETTERS, FREQUENT, letter_head, letters};
use crate::logins::name;
use crate::netcat;
use crate::report::{Goal, Row, bytes, median, time};
use crate::visitor::Visitor;

/// The data directory of both scenarios.
const DIRECTORY: &str = "letters-log";
/// Requests for old lines, each on a connection of its own.
const REQUESTS: usize = 20;
/// Starts, with such a request right after each.
const STARTS: usize = 5;

/// Someone reads her private lines, of which nearly each block has some.
pub fn frequent(bench: &mut Bench) -> io::Result<()> {
    let data = bench.big_log(DIRECTORY, letters)?;
    let expected = letters_of(FREQUENT, bench.log_lines());
    bench.progress(format!("private history: {} of {} lines", expected.len(), bench.log_lines()));
    let process = bench.start_server(Server::on(&data))?;
    let first = read(process.address, FREQUENT, None, &expected)?;
    bench.wait_for_scan(&process)?;
    bench.progress("private history: the same once the log is verified");
    let verified = read(process.address, FREQUENT, None, &expected)?;
    process.stop(bench.deadline)?;
    bench.progress("private history: cat FILE | nc");
    let (limit, sender) = netcat::bytes_a_second(bench.cores, &data.join(LOG_FILE))?;
    let log_bytes = bench.log_bytes() as f64;
    let row = |scenario, elapsed: Duration| {
        let server = log_bytes / elapsed.as_secs_f64();
        let ratio = server / limit;
        let row = Row::new(scenario, "bytes of log a second", bytes(server))
            .limit(format!("{} ({sender})", bytes(limit)))
            .ratio(&[ratio]);
        (row, ratio)
    };
    let (at_first, _) = row("private history right after a start", first);
    let (row, ratio) = row("private history", verified);
    bench.report.add(at_first);
    bench.report.add(row.goal(Goal::AtLeast(0.4), ratio, "≥ 0.40 × cat | nc"));
    Ok(())
}

/// The last private lines of someone are far back.
pub fn former(bench: &mut Bench) -> io::Result<()> {
    let data = bench.big_log(DIRECTORY, letters)?;
    let expected = letters_of(FORMER, bench.log_lines());
    bench.progress(format!("old private lines: a request right after each of {STARTS} starts"));
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let process = bench.start_server(Server::on(&data))?;
        times.push(read(process.address, FORMER, Some(FORMER_LETTERS), &expected)?);
        process.stop(bench.deadline)?;
    }
    report(bench, "old private lines right after a start", &times);
    bench.progress(format!("old private lines: {REQUESTS} requests once the log is verified"));
    let process = bench.start_server(Server::on(&data))?;
    bench.wait_for_scan(&process)?;
    let times = (0..REQUESTS).map(|_| read(process.address, FORMER, Some(FORMER_LETTERS), &expected));
    let times = times.collect::<io::Result<Vec<_>>>()?;
    process.stop(bench.deadline)?;
    report(bench, "old private lines", &times);
    Ok(())
}

fn report(bench: &mut Bench, scenario: &str, times: &[Duration]) {
    let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    let longest = seconds.iter().copied().fold(0.0, f64::max);
    bench.report.add(Row::new(scenario, "time, p50", time(median(&seconds))));
    let goal = Goal::AtMost(0.02);
    bench.report.add(Row::new(scenario, "time, longest", time(longest)).goal(goal, longest, "≤ 20 ms"));
}

/// The letters between this account and the next one, as they are to be told: what stands between the time and the
/// text, and the number.
fn letters_of(account: usize, lines: u64) -> Vec<(String, u64)> {
    let ends = |number| letters(number, lines).filter(|&(from, to)| from.min(to) == account);
    (0..lines).filter_map(|number| Some((letter_head(ends(number)?), number))).collect()
}

/// Logs in, asks for the letters, the last `last` of them or all, and reads them. Returns the time from the request to
/// the last of them.
fn read(
    server: SocketAddr,
    account: usize,
    last: Option<u64>,
    expected: &[(String, u64)],
) -> io::Result<Duration> {
    let mut visitor = Visitor::log_in(server, account)?;
    let last = last.map_or(String::new(), |last| format!(" {last}"));
    let started = Instant::now();
    visitor.say(&format!("/history {}{last}\n", name(account + 1)))?;
    for (head, number) in expected {
        let line = visitor.next_message()?;
        let text = line.get(TIMESTAMP_BYTES..).and_then(|rest| rest.strip_prefix(head.as_str()));
        if text.and_then(|text| text_number(text.as_bytes())) != Some(*number) {
            return Err(failure(format!("told {line:?} where line {number} of the log is due")));
        }
    }
    let elapsed = started.elapsed();
    visitor.wait_for("* end of history")?;
    visitor.say("/quit\n")?;
    Ok(elapsed)
}
