//! For scripts and pipes, and for terminals that can do nothing: lines in, lines out, no escape sequences.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use chinwag::client::words::without_secrets;
use chinwag::client::{Client, Credentials, Event, Refusal, Token};
use chinwag::protocol::reply::code;

use crate::failure::{Failure, WRONG_PASSWORDS_MAX, complain};
use crate::options::Options;
use crate::raw_mode::Guard;
use crate::render::{Renderer, Style};
use chinwag::client::link::{Command, End, Link, LinkOptions, Update};
use chinwag::client::settings::Settings;

const NO_PASSWORD: &str = "without a terminal the password comes from CHINWAG_PASSWORD or --password-file";

/// What the main thread waits for.
enum Told {
    Greeted,
    Welcome,
    Refused(Refusal),
    TokenRefused(Refusal),
    Over(Result<(), Failure>),
}

/// Runs until the input has ended and everything is acknowledged. `asks` where a person is there to be asked.
pub fn run(options: Options, asks: bool) -> Result<(), Failure> {
    // While a password is typed the terminal shows nothing. Without a terminal there is nothing to guard.
    let _guard = Guard::new();
    let entrance = Entrance::prepare(&options, asks)?;
    let (tell, told) = channel();
    let mut printer = Printer {
        renderer: Renderer::new(if asks { Style::Plain } else { Style::Wire }, asks && !options.no_bell),
        tell,
        settings: Settings::find(),
        server: options.server.clone(),
        refused: 0,
    };
    // A script that cannot go on is to end, a person wants to go on.
    let link_options = LinkOptions { reconnects: io::stdin().is_terminal(), holds_lines: true };
    let mut client = Client::new(printer.settings.ignored());
    if entrance.password.is_some() && !asks {
        client = client.without_tokens();
    }
    let link = Link::start(&options.server, client, link_options, move |client, update| {
        printer.update(client, update);
    });
    let link = Arc::new(link.map_err(|error| Failure::new(format!("{}: {error}", options.server)))?);
    if let Some(outcome) = entrance.pass(&link, &told)? {
        return outcome;
    }
    let speaker = Arc::clone(&link);
    // It may wait for input for ever, and then ends with the process.
    thread::spawn(move || speak(&speaker));
    loop {
        match told.recv() {
            Ok(Told::Over(outcome)) => return outcome,
            Ok(_) => {}
            Err(_) => return Err(thread_is_gone()),
        }
    }
}

fn thread_is_gone() -> Failure {
    Failure::new("the connection's thread is gone")
}

fn speak(link: &Link) {
    for line in io::stdin().lock().split(b'\n') {
        match line {
            Ok(line) => {
                let line = String::from_utf8_lossy(&line).into_owned();
                if !link.submit(&line) {
                    // The program is about to end.
                    return complain(&format!("not sent: {}", without_secrets(&line)));
                }
            }
            Err(error) => {
                complain(&format!("reading the input: {error}"));
                break;
            }
        }
    }
    link.send(Command::Finish);
}

/// The way in: a token that was kept, a password that was given, or one that is asked for.
struct Entrance {
    name: String,
    token: Option<Token>,
    password: Option<String>,
    can_ask: bool,
    register: bool,
}

impl Entrance {
    /// Finds out what there is to log in with.
    fn prepare(options: &Options, asks: bool) -> Result<Entrance, Failure> {
        let settings = Settings::find();
        let only_account = || settings.only_account(&options.server).map(|name| name.to_string());
        let name = match &options.user {
            Some(name) => name.clone(),
            None if asks => match only_account().filter(|_| !options.register) {
                Some(name) => name,
                None => ask("name: ")?,
            },
            None => return Err(Failure::usage("without a terminal --user NAME is needed; see --help")),
        };
        let token = settings.token(&options.server, &name).filter(|_| !options.register);
        let password = options.password()?;
        let can_ask = asks || io::stdin().is_terminal();
        if token.is_none() && password.is_none() && !can_ask {
            return Err(Failure::usage(NO_PASSWORD));
        }
        Ok(Entrance { name, token, password, can_ask, register: options.register })
    }

    /// Logs in. Returns the outcome if it is all over before that.
    fn pass(mut self, link: &Link, told: &Receiver<Told>) -> Result<Option<Result<(), Failure>>, Failure> {
        let (mut has_begun, mut wrong_passwords) = (false, 0);
        loop {
            match told.recv().map_err(|_| thread_is_gone())? {
                Told::Greeted if has_begun => {}
                Told::Greeted => {
                    has_begun = true;
                    link.send(self.next_proof()?);
                }
                Told::TokenRefused(refusal) => {
                    complain(&refusal.to_string());
                    link.send(self.next_proof()?);
                }
                Told::Refused(refusal) => {
                    wrong_passwords += 1;
                    let may_ask = self.can_ask && refusal.code == code::BAD_LOGIN;
                    if !may_ask || wrong_passwords >= WRONG_PASSWORDS_MAX {
                        return Err(Failure::new(refusal.to_string()));
                    }
                    complain(&refusal.to_string());
                    link.send(self.next_proof()?);
                }
                Told::Welcome => return Ok(None),
                Told::Over(outcome) => return Ok(Some(outcome)),
            }
        }
    }

    fn next_proof(&mut self) -> Result<Command, Failure> {
        let name = self.name.clone();
        if let Some(token) = self.token.take() {
            return Ok(Command::Resume { name, token });
        }
        let password = match self.password.take() {
            Some(password) => password,
            None if !self.can_ask => return Err(Failure::usage(NO_PASSWORD)),
            None => rpassword::prompt_password(format!("password of {name}: "))
                .map_err(|error| Failure::new(format!("the terminal: {error}")))?,
        };
        Ok(Command::LogIn(Credentials { name, password, is_new: self.register }))
    }
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
    tell: Sender<Told>,
    settings: Settings,
    /// `HOST:PORT`
    server: String,
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
            Event::LoginFailed(refusal) => self.tell(Told::Refused(refusal.clone())),
            Event::TokenRefused { name, refusal } => {
                let forgotten = self.settings.forget_token(&self.server, Some(name));
                self.kept(forgotten.map(|_| ()));
                self.tell(Told::TokenRefused(refusal.clone()));
            }
            Event::Token { name, token } => {
                self.kept(self.settings.keep_token(&self.server, name, token));
            }
            Event::Greeted => self.tell(Told::Greeted),
            Event::Error(refusal) => complain(&refusal.to_string()),
            Event::IgnoredChanged => {
                self.kept(self.settings.keep_ignored(client.ignored().iter()));
            }
            _ => self.print(event),
        }
        if let Event::Welcome(_) = event {
            self.tell(Told::Welcome);
        }
    }

    fn kept(&self, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            complain(&format!("not kept for the next time: {error}"));
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
        self.tell(Told::Over(outcome));
    }

    fn tell(&self, told: Told) {
        // After the end nobody listens any more.
        let _ = self.tell.send(told);
    }
}
