//! Input that arrives faster than frames are drawn, exact modifiers, and where typed text goes.

use chinwag::client::Event as ChatEvent;
use eframe::egui::{Event, ImeEvent, Key, Modifiers, PointerButton, Pos2};
use egui_kittest::kittest::Queryable;

use crate::driver::*;

/// A chat with a private conversation with bob that is not shown.
fn chat_with_bob<'a>() -> Window<'a> {
    let mut window = chat();
    tell(&mut window, ChatEvent::Message(message(1, "bob", Some("alice"), "psst")));
    window
}

fn enter() -> Vec<Event> {
    key(Modifiers::NONE, Key::Enter)
}

fn next_tab() -> Vec<Event> {
    key(Modifiers::CTRL, Key::Tab)
}

fn click_at(pos: Pos2) -> Vec<Event> {
    let button = |pressed| Event::PointerButton {
        pos,
        button: PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    };
    vec![Event::PointerMoved(pos), button(true), button(false)]
}

#[test]
fn input_of_one_frame_reaches_the_conversations_it_was_typed_in() {
    let mut window = chat_with_bob();
    let events = [
        letters("to all"),
        enter(),
        next_tab(),
        letters("to bob"),
        enter(),
        next_tab(),
        letters("to all again"),
    ];
    at_once(&mut window, [events.concat(), enter()].concat());
    assert_eq!(submitted(&mut window), ["to all", "/msg bob to bob", "to all again"]);
    assert_eq!(entry(&window), "");
}

#[test]
fn input_of_a_thousand_messages_in_three_frames_arrives_whole_and_in_order() {
    let mut window = chat();
    let lines: Vec<String> = (0..1000).map(|number| format!("message {number}")).collect();
    let events: Vec<Event> = lines.iter().flat_map(|line| [letters(line), enter()].concat()).collect();
    let mut frames = 0;
    for part in events.chunks(events.len() / 3 + 1) {
        frames += at_once(&mut window, part.to_vec());
    }
    assert_eq!(submitted(&mut window), lines);
    assert!(frames <= 2 * lines.len() + 10, "two frames each: {frames}");
}

#[test]
fn input_by_paste_and_input_method_keeps_its_place() {
    let mut window = chat_with_bob();
    let preedit = |text: &str| Event::Ime(ImeEvent::Preedit { text: text.into(), active_range_chars: None });
    let commit = |text: &str| Event::Ime(ImeEvent::Commit(text.into()));
    let events = [
        vec![Event::Paste("pasted ".into()), preedit("に"), commit("日本"), Event::Text("!".into())],
        enter(),
        next_tab(),
        vec![commit("語"), Event::Paste(" and pasted".into())],
        enter(),
    ];
    at_once(&mut window, events.concat());
    assert_eq!(submitted(&mut window), ["pasted 日本!", "/msg bob 語 and pasted"]);
}

#[test]
fn input_after_a_click_goes_where_the_click_led() {
    let mut window = chat_with_bob();
    let tab = window.get_by_label("bob (1)").rect().center();
    let events = [letters("to all"), enter(), click_at(tab), letters("to bob"), enter()];
    at_once(&mut window, events.concat());
    assert_eq!(submitted(&mut window), ["to all", "/msg bob to bob"]);
}

#[test]
fn input_of_one_frame_recalls_and_closes_in_order() {
    let mut window = chat_with_bob();
    let up = key(Modifiers::NONE, Key::ArrowUp);
    let close = key(Modifiers::CTRL, Key::W);
    let events = [
        letters("one"),
        enter(),
        up,
        letters(" more"),
        enter(),
        next_tab(),
        letters("hi"),
        enter(),
        close,
        letters("closed"),
        enter(),
    ];
    at_once(&mut window, events.concat());
    assert_eq!(submitted(&mut window), ["one", "one more", "/msg bob hi", "closed"]);
}

#[test]
fn enter_sends_only_without_modifiers() {
    let mut window = chat();
    for modifiers in [Modifiers::SHIFT, Modifiers::CTRL, Modifiers::ALT, Modifiers::CTRL | Modifiers::SHIFT] {
        types(&mut window, "a");
        press(&mut window, modifiers, Key::Enter);
        assert!(submitted(&mut window).is_empty(), "{modifiers:?}");
    }
    assert_eq!(entry(&window), "a\naaa", "Shift-Enter, and only that, starts another line");
    press(&mut window, Modifiers::NONE, Key::Enter);
    assert_eq!(submitted(&mut window), ["a", "aaa"]);
}

#[test]
fn shortcuts_need_their_exact_modifiers() {
    let mut window = chat();
    for (second, from) in ["bob", "carol"].into_iter().enumerate() {
        tell(&mut window, ChatEvent::Message(message(second as u64, from, Some("alice"), "psst")));
    }
    press(&mut window, Modifiers::CTRL | Modifiers::SHIFT, Key::Tab);
    enters(&mut window, "backwards");
    press(&mut window, Modifiers::CTRL | Modifiers::ALT, Key::W);
    press(&mut window, Modifiers::CTRL | Modifiers::ALT, Key::Tab);
    enters(&mut window, "still here");
    assert_eq!(submitted(&mut window), ["/msg carol backwards", "/msg carol still here"]);
    types(&mut window, "kept");
    press(&mut window, Modifiers::SHIFT, Key::ArrowUp);
    press(&mut window, Modifiers::ALT, Key::ArrowUp);
    assert_eq!(entry(&window), "kept", "only the bare key recalls");
}

#[test]
fn typed_text_goes_to_the_entry_wherever_the_focus_is() {
    let mut window = chat();
    say(&mut window, 1, "bob", "hello");
    for label in ["Write carol in private", "Sign out", "hello"] {
        let place = window.get_by_label(label).rect().center();
        window.get_by_label(label).focus();
        if label == "hello" {
            at_once(&mut window, click_at(place));
        }
        window.run();
        assert_ne!(focused(&window).as_deref(), Some("Message"), "{label}");
        at_once(&mut window, [letters("é x"), enter()].concat());
        assert_eq!(submitted(&mut window), ["é x"], "{label}");
    }
}

#[test]
fn a_space_presses_the_control_that_has_the_focus() {
    let mut window = chat();
    window.get_by_label("Write carol in private").focus();
    window.run();
    let space = [vec![Event::Text(" ".into())], key(Modifiers::NONE, Key::Space)].concat();
    at_once(&mut window, space);
    at_once(&mut window, [letters("hi"), enter()].concat());
    assert_eq!(submitted(&mut window), ["/msg carol hi"]);
}
