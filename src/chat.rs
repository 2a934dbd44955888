//! Who is here and what they say: sessions, names, commands. A line comes in, effects come out; no I/O, no clock,
//! no sockets.
//!
//! An effect is a wish: nothing of it is seen by anyone before the turn's batch is on disk. A session that waits
//! (for its password to be derived, or for an answer that is read from the log) is given no further line until
//! [`Effect::Resume`], or [`Chat::answered`].

use std::collections::BTreeSet;
use std::net::SocketAddr;

use log::{info, warn};

use crate::accounts::{Account, AccountId, Accounts, CredentialsSaved, SessionId};
use crate::effects::{Ask, Context, Effect, Effects, Save};
use crate::hashing::{Admission, HashingQueue};
use crate::journal::Staged;
use crate::limits::{
    LINE_BYTES_MAX, Micros, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, SECOND_US, SESSIONS_PER_ACCOUNT_MAX,
    USERS_PAGE_BYTES, WORK_ROUNDS_PER_TURN_MAX, WORK_SLICE_US, WORK_STEP_ROUNDS,
};
use crate::login::{Attempt, Fresh, SaveReason, Verdict};
use crate::name::Name;
use crate::presence::Presence;
use crate::protocol::{self, Command, is_password, password_splits};
use crate::record;
use crate::throttle::{Origin, Throttle};
use crate::world::{Now, World};

/// One connection's part in the chat.
struct Session {
    peer: SocketAddr,
    account: Option<AccountId>,
    /// The next older session of the same account.
    older: Option<SessionId>,
    /// `/replay N`, said before the login.
    replay: Option<u32>,
    waiting: Waiting,
}

enum Waiting {
    No,
    ForHash(Box<Attempt>),
    ForAnswer,
}

/// What the operator chose.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Of new passwords.
    pub kdf_rounds: u32,
    /// Missed public messages shown at a login, unless the session chose.
    pub replay: u32,
    /// Whether an address is limited in what it may do.
    pub limits_addresses: bool,
}

/// The chat.
pub struct Chat {
    rules: Rules,
    /// All accounts.
    pub accounts: Accounts,
    /// By their numbers.
    sessions: Vec<Option<Session>>,
    presence: Presence,
    throttle: Throttle,
    hashing: HashingQueue,
    /// Logins that wait for earlier failures, by when they are over.
    delayed: BTreeSet<(Micros, SessionId)>,
}

impl Chat {
    /// A chat that nobody is in yet, with room for so many sessions.
    pub fn new(rules: Rules, accounts: Accounts, sessions: usize) -> Chat {
        Chat {
            rules,
            accounts,
            sessions: Vec::with_capacity(sessions),
            presence: Presence::default(),
            throttle: Throttle::new(!rules.limits_addresses),
            hashing: HashingQueue::default(),
            delayed: BTreeSet::new(),
        }
    }

    /// A new session with a number that no other has.
    pub fn open(&mut self, id: SessionId, peer: SocketAddr, effects: &mut Effects) {
        let index = id as usize;
        if self.sessions.len() <= index {
            self.sessions.resize_with(index + 1, || None);
        }
        assert!(self.sessions[index].is_none(), "a number is given again only after its session is gone");
        let waiting = Waiting::No;
        self.sessions[index] = Some(Session { peer, account: None, older: None, replay: None, waiting });
        effects.own(
            id,
            format_args!("* chinwag {}: a chat; what is said here is kept", env!("CARGO_PKG_VERSION")),
        );
        effects.own(id, format_args!("* new here? /register NAME PASSWORD"));
        effects.own(id, format_args!("* have an account? /login NAME PASSWORD; /help tells the rest"));
    }

    /// The session is gone; returns its account. `reason` is for the log.
    pub fn close(&mut self, id: SessionId, reason: &str) -> Option<AccountId> {
        let session = self.sessions.get_mut(id as usize)?.take()?;
        if matches!(session.waiting, Waiting::ForHash(_)) {
            self.hashing.remove(id);
            self.delayed.retain(|&(_, delayed)| delayed != id);
        }
        let peer = session.peer;
        let Some(account) = session.account else {
            info!("{peer}: closed: {reason}");
            return None;
        };
        info!("{peer}: closed: {reason} ({})", self.accounts[account].name);
        self.unlink(id, account, session.older);
        if self.accounts[account].newest_session.is_none() {
            self.presence.left(self.accounts[account].name);
        }
        Some(account)
    }

    /// Whether there is a session of this number.
    pub fn is_open(&self, id: SessionId) -> bool {
        self.sessions.get(id as usize).is_some_and(Option::is_some)
    }

