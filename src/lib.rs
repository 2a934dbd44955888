//! chinwag
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod accounts;
pub mod chat;
pub mod check;
pub mod cursor;
pub mod feed;
pub mod hashing;
pub mod journal;
pub mod kdf;
pub mod limits;
pub mod line;
pub mod login;
pub mod name;
pub mod net;
pub mod outbox;
pub mod presence;
pub mod protocol;
pub mod reactor;
pub mod record;
pub mod server;
pub mod storage;
pub mod throttle;
pub mod world;
