//! For scripts and pipes, and for terminals that can do nothing: lines in, lines out, no escape sequences.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use chinwag::client::words::without_secrets;
use chinwag::client::{Client, Credentials, Event};

use crate::options::Options;
use crate::render::{Renderer, Style};
use crate::{Failure, complain};
use chinwag::client::link::{Command, End, Link, Manner, Update};
use chinwag::client::settings::Settings;

/// Runs until the input has ended and everything is acknowledged. `asks` where a person is there to be asked.
pub fn run(options: Options, asks: bool) -> Result<(), Failure> {
    let credentials = credentials(&options, asks)?;
    let (ends, ended) = channel();
    let mut printer = Printer {
        renderer: Renderer::new(if asks { Style::Plain } else { Style::Wire }, asks && !options.no_bell),
        ends,
        settings: Settings::find(),
        refused: 0,
    };
    // A script that cannot go on is to end, a person wants to go on.
    let manner = Manner { reconnects: io::stdin().is_terminal(), holds_lines: true };
    let client = Client::new(printer.settings.ignored());
    let link = Link::start(&options.server, client, manner, move |client, update| {
        printer.update(client, update);
    });
    let link = Arc::new(link.map_err(|error| Failure::new(format!("{}: {error}", options.server)))?);
    link.send(Command::LogIn(credentials));
    let speaker = Arc::clone(&link);
    // It may wait for input for ever, and then ends with the process.
    thread::spawn(move || speak(&speaker));
    ended.recv().unwrap_or_else(|_| Err(Failure::new("the connection's thread is gone")))
}

fn speak(link: &Link) {
    for line in io::stdin().lock().split(b'\n') {
        match line {
            Ok(line) => link.send(Command::Submit(String::from_utf8_lossy(&line).into_owned())),
            Err(error) => {
                complain(&format!("reading the input: {error}"));
                break;
            }
        }
    }
    link.send(Command::Finish);
}

fn credentials(options: &Options, asks: bool) -> Result<Credentials, Failure> {
    let name = match &options.user {
        Some(name) => name.clone(),
        None if asks => ask("name: ")?,
        None => return Err(Failure::usage("without a terminal --user NAME is needed; see --help")),
    };
    let password = match options.password()? {
        Some(password) => password,
        None if asks || io::stdin().is_terminal() => {
            rpassword::prompt_password(format!("password of {name}: "))
                .map_err(|error| Failure::new(format!("the terminal: {error}")))?
        }
        None => {
            let words = "without a terminal the password comes from CHINWAG_PASSWORD or --password-file";
            return Err(Failure::usage(words));
        }
    };
    Ok(Credentials { name, password, is_new: options.register })
}

fn ask(question: &str) -> Result<String, Failure> {
    print!("{question}");
    let mut answer = String::new();
    io::stdout()
        .flush()
        .and_then(|()| io::stdin().read_line(&mut answer))
        .map_err(|error| Failure::new(format!("the terminal: {error}")))?;
    Ok(answer.trim().to_owned())
}

struct Printer {
    renderer: Renderer,
    ends: Sender<Result<(), Failure>>,
    settings: Settings,
    /// Lines that were not taken.
    refused: usize,
}

impl Printer {
    fn update(&mut self, client: &Client, update: Update) {
        match update {
            Update::Event(event) => self.event(client, &event),
            Update::Lost(why, pause) => {
                complain(&format!("the connection is lost ({why}); trying again in {} s", pause.as_secs()));
            }
            Update::Ended(end) => self.end(self.outcome(end)),
        }
    }

    fn event(&mut self, client: &Client, event: &Event) {
        match event {
            Event::Refused { line, refusal, .. } => {
                self.refused += 1;
                complain(&format!("not taken: {refusal}: {}", without_secrets(line)));
            }
            Event::Unconfirmed { line, .. } => {
                complain(&format!("not acknowledged yet: {}", without_secrets(line)))
            }
            Event::NotSent { line, .. } => {
                self.refused += 1;
                complain(&format!("not sent: {}", without_secrets(line)));
            }
            Event::LoginFailed(refusal) => self.end(Err(Failure::new(refusal.to_string()))),
            Event::NotChinwag(line) => {
                self.end(Err(Failure::new(format!("that is no chinwag server; it says: {line}"))));
            }
            Event::Error(refusal) => complain(&refusal.to_string()),
            Event::IgnoredChanged => {
                if let Err(error) = self.settings.keep_ignored(client.ignored().iter()) {
                    complain(&format!("not kept for the next time: {error}"));
                }
            }
            _ => self.print(event),
        }
    }

    fn print(&mut self, event: &Event) {
        let mut text = String::new();
        self.renderer.event(event, &mut text);
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // Who does not read on has seen enough.
            let words = match error.kind() {
                io::ErrorKind::BrokenPipe => String::new(),
                _ => format!("writing the output: {error}"),
            };
            self.end(Err(Failure::new(words)));
        }
    }

    fn outcome(&self, end: End) -> Result<(), Failure> {
        let count = end.unacknowledged.len();
        for line in &end.unacknowledged {
            complain(&format!("not acknowledged: {line}"));
        }
        match end.why {
            Some(why) => Err(Failure::new(why)),
            None if count > 0 => Err(Failure::new(format!("{count} lines were not acknowledged"))),
            None if self.refused > 0 => Err(Failure::new(format!("{} lines were not taken", self.refused))),
            None => Ok(()),
        }
    }

    fn end(&self, outcome: Result<(), Failure>) {
        // The first one counts; then nobody listens any more.
        let _ = self.ends.send(outcome);
    }
}
