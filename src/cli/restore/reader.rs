//! One reading of a restore file: its lines in order, each understood and put into the transaction.
//!
//! Stock reads a table to its COMMIT before it carries out any of its lines. So a line that cannot be understood is reported before one that
//! cannot be carried out, wherever they stand: [`Reader::failed`] keeps the latter until COMMIT. Sources: fact sheet 4.3; measured.

use super::{Input, Options};
use crate::cli::failure::{Failure, Program};
use crate::cli::iptables::apply;
use crate::cli::show::{Form, Request, show_planned};
use crate::cli::transaction::Transaction;
use crate::cli::{exit, warn_of_legacy};
use crate::kernel::{self, BatchMark};
use crate::model::builtin::{BuiltinChain, builtins};
use crate::text::command::{check_restored_chain, leading_number};
use crate::text::lexer::{LexError, WORDS_MAX, Words, counters_prefix};
use crate::text::list::Style;
use crate::text::{Command, CommandKind, Context, Error, parse};
use crate::types::{Counters, Out};

/// What a counters prefix takes from the most words that a line may have.
const PREFIX_WORDS: usize = 3;

/// Why the reading ended early.
pub struct Stopped {
    /// What is wrong.
    pub failure: Failure,
    /// The number of the line that stock names.
    pub reported: Option<u32>,
    /// The number of the line that it is about.
    pub line: Option<u32>,
}

impl<F: Into<Failure>> From<F> for Stopped {
    fn from(failure: F) -> Self {
        Self { failure: failure.into(), reported: None, line: None }
    }
}

/// One reading of the file.
pub struct Reader<'a> {
    program: Program<'a>,
    /// What the lines are read under.
    pub cx: &'a Context<'a>,
    /// The program's options.
    pub options: &'a Options,
    /// The table whose lines are being read.
    table: Option<Vec<u8>>,
    /// The table named last, which `-T` may have passed over.
    named: Vec<u8>,
    words: Words,
    /// The first line of this table that could not be carried out.
    failed: Option<Stopped>,
    /// Why the kernel cannot be asked.
    pub denied: Option<Failure>,
    /// How far the batch went at the last COMMIT.
    committed: Option<(BatchMark, usize)>,
    /// What goes to standard output.
    pub out: Out,
    /// What the lines of this table print when they are carried out.
    done: Out,
    /// What goes to standard error besides the failure.
    pub warnings: Out,
}

impl<'a> Reader<'a> {
    /// A reading that has not begun.
    pub fn new(program: Program<'a>, cx: &'a Context<'a>, options: &'a Options) -> Self {
        Self {
            program,
            cx,
            options,
            table: None,
            named: Vec::new(),
            words: Words::default(),
            failed: None,
            denied: None,
            committed: None,
            out: Out::new(),
            done: Out::new(),
            warnings: Out::new(),
        }
    }

    /// Reads the whole input into a transaction.
    pub fn read(&mut self, tx: &mut Transaction<'_>, input: Input<'_>) -> Result<(), Stopped> {
        self.committed = Some((tx.batch.mark(), tx.resets.len()));
        let mut number = 0;
        for line in input.lines() {
            number += 1;
            tx.batch.set_line(number);
            if self.line(tx, line, number)? {
                // `-V` or `-h`: the program ends here, with what was committed before.
                if let Some((mark, resets)) = self.committed {
                    tx.batch.undo(mark);
                    tx.resets.truncate(resets);
                }
                return Ok(());
            }
        }
        match self.table {
            Some(_) => Err(self.malformed(format!("COMMIT expected at line {}", number + 1))),
            None => Ok(()),
        }
    }

    /// Reads a text in which no table begins: blank lines and comments are all that it may have.
    pub fn read_without_tables(&mut self, input: Input<'_>) -> Result<(), Stopped> {
        for (line, number) in input.lines().zip(1u32..) {
            if !self.comment(line) {
                return Err(self.malformed(format!("line {number} failed")));
            }
        }
        Ok(())
    }

    /// A failure of the file's form: `program: TEXT`, exit code 1.
    fn malformed(&self, text: String) -> Stopped {
        Failure::Named(exit::OTHER, text.into_bytes()).into()
    }

    /// A failure of a line's form, which stock words as a wrong parameter with its name twice.
    fn wrong(&self, number: u32, what: &[u8]) -> Error {
        let head = format!("{}: line {number} ", self.program.name);
        Error::usage([head.as_bytes(), what].concat())
    }

