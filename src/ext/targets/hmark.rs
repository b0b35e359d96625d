//! `-j HMARK`: sets the packet's mark to a hash of its addresses and ports.
//!
//! # Options
//! `--hmark-mod n` (at least 1) and `--hmark-rnd n`; `--hmark-offset n`; what is hashed: `--hmark-tuple` with a list of `src dst sport dport spi
//! proto ct` (each may be cut short), or in detail `--hmark-src-prefix`, `--hmark-dst-prefix`, `--hmark-sport-mask`, `--hmark-dport-mask`,
//! `--hmark-spi-mask`, `--hmark-sport`, `--hmark-dport`, `--hmark-spi`, `--hmark-proto-mask`. What a list has set cannot be set again.
//! # Wire
//! xt `HMARK` revision 0: `struct xt_hmark_info { union nf_inet_addr src_mask, dst_mask; union hmark_ports port_mask, port_set; u32 flags; u16
//! proto_mask; u32 hashrnd, hmodulus, hoffset; }`; masks and ports in network order, the SPI in the bytes of both ports; bit n of the flags is
//! `XT_HMARK_*` number n. Native: none, because `jhash` of nf_tables hashes other words.
//! # Evaluates
//! The mark is the hash (see [`Hmark::hash`]); the walk goes on. Unknown for ICMP errors, of which the packet inside is hashed, and with `ct` if
//! the connection is not known.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "HMARK"; `linux/netfilter/xt_HMARK.h`; fact sheet 3.4; measured, the hash too.

use crate::ext::jhash::jhash_3words;
use crate::ext::options::{Given, Kind, Opt, UsageError, bit, number, usage_bytes};
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Spec, TargetExt, resolve};
use crate::packet::env::Env;
use crate::packet::{CtState, Packet, protocol};
use crate::types::{Family, Network, Out, prefix_mask};
use crate::usage;
use crate::wire::BlobWriter;
use std::net::IpAddr;

/// The struct, all of whose parts can be said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hmark {
    src_mask: [u8; 16],
    dst_mask: [u8; 16],
    /// Source and destination port, or the SPI; network order.
    port_mask: [u8; 4],
    port_set: [u8; 4],
    /// Bits `1 << id` of the options below: they are those of the struct.
    flags: u32,
    proto_mask: u16,
    rnd: u32,
    modulus: u32,
    offset: u32,
}

// The ids are `XT_HMARK_*`.
const SRC: u8 = 0;
const DST: u8 = 1;
const SPI: u8 = 2;
const SPI_MASK: u8 = 3;
const SPORT: u8 = 4;
const DPORT: u8 = 5;
const SPORT_MASK: u8 = 6;
const DPORT_MASK: u8 = 7;
const PROTO_MASK: u8 = 8;
const RND: u8 = 9;
const MODULUS: u8 = 10;
const OFFSET: u8 = 11;
/// Of the list only: `ct`.
const CT: u8 = 12;
/// Not in the struct.
const TUPLE: u8 = 13;

/// What a list can name, in the order in which a word that is cut short is looked for, and the option that it stands for.
const TUPLES: [(&str, u8); 7] = [
    ("src", SRC),
    ("dst", DST),
    ("sport", SPORT_MASK),
    ("dport", DPORT_MASK),
    ("spi", SPI_MASK),
    ("proto", PROTO_MASK),
    ("ct", CT),
];

/// Everything that says what is hashed.
const HASHED: u32 = (bit(RND) - 1) | bit(CT);

const U16: Kind = Kind::Number { min: 0, max: u16::MAX as u64 };
const U32: Kind = Kind::Number { min: 0, max: u32::MAX as u64 };
const PORTS: &[&str] = &["0", "80", "0xff00", "65535"];
const SPIS: &[&str] = &["0", "5", "0xffff0000", "0xffffffff"];
const PREFIXES: &[&str] =
    &["0", "8", "24", "32", "v4:255.255.0.0", "v4:255.0.255.0", "v4:33", "v6:64", "v6:127", "v6:128", "v6:ffff::"];

