//! Conversations, each a thing that the client is to do.

use chinwag::client::{Client, Credentials, Event};

use crate::transcript::{TOKEN, check, check_with};

/// Up to where lines are said: nobody else is there, and nothing was ever said.
const LOGGED_IN: &str = "
    login alice correct-horse
    +
    < * chinwag 0.2.0: a chat; what is said here is kept
    < * new here? /register NAME PASSWORD
    < * have an account? /login NAME PASSWORD; /help lists all commands
    > /login alice correct-horse
    < * welcome alice
    welcome alice
    > /users
    > /history 1
    < * users: alice
    < * 1 online
    < * end of history
    > /token
    < * token TOKEN
    token of alice: TOKEN
";

/// The first line of a server.
const GREETING: &[u8] = b"* chinwag 0.2.0: a chat\n";

/// The same for what no line of text can say.
fn logged_in() -> Client {
    let mut client = Client::new([]);
    client.log_in(Credentials { name: "alice".into(), password: "correct-horse".into(), is_new: false });
    client.connected();
    client.receive(GREETING);
    client.receive(b"* welcome alice\n* users: alice\n* 1 online\n* end of history\n");
    client.receive(format!("* token {TOKEN}\n").as_bytes());
    client.sent(client.output().len());
    while client.next_event().is_some() {}
    client
}

fn check_in(script: &str) {
    check(&format!("{LOGGED_IN}{script}"));
}

#[test]
fn a_login_waits_for_the_greeting_and_asks_who_is_there() {
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
        > /token
        -
        +
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /login alice correct-horse",
    );
}

#[test]
fn a_wrong_password_is_said_and_another_can_be_tried() {
    check(
        "+
        < * chinwag 0.2.0: a chat
        login alice wrong-horse
        > /login alice wrong-horse
        < ! bad-login: wrong name or password
        failed: bad-login: wrong name or password
        login alice correct-horse
        > /login alice correct-horse
        < * after failed logins, this attempt will be checked in 4 s
        notice: after failed logins, this attempt will be checked in 4 s
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
        < * chinwag 0.2.0: a chat
        > /login alice wrong-horse
        < ! bad-login: wrong name or password
        failed: bad-login: wrong name or password
        -
        +
        < * chinwag 0.2.0: a chat
        again
        > /login alice wrong-horse",
    );
}

