//! `chinwag-gui`: the window system, the connection's thread, notifications, and what is kept between runs.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use chinwag::client::link::{Command, Link, LinkOptions, Update};
use chinwag::client::settings::Settings;
use chinwag::client::{Client, Event};
use chinwag::protocol::name::Name;
use chinwag_gui::app::{App, Told};
use chinwag_gui::notification::{Notification, escape_markup, summary};
use chinwag_gui::request::Request;
use chinwag_gui::sign_in::address;
use eframe::egui::{self, Context, ViewportBuilder};
use jiff::tz::TimeZone;

const HELP: &str = "\
chinwag-gui: a window for chinwag

usage: chinwag-gui [HOST[:PORT]]     (default: the last one, or localhost:5000)

  --help, --version
";

fn main() -> ExitCode {
    let mut server = None;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--help" | "-h" => {
                print!("{HELP}");
                return ExitCode::SUCCESS;
            }
            "--version" | "-V" => {
                println!("chinwag-gui {}", env!("CARGO_PKG_VERSION"));
                return ExitCode::SUCCESS;
            }
            flag if flag.starts_with('-') => {
                eprintln!("chinwag-gui: {flag}: unknown flag; see --help");
                return ExitCode::from(2);
            }
            _ if server.is_none() => server = Some(argument),
            _ => {
                eprintln!("chinwag-gui: {argument}: one server at a time; see --help");
                return ExitCode::from(2);
            }
        }
    }
    let viewport = ViewportBuilder::default()
        .with_title("chinwag")
        .with_app_id("chinwag")
        .with_inner_size([900.0, 620.0])
        .with_min_inner_size([320.0, 260.0]);
    let options = eframe::NativeOptions { viewport, ..eframe::NativeOptions::default() };
    let made = eframe::run_native(
        "chinwag",
        options,
        Box::new(|creation| Ok(Box::new(Window::new(creation, server)))),
    );
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chinwag-gui: no window: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the threads tell, and of which connection: what an earlier one says late is nobody's business.
type Tagged = (u64, Inside);

enum Inside {
    Connected(Link),
    Told(Told),
}

struct Window {
    app: App,
    settings: Settings,
    link: Option<Link>,
    /// Counts the connections.
    generation: u64,
    told: Receiver<Tagged>,
    tell: Sender<Tagged>,
    /// Said before there was a connection.
    waiting: Vec<Command>,
    notify: Sender<Notification>,
}

impl Window {
    fn new(creation: &eframe::CreationContext<'_>, server: Option<String>) -> Window {
        App::set_looks(&creation.egui_ctx);
        let settings = Settings::find();
        let (last_server, last_name) =
            settings.last_login().unwrap_or(("localhost:5000".into(), String::new()));
        let name = match &server {
            Some(server) => settings.last_user(&address(server)).unwrap_or_default(),
            None => last_name,
        };
        let (tell, told) = channel();
        let server = address(&server.unwrap_or(last_server));
        let has_token = settings.token(&server, &name).is_some();
        let mut app = App::new(server, name, TimeZone::system());
        if has_token {
            app = app.resume();
        }
        Window {
            app,
            settings,
            link: None,
            generation: 0,
            told,
            tell,
            waiting: Vec::new(),
            notify: notifier(),
        }
    }

    /// Collects what the current connection has reported.
    fn hear(&mut self) -> Vec<Told> {
        let mut all = Vec::new();
        while let Ok((generation, inside)) = self.told.try_recv() {
            if generation != self.generation {
                continue;
            }
            match inside {
                Inside::Connected(link) => {
                    self.waiting.drain(..).for_each(|command| link.send(command));
                    self.link = Some(link);
                }
                Inside::Told(told) => all.push(told),
            }
        }
        all
    }

