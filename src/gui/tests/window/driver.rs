//! What the tests do with a window, and what they look at.

use std::collections::BTreeSet;
use std::time::Duration;

use chinwag::client::link::Update;
use chinwag::client::{Event as ChatEvent, Message, Origin, Refusal};
use chinwag::protocol::name::Name;
use chinwag::protocol::record::{Target, Timestamp};
use chinwag::protocol::reply::Reply;
use chinwag_gui::app::{App, Told};
use chinwag_gui::request::Request;
use eframe::egui::{Color32, Event, Key, Modifiers, OutputCommand, Rect, Shape, ViewportId, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use jiff::tz::TimeZone;

/// What passes between two frames.
pub const STEP_S: f32 = 0.1;
/// Scrolling goes on for a while.
const STEPS_MAX: u64 = 100;

pub type Window<'a> = Harness<'a, App>;

/// Before anyone has signed in.
pub fn window<'a>() -> Window<'a> {
    window_in(TimeZone::UTC)
}

pub fn window_in<'a>(zone: TimeZone) -> Window<'a> {
    let app = App::new("localhost:5000".into(), String::new(), zone);
    let mut window = Harness::builder()
        .with_size(vec2(900.0, 600.0))
        .with_max_steps(STEPS_MAX)
        .with_step_dt(STEP_S)
        .allow_missing_glyphs()
        .build_ui_state(
            |ui, app: &mut App| {
                app.logic(ui.ctx(), []);
                app.ui(ui);
            },
            app,
        );
    // As outside of tests, where it is the window's part to turn that off.
    window.ctx.all_styles_mut(|style| style.visuals.text_cursor.blink = true);
    App::set_looks(&window.ctx);
    window.input_mut().focused = true;
    window.run();
    window
}

/// Delivers events as the window system does when they arrive within one frame, and runs the window until it no longer
/// asks for another frame at once. Returns how many frames that took.
pub fn at_once(window: &mut Window<'_>, events: Vec<Event>) -> usize {
    window.input_mut().events.extend(events);
    for frame in 1.. {
        let mut input = std::mem::take(window.input_mut());
        window.state_mut().filter_input(&mut input);
        *window.input_mut() = input;
        window.step();
        if window.output().viewport_output[&ViewportId::ROOT].repaint_delay > Duration::ZERO {
            return frame;
        }
    }
    unreachable!()
}

/// A press and a release of a key.
pub fn key(modifiers: Modifiers, key: Key) -> Vec<Event> {
    let event = |pressed| Event::Key { key, physical_key: None, pressed, repeat: false, modifiers };
    vec![
        Event::ModifiersChanged(modifiers),
        event(true),
        event(false),
        Event::ModifiersChanged(Modifiers::NONE),
    ]
}

/// A text as it arrives from a keyboard, letter by letter.
pub fn letters(text: &str) -> Vec<Event> {
    text.chars().map(|letter| Event::Text(letter.into())).collect()
}

pub fn name(text: &str) -> Name {
    Name::parse(text.as_bytes()).unwrap()
}

/// The error in a server's line.
pub fn refused(line: &str) -> Refusal {
    let Some(Reply::Error(error)) = Reply::parse(line) else { panic!("no error: {line}") };
    error.into()
}

pub fn tell(window: &mut Window<'_>, event: ChatEvent) {
    window.state_mut().handle(Told::Update(Update::Event(event)));
    window.run();
}

pub fn at(second: u64) -> Timestamp {
    // 2026-11-22T12:00:00Z
    Timestamp::from_micros((1_795_348_800 + second) * 1_000_000)
}

pub fn message(second: u64, from: &str, to: Option<&str>, text: &str) -> Message {
    Message {
        at: at(second),
        from: name(from),
        to: to.map_or(Target::Everyone, |to| Target::Person(name(to))),
        is_deed: false,
        text: text.into(),
        origin: Origin::Live,
        receipt: None,
    }
}

pub fn say(window: &mut Window<'_>, second: u64, from: &str, text: &str) {
    tell(window, ChatEvent::Message(message(second, from, None, text)));
}

/// Alice is in; what was asked for by that is done, and there was nothing before.
pub fn chat<'a>() -> Window<'a> {
    chat_in(window())
}

pub fn chat_in(mut window: Window<'_>) -> Window<'_> {
    tell(&mut window, ChatEvent::Welcome(name("alice")));
    window.state_mut().handle(Told::Online(BTreeSet::from(["alice", "bob", "carol"].map(name))));
    let requests = window.state_mut().take_requests();
    assert!(requests.contains(&Request::Submit("/history 200".into())), "{requests:?}");
    end_of_history(&mut window, 0);
    window
}

pub fn requests(window: &mut Window<'_>) -> Vec<Request> {
    window.state_mut().take_requests()
}

pub fn submitted(window: &mut Window<'_>) -> Vec<String> {
    let lines = requests(window).into_iter().filter_map(|request| match request {
        Request::Submit(line) => Some(line),
        _ => None,
    });
    lines.collect()
}

pub fn shows(window: &Window<'_>, label: &str) -> bool {
    window.query_by_label_contains(label).is_some()
}

pub fn types(window: &mut Window<'_>, text: &str) {
    window.get_by_label("Message").type_text(text);
    window.run();
}

pub fn enters(window: &mut Window<'_>, text: &str) {
    types(window, text);
    window.key_press(Key::Enter);
    window.run();
}

pub fn fill(window: &mut Window<'_>, field: &str, text: &str) {
    window.get_by_label(field).focus();
    window.run();
    window.get_by_label(field).type_text(text);
    window.run();
}

pub fn connect(window: &mut Window<'_>) {
    window.get_by_label("Connect").click();
    window.run();
}

pub fn scroll(window: &mut Window<'_>, up: f32) {
    window.hover_at(eframe::egui::pos2(300.0, 300.0));
    window.event(Event::MouseWheel {
        unit: eframe::egui::MouseWheelUnit::Point,
        delta: vec2(0.0, up),
        modifiers: Modifiers::NONE,
        phase: eframe::egui::TouchPhase::Move,
        source: eframe::egui::MouseWheelSource::Trackpad,
    });
    window.run();
}

/// The first message that is seen, and where.
pub fn topmost(window: &Window<'_>) -> (String, i32) {
    let messages = window.query_all_by_label_contains("message ");
    let first =
        messages.min_by(|a, b| a.rect().top().total_cmp(&b.rect().top())).expect("there are messages");
    (first.accesskit_node().value().expect("a text"), first.rect().top() as i32)
}

pub fn handle(window: &mut Window<'_>, update: Update) {
    window.state_mut().handle(Told::Update(update));
    window.run();
}

/// A message of an answer to `/history`, without a frame.
pub fn load(window: &mut Window<'_>, message: Message) {
    let asked = Message { origin: Origin::Asked, ..message };
    window.state_mut().handle(Told::Update(Update::Event(ChatEvent::Message(asked))));
}

pub fn press(window: &mut Window<'_>, modifiers: Modifiers, key: Key) {
    window.key_press_modifiers(modifiers, key);
    window.run();
}

pub fn click(window: &mut Window<'_>, label: &str) {
    window.get_by_label(label).click();
    window.run();
}

/// What is being typed.
pub fn entry(window: &Window<'_>) -> String {
    window.get_by_label("Message").value().unwrap_or_default()
}

/// The name of the control that has the keyboard.
pub fn focused(window: &Window<'_>) -> Option<String> {
    let nodes = window.root().children_recursive();
    let mut nodes = nodes.filter(|node| node.accesskit_node().is_focused());
    nodes.next().and_then(|node| node.accesskit_node().label())
}

/// All pieces of text that were drawn in the last frame, with their colours.
pub fn painted(window: &Window<'_>) -> Vec<(String, Color32)> {
    let mut painted = Vec::new();
    window.output().shapes.iter().for_each(|it| gather(&it.shape, &mut painted));
    painted
}

fn gather(shape: &Shape, painted: &mut Vec<(String, Color32)>) {
    match shape {
        Shape::Vec(shapes) => shapes.iter().for_each(|shape| gather(shape, painted)),
        Shape::Text(text) => {
            for section in &text.galley.job.sections {
                let own = match section.format.color {
                    Color32::PLACEHOLDER => text.fallback_color,
                    colour => colour,
                };
                let range = section.byte_range.start.0..section.byte_range.end.0;
                painted.push((text.galley.job.text[range].into(), text.override_text_color.unwrap_or(own)));
            }
        }
        _ => {}
    }
}

/// All texts that were drawn in the last frame, with their places.
pub fn texts(window: &Window<'_>) -> Vec<(String, Rect)> {
    fn gather(shape: &Shape, texts: &mut Vec<(String, Rect)>) {
        match shape {
            Shape::Vec(shapes) => shapes.iter().for_each(|shape| gather(shape, texts)),
            Shape::Text(text) => {
                let place = text.galley.rect.translate(text.pos.to_vec2());
                texts.push((text.galley.text().to_owned(), place));
            }
            _ => {}
        }
    }
    let mut texts = Vec::new();
    window.output().shapes.iter().for_each(|it| gather(&it.shape, &mut texts));
    texts
}

/// The colour that a piece of text was drawn in.
pub fn colour_of(window: &Window<'_>, text: &str) -> Color32 {
    let painted = painted(window);
    let found = painted.iter().find(|(it, _)| it == text);
    found.unwrap_or_else(|| panic!("{text:?} is not drawn: {painted:?}")).1
}

/// Runs frame by frame until one asks the world outside for something that is looked for.
pub fn outside<T>(window: &mut Window<'_>, wanted: impl Fn(&OutputCommand) -> Option<T>) -> Option<T> {
    (0..STEPS_MAX).find_map(|_| {
        window.step();
        window.output().platform_output.commands.iter().find_map(&wanted)
    })
}

/// An answer to `/history` ends, with so many messages as the server counts them.
pub fn end_of_history(window: &mut Window<'_>, count: usize) {
    tell(window, ChatEvent::EndOfHistory { count });
}
