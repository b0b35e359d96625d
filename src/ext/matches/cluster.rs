//! `-m cluster`: whether this node of a cluster has to handle the packet.
//!
//! # Matches
//! Packets of a connection that falls to one of the nodes: by a hash of the original source address (of the connection that expected this one,
//! if one did), of IPv6 of its first 32 bits only, brought down to the number of nodes. `!` those that fall to other nodes. A packet without a connection never matches,
//! inverted or not. What the link layer had addressed to a group, and the network layer to a host, counts as addressed to this host afterwards.
//! # Options
//! `--cluster-total-nodes N` (1 to 32), `--cluster-hash-seed N`, and one of `[!] --cluster-local-node N` (1 to the total) and
//! `[!] --cluster-local-nodemask MASK`, in which bit N-1 is node N.
//! # Wire
//! xt `cluster` revision 0: `struct xt_cluster_match_info { u32 total_nodes, node_mask, hash_seed, flags; }`, host order.
//! Native: none, because nf_tables cannot ask for the connection that expected another one.
//! # Evaluates
//! Unknown if the packet has no conntrack state or no entry where it should, or if the entry was expected and its master is not known.
//! # Differs
//! All masks are taken that fit the nodes; stock takes 1 to 32 only, and cannot load what it saves of nodes 7 to 32. `iptables-translate` has a
//! translation for masks of several nodes only, without `!`, of IPv4: what stock prints for one node means the next one, it leaves out the `!`, and
//! in IPv6 nft hashes the whole address.
//! # Sources
//! iptables-extensions(8) "cluster"; `linux/netfilter/xt_cluster.h`; the hash: Bob Jenkins' lookup3 (public domain), as observed.

use crate::ext::options::{Given, Kind, Opt, UsageError, bit};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::env::Env;
use crate::packet::{CtState, Packet, ct_status};
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::BlobWriter;
use std::net::IpAddr;

/// The nodes of a cluster and those that are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cluster {
    /// 1 to 32.
    total: u32,
    /// Bit N-1 is node N.
    mask: u32,
    seed: u32,
    invert: bool,
}

const TOTAL: u8 = 0;
const NODE: u8 = 1;
const MASK: u8 = 2;
const SEED: u8 = 3;

const NODES: Kind = Kind::Number { min: 1, max: 32 };

const OPTIONS: &[Opt] = &[
    Opt::value("cluster-total-nodes", TOTAL, NODES, "num", "number of nodes").mandatory().examples(&["32", "31", "7"]),
    Opt::value("cluster-local-node", NODE, NODES, "num", "number of the node, from 1")
        .invertible()
        .excluding(bit(MASK))
        .examples(&["1", "2", "6", "7", "31", "0x10"]),
    Opt::value(
        "cluster-local-nodemask",
        MASK,
        Kind::Number { min: 1, max: u32::MAX as u64 },
        "num",
        "mask of nodes, bit 0 for the first",
    )
    .invertible()
    .examples(&["1", "3", "0x5", "32", "31", "010"]),
    Opt::value("cluster-hash-seed", SEED, Kind::Number { min: 0, max: u32::MAX as u64 }, "num", "seed of the hash")
        .mandatory()
        .examples(&["0", "7", "0xdeadbeef", "4294967295", "010"]),
];

impl Extension for Cluster {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        stateful: true,
        ..Spec::new("cluster", 0, "matches packets that fall to this node of a cluster")
    };

    fn new(_: Family) -> Self {
        Self { total: 0, mask: 0, seed: 0, invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            TOTAL => self.total = given.u32(),
            SEED => self.seed = given.u32(),
            NODE => (self.mask, self.invert) = (1 << (given.u32().wrapping_sub(1) & 31), given.negated),
            _ => (self.mask, self.invert) = (given.u32(), given.negated),
        }
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let has = |id: u8| seen & bit(id) != 0;
        let too_high = u64::from(self.mask) >= 1 << self.total;
        match (has(NODE), has(MASK)) {
            (false, false) => {
                Err(usage!("cluster match: `--cluster-local-node' or`--cluster-local-nodemask' is missing"))
            }
            (true, false) if has(TOTAL) && has(SEED) && too_high => {
                Err(usage!("cluster match: `--cluster-local-node' must be <= `--cluster-total-nodes'"))
            }
            (false, true) if has(TOTAL) && has(SEED) && too_high => {
                Err(usage!("cluster match: `--cluster-local-nodemask' too big for `--cluster-total-nodes'"))
            }
            _ => Ok(()),
        }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        let Self { total, mask, seed, invert } = *self;
        out.str(if invert { " !" } else { "" });
        write!(
            out,
            " --cluster-local-nodemask {mask:#010x} --cluster-total-nodes {total} --cluster-hash-seed {seed:#010x}"
        );
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        let Self { total, mask, seed, invert } = *self;
        out.str(if invert { " cluster !" } else { " cluster " });
        write!(out, "node_mask={mask:#010x} total_nodes={total} hash_seed={seed:#010x}");
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        for field in [self.total, self.mask, self.seed, u32::from(self.invert)] {
            b.u32(field);
        }
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let u32_at = |at: usize| info.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b));
        let (total, mask) = (u32_at(0)?, u32_at(4)?);
        let sayable = (1..=32).contains(&total) && mask != 0 && u64::from(mask) < 1 << total;
        sayable.then_some(Self { total, mask, seed: u32_at(8)?, invert: u32_at(12)? & 1 != 0 })
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        if cx.family == Family::V6 || self.invert || self.mask.is_power_of_two() {
            return false;
        }
        let nodes: Vec<String> = (0..32).filter(|n| self.mask & 1 << n != 0).map(|n: u32| n.to_string()).collect();
        let (total, seed) = (self.total, self.seed);
        write!(out, "jhash ct original saddr mod {total} seed {seed:#010x} {{ {} }}", nodes.join(", "));
        out.str(" meta pkttype set host");
        true
    }
}

