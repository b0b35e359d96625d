//! What the simulator says of a case, and what the kernel's counters say.
//!
//! A packet passes the tables raw, mangle, filter and security at its hooks; the first that does not accept it decides, else
//! the chain of table filter. Of table nat only POSTROUTING is asked, for the address that a packet leaves with.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::exit;
use super::super::sandbox::Failure;
use super::cases::{Case, Outcome, What};
use super::hosts::{ServerView, Who};
use crate::ext::{Action, Effect, NatAddr, PrintCx};
use crate::model::{Chain, Policy, Rule, Ruleset, Table};
use crate::packet::Packet;
use crate::packet::env::{Env, Place, State};
use crate::sim::{self, Verdict, walk};
use crate::types::{Family, Hook, NoNames, Out};

/// What decided: a rule or a policy, in the words of `-S`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decider {
    /// Table and chain, and the number of the rule; 0 for the policy.
    place: (Vec<u8>, Vec<u8>, usize),
    /// The rule as `-S` prints it.
    pub(super) text: String,
}

/// What the simulator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prediction {
    /// What becomes of the packet; `None` if that cannot be said.
    pub(super) outcome: Option<Outcome>,
    /// What decides; `None` if that cannot be said.
    pub(super) decider: Option<Decider>,
    /// The address that it leaves with, if that is not its own.
    pub(super) source: Option<IpAddr>,
}

/// The simulator with what the rules remember from packet to packet.
pub(super) struct Predictor {
    state: State,
}

impl Predictor {
    pub(super) fn new() -> Self {
        Self { state: State::default() }
    }

    /// Walks the case's packet (of a conversation the first) through the rules.
    pub(super) fn predict(
        &mut self,
        rules: &Ruleset,
        case: &Case,
        family: Family,
        number: u16,
    ) -> Result<Prediction, Failure> {
        let mut packet = case.packet(family, number);
        let mut decider = None;
        for (table, hook) in path(rules, case.hook()) {
            let at = self.walk(table, hook, &packet)?;
            let Some((verdict, at_rule, left)) = at else {
                return Ok(Prediction { outcome: None, decider: None, source: None });
            };
            packet = left;
            let outcome = match verdict {
                Verdict::Accept | Verdict::Nat(_) => Outcome::Through,
                Verdict::Drop => Outcome::Dropped,
                Verdict::Reject(_) => Outcome::Rejected,
                Verdict::Queue | Verdict::Unknown => {
                    return Ok(Prediction { outcome: None, decider: Some(at_rule), source: None });
                }
            };
            if outcome != Outcome::Through {
                return Ok(Prediction { outcome: Some(outcome), decider: Some(at_rule), source: None });
            }
            if decider.is_none() || table.name() == b"filter" {
                decider = Some(at_rule);
            }
        }
        let source = self.source(rules, case, family, &packet)?;
        Ok(Prediction { outcome: Some(Outcome::Through), decider, source })
    }

    /// The address that a packet which goes out gets by table nat.
    fn source(
        &mut self,
        rules: &Ruleset,
        case: &Case,
        family: Family,
        packet: &Packet,
    ) -> Result<Option<IpAddr>, Failure> {
        let nat = rules.table(b"nat").filter(|nat| nat.chain(b"POSTROUTING").is_some());
        let (Some(nat), true) = (nat, case.to != Who::Server) else { return Ok(None) };
        Ok(match self.walk(nat, Hook::Postrouting, packet)? {
            Some((Verdict::Nat(nat), ..)) if nat.source => match nat.addr {
                NatAddr::Own => Some(Who::Server.address(family)),
                NatAddr::Range(first, last) if first == last => Some(first),
                _ => None,
            },
            _ => None,
        }
        .filter(|source| *source != packet.src()))
    }

    /// Verdict, decider and the packet as it left; `None` if it depends on something that is not known.
    fn walk(
        &mut self,
        table: &Table,
        hook: Hook,
        packet: &Packet,
    ) -> Result<Option<(Verdict, Decider, Packet)>, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut random = || 0;
        let mut env = Env {
            hook,
            now_ns: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            host: &ServerView,
            state: &mut self.state,
            random: &mut random,
            place: Place::default(),
            hotdrop: false,
        };
        let answer = walk(table, hook.chain().as_bytes(), packet, &mut env).map_err(|error| Failure {
            text: format!("the simulator cannot walk the rules: {error}"),
            code: exit::OTHER,
        })?;
        let family = packet.family();
        Ok(answer.certain().map(|outcome| {
            let decider = match outcome.decider {
                sim::Decider::Rule(step) => rule_decider(table, step.chain, step.number, step.rule, family),
                sim::Decider::Policy(chain) => policy_decider(table, chain),
            };
            (outcome.verdict.clone(), decider, outcome.packet.clone())
        }))
    }
}

