//! The input field: Enter sends, Shift-Enter starts another line, Up recalls, Tab completes.

use std::collections::BTreeSet;

use chinwag::client::Client;
use chinwag::client::words::without_secrets;
use chinwag::protocol::name::Name;
use eframe::egui::text::{CCursor, CCursorRange};
use eframe::egui::{Id, Key, KeyboardShortcut, Modifiers, Role, TextEdit, Ui, WidgetInfo};

use crate::input::take_key;

/// Sent texts that can be recalled.
const RECALLED_MAX: usize = 100;

/// The text being typed, and what was sent before.
#[derive(Default)]
pub struct Entry {
    /// The text being typed.
    pub text: String,
    said: Vec<String>,
    /// Position in `said`, counted from its end; 0 while nothing is recalled.
    back: usize,
    /// The text that was being typed before the first one was recalled.
    begun: String,
}

impl Entry {
    /// Shows the field and returns the lines to send.
    pub fn show(&mut self, ui: &mut Ui, id: Id, hint: &str, online: &BTreeSet<Name>) -> Vec<String> {
        let has_focus = ui.memory(|memory| memory.has_focus(id));
        let mut sent = Vec::new();
        if has_focus {
            let pressed = |ui: &Ui, key| take_key(ui, Modifiers::NONE, key);
            if pressed(ui, Key::Enter) {
                sent = self.take();
            }
            let is_one_row = !self.text.contains('\n');
            if is_one_row && pressed(ui, Key::ArrowUp) {
                self.recall(ui, id, 1);
            }
            if is_one_row && self.back > 0 && pressed(ui, Key::ArrowDown) {
                self.recall(ui, id, -1);
            }
            // In an empty field Tab moves to the next control, as everywhere.
            if !self.text.is_empty() && pressed(ui, Key::Tab) {
                self.complete(ui, id, online);
            }
        }
        let rows = self.text.split('\n').count().clamp(1, 6);
        let keeps_tab = has_focus && !self.text.is_empty();
        let edit = TextEdit::multiline(&mut self.text)
            .id(id)
            .desired_rows(rows)
            .desired_width(f32::INFINITY)
            .hint_text(hint.to_owned())
            .lock_focus(keeps_tab)
            .return_key(KeyboardShortcut::new(Modifiers::SHIFT, Key::Enter));
        let response = ui.add(edit);
        response.widget_info(|| WidgetInfo::labeled(Role::MultilineTextInput, true, "Message"));
        if response.changed() {
            self.back = 0;
        }
        sent
    }

    fn take(&mut self) -> Vec<String> {
        let text = std::mem::take(&mut self.text);
        self.back = 0;
        let lines: Vec<String> =
            text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let has_secrets = lines.iter().any(|line| without_secrets(line) != line);
        if !lines.is_empty() && !has_secrets && self.said.last() != Some(&text) {
            self.said.push(text);
            if self.said.len() > RECALLED_MAX {
                self.said.remove(0);
            }
        }
        lines
    }

    fn recall(&mut self, ui: &Ui, id: Id, step: isize) {
        let back = self.back.saturating_add_signed(step).min(self.said.len());
        if self.back == 0 {
            self.begun = self.text.clone();
        }
        self.back = back;
        self.text = match back {
            0 => std::mem::take(&mut self.begun),
            _ => self.said[self.said.len() - back].clone(),
        };
        self.cursor_to_end(ui, id);
    }

    fn complete(&mut self, ui: &Ui, id: Id, online: &BTreeSet<Name>) {
        let start = self.text.rfind([' ', '\n']).map_or(0, |at| at + 1);
        let word = &self.text[start..];
        let starts =
            |whole: &str, part: &str| whole.get(..part.len()).is_some_and(|it| it.eq_ignore_ascii_case(part));
        let words: BTreeSet<String> = match word.strip_prefix('/').filter(|_| start == 0) {
            Some(part) => {
                Client::command_words().filter(|it| starts(it, part)).map(|it| format!("/{it}")).collect()
            }
            None => online.iter().map(Name::to_string).filter(|it| starts(it, word)).collect(),
        };
        let Some(first) = words.first() else { return };
        // The longest prefix that all candidates share.
        let common = words.iter().fold(first.len(), |length, it| {
            let same = first.bytes().zip(it.bytes()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
            length.min(same)
        });
        let mut completed = first[..common].to_owned();
        if words.len() == 1 {
            completed.push(' ');
        }
        if completed.len() >= word.len() {
            self.text.replace_range(start.., &completed);
            self.cursor_to_end(ui, id);
        }
    }

    fn cursor_to_end(&self, ui: &Ui, id: Id) {
        let mut state = TextEdit::load_state(ui.ctx(), id).unwrap_or_default();
        let end = CCursor::new(self.text.chars().count());
        state.cursor.set_char_range(Some(CCursorRange::one(end)));
        state.store(ui.ctx(), id);
    }
}
