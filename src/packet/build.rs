//! Packets from literals: `Ipv4 { src, dst, ..Ipv4::default() } / Tcp { dst_port: 22, ..Tcp::default() }`.
//!
//! The builder fills in lengths and right checksums (RFC 1071; pseudo-headers of RFC 9293 §3.1 and RFC 8200 §8.1). It never
//! panics: what does not fit into a 16-bit length is cut off at 65,535 bytes.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Div;

use crate::types::Family;

use super::{Layout, Meta, Packet, layout_v4, layout_v6, protocol, tcp};

/// An IPv4 header to be.
#[derive(Debug, Clone)]
pub struct Ipv4 {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// DSCP and ECN.
    pub tos: u8,
    /// Identification, host order.
    pub identification: u16,
    /// Sets the don't-fragment bit.
    pub dont_fragment: bool,
    /// Sets the more-fragments bit.
    pub more_fragments: bool,
    /// Fragment offset in bytes; the low three bits are dropped.
    pub fragment_offset: u16,
    /// Time to live in hops.
    pub ttl: u8,
    /// Options; padded with zero to whole words, cut at 40 bytes.
    pub options: Vec<u8>,
}

impl Default for Ipv4 {
    fn default() -> Self {
        Self {
            src: Ipv4Addr::new(192, 0, 2, 1),
            dst: Ipv4Addr::new(198, 51, 100, 1),
            tos: 0,
            identification: 0,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            options: Vec::new(),
        }
    }
}

/// An IPv6 header to be.
#[derive(Debug, Clone)]
pub struct Ipv6 {
    /// Source address.
    pub src: Ipv6Addr,
    /// Destination address.
    pub dst: Ipv6Addr,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Extension headers in order: kind, and the bytes behind "next header" and length. They are padded with zero to a
    /// multiple of eight bytes (for the authentication header of four), and the length is filled in (for the fragment header
    /// its reserved byte stays 0). Cut at 2,048 bytes.
    pub extensions: Vec<(u8, Vec<u8>)>,
}

impl Default for Ipv6 {
    fn default() -> Self {
        Self {
            src: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
            dst: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
            traffic_class: 0,
            hop_limit: 64,
            extensions: Vec::new(),
        }
    }
}

/// A TCP segment to be.
#[derive(Debug, Clone)]
pub struct Tcp {
    /// Source port, host order.
    pub src_port: u16,
    /// Destination port, host order.
    pub dst_port: u16,
    /// Sequence number, host order.
    pub sequence: u32,
    /// Acknowledgement number, host order.
    pub acknowledgement: u32,
    /// Flags: [`tcp::SYN`] and so on.
    pub flags: u8,
    /// Window, host order.
    pub window: u16,
    /// Options; padded with zero to whole words, cut at 40 bytes.
    pub options: Vec<u8>,
    /// Data.
    pub payload: Vec<u8>,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            src_port: 40000,
            dst_port: 80,
            sequence: 1,
            acknowledgement: 0,
            flags: tcp::SYN,
            window: 64240,
            options: Vec::new(),
            payload: Vec::new(),
        }
    }
}

/// A UDP datagram to be.
#[derive(Debug, Clone)]
pub struct Udp {
    /// Source port, host order.
    pub src_port: u16,
    /// Destination port, host order.
    pub dst_port: u16,
    /// Data.
    pub payload: Vec<u8>,
}

impl Default for Udp {
    fn default() -> Self {
        Self { src_port: 40000, dst_port: 53, payload: Vec::new() }
    }
}

/// An ICMP message to be; by default an echo request.
#[derive(Debug, Clone)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code within the type.
    pub code: u8,
    /// Bytes 4–7: identifier and sequence of an echo.
    pub rest: [u8; 4],
    /// Data.
    pub payload: Vec<u8>,
}

impl Default for Icmp {
    fn default() -> Self {
        Self { kind: super::icmp::ECHO_REQUEST, code: 0, rest: [0, 1, 0, 1], payload: Vec::new() }
    }
}

/// An ICMPv6 message to be; by default an echo request.
#[derive(Debug, Clone)]
pub struct Icmp6 {
    /// Type.
    pub kind: u8,
    /// Code within the type.
    pub code: u8,
    /// Bytes 4–7: identifier and sequence of an echo.
    pub rest: [u8; 4],
    /// Data.
    pub payload: Vec<u8>,
}

