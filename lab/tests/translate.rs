//! `iptables-translate` and `iptables-restore-translate` beside stock's: the cases, and a seeded sample of generated rules, of which all
//! that ours translates loads with `nft -c -f`.

use lab::article;
use lab::compare::Findings;
use lab::differential::translate::{Lines, translations};
use lab::differential::{Kind, Tally, Worker};
use lab::oracle::{Call, Programs};
use lab::root::test_as_root;
use lab::side::Pair;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");
const CASES: &str = include_str!("../cases/translate.cases");

/// What the cases' commands refer to.
const TABLES: &str = "*mangle\nCOMMIT\n*raw\nCOMMIT\n*nat\n:x -\nCOMMIT\n*filter\n:x -\n:foo -\nCOMMIT\n";

/// Departures that only generated rules show: they need a jump to their chain, an object, or a long list.
const GENERATED: &[&str] = &[
    "translate-limit-iface",
    "idletimer-label-held",
    "translate-queue-load",
    "translate-tee-load",
    "translate-cut-list",
];

#[test]
fn the_cases_are_translated_as_by_stock() {
    test_as_root("the_cases_are_translated_as_by_stock", AS_ROOT, || {
        let findings = Findings::of("translate");
        for v6 in [false, true] {
            let pair = Pair::new().expect("namespaces");
            let restore = Call::new([if v6 { "ip6tables-restore" } else { "iptables-restore" }]);
            let builtin = |(table, chains): &(&str, &[&str])| {
                let chains: String = chains.iter().map(|chain| format!(":{chain} ACCEPT\n")).collect();
                format!("*{table}\n{chains}COMMIT\n")
            };
            let base: String = lab::generate::TABLES.iter().map(builtin).collect();
            for text in [base.as_str(), TABLES] {
                let restored = pair.theirs.run(&Call { argv: noflush(&restore), input: Some(text.into()) });
                assert_eq!(restored.expect("runs").code, 0);
            }
            let mut lines = Lines::default();
            for call in article::read(CASES, v6).concat() {
                let (theirs, ours) = pair.run(&call).expect("runs");
                findings.add(translations(&call, &theirs, &ours, &pair.theirs).expect("nft"));
                if ours.stdout.starts_with(b"nft ") {
                    lines.add(&call, &ours);
                }
            }
            findings.add(lines.refused(&pair.theirs).expect("nft"));
        }
        findings.assert_none(false);
        let stale: Vec<_> = findings.stale().into_iter().filter(|key| !GENERATED.contains(key)).collect();
        assert!(stale.is_empty(), "entries of differences.toml that no case shows: {stale:?}");
    });
}

fn noflush(call: &Call) -> Vec<Vec<u8>> {
    call.argv.iter().cloned().chain([b"-n".to_vec()]).collect()
}

#[test]
fn generated_rules_are_translated_as_by_stock_or_not_at_all() {
    test_as_root("generated_rules_are_translated_as_by_stock_or_not_at_all", AS_ROOT, || {
        let (findings, tally) = (Findings::of("translate"), Tally::default());
        let mut worker = Worker::new(Programs::theirs(), Programs::ours(), &findings, &tally).expect("namespaces");
        for number in 0..6 {
            worker.batch(Kind::Translate, 1, number).expect("batch");
        }
        findings.assert_none(false);
    });
}
