//! `-m devgroup`: the groups of the devices by which the packet comes and goes.
//!
//! # Matches
//! Packets whose incoming (outgoing) device is in a group whose number agrees with the value in the bits of the mask; `!` those where it does
//! not. What is given must hold both.
//! # Options
//! `[!] --src-group value[/mask]` (hooks PREROUTING, INPUT, FORWARD), `[!] --dst-group value[/mask]` (FORWARD, OUTPUT, POSTROUTING), u32 each,
//! or a name from iproute2's file `group`; at least one.
//! # Wire
//! xt `devgroup` revision 0: `struct xt_devgroup_info { u32 flags, src_group, src_mask, dst_group, dst_mask; }`, host order. What is not asked
//! for is zero.
//! Native: `meta load iifgroup` and `oifgroup`, `bitwise & mask` unless it is all ones, `cmp eq|neq` with the masked value.
//! # Evaluates
//! Unknown if a device's group is not known and the mask is not 0.
//! # Differs
//! A group is printed by its name only if that name is read as the same group again; stock prints the first name of the file. Stock's
//! `iptables-translate` translates `--dst-group` with the `!` of `--src-group`, and loses bits of a value outside its mask: here each has its
//! own, and the value is masked.
//! # Sources
//! iptables-extensions(8) "devgroup"; `linux/netfilter/xt_devgroup.h`.

use super::named_mark::NamedMark;
use crate::ext::limits::{INCOMING, Limit, OUTGOING};
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, NumberList, Out, Tri};
use crate::usage;
use crate::wire::consts::{NFT_META_IIFGROUP, NFT_META_OIFGROUP};
use crate::wire::{BlobWriter, ExprWriter};

/// The groups asked for: that of the incoming device, that of the outgoing one; `true` is inverted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DevGroup {
    src: Option<(NamedMark, bool)>,
    dst: Option<(NamedMark, bool)>,
}

const SRC: u8 = 0;
const DST: u8 = 1;
const LIST: NumberList = NumberList::DeviceGroups;

// XT_DEVGROUP_* (xt_devgroup.h); the inversion of a side is the bit behind it.
const MATCH_SRC: u32 = 0x1;
const MATCH_DST: u32 = 0x4;

const OPTIONS: &[Opt] = &[
    group("src-group", SRC, "group of the incoming device, under a mask or by its name"),
    group("dst-group", DST, "group of the outgoing device, under a mask or by its name"),
];

const fn group(name: &'static str, id: u8, help: &'static str) -> Opt {
    Opt::value(name, id, Kind::Raw, "value[/mask]", help).invertible().examples(&[
        "0",
        "5",
        "0x5/0xf",
        "010",
        "4294967295",
        "7/0",
        "0x30/0xf0",
        "9/0xffffffff",
        "+5/+6",
    ])
}

impl Extension for DevGroup {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@/FORWARD",
        limits: &[Limit::hooks(INCOMING).with("--src-group"), Limit::hooks(OUTGOING).with("--dst-group")],
        ..Spec::new("devgroup", 0, "matches the groups of the packet's devices")
    };

    fn new(_: Family) -> Self {
        Self { src: None, dst: None }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let group = NamedMark::parse(given.bytes(), LIST, cx, "devgroup", given.opt.name)?;
        *if given.id() == SRC { &mut self.src } else { &mut self.dst } = Some((group, given.negated));
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match seen {
            0 => Err(usage!("devgroup match: You must specify either '--src-group' or '--dst-group'")),
            _ => Ok(()),
        }
    }

    fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.print(out, cx, "--", false);
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.print(out, cx, "", cx.numeric);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        let flags = |side: Option<(NamedMark, bool)>, bit: u32| match side {
            Some((_, true)) => bit | bit << 1,
            Some((_, false)) => bit,
            None => 0,
        };
        b.u32(flags(self.src, MATCH_SRC) | flags(self.dst, MATCH_DST));
        for side in [self.src, self.dst] {
            let (group, _) = side.unwrap_or((NamedMark::ZERO, false));
            b.u32(group.value);
            b.u32(group.mask);
        }
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let u32_at = |at: usize| info.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b));
        let flags = u32_at(0)?;
        let side = |bit: u32, at: usize| {
            let group = NamedMark { value: u32_at(at)?, mask: u32_at(at + 4)? };
            Some((flags & bit != 0).then_some((group, flags & bit << 1 != 0)))
        };
        let (src, dst) = (side(MATCH_SRC, 4)?, side(MATCH_DST, 12)?);
        (src.is_some() || dst.is_some()).then_some(Self { src, dst })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        for (side, key) in [(self.src, NFT_META_IIFGROUP), (self.dst, NFT_META_OIFGROUP)] {
            let Some((NamedMark { value, mask }, invert)) = side else { continue };
            x.meta(key);
            if mask != u32::MAX {
                x.mask(&mask.to_ne_bytes());
            }
            x.cmp_eq(invert, &(value & mask).to_ne_bytes());
        }
        true
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        for (side, key) in [(self.src, "iifgroup"), (self.dst, "oifgroup")] {
            let Some((NamedMark { value, mask }, invert)) = side else { continue };
            out.str(if out.is_empty() { "" } else { " " });
            NamedMark { value: value & mask, mask }.translate(out, key, invert, LIST, cx.names);
        }
        true
    }
}

