//! What must be true, told by what was sent to a server, what it wrote to its sockets and what its disk holds.
//!
//! Nothing here is shared with the server: neither code, nor bounds, nor how it does what it does. What cannot be
//! known from outside (when within its turns a line was handled, how far seen.txt got before a power failure) is a
//! set of possibilities, which what comes to light makes smaller. When none is left, a guarantee is broken, and its
//! name stands first in what is said then.

mod accounts;
mod answers;
pub mod asked;
mod bounds;
mod commits;
mod connection;
mod deadlines;
mod facts;
mod guesses;
pub mod hostile;
mod ledger;
mod log;
mod logins;
mod marks;
mod paces;
mod received;
mod seen;
pub mod stream;
mod tokens;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use chinwag::state::durable::State;

use super::disk::{LOG, SEEN, SimDisk, USERS};
use super::net::SimNet;

use accounts::Account;
use asked::Asked;
use bounds::{Bounds, Work};
use commits::Commits;
use connection::{Client, Connection, Waiting};
use guesses::Guesses;
use hostile::{AUTHOR, is_own_name, own_names};
use ledger::Ledger;
use log::{Log, Tag};
use logins::Logins;
use paces::Paces;
use received::Received;
use seen::Seen;
use stream::{Between, Stream};

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    Durable,
    Ordered,
    Private,
    Refused,
    NeverStalls,
    Bounded,
    KnownLines,
    Accounts,
    Progress,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Guarantee::Durable => "1 Durable",
            Guarantee::Ordered => "2 Ordered, once",
            Guarantee::Private => "3 Private",
            Guarantee::Refused => "4 Refused, not dropped",
            Guarantee::NeverStalls => "5 Never stalls",
            Guarantee::Bounded => "6 Bounded",
            Guarantee::KnownLines => "Every line is of a known kind",
            Guarantee::Accounts => "Accounts are kept",
            Guarantee::Progress => "Everyone progresses once faults stop",
        })
    }
}

pub fn broken(guarantee: Guarantee, what: impl fmt::Display) -> ! {
    panic!("[{guarantee}] {what}")
}

pub fn hold(guarantee: Guarantee, holds: bool, what: impl FnOnce() -> String) {
    if !holds {
        broken(guarantee, what());
    }
}

/// What the operator chose, as far as it can be seen from outside.
#[derive(Clone, Copy)]
pub struct Rules {
    pub connections_max: usize,
    pub per_address: usize,
    /// Lines per second of an account.
    pub rate: Option<u32>,
    /// Bytes of messages per day of an account.
    pub daily_bytes: Option<usize>,
    /// Whether the wall clock goes wrong.
    pub is_clock_wild: bool,
}

/// What became of something said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Kept,
    Refused,
    /// Nothing was heard of it, and it is not in the log: it never will be.
    Lost,
}

/// The last turn in which what may explain an answer went wrong.
#[derive(Default)]
struct Trouble {
    log_refused: u64,
    users_refused: u64,
    seen_refused: u64,
    read_failed: u64,
    no_random: u64,
    no_time: u64,
    no_descriptors: u64,
    not_watched: u64,
    of_disk: [u64; 4],
    of_others: [u64; 3],
}

impl Trouble {
    /// The last turn in which accounts may have been refused: with the messages of that turn, or by their own file.
    fn accounts_refused(&self) -> u64 {
        self.log_refused.max(self.users_refused)
    }

    /// From the start of a server on: what a disk refused before explains nothing any more.
    fn from(disk: &SimDisk) -> Trouble {
        Trouble { of_disk: Trouble::count_of_disk(disk), ..Trouble::default() }
    }

    fn count_of_disk(disk: &SimDisk) -> [u64; 4] {
        let disk = disk.state();
        // Half a line of seen.txt that cannot be cut off again is in the way of all that is to be noted.
        let seen = disk.refused(SEEN) + disk.tally.of("failed truncate");
        [disk.refused(LOG), disk.refused(USERS), seen, disk.tally.of("failed read of a file")]
    }
}

