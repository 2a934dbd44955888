//! The way in: questions, passwords, and what is kept for the next time.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::common::*;
use crate::screen::*;

fn start(server: &Server, flags: &[&str], config: &TempDir) -> Terminal {
    Terminal::start(Start { server: server.address, flags, environment: &[], config: config.path() })
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn it_asks_what_it_needs_and_shows_nothing_of_a_password() {
    let (server, config) = stage();
    let mut terminal = start(&server, &[], &config);
    terminal.shows("log in, or register a new name? [l/r]");
    terminal.enters("x");
    terminal.shows("! l to log in, r to register");
    terminal.enters("r");
    terminal.shows("name:");
    terminal.enters("7up");
    terminal.shows("! a name is a letter");
    terminal.enters("alice");
    terminal.shows("password for alice:");
    terminal.enters_hidden("short");
    terminal.shows("! a password must have 8 to 128 bytes");
    terminal.enters_hidden("first-secret");
    terminal.shows("and once more:");
    terminal.enters_hidden("other-secret");
    terminal.shows("! the passwords do not match");
    terminal.waits_for("the question again", |screen| screen.matches("password for alice:").count() == 3);
    terminal.enters_hidden("first-secret");
    terminal.waits_for("the second question", |screen| screen.matches("and once more:").count() == 2);
    terminal.enters_hidden("first-secret");
    terminal.shows("* welcome alice");
    // Nor can it be recalled.
    terminal.enters("hello");
    terminal.shows("alice: hello");
    terminal.types(&[UP, UP, UP].concat());
    terminal.last_line_is("> hello");
    terminal.types(CTRL_C);
    terminal.last_line_is(">");
    terminal.types(CTRL_D);
    assert_eq!(terminal.ended().code(), Some(0));
    for secret in ["short", "first-secret", "other-secret"] {
        assert!(!contains(&terminal.written(), secret), "{secret}");
    }
    // Not even how long it is: after a question there is nothing.
    let written = String::from_utf8(terminal.written()).unwrap();
    for question in ["password for alice: ", "and once more: "] {
        let after: Vec<char> = written.split(question).skip(1).filter_map(|it| it.chars().next()).collect();
        assert!(after.iter().all(|it| *it == '\r'), "{after:?}");
    }
}

#[test]
fn a_wrong_password_is_said_and_asked_for_again() {
    let (server, config) = stage();
    drop(server.register("alice"));
    let terminal = start(&server, &["--user", "alice"], &config);
    terminal.shows("password of alice:");
    terminal.enters_hidden("wrong-horse");
    terminal.shows("! bad-login: wrong name or password");
    terminal.waits_for("the question again", |screen| screen.matches("password of alice:").count() == 2);
    terminal.enters_hidden(PASSWORD);
    terminal.shows("* welcome alice");
    assert!(!contains(&terminal.written(), PASSWORD));
    assert!(!contains(&terminal.written(), "wrong-horse"));
}

#[test]
fn a_wrong_password_is_asked_for_again_on_a_terminal_that_can_do_nothing() {
    let (server, config) = stage();
    drop(server.register("alice"));
    let (flags, environment) = (["--user", "alice"], [("TERM", "dumb")]);
    let start =
        Start { server: server.address, flags: &flags, environment: &environment, config: config.path() };
    let terminal = Terminal::start(start);
    terminal.shows("password of alice:");
    terminal.enters_hidden("wrong-horse");
    terminal.shows("bad-login: wrong name or password");
    terminal.waits_for("the question again", |screen| screen.matches("password of alice:").count() == 2);
    terminal.enters_hidden(PASSWORD);
    terminal.shows("* welcome alice");
}

#[test]
fn a_name_that_is_taken_is_said() {
    let (server, config) = stage();
    drop(server.register("alice"));
    let terminal = start(&server, &["--register"], &config);
    terminal.shows("name:");
    terminal.enters("alice");
    terminal.shows("password for alice:");
    terminal.enters_hidden(PASSWORD);
    terminal.shows("and once more:");
    terminal.enters_hidden(PASSWORD);
    terminal.shows("! name-taken: alice is already registered");
    terminal.waits_for("the question again", |screen| screen.matches("name:").count() >= 2);
}

#[test]
fn the_last_name_on_a_server_is_suggested_and_kept_for_oneself() {
    let (server, config) = stage();
    let mut first = start(&server, &[], &config);
    first.shows("[l/r]");
    first.enters("r");
    first.shows("name:");
    first.enters("Alice");
    first.shows("password for Alice:");
    first.enters_hidden(PASSWORD);
    first.shows("and once more:");
    first.enters_hidden(PASSWORD);
    first.shows("* welcome Alice");
    wait_for_token(&config);
    first.types(CTRL_D);
    assert_eq!(first.ended().code(), Some(0));
    // With the login of another account kept as well, it asks which one.
    drop(server.register("bob"));
    let token = |name: &str| format!("{} {name} {TOKEN}\n", server.address);
    let kept = config.path().join("chinwag/tokens");
    let own = fs::read_to_string(&kept).unwrap();
    fs::write(&kept, own + &token("bob")).unwrap();
    let second = start(&server, &[], &config);
    second.shows("[l/r]");
    second.enters("");
    second.shows("name: Alice");
    second.enters("");
    // The token stands in for the password.
    second.shows("* welcome Alice");
    let directory = config.path().join("chinwag");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(directory.clone()), 0o700);
    let mut files: Vec<_> =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["tokens", "users"], "nothing else is kept");
    assert!(files.iter().all(|file| mode(directory.join(file)) == 0o600));
    assert_eq!(fs::read_to_string(directory.join("users")).unwrap(), format!("{} Alice\n", server.address));
}

