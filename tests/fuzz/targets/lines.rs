//! The line reader: the same bytes in whatever pieces they come are the same lines, and a line made clean holds
//! nothing that moves a cursor.

#![no_main]

use chinwag::limits::LINE_BYTES_MAX;
use chinwag::protocol::line::{InputBuffer, LineBuffer, Next, Protocol};
use chinwag::protocol::text::{is_unsafe, sanitise};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Line(Vec<u8>),
    TooLong,
    Endless,
    Foreign(Protocol),
}

/// The lines of `bytes` if at most `piece` of them come at once; `rests`: what is half there is put away each time.
fn lines(mut bytes: &[u8], piece: usize, rests: bool) -> Vec<Found> {
    let (mut input, mut pool, mut found) = (LineBuffer::default(), Vec::<InputBuffer>::new(), Vec::new());
    while !bytes.is_empty() {
        let filled = input.fill(&mut pool, |into| {
            let count = bytes.len().min(piece).min(into.len());
            into[..count].copy_from_slice(&bytes[..count]);
            Ok(count)
        });
        bytes = &bytes[filled.expect("copying does not fail")..];
        loop {
            match input.next_line() {
                Next::Line(line) => {
                    assert!(line.len() < LINE_BYTES_MAX && !line.contains(&b'\n'));
                    found.push(Found::Line(line.to_vec()));
                }
                Next::TooLong => found.push(Found::TooLong),
                // The connection ends there.
                Next::Endless => {
                    found.push(Found::Endless);
                    return found;
                }
                Next::Foreign(protocol) => {
                    found.push(Found::Foreign(protocol));
                    return found;
                }
                Next::Nothing => break,
            }
        }
        if rests {
            input.shelve(&mut pool, 4);
        }
        input.release(&mut pool, 4);
    }
    found
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, bytes)) = bytes.split_first() else { return };
    let whole = lines(bytes, usize::MAX, false);
    assert_eq!(lines(bytes, usize::from(piece) + 1, false), whole);
    assert_eq!(lines(bytes, 1, true), whole);
    for found in whole {
        let Found::Line(line) = found else { continue };
        let (mut text, mut again) = (String::new(), String::new());
        sanitise(&line, &mut text);
        assert!(!text.chars().any(is_unsafe), "{text:?}");
        assert!(!sanitise(text.as_bytes(), &mut again), "nothing is left to be made clean");
        assert_eq!(text, again);
    }
});
