//! Time and randomness, which come in as arguments so that a test can be both.

use std::io;

use crate::limits::Micros;

/// One look at both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, since the Unix epoch. It may step, also back: only messages' timestamps are made of it.
    pub wall_us: Micros,
    /// The monotonic clock, since any moment before the program's start: every timer is made of it.
    pub mono_us: Micros,
}

/// What a server needs of the world besides its sockets and its files.
pub trait World {
    /// Both clocks, now.
    fn now(&mut self) -> Now;
    /// Fills `bytes` with unpredictable ones.
    ///
    /// # Errors
    /// When the system has none to give; nothing may be made of `bytes` then.
    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()>;
}
