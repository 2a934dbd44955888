//! Typing while others talk: whatever is on the line, it stays as it is.

use crate::common::*;
use crate::screen::*;

fn texts(server: &Server) -> Vec<String> {
    server.history().lines().filter_map(|line| text_of(line).map(str::to_owned)).collect()
}

#[test]
fn a_text_of_several_lines_that_is_pasted_is_sent_as_several_lines() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    // Many terminals send carriage returns, some send newlines. The last line is not ended.
    alice.types(&format!("so: {PASTE}one\rtwo\n\r\nthree\rfo{PASTED}"));
    // So that one can see what it is before everyone does.
    alice.waits_for("the text", |screen| screen.ends_with("> so: one\ntwo\n\nthree\nfo"));
    assert_eq!(texts(&server), [""; 0]);
    alice.types(&format!("ur{ENTER}"));
    alice.shows("alice: four");
    alice.last_line_is(">");
    assert_eq!(texts(&server), ["alice: so: one", "alice: two", "alice: three", "alice: four"]);
    assert_eq!(alice.screen().matches("three").count(), 1, "{}", alice.screen());
    alice.types(UP);
    alice.last_line_is("> four");
}

#[test]
fn a_pasted_text_is_taken_off_the_screen_when_it_is_said_and_nothing_else_is() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    // At, and around, the edge of the screen.
    for lengths in [[1, 1, 1], [78, 80, 80], [79, 81, 79], [77, 79, 160], [158, 160, 159], [240, 1, 81]] {
        let texts: Vec<String> = lengths
            .iter()
            .zip("xyz".chars())
            .map(|(length, letter)| letter.to_string().repeat(*length))
            .collect();
        alice.types("\x0c");
        alice.last_line_is(">");
        alice.enters("/me was here before");
        alice.shows("* alice was here before");
        alice.types(&format!("{PASTE}{}{PASTED}{ENTER}", texts.join("\r")));
        let rows: Vec<String> = texts.iter().map(|text| format!("alice: {text}")).collect();
        for row in &rows {
            alice.shows(row);
        }
        alice.last_line_is(">");
        let screen = alice.screen();
        assert!(screen.contains("* alice was here before"), "{lengths:?}: {screen}");
        // The prompt, the line before, and three lines; a date may stand between.
        let screen = joined(&screen);
        let shown: Vec<&str> = screen.lines().filter(|row| !row.starts_with("---")).collect();
        assert_eq!(shown.len(), 5, "{lengths:?}: {screen}");
    }
}

#[test]
fn pasted_tabs_and_control_characters_leave_nothing_behind() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    for text in ["one\ttwo", "\t\tthree", "four\tfive\rsix\t", "a\x1b[31mb\x1b[2Jc\x07", &"wide\t".repeat(20)]
    {
        alice.types(&format!("{PASTE}{text}{PASTED}"));
        alice.types(&format!(".{ENTER}"));
        alice.enters("/me is done");
        alice.waits_for("the line after it", |screen| {
            screen.trim_end().ends_with("* alice is done\n>") || screen.trim_end().ends_with("is done\n>")
        });
        let screen = alice.screen();
        assert_eq!(screen.matches('>').count(), 1, "{text:?}: {screen}");
        assert_eq!(
            alice.count("\x1b[31m") + alice.count("\x1b[2J"),
            0,
            "nothing pasted controls the terminal"
        );
        alice.types("\x0c");
        alice.last_line_is(">");
    }
}

