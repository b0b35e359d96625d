//! Writers of the expressions that stock never writes and the native encoding needs.
//!
//! Each method is one expression and nothing more; what is asked of a packet is said with its own name in nft(8). A load that a packet does
//! not have (bytes behind its end, no connection, no socket) ends the rule: it does not match. Sources: `linux/netfilter/nf_tables.h`.

use super::super::consts::*;
use super::super::set::AnonSet;
use super::{ExprWriter, register, write_value};
use std::cmp::Ordering;

/// What `exthdr` looks for: `NFT_EXTHDR_OP_*`, the header's or option's number, and bytes in it (offset and length; both 0 and
/// `present` to ask only whether it is there, which loads a byte 1 or 0 and never ends the rule).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the attributes' names")]
pub struct Exthdr {
    pub op: u32,
    pub ty: u8,
    pub offset: u32,
    pub len: u32,
    pub present: bool,
}

/// How a changed payload's checksums are kept right: `NFT_PAYLOAD_CSUM_*`, where the checksum is behind the same base, in bytes, and
/// `NFT_PAYLOAD_L4CSUM_PSEUDOHDR` if the bytes are part of the pseudo header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the attributes' names")]
pub struct Checksum {
    pub ty: u32,
    pub offset: u32,
    pub flags: u32,
}

/// Registers and flags of `nat`, `masq` and `redir`; a register is absent if the value stays as it was. The flags are written as they are here,
/// with `NF_NAT_RANGE_MAP_IPS` and `NF_NAT_RANGE_PROTO_SPECIFIED` where registers are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatRegs {
    /// First and last address.
    pub addr: Option<(u32, u32)>,
    /// First and last port.
    pub proto: Option<(u32, u32)>,
    /// `NF_NAT_RANGE_*` (`linux/netfilter/nf_nat.h`).
    pub flags: u32,
}

impl NatRegs {
    fn normal(self) -> Self {
        let pair = |regs: Option<(u32, u32)>| regs.map(|(min, max)| (register(min), register(max)));
        Self { addr: pair(self.addr), proto: pair(self.proto), flags: self.flags }
    }
}

