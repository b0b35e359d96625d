//! The matches, one file each; their one list is in [`super::Match`].

pub mod addrtype;
pub mod comment;
pub mod connbytes;
pub mod connlabel;
pub mod connmark;
pub mod conntrack;
pub mod cpu;
pub mod devgroup;
pub mod hashlimit;
pub mod hashlimit_rate;
pub mod helper;
pub mod icmp;
pub mod icmp6;
pub mod icmp_type;
pub mod iprange;
pub mod length;
pub mod limit;
pub mod mac;
pub mod mark;
pub mod multiport;
pub mod named_mark;
pub mod owner;
pub mod physdev;
pub mod pkttype;
pub mod policy;
pub mod ports;
pub mod realm;
pub mod recent;
pub mod rpfilter;
pub mod sctp;
pub mod state;
pub mod tcp;
pub mod tcpmss;
#[cfg(test)]
pub mod testing;
pub mod udp;
