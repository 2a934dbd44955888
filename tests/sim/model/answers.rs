//! Every line that a server writes: what kind it is of, and whether it is an answer to what was asked.

use super::asked::{Asked, line_bytes};
use super::connection::{Offline, Waiting};
use super::log::is_name;
use super::{Fate, Guarantee, Model, broken, hold, key};

/// IAC WONT TIMING-MARK: what telnet waits for after a Ctrl-C.
const TIMING_MARK: &[u8] = b"\xff\xfc\x06\n";
const GREETING: [&str; 3] =
    ["* chinwag ", "* new here? /register NAME PASSWORD", "* have an account? /login NAME PASSWORD"];
const MEANWHILE: &str = "* you may have missed who joined and left; /users lists who is online";

pub(super) enum Fit {
    /// It answers the line.
    Answer,
    /// It does, and more is to come.
    Part,
    /// It does not.
    No,
}

impl Model {
    /// A line that was written to a connection.
    pub(super) fn line(&mut self, id: usize, line: &[u8]) {
        if self.connections[id].is_hostile {
            return self.hostile_line(id, line);
        }
        if line == TIMING_MARK {
            let marks = &mut self.connections[id].marks;
            hold(Guarantee::KnownLines, *marks > 0, || {
                format!("connection {id}: telnet where nobody speaks it")
            });
            *marks -= 1;
            return;
        }
        let Ok(text) = std::str::from_utf8(line) else {
            broken(
                Guarantee::KnownLines,
                format!("connection {id}: no UTF-8: {:?}", line.escape_ascii().to_string()),
            );
        };
        let text = text.trim_end_matches('\n');
        self.trace(format_args!("{id:>4} < {text}"));
        hold(Guarantee::Bounded, line.len() <= 4096, || format!("a line of {} bytes", line.len()));
        let connection = &mut self.connections[id];
        hold(Guarantee::KnownLines, !connection.is_closing, || {
            format!("connection {id}: behind its end: {text}")
        });
        if connection.greeted < GREETING.len() {
            return self.greeting(id, text);
        }
        match text.as_bytes().first() {
            Some(b'0'..=b'9') => self.message(id, text),
            Some(b'*') if self.is_news(id, text) => {}
            Some(b'!') if self.is_farewell(id, text) => {}
            Some(b'*' | b'!') => self.answer(id, text),
            _ => broken(Guarantee::KnownLines, format!("connection {id}: {text:?}")),
        }
    }

    fn greeting(&mut self, id: usize, text: &str) {
        let rules = self.rules;
        let address = self.connections[id].address;
        let others = self.open.iter().map(|&other| &self.connections[other]);
        let of_address = others.filter(|it| it.address == address).count();
        let connection = &mut self.connections[id];
        if text.starts_with(GREETING[connection.greeted]) {
            connection.greeted += 1;
            return;
        }
        let is_first = connection.greeted == 0;
        let is_full = self.open.len() > rules.connections_max || self.trouble.no_descriptors > 0;
        let is_refusal = text.starts_with("! server-full: ") && is_full
            || text.starts_with("! too-many-connections: ") && of_address > rules.per_address
            // Instead of the greeting, if the header of a proxy has not come yet.
            || text == "* the server is shutting down" && self.is_shutting_down;
        hold(Guarantee::KnownLines, is_first && is_refusal, || {
            format!("connection {id} is greeted with {text:?}")
        });
        if text.ends_with("; please try again later") && self.trouble.no_descriptors == 0 {
            let stranger = self.stranger_that_could_yield();
            hold(Guarantee::Refused, stranger.is_none(), || {
                format!("connection {id} is refused, and {stranger:?} has a place without a login")
            });
        }
        let connection = &mut self.connections[id];
        connection.is_closing = true;
    }

    /// What everyone is told, whatever they asked.
    fn is_news(&mut self, id: usize, text: &str) -> bool {
        if text == "* the server is shutting down" {
            hold(Guarantee::KnownLines, self.is_shutting_down, || "nobody wanted it to shut down".into());
            self.connections[id].is_closing = true;
            return true;
        }
        if let Some((more, sender)) = text.strip_suffix(": /history").map_or_else(
            || text[2..].split_once(": /history ").and_then(|(more, _)| more.split_once(" more from ")),
            |more| more[2..].split_once(" more from "),
        ) {
            let stream = self.connections[id].stream.as_mut();
            let is_so = more
                .parse()
                .is_ok_and(|more| stream.is_some_and(|stream| stream.omits(&key(sender), more, &self.log)));
            hold(Guarantee::Ordered, is_so, || format!("connection {id}: that is not so: {text}"));
            return true;
        }
        let is_users = text.starts_with("* users: ");
        let named = text.strip_suffix(" joined").or_else(|| text.strip_suffix(" left")).filter(|_| !is_users);
        let Some(named) = named else { return text == MEANWHILE };
        let connection = &self.connections[id];
        hold(Guarantee::Private, connection.account.is_some(), || {
            format!("to one who is not logged in: {text}")
        });
        let words = named["* ".len()..].split([' ', ',']).filter(|word| !word.is_empty());
        for name in words.filter(|word| *word != "and" && *word != "others" && word.parse::<u32>().is_err()) {
            let is_account = self.accounts.get(&key(name)).is_some_and(|it| !it.is_absent());
            hold(Guarantee::KnownLines, is_account, || format!("nobody is called {name}: {text}"));
        }
        true
    }

