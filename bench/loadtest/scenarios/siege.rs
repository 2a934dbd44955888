//! Under siege: a thousand addresses attack a server whose limits are on, and honest people hardly notice.

use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::strain::Chat;
use crate::bench::{Bench, Server, Target, Until};
use crate::besiegers::{self, ADDRESSES, DIRECT_ACCOUNTS, Outcome, VICTIMS};
use crate::failure;
use crate::fixtures::{make_accounts, make_log, no_letters};
use crate::probes::{Probes, Times, token};
use crate::process::{Running, pinned};
use crate::report::{Goal, Row, bytes, count, duration, time};

const CHATTERS: usize = 100;
/// Few enough of them to an address.
const CHATTERS_ADDRESSES: usize = 20;
/// 50 MB for those who read the history.
const LOG_LINES: u64 = 500_000;
/// How long the siege is; calm is measured for as long as a login needs a few times.
const SIEGE: Duration = Duration::from_secs(35);
const CALM: Duration = Duration::from_secs(5);
/// Besiegers come within a second, and then it is measured.
const RAMP: Duration = Duration::from_secs(3);

const RESUME_MAX: Duration = Duration::from_millis(100);
const LOGIN_MAX: Duration = Duration::from_secs(20);
const GUESSES_PER_HOUR_MAX: f64 = 720.0;

/// Chats, logs in and resumes, first in peace and then under siege.
pub fn run(bench: &mut Bench) -> io::Result<()> {
    let sockets = besiegers::connections();
    bench.connections(CHATTERS + sockets, 1, CHATTERS + sockets)?;
    let data = bench.new_directory();
    let rounds = chinwag::limits::KDF_ROUNDS_DEFAULT;
    make_log(&data, LOG_LINES, no_letters)?;
    make_accounts(&data, &[(CHATTERS, 1), (VICTIMS, rounds), (DIRECT_ACCOUNTS, 1)])?;
    let mut target = bench.server(Server { data: Some(&data), kdf_rounds: rounds, is_limited: true })?;
    let server =
        target.process.as_ref().map(|process| process.address).ok_or_else(|| failure("no server"))?;
    bench.progress(format!("siege: {CHATTERS} log in"));
    target.logins(0, CHATTERS).at_once_from(CHATTERS_ADDRESSES).finish(&mut target.swarm)?;
    let mut chat = Chat::begin(bench, &mut target, 0, bench.options.size)?;

    bench.progress("siege: logins and resumes in peace");
    let token = token(server, CHATTERS + 1)?;
    let probes = Probes::start(server, CHATTERS, token.clone());
    chat.without = chat.go_on_while(&mut target, &mut Until::after(CALM))?;
    let calm = probes.finish()?;
    let rss_before = target.rss()?;

    bench.progress(format!(
        "siege: {} addresses with {} connections, for {} s",
        count(ADDRESSES as f64),
        count(sockets as f64),
        SIEGE.as_secs()
    ));
    let mut besiegers = besiege(bench, &target)?;
    chat.go_on_while(&mut target, &mut Until::after(RAMP))?;
    let probes = Probes::start(server, CHATTERS, token);
    let talk = chat.go_on_while(&mut target, &mut Until::after(SIEGE - 2 * RAMP))?;
    let besieged = probes.finish()?;
    let rss = target.rss()?;
    let outcome = outcome_of(&mut besiegers)?;

    let scenario = format!("siege, {} addresses", count(ADDRESSES as f64));
    let p50 = [&chat.without, &talk].map(|talk| duration(talk.latencies.percentile(0.5)));
    bench.report.add(Row::new(&scenario, "chat p50, without → with", p50.join(" → ")));
    chat.report(bench, &scenario, &talk);
    report_probes(bench, &scenario, &calm, &besieged);
    let judged = outcome.judged.into_iter().max().unwrap_or(0);
    // The first one is free, so that one in five seconds comes to 720.
    let per_hour = judged.saturating_sub(1) as f64 * 3600.0 / SIEGE.as_secs_f64();
    bench.report.add(Row::new(&scenario, "guesses judged, per account and hour", count(per_hour)).goal(
        Goal::AtMost(GUESSES_PER_HOUR_MAX),
        per_hour,
        "≤ 720",
    ));
    let came =
        format!("{}, {} of them closed", count(outcome.connections as f64), count(outcome.closed as f64));
    bench.report.add(Row::new(&scenario, "hostile connections", came));
    let text = format!("{} → {}", bytes(rss_before), bytes(rss));
    bench.report.add(Row::new(&scenario, "memory, without → with", text));
    Ok(())
}

fn besiege(bench: &Bench, target: &Target) -> io::Result<Running> {
    let server =
        target.process.as_ref().map(|process| process.address).ok_or_else(|| failure("no server"))?;
    let attack = pinned(bench.cores.map(|cores| cores.load), &std::env::current_exe()?);
    // What is measured goes first.
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(attack.get_program()).args(attack.get_args());
    command.arg("--besiege").arg(server.to_string());
    command.args([CHATTERS.to_string(), SIEGE.as_secs().to_string()]);
    Ok(Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?))
}

/// Waits until the siege is over.
fn outcome_of(besiegers: &mut Running) -> io::Result<Outcome> {
    let stdout = besiegers.0.stdout.take().ok_or_else(|| failure("the besiegers say nothing"))?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    Outcome::parse(&line).ok_or_else(|| failure(format!("the besiegers failed, and say {line:?}")))
}

fn report_probes(bench: &mut Bench, scenario: &str, calm: &Times, besieged: &Times) {
    if besieged.failures + calm.failures > 0 {
        let (failures, last) = (besieged.failures + calm.failures, &besieged.last_failure);
        bench.progress(format!("siege: {failures} honest connections failed, the last with {last:?}"));
    }
    let row = |figure, calm: &[Duration], besieged: &[Duration]| {
        let (calm, besieged) = (worst(calm), worst(besieged));
        (Row::new(scenario, figure, format!("{} → {}", words(calm), words(besieged))), besieged)
    };
    let (connect, _) = row("slowest greeting, without → with", &calm.connects, &besieged.connects);
    let (resume, slowest_resume) = row("slowest /resume, without → with", &calm.resumes, &besieged.resumes);
    let (login, slowest_login) = row("slowest login, without → with", &calm.logins, &besieged.logins);
    let refused = format!("{} of {}", besieged.failures, besieged.visits);
    let report = &mut bench.report;
    report.add(connect);
    report.add(resume.goal(Goal::AtMost(RESUME_MAX.as_secs_f64()), slowest_resume, "≤ 0.1 s"));
    report.add(login.goal(Goal::AtMost(LOGIN_MAX.as_secs_f64()), slowest_login, "≤ 20 s"));
    report.add(Row::new(scenario, "honest connections that failed", refused).goal(
        Goal::AtMost(0.0),
        f64::from(besieged.failures),
        "0",
    ));
}

/// In seconds; without an end where there is none at all.
fn worst(times: &[Duration]) -> f64 {
    times.iter().max().map_or(f64::INFINITY, Duration::as_secs_f64)
}

fn words(seconds: f64) -> String {
    if seconds.is_finite() { time(seconds) } else { "none".into() }
}
