//! A terminal that shows nothing by itself.
//!
//! The line editor has the terminal to itself only while it edits a line. In between, a terminal in its usual mode
//! shows what is typed wherever the cursor stands, a password among it, and ends the program at Ctrl-C. So it is
//! taken out of that mode for as long as the program runs.

use std::io;
#[cfg(unix)]
use std::sync::Mutex;

#[cfg(unix)]
use nix::sys::termios::{InputFlags, LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

/// Holds the terminal silent, and gives it back as it was.
pub struct Silence {
    #[cfg(unix)]
    original: Mutex<Termios>,
}

#[cfg(unix)]
impl Silence {
    /// From now on.
    pub fn begin() -> io::Result<Silence> {
        let original = tcgetattr(io::stdin())?;
        let mut silent = original.clone();
        // What the line editor switches off as well: bytes come as they are typed, and none of them means anything.
        silent.input_flags &= !(InputFlags::ICRNL | InputFlags::IXON);
        silent.local_flags &=
            !(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::IEXTEN | LocalFlags::ISIG);
        tcsetattr(io::stdin(), SetArg::TCSADRAIN, &silent)?;
        Ok(Silence { original: Mutex::new(original) })
    }

    fn restore(&self) {
        if let Ok(original) = self.original.lock() {
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &original);
        }
    }

    /// Stops the program until it is continued, with the terminal as it was.
    pub fn suspend(&self) {
        use std::io::Write;

        let Ok(current) = tcgetattr(io::stdin()) else { return };
        // Bracketed paste is the line editor's, and nobody else's.
        let _ = io::stdout().write_all(b"\r\n\x1b[?2004l").and_then(|()| io::stdout().flush());
        self.restore();
        let own_group = nix::unistd::Pid::from_raw(0);
        let _ = nix::sys::signal::kill(own_group, nix::sys::signal::Signal::SIGTSTP);
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &current);
        let _ = io::stdout().write_all(b"\x1b[?2004h").and_then(|()| io::stdout().flush());
    }
}

#[cfg(unix)]
impl Drop for Silence {
    fn drop(&mut self) {
        self.restore();
    }
}

#[cfg(not(unix))]
impl Silence {
    /// Elsewhere the terminal is silent while nobody reads from it.
    pub fn begin() -> io::Result<Silence> {
        Ok(Silence {})
    }

    /// Nor can programs be suspended there.
    pub fn suspend(&self) {}
}
