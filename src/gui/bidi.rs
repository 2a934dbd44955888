//! The order of text that contains right-to-left writing, such as Arabic or Hebrew.
//!
//! egui shapes each stretch of one font by itself, in the direction that its letters suggest, and puts the stretches
//! from left to right. Words of Hebrew then follow each other in the wrong order, and digits that the font of the
//! letters has are reversed with them. Here a text is cut into atoms that need no more than that, and the atoms of each
//! row are put in the order of the Unicode bidirectional algorithm (UAX #9):
//!
//! ```text
//! in memory  A B C   1 2 3   D E F        capital letters are Hebrew; level 1, the digits level 2
//! atoms     [A B C] [1 2 3] [D E F]       each of one level; the shaper reverses those of Hebrew letters
//! row        F E D   3 2 1 ✗              what reversing all of it would give
//! row        F E D   1 2 3   C B A        what is shown
//! ```

use std::ops::Range;

use unicode_bidi::{BidiClass, Level, ParagraphBidiInfo, bidi_class};
use unicode_segmentation::UnicodeSegmentation;

/// Brackets that are mirrored in right-to-left text: BidiMirroring.txt of the Unicode Character Database, in part.
const MIRRORED: [(char, char); 11] = [
    ('(', ')'),
    ('[', ']'),
    ('{', '}'),
    ('<', '>'),
    ('«', '»'),
    ('‹', '›'),
    ('≤', '≥'),
    ('⟨', '⟩'),
    ('⁅', '⁆'),
    ('⁽', '⁾'),
    ('₍', '₎'),
];

/// A piece of text that egui lays out correctly by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Atom {
    /// Where it is in the text, in bytes.
    pub range: Range<usize>,
    /// The index of the span that it belongs to.
    pub span: usize,
    /// What is drawn: the text itself, or a mirrored bracket.
    pub text: String,
    /// How far from the left it stands, in points.
    pub x: f32,
    /// In points.
    pub width: f32,
    level: Level,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A blank, where a row may end.
    Blank,
    /// It stays with the next one of the same level.
    Joined,
    /// It is placed by itself.
    Alone,
}

/// Whether a text contains right-to-left writing, so that its order is not that of its letters.
pub fn is_mixed(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(is_right_to_left)
}

fn is_right_to_left(letter: char) -> bool {
    matches!(bidi_class(letter), BidiClass::R | BidiClass::AL | BidiClass::AN)
}

