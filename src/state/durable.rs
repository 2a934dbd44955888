//! The state: the sum of all events.
//!
//! [`State::admit`] says whether an event may follow those before it, and [`State::apply`] is the only way to change
//! the state. Both are pure: they use no clock, no randomness and no session. The running server applies an event once
//! it is committed. A start and the operator's tools apply the events of the files, so the state after a restart is the
//! state before it.
//!
//! Who is online, how far an account has read and what a session was told are not results of events. They are kept by
//! [`session`](crate::session) and [`marks`](crate::state::marks).

use std::collections::HashMap;

use crate::auth::credential::SecretHash;
use crate::auth::kdf;
use crate::ids::AccountId;
use crate::limits::{CODE_US, Micros, RESERVED_NAMES_MAX, TOKEN_US, TOKEN_WINDOW_US};
use crate::log::offset::Offset;
use crate::log::reader;
use crate::log::recovery::Damage;
use crate::protocol::event::Deed;
use crate::protocol::name::Name;
use crate::protocol::record::{Target, Timestamp};
use crate::protocol::room::RoomName;
use crate::state::accounts::{Account, Accounts, Place};
use crate::state::event::{Event, Refusal};
use crate::state::rooms::Rooms;
use crate::state::users::UserRecord;

/// Login tokens of one account; a new one replaces the oldest.
pub const TOKENS_PER_ACCOUNT_MAX: usize = 16;

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

/// The sum of all events.
#[derive(Debug, Default)]
pub struct State {
    accounts: Accounts,
    /// Login tokens, the oldest first, of accounts that have any.
    tokens: HashMap<AccountId, Vec<Token>>,
    codes: Vec<Code>,
    rooms: Rooms,
    /// Whether there were more names to reserve than can be kept.
    has_lost_names: bool,
}

/// Events.
impl State {
    /// Returns a state without accounts, with room for this many.
    pub(super) fn with_capacity(accounts: usize) -> State {
        State { accounts: Accounts::with_capacity(accounts), ..State::default() }
    }

