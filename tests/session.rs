//! The nf_tables session on the real kernel: what it reads, what it commits, and how it fails. Each test has a namespace of its own.

mod common;

use std::ops::ControlFlow;

use common::with_namespaces;
use oxtables::compile::{Raised, Raiser};
use oxtables::ext::{Action, Body};
use oxtables::kernel::netns::Namespace;
use oxtables::kernel::{Batch, CommitError, Error, Event, OpKind, RulePlace, Session};
use oxtables::model::builtins;
use oxtables::types::{Counters, Family};
use oxtables::wire::msg::RuleMsg;

const V4: Family = Family::V4;

/// Runs a test with an open session in a fresh namespace.
fn with_session(name: &str, test: impl FnOnce(&mut Session) + Send) {
    with_namespaces(name, || {
        let namespace = Namespace::new().unwrap();
        namespace.run(|| test(&mut Session::open().unwrap())).unwrap();
    });
}

/// A batch with the table `filter` and its chain INPUT.
fn filter_input() -> Batch {
    let mut batch = Batch::new(V4);
    batch.add_table(b"filter");
    let input = &builtins(V4, b"filter").unwrap()[0];
    batch.add_base_chain(b"filter", input, Some(1), Some(Counters::default()), OpKind::ChainAdd);
    batch
}

fn accept_from(batch: &mut Batch, chain: &[u8], place: RulePlace, protocol: u8) {
    let body = Body { action: Action::Accept, ..Body::default() };
    batch.rule(b"filter", chain, place, Some((0, 0)), None, |x| {
        let base = oxtables::ext::Base { protocol: Some((protocol, false)), ..Default::default() };
        Body { base, ..body }.encode(V4, 7, 9, x);
    });
}

/// The handle and the protocol of each rule of a chain of `filter`.
fn protocols(session: &mut Session, chain: &[u8]) -> Vec<(u64, u8)> {
    let mut raiser = Raiser::new(V4);
    let mut rules = Vec::new();
    let mut each = |event: Event<'_>| {
        match event {
            Event::Restart => rules.clear(),
            Event::Rule(RuleMsg { handle, exprs, userdata, .. }) => {
                let Raised::Rule(body, _) = raiser.raise(exprs, *userdata) else { panic!("not a rule of ours") };
                rules.push((*handle, body.base.protocol.map_or(0, |(p, _)| p)));
            }
        }
        ControlFlow::Continue(())
    };
    session.rules(V4, b"filter", chain, &mut each).unwrap();
    rules
}

#[test]
fn an_empty_kernel_has_nothing() {
    with_session("an_empty_kernel_has_nothing", |s| {
        assert!(s.generation().unwrap() > 0);
        assert_eq!(s.table(V4, b"filter"), Ok(None));
        assert_eq!(s.table(V4, &[b'x'; 500]), Ok(None));
        assert_eq!(s.chain(V4, b"filter", b"INPUT"), Ok(None));
        assert_eq!(s.tables(V4), Ok(vec![]));
        assert_eq!(s.chains(V4, None), Ok(vec![]));
        assert_eq!(s.sets(V4, b"filter"), Ok(vec![]));
        assert_eq!(s.has_objects(V4, b"filter"), Ok(false));
        assert_eq!(protocols(s, b"INPUT"), []);
    });
}

