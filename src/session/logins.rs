//! The commands with a password: `/login`, `/register` and `/passwd`. Each becomes an [`Attempt`] in the hashing queue.

use log::warn;

use super::{Chat, Names, Waiting};
use crate::auth::attempt::{Attempt, Fresh};
use crate::auth::throttle::{Claim, TooMany};
use crate::clock::World;
use crate::ids::{AccountId, SessionId};
use crate::limits::{LOGIN_GRACE_US, SECOND_US};
use crate::protocol::command::{is_password, password_splits};
use crate::protocol::name::Name;
use crate::protocol::reply::{Error, Notice};
use crate::session::effects::Context;

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
            return effects.direct(id, Error::BAD_NAME);
        };
        let has_code = self.has_code_for(id, &name);
        if name.looks_official() && !has_code {
            return effects.direct(id, Error::OfficialName { name });
        }
        if replaced || !is_password(password) {
            return effects.direct(id, Error::BAD_PASSWORD);
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
            return context.effects.direct(id, refusal);
        }
        if self.names == Names::TooMany {
            return context.effects.direct(id, Error::TooManyNames);
        }
        match Attempt::register(name, password, self.fresh(context.world)) {
            Some(attempt) if self.names == Names::Unknown => {
                context.effects.direct(id, Notice::RegistrationDelayed);
                self.session_mut(id).waiting = Waiting::ForNames(Box::new(attempt));
                self.unnamed.push(id);
            }
            Some(attempt) => self.begin(id, attempt, claim, context),
            None => context.effects.direct(id, Error::NoRandomness),
        }
    }

    /// Sets a new password with a code. The limits on registrations do not apply.
    fn reset(&mut self, id: SessionId, name: Name, password: &str, context: &mut Context<'_>) {
        match Attempt::reset(name, password, self.fresh(context.world)) {
            Some(attempt) => {
                let claim = Claim { is_inside: true, ..self.claim(id, None) };
                self.begin(id, attempt, claim, context);
            }
            None => context.effects.direct(id, Error::NoRandomness),
        }
    }

    /// Notes that the history has been read. Either every name in it without an account is reserved, or there are too
    /// many of them. Waiting registrations continue.
    pub fn names_known(&mut self, context: &mut Context<'_>) {
        let are_reserved = !self.state.has_lost_names();
        self.names = if are_reserved { Names::Known } else { Names::TooMany };
        for id in std::mem::take(&mut self.unnamed) {
            let waiting = std::mem::replace(&mut self.session_mut(id).waiting, Waiting::ForAnswer);
            let attempt = match waiting {
                Waiting::ForNames(attempt) => attempt,
                Waiting::ForState(account, is_new) => {
                    self.enter(id, account, is_new, context.now, context.effects);
                    continue;
                }
                _ => unreachable!("it waits with its attempt or for its login"),
            };
            let claim = self.claim(id, None);
            if let Err(refusal) = self.check_registration(&claim, attempt.name(), context) {
                context.effects.direct(id, refusal);
                self.resume(id, context.effects);
            } else if !are_reserved {
                context.effects.direct(id, Error::TooManyNames);
                self.resume(id, context.effects);
            } else {
                self.begin(id, *attempt, claim, context);
            }
        }
    }

    /// Notes before the first turn that every name in the history has an account or is reserved.
    pub fn names_known_at_start(&mut self) {
        self.names = Names::Known;
    }

    /// Whether every name in the history has an account or is reserved.
    pub fn knows_names(&self) -> bool {
        self.names == Names::Known
    }

    /// Checks that an account of this name may be created now. A taken name counts as a failure: otherwise probing for
    /// names would be free.
    pub(super) fn check_registration(
        &mut self,
        claim: &Claim,
        name: &Name,
        context: &Context<'_>,
    ) -> Result<(), Error<'static>> {
        if !self.rules.is_registration_open {
            return Err(Error::RegistrationClosed);
        }
        if self.accounts().len() >= self.rules.accounts_max {
            return Err(Error::AccountsFull { limit: self.rules.accounts_max as u64 });
        }
        if let Err(too_many) = self.throttle.may_register(claim.origin, context.now.mono_us) {
            return Err(match too_many {
                TooMany::OfAddress => Error::RegisteredFromAddress,
                TooMany::OfHour => Error::RegisteredOnServer,
            });
        }
        self.state.admit_name(name).map_err(|refusal| {
            self.throttle.failed(claim, 1, context.now.mono_us);
            refusal.to_error()
        })
    }

    pub(super) fn login(&mut self, id: SessionId, name: &str, password: &str, context: &mut Context<'_>) {
        let Some(name) = Name::parse(name.as_bytes()) else {
            return context.effects.direct(id, Error::BadLogin);
        };
        let account = self.accounts().find(&name);
        let account = account.and_then(|account| Some((account, self.accounts()[account].credential()?)));
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
            return context.effects.direct(id, Error::BAD_PASSWORDS);
        }
        let name = self.accounts()[account].name;
        let credential =
            self.accounts()[account].credential().expect("the account of a session has a password");
        let claim = self.claim(id, Some(name));
        if self.is_delayed_for_long(id, &claim, context) {
            return;
        }
        match Attempt::change(name, credential, passwords, self.fresh(context.world)) {
            Some(attempt) => self.begin(id, attempt, claim, context),
            None => context.effects.direct(id, Error::NoRandomness),
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
            context.effects.direct(id, Notice::LoginDelayed { seconds });
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
        context.effects.direct(id, Error::TooManyFailures { minutes });
        true
    }

    pub(super) fn claim(&self, id: SessionId, account: Option<Name>) -> Claim {
        let session = self.session(id);
        let known = account.and_then(|name| self.accounts().find(&name));
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
