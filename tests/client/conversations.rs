//! Conversations, each a thing that the client is to do.

use chinwag::client::{Client, Credentials, Event};

use crate::transcript::{check, check_with};

/// Up to where lines are said: nobody else is there, and nothing was ever said.
const LOGGED_IN: &str = "
    login alice correct-horse
    +
    > /login alice correct-horse
    < * chinwag 0.1.0: a chat; what is said here is kept
    < * new here? /register NAME PASSWORD
    < * have an account? /login NAME PASSWORD; /help tells the rest
    < * welcome alice
    welcome alice
    > /users
    > /history 1
    < * users: alice
    < * 1 online
    < * end of history
";

fn check_in(script: &str) {
    check(&format!("{LOGGED_IN}{script}"));
}

#[test]
fn a_login_waits_for_no_greeting_and_asks_who_is_there() {
    check_in("");
}

#[test]
fn a_registration_is_a_login_the_next_time() {
    check(
        "+
        < * chinwag 0.1.0: a chat
        register alice correct-horse
        > /register alice correct-horse
        < * welcome Alice
        welcome Alice
        > /users
        > /history 1
        < * 0 online
        < * end of history
        -
        +
        > /replay 0
        > /login alice correct-horse",
    );
}

#[test]
fn a_wrong_password_is_said_and_another_can_be_tried() {
    check(
        "+
        login alice wrong-horse
        > /login alice wrong-horse
        < ! bad-login: wrong name or password
        failed: bad-login: wrong name or password
        login alice correct-horse
        > /login alice correct-horse
        < * after failed logins this one is checked in 4 s
        notice: after failed logins this one is checked in 4 s
        < * welcome alice
        welcome alice
        > /users
        > /history 1",
    );
}

#[test]
fn credentials_that_were_refused_are_not_sent_again_by_themselves() {
    check(
        "login alice wrong-horse
        +
        > /login alice wrong-horse
        < ! bad-login: wrong name or password
        failed: bad-login: wrong name or password
        -
        +
        again
        > /login alice wrong-horse",
    );
}

#[test]
fn an_error_of_the_connection_is_no_answer_to_the_login() {
    check(
        "login alice correct-horse
        +
        > /login alice correct-horse
        < ! server-full: all 50 connections are taken; please try again later
        error: server-full: all 50 connections are taken; please try again later
        -
        +
        > /login alice correct-horse",
    );
}

#[test]
fn another_kind_of_server_is_noticed() {
    check(
        "+
        < SSH-2.0-OpenSSH_9.2
        not chinwag: SSH-2.0-OpenSSH_9.2",
    );
    check(
        "+
        < 220 mail.example ESMTP
        not chinwag: 220 mail.example ESMTP",
    );
}

#[test]
fn what_was_missed_is_told_apart_from_what_is_said_now() {
    check(
        "login alice correct-horse
        +
        > /login alice correct-horse
        < * welcome alice
        < @1 bob: early
        < @2 bob -> alice: psst
        welcome alice
        missed @1 bob: early
        missed @2 bob -> alice: psst
        > /users
        > /history 1
        < * users: alice bob
        < * 2 online
        < @2 bob -> alice: psst
        < * end of history
        < @3 bob: now
        live @3 bob: now",
    );
}

#[test]
fn the_newest_message_is_only_noted_where_it_was_seen_before() {
    check(
        "login alice correct-horse
        +
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /users
        > /history 1
        < * 1 online
        < @5 bob: seen yesterday
        < * end of history
        -
        +
        > /replay 0
        > /login alice correct-horse
        < * replay 0
        < * welcome alice
        welcome alice
        > /history @5
        > /users",
    );
}

#[test]
fn what_is_said_before_the_newest_message_is_told_is_not_lost() {
    check(
        "login alice correct-horse
        +
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /users
        > /history 1
        < * 1 online
        < @6 bob: just now
        < @7 bob: and now
        < @7 bob: and now
        < * end of history
        live @6 bob: just now
        live @7 bob: and now",
    );
}

#[test]
fn ones_own_copy_is_the_receipt() {
    check_in(
        "= hello
        > hello
        = /msg Bob psst
        > /msg Bob psst
        = //etc
        > //etc
        < @1 alice: hello
        < @2 alice -> bob: psst
        < * bob is offline and will see it at the next login
        < @3 alice: /etc
        live #0 @1 alice: hello
        live #1 @2 alice -> bob: psst
        notice: bob is offline and will see it at the next login
        live #2 @3 alice: /etc",
    );
}

