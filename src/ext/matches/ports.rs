//! A range of ports as the matches `tcp` and `udp` have two of: its native conditions, its texts, its meaning.
//!
//! Sources: iptables-extensions(8) "tcp", "udp"; fact sheet 2.3, 2.8; `linux/netfilter/xt_tcpudp.h`.

use crate::ext::{PrintCx, nft};
use crate::types::Out;
use crate::wire::ExprWriter;
use crate::wire::cond::{Cond, Field, Test};
use crate::wire::consts::*;

/// A range of ports, host order, both ends included, or all but these. A range that is empty (`min` over `max`) has no port in it.
#[derive(Clone, Copy, Debug, Eq)]
pub struct Ports {
    /// The first port.
    pub min: u16,
    /// The last port.
    pub max: u16,
    /// Whether the ports outside are meant.
    pub invert: bool,
}

/// Two ranges are equal if stock cannot tell them apart: `! 0:80` and `81:65535`.
impl PartialEq for Ports {
    fn eq(&self, other: &Self) -> bool {
        let parts = |p: Self| (p.min, p.max, p.invert);
        parts(self.plain()) == parts(other.plain())
    }
}

/// The two ports of a header that a condition can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The source port.
    Source,
    /// The destination port.
    Destination,
}

impl Ports {
    /// Every port: the option is not given.
    pub const ANY: Self = Self { min: 0, max: u16::MAX, invert: false };

    /// Whether it says nothing.
    pub fn is_any(self) -> bool {
        self.min == 0 && self.max == u16::MAX && !self.invert
    }

    /// The same without `!` where the ports outside are a range up from 0's end: as the native form is listed.
    pub fn plain(self) -> Self {
        match self {
            Self { min: 0, max, invert: true } if max != 0 && max != u16::MAX => {
                Self { min: max + 1, max: u16::MAX, invert: false }
            }
            other => other,
        }
    }

    /// Whether a port is meant.
    pub fn contains(self, port: u16) -> bool {
        (self.min <= port && port <= self.max) != self.invert
    }

    /// Prints ` --NAME 22`, ` ! --NAME 22:80`, or nothing for every port.
    pub fn save(self, name: &str, out: &mut Out) {
        if self.is_any() {
            return;
        }
        out.str(if self.invert { " ! --" } else { " --" });
        out.str(name);
        out.byte(b' ');
        out.dec(u64::from(self.min));
        if self.min != self.max {
            out.byte(b':');
            out.dec(u64::from(self.max));
        }
    }

    /// Prints ` NAMEt:22`, ` NAMEts:!22:80`, with service names of `protocol` unless numeric; `name` is `sp` or `dp`.
    pub fn list(self, name: &str, protocol: u8, out: &mut Out, cx: &PrintCx<'_>) {
        if self.is_any() {
            return;
        }
        out.byte(b' ');
        out.str(name);
        out.str(if self.min == self.max { "t:" } else { "ts:" });
        out.str(if self.invert { "!" } else { "" });
        print_port(self.min, Some(protocol), out, cx);
        if self.min != self.max {
            out.byte(b':');
            print_port(self.max, Some(protocol), out, cx);
        }
    }

    /// Prints `NAME 22`, `NAME != 22-80` in the words of nft(8), with a blank in front if anything stands behind `begin`, or nothing for every
    /// port; false if no port is meant, of which stock prints nothing.
    pub fn translate(self, name: &str, begin: usize, out: &mut Out) -> bool {
        if self.min == 0 && self.max == u16::MAX {
            return !self.invert;
        }
        nft::separate(out, begin);
        out.str(name);
        nft::unless(self.invert, out);
        nft::range(self.min, self.max, out)
    }

    /// Whether the port at an offset in bytes of the transport header is there and meant; every port is, even if it is not there.
    pub fn at(self, offset: usize, transport: Option<&[u8]>) -> bool {
        let port = transport.and_then(|t| t.get(offset..)).and_then(|t| t.first_chunk::<2>());
        self.is_any() || port.is_some_and(|port| self.contains(u16::from_be_bytes(*port)))
    }

    fn one(self) -> Option<u16> {
        (self.min == self.max).then_some(self.min)
    }

    fn encode(self, offset: u32, x: &mut ExprWriter<'_>) {
        if self.is_any() {
            return;
        }
        let Self { min, max, invert } = self;
        x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2);
        match (min, max) {
            _ if min == max => x.cmp_eq(invert, &min.to_be_bytes()),
            (0, ..=0xfffe) => x.cmp(if invert { NFT_CMP_GT } else { NFT_CMP_LTE }, &max.to_be_bytes()),
            _ => x.range(invert, &min.to_be_bytes(), &max.to_be_bytes()),
        }
    }
}

/// Prints a port's service name, or its number.
pub fn print_port(port: u16, protocol: Option<u8>, out: &mut Out, cx: &PrintCx<'_>) {
    match if cx.numeric { None } else { cx.names.service(port, protocol) } {
        Some(name) => out.bytes(&name),
        None => out.dec(u64::from(port)),
    }
}

