//! `-m multiport`: up to fifteen ports of TCP, UDP, UDP-Lite, SCTP or DCCP.
//!
//! # Matches
//! Packets whose source port, destination port, or either of them is in a list of ports and ranges; `!` those where it is not.
//! # Options
//! One of `[!] --source-ports|--sports`, `[!] --destination-ports|--dports`, `[!] --ports` with a value `p[,p|,p:p]…`, where a range counts
//! for two. `-p` must stand before it. (The singular forms are abbreviations: beside `-m tcp` they are options of `tcp`.)
//! # Wire
//! xt `multiport` revision 1: `struct xt_multiport_v1 { u8 flags, count; u16 ports[15]; u8 pflags[15]; u8 invert; }`, host order; `pflags` is
//! 1 at the first port of a range.
//! Native: the four bytes of both ports must be there; `payload load` of the port and a lookup in an anonymous set (one port or one range:
//! `cmp`, `range`). For `--ports` the key is both ports, and the set has what has the first among them and, apart, what has only the second.
//! # Evaluates
//! Always known. A packet with less than four bytes of transport header is dropped at once.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "multiport"; `linux/netfilter/xt_multiport.h`; fact sheet 3.2, 3.4.

use super::ports::print_port;
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError, bit, port};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec, nft};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::consts::*;
use crate::wire::{AnonSet, BlobWriter, ExprWriter, Key};

/// A list of ports and which port of the packet is looked up in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Multiport {
    side: Side,
    /// Single ports and ranges (first below last), host order; together at most [`SLOTS`] numbers.
    ports: Vec<(u16, Option<u16>)>,
    invert: bool,
}

/// Which port is looked up; the numbers are `enum xt_multiport_flags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Side {
    Source = 0,
    Destination = 1,
    Either = 2,
}

/// Room for port numbers (`XT_MULTI_PORTS`).
const SLOTS: usize = 15;

const SOURCE: u8 = 0;
const DESTINATION: u8 = 1;
const EITHER: u8 = 2;

const PORTS: &[&str] = &[
    "22",
    "80,443",
    "0",
    "1:1024",
    "20:21,53,65535",
    "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "1,2:3,4,5:6,7,8:9,10:11",
];

/// A row with the name of an option or one of its synonyms.
const fn row(name: &'static str, id: u8, help: &'static str, excludes: u32) -> Opt {
    Opt::value(name, id, Kind::Raw, "port[,port|,port:port]...", help).invertible().excluding(excludes).examples(PORTS)
}

const SAME: &str = "the same";

const OPTIONS: &[Opt] = &[
    row("source-ports", SOURCE, "source port is one of these", bit(DESTINATION) | bit(EITHER)),
    row("sports", SOURCE, SAME, 0),
    row("destination-ports", DESTINATION, "destination port is one of these", bit(SOURCE) | bit(EITHER)),
    row("dports", DESTINATION, SAME, 0),
    row("ports", EITHER, "source or destination port is one of these", bit(SOURCE) | bit(DESTINATION)),
];

/// Those whose ports it knows: tcp, udp, dccp, sctp, udplite.
const PROTOCOLS: &[u8] = &[6, 17, 33, 132, 136];

