//! `-vv`: the rules that a command reads and what it then asks of the kernel, as libnftnl words them.
//!
//! Stock reads the built-in chains of the table with every command that needs rules, and the chain that is named; so this reads them too,
//! though the command itself may need less. Source: measured.

use super::failure::Failure;
use crate::compile::debug;
use crate::kernel::{self, Batch, Event, OpKind, Session, What};
use crate::model::builtin::builtins;
use crate::text::CommandKind;
use crate::types::{Family, Out};
use crate::wire::consts::{NFT_MSG_DELCHAIN, NFT_MSG_DELRULE};
use crate::wire::msg::{ChainMsg, RuleMsg};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What the kernel had before a command.
pub struct Debugged {
    chains: Vec<kernel::Chain>,
    /// The rules as they are printed, by handle.
    rules: BTreeMap<u64, Vec<u8>>,
}

impl Debugged {
    /// Reads a table for a command, and prints the rules if the command is one that reads them.
    pub fn read(
        session: &mut Session,
        family: Family,
        table: &[u8],
        kind: &CommandKind,
        out: &mut Out,
    ) -> Result<Self, Failure> {
        let mut read = Self { chains: session.chains(family, Some(table))?, rules: BTreeMap::new() };
        let Some(named) = reads_rules(kind) else { return Ok(read) };
        let own = builtins(family, table).unwrap_or_default();
        let is_builtin = |name: &[u8]| own.iter().any(|b| b.name == name);
        let known = |name: &&[u8]| read.chains.iter().any(|c| c.name == *name);
        let mut names: Vec<Vec<u8>> = own.iter().map(|b| b.name).filter(known).map(<[u8]>::to_vec).collect();
        let users = read.chains.iter().map(|c| &c.name).filter(|name| !is_builtin(name));
        names.extend(users.filter(|name| named.is_none_or(|only| only == name.as_slice())).cloned());
        for name in names {
            let start = out.len();
            session.rules(family, table, &name, &mut |event| {
                match event {
                    Event::Rule(rule) => {
                        let from = out.len();
                        debug::rule(family, rule, out);
                        read.rules.insert(rule.handle, out.as_bytes().get(from..).unwrap_or_default().to_vec());
                    }
                    Event::Restart => out.truncate(start),
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(read)
    }

    /// Prints a batch.
    pub fn batch(&self, batch: &Batch, out: &mut Out) {
        for i in 0..batch.len() {
            let (Some(message), Some(op)) = (batch.message(i), batch.op(i)) else { continue };
            let attrs = message.nfgen().map(|(_, attrs)| attrs).unwrap_or_default();
            let ty = message.ty & 0xff;
            let chain = match &op.what {
                What::Chain(name) if ty == NFT_MSG_DELCHAIN || op.kind == OpKind::ChainZero => {
                    self.chains.iter().find(|c| c.name == *name)
                }
                _ => None,
            };
            let deleted = match RuleMsg::decode_request(attrs) {
                Ok(rule) if ty == NFT_MSG_DELRULE => self.rules.get(&rule.handle),
                _ => None,
            };
            // A policy of a chain that is not there: stock makes the chain first.
            if let (OpKind::ChainAdd, Ok(made)) = (op.kind, ChainMsg::decode(attrs))
                && made.counters.is_some()
            {
                let plain = ChainMsg { policy: None, counters: None, ..made };
                debug::chain(batch.family(), plain.into(), out);
            }
            match (chain, deleted) {
                (Some(chain), _) => debug::chain(batch.family(), chain_of(chain), out),
                (_, Some(rule)) => out.bytes(rule),
                _ => {
                    if let Err(e) = debug::message(&message, out) {
                        writeln!(out, "{e}");
                    }
                }
            }
        }
    }
}

/// A chain of the kernel's; its counters are at nought when it is printed.
fn chain_of(chain: &kernel::Chain) -> debug::Chain<'_> {
    debug::Chain {
        table: &chain.table,
        name: &chain.name,
        uses: chain.uses,
        base: chain.base.as_ref().map(|b| (b.ty.as_slice(), b.hook, b.priority, b.policy)),
        counters: (0, 0),
        flags: u32::from(chain.base.is_some()),
    }
}

/// The chain whose rules a command reads beside those of the built-in chains; all, if it names none.
fn reads_rules(kind: &CommandKind) -> Option<Option<&[u8]>> {
    match kind {
        CommandKind::Check { chain }
        | CommandKind::Delete { chain }
        | CommandKind::DeleteNumber { chain, .. }
        | CommandKind::Replace { chain, .. } => Some(Some(chain)),
        CommandKind::Insert { chain, number } if *number > 1 => Some(Some(chain)),
        CommandKind::Zero { chain, .. } | CommandKind::List { chain, .. } | CommandKind::ListRules { chain, .. } => {
            Some(chain.as_deref())
        }
        CommandKind::DeleteChain { chain: None } => Some(None),
        _ => None,
    }
}
