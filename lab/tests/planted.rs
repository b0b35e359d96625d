//! The harness itself: a difference that is planted in "ours" is seen, whatever part of the result it is in.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use lab::compare::{Findings, What, outcomes};
use lab::differential::{Kind, Tally, Worker};
use lab::oracle::{Call, Programs};
use lab::root::test_as_root;
use lab::side::Pair;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");
const STOCK: &str = "/usr/sbin/xtables-nft-multi \"${0##*/}\"";

/// Stock behind a script with these lines.
fn scripted(name: &str, lines: &str) -> Programs {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("planted-{name}"));
    std::fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mode");
    Programs::linked(&format!("planted-{name}"), &path)
}

#[test]
fn a_wrong_exit_code_output_and_message_are_seen() {
    test_as_root("a_wrong_exit_code_output_and_message_are_seen", AS_ROOT, || {
        let ours = scripted("outcome", &format!("{STOCK} \"$@\"\necho more\necho oops >&2\nexit 3"));
        let pair = Pair::of(Programs::theirs(), ours).expect("namespaces");
        let call = Call::new(["iptables", "-S"]);
        let (theirs, ours) = pair.run(&call).expect("runs");
        let seen: Vec<_> = outcomes(&[call], &theirs, &ours).into_iter().map(|difference| difference.what).collect();
        assert_eq!(seen, [What::Code, What::Stdout, What::Complaint]);
    });
}

#[test]
fn a_rule_that_is_written_otherwise_is_seen_in_the_kernel_and_in_listings() {
    test_as_root("a_rule_that_is_written_otherwise_is_seen_in_the_kernel_and_in_listings", AS_ROOT, || {
        // ours writes every destination port 22 as 23
        let ours = scripted("rule", &format!("sed 's/ 22 / 23 /g' | {STOCK} \"$@\""));
        let seen = differences(Kind::Rules, 4, ours);
        assert!(seen.contains(&What::Kernel) && seen.contains(&What::TheirsOnOurs), "{seen:?}");
    });
}

#[test]
fn a_failing_command_that_changes_something_is_seen() {
    test_as_root("a_failing_command_that_changes_something_is_seen", AS_ROOT, || {
        let extra = "/usr/sbin/xtables-nft-multi iptables -N planted$$";
        let ours = scripted("change", &format!("{STOCK} \"$@\" || {{ code=$?; {extra}; exit $code; }}"));
        assert!(differences(Kind::Wrong, 1, ours).contains(&What::Changed));
    });
}

/// Which parts differ in some batches of this kind.
fn differences(kind: Kind, batches: usize, ours: Programs) -> Vec<What> {
    let (findings, tally) = (Findings::of("planted"), Tally::default());
    let mut worker = Worker::new(Programs::theirs(), ours, &findings, &tally).expect("namespaces");
    for number in 0..batches {
        worker.batch(kind, 1, number).expect("batch");
    }
    findings.counts().into_keys().collect()
}
