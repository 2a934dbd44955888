//! The server as those see it who use it: the real program, sockets and files.

#[path = "../common/mod.rs"]
mod common;

mod crowd;
mod disk;
mod faults;
mod history;
mod inputs;
mod killed;
mod log;
mod order;
mod proxies;
mod running;
mod slow;
mod version_0_1;
mod wire;
