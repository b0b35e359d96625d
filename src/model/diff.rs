//! What turns one ruleset into another: as few rules as possible go and come, and the others stay where they are, with their counters.
//!
//! Pure. Invariants: nothing is planned for a table that the wanted ruleset does not have; carried out on the live ruleset, a plan without
//! rules of other programs yields the wanted one, chain by chain and rule by rule. Sources: design §6.

use super::owner::{self, Owner, owner_of_chain, owner_of_rule};
use super::{Chain, Policy, Rule, Ruleset, Table, builtins};
use crate::ext::PrintCx;
use crate::types::{Counters, Family, Names, Out};
use imara_diff::{Algorithm, Diff, InternedInput};
use std::collections::{HashMap, HashSet};

/// Up to this many rules a chain's diff is the smallest there is; beyond, very different chains may get a slightly longer one.
const MINIMAL_MAX: usize = 20_000;

/// What turns one family's ruleset into another.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The family.
    pub family: Family,
    /// The tables in which something changes or is left, in the order of the wanted ruleset.
    pub tables: Vec<TablePlan>,
}

/// The changes of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TablePlan {
    /// Its name.
    pub name: Vec<u8>,
    /// Whether it is not there yet.
    pub new: bool,
    /// The chains that change, and those in which something of another program is left.
    pub chains: Vec<ChainPlan>,
}

/// What becomes of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is made.
    Comes,
    /// It stays.
    Stays,
    /// It is deleted, with its rules.
    Goes,
}

/// The changes of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainPlan {
    /// Its name.
    pub name: Vec<u8>,
    /// What becomes of the chain itself.
    pub fate: Fate,
    /// The policy that it has and the one that it gets, if they differ.
    pub policy: Option<(Policy, Policy)>,
    /// All its rules, as they are and as they will be, from the first to the last.
    pub steps: Vec<Step>,
}

impl ChainPlan {
    /// Whether something is done to it; else it is here for what is left in it.
    pub fn changes(&self) -> bool {
        let quiet = |s: &Step| matches!(s, Step::Stay { .. } | Step::Leave { .. });
        self.fate != Fate::Stays || self.policy.is_some() || !self.steps.iter().all(quiet)
    }
}

/// What becomes of a rule. `live` is its place in the live chain, `wanted` in the wanted one, both from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Step {
    /// It stays.
    Stay { live: usize, wanted: usize },
    /// It stays, although it is not wanted: another program put it there.
    Leave { live: usize, owner: Owner },
    /// It goes.
    Delete { live: usize, owner: Option<Owner> },
    /// It comes; with counters if one like it goes from another place of the chain.
    Insert { wanted: usize, counters: Option<Counters> },
}

/// How to plan.
#[derive(Clone, Copy)]
pub struct Planning<'a> {
    /// Where names are looked up that rules are printed with.
    pub names: &'a dyn Names,
    /// Rules and chains of other programs go too, if they are not wanted.
    pub replace_all: bool,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(|t| !t.new && !t.chains.iter().any(ChainPlan::changes))
    }

    /// The rules that come and that go.
    pub fn count(&self) -> (usize, usize) {
        let steps = || self.tables.iter().flat_map(|t| &t.chains).flat_map(|c| &c.steps);
        let comes = steps().filter(|s| matches!(s, Step::Insert { .. })).count();
        (comes, steps().filter(|s| matches!(s, Step::Delete { .. })).count())
    }
}

/// Plans the way from the live ruleset of a family to the wanted one. Tables that the wanted one does not have stay as they are.
pub fn plan(live: &Ruleset, wanted: &Ruleset, planning: &Planning<'_>) -> Plan {
    let family = wanted.family;
    let none = Table::new(b"");
    let tables = wanted.tables.iter().filter_map(|table| {
        let old = live.table(table.name());
        let chains = TablePlanner::new(family, old.unwrap_or(&none), table, planning).chains();
        let new = old.is_none();
        (new || !chains.is_empty()).then(|| TablePlan { name: table.name().to_vec(), new, chains })
    });
    Plan { family, tables: tables.collect() }
}

struct TablePlanner<'a> {
    family: Family,
    live: &'a Table,
    wanted: &'a Table,
    planning: &'a Planning<'a>,
    /// Live chains that other programs' rules lead to, from rule to rule.
    needed: HashSet<&'a [u8]>,
}

