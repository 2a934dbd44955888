//! Logging in: what is sent as proof, what the server's answers mean, and how a token replaces the password.
//!
//! A password is held until the server has issued a token (`/token`) and dropped then; from there on the client
//! returns with `/resume`. A server without tokens answers with an error, and the password is held for as long as the
//! client runs. Changing the password revokes every token, so a new one is requested after each change.

use std::fmt;

use super::event::{Event, Refusal};
use super::pending::{Asked, Pending, Queue};
use super::{Client, Gathering, Purpose, RESUME_BLINDLY, State};
use crate::protocol::command;
use crate::protocol::name::Name;
use crate::protocol::reply::{Notice, code};

/// Answers to `/resume` after which the token is useless: the second one is from a server that has no tokens.
const TOKEN_REFUSED: [&str; 2] = [code::BAD_TOKEN, code::UNKNOWN_COMMAND];

/// How to log in with a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The account's name.
    pub name: String,
    /// Its password.
    pub password: String,
    /// Whether the account is to be registered.
    pub is_new: bool,
}

/// A token of the server's: 32 lowercase hexadecimal digits that log one account in.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token in `text`, or `None` if it is not one.
    pub fn parse(text: &str) -> Option<Token> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 32 && text.bytes().all(is_digit)).then(|| Token(text.to_owned()))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Token {
    /// Without the digits, which are as good as a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What proves that the user owns the account.
pub(super) enum Proof {
    Password { text: String, is_new: bool },
    Token(Token),
}

/// An account and the proof for it.
pub(super) struct Login {
    name: String,
    proof: Proof,
}

impl Client {
    /// Logs in with a password, now or as soon as the server has greeted, and again after the connection was lost.
    pub fn log_in(&mut self, credentials: Credentials) {
        let Credentials { name, password, is_new } = credentials;
        self.begin(name, Proof::Password { text: password, is_new });
    }

    /// Does the same with a token from an earlier [`Event::Token`].
    pub fn resume(&mut self, name: String, token: Token) {
        self.begin(name, Proof::Token(token));
    }

    /// Tries again with the same proof although the server has refused it.
    pub fn log_in_again(&mut self) {
        self.is_refused = false;
        if self.state == State::Outside && self.pending.is_empty() {
            self.send_login();
        }
    }

    fn begin(&mut self, name: String, proof: Proof) {
        self.login = Some(Login { name, proof });
        self.log_in_again();
    }

    pub(super) fn send_login(&mut self) {
        let Some(Login { name, proof }) = self.login.as_ref().filter(|_| !self.is_refused) else { return };
        let line = match proof {
            Proof::Password { text, is_new: true } => format!("/register {name} {text}\n"),
            Proof::Password { text, is_new: false } => format!("/login {name} {text}\n"),
            Proof::Token(token) => format!("/resume {name} {token}\n"),
        };
        if self.told.is_some() {
            // What was missed is asked for by its time instead, so that nothing is left out.
            self.output.extend_from_slice(b"/replay 0\n");
            self.ask(Asked::Replay { is_shown: false });
        }
        self.ask(Asked::Login);
        self.output.extend_from_slice(line.as_bytes());
    }

    pub(super) fn welcome(&mut self, name: Name) {
        self.state = State::In;
        let is_first = self.name.replace(name).is_none() && !self.may_have_been_in;
        if let Some(Login { proof: Proof::Password { is_new, .. }, .. }) = &mut self.login {
            *is_new = false;
        }
        self.end_of_password_change();
        self.events.push_back(Event::Welcome(name));
        self.is_catching_up = self.told.is_none();
        self.gathering = Some(Gathering::default());
        match self.told {
            Some(told) => self.ask_history(&told.to_string(), Purpose::Resume),
            // What the server takes for shown may have been lost with the last connection, before there was a time to
            // ask from.
            None if !is_first => self.ask_history(RESUME_BLINDLY, Purpose::Resume),
            None => {}
        }
        self.ask_users();
        if self.told.is_none() && is_first {
            self.ask_history("1", Purpose::Baseline);
        }
    }

    /// Whether a password is all there is to return with.
    pub(super) fn lacks_token(&self) -> bool {
        matches!(&self.login, Some(Login { proof: Proof::Password { .. }, .. }))
    }

    /// Requests a token, unless none is wanted.
    pub(super) fn ask_token(&mut self) {
        if self.wants_token {
            self.send("/token", false);
            self.ask(Asked::Token);
        }
    }

    /// The server has issued a token: from here on the password is not needed.
    pub(super) fn take_token(&mut self, token: Token) {
        let (Some(login), Some(name)) = (&mut self.login, self.name) else { return };
        login.proof = Proof::Token(token.clone());
        self.events.push_back(Event::Token { name, token });
    }

    /// The server has answered `/login`, `/register` or `/resume` with an error.
    pub(super) fn login_refused(&mut self, refusal: Refusal) {
        if self.log_in_with_the_new_password(&refusal) {
            return;
        }
        let is_useless =
            |it: &mut Login| matches!(it.proof, Proof::Token(_)) && TOKEN_REFUSED.contains(&&*refusal.code);
        if let Some(Login { name, .. }) = self.login.take_if(is_useless) {
            return self.events.push_back(Event::TokenRefused { name, refusal });
        }
        self.is_refused = true;
        self.events.push_back(Event::LoginFailed(refusal));
    }

    /// The new password in the arguments of a `/passwd` that is being sent, if it is clear where it begins.
    pub(super) fn new_password(&self, passwords: &str) -> Option<String> {
        if let Some(Login { proof: Proof::Password { text: old, .. }, .. }) = &self.login {
            return passwords.strip_prefix(old.as_str())?.strip_prefix(' ').map(str::to_owned);
        }
        let mut splits = command::password_splits(passwords);
        let (_, new) = splits.next()?;
        splits.next().is_none().then(|| new.to_owned())
    }

    /// `* password changed`: every token is revoked.
    pub(super) fn password_changed(&mut self, new: Option<String>) {
        if let (Some(login), Some(text)) = (&mut self.login, new) {
            login.proof = Proof::Password { text, is_new: false };
        }
        self.ask_token();
    }

    /// Logs in with the new password if the connection was lost while the password was being changed, and what was
    /// valid before is not any more.
    fn log_in_with_the_new_password(&mut self, refusal: &Refusal) -> bool {
        let Some(login) = &mut self.login else { return false };
        // The first: one that was sent behind it had another password to begin with.
        let new = self.unconfirmed.iter().find_map(|pending| match &pending.asked {
            Asked::Passwd { new } => new.as_ref(),
            _ => None,
        });
        let Some(new) = new else { return false };
        let is_outdated = match &login.proof {
            Proof::Password { text, .. } => refusal.code == code::BAD_LOGIN && text != new,
            Proof::Token(_) => refusal.code == code::BAD_TOKEN,
        };
        if is_outdated {
            login.proof = Proof::Password { text: new.clone(), is_new: false };
            self.send_login();
        }
        is_outdated
    }

    /// The proof that was accepted shows whether the password was changed: a token survives no change.
    fn end_of_password_change(&mut self) {
        let is_change = |pending: &Pending| matches!(pending.asked, Asked::Passwd { .. });
        let (changes, rest): (Queue, Queue) =
            std::mem::take(&mut self.unconfirmed).into_iter().partition(is_change);
        self.unconfirmed = rest;
        for Pending { id, line, asked } in changes {
            if self.is_changed(&line, &asked) {
                self.notice(Notice::PasswordChanged.to_string());
            } else if let Some(id) = id {
                self.events.push_back(Event::NotSent { id, line });
            }
        }
    }

    /// Whether the password that was accepted is the new one of a `/passwd`.
    fn is_changed(&self, line: &str, asked: &Asked) -> bool {
        let Some(Login { proof: Proof::Password { text, .. }, .. }) = &self.login else { return false };
        match asked {
            Asked::Passwd { new: Some(new) } => new == text,
            _ => line.strip_suffix(text.as_str()).is_some_and(|rest| rest.ends_with(' ')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_32_lowercase_hexadecimal_digits() {
        assert!(Token::parse("00112233445566778899aabbccddeeff").is_some());
        for text in
            ["", "0011", "00112233445566778899AABBCCDDEEFF", "00112233445566778899aabbccddeef\u{fffd}"]
        {
            assert_eq!(Token::parse(text), None, "{text}");
        }
    }
}
