//! Between rules and the kernel's expressions: reading them back exactly, and describing those that no rule can say.

pub mod describe;
pub mod raise;

pub use describe::describe;
pub use raise::{Raised, Raiser};
