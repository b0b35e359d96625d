//! What a rule costs the pure layers: parsing, printing, writing and reading it. Time and allocations a rule. `cargo bench --bench codec`.
//!
//! The rules are the lines of `fuzz/corpus/restore`, which hold every option of every extension, and beside them one typical rule.
#![expect(clippy::print_stdout, reason = "the table is the result")]

use oxtables::compile::{Raised, Raiser};
use oxtables::ext::{Body, PrintCx};
use oxtables::text::lexer::Words;
use oxtables::text::{Context, list, parse};
use oxtables::types::{Counters, Family, NoNames, Out};
use oxtables::wire::consts::NFTA_RULE_EXPRESSIONS;
use oxtables::wire::{Attrs, ExprWriter, Writer};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TYPICAL: &str = "-A INPUT -s 192.0.2.0/24 -i eth0 -p tcp -m conntrack --ctstate NEW -m tcp --dport 22 -j ACCEPT";
/// How long each row is measured at least.
const LONG_ENOUGH: Duration = Duration::from_millis(300);

fn main() {
    println!("{:<34} {:>9} {:>13} {:>11}", "", "ns/rule", "allocs/rule", "bytes/rule");
    group("one typical rule, a thousand times", &vec![TYPICAL.to_owned(); 1000]);
    let lines = every_extension();
    group(&format!("{} rules of all extensions", lines.len()), &lines);
}

/// The `-A` lines of the IPv4 seeds.
fn every_extension() -> Vec<String> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/restore");
    let mut files: Vec<_> = std::fs::read_dir(dir).expect("the seeds").map(|e| e.expect("a seed").path()).collect();
    files.sort();
    let texts = files.iter().filter_map(|f| std::fs::read_to_string(f).ok()).filter(|t| t.starts_with('4'));
    texts.flat_map(|t| t.lines().filter(|l| l.starts_with("-A")).map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn read(words: &mut Words, line: &str) -> Option<Body> {
    words.split(line.as_bytes()).ok()?;
    let args: Vec<&[u8]> = words.iter().collect();
    let cx = Context { family: Family::V4, names: &NoNames, restore: true, table: b"raw", verbose: false };
    let mut command = parse(&args, &cx, &mut Vec::new()).ok()?;
    let mut body = None;
    let _: Result<(), ()> = command.rule.for_each(|b| {
        body = Some(b.clone());
        Err(())
    });
    body
}

fn group(name: &str, lines: &[String]) {
    println!("{name}");
    let mut words = Words::default();
    let bodies: Vec<Body> = lines.iter().filter_map(|l| read(&mut words, l)).collect();
    row("  parse (words, command, rule)", lines.len(), || {
        for line in lines {
            black_box(read(&mut words, line));
        }
    });
    let mut w = Writer::new();
    row("  encode (expressions)", bodies.len(), || {
        w.clear();
        for body in &bodies {
            let list = w.nest(NFTA_RULE_EXPRESSIONS);
            body.encode(Family::V4, 1, 2, &mut ExprWriter::new(&mut w));
            w.close(list);
        }
    });
    assert!(!w.overflowed());
    let mut raiser = Raiser::new(Family::V4);
    row("  decode and raise", bodies.len(), || {
        for list in Attrs::new(w.as_bytes()) {
            let list = list.expect("what was written");
            assert!(matches!(black_box(raiser.raise(list.payload, None)), Raised::Rule(..)));
        }
    });
    let cx = PrintCx { family: Family::V4, numeric: true, names: &NoNames, protocol: None };
    let mut out = Out::new();
    row("  save text", bodies.len(), || {
        out.clear();
        for body in &bodies {
            body.save(&mut out, &cx, None);
        }
    });
    let style = list::Style {
        family: Family::V4,
        numeric: true,
        verbose: true,
        exact: true,
        line_numbers: true,
        names: &NoNames,
    };
    row("  list columns", bodies.len(), || {
        out.clear();
        for body in &bodies {
            list::rule(1, body, Counters::default(), &style, &mut out);
        }
    });
}

/// Runs `work` on `rules` rules until it has taken long enough; prints the quickest run's time, and the allocations of the last.
fn row(name: &str, rules: usize, mut work: impl FnMut()) {
    let (start, mut best) = (Instant::now(), Duration::MAX);
    let mut change = stats_alloc::Stats::default();
    while start.elapsed() < LONG_ENOUGH {
        let (region, begun) = (Region::new(ALLOCATOR), Instant::now());
        work();
        best = best.min(begun.elapsed());
        change = region.change();
    }
    let each = |n: usize| n as f64 / rules as f64;
    println!(
        "{name:<34} {:>9.0} {:>13.2} {:>11.1}",
        best.as_nanos() as f64 / rules as f64,
        each(change.allocations + change.reallocations),
        each(change.bytes_allocated),
    );
}
