//! Packets as the rules see them: raw network-layer bytes plus what the kernel knows beside them.
//!
//! One file per protocol holds a *view*: a checked borrow of the bytes of one header. A view is made by `View::new`, which
//! answers `None` when the bytes are too few; after that no accessor can fail or panic, because fixed headers are borrowed as
//! arrays. Nothing here reads a clock, a socket or a file, and nothing depends on another layer than `types`.
//!
//! Sources: RFC 791, 8200, 9293, 768, 792, 4443; `linux/ip.h`, `linux/ipv6.h`, `linux/tcp.h`; where the kernel's reading of a
//! packet differs from the RFC (IPv6 extension headers, TCP options) the kernel's is followed, as observed.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

pub mod build;
pub mod env;
pub mod ethernet;
pub mod icmp;
pub mod icmp6;
pub mod ipv4;
pub mod ipv6;
mod meta;
mod rewrite;
pub mod tcp;
pub mod udp;

use std::net::IpAddr;

use crate::types::Family;

pub use meta::{Conntrack, CtDirection, CtEntry, CtFacts, CtState, CtTuple, Meta, PacketType, ct_status};

/// Protocol numbers that the views know (IANA "Assigned Internet Protocol Numbers", `linux/in.h`).
pub mod protocol {
    /// Internet Control Message Protocol (RFC 792).
    pub const ICMP: u8 = 1;
    /// Transmission Control Protocol (RFC 9293).
    pub const TCP: u8 = 6;
    /// User Datagram Protocol (RFC 768).
    pub const UDP: u8 = 17;
    /// Datagram Congestion Control Protocol (RFC 4340).
    pub const DCCP: u8 = 33;
    /// IP Encapsulating Security Payload (RFC 4303).
    pub const ESP: u8 = 50;
    /// IP Authentication Header (RFC 4302).
    pub const AH: u8 = 51;
    /// Internet Control Message Protocol for IPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// IP Payload Compression (RFC 3173).
    pub const IPCOMP: u8 = 108;
    /// Mobility Header of IPv6 (RFC 6275).
    pub const MH: u8 = 135;
}

/// Why bytes are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// There are fewer bytes than the fixed header has, or than the header says the packet has.
    #[error("the packet is cut off")]
    Truncated,
    /// The version nibble is neither 4 nor 6; holds the nibble.
    #[error("IP version {0} is neither 4 nor 6")]
    Version(u8),
    /// The header length field is below 5 words (RFC 791 §3.1), or the total length below the header's.
    #[error("the header's own length is impossible")]
    HeaderLength,
    /// An Ethernet frame carries something else than IPv4 or IPv6; holds the EtherType.
    #[error("EtherType {0:#06x} is neither IPv4 nor IPv6")]
    EtherType(u16),
}

/// One network-layer packet and what the kernel knows about it when a rule looks at it.
///
/// Invariant: the bytes start with a whole IPv4 or IPv6 header and are exactly as many as that header says (padding of
/// the link layer is cut off, as the kernel does on receipt).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    bytes: Vec<u8>,
    layout: Layout,
    /// Interfaces, mark, conntrack and socket: what is not in the bytes.
    pub meta: Meta,
}

/// Where things stand in the bytes; worked out once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    family: Family,
    src: IpAddr,
    dst: IpAddr,
    protocol: Option<u8>,
    /// Start of the transport header, if this packet holds one.
    transport: Option<usize>,
    /// Fragment offset in bytes.
    fragment_offset: u16,
    more_fragments: bool,
}

impl Packet {
    /// Takes raw network-layer bytes, with no metadata.
    ///
    /// # Errors
    /// [`Malformed`], in the cases in which the kernel drops the packet before any rule sees it.
    pub fn new(mut bytes: Vec<u8>) -> Result<Self, Malformed> {
        let (layout, length) = match bytes.first().ok_or(Malformed::Truncated)? >> 4 {
            4 => layout_v4(&bytes)?,
            6 => layout_v6(&bytes)?,
            version => return Err(Malformed::Version(version)),
        };
        bytes.truncate(length);
        Ok(Self { bytes, layout, meta: Meta::default() })
    }

