//! `-m srh`: the segment routing header of IPv6.
//!
//! # Matches
//! Packets with a whole segment routing header whose fields are equal to, greater or less than a number, whose tag is a number, and whose
//! previous, next or last segment lies in a network; `!` each; what is given must all hold. A header with more segments left than segments
//! never matches, nor does one without a previous (next) segment if that is asked for, with `!` too.
//! # Options
//! `[!] --srh-next-hdr N`; `[!] --srh-hdr-len-eq|gt|lt N` (in units of eight bytes, the first not counted), `[!] --srh-segs-left-eq|gt|lt N`,
//! `[!] --srh-last-entry-eq|gt|lt N`, 0 to 255 each; `[!] --srh-tag N`, 0 to 65535; `[!] --srh-psid`, `--srh-nsid`, `--srh-lsid ADDR[/MASK]`.
//! # Wire
//! xt `srh` revision 1: `struct ip6t_srh1`, host order, 108 bytes and padding. There is one number for the three comparisons of a field: the
//! last one given, as with stock. Native: none, because nothing native compares two fields of a header with each other.
//! # Evaluates
//! Always known. The kernel compares the tag's bytes as they lie in memory: `--srh-tag 1` meets the tag 256 on a little-endian machine.
//! # Differs
//! A mask that is no prefix is kept; stock makes it /128.
//! # Sources
//! ip6tables-extensions(8) "srh"; `linux/netfilter_ipv6/ip6t_srh.h`; RFC 8754 §2.

use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec, resolve};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::ipv6::{ROUTING, Search};
use crate::types::{Family, Network, Out, Tri, prefix_mask};
use crate::wire::BlobWriter;
use std::net::{IpAddr, Ipv6Addr};

/// What is asked of the header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Srh {
    /// Next header, length, segments left, last entry: the numbers that they are compared with.
    fields: [u8; 4],
    tag: u16,
    /// The previous, the next and the last segment: address and mask.
    segments: [Segment; 3],
    /// `IP6T_SRH_*`: a bit for each option, which is its id.
    flags: u16,
    /// `IP6T_SRH_INV_*`: which of them are inverted.
    invert: u16,
}

/// An address, whose host bits stay as written, and its mask; both nought if it is not asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Segment {
    addr: [u8; 16],
    mask: [u8; 16],
}

const TAG: u8 = 10;
const PREVIOUS: u8 = 11;
const NEXT: u8 = 12;
const LAST: u8 = 13;
const ALL_FLAGS: u16 = 0x3fff;

/// The type of routing header (RFC 8754 §2).
const SEGMENT_ROUTING: u8 = 4;
const HEADER_LEN: usize = 8;

/// The options by id: name behind `--srh-`, and which field they are about.
const NUMBERS: [(&str, usize, Test); 10] = [
    ("next-hdr", 0, Test::Equal),
    ("hdr-len-eq", 1, Test::Equal),
    ("hdr-len-gt", 1, Test::Greater),
    ("hdr-len-lt", 1, Test::Less),
    ("segs-left-eq", 2, Test::Equal),
    ("segs-left-gt", 2, Test::Greater),
    ("segs-left-lt", 2, Test::Less),
    ("last-entry-eq", 3, Test::Equal),
    ("last-entry-gt", 3, Test::Greater),
    ("last-entry-lt", 3, Test::Less),
];
const SEGMENTS: [(&str, u8); 3] = [("psid", PREVIOUS), ("nsid", NEXT), ("lsid", LAST)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Equal,
    Greater,
    Less,
}

const fn number(name: &'static str, id: u8, help: &'static str) -> Opt {
    Opt::value(name, id, Kind::Number { min: 0, max: 255 }, "value", help)
        .invertible()
        .examples(&["0", "1", "2", "4", "6", "17", "0x3a", "254", "255"])
}

const fn segment(name: &'static str, id: u8, help: &'static str) -> Opt {
    Opt::value(name, id, Kind::Raw, "addr[/mask]", help).invertible().examples(&[
        "2001:db8::1",
        "2001:db8::/32",
        "2001:db8::1/64",
        "::/0",
        "::",
        "fe80::1/128",
        "fc00::/ffff::",
        "a::b/65",
    ])
}

