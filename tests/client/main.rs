//! The client's side of the protocol: conversations line by line, and whole servers with clients whose connections
//! break at any moment.

#[path = "../sim/mod.rs"]
mod sim;

mod broken;
mod conversations;
mod hostile;
mod transcript;
