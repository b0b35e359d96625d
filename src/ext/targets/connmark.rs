//! `-j CONNMARK`: changes the mark of the packet's connection, or copies it from or to the packet's mark.
//!
//! # Options
//! One of `--set-xmark value[/mask]` (clear the mask's bits, XOR the value), `--set-mark value[/mask]` (clear, OR), `--and-mark`, `--or-mark`,
//! `--xor-mark bits`, `--save-mark`, `--restore-mark`; with any, `--nfmask`, `--ctmask mask` or `--mask` for both; and `--left-shift-mark` or
//! `--right-shift-mark bits`. Options work in the order in which they stand: `--ctmask` behind `--set-mark` replaces its mask.
//! # Wire
//! xt `CONNMARK` revision 2: `struct xt_connmark_tginfo2 { u32 ctmark, ctmask, nfmask; u8 shift_dir, shift_bits, mode; }`, host order; direction
//! 0 left, mode 0 set, 1 save, 2 restore. Native: `ct mark set …` and `meta mark set …`, where the mark that is changed is not needed beside the
//! one that is copied, because before Linux 6.13 nf_tables does not combine two of them. (In table raw behind a `-j CT`, where the packet has
//! only a template of a connection, the xt form writes into that, which no packet sees.)
//! # Evaluates
//! set: `ctmark = ((ctmark & ~ctmask) ^ value) shifted`; save: `ctmark = (ctmark & ~ctmask) ^ ((nfmark & nfmask) shifted)`; restore: `nfmark =
//! (nfmark & ~nfmask) ^ ((ctmark & ctmask) shifted)`. A packet without connection is left alone; the walk goes on. Unknown if a mark is
//! restored that is not known.
//! # Differs
//! There is no translation of what stock's means otherwise: `--save-mark` and `--restore-mark` with a mask (the bits outside it are kept, stock's
//! words clear them), `--set-xmark` with a mask, a shifted number (nft does not read it).
//! # Sources
//! iptables-extensions(8) "CONNMARK"; `linux/netfilter/xt_connmark.h`; fact sheet 3.4; measured.

