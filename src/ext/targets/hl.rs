//! `-j HL`: changes the hop limit of an IPv6 packet.
//!
//! # Options
//! `--hl-set value` (0 to 255), `--hl-dec value`, `--hl-inc value` (1 to 255); one of them.
//! # Wire
//! xt `HL` revision 0; see [`super::hops`]. Native: `--hl-set` only, because nf_tables cannot add.
//! # Evaluates
//! The number is changed, as far as 0 and 255; the walk goes on.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "HL"; `linux/netfilter_ipv6/ip6t_HL.h`; measured.

use super::hops::{ANY, DEC, Hops, INC, SET, SET_EXAMPLES, STEP_EXAMPLES};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Effect, Extension, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::wire::{BlobWriter, ExprWriter};

/// What is done to the hop limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hl(Hops);

const STEP: Kind = Kind::Number { min: 1, max: 255 };

const OPTIONS: &[Opt] = &[
    Opt::value("hl-set", SET, Kind::Number { min: 0, max: 255 }, "value", "set the hop limit to this value")
        .excluding(ANY)
        .examples(SET_EXAMPLES),
    Opt::value("hl-dec", DEC, STEP, "value", "lower the hop limit by this value")
        .excluding(ANY)
        .examples(STEP_EXAMPLES),
    Opt::value("hl-inc", INC, STEP, "value", "raise the hop limit by this value")
        .excluding(ANY)
        .examples(STEP_EXAMPLES),
];

impl Extension for Hl {
    const SPEC: Spec = Spec {
        families: &[Family::V6],
        options: OPTIONS,
        sample: "@mangle/PREROUTING",
        limits: &[Limit::tables(&["mangle"])],
        ..Spec::new("HL", 0, "changes the hop limit")
    };

    fn new(_: Family) -> Self {
        Self(Hops::default())
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0.set(given);
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        Hops::finish("HL", seen)
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.save("hl", out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.list("HL", out);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        self.0.blob(b);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        Hops::decode(info).map(Self)
    }

    fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        self.0.native(cx.family, x)
    }
}

impl TargetExt for Hl {
    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        self.0.apply(packet);
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{effect, error, row, ways};
    use crate::packet::build::{Ipv6, Udp};
    use crate::types::Family::V6;

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, list, hex) in [
            ("--hl-set 0", "set to 0", "0000"),
            ("--hl-set 0x40", "set to 64", "0040"),
            ("--hl-dec 255", "decrement by 255", "02ff"),
            ("--hl-inc 1", "increment by 1", "0101"),
        ] {
            let save = words.replace("0x40", "64");
            let (words, list) = (format!("HL {words}"), format!(" HL {list}"));
            row(V6, None, &words, &save, &list, &format!("{hex}000000000000"));
        }
        error(V6, None, "HL", "HL: You must specify an action");
        let range = |name, min| format!("HL: bad value for option \"--hl-{name}\", or out of range ({min}-255).\n");
        error(V6, None, "HL --hl-set 256", &range("set", 0));
        error(V6, None, "HL --hl-dec 0", &range("dec", 1));
        error(V6, None, "HL --hl-inc x", &range("inc", 1));
        let together = "HL: option \"--hl-dec\" cannot be used together with \"--hl-inc\".\n";
        error(V6, None, "HL --hl-inc 1 --hl-dec 1", together);
    }

    #[test]
    fn the_number_changes() {
        let mut packet = Ipv6 { hop_limit: 10, ..Ipv6::default() } / Udp::default();
        for (words, hops) in
            [("--hl-inc 5", 15), ("--hl-inc 250", 255), ("--hl-dec 5", 250), ("--hl-set 3", 3), ("--hl-dec 4", 0)]
        {
            effect(V6, None, &format!("HL {words}"), &mut packet);
            assert_eq!(packet.hops(), hops, "{words}");
        }
    }

    #[test]
    fn natively_it_is_set() {
        let native = "Immediate { dreg: 1, data: [3] }; payload 5=00000001 2=00000001 3=00000007 4=00000001 6=00000000 7=00000000 8=00000000";
        ways(V6, None, "HL --hl-set 3", Some(native), None);
        ways(V6, None, "HL --hl-inc 3", None, None);
    }
}
