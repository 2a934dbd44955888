//! What a start may repair by itself: the definition of a torn write, shared by the log and `users.txt`.
//!
//! A crash tears what was appended last and not synced. That is at most one append's worth of bytes at the end of
//! the file, and it has one of two shapes:
//!
//! ```text
//! [ whole lines ......................... | the beginning of a line]           the file ends early
//! [ whole lines .................. | zeroes for sectors, lines, ...]           some sectors were never written
//! ```
//!
//! Anything else is damage. A start reports it and touches nothing.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::ops::ControlFlow;

use crate::log::offset::Offset;
use crate::log::storage::{File, read_full};
use crate::protocol::line::skip_line;

/// Storage writes whole sectors of this size, or a multiple of it.
pub const SECTOR_BYTES: u64 = 512;

/// Why a file cannot be used.
#[derive(Debug)]
pub enum RecoverError {
    /// The file cannot be read or repaired, or its state is not one that a server may start from.
    Io(io::Error),
    /// There is damage that no crash of ours explains.
    Damaged(Damage),
}

/// A place in a file that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Bytes from the start of the file.
    pub offset: Offset,
    /// What stands there.
    pub what: &'static str,
}

impl From<io::Error> for RecoverError {
    fn from(error: io::Error) -> RecoverError {
        RecoverError::Io(error)
    }
}

impl fmt::Display for RecoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecoverError::Io(error) => error.fmt(f),
            RecoverError::Damaged(damage) => write!(
                f,
                "damaged at byte {}: {}; restore it from a backup, or run `chinwagd --repair --data DIR`, which \
                 shows what it would do and changes nothing until --yes is added",
                damage.offset, damage.what
            ),
        }
    }
}

/// Whether there are zeroes in `bytes`, which stand at `offset` in a file and go up to its end, and all of them
/// are there because sectors were not written: each run of zeroes starts at `offset`, where the append may have
/// begun, or with a sector, and ends with a sector or the file.
pub fn has_unwritten_sectors(bytes: &[u8], offset: Offset) -> bool {
    let is_boundary = |at: usize| (offset + at).bytes().is_multiple_of(SECTOR_BYTES);
    let mut found = false;
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(|&byte| byte == 0).map(|start| at + start) {
        let end =
            bytes[start..].iter().position(|&byte| byte != 0).map_or(bytes.len(), |length| start + length);
        if !(start == 0 || is_boundary(start)) || !(end == bytes.len() || is_boundary(end)) {
            return false;
        }
        (found, at) = (true, end);
    }
    found
}

/// Calls `each` with the offset and the bytes of every line, its ending included; returns the file's length.
///
/// A line longer than the buffer (256 KiB) comes in pieces.
///
/// # Errors
/// The system's.
pub fn for_each_line(file: &impl File, mut each: impl FnMut(Offset, &[u8])) -> io::Result<u64> {
    let ControlFlow::Continue(length) = try_each_line(file, |offset, line| {
        each(offset, line);
        ControlFlow::<Infallible>::Continue(())
    })?;
    Ok(length)
}

/// As [`for_each_line`], up to the first line for which `each` breaks.
///
/// # Errors
/// The system's.
pub fn try_each_line<B>(
    file: &impl File,
    mut each: impl FnMut(Offset, &[u8]) -> ControlFlow<B>,
) -> io::Result<ControlFlow<B, u64>> {
    let mut buffer = vec![0; 256 << 10];
    let (mut start, mut filled) = (Offset::START, 0);
    loop {
        let count = read_full(file, &mut buffer[filled..], start + filled)?;
        filled += count;
        let at_end = filled < buffer.len();
        let mut offset = 0;
        while offset < filled {
            let line = &buffer[offset..offset + skip_line(&buffer[offset..filled])];
            // The last one may go on in the next chunk, unless it fills this one: then it is no line of ours.
            if !line.ends_with(b"\n") && !at_end && offset > 0 {
                break;
            }
            if let ControlFlow::Break(found) = each(start + offset, line) {
                return Ok(ControlFlow::Break(found));
            }
            offset += line.len();
        }
        buffer.copy_within(offset..filled, 0);
        start += offset;
        filled -= offset;
        if at_end {
            return Ok(ControlFlow::Continue(start.bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroes_are_unwritten_sectors_only_if_they_fill_them() {
        let bytes = |runs: &[(u8, usize)]| -> Vec<u8> {
            runs.iter().flat_map(|&(byte, count)| std::iter::repeat_n(byte, count)).collect()
        };
        for (offset, runs, expected) in [
            (0, &[(b'x', 512)][..], false),
            (0, &[(0, 1)], true),
            (100, &[(0, 50)], true),
            (100, &[(0, 412)], true),
            (100, &[(0, 412), (b'x', 7)], true),
            (100, &[(0, 411), (b'x', 7)], false),
            (100, &[(0, 413), (b'x', 7)], false),
            (100, &[(b'x', 412), (0, 9)], true),
            (100, &[(b'x', 411), (0, 9)], false),
            (100, &[(b'x', 412), (0, 1024), (b'y', 512), (0, 512), (b'z', 3)], true),
            (100, &[(b'x', 412), (0, 1024), (b'y', 512), (0, 1), (b'z', 3)], false),
            (0, &[(b'a', 1), (0, 1), (b'b', 1), (0, 1)], false),
        ] {
            assert_eq!(
                has_unwritten_sectors(&bytes(runs), Offset::after(offset)),
                expected,
                "{offset} {runs:?}"
            );
        }
    }
}
