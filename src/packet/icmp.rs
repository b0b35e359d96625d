//! The ICMP header (RFC 792, `linux/icmp.h`).

/// Length in bytes of the fixed header.
pub const HEADER_LEN: usize = 8;

/// Type of an echo reply.
pub const ECHO_REPLY: u8 = 0;
/// Type of destination unreachable; the code says why.
pub const DESTINATION_UNREACHABLE: u8 = 3;
/// Type of an echo request.
pub const ECHO_REQUEST: u8 = 8;

/// A whole ICMP header.
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

    /// All behind the eight bytes: for errors the packet they are about.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 10] = [8, 0, 0x12, 0x34, 0, 7, 0, 2, 0xaa, 0xbb];

    #[test]
    fn every_field_is_where_the_rfc_puts_it() {
        let fields = View::new(&BYTES).map(|v| (v.kind(), v.code(), v.checksum(), v.echo(), v.payload().len()));
        assert_eq!(fields, Some((ECHO_REQUEST, 0, 0x1234, (7, 2), 2)));
        assert!(View::new(&BYTES[..7]).is_none());
    }
}
