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
/// Messages typed without a pause.
const MANY: usize = 20;

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
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let targets = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).into_iter().chain([own]);
    targets
        .flat_map(|target| ["debug", "release"].map(|profile| target.join(profile).join("chinwagd")))
        .find(|it| it.is_file())
}

/// Starts it; returns where it listens as well.
fn serve(program: &Path, listen: &str, data: &Path) -> (Running, String) {
    let mut server = Command::new(program);
    server.args(["--listen", listen, "--kdf-rounds", "1", "--rate", "off", "--data"]).arg(data);
    let mut server = Running(server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").expect("it listens").to_owned();
    (server, address)
}

/// What a process has used of the processor, in ticks; `None` where there is no /proc.
fn ticks(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name, which may hold anything, the 12th and 13th; see proc(5).
    let mut fields = stat.rsplit_once(')')?.1.split(' ').skip(12);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
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

/// A plain connection of somebody who registers or logs in.
fn enter(address: &str, how: &str, name: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("/{how} {name} {PASSWORD}\n").as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    until(&mut reader, &format!("* welcome {name}"));
    reader
}

fn next_line(reader: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    assert!(reader.read_line(&mut line).expect("a line comes") > 0, "the end came");
    line
}

/// The next line that is not a notice.
fn next_message(reader: &mut BufReader<TcpStream>) -> String {
    loop {
        let line = next_line(reader);
        if !line.starts_with('*') {
            return line;
        }
    }
}

fn until(reader: &mut BufReader<TcpStream>, end: &str) {
    loop {
        if next_line(reader).trim_end().ends_with(end) {
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
        // It would reset itself whenever the last client leaves, and turn away who comes meanwhile.
        .args(["-noreset", "-displayfd", "1", "-screen", "0", "1000x700x24"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut display = Running(display.spawn().unwrap());
    let mut number = String::new();
    BufReader::new(display.0.stdout.take().unwrap()).read_line(&mut number).unwrap();
    let display_name = format!(":{}", number.trim());

    let data = files.path().join("data");
    let (running, address) = serve(&server, "127.0.0.1:0", &data);
    drop(enter(&address, "register", "alice"));
    let mut bob = enter(&address, "register", "bob");

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
        xdotool(&["getwindowname", &id]).contains("Sign in").then_some(())
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

    // As fast as a machine types: several keys arrive in each frame.
    let numbers: Vec<String> = (0..MANY).map(|number| format!("number {number}")).collect();
    let one = |text| ["type", "--delay", "0", "--args", "1", text, "key", "--delay", "0", "Return"];
    xdotool(&numbers.iter().flat_map(|number| one(number.as_str())).collect::<Vec<_>>());
    for number in &numbers {
        // A delayed `* bob joined` may arrive between the messages.
        let line = next_message(&mut bob);
        assert!(line.trim_end().ends_with(&format!(" alice: {number}")), "{line} is not {number}");
    }

    if ticks(window.0.id()).is_some() {
        let mut last = (None, Instant::now());
        wait_for("two seconds in which nothing happens and nothing is done", || {
            let now = ticks(window.0.id());
            if now != last.0 {
                last = (now, Instant::now());
            }
            (last.1.elapsed() > Duration::from_secs(2)).then_some(())
        });
    }

    // The server is killed and comes back: the window logs in again by itself.
    drop(running);
    let (_running, _) = serve(&server, &address, &data);
    let mut bob = enter(&address, "login", "bob");
    until(&mut bob, "* alice joined");
    xdotool(&["type", "--delay", "30", "here again"]);
    xdotool(&["key", "Return"]);
    until(&mut bob, " alice: here again");

    let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join("window.png");
    let mut import = Command::new("import");
    import.args(["-window", &id]).arg(&picture).env("DISPLAY", &display_name);
    assert!(import.status().unwrap().success());
    assert!(fs::metadata(&picture).unwrap().len() > 5000, "a window with text in it: {}", picture.display());

    // For the next time, but for what is secret.
    let kept: Vec<String> = fs::read_dir(files.path().join("chinwag"))
        .expect("a folder of its own")
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let kept = kept.concat();
    assert!(kept.contains(&address) && kept.contains("alice") && !kept.contains(PASSWORD), "{kept}");
}
