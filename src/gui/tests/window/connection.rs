//! The connection goes, and comes back or not.

use std::time::Duration;

use chinwag::client::Event;
use chinwag::client::link::{End, Update};
use chinwag_gui::app::Told;
use eframe::egui::ViewportId;
use egui_kittest::kittest::Queryable;

use crate::driver::*;

#[test]
fn a_lost_connection_is_said_with_a_countdown_until_it_is_back() {
    let mut window = chat();
    let lost = Update::Lost("the server closed it".into(), Duration::from_secs(8));
    window.state_mut().handle(Told::Update(lost));
    window.run_steps(2);
    assert!(shows(&window, "The connection is lost (the server closed it). Trying again in 8 s."));
    window.run_steps((3.0 / STEP_S) as usize);
    assert!(shows(&window, "Trying again in 5 s."), "it counts");
    let delay = window.output().viewport_output[&ViewportId::ROOT].repaint_delay;
    assert!(delay <= Duration::from_secs(1), "it is drawn again in time: {delay:?}");
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
