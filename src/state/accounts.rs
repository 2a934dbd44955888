//! The accounts: a table in memory that is the sum of all [`UserRecord`]s.
//!
//! [`Accounts::apply`] is the only way to change what is durable about an account. It is called for every line of
//! `users.txt` at startup and for every record that was committed since, so the table after a restart is the table
//! before it.

mod index;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

use self::index::Index;
use crate::auth::credential::{Credential, SecretHash};
use crate::auth::kdf;
use crate::ids::{AccountId, SessionId};
use crate::limits::Micros;
use crate::protocol::name::Name;
use crate::protocol::record::Timestamp;
use crate::protocol::reply::Error;
use crate::state::users::UserRecord;

/// Login tokens of one account; a new one replaces the oldest.
pub const TOKENS_PER_ACCOUNT_MAX: usize = 16;

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
    /// The last message that was delivered to any of its sessions.
    pub seen: Timestamp,
    /// [`NO_SESSION`] while it is offline.
    newest_session: SessionId,
}

/// The number of no session: there is no room for so many.
const NO_SESSION: SessionId = SessionId::MAX;

/// Zero rounds, which no record has: in the place of a password that nobody can give.
const LOCKED: Credential = Credential { rounds: 0, salt: [0; 16], key: [0; 32] };

impl Account {
    /// What a password is checked against; `None` if the name is only reserved, so that no password is right.
    pub fn credential(&self) -> Option<Credential> {
        (self.credential != LOCKED).then_some(self.credential)
    }

    /// The newest of its sessions, the others follow from that one; `None` while it is offline.
    pub fn newest_session(&self) -> Option<SessionId> {
        (self.newest_session != NO_SESSION).then_some(self.newest_session)
    }

    /// Sets the newest of its sessions; returns the one until then.
    pub fn set_newest_session(&mut self, id: Option<SessionId>) -> Option<SessionId> {
        let older = self.newest_session();
        self.newest_session = id.unwrap_or(NO_SESSION);
        older
    }
}

/// A login token, as it is kept.
#[derive(Clone, Copy, Debug)]
struct Token {
    hash: SecretHash,
    issued: Timestamp,
}

/// A one-time code, as it is kept. There are few: an operator asks for each.
#[derive(Clone, Copy, Debug)]
struct Code {
    account: AccountId,
    hash: SecretHash,
    issued: Timestamp,
}

/// All accounts.
#[derive(Debug, Default)]
pub struct Accounts {
    table: Vec<Account>,
    by_name: Index,
    /// Of accounts that look alike, the first.
    by_look: Index,
    /// Login tokens, the oldest first, of accounts that have any.
    tokens: HashMap<AccountId, Vec<Token>>,
    codes: Vec<Code>,
    /// `/replay N`, said while logged in.
    replays: HashMap<AccountId, u32>,
    /// Names without an account that occur in the log or in `seen.txt`, each with its read mark.
    reserved: HashMap<Name, Timestamp>,
    /// Hashes of their looks, without those that an account has, too.
    reserved_looks: HashSet<u32>,
}

/// Where an account is, or would be.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    name_hash: u32,
    look_hash: u32,
    /// The account of this name.
    pub account: Option<AccountId>,
    /// The first account that looks so.
    alike: Option<AccountId>,
}

