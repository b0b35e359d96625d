//! The native encoding decides every packet as stock's does; `OXTABLES_ALIKE=N` takes N rules of each extension, `OXTABLES_SEED=N` others,
//! `OXTABLES_ONLY=a,b` only these.
#![expect(clippy::print_stdout, reason = "the counts are worth knowing")]

use std::env;

use lab::alike::{Road, Tally};
use lab::generate::extension::Subject;
use lab::random::Random;
use lab::root::test_as_root;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");

fn number(name: &str) -> Option<usize> {
    env::var(name).ok()?.parse().ok()
}

/// Fails if anything disagreed, or if fewer than `extensions` were met in a native form of their own.
fn report(tally: &Tally, extensions: usize) {
    for ((name, family), seen) in &tally.seen {
        println!("{name} {family}: {seen:?}");
    }
    println!("{} packets", tally.packets);
    let faults = &tally.faults;
    let native = tally.seen.iter().filter(|(_, seen)| seen.native > 0).map(|((name, _), _)| name);
    let native = native.collect::<std::collections::BTreeSet<_>>().len();
    println!("{native} extensions with native forms");
    assert!(env::var_os("OXTABLES_ONLY").is_some() || native >= extensions && tally.packets >= 2000);
    assert!(faults.is_empty(), "{}:\n\n{}", faults.len(), faults[..faults.len().min(20)].join("\n\n"));
}

#[test]
fn matches_decide_alike_in_both_encodings() {
    test_as_root("matches_decide_alike_in_both_encodings", AS_ROOT, || {
        let subjects = Subject::of(&env::var("OXTABLES_ONLY").unwrap_or("all".into())).expect("extensions");
        let mut random = Random::new(number("OXTABLES_SEED").unwrap_or(1) as u64);
        let count = number("OXTABLES_ALIKE").unwrap_or(6);
        let (road, mut tally) = (Road::new(), Tally::default());
        for tracked in [false, true] {
            road.matches(&mut random, &subjects, count, tracked, &mut tally);
        }
        report(&tally, 40);
    });
}

#[test]
fn targets_do_alike_in_both_encodings() {
    test_as_root("targets_do_alike_in_both_encodings", AS_ROOT, || {
        let subjects = Subject::of(&env::var("OXTABLES_ONLY").unwrap_or("all".into())).expect("extensions");
        let mut random = Random::new(number("OXTABLES_SEED").unwrap_or(1) as u64);
        let count = number("OXTABLES_ALIKE").unwrap_or(3);
        let (road, mut tally) = (Road::new(), Tally::default());
        road.targets(&mut random, &subjects, count, &mut tally);
        report(&tally, 18);
    });
}
