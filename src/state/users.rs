//! The lines of `users.txt`: one record each, chained by checksums.
//!
//! ```text
//! alice:pbkdf2-sha256:600000:SALT:HASH:TIME:CHECK     a password; TIME is when the account was registered
//! alice:token:HASH:TIME:CHECK                         a login token, issued at TIME
//! alice:code:HASH:TIME:CHECK                          a one-time code for choosing a new password, issued at TIME
//! alice:revoked:TIME:CHECK                            all earlier tokens and codes of the name are void
//! alice:reserved:TIME:CHECK                           nobody can log in as the name, and only a code registers it
//! ```
//!
//! CHECK is the first 8 hex digits of the SHA-256 of the previous line's CHECK (`00000000` before the first line)
//! followed by this line up to and including the colon before its own CHECK. A line that was changed, removed,
//! moved or copied from another file does not verify. Version 0.1 wrote passwords only, without TIME and CHECK.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::auth::credential::{Credential, SecretHash};
use crate::auth::kdf::{KEY_BYTES, SALT_BYTES};
use crate::limits::KDF_ROUNDS_MAX;
use crate::protocol::name::Name;
use crate::protocol::record::{TIMESTAMP_BYTES, Timestamp};

const ALGORITHM: &str = "pbkdf2-sha256";
const TOKEN: &str = "token";
const CODE: &str = "code";
const REVOKED: &str = "revoked";
const RESERVED: &str = "reserved";
/// Bytes of a password's line after the name, without its ending.
pub const CREDENTIAL_BYTES: usize = ":pbkdf2-sha256:600000:".len()
    + 2 * SALT_BYTES
    + 1
    + 2 * KEY_BYTES
    + 1
    + TIMESTAMP_BYTES
    + 1
    + CHECK_BYTES;
/// The form of a timestamp; `0` is any digit.
const TIME_PATTERN: &str = "0000-00-00T00:00:00.000000Z";

/// One line of `users.txt`: everything durable about one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserRecord {
    /// The name has this password. Creates the account or replaces its password.
    Credential {
        /// As registered; later records of the account repeat the spelling.
        name: Name,
        /// The password.
        credential: Credential,
        /// When the account was registered; the epoch for accounts of version 0.1.
        registered: Timestamp,
    },
    /// The name may log in with a token.
    Token {
        /// Its account.
        name: Name,
        /// Hash of the token.
        hash: SecretHash,
        /// When it was issued.
        issued: Timestamp,
    },
    /// Whoever has the code may choose a new password for the name.
    Code {
        /// Its account, or a reserved name.
        name: Name,
        /// Hash of the code.
        hash: SecretHash,
        /// When it was issued.
        issued: Timestamp,
    },
    /// All earlier tokens and codes of the name are void.
    Revoked {
        /// Their account.
        name: Name,
        /// When they were revoked.
        at: Timestamp,
    },
    /// A tombstone: nobody can log in as the name, and only a code registers it.
    Reserved {
        /// The name.
        name: Name,
        /// When it was reserved.
        at: Timestamp,
    },
}

impl UserRecord {
    /// The name that the record is about.
    pub fn name(&self) -> &Name {
        match self {
            UserRecord::Credential { name, .. }
            | UserRecord::Token { name, .. }
            | UserRecord::Code { name, .. }
            | UserRecord::Revoked { name, .. }
            | UserRecord::Reserved { name, .. } => name,
        }
    }

    /// The time in the record's line.
    pub fn time(&self) -> Timestamp {
        match *self {
            UserRecord::Credential { registered: time, .. }
            | UserRecord::Token { issued: time, .. }
            | UserRecord::Code { issued: time, .. }
            | UserRecord::Revoked { at: time, .. }
            | UserRecord::Reserved { at: time, .. } => time,
        }
    }

