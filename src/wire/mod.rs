//! The nf_tables netlink codec: bytes in, values out, and back. No I/O, no clock, no allocation per attribute.
//!
//! Sources: `linux/netlink.h`, `linux/netfilter/nfnetlink.h`, `linux/netfilter/nf_tables.h`, `linux/netfilter/nf_tables_compat.h`.
//! Integers of nf_tables attributes are big-endian; message headers are in host order; strings end in NUL.
//! Unknown attributes and expressions are kept as bytes, never skipped.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

pub mod cond;
pub mod consts;
mod error;
pub mod expr;
mod header;
pub mod msg;
mod reader;
pub mod set;
pub mod trace;
mod writer;

pub use error::{DecodeError, DecodeErrorKind};
pub use expr::native;
pub use expr::{Expr, ExprWriter, Exprs, Verdict};
pub use header::{Header, MessageIter, NLMSG_HEADER_LEN};
pub use reader::{Attr, Attrs};
pub use set::{AnonSet, Key};
pub use writer::{BlobWriter, Mark, Writer};
