//! From the kernel to a document: one generation of the ruleset, whole or the part that was asked for.

use super::{Chain, Document, ForeignChain, Parts, Policy, Rule, SCHEMA, Table, Text};
use crate::cli::failure::Failure;
use crate::cli::iptables::ATTEMPTS;
use crate::cli::show::{Found, incompatible, is_builtin};
use crate::compile::{Raised, describe};
use crate::ext::PrintCx;
use crate::kernel::{self, Event, RuleReader, Session};
use crate::model::builtin::{BuiltinChain, builtins};
use crate::types::{Counters, Family, Hook, Names, Out};
use crate::wire::consts::NF_DROP;
use crate::wire::msg::RuleMsg;
use std::ops::ControlFlow;

/// What a document is to hold.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The family.
    pub family: Family,
    /// The tables, each of which iptables knows.
    pub tables: &'a [&'a [u8]],
    /// One chain of them, or all.
    pub chain: Option<&'a [u8]>,
    /// One rule of that chain, from 1.
    pub number: Option<u32>,
    /// Where names of protocols are looked up.
    pub names: &'a dyn Names,
}

/// The document, and for each of its tables what iptables cannot say.
pub fn document(session: &mut Session, asked: &Asked<'_>) -> Result<(Document, Vec<Found>), Failure> {
    let mut generation = session.generation()?;
    for _ in 0..ATTEMPTS {
        let made = once(session, asked)?;
        let now = session.generation()?;
        if now == generation {
            return Ok(made);
        }
        generation = now;
    }
    once(session, asked)
}

fn once(session: &mut Session, asked: &Asked<'_>) -> Result<(Document, Vec<Found>), Failure> {
    let (mut tables, mut found) = (Vec::new(), Vec::new());
    for name in asked.tables {
        let (table, in_it) = table(session, asked, name)?;
        tables.push(table);
        found.push(in_it);
    }
    let generator = Some(format!("oxtables {}", env!("CARGO_PKG_VERSION")));
    Ok((Document { schema: SCHEMA.to_owned(), generator, family: asked.family.into(), tables }, found))
}

fn table(session: &mut Session, asked: &Asked<'_>, name: &[u8]) -> Result<(Table, Found), Failure> {
    let own = builtins(asked.family, name).unwrap_or_default();
    let mut kernel_chains = session.chains(asked.family, Some(name))?;
    kernel_chains.sort_by(|a, b| a.name.cmp(&b.name));
    let ours = |k: &kernel::Chain| k.base.is_none() || own.iter().any(|b| is_builtin(b, k));
    let wanted = |chain: &[u8]| asked.chain.is_none_or(|only| only == chain);
    let mut chains = Vec::new();
    let mut found = Found::default();
    for builtin in own.iter().filter(|b| wanted(b.name)) {
        let kernel = kernel_chains.iter().find(|k| is_builtin(builtin, k));
        let foreign = kernel_chains.iter().any(|k| k.name == builtin.name && !ours(k));
        if asked.chain.is_some() && foreign {
            return Err(incompatible(builtin.name, name));
        }
        chains.push(chain(session, asked, name, builtin.name, Some(builtin), kernel, &mut found)?);
    }
    for kernel in kernel_chains.iter().filter(|k| k.base.is_none() && wanted(&k.name)) {
        chains.push(chain(session, asked, name, &kernel.name, None, Some(kernel), &mut found)?);
    }
    if let (Some(missing), true) = (asked.chain, chains.is_empty()) {
        return Err(incompatible(missing, name));
    }
    let mut foreign_chains = Vec::new();
    for kernel in kernel_chains.iter().filter(|k| !ours(k) && asked.chain.is_none()) {
        found.foreign_chains += 1;
        foreign_chains.push(foreign_chain(session, asked.family, name, kernel)?);
    }
    let whole = asked.chain.is_none();
    Ok((Table { name: Text::of(name), whole, chains, foreign_chains }, found))
}

