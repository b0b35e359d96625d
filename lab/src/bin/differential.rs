//! `differential --kind KIND [--seed N] [--count N] [--batch N] [--jobs N] [--self]`: generated work, stock against ours.
//!
//! Prints each kind of difference with the commands to repeat it; exits 1 if there is any that `differences.toml` does not
//! name. `--self` puts stock in place of ours (the harness's own test).
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use lab::compare::{Difference, Findings};
use lab::differential::{Kind, Tally, Worker};
use lab::oracle::Programs;

/// How many differences of one sort are shown in full.
const SHOWN: usize = 3;

#[derive(Clone)]
struct Arguments {
    kind: (&'static str, Kind),
    seed: u64,
    count: usize,
    batch: Option<usize>,
    jobs: usize,
    itself: bool,
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(text) => {
            eprintln!("differential: {text}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = lab::root::become_root() {
        eprintln!("differential: needs root or user namespaces: {error}");
        return ExitCode::from(4);
    }
    let (name, kind) = arguments.kind;
    let findings = Findings::of(name);
    let tally = Tally::default();
    let batches = arguments.count.div_ceil(kind.batch_size());
    let next = AtomicUsize::new(arguments.batch.unwrap_or(0));
    let end = arguments.batch.map_or(batches, |batch| batch + 1);
    let failed = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..arguments.jobs).map(|_| scope.spawn(|| work(&arguments, &findings, &tally, &next, end))).collect();
        threads.into_iter().any(|thread| thread.join().unwrap_or(true))
    });
    report(&findings, &tally, &arguments, failed)
}

/// Takes batches until there are none; true if something went wrong with the harness itself.
fn work(arguments: &Arguments, findings: &Findings, tally: &Tally, next: &AtomicUsize, end: usize) -> bool {
    let theirs = Programs::theirs();
    let ours = if arguments.itself { theirs.clone() } else { Programs::ours() };
    let mut worker = match Worker::new(theirs, ours, findings, tally) {
        Ok(worker) => worker,
        Err(error) => {
            eprintln!("differential: {error}");
            return true;
        }
    };
    loop {
        let batch = next.fetch_add(1, Ordering::Relaxed);
        if batch >= end {
            return false;
        }
        if let Err(error) = worker.batch(arguments.kind.1, arguments.seed, batch) {
            eprintln!("differential: batch {batch}: {error}");
            return true;
        }
    }
}

fn report(findings: &Findings, tally: &Tally, arguments: &Arguments, failed: bool) -> ExitCode {
    let mut sorts: BTreeMap<String, Vec<Difference>> = BTreeMap::new();
    for difference in findings.take() {
        sorts.entry(sort(&difference)).or_default().push(difference);
    }
    let mut order: Vec<_> = sorts.into_iter().collect();
    order.sort_by_key(|(_, list)| std::cmp::Reverse(list.len()));
    for (_, list) in &order {
        println!("=== {} time(s)", list.len());
        // the shortest say most
        let mut texts: Vec<_> = list.iter().map(ToString::to_string).collect();
        texts.sort_by_key(String::len);
        for text in texts.iter().take(SHOWN) {
            let text: String =
                text.lines().map(|line| format!("{}\n", line.chars().take(1500).collect::<String>())).collect();
            println!("{text}");
        }
    }
    let (items, accepted) = (tally.items.load(Ordering::Relaxed), tally.accepted.load(Ordering::Relaxed));
    println!("kind {} seed {}: {items} items, {accepted} accepted by stock", arguments.kind.0, arguments.seed);
    println!("differences: {:?} in {} sorts", findings.counts(), order.len());
    if order.is_empty() && !failed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Differences of one sort have the same words, numbers and quoted texts aside.
fn sort(difference: &Difference) -> String {
    let words = |text: &str| -> String {
        let line = text.lines().next().unwrap_or_default();
        let mut quoted = false;
        let keep = |c: &char| {
            if *c == '"' || *c == '`' || *c == '\'' {
                quoted = !quoted;
            }
            !quoted && !c.is_ascii_digit()
        };
        line.chars().filter(keep).take(70).collect()
    };
    format!("{:?} {} {}", difference.what, words(&difference.theirs), words(&difference.ours))
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments { kind: Kind::ALL[0], seed: 1, count: 1000, batch: None, jobs: 4, itself: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse::<usize>().map_err(|_| format!("not a number: {text}"));
        match word.as_str() {
            "--kind" => {
                let name = value()?;
                let known = Kind::ALL.iter().find(|(known, _)| *known == name);
                found.kind = *known.ok_or(format!("kinds: {:?}", Kind::ALL.map(|(name, _)| name)))?;
            }
            "--seed" => found.seed = number(value()?)? as u64,
            "--count" => found.count = number(value()?)?,
            "--batch" => found.batch = Some(number(value()?)?),
            "--jobs" => found.jobs = number(value()?)?.max(1),
            "--self" => found.itself = true,
            _ => return Err(format!("unknown word {word}")),
        }
    }
    Ok(found)
}
