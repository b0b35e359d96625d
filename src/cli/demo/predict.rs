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
use crate::ext::{Action, Effect, NatAddr, PrintCx, Target};
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
    /// Whether a LOG rule sees it.
    pub(super) logged: bool,
}

/// What the kernel's counters say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    /// What decided.
    pub(super) decider: Decider,
    /// Whether a LOG rule saw it.
    pub(super) logged: bool,
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
        let mut said = Prediction { outcome: Some(Outcome::Through), decider: None, source: None, logged: false };
        for (table, hook) in path(rules, case.hook()) {
            let Some(step) = self.walk(table, hook, &packet)? else {
                return Ok(Prediction { outcome: None, decider: None, ..said });
            };
            packet = step.packet;
            said.logged |= step.logged;
            let outcome = match step.verdict {
                Verdict::Accept | Verdict::Nat(_) => Some(Outcome::Through),
                Verdict::Drop => Some(Outcome::Dropped),
                Verdict::Reject(_) => Some(Outcome::Rejected),
                Verdict::Queue(_) | Verdict::Taken(_) | Verdict::Proxy(_) | Verdict::Unknown => None,
            };
            if outcome != Some(Outcome::Through) {
                return Ok(Prediction { outcome, decider: Some(step.decider), ..said });
            }
            if said.decider.is_none() || table.name() == b"filter" {
                said.decider = Some(step.decider);
            }
        }
        said.source = self.source(rules, case, family, &packet)?;
        Ok(said)
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
            Some(Walked { verdict: Verdict::Nat(nat), .. }) if nat.source => match nat.addr {
                NatAddr::Own => Some(Who::Server.address(family)),
                NatAddr::Range(first, last) if first == last => Some(first),
                _ => None,
            },
            _ => None,
        }
        .filter(|source| *source != packet.src()))
    }

    /// Walks one chain; `None` if it depends on something that is not known.
    fn walk(&mut self, table: &Table, hook: Hook, packet: &Packet) -> Result<Option<Walked>, Failure> {
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
            let logged = outcome.path.iter().any(|step| logs(step.rule));
            Walked { verdict: outcome.verdict.clone(), decider, packet: outcome.packet.clone(), logged }
        }))
    }
}

/// One chain's part of a packet's way.
struct Walked {
    verdict: Verdict,
    decider: Decider,
    packet: Packet,
    logged: bool,
}

/// What happened in the kernel, by the counters before and after. Of a conversation, whose packets may be decided by several
/// rules, the decider is `expected` if that is among them.
pub(super) fn counted(before: &Ruleset, after: &Ruleset, case: &Case, expected: Option<&Decider>) -> Counted {
    let (mut decider, mut logged) = (None, false);
    for (table, hook) in path(after, case.hook()) {
        let Some(old) = before.table(table.name()) else { continue };
        let base = hook.chain().as_bytes();
        let mut hits = Vec::new();
        hit_rules(old, table, base, &mut hits);
        logged |= hits.iter().any(|hit| logs(hit.rule));
        let deciders: Vec<&Hit<'_>> =
            hits.iter().filter(|hit| hit.rule.body.as_ref().is_none_or(|b| ends(&b.action))).collect();
        let told = |hit: &Hit<'_>| rule_decider(table, hit.chain, hit.number, hit.rule, before.family);
        let among = expected.filter(|expected| deciders.iter().any(|hit| told(hit) == **expected));
        let (this, lets_go) = match (among, deciders.last()) {
            (Some(expected), _) if matches!(case.what, What::Talk(_)) => (expected.clone(), true),
            (_, Some(hit)) => (told(hit), hit.rule.body.as_ref().is_some_and(|body| body.action == Action::Accept)),
            (_, None) => {
                let policy = table.chain(base).and_then(|chain| chain.policy);
                (policy_decider(table, base), policy != Some(Policy::Drop))
            }
        };
        if !lets_go {
            return Counted { decider: this, logged };
        }
        if decider.is_none() || table.name() == b"filter" {
            decider = Some(this);
        }
    }
    let decider = decider.unwrap_or(Decider { place: Default::default(), text: "no rules".to_owned() });
    Counted { decider, logged }
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

/// A rule of which the counter has grown.
struct Hit<'r> {
    chain: &'r [u8],
    number: usize,
    rule: &'r Rule,
}

/// Collects the rules of which the counter has grown, in the order of the walk; jumps themselves are left out.
fn hit_rules<'r>(old: &Table, new: &'r Table, name: &[u8], hits: &mut Vec<Hit<'r>>) {
    let (Some(old_chain), Some(chain)) = (old.chain(name), new.chain(name)) else { return };
    for (number, (was, rule)) in (1..).zip(old_chain.rules.iter().zip(&chain.rules)) {
        if was.counters.packets == rule.counters.packets {
            continue;
        }
        match rule.body.as_ref().and_then(|body| body.action.chain()) {
            Some(next) => hit_rules(old, new, next, hits),
            None => hits.push(Hit { chain: &chain.name, number, rule }),
        }
    }
}

/// Whether it is a LOG rule.
fn logs(rule: &Rule) -> bool {
    rule.body.as_ref().is_some_and(|body| matches!(body.action, Action::Target(Target::Log(_))))
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
