//! How xt matches reach the header that they are about: what is cut off is dropped at once, what is not there does not match.
//!
//! Sources: fact sheet 3.3; sending such packets to rules with these matches (Linux 6.18).

use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::ipv6::Search;
use crate::wire::ExprWriter;
use crate::wire::consts::NFT_EXTHDR_OP_IPV6;
use crate::wire::native::Exthdr;

/// The transport header and all behind it, at least `len` bytes. `None` in a fragment other than the first; where there are fewer bytes, the
/// packet is dropped besides.
pub fn transport<'p>(packet: &'p Packet, len: usize, env: &mut Env<'_>) -> Option<&'p [u8]> {
    let header = packet.transport()?;
    env.hotdrop |= header.len() < len;
    (header.len() >= len).then_some(header)
}

/// The first IPv6 header of a kind and all behind it, at least `len` bytes. `None` if there is none; where the packet ends before that is
/// known, or in the header, it is dropped besides.
pub fn extension<'p>(packet: &'p Packet, kind: u8, len: usize, env: &mut Env<'_>) -> Option<&'p [u8]> {
    match packet.ipv6()?.find(kind) {
        Search::Found(header) if header.len() >= len => Some(header),
        Search::Absent => None,
        Search::Found(_) | Search::CutOff => {
            env.hotdrop = true;
            None
        }
    }
}

/// Loads bytes of the first IPv6 header of a kind; the rule does not match where there are none.
pub fn load_extension(kind: u8, offset: u32, len: u32, x: &mut ExprWriter<'_>) {
    x.exthdr(Exthdr { op: NFT_EXTHDR_OP_IPV6, ty: kind, offset, len, present: false });
}
