//! The client's side of the protocol, without I/O: bytes and submitted lines come in, events and bytes to be sent
//! come out. What shows it to a person, and what moves the bytes, is elsewhere.
//!
//! ```text
//!  * chinwag ─▶ /login ──▶ * welcome ─▶ what was missed ─▶ /users, /history 1 ─▶ /token     the first time
//!  * chinwag ─▶ /resume ─▶ * welcome ─▶ /history T ──────▶ /users                           after a lost connection
//! ```
//!
//! Nothing is sent before the server's greeting, so that another kind of server never receives a password.
//! T is the newest message that was told of. The server shows a message that was said meanwhile twice, as it is said
//! and in the answer; it is told of once, in its place. What had been sent without a receipt is looked for in that
//! answer: what is not in it was not taken. Nothing is ever sent a second time.

mod answers;
mod commands;
mod event;
#[cfg(feature = "link")]
pub mod link;
mod login;
mod pending;
#[cfg(feature = "link")]
pub mod settings;
pub mod words;

use std::collections::{BTreeSet, VecDeque};
use std::io::Read;

pub use self::event::{Event, LineId, Message, Origin, Refusal};
use self::login::Login;
pub use self::login::{Credentials, Token};
use self::pending::{Asked, Pending, Purpose, Queue};
use crate::limits::LINE_BYTES_MAX;
use crate::protocol::command::{self, Command, Misuse};
use crate::protocol::line::{InputBuffer, LineBuffer, Next};
use crate::protocol::name::Name;
use crate::protocol::record::{Target, Timestamp, line_length};
use crate::protocol::reply::{Error, code};
use crate::protocol::room::RoomName;
use crate::protocol::text::sanitise;

/// What is read of a resumed history before its first known message; more than that can only be the answer.
const EARLY_MAX: usize = 4096;
/// So many messages are asked for where a connection was lost before the first one was told of.
const RESUME_BLINDLY: &str = "50";

/// The progress of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    /// Connected; the server has not greeted yet, and nothing may be sent.
    Ungreeted,
    /// The other side is not a chinwag server: nothing is sent or read.
    Foreign,
    /// Greeted and not logged in.
    Outside,
    In,
}

/// The answer to a question of the client's own about messages, while it is read.
#[derive(Default)]
struct Gathering {
    /// What came before the answer can have begun, or its beginning.
    early: Vec<Message>,
    has_begun: bool,
}

/// One person's connection to a server, over all times that it is lost and made again.
pub struct Client {
    state: State,
    /// `None` before the first login, and after a token was refused.
    login: Option<Login>,
    /// The server has refused it.
    is_refused: bool,
    /// Whether to trade the password for a token.
    wants_token: bool,
    /// The name of the account, once logged in.
    name: Option<Name>,
    /// A connection went after the login was sent and before its answer came: it may have been shown something.
    may_have_been_in: bool,
    input: LineBuffer,
    input_pool: Vec<InputBuffer>,
    text: String,
    output: Vec<u8>,
    /// Lines that wait until there is a time to go on from. What is sent before could not be looked for after a lost
    /// connection: the same words of long ago would be taken for its copy.
    held: Vec<u8>,
    events: VecDeque<Event>,
    pending: Queue,
    /// Messages and changes of the password whose connection went before their answer came, until the next one tells.
    unconfirmed: Queue,
    next_id: LineId,
    /// The newest message that was told of; what is not newer was. `None` before the first login.
    told: Option<Timestamp>,
    gathering: Option<Gathering>,
    /// What comes was said before the login.
    is_catching_up: bool,
    online: BTreeSet<Name>,
    /// Messages of an answer to `/history`, until its end.
    answered: usize,
    /// The names of an answer to `/users`, until its end.
    listed: Vec<Name>,
    ignored: BTreeSet<Name>,
    /// Who wrote the last private message.
    correspondent: Option<Name>,
    /// Where what is submitted goes.
    target: Target,
}

impl Client {
    /// Not connected, and hearing nothing of those who are ignored.
    pub fn new(ignored: impl IntoIterator<Item = Name>) -> Client {
        Client {
            state: State::Down,
            login: None,
            is_refused: false,
            wants_token: true,
            name: None,
            may_have_been_in: false,
            input: LineBuffer::default(),
            input_pool: Vec::new(),
            text: String::new(),
            output: Vec::new(),
            held: Vec::new(),
            events: VecDeque::new(),
            pending: Queue::new(),
            unconfirmed: Queue::new(),
            next_id: 0,
            told: None,
            gathering: None,
            is_catching_up: false,
            online: BTreeSet::new(),
            answered: 0,
            listed: Vec::new(),
            ignored: ignored.into_iter().collect(),
            correspondent: None,
            target: Target::Everyone,
        }
    }

