//! One stay on a server: who is here, what was said in which tab, and what becomes of the lines on their way.

mod screen;

use std::collections::{BTreeSet, VecDeque};

use chinwag::client::link::Update;
use chinwag::client::words::{mention, presence, without_secrets};
use chinwag::client::{Event, LineId, Message, Origin};
use chinwag::protocol::name::Name;
use chinwag::protocol::record::{Target, Timestamp};
use jiff::tz::TimeZone;

use crate::conversation::{Conversation, Delivery, Outgoing};
use crate::notification::Notification;
use crate::request::Request;

/// Messages that are asked for at once, when one comes in and when one scrolls up.
const PAGE: usize = 200;
/// A connection that is lost.
struct Lost {
    why: String,
    /// How long until the next try.
    pause_s: f64,
    /// When that began, as the window's clock has it.
    since_s: Option<f64>,
}

/// Everything about one stay on a server.
pub struct Chat {
    /// One's own name.
    pub own: Name,
    /// The zone that times are shown in.
    pub zone: TimeZone,
    /// Whether the window is visible and has the keyboard focus.
    has_focus: bool,
    /// The first one is everyone's; the others are private.
    conversations: Vec<Conversation>,
    /// Those that have a tab, in order.
    tabs: Vec<usize>,
    /// The place among the tabs of the one that is seen.
    active: usize,
    online: BTreeSet<Name>,
    /// As the connection's thread counts them.
    next_id: LineId,
    lost: Option<Lost>,
    /// Why the connection will not come back.
    ended: Option<String>,
    /// The line that asked for the page that is awaited.
    loading: Option<LineId>,
    /// Lines that ask for messages, in the order in which they will be answered.
    histories: VecDeque<LineId>,
    /// The first message of those that were loaded without a gap.
    oldest: Option<Timestamp>,
    has_all: bool,
    wants_entry: bool,
    /// Another tab is active than before: it is to be seen.
    has_moved: bool,
}

impl Chat {
    /// One has just come in. The last messages are asked for.
    pub fn new(own: Name, zone: TimeZone, requests: &mut Vec<Request>) -> Chat {
        let mut chat = Chat {
            own,
            zone,
            has_focus: true,
            conversations: vec![Conversation::new(None)],
            tabs: vec![0],
            active: 0,
            online: BTreeSet::new(),
            next_id: 0,
            lost: None,
            ended: None,
            loading: None,
            histories: VecDeque::new(),
            oldest: None,
            has_all: false,
            wants_entry: true,
            has_moved: false,
        };
        chat.load(requests);
        chat
    }

    /// Private messages that nobody has looked at.
    pub fn unread_private(&self) -> usize {
        self.conversations[1..].iter().map(|conversation| conversation.unread).sum()
    }

    /// Records whether the window is visible and has the keyboard focus.
    pub fn set_focus(&mut self, has_focus: bool) {
        let seen = self.seen();
        if has_focus && !self.has_focus && self.conversations[seen].timeline.follows() {
            self.conversations[seen].enter();
        } else if !has_focus && self.has_focus {
            self.conversations[seen].leave();
        }
        self.has_focus = has_focus;
    }

    /// The list of those online.
    pub fn set_online(&mut self, online: BTreeSet<Name>) {
        self.online = online;
    }

    // What happens

    /// Takes in what has happened on the network.
    pub fn handle(&mut self, update: Update, requests: &mut Vec<Request>) {
        match update {
            Update::Event(event) => self.event(event, requests),
            Update::Lost(why, pause) => {
                self.lost = Some(Lost { why, pause_s: pause.as_secs_f64(), since_s: None });
            }
            Update::Ended(end) => {
                self.lost = None;
                self.ended = Some(end.why.unwrap_or_else(|| "goodbye".into()));
                // What the connection had taken was told of before.
                let outgoing = self.conversations.iter_mut().flat_map(|it| &mut it.outgoing);
                outgoing
                    .filter(|it| it.state == Delivery::Sending)
                    .for_each(|it| it.state = Delivery::NotSent);
            }
        }
    }

