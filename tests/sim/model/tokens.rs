//! Tokens: what the server gave to log in with, until a new password revokes it.

use chinwag::protocol::reply::{Notice, Reply};

use super::answers::{Fit, answer_if, code_of};
use super::connection::Waiting;
use super::{Guarantee, Model, hold, key};

/// Tokens of an account that are valid at once; a new one takes the place of the oldest.
const TOKENS: usize = 16;

/// The tokens of an account that people were given.
#[derive(Debug, Default)]
pub struct Tokens {
    given: Vec<Token>,
    /// How many were asked for.
    asked: usize,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    /// The turn in which it was given.
    turn: u64,
    /// How many had been asked for then.
    asked: usize,
    /// Nobody asked for another password since.
    is_certain: bool,
    /// The turn from which on it is certainly revoked.
    revoked: u64,
}

impl Tokens {
    /// Somebody asked for a new password.
    pub fn may_be_revoked(&mut self) {
        self.given.iter_mut().for_each(|token| token.is_certain = false);
    }

    /// A new password was acknowledged in a turn. It was asked for in an earlier one; a token that was given in between
    /// may have been issued before or after the change.
    pub fn revoke(&mut self, asked: u64, turn: u64) {
        for token in &mut self.given {
            token.is_certain = false;
            if token.turn <= asked {
                token.revoked = token.revoked.min(turn);
            }
        }
    }
}

impl Model {
    pub(super) fn note_token_asked(&mut self, id: usize) {
        for name in self.connections[id].names() {
            self.account(&name).tokens.asked += 1;
        }
    }

    pub(super) fn fit_token(&mut self, id: usize, reply: &Reply<'_>, since: u64) -> Fit {
        let Some(name) = self.connections[id].account.clone() else { return Fit::No };
        let turn = self.turn;
        let account = self.account(&name);
        let is_certain = account.is_settled() && account.changed_by.is_none_or(|it| it.turn < turn);
        let tokens = &mut account.tokens;
        if let Reply::Notice(Notice::Token { token: text }) = reply {
            let is_sound = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_new = tokens.given.iter().all(|token| token.text != *text);
            let (text, asked, revoked) = ((*text).to_owned(), tokens.asked, u64::MAX);
            tokens.given.push(Token { text: text.clone(), turn, asked, is_certain, revoked });
            hold(Guarantee::Accounts, is_sound && is_new, || format!("{name} was given the token {text}"));
            return Fit::Answer;
        }
        answer_if(match code_of(reply) {
            "too-many-tokens" => tokens.asked >= TOKENS,
            "not-saved" => self.trouble.accounts_refused() >= since,
            "no-randomness" => self.trouble.no_random >= since,
            _ => false,
        })
    }

    pub(super) fn fit_resume(
        &mut self,
        id: usize,
        reply: &Reply<'_>,
        name: &str,
        token: &str,
        waiting: &Waiting,
    ) -> Fit {
        let (since, is_clock_wild) = (waiting.turn, self.rules.is_clock_wild);
        let (is_in, address) = (self.connections[id].account.is_some(), self.connections[id].address);
        if self.is_reading(id, reply) {
            return Fit::Part;
        }
        let account = self.account(name);
        let given = account.tokens.given.iter().find(|it| it.text == token).cloned();
        if let Reply::Notice(Notice::Welcome { name: welcomed }) = reply {
            let may = given.is_some_and(|it| it.revoked >= since) && key(welcomed.as_str()) == key(name);
            hold(Guarantee::Accounts, may && !is_in, || format!("{name} is welcome with the token {token}"));
            self.welcome(id, name, waiting, false);
            return Fit::Answer;
        }
        // A token may have been replaced by others, have expired, or have been revoked by a change of the password.
        let is_certain = given
            .is_some_and(|it| it.is_certain && !is_clock_wild && account.tokens.asked - it.asked < TOKENS);
        answer_if(match code_of(reply) {
            "bad-token" => {
                hold(Guarantee::Accounts, is_in || !is_certain, || {
                    format!("{name} cannot log in with the token {token}")
                });
                self.logins.note_failures(address, 1);
                !is_in
            }
            "already-logged-in" => is_in,
            _ => false,
        })
    }
}
