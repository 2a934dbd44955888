//! One attempt to log in, to register or to change a password: the derivations that it takes, one after another,
//! and what they come to.

use std::fmt;

use crate::auth::credential::Credential;
use crate::auth::kdf::{self, Derivation, Key, PreparedPassword, Salt};
use crate::ids::AccountId;
use crate::limits::PASSWD_SPLITS_MAX;
use crate::protocol::command::password_splits;
use crate::protocol::name::Name;
use crate::protocol::text::is_blank;

/// What is being attempted. Kept by its session, so that it is gone with it.
#[derive(Debug)]
pub struct Attempt {
    name: Name,
    purpose: Purpose,
    password: PreparedPassword,
    /// What is tried next if that is wrong: the password of a login with the blanks around it. Version 0.1 stored
    /// them.
    other: Option<PreparedPassword>,
    /// The two have changed places.
    tried_other: bool,
    /// Rounds and salt of the derivation under way.
    rounds: u32,
    salt: Salt,
    derivation: Derivation,
    fresh: Fresh,
    /// What the password is or was checked against; `None` where there is nothing.
    checked: Option<Credential>,
    /// What it came to, if that is judged in a later turn.
    postponed: Option<Verdict>,
}

/// How a password is stored from now on.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    /// Rounds; `--kdf-rounds`.
    pub rounds: u32,
    /// A new salt, or none where the system had no randomness.
    pub salt: Option<Salt>,
}

#[derive(Debug)]
enum Purpose {
    /// To see whether a password is right; `None` for an account that is not there, at the same cost.
    Login(Option<(AccountId, Credential)>),
    /// To let a wrong password take as long as it does with today's rounds: an account whose rounds are fewer would
    /// show by its time that it is there.
    Pad,
    /// To see whether one of the ways to divide the two passwords begins with the right one.
    CheckOld { credential: Credential, passwords: Box<str>, split: usize },
    /// To store a password.
    Store(SaveReason),
}

/// Why a credential is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveReason {
    /// The account is new.
    Registered,
    /// It has another password.
    PasswordChanged,
    /// It has the same password with more rounds, and logs in.
    Upgraded,
    /// It has another password, or its first, chosen with a code; and logs in.
    Reset,
    /// It has a token, which is to be told.
    Token(Secret),
}

/// A token before it is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

impl fmt::Display for Secret {
    /// As it is written on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What an attempt came to.
#[derive(Debug)]
pub enum Verdict {
    /// Another derivation is due.
    Again,
    /// The password is wrong, or there is no such account.
    Wrong,
    /// The password is right.
    Right(AccountId),
    /// This is to be stored.
    Store(Credential, SaveReason),
}

impl Attempt {
    /// To log in to the account of this name, if there is one.
    pub fn login(
        name: Name,
        account: Option<(AccountId, Credential)>,
        password: &str,
        fresh: Fresh,
    ) -> Attempt {
        let (rounds, salt) = match &account {
            Some((_, credential)) => (credential.rounds, credential.salt),
            None => (fresh.rounds, Salt::default()),
        };
        let checked = account.map(|(_, credential)| credential);
        // Whether or not there is such an account, and whenever it was made, so that the time does not tell.
        let bare = password.trim_matches(is_blank);
        let other = (bare != password).then(|| prepare(password));
        let attempt = Attempt::new(name, Purpose::Login(account), prepare(bare), (rounds, salt), fresh);
        Attempt { checked, other, ..attempt }
    }

    /// To register; `None` without a salt.
    pub fn register(name: Name, password: &str, fresh: Fresh) -> Option<Attempt> {
        let purpose = Purpose::Store(SaveReason::Registered);
        Some(Attempt::new(name, purpose, prepare(password), (fresh.rounds, fresh.salt?), fresh))
    }

    /// To choose a password with a code; `None` without a salt.
    pub fn reset(name: Name, password: &str, fresh: Fresh) -> Option<Attempt> {
        let purpose = Purpose::Store(SaveReason::Reset);
        Some(Attempt::new(name, purpose, prepare(password), (fresh.rounds, fresh.salt?), fresh))
    }

    /// To change a password; `None` without a salt. `passwords` can be divided in two.
    pub fn change(name: Name, credential: Credential, passwords: &str, fresh: Fresh) -> Option<Attempt> {
        fresh.salt?;
        let (old, _) = password_splits(passwords).next()?;
        let purpose = Purpose::CheckOld { credential, passwords: passwords.into(), split: 0 };
        let attempt = Attempt::new(name, purpose, prepare(old), (credential.rounds, credential.salt), fresh);
        Some(Attempt { checked: Some(credential), ..attempt })
    }

    fn new(
        name: Name,
        purpose: Purpose,
        password: PreparedPassword,
        (rounds, salt): (u32, Salt),
        fresh: Fresh,
    ) -> Attempt {
        let derivation = Derivation::new(password.clone(), &salt, rounds);
        Attempt {
            name,
            purpose,
            password,
            other: None,
            tried_other: false,
            rounds,
            salt,
            derivation,
            fresh,
            checked: None,
            postponed: None,
        }
    }

