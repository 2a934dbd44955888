//! The start on a `users.txt` of version 0.1, which has no checksums.

use log::warn;

use super::{End, USERS_FILE, Users, UsersFile};
use crate::log::recovery::RecoverError;
use crate::log::storage::{AppendFile, Storage};
use crate::state::durable::State;
use crate::state::event::Event;
use crate::state::users::Check;

/// Converts a file of version 0.1, or leaves that to the first commit if there is no room.
pub(super) fn recover_unchecked<S: Storage>(
    storage: &mut S,
    file: S::File,
    users: Users,
) -> Result<(UsersFile<S::File>, State), RecoverError> {
    let file = AppendFile::new(file, users.length)?;
    let mut recovered = UsersFile { file, check: Check::START, mark: None, is_unchecked: true };
    if let Err(error) = recovered.convert(storage) {
        warn!("{USERS_FILE}: not rewritten with checksums, so that no account can be changed: {error}");
    }
    // Names in the torn end are reserved even before their records are written.
    let mut state = users.state;
    state.shrink();
    if let End::Torn(names) = users.end {
        names.into_iter().for_each(|name| state.apply(&Event::Trace(name)));
    }
    Ok((recovered, state))
}
