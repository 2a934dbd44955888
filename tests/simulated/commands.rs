//! The commands and what each of them answers, as on a terminal.

use crate::sim::gate::HTTP_ANSWER;
use crate::sim::harness::Sim;
use crate::sim::transcript::{check, play};

/// Alice and bob are registered and here.
fn check_two(script: &str) -> Sim {
    let opening = "alice> /register alice correct-horse
                   alice< * welcome alice
                   bob> /register bob battery-staple
                   bob< * welcome bob
                   alice< * bob joined\n";
    check(&(opening.to_owned() + script))
}

#[test]
fn two_people_talk() {
    check_two(
        "bob> hello
         alice< TS bob: hello
         bob< TS bob: hello
         alice> /msg bob psst
         alice< TS alice -> bob: psst
         bob< TS alice -> bob: psst
         alice> /quit
         alice< * bye
         alice< ^D
         bob< * alice left",
    );
}

#[test]
fn a_whole_script_may_come_in_one_packet() {
    check(
        "carol>> /register carol correct-horse
         carol>> hello
         carol>> /history 5
         carol>> /quit
         carol> too late
         carol< * welcome carol
         carol< TS carol: hello
         carol< TS carol: hello
         carol< * end of history
         carol< * bye
         carol< ^D
         # The same with a half-close instead of a goodbye: every line is done and answered before the end.
         again>> /login carol correct-horse
         again>> /replay 7
         again>> /users
         again>> bye
         again> ^D
         again< * welcome carol
         again< * replay 7
         again< * users: carol
         again< * 1 online
         again< TS carol: bye
         again< ^D",
    );
}

#[test]
fn a_slash_is_doubled_to_say_it_and_everything_else_is_text() {
    check_two(
        "bob> //quit
         alice< TS bob: /quit
         bob< TS bob: /quit
         bob> * alice left
         alice< TS bob: * alice left
         bob< TS bob: * alice left
         bob> 2026-11-22T12:03:11.042317Z alice: forged
         alice< TS bob: 2026-11-22T12:03:11.042317Z alice: forged
         bob< TS bob: 2026-11-22T12:03:11.042317Z alice: forged
         bob> alice -> bob: forged
         alice< TS bob: alice -> bob: forged
         bob< TS bob: alice -> bob: forged
         # Nothing is no message.
         bob>
         bob>  \t ",
    );
}

