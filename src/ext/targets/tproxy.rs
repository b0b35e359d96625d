//! `-j TPROXY`: gives the packet to a local socket without changing it; for the mangle table's PREROUTING chain.
//!
//! # Options
//! `--on-port port` (0 for the packet's own), `--on-ip address`, `--tproxy-mark value[/mask]`.
//! # Wire
//! xt `TPROXY` revision 1: `struct xt_tproxy_target_info_v1 { u32 mark_mask, mark_value; union nf_inet_addr laddr; be16 lport; }`. Native: none,
//! because `tproxy` goes on with the next rule where there is no socket; the xt form drops the packet.
//! # Evaluates
//! The mark is set, `(mark & ~mask) ^ value`, and the packet is for the socket, if it is there.
//! # Differs
//! A port over 65535 is refused; stock takes it modulo 65536.
//! # Sources
//! iptables-extensions(8) "TPROXY"; `linux/netfilter/xt_TPROXY.h`; fact sheet 3.4; measured.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Proxy, Spec, TargetExt, resolve};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, Out};
use crate::wire::BlobWriter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The socket and the mark, in host order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TProxy {
    port: u16,
    addr: IpAddr,
    value: u32,
    mask: u32,
}

const PORT: u8 = 0;
const IP: u8 = 1;
const MARK: u8 = 2;

const OPTIONS: &[Opt] = &[
    Opt::value("on-port", PORT, Kind::Raw, "port", "the socket's port; 0 for the packet's own")
        .mandatory()
        .examples(&["0", "80", "8080", "3129", "+443", "65535", "1", ""]),
    Opt::value("on-ip", IP, Kind::Host, "address", "the socket's address").examples(&[
        "v4:127.0.0.1",
        "v4:192.0.2.1",
        "v4:0.0.0.0",
        "v4:10.2",
        "v4:255.255.255.255",
        "v6:::1",
        "v6:2001:db8::1",
        "v6:::",
        "v6:fd00::5",
    ]),
    Opt::value(
        "tproxy-mark",
        MARK,
        Kind::MarkMask,
        "value[/mask]",
        "clear the mask's bits of the mark and XOR the value",
    )
    .examples(&["1", "1/1", "0x1/0x2", "0/0", "0xffffffff", "0xff00/0xffff", "7/0xf"]),
];

impl Extension for TProxy {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "-p tcp @mangle/PREROUTING",
        limits: &[Limit::tables(&["mangle"]).at(&[Hook::Prerouting]), Limit::protocols(&[6, 17])],
        ..Spec::new("TPROXY", 1, "gives the packet to a local socket")
    };

    fn new(family: Family) -> Self {
        let addr = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self { port: 0, addr, value: 0, mask: 0 }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            PORT if given.bytes().is_empty() => self.port = 0,
            PORT => self.port = resolve::port(given.bytes(), cx)?,
            IP => self.addr = given.host().unwrap_or(self.addr),
            _ => (self.value, self.mask) = given.mark(),
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, " --on-port {} --on-ip ", self.port);
        out.addr(self.addr);
        write!(out, " --tproxy-mark {:#x}/{:#x}", self.value, self.mask);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" TPROXY redirect ");
        out.addr(self.addr);
        write!(out, ":{} mark {:#x}/{:#x}", self.port, self.value, self.mask);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(self.mask);
        b.u32(self.value);
        match self.addr {
            IpAddr::V4(addr) => b.fixed(&addr.octets(), 16),
            IpAddr::V6(addr) => b.bytes(&addr.octets()),
        }
        b.bytes(&self.port.to_be_bytes());
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let (mask, rest) = info.split_first_chunk()?;
        let (value, rest) = rest.split_first_chunk()?;
        let (addr, rest) = rest.split_first_chunk::<16>()?;
        let addr = match family {
            Family::V4 => IpAddr::from(*addr.first_chunk::<4>()?),
            Family::V6 => IpAddr::from(*addr),
        };
        let port = u16::from_be_bytes(*rest.first_chunk()?);
        Some(Self { port, addr, value: u32::from_ne_bytes(*value), mask: u32::from_ne_bytes(*mask) })
    }
}

impl TargetExt for TProxy {
    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        // The kernel wants eight bytes of header, whichever it is.
        if packet.transport().is_some_and(|header| header.len() < 8) {
            return Effect::Drop;
        }
        packet.meta.mark = packet.meta.mark & !self.mask ^ self.value;
        let addr = Some(self.addr).filter(|addr| !addr.is_unspecified());
        Effect::Proxy(Proxy { addr, port: Some(self.port).filter(|port| *port != 0) })
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{TCP, effect, error, row, ways};
    use crate::ext::{Effect, Proxy};
    use crate::packet::build::{Ipv4, Tcp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for (family, words, addr, port, mark, hex) in [
            (V4, "--on-port 8080", "0.0.0.0", 8080, "0x0/0x0", format!("{:048}1f90", 0)),
            (V4, "--on-port \"\"", "0.0.0.0", 0, "0x0/0x0", String::new()),
            (
                V4,
                "--on-port 80 --on-ip 1.2 --tproxy-mark 1/2",
                "1.0.0.2",
                80,
                "0x1/0x2",
                format!("020000000100000001000002{:024}0050", 0),
            ),
            (
                V6,
                "--on-port 8080 --on-ip ::1 --tproxy-mark 1",
                "::1",
                8080,
                "0x1/0xffffffff",
                format!("ffffffff01000000{:030}011f90", 0),
            ),
        ] {
            let save = format!("--on-port {port} --on-ip {addr} --tproxy-mark {mark}");
            let list = format!(" TPROXY redirect {addr}:{port} mark {mark}");
            let words = format!("TPROXY {words}");
            row(family, TCP, &words, &save, &list, &format!("{hex:0<64}"));
            ways(family, TCP, &words, None, None);
        }
        error(V4, TCP, "TPROXY --on-ip 1.1.1.1", "TPROXY: option \"--on-port\" must be specified\n");
        for port in ["1:2", "0x50", "-1", "65536", "80x"] {
            let text = format!("Port \"{port}\" does not resolve to anything.\n");
            error(V4, TCP, &format!("TPROXY --on-port {port}"), &text);
        }
        let garbage = "TPROXY: trailing garbage after value for option \"--tproxy-mark\".\n";
        error(V4, TCP, "TPROXY --on-port 1 --tproxy-mark 1/2/3", garbage);
    }

    #[test]
    fn the_mark_is_set_and_a_socket_named() {
        let mut packet = Ipv4::default() / Tcp::default();
        packet.meta.mark = 0xff;
        let proxy = Proxy { addr: None, port: Some(80) };
        let words = "TPROXY --on-port 80 --tproxy-mark 0x1/0xf";
        assert_eq!(effect(V4, TCP, words, &mut packet), Effect::Proxy(proxy));
        assert_eq!(packet.meta.mark, 0xf1);
    }
}
