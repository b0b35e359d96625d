//! The TCP header (RFC 9293 §3.1, `linux/tcp.h`).

/// Length in bytes of the header without options.
pub const HEADER_LEN: usize = 20;

/// No more data from the sender.
pub const FIN: u8 = 0x01;
/// Synchronise sequence numbers.
pub const SYN: u8 = 0x02;
/// Reset the connection.
pub const RST: u8 = 0x04;
/// Push.
pub const PSH: u8 = 0x08;
/// The acknowledgement field is significant.
pub const ACK: u8 = 0x10;
/// The urgent pointer is significant.
pub const URG: u8 = 0x20;
/// ECN echo (RFC 3168 §6.1).
pub const ECE: u8 = 0x40;
/// Congestion window reduced (RFC 3168 §6.1).
pub const CWR: u8 = 0x80;

/// Option kind of the maximum segment size (RFC 9293 §3.7.1).
pub const OPTION_MSS: u8 = 2;

/// A TCP header of which the 20 fixed bytes are there. The data offset may be impossible: [`View::options`] tells.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    header: &'a [u8; HEADER_LEN],
    rest: &'a [u8],
}

impl<'a> View<'a> {
    /// Takes the transport bytes; `None` if fewer than 20.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk()?;
        Some(Self { header, rest })
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

    /// Sequence number, host order.
    #[must_use]
    pub fn sequence(&self) -> u32 {
        u32::from_be_bytes([self.header[4], self.header[5], self.header[6], self.header[7]])
    }

    /// Acknowledgement number, host order.
    #[must_use]
    pub fn acknowledgement(&self) -> u32 {
        u32::from_be_bytes([self.header[8], self.header[9], self.header[10], self.header[11]])
    }

    /// Length in bytes of the header as its data offset says, 0–60; below 20 it is impossible.
    #[must_use]
    pub fn header_len(&self) -> usize {
        usize::from(self.header[12] >> 4) * 4
    }

    /// The eight flags of byte 13: what `--tcp-flags` looks at, with ECE and CWR above them.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.header[13]
    }

    /// Window, unscaled, host order.
    #[must_use]
    pub fn window(&self) -> u16 {
        u16::from_be_bytes([self.header[14], self.header[15]])
    }

    /// Checksum, host order; not checked.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[16], self.header[17]])
    }

    /// The bytes of the options, 0–40; `None` if the data offset is below 5 words or the bytes are cut off before it. (The
    /// kernel drops such a packet when a rule asks for an option.)
    #[must_use]
    pub fn options(&self) -> Option<&'a [u8]> {
        self.rest.get(..self.header_len().checked_sub(HEADER_LEN)?)
    }

    /// The options one by one, as the kernel's matches read them; `None` as in [`Self::options`].
    #[must_use]
    pub fn option_list(&self) -> Option<Options<'a>> {
        self.options().map(|rest| Options { rest })
    }

    /// The maximum segment size in bytes that the options offer; `None` if there is none or [`Self::options`] is `None`.
    #[must_use]
    pub fn mss(&self) -> Option<u16> {
        self.option_list()?.find_map(|option| match option {
            TcpOption { kind: OPTION_MSS, data: &[high, low] } => Some(u16::from_be_bytes([high, low])),
            _ => None,
        })
    }

    /// The data behind the header; `None` as in [`Self::options`].
    #[must_use]
    pub fn payload(&self) -> Option<&'a [u8]> {
        self.rest.get(self.header_len().checked_sub(HEADER_LEN)?..)
    }
}

/// One TCP option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpOption<'a> {
    /// Kind; 0 is the end of the list, 1 no operation (both without length and data).
    pub kind: u8,
    /// Data without kind and length; empty where the length is impossible, cut where the options end.
    pub data: &'a [u8],
}

/// Walks over options as the kernel's `tcp` and `tcpmss` matches do: kinds 0 and 1 are one byte long, the walk goes on behind
/// an end-of-list, and a length of 0 counts as 1.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = TcpOption<'a>;

    fn next(&mut self) -> Option<TcpOption<'a>> {
        let (&kind, behind) = self.rest.split_first()?;
        let length = match behind.first() {
            _ if kind < 2 => 1,
            None | Some(0) => 1,
            Some(&length) => usize::from(length),
        };
        let end = length.min(self.rest.len());
        let data = self.rest.get(2..end).unwrap_or_default();
        self.rest = self.rest.get(length..).unwrap_or_default();
        Some(TcpOption { kind, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 30] = [
        0x9c, 0x40, 0, 22, 1, 2, 3, 4, 5, 6, 7, 8, 0x70, 0x12, 0xfa, 0xf0, 0xbe, 0xef, 0, 0, 1, 2, 4, 5, 0xb4, 0, 4, 2,
        9, 9,
    ];

    #[test]
    fn every_field_is_where_the_rfc_puts_it() -> Result<(), &'static str> {
        let view = View::new(&BYTES).ok_or("20 bytes are enough")?;
        assert_eq!((view.src_port(), view.dst_port()), (40000, 22));
        assert_eq!((view.sequence(), view.acknowledgement()), (0x0102_0304, 0x0506_0708));
        assert_eq!((view.header_len(), view.flags(), view.window()), (28, SYN | ACK, 64240));
        assert_eq!((view.checksum(), view.mss(), view.payload()), (0xbeef, Some(1460), Some(&[9, 9][..])));
        Ok(())
    }

    #[test]
    fn the_walk_over_options_goes_on_behind_the_end_of_the_list() {
        let kinds: Vec<u8> =
            View::new(&BYTES).and_then(|v| v.option_list()).into_iter().flatten().map(|option| option.kind).collect();
        assert_eq!(kinds, [1, 2, 0, 4]);
    }

    #[test]
    fn a_length_of_nought_counts_as_one_and_an_overlong_one_ends_the_walk() {
        let list = Options { rest: &[8, 0, 3, 200, 7] };
        let seen: Vec<_> = list.map(|option| (option.kind, option.data.len())).collect();
        assert_eq!(seen, [(8, 0), (0, 0), (3, 1)]);
    }

    #[test]
    fn an_impossible_data_offset_has_no_options() {
        let mut bytes = BYTES;
        bytes[12] = 0x40;
        assert!(View::new(&bytes).is_some_and(|v| v.options().is_none() && v.payload().is_none()));
        bytes[12] = 0xf0;
        assert!(View::new(&bytes).is_some_and(|v| v.options().is_none()));
        assert!(View::new(&bytes[..19]).is_none());
    }
}
