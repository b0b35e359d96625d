//! `iptables-translate`, `iptables-restore-translate` and their IPv6 names: what a command, or a file, says in the words of nft(8).
//!
//! Nothing is asked of the kernel. A rule that nft(8) cannot say is printed as a comment. Sources: iptables-translate(8); measured.

use super::failure::{Failure, Program};
use super::plain_getopt::{PlainGetopt, Table, Takes};
use super::restore::tokens;
use super::{Streams, date, exit};
use crate::ext::{Body, PrintCx, nft};
use crate::model::builtin::{BuiltinChain, builtins};
use crate::text::command::check_restored_chain;
use crate::text::lexer::counters_prefix;
use crate::text::lexer::{LexError, Words, lines};
use crate::text::{Command, CommandKind, Context, Error, parse};
use crate::types::{Family, Names, Out};

/// What a command comes to.
enum Said {
    /// It is printed.
    Yes,
    /// Stock has no translation for commands of its kind.
    No,
    /// The program ends here.
    End,
}

/// Translates one command line and says the exit code.
pub fn command(program: Program<'_>, family: Family, names: &dyn Names, args: &[&[u8]], io: &mut Streams) -> u8 {
    let cx = Context { family, names, restore: false, table: b"filter", verbose: false };
    let mut warnings = Vec::new();
    let parsed = parse(args, &cx, &mut warnings);
    warn(warnings, &mut io.err);
    let said = parsed.map(|mut command| {
        let table = command.table.clone().unwrap_or_else(|| b"filter".to_vec());
        let mut sink = Sink { cx: &cx, table: &table, args, shell: true, out: &mut io.out };
        sink.command(program, &mut command)
    });
    match said {
        Ok(Said::Yes | Said::End) => exit::OK,
        Ok(Said::No) => {
            io.err.str("Translation not implemented\n");
            io.out.str("nft ");
            exit::OTHER
        }
        Err(e) => {
            let failure = Failure::from(e);
            failure.print(program, None, &mut io.err);
            super::explain::explain(&failure, &cx, args, io);
            failure.exit()
        }
    }
}

/// Translates a file and says the exit code.
pub fn restore(called: &str, family: Family, names: &dyn Names, args: &[&[u8]], io: &mut Streams) -> u8 {
    let mut file = None;
    let mut getopt = PlainGetopt::new(&OPTIONS, args);
    loop {
        match getopt.next() {
            Ok(None) => break,
            // What is wrong with an option is passed over, as by stock.
            Err(_) => {}
            Ok(Some(found)) => match found.letter {
                b'h' => return usage(called, io),
                b'V' => {
                    writeln!(io.out, "{called} v{}", super::STOCK_VERSION);
                    return exit::OK;
                }
                _ => file = found.value,
            },
        }
    }
    let Some(file) = file else {
        io.err.str("ERROR: missing file name\n");
        return usage(called, io);
    };
    let text = match super::read_file(file) {
        Ok(text) => text,
        // A directory opens, and has no lines.
        Err(e) if e.kind() == std::io::ErrorKind::IsADirectory => Vec::new(),
        Err(_) => {
            io.err.str("Cannot open file ");
            io.err.bytes(file);
            io.err.byte(b'\n');
            return exit::OTHER;
        }
    };
    writeln!(io.out, "# Translated by {called} v{} on {}", super::STOCK_VERSION, date::now());
    // The name by which stock calls itself here.
    let name = if family == Family::V4 { "iptables-translate-restore" } else { "ip6tables-translate-restore" };
    let cx = Context { family, names, restore: true, table: b"filter", verbose: false };
    let mut reader = Reader { program: Program::of(name), cx: &cx, table: None, io };
    for (line, number) in lines(&text).zip(1u32..) {
        match reader.line(line, number) {
            Ok(Said::Yes) => {}
            Ok(Said::End) => return exit::OK,
            Ok(Said::No) => {
                writeln!(reader.io.err, "{name}: line {number} failed");
                return exit::OTHER;
            }
            Err(e) => {
                let failure = Failure::from(e);
                failure.print(Program::of(name), Some(number), &mut reader.io.err);
                super::explain::explain_line(&failure, &cx, &text, Some(number), false, reader.io);
                return failure.exit();
            }
        }
    }
    writeln!(io.out, "# Completed on {}", date::now());
    exit::OK
}

static OPTIONS: Table = Table {
    short: &[(b'h', Takes::Nothing), (b'V', Takes::Nothing), (b'f', Takes::Value)],
    long: &[("help", b'h', Takes::Nothing), ("version", b'V', Takes::Nothing), ("file", b'f', Takes::Value)],
};

