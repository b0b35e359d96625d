//! Name services as an argument: ports, protocols, hosts, users. The pure layers ask this trait and never the system.

use super::Family;
use std::net::IpAddr;

/// What parsing and listing may look up. The real one is `kernel::names::SystemNames`.
pub trait Names {
    /// The port of a service name, in host order; `protocol` as an IP protocol number narrows it (services(5)).
    fn port(&self, service: &[u8], protocol: Option<u8>) -> Option<u16>;
    /// The service name of a port.
    fn service(&self, port: u16, protocol: Option<u8>) -> Option<Vec<u8>>;
    /// The number of an IP protocol that is not built in (protocols(5)).
    fn protocol(&self, name: &[u8]) -> Option<u8>;
    /// The name of an IP protocol that is not built in.
    fn protocol_name(&self, number: u8) -> Option<Vec<u8>>;
    /// The addresses of a host name, in the resolver's order, without duplicates.
    fn hosts(&self, name: &[u8], family: Family) -> Vec<IpAddr>;
    /// The resolver's own words for why the last [`Names::hosts`] found nothing, e.g. `Temporary failure in name resolution`.
    fn host_error(&self) -> Option<String> {
        None
    }
    /// The name of an address (a reverse lookup).
    fn host_name(&self, addr: IpAddr) -> Option<Vec<u8>>;
    /// The address of a network name (networks(5)); IPv4 only.
    fn network(&self, name: &[u8]) -> Option<IpAddr>;
    /// The network name of an address; IPv4 only.
    fn network_name(&self, addr: IpAddr) -> Option<Vec<u8>>;
    /// The id of a user name.
    fn uid(&self, name: &[u8]) -> Option<u32>;
    /// The id of a group name.
    fn gid(&self, name: &[u8]) -> Option<u32>;
    /// The name of a user id.
    fn user_name(&self, uid: u32) -> Option<Vec<u8>>;
    /// The name of a group id.
    fn group_name(&self, gid: u32) -> Option<Vec<u8>>;
    /// The set of this name in the kernel's ipset. Where no kernel can be asked, [`SetAnswer::Unasked`].
    fn set(&self, _name: &[u8]) -> SetAnswer {
        SetAnswer::Unasked
    }
    /// The name of the set with this index in the kernel's ipset.
    fn set_name(&self, _index: u16) -> Option<Vec<u8>> {
        None
    }
    /// The number that a list gives to a name; the first, where there are several.
    fn number(&self, _list: NumberList, _name: &[u8]) -> Option<u32> {
        None
    }
    /// The name that a list gives to a number; the first, where there are several.
    fn number_name(&self, _list: NumberList, _number: u32) -> Option<Vec<u8>> {
        None
    }
    /// Whether a path leads to an object that is pinned in a BPF file system.
    fn is_bpf_object(&self, _path: &[u8]) -> bool {
        true
    }
    /// Why a list cannot be read, in the system's words, e.g. `No such file or directory`; `None` if it can be.
    fn number_list_error(&self, _list: NumberList) -> Option<String> {
        Some("No such file or directory".into())
    }
}

/// A file that gives names to numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NumberList {
    /// Routing realms: `iproute2/rt_realms`.
    Realms,
    /// Groups of network devices: `iproute2/group`.
    DeviceGroups,
    /// Labels of connections: `xtables/connlabel.conf`.
    ConnLabels,
}

impl NumberList {
    /// Its path below `/etc`.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Realms => "iproute2/rt_realms",
            Self::DeviceGroups => "iproute2/group",
            Self::ConnLabels => "xtables/connlabel.conf",
        }
    }
}

/// What is known of a set by its name (`ipset(8)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetAnswer {
    /// Nobody was asked: rules are read without a kernel.
    Unasked,
    /// It is there.
    #[expect(missing_docs, reason = "the words say it")]
    Found { index: u16, members: SetFamily },
    /// There is none.
    Missing,
    /// The kernel may not be asked: this takes CAP_NET_ADMIN.
    Forbidden,
    /// The kernel has no ipset (`CONFIG_IP_SET`, module `ip_set`).
    Unsupported,
    /// The kernel could not be asked; why.
    Failed(String),
}

/// What a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetFamily {
    /// Addresses of this family.
    Ip(Family),
    /// Nothing that has a family: ports, MAC addresses, other sets.
    Any,
}

/// Knows no names at all: for tests, fuzzing and numeric output.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Names for NoNames {
    fn port(&self, _: &[u8], _: Option<u8>) -> Option<u16> {
        None
    }
    fn service(&self, _: u16, _: Option<u8>) -> Option<Vec<u8>> {
        None
    }
    fn protocol(&self, _: &[u8]) -> Option<u8> {
        None
    }
    fn protocol_name(&self, _: u8) -> Option<Vec<u8>> {
        None
    }
    fn hosts(&self, _: &[u8], _: Family) -> Vec<IpAddr> {
        Vec::new()
    }
    fn host_name(&self, _: IpAddr) -> Option<Vec<u8>> {
        None
    }
    fn network(&self, _: &[u8]) -> Option<IpAddr> {
        None
    }
    fn network_name(&self, _: IpAddr) -> Option<Vec<u8>> {
        None
    }
    fn uid(&self, _: &[u8]) -> Option<u32> {
        None
    }
    fn gid(&self, _: &[u8]) -> Option<u32> {
        None
    }
    fn user_name(&self, _: u32) -> Option<Vec<u8>> {
        None
    }
    fn group_name(&self, _: u32) -> Option<Vec<u8>> {
        None
    }
}

/// Protocols that iptables knows without asking the protocol database (fact sheet 3.5); `all` is 0.
const PROTOCOLS: &[(&str, u8)] = &[
    ("tcp", 6),
    ("sctp", 132),
    ("udp", 17),
    ("udplite", 136),
    ("icmp", 1),
    ("icmpv6", 58),
    ("ipv6-icmp", 58),
    ("esp", 50),
    ("ah", 51),
    ("ipv6-mh", 135),
    ("mobility-header", 135),
    ("mh", 135),
    ("all", 0),
];

/// The number of a built-in protocol name.
pub fn builtin_protocol(name: &[u8]) -> Option<u8> {
    PROTOCOLS.iter().find(|(n, _)| n.as_bytes() == name).map(|(_, p)| *p)
}

/// The built-in name of a protocol number, as `-S` prints it.
pub fn builtin_protocol_name(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        50 => "esp",
        51 => "ah",
        58 => "ipv6-icmp",
        132 => "sctp",
        135 => "mobility-header",
        136 => "udplite",
        _ => return None,
    })
}
