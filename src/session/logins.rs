//! The commands with a password: `/login`, `/register` and `/passwd`. Each becomes an [`Attempt`] in the hashing queue.

use log::warn;

use super::tokens::no_randomness;
use super::{Chat, Names, Waiting};
use crate::auth::attempt::{Attempt, Fresh};
use crate::auth::throttle::{Claim, TooMany};
use crate::clock::World;
use crate::ids::{AccountId, SessionId};
use crate::limits::{LOGIN_GRACE_US, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, SECOND_US};
use crate::protocol::command::{is_password, name_rule, password_rule, password_splits};
use crate::protocol::name::Name;
use crate::session::effects::{Context, Effects};
use crate::state::accounts::taken_by;

impl Chat {
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
            return effects.direct(id, format_args!("! bad-name: {}", name_rule()));
        };
        let has_code = self.has_code_for(id, &name);
        if name.looks_official() && !has_code {
            return effects.direct(id, format_args!("! bad-name: {name} could be mistaken for the server"));
        }
        if replaced || !is_password(password) {
            return bad_password(id, effects);
        }
        if has_code {
            return self.reset(id, name, password, context);
        }
        let claim = self.claim(id, None);
        if self.is_delayed_for_long(id, &claim, context) {
            return;
        }
        let is_due = self.throttle.not_before_us(&claim) <= context.now.mono_us;
        if is_due && let Err(refusal) = self.check_registration(&claim, &name, context) {
            return context.effects.direct(id, format_args!("{refusal}"));
        }
        if self.names == Names::TooMany {
            return registration_closed(id, context.effects);
        }
        match Attempt::register(name, password, self.fresh(context.world)) {
            Some(attempt) if self.names == Names::Unknown => {
                let words = "* the server is still reading its history; your registration follows";
                context.effects.direct(id, format_args!("{words}"));
                self.session_mut(id).waiting = Waiting::ForNames(Box::new(attempt));
                self.unnamed.push(id);
            }
            Some(attempt) => self.begin(id, attempt, claim, context),
            None => no_randomness(id, context.effects),
        }
    }

    /// Sets a new password with a code. The limits on registrations do not apply.
    fn reset(&mut self, id: SessionId, name: Name, password: &str, context: &mut Context<'_>) {
        match Attempt::reset(name, password, self.fresh(context.world)) {
            Some(attempt) => {
                let claim = Claim { is_inside: true, ..self.claim(id, None) };
                self.begin(id, attempt, claim, context);
            }
            None => no_randomness(id, context.effects),
        }
    }

    /// Notes that the history has been read. Either every name in it without an account is reserved, or there are too
    /// many of them. Waiting registrations continue.
    pub fn names_known(&mut self, are_reserved: bool, context: &mut Context<'_>) {
        self.names = if are_reserved { Names::Known } else { Names::TooMany };
        for id in std::mem::take(&mut self.unnamed) {
            let waiting = std::mem::replace(&mut self.session_mut(id).waiting, Waiting::ForAnswer);
            let Waiting::ForNames(attempt) = waiting else { unreachable!("it waits with its attempt") };
            let claim = self.claim(id, None);
            if let Err(refusal) = self.check_registration(&claim, attempt.name(), context) {
                context.effects.direct(id, format_args!("{refusal}"));
                self.resume(id, context.effects);
            } else if !are_reserved {
                registration_closed(id, context.effects);
                self.resume(id, context.effects);
            } else {
                self.begin(id, *attempt, claim, context);
            }
        }
    }

    /// Notes that the history is empty, so that no name needs to be reserved.
    pub fn history_is_empty(&mut self) {
        self.names = Names::Known;
    }

    /// Checks that an account of this name may be created now. A taken name counts as a failure: otherwise probing for
    /// names would be free.
    pub(super) fn check_registration(
        &mut self,
        claim: &Claim,
        name: &Name,
        context: &Context<'_>,
    ) -> Result<(), String> {
        if !self.rules.is_registration_open {
            return Err("! registration-closed: this server does not accept new accounts".into());
        }
        if self.accounts.len() >= self.rules.accounts_max {
            let most = self.rules.accounts_max;
            return Err(format!("! too-many-accounts: this server has reached its limit of {most} accounts"));
        }
        if let Err(too_many) = self.throttle.may_register(claim.origin, context.now.mono_us) {
            let words = match too_many {
                TooMany::OfAddress => "from your address",
                TooMany::OfHour => "on this server",
            };
            return Err(format!(
                "! too-many-accounts: too many were registered {words} within the last hour; try again later"
            ));
        }
        let of_this_turn = context.effects.saves().iter().find(|it| it.name.looks_like(name));
        let of_this_turn = of_this_turn.map(|other| taken_by(name, &other.name));
        if let Some(why) = self.accounts.why_taken(name).or(of_this_turn) {
            self.throttle.failed(claim, 1, context.now.mono_us);
            return Err(format!("! name-taken: {why}"));
        }
        Ok(())
    }

    pub(super) fn login(&mut self, id: SessionId, name: &str, password: &str, context: &mut Context<'_>) {
        let Some(name) = Name::parse(name.as_bytes()) else {
            return context.effects.direct(id, format_args!("{BAD_LOGIN}"));
        };
        let account = self.accounts.find(&name);
        let account = account.and_then(|account| Some((account, self.accounts[account].credential()?)));
        let attempt = Attempt::login(name, account, password, self.fresh(context.world));
        let claim = self.claim(id, Some(name));
        if !self.is_delayed_for_long(id, &claim, context) {
            self.begin(id, attempt, claim, context);
        }
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
            return context.effects.direct(
                id,
                format_args!(
                    "! bad-password: OLD and NEW must have {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes each and \
                     no control characters"
                ),
            );
        }
        let name = self.accounts[account].name;
        let credential =
            self.accounts[account].credential().expect("the account of a session has a password");
        let claim = self.claim(id, Some(name));
        if self.is_delayed_for_long(id, &claim, context) {
            return;
        }
        match Attempt::change(name, credential, passwords, self.fresh(context.world)) {
            Some(attempt) => self.begin(id, attempt, claim, context),
            None => no_randomness(id, context.effects),
        }
    }

    /// Queues an attempt, and tells the session if it has to wait after failed logins.
    fn begin(&mut self, id: SessionId, attempt: Attempt, claim: Claim, context: &mut Context<'_>) {
        let now_us = context.now.mono_us;
        self.session_mut(id).waiting = Waiting::ForHash(Box::new(attempt));
        if let Some(refused) = self.hashing.push(id, claim, &self.throttle, now_us) {
            self.refuse_busy(refused, context);
            if refused == id {
                return;
            }
        }
        let wait_us = self.hashing.expected_us(id, &self.throttle, now_us).saturating_sub(now_us);
        if wait_us > 0 {
            let seconds = wait_us.div_ceil(SECOND_US);
            context.effects.direct(
                id,
                format_args!("* after failed logins, this attempt will be checked in {seconds} s"),
            );
        }
    }

    /// Refuses an attempt whose address must wait longer than the login timeout. Returns whether it did.
    pub(super) fn is_delayed_for_long(
        &mut self,
        id: SessionId,
        claim: &Claim,
        context: &mut Context<'_>,
    ) -> bool {
        let delay_us = self.throttle.address_not_before_us(claim).saturating_sub(context.now.mono_us);
        if delay_us <= LOGIN_GRACE_US {
            return false;
        }
        let minutes = delay_us.div_ceil(60 * SECOND_US);
        warn!("{}: refused for {minutes} min after failed logins", self.session(id).peer);
        context.effects.direct(
            id,
            format_args!(
                "! too-many-failures: too many failed logins from your address; try again in {minutes} min"
            ),
        );
        true
    }

    pub(super) fn claim(&self, id: SessionId, account: Option<Name>) -> Claim {
        let session = self.session(id);
        let known = account.and_then(|name| self.accounts.find(&name));
        Claim { origin: session.peer.ip().into(), account, known, is_inside: session.account().is_some() }
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

pub(super) const BAD_LOGIN: &str = "! bad-login: wrong name or password";

fn registration_closed(id: SessionId, effects: &mut Effects) {
    let words = "! registration-closed: the history has more names than the server can reserve";
    effects.direct(id, format_args!("{words}"));
}

fn bad_password(id: SessionId, effects: &mut Effects) {
    effects.direct(id, format_args!("! bad-password: {}", password_rule()));
}
