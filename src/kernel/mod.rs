//! The running kernel: the nf_tables session, batches of changes as values, and namespaces with their links and routes.
//!
//! The only layer that opens netlink sockets and namespaces; [`Session`] alone owns the socket for rules. A [`Batch`] is built without a
//! kernel and can be printed, checked and sent; it maps every refusal back to the operation and the line that asked for it.

pub mod batch;
pub mod change;
mod dump;
pub mod error;
pub mod inject;
pub mod ipset;
mod load;
pub mod mirror;
pub mod monitor;
pub mod names;
pub mod native;
pub mod netns;
mod nss;
mod number_lists;
pub mod op;
mod parallel;
pub mod rtnl;
pub mod session;
pub mod world;

pub use batch::{Batch, BatchMark, RulePlace};
pub use dump::Event;
pub use error::{CommitError, Error, Refusal, errno_text};
pub use load::ruleset;
pub use native::RuleReader;
pub use op::{Op, OpKind, What};
pub use session::{BaseChain, Chain, Session, Table, as_if_without};
