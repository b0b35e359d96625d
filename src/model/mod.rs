//! What a ruleset is made of, as plain data: the built-in tables and chains, and whole rulesets.
//!
//! Knows nothing of netlink sessions, of commands or of the operating system.

pub mod builtin;
mod ruleset;

pub use builtin::{BuiltinChain, TABLES, builtins};
pub use ruleset::{Chain, Policy, Rule, Ruleset, Table};
