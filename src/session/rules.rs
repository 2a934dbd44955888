//! The chat's options.

use super::quota::ByteLimits;

/// The chat's options.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Rounds of the key derivation for new passwords.
    pub kdf_rounds: u32,
    /// Missed public messages shown at a login, unless the session or its account chose a number.
    pub replay: u32,
    /// Whether there are limits per address.
    pub limits_addresses: bool,
    /// Limits on the bytes of an account's messages.
    pub bytes: ByteLimits,
    /// Whether anyone may create an account.
    pub is_registration_open: bool,
    /// Accounts, in all.
    pub accounts_max: usize,
    /// Whether each account may change the state only so often.
    pub limits_moves: bool,
    /// Rooms that an account may be in.
    pub rooms_per_account: usize,
    /// Rooms, in all.
    pub rooms_max: usize,
    /// Members of a room.
    pub members_max: usize,
    /// Bytes of a topic, or of a reason.
    pub topic_bytes_max: usize,
    /// New accounts within an hour, from all addresses together; `None` for any number.
    pub accounts_per_hour: Option<u32>,
}
