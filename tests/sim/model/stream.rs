//! Which message a connection may be shown next.
//!
//! What happens when within the server is not known here, only what it wrote to the socket. So several places can
//! be the one where a connection stands; each message that it is shown leaves those of them that allow it.

use std::collections::BTreeSet;

use super::log::Log;

/// A part of the history, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    All,
    Last(u64),
    Since(String),
    Before(u64, String),
}

/// Where a connection may stand in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// It is shown what it missed: before `all_from` only what is private and to it.
    Missed { next: usize, all_from: usize },
    /// It is shown everything from here on.
    Live { next: usize },
    /// It is shown history up to `until`, and then goes on at `resume`.
    History { next: usize, until: usize, resume: usize },
}

/// What an account's connection may be shown.
#[derive(Debug)]
pub struct Stream {
    account: String,
    places: BTreeSet<Place>,
}

/// Between two numbers, both of them possible.
#[derive(Clone, Copy, Debug)]
pub struct Between(pub usize, pub usize);

impl Stream {
    /// After a login. `seen`: what may count as the first message not seen. `end`: where the log may have ended
    /// at the login. `replays`: how many missed public messages may have been asked for.
    pub fn after_login(account: &str, seen: Between, end: Between, replays: &[u64], log: &Log) -> Stream {
        let mut places = BTreeSet::new();
        for &replay in replays {
            for end in end.0..=end.1 {
                if replay == 0 {
                    places.insert(Place::Live { next: end });
                    continue;
                }
                let last_public = log.last(replay, end, |record| record.to.is_none());
                for seen in seen.0..=seen.1.min(end) {
                    let place = Place::Missed { next: seen, all_from: last_public.max(seen) };
                    places.insert(place.normal(account, log));
                }
            }
        }
        Stream { account: account.into(), places }
    }

    /// After the account was made: the last public messages of all.
    pub fn after_registration(account: &str, end: Between, replays: &[u64], log: &Log) -> Stream {
        let starts =
            |replay: u64| (end.0..=end.1).map(move |end| log.last(replay, end, |it| it.to.is_none()));
        let places =
            replays.iter().flat_map(|&replay| starts(replay)).map(|next| Place::Live { next }).collect();
        Stream { account: account.into(), places }
    }

    /// A message is shown. Whether it may be. `asked`: the history that waits to be answered.
    pub fn show(&mut self, place: usize, asked: Option<&Range>, log: &Log) -> bool {
        let account = &self.account;
        let shown = |from: &Place| {
            let begun = asked.and_then(|range| from.begin(range, account, log));
            [Some(*from), begun].into_iter().flatten().find_map(|from| from.show(place, account, log))
        };
        let places = self.places.iter().filter_map(shown).collect();
        self.stands_at(places)
    }

    /// The history that was asked for is said to be through. Whether it may be.
    pub fn end_history(&mut self, asked: &Range, log: &Log) -> bool {
        let account = &self.account;
        let ended = |from: &Place| match from {
            Place::History { resume, .. } => {
                from.next_shown(account, log).is_none().then_some(Place::Live { next: *resume })
            }
            _ => from
                .begin(asked, account, log)
                .filter(|begun| begun.next_shown(account, log).is_none())
                .map(|_| *from),
        };
        let places = self.places.iter().filter_map(ended).collect();
        self.stands_at(places)
    }

    /// Whether it can stand at one of these; else it stays where it was, for who looks for what went wrong.
    fn stands_at(&mut self, places: BTreeSet<Place>) -> bool {
        let is_possible = !places.is_empty();
        if is_possible {
            self.places = places;
        }
        is_possible
    }

    /// Up to where everything that it may see was handed to it, at least and at most.
    pub fn handed(&self, log: &Log) -> Between {
        let handed = |place: &Place| match *place {
            Place::History { resume, .. } => resume,
            Place::Missed { next, .. } => next,
            Place::Live { .. } => place.next_shown(&self.account, log).unwrap_or(log.len()),
        };
        let all = self.places.iter().map(handed);
        Between(all.clone().min().unwrap_or(0), all.max().unwrap_or(0))
    }

    /// Whether all may have been shown.
    pub fn is_at_end(&self, log: &Log) -> bool {
        self.places.iter().any(|place| match place {
            Place::History { .. } => false,
            _ => place.next_shown(&self.account, log).is_none(),
        })
    }

    /// In words, for who looks for what went wrong.
    pub fn describe(&self, log: &Log) -> String {
        let mut words = String::new();
        for place in self.places.iter().take(3) {
            let next = place.next_shown(&self.account, log).map(|next| &log.record(next).line);
            words += &format!("{place:?} with {:.60?} next; ", next.map_or("nothing", |line| line));
        }
        words
    }
}

impl Place {
    fn next_shown(&self, account: &str, log: &Log) -> Option<usize> {
        match *self {
            Place::Live { next } => log.first(next, usize::MAX, |it| it.is_for(account)),
            Place::History { next, until, .. } => log.first(next, until, |it| it.is_for(account)),
            Place::Missed { next, all_from } => log
                .first(next, all_from, |it| it.is_to(account))
                .or_else(|| log.first(all_from, usize::MAX, |it| it.is_for(account))),
        }
    }

    fn show(self, place: usize, account: &str, log: &Log) -> Option<Place> {
        if self.next_shown(account, log) != Some(place) {
            return None;
        }
        let next = place + 1;
        Some(match self {
            Place::Live { .. } => Place::Live { next },
            Place::Missed { all_from, .. } => Place::Missed { next, all_from }.normal(account, log),
            Place::History { until, resume, .. } => Place::History { next, until, resume },
        })
    }

    /// The same place, always written in the same way.
    fn normal(self, account: &str, log: &Log) -> Place {
        match self {
            Place::Missed { next, all_from } => match log.first(next, all_from, |it| it.is_to(account)) {
                Some(next) => Place::Missed { next, all_from },
                None => Place::Live { next: all_from.max(next) },
            },
            other => other,
        }
    }

    /// Where the answer to a request begins. Before it everything was sent, so that what the account may see of
    /// the log ends here.
    fn begin(&self, range: &Range, account: &str, log: &Log) -> Option<Place> {
        let Place::Live { next: resume } = *self else { return None };
        let last = |count, end| log.last(count, end, |it| it.is_for(account));
        let (next, until) = match range {
            Range::All => (0, resume),
            Range::Last(count) => (last(*count, resume), resume),
            Range::Since(time) => (log.find(time), resume),
            Range::Before(count, time) => {
                let until = log.find(time).min(resume);
                (last(*count, until), until)
            }
        };
        Some(Place::History { next, until, resume })
    }
}
