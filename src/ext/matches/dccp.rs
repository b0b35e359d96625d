//! `-m dccp`: ports, type and options of DCCP. `-p dccp` loads it when one of its options is met.
//!
//! # Matches
//! DCCP packets by their ports, by their type, by an option that they carry; `!` each. A fragment without the header does not match.
//! # Options
//! `[!] --source-port`, `--sport PORT[:PORT]`; `[!] --destination-port`, `--dport`; `[!] --dccp-types TYPE,…`, by name in any case, of which
//! INVALID stands for 10 to 15; `[!] --dccp-option N`, 1 to 255.
//! # Wire
//! xt `dccp` revision 0: `struct xt_dccp_info { u16 dpts[2], spts[2], flags, invflags, typemask; u8 option; }`, host order, 15 bytes and padding.
//! Native: the twelve bytes of the header are loaded, which no later fragment has, and ports and type compared; a packet that is cut off in
//! them is no match (in xt it is dropped). None with `--dccp-option`: kernels before 6.5, and those without `CONFIG_NFT_EXTHDR_DCCP`, have
//! nothing that looks for it.
//! # Evaluates
//! Always known. A packet with less than twelve bytes of DCCP is dropped at once, as is one whose options are asked for and do not lie in it.
//! # Differs
//! Ports over 65535 are refused (`resolve::port`). There is no translation where nothing is asked: stock's has lost `-p dccp`.
//! # Sources
//! iptables-extensions(8) "dccp"; `linux/netfilter/xt_dccp.h`; `linux/dccp.h`; RFC 4340 §5.

use super::headers;
use super::numbers::Numbers;
use super::ports::Ports;
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError, usage_bytes};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::protocol::DCCP;
use crate::types::{Family, Out, Tri};
use crate::wire::consts::NFT_PAYLOAD_TRANSPORT_HEADER;
use crate::wire::{AnonSet, BlobWriter, ExprWriter, Key};

/// What is asked of the packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dccp {
    src: Option<Ports>,
    dst: Option<Ports>,
    /// A bit for each type, and whether the others are meant.
    types: Option<(u16, bool)>,
    option: Option<(u8, bool)>,
}

const SPORT: u8 = 0;
const DPORT: u8 = 1;
const TYPES: u8 = 2;
const OPTION: u8 = 3;

const HEADER_LEN: usize = 12;

/// The types by name, in the order of their numbers.
const NAMES: [&str; 10] =
    ["REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK", "CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK"];
/// The types from 10 on.
const INVALID: u16 = 0xfc00;

const fn ports(name: &'static str, id: u8, help: &'static str) -> Opt {
    Opt::value(name, id, Kind::PortRange, "port[:port]", help)
        .invertible()
        .examples(&["5000", "22", "0", "22:80", ":1023", "1024:", "65535", "90:80", ":"])
}

const OPTIONS: &[Opt] = &[
    ports("source-port", SPORT, "source port, or range of ports"),
    ports("sport", SPORT, "the same"),
    ports("destination-port", DPORT, "destination port, or range of ports"),
    ports("dport", DPORT, "the same"),
    Opt::value("dccp-types", TYPES, Kind::Raw, "type[,type...]", "types of the packet").invertible().examples(&[
        "REQUEST",
        "response",
        "DATA,ACK",
        "DataAck",
        "CLOSEREQ,CLOSE,RESET",
        "SYNC,SYNCACK",
        "INVALID",
        "REQUEST,INVALID",
        "REQUEST,RESPONSE,DATA,ACK,DATAACK,CLOSEREQ,CLOSE,RESET,SYNC,SYNCACK,INVALID",
    ]),
    Opt::value("dccp-option", OPTION, Kind::Number { min: 1, max: 255 }, "option", "number of an option that it has")
        .invertible()
        .examples(&["1", "2", "32", "0x26", "128", "255"]),
];

