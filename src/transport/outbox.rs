//! What a connection has still to send: a position in the [`Feed`], and bytes of its own that stand between.
//!
//! ```text
//!  feed:     ....|--a--|-----b-----|       cuts: at a, 5 own bytes; at b, 7 own bytes
//!  own:          [5 own][7 own bytes]
//!  is sent:  ..a, 5 own, a..b, 7 own, b..end of the feed
//! ```
//!
//! An outbox with nothing to send holds no memory, and one that follows the feed needs no visit when something is
//! published: what it has to send is all behind its position.

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::limits::{
    DIRECT_BYTES_MAX, OUTBOX_BYTES_MAX, OUTBOX_HIGH_WATER_BYTES, POOLED_OUTBOX_BYTES_MAX,
    POOLED_OUTBOXES_MAX, SLICES_PER_WRITE_MAX,
};
use crate::protocol::line::skip_line;
use crate::protocol::record::Timestamp;
use crate::transport::feed::{Feed, Position};

/// Own bytes and where in the feed they stand. Pooled between two uses.
#[derive(Default)]
pub struct Own {
    bytes: Vec<u8>,
    /// How many of the first of `bytes` are sent.
    sent: usize,
    cuts: VecDeque<Cut>,
}

/// A run of own bytes.
struct Cut {
    /// The position in the feed that it stands at; never falls from one cut to the next.
    at: Position,
    length: usize,
}

/// Own parts that no connection uses at the moment.
pub type OwnPool = Vec<Box<Own>>;

/// A connection's queue.
#[derive(Default)]
pub struct Outbox {
    /// The next byte of the feed to send. While not live: the position that the own bytes stand at.
    position: Position,
    /// Whether it goes on to the end of the feed, whatever is published.
    live: bool,
    /// The last byte sent was not the end of a line.
    mid_line: bool,
    own: Option<Box<Own>>,
}

impl Outbox {
    /// Whether it follows the feed.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Follows the feed from its end on. What is own and not sent yet goes first.
    pub fn go_live(&mut self, feed: &Feed) {
        assert!(!self.live, "who is live stays so until it stops");
        self.live = true;
        self.position = feed.end();
        if let Some(own) = &mut self.own {
            own.cuts.iter_mut().for_each(|cut| cut.at = feed.end());
        }
    }

    /// Stops to follow the feed, all of which is sent.
    pub fn leave_feed(&mut self, feed: &Feed) {
        assert!(self.is_drained(feed), "what is not sent would be lost");
        self.live = false;
    }

    /// Adds bytes for this connection alone, behind all that was published so far.
    pub fn push_direct(&mut self, bytes: &[u8], feed: &Feed, pool: &mut OwnPool) {
        if bytes.is_empty() {
            return;
        }
        let at = if self.live { feed.end() } else { self.position };
        let own = self.own.get_or_insert_with(|| pool.pop().unwrap_or_default());
        own.bytes.extend_from_slice(bytes);
        match own.cuts.back_mut() {
            Some(cut) if cut.at == at => cut.length += bytes.len(),
            _ => own.cuts.push_back(Cut { at, length: bytes.len() }),
        }
    }

    /// Adds the rest of a line whose beginning was sent past this outbox. It has nothing else of its own then.
    pub fn push_rest(&mut self, rest: &[u8], feed: &Feed, pool: &mut OwnPool) {
        assert!(self.own.is_none() && !self.live, "what was pushed before is sent before");
        self.push_direct(rest, feed, pool);
        self.mid_line = !rest.is_empty();
    }

    /// Bytes that are not sent yet.
    pub fn pending(&self, feed: &Feed) -> usize {
        let shared = if self.live { self.position.bytes_to(feed.end()) } else { 0 };
        shared + self.pending_direct()
    }

    /// Those of them that are its own.
    pub fn pending_direct(&self) -> usize {
        self.own.as_ref().map_or(0, |own| own.bytes.len() - own.sent)
    }

    /// Whether all is sent.
    pub fn is_drained(&self, feed: &Feed) -> bool {
        self.own.is_none() && (!self.live || self.position == feed.end())
    }

    /// Whether so much waits that the connection's input is not read.
    pub fn is_above_high_water(&self, feed: &Feed) -> bool {
        self.pending(feed) > OUTBOX_HIGH_WATER_BYTES
    }

    /// Whether so much waits that a connection which takes none of it must become a reader of the file.
    pub fn is_overflowing(&self, feed: &Feed) -> bool {
        self.live && (self.pending(feed) > OUTBOX_BYTES_MAX || self.pending_direct() > DIRECT_BYTES_MAX)
    }

    /// All that is to be written, where it lies in one piece: of the feed alone, or of its own bytes alone.
    pub fn only_slice<'a>(&'a self, feed: &'a Feed) -> Option<&'a [u8]> {
        let has_all_of_feed = !self.live || self.position == feed.end();
        match &self.own {
            Some(own) if has_all_of_feed => Some(&own.bytes[own.sent..]),
            None if self.live => Some(feed.range(self.position, feed.end())),
            _ => None,
        }
    }

