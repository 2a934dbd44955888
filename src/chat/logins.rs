//! Logging in, registering and changing passwords: attempts that wait for their derivations, and the verdicts.

use log::{info, warn};

use super::{Chat, Waiting};
use crate::accounts::{AccountId, SessionId, taken_by};
use crate::effects::{Context, Effect, Effects, Save};
use crate::hashing::Admission;
use crate::limits::{
    Micros, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, SECOND_US, SESSIONS_PER_ACCOUNT_MAX,
    WORK_ROUNDS_PER_TURN_MAX, WORK_SLICE_US, WORK_STEP_ROUNDS,
};
use crate::login::{Attempt, Fresh, SaveReason, Verdict};
use crate::name::Name;
use crate::protocol::{is_password, password_splits};
use crate::record::Timestamp;
use crate::throttle::Origin;
use crate::users::{Credential, UserRecord};
use crate::users_file::RecordsSaved;
use crate::world::{Now, World};

impl Chat {
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
    pub fn saved(&mut self, save: &Save, outcome: Result<RecordsSaved, &str>, effects: &mut Effects) {
        let id = save.session;
        let (name, is_new) = (save.name, save.reason == SaveReason::Registered);
        let account = match outcome {
            Ok(_) => save.records.iter().map(|record| self.accounts.apply(record)).last(),
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

    /// Whether a session waits for its password to be derived.
    pub fn is_hashing(&self, id: SessionId) -> bool {
        self.is_open(id) && matches!(self.session(id).waiting, Waiting::ForHash(_))
    }

    /// Whether [`Chat::work`] has something to do.
    pub fn has_work(&self) -> bool {
        !self.hashing.is_empty()
    }

    /// How many sessions wait for their password to be hashed.
    pub fn logins_waiting(&self) -> usize {
        self.hashing.len()
    }

    pub(super) fn register(
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
        if name.looks_official() {
            return effects.own(id, format_args!("! bad-name: {name} could be mistaken for the server"));
        }
        if replaced || !is_password(password) {
            return bad_password(id, effects);
        }
        if let Some(why) = self.accounts.why_taken(&name) {
            return effects.own(id, format_args!("! name-taken: {why}"));
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

    pub(super) fn login(&mut self, id: SessionId, name: &str, password: &str, context: &mut Context<'_>) {
        let Some(name) = Name::parse(name.as_bytes()) else {
            return context.effects.own(id, format_args!("{BAD_LOGIN}"));
        };
        let account = self.accounts.find(&name);
        let account = account.and_then(|account| Some((account, self.accounts[account].credential()?)));
        let attempt = Attempt::login(name, account, password, self.fresh(context.world));
        let now_us = context.now.mono_us;
        let delay_us = self.throttle.login_delay_us(self.origin(id), &name, now_us);
        if delay_us > 0 {
            let seconds = delay_us.div_ceil(SECOND_US);
            context.effects.own(id, format_args!("* after failed logins this one is checked in {seconds} s"));
        }
        self.begin(id, attempt, delay_us, context);
    }

    pub(super) fn passwd(
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
        let fresh = self.fresh(context.world);
        let account = &self.accounts[account];
        let credential = account.credential().expect("the account of a session has a password");
        match Attempt::change(account.name, credential, passwords, fresh) {
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
            let standing = of_this_turn.and_then(Save::credential).or(self.accounts[account].credential());
            if attempt.checked() != standing.as_ref() {
                if standing.is_some_and(|standing| attempt.check_again(account, standing)) {
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
                    let of_this_turn = context.effects.saves().iter().find(|it| it.name.looks_like(&name));
                    let why_taken = self.accounts.why_taken(&name);
                    let why_taken = why_taken.or(of_this_turn.map(|other| taken_by(&name, &other.name)));
                    if let Some(why) = why_taken {
                        context.effects.own(id, format_args!("! name-taken: {why}"));
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
                let record = self.credential_record(name, credential, context.now);
                context.effects.save(Save { session: id, name, records: vec![record], reason });
            }
        }
    }

    /// The record of a new password. An account keeps its spelling and the time of its registration.
    fn credential_record(&self, name: Name, credential: Credential, now: Now) -> UserRecord {
        match self.accounts.find(&name).map(|id| &self.accounts[id]) {
            Some(account) => {
                UserRecord::Credential { name: account.name, credential, registered: account.registered }
            }
            None => {
                let registered = Timestamp::from_micros(now.wall_us);
                UserRecord::Credential { name, credential, registered }
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
        let account_replay = self.accounts.replay(account);
        let session = self.session_mut(id);
        session.account = Some(account);
        session.older = newest;
        session.waiting = Waiting::ForAnswer;
        let replay = session.replay.or(account_replay).unwrap_or(rules_replay);
        effects.own(id, format_args!("* welcome {name}"));
        effects.push(Effect::Enter { session: id, replay, is_new });
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