pub struct Model {
    rules: Rules,
    log: Log,
    accounts: BTreeMap<String, Account>,
    connections: Vec<Connection>,
    /// Those of this server that it has not let go of.
    open: Vec<usize>,
    fates: HashMap<Tag, Fate>,
    seen: Seen,
    trouble: Trouble,
    logins: Logins,
    guesses: Guesses,
    paces: Paces,
    bounds: Bounds,
    commits: Commits,
    ledger: Ledger,
    is_shutting_down: bool,
    /// Turns made, of all servers.
    turn: u64,
    /// When this server had its first turn.
    first_turn: u64,
    now_us: u64,
    /// When each turn began, by its number.
    began_us: Vec<u64>,
    /// Whether all that comes to light is printed, for who looks for what went wrong: `TRACE=1`.
    traces: bool,
    /// Where the log's last line ended when the server started: behind it, a torn one may stay without an ending.
    torn_at: Option<usize>,
}

impl Model {
    pub fn new(rules: Rules, disk: &SimDisk) -> Model {
        Model {
            rules,
            log: Log::default(),
            accounts: BTreeMap::new(),
            connections: Vec::new(),
            open: Vec::new(),
            fates: HashMap::new(),
            seen: Seen::default(),
            trouble: Trouble::from(disk),
            logins: Logins::default(),
            guesses: Guesses::default(),
            paces: Paces::default(),
            bounds: Bounds::from(disk),
            commits: Commits::from(disk),
            ledger: Ledger::read_whole(disk),
            is_shutting_down: false,
            turn: 1,
            first_turn: 1,
            now_us: 0,
            began_us: vec![0; 2],
            torn_at: None,
            traces: std::env::var_os("TRACE").is_some(),
        }
    }

    // What the clients do

    pub fn connected(&mut self, peer: usize, address: u32) -> usize {
        let id = self.connections.len();
        self.connections.push(Connection::new(peer, address, self.now_us, self.turn));
        self.open.push(id);
        id
    }

    /// The last byte of a line was sent.
    pub fn sent(&mut self, id: usize, asked: Asked) {
        let turn = self.turn;
        self.trace(format_args!("{id:>4} > {asked:?}"));
        match &asked {
            Asked::Say { to, text, tag } => {
                self.fates.insert(*tag, Fate::Open);
                self.note_said(id, to.as_deref(), text);
            }
            Asked::Register { name, password } => {
                self.connections[id].may_be.push(key(name));
                self.account(name).may_become(password, id, turn);
            }
            Asked::Login { name, .. } | Asked::Resume { name, .. } => {
                self.connections[id].may_be.push(key(name));
            }
            Asked::Token => self.note_token_asked(id),
            Asked::Passwd { new, .. } => {
                if let Some(name) = self.connections[id].who() {
                    let account = self.account(&name);
                    account.may_become(new, id, turn);
                }
            }
            Asked::Replay(count) => {
                for name in self.connections[id].names() {
                    self.account(&name).replays.push(*count);
                }
            }
            _ => {}
        }
        let seen = match &asked {
            Asked::Login { name, .. } | Asked::Resume { name, .. } => {
                self.seen.place_of(&key(name), &self.log)
            }
            _ => 0,
        };
        let end = self.log.len();
        self.connections[id].asked.push_back(Waiting { asked, turn, end, seen });
    }

    /// Telnet wants to know where in the output it is.
    pub fn asked_for_mark(&mut self, id: usize) {
        self.connections[id].marks += 1;
    }

    pub fn finished(&mut self, id: usize) {
        self.trace(format_args!("{id:>4} > finished"));
        self.connections[id].client = Client::Finished;
    }

    pub fn gone(&mut self, id: usize) {
        self.trace(format_args!("{id:>4} > gone"));
        self.connections[id].client = Client::Gone;
    }

    pub fn took(&mut self, id: usize) {
        self.connections[id].took_us = self.now_us;
        self.connections[id].has_taken = true;
    }

    pub fn shuts_down(&mut self) {
        self.trace(format_args!("shutdown"));
        self.is_shutting_down = true;
    }

    // What clients know

    pub fn account_of(&self, id: usize) -> Option<&str> {
        self.connections[id].account.as_deref()
    }