use crate::ext::options::{Given, Kind, Opt, UsageError, bit};
use crate::ext::{Effect, Extension, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::env::Env;
use crate::packet::{CtState, Packet};
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::consts::{NFT_CT_MARK, NFT_META_MARK, NFT_REG_1};
use crate::wire::{BlobWriter, ExprWriter};

/// Values in host order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnMark {
    mode: Mode,
    ctmark: u32,
    ctmask: u32,
    nfmask: u32,
    right: bool,
    /// 0 to 32; the kernel takes less than 32.
    shift: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Mode {
    Set,
    Save,
    Restore,
}

const ALL: u32 = u32::MAX;

const SET_XMARK: u8 = 0;
const SET_MARK: u8 = 1;
const AND_MARK: u8 = 2;
const OR_MARK: u8 = 3;
const XOR_MARK: u8 = 4;
const SAVE: u8 = 5;
const RESTORE: u8 = 6;
const LEFT: u8 = 7;
const RIGHT: u8 = 8;
const CTMASK: u8 = 9;
const NFMASK: u8 = 10;
const MASK: u8 = 11;
/// The operations: one excludes the others.
const ANY: u32 =
    bit(SET_XMARK) | bit(SET_MARK) | bit(AND_MARK) | bit(OR_MARK) | bit(XOR_MARK) | bit(SAVE) | bit(RESTORE);

const U32: Kind = Kind::Number { min: 0, max: u32::MAX as u64 };
const BITS: Kind = Kind::Number { min: 0, max: 32 };
const MASKS: &[&str] = &["0", "1", "0xff", "0xffff0000", "0xffffffff"];
const NUMBERS: &[&str] = &["0", "1", "0x0f", "0xff00", "4294967295"];
const SHIFTS: &[&str] = &["0", "1", "3", "16", "31"];

const OPTIONS: &[Opt] = &[
    Opt::value("set-xmark", SET_XMARK, Kind::MarkMask, "value[/mask]", "clear the mask's bits and XOR the value")
        .excluding(ANY)
        .examples(&["0x5", "0/0", "0xff/0xff", "0x5/0xff", "5/0xffff0000", "0xffffffff/0xffffffff"]),
    Opt::value("set-mark", SET_MARK, Kind::MarkMask, "value[/mask]", "clear the mask's bits and OR the value")
        .excluding(ANY)
        .examples(&["1", "0", "0xff/0xf", "0x5/0xff", "7/0"]),
    Opt::value("and-mark", AND_MARK, U32, "bits", "AND the mark with bits").excluding(ANY).examples(NUMBERS),
    Opt::value("or-mark", OR_MARK, U32, "bits", "OR the mark with bits").excluding(ANY).examples(NUMBERS),
    Opt::value("xor-mark", XOR_MARK, U32, "bits", "XOR the mark with bits").excluding(ANY).examples(NUMBERS),
    Opt::flag("save-mark", SAVE, "copy the packet's mark to the connection").excluding(ANY),
    Opt::flag("restore-mark", RESTORE, "copy the connection's mark to the packet").excluding(ANY),
    Opt::value("left-shift-mark", LEFT, BITS, "bits", "shift the mark to the left").examples(SHIFTS),
    Opt::value("right-shift-mark", RIGHT, BITS, "bits", "shift the mark to the right").examples(SHIFTS),
    Opt::value("ctmask", CTMASK, U32, "mask", "the bits of the connection's mark that are meant")
        .excluding(bit(MASK))
        .examples(MASKS),
    Opt::value("nfmask", NFMASK, U32, "mask", "the bits of the packet's mark that are meant")
        .excluding(bit(MASK))
        .examples(MASKS),
    Opt::value("mask", MASK, U32, "mask", "both").excluding(bit(CTMASK) | bit(NFMASK)).examples(MASKS),
];

impl Extension for ConnMark {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        limits: &[
            crate::ext::limits::Limit::never("--left-shift-mark 32"),
            crate::ext::limits::Limit::never("--right-shift-mark 32"),
        ],
        ..Spec::new("CONNMARK", 2, "sets, saves or restores the connection's mark")
    };

    fn new(_: Family) -> Self {
        Self { mode: Mode::Set, ctmark: 0, ctmask: ALL, nfmask: ALL, right: false, shift: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            SET_XMARK => (self.ctmark, self.ctmask) = given.mark(),
            SET_MARK => {
                let (value, mask) = given.mark();
                (self.ctmark, self.ctmask) = (value, value | mask);
            }
            AND_MARK => (self.ctmark, self.ctmask) = (0, !given.u32()),
            OR_MARK => (self.ctmark, self.ctmask) = (given.u32(), given.u32()),
            XOR_MARK => (self.ctmark, self.ctmask) = (given.u32(), 0),
            SAVE => self.mode = Mode::Save,
            RESTORE => self.mode = Mode::Restore,
            LEFT | RIGHT => (self.right, self.shift) = (given.id() == RIGHT, given.u8()),
            CTMASK => self.ctmask = given.u32(),
            NFMASK => self.nfmask = given.u32(),
            _ => (self.ctmask, self.nfmask) = (given.u32(), given.u32()),
        }
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen & ANY == 0 { Err(usage!("CONNMARK target: No operation specified")) } else { Ok(()) }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        match self.mode {
            Mode::Set => write!(out, " --set-xmark {:#x}/{:#x}", self.ctmark, self.ctmask),
            Mode::Save => write!(out, " --save-mark --nfmask {:#x} --ctmask {:#x}", self.nfmask, self.ctmask),
            Mode::Restore => write!(out, " --restore-mark --nfmask {:#x} --ctmask {:#x}", self.nfmask, self.ctmask),
        }
        self.print_shift(out, " --");
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        let (ct, nf) = (self.ctmask, self.nfmask);
        out.str(" CONNMARK ");
        match (self.mode, self.ctmark) {
            (Mode::Set, 0) => write!(out, "and {:#x}", !ct),
            (Mode::Set, value) if value == ct => write!(out, "or {value:#x}"),
            (Mode::Set, value) if ct == 0 => write!(out, "xor {value:#x}"),
            (Mode::Set, value) if ct == ALL => write!(out, "set {value:#x}"),
            (Mode::Set, value) => write!(out, "xset {value:#x}/{ct:#x}"),
            (Mode::Save, _) if (ct, nf) == (ALL, ALL) => out.str("save"),
            (Mode::Save, _) if ct == nf => write!(out, "save mask {ct:#x}"),
            (Mode::Save, _) => write!(out, "save nfmask {nf:#x} ctmask ~{ct:#x}"),
            (Mode::Restore, _) if (ct, nf) == (ALL, ALL) => out.str("restore"),
            (Mode::Restore, _) if ct == nf => write!(out, "restore mask {ct:#x}"),
            (Mode::Restore, _) => write!(out, "restore ctmask {ct:#x} nfmask ~{nf:#x}"),
        }
        self.print_shift(out, " ");
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(self.ctmark);
        b.u32(self.ctmask);
        b.u32(self.nfmask);
        b.u8(u8::from(self.right));
        b.u8(self.shift);
        b.u8(match self.mode {
            Mode::Set => 0,
            Mode::Save => 1,
            Mode::Restore => 2,
        });
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let (ctmark, rest) = info.split_first_chunk()?;
        let (ctmask, rest) = rest.split_first_chunk()?;
        let (nfmask, rest) = rest.split_first_chunk()?;
        let [right, shift, mode, ..] = *rest else { return None };
        let mode = match mode {
            0 => Mode::Set,
            1 => Mode::Save,
            2 => Mode::Restore,
            _ => return None,
        };
        Some(Self {
            mode,
            ctmark: u32::from_ne_bytes(*ctmark),
            ctmask: u32::from_ne_bytes(*ctmask),
            nfmask: u32::from_ne_bytes(*nfmask),
            right: right == 1,
            shift,
        })
        .filter(|_| right <= 1 && shift <= 32)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if self.shift > 31 {
            return false;
        }
        match self.mode {
            Mode::Set if self.ctmask == ALL => {
                x.immediate(NFT_REG_1, &self.shifted(self.ctmark).to_ne_bytes());
                x.ct_set(NFT_CT_MARK, None);
            }
            Mode::Set => {
                x.ct(NFT_CT_MARK, None);
                self.change(!self.ctmask, self.ctmark, x);
                x.ct_set(NFT_CT_MARK, None);
            }
            Mode::Save if self.ctmask == ALL => {
                x.meta(NFT_META_MARK);
                self.change(self.nfmask, 0, x);
                x.ct_set(NFT_CT_MARK, None);
            }
            Mode::Restore if self.nfmask == ALL => {
                x.ct(NFT_CT_MARK, None);
                self.change(self.ctmask, 0, x);
                x.meta_set(NFT_META_MARK, NFT_REG_1);
            }
            Mode::Save | Mode::Restore => return false,
        }
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let (ct, nf, value) = (self.ctmask, self.nfmask, self.ctmark);
        let (into, from) = match (self.mode, value) {
            // The blank at the end is stock's; it shows in front of a comment.
            (Mode::Set, value) if ct == ALL && self.shift == 0 => ("ct", format!("{value:#x} ")),
            (Mode::Set, _) if ct == ALL => return false,
            (Mode::Set, 0) => ("ct", format!("ct mark and {:#x}", !ct)),
            (Mode::Set, value) if value == ct => ("ct", format!("ct mark or {value:#x}")),
            (Mode::Set, value) if ct == 0 => ("ct", format!("ct mark xor {value:#x}")),
            (Mode::Save, _) if (ct, nf) == (ALL, ALL) => ("ct", "mark".to_owned()),
            (Mode::Restore, _) if (ct, nf) == (ALL, ALL) => ("meta", "ct mark".to_owned()),
            _ => return false,
        };
        match (self.shift, self.right) {
            (0, _) => write!(out, "{into} mark set {from}"),
            (bits @ 1..32, false) => write!(out, "{into} mark set ( {from} ) << {bits}"),
            (bits @ 1..32, true) => write!(out, "{into} mark set ( {from} ) >> {bits}"),
            _ => return false,
        }
        true
    }
}