impl Extension for Multiport {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "-p tcp",
        limits: &[Limit::protocols(PROTOCOLS)],
        ..Spec::new("multiport", 1, "matches one of up to fifteen ports")
    };

    fn new(_: Family) -> Self {
        Self { side: Side::Source, ports: Vec::new(), invert: false }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        match cx.protocol {
            None => return Err(usage!("multiport needs `-p tcp', `-p udp', `-p udplite', `-p sctp' or `-p dccp'")),
            Some((6 | 17 | 33 | 132 | 136, false)) => {}
            Some(_) => return Err(usage!("multiport only works with TCP, UDP, UDPLITE, SCTP and DCCP")),
        }
        self.side = match given.id() {
            SOURCE => Side::Source,
            DESTINATION => Side::Destination,
            _ => Side::Either,
        };
        self.invert = given.negated;
        self.ports = parse(given.bytes(), cx)?;
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        // Stock's own wording.
        if seen == 0 { Err(usage!("multiport expection an option")) } else { Ok(()) }
    }

    fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(if self.invert { " ! --" } else { " --" });
        out.str(self.name());
        out.byte(b' ');
        self.list_of_ports(out, &PrintCx { numeric: true, ..*cx });
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(" multiport ");
        out.str(self.name());
        out.str(if self.invert { "  !" } else { " " });
        self.list_of_ports(out, cx);
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        let Some(protocol) = cx.protocol.and_then(nft_name) else { return false };
        let side = match self.side {
            Side::Source => "sport",
            Side::Destination => "dport",
            Side::Either => return self.translate_either(protocol, out),
        };
        write!(out, "{protocol} {side} ");
        nft::unless(self.invert, out);
        out.str(if self.ports.len() > 1 { "{ " } else { "" });
        for (i, (first, last)) in self.ports.iter().enumerate() {
            out.str(if i > 0 { ", " } else { "" });
            nft::range(*first, last.unwrap_or(*first), out);
        }
        out.str(if self.ports.len() > 1 { " }" } else { "" });
        true
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        let numbers = self.ports.iter().flat_map(|(first, last)| std::iter::once(*first).chain(*last));
        let begins = self.ports.iter().flat_map(|(_, last)| match last {
            Some(_) => [Some(1u8), Some(0)],
            None => [Some(0), None],
        });
        let count = numbers.clone().take(SLOTS).count();
        b.u8(self.side as u8);
        b.u8(u8::try_from(count).unwrap_or_default());
        numbers.take(SLOTS).for_each(|n| b.u16(n));
        b.zeros(2 * (SLOTS - count));
        begins.flatten().take(SLOTS).for_each(|flag| b.u8(flag));
        b.zeros(SLOTS - count);
        b.u8(u8::from(self.invert));
    }

    fn sayable(&self, protocol: Option<(u8, bool)>) -> bool {
        matches!(protocol, Some((p, false)) if PROTOCOLS.contains(&p))
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let ([side, count], rest) = info.split_first_chunk()?;
        let (numbers, rest) = rest.split_first_chunk::<{ 2 * SLOTS }>()?;
        let (begins, rest) = rest.split_first_chunk::<SLOTS>()?;
        let side = match side {
            0 => Side::Source,
            1 => Side::Destination,
            2 => Side::Either,
            _ => return None,
        };
        let numbers = numbers.as_chunks::<2>().0.iter().map(|n| u16::from_ne_bytes(*n));
        let mut slots = numbers.zip(begins).take(usize::from(*count));
        let mut ports = Vec::new();
        while let Some((first, begins)) = slots.next() {
            let last = if *begins == 0 { None } else { Some(slots.next()?.0) };
            // Such a range could not be read again.
            if last.is_some_and(|last| last <= first) {
                return None;
            }
            ports.push((first, last));
        }
        (!ports.is_empty()).then_some(Self { side, ports, invert: *rest.first()? != 0 })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        x.whole(NFT_PAYLOAD_TRANSPORT_HEADER, 4);
        let side = |x: &mut ExprWriter<'_>, offset| {
            x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2);
            self.look_up(x);
        };
        match self.side {
            Side::Source => side(x, 0),
            Side::Destination => side(x, 2),
            Side::Either if self.invert => {
                side(x, 0);
                side(x, 2);
            }
            Side::Either => self.look_up_either(x),
        }
        true
    }
}

/// Reads `p[,p|,p:p]…`.
fn parse(text: &[u8], cx: &ParseCx<'_>) -> Result<Vec<(u16, Option<u16>)>, UsageError> {
    let (mut ports, mut used) = (Vec::new(), 0);
    let room = |used: usize| if used < SLOTS { Ok(()) } else { Err(usage!("too many ports specified")) };
    for item in text.split(|b| *b == b',') {
        room(used)?;
        let colon = item.iter().position(|b| *b == b':');
        let first = port(item.get(..colon.unwrap_or(item.len())).unwrap_or_default(), cx)?;
        used += 1;
        let Some(colon) = colon else {
            ports.push((first, None));
            continue;
        };
        room(used)?;
        let last = port(item.get(colon + 1..).unwrap_or_default(), cx)?;
        used += 1;
        if last <= first {
            return Err(usage!("invalid portrange specified"));
        }
        ports.push((first, Some(last)));
    }
    Ok(ports)
}

/// What lies between ranges that are in order and do not touch.
fn gaps(ranges: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let mut gaps = Vec::new();
    let mut next = Some(0u16);
    for (first, last) in ranges {
        if let (Some(from), Some(to)) = (next, first.checked_sub(1))
            && from <= to
        {
            gaps.push((from, to));
        }
        next = last.checked_add(1);
    }
    gaps.extend(next.map(|from| (from, u16::MAX)));
    gaps
}

