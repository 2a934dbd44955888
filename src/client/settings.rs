//! What is kept between runs, and only what a person has set: who is ignored, and the last name on each server.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use crate::name::Name;

/// One name a line.
const IGNORED: &str = "ignored";
/// `HOST:PORT NAME`, one a line.
const USERS: &str = "users";

/// A directory, made when something is first kept.
#[derive(Clone)]
pub struct Settings {
    /// `None` where there is no home: then nothing is kept.
    directory: Option<PathBuf>,
}

impl Settings {
    /// `$XDG_CONFIG_HOME/chinwag`, or `~/.config/chinwag`.
    pub fn find() -> Settings {
        // The XDG base directory specification: a relative path is to be ignored.
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        Settings { directory: base.map(|base| base.join("chinwag")) }
    }

    /// Who is ignored.
    pub fn ignored(&self) -> Vec<Name> {
        self.read(IGNORED).lines().filter_map(|line| Name::parse(line.trim().as_bytes())).collect()
    }

    /// Keeps who is ignored.
    ///
    /// # Errors
    /// The system's.
    pub fn keep_ignored<'a>(&self, names: impl Iterator<Item = &'a Name>) -> io::Result<()> {
        self.write(IGNORED, &names.map(|name| format!("{name}\n")).collect::<String>())
    }

    /// The last name that somebody logged in with on a server.
    pub fn last_user(&self, server: &str) -> Option<String> {
        let text = self.read(USERS);
        let name = text.lines().find_map(|line| line.strip_prefix(server)?.strip_prefix(' '))?;
        Name::parse(name.as_bytes()).map(|name| name.to_string())
    }

    /// The server that somebody logged in to last, and the name.
    pub fn last_login(&self) -> Option<(String, String)> {
        let text = self.read(USERS);
        let (server, name) = text.lines().next_back()?.split_once(' ')?;
        Some((server.to_owned(), name.to_owned()))
    }

    /// Keeps it.
    ///
    /// # Errors
    /// The system's.
    pub fn keep_last_user(&self, server: &str, name: &str) -> io::Result<()> {
        let text = self.read(USERS);
        let others = text.lines().filter(|line| !line.starts_with(&format!("{server} ")));
        let lines: String = others.map(|line| format!("{line}\n")).collect();
        self.write(USERS, &format!("{lines}{server} {name}\n"))
    }

    fn read(&self, name: &str) -> String {
        let text = self.directory.as_ref().map(|directory| fs::read_to_string(directory.join(name)));
        text.and_then(Result::ok).unwrap_or_default()
    }

    /// By a file beside it that takes its place, so that two clients never leave half of one.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        builder.mode(0o700);
        builder.create(directory)?;
        let temporary = directory.join(format!("{name}.{}", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        options.mode(0o600);
        options.open(&temporary)?.write_all(text.as_bytes())?;
        fs::rename(temporary, directory.join(name))
    }
}
