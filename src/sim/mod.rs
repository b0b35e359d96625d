//! Answering without the kernel: what the rules do with a packet.

pub mod walk;

pub use walk::{Answer, Decider, Dependency, Outcome, Step, Verdict, WalkError, walk};
