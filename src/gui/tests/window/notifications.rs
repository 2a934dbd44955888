//! What counts as unread, what is notified, and what a window does that is not drawn.

use chinwag::client::link::Update;
use chinwag::client::{Event as ChatEvent, Message, Origin};
use chinwag_gui::app::Told;
use chinwag_gui::notification::{Notification, escape_markup, summary};
use chinwag_gui::request::Request;
use eframe::egui::{RawInput, ViewportCommand, ViewportId, ViewportInfo};
use egui_kittest::kittest::Queryable;

use crate::driver::*;

fn notification(from: &str, is_private: bool, text: &str) -> Notification {
    Notification { from: name(from), is_private, text: text.into() }
}

fn notified(window: &mut Window<'_>) -> Vec<Notification> {
    let notified = requests(window).into_iter().filter_map(|request| match request {
        Request::Notify(notification) => Some(notification),
        _ => None,
    });
    notified.collect()
}

#[test]
fn private_messages_and_mentions_are_notified_while_the_window_has_no_focus() {
    let mut window = chat();
    tell(&mut window, ChatEvent::Message(message(1, "bob", Some("alice"), "seen")));
    say(&mut window, 2, "bob", "alice, seen too");
    assert!(notified(&mut window).is_empty());
    window.input_mut().focused = false;
    window.run();
    tell(&mut window, ChatEvent::Message(message(3, "bob", Some("alice"), "psst")));
    say(&mut window, 4, "bob", "for everyone, and malice");
    say(&mut window, 5, "bob", "where is Alice?");
    let expected = [notification("bob", true, "psst"), notification("bob", false, "where is Alice?")];
    assert_eq!(notified(&mut window), expected);
}

#[test]
fn own_lines_of_another_session_are_neither_unread_nor_notified() {
    let mut window = chat();
    window.input_mut().focused = false;
    window.run();
    say(&mut window, 1, "alice", "alice is me");
    tell(&mut window, ChatEvent::Message(message(2, "alice", Some("bob"), "from my phone")));
    let missed = Message { origin: Origin::Missed, ..message(3, "alice", Some("bob"), "and this") };
    tell(&mut window, ChatEvent::Message(missed));
    assert!(notified(&mut window).is_empty());
    assert_eq!(window.state().title(), "alice · chinwag");
    assert!(window.query_by_label("Everyone").is_some() && window.query_by_label("bob (1)").is_none());
}

/// Runs the window's logic as eframe does while nothing of it is visible, without a frame. Returns the title it sets.
fn hidden(window: &mut Window<'_>, has_focus: bool, told: Vec<Told>) -> Option<String> {
    let info = ViewportInfo { minimized: Some(true), ..ViewportInfo::default() };
    let raw = RawInput {
        viewports: [(ViewportId::ROOT, info)].into_iter().collect(),
        focused: has_focus,
        ..RawInput::default()
    };
    let ctx = window.ctx.clone();
    let output = ctx.run_logic(&raw, |ctx| window.state_mut().logic(ctx, told));
    let mut commands = output.viewport_commands.into_values().flatten();
    commands.find_map(|command| match command {
        ViewportCommand::Title(title) => Some(title),
        _ => None,
    })
}

#[test]
fn a_hidden_window_counts_and_notifies_without_a_frame() {
    for has_focus in [false, true] {
        let mut window = chat();
        tell(&mut window, ChatEvent::Message(message(1, "bob", Some("alice"), "seen")));
        click(&mut window, "bob (1)");
        let psst = ChatEvent::Message(message(2, "bob", Some("alice"), "psst"));
        let title = hidden(&mut window, has_focus, vec![Told::Update(Update::Event(psst))]);
        assert_eq!(title.as_deref(), Some("(1) alice · chinwag"), "focus: {has_focus}");
        assert_eq!(notified(&mut window), [notification("bob", true, "psst")]);
        window.run();
        assert_eq!(window.state().title(), "alice · chinwag", "it is seen as soon as the window is");
    }
}

#[test]
fn many_notifications_are_shown_as_one() {
    let all =
        |from: &[&str]| summary(&from.iter().map(|it| notification(it, true, "psst")).collect::<Vec<_>>());
    assert_eq!(all(&["bob"]), ("bob writes to you".into(), "psst".into()));
    assert_eq!(all(&["bob"; 5]), ("5 private messages".into(), "bob writes to you".into()));
    let two = ("3 private messages".into(), "bob and carol write to you".into());
    assert_eq!(all(&["bob", "carol", "bob"]), two);
    let five = ("5 private messages".into(), "a, b, c and 2 others write to you".into());
    assert_eq!(all(&["a", "b", "c", "d", "e"]), five);
    let mixed = [notification("bob", true, "psst"), notification("carol", false, "hi alice")];
    assert_eq!(summary(&mixed), ("2 messages for you".into(), "bob and carol wrote".into()));
    assert_eq!(summary(&mixed[1..]), ("carol mentions you".into(), "hi alice".into()));
}

#[test]
fn notifications_show_text_as_text() {
    let shown = |text: &str| summary(&[notification("bob", true, text)]).1;
    assert_eq!(shown("a\u{1b}[31m\tb\u{7f}c"), "a [31m b c");
    assert_eq!(shown("\u{202e}evil\u{2066} \u{200f}text"), "evil text");
    assert_eq!(shown(&"é".repeat(1000)).chars().count(), 201);
    assert!(shown(&"é".repeat(1000)).ends_with("é…"));
    let escaped = "&lt;img src=&quot;x&quot;&gt; &lt;b&gt;R&amp;D&lt;/b&gt; it&apos;s";
    assert_eq!(escape_markup("<img src=\"x\"> <b>R&D</b> it's"), escaped);
    assert_eq!(escape_markup("&amp;"), "&amp;amp;");
}
