//! `-m rateest`: compares rates that `-j RATEEST` has estimated.
//!
//! # Matches
//! Packets while the first estimate is less than, greater than or equal to a fixed rate or the second estimate; with `--rateest-delta` what is
//! compared is by how much each stays below a rate of its own. `!` turns the answer round.
//! # Options
//! `--rateest1 NAME` (also `--rateest`), `--rateest2 NAME`, `--rateest-delta`, `--rateest-bps1 [RATE]`, `--rateest-bps2 [RATE]` (also
//! `--rateest-bps`), `--rateest-pps1 [N]`, `--rateest-pps2 [N]` (also `--rateest-pps`), one of `[!] --rateest-lt`, `-gt`, `-eq`. A rate is
//! `N[k|M|G|T][i]bit` or `…bps` (bytes), bits without a unit.
//! # Wire
//! xt `rateest` revision 0, `struct xt_rateest_match_info` (72 bytes, host order, rates in bytes and packets a second). Native: none, because
//! nf_tables has no estimators.
//! # Evaluates
//! Unknown: the estimates are the kernel's.
//! # Differs
//! `-S` prints the comparison once where stock prints it for bytes and again for packets, which it does not read back, and a rate that would be
//! read back as another is printed in bits. A rate beyond 32 bits of bytes is refused; stock takes what is left of it. A name with white space
//! in it, or none, is printed in quotes.
//! # Sources
//! iptables-extensions(8) "rateest"; `linux/netfilter/xt_rateest.h`; fact sheet 3.4; observed with stock 1.8.9.

use crate::ext::options::{Given, Kind, Opt, UsageError, bit, number, usage_bytes};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec, strtod};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::BlobWriter;

/// Two estimates, or one and fixed rates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RateEst {
    /// At most 15 bytes without NUL, each.
    names: [Box<[u8]>; 2],
    /// `XT_RATEEST_MATCH_*`.
    flags: u16,
    mode: Mode,
    /// Bytes and packets a second.
    rates: [Rates; 2],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Rates {
    bytes: u32,
    packets: u32,
}

/// `enum xt_rateest_match_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Mode {
    None = 0,
    Equal = 1,
    Less = 2,
    Greater = 3,
}

const INVERT: u16 = 1;
const ABSOLUTE: u16 = 1 << 1;
const RELATIVE: u16 = 1 << 2;
const DELTA_FLAG: u16 = 1 << 3;
const BYTES: u16 = 1 << 4;
const PACKETS: u16 = 1 << 5;

/// `IFNAMSIZ`.
const NAME_SIZE: usize = 16;

const NAME1: u8 = 0;
const NAME2: u8 = 1;
const BPS1: u8 = 2;
const PPS1: u8 = 3;
const BPS2: u8 = 4;
const PPS2: u8 = 5;
const DELTA: u8 = 6;
const LT: u8 = 7;
const GT: u8 = 8;
const EQ: u8 = 9;

const BITS: &[&str] = &["0", "1000", "1kbit", "5mbit", "1kbps", "1.5Kibit", "1gbit", "1234567bit"];
const COUNTS: &[&str] = &["0", "5", "0x10", "4294967295"];

