//! The accounts: who has which name, and which names nobody may register.
//!
//! This is a part of [`State`](crate::state::durable::State), which alone changes it.

mod index;

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash};

use self::index::Index;
use crate::auth::credential::Credential;
use crate::ids::AccountId;
use crate::limits::Micros;
use crate::protocol::name::Name;
use crate::protocol::record::Timestamp;
use crate::state::event::Refusal;

impl AccountId {
    /// An account that is in no table.
    #[cfg(test)]
    pub fn for_test(name: &Name) -> AccountId {
        let keys = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
        AccountId(keys.hash_one(name) as u32)
    }
}

/// A registered or reserved name. Idle accounts dominate the memory of a large server: what few accounts have is
/// kept elsewhere.
#[derive(Debug)]
pub struct Account {
    /// As it was registered.
    pub name: Name,
    /// For the next login; [`LOCKED`] while nobody can log in.
    credential: Credential,
    /// When the account was registered; the epoch for accounts of version 0.1.
    pub registered: Timestamp,
}

/// Zero rounds, which no record has: in the place of a password that nobody can give.
const LOCKED: Credential = Credential { rounds: 0, salt: [0; 16], key: [0; 32] };

impl Account {
    /// What a password is checked against; `None` if the name is only reserved, so that no password is right.
    pub fn credential(&self) -> Option<Credential> {
        (self.credential != LOCKED).then_some(self.credential)
    }
}

/// All accounts.
#[derive(Debug, Default)]
pub struct Accounts {
    table: Vec<Account>,
    by_name: Index,
    /// Of accounts that look alike, the first.
    by_look: Index,
    /// Names without an account that occur in the log or in `seen.txt`.
    reserved: HashSet<Name>,
    /// Hashes of their looks, without those that an account has, too.
    reserved_looks: HashSet<u32>,
}

/// The hashes by which the indexes find an account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hashes {
    name: u32,
    look: u32,
}

/// Where an account is, or would be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    hashes: Hashes,
    /// The account of this name.
    pub account: Option<AccountId>,
    /// The first account that looks so.
    alike: Option<AccountId>,
}

impl Accounts {
    /// Returns an empty table with room for this many accounts.
    pub(super) fn with_capacity(count: usize) -> Accounts {
        let mut accounts = Accounts { table: Vec::with_capacity(count), ..Accounts::default() };
        accounts.index_for(count);
        accounts
    }

    /// Number of accounts, including those that are locked.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are no accounts.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// All accounts, in the order of their registration.
    pub fn iter(&self) -> impl Iterator<Item = (AccountId, &Account)> {
        (0..).map(AccountId).zip(&self.table)
    }

    /// How long ago each account was registered, except those whose time is unknown (version 0.1) or later than now.
    pub fn ages_us(&self, wall_us: Micros) -> impl Iterator<Item = Micros> {
        let registered = self.table.iter().filter(|account| account.credential().is_some());
        let registered = registered.map(|account| account.registered).filter(|at| *at > Timestamp::default());
        registered.filter_map(move |at| wall_us.checked_sub(at.micros()))
    }

    /// The account of this name, in any spelling.
    pub fn find(&self, name: &Name) -> Option<AccountId> {
        self.by_name.find(self.hash(name), |id| self[id].name == *name)
    }

    /// Keyed as the standard tables are, so that nobody can choose names with equal hashes.
    fn hash(&self, name_or_look: &impl Hash) -> u32 {
        self.reserved_looks.hasher().hash_one(name_or_look) as u32
    }

    /// Hashes a name and its look.
    pub(super) fn hashes(&self, name: &Name) -> Hashes {
        Hashes { name: self.hash(name), look: self.hash(&name.look()) }
    }

    /// Brings the slots of names with these hashes into the processor's cache. A look-up in large indexes waits for
    /// memory longer than for anything else; many reads, none of which depends on another, wait together.
    pub(super) fn fetch(&self, hashes: &[Hashes]) {
        let slots = hashes
            .iter()
            .map(|&Hashes { name, look }| self.by_name.first_slot(name) ^ self.by_look.first_slot(look));
        // The compiler must not leave the reads out.
        std::hint::black_box(slots.fold(0, |all, slot| all ^ slot));
    }

    /// Looks a name up in both indexes.
    pub(super) fn look_up(&self, name: &Name) -> Place {
        self.look_up_hashed(name, self.hashes(name))
    }