#[test]
fn what_one_says_in_another_session_is_no_receipt() {
    check_in(
        "= hello
        > hello
        < @1 alice: elsewhere
        < @2 alice: hello
        live @1 alice: elsewhere
        live #0 @2 alice: hello",
    );
}

#[test]
fn what_the_server_does_not_take_is_told_of_with_its_line() {
    check_in(
        "= one
        > one
        = two
        > two
        = /msg nobody hi
        > /msg nobody hi
        < ! not-saved: the server's disk is full; please try again later
        < @1 alice: two
        < ! no-such-user: nobody is called nobody
        refused #0 one: not-saved: the server's disk is full; please try again later
        live #1 @1 alice: two
        refused #2 /msg nobody hi: no-such-user: nobody is called nobody
        < ! unfinished-line: the last line had no ending and was not taken
        error: unfinished-line: the last line had no ending and was not taken",
    );
}

#[test]
fn what_cannot_be_right_is_not_sent() {
    check_in(
        "= /nonsense
        refused #0 /nonsense: unknown-command: there is no /nonsense; /help tells what there is
        = /msg bob
        refused #1 /msg bob: bad-usage: /msg NAME TEXT
        = /msg 7up hi
        refused #2 /msg 7up hi: no-such-user: that is no name
        = /login bob correct-horse
        refused #3 /login bob correct-horse: already-logged-in: as alice; /quit first
        = hello
        > hello
        < @1 alice: hello
        live #4 @1 alice: hello",
    );
}

#[test]
fn a_line_that_would_be_too_long_is_not_sent() {
    let longest = "x".repeat(4096 - "2026-11-22T12:00:00.000001Z alice: \n".len());
    check_in(&format!(
        "= {longest}
        > {longest}
        < @1 alice: {longest}
        live #0 @1 alice: {longest}
        = {longest}x
        refused #1 {longest}x: line-too-long: a message has at most 4096 bytes with its time and names"
    ));
}

#[test]
fn who_came_and_went_is_told_and_kept() {
    check_in(
        "< * bob joined
        < * Carol and dave joined
        < * erin, frank and grace joined
        < * bob left
        joined: bob +0
        joined: Carol dave +0
        joined: erin frank grace +0
        left: bob +0
        < * heidi, ivan and 41 others joined
        joined: heidi ivan +41
        > /users
        < * users: alice heidi
        < * users: ivan judy
        < * 45 online
        = /users
        > /users
        < * users: alice judy
        < * 2 online
        users: alice judy",
    );
}

#[test]
fn those_online_are_known() {
    let mut client = Client::new([]);
    client.log_in(Credentials { name: "alice".into(), password: "correct-horse".into(), is_new: false });
    client.connected();
    let mut online_after = |text: &str| {
        client.receive(text.as_bytes());
        client.online().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        online_after("* welcome alice\n* users: alice bob\n* users: carol\n* 3 online\n"),
        "alice bob carol"
    );
    assert_eq!(online_after("* end of history\n* bob left\n* Dave joined\n"), "alice carol Dave");
    client.disconnected();
    assert!(client.online().is_empty());
}

#[test]
fn the_clients_own_commands_are_not_the_servers() {
    check_in(
        "= /reply hi
        refused #0 /reply hi: nobody-wrote: there is no private message to reply to
        < @1 bob -> alice: psst
        live @1 bob -> alice: psst
        = /reply hi you
        > /msg bob hi you
        = /me waves
        > //me waves
        = /me
        refused #3 /me: bad-usage: /me TEXT
        < @2 alice -> bob: hi you
        < @3 alice: /me waves
        live #1 @2 alice -> bob: hi you
        live #2 (waves) @3 alice: /me waves
        = /REPLY again
        > /msg bob again",
    );
}

#[test]
fn who_is_ignored_is_not_heard_and_still_counts() {
    check_with(
        &["carol"],
        &format!(
            "{LOGGED_IN}
            = /ignore bob
            notice: bob is ignored from now on
            ignored changed
            = /ignore
            notice: ignored: bob carol
            < @1 BOB: loud
            < @2 bob -> alice: psst
            < @3 carol: loud too
            < @4 dave: hi
            live @4 dave: hi
            = /reply x
            refused #2 /reply x: nobody-wrote: there is no private message to reply to
            < @5 bob: last
            -
            +
            > /replay 0
            > /login alice correct-horse
            < * replay 0
            < * welcome alice
            welcome alice
            > /history @5
            > /users
            < @5 bob: last
            < * end of history
            < * 1 online
            = /unignore Bob
            notice: Bob is heard again
            ignored changed
            = /unignore bob
            notice: bob was not ignored
            < @6 bob: hello?
            live @6 bob: hello?"
        ),
    );
}

