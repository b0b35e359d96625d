//! The UDP header (RFC 768).

/// Length in bytes of the header.
pub const HEADER_LEN: usize = 8;

/// A whole UDP header.
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

    /// Source port, host order.
    #[must_use]
    pub fn src_port(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// Destination port, host order.
    #[must_use]
    pub fn dst_port(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// Length in bytes of header and data as the header says; not checked.
    #[must_use]
    pub fn length(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// Checksum, host order; 0 in IPv4 means none. Not checked.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
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

    const BYTES: [u8; 9] = [0, 53, 0x9c, 0x40, 0, 9, 0xca, 0xfe, 0x2a];

    #[test]
    fn every_field_is_where_the_rfc_puts_it() {
        let fields = View::new(&BYTES).map(|v| (v.src_port(), v.dst_port(), v.length(), v.checksum(), v.payload()));
        assert_eq!(fields, Some((53, 40000, 9, 0xcafe, &[0x2a][..])));
        assert!(View::new(&BYTES[..7]).is_none());
    }
}
