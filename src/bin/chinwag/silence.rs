//! A terminal that shows nothing by itself.
//!
//! The line editor has the terminal to itself only while it edits a line. In between, a terminal in its usual mode
//! shows what is typed wherever the cursor stands, a password among it, and ends the program at Ctrl-C. So it is
//! taken out of that mode for as long as the program runs, and Ctrl-C is heeded only where the program waits.

use std::io;
use std::sync::mpsc::Receiver;
#[cfg(unix)]
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
    mpsc::RecvTimeoutError,
};
#[cfg(unix)]
use std::time::Duration;

#[cfg(unix)]
use nix::sys::termios::{InputFlags, LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

/// Holds the terminal silent, and gives it back as it was.
pub struct Silence {
    #[cfg(unix)]
    original: Mutex<Termios>,
    #[cfg(unix)]
    was_interrupted: Arc<AtomicBool>,
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
        let was_interrupted = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&was_interrupted))?;
        Ok(Silence { original: Mutex::new(original), was_interrupted })
    }

    /// Waits for something while no line is edited; `None` where there is nothing to come, or Ctrl-C was pressed.
    pub fn wait<T>(&self, source: &Receiver<T>) -> Option<T> {
        const LOOK_AGAIN: Duration = Duration::from_millis(50);
        self.was_interrupted.store(false, Ordering::SeqCst);
        self.heed_interrupts(true);
        let found = loop {
            match source.recv_timeout(LOOK_AGAIN) {
                Ok(found) => break Some(found),
                Err(RecvTimeoutError::Timeout) if !self.was_interrupted.load(Ordering::SeqCst) => {}
                Err(_) => break None,
            }
        };
        self.heed_interrupts(false);
        found
    }

    fn heed_interrupts(&self, heeded: bool) {
        if let Ok(mut current) = tcgetattr(io::stdin()) {
            current.local_flags.set(LocalFlags::ISIG, heeded);
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &current);
        }
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

    /// Waits for something while no line is edited; `None` where there is nothing to come.
    pub fn wait<T>(&self, source: &Receiver<T>) -> Option<T> {
        source.recv().ok()
    }

    /// Nor can programs be suspended there.
    pub fn suspend(&self) {}
}
