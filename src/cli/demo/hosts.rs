//! The demo's world: five hosts as namespaces, joined by veth pairs.
//!
//! ```text
//! laptop ──(eth1) server (eth0)── internet ──┬── client
//!                                            └── stranger
//! ```
//! Addresses are those for documentation (RFC 5737, RFC 3849) and, behind the router, private ones (RFC 1918).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::kernel::world::{End, Host, WorldError, join};
use crate::packet::env::{self, AddrType};
use crate::types::Family;

/// One of the five hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// The host with the firewall: the process's own namespace.
    Server,
    /// A computer of the office behind the server.
    Laptop,
    /// The provider's router, and a web server on the other side.
    Internet,
    /// Somebody who may use the database.
    Client,
    /// Somebody who may not.
    Stranger,
}

impl Who {
    pub(super) const ALL: [Self; 5] = [Self::Server, Self::Laptop, Self::Internet, Self::Client, Self::Stranger];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Laptop => "laptop",
            Self::Internet => "internet",
            Self::Client => "client",
            Self::Stranger => "stranger",
        }
    }

    /// The address under which the others know it.
    pub(super) fn address(self, family: Family) -> IpAddr {
        let (v4, v6) = match self {
            Self::Server => ([198, 51, 100, 1], [0x1, 0x1]),
            Self::Laptop => ([10, 3, 0, 20], [0x3, 0x20]),
            Self::Internet => ([198, 51, 100, 254], [0x1, 0xff]),
            Self::Client => ([203, 0, 113, 10], [0x10, 0x10]),
            Self::Stranger => ([203, 0, 113, 66], [0x66, 0x66]),
        };
        match family {
            Family::V4 => Ipv4Addr::from(v4).into(),
            Family::V6 => v6_address(v6[0], v6[1]),
        }
    }

    /// The server's interface towards it.
    pub(super) fn behind(self) -> &'static str {
        if self == Self::Laptop { "eth1" } else { "eth0" }
    }
}

/// The server's address in the office.
pub(super) fn gateway(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 3, 0, 1).into(),
        Family::V6 => v6_address(0x3, 0x1),
    }
}

/// The five hosts, ready to talk.
#[derive(Debug)]
pub(super) struct Hosts {
    hosts: [Host; 5],
    ipv6: bool,
}

impl Hosts {
    /// Builds it all around the process's namespace, which becomes the server's.
    pub(super) fn new() -> Result<Self, WorldError> {
        let server = Host::here(Who::Server.name())?;
        let ipv6 = server.has_ipv6()?;
        let [laptop, internet, client, stranger] = [Who::Laptop, Who::Internet, Who::Client, Who::Stranger];
        let [laptop, internet, client, stranger] = [
            Host::new(laptop.name())?,
            Host::new(internet.name())?,
            Host::new(client.name())?,
            Host::new(stranger.name())?,
        ];
        let hosts = Self { hosts: [server, laptop, internet, client, stranger], ipv6 };
        hosts.wire()?;
        Ok(hosts)
    }

    pub(super) fn get(&self, who: Who) -> &Host {
        let [server, laptop, internet, client, stranger] = &self.hosts;
        match who {
            Who::Server => server,
            Who::Laptop => laptop,
            Who::Internet => internet,
            Who::Client => client,
            Who::Stranger => stranger,
        }
    }

    /// The families that the kernel speaks.
    pub(super) fn families(&self) -> &'static [Family] {
        if self.ipv6 { &[Family::V4, Family::V6] } else { &[Family::V4] }
    }

    fn wire(&self) -> Result<(), WorldError> {
        let near = |who: Who| (self.get(who), "eth0");
        self.link(
            (self.get(Who::Server), "eth0", [198, 51, 100, 1], (0x1, 0x1)),
            near(Who::Internet),
            ([198, 51, 100, 254], (0x1, 0xff)),
        )?;
        self.link(
            (self.get(Who::Server), "eth1", [10, 3, 0, 1], (0x3, 0x1)),
            near(Who::Laptop),
            ([10, 3, 0, 20], (0x3, 0x20)),
        )?;
        self.link(
            (self.get(Who::Internet), "eth1", [203, 0, 113, 9], (0x10, 0x1)),
            near(Who::Client),
            ([203, 0, 113, 10], (0x10, 0x10)),
        )?;
        self.link(
            (self.get(Who::Internet), "eth2", [203, 0, 113, 65], (0x66, 0x1)),
            near(Who::Stranger),
            ([203, 0, 113, 66], (0x66, 0x66)),
        )?;
        for family in self.families() {
            for (who, over) in [(Who::Server, Who::Internet.address(*family)), (Who::Laptop, gateway(*family))] {
                self.get(who).default_route(over)?;
            }
            let (to_client, to_stranger, office) = match family {
                Family::V4 => (
                    Ipv4Addr::new(203, 0, 113, 9).into(),
                    Ipv4Addr::new(203, 0, 113, 65).into(),
                    (Ipv4Addr::new(10, 3, 0, 0).into(), 16),
                ),
                Family::V6 => (v6_address(0x10, 1), v6_address(0x66, 1), (v6_address(0x3, 0), 64)),
            };
            self.get(Who::Client).default_route(to_client)?;
            self.get(Who::Stranger).default_route(to_stranger)?;
            // So that packets for the office reach the firewall, and it is the rules that stop them.
            self.get(Who::Internet).route(office, Who::Server.address(*family))?;
        }
        self.get(Who::Server).forward()?;
        self.get(Who::Internet).forward()
    }

    /// Joins two hosts; the networks are /29 and /64, the office's /16.
    fn link(
        &self,
        (a, a_iface, a4, a6): (&Host, &str, [u8; 4], (u16, u16)),
        (b, b_iface): (&Host, &str),
        (b4, b6): ([u8; 4], (u16, u16)),
    ) -> Result<(), WorldError> {
        let prefix_len = match a4 {
            [10, ..] => 16,
            [198, ..] => 24,
            _ => 29,
        };
        let both = |v4: [u8; 4], v6: (u16, u16)| {
            let mut addresses = vec![(IpAddr::from(v4), prefix_len)];
            if self.ipv6 {
                addresses.push((v6_address(v6.0, v6.1), 64));
            }
            addresses
        };
        let (a_addresses, b_addresses) = (both(a4, a6), both(b4, b6));
        join(
            End { host: a, iface: a_iface, addresses: &a_addresses },
            End { host: b, iface: b_iface, addresses: &b_addresses },
        )
    }
}

fn v6_address(network: u16, host: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, network, 0, 0, 0, 0, host).into()
}

/// What the server knows about addresses, for `addrtype`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerView;

impl env::Host for ServerView {
    fn addr_type(&self, addr: IpAddr, iface: Option<&[u8]>) -> Option<AddrType> {
        let family = Family::of(addr);
        let own = [(Who::Server.address(family), b"eth0".as_slice()), (gateway(family), b"eth1")];
        let local = addr.is_loopback() && iface.is_none_or(|name| name == b"lo")
            || own.iter().any(|(own, on)| *own == addr && iface.is_none_or(|name| name == *on));
        Some(match addr {
            _ if local => AddrType::Local,
            _ if addr.is_multicast() => AddrType::Multicast,
            _ if addr == IpAddr::V4(Ipv4Addr::BROADCAST) => AddrType::Broadcast,
            _ => AddrType::Unicast,
        })
    }
}
