//! Numbers that name things for as long as the server runs.

/// Which session: the number of its connection, reused after that is gone.
pub type SessionId = u32;

/// Which account: its place in the table, for as long as the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub(crate) u32);
