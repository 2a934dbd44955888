//! A place in a file.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// A place in a file. It is not a length: a place plus a length is another place, and the difference of two places is a
/// length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(u64);

impl Offset {
    /// The beginning of a file.
    pub const START: Offset = Offset(0);
    /// A place that no file reaches.
    pub const MAX: Offset = Offset(u64::MAX);

    /// The place behind the first `bytes` of a file.
    pub const fn after(bytes: u64) -> Offset {
        Offset(bytes)
    }

    /// How many bytes of the file come before it.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The place so many bytes before it, or the beginning of the file if there are not as many.
    pub const fn back(self, bytes: usize) -> Offset {
        Offset(self.0.saturating_sub(bytes as u64))
    }

    /// How many bytes there are from here to `end`; 0 if it is not behind this place.
    pub const fn bytes_to(self, end: Offset) -> u64 {
        end.0.saturating_sub(self.0)
    }

    /// The place in the middle between this one and a later one.
    pub const fn midpoint(self, later: Offset) -> Offset {
        Offset(self.0 + (later.0 - self.0) / 2)
    }
}

impl Add<usize> for Offset {
    type Output = Offset;

    fn add(self, bytes: usize) -> Offset {
        Offset(self.0 + bytes as u64)
    }
}

impl AddAssign<usize> for Offset {
    fn add_assign(&mut self, bytes: usize) {
        *self = *self + bytes;
    }
}

impl Sub<usize> for Offset {
    type Output = Offset;

    fn sub(self, bytes: usize) -> Offset {
        Offset(self.0 - bytes as u64)
    }
}

impl Sub for Offset {
    type Output = u64;

    fn sub(self, earlier: Offset) -> u64 {
        self.0 - earlier.0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
