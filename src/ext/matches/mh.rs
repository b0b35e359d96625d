//! `-m mh`: the type of a Mobility Header (IPv6). `-p mh`, so written, loads it when its option is met.
//!
//! # Matches
//! Mobility Headers whose type lies in a range; `!` outside. A fragment without the header does not match.
//! # Options
//! `[!] --mh-type TYPE[:TYPE]`, 0 to 255 or names in any case, which may be cut short (the first that fits counts); a missing end is the limit.
//! # Wire
//! xt `mh` revision 0: `struct ip6t_mh { u8 types[2], invflags; }`.
//! Native: none, because the kernel drops messages whose next header is not "none", which no rule that goes on for others can do.
//! # Evaluates
//! Always known. A packet with less than six bytes of the header, or with something behind it, is dropped at once.
//! # Differs
//! `! --mh-type 0:255`, which no packet meets, is printed; stock prints nothing there.
//! # Sources
//! ip6tables-extensions(8) "mh"; `linux/netfilter_ipv6/ip6t_mh.h`; RFC 6275 §6.1.

use super::headers;
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError, number, usage_bytes};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::ipv6::NO_NEXT;
use crate::packet::protocol::MH;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::BlobWriter;

/// The range of types, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mh {
    min: u8,
    max: u8,
    invert: bool,
}

const TYPE: u8 = 0;
const HEADER_LEN: usize = 6;

/// The types by number, with their short names.
const NAMES: [(&str, &str); 8] = [
    ("binding-refresh-request", "brr"),
    ("home-test-init", "hoti"),
    ("careof-test-init", "coti"),
    ("home-test", "hot"),
    ("careof-test", "cot"),
    ("binding-update", "bu"),
    ("binding-acknowledgement", "ba"),
    ("binding-error", "be"),
];

const OPTIONS: &[Opt] =
    &[Opt::value("mh-type", TYPE, Kind::Raw, "type[:type]", "type, or range of types").invertible().examples(EXAMPLES)];

const EXAMPLES: &[&str] = &[
    "0",
    "1",
    "7",
    "8",
    "255",
    "0x10",
    "010",
    "1:5",
    ":5",
    "5:",
    ":",
    "3:3",
    "brr",
    "HOTI",
    "coti",
    "hot",
    "cot",
    "bu",
    "ba",
    "be",
    "home-test",
    "Careof-Test-Init",
    "binding-update",
    "binding",
    "home",
    "hoti:be",
    "3:cot",
    "cot:20",
    ":be",
    "be:",
    "2",
    "3",
    "4",
    "5",
    "6",
    "9",
    "16:31",
    "100",
    "128:",
    ":128",
    "200:210",
    "254",
    "0:0",
    "0:254",
    "1:255",
    "6:7",
    "careof",
    "binding-error",
    "binding-acknowledgement",
    "b:h",
    "hot:cot",
    "bu:ba",
    "20",
    "30",
    "40",
    "50",
    "60",
    "70",
    "80",
    "90",
    "11",
    "22",
    "33",
    "44",
    "55",
    "66",
    "77",
    "88",
    "99",
    "10:12",
    "20:22",
    "30:32",
    "40:42",
    "50:52",
    "60:62",
    "70:72",
    "80:82",
    "90:92",
    "1:2",
    "1:3",
    "1:4",
    "2:3",
    "2:4",
    "2:5",
    "3:5",
    "3:6",
    "4:6",
    "4:7",
    "5:7",
    "5:8",
    "9:12",
    "101",
    "102",
    "103",
    "104",
    "105",
    "106",
    "107",
    "108",
    "109",
    "110",
    "111",
    "112",
    "113",
    "114",
    "115",
    "116",
    "117",
    "118",
    "119",
    "120",
    "121",
    "122",
    "123",
    "124",
    "125",
    "126",
    "127",
    "128",
    "129",
    "130",
    "131",
    "132",
    "133",
    "134",
    "135",
    "136",
    "137",
    "138",
    "139",
    "140",
    "141",
    "142",
    "143",
    "144",
    "145",
    "146",
    "147",
    "148",
    "149",
    "150",
];

impl Extension for Mh {
    const SPEC: Spec = Spec {
        families: &[Family::V6],
        options: OPTIONS,
        implied_by: &[MH],
        sample: "-p mh",
        limits: &[Limit::protocols(&[MH])],
        notes: |_| {
            &[
                ("binding-refresh-request (brr)", "0"),
                ("home-test-init (hoti)", "1"),
                ("careof-test-init (coti)", "2"),
                ("home-test (hot)", "3"),
                ("careof-test (cot)", "4"),
                ("binding-update (bu)", "5"),
                ("binding-acknowledgement (ba)", "6"),
                ("binding-error (be)", "7"),
            ]
        },
        ..Spec::new("mh", 0, "matches the type of the Mobility Header")
    };

