//! Connections: sockets, the bytes that wait for them, and what stands between a socket and a line.
//!
//! Nothing here knows of accounts, messages or commands.

pub mod feed;
pub mod net;
pub mod outbox;
pub mod proxy;
pub mod reactor;
pub mod subnet;
