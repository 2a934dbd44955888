//! For a person at a terminal.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};

use chinwag::client::{Client, Credentials, Event, Refusal};
use chinwag::protocol::command::{self, Command as Spoken};
use chinwag::protocol::name::Name;

use rustyline::error::ReadlineError;

use crate::editor::{Line, LineEditor, Screen};
use crate::failure::{Failure, WRONG_PASSWORDS_MAX};
use crate::options::Options;
use crate::render::{Renderer, Style};
use chinwag::client::link::{Command, End, Link, LinkOptions, Update};
use chinwag::client::settings::Settings;
use chinwag::client::words::{has_secrets, without_secrets};

/// Somebody who looks at the screen can say it again.
const MANNER: LinkOptions = LinkOptions { reconnects: true, holds_lines: false };

/// What the main thread waits for before lines can be edited.
enum Arrival {
    Greeted,
    Welcome,
    Refused(Refusal),
    TokenRefused(Refusal),
    /// To be shown meanwhile.
    Meanwhile(String),
    /// Why, in words.
    Ended(String),
}

/// Runs until the user leaves.
pub fn run(options: Options) -> Result<(), Failure> {
    let settings = Settings::find();
    let screen = Screen::default();
    let (arrivals, arrived) = channel();
    let (ends, ended) = channel();
    let mut shell = Shell {
        renderer: Renderer::new(style(), !options.no_bell),
        screen: screen.clone(),
        settings: settings.clone(),
        server: options.server.clone(),
        arrivals,
        ends,
        is_in: false,
    };
    let client = Client::new(settings.ignored());
    let link =
        Link::start(&options.server, client, MANNER, move |client, update| shell.update(client, update))
            .map_err(|error| Failure::new(format!("{}: {error}", options.server)))?;
    let mut editor = LineEditor::new(screen.clone(), !options.no_bell).map_err(failed)?;
    let entrance = Entrance {
        options: &options,
        settings: &settings,
        editor: &mut editor,
        link: &link,
        arrived: &arrived,
        given: options.password()?,
        register: options.register,
    };
    if !entrance.pass()? {
        return Ok(());
    }
    editor.start_printing().map_err(failed)?;
    talk(&mut editor, &link).map_err(failed)?;
    link.send(Command::Leave);
    link.join();
    let rest = screen.take_rest();
    let _ = io::stdout().write_all(rest.as_bytes());
    match ended.recv() {
        Ok(End { unacknowledged, .. }) if !unacknowledged.is_empty() => Err(Failure::new(format!(
            "not acknowledged: {}",
            unacknowledged.join("\n                          ")
        ))),
        _ => Ok(()),
    }
}

fn style() -> Style {
    let has_colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if has_colours { Style::Colour } else { Style::Plain }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("the terminal: {error}"))
}

/// Until the user leaves.
fn talk(editor: &mut LineEditor, link: &Link) -> Result<(), ReadlineError> {
    loop {
        let Line::Submitted(text) = editor.edit()? else { return Ok(()) };
        if is_shown_again(&text) {
            editor.erase(&text);
        }
        // What was pasted can be several lines.
        for line in text.split('\n') {
            if !submit(line.trim_end(), editor, link)? {
                return Ok(());
            }
        }
    }
}

/// Whether a line that was submitted need not stand there: it comes back from the server, or is nothing, or secret.
fn is_shown_again(text: &str) -> bool {
    let first = text.lines().next().unwrap_or("").trim_end();
    matches!(
        command::parse(first),
        Ok(Spoken::Nothing | Spoken::Say(_) | Spoken::Whisper { .. } | Spoken::Passwd { .. })
    ) || is_bare_passwd(first)
        || word_of(first) == "/reply"
        || has_secrets(text)
}

/// Whether the user stays.
fn submit(line: &str, editor: &mut LineEditor, link: &Link) -> Result<bool, ReadlineError> {
    if is_bare_passwd(line) {
        if let Some(line) = ask_for_passwords(editor)? {
            send(&line, editor, link);
        }
    } else if command::parse(line) == Ok(Spoken::Quit) {
        return Ok(false);
    } else if !line.is_empty() {
        if !has_secrets(line) {
            editor.remember(line);
        }
        send(line, editor, link);
    }
    Ok(true)
}

fn word_of(line: &str) -> String {
    line.split(' ').next().unwrap_or("").to_ascii_lowercase()
}

/// Whether the passwords are still to be asked for.
fn is_bare_passwd(line: &str) -> bool {
    matches!(&*word_of(line), "/passwd" | "/password") && !line.contains(' ')
}

/// Passes on a line. After the session has ended, it is said not to be sent.
fn send(line: &str, editor: &LineEditor, link: &Link) {
    if !link.submit(line) {
        let mut text = String::new();
        Renderer::new(style(), false).error("not sent", without_secrets(line), &mut text);
        editor.show(&text);
    }
}

