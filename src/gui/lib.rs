//! chinwag-gui: a window for people who do not live in a terminal.
//!
//! A file imports only from files above it in this table.
//!
//! | file | what it is |
//! |---|---|
//! | `notification` | desktop notifications |
//! | `request` | what the user wants of the connection |
//! | `input` | keys and clicks in the order they happened |
//! | `entry` | the input field: sending, recalling, completing |
//! | `bidi` | the order of right-to-left text |
//! | `mixed` | right-to-left text on the screen |
//! | `message` | one message as it is seen |
//! | `timeline` | a long list of which only what is visible is laid out |
//! | `conversation` | what was said in one tab, without anything to be seen |
//! | `sign_in` | the first screen: server, name, password |
//! | `chat` | the second one: tabs, who is here, what was said, the line to be said |
//! | `app` | the window: one plain struct with `ui`, free of any window system, so that a test can drive it |
//!
//! On top is `main.rs`: the window system, the connection's thread, notifications.
//!
//! What happens on the network comes in by [`app::App::handle`]; what the user wants comes out as
//! [`request::Request`]s. Between the two is `chinwag::client`, on a thread that asks for a repaint.

#![forbid(unsafe_code)]

pub mod app;
pub mod bidi;
pub mod chat;
pub mod conversation;
pub mod entry;
pub mod input;
pub mod message;
pub mod mixed;
pub mod notification;
pub mod request;
pub mod sign_in;
pub mod timeline;
