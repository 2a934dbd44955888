//! Every bound of the server in one place, with the relations between them asserted at compile time.
//!
//! Names end in their unit. The most that one connection can cost is the sum of its parts here; the most that all
//! can cost is that times `--max-connections`.

use std::time::Duration;

/// Microseconds: of the wall clock since the Unix epoch, or of the monotonic clock since some moment.
pub type Micros = u64;

/// One second in [`Micros`].
pub const SECOND_US: Micros = 1_000_000;

/// Length of a line on the wire or in the log, including its ending.
pub const LINE_BYTES_MAX: usize = 4096;
/// Input without a line ending after which the connection is closed.
pub const UNENDED_BYTES_MAX: u32 = 1 << 20;
/// Input of one connection that has been read but not handled.
pub const INPUT_BYTES_MAX: usize = 8192;
/// The same before the login: room for one line.
pub const INPUT_BYTES_BEFORE_LOGIN_MAX: usize = LINE_BYTES_MAX;
/// Unhandled input of up to this size waits in a buffer of its own size; the pooled one goes back.
pub const SHELVED_BYTES_MAX: usize = LINE_BYTES_MAX;
/// Lines handled for one connection in one turn.
pub const LINES_PER_TURN_MAX: u32 = 32;
/// Connections for which the tables reserve room at startup; it is only address space until it is used.
pub const CONNECTIONS_RESERVED_MAX: usize = 1 << 16;
/// Connections accepted in one turn.
pub const ACCEPTS_PER_TURN_MAX: u32 = 64;
/// Time for accepting connections in one turn.
pub const ACCEPT_SLICE_US: Micros = 500;
/// Pause of the accept loop after an error of `accept` that is not about a single connection.
pub const ACCEPT_PAUSE_US: Micros = SECOND_US / 10;

/// Staged message lines after which a turn handles no more input.
pub const BATCH_BYTES_MAX: usize = 128 << 10;
/// Pending output above which a connection's input is not read.
pub const OUTBOX_HIGH_WATER_BYTES: usize = 64 << 10;
/// Backlog in the feed above which a connection becomes a reader of the file.
pub const OUTBOX_BYTES_MAX: usize = 256 << 10;
/// The same for the bytes held for one connection alone.
pub const DIRECT_BYTES_MAX: usize = 64 << 10;
/// Pending bytes held for one connection alone above which its lines wait too.
pub const REPLY_BYTES_MAX: usize = 4 << 10;
/// The same before the login.
pub const REPLY_BYTES_BEFORE_LOGIN_MAX: usize = 512;
/// Memory that a connection may use before its login.
pub const BYTES_BEFORE_LOGIN_MAX: usize = 8 << 10;
/// Slices given to one vectored write.
pub const SLICES_PER_WRITE_MAX: usize = 64;

