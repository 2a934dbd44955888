//! The command parser: every line is something, a message is tidy and shows something, what a person sees as a command
//! is never a message, and an error is one line.

#![no_main]

use chinwag::protocol::command::{Command, Misuse, parse, read};
use chinwag::protocol::reply::{Error, Reply};
use chinwag::protocol::text::{has_visible, rows_as_seen, sanitise, tidy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut clean, mut line) = (String::new(), String::new());
    let replaced = sanitise(bytes, &mut clean);
    let input = read(bytes, &mut line);
    assert_eq!(input.replaced, replaced);
    let is_message = |text: &str| {
        let mut tidied = text.to_owned();
        tidy(&mut tidied, 0);
        assert!(has_visible(text) && tidied == text, "{text:?}");
    };
    match input.command {
        Ok(Command::Say(text)) => {
            is_message(text);
            for seen in rows_as_seen(bytes) {
                let is_command = matches!(parse(&seen), Ok(Command::Whisper { .. } | Command::Passwd { .. }));
                assert!(!is_command, "{seen:?} is said");
            }
        }
        Ok(Command::Whisper { to, text }) => {
            is_message(text);
            assert!(clean.starts_with('/') && clean.contains(to));
        }
        Ok(Command::Nothing) => {
            // A message that begins with a slash may have been erased again.
            let is_erased = rows_as_seen(bytes).iter().all(String::is_empty);
            assert!(!clean.starts_with('/') || (clean.starts_with("//") && is_erased), "{clean:?}");
        }
        Ok(_) => assert!(clean.starts_with('/') && !clean.starts_with("//")),
        Err(misuse) => {
            assert!(misuse == Misuse::Indented || clean.starts_with('/'));
            let error = Reply::from(Error::from(misuse));
            let said = error.to_string();
            assert!(!said.contains(['\n', '\r']));
            assert_eq!(Reply::parse(&said), Some(error));
        }
    }
});
