//! Bit rot between two runs of a server: a file, or two at once, has other bytes than the server left there.
//!
//! A rotten directory is examined on a copy. A server starts on it, or refuses to and starts after a repair. Then
//! strangers try to take every name, and every account logs in and reads all it may see. The copy is dropped, as if
//! the operator had restored a backup, and the seed goes on with the directory as it was.
//!
//! # What holds under which damage
//!
//! `state.txt` tells that the log or `users.txt` is shorter than it was: then the server must refuse to start, and
//! starts after a repair. Any damage to `state.txt` itself leaves everything as it is without it: the server starts.
//!
//! | | `seen.txt`, any | `users.txt`, any | the log: flips, zeroes | the log: cut, older, removed |
//! |---|---|---|---|---|
//! | the server starts | yes | it may refuse | it may refuse | it may refuse |
//! | no name of an account, the log or `seen.txt` is free | yes | yes (1) | yes (1) | yes (1) |
//! | nobody enters an account with another's password | yes | yes | yes | yes |
//! | an account's own password opens it | yes | it may be an earlier password, or none (2) | yes | yes |
//! | a line is shown as it was said | yes | yes | damaged lines may differ (3) | yes |
//! | a line is shown only to those it is for | yes | yes | damaged lines may name others (3) | yes |
//! | an undamaged line is shown to all it is for | yes | yes | yes (4) | yes, up to the cut |
//! | a missed private line is shown at the next login | yes, but see (5) | yes | yes | yes |
//!
//! 1. As the files say after the damage: a name is known by its account, by a whole line that names it, or by its
//!    mark. If the only place that knew a name is gone, nothing is left that could reserve it, and nothing that is
//!    addressed to it either. So it is with a line that was cut off in the middle.
//!    A line of `users.txt` behind a zeroed sector counts as torn if it is within an append's length of the end.
//! 2. If `users.txt` is cut at the end of a line, is an older copy, or is gone. Other damage to it breaks the chain
//!    of checksums, and the server does not start.
//! 3. Only in blocks of the log without a sum in `blocks.txt`: there a flip can turn one text into another, one sender
//!    or recipient into another, and a private line into a public one. Nothing is shown of a block whose sum is wrong,
//!    and lines in other blocks are not affected.
//! 4. Except for lines with bytes in a block whose sum is wrong, and for what is taken for a torn append: behind the
//!    first zeroed sector, within an append's length of the end. And except for a line before a flipped
//!    timestamp, which may look like the one that is out of order.
//! 5. `seen.txt` has no checksums. A flip can move one mark to another moment within the log, and the private lines
//!    before it are then found by `/history` only. All other damage to it repeats lines and hides none.
//!
//! Damage to `blocks.txt` changes nothing of all that: it is rebuilt, and the sums of its good lines still count.
//!
//! Under damage to two files at once, what holds is what holds under each of the two: one file never makes up for
//! another in a way that opens an account, frees a name that is still in a file, or shows a line to others.

use std::collections::BTreeMap;
use std::ops::Range;

use chinwag::protocol::record::Timestamp;
use chinwag::server::Options;
use chinwag::server::repair::repair;

use super::disk::{BLOCKS, LOG, SEEN, STATE, SimDisk, USERS};
use super::harness::{Sim, options};
use super::model::{Guarantee, Model, broken, hold};
use super::sums::Sums;
use super::tally::Tally;
use super::world::{NOON_US, SimWorld, XorShift};

/// An append to the log that a power failure tore is at most this long.
const APPEND_MAX: usize = (128 << 10) + 4096;
const SECTOR_BYTES: usize = 512;
const TIMESTAMP_BYTES: usize = "2026-11-22T12:03:11.042317Z".len();
/// The newest missed private lines of which every one must be shown at a login. There is a bound for each sender.
const MISSED_CHECKED: usize = 50;

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rot {
    /// Bits changed, at these offsets.
    Flipped(Vec<usize>),
    /// Sectors are zeroes.
    Zeroed(Range<usize>),
    /// It ends here, at the end of a line or not.
    Cut(usize),
    /// It is what it was at some earlier start, and not empty.
    Older,
    Removed,
}