/// What decided in the kernel, by the counters before and after. Of a conversation, whose packets may be decided by several
/// rules, it is `expected` if that is among them.
pub(super) fn decided(before: &Ruleset, after: &Ruleset, case: &Case, expected: Option<&Decider>) -> Decider {
    let mut decider = None;
    for (table, hook) in path(after, case.hook()) {
        let Some(old) = before.table(table.name()) else { continue };
        let mut hits = Vec::new();
        hit_rules(old, table, hook.chain().as_bytes(), before.family, &mut hits);
        let among = expected.filter(|expected| hits.iter().any(|(hit, _)| hit == *expected));
        let (hit, lets_go) = match (among, hits.pop()) {
            (Some(expected), _) if case.what == What::Http => (expected.clone(), true),
            (_, Some((hit, rule))) => (hit, rule.body.as_ref().is_some_and(|body| body.action == Action::Accept)),
            (_, None) => {
                let policy = table.chain(hook.chain().as_bytes()).and_then(|chain| chain.policy);
                (policy_decider(table, hook.chain().as_bytes()), policy != Some(Policy::Drop))
            }
        };
        if !lets_go {
            return hit;
        }
        if decider.is_none() || table.name() == b"filter" {
            decider = Some(hit);
        }
    }
    decider.unwrap_or(Decider { place: Default::default(), text: "no rules".to_owned() })
}

/// The chains that judge a packet of this hook, in order, as far as they are there.
fn path(rules: &Ruleset, hook: Hook) -> impl Iterator<Item = (&Table, Hook)> {
    let first = if hook == Hook::Output { None } else { Some(Hook::Prerouting) };
    let last = if hook == Hook::Input { None } else { Some(Hook::Postrouting) };
    let hooks = first.into_iter().chain([hook]).chain(last);
    hooks
        .flat_map(|hook| [b"raw".as_slice(), b"mangle", b"filter", b"security"].map(|table| (table, hook)))
        .filter_map(|(name, hook)| rules.table(name).map(|table| (table, hook)))
        .filter(|(table, hook)| table.chain(hook.chain().as_bytes()).is_some())
}

/// The rules that decide, in the order of the walk, of which the counter has grown.
fn hit_rules<'r>(old: &Table, new: &'r Table, name: &[u8], family: Family, hits: &mut Vec<(Decider, &'r Rule)>) {
    let (Some(old_chain), Some(chain)) = (old.chain(name), new.chain(name)) else { return };
    for (number, (was, rule)) in (1..).zip(old_chain.rules.iter().zip(&chain.rules)) {
        if was.counters.packets == rule.counters.packets {
            continue;
        }
        match rule.body.as_ref().map(|body| &body.action) {
            Some(Action::Jump(next) | Action::Goto(next)) => hit_rules(old, new, next, family, hits),
            Some(action) if !ends(action) => {}
            _ => hits.push((rule_decider(new, name, number, rule, family), rule)),
        }
    }
}

/// Whether an action ends the walk. What a target does is asked of the target itself.
fn ends(action: &Action) -> bool {
    match action {
        Action::Accept | Action::Drop => true,
        Action::None | Action::Return | Action::Jump(_) | Action::Goto(_) => false,
        Action::Target(target) => {
            let (mut state, mut random) = (State::default(), || 0);
            let mut env = Env {
                hook: Hook::Input,
                now_ns: 0,
                host: &ServerView,
                state: &mut state,
                random: &mut random,
                place: Place::default(),
                hotdrop: false,
            };
            let mut packet = crate::packet::build::Ipv4::default() / crate::packet::build::Tcp::default();
            !matches!(target.apply(&mut packet, &mut env), Effect::Continue | Effect::Log { .. })
        }
    }
}

fn rule_decider(table: &Table, chain: &[u8], number: usize, rule: &Rule, family: Family) -> Decider {
    let mut out = Out::new();
    out.str(&prefix(table));
    out.str("-A ");
    out.bytes(chain);
    match &rule.body {
        Some(body) => body.save(&mut out, &PrintCx { family, numeric: true, names: &NoNames, protocol: None }, None),
        None => out.str(" (not a rule of iptables)"),
    }
    Decider { place: (table.name().to_vec(), chain.to_vec(), number), text: text_of(out) }
}

fn policy_decider(table: &Table, chain: &[u8]) -> Decider {
    let policy = match table.chain(chain) {
        Some(Chain { policy: Some(Policy::Drop), .. }) => "DROP",
        _ => "ACCEPT",
    };
    let text = format!("{}-P {} {policy}", prefix(table), String::from_utf8_lossy(chain));
    Decider { place: (table.name().to_vec(), chain.to_vec(), 0), text }
}

/// `-t TABLE ` for tables other than filter.
fn prefix(table: &Table) -> String {
    match table.name() {
        b"filter" => String::new(),
        name => format!("-t {} ", String::from_utf8_lossy(name)),
    }
}

fn text_of(out: Out) -> String {
    String::from_utf8_lossy(&out.into_bytes()).into_owned()
}
