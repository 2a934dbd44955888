//! For a person at a terminal.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};

use chinwag::client::{Client, Credentials, Event};
use chinwag::name::Name;
use chinwag::protocol::{self, Command as Spoken};

use rustyline::error::ReadlineError;

use crate::Failure;
use crate::editor::{Line, LineEditor, Screen};
use crate::options::Options;
use crate::render::{Renderer, Style};
use chinwag::client::link::{Command, End, Link, Manner, Update};
use chinwag::client::settings::Settings;

/// Somebody who looks at the screen can say it again.
const MANNER: Manner = Manner { reconnects: true, holds_lines: false };

/// What the main thread waits for before lines can be edited.
enum Arrival {
    Welcome,
    /// In words.
    Failed(String),
    /// To be said meanwhile.
    Meanwhile(String),
    Ended,
}

/// Runs until the user leaves.
pub fn run(options: Options) -> Result<(), Failure> {
    let has_colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let settings = Settings::find();
    let screen = Screen::default();
    let (arrivals, arrived) = channel();
    let (ends, ended) = channel();
    let style = if has_colours { Style::Colour } else { Style::Plain };
    let mut shell = Shell {
        renderer: Renderer::new(style, !options.no_bell),
        screen: screen.clone(),
        settings: settings.clone(),
        arrivals,
        ends,
        is_in: false,
    };
    let client = Client::new(settings.ignored());
    let link =
        Link::start(&options.server, client, MANNER, move |client, update| shell.update(client, update))
            .map_err(|error| Failure::new(format!("{}: {error}", options.server)))?;
    let mut editor = LineEditor::new(screen.clone(), !options.no_bell).map_err(failed)?;
    let mut entrance = Entrance { options: &options, settings: &settings, editor: &mut editor };
    if !entrance.pass(&link, &arrived)? {
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
    let word = text.trim_end().split([' ', '\n']).next().unwrap_or("").to_ascii_lowercase();
    !word.starts_with('/')
        || word.starts_with("//")
        || matches!(&*word, "/msg" | "/me" | "/reply" | "/passwd")
}

/// Whether the user stays.
fn submit(line: &str, editor: &mut LineEditor, link: &Link) -> Result<bool, ReadlineError> {
    let word = line.split(' ').next().unwrap_or("").to_ascii_lowercase();
    match word.as_str() {
        "" if line.is_empty() => {}
        "/quit" if matches!(protocol::parse(line), Ok(Spoken::Quit)) => return Ok(false),
        "/passwd" if line.contains(' ') => link.send(Command::Submit(line.into())),
        "/passwd" => {
            if let Some(line) = ask_for_passwords(editor)? {
                link.send(Command::Submit(line));
            }
        }
        _ => {
            editor.remember(line);
            link.send(Command::Submit(line.into()));
        }
    }
    Ok(true)
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
        if !protocol::is_password(&password) {
            println!("! a password has 8 to 128 bytes and no control characters");
            continue;
        }
        match editor.ask_hidden("and once more: ")? {
            None => return Ok(None),
            Some(again) if again == password => return Ok(Some(password)),
            Some(_) => println!("! these were two different ones"),
        }
    }
}

/// The way in: questions until the server says welcome.
struct Entrance<'a> {
    options: &'a Options,
    settings: &'a Settings,
    editor: &'a mut LineEditor,
}

/// What came of a login.
enum Outcome {
    In,
    /// In words.
    Refused(String),
    GaveUp,
}

