//! `-j SNPT`: replaces the prefix of an IPv6 source address, packet by packet; for the mangle table.
//!
//! # Options
//! `--src-pfx prefix/length`, `--dst-pfx prefix/length`; see [`super::npt`].
//! # Wire
//! xt `SNPT` revision 0; see [`super::npt`]. Native: none, because nf_tables cannot balance the change in the checksum.
//! Native: none, because nf_tables translates no prefixes without remembering connections.
//! # Evaluates
//! The source address is rewritten and the walk goes on; a packet for which that is not possible is dropped. Of ICMPv6 errors the kernel
//! rewrites more than that, which is not followed.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "SNPT"; `linux/netfilter_ipv6/ip6t_NPT.h`; RFC 6296; measured.

use super::npt::{Npt, OPTIONS};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, UsageError};
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::env::Env;
use crate::packet::{Packet, protocol};
use crate::types::{Family, Hook, Out};
use crate::wire::BlobWriter;

/// The prefixes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snpt(Npt);

impl Extension for Snpt {
    const SPEC: Spec = Spec {
        families: &[Family::V6],
        options: OPTIONS,
        sample: "@mangle/POSTROUTING",
        limits: &[Limit::tables(&["mangle"]).at(&[Hook::Input, Hook::Postrouting])],
        ..Spec::new("SNPT", 0, "replaces the prefix of the source address, without state")
    };

    fn new(_: Family) -> Self {
        Self(Npt::NEW)
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0.set("SNPT", given, cx)
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.print(out, " --");
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" SNPT");
        self.0.print(out, " ");
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        self.0.blob(b);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        Npt::decode(info).map(Self)
    }

    fn scrub(info: &mut [u8]) {
        Npt::scrub(info);
    }
}

impl TargetExt for Snpt {
    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        let error = packet.protocol() == Some(protocol::ICMPV6) && packet.icmp6().is_none_or(|icmp| icmp.kind() < 128);
        if error {
            return Effect::Unknown;
        }
        if self.0.apply(packet, true) { Effect::Continue } else { Effect::Drop }
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{effect, error, row, ways};
    use crate::ext::{Effect, Target};
    use crate::packet::build::{Ipv6, Udp};
    use crate::types::Family::V6;

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, save, hex) in [
            (
                "--src-pfx 2001:db8::/48 --dst-pfx fd00::/0x40",
                "src-pfx 2001:db8::/48 dst-pfx fd00::/64",
                format!("{:0<32}{:0<32}3040", "20010db8", "fd"),
            ),
            (
                "--src-pfx fd00::/ffff:: --dst-pfx ::1.2.3.4",
                "src-pfx fd00::/16 dst-pfx ::1.2.3.4/128",
                format!("{:0<32}{:0>32}1080", "fd", "01020304"),
            ),
        ] {
            let (list, save) = (format!(" SNPT {save}"), format!("--{save}").replace(" dst", " --dst"));
            row(V6, None, &format!("SNPT {words}"), &save, &list, &format!("{hex:0<80}"));
            ways(V6, None, &format!("SNPT {words}"), None, None);
        }
        let missing = |name| format!("SNPT: option \"--{name}-pfx\" must be specified\n");
        error(V6, None, "SNPT", &missing("src"));
        error(V6, None, "SNPT --src-pfx fd00::/64", &missing("dst"));
        let bad = "SNPT: bad value for option \"--src-pfx\", neither a valid network mask nor valid CIDR (0-128).\n";
        for len in ["", "x", "64x", "129", "64/3"] {
            error(V6, None, &format!("SNPT --src-pfx fd00::/{len}"), bad);
        }
    }

    #[test]
    fn the_kernels_number_means_nothing() {
        let mut info = [0; 40];
        (info[34], info[35]) = (0x12, 0x34);
        assert!(Target::decode(b"SNPT", 0, &info, V6, &mut Vec::new()).is_some());
    }

    #[test]
    fn the_source_changes() {
        let (src, dst) = ("fd01:203:405:1::1234".parse().unwrap(), "fd01:203:405:1::1234".parse().unwrap());
        let mut packet = Ipv6 { src, dst, ..Ipv6::default() } / Udp::default();
        let words = "SNPT --src-pfx fd01:203:405::/48 --dst-pfx 2001:db8:1::/48";
        assert_eq!(effect(V6, None, words, &mut packet), Effect::Continue);
        let (changed, kept) = (packet.src(), packet.dst());
        assert_eq!(
            (changed.to_string().as_str(), kept.to_string().as_str()),
            ("2001:db8:1:d550::1234", "fd01:203:405:1::1234")
        );
    }
}