impl Accounts {
    /// Returns an empty table with room for this many accounts.
    pub fn with_capacity(count: usize) -> Accounts {
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

    /// Looks a name up in both indexes. At a start this waits for memory more than for anything else, and one right
    /// behind the other they wait together.
    pub fn look_up(&self, name: &Name) -> Place {
        let look = name.look();
        let (name_hash, look_hash) = (self.hash(name), self.hash(&look));
        let account = self.by_name.find(name_hash, |id| self[id].name == *name);
        let alike = self.by_look.find(look_hash, |id| self[id].name.look() == look);
        Place { name_hash, look_hash, account, alike }
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
        self.by_name.add(place.name_hash, id);
        if place.alike.is_none() {
            self.by_look.add(place.look_hash, id);
        }
    }

    /// Applies a committed record; returns the account that it is about. The only way to change anything durable.
    pub fn apply(&mut self, record: &UserRecord) -> AccountId {
        self.apply_at(&self.look_up(record.name()), record)
    }

    /// Applies a record whose name was just looked up.
    pub fn apply_at(&mut self, place: &Place, record: &UserRecord) -> AccountId {
        let id = place.account.unwrap_or_else(|| self.add(*record.name(), record.time(), place));
        match *record {
            UserRecord::Credential { credential, .. } => self[id].credential = credential,
            UserRecord::Token { hash, issued, .. } => {
                let tokens = self.tokens.entry(id).or_default();
                if tokens.len() == TOKENS_PER_ACCOUNT_MAX {
                    tokens.remove(0);
                }
                tokens.reserve_exact(1);
                tokens.push(Token { hash, issued });
            }
            UserRecord::Code { hash, issued, .. } => {
                self.codes.retain(|code| code.account != id);
                self.codes.push(Code { account: id, hash, issued });
            }
            UserRecord::Revoked { .. } => self.revoke(id),
            UserRecord::Reserved { .. } => {
                self[id].credential = LOCKED;
                self.revoke(id);
            }
        }
        id
    }

    fn add(&mut self, name: Name, registered: Timestamp, place: &Place) -> AccountId {
        let id = AccountId(self.table.len().try_into().expect("memory ends before 2^32 accounts"));
        let seen = self.reserved.remove(&name).unwrap_or_default();
        self.reserved_looks.remove(&place.look_hash);
        self.table.push(Account { name, credential: LOCKED, registered, seen, newest_session: NO_SESSION });
        if self.by_name.has_room_for(self.table.len()) {
            self.index(id, place);
        } else {
            self.index_for(2 * self.table.len());
        }
        id
    }

    fn revoke(&mut self, id: AccountId) {
        self.tokens.remove(&id);
        self.codes.retain(|code| code.account != id);
    }

    /// Applies [`UserRecord::Revoked`] to every account that has tokens or codes.
    pub fn revoke_all(&mut self) {
        self.tokens.clear();
        self.codes.clear();
    }

    /// Whether the account may be given another token: not all that it can have were issued since then.
    pub fn may_issue_token(&self, id: AccountId, since: Timestamp) -> bool {
        let tokens = self.tokens.get(&id).map_or(&[][..], Vec::as_slice);
        tokens.iter().filter(|token| token.issued > since).count() < TOKENS_PER_ACCOUNT_MAX
    }

    /// Returns when the account's token with this hash was issued, or `None` if it has no such token.
    pub fn token(&self, id: AccountId, hash: &SecretHash) -> Option<Timestamp> {
        self.tokens.get(&id)?.iter().find(|token| kdf::equal(&token.hash, hash)).map(|token| token.issued)
    }

    /// Returns the account that the code with this hash is for, and when it was issued. Each account has at most
    /// one code, the latest.
    pub fn code(&self, hash: &SecretHash) -> Option<(AccountId, Timestamp)> {
        self.codes.iter().find(|code| kdf::equal(&code.hash, hash)).map(|code| (code.account, code.issued))
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
            None => self.reserved.contains_key(name),
        }
    }