    /// Whether lines of a connection wait for their answers.
    pub fn is_waiting(&self, id: usize) -> bool {
        self.connections[id].asked.iter().any(|waiting| !matches!(waiting.asked, Asked::Nothing))
    }

    /// The first of them, in words.
    pub fn first_waiting(&self, id: usize) -> String {
        format!("{id}: {:?}", self.connections[id].asked.front())
    }

    pub fn is_over(&self, id: usize) -> bool {
        self.connections[id].is_over() || !self.open.contains(&id)
    }

    /// The passwords one of which is an account's, where there may be such an account.
    pub fn passwords_of(&self, name: &str) -> Vec<String> {
        let account = self.accounts.get(&key(name));
        account.map_or(Vec::new(), |account| account.possible.iter().flatten().cloned().collect())
    }

    /// Whether an account is there for certain, and nobody is about to change its password.
    pub fn is_settled(&self, name: &str) -> bool {
        self.accounts.get(&key(name)).is_some_and(Account::is_settled)
    }

    pub fn names(&self) -> Vec<String> {
        self.accounts
            .iter()
            .filter(|(name, it)| !it.is_absent() && !is_own_name(name))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Timestamps that there are, to ask by.
    pub fn stamp(&self, number: u64) -> Option<&str> {
        let count = self.log.len();
        (count > 0).then(|| self.log.record(number as usize % count).stamp())
    }

    pub fn messages(&self) -> usize {
        self.log.len()
    }

    /// Whether one of the last messages ends so.
    pub fn was_just_said(&self, text: &str) -> bool {
        let end = self.log.len();
        (end.saturating_sub(20)..end).any(|place| self.log.record(place).text.ends_with(text))
    }

    // What the server does

    /// In the next turn the wall clock shows a time that may be too late for a timestamp.
    pub fn time_is_over(&mut self) {
        self.trouble.no_time = self.turn + 1;
    }

    /// A turn begins.
    pub fn begins(&mut self, now_us: u64) {
        self.began_us.resize(self.turn as usize + 2, now_us);
    }

    /// Looks at all that a turn has brought. `is_last`: the server ended in it.
    pub fn look(&mut self, net: &SimNet, disk: &SimDisk, now_us: u64, random_failures: u64, is_last: bool) {
        self.turn += 1;
        self.now_us = now_us;
        self.note_trouble(net, disk, random_failures);
        self.commits.look(disk);
        if !is_last {
            self.ledger.look(disk);
        }
        let appended = self.read_log(disk, is_last);
        for &id in &self.open {
            let connection = &mut self.connections[id];
            let peer = net.peer(connection.peer);
            connection.may_have_left |= peer.is_finished_by_server() || peer.is_gone();
            connection.is_interrupted = peer.interrupted_writes > connection.interrupted_writes;
            connection.interrupted_writes = peer.interrupted_writes;
            connection.may_be_welcome_late |= connection.is_interrupted && connection.account.is_none();
        }
        self.note_crowds();
        self.note_ended_by_others();
        // All are heard before anything is written in a turn, so that a login counts what the others have said in it.
        let mut written = Vec::new();
        for &id in &self.open {
            let connection = &mut self.connections[id];
            let mut peer = net.peer(connection.peer);
            // A reset has thrown away what filled its socket.
            let is_full = peer.untaken() >= peer.capacity || peer.was_reset() && peer.capacity < usize::MAX;
            connection.lags = is_full || peer.write_max < usize::MAX;
            connection.may_lag |= connection.lags;
            connection.listen(&peer, &self.log, now_us);
            let lines = connection.lines_of(&peer.take_written());
            connection.has_taken |= !lines.is_empty();
            if lines.iter().any(|line| line.starts_with(b"* welcome ")) {
                self.guesses.will_succeed(connection.address, self.turn);
            }
            written.push((id, lines));
        }
        for (id, lines) in written {
            for line in lines {
                self.line(id, &line);
            }
        }
        self.note_online_and_handed(appended > 0);
        if is_last {
            return;
        }
        self.note_losses(net);
        self.look_at_ends(net);
        self.look_at_deadlines(net);
        if self.trouble.seen_refused == self.turn {
            self.accounts.values_mut().for_each(Account::may_not_be_noted);
        }
        // While it shuts down it notes what was seen as each one goes.
        let may_be_late = self.is_shutting_down;
        let (connections, open, log) = (&self.connections, &self.open, &self.log);
        let sent = |name: &str| Model::sent_to_sessions(connections, open, name, log);
        self.seen.look(disk, log, &mut self.accounts, sent, (self.turn, now_us), may_be_late);
        let work = Work { log, appended };
        self.bounds.look(net, disk, &self.connections, &self.open, self.rules, &work);
    }

    /// Another server runs on what is left of the disk.
    pub fn restarted(&mut self, disk: &SimDisk) {
        self.trace(format_args!("restart"));
        let end = self.log.len();
        let bytes = disk.bytes_from(LOG, 0);
        self.torn_at = bytes.iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
        self.read_log(disk, false);
        for place in end..self.log.len() {
            let tag = self.log.record(place).tag;
            let fate = self.fates.insert(tag, Fate::Kept);
            hold(Guarantee::Durable, fate != Some(Fate::Refused), || {
                format!("{tag:?} was refused and is kept")
            });
        }
        self.fates.values_mut().filter(|fate| **fate == Fate::Open).for_each(|fate| *fate = Fate::Lost);
        self.open.clear();
        self.seen = Seen::read(disk);
        for (name, account) in &mut self.accounts {
            account.restarted(self.seen.place_of(name, &self.log));
        }
        self.trouble = Trouble::from(disk);
        self.logins = Logins::default();
        self.guesses = Guesses::default();
        self.paces = Paces::default();
        self.bounds = Bounds::from(disk);
        self.commits = Commits::from(disk);
        self.ledger = Ledger::read_whole(disk);
        self.is_shutting_down = false;
        self.turn += 1;
        self.first_turn = self.turn;
    }

    /// Checks that the server knows what `users.txt` says.
    pub fn assert_knows_the_accounts(&self, state: &State) {
        self.ledger.assert_equals(state);
    }

    /// All that was asked is answered, and all that there is to see is seen, by all who stayed.
    pub fn assert_calm(&self) {
        for &id in self.open.iter().filter(|&&id| self.connections[id].is_predicted()) {
            let connection = &self.connections[id];
            let stands = connection.stream.as_ref().is_none_or(|stream| stream.is_at_end(&self.log));
            hold(Guarantee::Ordered, stands, || {
                let stream = connection.stream.as_ref().map(|it| it.describe(&self.log)).unwrap_or_default();
                format!("connection {id} was not shown all it may see: {stream}")
            });
            let omitted = connection.stream.as_ref().and_then(|stream| stream.omitted_silently(&self.log));
            hold(Guarantee::Ordered, omitted.is_none(), || {
                format!("connection {id} was not told that there is more from {omitted:?}")
            });
            let waiting = connection.asked.iter().find(|it| !matches!(it.asked, Asked::Nothing));
            hold(Guarantee::Refused, waiting.is_none(), || {
                format!("connection {id}: no answer to {waiting:?}")
            });
            connection.assert_offline_told(id, false);
        }
    }

    fn trace(&self, what: fmt::Arguments<'_>) {
        if self.traces {
            eprintln!("turn {:>5}, {:>12} us: {what}", self.turn, self.now_us);
        }
    }

    /// When a turn began.
    fn began_us(&self, turn: u64) -> u64 {
        self.began_us[(turn as usize).min(self.began_us.len() - 1)]
    }

    fn account(&mut self, name: &str) -> &mut Account {
        self.accounts.entry(key(name)).or_default()
    }

    fn note_trouble(&mut self, net: &SimNet, disk: &SimDisk, random_failures: u64) {
        let net = net.state();
        let of_disk = Trouble::count_of_disk(disk);
        let of_others = [random_failures, net.tally.of("out of descriptors"), net.tally.of("failed watch")];
        let trouble = &mut self.trouble;
        let turns = [
            &mut trouble.log_refused,
            &mut trouble.users_refused,
            &mut trouble.seen_refused,
            &mut trouble.read_failed,
            &mut trouble.no_random,
            &mut trouble.no_descriptors,
            &mut trouble.not_watched,
        ];
        let counts = of_disk.iter().chain(&of_others);
        let before = trouble.of_disk.iter().chain(&trouble.of_others);
        for (turn, _) in turns.into_iter().zip(counts.zip(before)).filter(|(_, (now, then))| now != then) {
            *turn = self.turn;
        }
        (trouble.of_disk, trouble.of_others) = (of_disk, of_others);
        if trouble.read_failed == self.turn {
            // Whoever read the history is closed, and is told so only once there is room.
            for &id in &self.open {
                let connection = &mut self.connections[id];
                connection.may_have_left = true;
                connection.may_have_read_in_vain |= connection.may_read(&self.log);
            }
        }
    }

    /// Reads what was added to the log; returns how many bytes that is.
    fn read_log(&mut self, disk: &SimDisk, is_last: bool) -> usize {
        let (read, synced, length) = (self.log.bytes(), disk.synced_length(LOG), disk.length(LOG));
        hold(Guarantee::Durable, synced >= read, || format!("{read} bytes were kept, {synced} are left"));
        hold(Guarantee::Durable, synced == length || is_last, || {
            format!("{} bytes of the log are not synced, or not taken back", length - synced)
        });
        let added = disk.bytes_from(LOG, read);
        // Torn sectors that a full disk left in place have no ending until the next append gives them one.
        let added = &added[..synced - read];
        let whole = added.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let is_torn =
            whole < added.len() && (added[whole..].contains(&0) || self.torn_at == Some(read + whole));
        self.log.has_torn_lines |= is_torn;
        let first = self.log.extend(if is_torn { &added[..whole] } else { added });
        for place in first..self.log.len() {
            self.look_at_record(place);
        }
        self.log.bytes() - read
    }

    /// What is in the log was said, by who is named there.
    fn look_at_record(&mut self, place: usize) {
        self.look_at_pace(place);
        let record = self.log.record(place);
        if record.tag.0 == AUTHOR {
            return self.look_at_hostile_record(place);
        }
        let fate = self.fates.insert(record.tag, Fate::Kept);
        let is_news = matches!(fate, Some(Fate::Open));
        hold(Guarantee::Durable, is_news, || format!("{fate:?}, and now in the log: {}", record.line));
        let connection = &self.connections[record.tag.0];
        let is_author = connection.names().contains(&record.from);
        hold(Guarantee::Durable, is_author, || format!("not from {:?}: {}", connection.names(), record.line));
        let said = connection.asked.iter().any(|waiting| match &waiting.asked {
            Asked::Say { to, text, tag } => {
                *tag == record.tag && *text == record.text && to.as_deref().map(key) == record.to
            }
            _ => false,
        });
        hold(Guarantee::Durable, said, || format!("nobody said: {}", record.line));
    }

    /// The server has ended connections: it had to have a reason, and to have answered.
    fn look_at_ends(&mut self, net: &SimNet) {
        let mut open = std::mem::take(&mut self.open);
        let is_full = open.len() > self.rules.connections_max;
        let mut of_address: BTreeMap<_, usize> = BTreeMap::new();
        for &id in &open {
            *of_address.entry(self.connections[id].address).or_default() += 1;
        }
        open.retain(|&id| {
            let connection = &mut self.connections[id];
            let peer = net.peer(connection.peer);
            let is_ended = peer.is_finished_by_server() || peer.is_gone();
            let is_lost = connection.is_loss_certain(&peer);
            if is_ended && connection.is_hostile {
                connection.is_closing = true;
            } else if is_ended && !connection.is_closing {
                if self.traces {
                    eprintln!("turn {:>5}: {id:>4} < the end", self.turn);
                }
                connection.is_closing = true;
                // It took nothing of what it should for ten minutes, or for two seconds of a shutdown.
                let was_stuck = self.now_us - connection.took_us >= 600_000_000 || self.is_shutting_down;
                // Without a login it has a minute, and ten seconds for the last words; and its place may be needed.
                let leaves = connection.asked.iter().any(|waiting| matches!(waiting.asked, Asked::Quit));
                let has_last_words = leaves && self.now_us - connection.took_us >= 10_000_000;
                let is_late = connection.account.is_none()
                    && (self.now_us - connection.since_us >= 60_000_000 || has_last_words);
                let was_stuck = (was_stuck || is_late || is_full) && connection.may_lag;
                // One that waits for its refusal would hold a place without counting against its address.
                let may_be_refused = of_address[&connection.address] > self.rules.per_address;
                let was_refused = connection.greeted == 0 && may_be_refused && connection.may_lag;
                let was_stuck = was_stuck || was_refused;
                let was_not_watched = connection.greeted == 0 && self.trouble.not_watched >= connection.turn;
                let is_explained = connection.client != Client::Open || was_stuck || was_not_watched;
                hold(Guarantee::Refused, is_explained, || {
                    format!("connection {id} was closed without a word")
                });
                // Whoever yields its place is not answered any more.
                let has_yielded = is_full && connection.account.is_none();
                if connection.client == Client::Finished
                    && !was_stuck
                    && !has_yielded
                    && !was_not_watched
                    && !peer.was_reset()
                {
                    connection.pass_over_blanks();
                    let waiting = connection.asked.front();
                    hold(Guarantee::Refused, waiting.is_none(), || {
                        format!("connection {id} was closed before an answer to {waiting:?}")
                    });
                }
            }
            if !peer.is_gone() {
                return true;
            }
            connection.ended = self.turn;
            if let Some(name) = &connection.account {
                connection.leave_mark(is_lost, self.accounts.entry(name.clone()).or_default(), &self.log);
            }
            self.logins.note_abandoned(connection);
            for account in self.accounts.values_mut() {
                account.ends_to_change(id, self.turn);
            }
            false
        });
        self.open = open;
    }

    fn note_online_and_handed(&mut self, log_has_grown: bool) {
        for &id in &self.open {
            let connection = &self.connections[id];
            let own_names = own_names().filter(|_| connection.is_hostile).map(key);
            for name in connection.names().into_iter().chain(own_names) {
                self.accounts.entry(name).or_default().maybe_online = self.turn;
            }
            if let (Some(name), Some(stream)) = (&connection.account, &connection.stream) {
                let handed = stream.handed(&self.log);
                // Who is live, and not one that reads what was said before: that is noted when it leaves.
                let is_live = log_has_grown && !connection.may_lag && handed.0 == self.log.len();
                let account = self.accounts.entry(name.clone()).or_default();
                let is_all = is_live && !connection.is_over() && !connection.may_have_gap;
                account.was_handed(handed.1, is_all, self.turn, self.now_us);
            }
        }
        let end = self.log.len();
        let is_absent = |(name, it): &(&String, &mut Account)| it.may_be_absent() && !is_own_name(name);
        for (_, account) in self.accounts.iter_mut().filter(is_absent) {
            // From the moment that it is made, all that was said before counts as seen.
            account.last_delivered = end;
            account.received = Received::all_before(end);
        }
    }

    fn welcome(&mut self, id: usize, name: &str, waiting: &Waiting, is_new: bool) {
        let name = key(name);
        let end = Between(waiting.end, self.log.len());
        let connection = &self.connections[id];
        let account = self.accounts.entry(name.clone()).or_default();
        let replays = connection.replay.map_or_else(|| account.replays.clone(), |replay| vec![replay]);
        let mut first = 0;
        let stream = if is_new {
            account.last_delivered = self.log.len();
            account.received = Received::all_before(account.last_delivered);
            account.replays_from = end.0;
            Stream::after_registration(&name, end, &replays, &self.log)
        } else {
            let seen = self.missed_from(id, &name, waiting);
            first = seen.0;
            Stream::after_login(&name, seen, end, &replays, &self.log)
        };
        let connection = &mut self.connections[id];
        self.guesses.succeeded(connection.address, &name);
        // After the first 64 KiB of what it missed, or after a while, it is heard while it reads the rest.
        let missed: usize = (first..self.log.len()).map(|it| self.log.record(it).line.len() + 1).sum();
        connection.may_lag |= missed > 64 << 10;
        connection.account = Some(name);
        connection.welcomed = self.turn;
        connection.awaits_target = true;
        connection.stream = Some(stream);
    }
}

/// One identity whatever the case.
fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}
