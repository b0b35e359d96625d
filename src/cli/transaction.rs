//! Commands become one batch: each is checked against the ruleset as it would be then, and nothing is sent until all are understood.
//!
//! Never prints, never commits by itself. Positions depend on what was read, so such a batch carries the generation that was read under.

use super::failure::{BAD_RULE, Failure, NO_CHAIN};
use super::view::{ChainView, Rules, Slot, SlotBody, View};
use super::writing::Writing;
use crate::compile::raise::Raised;
use crate::ext::{Action, Body};
use crate::kernel::native::{is_taken, lower};
use crate::kernel::{Batch, Event, OpKind, RulePlace, RuleReader, Session};
use crate::model::builtin::{BuiltinChain, builtins};
use crate::text::RuleSpec;
use crate::text::command::check_new_chain;
use crate::types::{Counters, Family};
use crate::wire::consts::{NF_ACCEPT, NF_DROP, NFT_RULE_COMPAT_F_INV, NFT_SET_ANONYMOUS};
use crate::wire::msg::RuleMsg;
use std::ops::ControlFlow;

/// A batch in the making.
pub struct Transaction<'s> {
    /// The kernel.
    pub session: &'s mut Session,
    /// The family of all commands.
    pub family: Family,
    /// What is to be sent.
    pub batch: Batch,
    /// The ruleset with what the batch does.
    pub view: View,
    /// The generation under which the ruleset was read; `None` if nothing in the batch depends on it.
    pub generation: Option<u32>,
    /// Turns the kernel's rules into ours.
    pub(super) reader: RuleReader,
    /// In which expressions rules are written.
    writing: Writing,
    /// Rules (table, chain, handle) whose counters the kernel itself must reset after the batch.
    pub(super) resets: Vec<(Vec<u8>, Vec<u8>, u64)>,
    /// It is for one rule: nothing that follows asks for the rules as they are then, so no more of them is read than is needed.
    pub once: bool,
    /// It is a `-Z` beside `-L` or `-S`, which makes the built-in chains that are not there, as stock does.
    pub listed: bool,
    /// Rules get ids, so that later commands can refer to them.
    ids: bool,
    next_id: u32,
}

impl<'s> Transaction<'s> {
    /// An empty transaction; `ids` if an attempt without has ended in [`Failure::NeedIds`].
    pub fn new(session: &'s mut Session, family: Family, ids: bool, writing: Writing) -> Self {
        Self {
            session,
            family,
            batch: Batch::new(family),
            view: View::default(),
            generation: None,
            reader: RuleReader::new(family),
            writing,
            resets: Vec::new(),
            once: false,
            listed: false,
            ids,
            next_id: 0,
        }
    }

    /// Ties the batch to the ruleset as it is now, before something is read that it will depend on.
    pub fn pin(&mut self) -> Result<(), Failure> {
        if self.generation.is_none() {
            self.generation = Some(self.session.generation()?);
        }
        Ok(())
    }

    /// Sends the batch.
    pub fn commit(self) -> Result<(), Failure> {
        if !self.batch.is_empty() {
            self.session.commit(&self.batch, self.generation)?;
        }
        for (table, chain, handle) in &self.resets {
            self.session.reset_rule(self.family, table, chain, *handle)?;
        }
        Ok(())
    }

    /// A chain of that name, whatever it is.
    pub(super) fn chain(&mut self, table: &[u8], name: &[u8]) -> Result<Option<&mut ChainView>, Failure> {
        Ok(self.view.chain(self.session, self.family, table, name)?)
    }

