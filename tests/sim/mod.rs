//! A whole server within a test: its sockets, its disk and its clock are values that the test holds.
//!
//! Nothing here knows how the server works. [`gate`] checks every byte that reaches a socket against what always
//! holds; a test states what it is about as a transcript ([`transcript`]) or step by step ([`harness::Sim`]).
//!
//! With a seed, everything happens at once ([`run`]): people talk ([`workload`]), [`visitors`] come by, [`absentees`]
//! are lost, [`roomers`] enter and leave rooms, an [`adversary`] attacks, [`faults`] befall the machine, its [`clock`]
//! goes wrong, files [`rot`] between two runs, a [`meddler`] takes them away during one, and a [`model`] that sees only
//! what is visible from outside decides whether the guarantees hold.

#![allow(dead_code, reason = "not every test program that shares this needs all of it")]

pub mod absentees;
pub mod adversary;
pub mod clock;
pub mod disk;
pub mod faults;
pub mod gate;
pub mod harness;
pub mod meddler;
pub mod model;
pub mod net;
pub mod roomers;
pub mod rooms;
pub mod rot;
pub mod run;
pub mod sums;
pub mod tally;
pub mod transcript;
pub mod visitors;
pub mod workload;
pub mod world;
