//! `-m eui64`: an IPv6 address made from the Ethernet address (IPv6).
//!
//! # Matches
//! Packets whose source address ends in the identifier that stateless autoconfiguration makes of the source address of the Ethernet header.
//! # Options
//! None.
//! # Wire
//! xt `eui64` revision 0: `int`, 4 bytes that mean nothing. Native: none, because nothing native puts one header's bytes beside another's.
//! # Evaluates
//! Always known. A packet that came by no Ethernet device is dropped at once.
//! # Differs
//! Nothing known.
//! # Sources
//! ip6tables-extensions(8) "eui64"; RFC 4291 appendix A.

use crate::ext::limits::{INCOMING, Limit};
use crate::ext::options::{Given, UsageError};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::wire::BlobWriter;

/// There is nothing to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Eui64;

impl Extension for Eui64 {
    const SPEC: Spec = Spec {
        families: &[Family::V6],
        sample: "@filter/INPUT",
        limits: &[Limit::hooks(INCOMING)],
        ..Spec::new("eui64", 0, "matches source addresses made from the Ethernet address")
    };

    fn new(_: Family) -> Self {
        Self
    }

    fn set(&mut self, _: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        Ok(())
    }

    fn save(&self, _: &mut Out, _: &PrintCx<'_>) {}

    fn list(&self, _: &mut Out, _: &PrintCx<'_>) {}

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(0);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        info.first_chunk::<4>().map(|_| Self)
    }

    fn scrub(info: &mut [u8]) {
        info.iter_mut().take(4).for_each(|b| *b = 0);
    }
}

impl MatchExt for Eui64 {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let Some([a, b, c, d, e, f]) = packet.meta.mac_src else {
            env.hotdrop = true;
            return Tri::False;
        };
        let made = [a ^ 2, b, c, 0xff, 0xfe, d, e, f];
        Tri::from(packet.ipv6().is_some_and(|header| header.src().octets().ends_with(&made)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{raised_text, read, row};
    use crate::packet::build::{Ipv6, Udp};
    use crate::types::Family::V6;

    #[test]
    fn it_is_written_and_read() {
        row(V6, None, "eui64", "", "", "match eui64 0 0000000000000000");
        let odd = raised_text(V6, None, |x| x.xt_match("eui64", 0, |b| b.bytes(&[1, 2, 3, 4])));
        assert_eq!(odd, " -m eui64");
        let read = read(V6, None, "eui64").unwrap();
        assert_eq!((read.native(), read.translation()), (None, None));
    }

    #[test]
    fn packets() {
        let read = read(V6, None, "eui64").unwrap();
        let header = |src: &str| Ipv6 { src: src.parse().unwrap(), ..Ipv6::default() };
        let mut packet = header("2001:db8::211:22ff:fe33:4455") / Udp::default();
        assert_eq!(read.judge(&packet), (Tri::False, true));
        packet.meta.mac_src = Some([0, 0x11, 0x22, 0x33, 0x44, 0x55]);
        assert_eq!(read.judge(&packet), (Tri::True, false));
        packet.meta.mac_src = Some([2, 0x11, 0x22, 0x33, 0x44, 0x55]);
        assert_eq!(read.judge(&packet), (Tri::False, false));
    }
}
