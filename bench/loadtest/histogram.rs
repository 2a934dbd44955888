//! Latencies, counted in buckets that are at most 1.6 % wide.

use std::time::Duration;

const SUB_BITS: u32 = 6;
const SUBS: usize = 1 << SUB_BITS;

/// Durations by their size, in microseconds.
#[derive(Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, latency: Duration) {
        let bucket = bucket(latency.as_micros() as u64);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    /// What this share of all does not exceed; zero where there are none.
    pub fn percentile(&self, share: f64) -> Duration {
        let rank = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += count;
            if count > 0 && seen >= rank {
                return Duration::from_micros(upper_edge(bucket));
            }
        }
        Duration::ZERO
    }
}

/// Exact below 128 µs; from there on 64 buckets to each doubling.
fn bucket(micros: u64) -> usize {
    let shift = (u64::BITS - micros.leading_zeros()).saturating_sub(SUB_BITS + 1);
    shift as usize * SUBS + (micros >> shift) as usize
}

fn upper_edge(bucket: usize) -> u64 {
    let shift = (bucket / SUBS).saturating_sub(1);
    (((bucket - shift * SUBS) as u64 + 1) << shift) - 1
}
