//! The real server as a process, and a client that is a plain TCP connection.
//!
//! Each server has a directory, a port and a log of its own. It is ended by the handle of its process when the value
//! goes, so that no test leaves one behind. Everything waits for a condition, at most [`PATIENCE`].

#![allow(dead_code, reason = "not every test program that shares this needs all of it")]

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use chinwag::protocol::record::{Record, TIMESTAMP_BYTES};
use chinwag::protocol::reply::{Notice, Reply};
use tempfile::TempDir;

/// How long anything may take. Only a failing test takes it.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How many lines may come before the one that is waited for.
const LINES_MAX: usize = 2_000_000;
/// How often a condition that nothing announces is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(3);

/// The program under test.
pub const CHINWAGD: &str = env!("CARGO_BIN_EXE_chinwagd");
/// Flags under which a test is quick: passwords cost nothing, and nobody is slowed down.
pub const QUICK: [&str; 6] = ["--kdf-rounds", "1", "--rate", "off", "--per-address", "off"];
/// The same without syncing, for tests that pass much.
pub const UNSYNCED: [&str; 8] =
    ["--kdf-rounds", "1", "--rate", "off", "--per-address", "off", "--sync", "never"];

/// What everyone's password is, unless a test is about passwords.
pub const PASSWORD: &str = "correct-horse";

/// The answer to `/register` until the server has read all of the log, after which the registration goes on.
const STILL_READING: &str = "* the server is still reading its history; ";

/// Says that a test is skipped, and why. Not by `eprintln!`, of which only a failing test shows what it printed.
pub fn skip(why: &str) {
    let current = std::thread::current();
    let _ = writeln!(io::stderr(), "skipped: {}: {}", current.name().unwrap_or("a test"), why.trim_end());
}

/// Whether a program is there; if not, says that the test is skipped.
pub fn is_there(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    if !found {
        skip(&format!("there is no {program} here"));
    }
    found
}

/// Whether system calls can be looked at; if not, says that the test is skipped. Some containers forbid it.
pub fn can_trace() -> bool {
    if !is_there("strace") {
        return false;
    }
    let (status, _, said) = run(Command::new("strace").args(["-o", "/dev/null", "true"]));
    if status != Some(0) {
        skip(&format!("strace may not trace here: {said}"));
    }
    status == Some(0)
}

/// Whether there is an `nc` that can end its input and wait for the rest; if not, says that the test is skipped.
pub fn can_half_close() -> bool {
    if !is_there("nc") {
        return false;
    }
    let (_, printed, said) = run(Command::new("nc").arg("-h"));
    let can = (printed + &said).contains("-N");
    if !can {
        skip("this nc knows no -N");
    }
    can
}

/// Waits until `condition` gives something.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// A process that does not outlive its value.
pub struct Process(Child);

impl Process {
    /// Starts it.
    pub fn start(command: &mut Command) -> Process {
        Process(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the end of a process", || self.0.try_wait().expect("waiting for a child"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program to its end, and returns how it ended and what it printed on both streams.
pub fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let files = TempDir::new().unwrap();
    let (out, err) = (files.path().join("out"), files.path().join("err"));
    command.stdin(Stdio::null());
    command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
    let status = Process::start(command).wait();
    let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    (status.code(), read(&out), read(&err))
}

/// Runs the server with these flags, when it is expected to end by itself.
pub fn run_chinwagd(flags: &[&str]) -> (Option<i32>, String, String) {
    run(Command::new(CHINWAGD).args(flags).env_remove("RUST_LOG"))
}

/// How a server is to be started.
#[derive(Default)]
pub struct Setup {
    wrapper: Vec<OsString>,
    flags: Vec<OsString>,
    data: Option<PathBuf>,
}

impl Setup {
    /// With these flags, besides those for the address and the data.
    pub fn new(flags: &[&str]) -> Setup {
        Setup { flags: flags.iter().map(OsString::from).collect(), ..Setup::default() }
    }

    /// Over this data directory, which the server does not remove.
    pub fn data(mut self, data: &Path) -> Setup {
        self.data = Some(data.to_owned());
        self
    }

    /// By way of a program that becomes the server.
    pub fn under<S: Into<OsString>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Setup {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }

    /// Starts it, and waits until it is ready.
    pub fn start(self) -> Server {
        self.start_with(1).unwrap_or_else(|log| panic!("it ended: {log}"))
    }

    /// The same with a further address among its flags.
    pub fn start_on_two(self) -> Server {
        self.start_with(2).unwrap_or_else(|log| panic!("it ended: {log}"))
    }

    /// The same where it may end before it is ready; then its log.
    pub fn try_start(self) -> Result<Server, String> {
        self.start_with(1)
    }

    fn start_with(self, addresses: usize) -> Result<Server, String> {
        let own = TempDir::new().unwrap();
        let data = self.data.unwrap_or_else(|| own.path().join("data"));
        let (out, err) = (own.path().join("out"), own.path().join("err"));
        let mut words = self.wrapper;
        words.push(CHINWAGD.into());
        words.extend(["--listen", "127.0.0.1:0"].map(OsString::from));
        words.extend(["--data".into(), data.clone().into()]);
        words.extend(self.flags);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).env("RUST_LOG", "info");
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
        let mut process = Process::start(&mut command);
        let printed = wait_for("the listening lines", || {
            let has_ended = process.0.try_wait().unwrap().is_some();
            let printed = fs::read_to_string(&out).unwrap();
            let is_ready = printed.matches('\n').count() == addresses;
            (is_ready || has_ended).then_some(if is_ready { Ok(printed) } else { Err(()) })
        });
        let printed = printed.map_err(|()| fs::read_to_string(&err).unwrap())?;
        let first = printed.lines().next().and_then(|line| line.strip_prefix("listening on "));
        let address = first.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("{printed}"));
        Ok(Server { process, address, data, own })
    }
}

