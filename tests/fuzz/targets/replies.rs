//! The reply parser: whatever a server sends, what is taken for a reply displays as the line that it was.

#![no_main]

use chinwag::protocol::reply::Reply;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for line in text.lines() {
        let Some(reply) = Reply::parse(line) else { continue };
        assert_eq!(reply.to_string(), line);
        assert_eq!(Reply::parse(&reply.to_string()), Some(reply));
    }
});
