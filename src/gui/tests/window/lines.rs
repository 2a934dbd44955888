//! The line to be said, and what becomes of it.

use chinwag::client::link::{End, Update};
use chinwag::client::{Event, Message};
use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;

use crate::driver::*;

#[test]
fn what_is_typed_is_sent_and_pale_until_its_receipt_comes() {
    let mut window = chat();
    enters(&mut window, "hello");
    assert_eq!(submitted(&mut window), ["hello"]);
    let pale = colour_of(&window, "hello");
    assert_eq!(window.get_by_label("Message").value().as_deref(), Some(""));
    // The history that was asked for had the number 0.
    let copy = Message { receipt: Some(1), ..message(1, "alice", None, "hello") };
    tell(&mut window, Event::Message(copy));
    assert_eq!(window.query_all_by_label("hello").count(), 1);
    assert_ne!(colour_of(&window, "hello"), pale);
}

#[test]
fn shift_enter_gives_a_second_message() {
    let mut window = chat();
    types(&mut window, "one");
    window.key_press_modifiers(Modifiers::SHIFT, Key::Enter);
    window.run();
    enters(&mut window, "two");
    assert_eq!(submitted(&mut window), ["one", "two"]);
}

#[test]
fn up_recalls_and_tab_completes() {
    let mut window = chat();
    enters(&mut window, "first");
    enters(&mut window, "second");
    let value = |window: &Window<'_>| window.get_by_label("Message").value().unwrap_or_default();
    window.key_press(Key::ArrowUp);
    window.run();
    assert_eq!(value(&window), "second");
    window.key_press(Key::ArrowUp);
    window.run();
    assert_eq!(value(&window), "first");
    window.key_press(Key::ArrowDown);
    window.run();
    window.key_press(Key::ArrowDown);
    window.run();
    assert_eq!(value(&window), "");
    types(&mut window, "hi BO");
    window.key_press(Key::Tab);
    window.run();
    assert_eq!(value(&window), "hi bob ");
}

#[test]
fn a_line_that_was_not_sent_can_be_sent_again() {
    let mut window = chat();
    enters(&mut window, "hello");
    submitted(&mut window);
    tell(&mut window, Event::Unconfirmed { id: 1, line: "hello".into() });
    assert!(shows(&window, "not confirmed yet"));
    tell(&mut window, Event::NotSent { id: 1, line: "hello".into() });
    assert!(shows(&window, "not sent"));
    window.get_by_label("Send again").click();
    window.run();
    assert_eq!(submitted(&mut window), ["hello"]);
    assert!(!shows(&window, "not sent"));
    tell(&mut window, Event::NotSent { id: 2, line: "hello".into() });
    window.get_by_label("Discard").click();
    window.run();
    assert!(!shows(&window, "hello"));
}

#[test]
fn an_error_appears_in_place() {
    let mut window = chat();
    enters(&mut window, "/msg nobody hi");
    assert_eq!(submitted(&mut window), ["/msg nobody hi"]);
    let refusal = refused("! no-such-user: nobody is called nobody");
    tell(&mut window, Event::Refused { id: 1, line: "/msg nobody hi".into(), refusal });
    assert!(shows(&window, "nobody is called nobody (/msg nobody hi)"));
}

#[test]
fn after_the_end_nothing_seems_to_be_on_its_way() {
    let mut window = chat();
    enters(&mut window, "half a way");
    submitted(&mut window);
    handle(&mut window, Update::Ended(End { why: None, unacknowledged: Vec::new() }));
    assert!(shows(&window, "not sent"));
    click(&mut window, "Discard");
    enters(&mut window, "too late");
    enters(&mut window, "/users");
    assert_eq!(submitted(&mut window), [""; 0]);
    assert!(shows(&window, "not sent") && shows(&window, "Not sent: /users"));
}

#[test]
fn of_a_command_it_is_said_that_it_was_not_sent_and_no_password_is_shown() {
    let mut window = chat();
    let line = "/passwd correct-horse battery-staple";
    enters(&mut window, line);
    assert_eq!(submitted(&mut window), [line]);
    tell(&mut window, Event::Unconfirmed { id: 1, line: line.into() });
    assert!(shows(&window, "Not confirmed yet: /passwd"));
    tell(&mut window, Event::NotSent { id: 1, line: line.into() });
    assert!(shows(&window, "Not sent: /passwd"));
    let refusal = refused("! bad-login: that is not your password");
    tell(&mut window, Event::Refused { id: 1, line: line.into(), refusal });
    assert!(shows(&window, "that is not your password (/passwd)"));
    press(&mut window, Modifiers::NONE, Key::ArrowUp);
    assert_eq!(entry(&window), "");
    assert!(!shows(&window, "horse") && !shows(&window, "staple"));
}

#[test]
fn answers_to_commands_appear_where_one_asked() {
    let mut window = chat();
    click(&mut window, "Write carol in private");
    tell(&mut window, Event::Users(vec![name("alice"), name("bob")]));
    assert!(shows(&window, "2 online: alice, bob"));
    tell(&mut window, Event::Notice("replay 5".into()));
    assert!(shows(&window, "replay 5"));
    press(&mut window, Modifiers::CTRL, Key::Tab);
    assert!(!shows(&window, "replay 5"));
    tell(&mut window, Event::Joined(vec![name("dave")], 3));
    assert!(shows(&window, "dave and 3 others joined"));
}