/// Writes the conditions on both ports; two single ports that are both to be met are loaded as one (but stock takes port 0 for none there).
pub fn encode(src: Ports, dst: Ports, x: &mut ExprWriter<'_>) {
    if let (Some(s @ 1..), Some(d @ 1..), false, false) = (src.one(), dst.one(), src.invert, dst.invert) {
        let ([a, b], [c, d]) = (s.to_be_bytes(), d.to_be_bytes());
        x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 4);
        x.cmp_eq(false, &[a, b, c, d]);
        return;
    }
    src.encode(0, x);
    dst.encode(2, x);
}

/// Writes the conditions on both ports, whatever they are: those of [`encode`] are stock's and do not say an empty range.
pub fn native(src: Ports, dst: Ports, x: &mut ExprWriter<'_>) {
    for (ports, offset) in [(src, 0), (dst, 2)] {
        if !ports.is_any() {
            x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2);
            x.within(ports.invert, &ports.min.to_be_bytes(), &ports.max.to_be_bytes());
        }
    }
}

/// A condition on one port: which, the range, and the compare (`NFT_CMP_EQ` for a range) that says it.
pub type PortCond = (Side, Ports, u32);

/// The conditions on one port each that a condition on the first four bytes of the transport header says; none if it is not such.
pub fn decode(cond: &Cond) -> [Option<PortCond>; 2] {
    let one = |cond: &Cond, side| read(cond).map(|(ports, op)| (side, ports, op));
    match cond.field {
        Field::Payload { base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 0, len: 2 } => [one(cond, Side::Source), None],
        Field::Payload { base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, len: 2 } => {
            [one(cond, Side::Destination), None]
        }
        Field::Payload { base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 0, len: 4 } if cond.mask.is_none() => {
            match cond.split(2).map(|(src, dst)| (one(&src, Side::Source), one(&dst, Side::Destination))) {
                Some((Some(src), Some(dst))) => [Some(src), Some(dst)],
                _ => [None; 2],
            }
        }
        _ => [None; 2],
    }
}

/// The range that a condition on a two-byte field says, and its compare (`NFT_CMP_EQ` for a range).
fn read(cond: &Cond) -> Option<(Ports, u32)> {
    if cond.mask.is_some() {
        return None;
    }
    match &cond.test {
        Test::Cmp { op, data } => {
            let n = data.be16()?;
            let (min, max, invert) = match *op {
                NFT_CMP_EQ => (n, n, false),
                NFT_CMP_NEQ => (n, n, true),
                NFT_CMP_LT => (0, n.checked_sub(1)?, false),
                NFT_CMP_LTE => (0, n, false),
                NFT_CMP_GT => (n.checked_add(1)?, u16::MAX, false),
                NFT_CMP_GTE => (n, u16::MAX, false),
                _ => return None,
            };
            Some((Ports { min, max, invert }, *op))
        }
        Test::Range { negated, from, to } => {
            Some((Ports { min: from.be16()?, max: to.be16()?, invert: *negated }, NFT_CMP_EQ))
        }
        Test::Loaded => None,
    }
}

impl Ports {
    /// Adds another condition on the same port, found in the kernel by a compare `op`; false if the range cannot say both.
    pub fn add(&mut self, other: Self, op: u32) -> bool {
        let both = Self { min: self.min.max(other.min), max: self.max.min(other.max), invert: false };
        if self.is_any() || *self == other {
            *self = other;
        } else if matches!(op, NFT_CMP_LT | NFT_CMP_LTE | NFT_CMP_GT | NFT_CMP_GTE)
            && !self.invert
            && (self.min == 0 || self.max == u16::MAX)
            && both.min <= both.max
        {
            // `>= a` and `<= b`: how nft writes a range.
            *self = both;
        } else {
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_stock_cannot_tell_apart_are_equal() {
        let ports = |min, max, invert| Ports { min, max, invert };
        assert_eq!(ports(0, 80, true), ports(81, 65535, false));
        assert_ne!(ports(80, 65535, true), ports(0, 79, false));
        assert_ne!(ports(0, 65535, true), ports(0, 65535, false));
        assert_ne!(ports(0, 0, true), ports(1, 65535, false));
    }

    #[test]
    fn bounds_from_both_sides_make_a_range() {
        let mut p = Ports { min: 5, max: 65535, invert: false };
        assert!(p.add(Ports { min: 0, max: 7, invert: false }, NFT_CMP_LTE));
        assert_eq!(p, Ports { min: 5, max: 7, invert: false });
        assert!(!p.add(Ports { min: 0, max: 4, invert: false }, NFT_CMP_LTE));
        assert!(!p.add(Ports { min: 6, max: 6, invert: false }, NFT_CMP_EQ));
        assert!(p.contains(5) && p.contains(7) && !p.contains(8));
    }
}
