//! `-j TTL`: changes the time to live of an IPv4 packet.
//!
//! # Options
//! `--ttl-set value` (0 to 255), `--ttl-dec value`, `--ttl-inc value` (1 to 255); one of them.
//! # Wire
//! xt `TTL` revision 0; see [`super::hops`]. Native: `--ttl-set` only, because nf_tables cannot add.
//! # Evaluates
//! The number is changed, as far as 0 and 255; the walk goes on.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "TTL"; `linux/netfilter_ipv4/ipt_TTL.h`; measured.

use super::hops::{ANY, DEC, Hops, INC, SET, SET_EXAMPLES, STEP_EXAMPLES};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Effect, Extension, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::wire::{BlobWriter, ExprWriter};

/// What is done to the time to live.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ttl(Hops);

const STEP: Kind = Kind::Number { min: 1, max: 255 };

const OPTIONS: &[Opt] = &[
    Opt::value("ttl-set", SET, Kind::Number { min: 0, max: 255 }, "value", "set the time to live to this value")
        .excluding(ANY)
        .examples(SET_EXAMPLES),
    Opt::value("ttl-dec", DEC, STEP, "value", "lower the time to live by this value")
        .excluding(ANY)
        .examples(STEP_EXAMPLES),
    Opt::value("ttl-inc", INC, STEP, "value", "raise the time to live by this value")
        .excluding(ANY)
        .examples(STEP_EXAMPLES),
];

impl Extension for Ttl {
    const SPEC: Spec = Spec {
        families: &[Family::V4],
        options: OPTIONS,
        sample: "@mangle/PREROUTING",
        limits: &[Limit::tables(&["mangle"])],
        ..Spec::new("TTL", 0, "changes the time to live")
    };

    fn new(_: Family) -> Self {
        Self(Hops::default())
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0.set(given);
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        Hops::finish("TTL", seen)
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.save("ttl", out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.list("TTL", out);
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

impl TargetExt for Ttl {
    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        self.0.apply(packet);
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{effect, error, row, ways};
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::V4;

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, list, hex) in [
            ("--ttl-set 0", "set to 0", "0000"),
            ("--ttl-set 0x40", "set to 64", "0040"),
            ("--ttl-dec 255", "decrement by 255", "02ff"),
            ("--ttl-inc 1", "increment by 1", "0101"),
        ] {
            let save = words.replace("0x40", "64");
            let (words, list) = (format!("TTL {words}"), format!(" TTL {list}"));
            row(V4, None, &words, &save, &list, &format!("{hex}000000000000"));
        }
        error(V4, None, "TTL", "TTL: You must specify an action");
        let range = |name, min| format!("TTL: bad value for option \"--ttl-{name}\", or out of range ({min}-255).\n");
        error(V4, None, "TTL --ttl-set 256", &range("set", 0));
        error(V4, None, "TTL --ttl-dec 0", &range("dec", 1));
        error(V4, None, "TTL --ttl-inc x", &range("inc", 1));
        let together = "TTL: option \"--ttl-dec\" cannot be used together with \"--ttl-inc\".\n";
        error(V4, None, "TTL --ttl-inc 1 --ttl-dec 1", together);
    }

    #[test]
    fn the_number_changes() {
        let mut packet = Ipv4 { ttl: 10, ..Ipv4::default() } / Udp::default();
        for (words, hops) in
            [("--ttl-inc 5", 15), ("--ttl-inc 250", 255), ("--ttl-dec 5", 250), ("--ttl-set 3", 3), ("--ttl-dec 4", 0)]
        {
            effect(V4, None, &format!("TTL {words}"), &mut packet);
            assert_eq!(packet.hops(), hops, "{words}");
        }
    }

    #[test]
    fn natively_it_is_set() {
        let native =
            "nh+8,2; & 00ff; payload 5=00000001 2=00000001 3=00000008 4=00000002 6=00000001 7=0000000a 8=00000000";
        ways(V4, None, "TTL --ttl-set 3", Some(native), None);
        ways(V4, None, "TTL --ttl-inc 3", None, None);
    }
}
