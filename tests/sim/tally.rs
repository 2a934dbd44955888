//! How often what happened, by name: so that it can be seen that a fault which may befall a run did.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: BTreeMap<&'static str, u64>,
    greatest: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub fn add(&mut self, what: &'static str, count: u64) {
        *self.counts.entry(what).or_default() += count;
    }

    /// Keeps the greatest.
    pub fn raise(&mut self, what: &'static str, to: u64) {
        let greatest = self.greatest.entry(what).or_default();
        *greatest = to.max(*greatest);
    }

    /// Adds another's counts, which begin anew there.
    pub fn take_from(&mut self, other: &mut Tally) {
        for (what, count) in std::mem::take(&mut other.counts) {
            self.add(what, count);
        }
        for (what, greatest) in std::mem::take(&mut other.greatest) {
            self.raise(what, greatest);
        }
    }

    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts
            .iter()
            .chain(&self.greatest)
            .try_for_each(|(what, count)| writeln!(f, "{count:>12}  {what}"))
    }
}
