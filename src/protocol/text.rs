//! What may stand in a message, by Unicode properties.
//!
//! Cleaning has two steps. [`sanitise`] makes a line safe to display: bytes that are not UTF-8, control characters,
//! line separators and characters that override the writing direction become U+FFFD. It applies to every line, and
//! a log that contains such a character is damaged. [`tidy`] then applies the rules for new messages: it drops
//! characters that show nothing and that no writing system needs, combining marks beyond [`MARKS_MAX`] on one letter,
//! and blanks beyond [`BLANKS_MAX`] in a row. Logs of version 0.1 break the rules of the second step, so readers
//! don't check them.

mod table;

use self::table::{OVERLAID, RANGES};

/// Combining marks on one letter.
pub const MARKS_MAX: u32 = 16;
/// Characters in a row that show nothing: blanks, and invisible characters between them.
pub const BLANKS_MAX: u32 = 32;

/// How a character is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Shows something by itself.
    Visible,
    /// A combining mark: General_Category Mn, Mc or Me.
    Mark,
    /// White_Space, and what looks like it: the empty braille pattern U+2800, Egyptian blanks, the null notehead.
    Blank,
    /// Shows nothing, but writing systems need it: word breaks (U+200B), joiners, directional marks, soft hyphens,
    /// variation selectors, the grapheme joiner, the Mongolian vowel separator, Egyptian format controls.
    Invisible,
    /// The rest of Default_Ignorable_Code_Point, which includes the Hangul fillers, and Noncharacter_Code_Point.
    Dropped,
    /// Controls except the tab, line and paragraph separators, Bidi_Control except the three marks, and format
    /// characters that are neither ignorable nor visible (interlinear annotations).
    Unsafe,
}

/// Returns the class of a character.
pub fn class(character: char) -> Class {
    match character {
        ' ' | '\t' => Class::Blank,
        '!'..='~' => Class::Visible,
        '\0'..='\x7f' => Class::Unsafe,
        _ => {
            let code = u32::from(character);
            let at = RANGES.partition_point(|&(_, last, _)| last < code);
            RANGES.get(at).filter(|&&(first, ..)| first <= code).map_or(Class::Visible, |&(.., class)| class)
        }
    }
}

/// Returns whether a character could move a cursor, end a line or reorder what surrounds it.
pub fn is_unsafe(character: char) -> bool {
    class(character) == Class::Unsafe
}

/// Returns whether a character separates words.
pub fn is_blank(character: char) -> bool {
    class(character) == Class::Blank
}

/// Returns whether a character shows something in a terminal's cell of its own. What does not is easily overlooked at
/// the start of a line: blanks, marks, and characters that are drawn over the one before.
pub fn has_own_cell(character: char) -> bool {
    let is_overlaid = |character: char| {
        let code = u32::from(character);
        let at = OVERLAID.partition_point(|&(_, last)| last < code);
        OVERLAID.get(at).is_some_and(|&(first, _)| first <= code)
    };
    class(character) == Class::Visible && (character.is_ascii() || !is_overlaid(character))
}

/// Returns whether a text shows anything at all.
pub fn has_visible(text: &str) -> bool {
    text.chars().any(|character| matches!(class(character), Class::Visible | Class::Mark))
}

