//! `-j CHECKSUM`: computes the checksum of a packet whose sender left that to the network card.
//!
//! # Options
//! `--checksum-fill`.
//! # Wire
//! xt `CHECKSUM` revision 0: `struct xt_CHECKSUM_info { u8 operation; }`, operation 1 (`XT_CHECKSUM_OP_FILL`). Native: none, because
//! nf_tables has no expression for it.
//! # Evaluates
//! Packets are taken to have their checksums already: nothing changes, and the walk goes on.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "CHECKSUM"; `linux/netfilter/xt_CHECKSUM.h`; measured.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Opt, UsageError};
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::wire::BlobWriter;

/// There is only one operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checksum;

const FILL: u8 = 0;

/// `XT_CHECKSUM_OP_FILL`.
const OP_FILL: u8 = 1;

const OPTIONS: &[Opt] = &[Opt { required: true, ..Opt::flag("checksum-fill", FILL, "fill in the packet's checksum") }];

impl Extension for Checksum {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@mangle/POSTROUTING",
        limits: &[Limit::tables(&["mangle"])],
        ..Spec::new("CHECKSUM", 0, "fills in a checksum that was left to the network card")
    };

    fn new(_: Family) -> Self {
        Self
    }

    fn set(&mut self, _: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" --checksum-fill");
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" CHECKSUM fill");
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u8(OP_FILL);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        (info.first() == Some(&OP_FILL)).then_some(Self)
    }
}

impl TargetExt for Checksum {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{error, row, ways};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            row(family, None, "CHECKSUM --checksum-fill", "--checksum-fill", " CHECKSUM fill", "0100000000000000");
            ways(family, None, "CHECKSUM --checksum-fill", None, None);
            error(family, None, "CHECKSUM", "CHECKSUM: option \"--checksum-fill\" must be specified\n");
        }
    }
}
