//! The front ends: which one a call means, by the name it was called by or by its first word.
//!
//! Only here, in `kernel` and in nothing below is the operating system touched: files, terminals, arguments, exit codes.

mod apply;
mod check;
mod date;
mod debugged;
pub mod demo;
mod ensure;
pub mod exit;
mod explain;
mod failure;
mod history;
mod iptables;
pub mod json;
mod missing;
mod monitor;
mod plain_getopt;
mod plan;
mod restore;
mod rules_file;
pub mod sandbox;
mod save;
mod saved;
mod show;
mod transaction;
mod translate;
mod view;
mod writing;
mod xml;
mod zero;

pub use failure::{Failure, Program};
pub use restore::restore_text;
pub use show::{Form, Request, show};

use crate::kernel::names::SystemNames;
use crate::types::{Family, Out};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

/// The version of iptables that the drop-in names claim to be: clients parse it.
pub const STOCK_VERSION: &str = "1.8.9";

/// What a front end prints, kept until it ends.
#[derive(Debug, Default)]
pub struct Streams {
    /// The pieces of standard output that are complete.
    before: Vec<Out>,
    /// Standard output behind them.
    pub out: Out,
    /// Standard error.
    pub err: Out,
    /// Whether people read standard error, so that errors are explained.
    pub explain: bool,
}

impl Streams {
    /// Empty streams; explanations if standard error is a terminal, or as `OXTABLES_EXPLAIN` says.
    fn of_process() -> Self {
        let explain = match env::var_os("OXTABLES_EXPLAIN") {
            Some(value) if value == "always" => true,
            Some(value) if value == "never" => false,
            _ => io::stderr().is_terminal(),
        };
        Self { explain, ..Self::default() }
    }

    /// Adds a text that was made in pieces to standard output, without copying them.
    fn extend(&mut self, pieces: Vec<Out>) {
        self.before.push(std::mem::take(&mut self.out));
        self.before.extend(pieces);
    }

    /// Writes everything out. A reader that has gone away is no failure.
    fn flush(&self) {
        let _ = io::stderr().write_all(self.err.as_bytes());
        let mut out = io::BufWriter::new(io::stdout().lock());
        let pieces = self.before.iter().chain([&self.out]);
        let _ = pieces.map(Out::as_bytes).try_for_each(|piece| out.write_all(piece)).and_then(|()| out.flush());
    }
}

/// The drop-in front ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DropIn {
    Iptables(Family),
    Save(Family),
    Restore(Family),
    Translate(Family),
    RestoreTranslate(Family),
    Xml,
}

impl DropIn {
    /// The front end of a name: the plain one, with `-nft` inside, or the short names of the multi-call binary.
    fn of_name(name: &str) -> Option<Self> {
        let (family, rest) = if let Some(rest) = name.strip_prefix("ip6tables") {
            (Family::V6, rest)
        } else if let Some(rest) = name.strip_prefix("iptables") {
            (Family::V4, rest)
        } else {
            return Some(match name {
                "main4" => Self::Iptables(Family::V4),
                "main6" => Self::Iptables(Family::V6),
                "save4" => Self::Save(Family::V4),
                "save6" => Self::Save(Family::V6),
                "restore4" => Self::Restore(Family::V4),
                "restore6" => Self::Restore(Family::V6),
                "xml" => Self::Xml,
                _ => return None,
            });
        };
        match rest.strip_prefix("-nft").unwrap_or(rest) {
            "" => Some(Self::Iptables(family)),
            "-save" => Some(Self::Save(family)),
            "-restore" => Some(Self::Restore(family)),
            "-xml" if name == "iptables-xml" => Some(Self::Xml),
            "-translate" if !rest.starts_with("-nft") => Some(Self::Translate(family)),
            "-restore-translate" if !rest.starts_with("-nft") => Some(Self::RestoreTranslate(family)),
            _ => None,
        }
    }

    fn run(self, program: Program<'_>, args: &[OsString]) -> u8 {
        let mut io = Streams::of_process();
        let names = SystemNames::default();
        let args: Vec<&[u8]> = args.iter().map(|a| a.as_bytes()).collect();
        let code = match self {
            Self::Iptables(family) => {
                let name = if family == Family::V4 { "iptables" } else { "ip6tables" };
                iptables::run(Program { name, ..program }, family, &names, &args, &mut io)
            }
            Self::Save(family) => save::run(program, family, &names, &args, &mut io),
            Self::Restore(family) => restore::run(program, family, &names, &args, &mut io),
            Self::Xml => xml::run(program.called, &args, &mut io),
            Self::Translate(family) => translate::command(program, family, &names, &args, &mut io),
            Self::RestoreTranslate(family) => translate::restore(program.called, family, &names, &args, &mut io),
        };
        if let Some(complaint) = names.complaint() {
            let rest = std::mem::take(&mut io.err);
            io.err.str(&complaint);
            io.err.bytes(rest.as_bytes());
        }
        io.flush();
        code
    }
}

