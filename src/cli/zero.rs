//! `-Z`: counters back to nought. A rule is sent again as the kernel gave it, with its counter changed and its userdata kept; a rule that
//! we cannot read exactly is left to the kernel's own reset, because sending it again might change it.

use super::failure::{BAD_RULE, Failure, NO_CHAIN};
use super::transaction::{Transaction, compat_of};
use crate::compile::raise::Raised;
use crate::kernel::{Event, OpKind, RulePlace};
use crate::types::Counters;
use crate::wire::consts::NFTA_EXPR_DATA;
use crate::wire::{Attrs, Expr};
use std::ops::ControlFlow;

impl Transaction<'_> {
    /// `-Z CHAIN [NUMBER]`; a number beyond the chain's end changes nothing.
    pub fn zero(&mut self, table: &[u8], name: &[u8], number: Option<u32>) -> Result<(), Failure> {
        self.pin()?;
        if !self.has_chain(table, name)? {
            return Err(if number.is_some() { BAD_RULE } else { NO_CHAIN });
        }
        if number.is_none() {
            self.zero_policy(table, name)?;
        }
        self.zero_rules(table, name, number)
    }

    /// `-Z`: every chain that is iptables' own. Returns them in listing order.
    pub fn zero_all(&mut self, table: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
        let mut zeroed = Vec::new();
        for name in self.own_chains(table)? {
            if self.has_chain(table, &name)? {
                self.zero_policy(table, &name)?;
                self.zero_rules(table, &name, None)?;
                zeroed.push(name);
            }
        }
        Ok(zeroed)
    }

    fn zero_policy(&mut self, table: &[u8], name: &[u8]) -> Result<(), Failure> {
        let (family, session) = (self.family, &mut *self.session);
        let builtin = self.view.chain(session, family, table, name)?.and_then(|c| c.builtin);
        if let Some(builtin) = builtin {
            self.batch.add_base_chain(table, builtin, None, Some(Counters::default()), OpKind::ChainZero);
        }
        Ok(())
    }

    fn zero_rules(&mut self, table: &[u8], name: &[u8], number: Option<u32>) -> Result<(), Failure> {
        let family = self.family;
        let (batch, raiser, resets) = (&mut self.batch, &mut self.raiser, &mut self.resets);
        let (batch_start, resets_start) = (batch.mark(), resets.len());
        let mut at = 0;
        self.session.rules(family, table, name, &mut |event| {
            let rule = match event {
                Event::Restart => {
                    batch.undo(batch_start);
                    resets.truncate(resets_start);
                    at = 0;
                    return ControlFlow::Continue(());
                }
                Event::Rule(rule) => rule,
            };
            at += 1;
            if number.is_some_and(|n| n != at) {
                return ControlFlow::Continue(());
            }
            match raiser.raise(rule.exprs, rule.userdata) {
                Raised::Rule(_, counters) if counters == Counters::default() && number.is_none() => {}
                Raised::Rule(body, _) => {
                    let exprs = without_counts(rule.exprs);
                    let place = RulePlace::Replace(rule.handle);
                    batch.raw_rule(table, name, place, Some(compat_of(&body)), rule.userdata, &exprs);
                }
                Raised::Opaque(_) => resets.push((table.to_vec(), name.to_vec(), rule.handle)),
            }
            if number.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(())
    }
}

/// The expressions with every counter at nought: the numbers are overwritten in place, all else is as it was.
fn without_counts(exprs: &[u8]) -> Vec<u8> {
    /// Bytes of an attribute's header.
    const HEADER: usize = 4;
    let mut bytes = exprs.to_vec();
    for elem in Attrs::new(exprs).flatten() {
        if !matches!(Expr::decode(&elem), Ok(Expr::Counter { .. })) {
            continue;
        }
        for data in elem.nested().flatten().filter(|a| a.ty == NFTA_EXPR_DATA) {
            for count in data.nested().flatten() {
                let from = elem.at + data.at + count.at + 3 * HEADER;
                if let Some(number) = bytes.get_mut(from..from + count.payload.len()) {
                    number.fill(0);
                }
            }
        }
    }
    bytes
}
