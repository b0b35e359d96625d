//! `-m ah` of IPv4: the SPI of an AH packet. `-p ah` loads it when its option is met. That of IPv6 is in `ah6.rs`.
//!
//! # Matches
//! AH packets whose Security Parameters Index lies in a range; `!` outside. A fragment without the header does not match.
//! # Options
//! `[!] --ahspi SPI[:SPI]`, 0 to 4294967295; a missing end is the limit. Without it every AH packet matches.
//! # Wire
//! xt `ah` revision 0: `struct ipt_ah { u32 spis[2]; u8 invflags; }`, host order, 9 bytes and padding.
//! Native: the eight bytes behind the first word are loaded, which no later fragment has, and the first four compared; a packet that is cut
//! off in the header is no match (in xt it is dropped).
//! # Evaluates
//! Always known. A packet with less than twelve bytes of AH is dropped at once.
//! # Differs
//! `! --ahspi 0:4294967295`, which no packet meets, is printed; stock prints nothing there. There is no translation where nothing is asked:
//! stock's has lost `-p ah`.
//! # Sources
//! iptables-extensions(8) "ah"; `linux/netfilter_ipv4/ipt_ah.h`; RFC 4302 §2.

use super::headers;
use super::numbers::{EXAMPLES, KIND, Numbers};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::protocol::AH;
use crate::types::{Family, Out, Tri};
use crate::wire::consts::NFT_PAYLOAD_TRANSPORT_HEADER;
use crate::wire::{BlobWriter, ExprWriter};

/// The range of SPIs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ah(Numbers);

const SPI: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("ahspi", SPI, KIND, "spi[:spi]", "Security Parameters Index").invertible().examples(EXAMPLES)];

impl Extension for Ah {
    const SPEC: Spec = Spec {
        families: &[Family::V4],
        options: OPTIONS,
        implied_by: &[AH],
        sample: "-p ah",
        limits: &[Limit::protocols(&[AH])],
        ..Spec::new("ah", 0, "matches the SPI of AH packets")
    };

    fn new(_: Family) -> Self {
        Self(Numbers::ALL)
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0 = Numbers::given(given);
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.save("ahspi", out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" ah ");
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
        x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 4, 8);
        self.0.native(4, x);
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        self.0.translate("ah spi", u32::MAX, out)
    }
}

impl MatchExt for Ah {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let Some([_, _, _, _, a, b, c, d, ..]) = headers::transport(packet, 12, env) else { return Tri::False };
        Tri::from(self.0.contains(u32::from_be_bytes([*a, *b, *c, *d])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv4, Raw};
    use crate::types::Family::V4;

    const P: Option<(u8, bool)> = Some((AH, false));

    #[test]
    fn what_stock_writes_and_prints() {
        for (args, info, list) in [
            ("", "00000000ffffffff0000000000000000", " ah "),
            (" --ahspi 5", "05000000050000000000000000000000", " ah spi:5"),
            (" ! --ahspi 5:10", "050000000a0000000100000000000000", " ah spis:!5:10"),
            (" ! --ahspi 0:4294967295", "00000000ffffffff0100000000000000", " ah spis:!0:4294967295"),
        ] {
            row(V4, P, &format!("ah{args}"), args, list, &format!("match ah 0 {info}"));
        }
        let text = "ah: bad value for option \"--ahspi\" near \"x\", or out of range (0-4294967295).\n";
        assert_eq!(error(V4, P, "ah --ahspi x"), text);
        assert_eq!(error(V4, P, "ah --ahlen 8"), "option --ahlen");
    }

    #[test]
    fn native_expressions_nfts_words_and_packets() {
        let raw = |payload: &[u8]| Raw { protocol: AH, payload: payload.to_vec() };
        let packet = Ipv4::default() / raw(&[6, 1, 0, 0, 0, 0, 1, 5, 0, 0, 0, 1]);
        for (args, wire, words, expected) in [
            ("", "th+4,8", None, true),
            (" --ahspi 261", "th+4,8; == 00000105", Some("ah spi 261"), true),
            (" ! --ahspi 5:10", "th+4,8; !range 00000005..0000000a", Some("ah spi != 5-10"), true),
            (" --ahspi 10:5", "th+4,8; range 0000000a..00000005", None, false),
        ] {
            let read = read(V4, P, &format!("ah{args}")).unwrap();
            assert_eq!((read.native().as_deref(), read.translation().as_deref()), (Some(wire), words), "{args}");
            assert_eq!(read.judge(&packet), (Tri::from(expected), false), "{args}");
        }
        let read = read(V4, P, "ah").unwrap();
        assert_eq!(read.judge(&(Ipv4::default() / raw(&[0; 11]))), (Tri::False, true));
        assert_eq!(read.judge(&(Ipv4 { fragment_offset: 8, ..Ipv4::default() } / raw(&[0; 12]))), (Tri::False, false));
    }
}
