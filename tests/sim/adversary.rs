//! An adversary: many addresses, every command before and after login, and whatever else a socket takes.
//!
//! The adversary owns a few accounts ([`DIRECT_NAMES`]) and wants those of the others: it guesses passwords, registers
//! names that are taken, replays tokens and codes, and hides commands behind invisible characters. It also wants the
//! server to itself: it floods, reads all of the history, reads nothing, opens many connections and leaves lines
//! unfinished; as a proxy, it sends headers that are cut off or are none. What it is answered is not predicted. The
//! model looks at every byte of it all the same ([`super::model::hostile`]), and to everyone else the server must do
//! all that it does without an adversary.

use std::net::{IpAddr, SocketAddr};

use chinwag::protocol::reply::{Notice, Reply};

use super::model::hostile::{DIRECT_NAMES, DIRECT_PASSWORD};
use super::net::proxy_header;
use super::workload::Stage;

/// Connections that it holds at once.
const CONNECTIONS_MAX: usize = 24;
/// Its addresses, all of which nobody else uses.
const FIRST_ADDRESS: u32 = 0x20_0000;
const ADDRESSES: u64 = 400;
/// Accounts of other people.
const VICTIMS: [&str; 7] = ["ann", "Ben", "cat-9", "dan", "eve_", "FAY", "watcher"];
/// Commands that need nothing, or are wrong whoever sends them.
const COMMANDS: [&str; 48] = [
    "/help",
    "/HELP",
    "/users",
    "/who",
    "/names",
    "/token",
    "/quit",
    "/replay 0",
    "/replay 4294967295",
    "/replay -1",
    "/history",
    "/history 1",
    "/history 3000",
    "/history 99999999999999999999",
    "/history 2026",
    "/history 2026-11-22",
    "/history 1970-01-01T00:00:00.000000Z",
    "/history 9999-12-31T23:59:59.999999Z",
    "/history 50 before 2026-11-22T12:00:01",
    "/history 50 before 2026-99-99T99:99",
    "/history 50 before",
    "/history 0 before 9999",
    "/history #room",
    "/me waves",
    "/me",
    "/msg",
    "/msg nobody hi",
    "/msg ann",
    "/w watcher psst",
    "/dm ben psst",
    "/to ann",
    "/join #rust",
    "/j #rust",
    "/part",
    "/nick ann",
    "/exit",
    "/passwd",
    "/passwd wrong-horse another-horse",
    "/login",
    "/login ann",
    "/register",
    "/register a",
    "/resume",
    "/code",
    "/",
    "//",
    "//msg ann public",
    "/\u{200b}msg ann psst",
];
/// Names that nobody may have.
const BAD_NAMES: [&str; 12] = [
    "1st",
    "a:b",
    "\u{430}nn",
    "",
    "twenty-one-characters",
    "server",
    "Admin",
    "you",
    "ch1nwag",
    "serv3r",
    "system-",
    "others",
];
/// What may stand in front of a command and is not seen.
const INVISIBLE: [&[u8]; 14] = [
    "\u{200b}".as_bytes(),
    "\u{feff}".as_bytes(),
    b"\x1b[A",
    b"\x08",
    b"\x7f",
    "\u{202e}".as_bytes(),
    "\u{2060}".as_bytes(),
    b"\0",
    "\u{3164}".as_bytes(),
    "\u{301}".as_bytes(),
    "\u{1161}".as_bytes(),
    b"x\xff\xf7",
    b"words\xff\xf8",
    b"words\r",
];
/// Bytes that mean something to telnet, terminals or nobody.
const ODD: [&[u8]; 12] = [
    b"\xff\xfa",
    b"\xff\xfa\x18\x00",
    b"\xff\xf0",
    b"\xff\xfb\x01",
    b"\xff\xf4\xff\xfd\x06",
    b"\xff\xff",
    b"\xff",
    b"\r\0",
    b"\r",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\x1b]0;title\x07",
];
/// A page in a browser can send these.
const REQUESTS: [&str; 3] = [
    "GET / HTTP/1.1\r\nHost: chat\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: chat\r\nContent-Length: 99\r\n\r\n/register Trudy hostile-password\n/msg ann hi\n",
    "OPTIONS * HTTP/1.0\r\n\r\n/login mallory hostile-password\nhello\n",
];

