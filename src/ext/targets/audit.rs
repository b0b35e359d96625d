//! `-j AUDIT`: writes a record about the packet to the audit system.
//!
//! # Options
//! `--type accept|drop|reject`, in any mixture of cases.
//! # Wire
//! xt `AUDIT` revision 0: `struct xt_audit_info { u8 type; }`. Native: `log` with the level of auditd. Kernels since 4.13 write the same
//! record whatever the type.
//! # Evaluates
//! The packet is logged; the walk goes on.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "AUDIT"; `linux/netfilter/xt_AUDIT.h`; nft(8) LOG STATEMENT; measured.

use crate::ext::options::{Given, Kind, Opt, UsageError, usage_bytes};
use crate::ext::{Effect, Extension, LogSink, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::wire::{BlobWriter, ExprWriter};

/// What the rules did with the packet: the number of its name in [`TYPES`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Audit {
    ty: u8,
}

/// The names in the order of `XT_AUDIT_TYPE_*`.
const TYPES: [&str; 3] = ["accept", "drop", "reject"];

/// `NFT_LOGLEVEL_AUDIT`.
const LEVEL: u32 = 8;

const TYPE: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("type", TYPE, Kind::Raw, "type", "what was done with the packet: accept, drop, reject")
        .mandatory()
        .examples(&["accept", "drop", "reject", "Drop", "REJECT"])];

impl Extension for Audit {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("AUDIT", 0, "writes an audit record about the packet") };

    fn new(_: Family) -> Self {
        Self { ty: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let named = (0..).zip(TYPES).find(|(_, name)| name.as_bytes().eq_ignore_ascii_case(given.bytes()));
        let bad = || usage_bytes("Bad action type value \"", given.bytes(), "\"");
        self.ty = named.map(|(number, _)| number).ok_or_else(bad)?;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" --type ");
        out.str(self.name());
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" AUDIT ");
        out.str(self.name());
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u8(self.ty);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let ty = *info.first()?;
        TYPES.get(usize::from(ty)).map(|_| Self { ty })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        x.syslog(None, LEVEL, 0);
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str("log level audit");
        true
    }
}

impl Audit {
    fn name(&self) -> &'static str {
        TYPES.get(usize::from(self.ty)).copied().unwrap_or_default()
    }
}

impl TargetExt for Audit {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Log { prefix: Vec::new(), sink: LogSink::Audit }
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{error, row, ways};
    use crate::types::Family::{V4, V6};

    const NATIVE: &str =
        "Log { group: None, prefix: None, snaplen: None, qthreshold: None, level: Some(8), flags: None }";

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            for (word, name, byte) in [("ACCEPT", "accept", "00"), ("drop", "drop", "01"), ("Reject", "reject", "02")] {
                let (save, list) = (format!("--type {name}"), format!(" AUDIT {name}"));
                row(family, None, &format!("AUDIT --type {word}"), &save, &list, &format!("{byte}00000000000000"));
            }
            ways(family, None, "AUDIT --type drop", Some(NATIVE), Some("log level audit"));
        }
        error(V4, None, "AUDIT --type foo", "Bad action type value \"foo\"");
        error(V4, None, "AUDIT", "AUDIT: option \"--type\" must be specified\n");
    }
}
