//! Who came and who went: one line at most a second, however many they are.

use crate::sim::harness::{Sim, options};

#[test]
fn many_who_come_at_once_are_told_of_in_one_line_a_second() {
    let mut options = options();
    options.per_address = None;
    options.rules.limits_addresses = false;
    let mut sim = Sim::with(options);
    sim.join("alice");
    sim.run_seconds(5);
    let names: Vec<_> = (0..43).map(|number| format!("n{number:02}")).collect();
    for name in &names {
        sim.connect(name);
        sim.send(name, format!("/register {name} correct-horse\n"));
    }
    sim.settle();
    assert_eq!(sim.output("alice"), ["* n00, n01 and 41 others joined"]);
    for name in &names {
        assert!(!sim.output(name).concat().contains("joined"), "nobody is told of himself");
        sim.peer(name).reset();
    }
    sim.settle();
    assert_eq!(sim.output("alice"), [""; 0], "not within the same second");
    sim.run_seconds(1);
    assert_eq!(sim.output("alice"), ["* n00, n01 and 41 others left"]);
}

#[test]
fn one_after_another_they_are_told_of_at_most_once_a_second() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.run_seconds(5);
    for number in 0..20 {
        sim.join(&format!("n{number}"));
        sim.run_for(200_000);
    }
    sim.run_seconds(2);
    let output = sim.output("alice");
    assert!((4..=6).contains(&output.len()), "20 in 4 seconds: {output:#?}");
    let named = |line: &String| {
        let names = line.strip_prefix("* ").unwrap().strip_suffix(" joined").unwrap();
        names.replace(" and ", ", ").split(", ").map(str::to_owned).collect::<Vec<_>>()
    };
    let mut named: Vec<_> = output.iter().flat_map(named).collect();
    let mut names: Vec<_> = (0..20).map(|number| format!("n{number}")).collect();
    named.sort();
    names.sort();
    assert_eq!(named, names, "each of them once");
}

#[test]
fn who_comes_and_goes_within_the_second_was_never_here() {
    let mut sim = Sim::new();
    sim.join("alice");
    sim.join("bob");
    sim.say("bob", "/quit");
    sim.run_seconds(3);
    assert_eq!(sim.output("alice"), [""; 0]);
}