/// Writes `raw` to `text`, with U+FFFD in place of unsafe characters and of what is not UTF-8. Returns whether
/// anything was replaced.
pub fn sanitise(raw: &[u8], text: &mut String) -> bool {
    text.clear();
    let mut replaced = false;
    for chunk in raw.utf8_chunks() {
        let valid = chunk.valid();
        if valid.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
            text.push_str(valid);
        } else {
            for character in valid.chars() {
                let bad = is_unsafe(character);
                replaced |= bad;
                text.push(if bad { char::REPLACEMENT_CHARACTER } else { character });
            }
        }
        if !chunk.invalid().is_empty() {
            replaced = true;
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    replaced
}

/// Applies the rules for new messages to the part of `text` that begins at the byte `from`.
pub fn tidy(text: &mut String, from: usize) {
    if let Some(tidied) = tidied(&text[from..]) {
        text.truncate(from);
        text.push_str(&tidied);
    }
}

/// Returns a tidy copy, or `None` if the text is tidy already.
fn tidied(text: &str) -> Option<String> {
    let mut copy: Option<String> = None;
    let (mut blanks, mut marks, mut flag_end) = (0, 0, 0);
    for (at, character) in text.char_indices() {
        let stays = match class(character) {
            Class::Visible => {
                (blanks, marks) = (0, 0);
                if character == BLACK_FLAG {
                    let tags_at = at + character.len_utf8();
                    flag_end = tags_at + flag_tags_length(&text[tags_at..]);
                }
                true
            }
            Class::Mark => {
                blanks = 0;
                marks += 1;
                marks <= MARKS_MAX
            }
            Class::Blank => {
                (blanks, marks) = (blanks + 1, 0);
                blanks <= BLANKS_MAX
            }
            Class::Invisible => {
                blanks += 1;
                blanks <= BLANKS_MAX
            }
            Class::Dropped => at < flag_end,
            // Only where the caller has not sanitised the text.
            Class::Unsafe => false,
        };
        match &mut copy {
            Some(copy) if stays => copy.push(character),
            None if !stays => copy = Some(text[..at].to_owned()),
            _ => {}
        }
    }
    copy
}

/// The base of the flags that are spelled with tag characters, such as Scotland's (UTS #51, ED-14a).
const BLACK_FLAG: char = '\u{1f3f4}';

/// The length in bytes of the tags that follow a black flag: a region of up to six letters or digits and the tag that
/// ends it; 0 if they don't spell a flag. All other tag characters are dropped: they could hide a text.
fn flag_tags_length(text: &str) -> usize {
    let is_region =
        |&character: &char| matches!(character, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}');
    let region: usize = text.chars().take_while(is_region).take(6).map(char::len_utf8).sum();
    let end = text[region..].chars().next().filter(|&character| character == '\u{e007f}');
    end.filter(|_| region > 0).map_or(0, |end| region + end.len_utf8())
}

/// Returns what the person who typed `raw` sees of it (see `as_seen`), row by row: a carriage return or a line
/// separator begins another.
pub fn rows_as_seen(raw: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw);
    text.split(['\r', '\x0b', '\x0c', '\u{85}', '\u{2028}', '\u{2029}']).map(as_seen).collect()
}

/// Returns what the person who typed `text` sees of it: without escape sequences, without what backspaces erased,
/// without characters that show nothing, and without blanks at both ends.
///
/// Terminals send escape sequences for keys such as the arrows, and `nc` passes them on. The sequences are those of
/// ECMA-48 and xterm. Only a string with a terminator may contain a slash, so that a command behind an incomplete
/// sequence is seen.
fn as_seen(text: &str) -> String {
    let mut seen = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' => skip_escape_sequence(&mut rest),
            '\u{9b}' => skip_control_sequence(&mut rest),
            '\u{8f}' => skip_function_key(&mut rest),
            '\x08' | '\x7f' => erase(&mut seen),
            // Ctrl-U erases the line, Ctrl-W a word.
            '\x15' => seen.clear(),
            '\x17' => {
                let words = seen.trim_end_matches(is_blank);
                let length = words.trim_end_matches(|it| !is_blank(it)).len();
                seen.truncate(length);
            }
            _ if matches!(class(character), Class::Visible | Class::Mark | Class::Blank) => {
                seen.push(character);
            }
            _ => {}
        }
    }
    seen.trim_matches(is_blank).to_owned()
}

/// Erases the last character with its marks.
fn erase(seen: &mut String) {
    while seen.pop().is_some_and(|last| !has_own_cell(last) && !is_blank(last)) {}
}

type Rest<'a> = std::str::Chars<'a>;

