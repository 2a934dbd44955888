//! Every bound of the server in one place, with the relations between them asserted at compile time.
//!
//! Units come last in the names. What one connection can cost at most is the sum of its parts here; what all
//! can cost is that times `--max-connections`.

use std::time::Duration;

/// Microseconds: of the wall clock since the Unix epoch, or of the monotonic clock since some moment.
pub type Micros = u64;

/// One second in [`Micros`].
pub const SECOND_US: Micros = 1_000_000;

/// A line on the wire or in the log, its ending included.
pub const LINE_BYTES_MAX: usize = 4096;
/// What may come without a line ending before the connection is closed.
pub const UNENDED_BYTES_MAX: u32 = 1 << 20;
/// Input of one connection that is read but not handled yet.
pub const INPUT_BYTES_MAX: usize = 8192;
/// The same before the login: room for one line.
pub const INPUT_BYTES_BEFORE_LOGIN_MAX: usize = LINE_BYTES_MAX;
/// Unhandled input of up to this size waits in a buffer of its own size; the pooled one goes back.
pub const SHELVED_BYTES_MAX: usize = LINE_BYTES_MAX;
/// Lines handled for one connection in one turn.
pub const LINES_PER_TURN_MAX: u32 = 32;
/// Connections for which the tables have room from the start; address space only, until they come.
pub const CONNECTIONS_RESERVED_MAX: usize = 1 << 16;
/// Connections accepted in one turn.
pub const ACCEPTS_PER_TURN_MAX: u32 = 64;
/// How long nothing is accepted after an error of `accept` that is not the newcomer's own.
pub const ACCEPT_PAUSE_US: Micros = SECOND_US / 10;

/// Messages of one turn, as lines: no more lines are handled in a turn that has staged this much.
pub const BATCH_BYTES_MAX: usize = 128 << 10;
/// With more than this waiting for its socket, a connection's input is not read.
pub const OUTBOX_HIGH_WATER_BYTES: usize = 64 << 10;
/// With more than this of the feed waiting for its socket, a connection becomes a reader of the file.
pub const OUTBOX_BYTES_MAX: usize = 256 << 10;
/// The same for bytes held for one connection alone.
pub const OWN_BYTES_MAX: usize = 64 << 10;
/// With more than this waiting for its socket of what is held for it alone, a connection's lines wait too.
pub const REPLY_BYTES_MAX: usize = 4 << 10;
/// The same before the login.
pub const REPLY_BYTES_BEFORE_LOGIN_MAX: usize = 512;
/// All that a connection may cost before its login.
pub const BYTES_BEFORE_LOGIN_MAX: usize = 8 << 10;
/// Slices given to one vectored write.
pub const SLICES_PER_WRITE_MAX: usize = 64;

/// The most that a cursor reads of the log in one step.
pub const CATCH_UP_CHUNK_BYTES: usize = 64 << 10;
/// What it reads at least for a socket that takes little, unless a line is longer.
pub const CATCH_UP_CHUNK_BYTES_MIN: usize = 1 << 10;
/// The first chunk of a search backwards; each further one doubles, up to [`CATCH_UP_CHUNK_BYTES`].
pub const SEARCH_CHUNK_BYTES_MIN: usize = 8 << 10;
/// Chunks read by all cursors together in one turn.
pub const CATCH_UPS_PER_TURN_MAX: usize = 16;
/// Of these, for readers of what they missed at their login, who come first.
pub const CATCH_UPS_OF_LOGINS_MAX: usize = 8;
/// Chunks of the log verified in one turn after startup.
pub const SCAN_CHUNKS_PER_TURN: usize = 4;
/// How long that waits after an error.
pub const SCAN_RETRY_US: Micros = SECOND_US;
/// Names without an account that are kept reserved.
pub const RESERVED_NAMES_MAX: usize = 100_000;
/// What the wall clock may be behind the last message, or off from the monotonic clock, without a warning.
pub const CLOCK_TOLERANCE_US: Micros = 60 * SECOND_US;
/// Names listed by `/users` before the asker's socket must have taken them.
pub const USERS_PAGE_BYTES: usize = 4000;

/// A slice of password hashing in one turn.
pub const WORK_SLICE_US: Micros = 2_000;
/// Rounds between two looks at the clock within a slice.
pub const WORK_STEP_ROUNDS: u32 = 256;
/// Rounds in one turn whatever the clock says.
pub const WORK_ROUNDS_PER_TURN_MAX: u32 = 1 << 16;
/// Logins and registrations waiting for their turn at hashing.
pub const HASHING_QUEUE_MAX: usize = 64;
/// Changes of passwords among them.
pub const HASHING_CHANGES_MAX: usize = 16;
/// Rounds of PBKDF2-HMAC-SHA256 for a new password (OWASP, 2023).
pub const KDF_ROUNDS_DEFAULT: u32 = 600_000;
/// Rounds of a stored password, at most: more would keep all other logins waiting.
pub const KDF_ROUNDS_MAX: u32 = 10_000_000;
/// Below this `--kdf-rounds` warns.
pub const KDF_ROUNDS_WARN: u32 = 100_000;

