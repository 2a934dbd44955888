//! What a connection has still to send: a position in the [`Feed`], and *runs* that stand between its bytes. A run is
//! bytes of its own, or an [`Aside`], which is held by the feed for all that get it.
//!
//! ```text
//!  feed:     ....|--a--|-----b-----|       runs: at a, 5 own bytes and 9 aside; at b, 7 own bytes
//!  own:          [5 own][7 own bytes]
//!  is sent:  ..a, 5 own, 9 aside, a..b, 7 own, b..end of the feed
//! ```
//!
//! An outbox with nothing to send holds no memory, and one that follows the feed needs no visit when something is
//! published: what it has to send is all behind its position. Nor does an aside need memory where nothing else waits.

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::limits::{
    DIRECT_BYTES_MAX, OUTBOX_BYTES_MAX, OUTBOX_HIGH_WATER_BYTES, POOLED_OUTBOX_BYTES_MAX,
    POOLED_OUTBOXES_MAX, SLICES_PER_WRITE_MAX,
};
use crate::protocol::line::skip_line;
use crate::protocol::record::Timestamp;
use crate::transport::feed::{Aside, AsidePosition, Feed, Position};

/// Runs, and where in the feed they stand. Pooled between two uses.
#[derive(Default)]
pub struct Own {
    /// Those of all runs that are its own.
    bytes: Vec<u8>,
    /// How many of the first of `bytes` are sent.
    sent: usize,
    /// The sum of the asides among `runs`.
    aside_bytes: usize,
    runs: VecDeque<Run>,
}

