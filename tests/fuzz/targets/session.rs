//! A whole server, and somebody who sends it whatever, in pieces: nobody else is disturbed, nothing is shown that is
//! not on disk or not meant for who sees it, and all of it is read again after a kill.

#![no_main]

#[path = "../../sim/mod.rs"]
mod sim;

use libfuzzer_sys::fuzz_target;
use sim::harness::Sim;

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, bytes)) = bytes.split_first() else { return };
    let mut sim = Sim::new();
    sim.join("alice");
    sim.join("bob");
    sim.say("bob", "hello");
    sim.say("bob", "/msg alice psst");
    sim.clear();
    let before = sim.visible_to("bob").len();
    sim.connect("guest");
    // Every byte that reaches a socket is held against the disk and against whom it is for, by the sockets themselves.
    for bytes in bytes.chunks(usize::from(piece) * 16 + 1) {
        if !sim.peer("guest").is_open() {
            break;
        }
        sim.send("guest", bytes);
        sim.run_for(300_000);
    }
    if sim.peer("guest").is_open() {
        sim.peer("guest").finish();
    }
    // What is delayed by the limit on its rate is done in the end.
    sim.run_seconds(700);
    // Not as lines: telnet is answered in bytes of its own.
    sim.peer("guest").take(usize::MAX);
    assert!(sim.peer("guest").is_at_end(), "who has finished is let go");
    let shown = sim.output("bob");
    let shown: Vec<_> = shown.iter().filter(|line| line.as_bytes()[0].is_ascii_digit()).collect();
    assert!(shown.into_iter().eq(&sim.visible_to("bob")[before..]), "bob saw each message once");
    let log = sim.disk.read(sim::disk::LOG);
    let mut sim = sim.restart();
    assert_eq!(sim.disk.read(sim::disk::LOG), log, "nothing was torn");
    // Somebody new: the passwords of all others may have been changed by who knows them.
    let users = sim.disk.read(sim::disk::USERS).to_lowercase();
    let name = (0..).map(|number| format!("zoe{number}")).find(|it| !users.contains(&format!("{it}:")));
    let name = name.expect("there is always another name");
    sim.join(&name);
    sim.say(&name, "and on");
    assert!(sim.output(&name).iter().any(|line| line.ends_with(&format!(" {name}: and on"))));
});
