//! `oxtables restore`: `iptables-restore` of either family, and with `--json` of a document.
//!
//! A document becomes the lines of a save file, which are then carried out as such a file is: together or not at all. What it holds beside
//! them (handles, references, numbers) is not looked at.

use super::{Chain, Document, Parts, Policy, SCHEMA, Table, Text};
use crate::cli::failure::{Failure, Program};
use crate::cli::plain_getopt::{self, PlainGetopt, Takes};
use crate::cli::restore::{self as file_restore, Input, Options};
use crate::cli::{Streams, exit, read_file, read_stdin};
use crate::ext::Body;
use crate::kernel::errno_text;
use crate::kernel::names::SystemNames;
use crate::model::builtin::builtins;
use crate::text::lexer::Words;
use crate::text::{CommandKind, Context, parse};
use crate::types::{Family, Names, Out};

/// The name in messages.
const NAME: &str = "oxtables restore";

const HELP: &str = "\
usage: oxtables restore [-4|-6] [-c] [-n] [-t] [-T TABLE] [FILE]
       oxtables restore --json [-c] [-n] [-t] [-T TABLE] [FILE]

Puts the rules of FILE, or of standard input, in the place of those that are there: all of them or none.

  -4, -6, --ipv4, --ipv6   the family of a file of iptables-save (IPv4 if nothing is said)
      --json               a document as --json of -L, -S and iptables-save prints it, which says its family itself
  -c, --counters           with the counters that it names
  -n, --noflush            beside the rules that are there
  -t, --test               read and check only
  -T, --table TABLE        only this table
";

static OPTIONS: plain_getopt::Table = plain_getopt::Table {
    short: &[
        (b'4', Takes::Nothing),
        (b'6', Takes::Nothing),
        (b'c', Takes::Nothing),
        (b'n', Takes::Nothing),
        (b't', Takes::Nothing),
        (b'T', Takes::Value),
        (b'h', Takes::Nothing),
    ],
    long: &[
        ("ipv4", b'4', Takes::Nothing),
        ("ipv6", b'6', Takes::Nothing),
        ("json", b'j', Takes::Nothing),
        ("counters", b'c', Takes::Nothing),
        ("noflush", b'n', Takes::Nothing),
        ("test", b't', Takes::Nothing),
        ("table", b'T', Takes::Value),
        ("help", b'h', Takes::Nothing),
    ],
};

/// Runs the verb and says its exit code.
pub fn run(args: &[&[u8]], io: &mut Streams) -> u8 {
    let (mut options, mut json, mut family) = (Options::default(), false, Family::V4);
    let mut getopt = PlainGetopt::new(&OPTIONS, args);
    loop {
        match getopt.next() {
            Ok(None) => break,
            Ok(Some(found)) => match found.letter {
                b'4' => family = Family::V4,
                b'6' => family = Family::V6,
                b'j' => json = true,
                b'c' => options.counters = true,
                b'n' => options.noflush = true,
                b't' => options.test = true,
                b'T' => options.table = found.value.map(<[u8]>::to_vec),
                _ => {
                    io.out.str(HELP);
                    return exit::OK;
                }
            },
            Err(text) => return wrong(&[NAME.as_bytes(), b": ", &text].concat(), io),
        }
    }
    match getopt.operands() {
        [] => {}
        [file] => options.file = Some(file.to_vec()),
        _ => return wrong(format!("{NAME}: one file at most").as_bytes(), io),
    }
    let text = match options.file.as_deref() {
        Some(path) => read_file(path),
        None => read_stdin(),
    };
    let text = match text {
        Ok(text) => text,
        Err(e) => {
            io.err.str("Can't open ");
            io.err.bytes(options.file.as_deref().unwrap_or(b"standard input"));
            writeln!(io.err, ": {}", errno_text(e.raw_os_error().unwrap_or(0)));
            return exit::OTHER;
        }
    };
    let names = SystemNames::default();
    if json {
        return of_json(&options, &names, &text, io);
    }
    let name = if family == Family::V4 { "iptables-restore" } else { "ip6tables-restore" };
    file_restore::run_text(Program::of(name), family, &names, &options, &text, io)
}

