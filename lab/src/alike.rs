//! The two encodings against each other: rules from the extensions' own option tables, each twice in one chain, in stock's expressions and
//! in native ones, with a counter of its own; real packets; and the two counters must be equal.
//!
//! A rule whose two encodings are the same expressions says nothing here and is only counted. Targets with effects stand alone, once in
//! each encoding, and what comes out of the router must be the same packets with the same marks.
//!
//! In place of the native expressions there may be what `nft -f` makes of the rule's translation ([`translated`]).

mod evaluated;
pub mod packets;
pub mod targets;
pub mod translated;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use oxtables::compile::Raised;
use oxtables::ext::{Action, Body};
use oxtables::kernel::native::{Lowered, lower};
use oxtables::kernel::world::{End, Host, join};
use oxtables::kernel::{Batch, CommitError, Event, OpKind, RulePlace, RuleReader, Session, inject};
use oxtables::model::builtins;
use oxtables::packet::Packet;
use oxtables::text::{Context, parse};
use oxtables::types::{Counters, Family, NoNames, Out};
use oxtables::wire::consts::*;
use oxtables::wire::{ExprWriter, Writer};

use crate::generate::Rule;
use crate::generate::extension::Subject;
use crate::random::Random;
use packets::{Sort, Way, a4, a6, v4, v6};

/// The chains that a match is tried in where its sample names none.
const ANYWHERE: [(&str, &str); 6] = [
    ("mangle", "PREROUTING"),
    ("mangle", "FORWARD"),
    ("mangle", "INPUT"),
    ("mangle", "OUTPUT"),
    ("mangle", "POSTROUTING"),
    ("raw", "PREROUTING"),
];

/// Extensions that have conntrack put fragments together; the others are tried without it too.
const TRACKING: [&str; 14] = [
    "conntrack",
    "state",
    "connmark",
    "connbytes",
    "connlabel",
    "connlimit",
    "helper",
    "cluster",
    "CONNMARK",
    "CT",
    "NOTRACK",
    "CONNSECMARK",
    "SYNPROXY",
    "socket",
];

/// How often forty packets are sent at a set of rules.
const ROUNDS: usize = 15;

/// A sender, a router with the rules, and a receiver behind it that can send too.
pub struct Road {
    sender: Host,
    router: Host,
    wire: Host,
}

/// What stands beside stock's encoding of a rule.
pub enum Other {
    /// The native form.
    Native(Lowered),
    /// The command that `iptables-translate` prints, without the words for a shell.
    Words(Vec<u8>),
}

/// A rule in both encodings.
pub struct Pair {
    /// The extension that it is about.
    pub name: String,
    /// Family, table and chain.
    pub place: (Family, &'static str, &'static str),
    /// What it says, without its verdict.
    pub body: Body,
    /// Its other form.
    pub other: Other,
}

/// What was seen of an extension in one family.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Rules that have a native encoding of their own, or a translation.
    pub native: usize,
    /// Rules that stay xt, or of which stock writes native expressions already; rules without a translation.
    pub same: usize,
    /// Rules that the kernel takes in neither.
    pub refused: usize,
    /// Native or translated rules that some packet met.
    pub met: usize,
}

