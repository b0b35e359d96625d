//! `-m addrtype`: what kind of address the routing table takes the source or destination for.
//!
//! # Matches
//! Packets whose address is of one of the types (IPv4). IPv6: UNSPEC, UNICAST and MULTICAST go by the address alone and must all hold;
//! of LOCAL, ANYCAST and UNREACHABLE one must. `!` inverts each side.
//! # Options
//! At least one of `[!] --src-type T[,T]…`, `[!] --dst-type T[,T]…`; at most one of `--limit-iface-in`, `--limit-iface-out`. A type may be cut
//! short: the first that begins so is meant.
//! # Wire
//! xt `addrtype` revision 1: `struct xt_addrtype_info_v1 { u16 source, dest; u32 flags; }`, host order; bit n of a mask is `RTN_*` n.
//! Native: IPv4 `fib saddr|daddr [. iif|oif] type` and a lookup among the types (`cmp` for one). IPv6 only what goes by the address alone, as
//! compares with it: of LOCAL, ANYCAST and UNREACHABLE `fib` knows other answers than the xt match.
//! # Evaluates
//! Asks `Env::host`, on the limiting interface; unknown where that is.
//! # Differs
//! There is no translation where nft has no word for a type, and of IPv6 types that `fib` reads otherwise.
//! # Sources
//! iptables-extensions(8) "addrtype"; `linux/netfilter/xt_addrtype.h`; `linux/rtnetlink.h`; IPv6 by experiment with packets.

use crate::ext::limits::{self, INCOMING, OUTGOING};
use crate::ext::options::{Given, Kind, Opt, UsageError, bit, usage_bytes};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec, nft};
use crate::packet::Packet;
use crate::packet::env::{AddrType as HostType, Env};
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::consts::*;
use crate::wire::{AnonSet, BlobWriter, ExprWriter, Key};
use std::net::{IpAddr, Ipv6Addr};

/// Types of the addresses; each side has a mask of types and whether it is inverted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AddrType {
    src: Option<(u16, bool)>,
    dst: Option<(u16, bool)>,
    limit: Limit,
}

/// The interface on which an address is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Limit {
    None,
    In,
    Out,
}

const SRC: u8 = 0;
const DST: u8 = 1;
const LIMIT_IN: u8 = 2;
const LIMIT_OUT: u8 = 3;

const SRC_TYPES: &[&str] = &["LOCAL", "unicast", "MULTICAST", "v4:BROADCAST,LOCAL", "v4:BLACKHOLE,NAT", "v6:ANYCAST"];

const OPTIONS: &[Opt] =
    &[
        Opt::value("src-type", SRC, Kind::Raw, "type[,...]", "type of the source address")
            .invertible()
            .examples(SRC_TYPES),
        Opt::value("dst-type", DST, Kind::Raw, "type[,...]", "type of the destination address")
            .invertible()
            .examples(&["LOCAL", "UNICAST,LOCAL", "v4:UNSPEC,XRESOLVE", "v4:THROW,PROHIBIT,ANYCAST", "v6:UNREACHABLE"]),
        Opt::flag("limit-iface-in", LIMIT_IN, "look the address up on the interface the packet came in by")
            .excluding(bit(LIMIT_OUT)),
        Opt::flag("limit-iface-out", LIMIT_OUT, "look the address up on the interface the packet goes out by")
            .excluding(bit(LIMIT_IN)),
    ];

/// The names of `RTN_*` in the order of their numbers.
const TYPES: [&str; 12] = [
    "UNSPEC",
    "UNICAST",
    "LOCAL",
    "BROADCAST",
    "ANYCAST",
    "MULTICAST",
    "BLACKHOLE",
    "UNREACHABLE",
    "PROHIBIT",
    "THROW",
    "NAT",
    "XRESOLVE",
];

/// Bits of `flags` (`XT_ADDRTYPE_*`).
const INVERT_SOURCE: u32 = 1;
const INVERT_DEST: u32 = 2;
const LIMIT_IFACE_IN: u32 = 4;
const LIMIT_IFACE_OUT: u32 = 8;