#[test]
fn a_password_comes_from_the_environment_or_a_file_and_never_from_an_argument() {
    let (server, config) = stage();
    let file = config.path().join("secret");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    drop(Terminal::register(&server, "alice", config.path()));
    let flags = ["--user", "alice", "--password-file", file.to_str().unwrap()];
    let terminal = start(&server, &flags, &config);
    terminal.shows("* welcome alice");
    let mut refused = start(&server, &["--user", "alice", "--password", PASSWORD], &config);
    refused.shows("chinwag: --password: others could read it");
    assert_eq!(refused.ended().code(), Some(2));
}

#[test]
fn after_a_wrong_password_that_was_given_beforehand_another_is_asked_for_a_few_times() {
    let (server, config) = stage();
    drop(server.register("alice"));
    let environment = [("CHINWAG_PASSWORD", "wrong-horse")];
    let flags = ["--user", "alice"];
    let start =
        Start { server: server.address, flags: &flags, environment: &environment, config: config.path() };
    let mut terminal = Terminal::start(start);
    for number in 1..=2 {
        let count = |text: &'static str| move |screen: &str| screen.matches(text).count() == number;
        terminal.waits_for("the refusal", count("! bad-login: wrong name or password"));
        terminal.waits_for("the question", count("password of alice:"));
        terminal.enters_hidden("other-horse");
    }
    terminal.shows("chinwag: bad-login: wrong name or password");
    assert_eq!(terminal.ended().code(), Some(1));
    assert!(terminal.echoes());
    assert_eq!(terminal.count("other-horse"), 0);
}