    /// Checks whether an event may happen at this moment. This answers only what earlier events decide; limits, quotas
    /// and rates are checked before.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, event: &Event<'_>, at: Timestamp) -> Result<(), Refusal> {
        match event {
            Event::Message { from, to } => {
                self.require_account(from)?;
                match to {
                    Target::Everyone => Ok(()),
                    Target::Person(name) => self.require_account(name),
                    Target::Room(room) => self.rooms.admit_message(from, room),
                }
            }
            Event::Deed { by, to, deed, .. } => {
                self.require_account(by)?;
                if let Deed::Invited { name } = deed {
                    self.require_account(name)?;
                }
                self.admit_deed(by, to, deed)
            }
            Event::Account(record) => self.admit_record(record, &self.accounts.look_up(record.name()), at),
            Event::Trace(_) => Ok(()),
        }
    }

    fn require_account(&self, name: &Name) -> Result<(), Refusal> {
        self.accounts.find(name).map_or(Err(Refusal::NoAccount(*name)), |_| Ok(()))
    }

    /// Checks whether a new account may have this name, before there is a record of it.
    ///
    /// # Errors
    /// Why not.
    pub fn admit_name(&self, name: &Name) -> Result<(), Refusal> {
        self.accounts.admit_name(name, &self.accounts.look_up(name))
    }

    fn admit_record(&self, record: &UserRecord, place: &Place, at: Timestamp) -> Result<(), Refusal> {
        let name = *record.name();
        let Some(id) = place.account else {
            return match record {
                UserRecord::Credential { .. } => self.accounts.admit_name(&name, place),
                UserRecord::Reserved { .. } => Ok(()),
                _ => Err(Refusal::NoAccount(name)),
            };
        };
        let account = &self.accounts[id];
        if account.name.as_bytes() != name.as_bytes() {
            return Err(Refusal::SpelledDifferently(name));
        }
        let is_locked = account.credential().is_none();
        match *record {
            UserRecord::Credential { registered, .. } if registered != account.registered => {
                Err(Refusal::RegisteredTwice(name))
            }
            UserRecord::Credential { .. } if is_locked && !self.has_code(id, at) => {
                Err(Refusal::Locked(name))
            }
            UserRecord::Token { .. } if is_locked => Err(Refusal::Locked(name)),
            _ => Ok(()),
        }
    }

    /// Applies an event that was committed. The only way to change the state; every time that matters is in the event.
    pub fn apply(&mut self, event: &Event<'_>) {
        match event {
            Event::Message { from, to } => {
                // Of an admitted message, both have accounts. A log can hold names whose accounts were lost.
                self.reserve(*from);
                if let Target::Person(name) = to {
                    self.reserve(*name);
                }
            }
            Event::Deed { at, by, to, deed } => {
                self.reserve(*by);
                if let Some(name) = deed.concerns() {
                    self.reserve(name);
                }
                if let Target::Room(room) = to {
                    self.rooms.apply(*by, *room, deed, *at);
                }
            }
            Event::Account(record) => self.apply_record(record, &self.accounts.look_up(record.name())),
            Event::Trace(name) => self.accounts.reserve(*name),
        }
    }

    /// Applies an event of the log.
    ///
    /// # Errors
    /// What it shows to be wrong with the log. It is not applied then. A message is never refused.
    pub fn recover_event(&mut self, event: &Event<'_>) -> Result<(), &'static str> {
        if let Event::Deed { by, to, deed, .. } = event
            && let Err(refusal) = self.admit_deed(by, to, deed)
            && let Some(what) = refusal.damage()
        {
            return Err(what);
        }
        self.apply(event);
        Ok(())
    }

    /// Checks what was done in a room, by whoever it was: accounts can be lost, and their rooms are not.
    fn admit_deed(&self, by: &Name, to: &Target, deed: &Deed<'_>) -> Result<(), Refusal> {
        match to {
            Target::Room(room) => self.rooms.admit(by, room, deed),
            Target::Everyone | Target::Person(_) => Err(Refusal::OutOfPlace),
        }
    }

    /// Applies the account record of a line of a file.
    ///
    /// # Errors
    /// What the record shows to be wrong with the file. It is not applied then.
    pub fn recover(&mut self, record: &UserRecord) -> Result<(), &'static str> {
        self.recover_at(record, &self.accounts.look_up(record.name()))
    }

    /// Applies the account records of consecutive lines, each with the offset of its line.
    ///
    /// # Errors
    /// As for [`State::recover`], for the first record that shows something. Nothing from there on is applied.
    pub(super) fn recover_all(&mut self, records: &[(Offset, UserRecord)]) -> Result<(), Damage> {
        let hashes: Vec<_> = records.iter().map(|(_, record)| self.accounts.hashes(record.name())).collect();
        self.accounts.fetch(&hashes);
        for ((offset, record), hashes) in records.iter().zip(hashes) {
            let place = self.accounts.look_up_hashed(record.name(), hashes);
            self.recover_at(record, &place).map_err(|what| Damage { offset: *offset, what })?;
        }
        Ok(())
    }

    fn recover_at(&mut self, record: &UserRecord, place: &Place) -> Result<(), &'static str> {
        let refused = self.admit_record(record, place, record.time()).err();
        match refused.and_then(Refusal::damage) {
            Some(what) => Err(what),
            None => {
                self.apply_record(record, place);
                Ok(())
            }
        }
    }

    fn apply_record(&mut self, record: &UserRecord, place: &Place) {
        let id = place.account.unwrap_or_else(|| self.accounts.add(*record.name(), record.time(), place));
        match *record {
            UserRecord::Credential { credential, .. } => self.accounts.set_credential(id, Some(credential)),
            UserRecord::Token { hash, issued, .. } => self.add_token(id, Token { hash, issued }),
            UserRecord::Code { hash, issued, .. } => {
                self.codes.retain(|code| code.account != id);
                self.codes.push(Code { account: id, hash, issued });
            }
            UserRecord::Revoked { .. } => self.revoke(id),
            UserRecord::Reserved { .. } => {
                self.accounts.set_credential(id, None);
                self.revoke(id);
            }
        }
    }

    fn add_token(&mut self, id: AccountId, token: Token) {
        // A token must not open an account that no password opens.
        if self.accounts[id].credential().is_none() {
            return;
        }
        let tokens = self.tokens.entry(id).or_default();
        if tokens.len() == TOKENS_PER_ACCOUNT_MAX {
            tokens.remove(0);
        }
        tokens.reserve_exact(1);
        tokens.push(token);
    }

    fn revoke(&mut self, id: AccountId) {
        self.tokens.remove(&id);
        self.codes.retain(|code| code.account != id);
    }

    fn reserve(&mut self, name: Name) {
        if !self.accounts.is_free(&name) {
            return;
        }
        if self.accounts.reserved().len() < RESERVED_NAMES_MAX {
            self.accounts.reserve(name);
        } else {
            self.has_lost_names = true;
        }
    }

    /// Gives back memory that only reading `users.txt` needed.
    pub(super) fn shrink(&mut self) {
        self.accounts.shrink();
    }
}

