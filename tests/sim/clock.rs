//! A wall clock that nobody can rely on: it jumps by seconds or by millennia, to before 1970, and stands still.
//!
//! No guarantee depends on it. Timers use the monotonic clock, and timestamps rise whatever the wall clock says, so
//! the model checks the same under a wild clock as under any other.

use chinwag::limits::{Micros, SECOND_US};

use super::tally::Tally;
use super::world::{SimWorld, XorShift};

const DAY_US: Micros = 86_400 * SECOND_US;
/// Seconds, an hour, a day, and years.
const JUMPS_US: [Micros; 7] =
    [SECOND_US, 90 * SECOND_US, 3_600 * SECOND_US, DAY_US, 40 * DAY_US, 366 * DAY_US, 36_500 * DAY_US];
/// 9990-01-01T00:00:00Z. From here it is still years to the last timestamp that can be written.
const YEAR_9990_US: Micros = 253_086_768_000_000_000;

/// 9999-12-30T00:00:00Z. Some time from here on, before the year is over, the server refuses messages.
const LAST_DAYS_US: Micros = 253_402_128_000_000_000;
/// 10000-01-01T00:00:00Z.
const YEAR_10000_US: Micros = 253_402_300_800_000_000;

/// The wall clock does something that no clock should.
pub fn go_wild(world: &mut SimWorld, random: &mut XorShift, tally: &mut Tally) {
    let jump_us = random.one_of(&JUMPS_US);
    match random.below(8) {
        0..3 => {
            // A clock before 1970 reads as 1970: the server sees an unsigned number.
            world.wall_us = world.wall_us.saturating_sub(jump_us);
            tally.count("clock far back");
        }
        3 | 4 => {
            world.wall_us = (world.wall_us + jump_us).min(YEAR_9990_US);
            tally.count("clock far ahead");
        }
        5 => {
            world.wall_stands_still ^= true;
            tally.count("clock that stands still");
        }
        6 if random.below(4) == 0 => {
            world.wall_us = random.below(SECOND_US);
            tally.count("clock before 1970");
        }
        6 if random.below(4) == 0 => {
            world.wall_us = YEAR_10000_US + jump_us;
            tally.count("clock after the year 9999");
        }
        7 if random.below(8) == 0 => {
            world.wall_us = YEAR_9990_US;
            tally.count("clock millennia ahead");
        }
        _ => set_right(world),
    }
}

/// Whether the wall clock shows a time at which a message may be refused for want of a timestamp.
pub fn is_at_the_end(world: &SimWorld) -> bool {
    world.wall_us >= LAST_DAYS_US
}

/// The wall clock is right again.
pub fn set_right(world: &mut SimWorld) {
    world.wall_stands_still = false;
    world.wall_us = super::world::NOON_US + world.mono_us;
}
