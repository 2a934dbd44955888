//! Whatever one may send: each input has its answer, and nothing of it reaches others but clean text.

use std::io::Write;

use crate::common::*;

/// Sends a line, as bytes, and returns all that answers it; messages without their timestamps.
fn answers(client: &mut Client, line: &[u8]) -> Vec<String> {
    client.send_raw(&[line, b"\n/replay 7\n"].concat());
    client.until("* replay 7")
}

/// Checks that a line is answered by one error of this code and nothing else.
fn check_refused(client: &mut Client, line: &[u8], code: &str) {
    let answers = answers(client, line);
    let shown = String::from_utf8_lossy(line);
    let start = format!("! {code}: ");
    assert!(matches!(&answers[..], [one] if one.starts_with(&start)), "{shown:?}: {code}: {answers:?}");
    assert!(!answers[0].chars().any(|it| it.is_control()), "{answers:?}");
}

#[test]
fn each_control_character_is_replaced_in_a_text_and_refused_in_a_name_or_a_password() {
    let server = Server::start(&QUICK);
    let (mut alice, mut bob, mut nobody) =
        (server.register("alice"), server.register("bob"), server.connect());
    let ascii = (0..0x20).chain([0x7f]).map(|code: u8| vec![code]);
    let second_set = (0x80..0xa0).map(|code: u8| vec![0xc2, code]);
    // Alone they are no UTF-8; 255 begins a telnet command.
    let no_text = (0x80..0xff).map(|code: u8| vec![code]);
    for bytes in ascii.chain(second_set).chain(no_text) {
        if bytes == b"\t" || bytes == b"\n" {
            continue;
        }
        let around = |before: &str, behind: &str| [before.as_bytes(), &bytes, behind.as_bytes()].concat();
        alice.send_raw(&around("one ", " two\n"));
        alice.expect_message("alice: one \u{fffd} two");
        bob.expect_message("alice: one \u{fffd} two");
        if bytes == b"\x15" {
            // Ctrl-U erases the recipient as well.
            check_refused(&mut alice, &around("/msg bob ", "psst"), "bad-usage");
        } else {
            alice.send_raw(&around("/msg bob ", "psst\n"));
            alice.expect_message("alice -> bob: \u{fffd}psst");
            bob.expect_message("alice -> bob: \u{fffd}psst");
        }
        check_refused(&mut nobody, &around("/register car", "ol correct-horse"), "bad-name");
        check_refused(&mut nobody, &around("/register carol correct", "horse"), "bad-password");
        check_refused(&mut nobody, &around("/login ali", "ce correct-horse"), "bad-login");
        check_refused(&mut nobody, &around("/qu", "it"), "unknown-command");
        check_refused(&mut alice, &around("/history 1", "0"), "bad-usage");
        check_refused(&mut alice, &around("/passwd correct-horse correct-horse", "2"), "bad-password");
    }
    assert_eq!(server.history().chars().filter(|it| it.is_control() && *it != '\n').count(), 0);
    assert_eq!(std::fs::read_to_string(server.file("users.txt")).unwrap().lines().count(), 2);
}

#[test]
fn what_is_no_utf_8_is_replaced_and_what_is_comes_through_however_it_is_split() {
    let server = Server::start(&QUICK);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    for (sent, replaced) in [
        // Overlong: a slash, a line ending and a NUL of too many bytes are none.
        (&b"\xc0\xafquit"[..], 2),
        (b"\xe0\x80\xafquit", 3),
        (b"\xf0\x80\x80\xafquit", 4),
        (b"\xc0\x8a/etc", 2),
        (b"\xc1\xbf", 2),
        (b"\xc0\x80", 2),
        // A half of a surrogate pair, and what is behind the last code point.
        (b"\xed\xa0\x80", 3),
        (b"\xf4\x90\x80\x80", 4),
        (b"\xf8\x88\x80\x80\x80", 5),
        // A beginning whose rest does not come: the line ending is not taken for it.
        (b"cut \xe2\x82", 1),
        (b"cut \xf0\x9f\x98", 1),
        (b"\xc3(", 1),
        (b"\xbf", 1),
        (b"\xfe", 1),
        // A doubled 255 is one, which is no UTF-8.
        (b"\xff\xff", 1),
    ] {
        alice.send_raw(&[sent, b"\n"].concat());
        let line = alice.line();
        let text = text_of(&line).unwrap_or_else(|| panic!("{sent:x?}: {line}"));
        assert_eq!(text.matches('\u{fffd}').count(), replaced, "{sent:x?}: {text}");
        assert_eq!(bob.line(), line);
    }
    let mut other = server.connect();
    let text = "z ß € 😀 e\u{301}";
    for byte in format!("{text}\n").bytes() {
        alice.send_raw(&[byte]);
        // Once another is answered, the byte has been read.
        assert_eq!(answers(&mut other, b""), [""; 0]);
    }
    bob.expect_message(&format!("alice: {text}"));
    alice.expect_message(&format!("alice: {text}"));
}