/// Older copies of the files, and the choices of what rots.
pub struct BitRot {
    random: XorShift,
    older: BTreeMap<&'static str, Vec<u8>>,
    /// What `users.txt` was at the time of the older `state.txt`.
    users_of_older_state: Vec<u8>,
}

/// A file, and what happened to it.
struct Spoilt {
    file: &'static str,
    rot: Rot,
    /// The bytes that the file had before.
    before: Vec<u8>,
}

/// All that happened to a directory, at most once to each file.
struct Case {
    spoilt: Vec<Spoilt>,
    /// The sums of the log, as the damage left them.
    sums: Sums,
}

impl BitRot {
    pub fn new(random: XorShift) -> BitRot {
        BitRot { random, older: BTreeMap::new(), users_of_older_state: Vec::new() }
    }

    /// Lets files of a copy of the directory rot, between two servers, and examines what comes of it.
    pub fn examine(&mut self, disk: &SimDisk, model: &Model, world: &SimWorld, tally: &mut Tally) {
        let copy = disk.crash(|_, unsynced| unsynced.to_vec());
        let first = self.random.below(FILES.len() as u64) as usize;
        let second = (first + 1 + self.random.below(FILES.len() as u64 - 1) as usize) % FILES.len();
        let files = if self.random.below(3) == 0 { &[first, second][..] } else { &[first] };
        let spoilt = files.iter().filter_map(|&file| self.spoil(FILES[file], &copy, tally));
        let spoilt: Vec<_> = spoilt.collect();
        let mut case = Case { spoilt, sums: Sums::read(&copy) };
        if case.spoilt.len() == 2 {
            tally.count("two files damaged at once");
        }
        if !case.spoilt.is_empty() {
            let known = examine(&copy, &mut case, model, world, tally);
            if let Some(sim) = known {
                self.lose_state(&sim, &case, tally);
            }
        }
        for file in FILES {
            if self.random.below(3) == 0 && disk.has(file) {
                self.older.insert(file, disk.bytes_from(file, 0));
                if file == STATE {
                    self.users_of_older_state = disk.bytes_from(USERS, 0);
                }
            }
        }
    }

    /// Cuts `state.txt` off at the end of a line, and takes the read marks away, which know names as well. What is left
    /// of it and the log must tell all names that are reserved.
    fn lose_state(&mut self, sim: &Sim, case: &Case, tally: &mut Tally) {
        let disk = sim.disk.crash(|_, unsynced| unsynced.to_vec());
        let state = disk.read(STATE);
        let ends: Vec<usize> = state.match_indices('\n').map(|(at, _)| at + 1).collect();
        if ends.is_empty() {
            return;
        }
        disk.put(STATE, &state.as_bytes()[..self.random.one_of(&ends)]);
        disk.remove(SEEN);
        let known = known_names(&disk, case);
        let accounts = disk.read(USERS).to_ascii_lowercase();
        let mut options = options();
        options.rate = None;
        let mut sim = match Sim::try_on(disk, options) {
            Ok(sim) => sim,
            Err(error) => broken(Guarantee::Durable, format!("{case}, and with less state: {error}")),
        };
        tally.count("state cut off at a line");
        sim.disk.state().read_fails = true;
        for name in known.iter().filter(|name| !accounts.contains(&format!("{name}:"))) {
            take_a_name(&mut sim, case, name);
        }
    }

