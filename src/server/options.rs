//! The server's options.

use crate::limits::{
    ACCOUNTS_MAX, ACCOUNTS_PER_HOUR, CONNECTIONS_PER_ADDRESS, DAILY_BYTES, FIRST_DAY_BYTES, MEMBERS_MAX,
    RATE_LINES_PER_SECOND, ROOMS_MAX, ROOMS_PER_ACCOUNT_MAX, TOPIC_BYTES_MAX,
};
use crate::log::storage::SyncPolicy;
use crate::session::Rules;
use crate::session::quota::ByteLimits;
use crate::transport::subnet::Subnet;

/// The options that the operator chose.
#[derive(Clone, Debug)]
pub struct Options {
    /// When messages are synced.
    pub sync: SyncPolicy,
    /// Options of the chat.
    pub rules: Rules,
    /// Lines per second that an account, or a connection before its login, may send; `None` lifts all limits per
    /// account.
    pub rate: Option<u32>,
    /// Concurrent connections.
    pub max_connections: usize,
    /// Concurrent connections of one address; `None` for no limit.
    pub per_address: Option<u32>,
    /// Peers whose connections begin with a header of the PROXY protocol.
    pub proxies: Vec<Subnet>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            sync: SyncPolicy::Always,
            rules: Rules {
                kdf_rounds: crate::limits::KDF_ROUNDS_DEFAULT,
                replay: crate::limits::REPLAY_DEFAULT,
                limits_addresses: true,
                bytes: ByteLimits { daily: Some(DAILY_BYTES), first_day: Some(FIRST_DAY_BYTES) },
                is_registration_open: true,
                accounts_max: ACCOUNTS_MAX,
                limits_moves: true,
                rooms_per_account: ROOMS_PER_ACCOUNT_MAX,
                rooms_max: ROOMS_MAX,
                members_max: MEMBERS_MAX,
                topic_bytes_max: TOPIC_BYTES_MAX,
                accounts_per_hour: Some(ACCOUNTS_PER_HOUR),
            },
            rate: Some(RATE_LINES_PER_SECOND),
            max_connections: 1000,
            per_address: Some(CONNECTIONS_PER_ADDRESS),
            proxies: Vec::new(),
        }
    }
}
