//! With `OXTABLES_ENCODING=native`, whole rulesets, the articles and generated rules load without an xt expression wherever there is a native
//! form, and every command says what it says in stock's encoding. `OXTABLES_CORPUS` names a directory with more rulesets.

#![expect(clippy::print_stdout, reason = "the counts are worth knowing")]

use std::ops::ControlFlow;

use lab::article;
use lab::compare::{Difference, outcomes};
use lab::generate::corpus::{files, is_v6};
use lab::generate::{Rule, TABLES};
use lab::oracle::{Call, Programs};
use lab::random::Random;
use lab::root::test_as_root;
use lab::side::{Pair, Side};
use oxtables::compile::Raised;
use oxtables::kernel::native::lower;
use oxtables::kernel::{Event, RuleReader, Session};
use oxtables::types::{Counters, Family};
use oxtables::wire::{Expr, Exprs};

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");
const ARTICLES: &[&str] = &[
    include_str!("../cases/articles/1-common-rules.cases"),
    include_str!("../cases/articles/2-whitelist-and-rate.cases"),
    include_str!("../cases/articles/3-secure-your-servers.cases"),
    include_str!("../cases/articles/4-in-and-out.cases"),
    include_str!("../cases/articles/5-hands-on.cases"),
];

/// How many rules there were, and how many of them hold an xt expression.
#[derive(Debug, Default)]
struct Tally {
    rules: usize,
    xt: usize,
    /// Rules that hold one and need not, or that are not read.
    faults: Vec<String>,
}

/// Ours in stock's encoding beside ours in the native one.
fn both() -> Pair {
    Pair::of(Programs::ours(), Programs::ours().with("OXTABLES_ENCODING", "native")).expect("namespaces")
}

/// Looks at every rule of a side.
fn look(side: &Side, tally: &mut Tally) {
    let _inside = side.netns.enter().expect("a namespace");
    let mut session = Session::open().expect("a session");
    for family in [Family::V4, Family::V6] {
        for chain in session.chains(family, None).expect("chains") {
            let mut reader = RuleReader::new(family);
            let read = session.rules(family, &chain.table, &chain.name, &mut |event| {
                let Event::Rule(rule) = event else { return ControlFlow::Continue(()) };
                tally.rules += 1;
                let xt = |e: Expr<'_>| matches!(e, Expr::Match { .. } | Expr::Target { .. });
                let holds_xt = Exprs::new(rule.exprs).flatten().any(xt);
                tally.xt += usize::from(holds_xt);
                match reader.raise(rule.table, rule.exprs, rule.userdata) {
                    Raised::Rule(body, _) => {
                        let native = lower(&body, family, rule.table, Counters::default(), 1);
                        if holds_xt && native.is_some_and(|n| !n.xt) {
                            tally.faults.push(format!("need not be xt: {body:?}"));
                        }
                    }
                    Raised::Opaque(_) => tally.faults.push(format!("is not read: {:?}", rule.exprs)),
                }
                ControlFlow::Continue(())
            });
            read.expect("the rules");
        }
    }
}

fn told(differences: &[Difference], tally: &Tally) {
    println!("{} rules, {} of them with xt expressions", tally.rules, tally.xt);
    assert!(tally.faults.is_empty(), "{}", tally.faults.join("\n"));
    let told = |d: &Difference| {
        let shell: Vec<String> = d.commands.iter().map(Call::shell).collect();
        format!("{}\n  {:?} in stock's: {}\n  in native: {}", shell.join("\n"), d.what, d.theirs, d.ours)
    };
    let first: Vec<String> = differences.iter().take(5).map(told).collect();
    assert!(differences.is_empty(), "{}:\n{}", differences.len(), first.join("\n"));
    assert!(tally.rules > 0 && tally.xt < tally.rules, "nothing was native");
}

