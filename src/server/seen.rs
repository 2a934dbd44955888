//! How far each account has come: what of the log was handed to any of its sessions.

use super::Server;
use crate::accounts::AccountId;
use crate::limits::{SEEN_PAUSE_US, SEEN_PER_SAVE_MAX};
use crate::net::Net;
use crate::reactor::Connection;
use crate::storage::Storage;

impl<N: Net, S: Storage> Server<N, S> {
    /// Saves how far the sessions of an account have come.
    pub(super) fn save_seen(&mut self, account: AccountId) {
        if self.note_seen(account) {
            self.seen.append(&self.chat.accounts, std::iter::once(account));
        }
    }

    /// Takes note of how far the sessions of an account have come. Whether that was news.
    fn note_seen(&mut self, account: AccountId) -> bool {
        let mut handed = None;
        for id in self.chat.sessions_of(account) {
            // What others say in private is behind who hears nothing of it, and nobody visits him to say so.
            let handed_now =
                |it: &mut Connection<_>| if it.is_up_to_date() { self.flushed_last } else { it.handed };
            handed = handed.max(self.reactor.connection(id).map(handed_now));
        }
        let seen = &mut self.chat.accounts[account].seen;
        let news = handed.filter(|handed| handed > seen);
        *seen = news.unwrap_or(*seen);
        news.is_some()
    }

    /// Saves from time to time how far those online have come, a bounded number of them.
    pub(super) fn keep_seen(&mut self) {
        if self.seen_due_us.is_none_or(|due_us| due_us > self.now.mono_us) {
            return;
        }
        let ids: Vec<_> = self.reactor.ids().filter(|&id| id as usize >= self.seen_next).collect();
        let mut news = Vec::new();
        self.seen_next = 0;
        self.seen_due_us = None;
        for id in ids {
            if news.len() >= SEEN_PER_SAVE_MAX {
                self.seen_next = id as usize;
                self.seen_due_us = Some(self.now.mono_us + SEEN_PAUSE_US);
                break;
            }
            news.extend(self.chat.account_of(id).filter(|&account| self.note_seen(account)));
        }
        self.seen.append(&self.chat.accounts, news.into_iter());
        self.seen.compact(&mut self.storage, &self.chat.accounts);
    }
}
