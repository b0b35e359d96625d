//! The harness that compares oxtables with stock iptables 1.8.9 and with the kernel. Never shipped.
//!
//! `netns` gives every test its own network namespace, `oracle` runs one program set in it, `netlink` and `dump` read what
//! the kernel then holds (with an attribute walker of their own, so that a bug of oxtables' codec cannot hide itself),
//! `compare` puts two such results side by side, and `differences` holds the departures that are meant.
//! `article` and `generate` make the commands to compare.
#![forbid(unsafe_code)]

pub mod alike;
pub mod article;
pub mod compare;
pub mod differences;
pub mod differential;
pub mod dump;
pub mod generate;
pub mod measure;
pub mod netlink;
pub mod netns;
pub mod oracle;
pub mod random;
pub mod root;
pub mod schema;
pub mod side;
pub mod walk;
