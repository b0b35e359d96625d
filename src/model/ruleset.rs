//! A ruleset as plain data: tables, chains and rules of one family, whole in memory.
//!
//! Made for what looks at all rules at once (the walk, the demo, later the analysis and diffs); the drop-in commands stream
//! rules instead. Rules and chains keep their order. Chain names are unique in a table, which [`Table::add`] sees to.

use std::collections::HashMap;

use crate::ext::Body;
use crate::types::{Counters, Family};

/// All tables of one family.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruleset {
    /// The family.
    pub family: Family,
    /// The tables.
    pub tables: Vec<Table>,
}

/// A table: its chains by name and in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    name: Vec<u8>,
    chains: Vec<Chain>,
    by_name: HashMap<Vec<u8>, usize>,
}

/// A chain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chain {
    /// Name.
    pub name: Vec<u8>,
    /// Policy; only a base chain has one.
    pub policy: Option<Policy>,
    /// Packets that the policy decided on, and their bytes; nought where that is not counted.
    pub counters: Counters,
    /// The rules in order.
    pub rules: Vec<Rule>,
}

/// What a base chain does with packets that no rule decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Lets them go on.
    Accept,
    /// Drops them.
    Drop,
}

/// A rule in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What it says; `None` if it is kept as the kernel has it and not understood.
    pub body: Option<Body>,
    /// Packets that met it, and their bytes.
    pub counters: Counters,
    /// The kernel's number for it in its table; 0 if it is not the kernel's.
    pub handle: u64,
    /// Of a rule that is not understood, the expressions (the payload of `NFTA_RULE_EXPRESSIONS`) and the userdata, one behind the other.
    pub opaque: Vec<u8>,
}

impl From<Body> for Rule {
    /// A rule that is not in the kernel and has met no packet.
    fn from(body: Body) -> Self {
        Self { body: Some(body), counters: Counters::default(), handle: 0, opaque: Vec::new() }
    }
}

impl Ruleset {
    /// The table of that name.
    pub fn table(&self, name: &[u8]) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl Table {
    /// A table without chains.
    pub fn new(name: &[u8]) -> Self {
        Self { name: name.to_vec(), ..Self::default() }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its chains in order.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The chain of that name.
    pub fn chain(&self, name: &[u8]) -> Option<&Chain> {
        self.chains.get(*self.by_name.get(name)?)
    }

    /// Where the chain of that name stands among [`Self::chains`].
    pub fn position(&self, name: &[u8]) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Adds a chain at the end, or puts it in the place of the one of that name.
    pub fn add(&mut self, chain: Chain) {
        match self.by_name.get(&chain.name).and_then(|place| self.chains.get_mut(*place)) {
            Some(old) => *old = chain,
            None => {
                self.by_name.insert(chain.name.clone(), self.chains.len());
                self.chains.push(chain);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_the_same_name_takes_the_place_of_the_first() {
        let mut table = Table::new(b"filter");
        for (name, policy) in [(b"INPUT", None), (b"OTHER", None), (b"INPUT", Some(Policy::Drop))] {
            table.add(Chain { name: name.to_vec(), policy, ..Chain::default() });
        }
        assert_eq!(table.chains().len(), 2);
        assert_eq!(table.chain(b"INPUT").and_then(|chain| chain.policy), Some(Policy::Drop));
        assert_eq!((table.position(b"OTHER"), table.position(b"none")), (Some(1), None));
    }
}