    /// Takes an Ethernet frame; the source address and the packet type go to the metadata. One or more VLAN tags are skipped.
    ///
    /// # Errors
    /// [`Malformed`] if it does not carry a whole IPv4 or IPv6 packet.
    pub fn from_ethernet(frame: &[u8]) -> Result<Self, Malformed> {
        let view = ethernet::View::new(frame).ok_or(Malformed::Truncated)?;
        match view.ethertype() {
            ethernet::IPV4 | ethernet::IPV6 => {}
            other => return Err(Malformed::EtherType(other)),
        }
        let mut packet = Self::new(view.payload().to_vec())?;
        packet.meta.mac_src = Some(view.src());
        packet.meta.pkttype = match view.dst() {
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => PacketType::Broadcast,
            [first, ..] if first & 1 == 1 => PacketType::Multicast,
            _ => PacketType::Unicast,
        };
        Ok(packet)
    }

    /// Returns the same packet with other metadata.
    #[must_use]
    pub fn with_meta(mut self, meta: Meta) -> Self {
        self.meta = meta;
        self
    }

    /// The bytes from the start of the network header to the end of the packet.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether this is an IPv4 or an IPv6 packet.
    #[must_use]
    pub fn family(&self) -> Family {
        self.layout.family
    }

    /// The source address.
    #[must_use]
    pub fn src(&self) -> IpAddr {
        self.layout.src
    }

    /// The destination address.
    #[must_use]
    pub fn dst(&self) -> IpAddr {
        self.layout.dst
    }

    /// The transport protocol's number, for IPv6 the one behind the extension headers.
    ///
    /// `None` only for IPv6, where the chain of extension headers is cut off, or goes on behind the header of a fragment
    /// that is not the first; the kernel then matches no protocol at all. Known for every IPv4 fragment.
    #[must_use]
    pub fn protocol(&self) -> Option<u8> {
        self.layout.protocol
    }

    /// Length in bytes of the whole packet, network header included, as its header says.
    #[must_use]
    pub fn total_len(&self) -> usize {
        self.bytes.len()
    }

    /// Offset of this fragment in bytes; 0 for a whole packet and for a first fragment.
    #[must_use]
    pub fn fragment_offset(&self) -> u16 {
        self.layout.fragment_offset
    }

    /// Whether more fragments follow this one.
    #[must_use]
    pub fn more_fragments(&self) -> bool {
        self.layout.more_fragments
    }

    /// Whether this is a fragment other than the first: it holds no transport header, and `-f` matches it.
    #[must_use]
    pub fn is_fragment_tail(&self) -> bool {
        self.layout.fragment_offset != 0
    }

    /// Offset in bytes of the transport header from the start of the network header; `None` as in [`Self::transport`].
    #[must_use]
    pub fn transport_offset(&self) -> Option<usize> {
        self.layout.transport
    }

    /// The transport header and all behind it; `None` in a fragment other than the first, and where
    /// [`Self::protocol`] is `None`. May be empty or shorter than a header.
    #[must_use]
    pub fn transport(&self) -> Option<&[u8]> {
        self.bytes.get(self.layout.transport?..)
    }

    /// What a `payload` expression of nf_tables with the transport header as its base reads, and with it the native forms of
    /// `tcp` and `udp`: as [`Self::transport`], but for loads of 1, 2 or 4 aligned bytes the kernel does not ask whether the
    /// packet is a fragment. In a fragment other than the first it reads what stands where the header would be: in IPv4 the
    /// fragment's data, in IPv6 (where the search for the header was broken off) the packet from its start. Observed on
    /// Linux 6.18.
    #[must_use]
    pub fn transport_as_loaded(&self) -> Option<&[u8]> {
        let at = match (self.layout.transport, self.layout.family) {
            (Some(at), _) => at,
            (None, Family::V4) => ipv4::View::new(&self.bytes).ok()?.header_len(),
            (None, Family::V6) => self.layout.protocol.map(|_| 0)?,
        };
        self.bytes.get(at..)
    }

