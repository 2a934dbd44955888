//! The whole server against simulated sockets, disks and clocks: what it promises, each promise a test that reads
//! as a sentence.

#[path = "../sim/mod.rs"]
mod sim;

mod asides;
mod blocks;
mod chain;
mod checkpoint;
mod commands;
mod damage;
mod durable;
mod everything;
mod logins;
mod marks;
mod missed;
mod presence;
mod proxies;
mod rooms;
mod slots;
mod slow_readers;
mod sockets;
mod tokens;
