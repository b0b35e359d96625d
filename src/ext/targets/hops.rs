//! What `TTL` and `HL` have in common: a number of hops that is set, raised or lowered.
//!
//! # Wire
//! `struct ipt_TTL_info` and `struct ip6t_HL_info`: `{ u8 mode, hops; }`, mode 0 set, 1 increment, 2 decrement. Native: only what is set,
//! because nf_tables cannot add.
//! # Sources
//! iptables-extensions(8) "TTL", "HL"; `linux/netfilter_ipv4/ipt_TTL.h`, `linux/netfilter_ipv6/ip6t_HL.h`; measured.

use crate::ext::options::{Given, UsageError, bit};
use crate::packet::Packet;
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::consts::{NFT_PAYLOAD_CSUM_INET, NFT_PAYLOAD_NETWORK_HEADER, NFT_REG_1};
use crate::wire::native::Checksum;
use crate::wire::{BlobWriter, ExprWriter};

/// The ids of the options, which are the modes of the struct.
pub const SET: u8 = 0;
/// `--ttl-inc`, `--hl-inc`.
pub const INC: u8 = 1;
/// `--ttl-dec`, `--hl-dec`.
pub const DEC: u8 = 2;
/// All three: one excludes the others.
pub const ANY: u32 = bit(SET) | bit(INC) | bit(DEC);

/// Examples of numbers that are set.
pub const SET_EXAMPLES: &[&str] = &["0", "1", "5", "0x10", "010", "64", "127", "128", "254", "255"];
/// Examples of numbers that are added or taken away.
pub const STEP_EXAMPLES: &[&str] = &["1", "2", "0x10", "010", "100", "254", "255"];

/// A change of the number of hops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hops {
    mode: u8,
    hops: u8,
}

impl Hops {
    /// Takes an option.
    pub fn set(&mut self, given: &Given<'_>) {
        *self = Self { mode: given.id(), hops: given.u8() };
    }

    /// Says if none was given; `name` is the target's.
    pub fn finish(name: &str, seen: u32) -> Result<(), UsageError> {
        if seen == 0 { Err(usage!("{name}: You must specify an action")) } else { Ok(()) }
    }

    /// Prints the option; `prefix` is `ttl` or `hl`.
    pub fn save(&self, prefix: &str, out: &mut Out) {
        let mode = ["set", "inc", "dec"].get(usize::from(self.mode)).copied().unwrap_or_default();
        write!(out, " --{prefix}-{mode} {}", self.hops);
    }

    /// Prints the `-L` column; `name` is the target's.
    pub fn list(&self, name: &str, out: &mut Out) {
        let mode = ["set to", "increment by", "decrement by"].get(usize::from(self.mode)).copied().unwrap_or_default();
        write!(out, " {name} {mode} {}", self.hops);
    }

    /// Writes the struct.
    pub fn blob(&self, b: &mut BlobWriter<'_>) {
        b.u8(self.mode);
        b.u8(self.hops);
    }

    /// Reads the struct.
    pub fn decode(info: &[u8]) -> Option<Self> {
        let [mode, hops, ..] = *info else { return None };
        // By nothing is not to be written.
        (mode == SET || (mode <= DEC && hops != 0)).then_some(Self { mode, hops })
    }

    /// Native expressions, if there are any.
    pub fn native(&self, family: Family, x: &mut ExprWriter<'_>) -> bool {
        match family {
            _ if self.mode != SET => return false,
            Family::V4 => {
                x.payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 2);
                x.bitwise(&[0, 0xff], &[self.hops, 0]);
                let checksum = Checksum { ty: NFT_PAYLOAD_CSUM_INET, offset: 10, flags: 0 };
                x.payload_write(NFT_PAYLOAD_NETWORK_HEADER, 8, 2, checksum);
            }
            Family::V6 => {
                x.immediate(NFT_REG_1, &[self.hops]);
                x.payload_write(NFT_PAYLOAD_NETWORK_HEADER, 7, 1, Checksum::default());
            }
        }
        true
    }

    /// Changes a packet: as far as 0 and 255.
    pub fn apply(&self, packet: &mut Packet) {
        let old = packet.hops();
        packet.set_hops(match self.mode {
            INC => old.saturating_add(self.hops),
            DEC => old.saturating_sub(self.hops),
            _ => self.hops,
        });
    }
}
