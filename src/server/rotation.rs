//! The order in which connections read the log: round robin by account, however many connections each has.

use std::collections::{HashMap, VecDeque};

use super::shrink;
use crate::ids::{AccountId, ConnectionId};
use crate::limits::TABLE_ENTRIES_MIN;

/// Connections whose task can proceed. Those without an account count as one account.
#[derive(Default)]
pub(super) struct Rotation {
    /// Accounts with connections below, in the order of their turns.
    accounts: VecDeque<Option<AccountId>>,
    connections: HashMap<Option<AccountId>, VecDeque<ConnectionId>>,
    len: usize,
}

impl Rotation {
    /// Returns how many connections wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds a connection after the others of its account.
    pub fn push(&mut self, account: Option<AccountId>, id: ConnectionId) {
        let of_account = self.connections.entry(account).or_default();
        if of_account.is_empty() {
            self.accounts.push_back(account);
        }
        of_account.push_back(id);
        self.len += 1;
    }

    /// Takes the connection whose turn it is.
    pub fn pop(&mut self) -> Option<ConnectionId> {
        let account = self.accounts.pop_front()?;
        let of_account = self.connections.get_mut(&account)?;
        let id = of_account.pop_front();
        if of_account.is_empty() {
            self.connections.remove(&account);
        } else {
            self.accounts.push_back(account);
        }
        self.len -= usize::from(id.is_some());
        id
    }

    /// Gives back room that is no longer needed.
    pub fn shrink(&mut self) {
        shrink(&mut self.connections);
        let entries = self.accounts.len().max(TABLE_ENTRIES_MIN);
        if self.accounts.capacity() > 4 * entries {
            self.accounts.shrink_to(2 * entries);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_with_many_connections_gets_no_more_turns_than_one_with_one() {
        let mut state = crate::state::durable::State::default();
        let mut account = |name: &[u8]| {
            let name = crate::protocol::name::Name::parse(name).unwrap();
            Some(state.add_for_test(name))
        };
        let (many, one) = (account(b"many"), account(b"one"));
        let mut rotation = Rotation::default();
        (0..16).for_each(|id| rotation.push(many, ConnectionId::at(id)));
        rotation.push(one, ConnectionId::at(100));
        rotation.push(None, ConnectionId::at(200));
        let mut taken = Vec::new();
        for _ in 0..30 {
            let id = rotation.pop().unwrap();
            taken.push(id.index());
            let account = match id.index() {
                ..16 => many,
                100 => one,
                _ => None,
            };
            rotation.push(account, id);
        }
        assert_eq!(rotation.len(), 18);
        let turns = |is: fn(usize) -> bool| taken.iter().filter(|id| is(**id)).count();
        assert_eq!((turns(|id| id < 16), turns(|id| id == 100), turns(|id| id == 200)), (10, 10, 10));
        assert_eq!(
            taken.iter().filter(|id| **id < 16).copied().collect::<Vec<_>>(),
            (0..10).collect::<Vec<_>>()
        );
    }
}
