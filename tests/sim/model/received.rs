//! What an account has received: not up to one place, but with gaps, since a session that begins after a message says
//! nothing about it.

use super::log::Log;

/// Spans of places, each of which a session was sent everything of that its account may see. They are sorted, and
/// neither overlap nor touch.
#[derive(Clone, Debug, Default)]
pub struct Received(Vec<(usize, usize)>);

impl Received {
    /// Everything before a place.
    pub fn all_before(end: usize) -> Received {
        Received(vec![(0, end)])
    }

    /// Adds what is between two places.
    pub fn add(&mut self, (mut from, mut to): (usize, usize)) {
        if from >= to {
            return;
        }
        self.0.retain(|&(start, end)| {
            let touches = start <= to && from <= end;
            if touches {
                (from, to) = (from.min(start), to.max(end));
            }
            !touches
        });
        let at = self.0.partition_point(|&(start, _)| start < from);
        self.0.insert(at, (from, to));
    }

    pub fn add_all(&mut self, other: &Received) {
        other.0.iter().for_each(|&span| self.add(span));
    }

    /// The place of the first message to the account that is not among these, or the end of the log.
    pub fn first_gap(&self, account: &str, log: &Log) -> usize {
        let next = |place| log.first(place, usize::MAX, |it| it.is_for(account)).unwrap_or(log.len());
        self.0.iter().fold(next(0), |gap, &(from, to)| if from <= gap && gap < to { next(to) } else { gap })
    }
}