impl ExprWriter<'_> {
    /// The sets that lookups of this rule have asked for, with their ids; they are created before it.
    pub fn take_sets(&mut self) -> Vec<(u32, AnonSet)> {
        let first = self.first_set;
        std::mem::take(&mut self.sets).into_iter().zip(first..).map(|(set, id)| (id, set)).collect()
    }

    /// How many xt matches and targets have been written.
    pub fn xt_count(&self) -> u32 {
        self.xt
    }

    /// Writes what `first` does or, if an xt expression is in it and `second` says that it has another form, that.
    pub fn either(&mut self, mut first: impl FnMut(&mut Self), second: impl FnOnce(&mut Self) -> bool) {
        let (len, overflowed, sets, xt) = (self.w.len(), self.w.overflowed(), self.sets.len(), self.xt);
        first(self);
        if self.xt == xt {
            return;
        }
        let back = |x: &mut Self| {
            x.w.rewind(len, overflowed);
            x.sets.truncate(sets);
            (x.xt, x.reg) = (xt, NFT_REG_1);
        };
        back(self);
        if !second(self) {
            back(self);
            first(self);
        }
    }

    /// `lookup reg 1 @set`: goes on if the key in the register is in the set or, negated, if it is not. The key of a concatenation lies from
    /// `NFT_REG32_00` on, which is `NFT_REG_1`.
    pub fn lookup(&mut self, negated: bool, set: AnonSet) {
        let id = self.first_set.wrapping_add(u32::try_from(self.sets.len()).unwrap_or(u32::MAX));
        self.sets.push(set);
        self.expr("lookup", |w, reg| {
            w.text(NFTA_LOOKUP_SET, b"__set%d");
            w.u32(NFTA_LOOKUP_SREG, reg);
            w.u32(NFTA_LOOKUP_SET_ID, id);
            w.u32(NFTA_LOOKUP_FLAGS, u32::from(negated));
        });
    }

    /// Goes on only if `len` (3 or more) bytes of the header at `base` are there, and the packet is no later fragment: the last three bytes
    /// are loaded and nothing asked of them. It must stand before other loads of the transport header: the kernel loads one, two and four
    /// bytes by a short way, on which it takes a later fragment's data for a header (6.18, tried). An xt match that reads a header drops a
    /// packet that has not the whole of it; natively it is no match.
    pub fn whole(&mut self, base: u32, len: u32) {
        self.payload(base, len.saturating_sub(3), 3);
    }

    /// Goes on if the value in the register is from `from` to `to`, both included and compared as big-endian bytes, or, negated, if it is not.
    /// Nothing is in a range that ends before it begins.
    pub fn within(&mut self, negated: bool, from: &[u8], to: &[u8]) {
        match from.cmp(to) {
            Ordering::Less => self.range(negated, from, to),
            Ordering::Equal => self.cmp_eq(negated, from),
            Ordering::Greater if negated => {}
            Ordering::Greater => self.never(),
        }
    }

    /// Ends the rule: no packet matches.
    pub fn never(&mut self) {
        self.immediate(NFT_REG_1, &[0]);
        self.cmp(NFT_CMP_NEQ, &[0]);
    }

    /// `bitwise reg = (reg & mask) ^ xor`, both as long as the value.
    pub fn bitwise(&mut self, mask: &[u8], xor: &[u8]) {
        self.expr("bitwise", |w, reg| {
            w.u32(NFTA_BITWISE_SREG, reg);
            w.u32(NFTA_BITWISE_DREG, reg);
            w.u32(NFTA_BITWISE_LEN, mask.len() as u32);
            write_value(w, NFTA_BITWISE_MASK, mask);
            write_value(w, NFTA_BITWISE_XOR, xor);
        });
    }

    /// `bitwise reg = reg << bits` or `>>`, of a value of `len` bytes. Each word of 4 bytes is a number in host order, as `meta mark` is.
    pub fn shift(&mut self, left: bool, bits: u32, len: u32) {
        self.expr("bitwise", |w, reg| {
            w.u32(NFTA_BITWISE_SREG, reg);
            w.u32(NFTA_BITWISE_DREG, reg);
            w.u32(NFTA_BITWISE_LEN, len);
            w.u32(NFTA_BITWISE_OP, if left { NFT_BITWISE_LSHIFT } else { NFT_BITWISE_RSHIFT });
            write_value(w, NFTA_BITWISE_DATA, &bits.to_ne_bytes());
        });
    }

    /// `byteorder reg = hton(reg)`: numbers of `size` bytes (2, 4, 8) in `len` bytes; afterwards they compare as numbers.
    pub fn hton(&mut self, len: u32, size: u32) {
        self.expr("byteorder", |w, reg| {
            w.u32(NFTA_BYTEORDER_SREG, reg);
            w.u32(NFTA_BYTEORDER_DREG, reg);
            w.u32(NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
            w.u32(NFTA_BYTEORDER_LEN, len);
            w.u32(NFTA_BYTEORDER_SIZE, size);
        });
    }

    /// `payload write reg => len bytes @ base + offset`, with checksums.
    pub fn payload_write(&mut self, base: u32, offset: u32, len: u32, checksum: Checksum) {
        self.expr("payload", |w, reg| {
            w.u32(NFTA_PAYLOAD_SREG, reg);
            w.u32(NFTA_PAYLOAD_BASE, base);
            w.u32(NFTA_PAYLOAD_OFFSET, offset);
            w.u32(NFTA_PAYLOAD_LEN, len);
            w.u32(NFTA_PAYLOAD_CSUM_TYPE, checksum.ty);
            w.u32(NFTA_PAYLOAD_CSUM_OFFSET, checksum.offset);
            w.u32(NFTA_PAYLOAD_CSUM_FLAGS, checksum.flags);
        });
    }

    /// `ct load KEY => reg`; `reply` names the direction for the keys that have one (`Some(false)`: original).
    pub fn ct(&mut self, key: u32, reply: Option<bool>) {
        self.expr("ct", |w, reg| {
            w.u32(NFTA_CT_KEY, key);
            w.u32(NFTA_CT_DREG, reg);
            if let Some(reply) = reply {
                w.u8(NFTA_CT_DIRECTION, u8::from(reply));
            }
        });
    }

    /// `ct set KEY with reg`; `reply` as in [`ExprWriter::ct`].
    pub fn ct_set(&mut self, key: u32, reply: Option<bool>) {
        self.expr("ct", |w, reg| {
            w.u32(NFTA_CT_KEY, key);
            if let Some(reply) = reply {
                w.u8(NFTA_CT_DIRECTION, u8::from(reply));
            }
            w.u32(NFTA_CT_SREG, reg);
        });
    }

    /// `exthdr load => reg`.
    pub fn exthdr(&mut self, what: Exthdr) {
        self.expr("exthdr", |w, reg| {
            w.u32(NFTA_EXTHDR_DREG, reg);
            w.u8(NFTA_EXTHDR_TYPE, what.ty);
            w.u32(NFTA_EXTHDR_OFFSET, what.offset);
            w.u32(NFTA_EXTHDR_LEN, what.len);
            if what.present {
                w.u32(NFTA_EXTHDR_FLAGS, NFT_EXTHDR_F_PRESENT);
            }
            w.u32(NFTA_EXTHDR_OP, what.op);
        });
    }

    /// `exthdr write reg =>`: TCP options only, two or four bytes.
    pub fn exthdr_write(&mut self, what: Exthdr) {
        self.expr("exthdr", |w, reg| {
            w.u32(NFTA_EXTHDR_SREG, reg);
            w.u8(NFTA_EXTHDR_TYPE, what.ty);
            w.u32(NFTA_EXTHDR_OFFSET, what.offset);
            w.u32(NFTA_EXTHDR_LEN, what.len);
            w.u32(NFTA_EXTHDR_OP, what.op);
        });
    }

    /// `exthdr reset`: the TCP option is overwritten with NOPs.
    pub fn tcp_option_strip(&mut self, ty: u8) {
        self.expr("exthdr", |w, _| {
            w.u8(NFTA_EXTHDR_TYPE, ty);
            w.u32(NFTA_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT);
        });
    }

    /// `fib FLAGS RESULT => reg`: `NFT_FIB_RESULT_*` by `NFTA_FIB_F_*`.
    pub fn fib(&mut self, result: u32, flags: u32) {
        self.expr("fib", |w, reg| {
            w.u32(NFTA_FIB_DREG, reg);
            w.u32(NFTA_FIB_RESULT, result);
            w.u32(NFTA_FIB_FLAGS, flags);
        });
    }

    /// `socket KEY => reg`: `NFT_SOCKET_*`; `level` is the ancestor's for a control group.
    pub fn socket(&mut self, key: u32, level: Option<u32>) {
        self.expr("socket", |w, reg| {
            w.u32(NFTA_SOCKET_KEY, key);
            w.u32(NFTA_SOCKET_DREG, reg);
            if let Some(level) = level {
                w.u32(NFTA_SOCKET_LEVEL, level);
            }
        });
    }

    /// `rt KEY => reg`: `NFT_RT_*`.
    pub fn rt(&mut self, key: u32) {
        self.expr("rt", |w, reg| {
            w.u32(NFTA_RT_KEY, key);
            w.u32(NFTA_RT_DREG, reg);
        });
    }

    /// `xfrm KEY => reg`: `NFT_XFRM_KEY_*`, of the incoming (0) or outgoing (1) policy's transformation `spnum`.
    pub fn xfrm(&mut self, key: u32, dir: u8, spnum: u32) {
        self.expr("xfrm", |w, reg| {
            w.u32(NFTA_XFRM_DREG, reg);
            w.u32(NFTA_XFRM_KEY, key);
            w.u8(NFTA_XFRM_DIR, dir);
            w.u32(NFTA_XFRM_SPNUM, spnum);
        });
    }

    /// `osf => reg`: the name (16 bytes) of the system that sent a SYN; `NFT_OSF_F_VERSION` adds its version.
    pub fn osf(&mut self, ttl: u8, flags: u32) {
        self.expr("osf", |w, reg| {
            w.u32(NFTA_OSF_DREG, reg);
            w.u8(NFTA_OSF_TTL, ttl);
            w.u32(NFTA_OSF_FLAGS, flags);
        });
    }

    /// `numgen => reg`: a number below `modulus`, plus `offset`, in host order; `NFT_NG_INCREMENTAL` or `NFT_NG_RANDOM`.
    pub fn numgen(&mut self, ty: u32, modulus: u32, offset: u32) {
        self.expr("numgen", |w, reg| {
            w.u32(NFTA_NG_DREG, reg);
            w.u32(NFTA_NG_TYPE, ty);
            w.u32(NFTA_NG_MODULUS, modulus);
            w.u32(NFTA_NG_OFFSET, offset);
        });
    }

    /// `limit`, with everything that it can say: `ty` is `NFT_LIMIT_*`, `flags` `NFT_LIMIT_F_INV`.
    pub fn limit_with(&mut self, rate: u64, unit: u64, burst: u32, ty: u32, flags: u32) {
        self.expr("limit", |w, _| {
            w.u64(NFTA_LIMIT_RATE, rate);
            w.u64(NFTA_LIMIT_UNIT, unit);
            w.u32(NFTA_LIMIT_BURST, burst);
            w.u32(NFTA_LIMIT_TYPE, ty);
            w.u32(NFTA_LIMIT_FLAGS, flags);
        });
    }

    /// `quota`: `NFT_QUOTA_F_INV` matches above it.
    pub fn quota(&mut self, bytes: u64, flags: u32) {
        self.expr("quota", |w, _| {
            w.u64(NFTA_QUOTA_BYTES, bytes);
            w.u32(NFTA_QUOTA_FLAGS, flags);
        });
    }

    /// `connlimit`, of all connections that come to this rule: at most `count` or, with `NFT_CONNLIMIT_F_INV`, more.
    pub fn connlimit(&mut self, count: u32, flags: u32) {
        self.expr("connlimit", |w, _| {
            w.u32(NFTA_CONNLIMIT_COUNT, count);
            w.u32(NFTA_CONNLIMIT_FLAGS, flags);
        });
    }

    /// `nat`: `NFT_NAT_SNAT` or `NFT_NAT_DNAT` in this `NFPROTO_*`.
    pub fn nat(&mut self, ty: u32, family: u8, regs: NatRegs) {
        let regs = regs.normal();
        self.expr("nat", |w, _| {
            w.u32(NFTA_NAT_TYPE, ty);
            w.u32(NFTA_NAT_FAMILY, u32::from(family));
            if let Some((min, max)) = regs.addr {
                w.u32(NFTA_NAT_REG_ADDR_MIN, min);
                w.u32(NFTA_NAT_REG_ADDR_MAX, max);
            }
            if let Some((min, max)) = regs.proto {
                w.u32(NFTA_NAT_REG_PROTO_MIN, min);
                w.u32(NFTA_NAT_REG_PROTO_MAX, max);
            }
            if regs.flags != 0 {
                w.u32(NFTA_NAT_FLAGS, regs.flags);
            }
        });
    }

    /// `masq`.
    pub fn masq(&mut self, regs: NatRegs) {
        self.ports_and_flags("masq", [NFTA_MASQ_REG_PROTO_MIN, NFTA_MASQ_REG_PROTO_MAX, NFTA_MASQ_FLAGS], regs);
    }

    /// `redir`.
    pub fn redir(&mut self, regs: NatRegs) {
        self.ports_and_flags("redir", [NFTA_REDIR_REG_PROTO_MIN, NFTA_REDIR_REG_PROTO_MAX, NFTA_REDIR_FLAGS], regs);
    }

    fn ports_and_flags(&mut self, name: &str, [min_attr, max_attr, flags_attr]: [u16; 3], regs: NatRegs) {
        let regs = regs.normal();
        self.expr(name, |w, _| {
            if regs.flags != 0 {
                w.u32(flags_attr, regs.flags);
            }
            if let Some((min, max)) = regs.proto {
                w.u32(min_attr, min);
                w.u32(max_attr, max);
            }
        });
    }

    /// `reject`: `NFT_REJECT_*`, and the ICMP code unless it is a reset.
    pub fn reject(&mut self, ty: u32, code: Option<u8>) {
        self.expr("reject", |w, _| {
            w.u32(NFTA_REJECT_TYPE, ty);
            if let Some(code) = code {
                w.u8(NFTA_REJECT_ICMP_CODE, code);
            }
        });
    }

    /// `queue` to `total` queues from `num` on; `NFT_QUEUE_FLAG_*`.
    pub fn queue(&mut self, num: u16, total: u16, flags: u16) {
        self.expr("queue", |w, _| {
            w.u16(NFTA_QUEUE_NUM, num);
            w.u16(NFTA_QUEUE_TOTAL, total);
            w.u16(NFTA_QUEUE_FLAGS, flags);
        });
    }

    /// `log` to the kernel's log: syslog(3) level, and the bits of `XT_LOG_*` (`linux/netfilter/xt_LOG.h`), which nf_tables has as well.
    pub fn syslog(&mut self, prefix: Option<&[u8]>, level: u32, flags: u32) {
        self.expr("log", |w, _| {
            if let Some(prefix) = prefix {
                w.text(NFTA_LOG_PREFIX, prefix);
            }
            w.u32(NFTA_LOG_LEVEL, level);
            if flags != 0 {
                w.u32(NFTA_LOG_FLAGS, flags);
            }
        });
    }

    /// `notrack`.
    pub fn notrack(&mut self) {
        self.expr("notrack", |_, _| ());
    }

    /// `tproxy` in this `NFPROTO_*` to the address and the port in registers, if given.
    pub fn tproxy(&mut self, family: u8, addr: Option<u32>, port: Option<u32>) {
        self.expr("tproxy", |w, _| {
            w.u32(NFTA_TPROXY_FAMILY, u32::from(family));
            if let Some(addr) = addr {
                w.u32(NFTA_TPROXY_REG_ADDR, register(addr));
            }
            if let Some(port) = port {
                w.u32(NFTA_TPROXY_REG_PORT, register(port));
            }
        });
    }

    /// `dup` to the address in a register, by the interface whose index is in another, if given.
    pub fn dup(&mut self, addr: u32, dev: Option<u32>) {
        self.expr("dup", |w, _| {
            w.u32(NFTA_DUP_SREG_ADDR, register(addr));
            if let Some(dev) = dev {
                w.u32(NFTA_DUP_SREG_DEV, register(dev));
            }
        });
    }

    /// `synproxy`: `NF_SYNPROXY_OPT_*` (`linux/netfilter/nf_synproxy.h`).
    pub fn synproxy(&mut self, mss: u16, wscale: u8, flags: u32) {
        self.expr("synproxy", |w, _| {
            w.u16(NFTA_SYNPROXY_MSS, mss);
            w.u8(NFTA_SYNPROXY_WSCALE, wscale);
            w.u32(NFTA_SYNPROXY_FLAGS, flags);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Expr, Exprs, Key, Writer};

    #[test]
    fn registers_are_named_for_one_expression() {
        let mut w = Writer::new();
        let mut x = ExprWriter::new(&mut w);
        x.at(NFT_REG32_01).payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
        x.meta(NFT_META_L4PROTO);
        let regs: Vec<_> = Exprs::new(w.as_bytes()).map(Result::unwrap).collect();
        assert!(matches!(regs[0], Expr::Payload { dreg: NFT_REG32_01, .. }));
        assert!(matches!(regs[1], Expr::Meta { dreg: NFT_REG_1, .. }));
    }

    #[test]
    fn sets_get_ids_in_order() {
        let mut w = Writer::new();
        let mut x = ExprWriter::with_set_ids(&mut w, 7);
        for port in [1, 2] {
            let mut set = AnonSet::new(&[Key::Port]);
            set.value(&[&[0, port]]);
            x.lookup(false, set);
        }
        let sets = x.take_sets();
        assert_eq!(sets.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [7, 8]);
    }
}
