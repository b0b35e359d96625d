//! `-m connmark`: the mark of the packet's connection.
//!
//! # Matches
//! Packets of a connection whose mark, ANDed with the mask, equals the value; `!` those where it does not. The value is not masked. A packet
//! without a connection (INVALID, UNTRACKED) never matches, inverted or not.
//! # Options
//! `[!] --mark value[/mask]`, u32 each.
//! # Wire
//! xt `connmark` revision 1: `struct xt_connmark_mtinfo1 { u32 mark, mask; u8 invert; }`, host order.
//! Native: `ct load mark`, `bitwise & mask` unless it is all ones, `cmp eq|neq`; without a connection the load ends the rule.
//! # Evaluates
//! Unknown if the packet has no conntrack state, or no entry where it should.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "connmark"; `linux/netfilter/xt_connmark.h`.

use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::env::Env;
use crate::packet::{CtState, Packet};
use crate::types::{Family, Out, Tri};
use crate::wire::consts::NFT_CT_MARK;
use crate::wire::{BlobWriter, ExprWriter};

/// A mark and the mask under which it is compared, host order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnMark {
    value: u32,
    mask: u32,
    invert: bool,
}

const MARK: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("mark", MARK, Kind::MarkMask, "value[/mask]", "the connection's mark, under a mask")
        .invertible()
        .mandatory()
        .examples(&["0", "1", "0x10/0xf0", "0xffffffff", "7/0x3", "0/0", "0x4000/0x4000", "010/0377", "+5/+6"])];

impl Extension for ConnMark {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("connmark", 1, "matches the mark of the connection") };

    fn new(_: Family) -> Self {
        Self { value: 0, mask: u32::MAX, invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        (self.value, self.mask) = given.mark();
        self.invert = given.negated;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! --mark " } else { " --mark " });
        self.value(out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " connmark match ! " } else { " connmark match  " });
        self.value(out);
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

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        x.ct(NFT_CT_MARK, None);
        if self.mask != u32::MAX {
            x.mask(&self.mask.to_ne_bytes());
        }
        x.cmp_eq(self.invert, &self.value.to_ne_bytes());
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let (op, value) = (if self.invert { "!=" } else { "==" }, self.value);
        match (self.mask, self.invert) {
            (u32::MAX, false) => write!(out, "ct mark {value:#x}"),
            (u32::MAX, true) => write!(out, "ct mark != {value:#x}"),
            (mask, _) => write!(out, "ct mark and {mask:#x} {op} {value:#x}"),
        }
        true
    }
}

impl ConnMark {
    fn value(&self, out: &mut Out) {
        write!(out, "{:#x}", self.value);
        if self.mask != u32::MAX {
            write!(out, "/{:#x}", self.mask);
        }
    }
}

impl MatchExt for ConnMark {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let Some(ct) = &packet.meta.ct else { return Tri::Unknown };
        match &ct.entry {
            Some(entry) => Tri::from(entry.mark & self.mask == self.value).xor(self.invert),
            None if matches!(ct.state, CtState::Invalid | CtState::Untracked) => Tri::False,
            None => Tri::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{entry, error, read, row};
    use crate::packet::Conntrack;
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            for (args, save, list, wire) in [
                ("--mark 5", "--mark 0x5", " 0x5", "05000000ffffffff0000000000000000"),
                ("! --mark 5/0xff", "! --mark 0x5/0xff", "! 0x5/0xff", "05000000ff0000000100000000000000"),
                ("--mark 0xff/0", "--mark 0xff/0x0", " 0xff/0x0", "ff000000000000000000000000000000"),
                ("--mark 010/4294967295", "--mark 0x8", " 0x8", "08000000ffffffff0000000000000000"),
            ] {
                let (line, save, list) =
                    (format!("connmark {args}"), format!(" {save}"), format!(" connmark match {list}"));
                row(family, None, &line, &save, &list, &format!("match connmark 1 {wire}"));
            }
        }
    }

    #[test]
    fn its_second_form_and_its_words_for_nft() {
        let value = |args: &str| read(V4, None, &format!("connmark {args}")).unwrap();
        assert_eq!(value("--mark 5").native().unwrap(), "ct 2=00000003 1=00000001; == 05000000");
        assert_eq!(value("! --mark 5/6").native().unwrap(), "ct 2=00000003 1=00000001; & 06000000; != 05000000");
        for (args, words) in [
            ("--mark 5", "ct mark 0x5"),
            ("! --mark 5", "ct mark != 0x5"),
            ("--mark 5/0xff", "ct mark and 0xff == 0x5"),
            ("! --mark 5/0xff", "ct mark and 0xff != 0x5"),
        ] {
            assert_eq!(value(args).translation().as_deref(), Some(words));
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let bad = "connmark: bad integer value for option \"--mark\", or out of range.\n";
        for (args, text) in [
            ("", "connmark: option \"--mark\" must be specified\n"),
            (" --mark ", bad),
            (" --mark 5/x", bad),
            (" --mark 0x100000000", bad),
            (" --mark 5x", "connmark: trailing garbage after value for option \"--mark\".\n"),
            (" --mark 5 --mark 6", "connmark: option \"--mark\" can only be used once.\n"),
        ] {
            assert_eq!(error(V4, None, &format!("connmark{args}")), text, "{args}");
        }
    }

    #[test]
    fn packets() {
        let mut packet = Ipv4::default() / Udp::default();
        let judge = |packet: &Packet, args: &str| read(V4, None, &format!("connmark {args}")).unwrap().matches(packet);
        assert_eq!(judge(&packet, "--mark 0"), Tri::Unknown);
        packet.meta.ct = Some(entry(|e| e.mark = 0x15));
        for (args, expected) in
            [("--mark 0x5/0xf", true), ("--mark 5", false), ("! --mark 5", true), ("--mark 5/4", false)]
        {
            assert_eq!(judge(&packet, args), Tri::from(expected), "{args}");
        }
        for none in [Conntrack::INVALID, Conntrack::UNTRACKED] {
            packet.meta.ct = Some(none);
            assert_eq!((judge(&packet, "--mark 5"), judge(&packet, "! --mark 5")), (Tri::False, Tri::False));
        }
        packet.meta.ct = Some(Conntrack::of_state(CtState::New));
        assert_eq!(judge(&packet, "--mark 5"), Tri::Unknown);
    }
}
