//! The terminal client as a person has it: the real program in a pseudo-terminal, against a real server; and as a
//! script has it, in a pipe.

#[path = "../common/mod.rs"]
mod common;

mod chat;
mod entrance;
mod hostile;
mod leaving;
mod lost;
mod pipe;
mod screen;
mod secrets;
mod stream;
mod typing;
