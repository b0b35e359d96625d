//! `-j TEE`: sends a copy of the packet to another machine of the local network.
//!
//! # Options
//! `--gateway address`, `--oif interface` (cut at 15 bytes; empty is none).
//! # Wire
//! xt `TEE` revision 1: `struct xt_tee_tginfo { union nf_inet_addr gw; char oif[16]; struct xt_tee_priv *priv; }`; the pointer is the kernel's.
//! Native: `dup to`, without `--oif`: nf_tables binds the rule to an interface that is there, the xt form to the name.
//! # Evaluates
//! The packet itself goes on with the next rule; the copy is not followed.
//! # Differs
//! An interface with blanks or quotes is printed in double quotes, as it must be written; stock prints it bare. It has no translation, nor have
//! names that nft reads as something else (a number is an index).
//! # Sources
//! iptables-extensions(8) "TEE"; `linux/netfilter/xt_TEE.h`; nft(8) DUP STATEMENT; measured.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Effect, Extension, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::wire::consts::NFT_REG_1;
use crate::wire::{BlobWriter, ExprWriter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the copy goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tee {
    gateway: IpAddr,
    /// Up to 15 bytes; empty for none.
    oif: Box<[u8]>,
}

/// `IFNAMSIZ`.
const IFNAMSIZ: usize = 16;

const GATEWAY: u8 = 0;
const OIF: u8 = 1;

const OPTIONS: &[Opt] = &[
    Opt::value("gateway", GATEWAY, Kind::Host, "address", "the machine that gets the copy").mandatory().examples(&[
        "v4:192.0.2.1",
        "v4:10.1",
        "v4:198.51.100.254",
        "v4:203.0.113.9",
        "v4:255.255.255.255",
        "v6:2001:db8::1",
        "v6:fd00::1",
        "v6:::1.2.3.4",
        "v6:fe80::1",
        "v6:2001:db8:0:1:0:0:0:5",
    ]),
    Opt::value("oif", OIF, Kind::Raw, "interface", "the interface by which it goes").examples(&[
        "lo",
        "eth0",
        "eth+",
        "a/b",
        "veth-1.2",
        "123456789012345",
        "1234567890123456",
        "",
    ]),
];

impl Extension for Tee {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        limits: &[
            Limit::never("--gateway 0.0.0.0").only(&[Family::V4]),
            Limit::never("--gateway ::").only(&[Family::V6]),
        ],
        ..Spec::new("TEE", 1, "sends a copy of the packet to another machine")
    };

    fn new(family: Family) -> Self {
        let gateway = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self { gateway, oif: Box::default() }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            GATEWAY => self.gateway = given.host().unwrap_or(self.gateway),
            _ => self.oif = given.bytes().get(..IFNAMSIZ - 1).unwrap_or(given.bytes()).into(),
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" --gateway ");
        out.addr(self.gateway);
        if !self.oif.is_empty() {
            out.str(" --oif");
            out.word(&self.oif);
        }
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(" TEE gw:");
        self.print_gateway(out, cx);
        if !self.oif.is_empty() {
            out.str(" oif=");
            out.bytes(&self.oif);
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        match self.gateway {
            IpAddr::V4(addr) => b.fixed(&addr.octets(), 16),
            IpAddr::V6(addr) => b.bytes(&addr.octets()),
        }
        b.fixed(&self.oif, IFNAMSIZ);
        b.zeros(8);
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let gateway = match family {
            Family::V4 => IpAddr::from(*info.first_chunk::<4>()?),
            Family::V6 => IpAddr::from(*info.first_chunk::<16>()?),
        };
        let oif = info.get(16..16 + IFNAMSIZ)?;
        let len = oif.iter().position(|b| *b == 0)?;
        Some(Self { gateway, oif: oif.get(..len)?.into() })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if !self.oif.is_empty() {
            return false;
        }
        match self.gateway {
            IpAddr::V4(addr) => x.immediate(NFT_REG_1, &addr.octets()),
            IpAddr::V6(addr) => x.immediate(NFT_REG_1, &addr.octets()),
        }
        x.dup(NFT_REG_1, None);
        true
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        let [first, rest @ ..] = &*self.oif else { return self.translate_to(None, cx, out) };
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
        first.is_ascii_alphabetic() && rest.iter().all(plain) && self.translate_to(Some(&self.oif), cx, out)
    }

    fn scrub(info: &mut [u8]) {
        let Some(oif) = info.get_mut(16..) else { return };
        let name = oif.get(..IFNAMSIZ).and_then(|name| name.iter().position(|b| *b == 0)).unwrap_or(IFNAMSIZ);
        if let Some(rest) = oif.get_mut(name..) {
            rest.fill(0);
        }
    }
}

