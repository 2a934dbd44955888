//! Login tokens, and one-time codes for choosing a new password.

use log::{info, warn};

use super::{Chat, Waiting};
use crate::auth::attempt::{SaveReason, Secret};
use crate::auth::credential::{SecretHash, secret_hash};
use crate::ids::{AccountId, SessionId};
use crate::protocol::name::Name;
use crate::protocol::reply::{Error, Notice};
use crate::session::effects::{Context, Save};
use crate::state::durable::TOKENS_PER_ACCOUNT_MAX;
use crate::state::event::Refusal;
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
        if context.effects.is_staged(&self.accounts()[account].name) {
            self.session_mut(id).waiting = Waiting::ForTurn;
            return self.postponed.push(id);
        }
        self.session_mut(id).waiting = Waiting::ForAnswer;
        if let Err(error) = self.stage_token(id, account, context) {
            context.effects.direct(id, error);
            self.resume(id, context.effects);
        }
    }

    /// Handles the lines that waited for the events of the last turn.
    pub(super) fn handle_postponed(&mut self, context: &mut Context<'_>) {
        for id in std::mem::take(&mut self.postponed) {
            if matches!(self.session(id).waiting, Waiting::ForTurn)
                && let Some(account) = self.session(id).account()
            {
                self.token(id, account, context);
            }
        }
    }

    fn stage_token(
        &mut self,
        id: SessionId,
        account: AccountId,
        context: &mut Context<'_>,
    ) -> Result<(), Error<'static>> {
        let issued = context.batch.time(context.now.wall_us);
        if !self.state.may_issue_token(account, issued) {
            return Err(Error::TooManyTokens { limit: TOKENS_PER_ACCOUNT_MAX as u64 });
        }
        let mut bytes = [0; 16];
        if let Err(error) = context.world.random(&mut bytes) {
            warn!("no randomness for a token: {error}");
            return Err(Error::NoRandomness);
        }
        let secret = Secret(bytes);
        let name = self.accounts()[account].name;
        let records = vec![UserRecord::Token { name, hash: secret_hash(&secret.to_string()), issued }];
        let save = Save { session: id, name, records, reason: SaveReason::Token(secret) };
        context.effects.stage(save, &self.state, issued).map_err(Refusal::to_error)
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
        let account = Name::parse(name.as_bytes()).and_then(|name| self.accounts().find(&name));
        match account.filter(|&account| self.state.has_token(account, &secret_hash(token), now)) {
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
        let now = context.batch.time(context.now.wall_us);
        let Some(account) = self.state.account_of_code(&hash, now) else {
            warn!("{}: wrong code", self.session(id).peer);
            self.fail_address(id, context);
            return context.effects.direct(id, Error::BadCode);
        };
        self.accepted_codes.insert(id, AcceptedCode { account, hash });
        let name = self.accounts()[account].name;
        info!("{}: a code for {name} was accepted", self.session(id).peer);
        context.effects.direct(id, Notice::CodeAccepted { name });
    }

    /// Whether a code for this name was accepted from the session.
    pub(super) fn has_code_for(&self, id: SessionId, name: &Name) -> bool {
        self.accepted_codes.get(&id).is_some_and(|code| self.accounts()[code.account].name == *name)
    }

    /// Takes the code that was accepted from a session. Returns whether it is still valid.
    pub(super) fn take_code(&mut self, id: SessionId, context: &Context<'_>) -> bool {
        let Some(code) = self.accepted_codes.remove(&id) else { return false };
        let now = context.batch.time(context.now.wall_us);
        self.state.account_of_code(&code.hash, now) == Some(code.account)
    }

    /// Counts a wrong token or code against the session's address.
    fn fail_address(&mut self, id: SessionId, context: &Context<'_>) {
        let claim = self.claim(id, None);
        self.throttle.failed(&claim, 1, context.now.mono_us);
    }
}
