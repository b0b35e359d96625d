//! `-j DNAT`: rewrites the destination of a connection to a given address.
//!
//! # Options
//! `--to-destination [address[-address]][:port[-port[/base]]]` (needed), `--random`, `--persistent`.
//! # Wire
//! xt `DNAT` revision 2 in both families; see [`super::nat_range`].
//! Native: `nat`, with addresses and ports in registers; not with a base port, for which `nat` has no register.
//! # Evaluates
//! The connection's destination becomes one of the range.
//! # Differs
//! A range of one port with a base is printed so that it can be read: see `nat_range`.
//! # Sources
//! iptables-extensions(8) "DNAT"; `linux/netfilter/nf_nat.h`; fact sheet 3.3, 3.4.

use super::nat_range::{Base, Layout, NatRange, flag};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Effect, Extension, NatAddr, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, Out};
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};

/// The new destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dnat(NatRange);

const TO: u8 = 0;
const RANDOM: u8 = 1;
const PERSISTENT: u8 = 2;

const FLAGS: u32 = flag::ADDRS | flag::PORTS | flag::RANDOM | flag::PERSISTENT | flag::BASE;

const OPTIONS: &[Opt] = &[
    Opt::value(
        "to-destination",
        TO,
        Kind::Raw,
        "[address[-address]][:port[-port[/base]]]",
        "the new destination; with a base, that port becomes the first, and so on",
    )
    .mandatory()
    .examples(&[
        "v4:192.0.2.1",
        "v4:192.0.2.1-192.0.2.9",
        "v4:192.0.2.1:8080",
        "v4:192.0.2.1-192.0.2.9:8000-8010/3000",
        "v6:2001:db8::1",
        "v6:2001:db8::1-2001:db8::9",
        "v6:[2001:db8::1]:8080",
        "v6:[2001:db8::1-2001:db8::9]:8000-8010/3000",
        ":8080",
    ]),
    Opt::flag("random", RANDOM, "choose the port at random"),
    Opt::flag("persistent", PERSISTENT, "give a client the same address each time"),
];

impl Extension for Dnat {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "-p tcp @nat/PREROUTING",
        limits: &[Limit::tables(&["nat"]).at(&[Hook::Prerouting, Hook::Output])],
        ..Spec::new("DNAT", 2, "rewrites the destination address of a connection")
    };

    fn new(_: Family) -> Self {
        Self(NatRange::default())
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0.modes |= match given.id() {
            TO => return self.0.set_to(given.bytes(), Base::Kept, cx),
            RANDOM => flag::RANDOM,
            _ => flag::PERSISTENT,
        };
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" --to-destination ");
        self.0.print_to(out);
        self.0.print_modes(out, "--");
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" to:");
        self.0.print_to(out);
        self.0.print_modes(out, "");
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str("dnat");
        self.0.translate(cx, out)
    }

    fn blob(&self, family: Family, b: &mut BlobWriter<'_>) {
        self.0.blob(Layout::WithBase, family, b);
    }

    fn sayable(&self, protocol: Option<(u8, bool)>) -> bool {
        self.0.sayable(protocol)
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let range = NatRange::decode(info, Layout::WithBase, family, FLAGS)?;
        (range.addrs.is_some() || range.ports.is_some()).then_some(Self(range))
    }

    fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        let Some(regs) = self.0.native(x) else { return false };
        x.nat(NFT_NAT_DNAT, cx.family.nfproto(), regs);
        true
    }
}

impl TargetExt for Dnat {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        self.0.effect(false, NatAddr::Unchanged)
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{TCP, effect, error, row};
    use crate::ext::{Effect, Nat, NatAddr};
    use crate::packet::build::{Ipv4, Tcp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        row(
            V4,
            TCP,
            "DNAT --persistent --random --to-destination :80-90/5",
            "--to-destination :80-90/5 --random --persistent",
            " to::80-90/5 random persistent",
            "2e00000000000000000000000000000000000000000000000000000000000000000000000050005a0005000000000000",
        );
        row(
            V4,
            None,
            "DNAT --to-destination 1.2.3.4-1.2.3.9",
            "--to-destination 1.2.3.4-1.2.3.9",
            " to:1.2.3.4-1.2.3.9",
            "010000000102030400000000000000000000000001020309000000000000000000000000000000000000000000000000",
        );
        row(
            V6,
            TCP,
            "DNAT --to-destination [::1-::5]:80-90",
            "--to-destination [::1-::5]:80-90",
            " to:[::1-::5]:80-90",
            "0300000000000000000000000000000000000001000000000000000000000000000000050050005a0000000000000000",
        );
        error(V4, TCP, "DNAT --random", "DNAT: option \"--to-destination\" must be specified\n");
    }

    #[test]
    fn what_it_does() {
        let mut packet = Ipv4::default() / Tcp::default();
        let nat = effect(V4, TCP, "DNAT --to-destination :80-90/100", &mut packet);
        let ports = Some((80, 90));
        assert_eq!(nat, Effect::Nat(Nat { source: false, addr: NatAddr::Unchanged, ports, port_base: Some(100) }));
    }
}
