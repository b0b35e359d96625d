//! Walks over small rulesets made by hand.

use super::*;
use crate::ext::{Extension, Match, matches};
use crate::packet::build::{Ipv4, Tcp};
use crate::packet::env::{State, UnknownHost};
use crate::types::{Family, Hook, Network};

fn chain(name: &str, policy: Option<Policy>, bodies: Vec<Body>) -> Chain {
    let rules = bodies.into_iter().map(Rule::from).collect();
    Chain { name: name.into(), policy, rules, ..Chain::default() }
}

fn table(chains: Vec<Chain>) -> Table {
    let mut table = Table::new(b"filter");
    chains.into_iter().for_each(|chain| table.add(chain));
    table
}

fn all(action: Action) -> Body {
    Body { action, ..Body::default() }
}

fn from(last: u8, action: Action) -> Body {
    let network = Network::host([192, 0, 2, last].into());
    let base = crate::ext::Base { src: Some((network, false)), ..Default::default() };
    Body { base, action, ..Body::default() }
}

fn jump(name: &str) -> Action {
    Action::Jump(name.as_bytes().into())
}

fn goto(name: &str) -> Action {
    Action::Goto(name.as_bytes().into())
}

fn packet() -> Packet {
    Ipv4 { src: [192, 0, 2, 7].into(), ..Ipv4::default() } / Tcp::default()
}

fn with_env<T>(work: impl FnOnce(&mut Env<'_>) -> T) -> T {
    let (mut state, mut random) = (State::default(), || 0);
    let place = Place::default();
    work(&mut Env {
        hook: Hook::Input,
        now_ns: 0,
        host: &UnknownHost,
        state: &mut state,
        random: &mut random,
        place,
        hotdrop: false,
    })
}

fn walked(table: &Table) -> Result<Answer<'_>, WalkError> {
    with_env(|env| walk(table, b"INPUT", &packet(), env))
}

/// The certain verdict, and where it was decided.
fn certain(table: &Table) -> (Verdict, String) {
    let answer = walked(table).unwrap();
    let only = answer.certain().unwrap_or_else(|| panic!("not certain: {answer:?}"));
    let at = match only.decider {
        Decider::Rule(step) => format!("{} {}", String::from_utf8_lossy(step.chain), step.number),
        Decider::Policy(chain) => format!("{} policy", String::from_utf8_lossy(chain)),
    };
    (only.verdict.clone(), at)
}

#[test]
fn the_first_rule_that_matches_decides() {
    let input = vec![from(1, Action::Drop), from(7, Action::Accept), all(Action::Drop)];
    assert_eq!(certain(&table(vec![chain("INPUT", Some(Policy::Drop), input)])), (Verdict::Accept, "INPUT 2".into()));
}

#[test]
fn without_a_match_the_policy_decides() {
    let input = vec![from(1, Action::Accept), all(Action::None)];
    let table = table(vec![chain("INPUT", Some(Policy::Drop), input)]);
    assert_eq!(certain(&table), (Verdict::Drop, "INPUT policy".into()));
    assert_eq!(walked(&table).unwrap().outcomes[0].path.len(), 1);
}

#[test]
fn the_end_of_a_chain_and_return_lead_back_behind_the_jump() {
    let input = vec![all(jump("END")), all(jump("RETURNS")), all(Action::Accept)];
    let returns = vec![all(Action::Return), all(Action::Drop)];
    let table = table(vec![
        chain("INPUT", Some(Policy::Drop), input),
        chain("END", None, vec![]),
        chain("RETURNS", None, returns),
    ]);
    assert_eq!(certain(&table), (Verdict::Accept, "INPUT 3".into()));
}

#[test]
fn return_in_a_base_chain_is_its_policy() {
    let input = vec![all(Action::Return), all(Action::Accept)];
    let table = table(vec![chain("INPUT", Some(Policy::Drop), input)]);
    assert_eq!(certain(&table), (Verdict::Drop, "INPUT policy".into()));
}

#[test]
fn the_end_of_a_goto_chain_is_the_end_of_the_chain_that_it_left() {
    // INPUT jumps to A, A goes to B; the end of B leads behind the jump in INPUT, not into the rest of A.
    let table = table(vec![
        chain("INPUT", Some(Policy::Drop), vec![all(jump("A")), all(Action::Accept)]),
        chain("A", None, vec![all(goto("B")), all(Action::Drop)]),
        chain("B", None, vec![all(Action::None)]),
    ]);
    assert_eq!(certain(&table), (Verdict::Accept, "INPUT 2".into()));
}

#[test]
fn a_goto_from_a_base_chain_ends_with_its_policy() {
    let table = table(vec![
        chain("INPUT", Some(Policy::Drop), vec![all(goto("A")), all(Action::Accept)]),
        chain("A", None, vec![all(Action::Return)]),
    ]);
    assert_eq!(certain(&table), (Verdict::Drop, "INPUT policy".into()));
}

