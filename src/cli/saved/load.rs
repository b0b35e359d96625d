//! `oxtables load`: the saved rules come back, both families at once; what cannot be loaded fails closed.

use super::files::{Files, root};
use super::safe;
use crate::cli::plan::{NoPlan, plan_files};
use crate::cli::rules_file::{FAMILIES, RulesFile};
use crate::cli::writing::Writing;
use crate::cli::{Streams, exit};
use crate::ext::Body;
use crate::kernel::change::carry_out;
use crate::kernel::names::SystemNames;
use crate::kernel::{self, CommitError, Session};
use crate::model::{Chain, Policy, Table};
use crate::types::{Family, Names, Out};
use clap::Parser;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

/// The saved rules are in place, or nothing was saved.
const LOADED: u8 = exit::OK;
/// They are not; the safe rules stand, or (not at all possible) the old ones.
const FAILED: u8 = 1;

/// How often it is planned again because another program has changed the rules meanwhile.
const ATTEMPTS: usize = 20;

/// Load the saved rules, as at boot.
///
/// Both families change in one transaction, to just what was saved. If a file cannot be loaded (it is cut off, it names what this kernel has
/// not), the rules that are in place stay; where there are none, as at boot, safe rules stand for that family: the loopback, connections that
/// are there, SSH and the needed ICMP come in, nothing else does.
/// Exit code 0: loaded, or nothing is saved; 1: not loaded, and standard error says why.
#[derive(Debug, Parser)]
#[command(name = "oxtables load")]
struct Args {
    /// Load what was saved before the last save.
    #[arg(long)]
    previous: bool,
}

/// `oxtables load`.
pub fn load(words: &[OsString]) -> u8 {
    let args = match Args::try_parse_from(std::iter::once(&OsString::from("oxtables load")).chain(words)) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return u8::from(error.use_stderr());
        }
    };
    let mut io = Streams::default();
    let code = load_families(&FAMILIES, args.previous, &mut io.err);
    io.flush();
    code
}

/// Loads the saved rules of these families; says on `err` what is wrong.
pub(super) fn load_families(families: &[Family], previous: bool, err: &mut Out) -> u8 {
    let names = SystemNames::default();
    let files = Files::of_host();
    let (mut wanted, mut code) = (Vec::new(), LOADED);
    for family in families {
        match saved(&files, *family, previous) {
            Ok(None) => writeln!(err, "{family}: no rules are saved"),
            Ok(Some((path, text))) => {
                wanted.push(RulesFile::new(path.display().to_string(), text, Some(*family), &names));
            }
            Err(text) => {
                writeln!(err, "oxtables load: {text}");
                return FAILED;
            }
        }
    }
    if wanted.is_empty() {
        return code;
    }
    if let Err(no_plan) = put(&wanted, &names) {
        no_plan.print("load", err);
        code = FAILED;
        let broken: Vec<RulesFile> = wanted
            .iter()
            .filter(|file| put(std::slice::from_ref(*file), &names).is_err())
            .map(|f| safe_rules(f, &names))
            .collect();
        for file in broken {
            if has_rules(&file) {
                writeln!(err, "oxtables load: the rules that are in place stay");
                continue;
            }
            match put(&[file], &names) {
                Ok(()) => writeln!(
                    err,
                    "oxtables load: safe rules stand instead: established connections and SSH come in, nothing else"
                ),
                Err(no_plan) => {
                    no_plan.print("load", err);
                    writeln!(err, "oxtables load: not even the safe rules could be loaded");
                }
            }
        }
    }
    code
}

/// The file of a family and what is in it; `None` if nothing is saved.
fn saved(files: &Files, family: Family, previous: bool) -> Result<Option<(PathBuf, Vec<u8>)>, String> {
    let path = if previous {
        match files.versions_of(family).pop() {
            Some(path) => path,
            None => return Ok(None),
        }
    } else {
        files.of(family).to_owned()
    };
    match fs::read(&path) {
        // A save always has something in it: an empty file is one that was cut off.
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// Puts files in place, in one transaction.
fn put(files: &[RulesFile], names: &dyn Names) -> Result<(), NoPlan> {
    let writing = Writing::from_environment()
        .map_err(|_| NoPlan::Other("OXTABLES_ENCODING must be stock or native".to_owned()))?;
    for file in files {
        if FAMILIES.iter().filter_map(|family| file.text(*family)).all(|text| text.trim_ascii().is_empty()) {
            return Err(NoPlan::Other(format!("{} is empty: it was cut off, a save never is", file.name)));
        }
    }
    let mut session = Session::open()?;
    for _ in 0..ATTEMPTS {
        let planned = plan_files(files, names, true)?;
        match carry_out(&mut session, &planned.changes, &|body: &Body| writing.natively(body), planned.generation) {
            Ok(_) => return Ok(()),
            Err(CommitError::Stale) => {}
            Err(error) => return Err(NoPlan::Other(error.to_string())),
        }
    }
    Err(NoPlan::Other("the rules keep changing; try again".to_owned()))
}

/// Whether the family of a file has any rules in place.
fn has_rules(file: &RulesFile) -> bool {
    FAMILIES.into_iter().filter(|family| file.text(*family).is_some()).any(|family| {
        let live = Session::open().and_then(|mut session| kernel::ruleset(&mut session, family));
        let closed = |chain: &Chain| !chain.rules.is_empty() || chain.policy == Some(Policy::Drop);
        live.is_ok_and(|live| live.tables.iter().flat_map(Table::chains).any(closed))
    })
}

/// The safe rules for the family of a file.
fn safe_rules(file: &RulesFile, names: &dyn Names) -> RulesFile {
    let both = RulesFile::new("the safe rules".to_owned(), safe::rules(&root()).into_bytes(), None, names);
    let family = if file.text(Family::V4).is_some() { Family::V4 } else { Family::V6 };
    RulesFile::new(both.name.clone(), both.text(family).unwrap_or_default().to_vec(), Some(family), names)
}
