//! `-Z`: counters back to nought. A rule is sent again as the kernel gave it, with its counter changed and its userdata kept; a rule that
//! we cannot read exactly is left to the kernel's own reset, because sending it again might change it.

use super::failure::{BAD_RULE, Failure, NO_CHAIN};
use super::transaction::{Transaction, compat_of};
use super::view::SlotBody;
use crate::compile::raise::Raised;
use crate::ext::Body;
use crate::kernel::native::lower;
use crate::kernel::{Batch, Event, OpKind, RulePlace};
use crate::types::Counters;
use crate::wire::consts::NFTA_EXPR_DATA;
use crate::wire::msg::RuleMsg;
use crate::wire::{Attrs, Expr, Exprs};
use std::ops::ControlFlow;

impl Transaction<'_> {
    /// `-Z CHAIN [NUMBER]`; a number beyond the chain's end changes nothing.
    pub fn zero(&mut self, table: &[u8], name: &[u8], number: Option<u32>) -> Result<(), Failure> {
        self.pin()?;
        if !self.has_chain(table, name)? {
            if number.is_none() && self.make_listed(table, name) {
                return Ok(());
            }
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
            } else if self.make_listed(table, &name) {
                zeroed.push(name);
            }
        }
        Ok(zeroed)
    }

    /// Makes a built-in chain that is not there with its counters at nought, if this is beside a listing. The kernel refuses it if the
    /// table is missing.
    fn make_listed(&mut self, table: &[u8], name: &[u8]) -> bool {
        let Some(builtin) = self.builtin(table, name).filter(|_| self.listed) else { return false };
        self.batch.add_base_chain(table, builtin, None, Some(Counters::default()), OpKind::ChainZero);
        true
    }

    fn zero_policy(&mut self, table: &[u8], name: &[u8]) -> Result<(), Failure> {
        let (family, session) = (self.family, &mut *self.session);
        let builtin = self.view.chain(session, family, table, name)?.and_then(|c| c.builtin);
        if let Some(builtin) = builtin {
            self.batch.add_base_chain(table, builtin, None, Some(Counters::default()), OpKind::ChainZero);
            if let Some(chain) = self.chain(table, name)? {
                chain.counters = Some(Counters::default());
            }
        }
        Ok(())
    }

    fn zero_rules(&mut self, table: &[u8], name: &[u8], number: Option<u32>) -> Result<(), Failure> {
        if self.chain(table, name)?.is_some_and(|c| c.rules_known() || c.empty) {
            return self.zero_planned(table, name, number);
        }
        let family = self.family;
        let (batch, reader, resets) = (&mut self.batch, &mut self.reader, &mut self.resets);
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
            match reader.raise(table, rule.exprs, rule.userdata) {
                Raised::Rule(_, counters) if counters == Counters::default() && number.is_none() => {}
                Raised::Rule(body, _) if send_again(batch, table, name, rule, &body) => {}
                Raised::Rule(..) | Raised::Opaque(_) => resets.push((table.to_vec(), name.to_vec(), rule.handle)),
            }
            if number.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(())
    }
    /// The same for a chain that the batch has changed: rules of the batch are changed where they stand in it.
    fn zero_planned(&mut self, table: &[u8], name: &[u8], number: Option<u32>) -> Result<(), Failure> {
        let family = self.family;
        let Some(view) = self.view.chain(self.session, family, table, name)? else { return Ok(()) };
        let rules = view.rules(self.session, family)?;
        for (at, slot) in rules.slots.clone().iter().enumerate() {
            if number.is_some_and(|n| n as usize != at + 1) {
                continue;
            }
            match (&slot.body, slot.handle) {
                (SlotBody::Message(message), _) => {
                    if let Some(exprs) = self.batch.rules_mut(*message as usize) {
                        clear_counts(exprs);
                    }
                }
                (SlotBody::Arena(exprs, userdata), Some(handle)) => {
                    let userdata = Some(rules.bytes(userdata)).filter(|u| !u.is_empty()).map(<[u8]>::to_vec);
                    match self.reader.raise(table, rules.bytes(exprs), userdata.as_deref()) {
                        Raised::Rule(_, counters) if counters == Counters::default() && number.is_none() => {}
                        Raised::Rule(body, _) => {
                            let (exprs_now, userdata) = (rules.bytes(exprs).to_vec(), userdata.as_deref());
                            let rule =
                                RuleMsg { table, chain: name, handle, position: None, exprs: &exprs_now, userdata };
                            if send_again(&mut self.batch, table, name, &rule, &body) {
                                clear_counts(rules.bytes_mut(exprs));
                            } else {
                                self.resets.push((table.to_vec(), name.to_vec(), handle));
                            }
                        }
                        Raised::Opaque(_) => self.resets.push((table.to_vec(), name.to_vec(), handle)),
                    }
                }
                (SlotBody::Arena(..), None) => {}
            }
        }
        Ok(())
    }
}

/// Sends a rule again with its counters at nought. One that looks into sets brings new ones, because an anonymous set belongs to one rule;
/// false if that cannot be done.
fn send_again(batch: &mut Batch, table: &[u8], chain: &[u8], rule: &RuleMsg<'_>, body: &Body) -> bool {
    let (place, compat) = (RulePlace::Replace(rule.handle), Some(compat_of(body)));
    if Exprs::new(rule.exprs).flatten().any(|e| matches!(e, Expr::Other { name: b"lookup", .. })) {
        let lowered = lower(body, batch.family(), table, Counters::default(), batch.next_set());
        return lowered.inspect(|l| batch.native_rule(table, chain, place, compat, l)).is_some();
    }
    let mut exprs = rule.exprs.to_vec();
    clear_counts(&mut exprs);
    batch.raw_rule(table, chain, place, compat, rule.userdata, &exprs);
    true
}

/// Puts every counter among the expressions to nought: the numbers are overwritten in place, all else is as it was.
fn clear_counts(exprs: &mut [u8]) {
    /// Bytes of an attribute's header.
    const HEADER: usize = 4;
    let mut numbers = Vec::new();
    for elem in Attrs::new(exprs).flatten() {
        if !matches!(Expr::decode(&elem), Ok(Expr::Counter { .. })) {
            continue;
        }
        for data in elem.nested().flatten().filter(|a| a.ty == NFTA_EXPR_DATA) {
            for count in data.nested().flatten() {
                let from = elem.at + data.at + count.at + 3 * HEADER;
                numbers.push(from..from + count.payload.len());
            }
        }
    }
    for number in numbers {
        if let Some(number) = exprs.get_mut(number) {
            number.fill(0);
        }
    }
}
