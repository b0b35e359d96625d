//! `-m mark`: the packet's netfilter mark.
//!
//! # Matches
//! Packets whose mark, ANDed with the mask, equals the value; `!` those where it does not. The value is not masked.
//! # Options
//! `[!] --mark value[/mask]`, u32 each.
//! # Wire
//! Native: `meta load mark`, `bitwise & mask` unless it is all ones, `cmp eq|neq` (4 bytes, host order). Also read: xt `mark` revision 1,
//! `struct xt_mark_mtinfo1 { u32 mark, mask; u8 invert; }`.
//! # Evaluates
//! Always known.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "mark"; `linux/netfilter/xt_mark.h`; fact sheet 2.4.

use crate::ext::list::Match;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Body, Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::wire::cond::{Cond, Field, Item, Test};
use crate::wire::consts::{NFT_CMP_EQ, NFT_CMP_NEQ, NFT_META_MARK};
use crate::wire::{BlobWriter, ExprWriter};

/// A mark and the mask under which it is compared, host order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    value: u32,
    mask: u32,
    invert: bool,
}

const MARK: u8 = 0;

const OPTIONS: &[Opt] = &[Opt::value("mark", MARK, Kind::MarkMask, "value[/mask]", "the packet's mark, under a mask")
    .invertible()
    .mandatory()
    .examples(&["0", "1", "0x10/0xf0", "0xffffffff", "7/0x3", "0x4000/0x4000"])];

impl Extension for Mark {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("mark", 1, "matches the packet's mark") };

    fn new(_: Family) -> Self {
        Self { value: 0, mask: u32::MAX, invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        (self.value, self.mask) = given.mark();
        self.invert = given.negated;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! --mark" } else { " --mark" });
        self.value(out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" mark match");
        out.str(if self.invert { " !" } else { "" });
        self.value(out);
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let Self { value, mask, invert } = *self;
        match (mask, invert) {
            (u32::MAX, false) => write!(out, "mark {value:#x}"),
            (u32::MAX, true) => write!(out, "mark != {value:#x}"),
            (_, false) => write!(out, "mark and {mask:#x} == {value:#x}"),
            (_, true) => write!(out, "mark and {mask:#x} != {value:#x}"),
        }
        true
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(self.value);
        b.u32(self.mask);
        b.u8(u8::from(self.invert));
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [v0, v1, v2, v3, m0, m1, m2, m3, invert, ..] = *info else { return None };
        Some(Self {
            value: u32::from_ne_bytes([v0, v1, v2, v3]),
            mask: u32::from_ne_bytes([m0, m1, m2, m3]),
            invert: invert != 0,
        })
    }
}

impl Mark {
    fn value(&self, out: &mut Out) {
        write!(out, " {:#x}", self.value);
        if self.mask != u32::MAX {
            write!(out, "/{:#x}", self.mask);
        }
    }
}

impl MatchExt for Mark {
    fn encode(&self, _: Family, x: &mut ExprWriter<'_>) {
        x.meta(NFT_META_MARK);
        if self.mask != u32::MAX {
            x.mask(&self.mask.to_ne_bytes());
        }
        x.cmp_eq(self.invert, &self.value.to_ne_bytes());
    }

    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let Item::Cond(Cond { field: Field::Meta(NFT_META_MARK), mask, test: Test::Cmp { op, data } }) = item else {
            return false;
        };
        let (Some(value), true) = (data.ne32(), matches!(*op, NFT_CMP_EQ | NFT_CMP_NEQ)) else { return false };
        let mask = mask.and_then(|m| m.ne32()).unwrap_or(u32::MAX);
        body.matches.push(Match::Mark(Self { value, mask, invert: *op == NFT_CMP_NEQ }));
        true
    }

    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::from(packet.meta.mark & self.mask == self.value).xor(self.invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row};
    use crate::packet::build::{Ipv4, Udp as Datagram};
    use crate::types::Family::{V4, V6};

    fn hex(n: u32) -> String {
        n.to_ne_bytes().iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let line = |args: &str, list: &str, wire: String| {
                row(family, None, &format!("mark{args}"), args, list, &format!("meta 3; {wire}"));
            };
            line(" --mark 0x5", " mark match 0x5", format!("== {}", hex(5)));
            line(" ! --mark 0x5/0xff", " mark match ! 0x5/0xff", format!("& {}; != {}", hex(0xff), hex(5)));
            line(" --mark 0xff/0x0", " mark match 0xff/0x0", format!("& {}; == {}", hex(0), hex(0xff)));
        }
        for (value, save) in [("+5/+6", "0x5/0x6"), ("0xFF/0xffffffff", "0xff"), ("010", "0x8")] {
            assert_eq!(read(V4, None, &format!("mark --mark {value}")).unwrap().save(), format!(" --mark {save}"));
        }
        let compat = |x: &mut ExprWriter<'_>| {
            x.xt_match("mark", 1, |b| {
                b.u32(5);
                b.u32(0xff);
                b.u8(1);
            });
        };
        assert_eq!(raised_text(V4, None, compat), " -m mark ! --mark 0x5/0xff");
        let greater = |x: &mut ExprWriter<'_>| {
            x.meta(NFT_META_MARK);
            x.cmp(crate::wire::consts::NFT_CMP_GT, &[0; 4]);
        };
        assert_eq!(raised_text(V4, None, greater), "opaque");
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let bad = "mark: bad integer value for option \"--mark\", or out of range.\n";
        let garbage = "mark: trailing garbage after value for option \"--mark\".\n";
        for (value, text) in [
            ("", bad),
            ("5/", bad),
            ("-1", bad),
            ("0x100000000", bad),
            ("5x", garbage),
            ("5/6/7", garbage),
            ("08", garbage),
        ] {
            assert_eq!(error(V4, None, &format!("mark --mark {value}")), text, "{value}");
        }
        assert_eq!(error(V4, None, "mark"), "mark: option \"--mark\" must be specified\n");
    }

    #[test]
    fn packets() {
        let mut packet = Ipv4::default() / Datagram::default();
        packet.meta.mark = 0x15;
        for (args, expected) in
            [("--mark 0x5/0xf", true), ("--mark 5", false), ("! --mark 5", true), ("--mark 5/4", false)]
        {
            assert_eq!(
                read(V4, None, &format!("mark {args}")).unwrap().matches(&packet),
                Tri::from(expected),
                "{args}"
            );
        }
    }
}
