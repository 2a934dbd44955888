//! Whether a `users.txt` has everything that its mark in `state.txt` covers.

use std::io;

use super::{End, Form, USERS_FILE, Users};
use crate::log::mark::{Disagreement, line_before};
use crate::log::storage::File;
use crate::state::checkpoint::UsersMark;
use crate::state::users::Check;

impl Users {
    /// The end of its last line that counts; `None` for a file of version 0.1.
    pub(super) fn mark(&self) -> Option<UsersMark> {
        // It has its newline, or is about to get it.
        let length = self.whole.bytes() + u64::from(self.end == End::NoNewline);
        (self.form == Form::Sealed).then_some(UsersMark { length, check: self.check })
    }
}

impl UsersMark {
    /// Compares the mark with a file, from which `users` was read. Without that, only the length is compared. `file` is
    /// `None` if there is no file.
    ///
    /// # Errors
    /// The system's.
    pub fn compare(
        &self,
        file: Option<&impl File>,
        users: Option<&Users>,
    ) -> io::Result<Result<(), Disagreement>> {
        let UsersMark { length, check } = *self;
        if length == 0 {
            return Ok(Ok(()));
        }
        let line = match (line_before(file, USERS_FILE, length)?, users) {
            (Ok((line, _)), Some(_)) => line,
            (Ok(_), None) => return Ok(Ok(())),
            (Err(disagreement), _) => return Ok(Err(disagreement)),
        };
        let what = match users.and_then(Users::mark) {
            None => "there are no checksums in it, although there were, as state.txt says".into(),
            _ if Check::at_end(&line) != Some(check) => format!(
                "the line that ends at byte {length} does not have the checksum {}, as state.txt says: this is another \
                 file or an older one, or it was changed",
                check.as_str()
            ),
            Some(end) if end.length < length => format!(
                "damaged at byte {}, although {length} bytes of it were saved, as state.txt says",
                end.length
            ),
            Some(_) => return Ok(Ok(())),
        };
        Ok(Err(Disagreement { file: USERS_FILE, what, is_gone: false }))
    }
}
