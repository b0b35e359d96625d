//! Targets: each rule alone, once in each encoding, at the same packets; what comes out of the router at both its sides, and what marks,
//! states, zones and priorities the packets have at the end, must be the same.

use std::time::Duration;

use oxtables::ext::Body;
use oxtables::kernel::inject::Tap;
use oxtables::kernel::{Batch, OpKind, RulePlace, Session};
use oxtables::model::BuiltinChain;
use oxtables::packet::Packet;
use oxtables::types::{Counters, Family, Hook};
use oxtables::wire::ExprWriter;
use oxtables::wire::consts::*;

use super::packets::{self, Way};
use super::{
    Other, Pair, Road, Tally, bodies, clear, compat_of, each_rule, key, name_of, native_of, prepare_tables, said,
    sort_for,
};
use crate::generate::TABLES;
use crate::generate::extension::Subject;
use crate::netlink::Netlink;
use crate::random::Random;

/// Where the packets are looked at when everything has been done to them.
const SEEN: &str = "seen";
const LAST: [BuiltinChain; 2] = [
    BuiltinChain { name: b"INPUT", hook: Hook::Input, priority: 300, ty: b"filter" },
    BuiltinChain { name: b"POSTROUTING", hook: Hook::Postrouting, priority: 300, ty: b"filter" },
];

/// What was seen of one rule in one encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// How many packets met the rule.
    met: u64,
    /// How many packets had each property at the end.
    marks: Vec<u64>,
    /// What came to the sender, and to the receiver behind the router, in no order.
    out: [Vec<Vec<u8>>; 2],
}

impl Road {
    /// Tries rules of targets: `count` of each subject.
    ///
    /// # Panics
    /// When the kernel cannot be asked.
    pub fn targets(&self, random: &mut Random, subjects: &[Subject], count: usize, tally: &mut Tally) {
        for subject in subjects.iter().filter(|s| s.target) {
            let family = if subject.v6 { Family::V6 } else { Family::V4 };
            let key = key(&name_of(subject), family);
            let mut done = 0;
            for _ in 0..6 * count {
                if done >= count {
                    break;
                }
                let Some(body) = drawn(random, subject) else { continue };
                let seen = tally.seen.entry(key.clone()).or_default();
                let (place, body) = body;
                let Some(native) = native_of(&body, family, place.1) else {
                    seen.same += 1;
                    continue;
                };
                let pair = Pair { name: name_of(subject), place, body, other: Other::Native(native) };
                done += usize::from(self.same_outcome(random, &pair, tally));
            }
        }
    }

    /// Compares what both forms do to packets; false if the kernel does not take stock's.
    pub(super) fn same_outcome(&self, random: &mut Random, pair: &Pair, tally: &mut Tally) -> bool {
        let family = pair.place.0;
        let seen = tally.seen.entry(key(&pair.name, family)).or_default();
        let mut sent = packets::some(random, family, sort_for(Some(pair)), 60);
        if matches!(pair.other, Other::Words(_)) && pair.name == "-j TCPMSS" {
            // The xt target adds the size that a missing option means, nft does not.
            sent.retain(|(_, packet)| packet.tcp().is_none_or(|tcp| has_mss(tcp.options())));
        }
        let forms = || [false, true].map(|other| self.outcome(pair, other, &sent));
        let rule = || match &pair.other {
            Other::Native(_) => format!("{} {:?}", said(&pair.body, family), pair.place),
            Other::Words(words) => {
                format!("{} {:?}, {}", said(&pair.body, family), pair.place, String::from_utf8_lossy(words))
            }
        };
        match forms() {
            [Some(stock), Some(other)] => {
                seen.native += 1;
                seen.met += usize::from(stock.met > 0);
                tally.packets += 2 * sent.len();
                // What differs by the clock or by chance does not differ the same way twice.
                let again = || forms() == [Some(stock.clone()), Some(other.clone())];
                if stock != other && again() {
                    tally.faults.push(format!("{}: {}", rule(), difference(&stock, &other)));
                }
                true
            }
            [Some(_), None] => {
                seen.refused += 1;
                // This kernel is built without NFT_QUEUE.
                if !pair.name.ends_with("QUEUE") {
                    tally.faults.push(format!("{}: refused in the other form", rule()));
                }
                true
            }
            _ => {
                seen.refused += 1;
                false
            }
        }
    }

