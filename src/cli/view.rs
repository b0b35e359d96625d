//! The ruleset as a transaction sees it: what the kernel has, read as late and as little as possible, and what the batch has done so far.

use crate::kernel::{self, Event, Session};
use crate::model::builtin::{BuiltinChain, builtins};
use crate::types::{Counters, Family};
use crate::wire::consts::NF_ACCEPT;
use crate::wire::msg::RuleMsg;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

/// All tables that have been looked at.
#[derive(Debug, Default)]
pub struct View {
    tables: Vec<(Vec<u8>, TableView)>,
}

/// One table.
#[derive(Debug, Default)]
pub struct TableView {
    /// Whether it exists, with what the batch has done; `None` if nobody has asked.
    pub exists: Option<bool>,
    /// Whether `chains` holds every chain of the table.
    pub complete: bool,
    /// Whether another program keeps something in it; `None` if nobody has asked.
    pub shared: Option<bool>,
    chains: BTreeMap<Vec<u8>, Option<ChainView>>,
}

/// One chain that exists.
#[derive(Debug)]
pub struct ChainView {
    /// What the kernel said of it; `None` if the batch made it.
    pub kernel: Option<kernel::Chain>,
    /// The built-in chain that it is.
    pub builtin: Option<&'static BuiltinChain>,
    /// Its policy (`NF_ACCEPT` or `NF_DROP`) with what the batch has done, if it is a base chain.
    pub policy: Option<u32>,
    /// Its policy counters, if it counts.
    pub counters: Option<Counters>,
    /// Whether the kernel's rules are gone: it is new, or the batch has flushed it.
    pub empty: bool,
    /// Its rules with what the batch has done, if they have been read.
    rules: Option<Rules>,
    /// Rules put before and behind those that have not been read.
    head: Vec<Slot>,
    tail: Vec<Slot>,
}

/// Where a rule of a chain is.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Its handle, if the kernel has it.
    pub handle: Option<u64>,
    /// Its id in the batch, if it was given one; else 0.
    pub id: u32,
    /// The message of the batch that made it (or its present form), else its place in the arena.
    pub body: SlotBody,
}

/// Where the expressions of a rule are.
#[derive(Clone, Debug)]
pub enum SlotBody {
    /// In message `.0` of the batch.
    Message(u32),
    /// In the arena: expressions and userdata.
    Arena(Range<u32>, Range<u32>),
}

/// The rules of a chain, in order.
#[derive(Debug, Default)]
pub struct Rules {
    /// One for each rule.
    pub slots: Vec<Slot>,
    arena: Vec<u8>,
}

impl Rules {
    /// Reads the rules of a chain.
    fn read(session: &mut Session, family: Family, table: &[u8], chain: &[u8]) -> Result<Self, kernel::Error> {
        let mut rules = Self::default();
        session.rules(family, table, chain, &mut |event| {
            match event {
                Event::Restart => rules = Self::default(),
                Event::Rule(rule) => rules.push(rule),
            }
            ControlFlow::Continue(())
        })?;
        Ok(rules)
    }

    fn push(&mut self, rule: &RuleMsg<'_>) {
        let exprs = self.store(rule.exprs);
        let userdata = self.store(rule.userdata.unwrap_or_default());
        self.slots.push(Slot { handle: Some(rule.handle), id: 0, body: SlotBody::Arena(exprs, userdata) });
    }

    fn store(&mut self, bytes: &[u8]) -> Range<u32> {
        let from = u32::try_from(self.arena.len()).unwrap_or(u32::MAX);
        self.arena.extend_from_slice(bytes);
        from..u32::try_from(self.arena.len()).unwrap_or(u32::MAX)
    }

    /// Bytes of the arena, to change them in place.
    pub fn bytes_mut(&mut self, range: &Range<u32>) -> &mut [u8] {
        self.arena.get_mut(range.start as usize..range.end as usize).unwrap_or_default()
    }

    /// Bytes of the arena.
    pub fn bytes(&self, range: &Range<u32>) -> &[u8] {
        self.arena.get(range.start as usize..range.end as usize).unwrap_or_default()
    }
}

