//! The second screen: tabs, who is here, what was said, and the line to be said.

use std::collections::VecDeque;

use chinwag::protocol::name::Name;
use chinwag::protocol::record::Timestamp;
use eframe::egui::{
    Align, Button, CentralPanel, Color32, CursorIcon, Event, Frame, Id, ImeEvent, Key, Label, Layout, Margin,
    Modifiers, Panel, RichText, Role, ScrollArea, ThemePreference, Ui, WidgetInfo, vec2,
};
use jiff::tz::TimeZone;

use super::Chat;
use crate::bidi::is_mixed;
use crate::conversation::{Delivery, Item, Outgoing};
use crate::input::take_key;
use crate::message;
use crate::request::Request;
use crate::timeline::Seen;

/// Below this width who is here stands behind a button, so that what is said has its room.
const NARROW: f32 = 560.0;
/// How high a tab is, and each of those who are here.
const ROW: f32 = 26.0;
/// What the controls at the right of the tabs take, in a wide window.
const CONTROLS: f32 = 190.0;
/// Lines on their way that are seen at once.
const OUTGOING_MAX: usize = 4;

impl Chat {
    /// Shows all of it.
    pub fn show(&mut self, ui: &mut Ui, requests: &mut Vec<Request>) {
        self.shortcuts(ui);
        self.direct_typing(ui);
        let is_wide = ui.available_width() >= NARROW;
        let bar = Frame::side_top_panel(ui.style()).inner_margin(Margin::symmetric(8, 4));
        Panel::top("tabs").frame(bar).show(ui, |ui| self.show_top(ui, is_wide, requests));
        self.show_connection(ui, requests);
        if is_wide {
            Panel::right("online").default_size(170.0).show(ui, |ui| {
                ui.add_space(6.0);
                ui.label(RichText::new(format!("Here: {}", self.online.len())).strong());
                ui.add_space(2.0);
                self.show_online(ui);
            });
        }
        Panel::bottom("entry").show(ui, |ui| self.show_entry(ui, requests));
        CentralPanel::default().show(ui, |ui| self.show_timeline(ui, requests));
    }

    fn shortcuts(&mut self, ui: &Ui) {
        let pressed = |modifiers, key| take_key(ui, modifiers, key);
        let count = self.tabs.len();
        if pressed(Modifiers::CTRL | Modifiers::SHIFT, Key::Tab) || pressed(Modifiers::CTRL, Key::PageUp) {
            self.go_to((self.active + count - 1) % count);
        } else if pressed(Modifiers::CTRL, Key::Tab) || pressed(Modifiers::CTRL, Key::PageDown) {
            self.go_to((self.active + 1) % count);
        } else if pressed(Modifiers::CTRL, Key::W) {
            self.close(self.active);
        }
        let seen = self.seen();
        let timeline = &mut self.conversations[seen].timeline;
        if pressed(Modifiers::NONE, Key::PageUp) {
            timeline.scroll(-1.0);
        } else if pressed(Modifiers::NONE, Key::PageDown) {
            timeline.scroll(1.0);
        } else if pressed(Modifiers::CTRL, Key::End) {
            timeline.follow();
        }
    }

    /// Moves the focus to the entry if there is text to type in this frame and no other field has the focus.
    fn direct_typing(&mut self, ui: &Ui) {
        let entry = self.entry_id();
        let focused = ui.memory(|memory| memory.focused());
        if focused == Some(entry) || ui.ctx().text_edit_focused() {
            return;
        }
        let is_typed = |event: &Event| match event {
            // Spaces alone press the control that has the focus.
            Event::Text(_) => focused.is_none() || !is_blank(event),
            Event::Paste(_) => true,
            Event::Ime(ime) => matches!(ime, ImeEvent::Preedit { .. } | ImeEvent::Commit(_)),
            Event::Key { key: Key::Enter | Key::Backspace, pressed: true, modifiers, .. } => {
                focused.is_none() && modifiers.is_none()
            }
            _ => false,
        };
        if ui.input(|input| input.events.iter().any(is_typed)) {
            ui.memory_mut(|memory| memory.request_focus(entry));
        } else if focused.is_some() {
            // The control may move the focus to the entry, which must not get the space then.
            ui.input_mut(|input| input.events.retain(|event| !is_blank(event)));
        }
    }

