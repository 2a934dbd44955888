//! `chinwagd --check`: whether a data directory, or a copy of one, is as it should be. It changes nothing, and
//! takes no lock.

use std::io::{self, Write};
use std::path::Path;

use crate::accounts::Accounts;
use crate::directory::RealFile;
use crate::journal::{self, LOG_FILE};
use crate::marks::{SEEN_FILE, verify_marks};
use crate::recovery::{Damage, RecoverError};
use crate::storage::File;
use crate::users_file::{End, USERS_FILE, read_users};

/// Reads all files of a data directory, and writes what it finds, one line a file and one a damaged place.
/// Returns whether all is well.
///
/// # Errors
/// Where a file cannot be read; it names the path.
pub fn check(directory: &Path, out: &mut impl Write) -> io::Result<bool> {
    if !directory.is_dir() {
        let why = format!("{}: no such directory", directory.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    let has = |name| directory.join(name).exists();
    if !has(LOG_FILE) && !has(USERS_FILE) {
        let why = format!("{}: there is neither {LOG_FILE} nor {USERS_FILE}", directory.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    let mut damages: Vec<(&str, Damage)> = Vec::new();
    let open = |name| RealFile::open_read_only(&directory.join(name));

    let mut messages = 0;
    if let Some(file) = open(LOG_FILE)? {
        messages = journal::verify(&file, |damage| damages.push((LOG_FILE, damage)))?.messages;
        writeln!(out, "{LOG_FILE}: messages: {messages}, bytes: {}", file.len()?)?;
    }
    let mut accounts = Accounts::default();
    if let Some(file) = open(USERS_FILE)? {
        match read_users(&file) {
            Ok(users) => {
                if users.end != End::Whole {
                    damages
                        .push((USERS_FILE, Damage { offset: users.whole, what: "a torn write at the end" }));
                }
                accounts = users.accounts;
            }
            Err(RecoverError::Damaged(damage)) => damages.push((USERS_FILE, damage)),
            Err(RecoverError::Io(error)) => return Err(error),
        }
        writeln!(out, "{USERS_FILE}: accounts: {}, bytes: {}", accounts.len(), file.len()?)?;
    }
    let users_are_whole = damages.iter().all(|(name, _)| *name != USERS_FILE);
    if let Some(file) = open(SEEN_FILE)? {
        // Without all accounts nobody can tell which lines are of none.
        let accounts = users_are_whole.then_some(&accounts);
        verify_marks(&file, accounts, |damage| damages.push((SEEN_FILE, damage)))?;
        writeln!(out, "{SEEN_FILE}: bytes: {}", file.len()?)?;
    }
    for (name, Damage { offset, what }) in &damages {
        writeln!(out, "{name}: damaged at byte {offset}: {what}")?;
    }
    let lacks_accounts = messages > 0 && !has(USERS_FILE);
    if lacks_accounts {
        writeln!(out, "{USERS_FILE}: missing, although there are messages")?;
    }
    let is_well = damages.is_empty() && !lacks_accounts;
    writeln!(out, "{}", if is_well { "all is well" } else { "there is damage" })?;
    Ok(is_well)
}