#[test]
fn rulesets_are_the_same_in_native_expressions() {
    test_as_root("rulesets_are_the_same_in_native_expressions", AS_ROOT, || {
        let (mut pair, mut tally, mut found) = (both(), Tally::default(), Vec::new());
        for path in files() {
            pair.flush().expect("flush");
            let [restore, save] = if is_v6(&path) {
                ["ip6tables-restore", "ip6tables-save"]
            } else {
                ["iptables-restore", "iptables-save"]
            };
            let text = std::fs::read(&path).expect("a readable file");
            let shown = Call::new([restore, "-c", &path.display().to_string()]);
            for call in [Call::new([restore, "-c"]).reading(text), Call::new([save]), Call::new([save, "-c"])] {
                let (stock, native) = pair.run(&call).expect("runs");
                found.extend(outcomes(&[shown.clone(), Call::new(&call.argv)], &stock, &native));
            }
            look(&pair.ours, &mut tally);
        }
        told(&found, &tally);
    });
}

#[test]
fn the_articles_are_the_same_in_native_expressions() {
    test_as_root("the_articles_are_the_same_in_native_expressions", AS_ROOT, || {
        let (mut pair, mut tally, mut found) = (both(), Tally::default(), Vec::new());
        for v6 in [false, true] {
            for calls in ARTICLES.iter().flat_map(|text| article::read(text, v6)) {
                pair.flush().expect("flush");
                for (i, call) in calls.iter().enumerate() {
                    let (stock, native) = pair.run(call).expect("runs");
                    found.extend(outcomes(&calls[..=i], &stock, &native));
                }
                look(&pair.ours, &mut tally);
            }
        }
        told(&found, &tally);
    });
}

#[test]
fn generated_rules_are_the_same_in_native_expressions() {
    test_as_root("generated_rules_are_the_same_in_native_expressions", AS_ROOT, || {
        let number = |name: &str| std::env::var(name).ok()?.parse().ok();
        let mut random = Random::new(number("OXTABLES_SEED").unwrap_or(1));
        let (mut pair, mut tally, mut found) = (both(), Tally::default(), Vec::new());
        let (theirs, mut readable) = (Programs::theirs(), 0);
        for _ in 0..number("OXTABLES_RULES").unwrap_or(120) {
            pair.flush().expect("flush");
            let v6 = random.percent(50);
            let table = random.below(TABLES.len());
            let rule = Rule::random(&mut random, v6, table);
            let program: &[u8] = if v6 { b"ip6tables" } else { b"iptables" };
            let listing = |flag: &[u8]| Call::new([program, b"-t", rule.table.as_bytes(), flag]);
            let chains: Vec<Call> = lab::generate::USER_CHAINS
                .iter()
                .map(|name| Call::new([program, b"-t", rule.table.as_bytes(), b"-N", name.as_bytes()]))
                .collect();
            let delete = rule.call(&[b"-D", rule.chain.as_bytes()]);
            let check = rule.call(&[b"-C", rule.chain.as_bytes()]);
            let calls = [rule.append(), listing(b"-S"), listing(b"-L"), check, delete, listing(b"-S")];
            for call in chains.iter().chain(&calls) {
                let (stock, native) = pair.run(call).expect("runs");
                found.extend(outcomes(&[rule.append(), call.clone()], &stock, &native));
                if call == &calls[2] {
                    look(&pair.ours, &mut tally);
                }
                // Stock shows a rule as it is, or refuses the table; it shows no other rule. (A comment in the userdata it shows last.)
                let comment = rule.words.iter().any(|word| word.starts_with(b"--comm"));
                if call == &calls[1] && !comment {
                    let seen = pair.ours.run_other(&theirs, call).expect("runs");
                    if seen.code == 0 {
                        readable += 1;
                        // Stock forgets some quotes.
                        let plain = |o: &lab::oracle::Outcome| {
                            let mut o = o.clone();
                            o.stdout.retain(|b| !b"\"\\".contains(b));
                            o
                        };
                        found.extend(outcomes(&[rule.append(), call.clone()], &plain(&seen), &plain(&native)));
                    }
                }
            }
        }
        println!("{readable} of them stock can read");
        told(&found, &tally);
    });
}
