//! The order of system calls: nothing is shown before it is on disk, and a turn costs one append and one sync.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::common::*;

/// A server whose system calls are written to a file. It is the tracer's parent and not its child, so that the
/// handle of the process is the server's.
struct Traced {
    server: Server,
    trace: PathBuf,
    _directory: TempDir,
}

impl Traced {
    fn start(flags: &[&str]) -> Traced {
        let directory = TempDir::new().unwrap();
        let trace = directory.path().join("trace");
        let strace = ["strace", "-D", "-f", "-y", "-s", "65536", "-o", trace.to_str().unwrap()];
        let calls = "trace=write,writev,sendto,sendmsg,pwrite64,fdatasync,fsync";
        let setup = Setup::new(flags).under(strace.into_iter().chain(["-e", calls]));
        Traced { server: setup.start(), trace, _directory: directory }
    }

    /// Ends the server, and returns its calls in order.
    fn calls(self) -> Vec<Call> {
        self.server.kill();
        let text = trace_of_killed(&self.trace);
        text.lines().filter_map(Call::parse).collect()
    }
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum On {
    History,
    Users,
    Socket,
}

#[derive(Debug)]
struct Call {
    is_sync: bool,
    on: On,
    /// The descriptor, which tells sockets apart.
    descriptor: String,
    text: String,
}

impl Call {
    /// `1234  writev(9<socket:[5]>, [{iov_base="…", iov_len=3}], 1) = 3`
    fn parse(line: &str) -> Option<Call> {
        let (_, call) = line.split_once(' ')?;
        let (name, arguments) = call.trim_start().split_once('(')?;
        let descriptor = arguments.split_once('>')?.0;
        let on = match descriptor {
            it if it.ends_with("/chat_history.txt") => On::History,
            it if it.ends_with("/users.txt") => On::Users,
            it if it.contains("<socket:") || it.contains("<TCP:") => On::Socket,
            _ => return None,
        };
        let is_sync = name == "fdatasync" || name == "fsync";
        Some(Call { is_sync, on, descriptor: descriptor.to_owned(), text: arguments.to_owned() })
    }
}

/// Checks that each of `texts` was appended to `on`, synced, and only then written to a socket. Returns the calls'
/// places of those appends, without repeats.
fn check_order(calls: &[Call], on: On, texts: &[(String, String)]) -> Vec<usize> {
    let mut appends = Vec::new();
    for (stored, shown) in texts {
        let place = |what: &str, is_it: &dyn Fn(&Call) -> bool| {
            calls.iter().position(is_it).unwrap_or_else(|| panic!("{what} of {stored}: {calls:#?}"))
        };
        let append = place("append", &|call| call.on == on && !call.is_sync && call.text.contains(stored));
        let shows = place("show", &|call| call.on == On::Socket && call.text.contains(shown));
        let synced = calls[append..].iter().position(|call| call.on == on && call.is_sync);
        let synced = append + synced.unwrap_or_else(|| panic!("no sync of {stored}"));
        assert!(append < synced && synced < shows, "{stored}: {append} {synced} {shows}: {calls:#?}");
        appends.push(append);
    }
    appends.dedup();
    appends
}

/// The timestamps of the messages in what a call wrote, which no two messages share.
fn stamps(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("20").filter_map(|(at, _)| text.get(at..at + STAMP_BYTES));
    starts.filter(|it| chinwag::protocol::record::Timestamp::parse(it.as_bytes()).is_some())
}

/// Checks that whatever message is in a write to a socket was appended and synced before. Returns how often.
fn check_all(calls: &[Call]) -> usize {
    let (mut appended, mut synced, mut shown) = (HashSet::new(), HashSet::new(), 0);
    for call in calls {
        match (call.on, call.is_sync) {
            (On::History, true) => synced.extend(appended.drain()),
            (On::History, false) => appended.extend(stamps(&call.text)),
            (On::Socket, _) => {
                for stamp in stamps(&call.text) {
                    assert!(synced.contains(stamp), "{stamp} was shown before its sync: {calls:#?}");
                    shown += 1;
                }
            }
            (On::Users, _) => {}
        }
    }
    shown
}

#[test]
fn no_message_goes_to_any_socket_before_its_sync_whoever_talks_asks_comes_or_goes() {
    const TALKERS: usize = 6;
    const MESSAGES: usize = 30;
    if !can_trace() {
        return;
    }
    let traced = Traced::start(&QUICK);
    let address = traced.server.address;
    let shown: usize = std::thread::scope(|scope| {
        let talkers: Vec<_> = (0..TALKERS)
            .map(|own| {
                scope.spawn(move || {
                    let mut lines = Vec::new();
                    for visit in 0..3 {
                        let mut talker = Client::connect(address);
                        talker.greeted();
                        let command = if visit == 0 { "register" } else { "login" };
                        let mut script = format!("/{command} talker{own} {PASSWORD}\n");
                        for number in 0..MESSAGES / 3 {
                            script += &format!("said {number}\n/msg talker0 psst {number}\n/history 2\n");
                        }
                        talker.send_raw((script + "/quit\n").as_bytes());
                        lines.extend(talker.rest());
                    }
                    lines.iter().filter(|line| line.starts_with("talker")).count()
                })
            })
            .collect();
        talkers.into_iter().map(|talker| talker.join().unwrap()).sum()
    });
    let calls = traced.calls();
    assert!(shown >= TALKERS * MESSAGES * 4, "{shown}");
    assert_eq!(check_all(&calls), shown, "what was shown stands in the trace");
}

#[test]
fn nothing_is_shown_before_it_is_synced_and_a_turn_costs_one_append_and_one_write_each() {
    if !can_trace() {
        return;
    }
    let traced = Traced::start(&QUICK);
    let server = &traced.server;
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    for number in 0..5 {
        alice.say("alice", &format!("single-{number};"));
        bob.expect_message(&format!("alice: single-{number};"));
    }
    alice.send("/msg bob psst;");
    alice.expect_message("alice -> bob: psst;");
    bob.expect_message("alice -> bob: psst;");
    let packet: String = (0..20).map(|number| format!("batched-{number};\n")).collect();
    alice.send_raw(packet.as_bytes());
    for number in 0..20 {
        alice.expect_message(&format!("alice: batched-{number};"));
        bob.expect_message(&format!("alice: batched-{number};"));
    }
    alice.ask_history("/history");
    alice.send("/passwd correct-horse battery-staple");
    alice.expect("* password changed");
    let calls = traced.calls();

    let changes = calls.iter().filter(|call| call.on == On::Users || call.text.contains("password changed"));
    let last: Vec<_> = changes.map(|call| (call.on, call.is_sync)).collect();
    assert!(last.ends_with(&[(On::Users, false), (On::Users, true), (On::Socket, false)]), "{last:?}");
    let account = |name: &str| (format!("{name}:pbkdf2"), format!("* welcome {name}\\n"));
    assert_eq!(check_order(&calls, On::Users, &[account("alice"), account("bob")]).len(), 2);
    let twice = |text: String| (text.clone(), text);
    let singles: Vec<_> = (0..5).map(|number| twice(format!(" alice: single-{number};"))).collect();
    check_order(&calls, On::History, &singles);
    check_order(&calls, On::History, &[twice(" alice -> bob: psst;".into())]);
    let batched: Vec<_> = (0..20).map(|number| twice(format!(" alice: batched-{number};"))).collect();
    let appends = check_order(&calls, On::History, &batched);

    assert_eq!(appends.len(), 1, "one packet is one append");
    let turn = &calls[appends[0]..];
    assert!(turn[1].is_sync && turn[1].on == On::History, "{turn:#?}");
    let writes = turn.iter().filter(|call| call.on == On::Socket && call.text.contains("batched-"));
    let mut sockets: Vec<_> = writes.take_while(|call| !call.text.contains("single-")).collect();
    sockets.sort_by(|a, b| a.descriptor.cmp(&b.descriptor));
    assert_eq!(sockets.len(), 2, "one write to each of the two: {sockets:#?}");
    assert_ne!(sockets[0].descriptor, sockets[1].descriptor);
    let syncs = turn.iter().filter(|call| call.is_sync && call.on == On::History).count();
    assert_eq!(syncs, 1, "and one sync, where nothing is said later");
}

#[test]
fn a_message_waits_for_its_sync_also_where_others_are_told_by_catching_up() {
    if !can_trace() {
        return;
    }
    let traced = Traced::start(&QUICK);
    let server = &traced.server;
    let mut alice = server.register("alice");
    // The history is asked for in the same packet, so that its cursor meets a message of the same turn.
    let mut script = String::new();
    for number in 0..30 {
        script += &format!("said-{number};\n/history 1\n");
    }
    alice.send_raw(script.as_bytes());
    for number in 0..30 {
        alice.expect_message(&format!("alice: said-{number};"));
        alice.expect_message(&format!("alice: said-{number};"));
        alice.expect("* end of history");
    }
    // Somebody who logs in while messages come is shown the last ones from the file, and then follows.
    let missed = |number: usize| format!("alice: missed-{number};");
    let packet: String = (0..60).map(|number| format!("missed-{number};\n")).collect();
    alice.send_raw(packet.as_bytes());
    let mut bob = server.register("bob");
    bob.until(&missed(59));
    assert_eq!(alice.until(&missed(59)).len(), 59);
    let calls = traced.calls();
    let both = |text: String| (format!(" {text}"), format!(" {text}"));
    let said: Vec<_> = (0..30).map(|number| both(format!("alice: said-{number};"))).collect();
    assert!(check_order(&calls, On::History, &said).len() >= 2);
    check_order(&calls, On::History, &(0..60).map(|number| both(missed(number))).collect::<Vec<_>>());
}

#[test]
fn a_file_put_in_the_place_of_another_is_synced_before_and_its_directory_after() {
    if !can_trace() {
        return;
    }
    let mut server = Server::start(&QUICK);
    server.register("alice");
    let directory = TempDir::new().unwrap();
    let (data, trace) = (directory.path().join("data"), directory.path().join("trace"));
    fs::create_dir(&data).unwrap();
    // Without a log, accounts would prevent the start.
    fs::write(data.join("chat_history.txt"), "").unwrap();
    let account = fs::read_to_string(server.file("users.txt")).unwrap();
    // As version 0.1 wrote it: without the time and the checksum.
    let old = account.split(':').take(5).collect::<Vec<_>>().join(":") + "\n";
    fs::write(data.join("users.txt"), old.repeat(2_000)).unwrap();
    server.signal("KILL");
    server.wait();

    let calls = "trace=rename,renameat,renameat2,fdatasync,fsync";
    let strace = ["strace", "-D", "-f", "-y", "-o", trace.to_str().unwrap(), "-e", calls];
    let server = Setup::new(&QUICK).data(&data).under(strace).start();
    assert_eq!(fs::read_to_string(server.file("users.txt")).unwrap().lines().count(), 1, "rewritten");
    server.login("alice");
    server.kill();
    let trace = trace_of_killed(&trace);
    let calls: Vec<_> =
        trace.lines().filter(|line| line.contains("users.txt") || line.contains("data>")).collect();
    let rename = calls.iter().position(|call| call.contains("rename")).expect("one rename");
    assert!(calls[rename - 1].contains("sync") && calls[rename - 1].contains("users.txt.new>"), "{calls:#?}");
    assert!(calls[rename + 1].contains("sync") && calls[rename + 1].contains("/data>"), "{calls:#?}");
}