impl MatchExt for Cluster {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let Some(ct) = &packet.meta.ct else { return Tri::Unknown };
        let src = match &ct.entry {
            Some(entry) if entry.status & ct_status::EXPECTED == 0 => Some(entry.original.src),
            Some(entry) => entry.facts.master.as_ref().map(|(_, src)| *src),
            None if matches!(ct.state, CtState::Invalid | CtState::Untracked) => return Tri::False,
            None => None,
        };
        src.map_or(Tri::Unknown, |src| Tri::from(self.mask & 1 << self.node(src) != 0).xor(self.invert))
    }
}

impl Cluster {
    /// The number, from 0, of the node to which the address falls.
    fn node(&self, src: IpAddr) -> u32 {
        let word = match src {
            IpAddr::V4(addr) => addr.octets(),
            // The kernel looks no further, whatever the address is.
            IpAddr::V6(addr) => addr.octets().first_chunk().copied().unwrap_or_default(),
        };
        let hash = jhash(u32::from_ne_bytes(word), self.seed);
        // The hash as a fraction of 2^32, times the number of nodes: below 32.
        ((u64::from(hash) * u64::from(self.total)) >> 32) as u32 & 31
    }
}

/// The kernel's `jhash_1word`: Jenkins' lookup3 over one word.
fn jhash(word: u32, seed: u32) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(4).wrapping_add(seed);
    let (mut a, mut b, mut c) = (start.wrapping_add(word), start, start);
    for shift in [14, 11, 25, 16, 4, 14, 24] {
        c = (c ^ b).wrapping_sub(b.rotate_left(shift));
        (a, b, c) = (b, c, a);
    }
    // Seven turns are two whole rounds and one more.
    b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{entry, error, raised_text, read, row};
    use crate::packet::Conntrack;
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let one = |args: &str, not: &str, [mask, total, seed]: [&str; 3], hex: &str| {
                row(
                    family,
                    None,
                    &format!("cluster {args}"),
                    &format!(
                        " {not}--cluster-local-nodemask {mask} --cluster-total-nodes {total} --cluster-hash-seed {seed}"
                    ),
                    &format!(" cluster {}node_mask={mask} total_nodes={total} hash_seed={seed}", not.trim_end()),
                    &format!("match cluster 0 {hex}"),
                );
            };
            one(
                "--cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 0xdeadbeef",
                "",
                ["0x00000001", "2", "0xdeadbeef"],
                "0200000001000000efbeadde00000000",
            );
            one(
                "--cluster-hash-seed 7 ! --cluster-local-nodemask 3 --cluster-total-nodes 4",
                "! ",
                ["0x00000003", "4", "0x00000007"],
                "04000000030000000700000001000000",
            );
            one(
                "! --cluster-local-node 32 --cluster-total-nodes 32 --cluster-hash-seed 0",
                "! ",
                ["0x80000000", "32", "0x00000000"],
                "20000000000000800000000001000000",
            );
            one(
                "--cluster-local-nodemask 0xffffffff --cluster-total-nodes 32 --cluster-hash-seed 0",
                "",
                ["0xffffffff", "32", "0x00000000"],
                "20000000ffffffff0000000000000000",
            );
        }
        let wire = |fields: [u32; 4]| {
            raised_text(V4, None, |x| x.xt_match("cluster", 0, |b| fields.iter().for_each(|f| b.u32(*f))))
        };
        for fields in [[0, 1, 0, 0], [33, 1, 0, 0], [2, 4, 0, 0], [2, 0, 0, 0], [2, 1, 0, 2]] {
            assert_eq!(wire(fields), "opaque", "{fields:?}");
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let missing = "cluster match: `--cluster-local-node' or`--cluster-local-nodemask' is missing";
        let needed = |o: &str| format!("cluster: option \"--cluster-{o}\" must be specified\n");
        let both =
            "cluster: option \"--cluster-local-node\" cannot be used together with \"--cluster-local-nodemask\".\n";
        let nodes = "cluster: bad value for option \"--cluster-total-nodes\", or out of range (1-32).\n";
        let (total, seed) = ("--cluster-total-nodes 2", "--cluster-hash-seed 1");
        for (args, text) in [
            (String::new(), missing.to_owned()),
            (format!("{total} {seed}"), missing.to_owned()),
            (format!("{total} --cluster-local-node 3"), needed("hash-seed")),
            (format!("{seed} --cluster-local-node 3"), needed("total-nodes")),
            (
                format!("{total} {seed} --cluster-local-node 3"),
                "cluster match: `--cluster-local-node' must be <= `--cluster-total-nodes'".to_owned(),
            ),
            (
                format!("{total} {seed} --cluster-local-nodemask 4"),
                "cluster match: `--cluster-local-nodemask' too big for `--cluster-total-nodes'".to_owned(),
            ),
            (format!("{total} {seed} --cluster-local-node 1 --cluster-local-nodemask 1"), both.to_owned()),
            ("--cluster-total-nodes 33".to_owned(), nodes.to_owned()),
            ("--cluster-total-nodes 0".to_owned(), nodes.to_owned()),
        ] {
            assert_eq!(error(V4, None, format!("cluster {args}").trim_end()), text, "{args}");
        }
    }

    #[test]
    fn its_words_for_nft() {
        let words = |node: &str| {
            let line = format!("cluster --cluster-total-nodes 4 --cluster-hash-seed 5 {node}");
            read(V4, None, &line).unwrap().translation()
        };
        let several = "jhash ct original saddr mod 4 seed 0x00000005 { 0, 2 } meta pkttype set host";
        assert_eq!(words("--cluster-local-nodemask 5").as_deref(), Some(several));
        assert_eq!(words("--cluster-local-node 1"), None);
        assert_eq!(words("! --cluster-local-nodemask 5"), None);
    }

    /// As observed with real packets on Linux 6.18: the node, from 0, of each source.
    #[test]
    fn packets() {
        for (total, seed, family, nodes) in [
            (4, 7, V4, &[("127.0.0.1", 0), ("127.200.100.50", 1), ("127.0.0.2", 2)][..]),
            (4, 7, V6, &[("::1", 1), ("2001:db8::1", 1), ("fd00::7", 3)]),
            (
                32,
                0xdead_beef_u32,
                V4,
                &[("127.0.0.1", 4), ("127.1.2.3", 12), ("127.200.100.50", 15), ("127.255.0.9", 30)],
            ),
            (32, 0xdead_beef, V6, &[("::1", 31), ("2001:db8:1:2:3:4:5:6", 18), ("fd00::7", 10)]),
            (5, 0, V4, &[("127.0.0.1", 2), ("127.1.2.3", 1), ("127.255.0.9", 0)]),
        ] {
            for (src, node) in nodes {
                let mut packet = Ipv4::default() / Udp::default();
                packet.meta.ct = Some(entry(|e| e.original.src = src.parse().unwrap()));
                for (not, expected) in [("", Tri::True), ("! ", Tri::False)] {
                    let line = format!(
                        "cluster --cluster-total-nodes {total} --cluster-hash-seed {seed} {not}--cluster-local-node {}",
                        node + 1
                    );
                    assert_eq!(read(family, None, &line).unwrap().matches(&packet), expected, "{src} {line}");
                }
            }
        }
        let rule =
            read(V4, None, "cluster --cluster-total-nodes 1 --cluster-hash-seed 0 ! --cluster-local-node 1").unwrap();
        let mut packet = Ipv4::default() / Udp::default();
        assert_eq!(rule.matches(&packet), Tri::Unknown);
        packet.meta.ct = Some(Conntrack::UNTRACKED);
        assert_eq!(rule.matches(&packet), Tri::False);
        packet.meta.ct = Some(entry(|e| e.status = ct_status::EXPECTED));
        assert_eq!(rule.matches(&packet), Tri::Unknown);
    }
}
