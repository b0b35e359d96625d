//! `-m cpu`: the processor that handles the packet.
//!
//! # Matches
//! Packets that this processor handles, counted from 0; `!` those that another one handles.
//! # Options
//! `[!] --cpu N`, u32.
//! # Wire
//! xt `cpu` revision 0: `struct xt_cpu_info { u32 cpu, invert; }`, host order.
//! Native: `meta load cpu`, `cmp eq|neq`.
//! # Evaluates
//! Unknown if the packet's processor is not known.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "cpu"; `linux/netfilter/xt_cpu.h`.

use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::wire::consts::NFT_META_CPU;
use crate::wire::{BlobWriter, ExprWriter};

/// The number of a processor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cpu {
    cpu: u32,
    invert: bool,
}

const CPU: u8 = 0;

const OPTIONS: &[Opt] = &[Opt::value(
    "cpu",
    CPU,
    Kind::Number { min: 0, max: u32::MAX as u64 },
    "number",
    "number of the processor, from 0",
)
.invertible()
.mandatory()
.examples(&["0", "1", "63", "0x10", "010", "4294967295"])];

impl Extension for Cpu {
    const SPEC: Spec =
        Spec { options: OPTIONS, ..Spec::new("cpu", 0, "matches the processor that handles the packet") };

    fn new(_: Family) -> Self {
        Self { cpu: 0, invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        *self = Self { cpu: given.u32(), invert: given.negated };
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! --cpu " } else { " --cpu " });
        out.dec(u64::from(self.cpu));
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " cpu ! " } else { " cpu " });
        out.dec(u64::from(self.cpu));
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(self.cpu);
        b.u32(u32::from(self.invert));
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [c0, c1, c2, c3, invert, ..] = *info else { return None };
        Some(Self { cpu: u32::from_ne_bytes([c0, c1, c2, c3]), invert: invert != 0 })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        x.meta(NFT_META_CPU);
        x.cmp_eq(self.invert, &self.cpu.to_ne_bytes());
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str(if self.invert { "cpu != " } else { "cpu " });
        out.dec(u64::from(self.cpu));
        true
    }
}

impl MatchExt for Cpu {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        packet.meta.cpu.map_or(Tri::Unknown, |cpu| Tri::from(cpu == self.cpu).xor(self.invert))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            row(family, None, "cpu --cpu 0x10", " --cpu 16", " cpu 16", "match cpu 0 1000000000000000");
            let inverted = " ! --cpu 4294967295";
            row(family, None, &format!("cpu{inverted}"), inverted, " cpu ! 4294967295", "match cpu 0 ffffffff01000000");
        }
        let value = read(V4, None, "cpu ! --cpu 3").unwrap();
        assert_eq!(value.native().unwrap(), "meta 20; != 03000000");
        assert_eq!(value.translation().unwrap(), "cpu != 3");
        assert_eq!(read(V4, None, "cpu --cpu 3").unwrap().translation().unwrap(), "cpu 3");
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let bad = "cpu: bad value for option \"--cpu\", or out of range (0-4294967295).\n";
        for (args, text) in [
            (" --cpu 4294967296", bad),
            (" --cpu -1", bad),
            (" --cpu ", bad),
            (" --cpu x", bad),
            ("", "cpu: option \"--cpu\" must be specified\n"),
            (" --cpu 1 --cpu 2", "cpu: option \"--cpu\" can only be used once.\n"),
        ] {
            assert_eq!(error(V4, None, &format!("cpu{args}")), text, "{args}");
        }
    }

    #[test]
    fn packets() {
        let mut packet = Ipv4::default() / Udp::default();
        let judge = |packet: &Packet, args: &str| read(V4, None, &format!("cpu {args}")).unwrap().matches(packet);
        assert_eq!(judge(&packet, "--cpu 0"), Tri::Unknown);
        packet.meta.cpu = Some(1);
        assert_eq!((judge(&packet, "--cpu 1"), judge(&packet, "! --cpu 1")), (Tri::True, Tri::False));
        assert_eq!(judge(&packet, "--cpu 0"), Tri::False);
    }
}
