//! PBKDF2-HMAC-SHA256 (RFC 8018, section 5.2) as a value that is stepped, so that a single thread can hash
//! passwords between its turns.
//!
//! A key of one SHA-256 block (32 bytes) is all that is derived here. Each round is two compressions: the state
//! of the inner and of the outer hash after the padded password is computed once and copied.

use std::fmt;

use sha2::block_api::compress256;
use sha2::digest::Digest;

/// Bytes of a derived key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;

/// A derived key.
pub type Key = [u8; KEY_BYTES];
/// What makes equal passwords have unequal keys.
pub type Salt = [u8; SALT_BYTES];

const BLOCK_BYTES: usize = 64;
/// FIPS 180-4, section 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A password, made ready for HMAC: the two hash states after its padded block. The password itself is not kept.
#[derive(Clone)]
pub struct PreparedPassword {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl PreparedPassword {
    /// Takes a password of any length.
    pub fn new(password: &[u8]) -> PreparedPassword {
        let mut block = [0; BLOCK_BYTES];
        if password.len() > BLOCK_BYTES {
            block[..KEY_BYTES].copy_from_slice(&sha2::Sha256::digest(password));
        } else {
            block[..password.len()].copy_from_slice(password);
        }
        let state_after = |pad: u8| {
            let mut state = INITIAL;
            compress256(&mut state, &[block.map(|byte| byte ^ pad)]);
            state
        };
        PreparedPassword { inner: state_after(0x36), outer: state_after(0x5c) }
    }

    /// One HMAC over what `tail` ends: the last block of the inner message, padded, its length included.
    fn hmac_of_block(&self, tail: &[u8; BLOCK_BYTES]) -> [u32; 8] {
        let mut inner = self.inner;
        compress256(&mut inner, std::slice::from_ref(tail));
        let mut outer = self.outer;
        compress256(&mut outer, &[padded_digest(&inner)]);
        outer
    }
}

impl fmt::Debug for PreparedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreparedPassword(..)")
    }
}

/// A derivation under way.
#[derive(Clone, Debug)]
pub struct Derivation {
    password: PreparedPassword,
    /// The last round's output, as the block that the next round hashes.
    last: [u32; 8],
    /// The XOR of all rounds' outputs so far.
    sum: [u32; 8],
    /// Rounds still to do.
    rounds_left: u32,
}

impl Derivation {
    /// Starts to derive a key; `rounds` of 0 count as 1. The first round is done here.
    pub fn new(password: PreparedPassword, salt: &Salt, rounds: u32) -> Derivation {
        // U1 = HMAC(password, salt || 00 00 00 01), in one block as the salt is short.
        let mut block = [0; BLOCK_BYTES];
        block[..SALT_BYTES].copy_from_slice(salt);
        block[SALT_BYTES + 3] = 1;
        finish_block(&mut block, SALT_BYTES + 4);
        let first = password.hmac_of_block(&block);
        Derivation { password, last: first, sum: first, rounds_left: rounds.max(1) - 1 }
    }

    /// Does up to `rounds` more and returns the key once all are done.
    pub fn step(&mut self, rounds: u32) -> Option<Key> {
        let rounds = rounds.min(self.rounds_left);
        for _ in 0..rounds {
            self.last = self.password.hmac_of_block(&padded_digest(&self.last));
            for (sum, last) in self.sum.iter_mut().zip(self.last) {
                *sum ^= last;
            }
        }
        self.rounds_left -= rounds;
        (self.rounds_left == 0).then(|| {
            let mut key = [0; KEY_BYTES];
            write_words(&self.sum, &mut key);
            key
        })
    }
}

/// Whether two keys are equal, in a time that does not depend on where they differ.
pub fn equal(a: &Key, b: &Key) -> bool {
    // black_box keeps the compiler from turning the sum into a comparison that ends early.
    std::hint::black_box(a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b))) == 0
}

/// `message` of `length` bytes at the start of a block that ends a message: padding, and the length in bits of
/// the block of HMAC's key before it and itself.
fn finish_block(block: &mut [u8; BLOCK_BYTES], length: usize) {
    block[length] = 0x80;
    let bits = ((BLOCK_BYTES + length) * 8) as u64;
    block[BLOCK_BYTES - 8..].copy_from_slice(&bits.to_be_bytes());
}

fn padded_digest(words: &[u32; 8]) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    write_words(words, &mut block[..KEY_BYTES]);
    finish_block(&mut block, KEY_BYTES);
    block
}

fn write_words(words: &[u32; 8], bytes: &mut [u8]) {
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published vectors have salts of other lengths than ours.
    fn derive_with_any_salt(password: &[u8], salt: &[u8], rounds: u32) -> Key {
        let prepared = PreparedPassword::new(password);
        let mut block = [0; BLOCK_BYTES];
        block[..salt.len()].copy_from_slice(salt);
        block[salt.len() + 3] = 1;
        finish_block(&mut block, salt.len() + 4);
        let first = prepared.hmac_of_block(&block);
        let mut derivation =
            Derivation { password: prepared, last: first, sum: first, rounds_left: rounds - 1 };
        loop {
            if let Some(key) = derivation.step(10_000) {
                return key;
            }
        }
    }

    #[test]
    fn the_vector_of_rfc_7914_section_11() {
        assert_eq!(
            hex::encode(derive_with_any_salt(b"passwd", b"salt", 1)),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
        );
    }

    #[test]
    fn the_vector_of_600_000_rounds() {
        assert_eq!(
            hex::encode(derive_with_any_salt(b"password", b"salt", 600_000)),
            "669cfe52482116fda1aa2cbe409b2f56c8e4563752b7a28f6eaab614ee005178"
        );
    }

    #[test]
    fn it_equals_the_pbkdf2_crate_on_random_input_however_it_is_stepped() {
        let random = |bytes: &mut [u8]| getrandom::fill(bytes).unwrap();
        for _ in 0..200 {
            let mut header = [0; 4];
            random(&mut header);
            let mut password = vec![0; usize::from(header[0])];
            random(&mut password);
            let mut salt = [0; SALT_BYTES];
            random(&mut salt);
            let rounds = 1 + u32::from(header[1]) % 50;

            let mut derivation = Derivation::new(PreparedPassword::new(&password), &salt, rounds);
            let ours = loop {
                if let Some(key) = derivation.step(u32::from(header[2]) % 5) {
                    break key;
                }
                header[2] = header[2].wrapping_add(1);
            };
            let theirs = pbkdf2::pbkdf2_hmac_array::<sha2::Sha256, KEY_BYTES>(&password, &salt, rounds);
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn keys_that_differ_in_any_byte_are_not_equal() {
        let key = [7; KEY_BYTES];
        assert!(equal(&key, &key));
        for position in 0..KEY_BYTES {
            let mut other = key;
            other[position] ^= 1;
            assert!(!equal(&key, &other));
        }
    }
}