    /// What one form of a rule does; `None` if the kernel does not take it.
    fn outcome(&self, pair: &Pair, other: bool, sent: &[(Way, Packet)]) -> Option<Seen> {
        let mut session = self.router.run(Session::open).expect("a host").expect("a session");
        clear(&mut session);
        let (family, table, chain) = pair.place;
        prepare_tables(&mut session, family, true);
        self.router
            .run(|| Netlink::open(1 << 16).and_then(|mut n| n.forget_connections()))
            .expect("a host")
            .expect("connections are forgotten");
        let mut batch = Batch::new(family);
        marks_by_tos(&mut batch);
        let (compat, place) = (Some(compat_of(&pair.body)), RulePlace::Append);
        match &pair.other {
            Other::Native(native) if other => {
                batch.native_rule(table.as_bytes(), chain.as_bytes(), place, compat, native);
            }
            Other::Words(_) if other => {}
            _ => {
                batch.rule(table.as_bytes(), chain.as_bytes(), place, compat, None, |x| {
                    pair.body.encode(family, 0, 0, x);
                });
            }
        }
        let properties = watch(&mut batch);
        session.commit(&batch, None).ok()?;
        if let (Other::Words(words), true) = (&pair.other, other) {
            self.nft(words).ok()?;
        }
        let taps = [&self.sender, &self.wire].map(|host| host.run(Tap::open).expect("a host").expect("a tap"));
        self.send(sent);
        let random_ports = ["-j SNAT", "-j MASQUERADE"].contains(&pair.name.as_str());
        let out = taps.map(|tap| arrived(&tap, sent, random_ports));
        let mut met = 0;
        each_rule(&mut session, family, table, chain, |rule| met = packets_of(rule.exprs));
        let mut marks = Vec::new();
        for last in &LAST {
            let name = std::str::from_utf8(last.name).expect("a name");
            each_rule(&mut session, family, SEEN, name, |rule| marks.push(packets_of(rule.exprs)));
        }
        assert_eq!(marks.len(), 2 * properties, "each property is counted");
        Some(Seen { met, marks, out })
    }
}

/// Everything that comes to a host, but for what hosts say to find each other; in IPv4 without identification and checksum, which the
/// router draws for packets of its own.
fn arrived(tap: &Tap, sent: &[(Way, Packet)], random_ports: bool) -> Vec<Vec<u8>> {
    let chatter = |p: &Packet| {
        let multicast = p.dst().is_multicast() || p.src().is_unspecified();
        // What time it is.
        let time = p.icmp().is_some_and(|i| i.kind() == 14);
        let discovery = p.icmp6().is_some_and(|i| (130..=143).contains(&i.kind()) && i.kind() != 137);
        multicast || discovery || time
    };
    // A tap sees what leaves too; that has been sent here.
    let ours = |p: &Packet| sent.iter().any(|(_, s)| s.bytes() == p.bytes());
    let mut all = Vec::new();
    while let Some(packet) = tap.find(Duration::from_millis(2), |p| !chatter(p) && !ours(p)).expect("a tap") {
        let mut bytes = packet.bytes().to_vec();
        let at = packet.transport_offset().unwrap_or(bytes.len());
        let tcp_or_udp = matches!(packet.protocol(), Some(6 | 17 | 136 | 132 | 33));
        if packet.src().is_ipv4() {
            for range in [4..6, 10..12] {
                bytes[range].fill(0);
            }
        }
        if random_ports && tcp_or_udp && at + 8 <= bytes.len() {
            bytes[at..at + 2].fill(0);
            let checksum = if packet.protocol() == Some(6) { at + 16..at + 18 } else { at + 6..at + 8 };
            if let Some(field) = bytes.get_mut(checksum) {
                field.fill(0);
            }
        }
        all.push(bytes);
    }
    all.sort();
    all
}

/// Whether options of TCP begin with a segment size, as they do here.
fn has_mss(options: Option<&[u8]>) -> bool {
    matches!(options, Some([2, 4, ..]))
}

