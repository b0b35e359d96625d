//! The ICMPv6 header (RFC 4443 §2.1, `linux/icmpv6.h`).

/// Length in bytes of the fixed header.
pub const HEADER_LEN: usize = 8;

/// Type of destination unreachable; the code says why.
pub const DESTINATION_UNREACHABLE: u8 = 1;
/// Type of an echo request.
pub const ECHO_REQUEST: u8 = 128;
/// Type of an echo reply.
pub const ECHO_REPLY: u8 = 129;
/// Type of a router solicitation (RFC 4861 §4.1).
pub const ROUTER_SOLICITATION: u8 = 133;
/// Type of a router advertisement (RFC 4861 §4.2).
pub const ROUTER_ADVERTISEMENT: u8 = 134;
/// Type of a neighbour solicitation (RFC 4861 §4.3).
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
/// Type of a neighbour advertisement (RFC 4861 §4.4).
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// A whole ICMPv6 header.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Takes the transport bytes; `None` if fewer than 8.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (header, payload) = bytes.split_first_chunk()?;
        Some(Self { header, payload })
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.header[0]
    }

    /// The code within the type.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.header[1]
    }

    /// Checksum, host order; not checked.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// Identifier and sequence number of an echo, host order.
    #[must_use]
    pub fn echo(&self) -> (u16, u16) {
        (u16::from_be_bytes([self.header[4], self.header[5]]), u16::from_be_bytes([self.header[6], self.header[7]]))
    }

    /// All behind the eight bytes.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 8] = [135, 0, 0x12, 0x34, 0, 7, 0, 2];

    #[test]
    fn every_field_is_where_the_rfc_puts_it() {
        let fields = View::new(&BYTES).map(|v| (v.kind(), v.code(), v.checksum(), v.echo(), v.payload().len()));
        assert_eq!(fields, Some((NEIGHBOUR_SOLICITATION, 0, 0x1234, (7, 2), 0)));
        assert!(View::new(&BYTES[..7]).is_none());
    }
}
