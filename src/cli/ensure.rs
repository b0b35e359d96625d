//! `oxtables ensure RULE` and `ensure --absent RULE`: a rule is there, or is not, and nothing is changed if that is so already.
//!
//! The drop-in grammar. Looking and changing are one transaction in each family, so that two programs that ensure the same rule add it once.
//! A rule that names no family's address, option or protocol is ensured for both.

use super::failure::Failure;
use super::iptables::{ATTEMPTS, check_table};
use super::rules_file::reason;
use super::transaction::Transaction;
use super::writing::Writing;
use super::{Streams, exit, explain};
use crate::kernel::Session;
use crate::kernel::names::SystemNames;
use crate::text::families::families_of;
use crate::text::{Command, CommandKind, Context, parse};
use crate::types::{Family, Names};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

const USAGE: &str = "\
usage: oxtables ensure [--absent] [-4|-6] [-t TABLE] -A CHAIN RULE | -I CHAIN [NUMBER] RULE | -N CHAIN

Adds the rule (or the chain) where it is missing, in both families unless it belongs to one; with --absent deletes it, as often as it is there.
Prints `changed` or `unchanged` for each family. Exit code 0: it is so now; else as iptables.
";

/// Runs the verb with the words behind `oxtables ensure` and returns the exit code.
pub fn run(words: &[OsString]) -> u8 {
    let mut io = Streams::of_process();
    let mut words: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
    let absent = words.iter().position(|w| *w == b"--absent").map(|at| words.remove(at)).is_some();
    let only = match words.first() {
        Some(&b"-4") => Some(Family::V4),
        Some(&b"-6") => Some(Family::V6),
        _ => None,
    };
    let code = match words.as_slice() {
        [] | [b"-h" | b"--help"] => {
            io.out.str(USAGE);
            exit::OK
        }
        words => {
            let names = SystemNames::default();
            let words = if only.is_some() { words.get(1..).unwrap_or_default() } else { words };
            let families = only.map_or_else(|| families_of(words, &names), |family| vec![family]);
            // Neither takes it: the first says why.
            let families = if families.is_empty() { vec![Family::V4] } else { families };
            ensure_in(&families, words, absent, &names, &mut io)
        }
    };
    io.flush();
    code
}

fn ensure_in(families: &[Family], words: &[&[u8]], absent: bool, names: &dyn Names, io: &mut Streams) -> u8 {
    for family in families {
        let cx = Context { family: *family, names, restore: false, table: b"filter", verbose: false };
        match ensure(&cx, words, absent) {
            Ok(changed) => writeln!(io.out, "{family}: {}", if changed { "changed" } else { "unchanged" }),
            Err(failure) => {
                writeln!(io.err, "oxtables ensure: {}", reason(&failure));
                explain::explain(&failure, &cx, words, io);
                return failure.exit();
            }
        }
    }
    exit::OK
}

/// Ensures it in one family; says whether something was changed.
fn ensure(cx: &Context<'_>, words: &[&[u8]], absent: bool) -> Result<bool, Failure> {
    let mut command = parse(words, cx, &mut Vec::new())?;
    if let Some(late) = command.late.take() {
        return Err(late.into());
    }
    let table = check_table(&command)?;
    let writing = Writing::from_environment()?;
    let mut session = Session::open()?;
    let mut ids = false;
    for _ in 0..ATTEMPTS {
        let mut tx = Transaction::new(&mut session, cx.family, ids, writing.clone());
        tx.pin()?;
        match plan(&mut tx, &table, &mut command, absent).and_then(|changed| tx.commit().map(|()| changed)) {
            Err(Failure::Stale) => {}
            Err(Failure::NeedIds) => ids = true,
            outcome => return outcome,
        }
    }
    Err(Failure::Stale)
}

fn plan(tx: &mut Transaction<'_>, table: &[u8], command: &mut Command, absent: bool) -> Result<bool, Failure> {
    match (&command.kind, absent) {
        (CommandKind::NewChain { chain }, false) => {
            let missing = !tx.has_chain(table, chain)?;
            if missing {
                tx.new_chain(table, chain)?;
            }
            Ok(missing)
        }
        (CommandKind::Append { chain } | CommandKind::Insert { chain, .. }, _) => {
            let number = if let CommandKind::Insert { number, .. } = &command.kind { Some(*number) } else { None };
            if absent {
                tx.ensure_absent(table, chain, &mut command.rule)
            } else {
                tx.ensure(table, chain, number, &mut command.rule)
            }
        }
        _ => Err(crate::text::Error::usage("ensure takes -A or -I with a rule, or -N with a chain").into()),
    }
}