impl Multiport {
    fn name(&self) -> &'static str {
        match self.side {
            Side::Source => "sports",
            Side::Destination => "dports",
            Side::Either => "ports",
        }
    }

    fn list_of_ports(&self, out: &mut Out, cx: &PrintCx<'_>) {
        let mut comma = false;
        for (first, last) in &self.ports {
            if std::mem::replace(&mut comma, true) {
                out.byte(b',');
            }
            print_port(*first, cx.protocol, out, cx);
            if let Some(last) = last {
                out.byte(b':');
                print_port(*last, cx.protocol, out, cx);
            }
        }
    }

    /// `--ports` as a set of pairs of ports. Stock leaves out the `!`, and of a range what is between its ends; a port at either end of all
    /// ports makes pairs that overlap, which the kernel refuses.
    fn translate_either(&self, protocol: &str, out: &mut Out) -> bool {
        write!(out, "{protocol} sport . {protocol} dport {{ ");
        for (i, (port, _)) in self.ports.iter().enumerate() {
            write!(out, "{}0-65535 . {port}, {port} . 0-65535", if i > 0 { ", " } else { "" });
        }
        out.str(" }");
        !self.invert && self.ports.iter().all(|(port, last)| last.is_none() && !matches!(*port, 0 | u16::MAX))
    }

    /// The ports as ranges in order that do not touch.
    fn ranges(&self) -> Vec<(u16, u16)> {
        let mut sorted: Vec<(u16, u16)> =
            self.ports.iter().map(|(first, last)| (*first, last.unwrap_or(*first))).collect();
        sorted.sort_unstable();
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for (first, last) in sorted {
            match ranges.last_mut() {
                Some(before) if before.1 == u16::MAX || first <= before.1 + 1 => before.1 = before.1.max(last),
                _ => ranges.push((first, last)),
            }
        }
        ranges
    }

    fn look_up(&self, x: &mut ExprWriter<'_>) {
        let ranges = self.ranges();
        if let [(first, last)] = *ranges {
            x.within(self.invert, &first.to_be_bytes(), &last.to_be_bytes());
            return;
        }
        let mut set = AnonSet::new(&[Key::Port]);
        for (first, last) in ranges {
            set.range(&[(&first.to_be_bytes(), &last.to_be_bytes())]);
        }
        x.lookup(self.invert, set);
    }

    fn look_up_either(&self, x: &mut ExprWriter<'_>) {
        let ranges = self.ranges();
        let mut set = AnonSet::new(&[Key::Port, Key::Port]);
        let mut add = |src: (u16, u16), dst: (u16, u16)| {
            let [a, b, c, d] = [src.0, src.1, dst.0, dst.1].map(u16::to_be_bytes);
            set.range(&[(&a, &b), (&c, &d)]);
        };
        ranges.iter().for_each(|range| add(*range, (0, u16::MAX)));
        for gap in gaps(&ranges) {
            ranges.iter().for_each(|range| add(gap, *range));
        }
        x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2);
        x.at(NFT_REG32_01).payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
        x.lookup(false, set);
    }

    fn has(&self, port: u16) -> bool {
        self.ports.iter().any(|(first, last)| (*first..=last.unwrap_or(*first)).contains(&port))
    }
}

impl MatchExt for Multiport {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        if packet.is_fragment_tail() {
            return Tri::False;
        }
        let Some((src, dst)) = packet.ports() else {
            env.hotdrop = true;
            return Tri::False;
        };
        let found = match self.side {
            Side::Source => self.has(src),
            Side::Destination => self.has(dst),
            Side::Either => self.has(src) || self.has(dst),
        };
        Tri::from(found).xor(self.invert)
    }
}

