//! `-m length`: the length of the packet's network-layer bytes.
//!
//! # Matches
//! Packets whose length, network header included (IPv6: its payload length and the 40 bytes before it), lies in a range; `!` outside.
//! # Options
//! `[!] --length N[:M]`, 0 to 65535; a missing end is 0 or 65535.
//! # Wire
//! xt `length` revision 0: `struct xt_length_info { u16 min, max; u8 invert; }`, host order, 6 bytes.
//! Native: `meta load length`, turned to network order, `cmp` or `range`.
//! # Evaluates
//! Always known.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "length"; `linux/netfilter/xt_length.h`.

use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec, nft};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};

/// The range of lengths in bytes, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Length {
    min: u16,
    max: u16,
    invert: bool,
}

const LENGTH: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("length", LENGTH, Kind::Range { min: 0, max: 65535 }, "length[:length]", "packet length in bytes")
        .invertible()
        .mandatory()
        .examples(&["0", "40:1500", ":64", "1000:", "65535"])];

impl Extension for Length {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("length", 0, "matches the length of the packet") };

    fn new(_: Family) -> Self {
        Self { min: 0, max: u16::MAX, invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        (self.min, self.max) = given.ports();
        self.invert = given.negated;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! --length " } else { " --length " });
        self.range(out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " length !" } else { " length " });
        self.range(out);
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str("meta length ");
        nft::unless(self.invert, out);
        nft::range(self.min, self.max, out)
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u16(self.min);
        b.u16(self.max);
        b.u8(u8::from(self.invert));
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [a, b, c, d, invert, ..] = *info else { return None };
        Some(Self { min: u16::from_ne_bytes([a, b]), max: u16::from_ne_bytes([c, d]), invert: invert != 0 })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        x.meta(NFT_META_LEN);
        x.hton(4, 4);
        x.within(self.invert, &u32::from(self.min).to_be_bytes(), &u32::from(self.max).to_be_bytes());
        true
    }
}

impl Length {
    fn range(&self, out: &mut Out) {
        out.dec(u64::from(self.min));
        if self.min != self.max {
            out.byte(b':');
            out.dec(u64::from(self.max));
        }
    }
}

impl MatchExt for Length {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let inside = (usize::from(self.min)..=usize::from(self.max)).contains(&packet.total_len());
        Tri::from(inside).xor(self.invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv4, Ipv6, Raw};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            for (args, wire, list) in [
                (" --length 100", "6400640000000000", " length 100"),
                (" ! --length 100:200", "6400c80001000000", " length !100:200"),
                (" --length 6:5", "0600050000000000", " length 6:5"),
                (" ! --length 0:65535", "0000ffff01000000", " length !0:65535"),
            ] {
                row(family, None, &format!("length{args}"), args, list, &format!("match length 0 {wire}"));
            }
        }
        for (value, save) in [("", "0"), (":", "0:65535"), (":5", "0:5"), (" ", "0"), ("+0x10:020", "16"), ("5:5", "5")]
        {
            let read = read(V4, None, &format!("length --length {}", value.trim())).unwrap();
            assert_eq!(read.save(), format!(" --length {save}"), "{value:?}");
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let near =
            |s: &str| format!("length: bad value for option \"--length\" near \"{s}\", or out of range (0-65535).\n");
        let behind = |s: &str| format!("length: Argument to \"--length\" has unexpected characters near \"{s}\".\n");
        for (args, text) in [
            (" --length abc:5", near("abc:5")),
            (" --length 5:65536", near("65536")),
            (" --length -1", near("-1")),
            (" --length 5x:6", behind("x:6")),
            (" --length 08", behind("8")),
            (" --length 5:6:", "length: Too many components for option \"--length\" (max: 2)\n".into()),
            ("", "length: option \"--length\" must be specified\n".into()),
            (" --length 5 --length 6", "length: option \"--length\" can only be used once.\n".into()),
        ] {
            assert_eq!(error(V4, None, &format!("length{args}")), text, "{args}");
        }
    }

    #[test]
    fn packets() {
        let v4 = Ipv4::default() / Raw { protocol: 99, payload: vec![0; 80] };
        let v6 = Ipv6::default() / Raw { protocol: 99, payload: vec![0; 80] };
        assert_eq!(read(V4, None, "length --length 100").unwrap().matches(&v4), Tri::True);
        assert_eq!(read(V6, None, "length --length 120:").unwrap().matches(&v6), Tri::True);
        assert_eq!(read(V4, None, "length ! --length :99").unwrap().matches(&v4), Tri::True);
        assert_eq!(read(V4, None, "length --length 101:99").unwrap().matches(&v4), Tri::False);
    }
}