#[test]
fn an_error_of_the_connection_is_no_answer_to_the_login() {
    check(
        "login alice correct-horse
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < ! server-full: all 50 connections are taken; please try again later
        error: server-full: all 50 connections are taken; please try again later
        -
        +
        < * chinwag 0.2.0: a chat
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
    // It is sent nothing, and not listened to.
    check(
        "login alice correct-horse
        +
        < HTTP/1.1 400 Bad Request
        < Content-Type: text/plain; charset=utf-8
        < * chinwag 0.2.0: a chat
        not chinwag: HTTP/1.1 400 Bad Request
        again
        = hello
        not sent #0 hello
        -
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse",
    );
    for line in ["* welcome alice", "* chinwags", "! bad-login: no", "bob: hi", "x* chinwag 0.2.0"] {
        check(&format!(
            "login alice correct-horse
            +
            < {line}
            not chinwag: {line}"
        ));
    }
}

#[test]
fn what_was_missed_is_told_apart_from_what_is_said_now() {
    check(
        "login alice correct-horse
        +
        < * chinwag 0.2.0: a chat
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
        live @3 bob: now
        > /token",
    );
}

#[test]
fn the_newest_message_is_only_noted_where_it_was_seen_before() {
    check(
        "login alice correct-horse
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /users
        > /history 1
        < * 1 online
        < @5 bob: seen yesterday
        < * end of history
        > /token
        -
        +
        < * chinwag 0.2.0: a chat
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
        < * chinwag 0.2.0: a chat
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
        live @7 bob: and now
        > /token",
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
fn the_same_words_for_somebody_else_are_no_receipt() {
    check_in(
        "= /msg bob hi
        > /msg bob hi
        < @1 alice -> carol: hi
        < @2 alice: hi
        < @3 bob -> alice: hi
        < @4 alice -> BOB: hi
        live @1 alice -> carol: hi
        live @2 alice: hi
        live @3 bob -> alice: hi
        live #0 @4 alice -> BOB: hi",
    );
}

#[test]
fn receipts_come_in_the_order_of_the_lines() {
    // Another session of alice's says what waits here behind another line.
    check_in(
        "= one
        > one
        = two
        > two
        < @1 alice: two
        < @2 alice: one
        < @3 alice: two
        live @1 alice: two
        live #0 @2 alice: one
        live #1 @3 alice: two",
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
        < ! unfinished-line: the last line had no ending and was ignored
        error: unfinished-line: the last line had no ending and was ignored",
    );
}

#[test]
fn an_error_of_the_connection_answers_no_line() {
    for code in
        ["server-full", "too-many-connections", "login-timeout", "history-unavailable", "unfinished-line"]
    {
        check_in(&format!(
            "= hello
            > hello
            < ! {code}: some words
            < @1 alice: hello
            error: {code}: some words
            live #0 @1 alice: hello"
        ));
    }
}

#[test]
fn an_error_where_nothing_was_asked_is_told_as_such() {
    check_in(
        "< ! some-code: some words
        < ! without a code
        error: some-code: some words
        error: error: without a code",
    );
}

#[test]
fn an_error_that_answers_the_clients_own_question_is_not_the_users() {
    check_in(
        "< * bob, carol and 2 others joined
        joined: bob carol +2
        > /users
        = hello
        > hello
        < ! busy: later
        < @1 alice: hello
        live #0 @1 alice: hello",
    );
    // Nor does it keep the client from going on.
    check_back(
        "= hello
        > hello
        < ! busy: later
        < * 1 online
        < @3 alice: hello
        live #0 @3 alice: hello",
    );
}

#[test]
fn a_line_without_a_login_is_not_sent() {
    check(
        "= hello
        not sent #0 hello
        login alice correct-horse
        = /users
        not sent #1 /users
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        = hello
        not sent #2 hello
        < ! bad-login: wrong name or password
        failed: bad-login: wrong name or password
        = hello
        not sent #3 hello
        -
        = hello
        not sent #4 hello",
    );
}

#[test]
fn a_login_that_is_under_way_is_not_sent_twice() {
    check(
        "login alice correct-horse
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        again
        again
        < ! busy: too many logins are waiting; please try again
        failed: busy: too many logins are waiting; please try again
        again
        > /login alice correct-horse",
    );
}

#[test]
fn what_is_submitted_is_clean_and_what_is_empty_is_nothing() {
    let mut client = logged_in();
    for empty in ["", " ", "\n", "\t \r\n", "\r"] {
        assert_eq!(client.submit(empty), None, "{empty:?}");
    }
    assert_eq!(client.output(), b"");
    assert_eq!(client.submit("red\x1b[31m\u{202e}\u{9b}\rx\r\n"), Some(0));
    let sent = String::from_utf8(client.output().to_vec()).expect("it is text");
    assert_eq!(sent, "red\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}x\n");
    client.receive(format!("2026-11-22T12:00:00.000001Z alice: {sent}").as_bytes());
    assert!(matches!(client.next_event(), Some(Event::Message(message)) if message.receipt == Some(0)));
}

#[test]
fn it_is_known_what_is_not_answered_yet() {
    let mut client = logged_in();
    let state = |client: &Client| {
        let messages: Vec<String> = client.unacknowledged().map(str::to_owned).collect();
        (client.unanswered(), messages.join(", "), client.is_settled())
    };
    assert_eq!(state(&client), (0, String::new(), true));
    for line in ["one", "/msg bob two", "/users"] {
        client.submit(line);
    }
    assert_eq!(state(&client), (3, "one, /msg bob two".into(), false));
    client.receive(b"2026-11-22T12:00:00.000001Z alice: one\n* bob, carol and 2 others joined\n");
    assert_eq!(state(&client), (2, "/msg bob two".into(), false));
    client.disconnected();
    // A question has no meaning without its connection; a message has.
    assert_eq!(state(&client), (1, "/msg bob two".into(), false));
    client.connected();
    client.receive(GREETING);
    client.receive(b"* replay 0\n* welcome alice\n");
    assert_eq!(state(&client), (1, "/msg bob two".into(), false));
    client.receive(b"* end of history\n");
    assert_eq!(state(&client), (0, String::new(), false));
    client.receive(b"* 1 online\n");
    assert_eq!(state(&client), (0, String::new(), true));
    // Neither a connection that is lost in the midst of the client's own questions leaves something open, nor an error
    // that answers them.
    client.disconnected();
    client.connected();
    client.receive(GREETING);
    client.receive(b"* welcome alice\n");
    assert_eq!(state(&client), (0, String::new(), false));
    client.disconnected();
    assert_eq!(state(&client), (0, String::new(), true));
    client.connected();
    client.receive(GREETING);
    client.receive(b"* welcome alice\n! busy: later\n! busy: later\n");
    assert_eq!(state(&client), (0, String::new(), true));
}

#[test]
fn words_while_an_answer_is_awaited_are_not_its_end() {
    check_in(
        "= /history 1
        > /history 1
        < * the server has a long history
        < * no end of history
        < * bye
        < * password changed
        < * 3 online
        < @1 bob: one
        < * end of history
        notice: the server has a long history
        notice: no end of history
        notice: bye
        notice: password changed
        notice: 3 online
        live @1 bob: one
        end of history (1)",
    );
}

#[test]
fn what_cannot_be_right_is_not_sent() {
    check_in(
        "= /nonsense
        refused #0 /nonsense: unknown-command: there is no /nonsense; /help lists all commands
        = /msg bob
        refused #1 /msg bob: bad-usage: /msg NAME TEXT, or /msg #ROOM TEXT
        = /msg 7up hi
        refused #2 /msg 7up hi: no-such-user: that is not a name
        = /login bob correct-horse
        refused #3 /login bob correct-horse: already-logged-in: you are logged in as alice; /quit first
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
        refused #1 {longest}x: line-too-long: a message may have at most 4096 bytes with its time and names"
    ));
    let longest = "x".repeat(4096 - "2026-11-22T12:00:00.000001Z alice -> bob: \n".len());
    check_in(&format!(
        "= /msg bob {longest}
        > /msg bob {longest}
        = /msg bob {longest}x
        refused #1 /msg bob {longest}x: line-too-long: a message may have at most 4096 bytes with its time and names"
    ));
    // What is no message has to fit as it is sent.
    let password = "x".repeat(4096 - "/passwd correct-horse \n".len());
    check_in(&format!(
        "= /passwd correct-horse {password}
        > /passwd correct-horse {password}
        = /passwd correct-horse {password}x
        refused #1 /passwd correct-horse {password}x: line-too-long: \
         a message may have at most 4096 bytes with its time and names"
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
    check_in(
        "? alice
        < * bob joined
        < * Carol and dave joined
        < * bob, carol and 2 others left
        joined: bob +0
        joined: Carol dave +0
        left: bob carol +2
        > /users
        ? alice dave
        < * users: alice erin
        < * users: frank
        < * FRANK left
        < * 3 online
        left: FRANK +0
        ? alice erin frank
        -
        ?",
    );
}

#[test]
fn what_only_looks_like_news_of_people_is_shown_as_it_is() {
    check_in(
        "< * the server joined
        < * bob, 7up and carol left
        < * 3 online
        < * users: bob
        < * a, b and many others joined
        < * bob joined the army
        notice: the server joined
        notice: bob, 7up and carol left
        notice: 3 online
        notice: users: bob
        notice: a, b and many others joined
        notice: bob joined the army
        ? alice",
    );
}

#[test]
fn half_an_answer_and_half_a_line_of_a_lost_connection_are_forgotten() {
    check_in(
        "= /users
        > /users
        < * users: carol
        << @1 bob: ha
        -
        not sent #0 /users
        +
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /resume alice TOKEN
        < * welcome alice
        welcome alice
        > /history 1970-01-01T00:00:00.000000Z
        > /users
        < @1 bob: half
        < * end of history
        < * users: alice
        < * 1 online
        missed @1 bob: half
        ? alice",
    );
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
        > /msg bob again
        = /history 1
        > /history 1
        < @4 alice -> bob: again
        < @1 bob -> alice: psst
        < * end of history
        live #4 @4 alice -> bob: again
        asked @1 bob -> alice: psst
        end of history (1)",
    );
}

#[test]
fn a_reply_goes_to_who_wrote_last_and_not_to_what_was_looked_up() {
    check_in(
        "< @1 bob -> alice: psst
        < @2 carol -> alice: pssst
        < @3 alice -> dave: from elsewhere
        < @4 erin: to everyone
        live @1 bob -> alice: psst
        live @2 carol -> alice: pssst
        live @3 alice -> dave: from elsewhere
        live @4 erin: to everyone
        = /history 4
        > /history 4
        < @1 bob -> alice: psst
        < * end of history
        asked @1 bob -> alice: psst
        end of history (1)
        = /reply hi
        > /msg carol hi",
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
            = /history 2
            > /history 2
            < @3 carol: loud too
            < @4 dave: hi
            < * end of history
            asked @4 dave: hi
            end of history (2)
            = /reply x
            refused #3 /reply x: nobody-wrote: there is no private message to reply to
            < @5 bob: last
            -
            +
            < * chinwag 0.2.0: a chat
            > /replay 0
            > /resume alice TOKEN
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
    let mut client = logged_in();
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
        end of history (3)
        live @4 bob: newer",
    );
}

#[test]
fn a_changed_password_is_used_from_then_on() {
    check_in(
        "= /passwd correct-horse battery-staple
        > /passwd correct-horse battery-staple
        < * password changed
        notice: password changed
        > /token
        -
        +
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /login alice battery-staple",
    );
}

#[test]
fn a_password_is_changed_when_the_server_says_so_and_not_before() {
    check_in(
        "= /passwd correct-horse battery-staple
        > /passwd correct-horse battery-staple
        < * bob joined
        < * some words
        joined: bob +0
        notice: some words
        < ! bad-login: wrong name or password
        refused #0 /passwd correct-horse battery-staple: bad-login: wrong name or password
        -
        +
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /resume alice TOKEN",
    );
}

#[test]
fn where_passwords_have_spaces_the_one_in_use_tells_them_apart() {
    let mut client = Client::new([]);
    client.log_in(Credentials { name: "alice".into(), password: "correct horse".into(), is_new: false });
    client.connected();
    client.receive(GREETING);
    client.receive(b"* welcome alice\n* 1 online\n* end of history\n! unknown-command: there is no /token\n");
    client.submit("/passwd correct horse battery staple");
    client.receive(b"* password changed\n");
    client.disconnected();
    client.connected();
    client.receive(GREETING);
    assert_eq!(client.output(), b"/replay 0\n/login alice battery staple\n");
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
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /resume alice TOKEN",
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
    // One that was lost with the connection has done what it was for.
    check_in(
        "= /quit
        > /quit
        -",
    );
}

#[test]
fn what_a_lost_connection_did_not_get_is_not_sent_on_the_next() {
    let mut client = logged_in();
    client.submit("hello");
    client.disconnected();
    client.connected();
    client.receive(GREETING);
    assert_eq!(client.output(), format!("/replay 0\n/resume alice {TOKEN}\n").as_bytes());
    client.sent("/replay 0\n".len());
    assert_eq!(client.output(), format!("/resume alice {TOKEN}\n").as_bytes());
}

/// A connection that was lost after message 2, and is there again.
const BACK: &str = "
    < @1 bob: one
    < @2 bob: two
    live @1 bob: one
    live @2 bob: two
    -
    +
    < * chinwag 0.2.0: a chat
    > /replay 0
    > /resume alice TOKEN
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
fn a_long_answer_in_which_the_last_message_is_missing_is_told_as_it_comes() {
    let mut client = logged_in();
    let message = |number: u32| format!("2026-11-22T12:00:00.{number:06}Z bob: {number}\n");
    client.receive(message(1).as_bytes());
    client.disconnected();
    client.connected();
    client.receive(GREETING);
    client.receive(b"* replay 0\n* welcome alice\n");
    let mut told = 0;
    let mut most_untold = 0;
    for number in 2..10_000 {
        client.receive(message(number).as_bytes());
        while let Some(event) = client.next_event() {
            let Event::Message(message) = event else { continue };
            told += 1;
            assert_eq!(message.text, told.to_string(), "in order and without a gap");
        }
        most_untold = most_untold.max(number - told);
    }
    // Nobody knows whether they are the answer before it has ended, or has become too long to be kept.
    assert!((4_000..4_100).contains(&most_untold), "{most_untold}");
    assert_eq!(told, 9_999);
}

#[test]
fn a_second_loss_in_the_midst_of_the_answer_leaves_no_gap() {
    check_back(
        "< @2 bob: two
        < @3 bob: three
        missed @3 bob: three
        -
        +
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /resume alice TOKEN
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
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /resume alice TOKEN
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
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /resume alice TOKEN
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
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /resume alice TOKEN
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
fn what_went_with_a_connection_before_anything_was_told_is_asked_for() {
    check(
        "login alice correct-horse
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /users
        > /history 1
        -
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /history 50
        > /users
        < @4 bob: said meanwhile
        < @2 bob: two
        < @3 carol: three
        < @4 bob: said meanwhile
        < * end of history
        missed @2 bob: two
        missed @3 carol: three
        missed @4 bob: said meanwhile
        > /token",
    );
}

#[test]
fn lines_wait_for_a_time_to_go_on_from_and_for_their_turn() {
    check(
        "login alice correct-horse
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /users
        > /history 1
        = hello
        < * bob, carol and 2 others joined
        joined: bob carol +2
        = /users
        < * users: alice
        < * 1 online
        < * end of history
        > hello
        > /users
        > /users
        > /token
        < @1 alice: hello
        < * 5 online
        < * users: dave
        < * 1 online
        live #0 @1 alice: hello
        users: dave",
    );
    check(
        "login alice correct-horse
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /users
        > /history 1
        = hello
        = /quit
        < @1 bob: missed
        missed @1 bob: missed
        > hello
        > /quit
        -
        unconfirmed #0 hello",
    );
}

#[test]
fn where_nothing_is_found_to_go_on_from_the_next_loss_goes_on_from_the_beginning() {
    check(
        "login alice correct-horse
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /users
        > /history 1
        -
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /history 50
        > /users
        < * end of history
        < * 1 online
        > /token
        -
        +
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /history 1970-01-01T00:00:00.000000Z
        > /users",
    );
}

#[test]
fn what_a_login_shows_from_before_the_last_fifty_is_not_lost() {
    check(
        "login alice correct-horse
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /users
        > /history 1
        -
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        < @1 bob -> alice: waited long
        < @8 carol: eight
        welcome alice
        > /history 50
        > /users
        < @7 carol: seven
        < @8 carol: eight
        < * end of history
        missed @1 bob -> alice: waited long
        missed @7 carol: seven
        missed @8 carol: eight
        > /token",
    );
}

#[test]
fn what_a_login_showed_whose_answer_was_lost_is_asked_for() {
    check(
        "login alice correct-horse
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        -
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /history 50
        > /users
        < @1 bob -> alice: shown to a dead connection
        < * end of history
        missed @1 bob -> alice: shown to a dead connection
        > /token",
    );
    // Who was turned away was shown nothing.
    check(
        "login alice correct-horse
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < ! server-full: all 50 connections are taken; please try again later
        error: server-full: all 50 connections are taken; please try again later
        -
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /users
        > /history 1",
    );
    // Nor was who never got to say who they are.
    let mut client = Client::new([]);
    client.log_in(Credentials { name: "alice".into(), password: "correct-horse".into(), is_new: false });
    client.connected();
    client.receive(GREETING);
    client.sent(client.output().len() - 1);
    client.disconnected();
    client.connected();
    client.receive(GREETING);
    client.sent(client.output().len());
    client.receive(b"* welcome alice\n");
    assert_eq!(client.output(), b"/users\n/history 1\n");
}

#[test]
fn who_is_here_is_asked_again_where_it_was_not_shown() {
    check_in(
        "< * you may have missed who joined and left; /users lists who is online
        notice: you may have missed who joined and left; /users lists who is online
        > /users
        < * users: alice bob
        < * 2 online
        ? alice bob",
    );
}

#[test]
fn the_same_words_of_long_ago_are_no_receipt() {
    check(
        "login alice correct-horse
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /users
        > /history 1
        = good morning
        -
        not sent #0 good morning
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /history 50
        > /users
        < @1 alice: good morning
        < * end of history
        missed @1 alice: good morning
        > /token",
    );
}

#[test]
fn a_change_of_password_whose_answer_was_lost_is_found_out() {
    let lost = "
        = /passwd correct-horse battery-staple
        > /passwd correct-horse battery-staple
        -
        unconfirmed #0 /passwd correct-horse battery-staple
        +
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /resume alice TOKEN";
    // A change would have revoked the token.
    check_in(&format!(
        "{lost}
        < * welcome alice
        not sent #0 /passwd correct-horse battery-staple
        welcome alice
        > /history 1970-01-01T00:00:00.000000Z
        > /users"
    ));
    check_in(&format!(
        "{lost}
        < ! bad-token: the token is unknown or has expired; log in with your password
        > /replay 0
        > /login alice battery-staple
        < * replay 0
        < * welcome alice
        notice: password changed
        welcome alice
        > /history 1970-01-01T00:00:00.000000Z
        > /users
        < * end of history
        < * 1 online
        > /token
        -
        +
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /login alice battery-staple"
    ));
    // Neither: somebody else has changed it.
    check_in(&format!(
        "{lost}
        < ! bad-token: the token is unknown or has expired; log in with your password
        > /replay 0
        > /login alice battery-staple
        < ! bad-login: wrong name or password
        failed: bad-login: wrong name or password
        login alice third-password
        > /replay 0
        > /login alice third-password
        < * welcome alice
        not sent #0 /passwd correct-horse battery-staple
        welcome alice
        > /history 1970-01-01T00:00:00.000000Z
        > /users"
    ));
    // An answer that says nothing about the token.
    check_in(&format!(
        "{lost}
        < ! busy: too many logins are waiting; please try again
        failed: busy: too many logins are waiting; please try again
        again
        > /replay 0
        > /resume alice TOKEN"
    ));
    // Where the new password begins is not clear, and no password is guessed.
    check_in(
        "= /passwd correct horse battery staple by far
        > /passwd correct horse battery staple by far
        -
        unconfirmed #0 /passwd correct horse battery staple by far
        +
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /resume alice TOKEN
        < ! bad-token: the token is unknown or has expired; log in with your password
        token of alice refused: bad-token: the token is unknown or has expired; log in with your password",
    );
}

/// A server of version 0.1.
const WITHOUT_TOKENS: &str = "
    login alice correct-horse
    +
    < * chinwag 0.1.0: a chat; what is said here is kept
    > /login alice correct-horse
    < * welcome alice
    welcome alice
    > /users
    > /history 1
    < * 1 online
    < * end of history
    > /token
    < ! unknown-command: there is no /token; /help lists all commands
";

#[test]
fn without_tokens_the_password_is_used_again() {
    check(&format!(
        "{WITHOUT_TOKENS}
        -
        +
        < * chinwag 0.1.0: a chat
        > /replay 0
        > /login alice correct-horse
        < * replay 0
        < * welcome alice
        welcome alice
        > /history 1970-01-01T00:00:00.000000Z
        > /users
        < * end of history
        < * 1 online
        > /token
        < ! unknown-command: there is no /token; /help lists all commands"
    ));
}

#[test]
fn without_tokens_a_change_of_password_whose_answer_was_lost_is_found_out() {
    let lost = format!(
        "{WITHOUT_TOKENS}
        = /passwd correct-horse battery staple
        > /passwd correct-horse battery staple
        -
        unconfirmed #0 /passwd correct-horse battery staple
        +
        < * chinwag 0.1.0: a chat
        > /replay 0
        > /login alice correct-horse"
    );
    check(&format!(
        "{lost}
        < * welcome alice
        not sent #0 /passwd correct-horse battery staple
        welcome alice
        > /history 1970-01-01T00:00:00.000000Z
        > /users"
    ));
    check(&format!(
        "{lost}
        < ! bad-login: wrong name or password
        > /replay 0
        > /login alice battery staple
        < * replay 0
        < * welcome alice
        notice: password changed
        welcome alice
        > /history 1970-01-01T00:00:00.000000Z
        > /users"
    ));
}

#[test]
fn a_token_that_was_kept_logs_in_and_no_other_is_requested() {
    check(
        "resume alice TOKEN
        +
        < * chinwag 0.2.0: a chat
        > /resume alice TOKEN
        < * welcome alice
        welcome alice
        > /users
        > /history 1
        < * 1 online
        < * end of history
        -
        +
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /resume alice TOKEN",
    );
}

#[test]
fn a_token_that_is_refused_is_forgotten_and_the_password_is_sent_when_it_is_there() {
    for code in ["bad-token", "unknown-command"] {
        check(&format!(
            "resume alice TOKEN
            +
            < * chinwag 0.2.0: a chat
            > /resume alice TOKEN
            < ! {code}: words
            token of alice refused: {code}: words
            again
            -
            +
            < * chinwag 0.2.0: a chat
            login alice correct-horse
            > /login alice correct-horse"
        ));
    }
    // One that may be good later is kept.
    check(
        "resume alice TOKEN
        +
        < * chinwag 0.2.0: a chat
        > /resume alice TOKEN
        < ! too-many-sessions: later
        failed: too-many-sessions: later
        again
        > /resume alice TOKEN",
    );
}

#[test]
fn a_token_is_not_shown_and_comes_between_other_answers() {
    check(
        "login alice correct-horse
        +
        < * chinwag 0.2.0: a chat
        > /login alice correct-horse
        < * welcome alice
        welcome alice
        > /users
        > /history 1
        = hello
        < * 1 online
        < * end of history
        > hello
        > /token
        = /users
        > /users
        < @1 alice: hello
        < * token TOKEN
        < * users: alice
        < * 1 online
        live #0 @1 alice: hello
        token of alice: TOKEN
        users: alice",
    );
    // A token that nobody can use is none.
    check(&format!(
        "{}
        < * token 0011
        -
        +
        < * chinwag 0.2.0: a chat
        > /replay 0
        > /login alice correct-horse",
        LOGGED_IN
            .trim_end()
            .trim_end_matches("token of alice: TOKEN")
            .trim_end()
            .trim_end_matches("< * token TOKEN")
    ));
}

#[test]
fn a_script_requests_no_token() {
    let mut client = Client::new([]).without_tokens();
    client.log_in(Credentials { name: "alice".into(), password: "correct-horse".into(), is_new: false });
    client.connected();
    client.receive(GREETING);
    client.receive(b"* welcome alice\n* 1 online\n* end of history\n");
    assert_eq!(client.output(), b"/login alice correct-horse\n/users\n/history 1\n");
}

#[test]
fn a_session_that_the_server_ends_for_good_answers_no_line() {
    for code in ["replaced", "signed-out"] {
        check_in(&format!(
            "= hello
            > hello
            < ! {code}: words
            error: {code}: words
            -
            unconfirmed #0 hello"
        ));
    }
}