#[test]
fn telnet_is_understood_however_it_is_split() {
    let server = Server::start(&QUICK);
    let mut other = server.connect();
    // What a telnet client says of its own accord, what it sends at a Ctrl-C, and a text within.
    let greeting =
        b"\xff\xfd\x03\xff\xfb\x18\xff\xfb\x1f\xff\xfa\x1f\x00\x50\x00\x0a\xff\xf0/register alice \
                     correct-\xff\xfb\x27horse\r\n\xff\xf4\xff\xfd\x06hel\xff\xf1lo\r\n";
    let mut alice = server.connect();
    for &byte in greeting {
        alice.send_raw(&[byte]);
        assert_eq!(answers(&mut other, b""), [""; 0]);
    }
    alice.welcomed("alice");
    assert_eq!(alice.raw_line().unwrap().unwrap(), b"* talking to everyone\n");
    assert_eq!(alice.raw_line().unwrap().unwrap(), b"\xff\xfc\x06\n", "the timing mark is answered");
    alice.expect_message("alice: hello");
    // A long negotiation without an end is no line and keeps nobody from being served. A newline ends it.
    alice.send_raw(b"\xff\xfa");
    alice.send_raw(&vec![b'x'; (1 << 20) - 3]);
    assert_eq!(answers(&mut other, b""), [""; 0]);
    alice.send_raw(b"\nand on\r\0and ");
    alice.expect_message("alice: and on");
    alice.send_raw(b"further\r");
    assert_eq!(answers(&mut other, b""), [""; 0]);
    alice.send_raw(b"\0");
    alice.expect_message("alice: and further");
}

#[test]
fn a_hundred_megabytes_without_an_ending_cost_nothing_and_disturb_nobody() {
    const MEGABYTES: usize = 100;
    let server = Server::start(&QUICK);
    let (mut alice, mut bob, mut mallory) =
        (server.register("alice"), server.register("bob"), server.register("mallory"));
    bob.say("bob", "hello");
    alice.expect_message("bob: hello");
    let before = server.memory_bytes();
    let mut stream = mallory.stream().try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let megabyte = vec![b'x'; 1 << 20];
        // All of it, unless the server has closed.
        let _ = (0..MEGABYTES).try_for_each(|_| stream.write_all(&megabyte));
    });
    mallory.expect_message("bob: hello");
    for refused in ["a line may have at most", "came without a line ending"] {
        let refusal = mallory.expect_error("line-too-long");
        assert!(refusal.contains(refused), "{refusal}");
    }
    let mut said = 0;
    while said < 20 || !sender.is_finished() {
        alice.say("alice", &format!("message {said}"));
        bob.expect_message(&format!("alice: message {said}"));
        said += 1;
    }
    sender.join().unwrap();
    if let (Some(before), Some(after)) = (before, server.memory_bytes()) {
        assert!(after < before + (1 << 20), "the memory grew from {before} to {after}");
    }
    server.logged(&["closed", "without end", "(mallory)"]);
}

