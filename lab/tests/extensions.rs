//! Every extension of the lists beside stock: some rules, some wrong uses, and its help. The full numbers (300 rules and 100 wrong uses
//! each) are runs of `differential --extension all`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lab::compare::Findings;
use lab::differential::extension::Done;
use lab::differential::{Tally, Worker};
use lab::generate::extension::Subject;
use lab::oracle::Programs;
use lab::root::test_as_root;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");
/// How many rules, and how many wrong uses, for each extension in each of its families.
const RULES: usize = 40;
const WRONG: usize = 20;

/// Does the work for every extension, in as many threads as there are processors, and fails if anything differs.
fn each(test: &str, run: &str, work: impl Fn(&mut Worker<'_>, &Subject) -> std::io::Result<Done> + Sync) {
    test_as_root(test, AS_ROOT, || {
        let subjects = Subject::of("all").expect("all extensions");
        let (findings, next) = (Findings::of(run), AtomicUsize::new(0));
        let nothing = Mutex::new(Vec::new());
        let take = || {
            let tally = Tally::default();
            let mut worker = Worker::new(Programs::theirs(), Programs::ours(), &findings, &tally).expect("namespaces");
            while let Some(subject) = subjects.get(next.fetch_add(1, Ordering::Relaxed)) {
                let done = work(&mut worker, subject).expect("run");
                if done.counted == 0 {
                    nothing.lock().expect("names").push(format!("{} {}", subject.program(), subject.spec.name));
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(2, |n| n.get().min(4));
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(take))));
        findings.assert_none(false);
        // Some need what the running kernel does not have (a security module for SECMARK, ipvs, CLUSTERIP).
        let nothing = nothing.into_inner().expect("names");
        assert!(nothing.len() * 10 <= subjects.len(), "nothing of {nothing:?}");
    });
}

#[test]
fn rules_of_every_extension_are_written_and_listed_as_by_stock() {
    each("rules_of_every_extension_are_written_and_listed_as_by_stock", "rules", |worker, subject| {
        worker.extension_rules(subject, 1, RULES)
    });
}

#[test]
fn wrong_uses_of_every_extension_fail_as_with_stock() {
    each("wrong_uses_of_every_extension_fail_as_with_stock", "wrong", |worker, subject| {
        worker.extension_wrong(subject, 1, WRONG)
    });
}

#[test]
fn help_names_every_option_that_stocks_help_names() {
    each("help_names_every_option_that_stocks_help_names", "rules", |worker, subject| worker.extension_help(subject));
}

/// `docs/extensions.md` has a row for everything that stock has a library for.
#[test]
fn the_table_in_the_docs_has_every_extension_of_stock() {
    let table = include_str!("../../docs/extensions.md");
    let mut found = 0;
    for directory in ["/usr/lib/x86_64-linux-gnu/xtables", "/usr/lib/aarch64-linux-gnu/xtables", "/usr/lib/xtables"] {
        for entry in std::fs::read_dir(directory).into_iter().flatten() {
            let file = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            let name =
                ["libxt_", "libipt_", "libip6t_"].iter().find_map(|kind| file.strip_prefix(kind)?.strip_suffix(".so"));
            // one is for verdicts, the other for several targets at once
            let Some(name) = name.filter(|name| !["standard", "NAT"].contains(name)) else { continue };
            found += 1;
            let flag = if name.starts_with(|c: char| c.is_ascii_uppercase()) { "-j" } else { "-m" };
            assert!(table.contains(&format!("`{flag} {name}`")), "no row for {flag} {name}");
        }
    }
    assert!(found > 80, "only {found} libraries of stock found");
}
