//! The written forms of rules and commands: the command line's grammar, the save format's lines.
//!
//! Knows nothing of sockets, files or terminals; names are looked up through [`crate::types::Names`].
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

pub mod advice;
pub mod command;
mod error;
pub mod families;
pub(crate) mod getopt;
pub mod help;
pub mod lexer;
pub mod list;
mod rule;

pub use command::{Command, CommandKind, Context, parse};
pub use error::Error;
pub use rule::RuleSpec;