/// A rule of a target in a place where it may work, and what it says.
pub(super) fn drawn(random: &mut Random, subject: &Subject) -> Option<((Family, &'static str, &'static str), Body)> {
    let family = if subject.v6 { Family::V6 } else { Family::V4 };
    let (table, mut chain) = subject.place(random);
    if random.percent(60) {
        let chains = TABLES.iter().find(|(name, _)| *name == table)?.1;
        chain = *random.pick(chains);
    }
    let mut words = subject.words(random);
    if let Some(at) = words.iter().position(|w| w == b"--gateway") {
        words[at + 1] = if subject.v6 { b"2001:db8:2::3".to_vec() } else { b"203.0.113.3".to_vec() };
    }
    let rule = subject.rule(random, (table, chain), words);
    let body = bodies(&rule).into_iter().next()?;
    let body = oxtables::kernel::RuleReader::new(family).canonical(&body);
    let text = said(&body, family);
    // Two connections in a row that are drawn at random are not the same. What the router copies to itself, it copies again.
    let far = text.contains(" 203.0.113.") || text.contains(" 2001:db8:2::");
    let skipped = text.contains("random") || (subject.spec.name == "TEE" && !far);
    (!skipped).then_some(((family, table, chain), body))
}

/// Gives each packet a mark by the second byte of its header, and its connection too.
fn marks_by_tos(batch: &mut Batch) {
    for chain in [b"PREROUTING".as_slice(), b"OUTPUT"] {
        batch.rule(b"raw", chain, RulePlace::Append, None, None, |x| {
            x.payload(NFT_PAYLOAD_NETWORK_HEADER, 1, 1);
            x.meta_set(NFT_META_MARK, NFT_REG_1);
        });
        batch.rule(b"mangle", chain, RulePlace::Append, None, None, |x| {
            x.meta(NFT_META_MARK);
            x.ct_set(NFT_CT_MARK, None);
        });
    }
}

/// Counts properties of packets at the end; says how many.
fn watch(batch: &mut Batch) -> usize {
    batch.add_table(SEEN.as_bytes());
    let mut count = 0;
    for last in &LAST {
        batch.add_base_chain(SEEN.as_bytes(), last, Some(1), Some(Counters::default()), OpKind::ChainAdd);
        count = 0;
        let mut one = |load: &dyn Fn(&mut ExprWriter<'_>), mask: u32| {
            count += 1;
            batch.rule(SEEN.as_bytes(), last.name, RulePlace::Append, None, None, |x| {
                load(x);
                x.mask(&mask.to_ne_bytes());
                x.cmp_eq(true, &[0; 4]);
                x.counter(0, 0);
            });
        };
        for bit in 0..32 {
            one(&|x| x.meta(NFT_META_MARK), 1 << bit);
            one(&|x| x.ct(NFT_CT_MARK, None), 1 << bit);
            one(&|x| x.meta(NFT_META_PRIORITY), 1 << bit);
        }
        for bit in 0..7 {
            one(&|x| x.ct(NFT_CT_STATE, None), 1 << bit);
        }
        for bit in 0..16 {
            one(&|x| x.ct(NFT_CT_STATUS, None), 1 << bit);
        }
        for bit in 0..16 {
            count += 1;
            batch.rule(SEEN.as_bytes(), last.name, RulePlace::Append, None, None, |x| {
                x.ct(NFT_CT_ZONE, None);
                x.mask(&(1u16 << bit).to_ne_bytes());
                x.cmp_eq(true, &[0; 2]);
                x.counter(0, 0);
            });
        }
    }
    count
}

fn packets_of(exprs: &[u8]) -> u64 {
    use oxtables::wire::{Expr, Exprs};
    let packets = |e| if let Expr::Counter { packets, .. } = e { Some(packets) } else { None };
    Exprs::new(exprs).flatten().find_map(packets).unwrap_or(0)
}

fn difference(stock: &Seen, other: &Seen) -> String {
    let mut said = String::new();
    if stock.met != other.met {
        said += &format!("stock met {} packets, the other form {}; ", stock.met, other.met);
    }
    for (i, (a, b)) in stock.marks.iter().zip(&other.marks).enumerate().filter(|(_, (a, b))| a != b) {
        said += &format!("property {i}: {a} and {b} packets; ");
    }
    for (host, (a, b)) in ["sender", "receiver"].iter().zip(stock.out.iter().zip(&other.out)) {
        let hex = |bytes: &[u8]| bytes.iter().take(60).map(|b| format!("{b:02x}")).collect::<String>();
        let only = |x: &[Vec<u8>], y: &[Vec<u8>]| x.iter().find(|p| !y.contains(p)).map(|p| hex(p)).unwrap_or_default();
        if a != b {
            said += &format!("{host}: {} and {} packets, {} but {}; ", a.len(), b.len(), only(a, b), only(b, a));
        }
    }
    said
}
