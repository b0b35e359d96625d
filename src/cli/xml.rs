//! `iptables-xml`: a save file as XML.
//!
//! It reads the words of the lines and nothing else: which option takes what is not known to it. Where stock's output is not well-formed (rules
//! of chains that the file does not declare), ours is the same. Sources: iptables-xml(1); measured.

use super::failure::{Failure, Program};
use super::plain_getopt::{PlainGetopt, Table, Takes};
use super::restore::tokens;
use super::{Streams, exit};
use crate::text::Error;
use crate::text::command::leading_number;
use crate::text::lexer::{LexError, Words, counters_prefix, lines};
use crate::types::Out;

/// The program's name in its errors, however it is called.
const NAME: &str = "iptables-xml";
/// The bytes of a chain's name that are kept.
const NAME_MAX: usize = 32;
/// Targets behind which nothing is combined.
const TERMINAL: [&[u8]; 4] = [b"ACCEPT", b"DROP", b"QUEUE", b"RETURN"];

/// Runs it and says its exit code.
pub fn run(called: &str, args: &[&[u8]], io: &mut Streams) -> u8 {
    let (mut combine, mut verbose) = (false, false);
    let mut getopt = PlainGetopt::new(&OPTIONS, args);
    loop {
        match getopt.next() {
            Ok(None) => break,
            // Stock complains and goes on.
            Err(text) => {
                write!(io.err, "{called}: ");
                io.err.bytes(&text);
                io.err.byte(b'\n');
            }
            Ok(Some(found)) => match found.letter {
                b'c' => combine = true,
                b'v' => {
                    io.out.str("xptables-xml\n");
                    verbose = true;
                }
                _ => {
                    usage(io);
                    return exit::OTHER;
                }
            },
        }
    }
    let text = match getopt.operands() {
        [] => super::read_stdin(),
        [file] => super::read_file(file),
        _ => {
            io.err.str("Unknown arguments found on commandline");
            return exit::OTHER;
        }
    };
    let text = match text {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::IsADirectory => Vec::new(),
        Err(e) => {
            io.err.str("Can't open ");
            io.err.bytes(getopt.operands().first().copied().unwrap_or_default());
            write!(io.err, ": {}", crate::kernel::errno_text(e.raw_os_error().unwrap_or(0)));
            return exit::OTHER;
        }
    };
    let mut writer = Writer { combine, verbose, ..Writer::default() };
    let result = writer.file(&text);
    io.out.bytes(writer.out.as_bytes());
    match result {
        Ok(()) => exit::OK,
        Err(Stopped::Failed(text)) => {
            writeln!(io.err, "{NAME}: {text}");
            exit::OTHER
        }
        Err(Stopped::Wrong(text, line)) => {
            write!(io.err, "{NAME} v{}: ", super::STOCK_VERSION);
            Failure::from(Error { prefixed: false, ..Error::usage(text) }).print(
                Program::of(NAME),
                Some(line),
                &mut io.err,
            );
            exit::USAGE
        }
    }
}

static OPTIONS: Table = Table {
    short: &[(b'c', Takes::Nothing), (b'v', Takes::Nothing), (b'h', Takes::Nothing)],
    long: &[("combine", b'c', Takes::Nothing), ("verbose", b'v', Takes::Nothing), ("help", b'h', Takes::Nothing)],
};

fn usage(io: &mut Streams) {
    writeln!(io.err, "Usage: {NAME} [-c] [-v] [-h] [file]");
    io.err.str("  -c, --combine    one rule for those that differ in their targets only\n");
    io.err.str("  -v, --verbose    put each line of the file in a comment\n");
    io.err.str("  -h, --help       print this help\n");
}

/// Why the reading ended early.
enum Stopped {
    /// The text behind the program's name.
    Failed(String),
    /// A wrong parameter, and the line that it is in.
    Wrong(Vec<u8>, u32),
}

/// A chain that the file declares.
#[derive(Debug)]
struct Chain {
    name: Vec<u8>,
    policy: Vec<u8>,
    packets: i64,
    bytes: i64,
    /// It has been begun.
    used: bool,
}

/// A word, and whether it stood in quotes.
type Word = (Vec<u8>, bool);

