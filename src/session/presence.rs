//! Who is online, and the presence notices: at most one line per second, however many people join or leave.

use std::collections::BTreeSet;

use crate::ids::AccountId;
use crate::limits::{Micros, PRESENCE_NAMES_MAX, PRESENCE_PAUSE_US};
use crate::protocol::name::Name;
use crate::protocol::reply::{Crowd, Notice};
use crate::state::accounts::Accounts;

/// The accounts that are online, and what is still to be announced about them.
#[derive(Default)]
pub struct Presence {
    /// In the order of their names.
    online: Vec<AccountId>,
    /// Offline, after it was announced that they joined.
    left: BTreeSet<Name>,
    /// Online, which was not announced yet.
    joined: BTreeSet<Name>,
    /// When the next line may be said.
    not_before_us: Micros,
}

impl Presence {
    /// Returns how many accounts are online.
    pub fn online(&self) -> usize {
        self.online.len()
    }

    /// Returns the accounts that are online and whose names follow `after`, in the order of their names.
    pub fn accounts_after(&self, after: Option<&Name>, accounts: &Accounts) -> &[AccountId] {
        let is_before = |name: &Name| after.is_some_and(|after| name <= after);
        &self.online[self.online.partition_point(|&id| is_before(&accounts[id].name))..]
    }

    /// Notes that an account's first session is here.
    pub fn joined(&mut self, account: AccountId, accounts: &Accounts) {
        let name = accounts[account].name;
        // If nobody was told that it left, it was never away.
        if !self.left.remove(&name) {
            self.joined.insert(name);
        }
        if let Err(place) = self.place(&name, accounts) {
            self.online.insert(place, account);
        }
    }

    /// Notes that an account's last session is gone.
    pub fn left(&mut self, account: AccountId, accounts: &Accounts) {
        let name = accounts[account].name;
        let Ok(place) = self.place(&name, accounts) else { return };
        self.online.remove(place);
        // If nobody was told that it joined, it was never here.
        if !self.joined.remove(&name) {
            self.left.insert(name);
        }
    }

    fn place(&self, name: &Name, accounts: &Accounts) -> Result<usize, usize> {
        self.online.binary_search_by(|&id| accounts[id].name.cmp(name))
    }

    /// When [`Presence::tell`] has something to say; `None` for never.
    pub fn due_us(&self) -> Option<Micros> {
        (!self.joined.is_empty() || !self.left.is_empty()).then_some(self.not_before_us)
    }

    /// The notice to send now, if any; those who came before those who went.
    pub fn tell(&mut self, now_us: Micros) -> Option<Notice<'static>> {
        if self.due_us()? > now_us {
            return None;
        }
        self.not_before_us = now_us + PRESENCE_PAUSE_US;
        if self.joined.is_empty() {
            return Some(Notice::Left { who: crowd(&std::mem::take(&mut self.left)) });
        }
        Some(Notice::Joined { who: crowd(&std::mem::take(&mut self.joined)) })
    }
}

/// Names all of a few, and two of many.
fn crowd(names: &BTreeSet<Name>) -> Crowd<'static> {
    let shown = if names.len() <= PRESENCE_NAMES_MAX { names.len() } else { 2 };
    Crowd { names: names.iter().take(shown).copied().collect(), others: (names.len() - shown) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::state::durable::State;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    /// A presence of accounts that exist once they are named.
    #[derive(Default)]
    struct Crowd {
        state: State,
        presence: Presence,
    }

    impl Crowd {
        fn account(&mut self, text: &str) -> AccountId {
            let known = self.state.accounts().find(&name(text));
            known.unwrap_or_else(|| self.state.add_for_test(name(text)))
        }

        fn joined(&mut self, text: &str) {
            let account = self.account(text);
            self.presence.joined(account, self.state.accounts());
        }

        fn left(&mut self, text: &str) {
            let account = self.account(text);
            self.presence.left(account, self.state.accounts());
        }

        fn tell(&mut self, now_us: Micros) -> Option<String> {
            self.presence.tell(now_us).map(|notice| notice.to_string())
        }
    }

    #[test]
    fn one_line_a_second_tells_all_that_came_or_went_since() {
        let mut crowd = Crowd::default();
        assert_eq!(crowd.presence.due_us(), None);
        crowd.joined("alice");
        assert_eq!(crowd.tell(5).as_deref(), Some("alice joined"));
        for number in 0..43 {
            crowd.joined(&format!("n{number}"));
        }
        crowd.left("alice");
        assert_eq!(crowd.tell(PRESENCE_PAUSE_US), None, "too early");
        assert_eq!(crowd.presence.due_us(), Some(5 + PRESENCE_PAUSE_US));
        let told = crowd.tell(5 + PRESENCE_PAUSE_US);
        assert_eq!(told.as_deref(), Some("n0, n1 and 41 others joined"));
        assert_eq!(crowd.tell(5 + 2 * PRESENCE_PAUSE_US).as_deref(), Some("alice left"));
        assert_eq!(crowd.presence.due_us(), None);
        assert_eq!(crowd.presence.online(), 43);
    }

    #[test]
    fn few_are_all_named() {
        let crowd = |names: &[&str]| crowd(&names.iter().map(|text| name(text)).collect()).to_string();
        assert_eq!(crowd(&["a", "b"]), "a and b");
        assert_eq!(crowd(&["a", "b", "c", "d", "e"]), "a, b, c, d and e");
        assert_eq!(crowd(&["a", "b", "c", "d", "e", "f"]), "a, b and 4 others");
    }

    #[test]
    fn who_came_and_went_untold_is_not_told_of() {
        let mut crowd = Crowd::default();
        crowd.joined("alice");
        crowd.left("alice");
        assert_eq!(crowd.tell(0), None);
        crowd.joined("bob");
        crowd.tell(0);
        crowd.left("bob");
        crowd.joined("Bob");
        assert_eq!(crowd.tell(10 * PRESENCE_PAUSE_US), None);
        crowd.left("bob");
        assert_eq!(crowd.tell(10 * PRESENCE_PAUSE_US).as_deref(), Some("bob left"));
    }

    #[test]
    fn names_are_listed_from_any_one_on() {
        let mut crowd = Crowd::default();
        for text in ["carol", "Alice", "bob"] {
            crowd.joined(text);
        }
        let after = |after: Option<&str>| {
            let after = after.map(name);
            let ids = crowd.presence.accounts_after(after.as_ref(), crowd.state.accounts());
            ids.iter().map(|&id| crowd.state.accounts()[id].name.as_str()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(after(None), "Alice bob carol");
        assert_eq!(after(Some("ALICE")), "bob carol");
        assert_eq!(after(Some("b")), "bob carol");
        assert_eq!(after(Some("zed")), "");
    }
}
