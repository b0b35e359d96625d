//! What an extension says of a packet (`eval`) against what its rule counts in the kernel: rules from the option tables in one chain, one real
//! packet at a time, cut off ones and odd chains of IPv6 headers among them.

use std::net::Ipv6Addr;

use oxtables::ext::{Action, Body};
use oxtables::kernel::rtnl::Rtnl;
use oxtables::kernel::{Batch, RulePlace, RuleReader, Session};
use oxtables::packet::build::{Ipv6, Raw};
use oxtables::packet::env::{Env, Place, State, UnknownHost};
use oxtables::packet::{Packet, ipv6};
use oxtables::types::{Family, Hook, Tri};

use super::packets::{self, Sort, Way, a6};
use super::{Road, Tally, bodies, clear, compat_of, each_rule, key, name_of, prepare, said};
use crate::generate::extension::Subject;
use crate::random::Random;

const TABLE: &str = "mangle";
const CHAIN: &str = "PREROUTING";

impl Road {
    /// Tries rules of matches, `count` of each subject, with `packets` packets: at each, the kernel's counters rise as the evaluation says.
    ///
    /// # Panics
    /// When the kernel cannot be asked.
    pub fn evaluated(
        &self,
        random: &mut Random,
        subjects: &[Subject],
        count: usize,
        packets: usize,
        tally: &mut Tally,
    ) {
        let link = self.sender.run(|| Rtnl::open().and_then(|mut rtnl| rtnl.link("eth0"))).expect("a host");
        let mac = link.expect("a link").mac;
        for family in [Family::V4, Family::V6] {
            let mut session = self.router.run(Session::open).expect("a host").expect("a session");
            clear(&mut session);
            prepare(&mut session, family, false);
            let mut rules = vec![(String::new(), Body { action: Action::None, ..Body::default() })];
            load(&mut session, family, &rules[0].1);
            for subject in subjects.iter().filter(|s| !s.target && s.v6 == (family == Family::V6)) {
                rules.extend(some_of(random, &mut session, subject, count));
            }
            let mut met = vec![false; rules.len()];
            for _ in 0..packets {
                let mut packet = draw(random, family);
                packet.meta.mac_src = mac;
                packet.meta.iif = b"eth0".to_vec();
                let expected = expected(&rules, &packet);
                // Another packet may pass while the counters are read: what is wrong must be so three times.
                let mut wrong: Vec<usize> = (0..rules.len()).collect();
                let mut times = 0;
                for _ in 0..4 {
                    let Some(seen) = self.seen(&mut session, &packet).filter(|_| times < 3) else { break };
                    times += 1;
                    met.iter_mut().zip(&seen).for_each(|(met, seen)| *met |= seen);
                    let disagrees = |i: usize| expected[i] != Tri::Unknown && expected[i] != Tri::from(seen[i]);
                    wrong.retain(|i| disagrees(*i));
                    if wrong.is_empty() {
                        tally.packets += 1;
                        break;
                    }
                }
                for i in wrong.iter().filter(|_| times == 3) {
                    let bytes: String = packet.bytes().iter().map(|b| format!("{b:02x}")).collect();
                    tally.faults.push(format!("{}: {:?} is wrong: {bytes}", said(&rules[*i].1, family), expected[*i]));
                }
            }
            for (i, (name, _)) in rules.iter().enumerate().skip(1) {
                let seen = tally.seen.entry(key(name, family)).or_default();
                seen.same += 1;
                seen.met += usize::from(met[i]);
            }
        }
    }
}

impl Road {
    /// Which rules count a packet, if it and no other comes to them.
    fn seen(&self, session: &mut Session, packet: &Packet) -> Option<Vec<bool>> {
        let family = packet.family();
        let before = counts(session, family);
        self.send(&[(Way::Out, packet.clone())]);
        let after = counts(session, family);
        let once = *after.first()? == before.first()? + 1;
        once.then(|| before.iter().zip(&after).map(|(was, is)| was != is).collect())
    }
}

