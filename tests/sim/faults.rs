//! What befalls the machine that a server runs on.

use std::io::ErrorKind;

use super::disk::{BLOCKS, Disk, LOG, SEEN, STATE, SimDisk, USERS};
use super::net::SimNet;
use super::tally::Tally;
use super::world::{SimWorld, XorShift};

/// Every kind of trouble, by the name that it is counted by where it comes about.
pub const KINDS: [&str; 69] = [
    "connection through a proxy",
    "short read",
    "short write",
    "blocked write",
    "interrupted call",
    "spurious event",
    "failed accept",
    "failed watch",
    "out of descriptors",
    "half-close",
    "close",
    "reset",
    "stalled reader",
    "flood",
    "line without an end",
    "burst of connections",
    "full disk",
    "full quota",
    "too large a file",
    "short append",
    "slow sync",
    "failed sync",
    "failed truncate",
    "failed read of a file",
    "no randomness",
    "clock stepped back",
    "clock leapt ahead",
    "kill",
    "kill in a change of the disk",
    "shutdown",
    "start that a broken disk refused",
    "power failure in an append",
    "power failure in a sync",
    "power failure in a truncate",
    "power failure in a create",
    "power failure in a rename",
    "unsynced bytes all lost",
    "unsynced bytes all kept",
    "unsynced bytes torn",
    "unsynced bytes zeroed",
    "hostile connection",
    "hostile flood",
    "guess at a password",
    "wrong token or code",
    "adversary that never reads",
    "request of a web page",
    "bad header of a proxy",
    "guess of a visitor",
    "rush of visitors",
    "visitor that takes no answer",
    "visitor with a token",
    "absentees in silence",
    "claim to come from elsewhere",
    "file taken from a running server",
    "clock far back",
    "clock far ahead",
    "clock that stands still",
    "clock before 1970",
    "clock millennia ahead",
    "clock after the year 9999",
    "flipped bits",
    "zeroed sectors",
    "file cut short",
    "older copy of a file",
    "removed file",
    "two files damaged at once",
    "state cut off at a line",
    "start that damage refused",
    "start on a damaged directory",
];

/// What is left to a run to do, since it ends the server.
pub enum End {
    No,
    /// It is gone from one moment to the next, and the system stays.
    Kill,
    Shutdown,
}

/// Something happens, or ends.
pub fn befall(
    net: &SimNet,
    disk: &SimDisk,
    world: &mut SimWorld,
    victim: Option<usize>,
    random: &mut XorShift,
    tally: &mut Tally,
) -> End {
    match random.below(60) {
        0..8 => befall_disk(&mut disk.state(), random),
        8..16 => befall_socket(net, victim, random),
        16 => net.state().accept_errors.push_back(random.one_of(&[ErrorKind::Other, ErrorKind::OutOfMemory])),
        17 => net.state().out_of_descriptors ^= true,
        18 => net.state().no_spare ^= true,
        19 => net.state().watch_fails ^= true,
        20 => net.state().habits.spurious = random.one_of(&[0, 5, 100]),
        21 => {
            let often = random.one_of(&[0, 2, 50]);
            net.state().habits.interrupted = often;
            disk.state().interrupted = often;
        }
        22..24 => {
            world.wall_us = world.wall_us.saturating_sub(random.below(5_000_000));
            tally.count("clock stepped back");
        }
        24 => {
            let us = random.one_of(&[2_000_000, 30_000_000, 70_000_000, 700_000_000]);
            world.advance(us);
            tally.count("clock leapt ahead");
        }
        25 => {
            world.random_fails ^= true;
        }
        26..28 => world.look_us = random.one_of(&[0, 1, 1_000]),
        28 if random.below(3) == 0 => return End::Kill,
        29 if random.below(3) == 0 => return End::Shutdown,
        _ => heal(net, disk, world),
    }
    End::No
}

/// Nothing is wrong any more.
pub fn heal(net: &SimNet, disk: &SimDisk, world: &mut SimWorld) {
    disk.state().heal();
    let mut net = net.state();
    (net.out_of_descriptors, net.no_spare, net.watch_fails) = (false, false, false);
    net.accept_errors.clear();
    (net.habits.spurious, net.habits.interrupted) = (0, 0);
    world.random_fails = false;
    world.look_us = 0;
}

/// The disk fills up, slows down or breaks.
pub fn befall_disk(disk: &mut Disk, random: &mut XorShift) {
    match random.below(24) {
        0..5 => {
            disk.room = Some(random.below(6_000) as usize);
            disk.refusal = random.one_of(&[None, Some(ErrorKind::FileTooLarge)]);
        }
        5..8 => disk.full = random.one_of(&[Some(LOG), Some(USERS), Some(SEEN), Some(STATE), Some(BLOCKS)]),
        8..11 => disk.append_max = Some(1 + random.below(400) as usize),
        11..14 => disk.sync_us = random.below(300_000),
        14 => disk.sync_fails = random.one_of(&[Some(LOG), Some(USERS), Some(STATE)]),
        15 => {
            disk.truncate_fails = true;
            disk.room = Some(random.below(500) as usize);
        }
        16 => disk.read_fails = true,
        _ => disk.power_fails_after = Some(1 + random.below(30)),
    }
}

fn befall_socket(net: &SimNet, victim: Option<usize>, random: &mut XorShift) {
    let Some(peer) = victim else { return };
    let reads_short = net.state().habits.reads_short;
    let mut peer = net.peer(peer);
    if !peer.is_accepted() {
        return;
    }
    match random.below(3) {
        0 => peer.write_max = random.one_of(&[1, 10, 500, 5_000, usize::MAX]),
        // Linux promises that a short read is the last, and another system does not.
        1 if reads_short => peer.read_max = random.one_of(&[1, 3, 100, usize::MAX]),
        _ => peer.capacity = random.one_of(&[1, 100, 5_000, usize::MAX]),
    }
}