impl Extension for AddrType {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@filter/FORWARD",
        limits: &[
            limits::Limit::hooks(INCOMING).with("--limit-iface-in"),
            limits::Limit::hooks(OUTGOING).with("--limit-iface-out"),
            limits::Limit::never("BROADCAST").only(&[Family::V6]),
            limits::Limit::never("BLACKHOLE").only(&[Family::V6]),
            limits::Limit::never("PROHIBIT").only(&[Family::V6]),
            limits::Limit::never("THROW").only(&[Family::V6]),
            limits::Limit::never("NAT").only(&[Family::V6]),
            limits::Limit::never("XRESOLVE").only(&[Family::V6]),
        ],
        ..Spec::new("addrtype", 1, "matches the routing type of addresses")
    };

    fn new(_: Family) -> Self {
        Self { src: None, dst: None, limit: Limit::None }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            SRC => self.src = Some((parse(given.bytes())?, given.negated)),
            DST => self.dst = Some((parse(given.bytes())?, given.negated)),
            LIMIT_IN => self.limit = Limit::In,
            _ => self.limit = Limit::Out,
        }
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match seen & (bit(SRC) | bit(DST)) {
            0 => Err(usage!("addrtype: you must specify --src-type or --dst-type")),
            _ => Ok(()),
        }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        for (name, side) in [("--src-type ", self.src), ("--dst-type ", self.dst)] {
            let Some((types, not)) = side else { continue };
            out.str(if not { " ! " } else { " " });
            out.str(name);
            print(types, out);
        }
        out.str(match self.limit {
            Limit::None => "",
            Limit::In => " --limit-iface-in",
            Limit::Out => " --limit-iface-out",
        });
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" ADDRTYPE match");
        for (name, side) in [(" src-type ", self.src), (" dst-type ", self.dst)] {
            let Some((types, not)) = side else { continue };
            out.str(name);
            out.str(if not { "!" } else { "" });
            print(types, out);
        }
        out.str(match self.limit {
            Limit::None => "",
            Limit::In => " limit-in",
            Limit::Out => " limit-out",
        });
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        // One `fib` expression says one side; stock prints the source only.
        let (side, (types, not)) = match (self.src, self.dst) {
            (Some(src), None) => ("saddr", src),
            (None, Some(dst)) => ("daddr", dst),
            _ => return false,
        };
        out.str("fib ");
        out.str(side);
        out.str(match self.limit {
            Limit::None => " type ",
            Limit::In => " . iif type ",
            Limit::Out => " . oif type ",
        });
        nft::unless(not, out);
        let names =
            TYPES.iter().enumerate().filter(|(i, _)| types & (1 << i) != 0).map(|(_, name)| name.to_lowercase());
        let names = names.collect::<Vec<_>>().join(", ");
        if types.is_power_of_two() {
            out.str(&names);
        } else {
            write!(out, "{{ {names} }}");
        }
        // nft(8) has no words for THROW, NAT and XRESOLVE.
        types >> 9 == 0 && (cx.family == Family::V4 || self.is_fib_type_v6(types))
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        let inverted = |side: Option<(u16, bool)>| side.is_some_and(|(_, not)| not);
        b.u16(self.src.map_or(0, |(types, _)| types));
        b.u16(self.dst.map_or(0, |(types, _)| types));
        let limit = match self.limit {
            Limit::None => 0,
            Limit::In => LIMIT_IFACE_IN,
            Limit::Out => LIMIT_IFACE_OUT,
        };
        let src = if inverted(self.src) { INVERT_SOURCE } else { 0 };
        b.u32(limit | src | if inverted(self.dst) { INVERT_DEST } else { 0 });
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [s0, s1, d0, d1, f0, f1, f2, f3, ..] = *info else { return None };
        let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
        let side = |types: u16, invert| match types {
            0 => Some(None),
            _ if usize::from(types) >> TYPES.len() != 0 => None,
            _ => Some(Some((types, flags & invert != 0))),
        };
        let (src, dst) =
            (side(u16::from_ne_bytes([s0, s1]), INVERT_SOURCE)?, side(u16::from_ne_bytes([d0, d1]), INVERT_DEST)?);
        let limit = match (flags & LIMIT_IFACE_IN != 0, flags & LIMIT_IFACE_OUT != 0) {
            (false, false) => Limit::None,
            (true, false) => Limit::In,
            (false, true) => Limit::Out,
            (true, true) => return None,
        };
        (src.is_some() || dst.is_some()).then_some(Self { src, dst, limit })
    }

    fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        let sides = [(self.src, NFTA_FIB_F_SADDR, 8), (self.dst, NFTA_FIB_F_DADDR, 24)];
        sides.into_iter().all(|(side, flag, offset)| match side {
            None => true,
            Some((types, not)) if cx.family == Family::V4 => {
                let limit = match self.limit {
                    Limit::None => 0,
                    Limit::In => NFTA_FIB_F_IIF,
                    Limit::Out => NFTA_FIB_F_OIF,
                };
                native_by_route(types, not, flag | limit, x);
                true
            }
            Some((types, not)) => native_by_address(types, not, offset, x),
        })
    }
}

