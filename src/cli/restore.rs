//! `iptables-restore` and `ip6tables-restore`: a file, one transaction.
//!
//! The whole input is read and understood before the kernel is asked to change anything, and all its tables are committed together
//! (stock commits each table at its COMMIT). Source: fact sheet 4.3.

use super::failure::{Failure, Program};
use super::iptables::{ATTEMPTS, apply};
use super::transaction::Transaction;
use super::{Streams, exit, missing_extensions};
use crate::kernel::{Refusal, Session};
use crate::model::builtin::builtins;
use crate::text::lexer::{LexError, Words, lines};
use crate::text::{Command, CommandKind, Context, Error, counter, parse, program_name};
use crate::types::{CHAIN_NAME_MAX, Counters, Family, Names, Out};

/// The options of iptables-restore(8).
#[derive(Debug, Default)]
struct Options {
    counters: bool,
    verbose: bool,
    test: bool,
    noflush: bool,
    table: Option<Vec<u8>>,
    file: Option<Vec<u8>>,
    version: bool,
    help: bool,
}

/// A failure and the line that it is about.
type AtLine = (Failure, Option<u32>);

/// A failure of the file as a whole or of its form: `program: line N TEXT`.
fn malformed(code: u8, text: String) -> Failure {
    Failure::Named(code, text.into_bytes())
}

/// Runs it and says its exit code.
pub fn run(program: Program<'_>, family: Family, names: &dyn Names, args: &[&[u8]], io: &mut Streams) -> u8 {
    let options = match parse_options(args) {
        Ok(options) => options,
        Err(text) => {
            if text.starts_with(b"Unknown") {
                // Stock words this one as a sentence of its own.
                io.err.bytes(&text);
                io.err.byte(b'\n');
                return exit::OTHER;
            }
            if !text.is_empty() {
                write!(io.err, "{}: ", program.name);
                io.err.bytes(&text);
                io.err.byte(b'\n');
            }
            writeln!(io.err, "Try `{} -h' for more information.", program.name);
            return exit::OTHER;
        }
    };
    if options.version {
        writeln!(io.out, "{}", program.version());
        return exit::OK;
    }
    if options.help {
        crate::text::help::restore(program.name, &mut io.err);
        return exit::OK;
    }
    let text = match read_input(options.file.as_deref()) {
        Ok(text) => text,
        Err(e) => {
            io.err.str("Can't open ");
            io.err.bytes(options.file.as_deref().unwrap_or(b"standard input"));
            writeln!(io.err, ": {}", crate::kernel::errno_text(e.raw_os_error().unwrap_or(0)));
            return exit::OTHER;
        }
    };
    let cx = Context { family, names, restore: true, table: b"filter" };
    match restore(&cx, &options, &text, io) {
        Ok(()) => exit::OK,
        Err((failure, line)) => {
            failure.print(program, line, &mut io.err);
            let at = line.or(first_refused(&failure));
            super::explain::explain_line(&failure, at, at.and_then(|n| line_of(&text, n)), io);
            failure.exit()
        }
    }
}

fn read_input(file: Option<&[u8]>) -> std::io::Result<Vec<u8>> {
    match file {
        Some(path) => super::read_file(path),
        None => super::read_stdin(),
    }
}

fn first_refused(failure: &Failure) -> Option<u32> {
    match failure {
        Failure::Refused { refusals, .. } => refusals.first().map(|r| r.op.line),
        _ => None,
    }
}

/// Line `number` (from 1) of a text, without its newline.
fn line_of(text: &[u8], number: u32) -> Option<&[u8]> {
    text.split(|b| *b == b'\n').nth(usize::try_from(number).ok()?.checked_sub(1)?)
}

/// Restores a text into a session's namespace: what `iptables-restore < text` does, for front ends that have their rules in memory.
pub fn restore_text(family: Family, names: &dyn Names, text: &[u8], io: &mut Streams) -> Result<(), Failure> {
    let cx = Context { family, names, restore: true, table: b"filter" };
    restore(&cx, &Options::default(), text, io).map_err(|(failure, line)| {
        failure.print(Program { name: "oxtables" }, line, &mut io.err);
        failure
    })
}

