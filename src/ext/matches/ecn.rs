//! `-m ecn`: the bits of Explicit Congestion Notification in the IP and the TCP header.
//!
//! # Matches
//! Packets with a codepoint in the lower two bits of the TOS byte or traffic class, and TCP packets with the flags CWR or ECE set (`!`: not
//! set); what is given must all hold. Of fragments behind the first the kernel reads data as a TCP header.
//! # Options
//! `[!] --ecn-tcp-cwr`, `[!] --ecn-tcp-ece` (both only with `-p tcp`), `[!] --ecn-ip-ect 0..3`; at least one.
//! # Wire
//! xt `ecn` revision 0: `struct xt_ecn_info { u8 operation, invert, ip_ect; union { struct { u8 ect; } tcp; } proto; }`, 4 bytes.
//! Native: the fields are loaded, masked and compared; the last word of the TCP header is loaded too, so that a shorter one does not match.
//! # Evaluates
//! Always known. A TCP header that is cut off does not match.
//! # Differs
//! There is no translation of `! --ecn-tcp-…`, of `!` beside another option (stock's asks for something else), nor of `--ecn-ip-ect` in IPv6
//! (stock's does not load).
//! # Sources
//! iptables-extensions(8) "ecn"; `linux/netfilter/xt_ecn.h`; RFC 3168 §5, §6.1.

use super::service::{self, class_of};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::protocol::TCP;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::consts::NFT_PAYLOAD_TRANSPORT_HEADER;
use crate::wire::{BlobWriter, ExprWriter};

/// What is asked for, each with whether it is inverted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ecn {
    ece: Option<bool>,
    cwr: Option<bool>,
    /// The codepoint, 0 to 3.
    ect: Option<(u8, bool)>,
}

const CWR: u8 = 0;
const ECE: u8 = 1;
const ECT: u8 = 2;

/// `XT_ECN_OP_MATCH_*`.
const OP_IP: u8 = 0x01;
const OP_ECE: u8 = 0x10;
const OP_CWR: u8 = 0x20;

/// Bits of the flags in byte 13 of the TCP header.
const FLAG_ECE: u8 = 0x40;
const FLAG_CWR: u8 = 0x80;
const TCP_HEADER_LEN: usize = 20;

const OPTIONS: &[Opt] = &[
    Opt::flag("ecn-tcp-cwr", CWR, "the TCP flag CWR is set").invertible(),
    Opt::flag("ecn-tcp-ece", ECE, "the TCP flag ECE is set").invertible(),
    Opt::value("ecn-ip-ect", ECT, Kind::Number { min: 0, max: 3 }, "0..3", "ECN codepoint of the IP header")
        .invertible()
        .examples(&["0", "1", "2", "3", "0x3"]),
];

impl Extension for Ecn {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "-p tcp",
        limits: &[Limit::protocols(&[TCP]).with("--ecn-tcp-ece"), Limit::protocols(&[TCP]).with("--ecn-tcp-cwr")],
        ..Spec::new("ecn", 0, "matches the ECN bits of IP and TCP")
    };

    fn new(_: Family) -> Self {
        Self::default()
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            CWR => self.cwr = Some(given.negated),
            ECE => self.ece = Some(given.negated),
            _ => self.ect = Some((given.u8(), given.negated)),
        }
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen == 0 { Err(usage!("ECN match: some option required")) } else { Ok(()) }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        for (flag, name) in [(self.ece, "ece"), (self.cwr, "cwr")] {
            if let Some(not) = flag {
                write!(out, "{} --ecn-tcp-{name}", if not { " !" } else { "" });
            }
        }
        if let Some((ect, not)) = self.ect {
            write!(out, "{} --ecn-ip-ect {ect}", if not { " !" } else { "" });
        }
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" ECN match");
        for (flag, name) in [(self.ece, "ECE"), (self.cwr, "CWR")] {
            if let Some(not) = flag {
                write!(out, " {}{name}", if not { "!" } else { "" });
            }
        }
        if let Some((ect, not)) = self.ect {
            write!(out, " {}ECT={ect}", if not { "!" } else { "" });
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        let asked = [(OP_ECE, self.ece), (OP_CWR, self.cwr), (OP_IP, self.ect.map(|(_, not)| not))];
        let bits = |want: fn(bool) -> bool| {
            asked.iter().filter(|(_, not)| not.is_some_and(want)).fold(0, |bits, (op, _)| bits | op)
        };
        b.bytes(&[bits(|_| true), bits(|not| not), self.ect.map_or(0, |(ect, _)| ect), 0]);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [operation, invert, ect, ..] = *info else { return None };
        let asked = |op: u8| (operation & op != 0).then_some(invert & op != 0);
        let ecn = Self { ece: asked(OP_ECE), cwr: asked(OP_CWR), ect: asked(OP_IP).map(|not| (ect, not)) };
        (ect <= 3 && ecn != Self::default()).then_some(ecn)
    }

    fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if let Some((ect, not)) = self.ect {
            service::native(cx.family, ect, 3, not, x);
        }
        if let Some((mask, value)) = self.flags() {
            x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 16, 4);
            x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1);
            x.mask(&[mask]);
            x.cmp_eq(false, &[value]);
        }
        true
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        let inverted = self.ece == Some(true) || self.cwr == Some(true);
        let mixed = self.ect.is_some_and(|(_, not)| not) && self.flags().is_some();
        if inverted || mixed || (self.ect.is_some() && cx.family == Family::V6) {
            return false;
        }
        let mut words = Vec::new();
        words.extend(self.ece.map(|_| "tcp flags ecn".to_owned()));
        words.extend(self.cwr.map(|_| "tcp flags cwr".to_owned()));
        words.extend(self.ect.map(|(ect, not)| {
            let name = ["not-ect", "ect1", "ect0", "ce"].get(usize::from(ect)).unwrap_or(&"ce");
            format!("ip ecn {}{name}", if not { "!= " } else { "" })
        }));
        out.str(&words.join(" "));
        true
    }
}

