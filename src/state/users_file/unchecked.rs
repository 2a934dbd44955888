//! The start on a `users.txt` of version 0.1, which has no checksums.

use log::warn;

use super::{End, USERS_FILE, Users, UsersFile};
use crate::log::recovery::RecoverError;
use crate::log::storage::{AppendFile, Storage};
use crate::protocol::record::Timestamp;
use crate::state::durable::State;
use crate::state::event::Event;
use crate::state::users::{Check, UserRecord};

/// Converts a file of version 0.1, or leaves that to the first commit if there is no room.
pub(super) fn recover_unchecked<S: Storage>(
    storage: &mut S,
    file: S::File,
    users: Users,
) -> Result<(UsersFile<S::File>, State), RecoverError> {
    let file = AppendFile::new(file, users.length)?;
    let mut recovered = UsersFile { file, check: Check::START, mark: None, is_unchecked: true };
    let mut state = sum_of(users);
    if let Err(error) = recovered.convert(storage, &state) {
        warn!("{USERS_FILE}: not rewritten with checksums, so that no account can be changed: {error}");
    }
    state.shrink();
    Ok((recovered, state))
}

/// Returns the sum of the records of a file of version 0.1. The names in its torn end are reserved.
pub(super) fn sum_of(users: Users) -> State {
    let mut state = users.state;
    let torn = if let End::Torn(names) = users.end { names } else { Vec::new() };
    for name in torn {
        if state.accounts().find(&name).is_none() {
            warn!(
                "{USERS_FILE}: the last line is torn, and {name} is reserved; --reset {name} gives it back"
            );
            let at = Timestamp::default();
            state.apply(&Event::Account(UserRecord::Reserved { name, at }));
        }
    }
    state
}
