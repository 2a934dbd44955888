//! The command parser: every line is something, what is said is what was typed, and an error is one line.

#![no_main]

use chinwag::line::sanitise;
use chinwag::protocol::{Command, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut line = String::new();
    sanitise(bytes, &mut line);
    match parse(&line) {
        Ok(Command::Say(text)) => {
            assert!(!text.trim().is_empty());
            assert!(line == text || line == format!("/{text}"), "{line:?} says {text:?}");
        }
        Ok(Command::Whisper { to, text }) => {
            assert!(line.starts_with('/') && line.ends_with(text) && line.contains(to));
            assert!(!text.trim().is_empty());
        }
        Ok(Command::Nothing) => assert!(line.trim().is_empty()),
        Ok(_) => assert!(line.starts_with('/') && !line.starts_with("//")),
        Err(misuse) => {
            let said = misuse.to_string();
            let (code, words) = said.strip_prefix("! ").expect("an error").split_once(": ").expect("a code");
            assert!(!code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
            assert!(!words.contains(['\n', '\r']));
        }
    }
});
