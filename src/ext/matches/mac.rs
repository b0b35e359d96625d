//! `-m mac`: the source address of the Ethernet header.
//!
//! # Matches
//! Packets that came by an Ethernet device from this address; `!` those that came by one from another. Others never.
//! # Options
//! `[!] --mac-source xx:xx:xx:xx:xx:xx`.
//! # Wire
//! xt `mac` revision 0: `struct xt_mac_info { u8 srcaddr[6]; int invert; }`, 12 bytes with two of padding.
//! Native: `meta load iiftype` must be Ethernet, as the xt match insists; `payload load` of 6 bytes of the link layer's header, `cmp`.
//! # Evaluates
//! Always known.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "mac"; `linux/netfilter/xt_mac.h`.

use crate::ext::limits::{INCOMING, Limit};
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec, nft};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};

/// A source address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mac {
    addr: [u8; 6],
    invert: bool,
}

const SOURCE: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("mac-source", SOURCE, Kind::Mac, "XX:XX:XX:XX:XX:XX", "Ethernet address of the sender")
        .invertible()
        .mandatory()
        .examples(&["aa:bb:cc:dd:ee:ff", "00:00:00:00:00:00", "02:0A:0b:1:2:3", "FF:FF:FF:FF:FF:FF"])];

impl Extension for Mac {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@filter/INPUT",
        limits: &[Limit::hooks(INCOMING)],
        ..Spec::new("mac", 0, "matches the source address of the Ethernet header")
    };

    fn new(_: Family) -> Self {
        Self { addr: [0; 6], invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.addr = given.mac();
        self.invert = given.negated;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! --mac-source " } else { " --mac-source " });
        self.addr(out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " MAC ! " } else { " MAC " });
        self.addr(out);
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str("ether saddr ");
        nft::unless(self.invert, out);
        self.addr(out);
        true
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.bytes(&self.addr);
        b.zeros(2);
        b.u32(u32::from(self.invert));
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let (addr, rest) = info.split_first_chunk()?;
        let [_, _, a, b, c, d, ..] = *rest else { return None };
        Some(Self { addr: *addr, invert: u32::from_ne_bytes([a, b, c, d]) != 0 })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        const ARPHRD_ETHER: u16 = 1;
        x.meta(NFT_META_IFTYPE);
        x.cmp_eq(false, &ARPHRD_ETHER.to_ne_bytes());
        x.payload(NFT_PAYLOAD_LL_HEADER, 6, 6);
        x.cmp_eq(self.invert, &self.addr);
        true
    }
}

impl Mac {
    fn addr(&self, out: &mut Out) {
        let [a, b, c, d, e, f] = self.addr;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    }
}

impl MatchExt for Mac {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::from(packet.meta.mac_src.is_some_and(|src| (src == self.addr) != self.invert))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv4, Udp as Datagram};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let (args, list) = (" --mac-source aa:bb:cc:dd:ee:ff", " MAC aa:bb:cc:dd:ee:ff");
            row(family, None, &format!("mac{args}"), args, list, "match mac 0 aabbccddeeff00000000000000000000");
            let (args, list) = (" ! --mac-source 00:01:02:0a:0b:0c", " MAC ! 00:01:02:0a:0b:0c");
            row(family, None, &format!("mac{args}"), args, list, "match mac 0 0001020a0b0c00000100000000000000");
        }
        assert_eq!(read(V4, None, "mac --mac-source a:B:0C:d:e:f").unwrap().save(), " --mac-source 0a:0b:0c:0d:0e:0f");
        assert_eq!(error(V4, None, "mac --mac-source aa:bb:cc:dd:ee"), "Invalid MAC address specified.");
        assert_eq!(error(V4, None, "mac"), "mac: option \"--mac-source\" must be specified\n");
    }

    #[test]
    fn packets() {
        let mut packet = Ipv4::default() / Datagram::default();
        let [is, is_not] =
            ["mac --mac-source 2:0:0:0:0:1", "mac ! --mac-source 2:0:0:0:0:1"].map(|l| read(V4, None, l).unwrap());
        assert_eq!((is.matches(&packet), is_not.matches(&packet)), (Tri::False, Tri::False));
        packet.meta.mac_src = Some([2, 0, 0, 0, 0, 1]);
        assert_eq!((is.matches(&packet), is_not.matches(&packet)), (Tri::True, Tri::False));
        packet.meta.mac_src = Some([2, 0, 0, 0, 0, 2]);
        assert_eq!((is.matches(&packet), is_not.matches(&packet)), (Tri::False, Tri::True));
    }
}
