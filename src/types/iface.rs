//! Interface patterns of `-i` and `-o`: a name of at most 15 bytes, or a prefix followed by `+` (iptables(8), PARAMETERS).

/// Room for an interface name with its final NUL, in bytes (`linux/if.h`).
pub const IFNAMSIZ: usize = 16;

/// An interface name, or a prefix if it was written with a trailing `+`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IfacePattern {
    bytes: [u8; IFNAMSIZ],
    len: u8,
    wild: bool,
}

impl IfacePattern {
    /// A pattern as written on the command line; `None` if it is longer than 15 bytes.
    pub fn parse(text: &[u8]) -> Option<Self> {
        match text.split_last() {
            Some((b'+', prefix)) if text.len() < IFNAMSIZ => Self::build(prefix, true),
            _ => Self::build(text, false),
        }
    }

    /// The exact name `name`; `None` if it is longer than 15 bytes.
    pub fn exact(name: &[u8]) -> Option<Self> {
        Self::build(name, false)
    }

    /// Any name that begins with `prefix`; `None` if it is longer than 15 bytes.
    pub fn prefix(prefix: &[u8]) -> Option<Self> {
        Self::build(prefix, true)
    }

    fn build(name: &[u8], wild: bool) -> Option<Self> {
        let mut bytes = [0; IFNAMSIZ];
        if name.len() >= IFNAMSIZ {
            return None;
        }
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self { bytes, len: u8::try_from(name.len()).ok()?, wild })
    }

    /// The name, or the prefix without its `+`.
    pub fn name(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether it stands for every name that begins with [`Self::name`].
    pub fn is_wild(&self) -> bool {
        self.wild
    }

    /// Whether it is a lone `+`: every interface.
    pub fn is_any(&self) -> bool {
        self.wild && self.len == 0
    }

    /// Whether an interface of this name is meant.
    pub fn matches(&self, name: &[u8]) -> bool {
        if self.wild { name.starts_with(self.name()) } else { name == self.name() }
    }

    /// The bytes that `cmp` compares with `meta iifname` (fact sheet 2.2): the name with its NUL, or the bare prefix.
    pub fn cmp_bytes(&self) -> &[u8] {
        let len = usize::from(self.len) + usize::from(!self.wild);
        self.bytes.get(..len).unwrap_or_default()
    }

    /// Prints it as written.
    pub fn print(&self, out: &mut super::Out) {
        out.bytes(self.name());
        if self.wild {
            out.byte(b'+');
        }
    }
}

impl std::fmt::Debug for IfacePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.name().escape_ascii(), if self.wild { "+" } else { "" })
    }
}
