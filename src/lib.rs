//! oxtables: iptables on nf_tables.
//!
//! Layers, low to high; each uses only those before it:
//! `types → packet, wire → ext → model → text, compile, sim → kernel → cli`.
#![forbid(unsafe_code)]

pub mod cli;
pub mod compile;
pub mod ext;
pub mod kernel;
pub mod model;
pub mod packet;
pub mod sim;
pub mod text;
pub mod types;
pub mod wire;
