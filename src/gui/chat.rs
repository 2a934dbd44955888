//! The second screen: tabs, who is here, what was said, and the line to be said.

use std::collections::BTreeSet;

use chinwag::client::link::Update;
use chinwag::client::{Event, LineId, Message, Origin};
use chinwag::name::Name;
use chinwag::record::Timestamp;
use eframe::egui::{
    Align, Button, CentralPanel, Color32, CursorIcon, Frame, Id, Key, Layout, Modifiers, Panel, RichText,
    Role, ScrollArea, Sense, ThemePreference, Ui, WidgetInfo, vec2,
};
use jiff::tz::TimeZone;

use crate::app::Request;
use crate::conversation::{Conversation, Delivery, Item, Outgoing};
use crate::message;
use crate::timeline::Seen;

/// Messages that are asked for at once, when one comes in and when one scrolls up.
const PAGE: usize = 200;
/// Below this width who is here gives way to what is said.
const NARROW: f32 = 560.0;

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
    /// Whether the window is in front.
    pub has_focus: bool,
    /// The first one is everyone's; the others are private.
    conversations: Vec<Conversation>,
    /// Those that have a tab, in order.
    tabs: Vec<usize>,
    /// The place among the tabs of the one that is seen.
    active: usize,
    online: BTreeSet<Name>,
    next_id: LineId,
    lost: Option<Lost>,
    /// Why the connection will not come back.
    ended: Option<String>,
    /// A page of older messages is awaited; how many have come.
    loading: Option<usize>,
    /// The first message of those that were loaded without a gap.
    oldest: Option<Timestamp>,
    has_all: bool,
    wants_entry: bool,
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
            oldest: None,
            has_all: false,
            wants_entry: true,
        };
        chat.load(requests);
        chat
    }

    /// Private messages that nobody has looked at.
    pub fn unread_private(&self) -> usize {
        self.conversations[1..].iter().map(|conversation| conversation.unread).sum()
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
                self.loading = None;
                self.lost = Some(Lost { why, pause_s: pause.as_secs_f64(), since_s: None });
            }
            Update::Ended(end) => {
                self.lost = None;
                self.ended = Some(end.why.unwrap_or_else(|| "goodbye".into()));
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
            Event::Joined(names, others) => self.presence(&names, others, "came in"),
            Event::Left(names, others) => self.presence(&names, others, "went"),
            Event::Users(names) => {
                let names: Vec<_> = names.iter().map(Name::as_str).collect();
                self.note(format!("{} online: {}", names.len(), names.join(", ")), false);
            }
            Event::EndOfHistory => {
                self.has_all |= self.loading == Some(0);
                self.loading = None;
            }
            Event::Notice(text) => self.note(text, false),
            Event::Refused { id, line, refusal } => {
                let conversation = self.take_outgoing(id).map_or(self.seen(), |(index, _)| index);
                self.conversations[conversation].note(format!("{} ({line})", refusal.words), true);
            }
            Event::Unconfirmed { id, .. } => self.set_delivery(id, Delivery::Unconfirmed),
            Event::NotSent { id, line } => {
                if self.has_outgoing(id) {
                    self.set_delivery(id, Delivery::NotSent);
                } else if self.loading.is_none() {
                    self.note(format!("Not sent: {line}"), true);
                }
            }
            Event::Error(refusal) => self.note(refusal.words, true),
            Event::LoginFailed(refusal) => self.note(format!("Not let in again: {}", refusal.words), true),
            Event::NotChinwag(_) | Event::IgnoredChanged | Event::Online | Event::Bye => {}
        }
    }

    fn message(&mut self, message: Message, requests: &mut Vec<Request>) {
        if message.origin == Origin::Asked {
            self.loading = self.loading.map(|count| count + 1);
        }
        if self.loading.is_some() {
            self.oldest = Some(self.oldest.map_or(message.at, |oldest| oldest.min(message.at)));
        }
        if let Some(id) = message.receipt {
            self.take_outgoing(id);
        }
        let with = message.to.map(|to| if message.from == self.own { to } else { message.from });
        let index = self.conversation_with(with);
        let is_new = message.origin != Origin::Asked;
        if is_new && !self.tabs.contains(&index) {
            self.tabs.push(index);
        }
        if is_new && with.is_some() && message.from != self.own && !self.has_focus {
            let body = message.text.clone();
            requests.push(Request::Notify { title: format!("{} writes you", message.from), body });
        }
        let is_watched =
            self.has_focus && index == self.seen() && self.conversations[index].timeline.follows();
        self.conversations[index].add(message, is_watched);
    }

    fn presence(&mut self, names: &[Name], others: u32, verb: &str) {
        let mut words: Vec<String> = names.iter().map(Name::to_string).collect();
        if others > 0 {
            words.push(format!("{others} others"));
        }
        let who = match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => words.concat(),
        };
        self.conversations[0].note(format!("{who} {verb}"), false);
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

    fn has_outgoing(&self, id: LineId) -> bool {
        self.conversations.iter().any(|conversation| conversation.outgoing.iter().any(|it| it.id == id))
    }

    fn set_delivery(&mut self, id: LineId, state: Delivery) {
        let mut outgoing = self.conversations.iter_mut().flat_map(|conversation| &mut conversation.outgoing);
        if let Some(outgoing) = outgoing.find(|it| it.id == id) {
            outgoing.state = state;
        }
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
            return requests.push(Request::SignOut);
        }
        let seen = self.seen();
        let is_command = typed.starts_with('/') && !typed.starts_with("//") && word != "/me";
        let text = typed.strip_prefix('/').filter(|_| typed.starts_with("//")).unwrap_or(&typed).to_owned();
        let line = match self.conversations[seen].with {
            Some(with) if !is_command => format!("/msg {with} {text}"),
            _ => typed.clone(),
        };
        let id = self.submit(line.clone(), requests);
        if !is_command || matches!(&*word, "/msg" | "/reply") {
            let outgoing = Outgoing { id, line, text, state: Delivery::Sending };
            self.conversations[seen].outgoing.push(outgoing);
        }
        self.conversations[seen].timeline.follow();
    }

    /// Asks for older messages, or for the last ones where there are none yet.
    fn load(&mut self, requests: &mut Vec<Request>) {
        self.loading = Some(0);
        let line = match self.oldest {
            Some(oldest) => format!("/history {PAGE} before {oldest}"),
            None => format!("/history {PAGE}"),
        };
        self.submit(line, requests);
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

    // What is seen

    /// Shows all of it.
    pub fn show(&mut self, ui: &mut Ui, requests: &mut Vec<Request>) {
        self.focus(ui);
        self.shortcuts(ui);
        Panel::top("tabs")
            .frame(Frame::side_top_panel(ui.style()))
            .show(ui, |ui| self.show_tabs(ui, requests));
        self.show_bar(ui, requests);
        if ui.available_width() >= NARROW {
            Panel::right("online").default_size(170.0).show(ui, |ui| self.show_online(ui));
        }
        Panel::bottom("entry").show(ui, |ui| self.show_entry(ui, requests));
        CentralPanel::default().show(ui, |ui| self.show_timeline(ui, requests));
    }

    fn focus(&mut self, ui: &Ui) {
        let has_focus = ui.input(|input| input.focused);
        let seen = self.seen();
        if has_focus && !self.has_focus && self.conversations[seen].timeline.follows() {
            self.conversations[seen].enter();
        } else if !has_focus && self.has_focus {
            self.conversations[seen].leave();
        }
        self.has_focus = has_focus;
    }

    fn shortcuts(&mut self, ui: &Ui) {
        let pressed = |modifiers, key| ui.input_mut(|input| input.consume_key(modifiers, key));
        let count = self.tabs.len();
        if pressed(Modifiers::CTRL | Modifiers::SHIFT, Key::Tab) || pressed(Modifiers::CTRL, Key::PageUp) {
            self.go_to((self.active + count - 1) % count);
        } else if pressed(Modifiers::CTRL, Key::Tab) || pressed(Modifiers::CTRL, Key::PageDown) {
            self.go_to((self.active + 1) % count);
        } else if pressed(Modifiers::CTRL, Key::W) {
            self.close(self.active);
        }
    }

    fn show_tabs(&mut self, ui: &mut Ui, requests: &mut Vec<Request>) {
        let (mut chosen, mut closed) = (None, None);
        ui.horizontal(|ui| {
            let menu_width = 190.0;
            let tabs_width = (ui.available_width() - menu_width).max(80.0);
            ui.allocate_ui(vec2(tabs_width, 28.0), |ui| {
                ScrollArea::horizontal().auto_shrink([false, true]).show(ui, |ui| {
                    ui.horizontal(|ui| {
                        for (tab, &index) in self.tabs.iter().enumerate() {
                            let conversation = &self.conversations[index];
                            let title = match conversation.unread {
                                0 => RichText::new(conversation.title()),
                                unread => {
                                    RichText::new(format!("{} ({unread})", conversation.title())).strong()
                                }
                            };
                            if ui.selectable_label(tab == self.active, title).clicked() {
                                chosen = Some(tab);
                            }
                            if let Some(with) = conversation.with {
                                let close = ui.add(Button::new("×").small().frame(false));
                                let name = format!("Close the conversation with {with}");
                                close.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
                                if close.on_hover_text(name.clone()).clicked() {
                                    closed = Some(tab);
                                }
                            }
                        }
                    });
                });
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if ui.button("Sign out").clicked() {
                    requests.push(Request::SignOut);
                }
                show_theme(ui);
            });
        });
        if let Some(tab) = chosen {
            self.go_to(tab);
        }
        if let Some(tab) = closed {
            self.close(tab);
        }
    }

    /// What is wrong with the connection, if anything.
    fn show_bar(&mut self, ui: &mut Ui, requests: &mut Vec<Request>) {
        let words = if let Some(lost) = &mut self.lost {
            let now_s = ui.input(|input| input.time);
            let since_s = *lost.since_s.get_or_insert(now_s);
            let left_s = (since_s + lost.pause_s - now_s).ceil().max(0.0);
            if left_s > 0.0 {
                ui.ctx().request_repaint_after_secs(0.25);
                format!("The connection is lost ({}). Trying again in {left_s:.0} s.", lost.why)
            } else {
                format!("The connection is lost ({}). Trying again…", lost.why)
            }
        } else if let Some(why) = &self.ended {
            format!("The connection has ended: {why}.")
        } else {
            return;
        };
        let fill = if ui.visuals().dark_mode {
            Color32::from_rgb(92, 48, 24)
        } else {
            Color32::from_rgb(255, 226, 196)
        };
        let frame = Frame::side_top_panel(ui.style()).fill(fill);
        let is_over = self.ended.is_some();
        Panel::top("connection").frame(frame).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.label(words);
                if is_over && ui.button("Sign in again").clicked() {
                    requests.push(Request::SignOut);
                }
            });
        });
    }

    fn show_online(&mut self, ui: &mut Ui) {
        ui.add_space(6.0);
        ui.label(RichText::new(format!("Here: {}", self.online.len())).strong());
        ui.add_space(4.0);
        let names: Vec<Name> = self.online.iter().copied().collect();
        let mut opened = None;
        ScrollArea::vertical().auto_shrink(false).show_rows(ui, 22.0, names.len(), |ui, rows| {
            for name in &names[rows] {
                let colour = message::colour(name, ui.visuals().dark_mode);
                let is_own = *name == self.own;
                let text = if is_own { format!("{name} (you)") } else { name.to_string() };
                let button =
                    Button::new(RichText::new(text).color(colour)).frame(false).min_size(vec2(0.0, 22.0));
                let response = ui.add_enabled(!is_own, button);
                response.widget_info(|| {
                    WidgetInfo::labeled(Role::Button, !is_own, format!("Write {name} in private"))
                });
                if response.on_hover_cursor(CursorIcon::PointingHand).clicked() {
                    opened = Some(*name);
                }
            }
        });
        if let Some(name) = opened {
            self.open(name);
        }
    }

    fn show_entry(&mut self, ui: &mut Ui, requests: &mut Vec<Request>) {
        let seen = self.seen();
        ui.add_space(4.0);
        let conversation = &mut self.conversations[seen];
        if !conversation.timeline.follows() {
            let words = match conversation.unread {
                0 => "Go to the newest".to_owned(),
                unread => format!("Go to the newest ({unread} new)"),
            };
            if ui.button(words).clicked() {
                conversation.timeline.follow();
                conversation.enter();
            }
        }
        let hint = match conversation.with {
            Some(with) => format!("Write {with} in private"),
            None => "Write everyone; Enter sends, / begins a command".to_owned(),
        };
        let id = Id::unique(("entry", seen));
        // Not with the click that brought it about: one elsewhere takes the focus away.
        if self.wants_entry && ui.input(|input| input.pointer.any_click()) {
            ui.ctx().request_repaint();
        } else if std::mem::take(&mut self.wants_entry) {
            ui.memory_mut(|memory| memory.request_focus(id));
        }
        for line in conversation.entry.show(ui, id, &hint, &self.online) {
            self.say(line, requests);
        }
        ui.add_space(4.0);
    }

    fn show_timeline(&mut self, ui: &mut Ui, requests: &mut Vec<Request>) {
        let seen_index = self.seen();
        let is_loading = self.loading.is_some();
        let conversation = &mut self.conversations[seen_index];
        let outgoing_height = show_outgoing_height(conversation.outgoing.len());
        let room = (ui.available_height() - outgoing_height).max(40.0);
        let (own, zone) = (self.own, self.zone.clone());
        let items = &conversation.items;
        let read_to = conversation.read_to;
        let mut seen = Seen { end: true, beginning: false };
        ui.allocate_ui(vec2(ui.available_width(), room), |ui| {
            if is_loading && items.is_empty() {
                ui.weak("Loading…");
            }
            seen = conversation.timeline.show(
                ui,
                ("timeline", seen_index),
                |index, width| estimate(&items[index], width),
                |ui, index| show_item(ui, items, index, &own, &zone, read_to),
            );
        });
        if seen.end && self.has_focus && conversation.unread > 0 {
            conversation.enter();
        }
        let mut again = Vec::new();
        conversation.outgoing.retain(|outgoing| show_outgoing(ui, outgoing, &mut again));
        for line in again {
            let text = text_of(&line);
            let id = self.submit(line.clone(), requests);
            let outgoing = Outgoing { id, line, text, state: Delivery::Sending };
            self.conversations[seen_index].outgoing.push(outgoing);
        }
        let can_load = self.loading.is_none() && !self.has_all && self.lost.is_none() && self.ended.is_none();
        if seen.beginning && can_load {
            self.load(requests);
        }
    }
}

