//! `-j SECMARK`: gives the packet a security context (SELinux, AppArmor, Smack).
//!
//! # Options
//! `--selctx CONTEXT`, cut at 255 bytes.
//! # Wire
//! xt `SECMARK` revision 1: `struct xt_secmark_target_info_v1 { u8 mode; char secctx[256]; u32 secid; }`, mode 1 (`SECMARK_MODE_SEL`); the
//! kernel keeps the id of the context in `secid`. Native: none, because nf_tables takes a context as an object of the table only.
//! # Evaluates
//! No match asks for security marks: the walk goes on.
//! # Differs
//! A context with blanks or quotes is printed in double quotes, as it must be written; stock prints it bare, and cannot read it again.
//! # Sources
//! iptables-extensions(8) "SECMARK"; `linux/netfilter/xt_SECMARK.h`; measured (a kernel without a loaded policy refuses every context).

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::wire::BlobWriter;

/// The context: up to 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecMark {
    context: Box<[u8]>,
}

/// `SECMARK_SECCTX_MAX`: with the NUL.
const MAX: usize = 256;

/// `SECMARK_MODE_SEL`.
const MODE_SEL: u8 = 1;

const SELCTX: u8 = 0;

const OPTIONS: &[Opt] = &[Opt::value("selctx", SELCTX, Kind::Raw, "context", "the security context")
    .mandatory()
    .examples(&["system_u:object_r:ssh_server_packet_t:s0", "system_u:object_r:http_packet_t:s0", "a"])];

impl Extension for SecMark {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@mangle/PREROUTING",
        limits: &[Limit::tables(&["mangle", "security"])],
        ..Spec::new("SECMARK", 1, "gives the packet a security context")
    };

    fn new(_: Family) -> Self {
        Self { context: Box::default() }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.context = given.bytes().get(..MAX - 1).unwrap_or(given.bytes()).into();
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" --selctx");
        out.word(&self.context);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" SECMARK selctx ");
        out.bytes(&self.context);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u8(MODE_SEL);
        b.fixed(&self.context, MAX);
        b.align(4);
        b.u32(0);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let (mode, rest) = info.split_first()?;
        let context = rest.get(..MAX)?;
        let len = context.iter().position(|b| *b == 0)?;
        (*mode == MODE_SEL).then_some(Self { context: context.get(..len)?.into() })
    }

    fn scrub(info: &mut [u8]) {
        let end = info.get(1..=MAX).and_then(|context| context.iter().position(|b| *b == 0));
        if let Some(rest) = end.and_then(|end| info.get_mut(1 + end..)) {
            rest.fill(0);
        }
    }
}

impl TargetExt for SecMark {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{error, row};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes() {
        for family in [V4, V6] {
            row(
                family,
                None,
                "SECMARK --selctx a:b:c",
                "--selctx a:b:c",
                " SECMARK selctx a:b:c",
                &format!("{:0<528}", "01613a623a63"),
            );
            let long = "x".repeat(300);
            let cut = "x".repeat(255);
            row(
                family,
                None,
                &format!("SECMARK --selctx {long}"),
                &format!("--selctx {cut}"),
                &format!(" SECMARK selctx {cut}"),
                &format!("{:0<528}", format!("01{}", "78".repeat(255))),
            );
        }
        error(V4, None, "SECMARK", "SECMARK: option \"--selctx\" must be specified\n");
    }
}