#[test]
fn a_line_at_the_bound_is_taken_and_one_byte_more_is_not_whatever_it_is() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    let bound = 4096 - "\n".len();
    // Too long for a message with its time and name, which another answer tells than that it is no line.
    for (start, what) in [("", "the message is"), ("/msg alice ", "the message is"), ("/no", "there is no")] {
        for (ending, room) in [("\n", bound), ("\r\n", bound - 1)] {
            let line = |length: usize| format!("{start}{}{ending}", "x".repeat(length - start.len()));
            for (length, what) in [(room, what), (room + 1, "at most 4096 bytes")] {
                alice.send_raw(line(length).as_bytes());
                let answer = alice.line();
                assert!(answer.starts_with("! ") && answer.contains(what), "{start}: {length}: {answer}");
            }
        }
    }
    // Of characters of several bytes the bytes count.
    let room = 4096 - "2026-11-22T12:03:11.042317Z alice: \n".len();
    let text = "€".repeat(room / 3) + &"x".repeat(room % 3);
    alice.say("alice", &text);
    assert_eq!(server.history().len(), 4096);
    alice.send(&(text + "x"));
    alice.expect_error("line-too-long");
    // A replacement has three bytes where there was one.
    alice.send_raw(&[&vec![0x80; room / 3 + 1][..], b"\n"].concat());
    alice.expect_error("line-too-long");
    alice.send_raw(&[&vec![0x80; room / 3][..], b"\n"].concat());
    alice.expect_message(&format!("alice: {}", "\u{fffd}".repeat(room / 3)));
}

#[test]
fn who_speaks_another_protocol_is_answered_in_ours_and_in_nobodys_way() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    let http = "POST / HTTP/1.1\r\nHost: localhost:5000\r\nContent-Length: 60\r\n\r\n\
                /login alice correct-horse\nhello\n";
    for pieces in [usize::MAX, 10] {
        let mut browser = server.connect();
        for piece in http.as_bytes().chunks(pieces) {
            browser.send_raw(piece);
        }
        browser.finish();
        let answers: Vec<_> = browser.rest().iter().map(|line| line.trim_end().to_owned()).collect();
        assert_eq!(answers[0], "HTTP/1.1 400 Bad Request", "{answers:?}");
        let body = answers.iter().skip_while(|line| !line.is_empty()).nth(1).expect("there is a body");
        assert!(body.contains("chinwag") && body.contains("nc HOST 5000"), "{answers:?}");
        assert!(answers.iter().all(|line| !line.starts_with(['!', '*'])), "{answers:?}");
    }

    // The start of a ClientHello (RFC 8446), which has a line ending among its random bytes.
    let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    hello.extend(0..=255u8);
    let mut browser = server.connect();
    browser.send_raw(&hello);
    browser.finish();
    let answers = browser.rest();
    assert!(matches!(&answers[..], [one] if one.starts_with("! no-tls: ")), "{answers:?}");
    for other in ["SSH-2.0-OpenSSH_9.9\r\n", "USER x\r\n", "EHLO x\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"]
    {
        check_refused(&mut server.connect(), other.trim_end().as_bytes(), "not-logged-in");
    }
    alice.say("alice", "nobody told me");
}

#[test]
fn an_absurd_number_for_the_history_is_counted_or_refused() {
    let server = Server::start(&QUICK);
    let mut alice = server.register("alice");
    let stamps: Vec<_> = (1..=3).map(|number| alice.say("alice", &format!("{number}"))).collect();
    let last = &stamps[2];
    let all = ["alice: 1", "alice: 2", "alice: 3"];
    let huge = "9".repeat(4000);
    for (arguments, shown) in [
        ("0".to_owned(), &all[..0]),
        ("00000000000000000000000000000002".into(), &all[1..]),
        ("4294967296".into(), &all),
        ("9223372036854775808".into(), &all),
        ("18446744073709551615".into(), &all),
        ("18446744073709551616".into(), &all),
        (huge.clone(), &all),
        (format!("{huge} before 9999-12-31T23:59:59.999999Z"), &all),
        (format!("{huge} before {last}"), &all[..2]),
        (format!("0 before {last}"), &all[..0]),
        ("5 before 0000-01-01".into(), &all[..0]),
        ("9999-12-31T23:59:59.999999Z".into(), &all[..0]),
        ("0000-".into(), &all),
        (last[..26].into(), &all[2..]),
    ] {
        let mut expected: Vec<_> = shown.to_vec();
        expected.push("* end of history");
        assert_eq!(answers(&mut alice, format!("/history {arguments}").as_bytes()), expected, "{arguments}");
    }
    for arguments in [
        "-1",
        "+1",
        "1.0",
        "1e9",
        "0x10",
        "1,000",
        "5 before 0000-00-00",
        "9999-99-99T99:99:99.999999Z",
        "2026-02-31",
        "٣",
        "１",
        "1 2",
        "1 before",
        "1 before 202",
        "-1 before 2026-11",
        "1 before 2026-11-22 12:00",
        "2026-11-22 12:00",
        "2026/11/22",
        "2026-11-22T12:03:11.042317Z0",
        "2026-11-22t12",
        "1 BEFORE",
        "1 before before",
        "''",
        "%d",
        "*",
    ] {
        check_refused(&mut alice, format!("/history {arguments}").as_bytes(), "bad-usage");
    }
    // What could be a name is taken for one.
    for arguments in ["NaN", "before", "before 2026-", "e9 5"] {
        check_refused(&mut alice, format!("/history {arguments}").as_bytes(), "no-such-user");
    }
    for arguments in ["-1", "4294967296", &huge, "", "1 2", "x", "1.5"] {
        check_refused(&mut alice, format!("/replay {arguments}").as_bytes(), "bad-usage");
    }
    assert_eq!(answers(&mut alice, b"/replay 4294967295"), ["* replay 4294967295"]);
}

