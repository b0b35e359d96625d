//! `-j MARK`: changes the packet's netfilter mark.
//!
//! # Options
//! `--set-xmark value[/mask]` (clear the mask's bits, XOR the value), `--set-mark value[/mask]` (clear, OR), `--and-mark`, `--or-mark`,
//! `--xor-mark bits`; exactly one of them.
//! # Wire
//! xt `MARK` revision 2: `struct xt_mark_tginfo2 { u32 mark, mask; }`, host order. Also read: native `meta mark set` to a fixed value, as
//! nft writes it and stock from 1.8.10 on reads it.
//! Native: `meta set mark` to a value, or to the mark under `bitwise`.
//! # Evaluates
//! `mark = (mark & ~mask) ^ value`; the walk goes on.
//! # Differs
//! Stock 1.8.9 fails over native `meta mark set` (`meta sreg key not supported`).
//! # Sources
//! iptables-extensions(8) "MARK"; `linux/netfilter/xt_mark.h`; fact sheet 2.8, 3.4, 8.

use crate::ext::options::{Given, Kind, Opt, UsageError, bit};
use crate::ext::{Action, Body, Effect, Extension, NativeCx, ParseCx, PrintCx, Spec, Target, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::cond::Item;
use crate::wire::consts::{NFT_META_MARK, NFT_REG_1};
use crate::wire::{BlobWriter, ExprWriter};

/// `mark = (mark & !mask) ^ value`, host order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    value: u32,
    mask: u32,
}

const SET_XMARK: u8 = 0;
const SET_MARK: u8 = 1;
const AND_MARK: u8 = 2;
const OR_MARK: u8 = 3;
const XOR_MARK: u8 = 4;
const ANY: u32 = bit(SET_XMARK) | bit(SET_MARK) | bit(AND_MARK) | bit(OR_MARK) | bit(XOR_MARK);

const U32: Kind = Kind::Number { min: 0, max: u32::MAX as u64 };

const OPTIONS: &[Opt] = &[
    Opt::value("set-xmark", SET_XMARK, Kind::MarkMask, "value[/mask]", "clear the mask's bits and XOR the value")
        .excluding(ANY)
        .examples(&["0x1", "0x2000/0x2000", "0/0xff"]),
    Opt::value("set-mark", SET_MARK, Kind::MarkMask, "value[/mask]", "clear the mask's bits and OR the value")
        .excluding(ANY)
        .examples(&["1", "0xff/0xf"]),
    Opt::value("and-mark", AND_MARK, U32, "bits", "AND the mark with bits").excluding(ANY).examples(&["0xf0"]),
    Opt::value("or-mark", OR_MARK, U32, "bits", "OR the mark with bits").excluding(ANY).examples(&["0x3"]),
    Opt::value("xor-mark", XOR_MARK, U32, "bits", "XOR the mark with bits").excluding(ANY).examples(&["0x5"]),
];

