//! Between rules and the kernel's expressions: reading them back exactly, and describing those that no rule can say.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

pub mod debug;
pub mod describe;
pub mod raise;
pub mod same;
mod shape;

pub use describe::describe;
pub use raise::{Raised, Raiser};
