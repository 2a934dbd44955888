//! One connection, and what is known of its socket.

use std::io::{self, IoSlice};

use crate::limits::{
    INPUT_BYTES_BEFORE_LOGIN_MAX, INPUT_BYTES_MAX, Micros, REPLY_BYTES_BEFORE_LOGIN_MAX, REPLY_BYTES_MAX,
    SILENT_US,
};
use crate::protocol::line::LineBuffer;
use crate::protocol::record::Timestamp;
use crate::transport::feed::Feed;
use crate::transport::net::Stream;
use crate::transport::outbox::Outbox;

/// A stream and what is known of writing to it.
pub(super) struct Socket<S> {
    pub(super) stream: S,
    /// A write may take something.
    pub(super) writable: bool,
    /// Writing has failed: what is to be sent goes nowhere.
    pub(super) broken: bool,
    /// Since when it took nothing while there was something to take; 0 for not so.
    pub(super) stalled_since_us: Micros,
}

/// One connection.
pub struct Connection<S> {
    pub(super) socket: Socket<S>,
    /// Lines read and not handled.
    pub input: LineBuffer,
    /// Bytes to be written.
    pub outbox: Outbox,
    /// The last message that the socket took whole, where it is known.
    pub last_delivered: Timestamp,
    /// The last message that its account has certainly received, as far as this connection knows: all that the socket
    /// had taken when bytes last came from the peer. Messages sent later are lost if the connection breaks.
    pub heard: Timestamp,
    /// The message from which on its session was shown everything. If this is later than `heard`, the messages in
    /// between went to other sessions only. [`Timestamp::MAX`] before the login.
    pub from: Timestamp,
    /// When it was opened, or began to end.
    pub since_us: Micros,
    /// When bytes last came from the peer.
    pub heard_us: Micros,
    /// Before the login, the theoretical arrival time of the next line (generic cell rate algorithm, ITU-T I.371).
    /// After it, the place that the next line has claimed of its account's; 0 for none.
    pub line_due_us: Micros,
    /// Its entry in the deadlines; 0 for none.
    pub(super) deadline_us: Micros,
    /// A read may give something.
    pub readable: bool,
    /// A read that gives less than it could is not the last.
    pub(super) reads_short: bool,
    /// The peer is gone altogether.
    pub hung_up: bool,
    /// Its input has ended.
    pub ended: bool,
    /// What is being done for it that needs an empty outbox or room in the socket.
    pub activity: Activity,
    /// Whether it waits for its turn to go on with that.
    pub is_queued: bool,
    /// It is, or was, logged in: until then it has little room.
    pub is_logged_in: bool,
    pub(super) life: Life,
    pub(super) is_ready: bool,
    pub(super) is_dirty: bool,
    pub(super) lags: bool,
}

/// What is being done for a connection besides handling its lines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Nothing.
    None,
    /// An answer, or reading the log behind the feed. Its lines wait for the end of it.
    Task,
    /// The replay at its login, with precedence over the tasks of others. Its lines wait.
    Replay,
    /// The rest of a long replay. Its lines are handled, and what they cause follows the replay.
    RestOfReplay,
}

/// Why no line of a connection may be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It gives no lines: its PROXY header is not complete, or it is closing.
    Life,
    /// An answer is being made for it, or it reads the log behind the feed.
    Task,
    /// Its peer has not taken most of what it was answered before.
    Socket,
}

/// Where a connection is in its life. It may begin with a header, and moves on in this order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// The PROXY header with which it begins is not complete. It gives no lines.
    Header,
    /// Its lines are handled.
    Talking,
    /// It closes once its outbox is empty.
    Flushing,
    /// What it still sends is read and thrown away, so that the last answer is not overtaken by a reset.
    Lingering,
    /// It leaves the slab at the end of the turn.
    Doomed,
}

impl<S> Connection<S> {
    /// A connection that was just made.
    pub(super) fn new(stream: S, now_us: Micros) -> Connection<S> {
        Connection {
            socket: Socket { stream, writable: true, broken: false, stalled_since_us: 0 },
            input: LineBuffer::default(),
            outbox: Outbox::default(),
            last_delivered: Timestamp::default(),
            heard: Timestamp::default(),
            from: Timestamp::MAX,
            since_us: now_us,
            heard_us: now_us,
            line_due_us: 0,
            deadline_us: 0,
            readable: false,
            reads_short: false,
            hung_up: false,
            ended: false,
            activity: Activity::None,
            is_queued: false,
            is_logged_in: false,
            life: Life::Talking,
            is_ready: false,
            is_dirty: false,
            lags: false,
        }
    }

    /// Whether it is not closing.
    pub fn is_open(&self) -> bool {
        matches!(self.life, Life::Header | Life::Talking)
    }

    /// Whether its PROXY header is not complete.
    pub fn awaits_header(&self) -> bool {
        self.life == Life::Header
    }

