//! `-m connlabel`: a label of the packet's connection.
//!
//! # Matches
//! Packets of a connection that has the label; `!` all others, those without a connection included. With `--set` a connection that does not
//! have it is given it, and then has it; where the kernel has no room for it, it has not.
//! # Options
//! `[!] --label NAME`, a number (which goes before a name) or a name from connlabel.conf; `--set`. The kernel has the labels 0 to 127.
//! # Wire
//! xt `connlabel` revision 0: `struct xt_connlabel_mtinfo { u16 bit, options; }`, host order.
//! Native: with `--set`, `ct set label` and `ct load label`, `bitwise &`, `cmp neq 0`. Not for `!`: native expressions cannot match a packet
//! without a connection. Not without `--set`: only an xt rule, or one that sets labels, makes the kernel keep room for them.
//! # Evaluates
//! Unknown if the packet has no conntrack state, or no entry or labels where it should.
//! # Differs
//! Labels over 65535 are refused; stock takes them modulo 65536. A label is printed by its name only if that name is read as the same label again
//! (not if it is a number). `iptables-translate` writes numbers, for nft has another file of names, and has no translation for `!`, which in nft
//! would pass over packets without a connection. That the file of names cannot be read is said once a listing, not once a rule.
//! # Sources
//! iptables-extensions(8) "connlabel"; `linux/netfilter/xt_connlabel.h`.

use crate::ext::options::{Given, Kind, Opt, UsageError, number, usage_bytes};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::env::Env;
use crate::packet::{CtEntry, CtState, Packet};
use crate::types::{Family, Names, NumberList, Out, Tri};
use crate::wire::consts::{NFT_CT_LABELS, NFT_REG_1};
use crate::wire::{BlobWriter, ExprWriter};
use std::borrow::Cow;

/// A label, by its number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnLabel {
    bit: u16,
    invert: bool,
    set: bool,
}

const LABEL: u8 = 0;
const SET: u8 = 1;

// XT_CONNLABEL_OP_* (xt_connlabel.h).
const OP_INVERT: u16 = 1;
const OP_SET: u16 = 2;

/// The number of labels that the kernel has.
const LABELS: u16 = 128;

const OPTIONS: &[Opt] = &[
    Opt::value("label", LABEL, Kind::Text { min: 1, max: usize::MAX }, "name", "name or number of the label")
        .invertible()
        .mandatory()
        .examples(&["0", "1", "5", "31", "32", "127", "0x10", "010", "+7", "100"]),
    Opt::flag("set", SET, "give the connection the label"),
];

impl Extension for ConnLabel {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        stateful: true,
        ..Spec::new("connlabel", 0, "matches a label of the connection, or gives it one")
    };

    fn new(_: Family) -> Self {
        Self { bit: 0, invert: false, set: false }
    }

    fn warning(given: &Given<'_>, cx: &ParseCx<'_>) -> Option<Cow<'static, str>> {
        let named = given.id() == LABEL && number(given.bytes(), 0, u64::MAX).is_none();
        let why = if named { cx.names.number_list_error(NumberList::ConnLabels) } else { None }?;
        Some(format!("Warning: cannot open /etc/{}: {why}", NumberList::ConnLabels.file()).into())
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        if given.id() == SET {
            self.set = true;
            return Ok(());
        }
        let text = given.bytes();
        let bit = match number(text, 0, u64::MAX) {
            Some(number) => u16::try_from(number).ok(),
            None => cx.names.number(NumberList::ConnLabels, text).and_then(|n| u16::try_from(n).ok()),
        };
        self.bit = bit.ok_or_else(|| usage_bytes("label '", text, "' not found or invalid value"))?;
        self.invert = given.negated;
        Ok(())
    }

    fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(if self.invert { " ! --label \"" } else { " --label \"" });
        match self.name(cx.names) {
            Some(name) => out.bytes(&name),
            None => out.dec(u64::from(self.bit)),
        }
        out.str(if self.set { "\" --set" } else { "\"" });
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(if self.invert { " connlabel ! " } else { " connlabel " });
        match self.name(cx.names).filter(|_| !cx.numeric) {
            Some(name) => {
                out.byte(b'\'');
                out.bytes(&name);
                out.byte(b'\'');
            }
            None => out.dec(u64::from(self.bit)),
        }
        out.str(if self.set { " set" } else { "" });
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u16(self.bit);
        b.u16(if self.invert { OP_INVERT } else { 0 } | if self.set { OP_SET } else { 0 });
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [b0, b1, o0, o1, ..] = *info else { return None };
        let options = u16::from_ne_bytes([o0, o1]);
        let (invert, set) = (options & OP_INVERT != 0, options & OP_SET != 0);
        Some(Self { bit: u16::from_ne_bytes([b0, b1]), invert, set })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if self.invert || !self.set || self.bit >= LABELS {
            return false;
        }
        let bit = (1u128 << self.bit).to_le_bytes();
        x.immediate(NFT_REG_1, &bit);
        x.ct_set(NFT_CT_LABELS, None);
        x.ct(NFT_CT_LABELS, None);
        x.mask(&bit);
        x.cmp_eq(true, &[0; 16]);
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let bit = self.bit;
        if self.invert || bit >= LABELS {
            return false;
        }
        if self.set {
            write!(out, "ct label set {bit} ");
        }
        write!(out, "ct label {bit}");
        true
    }
}