    /// As [`Accounts::look_up`], for a name with these hashes.
    pub(super) fn look_up_hashed(&self, name: &Name, hashes: Hashes) -> Place {
        let account = self.by_name.find(hashes.name, |id| self[id].name == *name);
        let alike = self.by_look.find(hashes.look, |id| self[id].name.looks_like(name));
        Place { hashes, account, alike }
    }

    /// Rebuilds both indexes with room for this many accounts.
    fn index_for(&mut self, count: usize) {
        (self.by_name, self.by_look) = (Index::with_capacity(count), Index::with_capacity(count));
        for number in 0..self.table.len() {
            let place = self.look_up(&self.table[number].name);
            self.index(AccountId(number as u32), &place);
        }
    }

    /// Adds an account to the indexes, which have room for it.
    fn index(&mut self, id: AccountId, place: &Place) {
        self.by_name.add(place.hashes.name, id);
        if place.alike.is_none() {
            self.by_look.add(place.hashes.look, id);
        }
    }

    /// Adds an account that nobody can log in to yet.
    pub(super) fn add(&mut self, name: Name, registered: Timestamp, place: &Place) -> AccountId {
        let id = AccountId(self.table.len().try_into().expect("memory ends before 2^32 accounts"));
        // The standard tables hash what is removed even if they are empty, as they are for most of a start.
        if !self.reserved.is_empty() {
            self.reserved.remove(&name);
        }
        if !self.reserved_looks.is_empty() {
            self.reserved_looks.remove(&place.hashes.look);
        }
        self.table.push(Account { name, credential: LOCKED, registered });
        if self.by_name.has_room_for(self.table.len()) {
            self.index(id, place);
        } else {
            self.index_for(2 * self.table.len());
        }
        id
    }

    /// Sets what a password is checked against; with `None`, nobody can log in any more.
    pub(super) fn set_credential(&mut self, id: AccountId, credential: Option<Credential>) {
        self.table[id.0 as usize].credential = credential.unwrap_or(LOCKED);
    }

    /// Whether the name can be registered without a code.
    pub fn is_free(&self, name: &Name) -> bool {
        self.find(name).is_none() && !self.is_reserved(name)
    }

    /// Whether the name cannot be registered although nobody can log in as it: there is a tombstone, or it occurs
    /// in the log or in `seen.txt` without an account.
    pub fn is_reserved(&self, name: &Name) -> bool {
        match self.find(name) {
            Some(id) => self[id].credential().is_none(),
            None => self.reserved.contains(name),
        }
    }

    /// Checks that a new account may have this name: it is not taken, not reserved, and looks like no such name.
    pub(super) fn admit_name(&self, name: &Name, place: &Place) -> Result<(), Refusal> {
        if place.account.is_some() || self.reserved.contains(name) {
            return Err(Refusal::NameTaken(*name));
        }
        if let Some(other) = place.alike.map(|id| self[id].name) {
            return Err(Refusal::NameLooksLike(*name, other));
        }
        let is_reserved = self.reserved_looks.contains(&place.hashes.look);
        if is_reserved { Err(Refusal::NameLooksTaken(*name)) } else { Ok(()) }
    }

    /// Reserves a name, unless there is an account of that name.
    pub(super) fn reserve(&mut self, name: Name) {
        let place = self.look_up(&name);
        if place.account.is_none() {
            if place.alike.is_none() {
                self.reserved_looks.insert(place.hashes.look);
            }
            self.reserved.insert(name);
        }
    }

    /// The names that are reserved because they occur in the log or have a read mark.
    pub fn reserved(&self) -> &HashSet<Name> {
        &self.reserved
    }

    /// Gives back memory that only reading `users.txt` needed.
    pub(super) fn shrink(&mut self) {
        self.table.shrink_to_fit();
        if !self.by_name.suits(self.table.len()) {
            self.index_for(self.table.len());
        }
    }

    /// Memory that the accounts take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.table.as_slice()) + self.by_name.bytes() + self.by_look.bytes()
    }

    /// Whether there is no memory for more accounts than there are.
    #[cfg(test)]
    pub(super) fn is_shrunk(&self) -> bool {
        self.table.capacity() == self.table.len()
    }
}

impl std::ops::Index<AccountId> for Accounts {
    type Output = Account;

    fn index(&self, id: AccountId) -> &Account {
        &self.table[id.0 as usize]
    }
}