#[test]
fn help_is_the_clients_own() {
    let mut client = Client::new([]);
    client.log_in(Credentials { name: "alice".into(), password: "correct-horse".into(), is_new: false });
    client.connected();
    client.receive(b"* welcome alice\n* 1 online\n* end of history\n");
    client.sent(client.output().len());
    client.submit("/help");
    let told: Vec<String> = std::iter::from_fn(|| client.next_event())
        .filter_map(|event| match event {
            Event::Notice(text) => Some(text),
            _ => None,
        })
        .collect();
    for command in Client::command_words() {
        assert!(told.iter().any(|line| line.starts_with(&format!("/{command}"))), "{command}: {told:#?}");
    }
    assert_eq!(client.output(), b"", "the server is not asked");
}

#[test]
fn a_history_that_was_asked_for_is_told_again_and_what_is_new_in_it_once() {
    check_in(
        "< @1 bob: one
        < @2 bob: two
        live @1 bob: one
        live @2 bob: two
        = /history 2
        > /history 2
        < @1 bob: one
        < @2 bob: two
        < @3 bob: new
        < * end of history
        < @4 bob: newer
        asked @1 bob: one
        asked @2 bob: two
        live @3 bob: new
        end of history
        live @4 bob: newer",
    );
}

#[test]
fn a_changed_password_is_used_from_then_on() {
    check_in(
        "= /passwd correct-horse battery staple
        > /passwd correct-horse battery staple
        < * password changed
        notice: password changed
        -
        +
        > /replay 0
        > /login alice battery staple",
    );
}

#[test]
fn a_password_that_could_not_be_changed_stays() {
    check_in(
        "= /passwd correct-horse battery-staple
        > /passwd correct-horse battery-staple
        < ! not-saved: the server's disk is full; please try again later
        refused #0 /passwd correct-horse battery-staple: not-saved: the server's disk is full; please try again later
        -
        +
        > /replay 0
        > /login alice correct-horse",
    );
}

#[test]
fn a_goodbye_is_answered() {
    check_in(
        "= last
        > last
        = /quit
        > /quit
        < @1 alice: last
        < * bye
        live #0 @1 alice: last
        bye
        -",
    );
}

/// A connection that was lost after message 2, and is there again.
const BACK: &str = "
    < @1 bob: one
    < @2 bob: two
    live @1 bob: one
    live @2 bob: two
    -
    +
    > /replay 0
    > /login alice correct-horse
    < * replay 0
    < * welcome alice
    welcome alice
    > /history @2
    > /users
";

fn check_back(script: &str) {
    check(&format!("{LOGGED_IN}{BACK}{script}"));
}

#[test]
fn what_was_missed_while_the_connection_was_gone_is_told_once() {
    check_back(
        "< @2 bob: two
        < @3 bob: three
        < @4 bob -> alice: four
        < * end of history
        < * users: alice bob
        < * 2 online
        < @5 bob: five
        missed @3 bob: three
        missed @4 bob -> alice: four
        live @5 bob: five",
    );
}

#[test]
fn what_is_said_before_the_answer_is_told_in_its_place() {
    check_back(
        "< @5 bob: said meanwhile
        < @6 bob: and more
        < @2 bob: two
        < @3 bob: three
        < @5 bob: said meanwhile
        < @6 bob: and more
        < @7 bob: seven
        < * end of history
        missed @3 bob: three
        missed @5 bob: said meanwhile
        missed @6 bob: and more
        missed @7 bob: seven",
    );
}

#[test]
fn an_answer_in_which_the_last_message_is_missing_is_told_all_the_same() {
    check_back(
        "< @3 bob: three
        < @4 bob: four
        < * end of history
        missed @3 bob: three
        missed @4 bob: four",
    );
    check_back(
        "< @5 bob: said meanwhile
        < @3 bob: three
        < @5 bob: said meanwhile
        < * end of history
        missed @3 bob: three
        missed @5 bob: said meanwhile",
    );
    check_back(
        "< * end of history
        < @7 bob: seven
        live @7 bob: seven",
    );
}