const fn optional(name: &'static str, id: u8, examples: &'static [&'static str], help: &'static str) -> Opt {
    Opt::value(name, id, Kind::Optional, "[rate]", help).examples(examples)
}

const OPTIONS: &[Opt] = &[
    Opt::value("rateest1", NAME1, Kind::Raw, "name", "name of the estimate").examples(&["re1", "uplink"]),
    Opt::value("rateest", NAME1, Kind::Raw, "name", "the same as --rateest1").examples(&["re1", "uplink"]),
    Opt::value("rateest2", NAME2, Kind::Raw, "name", "the estimate that it is compared with")
        .examples(&["re1", "uplink"]),
    optional("rateest-bps1", BPS1, BITS, "compare bytes; the rate from which the first estimate is taken"),
    optional("rateest-pps1", PPS1, COUNTS, "compare packets; the rate from which the first estimate is taken"),
    optional(
        "rateest-bps2",
        BPS2,
        BITS,
        "compare bytes; the fixed rate, or that from which the second estimate is taken",
    ),
    optional("rateest-bps", BPS2, BITS, "the same as --rateest-bps2"),
    optional(
        "rateest-pps2",
        PPS2,
        COUNTS,
        "compare packets; the fixed rate, or that from which the second estimate is taken",
    ),
    optional("rateest-pps", PPS2, COUNTS, "the same as --rateest-pps2"),
    Opt::flag("rateest-delta", DELTA, "compare by how much the rates are not reached"),
    Opt::flag("rateest-lt", LT, "the first is less").invertible(),
    Opt::flag("rateest-gt", GT, "the first is greater").invertible(),
    Opt::flag("rateest-eq", EQ, "both are equal").invertible(),
];

impl Extension for RateEst {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        own_checks: true,
        ..Spec::new("rateest", 0, "compares rates estimated by -j RATEEST")
    };

    fn new(_: Family) -> Self {
        Self { names: Default::default(), flags: 0, mode: Mode::None, rates: [Rates::default(); 2] }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let (first, not) = match given.id() {
            NAME1 => ("rateest1", "rateest"),
            NAME2 => ("rateest2", "rateest"),
            BPS1 => ("rateest-bps1", "rateest-bps"),
            PPS1 => ("rateest-pps1", "rateest-pps"),
            BPS2 => ("rateest-bps2", "rateest-bps"),
            PPS2 => ("rateest-pps2", "rateest-pps"),
            DELTA => ("rateest-delta", "rateest-delta"),
            _ => ("", ""),
        };
        if !not.is_empty() && given.negated {
            return Err(usage!("rateest: {not} can't be inverted"));
        }
        if given.again() {
            return Err(match first {
                "" => usage!("rateest: can't specify lt/gt/eq twice"),
                name => usage!("rateest: can't specify --{name} twice"),
            });
        }
        let [name1, name2] = &mut self.names;
        let [rates1, rates2] = &mut self.rates;
        let cut = |text: &[u8]| text.get(..NAME_SIZE - 1).unwrap_or(text).into();
        match given.id() {
            NAME1 => *name1 = cut(given.bytes()),
            NAME2 => {
                *name2 = cut(given.bytes());
                self.flags |= RELATIVE;
            }
            BPS1 | BPS2 => {
                self.flags |= BYTES;
                let rates = if given.id() == BPS1 { rates1 } else { rates2 };
                if let Some(text) = given.word() {
                    let bad = || usage_bytes("rateest: could not parse rate `", text, "'");
                    rates.bytes = bytes(text).ok_or_else(bad)?;
                }
            }
            PPS1 | PPS2 => {
                self.flags |= PACKETS;
                let rates = if given.id() == PPS1 { rates1 } else { rates2 };
                if let Some(text) = given.word() {
                    let bad = || usage_bytes("rateest: could not parse pps `", text, "'");
                    let n = number(text, 0, u32::MAX.into()).and_then(|n| u32::try_from(n).ok());
                    rates.packets = n.ok_or_else(bad)?;
                }
            }
            DELTA => self.flags |= DELTA_FLAG,
            id => {
                self.flags |= if given.negated { INVERT } else { 0 };
                self.mode = match id {
                    LT => Mode::Less,
                    GT => Mode::Greater,
                    _ => Mode::Equal,
                };
            }
        }
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen & bit(NAME2) == 0 {
            self.flags |= ABSOLUTE;
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        let [name1, name2] = &self.names;
        let [rates1, rates2] = self.rates;
        let delta = self.has(DELTA_FLAG);
        out.str(if delta { " --rateest-delta" } else { "" });
        out.str(if self.has(RELATIVE) { " --rateest1" } else { " --rateest" });
        out.word(name1);
        let mut mode = Some(self.mode);
        for (flag, word, print) in [
            (BYTES, "bps", print_rate as fn(Rates, &mut Out)),
            (PACKETS, "pps", |rates, out| write!(out, "{}", rates.packets)),
        ] {
            if !self.has(flag) {
                continue;
            }
            if delta {
                write!(out, " --rateest-{word}1 ");
                print(rates1, out);
            }
            if mode.take().is_some() {
                self.print_mode(out, " --rateest-");
            }
            write!(out, " --rateest-{word}{}", if delta { "2" } else { "" });
            if delta || self.has(ABSOLUTE) {
                out.byte(b' ');
                print(rates2, out);
            }
        }
        if self.has(RELATIVE) {
            out.str(" --rateest2");
            out.word(name2);
        }
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        let [name1, name2] = &self.names;
        let [rates1, rates2] = self.rates;
        let (delta, absolute) = (self.has(DELTA_FLAG), self.has(ABSOLUTE));
        let bytes = |rates: Rates, out: &mut Out| match cx.numeric {
            true => write!(out, " {}", rates.bytes),
            false => {
                out.byte(b' ');
                print_units(rates.bytes, out);
            }
        };
        out.str(" rateest match ");
        out.bytes(name1);
        out.str(if delta { " delta" } else { "" });
        if self.has(BYTES) {
            out.str(" bps");
            if delta {
                bytes(rates1, out);
            }
            if absolute {
                bytes(rates2, out);
                self.print_mode(out, " ");
            }
        }
        if self.has(PACKETS) {
            out.str(" pps");
            if delta {
                write!(out, " {}", rates1.packets);
            }
            if absolute {
                self.print_mode(out, " ");
                write!(out, " {}", rates2.packets);
            }
        }
        if !self.has(RELATIVE) {
            return;
        }
        self.print_mode(out, " ");
        out.byte(b' ');
        out.bytes(name2);
        if self.has(BYTES) {
            out.str(" bps");
            if delta {
                bytes(rates2, out);
            }
        }
        if self.has(PACKETS) {
            out.str(" pps");
            if delta {
                write!(out, " {}", rates2.packets);
            }
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        for name in &self.names {
            b.fixed(name, NAME_SIZE);
        }
        b.u16(self.flags);
        b.u16(self.mode as u16);
        for rates in self.rates {
            b.u32(rates.bytes);
            b.u32(rates.packets);
        }
        b.align(8);
        b.zeros(16);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let name = |at: usize| {
            let field = info.get(at..at + NAME_SIZE)?;
            Some(Box::from(field.get(..field.iter().position(|b| *b == 0)?)?))
        };
        let half = |at: usize| Some(u16::from_ne_bytes(*info.get(at..)?.first_chunk()?));
        let whole = |at: usize| Some(u32::from_ne_bytes(*info.get(at..)?.first_chunk()?));
        let rates = |at: usize| Some(Rates { bytes: whole(at)?, packets: whole(at + 4)? });
        let flags = half(32)?;
        let mode = match half(34)? {
            1 => Mode::Equal,
            2 => Mode::Less,
            3 => Mode::Greater,
            _ => return None,
        };
        let found = Self { names: [name(0)?, name(16)?], flags, mode, rates: [rates(36)?, rates(44)?] };
        let kinds = found.has(ABSOLUTE) != found.has(RELATIVE) && (found.has(BYTES) || found.has(PACKETS));
        let second = found.has(RELATIVE) || found.names.last().is_some_and(|name| name.is_empty());
        (kinds && second && flags < PACKETS << 1).then_some(found)
    }

    fn scrub(info: &mut [u8]) {
        if let Some(private) = info.get_mut(56..) {
            private.fill(0);
        }
    }
}

impl RateEst {
    fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    fn print_mode(&self, out: &mut Out, before: &str) {
        out.str(if self.has(INVERT) { " !" } else { "" });
        out.str(before);
        out.str(match self.mode {
            Mode::None => "",
            Mode::Equal => "eq",
            Mode::Less => "lt",
            Mode::Greater => "gt",
        });
    }
}

/// Units of a rate: the name behind the prefix, and bits.
const UNITS: [(&str, f64); 2] = [("bit", 1.0), ("bps", 8.0)];
const PREFIXES: [(&str, f64); 9] = [
    ("", 1.0),
    ("k", 1e3),
    ("ki", 1024.0),
    ("m", 1e6),
    ("mi", 1_048_576.0),
    ("g", 1e9),
    ("gi", 1_073_741_824.0),
    ("t", 1e12),
    ("ti", 1_099_511_627_776.0),
];

/// A rate in bytes a second.
fn bytes(text: &[u8]) -> Option<u32> {
    let (n, unit) = strtod::leading(text)?;
    let bits = match unit {
        [] => 1.0,
        _ => {
            let unit = String::from_utf8_lossy(unit).to_ascii_lowercase();
            UNITS.iter().find_map(|(name, bits)| {
                let prefix = unit.strip_suffix(name)?;
                PREFIXES.iter().find(|(known, _)| *known == prefix).map(|(_, factor)| factor * bits)
            })?
        }
    };
    let bytes = (n * bits / 8.0).trunc();
    (0.0..=f64::from(u32::MAX)).contains(&bytes).then_some(bytes as u32)
}

/// Prints a rate as it is read back.
fn print_rate(rates: Rates, out: &mut Out) {
    let from = out.len();
    print_units(rates.bytes, out);
    if out.as_bytes().get(from..).and_then(bytes) != Some(rates.bytes) {
        out.truncate(from);
        write!(out, "{}bit", u64::from(rates.bytes) * 8);
    }
}

/// Prints a rate in units of bits, rounded.
fn print_units(rate: u32, out: &mut Out) {
    let bits = f64::from(rate) * 8.0;
    match bits {
        1e9.. => write!(out, "{:.0}Mbit", bits / 1e6),
        1e6.. => write!(out, "{:.0}Kbit", bits / 1e3),
        _ => write!(out, "{bits:.0}bit"),
    }
}

impl MatchExt for RateEst {
    fn eval(&self, _: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row};
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    fn wire(name2: &str, flags: u8, mode: u8, rates: [u32; 4]) -> String {
        let rates: String = rates.iter().flat_map(|r| r.to_ne_bytes()).map(|b| format!("{b:02x}")).collect();
        format!(
            "match rateest 0 726531{}{name2:0<32}{flags:02x}00{mode:02x}00{rates}{}",
            "00".repeat(13),
            "00".repeat(20)
        )
    }

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let row = |line: &str, save: &str, list: &str, wire: &str| {
                let line = line.replace("-R", "--rateest");
                row(family, None, &format!("rateest {line}"), &save.replace("-R", "--rateest"), list, wire);
            };
            row(
                "-R re1 -R-lt -R-bps 1kbit",
                " -R re1 -R-lt -R-bps 1000bit",
                " rateest match re1 bps 125 lt",
                &wire("", 0x12, 2, [0, 0, 125, 0]),
            );
            row(
                "-R-pps2 0x10 ! -R-gt -R1 re1",
                " -R re1 ! -R-gt -R-pps 16",
                " rateest match re1 pps ! gt 16",
                &wire("", 0x23, 3, [0, 0, 0, 16]),
            );
            row(
                "-R1 re1 -R-lt -R2 re2 -R-bps -R-pps",
                " -R1 re1 -R-lt -R-bps -R-pps -R2 re2",
                " rateest match re1 bps pps lt re2 bps pps",
                &wire("726532", 0x34, 2, [0; 4]),
            );
            row(
                "-R1 re1 -R-delta -R-gt -R-pps1 5 -R-bps1 5kbit -R2 re2 -R-pps2 6 -R-bps2 9kbit",
                " -R-delta -R1 re1 -R-bps1 5000bit -R-gt -R-bps2 9000bit -R-pps1 5 -R-pps2 6 -R2 re2",
                " rateest match re1 delta bps 625 pps 5 gt re2 bps 1125 pps 6",
                &wire("726532", 0x3c, 3, [625, 5, 1125, 6]),
            );
            row(
                "-R re1 -R-delta -R-eq -R-lt -R-bps 5kbit",
                " -R-delta -R re1 -R-bps1 0bit -R-lt -R-bps2 5000bit",
                " rateest match re1 delta bps 0 625 lt",
                &wire("", 0x1a, 2, [0, 0, 625, 0]),
            );
        }
        let named = read(V4, None, "rateest --rateest re1 --rateest-pps 5 --rateest-lt --rateest-bps 5mbit").unwrap();
        assert_eq!(named.list(false), " rateest match re1 bps 5000Kbit lt pps lt 5");
        assert_eq!(named.matches(&(Ipv4::default() / Udp::default())), Tri::Unknown);
    }

    #[test]
    fn rates() {
        for (text, printed) in [
            ("7", "0bit"),
            ("1kbps", "8000bit"),
            ("1mbit", "1000Kbit"),
            ("1gbit", "1000Mbit"),
            ("1KIBIT", "1024bit"),
            ("0x10kbit", "16000bit"),
            ("1.5kbit", "1496bit"),
            ("999mbit", "999000Kbit"),
            ("10gbit", "10000Mbit"),
            // Stock rounds these.
            ("1mibit", "1048576bit"),
            ("34359738367bit", "34359738360bit"),
        ] {
            let mut out = Out::new();
            print_rate(Rates { bytes: bytes(text.as_bytes()).unwrap(), packets: 0 }, &mut out);
            assert_eq!(String::from_utf8_lossy(out.as_bytes()), printed, "{text}");
        }
        for text in ["x", "", "1x", "1k", "1kbits", "1 kbit", "1tibit", "100gbit"] {
            assert_eq!(bytes(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_stock_refuses() {
        for (line, text) in [
            ("--rateest-bps 5 --rateest-bps", "rateest: can't specify --rateest-bps2 twice"),
            ("--rateest a --rateest1 a", "rateest: can't specify --rateest1 twice"),
            ("--rateest-pps1 --rateest-pps1 5", "rateest: can't specify --rateest-pps1 twice"),
            ("--rateest-eq ! --rateest-eq", "rateest: can't specify lt/gt/eq twice"),
            ("--rateest-delta --rateest-delta", "rateest: can't specify --rateest-delta twice"),
            ("! --rateest2 a", "rateest: rateest can't be inverted"),
            ("! --rateest-bps1", "rateest: rateest-bps can't be inverted"),
            ("--rateest-bps x", "rateest: could not parse rate `x'"),
            ("--rateest-pps 5x", "rateest: could not parse pps `5x'"),
        ] {
            assert_eq!(error(V4, None, &format!("rateest {line}")), text, "{line}");
        }
    }

    #[test]
    fn what_other_programs_wrote() {
        let text = |flags: u8, mode: u8, name2: u8| {
            let mut info = [0; 72];
            (info[0], info[16], info[32], info[34]) = (b'a', name2, flags, mode);
            info[56..].fill(0xee);
            raised_text(V4, None, |x| x.xt_match("rateest", 0, |b| b.bytes(&info)))
        };
        assert_eq!(text(0x12, 2, 0), " -m rateest --rateest a --rateest-lt --rateest-bps 0bit");
        for (flags, mode, name2) in
            [(0x16, 2, 0), (0x10, 2, 0), (2, 2, 0), (0x12, 0, 0), (0x12, 4, 0), (0x52, 2, 0), (0x12, 2, b'b')]
        {
            assert_eq!(text(flags, mode, name2), "opaque", "{flags:x} {mode} {name2}");
        }
    }
}
