//! The byte that IPv4 calls TOS and IPv6 traffic class, which the matches `tos`, `dscp` and `ecn` look at.
//!
//! Sources: RFC 791 §3.1, RFC 8200 §3, RFC 2474 §3, RFC 3168 §5.

use crate::packet::Packet;
use crate::types::Family;
use crate::wire::ExprWriter;
use crate::wire::consts::NFT_PAYLOAD_NETWORK_HEADER;

/// The byte of a packet.
pub fn class_of(packet: &Packet) -> u8 {
    packet.ipv4().map(|h| h.tos()).or_else(|| packet.ipv6().map(|h| h.traffic_class())).unwrap_or_default()
}

/// Compares the byte under a mask. The value is not masked: one with other bits equals no byte.
pub fn native(family: Family, value: u8, mask: u8, invert: bool, x: &mut ExprWriter<'_>) {
    match family {
        Family::V4 => {
            x.payload(NFT_PAYLOAD_NETWORK_HEADER, 1, 1);
            if mask != u8::MAX {
                x.mask(&[mask]);
            }
            x.cmp_eq(invert, &[value]);
        }
        Family::V6 => {
            // It stands between version and flow label.
            x.payload(NFT_PAYLOAD_NETWORK_HEADER, 0, 2);
            x.mask(&(u16::from(mask) << 4).to_be_bytes());
            x.cmp_eq(invert, &(u16::from(value) << 4).to_be_bytes());
        }
    }
}