    /// Source and destination port: the first four bytes of a TCP, UDP, UDP-Lite, SCTP or DCCP header. Does not look at
    /// the protocol.
    #[must_use]
    pub fn ports(&self) -> Option<(u16, u16)> {
        let [a, b, c, d] = self.transport()?.first_chunk::<4>()?;
        Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
    }

    /// The IPv4 header; `None` for IPv6.
    #[must_use]
    pub fn ipv4(&self) -> Option<ipv4::View<'_>> {
        if self.layout.family == Family::V4 { ipv4::View::new(&self.bytes).ok() } else { None }
    }

    /// The IPv6 header; `None` for IPv4.
    #[must_use]
    pub fn ipv6(&self) -> Option<ipv6::View<'_>> {
        if self.layout.family == Family::V6 { ipv6::View::new(&self.bytes).ok() } else { None }
    }

    /// The TCP header, if this is TCP and all 20 bytes of it are there.
    #[must_use]
    pub fn tcp(&self) -> Option<tcp::View<'_>> {
        self.transport_of(protocol::TCP).and_then(tcp::View::new)
    }

    /// The UDP header, if this is UDP and all 8 bytes of it are there.
    #[must_use]
    pub fn udp(&self) -> Option<udp::View<'_>> {
        self.transport_of(protocol::UDP).and_then(udp::View::new)
    }

    /// The ICMP header, if this is ICMP in IPv4 or IPv6 (the kernel matches protocol 1 in both) and its 8 bytes are there.
    #[must_use]
    pub fn icmp(&self) -> Option<icmp::View<'_>> {
        self.transport_of(protocol::ICMP).and_then(icmp::View::new)
    }

    /// The ICMPv6 header, if this is ICMPv6 and its 8 bytes are there.
    #[must_use]
    pub fn icmp6(&self) -> Option<icmp6::View<'_>> {
        self.transport_of(protocol::ICMPV6).and_then(icmp6::View::new)
    }

    fn transport_of(&self, protocol: u8) -> Option<&[u8]> {
        if self.layout.protocol == Some(protocol) { self.transport() } else { None }
    }
}

fn layout_v4(bytes: &[u8]) -> Result<(Layout, usize), Malformed> {
    let view = ipv4::View::new(bytes)?;
    let fragment_offset = view.fragment_offset();
    let layout = Layout {
        family: Family::V4,
        src: view.src().into(),
        dst: view.dst().into(),
        protocol: Some(view.protocol()),
        transport: (fragment_offset == 0).then_some(view.header_len()),
        fragment_offset,
        more_fragments: view.more_fragments(),
    };
    Ok((layout, view.total_len()))
}