/// `/passwd OLD NEW`, asked for so that nothing of it is seen; `None` where the user gave up.
fn ask_for_passwords(editor: &mut LineEditor) -> Result<Option<String>, ReadlineError> {
    let Some(old) = editor.ask_hidden("old password: ")? else { return Ok(None) };
    let new = ask_for_new_password(editor, "new password: ")?;
    Ok(new.map(|new| format!("/passwd {old} {new}")))
}

/// `None` where the user gave up.
fn ask_for_new_password(editor: &mut LineEditor, question: &str) -> Result<Option<String>, ReadlineError> {
    loop {
        let Some(password) = editor.ask_hidden(question)? else { return Ok(None) };
        if !command::is_password(&password) {
            println!("! {}", command::password_rule());
            continue;
        }
        match editor.ask_hidden("and once more: ")? {
            None => return Ok(None),
            Some(again) if again == password => return Ok(Some(password)),
            Some(_) => println!("! the passwords do not match"),
        }
    }
}

/// The way in: questions until the server says welcome.
struct Entrance<'a> {
    options: &'a Options,
    settings: &'a Settings,
    editor: &'a mut LineEditor,
    link: &'a Link,
    arrived: &'a Receiver<Arrival>,
    /// From a file or the environment; it is tried once.
    given: Option<String>,
    register: bool,
}

/// What came of an attempt to log in.
enum Outcome {
    In,
    Refused(Refusal),
    TokenRefused(Refusal),
    GaveUp,
}

impl Entrance<'_> {
    /// Whether the user is in; if not, the user did not want to be.
    fn pass(mut self) -> Result<bool, Failure> {
        // Nothing is asked for, a password least of all, before it is clear that the server is one.
        if !self.is_greeted()? {
            return Ok(false);
        }
        let only_account = || self.settings.only_account(&self.options.server).map(|name| name.to_string());
        let mut known = self.options.user.clone().or_else(|| only_account().filter(|_| !self.register));
        loop {
            let name = match known.take() {
                Some(name) => name,
                None => match self.ask_for_name()? {
                    Some(name) => name,
                    None => return Ok(false),
                },
            };
            match self.enter(&name)? {
                Outcome::In => {
                    if self.options.user.is_none() {
                        // Only a convenience.
                        let _ = self.settings.keep_last_user(&self.options.server, &name);
                    }
                    return Ok(true);
                }
                Outcome::GaveUp => return Ok(false),
                Outcome::Refused(refusal) | Outcome::TokenRefused(refusal) => {
                    if self.options.user.is_some() {
                        return Err(Failure::new(refusal.to_string()));
                    }
                    println!("! {refusal}");
                }
            }
        }
    }

    /// Logs in to one account: with the token that was kept, with the given password, or with one that is asked for.
    fn enter(&mut self, name: &str) -> Result<Outcome, Failure> {
        if let Some(token) = self.settings.token(&self.options.server, name).filter(|_| !self.register) {
            self.link.send(Command::Resume { name: name.to_owned(), token });
            match self.wait()? {
                Outcome::TokenRefused(refusal) => println!("! {refusal}"),
                outcome => return Ok(outcome),
            }
        }
        let mut wrong_passwords = 0;
        loop {
            let password = match self.given.take() {
                Some(password) => Some(password),
                None => self.ask_for_password(name).map_err(failed)?,
            };
            let Some(password) = password else { return Ok(Outcome::GaveUp) };
            let (name, is_new) = (name.to_owned(), self.register);
            self.link.send(Command::LogIn(Credentials { name, password, is_new }));
            match self.wait()? {
                Outcome::Refused(refusal) if !self.register && wrong_passwords + 1 < WRONG_PASSWORDS_MAX => {
                    wrong_passwords += 1;
                    println!("! {refusal}");
                }
                outcome => return Ok(outcome),
            }
        }
    }

    fn ask_for_password(&mut self, name: &str) -> Result<Option<String>, ReadlineError> {
        match self.register {
            true => ask_for_new_password(self.editor, &format!("password for {name}: ")),
            false => self.editor.ask_hidden(&format!("password of {name}: ")),
        }
    }

    /// Waits for the greeting; `false` if the user gave up.
    fn is_greeted(&self) -> Result<bool, Failure> {
        loop {
            match self.editor.wait(self.arrived) {
                Some(Arrival::Greeted) => return Ok(true),
                Some(Arrival::Meanwhile(text)) => print!("{text}"),
                Some(Arrival::Ended(why)) => return Err(Failure::new(why)),
                Some(_) => {}
                None => return Ok(false),
            }
        }
    }

    /// Waits until the server has said yes or no.
    fn wait(&self) -> Result<Outcome, Failure> {
        loop {
            match self.editor.wait(self.arrived) {
                Some(Arrival::Welcome) => return Ok(Outcome::In),
                Some(Arrival::Refused(refusal)) => return Ok(Outcome::Refused(refusal)),
                Some(Arrival::TokenRefused(refusal)) => return Ok(Outcome::TokenRefused(refusal)),
                Some(Arrival::Meanwhile(text)) => print!("{text}"),
                Some(Arrival::Ended(why)) => return Err(Failure::new(why)),
                // The connection was lost meanwhile and made again.
                Some(Arrival::Greeted) => {}
                None => return Ok(Outcome::GaveUp),
            }
        }
    }

    /// `None` where the user gave up.
    fn ask_for_name(&mut self) -> Result<Option<String>, Failure> {
        if !self.options.register {
            loop {
                let question = format!("{}: log in, or register a new name? [l/r] ", self.options.server);
                let Line::Submitted(answer) = self.editor.ask(&question, "").map_err(failed)? else {
                    return Ok(None);
                };
                match answer.trim().to_ascii_lowercase().as_str() {
                    "" | "l" | "login" | "log in" => break self.register = false,
                    "r" | "register" => break self.register = true,
                    _ => println!("! l to log in, r to register, Ctrl-D to leave"),
                }
            }
        }
        let last =
            self.settings.last_user(&self.options.server).filter(|_| !self.register).unwrap_or_default();
        loop {
            let Line::Submitted(name) = self.editor.ask("name: ", &last).map_err(failed)? else {
                return Ok(None);
            };
            match Name::parse(name.trim().as_bytes()) {
                Some(name) => return Ok(Some(name.to_string())),
                None => println!("! {}", command::name_rule()),
            }
        }
    }
}