    /// Takes no lines before its PROXY header. It was just made.
    pub fn await_header(&mut self) {
        self.life = Life::Header;
    }

    /// Takes lines, now that its PROXY header is complete.
    pub fn begin_to_talk(&mut self) {
        self.life = Life::Talking;
    }

    /// Why no line of it may be handled, as far as the connection knows; `None` if one may.
    pub fn hold(&self, feed: &Feed) -> Option<Hold> {
        if self.life != Life::Talking {
            Some(Hold::Life)
        } else if matches!(self.activity, Activity::Task | Activity::Replay) {
            Some(Hold::Task)
        } else if self.outbox.pending_direct() > self.reply_bytes_max()
            || self.outbox.is_above_high_water(feed)
        {
            Some(Hold::Socket)
        } else {
            None
        }
    }

    /// How much of what is held for it alone may wait for its socket before its lines wait too.
    pub fn reply_bytes_max(&self) -> usize {
        if self.is_logged_in { REPLY_BYTES_MAX } else { REPLY_BYTES_BEFORE_LOGIN_MAX }
    }

    /// How much of its input may wait to be handled.
    pub(super) fn input_bytes_max(&self) -> usize {
        if self.is_logged_in { INPUT_BYTES_MAX } else { INPUT_BYTES_BEFORE_LOGIN_MAX }
    }

    /// Whether it lingers after its last byte was sent.
    pub fn is_lingering(&self) -> bool {
        self.life == Life::Lingering
    }

    /// Whether its socket may take something.
    pub fn is_writable(&self) -> bool {
        self.socket.writable && !self.socket.broken
    }

    /// Whether what is sent to it goes nowhere.
    pub fn is_broken(&self) -> bool {
        self.socket.broken
    }

    /// Whether it follows the feed and had all of it at the last flush.
    pub fn is_up_to_date(&self) -> bool {
        self.outbox.is_live() && !self.lags && !self.socket.broken && !self.outbox.has_runs()
    }

    /// The last message that the socket took whole. `mark` is the last message of the feed at the last flush.
    pub fn delivered_now(&self, mark: Timestamp) -> Timestamp {
        // A connection that is up to date also passes over the private messages of others, without being visited.
        if self.is_up_to_date() { mark } else { self.last_delivered }
    }

    /// Whether its session is shown messages.
    pub fn is_entered(&self) -> bool {
        self.from < Timestamp::MAX
    }

    /// Whether nothing has come from the peer for so long that it may be dead.
    pub fn is_silent(&self, now_us: Micros) -> bool {
        self.heard_us + SILENT_US <= now_us
    }

    /// The last message that its account has certainly received if everything that this socket took has arrived.
    pub fn received(&self, mark: Timestamp) -> Timestamp {
        if self.from <= self.heard { self.heard.max(self.delivered_now(mark)) } else { self.heard }
    }

    /// Since when its socket took nothing while there was something to take.
    pub fn stalled_since_us(&self) -> Option<Micros> {
        (self.socket.stalled_since_us > 0).then_some(self.socket.stalled_since_us)
    }

    /// Marks the input as readable to its end, whether or not the poller reports more.
    pub fn read_to_the_end(&mut self) {
        self.readable = true;
        self.reads_short = true;
    }

    /// Records the outcome of a read into `room` bytes; returns how many came.
    pub(super) fn note_read(&mut self, outcome: io::Result<usize>, room: usize, now_us: Micros) -> usize {
        match outcome {
            Ok(0) => {
                self.ended = true;
                self.readable = false;
            }
            Ok(count) => {
                self.heard_us = now_us;
                // Reading once more, only to learn that there is nothing, would be every other read.
                self.readable = count == room || self.reads_short;
                return count;
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    self.reads_short = false;
                }
                io::ErrorKind::Interrupted => {}
                // A reset comes after all data that was received before it.
                _ => {
                    self.ended = true;
                    self.hung_up = true;
                    self.readable = false;
                }
            },
        }
        0
    }

    pub(super) fn has_input(&self) -> bool {
        self.readable || self.ended || !self.input.is_empty()
    }
}

impl<S: Stream> Socket<S> {
    /// Writes once; returns how many bytes of `bytes` were taken, and notes what that says of the socket.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>], bytes: usize, now_us: Micros) -> usize {
        let taken = match self.stream.write(slices) {
            Ok(taken) => taken,
            Err(error) => {
                match error.kind() {
                    io::ErrorKind::WouldBlock => self.writable = false,
                    // That says nothing of the socket.
                    io::ErrorKind::Interrupted => return 0,
                    _ => self.broken = true,
                }
                0
            }
        };
        if taken == bytes {
            self.stalled_since_us = 0;
        } else if taken > 0 || self.stalled_since_us == 0 {
            self.stalled_since_us = now_us.max(1);
        }
        taken
    }
}
