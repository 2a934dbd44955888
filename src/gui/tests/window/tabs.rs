//! Tabs, and who is here.

use std::collections::BTreeSet;

use chinwag::client::Event;
use chinwag_gui::app::Told;
use eframe::egui::accesskit::Role;
use eframe::egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable;

use crate::driver::*;

#[test]
fn a_private_message_opens_a_tab_with_a_count_and_a_click_reads_it() {
    let mut window = chat();
    tell(&mut window, Event::Message(message(1, "bob", Some("alice"), "psst")));
    tell(&mut window, Event::Message(message(2, "bob", Some("alice"), "and psst")));
    assert!(!shows(&window, "psst"), "it is not everyone's");
    assert_eq!(window.state().title(), "(2) alice · chinwag");
    window.get_by_label("bob (2)").click();
    window.run();
    assert!(shows(&window, "and psst"));
    assert_eq!(window.state().title(), "alice · chinwag");
    enters(&mut window, "hi bob");
    enters(&mut window, "/users");
    enters(&mut window, "//etc");
    assert_eq!(submitted(&mut window), ["/msg bob hi bob", "/users", "/msg bob /etc"]);
    window.get_by_label("Close the conversation with bob").click();
    window.run();
    assert!(!shows(&window, "psst"));
    assert!(window.query_by_label("Close the conversation with bob").is_none());
}

#[test]
fn a_click_on_somebody_who_is_here_opens_a_private_tab() {
    let mut window = chat();
    assert!(shows(&window, "Here: 3"));
    window.get_by_label("Write carol in private").click();
    window.run();
    enters(&mut window, "hi");
    assert_eq!(submitted(&mut window), ["/msg carol hi"]);
    assert!(window.query_by_label("Close the conversation with carol").is_some());
}

#[test]
fn the_keyboard_goes_from_tab_to_tab_and_closes_them() {
    let mut window = chat();
    window.get_by_label("Write carol in private").click();
    window.run();
    window.key_press_modifiers(Modifiers::CTRL, Key::Tab);
    window.run();
    enters(&mut window, "to all");
    window.key_press_modifiers(Modifiers::CTRL, Key::PageDown);
    window.run();
    enters(&mut window, "to carol");
    assert_eq!(submitted(&mut window), ["to all", "/msg carol to carol"]);
    window.key_press_modifiers(Modifiers::CTRL, Key::W);
    window.run();
    assert!(window.query_by_label("Close the conversation with carol").is_none());
}

#[test]
fn what_came_while_one_was_away_stands_behind_a_line() {
    let mut window = chat();
    say(&mut window, 1, "bob", "before");
    window.input_mut().focused = false;
    window.run();
    say(&mut window, 2, "bob", "meanwhile");
    assert!(window.query_by_label("Everyone (1)").is_some());
    window.input_mut().focused = true;
    window.run();
    assert!(window.query_by_label("Everyone").is_some());
    let line = window.get_by_label_contains("new since you were here").rect();
    assert!(line.top() > window.get_by_label("before").rect().top());
    assert!(line.bottom() < window.get_by_label("meanwhile").rect().bottom());
}

#[test]
fn who_is_here_changes_as_they_come_and_go() {
    let mut window = chat();
    window.state_mut().handle(Told::Online(BTreeSet::from(["alice", "erin"].map(name))));
    window.run();
    assert!(shows(&window, "Here: 2") && window.query_by_label("Write erin in private").is_some());
    assert!(window.query_by_label("Write bob in private").is_none());
    assert!(window.query_by_label("Write alice in private").is_none(), "nobody writes to oneself");
}

#[test]
fn in_a_narrow_window_who_is_here_stands_behind_a_button() {
    let mut window = chat();
    window.set_size(vec2(400.0, 400.0));
    window.run();
    assert!(window.query_by_label("Write carol in private").is_none());
    click(&mut window, "Here: 3");
    click(&mut window, "Write carol in private");
    enters(&mut window, "hi");
    assert_eq!(submitted(&mut window), ["/msg carol hi"]);
}

#[test]
fn a_tab_that_was_closed_keeps_what_was_said() {
    let mut window = chat();
    tell(&mut window, Event::Message(message(1, "bob", Some("alice"), "psst")));
    click(&mut window, "bob (1)");
    press(&mut window, Modifiers::CTRL, Key::W);
    assert!(!shows(&window, "psst"));
    click(&mut window, "Write bob in private");
    assert!(shows(&window, "psst"));
    press(&mut window, Modifiers::CTRL, Key::W);
    tell(&mut window, Event::Message(message(2, "bob", Some("alice"), "again")));
    assert!(window.query_by_label("bob (1)").is_some(), "it is open again");
}

#[test]
fn a_tab_among_many_is_scrolled_to_when_one_goes_there() {
    let mut window = chat();
    for number in 0..40 {
        let from = format!("friend{number}");
        tell(&mut window, Event::Message(message(number, &from, Some("alice"), "psst")));
    }
    press(&mut window, Modifiers::CTRL | Modifiers::SHIFT, Key::Tab);
    window.run();
    let tab = window.get_by_role_and_label(Role::Button, "friend39").rect();
    assert!(tab.right() <= 900.0 && tab.left() >= 0.0, "{tab:?}");
}