impl Tee {
    fn print_gateway(&self, out: &mut Out, cx: &PrintCx<'_>) {
        match if cx.numeric { None } else { cx.names.host_name(self.gateway) } {
            Some(name) => out.bytes(&name),
            None => out.addr(self.gateway),
        }
    }

    fn translate_to(&self, oif: Option<&[u8]>, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        // The kernel takes no copy to nowhere.
        if self.gateway.is_unspecified() {
            return false;
        }
        out.str("dup to ");
        self.print_gateway(out, cx);
        if let Some(oif) = oif {
            out.str(" device ");
            out.bytes(oif);
        }
        true
    }
}

impl TargetExt for Tee {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::Target;
    use crate::ext::targets::testing::{error, row, ways};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for (family, words, save, list, hex) in [
            (V4, "--gateway 10.1", "--gateway 10.0.0.1", "gw:10.0.0.1", "0a000001".to_owned()),
            (V4, "--gateway 1.2.3.4 --oif lo", "", "gw:1.2.3.4 oif=lo", format!("01020304{:024}6c6f", 0)),
            (
                V6,
                "--gateway fd00::1 --oif 1234567890123456",
                "--gateway fd00::1 --oif 123456789012345",
                "gw:fd00::1 oif=123456789012345",
                format!("fd{:028}01313233343536373839303132333435", 0),
            ),
            (V6, "--gateway ::1.2.3.4", "", "gw:::1.2.3.4", format!("{:024}01020304", 0)),
        ] {
            let save = if save.is_empty() { words } else { save };
            row(family, None, &format!("TEE {words}"), save, &format!(" TEE {list}"), &format!("{hex:0<80}"));
        }
        error(V4, None, "TEE --oif a", "TEE: option \"--gateway\" must be specified\n");
        error(V4, None, "TEE --gateway 1.2.3.4/24", "getaddrinfo: Name or service not known\n");
    }

    #[test]
    fn in_other_words() {
        let native = "Immediate { dreg: 1, data: [1, 2, 3, 4] }; dup 1=00000001";
        ways(V4, None, "TEE --gateway 1.2.3.4", Some(native), Some("dup to 1.2.3.4"));
        ways(V6, None, "TEE --gateway fd00::1 --oif eth0", None, Some("dup to fd00::1 device eth0"));
        ways(V4, None, "TEE --gateway 1.2.3.4 --oif 12", None, None);
        ways(V4, None, "TEE --gateway 1.2.3.4 --oif eth+", None, None);
        ways(V4, None, "TEE --gateway 1.2.3.4 --oif \"a b\"", None, None);
    }

    #[test]
    fn the_kernels_own_bytes_mean_nothing() {
        let mut info = [0; 40];
        info[0] = 9;
        (info[16], info[18], info[35]) = (b'x', b'y', 0xff);
        assert!(Target::decode(b"TEE", 1, &info, V4, &mut Vec::new()).is_some());
        info[7] = 1;
        assert!(Target::decode(b"TEE", 1, &info, V4, &mut Vec::new()).is_none());
    }
}
