//! The server killed at any moment: whatever anyone was shown is in the file, in the same order, once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use chinwag::protocol::record::{Body, Record};
use tempfile::TempDir;

use crate::common::*;
use crate::faults::check;
use crate::history::visible;

const TALKERS: usize = 4;
const ROUNDS: usize = 20;
/// The kill comes before so many lines were shown to all together.
const LINES_BEFORE_KILL_MAX: u64 = 2000;
const PACKET_LINES: usize = 4;

/// A connection that remembers all it was shown, up to its end by whatever.
struct Witness {
    name: String,
    client: Option<Client>,
    shown: Vec<String>,
    /// How many times it asked for history.
    asked: usize,
    /// Whether it is shown every message that it may see from its first one on.
    misses_nothing: bool,
}

impl Witness {
    /// Connects, if there still is a server, and sends a first packet.
    fn new(address: SocketAddr, name: &str, packet: &str) -> Witness {
        let client = TcpStream::connect(address).ok().map(Client::over);
        let asked = packet.matches("/history").count();
        let misses_nothing = packet.starts_with("/replay 0\n");
        let mut witness = Witness { name: name.to_owned(), client, shown: Vec::new(), asked, misses_nothing };
        witness.send(packet);
        witness
    }

    fn send(&mut self, packet: &str) {
        if let Some(client) = &self.client {
            // One that is gone takes nothing, and reading tells so.
            let _ = client.stream().write_all(packet.as_bytes());
        }
    }

    /// The next line, without its ending; of the last one perhaps only a part.
    fn next(&mut self) -> Option<&str> {
        let line = self.client.as_mut()?.raw_line().ok().flatten();
        self.shown.push(String::from_utf8(line?).expect("all that is sent is UTF-8"));
        self.shown.last()?.strip_suffix('\n')
    }

    /// Whether this line came; if not, the connection has ended.
    fn until(&mut self, last: &str) -> bool {
        while let Some(line) = self.next() {
            if text_of(line).unwrap_or(line) == last {
                return true;
            }
        }
        false
    }

    fn was_told(&self, notice: &str) -> bool {
        self.shown.iter().any(|line| line.strip_suffix('\n') == Some(notice))
    }

    /// Checks all that was shown against the file.
    fn check(&self, history: &str) {
        let kept = visible(history, &self.name);
        let name = &self.name;
        let mut place_before = None;
        let mut asked = self.asked;
        for line in self.shown.iter().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())) {
            let Some(line) = line.strip_suffix('\n') else {
                assert!(kept.iter().any(|it| it.starts_with(line)), "{name} was shown {line}, which is lost");
                break;
            };
            let place = kept.binary_search_by(|it| it.as_str().cmp(line));
            let place = place.unwrap_or_else(|_| panic!("{name} was shown {line}, which is lost"));
            match place_before {
                Some(before) if place <= before => {
                    assert!(asked > 0, "{name} was shown {line} again, or out of order");
                    asked -= 1;
                }
                Some(before) if self.misses_nothing => {
                    assert_eq!(place, before + 1, "{name} was shown {line}, and not what comes before it");
                }
                _ => {}
            }
            place_before = Some(place);
        }
    }
}

/// Checks that a history has whole lines with rising timestamps, and that of what each author said in a round,
/// numbered from 0 on, it has a beginning, in order, each once.
fn check_history(history: &str) {
    let mut said = HashMap::new();
    let mut last = "";
    for line in history.split_inclusive('\n') {
        let record = line.strip_suffix('\n').and_then(Record::parse);
        let Record { from, body, .. } = record.unwrap_or_else(|| panic!("torn: {line:?}"));
        let Body::Text(text) = body else { panic!("no message: {line}") };
        assert!(line > last, "{line} after {last}");
        last = line;
        let (round, number) = text.split_once('.').unwrap();
        let next = said.entry((from, round)).or_insert(0);
        assert_eq!(number.parse(), Ok(*next), "{line}");
        *next += 1;
    }
}

