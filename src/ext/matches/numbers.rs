//! Ranges of 32-bit numbers, as `esp`, `ah`, `ipcomp`, `frag` and `rt` have them: texts, struct, native conditions, nft's words.
//!
//! Sources: observed with stock 1.8.9; `linux/netfilter/xt_esp.h`, `xt_ipcomp.h`, `linux/netfilter_ipv6/ip6t_frag.h`, `ip6t_rt.h`.

use crate::ext::options::{Given, Kind};
use crate::types::Out;
use crate::wire::consts::NFT_CMP_LTE;
use crate::wire::{BlobWriter, ExprWriter};

/// A range, both ends included, or all numbers but these. A range that is empty (`min` over `max`) has no number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Numbers {
    /// The first number.
    pub min: u32,
    /// The last number.
    pub max: u32,
    /// Whether the numbers outside are meant.
    pub invert: bool,
}

/// What the option takes: `N` or `N:M`; a missing end is 0 or 4294967295.
pub const KIND: Kind = Kind::Range { min: 0, max: u32::MAX as u64 };

/// For the tables of examples.
pub const EXAMPLES: &[&str] = &[
    "0",
    "1",
    "5",
    "5:10",
    "10:5",
    ":7",
    "7:",
    "0x10:0xff",
    "256",
    "65535",
    "65536:",
    "4294967295",
    "010",
    "3:3",
    ":",
];

impl Numbers {
    /// Every number.
    pub const ALL: Self = Self { min: 0, max: u32::MAX, invert: false };

    /// The value of an option of [`KIND`].
    pub fn given(given: &Given<'_>) -> Self {
        let (min, max) = given.range();
        let word = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Self { min: word(min), max: word(max), invert: given.negated }
    }

    /// Whether it says nothing.
    pub fn is_all(self) -> bool {
        self == Self::ALL
    }

    /// Whether no number is meant.
    pub fn is_none(self) -> bool {
        if self.invert { self.min == 0 && self.max == u32::MAX } else { self.min > self.max }
    }

    /// Whether a number is meant.
    pub fn contains(self, n: u32) -> bool {
        (self.min <= n && n <= self.max) != self.invert
    }

    /// Prints ` --OPTION 5`, ` ! --OPTION 5:10`, or nothing for every number. (Stock prints nothing for `! 0:4294967295` either, which is no
    /// number at all; 1.8.11 does.)
    pub fn save(self, option: &str, out: &mut Out) {
        if self.is_all() {
            return;
        }
        out.str(if self.invert { " ! --" } else { " --" });
        out.str(option);
        out.byte(b' ');
        self.ends(b':', out);
    }

    /// Prints `NAME:!5`, `NAMEs:5:10`, or nothing for every number.
    pub fn list(self, name: &str, out: &mut Out) {
        if self.is_all() {
            return;
        }
        out.str(name);
        out.str(if self.min == self.max { ":" } else { "s:" });
        out.str(if self.invert { "!" } else { "" });
        self.ends(b':', out);
    }

    fn ends(self, between: u8, out: &mut Out) {
        out.dec(u64::from(self.min));
        if self.min != self.max {
            out.byte(between);
            out.dec(u64::from(self.max));
        }
    }

    /// Writes both ends.
    pub fn blob(self, b: &mut BlobWriter<'_>) {
        b.u32(self.min);
        b.u32(self.max);
    }

    /// Reads both ends, at an offset in bytes of the struct.
    pub fn decode(info: &[u8], at: usize, invert: bool) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = *info.get(at..)?.first_chunk()?;
        Some(Self { min: u32::from_ne_bytes([a, b, c, d]), max: u32::from_ne_bytes([e, f, g, h]), invert })
    }

    /// Compares the field of 1, 2 or 4 bytes in the register; nothing is written for every number.
    pub fn native(self, bytes: usize, x: &mut ExprWriter<'_>) {
        if self.is_all() {
            return;
        }
        let most = u32::MAX >> (32 - 8 * bytes.clamp(1, 4));
        // What lies above the field's numbers is none of them.
        let (min, max) = if self.min > most { (1, 0) } else { (self.min, self.max.min(most)) };
        let (from, to) = (field(min, bytes), field(max, bytes));
        if min == max {
            x.cmp_eq(self.invert, &from);
        } else if min == 0 && !self.invert {
            x.cmp(NFT_CMP_LTE, &to);
        } else {
            x.range(self.invert, &from, &to);
        }
    }

    /// Prints `FIELD 5`, `FIELD != 5-10` in nft's words; says false where nft takes no such number, or where there is nothing to say.
    pub fn translate(self, field: &str, most: u32, out: &mut Out) -> bool {
        if self.is_all() || self.min > self.max || self.max > most {
            return false;
        }
        out.str(field);
        out.str(if self.invert { " != " } else { " " });
        self.ends(b'-', out);
        true
    }
}

/// A number as a field of 1 to 4 bytes, big-endian.
fn field(n: u32, bytes: usize) -> Vec<u8> {
    n.to_be_bytes().into_iter().skip(4 - bytes.clamp(1, 4)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{expressions, show};

    #[test]
    fn fields_that_are_shorter_than_the_numbers() {
        let native = |min, max, invert, bytes| {
            let numbers = Numbers { min, max, invert };
            expressions(|x| numbers.native(bytes, x), |e| e.map(show).collect::<Vec<_>>().join("; "))
        };
        assert_eq!(native(5, 5, false, 4), "== 00000005");
        assert_eq!(native(0, 5, true, 2), "!range 0000..0005");
        assert_eq!(native(5, u32::MAX, false, 2), "range 0005..ffff");
        assert_eq!(native(65535, 70000, true, 2), "!= ffff");
        assert_eq!(native(65536, 70000, false, 2), "range 0001..0000");
        assert_eq!(native(256, 256, true, 1), "!range 01..00");
        assert_eq!(native(0, u32::MAX, false, 4), "");
    }

    #[test]
    fn what_nft_takes() {
        let say = |min, max, invert, most| {
            let mut out = Out::new();
            Numbers { min, max, invert }.translate("comp cpi", most, &mut out);
            String::from_utf8(out.into_bytes()).unwrap()
        };
        assert_eq!(say(5, 10, true, 65535), "comp cpi != 5-10");
        assert_eq!(say(7, 7, false, 65535), "comp cpi 7");
        assert_eq!(say(10, 5, false, 65535), "");
        assert_eq!(say(5, 65536, false, 65535), "");
        assert_eq!(say(0, u32::MAX, true, u32::MAX), "comp cpi != 0-4294967295");
    }
}
