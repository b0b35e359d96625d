//! Plans on the real kernel: carried out they yield what was wanted, taken back they leave what was, both families in one transaction.

mod common;

use common::with_namespaces;
use oxtables::cli::{Streams, restore_text};
use oxtables::ext::{Action, Body};
use oxtables::kernel::change::{Change, Undo, carry_out, take_back};
use oxtables::kernel::netns::Namespace;
use oxtables::kernel::{Batch, CommitError, RulePlace, Session, ruleset};
use oxtables::model::diff::{Planning, plan};
use oxtables::model::{Policy, Ruleset, Table};
use oxtables::types::{Family, NoNames};

const BOTH: [Family; 2] = [Family::V4, Family::V6];

fn stock(_: &Body) -> bool {
    false
}

/// A pseudo-random generator: the tests are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }

    /// A file with a few chains and rules that lead from chain to chain downwards.
    fn file(&mut self) -> String {
        let mut text = format!("*filter\n:INPUT {} [0:0]\n", self.one(&["ACCEPT", "DROP"]));
        if self.below(2) == 0 {
            text += &format!(":FORWARD {} [0:0]\n", self.one(&["ACCEPT", "DROP"]));
        }
        let chains: Vec<String> = (0..4).filter(|_| self.below(3) > 0).map(|n| format!("c{n}")).collect();
        chains.iter().for_each(|chain| text += &format!(":{chain} - [0:0]\n"));
        for _ in 0..self.below(12) {
            let at = self.below(chains.len() as u64 + 1) as usize;
            let from = if at == 0 { "INPUT" } else { &chains[at - 1] };
            let below = &chains[at..];
            let target = if below.is_empty() || self.below(2) == 0 {
                self.one(&["ACCEPT", "DROP", "RETURN", "LOG"]).to_owned()
            } else {
                below[self.below(below.len() as u64) as usize].clone()
            };
            let what = self.one(&[
                "-i lo",
                "-p tcp -m tcp --dport 22",
                "-p udp",
                "-m mark --mark 0x1",
                "-m limit --limit 5/min",
            ]);
            text += &format!("[{}:{}] -A {from} {what} -j {target}\n", self.below(9), self.below(900));
        }
        text + "COMMIT\n*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j MARK --set-xmark 0x1/0x1\nCOMMIT\n"
    }
}

fn restore(text: &str) {
    for family in BOTH {
        let mut io = Streams::default();
        restore_text(family, &NoNames, text.as_bytes(), &mut io)
            .unwrap_or_else(|_| panic!("{}{text}", String::from_utf8_lossy(io.err.as_bytes())));
    }
}

fn read(session: &mut Session) -> Vec<Ruleset> {
    BOTH.iter().map(|family| ruleset(session, *family).unwrap()).collect()
}

/// A ruleset without its handles, and without counters unless they are asked for.
fn said(rulesets: &[Ruleset], counters: bool) -> Vec<String> {
    let mut text = Vec::new();
    for ruleset in rulesets {
        for chain in ruleset.tables.iter().flat_map(Table::chains) {
            // A built-in chain that is not there does the same.
            if chain.rules.is_empty() && chain.policy == Some(Policy::Accept) {
                continue;
            }
            text.push(format!("{} {} {:?}", ruleset.family, String::from_utf8_lossy(&chain.name), chain.policy));
            for rule in &chain.rules {
                text.push(format!("{:?} {:?}", rule.body, if counters { rule.counters } else { Default::default() }));
            }
        }
    }
    text
}

fn changes(live: &[Ruleset], wanted: &[Ruleset]) -> Vec<Change> {
    let planning = Planning { names: &NoNames, replace_all: false };
    let one = |(live, wanted): (&Ruleset, &Ruleset)| Change {
        plan: plan(live, wanted, &planning),
        live: live.clone(),
        wanted: wanted.clone(),
    };
    live.iter().zip(wanted).map(one).collect()
}

/// What a text means, in a namespace of its own.
fn meaning(text: &str) -> Vec<Ruleset> {
    Namespace::new().unwrap().run(|| (restore(text), read(&mut Session::open().unwrap())).1).unwrap()
}

fn apply(session: &mut Session, wanted: &str) -> (Vec<Change>, Undo) {
    let wanted = meaning(wanted);
    let generation = session.generation().unwrap();
    let changes = changes(&read(session), &wanted);
    let undo = carry_out(session, &changes, &stock, generation).unwrap();
    (changes, undo)
}

