//! `-m icmp`: type and code of ICMP (IPv4). `-p icmp` loads it when its option is met.
//!
//! # Matches
//! ICMP packets of a type, or of a type and code; `!` all others.
//! # Options
//! `[!] --icmp-type name|type[/code[:code]]`; `any` and 255 stand for every type. Names may be cut short while only one fits.
//! # Wire
//! xt `icmp` revision 0: `struct ipt_icmp { u8 type, code[2], invflags; }`. Also read: `payload th+0 1|2; cmp` and a code behind it, as nft
//! writes `icmp type`.
//! Native: the eighth byte must be there; `payload load` of type and code, `cmp` or `range`.
//! # Evaluates
//! Always known. A packet with less than eight bytes of ICMP is dropped at once.
//! # Differs
//! A range of codes is printed (`3/1:4`; stock prints `3/1`). The native form is read in full (stock loses `!=` and ranges).
//! # Sources
//! iptables-extensions(8) "icmp"; `linux/netfilter_ipv4/ip_tables.h`; RFC 792; fact sheet 2.8, 3.4.

use super::icmp_type::{EXAMPLES, IcmpType};
use crate::ext::limits::Limit;
use crate::ext::list::Match;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Body, Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::protocol::ICMP;
use crate::types::{Family, Out, Tri};
use crate::wire::cond::Item;
use crate::wire::{BlobWriter, ExprWriter};

/// A type and codes of ICMP; type 255 is every one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Icmp(IcmpType);

const TYPE: u8 = 0;

const OPTIONS: &[Opt] = &[Opt::value("icmp-type", TYPE, Kind::Raw, "type[/code]", "type by name or number, and code")
    .invertible()
    .mandatory()
    .examples(EXAMPLES)];

impl Extension for Icmp {
    const SPEC: Spec = Spec {
        families: &[Family::V4],
        options: OPTIONS,
        implied_by: &[ICMP],
        sample: "-p icmp",
        limits: &[Limit::protocols(&[ICMP])],
        notes: super::icmp_type::notes,
        ..Spec::new("icmp", 0, "matches type and code of ICMP")
    };

    fn new(_: Family) -> Self {
        Self(IcmpType::NEW)
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0 = IcmpType::parse(given.bytes(), given.negated, cx.family)?;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.save("icmp-type", Family::V4, out);
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.0.list("icmp", out, cx);
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        match self.0 {
            IcmpType { kind: u8::MAX, invert: false, .. } => {
                out.str("ip protocol icmp");
                true
            }
            IcmpType { kind: u8::MAX, invert: true, .. } => false,
            icmp => icmp.translate("icmp", Family::V4, out),
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        self.0.blob(b);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        IcmpType::decode(info).map(Self)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        self.0.native(x);
        if self.0.kind == u8::MAX && self.0.invert {
            x.never();
        } else if self.0.kind != u8::MAX {
            self.0.native_codes(x);
        }
        true
    }
}

impl MatchExt for Icmp {
    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let (Item::Cond(cond), Some((ICMP, false))) = (item, body.base.protocol) else { return false };
        let last = match body.matches.last() {
            Some(Match::Icmp(Self(last))) => Some(*last),
            _ => None,
        };
        match IcmpType::raise(cond, last) {
            // Type 255 of the xt form is every type.
            Some((_, IcmpType { kind: u8::MAX, .. })) | None => return false,
            Some((completed, icmp)) => {
                if completed {
                    body.matches.pop();
                }
                body.matches.push(Match::Icmp(Self(icmp)));
            }
        }
        true
    }

    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        if packet.is_fragment_tail() {
            return Tri::False;
        }
        let Some(icmp) = packet.icmp() else {
            env.hotdrop = true;
            return Tri::False;
        };
        let IcmpType { kind, min, max, invert } = self.0;
        let inside = icmp.kind() == kind && (min..=max).contains(&icmp.code());
        Tri::from(inside || kind == u8::MAX).xor(invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row};
    use crate::packet::build::{Icmp as Message, Ipv4, Raw};
    use crate::types::Family::V4;
    use crate::wire::ExprWriter;
    use crate::wire::consts::{NFT_CMP_GTE, NFT_CMP_LTE, NFT_PAYLOAD_TRANSPORT_HEADER};

    const P: Option<(u8, bool)> = Some((ICMP, false));

    /// The `-S` text of a line and its `-L` text with names.
    fn texts(line: &str) -> (String, String) {
        read(V4, P, &format!("icmp {line}")).map(|r| (r.save(), r.list(false))).unwrap_or_default()
    }

    #[test]
    fn what_stock_writes_and_prints() {
        for (args, wire, list) in [
            (" --icmp-type any", "ff00ff0000000000", " icmptype 255"),
            (" ! --icmp-type any", "ff00ff0100000000", " icmp !type 255"),
            (" --icmp-type 8", "0800ff0000000000", " icmptype 8"),
            (" ! --icmp-type 8/0", "0800000100000000", " icmp !type 8 code 0"),
            (" --icmp-type 3/255", "03ffff0000000000", " icmptype 3 code 255"),
            (" ! --icmp-type 8/3:4", "0803040100000000", " icmp !type 8 codes 3-4"),
            (" --icmp-type 8/5:1", "0805010000000000", " icmptype 8 codes 5-1"),
        ] {
            row(V4, P, &format!("icmp{args}"), args, list, &format!("match icmp 0 {wire}"));
        }
    }