/// The most that a cursor reads of the log in one step.
pub const CATCH_UP_CHUNK_BYTES: usize = 64 << 10;
/// The least that it reads for a socket that takes little; more if a line is longer.
pub const CATCH_UP_CHUNK_BYTES_MIN: usize = 1 << 10;
/// The first chunk of a search backwards; the size doubles with each further chunk, up to
/// [`CATCH_UP_CHUNK_BYTES`].
pub const SEARCH_CHUNK_BYTES_MIN: usize = 8 << 10;
/// Chunks read by all cursors together in one turn.
pub const CATCH_UPS_PER_TURN_MAX: usize = 16;
/// Of these, chunks for replays at login, which come first.
pub const CATCH_UPS_OF_LOGINS_MAX: usize = 8;
/// Time for all of these in one turn; after half of it, replays at login make way for the others.
pub const CATCH_UP_SLICE_US: Micros = 500;
/// Chunks of the log verified in one turn after startup.
pub const SCAN_CHUNKS_PER_TURN: usize = 4;
/// Pause of the verification after a read error.
pub const SCAN_RETRY_US: Micros = SECOND_US;
/// Bytes of the log that have one line in `blocks.txt`.
pub const BLOCK_BYTES: usize = 64 << 10;
/// Pieces of the log, of at most [`CATCH_UP_CHUNK_BYTES`], that are added to `blocks.txt` in one turn.
pub const BLOCK_STEPS_PER_TURN: usize = 4;
/// Bytes of the log that are added to `blocks.txt` at a shutdown, and not after the next start.
pub const BLOCKS_AT_SHUTDOWN_BYTES_MAX: u64 = 1 << 20;
/// Interval between two appends to `blocks.txt`.
pub const BLOCKS_PAUSE_US: Micros = SECOND_US;
/// Lines of `blocks.txt` that wait for their append, in bytes, above which no further block is added.
pub const BLOCKS_PENDING_BYTES_MAX: usize = 128 << 10;
/// Bad lines among good ones in `blocks.txt` that are rebuilt at startup, one block of the log for each.
pub const BLOCKS_MENDED_MAX: usize = 1024;
/// Bytes of `blocks.txt` between two places that are remembered in memory.
pub const BLOCKS_PAGE_BYTES: usize = 4 << 10;
/// Lines of `blocks.txt` that a reader of private lines follows in one step.
pub const CHAIN_HOPS_PER_STEP: usize = 32;
/// Runs of blocks ahead of such a reader that are remembered.
pub const CHAIN_RUNS_MAX: usize = 64;
/// Names without an account that the server keeps reserved.
pub const RESERVED_NAMES_MAX: usize = 100_000;
/// How far the wall clock may lag behind the last message, or drift from the monotonic clock, without a warning.
pub const CLOCK_TOLERANCE_US: Micros = 60 * SECOND_US;
/// How often an account may change the state on average: enter a room, set a topic.
pub const MOVE_INTERVAL_US: Micros = SECOND_US;
/// How far its changes may be ahead of that: a burst of five.
pub const MOVE_BURST_US: Micros = 4 * MOVE_INTERVAL_US;
/// Changes that are refused in one turn.
pub const MOVES_REFUSED_PER_TURN_MAX: u32 = 16;
/// A page of the answer to `/users` and `/rooms`: the next one follows when the socket has taken it.
pub const USERS_PAGE_BYTES: usize = 4000;

/// Time that a turn spends on newcomers, on connections without a login, on reading the log and on hashing, apart from
/// the last step of each.
pub const SLICES_US: Micros = ACCEPT_SLICE_US + STRANGERS_SLICE_US + CATCH_UP_SLICE_US + WORK_SLICE_US;
/// Time for password hashing in one turn.
pub const WORK_SLICE_US: Micros = 500;
/// Hashing rounds between two checks of the clock.
pub const WORK_STEP_ROUNDS: u32 = 256;
/// Hashing rounds in one turn, whatever the clock says.
pub const WORK_ROUNDS_PER_TURN_MAX: u32 = 1 << 16;
/// Attempts waiting in the hashing queue.
pub const HASHING_QUEUE_MAX: usize = 64;
/// Changes of passwords among them.
pub const HASHING_CHANGES_MAX: usize = 16;
/// Rounds of PBKDF2-HMAC-SHA256 for a new password (OWASP, 2023).
pub const KDF_ROUNDS_DEFAULT: u32 = 600_000;
/// The most rounds of a stored password: more would delay all other logins.
pub const KDF_ROUNDS_MAX: u32 = 10_000_000;
/// Values of `--kdf-rounds` below this cause a warning.
pub const KDF_ROUNDS_WARN: u32 = 100_000;

/// Account records, including those of finished derivations, after which a turn handles no more input.
pub const USER_RECORDS_PER_TURN_MAX: usize = 3 * HASHING_QUEUE_MAX;
/// Length of a line of `users.txt`, including its ending.
pub const USER_LINE_BYTES_MAX: usize = 192;
/// One append to `users.txt`: a turn's records and those of the line that reaches the bound. A crash tears no more
/// than this.
pub const USERS_APPEND_BYTES_MAX: usize = (USER_RECORDS_PER_TURN_MAX + 8) * USER_LINE_BYTES_MAX;

