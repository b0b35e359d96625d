//! The simulator's walk against the kernel: random rules, random packets, and the counters of every rule.
//!
//! Three hosts in a row: a sender, a router with the rules under test, and a silent wire behind it. One packet at a time is
//! sent; the rules whose counters the kernel raised must be those that the walk says the packet met, in both families, at the
//! hooks INPUT and FORWARD. Addresses, ports and option values are drawn from small pools, so that rules and packets meet.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oxtables::cli::{Streams, restore_text};
use oxtables::ext::Action;
use oxtables::kernel::rtnl::Rtnl;
use oxtables::kernel::world::{End, Host, join};
use oxtables::kernel::{self, Session, inject};
use oxtables::model::{Ruleset, Table};
use oxtables::packet::build::{Icmp, Icmp6, Ipv4, Ipv6, Tcp, Udp};
use oxtables::packet::env::{AddrType, Env, Host as Knows, Place, State};
use oxtables::packet::{Conntrack, CtDirection, CtEntry, CtState, CtTuple, Packet, ipv6, tcp};
use oxtables::sim::{Decider, Outcome, walk};
use oxtables::types::{Family, Hook, NoNames};

use crate::random::Random;

/// The matches that are drawn, beside the generic options.
pub const MATCHES: &[&str] = &[
    "tcp",
    "udp",
    "icmp",
    "multiport",
    "length",
    "mark",
    "state",
    "conntrack",
    "limit",
    "recent",
    "iprange",
    "addrtype",
    "tcpmss",
    "comment",
    "mac",
];

/// The user chains; each may lead to those behind it.
const CHAINS: [&str; 4] = ["ONE", "TWO", "THREE", "FOUR"];

/// The three hosts.
pub struct Line {
    sender: Host,
    router: Host,
    _wire: Host,
    /// The sender's Ethernet address.
    mac: [u8; 6],
    /// Whether the last rules asked for conntrack.
    tracked: bool,
}

/// How a run went.
#[derive(Debug, Default)]
pub struct Tally {
    /// Packets that were compared rule by rule.
    pub compared: usize,
    /// Packets of which the walk said that it depends.
    pub uncertain: usize,
    /// Packets that could not be compared, because another packet came between.
    pub disturbed: usize,
    /// How often each match, and each target, stood in a rule that was met.
    pub met: BTreeMap<&'static str, usize>,
    /// What disagreed, in words that repeat it.
    pub faults: Vec<String>,
}

/// One packet as it is sent, and as the hook that judges it sees it: forwarding has taken a hop off by then.
struct Probe {
    sent: Packet,
    packet: Packet,
    hook: Hook,
}

