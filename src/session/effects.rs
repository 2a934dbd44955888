//! What is to happen once a turn's batch is on disk: the chat writes it down, the server does it.

use crate::auth::attempt::SaveReason;
use crate::clock::{Now, World};
use crate::ids::{AccountId, SessionId};
use crate::limits::USER_RECORDS_PER_TURN_MAX;
use crate::log::journal::{Batch, Staged};
use crate::protocol::command::HistoryRange;
use crate::protocol::name::Name;
use crate::protocol::record::{Target, Timestamp};
use crate::protocol::reply::Reply;
use crate::protocol::room::RoomName;
use crate::state::durable::State;
use crate::state::event::{Event, Refusal};
use crate::state::users::UserRecord;

/// What a turn gives to everything that happens in it.
pub struct Context<'a> {
    /// The time of the turn.
    pub now: Now,
    /// For salts, and for the clock while passwords are hashed.
    pub world: &'a mut dyn World,
    /// Where messages go.
    pub batch: &'a mut Batch,
    /// Where everything else goes.
    pub effects: &'a mut Effects,
}

/// What is to happen once the turn's batch is on disk, in order.
#[derive(Default)]
pub struct Effects {
    list: Vec<Effect>,
    text: Vec<u8>,
    saves: Vec<Save>,
}

/// A line in [`Effects`].
#[derive(Clone, Copy, Debug)]
pub struct Text {
    start: u32,
    end: u32,
}

/// One thing that is to happen.
#[derive(Clone, Copy, Debug)]
pub enum Effect {
    /// A line for one session.
    Direct(SessionId, Text),
    /// A notice for all that are live.
    Everyone(Text),
    /// A public message, from a session.
    Say(SessionId, Staged),
    /// A private message.
    Whisper {
        /// Where it was written.
        from: SessionId,
        /// Who wrote it: by the release that session may be gone, and others of the account are not.
        author: AccountId,
        /// Who it is for.
        to: AccountId,
        /// Whether that account has no session.
        offline: bool,
        /// Its line.
        line: Staged,
    },
    /// A message in a room, from a session.
    SayInRoom(SessionId, RoomName, Staged),
    /// An event that a session caused.
    Deed(SessionId, Staged),
    /// The session is logged in.
    Enter {
        /// Which.
        session: SessionId,
        /// So many missed public messages are to be shown.
        replay: u32,
        /// Whether the account was made just now.
        is_new: bool,
    },
    /// The session waits for an answer that comes from elsewhere.
    Ask(SessionId, Ask),
    /// The session takes lines again.
    Resume(SessionId),
    /// The session ends, for this reason; its last line comes before.
    Close(SessionId, &'static str),
}

/// An answer that is made when all earlier ones are sent.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// A part of the log; of everything, or of one conversation.
    History(HistoryRange, Option<Target>),
    /// The list of those online.
    Users,
    /// The members of a room.
    UsersOf(RoomName),
    /// The rooms.
    Rooms,
    /// Goodbye, and the end.
    Quit,
}

/// Records of one name to be stored with the turn's batch, all or none of them. A turn has at most one of each name, so
/// each is admitted by the state that all earlier ones produced.
#[derive(Debug)]
pub struct Save {
    /// Whose attempt it comes of.
    pub session: SessionId,
    /// The name that all records are about.
    pub name: Name,
    /// What is to be stored, in this order.
    pub records: Vec<UserRecord>,
    /// And why.
    pub reason: SaveReason,
}

impl Effects {
    /// Whether nothing is to happen.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.saves.is_empty()
    }

    /// How many bytes of text it holds.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Whether the last thing to happen is a message that is not for everyone.
    pub fn ends_with_direct_message(&self) -> bool {
        matches!(self.list.last(), Some(Effect::Whisper { .. } | Effect::SayInRoom(..)))
    }

    /// What is to happen, in order.
    pub fn list(&self) -> &[Effect] {
        &self.list
    }

    /// What is to be stored.
    pub fn saves(&self) -> &[Save] {
        &self.saves
    }

    /// Whether no more lines should be handled in this turn, because the accounts file would have to take too much.
    pub fn is_full(&self) -> bool {
        self.saves.iter().map(|save| save.records.len()).sum::<usize>() >= USER_RECORDS_PER_TURN_MAX
    }

    /// Takes what is to be stored, to tell of each how it went.
    pub fn take_saves(&mut self) -> Vec<Save> {
        std::mem::take(&mut self.saves)
    }

    /// A line with its ending.
    pub fn text(&self, text: Text) -> &[u8] {
        &self.text[text.start as usize..text.end as usize]
    }

    /// Ready for the next turn; the memory is used again.
    pub fn clear(&mut self) {
        self.list.clear();
        self.text.clear();
        self.saves.clear();
    }

    /// Adds a reply for one session.
    pub fn direct<'a>(&mut self, session: SessionId, reply: impl Into<Reply<'a>>) {
        let text = self.write(format_args!("{}", reply.into()));
        self.list.push(Effect::Direct(session, text));
    }

    /// Adds a text for a client that speaks another protocol, without its last line ending.
    pub fn direct_foreign(&mut self, session: SessionId, text: &str) {
        let text = self.write(format_args!("{text}"));
        self.list.push(Effect::Direct(session, text));
    }

    /// Adds what is no line.
    pub fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    /// Whether there are records to be stored of this name, or of one that looks like it. Whatever else depends on the
    /// name has to wait for the next turn.
    pub fn is_staged(&self, name: &Name) -> bool {
        self.saves.iter().any(|save| save.name == *name || save.name.looks_like(name))
    }

    /// Adds what is to be stored, if the state admits all of it at this moment.
    ///
    /// # Errors
    /// Why it does not; then nothing is stored.
    pub fn stage(&mut self, save: Save, state: &State, at: Timestamp) -> Result<(), Refusal> {
        assert!(!self.is_staged(&save.name), "a turn takes each name once");
        for record in &save.records {
            state.admit(&Event::Account(*record), at)?;
        }
        self.saves.push(save);
        Ok(())
    }

    /// Adds a notice for everyone.
    pub fn everyone<'a>(&mut self, notice: impl Into<Reply<'a>>) {
        let text = self.write(format_args!("{}", notice.into()));
        self.list.push(Effect::Everyone(text));
    }

    fn write(&mut self, line: std::fmt::Arguments<'_>) -> Text {
        let start = self.text.len() as u32;
        std::io::Write::write_fmt(&mut self.text, line).expect("writing to memory cannot fail");
        self.text.push(b'\n');
        Text { start, end: self.text.len() as u32 }
    }
}
