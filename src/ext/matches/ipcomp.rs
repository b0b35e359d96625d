//! `-m ipcomp`: the CPI of an IPComp packet. `-p ipcomp` loads it when its option is met.
//!
//! # Matches
//! IPComp packets whose Compression Parameter Index lies in a range; `!` outside. A fragment without the header does not match.
//! # Options
//! `[!] --ipcompspi SPI[:SPI]`, 0 to 4294967295 though the field has 16 bits; a missing end is the limit. Without it the index 0 is meant.
//! # Wire
//! xt `ipcomp` revision 0: `struct xt_ipcomp { u32 spis[2]; u8 invflags, hdrres; }`, host order, 10 bytes and padding.
//! Native: bytes 0 to 2 are loaded, which no later fragment has, then the index is loaded and compared; a packet that is cut off in the
//! header is no match (in xt it is dropped).
//! # Evaluates
//! Always known. A packet with less than four bytes of IPComp is dropped at once.
//! # Differs
//! `! --ipcompspi 0:4294967295`, which no packet meets, is printed; stock prints nothing there. There is no translation of numbers over
//! 65535, for nft refuses stock's.
//! # Sources
//! iptables-extensions(8) has nothing of it; `iptables -m ipcomp -h`; `linux/netfilter/xt_ipcomp.h`; RFC 3173 §3.3.

use super::headers;
use super::numbers::{EXAMPLES, KIND, Numbers};
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::protocol::IPCOMP;
use crate::types::{Family, Out, Tri};
use crate::wire::consts::NFT_PAYLOAD_TRANSPORT_HEADER;
use crate::wire::{BlobWriter, ExprWriter};

/// The range of indices.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IpComp(Numbers);

const SPI: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("ipcompspi", SPI, KIND, "spi[:spi]", "Compression Parameter Index").invertible().examples(EXAMPLES)];

impl Extension for IpComp {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        implied_by: &[IPCOMP],
        sample: "-p 108",
        limits: &[Limit::protocols(&[IPCOMP])],
        ..Spec::new("ipcomp", 0, "matches the CPI of IPComp packets")
    };

    fn new(_: Family) -> Self {
        Self(Numbers { min: 0, max: 0, invert: false })
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0 = Numbers::given(given);
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.save("ipcompspi", out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" comp ");
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
        x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 3);
        x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
        self.0.native(2, x);
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        self.0.translate("comp cpi", u32::from(u16::MAX), out)
    }
}

impl MatchExt for IpComp {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let Some([_, _, high, low, ..]) = headers::transport(packet, 4, env) else { return Tri::False };
        Tri::from(self.0.contains(u32::from(u16::from_be_bytes([*high, *low]))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv4, Raw};
    use crate::types::Family::{V4, V6};

    const P: Option<(u8, bool)> = Some((IPCOMP, false));

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            for (args, save, info, list) in [
                ("", " --ipcompspi 0", "00000000000000000000000000000000", " comp spi:0"),
                (" --ipcompspi :", "", "00000000ffffffff0000000000000000", " comp "),
                (
                    " --ipcompspi 7:",
                    " --ipcompspi 7:4294967295",
                    "07000000ffffffff0000000000000000",
                    " comp spis:7:4294967295",
                ),
                (" ! --ipcompspi 5", " ! --ipcompspi 5", "05000000050000000100000000000000", " comp spi:!5"),
                (" ! --ipcompspi 5:10", " ! --ipcompspi 5:10", "050000000a0000000100000000000000", " comp spis:!5:10"),
            ] {
                row(family, P, &format!("ipcomp{args}"), save, list, &format!("match ipcomp 0 {info}"));
            }
        }
        let text = "ipcomp: bad value for option \"--ipcompspi\" near \"x\", or out of range (0-4294967295).\n";
        assert_eq!(error(V4, P, "ipcomp --ipcompspi x"), text);
    }

    #[test]
    fn native_expressions_and_nfts_words() {
        for (args, wire, words) in [
            ("", "th+0,3; th+2,2; == 0000", Some("comp cpi 0")),
            (" --ipcompspi :", "th+0,3; th+2,2", None),
            (" ! --ipcompspi 5:10", "th+0,3; th+2,2; !range 0005..000a", Some("comp cpi != 5-10")),
            (" --ipcompspi 65536", "th+0,3; th+2,2; range 0001..0000", None),
        ] {
            let read = read(V4, P, &format!("ipcomp{args}")).unwrap();
            assert_eq!((read.native().as_deref(), read.translation().as_deref()), (Some(wire), words), "{args}");
        }
    }

    #[test]
    fn packets() {
        let raw = |payload: &[u8]| Raw { protocol: IPCOMP, payload: payload.to_vec() };
        let judge = |args: &str, packet: &Packet| read(V4, P, &format!("ipcomp{args}")).unwrap().judge(packet);
        let packet = Ipv4::default() / raw(&[6, 0, 1, 5]);
        assert_eq!(judge(" --ipcompspi 261", &packet), (Tri::True, false));
        assert_eq!(judge(" --ipcompspi 65536:", &packet), (Tri::False, false));
        assert_eq!(judge("", &packet), (Tri::False, false));
        assert_eq!(judge("", &(Ipv4::default() / raw(&[0; 3]))), (Tri::False, true));
        let tail = Ipv4 { fragment_offset: 8, ..Ipv4::default() } / raw(&[0; 4]);
        assert_eq!(judge("", &tail), (Tri::False, false));
    }
}
