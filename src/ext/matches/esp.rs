//! `-m esp`: the SPI of an ESP packet. `-p esp` loads it when its option is met.
//!
//! # Matches
//! ESP packets whose Security Parameters Index lies in a range; `!` outside. A fragment without the header does not match.
//! # Options
//! `[!] --espspi SPI[:SPI]`, 0 to 4294967295; a missing end is the limit. Without it every ESP packet matches.
//! # Wire
//! xt `esp` revision 0: `struct xt_esp { u32 spis[2]; u8 invflags; }`, host order, 9 bytes and padding.
//! Native: the eight bytes of the header are loaded, which no later fragment has, and the first four compared; a packet that is cut off in
//! them is no match (in xt it is dropped).
//! # Evaluates
//! Always known. A packet with less than eight bytes of ESP is dropped at once.
//! # Differs
//! `! --espspi 0:4294967295`, which no packet meets, is printed; stock prints nothing there. There is no translation where nothing is asked:
//! stock's has lost `-p esp`.
//! # Sources
//! iptables-extensions(8) "esp"; `linux/netfilter/xt_esp.h`; RFC 4303 §2.

use super::headers;
use super::numbers::{EXAMPLES, KIND, Numbers};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::protocol::ESP;
use crate::types::{Family, Out, Tri};
use crate::wire::consts::NFT_PAYLOAD_TRANSPORT_HEADER;
use crate::wire::{BlobWriter, ExprWriter};

/// The range of SPIs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Esp(Numbers);

const SPI: u8 = 0;
const HEADER_LEN: usize = 8;

const OPTIONS: &[Opt] =
    &[Opt::value("espspi", SPI, KIND, "spi[:spi]", "Security Parameters Index").invertible().examples(EXAMPLES)];

impl Extension for Esp {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        implied_by: &[ESP],
        sample: "-p esp",
        limits: &[Limit::protocols(&[ESP])],
        ..Spec::new("esp", 0, "matches the SPI of ESP packets")
    };

    fn new(_: Family) -> Self {
        Self(Numbers::ALL)
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0 = Numbers::given(given);
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.save("espspi", out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.0.is_all() { " esp" } else { " esp " });
        self.0.list("spi", out);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        self.0.blob(b);
        b.u8(u8::from(self.0.invert));
        b.align(4);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        Numbers::decode(info, 0, *info.get(8)? != 0).map(Self)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, HEADER_LEN as u32);
        self.0.native(4, x);
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        self.0.translate("esp spi", u32::MAX, out)
    }
}

impl MatchExt for Esp {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let header = headers::transport(packet, HEADER_LEN, env).and_then(<[u8]>::first_chunk);
        Tri::from(header.is_some_and(|spi| self.0.contains(u32::from_be_bytes(*spi))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv4, Ipv6, Raw};
    use crate::types::Family::{V4, V6};

    const P: Option<(u8, bool)> = Some((ESP, false));

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            for (args, info, list) in [
                ("", "00000000ffffffff0000000000000000", " esp"),
                (" --espspi 5", "05000000050000000000000000000000", " esp spi:5"),
                (" ! --espspi 5:10", "050000000a0000000100000000000000", " esp spis:!5:10"),
                (" --espspi 10:5", "0a000000050000000000000000000000", " esp spis:10:5"),
                (" ! --espspi 0:4294967295", "00000000ffffffff0100000000000000", " esp spis:!0:4294967295"),
            ] {
                row(family, P, &format!("esp{args}"), args, list, &format!("match esp 0 {info}"));
            }
        }
        for (value, save) in [("", " --espspi 0"), (":", ""), (":0x10", " --espspi 0:16"), ("7:7", " --espspi 7")] {
            assert_eq!(read(V4, P, &format!("esp --espspi {value}")).unwrap().save(), save, "{value:?}");
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let near = "esp: bad value for option \"--espspi\" near \"-1\", or out of range (0-4294967295).\n";
        for (args, text) in [
            (" --espspi -1", near),
            (" --espspi 5x", "esp: Argument to \"--espspi\" has unexpected characters near \"x\".\n"),
            (" --espspi 5:6:7", "esp: Too many components for option \"--espspi\" (max: 2)\n"),
            (" --espspi 5 --espspi 6", "esp: option \"--espspi\" can only be used once.\n"),
        ] {
            assert_eq!(error(V4, P, &format!("esp{args}")), text, "{args}");
        }
    }

    #[test]
    fn native_expressions_and_nfts_words() {
        for (args, wire, words) in [
            ("", "th+0,8", None),
            (" --espspi 5", "th+0,8; == 00000005", Some("esp spi 5")),
            (" ! --espspi 5:10", "th+0,8; !range 00000005..0000000a", Some("esp spi != 5-10")),
            (" --espspi 10:5", "th+0,8; range 0000000a..00000005", None),
        ] {
            let read = read(V6, P, &format!("esp{args}")).unwrap();
            assert_eq!((read.native().as_deref(), read.translation().as_deref()), (Some(wire), words), "{args}");
        }
    }

    #[test]
    fn packets() {
        let raw = |payload: &[u8]| Raw { protocol: ESP, payload: payload.to_vec() };
        let judge = |args: &str, packet: &Packet| read(V4, P, &format!("esp{args}")).unwrap().judge(packet);
        let packet = Ipv4::default() / raw(&[0, 0, 1, 5, 0, 0, 0, 1]);
        assert_eq!(judge(" --espspi 261", &packet), (Tri::True, false));
        assert_eq!(judge(" ! --espspi 5:260", &packet), (Tri::True, false));
        assert_eq!(judge(" ! --espspi :", &packet), (Tri::False, false));
        assert_eq!(judge("", &(Ipv6::default() / raw(&[0; 8]))), (Tri::True, false));
        assert_eq!(judge("", &(Ipv4::default() / raw(&[0; 7]))), (Tri::False, true));
        let tail = Ipv4 { fragment_offset: 8, ..Ipv4::default() } / raw(&[0; 7]);
        assert_eq!(judge("", &tail), (Tri::False, false));
    }
}
