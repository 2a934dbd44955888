//! Attempts in the hashing queue: their derivations and verdicts, and what follows once the records are stored.

use log::{info, warn};

use super::{Chat, Waiting};
use crate::auth::attempt::{SaveReason, Verdict};
use crate::auth::credential::Credential;
use crate::auth::throttle::Claim;
use crate::clock::Now;
use crate::ids::SessionId;
use crate::limits::{LOGIN_GRACE_US, WORK_ROUNDS_PER_TURN_MAX, WORK_SLICE_US, WORK_STEP_ROUNDS};
use crate::protocol::name::Name;
use crate::protocol::record::Timestamp;
use crate::protocol::reply::{Error, Notice};
use crate::session::effects::{Context, Effects, Save};
use crate::state::event::{Event, Refusal};
use crate::state::users::UserRecord;
use crate::state::users_file::RecordsSaved;

impl Chat {
    /// Whether a session waits for its password to be hashed.
    pub fn is_hashing(&self, id: SessionId) -> bool {
        self.is_open(id) && matches!(self.session(id).waiting, Waiting::ForHash(_) | Waiting::ForNames(_))
    }

    /// Whether [`Chat::work`] is in the middle of a derivation.
    pub fn has_work(&self) -> bool {
        self.hashing.current().is_some()
    }

    /// Returns how many sessions wait for their password to be hashed.
    pub fn logins_waiting(&self) -> usize {
        self.hashing.len()
    }

    /// Handles lines that waited for this turn, and hashes passwords for a bounded time.
    pub fn work(&mut self, context: &mut Context<'_>) {
        self.handle_postponed(context);
        if self.hashing.is_empty() {
            return;
        }
        self.refuse_delayed(context);
        let started_us = context.world.now().mono_us;
        for _ in 0..WORK_ROUNDS_PER_TURN_MAX / WORK_STEP_ROUNDS {
            let Some(id) = self.next_to_hash(context) else { break };
            let Waiting::ForHash(attempt) = &mut self.session_mut(id).waiting else {
                unreachable!("sessions in the queue have an attempt");
            };
            let verdict = attempt.step(WORK_STEP_ROUNDS);
            if verdict.is_some() && context.effects.is_staged(attempt.name()) {
                // Judged in the next turn, by what becomes of the name in this one.
                attempt.postpone(verdict);
                break;
            }
            self.quantum_rounds = self.quantum_rounds.saturating_add(WORK_STEP_ROUNDS);
            match verdict {
                None if self.quantum_rounds < self.rules.kdf_rounds => {}
                // Its next derivation, or the rest of one with more rounds than new passwords have, waits for its
                // next quantum.
                None | Some(Verdict::Again) => self.hashing.turn_over(),
                Some(verdict) => self.judge(id, verdict, context),
            }
            if context.world.now().mono_us.saturating_sub(started_us) >= WORK_SLICE_US {
                break;
            }
        }
    }

    /// Refuses queued attempts whose address has failed meanwhile and must now wait for too long.
    fn refuse_delayed(&mut self, context: &mut Context<'_>) {
        let until_us = context.now.mono_us + LOGIN_GRACE_US;
        while let Some((id, claim)) = self.hashing.remove_delayed(&self.throttle, until_us) {
            self.is_delayed_for_long(id, &claim, context);
            self.resume(id, context.effects);
        }
    }

    /// Returns the session whose attempt is being served, and selects one if there is none.
    fn next_to_hash(&mut self, context: &mut Context<'_>) -> Option<SessionId> {
        let now_us = context.now.mono_us;
        while self.hashing.current().is_none() {
            let (id, claim, begins) = self.hashing.select(&self.throttle, now_us)?;
            self.quantum_rounds = 0;
            if begins {
                self.throttle.begun(&claim, now_us);
                self.start(id, &claim, context);
            }
        }
        self.hashing.current()
    }

    /// Checks a registration again before it costs a derivation.
    fn start(&mut self, id: SessionId, claim: &Claim, context: &mut Context<'_>) {
        let Waiting::ForHash(attempt) = &self.session(id).waiting else { return };
        let name = *attempt.name();
        if attempt.is_registration()
            && let Err(refusal) = self.check_registration(claim, &name, context)
        {
            self.hashing.remove(id);
            context.effects.direct(id, refusal);
            self.resume(id, context.effects);
        }
    }

    /// Tells a session that there is no room for its attempt.
    pub(super) fn refuse_busy(&mut self, id: SessionId, context: &mut Context<'_>) {
        let claim = self.claim_of_attempt(id);
        self.throttle.refused(&claim, context.now.mono_us);
        context.effects.direct(id, Error::Busy);
        self.resume(id, context.effects);
    }

    /// Removes the attempt of a session that is about to end from the queue. If its derivation had begun, it counts as
    /// a failure: otherwise a client could guess for free by disconnecting before the answer.
    pub(super) fn abandon(&mut self, id: SessionId, now: Now) {
        if let Some(claim) = self.hashing.remove(id) {
            self.throttle.failed(&claim, 1, now.mono_us);
        }
    }

