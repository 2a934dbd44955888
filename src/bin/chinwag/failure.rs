//! Why the program ends, and with which exit status.

use std::io::{self, Write};

/// Wrong passwords after which the program ends.
pub const WRONG_PASSWORDS_MAX: usize = 3;

/// Why the program does not end successfully.
pub struct Failure {
    /// For a person; empty if everything was said already.
    pub words: String,
    /// The exit status.
    pub code: u8,
}

impl Failure {
    /// Any other failure.
    pub fn new(words: impl Into<String>) -> Failure {
        Failure { words: words.into(), code: 1 }
    }

    /// A usage error.
    pub fn usage(words: impl Into<String>) -> Failure {
        Failure { words: words.into(), code: 2 }
    }
}

/// Prints one line on stderr.
pub fn complain(words: &str) {
    let _ = writeln!(io::stderr(), "chinwag: {words}");
}