impl Extension for Dccp {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        implied_by: &[DCCP],
        sample: "-p 33",
        limits: &[Limit::protocols(&[DCCP])],
        notes: |_| &[("REQUEST RESPONSE DATA ACK DATAACK CLOSEREQ CLOSE RESET SYNC SYNCACK INVALID", "the types")],
        ..Spec::new("dccp", 0, "matches ports, type and options of DCCP")
    };

    fn new(_: Family) -> Self {
        Self::default()
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let ports = || {
            let (min, max) = given.ports();
            Some(Ports { min, max, invert: given.negated })
        };
        match given.id() {
            SPORT => self.src = ports(),
            DPORT => self.dst = ports(),
            TYPES => self.types = Some((types(given.bytes())?, given.negated)),
            _ => self.option = Some((given.u8(), given.negated)),
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        for (name, ports) in [("sport", self.src), ("dport", self.dst)] {
            let Some(Ports { min, max, invert }) = ports else { continue };
            write!(out, "{} --{name} {min}", if invert { " !" } else { "" });
            if min != max {
                write!(out, ":{max}");
            }
        }
        if let Some((types, not)) = self.types {
            out.str(if not { " ! --dccp-types " } else { " --dccp-types " });
            print_types(types, false, out);
        }
        if let Some((option, not)) = self.option {
            write!(out, "{} --dccp-option {option}", if not { " !" } else { "" });
        }
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(" dccp");
        for (name, ports) in [("sp", self.src), ("dp", self.dst)] {
            if let Some(ports) = ports {
                ports.list(name, DCCP, out, cx);
            }
        }
        if let Some((types, not)) = self.types {
            out.str(if not { " ! " } else { " " });
            print_types(types, cx.numeric, out);
        }
        if let Some((option, not)) = self.option {
            write!(out, " option={}{option}", if not { "!" } else { "" });
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        for ports in [self.dst, self.src] {
            b.u16(ports.map_or(0, |p| p.min));
            b.u16(ports.map_or(0, |p| p.max));
        }
        let asked = [
            self.src.map(|p| p.invert),
            self.dst.map(|p| p.invert),
            self.types.map(|(_, not)| not),
            self.option.map(|(_, not)| not),
        ];
        let bits = |want: fn(bool) -> bool| {
            let given = asked.iter().enumerate().filter(|(_, not)| not.is_some_and(want));
            given.fold(0u16, |bits, (i, _)| bits | 1 << i)
        };
        b.u16(bits(|_| true));
        b.u16(bits(|not| not));
        b.u16(self.types.map_or(0, |(types, _)| types));
        b.u8(self.option.map_or(0, |(option, _)| option));
        b.align(2);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let word = |at: usize| info.get(2 * at..)?.first_chunk::<2>().map(|b| u16::from_ne_bytes(*b));
        let (flags, invert) = (word(4)?, word(5)?);
        let asked = |i: u8| (flags & (1 << i) != 0).then_some(invert & (1 << i) != 0);
        let ports = |at: usize, i: u8| match asked(i) {
            Some(invert) => Some(Some(Ports { min: word(at)?, max: word(at + 1)?, invert })),
            None => Some(None),
        };
        let types = asked(2).zip(word(6)).map(|(not, types)| (types, not));
        let option = asked(3).zip(info.get(14)).map(|(not, option)| (*option, not));
        // One invalid type alone has no name; option 0 is not taken.
        let named = types.is_none_or(|(types, _)| [0, INVALID].contains(&(types & INVALID)));
        let sayable = named && option.is_none_or(|(option, _)| option != 0);
        sayable.then_some(Self { src: ports(2, 0)?, dst: ports(0, 1)?, types, option })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if self.option.is_some() {
            return false;
        }
        x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, HEADER_LEN as u32);
        if let Some(ports) = self.src {
            numbers(ports).native(2, x);
        }
        if let Some(ports) = self.dst {
            x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
            numbers(ports).native(2, x);
        }
        if let Some((types, not)) = self.types {
            native_types(types, not, x);
        }
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let before = out.len();
        let words = |out: &mut Out| {
            for (field, ports) in [("dccp sport", self.src), ("dccp dport", self.dst)] {
                let Some(Ports { min, max, invert }) = ports else { continue };
                if min > max {
                    return false;
                }
                out.str(if out.len() > before { " " } else { "" });
                write!(out, "{field} {}{min}", if invert { "!= " } else { "" });
                if min != max {
                    write!(out, "-{max}");
                }
            }
            if let Some((types, not)) = self.types {
                out.str(if out.len() > before { " " } else { "" });
                out.str(if not { "dccp type != " } else { "dccp type " });
                return translate_types(types, out);
            }
            out.len() > before
        };
        let said = self.option.is_none() && words(out);
        if !said {
            out.truncate(before);
        }
        said
    }
}

