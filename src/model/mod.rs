//! What a ruleset is made of, as plain data: the built-in tables and chains.
//!
//! Knows nothing of netlink sessions, of commands or of the operating system.

pub mod builtin;

pub use builtin::{BuiltinChain, TABLES, builtins};
