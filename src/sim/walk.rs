//! The walk of one packet through one base chain: rules, jumps, gotos, RETURN and the policy.
//!
//! Three-valued: where a match cannot be decided from what was given, both ways are followed, and each outcome says on which
//! rules it depends. Ways that come together again with the same packet become one, so the work stays linear in the rules that
//! are met. A walk over any ruleset ends: loops and missing chains (which the kernel does not load) are errors.
//!
//! State that rules keep (`recent`, `limit`) is changed by a walk as by a packet in the kernel; where a way is only possible,
//! it is changed as if the way were taken. Sources: iptables(8); `nft_do_chain` as observed with real packets.

use crate::ext::{Action, Body, Effect, Nat, Proxy, Queues};
use crate::model::{Chain, Policy, Rule, TABLES, Table};
use crate::packet::Packet;
use crate::packet::env::{Env, Place};
use crate::types::Tri;

/// How many chains may be entered one from another by jump or goto, the base chain counted. The kernel refuses to load more with
/// EMLINK (`NFT_JUMP_STACK_SIZE`; observed).
const MAX_DEPTH: usize = 16;

/// What becomes of a packet at one base chain.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It goes on to the next table, or to where it was bound for.
    Accept,
    /// It vanishes.
    Drop,
    /// It vanishes and the sender is told; the `--reject-with` name.
    Reject(&'static str),
    /// It is handed to a program.
    Queue(Queues),
    /// The kernel keeps it and does with it what the words say.
    Taken(&'static str),
    /// It is accepted for a local socket, or dropped if that is not there.
    Proxy(Proxy),
    /// It is accepted and its connection is rewritten.
    Nat(Nat),
    /// A rule that is not understood, or whose effect is not known, may have done anything with it.
    Unknown,
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decider<'r> {
    /// This rule.
    Rule(Step<'r>),
    /// The policy of this base chain.
    Policy(&'r [u8]),
}

/// A rule on the way.
#[derive(Clone, Copy, Debug)]
pub struct Step<'r> {
    /// The chain it stands in.
    pub chain: &'r [u8],
    /// Its number in the chain, from 1.
    pub number: usize,
    /// The rule.
    pub rule: &'r Rule,
    /// Whether it is sure that the packet met it; else that depends on [`Outcome::depends`] or on a way that was left again.
    pub certain: bool,
}

impl PartialEq for Step<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.number == other.number
    }
}

/// Something that could not be decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dependency<'r> {
    /// The rule.
    pub step: Step<'r>,
    /// The match that could not be decided; empty for a rule that is not understood.
    pub name: &'static str,
    /// Whether the outcome supposes that it matches.
    pub matches: bool,
}

/// One possible end of the walk.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<'r> {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// What decided.
    pub decider: Decider<'r>,
    /// What the outcome supposes; empty if it is certain.
    pub depends: Vec<Dependency<'r>>,
    /// The rules whose conditions the packet met, in order: those whose counters the kernel raises. The deciding one is among
    /// them, unless one of its matches had the packet dropped.
    pub path: Vec<Step<'r>>,
    /// The packet as it left: marks may have been set.
    pub packet: Packet,
}

/// All possible ends of a walk; at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<'r> {
    /// The ends, in the order of the rules that decide.
    pub outcomes: Vec<Outcome<'r>>,
}

impl<'r> Answer<'r> {
    /// The one certain outcome; `None` if it depends on something.
    pub fn certain(&self) -> Option<&Outcome<'r>> {
        match self.outcomes.as_slice() {
            [only] if only.depends.is_empty() => Some(only),
            _ => None,
        }
    }

    /// The verdict, if all possible ends agree on it.
    pub fn verdict(&self) -> Option<&Verdict> {
        let (first, rest) = self.outcomes.split_first()?;
        let agreed = first.verdict != Verdict::Unknown && rest.iter().all(|o| o.verdict == first.verdict);
        agreed.then_some(&first.verdict)
    }
}

/// Why rules cannot be walked. The kernel refuses to load such rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// There is no such chain.
    #[error("there is no chain {}", String::from_utf8_lossy(.0))]
    NoChain(Vec<u8>),
    /// A chain leads back to itself.
    #[error("chain {} leads back to itself", String::from_utf8_lossy(.0))]
    Loop(Vec<u8>),
    /// Chains call each other too deep.
    #[error("chains call each other more than {MAX_DEPTH} deep")]
    TooDeep,
}

