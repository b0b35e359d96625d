//! The IPv4 header (RFC 791 §3.1, `linux/ip.h`).

use std::net::Ipv4Addr;

use super::Malformed;

/// Length in bytes of the header without options.
pub const HEADER_LEN: usize = 20;

/// A whole IPv4 header and the packet behind it.
///
/// Invariants: the version is 4; the header with its options lies inside the total length, and that inside the bytes.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    header: &'a [u8; HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Checks the bytes as the kernel does on receipt, the header checksum apart. Bytes behind the total length are left out.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or(Malformed::Truncated)?;
        if header[0] >> 4 != 4 {
            return Err(Malformed::Version(header[0] >> 4));
        }
        let header_len = usize::from(header[0] & 0x0f) * 4;
        let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header_len < HEADER_LEN || total_len < header_len {
            return Err(Malformed::HeaderLength);
        }
        let options = bytes.get(HEADER_LEN..header_len).ok_or(Malformed::Truncated)?;
        let payload = bytes.get(header_len..total_len).ok_or(Malformed::Truncated)?;
        Ok(Self { header, options, payload })
    }

    /// Length in bytes of the header with its options, 20–60.
    #[must_use]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// Length in bytes of the packet, header included.
    #[must_use]
    pub fn total_len(&self) -> usize {
        self.header_len() + self.payload.len()
    }

    /// The octet of DSCP (high six bits) and ECN (RFC 2474, 3168).
    #[must_use]
    pub fn tos(&self) -> u8 {
        self.header[1]
    }

    /// Identification, host order.
    #[must_use]
    pub fn identification(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// Whether the packet must not be fragmented.
    #[must_use]
    pub fn dont_fragment(&self) -> bool {
        self.header[6] & 0x40 != 0
    }

    /// Whether more fragments follow.
    #[must_use]
    pub fn more_fragments(&self) -> bool {
        self.header[6] & 0x20 != 0
    }

    /// Offset of this fragment in bytes, a multiple of 8.
    #[must_use]
    pub fn fragment_offset(&self) -> u16 {
        (u16::from_be_bytes([self.header[6], self.header[7]]) & 0x1fff) << 3
    }

    /// Time to live, in hops.
    #[must_use]
    pub fn ttl(&self) -> u8 {
        self.header[8]
    }

    /// Number of the transport protocol.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.header[9]
    }

    /// Header checksum, host order; not checked.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[10], self.header[11]])
    }

    /// Source address.
    #[must_use]
    pub fn src(&self) -> Ipv4Addr {
        let [.., a, b, c, d, _, _, _, _] = *self.header;
        Ipv4Addr::new(a, b, c, d)
    }

    /// Destination address.
    #[must_use]
    pub fn dst(&self) -> Ipv4Addr {
        let [.., a, b, c, d] = *self.header;
        Ipv4Addr::new(a, b, c, d)
    }

    /// The options, 0–40 bytes, padding included.
    #[must_use]
    pub fn options(&self) -> &'a [u8] {
        self.options
    }

    /// All behind the header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 192.0.2.1 → 198.51.100.2, protocol 17, DF, one 4-byte option, 2 bytes of payload, 1 byte of padding.
    const BYTES: [u8; 27] = [
        0x46, 0x28, 0, 26, 0x12, 0x34, 0x40, 0, 64, 17, 0xab, 0xcd, 192, 0, 2, 1, 198, 51, 100, 2, 7, 3, 4, 0, 0xaa,
        0xbb, 0xff,
    ];

    #[test]
    fn every_field_is_where_the_rfc_puts_it() -> Result<(), Malformed> {
        let view = View::new(&BYTES)?;
        assert_eq!((view.header_len(), view.total_len(), view.tos()), (24, 26, 0x28));
        assert_eq!((view.identification(), view.ttl(), view.protocol(), view.checksum()), (0x1234, 64, 17, 0xabcd));
        assert!(view.dont_fragment() && !view.more_fragments() && view.fragment_offset() == 0);
        assert_eq!(view.src(), Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(view.dst(), Ipv4Addr::new(198, 51, 100, 2));
        assert_eq!((view.options(), view.payload()), (&[7, 3, 4, 0][..], &[0xaa, 0xbb][..]));
        Ok(())
    }

    #[test]
    fn impossible_lengths_are_refused() {
        let mut short = BYTES;
        short[0] = 0x44;
        assert_eq!(View::new(&short).err(), Some(Malformed::HeaderLength));
        let mut below = BYTES;
        below[3] = 23;
        assert_eq!(View::new(&below).err(), Some(Malformed::HeaderLength));
        let mut beyond = BYTES;
        beyond[3] = 28;
        assert_eq!(View::new(&beyond).err(), Some(Malformed::Truncated));
    }

    #[test]
    fn the_fragment_offset_is_in_bytes() -> Result<(), Malformed> {
        let mut tail = BYTES;
        (tail[6], tail[7]) = (0x20, 0xb9);
        let view = View::new(&tail)?;
        assert_eq!((view.fragment_offset(), view.more_fragments()), (0xb9 * 8, true));
        Ok(())
    }
}