/// What nft(8) calls the header of a protocol with ports.
fn nft_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        132 => "sctp",
        136 => "udplite",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{TCP, UDP, error, raised, read, row};
    use crate::packet::build::{Ipv4, Raw, Tcp as Segment};
    use crate::types::Family::{V4, V6};

    /// The hexadecimal struct: flags and count, ports, the slots at which ranges begin, inverted.
    fn wire(head: &str, ports: &str, begins: &[usize], invert: u8) -> String {
        let flags: String = (0..SLOTS).map(|i| if begins.contains(&i) { "01" } else { "00" }).collect();
        format!("match multiport 1 {head}{ports:0<60}{flags}{invert:02x}")
    }

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let line = |args: &str, list: &str, wire: &str| {
                row(family, TCP, &format!("multiport{args}"), args, list, wire);
            };
            line(" --dports 22,80,443", " multiport dports 22,80,443", &wire("0103", "16005000bb01", &[], 0));
            line(" --sports 0:65535", " multiport sports 0:65535", &wire("0002", "0000ffff", &[0], 0));
            line(" ! --ports 22:30,80", " multiport ports  !22:30,80", &wire("0203", "16001e005000", &[0], 1));
            line(
                " --dports 1:2,3:4,5:6,7:8,9:10,11:12,13:14,15",
                " multiport dports 1:2,3:4,5:6,7:8,9:10,11:12,13:14,15",
                &wire(
                    "010f",
                    "0100020003000400050006000700080009000a000b000c000d000e000f00",
                    &[0, 2, 4, 6, 8, 10, 12],
                    0,
                ),
            );
        }
        let names = read(V4, TCP, "multiport --sports ssh,0x50:+81").unwrap();
        assert_eq!(
            (names.save().as_str(), names.list(false).as_str()),
            (" --sports 22,80:81", " multiport sports ssh,80:81")
        );
        assert_eq!(read(V4, UDP, "multiport --destination-ports tftp").unwrap().list(false), " multiport dports tftp");
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let fifteen = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15";
        for (args, text) in [
            (" --dports 22:22", "invalid portrange specified"),
            (" --dports 30:22", "invalid portrange specified"),
            (" --dports 22:", "invalid port/service `' specified"),
            (" --dports ", "invalid port/service `' specified"),
            (" --dports 22,,23", "invalid port/service `' specified"),
            (" --dports 1:2:3", "invalid port/service `2:3' specified"),
            (" --dports 5-6", "invalid port/service `5-6' specified"),
            (" --dports tftp", "invalid port/service `tftp' specified"),
            (&format!(" --dports {fifteen},"), "too many ports specified"),
            (&format!(" --dports {fifteen}:16"), "too many ports specified"),
            ("", "multiport expection an option"),
            (" --destination-ports 5 --dports 6", "multiport: option \"--destination-ports\" can only be used once.\n"),
            (
                " --dports 5 --sports 6",
                "multiport: option \"--source-ports\" cannot be used together with \"--destination-ports\".\n",
            ),
            (
                " --ports 5 --dports 6",
                "multiport: option \"--destination-ports\" cannot be used together with \"--ports\".\n",
            ),
        ] {
            assert_eq!(error(V4, TCP, &format!("multiport{args}")), text, "{args}");
        }
        let needs = "multiport needs `-p tcp', `-p udp', `-p udplite', `-p sctp' or `-p dccp'";
        assert_eq!(error(V4, None, "multiport --dports 5"), needs);
        let only = "multiport only works with TCP, UDP, UDPLITE, SCTP and DCCP";
        assert_eq!(error(V4, Some((6, true)), "multiport --dports 5"), only);
        assert_eq!(error(V4, Some((1, false)), "multiport --dports 5"), only);
    }

    #[test]
    fn structs_that_cannot_be_said_are_not_read() {
        let decode = |count: u8, begins: u8, side: u8| {
            let mut info = [0; 48];
            info[..6].copy_from_slice(&[side, count, 5, 0, 4, 0]);
            info[32] = begins;
            raised(V4, TCP, |x| x.xt_match("multiport", 1, |b| b.bytes(&info))).is_some()
        };
        assert!(decode(2, 0, 2));
        assert!(!decode(2, 1, 2), "a range with its ends swapped");
        assert!(!decode(1, 1, 2), "half a range");
        assert!(!decode(0, 0, 2), "no port");
        assert!(!decode(16, 0, 2), "more than there is room for");
        assert!(!decode(2, 0, 3), "a side that does not exist");
    }

    #[test]
    fn packets() {
        let packet = Ipv4::default() / Segment { src_port: 40000, dst_port: 25, ..Segment::default() };
        for (args, expected) in [
            ("--dports 22,25", Tri::True),
            ("--dports 22:30", Tri::True),
            ("--sports 22:30", Tri::False),
            ("! --sports 22:30", Tri::True),
            ("--ports 25", Tri::True),
            ("! --ports 40000", Tri::False),
        ] {
            assert_eq!(
                read(V4, TCP, &format!("multiport {args}")).unwrap().judge(&packet),
                (expected, false),
                "{args}"
            );
        }
        let short = Ipv4::default() / Raw { protocol: 6, payload: vec![0, 22, 0] };
        assert_eq!(read(V4, TCP, "multiport ! --ports 1").unwrap().judge(&short), (Tri::False, true));
    }
}