/// Runs the front end that the process was called for.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().collect();
    let called = words.first().map(|w| base_name(w)).unwrap_or_default();
    let args = words.get(1..).unwrap_or_default();
    if called == "netfilter-persistent" {
        return ExitCode::from(saved::netfilter_persistent(args));
    }
    if let Some(front_end) = DropIn::of_name(&called) {
        let argv0 = words.first().map(|w| w.to_string_lossy()).unwrap_or_default();
        return ExitCode::from(front_end.run(Program { name: &called, called: &argv0 }, args));
    }
    if let Some(code) = other_name(&called, args) {
        return ExitCode::from(code);
    }
    let Some((verb, rest)) = args.split_first() else { return ExitCode::from(no_verb(None)) };
    let verb = verb.to_string_lossy();
    if let Some(code) = other_name(&verb, rest) {
        return ExitCode::from(code);
    }
    if let Some(front_end) = DropIn::of_name(&verb) {
        return ExitCode::from(front_end.run(Program::of(&verb), rest));
    }
    ExitCode::from(match &*verb {
        "apply" => apply::run(rest),
        apply::GUARD => apply::run_guard(),
        "check" => check::run(rest),
        "confirm" => apply::confirm(),
        "demo" => demo::run(rest),
        "disable" => saved::disable(),
        "ensure" => ensure::run(rest),
        "enable" => saved::enable(),
        "history" => history::history(rest),
        "load" => saved::load(rest),
        "netfilter-persistent" => saved::netfilter_persistent(rest),
        "plan" => plan::run(rest),
        "save" => saved::save(rest),
        "restore-from" => history::restore_from(rest),
        "rollback" => apply::rollback(),
        "status" => apply::status(),
        "restore" => {
            let mut io = Streams::of_process();
            let args: Vec<&[u8]> = rest.iter().map(|a| a.as_bytes()).collect();
            let code = json::restore::run(&args, &mut io);
            io.flush();
            code
        }
        "sandbox" => sandbox::run(rest),
        "--version" | "-V" => {
            let mut io = Streams::default();
            writeln!(io.out, "oxtables {}", env!("CARGO_PKG_VERSION"));
            io.flush();
            exit::OK
        }
        "--help" | "-h" | "help" => {
            let mut io = Streams::default();
            io.out.str(VERBS);
            io.flush();
            exit::OK
        }
        other => no_verb(Some(other)),
    })
}

/// What is called by a name of its own beside the drop-in's: the monitor, and the programs that oxtables does not stand in for.
fn other_name(name: &str, args: &[OsString]) -> Option<u8> {
    if name == "xtables-monitor" {
        let args: Vec<&[u8]> = args.iter().map(|a| a.as_bytes()).collect();
        return Some(monitor::run(Program::of(name), &args));
    }
    let missing = ["arptables", "ebtables"].into_iter().find(|missing| name.starts_with(missing))?;
    let mut io = Streams::default();
    writeln!(
        io.err,
        "{name}: oxtables does not provide {missing}; use that of iptables, or nft(8). Nothing was changed."
    );
    io.flush();
    Some(exit::OTHER)
}

const VERBS: &str = "\
oxtables: iptables on nf_tables

usage: oxtables VERB …

  apply FILE …                 put rules files in place, and the old rules back unless it is confirmed
  check FILE …                 all that is wrong with rules files, as the kernel sees it
  confirm, rollback, status    of an apply that waits
  demo                         a small network, a firewall in the kernel, real packets
  plan FILE …                  what would change if these files were put in place
  history [ID]                 who changed the rules, when and how
  restore-from ID [--before]   apply the rules of then
  ensure [--absent] RULE       a rule is there (or not), for both families; nothing happens if it is so already
  save, load                   the live rules into /etc/iptables, and back
  enable, disable              load the saved rules at boot
  sandbox [FILE …] [-- COMMAND …]
                               a shell or a command in a network of its own, with these rules
  restore [--json] [FILE]      the rules of a file, or of a JSON document, in the place of those that are there
  iptables …, ip6tables …      the drop-in commands, as under their own names
  iptables-save, iptables-restore, ip6tables-save, ip6tables-restore
  iptables-translate, iptables-restore-translate, ip6tables-translate, ip6tables-restore-translate
                               the same rules in the words of nft(8)
  xtables-monitor [-e] [-t]    changes of the ruleset and the way of traced packets, as they happen
  iptables-xml                 a save file as XML

Called by one of those names (a link will do), it is that program.
";

fn no_verb(verb: Option<&str>) -> u8 {
    let mut io = Streams::default();
    match verb {
        Some(verb) => writeln!(io.err, "oxtables: there is no verb '{verb}'"),
        None => writeln!(io.err, "ERROR: No valid subcommand given."),
    }
    io.err.str(VERBS);
    io.flush();
    exit::OTHER
}

fn base_name(path: &OsStr) -> String {
    Path::new(path).file_name().unwrap_or(path).to_string_lossy().into_owned()
}

/// Says on standard error that rules of the old xtables kernel interface are there, as stock does before a listing; `tool` is what
/// shows them: nothing, or `-save`.
fn warn_of_legacy(family: Family, tool: &str, err: &mut Out) {
    let (path, program) = match family {
        Family::V4 => ("/proc/net/ip_tables_names", "iptables"),
        Family::V6 => ("/proc/net/ip6_tables_names", "ip6tables"),
    };
    if fs::read(path).is_ok_and(|names| !names.is_empty()) {
        writeln!(err, "# Warning: {program}-legacy tables present, use {program}-legacy{tool} to see them");
    }
}

/// Opens a file without changing what is in it.
fn open_for_writing(path: &[u8]) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create(true).truncate(false).open(OsStr::from_bytes(path))
}

/// Puts a text in the place of a file's content.
fn rewrite(file: &mut fs::File, pieces: &[Out]) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    let mut file = io::BufWriter::new(file);
    pieces.iter().try_for_each(|piece| file.write_all(piece.as_bytes()))?;
    file.flush()
}

fn read_file(path: &[u8]) -> io::Result<Vec<u8>> {
    fs::read(OsStr::from_bytes(path))
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text)?;
    Ok(text)
}
