//! The IPv6 header and its extension headers (RFC 8200 §3, §4; `linux/ipv6.h`).
//!
//! The walk over extension headers stops where the kernel's does when it looks for the transport protocol of a packet for
//! nf_tables: at the first header that is no extension header, at No Next Header, and at an Authentication Header (so that
//! protocol 51 can be matched). Encapsulating Security Payload counts as a transport protocol. Of an extension header the kernel needs the
//! first two bytes (of routing and fragment headers four) to go on: one that says that it is longer than the packet still names its successor.

use std::net::Ipv6Addr;

use super::Malformed;

/// Length in bytes of the fixed header.
pub const HEADER_LEN: usize = 40;

/// Hop-by-hop options (RFC 8200 §4.3).
pub const HOP_BY_HOP: u8 = 0;
/// Routing header (§4.4).
pub const ROUTING: u8 = 43;
/// Fragment header (§4.5).
pub const FRAGMENT: u8 = 44;
/// Authentication header (RFC 4302).
pub const AUTHENTICATION: u8 = 51;
/// No next header (RFC 8200 §4.7).
pub const NO_NEXT: u8 = 59;
/// Destination options (§4.6).
pub const DESTINATION: u8 = 60;

/// A whole IPv6 header and the packet behind it.
///
/// Invariants: the version is 6, and the payload length lies inside the bytes.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

/// The transport header of an IPv6 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upper {
    /// Number of the transport protocol; [`NO_NEXT`] and [`AUTHENTICATION`] are possible.
    pub protocol: u8,
    /// Offset in bytes of its header from the start of the IPv6 header. In a fragment other than the first nothing of
    /// the transport header stands there; it lies behind the packet's end if that is cut off in the header before.
    pub offset: usize,
}

/// What the fragment header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// Offset of the fragment in bytes, a multiple of 8.
    pub offset: u16,
    /// Whether more fragments follow.
    pub more: bool,
    /// Identification, host order; 0 if the packet ends before it.
    pub identification: u32,
}