#[test]
fn a_second_loss_in_the_midst_of_the_answer_leaves_no_gap() {
    check_back(
        "< @2 bob: two
        < @3 bob: three
        missed @3 bob: three
        -
        +
        > /replay 0
        > /login alice correct-horse
        < * replay 0
        < * welcome alice
        welcome alice
        > /history @3
        > /users
        < @3 bob: three
        < @4 bob: four
        < * end of history
        missed @4 bob: four",
    );
    check_back(
        "< @6 bob: said meanwhile
        -
        +
        > /replay 0
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /history @2
        > /users
        < @2 bob: two
        < @6 bob: said meanwhile
        < * end of history
        missed @6 bob: said meanwhile",
    );
}

#[test]
fn a_line_without_a_receipt_is_looked_for_and_never_sent_again() {
    check_in(
        "< @1 bob: one
        live @1 bob: one
        = kept
        > kept
        = lost
        > lost
        = kept
        > kept
        = /users
        > /users
        -
        unconfirmed #0 kept
        unconfirmed #1 lost
        unconfirmed #2 kept
        not sent #3 /users
        = typed meanwhile
        not sent #4 typed meanwhile
        +
        > /replay 0
        > /login alice correct-horse
        < * replay 0
        < * welcome alice
        welcome alice
        > /history @1
        > /users
        = typed at once
        > typed at once
        < @1 bob: one
        < @2 alice: kept
        < * end of history
        missed #0 @2 alice: kept
        not sent #1 lost
        not sent #2 kept
        < * 1 online
        < @3 alice: typed at once
        live #5 @3 alice: typed at once",
    );
}

#[test]
fn where_nothing_was_ever_said_all_since_the_beginning_was_missed() {
    check_in(
        "= first
        > first
        -
        unconfirmed #0 first
        +
        > /replay 0
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /history 1970-01-01T00:00:00.000000Z
        > /users
        < @1 alice: first
        < * end of history
        missed #0 @1 alice: first",
    );
}

#[test]
fn nothing_hostile_is_told_and_nothing_grows() {
    let mut client = Client::new([]);
    client.log_in(Credentials { name: "alice".into(), password: "correct-horse".into(), is_new: false });
    client.connected();
    client.receive(b"* welcome alice\n* 1 online\n* end of history\n");
    let mut bytes = Vec::new();
    for byte in (0..=u8::MAX).filter(|byte| *byte != b'\n') {
        for start in ["", "* ", "! ", "! code: ", "* users: ", "2026-11-22T12:00:00.000001Z bob: "] {
            bytes.extend_from_slice(start.as_bytes());
            bytes.extend_from_slice(&[byte, b'[', b'2', b'J', byte, b'\n']);
        }
    }
    bytes.extend_from_slice("* \u{9b}2J \u{202e} \u{2028} joined\n".as_bytes());
    bytes.extend_from_slice(
        b"2026-11-22T12:00:00.000001Z \x1b[2Jbob: x\n2026-99-99T99:99:99.999999Z bob: x\n",
    );
    bytes.extend(std::iter::repeat_n(b'x', 3 << 20));
    bytes.extend_from_slice(b"\n2026-11-22T12:00:00.000009Z bob: still here\n");
    client.receive(&bytes);
    let told: Vec<String> =
        std::iter::from_fn(|| client.next_event()).map(|event| format!("{event:?}")).collect();
    assert!(told.len() > 500, "{}", told.len());
    for text in &told {
        assert!(
            !text.contains("\\u{1b}") && !text.contains("\\u{9b}") && !text.contains("\\u{202e}"),
            "{text}"
        );
        assert!(text.len() < 10_000, "a line that is too long is not told");
    }
    assert!(told.last().is_some_and(|last| last.contains("still here")), "{:?}", told.last());
}

#[test]
fn what_went_with_a_connection_before_anything_was_told_is_asked_for() {
    check(
        "login alice correct-horse
        +
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /users
        > /history 1
        = hello
        > hello
        -
        unconfirmed #0 hello
        +
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /history 50
        > /users
        < @4 bob: said meanwhile
        < @2 bob: two
        < @3 alice: hello
        < @4 bob: said meanwhile
        < * end of history
        missed @2 bob: two
        missed #0 @3 alice: hello
        missed @4 bob: said meanwhile",
    );
}
