//! Everything at once, from a seed: whatever people do and whatever befalls the machine, what is promised holds.
//!
//! ```sh
//! SEED=123 cargo test --test simulated everything           # one seed again
//! scripts/soak.sh 60                                        # fresh seeds for an hour
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::sim::faults::KINDS;
use crate::sim::run::run;
use crate::sim::tally::Tally;

/// Seeds of every test run.
const SEEDS: u64 = 50;

/// Runs some seeds, until so many have failed; returns those, and what happened in all.
fn run_seeds(seeds: impl Iterator<Item = u64>, failures_max: usize) -> (Vec<u64>, Tally) {
    let (mut failed, mut tally) = (Vec::new(), Tally::default());
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(mut of_run) => tally.take_from(&mut of_run),
            Err(_) => {
                eprintln!(
                    "seed {seed} failed; again with: SEED={seed} cargo test --test simulated everything"
                );
                failed.push(seed);
            }
        }
        tally.count("seeds");
        if failed.len() >= failures_max {
            break;
        }
    }
    (failed, tally)
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn whatever_happens_the_guarantees_hold_and_everyone_is_heard_afterwards() {
    let seeds = variable("SEED").map_or(0..variable("SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let is_whole = seeds == (0..SEEDS);
    let (failed, tally) = run_seeds(seeds, 1);
    println!("{tally}");
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
    let missing: Vec<_> = KINDS.iter().filter(|kind| tally.of(kind) == 0).collect();
    assert!(!is_whole || missing.is_empty(), "that never happened in all the seeds: {missing:?}");
}

#[test]
#[ignore = "goes on for as long as one likes: scripts/soak.sh"]
fn fresh_seeds_for_some_minutes() {
    let minutes = variable("SOAK_MINUTES").expect("SOAK_MINUTES tells for how long");
    let first = variable("SOAK_FROM").expect("SOAK_FROM tells the first seed");
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let stop = std::env::var_os("SOAK_STOP").map(std::path::PathBuf::from);
    let goes_on = |_: &u64| Instant::now() < until && !stop.as_ref().is_some_and(|it| it.exists());
    let (failed, tally) = run_seeds((first..).take_while(goes_on), 20);
    println!("{tally}");
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
}
