//! The window without a window system: what is found by its name, pressed and typed, and what comes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use chinwag::client::link::{End, Update};
use chinwag::client::{Event, Message, Origin, Refusal};
use chinwag::name::Name;
use chinwag::record::Timestamp;
use chinwag_gui::app::{App, Request, Told};
use eframe::egui::{Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use jiff::tz::TimeZone;

/// What passes between two frames.
const STEP_S: f32 = 0.1;
/// Scrolling goes on for a while.
const STEPS_MAX: u64 = 100;

type Window<'a> = Harness<'a, App>;

fn window<'a>() -> Window<'a> {
    let app = App::new("localhost:5000".into(), String::new(), TimeZone::UTC);
    let mut window = Harness::builder()
        .with_size(vec2(900.0, 600.0))
        .with_max_steps(STEPS_MAX)
        .with_step_dt(STEP_S)
        .build_ui_state(|ui, app: &mut App| app.ui(ui), app);
    window.input_mut().focused = true;
    window.run();
    window
}

fn name(text: &str) -> Name {
    Name::parse(text.as_bytes()).unwrap()
}

fn tell(window: &mut Window<'_>, event: Event) {
    window.state_mut().handle(Told::Update(Update::Event(event)));
    window.run();
}

fn at(second: u64) -> Timestamp {
    // 2026-11-22T12:00:00Z
    Timestamp::from_micros((1_795_348_800 + second) * 1_000_000)
}

fn message(second: u64, from: &str, to: Option<&str>, text: &str) -> Message {
    Message {
        at: at(second),
        from: name(from),
        to: to.map(name),
        text: text.into(),
        origin: Origin::Live,
        receipt: None,
    }
}

fn say(window: &mut Window<'_>, second: u64, from: &str, text: &str) {
    tell(window, Event::Message(message(second, from, None, text)));
}

/// Alice is in; what was asked for by that is done, and there was nothing before.
fn chat<'a>() -> Window<'a> {
    let mut window = window();
    tell(&mut window, Event::Welcome(name("alice")));
    window.state_mut().handle(Told::Online(BTreeSet::from(["alice", "bob", "carol"].map(name))));
    let requests = window.state_mut().take_requests();
    assert!(requests.contains(&Request::Submit("/history 200".into())), "{requests:?}");
    tell(&mut window, Event::EndOfHistory);
    window
}

fn requests(window: &mut Window<'_>) -> Vec<Request> {
    window.state_mut().take_requests()
}

fn submitted(window: &mut Window<'_>) -> Vec<String> {
    let lines = requests(window).into_iter().filter_map(|request| match request {
        Request::Submit(line) => Some(line),
        _ => None,
    });
    lines.collect()
}

fn shows(window: &Window<'_>, label: &str) -> bool {
    window.query_by_label_contains(label).is_some()
}

fn types(window: &mut Window<'_>, text: &str) {
    window.get_by_label("Message").type_text(text);
    window.run();
}

fn enters(window: &mut Window<'_>, text: &str) {
    types(window, text);
    window.key_press(Key::Enter);
    window.run();
}

fn fill(window: &mut Window<'_>, field: &str, text: &str) {
    window.get_by_label(field).focus();
    window.run();
    window.get_by_label(field).type_text(text);
    window.run();
}

fn connect(window: &mut Window<'_>) {
    window.get_by_label("Connect").click();
    window.run();
}

#[test]
fn signing_in_asks_for_a_connection() {
    let mut window = window();
    assert_eq!(window.get_by_label("Server").value().as_deref(), Some("localhost:5000"));
    fill(&mut window, "Name", "alice");
    fill(&mut window, "Password", "correct-horse");
    connect(&mut window);
    let [Request::Connect { server, credentials }] = &requests(&mut window)[..] else {
        panic!("no connection")
    };
    assert_eq!(server, "localhost:5000");
    assert_eq!(
        (&*credentials.name, &*credentials.password, credentials.is_new),
        ("alice", "correct-horse", false)
    );
    assert!(
        shows(&window, "Waiting for the server")
            || window.get_by_label("Connect").accesskit_node().is_disabled()
    );
}

#[test]
fn what_is_wrong_is_said_beside_the_field() {
    let mut window = window();
    connect(&mut window);
    assert!(shows(&window, "A name is a letter"));
    fill(&mut window, "Name", "alice");
    connect(&mut window);
    assert!(!shows(&window, "A name is a letter"));
    assert!(shows(&window, "A password has 8 to 128 bytes"));
    fill(&mut window, "Password", "correct-horse");
    window.get_by_label("Register").click();
    window.run();
    connect(&mut window);
    assert!(shows(&window, "These are two different passwords"));
    fill(&mut window, "Password again", "correct-horse");
    connect(&mut window);
    assert!(
        matches!(&requests(&mut window)[..], [Request::Connect { credentials, .. }] if credentials.is_new)
    );
    tell(&mut window, Event::LoginFailed(Refusal::parse("name-taken: alice is registered already")));
    assert!(shows(&window, "Alice is registered already."));
    let problem = window.get_by_label_contains("Alice is registered").rect();
    assert!(problem.top() >= window.get_by_label("Name").rect().top(), "beside the name");
    assert!(problem.bottom() <= window.get_by_label("Password").rect().bottom());
    window.state_mut().handle(Told::NotConnected("localhost:5000: Connection refused".into()));
    window.run();
    assert!(shows(&window, "Connection refused"));
}

#[test]
fn a_password_is_hidden_and_not_remembered() {
    let mut window = window();
    fill(&mut window, "Name", "alice");
    fill(&mut window, "Password", "correct-horse");
    assert!(!shows(&window, "correct-horse"));
    tell(&mut window, Event::Welcome(name("alice")));
    let wanted = Request::KeepLogin { server: "localhost:5000".into(), name: "alice".into() };
    assert!(requests(&mut window).contains(&wanted));
    window.get_by_label("Sign out").click();
    window.run();
    assert_eq!(window.get_by_label("Password").value().as_deref(), Some(""));
    assert!(requests(&mut window).contains(&Request::SignOut));
}

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
fn what_is_typed_is_sent_and_pale_until_its_receipt_comes() {
    let mut window = chat();
    enters(&mut window, "hello");
    assert_eq!(submitted(&mut window), ["hello"]);
    assert!(shows(&window, "hello"));
    assert_eq!(window.get_by_label("Message").value().as_deref(), Some(""));
    // The history that was asked for had the number 0.
    let copy = Message { receipt: Some(1), ..message(1, "alice", None, "hello") };
    tell(&mut window, Event::Message(copy));
    assert_eq!(window.query_all_by_label("hello").count(), 1);
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
    assert!(shows(&window, "· not sent"));
    window.get_by_label("Send again").click();
    window.run();
    assert_eq!(submitted(&mut window), ["hello"]);
    assert!(!shows(&window, "· not sent"));
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
    let refusal = Refusal::parse("no-such-user: nobody is called nobody");
    tell(&mut window, Event::Refused { id: 1, line: "/msg nobody hi".into(), refusal });
    assert!(shows(&window, "nobody is called nobody (/msg nobody hi)"));
}

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
fn a_private_message_is_notified_only_when_the_window_is_not_in_front() {
    let mut window = chat();
    tell(&mut window, Event::Message(message(1, "bob", Some("alice"), "seen")));
    assert!(requests(&mut window).is_empty());
    window.input_mut().focused = false;
    window.run();
    tell(&mut window, Event::Message(message(2, "bob", Some("alice"), "psst")));
    tell(&mut window, Event::Message(message(3, "bob", None, "public")));
    let wanted = Request::Notify { title: "bob writes you".into(), body: "psst".into() };
    assert_eq!(requests(&mut window), [wanted]);
}

#[test]
fn a_lost_connection_is_said_with_a_countdown_until_it_is_back() {
    let mut window = chat();
    let lost = Update::Lost("the server closed it".into(), Duration::from_secs(8));
    window.state_mut().handle(Told::Update(lost));
    window.run_steps(2);
    assert!(shows(&window, "The connection is lost (the server closed it). Trying again in 8 s."));
    window.run_steps((3.0 / STEP_S) as usize);
    assert!(shows(&window, "Trying again in 5 s."), "it counts");
    window.state_mut().handle(Told::Update(Update::Event(Event::Welcome(name("alice")))));
    window.run();
    assert!(!shows(&window, "The connection is lost"));
    let end = End { why: Some("bad-login: wrong name or password".into()), unacknowledged: Vec::new() };
    window.state_mut().handle(Told::Update(Update::Ended(end)));
    window.run();
    window.get_by_label("Sign in again").click();
    window.run();
    assert!(window.query_by_label("Password").is_some());
}

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

fn scroll(window: &mut Window<'_>, up: f32) {
    window.hover_at(eframe::egui::pos2(300.0, 300.0));
    window.event(eframe::egui::Event::MouseWheel {
        unit: eframe::egui::MouseWheelUnit::Point,
        delta: vec2(0.0, up),
        modifiers: Modifiers::NONE,
        phase: eframe::egui::TouchPhase::Move,
        source: eframe::egui::MouseWheelSource::Trackpad,
    });
    window.run();
}

/// The first message that is seen, and where.
fn topmost(window: &Window<'_>) -> (String, i32) {
    let messages = window.query_all_by_label_contains("message ");
    let first =
        messages.min_by(|a, b| a.rect().top().total_cmp(&b.rect().top())).expect("there are messages");
    (first.accesskit_node().label().unwrap_or_default(), first.rect().top() as i32)
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
    tell(&mut window, Event::EndOfHistory);
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
    tell(&mut window, Event::EndOfHistory);
    scroll(&mut window, 1_000_000.0);
    assert!(window.query_by_label("older 0").is_some());
    assert_eq!(submitted(&mut window).len(), 1);
    tell(&mut window, Event::EndOfHistory);
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
