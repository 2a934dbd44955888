//! What is kept of a secret: enough to check it, and not the secret.

use sha2::{Digest, Sha256};

use crate::auth::kdf::{Key, Salt};

/// What a password is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Rounds of the derivation, at least 1 and at most [`KDF_ROUNDS_MAX`](crate::limits::KDF_ROUNDS_MAX).
    pub rounds: u32,
    /// Salt of the derivation.
    pub salt: Salt,
    /// The derived key.
    pub key: Key,
}

/// The SHA-256 of a token or a code, which are stored only in this form.
pub type SecretHash = [u8; 32];

/// Hashes a token or a code as it is written on the wire: 32 lowercase hex digits.
pub fn secret_hash(secret: &str) -> SecretHash {
    Sha256::digest(secret.as_bytes()).into()
}
