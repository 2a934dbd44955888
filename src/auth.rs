//! Passwords, tokens and attempts to log in: how they are checked, queued and limited.

pub mod attempt;
pub mod credential;
pub mod kdf;
pub mod queue;
pub mod throttle;
