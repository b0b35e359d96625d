//! `-m hl`: the hop limit (IPv6).
//!
//! # Matches
//! Packets whose hop limit is a number (`!`: is another one), is less or is greater.
//! # Options
//! `[!] --hl-eq N`, or `--hl`; `--hl-lt N`; `--hl-gt N`, 0 to 255; exactly one of them.
//! # Wire
//! xt `hl` revision 0: `struct ip6t_hl_info { u8 mode, hop_limit; }`, mode 0 equal, 1 different, 2 less, 3 greater.
//! Native: the byte of the header is loaded and compared.
//! # Evaluates
//! Always known.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "hl"; `linux/netfilter_ipv6/ip6t_hl.h`; RFC 8200 §3.

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
pub struct Hl(Hops);

const OPTIONS: &[Opt] = &[
    option("hl-eq", EQ, "hop limit equals the value"),
    option("hl", EQ, "the same"),
    option("hl-lt", LT, "hop limit is less than the value"),
    option("hl-gt", GT, "hop limit is greater than the value"),
];

impl Extension for Hl {
    const SPEC: Spec =
        Spec { families: &[Family::V6], options: OPTIONS, ..Spec::new("hl", 0, "matches the hop limit") };

    fn new(_: Family) -> Self {
        Self(Hops::NEW)
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0.set(given);
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen & (bit(EQ) | bit(LT) | bit(GT)) == 0 {
            return Err(usage!("HL match: You must specify one of `--hl-eq', `--hl-lt', `--hl-gt'"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.save("hl", out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.list("HL", out);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        self.0.blob(b);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        Hops::decode(info).map(Self)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        self.0.native(7, x);
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        self.0.translate("ip6 hoplimit", out);
        true
    }
}

impl MatchExt for Hl {
    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let Item::Cond(cond) = item else { return false };
        let hops = Hops::raise(cond, 7);
        body.matches.extend(hops.clone().map(|hops| Match::Hl(Self(hops))));
        hops.is_some()
    }

    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::from(packet.ipv6().is_some_and(|header| self.0.contains(header.hop_limit())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv6, Udp};

    #[test]
    fn what_stock_writes_and_prints() {
        for (args, save, info, list) in [
            (" --hl-eq 64", " --hl-eq 64", "0040000000000000", " HL match HL == 64"),
            (" ! --hl 0x40", " ! --hl-eq 64", "0140000000000000", " HL match HL != 64"),
            (" --hl-gt 0", " --hl-gt 0", "0300000000000000", " HL match HL > 0"),
            (" --hl-lt 255", " --hl-lt 255", "02ff000000000000", " HL match HL < 255"),
        ] {
            row(Family::V6, None, &format!("hl{args}"), save, list, &format!("match hl 0 {info}"));
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (args, text) in [
            ("", "HL match: You must specify one of `--hl-eq', `--hl-lt', `--hl-gt'"),
            (" --hl 300", "hl: bad value for option \"--hl-eq\", or out of range (0-255).\n"),
            (" --hl 1 --hl-eq 2", "hl: option \"--hl-eq\" can only be used once.\n"),
            (" ! --hl-gt 0", "hl: option \"--hl-gt\" cannot be inverted.\n"),
            (" --hl-eq 1 --hl-lt 2", "hl: option \"--hl-lt\" cannot be used together with \"--hl-eq\".\n"),
            (" --hl-gt 1 --hl-lt 2", "hl: option \"--hl-lt\" cannot be used together with \"--hl-gt\".\n"),
            (" --hl-gt 1 --hl-eq 2", "hl: option \"--hl-gt\" cannot be used together with \"--hl-eq\".\n"),
        ] {
            assert_eq!(error(Family::V6, None, &format!("hl{args}")), text, "{args}");
        }
    }

    #[test]
    fn native_expressions_nfts_words_and_packets() {
        let packet = Ipv6 { hop_limit: 64, ..Ipv6::default() } / Udp::default();
        for (args, wire, words, expected) in [
            ("--hl-eq 64", "nh+7,1; == 40", "ip6 hoplimit 64", true),
            ("! --hl-eq 64", "nh+7,1; != 40", "ip6 hoplimit != 64", false),
            ("--hl-lt 64", "nh+7,1; < 40", "ip6 hoplimit lt 64", false),
            ("--hl-gt 63", "nh+7,1; > 3f", "ip6 hoplimit gt 63", true),
        ] {
            let read = read(Family::V6, None, &format!("hl {args}")).unwrap();
            assert_eq!((read.native().as_deref(), read.translation().as_deref()), (Some(wire), Some(words)), "{args}");
            assert_eq!(read.matches(&packet), Tri::from(expected), "{args}");
        }
    }
}
