//! The server as those see it who use it: the real program, sockets and files.

#[path = "../common/mod.rs"]
mod common;

mod faults;
mod history;
mod order;
mod slow;
mod wire;