const OPTIONS: &[Opt] = &[
    Opt::value(
        "hmark-tuple",
        TUPLE,
        Kind::Raw,
        "list",
        "hash these: src, dst, sport, dport, spi, proto; ct: of the connection",
    )
    .examples(&[
        "src",
        "src,dst",
        "src,dst,sport,dport",
        "src,dst,sport,dport,proto,ct",
        "spi",
        "DST,proto",
        "ct",
        "s,d",
    ]),
    // That these two are needed is said in other words, by `finish`.
    Opt::value(
        "hmark-mod",
        MODULUS,
        Kind::Number { min: 1, max: u32::MAX as u64 },
        "number",
        "how many marks there are",
    )
    .mandatory()
    .examples(&["1", "10", "0x100", "4294967295"]),
    Opt::value("hmark-offset", OFFSET, U32, "number", "the first mark").examples(&["0", "100", "0xff000000"]),
    Opt::value("hmark-rnd", RND, U32, "number", "where the hash begins").mandatory().examples(&[
        "0",
        "1",
        "0xdeadbeef",
    ]),
    Opt::value("hmark-src-prefix", SRC, Kind::Raw, "length", "hash so many bits of the source address")
        .examples(PREFIXES),
    Opt::value("hmark-dst-prefix", DST, Kind::Raw, "length", "hash so many bits of the destination address")
        .examples(PREFIXES),
    Opt::value("hmark-sport-mask", SPORT_MASK, U16, "mask", "AND the source port with this").examples(PORTS),
    Opt::value("hmark-dport-mask", DPORT_MASK, U16, "mask", "AND the destination port with this").examples(PORTS),
    Opt::value("hmark-spi-mask", SPI_MASK, U32, "mask", "AND the SPI of AH and ESP with this").examples(SPIS),
    Opt::value("hmark-sport", SPORT, U16, "port", "OR the source port with this").examples(PORTS),
    Opt::value("hmark-dport", DPORT, U16, "port", "OR the destination port with this").examples(PORTS),
    Opt::value("hmark-spi", SPI, U32, "spi", "OR the SPI with this").examples(SPIS),
    Opt::value("hmark-proto-mask", PROTO_MASK, U16, "mask", "AND the protocol's number with this").examples(PORTS),
];