    /// Returns why nobody may register a name without a code, in words for the person who tries: it is taken,
    /// reserved, or looks like such a name.
    pub fn why_taken(&self, name: &Name) -> Option<Error<'static>> {
        if !self.is_free(name) {
            return Some(taken_by(name, name));
        }
        let place = self.look_up(name);
        if let Some(id) = place.alike {
            return Some(taken_by(name, &self[id].name));
        }
        let is_reserved = self.reserved_looks.contains(&place.look_hash);
        is_reserved.then_some(Error::NameLooksTaken { name: *name })
    }

    /// Reserves a name that occurs in the log, unless there is an account of that name; returns whether that is
    /// news. Lasts as long as the server runs: the next start finds the name in the log again.
    pub fn reserve(&mut self, name: Name) -> bool {
        let is_new = self.find(&name).is_none() && !self.reserved.contains_key(&name);
        if is_new {
            self.reserve_marked(name, Timestamp::default());
        }
        is_new
    }

    /// Reserves a name that has a read mark and no account. A mark of the epoch leaves an earlier one as it is.
    pub fn reserve_marked(&mut self, name: Name, seen: Timestamp) {
        let place = self.look_up(&name);
        if place.account.is_none() {
            if place.alike.is_none() {
                self.reserved_looks.insert(place.look_hash);
            }
            let mark = self.reserved.entry(name).or_default();
            *mark = if seen > Timestamp::default() { seen } else { *mark };
        }
    }

    /// Number of names that are reserved because of the log or a read mark.
    pub fn reserved_len(&self) -> usize {
        self.reserved.len()
    }

    /// The read marks of names without an account.
    pub fn marked(&self) -> impl Iterator<Item = (&Name, Timestamp)> {
        let marks = self.reserved.iter().map(|(name, seen)| (name, *seen));
        marks.filter(|(_, seen)| *seen != Timestamp::default())
    }

    /// Gives back memory that only reading `users.txt` needed.
    pub fn shrink(&mut self) {
        self.table.shrink_to_fit();
        if !self.by_name.suits(self.table.len()) {
            self.index_for(self.table.len());
        }
    }

    /// The number of missed public messages that the account wants to see, if it chose one.
    pub fn replay(&self, id: AccountId) -> Option<u32> {
        self.replays.get(&id).copied()
    }

    /// Sets the number of missed public messages that the account wants to see.
    pub fn set_replay(&mut self, id: AccountId, count: u32) {
        self.replays.insert(id, count);
    }

    /// The fewest records that make up this table: the contents of a compacted `users.txt`.
    pub fn records(&self) -> impl Iterator<Item = UserRecord> {
        self.iter().flat_map(|(id, account)| self.records_of(id, account))
    }

    /// Number of [`Accounts::records`].
    pub fn records_len(&self) -> usize {
        self.len() + self.codes.len() + self.tokens.values().map(Vec::len).sum::<usize>()
    }

    fn records_of(&self, id: AccountId, account: &Account) -> impl Iterator<Item = UserRecord> {
        let &Account { name, registered, .. } = account;
        let first = match account.credential() {
            Some(credential) => UserRecord::Credential { name, credential, registered },
            None => UserRecord::Reserved { name, at: registered },
        };
        let tokens = self.tokens.get(&id).into_iter().flatten();
        let tokens = tokens.map(move |&Token { hash, issued }| UserRecord::Token { name, hash, issued });
        let codes = self.codes.iter().filter(move |code| code.account == id);
        let codes = codes.map(move |&Code { hash, issued, .. }| UserRecord::Code { name, hash, issued });
        std::iter::once(first).chain(tokens).chain(codes)
    }
}

/// The words for a name that is taken by another account, of the same name or of one that looks like it.
pub fn taken_by(name: &Name, other: &Name) -> Error<'static> {
    let (name, other) = (*name, *other);
    if name == other { Error::NameTaken { name } } else { Error::NameLooksLike { name, other } }
}

impl std::ops::Index<AccountId> for Accounts {
    type Output = Account;

    fn index(&self, id: AccountId) -> &Account {
        &self.table[id.0 as usize]
    }
}