    fn obey(&mut self, ctx: &Context) {
        for request in self.app.take_requests() {
            match request {
                Request::Connect { server, credentials } => {
                    self.connect(ctx, server, Command::LogIn(credentials));
                }
                Request::Resume { server, name } => match self.settings.token(&server, &name) {
                    Some(token) => self.connect(ctx, server, Command::Resume { name, token }),
                    None => self.app.handle(Told::NoToken),
                },
                Request::KeepToken { server, name, token } => {
                    report(self.settings.keep_token(&server, &name, &token));
                }
                Request::ForgetToken { server, name } => {
                    report(self.settings.forget_token(&server, Some(&name)));
                }
                Request::Submit(line) => self.send(Command::Submit(line)),
                Request::Leave | Request::SignOut => {
                    // Its thread says goodbye by itself.
                    if let Some(link) = self.link.take() {
                        link.send(Command::Leave);
                    }
                    self.generation += 1;
                    self.waiting.clear();
                }
                Request::KeepLogin { server, name } => {
                    report(self.settings.keep_last_user(&server, &name));
                }
                Request::Notify(notification) => {
                    // Where the thread is gone, it has said why.
                    let _ = self.notify.send(notification);
                }
            }
        }
    }

    fn send(&mut self, command: Command) {
        match &self.link {
            Some(link) => link.send(command),
            None => self.waiting.push(command),
        }
    }

    /// Connects on another thread: that may take a while.
    fn connect(&mut self, ctx: &Context, server: String, login: Command) {
        self.generation += 1;
        let (generation, tell, ctx, settings) =
            (self.generation, self.tell.clone(), ctx.clone(), self.settings.clone());
        thread::spawn(move || {
            let (telling, waking, keeping) = (tell.clone(), ctx.clone(), settings.clone());
            let mut online = BTreeSet::new();
            let update = move |client: &Client, update: Update| {
                if let Update::Event(Event::IgnoredChanged) = update {
                    report(keeping.keep_ignored(client.ignored().iter()));
                }
                if let Some(online) = changed(&mut online, client.online()) {
                    let _ = telling.send((generation, Inside::Told(Told::Online(online))));
                }
                // Where nobody listens any more, the window is closed.
                let _ = telling.send((generation, Inside::Told(Told::Update(update))));
                waking.request_repaint();
            };
            let link_options = LinkOptions { reconnects: true, holds_lines: false };
            let inside = match Link::start(&server, Client::new(settings.ignored()), link_options, update) {
                Ok(link) => {
                    link.send(login);
                    Inside::Connected(link)
                }
                Err(error) => Inside::Told(Told::NotConnected(format!("{server}: {error}"))),
            };
            let _ = tell.send((generation, inside));
            ctx.request_repaint();
        });
    }
}

/// Says that something could not be written to the settings; the window works without it.
fn report<T>(outcome: io::Result<T>) {
    if let Err(error) = outcome {
        eprintln!("chinwag-gui: not saved for the next time: {error}");
    }
}

/// The list, where it is another than before.
fn changed(known: &mut BTreeSet<Name>, online: &BTreeSet<Name>) -> Option<BTreeSet<Name>> {
    if known == online {
        return None;
    }
    known.clone_from(online);
    Some(known.clone())
}

/// Starts a thread that shows notifications: the desktop may take its time.
fn notifier() -> Sender<Notification> {
    let (notify, notified) = channel::<Notification>();
    thread::spawn(move || {
        while let Ok(first) = notified.recv() {
            let waiting: Vec<_> = std::iter::once(first).chain(notified.try_iter()).collect();
            let (title, mut body) = summary(&waiting);
            if body_is_markup() {
                body = escape_markup(&body);
            }
            let shown =
                notify_rust::Notification::new().appname("chinwag").summary(&title).body(&body).show();
            if let Err(error) = shown {
                eprintln!("chinwag-gui: no notification: {error}");
            }
        }
    });
    notify
}

/// Whether the desktop reads a notification's body as markup, as the Desktop Notifications Specification allows it to.
#[cfg(all(unix, not(target_os = "macos")))]
fn body_is_markup() -> bool {
    notify_rust::get_capabilities().is_ok_and(|it| it.iter().any(|it| it == "body-markup"))
}

#[cfg(not(all(unix, not(target_os = "macos"))))]
fn body_is_markup() -> bool {
    false
}

impl eframe::App for Window {
    fn logic(&mut self, ctx: &Context, _: &mut eframe::Frame) {
        let told = self.hear();
        self.app.logic(ctx, told);
        self.obey(ctx);
    }

    fn raw_input_hook(&mut self, _: &Context, input: &mut egui::RawInput) {
        self.app.filter_input(input);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _: &mut eframe::Frame) {
        self.app.ui(ui);
        let ctx = ui.ctx().clone();
        self.obey(&ctx);
    }
}