#[test]
fn what_is_committed_is_read_back() {
    with_session("what_is_committed_is_read_back", |s| {
        let mut batch = filter_input();
        batch.add_chain(b"filter", b"user", true);
        accept_from(&mut batch, b"INPUT", RulePlace::Append, 6);
        accept_from(&mut batch, b"INPUT", RulePlace::First, 17);
        let generation = s.generation().unwrap();
        s.commit(&batch, Some(generation)).unwrap();
        assert_ne!(s.generation().unwrap(), generation);

        let table = s.table(V4, b"filter").unwrap().unwrap();
        assert_eq!((table.name.as_slice(), table.flags, table.uses), (&b"filter"[..], 0, 2));
        assert_eq!(s.tables(V4).unwrap(), [table]);
        assert_eq!(s.tables(Family::V6), Ok(vec![]));
        let input = s.chain(V4, b"filter", b"INPUT").unwrap().unwrap();
        let base = input.base.clone().unwrap();
        assert_eq!((base.hook, base.priority, base.ty.as_slice(), base.policy), (1, 0, &b"filter"[..], 1));
        assert_eq!((input.uses, input.counters), (2, Some(Counters::default())));
        let user = s.chain(V4, b"filter", b"user").unwrap().unwrap();
        assert_eq!((user.base.clone(), user.uses), (None, 0));
        assert_eq!(s.chains(V4, Some(b"filter")).unwrap(), [input, user]);
        assert_eq!(s.chains(V4, Some(b"nat")), Ok(vec![]));

        let rules = protocols(s, b"INPUT");
        assert_eq!(rules.iter().map(|r| r.1).collect::<Vec<_>>(), [17, 6]);
        let mut batch = Batch::new(V4);
        accept_from(&mut batch, b"INPUT", RulePlace::Before(rules[1].0), 1);
        accept_from(&mut batch, b"INPUT", RulePlace::Replace(rules[0].0), 2);
        batch.set_rule_id(1);
        accept_from(&mut batch, b"INPUT", RulePlace::Append, 3);
        accept_from(&mut batch, b"INPUT", RulePlace::BeforeId(1), 4);
        batch.set_rule_id(2);
        accept_from(&mut batch, b"INPUT", RulePlace::Append, 5);
        batch.delete_rule_id(b"filter", b"INPUT", 2);
        batch.delete_rule(b"filter", b"INPUT", rules[1].0);
        s.commit(&batch, None).unwrap();
        let rules = protocols(s, b"INPUT");
        assert_eq!(rules.iter().map(|r| r.1).collect::<Vec<_>>(), [2, 1, 4, 3]);

        let user = s.chain(V4, b"filter", b"user").unwrap().unwrap();
        let mut batch = Batch::new(V4);
        batch.rename_chain(b"filter", user.handle, b"other");
        batch.flush_chain(b"filter", b"INPUT", OpKind::RuleFlush);
        s.commit(&batch, None).unwrap();
        assert_eq!(protocols(s, b"INPUT"), []);
        assert!(s.chain(V4, b"filter", b"other").unwrap().is_some());
        let mut batch = Batch::new(V4);
        batch.delete_chain(b"filter", b"other");
        batch.delete_table(b"filter");
        s.commit(&batch, None).unwrap();
        assert_eq!(s.table(V4, b"filter"), Ok(None));
    });
}

#[test]
fn a_changed_ruleset_makes_a_batch_stale() {
    with_session("a_changed_ruleset_makes_a_batch_stale", |s| {
        let generation = s.generation().unwrap();
        s.commit(&Batch::new(V4), Some(generation)).unwrap();
        s.commit(&filter_input(), Some(generation)).unwrap();
        assert_eq!(s.commit(&Batch::new(V4), Some(generation)), Err(CommitError::Stale));
        let mut batch = Batch::new(V4);
        batch.delete_table(b"filter");
        assert_eq!(s.commit(&batch, Some(generation)), Err(CommitError::Stale));
        assert!(s.table(V4, b"filter").unwrap().is_some());
    });
}

#[test]
fn every_refusal_names_its_line() {
    with_session("every_refusal_names_its_line", |s| {
        let mut batch = filter_input();
        batch.set_line(10);
        accept_from(&mut batch, b"nowhere", RulePlace::Append, 6);
        batch.set_line(11);
        accept_from(&mut batch, b"INPUT", RulePlace::Append, 6);
        batch.set_line(12);
        batch.delete_chain(b"filter", b"none");
        let Err(CommitError::Refused(refusals)) = s.commit(&batch, None) else { panic!("was taken") };
        let texts: Vec<_> = refusals
            .iter()
            .map(|r| {
                format!(
                    "{}: {} failed ({}): {}",
                    r.op.line,
                    r.op.kind,
                    oxtables::kernel::errno_text(r.errno),
                    r.op.what
                )
            })
            .collect();
        assert_eq!(
            texts,
            [
                "10: RULE_APPEND failed (No such file or directory): rule in chain nowhere",
                "12: CHAIN_DEL failed (No such file or directory): chain none",
            ]
        );
        assert_eq!(s.table(V4, b"filter"), Ok(None));
    });
}