#[test]
fn a_reply_is_addressed_before_it_is_sent_and_stays_so() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    let (mut bob, mut carol) = (server.register("bob"), server.register("carol"));
    let whispers = |from: &mut Client, name: &str, text: &str| {
        from.send(&format!("/msg alice {text}"));
        alice.shows(&format!("{name} -> alice: {text}"));
    };
    whispers(&mut bob, "bob", "one");
    alice.types("/REPLY ");
    alice.last_line_is("> /msg bob");
    whispers(&mut carol, "carol", "meanwhile");
    alice.last_line_is("> /msg bob");
    alice.enters("for bob");
    alice.shows("alice -> bob: for bob");
    // By completion; pasted; and put together afterwards.
    whispers(&mut bob, "bob", "two");
    alice.types(&format!("/reply{TAB}"));
    alice.last_line_is("> /msg bob");
    alice.types(&format!("x{ENTER}"));
    alice.shows("alice -> bob: x");
    alice.types(&format!("{PASTE}/reply pasted{PASTED}{ENTER}"));
    alice.last_line_is("> /msg bob pasted");
    whispers(&mut carol, "carol", "again");
    alice.types(ENTER);
    alice.shows("alice -> bob: pasted");
    alice.types("reply late\x01/");
    alice.types(&[ENTER, ENTER].concat());
    alice.last_line_is("> /msg carol late");
    alice.types(ENTER);
    alice.shows("alice -> carol: late");
    // A text that only mentions it is a text.
    alice.enters("use /reply now");
    alice.shows("alice: use /reply now");
}

#[test]
fn a_line_that_is_pasted_can_be_changed_before_it_is_sent() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    alice.types(&format!("{PASTE}one line{PASTED}"));
    alice.last_line_is("> one line");
    alice.types(&format!(" and more{ENTER}"));
    alice.shows("alice: one line and more");
    assert_eq!(texts(&server), ["alice: one line and more"]);
}

#[test]
fn a_long_text_that_is_pasted_without_marks_is_sent_whole_and_in_order() {
    const LINES: usize = 300;
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    for number in 0..LINES {
        alice.types(&format!("pasted {number};{ENTER}"));
    }
    alice.shows(&format!("alice: pasted {};", LINES - 1));
    alice.last_line_is(">");
    let expected: Vec<String> = (0..LINES).map(|number| format!("alice: pasted {number};")).collect();
    assert_eq!(texts(&server), expected);
    // None of them is left on the screen as it was typed.
    let screen = alice.screen();
    assert!(
        screen.lines().all(|row| row.matches("pasted").count() <= 1 && !row.starts_with("> p")),
        "{screen}"
    );
}

#[test]
fn a_line_over_several_rows_stays_whole_while_others_talk() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    let mut bob = server.register("bob");
    let typed: String = (0..40).map(|number| format!("word{number} ")).collect();
    alice.types(typed.trim_end());
    let line = format!("> {}", typed.trim_end());
    alice.last_line_is(&line);
    // At its end, at its beginning, and in its middle.
    for keys in ["", "\x01", "\x1bf\x1bf\x1bf"] {
        alice.types(keys);
        bob.say("bob", "hello");
        for number in 0..50 {
            bob.say("bob", &format!("{number}; {}", "talk ".repeat(number)));
        }
        alice.waits_for("the talk", |screen| screen.contains("49; talk"));
        alice.last_line_is(&line);
        let screen = alice.screen();
        assert_eq!(screen.matches("word0 ").count(), 1, "{screen}");
    }
    alice.types(ENTER);
    bob.expect_message(&format!("alice: {}", typed.trim_end()));
}

#[test]
fn a_terminal_that_changes_its_width_shows_the_line_whole() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    let mut bob = server.register("bob");
    let typed = "x".repeat(70);
    alice.types(&typed);
    alice.last_line_is(&format!("> {typed}"));
    for columns in [120, 60, 80] {
        alice.resizes(columns);
        bob.say("bob", &format!("at {columns}"));
        alice.shows(&format!("bob: at {columns}"));
        alice.last_line_is(&format!("> {typed}"));
    }
    alice.types(ENTER);
    bob.expect_message(&format!("alice: {typed}"));
}

#[test]
fn what_others_say_appears_after_a_tab_that_could_mean_several_things() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    let mut robert = server.register("Robert");
    let _roberta = server.register("Roberta");
    alice.shows("Roberta joined");
    alice.types(&format!("hi ro{TAB}"));
    alice.shows("> hi Robert");
    robert.say("Robert", "nothing was typed since");
    alice.shows("Robert: nothing was typed since");
    alice.shows("> hi Robert");
    alice.types(&format!("a{TAB}!{ENTER}"));
    robert.expect_message("alice: hi Roberta !");
}

