//! Sessions and commands. Lines come in, effects come out; there is no I/O, no clock and no socket here.
//!
//! Effects are deferred until the turn's batch is durable. A session that waits (for its password to be hashed, or for
//! an answer that is read from the log) must not be given another line before [`Effect::Resume`] or
//! [`Chat::answered`].

mod attempts;
pub mod effects;
mod lists;
mod logins;
mod messages;
mod moves;
pub mod presence;
pub mod quota;
mod rooms;
mod rules;
mod sessions;
mod tokens;

use std::collections::HashMap;
use std::net::SocketAddr;

use log::info;

pub use self::lists::RoomsFrom;
use self::moves::{Move, Moves};
pub use self::rules::Rules;
use self::tokens::AcceptedCode;

use crate::auth::attempt::Attempt;
use crate::auth::queue::HashingQueue;
use crate::auth::throttle::Throttle;
use crate::clock::Now;
use crate::ids::{AccountId, SessionId};
use crate::limits::{Micros, SECOND_US, USERS_PAGE_BYTES};
use crate::protocol::command::{self, Command, HistoryRange, Input};
use crate::protocol::name::Name;
use crate::protocol::record::{Target, Timestamp};
use crate::protocol::reply::{Error, GREETING, Notice};
use crate::session::effects::{Ask, Context, Effect, Effects};
use crate::session::presence::Presence;
use crate::session::quota::Quotas;
use crate::state::accounts::Accounts;
use crate::state::durable::State;
use crate::state::event::Event;

/// A connection's state in the chat.
struct Session {
    peer: SocketAddr,
    login: Login,
    /// Where what it says goes, if not to everyone.
    target: Option<Box<Target>>,
    /// When its last line was handled, in seconds of the monotonic clock.
    heard_s: u32,
    waiting: Waiting,
}

enum Login {
    /// Before its login, with the count of a `/replay N`.
    Outside { replay: Option<u32> },
    /// Logged in, with the next older session of the same account.
    Inside { account: AccountId, older: Option<SessionId> },
}

enum Waiting {
    No,
    ForHash(Box<Attempt>),
    /// For the names in the history to be known, before a registration.
    ForNames(Box<Attempt>),
    /// For the next turn, because its account has an event in this one.
    ForTurn,
    /// For its turn to change the state.
    ForMove(Box<Move>),
    /// To enter as this account, which may be new, until all events are known.
    ForState(AccountId, bool),
    ForAnswer,
    /// Its last line is queued, and the server is about to close it.
    ForEnd,
}

impl Session {
    fn account(&self) -> Option<AccountId> {
        match self.login {
            Login::Inside { account, .. } => Some(account),
            Login::Outside { .. } => None,
        }
    }

    fn older(&self) -> Option<SessionId> {
        match self.login {
            Login::Inside { older, .. } => older,
            Login::Outside { .. } => None,
        }
    }

    fn target(&self) -> Target {
        self.target.as_deref().copied().unwrap_or(Target::Everyone)
    }

    fn replay(&self) -> Option<u32> {
        match self.login {
            Login::Outside { replay } => replay,
            Login::Inside { .. } => None,
        }
    }
}

/// The chat.
pub struct Chat {
    rules: Rules,
    /// What is durable. Changed only by what is committed or read from a file.
    state: State,
    /// Their recent usage.
    pub quotas: Quotas,
    /// By number.
    sessions: Vec<Option<Session>>,
    presence: Presence,
    /// The newest session of each account that is online. The others follow from that one.
    newest: HashMap<AccountId, SessionId>,
    /// `/replay N`, said while logged in. Lasts as long as the server runs.
    replays: HashMap<AccountId, u32>,
    throttle: Throttle,
    hashing: HashingQueue,
    /// Rounds that the current attempt has used of its quantum.
    quantum_rounds: u32,
    /// Codes of sessions that are about to choose a new password.
    accepted_codes: HashMap<SessionId, AcceptedCode>,
    names: Names,
    /// The sessions that wait with a registration until all names are known, in this order.
    unnamed: Vec<SessionId>,
    /// The sessions whose line waits for the next turn, in this order.
    postponed: Vec<SessionId>,
    /// The sessions that wait for their turn to change the state.
    moves: Moves,
}

/// Whether the server knows which names occur in the history and may not be registered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// The history is still being read.
    Unknown,
    Known,
    /// There are more than can be kept reserved: nobody can register.
    TooMany,
}