/// The switch between light, dark, and as the system has it.
fn show_theme(ui: &mut Ui) {
    let preference = ui.ctx().options(|options| options.theme_preference);
    let (words, next) = match preference {
        ThemePreference::System => ("Theme: system", ThemePreference::Light),
        ThemePreference::Light => ("Theme: light", ThemePreference::Dark),
        ThemePreference::Dark => ("Theme: dark", ThemePreference::System),
    };
    let is_wanted = ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::F2));
    if ui.add(Button::new(words).frame(false)).on_hover_text("F2").clicked() || is_wanted {
        ui.ctx().set_theme(next);
    }
}

/// What is shown of a line that is sent once more.
fn text_of(line: &str) -> String {
    line.strip_prefix("/msg ").and_then(|it| it.split_once(' ')).map_or(line, |(_, text)| text).to_owned()
}

fn show_outgoing_height(count: usize) -> f32 {
    24.0 * count.min(6) as f32
}

/// A line on its way; whether it stays.
fn show_outgoing(ui: &mut Ui, outgoing: &Outgoing, again: &mut Vec<String>) -> bool {
    let mut stays = true;
    ui.horizontal(|ui| {
        let text = RichText::new(&outgoing.text).weak();
        match outgoing.state {
            Delivery::Sending => {
                ui.label(text);
            }
            Delivery::Unconfirmed => {
                ui.label(text);
                ui.weak("· not confirmed yet");
            }
            Delivery::NotSent => {
                ui.label(text);
                ui.colored_label(ui.visuals().error_fg_color, "· not sent");
                if ui.small_button("Send again").clicked() {
                    again.push(outgoing.line.clone());
                    stays = false;
                }
                if ui.small_button("Discard").clicked() {
                    stays = false;
                }
            }
        }
    });
    stays
}

