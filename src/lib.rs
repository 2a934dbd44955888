//! chinwag: a chat server for people who have nothing but `nc`, on a machine that has next to nothing.
//!
//! # The idea
//!
//! The log is the chat. A message is one line of `chat_history.txt`, formatted once: the same bytes are synced to
//! disk, sent to every client and printed by `/history`. A connection is a reader of that log. It is *live* if it has
//! seen everything up to the end, and then gets each turn's new bytes from shared memory. Otherwise it is *catching
//! up*: a [`cursor`](log::cursor) reads the file for it until it reaches the end. `/history`, the replay at login and
//! a connection whose socket is too slow all use the same cursor. So a slow reader costs a few integers, loses
//! nothing, and is never disconnected for being slow.
//!
//! # The layers
//!
//! A file imports only from files above it: from those before it in its row, and from the rows above.
//! `tests/tidy.rs` enforces that. A file that is not listed is a part of the module in whose folder it is.
//!
//! | folder | files, the lowest first | what it is |
//! |---|---|---|
//! | `src/` | `limits`, `clock`, `ids` | every bound; time and randomness, as arguments; what numbers stand for |
//! | [`protocol`] | `name`, `room`, `time`, `wording`, `event`, `line`, `text`, `record`, `reply`, `command` | bytes to values and back, for everyone |
//! | [`client`] | `words` | the client's side of the protocol; the server does not use it |
//! | [`log`] | `offset`, `storage`, `directory`, `cache`, `recovery`, `judge`, `mark`, `tail`, `blocks`, `journal`, `reader`, `chunk`, `search`, `replay`, `chain`, `cursor` | files: appended to, recovered, searched and read |
//! | [`auth`] | `kdf`, `credential`, `attempt`, `throttle`, `queue` | logins: checked, limited and queued |
//! | [`state`] | `users`, `event`, `accounts`, `rooms`, `durable`, `checkpoint`, `users_file`, `marks` | events and their sum; read markers; what is known of the files; the files of all three |
//! | [`transport`] | `subnet`, `proxy`, `net`, `feed`, `outbox`, `reactor` | sockets, and the bytes that wait for them; knows nothing of the chat |
//! | [`session`] | `quota`, `presence`, `effects` | sessions and commands: lines in, effects out |
//! | [`server`] | `loglimit`, `check`, `repair` | one turn of the loop; the command line and its tools |
//!
//! On top is `main.rs`: listeners, clocks, logging.
//!
//! The traits [`transport::net::Net`] and [`log::storage::Storage`] have two implementations each: the real one here
//! and a simulated one in the tests. Together with [`clock::World`] they let a whole server run in a test, with its
//! sockets, disk and clock.
//!
//! # The turn
//!
//! [`server::Server::turn`]: wait, handle, commit, release, flush, accept, expire, catch up, scan, handle strangers,
//! work, index, save read marks, reap. All that follows flush is bounded and is for those who can wait: newcomers,
//! readers of the log, connections without a login, and the hashing of passwords and of blocks of the log. The turn's
//! messages are sent by then; one that arrives meanwhile waits for the rest of the turn.
//!
//! # Events and the state
//!
//! Everything durable is an [event](state::event): a message, something done in a room, or an account record of
//! `users.txt`. The [state](state::durable) is the sum of all events: the accounts, their tokens and codes, the
//! reserved names, and the [rooms](state::rooms) with their members. [`admit`](state::durable::State::admit) says
//! whether an event may follow those before it, and [`apply`](state::durable::State::apply) alone changes the state.
//! An account record is admitted when it is staged and applied when it is committed. A turn takes any number of them,
//! but each name once: whatever else depends on that name is postponed to the next turn and judged by the new state.
//! So a record that the state refuses is never in a file. A start, `--check` and `--repair` read the files with the
//! same two functions; a record that is refused there shows that the file was altered. Messages change nothing,
//! because their authors and recipients have accounts. Only the log of a server that has lost accounts holds other
//! names, which the scan after a start reserves.
//!
//! What is done in a room, a [`Deed`](protocol::event::Deed), is a line of the log. It can depend on several names, so
//! a turn takes one of them at most, as the last thing it stages. A command that changes a room waits for that in a
//! queue, in which accounts take turns; so each is judged by a state that has everything before it.
//!
//! `state.txt` holds the events that make up the rooms as they were at some place of the log, followed by those since.
//! A start applies them and then what the log holds behind that place. Without such a copy it applies the whole log,
//! and logins wait until then. A log with an event of an unknown kind is refused, because nobody can tell what it
//! changes.
//!
//! # The path of a line
//!
//! 1. *handle* reads `hello\n` into the connection's [`protocol::line::LineBuffer`], which exists only while it holds
//!    something.
//! 2. If the connection waits for nothing, which `server/waiting.rs` decides, *handle* cleans the line.
//!    [`protocol::command::parse`] turns it into a command, and [`session::Chat::line`] stages the message, if the
//!    state admits it, in the turn's [`log::journal::Batch`], which gives it its timestamp and its final bytes. An
//!    [`session::effects::Effect::Say`] refers to it.
//! 3. *commit* appends the whole batch to the log at once and syncs it, and then does the same with the turn's account
//!    records and `users.txt`. A refused write refuses everything after it. Only commit yields the `Gate` that release
//!    needs, and only through that is there a [`log::journal::Committed`], the only way to the bytes of a staged line.
//! 4. *release* copies the line to the [`transport::feed`], once. Nothing is done per recipient: each live
//!    connection's [`transport::outbox`] is a position in the feed, and the line now lies between that and the feed's
//!    end.
//! 5. *flush* writes to each live connection from its position to the feed's end, in one vectored write. A connection
//!    whose socket does not take all of it stays behind; one that is too far behind becomes a reader of the file.
//!
//! A line in a room is an [`Effect::SayInRoom`](session::effects::Effect::SayInRoom). Only the room's members may see
//! it, so release stores it once in a second buffer of the feed, and each live session of a member gets a range of
//! that in its outbox; lines that follow each other in one room are one range. A session that is catching up reads the
//! line in the log, where the state says which rooms' lines it is shown.
//!
//! A command that changes a room goes another way from 2 on: the session waits in `session/moves.rs`. In a later part
//! of its turn, or in a later turn, `Chat::stage_move` takes it, the state admits it, and its line is staged behind
//! all others of the turn. An [`Effect::Deed`](session::effects::Effect::Deed) refers to it. *release* reads the
//! committed line back and applies it to the state with `Chat::apply_line`, adds it to `state.txt`, sends it to the
//! room and to whom it concerns, and lets the session go on.
//!
//! # Invariants
//!
//! - No byte of a message is in a feed, an outbox or a chunk before the sync that covers it has succeeded.
//! - An account record is saved only after all messages of its turn.
//! - The state is what the committed events add up to; a restart finds the same one.
//! - A line of a room is shown to an account only if the state says that it may see it: it is a member, and of a
//!   private room since before the line; or the line is an invitation or a removal of that account.
//! - `blocks.txt` has no line of bytes that are not on disk. After a start, no line of the log is used before its block
//!   was verified.
//! - When a connection changes between the feed and the log, its position is at the start of a line in both.
//! - A connection takes no line while an answer to an earlier one is outstanding, or while much output waits for its
//!   socket. So every queue is bounded by what one line can cause.
//! - A connection's number is reused only when no effect that names its former owner is left.
//! - A turn does not visit idle connections, unless something was said to everyone.
//!
//! # What is deliberately absent
//!
//! Threads, an async runtime, a database, a configuration file, operators, TLS, metrics, plug-ins. The log
//! has no index but [`blocks.txt`](log::blocks), which can be rebuilt from it. It is searched by bisection, since its
//! timestamps increase, and read backwards for the last N, both in bounded steps. Lines that are not messages are
//! [judged](log::judge) to be damage, and so is whatever was changed since it was written; all of that is skipped and
//! reported.

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
