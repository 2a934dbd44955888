//! chinwag-gui: a window for people who do not live in a terminal.
//!
//! | file | what it is |
//! |---|---|
//! | [`app`] | the window: one plain struct with `ui`, free of any window system, so that a test can drive it |
//! | [`sign_in`] | the first screen: server, name, password |
//! | [`chat`] | the second one: tabs, who is here, what was said, the line to be said |
//! | [`conversation`] | what was said in one tab, without anything to be seen |
//! | [`timeline`] | a long list of which only what is visible is laid out |
//! | [`message`] | one message as it is seen |
//! | [`entry`] | the input field: sending, recalling, completing |
//! | [`input`] | keys and clicks in the order they happened |
//! | [`notification`] | desktop notifications |
//! | [`bidi`] | the order of right-to-left text |
//! | [`mixed`] | right-to-left text on the screen |
//! | `main.rs` | the window system, the connection's thread, notifications |
//!
//! What happens on the network comes in by [`app::App::handle`]; what the user wants comes out as
//! [`app::Request`]s. Between the two is `chinwag::client`, on a thread that asks for a repaint.

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
pub mod sign_in;
pub mod timeline;
