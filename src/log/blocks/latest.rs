//! The last block with a private line, for each person.

use std::collections::BTreeMap;

use crate::ids::AccountId;
use crate::protocol::name::Name;

const NONE: u32 = u32::MAX;

/// The last block with a private line, for each person.
#[derive(Debug, Default)]
pub struct Latest {
    /// By the number of the account, four bytes for each.
    accounts: Vec<u32>,
    /// Of names that had no account then. One that got an account since still counts.
    others: BTreeMap<Name, u32>,
}

impl Latest {
    /// The last block of someone.
    pub fn get(&self, name: &Name, account: Option<AccountId>) -> Option<u32> {
        let of_account = account.and_then(|id| self.accounts.get(id.0 as usize)).copied();
        of_account.filter(|&block| block != NONE).or_else(|| self.others.get(name).copied())
    }

    /// Replaces the last block of someone. Returns the one before.
    pub fn set(&mut self, name: &Name, account: Option<AccountId>, block: u32) -> Option<u32> {
        let before = self.get(name, account);
        let Some(AccountId(id)) = account else {
            self.others.insert(*name, block);
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
