//! The index of the accounts by name: a hash table of account numbers. The names are in the accounts, and nowhere else.

use super::{AccountId, NOBODY};

/// A hash table with linear probing, from which nothing is ever removed.
#[derive(Debug)]
pub(super) struct NameIndex {
    /// A power of two of them, at least a quarter of which are free.
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The hash of the account's name. It spares most looks at other accounts, and all of them when the table grows.
    hash: u32,
    /// [`NOBODY`] if the slot is free.
    id: AccountId,
}

const FREE: Slot = Slot { hash: 0, id: NOBODY };

impl Default for NameIndex {
    fn default() -> NameIndex {
        NameIndex { slots: Box::new([FREE]) }
    }
}

impl NameIndex {
    /// Finds an account by the hash of its name; `has_name` tells whether an account has that name.
    pub fn find(&self, hash: u32, has_name: impl Fn(AccountId) -> bool) -> Option<AccountId> {
        let slots = self.probe(hash).map(|place| &self.slots[place]).take_while(|slot| slot.id != NOBODY);
        let mut ids = slots.filter(|slot| slot.hash == hash).map(|slot| slot.id);
        ids.find(|&id| has_name(id))
    }

    /// Adds an account that is not in the index. The index has `len` accounts then.
    pub fn add(&mut self, hash: u32, id: AccountId, len: usize) {
        if 4 * len > 3 * self.slots.len() {
            let larger = vec![FREE; (2 * len).next_power_of_two()].into_boxed_slice();
            let slots = std::mem::replace(&mut self.slots, larger);
            slots.into_iter().filter(|slot| slot.id != NOBODY).for_each(|slot| self.fill(slot));
        }
        self.fill(Slot { hash, id });
    }

    fn fill(&mut self, slot: Slot) {
        let free = self.probe(slot.hash).find(|&place| self.slots[place].id == NOBODY);
        self.slots[free.expect("a quarter of the slots is free")] = slot;
    }

    /// Returns the slots in which an account with this hash can be, in order.
    fn probe(&self, hash: u32) -> impl Iterator<Item = usize> + use<> {
        let count = self.slots.len();
        (0..count).map(move |step| (hash as usize + step) & (count - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_any_size_finds_every_account_and_no_other() {
        let hash = |number: u32| number.wrapping_mul(0x9e37_79b9);
        let mut index = NameIndex::default();
        for number in 0..2000 {
            let find = |index: &NameIndex, other: u32| index.find(hash(other), |id| id == AccountId(other));
            assert_eq!(find(&index, number), None);
            index.add(hash(number), AccountId(number), number as usize + 1);
            for other in [0, number / 2, number] {
                assert_eq!(find(&index, other), Some(AccountId(other)), "of {number}");
            }
        }
        assert!(index.slots.len() <= 3 * 2000, "{} slots", index.slots.len());
    }

    #[test]
    fn an_index_tells_accounts_with_equal_hashes_apart() {
        let mut index = NameIndex::default();
        for number in 0..100 {
            index.add(u32::MAX - number % 2, AccountId(number), number as usize + 1);
        }
        for number in 0..100 {
            let id = AccountId(number);
            assert_eq!(index.find(u32::MAX - number % 2, |other| other == id), Some(id));
            assert_eq!(index.find(u32::MAX - 1 + number % 2, |other| other == id), None);
        }
    }
}
