//! The addresses from which each account was logged in to.

use std::collections::HashMap;

use super::Origin;
use crate::ids::AccountId;
use crate::limits::FAMILIAR_ADDRESSES_MAX;

/// At most [`FAMILIAR_ADDRESSES_MAX`] addresses of each account. Most accounts have one, so each address is an entry of
/// its own: a list per account would take three times as much memory.
#[derive(Default)]
pub(super) struct Familiar {
    /// By account and rank. The latest address has rank 0, the one before it rank 1, and so on.
    origins: HashMap<(AccountId, u8), Origin>,
}

impl Familiar {
    /// Whether an address is one of an account.
    pub fn has(&self, account: AccountId, origin: Origin) -> bool {
        self.of(account).any(|other| other == origin)
    }

    /// Makes an address the latest of an account. Returns the addresses that are no longer familiar for that.
    pub fn add(&mut self, account: AccountId, origin: Origin) -> Vec<Origin> {
        let others = self.of(account).filter(|&other| other != origin);
        let mut origins: Vec<Origin> = std::iter::once(origin).chain(others).collect();
        let gone = origins.split_off(origins.len().min(FAMILIAR_ADDRESSES_MAX));
        self.set(account, &origins);
        gone
    }

    /// Forgets all addresses of an account but one, and returns them.
    pub fn keep_only(&mut self, account: AccountId, origin: Origin) -> Vec<Origin> {
        let (stay, gone): (Vec<Origin>, Vec<Origin>) = self.of(account).partition(|&other| other == origin);
        self.set(account, &stay);
        gone
    }

    /// The latest first.
    fn of(&self, account: AccountId) -> impl Iterator<Item = Origin> {
        (0..).map_while(move |rank| self.origins.get(&(account, rank)).copied())
    }

    fn set(&mut self, account: AccountId, origins: &[Origin]) {
        for rank in 0..FAMILIAR_ADDRESSES_MAX {
            let key = (account, rank as u8);
            match origins.get(rank) {
                Some(&origin) => self.origins.insert(key, origin),
                None => self.origins.remove(&key),
            };
        }
    }
}