fn wrong(text: &[u8], io: &mut Streams) -> u8 {
    io.err.bytes(text);
    io.err.str("\n");
    io.err.str(HELP);
    exit::USAGE
}

/// A document as the lines of a save file, and where each line comes from.
#[derive(Debug, Default)]
struct File {
    lines: Vec<Vec<u8>>,
    places: Vec<String>,
}

impl File {
    fn push(&mut self, line: Vec<u8>, place: &str) {
        self.lines.push(line);
        self.places.push(place.to_owned());
    }

    /// The place of a line, which counts from 1.
    fn place(&self, line: u32) -> Option<&str> {
        self.places.get(usize::try_from(line).ok()?.checked_sub(1)?).map(String::as_str)
    }
}

fn of_json(options: &Options, names: &dyn Names, text: &[u8], io: &mut Streams) -> u8 {
    let document: Document = match serde_json::from_slice(text) {
        Ok(document) => document,
        Err(e) => {
            writeln!(io.err, "{NAME}: this is not a document of {SCHEMA}: {e}");
            return exit::USAGE;
        }
    };
    let family = Family::from(document.family);
    let file = match file_of(&document, options, names) {
        Ok(file) => file,
        Err(text) => {
            writeln!(io.err, "{NAME}: {text}");
            return exit::USAGE;
        }
    };
    let cx = Context { family, names, restore: true, table: b"filter", verbose: false };
    match file_restore::restore(Program::of(NAME), &cx, options, Input::Lines(&file.lines), io) {
        Ok(()) => exit::OK,
        Err(stopped) => {
            complain(&stopped.failure, stopped.line, &file, &mut io.err);
            stopped.failure.exit()
        }
    }
}

/// Says what failed, and where in the document.
fn complain(failure: &Failure, line: Option<u32>, file: &File, err: &mut Out) {
    let Failure::Refused { refusals, missing } = failure else {
        failure.print(Program::of(NAME), None, err);
        if let Some(place) = line.and_then(|line| file.place(line)) {
            writeln!(err, "{NAME}: this is about {place}");
        }
        return;
    };
    for name in missing {
        writeln!(err, "{NAME}: the kernel has no xt extension {name}");
    }
    for refusal in refusals {
        let place = file.place(refusal.op.line).unwrap_or("the document");
        write!(err, "{NAME}: {place}: {} failed ({}): ", refusal.op.kind, errno_text(refusal.errno));
        err.bytes(&refusal.op.what.text());
        err.byte(b'\n');
    }
}

/// The lines that the document stands for; else what is wrong with it.
fn file_of(document: &Document, options: &Options, names: &dyn Names) -> Result<File, String> {
    if document.schema != SCHEMA {
        return Err(format!("it says schema {:?}, and only {SCHEMA:?} is known here", document.schema));
    }
    let family = Family::from(document.family);
    let mut file = File::default();
    for table in &document.tables {
        let name = bytes_of(&table.name, "a table's name")?;
        let shown = String::from_utf8_lossy(&name).into_owned();
        let Some(own) = builtins(family, &name) else { return Err(format!("there is no table {shown}")) };
        if options.table.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let place = format!("table {shown}");
        if !table.whole && !options.noflush {
            return Err(format!(
                "{place} is not here as a whole, so it can only be added to what is there (--noflush)"
            ));
        }
        file.push([b"*", name.as_slice(), b"\n"].concat(), &place);
        for chain in &table.chains {
            let builtin = own.iter().any(|b| chain.name.bytes().as_deref() == Some(b.name));
            file.push(declaration(chain, builtin, &place)?, &place);
        }
        for chain in &table.chains {
            rules(chain, table, family, names, &mut file)?;
        }
        file.push(b"COMMIT\n".to_vec(), &place);
    }
    Ok(file)
}

fn bytes_of(text: &Text, what: &str) -> Result<Vec<u8>, String> {
    text.bytes().ok_or_else(|| format!("{what} is not bytes without a NUL in hexadecimal digits: {text:?}"))
}

