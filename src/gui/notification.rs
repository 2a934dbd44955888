//! What is told outside of the window.

use std::collections::BTreeSet;

use chinwag::client::words::presence;
use chinwag::name::Name;

/// Names that are told of at once; of others it is said how many.
const NAMES_MAX: usize = 3;

/// A private message that came while nobody looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Who wrote it.
    pub from: Name,
    /// What was said.
    pub text: String,
}

/// The title and the body for those that are to be told at this moment, at least one: a hundred that were missed are
/// told once.
pub fn summary(notifications: &[Notification]) -> (String, String) {
    if let [one] = notifications {
        return (format!("{} writes you", one.from), one.text.clone());
    }
    let names: BTreeSet<Name> = notifications.iter().map(|it| it.from).collect();
    let shown: Vec<Name> = names.iter().copied().take(NAMES_MAX).collect();
    let others = (names.len() - shown.len()) as u32;
    let verb = if names.len() == 1 { "writes you" } else { "write you" };
    (format!("{} private messages", notifications.len()), presence(&shown, others, verb))
}