/// Account records of one turn, those of finished derivations included: no more lines are handled in a turn that
/// has so many.
pub const USER_RECORDS_PER_TURN_MAX: usize = 3 * HASHING_QUEUE_MAX;
/// A line of `users.txt`, with its ending.
pub const USER_LINE_BYTES_MAX: usize = 192;
/// One append to `users.txt`: a turn's records and those of the line that it ends with. A crash tears no more.
pub const USERS_APPEND_BYTES_MAX: usize = (USER_RECORDS_PER_TURN_MAX + 8) * USER_LINE_BYTES_MAX;

/// A name, in ASCII.
pub const NAME_BYTES_MAX: usize = 20;
/// A password, at least.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// A password, at most.
pub const PASSWORD_BYTES_MAX: usize = 128;
/// Ways to divide the words of `/passwd OLD NEW` that are tried, where passwords have spaces.
pub const PASSWD_SPLITS_MAX: usize = 8;

/// From the connect to the login. Nothing extends it.
pub const LOGIN_GRACE_US: Micros = 60 * SECOND_US;
/// How long a login that is being checked when that is over may still take.
pub const LOGIN_VERDICT_US: Micros = 30 * SECOND_US;
/// How long the last words to a connection without a login may take.
pub const GOODBYE_US: Micros = 10 * SECOND_US;
/// A header of the PROXY protocol: what fits into the first segment of any connection.
pub const PROXY_HEADER_BYTES_MAX: usize = 536;
/// Connections that yield to others in one turn, each of which needs a descriptor until the end of it.
pub const EVICTIONS_PER_TURN_MAX: usize = 16;
/// Connections of one address that are not logged in.
pub const CONNECTIONS_PER_ADDRESS: u32 = 32;
/// Accounts made from one address within [`REGISTRATION_WINDOW_US`].
pub const REGISTRATIONS_PER_ADDRESS: u32 = 10;
/// The window for [`REGISTRATIONS_PER_ADDRESS`].
pub const REGISTRATION_WINDOW_US: Micros = 3600 * SECOND_US;
/// How many times as much as an IPv6 network of 64 bits the one of 48 bits around it may do.
pub const WIDE_FACTOR: u32 = 4;
/// New accounts within an hour, from all addresses together; `--accounts-per-hour`.
pub const ACCOUNTS_PER_HOUR: u32 = 100;
/// Accounts in all; `--max-accounts`.
pub const ACCOUNTS_MAX: usize = 100_000;
/// What a failed login weighs on its address: that drains as time goes by.
pub const FAILURE_US: Micros = 3600 * SECOND_US;
/// Failed logins of an address after which the next one has to wait.
pub const FAILURES_FREE: u64 = 3;
/// The most failures that are counted: after a day without one all are forgotten.
pub const FAILURES_MAX: u64 = 24;
/// The first delay after failed logins of an address; each further failure doubles it.
pub const FAILURE_DELAY_MIN_US: Micros = 5 * SECOND_US;
/// The longest delay after failed logins of an address.
pub const FAILURE_DELAY_MAX_US: Micros = 3600 * SECOND_US;
/// What a refused attempt weighs on its address.
pub const PRESSURE_US: Micros = 10 * SECOND_US;
/// The most that refused attempts weigh.
pub const PRESSURE_MAX_US: Micros = FAILURE_US / 3;
/// Between two attempts of strangers at one account.
pub const STRANGER_PAUSE_US: Micros = 5 * SECOND_US;
/// Attempts of strangers that wait for one account once it is guessed at.
pub const STRANGERS_WAITING_MAX: usize = 3;
/// Addresses remembered for each account from which it was logged in to.
pub const FAMILIAR_ADDRESSES_MAX: usize = 4;
/// Addresses, and pairs of address and account, remembered for their failures; and registrations of the last hour.
pub const THROTTLE_ENTRIES_MAX: usize = 16_384;
/// How long a login token is good.
pub const TOKEN_US: Micros = 30 * 24 * 3600 * SECOND_US;
/// An account is given no more tokens within this time than it can have.
pub const TOKEN_WINDOW_US: Micros = 3600 * SECOND_US;
/// How long a code for choosing a new password is good.
pub const CODE_US: Micros = 24 * 3600 * SECOND_US;
/// Sessions of one account.
pub const SESSIONS_PER_ACCOUNT_MAX: u32 = 16;