    /// What ends a connection that did not ask for it.
    fn is_farewell(&mut self, id: usize, text: &str) -> bool {
        let connection = &mut self.connections[id];
        let is_explained = if text.starts_with("! login-timeout: ") {
            connection.account.is_none() && self.now_us - connection.since_us >= 60_000_000
        } else if text.starts_with("! server-full: ") {
            connection.account.is_none() && self.open.len() > self.rules.connections_max
        } else if text.starts_with("! replaced: ") {
            self.may_be_replaced(id) || self.is_ended_by_another(id, text)
        } else if text.starts_with("! history-unavailable: ") {
            self.trouble.read_failed > 0
        } else if text.starts_with("! signed-out: ") {
            self.is_ended_by_another(id, text)
        } else {
            return false;
        };
        hold(Guarantee::Refused, is_explained, || format!("connection {id}: there is no reason for {text}"));
        self.connections[id].is_ended_by_server(self.now_us);
        self.connections[id].is_closing = true;
        true
    }

    /// A connection that was there before this turn, is not logged in and never tried to be.
    fn stranger_that_could_yield(&self) -> Option<usize> {
        let could_yield = |id: &&usize| {
            let it = &self.connections[**id];
            let has_a_place = it.greeted == GREETING.len() && it.turn < self.turn && !it.is_over();
            has_a_place && it.account.is_none() && it.may_be.is_empty() && !it.may_have_left
        };
        self.open.iter().find(could_yield).copied()
    }

    /// A full server takes a place from an account that has several, if everyone is logged in.
    fn may_be_replaced(&self, id: usize) -> bool {
        let account = self.connections[id].account.as_ref();
        let sessions = self.open.iter().filter(|&&other| {
            let it = &self.connections[other];
            it.account.is_some() && it.account.as_ref() == account
                || it.may_be.iter().any(|it| Some(it) == account)
        });
        let is_full = self.open.len() > self.rules.connections_max;
        is_full && account.is_some() && sessions.count() > 1 && self.stranger_that_could_yield().is_none()
    }

    fn message(&mut self, id: usize, text: &str) {
        let Some(place) = self.log.place_of(text) else {
            broken(Guarantee::Durable, format!("connection {id} was shown what is not in the log: {text}"));
        };
        let record = self.log.record(place);
        let connection = &mut self.connections[id];
        let Some(account) = connection.account.clone() else {
            broken(Guarantee::Private, format!("connection {id} is not logged in and was shown: {text}"));
        };
        hold(Guarantee::Private, record.is_for(&account), || format!("{account} was shown: {text}"));
        let welcomed = connection.welcomed;
        let changed = self.accounts[&account].changed_by.filter(|it| it.by != id && welcomed <= it.turn);
        let is_signed_out = changed.is_some_and(|it| place >= it.end && !self.connections[it.by].may_lag);
        hold(Guarantee::Accounts, !is_signed_out, || {
            format!("connection {id} was shown after another changed the password: {text}")
        });
        let connection = &mut self.connections[id];
        connection.pass_over_blanks();
        let history = connection.asked.front().and_then(|waiting| match &waiting.asked {
            Asked::History(range) => Some(range),
            _ => None,
        });
        let stream = connection.stream.as_mut().expect("who is welcome has one");
        let may_be = stream.show(place, history, &self.log);
        hold(Guarantee::Ordered, may_be, || {
            let before = stream.describe(&self.log);
            format!("connection {id} ({account}), which stood at {before}was shown message {place}: {text}")
        });
        let (author, number) = record.tag;
        if author == id && number >= connection.receipts {
            self.receipt(id, place, number);
        }
    }