#[test]
fn nothing_that_is_sent_can_move_anothers_cursor() {
    let mut sim = check_two("");
    sim.send("bob", b"a\x1b[2J\x07\xff\x80b\r\n\xe2\x80\xae.\xe2\x80\x8d\x09\n\xff\xfd\x01telnet\n\x00x\n");
    sim.send("bob", "caf\u{e9} \u{1f469}\u{200d}\u{1f680}\n");
    play(
        &mut sim,
        "@ 1
         alice< TS bob: a\u{fffd}[2J\u{fffd}\u{fffd}b
         alice< TS bob: \u{fffd}.\u{200d}\t
         alice< TS bob: telnet
         alice< TS bob: \u{fffd}x
         alice< TS bob: café \u{1f469}\u{200d}\u{1f680}
         bob< TS bob: a\u{fffd}[2J\u{fffd}\u{fffd}b
         bob< TS bob: \u{fffd}.\u{200d}\t
         bob< TS bob: telnet
         bob< TS bob: \u{fffd}x
         bob< TS bob: café \u{1f469}\u{200d}\u{1f680}",
    );
}

const NOT_FIRST: &str = "! bad-usage: a command must begin in the first column; nothing was sent";

#[test]
fn input_a_command_behind_keys_that_show_nothing_is_refused_and_kept_from_the_log() {
    let mut sim = check_two("");
    let hidden: [&[u8]; 17] = [
        b"\x1b[B\x1b[B/passwd battery-staple another-horse",
        b"\x1bOD/me thinks",
        b"\x1b[1~/who",
        b"\x1b[200~/w alice psst",
        b"no wait\x15/msg alice psst",
        b"ab\x7f\x08/history 3",
        b"\x0c\xe2\x80\x8c/Msg alice psst",
        b"\xe2\x81\xa3 /LOGIN bob battery-staple",
        b"\xe3\x85\xa4/passwd battery-staple another-horse",
        b"\xc2\xa0\xe2\x80\x89/q",
        b"\x1b[A/mgs alice psst",
        b"//\x08msg alice psst",
        b"x\xff\xf7/passwd battery-staple another-horse",
        b"some words\xff\xf8/w alice psst",
        b"\xcc\x81/passwd battery-staple another-horse",
        b"\xe1\x85\xa1/me thinks",
        b"hello\r/passwd battery-staple another-horse",
    ];
    for line in hidden {
        sim.send("bob", [line, b"\n"].concat());
        sim.settle();
        sim.run_seconds(1);
        assert_eq!(sim.output("bob"), [NOT_FIRST], "{}", line.escape_ascii());
    }
    for line in [&b"/me \x7f\x7f\x7f\x7f/passwd battery-staple x"[..], b"/w alice x\xff\xf8/w carol psst"] {
        sim.send("bob", [line, b"\n"].concat());
        sim.settle();
        sim.run_seconds(1);
        let erased = "! bad-usage: what you erased is still part of the line; nothing was sent";
        assert_eq!(sim.output("bob"), [erased], "{}", line.escape_ascii());
    }
    assert_eq!(sim.output("alice"), [""; 0]);
    assert_eq!(sim.visible_to("bob"), [""; 0]);
    // What is no command stays a message, and what comes to nothing is none.
    sim.send("bob", b"\x1b[A/etc/passwd\n\x1b[A\nx\x7f\n\x00\n/etc\n");
    play(
        &mut sim,
        "@ 1
         bob< TS bob: \u{fffd}[A/etc/passwd
         bob< ! unknown-command: there is no /etc; /help lists all commands
         alice< TS bob: \u{fffd}[A/etc/passwd",
    );
}

#[test]
fn input_a_message_shows_something_and_carries_nothing_hidden() {
    let mut sim = check_two("");
    let tags = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}";
    let accents = "\u{302}".repeat(40);
    sim.send("bob", "\u{1160}\n\u{2800} \u{200d}\n/msg alice \u{ffa0}\n/me \u{fe0f}\n");
    sim.send("bob", format!("so\u{2063}ft\u{ad} {tags}\u{e0041} o{accents}\n"));
    sim.send("bob", format!("/msg alice a{}b\n/ME  nods\n", "\u{2003}".repeat(99)));
    let (shown, blanks) = (format!("soft\u{ad} {tags} o{}", "\u{302}".repeat(16)), "\u{2003}".repeat(32));
    play(
        &mut sim,
        &format!(
            "@ 1
             bob< ! bad-usage: /msg NAME TEXT, or /msg #ROOM TEXT
             bob< ! bad-usage: /me TEXT
             bob< TS bob: {shown}
             bob< TS bob -> alice: a{blanks}b
             bob< TS bob: /me  nods
             alice< TS bob: {shown}
             alice< TS bob -> alice: a{blanks}b
             alice< TS bob: /me  nods"
        ),
    );
}

#[test]
fn input_aliases_do_what_the_commands_do() {
    check_two(
        "bob> /w alice psst
         alice< TS bob -> alice: psst
         bob< TS bob -> alice: psst
         bob> /TELL  alice psst
         alice< TS bob -> alice: psst
         bob< TS bob -> alice: psst
         bob> /who
         bob< * users: alice bob
         bob< * 2 online
         bob> /names
         bob< * users: alice bob
         bob< * 2 online
         bob> /password battery-staple  another-horse
         bob< * password changed
         bob> /exit
         bob< * bye
         bob< ^D
         alice< * bob left
         bob2> /login  bob another-horse
         bob2< * welcome bob
         alice< * bob joined",
    );
}

#[test]
fn input_enter_in_a_telnet_of_characters_ends_a_line() {
    let mut sim = check_two("");
    for piece in [&b"one\r"[..], b"\0tw", b"o\r\0", b"th\xff\xfar", b"ee\nfour\r\n"] {
        sim.send("bob", piece);
        sim.settle();
    }
    play(
        &mut sim,
        "@ 1
         alice< TS bob: one
         alice< TS bob: two
         alice< TS bob: th
         alice< TS bob: four
         bob< TS bob: one
         bob< TS bob: two
         bob< TS bob: th
         bob< TS bob: four",
    );
}

#[test]
fn input_a_request_of_a_web_page_is_answered_in_http_and_nothing_of_it_is_done() {
    let mut sim = check_two("");
    let long = "/x".repeat(3_000);
    let requests = [
        "POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n/register mallory correct-horse\nhello\n".to_owned(),
        "get http://chat:5000/ http/1.0\n\n/login bob battery-staple\nhello\n".into(),
        format!("PUT {long} HTTP/1.1\r\n\r\n/login bob battery-staple\nhello\n"),
        "\r\nX-YZ * HTTP/1.1\r\n/login bob battery-staple\nhello\n".into(),
    ];
    for (number, request) in requests.iter().enumerate() {
        for pieces in [usize::MAX, 1_000, 7] {
            let name = format!("page{number}-{pieces}");
            sim.connect(&name);
            for piece in request.as_bytes().chunks(pieces) {
                sim.send(&name, piece);
                sim.turn();
            }
            sim.settle();
            let output = sim.output(&name).split_off(3);
            assert!(output.iter().map(String::as_str).eq(HTTP_ANSWER.lines()), "{request}: {output:?}");
            assert!(sim.peer(&name).is_at_end() && !sim.peer(&name).was_reset());
        }
    }
    for hello in [&b"\x16\x03\x01\x00\xa5\x01"[..], b"\x16\x03\x03\n/login bob battery-staple\nhello\n"] {
        let name = format!("tls{}", hello.len());
        sim.connect(&name);
        hello.chunks(3).for_each(|piece| sim.send(&name, piece));
        sim.settle();
        let output = sim.output(&name).split_off(3);
        assert_eq!(output, ["! no-tls: this port takes plain lines of text; try: nc HOST 5000"]);
        assert!(sim.peer(&name).is_at_end());
    }
    assert_eq!(sim.output("alice"), [""; 0]);
    // The same line is a message of someone who is in the midst of a conversation.
    play(
        &mut sim,
        "bob> GET / HTTP/1.1
         bob< TS bob: GET / HTTP/1.1
         alice< TS bob: GET / HTTP/1.1",
    );
}

#[test]
fn input_a_byte_order_mark_at_the_start_of_a_script_is_skipped() {
    check(
        "a> \u{feff}/register alice correct-horse
         a< * welcome alice
         a> \u{feff}/quit
         a< ! bad-usage: a command must begin in the first column; nothing was sent
         a> \u{feff}hello
         a< TS alice: hello",
    );
}

#[test]
fn a_private_message_reaches_all_sessions_of_two_accounts_and_waits_for_who_is_away() {
    check_two(
        "carol> /register carol correct-horse
         carol< * welcome carol
         alice< * carol joined
         bob< * carol joined
         bob2> /login bob battery-staple
         bob2< * welcome bob
         alice2> /login ALICE correct-horse
         alice2< * welcome alice
         alice> /msg BOB psst: hey
         alice< TS alice -> bob: psst: hey
         alice2< TS alice -> bob: psst: hey
         bob< TS alice -> bob: psst: hey
         bob2< TS alice -> bob: psst: hey
         alice> /msg alice note to self
         alice< TS alice -> alice: note to self
         alice2< TS alice -> alice: note to self
         carol> /quit
         carol< * bye
         carol< ^D
         alice< * carol left
         alice2< * carol left
         bob< * carol left
         bob2< * carol left
         bob> /msg carol later
         bob< TS bob -> carol: later
         bob< * carol is offline and will see it at the next login
         bob2< TS bob -> carol: later
         carol2> /login carol correct-horse
         carol2< * welcome carol
         carol2< TS bob -> carol: later
         alice< * carol joined
         alice2< * carol joined
         bob< * carol joined
         bob2< * carol joined
         # A third account sees nothing of it in history either.
         carol2> /history
         carol2< TS bob -> carol: later
         carol2< * end of history
         alice> /history
         alice< TS alice -> bob: psst: hey
         alice< TS alice -> alice: note to self
         alice< * end of history",
    );
}

#[test]
fn a_private_message_reaches_the_senders_other_sessions_also_when_this_one_is_gone() {
    check_two(
        "bob2> /login bob battery-staple
         bob2< * welcome bob
         bob2>> /msg alice last words
         bob2> ^X
         alice< TS bob -> alice: last words
         bob< TS bob -> alice: last words",
    );
}

#[test]
fn joined_and_left_are_said_for_the_first_session_and_the_last() {
    check_two(
        "bob2> /login bob battery-staple
         bob2< * welcome bob
         bob> /quit
         bob< * bye
         bob< ^D
         alice> /users
         alice< * users: alice bob
         alice< * 2 online
         bob2> ^X
         alice< * bob left
         alice> /users
         alice< * users: alice
         alice< * 1 online",
    );
}

#[test]
fn history_is_asked_for_whole_in_part_by_time_and_backwards() {
    let mut sim = check_two(
        "alice> one
         alice< TS alice: one
         bob< TS alice: one
         alice> two
         alice< TS alice: two
         bob< TS alice: two
         bob> three
         alice< TS bob: three
         bob< TS bob: three
         bob> /history
         bob< TS alice: one
         bob< TS alice: two
         bob< TS bob: three
         bob< * end of history
         bob> /history 2
         bob< TS alice: two
         bob< TS bob: three
         bob< * end of history
         bob> /history 99999999999999999999999999
         bob< TS alice: one
         bob< TS alice: two
         bob< TS bob: three
         bob< * end of history
         bob> /history 0
         bob< * end of history
         bob> /history 2026-11-22
         bob< TS alice: one
         bob< TS alice: two
         bob< TS bob: three
         bob< * end of history
         bob> /history 2027-01
         bob< * end of history",
    );
    let log = sim.visible_to("bob");
    let (two, three) = (&log[1][..27], &log[2][..27]);
    let script = format!(
        "bob> /history {two}
         bob< TS alice: two
         bob< TS bob: three
         bob< * end of history
         bob> /history 1 before {three}
         bob< TS alice: two
         bob< * end of history
         bob> /history 9 before {two}
         bob< TS alice: one
         bob< * end of history
         # And then it goes on live.
         alice> four
         alice< TS alice: four
         bob< TS alice: four"
    );
    play(&mut sim, &script);
}

#[test]
fn others_talk_while_history_is_read_and_nothing_is_missed() {
    check_two(
        "alice> one
         alice< TS alice: one
         bob< TS alice: one
         bob>> /history
         alice>> two
         bob>> three
         alice> /msg bob four
         # What was said before is sent before; then the history, which has it again; then live.
         bob< TS alice: two
         bob< TS alice -> bob: four
         bob< TS alice: one
         bob< TS alice: two
         bob< TS alice -> bob: four
         bob< * end of history
         bob< TS bob: three
         alice< TS alice: two
         alice< TS alice -> bob: four
         alice< TS bob: three",
    );
}

#[test]
fn misuse_is_answered_and_says_how_it_is_done() {
    check(
        "alice> hello
         alice< ! not-logged-in: log in first, with /login NAME PASSWORD or /register NAME PASSWORD
         alice> /users
         alice< ! not-logged-in: log in first, with /login NAME PASSWORD or /register NAME PASSWORD
         alice> /history
         alice< ! not-logged-in: log in first, with /login NAME PASSWORD or /register NAME PASSWORD
         alice> /msg bob x
         alice< ! not-logged-in: log in first, with /login NAME PASSWORD or /register NAME PASSWORD
         alice> /passwd correct-horse battery-staple
         alice< ! not-logged-in: log in first, with /login NAME PASSWORD or /register NAME PASSWORD
         alice> /register 1alice correct-horse
         alice< ! bad-name: a name is a letter followed by up to 19 letters, digits, - or _
         alice> /register ali:ce correct-horse
         alice< ! bad-name: a name is a letter followed by up to 19 letters, digits, - or _
         alice> /register aaaaaaaaaabbbbbbbbbbc correct-horse
         alice< ! bad-name: a name is a letter followed by up to 19 letters, digits, - or _
         alice> /register alice short
         alice< ! bad-password: a password must have 8 to 128 bytes and no control characters
         alice> /register alice tab\tin-the-middle
         alice< ! bad-password: a password must have 8 to 128 bytes and no control characters
         alice> /register alice
         alice< ! bad-usage: /register NAME PASSWORD
         alice> /login alice
         alice< ! bad-usage: /login NAME PASSWORD
         alice> /login alice correct-horse
         alice< ! bad-login: wrong name or password
         alice> /login 1 correct-horse
         alice< ! bad-login: wrong name or password
         alice> /register alice correct horse
         alice< * welcome alice
         alice> /login alice correct horse
         alice< ! already-logged-in: you are logged in as alice; /quit first
         alice> /register bob correct-horse
         alice< ! already-logged-in: you are logged in as alice; /quit first
         alice> /msg nobody hello
         alice< ! no-such-user: nobody is called nobody
         alice> /msg alice
         alice< ! bad-usage: /msg NAME TEXT, or /msg #ROOM TEXT
         alice> /nick bob
         alice< ! unknown-command: there is no /nick; names are fixed, but /register creates another account
         alice> /frobnicate
         alice< ! unknown-command: there is no /frobnicate; /help lists all commands
         alice> /hlep
         alice< ! unknown-command: there is no /hlep; did you mean /help?
         alice> /history 3 after noon
         alice< ! bad-usage: /history [NAME | #ROOM] [N | TIME | N before TIME], TIME as in 2026-11-22T12:03
         alice> /replay many
         alice< ! bad-usage: /replay N
         bob> /register ALICE correct-horse
         bob< ! name-taken: ALICE is already registered
         bob> /login alice correct-horse
         bob< ! bad-login: wrong name or password",
    );
}

#[test]
fn help_is_there_before_the_login_and_names_every_command() {
    let mut sim = Sim::new();
    sim.connect("alice");
    sim.settle();
    sim.output("alice");
    sim.say("alice", "/help");
    let help = sim.output("alice").join("\n");
    for command in
        ["/register", "/login", "/passwd", "/msg", "/history", "/users", "/replay", "/help", "/quit", "//"]
    {
        assert!(help.contains(command), "{command}");
    }
    assert!(help.lines().all(|line| line.starts_with("* ")));
    sim.say("alice", "/quit");
    assert_eq!(sim.output("alice"), ["* bye"]);
}

#[test]
fn a_name_is_one_whatever_the_case_and_shown_as_it_was_registered() {
    check(
        "a> /register McBob correct-horse
         a< * welcome McBob
         a> hi
         a< TS McBob: hi
         b> /login mcbob correct-horse
         b< * welcome McBob
         a> /msg MCBOB me
         a< TS McBob -> McBob: me
         b< TS McBob -> McBob: me",
    );
}

#[test]
fn of_two_who_register_a_name_at_once_one_gets_it() {
    check(
        "a>> /register alice correct-horse
         b>> /register Alice battery-staple
         a> x
         a< * welcome alice
         a< TS alice: x
         b< ! name-taken: Alice is already registered
         b> /login alice battery-staple
         b< ! bad-login: wrong name or password
         @ 5
         b> /login alice correct-horse
         b< * welcome alice",
    );
}

#[test]
fn names_that_look_like_another_or_like_the_server_are_not_registered() {
    let sim = check(
        "a> /register Billy correct-horse
         a< * welcome Billy
         b> /register BilIy correct-horse
         b< ! name-taken: BilIy looks like Billy, which is taken
         b> /register Bi11y correct-horse
         b< ! name-taken: Bi11y looks like Billy, which is taken
         b> /register billy correct-horse
         b< ! name-taken: billy is already registered
         b> /register ADM1N correct-horse
         b< ! bad-name: ADM1N could be mistaken for the server
         b> /register serv3r- correct-horse
         b< ! bad-name: serv3r- could be mistaken for the server
         b> /register _admin correct-horse
         b< ! bad-name: a name is a letter followed by up to 19 letters, digits, - or _
         c>> /register norma correct-horse
         d>> /register n0rma battery-staple
         d>> /register n0rrna battery-staple
         c> x
         c< * welcome norma
         c< TS norma: x
         d< ! name-taken: n0rma looks like norma, which is taken
         d< ! name-taken: n0rrna looks like norma, which is taken
         a< * norma joined
         a< TS norma: x",
    );
    play(
        &mut sim.restart(),
        "b> /register Bil1y correct-horse
         b< ! name-taken: Bil1y looks like Billy, which is taken
         b> /login Billy correct-horse
         b< * welcome Billy",
    );
}

#[test]
fn a_changed_password_is_the_only_one_from_then_on() {
    let sim = check(
        "alice> /register alice correct-horse
         alice< * welcome alice
         alice> /passwd wrong-horse battery-staple
         alice< ! bad-login: wrong password
         alice> /passwd correct-horse short
         alice< ! bad-password: OLD and NEW must have 8 to 128 bytes each and no control characters
         alice> /passwd correct-horse battery staple
         alice< * password changed
         b> /login alice correct-horse
         b< ! bad-login: wrong name or password
         @ 5
         b> /login alice battery staple
         b< * welcome alice",
    );
    let mut sim = sim.restart();
    play(
        &mut sim,
        "b> /login alice correct-horse
         b< ! bad-login: wrong name or password
         @ 5
         b> /login alice battery staple
         b< * welcome alice",
    );
}

#[test]
fn users_are_listed_in_as_many_lines_as_it_takes() {
    let mut options = crate::sim::harness::options();
    options.per_address = None;
    options.rules.limits_addresses = false;
    let mut sim = Sim::with(options);
    let name = |number: usize| format!("somebody-number-{number:04}");
    for number in 0..450 {
        sim.connect(&name(number));
        sim.send(&name(number), format!("/register {} correct-horse\n", name(number)));
    }
    sim.run_seconds(5);
    sim.clear();
    // Also to who takes it byte by byte.
    sim.peer(&name(7)).write_max = 1;
    sim.say(&name(7), "/users");
    let output = sim.output(&name(7));
    let (count, pages) = output.split_last().unwrap();
    assert_eq!(count, "* 450 online");
    assert!(pages.len() > 1, "that is more than one line holds");
    let listed: Vec<_> =
        pages.iter().flat_map(|page| page.strip_prefix("* users: ").unwrap().split(' ')).collect();
    assert_eq!(listed, (0..450).map(name).collect::<Vec<_>>());
}

#[test]
fn lines_have_a_longest_length_and_what_is_beyond_is_refused_whole() {
    let mut sim = check_two("");
    let text = |length| "x".repeat(length);
    // "TS bob: " and the ending take 34 bytes of the 4096.
    sim.say("bob", &text(4096 - 34));
    assert_eq!(sim.output("alice")[0].len(), 4095);
    sim.run_seconds(1);
    sim.clear();
    sim.say("bob", &text(4096 - 33));
    sim.say("bob", &text(4096));
    sim.say("bob", &text(100_000));
    sim.say("bob", "still here");
    assert_eq!(sim.output("alice").iter().map(|line| &line[28..]).collect::<Vec<_>>(), ["bob: still here"]);
    let output = sim.output("bob");
    assert!(output[0].starts_with("! line-too-long: with time and names, the message is 1 bytes too long"));
    assert!(output[1].starts_with("! line-too-long: a line may have at most 4096 bytes"), "{output:?}");
    assert!(output[2].starts_with("! line-too-long: a line may have at most 4096 bytes"), "{output:?}");
    assert_eq!(output.len(), 4);
    // What never ends closes the connection, but not before it was said why.
    sim.send("bob", text((1 << 20) + 4096));
    sim.settle();
    let output = sim.output("bob");
    assert!(
        output.last().unwrap().starts_with("! line-too-long: 1048576 bytes came without a line ending"),
        "{output:?}"
    );
    assert!(sim.peer("bob").is_at_end() && !sim.peer("bob").was_reset());
}

#[test]
fn what_was_never_ended_is_no_message_and_is_said_to_be_none() {
    let mut sim = check_two("");
    sim.send("bob", "hello\nunfinis");
    sim.peer("bob").finish();
    play(
        &mut sim,
        "@ 2
         bob< TS bob: hello
         bob< ! unfinished-line: the last line had no ending and was ignored
         bob< ^D
         alice< TS bob: hello
         alice< * bob left",
    );
    assert!(!sim.peer("bob").was_reset());
}

#[test]
fn a_goodbye_before_the_login_is_written_however_late_its_turn_comes() {
    for turns in 0..4 {
        let mut sim = Sim::new();
        sim.connect("x");
        sim.turns(1);
        sim.output("x");
        sim.send("x", "/quit\n");
        sim.turns(turns);
        // The process was stopped for a while.
        sim.world.advance(30_000_000);
        sim.settle();
        let output = sim.output("x");
        assert!(output.contains(&"* bye".to_owned()), "after {turns} turns: {output:?}");
    }
}

#[test]
fn a_goodbye_is_not_overtaken_by_a_reset() {
    let mut sim = check_two("");
    sim.send("bob", "/quit\nmore\n");
    sim.settle();
    sim.send("bob", "and more\n".repeat(20_000));
    sim.settle();
    assert_eq!(sim.output("bob"), ["* bye"]);
    assert!(sim.peer("bob").is_at_end() && !sim.peer("bob").was_reset());
    // It is not waited for without end.
    sim.run_seconds(3);
    assert!(sim.peer("bob").is_gone());
}
