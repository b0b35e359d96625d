//! `-m tcp`: ports, flags and options of the TCP header. `-p tcp` loads it when one of its options is met.
//!
//! # Matches
//! TCP packets that meet every condition given; without any, all that have a whole header.
//! # Options
//! `[!] --source-port|--sport p[:p]`, `[!] --destination-port|--dport p[:p]`, `[!] --tcp-flags mask comp`, `[!] --syn`,
//! `[!] --tcp-option n`. Open ends are 0 and 65535.
//! # Wire
//! Native: flags as `payload th+13 1; bitwise & mask; cmp`, then ports as `payload th+0|2 2` with `cmp` or `range`, two single ports as
//! one load of four bytes. With no condition, with `--tcp-option`, or with an empty flag mask: xt `tcp` revision 0,
//! `struct xt_tcp { u16 spts[2], dpts[2]; u8 option, flg_mask, flg_cmp, invflags; }`, host order.
//! Natively, of what stock writes as xt: the twentieth byte must be there, then as above. Not for `--tcp-option`: `exthdr` does not see a
//! malformed option as the xt match does.
//! # Evaluates
//! Always known. The native form compares bytes and looks at nothing else; the xt form drops what has no whole header at once.
//! # Differs
//! `! --dport 0:65535` and `! --tcp-flags NONE …` are written (stock 1.8.9 writes nothing: a rule that matches everything), `! --sport a
//! ! --dport b` is written as two conditions (stock writes "not both"), and what stock wrote so is not read as the two. A condition given
//! twice in two `-m tcp` is listed twice (stock lists the last). `--tcp-flags NONE x` is printed. `! --tcp-option` alone has no translation.
//! # Sources
//! iptables-extensions(8) "tcp"; `linux/netfilter/xt_tcpudp.h`; RFC 9293 §3.1; fact sheet 2.3, 2.8.

use super::ports::{self, Ports, Side};
use crate::ext::limits::Limit;
use crate::ext::list::Match;
use crate::ext::options::{Given, Kind, Opt, UsageError, bit, number, port_range, usage_bytes};
use crate::ext::{Body, Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec, nft};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::protocol::TCP;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::cond::{Cond, Field, Item, Test};
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};

/// The conditions on a TCP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    src: Ports,
    dst: Ports,
    /// Kind of the option that must be there (or, with `true`, must not); never 0.
    option: Option<(u8, bool)>,
    flags: Flags,
}

/// `flags & mask == cmp`, or not; bits as in byte 13 of the header, the lowest six only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flags {
    mask: u8,
    cmp: u8,
    invert: bool,
}

const SPORT: u8 = 0;
const DPORT: u8 = 1;
const FLAGS: u8 = 2;
const SYN: u8 = 3;
const OPTION: u8 = 4;

const PORTS: &[&str] = &["0", "22", "80", "65535", "1024:2048", ":1023", "1024:", "5:5", "0x50"];

const OPTIONS: &[Opt] = &[
    Opt::value("source-port", SPORT, Kind::Raw, "port[:port]", "source port").invertible().examples(PORTS),
    Opt::value("sport", SPORT, Kind::Raw, "port[:port]", "the same").invertible().examples(PORTS),
    Opt::value("destination-port", DPORT, Kind::Raw, "port[:port]", "destination port").invertible().examples(PORTS),
    Opt::value("dport", DPORT, Kind::Raw, "port[:port]", "the same").invertible().examples(PORTS),
    Opt::value(
        "tcp-flags",
        FLAGS,
        Kind::Pair,
        "mask comp",
        "of the flags in mask, those in comp are set and no others",
    )
    .invertible()
    .excluding(bit(SYN))
    .examples(&["SYN,ACK,FIN,RST SYN", "ALL NONE", "ALL ALL", "URG,PSH PSH", "syn ack"]),
    Opt::flag("syn", SYN, "SYN is set, RST, ACK and FIN are not").invertible().excluding(bit(FLAGS)),
    Opt::value("tcp-option", OPTION, Kind::Raw, "number", "the header has this option")
        .invertible()
        .examples(&["1", "2", "5", "254", "0x10"]),
];

/// The flags' names in the order in which stock prints them.
const FLAG_NAMES: [(&str, u8); 6] =
    [("FIN", 0x01), ("SYN", 0x02), ("RST", 0x04), ("PSH", 0x08), ("ACK", 0x10), ("URG", 0x20)];