/// No headers of a proxy, each with something behind it that must not be executed.
const BAD_HEADERS: [&[u8]; 16] = [
    b"",
    b"PROXY",
    b"PROXY \r\n",
    b"PROXY TCP4 10.1.2.3\r\n",
    b"PROXY TCP4 10.1.2.3 10.254.0.7 40000 5000 \r\n",
    b"PROXY TCP4 10.1.2.3 10.254.0.7 40000 +5000\r\n",
    b"PROXY TCP4 10.1.2.300 10.254.0.7 40000 5000\r\n",
    b"PROXY TCP6 10.1.2.3 10.254.0.7 40000 5000\r\n",
    b"PROXY TCP4 10.1.2.3 10.254.0.7 40000 5000\n",
    b"proxy TCP4 10.1.2.3 10.254.0.7 40000 5000\r\n",
    b"PROXY UNKNOWN\n",
    b" PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c\x0a\x01\x02\x03\x0a\xfe\0\x07\x9c\x40\x13\x88",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x0a\x01\x02\x03\x0a\xfe\0\x07\x9c\x40\x13\x88",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0b\x0a\x01\x02\x03\x0a\xfe\0\x07\x9c\x40\x13",
    b"\r\n\r\n\0\r\nQUIT\n\x20\x11\xff\xff",
];
/// What stands behind them.
const BEHIND_A_HEADER: &[u8] =
    b"/register mallory hostile-password\n/login mallory hostile-password\nhidden-\n";

struct Intruder {
    peer: usize,
    id: usize,
    /// It sends nothing more: with that, the part of a header that it has sent could become a whole one.
    is_mute: bool,
    /// Takes what comes as it comes.
    reads: bool,
    /// The beginning of a line that it was sent.
    partial: Vec<u8>,
}

#[derive(Default)]
pub struct Adversary {
    intruders: Vec<Intruder>,
    /// Tokens that it was given, for accounts of its own.
    tokens: Vec<String>,
    fresh: u64,
}

impl Adversary {
    /// Does one thing, on one of its connections or a new one.
    pub fn act(&mut self, stage: &mut Stage<'_>) {
        self.intruders.retain(|intruder| stage.net.peer(intruder.peer).is_open());
        let count = self.intruders.len();
        if count == 0 || count < CONNECTIONS_MAX && stage.random.below(6) == 0 {
            let burst = stage.random.one_of(&[1, 1, 1, 12]);
            return self.connect(burst.min(CONNECTIONS_MAX - count), stage);
        }
        let number = stage.random.below(count as u64) as usize;
        match stage.random.below(40) {
            0 => self.flood(number, stage),
            1 => self.stop_reading(number, stage),
            2 | 3 => self.leave(number, stage),
            4 => self.send(number, b"/msg ann half of a li", stage),
            5 if stage.random.below(2) == 0 => self.request(stage),
            5 => self.send_bad_header(stage),
            6 if stage.random.below(8) == 0 => self.send(number, &vec![b'x'; (1 << 20) + 9_000], stage),
            7..13 => self.enter(number, stage),
            _ => {
                let line = self.line(stage);
                self.send(number, &line, stage);
            }
        }
    }

