//! Readers of a made log, which every offset tells what stands there.

use std::io;
use std::time::{Duration, Instant};

use chinwag::protocol::record::TIMESTAMP_BYTES;

use crate::bench::Meanwhile;
use crate::crowd::{Crowd, text_number};
use crate::failure;
use crate::fixtures::{AUTHOR, LINE_BYTES};
use crate::swarm::{PeerId, Swarm};

const END: &[u8] = b"* end of history\n";

#[derive(Default)]
struct Reader {
    /// How much of the log it was told; `None` before it begins.
    told: Option<u64>,
    /// What came before the log's beginning, or behind it, as far as it is still to be looked at.
    around: Vec<u8>,
    is_done: bool,
}

/// Some connections that ask for the history.
pub struct Readers {
    first: PeerId,
    readers: Vec<Reader>,
    have_asked: bool,
    log_bytes: u64,
    until: Instant,
}

impl Readers {
    /// `count` of them, all logged in, from `first` on. It is over when all have read the log, or after `length`.
    pub fn new(first: PeerId, count: usize, log_bytes: u64, length: Duration) -> Readers {
        Readers {
            first,
            readers: (0..count).map(|_| Reader::default()).collect(),
            have_asked: false,
            log_bytes,
            until: Instant::now() + length,
        }
    }

    /// How many bytes of the log all were told.
    pub fn told(&self) -> u64 {
        self.readers.iter().filter_map(|reader| reader.told).sum()
    }
}

impl Meanwhile for Readers {
    fn go_on(&mut self, swarm: &mut Swarm, _: &mut Crowd) -> io::Result<bool> {
        if !std::mem::replace(&mut self.have_asked, true) {
            for id in self.first..self.first + self.readers.len() {
                swarm.send(id, b"/history\n")?;
            }
        }
        Ok(Instant::now() < self.until && !self.readers.iter().all(|reader| reader.is_done))
    }

    fn received(&mut self, id: PeerId, bytes: &[u8]) -> io::Result<()> {
        let reader = &mut self.readers[id - self.first];
        reader.received(bytes, self.log_bytes).map_err(|at| {
            failure(format!("reader {id} is told something else than what stands in the log at byte {at}"))
        })
    }
}

impl Reader {
    /// Fails with the offset in the log where it is not told what stands there.
    fn received(&mut self, bytes: &[u8], log_bytes: u64) -> Result<(), u64> {
        let Some(told) = self.told else {
            // Something may have been said before it begins.
            self.around.extend_from_slice(bytes);
            let Some(at) = self.around.windows(AUTHOR.len()).position(|window| window == AUTHOR) else {
                return Ok(());
            };
            let text = std::mem::take(&mut self.around);
            self.told = Some(0);
            return self.received(&text[at - TIMESTAMP_BYTES..], log_bytes);
        };
        let log = &bytes[..bytes.len().min((log_bytes - told) as usize)];
        check(told, log)?;
        self.told = Some(told + log.len() as u64);
        if log.len() < bytes.len() && !self.is_done {
            self.around.extend_from_slice(&bytes[log.len()..]);
            self.is_done = self.around.windows(END.len()).any(|window| window == END);
        }
        Ok(())
    }
}

/// Looks at the first and the last line that is whole: one byte too many or too few before it would show.
fn check(told: u64, log: &[u8]) -> Result<(), u64> {
    let line_bytes = LINE_BYTES as u64;
    let first = told.next_multiple_of(line_bytes);
    let last = (told + log.len() as u64) / line_bytes * line_bytes;
    for at in [first, last.saturating_sub(line_bytes)] {
        if at < told || at + line_bytes > told + log.len() as u64 {
            continue;
        }
        let line = &log[(at - told) as usize..][..LINE_BYTES];
        let text = line[TIMESTAMP_BYTES..].strip_prefix(AUTHOR);
        if text.and_then(text_number) != Some(at / line_bytes) || !line.ends_with(b"\n") {
            return Err(at);
        }
    }
    Ok(())
}
