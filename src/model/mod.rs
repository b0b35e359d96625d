//! What a ruleset is made of, as plain data: the built-in tables and chains, and whole rulesets.
//!
//! Knows nothing of netlink sessions, of commands or of the operating system.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

pub mod builtin;
pub mod diff;
pub mod owner;
mod ruleset;

pub use builtin::{BuiltinChain, TABLES, builtins};
pub use ruleset::{Chain, Policy, Rule, Ruleset, Table};