    fn spoil(&mut self, file: &'static str, disk: &SimDisk, tally: &mut Tally) -> Option<Spoilt> {
        if !disk.has(file) || disk.length(file) == 0 {
            return None;
        }
        let before = disk.bytes_from(file, 0);
        let mut bytes = before.clone();
        let length = bytes.len() as u64;
        let rot = match self.random.below(10) {
            0..4 => {
                let count = self.random.one_of(&[1, 1, 1, 2, 5]);
                let offsets: Vec<usize> = (0..count).map(|_| self.random.below(length) as usize).collect();
                offsets.iter().for_each(|&offset| bytes[offset] ^= 1 << self.random.below(8));
                tally.count("flipped bits");
                Rot::Flipped(offsets)
            }
            4 | 5 => {
                let first = self.random.below(length) as usize / SECTOR_BYTES * SECTOR_BYTES;
                let count = self.random.one_of(&[1, 1, 3, 40]);
                let range = first..bytes.len().min(first + count * SECTOR_BYTES);
                bytes[range.clone()].fill(0);
                tally.count("zeroed sectors");
                Rot::Zeroed(range)
            }
            6 | 7 => {
                let mut end = self.random.below(length) as usize;
                if self.random.below(2) == 0 {
                    end = bytes[..end].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                }
                bytes.truncate(end);
                tally.count("file cut short");
                Rot::Cut(end)
            }
            8 => {
                bytes = self.older.get(file)?.clone();
                // This is the one thing that an older state.txt does not survive.
                if file == STATE && !disk.bytes_from(USERS, 0).starts_with(&self.users_of_older_state) {
                    return None;
                }
                tally.count("older copy of a file");
                if bytes.is_empty() { Rot::Cut(0) } else { Rot::Older }
            }
            _ => {
                disk.remove(file);
                tally.count("removed file");
                return Some(Spoilt { file, rot: Rot::Removed, before });
            }
        };
        if bytes == before {
            return None;
        }
        disk.put(file, &bytes);
        Some(Spoilt { file, rot, before })
    }
}

const FILES: [&str; 5] = [LOG, USERS, SEEN, STATE, BLOCKS];

impl Spoilt {
    /// Whether a server may refuse to start.
    fn may_refuse(&self) -> bool {
        [LOG, USERS].contains(&self.file)
    }

    /// Whether the damage breaks the chain of `users.txt` where nothing can be taken for a torn append, or leaves less
    /// of a file than `state.txt` says.
    fn must_refuse(&self, disk: &SimDisk) -> bool {
        // The last newline may be missing.
        if self.may_refuse() && disk.length(self.file) + 1 < marked(&disk.read(STATE), self.file) {
            return true;
        }
        let body = self.before.strip_suffix(b"\n").unwrap_or(&self.before);
        let last = body.iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
        match &self.rot {
            Rot::Flipped(offsets) => self.file == USERS && offsets.iter().all(|&offset| offset < last),
            _ => false,
        }
    }

    /// Whether a file is gone, or empty: that is no damage that could be repaired.
    fn needs_a_backup(&self) -> bool {
        self.file != BLOCKS && matches!(self.rot, Rot::Removed | Rot::Cut(0))
    }

    /// Whether an account may have lost its password, or have an earlier one.
    fn may_forget_passwords(&self) -> bool {
        self.file == USERS
    }

    /// Whether the damage is in the lines of the log, so that these can say anything.
    fn is_in_lines(&self) -> bool {
        self.file == LOG && matches!(self.rot, Rot::Flipped(_) | Rot::Zeroed(_))
    }

    /// Whether a line of the log may say what nobody said.
    fn may_change_lines(&self, sums: &Sums) -> bool {
        match &self.rot {
            Rot::Flipped(offsets) => self.file == LOG && !offsets.iter().all(|&offset| sums.cover(offset)),
            Rot::Zeroed(range) => self.file == LOG && !range.clone().all(|offset| sums.cover(offset)),
            _ => false,
        }
    }

    /// Up to where `users.txt` cannot be taken for a torn append.
    fn users_kept(&self) -> usize {
        match &self.rot {
            Rot::Zeroed(range) if self.file == USERS => range.start,
            _ => usize::MAX,
        }
    }

    /// Whether missed lines may not be shown at a login.
    fn may_hide_missed(&self) -> bool {
        self.file == SEEN && matches!(self.rot, Rot::Flipped(_) | Rot::Zeroed(_))
    }

