//! The first screen.

use chinwag::client::link::{End, Update};
use chinwag::client::{Event, Token};
use chinwag_gui::app::{App, Told};
use chinwag_gui::request::Request;
use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use jiff::tz::TimeZone;

use crate::driver::*;

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
    assert!(shows(&window, "A password must have 8 to 128 bytes"));
    fill(&mut window, "Password", "correct-horse");
    window.get_by_label("Register").click();
    window.run();
    connect(&mut window);
    assert!(shows(&window, "The passwords do not match"));
    fill(&mut window, "Password again", "correct-horse");
    connect(&mut window);
    assert!(
        matches!(&requests(&mut window)[..], [Request::Connect { credentials, .. }] if credentials.is_new)
    );
    tell(&mut window, Event::LoginFailed(refused("! name-taken: alice is already registered")));
    assert!(shows(&window, "Alice is already registered."));
    let problem = window.get_by_label_contains("Alice is already registered").rect();
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

fn token() -> Token {
    Token::parse(&"0123456789abcdef".repeat(2)).unwrap()
}

fn forgotten(name: &str) -> Request {
    Request::ForgetToken { server: "localhost:5000".into(), name: name.into() }
}

/// Alice signs in with her password, and the server issues a token.
fn signed_in<'a>() -> Window<'a> {
    let mut window = window();
    fill(&mut window, "Name", "alice");
    fill(&mut window, "Password", "correct-horse");
    connect(&mut window);
    tell(&mut window, Event::Welcome(name("alice")));
    tell(&mut window, Event::Token { name: name("alice"), token: token() });
    window
}

#[test]
fn tokens_are_kept_until_the_user_signs_out() {
    let mut window = signed_in();
    let kept = Request::KeepToken { server: "localhost:5000".into(), name: name("alice"), token: token() };
    assert!(requests(&mut window).contains(&kept));
    click(&mut window, "Sign out");
    let requests = requests(&mut window);
    assert!(requests.contains(&Request::SignOut) && requests.contains(&forgotten("alice")), "{requests:?}");
}

#[test]
fn tokens_are_used_instead_of_the_password_after_leaving() {
    let mut window = signed_in();
    enters(&mut window, "/quit");
    let left = requests(&mut window);
    assert!(left.contains(&Request::Leave) && !left.contains(&forgotten("alice")), "{left:?}");
    connect(&mut window);
    let resume = Request::Resume { server: "localhost:5000".into(), name: "alice".into() };
    assert_eq!(requests(&mut window), [resume], "without a password");
}

#[test]
fn tokens_are_not_kept_if_the_user_does_not_stay_signed_in() {
    let mut window = window();
    click(&mut window, "Stay signed in on this computer");
    fill(&mut window, "Name", "alice");
    fill(&mut window, "Password", "correct-horse");
    connect(&mut window);
    tell(&mut window, Event::Welcome(name("alice")));
    tell(&mut window, Event::Token { name: name("alice"), token: token() });
    let requests = requests(&mut window);
    assert!(!requests.iter().any(|it| matches!(it, Request::KeepToken { .. })), "{requests:?}");
    assert!(requests.contains(&forgotten("alice")), "nor one of earlier: {requests:?}");
}

#[test]
fn tokens_sign_in_at_the_start_and_a_refused_one_is_forgotten() {
    let mut window = window();
    let app = App::new("localhost:5000".into(), "alice".into(), TimeZone::UTC);
    *window.state_mut() = app.resume();
    window.run();
    let resume = Request::Resume { server: "localhost:5000".into(), name: "alice".into() };
    assert_eq!(requests(&mut window), [resume]);
    assert!(shows(&window, "Waiting for the server") || window.query_by_label("Connect").is_some());
    let refusal = refused("! bad-token: the token is unknown or has expired; log in with your password");
    tell(&mut window, Event::TokenRefused { name: "alice".into(), refusal });
    assert!(shows(&window, "You are signed out; enter your password."));
    assert_eq!(focused(&window).as_deref(), Some("Password"));
    let requests = requests(&mut window);
    assert!(requests.contains(&forgotten("alice")) && requests.contains(&Request::Leave), "{requests:?}");
}

#[test]
fn sessions_that_the_server_ends_say_why_and_lead_back_to_the_password() {
    for reason in ["replaced: signed in elsewhere", "signed-out: the password was changed"] {
        let mut window = signed_in();
        requests(&mut window);
        let end = End { why: Some(reason.into()), unacknowledged: Vec::new() };
        handle(&mut window, Update::Ended(end));
        assert!(shows(&window, reason) && !shows(&window, "Trying again"), "{reason}");
        click(&mut window, "Sign in again");
        assert_eq!(requests(&mut window), [Request::Leave]);
        assert!(window.query_by_label("Password").is_some());
    }
    let mut window = signed_in();
    requests(&mut window);
    let refusal = refused("! bad-token: the token is unknown or has expired; log in with your password");
    tell(&mut window, Event::TokenRefused { name: "alice".into(), refusal });
    assert_eq!(requests(&mut window), [forgotten("alice")], "refused when the connection came back");
}

#[test]
fn passwords_leave_nothing_to_undo() {
    let mut window = signed_in();
    click(&mut window, "Sign out");
    window.get_by_label("Password").focus();
    window.run();
    for _ in 0..20 {
        press(&mut window, Modifiers::COMMAND, Key::Z);
    }
    assert_eq!(window.get_by_label("Password").value().as_deref(), Some(""));
}
