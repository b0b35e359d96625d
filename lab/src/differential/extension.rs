//! One extension at a time: its rules, its wrong uses and its help, stock beside ours.

use std::collections::BTreeSet;
use std::io;

use super::rules::File;
use super::{Worker, base, crashed, kernels};
use crate::compare::{Difference, What};
use crate::generate::extension::Subject;
use crate::generate::{Rule, TABLES, commands};
use crate::oracle::Call;
use crate::random::Random;

/// How many rules go into one file.
const FILE: usize = 150;
/// A file with fewer new rules than this is the last: the options do not allow many more.
const FEW: usize = 10;

/// What was done for one extension in one family.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Done {
    /// Different rules or uses given to both.
    pub given: usize,
    /// Of the rules those that stock accepted, of the wrong uses those that it refused.
    pub counted: usize,
}

impl Worker<'_> {
    /// Different valid rules, until stock has accepted `wanted` or the options allow no more.
    ///
    /// # Errors
    /// When a program cannot be started or the kernel cannot be read.
    pub fn extension_rules(&mut self, subject: &Subject, seed: u64, wanted: usize) -> io::Result<Done> {
        let mut random = seeded(subject, seed);
        let mut seen = BTreeSet::new();
        let mut accepted = 0;
        for _ in 0..8 {
            let place = subject.place(&mut random);
            let missing = (wanted - accepted).min(FILE);
            let rules = fresh(subject, &mut random, place, &mut seen, missing.max(FEW));
            let few = rules.len() < FEW;
            if !rules.is_empty() {
                let given = rules.len();
                let good = self.rule_file(&mut random, file_of(subject, place.0, rules))?;
                accepted += good.len();
                // so many were refused that they were not tried in a file
                if good.len() < given / 2 && !good.is_empty() {
                    self.pair.flush()?;
                    self.rule_file(&mut random, file_of(subject, place.0, good))?;
                }
            }
            if few || accepted >= wanted {
                break;
            }
            self.pair.flush()?;
        }
        self.pair.flush()?;
        Ok(Done { given: seen.len(), counted: accepted })
    }

    /// Different wrong uses, each as a command of its own: the same exit code and complaint, and nothing changed.
    ///
    /// # Errors
    /// As [`Self::extension_rules`].
    pub fn extension_wrong(&mut self, subject: &Subject, seed: u64, wanted: usize) -> io::Result<Done> {
        let mut random = seeded(subject, seed);
        let file = base(&mut random, subject.v6);
        let mut done = Done::default();
        self.prepare(subject.v6, &file)?;
        let (before, _) = self.dumps()?;
        // some of them are none: stock takes them
        for call in subject.wrong_uses(&mut random, wanted * 4) {
            if done.counted >= wanted {
                break;
            }
            let (theirs, ours, found) = self.both(std::slice::from_ref(&call))?;
            self.findings.add(found);
            done.given += 1;
            done.counted += usize::from(theirs.code != 0);
            if theirs.code != 0 && ours.code != 0 && !done.counted.is_multiple_of(16) {
                continue;
            }
            let (their_dump, our_dump) = self.dumps()?;
            if ours.code != 0 {
                self.unchanged(&call, &before, &our_dump);
            }
            if !crashed(&theirs) && theirs.code == 0 && ours.code == 0 {
                self.findings.add(kernels(std::slice::from_ref(&call), &their_dump, &our_dump));
            }
            if their_dump != before || our_dump != before {
                self.prepare(subject.v6, &file)?;
            }
        }
        self.pair.flush()?;
        Ok(done)
    }

    /// The help: every option that stock's names is in ours.
    ///
    /// # Errors
    /// As [`Self::extension_rules`].
    pub fn extension_help(&mut self, subject: &Subject) -> io::Result<Done> {
        let call = Call::new([subject.program(), subject.flag(), subject.spec.name, "-h"]);
        let (theirs, ours) = self.pair.run(&call)?;
        let (plain, _) = self.pair.run(&Call::new([subject.program(), "-h"]))?;
        let plain = options(&plain.stdout);
        let theirs: BTreeSet<_> = options(&theirs.stdout).difference(&plain).cloned().collect();
        let ours = options(&ours.stdout);
        let missing: Vec<_> = theirs.difference(&ours).cloned().collect();
        if !missing.is_empty() {
            let ours = format!("without {}", missing.join(" "));
            let named = theirs.iter().cloned().collect::<Vec<_>>().join(" ");
            self.findings.add([Difference { what: What::Help, commands: vec![call], theirs: named, ours }]);
        }
        Ok(Done { given: theirs.len(), counted: theirs.len() - missing.len() })
    }
}

/// The generator for an extension: the same whatever else the run is about.
fn seeded(subject: &Subject, seed: u64) -> Random {
    let name = subject.spec.name.bytes().fold(0_u64, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
    Random::new(seed ^ name << 8 ^ u64::from(subject.v6))
}

/// Rules whose words for the extension were not met before, at most `count`.
fn fresh(
    subject: &Subject,
    random: &mut Random,
    place: (&str, &str),
    seen: &mut BTreeSet<Vec<Vec<u8>>>,
    count: usize,
) -> Vec<Rule> {
    let mut out = Vec::new();
    for _ in 0..count * 30 {
        if out.len() >= count {
            break;
        }
        let words = subject.words(random);
        if seen.insert(words.clone()) {
            let rule = subject.rule(random, place, words);
            out.extend(rule.line().is_some().then_some(rule));
        }
    }
    out
}

/// The file of these rules, listed in every way that the project promises for an extension.
fn file_of(subject: &Subject, table: &str, rules: Vec<Rule>) -> File {
    let mut file = File::of(subject.v6, table, &(head(table) + before(subject)), rules.into_iter());
    let forms: [&[&str]; 3] = [&["-S"], &["-L"], &["-L", "-n"]];
    let program = [subject.program(), "-t", table];
    file.listings = forms.iter().map(|form| Call::new(program.iter().chain(*form))).collect();
    file.listings.extend(commands::listings(subject.v6, table).pop());
    file
}

/// The beginning of a restore file with the table's builtin chains.
fn head(table: &str) -> String {
    let chains = TABLES.iter().find(|(name, _)| *name == table).map_or(&[][..], |(_, chains)| chains);
    let lines: String = chains.iter().map(|chain| format!(":{chain} ACCEPT [0:0]\n")).collect();
    format!("*{table}\n{lines}")
}

/// The rules without which the kernel takes none with the extension: what `-m rateest` compares, `-j RATEEST` estimates.
fn before(subject: &Subject) -> &'static str {
    match subject.spec.name {
        "rateest" => {
            "-A OUTPUT -j RATEEST --rateest-name re1 --rateest-interval 1s --rateest-ewmalog 4s\n\
             -A OUTPUT -j RATEEST --rateest-name uplink --rateest-interval 1s --rateest-ewmalog 4s\n"
        }
        _ => "",
    }
}

/// The long options that a help text names.
fn options(text: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(text);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(|word| word.trim_end_matches('-').to_owned())
        .collect()
}
