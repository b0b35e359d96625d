//! `oxtables plan FILE …`: what would change if these files were put in place, and nothing changed.

use super::rules_file::{Files, Problem, RulesFile};
use super::{Streams, exit};
use crate::ext::PrintCx;
use crate::kernel::change::Change;
use crate::kernel::names::SystemNames;
use crate::kernel::{self, Session};
use crate::model::diff::{ChainPlan, Fate, Planning, Step, plan};
use crate::model::{Chain, Policy, Rule, Ruleset, Table};
use crate::types::{Family, Names, Out};
use clap::Parser;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal};

/// Nothing would change.
const NO_CHANGE: u8 = exit::OK;
/// It could not be planned.
const NOT_PLANNED: u8 = 1;
/// Something would change.
const CHANGES: u8 = 2;

/// Show what would change if these files were put in place, and change nothing.
///
/// The smallest change from the rules in the kernel to those of each FILE, in iptables' own words: `-` goes, `+` comes, `~` stays although the
/// file does not have it, because another program (Docker, fail2ban, …) put it there. Tables that a file does not name stay as they are. Exit
/// code 0: nothing would change; 2: something would; 1: an error.
#[derive(Debug, Parser)]
#[command(name = "oxtables plan")]
struct Args {
    #[command(flatten)]
    files: Files,
    /// Take the rules of other programs away too.
    #[arg(long)]
    replace_all: bool,
}

/// Why there is no plan.
#[derive(Debug)]
pub enum NoPlan {
    /// The files are wrong.
    Wrong(Vec<Problem>),
    /// Something else, in words.
    Other(String),
}

/// What is to change, family by family, and the generation of the ruleset that it was planned for.
#[derive(Debug)]
pub struct Planned {
    /// The generation.
    pub generation: u32,
    /// The changes.
    pub changes: Vec<Change>,
}

impl Planned {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|change| change.plan.is_empty())
    }

    /// Prints it as a diff for standard output.
    pub fn print(&self, names: &dyn Names, out: &mut Out) {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        self.print_in(colour, names, out);
    }

    /// Prints it as a diff for a file.
    pub fn print_plain(&self, names: &dyn Names, out: &mut Out) {
        self.print_in(false, names, out);
    }

    fn print_in(&self, colour: bool, names: &dyn Names, out: &mut Out) {
        for change in &self.changes {
            Printer { plan: change, names, colour, out }.print();
        }
    }
}

/// Runs the verb with the words behind `oxtables plan` and returns the exit code.
pub fn run(words: &[OsString]) -> u8 {
    let args = match Args::try_parse_from(std::iter::once(&OsString::from("oxtables plan")).chain(words)) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { NOT_PLANNED } else { exit::OK };
        }
    };
    let mut io = Streams::default();
    let names = SystemNames::default();
    let files = args.files.read(&names).map_err(NoPlan::Other);
    let code = match files.and_then(|files| plan_files(&files, &names, args.replace_all)) {
        Ok(planned) => {
            planned.print(&names, &mut io.out);
            if planned.is_empty() { NO_CHANGE } else { CHANGES }
        }
        Err(no_plan) => {
            no_plan.print("plan", &mut io.err);
            NOT_PLANNED
        }
    };
    io.flush();
    code
}

impl NoPlan {
    /// Says why.
    pub fn print(&self, verb: &str, err: &mut Out) {
        match self {
            Self::Wrong(problems) => problems.iter().for_each(|problem| problem.print(err)),
            Self::Other(text) => writeln!(err, "oxtables {verb}: {text}"),
        }
    }
}

impl From<kernel::Error> for NoPlan {
    fn from(error: kernel::Error) -> Self {
        let mut text = error.to_string();
        if let Some(advice) = super::Failure::from(error).advice() {
            text = format!("{text}\n{advice}");
        }
        Self::Other(text)
    }
}

/// Plans the way from the rules of the namespace that the calling thread is in to those of these files, family by family.
pub fn plan_files(files: &[RulesFile], names: &dyn Names, replace_all: bool) -> Result<Planned, NoPlan> {
    let mut wanted: BTreeMap<Family, (&str, Ruleset)> = BTreeMap::new();
    let mut session = Session::open()?;
    // Who may not look learns that first.
    session.generation()?;
    for file in files {
        let sets = file.sets().map_err(NoPlan::Other)?;
        for ruleset in file.load(&sets).map_err(NoPlan::Wrong)? {
            let family = ruleset.family;
            if let Some((other, _)) = wanted.insert(family, (&file.name, ruleset)) {
                return Err(NoPlan::Other(format!("{other} and {} are both for {family}", file.name)));
            }
        }
    }
    loop {
        let generation = session.generation()?;
        let mut changes = Vec::new();
        for (family, (_, wanted)) in &wanted {
            let live = kernel::ruleset(&mut session, *family)?;
            let plan = plan(&live, wanted, &Planning { names, replace_all });
            changes.push(Change { live, wanted: wanted.clone(), plan });
        }
        if session.generation()? == generation {
            return Ok(Planned { generation, changes });
        }
    }
}

