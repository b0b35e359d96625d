//! What `iptables-translate` prints decides every packet as the rule does, when `nft -f` has loaded it; `OXTABLES_ALIKE=N` takes N rules of
//! each extension, `OXTABLES_SEED=N` others, `OXTABLES_ONLY=a,b` only these.
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

/// Fails if anything disagreed, or if fewer than `rules` were translated, or fewer than `packets` sent.
fn report(tally: &Tally, rules: usize, packets: usize) {
    for ((name, family), seen) in tally.seen.iter().filter(|(_, seen)| seen.native + seen.refused > 0) {
        println!(
            "{name} {family}: {} translated, {} met, {} without translation, {} refused",
            seen.native, seen.met, seen.same, seen.refused
        );
    }
    let translated: usize = tally.seen.values().map(|seen| seen.native).sum();
    let met: usize = tally.seen.values().map(|seen| seen.met).sum();
    println!("{translated} rules, {met} of them met, {} packets", tally.packets);
    let faults = &tally.faults;
    assert!(faults.is_empty(), "{}:\n\n{}", faults.len(), faults[..faults.len().min(60)].join("\n\n"));
    assert!(env::var_os("OXTABLES_ONLY").is_some() || translated >= rules && tally.packets >= packets);
}

#[test]
fn matches_decide_alike_in_translation() {
    test_as_root("matches_decide_alike_in_translation", AS_ROOT, || {
        let subjects = Subject::of(&env::var("OXTABLES_ONLY").unwrap_or("all".into())).expect("extensions");
        let mut random = Random::new(number("OXTABLES_SEED").unwrap_or(1) as u64);
        let count = number("OXTABLES_ALIKE").unwrap_or(6);
        let (road, mut tally) = (Road::new(), Tally::default());
        for tracked in [false, true] {
            road.translated_matches(&mut random, &subjects, count, tracked, &mut tally);
        }
        report(&tally, 500, 2000);
    });
}

#[test]
fn targets_do_alike_in_translation() {
    test_as_root("targets_do_alike_in_translation", AS_ROOT, || {
        let subjects = Subject::of(&env::var("OXTABLES_ONLY").unwrap_or("all".into())).expect("extensions");
        let mut random = Random::new(number("OXTABLES_SEED").unwrap_or(1) as u64);
        let count = number("OXTABLES_ALIKE").unwrap_or(2);
        let (road, mut tally) = (Road::new(), Tally::default());
        road.translated_targets(&mut random, &subjects, count, &mut tally);
        report(&tally, 30, 1000);
    });
}
