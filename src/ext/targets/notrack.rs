//! `-j NOTRACK`: the packet is not tracked by conntrack; for the raw table. Another word for `-j CT --notrack`.
//!
//! # Options
//! None.
//! # Wire
//! xt `CT` revision 2 with the flags `NOTRACK` and `NOTRACK_ALIAS` and nothing else; see [`super::ct`].
//! Native: `notrack`.
//! # Evaluates
//! The packet becomes untracked; the walk goes on.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "NOTRACK"; `linux/netfilter/xt_CT.h`; fact sheet 3.3.

use super::ct::{FLAG_ALIAS, FLAG_NOTRACK};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, UsageError};
use crate::ext::{Effect, Extension, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Conntrack;
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, Out};
use crate::wire::{BlobWriter, ExprWriter};

/// There is nothing to say about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notrack;

/// Length of `struct xt_ct_target_info_v1` in bytes.
const LEN: usize = 72;

impl Extension for Notrack {
    const SPEC: Spec = Spec {
        wire: "CT",
        sample: "@raw/PREROUTING",
        limits: &[Limit::tables(&["raw"]).at(&[Hook::Prerouting, Hook::Output])],
        ..Spec::new("NOTRACK", 2, "takes the packet out of connection tracking (now CT --notrack)")
    };

    fn new(_: Family) -> Self {
        Self
    }

    fn set(&mut self, _: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        Ok(())
    }

    fn save(&self, _: &mut Out, _: &PrintCx<'_>) {}

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" NOTRACK");
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str("notrack");
        true
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u16(FLAG_NOTRACK | FLAG_ALIAS);
        b.zeros(LEN - 2);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let flags = u16::from_ne_bytes(*info.first_chunk()?);
        (flags == FLAG_NOTRACK | FLAG_ALIAS).then_some(Self)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        x.notrack();
        true
    }
}

impl TargetExt for Notrack {
    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        packet.meta.ct = Some(Conntrack::UNTRACKED);
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::Target;
    use crate::ext::targets::testing::row;
    use crate::types::Family::{V4, V6};

    #[test]
    fn it_is_ct_by_another_name() {
        for family in [V4, V6] {
            row(family, None, "NOTRACK", "", " NOTRACK", &format!("03{:0<142}", ""));
        }
        let mut info = [0u8; 72];
        info[0] = 3;
        info[2] = 5;
        assert_eq!(
            Target::decode(b"CT", 2, &info, V4, &mut Vec::new()),
            None,
            "an alias with a zone is nothing we can say"
        );
    }
}