impl<'a> TablePlanner<'a> {
    fn new(family: Family, live: &'a Table, wanted: &'a Table, planning: &'a Planning<'a>) -> Self {
        let mut needed = HashSet::new();
        if !planning.replace_all {
            let foreign = live.chains().iter().flat_map(|chain| {
                let whole = owner_of_chain(&chain.name).is_some();
                chain.rules.iter().filter(move |rule| whole || owner_of_rule(rule.body.as_ref()).is_some())
            });
            let mut todo: Vec<&[u8]> = foreign.filter_map(target_chain).collect();
            while let Some(name) = todo.pop() {
                if needed.insert(name) {
                    todo.extend(live.chain(name).iter().flat_map(|c| &c.rules).filter_map(target_chain));
                }
            }
        }
        Self { family, live, wanted, planning, needed }
    }

    fn chains(&self) -> Vec<ChainPlan> {
        let empty = Chain::default();
        let mut plans = Vec::new();
        for wanted in self.wanted.chains() {
            let live = self.live.chain(&wanted.name);
            let fate = if live.is_some() { Fate::Stays } else { Fate::Comes };
            let steps = self.steps(live.unwrap_or(&empty), wanted);
            // A built-in chain that is not there lets everything go on.
            let before = live.map_or_else(|| wanted.policy.map(|_| Policy::Accept), |live| live.policy);
            let policy = before.zip(wanted.policy).filter(|(a, b)| a != b);
            if fate == Fate::Comes || policy.is_some() || steps.iter().any(|s| !matches!(s, Step::Stay { .. })) {
                plans.push(ChainPlan { name: wanted.name.clone(), fate, policy, steps });
            }
        }
        for live in self.live.chains().iter().filter(|c| self.wanted.chain(&c.name).is_none()) {
            let left = self.leaves_chain(&live.name);
            let steps = if left {
                let owner = owner_of_chain(&live.name).unwrap_or(owner::NEEDED);
                (0..live.rules.len()).map(|live| Step::Leave { live, owner }).collect()
            } else {
                self.steps(live, &empty)
            };
            let kept = left || self.is_builtin(&live.name) || steps.iter().any(|s| matches!(s, Step::Leave { .. }));
            let fate = if kept { Fate::Stays } else { Fate::Goes };
            // A restore takes away a built-in chain that is not named, so that it lets everything go on.
            let policy = live.policy.filter(|p| *p != Policy::Accept).map(|p| (p, Policy::Accept));
            if left || fate == Fate::Goes || policy.is_some() || !steps.is_empty() {
                plans.push(ChainPlan { name: live.name.clone(), fate, policy, steps });
            }
        }
        plans
    }

    fn is_builtin(&self, chain: &[u8]) -> bool {
        builtins(self.family, self.wanted.name()).is_some_and(|all| all.iter().any(|b| b.name == chain))
    }

    /// Whether another program made a chain that is not wanted, and it stays.
    fn leaves_chain(&self, name: &[u8]) -> bool {
        !self.planning.replace_all && (owner_of_chain(name).is_some() || self.needed.contains(name))
    }

    fn steps(&self, live: &Chain, wanted: &Chain) -> Vec<Step> {
        let mut input: InternedInput<Vec<u8>> = InternedInput::default();
        input.update_before(live.rules.iter().map(|rule| self.key(rule)));
        input.update_after(wanted.rules.iter().map(|rule| self.key(rule)));
        let small = live.rules.len().max(wanted.rules.len()) <= MINIMAL_MAX;
        let diff = Diff::compute(if small { Algorithm::MyersMinimal } else { Algorithm::Myers }, &input);
        let mut steps = Vec::with_capacity(live.rules.len().max(wanted.rules.len()));
        // The counters of those that go, for those like them that come.
        let mut going: HashMap<_, Vec<Counters>> = HashMap::new();
        let (mut at, mut to) = (0, 0);
        let rules = |n: u32| n as usize;
        for hunk in diff.hunks() {
            while at < rules(hunk.before.start) {
                steps.push(Step::Stay { live: at, wanted: to });
                (at, to) = (at + 1, to + 1);
            }
            for place in hunk.before.clone().map(rules) {
                let Some(rule) = live.rules.get(place) else { continue };
                let owner = owner_of_chain(&live.name).or_else(|| owner_of_rule(rule.body.as_ref()));
                match owner.filter(|_| !self.planning.replace_all) {
                    Some(owner) => steps.push(Step::Leave { live: place, owner }),
                    None => {
                        if let Some(token) = input.before.get(place) {
                            going.entry(*token).or_default().push(rule.counters);
                        }
                        steps.push(Step::Delete { live: place, owner });
                    }
                }
            }
            steps.extend(hunk.after.clone().map(|n| Step::Insert { wanted: rules(n), counters: None }));
            (at, to) = (rules(hunk.before.end), rules(hunk.after.end));
        }
        while at < live.rules.len() {
            steps.push(Step::Stay { live: at, wanted: to });
            (at, to) = (at + 1, to + 1);
        }
        for step in &mut steps {
            if let Step::Insert { wanted, counters } = step {
                let same = input.after.get(*wanted).and_then(|token| going.get_mut(token));
                *counters = same.filter(|left| !left.is_empty()).map(|left| left.remove(0));
            }
        }
        steps
    }

