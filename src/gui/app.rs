//! The window: what is on its screen, free of any window system.

use std::collections::BTreeSet;

use chinwag::client::link::Update;
use chinwag::client::{Event, Token};
use chinwag::protocol::name::Name;
use eframe::egui::{
    CentralPanel, Color32, Context, FontId, RawInput, TextStyle, Theme, Ui, ViewportCommand, vec2,
};
use jiff::tz::TimeZone;

use crate::chat::Chat;
use crate::input::InputQueue;
use crate::request::Request;
use crate::sign_in::{Field, SignIn};

/// What has happened in the world outside.
pub enum Told {
    /// There is no connection; why, in words.
    NotConnected(String),
    /// No token is kept for the account.
    NoToken,
    /// Something on the connection.
    Update(Update),
    /// Who is online now.
    Online(BTreeSet<Name>),
}

/// Everything that is on the screen.
pub struct App {
    sign_in: SignIn,
    chat: Option<Chat>,
    zone: TimeZone,
    requests: Vec<Request>,
    online: BTreeSet<Name>,
    title: String,
    input: InputQueue,
}

impl App {
    /// Before the first sign-in, with these filled in.
    pub fn new(server: String, name: String, zone: TimeZone) -> App {
        App {
            sign_in: SignIn::new(server, name),
            chat: None,
            zone,
            requests: Vec::new(),
            online: BTreeSet::new(),
            title: String::new(),
            input: InputQueue::default(),
        }
    }

    /// Signs in at once, with the token that was kept for the server and the name that are filled in.
    pub fn resume(mut self) -> App {
        let (server, name) = self.sign_in.resume();
        self.requests.push(Request::Resume { server, name });
        self
    }

    /// The looks of both themes.
    pub fn set_looks(ctx: &Context) {
        ctx.all_styles_mut(|style| {
            style.spacing.item_spacing = vec2(8.0, 4.0);
            style.spacing.button_padding = vec2(8.0, 4.0);
            // Nothing is drawn while nothing happens.
            style.visuals.text_cursor.blink = false;
            for (text_style, size) in
                [(TextStyle::Body, 15.0), (TextStyle::Button, 14.5), (TextStyle::Small, 12.0)]
            {
                style.text_styles.insert(text_style, FontId::proportional(size));
            }
        });
        ctx.style_mut_of(Theme::Dark, |style| {
            style.visuals.widgets.noninteractive.fg_stroke.color = Color32::from_gray(212);
            style.visuals.error_fg_color = Color32::from_rgb(255, 112, 112);
        });
        ctx.style_mut_of(Theme::Light, |style| {
            style.visuals.widgets.noninteractive.fg_stroke.color = Color32::from_gray(32);
            style.visuals.hyperlink_color = Color32::from_rgb(0, 92, 184);
            style.visuals.error_fg_color = Color32::from_rgb(176, 0, 32);
            style.visuals.warn_fg_color = Color32::from_rgb(150, 78, 0);
        });
    }

    /// Limits a frame's input to what can be processed in order. Call it before each frame.
    pub fn filter_input(&mut self, input: &mut RawInput) {
        self.input.next_frame(&mut input.events);
    }

    /// What is wanted since this was last asked.
    pub fn take_requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    /// The chat, once somebody is in.
    pub fn chat(&self) -> Option<&Chat> {
        self.chat.as_ref()
    }

    /// What stands in the window's title.
    pub fn title(&self) -> String {
        match &self.chat {
            None => "Sign in · chinwag".to_owned(),
            Some(chat) => match chat.unread_private() {
                0 => format!("{} · chinwag", chat.own),
                unread => format!("({unread}) {} · chinwag", chat.own),
            },
        }
    }

    /// Notes the window's focus, takes in what has happened, and sets the title, without drawing anything: this also
    /// runs while the window is minimised or hidden.
    pub fn logic(&mut self, ctx: &Context, told: impl IntoIterator<Item = Told>) {
        // `input.focused` and the rest of the input are those of the last frame; `raw` is up to date.
        let has_focus = ctx.input(|input| input.raw.focused && input.raw.viewport().visible() != Some(false));
        if let Some(chat) = &mut self.chat {
            chat.set_focus(has_focus);
        }
        told.into_iter().for_each(|told| self.handle(told));
        if self.chat.is_some() {
            self.sign_in.forget_typed_passwords(ctx);
        }
        self.set_title(ctx);
    }

