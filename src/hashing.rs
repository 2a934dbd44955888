//! The queue for password hashing: one job at a time, bounded, and fair by address.
//!
//! Start-time fair queueing (Goyal, Vin, Cheng, 1996) with jobs of equal cost: a job's tag is one more than that
//! of its address's last one, and never less than that of the job being served. An address with forty jobs
//! waiting so delays another's only one by one job.

use crate::accounts::SessionId;
use crate::limits::HASHING_QUEUE_MAX;
use crate::throttle::Origin;

struct Job {
    tag: u64,
    origin: Origin,
    session: SessionId,
}

/// Sessions waiting for their derivation, the one being served first.
#[derive(Default)]
pub struct HashingQueue {
    /// By tag; equal ones in the order they came.
    jobs: Vec<Job>,
    /// The tag of the job being served.
    virtual_time: u64,
}

/// What became of a job that was put in the queue.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// It waits.
    Queued,
    /// It waits, and the last job of the address that has most of them was put out for it.
    Displaced(SessionId),
    /// The queue is full.
    Full,
}

impl HashingQueue {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// The session being served.
    pub fn first(&self) -> Option<SessionId> {
        self.jobs.first().map(|job| job.session)
    }

    /// Puts a session in the queue.
    pub fn push(&mut self, origin: Origin, session: SessionId) -> Admission {
        let mut admission = Admission::Queued;
        if self.jobs.len() >= HASHING_QUEUE_MAX {
            match self.last_of_the_greediest(origin) {
                Some(position) => admission = Admission::Displaced(self.jobs.remove(position).session),
                None => return Admission::Full,
            }
        }
        let own_last = self.jobs.iter().filter(|job| job.origin == origin).map(|job| job.tag).max();
        let tag = own_last.unwrap_or(0).max(self.virtual_time) + 1;
        let position = self.jobs.partition_point(|job| job.tag <= tag);
        self.jobs.insert(position, Job { tag, origin, session });
        admission
    }

    /// Takes a session out: it was served, or is gone.
    pub fn remove(&mut self, session: SessionId) {
        if let Some(position) = self.jobs.iter().position(|job| job.session == session) {
            let job = self.jobs.remove(position);
            if position == 0 {
                self.virtual_time = self.virtual_time.max(job.tag);
            }
        }
    }

    /// The last job of the address with the most, where that has at least two more than `origin`.
    fn last_of_the_greediest(&self, origin: Origin) -> Option<usize> {
        let count = |origin: Origin| self.jobs.iter().filter(|job| job.origin == origin).count();
        // The job being served has cost work already and stays.
        let (position, greediest) = self
            .jobs
            .iter()
            .enumerate()
            .skip(1)
            .max_by_key(|(position, job)| (count(job.origin), *position))?;
        (count(greediest.origin) > count(origin) + 1).then_some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn origin(number: u8) -> Origin {
        IpAddr::from([10, 0, 0, number]).into()
    }

    fn served(queue: &mut HashingQueue) -> Vec<u32> {
        std::iter::from_fn(|| {
            let first = queue.first()?;
            queue.remove(first);
            Some(first)
        })
        .collect()
    }

    #[test]
    fn addresses_take_turns_and_each_keeps_its_order() {
        let mut queue = HashingQueue::default();
        for session in 0..4 {
            queue.push(origin(1), session);
        }
        queue.push(origin(2), 10);
        queue.push(origin(2), 11);
        queue.push(origin(3), 20);
        assert_eq!(served(&mut queue), [0, 10, 20, 1, 11, 2, 3]);
    }

    #[test]
    fn newcomers_do_not_starve_who_waits() {
        let mut queue = HashingQueue::default();
        queue.push(origin(1), 1);
        queue.push(origin(1), 2);
        let mut served = Vec::new();
        for newcomer in 10..20 {
            queue.push(origin(newcomer), newcomer.into());
            let first = queue.first().unwrap();
            queue.remove(first);
            served.push(first);
        }
        assert!(served.iter().position(|&session| session == 2).unwrap() <= 3, "{served:?}");
    }

    #[test]
    fn a_full_queue_refuses_the_greedy_and_makes_room_for_others() {
        let mut queue = HashingQueue::default();
        for session in 0..HASHING_QUEUE_MAX as u32 {
            assert_eq!(queue.push(origin(1), session), Admission::Queued);
        }
        assert_eq!(queue.push(origin(1), 1000), Admission::Full);
        assert_eq!(queue.push(origin(2), 1001), Admission::Displaced(HASHING_QUEUE_MAX as u32 - 1));
        assert_eq!(queue.first(), Some(0), "the job under way stays");
        assert_eq!(queue.jobs.len(), HASHING_QUEUE_MAX);
    }

    #[test]
    fn one_that_is_gone_is_not_served() {
        let mut queue = HashingQueue::default();
        queue.push(origin(1), 1);
        queue.push(origin(1), 2);
        queue.remove(1);
        queue.remove(7);
        assert_eq!(served(&mut queue), [2]);
    }
}
