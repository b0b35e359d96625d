//! Answering without the kernel: what the rules do with a packet.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

pub mod walk;

pub use walk::{Answer, Decider, Dependency, Outcome, Step, Verdict, WalkError, walk};
