//! What a few say, everyone hears, or everyone in a room: flat out, and at a pace.

use std::io;

use crate::bench::{Bench, Pace, Server, Talk, Target, Until};
use crate::crowd::Crowd;
use crate::limit::Audience;
use crate::logins::settle;
use crate::report::{Goal, Row, count, duration, median, time};

const FLAT_UNDER_WAY: usize = 256;
const FLAT_RECEIVERS: [usize; 3] = [200, 1000, 5000];
const PACED_RECEIVERS: usize = 1000;
/// Members of a room, and how many are online in all.
const ROOMS: [(usize, usize); 2] = [(10, 10_000), (5_000, 5_000)];
/// Server and bare loop are measured in turn, so many times: the machine's mood is then the same for both.
const FLAT_ROUNDS: usize = 3;
/// More, since most of the CPU time is the kernel's waking and sleeping, which varies more.
const PACED_ROUNDS: usize = 7;

/// As fast as it goes.
pub fn flat_out(bench: &mut Bench) -> io::Result<()> {
    let wanted = bench.options.clients.map_or(FLAT_RECEIVERS.to_vec(), |clients| vec![clients]);
    for wanted in wanted {
        let talks = talk_in_turn(bench, "fan-out", wanted, None, Pace::Flat(FLAT_UNDER_WAY), FLAT_ROUNDS)?;
        let scenario = format!("fan-out, {}", count(talks.receivers as f64));
        talks.report_cpu(bench, &scenario, (talks.receivers <= 1000).then_some(1.25));
        bench.report.add(talks.row(&scenario, "deliveries a second", Talk::deliveries_a_second, count));
    }
    Ok(())
}

/// At a pace that leaves time between messages.
pub fn paced(bench: &mut Bench) -> io::Result<()> {
    let wanted = bench.options.clients.unwrap_or(PACED_RECEIVERS);
    let rate = bench.options.rate;
    let talks = talk_in_turn(bench, "paced", wanted, None, Pace::PerSecond(rate), PACED_ROUNDS)?;
    let scenario = format!("paced {rate}/s, {}", count(talks.receivers as f64));
    talks.report_cpu(bench, &scenario, Some(1.1));
    for (figure, share) in [("latency p50", 0.5), ("latency p99", 0.99), ("latency p99.9", 0.999)] {
        let of = |talk: &Talk| talk.latencies.percentile(share).as_secs_f64();
        bench.report.add(talks.row(&scenario, figure, of, time));
    }
    Ok(())
}

/// As fast as it goes, in a room that not everyone is in.
pub fn in_rooms(bench: &mut Bench) -> io::Result<()> {
    for (members, online) in ROOMS {
        let talks =
            talk_in_turn(bench, "room", members, Some(online), Pace::Flat(FLAT_UNDER_WAY), FLAT_ROUNDS)?;
        let scenario =
            format!("room of {}, {} online", count(talks.receivers as f64), count(talks.online as f64));
        talks.report_cpu(bench, &scenario, Some(1.25));
        bench.report.add(talks.row(&scenario, "deliveries a second", Talk::deliveries_a_second, count));
    }
    Ok(())
}

struct Talks {
    online: usize,
    receivers: usize,
    server: Vec<Talk>,
    /// Empty where there is nothing to compare with.
    limit: Vec<Talk>,
}

impl Talks {
    /// The CPU time, unless the server is another's, which does not tell; with the most that it may be of the limit's.
    fn report_cpu(&self, bench: &mut Bench, scenario: &str, most: Option<f64>) {
        if self.limit.is_empty() {
            return;
        }
        let row = self.row(scenario, "CPU per delivery", Talk::cpu_per_delivery, time);
        let ratio = median(&self.ratios(Talk::cpu_per_delivery));
        bench.report.add(match most {
            Some(most) => row.goal(Goal::AtMost(most), ratio, &format!("≤ {most:.2} × limit")),
            None => row,
        });
    }

    fn row(
        &self,
        scenario: &str,
        figure: &'static str,
        value: impl Fn(&Talk) -> f64,
        show: impl Fn(f64) -> String,
    ) -> Row {
        let shown = |talks: &[Talk]| show(median(&talks.iter().map(&value).collect::<Vec<_>>()));
        let row = Row::new(scenario, figure, shown(&self.server));
        match self.limit.is_empty() {
            true => row,
            false => row.limit(shown(&self.limit)).ratio(&self.ratios(&value)),
        }
    }

    fn ratios(&self, value: impl Fn(&Talk) -> f64) -> Vec<f64> {
        self.server.iter().zip(&self.limit).map(|(server, limit)| value(server) / value(limit)).collect()
    }
}

fn talk_in_turn(
    bench: &mut Bench,
    what: &str,
    wanted: usize,
    in_room: Option<usize>,
    pace: Pace,
    rounds: usize,
) -> io::Result<Talks> {
    // In a room, the bare loop has as many as the room has, whoever else the server has.
    let receivers = bench.connections(wanted, 2, 2)?;
    let online = bench.connections(in_room.unwrap_or(receivers), 1, receivers)?;
    bench.progress(format!("{what}: {} receivers log in", count(receivers as f64)));
    let mut targets: Vec<Target> = vec![bench.server(Server::EMPTY)?];
    targets.extend(bench.limit_beside(Audience::All)?);
    let mut crowds = Vec::new();
    for (index, target) in targets.iter_mut().enumerate() {
        target.admit(0, if index == 0 { online } else { receivers })?;
        if index == 0 && in_room.is_some() {
            (0..receivers).try_for_each(|id| target.swarm.send(id, b"/join #room\n"))?;
            settle(&mut target.swarm)?;
        }
        crowds.push(Crowd::new(target.stamping(), receivers, bench.options.senders, bench.options.size));
    }
    let mut talks = Talks { online, receivers, server: Vec::new(), limit: Vec::new() };
    for round in 1..=rounds {
        bench.progress(format!("{what}: {} receivers, round {round} of {rounds}", count(receivers as f64)));
        for (index, (target, crowd)) in targets.iter_mut().zip(&mut crowds).enumerate() {
            let talk = target.talk(crowd, pace, &mut Until::after(bench.options.duration))?;
            let by = if index == 0 { "server" } else { "limit" };
            bench.progress(format!(
                "{what}: {by}: {} deliveries, {:.0} at once, in {}, {} of CPU each",
                count(talk.deliveries),
                talk.deliveries / talk.reads,
                duration(talk.elapsed),
                time(talk.cpu_per_delivery())
            ));
            if index == 0 { &mut talks.server } else { &mut talks.limit }.push(talk);
        }
    }
    Ok(talks)
}
