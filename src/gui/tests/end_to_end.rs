//! The real window on a display without a screen, a real server, and somebody with a plain connection.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
const PASSWORD: &str = "correct-horse";

/// A process that does not outlive its value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Why the test cannot be made here.
fn missing() -> Option<String> {
    let is_there = |program: &str| {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|it| it.join(program).is_file()))
    };
    let programs = ["Xvfb", "xdotool", "import"].into_iter().find(|program| !is_there(program));
    programs.map(|program| format!("there is no {program} here"))
}

/// The server, built where this repository builds it.
fn chinwagd() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    ["debug", "release"]
        .map(|profile| root.join("target").join(profile).join("chinwagd"))
        .into_iter()
        .find(|it| it.is_file())
}

fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A plain connection with an account of its own.
fn register(address: &str, name: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("/register {name} {PASSWORD}\n").as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    until(&mut reader, &format!("* welcome {name}"));
    reader
}

fn until(reader: &mut BufReader<TcpStream>, end: &str) {
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).expect("a line comes") > 0, "the end came before {end}");
        if line.trim_end().ends_with(end) {
            return;
        }
    }
}

#[test]
fn what_is_typed_in_the_window_arrives_at_a_plain_connection() {
    let Some(server) = chinwagd() else {
        return eprintln!("skipped: there is no server; cargo build in the top folder makes it");
    };
    if let Some(why) = missing() {
        return eprintln!("skipped: {why}");
    }
    let files = TempDir::new().unwrap();
    let mut display = Command::new("Xvfb");
    display
        .args(["-displayfd", "1", "-screen", "0", "1000x700x24"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut display = Running(display.spawn().unwrap());
    let mut number = String::new();
    BufReader::new(display.0.stdout.take().unwrap()).read_line(&mut number).unwrap();
    let display_name = format!(":{}", number.trim());

    let mut server = Command::new(server);
    server.args(["--listen", "127.0.0.1:0", "--kdf-rounds", "1", "--data"]).arg(files.path().join("data"));
    let mut server = Running(server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    drop(register(&address, "alice"));
    let mut bob = register(&address, "bob");

    let log = files.path().join("log");
    let mut window = Command::new(env!("CARGO_BIN_EXE_chinwag-gui"));
    window.arg(&address).env("DISPLAY", &display_name).env("XDG_CONFIG_HOME", files.path());
    window.env_remove("WAYLAND_DISPLAY").env("LIBGL_ALWAYS_SOFTWARE", "1").env("NO_AT_BRIDGE", "1");
    let mut window = Running(window.stderr(fs::File::create(&log).unwrap()).spawn().unwrap());
    let xdotool = |arguments: &[&str]| {
        let output = Command::new("xdotool").args(arguments).env("DISPLAY", &display_name).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let id = wait_for("the window", || {
        let ended = window.0.try_wait().unwrap();
        assert!(ended.is_none(), "{}", fs::read_to_string(&log).unwrap());
        xdotool(&["search", "--onlyvisible", "--name", "chinwag"]).lines().next().map(str::to_owned)
    });
    // There is no window manager to do that.
    xdotool(&["windowfocus", "--sync", &id]);
    // Until the first frame is there, keys go nowhere.
    wait_for("the title, which is set in a frame", || {
        xdotool(&["getwindowname", &id]).contains("chinwag").then_some(())
    });
    xdotool(&["type", "--delay", "30", "alice"]);
    xdotool(&["key", "Tab"]);
    xdotool(&["type", "--delay", "30", PASSWORD]);
    xdotool(&["key", "Return"]);
    wait_for("the chat", || xdotool(&["getwindowname", &id]).contains("alice").then_some(()));
    bob.get_mut().write_all(b"hello from a plain connection\n").unwrap();
    xdotool(&["type", "--delay", "30", "hello from the window"]);
    xdotool(&["key", "Return"]);
    until(&mut bob, " alice: hello from the window");

    let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join("window.png");
    let mut import = Command::new("import");
    import.args(["-window", &id]).arg(&picture).env("DISPLAY", &display_name);
    assert!(import.status().unwrap().success());
    assert!(fs::metadata(&picture).unwrap().len() > 5000, "a window with text in it: {}", picture.display());
}