const ALL_FLAGS: u8 = 0x3f;

const NO_FLAGS: Flags = Flags { mask: 0, cmp: 0, invert: false };

/// Bits of `invflags` (`XT_TCP_INV_*`).
const INV_SRC: u8 = 1;
const INV_DST: u8 = 2;
const INV_FLAGS: u8 = 4;
const INV_OPTION: u8 = 8;

impl Extension for Tcp {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        implied_by: &[TCP],
        own_checks: true,
        sample: "-p tcp",
        late: true,
        limits: &[Limit::protocols(&[TCP])],
        ..Spec::new("tcp", 0, "matches ports, flags and options of TCP")
    };

    fn new(_: Family) -> Self {
        Self { src: Ports::ANY, dst: Ports::ANY, option: None, flags: NO_FLAGS }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let invert = given.negated;
        // The service names of TCP are meant, wherever `-p` stands.
        let cx = &ParseCx { protocol: Some((TCP, false)), ..*cx };
        let ports = |text| port_range(text, cx).map(|(min, max)| Ports { min, max, invert });
        let once = |what: &str| if given.again() { Err(usage!("Only one `--{what}' allowed")) } else { Ok(()) };
        match given.id() {
            SPORT => {
                once("source-port")?;
                self.src = ports(given.bytes())?;
            }
            DPORT => {
                once("destination-port")?;
                self.dst = ports(given.bytes())?;
            }
            OPTION => {
                once("tcp-option")?;
                let kind = number(given.bytes(), 1, 255).and_then(|n| u8::try_from(n).ok());
                let kind = kind.ok_or_else(|| usage_bytes("Bad TCP option \"", given.bytes(), "\""))?;
                self.option = Some((kind, invert));
            }
            id => {
                if given.seen & (bit(SYN) | bit(FLAGS)) != 0 {
                    return Err(usage!("Only one of `--syn' or `--tcp-flags'  allowed"));
                }
                let (mask, cmp) = match id {
                    SYN => (0x17, 0x02),
                    _ => {
                        let second = given.second()?;
                        (flags(given.bytes())?, flags(second)?)
                    }
                };
                self.flags = Flags { mask, cmp, invert };
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: u32, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        if self.is_native() && cx.protocol.is_none_or(|(p, _)| p != TCP) {
            return Err(usage!("TCP match requires '-p tcp'"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        let (src, dst) = self.listed_ports();
        src.save("sport", out);
        dst.save("dport", out);
        if let Some((kind, not)) = self.option {
            out.str(if not { " ! --tcp-option " } else { " --tcp-option " });
            out.dec(u64::from(kind));
        }
        if self.flags != NO_FLAGS {
            out.str(if self.flags.invert { " ! --tcp-flags " } else { " --tcp-flags " });
            print_flags(self.flags.mask, out);
            out.byte(b' ');
            print_flags(self.flags.cmp, out);
        }
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        let (src, dst) = self.listed_ports();
        out.str(" tcp");
        src.list("sp", TCP, out, cx);
        dst.list("dp", TCP, out, cx);
        if let Some((kind, not)) = self.option {
            out.str(if not { " option=!" } else { " option=" });
            out.dec(u64::from(kind));
        }
        let Flags { mask, cmp, invert } = self.flags;
        if self.flags != NO_FLAGS {
            out.str(if invert { " flags:!" } else { " flags:" });
            if cx.numeric {
                write!(out, "0x{mask:02X}/0x{cmp:02X}");
            } else {
                print_flags(mask, out);
                out.byte(b'/');
                print_flags(cmp, out);
            }
        }
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let begin = out.len();
        let mut sayable = self.src.translate("tcp sport ", begin, out) && self.dst.translate("tcp dport ", begin, out);
        if let Some((kind, not)) = self.option {
            // Of `missing` alone nft makes no question for TCP: every UDP packet would match.
            sayable &= !not || out.len() != begin || self.flags != NO_FLAGS;
            nft::separate(out, begin);
            write!(out, "tcp option {kind} {}", if not { "missing" } else { "exists" });
        }
        let Flags { mask, cmp, invert } = self.flags;
        if self.flags != NO_FLAGS {
            nft::separate(out, begin);
            out.str("tcp flags ");
            nft::unless(invert, out);
            translate_flags(cmp, out);
            out.str(" / ");
            translate_flags(mask, out);
            // nft 1.0.6 does not read a mask of one flag; of no flag stock prints only what is inverted, and else another rule.
            sayable &= !mask.is_power_of_two() && (mask != 0 || invert);
        }
        sayable
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        for ports in [self.src, self.dst] {
            b.u16(ports.min);
            b.u16(ports.max);
        }
        let (option, not_option) = self.option.unwrap_or((0, false));
        b.u8(option);
        b.u8(self.flags.mask);
        b.u8(self.flags.cmp);
        let inverted = [
            (self.src.invert, INV_SRC),
            (self.dst.invert, INV_DST),
            (self.flags.invert, INV_FLAGS),
            (not_option, INV_OPTION),
        ];
        b.u8(inverted.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [s0, s1, s2, s3, d0, d1, d2, d3, option, mask, cmp, inv, ..] = *info else { return None };
        let port = |a, b| u16::from_ne_bytes([a, b]);
        let src = Ports { min: port(s0, s1), max: port(s2, s3), invert: inv & INV_SRC != 0 };
        let dst = Ports { min: port(d0, d1), max: port(d2, d3), invert: inv & INV_DST != 0 };
        let sayable = (mask | cmp) & !ALL_FLAGS == 0 && src.min <= src.max && dst.min <= dst.max;
        sayable.then_some(Self {
            src,
            dst,
            option: (option != 0).then_some((option, inv & INV_OPTION != 0)),
            flags: Flags { mask, cmp, invert: inv & INV_FLAGS != 0 },
        })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if self.option.is_some() {
            return false;
        }
        x.whole(NFT_PAYLOAD_TRANSPORT_HEADER, 20);
        if self.flags != NO_FLAGS {
            x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1);
            x.mask(&[self.flags.mask]);
            x.cmp_eq(self.flags.invert, &[self.flags.cmp]);
        }
        ports::native(self.src, self.dst, x);
        true
    }
}

/// Flags by name, in any case, with commas between; `ALL` and `NONE` too. Empty words count for nothing.
fn flags(text: &[u8]) -> Result<u8, UsageError> {
    let mut set = 0;
    for word in text.split(|b| *b == b',').filter(|w| !w.is_empty()) {
        let known = FLAG_NAMES.iter().copied().chain([("ALL", ALL_FLAGS), ("NONE", 0)]);
        let found = known.into_iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        set |= found.map(|(_, flag)| flag).ok_or_else(|| usage_bytes("Unknown TCP flag `", word, "'"))?;
    }
    Ok(set)
}

/// Prints flags in the words of nft(8).
fn translate_flags(set: u8, out: &mut Out) {
    let names = FLAG_NAMES.iter().filter(|(_, flag)| set & flag != 0);
    out.str(if set == 0 { "0x0" } else { "" });
    for (i, (name, _)) in names.enumerate() {
        out.str(if i > 0 { "," } else { "" });
        out.str(&name.to_lowercase());
    }
}

fn print_flags(set: u8, out: &mut Out) {
    let mut comma = "";
    for (name, flag) in FLAG_NAMES {
        if set & flag != 0 {
            out.str(comma);
            out.str(name);
            comma = ",";
        }
    }
    if comma.is_empty() {
        out.str("NONE");
    }
}

impl Tcp {
    /// Whether it is written as native conditions.
    fn is_native(&self) -> bool {
        let some = !self.src.is_any() || !self.dst.is_any() || self.flags.mask != 0;
        some && self.option.is_none() && (self.flags.mask != 0 || self.flags == NO_FLAGS)
    }

    /// The ports as they are printed: the native form does not keep `! 0:80` apart from `81:65535`.
    fn listed_ports(&self) -> (Ports, Ports) {
        if self.is_native() { (self.src.plain(), self.dst.plain()) } else { (self.src, self.dst) }
    }

    /// The match of the rule that a native condition may complete: the last of its kind, if nothing with a side effect stands behind it.
    fn last(body: &mut Body) -> Option<&mut Self> {
        let behind = body.matches.iter_mut().rev().take_while(|m| !m.spec().stateful);
        let last = behind.into_iter().find_map(|m| match m {
            Match::Tcp(tcp) => Some(tcp),
            _ => None,
        });
        last.filter(|tcp| tcp.is_native())
    }

    fn raise_port(body: &mut Body, side: Side, ports: Ports, op: u32) {
        if let Some(tcp) = Self::last(body) {
            let slot = if side == Side::Source { &mut tcp.src } else { &mut tcp.dst };
            if slot.add(ports, op) {
                return;
            }
        }
        let nothing_new = ports.is_any() && matches!(body.matches.last(), Some(Match::Tcp(_)));
        if nothing_new {
            return;
        }
        let mut tcp = Self::new(Family::V4);
        *(if side == Side::Source { &mut tcp.src } else { &mut tcp.dst }) = ports;
        body.matches.push(Match::Tcp(tcp));
    }

    fn raise_flags(cond: &Cond, body: &mut Body) -> bool {
        let Field::Payload { base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 13, len: 1 } = cond.field else {
            return false;
        };
        let (Some(mask), Test::Cmp { op: op @ (NFT_CMP_EQ | NFT_CMP_NEQ), data }) = (cond.mask, &cond.test) else {
            return false;
        };
        let (Some(mask), Some(cmp)) = (mask.u8(), data.u8()) else { return false };
        // With an empty mask the value is an xt match (see `is_native`), which asks more of the packet than this condition.
        if mask == 0 || (mask | cmp) & !ALL_FLAGS != 0 {
            return false;
        }
        let flags = Flags { mask, cmp, invert: *op == NFT_CMP_NEQ };
        match Self::last(body).filter(|t| t.flags == NO_FLAGS) {
            Some(tcp) => tcp.flags = flags,
            None => body.matches.push(Match::Tcp(Self { flags, ..Self::new(Family::V4) })),
        }
        true
    }
}

impl Flags {
    fn contains(self, flags: u8) -> bool {
        (flags & self.mask == self.cmp) != self.invert
    }
}

impl MatchExt for Tcp {
    fn encode(&self, family: Family, x: &mut ExprWriter<'_>) {
        if !self.is_native() {
            x.xt_match("tcp", 0, |b| self.blob(family, b));
            return;
        }
        if self.flags != NO_FLAGS {
            x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1);
            x.mask(&[self.flags.mask]);
            x.cmp_eq(self.flags.invert, &[self.flags.cmp]);
        }
        ports::encode(self.src, self.dst, x);
    }

    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let (Item::Cond(cond), Some((TCP, not))) = (item, body.base.protocol) else { return false };
        let [first, second] = ports::decode(cond);
        // A bare `-m tcp` cannot stand behind `! -p tcp`: it is an xt match, which insists on its protocol.
        if not && [first, second].into_iter().flatten().any(|(_, ports, _)| ports.is_any()) {
            return false;
        }
        match first {
            None => return Self::raise_flags(cond, body),
            Some((_, ports, _)) if ports.min > ports.max => return false,
            Some(_) => {}
        }
        for (side, ports, op) in [first, second].into_iter().flatten() {
            Self::raise_port(body, side, ports, op);
        }
        true
    }

    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        if self.is_native() {
            let transport = packet.transport_as_loaded();
            let flags = transport.and_then(|t| t.get(13)).is_some_and(|flags| self.flags.contains(*flags));
            let flags = flags || self.flags == NO_FLAGS;
            return Tri::from(flags && self.src.at(0, transport) && self.dst.at(2, transport));
        }
        if packet.is_fragment_tail() {
            // The second fragment at offset 8 would overwrite the flags (RFC 1858 §2).
            env.hotdrop = packet.family() == Family::V4 && packet.fragment_offset() == 8;
            return Tri::False;
        }
        let Some(tcp) = packet.tcp() else {
            env.hotdrop = true;
            return Tri::False;
        };
        let ports = self.src.contains(tcp.src_port()) && self.dst.contains(tcp.dst_port());
        if !ports || !self.flags.contains(tcp.flags()) {
            return Tri::False;
        }
        let Some((kind, not)) = self.option else { return Tri::True };
        let Some(mut options) = tcp.option_list() else {
            env.hotdrop = true;
            return Tri::False;
        };
        Tri::from(options.any(|o| o.kind == kind) != not)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{TCP, UDP, error, raised, raised_text, read, row};
    use crate::packet::build::{Ipv4, Raw, Tcp as Segment};
    use crate::packet::tcp::{ACK, SYN};
    use crate::types::Family::{V4, V6};

    /// `tcp ARGUMENTS`: the expressions, and `-S` and `-L -n` if they are not simply `ARGUMENTS`.
    fn tcp(arguments: &str, wire: &str, list: &str) {
        for family in [V4, V6] {
            row(family, TCP, &format!("tcp{arguments}"), arguments, list, wire);
        }
    }

    #[test]
    fn what_stock_writes_and_prints() {
        tcp("", "match tcp 0 0000ffff0000ffff0000000000000000", " tcp");
        tcp(" --dport 22", "th+2,2; == 0016", " tcp dpt:22");
        tcp(" ! --sport 0", "th+0,2; != 0000", " tcp spt:!0");
        tcp(
            " --sport 1000:2000 ! --dport 80",
            "th+0,2; range 03e8..07d0; th+2,2; != 0050",
            " tcp spts:1000:2000 dpt:!80",
        );
        tcp(" --dport 0:80", "th+2,2; <= 0050", " tcp dpts:0:80");
        tcp(" --dport 80:65535", "th+2,2; range 0050..ffff", " tcp dpts:80:65535");
        tcp(" ! --dport 80:65535", "th+2,2; !range 0050..ffff", " tcp dpts:!80:65535");
        tcp(" --sport 5 --dport 1", "th+0,4; == 00050001", " tcp spt:5 dpt:1");
        tcp(" ! --sport 5 --dport 1", "th+0,2; != 0005; th+2,2; == 0001", " tcp spt:!5 dpt:1");
        tcp(" --tcp-flags FIN,SYN,RST,ACK SYN", "th+13,1; & 17; == 02", " tcp flags:0x17/0x02");
        tcp(" ! --tcp-flags SYN NONE", "th+13,1; & 02; != 00", " tcp flags:!0x02/0x00");
        let all = " --sport 6 --dport 5 --tcp-flags FIN,SYN,RST,PSH,ACK,URG PSH,ACK";
        tcp(all, "th+13,1; & 3f; == 18; th+0,4; == 00060005", " tcp spt:6 dpt:5 flags:0x3F/0x18");
        tcp(" --tcp-option 5", "match tcp 0 0000ffff0000ffff0500000000000000", " tcp option=5");
        tcp(
            " ! --sport 7:9 --dport 5 ! --tcp-option 2 --tcp-flags SYN SYN",
            "match tcp 0 07000900050005000202020900000000",
            " tcp spts:!7:9 dpt:5 option=!2 flags:0x02/0x02",
        );
        tcp(
            " ! --dport 0:80 --tcp-option 5",
            "match tcp 0 0000ffff000050000500000200000000",
            " tcp dpts:!0:80 option=5",
        );
    }

    #[test]
    fn other_spellings() {
        for (line, save) in [
            ("tcp --source-port : --destination-port 22:22", " --dport 22"),
            ("tcp --dport ssh:", " --dport 22:65535"),
            ("tcp --dport +0x10:+040", " --dport 16:32"),
            ("tcp ! --dport :80", " --dport 81:65535"),
            ("tcp ! --dport :0", " ! --dport 0"),
            ("tcp ! --syn", " ! --tcp-flags FIN,SYN,RST,ACK SYN"),
            ("tcp --tcp-flags syn,,All none,Ack,", " --tcp-flags FIN,SYN,RST,PSH,ACK,URG ACK"),
            ("tcp --tcp-flags NONE NONE", ""),
            ("tcp --tcp-option 0x10", " --tcp-option 16"),
        ] {
            assert_eq!(read(V4, TCP, line).map_or_else(|e| e, |r| r.save()), save, "{line}");
        }
        assert_eq!(read(V4, TCP, "tcp ! --dport :80").unwrap().wire(), "th+2,2; > 0050");
        assert_eq!(
            read(V4, TCP, "tcp --syn --dport 22").unwrap().list(false),
            " tcp dpt:ssh flags:FIN,SYN,RST,ACK/SYN"
        );
    }

    /// Stock writes nothing for the first two, and one load of "not both" for the last.
    #[test]
    fn what_stock_gets_wrong() {
        tcp(" ! --dport 0:65535", "th+2,2; !range 0000..ffff", " tcp dpts:!0:65535");
        tcp(" ! --tcp-flags NONE NONE", "match tcp 0 0000ffff0000ffff0000000400000000", " tcp flags:!0x00/0x00");
        tcp(" --tcp-flags NONE SYN", "match tcp 0 0000ffff0000ffff0000020000000000", " tcp flags:0x00/0x02");
        tcp(" ! --sport 5 ! --dport 1", "th+0,2; != 0005; th+2,2; != 0001", " tcp spt:!5 dpt:!1");
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (line, text) in [
            ("tcp --dport 65536", "invalid port/service `65536' specified"),
            ("tcp --dport -5", "invalid port/service `-5' specified"),
            ("tcp --dport 1:2:3", "invalid port/service `2:3' specified"),
            ("tcp --dport tftp", "invalid port/service `tftp' specified"),
            ("tcp --dport 80:22", "invalid portrange (min > max)"),
            ("tcp --dport 1 --destination-port 2", "Only one `--destination-port' allowed"),
            ("tcp --sport 1 --sport 2", "Only one `--source-port' allowed"),
            ("tcp --syn --tcp-flags ALL NONE", "Only one of `--syn' or `--tcp-flags'  allowed"),
            ("tcp --tcp-option 2 --tcp-option 2", "Only one `--tcp-option' allowed"),
            ("tcp --tcp-option 256", "Bad TCP option \"256\""),
            ("tcp --tcp-flags SYN,CWR SYN", "Unknown TCP flag `CWR'"),
            ("tcp --tcp-flags SYN --dport 5", "--tcp-flags requires two args."),
            ("tcp --tcp-flags SYN", "--tcp-flags requires two args."),
        ] {
            assert_eq!(error(V4, TCP, line), text, "{line}");
        }
        assert_eq!(error(V4, UDP, "tcp --dport 5"), "TCP match requires '-p tcp'");
        assert_eq!(error(V4, None, "tcp --syn"), "TCP match requires '-p tcp'");
        assert_eq!(error(V4, Some((6, true)), "tcp --syn"), "taken as --tcp-flags FIN,SYN,RST,ACK SYN");
    }

    #[test]
    fn native_conditions_in_other_forms() {
        let th = |x: &mut ExprWriter<'_>, offset, len| x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, len);
        let bound = |op, port: u16| raised_text(V4, TCP, |x| (th(x, 2, 2), x.cmp(op, &port.to_be_bytes())).1);
        assert_eq!(bound(NFT_CMP_LT, 5), " -m tcp --dport 0:4");
        assert_eq!(bound(NFT_CMP_GTE, 5), " -m tcp --dport 5:65535");
        assert_eq!(bound(NFT_CMP_GT, 22), " -m tcp --dport 23:65535");
        assert_eq!(bound(NFT_CMP_LT, 0), "opaque");
        assert_eq!(bound(NFT_CMP_GT, 65535), "opaque");
        // That a port is there at all: true of a later fragment's data too, as a bare `-m tcp` is not.
        assert_eq!(bound(NFT_CMP_LTE, 65535), "opaque");
        let both = |x: &mut ExprWriter<'_>| {
            th(x, 2, 2);
            x.cmp(NFT_CMP_GTE, &[0, 5]);
            x.cmp(NFT_CMP_LTE, &[0, 7]);
        };
        assert_eq!(raised_text(V4, TCP, both), " -m tcp --dport 5:7");
        assert_eq!(raised_text(V4, UDP, both), " -m udp --dport 5:7");
        assert_eq!(raised_text(V4, None, both), "opaque");
        assert_eq!(raised_text(V4, Some((33, false)), both), "opaque");
        let neither = |x: &mut ExprWriter<'_>| (th(x, 0, 4), x.cmp_eq(true, &[0, 5, 0, 1])).1;
        assert_eq!(raised_text(V4, TCP, neither), "opaque");
        let low_bits = |x: &mut ExprWriter<'_>| (th(x, 2, 2), x.mask(&[0, 255]), x.cmp_eq(false, &[0, 1])).2;
        assert_eq!(raised_text(V4, TCP, low_bits), "opaque");
        let reversed = |x: &mut ExprWriter<'_>| (th(x, 2, 2), x.range(false, &[0, 80], &[0, 79])).1;
        assert_eq!(raised_text(V4, TCP, reversed), "opaque");
        assert_eq!(raised_text(V4, UDP, reversed), " -m udp --dport 80:79");
    }

    #[test]
    fn native_flags_in_other_forms() {
        let flags = |mask: Option<u8>, op, cmp: u8| {
            raised_text(V6, TCP, |x| {
                x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1);
                if let Some(m) = mask {
                    x.mask(&[m]);
                }
                x.cmp(op, &[cmp]);
            })
        };
        assert_eq!(flags(Some(2), NFT_CMP_NEQ, 0), " -m tcp ! --tcp-flags SYN NONE");
        assert_eq!(flags(None, NFT_CMP_EQ, 2), "opaque");
        assert_eq!(flags(Some(0xff), NFT_CMP_EQ, 2), "opaque");
        assert_eq!(flags(Some(0x42), NFT_CMP_EQ, 2), "opaque");
        assert_eq!(flags(Some(2), NFT_CMP_GT, 0), "opaque");
    }

    #[test]
    fn two_matches_are_one_where_nothing_is_lost() {
        let rule = |lines: &[&str]| {
            let matches: Vec<_> = lines.iter().map(|l| read(V4, TCP, l).unwrap().ext).collect();
            raised_text(V4, TCP, |x| matches.iter().for_each(|m| m.encode(V4, x)))
        };
        assert_eq!(rule(&["tcp --dport 5", "tcp --sport 6"]), " -m tcp --sport 6 --dport 5");
        assert_eq!(rule(&["tcp --dport 5", "mark --mark 1", "tcp --syn"]).matches("-m tcp").count(), 1);
        assert_eq!(rule(&["tcp --dport 5", "tcp --dport 6"]), " -m tcp --dport 5 -m tcp --dport 6");
        assert_eq!(rule(&["tcp", "tcp --dport 6"]), " -m tcp -m tcp --dport 6");
        assert_eq!(rule(&["tcp --dport 6", "tcp"]), " -m tcp --dport 6 -m tcp");
        assert_eq!(rule(&["tcp --dport 6 --tcp-option 2", "tcp --sport 6"]).matches("-m tcp").count(), 2);
        assert!(
            raised(V4, TCP, |x| x.xt_match("tcp", 0, |b| b.fixed(&[0, 0, 5, 0, 0, 0, 9, 0, 0, 0x40, 0, 0], 12)))
                .is_none()
        );
        let no_flags = raised_text(V4, TCP, |x| {
            x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1);
            x.mask(&[0]);
            x.cmp_eq(true, &[2]);
        });
        assert_eq!(no_flags, "opaque", "the load asks for a header, the xt match with an empty mask for more");
    }

    #[test]
    fn packets() {
        let syn = Ipv4::default() / Segment { src_port: 40000, dst_port: 22, flags: SYN, ..Segment::default() };
        let ack = Ipv4::default() / Segment { src_port: 22, dst_port: 40000, flags: SYN | ACK, ..Segment::default() };
        for (line, packet, expected) in [
            ("tcp", &syn, Tri::True),
            ("tcp --dport 22", &syn, Tri::True),
            ("tcp --dport 22", &ack, Tri::False),
            ("tcp ! --dport 22:30", &ack, Tri::True),
            ("tcp --syn", &syn, Tri::True),
            ("tcp ! --syn", &ack, Tri::True),
            ("tcp ! --dport :", &syn, Tri::False),
            ("tcp --tcp-option 2", &syn, Tri::False),
            ("tcp ! --tcp-option 2 --dport 22", &syn, Tri::True),
            ("tcp --tcp-flags NONE SYN", &syn, Tri::False),
        ] {
            assert_eq!(read(V4, TCP, line).unwrap().judge(packet), (expected, false), "{line}");
        }
        let short = Ipv4::default() / Raw { protocol: 6, payload: vec![0, 22, 0, 22, 0] };
        assert_eq!(read(V4, TCP, "tcp --dport 22").unwrap().judge(&short), (Tri::True, false));
        assert_eq!(read(V4, TCP, "tcp").unwrap().judge(&short), (Tri::False, true));
        let tail = |at| Ipv4 { fragment_offset: at, ..Ipv4::default() } / Raw { protocol: 6, payload: vec![0; 40] };
        // The kernel compares the fragment's data: see `Packet::transport_as_loaded`.
        assert_eq!(read(V4, TCP, "tcp ! --dport 22").unwrap().judge(&tail(1480)), (Tri::True, false));
        assert_eq!(read(V4, TCP, "tcp --dport 22").unwrap().judge(&tail(1480)), (Tri::False, false));
        assert_eq!(read(V4, TCP, "tcp").unwrap().judge(&tail(1480)), (Tri::False, false));
        assert_eq!(read(V4, TCP, "tcp").unwrap().judge(&tail(8)), (Tri::False, true));
    }
}