/// How a run went.
#[derive(Debug, Default)]
pub struct Tally {
    /// By extension (`-j` before a target's name) and family.
    pub seen: BTreeMap<(String, &'static str), Seen>,
    /// Packets sent.
    pub packets: usize,
    /// What disagreed.
    pub faults: Vec<String>,
}

impl Road {
    /// Builds the hosts.
    ///
    /// # Panics
    /// When the namespaces cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let host = |name| Host::new(name).expect("a network namespace");
        let road = Self { sender: host("sender"), router: host("router"), wire: host("wire") };
        let near: Vec<_> = (1..=3).flat_map(|n| [(v4(192, 0, 2, n), 24), (v6(1, n.into()), 64)]).collect();
        let far: Vec<_> = (2..=9).flat_map(|n| [(v4(203, 0, 113, n), 24), (v6(2, n.into()), 64)]).collect();
        join(
            End { host: &road.sender, iface: "eth0", addresses: &[(v4(192, 0, 2, 254), 24), (v6(1, 0xff), 64)] },
            End { host: &road.router, iface: "eth0", addresses: &near },
        )
        .expect("a link");
        join(
            End { host: &road.router, iface: "eth1", addresses: &[(v4(203, 0, 113, 1), 24), (v6(2, 1), 64)] },
            End { host: &road.wire, iface: "eth0", addresses: &far },
        )
        .expect("a link");
        road.router.forward().expect("forwarding");
        for (host, gateway) in [
            (&road.sender, [v4(192, 0, 2, 1), v6(1, 1)]),
            (&road.router, [v4(192, 0, 2, 254), v6(1, 0xff)]),
            (&road.wire, [v4(203, 0, 113, 1), v6(2, 1)]),
        ] {
            gateway.into_iter().for_each(|gateway| host.default_route(gateway).expect("a route"));
            for name in [
                "net/ipv4/icmp_ratelimit",
                "net/ipv4/icmp_ratemask",
                "net/ipv6/icmp/ratelimit",
                "net/ipv4/conf/all/rp_filter",
            ] {
                let _ = host.sysctl(name, "0");
            }
            for iface in ["eth0", "eth1"] {
                let _ = host.sysctl(&format!("net/ipv6/neigh/{iface}/base_reachable_time_ms"), "36000000");
                // Who is not there is given up at once: an error that comes later would belong to other packets.
                for family in ["ipv4", "ipv6"] {
                    let _ = host.sysctl(&format!("net/{family}/neigh/{iface}/mcast_solicit"), "1");
                    let _ = host.sysctl(&format!("net/{family}/neigh/{iface}/retrans_time_ms"), "10");
                }
            }
        }
        for end in [&road.sender, &road.wire] {
            end.run(silence).expect("a host");
        }
        road.meet();
        road
    }

