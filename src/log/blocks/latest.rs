//! The last block with a line, for each person and each room.

use std::collections::BTreeMap;

use super::FindAccount;
use crate::ids::AccountId;
use crate::protocol::record::Target;

const NONE: u32 = u32::MAX;

/// The last block with a private line for each person, and with a line of each room.
#[derive(Debug, Default)]
pub struct Latest {
    /// By the number of the account, four bytes for each.
    accounts: Vec<u32>,
    /// Of rooms, and of names that had no account then. One that got an account since still counts.
    others: BTreeMap<Target, u32>,
}

impl Latest {
    /// The last block of a party.
    pub fn get(&self, party: &Target, account: Option<AccountId>) -> Option<u32> {
        let of_account = account.and_then(|id| self.accounts.get(id.0 as usize)).copied();
        of_account.filter(|&block| block != NONE).or_else(|| self.others.get(party).copied())
    }

    /// Replaces the last block of a party. Returns the one before.
    pub fn set(&mut self, party: &Target, account: Option<AccountId>, block: u32) -> Option<u32> {
        let before = self.get(party, account);
        let Some(AccountId(id)) = account else {
            self.others.insert(*party, block);
            return before;
        };
        let id = id as usize;
        if self.accounts.len() <= id {
            self.accounts.resize(id + 1, NONE);
        }
        self.accounts[id] = block;
        before
    }
}

/// The account of a party, if it is a person who has one.
pub fn account_of(party: &Target, find: FindAccount<'_>) -> Option<AccountId> {
    match party {
        Target::Person(name) => find(name),
        Target::Room(_) | Target::Everyone => None,
    }
}
