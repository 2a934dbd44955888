//! The first screen: which server, which name, which password; and what was wrong with them, beside each.

use chinwag::client::{Credentials, Refusal};
use chinwag::protocol::command::{is_password, name_rule, password_rule};
use chinwag::protocol::name::Name;
use eframe::egui::text_edit::TextEditState;
use eframe::egui::{
    Align, Button, Context, Id, Key, Layout, Modifiers, RichText, Role, ScrollArea, TextEdit, Ui, WidgetInfo,
    vec2,
};

use crate::input::has_key;
use crate::request::Request;

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
    /// The token that the server issues is to be kept for the next time.
    pub remembers: bool,
    /// The account on the server that is filled in for which a token is kept.
    pub kept: Option<String>,
    /// An answer is awaited.
    pub is_waiting: bool,
    /// The first field that is empty is to be typed in.
    wants_focus: bool,
    /// A password was typed, of which egui may still know something.
    has_typed: bool,
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
            remembers: true,
            kept: None,
            is_waiting: false,
            wants_focus: true,
            has_typed: false,
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

    /// Signs in with the token that is kept. Returns the server and the name.
    pub fn resume(&mut self) -> (String, String) {
        self.is_waiting = true;
        self.kept = Some(self.name.clone());
        (self.server.clone(), self.name.clone())
    }

    /// There is no valid token: the password is needed.
    pub fn token_refused(&mut self) {
        self.kept = None;
        self.wants_focus = true;
        self.failed(Field::Password, "You are signed out; enter your password.".to_owned());
    }

    /// Overwrites and drops the passwords that were typed.
    pub fn forget_password(&mut self) {
        self.wants_focus = true;
        self.has_typed = true;
        for password in [&mut self.password, &mut self.again] {
            let mut bytes = std::mem::take(password).into_bytes();
            bytes.fill(0);
            std::hint::black_box(&bytes);
        }
    }

    /// Drops what egui remembers of the password fields, such as earlier texts to undo to.
    pub fn forget_typed_passwords(&mut self, ctx: &Context) {
        if std::mem::take(&mut self.has_typed) {
            for field in ["Password", "Password again"] {
                TextEditState::default().store(ctx, id_of(field));
            }
        }
    }

    /// Shows it; returns the connection that the user asks for.
    pub fn show(&mut self, ui: &mut Ui) -> Option<Request> {
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
        wanted |= field(ui, "Server", &mut self.server, with(Field::Server));
        wanted |= field(ui, "Name", &mut self.name, with(Field::Name));
        let hint = if self.is_kept() { "empty: as the last time" } else { "" };
        wanted |= secret_field(ui, "Password", &mut self.password, hint, with(Field::Password));
        if self.registers {
            wanted |= secret_field(ui, "Password again", &mut self.again, "", None);
        }
        ui.add_space(6.0);
        ui.checkbox(&mut self.remembers, "Stay signed in on this computer");
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

    fn is_kept(&self) -> bool {
        !self.registers && self.kept.as_ref().is_some_and(|kept| kept.eq_ignore_ascii_case(self.name.trim()))
    }

    /// The connection to make, unless something is wrong that can be told already.
    fn take(&mut self) -> Option<Request> {
        self.problem = None;
        self.server = address(&self.server);
        let (server, name) = (self.server.clone(), self.name.trim().to_owned());
        if self.is_kept() && self.password.is_empty() {
            self.is_waiting = true;
            return Some(Request::Resume { server, name });
        }
        let problem = if Name::parse(self.name.trim().as_bytes()).is_none() {
            Some((Field::Name, sentence(&name_rule())))
        } else if !is_password(&self.password) {
            Some((Field::Password, sentence(&password_rule())))
        } else if self.registers && self.again != self.password {
            Some((Field::Password, sentence("the passwords do not match")))
        } else {
            None
        };
        if let Some((field, words)) = problem {
            self.failed(field, words);
            return None;
        }
        self.is_waiting = true;
        let credentials = Credentials { name, password: self.password.clone(), is_new: self.registers };
        Some(Request::Connect { server, credentials })
    }
}

/// `HOST:PORT`, from what was typed.
pub fn address(typed: &str) -> String {
    match typed.trim() {
        "" => "localhost:5000".to_owned(),
        server if server.parse::<std::net::Ipv6Addr>().is_ok() => format!("[{server}]:5000"),
        server if server.ends_with(']') || !server.contains(':') => format!("{server}:5000"),
        server => server.to_owned(),
    }
}

fn id_of(field: &str) -> Id {
    Id::unique(("sign-in", field))
}

/// A field under its name, with what is wrong with it. Returns whether Enter was pressed in it.
fn field(ui: &mut Ui, name: &str, text: &mut String, problem: Option<&str>) -> bool {
    show_field(ui, name, TextEdit::singleline(text), problem)
}

/// A field whose text is not shown.
fn secret_field(ui: &mut Ui, name: &str, text: &mut String, hint: &str, problem: Option<&str>) -> bool {
    show_field(ui, name, TextEdit::singleline(text).password(true).hint_text(hint), problem)
}

fn show_field(ui: &mut Ui, name: &str, edit: TextEdit<'_>, problem: Option<&str>) -> bool {
    ui.add_space(6.0);
    let label = ui.label(name);
    let edit = edit.id(id_of(name)).margin(vec2(8.0, 6.0)).desired_width(f32::INFINITY);
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
