//! `iptables-restore` and `ip6tables-restore`: a file, one transaction.
//!
//! The whole input is read and understood before the kernel is asked to change anything, and all its tables are committed together
//! (stock commits each table at its COMMIT). Source: fact sheet 4.3.

mod reader;

use super::failure::{Failure, Program};
use super::iptables::ATTEMPTS;
use super::missing::{missing_extensions, warn_of_loaded};
use super::plain_getopt::{PlainGetopt, Table, Takes};
use super::transaction::Transaction;
use super::writing::Writing;
use super::{Streams, exit};
use crate::kernel::{Refusal, Session};
use crate::text::lexer::{Words, counters_prefix, lines};
use crate::text::{Context, parse};
use crate::types::{Family, Names};
use reader::Reader;
pub(super) use reader::{Stopped, tokens};

/// The options of iptables-restore(8).
#[derive(Debug, Default)]
pub struct Options {
    pub counters: bool,
    pub verbose: bool,
    pub test: bool,
    pub noflush: bool,
    pub table: Option<Vec<u8>>,
    pub file: Option<Vec<u8>>,
}

/// What is restored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Input<'t> {
    /// A file.
    Text(&'t [u8]),
    /// Its lines, each with its newline: one in quotes does not end a line then.
    Lines(&'t [Vec<u8>]),
}

impl<'t> Input<'t> {
    fn lines(self) -> Box<dyn Iterator<Item = &'t [u8]> + 't> {
        match self {
            Self::Text(text) => Box::new(lines(text)),
            Self::Lines(lines) => Box::new(lines.iter().map(Vec::as_slice)),
        }
    }
}

/// What the command line asks for.
enum Asked {
    Restore(Options),
    Version,
    Help,
}

/// Runs it and says its exit code.
pub fn run(program: Program<'_>, family: Family, names: &dyn Names, args: &[&[u8]], io: &mut Streams) -> u8 {
    let options = match parse_options(program, args, io) {
        Some(Asked::Restore(options)) => options,
        Some(Asked::Version) => {
            writeln!(io.out, "{}", program.version());
            return exit::OK;
        }
        Some(Asked::Help) => {
            crate::text::help::restore(program.name, &mut io.err);
            return exit::OK;
        }
        None => return exit::OTHER,
    };
    let text = match read_input(options.file.as_deref()) {
        Ok(text) => text,
        Err(e) => {
            io.err.str("Can't open ");
            io.err.bytes(options.file.as_deref().unwrap_or(b"standard input"));
            writeln!(io.err, ": {}", crate::kernel::errno_text(e.raw_os_error().unwrap_or(0)));
            return exit::OTHER;
        }
    };
    run_text(program, family, names, &options, &text, io)
}

/// Restores a text and says the exit code.
pub(super) fn run_text(
    program: Program<'_>,
    family: Family,
    names: &dyn Names,
    options: &Options,
    text: &[u8],
    io: &mut Streams,
) -> u8 {
    let cx = Context { family, names, restore: true, table: b"filter", verbose: false };
    match restore(program, &cx, options, Input::Text(text), io) {
        Ok(()) => exit::OK,
        Err(stopped) => {
            let at = stopped.line.or(first_refused(&stopped.failure));
            warn_of_loaded(&stopped.failure, None, family, &mut io.err);
            stopped.failure.print(program, stopped.reported, &mut io.err);
            super::explain::explain_line(&stopped.failure, &cx, text, at, options.noflush, io);
            stopped.failure.exit()
        }
    }
}

/// The input; a directory opens and is empty to a reader of lines.
fn read_input(file: Option<&[u8]>) -> std::io::Result<Vec<u8>> {
    let text = match file {
        Some(path) => super::read_file(path),
        None => super::read_stdin(),
    };
    match text {
        Err(e) if e.kind() == std::io::ErrorKind::IsADirectory => Ok(Vec::new()),
        other => other,
    }
}

fn first_refused(failure: &Failure) -> Option<u32> {
    match failure {
        Failure::Refused { refusals, .. } => refusals.first().map(|r| r.op.line),
        _ => None,
    }
}

/// Line `number` (from 1), without its newline.
fn line_of(input: Input<'_>, number: u32) -> Option<&[u8]> {
    let line = input.lines().nth(usize::try_from(number).ok()?.checked_sub(1)?)?;
    Some(line.strip_suffix(b"\n").unwrap_or(line))
}

/// The words of line `number` (from 1) behind its counters; `None` if there are none.
fn words_of(input: Input<'_>, number: u32, words: &mut Words) -> Option<()> {
    let line = line_of(input, number)?;
    let line = counters_prefix(line).map_or(line, |(_, _, rest)| rest);
    words.split(line).ok()
}

/// Restores a text into a session's namespace: what `iptables-restore < text` does, for front ends that have their rules in memory.
pub fn restore_text(family: Family, names: &dyn Names, text: &[u8], io: &mut Streams) -> Result<(), Failure> {
    let cx = Context { family, names, restore: true, table: b"filter", verbose: false };
    let program = Program::of("oxtables");
    restore(program, &cx, &Options::default(), Input::Text(text), io).map_err(|stopped| {
        stopped.failure.print(program, stopped.reported, &mut io.err);
        stopped.failure
    })
}

/// Something wrong with a text: the line, where it is about one, and what.
pub type Wrong = (Option<u32>, Failure);

/// After so many errors the rest of a file is not looked at.
const WRONG_MAX: usize = 200;

/// Restores a text into a session's namespace like [`restore_text`], but goes on behind what is wrong with it: lines that cannot be carried
/// out are left out. Says all that is wrong, in the order of the lines; up to 200 things.
pub fn restore_what_can_be(family: Family, names: &dyn Names, text: &[u8]) -> Vec<Wrong> {
    let cx = Context { family, names, restore: true, table: b"filter", verbose: false };
    let (mut text, mut all) = (text.to_vec(), Vec::new());
    while all.len() < WRONG_MAX {
        let outcome =
            restore(Program::of("oxtables"), &cx, &Options::default(), Input::Text(&text), &mut Streams::default());
        let Err(stopped) = outcome else { break };
        let wrong: Vec<Wrong> = match stopped.failure {
            Failure::Refused { refusals, missing } => {
                let one = |r: &Refusal| Failure::Refused { refusals: vec![r.clone()], missing: missing.clone() };
                refusals.iter().map(|r| (Some(r.op.line).filter(|n| *n > 0), one(r))).collect()
            }
            failure => vec![(stopped.line.or_else(|| super::explain::line_in_text(&failure)), failure)],
        };
        let mut gone = false;
        for (line, _) in &wrong {
            gone |= line.is_some_and(|line| leave_out(&mut text, line));
        }
        all.extend(wrong);
        if !gone {
            break;
        }
    }
    all.sort_by_key(|(line, _)| line.unwrap_or(u32::MAX));
    all
}

/// Empties a line (from 1), and if a table begins with it, all lines of the table; false if there is no such line.
fn leave_out(text: &mut Vec<u8>, number: u32) -> bool {
    let mut kept = Vec::with_capacity(text.len());
    let (mut found, mut in_table) = (false, false);
    for (line, n) in lines(text).zip(1u32..) {
        let here = n == number && line != b"\n";
        found |= here;
        in_table |= here && line.starts_with(b"*");
        kept.extend_from_slice(if here || in_table { b"\n" } else { line });
        in_table &= !line.starts_with(b"COMMIT");
    }
    *text = kept;
    found
}

/// Restores it as one transaction; what it prints goes to `io`, its failure to the caller.
pub(super) fn restore(
    program: Program<'_>,
    cx: &Context<'_>,
    options: &Options,
    input: Input<'_>,
    io: &mut Streams,
) -> Result<(), Stopped> {
    let mut session = None;
    let mut ids = false;
    let mut writing = Writing::from_environment()?;
    for _ in 0..ATTEMPTS {
        let mut reader = Reader::new(program, cx, options);
        let outcome = match &mut session {
            // A file without tables needs no kernel: programs probe with an empty one.
            None if !input.lines().any(|l| l.first() == Some(&b'*')) => reader.read_without_tables(input),
            None => attempt(&mut reader, session.insert(Session::open()?), ids, &writing, input),
            Some(session) => attempt(&mut reader, session, ids, &writing, input),
        };
        match &outcome {
            Err(Stopped { failure: Failure::Stale, .. }) => continue,
            Err(Stopped { failure: Failure::NeedIds, .. }) => {
                ids = true;
                continue;
            }
            Err(Stopped { failure: Failure::Refused { refusals, .. }, .. }) => {
                if writing.is_refused(refusals) {
                    continue;
                }
                let missing = session.as_mut().map_or_else(Vec::new, |s| missing_of_lines(s, cx, input, refusals));
                if writing.lacks(&missing) {
                    continue;
                }
            }
            _ => {}
        }
        io.err.bytes(reader.warnings.as_bytes());
        io.out.bytes(reader.out.as_bytes());
        return match (outcome, &mut session) {
            (Err(Stopped { failure: Failure::Refused { refusals, .. }, .. }), Some(session)) => {
                let missing = missing_of_lines(session, cx, input, &refusals);
                Err(Stopped { failure: Failure::Refused { refusals, missing }, reported: Some(0), line: None })
            }
            (outcome, _) => outcome,
        };
    }
    Err(Failure::Stale.into())
}

/// Reads the file and commits it, as one generation of the ruleset.
fn attempt(
    reader: &mut Reader<'_>,
    session: &mut Session,
    ids: bool,
    writing: &Writing,
    input: Input<'_>,
) -> Result<(), Stopped> {
    let mut transaction = Transaction::new(session, reader.cx.family, ids, writing.clone());
    // Stock asks the kernel at the first COMMIT: what is wrong with the file before it comes first.
    reader.denied = transaction.pin().err();
    reader.read(&mut transaction, input)?;
    if !reader.options.test {
        transaction.commit()?;
    }
    Ok(())
}

/// The extensions of the refused lines that the kernel lacks.
fn missing_of_lines(session: &mut Session, cx: &Context<'_>, input: Input<'_>, refusals: &[Refusal]) -> Vec<String> {
    let mut all = Vec::new();
    for refusal in refusals {
        let mut words = Words::default();
        if words_of(input, refusal.op.line, &mut words).is_none() {
            continue;
        }
        let words: Vec<&[u8]> = words.iter().collect();
        let Ok(command) = parse(&words, cx, &mut Vec::new()) else { continue };
        let missing = missing_extensions(session, cx.family, &command.rule.body, std::slice::from_ref(refusal));
        for name in missing.unwrap_or_default() {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}

static TABLE: Table = Table {
    short: &[
        (b'b', Takes::Nothing),
        (b'c', Takes::Nothing),
        (b'v', Takes::Nothing),
        (b'V', Takes::Nothing),
        (b't', Takes::Nothing),
        (b'h', Takes::Nothing),
        (b'n', Takes::Nothing),
        (b'w', Takes::Nothing),
        (b'W', Takes::Nothing),
        (b'M', Takes::Value),
        (b'T', Takes::Value),
    ],
    long: &[
        ("counters", b'c', Takes::Nothing),
        ("verbose", b'v', Takes::Nothing),
        ("version", b'V', Takes::Nothing),
        ("test", b't', Takes::Nothing),
        ("help", b'h', Takes::Nothing),
        ("noflush", b'n', Takes::Nothing),
        ("modprobe", b'M', Takes::Value),
        ("table", b'T', Takes::Value),
        ("wait", b'w', Takes::Attached),
        ("wait-interval", b'W', Takes::Attached),
        ("ipv4", b'4', Takes::Nothing),
        ("ipv6", b'6', Takes::Nothing),
    ],
};

/// Reads the command line; `None` if it is wrong, which has been said then.
fn parse_options(program: Program<'_>, args: &[&[u8]], io: &mut Streams) -> Option<Asked> {
    let mut options = Options::default();
    let mut getopt = PlainGetopt::new(&TABLE, args);
    loop {
        let found = match getopt.next() {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(text) => {
                write!(io.err, "{}: ", program.called);
                io.err.bytes(&text);
                io.err.byte(b'\n');
                hint(program, io);
                return None;
            }
        };
        match found.letter {
            b'c' => options.counters = true,
            b'v' => options.verbose = true,
            b't' => options.test = true,
            b'n' => options.noflush = true,
            b'T' => options.table = found.value.map(<[u8]>::to_vec),
            b'V' => return Some(Asked::Version),
            b'h' => return Some(Asked::Help),
            // There is no lock to wait for.
            b'w' | b'W' if found.value.is_none() => _ = getopt.plain_word(),
            // Stock's getopt knows these two, but nothing else of it does.
            b'4' | b'6' => {
                hint(program, io);
                return None;
            }
            b'b' => io.err.str("-b/--binary option is not implemented\n"),
            _ => {}
        }
    }
    match getopt.operands() {
        [] => {}
        [file] => options.file = Some(file.to_vec()),
        _ => {
            io.err.str("Unknown arguments found on commandline\n");
            return None;
        }
    }
    Some(Asked::Restore(options))
}

fn hint(program: Program<'_>, io: &mut Streams) {
    writeln!(io.err, "Try `{} -h' for more information.", program.name);
}