/// `:INPUT ACCEPT [0:0]`.
fn declaration(chain: &Chain, builtin: bool, place: &str) -> Result<Vec<u8>, String> {
    let name = bytes_of(&chain.name, "a chain's name")?;
    let shown = String::from_utf8_lossy(&name);
    if name.is_empty() || name.iter().any(|b| matches!(b, b' ' | b'\t' | b'\n')) {
        return Err(format!("{place}: {shown:?} cannot be the name of a chain in a file"));
    }
    let policy = match (builtin, chain.policy) {
        (true, Some(Policy::Accept)) => "ACCEPT",
        (true, Some(Policy::Drop)) => "DROP",
        (false, None) => "-",
        (true, None) => return Err(format!("{place}: built-in chain {shown} has no policy")),
        (false, Some(_)) => return Err(format!("{place}: chain {shown} is not built in and has no policy")),
    };
    let c = chain.counters.unwrap_or_default();
    let rest = format!(" {policy} [{}:{}]\n", c.packets, c.bytes);
    Ok([b":", name.as_slice(), rest.as_bytes()].concat())
}

fn rules(chain: &Chain, table: &Table, family: Family, names: &dyn Names, file: &mut File) -> Result<(), String> {
    let (table, name) = (bytes_of(&table.name, "a table's name")?, bytes_of(&chain.name, "a chain's name")?);
    let cx = Context { family, names, restore: true, table: &table, verbose: false };
    for (rule, number) in chain.rules.iter().zip(1u32..) {
        let (shown, of) = (String::from_utf8_lossy(&name), String::from_utf8_lossy(&table));
        let place = format!("rule {number} of chain {shown} in table {of}");
        let at = |text: &str| format!("{place}: {text}");
        if rule.opaque.is_some() {
            return Err(at("it is not iptables', and cannot be restored from its description"));
        }
        let text = match &rule.text {
            Some(text) => Some(bytes_of(text, &place)?),
            None => None,
        };
        let from_parts =
            rule.parts.as_ref().map(|parts| line_of_parts(parts, &name).ok_or(at("a text in its parts is none")));
        let line = match (text, from_parts.transpose()?) {
            (Some(text), None) => text,
            (None, Some(parts)) => parts,
            (Some(text), Some(parts)) => {
                let (a, b) = (body_of(&text, &name, &cx), body_of(&parts, &name, &cx));
                if a.is_none() || a != b {
                    return Err(at("its text and its parts say different things; change both, or leave one out"));
                }
                text
            }
            (None, None) => return Err(at("it has neither text nor parts")),
        };
        if body_of(&line, &name, &cx).is_none() && appends_elsewhere(&line, &name, &cx) {
            return Err(at("its text is not a rule of this chain (-A and the chain's name)"));
        }
        let c = rule.counters.unwrap_or_default();
        let counters = format!("[{}:{}] ", c.packets, c.bytes);
        file.push([counters.as_bytes(), &line, b"\n"].concat(), &place);
    }
    Ok(())
}

fn line_of_parts(parts: &Parts, chain: &[u8]) -> Option<Vec<u8>> {
    let mut out = Out::new();
    out.str("-A");
    out.word(chain);
    parts.words()?.iter().for_each(|word| out.word(word));
    Some(out.into_bytes())
}

/// The one rule that a line appends to this chain; `None` if it is not one, or not of this chain.
fn body_of(line: &[u8], chain: &[u8], cx: &Context<'_>) -> Option<Body> {
    let mut words = Words::default();
    words.split(line).ok()?;
    let words: Vec<&[u8]> = words.iter().collect();
    let mut command = parse(&words, cx, &mut Vec::new()).ok()?;
    let here = matches!(&command.kind, CommandKind::Append { chain: named } if named == chain);
    let mut bodies = Vec::new();
    let _: Result<(), ()> = command.rule.for_each(|body| {
        bodies.push(body.clone());
        Ok(())
    });
    bodies.pop().filter(|_| here && bodies.is_empty())
}

/// Whether the line is understood, but as something else than a rule of this chain: then it must not be carried out.
fn appends_elsewhere(line: &[u8], chain: &[u8], cx: &Context<'_>) -> bool {
    let mut words = Words::default();
    if words.split(line).is_err() {
        return false;
    }
    let words: Vec<&[u8]> = words.iter().collect();
    match parse(&words, cx, &mut Vec::new()) {
        Ok(command) => !matches!(&command.kind, CommandKind::Append { chain: named } if named == chain),
        Err(_) => false,
    }
}