    #[test]
    fn names_and_other_spellings() {
        for (line, save, list) in [
            ("--icmp-type Echo-rep", " --icmp-type 0", " icmp echo-reply"),
            ("! --icmp-type ping", " ! --icmp-type 8", " icmp !echo-request"),
            ("--icmp-type ttl-e", " --icmp-type 11", " icmp time-exceeded"),
            ("--icmp-type tos-host-r", " --icmp-type 5/3", " icmp TOS-host-redirect"),
            ("--icmp-type +0x3/+01", " --icmp-type 3/1", " icmp host-unreachable"),
            ("--icmp-type 8/0:255", " --icmp-type 8", " icmp echo-request"),
            ("--icmp-type 255/255", " --icmp-type any", " icmptype 255 code 255"),
            ("--icmp-type 8/0", " --icmp-type 8/0", " icmptype 8 code 0"),
            ("--icmp-type 6", " --icmp-type 6", " icmptype 6"),
        ] {
            assert_eq!(texts(line), (save.into(), list.into()), "{line}");
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (value, text) in [
            ("", "Ambiguous ICMP type `': `any' or `echo-reply'?"),
            ("Ne", "Ambiguous ICMP type `Ne': `network-unreachable' or `network-unknown'?"),
            ("x", "Unknown ICMP type `x'"),
            ("256", "Unknown ICMP type `256'"),
            ("any/3", "Unknown ICMP type `any/3'"),
            ("3/", "Unknown ICMP code `3/'"),
            ("3/1:256", "Unknown ICMP code `3/1:256'"),
            ("3:4", "ICMP type range not supported"),
            ("8x", "unknown character x"),
            ("08", "unknown character 8"),
            ("8/1:2:3", "unknown character :"),
        ] {
            assert_eq!(error(V4, P, &format!("icmp --icmp-type {value}")), text, "{value}");
        }
        assert_eq!(error(V4, P, "icmp"), "icmp: option \"--icmp-type\" must be specified\n");
        let twice = "icmp --icmp-type 8 --icmp-type 8";
        assert_eq!(error(V4, P, twice), "icmp: option \"--icmp-type\" can only be used once.\n");
    }

    #[test]
    fn the_native_form() {
        let th = |x: &mut ExprWriter<'_>, offset, len| x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, len);
        let kind = |not, kind: u8| raised_text(V4, P, |x| (th(x, 0, 1), x.cmp_eq(not, &[kind])).1);
        assert_eq!(kind(false, 8), " -m icmp --icmp-type 8");
        assert_eq!(kind(true, 8), " -m icmp ! --icmp-type 8");
        assert_eq!(kind(false, 255), "opaque");
        let both = |x: &mut ExprWriter<'_>| (th(x, 0, 2), x.cmp_eq(true, &[3, 4])).1;
        assert_eq!(raised_text(V4, P, both), " -m icmp ! --icmp-type 3/4");
        assert_eq!(raised_text(V4, None, both), "opaque");
        assert_eq!(raised_text(V4, Some((ICMP, true)), both), "opaque");
        let codes = |not, range: bool| {
            raised_text(V4, P, |x| {
                th(x, 0, 1);
                x.cmp_eq(not, &[3]);
                th(x, 1, 1);
                if range { x.range(false, &[1], &[4]) } else { x.cmp_eq(false, &[4]) }
            })
        };
        let bounds = |x: &mut ExprWriter<'_>| {
            th(x, 0, 1);
            x.cmp_eq(false, &[3]);
            th(x, 1, 1);
            x.cmp(NFT_CMP_GTE, &[1]);
            x.cmp(NFT_CMP_LTE, &[4]);
        };
        assert_eq!(raised_text(V4, P, bounds), " -m icmp --icmp-type 3/1:4");
        assert_eq!(raised_text(Family::V6, P, bounds), "opaque");
        assert_eq!(codes(false, false), " -m icmp --icmp-type 3/4");
        assert_eq!(codes(false, true), " -m icmp --icmp-type 3/1:4");
        assert_eq!(codes(true, false), "opaque");
        let code_alone = |x: &mut ExprWriter<'_>| (th(x, 1, 1), x.cmp_eq(false, &[4])).1;
        assert_eq!(raised_text(V4, P, code_alone), "opaque");
        let types = |x: &mut ExprWriter<'_>| (th(x, 0, 1), x.range(false, &[3], &[5])).1;
        assert_eq!(raised_text(V4, P, types), "opaque");
    }

    #[test]
    fn packets() {
        let echo = Ipv4::default() / Message { kind: 8, code: 0, ..Message::default() };
        let judge = |line: &str, packet| read(V4, P, &format!("icmp {line}")).unwrap().judge(packet);
        assert_eq!(judge("--icmp-type 8", &echo), (Tri::True, false));
        assert_eq!(judge("--icmp-type 8/1:9", &echo), (Tri::False, false));
        assert_eq!(judge("! --icmp-type 8/0", &echo), (Tri::False, false));
        assert_eq!(judge("--icmp-type any", &echo), (Tri::True, false));
        assert_eq!(judge("! --icmp-type any", &echo), (Tri::False, false));
        let short = Ipv4::default() / Raw { protocol: ICMP, payload: vec![8, 0, 0] };
        assert_eq!(judge("--icmp-type 8", &short), (Tri::False, true));
        let tail = Ipv4 { fragment_offset: 8, ..Ipv4::default() } / Raw { protocol: ICMP, payload: vec![8; 9] };
        assert_eq!(judge("! --icmp-type 9", &tail), (Tri::False, false));
    }
}