fn chain(
    session: &mut Session,
    asked: &Asked<'_>,
    table: &[u8],
    name: &[u8],
    builtin: Option<&BuiltinChain>,
    kernel: Option<&kernel::Chain>,
    found: &mut Found,
) -> Result<Chain, Failure> {
    let mut reading = Reading { reader: RuleReader::new(asked.family), rules: Vec::new(), seen: 0, opaque: 0 };
    if kernel.is_some() {
        session.rules(asked.family, table, name, &mut |event| {
            match event {
                Event::Restart => {
                    reading.rules.clear();
                    (reading.seen, reading.opaque) = (0, 0);
                }
                Event::Rule(rule) => {
                    reading.seen += 1;
                    if asked.number.is_none_or(|n| n == reading.seen) {
                        reading.rule(asked, name, rule);
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
    }
    found.opaque += reading.opaque;
    let base = kernel.and_then(|k| k.base.as_ref());
    Ok(Chain {
        name: Text::of(name),
        policy: builtin.map(|_| policy(base)),
        counters: builtin.map(|_| kernel.and_then(|k| k.counters).unwrap_or_default().into()),
        references: match builtin {
            Some(_) => None,
            None => Some(kernel.map_or(0, |k| k.uses).saturating_sub(reading.seen)),
        },
        handle: kernel.map(|k| k.handle),
        rules: reading.rules,
    })
}

fn policy(base: Option<&kernel::BaseChain>) -> Policy {
    match base {
        Some(base) if base.policy == NF_DROP.cast_unsigned() => Policy::Drop,
        _ => Policy::Accept,
    }
}

/// A chain half read.
struct Reading {
    reader: RuleReader,
    rules: Vec<Rule>,
    seen: u32,
    opaque: u32,
}

impl Reading {
    fn rule(&mut self, asked: &Asked<'_>, chain: &[u8], rule: &RuleMsg<'_>) {
        let (number, handle) = (Some(self.seen), Some(rule.handle));
        let with = |counters: Counters| Rule { number, handle, counters: Some(counters.into()), ..Rule::default() };
        let mut out = Out::new();
        match self.reader.raise(rule.table, rule.exprs, rule.userdata) {
            Raised::Rule(body, counters) => {
                let cx = PrintCx { family: asked.family, numeric: true, names: asked.names, protocol: None };
                out.str("-A");
                out.word(chain);
                body.save(&mut out, &cx, None);
                let parts = Parts::of(&body, asked.family, asked.names);
                self.rules.push(Rule { text: Some(Text::of(out.as_bytes())), parts, ..with(counters) });
            }
            Raised::Opaque(counters) => {
                self.opaque += 1;
                describe(asked.family, rule.exprs, rule.userdata, &mut out);
                self.rules.push(Rule { opaque: Some(Text::of(out.as_bytes())), ..with(counters) });
            }
        }
    }
}

fn foreign_chain(
    session: &mut Session,
    family: Family,
    table: &[u8],
    kernel: &kernel::Chain,
) -> Result<ForeignChain, Failure> {
    let mut rules = Vec::new();
    session.rules(family, table, &kernel.name, &mut |event| {
        match event {
            Event::Restart => rules.clear(),
            Event::Rule(rule) => {
                let mut out = Out::new();
                describe(family, rule.exprs, rule.userdata, &mut out);
                rules.push(Text::of(out.as_bytes()));
            }
        }
        ControlFlow::Continue(())
    })?;
    let base = kernel.base.as_ref();
    let hook = base.map_or(0, |b| b.hook);
    Ok(ForeignChain {
        name: Text::of(&kernel.name),
        kind: Text::of(base.map_or(&b""[..], |b| &b.ty)),
        hook: Hook::from_num(hook).map_or_else(|| hook.to_string(), |h| h.chain().to_lowercase()),
        priority: base.map_or(0, |b| b.priority),
        policy: policy(base),
        rules,
    })
}