#[test]
fn a_name_is_one_whatever_its_case_and_none_that_only_looks_like_it() {
    let server = Server::start(&QUICK);
    let (mut alice, mut nobody) = (server.register("Alice"), server.connect());
    for name in ["alice", "ALICE", "aLiCe"] {
        check_refused(&mut nobody, format!("/register {name} other-password").as_bytes(), "name-taken");
    }
    for name in [
        "аlice",
        "alicе",
        "ａｌｉｃｅ",
        "alice\u{200b}",
        "\u{202e}ecila",
        "ali\u{301}ce",
        "alıce",
        "aliçe",
        "\u{212a}ate",
        "\u{17f}am",
        "alice:",
        "al.ice",
        "al/ice",
        "@alice",
        "*",
        "!",
        "->",
        "2026-11-22T12:03:11.042317Z",
        "1alice",
        "_alice",
        "-alice",
        "abcdefghijklmnopqrstu",
    ] {
        check_refused(&mut nobody, format!("/register {name} {PASSWORD}").as_bytes(), "bad-name");
        check_refused(&mut nobody, format!("/login {name} {PASSWORD}").as_bytes(), "bad-login");
        check_refused(&mut alice, format!("/msg {name} psst").as_bytes(), "no-such-user");
    }
    // What looks like it is refused, and so is what looks like the server.
    for name in ["AIice", "a1ice"] {
        check_refused(&mut nobody, format!("/register {name} {PASSWORD}").as_bytes(), "name-taken");
    }
    for name in ["system", "Root", "everyone", "you", "adm1n"] {
        check_refused(&mut nobody, format!("/register {name} {PASSWORD}").as_bytes(), "bad-name");
    }
    for name in ["allce", "alice-", "a", "abcdefghijklmnopqrst", "systems"] {
        let mut other = server.register(name);
        other.send(&format!("/msg ALICE I am {name}"));
        other.expect_message(&format!("{name} -> Alice: I am {name}"));
        alice.expect_message(&format!("{name} -> Alice: I am {name}"));
    }
    check_refused(&mut alice, b"/register alice2 correct-horse", "already-logged-in");
    check_refused(&mut alice, format!("/login alice {PASSWORD}").as_bytes(), "already-logged-in");
}