    /// Its own message came back to a connection, for the first time.
    fn receipt(&mut self, id: usize, place: usize, number: u64) {
        let record = self.log.record(place);
        let connection = &mut self.connections[id];
        connection.assert_offline_told(id, connection.may_lag);
        connection.offline = None;
        let is_this = |waiting: &Waiting| matches!(&waiting.asked, Asked::Say { tag, .. } if tag.1 == number);
        let is_said = |waiting: &Waiting| matches!(&waiting.asked, Asked::Say { .. });
        // Answers of a reader who lags overtake the messages that it reads in the file.
        let first = connection.asked.iter().position(|waiting| !connection.may_lag || is_said(waiting));
        let first = first.filter(|&first| is_this(&connection.asked[first]));
        let Some(waiting) = first.and_then(|first| connection.asked.remove(first)) else {
            let asked = &connection.asked.front();
            broken(
                Guarantee::Refused,
                format!("connection {id}: {asked:?} was to be answered, before {}", record.line),
            );
        };
        connection.receipts = number + 1;
        if let Some(name) = record.to.clone() {
            let account = &self.accounts[&name];
            let since = waiting.turn;
            let is_online = self.open.iter().map(|&id| &self.connections[id]);
            let mut is_online = is_online.filter(|it| it.account.as_deref() == Some(&name));
            let may = !is_online.any(|it| it.is_surely_online(since));
            let early = &mut self.connections[id].offline_early;
            let told = early.iter().position(|it| *it == name).map(|at| early.remove(at));
            let must = told.is_none() && account.maybe_online < since;
            self.connections[id].offline = Some(Offline { name, must, may });
        }
    }

    fn answer(&mut self, id: usize, text: &str) {
        if self.log.has_torn_lines && text.starts_with("! damaged: ") {
            return;
        }
        let connection = &mut self.connections[id];
        if let Some(name) = text.strip_suffix(" is offline and will see it at the next login") {
            let name = key(&name[2..]);
            let offline = connection.offline.take().filter(|it| it.may && it.name == name);
            // A lagging reader is told so before the receipt.
            let is_early = offline.is_none()
                && (self.connections[id].may_lag || self.may_be_ended_by_another(id))
                && self.connections[id].waits_for_receipt(&name);
            hold(Guarantee::Refused, offline.is_some() || is_early, || {
                format!("connection {id}: that is not so: {text}")
            });
            if is_early {
                self.connections[id].offline_early.push(name);
            }
            return;
        }
        connection.assert_offline_told(id, connection.may_lag);
        connection.offline = None;
        connection.pass_over_blanks();
        let mut at = 0;
        loop {
            let Some(waiting) = self.connections[id].asked.get(at).cloned() else {
                let waiting = self.connections[id].asked.front();
                broken(Guarantee::Refused, format!("connection {id}: {text:?} is no answer to {waiting:?}"));
            };
            match self.fit(id, text, &waiting) {
                Fit::Answer => {
                    let connection = &mut self.connections[id];
                    connection.asked.remove(at);
                    connection.part.clear();
                    return;
                }
                Fit::Part => return self.connections[id].part.push(text.into()),
                // Blank lines, and messages whose receipts may still come.
                Fit::No if matches!(waiting.asked, Asked::Nothing) => at += 1,
                Fit::No
                    if matches!(waiting.asked, Asked::Say { .. })
                        && (self.connections[id].may_lag || self.may_be_ended_by_another(id)) =>
                {
                    at += 1
                }
                Fit::No => {
                    broken(
                        Guarantee::Refused,
                        format!("connection {id}: {text:?} is no answer to {waiting:?}"),
                    );
                }
            }
        }
    }

