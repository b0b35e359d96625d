//! `-m ttl`: the time to live (IPv4).
//!
//! # Matches
//! Packets whose time to live is a number (`!`: is another one), is less or is greater.
//! # Options
//! `[!] --ttl-eq N`, or `--ttl`; `--ttl-lt N`; `--ttl-gt N`, 0 to 255; exactly one of them.
//! # Wire
//! xt `ttl` revision 0: `struct ipt_ttl_info { u8 mode, ttl; }`, mode 0 equal, 1 different, 2 less, 3 greater.
//! Native: the byte of the header is loaded and compared.
//! # Evaluates
//! Always known.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "ttl"; `linux/netfilter_ipv4/ipt_ttl.h`; RFC 791 §3.1.

use super::hops::{EQ, GT, Hops, LT, option};
use crate::ext::options::{Given, Opt, UsageError, bit};
use crate::ext::{Body, Extension, Match, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::cond::Item;
use crate::wire::{BlobWriter, ExprWriter};

/// The comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ttl(Hops);

const OPTIONS: &[Opt] = &[
    option("ttl-eq", EQ, "time to live equals the value"),
    option("ttl", EQ, "the same"),
    option("ttl-lt", LT, "time to live is less than the value"),
    option("ttl-gt", GT, "time to live is greater than the value"),
];

impl Extension for Ttl {
    const SPEC: Spec =
        Spec { families: &[Family::V4], options: OPTIONS, ..Spec::new("ttl", 0, "matches the time to live") };

    fn new(_: Family) -> Self {
        Self(Hops::NEW)
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0.set(given);
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen & (bit(EQ) | bit(LT) | bit(GT)) == 0 {
            return Err(usage!("TTL match: You must specify one of `--ttl-eq', `--ttl-lt', `--ttl-gt"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.save("ttl", out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.list("TTL", out);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        self.0.blob(b);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        Hops::decode(info).map(Self)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        self.0.native(8, x);
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        self.0.translate("ip ttl", out);
        true
    }
}

impl MatchExt for Ttl {
    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let Item::Cond(cond) = item else { return false };
        let hops = Hops::raise(cond, 8);
        body.matches.extend(hops.clone().map(|hops| Match::Ttl(Self(hops))));
        hops.is_some()
    }

    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::from(packet.ipv4().is_some_and(|header| self.0.contains(header.ttl())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv4, Udp};

    #[test]
    fn what_stock_writes_and_prints() {
        for (args, save, info, list) in [
            (" --ttl-eq 64", " --ttl-eq 64", "0040000000000000", " TTL match TTL == 64"),
            (" ! --ttl 0x40", " ! --ttl-eq 64", "0140000000000000", " TTL match TTL != 64"),
            (" --ttl-gt 0", " --ttl-gt 0", "0300000000000000", " TTL match TTL > 0"),
            (" --ttl-lt 255", " --ttl-lt 255", "02ff000000000000", " TTL match TTL < 255"),
        ] {
            row(Family::V4, None, &format!("ttl{args}"), save, list, &format!("match ttl 0 {info}"));
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (args, text) in [
            ("", "TTL match: You must specify one of `--ttl-eq', `--ttl-lt', `--ttl-gt"),
            (" --ttl 300", "ttl: bad value for option \"--ttl-eq\", or out of range (0-255).\n"),
            (" --ttl 1 --ttl-eq 2", "ttl: option \"--ttl-eq\" can only be used once.\n"),
            (" ! --ttl-gt 0", "ttl: option \"--ttl-gt\" cannot be inverted.\n"),
            (" --ttl-eq 1 --ttl-lt 2", "ttl: option \"--ttl-lt\" cannot be used together with \"--ttl-eq\".\n"),
            (" --ttl-gt 1 --ttl-lt 2", "ttl: option \"--ttl-lt\" cannot be used together with \"--ttl-gt\".\n"),
            (" --ttl-gt 1 --ttl-eq 2", "ttl: option \"--ttl-gt\" cannot be used together with \"--ttl-eq\".\n"),
        ] {
            assert_eq!(error(Family::V4, None, &format!("ttl{args}")), text, "{args}");
        }
    }

    #[test]
    fn native_expressions_nfts_words_and_packets() {
        let packet = Ipv4 { ttl: 64, ..Ipv4::default() } / Udp::default();
        for (args, wire, words, expected) in [
            ("--ttl-eq 64", "nh+8,1; == 40", "ip ttl 64", true),
            ("! --ttl-eq 64", "nh+8,1; != 40", "ip ttl != 64", false),
            ("--ttl-lt 64", "nh+8,1; < 40", "ip ttl lt 64", false),
            ("--ttl-gt 63", "nh+8,1; > 3f", "ip ttl gt 63", true),
        ] {
            let read = read(Family::V4, None, &format!("ttl {args}")).unwrap();
            assert_eq!((read.native().as_deref(), read.translation().as_deref()), (Some(wire), Some(words)), "{args}");
            assert_eq!(read.matches(&packet), Tri::from(expected), "{args}");
        }
    }
}