/// The longest name, which is ASCII.
pub const NAME_BYTES_MAX: usize = 20;
/// The shortest password.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// The longest password.
pub const PASSWORD_BYTES_MAX: usize = 128;
/// Ways to split the words of `/passwd OLD NEW` that are tried if the passwords contain spaces.
pub const PASSWD_SPLITS_MAX: usize = 8;

/// Time from the connection to the login. Nothing extends it.
pub const LOGIN_GRACE_US: Micros = 60 * SECOND_US;
/// Extra time for a login that is being checked when [`LOGIN_GRACE_US`] is over.
pub const LOGIN_VERDICT_US: Micros = 30 * SECOND_US;
/// Time for sending the last words to a connection that is not logged in.
pub const GOODBYE_US: Micros = 10 * SECOND_US;
/// Length of a PROXY protocol header: what fits into the first segment of any connection.
pub const PROXY_HEADER_BYTES_MAX: usize = 536;
/// Connections evicted in one turn. Each keeps its descriptor until the end of the turn.
pub const EVICTIONS_PER_TURN_MAX: usize = 16;
/// Connections of one address that are not logged in.
pub const CONNECTIONS_PER_ADDRESS: u32 = 32;
/// Accounts registered from one address within [`REGISTRATION_WINDOW_US`].
pub const REGISTRATIONS_PER_ADDRESS: u32 = 10;
/// The window for [`REGISTRATIONS_PER_ADDRESS`].
pub const REGISTRATION_WINDOW_US: Micros = 3600 * SECOND_US;
/// Ratio of the limits of an IPv6 /48 to those of a /64 in it.
pub const WIDE_FACTOR: u32 = 4;
/// New accounts within an hour, from all addresses together; `--accounts-per-hour`.
pub const ACCOUNTS_PER_HOUR: u32 = 100;
/// Accounts in all; `--max-accounts`.
pub const ACCOUNTS_MAX: usize = 100_000;
/// Rooms that an account may be in, unless told otherwise.
pub const ROOMS_PER_ACCOUNT_MAX: usize = 200;
/// Rooms in all, unless told otherwise.
pub const ROOMS_MAX: usize = 10_000;
/// Members of a room, unless told otherwise.
pub const MEMBERS_MAX: usize = 10_000;
/// Bytes of a topic or a reason, unless told otherwise.
pub const TOPIC_BYTES_MAX: usize = 300;
/// Weight of a failed login on its address. The weight drains as time passes.
pub const FAILURE_US: Micros = 3600 * SECOND_US;
/// Failed logins of an address after which the next one has to wait.
pub const FAILURES_FREE: u64 = 3;
/// The most failures that are counted: after a day without failures all are forgotten.
pub const FAILURES_MAX: u64 = 24;
/// The first delay after failed logins of an address; each further failure doubles it.
pub const FAILURE_DELAY_MIN_US: Micros = 5 * SECOND_US;
/// The longest delay after failed logins of an address.
pub const FAILURE_DELAY_MAX_US: Micros = 3600 * SECOND_US;
/// Weight of a refused attempt on its address.
pub const PRESSURE_US: Micros = 10 * SECOND_US;
/// The largest weight of all refused attempts of an address.
pub const PRESSURE_MAX_US: Micros = FAILURE_US / 3;
/// Interval between two attempts of strangers at one account.
pub const STRANGER_PAUSE_US: Micros = 5 * SECOND_US;
/// Attempts of strangers at one account that wait while it is under attack.
pub const STRANGERS_WAITING_MAX: usize = 3;
/// Familiar addresses remembered for each account: those it was logged in to from.
pub const FAMILIAR_ADDRESSES_MAX: usize = 4;
/// Addresses, and pairs of address and account, remembered for their failures; and registrations of the last hour.
pub const THROTTLE_ENTRIES_MAX: usize = 16_384;
/// How long a login token is valid.
pub const TOKEN_US: Micros = 30 * 24 * 3600 * SECOND_US;
/// Time in which an account is issued at most as many tokens as it can hold.
pub const TOKEN_WINDOW_US: Micros = 3600 * SECOND_US;
/// How long a code for choosing a new password is valid.
pub const CODE_US: Micros = 24 * 3600 * SECOND_US;
/// Sessions of one account.
pub const SESSIONS_PER_ACCOUNT_MAX: u32 = 16;

