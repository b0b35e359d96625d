//! `-m statistic`: by chance, or every so many packets.
//!
//! # Matches
//! `--mode random`: each packet with the given probability. `--mode nth`: one of every n packets that come to the rule. `!` turns the answer
//! round.
//! # Options
//! `--mode random|nth`; `[!] --probability P` (0 to 1) for the one, `[!] --every N` and `--packet P` (which of the n, from 0) for the other.
//! # Wire
//! xt `statistic` revision 0, `struct xt_statistic_info` (24 bytes, host order): the probability in 2⁻³¹, or n − 1, p and a count to begin
//! with; stock fills in the count for a probability too. Native: `numgen random mod 2³¹` or `numgen inc mod n`, and a comparison.
//! # Evaluates
//! Always known, from the dice that are handed in or from how many packets came before.
//! # Differs
//! `nan` is refused as a probability; stock takes it as 0.
//! # Sources
//! iptables-extensions(8) "statistic"; strtod(3); `linux/netfilter/xt_statistic.h`; fact sheet 3.4; observed with stock 1.8.9.

use crate::ext::options::{Given, Kind, Opt, UsageError, bit, usage_bytes};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec, strtod};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::consts::{NFT_CMP_GTE, NFT_CMP_LT, NFT_NG_INCREMENTAL, NFT_NG_RANDOM};
use crate::wire::{BlobWriter, ExprWriter};

/// How packets are picked, and whether those or the others match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Statistic {
    nth: bool,
    invert: bool,
    /// The probability in 2⁻³¹ (to 2³¹), or how many packets there are to one less 1 (to 2³² − 2).
    value: u32,
    /// Which of so many, from 0; 0 with a probability.
    packet: u32,
}

/// A probability of 1.
const CERTAIN: u32 = 1 << 31;

const MODE: u8 = 0;
const PROBABILITY: u8 = 1;
const EVERY: u8 = 2;
const PACKET: u8 = 3;

const OPTIONS: &[Opt] = &[
    Opt::value("mode", MODE, Kind::Raw, "mode", "how packets are picked: random or nth")
        .mandatory()
        .examples(&["random", "nth"]),
    Opt::value("probability", PROBABILITY, Kind::Raw, "p", "random: the probability, from 0 to 1")
        .invertible()
        .excluding(bit(EVERY) | bit(PACKET))
        .examples(&[
            "0",
            "1",
            "0.5",
            "0.33333333349",
            ".1",
            "1e-5",
            "0.000000001",
            "0.99999999999",
            "0.123456789",
            "0.25",
            "0.3",
            "0.7",
            "3e-10",
        ]),
    Opt {
        needs: bit(PACKET),
        ..Opt::value("every", EVERY, Kind::Number { min: 1, max: u32::MAX as u64 }, "n", "nth: one of so many packets")
            .invertible()
            .excluding(bit(PROBABILITY))
            .examples(&["5", "10", "0x10", "100", "4294967295"])
    },
    Opt {
        needs: bit(EVERY),
        ..Opt::value(
            "packet",
            PACKET,
            Kind::Number { min: 0, max: u32::MAX as u64 },
            "p",
            "nth: which of them, from 0 to n-1",
        )
        .excluding(bit(PROBABILITY))
        .examples(&["0", "1", "2", "4", "03"])
    },
];

