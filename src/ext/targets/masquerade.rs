//! `-j MASQUERADE`: rewrites the source of a connection to the address of the outgoing interface.
//!
//! # Options
//! `--to-ports port[-port]`, `--random`, `--random-fully`.
//! # Wire
//! xt `MASQUERADE` revision 0; see [`super::nat_range`].
//! Native: `masq`, with the ports in registers.
//! # Evaluates
//! The connection's source becomes the host's own address.
//! # Differs
//! As in stock, `/base` behind the ports is taken, and its number is lost: `/0` is printed. Unlike in stock, that can be read again.
//! # Sources
//! iptables-extensions(8) "MASQUERADE"; `linux/netfilter/nf_nat.h`; fact sheet 3.3, 3.4.

use super::nat_range::{Base, Layout, NatRange, flag};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Action, Body, Effect, Extension, NatAddr, NativeCx, ParseCx, PrintCx, Spec, Target, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, Out};
use crate::wire::cond::Item;
use crate::wire::consts::NFTA_MASQ_FLAGS;
use crate::wire::{BlobWriter, Expr, ExprWriter};

/// The ports that may be taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Masquerade(NatRange);

const TO: u8 = 0;
const RANDOM: u8 = 1;
const FULLY: u8 = 2;

const FLAGS: u32 = flag::PORTS | flag::RANDOM | flag::FULLY | flag::BASE;

const OPTIONS: &[Opt] = &[
    Opt::value("to-ports", TO, Kind::Raw, "port[-port]", "the source ports to choose from").examples(&[
        "0",
        "1000",
        "1000-2000",
    ]),
    Opt::flag("random", RANDOM, "choose the port at random"),
    Opt::flag("random-fully", FULLY, "choose the port by a better generator of random numbers"),
];

impl Extension for Masquerade {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "-p tcp @nat/POSTROUTING",
        limits: &[Limit::tables(&["nat"]).at(&[Hook::Postrouting])],
        ..Spec::new("MASQUERADE", 0, "rewrites the source address to that of the outgoing interface")
    };

    fn new(_: Family) -> Self {
        Self(NatRange::default())
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0.modes |= match given.id() {
            TO => return self.0.set_ports(given.bytes(), Base::Zeroed, cx),
            RANDOM => flag::RANDOM,
            _ => flag::FULLY,
        };
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
            out.str(" masq ports: ");
            self.0.print_ports(out);
        }
        self.0.print_modes(out, "");
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str("masquerade");
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
        x.masq(regs);
        true
    }
}

impl TargetExt for Masquerade {
    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let Item::Expr(Expr::Other { name: b"masq", data }) = item else { return false };
        let modes =
            NatRange::raise_modes(data, NFTA_MASQ_FLAGS).filter(|modes| modes & !(flag::RANDOM | flag::FULLY) == 0);
        let (Some(modes), Action::None) = (modes, &body.action) else { return false };
        body.action = Action::Target(Target::Masquerade(Self(NatRange { modes, ..NatRange::default() })));
        true
    }

    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        self.0.effect(true, NatAddr::Own)
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{TCP, error, row};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        row(V4, None, "MASQUERADE", "", "", "010000000000000000000000000000000000000000000000");
        row(
            V4,
            TCP,
            "MASQUERADE --random --to-ports 0-10",
            "--to-ports 0-10 --random",
            " masq ports: 0-10 random",
            "010000000600000000000000000000000000000a00000000",
        );
        row(
            V6,
            TCP,
            "MASQUERADE --to-ports 80-90/1 --random-fully",
            "--to-ports 80-90/0 --random-fully",
            " masq ports: 80-90/0 random-fully",
            "3200000000000000000000000000000000000000000000000000000000000000000000000050005a",
        );
        let need = "Need TCP, UDP, SCTP or DCCP with port specification";
        error(V4, None, "MASQUERADE --to-ports x", need);
        error(V6, TCP, "MASQUERADE --to-ports 80:90", "Invalid port:port syntax - use dash");
    }
}
