//! What the user wants of the connection, and of what is kept for the next time.

use chinwag::client::{Credentials, Token};
use chinwag::protocol::name::Name;

use crate::notification::Notification;

/// What the user wants of the world outside the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A connection to this server, and to log in there.
    Connect {
        /// `HOST:PORT`
        server: String,
        /// How to log in.
        credentials: Credentials,
    },
    /// A connection to a server, and to log in there with the token that was kept.
    Resume {
        /// `HOST:PORT`
        server: String,
        /// The account.
        name: String,
    },
    /// To say a line, or have it done.
    Submit(String),
    /// To leave the server.
    Leave,
    /// To leave the server, and not to sign in there by itself the next time.
    SignOut,
    /// To keep a token for the next time.
    KeepToken {
        /// `HOST:PORT`
        server: String,
        /// The account.
        name: Name,
        /// As good as a password.
        token: Token,
    },
    /// To remove the token that was kept.
    ForgetToken {
        /// `HOST:PORT`
        server: String,
        /// The account.
        name: String,
    },
    /// That this is kept for the next time.
    KeepLogin {
        /// `HOST:PORT`
        server: String,
        /// The account.
        name: String,
    },
    /// To be told outside of the window.
    Notify(Notification),
}