    fn set_title(&mut self, ctx: &Context) {
        let title = self.title();
        if title != self.title {
            ctx.send_viewport_cmd(ViewportCommand::Title(title.clone()));
            self.title = title;
        }
    }

    /// Takes in what has happened.
    pub fn handle(&mut self, told: Told) {
        match (told, &mut self.chat) {
            (Told::Online(online), chat) => {
                if let Some(chat) = chat {
                    chat.set_online(online.clone());
                }
                self.online = online;
            }
            (Told::Update(Update::Event(Event::Token { name, token })), _) => self.take_token(name, token),
            (Told::Update(update), Some(chat)) => {
                if let Update::Event(Event::TokenRefused { name, .. }) = &update {
                    forget_token(&mut self.sign_in, &mut self.requests, name.clone());
                }
                chat.handle(update, &mut self.requests);
            }
            (Told::Update(update), None) => self.outside(update),
            (Told::NotConnected(why), _) => self.sign_in.failed(Field::Server, why),
            (Told::NoToken, _) => self.sign_in.token_refused(),
        }
    }

    /// The server issued a token.
    fn take_token(&mut self, name: Name, token: Token) {
        if self.sign_in.remembers {
            self.sign_in.kept = Some(name.to_string());
            let server = self.sign_in.server.clone();
            self.requests.push(Request::KeepToken { server, name, token });
        }
    }

    /// Something has happened before anyone was in.
    fn outside(&mut self, update: Update) {
        match update {
            Update::Event(Event::Welcome(name)) => {
                self.sign_in.is_waiting = false;
                self.sign_in.registers = false;
                self.sign_in.forget_password();
                let mut chat = Chat::new(name, self.zone.clone(), &mut self.requests);
                chat.set_online(self.online.clone());
                self.chat = Some(chat);
                let (server, name) = (self.sign_in.server.clone(), name.to_string());
                if !self.sign_in.remembers {
                    forget_token(&mut self.sign_in, &mut self.requests, name.clone());
                }
                self.requests.push(Request::KeepLogin { server, name });
            }
            Update::Event(Event::TokenRefused { name, .. }) => {
                forget_token(&mut self.sign_in, &mut self.requests, name);
                self.sign_in.token_refused();
                self.requests.push(Request::Leave);
            }
            Update::Event(Event::LoginFailed(refusal) | Event::Error(refusal)) => {
                self.sign_in.refused(&refusal);
                self.requests.push(Request::Leave);
            }
            Update::Event(Event::NotChinwag(line)) => {
                let words = format!("That is no chinwag server; it says: {line}");
                self.sign_in.failed(Field::Server, words);
                self.requests.push(Request::Leave);
            }
            Update::Event(Event::Notice(text)) => self.sign_in.problem = Some((Field::Password, text)),
            Update::Event(_) => {}
            Update::Lost(why, _) => {
                if self.sign_in.is_waiting {
                    self.sign_in.failed(Field::Server, format!("The connection is lost: {why}."));
                }
                self.requests.push(Request::Leave);
            }
            Update::Ended(_) => self.sign_in.is_waiting = false,
        }
    }

    /// Shows it, and takes in what the user does.
    pub fn ui(&mut self, ui: &mut Ui) {
        match &mut self.chat {
            Some(chat) => chat.show(ui, &mut self.requests),
            None => {
                let wanted = CentralPanel::default().show(ui, |ui| self.sign_in.show(ui)).inner;
                self.requests.extend(wanted);
            }
        }
        let signs_out = self.requests.contains(&Request::SignOut);
        if signs_out || self.requests.contains(&Request::Leave) {
            if let Some(chat) = self.chat.take().filter(|_| signs_out) {
                forget_token(&mut self.sign_in, &mut self.requests, chat.own.to_string());
            }
            self.online.clear();
        }
        self.set_title(ui.ctx());
        if self.input.frame_shown() {
            ui.ctx().request_repaint();
        }
    }
}

/// Removes the token that was kept for an account on the server that is filled in.
fn forget_token(sign_in: &mut SignIn, requests: &mut Vec<Request>, name: String) {
    sign_in.kept = None;
    requests.push(Request::ForgetToken { server: sign_in.server.clone(), name });
}
