//! What `SNPT` and `DNPT` have in common: network prefix translation without state for IPv6 (RFC 6296).
//!
//! # Options
//! `--src-pfx prefix/length`, `--dst-pfx prefix/length`; the length may be written as a mask, and without it is 128.
//! # Wire
//! `struct ip6t_npt_tginfo { union nf_inet_addr src_pfx, dst_pfx; u8 src_pfx_len, dst_pfx_len; u16 adjustment; }`; the adjustment is the
//! kernel's. Native: none, because nf_tables cannot balance the change in the checksum.
//! # Evaluates
//! The bits of the longer of both prefixes are replaced, and 16 bits behind them changed so that checksums stay right.
//! # Sources
//! iptables-extensions(8) "SNPT", "DNPT"; `linux/netfilter_ipv6/ip6t_NPT.h`; RFC 6296 §3; measured (the kernel takes no length over 64, and
//! no bits behind a prefix).

use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{ParseCx, resolve};
use crate::packet::Packet;
use crate::types::{Family, Network, Out, prefix_mask};
use crate::wire::BlobWriter;
use std::net::{IpAddr, Ipv6Addr};

/// The prefixes: bits as written, lengths 0 to 128.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Npt {
    src: Ipv6Addr,
    dst: Ipv6Addr,
    src_len: u8,
    dst_len: u8,
}

const SRC: u8 = 0;
const DST: u8 = 1;

const PREFIXES: &[&str] = &[
    "2001:db8::/64",
    "fd00::/64",
    "2001:db8:1::/48",
    "fd00:1:2::/48",
    "2001:db8:0:f00::/56",
    "fd12:3400::/28",
    "fc00::/7",
];

/// The options of both.
pub const OPTIONS: &[Opt] = &[
    Opt::value("src-pfx", SRC, Kind::Raw, "prefix/length", "the prefix that is replaced")
        .mandatory()
        .examples(PREFIXES),
    Opt::value("dst-pfx", DST, Kind::Raw, "prefix/length", "the prefix that is put in").mandatory().examples(PREFIXES),
];

impl Npt {
    /// No prefixes at all.
    pub const NEW: Self = Self { src: Ipv6Addr::UNSPECIFIED, dst: Ipv6Addr::UNSPECIFIED, src_len: 0, dst_len: 0 };

    /// Takes an option; `ext` is the target's name.
    pub fn set(&mut self, ext: &str, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let (addr, mask) = resolve::network(given.bytes(), cx, ext, given.opt.name)?;
        let len = mask.and_then(|mask| Network::new(addr, mask)?.prefix_len()).unwrap_or(128);
        let IpAddr::V6(addr) = addr else { return Ok(()) };
        match given.id() {
            SRC => (self.src, self.src_len) = (addr, len),
            _ => (self.dst, self.dst_len) = (addr, len),
        }
        Ok(())
    }

    /// Prints both, `before` in front of each name.
    pub fn print(&self, out: &mut Out, before: &str) {
        for (name, addr, len) in [("src", self.src, self.src_len), ("dst", self.dst, self.dst_len)] {
            write!(out, "{before}{name}-pfx ");
            out.addr(IpAddr::V6(addr));
            write!(out, "/{len}");
        }
    }

    /// Writes the struct.
    pub fn blob(&self, b: &mut BlobWriter<'_>) {
        b.bytes(&self.src.octets());
        b.bytes(&self.dst.octets());
        b.u8(self.src_len);
        b.u8(self.dst_len);
        b.u16(0);
    }

    /// Reads the struct.
    pub fn decode(info: &[u8]) -> Option<Self> {
        let (src, rest) = info.split_first_chunk::<16>()?;
        let (dst, rest) = rest.split_first_chunk::<16>()?;
        let [src_len, dst_len, ..] = *rest else { return None };
        (src_len <= 128 && dst_len <= 128).then_some(Self {
            src: Ipv6Addr::from(*src),
            dst: Ipv6Addr::from(*dst),
            src_len,
            dst_len,
        })
    }

    /// Clears the kernel's number.
    pub fn scrub(info: &mut [u8]) {
        info.get_mut(34..36).unwrap_or_default().fill(0);
    }

    /// Changes the source or destination address of a packet; false if that cannot be balanced, and the packet is dropped.
    pub fn apply(&self, packet: &mut Packet, source: bool) -> bool {
        let IpAddr::V6(old) = (if source { packet.src() } else { packet.dst() }) else { return true };
        let Some(new) = self.translate(old) else { return false };
        packet.set_address6(source, new);
        true
    }

    /// The translated address (RFC 6296 §3.4, §3.5).
    fn translate(&self, old: Ipv6Addr) -> Option<Ipv6Addr> {
        let len = self.src_len.max(self.dst_len).min(64);
        let IpAddr::V6(mask) = prefix_mask(Family::V6, len) else { return None };
        let replaced = Ipv6Addr::from_bits(old.to_bits() & !mask.to_bits() | self.dst.to_bits() & mask.to_bits());
        let mut words = replaced.segments();
        // Bits 48 to 63, or if they are part of the prefix the first word behind it that is not all ones.
        let free = if len <= 48 { 3..4 } else { 4..8 };
        let word = words.get_mut(free)?.iter_mut().find(|word| len <= 48 || **word != 0xffff)?;
        let adjusted = sum([*word, checksum(self.src), !checksum(self.dst)]);
        *word = if adjusted == 0xffff { 0 } else { adjusted };
        Some(Ipv6Addr::from(words))
    }
}

/// The sum of an address in one's complement.
fn checksum(addr: Ipv6Addr) -> u16 {
    sum(addr.segments())
}

fn sum(words: impl IntoIterator<Item = u16>) -> u16 {
    words.into_iter().fold(0, |sum: u16, word| {
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let npt = |src: &str, dst: &str, len| Npt {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            src_len: len,
            dst_len: len,
        };
        let out = npt("fd01:203:405::", "2001:db8:1::", 48);
        let back = npt("2001:db8:1::", "fd01:203:405::", 48);
        let inside: Ipv6Addr = "fd01:203:405:1::1234".parse().unwrap();
        let outside: Ipv6Addr = "2001:db8:1:d550::1234".parse().unwrap();
        assert_eq!(out.translate(inside), Some(outside));
        assert_eq!(back.translate(outside), Some(inside));
        let long = npt("fd00:1:2:3::", "2001:db8:4:5::", 64);
        let none: Ipv6Addr = "fd00:1:2:3:ffff:ffff:ffff:ffff".parse().unwrap();
        assert_eq!(long.translate(none), None);
        let one: Ipv6Addr = "fd00:1:2:3:ffff:ffff:0:1".parse().unwrap();
        let new = long.translate(one).unwrap();
        assert_eq!(new.segments()[..6], [0x2001, 0xdb8, 4, 5, 0xffff, 0xffff]);
        assert_eq!(checksum(new), checksum(one));
    }
}