impl Default for Icmp6 {
    fn default() -> Self {
        Self { kind: super::icmp6::ECHO_REQUEST, code: 0, rest: [0, 1, 0, 1], payload: Vec::new() }
    }
}

/// Anything else behind the network header, as it is.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    /// Protocol number.
    pub protocol: u8,
    /// Bytes behind the network header.
    pub payload: Vec<u8>,
}

/// What may stand behind a network header.
pub trait Transport {
    /// Number of the protocol.
    fn protocol(&self) -> u8;

    /// Header and data with the checksum field 0, and where that field stands; `None` where there is none.
    fn emit(self) -> (Vec<u8>, Option<Checksum>);
}

/// Where a checksum stands and what it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum {
    /// Offset in bytes from the start of the transport header.
    pub offset: usize,
    /// Whether the pseudo-header (addresses, length, protocol) is summed in.
    pub pseudo_header: bool,
    /// Whether a sum of 0 is written as 0xffff, since 0 means "none" (RFC 768).
    pub never_zero: bool,
}

impl Transport for Tcp {
    fn protocol(&self) -> u8 {
        protocol::TCP
    }

    fn emit(self) -> (Vec<u8>, Option<Checksum>) {
        let options = padded(self.options, 4, 40);
        let words = u8::try_from(5 + options.len() / 4).unwrap_or(15);
        let mut bytes = Vec::with_capacity(20 + options.len() + self.payload.len());
        bytes.extend(self.src_port.to_be_bytes());
        bytes.extend(self.dst_port.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledgement.to_be_bytes());
        bytes.extend([words << 4, self.flags]);
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(options);
        bytes.extend(self.payload);
        (bytes, Some(Checksum { offset: 16, pseudo_header: true, never_zero: false }))
    }
}

impl Transport for Udp {
    fn protocol(&self) -> u8 {
        protocol::UDP
    }

    fn emit(self) -> (Vec<u8>, Option<Checksum>) {
        let length = u16::try_from(8 + self.payload.len()).unwrap_or(u16::MAX);
        let mut bytes = Vec::with_capacity(8 + self.payload.len());
        bytes.extend(self.src_port.to_be_bytes());
        bytes.extend(self.dst_port.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 2]);
        bytes.extend(self.payload);
        (bytes, Some(Checksum { offset: 6, pseudo_header: true, never_zero: true }))
    }
}

impl Transport for Icmp {
    fn protocol(&self) -> u8 {
        protocol::ICMP
    }

    fn emit(self) -> (Vec<u8>, Option<Checksum>) {
        let mut bytes = vec![self.kind, self.code, 0, 0];
        bytes.extend(self.rest);
        bytes.extend(self.payload);
        (bytes, Some(Checksum { offset: 2, pseudo_header: false, never_zero: false }))
    }
}

impl Transport for Icmp6 {
    fn protocol(&self) -> u8 {
        protocol::ICMPV6
    }

    fn emit(self) -> (Vec<u8>, Option<Checksum>) {
        let mut bytes = vec![self.kind, self.code, 0, 0];
        bytes.extend(self.rest);
        bytes.extend(self.payload);
        (bytes, Some(Checksum { offset: 2, pseudo_header: true, never_zero: false }))
    }
}

impl Transport for Raw {
    fn protocol(&self) -> u8 {
        self.protocol
    }

    fn emit(self) -> (Vec<u8>, Option<Checksum>) {
        (self.payload, None)
    }
}

impl<T: Transport> Div<T> for Ipv4 {
    type Output = Packet;

