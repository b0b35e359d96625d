//! Every command of the five articles, in each article's order, for both families: a caller cannot tell stock from ours.

use lab::article;
use lab::compare::{Difference, Findings, What, outcomes, parting};
use lab::oracle::{Call, Programs};
use lab::root::test_as_root;
use lab::side::Pair;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");
const ARTICLES: [(&str, &str); 5] = [
    ("common rules", include_str!("../cases/articles/1-common-rules.cases")),
    ("white list and rate", include_str!("../cases/articles/2-whitelist-and-rate.cases")),
    ("secure your servers", include_str!("../cases/articles/3-secure-your-servers.cases")),
    ("in and out", include_str!("../cases/articles/4-in-and-out.cases")),
    ("hands on", include_str!("../cases/articles/5-hands-on.cases")),
];

/// Runs all articles for both families and collects the differences.
fn run(theirs: &Programs, ours: &Programs) -> Findings {
    let findings = Findings::of("articles");
    for v6 in [false, true] {
        for (_, text) in ARTICLES {
            let mut pair = Pair::of(theirs.clone(), ours.clone()).expect("namespaces");
            findings.add(article(&mut pair, &article::read(text, v6)));
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
        let stock = Programs::theirs();
        let findings = run(&stock, &stock);
        let found = findings.take();
        assert!(found.is_empty(), "{}", found[0]);
    });
}

#[test]
fn every_article_is_the_same_with_ours() {
    test_as_root("every_article_is_the_same_with_ours", AS_ROOT, || {
        run(&Programs::theirs(), &Programs::ours()).assert_none(true);
    });
}