    fn event(&mut self, event: Event, requests: &mut Vec<Request>) {
        match event {
            Event::Welcome(name) => {
                self.own = name;
                self.lost = None;
            }
            Event::Message(message) => self.message(message, requests),
            Event::Joined(names, 0) if names[..] == [self.own] => {}
            Event::Joined(names, others) => self.note_for_all(presence(&names, others, "joined")),
            Event::Left(names, others) => self.note_for_all(presence(&names, others, "left")),
            Event::Users(names) => {
                let names: Vec<_> = names.iter().map(Name::as_str).collect();
                self.note(format!("{} online: {}", names.len(), names.join(", ")), false);
            }
            Event::EndOfHistory { count } => {
                if let Some(id) = self.histories.pop_front()
                    && self.loading.take_if(|it| *it == id).is_some()
                {
                    self.has_all |= count < PAGE;
                }
            }
            Event::Notice(text) => self.note(text, false),
            Event::Refused { id, line, refusal } => {
                self.is_no_page(id);
                let conversation = self.take_outgoing(id).map_or(self.seen(), |(index, _)| index);
                let words = format!("{} ({})", refusal.words, without_secrets(&line));
                self.conversations[conversation].note(words, true);
            }
            Event::Unconfirmed { id, line } if !self.set_delivery(id, Delivery::Unconfirmed) => {
                self.note(format!("Not confirmed yet: {}", without_secrets(&line)), true);
            }
            Event::NotSent { id, line }
                if !self.is_no_page(id) && !self.set_delivery(id, Delivery::NotSent) =>
            {
                self.note(format!("Not sent: {}", without_secrets(&line)), true);
            }
            Event::Error(refusal) => self.note(refusal.words, true),
            Event::LoginFailed(refusal) | Event::TokenRefused { refusal, .. } => {
                self.note(format!("Not let in again: {}", refusal.words), true);
            }
            Event::Unconfirmed { .. } | Event::NotSent { .. } => {}
            Event::Greeted | Event::Token { .. } | Event::NotChinwag(_) => {}
            Event::IgnoredChanged | Event::Online | Event::Bye => {}
        }
    }

    /// A line will not be answered with messages. Whether it was one that asked for a page.
    fn is_no_page(&mut self, id: LineId) -> bool {
        self.histories.retain(|&it| it != id);
        self.loading.take_if(|it| *it == id).is_some()
    }

    fn message(&mut self, message: Message, requests: &mut Vec<Request>) {
        let is_of_page = self.loading.is_some() && self.histories.front() == self.loading.as_ref();
        if message.origin == Origin::Asked && is_of_page {
            self.oldest = Some(self.oldest.map_or(message.at, |oldest| oldest.min(message.at)));
        }
        if let Some(id) = message.receipt {
            self.take_outgoing(id);
        }
        // Rooms have no tabs yet: their lines stand among those for everyone, and say where they are from.
        let with = match message.to {
            Target::Person(to) if message.from == self.own => Some(to),
            Target::Person(_) => Some(message.from),
            Target::Room(_) | Target::Everyone => None,
        };
        let index = self.conversation_with(with);
        let is_new = message.origin != Origin::Asked;
        if is_new && !self.tabs.contains(&index) {
            self.tabs.push(index);
        }
        let is_for_me = with.is_some() || mention(&message.text, &self.own).is_some();
        if is_new && is_for_me && message.from != self.own && !self.has_focus {
            let (from, text) = (message.from, message.text.clone());
            requests.push(Request::Notify(Notification { from, is_private: with.is_some(), text }));
        }
        let is_watched =
            self.has_focus && index == self.seen() && self.conversations[index].timeline.follows();
        self.conversations[index].add(message, &self.own, is_watched);
    }

    fn note_for_all(&mut self, text: String) {
        self.conversations[0].note(text, false);
    }

    /// Words in the tab that is seen.
    fn note(&mut self, text: String, is_error: bool) {
        let seen = self.seen();
        self.conversations[seen].note(text, is_error);
    }

    fn seen(&self) -> usize {
        self.tabs[self.active]
    }

