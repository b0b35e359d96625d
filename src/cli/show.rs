//! What is in the kernel, as text: `-L`, `-S` and the save format.
//!
//! A rule that cannot be said exactly in iptables' words is shown as a comment line and counted; it is never guessed and never left out.

mod planned;

pub use planned::show_planned;

use super::failure::Failure;
use crate::compile::describe::describe;
use crate::compile::raise::Raised;
use crate::ext::PrintCx;
use crate::kernel::names::SystemNames;
use crate::kernel::{self, Event, RuleReader, Session};
use crate::model::builtin::{BuiltinChain, TABLES, builtins};
use crate::text::list::{self, ChainKind, Style};
use crate::types::{Counters, Family, Hook, Names, NumberList, Out};
use crate::wire::consts::NF_DROP;
use crate::wire::msg::RuleMsg;
use std::ops::ControlFlow;

/// How often a listing is begun again because the ruleset changed under it, before it is printed as it is.
const ATTEMPTS: u32 = 16;

/// What to show.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The family.
    pub family: Family,
    /// The table.
    pub table: &'a [u8],
    /// One chain, or all.
    pub chain: Option<&'a [u8]>,
    /// One rule of that chain, from 1.
    pub number: Option<u32>,
    /// Where names are looked up.
    pub names: &'a dyn Names,
}

/// The forms of a listing.
#[derive(Clone, Copy)]
pub enum Form<'a> {
    /// `-L`.
    List(Style<'a>),
    /// `-S`; whether counters are shown (`-v`).
    Rules(bool),
    /// A table of `iptables-save`; whether counters stand before the rules (`-c`).
    Save(bool),
}

/// What a listing came upon beside the rules that it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Rules that cannot be said in iptables' words.
    pub opaque: u32,
    /// Base chains that are not iptables' own.
    pub foreign_chains: u32,
}

/// A chain as it is listed.
struct Listed<'a> {
    name: &'a [u8],
    builtin: Option<&'static BuiltinChain>,
    kernel: Option<&'a kernel::Chain>,
}

/// Shows a table or a part of it, as one generation of the ruleset: what was found, and the text in pieces.
pub fn show(session: &mut Session, request: &Request<'_>, form: Form<'_>) -> Result<(Found, Vec<Out>), Failure> {
    let mut generation = session.generation()?;
    for _ in 0..ATTEMPTS {
        let shown = once(session, request, form)?;
        let now = session.generation()?;
        if now == generation {
            return Ok(shown);
        }
        generation = now;
    }
    once(session, request, form)
}

fn once(session: &mut Session, request: &Request<'_>, form: Form<'_>) -> Result<(Found, Vec<Out>), Failure> {
    let builtin = |name: &[u8]| builtins(request.family, request.table)?.iter().find(|b| b.name == name);
    let Some(name) = request.chain else { return table(session, request, form) };
    let kernel = session.chain(request.family, request.table, name)?;
    let ours = builtin(name).filter(|b| kernel.as_ref().is_none_or(|k| is_builtin(b, k)));
    let foreign = kernel.as_ref().is_some_and(|k| k.base.is_some() && ours.is_none());
    if foreign || (kernel.is_none() && builtin(name).is_none()) {
        return Err(incompatible(name, request.table));
    }
    let mut out = Out::new();
    let listed = Listed { name, builtin: ours, kernel: kernel.as_ref() };
    if let (Form::Rules(counters), None | Some(0)) = (form, request.number) {
        declaration(&listed, counters, &mut out);
    }
    let text = match kernel {
        Some(_) => text_of(session, request, name, form)?,
        None => Lines::new(request.family),
    };
    if let (Form::List(style), None) = (form, request.number) {
        header(&listed, references(&listed, text.rules), &style, &mut out);
    }
    Ok((Found { opaque: text.opaque, ..Found::default() }, vec![out, text.lines]))
}

/// What stock says of a chain that it cannot show, one that is not there included.
pub(super) fn incompatible(chain: &[u8], table: &[u8]) -> Failure {
    let text = [b"chain `", chain, b"' in table `", table, b"' is incompatible, use 'nft' tool."].concat();
    Failure::Plain(super::exit::OTHER, text)
}

