//! What is kept between runs: the ignored names, the last name on each server, and the tokens to log in with. No
//! password is kept.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use super::Token;
use crate::protocol::name::Name;

/// One name a line.
const IGNORED: &str = "ignored";
/// `HOST:PORT NAME`, one a line.
const USERS: &str = "users";
/// `HOST:PORT NAME TOKEN`, one a line.
const TOKENS: &str = "tokens";

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

    /// The token for an account on a server.
    pub fn token(&self, server: &str, name: &str) -> Option<Token> {
        let name = Name::parse(name.as_bytes())?;
        let text = self.read(TOKENS);
        let token = text.lines().filter_map(token_line).find(|it| (it.0, it.1) == (server, name))?.2;
        Token::parse(token)
    }

    /// The account on a server that there is a token for, if there is exactly one.
    pub fn only_account(&self, server: &str) -> Option<Name> {
        let text = self.read(TOKENS);
        let is_usable = |it: &(&str, Name, &str)| it.0 == server && Token::parse(it.2).is_some();
        let mut names = text.lines().filter_map(token_line).filter(is_usable).map(|it| it.1);
        names.next().filter(|_| names.next().is_none())
    }

    /// Keeps the token for an account on a server, in place of an earlier one.
    ///
    /// # Errors
    /// The system's.
    pub fn keep_token(&self, server: &str, name: &Name, token: &Token) -> io::Result<()> {
        let text = self.read(TOKENS);
        let others =
            text.lines().filter(|line| token_line(line).is_some_and(|it| (it.0, it.1) != (server, *name)));
        let lines: String = others.map(|line| format!("{line}\n")).collect();
        self.write(TOKENS, &format!("{lines}{server} {name} {token}\n"))
    }

    /// Removes the token for an account on a server, or all of that server if there is no name. Returns whether there
    /// was one.
    ///
    /// # Errors
    /// The system's.
    pub fn forget_token(&self, server: &str, name: Option<&str>) -> io::Result<bool> {
        let name = name.and_then(|name| Name::parse(name.as_bytes()));
        let text = self.read(TOKENS);
        let is_other = |line: &&str| {
            token_line(line).is_some_and(|it| it.0 != server || name.is_some_and(|name| it.1 != name))
        };
        let others: String = text.lines().filter(is_other).map(|line| format!("{line}\n")).collect();
        if others.len() == text.len() {
            return Ok(false);
        }
        self.write(TOKENS, &others)?;
        Ok(true)
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
        // One that is left over may be readable by others.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(temporary, directory.join(name))
    }
}

/// The server, the name and the token in a line of the file.
fn token_line(line: &str) -> Option<(&str, Name, &str)> {
    let (server, rest) = line.split_once(' ')?;
    let (name, token) = rest.split_once(' ')?;
    Some((server, Name::parse(name.as_bytes())?, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_kept_for_each_server_and_name_for_oneself_alone() {
        let home = tempfile::TempDir::new().unwrap();
        let settings = Settings { directory: Some(home.path().join("chinwag")) };
        let token = |digit: &str| Token::parse(&digit.repeat(32)).unwrap();
        let name = |text: &str| Name::parse(text.as_bytes()).unwrap();
        assert_eq!(settings.token("one:5000", "alice"), None);
        assert!(!settings.forget_token("one:5000", Some("alice")).unwrap());
        settings.keep_token("one:5000", &name("alice"), &token("1")).unwrap();
        settings.keep_token("two:5000", &name("alice"), &token("2")).unwrap();
        settings.keep_token("one:5000", &name("bob"), &token("3")).unwrap();
        settings.keep_token("one:5000", &name("Alice"), &token("4")).unwrap();
        let found = |server, name| settings.token(server, name);
        let only = |server| settings.only_account(server).map(|name| name.to_string());
        assert_eq!(only("one:5000"), None, "there are two");
        assert_eq!(only("two:5000").as_deref(), Some("alice"));
        assert_eq!(only("three:5000"), None);
        assert_eq!(found("one:5000", "aLICE"), Some(token("4")), "names ignore case");
        assert_eq!(found("two:5000", "alice"), Some(token("2")));
        assert_eq!(found("one:5000", "bob"), Some(token("3")));
        assert_eq!(found("one:5000", "carol"), None);
        assert!(settings.forget_token("one:5000", Some("ALICE")).unwrap());
        assert_eq!(found("one:5000", "alice"), None);
        assert_eq!(found("one:5000", "bob"), Some(token("3")), "the others stay");
        assert!(settings.forget_token("one:5000", None).unwrap());
        assert_eq!(found("one:5000", "bob"), None);
        assert_eq!(found("two:5000", "alice"), Some(token("2")), "the other servers' stay");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;

            let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(home.path().join("chinwag")), 0o700);
            assert_eq!(mode(home.path().join("chinwag/tokens")), 0o600);
        }
        let names = fs::read_dir(home.path().join("chinwag")).unwrap();
        assert_eq!(names.count(), 1, "nothing is left beside the file");
    }

    #[test]
    fn a_line_that_is_no_token_is_never_sent_to_a_server() {
        let home = tempfile::TempDir::new().unwrap();
        let settings = Settings { directory: Some(home.path().to_owned()) };
        for text in ["one:5000 alice\n", "one:5000 alice short\n", "one:5000 7up x\n", "\n", "one:5000"] {
            fs::write(home.path().join(TOKENS), text).unwrap();
            assert_eq!(settings.token("one:5000", "alice"), None, "{text:?}");
            assert_eq!(settings.only_account("one:5000"), None, "{text:?}");
        }
    }
}