#[derive(Debug, Default)]
struct Writer {
    combine: bool,
    verbose: bool,
    out: Out,
    table: bool,
    chains: Vec<Chain>,
    /// The chain that is begun.
    chain: Option<Vec<u8>>,
    rule: bool,
    actions: bool,
    /// The words of the rule before.
    last: Vec<Word>,
}

impl Writer {
    fn file(&mut self, text: &[u8]) -> Result<(), Stopped> {
        self.out.str("<iptables-rules version=\"1.0\">\n");
        let mut number = 0;
        for line in lines(text) {
            number += 1;
            self.line(line, number)?;
        }
        if self.table {
            return Err(Stopped::Failed(format!("COMMIT expected at line {}", number + 1)));
        }
        self.out.str("</iptables-rules>\n");
        Ok(())
    }

    fn line(&mut self, line: &[u8], number: u32) -> Result<(), Stopped> {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        match line {
            [] | [b'\n', ..] => return Ok(()),
            [b'#', ..] => {
                self.comment("", bare);
                return Ok(());
            }
            _ => {}
        }
        if self.verbose {
            self.comment(&format!("line {number} "), bare);
        }
        match line {
            // Without its line feed it is a command.
            b"COMMIT\n" if self.table => self.end_table(),
            [b'*', name @ ..] => self.begin_table(name, number)?,
            [b':', chain @ ..] if self.table => self.declare(chain, number)?,
            _ if self.table => self.command(line, number)?,
            _ => return Err(Stopped::Failed(format!("line {number} failed"))),
        }
        Ok(())
    }

    /// A comment; each `-` has a star beside it, and every second one a blank, so that no two stand together.
    fn comment(&mut self, head: &str, text: &[u8]) {
        write!(self.out, "<!-- {head}");
        let mut odd = false;
        for b in text {
            if *b == b'-' {
                odd = !odd;
                self.out.str(if odd { "*-" } else { " *-" });
            } else {
                self.out.byte(*b);
            }
        }
        self.out.str(" -->\n");
    }

    fn begin_table(&mut self, name: &[u8], number: u32) -> Result<(), Stopped> {
        let wrong = || Stopped::Wrong(format!("{NAME}: line {number} table name invalid").into_bytes(), number);
        let name = tokens(name).next().ok_or_else(wrong)?;
        if self.table {
            self.end_table();
        }
        self.table = true;
        self.out.str("  <table name=\"");
        self.escaped(name);
        self.out.str("\" >\n");
        Ok(())
    }

    fn end_table(&mut self) {
        self.end_chain();
        for chain in std::mem::take(&mut self.chains).iter().filter(|c| !c.used) {
            self.chain_tag(chain);
            self.out.str("/>\n");
        }
        self.out.str("  </table>\n");
        self.table = false;
    }

    fn declare(&mut self, line: &[u8], number: u32) -> Result<(), Stopped> {
        let wrong = |what: &str| Stopped::Wrong(format!("{NAME}: line {number} {what} invalid").into_bytes(), number);
        let mut fields = tokens(line);
        let name = fields.next().ok_or_else(|| wrong("chain name"))?;
        let policy = fields.next().ok_or_else(|| wrong("policy"))?;
        let number = |text: &[u8]| leading_number(text).map(|(n, rest)| (n.cast_signed(), rest.to_vec()));
        let first = fields.next().and_then(|f| f.strip_prefix(b"[")).and_then(number);
        let second = first.as_ref().and_then(|(_, rest)| rest.strip_prefix(b":")).and_then(number);
        // Of numbers that are not there stock prints what its memory happens to hold.
        let (packets, bytes) = (first.map_or(0, |(n, _)| n), second.map_or(0, |(n, _)| n));
        let policy = if policy == b"-" { Vec::new() } else { policy.to_vec() };
        let name = name.get(..NAME_MAX).unwrap_or(name).to_vec();
        self.chains.push(Chain { name, policy, packets, bytes, used: false });
        Ok(())
    }

    fn chain_tag(&mut self, chain: &Chain) {
        self.out.str("    <chain name=\"");
        self.escaped(&chain.name);
        self.out.str("\" ");
        if !chain.policy.is_empty() {
            self.out.str("policy=\"");
            self.escaped(&chain.policy);
            self.out.str("\" ");
        }
        write!(self.out, "packet-count=\"{}\" byte-count=\"{}\" ", chain.packets, chain.bytes);
    }

