//! `-m udp`: the ports of UDP. `-p udp` loads it when one of its options is met.
//!
//! # Matches
//! UDP packets that meet both conditions; without any, all that have a whole header.
//! # Options
//! `[!] --source-port|--sport p[:p]`, `[!] --destination-port|--dport p[:p]`. Open ends are 0 and 65535; a first port over the last is taken
//! and stands for no port.
//! # Wire
//! Native as in `tcp`. With no condition: xt `udp` revision 0, `struct xt_udp { u16 spts[2], dpts[2]; u8 invflags; }`, host order.
//! Natively, of what stock writes as xt: the eighth byte must be there, then as above.
//! # Evaluates
//! Always known. The native form compares bytes and looks at nothing else; the xt form drops what has no whole header at once.
//! # Differs
//! As in `tcp`. A port over 65535 is refused (stock takes it modulo 65536).
//! # Sources
//! iptables-extensions(8) "udp"; `linux/netfilter/xt_tcpudp.h`; RFC 768; fact sheet 2.3, 2.8.

use super::ports::{self, Ports, Side};
use crate::ext::limits::Limit;
use crate::ext::list::Match;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Body, Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::protocol::UDP;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::cond::Item;
use crate::wire::consts::NFT_PAYLOAD_TRANSPORT_HEADER;
use crate::wire::{BlobWriter, ExprWriter};

/// The conditions on a UDP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    src: Ports,
    dst: Ports,
}

const SPORT: u8 = 0;
const DPORT: u8 = 1;

const PORTS: &[&str] = &["0", "53", "65535", "1024:2048", ":1023", "1024:", "5:5", "80:79"];

const OPTIONS: &[Opt] = &[
    Opt::value("source-port", SPORT, Kind::PortRange, "port[:port]", "source port").invertible().examples(PORTS),
    Opt::value("sport", SPORT, Kind::PortRange, "port[:port]", "the same").invertible().examples(PORTS),
    Opt::value("destination-port", DPORT, Kind::PortRange, "port[:port]", "destination port")
        .invertible()
        .examples(PORTS),
    Opt::value("dport", DPORT, Kind::PortRange, "port[:port]", "the same").invertible().examples(PORTS),
];

/// Bits of `invflags` (`XT_UDP_INV_*`).
const INV_SRC: u8 = 1;
const INV_DST: u8 = 2;

