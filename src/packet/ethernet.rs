//! Ethernet II frames, with or without VLAN tags (IEEE 802.3 §3.2, 802.1Q §9.6).

/// EtherType of IPv4 (`ETH_P_IP`).
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6 (`ETH_P_IPV6`).
pub const IPV6: u16 = 0x86dd;

/// VLAN tag (`ETH_P_8021Q`) and service tag (`ETH_P_8021AD`).
const TAGS: [u16; 2] = [0x8100, 0x88a8];

/// A frame of which both addresses and the EtherType are there.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    dst: [u8; 6],
    src: [u8; 6],
    ethertype: u16,
    payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Reads the addresses, skips VLAN tags and reads the EtherType; `None` if the frame is shorter than that.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (dst, rest) = bytes.split_first_chunk::<6>()?;
        let (src, rest) = rest.split_first_chunk::<6>()?;
        let (kind, mut payload) = rest.split_first_chunk::<2>()?;
        let mut ethertype = u16::from_be_bytes(*kind);
        while TAGS.contains(&ethertype) {
            let ([_, _, high, low], rest) = payload.split_first_chunk::<4>()?;
            ethertype = u16::from_be_bytes([*high, *low]);
            payload = rest;
        }
        Some(Self { dst: *dst, src: *src, ethertype, payload })
    }

    /// Destination address.
    #[must_use]
    pub fn dst(&self) -> [u8; 6] {
        self.dst
    }

    /// Source address.
    #[must_use]
    pub fn src(&self) -> [u8; 6] {
        self.src
    }

    /// EtherType behind any VLAN tags, host order.
    #[must_use]
    pub fn ethertype(&self) -> u16 {
        self.ethertype
    }

    /// All behind the EtherType, padding included.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: [u8; 22] =
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xa8, 0, 7, 0x81, 0x00, 0, 9, 0x86, 0xdd];

    #[test]
    fn tags_are_skipped() {
        let view = View::new(&FRAME);
        assert_eq!(view.map(|v| (v.ethertype(), v.payload().len())), Some((IPV6, 0)));
        assert_eq!(view.map(|v| v.src()), Some([2, 0, 0, 0, 0, 1]));
    }

    #[test]
    fn a_cut_frame_is_none() {
        for end in 0..FRAME.len() {
            assert!(FRAME.get(..end).is_some_and(|cut| View::new(cut).is_none()));
        }
    }
}
