//! A seeded sample of the generated work, as CI runs it; the full numbers are runs of the `differential` program.

use lab::compare::Findings;
use lab::differential::{Kind, Tally, Worker};
use lab::oracle::Programs;
use lab::root::test_as_root;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");

fn sample(test: &str, name: &str, batches: usize) {
    test_as_root(test, AS_ROOT, || {
        let kind = Kind::ALL.iter().find(|(known, _)| *known == name).expect("a kind").1;
        let (findings, tally) = (Findings::of(name), Tally::default());
        let mut worker = Worker::new(Programs::theirs(), Programs::ours(), &findings, &tally).expect("namespaces");
        for number in 0..batches {
            worker.batch(kind, 1, number).expect("batch");
        }
        findings.assert_none(false);
    });
}

#[test]
fn valid_rules_are_written_and_listed_as_by_stock() {
    sample("valid_rules_are_written_and_listed_as_by_stock", "rules", 10);
}

#[test]
fn sequences_of_commands_end_in_the_same_ruleset() {
    sample("sequences_of_commands_end_in_the_same_ruleset", "mutations", 10);
}

#[test]
fn broken_commands_fail_alike_and_change_nothing() {
    sample("broken_commands_fail_alike_and_change_nothing", "wrong", 6);
}

#[test]
fn restore_files_have_the_same_effect() {
    sample("restore_files_have_the_same_effect", "restore", 6);
}

#[test]
fn every_form_of_listing_is_the_same() {
    sample("every_form_of_listing_is_the_same", "listing", 6);
}
