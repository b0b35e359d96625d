//! `-m dscp`: the DiffServ codepoint of the packet.
//!
//! # Matches
//! Packets with a codepoint in the upper six bits of the TOS byte (IPv4) or the traffic class (IPv6); `!` those with another one.
//! # Options
//! `[!] --dscp N`, 0 to 63; `[!] --dscp-class NAME`, BE, EF, AF11 to AF43, CS0 to CS7 in any case. One of the two.
//! # Wire
//! xt `dscp` revision 0: `struct xt_dscp_info { u8 dscp, invert; }`.
//! Native: the bytes with the field are loaded, masked and compared.
//! # Evaluates
//! Always known.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "dscp"; `linux/netfilter/xt_dscp.h`; RFC 2474 §3.

use super::service::{self, class_of};
use crate::ext::dscp_values::{DSCP_CLASS_EXAMPLES, dscp_class};
use crate::ext::options::{Given, Kind, Opt, UsageError, bit};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::{BlobWriter, ExprWriter};

/// The codepoint, 0 to 63.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dscp {
    value: u8,
    invert: bool,
}

const DSCP: u8 = 0;
const CLASS: u8 = 1;

const OPTIONS: &[Opt] = &[
    Opt::value("dscp", DSCP, Kind::Number { min: 0, max: 63 }, "value", "codepoint in decimal or (0x) hexadecimal")
        .invertible()
        .excluding(bit(CLASS))
        .examples(&["0", "1", "0x20", "46", "63", "010", "0x0a"]),
    Opt::value("dscp-class", CLASS, Kind::Raw, "name", "DiffServ class: BE, EF, AFxy or CSx")
        .invertible()
        .examples(DSCP_CLASS_EXAMPLES),
];

impl Extension for Dscp {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("dscp", 0, "matches the DiffServ codepoint") };

    fn new(_: Family) -> Self {
        Self { value: 0, invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.value = if given.id() == CLASS { dscp_class(given.bytes())? } else { given.u8() };
        self.invert = given.negated;
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen == 0 {
            return Err(usage!("DSCP match: Parameter --dscp is required"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, "{} --dscp 0x{:02x}", if self.invert { " !" } else { "" }, self.value);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, " DSCP match {}0x{:02x}", if self.invert { "!" } else { "" }, self.value);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.bytes(&[self.value, u8::from(self.invert)]);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [value @ 0..=63, invert, ..] = *info else { return None };
        Some(Self { value, invert: invert != 0 })
    }

    fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        service::native(cx.family, self.value << 2, 0xfc, self.invert, x);
        true
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        let header = if cx.family == Family::V4 { "ip" } else { "ip6" };
        write!(out, "{header} dscp {}0x{:02x}", if self.invert { "!= " } else { "" }, self.value);
        true
    }
}

impl MatchExt for Dscp {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::from(class_of(packet) >> 2 == self.value).xor(self.invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv4, Ipv6, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            for (args, save, info, list) in [
                (" --dscp 0", " --dscp 0x00", "0000000000000000", " DSCP match 0x00"),
                (" ! --dscp 0x3f", " ! --dscp 0x3f", "3f01000000000000", " DSCP match !0x3f"),
                (" --dscp-class ef", " --dscp 0x2e", "2e00000000000000", " DSCP match 0x2e"),
                (" ! --dscp-class AF11", " ! --dscp 0x0a", "0a01000000000000", " DSCP match !0x0a"),
            ] {
                row(family, None, &format!("dscp{args}"), save, list, &format!("match dscp 0 {info}"));
            }
        }
        assert_eq!(Dscp::decode(&[64, 0], V4), None);
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let both = "dscp: option \"--dscp\" cannot be used together with \"--dscp-class\".\n";
        for (args, text) in [
            ("", "DSCP match: Parameter --dscp is required"),
            (" --dscp 64", "dscp: bad value for option \"--dscp\", or out of range (0-63).\n"),
            (" --dscp-class AF14", "Invalid DSCP value `AF14'"),
            (" --dscp-class EF --dscp-class BE", "dscp: option \"--dscp-class\" can only be used once.\n"),
            (" --dscp-class EF --dscp 5", both),
            (" --dscp 5 --dscp-class EF", both),
        ] {
            assert_eq!(error(V4, None, &format!("dscp{args}")), text, "{args}");
        }
    }

    #[test]
    fn native_expressions_nfts_words_and_packets() {
        let v4 = Ipv4 { tos: 0xbb, ..Ipv4::default() } / Udp::default();
        let v6 = Ipv6 { traffic_class: 0xbb, ..Ipv6::default() } / Udp::default();
        for (family, packet, args, wire, words, expected) in [
            (V4, &v4, "--dscp-class EF", "nh+1,1; & fc; == b8", "ip dscp 0x2e", true),
            (V4, &v4, "! --dscp 1", "nh+1,1; & fc; != 04", "ip dscp != 0x01", true),
            (V6, &v6, "! --dscp 46", "nh+0,2; & 0fc0; != 0b80", "ip6 dscp != 0x2e", false),
        ] {
            let read = read(family, None, &format!("dscp {args}")).unwrap();
            assert_eq!((read.native().as_deref(), read.translation().as_deref()), (Some(wire), Some(words)), "{args}");
            assert_eq!(read.matches(packet), Tri::from(expected), "{args}");
        }
    }
}