    /// What to write next, in order, as far as `slices` has room; returns how many slices and bytes that is.
    pub fn slices<'a>(
        &'a self,
        feed: &'a Feed,
        slices: &mut [IoSlice<'a>; SLICES_PER_WRITE_MAX],
    ) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        let mut push = |slice: &'a [u8]| {
            if !slice.is_empty() && count < SLICES_PER_WRITE_MAX {
                slices[count] = IoSlice::new(slice);
                count += 1;
                bytes += slice.len();
            }
        };
        let mut position = self.position;
        if let Some(own) = &self.own {
            let mut rest = &own.bytes[own.sent..];
            // Each has at least a byte, so further ones could not be pushed.
            for cut in own.cuts.iter().take(SLICES_PER_WRITE_MAX) {
                let (run, behind) = rest.split_at(cut.length);
                if self.live {
                    push(feed.range(position, cut.at));
                }
                push(run);
                position = cut.at;
                rest = behind;
            }
        }
        if self.live {
            push(feed.range(position, feed.end()));
        }
        (count, bytes)
    }

    /// The first `count` bytes of what [`Outbox::slices`] gave are sent.
    pub fn advance(&mut self, mut count: usize, feed: &Feed, pool: &mut OwnPool) {
        if count == 0 {
            return;
        }
        let mut last_sent = b'\n';
        if let Some(own) = &mut self.own {
            while count > 0
                && let Some(cut) = own.cuts.front_mut()
            {
                let shared = self.position.bytes_to(cut.at);
                let shared_now = shared.min(count);
                if shared_now > 0 {
                    self.position = self.position.after(shared_now);
                    last_sent = feed.range(self.position.previous(), self.position)[0];
                    count -= shared_now;
                }
                let own_now = cut.length.min(count);
                if own_now > 0 {
                    own.sent += own_now;
                    last_sent = own.bytes[own.sent - 1];
                    count -= own_now;
                    cut.length -= own_now;
                }
                if cut.length == 0 {
                    own.cuts.pop_front();
                }
            }
        }
        if let Some(own) = &mut self.own
            && own.sent > own.bytes.len() / 2
        {
            // A reader that never takes the last byte must not keep all that it took. Each byte is moved once.
            own.bytes.drain(..own.sent);
            own.sent = 0;
        }
        if count > 0 {
            assert!(self.live);
            self.position = self.position.after(count);
            last_sent = feed.range(self.position.previous(), self.position)[0];
        }
        self.mid_line = last_sent != b'\n';
        self.recycle(pool);
    }

    /// Drops all that is unsent: the peer is gone.
    pub fn clear(&mut self, pool: &mut OwnPool) {
        self.live = false;
        self.mid_line = false;
        if let Some(own) = &mut self.own {
            own.sent = own.bytes.len();
            own.cuts.clear();
        }
        self.recycle(pool);
    }

    /// Stops to follow the feed and drops what is unsent and stands in the log; returns the timestamp of the
    /// first message so dropped, or `None` where there was none. What is not in the log is kept: the rest of a
    /// line half sent, and answers. Notices to everyone are left out; the feed counts them.
    pub fn drop_messages(&mut self, feed: &Feed, pool: &mut OwnPool) -> Option<Timestamp> {
        assert!(self.live, "only the feed is dropped");
        let mut sorter = Sorter { mid_line: self.mid_line, kept: Vec::new(), dropped: None };
        let mut position = self.position;
        if let Some(own) = &self.own {
            let mut rest = &own.bytes[own.sent..];
            for cut in &own.cuts {
                sorter.sort(feed.range(position, cut.at), false);
                let (run, behind) = rest.split_at(cut.length);
                sorter.sort(run, true);
                position = cut.at;
                rest = behind;
            }
        }
        sorter.sort(feed.range(position, feed.end()), false);
        let mid_line = self.mid_line;
        self.clear(pool);
        self.mid_line = mid_line;
        self.push_direct(&sorter.kept, feed, pool);
        sorter.dropped
    }

    fn recycle(&mut self, pool: &mut OwnPool) {
        if let Some(own) = self.own.take_if(|own| own.cuts.is_empty())
            && pool.len() < POOLED_OUTBOXES_MAX
            && own.bytes.capacity() <= POOLED_OUTBOX_BYTES_MAX
        {
            let mut own = own;
            own.bytes.clear();
            own.sent = 0;
            pool.push(own);
        }
    }
}

/// Tells unsent lines that a reader of the file will meet again from those it will not.
struct Sorter {
    /// The next bytes are the rest of a line half sent.
    mid_line: bool,
    kept: Vec<u8>,
    dropped: Option<Timestamp>,
}