    fn judge(&mut self, id: SessionId, verdict: Verdict, context: &mut Context<'_>) {
        let claim = self.claim_of_attempt(id);
        let Waiting::ForHash(mut attempt) =
            std::mem::replace(&mut self.session_mut(id).waiting, Waiting::ForAnswer)
        else {
            unreachable!("only attempts are judged");
        };
        let name = *attempt.name();
        let mut verdict = verdict;
        // Another session may have changed the password since this attempt began.
        if let Some(account) = self.accounts().find(&name).filter(|_| attempt.checked().is_some()) {
            let standing = self.accounts()[account].credential();
            if attempt.checked() != standing.as_ref() {
                if standing.is_some_and(|standing| attempt.check_again(account, standing)) {
                    self.session_mut(id).waiting = Waiting::ForHash(attempt);
                    return self.hashing.turn_over();
                }
                verdict = Verdict::Wrong;
            }
        }
        self.hashing.remove(id);
        match verdict {
            Verdict::Again => unreachable!("an attempt that goes on is not judged"),
            Verdict::Wrong => self.wrong(id, &claim, &name, attempt.failures(), context),
            Verdict::Right(account) => self.enter(id, account, false, context.now, context.effects),
            Verdict::Store(credential, reason) => {
                if let Err(error) = self.store(id, &claim, name, credential, reason, context) {
                    context.effects.direct(id, error);
                    self.resume(id, context.effects);
                }
            }
        }
    }

    /// Stages what an attempt stores.
    fn store(
        &mut self,
        id: SessionId,
        claim: &Claim,
        name: Name,
        credential: Credential,
        reason: SaveReason,
        context: &mut Context<'_>,
    ) -> Result<(), Error<'static>> {
        if reason == SaveReason::Registered {
            // Another session may have registered the name while this password was hashed.
            self.check_registration(claim, &name, context)?;
        }
        if reason == SaveReason::Reset && !self.take_code(id, context) {
            return Err(Error::BadCode);
        }
        let at = context.batch.time(context.now.wall_us);
        let mut records = vec![self.credential_record(name, credential, at)];
        if matches!(reason, SaveReason::PasswordChanged | SaveReason::Reset) {
            // First, so that it revokes what was issued before and nothing that follows.
            records.insert(0, UserRecord::Revoked { name: *records[0].name(), at });
        }
        let save = Save { session: id, name, records, reason };
        context.effects.stage(save, &self.state, at).map_err(Refusal::to_error)?;
        if reason == SaveReason::Registered {
            self.throttle.registered(claim.origin, context.now.mono_us);
        }
        Ok(())
    }

    /// The record of a new password. An account keeps its spelling and the time of its registration.
    fn credential_record(&self, name: Name, credential: Credential, now: Timestamp) -> UserRecord {
        let account = self.accounts().find(&name).map(|id| &self.accounts()[id]);
        let (name, registered) = account.map_or((name, now), |it| (it.name, it.registered));
        UserRecord::Credential { name, credential, registered }
    }

    fn wrong(&mut self, id: SessionId, claim: &Claim, name: &Name, failures: u32, context: &mut Context<'_>) {
        warn!("{}: wrong name or password for {name}", self.session(id).peer);
        self.throttle.failed(claim, failures, context.now.mono_us);
        let error = if claim.is_inside { Error::WrongPassword } else { Error::BadLogin };
        context.effects.direct(id, error);
        self.resume(id, context.effects);
        while let Some(refused) = self.hashing.trim(name, &self.throttle, context.now.mono_us) {
            self.refuse_busy(refused, context);
        }
    }

    /// Continues after an account's records were stored or refused. The session is told nothing before.
    pub fn saved(
        &mut self,
        save: &Save,
        outcome: Result<RecordsSaved, Error<'_>>,
        now: Now,
        effects: &mut Effects,
    ) {
        let id = save.session;
        let (name, is_new) = (save.name, save.reason == SaveReason::Registered);
        if outcome.is_ok() {
            save.records.iter().for_each(|record| self.state.apply(&Event::Account(*record)));
        }
        let account = self.accounts().find(&name);
        if matches!(save.reason, SaveReason::PasswordChanged | SaveReason::Reset)
            && outcome.is_ok()
            && let Some(account) = account
        {
            self.sign_out_others(id, account, now, effects);
        }
        if !self.is_open(id) || self.is_ending(id) {
            return;
        }
        let peer = self.session(id).peer;
        if is_new && outcome.is_err() {
            self.throttle.not_registered(peer.ip().into());
        }
        match (outcome, save.reason, account) {
            (Ok(_), SaveReason::PasswordChanged, Some(account)) => {
                info!("{peer}: {name} changed the password");
                self.throttle.succeeded(peer.ip().into(), (account, &name), now.mono_us);
                self.throttle.password_changed(peer.ip().into(), (account, &name), now.mono_us);
                effects.direct(id, Notice::PasswordChanged);
            }
            (Ok(_), SaveReason::Token(secret), _) => {
                effects.direct(id, Notice::Token { token: &secret.to_string() });
            }
            (Ok(_), SaveReason::Reset, Some(account)) => {
                info!("{peer}: {name} has a new password by a code");
                self.enter(id, account, false, now, effects);
                return self.throttle.password_changed(peer.ip().into(), (account, &name), now.mono_us);
            }
            (Ok(_), SaveReason::Registered | SaveReason::Upgraded, Some(account))
            | (Err(_), SaveReason::Upgraded, Some(account)) => {
                return self.enter(id, account, is_new, now, effects);
            }
            (Err(refusal), ..) => effects.direct(id, refusal),
            (Ok(_), _, None) => unreachable!("the account was set above"),
        }
        self.resume(id, effects);
    }

    fn claim_of_attempt(&self, id: SessionId) -> Claim {
        let (Waiting::ForHash(attempt) | Waiting::ForNames(attempt)) = &self.session(id).waiting else {
            unreachable!("only sessions with an attempt are asked for");
        };
        let account = Some(*attempt.name()).filter(|_| !attempt.chooses_password());
        self.claim(id, account)
    }
}
