//! The queue for changes of the state that depend on more than one name. A turn takes one of them, after all of its
//! other lines, so that each is checked against what all earlier events came to.
//!
//! Accounts take turns, and each may make one change per second after a burst. Both follow from one number: the
//! theoretical arrival time of the generic cell rate algorithm (ITU-T I.371). A change is due once that time is no more
//! than the burst away, and of those that are due, the one with the earliest time comes first. So the second change of
//! an account comes after the first one of everybody else.

use std::collections::{BTreeSet, HashMap};

use crate::ids::{AccountId, SessionId};
use crate::limits::{MOVE_BURST_US, MOVE_INTERVAL_US, Micros, TABLE_ENTRIES_MIN};
use crate::protocol::room::RoomName;

/// A change of the state that waits.
pub(super) struct Move {
    /// Where it is made.
    pub room: RoomName,
    /// What it is.
    pub what: What,
}

/// What is to be done in a room.
pub(super) enum What {
    /// Enter it, or create it if there is none.
    Join {
        /// Whether it is to be created as a private one.
        is_private: bool,
    },
    /// These words.
    Deed(Box<str>),
}

/// The sessions that wait with a change.
#[derive(Default)]
pub(super) struct Moves {
    /// By the theoretical arrival times of their changes.
    waiting: BTreeSet<(Micros, SessionId)>,
    places: HashMap<SessionId, Micros>,
    /// The theoretical arrival time of the next change of each account that made one a short while ago.
    next: HashMap<AccountId, Micros>,
}

impl Moves {
    /// Adds a session, which waits until it is taken. `is_limited` tells whether accounts are.
    pub fn push(&mut self, id: SessionId, account: AccountId, is_limited: bool, now_us: Micros) {
        let mut arrival_us = now_us;
        if is_limited {
            if self.next.len() >= TABLE_ENTRIES_MIN {
                self.next.retain(|_, next_us| *next_us > now_us);
            }
            let next_us = self.next.entry(account).or_insert(0);
            arrival_us = now_us.max(*next_us);
            *next_us = arrival_us + MOVE_INTERVAL_US;
        }
        self.waiting.insert((arrival_us, id));
        self.places.insert(id, arrival_us);
    }

    /// When a session can be taken; `None` if none waits.
    pub fn due_us(&self) -> Option<Micros> {
        self.waiting.first().map(|(arrival_us, _)| arrival_us.saturating_sub(MOVE_BURST_US))
    }

    /// Takes the session whose turn it is.
    pub fn take(&mut self, now_us: Micros) -> Option<SessionId> {
        let &(_, id) =
            self.waiting.first().filter(|_| self.due_us().is_some_and(|due_us| due_us <= now_us))?;
        self.remove(id);
        Some(id)
    }

    /// Removes a session.
    pub fn remove(&mut self, id: SessionId) {
        if let Some(arrival_us) = self.places.remove(&id) {
            self.waiting.remove(&(arrival_us, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ConnectionId;
    use crate::protocol::name::Name;
    use crate::state::durable::State;

    fn ids<const N: usize>() -> [SessionId; N] {
        std::array::from_fn(|index| ConnectionId::at(index).session())
    }

    fn accounts() -> [AccountId; 2] {
        let mut state = State::default();
        ["alice", "bob"].map(|name| state.add_for_test(Name::parse(name.as_bytes()).unwrap()))
    }

    #[test]
    fn accounts_take_turns_however_many_changes_one_of_them_wants() {
        let (mut moves, [alice, bob], ids) = (Moves::default(), accounts(), ids::<5>());
        ids[..4].iter().for_each(|&id| moves.push(id, alice, true, 7));
        moves.push(ids[4], bob, true, 8);
        let order: Vec<usize> = std::iter::from_fn(|| moves.take(9)).map(SessionId::index).collect();
        assert_eq!(order, [0, 4, 1, 2, 3]);
    }

    #[test]
    fn after_a_burst_an_account_makes_one_change_a_second() {
        let (mut moves, [alice, bob], ids) = (Moves::default(), accounts(), ids::<8>());
        ids[..7].iter().for_each(|&id| moves.push(id, alice, true, 1000));
        let taken = std::iter::from_fn(|| moves.take(1000)).count();
        assert_eq!(taken as Micros, 1 + MOVE_BURST_US / MOVE_INTERVAL_US);
        let due_us = moves.due_us().unwrap();
        assert_eq!(due_us, 1000 + MOVE_INTERVAL_US);
        moves.push(ids[7], bob, true, 1001);
        assert_eq!(moves.take(1001), Some(ids[7]), "others do not wait for it");
        assert_eq!(moves.take(due_us - 1), None);
        assert!(moves.take(due_us).is_some() && moves.take(due_us).is_none());
        ids.iter().for_each(|&id| moves.remove(id));
        assert_eq!((moves.due_us(), moves.waiting.len(), moves.places.len()), (None, 0, 0));
    }

    #[test]
    fn without_limits_the_first_comes_first() {
        let (mut moves, [alice, _], ids) = (Moves::default(), accounts(), ids::<7>());
        ids.iter().for_each(|&id| moves.push(id, alice, false, 1000));
        assert_eq!(std::iter::from_fn(|| moves.take(1000)).count(), ids.len());
    }
}
