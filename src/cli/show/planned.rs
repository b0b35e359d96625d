//! `-L` and `-S` inside a restore file: the ruleset as the lines before them make it, though nothing is committed yet.

use super::{Form, Lines, Listed, Request, declaration, header, incompatible};
use crate::cli::failure::Failure;
use crate::cli::transaction::Transaction;
use crate::compile::raise::Raised;
use crate::kernel;
use crate::model::builtin::{BuiltinChain, builtins};
use crate::types::Out;
use std::collections::BTreeMap;

/// Shows a table or a part of it with what the batch does.
pub fn show_planned(
    tx: &mut Transaction<'_>,
    request: &Request<'_>,
    form: Form<'_>,
    out: &mut Out,
) -> Result<(), Failure> {
    let builtin = |name: &[u8]| builtins(request.family, request.table)?.iter().find(|b| b.name == name);
    let names = match request.chain {
        Some(name) if builtin(name).is_none() && !tx.has_chain(request.table, name)? => {
            return Err(incompatible(name, request.table));
        }
        Some(name) => vec![name.to_vec()],
        None => tx.own_chains(request.table)?,
    };
    let chains: Vec<_> =
        names.iter().map(|name| chain(tx, request.table, name, builtin(name))).collect::<Result<_, Failure>>()?;
    let listed = |i: usize| {
        let name = names.get(i).map_or(&b""[..], Vec::as_slice);
        Listed { name, builtin: builtin(name), kernel: chains.get(i).and_then(Option::as_ref) }
    };
    if let (Form::Rules(counters), None | Some(0)) = (form, request.number) {
        (0..names.len()).for_each(|i| declaration(&listed(i), counters, out));
    }
    let references = match form {
        Form::List(_) => references(tx, request)?,
        Form::Rules(_) | Form::Save(_) => BTreeMap::new(),
    };
    for i in 0..names.len() {
        let l = listed(i);
        let (mut all, mut text) = (0, Lines::new(request.family));
        tx.each_rule(request.table, l.name, |rule| {
            all += 1;
            if request.number.is_none_or(|n| n == all) {
                text.rules = all - 1;
                text.rule(l.name, rule, request.family, request.names, form);
            }
        })?;
        if let (Form::List(style), None) = (form, request.number) {
            out.str(if i == 0 { "" } else { "\n" });
            header(&l, references.get(l.name).copied().unwrap_or_default(), &style, out);
        }
        out.bytes(text.lines.as_bytes());
    }
    Ok(())
}

/// How many rules lead to each chain.
fn references(tx: &mut Transaction<'_>, request: &Request<'_>) -> Result<BTreeMap<Vec<u8>, u32>, Failure> {
    let mut counts = BTreeMap::new();
    let mut reader = kernel::RuleReader::new(request.family);
    for chain in tx.own_chains(request.table)? {
        tx.each_rule(request.table, &chain, |rule| {
            if let Raised::Rule(body, _) = reader.raise(rule.table, rule.exprs, rule.userdata)
                && let Some(to) = body.action.chain()
            {
                *counts.entry(to.to_vec()).or_default() += 1;
            }
        })?;
    }
    Ok(counts)
}

/// A chain as the kernel would give it.
fn chain(
    tx: &mut Transaction<'_>,
    table: &[u8],
    name: &[u8],
    builtin: Option<&BuiltinChain>,
) -> Result<Option<kernel::Chain>, Failure> {
    if !tx.has_chain(table, name)? {
        return Ok(None);
    }
    let Some(view) = tx.chain(table, name)? else { return Ok(None) };
    let base = builtin.zip(view.policy).map(|(b, policy)| kernel::BaseChain {
        hook: b.hook.num(),
        priority: b.priority,
        ty: b.ty.to_vec(),
        policy,
    });
    Ok(Some(kernel::Chain {
        table: table.to_vec(),
        name: name.to_vec(),
        handle: 0,
        base,
        counters: view.counters,
        uses: 0,
    }))
}