fn restore(cx: &Context<'_>, options: &Options, text: &[u8], io: &mut Streams) -> Result<(), AtLine> {
    let mut session = None;
    let mut ids = false;
    for _ in 0..ATTEMPTS {
        let mut run = Run::new(cx, options);
        let mut transaction = match &mut session {
            None => {
                // A file without tables needs no kernel: programs probe with an empty one.
                if !text.split(|b| *b == b'\n').any(|l| l.first() == Some(&b'*')) {
                    let read = run.read_without_tables(text);
                    io.out.bytes(run.out.as_bytes());
                    return read;
                }
                let opened = session.insert(Session::open().map_err(|e| (e.into(), None))?);
                Transaction::new(opened, cx.family, ids)
            }
            Some(session) => Transaction::new(session, cx.family, ids),
        };
        transaction.pin().map_err(|e| (e, None))?;
        let planned = run.read(&mut transaction, text);
        let committed = match planned {
            Ok(()) if options.test => Ok(()),
            Ok(()) => transaction.commit().map_err(|e| (e, None)),
            Err(e) => Err(e),
        };
        match committed {
            Ok(()) => {
                io.err.bytes(run.warnings.as_bytes());
                io.out.bytes(run.out.as_bytes());
                return Ok(());
            }
            Err((Failure::Stale, _)) => {}
            Err((Failure::NeedIds, _)) => ids = true,
            Err((Failure::Refused { refusals, .. }, _)) => {
                io.err.bytes(run.warnings.as_bytes());
                io.out.bytes(run.out.as_bytes());
                let missing = match &mut session {
                    Some(session) => missing_of_lines(session, cx, text, &refusals),
                    None => Vec::new(),
                };
                return Err((Failure::Refused { refusals, missing }, Some(0)));
            }
            Err(e) => {
                io.err.bytes(run.warnings.as_bytes());
                io.out.bytes(run.out.as_bytes());
                return Err(e);
            }
        }
    }
    Err((Failure::Stale, None))
}

