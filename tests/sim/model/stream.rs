//! Which message a connection may be shown next.
//!
//! What happens when within the server is not known here, only what it wrote to the socket. So several places can
//! be the one where a connection stands; each message that it is shown leaves those of them that allow it.

use std::collections::{BTreeMap, BTreeSet};

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
    /// It is shown what it missed from `seen` to `end`: before `all_from` only what is private and to it, and of
    /// that the newest from each sender.
    Missed { next: usize, seen: usize, all_from: usize, end: usize },
    /// It is shown everything from here on.
    Live { next: usize },
    /// It is shown history up to `until`, and then goes on at `resume`.
    History { next: usize, until: usize, resume: usize },
}

/// What an account's connection may be shown.
#[derive(Debug)]
pub struct Stream {
    account: String,
    /// Each with the earliest place from which on it was shown everything, if it stands there.
    places: BTreeMap<Place, usize>,
    missed: Option<Missed>,
}

/// Of what a login shows the private messages of, and who is said to have sent more.
#[derive(Debug)]
struct Missed {
    seen: Between,
    end: Between,
    may_ask_for_nothing: bool,
    told: BTreeSet<String>,
}

/// Between two numbers, both of them possible.
#[derive(Clone, Copy, Debug)]
pub struct Between(pub usize, pub usize);

impl Stream {
    /// After a login. `seen`: what may count as the first message not seen. `end`: where the log may have ended
    /// at the login. `replays`: how many missed public messages may have been asked for.
    pub fn after_login(account: &str, seen: Between, end: Between, replays: &[u64], log: &Log) -> Stream {
        let mut places = Vec::new();
        for &replay in replays {
            for end in end.0..=end.1 {
                if replay == 0 {
                    // It wants nothing of what it missed.
                    places.push((Place::Live { next: end }, seen.0));
                    continue;
                }
                let last_public = log.last(replay, end, |record| record.to.is_none());
                for seen in seen.0..=seen.1.min(end) {
                    let place = Place::Missed { next: seen, seen, all_from: last_public.max(seen), end };
                    places.push((place.normal(account, log), seen));
                }
            }
        }
        let places = each_from_earliest(places.into_iter());
        let may_ask_for_nothing = replays.contains(&0);
        let missed = Some(Missed { seen, end, may_ask_for_nothing, told: BTreeSet::new() });
        Stream { account: account.into(), places, missed }
    }

    /// The reader is told that a sender has sent so many more private messages than are shown. Whether that is so.
    pub fn omits(&mut self, sender: &str, more: usize, log: &Log) -> bool {
        let Some(missed) = &mut self.missed else { return false };
        let mut ends = missed.end.0..=missed.end.1;
        let mut seens = missed.seen.0..=missed.seen.1;
        missed.told.insert(sender.into())
            && ends.any(|end| {
                seens.any(|seen| sent(&self.account, sender, (seen, end), log) == more + PRIVATE_MAX)
            })
    }

    /// Somebody who sent more than is shown, of which the reader was not told.
    pub fn omitted_silently(&self, log: &Log) -> Option<String> {
        let missed = self.missed.as_ref().filter(|missed| !missed.may_ask_for_nothing)?;
        let range = (missed.seen.1, missed.end.0);
        let senders: BTreeSet<_> = (range.0..range.1)
            .map(|place| log.record(place))
            .filter(|record| record.is_to(&self.account))
            .map(|record| record.from.clone())
            .collect();
        let is_omitted = |sender: &String| sent(&self.account, sender, range, log) > PRIVATE_MAX;
        senders.into_iter().find(|sender| is_omitted(sender) && !missed.told.contains(sender))
    }

    /// After the account was made: the last public messages of all.
    pub fn after_registration(account: &str, end: Between, replays: &[u64], log: &Log) -> Stream {
        let starts =
            |replay: u64| (end.0..=end.1).map(move |end| log.last(replay, end, |it| it.to.is_none()));
        let starts = replays.iter().flat_map(|&replay| starts(replay));
        let places = starts.map(|next| (Place::Live { next }, next)).collect();
        Stream { account: account.into(), places, missed: None }
    }

