//! Plans become one transaction for both families, and what undoes it.
//!
//! An [`Undo`] knows every rule by the handle that the kernel gave it, so it takes back what was ours, and nothing else, whatever others have
//! changed meanwhile. Invariants: both families change in one batch; a rule that stays is in no message. Source: design §6.

use super::batch::{Batch, RulePlace};
use super::error::CommitError;
use super::native::{RuleReader, lower};
use super::op::OpKind;
use super::session::Session;
use crate::ext::Body;
use crate::model::diff::{ChainPlan, Fate, Plan, Step};
use crate::model::{BuiltinChain, Chain, Policy, Rule, Ruleset, Table, builtins};
use crate::types::{Counters, Family};
use crate::wire::consts::{NF_ACCEPT, NF_DROP, NFT_RULE_COMPAT_F_INV};
use std::collections::{HashMap, HashSet};

/// A plan with the rulesets that it is between.
#[derive(Clone, Debug)]
pub struct Change {
    /// As it is.
    pub live: Ruleset,
    /// As it is wanted.
    pub wanted: Ruleset,
    /// The way from one to the other.
    pub plan: Plan,
}

/// What undoes changes that have been made.
#[derive(Clone, Debug, Default)]
pub struct Undo {
    chains: Vec<ChainUndo>,
    /// Tables that were made.
    tables: Vec<(Family, Vec<u8>)>,
}

/// What undoes the changes of one chain.
#[derive(Clone, Debug)]
struct ChainUndo {
    family: Family,
    table: Vec<u8>,
    name: Vec<u8>,
    fate: Fate,
    policy: Option<(Policy, Policy)>,
    /// What was and what is there, from the first rule to the last.
    rules: Vec<Was>,
}

/// One rule of a chain that was changed.
#[derive(Clone, Debug)]
enum Was {
    /// It stayed; its handle.
    Stayed(u64),
    /// It came; its handle, 0 until it is known.
    Came { handle: u64, body: Box<Body> },
    /// It went; with the counters that it had.
    Went(Box<Rule>),
}

/// Something that could not be undone as planned, because another program had changed it meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The family.
    pub family: Family,
    /// What happened, in words.
    pub text: String,
}

impl Change {
    /// The ruleset as it will be: as it is wanted, with what other programs keep.
    pub fn outcome(&self) -> Ruleset {
        let mut tables: Vec<Table> = Vec::new();
        let gone: HashSet<(&[u8], &[u8])> = self.chains().filter(|(_, c)| c.fate == Fate::Goes).map(key).collect();
        let plans: HashMap<(&[u8], &[u8]), &ChainPlan> = self.chains().map(|(t, c)| (key((t, c)), c)).collect();
        let names = self.live.tables.iter().chain(&self.wanted.tables).map(Table::name);
        for name in names {
            if tables.iter().any(|t| t.name() == name) {
                continue;
            }
            let (live, wanted) = (self.live.table(name), self.wanted.table(name));
            let mut table = Table::new(name);
            for chain in live.into_iter().chain(wanted).flat_map(Table::chains) {
                if gone.contains(&(name, chain.name.as_slice())) || table.chain(&chain.name).is_some() {
                    continue;
                }
                let (old, new) = (live.and_then(|t| t.chain(&chain.name)), wanted.and_then(|t| t.chain(&chain.name)));
                table.add(match plans.get(&(name, chain.name.as_slice())) {
                    Some(plan) => planned(plan, old, new),
                    None => old.or(new).cloned().unwrap_or_default(),
                });
            }
            tables.push(table);
        }
        Ruleset { family: self.plan.family, tables }
    }

    fn chains(&self) -> impl Iterator<Item = (&[u8], &ChainPlan)> {
        self.plan.tables.iter().flat_map(|t| t.chains.iter().map(|c| (t.name.as_slice(), c)))
    }

    /// A rule that the plan deletes and that could not be put back, because it is not understood: table, chain, handle.
    pub fn irrevocable(&self) -> Option<(&[u8], &[u8], u64)> {
        self.chains().find_map(|(table, chain)| {
            let live = self.live.table(table)?.chain(&chain.name)?;
            chain.steps.iter().find_map(|step| match step {
                Step::Delete { live: at, .. } => {
                    let rule = live.rules.get(*at).filter(|rule| rule.body.is_none())?;
                    Some((table, chain.name.as_slice(), rule.handle))
                }
                _ => None,
            })
        })
    }
}

fn key<'a>((table, chain): (&'a [u8], &'a ChainPlan)) -> (&'a [u8], &'a [u8]) {
    (table, chain.name.as_slice())
}