/// What the events came to.
impl State {
    /// All accounts.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// All rooms.
    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Sets the rooms to what a copy of their events came to, before anything of the log is applied.
    pub fn set_rooms(&mut self, rooms: Rooms) {
        self.rooms = rooms;
    }

    /// Closes the rooms that were created up to a time, because events may be missing. Returns how many that are.
    pub fn close_rooms(&mut self, until: Timestamp) -> usize {
        self.rooms.close(until)
    }

    /// Whether there were more names without an account than can be kept reserved.
    pub fn has_lost_names(&self) -> bool {
        self.has_lost_names
    }

    /// Whether an account may be given another token. At most [`TOKENS_PER_ACCOUNT_MAX`] are issued per
    /// [`TOKEN_WINDOW_US`].
    pub fn may_issue_token(&self, id: AccountId, at: Timestamp) -> bool {
        let tokens = self.tokens.get(&id).map_or(&[][..], Vec::as_slice);
        tokens.iter().filter(|token| lasts(token.issued, TOKEN_WINDOW_US, at)).count()
            < TOKENS_PER_ACCOUNT_MAX
    }

    /// Whether the account has a token with this hash that is valid at this moment.
    pub fn has_token(&self, id: AccountId, hash: &SecretHash, at: Timestamp) -> bool {
        let tokens = self.tokens.get(&id).map_or(&[][..], Vec::as_slice);
        let token = tokens.iter().find(|token| kdf::equal(&token.hash, hash));
        token.is_some_and(|token| lasts(token.issued, TOKEN_US, at))
    }

    /// Returns the account that a code with this hash is for, if it is valid at this moment. Each account has at most
    /// one code, the latest.
    pub fn account_of_code(&self, hash: &SecretHash, at: Timestamp) -> Option<AccountId> {
        let code = self.codes.iter().find(|code| kdf::equal(&code.hash, hash))?;
        lasts(code.issued, CODE_US, at).then_some(code.account)
    }

    fn has_code(&self, id: AccountId, at: Timestamp) -> bool {
        self.codes.iter().any(|code| code.account == id && lasts(code.issued, CODE_US, at))
    }

    /// The names of accounts that have tokens or a code.
    pub fn holders(&self) -> impl Iterator<Item = Name> {
        let ids = self.tokens.keys().copied().chain(self.codes.iter().map(|code| code.account));
        ids.map(|id| self.accounts[id].name)
    }

    /// The fewest records that make up the accounts: the contents of a compacted `users.txt`.
    pub fn records(&self) -> impl Iterator<Item = UserRecord> {
        self.accounts.iter().flat_map(|(id, account)| self.records_of(id, account))
    }

