//! `-j CLASSIFY`: sets the packet's priority, by which traffic control puts it into a class.
//!
//! # Options
//! `--set-class MAJOR:MINOR`, always hexadecimal.
//! # Wire
//! xt `CLASSIFY` revision 0: `struct xt_classify_target_info { u32 priority; }`, host order, major in the high 16 bits. Native: `meta set
//! priority`.
//! # Evaluates
//! No match asks for the priority: the walk goes on.
//! # Differs
//! A part of more than 16 bits is refused; stock cuts it in silence (`10000:1` becomes class 0:1).
//! # Sources
//! iptables-extensions(8) "CLASSIFY"; `linux/netfilter/xt_CLASSIFY.h`; measured.

use crate::ext::limits::{Limit, OUTGOING};
use crate::ext::options::{Given, Kind, Opt, UsageError, skip_space, usage_bytes};
use crate::ext::{Effect, Extension, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::wire::consts::{NFT_META_PRIORITY, NFT_REG_1};
use crate::wire::{BlobWriter, ExprWriter};

/// The class as traffic control numbers it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Classify {
    major: u16,
    minor: u16,
}

const SET_CLASS: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("set-class", SET_CLASS, Kind::Raw, "major:minor", "the class, in hexadecimal").mandatory().examples(
        &["1:10", "0:0", "0:1", "1:0", "ffff:ffff", "ffff:0", "abcd:ef", "0x1:0x2", "001:0020", "8001:7", "A:B"],
    )];

impl Extension for Classify {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@mangle/POSTROUTING",
        limits: &[Limit::hooks(OUTGOING)],
        ..Spec::new("CLASSIFY", 0, "sets the packet's traffic class")
    };

    fn new(_: Family) -> Self {
        Self { major: 0, minor: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let read = |text| {
            let (major, rest) = hexadecimal(text)?;
            // What stands behind the digits is not looked at by stock.
            let (minor, _) = hexadecimal(rest.strip_prefix(b":")?)?;
            Some(Self { major, minor })
        };
        *self = read(given.bytes()).ok_or_else(|| usage_bytes("Bad class value \"", given.bytes(), "\""))?;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, " --set-class {:04x}:{:04x}", self.major, self.minor);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, " CLASSIFY set {:x}:{:x}", self.major, self.minor);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(self.priority());
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let priority = u32::from_ne_bytes(*info.first_chunk()?);
        Some(Self { major: (priority >> 16) as u16, minor: (priority & 0xffff) as u16 })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        x.immediate(NFT_REG_1, &self.priority().to_ne_bytes());
        x.meta_set(NFT_META_PRIORITY, NFT_REG_1);
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        match (self.major, self.minor) {
            (0, 0) => out.str("meta priority set none"),
            (0xffff, 0xffff) => out.str("meta priority set root"),
            (major, minor) => write!(out, "meta priority set {major:x}:{minor:x}"),
        }
        true
    }
}

impl Classify {
    fn priority(&self) -> u32 {
        u32::from(self.major) << 16 | u32::from(self.minor)
    }
}

/// A number as scanf(3) `%x` reads it, of up to 16 bits, and what stands behind it.
fn hexadecimal(text: &[u8]) -> Option<(u16, &[u8])> {
    let text = skip_space(text);
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let prefix = matches!(text, [b'0', b'x' | b'X', ..]);
    let digits = if prefix { text.get(2..)? } else { text };
    let len = digits.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if len == 0 && !prefix {
        return None;
    }
    let (digits, rest) = digits.split_at_checked(len)?;
    let number = if digits.is_empty() { "0" } else { std::str::from_utf8(digits).ok()? };
    Some((u16::from_str_radix(number, 16).ok()?, rest))
}

impl TargetExt for Classify {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{error, row, ways};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, save, list, hex, nft) in [
            ("1:10", "0001:0010", "1:10", "10000100", "1:10"),
            (" 0x1:+2", "0001:0002", "1:2", "02000100", "1:2"),
            ("1:0xg", "0001:0000", "1:0", "00000100", "1:0"),
            ("ffff:ffff", "ffff:ffff", "ffff:ffff", "ffffffff", "root"),
            ("0:0:7", "0000:0000", "0:0", "00000000", "none"),
        ] {
            for family in [V4, V6] {
                let words = format!("CLASSIFY --set-class \"{words}\"");
                let (save, list) = (format!("--set-class {save}"), format!(" CLASSIFY set {list}"));
                row(family, None, &words, &save, &list, &format!("{hex}00000000"));
                let native = format!("Immediate {{ dreg: 1, data: {:?} }}; MetaSet {{ key: 2, sreg: 1 }}", bytes(hex));
                ways(family, None, &words, Some(&native), Some(&format!("meta priority set {nft}")));
            }
        }
        for word in ["10", "1:", ":1", "x:1", "1 :2", "1::2", "+:1", "10000:1", "1:10000", "-1:1"] {
            let text = format!("Bad class value \"{word}\"");
            error(V4, None, &format!("CLASSIFY --set-class \"{word}\""), &text);
        }
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }
}