fn can_log_in(address: SocketAddr, name: &str, password: &str) -> bool {
    let mut witness = Witness::new(address, name, &format!("/replay 0\n/login {name} {password}\n/quit\n"));
    while witness.next().is_some() {}
    witness.was_told(&format!("* welcome {name}"))
}

/// Talks without pause until the server is gone. Every second packet begins with a private message.
fn talk(address: SocketAddr, round: usize, own: usize, heard: &AtomicUsize) -> Witness {
    let name = format!("talker{own}");
    let mut witness = Witness::new(address, &name, &format!("/replay 0\n/login {name} {PASSWORD}\n"));
    let mut is_going_on = witness.until(&format!("* welcome {name}"));
    let other = format!("talker{}", (own + 1) % TALKERS);
    for number in (0..).step_by(PACKET_LINES) {
        if !is_going_on {
            break;
        }
        let lines = (number..number + PACKET_LINES).map(|number| match number % (2 * PACKET_LINES) {
            0 => format!("/msg {other} {round}.{number}\n"),
            _ => format!("{round}.{number}\n"),
        });
        witness.send(&lines.collect::<String>());
        let before = witness.shown.len();
        is_going_on = witness.until(&format!("{name}: {round}.{}", number + PACKET_LINES - 1));
        heard.fetch_add(witness.shown.len() - before, Ordering::Relaxed);
    }
    witness
}

/// Comes as one new account after the other, and looks at the history.
fn register(address: SocketAddr, round: usize) -> Vec<Witness> {
    let mut witnesses: Vec<Witness> = Vec::new();
    while witnesses.last().is_none_or(|last| last.was_told("* bye")) {
        let name = format!("new{round}-{}", witnesses.len());
        let packet = format!("/register {name} {PASSWORD}\n/history 30\n/history 5\n/quit\n");
        let mut witness = Witness::new(address, &name, &packet);
        while witness.next().is_some() {}
        witnesses.push(witness);
    }
    witnesses
}

#[test]
fn through_twenty_kills_under_load_nothing_is_lost_that_anyone_was_shown() {
    let data = TempDir::new().unwrap();
    let setup = || Setup::new(&QUICK).data(data.path());
    let server = setup().start();
    (0..TALKERS).for_each(|own| drop(server.register(&format!("talker{own}"))));
    server.kill();

    let mut welcomed: Vec<String> = Vec::new();
    for round in 0..ROUNDS {
        let server = setup().start();
        let (address, heard) = (server.address, AtomicUsize::new(0));
        let moment = (RandomState::new().hash_one(round) % LINES_BEFORE_KILL_MAX) as usize;
        // Where something fails, this tells at which of the moments it was.
        println!("round {round}: killed after {moment} lines were shown");
        let witnesses: Vec<Witness> = std::thread::scope(|scope| {
            let heard = &heard;
            let talkers: Vec<_> =
                (0..TALKERS).map(|own| scope.spawn(move || talk(address, round, own, heard))).collect();
            let newcomers = scope.spawn(move || register(address, round));
            wait_for("the moment", || (heard.load(Ordering::Relaxed) >= moment).then_some(()));
            server.kill();
            let mut witnesses = newcomers.join().unwrap();
            witnesses.extend(talkers.into_iter().map(|talker| talker.join().unwrap()));
            witnesses
        });

        let server = setup().start();
        let history = server.history();
        check_history(&history);
        for witness in &witnesses {
            witness.check(&history);
            if witness.was_told(&format!("* welcome {}", witness.name)) {
                assert!(can_log_in(server.address, &witness.name, PASSWORD), "{}", witness.name);
                welcomed.push(witness.name.clone());
            }
        }
        server.kill();
    }
    assert!(welcomed.len() > ROUNDS, "it was killed under load: {}", welcomed.len());
    let server = setup().start();
    for name in welcomed {
        assert!(can_log_in(server.address, &name, PASSWORD), "{name}");
    }
    server.stop();
    assert_eq!(check(data.path()).0, Some(0));
}