#[test]
fn what_others_say_while_a_line_is_searched_for_appears_after_it() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    let mut bob = server.register("bob");
    alice.enters("needle in a haystack");
    bob.expect_message("alice: needle in a haystack");
    alice.enters("something else");
    bob.expect_message("alice: something else");
    alice.types(&format!("{CTRL_R}need"));
    alice.shows("(reverse-i-search)`need': needle in a haystack");
    for number in 0..100 {
        bob.say("bob", &format!("meanwhile {number};"));
    }
    alice.types(ENTER);
    bob.expect_message("alice: needle in a haystack");
    alice.shows("meanwhile 99;");
    alice.last_line_is(">");
    let written = String::from_utf8(alice.written()).unwrap();
    let numbers: Vec<usize> = written
        .match_indices("meanwhile ")
        .filter_map(|(at, word)| written[at + word.len()..].split_once(';')?.0.parse().ok())
        .collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_key_that_is_no_text_does_not_end_it() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    // As an old terminal sends an umlaut.
    alice.types_bytes(b"gr\xfc");
    alice.waits_for("the line again", |screen| screen.matches("> gr").count() == 2);
    alice.types(&format!("een and {ENTER}"));
    alice.shows("alice: green and");
    alice.enters("still here");
    alice.shows("alice: still here");
    assert!(server.history().ends_with(" alice: still here\n"));
}

#[test]
fn control_characters_that_are_typed_are_not_said() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    // Quoted with Ctrl-V.
    alice.types(&format!("a\x16\x1b[31mb\x16\x08c{ENTER}"));
    alice.shows("alice: a");
    alice.last_line_is(">");
    assert_eq!(texts(&server), ["alice: a\u{fffd}[31mb\u{fffd}c"]);
}

#[test]
fn a_line_that_is_too_long_is_refused_and_can_be_had_back() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    let long = "y".repeat(4100);
    alice.enters(&long);
    alice.shows("! line-too-long");
    alice.enters("short");
    alice.shows("alice: short");
    assert_eq!(texts(&server), ["alice: short"]);
    alice.types(&[UP, UP].concat());
    alice.waits_for("the line", |screen| screen.matches("y").count() > 20 * 80);
}

#[test]
fn ctrl_c_never_ends_it() {
    let (server, config) = stage();
    let alice = Terminal::register(&server, "alice", config.path());
    // Also between two lines, where no line is edited.
    for number in 0..100 {
        alice.types(&format!("{number}{ENTER}{CTRL_C}"));
    }
    alice.types(CTRL_C);
    alice.enters("still here");
    alice.shows("alice: still here");
}

#[test]
fn with_no_bell_not_even_a_key_that_does_nothing_rings() {
    let (server, config) = stage();
    let start = Start {
        server: server.address,
        flags: &["--register", "--user", "alice", "--no-bell"],
        environment: &[("CHINWAG_PASSWORD", PASSWORD)],
        config: config.path(),
    };
    let alice = Terminal::start(start);
    alice.shows("* welcome alice");
    alice.types(&format!("/nothinglikethis{TAB}{TAB}"));
    alice.types(CTRL_C);
    alice.enters("done");
    alice.shows("alice: done");
    assert_eq!(alice.count("\x07"), 0);
}

#[test]
fn a_terminal_that_is_gone_ends_it() {
    let (server, config) = stage();
    let (pty, pts) = pty_process::blocking::open().unwrap();
    let client = pty_process::blocking::Command::new(CHINWAG)
        .args(["--register", "--user", "alice", &server.address.to_string()])
        .env("XDG_CONFIG_HOME", config.path())
        .env("CHINWAG_PASSWORD", PASSWORD)
        .env("TERM", "xterm-256color");
    let mut client = client.spawn(pts).unwrap();
    server.logged(&["alice"]);
    drop(pty);
    wait_for("the end of the client", || client.try_wait().unwrap());
    server.logged(&["closed", "alice"]);
}