impl Entrance<'_> {
    /// Whether the user is in; if not, the user did not want to be.
    fn pass(&mut self, link: &Link, arrived: &Receiver<Arrival>) -> Result<bool, Failure> {
        let given = self.options.password()?;
        let mut register = self.options.register;
        loop {
            let Some(credentials) = self.ask(given.as_deref(), &mut register)? else { return Ok(false) };
            let name = credentials.name.clone();
            link.send(Command::LogIn(credentials));
            match self.wait(arrived) {
                Outcome::In => {
                    if self.options.user.is_none() {
                        // Only a convenience.
                        let _ = self.settings.keep_last_user(&self.options.server, &name);
                    }
                    return Ok(true);
                }
                Outcome::GaveUp => return Ok(false),
                Outcome::Refused(why) if given.is_some() && self.options.user.is_some() => {
                    return Err(Failure::new(why));
                }
                Outcome::Refused(why) => println!("! {why}"),
            }
        }
    }

    /// Until the server has said yes or no.
    fn wait(&self, arrived: &Receiver<Arrival>) -> Outcome {
        loop {
            match self.editor.wait(arrived) {
                Some(Arrival::Welcome) => return Outcome::In,
                Some(Arrival::Failed(why)) => return Outcome::Refused(why),
                Some(Arrival::Meanwhile(text)) => print!("{text}"),
                Some(Arrival::Ended) => return Outcome::Refused("the connection has ended".into()),
                None => return Outcome::GaveUp,
            }
        }
    }

    fn ask(&mut self, given: Option<&str>, register: &mut bool) -> Result<Option<Credentials>, Failure> {
        let name = match &self.options.user {
            Some(name) => name.clone(),
            None => match self.ask_for_name(register)? {
                Some(name) => name,
                None => return Ok(None),
            },
        };
        let password = match (given, *register) {
            (Some(password), _) => Some(password.to_owned()),
            (None, true) => {
                ask_for_new_password(self.editor, &format!("password for {name}: ")).map_err(failed)?
            }
            (None, false) => self.editor.ask_hidden(&format!("password of {name}: ")).map_err(failed)?,
        };
        Ok(password.map(|password| Credentials { name, password, is_new: *register }))
    }

    /// `None` where the user gave up.
    fn ask_for_name(&mut self, register: &mut bool) -> Result<Option<String>, Failure> {
        if !self.options.register {
            loop {
                let question = format!("{}: log in, or register a new name? [l/r] ", self.options.server);
                let Line::Submitted(answer) = self.editor.ask(&question, "").map_err(failed)? else {
                    return Ok(None);
                };
                match answer.trim().to_ascii_lowercase().as_str() {
                    "" | "l" | "login" | "log in" => break *register = false,
                    "r" | "register" => break *register = true,
                    _ => println!("! l to log in, r to register, Ctrl-D to leave"),
                }
            }
        }
        let last = self.settings.last_user(&self.options.server).filter(|_| !*register).unwrap_or_default();
        loop {
            let Line::Submitted(name) = self.editor.ask("name: ", &last).map_err(failed)? else {
                return Ok(None);
            };
            match Name::parse(name.trim().as_bytes()) {
                Some(name) => return Ok(Some(name.to_string())),
                None => println!("! a name is a letter, then up to 19 letters, digits, - or _"),
            }
        }
    }
}

/// What the connection's thread tells, made visible.
struct Shell {
    renderer: Renderer,
    screen: Screen,
    settings: Settings,
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
                if let Some(why) = &end.why {
                    let words = format!("{why}; Ctrl-D leaves");
                    self.renderer.error("the connection has ended", &words, &mut text);
                }
                // Where nobody waits for it any more, nobody needs it.
                let _ = self.ends.send(end);
                self.show(&text);
                let _ = self.arrivals.send(Arrival::Ended);
                return;
            }
        }
        self.show(&text);
    }

    fn event(&mut self, client: &Client, event: &Event, text: &mut String) {
        match event {
            Event::LoginFailed(refusal) if !self.is_in => {
                let _ = self.arrivals.send(Arrival::Failed(refusal.to_string()));
                return;
            }
            Event::Welcome(_) if !self.is_in => {
                self.is_in = true;
                let _ = self.arrivals.send(Arrival::Welcome);
            }
            Event::IgnoredChanged => {
                if let Err(error) = self.settings.keep_ignored(client.ignored().iter()) {
                    self.renderer.error("not kept for the next time", &error.to_string(), text);
                }
            }
            Event::Joined(..) | Event::Left(..) | Event::Users(_) | Event::Notice(_) | Event::Message(_) => {}
            _ => {}
        }
        self.renderer.event(event, text);
        self.screen.set_names(client.online().iter().map(Name::to_string).collect());
    }

    fn show(&self, text: &str) {
        if self.is_in {
            self.screen.show(text);
        } else if !text.is_empty() {
            let _ = self.arrivals.send(Arrival::Meanwhile(text.to_owned()));
        }
    }
}
