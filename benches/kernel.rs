//! What the kernel side costs: encoding, raising and dumping rules, with allocations. `cargo bench --bench kernel [RULES]`, as root.
//!
//! The dump is compared with bare reads of the same dump, so that only our part of it shows.
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::alloc::System;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use oxtables::compile::{Raised, Raiser, describe};
use oxtables::ext::options::give;
use oxtables::ext::{Action, Base, Body, Match, ParseCx};
use oxtables::kernel::netns::Namespace;
use oxtables::kernel::{Batch, Event, OpKind, RulePlace, Session};
use oxtables::model::builtins;
use oxtables::types::{Family, Network, NoNames, Out, prefix_mask};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

/// Prints the best of `runs` runs: time and allocations, all and per rule.
fn measure<T>(name: &str, rules: usize, runs: usize, mut work: impl FnMut() -> T) -> Duration {
    let (mut best, mut counted) = (Duration::MAX, 0);
    for _ in 0..runs {
        let (start, before) = (Instant::now(), allocations());
        std::hint::black_box(work());
        let took = start.elapsed();
        if took < best {
            (best, counted) = (took, allocations() - before);
        }
    }
    let each = best.as_nanos() / rules as u128;
    println!("{name:<44} {:>9.1} ms {each:>7} ns/rule {counted:>9} allocations", best.as_secs_f64() * 1e3);
    best
}

/// A match with one option given.
fn with_option(name: &str, option: &str, value: &str) -> Match {
    let mut m = Match::new(name.as_bytes(), Family::V4).expect("is in the list");
    let cx = ParseCx { family: Family::V4, names: &NoNames, protocol: Some((6, false)) };
    let opt = m.spec().options.iter().find(|o| o.name == option).expect("has the option");
    let given = give(m.spec(), opt, false, 0, value.as_bytes(), &cx).expect("takes the value");
    m.set(&given, &cx).expect("takes the option");
    m
}

/// A rule like many: source, protocol, one native and one xt match, a counter, a verdict.
fn body(i: usize) -> Body {
    let [a, b, c, d] = (i as u32 | 0x0a00_0000).to_be_bytes();
    let net = Network::new([a, b, c, d].into(), prefix_mask(Family::V4, 32)).expect("is an address");
    let base = Base { src: Some((net, false)), protocol: Some((6, false)), ..Base::default() };
    Body {
        base,
        matches: vec![with_option("mark", "mark", "0x5/0xff"), with_option("length", "length", "40:1500")],
        action: Action::Accept,
    }
}

fn fill(batch: &mut Batch, bodies: &[Body]) {
    batch.add_table(b"filter");
    let input = &builtins(Family::V4, b"filter").expect("is a table")[0];
    batch.add_base_chain(b"filter", input, Some(1), None, OpKind::ChainAdd);
    for body in bodies {
        batch.rule(b"filter", b"INPUT", RulePlace::Append, Some((6, 0)), None, |x| body.encode(Family::V4, 0, 0, x));
    }
}

fn dump(session: &mut Session, mut each: impl FnMut(&[u8])) -> usize {
    let mut rules = 0;
    session
        .rules(Family::V4, b"filter", b"INPUT", &mut |event| {
            if let Event::Rule(rule) = event {
                each(rule.exprs);
                rules += 1;
            }
            ControlFlow::Continue(())
        })
        .expect("dumps");
    rules
}

fn run(rules: usize) {
    let bodies: Vec<Body> = (0..rules).map(body).collect();
    let mut batch = Batch::new(Family::V4);
    measure("build the batch", rules, 5, || {
        batch = Batch::new(Family::V4);
        fill(&mut batch, &bodies);
    });
    println!("{:<44} {:>9.1} MB", "  its size", batch.as_bytes().len() as f64 / 1e6);
    measure("build it again in the same room", rules, 5, || {
        batch.clear();
        fill(&mut batch, &bodies);
    });
    let mut raiser = Raiser::new(Family::V4);
    measure("raise", rules, 5, || {
        for i in 2..batch.len() {
            let exprs = &batch.as_bytes()[batch.rules_range(i).expect("is a rule")];
            assert!(matches!(raiser.raise(exprs, None), Raised::Rule(..)));
        }
    });
    let mut out = Out::new();
    measure("describe", rules, 2, || {
        for i in 2..batch.len() {
            out.clear();
            describe(Family::V4, &batch.as_bytes()[batch.rules_range(i).expect("is a rule")], None, &mut out);
        }
    });
    let mut session = Session::open().expect("opens");
    measure("commit", rules, 1, || session.commit(&batch, None).expect("is taken"));
    let bare = measure("dump, one chain, only counted", rules, 3, || assert_eq!(dump(&mut session, |_| ()), rules));
    let whole = measure("dump, one chain, raised", rules, 3, || {
        dump(&mut session, |exprs| {
            assert!(matches!(raiser.raise(exprs, None), Raised::Rule(..)));
        })
    });
    println!("{:<44} {:>9.3}", "  raised / counted", whole.as_secs_f64() / bare.as_secs_f64());
    measure("first rule of the dump, then leave", rules, 5, || {
        session.rules(Family::V4, b"filter", b"INPUT", &mut |_| ControlFlow::Break(())).expect("dumps");
        session.generation().expect("answers")
    });
}

/// The same rules in fifty chains: the kernel's part is then no longer quadratic.
fn run_chains(rules: usize) {
    const CHAINS: usize = 50;
    let names: Vec<Vec<u8>> = (0..CHAINS).map(|i| format!("c{i}").into_bytes()).collect();
    let mut batch = Batch::new(Family::V4);
    batch.add_table(b"filter");
    for name in &names {
        batch.add_chain(b"filter", name, true);
        for i in 0..rules / CHAINS {
            let body = body(i);
            batch.rule(b"filter", name, RulePlace::Append, Some((6, 0)), None, |x| body.encode(Family::V4, 0, 0, x));
        }
    }
    let mut session = Session::open().expect("opens");
    session.commit(&batch, None).expect("is taken");
    let mut raiser = Raiser::new(Family::V4);
    let all = |session: &mut Session, raiser: &mut Raiser, raise: bool| {
        for name in &names {
            session
                .rules(Family::V4, b"filter", name, &mut |event| {
                    if let (Event::Rule(rule), true) = (event, raise) {
                        assert!(matches!(raiser.raise(rule.exprs, None), Raised::Rule(..)));
                    }
                    ControlFlow::Continue(())
                })
                .expect("dumps");
        }
    };
    measure("dump, 50 chains, only counted", rules, 10, || all(&mut session, &mut raiser, false));
    measure("dump, 50 chains, raised", rules, 10, || all(&mut session, &mut raiser, true));
}

fn main() {
    let rules = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(100_000);
    Namespace::new().expect("root").run(|| run_chains(rules)).expect("runs");
    Namespace::new().expect("root").run(|| run(rules)).expect("runs");
}
