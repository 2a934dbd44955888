//! Themes, sizes, names for who cannot see, and keys for who has no mouse.

use std::time::Duration;

use chinwag::client::Event;
use eframe::egui::{Key, Modifiers, Theme, ThemePreference, ViewportId, vec2};
use egui_kittest::kittest::{NodeT, Queryable};

use crate::driver::*;

#[test]
fn every_control_has_a_name_and_both_themes_can_be_had() {
    let mut window = chat();
    tell(&mut window, Event::Message(message(1, "bob", Some("alice"), "psst")));
    let nameless = |window: &Window<'_>| {
        use eframe::egui::accesskit::Role;
        let controls =
            [Role::Button, Role::TextInput, Role::MultilineTextInput, Role::PasswordInput, Role::CheckBox];
        let nodes = window.root().children_recursive();
        let nodes = nodes.filter(|node| controls.contains(&node.accesskit_node().role()));
        nodes.filter(|node| node.accesskit_node().label().is_none_or(|label| label.trim().is_empty())).count()
    };
    assert_eq!(nameless(&window), 0);
    window.ctx.set_theme(eframe::egui::ThemePreference::System);
    window.run();
    window.get_by_label("Theme: system").click();
    window.run();
    assert!(!window.ctx.global_style().visuals.dark_mode);
    window.get_by_label("Theme: light").click();
    window.run();
    assert!(window.ctx.global_style().visuals.dark_mode);
    window.get_by_label("Theme: dark").click();
    window.run();
    assert!(shows(&window, "Theme: system"));
    window.get_by_label("Sign out").click();
    window.run();
    assert_eq!(nameless(&window), 0);
}

#[test]
fn the_text_grows_and_shrinks_by_keys() {
    let mut window = chat();
    window.key_press_modifiers(Modifiers::COMMAND, Key::Plus);
    window.run();
    assert!(window.ctx.zoom_factor() > 1.0);
    window.key_press_modifiers(Modifiers::COMMAND, Key::Minus);
    window.key_press_modifiers(Modifiers::COMMAND, Key::Minus);
    window.run();
    assert!(window.ctx.zoom_factor() < 1.0);
}

#[test]
fn the_theme_is_the_systems_until_one_chooses() {
    let mut window = chat();
    window.ctx.set_theme(ThemePreference::System);
    for (theme, is_dark) in [(Theme::Dark, true), (Theme::Light, false)] {
        window.input_mut().system_theme = Some(theme);
        window.run();
        assert_eq!(window.ctx.global_style().visuals.dark_mode, is_dark);
    }
    press(&mut window, Modifiers::NONE, Key::F2);
    press(&mut window, Modifiers::NONE, Key::F2);
    assert!(window.ctx.global_style().visuals.dark_mode);
}

#[test]
fn the_keyboard_reaches_every_control() {
    let mut window = chat();
    tell(&mut window, Event::Message(message(1, "bob", Some("alice"), "psst")));
    say(&mut window, 2, "bob", "see https://example.org");
    assert_eq!(focused(&window).as_deref(), Some("Message"));
    let mut reached = Vec::new();
    while !reached.contains(&"Message".to_owned()) && reached.len() < 40 {
        press(&mut window, Modifiers::NONE, Key::Tab);
        reached.extend(focused(&window));
    }
    let wanted = [
        "Everyone",
        "bob (1)",
        "Close the conversation with bob",
        "Sign out",
        "Write bob in private",
        "Write carol in private",
        "https://example.org",
        "Message",
    ];
    for name in wanted {
        assert!(reached.iter().any(|it| it == name), "{name} is not among {reached:?}");
    }
    let mut window = crate::driver::window();
    let mut reached = Vec::new();
    while reached.len() < 7 {
        press(&mut window, Modifiers::NONE, Key::Tab);
        reached.extend(focused(&window));
    }
    for name in ["Log in", "Register", "Server", "Name", "Password", "Connect"] {
        assert!(reached.iter().any(|it| it == name), "{name} is not among {reached:?}");
    }
}

#[test]
fn nothing_is_drawn_while_nothing_happens() {
    let mut window = chat();
    say(&mut window, 1, "bob", "hello");
    types(&mut window, "half a line");
    assert_eq!(focused(&window).as_deref(), Some("Message"), "where a cursor could blink");
    assert_eq!(window.output().viewport_output[&ViewportId::ROOT].repaint_delay, Duration::MAX);
}

#[test]
fn in_a_small_window_everything_is_inside() {
    for size in [vec2(320.0, 260.0), vec2(480.0, 320.0), vec2(1600.0, 1000.0)] {
        let mut window = chat();
        window.set_size(size);
        say(&mut window, 1, "bob", &"a long message with many words ".repeat(20));
        tell(&mut window, Event::Message(message(2, "bob", Some("alice"), "psst")));
        window.run();
        for label in ["Message", "Sign out"] {
            let control = window.get_by_label(label).rect();
            let is_inside = control.left() >= 0.0
                && control.top() >= 0.0
                && control.right() <= size.x
                && control.bottom() <= size.y;
            assert!(is_inside, "{label} at {control:?} in {size:?}");
        }
        let mut window = crate::driver::window();
        window.set_size(size);
        window.run();
        let button = window.get_by_label("Connect");
        button.scroll_to_me();
        window.run();
        let button = window.get_by_label("Connect").rect();
        assert!(button.bottom() <= size.y && button.right() <= size.x, "{button:?} in {size:?}");
    }
}