/// Whether a chain of the kernel is this built-in one.
pub(super) fn is_builtin(builtin: &BuiltinChain, chain: &kernel::Chain) -> bool {
    chain.base.as_ref().is_some_and(|b| builtin.is(&chain.name, b.hook, b.priority, &b.ty))
}

/// Shows a whole table: built-in chains in hook order, then user chains by name.
fn table(session: &mut Session, request: &Request<'_>, form: Form<'_>) -> Result<(Found, Vec<Out>), Failure> {
    let (mut pieces, mut text) = (Vec::new(), Out::new());
    let out = &mut text;
    let kernel_chains = session.chains(request.family, Some(request.table))?;
    let own = builtins(request.family, request.table).unwrap_or_default();
    let mut listed: Vec<Listed<'_>> = Vec::new();
    for builtin in own {
        let kernel = kernel_chains.iter().find(|k| is_builtin(builtin, k));
        listed.push(Listed { name: builtin.name, builtin: Some(builtin), kernel });
    }
    let users = listed.len();
    let is_user = |k: &&kernel::Chain| k.base.is_none();
    listed.extend(kernel_chains.iter().filter(is_user).map(|k| Listed {
        name: &k.name,
        builtin: None,
        kernel: Some(k),
    }));
    if let Some(users) = listed.get_mut(users..) {
        users.sort_by(|a, b| a.name.cmp(b.name));
    }
    let foreign: Vec<&kernel::Chain> =
        kernel_chains.iter().filter(|k| k.base.is_some() && !own.iter().any(|b| is_builtin(b, k))).collect();
    let mut found = Found { foreign_chains: u32::try_from(foreign.len()).unwrap_or(u32::MAX), ..Found::default() };
    if !foreign.is_empty() {
        out.str("# Table `");
        out.bytes(request.table);
        out.str("' contains incompatible base-chains, use 'nft' tool to list them.\n");
    }
    if let Form::Save(_) = form {
        out.byte(b'*');
        out.bytes(request.table);
        out.byte(b'\n');
    }
    if !matches!(form, Form::List(_)) {
        for l in &listed {
            match form {
                Form::Save(_) => save_declaration(l, out),
                Form::Rules(counters) => declaration(l, counters, out),
                Form::List(_) => {}
            }
        }
    }
    let mut texts = texts_of(session, request, &listed, form)?.into_iter();
    for (i, l) in listed.iter().enumerate() {
        let rules_text = if l.kernel.is_some() { texts.next() } else { None };
        let rules = rules_text.as_ref().map_or(0, |t| t.rules);
        if let Form::List(style) = form {
            out.str(if i == 0 { "" } else { "\n" });
            header(l, references(l, rules), &style, out);
        }
        if let Some(rules_text) = rules_text {
            found.opaque += rules_text.opaque;
            // Long texts are handed on as they are, not copied.
            pieces.push(std::mem::take(out));
            pieces.push(rules_text.lines);
        }
    }
    for k in foreign {
        foreign_chain(session, request, k, out)?;
    }
    if let Form::Save(_) = form {
        out.str("COMMIT\n");
    }
    pieces.push(text);
    Ok((found, pieces))
}

/// `-P INPUT ACCEPT` or `-N name`.
fn declaration(l: &Listed<'_>, counters: bool, out: &mut Out) {
    match l.builtin {
        Some(_) => {
            out.str("-P ");
            out.bytes(l.name);
            out.str(if drops(l) { " DROP" } else { " ACCEPT" });
            if counters {
                let c = counters_of(l);
                write!(out, " -c {} {}", c.packets, c.bytes);
            }
        }
        None => {
            out.str("-N ");
            out.bytes(l.name);
        }
    }
    out.byte(b'\n');
}

/// `:INPUT ACCEPT [5:600]` or `:name - [0:0]`.
fn save_declaration(l: &Listed<'_>, out: &mut Out) {
    out.byte(b':');
    out.bytes(l.name);
    match l.builtin {
        Some(_) => {
            let c = counters_of(l);
            out.str(if drops(l) { " DROP" } else { " ACCEPT" });
            writeln!(out, " [{}:{}]", c.packets, c.bytes);
        }
        None => out.str(" - [0:0]\n"),
    }
}

