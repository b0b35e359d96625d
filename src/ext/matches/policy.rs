//! `-m policy`: the IPsec policy that was, or will be, applied to a packet.
//!
//! # Matches
//! Packets that IPsec has handled (`--dir in`) or is going to handle (`--dir out`), or has not (`--pol none`), by the transformations.
//! # Options
//! `--dir in|out`, `--pol none|ipsec`, `--strict`; for each of up to four elements, divided by `--next`: `[!] --reqid`, `[!] --spi`,
//! `[!] --proto ah|esp|ipcomp`, `[!] --mode tunnel|transport`, `[!] --tunnel-src`, `[!] --tunnel-dst ADDRESS[/MASK]`.
//! # Wire
//! xt `policy` revision 0: `struct xt_policy_info`; the SPI is big-endian, the reqid in host order.
//! Native: `meta load secpath` or `rt load ipsec` for `--pol none`, and for `--pol ipsec` without `--strict` and without elements; what is asked of
//! single transformations has no expression that counts them from the same end.
//! # Evaluates
//! Unknown: a packet does not carry its IPsec state here.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "policy"; `linux/netfilter/xt_policy.h`; fact sheet 3.4.

use crate::ext::base::print_protocol;
use crate::ext::limits::{INCOMING, Limit, OUTGOING};
use crate::ext::options::{Given, Kind, Opt, UsageError, bit, usage_bytes};
use crate::ext::resolve;
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Network, NoNames, Out, Tri, prefix_mask};
use crate::usage;
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};
use std::net::IpAddr;

/// The direction, the policy, and the elements that are described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `XT_POLICY_MATCH_*`.
    flags: u16,
    elements: Vec<Element>,
}

/// One transformation; each condition with whether it is inverted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Element {
    reqid: Option<(u32, bool)>,
    spi: Option<(u32, bool)>,
    proto: Option<(u8, bool)>,
    /// `XT_POLICY_MODE_*`: 0 transport, 1 tunnel.
    mode: Option<(u8, bool)>,
    src: Option<(End, bool)>,
    dst: Option<(End, bool)>,
}

/// A tunnel's end: an address, whose host bits stay as written, and its mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    addr: IpAddr,
    mask: IpAddr,
    /// No mask was written; stock then fills all 16 bytes of an IPv4 mask.
    bare: bool,
}

const MATCH_IN: u16 = 1;
const MATCH_OUT: u16 = 2;
const MATCH_NONE: u16 = 4;
const MATCH_STRICT: u16 = 8;
/// `XT_POLICY_MAX_ELEM`.
const ELEMENTS_MAX: usize = 4;
/// Length of `struct xt_policy_elem` in bytes.
const ELEMENT_LEN: usize = 76;
const TUNNEL: u8 = 1;
/// IPPROTO_ESP, IPPROTO_AH, IPPROTO_COMP.
const PROTOCOLS: [u8; 3] = [50, 51, 108];

const DIR: u8 = 0;
const POL: u8 = 1;
const STRICT: u8 = 2;
const REQID: u8 = 3;
const SPI: u8 = 4;
const TUNNEL_SRC: u8 = 5;
const TUNNEL_DST: u8 = 6;
const PROTO: u8 = 7;
const MODE: u8 = 8;
const NEXT: u8 = 9;

const U32: Kind = Kind::Number { min: 0, max: u32::MAX as u64 };

/// A condition of an element, which may come again in the next.
const fn of_element(name: &'static str, id: u8, kind: Kind, metavar: &'static str, help: &'static str) -> Opt {
    Opt { many: true, ..Opt::value(name, id, kind, metavar, help).invertible() }
}

const OPTIONS: &[Opt] = &[
    Opt::value("dir", DIR, Kind::Raw, "in|out", "policy for decapsulation or encapsulation")
        .mandatory()
        .examples(&["in"]),
    Opt::value("pol", POL, Kind::Raw, "none|ipsec", "whether IPsec is involved").mandatory().examples(&["ipsec"]),
    Opt::flag("strict", STRICT, "the whole policy, not any element of it"),
    of_element("reqid", REQID, U32, "id", "reqid of the policy rule").examples(&["1", "0x10"]),
    of_element("spi", SPI, U32, "spi", "SPI of the SA").examples(&["2", "0x20"]),
    of_element("tunnel-src", TUNNEL_SRC, Kind::Raw, "address[/mask]", "source end of a tunnel").examples(&[
        "v4:192.0.2.1",
        "v4:192.0.2.0/24",
        "v6:2001:db8::1",
    ]),
    of_element("tunnel-dst", TUNNEL_DST, Kind::Raw, "address[/mask]", "destination end of a tunnel")
        .examples(&["v4:198.51.100.7", "v6:2001:db8::/32"]),
    of_element("proto", PROTO, Kind::Protocol, "ah|esp|ipcomp", "encapsulation protocol").examples(&["esp", "ah"]),
    of_element("mode", MODE, Kind::Raw, "tunnel|transport", "encapsulation mode").examples(&["tunnel", "transport"]),
    Opt { many: true, needs: bit(STRICT), ..Opt::flag("next", NEXT, "begins the next element of the policy") },
];

