//! What to say to people who type a command that does not exist.

use super::table::COMMANDS;
use crate::protocol::reply::Error;

/// Commands of other chat systems, and what to say to people who try them.
const ELSEWHERE: [(&[&str], &str); 1] =
    [(&["nick", "name"], "names are fixed, but /register creates another account")];

/// So many characters of an unknown command are repeated.
const SHOWN_MAX: usize = 20;

/// Returns the error for somebody who typed an unknown command, with advice.
pub fn unknown(word: &str) -> Error<'_> {
    let lower = word.to_ascii_lowercase();
    let known = ELSEWHERE.iter().find(|(words, _)| words.contains(&lower.as_str()));
    let end = word.char_indices().nth(SHOWN_MAX).map_or(word.len(), |(at, _)| at);
    let word = &word[..end];
    match (known, closest(&lower)) {
        (Some((_, advice)), _) => Error::UnknownCommand { word, advice },
        (None, Some((like, _))) => Error::MistypedCommand { word, like },
        (None, None) => Error::UnknownCommand { word, advice: "/help lists all commands" },
    }
}

/// The word of a command that is most like an unknown one, if any is, and how many slips lie between them.
pub fn closest(word: &str) -> Option<(&'static str, usize)> {
    if !(3..=20).contains(&word.len()) {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let slips_max = if word.len() > 4 { 2 } else { 1 };
    let words = COMMANDS.iter().flat_map(|entry| entry.words).filter(|other| other.len() >= 3);
    let with_slips = words.map(|other| {
        let slips = slips_between(word.as_bytes(), other.as_bytes());
        (*other, if other.starts_with(&word) { slips.min(2) } else { slips })
    });
    // Half a word is more likely meant than another one of the same length.
    let nearest = with_slips.min_by_key(|&(other, slips)| (!other.starts_with(&word), slips))?;
    let is_beginning = nearest.0.starts_with(&word);
    (nearest.1 <= slips_max || is_beginning).then_some(nearest)
}

/// Letters to insert, to delete, to replace or to swap with their neighbours (optimal string alignment).
fn slips_between(one: &[u8], other: &[u8]) -> usize {
    let mut rows: [Vec<usize>; 3] = [Vec::new(), Vec::new(), (0..=other.len()).collect()];
    for (at, byte) in one.iter().enumerate() {
        rows.rotate_left(1);
        let [before, above, row] = &mut rows;
        row.clear();
        row.push(at + 1);
        for (other_at, other_byte) in other.iter().enumerate() {
            let replaced = above[other_at] + usize::from(byte != other_byte);
            let mut slips = replaced.min(above[other_at + 1] + 1).min(row[other_at] + 1);
            let is_swap =
                at > 0 && other_at > 0 && *byte == other[other_at - 1] && one[at - 1] == *other_byte;
            if is_swap {
                slips = slips.min(before[other_at - 1] + 1);
            }
            row.push(slips);
        }
    }
    rows[2][other.len()]
}
