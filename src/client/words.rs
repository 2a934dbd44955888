//! What every client says and marks in the same way.

use crate::name::Name;

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

/// The place of a name among so many colours, the same in every client. FNV-1a.
pub fn colour_index(name: &Name, colours: usize) -> usize {
    let hash = name.as_bytes().iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    });
    hash as usize % colours
}

/// `alice, bob and 41 others joined`
pub fn presence(names: &[Name], others: u32, verb: &str) -> String {
    let mut words: Vec<String> = names.iter().map(Name::to_string).collect();
    if others > 0 {
        words.push(format!("{others} others"));
    }
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last} {verb}", rest.join(", ")),
        _ => format!("{} {verb}", words.concat()),
    }
}

/// A line without what is a password in it, or may be meant as one: that is not shown again.
pub fn without_secrets(line: &str) -> &str {
    let word = line.split(' ').next().unwrap_or(line);
    let has_secrets =
        ["/passwd", "/password", "/login", "/register"].iter().any(|it| it.eq_ignore_ascii_case(word));
    if has_secrets { word } else { line }
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
    }

    #[test]
    fn a_mention_is_a_word_of_its_own() {
        let name = Name::parse(b"Al").unwrap();
        assert_eq!(mention("al, are you there?", &name), Some(0));
        assert_eq!(mention("also AL", &name), Some(5));
        assert_eq!(mention("also al-bert", &name), None);
        assert_eq!(mention("é al", &name), Some(3));
        assert_eq!(mention("a", &name), None);
    }
}