/// What the connection's thread tells, made visible.
struct Shell {
    renderer: Renderer,
    screen: Screen,
    settings: Settings,
    /// `HOST:PORT`
    server: String,
    arrivals: Sender<Arrival>,
    ends: Sender<End>,
    is_in: bool,
}

impl Shell {
    fn update(&mut self, client: &Client, update: Update) {
        let mut text = String::new();
        match update {
            Update::Event(event) => self.event(client, &event, &mut text),
            Update::Lost(why, pause) => {
                let seconds = pause.as_secs();
                let words = format!("the connection is lost ({why}); trying again in {seconds} s");
                self.renderer.error("offline", &words, &mut text);
            }
            Update::Ended(end) => {
                if let Some(why) = &end.why
                    && self.is_in
                {
                    let words = format!("{why}; Ctrl-D leaves");
                    self.renderer.error("the connection has ended", &words, &mut text);
                }
                // Where nobody waits for it any more, nobody needs it.
                let why = end.why.clone().unwrap_or_default();
                let _ = self.ends.send(end);
                self.show(&text);
                let _ = self.arrivals.send(Arrival::Ended(why));
                return;
            }
        }
        self.show(&text);
    }

    fn event(&mut self, client: &Client, event: &Event, text: &mut String) {
        match event {
            Event::Greeted if !self.is_in => self.arrives(Arrival::Greeted),
            Event::LoginFailed(refusal) if !self.is_in => {
                return self.arrives(Arrival::Refused(refusal.clone()));
            }
            Event::TokenRefused { name, refusal } => {
                let forgotten = self.settings.forget_token(&self.server, Some(name));
                self.kept(forgotten.map(|_| ()), text);
                if !self.is_in {
                    return self.arrives(Arrival::TokenRefused(refusal.clone()));
                }
            }
            Event::Token { name, token } => {
                self.kept(self.settings.keep_token(&self.server, name, token), text);
            }
            Event::Welcome(_) if !self.is_in => {
                self.is_in = true;
                self.arrives(Arrival::Welcome);
            }
            Event::IgnoredChanged => self.kept(self.settings.keep_ignored(client.ignored().iter()), text),
            _ => {}
        }
        self.renderer.event(event, text);
        self.screen.set_names(client.online().iter().map(Name::to_string).collect());
        self.screen.set_correspondent(client.correspondent().map(Name::to_string));
    }

    fn kept(&self, outcome: io::Result<()>, text: &mut String) {
        if let Err(error) = outcome {
            self.renderer.error("not kept for the next time", &error.to_string(), text);
        }
    }

    fn arrives(&self, arrival: Arrival) {
        // Once the user has given up, nobody waits for it.
        let _ = self.arrivals.send(arrival);
    }

    fn show(&self, text: &str) {
        if self.is_in {
            self.screen.show(text);
        } else if !text.is_empty() {
            let _ = self.arrivals.send(Arrival::Meanwhile(text.to_owned()));
        }
    }
}
