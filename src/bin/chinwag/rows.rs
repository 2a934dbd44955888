//! Rows of a terminal: how text that is longer than a row is broken.

use unicode_width::UnicodeWidthChar;

/// What continuation rows begin with: the width of a message's time. A row that begins in the first column is the
/// first row of a line, so no padding makes a text look like a line of its own.
const INDENT: usize = 6;
/// In a terminal that is narrower, it is all that can be spared.
const NARROW_COLUMNS: usize = 24;
const TAB: usize = 8;

/// Appends a line with its ending, broken into rows. Its escape sequences are the client's own and end with `m`.
pub fn push_wrapped(line: &str, columns: usize, out: &mut String) {
    let indent = if columns < NARROW_COLUMNS { 1 } else { INDENT };
    // A wide character needs two columns, whatever the terminal has.
    let columns = columns.max(indent + 2);
    let mut column = 0;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\x1b' {
            out.push(character);
            out.extend(characters.by_ref().take_while(|it| *it != 'm').chain(['m']));
            continue;
        }
        let width = if character == '\t' { TAB - column % TAB } else { width(character) };
        if column + width > columns {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        }
        match character {
            '\t' => out.extend(std::iter::repeat_n(' ', width.min(columns - column))),
            _ => out.push(character),
        }
        column = (column + width).min(columns);
    }
    out.push('\n');
}

/// The most columns that a terminal may give a character: terminals disagree about sequences that form one symbol, and
/// a row must not be longer than it is taken to be.
fn width(character: char) -> usize {
    match character {
        // It makes a narrow symbol before it a wide one.
        '\u{fe0f}' => 1,
        // Half a flag.
        '\u{1f1e6}'..='\u{1f1ff}' => 2,
        _ => character.width().unwrap_or(0),
    }
}

/// The text of an input line as it is drawn: with spaces for tabs, as wide as the line editor takes them to be, and
/// without what would control the terminal.
pub fn drawn(text: &str, prompt: usize, columns: usize) -> String {
    let mut drawn = String::with_capacity(text.len());
    let mut column = prompt;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' => {
                column = 0;
                drawn.push(character);
                continue;
            }
            // The line editor gives no width to an escape sequence.
            '\x1b' => {
                if characters.next() == Some('[') {
                    let is_end = |it: &char| !(it.is_ascii_digit() || *it == ';');
                    characters.find(is_end);
                }
                continue;
            }
            '\t' => {
                let width = TAB - column % TAB;
                let edge = if column + width > columns { columns.saturating_sub(column) } else { 0 };
                drawn.extend(std::iter::repeat_n(' ', edge + width));
                column += width;
            }
            _ if character.is_control() => {
                drawn.push(char::REPLACEMENT_CHARACTER);
                column += 1;
            }
            _ => {
                drawn.push(character);
                column += character.width().unwrap_or(0);
            }
        }
        if column > columns {
            column = if character == '\t' { TAB } else { character.width().unwrap_or(1) };
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, columns: usize, expected: &str) {
        let mut out = String::new();
        push_wrapped(line, columns, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn every_row_but_the_first_is_indented() {
        check("", 40, "\n");
        check(&"x".repeat(40), 40, &format!("{}\n", "x".repeat(40)));
        let (row, rest) = ("x".repeat(40), "x".repeat(34));
        check(&"x".repeat(75), 40, &format!("{row}\n      {rest}\n      x\n"));
        // Padding up to the edge gains nothing.
        let forged = "12:00 carol: forged";
        check(
            &format!("12:00 bob: ok{}{forged}", " ".repeat(27)),
            40,
            &format!("12:00 bob: ok{}\n      {forged}\n", " ".repeat(27)),
        );
    }

    #[test]
    fn wide_characters_and_marks_are_counted_as_columns() {
        check(&"漢".repeat(20), 39, &format!("{}\n      漢\n", "漢".repeat(19)));
        check(&"e\u{301}".repeat(31), 30, &format!("{}\n      e\u{301}\n", "e\u{301}".repeat(30)));
        // A heart is one column or two, a flag two or four, and a family two or eight.
        check(
            &"\u{2764}\u{fe0f}".repeat(16),
            30,
            &format!("{}\n      \u{2764}\u{fe0f}\n", "\u{2764}\u{fe0f}".repeat(15)),
        );
        let flag = "\u{1f1e9}\u{1f1ea}";
        check(&flag.repeat(8), 28, &format!("{}\n      {flag}\n", flag.repeat(7)));
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f466}";
        check(&family.repeat(5), 24, &format!("{}\n      {family}\n", family.repeat(4)));
    }

    #[test]
    fn a_tab_goes_to_the_next_stop_and_stays_in_its_row() {
        check("a\tb", 40, "a       b\n");
        check(&format!("{}\tb", "x".repeat(30)), 30, &format!("{}\n        b\n", "x".repeat(30)));
        check(
            "12345678901234567890123456\t\t\tb",
            30,
            &format!("12345678901234567890123456\n{}b\n", " ".repeat(24)),
        );
    }

    #[test]
    fn colours_have_no_width() {
        let painted = "\x1b[1;38;5;30malice\x1b[0m";
        check(&painted.repeat(6), 30, &format!("{}\n", painted.repeat(6)));
        check(&painted.repeat(2), 9, &format!("{painted}\x1b[1;38;5;30malic\n e\x1b[0m\n"));
    }

    #[test]
    fn a_terminal_of_no_width_gets_all_of_it() {
        for columns in 0..4 {
            let mut out = String::new();
            push_wrapped("a漢b", columns, &mut out);
            assert_eq!(out.replace(['\n', ' '], ""), "a漢b");
        }
    }

    #[test]
    fn an_input_line_is_drawn_without_what_controls_a_terminal() {
        assert_eq!(drawn("x\ty", 2, 80), "x     y");
        assert_eq!(drawn("\t\t.", 2, 80), format!("{}.", " ".repeat(14)));
        assert_eq!(drawn("a\nb\tc", 2, 80), "a\nb       c");
        // The line editor moves a tab that does not fit to the next row.
        assert_eq!(
            drawn(&format!("{}\ty", "x".repeat(7)), 2, 12),
            format!("{}{}y", "x".repeat(7), " ".repeat(3 + 7))
        );
        assert_eq!(drawn("a\x1b[31mb\x1bcd\u{9b}2J\x07", 2, 80), "abd\u{fffd}2J\u{fffd}");
        assert_eq!(drawn("\x1b", 2, 80), "");
        assert_eq!(drawn("grüße 漢字", 2, 80), "grüße 漢字");
    }
}
