//! `-j TRACE`: makes the kernel report every rule that the packet meets from here on (`nft monitor trace`, `xtables-monitor --trace`).
//!
//! # Options
//! None.
//! # Wire
//! Native: `immediate reg32_01 = 01` (one byte), `meta set nftrace`.
//! # Evaluates
//! Nothing happens to the packet; the walk goes on.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "TRACE"; fact sheet 2.4.

use crate::ext::options::{Given, UsageError};
use crate::ext::{Action, Body, Effect, Extension, ParseCx, PrintCx, Spec, Target, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::wire::cond::Item;
use crate::wire::consts::{NFT_META_NFTRACE, NFT_REG32_01};
use crate::wire::{BlobWriter, ExprWriter};

/// There is nothing to say about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trace;

impl Extension for Trace {
    const SPEC: Spec = Spec::new("TRACE", 0, "marks the packet so that the kernel reports the rules it meets");

    fn new(_: Family) -> Self {
        Self
    }

    fn set(&mut self, _: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        Ok(())
    }

    fn save(&self, _: &mut Out, _: &PrintCx<'_>) {}

    fn list(&self, _: &mut Out, _: &PrintCx<'_>) {}

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str("nftrace set 1");
        true
    }

    fn blob(&self, _: Family, _: &mut BlobWriter<'_>) {}

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        info.is_empty().then_some(Self)
    }
}

impl TargetExt for Trace {
    fn encode(&self, _: Family, x: &mut ExprWriter<'_>) {
        x.immediate(NFT_REG32_01, &[1]);
        x.meta_set(NFT_META_NFTRACE, NFT_REG32_01);
    }

    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let Item::MetaSet { key: NFT_META_NFTRACE, value } = item else { return false };
        if value.u8() != Some(1) || body.action != Action::None {
            return false;
        }
        body.action = Action::Target(Target::Trace(Self));
        true
    }

    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::Target;
    use crate::ext::targets::testing::{encoded, parse, prints, raised};
    use crate::types::Family::{V4, V6};
    use crate::wire::expr::{Expr, Exprs};

    #[test]
    fn it_is_two_native_expressions() {
        for family in [V4, V6] {
            let trace = parse(family, None, "TRACE").unwrap();
            prints(family, &trace, "", "");
            let exprs = encoded(family, &trace);
            let exprs: Vec<_> = Exprs::new(&exprs).map(Result::unwrap).collect();
            assert_eq!(exprs, [Expr::Immediate { dreg: 9, data: &[1] }, Expr::MetaSet { key: 12, sreg: 9 }]);
            assert_eq!(raised(family, &trace), Some(trace));
            assert!(matches!(Target::decode(b"TRACE", 0, &[], family, &mut Vec::new()), Some(Target::Trace(_))));
        }
    }
}
