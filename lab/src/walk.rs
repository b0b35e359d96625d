//! The simulator's walk against the kernel: random rules, random packets, and the counters of every rule.
//!
//! Three hosts in a row: a sender, a router with the rules under test, and a silent wire behind it. One packet at a time is
//! sent; the rules whose counters the kernel raised must be those that the walk says the packet met, in both families, at the
//! hooks INPUT, FORWARD and (sent by the router itself) OUTPUT. Addresses, ports and option values are drawn from small pools, so that rules and packets meet.

mod packets;
mod rules;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oxtables::cli::{Streams, restore_text};
use oxtables::ext::Action;
use oxtables::kernel::rtnl::Rtnl;
use oxtables::kernel::world::{End, Host, join};
use oxtables::kernel::{self, Session, inject};
use oxtables::model::{Ruleset, Table};
use oxtables::packet::Packet;
use oxtables::packet::build::{Icmp, Icmp6, Ipv4, Ipv6};
use oxtables::packet::env::{AddrType, Env, Host as Knows, Place, State};
use oxtables::sim::{Decider, Outcome, walk};
use oxtables::types::{Family, Hook, NoNames};

use self::packets::{Probe, a4, a6, probe, v4, v6};
use self::rules::rules;
use crate::random::Random;

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
    /// Batches that were broken off, because another packet came between.
    pub disturbed: usize,
    /// How often each match, and each target, stood in a rule that was met.
    pub met: BTreeMap<&'static str, usize>,
    /// What disagreed, in words that repeat it.
    pub faults: Vec<String>,
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
        for host in [&line.sender, &line.router] {
            host.sysctl("net/ipv6/neigh/eth0/base_reachable_time_ms", "36000000").expect("a variable");
        }
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
        let local = number % 3 == 2;
        let text = rules(&mut random, family, number, self.mac, local);
        let tracked = text.contains("-m state") || text.contains("-m conntrack");
        self.router.run(|| load(family, &text)).expect("a host");
        let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
        self.router.run(|| load(other, "*filter\n:OUTPUT DROP\nCOMMIT\n")).expect("a host");
        if self.tracked && !tracked {
            // The old rules are destroyed in the background; until then conntrack still collects fragments.
            thread::sleep(Duration::from_millis(200));
        }
        self.tracked = tracked;
        let mut session = self.router.run(Session::open).expect("a host").expect("a session");
        let mut state = State::default();
        let mut before = kernel::ruleset(&mut session, family).expect("the rules");
        if passed(&before) != 0 {
            tally.disturbed += 1;
            return;
        }
        for index in 0..packets {
            let probe = probe(&mut random, family, tracked, self.mac, local);
            // A packet that hook OUTPUT drops is refused to its sender.
            let from = if local { &self.router } else { &self.sender };
            let _ = from.run(|| inject::send(&probe.sent)).expect("a host");
            let after = settled(&mut session, family, &before, probe.hook);
            let what = format!("seed {seed}, batch {number}, packet {index}");
            if !judge(&before, &after, &probe, &mut state, tally, &what, &text) {
                // What the rules remember is no longer what the walk remembers.
                break;
            }
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

/// Compares what the kernel counted with what the walk says. False if another packet came between (of IPv6's own, such as
/// neighbour discovery), so that there is nothing to compare.
fn judge(
    before: &Ruleset,
    after: &Ruleset,
    probe: &Probe,
    state: &mut State,
    tally: &mut Tally,
    what: &str,
    text: &str,
) -> bool {
    let (old, new) = (before.table(b"filter").expect("a table"), after.table(b"filter").expect("a table"));
    let base = probe.hook.chain().as_bytes();
    let passed = passed(after) - passed(before);
    if passed == 0 {
        tally.faults.push(format!("{what}: the packet did not come to the hook: {}\n{text}", told(probe)));
    }
    if passed != 1 {
        tally.disturbed += 1;
        return false;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let mut random = || 0;
    let now_ns = u64::try_from(now.as_nanos()).expect("before 2554");
    let (place, hotdrop) = (Place::default(), false);
    let mut env = Env { hook: probe.hook, now_ns, host: &Router, state, random: &mut random, place, hotdrop };
    let answer = walk(old, base, &probe.packet, &mut env).expect("rules that the kernel took");
    let hits = hits(old, new, probe.hook);
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
        return true;
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
    true
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

fn hits(old: &Table, new: &Table, hook: Hook) -> Hits {
    let mut hits = Hits::new();
    for (was, is) in old.chains().iter().zip(new.chains()) {
        // The kernel's own answers pass the other way.
        if (is.name == b"OUTPUT") != (hook == Hook::Output) && is.policy.is_some() {
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

/// How many packets have come to the hooks with rules: the first rule of each counts all.
fn passed(rules: &Ruleset) -> u64 {
    let chains = rules.table(b"filter").expect("a table").chains();
    chains
        .iter()
        .filter(|chain| chain.policy.is_some())
        .filter_map(|chain| chain.rules.first())
        .map(|rule| rule.counters.packets)
        .sum()
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

fn host(name: &'static str) -> Host {
    Host::new(name).expect("a network namespace")
}
