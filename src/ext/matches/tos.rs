//! `-m tos`: the TOS byte (IPv4) or the traffic class (IPv6).
//!
//! # Matches
//! Packets whose byte, ANDed with the mask, equals the value; `!` those where it does not. The value is not masked.
//! # Options
//! `[!] --tos value[/mask]`, 0 to 255 each, the mask 0xff if it is left out; or a name in any case, which brings the mask 0x3f.
//! # Wire
//! xt `tos` revision 1: `struct xt_tos_match_info { u8 tos_mask, tos_value, invert; }`.
//! Native: the bytes with the field are loaded, masked and compared.
//! # Evaluates
//! Always known.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "tos"; `linux/netfilter/xt_dscp.h`; RFC 791 §3.1.

use super::service::{self, class_of};
use crate::ext::dscp_values::{TOS_NOTES, tos, tos_name};
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::wire::{BlobWriter, ExprWriter};

/// A value and the mask under which the byte is compared with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tos {
    value: u8,
    mask: u8,
    invert: bool,
}

const TOS: u8 = 0;

const EXAMPLES: &[&str] = &[
    "0",
    "0x10",
    "16",
    "255",
    "010",
    "5/0",
    "+9/3",
    "1/1",
    "2/2",
    "4/4",
    "8/8",
    "0x1/0x3",
    "0x2/0x3",
    "0x3/0x3",
    "0xff/0x0f",
    "0x0f/0xff",
    "0xf0/0x0f",
    "0xff/0",
    "0x10/0x3f",
    "0x08/0x3f",
    "0x04/0x3f",
    "0x02/0x3f",
    "0x00/0x3f",
    "0x11/0x3f",
    "0x3f/0x3f",
    "0x10/0x3e",
    "0x00/0xfc",
    "0x04/0xfc",
    "0x20/0xfc",
    "0x28/0xfc",
    "0x30/0xfc",
    "0x38/0xfc",
    "0x40/0xfc",
    "0x48/0xfc",
    "0x50/0xfc",
    "0x58/0xfc",
    "0x60/0xfc",
    "0x68/0xfc",
    "0x70/0xfc",
    "0x78/0xfc",
    "0x80/0xfc",
    "0x88/0xfc",
    "0x90/0xfc",
    "0x98/0xfc",
    "0xa0/0xfc",
    "0xb8/0xfc",
    "0xc0/0xfc",
    "0xe0/0xfc",
    "0xfc/0xfc",
    "32/224",
    "64/224",
    "96/224",
    "128/224",
    "160/224",
    "192/224",
    "224/224",
    "1/255",
    "100/100",
    "170/85",
    "85/170",
    "254/254",
    "127/128",
    "3/252",
    "128/128",
    "64/64",
    "32/32",
    "12",
    "13",
    "0x20",
    "0x28",
    "0x88",
    "0xb8",
    "0xc0",
    "254",
    "077",
    "Minimize-Delay",
    "maximize-throughput",
    "Maximize-Reliability",
    "MINIMIZE-COST",
    "Normal-Service",
];

const OPTIONS: &[Opt] = &[Opt::value("tos", TOS, Kind::Raw, "value[/mask]|name", "value of the byte, or its name")
    .invertible()
    .mandatory()
    .examples(EXAMPLES)];

impl Extension for Tos {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        notes: |_| TOS_NOTES,
        ..Spec::new("tos", 1, "matches the byte of Type of Service or traffic class")
    };

    fn new(_: Family) -> Self {
        Self { value: 0, mask: u8::MAX, invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        (self.value, self.mask) = tos(given.bytes())?;
        self.invert = given.negated;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        let Self { value, mask, invert } = self;
        write!(out, "{} --tos 0x{value:02x}/0x{mask:02x}", if *invert { " !" } else { "" });
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        let Self { value, mask, invert } = *self;
        out.str(if invert { " tos match!" } else { " tos match" });
        match tos_name(value, mask).filter(|_| !cx.numeric) {
            Some(name) => write!(out, " {name}"),
            None => write!(out, "0x{value:02x}/0x{mask:02x}"),
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.bytes(&[self.mask, self.value, u8::from(self.invert)]);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [mask, value, invert, ..] = *info else { return None };
        Some(Self { value, mask, invert: invert != 0 })
    }

    fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        service::native(cx.family, self.value, self.mask, self.invert, x);
        true
    }
}

impl MatchExt for Tos {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::from(class_of(packet) & self.mask == self.value).xor(self.invert)
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
                (" --tos 0", " --tos 0x00/0xff", "ff00000000000000", " tos match0x00/0xff"),
                (" ! --tos 0", " ! --tos 0x00/0xff", "ff00010000000000", " tos match!0x00/0xff"),
                (" --tos 0x3f/0xc0", " --tos 0x3f/0xc0", "c03f000000000000", " tos match0x3f/0xc0"),
                (" --tos minimize-delay", " --tos 0x10/0x3f", "3f10000000000000", " tos match0x10/0x3f"),
            ] {
                row(family, None, &format!("tos{args}"), save, list, &format!("match tos 1 {info}"));
            }
        }
        let list = |args: &str| read(V6, None, &format!("tos {args}")).unwrap().list(false);
        assert_eq!(list("--tos 0x08/0x3f"), " tos match Maximize-Throughput");
        assert_eq!(list("! --tos Normal-Service"), " tos match! Normal-Service");
        assert_eq!(list("--tos 0x08"), " tos match0x08/0xff");
        for (args, text) in [
            ("", "tos: option \"--tos\" must be specified\n"),
            (" --tos 5/256", "Illegal value: \"5/256\""),
            (" --tos normal", "Symbolic name \"normal\" is unknown"),
            (" --tos 1 --tos 2", "tos: option \"--tos\" can only be used once.\n"),
        ] {
            assert_eq!(error(V4, None, &format!("tos{args}")), text, "{args}");
        }
    }

    #[test]
    fn native_expressions_and_packets() {
        let v4 = Ipv4 { tos: 0xab, ..Ipv4::default() } / Udp::default();
        let v6 = Ipv6 { traffic_class: 0xab, ..Ipv6::default() } / Udp::default();
        for (family, packet, args, wire, expected) in [
            (V4, &v4, "--tos 0xab", "nh+1,1; == ab", true),
            (V4, &v4, "! --tos 0x0b/0x0f", "nh+1,1; & 0f; != 0b", false),
            (V4, &v4, "--tos 0xab/0x0f", "nh+1,1; & 0f; == ab", false),
            (V6, &v6, "--tos 0xa0/0xf0", "nh+0,2; & 0f00; == 0a00", true),
            (V6, &v6, "--tos 0xab", "nh+0,2; & 0ff0; == 0ab0", true),
        ] {
            let read = read(family, None, &format!("tos {args}")).unwrap();
            assert_eq!((read.native().as_deref(), read.translation()), (Some(wire), None), "{args}");
            assert_eq!(read.matches(packet), Tri::from(expected), "{args}");
        }
    }
}
