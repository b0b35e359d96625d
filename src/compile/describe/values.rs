//! How register bytes are written: addresses, numbers, names, or hex.

use super::names::{self, Kind};
use crate::types::{Out, builtin_protocol_name};
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) fn value_text(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    let mut out = Out::new();
    value(kind, bytes, &mut out);
    out.into_bytes()
}

pub(super) fn mask_text(kind: Kind, mask: &[u8]) -> Vec<u8> {
    match kind {
        Kind::Host | Kind::HostHex | Kind::CtState => value_text(Kind::HostHex, mask),
        Kind::Addr => value_text(Kind::Addr, mask),
        _ => hex_text(mask),
    }
}

/// Writes a register's bytes as their kind says; in hex if they do not fit it.
pub(super) fn value(kind: Kind, bytes: &[u8], out: &mut Out) {
    let host = || match *bytes {
        [a] => Some(u64::from(a)),
        [a, b] => Some(u64::from(u16::from_ne_bytes([a, b]))),
        [a, b, c, d] => Some(u64::from(u32::from_ne_bytes([a, b, c, d]))),
        _ => <[u8; 8]>::try_from(bytes).ok().map(u64::from_ne_bytes),
    };
    let written = match kind {
        Kind::Hex => None,
        Kind::Addr => address(bytes, out),
        Kind::Be if bytes.len() <= 8 => {
            out.dec(bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)));
            Some(())
        }
        Kind::Be => None,
        Kind::Host => host().map(|n| out.dec(n)),
        Kind::HostHex => host().map(|n| write!(out, "{n:#x}")),
        Kind::Name => {
            let end = bytes.iter().position(|b| *b == 0);
            let star = if end.is_some() { "" } else { "*" };
            let name = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            write!(out, "\"{}{star}\"", name.escape_ascii());
            Some(())
        }
        Kind::Proto => protocol(bytes, out),
        Kind::CtState => host().and_then(|bits| ct_states(u32::try_from(bits).ok()?, out)),
    };
    if written.is_none() {
        out.str("0x");
        hex(bytes, out);
    }
}

fn protocol(bytes: &[u8], out: &mut Out) -> Option<()> {
    let [protocol] = *bytes else { return None };
    match builtin_protocol_name(protocol) {
        Some(name) => out.str(name),
        None => out.dec(u64::from(protocol)),
    }
    Some(())
}

fn ct_states(bits: u32, out: &mut Out) -> Option<()> {
    let known = names::CT_STATES.iter().fold(0, |all, (bit, _)| all | bit);
    if bits == 0 || bits & !known != 0 {
        return None;
    }
    let words: Vec<_> = names::CT_STATES.iter().filter(|(bit, _)| bits & bit != 0).map(|s| s.1).collect();
    out.str(&words.join(","));
    Some(())
}

fn address(bytes: &[u8], out: &mut Out) -> Option<()> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        write!(out, "{}", Ipv4Addr::from(v4));
    } else {
        write!(out, "{}", Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?));
    }
    Some(())
}

/// An address with the mask under which it is compared; what was not loaded is not compared.
pub(super) fn network(bytes: &[u8], mask: &[u8], len: usize, out: &mut Out) {
    let fill = |part: &[u8]| {
        let mut whole = part.to_vec();
        whole.resize(len, 0);
        whole
    };
    value(Kind::Addr, &fill(bytes), out);
    let mask = fill(mask);
    let ones: u32 = mask.iter().take_while(|b| **b == 0xff).count() as u32 * 8;
    let rest = mask.get(ones as usize / 8).map_or(0, |b| b.leading_ones());
    let prefix = ones + rest;
    out.byte(b'/');
    if mask.iter().map(|b| b.count_ones()).sum::<u32>() == prefix {
        out.dec(u64::from(prefix));
    } else {
        value(Kind::Addr, &mask, out);
    }
}

pub(super) fn hex_text(bytes: &[u8]) -> Vec<u8> {
    value_text(Kind::Hex, bytes)
}

pub(super) fn hex(bytes: &[u8], out: &mut Out) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for b in bytes {
        for nibble in [b >> 4, b & 0xf] {
            out.byte(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?'));
        }
    }
}
