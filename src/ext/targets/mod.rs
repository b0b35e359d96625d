//! The targets, one file each; their one list is in [`super::Target`].

pub mod ct;
pub mod dnat;
pub mod log;
pub mod mark;
pub mod masquerade;
mod nat_range;
pub mod nflog;
pub mod notrack;
pub mod queue;
pub mod redirect;
pub mod reject;
pub mod snat;
pub mod tcpmss;
#[cfg(test)]
mod testing;
pub mod trace;
