//! The first screen.

use chinwag::client::{Event, Refusal};
use chinwag_gui::app::{Request, Told};
use egui_kittest::kittest::{NodeT, Queryable};

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
