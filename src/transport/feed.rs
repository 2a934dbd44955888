//! What goes to more than one connection, held once: in one buffer what everyone who is live gets, in another one the
//! *asides*, lines that go to some of them, such as those of a room.
//!
//! ```text
//!            base                                 end
//!   [ gone    | kept for those who lag behind      | next turn's bytes
//!               ^ a blocked connection's position   ^ everyone else's
//! ```
//!
//! A [`Position`] is an offset in all that was ever published. A connection holds its own and nothing else, so a
//! message costs one copy, however many get it. An [`Aside`] is a range of the other buffer, and a connection holds
//! those that it was not sent yet. Both buffers forget what everyone has taken, and in any case what is more than
//! [`OUTBOX_BYTES_MAX`] old: who is further behind reads the file.

use std::num::NonZeroU32;

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

/// A place in all that was ever stored aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AsidePosition(Position);

/// At least one byte of what was stored aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aside {
    start: AsidePosition,
    length: NonZeroU32,
}

impl Aside {
    /// How many bytes it has.
    pub fn bytes(self) -> usize {
        self.length.get() as usize
    }

    /// Where it begins.
    pub fn start(self) -> AsidePosition {
        self.start
    }

    /// This and what was stored directly behind it, in one piece; `None` if `next` is not that.
    pub fn joined(self, next: Aside) -> Option<Aside> {
        let is_next = self.start.0.after(self.bytes()) == next.start.0;
        let length = self.length.checked_add(next.length.get()).filter(|_| is_next)?;
        Some(Aside { length, ..self })
    }

    /// What is left of it after its first `bytes`; `None` if that is nothing.
    pub fn after(self, bytes: usize) -> Option<Aside> {
        let length = NonZeroU32::new((self.bytes() - bytes) as u32)?;
        Some(Aside { start: AsidePosition(self.start.0.after(bytes)), length })
    }
}

/// The bytes of one buffer that are kept, the last of all that were ever in it.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    /// The position of the first of `bytes`.
    base: Position,
}

impl Window {
    fn end(&self) -> Position {
        self.base.after(self.bytes.len())
    }

    fn range(&self, from: Position, to: Position) -> &[u8] {
        assert!(self.base <= from && from <= to, "nobody keeps a position that the feed has forgotten");
        &self.bytes[self.base.bytes_to(from)..self.base.bytes_to(to)]
    }

    /// How many bytes it forgets at the end of the turn even if somebody waits for them. None before it has twice the
    /// bound, so that a byte is moved once in its life and not every turn.
    fn surplus(&self) -> usize {
        if self.bytes.len() >= 2 * OUTBOX_BYTES_MAX { self.bytes.len() - OUTBOX_BYTES_MAX } else { 0 }
    }

    fn trim(&mut self, all_taken: bool) {
        if all_taken {
            self.base = self.end();
            self.bytes.clear();
            self.bytes.shrink_to(OUTBOX_BYTES_MAX);
        } else {
            let gone = self.surplus();
            self.bytes.drain(..gone);
            self.base = self.base.after(gone);
        }
    }
}

/// The shared bytes of the last turns.
#[derive(Default)]
pub struct Feed {
    public: Window,
    asides: Window,
    /// Notices published so far. They are not in the log, so who reads the file meanwhile misses them.
    notices: u32,
}

impl Feed {
    /// Where the next published byte will stand.
    pub fn end(&self) -> Position {
        self.public.end()
    }

    /// How many bytes for everyone it holds.
    pub fn held_bytes(&self) -> usize {
        self.public.bytes.len()
    }

    /// How many bytes of asides it holds.
    pub fn held_aside_bytes(&self) -> usize {
        self.asides.bytes.len()
    }

    /// Adds a message that is on disk: its whole line.
    pub fn publish_message(&mut self, line: &[u8]) {
        self.public.bytes.extend_from_slice(line);
    }

    /// Adds a notice to everyone: its whole line.
    pub fn publish_notice(&mut self, line: &[u8]) {
        self.public.bytes.extend_from_slice(line);
        self.notices = self.notices.wrapping_add(1);
    }