impl AddrType {
    /// Whether the `fib` expression says the same of IPv6 addresses. Of UNICAST the match looks at the address and not at the route, and
    /// asks for it as well as for the types that the route says; on an interface `fib` does not find what is unreachable.
    fn is_fib_type_v6(&self, types: u16) -> bool {
        let unreachable = mask(HostType::Unreachable);
        let by_route = mask(HostType::Local) | mask(HostType::Anycast) | unreachable;
        match types {
            _ if types & !by_route == 0 => self.limit == Limit::None || types & unreachable == 0,
            _ => types.is_power_of_two() && types != mask(HostType::Unicast),
        }
    }
}

/// Reads a list of types; each by the beginning of its name, in any case. The texts of errors differ for what stands before a comma.
fn parse(text: &[u8]) -> Result<u16, UsageError> {
    let find = |word: &[u8]| {
        let begins = |name: &&str| name.as_bytes().get(..word.len()).is_some_and(|s| s.eq_ignore_ascii_case(word));
        TYPES.iter().position(begins).filter(|_| !word.is_empty()).map(|at| 1u16 << at)
    };
    let (mut types, mut rest) = (0, text);
    while let Some(comma) = rest.iter().position(|b| *b == b',') {
        let word = rest.get(..comma).unwrap_or_default();
        types |= find(word).ok_or_else(|| usage_bytes("addrtype: bad type `", rest, "'"))?;
        rest = rest.get(comma + 1..).unwrap_or_default();
    }
    Ok(types | find(rest).ok_or_else(|| usage_bytes("addrtype: bad type \"", rest, "\""))?)
}

fn print(types: u16, out: &mut Out) {
    let mut comma = "";
    for (at, name) in TYPES.iter().enumerate() {
        if types & (1 << at) != 0 {
            out.str(comma);
            out.str(name);
            comma = ",";
        }
    }
}

fn native_by_route(types: u16, not: bool, flags: u32, x: &mut ExprWriter<'_>) {
    let wanted: Vec<u32> = (0u32..16).filter(|ty| types & (1 << ty) != 0).collect();
    x.fib(NFT_FIB_RESULT_ADDRTYPE, flags);
    match *wanted {
        [] if not => {}
        [] => x.never(),
        [one] => x.cmp_eq(not, &one.to_ne_bytes()),
        _ => {
            let mut set = AnonSet::new(&[Key::AddrType]);
            wanted.iter().for_each(|ty| set.value(&[&ty.to_ne_bytes()]));
            x.lookup(not, set);
        }
    }
}