    /// Begins a chain; one that was not declared is not begun, and its rules stand in the one before.
    fn begin_chain(&mut self, name: &[u8]) {
        if self.chain.as_deref() == Some(name) {
            return;
        }
        let mut chains = std::mem::take(&mut self.chains);
        // One that is declared several times is begun as often.
        for chain in chains.iter_mut().filter(|c| c.name == name) {
            self.end_chain();
            chain.used = true;
            self.chain_tag(chain);
            self.out.str(">\n");
            self.chain = Some(name.to_vec());
        }
        self.chains = chains;
    }

    fn end_chain(&mut self) {
        if self.chain.take().is_some() {
            self.end_rule();
            self.out.str("    </chain>\n");
        }
    }

    fn end_rule(&mut self) {
        if std::mem::take(&mut self.actions) {
            self.out.str("       </actions>\n\n");
        }
        if std::mem::take(&mut self.rule) {
            self.out.str("      </rule>\n\n");
        }
    }

    fn command(&mut self, line: &[u8], number: u32) -> Result<(), Stopped> {
        let wrong = |text: &str| Stopped::Wrong(text.into(), number);
        let (counters, rest) = match line.first() {
            Some(b'[') => {
                let need = || wrong(&format!("Bad line {number}: need ]"));
                let (packets, bytes, rest) = counters_prefix(line).ok_or_else(need)?;
                (Some((packets, bytes)), rest)
            }
            _ => (None, line),
        };
        let mut words = Words::default();
        words.split(rest).map_err(|e| {
            wrong(match e {
                LexError::TooLong => "Parameter too long!",
                LexError::TooMany => "Parser cannot handle more arguments",
            })
        })?;
        let words: Vec<Word> = words.iter().map(<[u8]>::to_vec).zip(words.quoted().iter().copied()).collect();
        let append = words.iter().position(|(word, _)| word == b"-A");
        let Some((chain, _)) = append.and_then(|at| words.get(at + 1)) else {
            return Err(Stopped::Failed(format!("line {number} failed - no chain found")));
        };
        self.begin_chain(chain);
        self.write_rule(counters, &words);
        self.last = words;
        Ok(())
    }

    fn write_rule(&mut self, counters: Option<(&[u8], &[u8])>, words: &[Word]) {
        let jump = jump_of(words).unwrap_or(words.len());
        if self.combine && combines(&self.last, words) {
            self.out.str("<!-- Combine action from next rule -->\n");
        } else {
            self.end_rule();
            self.out.str("      <rule ");
            if let Some((packets, bytes)) = counters {
                for (name, value) in [("packet-count=\"", packets), ("byte-count=\"", bytes)] {
                    self.out.str(name);
                    self.escaped(value);
                    self.out.str("\" ");
                }
            }
            self.out.str(">\n");
            self.rule = true;
            if words.get(2).is_some_and(|(word, _)| !JUMPS.contains(&word.as_slice())) {
                self.out.str("       <conditions>\n");
                self.part(words, 2, jump);
                self.out.str("       </conditions>\n");
            }
        }
        if !std::mem::replace(&mut self.actions, true) {
            self.out.str("       <actions>\n");
        }
        self.part(words, jump, words.len());
    }

    /// Writes some words of a rule: its conditions or its actions.
    fn part(&mut self, rule: &[Word], from: usize, to: usize) {
        let bare = |at: usize| rule.get(at).map_or(&b""[..], |(word, _)| word.as_slice());
        let mut elements = Elements::default();
        // Options in front of all `-m` stand in an element of their own, if the first word is one.
        let first = bare(from + usize::from(bare(from) == b"!"));
        if first.starts_with(b"-") && first != b"-m" && !JUMPS.contains(&first) {
            elements.outer(b"match", &mut self.out);
        }
        let (mut invert, mut at) = (false, from);
        while let Some((word, quoted)) = rule.get(at).filter(|_| at < to) {
            at += 1;
            if *quoted || !word.starts_with(b"-") {
                let inverts = !*quoted && word == b"!" && bare(at).starts_with(b"-");
                elements.word(inverts, &mut self.out);
                invert |= inverts;
                if !inverts {
                    self.value(word, *quoted);
                }
            } else if word == b"-m" || JUMPS.contains(&word.as_slice()) {
                invert = false;
                let Some((name, _)) = rule.get(at).filter(|_| at < to) else { continue };
                at += 1;
                self.outer(word, name, &mut elements);
            } else {
                let dashes = word.iter().take_while(|b| **b == b'-').count();
                let name = word.get(dashes..).unwrap_or_default();
                elements.inner(name, std::mem::take(&mut invert), &mut self.out);
                // Words follow, or it ends here.
                if bare(at).is_empty() && rule.get(at).is_none() || bare(at).starts_with(b"-") {
                    elements.close_inner(&mut self.out);
                }
            }
        }
        elements.close(&mut self.out);
    }