const OPTIONS: &[Opt] = &[
    number("srh-next-hdr", 0, "next header"),
    number("srh-hdr-len-eq", 1, "length of the header, in units of 8 bytes, equals"),
    number("srh-hdr-len-gt", 2, "the same is greater than"),
    number("srh-hdr-len-lt", 3, "the same is less than"),
    number("srh-segs-left-eq", 4, "segments left equal"),
    number("srh-segs-left-gt", 5, "the same is greater than"),
    number("srh-segs-left-lt", 6, "the same is less than"),
    number("srh-last-entry-eq", 7, "index of the last segment equals"),
    number("srh-last-entry-gt", 8, "the same is greater than"),
    number("srh-last-entry-lt", 9, "the same is less than"),
    Opt::value("srh-tag", TAG, Kind::Number { min: 0, max: 65535 }, "tag", "tag")
        .invertible()
        .examples(&["0", "1", "256", "0x102", "65535"]),
    segment("srh-psid", PREVIOUS, "previous segment"),
    segment("srh-nsid", NEXT, "next segment"),
    segment("srh-lsid", LAST, "last segment"),
];

impl Extension for Srh {
    const SPEC: Spec =
        Spec { families: &[Family::V6], options: OPTIONS, ..Spec::new("srh", 1, "matches the segment routing header") };

    fn new(_: Family) -> Self {
        Self::default()
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let id = given.id();
        if let Some((_, field, _)) = NUMBERS.get(usize::from(id)) {
            if let Some(slot) = self.fields.get_mut(*field) {
                *slot = given.u8();
            }
        } else if let Some(at) = SEGMENTS.iter().position(|(_, of)| *of == id) {
            let (addr, mask) = resolve::network(given.bytes(), cx, "srh", given.opt.name)?;
            let octets = |addr| Network::host(addr).addr_octets();
            let mask = mask.unwrap_or_else(|| prefix_mask(Family::V6, 128));
            if let Some(slot) = self.segments.get_mut(at) {
                *slot = Segment { addr: octets(addr), mask: octets(mask) };
            }
        } else {
            self.tag = given.u16();
        }
        self.flags |= 1 << id.min(LAST);
        self.invert |= u16::from(given.negated) << id.min(LAST);
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        let option = |out: &mut Out, id: u8, name: &str| {
            write!(out, "{} --srh-{name} ", if self.inverted(id) { " !" } else { "" });
        };
        for (id, (name, field, _)) in (0..).zip(NUMBERS).filter(|(id, _)| self.has(*id)) {
            option(out, id, name);
            out.dec(u64::from(self.field(field)));
        }
        if self.has(TAG) {
            option(out, TAG, "tag");
            out.dec(u64::from(self.tag));
        }
        for ((name, id), segment) in SEGMENTS.iter().zip(&self.segments).filter(|((_, id), _)| self.has(*id)) {
            option(out, *id, name);
            segment.print(out);
        }
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        let not = |id: u8| if self.inverted(id) { "!" } else { "" };
        out.str(" srh");
        for (id, (name, field, _)) in (0..).zip(NUMBERS).filter(|(id, _)| self.has(*id)) {
            write!(out, " {name}:{}{}", not(id), self.field(field));
        }
        if self.has(TAG) {
            write!(out, " tag:{}{}", not(TAG), self.tag);
        }
        for ((name, id), segment) in SEGMENTS.iter().zip(&self.segments).filter(|((_, id), _)| self.has(*id)) {
            write!(out, " {name} {} ", not(*id));
            segment.print(out);
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.bytes(&self.fields);
        b.u16(self.tag);
        b.zeros(2);
        self.segments.iter().for_each(|s| b.bytes(&s.addr));
        self.segments.iter().for_each(|s| b.bytes(&s.mask));
        b.u16(self.flags);
        b.u16(self.invert);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let word = |at: usize| info.get(at..)?.first_chunk::<2>().map(|b| u16::from_ne_bytes(*b));
        let octets = |at: usize| info.get(at..)?.first_chunk::<16>().copied();
        let segment = |at: usize| Some(Segment { addr: octets(8 + 16 * at)?, mask: octets(56 + 16 * at)? });
        let srh = Self {
            fields: *info.first_chunk()?,
            tag: word(4)?,
            segments: [segment(0)?, segment(1)?, segment(2)?],
            flags: word(104)?,
            invert: word(106)?,
        };
        // What is not asked for has no value and is not inverted.
        let about = |field: usize| NUMBERS.iter().zip(0..).any(|((_, f, _), id)| *f == field && srh.has(id));
        let sayable = srh.flags & !ALL_FLAGS == 0
            && srh.invert & !srh.flags == 0
            && (0..4).zip(srh.fields).all(|(field, n)| n == 0 || about(field))
            && (srh.tag == 0 || srh.has(TAG))
            && SEGMENTS.iter().zip(srh.segments).all(|((_, id), s)| s == Segment::default() || srh.has(*id));
        sayable.then_some(srh)
    }
}

impl Srh {
    fn has(&self, id: u8) -> bool {
        self.flags & (1 << id) != 0
    }