/// The extensions of the refused lines that the kernel lacks.
fn missing_of_lines(session: &mut Session, cx: &Context<'_>, text: &[u8], refusals: &[Refusal]) -> Vec<String> {
    let mut all = Vec::new();
    for refusal in refusals {
        let Some(line) = line_of(text, refusal.op.line) else { continue };
        let mut words = Words::default();
        if words.split(line).is_err() {
            continue;
        }
        let words: Vec<&[u8]> = words.iter().skip_while(|w| w.first() == Some(&b'[')).collect();
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

/// One reading of the file.
struct Run<'a> {
    cx: &'a Context<'a>,
    options: &'a Options,
    /// The table whose lines are being read; the flag says that they are passed over (`-T` names another).
    table: Option<(Vec<u8>, bool)>,
    words: Words,
    /// What goes to standard output, in order.
    out: Out,
    /// What the commands of this table say; stock runs them at COMMIT, so it comes after the comments of the table.
    said: Out,
    /// The first command of this table that failed: the rest of the table is only read, because an error in reading comes first.
    failed: Option<AtLine>,
    warnings: Out,
}

impl<'a> Run<'a> {
    fn new(cx: &'a Context<'a>, options: &'a Options) -> Self {
        Self {
            cx,
            options,
            table: None,
            words: Words::default(),
            out: Out::new(),
            said: Out::new(),
            failed: None,
            warnings: Out::new(),
        }
    }

    fn read(&mut self, tx: &mut Transaction<'_>, text: &[u8]) -> Result<(), AtLine> {
        let mut number = 0;
        for line in lines(text) {
            number += 1;
            tx.batch.set_line(number);
            self.line(tx, line, number).map_err(|e| (e, Some(number)))?;
            if self.table.is_none()
                && let Some(failed) = self.failed.take()
            {
                return Err(failed);
            }
        }
        self.at_end(number)
    }

    /// A file in which no table begins: blank lines and comments are all that it may have.
    fn read_without_tables(&mut self, text: &[u8]) -> Result<(), AtLine> {
        let mut number = 0;
        for line in lines(text) {
            number += 1;
            if !self.is_comment(line) {
                return Err((malformed(exit::OTHER, format!("line {number} failed")), None));
            }
        }
        Ok(())
    }

    fn at_end(&self, lines: u32) -> Result<(), AtLine> {
        if matches!(self.table, Some((_, false))) {
            return Err((malformed(exit::OTHER, format!("COMMIT expected at line {}", lines + 1)), None));
        }
        Ok(())
    }

    fn is_comment(&mut self, line: &[u8]) -> bool {
        match line.first() {
            Some(b'\n') => true,
            Some(b'#') => {
                if self.options.verbose {
                    self.out.bytes(line);
                }
                true
            }
            _ => false,
        }
    }

    fn line(&mut self, tx: &mut Transaction<'_>, line: &[u8], number: u32) -> Result<(), Failure> {
        if self.is_comment(line) {
            return Ok(());
        }
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        match (&self.table, bare) {
            (Some(_), b"COMMIT") => {
                self.table = None;
                self.out.bytes(self.said.as_bytes());
                self.said.truncate(0);
                // Whether the target of a jump exists is asked at COMMIT, and its line is the one that is named.
                if let Some((Failure::Usage(_), line)) = &mut self.failed {
                    *line = Some(number);
                }
                Ok(())
            }
            (None, [b'*', name @ ..]) => self.begin_table(tx, name, number),
            (Some((_, true)), _) => Ok(()),
            (Some((table, _)), [b':', chain @ ..]) => {
                let table = table.clone();
                self.chain_line(tx, &table, chain, number)
            }
            (Some((table, _)), _) => {
                let table = table.clone();
                self.command_line(tx, &table, line, number)
            }
            (None, _) => Err(malformed(exit::OTHER, format!("line {number} failed"))),
        }
    }

    fn begin_table(&mut self, tx: &mut Transaction<'_>, name: &[u8], number: u32) -> Result<(), Failure> {
        let Some(name) = tokens(name).next() else {
            return Err(self.invalid(number, "table name"));
        };
        if builtins(self.cx.family, name).is_none() {
            return Err(self.invalid(number, &format!("table name '{}'", String::from_utf8_lossy(name))));
        }
        let passed_over = self.options.table.as_deref().is_some_and(|only| only != name);
        self.table = Some((name.to_vec(), passed_over));
        if passed_over {
            return Ok(());
        }
        if !self.options.noflush && !self.options.test {
            if self.options.verbose {
                let chains = tx.own_chains(name)?;
                let builtin = builtins(self.cx.family, name).map_or(0, |chains| chains.len());
                for (what, chains) in
                    [("Flushing", chains.as_slice()), ("Deleting", chains.get(builtin..).unwrap_or_default())]
                {
                    for chain in chains {
                        write!(self.said, "{what} chain `");
                        self.said.bytes(chain);
                        self.said.str("'\n");
                    }
                }
            }
            tx.clear_table(name)?;
        }
        Ok(())
    }

    fn chain_line(&mut self, tx: &mut Transaction<'_>, table: &[u8], line: &[u8], number: u32) -> Result<(), Failure> {
        let mut fields = tokens(line);
        let Some(chain) = fields.next() else {
            return Err(self.invalid(number, "chain name"));
        };
        let is_builtin = builtins(self.cx.family, table).is_some_and(|b| b.iter().any(|b| b.name == chain));
        if chain.len() > CHAIN_NAME_MAX {
            let text = format!("Invalid chain name `{}' ({CHAIN_NAME_MAX} chars max)", String::from_utf8_lossy(chain));
            return Err(Error::usage(text).into());
        }
        let Some(policy) = fields.next() else {
            return Err(self.invalid(number, "policy"));
        };
        if !is_builtin {
            let done = if self.may_run() { tx.declare_chain(table, chain) } else { Ok(()) };
            return self.note(done, number);
        }
        let counters = if self.options.counters {
            let invalid = || Error::usage([b"invalid policy counters for chain '", chain, b"'"].concat());
            Some(policy_counters(fields.next().unwrap_or_default()).ok_or_else(invalid)?)
        } else {
            None
        };
        if !self.may_run() {
            return Ok(());
        }
        let done = match (policy, counters) {
            (b"-", None) => tx.need_builtin(table, chain),
            (b"-", Some(counters)) => tx.set_counters(table, chain, counters),
            _ => tx.set_policy(table, chain, policy, counters.unwrap_or_default()),
        };
        self.note(done, number)
    }

    /// A `*` or `:` line that lacks a part.
    fn invalid(&self, number: u32, what: &str) -> Failure {
        let program = program_name(self.cx);
        Error::usage(format!("{program}: line {number} {what} invalid")).into()
    }

    /// Whether lines are still carried out, or only read.
    fn may_run(&self) -> bool {
        self.failed.is_none() && !self.options.test
    }

    /// Keeps the first failure of a command until the table has been read; what is not the file's fault is told at once.
    fn note(&mut self, done: Result<(), Failure>, number: u32) -> Result<(), Failure> {
        match done {
            Ok(()) => {}
            Err(failure @ (Failure::Stale | Failure::NeedIds | Failure::Kernel(_))) => return Err(failure),
            Err(Failure::Object(text)) if text.starts_with("Bad policy name") => {
                self.failed.get_or_insert((Failure::Object("Bad policy name"), Some(number)));
            }
            Err(failure) => {
                self.failed.get_or_insert((failure, Some(number)));
            }
        }
        Ok(())
    }

    fn command_line(
        &mut self,
        tx: &mut Transaction<'_>,
        table: &[u8],
        line: &[u8],
        number: u32,
    ) -> Result<(), Failure> {
        let (line_counters, rest) = match line {
            [b'[', inner @ ..] => self.line_counters(inner, number)?,
            _ => (None, line),
        };
        self.words.split(rest).map_err(|e| {
            Error::usage(match e {
                LexError::TooLong => "Parameter too long!",
                LexError::TooMany => "Parser cannot handle more arguments\n",
            })
        })?;
        let words: Vec<&[u8]> = self.words.iter().collect();
        let mut warnings = Vec::new();
        let parsed = parse(&words, &Context { table, ..*self.cx }, &mut warnings);
        for warning in warnings {
            self.warnings.bytes(&warning);
            self.warnings.byte(b'\n');
        }
        let mut command = parsed?;
        if let Some(counters) = line_counters {
            command.rule.counters = counters;
            command.has_counters = true;
        }
        // Stock's -v is for what goes, and so not for a file that keeps what is there.
        if self.options.verbose && !self.options.noflush {
            command.verbose = command.verbose.max(1);
        }
        if let Some(late) = command.late.take() {
            return Err(late.into());
        }
        if self.may_run() {
            let done = self.execute(tx, table, &mut command);
            return self.note(done, number);
        }
        Ok(())
    }

    /// `packets:bytes]` at the head of a rule's line, read only with `-c`, and what stands behind it.
    fn line_counters<'l>(&self, inner: &'l [u8], number: u32) -> Result<(Option<Counters>, &'l [u8]), Failure> {
        let parts = inner.iter().position(|b| *b == b']').and_then(|close| {
            let colon = inner.get(..close)?.iter().position(|b| *b == b':')?;
            Some((inner.get(..colon)?, inner.get(colon + 1..close)?, inner.get(close + 1..)?))
        });
        let Some((packets, bytes, rest)) = parts else {
            return Err(Error::usage(format!("Bad line {number}: need ]")).into());
        };
        if !self.options.counters {
            return Ok((None, rest));
        }
        let not_numeric = |what: &str| Error::usage(format!("-c {what} counter not numeric"));
        let counters = Counters {
            packets: counter(packets).ok_or_else(|| not_numeric("packet"))?,
            bytes: counter(bytes).ok_or_else(|| not_numeric("byte"))?,
        };
        Ok((Some(counters), rest))
    }

    fn execute(&mut self, tx: &mut Transaction<'_>, table: &[u8], command: &mut Command) -> Result<(), Failure> {
        match &command.kind {
            CommandKind::Version { .. } | CommandKind::Help { .. } | CommandKind::OtherFamily => return Ok(()),
            CommandKind::List { chain, number, .. } | CommandKind::ListRules { chain, number, .. } => {
                let columns = matches!(command.kind, CommandKind::List { .. });
                return self.show(tx, table, chain.as_deref(), *number, columns, command);
            }
            _ => {}
        }
        apply(tx, self.cx, table, command, &mut self.said)
    }

    /// `-L` and `-S` in a file show the kernel as it is before the file's changes.
    fn show(
        &mut self,
        tx: &mut Transaction<'_>,
        table: &[u8],
        chain: Option<&[u8]>,
        number: Option<u32>,
        columns: bool,
        command: &Command,
    ) -> Result<(), Failure> {
        use super::show::{Form, Request, show};
        let (family, names) = (self.cx.family, self.cx.names);
        let request = Request { family, table, chain, number, names };
        let style = crate::text::list::Style {
            family,
            numeric: command.numeric,
            verbose: command.verbose > 0,
            exact: command.exact,
            line_numbers: command.line_numbers,
            names,
        };
        let form = if columns { Form::List(style) } else { Form::Rules(command.verbose > 0) };
        let (_, text) = show(tx.session, &request, form)?;
        text.iter().for_each(|piece| self.said.bytes(piece.as_bytes()));
        Ok(())
    }
}