    /// A message is shown. Whether it may be. `asked`: the history that waits to be answered.
    pub fn show(&mut self, place: usize, asked: Option<&Range>, log: &Log) -> bool {
        let account = &self.account;
        let shown = |from: &Place| {
            let begun = asked.and_then(|range| from.begin(range, account, log));
            [Some(*from), begun].into_iter().flatten().find_map(|from| from.show(place, account, log))
        };
        let places = self.moved(shown);
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
        let places = self.moved(ended);
        self.stands_at(places)
    }

    /// Where it may stand after a step from each of its places.
    fn moved(&self, to: impl Fn(&Place) -> Option<Place>) -> BTreeMap<Place, usize> {
        each_from_earliest(self.places.iter().filter_map(|(from, &since)| Some((to(from)?, since))))
    }

    /// Whether it can stand at one of these; else it stays where it was, for who looks for what went wrong.
    fn stands_at(&mut self, places: BTreeMap<Place, usize>) -> bool {
        let is_possible = !places.is_empty();
        if is_possible {
            self.places = places;
        }
        is_possible
    }

    /// Up to where everything that it may see was handed to it, at least and at most.
    pub fn handed(&self, log: &Log) -> Between {
        let all = self.sent(log).map(|(_, to)| to);
        let (least, most) = all.fold((usize::MAX, 0), |(least, most), to| (least.min(to), most.max(to)));
        Between(least.min(most), most)
    }

    /// Between which places everything that it may see was handed to it, for each place where it may stand.
    pub fn sent(&self, log: &Log) -> impl Iterator<Item = (usize, usize)> {
        self.places.iter().map(|(place, &since)| {
            let to = match *place {
                Place::History { resume, .. } => resume,
                Place::Missed { next, .. } => next,
                Place::Live { .. } => place.next_shown(&self.account, log).unwrap_or(log.len()),
            };
            (since, to)
        })
    }

    /// Whether all may have been shown.
    pub fn is_at_end(&self, log: &Log) -> bool {
        self.places.keys().any(|place| match place {
            Place::History { .. } => false,
            _ => place.next_shown(&self.account, log).is_none(),
        })
    }

    /// In words, for who looks for what went wrong.
    pub fn describe(&self, log: &Log) -> String {
        let mut words = String::new();
        for place in self.places.keys().take(3) {
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
            Place::Missed { next, seen, all_from, end } => log
                .first_place(next, end, |place| is_replayed(place, (seen, all_from, end), account, log))
                .or_else(|| log.first(end.max(next), usize::MAX, |it| it.is_for(account))),
        }
    }

    /// The same place, always written in the same way.
    fn normal(self, account: &str, log: &Log) -> Place {
        match self {
            Place::Missed { next, end, .. } if self.next_shown(account, log).is_none_or(|it| it >= end) => {
                Place::Live { next: end.max(next) }
            }
            other => other,
        }
    }

    fn show(self, place: usize, account: &str, log: &Log) -> Option<Place> {
        if self.next_shown(account, log) != Some(place) {
            return None;
        }
        let next = place + 1;
        Some(match self {
            Place::Live { .. } => Place::Live { next },
            Place::Missed { seen, all_from, end, .. } => {
                Place::Missed { next, seen, all_from, end }.normal(account, log)
            }
            Place::History { until, resume, .. } => Place::History { next, until, resume },
        })
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

fn each_from_earliest(places: impl Iterator<Item = (Place, usize)>) -> BTreeMap<Place, usize> {
    let mut earliest = BTreeMap::new();
    for (place, since) in places {
        earliest.entry(place).and_modify(|it: &mut usize| *it = since.min(*it)).or_insert(since);
    }
    earliest
}

/// Private messages from each sender that a login shows.
const PRIVATE_MAX: usize = 200;

/// Whether a message is shown of what was missed between two places.
fn is_replayed(place: usize, (seen, all_from, end): (usize, usize, usize), account: &str, log: &Log) -> bool {
    let record = log.record(place);
    if !record.is_to(account) {
        return place >= all_from && record.is_for(account);
    }
    place >= seen && sent(account, &record.from, (place + 1, end), log) < PRIVATE_MAX
}

/// How many private messages a sender sent to an account between two places.
fn sent(account: &str, sender: &str, (from, to): (usize, usize), log: &Log) -> usize {
    (from..to).map(|place| log.record(place)).filter(|it| it.is_to(account) && it.from == sender).count()
}
