//! chinwag: a chat server for people who have nothing but `nc`, on a machine that has next to nothing.
//!
//! # The idea
//!
//! The log is the chat. A message is one line of `chat_history.txt`, formatted once: the same bytes are synced to
//! disk, sent to every client and printed by `/history`. A connection is a reader of that log. It is *live* if it
//! has seen everything up to the end, and then gets each turn's new bytes from shared memory. Otherwise it is
//! *catching up*: a [`cursor`] reads the file for it until it reaches the end. `/history`, the replay at login and
//! a connection whose socket is too slow all use the same cursor. So a slow reader costs a few integers, loses
//! nothing, and is never disconnected for being slow.
//!
//! # The layers
//!
//! A file imports only from files above it in this list; `tests/tidy.rs` enforces that.
//!
//! | layer | file | what it is |
//! |---|---|---|
//! | 0 | [`limits`] | every bound, with the relations between them |
//! | 0 | [`world`] | time and randomness, as arguments |
//! | 0 | [`name`] | an account's name |
//! | 0 | [`kdf`] | PBKDF2-HMAC-SHA256 as a value that is stepped |
//! | 0 | [`mod@line`] | splits bytes into lines: lengths, telnet, clients of other protocols |
//! | 0 | [`subnet`] | a range of IP addresses |
//! | 0 | [`proxy`] | the PROXY protocol's header, which names the client of a forwarded connection |
//! | 0 | [`text`] | the characters allowed in a message, by Unicode properties |
//! | 0 | [`record`] | a message and its line; strictly increasing timestamps; who may see a message |
//! | 0 | [`judge`] | which lines of the log are messages and which are damage |
//! | 0 | [`protocol`] | parses a line into a command |
//! | 0 | [`client`] | the client's side of the protocol, without I/O; the server does not use it |
//! | 0 | [`storage`], [`directory`] | a small trait over files, its real implementation, and all-or-nothing appends |
//! | 0 | [`recovery`] | the definition of a torn write; damage |
//! | 1 | [`tail`] | the end of the log as found at startup |
//! | 1 | [`journal`] | the log: recover, stage, commit, read |
//! | 1 | [`chunk`] | a part of the log in memory, and the text that a reader is sent of it |
//! | 1 | [`search`] | finds a place in the log, by timestamp or backwards from the end |
//! | 1 | [`replay`] | which of the missed messages a login shows |
//! | 1 | [`cursor`] | a reader's place in the log, which moves towards the end |
//! | 1 | [`feed`], [`outbox`] | the latest turns' bytes, shared by all; what one connection still has to send |
//! | 1 | [`users`] | the lines of users.txt, chained by checksums |
//! | 1 | [`accounts`] | the table of accounts: the sum of those lines |
//! | 1 | [`users_file`], [`marks`] | users.txt and seen.txt |
//! | 1 | [`throttle`], [`hashing`], [`login`] | limits per address; the hashing queue; a login attempt |
//! | 1 | [`loglimit`] | rate limits of the operator's log |
//! | 1 | [`quota`] | how much an account may send |
//! | 1 | [`presence`] | who is online, and notices of who joined and left |
//! | 1 | [`effects`] | effects, deferred until the turn's batch is durable |
//! | 1 | [`chat`] | sessions and commands: lines in, effects out |
//! | 1 | [`net`] | the only module that uses mio: a small trait over sockets, and its real implementation |
//! | 1 | [`mod@check`], [`repair`] | `chinwagd --check`; `--repair`, `--reset`, `--new-history` |
//! | 2 | [`reactor`] | the slab of connections; knows nothing of the chat |
//! | 3 | [`server`] | one turn of the loop; the only file that knows its order |
//! | 4 | [`flags`] | the command line |
//! | 5 | `main.rs` | listeners, clocks, logging |
//!
//! The traits [`net::Net`] and [`storage::Storage`] have two implementations each: the real one here and a simulated
//! one in the tests. Together with [`world::World`] they let a whole server run in a test, with its sockets, disk and
//! clock.
//!
//! # The turn
//!
//! [`server::Server::turn`]: wait, accept, expire, handle, commit, release, flush, catch up, scan, work, save read
//! marks, reap. Reading the log and hashing passwords come after flush, so that new messages wait for neither.
//!
//! # The path of a line
//!
//! 1. *handle* reads `hello\n` into the connection's [`line::LineBuffer`], which exists only while it holds
//!    something.
//! 2. It cleans the line, [`protocol::parse`] turns it into a command, and [`chat::Chat::line`] stages the message in
//!    the turn's [`journal::Batch`], which gives it its timestamp and its final bytes. An [`effects::Effect::Say`]
//!    refers to it.
//! 3. *commit* appends the whole batch at once and syncs it. Only this yields a [`journal::Committed`], the only way
//!    to the bytes of a staged line.
//! 4. *release* copies the line to the [`feed`], once. Nothing is done per recipient: each live connection's
//!    [`outbox`] is a position in the feed, and the line now lies between that and the feed's end.
//! 5. *flush* writes to each live connection from its position to the feed's end, in one vectored write. A connection
//!    whose socket does not take all of it stays behind; one that is too far behind becomes a reader of the file.
//!
//! # Invariants
//!
//! - No byte of a message is in a feed, an outbox or a chunk before the sync that covers it has succeeded.
//! - When a connection changes between the feed and the log, its position is at the start of a line in both.
//! - A connection takes no line while an answer to an earlier one is outstanding, or while much output waits for its
//!   socket. So every queue is bounded by what one line can cause.
//! - A connection's number is reused only in a later turn than the one in which it was freed.
//! - A turn does not visit idle connections, unless something was said to everyone.
//!
//! # What is deliberately absent
//!
//! Threads, an async runtime, a database, a configuration file, rooms, operators, TLS, metrics, plug-ins. The log
//! has no index: it is searched by bisection, since its timestamps increase, and read backwards for the last N, both
//! in bounded steps. Lines that are not messages are [judged](judge) to be damage, skipped and reported.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod auth;
pub mod client;
pub mod clock;
pub mod ids;
pub mod limits;
pub mod log;
pub mod protocol;
pub mod server;
pub mod session;
pub mod state;
pub mod transport;
