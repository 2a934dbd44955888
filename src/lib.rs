//! chinwag: a chat server for people who have nothing but `nc`, on a machine that has next to nothing.
//!
//! # The idea
//!
//! The log is the chat. A message is one line of `chat_history.txt`, formatted once: the same bytes are synced to
//! disk, sent to every client and printed by `/history`. A connection is a reader of that log. It is *live* when
//! it has seen everything up to the end, and then gets each turn's new bytes from memory that all share; or it is
//! *catching up*: a [`cursor`] reads the file for it until the end is reached. `/history`, what one missed while
//! away, and a reader too slow for its socket are the same cursor. So a slow reader costs some numbers, loses
//! nothing, and is never cut off for being slow.
//!
//! # The layers
//!
//! A file imports only from files above it in this list; `tests/tidy.rs` holds to that.
//!
//! | layer | file | what it is |
//! |---|---|---|
//! | 0 | [`limits`] | every bound, with the relations between them |
//! | 0 | [`world`] | time and randomness, as arguments |
//! | 0 | [`name`] | an account's name |
//! | 0 | [`kdf`] | PBKDF2-HMAC-SHA256 as a value that is stepped |
//! | 0 | [`mod@line`] | bytes to lines: lengths, telnet, clients of other protocols |
//! | 0 | [`subnet`] | a range of IP addresses |
//! | 0 | [`proxy`] | the header with which a proxy announces whose connection it forwards |
//! | 0 | [`text`] | what may stand in a message, by Unicode properties |
//! | 0 | [`record`] | a message and its line; the timestamp that only rises; who may see it |
//! | 0 | [`judge`] | which lines of the log are messages and which are damage |
//! | 0 | [`protocol`] | a line to a command |
//! | 0 | [`client`] | the client's side of the protocol, without I/O; the server does not use it |
//! | 0 | [`storage`], [`directory`] | a small trait over files and its real implementation; all-or-nothing appends |
//! | 0 | [`recovery`] | the definition of a torn write; damage |
//! | 1 | [`tail`] | the end of the log as a start finds it |
//! | 1 | [`journal`] | the log: recover, stage, commit, read |
//! | 1 | [`chunk`] | a part of the log in memory, and what of it a reader is sent |
//! | 1 | [`search`] | finding a place in the log, by its time or backwards |
//! | 1 | [`replay`] | what a login shows of the messages that were missed |
//! | 1 | [`cursor`] | a place in the log that moves towards its end |
//! | 1 | [`feed`], [`outbox`] | the last turns' bytes, once for all; what a connection has still to send of them |
//! | 1 | [`users`] | the lines of users.txt, chained by checksums |
//! | 1 | [`accounts`] | the table of accounts: the sum of those lines |
//! | 1 | [`users_file`], [`marks`] | users.txt and seen.txt |
//! | 1 | [`throttle`], [`hashing`], [`login`] | what an address may do; whose password is next; an attempt to log in |
//! | 1 | [`loglimit`] | how much of the operator's log is about one address |
//! | 1 | [`quota`] | how much an account may send |
//! | 1 | [`presence`] | who came and who went |
//! | 1 | [`effects`] | what is to happen once the turn is on disk |
//! | 1 | [`chat`] | sessions and commands: a line comes in, effects come out |
//! | 1 | [`net`] | the only module that names mio: a small trait over sockets, and its real one |
//! | 1 | [`mod@check`], [`repair`] | `chinwagd --check`; `--repair`, `--reset`, `--new-history` |
//! | 2 | [`reactor`] | the slab of connections; knows no chat |
//! | 3 | [`server`] | one turn of the loop; the only file that knows the order |
//! | 4 | [`flags`] | the command line |
//! | 5 | `main.rs` | listeners, clocks, logging |
//!
//! Two seams, [`net::Net`] and [`storage::Storage`], have two implementations each: the real one here and the
//! simulated one of the tests. With [`world::World`] a whole server, its sockets, disk and clock run in a test.
//!
//! # The turn
//!
//! [`server::Server::turn`]: wait, accept, expire, handle, commit, release, flush, catch up, work,
//! reap. Catching up and hashing passwords come after flush, so that what was just said waits for neither.
//!
//! # One line's way through it
//!
//! 1. *handle* reads `hello\n` into the connection's [`line::LineBuffer`], which exists only while it holds
//!    something.
//! 2. It cleans the line, [`protocol::parse`] says what it is, and [`chat::Chat::line`] stages it in the
//!    turn's [`journal::Batch`]: here it gets its timestamp and its final bytes. An [`effects::Effect::Say`] waits.
//! 3. *commit* appends all of the batch at once and syncs it. Only then is there a [`journal::Committed`], and
//!    only that gives the line's bytes back.
//! 4. *release* copies the line to the [`feed`], once. Nothing is done per receiver: each live connection's
//!    [`outbox`] is a position in the feed, and the line is now behind it.
//! 5. *flush* writes to each live connection from its position to the feed's end, in one vectored write. Who does
//!    not take it stays behind; who is too far behind becomes a reader of the file.
//!
//! # What always holds
//!
//! - No byte of a message is in a feed, an outbox or a chunk before the sync that covers it has succeeded.
//! - Positions in the feed and offsets in the log stand at the start of a line wherever a connection changes from
//!   one to the other.
//! - A connection takes no line while an answer to an earlier one is outstanding, or while much waits for its
//!   socket. So every queue is bounded by what one line can cause.
//! - A number of a connection is given again only in a later turn than the one in which it was freed.
//! - A turn does not visit idle connections, unless something was said to everyone.
//!
//! # What is deliberately absent
//!
//! Threads, an async runtime, a database, a configuration file, rooms, operators, TLS, metrics, plug-ins. The log
//! has no index: it is searched by bisection, since its timestamps rise, and read backwards for the last N, both in
//! bounded steps. What is not a message in it is [judged](judge) to be damage, passed over and reported.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod accounts;
pub mod chat;
pub mod check;
pub mod chunk;
pub mod client;
pub mod cursor;
pub mod directory;
pub mod effects;
pub mod feed;
pub mod flags;
pub mod hashing;
pub mod journal;
pub mod judge;
pub mod kdf;
pub mod limits;
pub mod line;
pub mod login;
pub mod loglimit;
pub mod marks;
pub mod name;
pub mod net;
pub mod outbox;
pub mod presence;
pub mod protocol;
pub mod proxy;
pub mod quota;
pub mod reactor;
pub mod record;
pub mod recovery;
pub mod repair;
pub mod replay;
pub mod search;
pub mod server;
pub mod storage;
pub mod subnet;
pub mod tail;
pub mod text;
pub mod throttle;
pub mod users;
pub mod users_file;
pub mod world;
