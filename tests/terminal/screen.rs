//! A program in a pseudo-terminal, and what is on its screen.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU16;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use tempfile::TempDir;

use crate::common::*;

/// The program under test.
pub const CHINWAG: &str = env!("CARGO_BIN_EXE_chinwag");
const ROWS: u16 = 30;
const COLUMNS: u16 = 80;

/// Keys, as a terminal sends them.
pub const ENTER: &str = "\r";
pub const TAB: &str = "\t";
pub const CTRL_C: &str = "\x03";
pub const CTRL_D: &str = "\x04";
pub const CTRL_R: &str = "\x12";
/// Where a pasted text begins and ends (xterm's bracketed paste mode, which the client asks for).
pub const PASTE: &str = "\x1b[200~";
pub const PASTED: &str = "\x1b[201~";
pub const UP: &str = "\x1b[A";
pub const DOWN: &str = "\x1b[B";

struct Seen {
    /// Everything that was written to the terminal.
    bytes: Vec<u8>,
    parser: vt100::Parser,
}

/// A client in a terminal of its own, with settings of its own. It does not outlive its value.
pub struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    seen: Arc<Mutex<Seen>>,
    reader: JoinHandle<()>,
}

/// How a client is to be started.
pub struct Start<'a> {
    pub server: SocketAddr,
    pub flags: &'a [&'a str],
    pub environment: &'a [(&'a str, &'a str)],
    /// `$XDG_CONFIG_HOME`
    pub config: &'a Path,
}

impl Terminal {
    /// Starts a client with nothing said beforehand.
    pub fn start(start: Start<'_>) -> Terminal {
        let address = start.server.to_string();
        let arguments: Vec<&str> = start.flags.iter().copied().chain([&*address]).collect();
        Terminal::run(CHINWAG, &arguments, start.environment, start.config)
    }

