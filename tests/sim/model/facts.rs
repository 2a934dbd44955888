//! What the model knows of a directory, for those who examine a damaged copy of it.

use std::ops::Range;

use super::Model;
use super::hostile::is_own_name;
use super::log::Record;

impl Model {
    /// The accounts that are there for certain, with their passwords.
    pub fn certain_accounts(&self) -> Vec<(String, String)> {
        let settled = self.accounts.iter().filter(|(name, it)| it.is_settled() && !is_own_name(name));
        settled.filter_map(|(name, it)| Some((name.clone(), it.certain()?.to_owned()))).collect()
    }

    /// Whether a line of the log may be shown to an account; `None` if it is not a line of the log.
    pub fn is_for(&self, line: &str, account: &str) -> Option<bool> {
        self.log.place_of(line).map(|place| self.log.record(place).is_for(account))
    }

    /// Whether a line has the form of a message.
    pub fn has_form(line: &str) -> bool {
        Record::has_form(line)
    }

    /// All lines that an account may see, and where they are in the log.
    pub fn lines_for<'a>(&'a self, account: &'a str) -> impl Iterator<Item = (Range<usize>, &'a str)> {
        self.lines().filter(move |(_, it)| it.is_for(account)).map(|(range, it)| (range, it.line.as_str()))
    }

    /// Private lines to an account that no session of it can have been sent.
    pub fn missed_private<'a>(&'a self, account: &'a str) -> impl Iterator<Item = (Range<usize>, &'a str)> {
        let handed = self.accounts.get(account).map_or(0, |it| it.last_delivered);
        let missed = self.lines().skip(handed).filter(move |(_, it)| it.is_to(account) && it.from != account);
        missed.map(|(range, it)| (range, it.line.as_str()))
    }

    fn lines(&self) -> impl Iterator<Item = (Range<usize>, &Record)> {
        let records = (0..self.log.len()).map(|place| self.log.record(place));
        records.map(|record| (record.at..record.at + record.line.len() + 1, record))
    }
}
