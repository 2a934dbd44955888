//! `chinwagd --check`: verifies a data directory or a copy of one. It changes nothing and takes no lock.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use crate::limits::SECOND_US;
use crate::log::blocks::{BLOCKS_FILE, verify_blocks};
use crate::log::directory::{RealFile, mode_of};
use crate::log::journal::{self, LOG_FILE, Verified};
use crate::log::recovery::{Damage, RecoverError, for_each_line};
use crate::log::storage::File;
use crate::log::tail::Tail;
use crate::protocol::name::Name;
use crate::protocol::record::{Audience, Timestamp, message_ends};
use crate::state::accounts::{Account, Accounts};
use crate::state::checkpoint::{Known, STATE_FILE, UsersMark};
use crate::state::durable::State;
use crate::state::marks::{SEEN_FILE, mark_names, verify_marks};
use crate::state::users_file::{End, Form, USERS_FILE, Users, read_users};

/// Damaged places written out for one file, before "and N more".
const PLACES_SHOWN_MAX: usize = 20;
/// What is said of a torn write.
const TORN: &str = "a torn write, which the next start moves aside";
/// How far the log may be ahead of the clock.
const FUTURE_US: u64 = 60 * SECOND_US;

/// Reads all files of a data directory, and writes one line per file and one per damaged place. `now` is the time of
/// the wall clock. Returns whether no problem was found.
///
/// # Errors
/// That a file cannot be read; names the path.
pub fn check(directory: &Path, now: Timestamp, out: &mut impl Write) -> io::Result<bool> {
    if !directory.is_dir() {
        let why = format!("{}: no such directory", directory.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    let open = |name| RealFile::open_read_only(&directory.join(name));
    // First, because a running server may add to the others meanwhile.
    let state = open(STATE_FILE)?;
    let known = Known::read(state.as_ref())?;
    let (log, users, marks) = (open(LOG_FILE)?, open(USERS_FILE)?, open(SEEN_FILE)?);
    if log.is_none() && users.is_none() {
        let why = format!("{}: there is neither {LOG_FILE} nor {USERS_FILE}", directory.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    let mut report = Report { out, is_well: true };
    let files = [LOG_FILE, USERS_FILE, SEEN_FILE, STATE_FILE, BLOCKS_FILE].map(|name| (name, 0o600));
    for (name, expected) in std::iter::once(("", 0o700)).chain(files) {
        if let Some(mode) = mode_of(&directory.join(name))?.filter(|&mode| mode != expected) {
            let name = if name.is_empty() { "the directory" } else { name };
            report.note(format_args!("{name}: mode {mode:o} instead of {expected:o}"))?;
        }
    }
    let checkpoint = known.checkpoint;
    let log_agrees = checkpoint.log.map(|mark| mark.compare(log.as_ref(), LOG_FILE)).transpose()?;
    let is_as_saved = !matches!(log_agrees, Some(Err(_)));
    let verified = log.as_ref().map(|log| check_log(log, is_as_saved, now, &mut report)).transpose()?;
    if let (Some(log), Some(blocks)) = (&log, open(BLOCKS_FILE)?) {
        check_blocks(&blocks, log, &mut report)?;
    }
    let users_mark = checkpoint.users.unwrap_or(UsersMark::NOTHING);
    let users = users.as_ref().map(|users| check_users(users, users_mark, &mut report)).transpose()?;
    if let Some(state) = &state {
        report.note(format_args!("{STATE_FILE}: bytes: {}", state.len()?))?;
        report.damages(STATE_FILE, known.damage.as_slice())?;
        if known.damage.is_some() {
            report.note(format_args!(
                "{STATE_FILE}: needs no repair: the next start writes it anew, but cannot tell whether the other files \
                 are older copies"
            ))?;
        }
    }
    if let Some(Err(disagreement)) = log_agrees {
        report.problem(format_args!("{disagreement}"))?;
    }
    if users.is_none()
        && let Err(disagreement) = users_mark.compare(None::<&RealFile>, None)?
    {
        report.problem(format_args!("{disagreement}"))?;
    }
    let last = verified.as_ref().map_or(Timestamp::default(), |verified| verified.last);
    let has_messages = verified.is_some_and(|verified| verified.messages > 0);
    // Only a complete list of accounts tells which names have none.
    let accounts = users.as_ref().and_then(Option::as_ref).map(State::accounts);
    if let Some(marks) = &marks {
        check_marks(marks, accounts, last, &mut report)?;
    }
    if has_messages && users.is_none() {
        report.problem(format_args!("{USERS_FILE}: missing, although there are messages"))?;
    }
    if log.is_none() && accounts.is_some_and(|accounts| !accounts.is_empty()) {
        report.problem(format_args!("{LOG_FILE}: missing, although there are accounts"))?;
    }
    if let Some(accounts) = accounts {
        let mut names = log.as_ref().map(log_names).transpose()?.unwrap_or_default();
        names.extend(marks.as_ref().map(mark_names).transpose()?.unwrap_or_default());
        names.retain(|name| accounts.find(name).is_none());
        if !names.is_empty() {
            let list = list(&names);
            report.problem(format_args!(
                "{USERS_FILE}: no account, although the log or {SEEN_FILE} names them; reserved until `--reset NAME` \
                 gives them back: {list}"
            ))?;
        }
        let is_other = |name: &Name| !names.contains(name) && accounts.find(name).is_none();
        let others: BTreeSet<Name> = known.reserved.into_iter().filter(is_other).collect();
        if !others.is_empty() {
            let list = list(&others);
            report
                .note(format_args!("{STATE_FILE}: reserved until `--reset NAME` gives them back: {list}"))?;
        }
    }
    let Report { is_well, out } = report;
    writeln!(out, "{}", if is_well { "all is well" } else { "there is damage" })?;
    Ok(is_well)
}

/// Writes findings, and remembers whether any is a problem.
struct Report<'a, W> {
    out: &'a mut W,
    is_well: bool,
}

impl<W: Write> Report<'_, W> {
    fn note(&mut self, text: std::fmt::Arguments<'_>) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    fn problem(&mut self, text: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.is_well = false;
        self.note(text)
    }

    fn damages(&mut self, name: &str, damages: &[Damage]) -> io::Result<()> {
        for Damage { offset, what } in damages.iter().take(PLACES_SHOWN_MAX) {
            self.problem(format_args!("{name}: damaged at byte {offset}: {what}"))?;
        }
        match damages.len().checked_sub(PLACES_SHOWN_MAX + 1) {
            Some(more) => self.problem(format_args!("{name}: and {} more damaged places", more + 1)),
            None => Ok(()),
        }
    }
}

/// `is_as_saved`: the log has all that was saved, so that a torn end is no loss.
fn check_log(
    file: &RealFile,
    is_as_saved: bool,
    now: Timestamp,
    report: &mut Report<'_, impl Write>,
) -> io::Result<Verified> {
    let mut damages = Vec::new();
    let verified = journal::verify(file, |damage| damages.push(damage))?;
    let length = file.len()?;
    if is_as_saved
        && let Ok(Tail { whole, .. }) = Tail::read(file, length)?
        && whole.bytes() < length
    {
        damages.retain(|damage| damage.offset < whole);
        damages.push(Damage { offset: whole, what: TORN });
    }
    report.note(format_args!("{LOG_FILE}: messages: {}, bytes: {length}", verified.messages))?;
    report.damages(LOG_FILE, &damages)?;
    if verified.last.micros() > now.micros() + FUTURE_US {
        let last = verified.last;
        report.problem(format_args!(
            "{LOG_FILE}: the last message is of {last}, and it is {now} now: one of the clocks was wrong"
        ))?;
    }
    Ok(verified)
}

fn check_blocks(blocks: &RealFile, log: &RealFile, report: &mut Report<'_, impl Write>) -> io::Result<()> {
    let (mut changed, mut bad) = (Vec::new(), Vec::new());
    verify_blocks(blocks, log, |range| changed.push(range), |damage| bad.push(damage))?;
    report.note(format_args!("{BLOCKS_FILE}: bytes: {}", blocks.len()?))?;
    for Range { start, end } in changed.iter().take(PLACES_SHOWN_MAX) {
        report.problem(format_args!(
            "{LOG_FILE}: damaged: bytes {start} to {end} are not as they were written"
        ))?;
    }
    if let Some(more) = changed.len().checked_sub(PLACES_SHOWN_MAX + 1) {
        report.problem(format_args!("{LOG_FILE}: and {} more damaged blocks", more + 1))?;
    }
    report.damages(BLOCKS_FILE, &bad)
}

/// Returns the sum of the account records, or `None` if some may be missing.
fn check_users(
    file: &RealFile,
    mark: UsersMark,
    report: &mut Report<'_, impl Write>,
) -> io::Result<Option<State>> {
    let users = match read_users(file) {
        Ok(users) => users,
        Err(RecoverError::Damaged(damage)) => {
            report.damages(USERS_FILE, &[damage])?;
            return Ok(None);
        }
        Err(RecoverError::Io(error)) => return Err(error),
    };
    let agrees = mark.compare(Some(file), Some(&users))?;
    let Users { state, form, whole, length, end, passed_over, .. } = users;
    report.note(format_args!("{USERS_FILE}: accounts: {}, bytes: {length}", state.accounts().len()))?;
    if form == Form::Unchecked {
        report.note(format_args!(
            "{USERS_FILE}: of version 0.1, without checksums; the next start adds them"
        ))?;
    }
    let is_reserved = |account: &Account| account.credential().is_none();
    let accounts = state.accounts().iter().filter(|(_, account)| is_reserved(account));
    let reserved: BTreeSet<Name> = accounts.map(|(_, account)| account.name).collect();
    if !reserved.is_empty() {
        report.note(format_args!(
            "{USERS_FILE}: reserved until `--reset NAME` gives them back: {}",
            list(&reserved)
        ))?;
    }
    if passed_over > 0 {
        report.note(format_args!(
            "{USERS_FILE}: {passed_over} bytes of torn writes, which count for nothing"
        ))?;
    }
    match end {
        End::Whole => {}
        End::NoNewline => {
            report.damages(USERS_FILE, &[Damage { offset: whole, what: "no newline at the end" }])?
        }
        End::Torn(_) => {
            report.damages(USERS_FILE, &[Damage { offset: whole, what: TORN }])?;
        }
    }
    match agrees {
        Ok(()) => Ok(Some(state)),
        Err(disagreement) => report.problem(format_args!("{disagreement}")).map(|()| None),
    }
}

fn check_marks(
    file: &RealFile,
    accounts: Option<&Accounts>,
    last: Timestamp,
    report: &mut Report<'_, impl Write>,
) -> io::Result<()> {
    let mut damages = Vec::new();
    verify_marks(file, accounts, last, |damage| damages.push(damage))?;
    report.note(format_args!("{SEEN_FILE}: bytes: {}", file.len()?))?;
    report.damages(SEEN_FILE, &damages)?;
    if !damages.is_empty() {
        report.note(format_args!(
            "{SEEN_FILE}: needs no repair: such marks do not count, and messages may be shown again"
        ))?;
    }
    Ok(())
}

fn list(names: &BTreeSet<Name>) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    names.join(" ")
}

/// Returns all names in a log: senders and recipients, even those in lines that are otherwise damaged.
///
/// # Errors
/// The system's.
pub fn log_names(file: &impl File) -> io::Result<BTreeSet<Name>> {
    let mut names = BTreeSet::new();
    for_each_line(file, |_, line| {
        let Ok(ends) = message_ends(line) else { return };
        let to = match ends.to {
            Audience::Private(to) => Some(to),
            Audience::Public | Audience::Room(_) => None,
        };
        for name in [Some(ends.from), to].into_iter().flatten().filter_map(Name::parse) {
            names.insert(name);
        }
    })?;
    Ok(names)
}
