//! The generic part of a rule: `-s -d -i -o -p -f`.
//!
//! # Options
//! iptables(8), PARAMETERS. They are read by `text::command`, because lists of addresses make several rules of one command.
//! # Wire
//! In stock 1.8.9's order: `-i`, `-o`, `-p` (meta l4proto), `-s`, `-d`, `-f`; prefixes on a byte boundary load only their bytes and need no
//! `bitwise`. Reading takes any order, and the IPv4 protocol as payload too (1.8.10 on).
//! # Differs
//! `! -s 0/0` cannot be written (the kernel refuses it, as it does for stock).
//! # Sources
//! fact sheet 2.1, 2.2, 2.8, 8.

use super::PrintCx;
use crate::packet::Packet;
use crate::types::{Family, IFNAMSIZ, IfacePattern, Network, Out, Tri, builtin_protocol_name};
use crate::wire::ExprWriter;
use crate::wire::cond::{Cond, Data, Field, Test};
use crate::wire::consts::*;
use std::net::IpAddr;

/// The generic conditions of a rule; each with whether `!` stands before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Base {
    /// `-s`; absent if every address is meant.
    pub src: Option<(Network, bool)>,
    /// `-d`.
    pub dst: Option<(Network, bool)>,
    /// `-i`.
    pub iif: Option<(IfacePattern, bool)>,
    /// `-o`.
    pub oif: Option<(IfacePattern, bool)>,
    /// `-p`; absent for all protocols.
    pub protocol: Option<(u8, bool)>,
    /// `-f` (false) or `! -f` (true); IPv4 only.
    pub fragment: Option<bool>,
}

/// The bytes with which `! -i +` is written: a name that no interface has.
const NO_INTERFACE: &[u8] = b"INVAL/D";

/// A mask: a prefix length as a number, or an address.
pub fn mask(text: &[u8], family: Family) -> Option<IpAddr> {
    if let Some(len) = super::options::number(text, 0, u64::from(family.addr_bits())) {
        return u8::try_from(len).ok().map(|len| crate::types::prefix_mask(family, len));
    }
    match family {
        Family::V4 => {
            let s = std::str::from_utf8(text).ok()?;
            (s.split('.').count() == 4).then(|| super::options::numeric_host(text, family))?
        }
        Family::V6 => super::options::numeric_host(text, family),
    }
}

impl Base {
    /// Writes the expressions that stock 1.8.9 writes.
    pub fn encode(&self, family: Family, x: &mut ExprWriter<'_>) {
        write_iface(x, NFT_META_IIFNAME, self.iif.as_ref());
        write_iface(x, NFT_META_OIFNAME, self.oif.as_ref());
        if let Some((protocol, not)) = self.protocol {
            x.meta(NFT_META_L4PROTO);
            x.cmp_eq(not, &[protocol]);
        }
        let (src, dst) = address_offsets(family);
        write_address(x, src, self.src.as_ref());
        write_address(x, dst, self.dst.as_ref());
        if let Some(not) = self.fragment {
            x.payload(NFT_PAYLOAD_NETWORK_HEADER, 6, 2);
            x.mask(&[0x1f, 0xff]);
            x.cmp_eq(!not, &[0, 0]);
        }
    }

    /// Claims a condition found in the kernel; false if it is not generic, or if the rule has one of its kind already.
    pub fn raise(&mut self, cond: &Cond, family: Family) -> bool {
        match cond.field {
            Field::Meta(NFT_META_IIFNAME) => raise_iface(&mut self.iif, cond),
            Field::Meta(NFT_META_OIFNAME) => raise_iface(&mut self.oif, cond),
            Field::Meta(NFT_META_L4PROTO) => self.raise_protocol(cond),
            Field::Payload { base: NFT_PAYLOAD_NETWORK_HEADER, offset, len } => {
                self.raise_network(cond, offset, len, family)
            }
            _ => false,
        }
    }

    fn raise_protocol(&mut self, cond: &Cond) -> bool {
        let Some((not, data)) = cond.equals() else { return false };
        let Some(protocol) = data.u8() else { return false };
        match self.protocol {
            // Stock 1.8.10 and nft may say it twice; a second one that differs makes another rule than we can print.
            Some(known) => known == (protocol, not),
            None if protocol == 0 => false,
            None => {
                self.protocol = Some((protocol, not));
                true
            }
        }
    }

