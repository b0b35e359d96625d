//! `-j TOS`: changes the byte that IPv4 calls TOS and IPv6 traffic class.
//!
//! # Options
//! `--set-tos value[/mask]` (clear the mask's bits, XOR the value) or a name (under the mask 0x3f), `--and-tos`, `--or-tos`, `--xor-tos bits`;
//! one of them.
//! # Wire
//! xt `TOS` revision 1: `struct xt_tos_target_info { u8 tos_value, tos_mask; }`. Native: the two bytes that hold it are loaded, changed and
//! written, in IPv4 with the header's checksum.
//! # Evaluates
//! `byte = (byte & ~mask) ^ value`; the walk goes on.
//! # Differs
//! There is a translation for IPv6 and the mask 0xfc only: stock's changes ECN no more, names the IPv6 header in IPv4 rules, and reads no
//! sum of bits (`dscp set dscp or 0x04`), so that nft does not load it.
//! # Sources
//! iptables-extensions(8) "TOS"; `linux/netfilter/xt_DSCP.h`; measured.

use crate::ext::dscp_values::{TOS_NOTES, rewrite, tos, tos_name};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError, bit};
use crate::ext::{Effect, Extension, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::{BlobWriter, ExprWriter};

/// `byte = (byte & !mask) ^ value`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tos {
    value: u8,
    mask: u8,
}

const SET: u8 = 0;
const AND: u8 = 1;
const OR: u8 = 2;
const XOR: u8 = 3;
const ANY: u32 = bit(SET) | bit(AND) | bit(OR) | bit(XOR);

const BITS: Kind = Kind::Number { min: 0, max: 255 };
const BITS_EXAMPLES: &[&str] = &["0", "1", "0x10", "0xfc", "255"];

const OPTIONS: &[Opt] = &[
    Opt::value(
        "set-tos",
        SET,
        Kind::Raw,
        "value[/mask]",
        "clear the mask's bits and XOR the value; or a name, see below",
    )
    .excluding(ANY)
    .examples(&[
        "0",
        "0x10",
        "255",
        "0x10/0x3f",
        "0/0x3f",
        "0x02/0x3f",
        "5/0x3f",
        "0xff/0",
        "0x10/0x0f",
        "0/0",
        "0x48/0xfc",
        "Minimize-Delay",
        "maximize-throughput",
        "Maximize-Reliability",
        "Minimize-Cost",
        "NORMAL-SERVICE",
    ]),
    Opt::value("and-tos", AND, BITS, "bits", "AND the byte with bits").excluding(ANY).examples(BITS_EXAMPLES),
    Opt::value("or-tos", OR, BITS, "bits", "OR the byte with bits").excluding(ANY).examples(BITS_EXAMPLES),
    Opt::value("xor-tos", XOR, BITS, "bits", "XOR the byte with bits").excluding(ANY).examples(BITS_EXAMPLES),
];

impl Extension for Tos {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@mangle/PREROUTING",
        limits: &[Limit::tables(&["mangle"])],
        notes: |_| TOS_NOTES,
        ..Spec::new("TOS", 1, "changes the TOS byte or traffic class")
    };

    fn new(_: Family) -> Self {
        Self { value: 0, mask: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        (self.value, self.mask) = match given.id() {
            SET => tos(given.bytes())?,
            AND => (0, !given.u8()),
            OR => (given.u8(), given.u8()),
            _ => (given.u8(), 0),
        };
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen == 0 { Err(usage!("TOS: An action is required")) } else { Ok(()) }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, " --set-tos 0x{:02x}/0x{:02x}", self.value, self.mask);
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        let (value, mask) = (self.value, self.mask);
        match (value, mask) {
            _ if cx.numeric => write!(out, " TOS set 0x{value:02x}/0x{mask:02x}"),
            (value, mask) if tos_name(value, mask).is_some() => {
                out.str("  TOS set");
                out.str(tos_name(value, mask).unwrap_or_default());
            }
            (0, mask) => write!(out, " TOS and 0x{:02x}", !mask),
            (value, mask) if value == mask => write!(out, " TOS or 0x{value:02x}"),
            (value, 0) => write!(out, " TOS xor 0x{value:02x}"),
            (value, mask) => write!(out, " TOS set 0x{value:02x}/0x{mask:02x}"),
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u8(self.value);
        b.u8(self.mask);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [value, mask, ..] = *info else { return None };
        Some(Self { value, mask })
    }

    fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        rewrite(cx.family, self.mask, self.value, x);
        true
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        let exact = cx.family == Family::V6 && self.mask == 0xfc && self.value & 3 == 0;
        if exact {
            write!(out, "ip6 dscp set 0x{:02x}", self.value >> 2);
        }
        exact
    }
}