#[test]
fn no_refusal_of_a_large_batch_is_lost() {
    with_session("no_refusal_of_a_large_batch_is_lost", |s| {
        const COUNT: u32 = 20_000;
        let mut batch = filter_input();
        for line in 1..=COUNT {
            batch.set_line(line);
            batch.delete_chain(b"filter", b"none");
        }
        match s.commit(&batch, None) {
            Err(CommitError::Refused(refusals)) => {
                assert!(refusals.iter().map(|r| r.op.line).eq(1..=COUNT));
            }
            // Without CAP_NET_ADMIN in the first user namespace the receive buffer has a limit; the first refusals are there.
            Err(CommitError::Overrun(refusals)) => {
                assert!(!rustix::process::geteuid().is_root() || std::env::var_os("OXTABLES_SANDBOX").is_some());
                assert!(refusals.iter().map(|r| r.op.line).eq(1..=u32::try_from(refusals.len()).unwrap()));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn leaving_a_dump_early_leaves_nothing_behind() {
    with_session("leaving_a_dump_early_leaves_nothing_behind", |s| {
        let mut batch = filter_input();
        batch.add_chain(b"filter", b"short", true);
        accept_from(&mut batch, b"short", RulePlace::Append, 99);
        for _ in 0..2000 {
            accept_from(&mut batch, b"INPUT", RulePlace::Append, 6);
        }
        s.commit(&batch, None).unwrap();
        for stop in [1, 50, 500] {
            let mut seen = 0;
            s.rules(V4, b"filter", b"INPUT", &mut |_| {
                seen += 1;
                if seen == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
            assert_eq!(seen, stop);
            assert_eq!(protocols(s, b"short").len(), 1);
            assert_eq!(protocols(s, b"INPUT").len(), 2000);
        }
    });
}

#[test]
fn a_dump_is_of_one_generation() {
    with_session("a_dump_is_of_one_generation", |s| {
        let mut batch = filter_input();
        for _ in 0..3000 {
            accept_from(&mut batch, b"INPUT", RulePlace::Append, 6);
        }
        s.commit(&batch, None).unwrap();
        let mut other = Session::open().unwrap();
        let (mut seen, mut restarts) = (Vec::new(), 0);
        s.rules(V4, b"filter", b"INPUT", &mut |event| {
            match event {
                Event::Restart => {
                    restarts += 1;
                    seen.clear();
                }
                Event::Rule(rule) => seen.push(rule.handle),
            }
            // Two changes while the dump runs: one rule goes from the part already read, one comes before it.
            if seen.len() == 1500 && restarts < 2 {
                let mut batch = Batch::new(V4);
                batch.delete_rule(b"filter", b"INPUT", seen[0]);
                accept_from(&mut batch, b"INPUT", RulePlace::First, 17);
                other.commit(&batch, None).unwrap();
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(restarts, 2);
        let mut again = Vec::new();
        s.rules(V4, b"filter", b"INPUT", &mut |event| {
            if let Event::Rule(rule) = event {
                again.push(rule.handle);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(seen, again);
        assert_eq!(seen.len(), 3000);
    });
}

#[test]
fn revisions_are_asked_for() {
    with_session("revisions_are_asked_for", |s| {
        assert_eq!(s.supports("nosuch", 0, false, V4), Ok(false));
        assert_eq!(s.supports("comment", 0, false, V4), Ok(true));
        assert_eq!(s.supports("comment", 7, false, V4), Ok(false));
        assert_eq!(s.supports("MARK", 2, true, Family::V6), Ok(true));
        assert_eq!(s.supports("MARK", 2, false, V4), Ok(false));
    });
}

#[test]
fn a_batch_beyond_the_send_buffer_is_sent_or_the_remedy_named() {
    with_session("a_batch_beyond_the_send_buffer_is_sent_or_the_remedy_named", |s| {
        let mut batch = filter_input();
        while batch.as_bytes().len() < 20 << 20 {
            accept_from(&mut batch, b"INPUT", RulePlace::Append, 6);
        }
        match s.commit(&batch, None) {
            Ok(()) => assert_eq!(s.chain(V4, b"filter", b"INPUT").unwrap().unwrap().uses as usize + 2, batch.len()),
            Err(CommitError::Kernel(e @ Error::BufferTooSmall { .. })) => {
                assert!(e.to_string().contains("sysctl -w net.core.wmem_max="));
                assert_eq!(s.table(V4, b"filter"), Ok(None));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn without_permission_it_says_so() {
    with_session("without_permission_it_says_so", |s| {
        use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
        assert_eq!(s.generation(), Err(Error::PermissionDenied));
        assert_eq!(s.table(V4, b"filter"), Err(Error::PermissionDenied));
        assert_eq!(s.tables(V4), Err(Error::PermissionDenied));
        assert_eq!(s.supports("comment", 0, false, V4), Err(Error::PermissionDenied));
        assert_eq!(s.commit(&filter_input(), None), Err(CommitError::Kernel(Error::PermissionDenied)));
        assert_eq!(Session::open().unwrap().generation(), Err(Error::PermissionDenied));
    });
}

#[test]
fn rules_larger_than_a_page_are_read() {
    with_session("rules_larger_than_a_page_are_read", |s| {
        let mut batch = filter_input();
        let mut sizes = Vec::new();
        for matches in [4, 5, 9, 13, 15, 1] {
            batch.rule(b"filter", b"INPUT", RulePlace::Append, Some((0, 0)), None, |x| {
                for _ in 0..matches {
                    x.xt_match("u32", 0, |b| b.zeros(1984));
                }
            });
            sizes.push(matches);
        }
        s.commit(&batch, None).unwrap();
        for s in [s, &mut Session::open().unwrap()] {
            let mut seen = Vec::new();
            s.rules(V4, b"filter", b"INPUT", &mut |event| {
                if let Event::Rule(rule) = event {
                    seen.push(rule.expressions().count());
                }
                ControlFlow::Continue(())
            })
            .unwrap();
            assert_eq!(seen, sizes);
            assert!(s.chain(V4, b"filter", b"INPUT").unwrap().unwrap().can_have(6));
        }
        let mut batch = Batch::new(V4);
        batch.rule(b"filter", b"INPUT", RulePlace::Append, Some((0, 0)), None, |x| {
            (0..16).for_each(|_| x.xt_match("u32", 0, |b| b.zeros(1984)));
        });
        let mut session = Session::open().unwrap();
        let refused = session.commit(&batch, None);
        assert!(
            matches!(refused, Err(CommitError::Refused(r)) if r[0].errno == 90 && r[0].op.kind == OpKind::RuleAppend)
        );
    });
}

#[test]
fn many_chains_are_read_at_once() {
    with_session("many_chains_are_read_at_once", |s| {
        let mut batch = filter_input();
        accept_from(&mut batch, b"INPUT", RulePlace::Append, 1);
        for chain in 0..20u8 {
            batch.add_chain(b"filter", &[b'a' + chain], true);
            for rule in 0..200 {
                accept_from(&mut batch, &[b'a' + chain], RulePlace::Append, 1 + chain + rule % 2);
            }
        }
        s.commit(&batch, None).unwrap();
        let chains = s.chains(V4, Some(b"filter")).unwrap();
        let wanted: Vec<_> = chains.iter().map(|c| (c.name.clone(), c.uses as usize)).collect();
        let read = |s: &mut Session, chains: &[&oxtables::kernel::Chain]| {
            s.rules_of(
                V4,
                chains,
                &|i| (chains[i].name.clone(), Raiser::new(V4), Vec::new()),
                &|(_, raiser, rules), rule| rules.push(raiser.raise(rule.exprs, rule.userdata)),
            )
        };
        let got = read(s, &chains.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(got.iter().map(|(name, _, rules)| (name.clone(), rules.len())).collect::<Vec<_>>(), wanted);
        for (name, _, rules) in got.iter().filter(|g| g.0 != b"INPUT") {
            let Raised::Rule(first, counters) = &rules[0] else { panic!("not a rule of ours") };
            assert_eq!(first.base.protocol, Some((1 + name[0] - b'a', false)));
            assert_eq!(*counters, Counters { packets: 7, bytes: 9 });
        }
        // A chain read before it grew is no error; one that is gone has no rules.
        let mut stale = chains[0].clone();
        stale.uses += 5;
        assert_eq!(read(s, &[&stale]).unwrap()[0].2.len(), 1);
        stale.name = b"gone".to_vec();
        assert_eq!(read(s, &[&stale]).unwrap()[0].2.len(), 0);
    });
}