    fn inverted(&self, id: u8) -> bool {
        self.invert & (1 << id) != 0
    }

    fn field(&self, at: usize) -> u8 {
        self.fields.get(at).copied().unwrap_or_default()
    }

    /// Whether the header, of which at least eight bytes are there, meets all that is asked.
    fn meets(&self, header: &[u8]) -> Option<bool> {
        let [next, words, kind, left, last, _, t0, t1] = *header.first_chunk()?;
        if header.len() < (usize::from(words) + 1) * 8 || kind != SEGMENT_ROUTING || left > last {
            return None;
        }
        let found = [next, words, left, last];
        for (id, (_, field, test)) in (0..).zip(NUMBERS).filter(|(id, _)| self.has(*id)) {
            let (is, asked) = (found.get(field)?, &self.field(field));
            let holds = match test {
                Test::Equal => is == asked,
                Test::Greater => is > asked,
                Test::Less => is < asked,
            };
            if holds == self.inverted(id) {
                return None;
            }
        }
        if self.has(TAG) && (u16::from_ne_bytes([t0, t1]) == self.tag) == self.inverted(TAG) {
            return None;
        }
        // The segments stand in reverse order; the current one has the index of those that are left.
        let places = [(left != last).then(|| usize::from(left) + 1), usize::from(left).checked_sub(1), Some(0)];
        for (((_, id), asked), at) in SEGMENTS.iter().zip(&self.segments).zip(places) {
            if self.has(*id) {
                let found = header.get(HEADER_LEN + 16 * at?..)?.first_chunk()?;
                if asked.contains(found) == self.inverted(*id) {
                    return None;
                }
            }
        }
        Some(true)
    }
}

impl Segment {
    fn contains(&self, addr: &[u8; 16]) -> bool {
        addr.iter().zip(self.addr).zip(self.mask).all(|((found, asked), mask)| (found ^ asked) & mask == 0)
    }