fn drops(l: &Listed<'_>) -> bool {
    let policy = l.kernel.and_then(|k| k.base.as_ref()).map(|b| b.policy);
    policy == Some(NF_DROP.cast_unsigned())
}

fn counters_of(l: &Listed<'_>) -> Counters {
    l.kernel.and_then(|k| k.counters).unwrap_or_default()
}

/// How many rules lead to a chain that has this many itself: the kernel counts both together.
fn references(l: &Listed<'_>, rules: u32) -> u32 {
    l.kernel.map_or(0, |k| k.uses).saturating_sub(rules)
}

/// Prints the line of a chain and its columns.
fn header(l: &Listed<'_>, references: u32, style: &Style<'_>, out: &mut Out) {
    let kind = match l.builtin {
        Some(_) => ChainKind::Builtin { drop: drops(l), counters: counters_of(l) },
        None => ChainKind::User { references },
    };
    list::chain(l.name, kind, style, out);
}

/// The rules of a chain as text.
struct Lines {
    reader: RuleReader,
    lines: Out,
    rules: u32,
    opaque: u32,
}

impl Lines {
    fn new(family: Family) -> Self {
        Self { reader: RuleReader::new(family), lines: Out::new(), rules: 0, opaque: 0 }
    }

    /// Prints the next rule of a chain.
    fn rule(&mut self, chain: &[u8], rule: &RuleMsg<'_>, family: Family, names: &dyn Names, form: Form<'_>) {
        self.rules += 1;
        let start = self.lines.len();
        let mut reason = " is not iptables': ";
        if let Raised::Rule(body, counters) = self.reader.raise(rule.table, rule.exprs, rule.userdata) {
            print_rule(chain, self.rules, &body, counters, family, names, form, &mut self.lines);
            if !matches!(form, Form::Save(_)) || is_one_line(self.lines.as_bytes().get(start..)) {
                return;
            }
            // What stands behind the line feed would be read as a command of its own.
            self.lines.truncate(start);
            reason = " cannot be written in a file, because of a line feed in it: ";
        }
        self.opaque += 1;
        let out = &mut self.lines;
        write!(out, "# rule {} of ", self.rules);
        out.bytes(chain);
        if rule.handle != 0 {
            write!(out, " (handle {})", rule.handle);
        }
        out.str(reason);
        describe(family, rule.exprs, rule.userdata, out);
        out.byte(b'\n');
    }
}

/// Whether the only line feed of a text is its last byte.
fn is_one_line(text: Option<&[u8]>) -> bool {
    matches!(text, Some([line @ .., b'\n']) if !line.contains(&b'\n'))
}

