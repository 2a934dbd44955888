//! Numbers that name things for as long as the server runs.

/// Which connection: its place in the table of connections, which another one may have after it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u32);

impl ConnectionId {
    /// The connection at a place in the table.
    pub const fn at(index: usize) -> ConnectionId {
        ConnectionId(index as u32)
    }

    /// Its place in the table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The session of this connection. A session has the number of its connection; only this function and
    /// [`SessionId::connection`] convert one to the other.
    pub const fn session(self) -> SessionId {
        SessionId(self.0)
    }
}

/// Which session of the chat. The number is reused with that of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u32);

impl SessionId {
    /// Its place in the table of sessions.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The connection of this session.
    pub const fn connection(self) -> ConnectionId {
        ConnectionId(self.0)
    }
}

/// Which account: its place in the table, for as long as the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub(crate) u32);
