//! Private messages: pairs, each of which answers the other.

use std::io;
use std::time::{Duration, Instant};

use chinwag::protocol::record::{Audience as Recipient, ends_of};

use crate::bench::{Bench, Server, Target};
use crate::crowd::{ANY_TIMESTAMP, Stamping, account_number, push_text, text_number};
use crate::failure;
use crate::limit::Audience;
use crate::logins::name;
use crate::report::{Goal, Row, count, median, time};
use crate::swarm::{PeerId, Swarm};

const PAIRS: usize = 500;
const ROUNDS: usize = 3;

/// Server, the bare loop that answers one peer, and the one that gives the sender its copy too, as the server does.
pub fn run(bench: &mut Bench) -> io::Result<()> {
    let wanted = bench.options.clients.unwrap_or(2 * PAIRS) / 2 * 2;
    let clients = bench.connections(wanted, 3, 2)? / 2 * 2;
    bench.progress(format!("ping-pong: {} pairs log in", count(clients as f64 / 2.0)));
    let mut targets = vec![(bench.server(Server::EMPTY)?, Audience::Pair)];
    for audience in [Audience::Peer, Audience::Pair] {
        targets.extend(bench.limit_beside(audience)?.map(|target| (target, audience)));
    }
    let mut rallies = Vec::new();
    for (target, audience) in &mut targets {
        target.admit(0, clients)?;
        rallies.push(Rally::new(target.stamping(), clients, *audience, bench.options.size));
    }
    let mut outcomes = vec![Vec::new(); targets.len()];
    for round in 1..=ROUNDS {
        bench.progress(format!("ping-pong: round {round} of {ROUNDS}"));
        for (((target, _), rally), outcomes) in targets.iter_mut().zip(&mut rallies).zip(&mut outcomes) {
            outcomes.push(rally.play(target, bench.options.duration)?);
        }
    }
    report(bench, &format!("ping-pong, {} pairs", count(clients as f64 / 2.0)), &outcomes);
    Ok(())
}

/// Messages a second, and CPU seconds for each.
type Outcome = (f64, f64);

fn report(bench: &mut Bench, scenario: &str, outcomes: &[Vec<Outcome>]) {
    let middle = |of: &[Outcome], part: fn(&Outcome) -> f64| median(&of.iter().map(part).collect::<Vec<_>>());
    let ratios = |of: &[Outcome], part: fn(&Outcome, &Outcome) -> f64| -> Vec<f64> {
        outcomes[0].iter().zip(of).map(|(server, limit)| part(server, limit)).collect()
    };
    let [server, limits @ ..] = outcomes else { return };
    let (a_second, cpu) = (count(middle(server, |it| it.0)), time(middle(server, |it| it.1)));
    if limits.is_empty() {
        bench.report.add(Row::new(scenario, "messages a second", a_second));
        return;
    }
    let figures = [
        ("messages a second", "CPU per message"),
        ("messages a second, with copies", "CPU per message, with copies"),
    ];
    for (index, (limit, figures)) in limits.iter().zip(figures).enumerate() {
        let slower = ratios(limit, |server, limit| limit.0 / server.0);
        let row =
            Row::new(scenario, figures.0, &a_second).limit(count(middle(limit, |it| it.0))).ratio(&slower);
        bench.report.add(match index {
            0 => row.goal(Goal::AtMost(1.5), median(&slower), "limit ≤ 1.50 × server"),
            _ => row,
        });
        let dearer = ratios(limit, |server, limit| server.1 / limit.1);
        bench
            .report
            .add(Row::new(scenario, figures.1, &cpu).limit(time(middle(limit, |it| it.1))).ratio(&dearer));
    }
}

/// One of a pair; its partner is the one before or after it.
#[derive(Default)]
struct Player {
    /// Messages said, heard from the partner, and got back as copies.
    said: u64,
    heard: u64,
    copied: u64,
    /// The beginning of a line whose end was not read yet.
    unended: Vec<u8>,
}

struct Rally {
    stamping: Stamping,
    has_copies: bool,
    text_bytes: usize,
    players: Vec<Player>,
    /// Whose turn it is.
    turns: Vec<PeerId>,
}

impl Rally {
    fn new(stamping: Stamping, players: usize, audience: Audience, text_bytes: usize) -> Rally {
        Rally {
            stamping,
            has_copies: audience == Audience::Pair,
            text_bytes,
            players: (0..players).map(|_| Player::default()).collect(),
            turns: Vec::new(),
        }
    }

    fn play(&mut self, target: &mut Target, length: Duration) -> io::Result<Outcome> {
        let (cpu, said) = (target.cpu()?, self.said());
        let started = Instant::now();
        self.turns.extend((0..self.players.len()).step_by(2));
        while started.elapsed() < length {
            for id in std::mem::take(&mut self.turns) {
                self.say(&mut target.swarm, id)?;
            }
            self.poll(&mut target.swarm)?;
        }
        while !self.has_all_arrived() {
            self.poll(&mut target.swarm)?;
        }
        self.turns.clear();
        let elapsed = started.elapsed();
        let messages = (self.said() - said) as f64;
        Ok((messages / elapsed.as_secs_f64(), (target.cpu()? - cpu).as_secs_f64() / messages))
    }

    fn said(&self) -> u64 {
        self.players.iter().map(|player| player.said).sum()
    }

    fn has_all_arrived(&self) -> bool {
        self.players.iter().enumerate().all(|(id, player)| {
            self.players[id ^ 1].heard == player.said && (!self.has_copies || player.copied == player.said)
        })
    }

    fn say(&mut self, swarm: &mut Swarm, id: PeerId) -> io::Result<()> {
        let player = &mut self.players[id];
        let mut line = match self.stamping {
            Stamping::Server => format!("/msg {} ", name(id ^ 1)),
            Stamping::Nobody => format!("{ANY_TIMESTAMP} {} -> {}: ", name(id), name(id ^ 1)),
        }
        .into_bytes();
        push_text(&mut line, player.said, self.text_bytes);
        player.said += 1;
        swarm.send(id, &line)
    }

    fn poll(&mut self, swarm: &mut Swarm) -> io::Result<()> {
        swarm.poll(Duration::from_millis(20), &mut |id, bytes| self.received(id, bytes))
    }

    fn received(&mut self, id: PeerId, bytes: &[u8]) -> io::Result<()> {
        let mut text = std::mem::take(&mut self.players[id].unended);
        text.extend_from_slice(bytes);
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        for line in text[..whole].split_inclusive(|&byte| byte == b'\n') {
            self.heard(id, line)?;
        }
        text.drain(..whole);
        self.players[id].unended = text;
        Ok(())
    }

    fn heard(&mut self, id: PeerId, line: &[u8]) -> io::Result<()> {
        // Others may come and go on a server that is not ours.
        if line.starts_with(b"* ") {
            return Ok(());
        }
        let message = ends_of(line).and_then(|ends| {
            let Recipient::Private(to) = ends.to else { return None };
            Some((account_number(ends.from)?, account_number(to)?, text_number(&line[ends.text_at..])?))
        });
        let player = &mut self.players[id];
        match message {
            Some((from, to, number)) if (from, to) == (id ^ 1, id) && number == player.heard => {
                player.heard += 1;
                self.turns.push(id);
            }
            Some((from, to, number))
                if (from, to) == (id, id ^ 1) && self.has_copies && number == player.copied =>
            {
                player.copied += 1;
            }
            _ => return Err(failure(format!("player {id} is told {:?}", String::from_utf8_lossy(line)))),
        }
        Ok(())
    }
}