impl Extension for Mark {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("MARK", 2, "sets the packet's mark") };

    fn new(_: Family) -> Self {
        Self { value: 0, mask: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        (self.value, self.mask) = match given.id() {
            SET_XMARK => given.mark(),
            SET_MARK => {
                let (value, mask) = given.mark();
                (value, value | mask)
            }
            AND_MARK => (0, !given.u32()),
            OR_MARK => (given.u32(), given.u32()),
            _ => (given.u32(), 0),
        };
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen == 0 {
            return Err(usage!("MARK: One of the --set-xmark, --{{and,or,xor,set}}-mark options is required"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, " --set-xmark {:#x}/{:#x}", self.value, self.mask);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        let (value, mask) = (self.value, self.mask);
        match (value, mask) {
            (0, m) => write!(out, " MARK and {:#x}", !m),
            (v, m) if v == m => write!(out, " MARK or {v:#x}"),
            (v, 0) => write!(out, " MARK xor {v:#x}"),
            (v, u32::MAX) => write!(out, " MARK set {v:#x}"),
            (v, m) => write!(out, " MARK xset {v:#x}/{m:#x}"),
        }
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let Self { value, mask } = *self;
        out.str("meta mark set ");
        match (value, mask) {
            (_, u32::MAX) => write!(out, "{value:#x}"),
            (0, _) => write!(out, "mark and {:#x}", !mask),
            (_, 0) => write!(out, "mark xor {value:#x}"),
            _ if value == mask => write!(out, "mark or {value:#x}"),
            _ => write!(out, "mark and {:#x} xor {value:#x}", !mask),
        }
        // Stock's blank, which shows in front of a comment.
        out.byte(b' ');
        true
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(self.value);
        b.u32(self.mask);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [v0, v1, v2, v3, m0, m1, m2, m3] = *info else { return None };
        Some(Self { value: u32::from_ne_bytes([v0, v1, v2, v3]), mask: u32::from_ne_bytes([m0, m1, m2, m3]) })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if self.mask == u32::MAX {
            x.immediate(NFT_REG_1, &self.value.to_ne_bytes());
        } else {
            x.meta(NFT_META_MARK);
            x.bitwise(&(!self.mask).to_ne_bytes(), &self.value.to_ne_bytes());
        }
        x.meta_set(NFT_META_MARK, NFT_REG_1);
        true
    }
}

impl TargetExt for Mark {
    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let Item::MetaSet { key: NFT_META_MARK, value } = item else { return false };
        let (Some(value), Action::None) = (value.ne32(), &body.action) else { return false };
        body.action = Action::Target(Target::Mark(Self { value, mask: u32::MAX }));
        true
    }

    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        packet.meta.mark = (packet.meta.mark & !self.mask) ^ self.value;
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{effect, error, parse, row};
    use crate::ext::{Action, Body, Effect, Target};
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};
    use crate::wire::cond::{Data, Item};
    use crate::wire::consts::NFT_META_MARK;

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, save, list, hex) in [
            ("--set-mark 0x5/0xff", "0x5/0xff", "xset 0x5/0xff", "05000000ff000000"),
            ("--set-mark 0xff/0xf", "0xff/0xff", "or 0xff", "ff000000ff000000"),
            ("--set-mark 5", "0x5/0xffffffff", "set 0x5", "05000000ffffffff"),
            ("--set-xmark 0/0", "0x0/0x0", "and 0xffffffff", "0000000000000000"),
            ("--and-mark 0xf", "0x0/0xfffffff0", "and 0xf", "00000000f0ffffff"),
            ("--or-mark 0xf", "0xf/0xf", "or 0xf", "0f0000000f000000"),
            ("--xor-mark 0xf", "0xf/0x0", "xor 0xf", "0f00000000000000"),
        ] {
            let (save, list) = (format!("--set-xmark {save}"), format!(" MARK {list}"));
            row(V4, None, &format!("MARK {words}"), &save, &list, hex);
            row(V6, None, &format!("MARK {words}"), &save, &list, hex);
        }
        let one_of = "MARK: One of the --set-xmark, --{and,or,xor,set}-mark options is required";
        error(V4, None, "MARK", one_of);
        let together = "MARK: option \"--set-mark\" cannot be used together with \"--or-mark\".\n";
        error(V4, None, "MARK --or-mark 2 --set-mark 1", together);
    }

    #[test]
    fn what_nft_writes() {
        let set = |body: &mut Body, bytes: &[u8]| {
            Target::raise(&Item::MetaSet { key: NFT_META_MARK, value: Data::new(bytes).unwrap() }, V4, body)
        };
        let mut body = Body::default();
        assert!(!set(&mut body, &[1]));
        assert!(set(&mut body, &7u32.to_ne_bytes()));
        assert_eq!(body.action, Action::Target(parse(V4, None, "MARK --set-mark 7").unwrap()));
        assert!(!set(&mut body, &7u32.to_ne_bytes()), "a rule has one target");
    }

    #[test]
    fn it_changes_the_mark() {
        let mut packet = Ipv4::default() / Udp::default();
        packet.meta.mark = 0xff;
        assert_eq!(effect(V4, None, "MARK --set-xmark 0x3/0xf", &mut packet), Effect::Continue);
        assert_eq!(packet.meta.mark, 0xf3);
    }
}