fn usage(called: &str, io: &mut Streams) -> u8 {
    writeln!(io.err, "Usage: {called} [-h] [-V] -f file");
    io.err.str("  -f, --file=file    the file to translate, in the format of iptables-save\n");
    io.err.str("  -V, --version      print the version\n");
    io.err.str("  -h, --help         print this help\n");
    exit::OTHER
}

fn warn(warnings: Vec<Vec<u8>>, err: &mut Out) {
    for warning in warnings {
        err.bytes(&warning);
        err.byte(b'\n');
    }
}

/// The reading of a file.
struct Reader<'a> {
    program: Program<'a>,
    cx: &'a Context<'a>,
    table: Option<Vec<u8>>,
    io: &'a mut Streams,
}

impl Reader<'_> {
    fn line(&mut self, line: &[u8], number: u32) -> Result<Said, Error> {
        match line {
            [] | [b'\n', ..] | [b'#', ..] => return Ok(Said::Yes),
            [b'*', name @ ..] => return self.begin_table(name, number),
            _ => {}
        }
        let Some(table) = self.table.take() else { return Ok(Said::No) };
        let said = match line {
            b"COMMIT" | b"COMMIT\n" => return Ok(Said::Yes),
            [b':', chain @ ..] => self.chain(&table, chain, number),
            _ => self.command(&table, line, number),
        };
        self.table = Some(table);
        said
    }

    fn wrong(&self, number: u32, what: &[u8]) -> Error {
        let head = format!("{}: line {number} ", self.program.name);
        Error::usage([head.as_bytes(), what].concat())
    }

    fn begin_table(&mut self, name: &[u8], number: u32) -> Result<Said, Error> {
        let name = tokens(name).next().ok_or_else(|| self.wrong(number, b"table name invalid"))?;
        if builtins(self.cx.family, name).is_none() {
            return Err(self.wrong(number, &[b"table name '", name, b"' invalid"].concat()));
        }
        write!(self.io.out, "add table {} ", nft::nft_family(self.cx.family));
        self.io.out.bytes(name);
        self.io.out.byte(b'\n');
        self.table = Some(name.to_vec());
        Ok(Said::Yes)
    }

    fn chain(&mut self, table: &[u8], line: &[u8], number: u32) -> Result<Said, Error> {
        let mut fields = tokens(line);
        let chain = fields.next().ok_or_else(|| self.wrong(number, b"chain name invalid"))?;
        let own = builtins(self.cx.family, table).unwrap_or_default();
        let builtin = own.iter().find(|b| b.name == chain);
        if builtin.is_none() {
            check_restored_chain(chain)?;
        }
        let policy = fields.next().ok_or_else(|| self.wrong(number, b"policy invalid"))?;
        let args: [&[u8]; 1] = [line.trim_ascii_end()];
        let mut sink = Sink { cx: self.cx, table, args: &args, shell: false, out: &mut self.io.out };
        match builtin {
            None => sink.of_chain("add chain", chain),
            Some(builtin) => sink.base_chain(builtin, policy),
        }
        Ok(Said::Yes)
    }

    fn command(&mut self, table: &[u8], line: &[u8], number: u32) -> Result<Said, Error> {
        let line = match line.first() {
            Some(b'[') => {
                let need = || Error::usage(format!("Bad line {number}: need ]"));
                counters_prefix(line).map(|(_, _, rest)| rest).ok_or_else(need)?
            }
            _ => line,
        };
        let mut words = Words::default();
        words.split(line).map_err(|e| {
            Error::usage(match e {
                LexError::TooLong => "Parameter too long!",
                LexError::TooMany => "Parser cannot handle more arguments",
            })
        })?;
        let args: Vec<&[u8]> = words.iter().collect();
        let cx = Context { table, ..*self.cx };
        let mut warnings = Vec::new();
        let parsed = parse(&args, &cx, &mut warnings);
        warn(warnings, &mut self.io.err);
        let mut command = parsed.map_err(|e| self.named(e))?;
        let shown: Vec<&[u8]> = [b"-t", table].into_iter().chain(args.iter().copied()).collect();
        let mut sink = Sink { cx: &cx, table, args: &shown, shell: false, out: &mut self.io.out };
        Ok(sink.command(self.program, &mut command))
    }

    /// The error with the name by which stock calls itself.
    fn named(&self, mut error: Error) -> Error {
        if error.text.starts_with(b"The -t option cannot be used in ") {
            error.text = format!("The -t option cannot be used in {}.\n", self.program.name).into_bytes();
        }
        error
    }
}

/// Where translations go.
struct Sink<'a> {
    cx: &'a Context<'a>,
    table: &'a [u8],
    /// The words that are printed where there is no translation.
    args: &'a [&'a [u8]],
    /// For a shell: `nft` stands before each, and quotes around a rule.
    shell: bool,
    out: &'a mut Out,
}

