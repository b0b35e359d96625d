//! `-j CLUSTERIP`: lets machines share one address; no kernel since Linux 6.3 has it: see `-m cluster`.
//!
//! # Options
//! None, or all of `--new`, `--hashmode mode`, `--clustermac mac` (a multicast address), `--total-nodes n`, `--local-node n` (0 to 16 each), with
//! or without `--hash-init n`.
//! # Wire
//! xt `CLUSTERIP` revision 0: `struct ipt_clusterip_tgt_info { u32 flags; u8 clustermac[6]; u16 num_total_nodes, num_local_nodes, local_nodes[16];
//! u32 hash_mode, hash_initval; struct clusterip_config *config; }`, host order; flag 1 is `--new`; the pointer is the kernel's. Native: none,
//! because nf_tables has nothing that answers for an address.
//! # Evaluates
//! Unknown: which packets are for this node follows from the connections that there are.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "CLUSTERIP"; `linux/netfilter_ipv4/ipt_CLUSTERIP.h`; measured (on a kernel without it, from rules of another target
//! put in its place).

use crate::ext::options::{Given, Kind, Opt, UsageError, bit, mac, usage_bytes};
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::BlobWriter;

/// The cluster, if the rule makes one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClusterIp {
    new: bool,
    /// The number of its name in [`MODES`].
    mode: u8,
    mac: [u8; 6],
    total: u16,
    local: u16,
    init: u32,
}

/// The names in the order of `CLUSTERIP_HASHMODE_*`.
const MODES: [&str; 3] = ["sourceip", "sourceip-sourceport", "sourceip-sourceport-destport"];

const NOTES: &[(&str, &str)] = &[
    ("sourceip", "by the source address"),
    ("sourceip-sourceport", "by source address and port"),
    ("sourceip-sourceport-destport", "by source address and both ports"),
];

/// `CLUSTERIP_FLAG_NEW`.
const FLAG_NEW: u32 = 1;

/// `CLUSTERIP_MAX_NODES`.
const MAX_NODES: u64 = 16;

const NEW: u8 = 0;
const MODE: u8 = 1;
const MAC: u8 = 2;
const TOTAL: u8 = 3;
const LOCAL: u8 = 4;
const INIT: u8 = 5;
const NEEDED: u32 = bit(NEW) | bit(MODE) | bit(MAC) | bit(TOTAL) | bit(LOCAL);

const NODES: Kind = Kind::Number { min: 0, max: MAX_NODES };

const OPTIONS: &[Opt] = &[
    Opt::flag("new", NEW, "make a new cluster"),
    Opt::value("hashmode", MODE, Kind::Raw, "mode", "what the packets are told apart by, see below").examples(&MODES),
    Opt::value("clustermac", MAC, Kind::Raw, "mac", "the multicast address that the nodes share")
        .examples(&["01:00:5e:00:00:20", "ff:ff:ff:ff:ff:ff"]),
    Opt::value("total-nodes", TOTAL, NODES, "number", "how many nodes there are").examples(&["2", "16", "0"]),
    Opt::value("local-node", LOCAL, NODES, "number", "which of them this one is, from 1").examples(&["1", "16", "0"]),
    Opt::value("hash-init", INIT, Kind::Number { min: 0, max: u32::MAX as u64 }, "number", "where the hash begins")
        .examples(&["0", "7", "0xffffffff"]),
];

impl Extension for ClusterIp {
    const SPEC: Spec = Spec {
        families: &[Family::V4],
        options: OPTIONS,
        notes: |_| NOTES,
        ..Spec::new("CLUSTERIP", 0, "shares one address (no kernel has it any more; see -m cluster)")
    };

