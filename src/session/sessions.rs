//! The sessions of an account: adding one, ending others, and which one yields if there are too many.

use std::cmp::Reverse;

use log::info;

use super::{Chat, Login, Names, Waiting};
use crate::clock::Now;
use crate::ids::{AccountId, SessionId};
use crate::limits::{LOGIN_GRACE_US, SECOND_US, SESSIONS_PER_ACCOUNT_MAX};
use crate::protocol::reply::{Error, Notice};
use crate::session::effects::{Effect, Effects};

impl Chat {
    /// Returns the newest session of an account, or `None` while it is offline.
    pub fn newest_session(&self, account: AccountId) -> Option<SessionId> {
        self.newest.get(&account).copied()
    }

    /// Returns the sessions of an account, the newest first.
    pub fn sessions_of(&self, account: AccountId) -> impl Iterator<Item = SessionId> {
        std::iter::successors(self.newest_session(account), |&id| self.session(id).older())
    }

    /// Logs a session in. If the account has too many sessions then, the one that has been silent longest ends, so that
    /// nobody who knows the password can lock the owner out.
    pub(super) fn enter(
        &mut self,
        id: SessionId,
        account: AccountId,
        is_new: bool,
        now: Now,
        effects: &mut Effects,
    ) {
        if self.names == Names::Unknown {
            effects.direct(id, Notice::LoginWaits);
            self.session_mut(id).waiting = Waiting::ForState(account, is_new);
            return self.unnamed.push(id);
        }
        let (name, peer) = (self.accounts()[account].name, self.session(id).peer);
        self.throttle.succeeded(peer.ip().into(), (account, &name), now.mono_us);
        let staying: Vec<SessionId> =
            self.sessions_of(account).filter(|&other| !self.is_ending(other)).collect();
        if staying.len() >= SESSIONS_PER_ACCOUNT_MAX as usize {
            let silence =
                |&(position, &other): &(usize, &SessionId)| (self.session(other).heard_s, Reverse(position));
            let silent = staying.iter().enumerate().min_by_key(silence).map(|(_, &other)| other);
            let error = Error::Replaced { name, limit: SESSIONS_PER_ACCOUNT_MAX.into() };
            silent
                .into_iter()
                .for_each(|other| self.end(other, error, "replaced by a newer session", now, effects));
        }
        info!("{peer}: {name} {}", if is_new { "registered" } else { "logged in" });
        let older = self.newest.insert(account, id);
        if older.is_none() {
            self.presence.joined(account, self.state.accounts());
        }
        let rules_replay = self.rules.replay;
        let account_replay = self.replays.get(&account).copied();
        let session = self.session_mut(id);
        let replay = session.replay().or(account_replay).unwrap_or(rules_replay);
        session.login = Login::Inside { account, older };
        session.heard_s = (now.mono_us / SECOND_US) as u32;
        session.waiting = Waiting::ForAnswer;
        effects.direct(id, Notice::Welcome { name });
        effects.direct(id, Notice::TalkingToEveryone);
        effects.push(Effect::Enter { session: id, replay, is_new });
    }

    /// Ends all other sessions of an account, after one of them has changed its password.
    pub(super) fn sign_out_others(
        &mut self,
        id: SessionId,
        account: AccountId,
        now: Now,
        effects: &mut Effects,
    ) {
        let others: Vec<SessionId> =
            self.sessions_of(account).filter(|&other| other != id && !self.is_ending(other)).collect();
        for other in others {
            self.end(other, Error::SignedOut, "the password was changed", now, effects);
        }
    }

    /// Tells a session that its login timeout has passed.
    pub fn login_timeout(&self, id: SessionId, effects: &mut Effects) {
        effects.direct(id, Error::LoginTimeout { seconds: LOGIN_GRACE_US / SECOND_US });
    }

    /// Ends a session after a last line.
    fn end(
        &mut self,
        id: SessionId,
        error: Error<'_>,
        reason: &'static str,
        now: Now,
        effects: &mut Effects,
    ) {
        if self.is_hashing(id) {
            self.abandon(id, now);
        }
        // A turn may take a change from the queue before it closes the session.
        self.moves.remove(id);
        self.session_mut(id).waiting = Waiting::ForEnd;
        effects.direct(id, error);
        effects.push(Effect::Close(id, reason));
    }

    pub(super) fn is_ending(&self, id: SessionId) -> bool {
        matches!(self.session(id).waiting, Waiting::ForEnd)
    }

    /// Removes a session from its account's list.
    pub(super) fn unlink(&mut self, id: SessionId, account: AccountId, older: Option<SessionId>) {
        if self.newest_session(account) == Some(id) {
            match older {
                Some(older) => self.newest.insert(account, older),
                None => self.newest.remove(&account),
            };
            return;
        }
        let newer = self.sessions_of(account).find(|&other| self.session(other).older() == Some(id));
        let newer = newer.expect("it is one of the account's");
        self.session_mut(newer).login = Login::Inside { account, older };
    }
}