/// Walks a packet through the base chain `chain` of a table.
///
/// # Errors
/// [`WalkError`] if the packet may come to a loop or a missing chain.
pub fn walk<'r>(table: &'r Table, chain: &[u8], packet: &Packet, env: &mut Env<'_>) -> Result<Answer<'r>, WalkError> {
    let base = find(table, chain)?;
    let mut walker = Walker { table, env, stack: Vec::new(), outcomes: Vec::new() };
    let start = Way { packet: packet.clone(), depends: Vec::new(), path: Vec::new() };
    let left = walker.chain(base, vec![start])?;
    let mut outcomes = walker.outcomes;
    let verdict = match base.policy {
        Some(Policy::Drop) => Verdict::Drop,
        _ => Verdict::Accept,
    };
    outcomes.extend(left.into_iter().map(|way| way.ends(verdict.clone(), Decider::Policy(&base.name))));
    Ok(Answer { outcomes })
}

/// One way through the rules so far.
#[derive(Clone)]
struct Way<'r> {
    packet: Packet,
    depends: Vec<Dependency<'r>>,
    path: Vec<Step<'r>>,
}

impl<'r> Way<'r> {
    fn ends(self, verdict: Verdict, decider: Decider<'r>) -> Outcome<'r> {
        Outcome { verdict, decider, depends: self.depends, path: self.path, packet: self.packet }
    }

    fn supposing(mut self, step: Step<'r>, name: &'static str, matches: bool) -> Self {
        self.depends.push(Dependency { step, name, matches });
        self
    }

    fn through(mut self, step: Step<'r>) -> Self {
        self.path.push(step);
        self
    }

    /// Takes in a way that has come to the same rule with the same packet: what only one of them supposed no longer matters,
    /// what only one of them met is no longer certain.
    fn join(&mut self, other: &Self) {
        self.depends.retain(|dependency| other.depends.contains(dependency));
        let common = self.path.iter().zip(&other.path).take_while(|(a, b)| a == b).count();
        let doubtful = |step: &Step<'r>| Step { certain: false, ..*step };
        let (shared, own) = self.path.split_at(common);
        let apart = own.iter().chain(other.path.get(common..).unwrap_or_default()).map(doubtful);
        self.path = shared.iter().copied().chain(apart).collect();
    }
}

/// Whether a rule's conditions hold, and if that is unknown, which match is to blame.
struct Met {
    holds: Tri,
    doubt: &'static str,
    /// A match had the packet dropped (`hotdrop`); `holds` is about the conditions before it.
    dropped: bool,
}

struct Walker<'r, 'e, 'h> {
    table: &'r Table,
    env: &'e mut Env<'h>,
    /// The chains being walked, outermost first.
    stack: Vec<&'r [u8]>,
    outcomes: Vec<Outcome<'r>>,
}