    /// The account that a session is logged in to.
    pub fn account_of(&self, id: SessionId) -> Option<AccountId> {
        self.sessions.get(id as usize)?.as_ref()?.account
    }

    /// The sessions of an account, the newest first.
    pub fn sessions_of(&self, account: AccountId) -> impl Iterator<Item = SessionId> {
        std::iter::successors(self.accounts[account].newest_session, |&id| self.session(id).older)
    }

    /// Whether a session takes no line at the moment.
    pub fn is_waiting(&self, id: SessionId) -> bool {
        !matches!(self.session(id).waiting, Waiting::No)
    }

    /// Whether a session waits for its password to be derived.
    pub fn is_hashing(&self, id: SessionId) -> bool {
        self.is_open(id) && matches!(self.session(id).waiting, Waiting::ForHash(_))
    }

    /// How many accounts are online.
    pub fn online(&self) -> usize {
        self.presence.online()
    }

    /// The answer that a session waited for was given.
    pub fn answered(&mut self, id: SessionId) {
        self.session_mut(id).waiting = Waiting::No;
    }

    /// A line of a session, cleaned; `replaced` where cleaning changed it.
    pub fn line(&mut self, id: SessionId, line: &str, replaced: bool, context: &mut Context<'_>) {
        let command = match protocol::parse(line) {
            Ok(command) => command,
            Err(misuse) => return context.effects.own(id, format_args!("{misuse}")),
        };
        match (command, self.session(id).account) {
            (Command::Nothing, _) => {}
            (Command::Help, _) => {
                protocol::help().for_each(|line| context.effects.own(id, format_args!("{line}")));
            }
            (Command::Quit, _) => self.ask(id, Ask::Quit, context.effects),
            (Command::Replay(count), account) => self.set_replay(id, account, count, context.effects),
            (Command::Register { .. } | Command::Login { .. }, Some(account)) => {
                let name = self.accounts[account].name;
                context.effects.own(id, format_args!("! already-logged-in: as {name}; /quit first"));
            }
            (Command::Register { name, password }, None) => {
                self.register(id, name, password, replaced, context);
            }
            (Command::Login { name, password }, None) => self.login(id, name, password, context),
            (_, None) => context.effects.own(
                id,
                format_args!("! not-logged-in: first /login NAME PASSWORD, or /register NAME PASSWORD"),
            ),
            (Command::Say(text), Some(account)) => self.say(id, account, text, context),
            (Command::Whisper { to, text }, Some(account)) => self.whisper(id, account, to, text, context),
            (Command::Passwd { passwords }, Some(account)) => {
                self.passwd(id, account, passwords, replaced, context);
            }
            (Command::History(range), Some(_)) => self.ask(id, Ask::History(range), context.effects),
            (Command::Users, Some(_)) => self.ask(id, Ask::Users, context.effects),
        }
    }

    /// A page of the answer to `/users`, from behind `after` on: its line, and its last name where there are more.
    pub fn users_page(&self, after: Option<&Name>, page: &mut Vec<u8>) -> Option<Name> {
        let start = page.len();
        let mut last = None;
        let mut more = false;
        for name in self.presence.names_after(after) {
            if page.len() - start > USERS_PAGE_BYTES {
                more = true;
                break;
            }
            page.extend_from_slice(if last.is_none() { b"* users: " } else { b" " });
            page.extend_from_slice(name.as_bytes());
            last = Some(*name);
        }
        if last.is_some() {
            page.push(b'\n');
        }
        if more {
            return last;
        }
        page.extend_from_slice(format!("* {} online\n", self.presence.online()).as_bytes());
        None
    }

    /// When [`Chat::end_delays`] or [`Chat::tell_presence`] has something to do; `None` for never.
    pub fn due_us(&self) -> Option<Micros> {
        let delayed = self.delayed.first().map(|&(due, _)| due);
        [delayed, self.presence.due_us()].into_iter().flatten().min()
    }

    /// Whether [`Chat::work`] has something to do.
    pub fn has_work(&self) -> bool {
        !self.hashing.is_empty()
    }

    /// How many sessions wait for their password to be hashed.
    pub fn logins_waiting(&self) -> usize {
        self.hashing.len()
    }

    /// Tells everyone who came and went, where it is time for that.
    pub fn tell_presence(&mut self, now: Now, effects: &mut Effects) {
        if let Some(notice) = self.presence.tell(now.mono_us) {
            effects.everyone(format_args!("{notice}"));
        }
    }