    /// Puts a transport behind this header.
    fn div(self, transport: T) -> Packet {
        let protocol = transport.protocol();
        let (mut payload, checksum) = transport.emit();
        let options = padded(self.options, 4, 40);
        let header_len = super::ipv4::HEADER_LEN + options.len();
        payload.truncate(usize::from(u16::MAX) - header_len);
        let mut pseudo = self.src.octets().to_vec();
        pseudo.extend(self.dst.octets());
        finish(&mut payload, checksum, pseudo, protocol);

        let total_len = u16::try_from(header_len + payload.len()).unwrap_or(u16::MAX);
        let words = u8::try_from(header_len / 4).unwrap_or(15);
        let fragment = (self.fragment_offset >> 3)
            | (u16::from(self.more_fragments) << 13)
            | (u16::from(self.dont_fragment) << 14);
        let mut bytes = vec![0x40 | words, self.tos];
        bytes.extend(total_len.to_be_bytes());
        bytes.extend(self.identification.to_be_bytes());
        bytes.extend(fragment.to_be_bytes());
        bytes.extend([self.ttl, protocol, 0, 0]);
        bytes.extend(self.src.octets());
        bytes.extend(self.dst.octets());
        bytes.extend(options);
        let sum = checksum_of(&[&bytes]);
        put(&mut bytes, 10, sum);
        bytes.extend(payload);
        let layout = layout_v4(&bytes)
            .map_or_else(|_| fallback(Family::V4, self.src.into(), self.dst.into()), |(layout, _)| layout);
        Packet { bytes, layout, meta: Meta::default() }
    }
}

impl<T: Transport> Div<T> for Ipv6 {
    type Output = Packet;

    /// Puts a transport behind this header.
    fn div(self, transport: T) -> Packet {
        let protocol = transport.protocol();
        let (mut payload, checksum) = transport.emit();
        let (first, extensions) = chained(self.extensions, protocol);
        payload.truncate(usize::from(u16::MAX).saturating_sub(extensions.len()));
        let mut pseudo = self.src.octets().to_vec();
        pseudo.extend(self.dst.octets());
        finish(&mut payload, checksum, pseudo, protocol);

        let length = u16::try_from(extensions.len() + payload.len()).unwrap_or(u16::MAX);
        let mut bytes = vec![0x60 | (self.traffic_class >> 4), self.traffic_class << 4, 0, 0];
        bytes.extend(length.to_be_bytes());
        bytes.extend([first, self.hop_limit]);
        bytes.extend(self.src.octets());
        bytes.extend(self.dst.octets());
        bytes.extend(extensions);
        bytes.extend(payload);
        let layout = layout_v6(&bytes)
            .map_or_else(|_| fallback(Family::V6, self.src.into(), self.dst.into()), |(layout, _)| layout);
        Packet { bytes, layout, meta: Meta::default() }
    }
}

/// A layout without protocol and transport. The builder's own output always parses; this keeps that from being a panic.
fn fallback(family: Family, src: std::net::IpAddr, dst: std::net::IpAddr) -> Layout {
    Layout { family, src, dst, protocol: None, transport: None, fragment_offset: 0, more_fragments: false }
}

/// Links extension headers to each other and to the transport; returns the first header's number and all bytes.
fn chained(extensions: Vec<(u8, Vec<u8>)>, protocol: u8) -> (u8, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut next = protocol;
    for (kind, body) in extensions.into_iter().rev() {
        let unit = if kind == super::ipv6::AUTHENTICATION { 4 } else { 8 };
        let mut header = vec![next, 0];
        header.extend(body);
        let mut header = padded(header, unit, 2048);
        if header.len() < 8 {
            header.resize(8, 0);
        }
        let words = match kind {
            super::ipv6::FRAGMENT => 0,
            super::ipv6::AUTHENTICATION => header.len() / 4 - 2,
            _ => header.len() / 8 - 1,
        };
        if let Some(length) = header.get_mut(1) {
            *length = u8::try_from(words).unwrap_or(u8::MAX);
        }
        header.extend(bytes);
        bytes = header;
        next = kind;
    }
    (next, bytes)
}

/// Writes the transport checksum; `addresses` becomes the pseudo-header.
fn finish(payload: &mut [u8], checksum: Option<Checksum>, mut addresses: Vec<u8>, protocol: u8) {
    let Some(Checksum { offset, pseudo_header, never_zero }) = checksum else { return };
    if pseudo_header {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        addresses.extend(length.to_be_bytes());
        addresses.extend([0, 0, 0, protocol]);
    } else {
        addresses.clear();
    }
    let sum = match checksum_of(&[&addresses, payload]) {
        0 if never_zero => 0xffff,
        sum => sum,
    };
    put(payload, offset, sum);
}