impl<'r> Walker<'r, '_, '_> {
    /// Walks a chain; returns the ways that leave it by its end or by RETURN.
    fn chain(&mut self, chain: &'r Chain, ways: Vec<Way<'r>>) -> Result<Vec<Way<'r>>, WalkError> {
        if self.stack.contains(&chain.name.as_slice()) {
            return Err(WalkError::Loop(chain.name.clone()));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(WalkError::TooDeep);
        }
        self.stack.push(chain.name.as_slice());
        let (mut ways, mut returned) = (ways, Vec::new());
        for (index, rule) in chain.rules.iter().enumerate() {
            if ways.is_empty() {
                break;
            }
            let step = Step { chain: chain.name.as_slice(), number: index + 1, rule, certain: true };
            let mut onward = Vec::new();
            for way in ways {
                self.rule(step, way, &mut onward, &mut returned)?;
            }
            ways = joined(onward);
        }
        self.stack.pop();
        returned.extend(ways);
        Ok(joined(returned))
    }

    /// Takes one way past one rule: into `onward` (to the next rule), `returned` (out of the chain), or to an outcome.
    fn rule(
        &mut self,
        step: Step<'r>,
        mut way: Way<'r>,
        onward: &mut Vec<Way<'r>>,
        returned: &mut Vec<Way<'r>>,
    ) -> Result<(), WalkError> {
        let Some(body) = &step.rule.body else {
            // Not understood: it may match or not, and do anything.
            let decider = Decider::Rule(step);
            self.outcomes.push(way.clone().through(step).supposing(step, "", true).ends(Verdict::Unknown, decider));
            onward.push(way.supposing(step, "", false));
            return Ok(());
        };
        let met = self.meets(step, body, &way.packet);
        if met.dropped {
            if met.holds == Tri::Unknown {
                onward.push(way.clone().supposing(step, met.doubt, false));
                way = way.supposing(step, met.doubt, true);
            }
            self.outcomes.push(way.ends(Verdict::Drop, Decider::Rule(step)));
            return Ok(());
        }
        match met.holds {
            Tri::False => onward.push(way),
            Tri::True => self.act(step, &body.action, way.through(step), onward, returned)?,
            Tri::Unknown => {
                onward.push(way.clone().supposing(step, met.doubt, false));
                let doubtful = Step { certain: false, ..step };
                let way = way.through(doubtful).supposing(step, met.doubt, true);
                self.act(step, &body.action, way, onward, returned)?;
            }
        }
        Ok(())
    }

    /// Whether the packet meets the conditions. As in the kernel nothing behind the first one that fails is looked at.
    fn meets(&mut self, step: Step<'r>, body: &Body, packet: &Packet) -> Met {
        let mut met = Met { holds: body.base.eval(packet), doubt: "", dropped: false };
        for (part, one) in (0..).zip(&body.matches) {
            if met.holds == Tri::False {
                break;
            }
            self.env.place = Place { rule: self.number_of(step), part };
            self.env.hotdrop = false;
            let holds = one.eval(packet, self.env);
            if self.env.hotdrop {
                met.dropped = true;
                break;
            }
            if holds == Tri::Unknown && met.doubt.is_empty() {
                met.doubt = one.spec().name;
            }
            met.holds = met.holds.and(holds);
        }
        met
    }

    /// A number of the rule that no other rule of the ruleset has: table, chain, place in the chain.
    fn number_of(&self, step: Step<'_>) -> u64 {
        let table = TABLES.iter().position(|name| *name == self.table.name()).unwrap_or(TABLES.len());
        let chain = self.table.position(step.chain).unwrap_or(0);
        ((table as u64) << 61) | ((chain as u64) << 32) | step.number as u64
    }

    fn act(
        &mut self,
        step: Step<'r>,
        action: &'r Action,
        mut way: Way<'r>,
        onward: &mut Vec<Way<'r>>,
        returned: &mut Vec<Way<'r>>,
    ) -> Result<(), WalkError> {
        let verdict = match action {
            Action::None => None,
            Action::Accept => Some(Verdict::Accept),
            Action::Drop => Some(Verdict::Drop),
            Action::Return => {
                returned.push(way);
                return Ok(());
            }
            Action::Jump(name) => {
                let back = self.chain(find(self.table, name)?, vec![way])?;
                onward.extend(back);
                return Ok(());
            }
            Action::Goto(name) => {
                // The end of that chain is the end of this one.
                let back = self.chain(find(self.table, name)?, vec![way])?;
                returned.extend(back);
                return Ok(());
            }
            Action::Target(target) => {
                self.env.place = Place { rule: self.number_of(step), part: u32::MAX };
                match target.apply(&mut way.packet, self.env) {
                    // What was logged stands in the path: the rule says it all.
                    Effect::Continue | Effect::Log { .. } => None,
                    Effect::Accept => Some(Verdict::Accept),
                    Effect::Drop => Some(Verdict::Drop),
                    Effect::Reject(with) => Some(Verdict::Reject(with)),
                    Effect::Queue(queues) => Some(Verdict::Queue(queues)),
                    Effect::Taken(how) => Some(Verdict::Taken(how)),
                    Effect::Proxy(proxy) => Some(Verdict::Proxy(proxy)),
                    Effect::Unknown => Some(Verdict::Unknown),
                    Effect::Nat(nat) => Some(Verdict::Nat(nat)),
                }
            }
        };
        match verdict {
            Some(verdict) => self.outcomes.push(way.ends(verdict, Decider::Rule(step))),
            None => onward.push(way),
        }
        Ok(())
    }
}

/// Makes one way of those that come to the same place with the same packet.
fn joined(ways: Vec<Way<'_>>) -> Vec<Way<'_>> {
    let mut result: Vec<Way<'_>> = Vec::with_capacity(ways.len());
    for way in ways {
        match result.iter_mut().find(|other| other.packet == way.packet) {
            Some(other) => other.join(&way),
            None => result.push(way),
        }
    }
    result
}

fn find<'r>(table: &'r Table, name: &[u8]) -> Result<&'r Chain, WalkError> {
    table.chain(name).ok_or_else(|| WalkError::NoChain(name.to_vec()))
}

#[cfg(test)]
mod tests;
