//! `-m pkttype`: whom the link layer addressed.
//!
//! # Matches
//! Packets that the link layer addressed to this host, to all, to a group or to another host; `!` the others. A packet that this host sends
//! counts as addressed to it. A packet of this host's own that comes back to it as broadcast or multicast counts as that.
//! # Options
//! `[!] --pkt-type {unicast|broadcast|multicast|otherhost}`; case does not matter, and `host` is unicast.
//! # Wire
//! xt `pkttype` revision 0: `struct xt_pkttype_info { int pkttype, invert; }`, host order; `PACKET_*` of `linux/if_packet.h`.
//! Native: `meta load pkttype`, `cmp eq|neq`.
//! # Evaluates
//! Always known.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "pkttype"; `linux/netfilter/xt_pkttype.h`, `linux/if_packet.h`.

use crate::ext::options::{Given, Kind, Opt, UsageError, usage_bytes};
use crate::ext::{Body, Extension, Match, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::env::Env;
use crate::packet::{Packet, PacketType};
use crate::types::{Family, Out, Tri};
use crate::wire::cond::{Cond, Field, Item};
use crate::wire::consts::NFT_META_PKTTYPE;
use crate::wire::{BlobWriter, ExprWriter};

/// A type of packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PktType {
    ty: PacketType,
    invert: bool,
}

/// The types with their names, in the order of their numbers.
const TYPES: [(PacketType, &str); 4] = [
    (PacketType::Unicast, "unicast"),
    (PacketType::Broadcast, "broadcast"),
    (PacketType::Multicast, "multicast"),
    (PacketType::OtherHost, "otherhost"),
];

const TYPE: u8 = 0;

const OPTIONS: &[Opt] = &[Opt::value("pkt-type", TYPE, Kind::Raw, "packettype", "one of the types below")
    .invertible()
    .mandatory()
    .examples(&["unicast", "broadcast", "multicast", "otherhost", "host", "Unicast", "BROADCAST"])];

const NOTES: &[(&str, &str)] = &[
    ("unicast", "to this host"),
    ("broadcast", "to all"),
    ("multicast", "to a group"),
    ("otherhost", "to another host"),
];

impl Extension for PktType {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        notes: |_| NOTES,
        ..Spec::new("pkttype", 0, "matches whom the link layer addressed the packet to")
    };

    fn new(_: Family) -> Self {
        Self { ty: PacketType::Unicast, invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let text = given.bytes();
        let named = |name: &str| text.eq_ignore_ascii_case(name.as_bytes());
        let found = if named("host") { Some(PacketType::Unicast) } else { by(|(_, name)| named(name)) };
        self.ty = found.ok_or_else(|| usage_bytes("Bad packet type '", text, "'"))?;
        self.invert = given.negated;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! --pkt-type " } else { " --pkt-type " });
        out.str(self.name());
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " PKTTYPE != " } else { " PKTTYPE = " });
        out.str(self.name());
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(u32::from(self.number()));
        b.u32(u32::from(self.invert));
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let (ty, [invert, ..]) = info.split_first_chunk::<4>()? else { return None };
        let number = usize::try_from(u32::from_ne_bytes(*ty)).ok()?;
        Some(Self { ty: TYPES.get(number)?.0, invert: *invert != 0 })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        x.meta(NFT_META_PKTTYPE);
        x.cmp_eq(self.invert, &[self.number()]);
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str(if self.invert { "pkttype != " } else { "pkttype " });
        out.str(if self.ty == PacketType::OtherHost { "3" } else { self.name() });
        true
    }
}

fn by(test: impl Fn(&(PacketType, &str)) -> bool) -> Option<PacketType> {
    TYPES.iter().find(|row| test(row)).map(|(ty, _)| *ty)
}

impl PktType {
    fn name(&self) -> &'static str {
        TYPES.iter().find(|(ty, _)| *ty == self.ty).map_or("", |(_, name)| name)
    }

    /// `PACKET_*`.
    fn number(&self) -> u8 {
        match self.ty {
            PacketType::Unicast => 0,
            PacketType::Broadcast => 1,
            PacketType::Multicast => 2,
            PacketType::OtherHost => 3,
        }
    }
}

impl MatchExt for PktType {
    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let Item::Cond(cond @ Cond { field: Field::Meta(NFT_META_PKTTYPE), .. }) = item else { return false };
        let Some((invert, data)) = cond.equals() else { return false };
        let Some((ty, _)) = data.u8().and_then(|number| TYPES.get(usize::from(number))) else { return false };
        body.matches.push(Match::PktType(Self { ty: *ty, invert }));
        true
    }

    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::from(packet.meta.pkttype == self.ty).xor(self.invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row};
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            for (number, name) in ["unicast", "broadcast", "multicast", "otherhost"].iter().enumerate() {
                for (not, equals, bit) in [("", "=", 0), ("! ", "!=", 1)] {
                    row(
                        family,
                        None,
                        &format!("pkttype {not}--pkt-type {name}"),
                        &format!(" {not}--pkt-type {name}"),
                        &format!(" PKTTYPE {equals} {name}"),
                        &format!("match pkttype 0 0{number}0000000{bit}000000"),
                    );
                }
            }
        }
        assert_eq!(read(V4, None, "pkttype --pkt-type HOST").unwrap().save(), " --pkt-type unicast");
        assert_eq!(raised_text(V4, None, |x| x.xt_match("pkttype", 0, |b| b.bytes(&[4, 0, 0, 0]))), "opaque");
    }

    #[test]
    fn its_second_form_and_its_words_for_nft() {
        let value = |args: &str| read(V6, None, &format!("pkttype {args}")).unwrap();
        assert_eq!(value("! --pkt-type multicast").native().unwrap(), "meta 19; != 02");
        for (args, words) in [
            ("--pkt-type unicast", "pkttype unicast"),
            ("! --pkt-type broadcast", "pkttype != broadcast"),
            ("--pkt-type otherhost", "pkttype 3"),
        ] {
            assert_eq!(value(args).translation().as_deref(), Some(words));
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (args, text) in [
            (" --pkt-type uni", "Bad packet type 'uni'"),
            (" --pkt-type ", "Bad packet type ''"),
            (" --pkt-type loopback", "Bad packet type 'loopback'"),
            ("", "pkttype: option \"--pkt-type\" must be specified\n"),
            (" --pkt-type host --pkt-type host", "pkttype: option \"--pkt-type\" can only be used once.\n"),
        ] {
            assert_eq!(error(V4, None, &format!("pkttype{args}")), text, "{args}");
        }
    }

    #[test]
    fn packets() {
        let mut packet = Ipv4::default() / Udp::default();
        packet.meta.pkttype = PacketType::Broadcast;
        for (args, expected) in
            [("--pkt-type broadcast", true), ("! --pkt-type broadcast", false), ("--pkt-type unicast", false)]
        {
            assert_eq!(read(V4, None, &format!("pkttype {args}")).unwrap().matches(&packet), Tri::from(expected));
        }
    }
}
