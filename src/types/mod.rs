//! The values every other layer speaks of: families, addresses with masks, interface patterns, counters, three-valued truth, output text.
//!
//! Knows nothing of netlink, of options or of the operating system.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

mod addr;
mod counters;
mod family;
mod hook;
mod iface;
mod names;
mod out;
mod tri;

pub use addr::{Network, prefix_mask};
pub use counters::Counters;
pub use family::Family;
pub use hook::{CHAIN_NAME_MAX, Hook};
pub use iface::{IFNAMSIZ, IfacePattern};
pub use names::{Names, NoNames, NumberList, SetAnswer, SetFamily, builtin_protocol, builtin_protocol_name};
pub use out::Out;
pub use tri::Tri;