impl Sink<'_> {
    fn command(&mut self, program: Program<'_>, command: &mut Command) -> Said {
        match &command.kind {
            CommandKind::Append { .. } | CommandKind::Insert { .. } => {}
            CommandKind::NewChain { chain } => self.of_chain("add chain", chain),
            CommandKind::DeleteChain { chain: Some(chain) } => self.of_chain("delete chain", chain),
            // nft(8) has no word for all of them.
            CommandKind::DeleteChain { chain: None } => self.comment(),
            CommandKind::Flush { chain: Some(chain) } => self.of_chain("flush chain", chain),
            CommandKind::Flush { chain: None } => self.of_table("flush table"),
            CommandKind::List { .. } => self.of_table("list table"),
            CommandKind::Version { negated: false } => writeln!(self.out, "{}", program.version()),
            CommandKind::Version { negated: true } => {
                writeln!(self.out, "Not {} (nf_tables) ;-)", super::STOCK_VERSION);
            }
            CommandKind::Help { extensions } => {
                crate::text::help::iptables(program.name, self.cx.family, extensions, self.out);
            }
            CommandKind::OtherFamily => {}
            _ => return Said::No,
        }
        match &command.kind {
            CommandKind::Append { chain } => self.rules("add rule", &chain.clone(), command),
            CommandKind::Insert { chain, .. } => self.rules("insert rule", &chain.clone(), command),
            CommandKind::Version { .. } | CommandKind::Help { .. } => return Said::End,
            _ => {}
        }
        Said::Yes
    }

    /// A rule for each combination of its addresses. For a shell, stock puts `nft` before the first rule of each source only.
    fn rules(&mut self, verb: &str, chain: &[u8], command: &mut Command) {
        let print = PrintCx { family: self.cx.family, numeric: true, names: self.cx.names, protocol: None };
        // What is wrong with the rule as a whole stock says only when it is about to be sent.
        let late = command.late.is_some() && command.rule.body.base.protocol.is_some();
        let named = !late && nft::is_name(chain) && nft::is_name(self.table);
        let sources = command.rule.sources.len().max(1);
        let of_source = command.rule.destinations.len().max(1);
        let (mut text, mut rule, mut count, mut translated) = (Out::new(), Out::new(), 0, named);
        let each = |body: &Body| {
            rule.clear();
            write!(rule, "{verb} {} ", nft::nft_family(print.family));
            rule.bytes(self.table);
            rule.byte(b' ');
            rule.bytes(chain);
            rule.byte(b' ');
            // A quote would end the shell's.
            translated &= body.translate(&print, &mut rule) && !(self.shell && rule.as_bytes().contains(&b'\''));
            let quote = if self.shell { "'" } else { "" };
            text.str(if self.shell && count % of_source == 0 { "nft " } else { "" });
            text.str(quote);
            text.bytes(rule.as_bytes());
            text.str(quote);
            text.byte(b'\n');
            count += 1;
            if translated { Ok(()) } else { Err(()) }
        };
        if command.rule.for_each(each).is_ok() {
            self.out.bytes(text.as_bytes());
            return;
        }
        for _ in 1..sources {
            self.begin();
        }
        self.comment();
    }

    fn begin(&mut self) {
        self.out.str(if self.shell { "nft " } else { "" });
    }

    /// The command as a comment.
    fn comment(&mut self) {
        self.begin();
        self.out.str("# ");
        for word in self.args {
            // A line feed would end the comment.
            word.iter().for_each(|b| self.out.byte(if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
            self.out.byte(b' ');
        }
        self.out.byte(b'\n');
    }

    fn of_table(&mut self, verb: &str) {
        if !nft::is_name(self.table) {
            return self.comment();
        }
        self.begin();
        self.place(verb);
        self.out.byte(b'\n');
    }

    fn of_chain(&mut self, verb: &str, chain: &[u8]) {
        if !nft::is_name(self.table) || !nft::is_name(chain) {
            return self.comment();
        }
        self.begin();
        self.place(verb);
        self.out.byte(b' ');
        self.out.bytes(chain);
        self.out.byte(b'\n');
    }

    fn base_chain(&mut self, chain: &BuiltinChain, policy: &[u8]) {
        self.place("add chain");
        self.out.byte(b' ');
        self.out.bytes(chain.name);
        self.out.str(" { type ");
        self.out.bytes(chain.ty);
        self.out.str(" hook ");
        self.out.bytes(&chain.name.to_ascii_lowercase());
        write!(self.out, " priority {}; ", chain.priority);
        self.out.str(match policy {
            b"ACCEPT" => "policy accept; }\n",
            b"DROP" => "policy drop; }\n",
            _ => "}\n",
        });
    }

    fn place(&mut self, verb: &str) {
        write!(self.out, "{verb} {} ", nft::nft_family(self.cx.family));
        self.out.bytes(self.table);
    }
}
