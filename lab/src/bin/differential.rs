//! `differential --kind KIND [--seed N] [--count N] [--batch N] [--jobs N] [--self]`: generated work, stock against ours.
//! `differential --extension NAME[,NAME…] [--kind rules|wrong|help] [--seed N] [--count N] …`: one extension after the other (a target by
//! its upper-case name; `all`), with at least so many different rules or wrong uses each, and a line for each; without a kind all three.
//!
//! Prints each kind of difference with the commands to repeat it; exits 1 if there is any that `differences.toml` does not
//! name. `--self` puts stock in place of ours (the harness's own test).
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lab::compare::{Difference, Findings, What};
use lab::differential::extension::Done;
use lab::differential::{Kind, Tally, Worker};
use lab::generate::extension::Subject;
use lab::oracle::Programs;

/// How many differences of one sort are shown in full.
const SHOWN: usize = 3;

/// The kinds of a run about extensions.
const EXTENSION_KINDS: [&str; 3] = ["rules", "wrong", "help"];

#[derive(Clone)]
struct Arguments {
    kind: (&'static str, Kind),
    seed: u64,
    count: usize,
    /// The count, if it was given.
    asked: Option<usize>,
    /// The one kind of a run about extensions.
    only: Option<&'static str>,
    batch: Option<usize>,
    jobs: usize,
    itself: bool,
    /// The extensions, if the run is about some.
    subjects: Vec<Subject>,
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
    if !arguments.subjects.is_empty() {
        return extensions(&arguments);
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
    let sorts = show(findings.take());
    let (items, accepted) = (tally.items.load(Ordering::Relaxed), tally.accepted.load(Ordering::Relaxed));
    println!("kind {} seed {}: {items} items, {accepted} accepted by stock", arguments.kind.0, arguments.seed);
    println!("differences: {:?} in {sorts} sorts", findings.counts());
    if sorts == 0 && !failed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Shows the differences sort by sort; how many sorts there are.
fn show(found: Vec<Difference>) -> usize {
    let mut sorts: BTreeMap<String, Vec<Difference>> = BTreeMap::new();
    for difference in found {
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
    order.len()
}

/// The run about extensions: each kind in turn, each extension in each family by whichever thread is free.
fn extensions(arguments: &Arguments) -> ExitCode {
    let kinds: Vec<_> =
        EXTENSION_KINDS.into_iter().filter(|kind| arguments.only.is_none_or(|only| only == *kind)).collect();
    let mut good = true;
    for kind in kinds {
        let findings = Findings::of(kind);
        let next = AtomicUsize::new(0);
        let lines = Mutex::new(BTreeMap::new());
        let failed = std::thread::scope(|scope| {
            let one = || subjects(arguments, kind, &next, &lines, &findings);
            let threads: Vec<_> = (0..arguments.jobs).map(|_| scope.spawn(one)).collect();
            threads.into_iter().any(|thread| thread.join().unwrap_or(true))
        });
        let sorts = show(findings.take());
        let lines = lines.into_inner().unwrap_or_default();
        for line in lines.values() {
            println!("{line}");
        }
        println!(
            "kind {kind} seed {}: {} extensions × families, differences: {:?} in {sorts} sorts",
            arguments.seed,
            lines.len(),
            findings.counts()
        );
        good &= sorts == 0 && !failed;
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Takes extensions until there are none; true if something went wrong with the harness itself.
fn subjects(
    arguments: &Arguments,
    kind: &'static str,
    next: &AtomicUsize,
    lines: &Mutex<BTreeMap<usize, String>>,
    all: &Findings,
) -> bool {
    let theirs = Programs::theirs();
    let ours = if arguments.itself { theirs.clone() } else { Programs::ours() };
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(subject) = arguments.subjects.get(index) else { return false };
        let (findings, tally) = (Findings::of(kind), Tally::default());
        let done = Worker::new(theirs.clone(), ours.clone(), &findings, &tally).and_then(|mut worker| match kind {
            "rules" => worker.extension_rules(subject, arguments.seed, arguments.wanted(kind, subject)),
            "wrong" => worker.extension_wrong(subject, arguments.seed, arguments.wanted(kind, subject)),
            _ => worker.extension_help(subject),
        });
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                eprintln!("differential: {} {}: {error}", subject.flag(), subject.spec.name);
                return true;
            }
        };
        if let Ok(mut lines) = lines.lock() {
            lines.insert(index, line(subject, kind, done, &findings));
        }
        all.add(findings.take());
    }
}

/// What is said of one extension in one family.
fn line(subject: &Subject, kind: &str, done: Done, findings: &Findings) -> String {
    let mut counts = findings.counts();
    let complaints = counts.remove(&What::Complaint).unwrap_or(0);
    let different: usize = counts.values().sum();
    let counted = match kind {
        "rules" => "accepted",
        "wrong" => "refused",
        _ => "in ours",
    };
    format!(
        "{:9} {} {:12} {kind:5}: {:3} distinct, {:3} {counted}, {different} different{}",
        subject.program(),
        subject.flag(),
        subject.spec.name,
        done.given,
        done.counted,
        if complaints > 0 { format!(", {complaints} first lines of stderr different") } else { String::new() }
    )
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

impl Arguments {
    /// How many rules or wrong uses of an extension are wanted in one of its families: 300 and 100 in all, if nothing else is said.
    fn wanted(&self, kind: &str, subject: &Subject) -> usize {
        let all = self.asked.unwrap_or(if kind == "rules" { 300 } else { 100 });
        all.div_ceil(subject.spec.families.len().max(1))
    }
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments {
        kind: Kind::ALL[0],
        seed: 1,
        count: 1000,
        asked: None,
        only: None,
        batch: None,
        jobs: 4,
        itself: false,
        subjects: Vec::new(),
    };
    let mut kind = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse::<usize>().map_err(|_| format!("not a number: {text}"));
        match word.as_str() {
            "--kind" => kind = Some(value()?),
            "--extension" => found.subjects = Subject::of(&value()?)?,
            "--seed" => found.seed = number(value()?)? as u64,
            "--count" => found.asked = Some(number(value()?)?),
            "--batch" => found.batch = Some(number(value()?)?),
            "--jobs" => found.jobs = number(value()?)?.max(1),
            "--self" => found.itself = true,
            _ => return Err(format!("unknown word {word}")),
        }
    }
    found.count = found.asked.unwrap_or(found.count);
    let Some(kind) = kind else { return Ok(found) };
    found.only = EXTENSION_KINDS.into_iter().find(|known| *known == kind);
    if kind == "help" && found.subjects.is_empty() {
        found.subjects = Subject::of("all")?;
    }
    if found.subjects.is_empty() {
        let known = Kind::ALL.iter().find(|(known, _)| *known == kind);
        found.kind = *known.ok_or(format!("kinds: {:?} and help", Kind::ALL.map(|(name, _)| name)))?;
    } else if found.only.is_none() {
        return Err(format!("kinds with --extension: {EXTENSION_KINDS:?}"));
    }
    Ok(found)
}