    /// Appends the record's line up to and including the colon before its CHECK.
    fn write(&self, out: &mut String) {
        let written = match self {
            UserRecord::Credential { name, credential: Credential { rounds, salt, key }, registered } => {
                let (salt, key) = (hex::encode(salt), hex::encode(key));
                write!(out, "{name}:{ALGORITHM}:{rounds}:{salt}:{key}:{registered}:")
            }
            UserRecord::Token { name, hash, issued } => {
                write!(out, "{name}:{TOKEN}:{}:{issued}:", hex::encode(hash))
            }
            UserRecord::Code { name, hash, issued } => {
                write!(out, "{name}:{CODE}:{}:{issued}:", hex::encode(hash))
            }
            UserRecord::Revoked { name, at } => write!(out, "{name}:{REVOKED}:{at}:"),
            UserRecord::Reserved { name, at } => write!(out, "{name}:{RESERVED}:{at}:"),
        };
        written.expect("writing to a string cannot fail");
    }

    /// Reads what [`UserRecord::write`] wrote; anything else is `None`.
    fn parse(text: &[u8]) -> Option<UserRecord> {
        let fields = text.strip_suffix(b":")?;
        let (fields, time) = fields.split_at_checked(fields.len().checked_sub(TIMESTAMP_BYTES)?)?;
        let time = Timestamp::parse(time)?;
        let (name, fields) = split_once(fields.strip_suffix(b":")?)?;
        let name = Name::parse(name)?;
        // One record has one line: no capital hex digits, and below no leading zeroes. All of it is looked at, which
        // takes less time than to stop.
        if fields.iter().fold(false, |found, byte| found | byte.is_ascii_uppercase()) {
            return None;
        }
        let value = |kind: &str| fields.strip_prefix(kind.as_bytes())?.strip_prefix(b":");
        let record = if let Some(value) = value(ALGORITHM) {
            if value.starts_with(b"0") || value.starts_with(b"+") {
                return None;
            }
            UserRecord::Credential { name, credential: parse_credential(value)?, registered: time }
        } else if let Some(hash) = value(TOKEN) {
            UserRecord::Token { name, hash: parse_hex(hash)?, issued: time }
        } else if let Some(hash) = value(CODE) {
            UserRecord::Code { name, hash: parse_hex(hash)?, issued: time }
        } else if fields == REVOKED.as_bytes() {
            UserRecord::Revoked { name, at: time }
        } else if fields == RESERVED.as_bytes() {
            UserRecord::Reserved { name, at: time }
        } else {
            return None;
        };
        Some(record)
    }

    /// Reads a line of version 0.1, without its ending. Its registration time is the epoch.
    pub fn parse_unchecked(line: &[u8]) -> Option<UserRecord> {
        let (name, fields) = split_once(line)?;
        let credential = parse_credential(fields.strip_prefix(ALGORITHM.as_bytes())?.strip_prefix(b":")?)?;
        let registered = Timestamp::default();
        Some(UserRecord::Credential { name: Name::parse(name)?, credential, registered })
    }
}

/// Splits fields at the first colon.
fn split_once(fields: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = fields.iter().position(|&byte| byte == b':')?;
    Some((&fields[..colon], &fields[colon + 1..]))
}

fn parse_credential(fields: &[u8]) -> Option<Credential> {
    let (rounds, fields) = split_once(fields)?;
    let rounds = std::str::from_utf8(rounds).ok()?.parse().ok()?;
    let (salt, key) = fields.split_at_checked(2 * SALT_BYTES)?;
    let (salt, key) = (parse_hex(salt)?, parse_hex(key.strip_prefix(b":")?)?);
    (1..=KDF_ROUNDS_MAX).contains(&rounds).then_some(Credential { rounds, salt, key })
}

/// Reads `N` bytes in hex digits, without a branch for each: no processor predicts random digits.
fn parse_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| {
        let (number, letter) = (byte.wrapping_sub(b'0'), (byte | 0x20).wrapping_sub(b'a'));
        let letter = if letter < 6 { letter + 10 } else { u8::MAX };
        if number < 10 { number } else { letter }
    };
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    let mut digits: [[u8; 2]; N] = pairs.try_into().ok()?;
    let mut all = 0;
    for byte in digits.as_flattened_mut() {
        *byte = digit(*byte);
        all |= *byte;
    }
    (all <= 0xf).then(|| digits.map(|[high, low]| high << 4 | low))
}

