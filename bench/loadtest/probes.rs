//! An honest client that comes again and again, each time from an address that nobody used before: how long it takes
//! until it is greeted, logged in by its password, and logged in by its token.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::failure;
use crate::logins::{PASSWORD, name};
use crate::visitor::Visitor;

/// Between two connections of one kind.
const PAUSE: Duration = Duration::from_millis(250);

/// How long each took, of each kind.
#[derive(Debug, Default)]
pub struct Times {
    /// From the connect to the greeting.
    pub connects: Vec<Duration>,
    /// From the connect to the welcome, with a password.
    pub logins: Vec<Duration>,
    /// The same with a token; empty where the server gives none.
    pub resumes: Vec<Duration>,
    /// Connections that were tried.
    pub visits: u32,
    /// Those that ended otherwise, and the server's last word on the last of them.
    pub failures: u32,
    /// See `failures`.
    pub last_failure: String,
}

/// Both clients, each on a thread of its own.
pub struct Probes {
    by_password: JoinHandle<Times>,
    by_token: JoinHandle<Times>,
    is_over: Arc<AtomicBool>,
}

impl Probes {
    /// Logs in to the account of this number with its password, and to the next one with a token.
    pub fn start(server: SocketAddr, account: usize, token: Option<String>) -> Probes {
        let is_over = Arc::<AtomicBool>::default();
        let by_password = come_again(&is_over, move |times| {
            let login = format!("/replay 0\n/login {} {PASSWORD}\n", name(account));
            times.visit(server, &login, |times| &mut times.logins);
        });
        let by_token = come_again(&is_over, move |times| {
            let resume = token.as_ref().map(|it| format!("/replay 0\n/resume {} {it}\n", name(account + 1)));
            times.visit(server, resume.as_deref().unwrap_or(""), |times| &mut times.resumes);
        });
        Probes { by_password, by_token, is_over }
    }

    /// Waits until both have ended what they are at, and returns how long each thing took.
    pub fn finish(self) -> io::Result<Times> {
        self.is_over.store(true, Ordering::Relaxed);
        let join = |thread: JoinHandle<Times>| thread.join().map_err(|_| failure("a probe panicked"));
        let (mut times, others) = (join(self.by_password)?, join(self.by_token)?);
        times.connects.extend(others.connects);
        times.resumes = others.resumes;
        times.visits += others.visits;
        times.failures += others.failures;
        if !others.last_failure.is_empty() {
            times.last_failure = others.last_failure;
        }
        Ok(times)
    }
}

fn come_again(is_over: &Arc<AtomicBool>, visit: impl Fn(&mut Times) + Send + 'static) -> JoinHandle<Times> {
    let is_over = Arc::clone(is_over);
    thread::spawn(move || {
        let mut times = Times::default();
        while !is_over.load(Ordering::Relaxed) {
            visit(&mut times);
            thread::sleep(PAUSE);
        }
        times
    })
}

impl Times {
    /// Connects, says `words` and waits for a welcome; nothing but the greeting where there are no words.
    fn visit(&mut self, server: SocketAddr, words: &str, kind: fn(&mut Times) -> &mut Vec<Duration>) {
        self.visits += 1;
        let started = Instant::now();
        let outcome = Visitor::connect(server).and_then(|mut stream| {
            stream.wait_for("* chinwag")?;
            self.connects.push(started.elapsed());
            if !words.is_empty() {
                stream.say(words)?;
                stream.wait_for("* welcome")?;
                kind(self).push(started.elapsed());
            }
            stream.say("/quit\n")
        });
        if let Err(error) = outcome {
            self.failures += 1;
            self.last_failure = error.to_string();
        }
    }
}

/// A token for an account; `None` where the server gives none.
pub fn token(server: SocketAddr, account: usize) -> io::Result<Option<String>> {
    let mut stream = Visitor::log_in(server, account)?;
    stream.say("/token\n")?;
    let answer = stream.wait_for("* token ");
    stream.say("/quit\n")?;
    Ok(answer.ok().and_then(|line| line.strip_prefix("* token ").map(|token| token.trim_end().to_owned())))
}
