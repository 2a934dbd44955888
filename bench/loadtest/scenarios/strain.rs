//! Chat while something else goes on that must not hold it up: logins, readers of the history, slow readers.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Meanwhile, Pace, Server, Talk, Target, Until};
use crate::crowd::Crowd;
use crate::fixtures::{make_accounts, no_letters};
use crate::netcat;
use crate::readers::Readers;
use crate::report::{Goal, Row, bytes, count, duration};
use crate::swarm::{PeerId, Swarm};

const CHATTERS: usize = 100;
/// The chat's p99 may rise by this much.
const RISE_MAX: Duration = Duration::from_millis(3);

const NEWCOMERS: usize = 200;
const NEWCOMERS_ADDRESSES: usize = 20;
const READERS: usize = 10;
const RECEIVERS: usize = 1000;
const SLOW: usize = 100;
const SLOW_BYTES_A_SECOND: usize = 1000;
/// Of the kernel's, so that not it but the server has what slow readers leave.
const SLOW_BUFFER_BYTES: usize = 4096;
/// Texts so long that what slow readers leave behind is more than the server keeps in memory for them.
const SLOW_TEXT_BYTES: usize = 1000;

/// Many log in at full cost.
pub fn login_storm(bench: &mut Bench) -> io::Result<()> {
    bench.connections(CHATTERS + NEWCOMERS, 1, CHATTERS + NEWCOMERS)?;
    let data = bench.new_directory();
    let rounds = chinwag::limits::KDF_ROUNDS_DEFAULT;
    make_accounts(&data, &[(CHATTERS, 1), (NEWCOMERS, rounds)])?;
    let mut target = bench.server(Server::on(&data))?;
    let mut chat = Chat::begin(bench, &mut target, CHATTERS, bench.options.size)?;
    bench.progress(format!("login storm: {NEWCOMERS} log in at {rounds} rounds"));
    let mut logins = target.logins(CHATTERS, NEWCOMERS).at_once_from(NEWCOMERS_ADDRESSES);
    let storm = chat.go_on_while(&mut target, &mut logins)?;
    chat.report(bench, &format!("login storm, {NEWCOMERS}"), &storm);
    bench.progress(format!("login storm: told {} times to try again", logins.retries));
    let time = duration(storm.elapsed);
    bench.report.add(Row::new(format!("login storm, {NEWCOMERS}"), "until all are in", time));
    Ok(())
}

/// Some read all that was ever said.
pub fn history(bench: &mut Bench) -> io::Result<()> {
    bench.connections(CHATTERS + READERS, 1, CHATTERS + READERS)?;
    let data = bench.big_log("big-log", no_letters)?;
    let mut target = bench.server(Server::on(&data))?;
    scanned(bench, &target)?;
    let mut chat = Chat::begin(bench, &mut target, CHATTERS, bench.options.size)?;
    target.admit(CHATTERS, READERS)?;
    let rss_before = target.rss()?;
    bench.progress(format!("history: {READERS} read {}", bytes(bench.log_bytes() as f64)));
    let mut readers = Readers::new(CHATTERS, READERS, bench.log_bytes(), 6 * bench.options.duration);
    let reading = chat.go_on_while(&mut target, &mut readers)?;
    let scenario = format!("history, {READERS} readers");
    chat.report(bench, &scenario, &reading);
    let a_second = readers.told() as f64 / reading.elapsed.as_secs_f64();
    bench.report.add(Row::new(&scenario, "bytes a second", bytes(a_second)));
    memory(bench, &scenario, rss_before, target.rss()?);
    drop(target);
    one_reader(bench, &data)
}

/// Waits until the blocks of the log are verified, so that neither that nor the scan takes part in what is measured.
fn scanned(bench: &Bench, target: &Target) -> io::Result<()> {
    target.process.as_ref().map_or(Ok(()), |process| bench.wait_for_scan(process))
}

/// Someone reads everything right after a start, while the server verifies and scans the log, and again afterwards.
fn one_reader(bench: &mut Bench, data: &Path) -> io::Result<()> {
    bench.progress("history: one reads alone, right after a start");
    let mut target = bench.server(Server::on(data))?;
    // Nobody else is there, so that nothing has to settle.
    target.logins(0, 1).finish(&mut target.swarm)?;
    let first = read_alone(bench, &mut target)?;
    scanned(bench, &target)?;
    bench.progress("history: the same once the log is verified");
    let verified = read_alone(bench, &mut target)?;
    drop(target);
    bench.progress("history: cat FILE | nc");
    let (limit, sender) = netcat::bytes_a_second(bench.cores, &data.join(chinwag::log::journal::LOG_FILE))?;
    let row = |scenario, server| {
        Row::new(scenario, "bytes a second", bytes(server))
            .limit(format!("{} ({sender})", bytes(limit)))
            .ratio(&[server / limit])
    };
    let ratio = verified / limit;
    let goal = Goal::AtLeast(0.5);
    bench.report.add(row("history, one reader right after a start", first));
    bench.report.add(row("history, one reader", verified).goal(goal, ratio, "≥ 0.50 × cat | nc"));
    Ok(())
}