    /// Begins a match or a target; one of a chain's name calls that chain.
    fn outer(&mut self, word: &[u8], name: &[u8], elements: &mut Elements) {
        if word == b"-m" || !self.chains.iter().any(|c| c.name == name) {
            elements.outer(name, &mut self.out);
            return;
        }
        let goes: &[u8] = if matches!(word, b"-g" | b"--goto") { b"goto" } else { b"call" };
        elements.outer(goes, &mut self.out);
        elements.child(&mut self.out);
        self.out.str("          <");
        self.out.bytes(name);
        self.out.str(" />\n");
    }

    fn value(&mut self, word: &[u8], quoted: bool) {
        let quote = if quoted { "&quot;" } else { "" };
        self.out.str(quote);
        self.escaped(word);
        self.out.str(quote);
    }

    fn escaped(&mut self, text: &[u8]) {
        for b in text {
            match b {
                b'&' => self.out.str("&amp;"),
                b'<' => self.out.str("&lt;"),
                b'>' => self.out.str("&gt;"),
                b'"' => self.out.str("&quot;"),
                _ => self.out.byte(*b),
            }
        }
    }
}

/// The elements that are open inside the conditions or the actions: a match or target, and an option in it.
#[derive(Debug, Default)]
struct Elements {
    outer: Option<Vec<u8>>,
    inner: Option<Vec<u8>>,
    /// The tag begun last has no `>` yet.
    open: bool,
    /// A word has been written behind the tag.
    worded: bool,
}

impl Elements {
    fn outer(&mut self, name: &[u8], out: &mut Out) {
        self.close(out);
        out.str("        <");
        out.bytes(name);
        out.byte(b' ');
        (self.outer, self.open, self.worded) = (Some(name.to_vec()), true, false);
    }

    fn inner(&mut self, name: &[u8], invert: bool, out: &mut Out) {
        self.close_inner(out);
        self.child(out);
        out.str("          <");
        out.bytes(name);
        out.str(if invert { "  invert=\"1\"" } else { " " });
        (self.inner, self.open, self.worded) = (Some(name.to_vec()), true, false);
    }

    /// Something stands in the outer element.
    fn child(&mut self, out: &mut Out) {
        if std::mem::take(&mut self.open) {
            out.str(">\n");
        }
        self.worded = false;
    }

    /// A word stands in whatever is open; `silent` if it is not written.
    fn word(&mut self, silent: bool, out: &mut Out) {
        if std::mem::take(&mut self.open) {
            out.str(if self.inner.is_some() { ">" } else { ">\n" });
        }
        if std::mem::replace(&mut self.worded, true) && !silent {
            out.byte(b' ');
        }
    }

    fn close_inner(&mut self, out: &mut Out) {
        if let Some(name) = self.inner.take() {
            if std::mem::take(&mut self.open) {
                out.str(" />\n");
            } else {
                out.str("</");
                out.bytes(&name);
                out.str(">\n");
            }
        }
    }

    fn close(&mut self, out: &mut Out) {
        self.close_inner(out);
        if let Some(name) = self.outer.take() {
            if std::mem::take(&mut self.open) {
                out.str(" />\n");
            } else {
                out.str("        </");
                out.bytes(&name);
                out.str(">\n");
            }
        }
    }
}

/// The options that name a target.
const JUMPS: [&[u8]; 4] = [b"-j", b"-g", b"--jump", b"--goto"];

fn is_jump((word, quoted): &Word) -> bool {
    !quoted && JUMPS.contains(&word.as_slice())
}