    fn new(_: Family) -> Self {
        Self { min: 0, max: u8::MAX, invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        (self.min, self.max) = range(given.bytes())?;
        self.invert = given.negated;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        if !self.is_all() {
            out.str(if self.invert { " ! --mh-type " } else { " --mh-type " });
            self.print(true, out);
        }
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(" mh");
        if !self.is_all() {
            out.str(if self.invert { " !" } else { " " });
            self.print(cx.numeric, out);
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.bytes(&[self.min, self.max, u8::from(self.invert)]);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [min, max, invert, ..] = *info else { return None };
        (min <= max).then_some(Self { min, max, invert: invert != 0 })
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        // `-p mh` stands before it as `meta l4proto`.
        if !self.is_all() {
            write!(out, "mh type {}{}", if self.invert { "!= " } else { "" }, self.min);
            if self.min != self.max {
                write!(out, "-{}", self.max);
            }
        }
        true
    }
}

impl Mh {
    /// Whether it says nothing.
    fn is_all(&self) -> bool {
        *self == Self { min: 0, max: u8::MAX, invert: false }
    }

    fn print(&self, numeric: bool, out: &mut Out) {
        print_type(self.min, numeric, out);
        if self.min != self.max {
            out.byte(b':');
            print_type(self.max, numeric, out);
        }
    }
}

fn print_type(n: u8, numeric: bool, out: &mut Out) {
    match NAMES.get(usize::from(n)).filter(|_| !numeric) {
        Some((name, _)) => out.str(name),
        None => out.dec(u64::from(n)),
    }
}

fn range(text: &[u8]) -> Result<(u8, u8), UsageError> {
    let Some(colon) = text.iter().position(|b| *b == b':') else {
        let one = kind(text)?;
        return Ok((one, one));
    };
    let (first, second) = (text.get(..colon).unwrap_or_default(), text.get(colon + 1..).unwrap_or_default());
    let min = if first.is_empty() { 0 } else { kind(first)? };
    let max = if second.is_empty() { u8::MAX } else { kind(second)? };
    if min > max { Err(usage!("Invalid MH type range (min > max)")) } else { Ok((min, max)) }
}

/// A name, the beginning of one (nothing is the beginning of the first), or a number.
fn kind(text: &[u8]) -> Result<u8, UsageError> {
    let is = |name: &str| name.as_bytes().eq_ignore_ascii_case(text);
    let begins = |name: &str| name.as_bytes().get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    let named = NAMES.iter().position(|(long, short)| is(long) || is(short));
    let named = named.or_else(|| NAMES.iter().position(|(long, short)| begins(long) || begins(short)));
    named
        .and_then(|at| u8::try_from(at).ok())
        .or_else(|| number(text, 0, 255).and_then(|n| u8::try_from(n).ok()))
        .ok_or_else(|| usage_bytes("Invalid MH type `", text, "'"))
}

impl MatchExt for Mh {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let Some([next, _, kind, ..]) = headers::transport(packet, HEADER_LEN, env) else { return Tri::False };
        if *next != NO_NEXT {
            env.hotdrop = true;
            return Tri::False;
        }
        Tri::from((self.min..=self.max).contains(kind)).xor(self.invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv6, Raw};
    use crate::types::Family::V6;

    const P: Option<(u8, bool)> = Some((MH, false));

    #[test]
    fn what_stock_writes_and_prints() {
        for (args, save, info, list, words) in [
            ("", "", "00ff000000000000", " mh", ""),
            (" --mh-type 1", " --mh-type 1", "0101000000000000", " mh 1", "mh type 1"),
            (" ! --mh-type brr:hot", " ! --mh-type 0:3", "0003010000000000", " mh !0:3", "mh type != 0-3"),
            (" --mh-type be:", " --mh-type 7:255", "07ff000000000000", " mh 7:255", "mh type 7-255"),
            (" ! --mh-type :", " ! --mh-type 0:255", "00ff010000000000", " mh !0:255", "mh type != 0-255"),
        ] {
            row(V6, P, &format!("mh{args}"), save, list, &format!("match mh 0 {info}"));
            let read = read(V6, P, &format!("mh{args}")).unwrap();
            assert_eq!((read.native(), read.translation().as_deref()), (None, Some(words)), "{args}");
        }
        assert_eq!(read(V6, P, "mh ! --mh-type 3:20").unwrap().list(false), " mh !home-test:20");
    }

    #[test]
    fn names_may_be_cut_short() {
        for (name, kind) in [
            ("", 0),
            ("B", 0),
            ("binding-a", 6),
            ("hom", 1),
            ("home-test-", 1),
            ("HOME-TEST", 3),
            ("hot", 3),
            ("co", 2),
            ("cot", 4),
            ("bu", 5),
            ("010", 8),
        ] {
            let read = read(V6, P, &format!("mh --mh-type {name}")).unwrap();
            assert_eq!(read.save(), format!(" --mh-type {kind}"), "{name}");
        }
        for (args, text) in [
            ("--mh-type 256", "Invalid MH type `256'"),
            ("--mh-type 1:2:3", "Invalid MH type `2:3'"),
            ("--mh-type be:hoti", "Invalid MH type range (min > max)"),
            ("--mh-type 1 --mh-type 2", "mh: option \"--mh-type\" can only be used once.\n"),
        ] {
            assert_eq!(error(V6, P, &format!("mh {args}")), text, "{args}");
        }
    }

    #[test]
    fn packets() {
        let judge = |args: &str, payload: &[u8]| {
            let packet = Ipv6::default() / Raw { protocol: MH, payload: payload.to_vec() };
            read(V6, P, &format!("mh{args}")).unwrap().judge(&packet)
        };
        assert_eq!(judge(" --mh-type bu", &[59, 0, 5, 0, 0, 0]), (Tri::True, false));
        assert_eq!(judge(" ! --mh-type 5:9", &[59, 0, 5, 0, 0, 0]), (Tri::False, false));
        assert_eq!(judge("", &[59, 0, 5, 0, 0]), (Tri::False, true));
        assert_eq!(judge("", &[6, 0, 5, 0, 0, 0]), (Tri::False, true));
    }
}