    fn new(_: Family) -> Self {
        Self::default()
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            NEW => self.new = true,
            MODE => {
                let named = (0..).zip(MODES).find(|(_, name)| name.as_bytes() == given.bytes());
                let unknown = || usage_bytes("Unknown hashmode \"", given.bytes(), "\"");
                self.mode = named.map(|(number, _)| number).ok_or_else(unknown)?;
            }
            MAC => {
                self.mac = mac(given.bytes()).ok_or_else(|| usage!("Invalid MAC address specified."))?;
                if self.mac[0] & 1 == 0 {
                    return Err(usage!("MAC has to be a multicast ethernet address"));
                }
            }
            TOTAL => self.total = given.u16(),
            LOCAL => self.local = given.u16(),
            _ => self.init = given.u32(),
        }
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let whole = seen == 0 || seen & NEEDED == NEEDED;
        if whole { Ok(()) } else { Err(usage!("CLUSTERIP target: Invalid parameter combination")) }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        if self.new {
            out.str(" --new");
            let words = [" --hashmode ", " --clustermac ", " --total-nodes ", " --local-node ", " --hash-init "];
            self.print(out, words);
        }
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" CLUSTERIP");
        if self.new {
            self.print(out, [" hashmode=", " clustermac=", " total_nodes=", " local_node=", " hash_init="]);
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(if self.new { FLAG_NEW } else { 0 });
        b.bytes(&self.mac);
        b.u16(self.total);
        b.u16(u16::from(self.new));
        b.u16(self.local);
        b.zeros(2 * 15);
        b.align(4);
        b.u32(u32::from(self.mode));
        b.u32(self.init);
        b.zeros(8);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let half = |at: usize| Some(u16::from_ne_bytes(*info.get(at..)?.first_chunk()?));
        let word = |at: usize| Some(u32::from_ne_bytes(*info.get(at..)?.first_chunk()?));
        let read = Self {
            new: word(0)? & FLAG_NEW != 0,
            mode: u8::try_from(word(48)?).ok().filter(|mode| usize::from(*mode) < MODES.len())?,
            mac: *info.get(4..)?.first_chunk()?,
            total: half(10)?,
            local: half(14)?,
            init: word(52)?,
        };
        let small = u64::from(read.total.max(read.local)) <= MAX_NODES;
        let sayable = if read.new { small && read.mac[0] & 1 == 1 } else { read == Self::default() };
        sayable.then_some(read)
    }

    fn scrub(info: &mut [u8]) {
        info.get_mut(56..64).unwrap_or_default().fill(0);
    }
}

impl ClusterIp {
    fn print(&self, out: &mut Out, [mode, mac, total, local, init]: [&str; 5]) {
        let name = MODES.get(usize::from(self.mode)).copied().unwrap_or_default();
        let [a, b, c, d, e, f] = self.mac;
        write!(out, "{mode}{name}{mac}{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{f:02X}");
        write!(out, "{total}{}{local}{}{init}{}", self.total, self.local, self.init);
    }
}

impl TargetExt for ClusterIp {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Unknown
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{error, row};
    use crate::types::Family::V4;

    const MAC: &str = "--clustermac 01:00:5E:00:00:20";

    #[test]
    fn what_stock_writes_and_prints() {
        row(V4, None, "CLUSTERIP", "", " CLUSTERIP", &"0".repeat(128));
        let words = "--new --hashmode sourceip-sourceport --clustermac 1:0:5e:0:0:20 --total-nodes 16 --local-node 15";
        row(
            V4,
            None,
            &format!("CLUSTERIP {words} --hash-init 7"),
            &format!("--new --hashmode sourceip-sourceport {MAC} --total-nodes 16 --local-node 15 --hash-init 7"),
            " CLUSTERIP hashmode=sourceip-sourceport clustermac=01:00:5E:00:00:20 total_nodes=16 local_node=15 hash_init=7",
            &format!("0100000001005e000020100001000f00{:064}0100000007000000{:016}", 0, 0),
        );
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let wrong = "CLUSTERIP target: Invalid parameter combination";
        let most = format!("CLUSTERIP --new --hashmode sourceip {MAC} --total-nodes 2");
        error(V4, None, &most, wrong);
        error(V4, None, "CLUSTERIP --hash-init 3", wrong);
        error(V4, None, "CLUSTERIP --hashmode SOURCEIP", "Unknown hashmode \"SOURCEIP\"");
        error(V4, None, "CLUSTERIP --clustermac 00:00:5e:00:00:20", "MAC has to be a multicast ethernet address");
        error(V4, None, "CLUSTERIP --clustermac xx", "Invalid MAC address specified.");
        let range = "CLUSTERIP: bad value for option \"--total-nodes\", or out of range (0-16).\n";
        error(V4, None, "CLUSTERIP --total-nodes 17", range);
    }
}