impl TargetExt for Tos {
    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        packet.set_ds_field(packet.ds_field() & !self.mask ^ self.value);
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::Tos;
    use crate::ext::targets::testing::{effect, error, row, ways};
    use crate::ext::{Effect, Extension, PrintCx};
    use crate::packet::build::{Ipv4, Ipv6, Udp};
    use crate::types::Family::{V4, V6};
    use crate::types::{NoNames, Out};

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, save, hex, names) in [
            ("--set-tos 0", "0x00/0xff", "00ff", " TOS and 0x00"),
            ("--set-tos 255", "0xff/0xff", "ffff", " TOS or 0xff"),
            ("--set-tos minimize-DELAY", "0x10/0x3f", "103f", "  TOS setMinimize-Delay"),
            ("--set-tos 0/0x3f", "0x00/0x3f", "003f", "  TOS setNormal-Service"),
            ("--set-tos 5/0x3f", "0x05/0x3f", "053f", " TOS set 0x05/0x3f"),
            ("--set-tos 0xff/0", "0xff/0x00", "ff00", " TOS xor 0xff"),
            ("--and-tos 255", "0x00/0x00", "0000", " TOS and 0xff"),
            ("--and-tos 0x10", "0x00/0xef", "00ef", " TOS and 0x10"),
            ("--or-tos 0x10", "0x10/0x10", "1010", " TOS or 0x10"),
            ("--xor-tos 0x10", "0x10/0x00", "1000", " TOS xor 0x10"),
            ("--set-tos 0x10/0x0f", "0x10/0x0f", "100f", " TOS set 0x10/0x0f"),
        ] {
            for family in [V4, V6] {
                let (save, list) = (format!("--set-tos {save}"), format!(" TOS set {save}"));
                row(family, None, &format!("TOS {words}"), &save, &list, &format!("{hex}000000000000"));
                let info = [0, 2].map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap());
                let mut out = Out::new();
                let cx = PrintCx { family, numeric: false, names: &NoNames, protocol: None };
                Tos::decode(&info, family).unwrap().list(&mut out, &cx);
                assert_eq!(out.as_bytes(), names.as_bytes(), "{words}");
            }
        }
        error(V4, None, "TOS", "TOS: An action is required");
        let range = "TOS: bad value for option \"--and-tos\", or out of range (0-255).\n";
        error(V4, None, "TOS --and-tos 256", range);
        let together = "TOS: option \"--set-tos\" cannot be used together with \"--and-tos\".\n";
        error(V4, None, "TOS --and-tos 1 --set-tos 1", together);
    }

    #[test]
    fn natively_two_bytes_are_rewritten() {
        let v4 = "nh+0,2; & ff00; payload 5=00000001 2=00000001 3=00000000 4=00000002 6=00000001 7=0000000a 8=00000000";
        ways(V4, None, "TOS --set-tos 0x10", Some(v4), None);
        let v6 = "nh+0,2; & f03f; payload 5=00000001 2=00000001 3=00000000 4=00000002 6=00000000 7=00000000 8=00000000";
        ways(V6, None, "TOS --set-tos 0x10/0xfc", Some(v6), Some("ip6 dscp set 0x04"));
    }

    #[test]
    fn the_byte_changes() {
        let mut packet = Ipv4 { tos: 0xf0, ..Ipv4::default() } / Udp::default();
        assert_eq!(effect(V4, None, "TOS --set-tos Minimize-Delay", &mut packet), Effect::Continue);
        assert_eq!(packet.ds_field(), 0xd0);
        effect(V4, None, "TOS --xor-tos 0xff", &mut packet);
        assert_eq!(packet, Ipv4 { tos: 0x2f, ..Ipv4::default() } / Udp::default());
        let mut packet = Ipv6 { traffic_class: 0x81, ..Ipv6::default() } / Udp::default();
        effect(V6, None, "TOS --or-tos 0x18", &mut packet);
        assert_eq!(packet, Ipv6 { traffic_class: 0x99, ..Ipv6::default() } / Udp::default());
    }
}
