//! `-m tcpmss`: the maximum segment size that a TCP header offers.
//!
//! # Matches
//! TCP packets with an MSS option whose value lies in a range; `!` those with another value or without one.
//! # Options
//! `[!] --mss N[:M]`, 0 to 65535; a missing end is 0 or 65535.
//! # Wire
//! xt `tcpmss` revision 0: `struct xt_tcpmss_match_info { u16 mss_min, mss_max; u8 invert; }`, host order, 6 bytes.
//! Native: none, because `exthdr` finds nothing behind an MSS option of a wrong length, where the xt match looks on, nor in a later fragment.
//! # Evaluates
//! Always known. A packet without a whole header is dropped at once. Of fragments behind the first the kernel reads data as a header
//! (`Packet::transport_as_loaded`).
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "tcpmss"; `linux/netfilter/xt_tcpmss.h`; RFC 9293 §3.7.1.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec, nft};
use crate::packet::env::Env;
use crate::packet::{Packet, protocol, tcp};
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::BlobWriter;

/// The range of sizes in bytes, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpMss {
    min: u16,
    max: u16,
    invert: bool,
}

const MSS: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("mss", MSS, Kind::Range { min: 0, max: 65535 }, "value[:value]", "maximum segment size in bytes")
        .invertible()
        .mandatory()
        .examples(&["0", "536", "536:1460", ":1400", "1400:", "5:5"])];

impl Extension for TcpMss {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "-p tcp",
        limits: &[Limit::protocols(&[6])],
        ..Spec::new("tcpmss", 0, "matches the maximum segment size in the TCP header")
    };

    fn new(_: Family) -> Self {
        Self { min: 0, max: u16::MAX, invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        (self.min, self.max) = given.ports();
        self.invert = given.negated;
        if self.min > self.max { Err(usage!("tcpmss: invalid range given")) } else { Ok(()) }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! --mss " } else { " --mss " });
        self.range(out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " tcpmss match !" } else { " tcpmss match " });
        self.range(out);
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str("tcp option maxseg size ");
        nft::unless(self.invert, out);
        // `!` matches packets without the option too, which `!=` does not.
        nft::range(self.min, self.max, out) && !self.invert
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u16(self.min);
        b.u16(self.max);
        b.u8(u8::from(self.invert));
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [a, b, c, d, invert, ..] = *info else { return None };
        let (min, max) = (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]));
        (min <= max).then_some(Self { min, max, invert: invert != 0 })
    }
}

impl TcpMss {
    fn range(&self, out: &mut Out) {
        out.dec(u64::from(self.min));
        if self.min != self.max {
            out.byte(b':');
            out.dec(u64::from(self.max));
        }
    }
}

impl MatchExt for TcpMss {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let header = packet.transport_as_loaded().filter(|_| packet.protocol() == Some(protocol::TCP));
        let Some(tcp) = header.and_then(tcp::View::new).filter(|t| t.options().is_some()) else {
            env.hotdrop = true;
            return Tri::False;
        };
        let inside = tcp.mss().is_some_and(|mss| (self.min..=self.max).contains(&mss));
        Tri::from(inside).xor(self.invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{TCP, error, raised, read, row};
    use crate::packet::build::{Ipv4, Raw, Tcp as Segment};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            for (args, wire, list) in [
                (" --mss 500", "f401f40100000000", " tcpmss match 500"),
                (" ! --mss 5:6", "0500060001000000", " tcpmss match !5:6"),
                (" --mss 0:65535", "0000ffff00000000", " tcpmss match 0:65535"),
            ] {
                row(family, TCP, &format!("tcpmss{args}"), args, list, &format!("match tcpmss 0 {wire}"));
            }
        }
        assert_eq!(read(V4, TCP, "tcpmss --mss 6:").unwrap().save(), " --mss 6:65535");
        assert_eq!(read(V4, TCP, "tcpmss --mss ").unwrap().save(), " --mss 0");
        assert!(raised(V4, TCP, |x| x.xt_match("tcpmss", 0, |b| b.bytes(&[6, 0, 5, 0, 0, 0]))).is_none());
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (args, text) in [
            (" --mss 6:5", "tcpmss: invalid range given"),
            (" --mss abc", "tcpmss: bad value for option \"--mss\" near \"abc\", or out of range (0-65535).\n"),
            (" --mss 5:6:7", "tcpmss: Too many components for option \"--mss\" (max: 2)\n"),
            ("", "tcpmss: option \"--mss\" must be specified\n"),
        ] {
            assert_eq!(error(V4, TCP, &format!("tcpmss{args}")), text, "{args}");
        }
    }

    #[test]
    fn packets() {
        let with = Ipv4::default() / Segment { options: vec![1, 1, 2, 4, 0x05, 0xb4, 0, 0], ..Segment::default() };
        let without = Ipv4::default() / Segment::default();
        let judge = |args: &str, packet| read(V4, TCP, &format!("tcpmss {args}")).unwrap().judge(packet);
        assert_eq!(judge("--mss 1460", &with), (Tri::True, false));
        assert_eq!(judge("--mss :1459", &with), (Tri::False, false));
        assert_eq!(judge("--mss :", &without), (Tri::False, false));
        assert_eq!(judge("! --mss 1:2", &without), (Tri::True, false));
        let short = Ipv4::default() / Raw { protocol: 6, payload: vec![0; 12] };
        assert_eq!(judge("--mss 1", &short), (Tri::False, true));
        let bytes = with.transport().unwrap().to_vec();
        let tail = Ipv4 { fragment_offset: 8, ..Ipv4::default() } / Raw { protocol: 6, payload: bytes };
        assert_eq!(judge("--mss 1460", &tail), (Tri::True, false));
    }
}