impl ConnLabel {
    /// The name by which it can be read again.
    fn name(&self, names: &dyn Names) -> Option<Vec<u8>> {
        let bit = u32::from(self.bit);
        let name = names.number_name(NumberList::ConnLabels, bit)?;
        let read = number(&name, 0, u64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok());
        let same = read.or_else(|| names.number(NumberList::ConnLabels, &name)) == Some(bit);
        let sayable = name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b' '));
        (same && sayable).then_some(name)
    }

    /// Whether the connection has it; gives it to it, if asked to. What rules gave is kept by the connection's original direction.
    fn look(&self, entry: &CtEntry, env: &mut Env<'_>) -> Tri {
        let given = env.state.cell::<u128>("connlabel", format!("{:?}", entry.original).as_bytes());
        let bit = 1u128.checked_shl(u32::from(self.bit)).unwrap_or(0);
        if self.set {
            *given |= bit;
        }
        match entry.facts.labels {
            _ if *given & bit != 0 => Tri::True,
            Some(labels) => Tri::from(labels & bit != 0),
            None => Tri::Unknown,
        }
    }
}

impl MatchExt for ConnLabel {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let Some(ct) = &packet.meta.ct else { return Tri::Unknown };
        let has = match &ct.entry {
            Some(entry) => self.look(entry, env),
            None if matches!(ct.state, CtState::Invalid | CtState::Untracked) => Tri::False,
            None => Tri::Unknown,
        };
        has.xor(self.invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{entry, error, read, row, with_env};
    use crate::packet::Conntrack;
    use crate::packet::build::{Ipv4, Udp};
    use crate::packet::env::UnknownHost;
    use crate::types::Family::{V4, V6};
    use crate::types::{Hook, NoNames};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            for (args, save, list, hex) in [
                ("--label 5", "--label \"5\"", "5", "0500000000000000"),
                ("! --label 127 --set", "! --label \"127\" --set", "! 127 set", "7f00030000000000"),
                ("--set --label 0x10", "--label \"16\" --set", "16 set", "1000020000000000"),
                ("--label 4", "--label \"bulk one\"", "4", "0400000000000000"),
                ("--label 6", "--label \"6\"", "6", "0600000000000000"),
            ] {
                let (line, save, list) =
                    (format!("connlabel {args}"), format!(" {save}"), format!(" connlabel {list}"));
                row(family, None, &line, &save, &list, &format!("match connlabel 0 {hex}"));
            }
        }
        assert_eq!(read(V4, None, "connlabel ! --label 4 --set").unwrap().list(false), " connlabel ! 'bulk one' set");
        assert_eq!(read(V4, None, "connlabel --label 3").unwrap().list(false), " connlabel 3");
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let unknown = |s: &str| format!("label '{s}' not found or invalid value");
        for (args, text) in [
            (" --label nosuch", unknown("nosuch")),
            (" --label 5x", unknown("5x")),
            (" --label -1", unknown("-1")),
            (" --label 65536", unknown("65536")),
            (" --label 4294967296", unknown("4294967296")),
            (" --label ", "Argument must have a minimum length of 1 characters\n".to_owned()),
            (" --set", "connlabel: option \"--label\" must be specified\n".to_owned()),
            (" --label 1 --label 2", "connlabel: option \"--label\" can only be used once.\n".to_owned()),
        ] {
            assert_eq!(error(V4, None, &format!("connlabel{args}")), text, "{args}");
        }
    }

    #[test]
    fn a_file_that_is_missing() {
        let cx = ParseCx { family: V4, names: &NoNames, protocol: None };
        let warning = |value: &str| {
            let given = crate::ext::options::give(&ConnLabel::SPEC, &OPTIONS[0], false, 0, value.as_bytes(), &cx);
            ConnLabel::warning(&given.unwrap(), &cx).map(Cow::into_owned)
        };
        let expected = "Warning: cannot open /etc/xtables/connlabel.conf: No such file or directory";
        assert_eq!(warning("x").as_deref(), Some(expected));
        assert_eq!((warning("5"), warning("4294967296")), (None, None));
    }

    #[test]
    fn its_second_form_and_its_words_for_nft() {
        let value = |args: &str| read(V4, None, &format!("connlabel {args}")).unwrap();
        for args in ["--label 5", "! --label 5 --set", "--label 128 --set"] {
            assert_eq!(value(args).native(), None, "{args}");
        }
        let bit = format!("20{}", "00".repeat(15));
        let (zero, native) = ("00".repeat(16), value("--label 5 --set").native().unwrap());
        assert!(native.ends_with(&format!("; ct 2=0000000d 1=00000001; & {bit}; != {zero}")), "{native}");
        assert_eq!(value("--label 5").translation().as_deref(), Some("ct label 5"));
        assert_eq!(value("--label 5 --set").translation().as_deref(), Some("ct label set 5 ct label 5"));
        assert_eq!(value("! --label 5").translation(), None);
    }

    #[test]
    fn packets() {
        let mut packet = Ipv4::default() / Udp::default();
        let rule = |args: &str| read(V4, None, &format!("connlabel {args}")).unwrap();
        assert_eq!(rule("--label 5").matches(&packet), Tri::Unknown);
        packet.meta.ct = Some(Conntrack::INVALID);
        assert_eq!(rule("--label 5 --set").matches(&packet), Tri::False);
        assert_eq!(rule("! --label 5").matches(&packet), Tri::True);
        packet.meta.ct = Some(entry(|e| e.facts.labels = Some(1 << 5)));
        with_env(Hook::Input, &UnknownHost, |env| {
            for (args, expected) in [
                ("--label 5", true),
                ("! --label 5", false),
                ("--label 6", false),
                ("--label 127 --set", true),
                ("--label 127", true),
                ("! --label 6 --set", false),
                ("--label 6", true),
            ] {
                assert_eq!(rule(args).ext.eval(&packet, env), Tri::from(expected), "{args}");
            }
        });
    }
}
