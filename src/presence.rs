//! Who came and who went, told in one line at most a second, however many they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{Micros, PRESENCE_NAMES_MAX, PRESENCE_PAUSE_US};
use crate::name::Name;

/// Those online, and what is still to be told of them.
#[derive(Default)]
pub struct Presence {
    /// By name; whether it was told that they are here.
    online: BTreeMap<Name, bool>,
    /// Gone, and it was told before that they are here.
    left: BTreeSet<Name>,
    /// Here, and not told yet.
    joined: BTreeSet<Name>,
    /// When the next line may be said.
    not_before_us: Micros,
}

impl Presence {
    /// How many are online.
    pub fn online(&self) -> usize {
        self.online.len()
    }

    /// Those online in the order of their names, from behind `after` on.
    pub fn names_after(&self, after: Option<&Name>) -> impl Iterator<Item = &Name> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, |name| Excluded(*name));
        self.online.range((from, Unbounded)).map(|(name, _)| name)
    }

    /// An account's first session is there.
    pub fn joined(&mut self, name: Name) {
        // Who went and came back before anyone was told was never away.
        let was_told = self.left.remove(&name);
        if !was_told {
            self.joined.insert(name);
        }
        self.online.insert(name, was_told);
    }

    /// An account's last session is gone.
    pub fn left(&mut self, name: Name) {
        match self.online.remove(&name) {
            Some(true) => {
                self.left.insert(name);
            }
            // Who came and went before anyone was told was never here.
            _ => {
                self.joined.remove(&name);
            }
        }
    }

    /// When [`Presence::tell`] has something to say; `None` for never.
    pub fn due_us(&self) -> Option<Micros> {
        (!self.joined.is_empty() || !self.left.is_empty()).then_some(self.not_before_us)
    }

    /// The line to say now, if any, without its ending; those who came before those who went.
    pub fn tell(&mut self, now_us: Micros) -> Option<String> {
        if self.due_us()? > now_us {
            return None;
        }
        self.not_before_us = now_us + PRESENCE_PAUSE_US;
        if self.joined.is_empty() {
            return Some(notice(&std::mem::take(&mut self.left), "left"));
        }
        let joined = std::mem::take(&mut self.joined);
        for name in &joined {
            self.online.insert(*name, true);
        }
        Some(notice(&joined, "joined"))
    }
}

/// `* a joined`, `* a and b joined`, `* a, b and c left`, `* a, b and 41 others left`.
fn notice(names: &BTreeSet<Name>, verb: &str) -> String {
    let shown: Vec<_> = names.iter().map(Name::as_str).take(PRESENCE_NAMES_MAX).collect();
    match &shown[..] {
        [one] => format!("* {one} {verb}"),
        [first @ .., last] if shown.len() == names.len() => {
            format!("* {} and {last} {verb}", first.join(", "))
        }
        _ => format!("* {} and {} others {verb}", shown[..2].join(", "), names.len() - 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn one_line_a_second_tells_all_that_came_or_went_since() {
        let mut presence = Presence::default();
        assert_eq!(presence.due_us(), None);
        presence.joined(name("alice"));
        assert_eq!(presence.tell(5).as_deref(), Some("* alice joined"));
        for number in 0..43 {
            presence.joined(name(&format!("n{number}")));
        }
        presence.left(name("alice"));
        assert_eq!(presence.tell(PRESENCE_PAUSE_US), None, "too early");
        assert_eq!(presence.due_us(), Some(5 + PRESENCE_PAUSE_US));
        let told = presence.tell(5 + PRESENCE_PAUSE_US);
        assert_eq!(told.as_deref(), Some("* n0, n1 and 41 others joined"));
        assert_eq!(presence.tell(5 + 2 * PRESENCE_PAUSE_US).as_deref(), Some("* alice left"));
        assert_eq!(presence.due_us(), None);
        assert_eq!(presence.online(), 43);
    }

    #[test]
    fn few_are_all_named() {
        let left = |names: &[&str]| notice(&names.iter().map(|text| name(text)).collect(), "left");
        assert_eq!(left(&["a", "b"]), "* a and b left");
        assert_eq!(left(&["a", "b", "c", "d", "e"]), "* a, b, c, d and e left");
        assert_eq!(left(&["a", "b", "c", "d", "e", "f"]), "* a, b and 4 others left");
    }

    #[test]
    fn who_came_and_went_untold_is_not_told_of() {
        let mut presence = Presence::default();
        presence.joined(name("alice"));
        presence.left(name("alice"));
        assert_eq!(presence.tell(0), None);
        presence.joined(name("bob"));
        presence.tell(0);
        presence.left(name("bob"));
        presence.joined(name("Bob"));
        assert_eq!(presence.tell(10 * PRESENCE_PAUSE_US), None);
        presence.left(name("bob"));
        assert_eq!(presence.tell(10 * PRESENCE_PAUSE_US).as_deref(), Some("* bob left"));
    }

    #[test]
    fn names_are_listed_from_any_one_on() {
        let mut presence = Presence::default();
        for text in ["carol", "Alice", "bob"] {
            presence.joined(name(text));
        }
        let after = |after: Option<&str>| {
            let after = after.map(name);
            presence.names_after(after.as_ref()).map(Name::as_str).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(after(None), "Alice bob carol");
        assert_eq!(after(Some("ALICE")), "bob carol");
        assert_eq!(after(Some("b")), "bob carol");
        assert_eq!(after(Some("zed")), "");
    }
}