const NEW_PASSWORD: &str = "battery-staple";

/// Some of everything that is written, one after the other, so that each call has its own cause. Returns who was
/// there, and whether they came to the end.
fn converse(server: &Server) -> (Vec<Witness>, bool) {
    let [mut alice, mut bob] = ["alice", "bob"].map(|name| {
        let mut witness =
            Witness::new(server.address, name, &format!("/replay 0\n/register {name} {PASSWORD}\n"));
        witness.until(&format!("* welcome {name}"));
        witness
    });
    let mut is_whole = true;
    for number in 0..3 {
        alice.send(&format!("0.{number}\n"));
        is_whole &= alice.until(&format!("alice: 0.{number}")) && bob.until(&format!("alice: 0.{number}"));
    }
    alice.send("/msg bob 0.3\n");
    is_whole &= alice.until("alice -> bob: 0.3") && bob.until("alice -> bob: 0.3");
    alice.send(&format!("/passwd {PASSWORD} {NEW_PASSWORD}\n"));
    is_whole &= alice.until("* password changed");
    bob.send("0.0\n/history\n");
    bob.asked = 1;
    is_whole &= bob.until("* end of history");
    (vec![alice, bob], is_whole)
}

/// Kills servers at the first such call on the data directory, at the second, and so on until one lives, which is
/// not before `calls_min` have died.
fn kill_at_each(call: &str, calls_min: usize) {
    for when in 1.. {
        let data = TempDir::new().unwrap();
        let fault = format!("inject={call}:signal=SIGKILL:when={when}");
        let mut strace: Vec<_> =
            ["strace", "-D", "-f", "-o", "/dev/null", "-e", &fault].map(String::from).into();
        for name in ["", "chat_history.txt", "users.txt", "seen.txt", "state.txt"] {
            let path = data.path().join(name).to_str().unwrap().trim_end_matches('/').to_owned();
            strace.extend(["-P".to_owned(), path]);
        }
        let setup = Setup::new(&QUICK).data(data.path());
        let killed = setup.under(strace).try_start();
        let (witnesses, is_whole) = killed.as_ref().map_or((Vec::new(), false), converse);
        if is_whole {
            assert!(when > calls_min, "there is no {call} {when}");
            return;
        }
        let what = format!("killed at {call} {when}");
        if let Ok(mut killed) = killed {
            assert_eq!(killed.wait().code(), None, "{what}: {}", killed.log());
        }

        let server = Setup::new(&QUICK).data(data.path()).start();
        let history = server.history();
        check_history(&history);
        for witness in witnesses {
            witness.check(&history);
            let name = &witness.name;
            if witness.was_told(&format!("* welcome {name}")) {
                let has_new = can_log_in(server.address, name, NEW_PASSWORD);
                let has_old = can_log_in(server.address, name, PASSWORD);
                assert!(has_new != has_old, "{what}: {name} has one password");
                assert!(has_new || !witness.was_told("* password changed"), "{what}: {name}");
            }
        }
        let mut carol = server.register("carol");
        carol.send("it goes on");
        carol.until("carol: it goes on");
    }
}

#[test]
fn killed_at_each_append_it_has_kept_what_was_shown() {
    if can_trace() {
        // Two accounts, five messages, and a change of password.
        kill_at_each("write", 8);
    }
}

#[test]
fn killed_at_each_sync_it_has_kept_what_was_shown() {
    if can_trace() {
        // The same, and each of three files once at the start.
        kill_at_each("fdatasync", 11);
    }
}

#[test]
fn killed_at_each_sync_of_a_directory_it_starts_again() {
    if can_trace() {
        kill_at_each("fsync", 3);
    }
}