    /// Starts a program.
    pub fn run(program: &str, arguments: &[&str], environment: &[(&str, &str)], config: &Path) -> Terminal {
        let (pty, pts) = open().expect("there are pseudo-terminals");
        pty.resize(Size::new(ROWS, COLUMNS)).unwrap();
        let mut command = Command::new(program)
            .args(arguments)
            .env("XDG_CONFIG_HOME", config)
            .env("HOME", config)
            .env("TERM", "xterm-256color")
            .env("TZ", "UTC0")
            .env_remove("NO_COLOR")
            .env_remove("CHINWAG_PASSWORD");
        for (name, value) in environment {
            command = command.env(name, value);
        }
        let child = command.spawn(pts).expect("the client starts");
        let (rows, columns) = (NonZeroU16::new(ROWS).unwrap(), NonZeroU16::new(COLUMNS).unwrap());
        let seen = Seen { bytes: Vec::new(), parser: vt100::Parser::new(rows, columns, 0) };
        let (pty, seen) = (Arc::new(pty), Arc::new(Mutex::new(seen)));
        let (reader, into) = (Arc::clone(&pty), Arc::clone(&seen));
        // It ends when the client does: a pseudo-terminal without anyone at its other end cannot be read.
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(count @ 1..) = (&*reader).read(&mut buffer) {
                let mut seen = into.lock().unwrap();
                seen.bytes.extend_from_slice(&buffer[..count]);
                seen.parser.process(&buffer[..count]);
            }
        });
        Terminal { pty, child, seen, reader }
    }

    /// A client that is in, with an account that is made.
    pub fn register(server: &Server, name: &str, config: &Path) -> Terminal {
        Terminal::register_with(server, name, config, &[])
    }

    /// The same in an environment.
    pub fn register_with(server: &Server, name: &str, config: &Path, more: &[(&str, &str)]) -> Terminal {
        let mut environment = vec![("CHINWAG_PASSWORD", PASSWORD)];
        environment.extend(more);
        let flags = ["--register", "--user", name];
        let start = Start { server: server.address, flags: &flags, environment: &environment, config };
        let terminal = Terminal::start(start);
        terminal.shows(&format!("* welcome {name}"));
        terminal
    }

    /// The program's process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Types keys.
    pub fn types(&self, keys: &str) {
        self.types_bytes(keys.as_bytes());
    }

    /// Types what may be no text.
    pub fn types_bytes(&self, keys: &[u8]) {
        (&*self.pty).write_all(keys).expect("the terminal takes keys");
    }

    /// Makes the terminal wider or narrower.
    pub fn resizes(&self, columns: u16) {
        let (rows, wide) = (NonZeroU16::new(ROWS).unwrap(), NonZeroU16::new(columns).unwrap());
        self.seen.lock().unwrap().parser.screen_mut().set_size(rows, wide);
        self.pty.resize(Size::new(ROWS, columns)).unwrap();
    }

    /// Types a line.
    pub fn enters(&self, line: &str) {
        self.types(&format!("{line}{ENTER}"));
    }

    /// Types what nobody is to see, once the terminal shows nothing of what is typed.
    pub fn enters_hidden(&self, secret: &str) {
        wait_for("hidden input", || (!self.echoes()).then_some(()));
        self.enters(secret);
    }

    /// Whether the terminal itself shows what is typed, as it does for a shell.
    pub fn echoes(&self) -> bool {
        self.has_mode("echo")
    }

    /// Whether the terminal makes a signal of Ctrl-C.
    pub fn heeds_interrupts(&self) -> bool {
        self.has_mode("isig") && !self.echoes()
    }

    fn has_mode(&self, mode: &str) -> bool {
        let terminal = self.pty.as_fd().try_clone_to_owned().unwrap();
        let stty = std::process::Command::new("stty").arg("-a").stdin(terminal).output().unwrap();
        String::from_utf8_lossy(&stty.stdout).split([' ', ';', '\n']).any(|word| word == mode)
    }

    /// How often something was written to the terminal.
    pub fn count(&self, text: &str) -> usize {
        self.written().windows(text.len()).filter(|window| *window == text.as_bytes()).count()
    }

    /// What is on the screen, line by line.
    pub fn screen(&self) -> String {
        self.seen.lock().unwrap().parser.screen().contents()
    }

    /// All that was written to the terminal.
    pub fn written(&self) -> Vec<u8> {
        self.seen.lock().unwrap().bytes.clone()
    }

    /// Waits until the screen is as it should be.
    pub fn waits_for(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        let started = std::time::Instant::now();
        while !is_it(&self.screen()) {
            assert!(started.elapsed() < PATIENCE, "waited in vain for {what}:\n{}", self.screen());
            std::thread::yield_now();
        }
    }

    /// Waits until this is on the screen.
    pub fn shows(&self, text: &str) {
        self.waits_for(text, |screen| screen.contains(text) || joined(screen).contains(text));
    }

    /// Waits until the last line of the screen is this one.
    pub fn last_line_is(&self, line: &str) {
        self.waits_for(line, |screen| screen.trim_end().lines().next_back() == Some(line.trim_end()));
    }

    /// Waits for the end of the program, and for all that it wrote.
    pub fn ended(&mut self) -> ExitStatus {
        let status = wait_for("the end of the client", || self.child.try_wait().unwrap());
        wait_for("the end of what it wrote", || self.reader.is_finished().then_some(()));
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answers to `/token`.
pub const TOKEN: &str = "00112233445566778899aabbccddeeff";

/// A client before a server that the test plays, up to the login.
pub struct Played {
    pub terminal: Terminal,
    pub server: Client,
    pub listener: TcpListener,
    pub config: TempDir,
}

impl Played {
    /// Alice is about to be welcomed.
    pub fn start() -> Played {
        let (listener, config) = (TcpListener::bind("127.0.0.1:0").unwrap(), TempDir::new().unwrap());
        let start = Start {
            server: listener.local_addr().unwrap(),
            flags: &["--user", "alice"],
            environment: &[("CHINWAG_PASSWORD", PASSWORD)],
            config: config.path(),
        };
        let terminal = Terminal::start(start);
        let mut server = Client::over(listener.accept().unwrap().0);
        server.send("* chinwag 0.2.0: a chat");
        server.expect(&format!("/login alice {PASSWORD}"));
        Played { terminal, server, listener, config }
    }
}

/// The screen with each line's rows put together again.
pub fn joined(screen: &str) -> String {
    screen.replace("\n      ", "")
}

/// Waits until a client has stored a token for its next login, and returns the file.
pub fn wait_for_token(config: &TempDir) -> String {
    wait_for("the token", || std::fs::read_to_string(config.path().join("chinwag/tokens")).ok())
}

/// A server, and a directory for settings.
pub fn stage() -> (Server, TempDir) {
    (Server::start(&QUICK), TempDir::new().unwrap())
}
