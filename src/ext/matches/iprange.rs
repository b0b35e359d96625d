//! `-m iprange`: source or destination address in a range that need not be a network.
//!
//! # Matches
//! Packets whose source address, destination address, or both, lie in ranges; `!` outside. A range with its ends swapped holds none.
//! # Options
//! At least one of `[!] --src-range a[-b]`, `[!] --dst-range a[-b]`, numeric; without `b` the one address.
//! # Wire
//! xt `iprange` revision 1: `struct xt_iprange_mtinfo { union nf_inet_addr src_min, src_max, dst_min, dst_max; u8 flags; }`, addresses in
//! network order, IPv4 in the first four of sixteen bytes.
//! Native: `payload load` of the address, `range` (`cmp` for a single one).
//! # Evaluates
//! Always known.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "iprange"; `linux/netfilter/xt_iprange.h`; fact sheet 3.4.

use crate::ext::options::{Given, Kind, Opt, UsageError, numeric_host, usage_bytes};
use crate::ext::{Body, Extension, Match, MatchExt, NativeCx, ParseCx, PrintCx, Spec, nft};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Network, Out, Tri, prefix_mask};
use crate::usage;
use crate::wire::cond::{Cond, Data, Field, Test};
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};
use std::borrow::Cow;
use std::net::IpAddr;

/// Ranges of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IpRange {
    src: Option<Range>,
    dst: Option<Range>,
}

/// A range, both ends included, of one family; or all but it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Range {
    first: IpAddr,
    last: IpAddr,
    invert: bool,
}

const SRC: u8 = 0;
const DST: u8 = 1;

const RANGES: &[&str] = &[
    "v4:1.1.1.1",
    "v4:10.0.0.1-10.0.0.77",
    "v4:0.0.0.0-255.255.255.255",
    "v6:::1",
    "v6:2001:db8::1-2001:db8::1:0",
    "v6:fe80::-fe80::ffff",
];

const OPTIONS: &[Opt] = &[
    Opt::value("src-range", SRC, Kind::Raw, "ip[-ip]", "source address in the range").invertible().examples(RANGES),
    Opt::value("dst-range", DST, Kind::Raw, "ip[-ip]", "destination address in the range")
        .invertible()
        .examples(RANGES),
];

/// Bits of `flags` (`IPRANGE_*`).
const FLAG_SRC: u8 = 1 << 0;
const FLAG_DST: u8 = 1 << 1;
const FLAG_SRC_INV: u8 = 1 << 4;
const FLAG_DST_INV: u8 = 1 << 5;

impl Extension for IpRange {
    const SPEC: Spec =
        Spec { options: OPTIONS, ..Spec::new("iprange", 1, "matches addresses in a range from one to another") };

    fn new(_: Family) -> Self {
        Self { src: None, dst: None }
    }