    /// Never requests a token: for scripts, whose password is in a file anyway. Each run would issue one more, and the
    /// server revokes an account's oldest.
    pub fn without_tokens(mut self) -> Client {
        self.wants_token = false;
        self
    }

    /// There is a connection.
    pub fn connected(&mut self) {
        assert!(self.state == State::Down, "one connection at a time");
        self.state = State::Ungreeted;
    }

    /// The connection is gone. What was sent and not acknowledged is told of.
    pub fn disconnected(&mut self) {
        let is_login_sent = self.pending.iter().any(|it| it.asked == Asked::Login) && self.output.is_empty();
        self.may_have_been_in |= self.state == State::Outside && is_login_sent;
        self.state = State::Down;
        self.output.clear();
        self.held.clear();
        self.input = LineBuffer::default();
        self.answered = 0;
        self.listed.clear();
        self.online.clear();
        self.gathering = None;
        for pending in std::mem::take(&mut self.pending) {
            let Some(id) = pending.id else { continue };
            let line = pending.line.clone();
            // Without a time to go on from, it was held, and is only not sent.
            let may_be_done = matches!(pending.asked, Asked::Message { .. } | Asked::Passwd { .. });
            if may_be_done && self.told.is_some() {
                self.events.push_back(Event::Unconfirmed { id, line });
                self.unconfirmed.push_back(pending);
            } else if pending.asked != Asked::Quit {
                self.events.push_back(Event::NotSent { id, line });
            }
        }
    }

