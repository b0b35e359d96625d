//! The targets, one file each; their one list is in [`super::Target`].

pub mod audit;
pub mod checksum;
pub mod classify;
pub mod connsecmark;
pub mod ct;
pub mod dnat;
pub mod dscp;
pub mod ecn;
pub mod hl;
mod hops;
pub mod log;
pub mod mark;
pub mod masquerade;
mod nat_range;
pub mod nflog;
pub mod notrack;
pub mod queue;
pub mod redirect;
pub mod reject;
pub mod secmark;
pub mod set;
pub mod snat;
pub mod tcpmss;
#[cfg(test)]
mod testing;
pub mod tos;
pub mod trace;
pub mod ttl;