/// Lines per second that an account, or a connection before its login, may send; `--rate`.
pub const RATE_LINES_PER_SECOND: u32 = 10;
/// The burst is this many seconds' worth of the rate.
pub const RATE_BURST_SECONDS: u64 = 2;

/// What an attempt to log in or to register costs a connection of its rate before the login.
pub const ATTEMPT_US: Micros = SECOND_US;
/// Lines of connections that are not logged in that one turn handles, all of them together.
pub const STRANGERS_LINES_PER_TURN_MAX: u32 = 64;
/// Time for handling them in one turn.
pub const STRANGERS_SLICE_US: Micros = 1_000;

/// Burst of lines in the operator's log about one address. Each [`LOG_INTERVAL_US`] allows one more.
pub const LOG_BURST: u64 = 60;
/// See [`LOG_BURST`].
pub const LOG_INTERVAL_US: Micros = 2 * SECOND_US;
/// The same for all addresses together.
pub const LOG_ALL_BURST: u64 = 1000;
/// See [`LOG_ALL_BURST`].
pub const LOG_ALL_INTERVAL_US: Micros = SECOND_US / 10;
/// Addresses whose log lines are counted; lines about others are left out while the table is full.
pub const LOG_ORIGINS_MAX: usize = 4096;
/// Interval between two reports of how many lines were left out.
pub const LOG_REPORT_PAUSE_US: Micros = 10 * SECOND_US;

/// A day.
pub const DAY_US: Micros = 86_400 * SECOND_US;
/// Bytes of messages that an account may add to the log in a day; `--daily-bytes`.
pub const DAILY_BYTES: u64 = 64 << 20;
/// The same on the first day of an account; `--first-day-bytes`.
pub const FIRST_DAY_BYTES: u64 = 4 << 20;
/// Accounts whose usage is remembered before outdated entries are dropped.
pub const QUOTA_ENTRIES_MIN: usize = 1024;

/// Missed public messages shown at login; `--replay`.
pub const REPLAY_DEFAULT: u32 = 50;
/// Missed private messages from each sender shown at login.
pub const REPLAY_PRIVATE_MAX: u64 = 200;
/// Senders whose private messages are counted one by one for that; all others count as one.
pub const REPLAY_SENDERS_MAX: usize = 64;
/// Bytes of a replay that are sent before the session accepts lines.
pub const REPLAY_BYTES_BEFORE_LINES: usize = 64 << 10;
/// Steps of a replay after which the session accepts lines, even if nothing has been sent.
pub const REPLAY_STEPS_BEFORE_LINES: u32 = 64;
/// Interval between two presence notices.
pub const PRESENCE_PAUSE_US: Micros = SECOND_US;
/// Names written out in such a notice, before "and N others".
pub const PRESENCE_NAMES_MAX: usize = 5;
/// RawMode after which a session's peer may be dead: a login is shown again what only such sessions were sent.
pub const SILENT_US: Micros = 30 * SECOND_US;
/// Interval between two saves of the read markers.
pub const SEEN_PAUSE_US: Micros = SECOND_US;
/// Read markers written in one such save because messages came, besides those of accounts that logged in or left.
pub const SEEN_PER_SAVE_MAX: usize = 256;
/// Interval between two checks, while something is committed, that the files are still at their paths.
pub const LOOK_PAUSE_US: Micros = SECOND_US;
/// Growth of `seen.txt` after which it is rewritten, if it is also four times as long as after the last rewrite.
pub const SEEN_COMPACT_BYTES: u64 = 8 << 20;
/// Lines of `users.txt` from which on a start rewrites it if most of them are outdated.
pub const USERS_COMPACT_LINES: usize = 100;
/// The same as [`SEEN_COMPACT_BYTES`] for `state.txt`.
pub const STATE_COMPACT_BYTES: u64 = 1 << 20;