/// A line's CHECK, as it is written: 8 lowercase hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check([u8; CHECK_BYTES]);

/// Bytes of a written CHECK.
pub const CHECK_BYTES: usize = 8;

impl Check {
    /// What the first line's CHECK is computed over in place of a previous one.
    pub const START: Check = Check(*b"00000000");

    /// Returns the CHECK at the end of a line without its ending, whatever the rest of the line is.
    pub fn at_end(line: &[u8]) -> Option<Check> {
        let (text, check) = line.split_at_checked(line.len().checked_sub(CHECK_BYTES)?)?;
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let check: [u8; CHECK_BYTES] = check.try_into().ok()?;
        (text.ends_with(b":") && check.iter().all(is_hex)).then_some(Check(check))
    }

    /// Ends a line of which `out` holds everything from `start` on, up to and including the colon before its CHECK.
    /// Returns its CHECK; this one is that of the line before it.
    pub fn seal(self, out: &mut String, start: usize) -> Check {
        let check = self.next(&out.as_bytes()[start..]);
        out.push_str(check.as_str());
        out.push('\n');
        check
    }

    /// Returns what stands before the last colon of a line without its ending, and the line's CHECK, if the line was
    /// written after the one with this CHECK and not changed since.
    pub fn unseal(self, line: &[u8]) -> Option<(&[u8], Check)> {
        let check = Check::at_end(line)?;
        let text = &line[..line.len() - CHECK_BYTES];
        (self.next(text) == check).then(|| (&text[..text.len() - 1], check))
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits")
    }

    /// The CHECK of a line after this one, given the line up to and including the colon before its CHECK.
    fn next(self, line: &[u8]) -> Check {
        let digest = Sha256::new().chain_update(self.0).chain_update(line).finalize();
        let mut check = [0; CHECK_BYTES];
        hex::encode_to_slice(&digest[..CHECK_BYTES / 2], &mut check).expect("two digits a byte");
        Check(check)
    }
}

/// Appends the record's line, with its ending; returns its CHECK.
pub fn write_line(out: &mut String, record: &UserRecord, previous: Check) -> Check {
    let start = out.len();
    record.write(out);
    previous.seal(out, start)
}

/// A line in the form of one with a CHECK, which may be wrong; see [`SealedLine::follows`].
#[derive(Clone, Copy, Debug)]
pub struct SealedLine<'a> {
    /// Up to and including the colon before the CHECK.
    text: &'a [u8],
    /// Its record.
    pub record: UserRecord,
    /// The CHECK as written.
    pub check: Check,
}

impl SealedLine<'_> {
    /// Reads a line without its ending.
    pub fn parse(line: &[u8]) -> Option<SealedLine<'_>> {
        let check = Check::at_end(line)?;
        let text = &line[..line.len() - CHECK_BYTES];
        Some(SealedLine { text, record: UserRecord::parse(text)?, check })
    }

    /// Whether the line was written after the line with the CHECK `previous`, and not changed since.
    pub fn follows(&self, previous: Check) -> bool {
        previous.next(self.text) == self.check
    }
}

