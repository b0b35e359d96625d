//! The tables and base chains that iptables and ip6tables know.
//!
//! A base chain of the kernel counts as built-in only if name, hook, priority and type are all those of its row.
//! Sources: fact sheet 1.1, 1.3 (observed); priorities are `NF_IP_PRI_*` of `linux/netfilter_ipv4.h`.

use crate::types::{Family, Hook};

/// A base chain of a built-in table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BuiltinChain {
    /// Name, upper-case.
    pub name: &'static [u8],
    /// Where it hangs.
    pub hook: Hook,
    /// Priority; lower runs earlier.
    pub priority: i32,
    /// `filter`, `nat` or `route`.
    pub ty: &'static [u8],
}

impl BuiltinChain {
    /// Whether a base chain of the kernel is this one.
    pub fn is(&self, name: &[u8], hook: u32, priority: i32, ty: &[u8]) -> bool {
        self.name == name && self.hook.num() == hook && self.priority == priority && self.ty == ty
    }
}

/// The built-in tables, in the order in which `iptables-save` writes them.
pub const TABLES: [&[u8]; 5] = [b"mangle", b"security", b"raw", b"filter", b"nat"];

const fn chain(hook: Hook, priority: i32, ty: &'static [u8]) -> BuiltinChain {
    BuiltinChain { name: hook.chain().as_bytes(), hook, priority, ty }
}

const FILTER: &[BuiltinChain] =
    &[chain(Hook::Input, 0, b"filter"), chain(Hook::Forward, 0, b"filter"), chain(Hook::Output, 0, b"filter")];

const NAT: &[BuiltinChain] = &[
    chain(Hook::Prerouting, -100, b"nat"),
    chain(Hook::Input, 100, b"nat"),
    chain(Hook::Output, -100, b"nat"),
    chain(Hook::Postrouting, 100, b"nat"),
];

const MANGLE: &[BuiltinChain] = &[
    chain(Hook::Prerouting, -150, b"filter"),
    chain(Hook::Input, -150, b"filter"),
    chain(Hook::Forward, -150, b"filter"),
    chain(Hook::Output, -150, b"route"),
    chain(Hook::Postrouting, -150, b"filter"),
];

const RAW: &[BuiltinChain] = &[chain(Hook::Prerouting, -300, b"filter"), chain(Hook::Output, -300, b"filter")];

const SECURITY: &[BuiltinChain] =
    &[chain(Hook::Input, 150, b"filter"), chain(Hook::Forward, 150, b"filter"), chain(Hook::Output, 150, b"filter")];

/// The base chains of a table in the order of their hooks; `None` if there is no such built-in table. Both families have the same.
pub fn builtins(_: Family, table: &[u8]) -> Option<&'static [BuiltinChain]> {
    match table {
        b"filter" => Some(FILTER),
        b"nat" => Some(NAT),
        b"mangle" => Some(MANGLE),
        b"raw" => Some(RAW),
        b"security" => Some(SECURITY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_save_order_has_chains_in_hook_order() {
        for table in TABLES {
            let chains = builtins(Family::V4, table).unwrap();
            assert!(chains.windows(2).all(|w| w[0].hook < w[1].hook));
            assert!(chains.iter().all(|c| Hook::from_chain(c.name) == Some(c.hook)));
        }
        assert_eq!(builtins(Family::V6, b"foo"), None);
        assert!(builtins(Family::V4, b"mangle").unwrap()[3].is(b"OUTPUT", 3, -150, b"route"));
    }
}
