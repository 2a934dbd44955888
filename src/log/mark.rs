//! What is known of a file from before a start, compared with the file as the start finds it.
//!
//! Neither the log nor `users.txt` can tell by itself that it is an older copy or that its end was cut off: what is
//! left looks complete. So `state.txt` remembers how long each of them was and how its last line ended.

use std::fmt;
use std::io;

use crate::limits::LINE_BYTES_MAX;
use crate::log::offset::Offset;
use crate::log::storage::{File, read_full};
use crate::protocol::record::Timestamp;

/// The log had this length, all of it synced, and ended with a message of this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogMark {
    /// In bytes.
    pub length: u64,
    /// The timestamp of the message that ended there.
    pub time: Timestamp,
}

/// How a file ends that has everything its mark covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is missing.
    Whole,
    /// The newline of the last line is missing, and nothing else.
    NoNewline,
}

impl LogMark {
    /// Compares the log with its mark. `file` is `None` if there is no log, and `name` is the log's.
    ///
    /// # Errors
    /// The system's.
    pub fn compare(
        &self,
        file: Option<&impl File>,
        name: &'static str,
    ) -> io::Result<Result<Ending, Disagreement>> {
        let LogMark { length, time } = *self;
        Ok(line_before(file, name, length)?.and_then(|(line, ending)| {
            if Timestamp::parse(&line) == Some(time) {
                return Ok(ending);
            }
            let what = format!(
                "the line that ends at byte {length} is not the message of {time}, as state.txt says: this is another \
                 history or an older one, or it was changed"
            );
            Err(Disagreement { file: name, what, is_gone: false })
        }))
    }
}

/// Reads the line that ends at byte `length` of a file, without its newline. It is empty if no line ends there.
///
/// # Errors
/// The system's. The inner error tells that the file is shorter.
pub fn line_before(
    file: Option<&impl File>,
    name: &'static str,
    length: u64,
) -> io::Result<Result<(Vec<u8>, Ending), Disagreement>> {
    let found = file.map_or(Ok(0), File::len)?;
    let Some(file) = file.filter(|_| found > 0 && found + 1 >= length) else {
        return Ok(Err(Disagreement::short(name, file.map(|_| found), length)));
    };
    // With the newline before it.
    let start = Offset::after(length).back(LINE_BYTES_MAX + 1);
    let end = Offset::after(length.min(found));
    let mut bytes = vec![0; (end - start) as usize];
    let count = read_full(file, &mut bytes, start)?;
    bytes.truncate(count);
    let ending = if found < length { Ending::NoNewline } else { Ending::Whole };
    let is_ended = ending == Ending::NoNewline || bytes.pop() == Some(b'\n');
    let newline = bytes.iter().rposition(|&byte| byte == b'\n');
    let begin = newline.map_or(0, |at| at + 1);
    let is_line = is_ended && (newline.is_some() || start == Offset::START);
    Ok(Ok((if is_line { bytes.split_off(begin) } else { Vec::new() }, ending)))
}

/// A file that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Its name.
    pub file: &'static str,
    /// What is found and what should be there, in words.
    pub what: String,
    /// Whether nothing of the file is left.
    pub is_gone: bool,
}

impl Disagreement {
    /// A file of `found` bytes, or none, that had `length` bytes.
    fn short(file: &'static str, found: Option<u64>, length: u64) -> Disagreement {
        let found_in_words = match found {
            None => "missing".into(),
            Some(0) => "empty".into(),
            Some(found) => format!("ends at byte {found}"),
        };
        let what = format!("{found_in_words}, although {length} bytes of it were saved, as state.txt says");
        Disagreement { file, what, is_gone: found.is_none_or(|found| found == 0) }
    }

    /// The error of a start, with the ways back.
    pub fn refusal(self) -> io::Error {
        let why = format!(
            "{self}; put it back, or restore it from a backup, or run `chinwagd --repair --data DIR`, which shows how \
             to go on without what is lost and changes nothing until --yes is added"
        );
        io::Error::new(io::ErrorKind::InvalidData, why)
    }

    /// The error of a start whose log is gone, which cannot be repaired.
    pub fn refusal_of_lost_log(self) -> io::Error {
        let why = format!(
            "{self}: is the disk with the log not mounted? Put it back, or begin a new history with `chinwagd \
             --new-history --data DIR`"
        );
        io::Error::new(io::ErrorKind::NotFound, why)
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::directory::{Directory, RealFile};
    use crate::log::storage::Storage;
    use std::fs;

    const NAME: &str = "chat_history.txt";

    fn stamp(number: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + number)
    }

    fn compare(mark: LogMark, bytes: Option<&[u8]>) -> Result<Ending, Disagreement> {
        let directory = tempfile::tempdir().unwrap();
        let mut storage = Directory::open(directory.path()).unwrap();
        let file: Option<RealFile> = bytes.map(|bytes| {
            fs::write(directory.path().join(NAME), bytes).unwrap();
            storage.open(NAME).unwrap()
        });
        mark.compare(file.as_ref(), NAME).unwrap()
    }

    #[test]
    fn a_log_agrees_with_its_mark_only_if_that_message_ends_there() {
        let lines: Vec<String> =
            (0..4).map(|number| format!("{} al: {}\n", stamp(number), "x".repeat(number as usize))).collect();
        let text = lines.concat();
        let length = lines[..3].concat().len();
        let mark = LogMark { length: length as u64, time: stamp(2) };
        assert_eq!(compare(mark, Some(text.as_bytes())), Ok(Ending::Whole));
        assert_eq!(compare(mark, Some(&text.as_bytes()[..length])), Ok(Ending::Whole));
        assert_eq!(compare(mark, Some(&text.as_bytes()[..length - 1])), Ok(Ending::NoNewline));
        for shorter in 0..length - 1 {
            let disagreement = compare(mark, Some(&text.as_bytes()[..shorter])).unwrap_err();
            assert_eq!(disagreement.is_gone, shorter == 0);
        }
        assert!(compare(mark, None).unwrap_err().is_gone);
        for other in [
            LogMark { time: stamp(1), ..mark },
            LogMark { time: stamp(3), ..mark },
            LogMark { length: mark.length - 1, ..mark },
            LogMark { length: mark.length + 1, ..mark },
            LogMark { length: lines[0].len() as u64, ..mark },
        ] {
            assert!(!compare(other, Some(text.as_bytes())).unwrap_err().is_gone, "{other:?}");
        }
        let mut changed = text.clone().into_bytes();
        changed[lines[0].len() + lines[1].len()] ^= 1;
        assert!(compare(mark, Some(&changed)).is_err(), "its timestamp");
        let long = format!("{}{}\n", stamp(2), "x".repeat(LINE_BYTES_MAX));
        let mark = LogMark { length: long.len() as u64, time: stamp(2) };
        assert!(compare(mark, Some(long.as_bytes())).is_err(), "no message is that long");
    }
}