impl Extension for Policy {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        limits: &[Limit::hooks(INCOMING).with("--dir in"), Limit::hooks(OUTGOING).with("--dir out")],
        ..Spec::new("policy", 0, "matches the IPsec policy of the packet")
    };

    fn new(_: Family) -> Self {
        Self { flags: 0, elements: Vec::new() }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            DIR => {
                self.flags |= match given.bytes() {
                    b"in" => MATCH_IN,
                    b"out" => MATCH_OUT,
                    other => return Err(usage_bytes("policy_match: invalid dir \"", other, "\"")),
                };
            }
            POL => {
                self.flags |= match given.bytes() {
                    b"none" => MATCH_NONE,
                    b"ipsec" => 0,
                    other => return Err(usage_bytes("policy match: invalid policy \"", other, "\"")),
                };
            }
            STRICT => self.flags |= MATCH_STRICT,
            NEXT => {
                // The first --next closes the first element, given or not.
                if self.elements.is_empty() {
                    self.elements.push(Element::default());
                }
                if self.elements.len() == ELEMENTS_MAX {
                    return Err(usage!("policy match: maximum policy depth reached"));
                }
                self.elements.push(Element::default());
            }
            _ => {
                if self.elements.is_empty() {
                    self.elements.push(Element::default());
                }
                if let Some(element) = self.elements.last_mut() {
                    element.set(given, cx)?;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if self.flags & (MATCH_IN | MATCH_OUT) == 0 {
            return Err(usage!("policy match: neither --dir in nor --dir out specified"));
        }
        if self.flags & MATCH_NONE != 0 {
            if self.flags & MATCH_STRICT != 0 {
                return Err(usage!("policy match: policy none but --strict given"));
            }
            self.elements.clear();
        }
        // One element, though it asks for nothing, stands for "IPsec at all".
        if self.flags & MATCH_NONE == 0 && self.elements.is_empty() {
            self.elements.push(Element::default());
        }
        for (i, element) in self.elements.iter().enumerate() {
            if self.flags & MATCH_STRICT != 0 && *element == Element::default() {
                return Err(usage!(
                    "policy match: empty policy element {i}. --strict is in effect, but at least one of reqid, spi, tunnel-src, \
                     tunnel-dst, proto or mode is required."
                ));
            }
            let tunnel = element.mode.is_some_and(|(mode, not)| (mode == TUNNEL) != not);
            if (element.src.is_some() || element.dst.is_some()) && !tunnel {
                return Err(usage!("policy match: --tunnel-src/--tunnel-dst is only valid in tunnel mode"));
            }
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.print(" --", false, out, cx);
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(" policy match");
        self.print(" ", true, out, cx);
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str(match self.flags {
            MATCH_IN => "meta secpath exists",
            f if f == MATCH_IN | MATCH_NONE => "meta secpath missing",
            _ => return false,
        });
        self.elements.iter().all(|element| *element == Element::default())
    }

    fn blob(&self, family: Family, b: &mut BlobWriter<'_>) {
        for i in 0..ELEMENTS_MAX {
            match self.elements.get(i) {
                Some(element) => element.blob(family, b),
                None => b.zeros(ELEMENT_LEN),
            }
        }
        b.u16(self.flags);
        b.u16(self.elements.len() as u16);
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let (elements, rest) = info.split_at_checked(ELEMENTS_MAX * ELEMENT_LEN)?;
        let [f0, f1, n0, n1, ..] = *rest else { return None };
        let len = usize::from(u16::from_ne_bytes([n0, n1]));
        let elements = elements.chunks_exact(ELEMENT_LEN).take(len).map(|e| Element::decode(e, family));
        let elements: Option<Vec<Element>> = elements.collect();
        let policy = Self { flags: u16::from_ne_bytes([f0, f1]), elements: elements.filter(|e| e.len() == len)? };
        // What the command line would not take, or would change, cannot be said.
        let strange = policy.flags & !(MATCH_IN | MATCH_OUT | MATCH_NONE | MATCH_STRICT) != 0
            || policy.flags & (MATCH_IN | MATCH_OUT) == MATCH_IN | MATCH_OUT
            || policy.flags & MATCH_STRICT == 0 && len > 1;
        let mut taken = policy.clone();
        let cx = ParseCx { family, names: &NoNames, protocol: None };
        (!strange && taken.finish(0, &cx).is_ok() && taken == policy).then_some(policy)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        let none = self.flags & MATCH_NONE != 0;
        let any = matches!(&*self.elements, [only] if only.is_bare()) && self.flags & MATCH_STRICT == 0;
        match self.flags & (MATCH_IN | MATCH_OUT) {
            _ if !none && !any => return false,
            MATCH_IN => x.meta(NFT_META_SECPATH),
            MATCH_OUT => x.rt(NFT_RT_XFRM),
            _ => return false,
        }
        x.cmp_eq(false, &[u8::from(!none)]);
        true
    }
}

impl Policy {
    fn print(&self, before: &str, listing: bool, out: &mut Out, cx: &PrintCx<'_>) {
        let word = |out: &mut Out, set: bool, text: &str| {
            if set {
                out.str(before);
                out.str(text);
            }
        };
        word(out, self.flags & MATCH_IN != 0, "dir in");
        word(out, self.flags & MATCH_IN == 0, "dir out");
        word(out, self.flags & MATCH_NONE != 0, "pol none");
        word(out, self.flags & MATCH_NONE == 0, "pol ipsec");
        word(out, self.flags & MATCH_STRICT != 0, "strict");
        for (i, element) in self.elements.iter().enumerate() {
            if listing && self.elements.len() > 1 {
                write!(out, " [{i}]");
            }
            element.print(before, listing, out, cx);
            word(out, !listing && i + 1 < self.elements.len(), "next");
        }
    }
}

impl Element {
    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let not = given.negated;
        let again = match given.id() {
            REQID => self.reqid.is_some(),
            SPI => self.spi.is_some(),
            TUNNEL_SRC => self.src.is_some(),
            TUNNEL_DST => self.dst.is_some(),
            PROTO => self.proto.is_some(),
            _ => self.mode.is_some(),
        };
        if again {
            return Err(usage!("policy match: double --{} option", given.opt.name));
        }
        match given.id() {
            REQID => self.reqid = Some((given.u32(), not)),
            SPI => self.spi = Some((given.u32(), not)),
            TUNNEL_SRC => self.src = Some((end(given, cx)?, not)),
            TUNNEL_DST => self.dst = Some((end(given, cx)?, not)),
            PROTO => {
                if !PROTOCOLS.contains(&given.u8()) {
                    return Err(usage!("policy match: protocol must be ah/esp/ipcomp"));
                }
                self.proto = Some((given.u8(), not));
            }
            _ => {
                let mode = match given.bytes() {
                    b"transport" => 0,
                    b"tunnel" => TUNNEL,
                    other => return Err(usage_bytes("policy match: invalid mode \"", other, "\"")),
                };
                self.mode = Some((mode, not));
            }
        }
        Ok(())
    }

    fn blob(&self, family: Family, b: &mut BlobWriter<'_>) {
        for net in [&self.src, &self.dst] {
            match net {
                Some((end, _)) => {
                    let octets = |addr| Network::host(addr).addr_octets();
                    b.fixed(octets(end.addr).get(..family.addr_len()).unwrap_or_default(), 16);
                    let mask = if end.bare { [0xff; 16] } else { octets(end.mask) };
                    b.fixed(&mask, 16);
                }
                None => b.zeros(32),
            }
        }
        // Stock writes it in host order, though the kernel compares it with what is on the wire.
        b.u32(self.spi.map_or(0, |(spi, _)| spi));
        b.u32(self.reqid.map_or(0, |(reqid, _)| reqid));
        b.u8(self.proto.map_or(0, |(proto, _)| proto));
        b.u8(self.mode.map_or(0, |(mode, _)| mode));
        b.u8(self.bits(|_| true));
        b.u8(self.bits(|not| not));
    }

    /// A bit for each condition whose inversion `pick` takes, in the order of `struct xt_policy_spec`.
    fn bits(&self, pick: impl Fn(bool) -> bool) -> u8 {
        let conditions = [
            self.src.map(|(_, not)| not),
            self.dst.map(|(_, not)| not),
            self.proto.map(|(_, not)| not),
            self.mode.map(|(_, not)| not),
            self.spi.map(|(_, not)| not),
            self.reqid.map(|(_, not)| not),
        ];
        conditions.iter().enumerate().fold(0, |bits, (i, c)| bits | u8::from(c.is_some_and(&pick)) << i)
    }

    fn decode(bytes: &[u8], family: Family) -> Option<Self> {
        let [.., proto, mode, asked, invert] = *bytes else { return None };
        let address = |at: usize| {
            let octets: [u8; 16] = *bytes.get(at..)?.first_chunk()?;
            Some(match family {
                Family::V4 => IpAddr::from(*octets.first_chunk::<4>()?),
                Family::V6 => IpAddr::from(octets),
            })
        };
        let word = |at: usize| bytes.get(at..)?.first_chunk::<4>().copied();
        let end = |at: usize| {
            let bare = family == Family::V4 && bytes.get(at + 16..at + 32)? == [0xff; 16];
            Some(End { addr: address(at)?, mask: address(at + 16)?, bare })
        };
        let ask = |i: u8| (asked & (1 << i) != 0).then_some(invert & (1 << i) != 0);
        let mut element = Self::default();
        if let Some(not) = ask(0) {
            element.src = Some((end(0)?, not));
        }
        if let Some(not) = ask(1) {
            element.dst = Some((end(32)?, not));
        }
        element.proto = ask(2).map(|not| (proto, not));
        if element.proto.is_some_and(|(proto, _)| !PROTOCOLS.contains(&proto)) {
            return None;
        }
        element.mode = ask(3).map(|not| (mode, not));
        element.spi = ask(4).zip(word(64)).map(|(not, w)| (u32::from_ne_bytes(w), not));
        element.reqid = ask(5).zip(word(68)).map(|(not, w)| (u32::from_ne_bytes(w), not));
        (mode <= TUNNEL).then_some(element)
    }

    fn print(&self, before: &str, listing: bool, out: &mut Out, cx: &PrintCx<'_>) {
        let option = |out: &mut Out, not: bool, name: &str| {
            out.str(if not { " !" } else { "" });
            out.str(before);
            out.str(name);
            out.byte(b' ');
        };
        if let Some((reqid, not)) = self.reqid {
            option(out, not, "reqid");
            out.dec(u64::from(reqid));
        }
        if let Some((spi, not)) = self.spi {
            option(out, not, "spi");
            write!(out, "{spi:#x}");
        }
        if let Some((proto, not)) = self.proto {
            option(out, not, "proto");
            if listing && cx.numeric {
                out.dec(u64::from(proto));
            } else {
                print_protocol(out, proto, cx);
            }
        }
        if let Some((mode, not)) = self.mode {
            option(out, not, "mode");
            out.str(if mode == TUNNEL { "tunnel" } else { "transport" });
        }
        for (name, end) in [("tunnel-dst", &self.dst), ("tunnel-src", &self.src)] {
            let Some((End { addr, mask, .. }, not)) = end else { continue };
            option(out, *not, name);
            out.addr(*addr);
            match Network::new(*mask, *mask).and_then(|n| n.prefix_len()) {
                Some(len) if len == cx.family.addr_bits() => {}
                Some(len) => write!(out, "/{len}"),
                None => {
                    out.byte(b'/');
                    out.addr(*mask);
                }
            }
        }
    }
}

fn end(given: &Given<'_>, cx: &ParseCx<'_>) -> Result<End, UsageError> {
    let (addr, mask) = resolve::network(given.bytes(), cx, "policy", given.opt.name)?;
    let bare = mask.is_none() && cx.family == Family::V4;
    Ok(End { addr, mask: mask.unwrap_or_else(|| prefix_mask(cx.family, cx.family.addr_bits())), bare })
}

impl Element {
    /// Whether nothing is asked of it.
    fn is_bare(&self) -> bool {
        self.reqid.is_none()
            && self.spi.is_none()
            && self.proto.is_none()
            && self.mode.is_none()
            && self.src.is_none()
            && self.dst.is_none()
    }
}

impl MatchExt for Policy {
    fn eval(&self, _: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::Unknown
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::matches::testing::{TCP, error, read};
    use crate::types::Family;

    #[test]
    fn options_in_the_kernels_order() {
        let text = "policy --dir in --pol ipsec --strict --spi 2 --reqid 1 --tunnel-src 192.0.2.1/24 --mode tunnel --proto esp --next ! --reqid 5";
        let read = read(Family::V4, TCP, text).unwrap();
        assert_eq!(
            read.save(),
            " --dir in --pol ipsec --strict --reqid 1 --spi 0x2 --proto esp --mode tunnel --tunnel-src 192.0.2.1/24 --next ! --reqid 5"
        );
        assert_eq!(
            read.list(true),
            " policy match dir in pol ipsec strict [0] reqid 1 spi 0x2 proto 50 mode tunnel tunnel-src 192.0.2.1/24 [1] ! reqid 5"
        );
    }

    #[test]
    fn contradictions_are_named() {
        let says = |text: &str| error(Family::V4, TCP, text);
        assert_eq!(says("policy --pol ipsec"), "policy match: neither --dir in nor --dir out specified");
        assert_eq!(says("policy --dir in --pol none --strict"), "policy match: policy none but --strict given");
        assert!(says("policy --dir in --pol ipsec --strict").starts_with("policy match: empty policy element 0."));
        assert_eq!(says("policy --dir in --reqid 1 --reqid 2"), "policy match: double --reqid option");
    }
}
