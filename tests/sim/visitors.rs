//! Visitors: strangers who guess at passwords, at one account or in a rush at many names, people who come back with a
//! token, somebody who registers one name after the other, and clients that claim another address. They do few things,
//! and unlike an [`super::adversary`] each waits for its answers, so that the model predicts every one of them.

use std::net::{IpAddr, SocketAddr};

use chinwag::protocol::reply::{Notice, Reply};

use super::model::asked::Asked;
use super::workload::Stage;

/// Visitors at once.
const VISITORS_MAX: usize = 10;
/// Their addresses, all of which nobody else uses.
const FIRST_ADDRESS: u32 = 0x30_0000;
/// Names that are guessed at, and that tokens are for.
const NAMES: [&str; 6] = ["ann", "Ben", "cat-9", "dan", "eve_", "Fay"];
/// Visitors in a rush: more than may wait for their passwords to be checked.
const RUSH: usize = 110;
/// Names that one address registers: more than it may.
const NAMES_OF_ONE: usize = 12;
/// Requests for help of one that takes no answer: more than fits into the memory that it may use.
const REQUESTS: usize = 12;
/// Claims to come from another address, as only a proxy may.
const CLAIMS: [&str; 2] = ["PROXY TCP4 10.99.0.1 10.0.0.1 4000 5000\r", "PROXY UNKNOWN\r"];

struct Visitor {
    peer: usize,
    id: usize,
    wants: Wants,
    /// The beginning of a line that it was sent.
    partial: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq)]
enum Wants {
    /// To guess wrong so many times more.
    Guess(String, u32),
    /// A token for the account that it logged in to.
    Token(&'static str),
    /// Answers, of which it takes none.
    Answers,
    /// To leave once it is answered.
    Leave,
}

#[derive(Default)]
pub struct Visitors {
    visitors: Vec<Visitor>,
    tokens: Vec<(&'static str, String)>,
    /// So that no two addresses and no two guesses are the same.
    fresh: u32,
    /// Names that one address has still to register, and that address.
    names_left: usize,
    address_of_names: u32,
}

impl Visitors {
    /// Somebody comes, or goes on.
    pub fn act(&mut self, stage: &mut Stage<'_>) {
        self.go_on(stage);
        if self.visitors.len() >= VISITORS_MAX {
            return;
        }
        let name = stage.random.one_of(&NAMES);
        match stage.random.below(120) {
            0..3 => self.guess(name, stage),
            3..6 => self.log_in(name, stage),
            6..9 => self.come_back(stage),
            9 => self.claim(stage),
            10 if stage.random.below(40) == 0 => {
                self.names_left = NAMES_OF_ONE;
                self.address_of_names = self.fresh_address();
            }
            11 if stage.random.below(20) == 0 => self.rush(stage),
            12 => {
                stage.tally.count("visitor that takes no answer");
                let address = self.fresh_address();
                self.connect(address, Wants::Answers, stage);
            }
            _ if self.names_left > 0 => self.register(stage),
            _ => {}
        }
    }

    /// Takes what came.
    pub fn read(&mut self, stage: &mut Stage<'_>) {
        let Visitors { visitors, tokens, .. } = self;
        for visitor in visitors.iter_mut().filter(|visitor| visitor.wants != Wants::Answers) {
            let bytes = stage.net.peer(visitor.peer).take(usize::MAX);
            if !bytes.is_empty() {
                stage.model.took(visitor.id);
            }
            visitor.partial.extend(bytes);
            while let Some(end) = visitor.partial.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = visitor.partial.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                if let (Some(Reply::Notice(Notice::Token { token })), Wants::Token(name)) =
                    (Reply::parse(line.trim_end()), &visitor.wants)
                {
                    tokens.push((*name, token.to_owned()));
                    visitor.wants = Wants::Leave;
                }
            }
        }
    }

    /// All of them leave.
    pub fn leave_all(&mut self, stage: &mut Stage<'_>) {
        for Visitor { peer, id, .. } in self.visitors.drain(..) {
            stage.net.peer(peer).close();
            stage.model.gone(id);
        }
    }

    /// The server is gone.
    pub fn are_cut_off(&mut self) {
        self.visitors.clear();
        self.names_left = 0;
    }

