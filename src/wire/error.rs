//! What can be wrong with a netlink message.

/// A message that cannot be decoded: where, which item, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}: {kind}")]
pub struct DecodeError {
    /// Offset in bytes from the start of the buffer that was being read.
    pub at: usize,
    /// The item that was being read, by its kernel name.
    pub what: &'static str,
    /// Why it cannot be read.
    pub kind: DecodeErrorKind,
}

/// Why an item cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// The buffer ends before the item does.
    #[error("truncated")]
    Truncated,
    /// The item's own length is shorter than its header or not that of its type.
    #[error("has a bad length")]
    BadLength,
    /// A mandatory attribute is absent.
    #[error("is missing")]
    Missing,
    /// The value is outside what the type allows.
    #[error("has a bad value")]
    BadValue,
}