    /// Has all find each other, so that no address resolution runs between the packets that count.
    fn meet(&self) {
        use oxtables::packet::build::{Ipv4, Ipv6, Udp};
        for _ in 0..3 {
            for n in 2..=9u8 {
                let four =
                    Ipv4 { src: a4(192, 0, 2, 254), dst: a4(203, 0, 113, n), identification: 1, ..Ipv4::default() };
                let six = Ipv6 { src: a6(1, 0xff), dst: a6(2, n.into()), ..Ipv6::default() };
                for packet in [four / Udp::default(), six / Udp::default()] {
                    let _ = self.sender.run(|| inject::send(&packet)).expect("a host");
                }
            }
            for packet in [
                Ipv4 { src: a4(203, 0, 113, 2), dst: a4(192, 0, 2, 254), identification: 1, ..Ipv4::default() }
                    / Udp::default(),
                Ipv6 { src: a6(2, 2), dst: a6(1, 0xff), ..Ipv6::default() } / Udp::default(),
            ] {
                let _ = self.wire.run(|| inject::send(&packet)).expect("a host");
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn host(&self, way: Way) -> &Host {
        match way {
            Way::Out => &self.sender,
            Way::Back => &self.wire,
            Way::Own => &self.router,
        }
    }

    /// Sends packets, each from where it comes.
    fn send(&self, packets: &[(Way, Packet)]) {
        for way in [Way::Out, Way::Back, Way::Own] {
            debug_assert!(packets.iter().all(|(_, p)| !p.bytes().is_empty()) || way == Way::Own);
        }
        // One thread in each namespace for a run of packets of one way: conversations keep their order.
        for run in packets.chunk_by(|a, b| a.0 == b.0) {
            let way = run.first().map_or(Way::Out, |(way, _)| *way);
            self.host(way).run(|| run.iter().for_each(|(_, packet)| drop(inject::send(packet)))).expect("a host");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }

    /// Tries rules of matches: `count` of each subject, then packets at all of them.
    ///
    /// # Panics
    /// When the kernel cannot be asked.
    pub fn matches(&self, random: &mut Random, subjects: &[Subject], count: usize, tracked: bool, tally: &mut Tally) {
        for family in [Family::V4, Family::V6] {
            let mut session = self.router.run(Session::open).expect("a host").expect("a session");
            clear(&mut session);
            prepare(&mut session, family, tracked);
            let mut pairs = Vec::new();
            for subject in subjects.iter().filter(|s| !s.target && s.v6 == (family == Family::V6)) {
                if TRACKING.contains(&subject.spec.name) && !tracked {
                    continue;
                }
                pairs.extend(some_of(random, &mut session, subject, count, tally));
            }
            self.listed_alike(&mut session, &pairs, tally);
            self.try_packets(random, &mut session, family, &pairs, tally);
        }
    }

    /// Packets at all rules, whose counters must stay equal.
    fn try_packets(
        &self,
        random: &mut Random,
        session: &mut Session,
        family: Family,
        pairs: &[Pair],
        tally: &mut Tally,
    ) {
        let before = counts(session, pairs);
        let mut last = before.clone();
        for _ in 0..ROUNDS {
            let sent = packets::some(random, family, sort_for(pairs.first()), 40);
            tally.packets += sent.len();
            self.send(&sent);
            let after = counts(session, pairs);
            let different: Vec<_> = differing(pairs, &last, &after).collect();
            if different.is_empty() {
                last = after;
            } else {
                self.explain(session, pairs, &different, &sent, tally);
                last = counts(session, pairs);
            }
        }
        let after = counts(session, pairs);
        for (i, pair) in pairs.iter().enumerate() {
            if after.get(2 * i + 1) > before.get(2 * i + 1) {
                tally.seen.entry(key(&pair.name, pair.place.0)).or_default().met += 1;
            }
        }
    }

    /// The packets one by one: the first that each rule decides differently is a fault.
    fn explain(
        &self,
        session: &mut Session,
        pairs: &[Pair],
        different: &[(&Pair, u64, u64)],
        sent: &[(Way, Packet)],
        tally: &mut Tally,
    ) {
        let title = |pair: &Pair| format!("{} ({:?})", said(&pair.body, pair.place.0), pair.place);
        let known = |tally: &Tally, title: &str| tally.faults.iter().any(|fault| fault.starts_with(title));
        for one in sent {
            let before = counts(session, pairs);
            self.send(std::slice::from_ref(one));
            let after = counts(session, pairs);
            for (pair, stock, other) in differing(pairs, &before, &after) {
                if known(tally, &title(pair)) {
                    continue;
                }
                let bytes: String = one.1.bytes().iter().take(80).map(|b| format!("{b:02x}")).collect();
                let words = match &pair.other {
                    Other::Native(_) => std::borrow::Cow::Borrowed("native"),
                    Other::Words(words) => String::from_utf8_lossy(words),
                };
                tally.faults.push(format!(
                    "{}: stock counts {stock}, the other form {other}: {words}: {:?} {bytes}",
                    title(pair),
                    one.0
                ));
            }
        }
        for (pair, stock, other) in different {
            if !known(tally, &title(pair)) {
                let title = title(pair);
                tally.faults.push(format!("{title}: stock counts {stock}, the other form {other}, of no packet alone"));
            }
        }
    }

    /// Both encodings of each rule are read back as the rule.
    fn listed_alike(&self, session: &mut Session, pairs: &[Pair], tally: &mut Tally) {
        let all = self.router.run(|| {
            let mut all = Vec::new();
            for (family, table, chain) in places(pairs) {
                let mut reader = RuleReader::new(family);
                let mut rules = Vec::new();
                each_rule(session, family, table, chain, |rule| {
                    rules.push(reader.raise(rule.table, rule.exprs, rule.userdata));
                });
                all.push(((family, table, chain), rules));
            }
            all
        });
        for (place, rules) in all.expect("a host") {
            let here: Vec<&Pair> = pairs.iter().filter(|p| p.place == place).collect();
            let rules = rules.get(rules.len() - 2 * here.len()..).unwrap_or_default();
            for (pair, read) in here.iter().zip(rules.chunks(2)) {
                for (form, raised) in ["stock", "native"].into_iter().zip(read) {
                    if !matches!(raised, Raised::Rule(body, _) if *body == pair.body) {
                        tally.faults.push(format!("{form}: {} is read as {raised:?}", said(&pair.body, place.0)));
                    }
                }
            }
        }
    }
}

impl Default for Road {
    fn default() -> Self {
        Self::new()
    }
}

/// No answers from a host: what comes is seen by taps and dropped.
fn silence() {
    for (family, keep) in [
        (Family::V4, ""),
        (
            Family::V6,
            "-A PREROUTING -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT\n-A PREROUTING -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT\n",
        ),
    ] {
        let text = format!("*raw\n:PREROUTING DROP\n{keep}COMMIT\n");
        let mut io = oxtables::cli::Streams::default();
        oxtables::cli::restore_text(family, &NoNames, text.as_bytes(), &mut io).expect("rules");
    }
}

/// Deletes the built-in tables.
fn clear(session: &mut Session) {
    for family in [Family::V4, Family::V6] {
        for table in session.tables(family).expect("tables") {
            let mut batch = Batch::new(family);
            batch.delete_table(&table.name);
            session.commit(&batch, None).expect("a table is deleted");
        }
    }
}

/// Makes all tables and chains; nat's only if `tracked`.
fn prepare_tables(session: &mut Session, family: Family, tracked: bool) {
    let mut batch = Batch::new(family);
    for table in ["raw", "mangle", "nat", "filter", "security"] {
        if table == "nat" && !tracked {
            continue;
        }
        batch.add_table(table.as_bytes());
        for chain in builtins(family, table.as_bytes()).expect("a table") {
            batch.add_base_chain(table.as_bytes(), chain, Some(1), Some(Counters::default()), OpKind::ChainAdd);
        }
    }
    session.commit(&batch, None).expect("tables and chains");
}

/// Makes them, and gives packets marks at random, and connections too if `tracked`.
fn prepare(session: &mut Session, family: Family, tracked: bool) {
    prepare_tables(session, family, tracked);
    let mut batch = Batch::new(family);
    for chain in [b"PREROUTING".as_slice(), b"OUTPUT"] {
        batch.rule(b"raw", chain, RulePlace::Append, None, None, |x| {
            x.numgen(NFT_NG_RANDOM, 16, 0);
            x.meta_set(NFT_META_MARK, NFT_REG_1);
        });
        if tracked {
            batch.rule(b"mangle", chain, RulePlace::Append, None, None, |x| {
                x.meta(NFT_META_MARK);
                x.ct_set(NFT_CT_MARK, None);
            });
        }
    }
    session.commit(&batch, None).expect("tables and chains");
}

/// Rules of one extension, in both encodings, as many as have two; what else was drawn is counted.
fn some_of(
    random: &mut Random,
    session: &mut Session,
    subject: &Subject,
    count: usize,
    tally: &mut Tally,
) -> Vec<Pair> {
    let family = if subject.v6 { Family::V6 } else { Family::V4 };
    let mut reader = RuleReader::new(family);
    let mut pairs = Vec::new();
    for _ in 0..4 * count {
        if pairs.len() >= count {
            break;
        }
        let anywhere = !subject.spec.sample.contains('@');
        let place = if anywhere { *random.pick(&ANYWHERE) } else { subject.place(random) };
        let mut words = subject.words(random);
        // Without an option stock writes these as xt.
        if ["tcp", "udp"].contains(&subject.spec.name) && random.percent(20) {
            words.truncate(2);
        }
        let rule = subject.rule(random, place, words);
        let seen = tally.seen.entry(key(&name_of(subject), family)).or_default();
        for body in bodies(&rule) {
            let mut body = reader.canonical(&body);
            if !subject.target {
                body.action = Action::None;
            }
            let Some(native) = native_of(&body, family, place.0) else {
                seen.same += 1;
                continue;
            };
            // Chance decides each of the two for itself.
            if said(&body, family).contains("--mode random") {
                seen.same += 1;
                continue;
            }
            let other = Other::Native(native);
            let pair = Pair { name: name_of(subject), place: (family, place.0, place.1), body, other };
            match add(session, &pair, &mut tally.faults) {
                true => {
                    seen.native += 1;
                    pairs.push(pair);
                }
                false => seen.refused += 1,
            }
        }
    }
    pairs
}

fn name_of(subject: &Subject) -> String {
    format!("{} {}", subject.flag(), subject.spec.name)
}

fn key(name: &str, family: Family) -> (String, &'static str) {
    (name.to_owned(), if family == Family::V4 { "IPv4" } else { "IPv6" })
}

/// What the words of a rule say; nothing if they are wrong.
pub fn bodies(rule: &Rule) -> Vec<Body> {
    let family = if rule.v6 { Family::V6 } else { Family::V4 };
    let cx = Context { family, names: &NoNames, restore: true, table: rule.table.as_bytes(), verbose: false };
    let mut args: Vec<&[u8]> = vec![b"-A", rule.chain.as_bytes()];
    args.extend(rule.words.iter().map(Vec::as_slice));
    let Ok(mut command) = parse(&args, &cx, &mut Vec::new()) else { return Vec::new() };
    let mut bodies = Vec::new();
    if command.late.is_none() {
        let _ = command.rule.for_each(|body| {
            bodies.push(body.clone());
            Ok::<(), std::convert::Infallible>(())
        });
    }
    bodies
}

/// The native form, if it is another one than stock's.
fn native_of(body: &Body, family: Family, table: &str) -> Option<Lowered> {
    let native = lower(body, family, table.as_bytes(), Counters::default(), 1)?;
    let mut w = Writer::new();
    body.encode(family, 0, 0, &mut ExprWriter::new(&mut w));
    // What matters to a comment does not matter to a packet.
    (native.exprs != w.as_bytes() && !native.userdata.is_empty()).then_some(native)
}

/// `NFTA_RULE_COMPAT`.
fn compat_of(body: &Body) -> (u32, u32) {
    body.base.protocol.map_or((0, 0), |(p, not)| (p.into(), if not { NFT_RULE_COMPAT_F_INV } else { 0 }))
}

/// Appends both forms; false if the kernel takes neither. A native form that is refused where stock's is taken is a fault.
fn add(session: &mut Session, pair: &Pair, faults: &mut Vec<String>) -> bool {
    let (family, table, chain) = pair.place;
    let (table, chain, compat) = (table.as_bytes(), chain.as_bytes(), Some(compat_of(&pair.body)));
    let stock = |batch: &mut Batch| {
        batch.rule(table, chain, RulePlace::Append, compat, None, |x| pair.body.encode(family, 0, 0, x));
    };
    let mut both = Batch::new(family);
    stock(&mut both);
    if let Other::Native(native) = &pair.other {
        both.native_rule(table, chain, RulePlace::Append, compat, native);
    }
    match session.commit(&both, None) {
        Ok(()) => return true,
        Err(CommitError::Refused(refusals)) => {
            // This kernel is built without them.
            let lacking = refusals.iter().any(|r| r.errno == 95 || r.errno == 2);
            let mut alone = Batch::new(family);
            stock(&mut alone);
            let taken = session.commit(&alone, None).is_ok();
            if taken {
                drop_last(session, family, table, chain);
            }
            if taken && !lacking {
                let said = said(&pair.body, family);
                faults.push(format!("{said} ({:?}): refused in native form: {refusals:?}", pair.place));
            }
        }
        Err(e) => panic!("{e:?}"),
    }
    false
}

/// Deletes the last rule of a chain.
fn drop_last(session: &mut Session, family: Family, table: &[u8], chain: &[u8]) {
    let mut last = 0;
    let each = |rule: &oxtables::wire::msg::RuleMsg<'_>| last = rule.handle;
    each_rule(
        session,
        family,
        std::str::from_utf8(table).expect("a name"),
        std::str::from_utf8(chain).expect("a name"),
        each,
    );
    let mut batch = Batch::new(family);
    batch.delete_rule(table, chain, last);
    session.commit(&batch, None).expect("a rule is deleted");
}

fn each_rule(
    session: &mut Session,
    family: Family,
    table: &str,
    chain: &str,
    mut each: impl FnMut(&oxtables::wire::msg::RuleMsg<'_>),
) {
    let read = session.rules(family, table.as_bytes(), chain.as_bytes(), &mut |event| {
        if let Event::Rule(rule) = event {
            each(rule);
        }
        ControlFlow::Continue(())
    });
    read.expect("the rules");
}

type Place = (Family, &'static str, &'static str);

fn places(pairs: &[Pair]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for pair in pairs {
        if !places.contains(&pair.place) {
            places.push(pair.place);
        }
    }
    places
}

/// Of later fragments and cut off headers the matches of nft(8) say other things than those of xt; a translation cannot tell.
fn sort_for(pair: Option<&Pair>) -> Sort {
    match pair.map(|pair| &pair.other) {
        Some(Other::Words(_)) => Sort::Whole,
        _ => Sort::Any,
    }
}

/// How many packets each form has met, when no packet is on its way any more: of pair `i` the stock form at `2 * i`, the other one behind it.
fn counts(session: &mut Session, pairs: &[Pair]) -> Vec<u64> {
    let mut last = counted(session, pairs);
    for _ in 0..100 {
        std::thread::sleep(std::time::Duration::from_millis(1));
        let now = counted(session, pairs);
        if now == last {
            break;
        }
        last = now;
    }
    last
}

fn counted(session: &mut Session, pairs: &[Pair]) -> Vec<u64> {
    let mut counts = vec![0; 2 * pairs.len()];
    for (family, table, chain) in places(pairs) {
        let mut rules = Vec::new();
        let mut raiser = oxtables::compile::Raiser::new(family);
        each_rule(session, family, table, chain, |rule| {
            let (Raised::Rule(_, counters) | Raised::Opaque(counters)) = raiser.raise(rule.exprs, None);
            rules.push(counters.packets);
        });
        let here: Vec<usize> = (0..pairs.len()).filter(|i| pairs[*i].place == (family, table, chain)).collect();
        let from = rules.len() - 2 * here.len();
        for (i, two) in here.into_iter().zip(rules[from..].chunks(2)) {
            counts[2 * i..2 * i + 2].copy_from_slice(two);
        }
    }
    counts
}

/// The pairs of which one form met more packets than the other, with both numbers.
fn differing<'p>(pairs: &'p [Pair], before: &'p [u64], after: &'p [u64]) -> impl Iterator<Item = (&'p Pair, u64, u64)> {
    pairs.iter().enumerate().filter_map(|(i, pair)| {
        let met = |at: usize| after[at] - before[at];
        (met(2 * i) != met(2 * i + 1)).then(|| (pair, met(2 * i), met(2 * i + 1)))
    })
}

/// The rule as `-S` prints it.
fn said(body: &Body, family: Family) -> String {
    let mut out = Out::new();
    let cx = oxtables::ext::PrintCx { family, numeric: true, names: &NoNames, protocol: None };
    body.save(&mut out, &cx, None);
    String::from_utf8_lossy(out.as_bytes()).into_owned()
}