/// Bytes a second of the only one who is there.
fn read_alone(bench: &Bench, target: &mut Target) -> io::Result<f64> {
    let mut nobody = target.crowd(0, bench.options.size);
    let mut reader = Readers::new(0, 1, bench.log_bytes(), Duration::from_secs(30));
    let started = Instant::now();
    while reader.go_on(&mut target.swarm, &mut nobody)? {
        target.swarm.poll(Duration::from_millis(20), &mut |id, bytes| reader.received(id, bytes))?;
    }
    Ok(reader.told() as f64 / started.elapsed().as_secs_f64())
}

/// Some of many take nearly nothing.
pub fn slow_readers(bench: &mut Bench) -> io::Result<()> {
    let mut target = bench.server(Server::EMPTY)?;
    let text_bytes = bench.options.size.max(SLOW_TEXT_BYTES);
    let receivers =
        bench.connections(bench.options.clients.unwrap_or(RECEIVERS).max(2 * SLOW), 1, 2 * SLOW)?;
    let quick = receivers - SLOW;
    bench.progress(format!("slow readers: {} log in", count(receivers as f64)));
    // First, since a crowd is made of those who are in.
    target.admit(0, quick)?;
    target.logins(quick, SLOW).with_receive_buffer(SLOW_BUFFER_BYTES).finish(&mut target.swarm)?;
    let mut chat = Chat::begin(bench, &mut target, 0, text_bytes)?;
    let rss_before = target.rss()?;
    bench.progress(format!("slow readers: {SLOW} read {SLOW_BYTES_A_SECOND} bytes a second"));
    let mut slow = SlowReaders::new(quick, 5 * bench.options.duration, &mut target.swarm, &mut chat.crowd);
    let talk = chat.go_on_while(&mut target, &mut slow)?;
    let scenario = format!("slow readers, {SLOW} of {}", count(receivers as f64));
    chat.report(bench, &scenario, &talk);
    memory(bench, &scenario, rss_before, target.rss()?);
    bench.progress("slow readers: they catch up");
    slow.catch_up(&mut target.swarm, &mut chat.crowd)
}

fn memory(bench: &mut Bench, scenario: &str, before: f64, after: f64) {
    let text = format!("{} → {}", bytes(before), bytes(after));
    bench.report.add(Row::new(scenario, "memory, without → with", text));
}

/// A chat, and how it was when nothing else went on.
pub(super) struct Chat {
    crowd: Crowd,
    pace: Pace,
    /// How it was.
    pub(super) without: Talk,
}

impl Chat {
    /// Lets so many more in, and all who are in chat for a while.
    pub(super) fn begin(
        bench: &Bench,
        target: &mut Target,
        chatters: usize,
        text_bytes: usize,
    ) -> io::Result<Chat> {
        target.admit(target.swarm.len(), chatters)?;
        let mut crowd = target.crowd(CHATTERS, text_bytes);
        let pace = Pace::PerSecond(bench.options.rate);
        bench.progress(format!("{} chat", count(crowd.len() as f64)));
        let without = target.talk(&mut crowd, pace, &mut Until::after(2 * bench.options.duration))?;
        Ok(Chat { crowd, pace, without })
    }

    /// Lets them chat while something else goes on.
    pub(super) fn go_on_while(
        &mut self,
        target: &mut Target,
        meanwhile: &mut dyn Meanwhile,
    ) -> io::Result<Talk> {
        target.talk(&mut self.crowd, self.pace, meanwhile)
    }

    /// Adds the rise of the latency to the report.
    pub(super) fn report(&self, bench: &mut Bench, scenario: &str, with: &Talk) {
        let p99 = |talk: &Talk| talk.latencies.percentile(0.99);
        let (without, with) = (p99(&self.without), p99(with));
        let text = format!("{} → {}", duration(without), duration(with));
        let rise = with.as_secs_f64() - without.as_secs_f64();
        bench.report.add(Row::new(scenario, "chat p99, without → with", text).goal(
            Goal::AtMost(RISE_MAX.as_secs_f64()),
            rise,
            "at most 3 ms more",
        ));
    }
}

/// The last members of a crowd, who read a little each second.
struct SlowReaders {
    first: PeerId,
    next: PeerId,
    due: Instant,
    until: Instant,
}

impl SlowReaders {
    fn new(first: PeerId, length: Duration, swarm: &mut Swarm, crowd: &mut Crowd) -> SlowReaders {
        crowd.set_slow(first..crowd.len());
        for id in first..crowd.len() {
            swarm.pause(id, true);
        }
        let now = Instant::now();
        SlowReaders { first, next: first, due: now, until: now + length }
    }

    /// Lets them read all that they have missed, and looks whether it is what the others got.
    fn catch_up(self, swarm: &mut Swarm, crowd: &mut Crowd) -> io::Result<()> {
        crowd.set_slow(0..0);
        for id in self.first..crowd.len() {
            swarm.pause(id, false);
        }
        crowd.finish(swarm)
    }
}

impl Meanwhile for SlowReaders {
    fn go_on(&mut self, swarm: &mut Swarm, crowd: &mut Crowd) -> io::Result<bool> {
        let now = Instant::now();
        while self.due <= now {
            swarm.read(self.next, SLOW_BYTES_A_SECOND, &mut |id, bytes| crowd.received(id, bytes))?;
            self.next = if self.next + 1 == crowd.len() { self.first } else { self.next + 1 };
            self.due += Duration::from_secs(1) / SLOW as u32;
        }
        Ok(now < self.until)
    }

    fn received(&mut self, _: PeerId, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}