/// Prints a plan as a diff.
struct Printer<'a> {
    plan: &'a Change,
    names: &'a dyn Names,
    colour: bool,
    out: &'a mut Out,
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const BOLD: &str = "1";

impl Printer<'_> {
    fn print(&mut self) {
        let family = self.plan.plan.family;
        for table in &self.plan.plan.tables {
            let name = String::from_utf8_lossy(&table.name).into_owned();
            self.line(BOLD, &format!("{family} {name}{}", if table.new { " (a new table)" } else { "" }));
            let live = self.plan.live.table(&table.name);
            let wanted = self.plan.wanted.table(&table.name);
            for chain in &table.chains {
                self.chain(chain, live, wanted);
            }
        }
        let (comes, goes) = self.plan.plan.count();
        let of = |n: usize| format!("{n} {}", if n == 1 { "rule" } else { "rules" });
        if self.plan.plan.is_empty() {
            writeln!(self.out, "{family}: nothing changes");
        } else {
            writeln!(self.out, "{family}: {} to add, {} to delete", of(comes), of(goes));
        }
    }

    fn line(&mut self, style: &str, text: &str) {
        if self.colour {
            writeln!(self.out, "\x1b[{style}m{text}\x1b[0m");
        } else {
            writeln!(self.out, "{text}");
        }
    }

    fn chain(&mut self, chain: &ChainPlan, live: Option<&Table>, wanted: Option<&Table>) {
        let name = String::from_utf8_lossy(&chain.name).into_owned();
        let (live, wanted) = (live.and_then(|t| t.chain(&chain.name)), wanted.and_then(|t| t.chain(&chain.name)));
        match chain.fate {
            Fate::Comes if wanted.is_some_and(|c| c.policy.is_none()) => self.line(GREEN, &format!("+ -N {name}")),
            _ => {}
        }
        if let Some((_, to)) = chain.policy {
            let word = |policy| if policy == Policy::Accept { "ACCEPT" } else { "DROP" };
            self.line(YELLOW, &format!("! -P {name} {}", word(to)));
        }
        if !chain.changes() {
            let owner =
                chain.steps.iter().find_map(|s| if let Step::Leave { owner, .. } = s { Some(owner) } else { None });
            let left = chain.steps.iter().filter(|s| matches!(s, Step::Leave { .. })).count();
            if let Some(owner) = owner {
                self.line(YELLOW, &format!("~ chain {name}: {left} left alone ({owner})"));
            }
            return;
        }
        let mut number = 0;
        for step in &chain.steps {
            let (sign, style, rule, owner) = match step {
                Step::Stay { .. } => {
                    number += 1;
                    continue;
                }
                Step::Leave { live: at, owner } => ("~", YELLOW, rule_at(live, *at), Some(*owner)),
                Step::Delete { live: at, owner } => ("-", RED, rule_at(live, *at), *owner),
                Step::Insert { wanted: at, .. } => ("+", GREEN, rule_at(wanted, *at), None),
            };
            number += u32::from(sign != "-");
            let Some(rule) = rule else { continue };
            let text = self.rule(&chain.name, rule);
            let place = if sign == "-" { String::new() } else { number.to_string() };
            let note = owner.map(|o| format!("   # {o}")).unwrap_or_default();
            self.line(style, &format!("{sign} {place:>4} {text}{note}"));
        }
        if chain.fate == Fate::Goes {
            self.line(RED, &format!("- -X {name}"));
        }
    }

    /// The rule as `-S` prints it.
    fn rule(&self, chain: &[u8], rule: &Rule) -> String {
        let mut text = Out::new();
        match &rule.body {
            Some(body) => {
                text.str("-A");
                text.word(chain);
                let cx = PrintCx { family: self.plan.live.family, numeric: true, names: self.names, protocol: None };
                body.save(&mut text, &cx, None);
            }
            None => write!(text, "# a rule that iptables cannot say (handle {})", rule.handle),
        }
        String::from_utf8_lossy(text.as_bytes()).into_owned()
    }
}

fn rule_at(chain: Option<&Chain>, at: usize) -> Option<&Rule> {
    chain?.rules.get(at)
}