#[test]
fn there_and_back() {
    with_namespaces("there_and_back", || {
        let mut random = Random(2026);
        for _ in 0..60 {
            let (old, new) = (random.file(), random.file());
            Namespace::new()
                .unwrap()
                .run(|| {
                    restore(&old);
                    let mut session = Session::open().unwrap();
                    let before = read(&mut session);
                    let (changes, undo) = apply(&mut session, &new);
                    let after = read(&mut session);
                    let outcome: Vec<_> = changes.iter().map(Change::outcome).collect();
                    assert_eq!(sorted(said(&after, true)), sorted(said(&outcome, true)), "{old}\n{new}");
                    // A restore yields the same.
                    restore(&new);
                    assert_eq!(sorted(said(&read(&mut session), false)), sorted(said(&after, false)), "{old}\n{new}");
                    restore(&old);
                    let (_, undo_again) = (undo, apply(&mut session, &new).1);
                    let foreign = take_back(&mut session, &undo_again, &stock).unwrap();
                    assert_eq!(foreign, []);
                    assert_eq!(sorted(said(&read(&mut session), false)), sorted(said(&before, false)), "{old}\n{new}");
                })
                .unwrap();
        }
    });
}

/// The chains in any order: a chain that comes back stands behind the others.
fn sorted(text: Vec<String>) -> Vec<String> {
    let mut chains: Vec<String> = Vec::new();
    for line in text {
        match chains.last_mut() {
            Some(last) if !line.starts_with("IPv") => last.push_str(&line),
            _ => chains.push(line),
        }
    }
    chains.sort();
    chains
}

#[test]
fn rules_that_stay_keep_handle_and_counters() {
    with_namespaces("rules_that_stay_keep_handle_and_counters", || {
        let text = |middle: &str| {
            format!("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n{middle}-A INPUT -p tcp -j DROP\nCOMMIT\n")
        };
        restore(&text("-A INPUT -p udp -j ACCEPT\n"));
        let mut session = Session::open().unwrap();
        let handles = |session: &mut Session| -> Vec<u64> {
            read(session)[0].tables[0].chains()[0].rules.iter().map(|r| r.handle).collect()
        };
        let before = handles(&mut session);
        let (changes, undo) = apply(&mut session, &text("-A INPUT -p icmp -j ACCEPT\n"));
        let after = handles(&mut session);
        assert_eq!((before[0], before[2]), (after[0], after[2]));
        assert_ne!(before[1], after[1]);
        assert_eq!(changes[0].plan.count(), (1, 1));
        take_back(&mut session, &undo, &stock).unwrap();
        let back = handles(&mut session);
        assert_eq!((before[0], before[2]), (back[0], back[2]));
    });
}

#[test]
fn what_others_did_meanwhile_stays() {
    with_namespaces("what_others_did_meanwhile_stays", || {
        restore("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -j DROP\nCOMMIT\n");
        let mut session = Session::open().unwrap();
        let new = "*filter\n:INPUT DROP [0:0]\n:new - [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j new\n-A new -j ACCEPT\nCOMMIT\n";
        let (_, undo) = apply(&mut session, new);
        let mut others = Batch::new(Family::V4);
        let drop = Body { action: Action::Drop, ..Body::default() };
        for (chain, place) in [(&b"INPUT"[..], RulePlace::First), (b"new", RulePlace::Append)] {
            others.rule(b"filter", chain, place, None, None, |x| drop.encode(Family::V4, 0, 0, x));
        }
        session.commit(&others, None).unwrap();
        let foreign = take_back(&mut session, &undo, &stock).unwrap();
        let text: Vec<_> = foreign.iter().map(|f| f.text.as_str()).collect();
        assert_eq!(
            text,
            [
                "IPv4 filter chain INPUT: rules that another program added meanwhile stay",
                "IPv4 filter chain new: rules that another program added meanwhile stay",
                "IPv4 filter chain new: another program uses it now, so it stays",
            ]
        );
        let wanted = meaning(
            "*filter\n:INPUT ACCEPT [0:0]\n:new - [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -j DROP\nCOMMIT\n",
        );
        let now = read(&mut session);
        assert_eq!(
            said(&now[1..], false),
            said(&wanted[1..], false).into_iter().filter(|l| !l.contains(" new ")).collect::<Vec<_>>()
        );
        let input = &now[0].tables[0].chain(b"INPUT").unwrap().rules;
        assert_eq!(input.len(), 3);
        assert_eq!(now[0].tables[0].chain(b"new").unwrap().rules.len(), 1);
    });
}

#[test]
fn a_stale_plan_is_not_carried_out() {
    with_namespaces("a_stale_plan_is_not_carried_out", || {
        restore("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n");
        let mut session = Session::open().unwrap();
        let generation = session.generation().unwrap();
        let wanted = meaning("*filter\n:INPUT DROP [0:0]\nCOMMIT\n");
        let changes = changes(&read(&mut session), &wanted);
        restore("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n");
        let outcome = carry_out(&mut session, &changes, &stock, generation);
        assert!(matches!(outcome, Err(CommitError::Stale)), "{outcome:?}");
        assert_eq!(read(&mut session)[0].tables[0].chains()[0].rules.len(), 1);
    });
}
