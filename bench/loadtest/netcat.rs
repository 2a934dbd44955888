//! What `cat FILE | nc` moves: plain programs, for a reader of the history to be held against.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure;
use crate::process::{Cores, Running, pinned};

const PATIENCE: Duration = Duration::from_secs(20);

/// How fast the file arrives, and through what; where there is no nc, through a loop of our own.
pub fn bytes_a_second(cores: Option<Cores>, path: &Path) -> io::Result<(f64, &'static str)> {
    let length = path.metadata()?.len();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let started = Instant::now();
    let core = cores.map(|cores| cores.server);
    let (children, sender) = match is_there("nc") {
        true => (cat_and_nc(core, path, address)?, "cat | nc"),
        false => (vec![own_sender(core, path, address)?], "a loop"),
    };
    let mut stream = accept(&listener)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; 128 << 10];
    let mut received = 0;
    while received < length {
        match stream.read(&mut buffer)? {
            0 => return Err(failure(format!("{sender} ended after {received} bytes"))),
            count => received += count as u64,
        }
    }
    let elapsed = started.elapsed();
    drop(children);
    Ok((length as f64 / elapsed.as_secs_f64(), sender))
}

fn cat_and_nc(core: Option<usize>, path: &Path, address: SocketAddr) -> io::Result<Vec<Running>> {
    let mut cat = Running(pinned(core, Path::new("cat")).arg(path).stdout(Stdio::piped()).spawn()?);
    let mut nc = pinned(core, Path::new("nc"));
    nc.args([address.ip().to_string(), address.port().to_string()]).stdout(Stdio::null());
    nc.stdin(cat.0.stdout.take().map_or(Stdio::null(), Stdio::from));
    let nc = Running(nc.spawn()?);
    Ok(vec![cat, nc])
}

fn own_sender(core: Option<usize>, path: &Path, address: SocketAddr) -> io::Result<Running> {
    let mut command = pinned(core, &std::env::current_exe()?);
    Ok(Running(command.arg("--send").arg(path).arg(address.to_string()).spawn()?))
}

/// The loop of our own: reads and writes, as nc would.
pub fn send(path: &Path, address: &str) -> io::Result<()> {
    let (mut file, mut stream) = (File::open(path)?, TcpStream::connect(address)?);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}

fn is_there(program: &str) -> bool {
    // It says how it is used, and fails; what matters is that it can be started.
    Command::new(program).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
    Err(failure("nobody connects"))
}
