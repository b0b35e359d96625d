//! Every command of the five articles, in each article's order, for both families: a caller cannot tell stock from ours.

use lab::article;
use lab::compare::Findings;
use lab::oracle::Programs;
use lab::root::test_as_root;
use lab::side::Pair;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");
const ARTICLES: &[&str] = &[
    include_str!("../cases/articles/1-common-rules.cases"),
    include_str!("../cases/articles/2-whitelist-and-rate.cases"),
    include_str!("../cases/articles/3-secure-your-servers.cases"),
    include_str!("../cases/articles/4-in-and-out.cases"),
    include_str!("../cases/articles/5-hands-on.cases"),
];
/// What programs depend on: exit codes, messages, forms of call.
const CONTRACT: &[&str] = &[
    include_str!("../cases/contract/errors.cases"),
    include_str!("../cases/contract/clients.cases"),
    include_str!("../cases/contract/restore.cases"),
    include_str!("../cases/contract/options.cases"),
    include_str!("../cases/contract/listing.cases"),
    include_str!("../cases/contract/debug.cases"),
    include_str!("../cases/contract/departures.cases"),
];

/// Runs all case files for both families and collects the differences.
fn run(name: &str, cases: &[&str], ours: &Programs) -> Findings {
    let findings = Findings::of(name);
    let mut pair = Pair::of(Programs::theirs(), ours.clone()).expect("namespaces");
    for v6 in [false, true] {
        for calls in cases.iter().flat_map(|text| article::read(text, v6)) {
            pair.flush().expect("flush");
            findings.add(article::compare(&mut pair, &calls));
        }
    }
    findings
}

#[test]
fn stock_against_stock_shows_no_difference() {
    test_as_root("stock_against_stock_shows_no_difference", AS_ROOT, || {
        run("self", ARTICLES, &Programs::theirs()).assert_none(false);
        run("self", CONTRACT, &Programs::theirs()).assert_none(false);
    });
}

#[test]
fn every_article_is_the_same_with_ours() {
    test_as_root("every_article_is_the_same_with_ours", AS_ROOT, || {
        run("articles", ARTICLES, &Programs::ours()).assert_none(true);
    });
}

#[test]
fn what_programs_depend_on_is_the_same_with_ours() {
    test_as_root("what_programs_depend_on_is_the_same_with_ours", AS_ROOT, || {
        run("contract", CONTRACT, &Programs::ours()).assert_none(true);
    });
}