impl std::ops::IndexMut<AccountId> for Accounts {
    fn index_mut(&mut self, id: AccountId) -> &mut Account {
        &mut self.table[id.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn credential(name_: &str, number: u8, registered: u64) -> UserRecord {
        let credential = Credential { rounds: 5, salt: [number; 16], key: [number; 32] };
        UserRecord::Credential { name: name(name_), credential, registered: at(registered) }
    }

    fn token(name_: &str, number: u8) -> UserRecord {
        UserRecord::Token { name: name(name_), hash: [number; 32], issued: at(number.into()) }
    }

    /// Without what few accounts have: tokens, codes, replays.
    #[test]
    fn accounts_take_at_most_120_bytes_each() {
        const EACH_BYTES_MAX: usize = 120;
        let bytes = |accounts: &Accounts| {
            size_of_val(accounts.table.as_slice()) + accounts.by_name.bytes() + accounts.by_look.bytes()
        };
        let mut accounts = Accounts::default();
        for number in 1..=3000 {
            accounts.apply(&credential(&format!("user{number}"), 1, number));
            let each = bytes(&accounts) / accounts.len();
            // An index rounds up, and a few accounts do not matter.
            assert!(each <= EACH_BYTES_MAX || number < 30, "{each} for each of {number}");
        }
        let mut accounts = Accounts::with_capacity(100_000);
        (0..3000).for_each(|number| _ = accounts.apply(&credential(&format!("user{number}"), 1, number)));
        accounts.shrink();
        assert_eq!(accounts.table.capacity(), accounts.len());
        assert!(bytes(&accounts) <= EACH_BYTES_MAX * accounts.len());
        assert_eq!(accounts.find(&name("USER2999")), Some(AccountId(2999)));
        let taken = Error::NameLooksLike { name: name("USERl"), other: name("user1") };
        assert_eq!(accounts.why_taken(&name("USERl")), Some(taken));
    }

    #[test]
    fn accounts_keep_their_spelling_and_registration_time_and_take_the_last_password() {
        let mut accounts = Accounts::default();
        let alice = accounts.apply(&credential("Alice", 1, 7));
        accounts.apply(&credential("bob", 2, 8));
        assert_eq!(accounts.apply(&credential("ALICE", 3, 9)), alice);
        assert_eq!((accounts.len(), accounts.find(&name("alice"))), (2, Some(alice)));
        let account = &accounts[alice];
        assert_eq!((account.name.as_str(), account.registered), ("Alice", at(7)));
        assert_eq!(account.credential().unwrap().salt, [3; 16]);
    }

    #[test]
    fn accounts_know_how_long_ago_they_were_registered() {
        let mut accounts = Accounts::default();
        for (number, registered) in [7, 0, 9, 30].into_iter().enumerate() {
            accounts.apply(&credential(&format!("n{number}"), 1, registered));
        }
        accounts.apply(&credential("n0", 2, 20));
        accounts.apply(&UserRecord::Reserved { name: name("nobody"), at: at(8) });
        assert_eq!(accounts.ages_us(10).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn accounts_keep_sixteen_tokens_until_they_are_revoked() {
        let mut accounts = Accounts::default();
        let alice = accounts.apply(&credential("alice", 1, 1));
        let bob = accounts.apply(&credential("bob", 1, 1));
        (1..=20).for_each(|number| _ = accounts.apply(&token("alice", number)));
        accounts.apply(&token("bob", 1));
        for number in 1..=20 {
            let expected = (number > 4).then_some(at(number.into()));
            assert_eq!(accounts.token(alice, &[number; 32]), expected, "{number}");
        }
        accounts.apply(&UserRecord::Revoked { name: name("alice"), at: at(30) });
        assert_eq!(accounts.token(alice, &[20; 32]), None);
        assert_eq!(accounts.token(bob, &[1; 32]), Some(at(1)));
        accounts.apply(&token("alice", 21));
        assert_eq!(accounts.token(alice, &[21; 32]), Some(at(21)));
    }

    #[test]
    fn accounts_have_one_code_and_a_code_reserves_a_name() {
        let mut accounts = Accounts::default();
        let code = |number| UserRecord::Code { name: name("carol"), hash: [number; 32], issued: at(5) };
        let carol = accounts.apply(&code(1));
        assert!(accounts.is_reserved(&name("Carol")) && accounts[carol].credential().is_none());
        assert_eq!(accounts.code(&[1; 32]), Some((carol, at(5))));
        accounts.apply(&code(2));
        assert_eq!((accounts.code(&[1; 32]), accounts.code(&[2; 32])), (None, Some((carol, at(5)))));
        accounts.apply(&credential("carol", 1, 5));
        accounts.apply(&UserRecord::Revoked { name: name("carol"), at: at(30) });
        assert!(!accounts.is_reserved(&name("carol")) && accounts.code(&[2; 32]).is_none());
    }

    #[test]
    fn accounts_with_a_tombstone_take_no_password_and_no_token() {
        let mut accounts = Accounts::default();
        let alice = accounts.apply(&credential("alice", 1, 1));
        accounts.apply(&token("alice", 9));
        accounts.apply(&UserRecord::Reserved { name: name("alice"), at: at(3) });
        assert!(accounts.is_reserved(&name("alice")));
        assert_eq!((accounts[alice].credential(), accounts.token(alice, &[9; 32])), (None, None));
    }

    #[test]
    fn accounts_keep_names_that_look_like_others_from_being_registered() {
        let mut accounts = Accounts::default();
        // Version 0.1 let both be registered; neither can be again.
        accounts.apply(&credential("bill", 1, 1));
        accounts.apply(&credential("biIl", 2, 2));
        accounts.reserve(name("norma"));
        let why =
            |accounts: &Accounts, text: &str| accounts.why_taken(&name(text)).map(|why| why.to_string());
        assert_eq!(why(&accounts, "b1ll"), None);
        assert_eq!(why(&accounts, "bi1l").unwrap(), "bi1l looks like bill, which is taken");
        assert_eq!(why(&accounts, "BILL").unwrap(), "BILL is already registered");
        assert_eq!(why(&accounts, "n0rrna").unwrap(), "n0rrna looks like a name that is taken");
        accounts.apply(&credential("norma", 3, 3));
        assert_eq!(why(&accounts, "norrna").unwrap(), "norrna looks like norma, which is taken");
    }

    #[test]
    fn accounts_reserve_names_of_the_log_until_they_are_registered() {
        let mut accounts = Accounts::default();
        accounts.apply(&credential("alice", 1, 1));
        assert!(
            !accounts.reserve(name("ALICE"))
                && accounts.reserve(name("bob"))
                && !accounts.reserve(name("Bob"))
        );
        accounts.reserve_marked(name("carol"), at(40));
        assert!(!accounts.reserve(name("carol")), "its mark stays");
        assert!(accounts.is_reserved(&name("bob")) && !accounts.is_reserved(&name("alice")));
        assert!(!accounts.is_reserved(&name("dave")));
        let carol = accounts.apply(&credential("carol", 1, 50));
        assert_eq!((accounts.is_reserved(&name("carol")), accounts[carol].seen), (false, at(40)));
    }

    #[test]
    fn accounts_are_the_same_after_their_records_are_applied_again() {
        let mut accounts = Accounts::default();
        accounts.apply(&credential("alice", 1, 1));
        (1..=20).for_each(|number| _ = accounts.apply(&token("alice", number)));
        accounts.apply(&credential("alice", 2, 1));
        accounts.apply(&UserRecord::Reserved { name: name("bob"), at: at(3) });
        accounts.apply(&UserRecord::Code { name: name("bob"), hash: [1; 32], issued: at(5) });
        let records: Vec<_> = accounts.records().collect();
        assert_eq!((records.len(), accounts.records_len()), (1 + 16 + 2, 19));
        let mut again = Accounts::default();
        records.iter().for_each(|record| _ = again.apply(record));
        assert!(again.records().eq(records));
        assert!(again.is_reserved(&name("bob")) && again.code(&[1; 32]).is_some());
    }
}
