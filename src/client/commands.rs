//! What the client does by itself: the commands that the server does not know, and help.

use super::Client;
use super::event::{Event, LineId};
use crate::protocol::command;
use crate::protocol::name::Name;
use crate::protocol::reply::{Error, HelpEntry};

/// What the client itself understands beside the server's commands.
const DIRECT_COMMANDS: [(&str, &str); 3] = [
    ("/reply TEXT", "a private message to whoever wrote you the last one"),
    ("/ignore NAME", "hides what somebody says; /ignore alone tells who is ignored"),
    ("/unignore NAME", "shows it again"),
];

impl Client {
    /// The words of all commands that can be given once logged in, without the slash; some of them twice.
    pub fn command_words() -> impl Iterator<Item = &'static str> {
        let own = DIRECT_COMMANDS.iter().filter_map(|(usage, _)| usage[1..].split(' ').next());
        own.chain(command::command_words()).filter(|word| !matches!(*word, "register" | "login"))
    }

    /// Whether the line is one of the client's own commands, which is then done.
    pub(super) fn own_command(&mut self, id: LineId, line: &str) -> bool {
        let Some((word, rest)) = line.strip_prefix('/').map(|it| it.split_once(' ').unwrap_or((it, "")))
        else {
            return false;
        };
        let rest = rest.trim();
        let usage = |at: usize| Error::Usage { usage: DIRECT_COMMANDS[at].0 };
        match (word.to_ascii_lowercase().as_str(), Name::parse(rest.as_bytes())) {
            ("reply", _) if rest.is_empty() => self.refuse(id, line, usage(0)),
            ("reply", _) => match self.correspondent {
                Some(to) => self.send_line(id, line, &format!("/msg {to} {rest}")),
                None => {
                    let words = "there is no private message to reply to";
                    self.refuse(id, line, Error::Other { code: "nobody-wrote", words });
                }
            },
            // In the form that a server of version 0.1 knows as well.
            ("me", _) if !rest.is_empty() => self.send_line(id, line, &format!("//me {rest}")),
            ("ignore", _) if rest.is_empty() => self.tell_ignored(),
            ("ignore", Some(name)) => self.ignore(name),
            ("unignore", Some(name)) => self.unignore(&name),
            ("ignore", None) => self.refuse(id, line, usage(1)),
            ("unignore", None) => self.refuse(id, line, usage(2)),
            _ => return false,
        }
        true
    }

    pub(super) fn notice(&mut self, text: impl Into<String>) {
        self.events.push_back(Event::Notice(text.into()));
    }

    pub(super) fn help(&mut self) {
        for (form, does) in DIRECT_COMMANDS {
            self.notice(HelpEntry { form, does }.to_string());
        }
        for notice in command::help() {
            self.notice(notice.to_string());
        }
    }

    fn ignore(&mut self, name: Name) {
        self.ignored.insert(name);
        self.notice(format!("{name} is ignored from now on"));
        self.events.push_back(Event::IgnoredChanged);
    }

    fn unignore(&mut self, name: &Name) {
        if self.ignored.remove(name) {
            self.notice(format!("{name} is heard again"));
            self.events.push_back(Event::IgnoredChanged);
        } else {
            self.notice(format!("{name} was not ignored"));
        }
    }

    fn tell_ignored(&mut self) {
        let names: Vec<_> = self.ignored.iter().map(Name::as_str).collect();
        self.notice(match &names[..] {
            [] => "nobody is ignored".to_owned(),
            names => format!("ignored: {}", names.join(" ")),
        });
    }
}
