//! The state: events, their sum, and the files that hold those of the accounts.

pub mod accounts;
pub mod checkpoint;
pub mod durable;
pub mod event;
pub mod marks;
pub mod rooms;
pub mod users;
pub mod users_file;
