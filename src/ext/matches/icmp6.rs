//! `-m icmp6`: type and code of ICMPv6 (IPv6). `-p icmpv6` loads it when its option is met.
//!
//! # Matches
//! ICMPv6 packets of a type, or of a type and code; `!` all others.
//! # Options
//! `[!] --icmpv6-type name|type[/code[:code]]`. Names may be cut short while only one fits.
//! # Wire
//! xt `icmp6` revision 0: `struct ip6t_icmp { u8 type, code[2], invflags; }`. Also read: `payload th+0 1|2; cmp` and a code behind it, as
//! nft writes `icmpv6 type`.
//! Native: the eighth byte must be there; `payload load` of type and code, `cmp` or `range`.
//! # Evaluates
//! Always known. A packet with less than eight bytes of ICMPv6 is dropped at once.
//! # Differs
//! A range of codes is printed (`1/1:4`; stock prints `1/1`). The native form is read in full (stock loses `!=` and ranges).
//! # Sources
//! iptables-extensions(8) "icmp6"; `linux/netfilter_ipv6/ip6_tables.h`; RFC 4443; fact sheet 2.8, 3.4.

use super::icmp_type::{EXAMPLES, IcmpType};
use crate::ext::limits::Limit;
use crate::ext::list::Match;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Body, Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::protocol::ICMPV6;
use crate::types::{Family, Out, Tri};
use crate::wire::cond::Item;
use crate::wire::{BlobWriter, ExprWriter};

/// A type and codes of ICMPv6.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Icmp6(IcmpType);

const TYPE: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("icmpv6-type", TYPE, Kind::Raw, "type[/code]", "type by name or number, and code")
        .invertible()
        .mandatory()
        .examples(EXAMPLES)];

impl Extension for Icmp6 {
    const SPEC: Spec = Spec {
        aliases: &["icmpv6", "ipv6-icmp"],
        families: &[Family::V6],
        options: OPTIONS,
        implied_by: &[ICMPV6],
        sample: "-p icmpv6",
        limits: &[Limit::protocols(&[ICMPV6])],
        notes: super::icmp_type::notes,
        ..Spec::new("icmp6", 0, "matches type and code of ICMPv6")
    };

    fn new(_: Family) -> Self {
        Self(IcmpType::NEW)
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0 = IcmpType::parse(given.bytes(), given.negated, cx.family)?;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.save("icmpv6-type", Family::V6, out);
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.0.list("ipv6-icmp", out, cx);
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        self.0.translate("icmpv6", Family::V6, out)
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        self.0.blob(b);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        IcmpType::decode(info).map(Self)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        self.0.native(x);
        self.0.native_codes(x);
        true
    }
}

impl MatchExt for Icmp6 {
    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let (Item::Cond(cond), Some((ICMPV6, false))) = (item, body.base.protocol) else { return false };
        let last = match body.matches.last() {
            Some(Match::Icmp6(Self(last))) => Some(*last),
            _ => None,
        };
        let Some((completed, icmp)) = IcmpType::raise(cond, last) else { return false };
        if completed {
            body.matches.pop();
        }
        body.matches.push(Match::Icmp6(Self(icmp)));
        true
    }

    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        if packet.is_fragment_tail() {
            return Tri::False;
        }
        let Some(icmp) = packet.icmp6() else {
            env.hotdrop = true;
            return Tri::False;
        };
        let IcmpType { kind, min, max, invert } = self.0;
        Tri::from(icmp.kind() == kind && (min..=max).contains(&icmp.code())).xor(invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row};
    use crate::packet::build::{Icmp6 as Message, Ipv6};
    use crate::types::Family::{V4, V6};
    use crate::wire::consts::NFT_PAYLOAD_TRANSPORT_HEADER;

    const P: Option<(u8, bool)> = Some((ICMPV6, false));

    #[test]
    fn what_stock_writes_and_prints() {
        for (args, wire, list) in [
            (" --icmpv6-type 128", "8000ff0000000000", " ipv6-icmptype 128"),
            (" ! --icmpv6-type 1/4", "0104040100000000", " ipv6-icmp !type 1 code 4"),
            (" --icmpv6-type 255", "ff00ff0000000000", " ipv6-icmptype 255"),
            (" --icmpv6-type 1/3:4", "0103040000000000", " ipv6-icmptype 1 codes 3-4"),
        ] {
            row(V6, P, &format!("icmp6{args}"), args, list, &format!("match icmp6 0 {wire}"));
        }
        for (line, save, list) in [
            ("icmpv6 --icmpv6-type neighbor-adv", " --icmpv6-type 136", " ipv6-icmp neighbour-advertisement"),
            ("ipv6-icmp ! --icmpv6-type bad", " ! --icmpv6-type 4/0", " ipv6-icmp !bad-header"),
            ("icmp6 --icmpv6-type 130", " --icmpv6-type 130", " ipv6-icmptype 130"),
        ] {
            let read = read(V6, P, line).unwrap();
            assert_eq!((read.save().as_str(), read.list(false).as_str()), (save, list), "{line}");
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (value, text) in [
            ("any", "Unknown ICMPv6 type `any'"),
            ("", "Ambiguous ICMPv6 type `': `destination-unreachable' or `no-route'?"),
            ("n", "Ambiguous ICMPv6 type `n': `no-route' or `neighbour-solicitation'?"),
            ("neighbo", "Ambiguous ICMPv6 type `neighbo': `neighbour-solicitation' or `neighbor-solicitation'?"),
            ("1/256", "Unknown ICMPv6 code `1/256'"),
            ("1:2", "ICMPv6 type range not supported"),
        ] {
            assert_eq!(error(V6, P, &format!("icmp6 --icmpv6-type {value}")), text, "{value}");
        }
        assert_eq!(error(V4, P, "icmp6 --icmpv6-type 1"), "no such match");
    }

    #[test]
    fn the_native_form_and_packets() {
        let native = |kind: u8, not| {
            raised_text(V6, P, |x| {
                x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
                x.cmp_eq(not, &[kind]);
            })
        };
        assert_eq!(native(255, false), " -m icmp6 --icmpv6-type 255");
        assert_eq!(native(135, true), " -m icmp6 ! --icmpv6-type 135");
        let ask = Ipv6::default() / Message { kind: 135, ..Message::default() };
        assert_eq!(read(V6, P, "icmp6 --icmpv6-type 135/0").unwrap().judge(&ask), (Tri::True, false));
        assert_eq!(read(V6, P, "icmp6 --icmpv6-type 255").unwrap().judge(&ask), (Tri::False, false));
    }
}