/// What each rule says of the packet, which passes them in a row until one drops it.
fn expected(rules: &[(String, Body)], packet: &Packet) -> Vec<Tri> {
    let (mut state, mut random) = (State::default(), || 0);
    let place = Place::default();
    let hook = Hook::Prerouting;
    let mut env =
        Env { hook, now_ns: 0, host: &UnknownHost, state: &mut state, random: &mut random, place, hotdrop: false };
    let mut dropped = false;
    let mut answers = Vec::new();
    for (_, body) in rules {
        let mut answer = if dropped { Tri::False } else { body.base.eval(packet) };
        for m in &body.matches {
            if answer == Tri::True {
                env.hotdrop = false;
                answer = m.eval(packet, &mut env);
                dropped |= env.hotdrop;
            }
        }
        answers.push(if dropped { Tri::False } else { answer });
    }
    answers
}

/// Rules of one extension that the kernel takes in this chain.
fn some_of(random: &mut Random, session: &mut Session, subject: &Subject, count: usize) -> Vec<(String, Body)> {
    let family = if subject.v6 { Family::V6 } else { Family::V4 };
    let mut reader = RuleReader::new(family);
    let mut taken = Vec::new();
    for _ in 0..4 * count {
        if taken.len() >= count {
            break;
        }
        let words = subject.words(random);
        for body in bodies(&subject.rule(random, (TABLE, CHAIN), words)) {
            let body = Body { action: Action::None, ..reader.canonical(&body) };
            if load(session, family, &body) {
                taken.push((name_of(subject), body));
            }
        }
    }
    taken
}

fn load(session: &mut Session, family: Family, body: &Body) -> bool {
    let mut batch = Batch::new(family);
    let (table, chain) = (TABLE.as_bytes(), CHAIN.as_bytes());
    batch.rule(table, chain, RulePlace::Append, Some(compat_of(body)), None, |x| body.encode(family, 0, 0, x));
    session.commit(&batch, None).is_ok()
}

fn counts(session: &mut Session, family: Family) -> Vec<u64> {
    let mut raiser = oxtables::compile::Raiser::new(family);
    let mut counts = Vec::new();
    each_rule(session, family, TABLE, CHAIN, |rule| {
        let (oxtables::compile::Raised::Rule(_, counters) | oxtables::compile::Raised::Opaque(counters)) =
            raiser.raise(rule.exprs, None);
        counts.push(counters.packets);
    });
    counts
}

/// A packet that the sender sends.
fn draw(random: &mut Random, family: Family) -> Packet {
    if family == Family::V6 && random.percent(60) {
        return headers(random);
    }
    loop {
        let found = packets::some(random, family, Sort::Any, 1).into_iter().find(|(way, _)| *way == Way::Out);
        if let Some((_, packet)) = found {
            return packet;
        }
    }
}

/// A chain of IPv6 headers, perhaps cut off.
fn headers(random: &mut Random) -> Packet {
    let mut extensions: Vec<(u8, Vec<u8>)> = Vec::new();
    for at in 0..random.below(4) {
        let kinds =
            [ipv6::ROUTING, ipv6::ROUTING, ipv6::FRAGMENT, ipv6::AUTHENTICATION, ipv6::DESTINATION, ipv6::DESTINATION];
        let kind = if at == 0 && random.percent(30) { ipv6::HOP_BY_HOP } else { *random.pick(&kinds) };
        extensions.push((kind, body(random, kind)));
    }
    let (protocol, payload) = last(random);
    let source: [Ipv6Addr; 2] = [a6(1, 0xff), a6(0x100, 7)];
    let header = Ipv6 { src: *random.pick(&source), dst: a6(2, 2), extensions, ..Ipv6::default() };
    let packet = header / Raw { protocol, payload };
    let mut bytes = packet.bytes().to_vec();
    if random.percent(20) && bytes.len() > 41 {
        // Cut off anywhere behind the first header; a length of nought would be a jumbogram's.
        bytes.truncate(41 + random.below(bytes.len() - 41));
        let len = u16::try_from(bytes.len() - 40).expect("a small packet");
        bytes[4..6].copy_from_slice(&len.to_be_bytes());
    }
    Packet::new(bytes).unwrap_or(packet)
}