fn planned(plan: &ChainPlan, old: Option<&Chain>, new: Option<&Chain>) -> Chain {
    let from = |chain: Option<&Chain>, at: usize| chain.and_then(|c| c.rules.get(at)).cloned();
    let rules = plan.steps.iter().filter_map(|step| match step {
        Step::Stay { live, .. } | Step::Leave { live, .. } => from(old, *live),
        Step::Insert { wanted, counters } => {
            from(new, *wanted).map(|rule| Rule { counters: counters.unwrap_or_default(), handle: 0, ..rule })
        }
        Step::Delete { .. } => None,
    });
    let policy = plan.policy.map(|(_, to)| to).or_else(|| old.or(new).and_then(|c| c.policy));
    let counters = old.map(|c| c.counters).unwrap_or_default();
    Chain { name: plan.name.clone(), policy, counters, rules: rules.collect() }
}

/// Whether a rule is to be written in native expressions.
pub type Natively<'a> = &'a dyn Fn(&Body) -> bool;

/// The batch that carries out these plans, all at once, and what will undo it once [`Undo::learn`] has been told the new rules' handles.
pub fn batch_of(changes: &[Change], natively: Natively<'_>) -> (Batch, Undo) {
    let mut pen = Pen { batch: Batch::new(Family::V4), natively };
    let mut undo = Undo::default();
    for change in changes {
        pen.batch.set_family(change.plan.family);
        Writer { change, pen: &mut pen }.write(&mut undo);
    }
    (pen.batch, undo)
}

/// What rules are written with.
struct Pen<'a> {
    batch: Batch,
    natively: Natively<'a>,
}

impl Pen<'_> {
    /// Writes one rule.
    fn put(&mut self, table: &[u8], chain: &[u8], place: RulePlace, body: &Body, counters: Counters) {
        let compat = match body.base.protocol {
            Some((protocol, not)) => (u32::from(protocol), if not { NFT_RULE_COMPAT_F_INV } else { 0 }),
            None => (0, 0),
        };
        let family = self.batch.family();
        let lowered = if (self.natively)(body) {
            let body = RuleReader::new(family).canonical(body);
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
    }
}

struct Writer<'a, 'p> {
    change: &'a Change,
    pen: &'a mut Pen<'p>,
}

impl Writer<'_, '_> {
    fn write(&mut self, undo: &mut Undo) {
        let family = self.change.plan.family;
        for table in &self.change.plan.tables {
            if table.new {
                self.pen.batch.add_table(&table.name);
                undo.tables.push((family, table.name.clone()));
            }
            let changed: Vec<&ChainPlan> = table.chains.iter().filter(|c| c.changes()).collect();
            for chain in &changed {
                self.chain(&table.name, chain);
            }
            for chain in &changed {
                let rules = self.rules(&table.name, chain);
                let (table, name) = (table.name.clone(), chain.name.clone());
                undo.chains.push(ChainUndo { family, table, name, fate: chain.fate, policy: chain.policy, rules });
            }
            // All jumps to them have gone by now.
            for chain in changed.iter().filter(|c| c.fate == Fate::Goes) {
                self.pen.batch.delete_chain(&table.name, &chain.name);
            }
        }
    }

    fn chain(&mut self, table: &[u8], chain: &ChainPlan) {
        let family = self.change.plan.family;
        let policy = chain.policy.map(|(_, to)| policy_number(to));
        match (builtin(family, table, &chain.name), chain.fate) {
            (Some(builtin), Fate::Comes) => {
                let policy = policy.or(Some(NF_ACCEPT.cast_unsigned()));
                self.pen.batch.add_base_chain(table, builtin, policy, None, OpKind::ChainAdd);
            }
            (Some(builtin), Fate::Stays) if policy.is_some() => {
                self.pen.batch.add_base_chain(table, builtin, policy, None, OpKind::ChainUpdate);
            }
            (None, Fate::Comes) => self.pen.batch.add_chain(table, &chain.name, false),
            _ => {}
        }
    }