    /// Queues the logins that were made to wait for long enough.
    pub fn end_delays(&mut self, context: &mut Context<'_>) {
        while let Some(&(due, id)) = self.delayed.first()
            && due <= context.now.mono_us
        {
            self.delayed.remove(&(due, id));
            self.queue(id, context.effects);
        }
    }

    /// Hashes passwords for a bounded time.
    pub fn work(&mut self, context: &mut Context<'_>) {
        if self.hashing.is_empty() {
            return;
        }
        let started_us = context.world.now().mono_us;
        for _ in 0..WORK_ROUNDS_PER_TURN_MAX / WORK_STEP_ROUNDS {
            let Some(id) = self.hashing.first() else { break };
            let Waiting::ForHash(attempt) = &mut self.session_mut(id).waiting else {
                unreachable!("who is in the queue has an attempt");
            };
            match attempt.step(WORK_STEP_ROUNDS) {
                None | Some(Verdict::Again) => {}
                Some(verdict) => {
                    self.hashing.remove(id);
                    self.judge(id, verdict, context);
                }
            }
            if context.world.now().mono_us.saturating_sub(started_us) >= WORK_SLICE_US {
                break;
            }
        }
    }

    /// How it went with storing a credential. What comes of it is never before its proof.
    ///
    /// # Panics
    /// Never.
    pub fn saved(&mut self, save: &Save, outcome: Result<CredentialsSaved, &str>, effects: &mut Effects) {
        let id = save.session;
        let (name, is_new) = (save.name, save.reason == SaveReason::Registered);
        let account = match outcome {
            Ok(_) => Some(self.accounts.set(name, save.credential)),
            Err(_) => self.accounts.find(&name),
        };
        if !self.is_open(id) {
            return;
        }
        let peer = self.session(id).peer;
        if is_new && outcome.is_err() {
            self.throttle.not_registered(peer.ip().into());
        }
        match (outcome, save.reason, account) {
            (Ok(_), SaveReason::PasswordChanged, _) => {
                info!("{peer}: {name} changed the password");
                effects.own(id, format_args!("* password changed"));
            }
            (Ok(_), SaveReason::Registered | SaveReason::Upgraded, Some(account))
            | (Err(_), SaveReason::Upgraded, Some(account)) => {
                return self.enter(id, account, is_new, effects);
            }
            (Err(refusal), ..) => effects.own(id, format_args!("{refusal}")),
            (Ok(_), _, None) => unreachable!("the account was set above"),
        }
        self.resume(id, effects);
    }

    /// The time to log in is over.
    pub fn login_timeout(&self, id: SessionId, effects: &mut Effects) {
        effects.own(id, format_args!("! login-timeout: nobody logged in here for too long"));
    }

    fn session(&self, id: SessionId) -> &Session {
        self.sessions[id as usize].as_ref().expect("only open sessions are asked for")
    }

    fn session_mut(&mut self, id: SessionId) -> &mut Session {
        self.sessions[id as usize].as_mut().expect("only open sessions are asked for")
    }

    fn ask(&mut self, id: SessionId, ask: Ask, effects: &mut Effects) {
        self.session_mut(id).waiting = Waiting::ForAnswer;
        effects.push(Effect::Ask(id, ask));
    }

    fn resume(&mut self, id: SessionId, effects: &mut Effects) {
        self.session_mut(id).waiting = Waiting::No;
        effects.push(Effect::Resume(id));
    }

    fn set_replay(&mut self, id: SessionId, account: Option<AccountId>, count: u32, effects: &mut Effects) {
        match account {
            Some(account) => self.accounts[account].replay = Some(count),
            None => self.session_mut(id).replay = Some(count),
        }
        effects.own(id, format_args!("* replay {count}"));
    }

    fn say(&mut self, id: SessionId, account: AccountId, text: &str, context: &mut Context<'_>) {
        let from = self.accounts[account].name;
        if let Some(staged) = stage(id, &from, None, text, context) {
            context.effects.push(Effect::Say(id, staged));
        }
    }

    fn whisper(
        &mut self,
        id: SessionId,
        account: AccountId,
        to: &str,
        text: &str,
        context: &mut Context<'_>,
    ) {
        let from = self.accounts[account].name;
        let Some(to_name) = Name::parse(to.as_bytes()) else {
            return context.effects.own(id, format_args!("! no-such-user: that is no name"));
        };
        let Some(to) = self.accounts.find(&to_name) else {
            return context.effects.own(id, format_args!("! no-such-user: nobody is called {to_name}"));
        };
        let recipient = &self.accounts[to];
        let offline = recipient.newest_session.is_none();
        if let Some(line) = stage(id, &from, Some(&recipient.name), text, context) {
            context.effects.push(Effect::Whisper { from: id, author: account, to, offline, line });
        }
    }

