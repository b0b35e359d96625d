//! `-j CONNSECMARK`: copies the security mark between packet and connection, if the other side has none yet.
//!
//! # Options
//! `--save` (packet to connection), `--restore` (connection to packet); one of them.
//! # Wire
//! xt `CONNSECMARK` revision 0: `struct xt_connsecmark_target_info { u8 mode; }`, 1 save, 2 restore. Native: the mark that is copied is
//! compared with 0, the other one too, then `ct set secmark` or `meta set secmark`; what a comparison ends has nothing behind it.
//! # Evaluates
//! No match asks for security marks: the walk goes on.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "CONNSECMARK"; `linux/netfilter/xt_CONNSECMARK.h`; measured.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Opt, UsageError, bit};
use crate::ext::{Effect, Extension, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::consts::{NFT_CT_SECMARK, NFT_META_SECMARK, NFT_REG_1};
use crate::wire::{BlobWriter, ExprWriter};

/// Which way the mark goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnSecMark {
    restore: bool,
}

const SAVE: u8 = 0;
const RESTORE: u8 = 1;

const OPTIONS: &[Opt] = &[
    Opt::flag("save", SAVE, "copy the packet's security mark to the connection").excluding(bit(RESTORE)),
    Opt::flag("restore", RESTORE, "copy the connection's security mark to the packet").excluding(bit(SAVE)),
];

impl Extension for ConnSecMark {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@mangle/PREROUTING",
        limits: &[Limit::tables(&["mangle", "security"])],
        ..Spec::new("CONNSECMARK", 0, "copies security marks between packet and connection")
    };

    fn new(_: Family) -> Self {
        Self { restore: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.restore = given.id() == RESTORE;
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen == 0 { Err(usage!("CONNSECMARK target: parameter required")) } else { Ok(()) }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.restore { " --restore" } else { " --save" });
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.restore { " CONNSECMARK restore" } else { " CONNSECMARK save" });
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u8(if self.restore { 2 } else { 1 });
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        match info.first()? {
            1 => Some(Self { restore: false }),
            2 => Some(Self { restore: true }),
            _ => None,
        }
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if self.restore {
            x.meta(NFT_META_SECMARK);
            x.cmp_eq(false, &[0; 4]);
            x.ct(NFT_CT_SECMARK, None);
            x.cmp_eq(true, &[0; 4]);
            x.meta_set(NFT_META_SECMARK, NFT_REG_1);
        } else {
            x.ct(NFT_CT_SECMARK, None);
            x.cmp_eq(false, &[0; 4]);
            x.meta(NFT_META_SECMARK);
            x.cmp_eq(true, &[0; 4]);
            x.ct_set(NFT_CT_SECMARK, None);
        }
        true
    }
}

impl TargetExt for ConnSecMark {
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
            row(family, None, "CONNSECMARK --save", "--save", " CONNSECMARK save", "0100000000000000");
            row(family, None, "CONNSECMARK --restore", "--restore", " CONNSECMARK restore", "0200000000000000");
            let zero = "00000000";
            let save = format!("ct 2=00000004 1=00000001; == {zero}; meta 14; != {zero}; ct 2=00000004 4=00000001");
            ways(family, None, "CONNSECMARK --save", Some(&save), None);
        }
        let together = "CONNSECMARK: option \"--save\" cannot be used together with \"--restore\".\n";
        error(V4, None, "CONNSECMARK --restore --save", together);
        error(V4, None, "CONNSECMARK", "CONNSECMARK target: parameter required");
    }
}