/// Time after which a socket that accepts none of its pending output is closed.
pub const STALL_US: Micros = 600 * SECOND_US;
/// How long a closed connection's remaining input is read and discarded, so that the last answer arrives.
pub const LINGER_US: Micros = 2 * SECOND_US;
/// Interval between two reads of what a closed connection still sends, if it sends much.
pub const DISCARD_PAUSE_US: Micros = SECOND_US / 20;
/// Time for flushing pending output at shutdown.
pub const SHUTDOWN_FLUSH_US: Micros = 2 * SECOND_US;
/// Idle time before TCP keepalive probes the peer.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Interval between keepalive probes.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How much of the end of the log is read at startup. The tail that a crash can tear lies within it.
pub const RECOVERY_BYTES: usize = 512 << 10;
/// Events that wait to be copied to `state.txt`. If there are more, it is rewritten.
pub const STATE_EVENTS_MAX: usize = 4096;
/// Entries that a table keeps room for when it shrinks after a burst.
pub const TABLE_ENTRIES_MIN: usize = 16;
/// Input buffers kept for reuse. Connections need them one at a time.
pub const POOLED_INPUTS_MAX: usize = 4;
/// Outbox buffers kept for reuse.
pub const POOLED_OUTBOXES_MAX: usize = 1024;
/// The largest outbox buffer that is kept.
pub const POOLED_OUTBOX_BYTES_MAX: usize = 3 << 10;

const _: () = {
    assert!(INPUT_BYTES_MAX >= 2 * LINE_BYTES_MAX, "a whole line fits behind the rest of another");
    assert!(OUTBOX_HIGH_WATER_BYTES < OUTBOX_BYTES_MAX);
    assert!(
        BATCH_BYTES_MAX + LINE_BYTES_MAX <= OUTBOX_BYTES_MAX,
        "one turn's messages never turn a drained live connection into a reader of the file"
    );
    assert!(INPUT_BYTES_BEFORE_LOGIN_MAX >= LINE_BYTES_MAX, "a whole line fits");
    assert!(
        PROXY_HEADER_BYTES_MAX <= INPUT_BYTES_BEFORE_LOGIN_MAX,
        "a header and what follows it fit into a read"
    );
    assert!(
        512 + INPUT_BYTES_BEFORE_LOGIN_MAX + POOLED_OUTBOX_BYTES_MAX <= BYTES_BEFORE_LOGIN_MAX,
        "a connection, its input and its output before the login"
    );
    assert!(CATCH_UP_CHUNK_BYTES >= 2 * LINE_BYTES_MAX, "a chunk holds at least one whole line");
    assert!(SEARCH_CHUNK_BYTES_MIN >= 2 * LINE_BYTES_MAX);
    assert!(CATCH_UP_CHUNK_BYTES >= BLOCK_BYTES, "a block is verified in one read");
    assert!(CATCH_UP_CHUNK_BYTES <= u32::MAX as usize, "ranges within a chunk are kept in 32 bits");
    assert!(RECOVERY_BYTES >= 2 * (BATCH_BYTES_MAX + LINE_BYTES_MAX), "recovery sees all of the last batch");
    assert!(USERS_PAGE_BYTES + NAME_BYTES_MAX + 16 <= LINE_BYTES_MAX);
    assert!(PASSWORD_BYTES_MIN < PASSWORD_BYTES_MAX && PASSWORD_BYTES_MAX < LINE_BYTES_MAX / 2);
    assert!(KDF_ROUNDS_WARN <= KDF_ROUNDS_DEFAULT);
};
