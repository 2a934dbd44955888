//! How often passwords may be guessed.
//!
//! Of all strangers at an account together, one attempt is judged every five seconds until one succeeds. An address
//! that failed three times waits for five seconds before the next attempt, and for twice as long after each further
//! one. Only what the model is sure of counts: an address that may have logged in to the account meanwhile is no
//! stranger there, and a login to any account may have forgiven some of the address's failures.

use std::collections::BTreeMap;

use super::asked::Asked;
use super::connection::{Client, Connection, Waiting};
use super::{Guarantee, Model, hold, key};

const SECOND_US: u64 = 1_000_000;
/// Between two attempts of strangers at one account.
const PAUSE_US: u64 = 5 * SECOND_US;
/// Failures of an address after which the next attempt has to wait.
const FREE: usize = 3;
/// The longest delay.
const DELAY_MAX_US: u64 = 3600 * SECOND_US;
/// Failures that are older may have been forgotten in part.
const REMEMBERED_US: u64 = 3000 * SECOND_US;
/// An answer is written in the turn after its attempt was judged, or a little later where a signal interrupts that.
const ANSWER_TURNS: u64 = 3;

/// A wrong guess.
#[derive(Clone, Copy)]
struct Guess {
    address: u32,
    /// Between these two moments it was judged.
    earliest_us: u64,
    latest_us: u64,
}

/// All wrong guesses since the server started that count for certain.
#[derive(Default)]
pub struct Guesses {
    at_accounts: BTreeMap<String, Vec<Guess>>,
    of_addresses: BTreeMap<u32, Vec<Guess>>,
    /// The last turn in which each address was welcome to any account.
    welcomes: BTreeMap<u32, u64>,
}

impl Guesses {
    /// An address is welcome in a turn of which no answer was looked at yet.
    pub fn will_succeed(&mut self, address: u32, turn: u64) {
        self.welcomes.insert(address, turn);
        self.of_addresses.remove(&address);
    }

    /// An address logged in to an account.
    pub fn succeeded(&mut self, address: u32, name: &str) {
        // What it failed at there before is forgotten, also by those who wait for their turn.
        if let Some(guesses) = self.at_accounts.get_mut(&key(name))
            && guesses.iter().any(|guess| guess.address == address)
        {
            guesses.clear();
        }
    }
}

impl Model {
    /// A connection was answered that the password for this name is wrong.
    pub(super) fn guessed_wrong(&mut self, id: usize, name: &str, waiting: &Waiting) {
        let address = self.connections[id].address;
        let is_welcome = self.guesses.welcomes.get(&address) == Some(&self.turn);
        if is_welcome || self.connections[id].may_lag || self.may_be_familiar(address, name) {
            return;
        }
        let (earliest_us, latest_us) = (self.began_us(waiting.turn + 1), self.began_us(self.turn));
        let guesses = self.guesses.at_accounts.entry(key(name)).or_default();
        guesses.push(Guess { address, earliest_us, latest_us });
        let guesses = guesses.clone();
        if guesses.iter().any(|guess| self.may_be_familiar(guess.address, name)) {
            self.guesses.at_accounts.remove(&key(name));
        } else {
            let (mut count, mut earliest_us) = (0, u64::MAX);
            for guess in guesses.iter().rev() {
                count += 1;
                earliest_us = earliest_us.min(guess.earliest_us);
                hold(Guarantee::Accounts, earliest_us + (count - 1) * PAUSE_US <= latest_us, || {
                    let us = latest_us - earliest_us;
                    format!("strangers guessed at {name} {count} times within {us} us")
                });
            }
        }
        self.address_guessed_wrong(id);
    }

    /// A connection was answered that a password is wrong, of an account that its address is a stranger to.
    pub(super) fn address_guessed_wrong(&mut self, id: usize) {
        let address = self.connections[id].address;
        let is_welcome = self.guesses.welcomes.get(&address) == Some(&self.turn);
        if is_welcome || self.of_server(address).any(Connection::may_be_in_untold) {
            return;
        }
        let judged_turn = self.turn.saturating_sub(ANSWER_TURNS).max(self.first_turn);
        let (earliest_us, latest_us) = (self.began_us(judged_turn), self.began_us(self.turn));
        let guesses = self.guesses.of_addresses.entry(address).or_default();
        if let Some(last) = guesses.last().copied() {
            let is_remembered = |it: &&Guess| it.earliest_us + REMEMBERED_US >= last.earliest_us;
            let count = guesses.iter().filter(is_remembered).count();
            let delay_us = count.checked_sub(FREE).map_or(0, |beyond| PAUSE_US << beyond.min(16));
            let due_us = last.earliest_us + delay_us.min(DELAY_MAX_US);
            hold(Guarantee::Accounts, due_us <= latest_us, || {
                let us = latest_us - last.earliest_us;
                format!("address {address} guessed wrong {count} times, and again after {us} us")
            });
        }
        guesses.push(Guess { address, earliest_us, latest_us });
    }

    /// Whether somebody may have logged in to an account from an address.
    fn may_be_familiar(&self, address: u32, name: &str) -> bool {
        let name = key(name);
        let mut of_account = self.of_server(address).filter(|it| it.may_be.contains(&name));
        of_account.any(|it| it.account.is_some() || it.may_be_in_untold() || it.waits_at_no_turn())
    }

    /// The connections from an address that this server has or had.
    fn of_server(&self, address: u32) -> impl Iterator<Item = &Connection> {
        let of_server = self.connections.iter().rev().take_while(|it| it.turn >= self.first_turn);
        of_server.filter(move |it| it.address == address)
    }
}

impl Connection {
    /// Whether it may have logged in without having been told so.
    fn may_be_in_untold(&self) -> bool {
        let is_over = self.client != Client::Open || self.is_closing;
        let may_wait = self.may_wait_for_a_login() || self.waits_at_no_turn();
        let is_untold = self.account.is_none() && (is_over || self.may_be_welcome_late);
        self.may_lag || is_untold && may_wait
    }

    /// Whether it waits for an answer after which its address is no stranger, and that no pause delays.
    fn waits_at_no_turn(&self) -> bool {
        let is_at_once =
            |waiting: &Waiting| matches!(waiting.asked, Asked::Resume { .. } | Asked::Register { .. });
        self.asked.iter().any(is_at_once)
    }
}
