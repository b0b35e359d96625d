//! nft's names for the keys and fields that expressions load, and how their values are written.
//!
//! Sources: `linux/netfilter/nf_tables.h` (key numbers), nft(8) (names); header offsets: RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1, RFC 768.

use crate::types::Family;
use crate::wire::consts::*;

/// How the bytes of a register are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `0x…`, as they lie in the register.
    Hex,
    /// An address, by its length; shorter loads are prefixes.
    Addr,
    /// A big-endian number.
    Be,
    /// A host-order number in decimal.
    Host,
    /// A host-order number in hexadecimal.
    HostHex,
    /// A string.
    Name,
    /// A protocol number.
    Proto,
    /// `ct state` bits.
    CtState,
}

/// A load: what is loaded, its length in bytes, its kind.
pub(super) type Named = (&'static str, u32, Kind);

/// A meta key.
pub(super) fn meta(key: u32) -> Option<Named> {
    use Kind::*;
    Some(match key {
        NFT_META_LEN => ("meta length", 4, Host),
        NFT_META_PROTOCOL => ("meta protocol", 2, Hex),
        NFT_META_PRIORITY => ("meta priority", 4, HostHex),
        NFT_META_MARK => ("meta mark", 4, HostHex),
        NFT_META_IIF => ("iif", 4, Host),
        NFT_META_OIF => ("oif", 4, Host),
        NFT_META_IIFNAME => ("iifname", 16, Name),
        NFT_META_OIFNAME => ("oifname", 16, Name),
        NFT_META_IFTYPE => ("meta iiftype", 2, Host),
        NFT_META_SKUID => ("meta skuid", 4, Host),
        NFT_META_SKGID => ("meta skgid", 4, Host),
        NFT_META_NFTRACE => ("meta nftrace", 1, Host),
        NFT_META_RTCLASSID => ("meta rtclassid", 4, HostHex),
        NFT_META_SECMARK => ("meta secmark", 4, HostHex),
        NFT_META_NFPROTO => ("meta nfproto", 1, Host),
        NFT_META_L4PROTO => ("meta l4proto", 1, Proto),
        NFT_META_PKTTYPE => ("meta pkttype", 1, Host),
        NFT_META_CPU => ("meta cpu", 4, Host),
        NFT_META_IIFGROUP => ("meta iifgroup", 4, Host),
        NFT_META_OIFGROUP => ("meta oifgroup", 4, Host),
        NFT_META_CGROUP => ("meta cgroup", 4, Host),
        NFT_META_PRANDOM => ("meta random", 4, HostHex),
        NFT_META_SECPATH => ("meta ipsec", 1, Host),
        NFT_META_IIFKIND => ("meta iifkind", 16, Name),
        NFT_META_OIFKIND => ("meta oifkind", 16, Name),
        NFT_META_TIME_NS => ("meta time", 8, Host),
        NFT_META_TIME_DAY => ("meta day", 1, Host),
        NFT_META_TIME_HOUR => ("meta hour", 4, Host),
        NFT_META_SDIF => ("meta sdif", 4, Host),
        NFT_META_SDIFNAME => ("meta sdifname", 16, Name),
        _ => return None,
    })
}

/// A conntrack key (`enum nft_ct_keys`).
pub(super) fn ct(key: u32, family: Family) -> Option<Named> {
    use Kind::*;
    let address = if family == Family::V4 { 4 } else { 16 };
    Some(match key {
        0 => ("state", 4, CtState),
        1 => ("direction", 1, Host),
        2 => ("status", 4, HostHex),
        3 => ("mark", 4, HostHex),
        4 => ("secmark", 4, HostHex),
        5 => ("expiration", 4, Host),
        6 => ("helper", 16, Name),
        7 => ("l3proto", 1, Host),
        8 => ("saddr", address, Addr),
        9 => ("daddr", address, Addr),
        10 => ("protocol", 1, Proto),
        11 => ("proto-src", 2, Be),
        12 => ("proto-dst", 2, Be),
        13 => ("label", 16, Hex),
        14 => ("packets", 8, Host),
        15 => ("bytes", 8, Host),
        16 => ("avgpkt", 8, Host),
        17 => ("zone", 2, Host),
        18 => ("event", 4, HostHex),
        19 => ("ip saddr", 4, Addr),
        20 => ("ip daddr", 4, Addr),
        21 => ("ip6 saddr", 16, Addr),
        22 => ("ip6 daddr", 16, Addr),
        23 => ("id", 4, Host),
        _ => return None,
    })
}

/// A routing key (`enum nft_rt_keys`).
pub(super) fn rt(key: u32) -> Option<Named> {
    use Kind::*;
    Some(match key {
        0 => ("rt classid", 4, HostHex),
        1 => ("rt ip nexthop", 4, Addr),
        2 => ("rt ip6 nexthop", 16, Addr),
        3 => ("rt mtu", 2, Host),
        4 => ("rt ipsec", 1, Host),
        _ => return None,
    })
}

/// A key of the packet's socket (`enum nft_socket_keys`).
pub(super) fn socket(key: u32) -> Option<Named> {
    use Kind::*;
    Some(match key {
        0 => ("socket transparent", 1, Host),
        1 => ("socket mark", 4, HostHex),
        2 => ("socket wildcard", 1, Host),
        3 => ("socket cgroupv2", 8, Host),
        _ => return None,
    })
}

/// A field of the packet, by offset and length in bytes; `protocol` is the transport protocol if the rule has tested it.
pub(super) fn field(family: Family, protocol: Option<u8>, base: u32, offset: u32, len: u32) -> Option<Named> {
    let network = match family {
        Family::V4 => ipv4(offset, len),
        Family::V6 => ipv6(offset, len),
    };
    let (name, kind) = match base {
        NFT_PAYLOAD_NETWORK_HEADER => network?,
        NFT_PAYLOAD_TRANSPORT_HEADER => transport(protocol, offset, len)?,
        NFT_PAYLOAD_LL_HEADER => match (offset, len) {
            (0, 6) => ("ether daddr", Kind::Hex),
            (6, 6) => ("ether saddr", Kind::Hex),
            (12, 2) => ("ether type", Kind::Hex),
            _ => return None,
        },
        _ => return None,
    };
    Some((name, len, kind))
}

fn ipv4(offset: u32, len: u32) -> Option<(&'static str, Kind)> {
    Some(match (offset, len) {
        (2, 2) => ("ip length", Kind::Be),
        (4, 2) => ("ip id", Kind::Be),
        (6, 2) => ("ip frag-off", Kind::Hex),
        (8, 1) => ("ip ttl", Kind::Be),
        (9, 1) => ("ip protocol", Kind::Proto),
        (10, 2) => ("ip checksum", Kind::Hex),
        (12, 1..=4) => ("ip saddr", Kind::Addr),
        (16, 1..=4) => ("ip daddr", Kind::Addr),
        _ => return None,
    })
}

fn ipv6(offset: u32, len: u32) -> Option<(&'static str, Kind)> {
    Some(match (offset, len) {
        (4, 2) => ("ip6 length", Kind::Be),
        (6, 1) => ("ip6 nexthdr", Kind::Proto),
        (7, 1) => ("ip6 hoplimit", Kind::Be),
        (8, 1..=16) => ("ip6 saddr", Kind::Addr),
        (24, 1..=16) => ("ip6 daddr", Kind::Addr),
        _ => return None,
    })
}

fn transport(protocol: Option<u8>, offset: u32, len: u32) -> Option<(&'static str, Kind)> {
    Some(match (protocol, offset, len) {
        (Some(6), 0, 2) => ("tcp sport", Kind::Be),
        (Some(6), 2, 2) => ("tcp dport", Kind::Be),
        (Some(6), 4, 4) => ("tcp sequence", Kind::Be),
        (Some(6), 8, 4) => ("tcp ackseq", Kind::Be),
        (Some(6), 13, 1) => ("tcp flags", Kind::Hex),
        (Some(6), 14, 2) => ("tcp window", Kind::Be),
        (Some(17), 0, 2) => ("udp sport", Kind::Be),
        (Some(17), 2, 2) => ("udp dport", Kind::Be),
        (Some(17), 4, 2) => ("udp length", Kind::Be),
        (Some(132), 0, 2) => ("sctp sport", Kind::Be),
        (Some(132), 2, 2) => ("sctp dport", Kind::Be),
        (Some(1), 0, 1) => ("icmp type", Kind::Be),
        (Some(1), 1, 1) => ("icmp code", Kind::Be),
        (Some(58), 0, 1) => ("icmpv6 type", Kind::Be),
        (Some(58), 1, 1) => ("icmpv6 code", Kind::Be),
        (None, 0, 2) => ("th sport", Kind::Be),
        (None, 2, 2) => ("th dport", Kind::Be),
        _ => return None,
    })
}

/// nft's word for a header base.
pub(super) fn base(base: u32) -> &'static str {
    match base {
        NFT_PAYLOAD_LL_HEADER => "ll",
        NFT_PAYLOAD_NETWORK_HEADER => "nh",
        NFT_PAYLOAD_TRANSPORT_HEADER => "th",
        NFT_PAYLOAD_INNER_HEADER => "ih",
        _ => "unknown",
    }
}

/// The sign of a comparison, with a blank behind it; nothing for `==`.
pub(super) fn cmp(op: u32) -> &'static str {
    match op {
        NFT_CMP_EQ => "",
        NFT_CMP_NEQ => "!= ",
        NFT_CMP_LT => "< ",
        NFT_CMP_LTE => "<= ",
        NFT_CMP_GT => "> ",
        NFT_CMP_GTE => ">= ",
        _ => "?? ",
    }
}

/// `ct state` bits by name (`NF_CT_STATE_*` of `linux/netfilter/nf_conntrack_common.h`), the lowest first.
pub(super) const CT_STATES: [(u32, &str); 5] =
    [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];

/// What a `fib` expression looks up (`enum nft_fib_result`).
pub(super) fn fib_result(result: u32) -> Option<Named> {
    Some(match result {
        1 => ("oif", 4, Kind::Host),
        2 => ("oifname", 16, Kind::Name),
        3 => ("type", 4, Kind::Host),
        _ => return None,
    })
}

/// What a `fib` expression looks it up by (`enum nft_fib_flags`).
pub(super) const FIB_FLAGS: [(u32, &str); 5] = [(1, "saddr"), (2, "daddr"), (4, "mark"), (8, "iif"), (16, "oif")];