fn put(bytes: &mut [u8], offset: usize, value: u16) {
    if let Some(field) = bytes.get_mut(offset..).and_then(|rest| rest.first_chunk_mut::<2>()) {
        *field = value.to_be_bytes();
    }
}

/// The internet checksum over all parts in a row (RFC 1071 §4.1), host order. Each part but the last has an even length.
fn checksum_of(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        for pair in part.chunks(2) {
            let word = match *pair {
                [high, low] => u16::from_be_bytes([high, low]),
                [high] => u16::from_be_bytes([high, 0]),
                _ => 0,
            };
            sum += u64::from(word);
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

/// Fills up with zero to a multiple of `unit` bytes, and cuts at `most`.
fn padded(mut bytes: Vec<u8>, unit: usize, most: usize) -> Vec<u8> {
    bytes.truncate(most);
    bytes.resize(bytes.len().next_multiple_of(unit), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with its own checksum in place sums up to nought.
    fn transport_sum(packet: &Packet, protocol: u8) -> u16 {
        let transport = packet.transport().unwrap_or_default();
        let mut pseudo = match (packet.src(), packet.dst()) {
            (std::net::IpAddr::V4(src), std::net::IpAddr::V4(dst)) => [src.octets(), dst.octets()].concat(),
            (std::net::IpAddr::V6(src), std::net::IpAddr::V6(dst)) => [src.octets(), dst.octets()].concat(),
            _ => Vec::new(),
        };
        pseudo.extend(u32::try_from(transport.len()).unwrap_or(0).to_be_bytes());
        pseudo.extend([0, 0, 0, protocol]);
        checksum_of(&[&pseudo, transport])
    }

    #[test]
    fn the_checksum_of_the_rfc_is_right() {
        // RFC 1071 §3: the sum of these bytes is ddf2.
        assert_eq!(checksum_of(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        assert_eq!(checksum_of(&[&[0x12, 0x34], &[0x56]]), !(0x1234 + 0x5600));
    }

    #[test]
    fn ipv4_checksums_verify() {
        let odd = Tcp { payload: b"odd".to_vec(), options: vec![2, 4, 5, 0xb4, 1], ..Tcp::default() };
        let packet = Ipv4 { options: vec![1], ..Ipv4::default() } / odd;
        assert_eq!(packet.bytes().get(..24).map(|header| checksum_of(&[header])), Some(0));
        assert_eq!(transport_sum(&packet, protocol::TCP), 0);
        assert_eq!(packet.tcp().and_then(|t| t.mss()), Some(1460));
        let packet = Ipv4::default() / Udp { payload: b"hello".to_vec(), ..Udp::default() };
        assert_eq!(transport_sum(&packet, protocol::UDP), 0);
        let packet = Ipv4::default() / Icmp { payload: vec![1, 2, 3], ..Icmp::default() };
        assert_eq!(packet.transport().map(|bytes| checksum_of(&[bytes])), Some(0));
    }

    #[test]
    fn ipv6_checksums_verify_behind_extension_headers() {
        let header = Ipv6 { extensions: vec![(super::super::ipv6::HOP_BY_HOP, vec![1, 4])], ..Ipv6::default() };
        let packet = header.clone() / Icmp6 { payload: vec![7; 5], ..Icmp6::default() };
        assert_eq!(transport_sum(&packet, protocol::ICMPV6), 0);
        assert_eq!(transport_sum(&(header / Tcp::default()), protocol::TCP), 0);
    }

    #[test]
    fn what_is_built_is_what_is_parsed() {
        let packet = Ipv6 { traffic_class: 0xb8, ..Ipv6::default() } / Udp::default();
        assert_eq!(Packet::new(packet.bytes().to_vec()).as_ref(), Ok(&packet));
        assert_eq!(packet.ipv6().map(|v| v.traffic_class()), Some(0xb8));
        let packet = Ipv4 { tos: 0x10, ..Ipv4::default() } / Raw { protocol: 47, payload: vec![0; 4] };
        assert_eq!(Packet::new(packet.bytes().to_vec()).as_ref(), Ok(&packet));
    }

    #[test]
    fn too_much_payload_is_cut_off() {
        let packet = Ipv4::default() / Udp { payload: vec![0; 70_000], ..Udp::default() };
        assert_eq!(packet.total_len(), 65_535);
    }
}
