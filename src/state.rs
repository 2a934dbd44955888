//! The accounts and the files that hold them: the sum of what was committed.

pub mod accounts;
pub mod marks;
pub mod users;
pub mod users_file;