    fn print(&self, out: &mut Out) {
        let mask = IpAddr::V6(Ipv6Addr::from(self.mask));
        out.addr(IpAddr::V6(Ipv6Addr::from(self.addr)));
        out.byte(b'/');
        match Network::new(mask, mask).and_then(|n| n.prefix_len()) {
            Some(len) => out.dec(u64::from(len)),
            None => out.addr(mask),
        }
    }
}

impl MatchExt for Srh {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let Some(Search::Found(header)) = packet.ipv6().map(|header| header.find(ROUTING)) else { return Tri::False };
        Tri::from(self.meets(header).unwrap_or(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised, read, row};
    use crate::packet::build::{Ipv6, Raw, Tcp};
    use crate::types::Family::V6;

    #[test]
    fn what_stock_writes_and_prints() {
        let z = |n: usize| "00".repeat(n);
        for (args, info, list) in [
            ("", z(108), " srh"),
            (" ! --srh-next-hdr 17", format!("11{}01000100", z(103)), " srh next-hdr:!17"),
            (" ! --srh-segs-left-gt 8", format!("000008{}20002000", z(101)), " srh segs-left-gt:!8"),
            (" --srh-last-entry-lt 8", format!("00000008{}00020000", z(100)), " srh last-entry-lt:8"),
            (" ! --srh-tag 258", format!("{}0201{}00040004", z(4), z(98)), " srh tag:!258"),
            (
                " --srh-psid a::1/64",
                format!("{}000a{}01{}{}{}00080000", z(8), z(13), z(32), "ff".repeat(8), z(40)),
                " srh psid  a::1/64",
            ),
            (
                " ! --srh-nsid ::/0 --srh-lsid c::/128",
                format!("{}000c{}{}{}00300010", z(40), z(14), z(32), "ff".repeat(16)),
                " srh nsid ! ::/0 lsid  c::/128",
            ),
        ] {
            row(V6, None, &format!("srh{args}"), args, list, &format!("match srh 1 {info}00000000"));
        }
        let save = |args: &str| read(V6, None, &format!("srh {args}")).unwrap().save();
        assert_eq!(save("--srh-hdr-len-lt 8 --srh-hdr-len-gt 9"), " --srh-hdr-len-gt 9 --srh-hdr-len-lt 9");
        assert_eq!(save("--srh-psid a::/ffff::"), " --srh-psid a::/16");
        assert_eq!(save("--srh-psid a::/ffff:0:ffff::"), " --srh-psid a::/ffff:0:ffff::");
        for (at, byte) in [(0, 1), (4, 1), (8, 1), (56, 1), (105, 0x40), (106, 1)] {
            let mut bytes = [0; 108];
            bytes[at] = byte;
            assert!(raised(V6, None, |x| x.xt_match("srh", 1, |b| b.bytes(&bytes))).is_none(), "{at} {byte}");
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let mask = "srh: bad value for option \"--srh-psid\", neither a valid network mask nor valid CIDR (0-128).\n";
        for (args, text) in [
            (" --srh-next-hdr udp", "srh: bad value for option \"--srh-next-hdr\", or out of range (0-255).\n"),
            (" --srh-tag 65536", "srh: bad value for option \"--srh-tag\", or out of range (0-65535).\n"),
            (" --srh-psid a::/129", mask),
            (" --srh-psid 1.2.3.4", "getaddrinfo: Address family for hostname not supported\n"),
            (" --srh-psid a:: --srh-psid b::", "srh: option \"--srh-psid\" can only be used once.\n"),
        ] {
            assert_eq!(error(V6, None, &format!("srh{args}")), text, "{args}");
        }
    }

    #[test]
    fn packets() {
        let judge = |args: &str, packet: &Packet| {
            let (answer, dropped) = read(V6, None, &format!("srh{args}")).unwrap().judge(packet);
            assert!(!dropped);
            answer == Tri::True
        };
        // Three segments, of which one is left; tag 0x0102.
        let packet = |left: u8| {
            let mut body = vec![4, left, 2, 0, 1, 2];
            for last in [1, 2, 3] {
                body.extend([0; 15]);
                body.push(last);
            }
            Ipv6 { extensions: vec![(ROUTING, body)], ..Ipv6::default() } / Tcp::default()
        };
        let tag = format!(" --srh-tag {}", u16::from_ne_bytes([1, 2]));
        for (args, expected) in [
            ("", true),
            (" --srh-next-hdr 6 --srh-hdr-len-eq 6 --srh-segs-left-lt 2 ! --srh-last-entry-gt 2", true),
            (" ! --srh-hdr-len-gt 5", false),
            (" --srh-psid ::3 --srh-nsid ::1 --srh-lsid ::1", true),
            (" --srh-psid ::2", false),
            (" ! --srh-psid ::2", true),
            (" --srh-nsid ffff::1/::f", true),
            (&tag, true),
        ] {
            assert_eq!(judge(args, &packet(1)), expected, "{args}");
        }
        // No next segment, no previous one: with `!` neither.
        assert!(!judge(" ! --srh-nsid ::9", &packet(0)) && !judge(" ! --srh-psid ::9", &packet(2)));
        assert!(!judge("", &packet(3)));
        let ends = Ipv6::default() / Raw { protocol: ROUTING, payload: vec![6, 2, 4, 0, 0, 0, 0, 0] };
        assert!(!judge("", &ends) && !judge("", &(Ipv6::default() / Tcp::default())));
    }
}
