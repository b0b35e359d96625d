//! Packet and byte counters of rules and of base chains.

/// Packets and bytes, each a u64 that wraps in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Number of packets.
    pub packets: u64,
    /// Number of bytes, network headers included.
    pub bytes: u64,
}
