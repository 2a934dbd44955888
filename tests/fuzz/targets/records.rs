//! The record parser: a line that is taken for a message is, byte for byte, the one that would be written for it.

#![no_main]

use chinwag::protocol::record::{Record, TIMESTAMP_BYTES, Timestamp, check_line, ends_of, write_line};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // As the log's readers do: whole lines.
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let _ = (Timestamp::parse(line), ends_of(line));
        let Ok(timestamp) = check_line(line) else { continue };
        assert_eq!(Timestamp::parse(line), Some(timestamp));
        assert_eq!(timestamp.to_bytes(), line[..TIMESTAMP_BYTES]);
        let whole = std::str::from_utf8(&line[..line.len() - 1]).expect("UTF-8");
        let record = Record::parse(whole).expect("a record");
        assert_eq!((record.at, record.to_string().as_str()), (timestamp, whole));
        let Record { from, to, text, .. } = record;
        let ends = ends_of(line).expect("who says it");
        let mut written = Vec::new();
        write_line(&mut written, &timestamp.to_bytes(), &from, to.as_ref(), text);
        assert_eq!(written, line);
        if let Some(to) = to {
            assert!(ends.visible_to(&from) && ends.visible_to(&to));
        }
    }
});
