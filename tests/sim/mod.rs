//! A whole server within a test: its sockets, its disk and its clock are values that the test holds.
//!
//! Nothing here knows how the server does what it does. What holds always is looked at whenever a byte reaches a
//! socket ([`gate`]); what a test is about, it says itself, as a transcript ([`transcript`]) or step by step
//! ([`harness::Sim`]).
//!
//! With a seed everything happens at once ([`run`]): [`people`] do what people do, [`faults`] befall the machine,
//! and a [`model`] that knows only what can be seen from outside says whether what is promised holds.

#![allow(dead_code, reason = "not every test program that shares this needs all of it")]

pub mod disk;
pub mod faults;
pub mod gate;
pub mod harness;
pub mod model;
pub mod net;
pub mod people;
pub mod run;
pub mod tally;
pub mod transcript;
pub mod world;
