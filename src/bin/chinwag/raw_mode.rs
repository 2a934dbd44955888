//! The terminal's mode: silent while the program runs, and given back as it was at every end.
//!
//! The line editor has the terminal to itself only while it edits a line. In between, a terminal in its usual mode
//! shows what is typed wherever the cursor stands, a password among it, and ends the program at Ctrl-C. So the
//! terminal is taken out of that mode for as long as the program runs, and Ctrl-C is heeded only where the program
//! waits.
//!
//! A [`Guard`] gives the terminal back: when it is dropped, when a signal ends the program, and when it panics.

use std::io;
#[cfg(not(unix))]
use std::sync::mpsc::Receiver;

#[cfg(unix)]
pub use self::unix::{Guard, RawMode};

/// The terminal's number of columns, or 80 if it does not say.
pub fn columns() -> usize {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 0
    {
        return usize::from(size.ws_col);
    }
    80
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{self, Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, RecvTimeoutError};
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::process::{Signal, kill_current_process_group};
    use rustix::termios::{InputModes, LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    use signal_hook::low_level::emulate_default_handler;

    /// What the line editor asks of the terminal and a shell does not want: marks around pasted text.
    const LINE_EDITOR_OFF: &[u8] = b"\r\n\x1b[?2004l";
    const LINE_EDITOR_ON: &[u8] = b"\x1b[?2004h";

    /// Gives the terminal back as it was when the guard was made.
    pub struct Guard(Arc<Shared>);

    struct Shared {
        original: Termios,
        /// Whether the line editor is in use.
        is_edited_on: AtomicBool,
        /// The program waits, and Ctrl-C ends only the waiting.
        is_waiting: AtomicBool,
        was_interrupted: AtomicBool,
    }

    impl Guard {
        /// Remembers the terminal's mode, and restores it at every end of the program.
        ///
        /// # Errors
        /// If stdin is not a terminal.
        pub fn new() -> io::Result<Guard> {
            let shared = Arc::new(Shared {
                original: tcgetattr(io::stdin())?,
                is_edited_on: AtomicBool::new(false),
                is_waiting: AtomicBool::new(false),
                was_interrupted: AtomicBool::new(false),
            });
            watch_signals(Arc::clone(&shared))?;
            let (of_a_panic, report) = (Arc::clone(&shared), std::panic::take_hook());
            std::panic::set_hook(Box::new(move |panic| {
                of_a_panic.restore_at_once();
                report(panic);
            }));
            Ok(Guard(shared))
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.restore();
        }
    }

    impl Shared {
        /// Restores the mode after what was written has appeared.
        fn restore(&self) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.original);
        }

        /// Restores everything without waiting for a terminal that takes no output.
        fn restore_at_once(&self) {
            const OUTPUT_MAX: Duration = Duration::from_millis(200);
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.original);
            // Not through `io::stdout`, whose lock another thread may hold for ever.
            let out = io::stdout().as_fd().try_clone_to_owned();
            let Some(out) = out.ok().filter(|_| self.is_edited_on.load(Ordering::SeqCst)) else { return };
            let writer = thread::spawn(move || File::from(out).write_all(LINE_EDITOR_OFF));
            let started = Instant::now();
            while !writer.is_finished() && started.elapsed() < OUTPUT_MAX {
                thread::sleep(Duration::from_millis(1));
            }
        }

        /// Ends the waiting, if the program waits. Returns whether it did.
        fn interrupts(&self) -> bool {
            let is_waiting = self.is_waiting.load(Ordering::SeqCst);
            self.was_interrupted.fetch_or(is_waiting, Ordering::SeqCst);
            is_waiting
        }
    }

    /// At each of the signals that end a program, restores the terminal and then lets the signal do what it would
    /// have done.
    fn watch_signals(shared: Arc<Shared>) -> io::Result<()> {
        let (mut wakes, wake) = UnixStream::pair()?;
        let last = Arc::new(AtomicUsize::new(0));
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            // In this order: the number is there when the byte arrives.
            signal_hook::flag::register_usize(signal, Arc::clone(&last), signal as usize)?;
            signal_hook::low_level::pipe::register(signal, wake.try_clone()?)?;
        }
        let watcher = move || {
            while let Ok(1) = wakes.read(&mut [0]) {
                let signal = last.load(Ordering::SeqCst) as i32;
                if signal != SIGINT || !shared.interrupts() {
                    shared.restore_at_once();
                    let _ = emulate_default_handler(signal);
                }
            }
        };
        thread::Builder::new().name("signals".into()).spawn(watcher).map(drop)
    }

    /// Holds the terminal silent.
    pub struct RawMode(Guard);

    impl RawMode {
        /// From now on.
        ///
        /// # Errors
        /// If stdin is not a terminal.
        pub fn begin() -> io::Result<RawMode> {
            let guard = Guard::new()?;
            let mut silent = guard.0.original.clone();
            // What the line editor switches off as well: bytes come as they are typed, and none of them means
            // anything.
            silent.input_modes &= !(InputModes::ICRNL | InputModes::IXON);
            silent.local_modes &=
                !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG);
            guard.0.is_edited_on.store(true, Ordering::SeqCst);
            tcsetattr(io::stdin(), OptionalActions::Drain, &silent)?;
            Ok(RawMode(guard))
        }

        /// Waits for something while no line is edited; `None` if nothing will come, or Ctrl-C was pressed.
        pub fn wait<T>(&self, source: &Receiver<T>) -> Option<T> {
            const LOOK_AGAIN: Duration = Duration::from_millis(50);
            let shared = &self.0.0;
            shared.was_interrupted.store(false, Ordering::SeqCst);
            shared.is_waiting.store(true, Ordering::SeqCst);
            heed_interrupts(true);
            let found = loop {
                match source.recv_timeout(LOOK_AGAIN) {
                    Ok(found) => break Some(found),
                    Err(RecvTimeoutError::Timeout) if !shared.was_interrupted.load(Ordering::SeqCst) => {}
                    Err(_) => break None,
                }
            };
            heed_interrupts(false);
            shared.is_waiting.store(false, Ordering::SeqCst);
            found
        }

        /// Stops the program until it is continued, with the terminal as it was.
        pub fn suspend(&self) {
            let Ok(current) = tcgetattr(io::stdin()) else { return };
            let _ = io::stdout().write_all(LINE_EDITOR_OFF).and_then(|()| io::stdout().flush());
            self.0.0.restore();
            let _ = kill_current_process_group(Signal::TSTP);
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &current);
            let _ = io::stdout().write_all(LINE_EDITOR_ON).and_then(|()| io::stdout().flush());
        }
    }

    fn heed_interrupts(heeded: bool) {
        if let Ok(mut current) = tcgetattr(io::stdin()) {
            current.local_modes.set(LocalModes::ISIG, heeded);
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &current);
        }
    }
}

/// Elsewhere the mode is the line editor's alone.
#[cfg(not(unix))]
pub struct Guard;

#[cfg(not(unix))]
impl Guard {
    /// There is nothing to restore.
    pub fn new() -> io::Result<Guard> {
        Ok(Guard)
    }
}

/// Elsewhere the terminal is silent while nobody reads from it.
#[cfg(not(unix))]
pub struct RawMode;

#[cfg(not(unix))]
impl RawMode {
    /// There is nothing to switch off.
    pub fn begin() -> io::Result<RawMode> {
        Ok(RawMode)
    }

    /// Waits for something while no line is edited; `None` if nothing will come.
    pub fn wait<T>(&self, source: &Receiver<T>) -> Option<T> {
        source.recv().ok()
    }

    /// Programs cannot be suspended there.
    pub fn suspend(&self) {}
}