/// The rules of those chains that the kernel has, in their order. The forms that need no names of hosts are made on all processors.
fn texts_of(
    session: &mut Session,
    request: &Request<'_>,
    listed: &[Listed<'_>],
    form: Form<'_>,
) -> Result<Vec<Lines>, Failure> {
    let family = request.family;
    let chains: Vec<&kernel::Chain> = listed.iter().filter_map(|l| l.kernel).collect();
    let counters = match form {
        Form::List(_) => {
            let mut texts = Vec::with_capacity(chains.len());
            for chain in chains {
                texts.push(text_of(session, request, &chain.name, form)?);
            }
            return Ok(texts);
        }
        Form::Rules(counters) | Form::Save(counters) => counters,
    };
    let save = matches!(form, Form::Save(_));
    let start = |i: usize| (Lines::new(family), SystemNames::default(), chains.get(i).map_or(&b""[..], |c| &c.name));
    let texts = session.rules_of(family, &chains, &start, &|(lines, names, chain), rule| {
        let form = if save { Form::Save(counters) } else { Form::Rules(counters) };
        lines.rule(chain, rule, family, names, form);
    })?;
    // What a processor's own names had to complain of is asked again where it is said.
    if texts.iter().any(|(_, names, _)| names.complaint().is_some()) {
        request.names.number_name(NumberList::ConnLabels, 0);
    }
    Ok(texts.into_iter().map(|(lines, ..)| lines).collect())
}

/// The rules of one chain, or the one that was asked for.
fn text_of(session: &mut Session, request: &Request<'_>, name: &[u8], form: Form<'_>) -> Result<Lines, Failure> {
    let mut text = Lines::new(request.family);
    session.rules(request.family, request.table, name, &mut |event| {
        match event {
            Event::Restart => text = Lines::new(request.family),
            Event::Rule(_) if request.number.is_some_and(|n| n != text.rules + 1) => text.rules += 1,
            Event::Rule(rule) => {
                text.rule(name, rule, request.family, request.names, form);
                if request.number.is_some() {
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(text)
}

#[expect(clippy::too_many_arguments, reason = "a rule, where it stands, and how it is printed")]
fn print_rule(
    chain: &[u8],
    number: u32,
    body: &crate::ext::Body,
    counters: Counters,
    family: Family,
    names: &dyn Names,
    form: Form<'_>,
    out: &mut Out,
) {
    let cx = PrintCx { family, numeric: true, names, protocol: None };
    match form {
        Form::List(style) => {
            list::rule(number, body, counters, &style, out);
            return;
        }
        Form::Save(true) => {
            out.byte(b'[');
            out.dec(counters.packets);
            out.byte(b':');
            out.dec(counters.bytes);
            out.str("] ");
        }
        Form::Save(false) | Form::Rules(_) => {}
    }
    out.str("-A");
    out.word(chain);
    body.save(out, &cx, matches!(form, Form::Rules(true)).then_some(counters));
    out.byte(b'\n');
}

/// A base chain that is not iptables': its rules as comment lines.
fn foreign_chain(
    session: &mut Session,
    request: &Request<'_>,
    k: &kernel::Chain,
    out: &mut Out,
) -> Result<(), Failure> {
    let base = k.base.as_ref();
    out.str("# chain ");
    out.bytes(&k.name);
    if let Some(base) = base {
        out.str(" is not iptables': type ");
        out.bytes(&base.ty);
        let policy = if base.policy == NF_DROP.cast_unsigned() { "drop" } else { "accept" };
        let hook = Hook::from_num(base.hook).map_or_else(|| base.hook.to_string(), |h| h.chain().to_lowercase());
        writeln!(out, " hook {hook} priority {} policy {policy}", base.priority);
    }
    let from = out.len();
    session.rules(request.family, request.table, &k.name, &mut |event| {
        match event {
            Event::Restart => out.truncate(from),
            Event::Rule(rule) => {
                out.str("#   ");
                describe(request.family, rule.exprs, rule.userdata, out);
                out.byte(b'\n');
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

/// The tables that exist, in the order in which they are saved.
pub fn existing_tables(session: &mut Session, family: Family) -> Result<Vec<&'static [u8]>, Failure> {
    let tables = session.tables(family)?;
    Ok(TABLES.into_iter().filter(|name| tables.iter().any(|t| t.name == *name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NoNames;
    use crate::wire::{Attrs, ExprWriter, Writer};

    /// A comment that would be a command of its own in a file.
    #[test]
    fn a_line_feed_does_not_leave_its_rule() {
        let mut w = Writer::new();
        let list = w.nest(4);
        ExprWriter::new(&mut w).xt_match("comment", 0, |b| b.fixed(b"a\n-A INPUT -j ACCEPT", 256));
        w.close(list);
        let exprs = Attrs::new(w.as_bytes()).next().and_then(Result::ok).map(|a| a.payload).unwrap_or_default();
        let text = |form| {
            let mut lines = Lines::new(Family::V4);
            let rule = RuleMsg { exprs, ..RuleMsg::default() };
            lines.rule(b"INPUT", &rule, Family::V4, &NoNames, form);
            (String::from_utf8_lossy(lines.lines.as_bytes()).into_owned(), lines.opaque)
        };
        let (saved, opaque) = text(Form::Save(false));
        assert!(
            saved.starts_with("# rule 1 of INPUT cannot be written in a file, because of a line feed in it: "),
            "{saved}"
        );
        assert_eq!((saved.lines().count(), opaque), (1, 1));
        // -S is for people and shows what stock shows.
        assert_eq!(text(Form::Rules(false)).0, "-A INPUT -m comment --comment \"a\n-A INPUT -j ACCEPT\"\n");
    }
}