    /// Number of [`State::records`].
    pub fn records_len(&self) -> usize {
        self.accounts.len() + self.codes.len() + self.tokens.values().map(Vec::len).sum::<usize>()
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

/// Whether what was issued at a moment and lasts for so long is still valid at another one.
fn lasts(issued: Timestamp, duration_us: Micros, at: Timestamp) -> bool {
    at.micros() < issued.micros().saturating_add(duration_us)
}

impl reader::Rooms for State {
    fn shown_from(&self, reader: &Name, room: &[u8]) -> Option<Timestamp> {
        self.rooms.shown_from(reader, &RoomName::without_sign(room)?)
    }
}

#[cfg(test)]
impl State {
    /// Adds an account that nobody can log in to.
    pub fn add_for_test(&mut self, name: Name) -> AccountId {
        self.apply(&Event::Account(UserRecord::Reserved { name, at: Timestamp::default() }));
        self.accounts.find(&name).expect("it was added")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::credential::Credential;
    use crate::log::directory::Directory;
    use crate::state::users::{Check, write_line};
    use crate::state::users_file::{USERS_FILE, UsersFile, rewrite_users};
    use std::collections::BTreeSet;
    use std::fs;

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

    fn code(name_: &str, number: u8) -> UserRecord {
        UserRecord::Code { name: name(name_), hash: [number; 32], issued: at(number.into()) }
    }

    fn revoked(name_: &str) -> UserRecord {
        UserRecord::Revoked { name: name(name_), at: at(30) }
    }

    fn reserved(name_: &str, micros: u64) -> UserRecord {
        UserRecord::Reserved { name: name(name_), at: at(micros) }
    }

    impl State {
        fn record(&mut self, record: UserRecord) -> AccountId {
            self.apply(&Event::Account(record));
            self.accounts.find(record.name()).unwrap()
        }

        fn admits(&self, record: UserRecord, micros: u64) -> Result<(), Refusal> {
            self.admit(&Event::Account(record), at(micros))
        }

        fn is_reserved(&self, text: &str) -> bool {
            self.accounts.is_reserved(&name(text))
        }
    }

    /// All that a state consists of.
    fn facts(state: &State) -> (String, BTreeSet<String>, bool) {
        let records: Vec<_> = state.records().collect();
        let reserved = state.accounts.reserved().iter().map(|name| name.to_string().to_lowercase());
        (format!("{records:?}"), reserved.collect(), state.has_lost_names)
    }

    /// Without what few accounts have: tokens, codes, replays.
    #[test]
    fn accounts_take_at_most_120_bytes_each() {
        const EACH_BYTES_MAX: usize = 120;
        let bytes = |state: &State| state.accounts.bytes() + state.accounts.len() * size_of::<Timestamp>();
        let mut state = State::default();
        for number in 1..=3000 {
            state.record(credential(&format!("user{number}"), 1, number));
            let each = bytes(&state) / state.accounts.len();
            // An index rounds up, and a few accounts do not matter.
            assert!(each <= EACH_BYTES_MAX || number < 30, "{each} for each of {number}");
        }
        let mut state = State::with_capacity(100_000);
        (0..3000).for_each(|number| _ = state.record(credential(&format!("user{number}"), 1, number)));
        state.shrink();
        assert!(state.accounts.is_shrunk());
        assert!(bytes(&state) <= EACH_BYTES_MAX * state.accounts.len());
        assert_eq!(state.accounts.find(&name("USER2999")), Some(AccountId(2999)));
        let taken = Refusal::NameLooksLike(name("USERl"), name("user1"));
        assert_eq!(state.admit_name(&name("USERl")), Err(taken));
    }

    #[test]
    fn accounts_keep_their_spelling_and_registration_time_and_take_the_last_password() {
        let mut state = State::default();
        let alice = state.record(credential("Alice", 1, 7));
        state.record(credential("bob", 2, 8));
        assert_eq!(state.record(credential("Alice", 3, 7)), alice);
        assert_eq!((state.accounts.len(), state.accounts.find(&name("alice"))), (2, Some(alice)));
        let account = &state.accounts[alice];
        assert_eq!((account.name.as_str(), account.registered), ("Alice", at(7)));
        assert_eq!(account.credential().unwrap().salt, [3; 16]);
    }

    #[test]
    fn accounts_know_how_long_ago_they_were_registered() {
        let mut state = State::default();
        for (number, registered) in [7, 0, 9, 30].into_iter().enumerate() {
            state.record(credential(&format!("n{number}"), 1, registered));
        }
        state.record(credential("n0", 2, 7));
        state.record(reserved("nobody", 8));
        assert_eq!(state.accounts.ages_us(10).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn accounts_keep_sixteen_tokens_until_they_are_revoked_or_expire() {
        let mut state = State::default();
        let alice = state.record(credential("alice", 1, 1));
        let bob = state.record(credential("bob", 1, 1));
        (1..=20).for_each(|number| _ = state.record(token("alice", number)));
        state.record(token("bob", 1));
        for number in 1..=20 {
            assert_eq!(state.has_token(alice, &[number; 32], at(30)), number > 4, "{number}");
        }
        assert!(state.has_token(alice, &[20; 32], at(19 + TOKEN_US)));
        assert!(!state.has_token(alice, &[20; 32], at(20 + TOKEN_US)));
        assert!(!state.may_issue_token(alice, at(4 + TOKEN_WINDOW_US)));
        assert!(state.may_issue_token(alice, at(5 + TOKEN_WINDOW_US)));
        state.record(revoked("alice"));
        assert!(!state.has_token(alice, &[20; 32], at(30)) && state.has_token(bob, &[1; 32], at(30)));
        state.record(token("alice", 21));
        assert!(state.has_token(alice, &[21; 32], at(30)));
    }

    #[test]
    fn accounts_have_one_code_for_a_day() {
        let mut state = State::default();
        let carol = state.record(reserved("carol", 1));
        state.record(code("carol", 1));
        assert_eq!(state.account_of_code(&[1; 32], at(5)), Some(carol));
        state.record(code("carol", 2));
        assert_eq!(state.account_of_code(&[1; 32], at(5)), None);
        assert_eq!(state.account_of_code(&[2; 32], at(1 + CODE_US)), Some(carol));
        assert_eq!(state.account_of_code(&[2; 32], at(2 + CODE_US)), None);
        state.record(revoked("carol"));
        assert_eq!(state.account_of_code(&[2; 32], at(5)), None);
    }

    #[test]
    fn accounts_with_a_tombstone_take_no_token_and_a_password_only_with_a_code() {
        let mut state = State::default();
        let alice = state.record(credential("alice", 1, 1));
        state.record(token("alice", 9));
        state.record(reserved("alice", 3));
        assert!(state.is_reserved("alice"));
        assert!(state.accounts[alice].credential().is_none() && !state.has_token(alice, &[9; 32], at(9)));
        let locked = Err(Refusal::Locked(name("alice")));
        assert_eq!(state.admits(token("alice", 10), 10), locked);
        state.record(token("alice", 10));
        assert!(!state.has_token(alice, &[10; 32], at(10)), "not even if a file has one");
        assert_eq!(state.admits(credential("alice", 2, 1), 10), locked);
        state.record(code("alice", 11));
        assert_eq!(state.admits(credential("alice", 2, 1), 11), Ok(()));
        assert_eq!(state.admits(credential("alice", 2, 1), 11 + CODE_US), locked);
        state.record(revoked("alice"));
        state.record(credential("alice", 2, 1));
        assert!(!state.is_reserved("alice") && state.accounts[alice].credential().is_some());
    }

    #[test]
    fn records_are_refused_without_their_account_and_for_another_registration() {
        let mut state = State::default();
        for record in [token("alice", 1), code("alice", 1), revoked("alice")] {
            assert_eq!(state.admits(record, 1), Err(Refusal::NoAccount(name("alice"))));
        }
        assert_eq!(state.admits(reserved("alice", 1), 1), Ok(()));
        assert_eq!(state.admits(credential("alice", 1, 1), 1), Ok(()));
        state.record(credential("alice", 1, 1));
        for record in [token("alice", 1), code("alice", 1), revoked("alice"), reserved("alice", 9)] {
            assert_eq!(state.admits(record, 1), Ok(()));
        }
        assert_eq!(state.admits(credential("alice", 2, 1), 2), Ok(()));
        let twice = Err(Refusal::RegisteredTwice(name("alice")));
        assert_eq!(state.admits(credential("alice", 2, 2), 2), twice);
        for record in [credential("Alice", 2, 1), token("Alice", 1), reserved("Alice", 9)] {
            assert_eq!(state.admits(record, 2), Err(Refusal::SpelledDifferently(name("Alice"))));
        }
    }

    #[test]
    fn names_that_look_like_others_are_not_registered() {
        let mut state = State::default();
        // Version 0.1 let both be registered; neither can be again.
        state.record(credential("bill", 1, 1));
        state.recover(&credential("biIl", 2, 2)).unwrap();
        state.apply(&Event::Trace(name("norma")));
        let why = |state: &State, text: &str| {
            state.admit_name(&name(text)).map_err(|why| why.to_error().to_string())
        };
        assert_eq!(why(&state, "b1ll"), Ok(()));
        assert_eq!(why(&state, "bi1l").unwrap_err(), "bi1l looks like bill, which is taken");
        assert_eq!(why(&state, "BILL").unwrap_err(), "BILL is already registered");
        assert_eq!(why(&state, "n0rrna").unwrap_err(), "n0rrna looks like a name that is taken");
        assert!(state.admits(credential("n0rrna", 3, 3), 3).is_err());
        state.record(credential("norma", 3, 3));
        assert_eq!(why(&state, "norrna").unwrap_err(), "norrna looks like norma, which is taken");
    }

    #[test]
    fn names_of_the_log_are_reserved_unless_they_have_an_account() {
        let mut state = State::default();
        state.record(credential("alice", 1, 1));
        state.apply(&Event::Message { from: name("ALICE"), to: Target::Person(name("bob")) });
        state.apply(&Event::Message { from: name("Bob"), to: Target::Everyone });
        assert!(state.is_reserved("bob") && !state.is_reserved("alice") && !state.is_reserved("dave"));
        assert_eq!(state.accounts.reserved().len(), 1);
        assert_eq!(state.admit_name(&name("BOB")), Err(Refusal::NameTaken(name("bob"))));
        state.record(credential("bob", 1, 50));
        assert!(!state.is_reserved("bob") && state.accounts.reserved().is_empty());
    }

    #[test]
    fn names_are_reserved_up_to_a_bound() {
        let mut state = State::default();
        let message = |number| Event::Message { from: name(&format!("n{number}")), to: Target::Everyone };
        (0..RESERVED_NAMES_MAX).for_each(|number| state.apply(&message(number)));
        state.apply(&message(7));
        assert!(!state.has_lost_names());
        state.apply(&message(RESERVED_NAMES_MAX));
        assert!(state.has_lost_names() && state.accounts.reserved().len() == RESERVED_NAMES_MAX);
    }

    #[test]
    fn messages_are_admitted_between_accounts_and_change_nothing() {
        let mut state = State::default();
        let (alice, bob) = (name("alice"), name("bob"));
        let message = |to| Event::Message { from: alice, to };
        assert_eq!(state.admit(&message(Target::Everyone), at(1)), Err(Refusal::NoAccount(alice)));
        state.record(credential("alice", 1, 1));
        assert_eq!(state.admit(&message(Target::Person(bob)), at(1)), Err(Refusal::NoAccount(bob)));
        state.record(reserved("bob", 1));
        let before = facts(&state);
        for to in [Target::Everyone, Target::Person(alice), Target::Person(bob)] {
            assert_eq!(state.admit(&message(to), at(1)), Ok(()));
            state.apply(&message(to));
        }
        assert_eq!(facts(&state), before);
    }

    /// A random event at a moment, which the state may refuse.
    fn random_event(random: &mut impl FnMut(u64) -> u64, state: &State, now: u64) -> Event<'static> {
        // The first two are one name, the next two look alike.
        const NAMES: [&str; 6] = ["alice", "Alice", "bill", "biIl", "carol", "dave"];
        let text = NAMES[random(6) as usize];
        let known = state.accounts.find(&name(text)).map(|id| &state.accounts[id]);
        let text = known.filter(|_| random(8) > 0).map_or(text, |account| account.name.as_str());
        let registered = known.filter(|_| random(8) > 0).map_or(at(now), |account| account.registered);
        let (name, hash, number) = (name(text), [now as u8; 32], now as u8);
        let credential = Credential { rounds: 5, salt: [number; 16], key: [number; 32] };
        match random(8) {
            0 => Event::Message { from: name, to: Target::Everyone },
            1 => Event::Message { from: name, to: Target::Person(self::name(NAMES[random(6) as usize])) },
            2 => Event::Account(UserRecord::Reserved { name, at: at(now) }),
            3 => Event::Account(UserRecord::Code { name, hash, issued: at(now) }),
            4 => Event::Account(UserRecord::Revoked { name, at: at(now) }),
            5 => Event::Account(UserRecord::Token { name, hash, issued: at(now) }),
            _ => Event::Account(UserRecord::Credential { name, credential, registered }),
        }
    }

    #[test]
    fn the_state_is_the_same_live_from_the_file_and_from_a_compacted_file() {
        let mut refused = 0;
        for seed in 1..100_u64 {
            let mut bits = seed;
            let mut random = |below: u64| {
                bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (bits >> 33) % below
            };
            let (mut live, mut text, mut check) = (State::default(), String::new(), Check::START);
            for now in 1..60 {
                let event = random_event(&mut random, &live, now);
                if live.admit(&event, at(now)).is_err() {
                    refused += 1;
                    continue;
                }
                live.apply(&event);
                if let Event::Account(record) = event {
                    check = write_line(&mut text, &record, check);
                }
            }
            let directory = tempfile::tempdir().unwrap();
            let mut storage = Directory::open(directory.path()).unwrap();
            fs::write(directory.path().join(USERS_FILE), text).unwrap();
            for what in ["the file", "a compacted file"] {
                let (_, recovered) = UsersFile::recover(&mut storage, false, None).unwrap();
                assert_eq!(facts(&recovered), facts(&live), "seed {seed}, {what}");
                rewrite_users(&mut storage, &recovered).unwrap();
            }
        }
        assert!(refused > 500, "{refused}");
    }
}
