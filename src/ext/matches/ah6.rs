//! `-m ah` of IPv6: the Authentication Header, wherever it stands in the chain of headers. That of IPv4 is in `ah.rs`.
//!
//! # Matches
//! Packets with an Authentication Header whose SPI lies in a range (`!`: outside), whose length is N bytes (`!`: another), whose reserved
//! field is nought; what is given must all hold.
//! # Options
//! `[!] --ahspi SPI[:SPI]`, 0 to 4294967295; `[!] --ahlen BYTES`, of which 0 asks for nothing, with `!` too; `--ahres`. `-p ah` loads it when
//! one of them is met, but needs not stand before it.
//! # Wire
//! xt `ah` revision 0: `struct ip6t_ah { u32 spis[2], hdrlen; u8 hdrres, invflags; }`, host order, 14 bytes and padding.
//! Native: with `--ahlen` of up to 256 bytes and without `!`, since the header's last byte is then known, and must be there; each field is
//! loaded and compared. None otherwise, because nothing native asks whether a header has the length that it says. A packet that is cut off
//! in the header is no match (in xt it is dropped).
//! # Evaluates
//! Always known. A packet that is cut off in the header, or before it in the chain, is dropped at once.
//! # Differs
//! `! --ahspi 0:4294967295`, which no packet meets, is printed; stock prints nothing there. There is no translation of `--ahlen` and
//! `--ahres`: stock's asks for the number of words, and for a reserved field of 1.
//! # Sources
//! ip6tables-extensions(8) "ah"; `linux/netfilter_ipv6/ip6t_ah.h`; RFC 4302 §2.

use super::headers::{self, load_extension};
use super::numbers::{EXAMPLES, KIND, Numbers};
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::protocol::AH;
use crate::types::{Family, Out, Tri};
use crate::wire::{BlobWriter, ExprWriter};

/// What is asked of the header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ah6 {
    spi: Numbers,
    /// Length in bytes; 0: any.
    len: u32,
    not_len: bool,
    reserved: bool,
}

const SPI: u8 = 0;
const LEN: u8 = 1;
const RESERVED: u8 = 2;

const OPTIONS: &[Opt] = &[
    Opt::value("ahspi", SPI, KIND, "spi[:spi]", "Security Parameters Index").invertible().examples(EXAMPLES),
    Opt::value("ahlen", LEN, Kind::Number { min: 0, max: u32::MAX as u64 }, "length", "length of the header in bytes")
        .invertible()
        .examples(&["0", "12", "16", "24", "0x20", "44", "1028", "1032", "13", "4294967295"]),
    Opt::flag("ahres", RESERVED, "the reserved field is 0"),
];

impl Extension for Ah6 {
    const SPEC: Spec = Spec {
        families: &[Family::V6],
        options: OPTIONS,
        implied_by: &[AH],
        ..Spec::new("ah", 0, "matches the Authentication Header")
    };

    fn new(_: Family) -> Self {
        Self { spi: Numbers::ALL, len: 0, not_len: false, reserved: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            SPI => self.spi = Numbers::given(given),
            LEN => (self.len, self.not_len) = (given.u32(), given.negated),
            _ => self.reserved = true,
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.spi.save("ahspi", out);
        if self.len != 0 || self.not_len {
            write!(out, "{} --ahlen {}", if self.not_len { " !" } else { "" }, self.len);
        }
        out.str(if self.reserved { " --ahres" } else { "" });
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" ah ");
        self.spi.list("spi", out);
        if self.len != 0 || self.not_len {
            write!(out, "length:{}{}", if self.not_len { "!" } else { "" }, self.len);
        }
        out.str(if self.reserved { " reserved" } else { "" });
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        self.spi.blob(b);
        b.u32(self.len);
        b.u8(u8::from(self.reserved));
        b.u8(u8::from(self.spi.invert) | u8::from(self.not_len) << 1);
        b.align(4);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [a, b, c, d, reserved, invert] = *info.get(8..)?.first_chunk()?;
        Some(Self {
            spi: Numbers::decode(info, 0, invert & 1 != 0)?,
            len: u32::from_ne_bytes([a, b, c, d]),
            not_len: invert & 2 != 0,
            reserved: reserved != 0,
        })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if !self.len.is_multiple_of(4) || !(12..=256).contains(&self.len) || self.not_len {
            return false;
        }
        load_extension(AH, self.len - 1, 1, x);
        // The field counts words of four bytes, less two.
        load_extension(AH, 1, 1, x);
        x.cmp_eq(false, &[(self.len / 4 - 2) as u8]);
        if !self.spi.is_all() {
            load_extension(AH, 4, 4, x);
            self.spi.native(4, x);
        }
        if self.reserved {
            load_extension(AH, 2, 2, x);
            x.cmp_eq(false, &[0, 0]);
        }
        true
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        // nft takes no two protocols in a rule, though neither matches then.
        let other = cx.protocol.is_some_and(|protocol| protocol != AH);
        if other || self.len != 0 || self.not_len || self.reserved {
            return false;
        }
        if self.spi.is_all() {
            out.str("meta l4proto ah");
            return true;
        }
        self.spi.translate("ah spi", u32::MAX, out)
    }
}

