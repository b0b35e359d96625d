//! The simulator's walk against the kernel's counters; `OXTABLES_WALKS=N` sends at N random rulesets instead of a sample,
//! `OXTABLES_SEED=N` at others.

use std::env;

use lab::root::test_as_root;
use lab::walk::{Line, Tally};

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

#[test]
fn the_walk_meets_the_rules_that_the_kernel_counts() {
    test_as_root("the_walk_meets_the_rules_that_the_kernel_counts", env!("CARGO_BIN_EXE_lab-as-root"), || {
        let batches = usize::try_from(number("OXTABLES_WALKS").unwrap_or(40)).expect("a small number");
        let seed = number("OXTABLES_SEED").unwrap_or(1);
        let (mut line, mut tally) = (Line::new(), Tally::default());
        for batch in 0..batches {
            line.batch(seed, batch, 25, &mut tally);
        }
        let Tally { compared, uncertain, disturbed, met, faults } = tally;
        println!("{compared} compared, {uncertain} uncertain, {disturbed} disturbed; met: {met:?}");
        assert!(faults.is_empty(), "{} of {compared}:\n\n{}", faults.len(), faults[..faults.len().min(5)].join("\n\n"));
        assert!(compared * 10 > batches * 25 * 7, "only {compared} of {} could be compared", batches * 25);
    });
}
