//! The kernel: the only layer that opens netlink sockets and namespaces.

pub mod inject;
pub mod netns;
pub mod rtnl;
pub mod world;
