//! `-j REDIRECT`: rewrites the destination of a connection to this host.
//!
//! # Options
//! `--to-ports port[-port]`, `--random`.
//! # Wire
//! xt `REDIRECT` revision 0; see [`super::nat_range`].
//! Native: `redir`, with the ports in registers.
//! # Evaluates
//! The connection's destination becomes the host's own address.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "REDIRECT"; `linux/netfilter/nf_nat.h`; fact sheet 3.3, 3.4.

use super::nat_range::{Base, Layout, NatRange, flag};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Action, Body, Effect, Extension, NatAddr, NativeCx, ParseCx, PrintCx, Spec, Target, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, Out};
use crate::wire::cond::Item;
use crate::wire::consts::NFTA_REDIR_FLAGS;
use crate::wire::{BlobWriter, Expr, ExprWriter};

/// The ports that may be taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Redirect(NatRange);

const TO: u8 = 0;
const RANDOM: u8 = 1;

const FLAGS: u32 = flag::PORTS | flag::RANDOM;

const OPTIONS: &[Opt] = &[
    Opt::value("to-ports", TO, Kind::Raw, "port[-port]", "the new destination port").examples(&["0", "8080", "80-90"]),
    Opt::flag("random", RANDOM, "choose the port at random"),
];

impl Extension for Redirect {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "-p tcp @nat/PREROUTING",
        limits: &[Limit::tables(&["nat"]).at(&[Hook::Prerouting, Hook::Output])],
        ..Spec::new("REDIRECT", 0, "rewrites the destination address to this host's own")
    };

    fn new(_: Family) -> Self {
        Self(NatRange::default())
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            TO => self.0.set_ports(given.bytes(), Base::Refused, cx)?,
            _ => self.0.modes |= flag::RANDOM,
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        if self.0.ports.is_some() {
            out.str(" --to-ports ");
            self.0.print_ports(out);
        }
        self.0.print_modes(out, "--");
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        if self.0.ports.is_some() {
            out.str(" redir ports ");
            self.0.print_ports(out);
        }
        self.0.print_modes(out, "");
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str("redirect");
        self.0.translate(cx, out)
    }

    fn blob(&self, family: Family, b: &mut BlobWriter<'_>) {
        self.0.blob(Layout::Plain, family, b);
    }

    fn sayable(&self, protocol: Option<(u8, bool)>) -> bool {
        self.0.sayable(protocol)
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        NatRange::decode(info, Layout::Plain, family, FLAGS).map(Self)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        let Some(regs) = self.0.native(x) else { return false };
        x.redir(regs);
        true
    }
}

impl TargetExt for Redirect {
    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let Item::Expr(Expr::Other { name: b"redir", data }) = item else { return false };
        let modes = NatRange::raise_modes(data, NFTA_REDIR_FLAGS).filter(|modes| modes & !(flag::RANDOM) == 0);
        let (Some(modes), Action::None) = (modes, &body.action) else { return false };
        body.action = Action::Target(Target::Redirect(Self(NatRange { modes, ..NatRange::default() })));
        true
    }

    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        self.0.effect(false, NatAddr::Own)
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{TCP, error, row};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        row(V4, None, "REDIRECT --random", "--random", " random", "010000000400000000000000000000000000000000000000");
        row(
            V4,
            TCP,
            "REDIRECT --to-ports 80-80",
            "--to-ports 80",
            " redir ports 80",
            "010000000200000000000000000000000050005000000000",
        );
        row(
            V6,
            TCP,
            "REDIRECT --to-ports 80-90 --random",
            "--to-ports 80-90 --random",
            " redir ports 80-90 random",
            "0600000000000000000000000000000000000000000000000000000000000000000000000050005a",
        );
        let shifted = "Shifted portmap ranges not supported with this kernel";
        error(V4, TCP, "REDIRECT --to-ports 80-90/1", shifted);
        error(V4, TCP, "REDIRECT --to-ports 90-80/1", "Port range `80/1' funky");
    }
}