    fn rules(&mut self, table: &[u8], chain: &ChainPlan) -> Vec<Was> {
        let live = self.change.live.table(table).and_then(|t| t.chain(&chain.name));
        let wanted = self.change.wanted.table(table).and_then(|t| t.chain(&chain.name));
        let live_rule = |at: usize| live.and_then(|c| c.rules.get(at));
        let mut rules = Vec::with_capacity(chain.steps.len());
        // From the last to the first, so that the next rule that stays is known.
        let mut next = None;
        let mut places = Vec::with_capacity(chain.steps.len());
        for step in chain.steps.iter().rev() {
            if let Step::Stay { live: at, .. } | Step::Leave { live: at, .. } = step {
                next = live_rule(*at).map(|rule| rule.handle);
            }
            places.push(next.map_or(RulePlace::Append, RulePlace::Before));
        }
        for (step, place) in chain.steps.iter().zip(places.into_iter().rev()) {
            match step {
                Step::Stay { live: at, .. } | Step::Leave { live: at, .. } => {
                    rules.extend(live_rule(*at).map(|rule| Was::Stayed(rule.handle)));
                }
                Step::Insert { wanted: at, counters } => {
                    if let Some(body) = wanted.and_then(|c| c.rules.get(*at)).and_then(|rule| rule.body.as_ref()) {
                        self.pen.put(table, &chain.name, place, body, counters.unwrap_or_default());
                        rules.push(Was::Came { handle: 0, body: Box::new(body.clone()) });
                    }
                }
                Step::Delete { live: at, .. } => {
                    if let Some(rule) = live_rule(*at) {
                        self.pen.batch.delete_rule(table, &chain.name, rule.handle);
                        rules.push(Was::Went(Box::new(rule.clone())));
                    }
                }
            }
        }
        rules
    }
}

fn policy_number(policy: Policy) -> u32 {
    if policy == Policy::Accept { NF_ACCEPT.cast_unsigned() } else { NF_DROP.cast_unsigned() }
}

fn builtin(family: Family, table: &[u8], chain: &[u8]) -> Option<&'static BuiltinChain> {
    builtins(family, table)?.iter().find(|b| b.name == chain)
}

impl Undo {
    /// Learns the handles of the rules that came, from the rulesets as they are after the change. False if a chain is not as it was left:
    /// another program has been there meanwhile, and ours are told from its by what they say.
    pub fn learn(&mut self, after: &[Ruleset]) -> bool {
        let mut all = true;
        for chain in self.chains.iter_mut().filter(|c| c.fate != Fate::Goes) {
            let live = after.iter().find(|r| r.family == chain.family).and_then(|r| r.table(&chain.table));
            let rules = live.and_then(|t| t.chain(&chain.name)).map(|c| c.rules.as_slice()).unwrap_or_default();
            let known: HashSet<u64> = chain.rules.iter().filter_map(Was::stayed).collect();
            let mut new: Vec<&Rule> = rules.iter().filter(|rule| !known.contains(&rule.handle)).collect();
            new.reverse();
            for was in &mut chain.rules {
                if let Was::Came { handle, body } = was {
                    // As a rule the next one; another program's may stand between.
                    match new.iter().rposition(|rule| rule.body.as_ref() == Some(&**body)) {
                        Some(at) => *handle = new.remove(at).handle,
                        None => all = false,
                    }
                }
            }
            all &= new.is_empty();
        }
        all
    }

    /// The batch that takes back what was changed, on the rulesets as they are now; and what is left because others have changed it.
    pub fn batch(&self, now: &[Ruleset], natively: Natively<'_>) -> (Batch, Vec<Foreign>) {
        let mut pen = Pen { batch: Batch::new(Family::V4), natively };
        let mut foreign = Vec::new();
        let table_of = |chain: &ChainUndo| now.iter().find(|r| r.family == chain.family)?.table(&chain.table);
        // Chains that went come back before the rules that lead to them.
        for chain in &self.chains {
            pen.batch.set_family(chain.family);
            let live = table_of(chain).and_then(|t| t.chain(&chain.name));
            if chain.fate == Fate::Goes && live.is_none() {
                pen.batch.add_chain(&chain.table, &chain.name, false);
            }
            let (Some((from, to)), Some(builtin)) = (chain.policy, builtin(chain.family, &chain.table, &chain.name))
            else {
                continue;
            };
            if live.is_some_and(|c| c.policy == Some(to)) {
                let policy = Some(policy_number(from));
                pen.batch.add_base_chain(&chain.table, builtin, policy, None, OpKind::ChainUpdate);
            } else {
                foreign.push(chain.foreign("its policy was changed meanwhile and stays"));
            }
        }
        for chain in &self.chains {
            pen.batch.set_family(chain.family);
            let live = table_of(chain).and_then(|t| t.chain(&chain.name));
            chain.rules(live, &mut pen, &mut foreign);
        }
        for chain in self.chains.iter().filter(|c| c.fate == Fate::Comes) {
            pen.batch.set_family(chain.family);
            let Some(table) = table_of(chain) else { continue };
            let Some(live) = table.chain(&chain.name) else { continue };
            let ours: HashSet<u64> = self.came(chain.family, &chain.table).collect();
            let used = table.chains().iter().flat_map(|c| &c.rules).any(|rule| {
                !ours.contains(&rule.handle)
                    && rule.body.as_ref().is_some_and(|b| b.action.chain() == Some(&chain.name))
            });
            let others = live.rules.iter().any(|rule| !ours.contains(&rule.handle));
            if used || others {
                foreign.push(chain.foreign("another program uses it now, so it stays"));
            } else if builtin(chain.family, &chain.table, &chain.name).is_none() {
                pen.batch.delete_chain(&chain.table, &chain.name);
            }
        }
        for (family, name) in &self.tables {
            pen.batch.set_family(*family);
            let Some(table) = now.iter().find(|r| r.family == *family).and_then(|r| r.table(name)) else { continue };
            let ours: HashSet<u64> = self.came(*family, name).collect();
            let made =
                |chain: &[u8]| self.chains.iter().any(|c| c.family == *family && c.table == *name && c.name == chain);
            let only_ours =
                table.chains().iter().all(|c| made(&c.name) && c.rules.iter().all(|r| ours.contains(&r.handle)));
            if only_ours {
                pen.batch.delete_table(name);
            }
        }
        (pen.batch, foreign)
    }

