//! Which program put a chain or a rule there, as far as names tell.
//!
//! A guess that errs on the safe side: what is taken for another program's is left alone, and the plan says so. Sources: the programs' own
//! documentation of their chains.

use crate::ext::{Body, Match};
use std::fmt;

/// A program that keeps rules of its own among the admin's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(&'static str);

/// Of a chain that other programs' rules lead to.
pub const NEEDED: Owner = Owner("rules of another program that lead here");

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Programs by the beginnings of their chains' names.
const CHAINS: &[(&str, &str)] = &[
    ("DOCKER", "Docker"),
    ("f2b-", "fail2ban"),
    ("fail2ban-", "fail2ban"),
    ("KUBE-", "Kubernetes"),
    ("cali-", "Calico"),
    ("CILIUM_", "Cilium"),
    ("OLD_CILIUM_", "Cilium"),
    ("FLANNEL-", "flannel"),
    ("WEAVE", "Weave Net"),
    ("CNI-", "a CNI plugin"),
    ("NETAVARK", "Podman"),
    ("LIBVIRT_", "libvirt"),
    ("ISTIO_", "Istio"),
    ("ts-", "Tailscale"),
    ("sshguard", "SSHGuard"),
    ("CROWDSEC", "CrowdSec"),
    ("MINIUPNPD", "MiniUPnPd"),
    ("lxd-", "LXD"),
];

/// Programs by the beginnings of the interfaces that they make.
const INTERFACES: &[(&str, &str)] = &[
    ("docker", "Docker"),
    ("virbr", "libvirt"),
    ("lxcbr", "LXC"),
    ("lxdbr", "LXD"),
    ("cni", "a CNI plugin"),
    ("podman", "Podman"),
    ("cali", "Calico"),
    ("flannel", "flannel"),
    ("tailscale", "Tailscale"),
];

/// Programs by the beginnings of the comments that they write.
const COMMENTS: &[(&str, &str)] = &[
    ("cali:", "Calico"),
    ("cilium", "Cilium"),
    ("kubernetes ", "Kubernetes"),
    ("flanneld ", "flannel"),
    ("CrowdSec", "CrowdSec"),
    ("generated for LXD", "LXD"),
];

fn by_start(table: &[(&str, &'static str)], name: &[u8]) -> Option<Owner> {
    table.iter().find(|(start, _)| name.starts_with(start.as_bytes())).map(|(_, owner)| Owner(owner))
}

/// The program that makes chains of such a name.
pub fn owner_of_chain(name: &[u8]) -> Option<Owner> {
    by_start(CHAINS, name)
}

/// The program that makes such a rule: one that leads to a chain of its own, has its mark as a comment, or is about its interface. A rule
/// that iptables cannot say is somebody else's for certain.
pub fn owner_of_rule(body: Option<&Body>) -> Option<Owner> {
    let Some(body) = body else { return Some(Owner("another program (not by iptables)")) };
    let chain = body.action.chain().and_then(owner_of_chain);
    let comment = || body.matches.iter().find_map(comment_of).and_then(|text| by_start(COMMENTS, &text));
    let interface = || {
        let names = [&body.base.iif, &body.base.oif];
        names.into_iter().flatten().find_map(|(pattern, _)| owner_of_interface(pattern.name()))
    };
    chain.or_else(comment).or_else(interface)
}

fn owner_of_interface(name: &[u8]) -> Option<Owner> {
    // Docker's networks; other bridges are called `br-` too.
    let is_docker = |id: &[u8]| id.len() == 12 && id.iter().all(u8::is_ascii_hexdigit);
    match name.strip_prefix(b"br-") {
        Some(id) if is_docker(id) => Some(Owner("Docker")),
        _ => by_start(INTERFACES, name),
    }
}

fn comment_of(m: &Match) -> Option<Vec<u8>> {
    match m {
        Match::Comment(comment) => Some(comment.text().to_vec()),
        _ => None,
    }
}