/// A running server.
pub struct Server {
    process: Process,
    pub address: SocketAddr,
    /// Its data directory.
    pub data: PathBuf,
    /// Holds what it prints, and the data where it has no other place.
    own: TempDir,
}

impl Server {
    /// Starts one with these flags over an empty directory.
    pub fn start(flags: &[&str]) -> Server {
        Setup::new(flags).start()
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// What it printed on stdout so far.
    pub fn printed(&self) -> String {
        fs::read_to_string(self.own.path().join("out")).unwrap()
    }

    /// What it said on stderr so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.own.path().join("err")).unwrap()
    }

    /// Waits until the log has a line with all of `words`, and returns it.
    pub fn logged(&self, words: &[&str]) -> String {
        wait_for(&format!("a log line with {words:?}"), || {
            let log = self.log();
            log.lines().find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
        })
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// The log of all messages.
    pub fn history(&self) -> String {
        fs::read_to_string(self.file("chat_history.txt")).unwrap()
    }

    /// A new connection, greeted.
    pub fn connect(&self) -> Client {
        let mut client = Client::connect(self.address);
        client.greeted();
        client
    }

    /// A new account's session.
    pub fn register(&self, name: &str) -> Client {
        let mut client = self.connect();
        client.register(name);
        client
    }

    /// Another session of an account, with what it missed still to be read.
    pub fn login(&self, name: &str) -> Client {
        let mut client = self.connect();
        client.send(&format!("/login {name} {PASSWORD}"));
        client.welcomed(name);
        client
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(status.expect("kill is everywhere").success());
    }

    /// Ends it as a power loss ends a process, and returns its data directory to be started over.
    pub fn kill(mut self) -> Stopped {
        self.signal("KILL");
        self.process.wait();
        Stopped { data: self.data, _own: self.own }
    }

    /// Ends it in good order, and returns its data directory to be started over.
    pub fn stop(mut self) -> Stopped {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "{status}: {}", self.log());
        self.ended()
    }

    /// What it left behind, once it has ended.
    pub fn ended(mut self) -> Stopped {
        self.wait();
        Stopped { data: self.data, _own: self.own }
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// A number of bytes from /proc/PID/status, where there is such a file.
    pub fn memory_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
    }
}

/// What a server left behind.
pub struct Stopped {
    pub data: PathBuf,
    _own: TempDir,
}

impl Stopped {
    /// Starts a server over it. The value must be kept as long.
    pub fn start(&self, flags: &[&str]) -> Server {
        Setup::new(flags).data(&self.data).start()
    }
}

/// A connection that reads lines.
pub struct Client {
    reader: BufReader<TcpStream>,
    /// Whether the last line was a welcome.
    is_welcome: bool,
}