impl Extension for Statistic {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        stateful: true,
        ..Spec::new("statistic", 0, "matches by chance, or one of every so many packets")
    };

    fn new(_: Family) -> Self {
        Self { nth: false, invert: false, value: 0, packet: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            MODE => {
                self.nth = match given.bytes() {
                    b"random" => false,
                    b"nth" => true,
                    other => return Err(usage_bytes("Bad mode \"", other, "\"")),
                };
            }
            PROBABILITY => {
                let bad = || usage!("statistic: bad value for option \"--probability\", or out of range (0-1).\n");
                self.value = probability(given.bytes()).ok_or_else(bad)?;
                self.invert |= given.negated;
            }
            EVERY => {
                self.value = given.u32().saturating_sub(1);
                self.invert |= given.negated;
            }
            _ => self.packet = given.u32(),
        }
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if !self.nth && seen & bit(PROBABILITY) == 0 {
            return Err(usage!("--probability must be specified when using random mode"));
        }
        if self.nth && seen & (bit(EVERY) | bit(PACKET)) == 0 {
            return Err(usage!("--every and --packet must be specified when using nth mode"));
        }
        // Stock keeps a probability where it keeps the number of packets, and asks whatever the mode is.
        if self.packet > self.value {
            return Err(usage!("the --packet p must be 0 <= p <= n-1"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.print(out, "--");
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" statistic");
        self.print(out, "");
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u16(u16::from(self.nth));
        b.u16(u16::from(self.invert));
        b.u32(self.value);
        b.u32(self.packet);
        b.u32(self.count());
        b.zeros(8);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [m0, m1, f0, f1, rest @ ..] = info else { return None };
        let (mode, flags) = (u16::from_ne_bytes([*m0, *m1]), u16::from_ne_bytes([*f0, *f1]));
        let (value, rest) = rest.split_first_chunk()?;
        let packet = u32::from_ne_bytes(*rest.first_chunk()?);
        let found = Self { nth: mode == 1, invert: flags == 1, value: u32::from_ne_bytes(*value), packet };
        let fits = match found.nth {
            true => packet <= found.value && found.value < u32::MAX,
            false => packet == 0 && found.value <= CERTAIN,
        };
        (mode <= 1 && flags <= 1 && fits).then_some(found)
    }

    fn scrub(info: &mut [u8]) {
        // The pointer; and the count, which for a probability means nothing.
        if let Some(private) = info.get_mut(16..) {
            private.fill(0);
        }
        if let Some((head, [v0, v1, v2, v3, rest @ ..])) = info.split_first_chunk_mut::<4>()
            && u16::from_ne_bytes([head[0], head[1]]) == 0
            && let Some(count) = rest.get_mut(4..8)
        {
            count.copy_from_slice(&[*v0, *v1, *v2, *v3]);
        }
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if self.nth {
            x.numgen(NFT_NG_INCREMENTAL, self.value.saturating_add(1), 0);
            x.cmp_eq(self.invert, &self.packet.to_ne_bytes());
        } else {
            x.numgen(NFT_NG_RANDOM, CERTAIN, 0);
            x.hton(4, 4);
            x.cmp(if self.invert { NFT_CMP_GTE } else { NFT_CMP_LT }, &self.value.to_be_bytes());
        }
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        if self.nth {
            let not = if self.invert { "!= " } else { "" };
            write!(out, "numgen inc mod {} {not}{}", u64::from(self.value) + 1, self.packet);
        } else {
            write!(out, "meta random & {} {} {}", CERTAIN - 1, if self.invert { ">=" } else { "<" }, self.value);
        }
        true
    }
}

impl Statistic {
    /// The count that the kernel begins with: the next packet is the one picked when it has come to `value`.
    fn count(&self) -> u32 {
        self.value.saturating_sub(self.packet)
    }

    fn print(&self, out: &mut Out, dashes: &str) {
        let not = if self.invert { " !" } else { "" };
        if self.nth {
            write!(out, " {dashes}mode nth{not} {dashes}every {}", u64::from(self.value) + 1);
            if self.packet != 0 || !dashes.is_empty() {
                write!(out, " {dashes}packet {}", self.packet);
            }
        } else {
            let p = f64::from(self.value) / f64::from(CERTAIN);
            write!(out, " {dashes}mode random{not} {dashes}probability {p:.11}");
        }
    }
}

/// A number from 0 to 1 as strtod(3) reads it, in 2⁻³¹.
fn probability(text: &[u8]) -> Option<u32> {
    let (p, []) = strtod::leading(text)? else { return None };
    // At most 2³¹.
    (0.0..=1.0).contains(&p).then(|| (p * f64::from(CERTAIN)).round() as u32)
}

impl MatchExt for Statistic {
    fn eval(&self, _: &Packet, env: &mut Env<'_>) -> Tri {
        let picked = if self.nth {
            let count = env.state.cell::<Option<u32>>("statistic", &env.place.key()).get_or_insert(self.count());
            *count = if *count >= self.value { 0 } else { *count + 1 };
            *count == 0
        } else {
            (env.random)() & (CERTAIN - 1) < self.value
        };
        Tri::from(picked != self.invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row, with_env};
    use crate::packet::build::{Ipv4, Udp};
    use crate::packet::env::UnknownHost;
    use crate::types::Family::{V4, V6};
    use crate::types::Hook;

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let row = |line: &str, save: &str, list: &str, wire: &str| {
                let wire = format!("match statistic 0 {wire}{}", "00".repeat(8));
                row(family, None, &format!("statistic {line}"), save, list, &wire);
            };
            row(
                "--probability 0.5 --mode random",
                " --mode random --probability 0.50000000000",
                " statistic mode random probability 0.50000000000",
                "00000000000000400000000000000040",
            );
            row(
                "--mode random ! --probability .3",
                " --mode random ! --probability 0.29999999981",
                " statistic mode random ! probability 0.29999999981",
                "00000100666666260000000066666626",
            );
            row(
                "--mode nth --every 5 --packet 0",
                " --mode nth --every 5 --packet 0",
                " statistic mode nth every 5",
                "01000000040000000000000004000000",
            );
            row(
                "--mode nth --packet 010 ! --every 0x10",
                " --mode nth ! --every 16 --packet 8",
                " statistic mode nth ! every 16 packet 8",
                "010001000f0000000800000007000000",
            );
        }
    }

    #[test]
    fn probabilities() {
        for (text, value) in [
            ("0", 0),
            ("1", 1 << 31),
            ("1e-5", 21475),
            ("1e-10", 0),
            ("3e-10", 1),
            ("0x1p-2", 1 << 29),
            ("0x1", 1 << 31),
            ("0x.8", 1 << 30),
            (" +0.5", 1 << 30),
            ("0.99999999999", 1 << 31),
            ("-0", 0),
        ] {
            assert_eq!(probability(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["1.1", "-0.1", "x", "", "0.3x", "0,5", "inf", "nan", "0x", "0x10", "0xg", "0x1p", "1 "] {
            assert_eq!(probability(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_stock_refuses() {
        let random = "--probability must be specified when using random mode";
        let range = "the --packet p must be 0 <= p <= n-1";
        let needs = |a: &str, b: &str| format!("statistic: option \"--{a}\" also requires \"--{b}\".\n");
        let together =
            |a: &str, b: &str| format!("statistic: option \"--{a}\" cannot be used together with \"--{b}\".\n");
        for (line, text) in [
            ("", random),
            (" --every 5", random),
            (" --mode random --packet 5", random),
            (" --probability 0.5", "statistic: option \"--mode\" must be specified\n"),
            (" --mode RANDOM", "Bad mode \"RANDOM\""),
            (" --mode nth --probability 0.5", "--every and --packet must be specified when using nth mode"),
            (" --mode nth --every 5", &needs("every", "packet")),
            (" --mode nth --packet 0", &needs("packet", "every")),
            (" --mode nth --packet 4", range),
            (" --mode nth --every 5 --packet 5", range),
            (" --mode random --probability 0.5 --every 5", &together("probability", "every")),
            (" --mode random --probability 0.5 --packet 5", &together("probability", "packet")),
            (" --every 0", "statistic: bad value for option \"--every\", or out of range (1-4294967295).\n"),
        ] {
            assert_eq!(error(V4, None, &format!("statistic{line}")), text, "{line}");
        }
    }

    #[test]
    fn what_other_programs_wrote() {
        let text = |fields: [u32; 4], private: u8| {
            let mut info = fields.map(u32::to_ne_bytes).concat();
            info.extend([private; 8]);
            raised_text(V4, None, |x| x.xt_match("statistic", 0, |b| b.bytes(&info)))
        };
        let half = " -m statistic --mode random --probability 0.50000000000";
        assert_eq!(text([0, 1 << 30, 0, 99], 0xee), half);
        assert_eq!(text([1, 4, 1, 3], 0), " -m statistic --mode nth --every 5 --packet 1");
        for fields in
            [[2, 1, 0, 1], [0x20000, 1, 0, 1], [0, CERTAIN + 1, 0, 0], [1, 4, 5, 0], [1, 4, 1, 0], [1, u32::MAX, 0, 0]]
        {
            assert_eq!(text(fields, 0), "opaque", "{fields:?}");
        }
    }

    #[test]
    fn natively_and_in_the_words_of_nft() {
        let said = |line: &str| {
            let read = read(V4, None, &format!("statistic {line}")).unwrap();
            (read.native().unwrap(), read.translation().unwrap())
        };
        let (native, words) = said("--mode random ! --probability 0.5");
        assert!(native.ends_with(">= 40000000"), "{native}");
        assert_eq!(words, "meta random & 2147483647 >= 1073741824");
        let (native, words) = said("--mode nth ! --every 5 --packet 3");
        assert!(native.ends_with("!= 03000000"), "{native}");
        assert_eq!(words, "numgen inc mod 5 != 3");
    }

    /// The nth packets as observed on Linux 6.18: `--packet 0` is the first.
    #[test]
    fn what_it_means() {
        let packet = Ipv4::default() / Udp::default();
        with_env(Hook::Input, &UnknownHost, |env| {
            let mut matching = |line: &str, rule: u64| {
                let read = read(V4, None, &format!("statistic {line}")).unwrap();
                env.place.rule = rule;
                (0..7).filter(|_| read.ext.eval(&packet, env) == Tri::True).count()
            };
            assert_eq!(matching("--mode nth --every 3 --packet 0", 1), 3);
            assert_eq!(matching("--mode nth --every 3 --packet 1", 2), 2);
            assert_eq!(matching("--mode nth ! --every 3 --packet 0", 3), 4);
            assert_eq!(matching("--mode random --probability 1", 4), 7);
            assert_eq!(matching("--mode random --probability 0", 5), 0);
        });
    }
}
