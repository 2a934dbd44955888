//! One message as it is seen.

use chinwag::client::Message;
use chinwag::client::words::{colour_index, mention};
use chinwag::protocol::name::Name;
use chinwag::protocol::record::Timestamp;
use eframe::egui::ecolor::Hsva;
use eframe::egui::{Color32, RichText, Ui, vec2};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::bidi::{is_mixed, without_overrides};
use crate::mixed::{self, Style};

/// Hues that differ from each other.
const HUES: usize = 12;

/// When something was, in the local zone.
pub struct Moment {
    /// The day.
    pub date: Date,
    /// The time of day.
    pub time: String,
    /// The day in words.
    pub day: String,
}

/// When it was, in this zone.
pub fn moment(at: Timestamp, zone: &TimeZone) -> Moment {
    let utc = jiff::Timestamp::from_microsecond(at.micros() as i64).unwrap_or_default();
    let local = utc.to_zoned_datetime(zone.clone());
    Moment {
        date: local.date(),
        time: local.strftime("%H:%M").to_string(),
        day: local.strftime("%A, %-d %B %Y").to_string(),
    }
}

/// A colour for a name, the same everywhere, legible on the background.
pub fn colour(name: &Name, is_dark: bool) -> Color32 {
    let hue = colour_index(name, HUES) as f32 / HUES as f32;
    let (saturation, value) = if is_dark { (0.58, 0.96) } else { (0.95, 0.17) };
    Hsva::new(hue, saturation, value, 1.0).into()
}

/// Lays a message out: the time in a column of its own, and the text wrapped beside it.
pub fn show(ui: &mut Ui, message: &Message, time: &str, own: Option<&Name>) {
    let is_dark = ui.visuals().dark_mode;
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 8.0;
        // So that the time stands on the line of the text.
        ui.spacing_mut().interact_size.y = 0.0;
        ui.label(RichText::new(time).weak());
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(6.0, 2.0);
            if let Some(room) = message.room() {
                ui.label(RichText::new(room.to_string()).weak());
            }
            let name = RichText::new(message.from.as_str()).strong().color(colour(&message.from, is_dark));
            match message.action() {
                Some(action) => {
                    ui.label(RichText::new("*").weak());
                    ui.label(name);
                    text(ui, action, own);
                }
                None => {
                    ui.label(name);
                    text(ui, &message.text, own);
                }
            }
        });
    });
}

/// A text with its links, and with one's own name marked.
fn text(ui: &mut Ui, text: &str, own: Option<&Name>) {
    if is_mixed(text) {
        let colour = ui.visuals().text_color();
        return mixed_text(ui, text, own, colour, usize::MAX);
    }
    ui.spacing_mut().item_spacing.x = 0.0;
    for part in parts(text) {
        match part {
            Part::Text(text) => marked(ui, text, own),
            Part::Link(link) => {
                ui.hyperlink_to(link, link).on_hover_text(format!("opens {link}"));
            }
        }
    }
}

/// Shows a text that contains right-to-left writing, in at most so many rows.
pub fn mixed_text(ui: &mut Ui, text: &str, own: Option<&Name>, colour: Color32, rows_max: usize) {
    let text = without_overrides(text);
    let mut styled = Vec::new();
    let mut start = 0;
    let mut add = |length: usize, style| {
        styled.push((start..start + length, style));
        start += length;
    };
    for part in parts(&text) {
        match part {
            Part::Link(link) => add(link.len(), Style::Link),
            Part::Text(mut rest) => {
                while let Some((at, own)) = own.and_then(|own| Some((mention(rest, own)?, own))) {
                    let length = own.as_str().len();
                    add(at, Style::Plain);
                    add(length, Style::Mention);
                    rest = &rest[at + length..];
                }
                add(rest.len(), Style::Plain);
            }
        }
    }
    mixed::show(ui, &text, &styled, colour, rows_max);
}

fn marked(ui: &mut Ui, text: &str, own: Option<&Name>) {
    let mut rest = text;
    while let Some(at) = own.and_then(|own| mention(rest, own)) {
        let (before, behind) = rest.split_at(at);
        let (name, behind) = behind.split_at(own.map_or(0, |own| own.as_str().len()));
        if !before.is_empty() {
            ui.label(before);
        }
        let (fill, colour) = (ui.visuals().selection.bg_fill, ui.visuals().selection.stroke.color);
        ui.label(RichText::new(name).strong().background_color(fill).color(colour));
        rest = behind;
    }
    if !rest.is_empty() {
        ui.label(rest);
    }
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Without a link.
    Text(&'a str),
    /// An address, and nothing else.
    Link(&'a str),
}

/// A text divided at its links: `http://` and `https://`, up to the next space or what can only end a sentence.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = rest[from..].find("http").map(|at| from + at) {
        let candidate = &rest[at..];
        let length = candidate
            .find(|it: char| it.is_whitespace() || matches!(it, '<' | '>' | '"'))
            .unwrap_or(candidate.len());
        let link = candidate[..length].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '\'']);
        let host = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
        let starts_word = !rest[..at].ends_with(char::is_alphanumeric);
        if host.is_some_and(|host| !host.is_empty()) && starts_word {
            if at > 0 {
                parts.push(Part::Text(&rest[..at]));
            }
            parts.push(Part::Link(link));
            rest = &rest[at + link.len()..];
            from = 0;
        } else {
            from = at + "http".len();
        }
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_and_what_ends_a_sentence_is_not_of_them() {
        use Part::{Link, Text};
        let check = |text, expected: &[Part<'_>]| assert_eq!(parts(text), expected, "{text}");
        check("", &[]);
        check("plain http text", &[Text("plain http text")]);
        check("https://a.example/x?y=1#z", &[Link("https://a.example/x?y=1#z")]);
        check("see http://a.example, or", &[Text("see "), Link("http://a.example"), Text(", or")]);
        check("(https://a.example).", &[Text("("), Link("https://a.example"), Text(").")]);
        check("http:// https://", &[Text("http:// https://")]);
        check("xhttp://a.example", &[Text("xhttp://a.example")]);
        check("a http://b http://c", &[Text("a "), Link("http://b"), Text(" "), Link("http://c")]);
    }

    #[test]
    fn a_name_has_one_colour_whatever_its_case() {
        let name = |text: &str| Name::parse(text.as_bytes()).unwrap();
        assert_eq!(colour(&name("Alice"), true), colour(&name("aLICE"), true));
        assert_ne!(colour(&name("alice"), true), colour(&name("alice"), false));
    }
}
