//! Valid rules: the same file restored by both, the kernels compared rule by rule, then listed by both on both.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::{Kind, Worker, kernels};
use crate::compare::{Difference, What, outcomes, parting, texts};
use crate::dump::Dump;
use crate::generate::{Rule, TABLES, USER_CHAINS, commands, corpus};
use crate::oracle::{Call, Outcome};
use crate::random::Random;
use crate::side::Side;

/// More rejected lines than this in one batch mean that something is wrong with the batch, not with its lines.
const MOST_REJECTED: usize = 90;

/// A restore file of one table whose rule lines can be taken out one by one; a line keeps its number.
pub(super) struct File {
    v6: bool,
    table: String,
    head: Vec<u8>,
    head_lines: usize,
    rules: Vec<Rule>,
    /// Indices of rules that are taken out.
    out: BTreeSet<usize>,
    /// How it is listed; a random choice if there is nothing here.
    pub(super) listings: Vec<Call>,
}

impl File {
    pub(super) fn new(random: &mut Random, v6: bool, table: usize) -> Self {
        let (name, builtin) = TABLES[table];
        let mut head = format!("*{name}\n");
        for chain in builtin {
            head.push_str(&format!(":{chain} ACCEPT [0:0]\n"));
        }
        for chain in USER_CHAINS {
            head.push_str(&format!(":{chain} - [0:0]\n"));
        }
        let rules = (0..Kind::Rules.batch_size()).map(|_| Rule::random(random, v6, table));
        Self::of(v6, name, &head, rules)
    }

    /// A file with this head; rules that cannot stand in a file are left out.
    pub(super) fn of(v6: bool, table: &str, head: &str, rules: impl Iterator<Item = Rule>) -> Self {
        let rules: Vec<_> = rules.filter(|rule| rule.line().is_some()).collect();
        let (head_lines, head) = (head.lines().count(), head.as_bytes().to_vec());
        Self { v6, table: table.to_owned(), head, head_lines, rules, out: BTreeSet::new(), listings: Vec::new() }
    }

    fn call(&self) -> Call {
        let mut text = self.head.clone();
        for (index, rule) in self.rules.iter().enumerate() {
            if !self.out.contains(&index) {
                text.extend(rule.line().unwrap_or_default());
            }
            text.push(b'\n');
        }
        text.extend(b"COMMIT\n");
        let program = if self.v6 { "ip6tables-restore" } else { "iptables-restore" };
        Call::new([program]).reading(text)
    }

    /// The rules that a failed restore complains of.
    fn named_by(&self, outcome: &Outcome) -> BTreeSet<usize> {
        let stderr = String::from_utf8_lossy(&outcome.stderr);
        let numbers = stderr.split("line").skip(1).filter_map(|rest| {
            let digits = rest.trim_start_matches([':', ' ']);
            digits.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok()
        });
        numbers
            .filter_map(|number| number.checked_sub(self.head_lines + 1))
            .filter(|index| *index < self.rules.len() && !self.out.contains(index))
            .collect()
    }

    /// Takes out what `side` refuses until it accepts the file; what was taken out. `None` if it never does.
    pub(super) fn weed(&mut self, side: &mut Side) -> io::Result<Option<Vec<(usize, Outcome)>>> {
        let mut rejected = Vec::new();
        loop {
            side.flush()?;
            let outcome = side.run(&self.call())?;
            if outcome.code == 0 {
                return Ok(Some(rejected));
            }
            let named = self.named_by(&outcome);
            if named.is_empty() || rejected.len() > MOST_REJECTED {
                return Ok(None);
            }
            for index in named {
                self.out.insert(index);
                rejected.push((index, outcome.clone()));
            }
        }
    }

    /// The rules that are not taken out.
    pub(super) fn accepted(&self) -> impl Iterator<Item = &Rule> {
        let rules = self.rules.iter().enumerate();
        rules.filter(|(index, _)| !self.out.contains(index)).map(|(_, rule)| rule)
    }

    /// For each chain, the rule that stands behind each rule of the kernel.
    fn owners(&self) -> BTreeMap<&str, Vec<&Rule>> {
        let mut owners: BTreeMap<_, Vec<&Rule>> = BTreeMap::new();
        for (_, rule) in self.rules.iter().enumerate().filter(|(index, _)| !self.out.contains(index)) {
            owners.entry(rule.chain.as_str()).or_default().extend(std::iter::repeat_n(rule, rule.expansion()));
        }
        owners
    }
}

