//! What the user wants and what is not done yet, between the user's thread and that of the connection.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Command;

/// Commands of a script that may wait; a person's are not held up.
const COMMANDS_MAX: usize = 64;

/// Commands in their order.
#[derive(Default)]
pub struct CommandQueue {
    state: Mutex<State>,
    /// A command was taken, or none will be any more.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    commands: VecDeque<Command>,
    /// The user leaves, whatever stands before that.
    leaves: bool,
    is_over: bool,
}

impl CommandQueue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a command; one that `waits` waits until there are few. Returns whether it was added: after the end nothing
    /// is.
    pub fn add(&self, command: Command, waits: bool) -> bool {
        let mut state = self.lock();
        while waits && state.commands.len() >= COMMANDS_MAX && !state.is_over {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_over {
            return false;
        }
        state.leaves |= matches!(command, Command::Leave);
        state.commands.push_back(command);
        true
    }

    /// Takes the next one, or with `only_login` the next one if it is a login.
    pub fn take(&self, only_login: bool) -> Option<Command> {
        let mut state = self.lock();
        let is_login = matches!(state.commands.front(), Some(Command::LogIn(_) | Command::Resume { .. }));
        let command = if only_login && !is_login { None } else { state.commands.pop_front() };
        drop(state);
        self.changed.notify_all();
        command
    }

    /// Whether the user leaves, as soon as what stands before that is done.
    pub fn user_leaves(&self) -> bool {
        self.lock().leaves
    }

    /// No more is added. Returns the lines that were not taken.
    pub fn end(&self) -> Vec<String> {
        let mut state = self.lock();
        state.is_over = true;
        self.changed.notify_all();
        let lines = state.commands.drain(..).filter_map(|command| match command {
            Command::Submit(line) if !line.trim().is_empty() => Some(line),
            _ => None,
        });
        lines.collect()
    }
}