impl Extension for Udp {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        implied_by: &[UDP],
        sample: "-p udp",
        late: true,
        limits: &[Limit::protocols(&[UDP])],
        ..Spec::new("udp", 0, "matches the ports of UDP")
    };

    fn new(_: Family) -> Self {
        Self { src: Ports::ANY, dst: Ports::ANY }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let (min, max) = given.ports();
        let ports = Ports { min, max, invert: given.negated };
        match given.id() {
            SPORT => self.src = ports,
            _ => self.dst = ports,
        }
        Ok(())
    }

    fn finish(&mut self, _: u32, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        if self.is_native() && cx.protocol.is_none_or(|(p, _)| p != UDP) {
            return Err(usage!("UDP match requires '-p udp'"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.src.plain().save("sport", out);
        self.dst.plain().save("dport", out);
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(" udp");
        self.src.plain().list("sp", UDP, out, cx);
        self.dst.plain().list("dp", UDP, out, cx);
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let begin = out.len();
        // Of the destination stock prints the `!` that the source has.
        let sayable = self.dst.is_any() || self.dst.invert == self.src.invert;
        self.src.translate("udp sport ", begin, out) && self.dst.translate("udp dport ", begin, out) && sayable
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        for ports in [self.src, self.dst] {
            b.u16(ports.min);
            b.u16(ports.max);
        }
        b.u8((u8::from(self.src.invert) * INV_SRC) | (u8::from(self.dst.invert) * INV_DST));
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [s0, s1, s2, s3, d0, d1, d2, d3, inv, ..] = *info else { return None };
        let port = |a, b| u16::from_ne_bytes([a, b]);
        Some(Self {
            src: Ports { min: port(s0, s1), max: port(s2, s3), invert: inv & INV_SRC != 0 },
            dst: Ports { min: port(d0, d1), max: port(d2, d3), invert: inv & INV_DST != 0 },
        })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        x.whole(NFT_PAYLOAD_TRANSPORT_HEADER, 8);
        ports::native(self.src, self.dst, x);
        true
    }
}

impl Udp {
    /// Whether it is written as native conditions.
    fn is_native(&self) -> bool {
        !self.src.is_any() || !self.dst.is_any()
    }

    /// The match of the rule that a native condition may complete: the last of its kind, if nothing with a side effect stands behind it.
    fn last(body: &mut Body) -> Option<&mut Self> {
        let behind = body.matches.iter_mut().rev().take_while(|m| !m.spec().stateful);
        let last = behind.into_iter().find_map(|m| match m {
            Match::Udp(udp) => Some(udp),
            _ => None,
        });
        last.filter(|udp| udp.is_native())
    }

    fn raise_port(body: &mut Body, side: Side, ports: Ports, op: u32) {
        if let Some(udp) = Self::last(body) {
            let slot = if side == Side::Source { &mut udp.src } else { &mut udp.dst };
            if slot.add(ports, op) {
                return;
            }
        }
        let nothing_new = ports.is_any() && matches!(body.matches.last(), Some(Match::Udp(_)));
        if nothing_new {
            return;
        }
        let mut udp = Self::new(Family::V4);
        *(if side == Side::Source { &mut udp.src } else { &mut udp.dst }) = ports;
        body.matches.push(Match::Udp(udp));
    }
}

impl MatchExt for Udp {
    fn encode(&self, family: Family, x: &mut ExprWriter<'_>) {
        if self.is_native() {
            ports::encode(self.src, self.dst, x);
        } else {
            x.xt_match("udp", 0, |b| self.blob(family, b));
        }
    }

    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let (Item::Cond(cond), Some((UDP, not))) = (item, body.base.protocol) else { return false };
        let [first, second] = ports::decode(cond);
        // A bare `-m udp` cannot stand behind `! -p udp`: it is an xt match, which insists on its protocol.
        if not && [first, second].into_iter().flatten().any(|(_, ports, _)| ports.is_any()) {
            return false;
        }
        for (side, ports, op) in [first, second].into_iter().flatten() {
            Self::raise_port(body, side, ports, op);
        }
        first.is_some()
    }

    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        if self.is_native() {
            let transport = packet.transport_as_loaded();
            return Tri::from(self.src.at(0, transport) && self.dst.at(2, transport));
        }
        if packet.is_fragment_tail() {
            return Tri::False;
        }
        env.hotdrop = packet.udp().is_none();
        Tri::from(!env.hotdrop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{TCP, UDP, error, read, row};
    use crate::packet::build::{Ipv6, Raw, Udp as Datagram};
    use crate::types::Family::{V4, V6};

    fn udp(arguments: &str, wire: &str, list: &str) {
        for family in [V4, V6] {
            row(family, UDP, &format!("udp{arguments}"), arguments, list, wire);
        }
    }

    #[test]
    fn what_stock_writes_and_prints() {
        udp("", "match udp 0 0000ffff0000ffff0000000000000000", " udp");
        udp(" --sport 2 --dport 1", "th+0,4; == 00020001", " udp spt:2 dpt:1");
        udp(" ! --sport 80:90 --dport 0:9", "th+0,2; !range 0050..005a; th+2,2; <= 0009", " udp spts:!80:90 dpts:0:9");
        udp(
            " --sport 9:8 ! --dport 5:0",
            "th+0,2; range 0009..0008; th+2,2; !range 0005..0000",
            " udp spts:9:8 dpts:!5:0",
        );
        udp(" ! --dport 0:65535", "th+2,2; !range 0000..ffff", " udp dpts:!0:65535");
        assert_eq!(read(V4, UDP, "udp --dport domain").unwrap().list(false), " udp dpt:domain");
        assert_eq!(read(V4, UDP, "udp --dport ssh").unwrap().list(false), " udp dpt:22");
        assert_eq!(read(V4, UDP, "udp --dport ").unwrap().save(), " --dport 0");
        assert_eq!(read(V4, UDP, "udp ! --sport :90").unwrap().save(), " --sport 91:65535");
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (line, text) in [
            ("udp --dport abc", "Port \"abc\" does not resolve to anything.\n"),
            ("udp --dport 70000", "Port \"70000\" does not resolve to anything.\n"),
            ("udp --dport 1:2:3", "udp: Too many components for option \"--destination-port\" (max: 2)\n"),
            ("udp --dport 5 --dport 6", "udp: option \"--destination-port\" can only be used once.\n"),
        ] {
            assert_eq!(error(V4, UDP, line), text, "{line}");
        }
        assert_eq!(error(V4, TCP, "udp --dport 5"), "UDP match requires '-p udp'");
        assert_eq!(error(V4, TCP, "udp"), "taken as");
    }

    #[test]
    fn packets() {
        let query = Ipv6::default() / Datagram { src_port: 4000, dst_port: 53, ..Datagram::default() };
        assert_eq!(read(V6, UDP, "udp --dport 53 ! --sport :1023").unwrap().judge(&query), (Tri::True, false));
        assert_eq!(read(V6, UDP, "udp --dport 80:50").unwrap().judge(&query), (Tri::False, false));
        let short = Ipv6::default() / Raw { protocol: 17, payload: vec![0, 53, 0] };
        assert_eq!(read(V6, UDP, "udp --sport 53").unwrap().judge(&short), (Tri::True, false));
        assert_eq!(read(V6, UDP, "udp").unwrap().judge(&short), (Tri::False, true));
    }
}
