//! What the kernel knows about a packet beside its bytes: interfaces, mark, conntrack entry, socket.
//!
//! Everything is an argument of the evaluation. A field that is not known makes the matches that ask for it answer
//! `Unknown`. Sources: `linux/netfilter/nf_conntrack_common.h`, `linux/if_packet.h`.

use std::net::IpAddr;

/// Metadata of one packet at one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Name of the interface the packet came in by; empty where there is none (hook OUTPUT).
    pub iif: Vec<u8>,
    /// Name of the interface the packet goes out by; empty where there is none (hooks PREROUTING and INPUT).
    pub oif: Vec<u8>,
    /// The packet's mark (`skb->mark`), host order.
    pub mark: u32,
    /// Source address of the Ethernet header; `None` if the packet came by no Ethernet device.
    pub mac_src: Option<[u8; 6]>,
    /// What conntrack says; `None` if that is not known.
    pub ct: Option<Conntrack>,
    /// User id of the sending socket; `None` if there is no socket (forwarded packets, the kernel's own replies).
    pub uid: Option<u32>,
    /// Group id of the sending socket; `None` as for `uid`.
    pub gid: Option<u32>,
    /// Whom the link layer addressed.
    pub pkttype: PacketType,
    /// The processor that handles the packet, from 0; `None` if that is not known.
    pub cpu: Option<u32>,
    /// The realm of its route (`tclassid` of its `dst_entry`), host order; `None` if that is not known.
    pub realm: Option<u32>,
    /// The group of the device that it came in by; `None` if that is not known.
    pub iif_group: Option<u32>,
    /// The group of the device that it goes out by; `None` if that is not known.
    pub oif_group: Option<u32>,
    /// The net_cls classid of the cgroup that its socket belongs to; `None` if that is not known.
    pub cgroup_classid: Option<u32>,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            iif: Vec::new(),
            oif: Vec::new(),
            mark: 0,
            mac_src: None,
            ct: None,
            uid: None,
            gid: None,
            pkttype: PacketType::Unicast,
            cpu: None,
            realm: None,
            iif_group: None,
            oif_group: None,
            cgroup_classid: None,
        }
    }
}

/// Whom the link layer addressed (`linux/if_packet.h`, `PACKET_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PacketType {
    /// To this host (`PACKET_HOST`).
    #[default]
    Unicast,
    /// To all (`PACKET_BROADCAST`).
    Broadcast,
    /// To a group (`PACKET_MULTICAST`).
    Multicast,
    /// To another host (`PACKET_OTHERHOST`).
    OtherHost,
}

/// The state conntrack gives a packet (`enum ip_conntrack_info`), as `--ctstate` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CtState {
    /// First packet of a connection, or one that has seen no reply yet (`IP_CT_NEW`).
    New,
    /// Part of a connection that has seen packets in both directions (`IP_CT_ESTABLISHED`, either direction).
    Established,
    /// Starts a connection that belongs to another one, or an ICMP error about it (`IP_CT_RELATED`).
    Related,
    /// Conntrack could make nothing of it; there is no entry.
    Invalid,
    /// Excluded from tracking by the raw table (`IP_CT_UNTRACKED`); there is no entry.
    Untracked,
}

/// Which way a packet goes relative to the first packet of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CtDirection {
    /// As the first packet (`IP_CT_DIR_ORIGINAL`).
    #[default]
    Original,
    /// The other way (`IP_CT_DIR_REPLY`).
    Reply,
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CtTuple {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Transport protocol number.
    pub protocol: u8,
    /// Source port; for ICMP the identifier.
    pub src_port: u16,
    /// Destination port; for ICMP type (high byte) and code (low byte).
    pub dst_port: u16,
}

impl CtTuple {
    /// The tuple of the answer when nothing is translated: both ends swapped.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { src: self.dst, dst: self.src, src_port: self.dst_port, dst_port: self.src_port, ..self }
    }
}

/// The conntrack entry a packet belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CtEntry {
    /// Status bits, host order: [`ct_status`].
    pub status: u32,
    /// Addresses and ports as the first packet had them.
    pub original: CtTuple,
    /// Addresses and ports that the answers have when they come in; differs from the reverse of `original` under NAT.
    pub reply: CtTuple,
    /// Seconds until the entry times out.
    pub expires: u32,
    /// The connection's mark, host order.
    pub mark: u32,
    /// What else is known of it.
    pub facts: CtFacts,
}

/// What else may be known of a conntrack entry; by default nothing is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CtFacts {
    /// Its labels, label n as bit n; an entry without room for labels has none.
    pub labels: Option<u128>,
    /// Packets and bytes of each direction, the original one first.
    pub counters: Option<[(u64, u64); 2]>,
    /// Of an entry that was expected by another one: the name of that one's helper, and its original source.
    pub master: Option<(Vec<u8>, IpAddr)>,
}

/// What conntrack says about one packet.
///
/// Invariant: `entry` is `None` for the states Invalid and Untracked, which [`Conntrack::tracked`] and the two
/// constants keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conntrack {
    /// State of the packet.
    pub state: CtState,
    /// Which way it goes.
    pub direction: CtDirection,
    /// The entry, where there is one. `None` beside another state than Invalid and Untracked: not known.
    pub entry: Option<CtEntry>,
}

impl Conntrack {
    /// A packet that conntrack could make nothing of.
    pub const INVALID: Self = Self { state: CtState::Invalid, direction: CtDirection::Original, entry: None };
    /// A packet that is excluded from tracking.
    pub const UNTRACKED: Self = Self { state: CtState::Untracked, direction: CtDirection::Original, entry: None };

    /// A packet of which only the state is known (original direction for New, else as given by the caller later).
    #[must_use]
    pub fn of_state(state: CtState) -> Self {
        Self { state, direction: CtDirection::Original, entry: None }
    }

    /// A packet with its entry.
    #[must_use]
    pub fn tracked(state: CtState, direction: CtDirection, entry: CtEntry) -> Self {
        Self { state, direction, entry: Some(entry) }
    }
}

/// Status bits of a conntrack entry (`enum ip_conntrack_status`).
pub mod ct_status {
    /// It was expected by a helper (`IPS_EXPECTED`).
    pub const EXPECTED: u32 = 1 << 0;
    /// Packets were seen both ways (`IPS_SEEN_REPLY`).
    pub const SEEN_REPLY: u32 = 1 << 1;
    /// It is not evicted early (`IPS_ASSURED`).
    pub const ASSURED: u32 = 1 << 2;
    /// Its first packet left this host (`IPS_CONFIRMED`).
    pub const CONFIRMED: u32 = 1 << 3;
    /// Its source is translated (`IPS_SRC_NAT`).
    pub const SRC_NAT: u32 = 1 << 4;
    /// Its destination is translated (`IPS_DST_NAT`).
    pub const DST_NAT: u32 = 1 << 5;
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_reverse_of_a_tuple_swaps_both_ends() {
        let tuple = CtTuple {
            src: Ipv4Addr::new(192, 0, 2, 1).into(),
            dst: Ipv4Addr::new(198, 51, 100, 1).into(),
            protocol: 6,
            src_port: 40000,
            dst_port: 80,
        };
        let back = tuple.reversed();
        assert_eq!((back.src, back.src_port), (tuple.dst, tuple.dst_port));
        assert_eq!(back.reversed(), tuple);
    }
}