/// Skips what belongs to an ESC.
fn skip_escape_sequence(rest: &mut Rest<'_>) {
    match rest.as_str().chars().next() {
        Some('[') => {
            rest.next();
            skip_control_sequence(rest);
        }
        Some('O') => {
            rest.next();
            skip_function_key(rest);
        }
        // A string, such as a terminal's answer to a question.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            rest.next();
            let text = rest.as_str();
            if let Some(at) = text.find(['\x07', '\u{9c}']).or_else(|| text.find("\x1b\\")) {
                let end = if text[at..].starts_with('\x1b') { at + 2 } else { at };
                *rest = text[end..].chars();
            }
        }
        // Alt and a key.
        Some('!'..='.' | '0'..='~') => _ = rest.next(),
        _ => {}
    }
}

/// Skips the rest of a control sequence: parameters and intermediate bytes, and the letter that ends it.
fn skip_control_sequence(rest: &mut Rest<'_>) {
    // The Linux console sends ESC [ [ A for F1.
    skip_if(rest, |it| it == '[');
    while skip_if(rest, |it| matches!(it, ' '..='.' | '0'..='?')) {}
    skip_if(rest, |it| matches!(it, '@'..='~'));
}

/// Skips the rest of a function key: ESC O A, or with modifiers ESC O 5 A.
fn skip_function_key(rest: &mut Rest<'_>) {
    while skip_if(rest, |it| matches!(it, '0'..=';')) {}
    skip_if(rest, |it| it.is_ascii_alphabetic());
}

