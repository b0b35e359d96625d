//! Every command of the five articles, in each article's order, for both families: a caller cannot tell stock from ours.

use lab::article;
use lab::compare::{Difference, Findings, What, outcomes, parting};
use lab::oracle::{Call, Programs};
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
            findings.add(article(&mut pair, &calls));
        }
    }
    findings
}

fn article(pair: &mut Pair, calls: &[Call]) -> Vec<Difference> {
    let mut found = Vec::new();
    for end in 1..=calls.len() {
        let (theirs, ours) = pair.run(&calls[end - 1]).expect("runs");
        // listings change nothing, so only the commands before them are needed to repeat
        let history: Vec<Call> =
            calls[..end - 1].iter().filter(|call| !lists(call)).chain([&calls[end - 1]]).cloned().collect();
        found.extend(outcomes(&history, &theirs, &ours));
        let (theirs, ours) = (pair.theirs.dump().expect("dump"), pair.ours.dump().expect("dump"));
        if let Some((theirs, ours)) = parting(&theirs.lines(), &ours.lines()) {
            found.push(Difference { what: What::Kernel, commands: history, theirs, ours });
            break;
        }
    }
    found
}

fn lists(call: &Call) -> bool {
    call.argv[0].ends_with(b"-save") || call.argv.iter().any(|word| word == b"-L" || word == b"-S")
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