impl Chat {
    /// Returns a chat without sessions, with room for `sessions` of them. `now` is not earlier than the last message.
    pub fn new(rules: Rules, state: State, sessions: usize, now: Now) -> Chat {
        let mut throttle = Throttle::new(!rules.limits_addresses, rules.accounts_per_hour);
        throttle.registered_earlier(state.accounts().ages_us(now.wall_us), now.mono_us);
        Chat {
            rules,
            state,
            quotas: Quotas::default(),
            sessions: Vec::with_capacity(sessions),
            presence: Presence::default(),
            newest: HashMap::new(),
            replays: HashMap::new(),
            throttle,
            hashing: HashingQueue::default(),
            quantum_rounds: 0,
            accepted_codes: HashMap::new(),
            names: Names::Unknown,
            unnamed: Vec::new(),
            postponed: Vec::new(),
            moves: Moves::default(),
        }
    }

    /// What the events came to.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// All accounts.
    pub fn accounts(&self) -> &Accounts {
        self.state.accounts()
    }

    /// Applies an event of the log that is older than this server.
    ///
    /// # Errors
    /// What it shows to be wrong with the log. It is not applied then.
    pub fn recover(&mut self, event: &Event<'_>) -> Result<(), &'static str> {
        self.state.recover_event(event)
    }

    /// Closes the rooms that were created up to a time, because events may be missing. Returns how many that are.
    pub fn close_rooms(&mut self, until: Timestamp) -> usize {
        self.state.close_rooms(until)
    }

    /// Opens a session with an unused number and greets it.
    pub fn open(&mut self, id: SessionId, peer: SocketAddr, effects: &mut Effects) {
        let index = id.index();
        if self.sessions.len() <= index {
            self.sessions.resize_with(index + 1, || None);
        }
        assert!(self.sessions[index].is_none(), "a number is given again only after its session is gone");
        let login = Login::Outside { replay: None };
        self.sessions[index] = Some(Session { peer, login, target: None, heard_s: 0, waiting: Waiting::No });
        GREETING.into_iter().for_each(|notice| effects.direct(id, notice));
    }

    /// Closes a session and returns its account. `reason` is logged.
    pub fn close(&mut self, id: SessionId, reason: &str, now: Now) -> Option<AccountId> {
        if self.is_hashing(id) {
            self.abandon(id, now);
        }
        self.unnamed.retain(|&unnamed| unnamed != id);
        self.accepted_codes.remove(&id);
        self.postponed.retain(|&postponed| postponed != id);
        self.moves.remove(id);
        let session = self.sessions.get_mut(id.index())?.take()?;
        let peer = session.peer;
        let Login::Inside { account, older } = session.login else {
            info!("{peer}: closed: {reason}");
            return None;
        };
        info!("{peer}: closed: {reason} ({})", self.state.accounts()[account].name);
        self.unlink(id, account, older);
        if self.newest_session(account).is_none() {
            self.presence.left(account, self.state.accounts());
        }
        Some(account)
    }

    /// Whether there is a session of this number.
    pub fn is_open(&self, id: SessionId) -> bool {
        self.sessions.get(id.index()).is_some_and(Option::is_some)
    }

    /// The account that a session is logged in to.
    pub fn account_of(&self, id: SessionId) -> Option<AccountId> {
        self.sessions.get(id.index())?.as_ref()?.account()
    }

    /// The address of a session.
    pub fn peer_of(&self, id: SessionId) -> Option<SocketAddr> {
        Some(self.sessions.get(id.index())?.as_ref()?.peer)
    }

    /// Whether a session cannot take a line now.
    pub fn is_waiting(&self, id: SessionId) -> bool {
        !matches!(self.session(id).waiting, Waiting::No)
    }

    /// How many accounts are online.
    pub fn online(&self) -> usize {
        self.presence.online()
    }

    /// Notes that the answer a session waited for is complete.
    pub fn answered(&mut self, id: SessionId) {
        self.stop_waiting(id);
    }

    /// Handles a line of a session.
    pub fn line(&mut self, id: SessionId, input: Input<'_>, context: &mut Context<'_>) {
        self.session_mut(id).heard_s = (context.now.mono_us / SECOND_US) as u32;
        let Input { command, replaced } = input;
        let command = match command {
            Ok(command) => command,
            Err(misuse) => return context.effects.direct(id, Error::from(misuse)),
        };
        match (command, self.session(id).account()) {
            (Command::Nothing, _) => {}
            (Command::Help, _) => command::help().for_each(|notice| context.effects.direct(id, notice)),
            (Command::Quit, _) => self.ask(id, Ask::Quit, context.effects),
            (Command::Replay(count), account) => self.set_replay(id, account, count, context.effects),
            (
                Command::Register { .. } | Command::Login { .. } | Command::Resume { .. } | Command::Code(_),
                Some(account),
            ) => {
                let name = self.state.accounts()[account].name;
                context.effects.direct(id, Error::AlreadyLoggedIn { name });
            }
            (Command::Register { name, password }, None) => {
                self.register(id, name, password, replaced, context);
            }
            (Command::Login { name, password }, None) => self.login(id, name, password, context),
            (Command::Resume { name, token }, None) => self.resume_session(id, name, token, context),
            (Command::Code(code), None) => self.code(id, code, context),
            (_, None) => context.effects.direct(id, Error::NotLoggedIn),
            (Command::Say(text), Some(account)) => self.say(id, account, text, context),
            (Command::Whisper { to, text }, Some(account)) => self.whisper(id, account, to, text, context),
            (Command::Passwd { passwords }, Some(account)) => {
                self.passwd(id, account, passwords, replaced, context);
            }
            (Command::History { with, range }, Some(account)) => {
                self.history(id, account, with, range, context.effects);
            }
            (Command::Token, Some(account)) => self.token(id, account, context),
            (Command::Users(None), Some(_)) => self.ask(id, Ask::Users, context.effects),
            (Command::Ping(text), Some(_)) => context.effects.direct(id, Notice::Pong { text }),
            (command, Some(account)) => self.room_command(id, account, command, context),
        }
    }

    /// Returns a page of the answer to `/users`: names that follow `after`, and whether there are more.
    pub fn users_page(&self, after: Option<&Name>) -> (Vec<Name>, bool) {
        let all = self.presence.accounts_after(after, self.state.accounts());
        let (mut names, mut bytes) = (Vec::new(), 0);
        for name in all.iter().map(|&id| self.state.accounts()[id].name) {
            if bytes > USERS_PAGE_BYTES {
                break;
            }
            bytes += name.as_bytes().len() + 1;
            names.push(name);
        }
        let has_more = names.len() < all.len();
        (names, has_more)
    }

    /// Returns when [`Chat::work`], [`Chat::tell_presence`] or [`Chat::stage_move`] is due next; `None` means no
    /// deadline.
    pub fn due_us(&self) -> Option<Micros> {
        let hashing = self.hashing.due_us(&self.throttle);
        [hashing, self.presence.due_us(), self.moves.due_us()].into_iter().flatten().min()
    }

    /// Announces presence changes if an announcement is due.
    pub fn tell_presence(&mut self, now: Now, effects: &mut Effects) {
        if let Some(notice) = self.presence.tell(now.mono_us) {
            effects.everyone(notice);
        }
    }

    fn session(&self, id: SessionId) -> &Session {
        self.sessions[id.index()].as_ref().expect("only open sessions are asked for")
    }

    fn session_mut(&mut self, id: SessionId) -> &mut Session {
        self.sessions[id.index()].as_mut().expect("only open sessions are asked for")
    }

    fn ask(&mut self, id: SessionId, ask: Ask, effects: &mut Effects) {
        self.session_mut(id).waiting = Waiting::ForAnswer;
        effects.push(Effect::Ask(id, ask));
    }

    fn resume(&mut self, id: SessionId, effects: &mut Effects) {
        if self.stop_waiting(id) {
            effects.push(Effect::Resume(id));
        }
    }

    /// Lets a session take lines again unless it is about to end. Returns whether it does.
    fn stop_waiting(&mut self, id: SessionId) -> bool {
        let waiting = &mut self.session_mut(id).waiting;
        if matches!(waiting, Waiting::ForEnd) {
            return false;
        }
        *waiting = Waiting::No;
        true
    }

    fn set_replay(&mut self, id: SessionId, account: Option<AccountId>, count: u32, effects: &mut Effects) {
        match account {
            Some(account) => _ = self.replays.insert(account, count),
            None => self.session_mut(id).login = Login::Outside { replay: Some(count) },
        }
        effects.direct(id, Notice::Replay { count: count.into() });
    }

    fn history(
        &mut self,
        id: SessionId,
        account: AccountId,
        with: Option<&str>,
        range: HistoryRange,
        effects: &mut Effects,
    ) {
        let with = match with.map(parse_target).transpose() {
            Ok(with) => with,
            Err(error) => return effects.direct(id, error),
        };
        let refusal = match with {
            Some(Target::Room(room)) => self.check_member(account, &room).err(),
            Some(Target::Person(name)) if self.names == Names::Known && self.accounts().is_free(&name) => {
                Some(Error::NoSuchUser { name })
            }
            _ => None,
        };
        match refusal {
            Some(error) => effects.direct(id, error),
            None => self.ask(id, Ask::History(range, with), effects),
        }
    }
}

/// The room or the person that `text` names.
fn parse_target(text: &str) -> Result<Target, Error<'static>> {
    let error = if text.starts_with('#') { Error::NOT_A_ROOM } else { Error::NotAName };
    Target::parse(text.as_bytes()).ok_or(error)
}