impl Extension for Hmark {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        ..Spec::new("HMARK", 0, "sets the packet's mark to a hash of its addresses and ports")
    };

    fn new(_: Family) -> Self {
        Self {
            src_mask: [0; 16],
            dst_mask: [0; 16],
            port_mask: [0; 4],
            port_set: [0; 4],
            flags: 0,
            proto_mask: 0,
            rnd: 0,
            modulus: 0,
            offset: 0,
        }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let name = given.opt.name;
        if given.id() != TUPLE && self.has(given.id()) {
            return Err(usage!("HMARK: option \"--{name}\" can only be used once.\n"));
        }
        let (mask, set) = (&mut self.port_mask, &mut self.port_set);
        match given.id() {
            TUPLE => return self.set_tuple(given.bytes()),
            SRC => self.src_mask = prefix(given.bytes(), cx, name)?,
            DST => self.dst_mask = prefix(given.bytes(), cx, name)?,
            SPI => *set = given.u32().to_be_bytes(),
            SPI_MASK => *mask = given.u32().to_be_bytes(),
            SPORT => put(set, 0, given.u16()),
            DPORT => put(set, 2, given.u16()),
            SPORT_MASK => put(mask, 0, given.u16()),
            DPORT_MASK => put(mask, 2, given.u16()),
            PROTO_MASK => self.proto_mask = given.u16(),
            RND => self.rnd = given.u32(),
            MODULUS => self.modulus = given.u32(),
            _ => self.offset = given.u32(),
        }
        self.flags |= bit(given.id());
        Ok(())
    }

    fn finish(&mut self, _: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if !self.has(MODULUS) {
            return Err(usage!("--hmark-mod is mandatory"));
        }
        if !self.has(RND) {
            return Err(usage!("--hmark-rnd is mandatory"));
        }
        if self.has(SPI_MASK) && (self.has(SPORT_MASK) || self.has(DPORT_MASK)) {
            return Err(usage!("you cannot use --hmark-spi-mask and --hmark-?port-mask,at the same time"));
        }
        if self.flags & HASHED == 0 {
            return Err(usage!("you have to specify --hmark-tuple at least"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
        let ([mask_src, mask_dst], [set_src, set_dst]) = (halves(self.port_mask), halves(self.port_set));
        let (mask, set) = (u32::from_be_bytes(self.port_mask), u32::from_be_bytes(self.port_set));
        for (id, name, mask) in [(SRC, "src", &self.src_mask), (DST, "dst", &self.dst_mask)] {
            if self.has(id) {
                write!(out, " --hmark-{name}-prefix {}", length(mask, cx.family).unwrap_or(0));
            }
        }
        let mut hex = |id, name, width, value: u32| {
            if self.has(id) {
                write!(out, " --hmark-{name} 0x{value:0width$x}");
            }
        };
        hex(SPORT_MASK, "sport-mask", 4, mask_src);
        hex(DPORT_MASK, "dport-mask", 4, mask_dst);
        hex(SPI_MASK, "spi-mask", 8, mask);
        hex(SPORT, "sport", 4, set_src);
        hex(DPORT, "dport", 4, set_dst);
        hex(SPI, "spi", 8, set);
        hex(PROTO_MASK, "proto-mask", 2, u32::from(self.proto_mask));
        hex(RND, "rnd", 8, self.rnd);
        write!(out, " --hmark-mod {}", self.modulus);
        if self.has(OFFSET) {
            write!(out, " --hmark-offset {}", self.offset);
        }
        out.str(if self.has(CT) { " --hmark-tuple ct" } else { "" });
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        let ([mask_src, mask_dst], [set_src, set_dst]) = (halves(self.port_mask), halves(self.port_set));
        write!(out, " HMARK mod {} ", self.modulus);
        if self.has(OFFSET) {
            write!(out, "+ {:#x} ", self.offset);
        }
        out.str(if self.has(CT) { "ct, " } else { "" });
        for (id, name, mask) in [(SRC, "src", &self.src_mask), (DST, "dst", &self.dst_mask)] {
            match length(mask, cx.family) {
                _ if !self.has(id) => {}
                // Of IPv6, stock does not say that it is the whole address.
                Some(128) => write!(out, "{name}-prefix  "),
                len => write!(out, "{name}-prefix {} ", len.unwrap_or(0)),
            }
        }
        for (id, name, value) in [
            (SPORT_MASK, "sport-mask", mask_src),
            (DPORT_MASK, "dport-mask", mask_dst),
            (SPI_MASK, "spi-mask", u32::from_be_bytes(self.port_mask)),
            (SPORT, "sport", set_src),
            (DPORT, "dport", set_dst),
            (SPI, "spi", u32::from_be_bytes(self.port_set)),
            (PROTO_MASK, "proto-mask", u32::from(self.proto_mask)),
            (RND, "rnd", self.rnd),
        ] {
            if self.has(id) {
                write!(out, "{name} {value:#x} ");
            }
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.bytes(&self.src_mask);
        b.bytes(&self.dst_mask);
        b.bytes(&self.port_mask);
        b.bytes(&self.port_set);
        b.u32(self.flags);
        b.u16(self.proto_mask);
        b.align(4);
        b.u32(self.rnd);
        b.u32(self.modulus);
        b.u32(self.offset);
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let (src_mask, rest) = info.split_first_chunk()?;
        let (dst_mask, rest) = rest.split_first_chunk()?;
        let (port_mask, rest) = rest.split_first_chunk()?;
        let (port_set, rest) = rest.split_first_chunk()?;
        let (flags, rest) = rest.split_first_chunk()?;
        let (proto_mask, rest) = rest.split_first_chunk()?;
        let (rnd, rest) = rest.get(2..)?.split_first_chunk()?;
        let (modulus, rest) = rest.split_first_chunk()?;
        let read = Self {
            src_mask: *src_mask,
            dst_mask: *dst_mask,
            port_mask: *port_mask,
            port_set: *port_set,
            flags: u32::from_ne_bytes(*flags),
            proto_mask: u16::from_ne_bytes(*proto_mask),
            rnd: u32::from_ne_bytes(*rnd),
            modulus: u32::from_ne_bytes(*modulus),
            offset: u32::from_ne_bytes(*rest.first_chunk()?),
        };
        read.sayable(family).then_some(read)
    }
}

impl Hmark {
    fn has(&self, id: u8) -> bool {
        self.flags & bit(id) != 0
    }

    fn set_tuple(&mut self, text: &[u8]) -> Result<(), UsageError> {
        let mut rest = Some(text);
        while let Some(list) = rest {
            let comma = list.iter().position(|b| *b == b',');
            let word = list.get(..comma.unwrap_or(list.len())).unwrap_or_default();
            if list.is_empty() {
                return Err(usage!(
                    "\"--hmark-tuple\" requires a list of types with no spaces, e.g. src,dst,sport,dport,proto"
                ));
            }
            let begins = |name: &str| name.as_bytes().get(..word.len()).is_some_and(|n| n.eq_ignore_ascii_case(word));
            let named = TUPLES.iter().find(|(name, _)| !word.is_empty() && begins(name));
            let (_, id) = named.ok_or_else(|| usage_bytes("Bad type \"", list, "\""))?;
            match *id {
                SRC => self.src_mask = [0xff; 16],
                DST => self.dst_mask = [0xff; 16],
                SPORT_MASK => put(&mut self.port_mask, 0, u16::MAX),
                DPORT_MASK => put(&mut self.port_mask, 2, u16::MAX),
                SPI_MASK => self.port_mask = [0xff; 4],
                PROTO_MASK => self.proto_mask = u16::MAX,
                _ => {}
            }
            self.flags |= bit(*id);
            rest = comma.and_then(|at| list.get(at + 1..));
        }
        Ok(())
    }

    /// Whether options can say it, bytes that no option has set included.
    fn sayable(&self, family: Family) -> bool {
        let ports = |set: &[u8; 4], src, dst, spi| {
            let ([a, b], whole) = (halves(*set), self.has(spi));
            (a == 0 || whole || self.has(src)) && (b == 0 || whole || self.has(dst))
        };
        let masks = [(SRC, &self.src_mask), (DST, &self.dst_mask)];
        self.flags < bit(TUPLE)
            && self.has(RND)
            && self.has(MODULUS)
            && self.modulus != 0
            && (self.has(OFFSET) || self.offset == 0)
            && (self.has(PROTO_MASK) || self.proto_mask == 0)
            && self.flags & HASHED != 0
            && !(self.has(SPI_MASK) && (self.has(SPORT_MASK) || self.has(DPORT_MASK)))
            && !(self.has(SPI) && (self.has(SPORT) || self.has(DPORT)))
            && ports(&self.port_mask, SPORT_MASK, DPORT_MASK, SPI_MASK)
            && ports(&self.port_set, SPORT, DPORT, SPI)
            && masks
                .iter()
                .all(|(id, mask)| if self.has(*id) { length(mask, family).is_some() } else { **mask == [0; 16] })
    }

    /// The mark of a flow: the lesser and the greater of its addresses under their masks (of IPv6 all words XORed), its ports, the greater in the
    /// high half, and the seed go through `jhash_3words`; the protocol's number is XORed; that is scaled to the modulus, and the offset added.
    fn hash(&self, src: IpAddr, dst: IpAddr, ports: Option<[u8; 4]>, protocol: u8) -> u32 {
        let (a, b) = (folded(src, &self.src_mask), folded(dst, &self.dst_mask));
        let ports = ports.map_or(0, |ports| {
            let masked =
                u32::from_be_bytes(ports) & u32::from_be_bytes(self.port_mask) | u32::from_be_bytes(self.port_set);
            let (src, dst) = (masked >> 16, masked & 0xffff);
            src.max(dst) << 16 | src.min(dst)
        });
        let hash =
            jhash_3words(a.min(b), a.max(b), ports, self.rnd) ^ (u32::from(protocol) & u32::from(self.proto_mask));
        let scaled = (u64::from(hash) * u64::from(self.modulus)) >> 32;
        self.offset.wrapping_add(scaled as u32)
    }

    /// The mark of a packet; `None` if it is not known.
    fn mark_of(&self, packet: &Packet) -> Option<u32> {
        // Of ICMP errors the kernel hashes the packet inside.
        let icmp_error = |kind: u8| matches!(kind, 3 | 4 | 5 | 11 | 12);
        let error4 = packet.family() == Family::V4 && packet.protocol() == Some(protocol::ICMP);
        if error4 && packet.icmp().is_none_or(|icmp| icmp_error(icmp.kind())) {
            return None;
        }
        let error6 = packet.family() == Family::V6 && packet.protocol() == Some(protocol::ICMPV6);
        if error6 && packet.icmp6().is_none_or(|icmp| icmp.kind() < 128) {
            return None;
        }
        let number = packet.protocol()?;
        let fragment = packet.is_fragment_tail() || packet.more_fragments();
        let at = match number {
            protocol::TCP | protocol::UDP | 33 | 50 | 132 | 136 => Some(0),
            51 => Some(4),
            _ => None,
        };
        let ports = at.filter(|_| !fragment).and_then(|at| packet.transport()?.get(at..)?.first_chunk().copied());
        Some(self.hash(packet.src(), packet.dst(), ports, number))
    }
}

/// An address under a mask, as a number; of IPv6 its four words XORed.
fn folded(addr: IpAddr, mask: &[u8; 16]) -> u32 {
    let word = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes);
    let masks = mask.as_chunks::<4>().0.iter().map(word);
    match addr {
        IpAddr::V4(addr) => masks.take(1).fold(0, |_, mask| addr.to_bits() & mask),
        IpAddr::V6(addr) => {
            let words = addr.octets();
            words.as_chunks::<4>().0.iter().map(word).zip(masks).fold(0, |all, (word, mask)| all ^ (word & mask))
        }
    }
}

/// A prefix length, or a mask, as the bytes of an address. One that is no prefix is all ones, and so is what is too long for IPv4 to be one.
fn prefix(text: &[u8], cx: &ParseCx<'_>, name: &str) -> Result<[u8; 16], UsageError> {
    let bits = cx.family.addr_bits();
    let len = number(text, 0, u64::from(bits)).and_then(|len| u8::try_from(len).ok());
    let Some(mask) = len.map(|len| prefix_mask(cx.family, len)).or_else(|| resolve::numeric(text, cx.family)) else {
        return Err(usage!(
            "HMARK: bad value for option \"--{name}\", neither a valid network mask nor valid CIDR (0-{bits}).\n"
        ));
    };
    let contiguous = Network::new(mask, mask).is_some_and(|net| net.prefix_len().is_some());
    Ok(if contiguous { bytes(mask) } else { [0xff; 16] })
}

fn bytes(mask: IpAddr) -> [u8; 16] {
    match mask {
        IpAddr::V4(mask) => (u128::from(mask.to_bits()) << 96).to_be_bytes(),
        IpAddr::V6(mask) => mask.octets(),
    }
}

/// The length of a prefix by its mask; `None` if it is no mask that an option can make.
fn length(mask: &[u8; 16], family: Family) -> Option<u8> {
    if *mask == [0xff; 16] {
        return Some(family.addr_bits());
    }
    let len = u128::from_be_bytes(*mask).leading_ones() as u8;
    (len <= family.addr_bits() && bytes(prefix_mask(family, len)) == *mask).then_some(len)
}

/// Both ports.
fn halves([a, b, c, d]: [u8; 4]) -> [u32; 2] {
    [u32::from(u16::from_be_bytes([a, b])), u32::from(u16::from_be_bytes([c, d]))]
}

fn put(ports: &mut [u8; 4], at: usize, port: u16) {
    if let Some(half) = ports.get_mut(at..at + 2) {
        half.copy_from_slice(&port.to_be_bytes());
    }
}

impl TargetExt for Hmark {
    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        let mark = if !self.has(CT) {
            self.mark_of(packet)
        } else {
            match &packet.meta.ct {
                Some(ct) if matches!(ct.state, CtState::Invalid | CtState::Untracked) => return Effect::Continue,
                ct => ct.as_ref().and_then(|ct| ct.entry.as_ref()).map(|entry| {
                    let (to, back) = (entry.original, entry.reply);
                    let ports = u32::from(to.src_port) << 16 | u32::from(back.src_port);
                    let ports = (to.protocol != protocol::ICMP).then_some(ports.to_be_bytes());
                    self.hash(to.src, back.src, ports, to.protocol)
                }),
            }
        };
        let Some(mark) = mark else { return Effect::Unknown };
        packet.meta.mark = mark;
        Effect::Continue
    }
}

#[cfg(test)]
mod tests;