    /// Whether the line at these offsets of the log was there before, and still is.
    fn leaves(&self, line: &Range<usize>, disk: &SimDisk) -> bool {
        if self.file != LOG {
            return true;
        }
        // The ending of the line before it belongs to it too: without that, it is no line.
        let from = line.start.saturating_sub(1);
        match &self.rot {
            // If a flip moves the next timestamp to before this one, nothing tells which of the two is wrong.
            Rot::Flipped(offsets) => {
                !offsets.iter().any(|offset| (from..line.end + TIMESTAMP_BYTES).contains(offset))
            }
            Rot::Zeroed(range) => {
                let is_behind = line.end > range.start;
                let may_be_torn = range.start + APPEND_MAX >= self.before.len();
                let is_touched = from < range.end && is_behind;
                !(is_touched || is_behind && may_be_torn)
            }
            Rot::Cut(_) | Rot::Older | Rot::Removed => line.end <= disk.length(LOG),
        }
    }
}

impl Case {
    fn any(&self, is_so: impl Fn(&Spoilt) -> bool) -> bool {
        self.spoilt.iter().any(is_so)
    }

    fn may_refuse(&self) -> bool {
        self.any(Spoilt::may_refuse)
    }

    fn must_refuse(&self, disk: &SimDisk) -> bool {
        let is_in_state = self.any(|spoilt| spoilt.file == STATE);
        !is_in_state && self.any(|spoilt| spoilt.must_refuse(disk))
    }

    fn needs_a_backup(&self) -> bool {
        self.any(Spoilt::needs_a_backup)
    }

    fn may_forget_passwords(&self) -> bool {
        self.any(Spoilt::may_forget_passwords)
    }

    fn is_in_lines(&self) -> bool {
        self.any(Spoilt::is_in_lines)
    }

    fn is_in_marks(&self) -> bool {
        self.any(|spoilt| spoilt.file == SEEN)
    }

    fn users_kept(&self) -> usize {
        self.spoilt.iter().map(Spoilt::users_kept).min().unwrap_or(usize::MAX)
    }

    fn may_hide_missed(&self) -> bool {
        self.any(Spoilt::may_hide_missed)
    }

    fn may_change_lines(&self) -> bool {
        self.any(|spoilt| spoilt.may_change_lines(&self.sums))
    }

    fn leaves(&self, line: &Range<usize>, disk: &SimDisk) -> bool {
        !self.sums.hide(line) && self.spoilt.iter().all(|spoilt| spoilt.leaves(line, disk))
    }
}

/// The length in the last mark of a file, or 0. If something in `state.txt` is torn, nobody knows which mark counts.
fn marked(state: &str, file: &str) -> usize {
    let kind = if file == LOG { "log:" } else { "users:" };
    let is_line =
        |line: &str| ["log:", "users:", "reserved:", "scanned:"].iter().any(|it| line.starts_with(it));
    if state.contains('\0') || !state.lines().all(is_line) {
        return 0;
    }
    let last = state.lines().rev().find_map(|line| line.strip_prefix(kind));
    last.and_then(|line| line.split(':').next()?.parse().ok()).unwrap_or(0)
}

