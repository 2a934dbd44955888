//! Data directories, made without a server.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use chinwag::auth::kdf::{Derivation, PreparedPassword, SALT_BYTES};
use chinwag::log::journal::LOG_FILE;
use chinwag::protocol::record::{Stamper, Timestamp};
use chinwag::state::users_file::USERS_FILE;

use crate::crowd::push_text;
use crate::failure;
use crate::logins::{PASSWORD, name};

/// Every line of a made log has this length, so that an offset tells which line it is.
pub const LINE_BYTES: usize = 100;
/// Who said them, with what stands around the name; nobody else is called so.
pub const AUTHOR: &[u8] = b" archive: ";
const BUFFER_BYTES: usize = 1 << 20;

/// Makes a data directory with accounts: for each part so many, with so many rounds. One salt does for all, so
/// that only the first hash of each part takes work.
pub fn make_accounts(directory: &Path, parts: &[(usize, u32)]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    // A server does not start on accounts without their history.
    File::options().append(true).create(true).open(directory.join(LOG_FILE))?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, File::create(directory.join(USERS_FILE))?);
    let salt = [7; SALT_BYTES];
    let mut first = 0;
    for &(count, rounds) in parts {
        let mut derivation = Derivation::new(PreparedPassword::new(PASSWORD.as_bytes()), &salt, rounds);
        let key = derivation.step(rounds).ok_or_else(|| failure("a key takes its rounds and no more"))?;
        let tail = format!(":pbkdf2-sha256:{rounds}:{}:{}\n", hex::encode(salt), hex::encode(key));
        for number in first..first + count {
            out.write_all(name(number).as_bytes())?;
            out.write_all(tail.as_bytes())?;
        }
        first += count;
    }
    synced(out)
}

/// Who writes a line of a made log to whom, by its number and the number of all lines; `None` if [`AUTHOR`] says it to
/// everyone.
pub type Letters = fn(u64, u64) -> Option<(usize, usize)>;

/// No letters.
pub fn no_letters(_: u64, _: u64) -> Option<(usize, usize)> {
    None
}

/// The accounts of the letters that are everywhere.
pub const FREQUENT: usize = 0;
/// The accounts of the letters that are far back.
pub const FORMER: usize = 2;
/// How many letters are far back.
pub const FORMER_LETTERS: u64 = 50;

/// A hundredth of all lines are letters between two people, a few in nearly each block. Two others wrote each other
/// only long ago, each letter in another block.
pub fn letters(number: u64, lines: u64) -> Option<(usize, usize)> {
    const DISTANCE: u64 = 1000;
    let first = lines / 10 / DISTANCE;
    let is_former =
        number.is_multiple_of(DISTANCE) && (first..first + FORMER_LETTERS).contains(&(number / DISTANCE));
    // Knuth's multiplicative hash.
    let is_frequent = (number.wrapping_mul(2_654_435_761) >> 8).is_multiple_of(100);
    let (one, other) = match (is_former, is_frequent) {
        (true, _) => (FORMER, FORMER + 1),
        (false, true) => (FREQUENT, FREQUENT + 1),
        (false, false) => return None,
    };
    Some(if number & 1 << 10 == 0 { (one, other) } else { (other, one) })
}

/// What stands between the time and the text of a letter.
pub fn letter_head((from, to): (usize, usize)) -> String {
    format!(" {} -> {}: ", name(from), name(to))
}

/// Makes the log of a data directory, of this many lines, the last of them a while ago.
pub fn make_log(directory: &Path, lines: u64, letters: Letters) -> io::Result<()> {
    const DAY_US: u64 = 86_400_000_000;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
    fs::create_dir_all(directory)?;
    // A server does not start on a history without its accounts.
    File::options().append(true).create(true).open(directory.join(USERS_FILE))?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, File::create(directory.join(LOG_FILE))?);
    let mut stamper = Stamper::after(Timestamp::default());
    let mut line = Vec::with_capacity(LINE_BYTES);
    for number in 0..lines {
        line.clear();
        // A thousand lines a second, so that the last is older than anything said from now on.
        let stamp = stamper.stamp(now - DAY_US + number * 1000 % DAY_US);
        line.extend_from_slice(stamp.expect("the year 9999 is not over"));
        match letters(number, lines) {
            None => line.extend_from_slice(AUTHOR),
            Some(ends) => line.extend_from_slice(letter_head(ends).as_bytes()),
        }
        let text_bytes = LINE_BYTES - line.len() - 1;
        push_text(&mut line, number, text_bytes);
        out.write_all(&line)?;
    }
    synced(out)
}

/// On disk, so that no write-back disturbs what is measured next.
fn synced(out: BufWriter<File>) -> io::Result<()> {
    out.into_inner().map_err(|error| error.into_error())?.sync_all()
}