fn numbers(ports: Ports) -> Numbers {
    Numbers { min: ports.min.into(), max: ports.max.into(), invert: ports.invert }
}

/// Names with commas between; parts without a letter are passed over.
fn types(text: &[u8]) -> Result<u16, UsageError> {
    let mut types = 0;
    for part in text.split(|b| *b == b',').filter(|part| !part.is_empty()) {
        let at = NAMES.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(part));
        types |= match at {
            Some(at) => 1 << at,
            None if part.eq_ignore_ascii_case(b"INVALID") => INVALID,
            None => return Err(usage_bytes("Unknown DCCP type `", part, "'")),
        };
    }
    Ok(types)
}

/// The types' numbers, in order.
fn numbers_of(types: u16) -> impl Iterator<Item = u8> {
    (0..16).filter(move |at| types & (1 << at) != 0)
}

fn print_types(types: u16, numeric: bool, out: &mut Out) {
    let before = out.len();
    for at in numbers_of(types) {
        let name = NAMES.get(usize::from(at)).filter(|_| !numeric);
        if at > 10 && !numeric {
            return;
        }
        out.str(if out.len() > before { "," } else { "" });
        match name {
            Some(name) => out.str(name),
            None if numeric => out.dec(u64::from(at)),
            None => out.str("INVALID"),
        }
    }
}

fn translate_types(types: u16, out: &mut Out) -> bool {
    let named = numbers_of(types).filter_map(|at| NAMES.get(usize::from(at))).map(|name| name.to_ascii_lowercase());
    let mut words: Vec<String> = named.collect();
    words.extend((types & INVALID != 0).then(|| "10-15".to_owned()));
    match words.as_slice() {
        [] => return false,
        [one] => out.str(one),
        many => write!(out, "{{ {} }}", many.join(", ")),
    }
    true
}

/// Compares the type: four bits of byte 8, behind one that says how long the sequence number is.
fn native_types(types: u16, not: bool, x: &mut ExprWriter<'_>) {
    x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 8, 1);
    let mut fields = numbers_of(types).map(|at| at << 1);
    match (fields.next(), fields.next()) {
        (None, _) => x.range(not, &[1], &[0]),
        (Some(one), None) => {
            x.mask(&[0x1e]);
            x.cmp_eq(not, &[one]);
        }
        (Some(_), Some(_)) => {
            let mut set = AnonSet::new(&[Key::Number(1)]);
            numbers_of(types).for_each(|at| set.value(&[&[at << 1]]));
            x.mask(&[0x1e]);
            x.lookup(not, set);
        }
    }
}

impl MatchExt for Dccp {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let Some(header) = headers::transport(packet, HEADER_LEN, env) else { return Tri::False };
        let kind = header.get(8).map_or(0, |b| b >> 1 & 0x0f);
        let fits = self.src.is_none_or(|ports| ports.at(0, Some(header)))
            && self.dst.is_none_or(|ports| ports.at(2, Some(header)))
            && self.types.is_none_or(|(types, not)| (types & (1 << kind) != 0) != not);
        let Some((option, not)) = self.option.filter(|_| fits) else { return Tri::from(fits) };
        match options(header, kind) {
            Some(options) => Tri::from(has_option(options, option) != not),
            None => {
                env.hotdrop = true;
                // The kernel has an answer besides, which nobody hears: the packet is gone.
                Tri::False
            }
        }
    }
}