/// Whether `bytes` are the beginning of a record's line, cut off before the end of its CHECK. This excludes a complete
/// line that lacks only its ending, for which the CHECK decides. A line of version 0.1 is the beginning of a line with
/// a CHECK.
pub fn is_beginning(bytes: &[u8]) -> bool {
    let Some(colon) = bytes.iter().position(|&byte| byte == b':') else {
        return Name::parse(bytes).is_some();
    };
    let (name, fields) = (&bytes[..colon], &bytes[colon + 1..]);
    let hash = "h".repeat(2 * KEY_BYTES);
    let end = format!("{TIME_PATTERN}:{}", "h".repeat(CHECK_BYTES));
    let forms = [
        (TOKEN, format!(":{hash}:{end}")),
        (CODE, format!(":{hash}:{end}")),
        (REVOKED, format!(":{end}")),
        (RESERVED, format!(":{end}")),
    ];
    let is_credential = || match fields.strip_prefix(ALGORITHM.as_bytes()) {
        None => ALGORITHM.as_bytes().starts_with(fields),
        Some(fields) => {
            let digits = fields.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
            let (rounds, salt) = ("0".repeat(digits), "h".repeat(2 * SALT_BYTES));
            let form = format!(":{rounds}:{salt}:{hash}:{end}");
            digits <= KDF_ROUNDS_MAX.to_string().len() && has_form(fields, &form)
        }
    };
    let is_other = |(kind, form): &(&str, String)| match fields.strip_prefix(kind.as_bytes()) {
        None => kind.as_bytes().starts_with(fields),
        Some(fields) => has_form(fields, form),
    };
    Name::parse(name).is_some() && (is_credential() || forms.iter().any(is_other))
}

