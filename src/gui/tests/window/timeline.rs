//! A long list of messages, and how it grows at both ends.

use chinwag::client::link::Update;
use chinwag::client::{Event, Message, Origin};
use chinwag_gui::app::Told;
use eframe::egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable;

use crate::driver::*;

#[test]
fn a_reader_is_not_pulled_down_and_a_button_goes_there() {
    let mut window = chat();
    for number in 0..200 {
        window.state_mut().handle(Told::Update(Update::Event(Event::Message(message(
            number,
            "bob",
            None,
            &format!("message {number}"),
        )))));
    }
    window.run();
    assert!(window.query_by_label("message 199").is_some());
    scroll(&mut window, 1500.0);
    assert!(window.query_by_label("message 199").is_none());
    let top = topmost(&window);
    say(&mut window, 300, "bob", "the newest");
    assert_eq!(topmost(&window), top, "nothing has moved");
    assert!(window.query_by_label("the newest").is_none());
    window.get_by_label_contains("Go to the newest (1 new)").click();
    window.run();
    assert!(window.query_by_label("the newest").is_some());
}

#[test]
fn scrolling_up_loads_what_is_older_and_moves_nothing() {
    let mut window = window();
    tell(&mut window, Event::Welcome(name("alice")));
    requests(&mut window);
    for number in 0..100 {
        let text = format!("message {number}");
        let asked = Message { origin: Origin::Asked, ..message(1000 + number, "bob", None, &text) };
        window.state_mut().handle(Told::Update(Update::Event(Event::Message(asked))));
    }
    end_of_history(&mut window, 200);
    assert!(requests(&mut window).is_empty(), "the end is seen");
    scroll(&mut window, 1_000_000.0);
    assert_eq!(submitted(&mut window), [format!("/history 200 before {}", at(1000))]);
    let top = topmost(&window);
    for number in 0..50 {
        let text = format!("older {number}");
        let asked = Message { origin: Origin::Asked, ..message(number, "bob", None, &text) };
        window.state_mut().handle(Told::Update(Update::Event(Event::Message(asked))));
    }
    window.run();
    let now = topmost(&window);
    assert_eq!(now.0, top.0);
    assert!((now.1 - top.1).abs() <= 40, "{now:?} was at {top:?}; the date moves away from above it");
    end_of_history(&mut window, 200);
    scroll(&mut window, 1_000_000.0);
    assert!(window.query_by_label("older 0").is_some());
    assert_eq!(submitted(&mut window).len(), 1);
    end_of_history(&mut window, 199);
    scroll(&mut window, 1_000_000.0);
    assert!(submitted(&mut window).is_empty(), "there is nothing older");
}

#[test]
fn of_a_hundred_thousand_messages_only_those_that_are_seen_are_laid_out() {
    let mut window = chat();
    for number in 0..100_000 {
        let text = format!("message {number}");
        window
            .state_mut()
            .handle(Told::Update(Update::Event(Event::Message(message(number, "bob", None, &text)))));
    }
    window.run();
    assert!(window.query_by_label("message 99999").is_some());
    let seen = window.query_all_by_label_contains("message ").count();
    assert!((5..80).contains(&seen), "{seen}");
    scroll(&mut window, 500_000.0);
    let seen = window.query_all_by_label_contains("message ").count();
    assert!((5..80).contains(&seen), "{seen}");
    assert!(window.query_by_label("message 99999").is_none());
}

/// A chat in which there are messages of one's own asking, and older ones may be.
fn chat_with(count: u64) -> Window<'static> {
    let mut window = window();
    tell(&mut window, Event::Welcome(name("alice")));
    requests(&mut window);
    (0..count).for_each(|it| load(&mut window, message(1000 + it, "bob", None, &format!("message {it}"))));
    end_of_history(&mut window, 200);
    window
}

#[test]
fn keys_scroll_by_pages_and_to_the_end() {
    let mut window = chat_with(100);
    press(&mut window, Modifiers::NONE, Key::PageUp);
    assert!(window.query_by_label("message 99").is_none());
    let above = topmost(&window).0;
    press(&mut window, Modifiers::NONE, Key::PageUp);
    press(&mut window, Modifiers::NONE, Key::PageDown);
    assert_eq!(topmost(&window).0, above);
    // One of them does not do: a button stands below since the end was left.
    press(&mut window, Modifiers::NONE, Key::PageDown);
    press(&mut window, Modifiers::NONE, Key::PageDown);
    assert!(window.query_by_label("message 99").is_some());
    say(&mut window, 5000, "bob", "the newest");
    assert!(window.query_by_label("the newest").is_some(), "at the end it follows again");
    press(&mut window, Modifiers::NONE, Key::PageUp);
    press(&mut window, Modifiers::CTRL, Key::End);
    assert!(window.query_by_label("the newest").is_some());
}

#[test]
fn only_who_asks_for_it_has_a_short_tab_go_back_through_all_history() {
    let mut window = chat_with(100);
    click(&mut window, "Everyone");
    window.state_mut().handle(Told::Online([name("alice"), name("carol")].into()));
    window.run();
    click(&mut window, "Write carol in private");
    assert_eq!(submitted(&mut window), [""; 0]);
    click(&mut window, "Show older ones");
    assert_eq!(submitted(&mut window).len(), 1);
    assert!(shows(&window, "Loading…"));
    load(&mut window, message(10, "bob", None, "nothing of carol's"));
    end_of_history(&mut window, 200);
    assert_eq!(submitted(&mut window), [""; 0]);
    click(&mut window, "Show older ones");
    // Fewer than were asked for: there are no others.
    end_of_history(&mut window, 199);
    assert!(shows(&window, "This is the beginning."));
}

#[test]
fn what_one_asks_for_oneself_is_not_taken_for_a_page() {
    let mut window = window();
    tell(&mut window, Event::Welcome(name("alice")));
    enters(&mut window, "/history 2099-01-01");
    load(&mut window, message(1000, "bob", None, "hello"));
    end_of_history(&mut window, 200);
    load(&mut window, message(10, "bob", None, "long ago"));
    end_of_history(&mut window, 0);
    assert!(window.query_by_label("Show older ones").is_some(), "there may be older ones");
    submitted(&mut window);
    enters(&mut window, "/history never");
    click(&mut window, "Show older ones");
    assert_eq!(submitted(&mut window).pop(), Some(format!("/history 200 before {}", at(1000))));
    let refusal = refused("! bad-usage: /history [N | TIME]");
    tell(&mut window, Event::Refused { id: 2, line: "/history never".into(), refusal });
    assert!(shows(&window, "Loading…"));
    tell(&mut window, Event::NotSent { id: 3, line: String::new() });
    assert!(window.query_by_label("Show older ones").is_some() && !shows(&window, "Not sent"));
    click(&mut window, "Show older ones");
    let refusal = refused("! history-unavailable: come back later");
    tell(&mut window, Event::Refused { id: 4, line: String::new(), refusal });
    assert!(!shows(&window, "Loading…"), "a page that is refused is not awaited");
}

#[test]
fn a_window_that_becomes_narrower_keeps_what_is_read() {
    let mut window = chat_with(0);
    for number in 0..100 {
        // Of the narrow window's rows each takes more than one.
        let text = format!("message {number} {}", "with many words ".repeat(8));
        load(&mut window, message(2000 + number, "bob", None, &text));
    }
    window.run();
    press(&mut window, Modifiers::NONE, Key::PageUp);
    let top = topmost(&window).0;
    window.set_size(vec2(600.0, 600.0));
    window.run();
    assert_eq!(topmost(&window).0, top);
}