impl ConnMark {
    fn print_shift(&self, out: &mut Out, before: &str) {
        if self.shift != 0 {
            let direction = if self.right { "right" } else { "left" };
            write!(out, "{before}{direction}-shift-mark {}", self.shift);
        }
    }

    fn shifted(&self, mark: u32) -> u32 {
        // By 32 is not taken by the kernel.
        let bits = u32::from(self.shift);
        if self.right { mark.wrapping_shr(bits) } else { mark.wrapping_shl(bits) }
    }

    /// Native expressions for `reg = ((reg & mask) ^ xor) shifted`.
    fn change(&self, mask: u32, xor: u32, x: &mut ExprWriter<'_>) {
        if (mask, xor) != (ALL, 0) {
            x.bitwise(&mask.to_ne_bytes(), &xor.to_ne_bytes());
        }
        if self.shift != 0 {
            x.shift(!self.right, u32::from(self.shift), 4);
        }
    }
}

impl TargetExt for ConnMark {
    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        let meta = &mut packet.meta;
        let known = match &mut meta.ct {
            Some(ct) if matches!(ct.state, CtState::Invalid | CtState::Untracked) => return Effect::Continue,
            Some(ct) => ct.entry.as_mut(),
            None => None,
        };
        let Some(entry) = known else {
            return if self.mode == Mode::Restore { Effect::Unknown } else { Effect::Continue };
        };
        match self.mode {
            Mode::Set => entry.mark = self.shifted(entry.mark & !self.ctmask ^ self.ctmark),
            Mode::Save => entry.mark = entry.mark & !self.ctmask ^ self.shifted(meta.mark & self.nfmask),
            Mode::Restore => meta.mark = meta.mark & !self.nfmask ^ self.shifted(entry.mark & self.ctmask),
        }
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::Effect;
    use crate::ext::matches::testing::entry;
    use crate::ext::targets::testing::{effect, error, row, ways};
    use crate::packet::Conntrack;
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, save, list, hex) in [
            ("--set-mark 0xff/0xf", "--set-xmark 0xff/0xff", "or 0xff", "ff000000ff000000ffffffff00000000"),
            ("--set-xmark 0/0", "--set-xmark 0x0/0x0", "and 0xffffffff", "0000000000000000ffffffff00000000"),
            ("--set-mark 5", "--set-xmark 0x5/0xffffffff", "set 0x5", "05000000ffffffffffffffff00000000"),
            ("--set-mark 1 --mask 3", "--set-xmark 0x1/0x3", "xset 0x1/0x3", "01000000030000000300000000000000"),
            ("--mask 3 --and-mark 1", "--set-xmark 0x0/0xfffffffe", "and 0x1", "00000000feffffff0300000000000000"),
            ("--xor-mark 15", "--set-xmark 0xf/0x0", "xor 0xf", "0f00000000000000ffffffff00000000"),
            (
                "--set-mark 1 --right-shift-mark 0",
                "--set-xmark 0x1/0xffffffff",
                "set 0x1",
                "01000000ffffffffffffffff01000000",
            ),
            (
                "--set-xmark 1 --right-shift-mark 5 --left-shift-mark 3",
                "--set-xmark 0x1/0xffffffff --left-shift-mark 3",
                "set 0x1 left-shift-mark 3",
                "01000000ffffffffffffffff00030000",
            ),
            (
                "--save-mark",
                "--save-mark --nfmask 0xffffffff --ctmask 0xffffffff",
                "save",
                "00000000ffffffffffffffff00000100",
            ),
            (
                "--save-mark --nfmask 1",
                "--save-mark --nfmask 0x1 --ctmask 0xffffffff",
                "save nfmask 0x1 ctmask ~0xffffffff",
                "00000000ffffffff0100000000000100",
            ),
            (
                "--restore-mark --ctmask 1",
                "--restore-mark --nfmask 0xffffffff --ctmask 0x1",
                "restore ctmask 0x1 nfmask ~0xffffffff",
                "0000000001000000ffffffff00000200",
            ),
            (
                "--restore-mark --mask 5 --left-shift-mark 1",
                "--restore-mark --nfmask 0x5 --ctmask 0x5 --left-shift-mark 1",
                "restore mask 0x5 left-shift-mark 1",
                "00000000050000000500000000010200",
            ),
        ] {
            for family in [V4, V6] {
                row(family, None, &format!("CONNMARK {words}"), save, &format!(" CONNMARK {list}"), hex);
            }
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let together = |a, b| format!("CONNMARK: option \"--{a}\" cannot be used together with \"--{b}\".\n");
        for (words, text) in [
            ("", "CONNMARK target: No operation specified".to_owned()),
            ("--mask 1", "CONNMARK target: No operation specified".to_owned()),
            ("--set-mark 1 --set-xmark 1", together("set-xmark", "set-mark")),
            ("--restore-mark --save-mark --set-mark 1", together("set-mark", "save-mark")),
            ("--save-mark --mask 1 --nfmask 1", together("nfmask", "mask")),
            (
                "--save-mark --left-shift-mark 33",
                "CONNMARK: bad value for option \"--left-shift-mark\", or out of range (0-32).\n".to_owned(),
            ),
        ] {
            error(V4, None, &format!("CONNMARK {words}"), &text);
        }
    }

    #[test]
    fn in_other_words() {
        let imm = "Immediate { dreg: 1, data: [8, 0, 0, 0] }";
        let (load, set) = ("ct 2=00000003 1=00000001", "ct 2=00000003 4=00000001");
        let shift = "bitwise 1=00000001 2=00000001 3=00000004 6=00000001 7=0800010003000000";
        for (words, native, translation) in [
            ("--set-mark 1 --left-shift-mark 3", Some(format!("{imm}; {set}")), None),
            ("--set-mark 8", Some(format!("{imm}; {set}")), Some("ct mark set 0x8 ")),
            ("--or-mark 1", Some(format!("{load}; & feffffff; {set}")), Some("ct mark set ct mark or 0x1")),
            ("--set-xmark 1/3", Some(format!("{load}; & fcffffff; {set}")), None),
            (
                "--and-mark 1 --left-shift-mark 3",
                Some(format!("{load}; & 01000000; {shift}; {set}")),
                Some("ct mark set ( ct mark and 0x1 ) << 3"),
            ),
            ("--save-mark", Some(format!("meta 3; {set}")), Some("ct mark set mark")),
            ("--save-mark --nfmask 1", Some(format!("meta 3; & 01000000; {set}")), None),
            ("--save-mark --mask 1", None, None),
            ("--restore-mark", Some(format!("{load}; MetaSet {{ key: 3, sreg: 1 }}")), Some("meta mark set ct mark")),
            ("--restore-mark --mask 1", None, None),
        ] {
            ways(V4, None, &format!("CONNMARK {words}"), native.as_deref(), translation);
        }
    }

    #[test]
    fn marks_are_set_saved_and_restored() {
        let mut packet = Ipv4::default() / Udp::default();
        packet.meta.mark = 0xf5;
        assert_eq!(effect(V4, None, "CONNMARK --restore-mark", &mut packet), Effect::Unknown);
        packet.meta.ct = Some(Conntrack::UNTRACKED);
        assert_eq!(effect(V4, None, "CONNMARK --restore-mark", &mut packet), Effect::Continue);
        packet.meta.ct = Some(entry(|e| e.mark = 0x100));
        let mark = |packet: &crate::packet::Packet| packet.meta.ct.clone().unwrap().entry.unwrap().mark;
        effect(V4, None, "CONNMARK --save-mark --mask 0xf0 --right-shift-mark 4", &mut packet);
        assert_eq!(mark(&packet), 0x10f);
        effect(V4, None, "CONNMARK --xor-mark 0xff --left-shift-mark 1", &mut packet);
        assert_eq!(mark(&packet), 0x3e0);
        effect(V4, None, "CONNMARK --restore-mark --nfmask 0xf --ctmask 0xff00", &mut packet);
        assert_eq!(packet.meta.mark, 0x3f0);
    }
}
