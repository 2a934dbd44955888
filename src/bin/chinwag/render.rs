//! An event as lines of text. What came from the server is clean already: the client has seen to that.

use chinwag::client::words::{colour_index, mention, mentions, presence, without_secrets};
use chinwag::client::{Event, Message, Origin, Refusal};
use chinwag::protocol::name::Name;
use chinwag::protocol::record::{Target, Timestamp};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::raw_mode::columns;
use crate::rows::push_wrapped;

/// How lines are to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As the server writes them.
    Wire,
    /// For people, without any escape sequence.
    Plain,
    /// For people, with colours.
    Colour,
}

/// Of the 256 colours, twelve that differ from each other and are legible on black and on white.
const NAME_COLOURS: [u8; 12] = [30, 37, 67, 68, 71, 98, 100, 133, 136, 167, 168, 172];
/// Of a line that was not taken.
const SHOWN_CHARACTERS: usize = 200;
const DIM: &str = "2";
const BOLD: &str = "1";
const PRIVATE: &str = "1;35";
const CALLED: &str = "1;7";
const ERROR: &str = "31";

/// Makes the lines, and knows which day the last one was of.
pub struct Renderer {
    style: Style,
    rings: bool,
    zone: TimeZone,
    day: Option<Date>,
    /// One's own name.
    own: Option<Name>,
}

impl Renderer {
    /// In the local time zone; `rings` where a bell is wanted.
    pub fn new(style: Style, rings: bool) -> Renderer {
        Renderer { style, rings, zone: TimeZone::system(), day: None, own: None }
    }

    /// The lines for an event, each with its ending; none where there is nothing to be seen.
    pub fn event(&mut self, event: &Event, out: &mut String) {
        match event {
            Event::Welcome(name) => {
                self.own = Some(*name);
                self.notice(&format!("welcome {name}"), out);
            }
            Event::Message(message) => self.message(message, out),
            // That one is here oneself is no news.
            Event::Joined(names, 0) if self.own.is_some_and(|own| names[..] == [own]) => {}
            Event::Joined(names, others) => self.notice(&presence(names, *others, "joined"), out),
            Event::Left(names, others) => self.notice(&presence(names, *others, "left"), out),
            Event::Users(names) => {
                let shown: Vec<String> = names.iter().map(|name| self.name(name)).collect();
                self.notice(&format!("{} online: {}", names.len(), shown.join(" ")), out);
            }
            Event::EndOfHistory { .. } => self.notice("end of history", out),
            Event::Notice(text) => self.notice(text, out),
            Event::Refused { line, refusal, .. } => self.refused(line, refusal, out),
            Event::Unconfirmed { line, .. } => self.error("not confirmed yet", without_secrets(line), out),
            Event::NotSent { line, .. } => self.error("not sent", without_secrets(line), out),
            Event::LoginFailed(refusal) | Event::TokenRefused { refusal, .. } | Event::Error(refusal) => {
                self.error(&refusal.code, &refusal.words, out)
            }
            Event::Bye => self.notice("bye", out),
            // The connection ends with the other side's line in its reason.
            Event::NotChinwag(_) => {}
            Event::Greeted | Event::Token { .. } | Event::IgnoredChanged | Event::Online => {}
        }
    }

    /// A line of the client itself.
    pub fn notice(&self, text: &str, out: &mut String) {
        self.line(&self.paint(DIM, &format!("* {text}")), out);
    }

    /// Something that did not work.
    pub fn error(&self, what: &str, about: &str, out: &mut String) {
        self.line(&self.paint(ERROR, &format!("! {what}: {about}")), out);
    }

    /// A line, in rows where people read it.
    fn line(&self, line: &str, out: &mut String) {
        match self.style {
            Style::Wire => {
                out.push_str(line);
                out.push('\n');
            }
            Style::Plain | Style::Colour => push_wrapped(line, columns(), out),
        }
    }

    fn refused(&self, line: &str, refusal: &Refusal, out: &mut String) {
        self.error(&refusal.code, &refusal.words, out);
        if without_secrets(line) == line && self.style != Style::Wire {
            // Why stands above it, and is to be seen; the whole line can be recalled.
            let shown: String = line.chars().take(SHOWN_CHARACTERS).collect();
            let more = if shown.len() < line.len() { "…" } else { "" };
            self.error("not taken", &(shown + more), out);
        }
    }

    fn message(&mut self, message: &Message, out: &mut String) {
        if self.style == Style::Wire {
            out.push_str(&format!("{message}\n"));
            return;
        }
        let time = self.time(message.at, out);
        let (mine, called) = (self.own == Some(message.from), self.calls_me(message));
        let from = self.name(&message.from);
        let head = match (&message.to, message.action()) {
            (Target::Everyone, Some(_)) => format!("* {from}"),
            (Target::Everyone, None) => format!("{from}:"),
            (Target::Room(room), Some(_)) => {
                format!("{} * {from}", self.paint(PRIVATE, &format!("[{room}]")))
            }
            (Target::Room(room), None) => format!("{} {from}:", self.paint(PRIVATE, &format!("[{room}]"))),
            (Target::Person(to), action) => {
                let arrow = self.paint(PRIVATE, "->");
                let star = if action.is_some() { "* " } else { "" };
                let (label, to) = (self.paint(PRIVATE, "[private]"), self.name(to));
                format!("{label} {star}{from} {arrow} {to}:")
            }
        };
        let text = message.action().unwrap_or(&message.text);
        let text = match called {
            true => self.marked(text),
            false => text.to_owned(),
        };
        self.line(&format!("{} {head} {text}", self.paint(DIM, &time)), out);
        let is_for_me = called || (message.is_private() && !mine);
        if self.rings && is_for_me && !mine && message.origin != Origin::Asked {
            out.insert(0, '\x07');
        }
    }

    /// The time of day in the local zone; before it a line with the date, where that is another than before.
    fn time(&mut self, at: Timestamp, out: &mut String) -> String {
        let Ok(moment) = jiff::Timestamp::from_microsecond(at.micros() as i64) else {
            return at.to_string();
        };
        let local = moment.to_zoned_datetime(self.zone.clone());
        if self.day != Some(local.date()) {
            self.day = Some(local.date());
            self.line(&self.paint(DIM, &format!("--- {} ---", local.strftime("%A, %-d %B %Y"))), out);
        }
        local.strftime("%H:%M").to_string()
    }

    /// Whether somebody else says one's own name.
    fn calls_me(&self, message: &Message) -> bool {
        self.own.is_some_and(|own| own != message.from && mention(&message.text, &own).is_some())
    }

    /// The text with one's own name marked in it.
    fn marked(&self, text: &str) -> String {
        let Some(own) = &self.own else { return text.to_owned() };
        let paint = |(piece, is_name): (&str, bool)| match is_name {
            true => self.paint(CALLED, piece),
            false => piece.to_owned(),
        };
        mentions(text, own).map(paint).collect()
    }

    fn name(&self, name: &Name) -> String {
        let is_own = self.own == Some(*name);
        let colour = NAME_COLOURS[colour_index(name, NAME_COLOURS.len())];
        let weight = if is_own { format!("{BOLD};") } else { String::new() };
        self.paint(&format!("{weight}38;5;{colour}"), name.as_str())
    }

    fn paint(&self, codes: &str, text: &str) -> String {
        match self.style {
            Style::Colour => format!("\x1b[{codes}m{text}\x1b[0m"),
            Style::Wire | Style::Plain => text.to_owned(),
        }
    }
}