    pub(super) fn builtin(&self, table: &[u8], name: &[u8]) -> Option<&'static BuiltinChain> {
        builtins(self.family, table)?.iter().find(|b| b.name == name)
    }

    /// Whether a chain of this name is there for a command: a user chain or a built-in one that the kernel has.
    pub fn has_chain(&mut self, table: &[u8], name: &[u8]) -> Result<bool, Failure> {
        let builtin = self.builtin(table, name).is_some();
        Ok(self.chain(table, name)?.is_some_and(|c| !c.is_foreign() && c.builtin.is_some() == builtin))
    }

    /// Makes the table exist.
    fn need_table(&mut self, table: &[u8]) -> Result<(), Failure> {
        if !self.view.table_exists(self.session, self.family, table)? {
            self.batch.add_table(table);
            self.view.table(table).exists = Some(true);
        }
        Ok(())
    }

    /// Makes a built-in chain exist, or says whether a user chain does. A chain of a built-in name with another hook, priority or type is
    /// not what is meant; creating the right one beside it is refused by the kernel, as it is for stock.
    fn need_chain(&mut self, table: &[u8], name: &[u8]) -> Result<bool, Failure> {
        if self.has_chain(table, name)? {
            return Ok(true);
        }
        let Some(builtin) = self.builtin(table, name) else { return Ok(false) };
        if self.generation.is_none() {
            // The message that makes a chain would reset the policy of one that another program makes meanwhile: look again, tied to a
            // generation.
            debug_assert!(self.batch.is_empty(), "a transaction of several commands is pinned from its start");
            self.pin()?;
            self.view = View::default();
            if self.has_chain(table, name)? {
                return Ok(true);
            }
        }
        self.need_table(table)?;
        self.batch.add_base_chain(table, builtin, Some(NF_ACCEPT.cast_unsigned()), None, OpKind::ChainAdd);
        self.view.table(table).add(name, ChainView::new(Some(builtin)));
        Ok(true)
    }

    /// `-j CHAIN`: the chain must exist.
    fn check_jump(&mut self, table: &[u8], action: &Action) -> Result<(), Failure> {
        let Some(to) = action.chain() else { return Ok(()) };
        let to_builtin = self.builtin(table, to).is_some();
        if to_builtin || self.chain(table, to)?.is_some() {
            return Ok(());
        }
        let text = [b"Chain '", to, b"' does not exist"].concat();
        let advice = format!(
            "there is no target and no chain of that name in table {}; -N makes a chain",
            String::from_utf8_lossy(table)
        );
        Err(crate::text::Error::usage(text).advise(advice).into())
    }

    /// Writes one rule.
    fn write_rule(&mut self, table: &[u8], chain: &[u8], place: RulePlace, body: &Body, counters: Counters) -> Slot {
        if self.ids {
            self.next_id += 1;
            self.batch.set_rule_id(self.next_id);
        }
        let compat = compat_of(body);
        let family = self.family;
        let hook = self.builtin(table, chain).map(|b| b.hook);
        let taken = |body: &Body| is_taken(body, family, table, hook.as_slice());
        let lowered = if self.writing.natively_at(body, self.batch.line()) && taken(body) {
            let body = self.reader.canonical(body);
            lower(&body, family, table, counters, self.batch.next_set())
        } else {
            None
        };
        match lowered {
            Some(rule) => self.batch.native_rule(table, chain, place, Some(compat), &rule),
            None => self.batch.rule(table, chain, place, Some(compat), None, |x| {
                body.encode(family, counters.packets, counters.bytes, x);
            }),
        }
        let message = u32::try_from(self.batch.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let handle = if let RulePlace::Replace(handle) = place { Some(handle) } else { None };
        Slot {
            handle,
            id: if self.ids && handle.is_none() { self.next_id } else { 0 },
            body: SlotBody::Message(message),
        }
    }

    /// `-A`.
    pub fn append(&mut self, table: &[u8], chain: &[u8], spec: &mut RuleSpec) -> Result<(), Failure> {
        self.check_jump(table, &spec.body.action)?;
        if !self.need_chain(table, chain)? {
            return Err(NO_CHAIN);
        }
        let counters = spec.counters;
        spec.for_each(|body| {
            let slot = self.write_rule(table, chain, RulePlace::Append, body, counters);
            if let Some(view) = self.chain(table, chain)? {
                view.append(slot);
            }
            Ok(())
        })
    }

    /// `-I`, before the rule of this number (from 1).
    pub fn insert(&mut self, table: &[u8], chain: &[u8], number: u32, spec: &mut RuleSpec) -> Result<(), Failure> {
        self.check_jump(table, &spec.body.action)?;
        if !self.need_chain(table, chain)? {
            return Err(NO_CHAIN);
        }
        let counters = spec.counters;
        spec.for_each(|body| {
            if number == 1 {
                let slot = self.write_rule(table, chain, RulePlace::First, body, counters);
                if let Some(view) = self.chain(table, chain)? {
                    view.prepend(slot);
                }
                return Ok(());
            }
            let at = number as usize - 1;
            let (place, len) = self.place(table, chain, at)?;
            let Some(place) = place else {
                if at != len {
                    return Err(Failure::Object("Index of insertion too big"));
                }
                let slot = self.write_rule(table, chain, RulePlace::Append, body, counters);
                if let Some(view) = self.chain(table, chain)? {
                    view.append(slot);
                }
                return Ok(());
            };
            let place = match (place.handle, place.id) {
                (Some(handle), _) => RulePlace::Before(handle),
                (None, 0) => return Err(Failure::NeedIds),
                (None, id) => RulePlace::BeforeId(id),
            };
            let slot = self.write_rule(table, chain, place, body, counters);
            self.edit(table, chain, |slots| slots.insert(at.min(slots.len()), slot))
        })
    }

    /// `-R`.
    pub fn replace(&mut self, table: &[u8], chain: &[u8], number: u32, spec: &mut RuleSpec) -> Result<(), Failure> {
        self.check_jump(table, &spec.body.action)?;
        if !self.has_chain(table, chain)? {
            return Err(NO_CHAIN);
        }
        let at = number as usize - 1;
        let (Some(old), _) = self.place(table, chain, at)? else {
            return Err(Failure::Object("Index of replacement too big"));
        };
        let counters = spec.counters;
        spec.for_each(|body| {
            let slot = match (old.handle, old.id) {
                (Some(handle), _) => self.write_rule(table, chain, RulePlace::Replace(handle), body, counters),
                (None, 0) => return Err(Failure::NeedIds),
                (None, id) => {
                    let slot = self.write_rule(table, chain, RulePlace::BeforeId(id), body, counters);
                    self.batch.delete_rule_id(table, chain, id);
                    slot
                }
            };
            self.edit(table, chain, |slots| {
                if let Some(place) = slots.get_mut(at) {
                    *place = slot;
                }
            })
        })
    }

    /// `-D` by number.
    pub fn delete_number(&mut self, table: &[u8], chain: &[u8], number: u32) -> Result<(), Failure> {
        if !self.has_chain(table, chain)? {
            return Err(NO_CHAIN);
        }
        let at = number as usize - 1;
        let (Some(slot), _) = self.place(table, chain, at)? else {
            return Err(Failure::Object("Index of deletion too big"));
        };
        self.delete_slot(table, chain, &slot, at)
    }

    /// `-D` by rule: every combination of addresses, or none.
    pub fn delete(&mut self, table: &[u8], chain: &[u8], spec: &mut RuleSpec) -> Result<(), Failure> {
        self.check_jump(table, &spec.body.action)?;
        if !self.has_chain(table, chain)? {
            return Err(BAD_RULE);
        }
        spec.for_each(|body| {
            let (at, slot) = self.find(table, chain, body)?.ok_or(BAD_RULE)?;
            self.delete_slot(table, chain, &slot, at)
        })
    }

    /// `-C`.
    pub fn check(&mut self, table: &[u8], chain: &[u8], spec: &mut RuleSpec) -> Result<(), Failure> {
        self.check_jump(table, &spec.body.action)?;
        if !self.has_chain(table, chain)? {
            return Err(BAD_RULE);
        }
        spec.for_each(|body| self.find(table, chain, body)?.map(|_| ()).ok_or(BAD_RULE))
    }

    /// Appends, or inserts before the rule of this number (from 1), each rule that the chain does not have; says whether any came.
    pub fn ensure(
        &mut self,
        table: &[u8],
        chain: &[u8],
        number: Option<u32>,
        spec: &mut RuleSpec,
    ) -> Result<bool, Failure> {
        let (counters, mut came) = (spec.counters, false);
        spec.for_each(|body| {
            if self.find(table, chain, body)?.is_some() {
                return Ok(());
            }
            came = true;
            let mut one = RuleSpec::of(body, counters);
            match number {
                Some(number) => self.insert(table, chain, number, &mut one),
                None => self.append(table, chain, &mut one),
            }
        })?;
        Ok(came)
    }

    /// Deletes each rule as often as the chain has it; says whether any went.
    pub fn ensure_absent(&mut self, table: &[u8], chain: &[u8], spec: &mut RuleSpec) -> Result<bool, Failure> {
        let mut went = false;
        spec.for_each(|body| {
            while let Some((at, slot)) = self.find(table, chain, body)? {
                went = true;
                self.delete_slot(table, chain, &slot, at)?;
            }
            Ok::<(), Failure>(())
        })?;
        Ok(went)
    }

    fn delete_slot(&mut self, table: &[u8], chain: &[u8], slot: &Slot, at: usize) -> Result<(), Failure> {
        match (slot.handle, slot.id) {
            (Some(handle), _) => self.batch.delete_rule(table, chain, handle),
            (None, 0) => return Err(Failure::NeedIds),
            (None, id) => self.batch.delete_rule_id(table, chain, id),
        }
        // The next command of this batch must not find it again.
        self.edit(table, chain, |slots| {
            if at < slots.len() {
                slots.remove(at);
            }
        })
    }

    /// Changes the known rules of a chain, for the commands that follow.
    fn edit(&mut self, table: &[u8], chain: &[u8], change: impl FnOnce(&mut Vec<Slot>)) -> Result<(), Failure> {
        if self.once {
            return Ok(());
        }
        let (family, session) = (self.family, &mut *self.session);
        if let Some(view) = self.view.chain(session, family, table, chain)? {
            change(&mut view.rules(session, family)?.slots);
        }
        Ok(())
    }

    /// The rule at a place (from 0), and how many rules the chain has.
    fn place(&mut self, table: &[u8], chain: &[u8], at: usize) -> Result<(Option<Slot>, usize), Failure> {
        self.pin()?;
        let (family, session) = (self.family, &mut *self.session);
        match self.view.chain(session, family, table, chain)? {
            Some(view) if self.once && !view.rules_known() && !view.empty => {
                let mut number = 0;
                let found = first_in_kernel(session, family, table, chain, |_| {
                    number += 1;
                    number > at
                })?;
                let len = found.as_ref().map_or(number, |(before, _)| before + 1);
                Ok((found.map(|(_, slot)| slot), len))
            }
            Some(view) => {
                let slots = &view.rules(session, family)?.slots;
                Ok((slots.get(at).cloned(), slots.len()))
            }
            None => Ok((None, 0)),
        }
    }

    /// Whether a chain has rules, with what the batch does.
    pub fn has_rules(&mut self, table: &[u8], chain: &[u8]) -> Result<bool, Failure> {
        Ok(self.place(table, chain, 0)?.0.is_some())
    }

    /// Calls `each` with every rule of a chain, as it is with what the batch does; a rule of the batch has no handle.
    pub fn each_rule(&mut self, table: &[u8], chain: &[u8], mut each: impl FnMut(&RuleMsg<'_>)) -> Result<(), Failure> {
        self.pin()?;
        let (family, session) = (self.family, &mut *self.session);
        if let Some(view) = self.view.chain(session, family, table, chain)?
            && !view.is_foreign()
        {
            let rules = view.rules(session, family)?;
            for slot in &rules.slots {
                let (exprs, userdata) = expressions(slot, rules, &self.batch);
                each(&RuleMsg { table, chain, handle: slot.handle.unwrap_or(0), position: None, exprs, userdata });
            }
        }
        Ok(())
    }

    /// The first rule of a chain that is equal to `body`.
    fn find(&mut self, table: &[u8], chain: &[u8], body: &Body) -> Result<Option<(usize, Slot)>, Failure> {
        self.pin()?;
        let wanted = self.reader.canonical(body);
        let (family, session) = (self.family, &mut *self.session);
        let Some(view) = self.view.chain(session, family, table, chain)? else { return Ok(None) };
        if self.once && !view.rules_known() && !view.empty {
            let reader = &mut self.reader;
            return first_in_kernel(
                session,
                family,
                table,
                chain,
                |rule| matches!(reader.raise(table, rule.exprs, rule.userdata), Raised::Rule(body, _) if body == wanted),
            );
        }
        let rules = view.rules(session, family)?;
        for (at, slot) in rules.slots.iter().enumerate() {
            let (exprs, userdata) = expressions(slot, rules, &self.batch);
            let raised = self.reader.raise(table, exprs, userdata);
            if matches!(raised, Raised::Rule(body, _) if body == wanted) {
                return Ok(Some((at, slot.clone())));
            }
        }
        Ok(None)
    }

    /// `-N`.
    pub fn new_chain(&mut self, table: &[u8], name: &[u8]) -> Result<(), Failure> {
        self.pin()?;
        if self.builtin(table, name).is_some() || self.chain(table, name)?.is_some() {
            return Err(Failure::Object("Chain already exists"));
        }
        self.need_table(table)?;
        self.batch.add_chain(table, name, true);
        self.view.table(table).add(name, ChainView::new(None));
        Ok(())
    }

    /// `-X CHAIN`.
    pub fn delete_chain(&mut self, table: &[u8], name: &[u8]) -> Result<(), Failure> {
        if !self.has_chain(table, name)? {
            return Err(NO_CHAIN);
        }
        self.batch.delete_chain(table, name);
        self.view.table(table).remove(name);
        Ok(())
    }

    /// `-X`: every user chain, and the built-in ones that are empty and accept. Returns the names of the user chains.
    pub fn delete_chains(&mut self, table: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
        self.pin()?;
        let accept = NF_ACCEPT.cast_unsigned();
        let view = self.view.complete(self.session, self.family, table)?;
        // Stock asks for the kernel's policy alone, and so drops `-P INPUT DROP` before `-F` and `-X` in one file.
        let idle = |c: &ChainView| {
            let before = c.kernel.as_ref().and_then(|k| k.base.as_ref()).is_none_or(|b| b.policy == accept);
            c.builtin.is_some() && before && c.policy == Some(accept) && c.is_empty()
        };
        let user = |c: &ChainView| c.builtin.is_none() && !c.is_foreign();
        let users: Vec<Vec<u8>> = view.chains().filter(|(_, c)| user(c)).map(|(n, _)| n.clone()).collect();
        // The first refusal is the one that is told: stock deletes in the order in which the chains were made.
        let mut by_age: Vec<(u64, Vec<u8>)> = view
            .chains()
            .filter(|(_, c)| user(c))
            .map(|(n, c)| (c.kernel.as_ref().map_or(u64::MAX, |k| k.handle), n.clone()))
            .collect();
        by_age.sort();
        let mut idle: Vec<(u32, Vec<u8>)> = view
            .chains()
            .filter(|(_, c)| idle(c))
            .map(|(n, c)| (c.builtin.map_or(0, |b| b.hook.num()), n.clone()))
            .collect();
        idle.sort();
        for name in idle.iter().map(|(_, name)| name).chain(by_age.iter().map(|(_, name)| name)) {
            self.batch.delete_chain(table, name);
            self.view.table(table).remove(name);
        }
        Ok(users)
    }

    /// `-E`. Built-in chains cannot be renamed (stock 1.8.9 lets one be renamed and then no longer shows its rules).
    pub fn rename_chain(&mut self, table: &[u8], name: &[u8], new: &[u8]) -> Result<(), Failure> {
        self.pin()?;
        if self.builtin(table, new).is_some() || self.chain(table, new)?.is_some() {
            return Err(Failure::Object("File exists"));
        }
        if !self.has_chain(table, name)? || self.builtin(table, name).is_some() {
            return Err(NO_CHAIN);
        }
        check_new_chain(new, self.family)?;
        let handle = self.chain(table, name)?.and_then(|c| c.kernel.as_ref()).map(|k| k.handle);
        let Some(handle) = handle else {
            // The kernel could rename it only by a handle that it has not given yet; stock asks for handle 0.
            return Err(Failure::Refused {
                refusals: vec![self.batch.refused(OpKind::ChainRename, new)],
                missing: Vec::new(),
            });
        };
        // Nothing else of this batch finds the chain under its new name, and everything still does under the old one.
        self.batch.rename_chain(table, handle, new);
        Ok(())
    }

    /// `-F CHAIN`; a built-in chain that the kernel does not have is made, as stock does.
    pub fn flush(&mut self, table: &[u8], name: &[u8]) -> Result<(), Failure> {
        if !self.need_chain(table, name)? {
            return Err(NO_CHAIN);
        }
        self.batch.flush_chain(table, name, OpKind::RuleFlush);
        if let Some(view) = self.chain(table, name)? {
            view.flush();
        }
        Ok(())
    }

    /// `-F`: every chain that is iptables' own, and no other (stock empties foreign base chains too). Returns the chains in listing order.
    pub fn flush_all(&mut self, table: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
        let names = self.own_chains(table)?;
        for name in &names {
            if self.has_chain(table, name)? {
                self.flush(table, name)?;
            }
        }
        Ok(names)
    }

    /// The built-in chains of a table in hook order, present or not, and the user chains by name.
    pub fn own_chains(&mut self, table: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
        self.pin()?;
        let builtins = builtins(self.family, table).unwrap_or_default();
        let mut names: Vec<Vec<u8>> = builtins.iter().map(|b| b.name.to_vec()).collect();
        let view = self.view.complete(self.session, self.family, table)?;
        let users = view.chains().filter(|(_, c)| c.builtin.is_none() && !c.is_foreign());
        names.extend(users.map(|(name, _)| name.clone()).filter(|n| !builtins.iter().any(|b| b.name == n.as_slice())));
        Ok(names)
    }

    /// Empties a table for a restore. A table in which everything is iptables' own is deleted, so that only what the file names is made
    /// again; where another program keeps sets or base chains in it, only iptables' chains go.
    pub fn clear_table(&mut self, table: &[u8]) -> Result<(), Failure> {
        if self.view.table(table).exists == Some(false) {
            return Ok(());
        }
        self.pin()?;
        if !self.is_shared(table)? {
            if self.view.table_exists(self.session, self.family, table)? {
                self.batch.delete_table(table);
            }
            self.view.table(table).clear();
            return Ok(());
        }
        let view = self.view.complete(self.session, self.family, table)?;
        let mut own: Vec<Vec<u8>> = view.chains().filter(|(_, c)| !c.is_foreign()).map(|(n, _)| n.clone()).collect();
        // Rules first, so that no jump keeps a chain; the anonymous sets of a rule go with it.
        for name in &own {
            self.batch.flush_chain(table, name, OpKind::RuleFlush);
        }
        own.retain(|name| !self.jumped_to_by_others(table, name));
        for name in &own {
            self.batch.delete_chain(table, name);
            self.view.table(table).remove(name);
        }
        Ok(())
    }

    /// Whether another program keeps something in the table: the kernel counts more in it than iptables' chains.
    fn is_shared(&mut self, table: &[u8]) -> Result<bool, Failure> {
        if let Some(shared) = self.view.table(table).shared {
            return Ok(shared);
        }
        let (family, session) = (self.family, &mut *self.session);
        let shared = match session.table(family, table)? {
            None => false,
            Some(kernel) => {
                let view = self.view.complete(session, family, table)?;
                let chains = view.chains().filter(|(_, c)| !c.is_foreign()).count();
                // An anonymous set is counted too, and goes with the chain of its rule.
                chains != kernel.uses as usize
                    && chains + anonymous_sets(session, family, table)? != kernel.uses as usize
            }
        };
        self.view.table(table).shared = Some(shared);
        Ok(shared)
    }

    /// Whether more leads to a chain than the rules of iptables' own chains can: then it stays, empty. It cannot be told from counts alone
    /// who does, so every chain stays that something leads to.
    fn jumped_to_by_others(&mut self, table: &[u8], name: &[u8]) -> bool {
        let foreign = self.view.table(table).chains().any(|(_, c)| c.is_foreign());
        let view = self.view.table(table).chains().find(|(n, _)| n.as_slice() == name);
        foreign && view.is_some_and(|(_, c)| c.builtin.is_none() && c.kernel.as_ref().is_some_and(|k| k.uses > 0))
    }

    /// A `:CHAIN -` line of a restore file for a user chain: it is made, or emptied if it is there.
    pub fn declare_chain(&mut self, table: &[u8], name: &[u8]) -> Result<(), Failure> {
        if self.has_chain(table, name)? {
            self.batch.flush_chain(table, name, OpKind::ChainUserFlush);
            if let Some(view) = self.chain(table, name)? {
                view.flush();
            }
            return Ok(());
        }
        self.need_table(table)?;
        self.batch.add_chain(table, name, false);
        self.view.table(table).add(name, ChainView::new(None));
        Ok(())
    }

    /// A `:CHAIN -` line for a built-in chain: it is there then, with the policy that it has and these counters.
    pub fn set_counters(&mut self, table: &[u8], name: &[u8], counters: Counters) -> Result<(), Failure> {
        let Some(builtin) = self.builtin(table, name) else { return Err(NO_CHAIN) };
        self.need_chain(table, name)?;
        self.batch.add_base_chain(table, builtin, None, Some(counters), OpKind::ChainUpdate);
        if let Some(chain) = self.chain(table, name)? {
            chain.counters = Some(counters);
        }
        Ok(())
    }

    /// `-P`, and the `:CHAIN POLICY` lines of a restore file.
    pub fn set_policy(&mut self, table: &[u8], name: &[u8], policy: &[u8], counters: Counters) -> Result<(), Failure> {
        let code = match policy {
            b"ACCEPT" => NF_ACCEPT,
            b"DROP" => NF_DROP,
            _ => return Err(Failure::Object("Bad policy name. Run `dmesg' for more information")),
        };
        let Some(builtin) = self.builtin(table, name) else { return Err(Failure::Object("Bad built-in chain name")) };
        let known = self.has_chain(table, name)?;
        if !known {
            self.need_table(table)?;
        }
        let kind = if known { OpKind::ChainUpdate } else { OpKind::ChainAdd };
        self.batch.add_base_chain(table, builtin, Some(code.cast_unsigned()), Some(counters), kind);
        if !known {
            self.view.table(table).add(name, ChainView::new(Some(builtin)));
        }
        if let Some(chain) = self.chain(table, name)? {
            chain.policy = Some(code.cast_unsigned());
            chain.counters = Some(counters);
        }
        Ok(())
    }
}

/// How many sets of a table belong to rules.
fn anonymous_sets(session: &mut Session, family: Family, table: &[u8]) -> Result<usize, Failure> {
    Ok(session.sets(family, table)?.iter().filter(|(_, flags)| flags & NFT_SET_ANONYMOUS != 0).count())
}

/// The expressions and the userdata of a rule.
fn expressions<'a>(slot: &Slot, rules: &'a Rules, batch: &'a Batch) -> (&'a [u8], Option<&'a [u8]>) {
    match &slot.body {
        SlotBody::Arena(exprs, userdata) => (rules.bytes(exprs), Some(rules.bytes(userdata)).filter(|u| !u.is_empty())),
        SlotBody::Message(message) => {
            let range = batch.rules_range(*message as usize).unwrap_or(0..0);
            (batch.as_bytes().get(range).unwrap_or_default(), batch.userdata(*message as usize))
        }
    }
}