/// The fields of a `*` or `:` line: blanks, tabs and the newline separate.
fn tokens(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| matches!(b, b' ' | b'\t' | b'\n')).filter(|t| !t.is_empty())
}

/// The counters of a `:` line, as sscanf(3) with `[%llu:%llu]` sees them: what stands behind the second number is not looked at.
fn policy_counters(text: &[u8]) -> Option<Counters> {
    let number = |text: &[u8]| -> Option<(u64, usize)> {
        let length = text.iter().take_while(|b| b.is_ascii_digit()).count();
        Some((std::str::from_utf8(text.get(..length)?).ok()?.parse().ok()?, length))
    };
    let inner = text.strip_prefix(b"[")?;
    let (packets, length) = number(inner)?;
    let (bytes, _) = number(inner.get(length..)?.strip_prefix(b":")?)?;
    Some(Counters { packets, bytes })
}

/// The long options, with their letters and whether they take a value.
const LONG: &[(&str, u8, bool)] = &[
    ("counters", b'c', false),
    ("verbose", b'v', false),
    ("version", b'V', false),
    ("test", b't', false),
    ("help", b'h', false),
    ("noflush", b'n', false),
    ("modprobe", b'M', true),
    ("table", b'T', true),
    ("ipv4", b'4', false),
    ("ipv6", b'6', false),
    ("wait", b'w', false),
    ("wait-interval", b'W', false),
];

