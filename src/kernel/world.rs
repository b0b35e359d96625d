//! A small network of hosts: each a network namespace, joined by veth pairs, with addresses, routes and forwarding.
//!
//! Made for the demo and for tests: all of it vanishes with the process, and nothing reaches the outside.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use super::netns::{Namespace, NetnsError, write_sysctl};
use super::rtnl::Rtnl;

/// One host.
#[derive(Debug)]
pub struct Host {
    name: &'static str,
    namespace: Namespace,
}

/// One end of a link: the host, the name of its interface, and the addresses it gets with their prefix lengths.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// The host whose interface it is.
    pub host: &'a Host,
    /// Name of the interface, at most 15 bytes.
    pub iface: &'a str,
    /// Addresses, each with the prefix length of its network.
    pub addresses: &'a [(IpAddr, u8)],
}

/// A step of building the network that failed: where, which step, and why.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A namespace could not be made or entered, or a kernel variable not be set.
    #[error("host {host}: {source}")]
    Namespace {
        /// The host.
        host: &'static str,
        /// What failed.
        source: NetnsError,
    },
    /// The kernel refused a link, an address or a route.
    #[error("host {host}: cannot {what}: {source}")]
    Network {
        /// The host.
        host: &'static str,
        /// The step.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Host {
    /// A new host with nothing but its loopback. IPv6 addresses can be used at once: duplicates are not looked for, router
    /// advertisements not listened to.
    ///
    /// # Errors
    /// [`WorldError::Namespace`].
    pub fn new(name: &'static str) -> Result<Self, WorldError> {
        let namespace = Namespace::new().map_err(|source| WorldError::Namespace { host: name, source })?;
        Self { name, namespace }.quiet()
    }

    /// The namespace the calling thread is in, as a host.
    ///
    /// # Errors
    /// [`WorldError::Namespace`].
    pub fn here(name: &'static str) -> Result<Self, WorldError> {
        let namespace = Namespace::current().map_err(|source| WorldError::Namespace { host: name, source })?;
        Self { name, namespace }.quiet()
    }

    /// The name it was given.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs `work` on this host: a thread inside its namespace.
    ///
    /// # Errors
    /// [`WorldError::Namespace`] if it cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, WorldError> {
        self.namespace.run(work).map_err(|source| WorldError::Namespace { host: self.name, source })
    }

    /// Writes a kernel variable of this host; `name` with slashes, below `/proc/sys`.
    ///
    /// # Errors
    /// [`WorldError::Namespace`].
    pub fn sysctl(&self, name: &str, value: &str) -> Result<(), WorldError> {
        self.run(|| write_sysctl(name, value))?.map_err(|source| WorldError::Namespace { host: self.name, source })
    }

    /// Makes it a router for both families.
    ///
    /// # Errors
    /// [`WorldError::Namespace`].
    pub fn forward(&self) -> Result<(), WorldError> {
        self.sysctl("net/ipv4/ip_forward", "1")?;
        if self.has_ipv6()? { self.sysctl("net/ipv6/conf/all/forwarding", "1") } else { Ok(()) }
    }

    /// Sends everything that has no other route to `gateway`.
    ///
    /// # Errors
    /// [`WorldError::Network`] if it is on no attached network.
    pub fn default_route(&self, gateway: IpAddr) -> Result<(), WorldError> {
        let all = match gateway {
            IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), 0),
            IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), 0),
        };
        self.route(all, gateway)
    }

    /// Sends a network's packets to `gateway`.
    ///
    /// # Errors
    /// [`WorldError::Network`] if that is on no attached network.
    pub fn route(&self, network: (IpAddr, u8), gateway: IpAddr) -> Result<(), WorldError> {
        self.network(
            || format!("route {}/{} over {gateway}", network.0, network.1),
            |rtnl| rtnl.add_route(network, gateway),
        )
    }

    /// Whether its kernel speaks IPv6.
    ///
    /// # Errors
    /// [`WorldError::Namespace`].
    pub fn has_ipv6(&self) -> Result<bool, WorldError> {
        self.run(|| std::fs::symlink_metadata("/proc/sys/net/ipv6").is_ok())
    }

    fn quiet(self) -> Result<Self, WorldError> {
        if self.has_ipv6()? {
            for conf in ["all", "default"] {
                self.sysctl(&format!("net/ipv6/conf/{conf}/disable_ipv6"), "0")?;
                self.sysctl(&format!("net/ipv6/conf/{conf}/accept_dad"), "0")?;
                self.sysctl(&format!("net/ipv6/conf/{conf}/accept_ra"), "0")?;
                self.sysctl(&format!("net/ipv6/conf/{conf}/router_solicitations"), "0")?;
            }
        }
        Ok(self)
    }

    fn network(
        &self,
        what: impl Fn() -> String,
        step: impl FnOnce(&mut Rtnl) -> io::Result<()> + Send,
    ) -> Result<(), WorldError> {
        self.run(|| Rtnl::open().and_then(|mut rtnl| step(&mut rtnl)))?.map_err(|source| WorldError::Network {
            host: self.name,
            what: what(),
            source,
        })
    }

    fn bring_up(&self, iface: &str) -> Result<(), WorldError> {
        self.network(
            || format!("set up {iface}"),
            |rtnl| {
                let index = rtnl.link(iface)?.index;
                rtnl.set_up(index)
            },
        )
    }

    /// Waits until packets can go through the interface, then gives it its addresses: before that the kernel drops what is
    /// sent, and keeps IPv6 addresses back.
    fn settle(&self, iface: &str, addresses: &[(IpAddr, u8)]) -> Result<(), WorldError> {
        self.network(
            || format!("set up {iface}"),
            |rtnl| {
                let patience = Instant::now() + Duration::from_secs(5);
                let index = loop {
                    let link = rtnl.link(iface)?;
                    if link.running {
                        break link.index;
                    }
                    if Instant::now() > patience {
                        return Err(io::Error::from(io::ErrorKind::TimedOut));
                    }
                    thread::sleep(Duration::from_millis(2));
                };
                addresses.iter().try_for_each(|(address, prefix_len)| rtnl.add_address(index, *address, *prefix_len))
            },
        )
    }
}

/// Joins two hosts by a veth pair, switches both ends on and gives them their addresses.
///
/// # Errors
/// [`WorldError`].
pub fn join(a: End<'_>, b: End<'_>) -> Result<(), WorldError> {
    let peer = &b.host.namespace;
    a.host.network(
        || format!("join {} to {} of {}", a.iface, b.iface, b.host.name),
        |rtnl| rtnl.add_veth(a.iface, b.iface, peer.as_fd()),
    )?;
    a.host.bring_up(a.iface)?;
    b.host.bring_up(b.iface)?;
    a.host.settle(a.iface, a.addresses)?;
    b.host.settle(b.iface, b.addresses)
}
