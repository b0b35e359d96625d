//! `-j DSCP`: changes the DiffServ codepoint of the IP header.
//!
//! # Options
//! `--set-dscp value` (0 to 63) or `--set-dscp-class class` (EF, BE, CSx, AFxx in any mixture of cases); one of them.
//! # Wire
//! xt `DSCP` revision 0: `struct xt_DSCP_info { u8 dscp; }`. Native: the two bytes that hold it are loaded, changed and written, in IPv4 with
//! the header's checksum.
//! # Evaluates
//! The packet's codepoint is changed, ECN stays; the walk goes on.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "DSCP"; `linux/netfilter/xt_DSCP.h`; RFC 2474 §3; measured.

use crate::ext::dscp_values::{DSCP_CLASS_EXAMPLES, dscp_class, rewrite};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError, bit};
use crate::ext::{Effect, Extension, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::{BlobWriter, ExprWriter};

/// The new codepoint, 0 to 63.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dscp {
    dscp: u8,
}

/// The bits of the codepoint in its byte.
const MASK: u8 = 0xfc;

const VALUE: u8 = 0;
const CLASS: u8 = 1;

const OPTIONS: &[Opt] = &[
    Opt::value("set-dscp", VALUE, Kind::Number { min: 0, max: 63 }, "value", "set the codepoint, 0 to 63")
        .excluding(bit(CLASS))
        .examples(&["0", "1", "5", "0x10", "010", "24", "32", "46", "48", "0x3e", "63"]),
    Opt::value("set-dscp-class", CLASS, Kind::Raw, "class", "set the codepoint of a class: EF, BE, CSx, AFxx")
        .excluding(bit(VALUE))
        .examples(DSCP_CLASS_EXAMPLES),
];

impl Extension for Dscp {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@mangle/PREROUTING",
        limits: &[Limit::tables(&["mangle"])],
        ..Spec::new("DSCP", 0, "sets the DiffServ codepoint")
    };

    fn new(_: Family) -> Self {
        Self { dscp: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.dscp = if given.id() == CLASS { dscp_class(given.bytes())? } else { given.u8() };
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen == 0 { Err(usage!("DSCP target: Parameter --set-dscp is required")) } else { Ok(()) }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, " --set-dscp 0x{:02x}", self.dscp);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, " DSCP set 0x{:02x}", self.dscp);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u8(self.dscp);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        info.first().filter(|dscp| **dscp < 64).map(|dscp| Self { dscp: *dscp })
    }

    fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        rewrite(cx.family, MASK, self.dscp << 2, x);
        true
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        let header = if cx.family == Family::V4 { "ip" } else { "ip6" };
        write!(out, "{header} dscp set 0x{:02x}", self.dscp);
        true
    }
}

impl TargetExt for Dscp {
    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        packet.set_ds_field(packet.ds_field() & !MASK | self.dscp << 2);
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::Effect;
    use crate::ext::targets::testing::{effect, error, row, ways};
    use crate::packet::build::{Ipv4, Ipv6, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, hex) in [
            ("--set-dscp 0", "00"),
            ("--set-dscp 077", "3f"),
            ("--set-dscp-class ef", "2e"),
            ("--set-dscp-class AF43", "26"),
        ] {
            for family in [V4, V6] {
                let (save, list) = (format!("--set-dscp 0x{hex}"), format!(" DSCP set 0x{hex}"));
                row(family, None, &format!("DSCP {words}"), &save, &list, &format!("{hex}00000000000000"));
            }
        }
        error(V4, None, "DSCP", "DSCP target: Parameter --set-dscp is required");
        error(V4, None, "DSCP --set-dscp-class CS8", "Invalid DSCP value `CS8'");
        let range = "DSCP: bad value for option \"--set-dscp\", or out of range (0-63).\n";
        error(V4, None, "DSCP --set-dscp 64", range);
        let together = "DSCP: option \"--set-dscp\" cannot be used together with \"--set-dscp-class\".\n";
        error(V4, None, "DSCP --set-dscp-class EF --set-dscp 1", together);
    }

    #[test]
    fn natively_two_bytes_are_rewritten() {
        let v4 = "nh+0,2; & ff03; payload 5=00000001 2=00000001 3=00000000 4=00000002 6=00000001 7=0000000a 8=00000000";
        ways(V4, None, "DSCP --set-dscp 0x2e", Some(v4), Some("ip dscp set 0x2e"));
        let v6 = "nh+0,2; & f03f; payload 5=00000001 2=00000001 3=00000000 4=00000002 6=00000000 7=00000000 8=00000000";
        ways(V6, None, "DSCP --set-dscp 1", Some(v6), Some("ip6 dscp set 0x01"));
    }

    #[test]
    fn the_codepoint_changes_and_ecn_stays() {
        let mut packet = Ipv4 { tos: 0xff, ..Ipv4::default() } / Udp::default();
        assert_eq!(effect(V4, None, "DSCP --set-dscp 1", &mut packet), Effect::Continue);
        assert_eq!(packet, Ipv4 { tos: 0x07, ..Ipv4::default() } / Udp::default());
        let mut packet = Ipv6 { traffic_class: 2, ..Ipv6::default() } / Udp::default();
        effect(V6, None, "DSCP --set-dscp-class EF", &mut packet);
        assert_eq!(packet.ds_field(), 0xba);
    }
}