impl Worker<'_> {
    pub(super) fn rules(&mut self, random: &mut Random, v6: bool, table: usize) -> io::Result<()> {
        let file = File::new(random, v6, table);
        self.rule_file(random, file).map(drop)
    }

    /// Lines of real rulesets, some with a value broken.
    pub(super) fn corpus(&mut self, random: &mut Random) -> io::Result<()> {
        let Some(block) = corpus::block(random, Kind::Corpus.batch_size()) else { return Ok(()) };
        let file = File::of(block.v6, &block.table, &block.head, block.rules.into_iter());
        self.rule_file(random, file).map(drop)
    }

    /// Loads and lists the file's rules on both sides; the rules that stock accepted.
    pub(super) fn rule_file(&mut self, random: &mut Random, mut file: File) -> io::Result<Vec<Rule>> {
        let v6 = file.v6;
        let Some(rejected) = file.weed(&mut self.pair.theirs)? else {
            // Stock died or blames no line: every rule on its own then.
            let all: Vec<_> = file.rules.iter().map(Rule::append).collect();
            let accepted = self.singly(v6, &file, &all)?;
            return Ok(accepted.into_iter().map(|index| file.rules[index].clone()).collect());
        };
        let refused = file.weed(&mut self.pair.ours)?;
        for (index, outcome) in refused.iter().flatten() {
            let theirs = "0 (accepts the line)".to_owned();
            let ours = format!("{} {}", outcome.code, String::from_utf8_lossy(outcome.complaint()));
            let commands = vec![restore_of(&file, *index)];
            self.findings.add([Difference { what: What::Code, commands, theirs, ours }]);
        }
        if refused.is_none() {
            let (theirs, ours) = self.pair.run(&file.call())?;
            self.findings.add(outcomes(&[file.call()], &theirs, &ours));
        } else {
            if !refused.iter().flatten().collect::<Vec<_>>().is_empty() {
                self.pair.theirs.flush()?;
                self.pair.theirs.run(&file.call())?;
            }
            self.compare_kernels(&file)?;
            self.compare_listings(random, &file)?;
        }
        self.count(file.rules.len(), file.rules.len() - file.out.len());
        let mut calls: Vec<_> = rejected.iter().map(|(index, _)| file.rules[*index].append()).collect();
        let kept: Vec<_> = (0..file.rules.len()).filter(|index| !file.out.contains(index)).collect();
        let accepted = kept.iter().map(|index| file.rules[*index].clone()).collect();
        for _ in 0..6 {
            if !kept.is_empty() {
                calls.push(file.rules[*random.pick(&kept)].append());
            }
        }
        self.singly(v6, &file, &calls)?;
        Ok(accepted)
    }

    /// Rule by rule: what ours wrote is what stock wrote.
    fn compare_kernels(&mut self, file: &File) -> io::Result<()> {
        let (theirs, ours) = self.dumps()?;
        let family = if file.v6 { 10 } else { 2 };
        let key = (family, file.table.clone());
        let (Some(their_table), Some(our_table)) = (theirs.tables.get(&key), ours.tables.get(&key)) else {
            self.findings.add(kernels(&[file.call()], &theirs, &ours));
            return Ok(());
        };
        let mut rest = Vec::new();
        for (chain, rules) in file.owners() {
            let (Some(a), Some(b)) = (their_table.chains.get(chain), our_table.chains.get(chain)) else { continue };
            if a.rules.len() != rules.len() || b.rules.len() != rules.len() {
                continue;
            }
            for ((rule, a), b) in rules.iter().zip(&a.rules).zip(&b.rules).filter(|((_, a), b)| a != b) {
                let commands = vec![rule.append()];
                rest.push(Difference { what: What::Kernel, commands, theirs: a.clone(), ours: b.clone() });
            }
        }
        if rest.is_empty() {
            rest.extend(kernels(&[file.call()], &theirs, &ours));
        }
        self.findings.add(rest);
        Ok(())
    }

    /// Every pairing of lister and writer gives what stock says of its own rules.
    fn compare_listings(&self, random: &mut Random, file: &File) -> io::Result<()> {
        let mut calls = file.listings.clone();
        if calls.is_empty() {
            let all = commands::listings(file.v6, &file.table);
            calls.extend([all[0].clone(), all[all.len() - 1].clone()]);
            calls.push(random.pick(&all[1..all.len() - 1]).clone());
        }
        let (theirs, ours) = (&self.pair.theirs, &self.pair.ours);
        for call in calls {
            let reference = theirs.run(&call)?;
            let others = [
                (What::TheirsOnOurs, ours.run_other(&theirs.programs, &call)?),
                (What::OursOnTheirs, theirs.run_other(&ours.programs, &call)?),
                (What::OursOnOurs, ours.run(&call)?),
            ];
            for (what, other) in others {
                self.findings.add(line_by_line(file, what, &call, &reference, &other));
            }
        }
        Ok(())
    }

    /// Single commands on the empty chains of the file's table: append, and then check and delete what was appended. The indices of those
    /// that stock accepted.
    fn singly(&mut self, v6: bool, file: &File, calls: &[Call]) -> io::Result<Vec<usize>> {
        let mut accepted = Vec::new();
        let mut empty = file.head.clone();
        empty.extend(b"COMMIT\n");
        self.prepare(v6, &empty)?;
        let (before, _) = self.dumps()?;
        for (index, call) in calls.iter().enumerate() {
            let (theirs, ours, found) = self.both(std::slice::from_ref(call))?;
            self.findings.add(found);
            self.count(1, usize::from(theirs.code == 0));
            accepted.extend((theirs.code == 0).then_some(index));
            let (their_dump, our_dump) = self.dumps()?;
            if theirs.code != 0 && ours.code != 0 {
                self.unchanged(call, &before, &our_dump);
                continue;
            }
            if theirs.code == 0 && ours.code == 0 {
                self.findings.add(kernels(std::slice::from_ref(call), &their_dump, &our_dump));
                let mut commands = vec![call.clone()];
                for letter in [b"-C", b"-D"] {
                    commands.push(with_command(call, letter));
                    let (_, _, found) = self.both(&commands)?;
                    self.findings.add(found);
                }
                let (their_dump, our_dump) = self.dumps()?;
                self.findings.add(kernels(&commands, &their_dump, &our_dump));
            }
            self.prepare(v6, &empty)?;
        }
        Ok(accepted)
    }

    /// A command that failed must have changed nothing.
    pub(super) fn unchanged(&self, call: &Call, before: &Dump, after: &Dump) {
        if let Some((theirs, ours)) = parting(&before.lines(), &after.lines()) {
            self.findings.add([Difference { what: What::Changed, commands: vec![call.clone()], theirs, ours }]);
        }
    }
}

