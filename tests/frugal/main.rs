//! What a message costs, counted and not timed: a machine's mood changes neither allocations nor system calls.
//! Where a count rises, the change that raised it had better be worth it.

#[path = "../common/mod.rs"]
mod common;
#[path = "../sim/world.rs"]
#[allow(dead_code, reason = "chance has no place here")]
mod world;

mod allocations;
mod system_calls;
