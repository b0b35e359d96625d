//! `-m realm`: the routing realm of the packet. IPv4 only.
//!
//! # Matches
//! Packets whose route has a realm that, ANDed with the mask, equals the value; `!` those where it does not. The value is not masked.
//! # Options
//! `[!] --realm value[/mask]`, u32 each, or a name from iproute2's rt_realms. Hooks INPUT, FORWARD, OUTPUT and POSTROUTING: the packet must
//! have a route.
//! # Wire
//! xt `realm` revision 0: `struct xt_realm_info { u32 id, mask; u8 invert; }`, host order.
//! Native: `meta load rtclassid`, `bitwise & mask` unless it is all ones, `cmp eq|neq`.
//! # Evaluates
//! Unknown if the packet's realm is not known and the mask is not 0.
//! # Differs
//! A realm is printed by its name only if that name is read as the same realm again; stock prints the first name of the file.
//! # Sources
//! iptables-extensions(8) "realm"; `linux/netfilter/xt_realm.h`.

use super::named_mark::NamedMark;
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, NumberList, Out, Tri};
use crate::wire::consts::NFT_META_RTCLASSID;
use crate::wire::{BlobWriter, ExprWriter};

/// A realm under a mask.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Realm {
    realm: NamedMark,
    invert: bool,
}

const REALM: u8 = 0;
const LIST: NumberList = NumberList::Realms;

const OPTIONS: &[Opt] =
    &[Opt::value("realm", REALM, Kind::Raw, "value[/mask]", "realm under a mask, or the name of a realm")
        .invertible()
        .mandatory()
        .examples(&["0", "5", "0x10/0xff", "010", "4294967295", "7/0", "3/3", "5/0xffffffff", "+5/+6"])];

impl Extension for Realm {
    const SPEC: Spec = Spec {
        families: &[Family::V4],
        options: OPTIONS,
        sample: "@/INPUT @/FORWARD @/OUTPUT @/POSTROUTING",
        limits: &[Limit::hooks(&[Hook::Input, Hook::Forward, Hook::Output, Hook::Postrouting])],
        ..Spec::new("realm", 0, "matches the routing realm of the packet")
    };

    fn new(_: Family) -> Self {
        Self { realm: NamedMark::ZERO, invert: false }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        self.realm = NamedMark::parse(given.bytes(), LIST, cx, "realm", "realm")?;
        self.invert = given.negated;
        Ok(())
    }

    fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(if self.invert { " ! --realm " } else { " --realm " });
        self.realm.print(out, LIST, cx.names, false);
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(if self.invert { " ! realm " } else { " realm " });
        self.realm.print(out, LIST, cx.names, cx.numeric);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(self.realm.value);
        b.u32(self.realm.mask);
        b.u8(u8::from(self.invert));
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [v0, v1, v2, v3, m0, m1, m2, m3, invert, ..] = *info else { return None };
        let (value, mask) = (u32::from_ne_bytes([v0, v1, v2, v3]), u32::from_ne_bytes([m0, m1, m2, m3]));
        Some(Self { realm: NamedMark { value, mask }, invert: invert != 0 })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        x.meta(NFT_META_RTCLASSID);
        if self.realm.mask != u32::MAX {
            x.mask(&self.realm.mask.to_ne_bytes());
        }
        x.cmp_eq(self.invert, &self.realm.value.to_ne_bytes());
        true
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        self.realm.translate(out, "rtclassid", self.invert, LIST, cx.names);
        true
    }
}

impl MatchExt for Realm {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let NamedMark { value, mask } = self.realm;
        match packet.meta.realm {
            Some(realm) => Tri::from(realm & mask == value),
            None if value & !mask != 0 => Tri::False,
            None if mask == 0 => Tri::True,
            None => Tri::Unknown,
        }
        .xor(self.invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        let row = |args: &str, save: &str, list: &str, hex: &str| {
            let (line, wire) = (format!("realm {args}"), format!("match realm 0 {hex}"));
            row(V4, None, &line, &format!(" {save}"), &format!(" {list}"), &wire);
        };
        row("--realm 5", "--realm 0x5", "realm 0x5", "05000000ffffffff0000000000000000");
        row("! --realm 5/0xff", "! --realm 0x5/0xff", "! realm 0x5/0xff", "05000000ff0000000100000000000000");
        row("--realm cosmos", "--realm cosmos", "realm 0x0", "00000000ffffffff0000000000000000");
        row("--realm 0/0", "--realm 0x0/0x0", "realm 0x0/0x0", "00000000000000000000000000000000");
        assert_eq!(read(V4, None, "realm ! --realm 0").unwrap().list(false), " ! realm cosmos");
        assert_eq!(error(V6, None, "realm --realm 5"), "no such match");
        assert_eq!(error(V4, None, "realm"), "realm: option \"--realm\" must be specified\n");
    }

    #[test]
    fn its_second_form_and_its_words_for_nft() {
        let value = |args: &str| read(V4, None, &format!("realm {args}")).unwrap();
        assert_eq!(value("--realm 5").native().unwrap(), "meta 13; == 05000000");
        assert_eq!(value("! --realm 5/6").native().unwrap(), "meta 13; & 06000000; != 05000000");
        assert_eq!(value("! --realm 5").translation().unwrap(), "rtclassid != 0x5");
        assert_eq!(value("--realm cosmos").translation().unwrap(), "rtclassid cosmos");
        assert_eq!(value("! --realm 5/0xff").translation().unwrap(), "rtclassid and 0xff != 0x5");
    }

    #[test]
    fn packets() {
        let mut packet = Ipv4::default() / Udp::default();
        let judge = |packet: &Packet, args: &str| read(V4, None, &format!("realm {args}")).unwrap().matches(packet);
        let unknown = [("--realm 5", Tri::Unknown), ("--realm 0/0", Tri::True), ("! --realm 1/0", Tri::True)];
        for (args, expected) in unknown {
            assert_eq!(judge(&packet, args), expected, "{args}");
        }
        packet.meta.realm = Some(0x15);
        for (args, expected) in [("--realm 0x15", true), ("! --realm 5/0xf", false), ("--realm 5", false)] {
            assert_eq!(judge(&packet, args), Tri::from(expected), "{args}");
        }
    }
}
