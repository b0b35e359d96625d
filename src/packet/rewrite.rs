//! Changes that targets make to a packet's headers, with the checksums kept as right (or as wrong) as they were.
//!
//! Nothing here changes a packet's length, so that what was found in it stays where it is. Sources: RFC 1624 (incremental update of the
//! Internet checksum), RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1.

use super::Packet;
use crate::types::Family;
use std::net::{IpAddr, Ipv6Addr};

/// Where the checksum stands in the IPv4 header.
const IPV4_CHECK: usize = 10;
/// Where the checksum stands in the TCP header.
const TCP_CHECK: usize = 16;

impl Packet {
    /// The byte that IPv4 calls TOS and IPv6 traffic class: DSCP in the high six bits, ECN in the low two.
    #[must_use]
    pub fn ds_field(&self) -> u8 {
        self.ipv4().map(|ip| ip.tos()).or_else(|| self.ipv6().map(|ip| ip.traffic_class())).unwrap_or(0)
    }

    /// Changes that byte.
    pub fn set_ds_field(&mut self, value: u8) {
        match (self.family(), self.word(0)) {
            (Family::V4, Some(old)) => self.write(0, old & 0xff00 | u16::from(value), Some(IPV4_CHECK)),
            (Family::V6, Some(old)) => self.write(0, old & 0xf00f | u16::from(value) << 4, None),
            (_, None) => {}
        }
    }

    /// The time to live, in IPv6 the hop limit, in hops.
    #[must_use]
    pub fn hops(&self) -> u8 {
        self.ipv4().map(|ip| ip.ttl()).or_else(|| self.ipv6().map(|ip| ip.hop_limit())).unwrap_or(0)
    }

    /// Changes the time to live or hop limit.
    pub fn set_hops(&mut self, value: u8) {
        match self.family() {
            Family::V4 => {
                if let Some(old) = self.word(8) {
                    self.write(8, u16::from(value) << 8 | old & 0xff, Some(IPV4_CHECK));
                }
            }
            Family::V6 => {
                if let Some(old) = self.word(6) {
                    self.write(6, old & 0xff00 | u16::from(value), None);
                }
            }
        }
    }

    /// Changes 16 bits of the TCP header, `at` bytes behind its start (an even number), by `change` from old to new; false if the packet has no
    /// whole TCP header or not so many bytes.
    pub fn change_tcp(&mut self, at: usize, change: impl FnOnce(u16) -> u16) -> bool {
        let start = if self.tcp().is_some() { self.transport_offset() } else { None };
        let Some(start) = start else { return false };
        let Some(old) = self.word(start + at) else { return false };
        self.write(start + at, change(old), Some(start + TCP_CHECK));
        true
    }

    /// Overwrites the TCP options of the kinds that `kind` names with NOPs; what cannot be read as options is left.
    pub fn strip_tcp_options(&mut self, kind: impl Fn(u8) -> bool) {
        const NOP: u8 = 1;
        let Some(header) = self.tcp().map(|tcp| tcp.header_len()) else { return };
        let Some(start) = self.transport_offset() else { return };
        let mut at = 20;
        while at + 1 < header {
            let (Some(&this), Some(&len)) = (self.bytes.get(start + at), self.bytes.get(start + at + 1)) else {
                return;
            };
            // An option without length is one byte to the kernel, and one that is too long ends the list.
            let len = if this <= NOP || len == 0 { 1 } else { usize::from(len) };
            if at + len > header {
                return;
            }
            if kind(this) {
                for i in at..at + len {
                    let (even, odd) = (i & !1, i & 1 == 1);
                    let nop = u16::from(NOP);
                    self.change_tcp(even, |old| if odd { old & 0xff00 | nop } else { nop << 8 | old & 0xff });
                }
            }
            at += len;
        }
    }

    /// Changes the source or destination address of an IPv6 packet; no checksum is touched.
    pub fn set_address6(&mut self, source: bool, addr: Ipv6Addr) {
        if self.family() != Family::V6 {
            return;
        }
        let at = if source { 8 } else { 24 };
        if let Some(bytes) = self.bytes.get_mut(at..at + 16) {
            bytes.copy_from_slice(&addr.octets());
        }
        let found = if source { &mut self.layout.src } else { &mut self.layout.dst };
        *found = IpAddr::V6(addr);
    }

    fn word(&self, at: usize) -> Option<u16> {
        self.bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// Writes 16 bits and brings the checksum at `check` up to date: RFC 1624 §3, eqn. 3. UDP's "none" (0) is not met here.
    fn write(&mut self, at: usize, value: u16, check: Option<usize>) {
        let Some(old) = self.word(at) else { return };
        if let (Some(check), true) = (check, check != Some(at)) {
            let Some(sum) = self.word(check) else { return };
            let mut new = u32::from(!sum) + u32::from(!old) + u32::from(value);
            while new > 0xffff {
                new = (new & 0xffff) + (new >> 16);
            }
            let new = u16::try_from(new).map_or(0, |n| !n);
            self.put(check, new);
        }
        self.put(at, value);
    }

    fn put(&mut self, at: usize, value: u16) {
        if let Some(bytes) = self.bytes.get_mut(at..at + 2) {
            bytes.copy_from_slice(&value.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::{Ipv4, Ipv6, Tcp};

    #[test]
    fn what_is_changed_is_what_would_have_been_built() {
        let tcp = || Tcp { options: vec![2, 4, 5, 0xb4, 1, 3, 3, 7], ..Tcp::default() };
        let mut packet = Ipv4::default() / tcp();
        packet.set_ds_field(0xb9);
        packet.set_hops(3);
        packet.change_tcp(14, |w| w ^ 0x1234);
        let window = Tcp::default().window ^ 0x1234;
        let expected = Ipv4 { tos: 0xb9, ttl: 3, ..Ipv4::default() } / Tcp { window, ..tcp() };
        assert_eq!(packet, expected);

        let mut packet = Ipv6::default() / tcp();
        packet.set_ds_field(0xb9);
        packet.set_hops(3);
        packet.strip_tcp_options(|kind| kind == 3);
        let options = vec![2, 4, 5, 0xb4, 1, 1, 1, 1];
        let expected =
            Ipv6 { traffic_class: 0xb9, hop_limit: 3, ..Ipv6::default() } / Tcp { options, ..Tcp::default() };
        assert_eq!(packet, expected);
        assert_eq!((packet.ds_field(), packet.hops()), (0xb9, 3));
    }

    #[test]
    fn options_that_cannot_be_read_are_left() {
        let mut packet = Ipv4::default() / Tcp { options: vec![3, 9, 7, 0], ..Tcp::default() };
        let before = packet.clone();
        packet.strip_tcp_options(|_| true);
        assert_eq!(packet, before);
    }
}
