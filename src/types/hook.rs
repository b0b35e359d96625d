//! The netfilter hooks of the IP families and their built-in chains.

/// The longest name of a chain, in bytes (fact sheet 5: stock 1.8.9's limit, of the xt tables; the kernel takes 127).
pub const CHAIN_NAME_MAX: usize = 28;

/// A hook (`NF_INET_*`, `linux/netfilter.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// `NF_INET_PRE_ROUTING`.
    Prerouting,
    /// `NF_INET_LOCAL_IN`.
    Input,
    /// `NF_INET_FORWARD`.
    Forward,
    /// `NF_INET_LOCAL_OUT`.
    Output,
    /// `NF_INET_POST_ROUTING`.
    Postrouting,
}

impl Hook {
    /// The number of the hook in the kernel.
    pub const fn num(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }

    /// The name of its built-in chain.
    pub const fn chain(self) -> &'static str {
        match self {
            Self::Prerouting => "PREROUTING",
            Self::Input => "INPUT",
            Self::Forward => "FORWARD",
            Self::Output => "OUTPUT",
            Self::Postrouting => "POSTROUTING",
        }
    }

    /// The hook of a built-in chain's name.
    pub fn from_chain(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|h| h.chain().as_bytes() == name)
    }

    /// The hook of this number.
    pub fn from_num(num: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|h| h.num() == num)
    }

    const ALL: [Self; 5] = [Self::Prerouting, Self::Input, Self::Forward, Self::Output, Self::Postrouting];
}
