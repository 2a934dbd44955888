//! The window without a window system: what is found by its name, pressed and typed, and what comes of it.

mod connection;
mod driver;
mod input;
mod lines;
mod looks;
mod messages;
mod notifications;
mod sign_in;
mod tabs;
mod timeline;
