//! An address with a mask, which need not be contiguous (`-s 1.2.3.4/255.0.255.0`, iptables(8) PARAMETERS).

use super::{Family, Out};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and its mask, of one family; bits outside the mask are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    addr: IpAddr,
    mask: IpAddr,
}

/// The mask of a prefix length in bits; lengths over the family's are taken as full.
pub fn prefix_mask(family: Family, len: u8) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(len.min(32))).unwrap_or(0))),
        Family::V6 => {
            IpAddr::V6(Ipv6Addr::from_bits(u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0)))
        }
    }
}

impl Network {
    /// The address and mask, host bits cleared; `None` if the families differ.
    pub fn new(addr: IpAddr, mask: IpAddr) -> Option<Self> {
        let addr = match (addr, mask) {
            (IpAddr::V4(a), IpAddr::V4(m)) => IpAddr::V4(a & m),
            (IpAddr::V6(a), IpAddr::V6(m)) => IpAddr::V6(a & m),
            _ => return None,
        };
        Some(Self { addr, mask })
    }

    /// A single address.
    pub fn host(addr: IpAddr) -> Self {
        Self { addr, mask: prefix_mask(Family::of(addr), 128) }
    }

    /// The network address.
    pub fn addr(&self) -> IpAddr {
        self.addr
    }

    /// The mask.
    pub fn mask(&self) -> IpAddr {
        self.mask
    }

    /// The family.
    pub fn family(&self) -> Family {
        Family::of(self.addr)
    }

    /// The prefix length in bits, if the mask is contiguous.
    pub fn prefix_len(&self) -> Option<u8> {
        let (ones, zeros, bits) = match self.mask {
            IpAddr::V4(m) => (m.to_bits().leading_ones(), m.to_bits().trailing_zeros(), 32),
            IpAddr::V6(m) => (m.to_bits().leading_ones(), m.to_bits().trailing_zeros(), 128),
        };
        if ones + zeros.min(bits) >= bits { u8::try_from(ones).ok() } else { None }
    }

    /// Whether it stands for every address.
    pub fn is_any(&self) -> bool {
        self.prefix_len() == Some(0)
    }

    /// Whether `addr`, of the same family, is inside.
    pub fn contains(&self, addr: IpAddr) -> bool {
        Self::new(addr, self.mask).is_some_and(|n| n.addr == self.addr)
    }

    /// The address in network byte order: the first 4 (IPv4) or all 16 bytes count.
    pub fn addr_octets(&self) -> [u8; 16] {
        octets(self.addr)
    }

    /// The mask in network byte order, likewise.
    pub fn mask_octets(&self) -> [u8; 16] {
        octets(self.mask)
    }

    /// Prints `address/length`, or `address/mask` if the mask is not contiguous: the `-S` form.
    pub fn save(&self, out: &mut Out) {
        out.addr(self.addr);
        out.byte(b'/');
        match self.prefix_len() {
            Some(len) => out.dec(u64::from(len)),
            None => out.addr(self.mask),
        }
    }
}

fn octets(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V4(a) => {
            let [b0, b1, b2, b3] = a.octets();
            [b0, b1, b2, b3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(a) => a.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_lengths() {
        let net = |a: &str, m: &str| Network::new(a.parse().unwrap(), m.parse().unwrap()).unwrap();
        assert_eq!(net("1.2.3.4", "255.255.255.0").prefix_len(), Some(24));
        assert_eq!(net("1.2.3.4", "0.0.0.0").prefix_len(), Some(0));
        assert_eq!(net("1.2.3.4", "255.255.255.255").prefix_len(), Some(32));
        assert_eq!(net("1.2.3.4", "255.0.255.0").prefix_len(), None);
        assert_eq!(net("::1", "::").prefix_len(), Some(0));
        assert_eq!(Network::host("2001:db8::1".parse().unwrap()).prefix_len(), Some(128));
        assert_eq!(prefix_mask(Family::V4, 0), "0.0.0.0".parse::<IpAddr>().unwrap());
    }
}