/// Lines a second that an account may send, or a connection without a login; `--rate`.
pub const RATE_LINES_PER_SECOND: u32 = 10;
/// The burst is this many seconds' worth of the rate.
pub const RATE_BURST_SECONDS: u64 = 2;

/// Lines of the operator's log about one address at once, and the time after which there may be another.
pub const LOG_BURST: u64 = 60;
/// See [`LOG_BURST`].
pub const LOG_INTERVAL_US: Micros = 2 * SECOND_US;
/// The same for all addresses together.
pub const LOG_ALL_BURST: u64 = 1000;
/// See [`LOG_ALL_BURST`].
pub const LOG_ALL_INTERVAL_US: Micros = SECOND_US / 10;
/// Addresses whose lines are counted; lines about others are left out while these are busy.
pub const LOG_ORIGINS_MAX: usize = 4096;
/// Between two reports of how many lines were left out.
pub const LOG_REPORT_PAUSE_US: Micros = 10 * SECOND_US;

/// A day.
pub const DAY_US: Micros = 86_400 * SECOND_US;
/// Bytes of messages that an account may add to the log in a day; `--daily-bytes`.
pub const DAILY_BYTES: u64 = 64 << 20;
/// The same on the first day of an account; `--first-day-bytes`.
pub const FIRST_DAY_BYTES: u64 = 4 << 20;
/// Accounts whose use is remembered before outdated entries are dropped.
pub const QUOTA_ENTRIES_MIN: usize = 1024;

/// Public messages of what one missed, shown at login; `--replay`.
pub const REPLAY_DEFAULT: u32 = 50;
/// Private messages from each sender shown at login.
pub const REPLAY_PRIVATE_MAX: u64 = 200;
/// Senders whose private messages are counted one by one for that; all others count as one.
pub const REPLAY_SENDERS_MAX: usize = 64;
/// Bytes of a replay that are sent before the session accepts lines.
pub const REPLAY_BYTES_BEFORE_LINES: usize = 64 << 10;
/// Steps of a replay after which the session accepts lines, even if nothing was sent yet.
pub const REPLAY_STEPS_BEFORE_LINES: u32 = 64;
/// Between two notices of who came or went.
pub const PRESENCE_PAUSE_US: Micros = SECOND_US;
/// Names written out in such a notice, before "and N others".
pub const PRESENCE_NAMES_MAX: usize = 5;
/// A session that was not heard from for this long may have a dead peer: a login is shown again what only such
/// sessions were sent.
pub const SILENT_US: Micros = 30 * SECOND_US;
/// Between two saves of how far accounts have read.
pub const SEEN_PAUSE_US: Micros = SECOND_US;
/// Accounts saved in one of those because messages came, besides those that logged in or left.
pub const SEEN_PER_SAVE_MAX: usize = 256;
/// Between two looks at the paths of the files, while something is committed.
pub const LOOK_PAUSE_US: Micros = SECOND_US;
/// `seen.txt` is rewritten once it has grown by this much, and to four times what it needs.
pub const SEEN_COMPACT_BYTES: u64 = 8 << 20;

/// A socket that takes nothing for this long while it has something to take is closed.
pub const STALL_US: Micros = 600 * SECOND_US;
/// How long a closed connection's remaining input is read and thrown away, so that the last answer arrives.
pub const LINGER_US: Micros = 2 * SECOND_US;
/// Between two looks at what a closed connection still sends, if it sends much.
pub const DISCARD_PAUSE_US: Micros = SECOND_US / 20;
/// How long the last bytes may take at a shutdown.
pub const SHUTDOWN_FLUSH_US: Micros = 2 * SECOND_US;
/// Silence before TCP keepalive asks whether the peer is there.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Between its questions.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How far back from the end a start looks at the log. The tail that a crash can tear lies within it.
pub const RECOVERY_BYTES: usize = 512 << 10;
/// Input buffers kept for reuse; connections need them one after the other.
pub const POOLED_INPUTS_MAX: usize = 4;
/// Lists of own bytes kept for reuse.
pub const POOLED_OUTBOXES_MAX: usize = 1024;
/// The largest of those.
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
    assert!(CATCH_UP_CHUNK_BYTES <= u32::MAX as usize, "ranges within a chunk are kept in 32 bits");
    assert!(RECOVERY_BYTES >= 2 * (BATCH_BYTES_MAX + LINE_BYTES_MAX), "recovery sees all of the last batch");
    assert!(USERS_PAGE_BYTES + NAME_BYTES_MAX + 16 <= LINE_BYTES_MAX);
    assert!(PASSWORD_BYTES_MIN < PASSWORD_BYTES_MAX && PASSWORD_BYTES_MAX < LINE_BYTES_MAX / 2);
    assert!(KDF_ROUNDS_WARN <= KDF_ROUNDS_DEFAULT);
};