impl MatchExt for Ah6 {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let Some(header) = headers::extension(packet, AH, 12, env) else { return Tri::False };
        let [_, words, r0, r1, a, b, c, d, ..] = header else { return Tri::False };
        let len = (u32::from(*words) + 2) * 4;
        if header.len() < len as usize {
            env.hotdrop = true;
            return Tri::False;
        }
        Tri::from(
            self.spi.contains(u32::from_be_bytes([*a, *b, *c, *d]))
                && (self.len == 0 || (self.len == len) != self.not_len)
                && (!self.reserved || (*r0, *r1) == (0, 0)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv6, Raw, Tcp};
    use crate::packet::ipv6::{AUTHENTICATION, DESTINATION};
    use crate::types::Family::V6;

    #[test]
    fn what_stock_writes_and_prints() {
        for (args, info, list) in [
            ("", "00000000ffffffff0000000000000000", " ah "),
            (" --ahspi 5", "05000000050000000000000000000000", " ah spi:5"),
            (" ! --ahspi 5", "05000000050000000000000000010000", " ah spi:!5"),
            (" --ahlen 8", "00000000ffffffff0800000000000000", " ah length:8"),
            (" ! --ahlen 0", "00000000ffffffff0000000000020000", " ah length:!0"),
            (" --ahres", "00000000ffffffff0000000001000000", " ah  reserved"),
            (" --ahspi 5 --ahres", "05000000050000000000000001000000", " ah spi:5 reserved"),
            (
                " --ahspi 5:10 ! --ahlen 32 --ahres",
                "050000000a0000002000000001020000",
                " ah spis:5:10length:!32 reserved",
            ),
        ] {
            row(V6, None, &format!("ah{args}"), args, list, &format!("match ah 0 {info}"));
        }
        assert_eq!(read(V6, None, "ah --ahlen 0").unwrap().save(), "");
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (args, text) in [
            (" ! --ahres", "ah: option \"--ahres\" cannot be inverted.\n"),
            (" --ahlen 5:6", "ah: bad value for option \"--ahlen\", or out of range (0-4294967295).\n"),
            (" --ahlen 5 --ahlen 6", "ah: option \"--ahlen\" can only be used once.\n"),
        ] {
            assert_eq!(error(V6, None, &format!("ah{args}")), text, "{args}");
        }
    }

    /// A load of bytes of the header, as the tests show it.
    fn load(offset: u32, len: u32) -> String {
        format!("exthdr 1=00000001 2=33 3={offset:08x} 4={len:08x} 6=00000000")
    }

    #[test]
    fn native_expressions_nfts_words_and_packets() {
        let header = (AUTHENTICATION, vec![0, 0, 0, 0, 1, 5, 0, 0, 0, 1, 0, 0, 0, 0]);
        let extensions = vec![(DESTINATION, vec![0; 6]), header, (DESTINATION, vec![0; 6])];
        let packet = Ipv6 { extensions, ..Ipv6::default() } / Tcp::default();
        let whole = format!("{}; {}; == 02", load(15, 1), load(1, 1));
        for (args, wire, words, expected) in [
            ("", None, Some("meta l4proto ah"), true),
            (" --ahspi 261", None, Some("ah spi 261"), true),
            (" ! --ahspi 261", None, Some("ah spi != 261"), false),
            (" --ahlen 16", Some(whole.clone()), None, true),
            (" --ahlen 16 ! --ahspi 5", Some(format!("{whole}; {}; != 00000005", load(4, 4))), None, true),
            (" ! --ahlen 16", None, None, false),
            (" ! --ahlen 0", None, None, true),
            (" --ahlen 13", None, None, false),
            (" --ahlen 16 --ahres", Some(format!("{whole}; {}; == 0000", load(2, 2))), None, true),
        ] {
            let read = read(V6, None, &format!("ah{args}")).unwrap();
            assert_eq!((read.native(), read.translation().as_deref()), (wire, words), "{args}");
            assert_eq!(read.judge(&packet), (Tri::from(expected), false), "{args}");
        }
        let read = read(V6, None, "ah").unwrap();
        assert_eq!(read.judge(&(Ipv6::default() / Tcp::default())), (Tri::False, false));
        let short = Ipv6::default() / Raw { protocol: AH, payload: vec![6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0] };
        assert_eq!(read.judge(&short), (Tri::False, true));
        let short = Ipv6::default() / Raw { protocol: AH, payload: vec![6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1] };
        assert_eq!(read.judge(&short), (Tri::False, true));
        let short = Ipv6::default() / Raw { protocol: DESTINATION, payload: vec![AH, 9, 0, 0, 0, 0, 0, 0] };
        assert_eq!(read.judge(&short), (Tri::False, true));
    }
}
