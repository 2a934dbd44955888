//! Somebody meddles with the files of a running server: takes one away, moves it elsewhere or cuts it.
//!
//! This is tried on a copy of the directory, between two runs of the simulation. From then on the server must refuse
//! whatever it would write to that file, because nobody would find it there after the next start.

use chinwag::limits::SECOND_US;
use chinwag::log::storage::Storage;

use super::disk::{LOG, SimDisk, USERS};
use super::harness::{Sim, options};
use super::model::{Guarantee, Model, broken, hold};
use super::tally::Tally;
use super::world::{SimWorld, XorShift};

#[derive(Clone, Copy, Debug)]
enum How {
    Removed,
    Moved,
    Cut,
}

/// Meddles with a file of a server that runs on a copy of a directory, and examines what it answers.
pub fn meddle(disk: &SimDisk, model: &Model, world: &SimWorld, random: &mut XorShift, tally: &mut Tally) {
    let Some((name, password)) = model.certain_accounts().into_iter().next() else { return };
    let mut sim = match Sim::try_on(disk.crash(|_, unsynced| unsynced.to_vec()), options()) {
        Ok(sim) => sim,
        Err(error) => broken(Guarantee::Durable, format!("it does not start any more: {error}")),
    };
    (sim.world.wall_us, sim.world.mono_us) = (world.wall_us, world.mono_us);
    sim.connect("owner");
    sim.say("owner", &format!("/login {name} {password}"));
    // What it missed is read, and the server has looked at its files.
    sim.run_seconds(60);
    sim.say("owner", "before");
    sim.output("owner");
    let file = random.one_of(&[LOG, USERS]);
    let how = random.one_of(&[How::Removed, How::Moved, How::Cut]);
    if sim.disk.length(file) == 0 {
        // The clock may have left no time to stamp a message with.
        return;
    }
    match how {
        How::Removed => sim.disk.remove(file),
        How::Moved => sim.disk.rename(file, "elsewhere").expect("the file is there"),
        How::Cut => sim.disk.cut_last_byte(file),
    }
    tally.count("file taken from a running server");
    sim.run_for(2 * SECOND_US);
    let line = if file == LOG { "after".into() } else { "/token".to_owned() };
    sim.say("owner", &line);
    sim.run_seconds(2);
    let answer = sim.output("owner");
    let is_refused = answer.iter().any(|line| line.starts_with("! not-saved: "));
    let is_acknowledged = answer.iter().any(|line| line.ends_with(": after") || line.starts_with("* token "));
    hold(Guarantee::Durable, is_refused && !is_acknowledged, || {
        format!("{file} was {how:?} while the server ran, and {line:?} was answered with {answer:?}")
    });
}
