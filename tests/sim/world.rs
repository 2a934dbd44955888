//! Clocks that are numbers, and randomness that can be missing.

use std::io;

use chinwag::clock::{Now, World};
use chinwag::limits::Micros;

/// 2026-11-22T12:00:00Z.
pub const NOON_US: Micros = 1_795_348_800_000_000;

pub struct SimWorld {
    pub wall_us: Micros,
    pub mono_us: Micros,
    /// The wall clock does not go on by itself.
    pub wall_stands_still: bool,
    /// What every look at the clock costs, so that work can be seen to take time.
    pub look_us: Micros,
    pub random_fails: bool,
    /// How often it did.
    pub random_failures: u64,
    pub random: XorShift,
}

impl SimWorld {
    pub fn new() -> SimWorld {
        let random = XorShift::new(1);
        SimWorld {
            wall_us: NOON_US,
            mono_us: 1_000_000,
            wall_stands_still: false,
            look_us: 0,
            random_fails: false,
            random_failures: 0,
            random,
        }
    }

    pub fn advance(&mut self, by_us: Micros) {
        self.wall_us += if self.wall_stands_still { 0 } else { by_us };
        self.mono_us += by_us;
    }
}

impl World for SimWorld {
    fn now(&mut self) -> Now {
        self.advance(self.look_us);
        Now { wall_us: self.wall_us, mono_us: self.mono_us }
    }

    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        if self.random_fails {
            self.random_failures += 1;
            return Err(io::Error::other("no randomness"));
        }
        bytes.iter_mut().for_each(|byte| *byte = self.random.below(256) as u8);
        Ok(())
    }
}

/// Marsaglia, "Xorshift RNGs", 2003.
pub struct XorShift(u64);

impl Default for XorShift {
    fn default() -> XorShift {
        XorShift::new(1)
    }
}

impl XorShift {
    pub fn new(seed: u64) -> XorShift {
        XorShift(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}
