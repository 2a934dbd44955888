//! What must hold for an adversary's connections. The model does not predict their answers; it checks what no answer
//! may do: welcome the adversary to an account of somebody else, show a message that is not for it, show one that is
//! not in the log, or be of no known form. A connection of a proxy whose header is bad or incomplete is answered
//! nothing but the words that are for anybody (the simulated socket checks that), and no line of it is executed.

use chinwag::protocol::reply::{Error, Notice, Reply};

use super::answers::known_reply;
use super::asked::Asked;
use super::connection::Connection;
use super::received::Received;
use super::{Guarantee, Model, broken, hold, key};
use crate::sim::gate::HTTP_ANSWER;

/// The accounts that an adversary makes. Nobody else uses these names, and all of them have one password.
pub const DIRECT_NAMES: [&str; 5] = ["mallory", "Trudy", "oscar-1", "chuck_", "z"];
/// The accounts of [roomers](crate::sim::roomers), which are looked at there.
pub const ROOMERS: [&str; 4] = ["kim", "Lou", "max-7", "ned_"];
/// The password of all of them.
pub const DIRECT_PASSWORD: &str = "hostile-password";
/// Part of the text of every command that an adversary hides, and of nothing else.
pub const HIDDEN: &str = "hidden-";
/// The author of every message that an adversary sends, in place of a connection's number.
pub const AUTHOR: usize = usize::MAX;

/// All names whose connections are not predicted.
pub fn own_names() -> impl Iterator<Item = &'static str> {
    DIRECT_NAMES.into_iter().chain(ROOMERS)
}

/// Whether what is said and done under this name is not predicted.
pub fn is_own_name(name: &str) -> bool {
    own_names().any(|own| own.eq_ignore_ascii_case(name))
}

impl Model {
    /// An adversary connected. Returns the connection's number.
    pub fn intruded(&mut self, peer: usize, address: u32) -> usize {
        let id = self.connected(peer, address);
        self.connections[id].is_hostile = true;
        for name in own_names() {
            let account = self.account(name);
            if account.is_absent() {
                account.possible.push(Some(DIRECT_PASSWORD.into()));
            }
            // How much an adversary was shown is not tracked, so any mark of it is possible.
            account.last_delivered = usize::MAX;
            account.received = Received::all_before(usize::MAX);
        }
        id
    }

    /// What follows on this connection is a request of a web page, or no header of a proxy: no command in it may be
    /// executed.
    pub fn must_execute_nothing(&mut self, id: usize) {
        self.connections[id].must_execute_nothing = true;
    }

    /// A message of an adversary is in the log. A command hidden behind invisible characters must not be one.
    pub(super) fn look_at_hostile_record(&self, place: usize) {
        let record = self.log.record(place);
        let is_hidden = record.to.is_none() && record.text.contains(HIDDEN);
        hold(Guarantee::Private, !is_hidden, || {
            format!("a hidden command went to everyone: {}", record.line)
        });
    }

    /// A line that was written to an adversary.
    pub(super) fn hostile_line(&mut self, id: usize, line: &[u8]) {
        // Telnet's answer to a timing mark may stand in front of any line.
        let line = line.strip_prefix(b"\xff\xfc\x06".as_slice()).unwrap_or(line);
        let Ok(text) = std::str::from_utf8(line) else {
            let line = line.escape_ascii();
            broken(Guarantee::KnownLines, format!("hostile connection {id} received: {line}"));
        };
        let text = text.trim_end_matches('\n');
        self.trace(format_args!("{id:>4} << {text}"));
        hold(Guarantee::Bounded, line.len() <= 4096, || format!("a line of {} bytes", line.len()));
        if let Some(reply) = known_reply(text) {
            self.connections[id].is_closing |= is_farewell(&reply);
            match reply {
                Reply::Notice(notice) => self.hostile_notice(id, &notice),
                // All accounts of its own have one password, so that it is a stranger wherever it errs.
                Reply::Error(Error::BadLogin) => self.address_guessed_wrong(id),
                Reply::Error(_) => {}
            }
            return;
        }
        match text.as_bytes().first() {
            Some(b'0'..=b'9') => self.hostile_message(id, text),
            None => {}
            // In answer to a request; nothing but its end comes then.
            Some(_) if HTTP_ANSWER.lines().any(|line| line == text.trim_end()) => {
                let connection = &mut self.connections[id];
                hold(Guarantee::Private, connection.account.is_none(), || format!("to a session: {text}"));
                connection.is_closing = true;
            }
            Some(_) => broken(Guarantee::KnownLines, format!("hostile connection {id} received: {text:?}")),
        }
    }

    fn hostile_message(&mut self, id: usize, text: &str) {
        let Some(place) = self.log.place_of(text) else {
            broken(Guarantee::Durable, format!("an adversary was shown what is not in the log: {text}"));
        };
        let account = self.connections[id].account.as_deref();
        let record = self.log.record(place);
        // The gate decides who is shown lines of rooms.
        let is_for = account.is_some_and(|account| record.is_of_room() || record.is_for(account));
        hold(Guarantee::Private, is_for, || {
            format!("an adversary, logged in as {account:?}, was shown: {text}")
        });
    }

    fn hostile_notice(&mut self, id: usize, notice: &Notice<'_>) {
        if let Notice::Welcome { name } = notice {
            let name = name.as_str();
            hold(Guarantee::Accounts, is_own_name(name), || format!("an adversary is welcome as {name}"));
            let must_execute_nothing = self.connections[id].must_execute_nothing;
            hold(Guarantee::Accounts, !must_execute_nothing, || {
                format!("who must not be heard is welcome as {name}")
            });
            let turn = self.turn;
            self.account(name).has(DIRECT_PASSWORD, turn);
            let connection = &mut self.connections[id];
            connection.may_be.push(key(name));
            (connection.account, connection.welcomed) = (Some(key(name)), turn);
        }
        let is_presence = matches!(notice, Notice::Joined { .. } | Notice::Left { .. });
        let is_in = self.connections[id].account.is_some();
        hold(Guarantee::Private, is_in || !is_presence, || format!("to a stranger: {notice}"));
    }
}

impl Connection {
    /// Whether a login may wait on it.
    pub(super) fn may_wait_for_a_login(&self) -> bool {
        let waits = |asked: &Asked| {
            matches!(asked, Asked::Login { .. } | Asked::Register { .. } | Asked::Passwd { .. })
        };
        self.is_hostile || self.asked.iter().any(|waiting| waits(&waiting.asked))
    }
}

/// Whether a reply is the last line of a connection.
fn is_farewell(reply: &Reply<'_>) -> bool {
    match reply {
        Reply::Notice(notice) => matches!(notice, Notice::Bye | Notice::ShuttingDown),
        Reply::Error(error) => matches!(
            error,
            Error::LoginTimeout { .. }
                | Error::ServerFull { .. }
                | Error::MadeRoom { .. }
                | Error::TooManyConnections { .. }
                | Error::HistoryUnavailable
                | Error::Replaced { .. }
                | Error::ReplacedWhenFull
                | Error::SignedOut
                | Error::EndlessLine { .. }
        ),
    }
}