fn parse_options(args: &[&[u8]]) -> Result<Options, Vec<u8>> {
    let mut options = Options::default();
    let args = &join_wait(args)[..];
    for found in super::plain_getopt::read(args, b"bcvVthn", b"MT", b"wW", LONG)? {
        match found.letter {
            b'c' => options.counters = true,
            b'v' => options.verbose = true,
            b't' => options.test = true,
            b'n' => options.noflush = true,
            b'T' => options.table = found.value.map(<[u8]>::to_vec),
            b'V' => {
                options.version = true;
                return Ok(options);
            }
            b'h' => {
                options.help = true;
                return Ok(options);
            }
            // Stock says nothing but its hint.
            b'4' | b'6' => return Err(Vec::new()),
            0 if options.file.is_some() => return Err(b"Unknown arguments found on commandline".to_vec()),
            0 => options.file = found.value.map(<[u8]>::to_vec),
            _ => {}
        }
    }
    Ok(options)
}

/// `-w 5` and `-W 100000` take the next word if it is a number, which getopt's optional arguments do not.
fn join_wait<'a>(args: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut kept = Vec::with_capacity(args.len());
    let mut after_wait = false;
    for word in args {
        let number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
        if !(after_wait && number) {
            kept.push(*word);
        }
        after_wait = matches!(*word, b"-w" | b"-W" | b"--wait" | b"--wait-interval");
    }
    kept
}