#[test]
fn a_login_is_kept_as_a_token_and_no_password_is() {
    let mut played = Played::start();
    played.server.send("* welcome alice\n* 1 online\n* end of history");
    played.server.expect("/users");
    played.server.expect("/history 1");
    played.server.expect("/token");
    played.server.send(&format!("* token {TOKEN}"));
    let address = played.listener.local_addr().unwrap();
    let file = played.config.path().join("chinwag/tokens");
    assert_eq!(wait_for_token(&played.config), format!("{address} alice {TOKEN}\n"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    // The answer is not shown.
    played.server.send("2026-01-01T00:00:00.000001Z bob: hi");
    played.terminal.shows("bob: hi");
    assert!(!played.terminal.screen().contains("token"), "{}", played.terminal.screen());
    played.terminal.types(CTRL_D);
    played.server.expect("/quit");
    played.server.send("* bye");
    assert_eq!(played.terminal.ended().code(), Some(0));

    // The next time nothing is asked, until the server does not know the token any more.
    let again = || {
        let start = Start {
            server: address,
            flags: &["--user", "Alice"],
            environment: &[],
            config: played.config.path(),
        };
        let terminal = Terminal::start(start);
        let mut server = Client::over(played.listener.accept().unwrap().0);
        server.send("* chinwag 0.2.0: a chat");
        server.expect(&format!("/resume Alice {TOKEN}"));
        (terminal, server)
    };
    let (mut terminal, mut server) = again();
    server.send("* welcome alice");
    terminal.shows("* welcome alice");
    terminal.types(CTRL_D);
    server.expect("/users");
    drop(server);
    terminal.ended();
    let (terminal, mut server) = again();
    server.send("! bad-token: the token is unknown or has expired; log in with your password");
    terminal.shows("! bad-token: the token is unknown or has expired");
    terminal.shows("password of Alice:");
    wait_for("the token to be forgotten", || (fs::read_to_string(&file).unwrap().is_empty()).then_some(()));
    terminal.enters_hidden(PASSWORD);
    server.expect(&format!("/login Alice {PASSWORD}"));
}

#[test]
fn the_only_kept_login_of_a_server_is_used_without_a_question() {
    for term in ["xterm-256color", "dumb"] {
        let (listener, config) = (TcpListener::bind("127.0.0.1:0").unwrap(), TempDir::new().unwrap());
        let address = listener.local_addr().unwrap();
        fs::create_dir(config.path().join("chinwag")).unwrap();
        let line = |server: &str, name: &str| format!("{server} {name} {TOKEN}\n");
        let kept = line("elsewhere:5000", "carol") + &line(&address.to_string(), "Alice");
        fs::write(config.path().join("chinwag/tokens"), kept).unwrap();
        let again = || {
            let environment = [("TERM", term)];
            let start =
                Start { server: address, flags: &[], environment: &environment, config: config.path() };
            let terminal = Terminal::start(start);
            let mut server = Client::over(listener.accept().unwrap().0);
            server.send("* chinwag 0.2.0: a chat");
            server.expect(&format!("/resume Alice {TOKEN}"));
            (terminal, server)
        };
        let (terminal, mut server) = again();
        server.send("* welcome Alice");
        terminal.shows("* welcome Alice");
        assert!(!terminal.screen().contains("name:"), "{}", terminal.screen());
        drop((terminal, server));
        // A login that the server refuses is asked for.
        let (terminal, mut server) = again();
        server.send("! bad-token: the token is unknown or has expired; log in with your password");
        terminal.shows("bad-token: the token is unknown or has expired");
        terminal.shows("password of Alice:");
        terminal.enters_hidden(PASSWORD);
        server.expect(&format!("/login Alice {PASSWORD}"));
    }
}

#[test]
fn a_kept_login_can_be_forgotten() {
    let config = TempDir::new().unwrap();
    let directory = config.path().join("chinwag");
    fs::create_dir(&directory).unwrap();
    let line = |server: &str, name: &str| format!("{server} {name} {TOKEN}\n");
    let all = [line("one:5000", "alice"), line("one:5000", "bob"), line("two:5000", "bob")];
    fs::write(directory.join("tokens"), all.concat()).unwrap();
    let forget = |flags: &[&str]| {
        let mut command = std::process::Command::new(CHINWAG);
        command.args(flags).arg("--forget").env("XDG_CONFIG_HOME", config.path());
        let (code, out, err) = run(&mut command);
        assert_eq!((code, &*err), (Some(0), ""));
        (out, fs::read_to_string(directory.join("tokens")).unwrap())
    };
    assert_eq!(forget(&["--user", "bob", "one"]), ("forgotten\n".into(), all[0].clone() + &all[2]));
    assert_eq!(forget(&["--user", "bob", "one"]), ("nothing was kept\n".into(), all[0].clone() + &all[2]));
    assert_eq!(forget(&["two"]), ("forgotten\n".into(), all[0].clone()));
}

#[test]
fn who_gives_up_at_a_question_leaves() {
    let (server, config) = stage();
    let mut terminal = start(&server, &[], &config);
    terminal.shows("[l/r]");
    terminal.types(CTRL_D);
    assert_eq!(terminal.ended().code(), Some(0));
}

#[test]
fn a_terminal_that_can_do_nothing_is_written_to_without_escapes() {
    let (server, config) = stage();
    let environment = [("TERM", "dumb")];
    let start = Start {
        server: server.address,
        flags: &["--register"],
        environment: &environment,
        config: config.path(),
    };
    let mut terminal = Terminal::start(start);
    terminal.shows("name:");
    terminal.enters("alice");
    terminal.shows("password of alice:");
    terminal.enters_hidden(PASSWORD);
    terminal.shows("* welcome alice");
    let mut bob = server.register("bob");
    bob.say("bob", "hello");
    terminal.shows("bob: hello");
    terminal.enters("hi");
    bob.expect_message("alice: hi");
    terminal.types(CTRL_D);
    assert_eq!(terminal.ended().code(), Some(0));
    assert!(!terminal.written().contains(&0x1b), "{:?}", terminal.screen());
    assert!(!contains(&terminal.written(), PASSWORD));
}