    /// The name that was given.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What the password is or was checked against; `None` where there is nothing.
    pub fn checked(&self) -> Option<&Credential> {
        self.checked.as_ref()
    }

    /// Whether it is to make an account.
    pub fn is_registration(&self) -> bool {
        matches!(self.purpose, Purpose::Store(SaveReason::Registered))
    }

    /// Whether it chooses a password without giving an earlier one.
    pub fn chooses_password(&self) -> bool {
        matches!(self.purpose, Purpose::Store(SaveReason::Registered | SaveReason::Reset))
    }

    /// Checks the password of a login again, against what stands by now. Whether it does: a change of password
    /// has to be asked for again.
    pub fn check_again(&mut self, account: AccountId, standing: Credential) -> bool {
        if !matches!(self.purpose, Purpose::Login(_) | Purpose::Pad | Purpose::Store(SaveReason::Upgraded)) {
            return false;
        }
        let purpose = Purpose::Login(Some((account, standing)));
        let rounds_and_salt = (standing.rounds, standing.salt);
        let again = Attempt::new(self.name, purpose, self.password.clone(), rounds_and_salt, self.fresh);
        *self = Attempt { checked: Some(standing), other: self.other.take(), ..again };
        true
    }

    /// Returns how many passwords were found to be wrong, once the attempt has failed.
    pub fn failures(&self) -> u32 {
        match &self.purpose {
            Purpose::CheckOld { split, .. } => *split as u32,
            _ => 1 + u32::from(self.tried_other),
        }
    }

    /// Does up to `rounds` rounds; `None` while there are more to do.
    pub fn step(&mut self, rounds: u32) -> Option<Verdict> {
        if self.postponed.is_some() {
            return self.postponed.take();
        }
        let key = self.derivation.step(rounds)?;
        let missing = self.fresh.rounds.saturating_sub(self.rounds) * self.failures();
        match self.derived(key) {
            Verdict::Wrong if missing > 0 && matches!(self.purpose, Purpose::Login(_)) => {
                self.purpose = Purpose::Pad;
                // The first of these rounds is done at once.
                self.derivation = Derivation::new(self.password.clone(), &self.salt, missing);
                (missing == 1).then_some(Verdict::Wrong)
            }
            verdict => Some(verdict),
        }
    }

    /// Makes the next step return this again, at no cost.
    pub fn postpone(&mut self, verdict: Option<Verdict>) {
        self.postponed = verdict;
    }

    fn derived(&mut self, key: Key) -> Verdict {
        match &mut self.purpose {
            Purpose::Login(Some((account, credential))) if kdf::equal(&key, &credential.key) => {
                let account = *account;
                match self.fresh.salt.filter(|_| self.rounds < self.fresh.rounds) {
                    Some(salt) => self.store(self.password.clone(), salt, SaveReason::Upgraded),
                    None => Verdict::Right(account),
                }
            }
            Purpose::Login(_) if !self.tried_other && self.other.is_some() => {
                self.tried_other = true;
                let other = self.other.replace(self.password.clone());
                self.password = other.expect("looked at just now");
                self.derivation = Derivation::new(self.password.clone(), &self.salt, self.rounds);
                Verdict::Again
            }
            Purpose::Login(_) | Purpose::Pad => Verdict::Wrong,
            Purpose::CheckOld { credential, passwords, split } => {
                if kdf::equal(&key, &credential.key) {
                    let (_, new) = password_splits(passwords).nth(*split).expect("the one under way");
                    let (new, salt) = (prepare(new), self.fresh.salt.expect("looked at by change"));
                    return self.store(new, salt, SaveReason::PasswordChanged);
                }
                *split += 1;
                let Some((old, _)) = password_splits(passwords).take(PASSWD_SPLITS_MAX).nth(*split) else {
                    return Verdict::Wrong;
                };
                self.password = prepare(old);
                self.derivation = Derivation::new(self.password.clone(), &self.salt, self.rounds);
                Verdict::Again
            }
            Purpose::Store(reason) => {
                Verdict::Store(Credential { rounds: self.rounds, salt: self.salt, key }, *reason)
            }
        }
    }