fn skip_if(rest: &mut Rest<'_>, is_part: impl Fn(char) -> bool) -> bool {
    let skips = rest.as_str().starts_with(is_part);
    if skips {
        rest.next();
    }
    skips
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The class of a code point by Unicode's own data.
    fn class_by_properties(code: u32) -> Class {
        use icu_properties::props::*;
        use icu_properties::{CodePointMapData, CodePointSetData};
        let category = CodePointMapData::<GeneralCategory>::new().get32(code);
        let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains32(code);
        let bidi_control = CodePointSetData::new::<BidiControl>().contains32(code);
        let is_mark = matches!(code, 0x61c | 0x200e | 0x200f);
        let is_like_blank = matches!(code, 0x2800 | 0x1_3441 | 0x1_3442 | 0x1_d159);
        let is_egyptian = (0x1_3430..=0x1_343f).contains(&code);
        let is_shown = CodePointSetData::new::<PrependedConcatenationMark>().contains32(code);
        let is_bare_format = category == GeneralCategory::Format && !ignorable && !is_shown && !is_egyptian;
        match category {
            _ if code == u32::from('\t') => Class::Blank,
            GeneralCategory::Control
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator => Class::Unsafe,
            _ if bidi_control && !is_mark || is_bare_format => Class::Unsafe,
            _ if CodePointSetData::new::<WhiteSpace>().contains32(code) || is_like_blank => Class::Blank,
            _ if is_mark || is_egyptian => Class::Invisible,
            _ if matches!(code, 0xad | 0x34f | 0x180e | 0x200b..=0x200d) => Class::Invisible,
            _ if CodePointSetData::new::<VariationSelector>().contains32(code) => Class::Invisible,
            _ if ignorable || CodePointSetData::new::<NoncharacterCodePoint>().contains32(code) => {
                Class::Dropped
            }
            GeneralCategory::NonspacingMark
            | GeneralCategory::SpacingMark
            | GeneralCategory::EnclosingMark => Class::Mark,
            _ => Class::Visible,
        }
    }

    #[test]
    fn every_character_has_the_class_that_its_unicode_properties_give_it() {
        let mut runs: Vec<(u32, u32, Class)> = Vec::new();
        for character in '\0'..=char::MAX {
            let code = u32::from(character);
            let class = class_by_properties(code);
            if code < 0x80 {
                assert_eq!(super::class(character), class, "{code:#x}");
                continue;
            }
            match runs.last_mut() {
                Some((_, last, of)) if *of == class && *last + 1 == code => *last = code,
                _ => runs.push((code, code, class)),
            }
        }
        runs.retain(|(.., class)| *class != Class::Visible);
        let rows = runs.iter().map(|(first, last, class)| {
            format!("({first:#x}, {last:#x}, {}),\n", &format!("{class:?}")[..1])
        });
        assert!(runs == RANGES, "the rows of src/text/table.rs should be:\n{}", rows.collect::<String>());
    }

    #[test]
    fn what_is_drawn_over_the_character_before_has_no_cell_of_its_own() {
        use unicode_width::UnicodeWidthChar;
        for character in '\0'..=char::MAX {
            if super::class(character) != Class::Visible {
                assert!(!has_own_cell(character));
                continue;
            }
            let is_overlaid = character.width() == Some(0);
            assert_eq!(has_own_cell(character), !is_overlaid, "{:#x}", u32::from(character));
        }
    }

    fn check_sanitised(raw: &[u8], expected: &str) {
        let mut text = String::from("left over");
        let replaced = sanitise(raw, &mut text);
        assert_eq!(text, expected);
        assert_eq!(replaced, raw != expected.as_bytes());
    }

    #[test]
    fn what_could_move_a_cursor_or_reorder_a_line_becomes_the_replacement_character() {
        check_sanitised(b"plain ~text\t!", "plain ~text\t!");
        check_sanitised(b"\x1b[2J", "\u{fffd}[2J");
        check_sanitised(b"a\x00b\x7fc\rd", "a\u{fffd}b\u{fffd}c\u{fffd}d");
        check_sanitised("\u{9b}31m\u{202e}x\u{2066}\u{2028}\u{fff9}".as_bytes(), &{
            let r = "\u{fffd}";
            format!("{r}31m{r}x{r}{r}{r}")
        });
        check_sanitised(b"\xc0\xaf", "\u{fffd}\u{fffd}");
        check_sanitised(b"\xe2\x82", "\u{fffd}");
        check_sanitised(b"", "");
        for byte in (0..=0x1f).chain([0x7f]) {
            let expected = if byte == b'\t' { "\t" } else { "\u{fffd}" };
            check_sanitised(&[byte], expected);
        }
    }

    fn check_tidied(text: &str, expected: &str) {
        let mut tidied = format!("|{text}");
        tidy(&mut tidied, 1);
        assert_eq!(tidied, format!("|{expected}"), "{text:?}");
        tidy(&mut tidied, 1);
        assert_eq!(tidied, format!("|{expected}"), "{text:?} again");
    }

    #[test]
    fn what_writing_systems_need_stays() {
        for text in [
            "grüße 😀 hello\tworld",
            "ภาษา\u{200b}ไทย",
            "ខ្ញុំ\u{200b}ស្រលាញ់",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "שָׁל֑וֹם \u{200f}(א)\u{200e} 1",
            "\u{61c}١٢",
            "Donau\u{ad}dampf\u{ad}schiff",
            "👩🏽\u{200d}🚀 👩\u{200d}👩 ❤\u{fe0f} 🇳🇵 1\u{fe0f}\u{20e3}",
            "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}!",
            "葛\u{e0100}城 ᠠ\u{180b} ᠰᠢᠨ\u{180e}ᠡ",
            "ཧཱུྃ རྐྱ ྈྐ",
        ] {
            check_tidied(text, text);
        }
    }

    #[test]
    fn what_shows_nothing_and_is_needed_by_nobody_is_dropped() {
        check_tidied("a\u{3164}b\u{115f}\u{1160}\u{ffa0}c", "abc");
        check_tidied("\u{feff}a\u{2060}\u{2064}\u{206f}b\u{fffe}\u{fdd0}\u{10ffff}", "ab");
        check_tidied("\u{17b4}ក\u{1d173}", "ក");
        // Tags that spell no flag could spell anything else.
        check_tidied("x\u{e0068}\u{e0069}\u{e007f}", "x");
        check_tidied("\u{1f3f4}\u{e007f}", "\u{1f3f4}");
        check_tidied("\u{1f3f4}\u{e0067}\u{e0062}", "\u{1f3f4}");
        let long = "\u{e0061}".repeat(7);
        check_tidied(&format!("\u{1f3f4}{long}\u{e007f}x"), "\u{1f3f4}x");
    }

    #[test]
    fn sixteen_marks_stay_on_a_letter_and_thirty_two_blanks_in_a_row() {
        let marks = |count: usize| "\u{301}\u{323}".repeat(count / 2) + &"\u{20dd}".repeat(count % 2);
        check_tidied(&format!("a{}b{}", marks(16), marks(16)), &format!("a{}b{}", marks(16), marks(16)));
        check_tidied(&format!("a{}b", marks(17)), &format!("a{}b", marks(16)));
        // A joiner is not a letter.
        check_tidied(
            &format!("a{0}\u{200d}{0}b", marks(10)),
            &format!("a{}\u{200d}{}b", marks(10), marks(6)),
        );
        for blank in [" ", "\t", "\u{a0}", "\u{2003}", "\u{3000}", "\u{2800}", "\u{1680}"] {
            check_tidied(&format!("a{}b", blank.repeat(32)), &format!("a{}b", blank.repeat(32)));
            check_tidied(&format!("a{}b{0}", blank.repeat(33)), &format!("a{}b{0}", blank.repeat(32)));
        }
        check_tidied(&" \u{200b}\t\u{ad}".repeat(50), &" \u{200b}\t\u{ad}".repeat(8));
    }

    #[test]
    fn a_text_without_anything_visible_is_known() {
        for text in ["", " \t\u{3000}", "\u{200b}", "\u{2800}\u{a0}", "\u{3164}", "\u{200f}\u{ad}\u{fe0f}"] {
            assert!(!has_visible(text), "{text:?}");
        }
        for text in [".", " x", "\u{301}", "\u{fffd}", "\u{200b}ก"] {
            assert!(has_visible(text), "{text:?}");
        }
    }

    #[test]
    fn keys_that_a_terminal_sends_are_not_seen_nor_is_what_they_erase() {
        for (raw, expected) in [
            (&b"hello"[..], "hello"),
            (b"\x1b[A\x1b[Bhello", "hello"),
            (b"\x1bOAhello\x1bOP\x1bO5Q", "hello"),
            (b"\x1b[1;5Chello\x1b[3~", "hello"),
            (b"\x1b[[Ahello", "hello"),
            (b"\x1b[200~hello\x1b[201~", "hello"),
            (b"\x1b]11;rgb:1e1e/1e1e/1e1e\x07hello", "hello"),
            (b"\x1bP>|term\x1b\\hello", "hello"),
            (b"\x1bbhello\x1b\x1b[A", "hello"),
            (b"\x1b/help", "/help"),
            (b"\x1b[/help", "/help"),
            (b"\x1bO/help", "/help"),
            (b"\x1b]/help", "/help"),
            (b"\xc2\x9bAhello\xc2\x8fA", "hello"),
            (b"xy\x7f\x7fhello", "hello"),
            (b"\x08\x08hellp\x08o", "hello"),
            (b"\xc3\xa9\x7fhello", "hello"),
            (b"e\xcc\x81\x7f \xcc\xa3\x7fhello", "hello"),
            (b"what\x15two\xc2\xa0words \x17hello", "two\u{a0}hello"),
            (b"\x01\x00 \t hello \x0c", "hello"),
            (b" he \rll\x7f\xe2\x80\xa8lo\x0b\xc2\x85", "hello"),
            (b"\xef\xbb\xbf\xe2\x80\x8bhe\xc2\xadllo\xe3\x85\xa4", "hello"),
            (b"\x1b[A", ""),
            (b"\x1b", ""),
            (b"\x1b[", ""),
        ] {
            assert_eq!(rows_as_seen(raw).concat(), expected, "{}", raw.escape_ascii());
        }
    }
}