    fn register(
        &mut self,
        id: SessionId,
        name: &str,
        password: &str,
        replaced: bool,
        context: &mut Context<'_>,
    ) {
        let effects = &mut *context.effects;
        let Some(name) = Name::parse(name.as_bytes()) else {
            return effects.own(
                id,
                format_args!("! bad-name: a name is a letter, then up to 19 letters, digits, - or _"),
            );
        };
        if replaced || !is_password(password) {
            return bad_password(id, effects);
        }
        if self.accounts.find(&name).is_some() {
            return effects.own(id, format_args!("! name-taken: {name} is registered already"));
        }
        if !self.may_register(id, context.now, effects) {
            return;
        }
        match Attempt::register(name, password, self.fresh(context.world)) {
            Some(attempt) => self.begin(id, attempt, 0, context),
            None => no_randomness(id, effects),
        }
    }

    /// Whether an account may be made from a session's address; says so where not.
    fn may_register(&self, id: SessionId, now: Now, effects: &mut Effects) -> bool {
        let may = self.throttle.may_register(self.origin(id), now.mono_us);
        if !may {
            warn!("{}: too many new accounts", self.session(id).peer);
            let words = "! too-many-accounts: your address has made enough for now; try again in an hour";
            effects.own(id, format_args!("{words}"));
        }
        may
    }

    fn login(&mut self, id: SessionId, name: &str, password: &str, context: &mut Context<'_>) {
        let Some(name) = Name::parse(name.as_bytes()) else {
            return context.effects.own(id, format_args!("{BAD_LOGIN}"));
        };
        let account = self.accounts.find(&name).map(|account| (account, self.accounts[account].credential));
        let attempt = Attempt::login(name, account, password, self.fresh(context.world));
        let now_us = context.now.mono_us;
        let delay_us = self.throttle.login_delay_us(self.origin(id), &name, now_us);
        if delay_us > 0 {
            let seconds = delay_us.div_ceil(SECOND_US);
            context.effects.own(id, format_args!("* after failed logins this one is checked in {seconds} s"));
        }
        self.begin(id, attempt, delay_us, context);
    }

    fn passwd(
        &mut self,
        id: SessionId,
        account: AccountId,
        passwords: &str,
        replaced: bool,
        context: &mut Context<'_>,
    ) {
        if replaced || password_splits(passwords).next().is_none() {
            return context.effects.own(
                id,
                format_args!(
                    "! bad-password: OLD and NEW have {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes each and \
                     no control characters"
                ),
            );
        }
        let Account { name, credential, .. } = &self.accounts[account];
        match Attempt::change(*name, *credential, passwords, self.fresh(context.world)) {
            Some(attempt) => {
                let delay_us =
                    self.throttle.login_delay_us(self.origin(id), attempt.name(), context.now.mono_us);
                self.begin(id, attempt, delay_us, context);
            }
            None => no_randomness(id, context.effects),
        }
    }

    /// Puts an attempt in the queue, now or once a delay is over.
    fn begin(&mut self, id: SessionId, attempt: Attempt, delay_us: Micros, context: &mut Context<'_>) {
        self.session_mut(id).waiting = Waiting::ForHash(Box::new(attempt));
        if delay_us > 0 {
            self.delayed.insert((context.now.mono_us + delay_us, id));
        } else {
            self.queue(id, context.effects);
        }
    }

    fn queue(&mut self, id: SessionId, effects: &mut Effects) {
        let refused = match self.hashing.push(self.origin(id), id) {
            Admission::Queued => return,
            Admission::Displaced(other) => other,
            Admission::Full => id,
        };
        effects.own(refused, format_args!("! busy: too many logins at once; please try again"));
        self.resume(refused, effects);
    }