    /// Takes what came, on the connections that do.
    pub fn read(&mut self, stage: &mut Stage<'_>) {
        let Adversary { intruders, tokens, .. } = self;
        for intruder in intruders.iter_mut().filter(|intruder| intruder.reads) {
            let bytes = stage.net.peer(intruder.peer).take(usize::MAX);
            intruder.partial.extend(bytes);
            while let Some(end) = intruder.partial.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = intruder.partial.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                if let Some(Reply::Notice(Notice::Token { token })) = Reply::parse(line.trim_end()) {
                    tokens.push(token.to_owned());
                }
            }
        }
        let excess = tokens.len().saturating_sub(20);
        tokens.drain(..excess);
    }

    /// Gives up: closes all connections.
    pub fn leave_all(&mut self, stage: &mut Stage<'_>) {
        for Intruder { peer, id, .. } in self.intruders.drain(..) {
            stage.net.peer(peer).close();
            stage.model.gone(id);
        }
    }

    /// The server is gone.
    pub fn is_cut_off(&mut self) {
        self.intruders.clear();
    }

    /// Speaks HTTP on a new connection, as a web page would.
    fn request(&mut self, stage: &mut Stage<'_>) {
        stage.tally.count("request of a web page");
        self.connect(1, stage);
        let number = self.intruders.len() - 1;
        stage.model.must_execute_nothing(self.intruders[number].id);
        self.send(number, stage.random.one_of(&REQUESTS).as_bytes(), stage);
    }

    /// Connects as a proxy, and says less than a header, or something else. Without a proxy that the server believes,
    /// what a header looks like is input like any other.
    fn send_bad_header(&mut self, stage: &mut Stage<'_>) {
        let address = FIRST_ADDRESS + stage.random.below(ADDRESSES) as u32;
        let source = socket_of(address);
        let proxy = stage.net.state().proxy;
        let header = proxy_header(source, proxy.unwrap_or(source), stage.random.below(2) == 0);
        let is_cut = stage.random.below(3) == 0;
        let bytes = match is_cut {
            true => &header[..stage.random.below(header.len() as u64) as usize],
            false => stage.random.one_of(&BAD_HEADERS),
        };
        let Some(proxy) = proxy else {
            self.connect(1, stage);
            return self.send(self.intruders.len() - 1, &[bytes, b"\n"].concat(), stage);
        };
        let bytes = if is_cut { bytes.to_vec() } else { [bytes, BEHIND_A_HEADER].concat() };
        stage.tally.count("bad header of a proxy");
        let peer = stage.net.connect_without_header(proxy, bytes);
        let id = stage.model.intruded(peer, address);
        stage.model.must_execute_nothing(id);
        self.intruders.push(Intruder { is_mute: is_cut, ..Intruder::new(peer, id) });
    }

    fn connect(&mut self, count: usize, stage: &mut Stage<'_>) {
        let address = FIRST_ADDRESS + stage.random.below(ADDRESSES) as u32;
        let is_one_address = stage.random.below(2) == 0;
        for number in 0..count as u32 {
            let address = if is_one_address { address } else { address + number };
            let peer = stage.net.connect(socket_of(address));
            let id = stage.model.intruded(peer, address);
            stage.tally.count("hostile connection");
            self.intruders.push(Intruder::new(peer, id));
        }
    }

    /// Logs in to an account of its own, or makes it.
    fn enter(&mut self, number: usize, stage: &mut Stage<'_>) {
        let name = stage.random.one_of(&DIRECT_NAMES);
        let is_new = stage.random.below(3) == 0;
        let command = if is_new { "register" } else { "login" };
        self.send(number, format!("/{command} {name} {DIRECT_PASSWORD}\n").as_bytes(), stage);
    }

    /// Some line, with its ending.
    fn line(&mut self, stage: &mut Stage<'_>) -> Vec<u8> {
        self.fresh += 1;
        let fresh = self.fresh;
        let victim = stage.random.one_of(&VICTIMS);
        let text = match stage.random.below(20) {
            0..4 => {
                stage.tally.count("guess at a password");
                format!("/login {victim} guess-{fresh}")
            }
            // A name that nobody has yet is free to anyone, also to an adversary.
            4 if stage.model.is_settled(victim) => format!("/register {victim} stolen-{fresh}"),
            5 => {
                let name = stage.random.one_of(&BAD_NAMES);
                format!("/register {name} {DIRECT_PASSWORD}")
            }
            6 | 7 => self.credential(victim, stage),
            8 => format!("/passwd wrong-{fresh} mine-{fresh}"),
            9 => format!("/passwd {DIRECT_PASSWORD} {DIRECT_PASSWORD}"),
            10 => {
                let hidden = stage.random.one_of(&INVISIBLE);
                return [hidden, format!("/msg {victim} hidden-{fresh}\n").as_bytes()].concat();
            }
            11 => {
                let hidden = stage.random.one_of(&INVISIBLE);
                return [hidden, hidden, b"\n"].concat();
            }
            12 => format!("/msg {victim} unwanted {fresh}"),
            13 => {
                let length = stage.random.one_of(&[200, 4_050, 4_095, 4_096, 9_000]);
                "w".repeat(length)
            }
            14 => format!("a{}b{}", "\u{301}".repeat(300), " ".repeat(500)),
            15 => {
                let odd = [stage.random.one_of(&ODD), b"text ", stage.random.one_of(&ODD), b"\n"].concat();
                return odd;
            }
            _ => {
                let mut commands = stage.random.one_of(&COMMANDS).to_owned();
                for _ in 0..stage.random.below(8).saturating_sub(5) {
                    commands += "\n";
                    commands += stage.random.one_of(&COMMANDS);
                }
                commands
            }
        };
        let ending = stage.random.one_of(&["\n", "\n", "\n", "\r\n", "\r\0"]);
        [text.as_bytes(), ending.as_bytes()].concat()
    }

    /// A token or a code that opens nothing: made up, or given for another account.
    fn credential(&mut self, victim: &str, stage: &mut Stage<'_>) -> String {
        stage.tally.count("wrong token or code");
        let made_up = format!("{:016x}{:016x}", stage.random.below(u64::MAX), self.fresh);
        let stolen = match self.tokens.len() as u64 {
            0 => made_up.clone(),
            count => self.tokens[stage.random.below(count) as usize].clone(),
        };
        match stage.random.below(6) {
            0 => format!("/code {made_up}"),
            1 => format!("/code {stolen}"),
            2 => format!("/resume {victim} {made_up}"),
            3 => format!("/resume {victim} short"),
            _ => format!("/resume {victim} {stolen}"),
        }
    }

    fn flood(&mut self, number: usize, stage: &mut Stage<'_>) {
        stage.tally.count("hostile flood");
        for _ in 0..stage.random.one_of(&[30, 100]) {
            let line = self.line(stage);
            self.send(number, &line, stage);
        }
    }

    fn stop_reading(&mut self, number: usize, stage: &mut Stage<'_>) {
        let intruder = &mut self.intruders[number];
        let mut peer = stage.net.peer(intruder.peer);
        if peer.is_accepted() {
            stage.tally.count("adversary that never reads");
            intruder.reads = false;
            peer.capacity = stage.random.one_of(&[1, 100, 5_000]);
        }
    }

    fn leave(&mut self, number: usize, stage: &mut Stage<'_>) {
        let Intruder { peer, id, .. } = self.intruders.swap_remove(number);
        let how = stage.random.below(3);
        let mut peer = stage.net.peer(peer);
        match how {
            0 => peer.finish(),
            1 => peer.close(),
            _ => peer.reset(),
        }
        drop(peer);
        match how {
            0 => stage.model.finished(id),
            _ => stage.model.gone(id),
        }
    }

    fn send(&mut self, number: usize, bytes: &[u8], stage: &mut Stage<'_>) {
        let intruder = &self.intruders[number];
        let mut peer = stage.net.peer(intruder.peer);
        if peer.is_open() && !intruder.is_mute {
            peer.send(bytes);
        }
    }
}

impl Intruder {
    fn new(peer: usize, id: usize) -> Intruder {
        Intruder { peer, id, is_mute: false, reads: true, partial: Vec::new() }
    }
}

fn socket_of(address: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::from((0x0a00_0000 + address).to_be_bytes()), 40_000)
}