/// What lies between the part of the header that each type has, and its end; `None` if that is not so.
fn options(header: &[u8], kind: u8) -> Option<&[u8]> {
    let long = if header.get(8)? & 1 != 0 { 16 } else { HEADER_LEN };
    let by_type = match kind {
        0 => 4,
        2 => 0,
        3 | 4 | 5 | 6 | 8 | 9 => 8,
        _ => 12,
    };
    let (start, end) = (long + by_type, usize::from(*header.get(4)?) * 4);
    // Where there is no room for options, nobody asks whether the header is whole.
    if start == end { Some(&[]) } else { header.get(start..end) }
}

fn has_option(mut options: &[u8], wanted: u8) -> bool {
    while let [kind, rest @ ..] = options {
        if *kind == wanted {
            return true;
        }
        // The first two (32 in the RFC) have no length in theirs.
        let size = match (kind, rest) {
            (2.., [len, ..]) => usize::from(*len).max(1),
            _ => 1,
        };
        options = options.get(size..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised, read, row};
    use crate::packet::build::{Ipv4, Raw};
    use crate::types::Family::{V4, V6};

    const P: Option<(u8, bool)> = Some((DCCP, false));

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            for (args, save, info, list) in [
                ("", "", "00000000000000000000000000000000", " dccp"),
                (" --source-port 5:10", " --sport 5:10", "0000000005000a000100000000000000", " dccp spts:5:10"),
                (" --dport :", " --dport 0:65535", "0000ffff000000000200000000000000", " dccp"),
                (" ! --dport :", " ! --dport 0:65535", "0000ffff000000000200020000000000", " dccp dpts:!0:65535"),
                (
                    " --dccp-types Invalid,reset,",
                    " --dccp-types RESET,INVALID",
                    "00000000000000000400000080fc0000",
                    " dccp 7,10,11,12,13,14,15",
                ),
                (" --dccp-types ", " --dccp-types ", "00000000000000000400000000000000", " dccp "),
                (
                    " ! --dport 3 ! --sport 1:2 ! --dccp-option 5 ! --dccp-types ACK",
                    " ! --sport 1:2 ! --dport 3 ! --dccp-types ACK ! --dccp-option 5",
                    "03000300010002000f000f0008000500",
                    " dccp spts:!1:2 dpt:!3 ! 3 option=!5",
                ),
            ] {
                row(family, P, &format!("dccp{args}"), save, list, &format!("match dccp 0 {info}"));
            }
        }
        let read = read(V4, P, "dccp --dccp-types ACK,DATA,INVALID").unwrap();
        assert_eq!(read.list(false), " dccp DATA,ACK,INVALID");
        for (at, byte) in [(8, 0x10), (8, 8), (13, 4), (10, 1)] {
            let mut bytes = [0; 16];
            (bytes[8], bytes[at]) = (4, byte);
            assert!(raised(V4, P, |x| x.xt_match("dccp", 0, |b| b.bytes(&bytes))).is_none(), "{at} {byte}");
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (args, text) in [
            (" --dport foo", "Port \"foo\" does not resolve to anything.\n"),
            (" --dport 5:6:7", "dccp: Too many components for option \"--destination-port\" (max: 2)\n"),
            (" --dport 5 --dport 6", "dccp: option \"--destination-port\" can only be used once.\n"),
            (" --dccp-types REQUEST,foo", "Unknown DCCP type `foo'"),
            (" --dccp-option 0", "dccp: bad value for option \"--dccp-option\", or out of range (1-255).\n"),
        ] {
            assert_eq!(error(V4, P, &format!("dccp{args}")), text, "{args}");
        }
    }

    #[test]
    fn native_expressions_and_nfts_words() {
        let lookup =
            |not: u32| format!("th+0,12; th+8,1; & 1e; lookup 1=5f5f7365742564 2=00000008 4=00000001 5={not:08x}");
        for (args, wire, words) in [
            ("", Some("th+0,12".into()), None),
            (
                " --sport 5:9 ! --dport 1",
                Some("th+0,12; range 0005..0009; th+2,2; != 0001".into()),
                Some("dccp sport 5-9 dccp dport != 1"),
            ),
            (" --dport 10:5", Some("th+0,12; th+2,2; range 000a..0005".into()), None),
            (" --dccp-types ack", Some("th+0,12; th+8,1; & 1e; == 06".into()), Some("dccp type ack")),
            (" --dccp-types ", Some("th+0,12; th+8,1; range 01..00".into()), None),
            (" ! --dccp-types DATA,INVALID", Some(lookup(1)), Some("dccp type != { data, 10-15 }")),
            (" --dccp-types INVALID", Some(lookup(0)), Some("dccp type 10-15")),
            (" --sport 1 --dccp-option 5", None, None),
        ] {
            let read = read(V4, P, &format!("dccp{args}")).unwrap();
            // The name and number of the set are the writer's.
            let written = read.native().map(|text| text.split("; lookup").next().unwrap_or_default().to_owned());
            let wire = wire.map(|text: String| text.split("; lookup").next().unwrap_or_default().to_owned());
            assert_eq!((written, read.translation().as_deref()), (wire, words), "{args}");
        }
    }

    /// A packet from port 5 to port 256 of this type, with these bytes behind the first twelve.
    fn packet(kind: u8, doff: u8, rest: &[u8]) -> Packet {
        let payload = [&[0, 5, 1, 0, doff, 0, 0, 0, kind << 1, 0, 0, 0], rest].concat();
        Ipv4::default() / Raw { protocol: DCCP, payload }
    }

    #[test]
    fn packets() {
        let judge = |args: &str, packet: &Packet| read(V4, P, &format!("dccp{args}")).unwrap().judge(packet);
        // A request with its service, the options 1 (one byte), 38 (four bytes) and 7.
        let request = packet(0, 6, &[0, 0, 0, 0, 1, 38, 4, 9, 9, 7, 2, 0]);
        for (args, expected) in [
            ("", true),
            (" --sport 5 ! --dport 1", true),
            (" ! --sport :", false),
            (" --dccp-types REQUEST,RESPONSE", true),
            (" ! --dccp-types REQUEST", false),
            (" --dccp-types ", false),
            (" --dccp-option 38", true),
            (" --dccp-option 7", true),
            (" --dccp-option 9", false),
            (" ! --dccp-option 9", true),
        ] {
            assert_eq!(judge(args, &request), (Tri::from(expected), false), "{args}");
        }
        assert_eq!(judge(" --dccp-types INVALID", &packet(13, 6, &[0; 12])), (Tri::True, false));
        assert_eq!(judge(" ! --dccp-option 9", &packet(3, 4, &[0; 12])), (Tri::False, true));
        assert_eq!(judge(" --dccp-option 9", &packet(3, 9, &[0; 12])), (Tri::False, true));
        assert_eq!(judge(" --sport 6 --dccp-option 9", &packet(3, 9, &[0; 12])), (Tri::False, false));
        assert_eq!(judge(" ! --dccp-option 9", &packet(1, 6, &[0; 5])), (Tri::True, false));
        let short = Ipv4::default() / Raw { protocol: DCCP, payload: vec![0; 11] };
        assert_eq!(judge("", &short), (Tri::False, true));
        let tail = Ipv4 { fragment_offset: 8, ..Ipv4::default() } / Raw { protocol: DCCP, payload: vec![0; 12] };
        assert_eq!(judge("", &tail), (Tri::False, false));
    }
}
