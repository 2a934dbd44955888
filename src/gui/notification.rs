//! Desktop notifications for messages that arrive while the window has no focus.

use std::collections::BTreeSet;

use chinwag::client::words::presence;
use chinwag::protocol::name::Name;

/// Names listed in one notification; others are only counted.
const NAMES_MAX: usize = 3;
/// Characters of a message that are shown.
const TEXT_MAX: usize = 200;

/// A private message, or a public one that mentions the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The sender.
    pub from: Name,
    /// Whether only the user can read it.
    pub is_private: bool,
    /// Its text.
    pub text: String,
}

/// Returns the title and the body of one notification for all of these, of which there is at least one. After an
/// absence, a hundred missed messages are announced once.
pub fn summary(notifications: &[Notification]) -> (String, String) {
    if let [one] = notifications {
        let verb = if one.is_private { "writes to you" } else { "mentions you" };
        return (format!("{} {verb}", one.from), plain(&one.text));
    }
    let names: BTreeSet<Name> = notifications.iter().map(|it| it.from).collect();
    let shown: Vec<Name> = names.iter().copied().take(NAMES_MAX).collect();
    let others = (names.len() - shown.len()) as u32;
    let (mut kind, mut verbs) = ("private messages", ["writes to you", "write to you"]);
    if notifications.iter().any(|it| !it.is_private) {
        (kind, verbs) = ("messages for you", ["wrote", "wrote"]);
    }
    let verb = verbs[usize::from(names.len() > 1)];
    (format!("{} {kind}", notifications.len()), presence(&shown, others, verb))
}

/// The beginning of a text without control characters, and without the invisible characters that change the direction
/// of what follows: a text must not be able to rearrange what the desktop shows around it.
fn plain(text: &str) -> String {
    let mut letters = text.chars().filter(|it| !is_direction_control(*it));
    let shown = letters.by_ref().take(TEXT_MAX);
    let mut shown: String = shown.map(|it| if it.is_control() { ' ' } else { it }).collect();
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

fn is_direction_control(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Escapes a text for a body that is read as markup (Desktop Notifications Specification, "Markup").
pub fn escape_markup(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}
