//! What goes to everyone who is live, held once.
//!
//! ```text
//!            base                                 end
//!   [ gone    | kept for those who lag behind      | next turn's bytes
//!               ^ a blocked connection's position   ^ everyone else's
//! ```
//!
//! A [`Position`] is an offset in all that was ever published. A connection holds its own and nothing else, so a
//! message costs one copy, however many get it. The feed forgets what everyone has taken, and in any case what is
//! more than [`OUTBOX_BYTES_MAX`] old: who is further behind reads the file.

use crate::limits::OUTBOX_BYTES_MAX;

/// A place in all that was ever published. It is not an offset in the log: notices are in the feed only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

impl Position {
    /// The position so many bytes further on.
    pub fn after(self, bytes: usize) -> Position {
        Position(self.0 + bytes as u64)
    }

    /// The byte before this one, of which there must be one.
    pub fn previous(self) -> Position {
        Position(self.0 - 1)
    }

    /// How many bytes there are from here to a later position.
    pub fn bytes_to(self, later: Position) -> usize {
        (later.0 - self.0) as usize
    }
}

/// The shared bytes of the last turns.
#[derive(Default)]
pub struct Feed {
    bytes: Vec<u8>,
    /// The position of the first of `bytes`.
    base: Position,
    /// Notices published so far. They are not in the log, so who reads the file meanwhile misses them.
    notices: u32,
}

impl Feed {
    /// Where the next published byte will stand.
    pub fn end(&self) -> Position {
        self.base.after(self.bytes.len())
    }

    /// How many bytes it holds.
    pub fn held_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a message that is on disk: its whole line.
    pub fn publish_message(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
    }

    /// Adds a notice to everyone: its whole line.
    pub fn publish_notice(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.notices = self.notices.wrapping_add(1);
    }

    /// How many notices were published so far, modulo 2³².
    pub fn notices(&self) -> u32 {
        self.notices
    }

    /// The bytes from one position to another, both of which it must still hold.
    pub fn range(&self, from: Position, to: Position) -> &[u8] {
        assert!(self.base <= from && from <= to, "nobody keeps a position that the feed has forgotten");
        &self.bytes[self.base.bytes_to(from)..self.base.bytes_to(to)]
    }

    /// Forgets what nobody needs. `all_taken`: nobody is behind the end.
    pub fn trim(&mut self, all_taken: bool) {
        if all_taken {
            self.base = self.end();
            self.bytes.clear();
            self.bytes.shrink_to(OUTBOX_BYTES_MAX);
        } else if self.bytes.len() >= 2 * OUTBOX_BYTES_MAX {
            // At twice the bound, so that a byte is moved once in its life and not every turn.
            let gone = self.bytes.len() - OUTBOX_BYTES_MAX;
            self.bytes.drain(..gone);
            self.base = self.base.after(gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_outlive_trimming() {
        let mut feed = Feed::default();
        feed.publish_message(b"one\n");
        let position = feed.end();
        feed.trim(true);
        feed.publish_message(b"two\n");
        assert_eq!(feed.range(position, feed.end()), b"two\n");
    }

    #[test]
    fn it_stays_bounded_while_someone_lags_and_keeps_the_newest() {
        let mut feed = Feed::default();
        let line = [b'x'; 1000];
        for _ in 0..10_000 {
            feed.publish_message(&line);
            feed.trim(false);
            assert!(feed.bytes.len() < 2 * OUTBOX_BYTES_MAX);
            let held = (feed.end().0 as usize).min(OUTBOX_BYTES_MAX);
            let from = Position(feed.end().0 - held as u64);
            assert_eq!(feed.range(from, feed.end()).len(), held);
        }
        assert_eq!(feed.end(), Position(10_000_000));
    }
}
