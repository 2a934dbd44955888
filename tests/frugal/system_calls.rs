//! System calls of the real program, as strace tells them.

use std::path::PathBuf;
use std::time::Instant;

use tempfile::TempDir;

use crate::common::{Client, QUICK, Server, Setup, can_trace, trace_of_killed};

const CLIENTS: usize = 20;
/// So many that one more call for every tenth of them is more than the clock brings about.
const MESSAGES: usize = 500;
/// Calls of each kind that no message brings about: that the last ones came is told to all.
const BY_THE_CLOCK: usize = 30;
/// How far everyone has read is saved once a second, and that wakes the server: that many more where it takes longer.
const BY_THE_CLOCK_A_SECOND: u64 = 2;

/// A traced server, and sessions that are logged in to it.
struct Traced {
    server: Server,
    clients: Vec<Client>,
    trace: PathBuf,
    started: Instant,
    _directory: TempDir,
}

impl Traced {
    fn start() -> Option<Traced> {
        if !can_trace() {
            return None;
        }
        let directory = TempDir::new().unwrap();
        let trace = directory.path().join("trace");
        let strace = ["strace", "-D", "-f", "-s", "256", "-o", trace.to_str().unwrap()];
        let server = Setup::new(&QUICK).under(strace).start();
        let clients = (0..CLIENTS).map(|number| server.register(&name(number))).collect();
        Some(Traced { server, clients, trace, started: Instant::now(), _directory: directory })
    }

    fn say(&mut self, client: usize, line: &str) {
        self.clients[client].send(line);
    }

    fn hear(&mut self, client: usize, text: &str) {
        self.clients[client].expect_message(text);
    }

    /// Ends the server, and returns the names of the calls from the reading of one text to the reading of another,
    /// and how many of each kind the clock may have brought about.
    fn calls_between(self, first: &str, last: &str) -> (Vec<String>, usize) {
        let seconds = self.started.elapsed().as_secs() + 1;
        self.server.kill();
        let text = trace_of_killed(&self.trace);
        let lines = text.lines().skip_while(|line| !is_read_of(line, first));
        let calls = lines.take_while(|line| !is_read_of(line, last)).filter_map(name_of_call).collect();
        (calls, BY_THE_CLOCK + (BY_THE_CLOCK_A_SECOND * seconds) as usize)
    }
}

fn name(number: usize) -> String {
    format!("guest{number:02}")
}

fn is_read_of(line: &str, text: &str) -> bool {
    line.contains("recvfrom(") && line.contains(text)
}

/// `1234  recvfrom(9, "…", 8192, 0, NULL, NULL) = 3`
fn name_of_call(line: &str) -> Option<String> {
    let (_, call) = line.split_once(' ')?;
    Some(call.trim_start().split_once('(')?.0.to_owned())
}

/// How many there are of each kind, at most so many for each message besides those by the clock; and no others.
fn check((calls, by_the_clock): (Vec<String>, usize), messages: usize, each: &[(&str, usize)]) {
    let mut others = calls.len();
    for (name, most) in each {
        let count = calls.iter().filter(|call| call == name).count();
        others -= count;
        assert!(count >= messages, "{count} {name}: the trace is not what it should be");
        let most = most * messages + by_the_clock;
        assert!(count <= most, "{count} {name} for {messages} messages, at most {most}");
    }
    assert!(others <= by_the_clock, "{others} other calls for {messages} messages: {calls:?}");
}

#[test]
fn a_public_message_costs_one_read_one_append_one_sync_and_one_write_for_each_who_gets_it() {
    let Some(mut traced) = Traced::start() else { return };
    traced.say(0, "begin");
    for number in 0..MESSAGES {
        traced.say(0, &format!("hello {number}"));
        for client in 0..CLIENTS {
            if number == 0 {
                traced.hear(client, "guest00: begin");
            }
            traced.hear(client, &format!("guest00: hello {number}"));
        }
    }
    traced.say(0, "the end");
    traced.hear(0, "guest00: the end");
    let calls = traced.calls_between("hello 0", "the end");
    let each = [
        ("epoll_wait", 1),
        ("recvfrom", 1),
        ("write", 1),
        ("statx", 1),
        ("fdatasync", 1),
        ("sendto", CLIENTS),
    ];
    check(calls, MESSAGES, &each);
}

#[test]
fn a_private_message_costs_one_read_one_append_one_sync_and_two_writes() {
    let Some(mut traced) = Traced::start() else { return };
    for number in 0..MESSAGES {
        traced.say(0, &format!("/msg guest01 psst {number}"));
        traced.hear(0, &format!("guest00 -> guest01: psst {number}"));
        traced.hear(1, &format!("guest00 -> guest01: psst {number}"));
    }
    traced.say(0, "the end");
    traced.hear(0, "guest00: the end");
    let calls = traced.calls_between("psst 0", "the end");
    let each =
        [("epoll_wait", 1), ("recvfrom", 1), ("write", 1), ("statx", 1), ("fdatasync", 1), ("sendto", 2)];
    check(calls, MESSAGES, &each);
}

#[test]
fn a_line_in_a_room_costs_one_read_one_append_one_sync_and_one_write_for_each_member_who_is_online() {
    const MEMBERS: usize = CLIENTS / 2;
    let Some(mut traced) = Traced::start() else { return };
    for client in 0..MEMBERS {
        traced.say(client, "/join #room");
        traced.clients[client].until("* talking to #room");
    }
    traced.say(0, "begin");
    (0..MEMBERS).for_each(|client| _ = traced.clients[client].until("guest00 -> #room: begin"));
    for number in 0..MESSAGES {
        traced.say(0, &format!("hello {number}"));
        for client in 0..MEMBERS {
            traced.hear(client, &format!("guest00 -> #room: hello {number}"));
        }
    }
    traced.say(0, "the end");
    traced.hear(0, "guest00 -> #room: the end");
    let calls = traced.calls_between("hello 0", "the end");
    let each = [
        ("epoll_wait", 1),
        ("recvfrom", 1),
        ("write", 1),
        ("statx", 1),
        ("fdatasync", 1),
        ("sendto", MEMBERS),
    ];
    check(calls, MESSAGES, &each);
}