/// What stands behind the first two bytes of an extension header.
fn body(random: &mut Random, kind: u8) -> Vec<u8> {
    match kind {
        ipv6::HOP_BY_HOP | ipv6::DESTINATION => {
            let options: [&[u8]; 9] = [
                &[0],
                &[0, 0, 0],
                &[1, 0],
                &[1, 4, 0, 0, 0, 0],
                &[5, 2, 0, 0],
                &[38, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                &[4, 0],
                &[5, 0, 6, 0, 7, 0],
                &[1, 2, 0, 0],
            ];
            let mut body: Vec<u8> = (0..random.below(4)).flat_map(|_| random.pick(&options).to_vec()).collect();
            body.resize((body.len() + 2).next_multiple_of(8) - 2, 0);
            body
        }
        ipv6::ROUTING => {
            let count = random.below(4);
            let (kind, left) = (*random.pick(&[0, 0, 2, 4, 4, 4]), random.below(4));
            let (left, count_byte) = (u8::try_from(left).expect("small"), u8::try_from(count).expect("small"));
            let tag = *random.pick(&[[0, 0], [0, 1], [1, 0], [1, 2]]);
            let mut body = vec![kind, left, count_byte.saturating_sub(1), 0, tag[0], tag[1]];
            if kind == 0 && random.percent(60) {
                body[2..].fill(0);
            }
            for _ in 0..count {
                let addr = random.word(&["::1", "::2", "2001:db8::1", "2001:db8::2", "::", "fe80::1"]);
                body.extend(addr.parse::<Ipv6Addr>().expect("an address").octets());
            }
            body
        }
        ipv6::FRAGMENT => {
            let [high, low] = (*random.pick(&[0u16, 0, 8, 16, 1024]) | *random.pick(&[0, 1, 1, 3, 7])).to_be_bytes();
            let [a, b, c, d] = random.pick(&[0u32, 1, 5, 7, 256, 65536, u32::MAX]).to_be_bytes();
            vec![high, low, a, b, c, d]
        }
        _ => {
            let [a, b, c, d] = random.pick(&[0u32, 1, 5, 7, 256, 65536, u32::MAX]).to_be_bytes();
            let mut body = vec![0, *random.pick(&[0, 0, 1]), a, b, c, d, 0, 0, 0, 1];
            body.resize(*random.pick(&[10, 14, 22]), 0);
            body
        }
    }
}

/// The protocol behind the headers, and its bytes.
fn last(random: &mut Random) -> (u8, Vec<u8>) {
    let data = vec![0x55; *random.pick(&[0, 8, 40])];
    let (protocol, header): (u8, &[u8]) = match random.below(8) {
        0 => (59, &[]),
        1 => (
            135,
            *random.pick(&[
                &[59, 0, 0, 0, 0, 0][..],
                &[59, 0, 5, 0, 0, 0],
                &[59, 0, 100, 0, 0, 0],
                &[6, 0, 5, 0, 0, 0],
            ]),
        ),
        2 => (50, &[0, 0, 0, 5, 0, 0, 0, 1]),
        3 => (108, &[6, 0, 0, 5]),
        4 => (33, &[0, 22, 0, 80, 6, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 38, 4, 0]),
        5 => (33, &[0, 22, 0, 80, 4, 0, 0, 0, 0, 0, 0, 0, 32, 2, 0, 0]),
        _ => (17, &[0, 22, 0, 80, 0, 8, 0, 0]),
    };
    (protocol, [header, &data].concat())
}
