//! Messages: to everyone, to a room and to a person.

use super::{Chat, parse_target};
use crate::clock::Now;
use crate::ids::{AccountId, SessionId};
use crate::limits::LINE_BYTES_MAX;
use crate::log::journal::Staged;
use crate::protocol::name::Name;
use crate::protocol::record::{self, Target, Timestamp};
use crate::protocol::reply::Error;
use crate::session::effects::{Context, Effect};
use crate::session::quota::OverQuota;
use crate::state::accounts::Account;
use crate::state::event::Event;

impl Chat {
    pub(super) fn say(&mut self, id: SessionId, account: AccountId, text: &str, context: &mut Context<'_>) {
        let target = self.session(id).target();
        self.say_to(id, account, target, text, context);
    }

    fn say_to(
        &mut self,
        id: SessionId,
        account: AccountId,
        target: Target,
        text: &str,
        context: &mut Context<'_>,
    ) {
        match target {
            Target::Everyone => {
                if let Some(staged) = self.stage(id, account, &target, text, context) {
                    context.effects.push(Effect::Say(id, staged));
                }
            }
            Target::Room(room) => {
                if let Some(staged) = self.stage(id, account, &target, text, context) {
                    context.effects.push(Effect::SayInRoom(id, room, staged));
                }
            }
            Target::Person(name) => self.say_to_person(id, account, name, text, context),
        }
    }

    pub(super) fn whisper(
        &mut self,
        id: SessionId,
        account: AccountId,
        to: &str,
        text: &str,
        context: &mut Context<'_>,
    ) {
        match parse_target(to) {
            Ok(target) => self.say_to(id, account, target, text, context),
            Err(error) => context.effects.direct(id, error),
        }
    }

    fn say_to_person(
        &mut self,
        id: SessionId,
        account: AccountId,
        name: Name,
        text: &str,
        context: &mut Context<'_>,
    ) {
        let Some(to) = self.accounts().find(&name) else {
            return context.effects.direct(id, Error::NoSuchUser { name });
        };
        let offline = self.newest_session(to).is_none();
        let recipient = self.accounts()[to].name;
        if let Some(line) = self.stage(id, account, &Target::Person(recipient), text, context) {
            context.effects.push(Effect::Whisper { from: id, author: account, to, offline, line });
        }
    }

    /// Stages a message in the batch, unless its line is too long or exceeds the author's quota.
    fn stage(
        &mut self,
        id: SessionId,
        account: AccountId,
        to: &Target,
        text: &str,
        context: &mut Context<'_>,
    ) -> Option<Staged> {
        let Account { name, registered, .. } = self.state.accounts()[account];
        let event = Event::Message { from: name, to: *to };
        if let Err(refusal) = self.state.admit(&event, context.batch.time(context.now.wall_us)) {
            context.effects.direct(id, refusal.to_error());
            return None;
        }
        let length = record::line_length(&name, to, text);
        if let Some(over) = length.checked_sub(LINE_BYTES_MAX).filter(|&over| over > 0) {
            context.effects.direct(id, Error::MessageTooLong { over: over as u64 });
            return None;
        }
        if let Err(error) = self.charge(account, registered, length, context.now) {
            context.effects.direct(id, error);
            return None;
        }
        let staged = context.batch.stage(context.now.wall_us, &name, to, text);
        if staged.is_none() {
            context.effects.direct(id, Error::TimeIsUp);
        }
        staged
    }

    /// Charges an account for a line of the log.
    pub(super) fn charge(
        &mut self,
        account: AccountId,
        registered: Timestamp,
        bytes: usize,
        now: Now,
    ) -> Result<(), Error<'static>> {
        let charged = self.quotas.charge(account, registered, bytes, self.rules.bytes, now);
        charged.map_err(|OverQuota { left, limit, resumes_us }| Error::OverQuota {
            left,
            limit,
            until: Timestamp::from_micros(resumes_us),
        })
    }
}