    fn warning(given: &Given<'_>, cx: &ParseCx<'_>) -> Option<Cow<'static, str>> {
        let (first, last) = parse(given, cx).ok()?;
        let text = String::from_utf8_lossy(given.bytes());
        (first > last).then(|| format!("xt_iprange: range {text} is reversed and will never match").into())
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let (first, last) = parse(given, cx)?;
        let range = Some(Range { first, last, invert: given.negated });
        match given.id() {
            SRC => self.src = range,
            _ => self.dst = range,
        }
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match seen {
            0 => Err(usage!("iprange match: You must specify `--src-range' or `--dst-range'")),
            _ => Ok(()),
        }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        for (name, range) in [("--src-range ", self.src), ("--dst-range ", self.dst)] {
            let Some(range) = range else { continue };
            out.str(if range.invert { " ! " } else { " " });
            out.str(name);
            range.print(out);
        }
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        for (name, range) in [(" source IP range ", self.src), (" destination IP range ", self.dst)] {
            let Some(range) = range else { continue };
            out.str(name);
            out.str(if range.invert { "! " } else { "" });
            range.print(out);
        }
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        let begin = out.len();
        let mut sayable = true;
        for (name, range) in [("saddr ", self.src), ("daddr ", self.dst)] {
            let Some(Range { first, last, invert }) = range else { continue };
            nft::separate(out, begin);
            out.str(nft::nft_family(cx.family));
            out.byte(b' ');
            out.str(name);
            nft::unless(invert, out);
            out.addr(first);
            out.byte(b'-');
            out.addr(last);
            sayable &= first <= last;
        }
        sayable
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        let mut flags = 0;
        for (range, set, inverted) in [(self.src, FLAG_SRC, FLAG_SRC_INV), (self.dst, FLAG_DST, FLAG_DST_INV)] {
            let Some(range) = range else {
                b.zeros(32);
                continue;
            };
            for addr in [range.first, range.last] {
                match addr {
                    IpAddr::V4(a) => b.fixed(&a.octets(), 16),
                    IpAddr::V6(a) => b.bytes(&a.octets()),
                }
            }
            flags |= set | if range.invert { inverted } else { 0 };
        }
        b.u8(flags);
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let (addrs, rest) = info.split_first_chunk::<64>()?;
        let flags = *rest.first()?;
        let addrs = addrs.as_chunks::<16>().0.iter().map(|octets| match family {
            Family::V6 => IpAddr::from(*octets),
            Family::V4 => {
                let [a, b, c, d, ..] = *octets;
                IpAddr::from([a, b, c, d])
            }
        });
        let mut addrs = addrs.into_iter();
        let mut range = |set, inverted| {
            let (first, last) = (addrs.next()?, addrs.next()?);
            (flags & set != 0).then_some(Range { first, last, invert: flags & inverted != 0 })
        };
        let (src, dst) = (range(FLAG_SRC, FLAG_SRC_INV), range(FLAG_DST, FLAG_DST_INV));
        (src.is_some() || dst.is_some()).then_some(Self { src, dst })
    }

    fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        let offsets = match cx.family {
            Family::V4 => (12, 16),
            Family::V6 => (8, 24),
        };
        for (range, offset) in [(self.src, offsets.0), (self.dst, offsets.1)] {
            let Some(range) = range else { continue };
            let len = cx.family.addr_len();
            let [first, last] = [range.first, range.last].map(|addr| Network::host(addr).addr_octets());
            x.payload(NFT_PAYLOAD_NETWORK_HEADER, offset, len as u32);
            x.within(range.invert, first.get(..len).unwrap_or(&first), last.get(..len).unwrap_or(&last));
        }
        true
    }
}

