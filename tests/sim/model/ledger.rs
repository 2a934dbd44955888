//! `users.txt`, read by other code than the server's: no line is in it that the lines before it forbid, and the server
//! knows what the lines add up to.

use std::collections::BTreeMap;

use chinwag::auth::credential::secret_hash;
use chinwag::protocol::name::Name;
use chinwag::state::durable::State;
use chinwag::state::users::UserRecord;

use super::super::disk::{SimDisk, USERS};
use super::{Guarantee, hold, key};

/// Tokens of an account; a new one takes the place of the oldest.
const TOKENS: usize = 16;
const ALGORITHM: &str = "pbkdf2-sha256";

/// The sum of the lines.
#[derive(Debug)]
pub struct Ledger {
    /// By their names, in lower case.
    names: BTreeMap<String, Entry>,
    /// In the order of their first lines.
    order: Vec<String>,
    /// How much of the file was read, and the checksum of the last line that counts.
    read: usize,
    check: String,
    /// Whether the last turn appended to it.
    has_grown: bool,
}

#[derive(Debug, Default)]
struct Entry {
    spelling: String,
    registered: String,
    /// `ROUNDS:SALT:HASH`, unless nobody can log in.
    password: Option<String>,
    /// Each `HASH:TIME`.
    tokens: Vec<String>,
    code: Option<String>,
    /// Whether the line before the next one of the name revoked a code.
    has_used_code: bool,
}

impl Ledger {
    pub fn read_whole(disk: &SimDisk) -> Ledger {
        let mut ledger = Ledger {
            names: BTreeMap::new(),
            order: Vec::new(),
            read: 0,
            check: "00000000".into(),
            has_grown: true,
        };
        ledger.read_on(disk, false);
        ledger
    }

    /// Reads what a turn has appended.
    pub fn look(&mut self, disk: &SimDisk) {
        let length = disk.length(USERS);
        self.has_grown = length > self.read;
        if self.has_grown {
            self.read_on(disk, true);
        }
        self.read = length;
    }

    fn read_on(&mut self, disk: &SimDisk, is_turn: bool) {
        let bytes = disk.bytes_from(USERS, self.read);
        self.read += bytes.len();
        let mut turn = BTreeMap::<String, Vec<String>>::new();
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let Some(line) = std::str::from_utf8(line).ok().and_then(|line| line.strip_suffix('\n')) else {
                continue;
            };
            // Others are the rest of a torn write.
            let Some((text, check)) = line.split_at_checked(line.len().saturating_sub(8)) else { continue };
            if hex(&secret_hash(&format!("{}{text}", self.check))[..4]) != check {
                continue;
            }
            self.check = check.into();
            let (name, kind) = self.apply(text, is_turn);
            turn.entry(name).or_default().push(kind);
        }
        for (name, kinds) in turn.iter().filter(|_| is_turn) {
            let is_one = matches!(
                kinds.iter().map(String::as_str).collect::<Vec<_>>()[..],
                [ALGORITHM] | ["token"] | ["revoked", ALGORITHM]
            );
            hold(Guarantee::Accounts, is_one, || format!("{name} was changed twice in a turn: {kinds:?}"));
        }
    }

    /// Applies a line; returns its name and its kind.
    fn apply(&mut self, text: &str, is_new: bool) -> (String, String) {
        let forbidden =
            |why: &str| hold(Guarantee::Accounts, false, || format!("{why}: {text} in users.txt"));
        let fields: Vec<&str> = text.splitn(3, ':').collect();
        let (name, kind, rest) = (fields[0], fields[1], fields[2]);
        let (value, time) =
            rest.trim_end_matches(':').split_at(rest.len() - 1 - "2026-11-18T11:06:40.000001Z".len());
        let value = value.trim_end_matches(':').to_owned();
        let id = key(name);
        if !self.names.contains_key(&id) {
            if !matches!(kind, ALGORITHM | "reserved") {
                forbidden("there is no such account");
            }
            let parsed = |text: &str| Name::parse(text.as_bytes()).expect("it is a name");
            let looks_so = |other: &Entry| parsed(&other.spelling).looks_like(&parsed(name));
            if is_new && self.names.values().any(looks_so) {
                forbidden("it looks like another one");
            }
            let entry = Entry { spelling: name.into(), registered: time.into(), ..Entry::default() };
            self.names.insert(id.clone(), entry);
            self.order.push(id.clone());
            self.names.get_mut(&id).expect("inserted").has_used_code = kind == ALGORITHM;
        }
        let entry = self.names.get_mut(&id).expect("it is there");
        if entry.spelling != name {
            forbidden("it is spelled differently");
        }
        let has_used_code = std::mem::take(&mut entry.has_used_code);
        match kind {
            ALGORITHM => {
                if entry.registered != time {
                    forbidden("it is registered twice");
                }
                if entry.password.is_none() && !has_used_code {
                    forbidden("nobody had a code");
                }
                entry.password = Some(value);
            }
            "token" => {
                if entry.password.is_none() {
                    forbidden("nobody can log in");
                }
                entry.tokens.push(format!("{value}:{time}"));
                let excess = entry.tokens.len().saturating_sub(TOKENS);
                entry.tokens.drain(..excess);
            }
            "code" => entry.code = Some(format!("{value}:{time}")),
            "revoked" | "reserved" => {
                entry.tokens.clear();
                entry.has_used_code = entry.code.take().is_some();
                if kind == "reserved" {
                    entry.password = None;
                }
            }
            _ => forbidden("a line of no kind"),
        }
        (id, kind.into())
    }

    /// Checks that the server knows the same, after a start and after each turn that has appended something.
    pub fn assert_equals(&self, state: &State) {
        if !self.has_grown {
            return;
        }
        let expected = self.order.iter().flat_map(|id| {
            let Entry { spelling, registered, password, tokens, code, .. } = &self.names[id];
            let first = match password {
                Some(password) => format!("{spelling}:{ALGORITHM}:{password}:{registered}"),
                None => format!("{spelling}:reserved:{registered}"),
            };
            let tokens = tokens.iter().map(move |token| format!("{spelling}:token:{token}"));
            std::iter::once(first)
                .chain(tokens)
                .chain(code.iter().map(move |it| format!("{spelling}:code:{it}")))
        });
        let known = state.records().map(|record| {
            let (name, time) = (record.name(), record.time());
            match record {
                UserRecord::Credential { credential: it, .. } => {
                    let (salt, hash) = (hex(&it.salt), hex(&it.key));
                    format!("{name}:{ALGORITHM}:{}:{salt}:{hash}:{time}", it.rounds)
                }
                UserRecord::Token { hash, .. } => format!("{name}:token:{}:{time}", hex(&hash)),
                UserRecord::Code { hash, .. } => format!("{name}:code:{}:{time}", hex(&hash)),
                UserRecord::Revoked { .. } => format!("{name}:revoked:{time}"),
                UserRecord::Reserved { .. } => format!("{name}:reserved:{time}"),
            }
        });
        let (expected, known): (Vec<String>, Vec<String>) = (expected.collect(), known.collect());
        hold(Guarantee::Accounts, expected == known, || {
            format!("users.txt comes to {expected:#?}, and the server knows {known:#?}")
        });
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
