//! Login tokens, and one-time codes for choosing a new password.

use log::{info, warn};

use super::Chat;
use crate::auth::attempt::{SaveReason, Secret};
use crate::auth::credential::{SecretHash, secret_hash};
use crate::ids::{AccountId, SessionId};
use crate::limits::{CODE_US, Micros, TOKEN_US, TOKEN_WINDOW_US};
use crate::protocol::name::Name;
use crate::protocol::record::Timestamp;
use crate::protocol::reply::{Error, Notice};
use crate::session::effects::{Context, Save};
use crate::state::accounts::TOKENS_PER_ACCOUNT_MAX;
use crate::state::users::UserRecord;

/// A code that a session gave and that was valid at that time.
#[derive(Clone, Copy)]
pub(super) struct AcceptedCode {
    pub account: AccountId,
    hash: SecretHash,
}

impl Chat {
    /// Issues a token. The session receives it once it is stored.
    pub(super) fn token(&mut self, id: SessionId, account: AccountId, context: &mut Context<'_>) {
        let issued = context.batch.time(context.now.wall_us);
        if !self.accounts.may_issue_token(account, before(issued, TOKEN_WINDOW_US)) {
            let limit = TOKENS_PER_ACCOUNT_MAX as u64;
            return context.effects.direct(id, Error::TooManyTokens { limit });
        }
        let mut bytes = [0; 16];
        if let Err(error) = context.world.random(&mut bytes) {
            warn!("no randomness for a token: {error}");
            return context.effects.direct(id, Error::NoRandomness);
        }
        let secret = Secret(bytes);
        let name = self.accounts[account].name;
        let records = vec![UserRecord::Token { name, hash: secret_hash(&secret.to_string()), issued }];
        self.wait_for_save(id);
        context.effects.save(Save { session: id, name, records, reason: SaveReason::Token(secret) });
    }

    /// Logs in with a token, which costs one hash and does not wait in the hashing queue.
    pub(super) fn resume_session(
        &mut self,
        id: SessionId,
        name: &str,
        token: &str,
        context: &mut Context<'_>,
    ) {
        let now = context.batch.time(context.now.wall_us);
        let account = Name::parse(name.as_bytes()).and_then(|name| self.accounts.find(&name));
        let issued = account.and_then(|account| self.accounts.token(account, &secret_hash(token)));
        match account.filter(|_| issued.is_some_and(|issued| is_valid(issued, TOKEN_US, now))) {
            Some(account) => self.enter(id, account, false, context.now, context.effects),
            None => {
                warn!("{}: wrong token for {}", self.session(id).peer, name.escape_default());
                self.fail_address(id, context);
                context.effects.direct(id, Error::BadToken);
            }
        }
    }

    /// Accepts a code for choosing a new password.
    pub(super) fn code(&mut self, id: SessionId, code: &str, context: &mut Context<'_>) {
        let hash = secret_hash(code);
        let Some(account) = self.account_of_code(&hash, context) else {
            warn!("{}: wrong code", self.session(id).peer);
            self.fail_address(id, context);
            return context.effects.direct(id, Error::BadCode);
        };
        self.accepted_codes.insert(id, AcceptedCode { account, hash });
        let name = self.accounts[account].name;
        info!("{}: a code for {name} was accepted", self.session(id).peer);
        context.effects.direct(id, Notice::CodeAccepted { name });
    }

    /// Whether a code for this name was accepted from the session.
    pub(super) fn has_code_for(&self, id: SessionId, name: &Name) -> bool {
        self.accepted_codes.get(&id).is_some_and(|code| self.accounts[code.account].name == *name)
    }

    /// Takes the code that was accepted from a session. Returns whether it is still valid.
    pub(super) fn take_code(&mut self, id: SessionId, context: &Context<'_>) -> bool {
        let Some(code) = self.accepted_codes.remove(&id) else { return false };
        let name = self.accounts[code.account].name;
        let is_being_used = context.effects.saves().iter().any(|save| save.changes(&name));
        self.account_of_code(&code.hash, context) == Some(code.account) && !is_being_used
    }

    fn account_of_code(&self, hash: &SecretHash, context: &Context<'_>) -> Option<AccountId> {
        let now = context.batch.time(context.now.wall_us);
        let (account, issued) = self.accounts.code(hash)?;
        is_valid(issued, CODE_US, now).then_some(account)
    }

    /// Counts a wrong token or code against the session's address.
    fn fail_address(&mut self, id: SessionId, context: &Context<'_>) {
        let claim = self.claim(id, None);
        self.throttle.failed(&claim, 1, context.now.mono_us);
    }
}

fn is_valid(issued: Timestamp, duration_us: Micros, now: Timestamp) -> bool {
    now.micros() < issued.micros().saturating_add(duration_us)
}

fn before(time: Timestamp, us: Micros) -> Timestamp {
    Timestamp::from_micros(time.micros().saturating_sub(us))
}
