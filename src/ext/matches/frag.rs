//! `-m frag`: the fragment header of IPv6.
//!
//! # Matches
//! Packets with a fragment header whose identification lies in a range (`!`: outside), whose reserved bits are nought, which is the first
//! fragment, which has or has not more behind it; what is given must all hold. The kernel does not look at the length.
//! # Options
//! `[!] --fragid ID[:ID]`, 0 to 4294967295; `[!] --fraglen BYTES`; `--fragres`; `--fragfirst`; `--fragmore` or `--fraglast`.
//! # Wire
//! xt `frag` revision 0: `struct ip6t_frag { u32 ids[2], hdrlen; u8 flags, invflags; }`, host order, 14 bytes and padding.
//! Native: the identification is loaded and compared, then the first four bytes masked and compared; a packet that is cut off is no match (in
//! xt it is dropped).
//! # Evaluates
//! Always known. A packet that is cut off in the header, or before it in the chain, is dropped at once.
//! # Differs
//! `! --fragid 0:4294967295`, which no packet meets, is printed; stock prints nothing there. There is no translation of `--fragres` (stock's
//! asks for a reserved byte of 1) nor where nothing else is asked (stock's matches every packet).
//! # Sources
//! ip6tables-extensions(8) "frag"; `linux/netfilter_ipv6/ip6t_frag.h`; RFC 8200 §4.5.

use super::headers::{self, load_extension};
use super::numbers::{EXAMPLES, KIND, Numbers};
use crate::ext::options::{Given, Kind, Opt, UsageError, bit};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::ipv6::FRAGMENT;
use crate::types::{Family, Out, Tri};
use crate::wire::{BlobWriter, ExprWriter};

/// What is asked of the header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frag {
    ids: Numbers,
    /// Length in bytes.
    len: u32,
    not_len: bool,
    /// `IP6T_FRAG_*`: what is given.
    flags: u8,
}

const ID: u8 = 0;
const LEN: u8 = 1;
const RESERVED: u8 = 2;
const FIRST: u8 = 3;
const MORE: u8 = 4;
const LAST: u8 = 5;

const ALL_FLAGS: u8 = 0x3f;

/// The options without a value, with the words of the list, in the order in which they are printed.
const FLAGS: [(u8, &str, &str); 4] = [
    (1 << RESERVED, " --fragres", " reserved"),
    (1 << FIRST, " --fragfirst", " first"),
    (1 << MORE, " --fragmore", " more"),
    (1 << LAST, " --fraglast", " last"),
];

const OPTIONS: &[Opt] = &[
    Opt::value("fragid", ID, KIND, "id[:id]", "identification").invertible().examples(EXAMPLES),
    Opt::value("fraglen", LEN, Kind::Number { min: 0, max: u32::MAX as u64 }, "length", "taken, but not looked at")
        .invertible()
        .examples(&["0", "8", "0x10", "4294967295"]),
    Opt::flag("fragres", RESERVED, "the reserved bits are 0"),
    Opt::flag("fragfirst", FIRST, "the first fragment"),
    Opt::flag("fragmore", MORE, "more fragments follow").excluding(bit(LAST)),
    Opt::flag("fraglast", LAST, "the last fragment"),
];

impl Extension for Frag {
    const SPEC: Spec =
        Spec { families: &[Family::V6], options: OPTIONS, ..Spec::new("frag", 0, "matches the fragment header") };

    fn new(_: Family) -> Self {
        Self { ids: Numbers::ALL, len: 0, not_len: false, flags: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            ID => self.ids = Numbers::given(given),
            LEN => (self.len, self.not_len) = (given.u32(), given.negated),
            _ => {}
        }
        self.flags |= 1 << given.id().min(LAST);
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.ids.save("fragid", out);
        if self.has(LEN) {
            write!(out, "{} --fraglen {}", if self.not_len { " !" } else { "" }, self.len);
        }
        for (_, option, _) in FLAGS.iter().filter(|(flag, ..)| self.flags & flag != 0) {
            out.str(option);
        }
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" frag ");
        self.ids.list("id", out);
        if self.has(LEN) {
            write!(out, " length:{}{}", if self.not_len { "!" } else { "" }, self.len);
        }
        for (_, _, word) in FLAGS.iter().filter(|(flag, ..)| self.flags & flag != 0) {
            out.str(word);
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        self.ids.blob(b);
        b.u32(self.len);
        b.u8(self.flags);
        b.u8(u8::from(self.ids.invert) | u8::from(self.not_len) << 1);
        b.align(4);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [a, b, c, d, flags, invert] = *info.get(8..)?.first_chunk()?;
        let ids = Numbers::decode(info, 0, invert & 1 != 0)?;
        let frag = Self { ids, len: u32::from_ne_bytes([a, b, c, d]), not_len: invert & 2 != 0, flags };
        // The kernel compares the identification whether or not it is told to; what is not given has no value.
        let sayable = flags & !ALL_FLAGS == 0
            && !(frag.has(MORE) && frag.has(LAST))
            && (frag.has(ID) || ids.is_all())
            && (frag.has(LEN) || (frag.len, frag.not_len) == (0, false));
        sayable.then_some(frag)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        load_extension(FRAGMENT, 4, 4, x);
        self.ids.native(4, x);
        let (mask, value) = self.field();
        if mask != 0 {
            load_extension(FRAGMENT, 0, 4, x);
            x.mask(&mask.to_be_bytes());
            x.cmp_eq(false, &value.to_be_bytes());
        }
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        if self.has(RESERVED) || self.ids.is_all() && !(self.has(FIRST) || self.has(MORE) || self.has(LAST)) {
            return false;
        }
        let before = out.len();
        if !self.ids.is_all() && !self.ids.translate("frag id", u32::MAX, out) {
            return false;
        }
        let tests = [(FIRST, "frag frag-off 0"), (MORE, "frag more-fragments 1"), (LAST, "frag more-fragments 0")];
        for (_, words) in tests.iter().filter(|(id, _)| self.has(*id)) {
            out.str(if out.len() > before { " " } else { "" });
            out.str(words);
        }
        true
    }
}

