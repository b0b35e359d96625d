//! `oxtables check FILE …`: everything that is wrong with rules files, by the kernel's own judgement, and nothing changed.
//!
//! Invariant: the process enters a network namespace of its own before it loads a rule, and never leaves it.

use super::rules_file::{Files, Problem, RulesFile, with_remedy};
use super::{Streams, exit};
use crate::kernel::names::SystemNames;
use crate::kernel::netns;
use clap::Parser;
use std::ffi::OsString;

/// The files are right.
const RIGHT: u8 = exit::OK;
/// Something is wrong with a file.
const WRONG: u8 = 1;
/// It could not be looked at.
const NOT_CHECKED: u8 = 2;

/// Say everything that is wrong with rules files, and change nothing.
///
/// Each FILE (iptables-save format) is loaded by the kernel itself, in a network namespace of its own where nothing sees it. All errors are
/// said at once, each with its line. Works as root and, where user namespaces are allowed, as any user. Exit code 0: the files are right;
/// 1: they are not; 2: that could not be found out.
#[derive(Debug, Parser)]
#[command(name = "oxtables check")]
struct Args {
    #[command(flatten)]
    files: Files,
}

/// Runs the verb with the words behind `oxtables check` and returns the exit code.
pub fn run(words: &[OsString]) -> u8 {
    let args = match Args::try_parse_from(std::iter::once(&OsString::from("oxtables check")).chain(words)) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { NOT_CHECKED } else { exit::OK };
        }
    };
    let mut io = Streams::default();
    let code = match check(&args) {
        Ok(problems) => {
            problems.iter().for_each(|problem| problem.print(&mut io.err));
            match problems.len() {
                0 => RIGHT,
                n => {
                    writeln!(io.err, "{n} {}", if n == 1 { "error" } else { "errors" });
                    WRONG
                }
            }
        }
        Err(text) => {
            writeln!(io.err, "oxtables check: {text}");
            NOT_CHECKED
        }
    };
    io.flush();
    code
}

/// All that is wrong, or why it cannot be said.
fn check(args: &Args) -> Result<Vec<Problem>, String> {
    let names = SystemNames::default();
    let files = args.files.read(&names)?;
    // In the namespace that comes there are none.
    let sets = files.iter().map(RulesFile::sets).collect::<Result<Vec<_>, _>>()?;
    netns::enter().map_err(|error| with_remedy(&error))?;
    let mut problems = Vec::new();
    for (file, sets) in files.iter().zip(&sets) {
        problems.extend(file.load(sets).err().unwrap_or_default());
    }
    Ok(problems)
}