/// One extension header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Which header it is, as the header before it says.
    pub kind: u8,
    /// Which header follows.
    pub next: u8,
    /// Offset in bytes from the start of the IPv6 header.
    pub offset: usize,
    /// The bytes of the header; fewer than it says of itself if the packet ends in it.
    pub bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// Checks the bytes as the kernel does on receipt. Bytes behind the payload length are left out; a payload length of 0
    /// before hop-by-hop options (a jumbogram, RFC 2675) takes all bytes there are.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::Truncated)?;
        if header[0] >> 4 != 6 {
            return Err(Malformed::Version(header[0] >> 4));
        }
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let payload = match length {
            0 if header[6] == HOP_BY_HOP => rest,
            _ => rest.get(..length).ok_or(Malformed::Truncated)?,
        };
        Ok(Self { header, payload })
    }

    /// Length in bytes of the packet, header included.
    #[must_use]
    pub fn total_len(&self) -> usize {
        HEADER_LEN + self.payload.len()
    }

    /// The octet of DSCP (high six bits) and ECN.
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        (self.header[0] << 4) | (self.header[1] >> 4)
    }

    /// Flow label, 20 bits, host order.
    #[must_use]
    pub fn flow_label(&self) -> u32 {
        u32::from_be_bytes([0, self.header[1] & 0x0f, self.header[2], self.header[3]])
    }

    /// Number of the first header behind this one.
    #[must_use]
    pub fn next_header(&self) -> u8 {
        self.header[6]
    }

    /// Hop limit.
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.header[7]
    }

    /// Source address.
    #[must_use]
    pub fn src(&self) -> Ipv6Addr {
        self.address::<8>()
    }

    /// Destination address.
    #[must_use]
    pub fn dst(&self) -> Ipv6Addr {
        self.address::<24>()
    }

    /// All behind the fixed header, extension headers included.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The extension headers, in order, as far as the walk goes (see the module's doc).
    #[must_use]
    pub fn extensions(&self) -> Extensions<'a> {
        Extensions { rest: self.payload, offset: HEADER_LEN, next: self.next_header(), state: State::Walking }
    }

    /// The first extension header of that kind.
    #[must_use]
    pub fn extension(&self, kind: u8) -> Option<Extension<'a>> {
        self.extensions().find(|extension| extension.kind == kind)
    }

    /// Looks for a header of that kind as the kernel's xt matches and `exthdr` do: unlike [`Self::extensions`] through authentication
    /// headers, and in a fragment other than the first up to its fragment header.
    #[must_use]
    pub fn find(&self, kind: u8) -> Search<'a> {
        let (mut rest, mut next) = (self.payload, self.next_header());
        loop {
            let found = next == kind;
            if !is_extension(next) && next != AUTHENTICATION {
                return if found { Search::Found(rest) } else { Search::Absent };
            }
            let needed = if matches!(next, ROUTING | FRAGMENT) { 4 } else { 2 };
            let (Some([after, words]), true) = (rest.first_chunk::<2>(), rest.len() >= needed) else {
                return Search::CutOff;
            };
            let length = match next {
                FRAGMENT => 8,
                AUTHENTICATION => (usize::from(*words) + 2) * 4,
                _ => (usize::from(*words) + 1) * 8,
            };
            let tail = next == FRAGMENT && matches!(rest, [_, _, high, low, ..] if (*high, *low & 0xf8) != (0, 0));
            if found {
                return Search::Found(rest);
            }
            if tail {
                return Search::Absent;
            }
            (rest, next) = (rest.get(length..).unwrap_or_default(), *after);
        }
    }

    /// Finds the transport header; `None` if the chain of extension headers is cut off, or goes on behind the header of a
    /// fragment that is not the first.
    #[must_use]
    pub fn upper(&self) -> Option<Upper> {
        let mut walk = self.extensions();
        walk.by_ref().for_each(drop);
        match walk.state {
            State::Walking | State::Broken => None,
            State::Ended => Some(Upper { protocol: walk.next, offset: walk.offset }),
        }
    }

    /// What the fragment header says (the last one, should there be several); `None` if there is none.
    #[must_use]
    pub fn fragment(&self) -> Option<Fragment> {
        fragment_of(self.extensions().filter(|extension| extension.kind == FRAGMENT).last()?.bytes)
    }

    fn address<const AT: usize>(&self) -> Ipv6Addr {
        let bytes = self.header.get(AT..).and_then(|rest| rest.first_chunk::<16>());
        bytes.map_or(Ipv6Addr::UNSPECIFIED, |bytes| Ipv6Addr::from(*bytes))
    }
}

/// What [`View::find`] has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search<'a> {
    /// The header, and all bytes behind it to the end of the packet: they may be fewer than the header says of itself.
    Found(&'a [u8]),
    /// There is no such header.
    Absent,
    /// The packet ends in the chain of headers before it is known.
    CutOff,
}

/// Walks over extension headers; ends in silence where the chain is cut off ([`View::upper`] tells that apart).
#[derive(Debug, Clone)]
pub struct Extensions<'a> {
    rest: &'a [u8],
    offset: usize,
    next: u8,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Walking,
    Ended,
    Broken,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Extension<'a>> {
        if self.state != State::Walking {
            return None;
        }
        if !is_extension(self.next) {
            // Of an authentication header the kernel looks at the first two bytes before it stops.
            let there = self.next != AUTHENTICATION || self.rest.len() >= 2;
            self.state = if there { State::Ended } else { State::Broken };
            return None;
        }
        let needed = if matches!(self.next, ROUTING | FRAGMENT) { 4 } else { 2 };
        let Some([next, words]) = self.rest.first_chunk::<2>().filter(|_| self.rest.len() >= needed) else {
            self.state = State::Broken;
            return None;
        };
        let length = if self.next == FRAGMENT { 8 } else { (usize::from(*words) + 1) * 8 };
        let bytes = self.rest.get(..length).unwrap_or(self.rest);
        let extension = Extension { kind: self.next, next: *next, offset: self.offset, bytes };
        let rest = self.rest.get(length..).unwrap_or_default();
        (self.rest, self.offset, self.next) = (rest, self.offset + length, extension.next);
        let tail = extension.kind == FRAGMENT && fragment_of(bytes).is_some_and(|f| f.offset != 0);
        if tail {
            // What follows is the middle of a packet: its bytes are no headers.
            let goes_on = is_extension(extension.next) || extension.next == AUTHENTICATION;
            self.state = if goes_on { State::Broken } else { State::Ended };
        }
        Some(extension)
    }
}