#[test]
fn a_password_is_the_rest_of_the_line_neither_empty_nor_huge() {
    // Addresses count: at the address that an account was made from, two wrong passwords delay nothing.
    let server = Server::start(&["--kdf-rounds", "1", "--rate", "off"]);
    let mut nobody = server.connect();
    for (line, code) in [
        ("/register".to_owned(), "bad-usage"),
        ("/register ".into(), "bad-usage"),
        ("/register alice".into(), "bad-usage"),
        ("/register alice ".into(), "bad-usage"),
        ("/register alice  ".into(), "bad-password"),
        ("/register alice seven77".into(), "bad-password"),
        (format!("/register alice {}", "x".repeat(129)), "bad-password"),
        (format!("/register alice {}", "€".repeat(43)), "bad-password"),
        (format!("/register alice {}", "x".repeat(4000)), "bad-password"),
        ("/login alice".into(), "bad-usage"),
        ("/login alice ".into(), "bad-usage"),
        (format!("/login alice {}", "x".repeat(4000)), "bad-login"),
    ] {
        check_refused(&mut nobody, line.as_bytes(), code);
    }
    assert_eq!(std::fs::read(server.file("users.txt")).unwrap(), b"");
    // At the bounds, and with spaces wherever. Those around it are not part of it.
    let passwords = ["eight888".to_owned(), "x".repeat(128), "spaces  all around".into(), "€".repeat(42)];
    for (number, password) in passwords.iter().enumerate() {
        let line = format!("/register  user{number}  {password} \t");
        assert_eq!(answers(&mut server.connect(), line.as_bytes()), [format!("* welcome user{number}")]);
        for almost in [format!("{password}."), format!("{password}\u{200b}")] {
            let line = format!("/login user{number} {almost}");
            check_refused(&mut server.connect(), line.as_bytes(), "bad-login");
        }
        for typed in [password.clone(), format!("{password} "), format!(" {password}\u{a0}\u{3000}")] {
            let told = answers(&mut server.connect(), format!("/login  user{number} {typed}").as_bytes());
            assert_eq!(told, [format!("* welcome user{number}")]);
        }
    }
    // Nobody can type what nobody sees.
    for hidden in ["eight888\u{200b}", "eight\u{3164}888", "\u{ad}eight888"] {
        check_refused(&mut nobody, format!("/register user9 {hidden}").as_bytes(), "bad-password");
    }
    let mut user = server.connect();
    user.send("/login user0 eight888");
    user.welcomed("user0");
    for arguments in ["", " ", " eight888", "  eight888"] {
        check_refused(&mut user, format!("/passwd{arguments}").as_bytes(), "bad-usage");
    }
    for arguments in ["eight888 short", &format!("eight888 {}", "x".repeat(129)), "seven77 eight888"] {
        check_refused(&mut user, format!("/passwd {arguments}").as_bytes(), "bad-password");
    }
}

#[test]
fn commands_before_and_after_a_login_in_one_packet_are_done_in_their_order() {
    let server = Server::start(&QUICK);
    let mut bob = server.register("bob");
    let mut client = server.connect();
    let script = "hello\n/users\n/login alice wrong-password\n/register alice correct-horse\nhello\n/msg bob psst\n\
                  /register carol correct-horse\n/login bob correct-horse\n/history\n/users\n\
                  /passwd correct-horse battery-staple\n//quit\n/nonsense\n/quit\nnot this\n/history\n";
    client.send_raw(script.as_bytes());
    let rest = client.rest();
    let told: Vec<_> = rest
        .iter()
        .map(|line| if line.starts_with('!') { line.split(':').next().unwrap() } else { line })
        .collect();
    assert_eq!(
        told,
        [
            "! not-logged-in",
            "! not-logged-in",
            "! bad-login",
            "* welcome alice",
            "alice: hello",
            "alice -> bob: psst",
            "! already-logged-in",
            "! already-logged-in",
            "alice: hello",
            "alice -> bob: psst",
            "* end of history",
            "* users: alice bob",
            "* 2 online",
            "* password changed",
            "alice: /quit",
            "! unknown-command",
            "* bye",
        ]
    );
    assert_eq!(bob.until("alice: /quit"), ["alice: hello", "alice -> bob: psst"]);
    assert_eq!(server.history().lines().count(), 3);
}

#[test]
fn whatever_is_forged_stands_behind_its_authors_name() {
    let server = Server::start(&QUICK);
    let (mut alice, mut bob) = (server.register("alice"), server.register("bob"));
    for forged in [
        "* the server is shutting down",
        "* welcome bob",
        "* end of history",
        "! bad-login: wrong name or password",
        "2026-11-22T12:03:11.042317Z bob: I said that",
        "2026-11-22T12:03:11.042317Z bob -> alice: psst",
        "bob: I said that",
        "bob -> alice: psst",
        "-> bob: psst",
        "x\\n* bob left",
        "x\u{85}* bob left",
        "x\u{2028}* bob left",
    ] {
        let shown = forged.replace(['\u{85}', '\u{2028}'], "\u{fffd}");
        for (sent, shown) in [
            (forged.to_owned(), format!("alice: {shown}")),
            (format!("/msg bob {forged}"), format!("alice -> bob: {shown}")),
        ] {
            alice.send(&sent);
            let stamp = alice.expect_message(&shown);
            let line = bob.line();
            assert_eq!(line, format!("{stamp} {shown}"));
            assert_eq!(bob.ask_history("/history 1"), [line]);
        }
        // What an error repeats of it does not begin a line either.
        check_refused(&mut alice, format!("/{forged}").as_bytes(), "unknown-command");
    }
    assert_eq!(server.history().lines().count(), 24);
}