/// Returns the server that started in the end, unless only a backup helps.
fn examine(
    disk: &SimDisk,
    case: &mut Case,
    model: &Model,
    world: &SimWorld,
    tally: &mut Tally,
) -> Option<Sim> {
    let mut options = options();
    // Whoever examines comes from addresses of its own, and has much to ask.
    options.rate = None;
    let spoilt = disk.crash(|_, unsynced| unsynced.to_vec());
    let mut sim = match Sim::try_on(disk.crash(|_, unsynced| unsynced.to_vec()), options.clone()) {
        Ok(_) if case.must_refuse(&spoilt) => broken(Guarantee::Accounts, format!("{case}, and it starts")),
        Ok(sim) => sim,
        Err(error) => {
            tally.count("start that damage refused");
            hold(Guarantee::Durable, case.may_refuse(), || format!("{case}, and it does not start: {error}"));
            let sim = start_repaired(disk, case, options, tally)?;
            // Whatever was changed is accepted.
            case.sums = Sums::default();
            sim
        }
    };
    let case = &*case;
    tally.count("start on a damaged directory");
    (sim.world.wall_us, sim.world.mono_us) = (world.wall_us, world.mono_us);
    let known = known_names(&spoilt, case);
    // It reads the log once in the background, and while it cannot, it does not know which names are free.
    let accounts = spoilt.read(USERS).to_ascii_lowercase();
    let is_without = |name: &&String| !accounts.contains(&format!("{name}:"));
    sim.disk.state().read_fails = true;
    for name in known.iter().filter(is_without).take(2) {
        take_a_name(&mut sim, case, name);
    }
    sim.disk.state().read_fails = false;
    sim.run_seconds(5);
    for name in &known {
        take_a_name(&mut sim, case, name);
    }
    let accounts = model.certain_accounts();
    for (name, password) in &accounts {
        for (other, stolen) in accounts.iter().filter(|(other, _)| other != name) {
            if other.bytes().next() == name.bytes().next().map(|it| it ^ 1) || *other == accounts[0].0 {
                enter_with_a_wrong_password(&mut sim, case, name, stolen);
            }
        }
        look_around(&mut sim, case, model, &spoilt, name, password);
    }
    Some(sim)
}

/// Repairs a directory that a server refused, and starts one on it; `None` if only a backup helps.
fn start_repaired(disk: &SimDisk, case: &Case, options: Options, tally: &mut Tally) -> Option<Sim> {
    let mut repaired = disk.crash(|_, unsynced| unsynced.to_vec());
    let mut said = Vec::new();
    let is_done = repair(&mut repaired, true, Timestamp::from_micros(NOON_US), &mut said);
    if !matches!(is_done, Ok(true)) || case.needs_a_backup() {
        return None;
    }
    tally.count("repaired directory");
    // A copy, on which it is known anew what is a line of the log.
    match Sim::try_on(repaired.crash(|_, unsynced| unsynced.to_vec()), options) {
        Ok(sim) => Some(sim),
        Err(error) => {
            let said = String::from_utf8_lossy(&said);
            broken(
                Guarantee::Durable,
                format!("{case}, and it does not start after a repair: {error}\n{said}"),
            )
        }
    }
}