    /// Whether a line that is no message answers another.
    fn fit(&mut self, id: usize, text: &str, waiting: &Waiting) -> Fit {
        let since = waiting.turn;
        let connection = &self.connections[id];
        let is_in = connection.account.is_some();
        let code =
            text.strip_prefix("! ").and_then(|text| text.split_once(": ")).map_or("", |(code, _)| code);
        let needs_login = !matches!(
            waiting.asked,
            Asked::Register { .. }
                | Asked::Login { .. }
                | Asked::Resume { .. }
                | Asked::Replay(_)
                | Asked::Help
                | Asked::Quit
        );
        if code == "not-logged-in"
            && needs_login
            && !matches!(waiting.asked, Asked::Misuse(_) | Asked::Endless)
        {
            if let Asked::Say { tag, .. } = waiting.asked {
                return self.refused(tag, !is_in);
            }
            if let Asked::Passwd { new, .. } = &waiting.asked {
                return self.not_changed(id, new, !is_in);
            }
            return answer_if(!is_in);
        }
        match &waiting.asked {
            Asked::Nothing => Fit::No,
            Asked::Say { to, text: said, tag } => {
                let from = connection.account.as_deref().unwrap_or("");
                let is_there = to.as_ref().is_none_or(|to| {
                    is_name(to) && self.accounts.get(&key(to)).is_some_and(|it| it.was_there(since))
                });
                let is_explained = match code {
                    "not-saved" => self.trouble.log_refused.max(self.trouble.no_time) >= since,
                    "line-too-long" => is_in && line_bytes(from, to.as_deref(), said) > 4096,
                    "no-such-user" => is_in && !is_there,
                    "over-quota" => is_in && self.may_be_over_quota(from),
                    _ => return Fit::No,
                };
                // For a lagging reader a refusal overtakes the receipts of the lines before it, and a session that
                // was ended gets no more of those.
                let lacks_receipts = connection.may_lag || self.may_be_ended_by_another(id);
                if lacks_receipts && self.fates.get(tag) == Some(&Fate::Kept) {
                    return Fit::No;
                }
                self.refused(*tag, is_explained)
            }
            Asked::Login { name, password } => self.fit_login(id, text, code, name, password, waiting),
            Asked::Register { name, password } => self.fit_register(id, text, code, name, password, waiting),
            Asked::Token => self.fit_token(id, text, code, since),
            Asked::Resume { name, token } => self.fit_resume(id, text, code, name, token, waiting),
            Asked::Passwd { new, is_right } => self.fit_passwd(id, text, code, new, *is_right, since),
            Asked::History(range) => {
                if text != "* end of history" {
                    return Fit::No;
                }
                let connection = &mut self.connections[id];
                let stream = connection.stream.as_mut().expect("who is welcome has one");
                let may_be = stream.end_history(range, &self.log);
                hold(Guarantee::Ordered, may_be, || {
                    let before = stream.describe(&self.log);
                    format!("connection {id}, which stood at {before}has not all of {range:?}")
                });
                Fit::Answer
            }
            Asked::Users => self.fit_users(id, text, since),
            Asked::Replay(count) => {
                let fits = text == format!("* replay {count}");
                if fits && !is_in {
                    self.connections[id].replay = Some(*count);
                }
                answer_if(fits)
            }
            Asked::Help if text.starts_with("* anything else is a message") => {
                answer_if(connection.part.len() == 16)
            }
            Asked::Help if text.starts_with("* /") => Fit::Part,
            Asked::Help => Fit::No,
            Asked::Quit => {
                if let (Some(name), Some(stream)) = (&connection.account, &connection.stream) {
                    // All that it may see was handed to it before.
                    let (handed, is_all) = (stream.handed(&self.log).0, !connection.may_have_gap);
                    let account = self.accounts.entry(name.clone()).or_default();
                    account.was_handed(handed, is_all, self.turn, self.now_us);
                }
                self.closes(id, text == "* bye")
            }
            Asked::Misuse(expected) => answer_if(code == *expected),
            Asked::Endless if text.starts_with("! line-too-long: a line may have at most 4096 bytes") => {
                Fit::Part
            }
            Asked::Endless => {
                self.closes(id, text.starts_with("! line-too-long: 1048576 bytes came without"))
            }
        }
    }

    fn closes(&mut self, id: usize, fits: bool) -> Fit {
        self.connections[id].is_closing |= fits;
        answer_if(fits)
    }

    fn refused(&mut self, tag: (usize, u64), is_explained: bool) -> Fit {
        if is_explained {
            let fate = self.fates.insert(tag, Fate::Refused);
            hold(Guarantee::Refused, fate == Some(Fate::Open), || {
                format!("{tag:?} is refused, and was {fate:?}")
            });
        }
        answer_if(is_explained)
    }

    /// A page of names, or the number of those who are online.
    fn fit_users(&mut self, id: usize, text: &str, since: u64) -> Fit {
        if let Some(names) = text.strip_prefix("* users: ") {
            let are_names = names.split(' ').all(is_name);
            return if are_names { Fit::Part } else { Fit::No };
        }
        let Some(online) = text.strip_suffix(" online").and_then(|it| it[2..].parse::<usize>().ok()) else {
            return Fit::No;
        };
        let lists = self.connections[id].part.iter();
        let listed: Vec<String> = lists.flat_map(|it| it["* users: ".len()..].split(' ').map(key)).collect();
        let is_sorted = listed.is_sorted_by(|a, b| a < b);
        hold(Guarantee::KnownLines, is_sorted && listed.len() == online, || {
            format!("{online} online: {listed:?}")
        });
        for name in &listed {
            let may_be = self.accounts.get(name).is_some_and(|it| it.maybe_online >= since.saturating_sub(1));
            hold(Guarantee::KnownLines, may_be, || format!("{name} is said to be online"));
        }
        for other in
            self.open.iter().map(|&other| &self.connections[other]).filter(|it| it.is_surely_online(since))
        {
            let name = other.account.as_ref().expect("it is logged in");
            hold(Guarantee::KnownLines, listed.contains(name), || format!("{name} is not said to be online"));
        }
        Fit::Answer
    }
}

pub(super) fn answer_if(fits: bool) -> Fit {
    if fits { Fit::Answer } else { Fit::No }
}