#[test]
fn loops_missing_chains_and_too_deep_ones_are_errors() {
    let looped = table(vec![
        chain("INPUT", Some(Policy::Accept), vec![all(jump("A"))]),
        chain("A", None, vec![all(goto("B"))]),
        chain("B", None, vec![all(jump("A"))]),
    ]);
    assert_eq!(walked(&looped), Err(WalkError::Loop(b"A".to_vec())));
    let missing = table(vec![chain("INPUT", Some(Policy::Accept), vec![all(jump("nowhere"))])]);
    assert_eq!(walked(&missing), Err(WalkError::NoChain(b"nowhere".to_vec())));
    assert_eq!(walked(&table(vec![])), Err(WalkError::NoChain(b"INPUT".to_vec())));
    let nested = |count: u32| {
        let mut chains = vec![chain("INPUT", Some(Policy::Accept), vec![all(jump("1"))])];
        chains.extend((1..count).map(|n| chain(&n.to_string(), None, vec![all(jump(&(n + 1).to_string()))])));
        chains.push(chain(&count.to_string(), None, vec![]));
        table(chains)
    };
    assert!(walked(&nested(15)).is_ok());
    assert_eq!(walked(&nested(16)), Err(WalkError::TooDeep));
}

#[test]
fn a_chain_may_be_met_twice_if_it_is_no_loop() {
    let table = table(vec![
        chain("INPUT", Some(Policy::Drop), vec![all(jump("A")), all(jump("A")), all(Action::Accept)]),
        chain("A", None, vec![all(Action::None)]),
    ]);
    assert_eq!(certain(&table), (Verdict::Accept, "INPUT 3".into()));
}

/// A rule that is not understood makes both ways possible.
fn opaque() -> Rule {
    Rule { body: None, ..Rule::from(Body::default()) }
}

#[test]
fn a_rule_that_is_not_understood_leaves_both_ways_open() {
    let mut input = chain("INPUT", Some(Policy::Drop), vec![all(Action::Accept)]);
    input.rules.insert(0, opaque());
    let table = table(vec![input]);
    let answer = walked(&table).unwrap();
    assert!(answer.certain().is_none() && answer.verdict().is_none());
    let ends: Vec<_> = answer.outcomes.iter().map(|o| (o.verdict.clone(), o.depends[0].matches)).collect();
    assert_eq!(ends, [(Verdict::Unknown, true), (Verdict::Accept, false)]);
    assert_eq!(answer.outcomes[1].depends[0].step.number, 1);
}

/// A rule whose condition is unknown where conntrack's state was not given.
fn doubtful(action: Action) -> Body {
    Body { matches: vec![unknown_match()], action, ..Body::default() }
}

fn unknown_match() -> Match {
    Match::new(b"state", Family::V4)
        .map(|mut m| {
            let cx = crate::ext::ParseCx { family: Family::V4, names: &crate::types::NoNames, protocol: None };
            let spec = m.spec();
            let option = spec.options.iter().find(|o| o.name == "state").unwrap();
            let given = crate::ext::options::give(spec, option, false, 0, b"NEW", &cx).unwrap();
            m.set(&given, &cx).unwrap();
            m
        })
        .unwrap()
}

#[test]
fn an_unknown_condition_follows_both_ways_and_says_on_what_they_depend() {
    let table = table(vec![chain("INPUT", Some(Policy::Accept), vec![doubtful(Action::Drop)])]);
    let answer = walked(&table).unwrap();
    let ends: Vec<_> =
        answer.outcomes.iter().map(|o| (o.verdict.clone(), o.depends[0].name, o.depends[0].matches)).collect();
    assert_eq!(ends, [(Verdict::Drop, "state", true), (Verdict::Accept, "state", false)]);
}

#[test]
fn ways_that_come_together_again_depend_on_nothing() {
    let input = vec![doubtful(jump("A")), doubtful(Action::None), all(Action::Accept)];
    let table = table(vec![chain("INPUT", Some(Policy::Drop), input), chain("A", None, vec![all(Action::Return)])]);
    assert_eq!(certain(&table), (Verdict::Accept, "INPUT 3".into()));
    let path = walked(&table).unwrap().outcomes[0].path.clone();
    let sure: Vec<_> = path.iter().map(|step| (step.number, step.certain)).collect();
    assert_eq!(sure, [(1, false), (1, false), (2, false), (3, true)]);
}

#[test]
fn many_unknown_rules_stay_linear() {
    let input = (0..2000).map(|_| doubtful(jump("A"))).collect();
    let table = table(vec![chain("INPUT", Some(Policy::Drop), input), chain("A", None, vec![all(Action::None)])]);
    assert_eq!(certain(&table), (Verdict::Drop, "INPUT policy".into()));
}

#[test]
fn a_mark_that_may_have_been_set_keeps_the_ways_apart() {
    let mut set = crate::ext::Target::new(b"MARK", Family::V4).unwrap();
    let cx = crate::ext::ParseCx { family: Family::V4, names: &crate::types::NoNames, protocol: None };
    let spec = set.spec();
    let given = crate::ext::options::give(spec, &spec.options[0], false, 0, b"0x1", &cx).unwrap();
    set.set(&given, &cx).unwrap();
    let is = Match::Mark(matches::mark::Mark::new(Family::V4));
    let marked = Body { matches: vec![is], action: Action::Drop, ..Body::default() };
    let table = table(vec![chain("INPUT", Some(Policy::Accept), vec![doubtful(Action::Target(set)), marked])]);
    let answer = walked(&table).unwrap();
    let marks: Vec<_> = answer.outcomes.iter().map(|o| (o.verdict.clone(), o.packet.meta.mark)).collect();
    assert_eq!(marks, [(Verdict::Drop, 0), (Verdict::Accept, 1)]);
}
