//! The first screen: which server, which name, which password; and what was wrong with them, beside each.

use chinwag::client::{Credentials, Refusal};
use chinwag::name::Name;
use chinwag::protocol::is_password;
use eframe::egui::{
    Align, Button, Id, Key, Layout, Modifiers, RichText, Role, ScrollArea, TextEdit, Ui, WidgetInfo, vec2,
};

use crate::input::has_key;

/// Of the fields, in points.
const WIDTH: f32 = 340.0;
/// Of all of it, about.
const HEIGHT: f32 = 400.0;

/// A field, so that what is wrong can stand beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Host and port.
    Server,
    /// The account.
    Name,
    /// Its password.
    Password,
}

/// What is typed so far.
pub struct SignIn {
    /// Host and port.
    pub server: String,
    /// The account.
    pub name: String,
    password: String,
    again: String,
    /// The account is to be made.
    pub registers: bool,
    /// An answer is awaited.
    pub is_waiting: bool,
    /// The first field that is empty is to be typed in.
    wants_focus: bool,
    /// What was wrong, and with what.
    pub problem: Option<(Field, String)>,
}

impl SignIn {
    /// With these filled in.
    pub fn new(server: String, name: String) -> SignIn {
        SignIn {
            server,
            name,
            password: String::new(),
            again: String::new(),
            registers: false,
            is_waiting: false,
            wants_focus: true,
            problem: None,
        }
    }

    /// The server said no.
    pub fn refused(&mut self, refusal: &Refusal) {
        let field = match refusal.code.as_str() {
            "bad-name" | "name-taken" => Field::Name,
            "bad-login" | "bad-password" => Field::Password,
            _ => Field::Server,
        };
        self.failed(field, sentence(&refusal.words));
    }

    /// Something was wrong.
    pub fn failed(&mut self, field: Field, words: String) {
        self.is_waiting = false;
        self.problem = Some((field, words));
    }

    /// Nothing of a password is kept longer than it is needed.
    pub fn forget_password(&mut self) {
        self.wants_focus = true;
        self.password.clear();
        self.again.clear();
    }

    /// Shows it; returns what to connect to, once that is asked for.
    pub fn show(&mut self, ui: &mut Ui) -> Option<(String, Credentials)> {
        if std::mem::take(&mut self.wants_focus) {
            let first = if self.name.is_empty() { "Name" } else { "Password" };
            ui.memory_mut(|memory| memory.request_focus(id_of(first)));
        }
        let space = ((ui.available_height() - HEIGHT) / 2.0).max(8.0);
        let area = ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.add_space(space);
            ui.vertical_centered(|ui| {
                ui.set_max_width(WIDTH.min(ui.available_width() - 24.0));
                ui.with_layout(Layout::top_down(Align::Min), |ui| self.show_fields(ui)).inner
            })
        });
        let is_wanted = area.inner.inner;
        (is_wanted && !self.is_waiting).then(|| self.take()).flatten()
    }

    /// Whether what was typed is to be used.
    fn show_fields(&mut self, ui: &mut Ui) -> bool {
        let mut wanted = false;
        ui.label(RichText::new("chinwag").size(28.0).strong());
        ui.add_space(10.0);
        ui.horizontal(|ui| {
            ui.selectable_value(&mut self.registers, false, "Log in");
            ui.selectable_value(&mut self.registers, true, "Register");
        });
        ui.add_space(6.0);
        let problem = self.problem.clone();
        let with = |field| problem.as_ref().filter(|(of, _)| *of == field).map(|(_, words)| words.as_str());
        wanted |= field(ui, "Server", &mut self.server, false, with(Field::Server));
        wanted |= field(ui, "Name", &mut self.name, false, with(Field::Name));
        wanted |= field(ui, "Password", &mut self.password, true, with(Field::Password));
        if self.registers {
            wanted |= field(ui, "Password again", &mut self.again, true, None);
        }
        ui.add_space(10.0);
        let words = match (self.is_waiting, self.registers) {
            (true, _) => "Waiting for the server…",
            (false, true) => "Register",
            (false, false) => "Log in",
        };
        let button = Button::new(RichText::new(words).strong()).min_size(vec2(ui.available_width(), 32.0));
        // Another name than the choice above, for who cannot see which is which.
        let button = ui.vertical_centered_justified(|ui| ui.add_enabled(!self.is_waiting, button)).inner;
        button.widget_info(|| WidgetInfo::labeled(Role::Button, !self.is_waiting, "Connect"));
        wanted |= button.clicked();
        wanted
    }

    /// What to connect to, where nothing is wrong that can be told already.
    fn take(&mut self) -> Option<(String, Credentials)> {
        self.problem = None;
        let problem = if Name::parse(self.name.trim().as_bytes()).is_none() {
            Some((Field::Name, "A name is a letter, then up to 19 letters, digits, - or _."))
        } else if !is_password(&self.password) {
            Some((Field::Password, "A password has 8 to 128 bytes and no control characters."))
        } else if self.registers && self.again != self.password {
            Some((Field::Password, "These are two different passwords."))
        } else {
            None
        };
        if let Some((field, words)) = problem {
            self.failed(field, words.to_owned());
            return None;
        }
        let server = match self.server.trim() {
            "" => "localhost:5000".to_owned(),
            server if server.parse::<std::net::Ipv6Addr>().is_ok() => format!("[{server}]:5000"),
            server if server.ends_with(']') || !server.contains(':') => format!("{server}:5000"),
            server => server.to_owned(),
        };
        self.server.clone_from(&server);
        self.is_waiting = true;
        let (name, password) = (self.name.trim().to_owned(), self.password.clone());
        Some((server, Credentials { name, password, is_new: self.registers }))
    }
}

fn id_of(field: &str) -> Id {
    Id::unique(("sign-in", field))
}

/// A field under its name, with what is wrong with it; whether Enter was pressed in it.
fn field(ui: &mut Ui, name: &str, text: &mut String, is_secret: bool, problem: Option<&str>) -> bool {
    ui.add_space(6.0);
    let label = ui.label(name);
    let edit = TextEdit::singleline(text)
        .id(id_of(name))
        .password(is_secret)
        .margin(vec2(8.0, 6.0))
        .desired_width(f32::INFINITY);
    let response = ui.add(edit).labelled_by(label.id);
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    if let Some(problem) = problem {
        ui.colored_label(ui.visuals().error_fg_color, problem);
    }
    response.lost_focus() && has_key(ui, Modifiers::NONE, Key::Enter)
}

/// With a capital and a full stop.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(char::to_uppercase);
    format!("{}{}.", first.into_iter().flatten().collect::<String>(), letters.as_str())
}
