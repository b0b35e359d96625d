//! `-j SNAT`: rewrites the source of a connection to a given address.
//!
//! # Options
//! `--to-source [address[-address]][:port[-port]]` (needed), `--random`, `--random-fully`, `--persistent`.
//! # Wire
//! xt `SNAT`, revision 0 for IPv4 and 1 for IPv6; see [`super::nat_range`].
//! Native: `nat`, with addresses and ports in registers.
//! # Evaluates
//! The connection's source becomes one of the range.
//! # Differs
//! As in stock, `/base` behind the ports is taken, and its number is lost: `/0` is printed. Unlike in stock, that can be read again.
//! # Sources
//! iptables-extensions(8) "SNAT"; `linux/netfilter/nf_nat.h`; fact sheet 3.3, 3.4.

use super::nat_range::{Base, Layout, NatRange, flag};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Effect, Extension, NatAddr, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, Out};
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};

/// The new source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snat(NatRange);

const TO: u8 = 0;
const RANDOM: u8 = 1;
const FULLY: u8 = 2;
const PERSISTENT: u8 = 3;

const FLAGS: u32 = flag::ADDRS | flag::PORTS | flag::RANDOM | flag::PERSISTENT | flag::FULLY | flag::BASE;

const OPTIONS: &[Opt] = &[
    Opt::value("to-source", TO, Kind::Raw, "[address[-address]][:port[-port]]", "the new source").mandatory().examples(
        &[
            "v4:192.0.2.1",
            "v4:192.0.2.1-192.0.2.9",
            "v4:192.0.2.1:1024-65535",
            "v6:2001:db8::1",
            "v6:2001:db8::1-2001:db8::9",
            "v6:[2001:db8::1]:1024-65535",
            "v6:[2001:db8::1-2001:db8::9]:80",
            ":1000",
        ],
    ),
    Opt::flag("random", RANDOM, "choose the port at random"),
    Opt::flag("random-fully", FULLY, "choose the port by a better generator of random numbers"),
    Opt::flag("persistent", PERSISTENT, "give a client the same address each time"),
];

impl Extension for Snat {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "-p tcp @nat/POSTROUTING",
        limits: &[Limit::tables(&["nat"]).at(&[Hook::Input, Hook::Postrouting])],
        ..Spec::new("SNAT", 0, "rewrites the source address of a connection")
    };

    fn new(_: Family) -> Self {
        Self(NatRange::default())
    }

    fn revision(family: Family) -> u32 {
        match family {
            Family::V4 => 0,
            Family::V6 => 1,
        }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0.modes |= match given.id() {
            TO => return self.0.set_to(given.bytes(), Base::Zeroed, cx),
            RANDOM => flag::RANDOM,
            FULLY => flag::FULLY,
            _ => flag::PERSISTENT,
        };
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" --to-source ");
        self.0.print_to(out);
        self.0.print_modes(out, "--");
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" to:");
        self.0.print_to(out);
        self.0.print_modes(out, "");
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str("snat");
        self.0.translate(cx, out)
    }

    fn blob(&self, family: Family, b: &mut BlobWriter<'_>) {
        self.0.blob(Layout::Plain, family, b);
    }

    fn sayable(&self, protocol: Option<(u8, bool)>) -> bool {
        self.0.sayable(protocol)
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let range = NatRange::decode(info, Layout::Plain, family, FLAGS)?;
        (range.addrs.is_some() || range.ports.is_some()).then_some(Self(range))
    }

    fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        let Some(regs) = self.0.native(x) else { return false };
        x.nat(NFT_NAT_SNAT, cx.family.nfproto(), regs);
        true
    }
}

impl TargetExt for Snat {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        self.0.effect(true, NatAddr::Unchanged)
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{TCP, error, row};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        row(
            V4,
            None,
            "SNAT --to-source 1.2.3.4",
            "--to-source 1.2.3.4",
            " to:1.2.3.4",
            "010000000100000001020304010203040000000000000000",
        );
        row(
            V4,
            TCP,
            "SNAT --persistent --to-source 1.2.3.4-1.2.3.8:80-90/100 --random --random-fully",
            "--to-source 1.2.3.4-1.2.3.8:80-90/0 --random --random-fully --persistent",
            " to:1.2.3.4-1.2.3.8:80-90/0 random random-fully persistent",
            "010000003f00000001020304010203080050005a00000000",
        );
        row(
            V6,
            TCP,
            "SNAT --to-source [::1-::2]:80-90 --random",
            "--to-source [::1-::2]:80-90 --random",
            " to:[::1-::2]:80-90 random",
            "0700000000000000000000000000000000000001000000000000000000000000000000020050005a",
        );
    }

    #[test]
    fn wrong_options() {
        error(V4, None, "SNAT", "SNAT: option \"--to-source\" must be specified\n");
        let once = "SNAT: option \"--to-source\" can only be used once.\n";
        error(V4, None, "SNAT --to-source 1.2.3.4 --to-source 1.2.3.5", once);
        error(V4, None, "SNAT ! --random", "SNAT: option \"--random\" cannot be inverted.\n");
    }
}
