//! Exit codes, with the meanings that iptables gives them (fact sheet 5; client contract 3.1).

/// Success.
pub const OK: u8 = 0;
/// The object is not there, or is there already; or another error.
pub const OTHER: u8 = 1;
/// Wrong parameters.
pub const USAGE: u8 = 2;
/// Unknown table, or a ruleset that cannot be read.
pub const VERSION: u8 = 3;
/// The kernel refused: permission, resources, an invalid rule.
pub const RESOURCE: u8 = 4;