/// Bytes that stand between two bytes of the feed.
#[derive(Clone, Copy)]
struct Run {
    /// The position in the feed that it stands at; never falls from one run to the next.
    at: Position,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    /// So many of the own bytes, behind those of the runs before.
    Own(usize),
    /// Lines in the feed's other buffer.
    Aside(Aside),
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
    /// An aside and the position in the feed that it stands at, before the runs of `own`. Only while live.
    first: Option<(Position, Aside)>,
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
            own.runs.iter_mut().for_each(|run| run.at = feed.end());
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
        match own.runs.back_mut() {
            Some(Run { at: last_at, what: What::Own(length) }) if *last_at == at => *length += bytes.len(),
            _ => own.runs.push_back(Run { at, what: What::Own(bytes.len()) }),
        }
    }

    /// Adds lines that the feed holds for some connections, behind all that was published so far. They are in the log.
    pub fn push_aside(&mut self, aside: Aside, feed: &Feed, pool: &mut OwnPool) {
        assert!(self.live, "who does not follow the feed reads the log");
        let at = feed.end();
        let last = match (&mut self.first, &mut self.own) {
            (None, None) => return self.first = Some((at, aside)),
            (Some((last_at, last)), None) if *last_at == at => Some(last),
            (_, Some(own)) => match own.runs.back_mut() {
                Some(Run { at: last_at, what: What::Aside(last) }) if *last_at == at => Some(last),
                _ => None,
            },
            _ => None,
        };
        let joined = last.and_then(|last| last.joined(aside).map(|joined| *last = joined)).is_some();
        if !joined {
            let own = self.own.get_or_insert_with(|| pool.pop().unwrap_or_default());
            own.runs.push_back(Run { at, what: What::Aside(aside) });
        }
        if let Some(own) = &mut self.own {
            own.aside_bytes += aside.bytes();
        }
    }

    /// Adds the rest of a line whose beginning was sent past this outbox. It has nothing else of its own then.
    pub fn push_rest(&mut self, rest: &[u8], feed: &Feed, pool: &mut OwnPool) {
        assert!(!self.has_runs() && !self.live, "what was pushed before is sent before");
        self.push_direct(rest, feed, pool);
        self.mid_line = !rest.is_empty();
    }

    /// Bytes that are not sent yet.
    pub fn pending(&self, feed: &Feed) -> usize {
        let shared = if self.live { self.position.bytes_to(feed.end()) } else { 0 };
        let first = self.first.map_or(0, |(_, aside)| aside.bytes());
        let asides = self.own.as_ref().map_or(0, |own| own.aside_bytes);
        shared + first + asides + self.pending_direct()
    }

    /// Those of them that are its own.
    pub fn pending_direct(&self) -> usize {
        self.own.as_ref().map_or(0, |own| own.bytes.len() - own.sent)
    }

    /// Whether it has something to send that not everyone gets.
    pub fn has_runs(&self) -> bool {
        self.first.is_some() || self.own.is_some()
    }

    /// Whether all is sent.
    pub fn is_drained(&self, feed: &Feed) -> bool {
        !self.has_runs() && (!self.live || self.position == feed.end())
    }

    /// Whether so much waits that the connection's input is not read.
    pub fn is_above_high_water(&self, feed: &Feed) -> bool {
        self.pending(feed) > OUTBOX_HIGH_WATER_BYTES
    }

    /// Whether so much waits that a connection which takes none of it must become a reader of the file.
    pub fn is_overflowing(&self, feed: &Feed) -> bool {
        let runs_bytes = self.own.as_ref().map_or(0, |own| own.runs.len() * size_of::<Run>());
        self.live
            && (self.pending(feed) > OUTBOX_BYTES_MAX
                || self.pending_direct() > DIRECT_BYTES_MAX
                || runs_bytes > DIRECT_BYTES_MAX
                || self.waits_for_old_aside(feed))
    }

    /// Whether it waits for an aside that the feed is about to forget.
    pub fn waits_for_old_aside(&self, feed: &Feed) -> bool {
        self.oldest_aside().is_some_and(|place| feed.is_far_behind(place))
    }

    fn oldest_aside(&self) -> Option<AsidePosition> {
        let of_run = |run: &Run| match run.what {
            What::Aside(aside) => Some(aside.start()),
            What::Own(_) => None,
        };
        let own = self.own.as_ref().filter(|own| own.aside_bytes > 0);
        let first = self.first.map(|(_, aside)| aside.start());
        first.or_else(|| own.and_then(|own| own.runs.iter().find_map(of_run)))
    }

    /// All that is to be written, where it lies in one piece: of the feed alone, or of its own bytes or asides alone.
    pub fn only_slice<'a>(&'a self, feed: &'a Feed) -> Option<&'a [u8]> {
        let has_all_of_feed = !self.live || self.position == feed.end();
        match (self.first, &self.own) {
            (None, Some(own)) if has_all_of_feed && own.aside_bytes == 0 => Some(&own.bytes[own.sent..]),
            (Some((_, aside)), None) if has_all_of_feed => Some(feed.aside(aside)),
            (None, None) if self.live => Some(feed.range(self.position, feed.end())),
            _ => None,
        }
    }

    /// All that is to be written, in order, and of each piece whether everyone gets it.
    fn pieces<'a>(&'a self, feed: &'a Feed) -> impl Iterator<Item = (&'a [u8], bool)> {
        let first = self.first.map(|(at, aside)| Run { at, what: What::Aside(aside) });
        let runs = self.own.iter().flat_map(|own| &own.runs);
        let mut rest = self.own.as_ref().map_or(&[][..], |own| &own.bytes[own.sent..]);
        let mut position = self.position;
        let mut shared = move |to: Position| {
            let from = std::mem::replace(&mut position, to);
            (if self.live { feed.range(from, to) } else { &[] }, true)
        };
        // One more step than there are runs, for what follows the last one.
        let runs = first.into_iter().chain(runs.copied()).map(Some).chain([None]);
        let pieces = runs.flat_map(move |run| {
            let Some(Run { at, what }) = run else { return [shared(feed.end()), (&[][..], false)] };
            let bytes = match what {
                What::Aside(aside) => feed.aside(aside),
                What::Own(length) => {
                    let (bytes, behind) = rest.split_at(length);
                    rest = behind;
                    bytes
                }
            };
            [shared(at), (bytes, false)]
        });
        pieces.filter(|(piece, _)| !piece.is_empty())
    }

    /// What to write next, in order, as far as `slices` has room; returns how many slices and bytes that is.
    pub fn slices<'a>(
        &'a self,
        feed: &'a Feed,
        slices: &mut [IoSlice<'a>; SLICES_PER_WRITE_MAX],
    ) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        for (slice, (piece, _)) in slices.iter_mut().zip(self.pieces(feed)) {
            *slice = IoSlice::new(piece);
            count += 1;
            bytes += piece.len();
        }
        (count, bytes)
    }

    /// The first `count` bytes of what [`Outbox::slices`] gave are sent.
    pub fn advance(&mut self, mut count: usize, feed: &Feed, pool: &mut OwnPool) {
        if count == 0 {
            return;
        }
        let mut last_sent = b'\n';
        while count > 0 {
            let first_at = self.first.map(|(at, _)| at);
            let own_at = || self.own.as_ref().and_then(|own| own.runs.front()).map(|run| run.at);
            let at = first_at.or_else(own_at);
            let shared = at.map_or(count, |at| self.position.bytes_to(at).min(count));
            if shared > 0 {
                assert!(self.live);
                self.position = self.position.after(shared);
                last_sent = feed.range(self.position.previous(), self.position)[0];
            } else {
                let sent;
                (sent, last_sent) = self.advance_run(count, feed);
                count -= sent;
            }
            count -= shared;
        }
        if let Some(own) = &mut self.own
            && own.sent > own.bytes.len() / 2
        {
            // A reader that never takes the last byte must not keep all that it took. Each byte is moved once.
            own.bytes.drain(..own.sent);
            own.sent = 0;
        }
        self.mid_line = last_sent != b'\n';
        self.recycle(pool);
    }

    /// At most `count` bytes of the first run, of which there is one, are sent: returns how many, and the last of them.
    fn advance_run(&mut self, count: usize, feed: &Feed) -> (usize, u8) {
        if let Some((_, aside)) = &mut self.first {
            let (sent, last) = (aside.bytes().min(count), feed.aside(*aside));
            match aside.after(sent) {
                Some(rest) => *aside = rest,
                None => self.first = None,
            }
            return (sent, last[sent - 1]);
        }
        let own = self.own.as_mut().expect("there is a run");
        let run = own.runs.front_mut().expect("an own part without a run is recycled");
        let (sent, last, rest) = match run.what {
            What::Aside(aside) => {
                let sent = aside.bytes().min(count);
                own.aside_bytes -= sent;
                (sent, feed.aside(aside)[sent - 1], aside.after(sent).map(What::Aside))
            }
            What::Own(length) => {
                let sent = length.min(count);
                own.sent += sent;
                (sent, own.bytes[own.sent - 1], (length > sent).then_some(What::Own(length - sent)))
            }
        };
        match rest {
            Some(rest) => run.what = rest,
            None => _ = own.runs.pop_front(),
        }
        (sent, last)
    }

    /// Drops all that is unsent: the peer is gone.
    pub fn clear(&mut self, pool: &mut OwnPool) {
        self.live = false;
        self.mid_line = false;
        self.first = None;
        if let Some(own) = &mut self.own {
            own.runs.clear();
        }
        self.recycle(pool);
    }

    /// Stops to follow the feed and drops what is unsent and stands in the log; returns the timestamp of the
    /// first message so dropped, or `None` where there was none. What is not in the log is kept: the rest of a
    /// line half sent, and answers. Notices to everyone are left out; the feed counts them.
    pub fn drop_messages(&mut self, feed: &Feed, pool: &mut OwnPool) -> Option<Timestamp> {
        assert!(self.live, "only the feed is dropped");
        let mut sorter = Sorter { mid_line: self.mid_line, kept: Vec::new(), dropped: None };
        self.pieces(feed).for_each(|(lines, is_for_everyone)| sorter.sort(lines, !is_for_everyone));
        let mid_line = self.mid_line;
        self.clear(pool);
        self.mid_line = mid_line;
        self.push_direct(&sorter.kept, feed, pool);
        sorter.dropped
    }

    fn recycle(&mut self, pool: &mut OwnPool) {
        if let Some(mut own) = self.own.take_if(|own| own.runs.is_empty())
            && pool.len() < POOLED_OUTBOXES_MAX
            && own.bytes.capacity() + own.runs.capacity() * size_of::<Run>() <= POOLED_OUTBOX_BYTES_MAX
        {
            own.bytes.clear();
            (own.sent, own.aside_bytes) = (0, 0);
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

    /// An outbox, and what it should send.
    #[derive(Default)]
    struct Modelled {
        feed: Feed,
        pool: OwnPool,
        outbox: Outbox,
        /// All that was pushed and not sent: whole lines, the first perhaps without what was sent of it.
        expected: VecDeque<(String, Kind)>,
        /// Of the last line.
        number: usize,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Kind {
        Notice,
        Public,
        Own,
        Aside,
    }

    impl Modelled {
        fn push(&mut self, kind: Kind) {
            self.number += 1;
            let message = text(self.number);
            let (feed, pool) = (&mut self.feed, &mut self.pool);
            let line = match kind {
                Kind::Public => {
                    feed.publish_message(message.as_bytes());
                    message
                }
                Kind::Notice => {
                    feed.publish_notice(b"* bob joined\n");
                    "* bob joined\n".into()
                }
                Kind::Own => {
                    let line =
                        if self.number.is_multiple_of(2) { message } else { format!("* {}\n", self.number) };
                    self.outbox.push_direct(line.as_bytes(), feed, pool);
                    line
                }
                Kind::Aside => {
                    let aside = feed.store_aside(message.as_bytes());
                    self.outbox.push_aside(aside, feed, pool);
                    message
                }
            };
            self.expected.push_back((line, kind));
        }

        /// Lets the socket take bytes, and checks them.
        fn take(&mut self, at_most: usize) {
            let taken = take(&mut self.outbox, &self.feed, &mut self.pool, at_most);
            let mut taken = String::from_utf8(taken).unwrap();
            while let Some((line, kind)) = self.expected.pop_front_if(|_| !taken.is_empty()) {
                let count = line.len().min(taken.len());
                assert_eq!(line[..count], taken[..count]);
                if count < line.len() {
                    self.expected.push_front((line[count..].to_owned(), kind));
                }
                taken.drain(..count);
            }
            assert_eq!(taken, "", "more than was pushed");
        }

        fn check(&self) {
            let bytes = |kinds: &[Kind]| -> usize {
                self.expected
                    .iter()
                    .filter(|(_, kind)| kinds.contains(kind))
                    .map(|(line, _)| line.len())
                    .sum()
            };
            let Modelled { outbox, feed, .. } = self;
            assert_eq!(outbox.pending_direct(), bytes(&[Kind::Own]));
            let all = bytes(&[Kind::Own, Kind::Aside, Kind::Public, Kind::Notice]);
            assert_eq!(outbox.pending(feed), all);
            assert_eq!(outbox.is_drained(feed), all == 0);
            assert_eq!(outbox.has_runs(), bytes(&[Kind::Own, Kind::Aside]) > 0);
            assert!(outbox.oldest_aside().is_some() == (bytes(&[Kind::Aside]) > 0));
            if let Some(slice) = outbox.only_slice(feed) {
                let pieces: Vec<&[u8]> = outbox.pieces(feed).map(|(piece, _)| piece).collect();
                assert_eq!(pieces.concat(), slice);
            }
        }
    }

    /// Numbers below `bound`, the same in each run (xorshift).
    fn random(state: &mut u64, bound: u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % bound
    }

    #[test]
    fn own_bytes_asides_and_the_feed_are_sent_as_they_were_pushed_however_little_the_socket_takes() {
        for (seed, at_most) in [1, 2, 3, 5, 64, usize::MAX].into_iter().cycle().take(60).enumerate() {
            let mut state = 1 + seed as u64;
            let mut it = Modelled::default();
            it.feed.publish_message(b"not for us\n");
            it.feed.store_aside(b"not for us\n");
            it.outbox.push_direct(b"* welcome\n", &it.feed, &mut it.pool);
            it.expected.push_back(("* welcome\n".into(), Kind::Own));
            it.outbox.go_live(&it.feed);
            for _ in 0..200 {
                match random(&mut state, 10) {
                    0..2 => it.push(Kind::Public),
                    2..3 => it.push(Kind::Own),
                    3..6 => it.push(Kind::Aside),
                    6..7 => _ = it.feed.store_aside(b"not for us\n"),
                    _ => it.take(at_most),
                }
                it.check();
                it.feed.trim(it.outbox.is_drained(&it.feed));
            }
            while !it.outbox.is_drained(&it.feed) {
                it.take(at_most);
                it.check();
            }
            assert!(it.outbox.own.is_none() && it.expected.is_empty());
            it.outbox.leave_feed(&it.feed);
        }
    }

    #[test]
    fn dropped_asides_are_found_again_and_the_rest_of_a_line_is_kept() {
        for seed in 1..600 {
            let mut state = seed;
            let mut it = Modelled::default();
            it.outbox.go_live(&it.feed);
            for _ in 0..random(&mut state, 12) {
                let kinds = [Kind::Notice, Kind::Public, Kind::Own, Kind::Aside, Kind::Aside];
                it.push(kinds[random(&mut state, 5) as usize]);
            }
            it.take(random(&mut state, 200) as usize);
            let is_half_sent = it.outbox.mid_line;
            let is_whole = |index| index > 0 || !is_half_sent;
            let timestamp = |line: &String| Timestamp::parse(line.as_bytes());
            let unsent = it.expected.iter().enumerate();
            let first = unsent
                .clone()
                .filter(|(index, _)| is_whole(*index))
                .find_map(|(_, (line, _))| timestamp(line));
            let is_kept =
                |index, line, kind| !is_whole(index) || (timestamp(line).is_none() && kind != Kind::Notice);
            let kept: String = unsent
                .filter(|(index, (line, kind))| is_kept(*index, line, *kind))
                .map(|(_, (line, _))| line.as_str())
                .collect();
            assert_eq!(it.outbox.drop_messages(&it.feed, &mut it.pool), first, "seed {seed}");
            // The feed may forget all of it now.
            it.feed.trim(true);
            assert_eq!((it.outbox.pending(&it.feed), it.outbox.first), (kept.len(), None));
            let got = take(&mut it.outbox, &it.feed, &mut it.pool, usize::MAX);
            assert_eq!(String::from_utf8(got).unwrap(), kept, "seed {seed}");
        }
    }

    #[test]
    fn asides_need_no_memory_where_nothing_else_waits_and_one_write() {
        let mut it = Modelled::default();
        it.outbox.go_live(&it.feed);
        it.push(Kind::Aside);
        it.push(Kind::Aside);
        assert!(it.outbox.own.is_none());
        assert_eq!(it.outbox.only_slice(&it.feed).map(<[u8]>::len), Some(it.outbox.pending(&it.feed)));
        // Behind what everyone gets, too; but not around it, nor around what others got.
        for between in [Kind::Public, Kind::Aside] {
            it.take(usize::MAX);
            it.push(Kind::Public);
            it.push(Kind::Aside);
            assert!(it.outbox.own.is_none());
            match between {
                Kind::Aside => _ = it.feed.store_aside(b"not for us\n"),
                between => it.push(between),
            }
            it.push(Kind::Aside);
            it.push(Kind::Aside);
            assert_eq!(it.outbox.own.as_ref().map(|own| own.runs.len()), Some(1));
            it.check();
        }
        it.outbox.clear(&mut it.pool);
        assert!(!it.outbox.has_runs());
        assert_eq!(size_of::<Outbox>(), 24 + size_of::<(Position, Aside)>());
    }

    #[test]
    fn an_outbox_overflows_where_its_runs_are_many_or_its_oldest_aside_is_old() {
        let mut it = Modelled::default();
        it.outbox.go_live(&it.feed);
        it.push(Kind::Aside);
        while !it.feed.must_forget_asides() {
            assert!(it.feed.held_aside_bytes() > OUTBOX_BYTES_MAX || !it.outbox.is_overflowing(&it.feed));
            it.feed.store_aside(&[b'x'; 1000]);
        }
        assert!(it.outbox.waits_for_old_aside(&it.feed) && it.outbox.is_overflowing(&it.feed));
        it.outbox.clear(&mut it.pool);
        it.outbox.go_live(&it.feed);
        // Both an own run and the oldest aside behind it.
        it.push(Kind::Own);
        it.push(Kind::Aside);
        assert!(!it.outbox.is_overflowing(&it.feed));
        while it.outbox.own.as_ref().is_some_and(|own| own.runs.len() * size_of::<Run>() <= DIRECT_BYTES_MAX)
        {
            assert!(!it.outbox.is_overflowing(&it.feed));
            it.feed.store_aside(b"\n");
            it.push(Kind::Aside);
        }
        assert!(it.outbox.is_overflowing(&it.feed) && it.outbox.pending(&it.feed) < OUTBOX_BYTES_MAX);
        it.outbox.clear(&mut it.pool);
        assert!(it.pool.is_empty(), "what grew large is not kept");
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
