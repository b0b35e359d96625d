//! Whole rulesets: restored by one program and saved by the other gives what stock gives alone.
//!
//! The files of this directory are our own; `OXTABLES_CORPUS` names a directory with more (`*.rules`; files whose name holds
//! `ip6` or `rules.v6` are IPv6).

use std::path::Path;

use lab::compare::{Difference, Findings, What, outcomes, parting, texts};
use lab::generate::corpus::{files, is_v6};
use lab::oracle::{Call, Programs};
use lab::root::test_as_root;
use lab::side::Pair;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");

/// Restores and saves a file in every pairing of programs and compares with stock alone.
#[expect(clippy::print_stdout, reason = "a refusal by both is worth knowing")]
fn check(pair: &mut Pair, path: &Path) -> Vec<Difference> {
    let name = path.display().to_string();
    let v6 = is_v6(path);
    let [restore, save] =
        if v6 { ["ip6tables-restore", "ip6tables-save"] } else { ["iptables-restore", "iptables-save"] };
    pair.flush().expect("flush");
    let load = Call::new([restore, "-c"]).reading(std::fs::read(path).expect("a readable file"));
    let (theirs, ours) = pair.run(&load).expect("runs");
    // the file's name instead of its text, to be readable
    let shown = Call::new([restore, "-c", &name]);
    let mut found = outcomes(std::slice::from_ref(&shown), &theirs, &ours);
    if theirs.code != 0 || ours.code != 0 {
        if theirs.code == ours.code {
            println!("{name}: stock refuses it with {}, so does ours", theirs.code);
        }
        return found;
    }
    let (their_dump, our_dump) = (pair.theirs.dump().expect("dump"), pair.ours.dump().expect("dump"));
    if let Some((theirs, ours)) = parting(&their_dump.lines(), &our_dump.lines()) {
        found.push(Difference { what: What::Kernel, commands: vec![shown.clone()], theirs, ours });
    }
    for call in [Call::new([save]), Call::new([save, "-c"])] {
        let reference = pair.theirs.run(&call).expect("runs");
        let others = [
            (What::TheirsOnOurs, pair.ours.run_other(&pair.theirs.programs, &call).expect("runs")),
            (What::OursOnTheirs, pair.theirs.run_other(&pair.ours.programs, &call).expect("runs")),
            (What::OursOnOurs, pair.ours.run(&call).expect("runs")),
        ];
        for (what, other) in others {
            let commands = vec![shown.clone(), call.clone()];
            if let Some((theirs, ours)) = texts(&reference.stdout, &other.stdout) {
                found.push(Difference { what, commands, theirs, ours });
            } else {
                found.extend(outcomes(&commands, &reference, &other));
            }
        }
    }
    found
}

fn run(ours: &Programs) -> Findings {
    let findings = Findings::of("rulesets");
    let mut pair = Pair::of(Programs::theirs(), ours.clone()).expect("namespaces");
    for path in files() {
        findings.add(check(&mut pair, &path));
    }
    findings
}

#[test]
fn stock_against_stock_shows_no_difference() {
    test_as_root("stock_against_stock_shows_no_difference", AS_ROOT, || run(&Programs::theirs()).assert_none(false));
}

#[test]
fn every_ruleset_is_the_same_with_ours() {
    test_as_root("every_ruleset_is_the_same_with_ours", AS_ROOT, || run(&Programs::ours()).assert_none(false));
}
