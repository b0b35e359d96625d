//! `-j QUEUE`: hands the packet to a program in user space. No kernel of today has it: see `NFQUEUE`.
//!
//! # Options
//! None.
//! # Wire
//! xt `QUEUE` revision 0 with 8 zero bytes, as stock tries it; the kernel answers ENOENT.
//! Native: `queue` number 0, which is what it was.
//! # Evaluates
//! The packet is queued.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables(8), TARGETS; fact sheet 2.2, 3.3.

use crate::ext::options::{Given, UsageError};
use crate::ext::{Effect, Extension, NativeCx, ParseCx, PrintCx, Queues, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::wire::{BlobWriter, ExprWriter};

/// There is nothing to say about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Queue;

impl Extension for Queue {
    const SPEC: Spec = Spec::new("QUEUE", 0, "hands the packet to a program (no kernel has it any more; see NFQUEUE)");

    fn new(_: Family) -> Self {
        Self
    }

    fn set(&mut self, _: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        Ok(())
    }

    fn save(&self, _: &mut Out, _: &PrintCx<'_>) {}

    fn list(&self, _: &mut Out, _: &PrintCx<'_>) {}

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.zeros(8);
    }

    fn decode(_: &[u8], _: Family) -> Option<Self> {
        Some(Self)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        x.queue(0, 1, 0);
        true
    }
}

impl TargetExt for Queue {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Queue(Queues { first: 0, count: 1, bypass: false })
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::row;
    use crate::types::Family::{V4, V6};

    #[test]
    fn the_bytes_that_stock_tries() {
        row(V4, None, "QUEUE", "", "", "0000000000000000");
        row(V6, None, "QUEUE", "", "", "0000000000000000");
    }
}