impl ChainView {
    fn of_kernel(family: Family, chain: kernel::Chain) -> Self {
        let builtin = chain.base.as_ref().and_then(|base| {
            let of_table = builtins(family, &chain.table)?;
            of_table.iter().find(|b| b.is(&chain.name, base.hook, base.priority, &base.ty))
        });
        Self {
            builtin,
            policy: chain.base.as_ref().map(|b| b.policy),
            counters: chain.counters,
            kernel: Some(chain),
            empty: false,
            rules: None,
            head: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// A chain that the batch makes.
    pub fn new(builtin: Option<&'static BuiltinChain>) -> Self {
        Self {
            kernel: None,
            builtin,
            policy: builtin.map(|_| NF_ACCEPT.cast_unsigned()),
            counters: None,
            empty: true,
            rules: Some(Rules::default()),
            head: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// Whether it is a base chain that is not one of iptables' own.
    pub fn is_foreign(&self) -> bool {
        self.builtin.is_none() && self.kernel.as_ref().is_some_and(|k| k.base.is_some())
    }

    /// Forgets every rule: the batch has flushed it.
    pub fn flush(&mut self) {
        self.empty = true;
        self.rules = Some(Rules::default());
        self.head.clear();
        self.tail.clear();
    }

    /// Notes a rule at the end.
    pub fn append(&mut self, slot: Slot) {
        match &mut self.rules {
            Some(rules) => rules.slots.push(slot),
            None => self.tail.push(slot),
        }
    }

    /// Notes a rule at the start.
    pub fn prepend(&mut self, slot: Slot) {
        match &mut self.rules {
            Some(rules) => rules.slots.insert(0, slot),
            None => self.head.push(slot),
        }
    }

    /// Whether a base chain has no rule, with what the batch has done. (The kernel counts jumps to other chains as uses too.)
    pub fn is_empty(&self) -> bool {
        match &self.rules {
            Some(rules) => rules.slots.is_empty(),
            None => {
                let before = self.empty || self.kernel.as_ref().is_none_or(|k| k.uses == 0);
                before && self.head.is_empty() && self.tail.is_empty()
            }
        }
    }

    /// Whether the batch has changed its rules, or they have been read already.
    pub fn rules_known(&self) -> bool {
        self.rules.is_some() || !self.head.is_empty() || !self.tail.is_empty()
    }

    /// Its rules, read from the kernel if that has not been done.
    pub fn rules(&mut self, session: &mut Session, family: Family) -> Result<&mut Rules, kernel::Error> {
        if self.rules.is_none() {
            let mut rules = match &self.kernel {
                Some(k) if !self.empty => Rules::read(session, family, &k.table, &k.name)?,
                _ => Rules::default(),
            };
            let mut slots: Vec<Slot> = self.head.drain(..).rev().collect();
            slots.append(&mut rules.slots);
            slots.append(&mut self.tail);
            rules.slots = slots;
            self.rules = Some(rules);
        }
        Ok(self.rules.get_or_insert_default())
    }
}

impl TableView {
    /// The chains that exist, by name; complete only if [`TableView::complete`].
    pub fn chains(&self) -> impl Iterator<Item = (&Vec<u8>, &ChainView)> {
        self.chains.iter().filter_map(|(name, chain)| Some((name, chain.as_ref()?)))
    }

    /// Notes a chain that the batch makes.
    pub fn add(&mut self, name: &[u8], chain: ChainView) -> &mut ChainView {
        self.exists = Some(true);
        let slot = self.chains.entry(name.to_vec()).or_default();
        slot.insert(chain)
    }

    /// Notes that a chain is gone.
    pub fn remove(&mut self, name: &[u8]) -> Option<ChainView> {
        self.chains.insert(name.to_vec(), None).flatten()
    }

    /// Notes that the whole table is gone.
    pub fn clear(&mut self) {
        *self = Self { exists: Some(false), complete: true, shared: self.shared, chains: BTreeMap::new() };
    }
}

impl View {
    /// A table, whatever is known of it.
    pub fn table(&mut self, name: &[u8]) -> &mut TableView {
        let at = self.tables.iter().position(|(n, _)| n == name).unwrap_or_else(|| {
            self.tables.push((name.to_vec(), TableView::default()));
            self.tables.len() - 1
        });
        &mut self.tables[at].1
    }

    /// Whether a table exists.
    pub fn table_exists(&mut self, session: &mut Session, family: Family, name: &[u8]) -> Result<bool, kernel::Error> {
        if let Some(exists) = self.table(name).exists {
            return Ok(exists);
        }
        let exists = session.table(family, name)?.is_some();
        self.table(name).exists = Some(exists);
        Ok(exists)
    }

    /// A chain, asked for by name if it is not known; `None` if it does not exist. A base chain that is not iptables' own counts as absent
    /// where a built-in chain of its name is meant.
    pub fn chain(
        &mut self,
        session: &mut Session,
        family: Family,
        table: &[u8],
        name: &[u8],
    ) -> Result<Option<&mut ChainView>, kernel::Error> {
        let view = self.table(table);
        if !view.chains.contains_key(name) && !view.complete {
            let found = session.chain(family, table, name)?;
            if found.is_some() {
                view.exists = Some(true);
            }
            view.chains.insert(name.to_vec(), found.map(|c| ChainView::of_kernel(family, c)));
        }
        Ok(self.table(table).chains.get_mut(name).and_then(Option::as_mut))
    }

    /// Reads every chain of a table.
    pub fn complete(
        &mut self,
        session: &mut Session,
        family: Family,
        table: &[u8],
    ) -> Result<&mut TableView, kernel::Error> {
        if !self.table(table).complete {
            let chains = session.chains(family, Some(table))?;
            let view = self.table(table);
            view.exists = if chains.is_empty() { view.exists } else { Some(true) };
            for chain in chains {
                view.chains.entry(chain.name.clone()).or_insert_with(|| Some(ChainView::of_kernel(family, chain)));
            }
            view.complete = true;
        }
        Ok(self.table(table))
    }
}
