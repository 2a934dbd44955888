//! What a message looks like and what can be done with it.

use chinwag::client::{Event, Message, Origin};
use chinwag_gui::message::colour;
use eframe::egui::{Color32, OutputCommand, PointerButton, Theme, pos2};
use egui_kittest::kittest::Queryable;
use jiff::tz::{Offset, TimeZone};

use crate::driver::*;

#[test]
fn messages_stand_under_their_date_with_time_and_name() {
    let mut window = chat();
    say(&mut window, 1, "bob", "hello");
    say(&mut window, 86_400, "bob", "the next day");
    for label in ["bob", "hello", "12:00", "the next day"] {
        assert!(window.query_all_by_label(label).next().is_some(), "{label}");
    }
    assert!(shows(&window, "Sunday, 22 November 2026") && shows(&window, "Monday, 23 November 2026"));
    tell(&mut window, Event::Message(message(86_401, "bob", None, "/me waves")));
    assert!(window.query_by_label("waves").is_some());
}

#[test]
fn a_link_can_be_clicked_and_shows_where_it_goes() {
    let mut window = chat();
    say(&mut window, 1, "bob", "see https://example.org/page, it is fun");
    let link = window.get_by_label("https://example.org/page");
    link.hover();
    // A tooltip takes its time.
    window.run_steps(20);
    assert!(shows(&window, "opens https://example.org/page"));
}

#[test]
fn a_click_on_a_link_opens_it() {
    let mut window = chat();
    say(&mut window, 1, "bob", "see https://example.org/page, it is fun");
    window.get_by_label("https://example.org/page").click();
    let opened = outside(&mut window, |command| match command {
        OutputCommand::OpenUrl(url) => Some(url.url.clone()),
        _ => None,
    });
    assert_eq!(opened.as_deref(), Some("https://example.org/page"));
}

#[test]
fn text_can_be_selected_and_copied() {
    let mut window = chat();
    say(&mut window, 1, "bob", "a word to keep");
    let text = window.get_by_label("a word to keep").rect();
    let button = |pos, pressed| eframe::egui::Event::PointerButton {
        pos,
        button: PointerButton::Primary,
        pressed,
        modifiers: Default::default(),
    };
    let (from, to) = (text.left_center() + eframe::egui::vec2(1.0, 0.0), text.right_center());
    window.hover_at(from);
    window.event(button(from, true));
    window.run();
    window.hover_at(pos2(to.x - 20.0, to.y));
    window.run();
    window.hover_at(to);
    window.run();
    window.event(button(to, false));
    window.run();
    window.event(eframe::egui::Event::Copy);
    let copied = outside(&mut window, |command| match command {
        OutputCommand::CopyText(text) => Some(text.clone()),
        _ => None,
    });
    assert_eq!(copied.as_deref(), Some("a word to keep"));
}

#[test]
fn times_and_dates_are_those_of_the_place_where_one_is() {
    let zone = TimeZone::fixed(Offset::constant(13));
    let mut window = chat_in(window_in(zone));
    say(&mut window, 1, "bob", "hello");
    assert!(shows(&window, "01:00") && shows(&window, "Monday, 23 November 2026"));
}

#[test]
fn a_name_has_one_colour_everywhere_and_others_have_others() {
    let mut window = chat();
    say(&mut window, 1, "bob", "hello");
    say(&mut window, 2, "carol", "hi");
    let is_dark = window.ctx.global_style().visuals.dark_mode;
    for name_shown in ["bob", "carol"] {
        let drawn = painted(&window);
        let of_name: Vec<_> = drawn.iter().filter(|(text, _)| text == name_shown).collect();
        assert!(of_name.len() >= 2, "at the side and beside the message: {drawn:?}");
        assert!(of_name.iter().all(|(_, it)| *it == colour(&name(name_shown), is_dark)), "{of_name:?}");
    }
    assert_ne!(colour_of(&window, "bob"), colour_of(&window, "carol"));
}

/// As WCAG 2.2 has it, 1 to 21.
fn contrast(one: Color32, other: Color32) -> f32 {
    let luminance = |colour: Color32| {
        let [red, green, blue, _] = eframe::egui::Rgba::from(colour).to_array();
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
    one.max(other) / one.min(other)
}

#[test]
fn all_text_is_legible_in_both_themes() {
    let names = ["ann", "ben", "cat", "dan", "eve", "fay", "gus", "hal", "ida", "jim", "kim", "leo", "mia"];
    for theme in [Theme::Light, Theme::Dark] {
        let mut window = chat();
        window.ctx.set_theme(theme);
        for (second, name) in names.into_iter().enumerate() {
            say(&mut window, second as u64, name, "hello alice, see https://example.org");
        }
        tell(&mut window, Event::Notice("a notice".into()));
        tell(&mut window, Event::Error(refused("! busy: an error")));
        enters(&mut window, "on its way");
        let background = window.ctx.global_style().visuals.panel_fill;
        let drawn = painted(&window);
        assert!(drawn.iter().any(|(text, _)| text.contains("an error")));
        // One's own name stands on a ground of its own.
        for (text, colour) in drawn.iter().filter(|(text, _)| text != "alice" && !text.is_empty()) {
            let is_pale = text == "on its way";
            let wanted = if is_pale { 3.0 } else { 4.5 };
            let contrast = contrast(*colour, background);
            assert!(contrast >= wanted, "{theme:?}: {text:?} has {contrast}");
        }
    }
}

#[test]
fn what_was_missed_appears_once_and_behind_a_line() {
    let mut window = chat();
    say(&mut window, 1, "bob", "before");
    for text in ["missed", "missed as well"] {
        let second = if text == "missed" { 2 } else { 3 };
        let missed = Message { origin: Origin::Missed, ..message(second, "bob", None, text) };
        tell(&mut window, Event::Message(missed.clone()));
        tell(&mut window, Event::Message(Message { origin: Origin::Asked, ..missed }));
    }
    assert_eq!(window.query_all_by_label("missed").count(), 1);
    let line = window.get_by_label_contains("new since you were here").rect();
    assert!(line.top() > window.get_by_label("before").rect().top());
    assert!(line.bottom() < window.get_by_label("missed").rect().bottom());
}

/// What of the texts is drawn in one row, from left to right.
fn drawn_with(window: &Window<'_>, word: &str) -> Vec<String> {
    let places = texts(window);
    let row = places.iter().find(|(text, _)| text == word).expect("the word is drawn").1.center().y;
    let mut drawn: Vec<_> =
        places.into_iter().filter(|(_, rect)| (rect.center().y - row).abs() < 2.0).collect();
    drawn.sort_by(|a, b| a.1.left().total_cmp(&b.1.left()));
    drawn.into_iter().map(|(text, _)| text).filter(|text| !text.trim().is_empty()).collect()
}

#[test]
fn right_to_left_text_stands_in_its_order_and_can_be_copied() {
    let mut window = chat();
    say(&mut window, 1, "bob", "אבג 123 דהו alice https://a.example/x זחט");
    let mut drawn = drawn_with(&window, "123");
    drawn.truncate(8);
    let expected = ["12:00", "bob", "זחט", "alice", "https://a.example/x", "דהו", "123", "אבג"];
    assert_eq!(drawn, expected, "the message begins at the right");
    let label = "אבג 123 דהו alice https://a.example/x זחט";
    window.get_by_label(label).click_secondary();
    window.run();
    window.get_by_label("Copy").click();
    let copied = outside(&mut window, |command| match command {
        OutputCommand::CopyText(text) => Some(text.clone()),
        _ => None,
    });
    assert_eq!(copied.as_deref(), Some(label), "as it was written");
}