/// The call with another command letter in place of `-A`.
fn with_command(call: &Call, letter: &[u8; 2]) -> Call {
    let mut call = call.clone();
    if let Some(word) = call.argv.iter_mut().find(|word| word.as_slice() == b"-A") {
        *word = letter.to_vec();
    }
    call
}

/// A restore file with the head and one rule.
fn restore_of(file: &File, index: usize) -> Call {
    let head = String::from_utf8_lossy(&file.head);
    File::of(file.v6, &file.table, &head, std::iter::once(file.rules[index].clone())).call()
}

/// Two listings of the same rules: a difference per line where that is possible, with the rule behind the line.
fn line_by_line(file: &File, what: What, call: &Call, reference: &Outcome, other: &Outcome) -> Vec<Difference> {
    if reference.stdout == other.stdout || texts(&reference.stdout, &other.stdout).is_none() {
        return outcomes(std::slice::from_ref(call), reference, other);
    }
    let lines = |o: &Outcome| -> Vec<String> {
        o.stdout.split(|b| *b == b'\n').map(|l| l.escape_ascii().to_string()).collect()
    };
    let (theirs, ours) = (lines(reference), lines(other));
    let owners = owners_of_lines(file, &theirs);
    if theirs.len() != ours.len() {
        let parts = parting(&theirs, &ours).into_iter();
        return parts.map(|(theirs, ours)| Difference { what, commands: vec![call.clone()], theirs, ours }).collect();
    }
    let pairs = theirs.into_iter().zip(ours).zip(owners).filter(|((a, b), _)| a != b && !a.starts_with("# "));
    pairs
        .take(30)
        .map(|((theirs, ours), owner)| {
            let commands = owner.map(Rule::append).into_iter().chain([call.clone()]).collect();
            Difference { what, commands, theirs, ours }
        })
        .collect()
}

/// For each line of a listing of either form, the rule it shows.
fn owners_of_lines<'f>(file: &'f File, lines: &[String]) -> Vec<Option<&'f Rule>> {
    let owners = file.owners();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut section = String::new();
    lines
        .iter()
        .map(|line| {
            if let Some(rest) = line.strip_prefix("Chain ") {
                rest.split(' ').next().unwrap_or_default().clone_into(&mut section);
                return None;
            }
            let heading = line.is_empty() || line.contains("prot opt");
            let chain = match line.split_once("-A ") {
                Some((_, rest)) if section.is_empty() => rest.split(' ').next().unwrap_or_default(),
                _ if heading || section.is_empty() => return None,
                _ => &section,
            };
            let (name, rules) = owners.get_key_value(chain)?;
            let count = seen.entry(name).or_default();
            *count += 1;
            rules.get(*count - 1).copied()
        })
        .collect()
}