impl DevGroup {
    fn print(&self, out: &mut Out, cx: &PrintCx<'_>, dashes: &str, numeric: bool) {
        for (side, name) in [(self.src, "src-group "), (self.dst, "dst-group ")] {
            let Some((group, invert)) = side else { continue };
            out.str(if invert { " ! " } else { " " });
            out.str(dashes);
            out.str(name);
            group.print(out, LIST, cx.names, numeric);
        }
    }
}

impl MatchExt for DevGroup {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let test = |side: Option<(NamedMark, bool)>, group: Option<u32>| match (side, group) {
            (None, _) => Tri::True,
            (Some((asked, invert)), Some(group)) => Tri::from((group ^ asked.value) & asked.mask == 0).xor(invert),
            (Some((asked, invert)), None) if asked.mask == 0 => Tri::True.xor(invert),
            (Some(_), None) => Tri::Unknown,
        };
        test(self.src, packet.meta.iif_group).and(test(self.dst, packet.meta.oif_group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let row = |args: &str, save: &str, list: &str, hex: &str| {
                let (line, wire) = (format!("devgroup {args}"), format!("match devgroup 0 {hex:0<48}"));
                row(family, None, &line, &format!(" {save}"), &format!(" {list}"), &wire);
            };
            row("--src-group 5", "--src-group 0x5", "src-group 0x5", "0100000005000000ffffffff");
            row(
                "--dst-group 3 ! --src-group 0x5/0xf",
                "! --src-group 0x5/0xf --dst-group 0x3",
                "! src-group 0x5/0xf dst-group 0x3",
                "07000000050000000f00000003000000ffffffff",
            );
            row(
                "! --dst-group lan",
                "! --dst-group lan",
                "! dst-group 0x1",
                "0c000000000000000000000001000000ffffffff",
            );
            row("--src-group 0/0", "--src-group 0x0/0x0", "src-group 0x0/0x0", "01000000");
        }
        let named = read(V4, None, "devgroup --src-group 0 ! --dst-group 2").unwrap();
        assert_eq!(named.list(false), " src-group default ! dst-group wan");
        let none = "devgroup match: You must specify either '--src-group' or '--dst-group'";
        assert_eq!(error(V4, None, "devgroup"), none);
    }

    #[test]
    fn its_second_form_and_its_words_for_nft() {
        let value = |args: &str| read(V4, None, &format!("devgroup {args}")).unwrap();
        let both = value("! --src-group 0x15/0xf --dst-group 3");
        assert_eq!(both.native().unwrap(), "meta 21; & 0f000000; != 05000000; meta 22; == 03000000");
        assert_eq!(both.translation().unwrap(), "iifgroup and 0xf != 0x5 oifgroup 0x3");
        assert_eq!(value("! --dst-group lan").translation().unwrap(), "oifgroup != lan");
    }

    #[test]
    fn packets() {
        let mut packet = Ipv4::default() / Udp::default();
        let judge = |packet: &Packet, args: &str| read(V4, None, &format!("devgroup {args}")).unwrap().matches(packet);
        assert_eq!(judge(&packet, "--src-group 0"), Tri::Unknown);
        assert_eq!(judge(&packet, "--src-group 5/0 ! --dst-group 5/0"), Tri::False);
        packet.meta.iif_group = Some(0x15);
        for (args, expected) in [
            ("--src-group 0x15", Tri::True),
            ("--src-group 0x25/0xf", Tri::True),
            ("! --src-group 5/0xf", Tri::False),
            ("--src-group 5 --dst-group 1", Tri::False),
            ("--src-group 0x15 --dst-group 1", Tri::Unknown),
        ] {
            assert_eq!(judge(&packet, args), expected, "{args}");
        }
    }
}