/// IPv6: the types must all hold, and no address is of two of these.
fn native_by_address(types: u16, not: bool, offset: u32, x: &mut ExprWriter<'_>) -> bool {
    let (unspec, unicast, multicast) = (mask(HostType::Unspec), mask(HostType::Unicast), mask(HostType::Multicast));
    if types & !(unspec | unicast | multicast) != 0 {
        return false;
    }
    let address = |x: &mut ExprWriter<'_>, len| x.payload(NFT_PAYLOAD_NETWORK_HEADER, offset, len);
    if types == unspec {
        address(x, 16);
        x.cmp_eq(not, &[0; 16]);
    } else if types == multicast {
        address(x, 1);
        x.cmp_eq(not, &[0xff]);
    } else if types == unicast {
        // Neither the unspecified address nor a multicast or a mapped IPv4 address.
        let mapped = |last: u8| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, last, last, last, last];
        let mut others = AnonSet::new(&[Key::V6]);
        others.value(&[&[0; 16]]);
        others.range(&[(&mapped(0), &mapped(0xff))]);
        others.range(&[(&[0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[0xff; 16])]);
        address(x, 16);
        x.lookup(!not, others);
    } else if types != 0 && !not {
        x.never();
    }
    true
}

impl MatchExt for AddrType {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let iface = match self.limit {
            Limit::None => None,
            Limit::In => Some(packet.meta.iif.as_slice()),
            Limit::Out => Some(packet.meta.oif.as_slice()),
        };
        let side = |side: Option<(u16, bool)>, addr: IpAddr| match side {
            None => Tri::True,
            Some((types, not)) => is_of(types, addr, env.host.addr_type(addr, iface)).xor(not),
        };
        side(self.src, packet.src()).and(side(self.dst, packet.dst()))
    }
}

const fn mask(ty: HostType) -> u16 {
    1 << ty as u8
}

/// Whether an address of this type is meant.
fn is_of(types: u16, addr: IpAddr, host: Option<HostType>) -> Tri {
    let looked_up = |types: u16| host.map_or(Tri::Unknown, |ty| Tri::from(types & mask(ty) != 0));
    let IpAddr::V6(addr) = addr else { return looked_up(types) };
    let by_address = [
        (HostType::Unspec, addr.is_unspecified()),
        (HostType::Unicast, is_unicast(addr)),
        (HostType::Multicast, addr.is_multicast()),
    ];
    if by_address.iter().any(|(ty, holds)| types & mask(*ty) != 0 && !holds) {
        return Tri::False;
    }
    let routed = types & (mask(HostType::Local) | mask(HostType::Anycast) | mask(HostType::Unreachable));
    if routed == 0 { Tri::True } else { looked_up(routed) }
}

