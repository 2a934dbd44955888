//! The files: what is written ahead of being shown, recovered at startup, and read by cursors.
//!
//! Assumptions about the disk: an append reaches the end of the file in any number of whole or zeroed sectors until a
//! sync has reported success; a rename is atomic once its directory is synced. See [`recovery`] for what a crash
//! leaves, and [`journal`] for what is synced when.

pub mod blocks;
pub mod cache;
pub mod chain;
pub mod chunk;
pub mod cursor;
pub mod directory;
pub mod journal;
pub mod judge;
pub mod mark;
pub mod offset;
pub mod reader;
pub mod recovery;
pub mod replay;
pub mod search;
pub mod storage;
pub mod tail;