/// Whether the shaper takes a digit or sign for part of a right-to-left script although its order is left-to-right, as
/// with Persian digits.
fn misleads_shaper(letter: char) -> bool {
    matches!(letter, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}')
        || matches!(letter, '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// The text without embeddings and overrides, which would let a message show something else than it contains.
pub fn without_overrides(text: &str) -> String {
    text.chars().filter(|it| !matches!(it, '\u{202a}'..='\u{202e}')).collect()
}

/// Lays a paragraph out in rows of at most `width`, the first one of at most `first_width`, and returns the atoms of
/// each row from left to right. `spans` divides the text, as links do. `measure` returns the width of a piece of text
/// in a span.
pub fn rows(
    text: &str,
    spans: &[Range<usize>],
    first_width: f32,
    width: f32,
    mut measure: impl FnMut(&str, usize) -> f32,
) -> Vec<Vec<Atom>> {
    let info = ParagraphBidiInfo::new(text, None);
    let mut atoms = atoms(text, spans, &info.levels);
    for atom in &mut atoms {
        atom.width = measure(&atom.text, atom.span);
    }
    let mut rows: Vec<Vec<Atom>> = vec![Vec::new()];
    let (mut x, mut limit) = (0.0, first_width);
    for word in atoms.chunk_by(|a, b| (a.kind == Kind::Blank) == (b.kind == Kind::Blank)) {
        let is_blank = word[0].kind == Kind::Blank;
        let word_width: f32 = word.iter().map(|it| it.width).sum();
        if !is_blank && x + word_width > limit && (x > 0.0 || limit < width) {
            rows.push(Vec::new());
            (x, limit) = (0.0, width);
        }
        let is_too_wide = !is_blank && word_width > limit;
        for atom in word {
            // A word that is wider than a row is divided between any two letters.
            let pieces = if is_too_wide { letters(atom, &mut measure) } else { vec![atom.clone()] };
            for piece in pieces {
                if !is_blank && x > 0.0 && x + piece.width > limit {
                    rows.push(Vec::new());
                    (x, limit) = (0.0, width);
                }
                x += piece.width;
                rows.last_mut().expect("there is a row").push(piece);
            }
        }
    }
    rows.into_iter().map(|row| visual(row, info.paragraph_level)).collect()
}

fn atoms(text: &str, spans: &[Range<usize>], levels: &[Level]) -> Vec<Atom> {
    let mut atoms: Vec<Atom> = Vec::new();
    for (at, letter) in text.grapheme_indices(true) {
        let first = letter.chars().next().expect("a grapheme has a character");
        let level = levels[at];
        let kind = if first.is_whitespace() {
            Kind::Blank
        } else if level.is_rtl() == is_right_to_left(first)
            && (level.is_rtl() || !letter.chars().any(misleads_shaper))
        {
            Kind::Joined
        } else {
            Kind::Alone
        };
        let span = spans.partition_point(|span| span.end <= at);
        let range = at..at + letter.len();
        if let Some(last) = atoms.last_mut()
            && (last.kind, kind) == (Kind::Joined, Kind::Joined)
            && (last.level, last.span) == (level, span)
        {
            last.range.end = range.end;
            last.text.push_str(letter);
            continue;
        }
        let text = if level.is_rtl() { mirrored(letter) } else { letter.to_owned() };
        atoms.push(Atom { range, span, text, x: 0.0, width: 0.0, level, kind });
    }
    atoms
}

fn mirrored(letter: &str) -> String {
    let mirror = |it: char| {
        let found = MIRRORED.iter().find_map(|&(open, close)| match it {
            _ if it == open => Some(close),
            _ if it == close => Some(open),
            _ => None,
        });
        found.unwrap_or(it)
    };
    letter.chars().map(mirror).collect()
}

/// An atom divided into its letters.
fn letters(atom: &Atom, measure: &mut impl FnMut(&str, usize) -> f32) -> Vec<Atom> {
    let letters = atom.text.grapheme_indices(true).map(|(at, letter)| {
        let start = atom.range.start + at;
        Atom {
            range: start..start + letter.len(),
            text: letter.to_owned(),
            width: measure(letter, atom.span),
            ..atom.clone()
        }
    });
    letters.collect()
}

/// Rules L1 and L2: blanks at the end of a row have the paragraph's level, and the rest is reversed by levels.
fn visual(row: Vec<Atom>, paragraph: Level) -> Vec<Atom> {
    let end = row.iter().rposition(|it| it.kind != Kind::Blank).map_or(0, |last| last + 1);
    let levels: Vec<Level> =
        row.iter().enumerate().map(|(index, it)| if index < end { it.level } else { paragraph }).collect();
    let mut x = 0.0;
    let order = ParagraphBidiInfo::reorder_visual(&levels);
    let placed = order.into_iter().map(|index| {
        let atom = Atom { x, ..row[index].clone() };
        x += atom.width;
        atom
    });
    placed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows as they are seen, from left to right, where each letter is one wide.
    fn seen(text: &str, width: f32) -> Vec<String> {
        let whole = 0..text.len();
        let rows = rows(text, &[whole], width, width, |text, _| text.graphemes(true).count() as f32);
        // The shaper reverses what begins with a right-to-left letter.
        let shaped = |atom: &Atom| match atom.text.chars().any(misleads_shaper) {
            true => atom.text.graphemes(true).rev().collect::<String>(),
            false => atom.text.clone(),
        };
        rows.iter().map(|row| row.iter().map(shaped).collect()).collect()
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(seen(text, 1000.0), [expected], "{text:?}");
    }

    #[test]
    fn digits_keep_their_order_beside_right_to_left_letters() {
        check("אבג 123 דהו", "והד 123 גבא");
        check("אבג123", "123גבא");
        check("call אבג at 17:30 or 5551234", "call גבא at 17:30 or 5551234");
        check("אבג 3.14, 1,000", "1,000 ,3.14 גבא");
        check("مرحبا 2026", "2026 ابحرم");
        // Arabic-Indic and Persian digits, which belong to the script, are still read from left to right.
        check("ابج ١٢٣", "١٢٣ جبا");
        check("ابج ۱۲۳ دهو", "وهد ۱۲۳ جبا");
        check("price ۱۲۳ only", "price ۱۲۳ only");
    }

    #[test]
    fn words_stand_in_the_order_of_their_paragraph() {
        check("אבג דהו", "והד גבא");
        check("he said אבג דהו today", "he said והד גבא today");
        check("אבג said דהו", "והד said גבא");
        check("אבג (דהו)!", "!(והד) גבא");
        check("see (אבג)", "see (גבא)");
        check("plain", "plain");
    }

    #[test]
    fn marks_stay_with_their_letters_and_isolates_are_obeyed() {
        check("שָׁלוֹם 1", "1 םוֹלשָׁ");
        check("a \u{2067}אב 12\u{2069} b", "a \u{2067}12 בא\u{2069} b");
        assert_eq!(without_overrides("a\u{202e}b\u{202c}אב"), "abאב");
    }

    #[test]
    fn rows_are_divided_in_memory_order_and_ordered_each_by_itself() {
        assert_eq!(seen("אבג דהו 123 זחט", 8.0), [" והד גבא", "טחז 123"]);
        assert_eq!(seen("אבגדהוזחטי", 4.0), ["דגבא", "חזוה", "יט"]);
        assert_eq!(seen("אבג 123456789", 5.0), [" גבא", "12345", "6789"]);
        assert!(seen("", 5.0).concat().is_empty());
    }

    #[test]
    fn every_byte_is_in_one_atom() {
        for text in ["אבג דהו 123 (זחט)", "a ١٢٣ ب\u{200d}ج e\u{301}", "👩‍👩‍👧 שלום", "\u{5b0}x\u{5b0}"]
        {
            let rows = rows(text, &[0..3, 3..text.len()], 3.0, 5.0, |text, _| text.len() as f32);
            let mut ranges: Vec<_> = rows.into_iter().flatten().map(|atom| atom.range).collect();
            ranges.sort_by_key(|range| range.start);
            let mut end = 0;
            for range in ranges {
                assert_eq!(range.start, end, "{text:?}");
                end = range.end;
            }
            assert_eq!(end, text.len(), "{text:?}");
        }
    }

    #[test]
    fn only_right_to_left_letters_need_ordering() {
        assert!(["א", "ab ج", "٣"].into_iter().all(is_mixed));
        assert!(["", "abc 123", "日本語 é", "👩‍👩‍👧", "\u{202e}abc"].into_iter().all(|it| !is_mixed(it)));
    }
}
