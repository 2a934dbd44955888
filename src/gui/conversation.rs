//! What was said in one tab: messages by their time, words of the client between them, and lines on their way.

use std::collections::VecDeque;

use chinwag::client::{LineId, Message, Origin};
use chinwag::protocol::name::Name;
use chinwag::protocol::record::Timestamp;

use crate::entry::Entry;
use crate::timeline::Timeline;

/// Of a line of text, in points.
const LINE: f32 = 19.0;
/// Of a letter on the average.
const LETTER: f32 = 7.0;
/// Beside the text: the time, and what is around it.
const TIME: f32 = 60.0;

/// Something in a conversation that stays.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A message.
    Message(Message),
    /// Words between messages: who came and went, answers, errors.
    Note {
        /// It stands behind the message of this time.
        behind: Timestamp,
        /// The words.
        text: String,
        /// Whether something did not work.
        is_error: bool,
    },
}

impl Item {
    /// How high it is, about, at this width: until it is seen. Bytes stand for letters, which needs no look at them.
    pub fn height(&self, width: f32) -> f32 {
        let bytes = match self {
            Item::Message(message) => message.text.len() + message.from.as_str().len(),
            Item::Note { text, .. } => text.len(),
        };
        let lines = (bytes as f32 * LETTER / (width - TIME).max(TIME)).ceil().max(1.0);
        lines * (LINE + 2.0) + 4.0
    }

    fn place(&self) -> Timestamp {
        match self {
            Item::Message(message) => message.at,
            Item::Note { behind, .. } => *behind,
        }
    }
}

/// A line on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its number.
    pub id: LineId,
    /// As it was typed.
    pub line: String,
    /// What is shown of it: the text, where it is a message.
    pub text: String,
    /// How it stands.
    pub state: Delivery,
}

/// How a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Its receipt is awaited.
    Sending,
    /// The connection went before its receipt came.
    Unconfirmed,
    /// It was not taken.
    NotSent,
}

/// One tab's worth.
#[derive(Default)]
pub struct Conversation {
    /// Who it is with; `None` for everyone.
    pub with: Option<Name>,
    /// What was said, by time.
    pub items: VecDeque<Item>,
    /// Lines on their way, in order.
    pub outgoing: Vec<Outgoing>,
    /// Messages that nobody has looked at.
    pub unread: usize,
    /// The last message that was looked at when the tab was left; what is behind it is new.
    pub read_to: Option<Timestamp>,
    /// The last page of older messages had some for this tab.
    pub has_grown: bool,
    /// What of it is seen.
    pub timeline: Timeline,
    /// The line to be said.
    pub entry: Entry,
}

impl Conversation {
    /// An empty one.
    pub fn new(with: Option<Name>) -> Conversation {
        Conversation { with, ..Conversation::default() }
    }

    /// Its name on the tab.
    pub fn title(&self) -> String {
        self.with.map_or_else(|| "Everyone".to_owned(), |name| name.to_string())
    }

    /// Adds a message at its place, unless it is there already. `own` is the user's name: own messages are never
    /// unread, whichever session wrote them. `is_watched` says that the user is looking at the end of the conversation.
    pub fn add(&mut self, message: Message, own: &Name, is_watched: bool) {
        let at = message.at;
        let index = self.items.partition_point(|item| item.place() < at);
        if matches!(self.items.get(index), Some(Item::Message(other)) if other.at == at) {
            return;
        }
        let is_news = message.origin != Origin::Asked && message.from != *own;
        let last = index.checked_sub(1).map(|last| &self.items[last]);
        let is_missed = |item: &Item| matches!(item, Item::Message(it) if it.origin == Origin::Missed);
        let is_first_missed = message.origin == Origin::Missed && !last.is_some_and(is_missed);
        let is_first_unread = is_news && !is_watched && self.unread == 0 && self.read_to.is_none();
        if is_first_missed || is_first_unread {
            self.read_to = last.map(Item::place).or(Some(before(at)));
        }
        self.unread += usize::from(is_news && !is_watched);
        self.has_grown |= message.origin == Origin::Asked;
        self.insert(index, Item::Message(message));
    }

    /// Adds words behind all that was said.
    pub fn note(&mut self, text: String, is_error: bool) {
        let behind = self.items.back().map(Item::place).unwrap_or_default();
        let note = Item::Note { behind, text, is_error };
        self.insert(self.items.len(), note);
    }

    fn insert(&mut self, index: usize, item: Item) {
        self.timeline.insert(index, item.height(self.timeline.width()));
        self.items.insert(index, item);
    }

    /// Somebody looks at it now.
    pub fn enter(&mut self) {
        self.unread = 0;
    }

    /// Nobody looks at it any more.
    pub fn leave(&mut self) {
        self.unread = 0;
        self.read_to = self.newest();
    }

    /// The time of the last message.
    pub fn newest(&self) -> Option<Timestamp> {
        self.items.iter().rev().find_map(as_message).map(|message| message.at)
    }
}

/// A moment earlier.
fn before(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.micros().saturating_sub(1))
}

fn as_message(item: &Item) -> Option<&Message> {
    match item {
        Item::Message(message) => Some(message),
        Item::Note { .. } => None,
    }
}
