//! What every client says and marks in the same way.

use crate::protocol::name::Name;
use crate::protocol::reply::Crowd;

/// Where in a text a name stands as a word of its own, whatever the case.
pub fn mention(text: &str, name: &Name) -> Option<usize> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let (bytes, length) = (text.as_bytes(), name.as_bytes().len());
    (0..=bytes.len().checked_sub(length)?).find(|&at| {
        bytes[at..at + length].eq_ignore_ascii_case(name.as_bytes())
            && !bytes[..at].last().is_some_and(is_part)
            && !bytes.get(at + length).is_some_and(is_part)
    })
}

/// A text in pieces: which of them are the name as a word of its own.
pub fn mentions<'a>(text: &'a str, name: &'a Name) -> impl Iterator<Item = (&'a str, bool)> {
    let mut rest = text;
    let mut found = None;
    std::iter::from_fn(move || {
        let is_name = found.is_some();
        let end = found.take().unwrap_or_else(|| match mention(rest, name) {
            Some(at) => {
                found = Some(name.as_bytes().len());
                at
            }
            None => rest.len(),
        });
        let (piece, behind) = rest.split_at(end);
        rest = behind;
        (!piece.is_empty() || found.is_some()).then_some((piece, is_name))
    })
    .filter(|(piece, _)| !piece.is_empty())
}

/// The place of a name among so many colours, the same in every client. FNV-1a.
pub fn colour_index(name: &Name, colours: usize) -> usize {
    let hash = name.as_bytes().iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    });
    hash as usize % colours
}

/// `alice, bob and 41 others joined`
pub fn presence(names: &[Name], others: u32, verb: &str) -> String {
    format!("{} {verb}", Crowd { names: names.into(), others })
}

/// Commands whose arguments are secret.
const SECRET: [&str; 6] = ["/passwd ", "/password ", "/login ", "/register ", "/resume ", "/code "];

/// A line without the passwords, tokens and codes in it, which are not shown again: only up to the command. What stands
/// before the command does not matter, because it may be a slip of the keyboard.
pub fn without_secrets(line: &str) -> &str {
    let lower = line.to_ascii_lowercase();
    let ends = SECRET.iter().filter_map(|word| Some(lower.find(word)? + word.len() - 1));
    &line[..ends.min().unwrap_or(line.len())]
}

/// Whether there is a password, a token or a code in a line, so that it is neither shown nor recalled.
pub fn has_secrets(line: &str) -> bool {
    without_secrets(line).len() < line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown_again() {
        assert_eq!(without_secrets("/passwd correct-horse battery-staple"), "/passwd");
        assert_eq!(without_secrets("/PASSWD a b"), "/PASSWD");
        assert_eq!(without_secrets("/login alice correct-horse"), "/login");
        assert_eq!(without_secrets("/msg bob psst"), "/msg bob psst");
        assert_eq!(without_secrets("/passwds are secret"), "/passwds are secret");
        assert_eq!(without_secrets(" /login alice correct-horse"), " /login");
        assert_eq!(without_secrets("\u{fffd}[A/passwd a /login b"), "\u{fffd}[A/passwd");
        assert_eq!(without_secrets("/resume alice 00112233"), "/resume");
        assert!(has_secrets("/code 0011") && !has_secrets("/code") && !has_secrets("hello"));
    }

    #[test]
    fn a_mention_is_a_word_of_its_own() {
        let name = Name::parse(b"Al").unwrap();
        assert_eq!(mention("al, are you there?", &name), Some(0));
        assert_eq!(mention("also AL", &name), Some(5));
        assert_eq!(mention("also al-bert", &name), None);
        assert_eq!(mention("é al", &name), Some(3));
        assert_eq!(mention("a", &name), None);
        let pieces = |text: &str| {
            mentions(text, &name).map(|(piece, is)| format!("{piece}{}", u8::from(is))).collect::<Vec<_>>()
        };
        assert_eq!(pieces("al, AL and albert: al"), ["al1", ", 0", "AL1", " and albert: 0", "al1"]);
        assert_eq!(pieces("al al"), ["al1", " 0", "al1"]);
        assert_eq!(pieces("hello"), ["hello0"]);
        assert_eq!(pieces(""), [""; 0]);
    }
}