    /// The handles of the rules that came into a table.
    fn came(&self, family: Family, table: &[u8]) -> impl Iterator<Item = u64> {
        let chains = self.chains.iter().filter(move |c| c.family == family && c.table == table);
        chains.flat_map(|c| c.rules.iter().filter_map(Was::came))
    }
}

impl Was {
    fn stayed(&self) -> Option<u64> {
        if let Self::Stayed(handle) = self { Some(*handle) } else { None }
    }

    fn came(&self) -> Option<u64> {
        if let Self::Came { handle, .. } = self { Some(*handle).filter(|h| *h != 0) } else { None }
    }
}

impl ChainUndo {
    fn foreign(&self, what: &str) -> Foreign {
        let (table, chain) = (String::from_utf8_lossy(&self.table), String::from_utf8_lossy(&self.name));
        Foreign { family: self.family, text: format!("{} {table} chain {chain}: {what}", self.family) }
    }

    /// Takes back the rules of one chain.
    fn rules(&self, live: Option<&Chain>, pen: &mut Pen<'_>, foreign: &mut Vec<Foreign>) {
        let there: HashSet<u64> = live.iter().flat_map(|c| &c.rules).map(|r| r.handle).collect();
        if live.is_none() && self.fate != Fate::Goes {
            if self.fate == Fate::Stays {
                foreign.push(self.foreign("another program deleted it meanwhile"));
            }
            return;
        }
        let ours: HashSet<u64> = self.rules.iter().filter_map(|was| was.came().or(was.stayed())).collect();
        if there.iter().any(|handle| !ours.contains(handle)) {
            foreign.push(self.foreign("rules that another program added meanwhile stay"));
        }
        // The next rule that stayed and is still there, seen from each place.
        let mut next = None;
        let mut places = Vec::with_capacity(self.rules.len());
        for was in self.rules.iter().rev() {
            next = was.stayed().filter(|handle| there.contains(handle)).or(next);
            places.push(next);
        }
        for (was, next) in self.rules.iter().zip(places.into_iter().rev()) {
            match was {
                Was::Came { handle, .. } if there.contains(handle) => {
                    pen.batch.delete_rule(&self.table, &self.name, *handle);
                }
                Was::Stayed(_) | Was::Came { .. } => {}
                Was::Went(rule) => {
                    let Some(body) = &rule.body else { continue };
                    let place = match next {
                        Some(handle) => RulePlace::Before(handle),
                        None => RulePlace::Append,
                    };
                    pen.put(&self.table, &self.name, place, body, rule.counters);
                }
            }
        }
    }
}

/// Carries out plans as one transaction, if the ruleset is still of this generation, and learns what undoes them.
///
/// # Errors
/// [`CommitError::Stale`] if another program has changed the ruleset; what the kernel refuses.
pub fn carry_out(
    session: &mut Session,
    changes: &[Change],
    natively: Natively<'_>,
    generation: u32,
) -> Result<Undo, CommitError> {
    let (batch, mut undo) = batch_of(changes, natively);
    session.commit(&batch, Some(generation))?;
    let after: Result<Vec<_>, _> = changes.iter().map(|c| super::ruleset(session, c.plan.family)).collect();
    undo.learn(&after?);
    Ok(undo)
}

/// Takes back what was changed, as one transaction; says what is left because others have changed it.
///
/// # Errors
/// What the kernel refuses. If others keep changing the ruleset, it is tried again and again.
pub fn take_back(session: &mut Session, undo: &Undo, natively: Natively<'_>) -> Result<Vec<Foreign>, CommitError> {
    loop {
        let generation = session.generation()?;
        let now = [super::ruleset(session, Family::V4)?, super::ruleset(session, Family::V6)?];
        let (batch, foreign) = undo.batch(&now, natively);
        match session.commit(&batch, Some(generation)) {
            Err(CommitError::Stale) => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(foreign),
        }
    }
}