    fn conversation_with(&mut self, with: Option<Name>) -> usize {
        let found = self.conversations.iter().position(|conversation| conversation.with == with);
        found.unwrap_or_else(|| {
            self.conversations.push(Conversation::new(with));
            self.conversations.len() - 1
        })
    }

    // Lines on their way

    /// How a message on its way stands. Whether there is one of this number.
    fn set_delivery(&mut self, id: LineId, state: Delivery) -> bool {
        let mut outgoing = self.conversations.iter_mut().flat_map(|conversation| &mut conversation.outgoing);
        let found = outgoing.find(|it| it.id == id);
        found.map(|outgoing| outgoing.state = state).is_some()
    }

    fn take_outgoing(&mut self, id: LineId) -> Option<(usize, Outgoing)> {
        self.conversations.iter_mut().enumerate().find_map(|(index, conversation)| {
            let at = conversation.outgoing.iter().position(|it| it.id == id)?;
            Some((index, conversation.outgoing.remove(at)))
        })
    }

    /// Sends a line as it is.
    fn submit(&mut self, line: String, requests: &mut Vec<Request>) -> LineId {
        let id = self.next_id;
        self.next_id += 1;
        requests.push(Request::Submit(line));
        id
    }

    /// Says what was typed in the tab that is seen.
    fn say(&mut self, typed: String, requests: &mut Vec<Request>) {
        let word = typed.split(' ').next().unwrap_or("").to_ascii_lowercase();
        if word == "/quit" {
            return requests.push(Request::Leave);
        }
        let seen = self.seen();
        let is_command = typed.starts_with('/') && !typed.starts_with("//") && word != "/me";
        let text = typed.strip_prefix('/').filter(|_| typed.starts_with("//")).unwrap_or(&typed).to_owned();
        let line = match self.conversations[seen].with {
            Some(with) if !is_command => format!("/msg {with} {text}"),
            _ => typed.clone(),
        };
        if !is_command || matches!(&*word, "/msg" | "/reply") {
            self.send(seen, line, text, requests);
        } else if self.ended.is_some() {
            self.note(format!("Not sent: {}", without_secrets(&line)), true);
        } else {
            let id = self.submit(line, requests);
            if word == "/history" {
                self.histories.push_back(id);
            }
        }
        self.conversations[seen].timeline.follow();
    }

    /// Sends a message, of which the tab shows that it is on its way.
    fn send(&mut self, conversation: usize, line: String, text: String, requests: &mut Vec<Request>) {
        let (id, state) = match self.ended {
            Some(_) => (LineId::MAX, Delivery::NotSent),
            None => (self.submit(line.clone(), requests), Delivery::Sending),
        };
        self.conversations[conversation].outgoing.push(Outgoing { id, line, text, state });
    }

    /// Asks for older messages, or for the last ones where there are none yet.
    fn load(&mut self, requests: &mut Vec<Request>) {
        self.conversations.iter_mut().for_each(|conversation| conversation.has_grown = false);
        let line = match self.oldest {
            Some(oldest) => format!("/history {PAGE} before {oldest}"),
            None => format!("/history {PAGE}"),
        };
        let id = self.submit(line, requests);
        self.histories.push_back(id);
        self.loading = Some(id);
    }

    // Tabs

    /// Opens the private tab with somebody, and goes there.
    pub fn open(&mut self, with: Name) {
        let index = self.conversation_with(Some(with));
        let tab = self.tabs.iter().position(|&it| it == index).unwrap_or_else(|| {
            self.tabs.push(index);
            self.tabs.len() - 1
        });
        self.go_to(tab);
    }

    fn go_to(&mut self, tab: usize) {
        if tab != self.active {
            let seen = self.seen();
            self.conversations[seen].leave();
        }
        self.active = tab;
        let seen = self.seen();
        self.conversations[seen].enter();
        self.wants_entry = true;
        self.has_moved = true;
    }

    fn close(&mut self, tab: usize) {
        if tab == 0 {
            return;
        }
        if tab == self.active {
            self.go_to(tab - 1);
        }
        let index = self.tabs.remove(tab);
        self.conversations[index].leave();
        if self.active > tab {
            self.active -= 1;
        }
    }
}