impl Line {
    /// Builds the hosts.
    ///
    /// # Panics
    /// When the namespaces cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let (sender, router, wire) = (host("sender"), host("router"), host("wire"));
        let ends = [(v4(192, 0, 2, 254), 24), (v6(1, 0xff), 64)];
        let mut own: Vec<_> = (1..=3).map(|last| (v4(192, 0, 2, last), 24)).collect();
        own.extend((1..=3).map(|last| (v6(1, last), 64)));
        let beyond = [(v4(203, 0, 113, 1), 24), (v6(2, 1), 64)];
        join(
            End { host: &sender, iface: "eth0", addresses: &ends },
            End { host: &router, iface: "eth0", addresses: &own },
        )
        .expect("a link");
        join(
            End { host: &router, iface: "eth1", addresses: &beyond },
            End { host: &wire, iface: "eth0", addresses: &[] },
        )
        .expect("a link");
        router.forward().expect("forwarding");
        // The answers of the router are dropped by its own rules; without a route the kernel would refuse the senders.
        for (host, gateways) in [(&sender, [v4(192, 0, 2, 1), v6(1, 1)]), (&router, [v4(192, 0, 2, 254), v6(1, 0xff)])]
        {
            gateways.into_iter().for_each(|gateway| host.default_route(gateway).expect("a route"));
        }
        let link = sender.run(|| Rtnl::open().and_then(|mut rtnl| rtnl.link("eth0"))).expect("a host").expect("a link");
        let line = Self { sender, router, _wire: wire, mac: link.mac.expect("an Ethernet address"), tracked: false };
        line.sender.sysctl("net/ipv6/neigh/eth0/base_reachable_time_ms", "36000000").expect("a variable");
        line.meet();
        line
    }

    /// Has sender and router find each other, so that no address resolution runs between the packets that count.
    fn meet(&self) {
        let pings = (1..=3).flat_map(|last| {
            let (src, dst) = (a6(1, 0xff), a6(1, last.into()));
            [
                Ipv4 { src: a4(192, 0, 2, 254), dst: a4(192, 0, 2, last), ..Ipv4::default() } / Icmp::default(),
                Ipv6 { src, dst, ..Ipv6::default() } / Icmp6::default(),
            ]
        });
        for packet in pings {
            let tap = self.sender.run(inject::Tap::open).expect("a host").expect("a tap");
            let answered = (0..50).any(|_| {
                let _ = self.sender.run(|| inject::send(&packet)).expect("a host");
                let echo = |p: &Packet| {
                    p.dst() == packet.src() && (p.icmp().is_some() || p.icmp6().is_some_and(|i| i.kind() == 129))
                };
                tap.find(Duration::from_millis(100), echo).expect("a tap").is_some()
            });
            assert!(answered, "the router does not answer a ping");
        }
    }

    /// Loads random rules and sends `packets` random packets at them.
    ///
    /// # Panics
    /// When the rules cannot be loaded or read.
    pub fn batch(&mut self, seed: u64, number: usize, packets: usize, tally: &mut Tally) {
        let mut random = Random::new(seed.wrapping_mul(0x1_0000_0001).wrapping_add(number as u64));
        let family = if number.is_multiple_of(2) { Family::V4 } else { Family::V6 };
        let text = rules(&mut random, family, number, self.mac);
        let tracked = text.contains("-m state") || text.contains("-m conntrack");
        self.router.run(|| load(family, &text)).expect("a host");
        let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
        self.router.run(|| load(other, "*filter\n:OUTPUT DROP\nCOMMIT\n")).expect("a host");
        if self.tracked && !tracked {
            // The old rules are destroyed in the background; until then conntrack still collects fragments.
            thread::sleep(Duration::from_millis(200));
        }
        self.tracked = tracked;
        let mut session = self.router.run(|| Session::open()).expect("a host").expect("a session");
        let mut state = State::default();
        let mut before = kernel::ruleset(&mut session, family).expect("the rules");
        for index in 0..packets {
            let probe = probe(&mut random, family, tracked, self.mac);
            let _ = self.sender.run(|| inject::send(&probe.sent)).expect("a host");
            let after = settled(&mut session, family, &before, probe.hook);
            let what = format!("seed {seed}, batch {number}, packet {index}");
            judge(&before, &after, &probe, &mut state, tally, &what, &text);
            before = after;
        }
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

fn load(family: Family, text: &str) {
    let mut io = Streams::default();
    let loaded = restore_text(family, &NoNames, text.as_bytes(), &mut io);
    assert!(loaded.is_ok(), "{}\n{text}", String::from_utf8_lossy(io.err.as_bytes()));
}

/// The rules once the packet has passed them: the first rule of its hook counts every packet.
fn settled(session: &mut Session, family: Family, before: &Ruleset, hook: Hook) -> Ruleset {
    let seen = |rules: &Ruleset| {
        rules.table(b"filter").and_then(|t| t.chain(hook.chain().as_bytes())).map(|c| c.rules[0].counters.packets)
    };
    let patience = Instant::now() + Duration::from_millis(300);
    while Instant::now() < patience {
        let now = kernel::ruleset(session, family).expect("the rules");
        if seen(&now) != seen(before) {
            break;
        }
    }
    // Once more: the first rule is passed before the others.
    kernel::ruleset(session, family).expect("the rules")
}

/// Compares what the kernel counted with what the walk says.
fn judge(
    before: &Ruleset,
    after: &Ruleset,
    probe: &Probe,
    state: &mut State,
    tally: &mut Tally,
    what: &str,
    text: &str,
) {
    let (old, new) = (before.table(b"filter").expect("a table"), after.table(b"filter").expect("a table"));
    let base = probe.hook.chain().as_bytes();
    let passed = counted(old, new, base, 0);
    if passed != 1 {
        tally.disturbed += 1;
        if passed == 0 {
            tally.faults.push(format!("{what}: the packet did not come to the hook: {}\n{text}", told(probe)));
        }
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let mut random = || 0;
    let now_ns = u64::try_from(now.as_nanos()).expect("before 2554");
    let (place, hotdrop) = (Place::default(), false);
    let mut env = Env { hook: probe.hook, now_ns, host: &Router, state, random: &mut random, place, hotdrop };
    let answer = walk(old, base, &probe.packet, &mut env).expect("rules that the kernel took");
    let hits = hits(old, new);
    if let Some(outcome) = answer.certain() {
        tally.compared += 1;
        count(tally, outcome);
        let (sure, perhaps) = said(outcome);
        let extra = hits.keys().any(|place| !sure.contains_key(place) && !perhaps.contains_key(place));
        let lacking = sure.iter().any(|(place, times)| hits.get(place).is_none_or(|seen| seen < times));
        let more = perhaps.is_empty() && hits != sure;
        if extra || lacking || more {
            let told = told(probe);
            tally.faults.push(format!("{what}: {told}\nkernel    {hits:?}\nsimulator {sure:?} {perhaps:?}\n{text}"));
        }
        return;
    }
    tally.uncertain += 1;
    let possible = answer.outcomes.iter().any(|outcome| match outcome.decider {
        Decider::Rule(step) => hits.contains_key(&(String::from_utf8_lossy(step.chain).into_owned(), step.number)),
        Decider::Policy(chain) => hits.contains_key(&(String::from_utf8_lossy(chain).into_owned(), 0)),
    });
    if !possible {
        tally.faults.push(format!(
            "{what}: {}\nkernel {hits:?} is none of what the simulator thinks possible\n{text}",
            told(probe)
        ));
    }
}

/// Chain and number of a rule (0: the policy), and how often it was met.
type Hits = BTreeMap<(String, usize), u64>;

/// What the walk says the counters will show: for sure, and perhaps.
fn said(outcome: &Outcome<'_>) -> (Hits, Hits) {
    let (mut sure, mut perhaps) = (Hits::new(), Hits::new());
    for step in &outcome.path {
        let hits = if step.certain { &mut sure } else { &mut perhaps };
        *hits.entry((String::from_utf8_lossy(step.chain).into_owned(), step.number)).or_default() += 1;
    }
    if let Decider::Policy(chain) = outcome.decider {
        sure.insert((String::from_utf8_lossy(chain).into_owned(), 0), 1);
    }
    (sure, perhaps)
}

fn hits(old: &Table, new: &Table) -> Hits {
    let mut hits = Hits::new();
    for (was, is) in old.chains().iter().zip(new.chains()) {
        if is.name == b"OUTPUT" {
            continue;
        }
        let name = String::from_utf8_lossy(&is.name).into_owned();
        for (number, (was, is)) in (1..).zip(was.rules.iter().zip(&is.rules)) {
            if was.counters.packets != is.counters.packets {
                hits.insert((name.clone(), number), is.counters.packets - was.counters.packets);
            }
        }
        if was.counters.packets != is.counters.packets {
            hits.insert((name, 0), is.counters.packets - was.counters.packets);
        }
    }
    hits
}

fn counted(old: &Table, new: &Table, chain: &[u8], index: usize) -> u64 {
    let packets = |table: &Table| table.chain(chain).expect("a chain").rules[index].counters.packets;
    packets(new) - packets(old)
}

fn count(tally: &mut Tally, outcome: &Outcome<'_>) {
    for body in outcome.path.iter().filter_map(|step| step.rule.body.as_ref()) {
        for name in body.matches.iter().map(|m| m.spec().name) {
            *tally.met.entry(name).or_default() += 1;
        }
        if let Action::Target(target) = &body.action {
            *tally.met.entry(target.spec().name).or_default() += 1;
        }
    }
}

fn told(probe: &Probe) -> String {
    let packet = &probe.packet;
    let mut text =
        format!("{} {} → {} protocol {:?}", probe.hook.chain(), packet.src(), packet.dst(), packet.protocol());
    let _ = write!(text, " ports {:?} length {} bytes ", packet.ports(), packet.total_len());
    packet.bytes().iter().for_each(|byte| {
        let _ = write!(text, "{byte:02x}");
    });
    text
}

/// What the router knows about addresses.
struct Router;

impl Knows for Router {
    fn addr_type(&self, addr: IpAddr, iface: Option<&[u8]>) -> Option<AddrType> {
        if iface.is_some() {
            return None;
        }
        let own = (1..=3).flat_map(|n| [v4(192, 0, 2, n), v6(1, n.into())]).chain([v4(203, 0, 113, 1), v6(2, 1)]);
        Some(if own.into_iter().any(|own| own == addr) { AddrType::Local } else { AddrType::Unicast })
    }
}

fn probe(random: &mut Random, family: Family, tracked: bool, mac: [u8; 6]) -> Probe {
    let forward = random.percent(40);
    // Fragments come to FORWARD as they are, unless conntrack puts them together.
    let fragment = forward && !tracked && random.percent(15);
    let hops = if random.percent(50) { 64 } else { 2 + u8::try_from(random.below(250)).expect("small") };
    let sent = draw(&mut random.clone(), family, forward, fragment, hops);
    let mut packet = draw(random, family, forward, fragment, if forward { hops - 1 } else { hops });
    packet.meta.iif = b"eth0".to_vec();
    packet.meta.oif = if forward { b"eth1".to_vec() } else { Vec::new() };
    packet.meta.mac_src = Some(mac);
    packet.meta.ct = tracked.then(|| conntrack(&packet));
    Probe { sent, packet, hook: if forward { Hook::Forward } else { Hook::Input } }
}

fn draw(random: &mut Random, family: Family, forward: bool, fragment: bool, hops: u8) -> Packet {
    let last = u8::try_from(1 + random.below(3)).expect("small");
    let source = u16::try_from(random.below(0xffff)).expect("small");
    let tail = fragment && random.percent(60);
    let offset = if tail { 8 * (1 + u16::try_from(random.below(100)).expect("small")) } else { 0 };
    match family {
        Family::V4 => {
            let [high, low] = source.to_be_bytes();
            let header = Ipv4 {
                src: Ipv4Addr::new(198, 18, high, low),
                dst: if forward { a4(203, 0, 113, 4 + last) } else { a4(192, 0, 2, last) },
                ttl: hops,
                options: if random.percent(10) { vec![1; 4] } else { Vec::new() },
                identification: 1 + source / 2,
                more_fragments: fragment,
                fragment_offset: offset,
                ..Ipv4::default()
            };
            transport4(random, header)
        }
        Family::V6 => {
            let dst = if forward { a6(2, 4 + u16::from(last)) } else { a6(1, last.into()) };
            let src = Ipv6Addr::new(0x2001, 0xdb8, 0x100, source, 0, 0, 0, 1 + u16::from(last));
            let mut extensions = Vec::new();
            if random.percent(15) {
                extensions.push((ipv6::HOP_BY_HOP, vec![1, 4, 0, 0, 0, 0]));
            }
            if fragment {
                let [high, low] = (offset | 1).to_be_bytes();
                extensions.push((ipv6::FRAGMENT, vec![high, low, 0, 0, 0, 7]));
            }
            if random.percent(15) && offset == 0 {
                extensions.push((ipv6::DESTINATION, vec![1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
            }
            transport6(random, Ipv6 { src, dst, hop_limit: hops, extensions, ..Ipv6::default() })
        }
    }
}

const PORTS: [u16; 8] = [0, 22, 23, 53, 80, 443, 3306, 65535];

fn port(random: &mut Random) -> u16 {
    if random.percent(80) { *random.pick(&PORTS) } else { u16::try_from(random.below(0x1_0000)).expect("16 bits") }
}

fn segment(random: &mut Random) -> Tcp {
    let flags = *random.pick(&[
        tcp::SYN,
        tcp::SYN,
        tcp::SYN,
        tcp::ACK,
        tcp::SYN | tcp::ACK,
        tcp::RST,
        tcp::FIN | tcp::ACK,
        0,
        0x29,
    ]);
    let options =
        random.pick(&[vec![], vec![2, 4, 5, 0xb4], vec![2, 4, 2, 0x18], vec![4, 2, 1, 1], vec![3, 3, 7, 0]]).clone();
    Tcp { src_port: port(random), dst_port: port(random), flags, options, payload: payload(random), ..Tcp::default() }
}

fn payload(random: &mut Random) -> Vec<u8> {
    vec![0x55; *random.pick(&[0, 0, 1, 50, 100, 800])]
}

fn transport4(random: &mut Random, header: Ipv4) -> Packet {
    match random.below(10) {
        0..5 => header / segment(random),
        5..8 => header / Udp { src_port: port(random), dst_port: port(random), payload: payload(random) },
        _ => {
            let kind = *random.pick(&[8, 8, 8, 0, 13]);
            header
                / Icmp {
                    kind,
                    rest: [1, 2, 0, 1],
                    payload: payload(random).into_iter().chain([0; 12]).collect(),
                    ..Icmp::default()
                }
        }
    }
}

fn transport6(random: &mut Random, header: Ipv6) -> Packet {
    match random.below(10) {
        0..5 => header / segment(random),
        5..8 => header / Udp { src_port: port(random), dst_port: port(random), payload: payload(random) },
        _ => header / Icmp6 { kind: *random.pick(&[128, 128, 129]), payload: payload(random), ..Icmp6::default() },
    }
}

/// What conntrack says of a packet that it has seen nothing like (`nf_conntrack_proto_tcp`, `_icmp`, `_icmpv6`; observed).
fn conntrack(packet: &Packet) -> Conntrack {
    let known = match (packet.tcp(), packet.icmp(), packet.icmp6()) {
        // A connection may also be taken up in its middle (nf_conntrack_tcp_loose).
        (Some(segment), ..) => matches!(segment.flags(), tcp::SYN | tcp::ACK),
        (_, Some(message), _) => message.kind() != 0,
        (.., Some(message)) => message.kind() == 128,
        _ => true,
    };
    // Port 0 is no port for conntrack's helpers, but it is tracked all the same.
    if !known {
        return Conntrack::INVALID;
    }
    let (src_port, dst_port) = match (packet.icmp(), packet.icmp6()) {
        (Some(message), _) => (message.echo().0, u16::from(message.kind()) << 8),
        (_, Some(message)) => (message.echo().0, u16::from(message.kind()) << 8),
        _ => packet.ports().unwrap_or_default(),
    };
    let original = CtTuple {
        src: packet.src(),
        dst: packet.dst(),
        protocol: packet.protocol().unwrap_or_default(),
        src_port,
        dst_port,
    };
    let entry = CtEntry { status: 0, original, reply: original.reversed(), expires: 0, mark: 0 };
    Conntrack::tracked(CtState::New, CtDirection::Original, entry)
}

/// A ruleset of table filter, in the format of iptables-save.
fn rules(random: &mut Random, family: Family, number: usize, mac: [u8; 6]) -> String {
    let mut text = String::from("*filter\n");
    for chain in ["INPUT", "FORWARD"] {
        let _ = writeln!(text, ":{chain} {} [0:0]", random.word(&["ACCEPT", "DROP"]));
    }
    text.push_str(":OUTPUT DROP [0:0]\n");
    CHAINS.iter().for_each(|chain| {
        let _ = writeln!(text, ":{chain} - [0:0]");
    });
    text.push_str("-A INPUT\n-A FORWARD\n");
    let tracked = random.percent(50);
    let mut matches: Vec<&str> =
        MATCHES.iter().copied().filter(|name| tracked || !["state", "conntrack"].contains(name)).collect();
    random.shuffle(&mut matches);
    for (place, chain) in ["INPUT", "FORWARD"].into_iter().chain(CHAINS).enumerate() {
        let onward = CHAINS.get(place.saturating_sub(1)..).unwrap_or_default();
        for _ in 0..3 + random.below(6) {
            let rule = rule(random, family, number, &matches, if place < 2 { &CHAINS } else { onward });
            let _ = writeln!(text, "-A {chain}{rule}");
        }
    }
    text.push_str("COMMIT\n");
    let [a, b, c, d, e, f] = mac;
    text.replace("SENDER", &format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"))
}

fn rule(random: &mut Random, family: Family, number: usize, matches: &[&str], onward: &[&str]) -> String {
    let mut words = String::new();
    let not = |random: &mut Random| if random.percent(20) { " !" } else { "" };
    if random.percent(25) {
        let _ = write!(words, "{} -s {}", not(random), network(random, family, true));
    }
    if random.percent(25) {
        let _ = write!(words, "{} -d {}", not(random), network(random, family, false));
    }
    if random.percent(15) {
        let _ = write!(words, "{} -i {}", not(random), random.word(&["eth0", "eth+", "eth1", "lo"]));
    }
    let protocol = match random.below(10) {
        0..3 => Some("tcp"),
        3..5 => Some("udp"),
        5 => Some(if family == Family::V4 { "icmp" } else { "ipv6-icmp" }),
        _ => None,
    };
    if let Some(protocol) = protocol {
        let _ = write!(words, " -p {protocol}");
    } else if random.percent(10) {
        let _ = write!(words, " ! -p {}", random.word(&["tcp", "udp", "47"]));
    }
    if family == Family::V4 && random.percent(5) {
        let _ = write!(words, "{} -f", not(random));
    }
    for _ in 0..random.below(3) {
        // The matches of the protocol are about what the packet is; the others go with any.
        let of_protocol = ["tcp", "udp", "icmp", "multiport", "tcpmss"];
        let name =
            if protocol.is_some() && random.percent(40) { random.word(&of_protocol) } else { random.word(matches) };
        if let Some(text) = one_match(random, family, number, protocol, name) {
            let _ = write!(words, " {text}");
        }
    }
    let target = match random.below(20) {
        0..3 => "-j ACCEPT".to_owned(),
        3..5 => "-j DROP".to_owned(),
        5 => "-j RETURN".to_owned(),
        6 => "-j REJECT".to_owned(),
        7 => "-j LOG".to_owned(),
        8..10 => format!(
            "-j MARK --set-xmark {}/{}",
            random.word(&["0x1", "0x2", "0x3"]),
            random.word(&["0x1", "0xff", "0xffffffff"])
        ),
        10..15 if !onward.is_empty() => format!("-j {}", random.word(onward)),
        15 if !onward.is_empty() => format!("-g {}", random.word(onward)),
        _ => String::new(),
    };
    format!("{words} {target}")
}

fn network(random: &mut Random, family: Family, source: bool) -> String {
    match (family, source) {
        (Family::V4, true) => random.word(&[
            "198.18.0.0/17",
            "198.18.128.0/17",
            "198.18.0.1/255.255.0.1",
            "198.0.0.0/8",
            "192.0.2.0/24",
            "198.18.64.0/18",
        ]),
        (Family::V4, false) => {
            random.word(&["192.0.2.1", "192.0.2.2", "203.0.113.0/24", "203.0.113.5", "192.0.2.2/31", "0.0.0.2/0.0.0.2"])
        }
        (Family::V6, true) => random.word(&[
            "2001:db8:100::/49",
            "2001:db8:100:8000::/49",
            "2001:db8::/32",
            "2001:db8:100::/48",
            "::2/::f",
        ]),
        (Family::V6, false) => {
            random.word(&["2001:db8:1::1", "2001:db8:1::2", "2001:db8:2::/64", "2001:db8:2::5", "::2/::2"])
        }
    }
    .to_owned()
}

/// The words of a match; `None` if it does not go with the protocol.
fn one_match(random: &mut Random, family: Family, number: usize, protocol: Option<&str>, name: &str) -> Option<String> {
    let not = if random.percent(25) { "! " } else { "" };
    let ports = ["22", "80", "443", "0:79", "80:", ":1023", "22:80", "3306", "65535"];
    let port = random.word(&ports);
    let stateful = number % 1000;
    Some(match (name, protocol) {
        ("tcp", Some("tcp")) => match random.below(5) {
            0 => format!("-m tcp {not}--dport {port}"),
            1 => format!("-m tcp {not}--sport {port}"),
            2 => format!(
                "-m tcp {not}--tcp-flags {}",
                random.word(&["SYN,ACK,FIN,RST SYN", "ALL NONE", "ACK ACK", "FIN,PSH,URG FIN,PSH,URG"])
            ),
            3 => format!("-m tcp {not}--syn --dport {port}"),
            _ => format!("-m tcp {not}--tcp-option {}", random.word(&["2", "3", "4", "9"])),
        },
        ("udp", Some("udp")) => format!("-m udp {not}--{} {port}", random.word(&["dport", "sport"])),
        ("icmp", Some("icmp")) => {
            format!("-m icmp {not}--icmp-type {}", random.word(&["8", "0", "echo-request", "any", "8/0", "13"]))
        }
        ("icmp", Some("ipv6-icmp")) => {
            format!("-m icmp6 {not}--icmpv6-type {}", random.word(&["128", "129", "echo-request", "128/0"]))
        }
        ("multiport", Some("tcp" | "udp")) => {
            format!(
                "-m multiport {not}--{} {}",
                random.word(&["dports", "sports", "ports"]),
                random.word(&["22,80,443", "0:100", "53,3306,60000:65535", "23"])
            )
        }
        ("tcpmss", Some("tcp")) => {
            format!("-m tcpmss {not}--mss {}", random.word(&["1460", "500:600", "0:65535", "536"]))
        }
        ("length", _) => format!("-m length {not}--length {}", random.word(&["40", "0:60", "100:", "44:1000", "90"])),
        ("mark", _) => format!("-m mark {not}--mark {}", random.word(&["0", "0x1", "0x2/0x2", "0x3/0xff"])),
        ("state", _) => {
            format!("-m state {not}--state {}", random.word(&["NEW", "INVALID", "ESTABLISHED,RELATED", "NEW,INVALID"]))
        }
        ("conntrack", _) => conntrack_words(random, family, not),
        ("limit", _) => format!("-m limit --limit 1/day --limit-burst {}", 1 + random.below(4)),
        ("recent", _) => {
            let list = format!("--name walk{stateful}x{}", random.below(2));
            let mask = match family {
                Family::V4 => " --mask 255.255.0.1",
                Family::V6 => " --mask ffff:ffff:ffff::f",
            };
            match random.below(6) {
                0 | 1 => format!("-m recent {not}--set {list}{mask}"),
                2 => format!("-m recent {not}--rcheck --seconds 1000 --hitcount {} {list}{mask}", 1 + random.below(4)),
                3 => format!("-m recent {not}--update --hitcount {} {list}{mask}", 1 + random.below(3)),
                4 => format!("-m recent {not}--rcheck --rttl {list}{mask}"),
                _ => format!("-m recent {not}--remove {list}{mask}"),
            }
        }
        ("iprange", _) => {
            let range = match family {
                Family::V4 => random.word(&[
                    "--src-range 198.18.0.0-198.18.99.255",
                    "--dst-range 192.0.2.1-192.0.2.2",
                    "--src-range 198.18.100.0-198.20.0.0",
                ]),
                Family::V6 => random.word(&[
                    "--src-range 2001:db8:100::-2001:db8:100:7000::",
                    "--dst-range 2001:db8:1::1-2001:db8:1::2",
                ]),
            };
            format!("-m iprange {not}{range}")
        }
        ("addrtype", _) => format!(
            "-m addrtype {not}--{} {}",
            random.word(&["dst-type", "src-type"]),
            random.word(&[
                "LOCAL",
                "UNICAST",
                "LOCAL,MULTICAST",
                if family == Family::V4 { "BROADCAST" } else { "MULTICAST" }
            ])
        ),
        ("comment", _) => "-m comment --comment \"a comment\"".to_owned(),
        ("mac", _) => format!("-m mac {not}--mac-source {}", random.word(&["SENDER", "02:00:00:00:00:01"])),
        _ => return None,
    })
}

fn conntrack_words(random: &mut Random, family: Family, not: &str) -> String {
    match random.below(6) {
        0 | 1 => format!(
            "-m conntrack {not}--ctstate {}",
            random.word(&["NEW", "INVALID", "ESTABLISHED,RELATED", "NEW,UNTRACKED"])
        ),
        2 => format!("-m conntrack {not}--ctproto {}", random.word(&["tcp", "udp"])),
        3 => format!("-m conntrack --ctstate NEW {not}--ctorigsrc {}", network(random, family, true)),
        4 => format!("-m conntrack {not}--ctorigdstport {}", random.word(&["22", "80:443", "0:65535", "3306"])),
        _ => format!("-m conntrack --ctdir {}", random.word(&["ORIGINAL", "REPLY"])),
    }
}

fn host(name: &'static str) -> Host {
    Host::new(name).expect("a network namespace")
}

fn a4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    a4(a, b, c, d).into()
}

fn a6(network: u16, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, network, 0, 0, 0, 0, host)
}

fn v6(network: u16, host: u16) -> IpAddr {
    a6(network, host).into()
}