/// Whether the kernel counts an IPv6 address among the unicast ones: not `::`, not multicast, not IPv4-mapped.
fn is_unicast(addr: Ipv6Addr) -> bool {
    !addr.is_unspecified() && !addr.is_multicast() && addr.to_ipv4_mapped().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{SomeHost, error, raised, read, row};
    use crate::packet::build::{Ipv4, Ipv6, Udp as Datagram};
    use crate::types::Family::{V4, V6};
    use crate::types::Hook;

    const ALL: &str =
        "UNSPEC,UNICAST,LOCAL,BROADCAST,ANYCAST,MULTICAST,BLACKHOLE,UNREACHABLE,PROHIBIT,THROW,NAT,XRESOLVE";

    #[test]
    fn what_stock_writes_and_prints() {
        for (args, wire, list) in [
            (" --src-type LOCAL", "0400000000000000", " ADDRTYPE match src-type LOCAL"),
            (
                " ! --src-type LOCAL ! --dst-type UNICAST,LOCAL",
                "0400060003000000",
                " ADDRTYPE match src-type !LOCAL dst-type !UNICAST,LOCAL",
            ),
            (" --dst-type LOCAL --limit-iface-in", "0000040004000000", " ADDRTYPE match dst-type LOCAL limit-in"),
            (" --src-type LOCAL --limit-iface-out", "0400000008000000", " ADDRTYPE match src-type LOCAL limit-out"),
            (&format!(" --src-type {ALL}"), "ff0f000000000000", &format!(" ADDRTYPE match src-type {ALL}")),
        ] {
            for family in [V4, V6] {
                row(family, None, &format!("addrtype{args}"), args, list, &format!("match addrtype 1 {wire}"));
            }
        }
        for (value, save) in [("Loc,uni", "UNICAST,LOCAL"), ("U", "UNSPEC"), ("X,UNSPEC,x", "UNSPEC,XRESOLVE")] {
            let read = read(V4, None, &format!("addrtype --limit-iface-in --dst-type {value}")).unwrap();
            assert_eq!(read.save(), format!(" --dst-type {save} --limit-iface-in"));
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (args, text) in [
            (" --src-type ", "addrtype: bad type \"\""),
            (" --src-type LOCAL,", "addrtype: bad type \"\""),
            (" --src-type ,LOCAL", "addrtype: bad type `,LOCAL'"),
            (" --src-type LOCAL,,UNICAST", "addrtype: bad type `,UNICAST'"),
            (" --src-type LOCAL,BAD", "addrtype: bad type \"BAD\""),
            (" --src-type LOCALX", "addrtype: bad type \"LOCALX\""),
            ("", "addrtype: you must specify --src-type or --dst-type"),
            (" --limit-iface-in", "addrtype: you must specify --src-type or --dst-type"),
            (
                " --dst-type LOCAL --limit-iface-out --limit-iface-in",
                "addrtype: option \"--limit-iface-in\" cannot be used together with \"--limit-iface-out\".\n",
            ),
            (" ! --limit-iface-in", "addrtype: option \"--limit-iface-in\" cannot be inverted.\n"),
        ] {
            assert_eq!(error(V4, None, &format!("addrtype{args}")), text, "{args}");
        }
        for info in [[0u8; 8], [4, 0x10, 0, 0, 0, 0, 0, 0], [4, 0, 0, 0, 12, 0, 0, 0], [4, 0, 0, 0, 2, 0, 0, 0]] {
            assert!(raised(V4, None, |x| x.xt_match("addrtype", 1, |b| b.bytes(&info))).is_none(), "{info:?}");
        }
    }

    const HOST: SomeHost = SomeHost(&[
        ("192.0.2.1", HostType::Local),
        ("198.51.100.1", HostType::Unicast),
        ("2001:db8::1", HostType::Local),
        ("2001:db8::2", HostType::Unicast),
        ("ff02::1", HostType::Multicast),
        ("2001:db8::", HostType::Anycast),
    ]);

    #[test]
    fn ipv4_packets() {
        let packet = Ipv4::default() / Datagram::default();
        let judge =
            |args: &str| read(V4, None, &format!("addrtype {args}")).unwrap().judge_at(&packet, Hook::Input, &HOST).0;
        assert_eq!(judge("--src-type LOCAL,BROADCAST"), Tri::True);
        assert_eq!(judge("--src-type LOCAL ! --dst-type LOCAL"), Tri::True);
        assert_eq!(judge("--src-type UNICAST"), Tri::False);
        let unknown = Ipv4 { dst: [203, 0, 113, 1].into(), ..Ipv4::default() } / Datagram::default();
        let local = read(V4, None, "addrtype ! --dst-type LOCAL").unwrap();
        assert_eq!(local.judge_at(&unknown, Hook::Input, &HOST).0, Tri::Unknown);
    }

    /// Observed with packets in OUTPUT of Linux 6.18.
    #[test]
    fn ipv6_types_are_not_simply_alternatives() {
        let addrs = ["2001:db8::1", "2001:db8::2", "ff02::1", "2001:db8::"];
        for (types, expected) in [
            ("UNICAST", [true, true, false, true]),
            ("MULTICAST", [false, false, true, false]),
            ("LOCAL", [true, false, false, false]),
            ("ANYCAST", [false, false, false, true]),
            ("UNICAST,MULTICAST", [false; 4]),
            ("UNICAST,LOCAL", [true, false, false, false]),
            ("MULTICAST,LOCAL", [false; 4]),
            ("UNSPEC,UNICAST", [false; 4]),
            ("LOCAL,ANYCAST", [true, false, false, true]),
        ] {
            let read = read(V6, None, &format!("addrtype --dst-type {types}")).unwrap();
            for (addr, expected) in addrs.iter().zip(expected) {
                let packet = Ipv6 { dst: addr.parse().unwrap(), ..Ipv6::default() } / Datagram::default();
                assert_eq!(read.judge_at(&packet, Hook::Output, &HOST).0, Tri::from(expected), "{types} {addr}");
            }
        }
    }
}