impl Ecn {
    /// The TCP flags that are asked for, and those of them that must be set; `None` if there are none.
    fn flags(&self) -> Option<(u8, u8)> {
        let flag = |asked: Option<bool>, bit: u8| asked.map_or((0, 0), |not| (bit, if not { 0 } else { bit }));
        let (ece, cwr) = (flag(self.ece, FLAG_ECE), flag(self.cwr, FLAG_CWR));
        let both = (ece.0 | cwr.0, ece.1 | cwr.1);
        (both.0 != 0).then_some(both)
    }
}

impl MatchExt for Ecn {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let ip = self.ect.is_none_or(|(ect, not)| (class_of(packet) & 3 == ect) != not);
        let tcp = self.flags().is_none_or(|(mask, value)| {
            let header = packet.transport_as_loaded().filter(|h| h.len() >= TCP_HEADER_LEN);
            header.and_then(|h| h.get(13)).is_some_and(|flags| flags & mask == value)
        });
        Tri::from(ip && tcp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{TCP, error, read, row};
    use crate::packet::build::{Ipv4, Ipv6, Raw, Tcp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            for (args, save, info, list) in [
                (" --ecn-ip-ect 0x1", " --ecn-ip-ect 1", "0100010000000000", " ECN match ECT=1"),
                (" ! --ecn-tcp-cwr", " ! --ecn-tcp-cwr", "2020000000000000", " ECN match !CWR"),
                (
                    " ! --ecn-tcp-cwr --ecn-tcp-ece",
                    " --ecn-tcp-ece ! --ecn-tcp-cwr",
                    "3020000000000000",
                    " ECN match ECE !CWR",
                ),
                (
                    " ! --ecn-ip-ect 2 --ecn-tcp-cwr ! --ecn-tcp-ece",
                    " ! --ecn-tcp-ece --ecn-tcp-cwr ! --ecn-ip-ect 2",
                    "3111020000000000",
                    " ECN match !ECE CWR !ECT=2",
                ),
            ] {
                row(family, TCP, &format!("ecn{args}"), save, list, &format!("match ecn 0 {info}"));
            }
        }
        assert_eq!(error(V4, TCP, "ecn"), "ECN match: some option required");
        let text = "ecn: bad value for option \"--ecn-ip-ect\", or out of range (0-3).\n";
        assert_eq!(error(V4, TCP, "ecn --ecn-ip-ect 4"), text);
    }

    #[test]
    fn native_expressions_and_nfts_words() {
        for (family, args, wire, words) in [
            (V4, "--ecn-ip-ect 1", "nh+1,1; & 03; == 01", Some("ip ecn ect1")),
            (V4, "! --ecn-ip-ect 3", "nh+1,1; & 03; != 03", Some("ip ecn != ce")),
            (V6, "--ecn-ip-ect 2", "nh+0,2; & 0030; == 0020", None),
            (V6, "--ecn-tcp-cwr", "th+16,4; th+13,1; & 80; == 80", Some("tcp flags cwr")),
            (V4, "--ecn-tcp-ece --ecn-tcp-cwr", "th+16,4; th+13,1; & c0; == c0", Some("tcp flags ecn tcp flags cwr")),
            (V4, "! --ecn-tcp-ece --ecn-tcp-cwr", "th+16,4; th+13,1; & c0; == 80", None),
        ] {
            let read = read(family, TCP, &format!("ecn {args}")).unwrap();
            assert_eq!((read.native().as_deref(), read.translation().as_deref()), (Some(wire), words), "{args}");
        }
    }

    #[test]
    fn packets() {
        let segment = |flags| Ipv6 { traffic_class: 2, ..Ipv6::default() } / Tcp { flags, ..Tcp::default() };
        let judge = |args: &str, packet: &Packet| read(V6, TCP, &format!("ecn {args}")).unwrap().judge(packet);
        assert_eq!(judge("--ecn-ip-ect 2 --ecn-tcp-ece", &segment(0x42)), (Tri::True, false));
        assert_eq!(judge("--ecn-tcp-ece --ecn-tcp-cwr", &segment(0x42)), (Tri::False, false));
        assert_eq!(judge("--ecn-tcp-ece ! --ecn-tcp-cwr", &segment(0x42)), (Tri::True, false));
        assert_eq!(judge("! --ecn-ip-ect 2", &segment(0xc2)), (Tri::False, false));
        let short = Ipv4::default() / Raw { protocol: 6, payload: vec![0xff; 19] };
        assert_eq!(read(V4, TCP, "ecn --ecn-tcp-ece").unwrap().judge(&short), (Tri::False, false));
        let tail = Ipv4 { fragment_offset: 8, ..Ipv4::default() } / Raw { protocol: 6, payload: vec![0xff; 20] };
        assert_eq!(read(V4, TCP, "ecn --ecn-tcp-ece").unwrap().judge(&tail), (Tri::True, false));
    }
}