/// `a[-b]`, numeric addresses of the family.
fn parse(given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(IpAddr, IpAddr), UsageError> {
    let addr = |text: &[u8]| {
        let before = format!("iprange: Bad value for \"--{}\" option: \"", given.opt.name);
        numeric_host(text, cx.family).ok_or_else(|| usage_bytes(&before, text, "\""))
    };
    let text = given.bytes();
    let Some(dash) = text.iter().position(|b| *b == b'-') else { return addr(text).map(|a| (a, a)) };
    let first = addr(text.get(..dash).unwrap_or_default())?;
    Ok((first, addr(text.get(dash + 1..).unwrap_or_default())?))
}

impl Range {
    fn print(self, out: &mut Out) {
        out.addr(self.first);
        out.byte(b'-');
        out.addr(self.last);
    }

    fn contains(self, addr: IpAddr) -> bool {
        (self.first <= addr && addr <= self.last) != self.invert
    }
}

/// Claims a native range of addresses, or one end of it: the first end makes a match, the second completes it. Offset and length of the
/// field say the side only if the family is known, so that this is no [`MatchExt::raise`].
pub fn raise(cond: &Cond, family: Family, body: &mut Body) -> bool {
    let side = match (family, cond.field) {
        (Family::V4, Field::Payload { base: NFT_PAYLOAD_NETWORK_HEADER, offset: 12, len: 4 }) => SRC,
        (Family::V4, Field::Payload { base: NFT_PAYLOAD_NETWORK_HEADER, offset: 16, len: 4 }) => DST,
        (Family::V6, Field::Payload { base: NFT_PAYLOAD_NETWORK_HEADER, offset: 8, len: 16 }) => SRC,
        (Family::V6, Field::Payload { base: NFT_PAYLOAD_NETWORK_HEADER, offset: 24, len: 16 }) => DST,
        _ => return false,
    };
    let Some((first, last, invert)) = ends(cond, family) else { return false };
    let of = |range| match side {
        SRC => IpRange { src: Some(range), dst: None },
        _ => IpRange { src: None, dst: Some(range) },
    };
    let highest = highest(family);
    // `>= first` and then `<= last`.
    if !invert && first == family.unspecified() {
        let begun = body.matches.last_mut().and_then(|m| match (m, side) {
            (Match::IpRange(IpRange { src, dst: None }), SRC) => src.as_mut(),
            (Match::IpRange(IpRange { src: None, dst }), DST) => dst.as_mut(),
            _ => None,
        });
        if let Some(range) = begun.filter(|r| !r.invert && r.last == highest && r.first <= last) {
            range.last = last;
            return true;
        }
    }
    body.matches.push(Match::IpRange(of(Range { first, last, invert })));
    true
}

/// The addresses that a condition says, both ends included, and whether all others are meant.
fn ends(cond: &Cond, family: Family) -> Option<(IpAddr, IpAddr, bool)> {
    let addr = |data: &Data| match family {
        Family::V4 => data.array::<4>().map(IpAddr::from),
        Family::V6 => data.array::<16>().map(IpAddr::from),
    };
    let beside = |addr: IpAddr, up: bool| match addr {
        IpAddr::V4(a) if up => a.to_bits().checked_add(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V4(a) => a.to_bits().checked_sub(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(a) if up => a.to_bits().checked_add(1).map(|n| IpAddr::V6(n.into())),
        IpAddr::V6(a) => a.to_bits().checked_sub(1).map(|n| IpAddr::V6(n.into())),
    };
    let (lowest, highest) = (family.unspecified(), highest(family));
    match (&cond.mask, &cond.test) {
        (None, Test::Range { negated, from, to }) => {
            let (first, last) = (addr(from)?, addr(to)?);
            (first <= last).then_some((first, last, *negated))
        }
        (None, Test::Cmp { op: NFT_CMP_GTE, data }) => Some((addr(data)?, highest, false)),
        (None, Test::Cmp { op: NFT_CMP_LTE, data }) => Some((lowest, addr(data)?, false)),
        (None, Test::Cmp { op: NFT_CMP_GT, data }) => Some((beside(addr(data)?, true)?, highest, false)),
        (None, Test::Cmp { op: NFT_CMP_LT, data }) => Some((lowest, beside(addr(data)?, false)?, false)),
        _ => None,
    }
}

fn highest(family: Family) -> IpAddr {
    prefix_mask(family, family.addr_bits())
}

impl MatchExt for IpRange {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let src = self.src.is_none_or(|range| range.contains(packet.src()));
        Tri::from(src && self.dst.is_none_or(|range| range.contains(packet.dst())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised, read, row};
    use crate::packet::build::{Ipv4, Ipv6, Udp as Datagram};
    use crate::types::Family::{V4, V6};

    fn hex(parts: &[&str], flags: &str) -> String {
        let all: String = parts.iter().map(|p| format!("{p:0<32}")).collect();
        format!("match iprange 1 {all:0<128}{flags:0<16}")
    }

    #[test]
    fn what_stock_writes_and_prints() {
        for (args, list, wire) in [
            (" --src-range 1.1.1.1-1.1.1.9", " source IP range 1.1.1.1-1.1.1.9", hex(&["01010101", "01010109"], "01")),
            (
                " ! --dst-range 1.1.1.1-1.1.1.9",
                " destination IP range ! 1.1.1.1-1.1.1.9",
                hex(&["", "", "01010101", "01010109"], "22"),
            ),
            (
                " ! --src-range 1.1.1.9-1.1.1.1 --dst-range 2.2.2.2-2.2.2.2",
                " source IP range ! 1.1.1.9-1.1.1.1 destination IP range 2.2.2.2-2.2.2.2",
                hex(&["01010109", "01010101", "02020202", "02020202"], "13"),
            ),
        ] {
            row(V4, None, &format!("iprange{args}"), args, list, &wire);
        }
        let (args, list) = (" --src-range ::1-::1.2.3.4", " source IP range ::1-::1.2.3.4");
        let wire = hex(&["00000000000000000000000000000001", "00000000000000000000000001020304"], "01");
        row(V6, None, &format!("iprange{args}"), args, list, &wire);
    }

    #[test]
    fn other_spellings_and_warnings() {
        for (value, save, warnings) in [
            ("10-11", " --src-range 10.0.0.0-11.0.0.0", 0),
            ("0x1.1.1.010", " --src-range 1.1.1.8-1.1.1.8", 0),
            ("1.1.9-1.1.1", " --src-range 1.1.9.0-1.1.1.0", 1),
        ] {
            let read = read(V4, None, &format!("iprange --src-range {value}")).unwrap();
            assert_eq!((read.save().as_str(), read.warnings.len()), (save, warnings), "{value}");
        }
        let reversed = read(V4, None, "iprange --dst-range 1.1.9-1.1.1").unwrap();
        assert_eq!(reversed.warnings, ["xt_iprange: range 1.1.9-1.1.1 is reversed and will never match"]);
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (family, value, bad) in [
            (V4, "1.1.1.1-", ""),
            (V4, "-1.1.1.1", ""),
            (V4, "1.1.1.1-1.1.1.2-1.1.1.3", "1.1.1.2-1.1.1.3"),
            (V4, "1.1.1.1/24", "1.1.1.1/24"),
            (V4, "localhost", "localhost"),
            (V4, "::1", "::1"),
            (V6, "fe80::1%lo", "fe80::1%lo"),
        ] {
            let text = format!("iprange: Bad value for \"--src-range\" option: \"{bad}\"");
            assert_eq!(error(family, None, &format!("iprange --src-range {value}")), text, "{value}");
        }
        assert_eq!(error(V4, None, "iprange"), "iprange match: You must specify `--src-range' or `--dst-range'");
        let none = |x: &mut ExprWriter<'_>| x.xt_match("iprange", 1, |b| b.zeros(68));
        assert!(raised(V4, None, none).is_none());
    }

    #[test]
    fn packets() {
        let v4 =
            Ipv4 { src: [192, 0, 2, 7].into(), dst: [198, 51, 100, 1].into(), ..Ipv4::default() } / Datagram::default();
        let judge = |args: &str| read(V4, None, &format!("iprange {args}")).unwrap().matches(&v4);
        assert_eq!(judge("--src-range 192.0.2.6-192.0.2.7"), Tri::True);
        assert_eq!(judge("! --src-range 192.0.2.6-192.0.2.7"), Tri::False);
        assert_eq!(judge("--src-range 192.0.2.8-192.0.2.6"), Tri::False);
        assert_eq!(judge("--src-range 192.0.2.7 ! --dst-range 198.51.100.1"), Tri::False);
        let v6 = Ipv6 { src: "2001:db8::5".parse().unwrap(), ..Ipv6::default() } / Datagram::default();
        assert_eq!(read(V6, None, "iprange --src-range 2001:db8::-2001:db8::ff").unwrap().matches(&v6), Tri::True);
    }
}
