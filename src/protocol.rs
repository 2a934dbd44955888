//! What clients and the server say to each other: bytes to values and back, for everyone.
//!
//! Nothing here does I/O or keeps state between two lines, except [`line::LineBuffer`], which holds a line until it
//! is complete.

pub mod command;
pub mod event;
pub mod line;
pub mod name;
pub mod record;
pub mod reply;
pub mod room;
pub mod text;
pub mod time;
mod wording;