    /// What is the same of two rules that are the same: their words, or of one that is not understood, its bytes.
    fn key(&self, rule: &Rule) -> Vec<u8> {
        let Some(body) = &rule.body else { return [b"#", rule.opaque.as_slice()].concat() };
        let mut out = Out::new();
        let cx = PrintCx { family: self.family, numeric: true, names: self.planning.names, protocol: None };
        body.save(&mut out, &cx, None);
        out.into_bytes()
    }
}

/// The chain that a rule leads to.
fn target_chain(rule: &Rule) -> Option<&[u8]> {
    rule.body.as_ref()?.action.chain()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::{Action, Base, Body};
    use crate::types::{Network, NoNames};
    use std::collections::HashSet;

    /// A rule: `a` to `z` by its source, `A` to `Z` a jump to the chain of that name, `d` + more a jump to Docker's.
    fn rule(word: &str, handle: u64) -> Rule {
        let (src, action) = match word.as_bytes() {
            [b @ b'a'..=b'z'] => (Some((Network::host([10, 0, 0, *b].into()), false)), Action::Drop),
            name => (None, Action::Jump(name.into())),
        };
        let body = Body { base: Base { src, ..Base::default() }, action, ..Body::default() };
        Rule { handle, counters: Counters { packets: handle, bytes: handle }, ..Rule::from(body) }
    }

    fn ruleset(chains: &[(&str, Option<Policy>, &str)]) -> Ruleset {
        let mut table = Table::new(b"filter");
        let mut handle = 0;
        for (name, policy, rules) in chains {
            let rules = rules.split_whitespace().map(|word| {
                handle += 1;
                rule(word, handle)
            });
            let (name, rules) = (name.as_bytes().to_vec(), rules.collect());
            table.add(Chain { name, policy: *policy, rules, ..Chain::default() });
        }
        Ruleset { family: Family::V4, tables: vec![table] }
    }

    /// The plan in short: `=` stays, `~` is left, `-` goes, `+` comes, `+5` comes with the counters of what had handle 5.
    fn planned(live: &Ruleset, wanted: &Ruleset, replace_all: bool) -> String {
        let plan = plan(live, wanted, &Planning { names: &NoNames, replace_all });
        let mut text = String::new();
        for chain in plan.tables.iter().flat_map(|t| &t.chains) {
            text += &format!(
                "{}{}",
                String::from_utf8_lossy(&chain.name),
                match chain.fate {
                    Fate::Comes => "(new)",
                    Fate::Stays => "",
                    Fate::Goes => "(gone)",
                }
            );
            if let Some((from, to)) = chain.policy {
                text += &format!(" {from:?}>{to:?}");
            }
            for step in &chain.steps {
                text += &match step {
                    Step::Stay { .. } => " =".to_owned(),
                    Step::Leave { .. } => " ~".to_owned(),
                    Step::Delete { .. } => " -".to_owned(),
                    Step::Insert { counters: None, .. } => " +".to_owned(),
                    Step::Insert { counters: Some(c), .. } => format!(" +{}", c.packets),
                };
            }
            text += "; ";
        }
        text
    }

    const ACCEPT: Option<Policy> = Some(Policy::Accept);
    const DROP: Option<Policy> = Some(Policy::Drop);

    #[test]
    fn as_little_as_possible() {
        let live = ruleset(&[("INPUT", ACCEPT, "a b c d e"), ("OLD", None, "x")]);
        for (wanted, expected) in [
            (ruleset(&[("INPUT", ACCEPT, "a b c d e"), ("OLD", None, "x")]), ""),
            (ruleset(&[("INPUT", DROP, "a b c d e"), ("OLD", None, "x")]), "INPUT Accept>Drop = = = = =; "),
            (ruleset(&[("INPUT", ACCEPT, "a c f d e"), ("OLD", None, "x")]), "INPUT = - = + = =; "),
            (ruleset(&[("INPUT", ACCEPT, "e a b c d"), ("OLD", None, "x")]), "INPUT +5 = = = = -; "),
            (ruleset(&[("INPUT", ACCEPT, "a b c d e")]), "OLD(gone) -; "),
            (ruleset(&[("INPUT", ACCEPT, "a b c d e"), ("OLD", None, "x"), ("NEW", None, "y")]), "NEW(new) +; "),
            (ruleset(&[("OLD", None, "x")]), "INPUT - - - - -; "),
        ] {
            assert_eq!(planned(&live, &wanted, false), expected);
        }
        let other = Ruleset { family: Family::V4, tables: vec![] };
        assert_eq!(planned(&live, &other, false), "", "a table that the file does not name stays as it is");
        assert_eq!(planned(&other, &live, false), "INPUT(new) + + + + +; OLD(new) +; ");
    }

    #[test]
    fn what_other_programs_made_is_left() {
        let chains: &[_] = &[
            ("FORWARD", ACCEPT, "DOCKER-USER a DOCKER b"),
            ("DOCKER", None, "c"),
            ("DOCKER-USER", None, "d BLOCKED"),
            ("BLOCKED", None, "e DEEPER"),
            ("DEEPER", None, "f"),
            ("MINE", None, "g"),
        ];
        let live = ruleset(chains);
        let wanted = ruleset(&[("FORWARD", ACCEPT, "z b")]);
        assert_eq!(
            planned(&live, &wanted, false),
            "FORWARD ~ - ~ + =; DOCKER ~; DOCKER-USER ~ ~; BLOCKED ~ ~; DEEPER ~; MINE(gone) -; "
        );
        assert_eq!(
            planned(&live, &wanted, true),
            "FORWARD - - - + =; DOCKER(gone) -; DOCKER-USER(gone) - -; BLOCKED(gone) - -; DEEPER(gone) -; MINE(gone) -; "
        );
        let wanted = ruleset(&[("FORWARD", ACCEPT, "a b"), ("DOCKER-USER", None, "x")]);
        assert_eq!(
            planned(&live, &wanted, false),
            "FORWARD ~ = ~ =; DOCKER-USER ~ ~ +; DOCKER ~; BLOCKED ~ ~; DEEPER ~; MINE(gone) -; "
        );
    }

    #[test]
    fn opaque_rules_are_compared_by_their_bytes() {
        let opaque = |byte: u8| Rule { body: None, opaque: vec![byte], ..rule("a", 1) };
        let mut live = ruleset(&[]);
        let mut wanted = ruleset(&[]);
        for (ruleset, bytes) in [(&mut live, [1, 2]), (&mut wanted, [2, 2])] {
            let chain = Chain { name: b"INPUT".to_vec(), policy: ACCEPT, ..Chain::default() };
            ruleset.tables[0].add(Chain { rules: bytes.map(opaque).to_vec(), ..chain });
        }
        assert_eq!(planned(&live, &wanted, true), "INPUT - + =; ");
    }

    #[test]
    fn carried_out_a_plan_yields_what_was_wanted() {
        let mut random = 7u64;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for _ in 0..500 {
            let mut text = || {
                (0..next(9)).map(|_| char::from(b'a' + next(5) as u8)).fold(String::new(), |t, c| t + &format!("{c} "))
            };
            let (old, new) = (text(), text());
            let (live, wanted) = (ruleset(&[("INPUT", ACCEPT, &old)]), ruleset(&[("INPUT", ACCEPT, &new)]));
            let plan = plan(&live, &wanted, &Planning { names: &NoNames, replace_all: false });
            let (live, wanted) = (&live.tables[0].chains()[0].rules, &wanted.tables[0].chains()[0].rules);
            let Some(chain) = plan.tables.first().and_then(|t| t.chains.first()) else {
                assert_eq!(old, new);
                continue;
            };
            let mut seen = HashSet::new();
            let mut got = Vec::new();
            for step in &chain.steps {
                match *step {
                    Step::Stay { live: at, wanted: to } => {
                        assert_eq!(to, got.len());
                        assert!(seen.insert(at));
                        got.push(live[at].body.clone());
                    }
                    Step::Insert { wanted: to, .. } => {
                        assert_eq!(to, got.len());
                        got.push(wanted[to].body.clone());
                    }
                    Step::Delete { live: at, .. } => assert!(seen.insert(at)),
                    Step::Leave { .. } => unreachable!("there is no other program"),
                }
            }
            assert_eq!(got, wanted.iter().map(|r| r.body.clone()).collect::<Vec<_>>(), "{old} to {new}");
            assert_eq!(seen.len(), live.len());
        }
    }
}