    fn comment(&mut self, line: &[u8]) -> bool {
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

    /// Reads one line; true if the program ends with it.
    fn line(&mut self, tx: &mut Transaction<'_>, line: &[u8], number: u32) -> Result<bool, Stopped> {
        if self.comment(line) {
            return Ok(false);
        }
        let at = |e: Failure| Stopped { failure: e, reported: Some(number), line: Some(number) };
        let Some(table) = self.table.take() else {
            match line {
                [b'*', name @ ..] => self.begin_table(tx, name, number)?,
                // Lines of a table that `-T` passes over.
                _ if !self.named.is_empty() && self.options.table.as_ref().is_some_and(|t| *t != self.named) => {}
                _ => return Err(self.malformed(format!("line {number} failed"))),
            }
            return Ok(false);
        };
        let ended = match line {
            b"COMMIT" | b"COMMIT\n" => {
                self.commit(tx, number)?;
                return Ok(false);
            }
            [b':', chain @ ..] => self.chain_line(tx, &table, chain, number).map(|()| false),
            _ => self.command_line(tx, &table, line, number),
        };
        self.table = Some(table);
        match ended {
            Err(Stopped { failure, reported: None, .. }) if !matches!(failure, Failure::NeedIds) => Err(at(failure)),
            other => other,
        }
    }

    fn begin_table(&mut self, tx: &mut Transaction<'_>, name: &[u8], number: u32) -> Result<(), Stopped> {
        let at = |e: Error| Stopped { failure: e.into(), reported: Some(number), line: Some(number) };
        let Some(name) = tokens(name).next() else {
            return Err(at(self.wrong(number, b"table name invalid")));
        };
        let Some(own) = builtins(self.cx.family, name) else {
            return Err(at(self.wrong(number, &[b"table name '", name, b"' invalid"].concat())));
        };
        self.named = name.to_vec();
        if self.options.table.as_deref().is_some_and(|only| only != name) {
            return Ok(());
        }
        self.table = Some(name.to_vec());
        if self.options.noflush || self.only_reads() {
            return Ok(());
        }
        if self.options.verbose {
            let chains = tx.own_chains(name)?;
            let user = |chain: &&Vec<u8>| !own.iter().any(|b| b.name == chain.as_slice());
            for (what, chain) in
                chains.iter().map(|c| ("Flushing", c)).chain(chains.iter().filter(user).map(|c| ("Deleting", c)))
            {
                write!(self.done, "{what} chain `");
                self.done.bytes(chain);
                self.done.str("'\n");
            }
        }
        tx.clear_table(name)?;
        Ok(())
    }

    /// The COMMIT line: what was put off until now.
    fn commit(&mut self, tx: &Transaction<'_>, number: u32) -> Result<(), Stopped> {
        self.out.bytes(self.done.as_bytes());
        self.done.clear();
        match self.denied.take() {
            Some(Failure::Kernel(kernel::Error::PermissionDenied)) if self.options.test => {
                let failure = Failure::Object("Permission denied (you must be root)");
                return Err(Stopped { failure, reported: Some(number), line: None });
            }
            Some(failure) => return Err(failure.into()),
            None => {}
        }
        if let Some(failed) = self.failed.take() {
            return Err(Stopped { reported: failed.reported.or(Some(number)), ..failed });
        }
        self.committed = Some((tx.batch.mark(), tx.resets.len()));
        Ok(())
    }

    /// Keeps the failure of a line that could not be carried out until COMMIT; only what does not depend on the file ends the reading.
    fn put_off(&mut self, outcome: Result<(), Failure>, number: u32) -> Result<(), Stopped> {
        match outcome {
            Ok(()) => Ok(()),
            Err(failure @ (Failure::NeedIds | Failure::Stale | Failure::Kernel(_))) => Err(failure.into()),
            Err(failure) => {
                // What looks like a wrong parameter only then is reported with the line of COMMIT.
                let reported = if matches!(failure, Failure::Usage(_)) { None } else { Some(number) };
                self.failed = Some(Stopped { failure, reported, line: Some(number) });
                Ok(())
            }
        }
    }

    /// Whether lines are only to be understood, not carried out.
    fn only_reads(&self) -> bool {
        self.options.test || self.failed.is_some() || self.denied.is_some()
    }

    fn chain_line(&mut self, tx: &mut Transaction<'_>, table: &[u8], line: &[u8], number: u32) -> Result<(), Stopped> {
        let mut fields = tokens(line);
        let Some(chain) = fields.next() else {
            return Err(self.wrong(number, b"chain name invalid").into());
        };
        let builtin = builtin(self.cx, table, chain);
        if builtin.is_none() {
            check_restored_chain(chain)?;
        }
        let Some(policy) = fields.next() else {
            return Err(self.wrong(number, b"policy invalid").into());
        };
        let mut counters = Counters::default();
        if self.options.counters && builtin.is_some() {
            let wrong = || Error::usage([b"invalid policy counters for chain '", chain, b"'"].concat());
            counters = fields.next().and_then(policy_counters).ok_or_else(wrong)?;
        }
        if self.only_reads() {
            return Ok(());
        }
        let outcome = match builtin {
            None => tx.declare_chain(table, chain),
            Some(_) if policy == b"-" => tx.set_counters(table, chain, counters),
            Some(_) => tx.set_policy(table, chain, policy, counters).map_err(in_restore),
        };
        self.put_off(outcome, number)
    }

    /// Reads a command; true if the program ends with it.
    fn command_line(
        &mut self,
        tx: &mut Transaction<'_>,
        table: &[u8],
        line: &[u8],
        number: u32,
    ) -> Result<bool, Stopped> {
        let (counters, rest) = match line.first() {
            Some(b'[') => {
                let (packets, bytes, rest) =
                    counters_prefix(line).ok_or_else(|| Error::usage(format!("Bad line {number}: need ]")))?;
                (Some((packets, bytes)).filter(|_| self.options.counters), rest)
            }
            _ => (None, line),
        };
        let most = if counters.is_some() { WORDS_MAX - PREFIX_WORDS } else { WORDS_MAX };
        self.words.split_into(rest, most).map_err(|e| {
            Error::usage(match e {
                LexError::TooLong => "Parameter too long!",
                LexError::TooMany => "Parser cannot handle more arguments",
            })
        })?;
        let mut words: Vec<&[u8]> = Vec::with_capacity(PREFIX_WORDS + self.words.len());
        if let Some((packets, bytes)) = counters {
            words.extend([b"-c", packets, bytes]);
        }
        words.extend(self.words.iter());
        let mut warnings = Vec::new();
        let parsed = parse(&words, &Context { table, verbose: self.options.verbose, ..*self.cx }, &mut warnings);
        for warning in warnings {
            self.warnings.bytes(&warning);
            self.warnings.byte(b'\n');
        }
        let mut command = parsed.map_err(|mut e| {
            if counters.is_some() {
                e.word = e.word.and_then(|w| w.checked_sub(PREFIX_WORDS));
            }
            e
        })?;
        if let Some(late) = command.late.take() {
            return Err(late.into());
        }
        // The program's own -v counts only while it flushes, a line's never more than once.
        command.verbose = u32::from(command.verbose > 0 || (self.options.verbose && !self.options.noflush));
        match &command.kind {
            CommandKind::Version { .. } => writeln!(self.out, "{}", self.program.version()),
            CommandKind::Help { extensions } => {
                crate::text::help::iptables(self.program.name, self.cx.family, extensions, &mut self.out);
            }
            CommandKind::OtherFamily => return Ok(false),
            _ => {
                if !self.only_reads() {
                    let one_rule =
                        !self.options.noflush && matches!(command.kind, CommandKind::Zero { number: Some(_), .. });
                    let outcome = match self.carry_out(tx, table, &mut command) {
                        // For this one stock has no words.
                        Err(Failure::Object(_)) if one_rule => {
                            Err(Failure::Named(exit::OTHER, format!("line {number} failed").into_bytes()))
                        }
                        other => other.map_err(in_restore),
                    };
                    self.put_off(outcome, number)?;
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn carry_out(&mut self, tx: &mut Transaction<'_>, table: &[u8], command: &mut Command) -> Result<(), Failure> {
        let (columns, chain, number, zero) = match &command.kind {
            CommandKind::List { chain, number, zero } => (true, chain.clone(), *number, *zero),
            CommandKind::ListRules { chain, number, zero } => (false, chain.clone(), *number, *zero),
            // Here stock knows the rules of the chain, and does not leave the question to the kernel.
            CommandKind::DeleteChain { chain: Some(chain) }
                if builtin(self.cx, table, chain).is_some() && tx.has_rules(table, chain)? =>
            {
                return Err(Failure::Object("Directory not empty"));
            }
            _ => return apply(tx, self.cx, table, command, &mut self.done),
        };
        let (family, names) = (self.cx.family, self.cx.names);
        let request = Request { family, table, chain: chain.as_deref(), number, names };
        let form =
            if columns { Form::List(Style::of(command, family, names)) } else { Form::Rules(command.verbose > 0) };
        warn_of_legacy(family, "", &mut self.warnings);
        show_planned(tx, &request, form, &mut self.done)?;
        if zero {
            command.kind = CommandKind::Zero { chain, number: None };
            apply(tx, self.cx, table, command, &mut self.done)?;
        }
        Ok(())
    }
}

fn builtin(cx: &Context<'_>, table: &[u8], chain: &[u8]) -> Option<&'static BuiltinChain> {
    builtins(cx.family, table)?.iter().find(|b| b.name == chain)
}

/// A failure as a line of a file words it.
fn in_restore(failure: Failure) -> Failure {
    match failure {
        Failure::Object(text) if text.starts_with("Bad policy name") => Failure::Object("Bad policy name"),
        other => other,
    }
}

/// The fields of a `*` or `:` line: blanks, tabs and the newline separate.
pub fn tokens(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| matches!(b, b' ' | b'\t' | b'\n')).filter(|t| !t.is_empty())
}

/// `[packets:bytes` as scanf(3) reads it: what stands behind the second number does not matter.
fn policy_counters(text: &[u8]) -> Option<Counters> {
    let (packets, rest) = leading_number(text.strip_prefix(b"[")?)?;
    let (bytes, _) = leading_number(rest.strip_prefix(b":")?)?;
    Some(Counters { packets, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_a_policy() {
        assert_eq!(policy_counters(b"[1:2]junk"), Some(Counters { packets: 1, bytes: 2 }));
        assert_eq!(policy_counters(b"[-1:+2"), Some(Counters { packets: u64::MAX, bytes: 2 }));
        assert_eq!(policy_counters(b"[1]"), None);
    }
}