    /// Goes on to derive what is to be stored.
    fn store(&mut self, password: PreparedPassword, salt: Salt, reason: SaveReason) -> Verdict {
        let (purpose, fresh, checked) = (Purpose::Store(reason), self.fresh, self.checked);
        *self = Attempt::new(self.name, purpose, password, (fresh.rounds, salt), fresh);
        self.checked = checked;
        Verdict::Again
    }
}

fn prepare(password: &str) -> PreparedPassword {
    PreparedPassword::new(password.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Fresh = Fresh { rounds: 3, salt: Some([9; 16]) };

    fn name() -> Name {
        Name::parse(b"alice").unwrap()
    }

    /// Steps to the end; how many derivations it took, and the verdict.
    fn run(mut attempt: Attempt) -> (u32, Verdict) {
        let mut derivations = 0;
        loop {
            match attempt.step(1) {
                None => {}
                Some(Verdict::Again) => derivations += 1,
                Some(verdict) => return (derivations + 1, verdict),
            }
        }
    }

    fn stored(attempt: Attempt) -> Credential {
        match run(attempt).1 {
            Verdict::Store(credential, _) => credential,
            other => panic!("{other:?}"),
        }
    }

    fn account(password: &str, rounds: u32) -> (AccountId, Credential) {
        let credential = stored(Attempt::register(name(), password, Fresh { rounds, ..FRESH }).unwrap());
        (AccountId::for_test(&name()), credential)
    }

    #[test]
    fn what_was_registered_logs_in_and_nothing_else_does() {
        let account = account("correct-horse", 3);
        let login = |account, password| run(Attempt::login(name(), account, password, FRESH));
        assert!(matches!(login(Some(account), "correct-horse"), (1, Verdict::Right(_))));
        assert!(matches!(login(Some(account), "correct-horsf"), (1, Verdict::Wrong)));
        assert!(matches!(login(None, "correct-horse"), (1, Verdict::Wrong)));
    }

    #[test]
    fn blanks_around_a_password_are_tried_last() {
        let login = |account, password| run(Attempt::login(name(), account, password, FRESH));
        let (new, old) = (account("correct-horse", 3), account(" correct-horse ", 3));
        assert!(matches!(login(Some(new), "correct-horse \u{a0}"), (1, Verdict::Right(_))));
        assert!(matches!(login(Some(old), " correct-horse "), (2, Verdict::Right(_))));
        assert!(matches!(login(Some(old), "correct-horse"), (1, Verdict::Wrong)));
        for account in [None, Some(new), Some(old)] {
            assert!(matches!(login(account, " wrong-horse"), (2, Verdict::Wrong)));
        }
        // An upgrade stores the one that was right.
        let (_, credential) = account(" correct-horse ", 2);
        let upgraded = stored(Attempt::login(name(), Some((old.0, credential)), " correct-horse ", FRESH));
        assert_eq!(upgraded.key, stored(Attempt::register(name(), " correct-horse ", FRESH).unwrap()).key);
    }

    #[test]
    fn unknown_names_cost_the_rounds_of_today() {
        let mut attempt = Attempt::login(name(), None, "password", FRESH);
        assert!(attempt.step(FRESH.rounds - 2).is_none());
        assert!(matches!(attempt.step(1), Some(Verdict::Wrong)));
    }

    #[test]
    fn a_wrong_password_takes_the_rounds_of_today_for_an_account_of_fewer() {
        for rounds in 1..=5 {
            let old = account("correct-horse", rounds);
            let fresh = Fresh { rounds: 5, ..FRESH };
            let mut attempt = Attempt::login(name(), Some(old), "wrong-horse", fresh);
            let mut steps = 0;
            while attempt.step(1).is_none() {
                steps += 1;
            }
            // The first round of each of the two derivations is done without a step.
            assert!((2..=4).contains(&steps), "{rounds} rounds: {steps}");
        }
    }

    #[test]
    fn a_wrong_old_password_counts_for_every_way_to_divide_the_words() {
        let (_, credential) = account("correct horse staple", 3);
        let mut attempt =
            Attempt::change(name(), credential, "aaaaaaaa bbbbbbbb cccccccc dddddddd", FRESH).unwrap();
        while !matches!(attempt.step(1), Some(Verdict::Wrong)) {}
        assert_eq!(attempt.failures(), 3);
    }

    #[test]
    fn a_right_password_is_derived_again_when_the_rounds_have_risen() {
        let old = account("correct-horse", 2);
        match run(Attempt::login(name(), Some(old), "correct-horse", FRESH)) {
            (2, Verdict::Store(credential, SaveReason::Upgraded)) => {
                assert_eq!((credential.rounds, credential.salt), (3, [9; 16]));
                let renewed = (old.0, credential);
                let login = Attempt::login(name(), Some(renewed), "correct-horse", FRESH);
                assert!(matches!(run(login), (1, Verdict::Right(_))));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(run(Attempt::login(name(), Some(old), "wrong-horse", FRESH)), (1, Verdict::Wrong)));
        let no_salt = Fresh { salt: None, ..FRESH };
        assert!(matches!(
            run(Attempt::login(name(), Some(old), "correct-horse", no_salt)),
            (1, Verdict::Right(_))
        ));
    }

    #[test]
    fn a_password_with_spaces_can_be_changed_to_another() {
        let (_, credential) = account("correct horse staple", 3);
        let change = |passwords| Attempt::change(name(), credential, passwords, FRESH);
        let new = stored(change("correct horse staple battery pack of cells").unwrap());
        assert_eq!(new.key, account("battery pack of cells", 3).1.key);
        assert!(matches!(run(change("correct horse other-password").unwrap()).1, Verdict::Wrong));
        assert!(change("two short").is_none());
    }
}
