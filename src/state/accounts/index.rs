//! An index of the accounts: a hash table of their numbers. What it is an index of is in the accounts only.

use super::AccountId;

/// A hash table with linear probing, from which nothing is ever removed. It does not grow: its owner makes a new one.
///
/// A slot is as wide as an account's number. Numbers are smaller than the table, and the bits above are as many of the
/// hash: they spare nearly all looks at other accounts.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// At least a quarter of them are free.
    slots: Box<[u32]>,
}

const FREE: u32 = u32::MAX;

impl Index {
    /// Returns an empty index with room for accounts with smaller numbers than `count`.
    pub fn with_capacity(count: usize) -> Index {
        Index { slots: vec![FREE; (4 * count).div_ceil(3)].into_boxed_slice() }
    }

    /// Whether there is room for accounts with smaller numbers than `count`.
    pub fn has_room_for(&self, count: usize) -> bool {
        4 * count <= 3 * self.slots.len()
    }

    /// Whether there is room for accounts with smaller numbers than `count`, and not for twice as many.
    pub fn suits(&self, count: usize) -> bool {
        self.has_room_for(count) && !self.has_room_for(2 * count)
    }

    /// Memory that it takes.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    /// The slot at which a search for this hash begins.
    pub fn first_slot(&self, hash: u32) -> u32 {
        self.slots.get(self.first_place(hash)).copied().unwrap_or(FREE)
    }

    /// Finds an account by a hash; `is_it` tells whether an account with that hash is the one.
    pub fn find(&self, hash: u32, is_it: impl Fn(AccountId) -> bool) -> Option<AccountId> {
        let numbers = self.numbers();
        let mut place = self.first_place(hash);
        loop {
            let slot = *self.slots.get(place).filter(|&&slot| slot != FREE)?;
            let id = AccountId(slot & numbers);
            if (slot ^ hash) & !numbers == 0 && is_it(id) {
                return Some(id);
            }
            place = self.next_place(place);
        }
    }

    /// Adds an account that is not in the index, which has room for it.
    pub fn add(&mut self, hash: u32, id: AccountId) {
        let mut place = self.first_place(hash);
        while self.slots[place] != FREE {
            place = self.next_place(place);
        }
        let numbers = self.numbers();
        self.slots[place] = hash & !numbers | id.0;
    }

    /// The bits of a slot that are an account's number. All of them set is no number, so that no slot looks free.
    fn numbers(&self) -> u32 {
        (self.slots.len().next_power_of_two() as u32).wrapping_sub(1)
    }

    /// Depends on all bits of the hash: the low ones are not in the slots, and the high ones alone would put accounts
    /// that the slots cannot tell apart next to each other.
    fn first_place(&self, hash: u32) -> usize {
        // 2^32 divided by the golden ratio (Knuth, The Art of Computer Programming, 6.4).
        let hash = hash.wrapping_mul(0x9e37_79b9);
        ((u64::from(hash) * self.slots.len() as u64) >> 32) as usize
    }

    fn next_place(&self, place: usize) -> usize {
        if place + 1 < self.slots.len() { place + 1 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_finds_every_account_and_no_other() {
        let hash = |number: u32| number.wrapping_mul(0x9e37_79b9);
        for count in [1, 2, 3, 4, 700, 768, 769, 2000] {
            let mut index = Index::with_capacity(count);
            for number in 0..count as u32 {
                let find = |index: &Index, other: u32| index.find(hash(other), |id| id == AccountId(other));
                assert_eq!(find(&index, number), None);
                index.add(hash(number), AccountId(number));
                for other in [0, number / 2, number] {
                    assert_eq!(find(&index, other), Some(AccountId(other)), "of {number}");
                }
            }
            assert!(index.suits(count) && !index.has_room_for(2 * count));
        }
        assert_eq!(Index::default().find(7, |_| true), None);
    }

    #[test]
    fn an_index_tells_accounts_with_equal_hashes_apart() {
        for hash in [0, 1, u32::MAX] {
            let mut index = Index::with_capacity(100);
            (0..100).for_each(|number| index.add(hash ^ (number % 2), AccountId(number)));
            for number in 0..100 {
                let id = AccountId(number);
                assert_eq!(index.find(hash ^ (number % 2), |other| other == id), Some(id));
                assert_eq!(index.find(hash ^ 1 ^ (number % 2), |other| other == id), None);
            }
        }
    }

    #[test]
    fn an_index_looks_at_few_other_accounts() {
        let hash = |number: u32| number.wrapping_mul(0x9e37_79b9).rotate_left(13);
        let mut index = Index::with_capacity(1 << 12);
        (0..1 << 12).for_each(|number| index.add(hash(number), AccountId(number)));
        let looks = std::cell::Cell::new(0);
        for number in 1 << 12..1 << 13 {
            index.find(hash(number), |_| {
                looks.set(looks.get() + 1);
                false
            });
        }
        assert!(looks.get() < 1 << 5, "{looks:?}");
    }
}