/// A height for what was not seen yet, in points.
fn estimate(item: &Item, width: f32) -> f32 {
    const CHARACTER: f32 = 7.0;
    const ROW: f32 = 18.0;
    let characters = match item {
        Item::Message(message) => message.text.chars().count() + message.from.as_str().len() + 8,
        Item::Note { text, .. } => text.chars().count(),
    };
    let rows = (characters as f32 * CHARACTER / width.max(50.0)).ceil().max(1.0);
    rows * ROW + 4.0
}

fn show_item(
    ui: &mut Ui,
    items: &[Item],
    index: usize,
    own: &Name,
    zone: &TimeZone,
    read_to: Option<Timestamp>,
) {
    let item = &items[index];
    let earlier = items[..index].iter().rev().find_map(|item| match item {
        Item::Message(message) => Some(message.at),
        Item::Note { .. } => None,
    });
    match item {
        Item::Message(message) => {
            let moment = message::moment(message.at, zone);
            if earlier.is_none_or(|at| message::moment(at, zone).date != moment.date) {
                rule(ui, &moment.day, ui.visuals().weak_text_color());
            }
            let is_first_new = read_to.is_some_and(|to| message.at > to && earlier.is_none_or(|at| at <= to));
            if is_first_new && index > 0 {
                rule(ui, "new since you were here", ui.visuals().warn_fg_color);
            }
            ui.push_id(message.at, |ui| message::show(ui, message, &moment.time, Some(own)));
        }
        Item::Note { text, is_error, .. } => {
            let colour = if *is_error { ui.visuals().error_fg_color } else { ui.visuals().weak_text_color() };
            ui.push_id(index, |ui| {
                ui.horizontal_wrapped(|ui| ui.label(RichText::new(text).color(colour)));
            });
        }
    }
    ui.add_space(2.0);
}

/// A line across with words in its middle.
fn rule(ui: &mut Ui, words: &str, colour: Color32) {
    ui.add_space(4.0);
    ui.vertical_centered(|ui| ui.label(RichText::new(format!("— {words} —")).color(colour).small()));
    let (_, _) = ui.allocate_exact_size(vec2(1.0, 2.0), Sense::hover());
}