/// Whether the walk steps over a header of this kind.
fn is_extension(kind: u8) -> bool {
    matches!(kind, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION)
}

fn fragment_of(bytes: &[u8]) -> Option<Fragment> {
    let [_, _, high, low] = *bytes.first_chunk::<4>()?;
    let field = u16::from_be_bytes([high, low]);
    let identification = bytes.get(4..).and_then(|rest| rest.first_chunk()).map_or(0, |id| u32::from_be_bytes(*id));
    Some(Fragment { offset: field & 0xfff8, more: field & 1 != 0, identification })
}

#[cfg(test)]
mod tests {
    use super::super::build::{Ipv6, Raw};
    use super::super::{Packet, protocol};
    use super::*;

    fn packet(extensions: Vec<(u8, Vec<u8>)>, protocol: u8) -> Packet {
        Ipv6 { extensions, ..Ipv6::default() } / Raw { protocol, payload: vec![0; 20] }
    }

    #[test]
    fn every_field_is_where_the_rfc_puts_it() -> Result<(), Malformed> {
        let mut bytes = [0_u8; 42];
        bytes[..8].copy_from_slice(&[0x6a, 0xb1, 0x23, 0x45, 0, 2, 17, 9]);
        (bytes[8], bytes[23], bytes[24], bytes[39]) = (0x20, 0x01, 0xfe, 0x02);
        let view = View::new(&bytes)?;
        assert_eq!((view.traffic_class(), view.flow_label()), (0xab, 0x12345));
        assert_eq!((view.next_header(), view.hop_limit(), view.total_len()), (17, 9, 42));
        assert_eq!(view.src(), Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 1));
        assert_eq!(view.dst(), Ipv6Addr::new(0xfe00, 0, 0, 0, 0, 0, 0, 2));
        Ok(())
    }

    #[test]
    fn a_first_fragment_shows_its_protocol_and_transport() {
        let packet = packet(vec![(FRAGMENT, vec![0, 1, 0, 0, 0, 9])], protocol::UDP);
        assert_eq!(packet.protocol(), Some(protocol::UDP));
        assert_eq!(packet.transport_offset(), Some(48));
        assert!(packet.more_fragments() && !packet.is_fragment_tail());
        let fragment = packet.ipv6().and_then(|v| v.fragment());
        assert_eq!(fragment.map(|f| f.identification), Some(9));
    }

    #[test]
    fn a_later_fragment_shows_its_protocol_only() {
        let packet = packet(vec![(FRAGMENT, vec![5, 0xa8, 0, 0, 0, 9])], protocol::UDP);
        assert_eq!(packet.protocol(), Some(protocol::UDP));
        assert_eq!((packet.transport(), packet.fragment_offset()), (None, 0x5a8));
        assert_eq!(packet.transport_as_loaded(), Some(packet.bytes()));
    }

    #[test]
    fn a_later_fragment_of_an_extension_header_has_no_protocol() {
        let fragment = (FRAGMENT, vec![5, 0xa8, 0, 0, 0, 9]);
        let packet = packet(vec![fragment, (DESTINATION, vec![0; 6])], protocol::UDP);
        assert_eq!((packet.protocol(), packet.transport(), packet.transport_as_loaded()), (None, None, None));
        assert!(packet.is_fragment_tail());
    }

    #[test]
    fn the_walk_stops_at_the_authentication_header() {
        let packet = packet(vec![(HOP_BY_HOP, vec![0; 6]), (AUTHENTICATION, vec![0; 10])], protocol::TCP);
        assert_eq!(packet.protocol(), Some(AUTHENTICATION));
        assert_eq!(packet.transport_offset(), Some(48));
    }

    #[test]
    fn a_search_goes_through_authentication_and_up_to_a_fragment() {
        let found = |packet: &Packet, kind| match packet.ipv6().map(|v| v.find(kind)) {
            Some(Search::Found(bytes)) => Ok(bytes.len()),
            Some(other) => Err(format!("{other:?}")),
            None => Err("no IPv6".into()),
        };
        let absent = || Err("Absent".to_owned());
        let whole = packet(vec![(AUTHENTICATION, vec![0; 14]), (DESTINATION, vec![0; 6])], protocol::TCP);
        assert_eq!(found(&whole, AUTHENTICATION), Ok(16 + 8 + 20));
        assert_eq!(found(&whole, DESTINATION), Ok(28));
        assert_eq!(found(&whole, protocol::TCP), Ok(20));
        assert_eq!(found(&whole, ROUTING), absent());
        let tail = packet(vec![(FRAGMENT, vec![0, 8, 0, 0, 0, 9]), (DESTINATION, vec![0; 6])], protocol::TCP);
        assert_eq!((found(&tail, FRAGMENT), found(&tail, DESTINATION)), (Ok(36), absent()));
        let head = packet(vec![(FRAGMENT, vec![0, 7, 0, 0, 0, 9]), (DESTINATION, vec![0; 6])], protocol::TCP);
        assert_eq!(found(&head, DESTINATION), Ok(28));
        for (kind, bytes, answer) in [(ROUTING, vec![0, 0, 0], "CutOff"), (HOP_BY_HOP, vec![59, 9], "Absent")] {
            let short = Ipv6::default() / Raw { protocol: kind, payload: bytes };
            assert_eq!(found(&short, DESTINATION), Err(answer.to_owned()));
        }
    }

    #[test]
    fn a_chain_that_is_cut_off_has_no_protocol() {
        let seen = |protocol, payload: &[u8]| {
            let packet = Ipv6::default() / Raw { protocol, payload: payload.to_vec() };
            (packet.protocol(), packet.transport().map(<[u8]>::len))
        };
        for (kind, bytes) in [(DESTINATION, 1), (ROUTING, 3), (FRAGMENT, 3), (AUTHENTICATION, 1)] {
            assert_eq!(seen(kind, &vec![6; bytes]), (None, None), "{kind}");
        }
        // Cut off later, it still says what follows.
        assert_eq!(seen(DESTINATION, &[6, 9]), (Some(protocol::TCP), Some(0)));
        assert_eq!(seen(ROUTING, &[6, 9, 0, 0, 0, 0, 0, 0]), (Some(protocol::TCP), Some(0)));
        assert_eq!(seen(FRAGMENT, &[6, 0, 0, 1]), (Some(protocol::TCP), Some(0)));
        assert_eq!(seen(FRAGMENT, &[6, 0, 0, 9]), (Some(protocol::TCP), None));
        assert_eq!(seen(FRAGMENT, &[51, 0, 0, 9, 0, 0, 0, 1]), (None, None));
    }

    #[test]
    fn no_next_header_is_a_protocol_of_its_own() {
        let packet = packet(vec![(DESTINATION, vec![0; 6])], NO_NEXT);
        assert_eq!(packet.protocol(), Some(NO_NEXT));
    }
}