/// All names that the files know, by the form of their lines.
fn known_names(disk: &SimDisk, case: &Case) -> Vec<String> {
    let mut names = Vec::new();
    let users = disk.bytes_from(USERS, 0);
    let kept = &users[..users.len().min(case.users_kept())];
    // A line without its ending is torn.
    let whole = kept.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    for line in String::from_utf8_lossy(&kept[..whole]).lines() {
        names.extend(line.split_once(':').map(|(name, _)| name.to_owned()));
    }
    // Damaged marks can name anyone.
    let marks = if case.is_in_marks() { String::new() } else { disk.read(SEEN) };
    for line in marks.lines() {
        names.extend(line.split_once(' ').map(|(name, _)| name.to_owned()));
    }
    // A damaged line may not have the form of a message, and then it names nobody. Here too, one without its ending
    // is torn: it is set aside, and nobody is shown it.
    let log = if case.is_in_lines() { String::new() } else { disk.read(LOG) };
    // Nor is anyone shown what a power failure left behind the first zeroed sector of the last append.
    let appended = log.len().saturating_sub(APPEND_MAX);
    let zeroed = log.bytes().skip(appended).position(|byte| byte == 0);
    let kept = zeroed.map_or(log.len(), |at| appended + at);
    let whole = log[..kept].rfind('\n').map_or(0, |at| at + 1);
    for line in log[..whole].lines() {
        let ends = line.get(28..).and_then(|rest| rest.split_once(": ")).map_or("", |(ends, _)| ends);
        names.extend(ends.split(" -> ").map(str::to_owned));
    }
    let is_name = |name: &String| {
        name.len() <= 20
            && name.starts_with(|it: char| it.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    names.retain(is_name);
    names.iter_mut().for_each(|name| name.make_ascii_lowercase());
    names.sort();
    names.dedup();
    names
}

fn take_a_name(sim: &mut Sim, case: &Case, name: &str) {
    let answer = ask(sim, &format!("/register {name} stolen-by-registering"), 5);
    let is_in = answer.iter().any(|line| line.starts_with("* welcome"));
    hold(Guarantee::Accounts, !is_in, || format!("{case}, and the name {name} is free"));
}

fn enter_with_a_wrong_password(sim: &mut Sim, case: &Case, name: &str, password: &str) {
    let answer = ask(sim, &format!("/login {name} {password}"), 60);
    let is_in = answer.iter().any(|line| line.starts_with("* welcome"));
    hold(Guarantee::Accounts, !is_in, || format!("{case}, and {name} is entered with another's password"));
}

/// One line on a connection of its own. Returns what was shown within some seconds.
fn ask(sim: &mut Sim, line: &str, seconds: u64) -> Vec<String> {
    sim.connect("stranger");
    sim.say("stranger", line);
    sim.run_seconds(seconds);
    let output = sim.output("stranger");
    sim.peer("stranger").close();
    sim.settle();
    output
}

/// Logs in to an account and compares all that it is shown with what was said.
fn look_around(sim: &mut Sim, case: &Case, model: &Model, spoilt: &SimDisk, name: &str, password: &str) {
    sim.connect("owner");
    sim.say("owner", &format!("/login {name} {password}"));
    sim.run_seconds(60);
    let missed = sim.output("owner");
    let is_in = missed.iter().any(|line| line.starts_with("* welcome"));
    hold(Guarantee::Accounts, is_in || case.may_forget_passwords(), || {
        format!("{case}, and {name} cannot log in: {missed:?}")
    });
    if !is_in {
        sim.peer("owner").close();
        return sim.turns(1);
    }
    sim.say("owner", "/history");
    sim.run_seconds(60);
    let history = sim.output("owner");
    hold(Guarantee::Progress, history.iter().any(|line| line == "* end of history"), || {
        format!("{case}, and {name}'s history does not end: {:?}", history.last())
    });
    let mut last = "";
    for line in history.iter().filter(|line| is_message(line)) {
        hold(Guarantee::Ordered, last < &line[..27], || format!("{case}, and time does not rise: {line}"));
        last = &line[..27];
    }
    for line in missed.iter().chain(&history).filter(|line| is_message(line)) {
        match model.is_for(line, name) {
            Some(is_for) => {
                hold(Guarantee::Private, is_for, || format!("{case}, and {name} was shown: {line}"));
            }
            None => hold(Guarantee::Durable, case.may_change_lines() && Model::has_form(line), || {
                format!("{case}, and {name} was shown what nobody said: {line}")
            }),
        }
    }
    let is_left = |range: &Range<usize>| case.leaves(range, spoilt);
    let lost = model.lines_for(name).find(|(range, line)| is_left(range) && !shows(&history, line));
    if let Some((range, line)) = lost {
        broken(Guarantee::Durable, format!("{case}, and {name} was not shown what is at {range:?}: {line}"));
    }
    if !case.may_hide_missed() {
        let private = model.missed_private(name).filter(|(range, _)| is_left(range));
        let private: Vec<_> = private.collect();
        let newest = &private[private.len().saturating_sub(MISSED_CHECKED)..];
        let hidden = newest.iter().find(|(_, line)| !shows(&missed, line));
        hold(Guarantee::Ordered, hidden.is_none(), || {
            format!("{case}, and {name} did not see at the login: {:?}", hidden.expect("it is there"))
        });
    }
    sim.peer("owner").close();
    sim.turns(1);
}

fn is_message(line: &str) -> bool {
    line.starts_with(|first: char| first.is_ascii_digit())
}

/// Whether a line is among those shown, whose timestamps rise.
fn shows(shown: &[String], line: &str) -> bool {
    shown.iter().any(|it| it == line)
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, Spoilt { file, rot, .. }) in self.spoilt.iter().enumerate() {
            write!(f, "{}{file} was damaged ({rot:?})", if number > 0 { " and " } else { "" })?;
        }
        Ok(())
    }
}