impl Client {
    /// Connects, and waits for nothing.
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        Client::over(stream)
    }

    /// Over a stream that is connected already.
    pub fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { reader: BufReader::new(stream), is_welcome: false }
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Reads what a newcomer is told.
    pub fn greeted(&mut self) {
        loop {
            let line = self.line();
            match Reply::parse(&line) {
                Some(Reply::Notice(Notice::HaveAccount)) => return,
                Some(Reply::Notice(_)) => {}
                _ => panic!("no greeting: {line}"),
            }
        }
    }

    /// Sends a line.
    pub fn send(&mut self, line: &str) {
        self.send_raw(format!("{line}\n").as_bytes());
    }

    /// Sends bytes.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).expect("the server takes it");
    }

    /// Sends no more.
    pub fn finish(&mut self) {
        self.stream().shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// The next line as it came, with who came and went; `None` at the end.
    pub fn raw_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line)? {
            0 => Ok(None),
            _ => Ok(Some(line)),
        }
    }

    /// The next line without its ending; `None` at the end. It skips presence notices, because their time depends on
    /// the clock, and the notice that follows every welcome.
    pub fn next(&mut self) -> Option<String> {
        loop {
            let line = self.raw_line().unwrap_or_else(|error| panic!("no line came: {error}"))?;
            let line = String::from_utf8(line).expect("all that is sent is UTF-8");
            let line = line.strip_suffix('\n').unwrap_or_else(|| panic!("torn: {line:?}"));
            let is_presence = matches!(
                Reply::parse(line),
                Some(Reply::Notice(Notice::Joined { .. } | Notice::Left { .. } | Notice::PresenceMissed))
            );
            let follows_welcome = self.is_welcome && line == TALKING;
            self.is_welcome = line.starts_with("* welcome ");
            if !is_presence && !follows_welcome {
                return Some(line.to_owned());
            }
        }
    }

    /// The next line, which must come.
    pub fn line(&mut self) -> String {
        self.next().expect("the connection is open")
    }

    /// The next line must be this one.
    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }

    /// Registers an account.
    pub fn register(&mut self, name: &str) {
        self.send(&format!("/register {name} {PASSWORD}"));
        self.welcomed(name);
    }

    /// The next line must be a welcome. Soon after a start the server may say first that this takes a moment.
    pub fn welcomed(&mut self, name: &str) {
        let mut answer = self.line();
        if answer.starts_with(STILL_READING) {
            answer = self.line();
        }
        assert_eq!(answer, format!("* welcome {name}"));
    }

    /// The next line must be a message, whose text (`alice: hello`) must be this one. Returns its timestamp.
    pub fn expect_message(&mut self, text: &str) -> String {
        let line = self.line();
        assert_eq!(text_of(&line), Some(text), "{line}");
        line[..STAMP_BYTES].to_owned()
    }

    /// The next line must be an error of this code.
    pub fn expect_error(&mut self, code: &str) -> String {
        let line = self.line();
        assert!(matches!(Reply::parse(&line), Some(Reply::Error(it)) if it.code() == code), "{code}: {line}");
        line
    }

    /// All lines up to the one that is `last`, without it; messages without their timestamps.
    pub fn until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let text = text_of(&line).unwrap_or(&line);
            if text == last {
                return lines;
            }
            lines.push(text.to_owned());
            assert!(lines.len() < LINES_MAX, "waited in vain for {last}");
        }
    }

    /// All lines up to the end; messages without their timestamps.
    pub fn rest(&mut self) -> Vec<String> {
        let lines = std::iter::from_fn(|| self.next());
        lines.map(|line| text_of(&line).map(str::to_owned).unwrap_or(line)).collect()
    }

    /// Sends a message, and waits until its receipt is the next line.
    pub fn say(&mut self, name: &str, text: &str) -> String {
        self.send(text);
        self.expect_message(&format!("{name}: {text}"))
    }

    /// Asks for history, and returns its lines as they stand in the file, without endings.
    pub fn ask_history(&mut self, command: &str) -> Vec<String> {
        self.send(command);
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if line == "* end of history" {
                return lines;
            }
            assert!(text_of(&line).is_some(), "{line}");
            lines.push(line);
        }
    }

    /// Reads some bytes, at most as many as `bytes` holds.
    pub fn read_some(&mut self, bytes: &mut [u8]) -> usize {
        self.reader.read(bytes).expect("bytes come")
    }
}

/// What follows every welcome.
const TALKING: &str = "* talking to everyone";

/// Bytes of a timestamp.
pub const STAMP_BYTES: usize = TIMESTAMP_BYTES;

/// What follows a message's timestamp, or `None` where a line is no message.
pub fn text_of(line: &str) -> Option<&str> {
    Record::parse(line).map(|_| &line[STAMP_BYTES + 1..])
}

/// What strace wrote down of a process that was killed, once it is all there.
pub fn trace_of_killed(trace: &Path) -> String {
    wait_for("the end of the trace", || {
        let text = fs::read_to_string(trace).unwrap();
        text.contains("+++ killed by SIGKILL +++").then_some(text)
    })
}

/// Writes a log of messages that are a millisecond apart, each `FROM: TEXT` or `FROM -> TO: TEXT`. Accounts that the
/// directory has are kept. If there are none, it gets an empty `users.txt`, because without that file a server
/// refuses to start over a log.
pub fn write_history(data: &Path, messages: impl Iterator<Item = String>) {
    fs::create_dir_all(data).unwrap();
    fs::OpenOptions::new().append(true).create(true).open(data.join("users.txt")).unwrap();
    let mut file =
        io::BufWriter::with_capacity(1 << 20, fs::File::create(data.join("chat_history.txt")).unwrap());
    for (number, message) in messages.enumerate() {
        let stamp =
            chinwag::protocol::record::Timestamp::from_micros(1_700_000_000_000_000 + number as u64 * 1000);
        file.write_all(&stamp.to_bytes()).unwrap();
        writeln!(file, " {message}").unwrap();
    }
    file.flush().unwrap();
}
