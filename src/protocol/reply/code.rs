//! The codes of errors. They stay as they are, whatever becomes of the words.

macro_rules! codes {
    ($($name:ident = $code:literal)+) => {
        $(#[allow(missing_docs, reason = "the README's table says what each of them means")]
        pub const $name: &str = $code;)+

        /// Every code.
        pub const ALL: &[&str] = &[$($name),+];
    };
}

codes! {
    ALREADY_DONE = "already-done"
    ALREADY_LOGGED_IN = "already-logged-in"
    BAD_CODE = "bad-code"
    BAD_LOGIN = "bad-login"
    BAD_NAME = "bad-name"
    BAD_PASSWORD = "bad-password"
    BAD_TOKEN = "bad-token"
    BAD_USAGE = "bad-usage"
    BUSY = "busy"
    DAMAGED = "damaged"
    HISTORY_UNAVAILABLE = "history-unavailable"
    LINE_TOO_LONG = "line-too-long"
    LOGIN_TIMEOUT = "login-timeout"
    NAME_TAKEN = "name-taken"
    NOT_ALLOWED = "not-allowed"
    NOT_MEMBER = "not-member"
    NO_RANDOMNESS = "no-randomness"
    NO_SUCH_ROOM = "no-such-room"
    NO_SUCH_USER = "no-such-user"
    NO_TLS = "no-tls"
    NOT_LOGGED_IN = "not-logged-in"
    NOT_SAVED = "not-saved"
    OVER_QUOTA = "over-quota"
    REGISTRATION_CLOSED = "registration-closed"
    REPLACED = "replaced"
    ROOM_TAKEN = "room-taken"
    SERVER_FULL = "server-full"
    SIGNED_OUT = "signed-out"
    TOO_MANY_ACCOUNTS = "too-many-accounts"
    TOO_MANY_CONNECTIONS = "too-many-connections"
    TOO_MANY_FAILURES = "too-many-failures"
    TOO_MANY_MEMBERS = "too-many-members"
    TOO_MANY_ROOMS = "too-many-rooms"
    TOO_MANY_TOKENS = "too-many-tokens"
    UNFINISHED_LINE = "unfinished-line"
    UNKNOWN_COMMAND = "unknown-command"
}
