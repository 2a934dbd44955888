//! Errors: what the server refuses, and why it ends a connection.

use super::code;
use crate::limits::{NAME_BYTES_MAX, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};
use crate::protocol::name::Name;
use crate::protocol::record::Timestamp;
use crate::protocol::room::RoomName;
use crate::protocol::wording::wordings;

wordings! {
    /// An error.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    Error {
        /// A login in a session that is logged in.
        AlreadyLoggedIn { name: Name } ["you are logged in as " name "; /quit first"]
        /// A wrong code for choosing a new password.
        BadCode ["the code is unknown, has been used or has expired"]
        /// The login failed.
        BadLogin ["wrong name or password"]
        /// A change of the password began with a wrong one.
        WrongPassword ["wrong password"]
        /// What a name is: a letter and at most so many other characters.
        BadName { others: u64 } ["a name is a letter followed by up to " others " letters, digits, - or _"]
        /// A name that cannot be registered.
        OfficialName { name: Name } [name " could be mistaken for the server"]
        /// What a password is.
        BadPassword { min: u64, max: u64 }
            ["a password must have " min " to " max " bytes and no control characters"]
        /// What the two passwords of `/passwd` are.
        BadPasswords { min: u64, max: u64 }
            ["OLD and NEW must have " min " to " max " bytes each and no control characters"]
        /// The token logs nobody in.
        BadToken ["the token is unknown or has expired; log in with your password"]
        /// A command after blanks.
        IndentedCommand ["a command must begin in the first column; nothing was sent"]
        /// A line in which what was erased can still be read.
        ErasedCommand ["what you erased is still part of the line; nothing was sent"]
        /// Too many attempts wait.
        Busy ["too many logins are waiting; please try again"]
        /// A part of the history is damaged.
        Damaged { bytes: u64, at: Timestamp } [bytes " bytes at " at " cannot be shown"]
        /// The history cannot be read.
        HistoryUnavailable ["the server cannot read its history; nothing is lost, but come back later"]
        /// A line from a client was too long.
        LineTooLong { limit: u64 } ["a line may have at most " limit " bytes with its ending; it was skipped"]
        /// A line from a client had no end.
        EndlessLine { bytes: u64 } [bytes " bytes came without a line ending"]
        /// A message would be too long by so many bytes.
        MessageTooLong { over: u64 } ["with time and names, the message is " over " bytes too long"]
        /// Nobody logged in.
        LoginTimeout { seconds: u64 } ["you did not log in within " seconds " s"]
        /// There is an account of this name.
        NameTaken { name: Name } [name " is already registered"]
        /// The name looks like that of an account.
        NameLooksLike { name: Name, other: Name } [name " looks like " other ", which is taken"]
        /// The name looks like one in the history.
        NameLooksTaken { name: Name } [name " looks like a name that is taken"]
        /// There is nothing to make a salt or a token of.
        NoRandomness ["the server's system provided no random bytes; please try again"]
        /// Not a name at all.
        NotAName ["that is not a name"]
        /// No account has this name.
        NoSuchUser { name: Name } ["nobody is called " name]
        /// What a room's name is: a sign, a letter and at most so many other characters.
        NotARoom { others: u64 }
            ["a room is # and a letter, followed by up to " others " letters, digits, - or _"]
        /// There is no such room, or nobody tells.
        NoSuchRoom { room: RoomName } ["there is no " room " that you can enter; /rooms lists the others"]
        /// There is a room of this name already.
        RoomTaken { room: RoomName } [room " is taken; only its owners can invite you"]
        /// There is an open room of this name already.
        RoomIsOpen { room: RoomName } [room " exists and is open; /join " room]
        /// What is done needs a member.
        NotMember { room: RoomName } ["you are not in " room "; /join " room]
        /// What is done needs an owner.
        NotOwner { room: RoomName } ["only owners of " room " may do that"]
        /// They are in the room.
        AlreadyMember { name: Name, room: RoomName } [name " is in " room " already"]
        /// They were invited and have not joined yet.
        AlreadyInvited { name: Name, room: RoomName } [name " is invited to " room " already"]
        /// They are not in the room.
        NoSuchMember { name: Name, room: RoomName } [name " is not in " room]
        /// They own the room.
        AlreadyOwner { name: Name, room: RoomName } [name " is an owner of " room " already"]
        /// They do not own the room.
        NoSuchOwner { name: Name, room: RoomName } [name " is not an owner of " room]
        /// A room with members needs an owner.
        LastOwner { room: RoomName }
            ["you are the last owner of " room "; name another one first: /op " room " NAME"]
        /// An owner removes themselves.
        RemovesSelf { room: RoomName } ["you cannot remove yourself; /leave " room]
        /// The room is set so already.
        IsSo { room: RoomName } [room " is set that way already"]
        /// A command that is about a room, where the session talks to none.
        NoRoomHere ["you are not talking to a room; give its name, such as #rust"]
        /// An event in the wrong place. No command causes it.
        OutOfPlace ["this cannot be done there"]
        /// A person is in as many rooms as they may be.
        TooManyRooms { limit: u64 } ["you can be in at most " limit " rooms; /leave one first"]
        /// The server has as many rooms as it may have.
        RoomsFull { limit: u64 } ["this server has reached its limit of " limit " rooms"]
        /// The room has as many members as it may have.
        RoomFull { room: RoomName, limit: u64 } [room " has reached its limit of " limit " members"]
        /// The text would make an event too long.
        TextTooLong { over: u64 } ["the text is " over " bytes too long"]
        /// A client speaks TLS.
        NoTls ["this port takes plain lines of text; try: nc HOST 5000"]
        /// The command needs a login.
        NotLoggedIn ["log in first, with /login NAME PASSWORD or /register NAME PASSWORD"]
        /// Not saved: there are no timestamps left.
        TimeIsUp ["the server's clock is at the end of the last year, 9999"]
        /// Not saved: there is no room.
        DiskFull ["the server's disk is full; please try again later"]
        /// Not saved: the files are gone.
        FilesMoved ["somebody removed or changed the server's files; please try again later"]
        /// Not saved: the file has the largest possible size.
        HistoryTooLarge ["the server's history cannot grow any further; please try again later"]
        /// Not saved, for another reason.
        DiskError ["the server's disk reports an error; please try again later"]
        /// The account has used up its bytes.
        OverQuota { left: u64, limit: u64, until: Timestamp }
            ["you have " left " of " limit " bytes a day left until " until]
        /// The operator wants no new accounts.
        RegistrationClosed ["this server does not accept new accounts"]
        /// Names of the history may not be registered, and there are too many to keep them all in memory.
        TooManyNames ["the history has more names than the server can reserve"]
        /// The account has a newer session, and too many.
        Replaced { name: Name, limit: u64 }
            [name " can have " limit " sessions, and this one had been silent longest"]
        /// The server is full, and another session of the account remains.
        ReplacedWhenFull ["the server is full, and of your sessions this one had been silent longest"]
        /// There is no room for the connection.
        ServerFull { limit: u64 } ["all " limit " connections are taken; please try again later"]
        /// A connection without a login ends because there is no room for another.
        MadeRoom { limit: u64 } ["all " limit " connections are taken, and this one made room for another"]
        /// The password was changed.
        SignedOut ["the password was changed in another session; log in with the new one"]
        /// The server has as many accounts as it may have.
        AccountsFull { limit: u64 } ["this server has reached its limit of " limit " accounts"]
        /// Too many registrations from one address.
        RegisteredFromAddress
            ["too many were registered from your address within the last hour; try again later"]
        /// Too many registrations from all addresses together.
        RegisteredOnServer ["too many were registered on this server within the last hour; try again later"]
        /// The address has so many connections without a login.
        TooManyConnections { open: u64 } ["your address already has " open " that are not logged in"]
        /// The address has failed to log in too often.
        TooManyFailures { minutes: u64 }
            ["too many failed logins from your address; try again in " minutes " min"]
        /// The account has requested too many tokens.
        TooManyTokens { limit: u64 }
            ["your account was issued " limit " within the last hour; try again later"]
        /// The input ended in the middle of a line.
        UnfinishedLine ["the last line had no ending and was ignored"]
        /// No such command, but one like it.
        MistypedCommand { word: &'a str, like: &'a str } ["there is no /" word "; did you mean /" like "?"]
        /// No such command.
        UnknownCommand { word: &'a str, advice: &'a str } ["there is no /" word "; " advice]
        /// How a command is written.
        Usage { usage: &'a str } [usage]
        ;
        /// A code, or words, that this version does not know. The code is empty if there is none.
        Other { code, words } [words]
    }
}