fn layout_v6(bytes: &[u8]) -> Result<(Layout, usize), Malformed> {
    let view = ipv6::View::new(bytes)?;
    let upper = view.upper();
    let fragment = view.fragment();
    let fragment_offset = fragment.map_or(0, |f| f.offset);
    let layout = Layout {
        family: Family::V6,
        src: view.src().into(),
        dst: view.dst().into(),
        protocol: upper.map(|u| u.protocol),
        transport: if fragment_offset == 0 { upper.map(|u| u.offset.min(view.total_len())) } else { None },
        fragment_offset,
        more_fragments: fragment.is_some_and(|f| f.more),
    };
    Ok((layout, view.total_len()))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::build::{Icmp6, Ipv4, Ipv6, Raw, Tcp, Udp};
    use super::*;

    const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
    const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
    const SERVER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

    #[test]
    fn a_tcp_syn_is_read_back() {
        let packet = Ipv4 { src: CLIENT, dst: SERVER, ..Ipv4::default() }
            / Tcp { src_port: 40000, dst_port: 22, flags: tcp::SYN, ..Tcp::default() };
        assert_eq!(packet.family(), Family::V4);
        assert_eq!((packet.src(), packet.dst()), (CLIENT.into(), SERVER.into()));
        assert_eq!(packet.protocol(), Some(protocol::TCP));
        assert_eq!(packet.ports(), Some((40000, 22)));
        assert_eq!(packet.tcp().map(|t| t.flags()), Some(tcp::SYN));
        assert_eq!(packet.total_len(), 40);
        assert!(packet.udp().is_none() && packet.icmp().is_none() && packet.icmp6().is_none());
    }

    #[test]
    fn a_later_fragment_has_no_transport_header() {
        let packet = Ipv4 { src: CLIENT, dst: SERVER, fragment_offset: 1480, ..Ipv4::default() }
            / Raw { protocol: protocol::TCP, payload: vec![0; 40] };
        assert!(packet.is_fragment_tail());
        assert_eq!(packet.protocol(), Some(protocol::TCP));
        assert_eq!(packet.transport(), None);
        assert_eq!(packet.transport_as_loaded().map(<[u8]>::len), Some(40));
        assert!(packet.tcp().is_none() && packet.ports().is_none());
    }

    #[test]
    fn a_first_fragment_has_one() {
        let packet = Ipv4 { src: CLIENT, dst: SERVER, more_fragments: true, ..Ipv4::default() }
            / Udp { src_port: 53, dst_port: 5353, ..Udp::default() };
        assert!(!packet.is_fragment_tail() && packet.more_fragments());
        assert_eq!(packet.ports(), Some((53, 5353)));
    }

    #[test]
    fn ipv6_reads_through_extension_headers() {
        let packet = Ipv6 {
            src: CLIENT6,
            dst: SERVER6,
            extensions: vec![(ipv6::HOP_BY_HOP, vec![0; 6]), (ipv6::DESTINATION, vec![0; 14])],
            ..Ipv6::default()
        } / Tcp { src_port: 1024, dst_port: 443, ..Tcp::default() };
        assert_eq!(packet.protocol(), Some(protocol::TCP));
        assert_eq!(packet.transport_offset(), Some(40 + 8 + 16));
        assert_eq!(packet.ports(), Some((1024, 443)));
    }

    #[test]
    fn trailing_bytes_of_the_link_layer_are_cut_off() -> Result<(), Malformed> {
        let packet = Ipv6 { src: CLIENT6, dst: SERVER6, ..Ipv6::default() } / Icmp6 { kind: 128, ..Icmp6::default() };
        let mut padded = packet.bytes().to_vec();
        padded.extend([0; 9]);
        assert_eq!(Packet::new(padded)?.bytes(), packet.bytes());
        Ok(())
    }

    #[test]
    fn cut_off_anywhere_it_is_refused_or_read_without_a_panic() {
        let packet = Ipv6 { extensions: vec![(ipv6::ROUTING, vec![0; 6])], ..Ipv6::default() } / Tcp::default();
        for end in 0..packet.bytes().len() {
            let cut = packet.bytes().get(..end).map(<[u8]>::to_vec).unwrap_or_default();
            assert_eq!(Packet::new(cut), Err(Malformed::Truncated));
        }
        assert_eq!(Packet::new(vec![0x50; 60]), Err(Malformed::Version(5)));
    }

    #[test]
    fn an_ethernet_frame_gives_its_source_and_kind() -> Result<(), Malformed> {
        let inner = Ipv4 { src: CLIENT, dst: SERVER, ..Ipv4::default() } / Udp::default();
        let mut frame = vec![0x01, 0, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 7, 0x81, 0, 0, 5, 8, 0];
        frame.extend(inner.bytes());
        let packet = Packet::from_ethernet(&frame)?;
        assert_eq!(packet.meta.mac_src, Some([2, 0, 0, 0, 0, 7]));
        assert_eq!(packet.meta.pkttype, PacketType::Multicast);
        assert_eq!(packet.bytes(), inner.bytes());
        assert_eq!(Packet::from_ethernet(&[0; 14]), Err(Malformed::EtherType(0)));
        Ok(())
    }
}
