//! Passwords: whoever looks at the screen, or comes later, learns nothing of them.

use std::fs;

use tempfile::TempDir;

use crate::common::*;
use crate::screen::*;

fn start(server: &Server, flags: &[&str], config: &TempDir) -> Terminal {
    Terminal::start(Start { server: server.address, flags, environment: &[], config: config.path() })
}

#[test]
fn a_password_that_is_typed_before_it_is_asked_for_is_neither_shown_nor_said() {
    let (server, config) = stage();
    let terminal = start(&server, &[], &config);
    terminal.shows("[l/r]");
    terminal.types("r\ralice\rcorrect-horse\rcorrect-horse\r");
    terminal.shows("* welcome alice");
    terminal.enters("hello");
    terminal.shows("alice: hello");
    assert!(server.history().ends_with(" alice: hello\n"));
    assert_eq!(server.history().lines().count(), 1, "{}", server.history());
    assert_eq!(terminal.count(PASSWORD), 0, "{}", terminal.screen());
}

#[test]
fn a_new_password_that_is_typed_before_it_is_asked_for_is_neither_shown_nor_said() {
    let (server, config) = stage();
    let terminal = Terminal::register(&server, "alice", config.path());
    terminal.types("/passwd\rcorrect-horse\rbattery-staple\rbattery-staple\r");
    terminal.shows("* password changed");
    terminal.enters("hello");
    terminal.shows("alice: hello");
    assert_eq!(server.history().lines().count(), 1, "{}", server.history());
    assert_eq!(terminal.count(PASSWORD) + terminal.count("battery-staple"), 0, "{}", terminal.screen());
}

#[test]
fn who_gives_up_at_a_password_gets_a_terminal_back_that_shows_what_is_typed() {
    let (server, config) = stage();
    for key in [CTRL_C, CTRL_D] {
        let mut terminal = start(&server, &["--user", "alice"], &config);
        terminal.shows("password of alice:");
        wait_for("hidden input", || (!terminal.echoes()).then_some(()));
        terminal.types(key);
        let _ = terminal.ended();
        assert!(terminal.echoes(), "after {key:?}");
    }
}

#[test]
fn who_gives_up_at_a_new_password_stays_in_the_chat_with_the_old_one() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    for key in [CTRL_C, CTRL_D] {
        alice.enters("/passwd");
        alice.shows("old password:");
        wait_for("hidden input", || (!alice.echoes()).then_some(()));
        alice.types(key);
        alice.last_line_is(">");
        alice.enters("/me gives up");
        alice.shows("* alice gives up");
        alice.types("\x0c");
        alice.last_line_is(">");
    }
    drop(server.login("alice"));
}

#[test]
fn what_is_typed_while_the_server_makes_up_its_mind_is_shown_when_it_can_be_edited() {
    let mut played = Played::start();
    let alice = &played.terminal;
    wait_for("waiting", || alice.heeds_interrupts().then_some(()));
    assert!(!alice.echoes());
    alice.types("typed early");
    played.server.send("* welcome alice");
    played.server.expect("/users");
    alice.last_line_is("> typed early");
    // Once for each of its keys, and once when it was first drawn: not by the terminal itself.
    let written = String::from_utf8(alice.written()).unwrap();
    assert_eq!(written.split("> ").next().unwrap().matches("typed").count(), 0, "{written:?}");
}

#[test]
fn who_gives_up_on_a_server_that_says_nothing_leaves() {
    let mut played = Played::start();
    let alice = &mut played.terminal;
    wait_for("waiting", || alice.heeds_interrupts().then_some(()));
    alice.types(CTRL_C);
    assert_eq!(alice.ended().code(), Some(0));
    assert!(alice.echoes());
}

#[test]
fn a_password_in_the_line_of_passwd_cannot_be_recalled() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    alice.enters("hello");
    alice.shows("alice: hello");
    alice.enters("/passwd correct-horse battery-staple");
    alice.shows("* password changed");
    alice.types(UP);
    alice.last_line_is("> hello");
    assert!(!alice.screen().contains("battery-staple"), "{}", alice.screen());
}

#[test]
fn a_typed_password_is_neither_said_nor_shown_again_however_its_command_is_written() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    alice.enters("hello");
    alice.shows("alice: hello");
    for line in [
        "/login alice battery-staple",
        "/LOGIN alice battery-staple",
        "/register bob battery-staple",
        "  /login alice battery-staple",
        "/resume alice battery-staple",
        "/code battery-staple",
        " /passwd battery-staple battery-staple",
        "/passwd battery-staple short",
        "/passwd battery-staple",
    ] {
        alice.types("\x0c");
        alice.last_line_is(">");
        alice.enters(line);
        alice.shows("! ");
        alice.last_line_is(">");
        assert!(!alice.screen().contains("staple"), "{line}: {}", alice.screen());
        alice.types(UP);
        alice.last_line_is("> hello");
        alice.types(CTRL_C);
    }
    assert_eq!(server.history().lines().count(), 1, "{}", server.history());
}

#[test]
fn what_is_kept_for_the_next_time_is_kept_for_each_server_at_home() {
    let (one, two) = (Server::start(&QUICK), Server::start(&QUICK));
    let home = TempDir::new().unwrap();
    let environment = [("XDG_CONFIG_HOME", ""), ("HOME", home.path().to_str().unwrap())];
    let start = |server: &Server| {
        Terminal::start(Start {
            server: server.address,
            flags: &[],
            environment: &environment,
            config: home.path(),
        })
    };
    for (server, name) in [(&one, "alice"), (&two, "bob")] {
        drop(server.register(name));
        let mut terminal = start(server);
        terminal.shows("[l/r]");
        terminal.enters("l");
        terminal.shows("name:");
        terminal.enters(name);
        terminal.shows(&format!("password of {name}:"));
        terminal.enters_hidden(PASSWORD);
        terminal.shows(&format!("* welcome {name}"));
        terminal.types(CTRL_D);
        assert_eq!(terminal.ended().code(), Some(0));
    }
    // A kept login would be used without a question.
    let tokens = home.path().join(".config/chinwag/tokens");
    let _ = fs::remove_file(tokens);
    for (server, name) in [(&one, "alice"), (&two, "bob")] {
        let terminal = start(server);
        terminal.shows("[l/r]");
        terminal.enters("");
        terminal.shows(&format!("name: {name}"));
    }
    let kept = fs::read_to_string(home.path().join(".config/chinwag/users")).unwrap();
    assert_eq!(kept, format!("{} alice\n{} bob\n", one.address, two.address));
}
