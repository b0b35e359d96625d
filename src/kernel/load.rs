//! Reads the built-in tables of a family from the kernel into a [`Ruleset`].

use std::ops::ControlFlow;

use super::native::has_text;
use super::{Chain as KernelChain, Error, Event, RuleReader, Session};
use crate::compile::Raised;
use crate::model::{Chain, Policy, Rule, Ruleset, TABLES, Table, builtins};
use crate::types::{Counters, Family};
use crate::wire::consts::NF_DROP;

/// Reads all built-in tables that are there, with their counters. A rule that is not understood is kept as one without a body;
/// base chains that are not iptables' own are left out, as are foreign tables.
///
/// # Errors
/// Those of the dumps. If somebody changes the ruleset meanwhile, it is read again.
pub fn ruleset(session: &mut Session, family: Family) -> Result<Ruleset, Error> {
    loop {
        let before = session.generation()?;
        let chains = session.chains(family, None)?;
        let mut tables = Vec::new();
        for name in TABLES {
            let own: Vec<&KernelChain> = chains.iter().filter(|chain| chain.table == name).collect();
            if !own.is_empty() {
                tables.push(table(session, family, name, &own)?);
            }
        }
        if session.generation()? == before {
            return Ok(Ruleset { family, tables });
        }
    }
}

fn table(session: &mut Session, family: Family, name: &[u8], chains: &[&KernelChain]) -> Result<Table, Error> {
    let known = builtins(family, name).unwrap_or_default();
    let mut table = Table::new(name);
    for chain in chains {
        let policy = match &chain.base {
            None => None,
            Some(base) if known.iter().any(|k| k.is(&chain.name, base.hook, base.priority, &base.ty)) => {
                Some(if base.policy == NF_DROP.cast_unsigned() { Policy::Drop } else { Policy::Accept })
            }
            Some(_) => continue,
        };
        let rules = rules(session, family, name, &chain.name)?;
        table.add(Chain { name: chain.name.clone(), policy, counters: chain.counters.unwrap_or_default(), rules });
    }
    Ok(table)
}

fn rules(session: &mut Session, family: Family, table: &[u8], chain: &[u8]) -> Result<Vec<Rule>, Error> {
    let mut reader = RuleReader::new(family);
    let (mut rules, mut native) = (Vec::new(), Vec::new());
    session.rules(family, table, chain, &mut |event| {
        match event {
            Event::Restart => (rules, native) = (Vec::new(), Vec::new()),
            Event::Rule(rule) if has_text(rule.userdata) => {
                native.push((rules.len(), rule.exprs.to_vec(), rule.userdata.map(<[u8]>::to_vec)));
                rules.push(Rule { body: None, counters: Counters::default(), handle: rule.handle, opaque: Vec::new() });
            }
            Event::Rule(rule) => {
                let raised = reader.raise(table, rule.exprs, rule.userdata);
                rules.push(read(raised, rule.handle, rule.exprs, rule.userdata));
            }
        }
        ControlFlow::Continue(())
    })?;
    // These may need sets, for which the session must be free; it may be of another namespace than this thread.
    for (at, exprs, userdata) in native {
        let raised = reader.raise_beside(session, table, &exprs, userdata.as_deref());
        if let Some(rule) = rules.get_mut(at) {
            *rule = read(raised, rule.handle, &exprs, userdata.as_deref());
        }
    }
    Ok(rules)
}

fn read(raised: Raised, handle: u64, exprs: &[u8], userdata: Option<&[u8]>) -> Rule {
    match raised {
        Raised::Rule(body, counters) => Rule { body: Some(body), counters, handle, opaque: Vec::new() },
        Raised::Opaque(counters) => {
            let opaque = [exprs, userdata.unwrap_or_default()].concat();
            Rule { body: None, counters, handle, opaque }
        }
    }
}