/// Whether `bytes` are shorter than `form` and match its beginning: `0` is any digit and `h` any hex digit.
fn has_form(bytes: &[u8], form: &str) -> bool {
    bytes.len() < form.len()
        && bytes.iter().zip(form.bytes()).all(|(&byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            b'h' => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            other => byte == other,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::credential::secret_hash;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn records() -> [UserRecord; 5] {
        let time = Timestamp::from_micros(1_795_000_000_000_001);
        let credential = Credential { rounds: 600_000, salt: [0x12; 16], key: [0xab; 32] };
        [
            UserRecord::Credential { name: name("alice"), credential, registered: time },
            UserRecord::Token { name: name("Alice-2"), hash: [1; 32], issued: time },
            UserRecord::Code { name: name("bob"), hash: [2; 32], issued: time },
            UserRecord::Revoked { name: name("bob"), at: time },
            UserRecord::Reserved { name: name("carol_"), at: Timestamp::default() },
        ]
    }

    fn lines() -> Vec<String> {
        let mut check = Check::START;
        let each = records().map(|record| {
            let mut line = String::new();
            check = write_line(&mut line, &record, check);
            line
        });
        each.into()
    }

    #[test]
    fn user_records_are_lines_as_the_docs_show_them() {
        let (salt, key) = ("12".repeat(16), "ab".repeat(32));
        let time = "2026-11-18T11:06:40.000001Z";
        let lines = lines();
        let expected = [
            format!("alice:pbkdf2-sha256:600000:{salt}:{key}:{time}:"),
            format!("Alice-2:token:{}:{time}:", "01".repeat(32)),
            format!("bob:code:{}:{time}:", "02".repeat(32)),
            format!("bob:revoked:{time}:"),
            "carol_:reserved:1970-01-01T00:00:00.000000Z:".to_owned(),
        ];
        let mut previous = "00000000".to_owned();
        for ((line, text), record) in lines.iter().zip(expected).zip(records()) {
            previous = hex::encode(Sha256::digest(format!("{previous}{text}")))[..8].to_owned();
            assert_eq!(*line, format!("{text}{previous}\n"));
            let sealed = SealedLine::parse(line.trim_end().as_bytes()).unwrap();
            assert_eq!(
                (sealed.record, sealed.record.name().as_str()),
                (record, &line[..record.name().as_bytes().len()])
            );
        }
    }

    #[test]
    fn user_records_that_were_changed_moved_or_cut_do_not_verify() {
        let lines = lines();
        let mut previous = Check::START;
        for line in &lines {
            let line = line.trim_end().as_bytes();
            let sealed = SealedLine::parse(line).unwrap();
            assert!(sealed.follows(previous));
            for bit in 0..line.len() * 8 {
                let mut changed = line.to_vec();
                changed[bit / 8] ^= 1 << (bit % 8);
                let verifies = SealedLine::parse(&changed).is_some_and(|sealed| sealed.follows(previous));
                assert!(!verifies, "{}", String::from_utf8_lossy(&changed));
            }
            for length in 0..line.len() {
                let verifies =
                    SealedLine::parse(&line[..length]).is_some_and(|sealed| sealed.follows(previous));
                assert!(!verifies, "{length}");
            }
            let others = lines.iter().map(|other| other.trim_end().as_bytes()).filter(|other| *other != line);
            for other in others {
                assert!(!SealedLine::parse(other).unwrap().follows(previous));
            }
            previous = sealed.check;
        }
    }

    #[test]
    fn user_records_have_one_spelling_and_bounded_rounds() {
        let (salt, key) = ("12".repeat(16), "ab".repeat(32));
        let old = |rounds: &str, key: &str| {
            UserRecord::parse_unchecked(format!("al:pbkdf2-sha256:{rounds}:{salt}:{key}").as_bytes())
        };
        assert!(old("1", &key).is_some() && old("10000000", &key).is_some());
        for rounds in ["0", "10000001", "4294967295", "", "-1", "99999999999"] {
            assert!(old(rounds, &key).is_none(), "{rounds}");
        }
        assert!(old("1", &key[1..]).is_none() && old("1", &(key.clone() + "0")).is_none());
        let sealed = |rounds: &str, key: &str| {
            let time = Timestamp::default();
            UserRecord::parse(format!("al:pbkdf2-sha256:{rounds}:{salt}:{key}:{time}:").as_bytes())
        };
        assert!(sealed("7", &key).is_some());
        assert!(sealed("07", &key).is_none() && sealed("+7", &key).is_none());
        assert!(sealed("7", &key.to_uppercase()).is_none() && sealed("10000001", &key).is_none());
    }

    #[test]
    fn user_records_are_what_is_written_for_them_byte_for_byte() {
        let parses_as_written = |text: &[u8]| {
            if let Some(record) = UserRecord::parse(text) {
                let mut written = String::new();
                record.write(&mut written);
                assert_eq!(written.as_bytes(), text, "{}", String::from_utf8_lossy(text));
            }
        };
        for record in records() {
            let mut text = String::new();
            record.write(&mut text);
            let text = text.as_bytes();
            assert_eq!(UserRecord::parse(text), Some(record));
            for at in 0..text.len() {
                for byte in 0..=u8::MAX {
                    parses_as_written(&[&text[..at], &[byte], &text[at..]].concat());
                    parses_as_written(&[&text[..at], &[byte], &text[at + 1..]].concat());
                }
                parses_as_written(&[&text[..at], &text[at + 1..]].concat());
            }
        }
    }

    #[test]
    fn user_records_are_torn_if_they_break_off_before_the_end_of_their_check() {
        for line in lines() {
            let line = line.trim_end().as_bytes();
            for length in 1..line.len() {
                assert!(is_beginning(&line[..length]), "{}", String::from_utf8_lossy(&line[..length]));
            }
            assert!(!is_beginning(line));
            for bit in 0..8 {
                assert!(
                    !is_beginning(&[line, &[b'\n' ^ 1 << bit]].concat()),
                    "a flipped newline is no torn write"
                );
            }
        }
        for junk in
            ["", ":", "a b", "alice:tokens", "alice:pbkdf2-sha256:123456789", "1a", "al\0", "alice:revoked:x"]
        {
            assert!(!is_beginning(junk.as_bytes()), "{junk:?}");
        }
    }

    #[test]
    fn secrets_are_hashed_as_they_are_written() {
        // printf %s 00000000000000000000000000000000 | sha256sum
        let expected = "84e0c0eafaa95a34c293f278ac52e45ce537bab5e752a00e6959a13ae103b65a";
        assert_eq!(hex::encode(secret_hash(&"0".repeat(32))), expected);
    }
}
