//! What can go wrong between us and the kernel.

use super::op::Op;
use crate::wire::DecodeError;

/// A request that failed as a whole. `errno` numbers are positive, as in `asm/errno.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `EPERM`: CAP_NET_ADMIN in the network namespace's user namespace is needed.
    #[error("permission denied (you must be root)")]
    PermissionDenied,
    /// The kernel has no nf_tables: there is no netlink protocol NETLINK_NETFILTER, or nobody answers for the nf_tables subsystem.
    #[error("the kernel has no nf_tables (module nf_tables is neither built in nor loadable)")]
    NoNfTables,
    /// The batch does not fit the largest send buffer that we may have; sizes in bytes.
    #[error(
        "the change is {needed} bytes, but this user may send only {limit} at once: run as root, or raise the limit with \
         `sysctl -w net.core.wmem_max={}`",
        needed.div_ceil(2)
    )]
    BufferTooSmall {
        /// What the batch needs.
        needed: usize,
        /// What the kernel gave.
        limit: usize,
    },
    /// The batch is larger than netlink's lengths can say, or an attribute in it is over 65,535 bytes.
    #[error("the change is too large for one transaction")]
    TooLarge,
    /// The kernel answered with this error.
    #[error("{}", errno_text(*.0))]
    Netlink(i32),
    /// The kernel's answer makes no sense to us.
    #[error("cannot read the kernel's answer: {0}")]
    Decode(#[from] DecodeError),
    /// A chain has rules that the kernel does not show, because one is larger than its dump buffer (32 KiB).
    #[error("the kernel does not list all rules of a chain: one is too large")]
    Unlistable,
    /// An answer was longer than the receive buffer.
    #[error("the kernel's answer is longer than {0} bytes")]
    Truncated(usize),
}

impl Error {
    /// The error number behind it, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::PermissionDenied => Some(EPERM),
            Self::Netlink(errno) => Some(*errno),
            _ => None,
        }
    }

    /// The error of a system call on the socket.
    pub(super) fn from_errno(errno: i32) -> Self {
        match errno {
            EPERM | EACCES => Self::PermissionDenied,
            other => Self::Netlink(other),
        }
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::from_errno(errno.raw_os_error())
    }
}

pub(super) const EPERM: i32 = rustix::io::Errno::PERM.raw_os_error();
pub(super) const EACCES: i32 = rustix::io::Errno::ACCESS.raw_os_error();
pub(super) const ENOENT: i32 = rustix::io::Errno::NOENT.raw_os_error();
pub(super) const EINTR: i32 = rustix::io::Errno::INTR.raw_os_error();
pub(super) const EAGAIN: i32 = rustix::io::Errno::AGAIN.raw_os_error();
pub(super) const ENOBUFS: i32 = rustix::io::Errno::NOBUFS.raw_os_error();
pub(super) const ERANGE: i32 = rustix::io::Errno::RANGE.raw_os_error();
pub(super) const EMSGSIZE: i32 = rustix::io::Errno::MSGSIZE.raw_os_error();
pub(super) const EINVAL: i32 = rustix::io::Errno::INVAL.raw_os_error();
pub(super) const EOPNOTSUPP: i32 = rustix::io::Errno::OPNOTSUPP.raw_os_error();
pub(super) const EPROTONOSUPPORT: i32 = rustix::io::Errno::PROTONOSUPPORT.raw_os_error();
pub(super) const EAFNOSUPPORT: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
/// Not in rustix, because no system call returns it: the kernel's own "do it again" (`ERESTART`, `linux/errno.h` as nfnetlink leaks it).
pub(super) const ERESTART: i32 = 85;

/// One operation of a batch that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked for.
    pub op: Op,
    /// Why, as a positive error number.
    pub errno: i32,
    /// The kernel's extended ack, if it gave one.
    pub message: Option<Vec<u8>>,
}

impl Refusal {
    /// We refuse ourselves what the kernel would take and then never show again.
    pub(super) fn unlistable(op: Op) -> Self {
        let message = Some(b"the rule is larger than the kernel can list".to_vec());
        Self { op, errno: EMSGSIZE, message }
    }
}

/// A batch that was not applied; the ruleset is as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Another program changed the ruleset since the generation was read: read again, plan again, send again.
    #[error("the ruleset changed meanwhile")]
    Stale,
    /// These operations were refused, in the order of the batch; at least one.
    #[error("{} operations were refused", .0.len())]
    Refused(Vec<Refusal>),
    /// These and further operations were refused: the kernel's answers overran the receive buffer.
    #[error("more than {} operations were refused", .0.len())]
    Overrun(Vec<Refusal>),
    /// The batch failed as a whole.
    #[error(transparent)]
    Kernel(#[from] Error),
}

/// The text of an error number, as strerror(3) gives it.
pub fn errno_text(errno: i32) -> String {
    let mut text = std::io::Error::from_raw_os_error(errno).to_string();
    if let Some(at) = text.rfind(" (os error ") {
        text.truncate(at);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_strerror() {
        assert_eq!(errno_text(2), "No such file or directory");
        assert_eq!(errno_text(16), "Device or resource busy");
        assert_eq!(errno_text(95), "Operation not supported");
        assert_eq!(errno_text(40), "Too many levels of symbolic links");
        assert_eq!(errno_text(31), "Too many links");
        assert_eq!(Error::from_errno(1), Error::PermissionDenied);
        let small = Error::BufferTooSmall { needed: 1001, limit: 10 };
        assert!(small.to_string().contains("wmem_max=501"));
    }
}
