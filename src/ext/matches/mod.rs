//! The matches, one file each; their one list is in [`super::Match`].

pub mod comment;
pub mod conntrack;
pub mod length;
pub mod limit;
pub mod mark;
pub mod owner;
pub mod ports;
pub mod recent;
pub mod state;
pub mod tcp;
#[cfg(test)]
pub mod testing;
pub mod udp;