/// Where the actions of a rule begin. What stands behind `-m` is a name, whatever it is.
fn jump_of(words: &[Word]) -> Option<usize> {
    let mut at = 2;
    while let Some(word) = words.get(at) {
        if is_jump(word) {
            return Some(at);
        }
        at += if *word == (b"-m".to_vec(), false) { 2 } else { 1 };
    }
    None
}

/// Whether a rule's actions may stand behind those of the rule before: all in front of the first target is the same, and that one goes on.
fn combines(last: &[Word], next: &[Word]) -> bool {
    let Some(jump) = jump_of(next).filter(|at| *at > 2) else { return false };
    let same = |from: usize, to: usize| {
        let words =
            |rule: &[Word]| rule.get(from..to).map(|part| part.iter().map(|(w, _)| w.clone()).collect::<Vec<_>>());
        words(last) == words(next)
    };
    let Some(before @ (how, _)) = last.get(jump) else { return false };
    let ends = last.get(jump + 1).is_some_and(|(name, _)| TERMINAL.contains(&name.as_slice()));
    same(1, jump) && is_jump(before) && !ends && !matches!(how.as_slice(), b"-g" | b"--goto")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xml(text: &str, combine: bool, verbose: bool) -> String {
        let mut writer = Writer { combine, verbose, ..Writer::default() };
        let end = match writer.file(text.as_bytes()) {
            Ok(()) => String::new(),
            Err(Stopped::Failed(text)) => format!("! {text}"),
            Err(Stopped::Wrong(text, line)) => format!("! {} {line}", String::from_utf8_lossy(&text)),
        };
        String::from_utf8_lossy(writer.out.as_bytes()).into_owned() + &end
    }

    /// What stands in the one table of a file with these rules.
    fn rules(lines: &str, combine: bool) -> String {
        let text = xml(&format!("*t\n:A - [1:2]\n:B DROP [0:0]\n{lines}COMMIT\n"), combine, false);
        let inside = text.split_once("  <table name=\"t\" >\n").unwrap().1;
        inside.split_once("  </table>\n").unwrap().0.replace("\n\n", "\n")
    }

    #[test]
    fn conditions_and_actions() {
        let text =
            rules("[5:6] -A A ! -p tcp -f -m tcp ! --dport 1 2 --syn -m x -g B --y \"a&b\" -j LOG -j C\n", false);
        let expected = "    <chain name=\"A\" packet-count=\"1\" byte-count=\"2\" >
      <rule packet-count=\"5\" byte-count=\"6\" >
       <conditions>
        <match >
          <p  invert=\"1\">tcp</p>
          <f  />
        </match>
        <tcp >
          <dport  invert=\"1\">1 2</dport>
          <syn  />
        </tcp>
        <x  />
       </conditions>
       <actions>
        <goto >
          <B />
          <y >&quot;a&amp;b&quot;</y>
        </goto>
        <LOG  />
        <C  />
       </actions>
      </rule>
    </chain>
    <chain name=\"B\" policy=\"DROP\" packet-count=\"0\" byte-count=\"0\" />
";
        assert_eq!(text, expected);
    }

    #[test]
    fn rules_that_differ_in_their_targets_only_are_combined() {
        let lines =
            "-A A -p a -j LOG\n-A A -p a -j DROP\n-A A -p a -j LOG\n-A A -p b -j LOG\n-A A -j LOG\n-A A -j LOG\n";
        assert_eq!(rules(lines, true).matches("<rule >").count(), 5);
        assert_eq!(rules(lines, false).matches("<rule >").count(), 6);
        assert!(rules(lines, true).contains("<!-- Combine action from next rule -->\n        <DROP  />\n"));
    }

    #[test]
    fn comments_and_errors() {
        assert!(xml("# a--b-\n", false, false).contains("<!-- # a*- *-b*- -->\n"));
        assert!(xml("*t\n:A -\n", false, true).ends_with("<!-- line 2 :A *- -->\n! COMMIT expected at line 3"));
        for (text, error) in [
            ("foo\n", "! line 1 failed"),
            ("*\n", "! iptables-xml: line 1 table name invalid 1"),
            ("*t\n:A\n", "! iptables-xml: line 2 policy invalid 2"),
            ("*t\n-F\n", "! line 2 failed - no chain found"),
            ("*t\n[1 -A\n", "! Bad line 2: need ] 2"),
        ] {
            assert!(xml(text, false, false).ends_with(error), "{text:?}");
        }
    }
}