impl Frag {
    fn has(&self, id: u8) -> bool {
        self.flags & (1 << id) != 0
    }

    /// The bits of the first four bytes, big-endian, that are looked at, and what they must be.
    fn field(&self) -> (u32, u32) {
        let asked = [(RESERVED, 0x00ff_0006, 0), (FIRST, 0xfff8, 0), (MORE, 1, 1), (LAST, 1, 0)];
        let given = asked.iter().filter(|(id, ..)| self.has(*id));
        given.fold((0, 0), |(mask, value), (_, bits, set)| (mask | bits, value | set))
    }
}

impl MatchExt for Frag {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let Some([a, b, c, d, e, f, g, h, ..]) = headers::extension(packet, FRAGMENT, 8, env) else {
            return Tri::False;
        };
        let (mask, value) = self.field();
        let word = |bytes| u32::from_be_bytes(bytes);
        Tri::from(self.ids.contains(word([*e, *f, *g, *h])) && word([*a, *b, *c, *d]) & mask == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised, read, row};
    use crate::packet::build::{Ipv6, Raw};
    use crate::types::Family::V6;

    #[test]
    fn what_stock_writes_and_prints() {
        for (args, save, info, list) in [
            ("", "", "00000000ffffffff0000000000000000", " frag "),
            (" --fragid 5", " --fragid 5", "05000000050000000000000001000000", " frag id:5"),
            (" --fragid :", "", "00000000ffffffff0000000001000000", " frag "),
            (" ! --fraglen 8", " ! --fraglen 8", "00000000ffffffff0800000002020000", " frag  length:!8"),
            (" --fraglast", " --fraglast", "00000000ffffffff0000000020000000", " frag  last"),
            (
                " --fragmore --fragfirst --fragres ! --fraglen 5 ! --fragid 7",
                " ! --fragid 7 ! --fraglen 5 --fragres --fragfirst --fragmore",
                "0700000007000000050000001f030000",
                " frag id:!7 length:!5 reserved first more",
            ),
        ] {
            row(V6, None, &format!("frag{args}"), save, list, &format!("match frag 0 {info}"));
        }
        for bytes in [[0x30, 0], [0x40, 0], [0, 2], [2, 4]] {
            let info = [vec![0; 4], vec![0xff; 4], vec![0; 4], bytes.to_vec()].concat();
            assert!(raised(V6, None, |x| x.xt_match("frag", 0, |b| b.bytes(&info))).is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let both = "frag: option \"--fragmore\" cannot be used together with \"--fraglast\".\n";
        for (args, text) in [
            (" --fraglast --fragmore", both),
            (" --fragmore --fraglast", both),
            (" ! --fragfirst", "frag: option \"--fragfirst\" cannot be inverted.\n"),
            (" --fraglen x", "frag: bad value for option \"--fraglen\", or out of range (0-4294967295).\n"),
            (" --fragid 5x", "frag: Argument to \"--fragid\" has unexpected characters near \"x\".\n"),
        ] {
            assert_eq!(error(V6, None, &format!("frag{args}")), text, "{args}");
        }
    }

    #[test]
    fn native_expressions_nfts_words_and_packets() {
        let load = |offset: u32| format!("exthdr 1=00000001 2=2c 3={offset:08x} 4=00000004 6=00000000");
        let fragment = |field: u16, reserved: u8| {
            let [high, low] = field.to_be_bytes();
            Ipv6::default() / Raw { protocol: FRAGMENT, payload: vec![17, reserved, high, low, 0, 0, 0, 5, 1] }
        };
        let (first, last, odd) = (fragment(1, 0), fragment(16, 0), fragment(18, 1));
        for (args, wire, words, expected) in [
            ("", "", None, [true; 3]),
            (" --fragid 5", "; == 00000005", Some("frag id 5"), [true; 3]),
            (" ! --fragid 5:9", "; !range 00000005..00000009", Some("frag id != 5-9"), [false; 3]),
            (" --fraglen 3", "", None, [true; 3]),
            (" --fragres", "; LOAD; & 00ff0006; == 00000000", None, [true, true, false]),
            (" --fragfirst", "; LOAD; & 0000fff8; == 00000000", Some("frag frag-off 0"), [true, false, false]),
            (" --fragmore", "; LOAD; & 00000001; == 00000001", Some("frag more-fragments 1"), [true, false, false]),
            (
                " --fragfirst --fraglast",
                "; LOAD; & 0000fff9; == 00000000",
                Some("frag frag-off 0 frag more-fragments 0"),
                [false; 3],
            ),
        ] {
            let read = read(V6, None, &format!("frag{args}")).unwrap();
            let wire = load(4) + &wire.replace("LOAD", &load(0));
            assert_eq!((read.native(), read.translation().as_deref()), (Some(wire), words), "{args}");
            let judged = [&first, &last, &odd].map(|packet| read.judge(packet));
            assert_eq!(judged, expected.map(|yes| (Tri::from(yes), false)), "{args}");
        }
        let short = Ipv6::default() / Raw { protocol: FRAGMENT, payload: vec![17, 0, 0, 0, 0, 0, 0] };
        assert_eq!(read(V6, None, "frag").unwrap().judge(&short), (Tri::False, true));
    }
}