impl Sorter {
    fn sort(&mut self, mut lines: &[u8], keeps_notices: bool) {
        while !lines.is_empty() {
            let (line, behind) = lines.split_at(skip_line(lines));
            let message = if self.mid_line { None } else { Timestamp::parse(line) };
            if message.is_some() {
                self.dropped = self.dropped.or(message);
            } else if self.mid_line || keeps_notices {
                self.kept.extend_from_slice(line);
            }
            self.mid_line = false;
            lines = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes up to `at_most` bytes as a socket would.
    fn take(outbox: &mut Outbox, feed: &Feed, pool: &mut OwnPool, at_most: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE_MAX];
        let (count, bytes) = outbox.slices(feed, &mut slices);
        let mut taken: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(taken.len(), bytes);
        taken.truncate(at_most);
        outbox.advance(taken.len(), feed, pool);
        taken
    }

    fn text(number: usize) -> String {
        format!("2026-11-22T12:03:11.{number:06}Z a: {number}\n")
    }

    #[test]
    fn own_bytes_stand_where_they_were_pushed_however_little_the_socket_takes() {
        for at_most in [1, 2, 3, 5, 64, usize::MAX] {
            let (mut feed, mut pool, mut outbox) = (Feed::default(), OwnPool::new(), Outbox::default());
            let mut expected = String::new();
            outbox.push_direct(b"* welcome\n", &feed, &mut pool);
            expected += "* welcome\n";
            feed.publish_message(b"not for us\n");
            outbox.go_live(&feed);
            for number in 0..200 {
                feed.publish_message(text(number).as_bytes());
                expected += &text(number);
                for _ in 0..number % 3 {
                    outbox.push_direct(b"* own\n", &feed, &mut pool);
                    expected += "* own\n";
                }
            }
            let mut taken = Vec::new();
            while !outbox.is_drained(&feed) {
                assert_eq!(outbox.pending(&feed), expected.len() - taken.len());
                taken.extend(take(&mut outbox, &feed, &mut pool, at_most));
            }
            assert_eq!(String::from_utf8(taken).unwrap(), expected);
            assert_eq!(outbox.pending(&feed), 0);
            assert!(outbox.own.is_none(), "a drained outbox holds no memory");
        }
    }

    #[test]
    fn dropped_messages_are_found_again_and_answers_are_kept() {
        for sent in 0..text(0).len() * 2 {
            let (mut feed, mut pool, mut outbox) = (Feed::default(), OwnPool::new(), Outbox::default());
            outbox.go_live(&feed);
            feed.publish_message(text(1).as_bytes());
            outbox.push_direct(b"* answer\n", &feed, &mut pool);
            outbox.push_direct(text(2).as_bytes(), &feed, &mut pool);
            feed.publish_notice(b"* bob joined\n");
            feed.publish_message(text(3).as_bytes());
            let all = format!("{}* answer\n{}* bob joined\n{}", text(1), text(2), text(3));

            let mut got = take(&mut outbox, &feed, &mut pool, sent);
            let whole_lines =
                all[..sent].matches('\n').count() + usize::from(!all[..sent].ends_with('\n') && sent > 0);
            let dropped = outbox.drop_messages(&feed, &mut pool);
            assert!(!outbox.is_live());
            let first_unsent =
                all.lines().skip(whole_lines).find_map(|line| Timestamp::parse(line.as_bytes()));
            assert_eq!(dropped, first_unsent, "{sent} bytes sent");

            got.extend(take(&mut outbox, &feed, &mut pool, usize::MAX));
            let answer = if whole_lines < 2 { "* answer\n" } else { "" };
            let sent_lines: String = all.split_inclusive('\n').take(whole_lines).collect();
            assert_eq!(String::from_utf8(got).unwrap(), sent_lines + answer);
        }
    }

    #[test]
    fn what_was_taken_is_let_go_also_when_the_last_byte_never_is() {
        let (feed, mut pool, mut outbox) = (Feed::default(), OwnPool::new(), Outbox::default());
        for _ in 0..1000 {
            outbox.push_direct(&[b'x'; 1000], &feed, &mut pool);
            let pending = outbox.pending(&feed);
            take(&mut outbox, &feed, &mut pool, pending - 1);
            assert!(outbox.own.as_ref().is_some_and(|own| own.bytes.len() <= 2000));
        }
    }

    #[test]
    fn more_own_runs_than_one_write_takes_keep_their_order() {
        let (mut feed, mut pool, mut outbox) = (Feed::default(), OwnPool::new(), Outbox::default());
        outbox.go_live(&feed);
        let mut expected = String::new();
        for number in 0..3 * SLICES_PER_WRITE_MAX {
            outbox.push_direct(format!("{number}\n").as_bytes(), &feed, &mut pool);
            feed.publish_message(b"x\n");
            expected += &format!("{number}\nx\n");
        }
        let mut taken = Vec::new();
        while !outbox.is_drained(&feed) {
            taken.extend(take(&mut outbox, &feed, &mut pool, usize::MAX));
        }
        assert_eq!(String::from_utf8(taken).unwrap(), expected);
    }
}