    fn raise_network(&mut self, cond: &Cond, offset: u32, len: u32, family: Family) -> bool {
        let (src, dst) = address_offsets(family);
        let size = family.addr_len() as u32;
        if offset == src && len == 2 * size {
            return match cond.split(size) {
                Some((a, b)) if self.src.is_none() && self.dst.is_none() => {
                    raise_address(&mut self.src, &a, family) && raise_address(&mut self.dst, &b, family)
                }
                _ => false,
            };
        }
        if offset == src && len <= size {
            return raise_address(&mut self.src, cond, family);
        }
        if offset == dst && len <= size {
            return raise_address(&mut self.dst, cond, family);
        }
        match (family, offset, len) {
            (Family::V4, 9, 1) => self.raise_protocol(cond),
            (Family::V4, 6, 2) => self.raise_fragment(cond),
            _ => false,
        }
    }

    fn raise_fragment(&mut self, cond: &Cond) -> bool {
        let offset_only = cond.mask.is_some_and(|m| m.as_bytes() == [0x1f, 0xff]);
        let (true, None, Test::Cmp { op, data }) = (offset_only, self.fragment, &cond.test) else { return false };
        if data.as_bytes() != [0, 0] {
            return false;
        }
        self.fragment = match *op {
            NFT_CMP_NEQ | NFT_CMP_GT => Some(false),
            NFT_CMP_EQ => Some(true),
            _ => return false,
        };
        true
    }

    /// Prints the options as `-S` does: `-s -d -i -o -p -f`, each with a blank in front.
    pub fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
        for (flag, address) in [("-s ", &self.src), ("-d ", &self.dst)] {
            if let Some((net, not)) = address {
                out.str(if *not { " ! " } else { " " });
                out.str(flag);
                net.save(out);
            }
        }
        for (flag, iface) in [("-i", &self.iif), ("-o", &self.oif)] {
            match iface {
                Some((pattern, not)) if *not || !pattern.is_any() => {
                    out.str(if *not { " ! " } else { " " });
                    out.str(flag);
                    let mut name = Out::new();
                    pattern.print(&mut name);
                    out.word(name.as_bytes());
                }
                _ => {}
            }
        }
        if let Some((protocol, not)) = self.protocol {
            out.str(if not { " ! -p " } else { " -p " });
            print_protocol(out, protocol, cx);
        }
        if let Some(not) = self.fragment {
            out.str(if not { " ! -f" } else { " -f" });
        }
    }

    /// Whether a packet meets every condition. Where there is no interface, its name is empty.
    pub fn eval(&self, packet: &Packet) -> Tri {
        let address = |cond: &Option<(Network, bool)>, addr: IpAddr| match cond {
            Some((net, not)) => net.contains(addr) != *not,
            None => true,
        };
        let iface = |cond: &Option<(IfacePattern, bool)>, name: &[u8]| match cond {
            Some((pattern, not)) => pattern.matches(name) != *not,
            None => true,
        };
        let protocol = match self.protocol {
            Some((p, not)) => packet.protocol().is_some_and(|is| (is == p) != not),
            None => true,
        };
        let fragment = self.fragment.is_none_or(|not| packet.is_fragment_tail() != not);
        Tri::from(
            address(&self.src, packet.src())
                && address(&self.dst, packet.dst())
                && iface(&self.iif, &packet.meta.iif)
                && iface(&self.oif, &packet.meta.oif)
                && protocol
                && fragment,
        )
    }
}

/// Prints a protocol's name, or its number if it has none.
pub fn print_protocol(out: &mut Out, protocol: u8, cx: &PrintCx<'_>) {
    if let Some(name) = builtin_protocol_name(protocol) {
        out.str(name);
    } else if let Some(name) = cx.names.protocol_name(protocol) {
        out.bytes(&name);
    } else {
        out.dec(u64::from(protocol));
    }
}