    fn go_on(&mut self, stage: &mut Stage<'_>) {
        for Visitor { peer, id, wants, .. } in &mut self.visitors {
            let (peer, id) = (*peer, *id);
            if stage.model.is_over(id) || !stage.net.peer(peer).is_open() || stage.model.is_waiting(id) {
                continue;
            }
            match wants {
                Wants::Answers if !stage.net.peer(peer).is_accepted() => {}
                Wants::Answers => {
                    stage.net.peer(peer).capacity = 1;
                    (0..REQUESTS).for_each(|_| send(peer, id, "/help", Asked::Help, stage));
                }
                Wants::Guess(name, count) if *count > 0 => {
                    *count -= 1;
                    self.fresh += 1;
                    let password = format!("guess-{}", self.fresh);
                    let asked = Asked::Login { name: name.clone(), password: password.clone() };
                    send(peer, id, &format!("/login {name} {password}"), asked, stage);
                }
                Wants::Token(_) if stage.model.account_of(id).is_some() => {
                    send(peer, id, "/token", Asked::Token, stage);
                }
                _ => send(peer, id, "/quit", Asked::Quit, stage),
            }
        }
        self.visitors.retain(|visitor| {
            let (peer, id) = (visitor.peer, visitor.id);
            let is_over = stage.model.is_over(id) || !stage.net.peer(peer).is_open();
            if is_over {
                stage.net.peer(peer).close();
                stage.model.gone(id);
            }
            !is_over
        });
    }

    /// Some strangers guess at one name, so that they wait for each other.
    fn guess(&mut self, name: &'static str, stage: &mut Stage<'_>) {
        stage.tally.count("guess of a visitor");
        for _ in 0..stage.random.one_of(&[1, 2, 4]) {
            let address = self.fresh_address();
            let count = stage.random.one_of(&[1, 1, 5]);
            self.connect(address, Wants::Guess(name.into(), count), stage);
        }
    }

    /// Many strangers at once, each with a name that there is not.
    fn rush(&mut self, stage: &mut Stage<'_>) {
        stage.tally.count("rush of visitors");
        for _ in 0..RUSH {
            let address = self.fresh_address();
            let name = format!("nobody{}", self.fresh);
            self.connect(address, Wants::Guess(name, 1), stage);
        }
    }

    fn log_in(&mut self, name: &'static str, stage: &mut Stage<'_>) {
        if !stage.model.is_settled(name) {
            return;
        }
        let password = stage.model.passwords_of(name).remove(0);
        let address = self.fresh_address();
        let (peer, id) = self.connect(address, Wants::Token(name), stage);
        let asked = Asked::Login { name: name.into(), password: password.clone() };
        send(peer, id, &format!("/login {name} {password}"), asked, stage);
    }

    fn come_back(&mut self, stage: &mut Stage<'_>) {
        if self.tokens.is_empty() {
            return;
        }
        stage.tally.count("visitor with a token");
        let number = stage.random.below(self.tokens.len() as u64) as usize;
        let (name, token) = self.tokens[number].clone();
        let address = self.fresh_address();
        let (peer, id) = self.connect(address, Wants::Leave, stage);
        let asked = Asked::Resume { name: name.into(), token: token.clone() };
        send(peer, id, &format!("/resume {name} {token}"), asked, stage);
    }

    fn claim(&mut self, stage: &mut Stage<'_>) {
        stage.tally.count("claim to come from elsewhere");
        let address = self.fresh_address();
        let (peer, id) = self.connect(address, Wants::Leave, stage);
        send(peer, id, stage.random.one_of(&CLAIMS), Asked::Misuse("not-logged-in"), stage);
    }

    fn register(&mut self, stage: &mut Stage<'_>) {
        self.names_left -= 1;
        self.fresh += 1;
        let (name, password) = (format!("visitor{}", self.fresh), format!("secret-{}", self.fresh));
        let (peer, id) = self.connect(self.address_of_names, Wants::Leave, stage);
        let asked = Asked::Register { name: name.clone(), password: password.clone() };
        send(peer, id, &format!("/register {name} {password}"), asked, stage);
    }

    fn fresh_address(&mut self) -> u32 {
        self.fresh += 1;
        FIRST_ADDRESS + self.fresh
    }

    fn connect(&mut self, address: u32, wants: Wants, stage: &mut Stage<'_>) -> (usize, usize) {
        let ip = IpAddr::from((0x0a00_0000 + address).to_be_bytes());
        let peer = stage.net.connect(SocketAddr::new(ip, 40_000));
        let id = stage.model.connected(peer, address);
        self.visitors.push(Visitor { peer, id, wants, partial: Vec::new() });
        (peer, id)
    }
}

fn send(peer: usize, id: usize, line: &str, asked: Asked, stage: &mut Stage<'_>) {
    stage.net.peer(peer).send(format!("{line}\n").as_bytes());
    stage.model.sent(id, asked);
}