    /// Takes what the server sent.
    pub fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let filled = self.input.fill(&mut self.input_pool, |into| bytes.read(into));
            filled.expect("reading a slice cannot fail");
            loop {
                let mut text = std::mem::take(&mut self.text);
                let is_line = match self.input.next_line() {
                    Next::Line(line) => {
                        sanitise(line, &mut text);
                        true
                    }
                    // Not even a server that means harm gets more memory than a line.
                    Next::TooLong | Next::Endless | Next::Foreign(_) => false,
                    Next::Nothing => break self.text = text,
                };
                if is_line {
                    self.line(&text);
                }
                if self.told.is_some() {
                    self.output.append(&mut self.held);
                }
                self.text = text;
            }
            self.input.release(&mut self.input_pool, 1);
        }
    }

    /// Takes a line that the user wants to say or to be done. What becomes of it is told by events with its number;
    /// `None` where there is nothing to wait for.
    pub fn submit(&mut self, line: &str) -> Option<LineId> {
        let mut clean = String::new();
        let input = command::read(line.trim_end_matches(['\r', '\n']).as_bytes(), &mut clean);
        let concealed = input.command.err().filter(|it| matches!(it, Misuse::Indented | Misuse::Erased));
        let concealed = concealed.map(|misuse| Refusal::from(Error::from(misuse)));
        if matches!(input.command, Ok(Command::Nothing)) {
            return None;
        }
        let id = self.next_id;
        self.next_id += 1;
        if let Some(refusal) = concealed {
            self.refuse(id, &clean, refusal);
        } else if !self.own_command(id, &clean) {
            self.send_line(id, &clean, &clean);
        }
        Some(id)
    }

    /// The next thing to be told.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is to be sent; [`Client::sent`] takes it off.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// The first so many bytes of [`Client::output`] are on their way.
    pub fn sent(&mut self, count: usize) {
        self.output.drain(..count);
    }

    /// Whether the other side has shown that it is a chinwag server.
    pub fn is_greeted(&self) -> bool {
        matches!(self.state, State::Outside | State::In)
    }

    /// Whether one is logged in, and nothing keeps lines from being taken.
    pub fn is_in(&self) -> bool {
        self.state == State::In
    }

    /// Lines that the server has not answered yet, its own questions not counted.
    pub fn unanswered(&self) -> usize {
        self.pending.iter().chain(&self.unconfirmed).filter(|pending| pending.id.is_some()).count()
    }

    /// Whether everything was answered, what the client itself asked for included.
    pub fn is_settled(&self) -> bool {
        self.pending.is_empty() && self.unconfirmed.is_empty() && self.gathering.is_none()
    }

    /// Messages of which it is not known whether they were taken.
    pub fn unacknowledged(&self) -> impl Iterator<Item = &str> {
        let messages = self.unconfirmed.iter().chain(&self.pending);
        messages.filter(|it| matches!(it.asked, Asked::Message { .. })).map(|it| it.line.as_str())
    }

    /// One's own name, once logged in.
    pub fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// Who wrote the last private message, and would receive a `/reply`.
    pub fn correspondent(&self) -> Option<&Name> {
        self.correspondent.as_ref()
    }

    /// Who is online, as far as it is known.
    pub fn online(&self) -> &BTreeSet<Name> {
        &self.online
    }

    /// Who is ignored.
    pub fn ignored(&self) -> &BTreeSet<Name> {
        &self.ignored
    }

    // What is sent

    fn ask_history(&mut self, range: &str, purpose: Purpose) {
        self.send(&format!("/history {range}"), false);
        self.ask(Asked::History(purpose));
    }

    fn ask(&mut self, asked: Asked) {
        self.pending.push_back(Pending { id: None, line: String::new(), asked });
    }

    /// What is asked is answered in the order in which it is sent, so nothing overtakes what waits.
    fn send(&mut self, line: &str, waits: bool) {
        let lines = if waits || !self.held.is_empty() { &mut self.held } else { &mut self.output };
        lines.extend_from_slice(line.as_bytes());
        lines.push(b'\n');
    }

    fn ask_users(&mut self) {
        self.send("/users", false);
        self.ask(Asked::Users { is_shown: false });
    }

    /// Sends `sent`, which the user submitted as `line`.
    fn send_line(&mut self, id: LineId, line: &str, sent: &str) {
        let Some(own) = self.name.filter(|_| self.is_in()) else {
            return self.events.push_back(Event::NotSent { id, line: line.into() });
        };
        let mut sent_line = String::new();
        let asked = match command::read(sent.as_bytes(), &mut sent_line).command {
            Err(misuse) => return self.refuse(id, line, Error::from(misuse)),
            Ok(Command::Nothing) => return,
            Ok(Command::Help) => return self.help(),
            Ok(Command::Say(text)) => Asked::Message { to: self.target, text: text.into() },
            Ok(Command::Whisper { to, text }) => match Target::parse(to.as_bytes()) {
                Some(to) => Asked::Message { to, text: text.into() },
                None => return self.refuse(id, line, Error::NotAName),
            },
            Ok(Command::To(target)) => match target.map(|it| Target::parse(it.as_bytes())) {
                Some(None) => return self.refuse(id, line, Error::NotAName),
                target => {
                    let target = target.flatten().unwrap_or(Target::Everyone);
                    Asked::To { before: std::mem::replace(&mut self.target, target) }
                }
            },
            Ok(Command::Join { room, .. }) => match RoomName::parse(room.as_bytes()) {
                Some(room) => Asked::To { before: std::mem::replace(&mut self.target, Target::Room(room)) },
                None => return self.refuse(id, line, Error::NOT_A_ROOM),
            },
            Ok(Command::Topic { text: None, .. }) => Asked::Topic,
            Ok(
                Command::Leave(_)
                | Command::Topic { .. }
                | Command::Invite { .. }
                | Command::Kick { .. }
                | Command::Op { .. }
                | Command::Deop { .. }
                | Command::Room { .. },
            ) => Asked::Deed,
            Ok(Command::Rooms) => Asked::Rooms,
            Ok(Command::Users(Some(_))) => Asked::Members,
            Ok(Command::Ping(_)) => Asked::Ping,
            Ok(
                Command::Register { .. } | Command::Login { .. } | Command::Resume { .. } | Command::Code(_),
            ) => return self.refuse(id, line, Error::AlreadyLoggedIn { name: own }),
            Ok(Command::Passwd { passwords }) => Asked::Passwd { new: self.new_password(passwords) },
            Ok(Command::History { .. }) => Asked::History(Purpose::Show),
            Ok(Command::Token) => Asked::Token,
            Ok(Command::Users(None)) => Asked::Users { is_shown: true },
            Ok(Command::Replay(_)) => Asked::Replay { is_shown: true },
            Ok(Command::Quit) => Asked::Quit,
        };
        let stored_bytes = match &asked {
            Asked::Message { to, text } => {
                if *to != Target::Everyone {
                    // Where it goes stands in the line itself, so that it goes nowhere else after a lost connection.
                    sent_line = format!("/msg {to} {text}");
                }
                line_length(&own, to, text)
            }
            _ => 0,
        };
        if stored_bytes.max(sent_line.len() + 1) > LINE_BYTES_MAX {
            let words = format!("a message may have at most {LINE_BYTES_MAX} bytes with its time and names");
            return self.refuse(id, line, Error::Other { code: code::LINE_TOO_LONG, words: &words });
        }
        self.send(&sent_line, self.told.is_none());
        self.pending.push_back(Pending { id: Some(id), line: line.into(), asked });
    }

    fn refuse(&mut self, id: LineId, line: &str, refusal: impl Into<Refusal>) {
        self.events.push_back(Event::Refused { id, line: line.into(), refusal: refusal.into() });
    }
}