/// Offsets of source and destination in the network header, in bytes (RFC 791 §3.1, RFC 8200 §3).
fn address_offsets(family: Family) -> (u32, u32) {
    match family {
        Family::V4 => (12, 16),
        Family::V6 => (8, 24),
    }
}

fn write_iface(x: &mut ExprWriter<'_>, key: u32, iface: Option<&(IfacePattern, bool)>) {
    let Some((pattern, not)) = iface else { return };
    x.meta(key);
    if !pattern.is_any() {
        x.cmp_eq(*not, pattern.cmp_bytes());
    } else if *not {
        x.cmp_eq(false, b"INVAL/D\0");
    }
}

fn raise_iface(slot: &mut Option<(IfacePattern, bool)>, cond: &Cond) -> bool {
    if slot.is_some() {
        return false;
    }
    *slot = match (&cond.test, cond.equals()) {
        (Test::Loaded, _) => IfacePattern::prefix(b"").map(|any| (any, false)),
        (_, Some((not, data))) => iface_of(data, not),
        _ => None,
    };
    slot.is_some()
}

/// The pattern that a compare of an interface name means: a NUL ends an exact name, no NUL makes it a prefix.
fn iface_of(data: &Data, not: bool) -> Option<(IfacePattern, bool)> {
    let bytes = data.as_bytes();
    let Some(end) = bytes.iter().position(|b| *b == 0) else {
        // With its `+` it must still be short enough for `-i`.
        let sayable = bytes.len() + 1 < IFNAMSIZ && !bytes.iter().any(u8::is_ascii_control);
        return IfacePattern::prefix(bytes).filter(|_| sayable).map(|p| (p, not));
    };
    let (name, rest) = bytes.split_at(end);
    if rest.iter().any(|b| *b != 0) {
        return None;
    }
    if name == NO_INTERFACE {
        return IfacePattern::prefix(b"").map(|any| (any, !not));
    }
    // `-i eth+` would mean every name that begins with `eth`, and a line feed another line.
    let sayable = !name.is_empty() && !name.ends_with(b"+") && !name.iter().any(u8::is_ascii_control);
    if sayable { IfacePattern::exact(name).map(|p| (p, not)) } else { None }
}

fn write_address(x: &mut ExprWriter<'_>, offset: u32, address: Option<&(Network, bool)>) {
    let Some((net, not)) = address else { return };
    let size = net.family().addr_len();
    let (addr, mask) = (net.addr_octets(), net.mask_octets());
    let whole_bytes = net.prefix_len().filter(|len| len % 8 == 0).map(|len| usize::from(len / 8));
    let len = whole_bytes.unwrap_or(size);
    x.payload(NFT_PAYLOAD_NETWORK_HEADER, offset, len as u32);
    if whole_bytes.is_none() {
        x.mask(mask.get(..size).unwrap_or(&mask));
    }
    x.cmp_eq(*not, addr.get(..len).unwrap_or(&addr));
}

fn raise_address(slot: &mut Option<(Network, bool)>, cond: &Cond, family: Family) -> bool {
    let (None, Test::Cmp { op, data }) = (&slot, &cond.test) else { return false };
    let not = match *op {
        NFT_CMP_EQ => false,
        NFT_CMP_NEQ => true,
        _ => return false,
    };
    // Bytes that were not loaded do not count.
    let loaded = data.as_bytes().len().min(family.addr_len());
    let mut mask = [0; 16];
    match &cond.mask {
        Some(m) => mask = m.padded(),
        None => mask.iter_mut().take(loaded).for_each(|b| *b = 0xff),
    }
    let addr = data.padded();
    // A value with bits outside its mask never matches: not a rule that iptables can say.
    if u128::from_ne_bytes(addr) & !u128::from_ne_bytes(mask) != 0 {
        return false;
    }
    let ip = |o: [u8; 16]| match family {
        Family::V4 => {
            let [a, b, c, d, ..] = o;
            IpAddr::from([a, b, c, d])
        }
        Family::V6 => IpAddr::from(o),
    };
    // A mask of nothing: always true or, negated, never; it cannot be written (see the file's head).
    *slot = Network::new(ip(addr), ip(mask)).filter(|_| mask != [0; 16]).map(|net| (net, not));
    slot.is_some()
}
