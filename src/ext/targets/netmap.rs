//! `-j NETMAP`: maps a whole network onto another one, address by address; for the nat table.
//!
//! # Options
//! `--to address[/mask]`: a prefix length or a mask; one that is no prefix counts as all ones.
//! # Wire
//! xt `NETMAP` revision 0. IPv4: `struct nf_nat_ipv4_multi_range_compat` with one range; IPv6: `struct nf_nat_range`; see
//! [`super::nat_range`]. Flags 1 (addresses), from the first to the last address of the network. Native: none, because which address is
//! rewritten follows from the hook here, and has to be said there.
//! # Evaluates
//! In PREROUTING and OUTPUT the destination, else the source gets the network's bits in the place of its own; accepted.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "NETMAP"; `linux/netfilter/nf_nat.h`; fact sheet 3.4; measured.

use super::nat_range::{Layout, NatRange, flag};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Effect, Extension, Nat, NatAddr, ParseCx, PrintCx, Spec, TargetExt, resolve};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, Network, Out, prefix_mask};
use crate::wire::BlobWriter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network, without host bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NetMap {
    addr: IpAddr,
    len: u8,
}

const TO: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("to", TO, Kind::Raw, "address[/mask]", "the network to map to").mandatory().examples(&[
        "v4:10.0.0.0/8",
        "v4:10.0.0.1",
        "v4:10.1.2.3/24",
        "v4:192.0.2.0/255.255.255.128",
        "v4:192.0.2.9/255.0.255.0",
        "v4:192.0.2.8/31",
        "v4:1.2.3.4/0",
        "v4:198.51.100.7/32",
        "v4:172.16.0.0/12",
        "v6:2001:db8::/64",
        "v6:2001:db8::5",
        "v6:2001:db8::5/127",
        "v6:2001:db8:1::/ffff:ffff:ffff::",
        "v6:fd00::/8",
        "v6:::/0",
        "v6:2001:db8:ffff::/33",
        "v6:2001:db8::1/ffff::ffff",
    ])];

impl Extension for NetMap {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@nat/PREROUTING",
        limits: &[Limit::tables(&["nat"])],
        ..Spec::new("NETMAP", 0, "maps a network onto another one")
    };

    fn new(family: Family) -> Self {
        let addr = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self { addr, len: 0 }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let (addr, mask) = resolve::network(given.bytes(), cx, "NETMAP", "to")?;
        let bits = cx.family.addr_bits();
        let prefix = mask.and_then(|mask| Network::new(addr, mask)?.prefix_len());
        *self = Self::of(addr, prefix.unwrap_or(bits));
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" --to ");
        self.print(out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" to:");
        self.print(out);
    }

    fn blob(&self, family: Family, b: &mut BlobWriter<'_>) {
        let last = combine(self.addr, self.addr, prefix_mask(family, self.len), |addr, _, mask| addr | !mask);
        NatRange { addrs: Some((self.addr, last)), ..NatRange::default() }.blob(Layout::Plain, family, b);
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let (first, last) = NatRange::decode(info, Layout::Plain, family, flag::ADDRS)?.addrs?;
        // The bits in which the two differ are those of the hosts.
        let mask = combine(first, last, last, |first, last, _| !(first ^ last));
        Network::new(first, mask)?.prefix_len().map(|len| Self::of(first, len))
    }
}

impl NetMap {
    fn of(addr: IpAddr, len: u8) -> Self {
        let mask = prefix_mask(Family::of(addr), len);
        Self { addr: combine(addr, mask, mask, |addr, mask, _| addr & mask), len }
    }

    fn print(&self, out: &mut Out) {
        out.addr(self.addr);
        write!(out, "/{}", self.len);
    }
}

/// Three addresses of one family as numbers; the first if they are not.
fn combine(a: IpAddr, b: IpAddr, c: IpAddr, f: impl FnOnce(u128, u128, u128) -> u128) -> IpAddr {
    match (a, b, c) {
        (IpAddr::V4(a), IpAddr::V4(b), IpAddr::V4(c)) => {
            let bits = f(a.to_bits().into(), b.to_bits().into(), c.to_bits().into());
            IpAddr::V4(Ipv4Addr::from_bits((bits & u128::from(u32::MAX)) as u32))
        }
        (IpAddr::V6(a), IpAddr::V6(b), IpAddr::V6(c)) => {
            IpAddr::V6(Ipv6Addr::from_bits(f(a.to_bits(), b.to_bits(), c.to_bits())))
        }
        _ => a,
    }
}

impl TargetExt for NetMap {
    fn apply(&self, _: &mut Packet, env: &mut Env<'_>) -> Effect {
        let source = !matches!(env.hook, Hook::Prerouting | Hook::Output);
        Effect::Nat(Nat { source, addr: NatAddr::Network(self.addr, self.len), ports: None, port_base: None })
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{effect, error, row, ways};
    use crate::ext::{Effect, Nat, NatAddr, Target};
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, printed, hex) in [
            ("10.1.2.3/8", "10.0.0.0/8", "0a0000000affffff"),
            ("10.0.0.1", "10.0.0.1/32", "0a0000010a000001"),
            ("10.0.0.7/255.0.255.0", "10.0.0.7/32", "0a0000070a000007"),
            ("10.0.0.0/33", "10.0.0.0/32", "0a0000000a000000"),
            ("1.2.3.4/0", "0.0.0.0/0", "00000000ffffffff"),
            ("1.2.3.5/255.255.255.254", "1.2.3.4/31", "0102030401020305"),
        ] {
            let (words, save, list) =
                (format!("NETMAP --to {words}"), format!("--to {printed}"), format!(" to:{printed}"));
            row(V4, None, &words, &save, &list, &format!("0100000001000000{hex}0000000000000000"));
            ways(V4, None, &words, None, None);
        }
        let hex = "0100000020010db800000000000000000000000020010db87fffffffffffffffffffffff00000000";
        row(V6, None, "NETMAP --to 2001:db8::5/33", "--to 2001:db8::/33", " to:2001:db8::/33", hex);
        row(V6, None, "NETMAP --to ::/0", "--to ::/0", " to:::/0", &format!("01000000{:0>32}{:f>32}00000000", "", ""));
        let bad = "NETMAP: bad value for option \"--to\", neither a valid network mask nor valid CIDR (0-32).\n";
        for word in ["10.0.0.0/", "10.0.0.0/x", "1.2.3.4/8/8", "1.2.3.4/-1"] {
            error(V4, None, &format!("NETMAP --to {word}"), bad);
        }
        error(V4, None, "NETMAP", "NETMAP: option \"--to\" must be specified\n");
        error(V4, None, "NETMAP --to ::1", "getaddrinfo: Address family for hostname not supported\n");
    }

    #[test]
    fn a_range_that_is_no_network_is_nothing_that_can_be_said() {
        let mut info = [1, 0, 0, 0, 1, 0, 0, 0, 10, 0, 0, 0, 10, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0];
        let read = |info: &[u8]| Target::decode(b"NETMAP", 0, info, V4, &mut Vec::new());
        assert!(read(&info).is_some());
        info[15] = 254;
        assert!(read(&info).is_none());
    }

    #[test]
    fn the_networks_bits_are_replaced() {
        let mut packet = Ipv4::default() / Udp::default();
        let addr = NatAddr::Network([10, 0, 0, 0].into(), 8);
        let nat = Effect::Nat(Nat { source: false, addr, ports: None, port_base: None });
        assert_eq!(effect(V4, None, "NETMAP --to 10.0.0.0/8", &mut packet), nat);
    }
}
