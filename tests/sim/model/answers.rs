//! Every line that a server writes: what kind it is of, and whether it is an answer to what was asked.

use chinwag::protocol::reply::{Error, GREETING, Notice, Reply};

use super::asked::{Asked, line_bytes};
use super::connection::{Offline, Waiting};
use super::log::is_name;
use super::{Fate, Guarantee, Model, broken, hold, key};

/// IAC WONT TIMING-MARK: what telnet waits for after a Ctrl-C.
const TIMING_MARK: &[u8] = b"\xff\xfc\x06\n";
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
        let Some(reply) = known_reply(text) else {
            let is_message =
                connection.greeted == GREETING.len() && text.starts_with(|it: char| it.is_ascii_digit());
            hold(Guarantee::KnownLines, is_message, || format!("connection {id}: {text:?}"));
            return self.message(id, text);
        };
        if connection.greeted < GREETING.len() {
            return self.greeting(id, &reply);
        }
        if std::mem::take(&mut connection.awaits_target) {
            let is_told = reply == Notice::TalkingToEveryone.into();
            return hold(Guarantee::KnownLines, is_told, || format!("after its welcome: {text}"));
        }
        if !self.is_news(id, &reply) && !self.is_farewell(id, &reply) {
            self.answer(id, &reply);
        }
    }

    fn greeting(&mut self, id: usize, reply: &Reply<'_>) {
        let rules = self.rules;
        let address = self.connections[id].address;
        let others = self.open.iter().map(|&other| &self.connections[other]);
        let of_address = others.filter(|it| it.address == address).count();
        let connection = &mut self.connections[id];
        if *reply == GREETING[connection.greeted].clone().into() {
            connection.greeted += 1;
            return;
        }
        let is_first = connection.greeted == 0;
        let is_full = self.open.len() > rules.connections_max || self.trouble.no_descriptors > 0;
        let is_refusal = match reply {
            Reply::Error(Error::ServerFull { .. } | Error::MadeRoom { .. }) => is_full,
            Reply::Error(Error::TooManyConnections { .. }) => of_address > rules.per_address,
            // Instead of the greeting, if the header of a proxy has not come yet.
            Reply::Notice(Notice::ShuttingDown) => self.is_shutting_down,
            _ => false,
        };
        hold(Guarantee::KnownLines, is_first && is_refusal, || {
            format!("connection {id} is greeted with {reply}")
        });
        if matches!(reply, Reply::Error(Error::ServerFull { .. })) && self.trouble.no_descriptors == 0 {
            let stranger = self.stranger_that_could_yield();
            hold(Guarantee::Refused, stranger.is_none(), || {
                format!("connection {id} is refused, and {stranger:?} has a place without a login")
            });
        }
        let connection = &mut self.connections[id];
        connection.is_closing = true;
    }

    /// What everyone is told, whatever they asked.
    fn is_news(&mut self, id: usize, reply: &Reply<'_>) -> bool {
        let Reply::Notice(notice) = reply else { return false };
        let omitted = match notice {
            Notice::MoreFrom { more, name } => Some((*more, key(name.as_str()))),
            Notice::MoreFromOthers { more } => Some((*more, "others".into())),
            _ => None,
        };
        if let Some((more, sender)) = omitted {
            let stream = self.connections[id].stream.as_mut();
            let is_so = stream.is_some_and(|stream| stream.omits(&sender, more as usize, &self.log));
            hold(Guarantee::Ordered, is_so, || format!("connection {id}: that is not so: {reply}"));
            return true;
        }
        let who = match notice {
            Notice::ShuttingDown => {
                hold(Guarantee::KnownLines, self.is_shutting_down, || "nobody wanted it to shut down".into());
                self.connections[id].is_closing = true;
                return true;
            }
            Notice::Joined { who } | Notice::Left { who } => who,
            _ => return *notice == Notice::PresenceMissed,
        };
        let connection = &self.connections[id];
        hold(Guarantee::Private, connection.account.is_some(), || {
            format!("to one who is not logged in: {reply}")
        });
        for name in who.names.iter() {
            let is_account = self.accounts.get(&key(name.as_str())).is_some_and(|it| !it.is_absent());
            hold(Guarantee::KnownLines, is_account, || format!("nobody is called {name}: {reply}"));
        }
        true
    }

    /// What ends a connection that did not ask for it.
    fn is_farewell(&mut self, id: usize, reply: &Reply<'_>) -> bool {
        let Reply::Error(error) = reply else { return false };
        let connection = &self.connections[id];
        let is_explained = match error {
            Error::LoginTimeout { .. } => {
                connection.account.is_none() && self.now_us - connection.since_us >= 60_000_000
            }
            Error::ServerFull { .. } | Error::MadeRoom { .. } => {
                connection.account.is_none() && self.open.len() > self.rules.connections_max
            }
            Error::Replaced { .. } | Error::ReplacedWhenFull => {
                self.may_be_replaced(id) || self.is_ended_by_another(id, error)
            }
            Error::HistoryUnavailable => self.trouble.read_failed > 0,
            Error::SignedOut => self.is_ended_by_another(id, error),
            _ => return false,
        };
        hold(Guarantee::Refused, is_explained, || format!("connection {id}: there is no reason for {reply}"));
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

    fn answer(&mut self, id: usize, reply: &Reply<'_>) {
        if self.log.has_torn_lines && matches!(reply, Reply::Error(Error::Damaged { .. })) {
            return;
        }
        let connection = &mut self.connections[id];
        if let Reply::Notice(Notice::Offline { name }) = reply {
            let name = key(name.as_str());
            let offline = connection.offline.take().filter(|it| it.may && it.name == name);
            // A lagging reader is told so before the receipt.
            let is_early = offline.is_none()
                && (self.connections[id].may_lag || self.may_be_ended_by_another(id))
                && self.connections[id].waits_for_receipt(&name);
            hold(Guarantee::Refused, offline.is_some() || is_early, || {
                format!("connection {id}: that is not so: {reply}")
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
                broken(Guarantee::Refused, format!("connection {id}: {reply} is no answer to {waiting:?}"));
            };
            match self.fit(id, reply, &waiting) {
                Fit::Answer => {
                    let connection = &mut self.connections[id];
                    connection.asked.remove(at);
                    connection.part.clear();
                    return;
                }
                Fit::Part => return self.connections[id].part.push(reply.to_string()),
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
                        format!("connection {id}: {reply} is no answer to {waiting:?}"),
                    );
                }
            }
        }
    }

    /// Whether a line that is no message answers another.
    fn fit(&mut self, id: usize, reply: &Reply<'_>, waiting: &Waiting) -> Fit {
        let since = waiting.turn;
        let connection = &self.connections[id];
        let is_in = connection.account.is_some();
        let code = code_of(reply);
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
            Asked::Login { name, password } => self.fit_login(id, reply, name, password, waiting),
            Asked::Register { name, password } => self.fit_register(id, reply, name, password, waiting),
            Asked::Token => self.fit_token(id, reply, since),
            Asked::Resume { name, token } => self.fit_resume(id, reply, name, token, waiting),
            Asked::Passwd { new, is_right } => self.fit_passwd(id, reply, new, *is_right, since),
            Asked::History(range) => {
                if *reply != Notice::EndOfHistory.into() {
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
            Asked::Users => self.fit_users(id, reply, since),
            Asked::Replay(count) => {
                let fits = *reply == Notice::Replay { count: *count }.into();
                if fits && !is_in {
                    self.connections[id].replay = Some(*count);
                }
                answer_if(fits)
            }
            Asked::Help => match reply {
                Reply::Notice(Notice::HelpOnMessages) => answer_if(connection.part.len() == 30),
                Reply::Notice(Notice::Help { .. }) => Fit::Part,
                _ => Fit::No,
            },
            Asked::Quit => {
                if let (Some(name), Some(stream)) = (&connection.account, &connection.stream) {
                    // All that it may see was handed to it before.
                    let (handed, is_all) = (stream.handed(&self.log).0, !connection.may_have_gap);
                    let account = self.accounts.entry(name.clone()).or_default();
                    account.was_handed(handed, is_all, self.turn, self.now_us);
                }
                self.closes(id, *reply == Notice::Bye.into())
            }
            Asked::Misuse(expected) => answer_if(code == *expected),
            Asked::Endless if *reply == Error::LineTooLong { limit: 4096 }.into() => Fit::Part,
            Asked::Endless => self.closes(id, *reply == Error::EndlessLine { bytes: 1 << 20 }.into()),
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
    fn fit_users(&mut self, id: usize, reply: &Reply<'_>, since: u64) -> Fit {
        let online = match reply {
            Reply::Notice(Notice::Users { .. }) => return Fit::Part,
            Reply::Notice(Notice::Online { count }) => *count as usize,
            _ => return Fit::No,
        };
        let mut listed = Vec::new();
        for page in &self.connections[id].part {
            let Some(Reply::Notice(Notice::Users { names })) = Reply::parse(page) else { continue };
            listed.extend(names.0.iter().map(|name| key(name.as_str())));
        }
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

/// Returns the reply in a line if it is one that clients know.
pub(super) fn known_reply(text: &str) -> Option<Reply<'_>> {
    let is_known = |reply: &Reply<'_>| {
        !matches!(reply, Reply::Notice(Notice::Other { .. }) | Reply::Error(Error::Other { .. }))
    };
    Reply::parse(text).filter(is_known)
}

/// Returns the code of an error; nothing for a notice.
pub(super) fn code_of<'a>(reply: &Reply<'a>) -> &'a str {
    match reply {
        Reply::Error(error) => error.code(),
        Reply::Notice(_) => "",
    }
}

pub(super) fn answer_if(fits: bool) -> Fit {
    if fits { Fit::Answer } else { Fit::No }
}