    fn judge(&mut self, id: SessionId, verdict: Verdict, context: &mut Context<'_>) {
        let Waiting::ForHash(mut attempt) =
            std::mem::replace(&mut self.session_mut(id).waiting, Waiting::ForAnswer)
        else {
            unreachable!("only attempts are judged");
        };
        let (peer, origin, name) = (self.session(id).peer, self.origin(id), *attempt.name());
        let mut verdict = verdict;
        // Another session may have changed the password since this one gave it.
        if let Some(account) = self.accounts.find(&name).filter(|_| attempt.checked().is_some()) {
            let of_this_turn = context.effects.saves().iter().rfind(|save| save.name == name);
            let standing = of_this_turn.map_or(self.accounts[account].credential, |save| save.credential);
            if attempt.checked() != Some(&standing) {
                if attempt.check_again(account, standing) {
                    self.session_mut(id).waiting = Waiting::ForHash(attempt);
                    return self.queue(id, context.effects);
                }
                verdict = Verdict::Wrong;
            }
        }
        match verdict {
            Verdict::Again => unreachable!("that is no verdict"),
            Verdict::Wrong => {
                warn!("{peer}: wrong name or password for {name}");
                self.throttle.failed(origin, &name, context.now.mono_us);
                let is_login = self.session(id).account.is_none();
                let words = if is_login { BAD_LOGIN } else { "! bad-login: wrong password" };
                context.effects.own(id, format_args!("{words}"));
                self.resume(id, context.effects);
            }
            Verdict::Right(account) => {
                self.throttle.succeeded(&name);
                self.enter(id, account, false, context.effects);
            }
            Verdict::Store(credential, reason) => {
                if reason == SaveReason::Registered {
                    let taken = self.accounts.find(&name).is_some()
                        || context.effects.saves().iter().any(|save| save.name == name);
                    if taken {
                        context.effects.own(id, format_args!("! name-taken: {name} is registered already"));
                        return self.resume(id, context.effects);
                    }
                    // Asked again: others of the address may have registered while this one was hashed.
                    if !self.may_register(id, context.now, context.effects) {
                        return self.resume(id, context.effects);
                    }
                    self.throttle.registered(origin, context.now.mono_us);
                } else {
                    self.throttle.succeeded(&name);
                }
                context.effects.save(Save { session: id, name, credential, reason });
            }
        }
    }

    /// The session is that account's from here on.
    fn enter(&mut self, id: SessionId, account: AccountId, is_new: bool, effects: &mut Effects) {
        let (name, peer) = (self.accounts[account].name, self.session(id).peer);
        if self.sessions_of(account).count() >= SESSIONS_PER_ACCOUNT_MAX as usize {
            effects.own(
                id,
                format_args!(
                    "! too-many-sessions: {name} is logged in {SESSIONS_PER_ACCOUNT_MAX} times already"
                ),
            );
            return self.resume(id, effects);
        }
        info!("{peer}: {name} {}", if is_new { "registered" } else { "logged in" });
        let newest = self.accounts[account].newest_session.replace(id);
        if newest.is_none() {
            self.presence.joined(name);
        }
        let rules_replay = self.rules.replay;
        let account_replay = self.accounts[account].replay;
        let session = self.session_mut(id);
        session.account = Some(account);
        session.older = newest;
        session.waiting = Waiting::ForAnswer;
        let replay = session.replay.or(account_replay).unwrap_or(rules_replay);
        effects.own(id, format_args!("* welcome {name}"));
        effects.push(Effect::Enter { session: id, replay, is_new });
    }

    fn unlink(&mut self, id: SessionId, account: AccountId, older: Option<SessionId>) {
        if self.accounts[account].newest_session == Some(id) {
            self.accounts[account].newest_session = older;
            return;
        }
        let newer = self.sessions_of(account).find(|&other| self.session(other).older == Some(id));
        self.session_mut(newer.expect("it is one of the account's")).older = older;
    }

    fn origin(&self, id: SessionId) -> Origin {
        self.session(id).peer.ip().into()
    }

    fn fresh(&self, world: &mut dyn World) -> Fresh {
        let mut salt = [0; 16];
        let salt = match world.random(&mut salt) {
            Ok(()) => Some(salt),
            Err(error) => {
                warn!("no randomness for a salt: {error}");
                None
            }
        };
        Fresh { rounds: self.rules.kdf_rounds, salt }
    }
}

const BAD_LOGIN: &str = "! bad-login: wrong name or password";

fn bad_password(id: SessionId, effects: &mut Effects) {
    effects.own(
        id,
        format_args!(
            "! bad-password: a password has {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes and no control \
             characters"
        ),
    );
}

fn no_randomness(id: SessionId, effects: &mut Effects) {
    effects.own(id, format_args!("! no-randomness: the server's system has none to give; please try again"));
}

/// Formats a message into the batch, unless its line would be too long.
fn stage(
    id: SessionId,
    from: &Name,
    to: Option<&Name>,
    text: &str,
    context: &mut Context<'_>,
) -> Option<Staged> {
    let length = record::line_length(from, to, text);
    if length > LINE_BYTES_MAX {
        let over = length - LINE_BYTES_MAX;
        context.effects.own(
            id,
            format_args!("! line-too-long: with time and name the message is {over} bytes too long"),
        );
        return None;
    }
    Some(context.batch.stage(context.now.wall_us, from, to, text))
}