/// The first rule of a chain that is `wanted`, with its place from 0, while the kernel lists them; what passes is not kept, and what follows
/// is not read.
fn first_in_kernel(
    session: &mut Session,
    family: Family,
    table: &[u8],
    chain: &[u8],
    mut wanted: impl FnMut(&RuleMsg<'_>) -> bool,
) -> Result<Option<(usize, Slot)>, Failure> {
    let (mut at, mut found, mut restarted) = (0, None, false);
    session.rules(family, table, chain, &mut |event| {
        let rule = match event {
            Event::Restart => {
                restarted = true;
                return ControlFlow::Break(());
            }
            Event::Rule(rule) => rule,
        };
        if wanted(rule) {
            let body = SlotBody::Arena(0..0, 0..0);
            found = Some((at, Slot { handle: Some(rule.handle), id: 0, body }));
            return ControlFlow::Break(());
        }
        at += 1;
        ControlFlow::Continue(())
    })?;
    // The ruleset changed while it was listed, so the generation that this transaction is tied to is over.
    if restarted { Err(Failure::Stale) } else { Ok(found) }
}

/// What `NFTA_RULE_COMPAT` says of a rule: its protocol, and whether it is inverted (fact sheet 2.6).
pub fn compat_of(body: &Body) -> (u32, u32) {
    match body.base.protocol {
        Some((protocol, not)) => (u32::from(protocol), if not { NFT_RULE_COMPAT_F_INV } else { 0 }),
        None => (0, 0),
    }
}