    /// Stores a message that is on disk, its whole line, for those to whom it is then pushed.
    pub fn store_aside(&mut self, line: &[u8]) -> Aside {
        let start = AsidePosition(self.asides.end());
        self.asides.bytes.extend_from_slice(line);
        let length = u32::try_from(line.len()).ok().and_then(NonZeroU32::new);
        Aside { start, length: length.expect("a line has an end, and fits into a buffer") }
    }

    /// How many notices were published so far, modulo 2³².
    pub fn notices(&self) -> u32 {
        self.notices
    }

    /// The bytes from one position to another, both of which it must still hold.
    pub fn range(&self, from: Position, to: Position) -> &[u8] {
        self.public.range(from, to)
    }

    /// The bytes of an aside, which it must still hold.
    pub fn aside(&self, aside: Aside) -> &[u8] {
        let from = aside.start.0;
        self.asides.range(from, from.after(aside.bytes()))
    }

    /// Whether so much was stored behind this place that who still waits there must become a reader of the file.
    pub fn is_far_behind(&self, place: AsidePosition) -> bool {
        place.0.bytes_to(self.asides.end()) > OUTBOX_BYTES_MAX
    }

    /// Whether [`Feed::trim`] forgets asides even if somebody waits for them: those that are
    /// [far behind](Feed::is_far_behind).
    pub fn must_forget_asides(&self) -> bool {
        self.asides.surplus() > 0
    }

    /// Forgets what nobody needs. `all_taken`: nobody is behind the end, and nobody waits for an aside.
    pub fn trim(&mut self, all_taken: bool) {
        self.public.trim(all_taken);
        self.asides.trim(all_taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_outlive_trimming() {
        let mut feed = Feed::default();
        feed.publish_message(b"one\n");
        feed.store_aside(b"aside\n");
        let position = feed.end();
        feed.trim(true);
        feed.publish_message(b"two\n");
        let aside = feed.store_aside(b"three\n");
        assert_eq!(feed.range(position, feed.end()), b"two\n");
        assert_eq!(feed.aside(aside), b"three\n");
    }

    #[test]
    fn it_stays_bounded_while_someone_lags_and_keeps_the_newest() {
        let mut feed = Feed::default();
        let line = [b'x'; 1000];
        for _ in 0..10_000 {
            feed.publish_message(&line);
            feed.trim(false);
            assert!(feed.held_bytes() < 2 * OUTBOX_BYTES_MAX);
            let held = (feed.end().0 as usize).min(OUTBOX_BYTES_MAX);
            let from = Position(feed.end().0 - held as u64);
            assert_eq!(feed.range(from, feed.end()).len(), held);
        }
        assert_eq!(feed.end(), Position(10_000_000));
    }

    #[test]
    fn asides_are_kept_until_they_are_far_behind_and_only_those_are_forgotten() {
        let mut feed = Feed::default();
        let line = [b'x'; 1000];
        let mut kept: Vec<Aside> = Vec::new();
        for _ in 0..2_000 {
            kept.push(feed.store_aside(&line));
            if feed.must_forget_asides() {
                let count = kept.len();
                kept.retain(|aside| !feed.is_far_behind(aside.start()));
                assert_eq!(count - kept.len(), count - OUTBOX_BYTES_MAX / line.len());
            }
            feed.trim(false);
            assert!(feed.held_aside_bytes() < 2 * OUTBOX_BYTES_MAX);
            assert!(kept.iter().all(|&aside| feed.aside(aside) == line));
        }
    }

    #[test]
    fn asides_join_only_what_was_stored_directly_behind_them() {
        let mut feed = Feed::default();
        let [one, two, three] = [&b"one\n"[..], b"two\n", b"three\n"].map(|line| feed.store_aside(line));
        let joined = one.joined(two).unwrap();
        assert_eq!(feed.aside(joined), b"one\ntwo\n");
        assert_eq!((one.joined(three), two.joined(one), one.joined(one)), (None, None, None));
        assert_eq!(joined.after(4), Some(two));
        assert_eq!(feed.aside(joined.after(7).unwrap()), b"\n");
        assert_eq!(joined.after(8), None);
    }
}