impl Error<'static> {
    /// What a name is.
    pub const BAD_NAME: Error<'static> = Error::BadName { others: NAME_BYTES_MAX as u64 - 1 };
    /// What a room's name is.
    pub const NOT_A_ROOM: Error<'static> = Error::NotARoom { others: NAME_BYTES_MAX as u64 - 1 };
    /// What a password is.
    pub const BAD_PASSWORD: Error<'static> =
        Error::BadPassword { min: PASSWORD_BYTES_MIN as u64, max: PASSWORD_BYTES_MAX as u64 };
    /// What the two passwords of `/passwd` are.
    pub const BAD_PASSWORDS: Error<'static> =
        Error::BadPasswords { min: PASSWORD_BYTES_MIN as u64, max: PASSWORD_BYTES_MAX as u64 };
}

impl<'a> Error<'a> {
    /// Returns the error with this code and these words.
    pub fn parse(code: &'a str, words: &'a str) -> Error<'a> {
        Error::read(words, |error| error.code() == code).unwrap_or(Error::Other { code, words })
    }

    /// Returns the code.
    pub fn code(&self) -> &'a str {
        use Error::*;
        match self {
            AlreadyLoggedIn { .. } => code::ALREADY_LOGGED_IN,
            BadCode => code::BAD_CODE,
            BadLogin | WrongPassword => code::BAD_LOGIN,
            BadName { .. } | OfficialName { .. } => code::BAD_NAME,
            BadPassword { .. } | BadPasswords { .. } => code::BAD_PASSWORD,
            BadToken => code::BAD_TOKEN,
            IndentedCommand | ErasedCommand | Usage { .. } => code::BAD_USAGE,
            Busy => code::BUSY,
            Damaged { .. } => code::DAMAGED,
            HistoryUnavailable => code::HISTORY_UNAVAILABLE,
            LineTooLong { .. } | EndlessLine { .. } | MessageTooLong { .. } => code::LINE_TOO_LONG,
            LoginTimeout { .. } => code::LOGIN_TIMEOUT,
            NameTaken { .. } | NameLooksLike { .. } | NameLooksTaken { .. } => code::NAME_TAKEN,
            NoRandomness => code::NO_RANDOMNESS,
            NotARoom { .. } => code::BAD_NAME,
            NoSuchRoom { .. } => code::NO_SUCH_ROOM,
            RoomTaken { .. } | RoomIsOpen { .. } => code::ROOM_TAKEN,
            NotMember { .. } => code::NOT_MEMBER,
            NotOwner { .. } | OutOfPlace => code::NOT_ALLOWED,
            AlreadyMember { .. } | AlreadyInvited { .. } | AlreadyOwner { .. } | IsSo { .. } => {
                code::ALREADY_DONE
            }
            NoSuchMember { .. } | NoSuchOwner { .. } => code::NO_SUCH_USER,
            LastOwner { .. } | RemovesSelf { .. } => code::NOT_ALLOWED,
            NoRoomHere => code::BAD_USAGE,
            TooManyRooms { .. } | RoomsFull { .. } => code::TOO_MANY_ROOMS,
            RoomFull { .. } => code::TOO_MANY_MEMBERS,
            TextTooLong { .. } => code::LINE_TOO_LONG,
            NotAName | NoSuchUser { .. } => code::NO_SUCH_USER,
            NoTls => code::NO_TLS,
            NotLoggedIn => code::NOT_LOGGED_IN,
            TimeIsUp | DiskFull | FilesMoved | HistoryTooLarge | DiskError => code::NOT_SAVED,
            OverQuota { .. } => code::OVER_QUOTA,
            RegistrationClosed | TooManyNames => code::REGISTRATION_CLOSED,
            Replaced { .. } | ReplacedWhenFull => code::REPLACED,
            ServerFull { .. } | MadeRoom { .. } => code::SERVER_FULL,
            SignedOut => code::SIGNED_OUT,
            AccountsFull { .. } | RegisteredFromAddress | RegisteredOnServer => code::TOO_MANY_ACCOUNTS,
            TooManyConnections { .. } => code::TOO_MANY_CONNECTIONS,
            TooManyFailures { .. } => code::TOO_MANY_FAILURES,
            TooManyTokens { .. } => code::TOO_MANY_TOKENS,
            UnfinishedLine => code::UNFINISHED_LINE,
            MistypedCommand { .. } | UnknownCommand { .. } => code::UNKNOWN_COMMAND,
            Other { code, .. } => code,
        }
    }
}