    fn entry_id(&self) -> Id {
        Id::unique(("entry", self.seen()))
    }

    // Above

    fn show_top(&mut self, ui: &mut Ui, is_wide: bool, requests: &mut Vec<Request>) {
        if is_wide {
            ui.horizontal(|ui| {
                let size = vec2(ui.available_width() - CONTROLS, ROW);
                ui.allocate_ui(size, |ui| self.show_tabs(ui));
                self.show_controls(ui, requests);
            });
        } else {
            // First what one reads and then what one rarely needs, each in a row of its own.
            self.show_tabs(ui);
            ui.horizontal(|ui| {
                let words = format!("Here: {}", self.online.len());
                ui.menu_button(words, |ui| {
                    ui.set_min_width(150.0);
                    ui.set_max_height(300.0);
                    self.show_online(ui);
                });
                self.show_controls(ui, requests);
            });
        }
    }

    fn show_controls(&mut self, ui: &mut Ui, requests: &mut Vec<Request>) {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if ui.button("Sign out").clicked() {
                requests.push(Request::SignOut);
            }
            show_theme(ui);
        });
    }

    fn show_tabs(&mut self, ui: &mut Ui) {
        let (mut chosen, mut closed) = (None, None);
        ScrollArea::horizontal().auto_shrink([false, true]).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 2.0;
                for (tab, &index) in self.tabs.iter().enumerate() {
                    let conversation = &self.conversations[index];
                    let title = match conversation.unread {
                        0 => RichText::new(conversation.title()),
                        unread => RichText::new(format!("{} ({unread})", conversation.title())).strong(),
                    };
                    let is_active = tab == self.active;
                    let button = Button::selectable(is_active, title).min_size(vec2(0.0, ROW));
                    let button = ui.add(button);
                    if is_active && self.has_moved {
                        button.scroll_to_me(None);
                    }
                    if button.clicked() {
                        chosen = Some(tab);
                    }
                    if let Some(with) = conversation.with {
                        let close = ui.add(Button::new("×").frame(false).min_size(vec2(18.0, ROW)));
                        let name = format!("Close the conversation with {with}");
                        close.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
                        if close.on_hover_text(name).clicked() {
                            closed = Some(tab);
                        }
                        ui.add_space(6.0);
                    }
                }
            });
        });
        self.has_moved = false;
        if let Some(tab) = chosen {
            self.go_to(tab);
        }
        if let Some(tab) = closed {
            self.close(tab);
        }
    }

    /// What is wrong with the connection, if anything.
    fn show_connection(&mut self, ui: &mut Ui, requests: &mut Vec<Request>) {
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
            ui.horizontal_wrapped(|ui| {
                ui.label(words);
                if is_over && ui.button("Sign in again").clicked() {
                    requests.push(Request::Leave);
                }
            });
        });
    }

    // At the side

    fn show_online(&mut self, ui: &mut Ui) {
        let names: Vec<Name> = self.online.iter().copied().collect();
        let mut opened = None;
        ScrollArea::vertical().auto_shrink(false).show_rows(ui, ROW, names.len(), |ui, rows| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for name in &names[rows] {
                let colour = message::colour(name, ui.visuals().dark_mode);
                let text = RichText::new(name.as_str()).color(colour);
                if *name == self.own {
                    ui.horizontal(|ui| {
                        ui.set_height(ROW);
                        ui.label(text);
                        ui.weak("(you)");
                    });
                    continue;
                }
                let response = ui.add(Button::new(text).frame(false).min_size(vec2(0.0, ROW)));
                response.widget_info(|| {
                    WidgetInfo::labeled(Role::Button, true, format!("Write {name} in private"))
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

    // Below

    fn show_entry(&mut self, ui: &mut Ui, requests: &mut Vec<Request>) {
        let (seen, id) = (self.seen(), self.entry_id());
        ui.add_space(6.0);
        let conversation = &mut self.conversations[seen];
        if !conversation.timeline.follows() {
            let words = match conversation.unread {
                0 => "Go to the newest".to_owned(),
                unread => format!("Go to the newest ({unread} new)"),
            };
            if ui.button(words).on_hover_text("Ctrl-End").clicked() {
                conversation.timeline.follow();
                conversation.enter();
            }
        }
        let hint = match conversation.with {
            Some(with) => format!("Write {with} in private"),
            None => "Write everyone; Enter sends, / begins a command".to_owned(),
        };
        // Not with the click that brought it about: one elsewhere takes the focus away.
        if self.wants_entry && ui.input(|input| input.pointer.any_click()) {
            ui.ctx().request_repaint();
        } else if std::mem::take(&mut self.wants_entry) {
            ui.memory_mut(|memory| memory.request_focus(id));
        }
        for line in conversation.entry.show(ui, id, &hint, &self.online) {
            self.say(line, requests);
        }
        ui.add_space(6.0);
    }

    // In the middle

    fn show_timeline(&mut self, ui: &mut Ui, requests: &mut Vec<Request>) {
        let seen_index = self.seen();
        let can_load = self.loading.is_none() && !self.has_all && self.lost.is_none() && self.ended.is_none();
        let before = if self.has_all {
            Before::Nothing
        } else if self.loading.is_some() {
            Before::Awaited
        } else {
            Before::More { is_enabled: can_load }
        };
        let conversation = &mut self.conversations[seen_index];
        let outgoing_height = ROW * conversation.outgoing.len().min(OUTGOING_MAX) as f32;
        let room = (ui.available_height() - outgoing_height).max(40.0);
        let (own, zone) = (self.own, &self.zone);
        let items = &conversation.items;
        let read_to = conversation.read_to;
        let mut seen = Seen { end: true, beginning: false };
        let mut wants_older = false;
        ui.allocate_ui(vec2(ui.available_width(), room), |ui| {
            seen = conversation.timeline.show(
                ui,
                ("timeline", seen_index),
                |index, width| items[index].height(width),
                |ui, index| match index {
                    Some(index) => show_item(ui, items, index, &own, zone, read_to),
                    None => wants_older |= show_before(ui, &before),
                },
            );
        });
        if seen.end && self.has_focus && conversation.unread > 0 {
            conversation.enter();
        }
        // A tab to which the last page had nothing to add goes further back only if that is asked for: it may be
        // the whole history.
        wants_older |= seen.beginning && !seen.end && conversation.has_grown;
        self.show_outgoing(ui, requests);
        if wants_older && can_load {
            self.load(requests);
        }
    }

    fn show_outgoing(&mut self, ui: &mut Ui, requests: &mut Vec<Request>) {
        let seen = self.seen();
        let outgoing = &self.conversations[seen].outgoing;
        let mut choice = None;
        let area = ScrollArea::vertical().id_salt("outgoing").stick_to_bottom(true);
        ui.spacing_mut().item_spacing.y = 0.0;
        area.show_rows(ui, ROW, outgoing.len(), |ui, rows| {
            for index in rows {
                choice = show_one_outgoing(ui, &outgoing[index]).map(|it| (index, it)).or(choice.take());
            }
        });
        let Some((index, choice)) = choice else { return };
        // The click took the focus away from the entry.
        self.wants_entry = true;
        let Outgoing { line, text, .. } = self.conversations[seen].outgoing.remove(index);
        match choice {
            Choice::SendAgain => self.send(seen, line, text, requests),
            Choice::Discard => {}
        }
    }
}

/// Whether an event is text that consists of spaces.
fn is_blank(event: &Event) -> bool {
    matches!(event, Event::Text(text) if text.chars().all(|it| it == ' '))
}

/// The switch between light, dark, and as the system has it.
fn show_theme(ui: &mut Ui) {
    let preference = ui.ctx().options(|options| options.theme_preference);
    let (words, next) = match preference {
        ThemePreference::System => ("Theme: system", ThemePreference::Light),
        ThemePreference::Light => ("Theme: light", ThemePreference::Dark),
        ThemePreference::Dark => ("Theme: dark", ThemePreference::System),
    };
    let is_wanted = take_key(ui, Modifiers::NONE, Key::F2);
    if ui.add(Button::new(words).frame(false)).on_hover_text("F2").clicked() || is_wanted {
        ui.ctx().set_theme(next);
    }
}

/// What there is before the first message that is shown.
enum Before {
    Nothing,
    Awaited,
    More { is_enabled: bool },
}

/// Says what there is before; whether it is asked for.
fn show_before(ui: &mut Ui, before: &Before) -> bool {
    ui.vertical_centered(|ui| match before {
        Before::Nothing => {
            ui.weak("This is the beginning.");
            false
        }
        Before::Awaited => {
            ui.weak("Loading…");
            false
        }
        Before::More { is_enabled } => ui.add_enabled(*is_enabled, Button::new("Show older ones")).clicked(),
    })
    .inner
}

/// What the user decides about a line that was not sent.
enum Choice {
    SendAgain,
    Discard,
}

fn show_one_outgoing(ui: &mut Ui, outgoing: &Outgoing) -> Option<Choice> {
    let row = ui.horizontal(|ui| {
        ui.set_height(ROW);
        let mut choice = None;
        // The buttons come first: the text may be longer than the window is wide.
        if outgoing.state == Delivery::NotSent {
            ui.colored_label(ui.visuals().error_fg_color, "not sent");
            if ui.small_button("Send again").clicked() {
                choice = Some(Choice::SendAgain);
            }
            if ui.small_button("Discard").clicked() {
                choice = Some(Choice::Discard);
            }
        } else if outgoing.state == Delivery::Unconfirmed {
            ui.weak("not confirmed yet");
        }
        if is_mixed(&outgoing.text) {
            let colour = ui.visuals().weak_text_color();
            message::mixed_text(ui, &outgoing.text, None, colour, 1);
        } else {
            ui.add(Label::new(RichText::new(&outgoing.text).weak()).truncate());
        }
        choice
    });
    row.inner
}

fn show_item(
    ui: &mut Ui,
    items: &VecDeque<Item>,
    index: usize,
    own: &Name,
    zone: &TimeZone,
    read_to: Option<Timestamp>,
) {
    ui.spacing_mut().item_spacing.y = 2.0;
    let item = &items[index];
    let earlier = items.range(..index).rev().find_map(|item| match item {
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
                ui.horizontal_wrapped(|ui| match is_mixed(text) {
                    true => message::mixed_text(ui, text, None, colour, usize::MAX),
                    false => drop(ui.label(RichText::new(text).color(colour))),
                });
            });
        }
    }
    ui.add_space(2.0);
}

/// A line across with words in its middle.
fn rule(ui: &mut Ui, words: &str, colour: Color32) {
    ui.add_space(8.0);
    ui.horizontal(|ui| {
        let text = RichText::new(words).color(colour).small();
        let galley = ui.fonts_mut(|fonts| {
            let font = eframe::egui::TextStyle::Small.resolve(ui.style());
            fonts.layout_no_wrap(words.to_owned(), font, colour).size().x
        });
        let side = ((ui.available_width() - galley) / 2.0 - 16.0).max(0.0);
        let stroke = ui.visuals().widgets.noninteractive.bg_stroke;
        let line = |ui: &mut Ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(side, 12.0), eframe::egui::Sense::hover());
            ui.painter().hline(rect.x_range(), rect.center().y, stroke);
        };
        line(ui);
        ui.label(text);
        line(ui);
    });
    ui.add_space(4.0);
}
