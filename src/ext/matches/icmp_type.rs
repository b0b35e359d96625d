//! Type and codes of ICMP messages, as the matches `icmp` and `icmp6` have them: names, texts, struct, native conditions.
//!
//! Sources: RFC 792, 950, 1122 §3.2.2, 1256, 1812 §5.2.7 (IPv4); RFC 4443, 4861 §4, 4291 §2.5.6 (IPv6); the names are those that iptables(8)
//! and ip6tables(8) list with `-p icmp -h` and `-p icmpv6 -h`.

use crate::ext::options::{UsageError, leading_number, usage_bytes};
use crate::ext::{PrintCx, nft};
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::cond::{Cond, Field, Test};
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};

/// A type and a range of codes, both ends included, or all messages but these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpType {
    /// The type; in IPv4 255 stands for every type and code.
    pub kind: u8,
    /// The first code.
    pub min: u8,
    /// The last code.
    pub max: u8,
    /// Whether all others are meant.
    pub invert: bool,
}

/// A name, its type, its codes.
type Named = (&'static str, u8, u8, u8);

/// The names of IPv4; a synonym stands behind the name that is printed.
const V4_NAMES: &[Named] = &[
    ("any", 255, 0, 255),
    ("echo-reply", 0, 0, 255),
    ("pong", 0, 0, 255),
    ("destination-unreachable", 3, 0, 255),
    ("network-unreachable", 3, 0, 0),
    ("host-unreachable", 3, 1, 1),
    ("protocol-unreachable", 3, 2, 2),
    ("port-unreachable", 3, 3, 3),
    ("fragmentation-needed", 3, 4, 4),
    ("source-route-failed", 3, 5, 5),
    ("network-unknown", 3, 6, 6),
    ("host-unknown", 3, 7, 7),
    ("network-prohibited", 3, 9, 9),
    ("host-prohibited", 3, 10, 10),
    ("TOS-network-unreachable", 3, 11, 11),
    ("TOS-host-unreachable", 3, 12, 12),
    ("communication-prohibited", 3, 13, 13),
    ("host-precedence-violation", 3, 14, 14),
    ("precedence-cutoff", 3, 15, 15),
    ("source-quench", 4, 0, 255),
    ("redirect", 5, 0, 255),
    ("network-redirect", 5, 0, 0),
    ("host-redirect", 5, 1, 1),
    ("TOS-network-redirect", 5, 2, 2),
    ("TOS-host-redirect", 5, 3, 3),
    ("echo-request", 8, 0, 255),
    ("ping", 8, 0, 255),
    ("router-advertisement", 9, 0, 255),
    ("router-solicitation", 10, 0, 255),
    ("time-exceeded", 11, 0, 255),
    ("ttl-exceeded", 11, 0, 255),
    ("ttl-zero-during-transit", 11, 0, 0),
    ("ttl-zero-during-reassembly", 11, 1, 1),
    ("parameter-problem", 12, 0, 255),
    ("ip-header-bad", 12, 0, 0),
    ("required-option-missing", 12, 1, 1),
    ("timestamp-request", 13, 0, 255),
    ("timestamp-reply", 14, 0, 255),
    ("address-mask-request", 17, 0, 255),
    ("address-mask-reply", 18, 0, 255),
];

/// The names of IPv6.
const V6_NAMES: &[Named] = &[
    ("destination-unreachable", 1, 0, 255),
    ("no-route", 1, 0, 0),
    ("communication-prohibited", 1, 1, 1),
    ("beyond-scope", 1, 2, 2),
    ("address-unreachable", 1, 3, 3),
    ("port-unreachable", 1, 4, 4),
    ("failed-policy", 1, 5, 5),
    ("reject-route", 1, 6, 6),
    ("packet-too-big", 2, 0, 255),
    ("time-exceeded", 3, 0, 255),
    ("ttl-exceeded", 3, 0, 255),
    ("ttl-zero-during-transit", 3, 0, 0),
    ("ttl-zero-during-reassembly", 3, 1, 1),
    ("parameter-problem", 4, 0, 255),
    ("bad-header", 4, 0, 0),
    ("unknown-header-type", 4, 1, 1),
    ("unknown-option", 4, 2, 2),
    ("echo-request", 128, 0, 255),
    ("ping", 128, 0, 255),
    ("echo-reply", 129, 0, 255),
    ("pong", 129, 0, 255),
    ("router-solicitation", 133, 0, 255),
    ("router-advertisement", 134, 0, 255),
    ("neighbour-solicitation", 135, 0, 255),
    ("neighbor-solicitation", 135, 0, 255),
    ("neighbour-advertisement", 136, 0, 255),
    ("neighbor-advertisement", 136, 0, 255),
    ("redirect", 137, 0, 255),
];

/// The names of a family for the help. firewalld takes what stands below this heading for the types that there are.
pub const fn notes(family: Family) -> &'static [(&'static str, &'static str)] {
    const V4: &[(&str, &str)] = &listed::<{ V4_NAMES.len() + 1 }>("Valid ICMP Types:", V4_NAMES);
    const V6: &[(&str, &str)] = &listed::<{ V6_NAMES.len() + 1 }>("Valid ICMPv6 Types:", V6_NAMES);
    match family {
        Family::V4 => V4,
        Family::V6 => V6,
    }
}

/// A heading and names, without phrases.
#[expect(clippy::indexing_slicing, reason = "at compile time only; N is the number of names and one")]
const fn listed<const N: usize>(
    heading: &'static str,
    mut names: &'static [Named],
) -> [(&'static str, &'static str); N] {
    let mut all = [(heading, ""); N];
    let mut at = 1;
    while let [(name, ..), rest @ ..] = names {
        all[at].0 = name;
        names = rest;
        at += 1;
    }
    all
}

fn names(family: Family) -> &'static [Named] {
    match family {
        Family::V4 => V4_NAMES,
        Family::V6 => V6_NAMES,
    }
}

impl IcmpType {
    /// Every code of type 0: what stands there before the option is read.
    pub const NEW: Self = Self { kind: 0, min: 0, max: u8::MAX, invert: false };

    /// Reads a name or the beginning of only one name, in any case; or `type[/code[:code]]` in numbers.
    pub fn parse(text: &[u8], invert: bool, family: Family) -> Result<Self, UsageError> {
        let protocol = match family {
            Family::V4 => "ICMP",
            Family::V6 => "ICMPv6",
        };
        let begins = |(name, ..): &&Named| {
            let start = name.as_bytes().get(..text.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(text))
        };
        let mut fitting = names(family).iter().filter(begins);
        match (fitting.next(), fitting.next()) {
            (Some((_, kind, min, max)), None) => Ok(Self { kind: *kind, min: *min, max: *max, invert }),
            (Some((a, ..)), Some((b, ..))) => {
                Err(usage_bytes(&format!("Ambiguous {protocol} type `"), text, &format!("': `{a}' or `{b}'?")))
            }
            _ => Self::parse_numbers(text, invert, protocol),
        }
    }

    fn parse_numbers(text: &[u8], invert: bool, protocol: &str) -> Result<Self, UsageError> {
        let byte = |text| {
            let (n, rest) = leading_number(text)?;
            Some((u8::try_from(n).ok()?, rest))
        };
        let unknown = |what: &str| usage_bytes(&format!("Unknown {protocol} {what} `"), text, "'");
        let odd = |rest: &[u8]| usage_bytes("unknown character ", rest.get(..1).unwrap_or_default(), "");
        let (kind, rest) = byte(text).ok_or_else(|| unknown("type"))?;
        let codes = match rest {
            [] => return Ok(Self { kind, min: 0, max: u8::MAX, invert }),
            [b'/', codes @ ..] => codes,
            [b':', last @ ..] => {
                let (_, rest) = byte(last).ok_or_else(|| unknown("type"))?;
                let taken = matches!(rest, [] | [b'/', ..]);
                return Err(if taken { usage!("{protocol} type range not supported") } else { odd(rest) });
            }
            _ => return Err(odd(rest)),
        };
        let (min, rest) = byte(codes).ok_or_else(|| unknown("code"))?;
        let (max, rest) = match rest {
            [b':', last @ ..] => byte(last).ok_or_else(|| unknown("code"))?,
            _ => (min, rest),
        };
        if rest.is_empty() { Ok(Self { kind, min, max, invert }) } else { Err(odd(rest)) }
    }

    /// Writes that the header is whole.
    pub fn native(self, x: &mut ExprWriter<'_>) {
        x.whole(NFT_PAYLOAD_TRANSPORT_HEADER, 8);
    }

    /// Writes the condition on type and codes, which lie one behind the other.
    pub fn native_codes(self, x: &mut ExprWriter<'_>) {
        if (self.min, self.max) == (0, u8::MAX) {
            x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
            x.cmp_eq(self.invert, &[self.kind]);
        } else {
            x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2);
            x.within(self.invert, &[self.kind, self.min], &[self.kind, self.max]);
        }
    }

    /// Prints ` --OPTION 8`, ` ! --OPTION 3/1`, ` --OPTION 3/1:4`; in IPv4 ` --OPTION any` for every type.
    pub fn save(self, option: &str, family: Family, out: &mut Out) {
        out.str(if self.invert { " ! --" } else { " --" });
        out.str(option);
        if family == Family::V4 && self.kind == u8::MAX {
            out.str(" any");
            return;
        }
        out.byte(b' ');
        out.dec(u64::from(self.kind));
        if self.min != 0 || self.max != u8::MAX {
            out.byte(b'/');
            out.dec(u64::from(self.min));
            if self.min != self.max {
                out.byte(b':');
                out.dec(u64::from(self.max));
            }
        }
    }

    /// Prints ` PROTOCOL echo-request`, or in numbers ` PROTOCOLtype 3 code 1`.
    pub fn list(self, protocol: &str, out: &mut Out, cx: &PrintCx<'_>) {
        out.byte(b' ');
        out.str(protocol);
        let is_it = |(_, kind, min, max): &&Named| (*kind, *min, *max) == (self.kind, self.min, self.max);
        if let Some((name, ..)) = names(cx.family).iter().find(is_it).filter(|_| !cx.numeric) {
            out.str(if self.invert { " !" } else { " " });
            out.str(name);
            return;
        }
        out.str(if self.invert { " !type " } else { "type " });
        out.dec(u64::from(self.kind));
        if self.min == self.max {
            write!(out, " code {}", self.min);
        } else if self.min != 0 || self.max != u8::MAX {
            write!(out, " codes {}-{}", self.min, self.max);
        }
    }

    /// Prints `PROTOCOL type echo-request`; false for a type without a name in nft(8), and for codes.
    pub fn translate(self, protocol: &str, family: Family, out: &mut Out) -> bool {
        let names = match family {
            Family::V4 => NFT_V4_NAMES,
            Family::V6 => NFT_V6_NAMES,
        };
        let Some((_, name)) = names.iter().find(|(kind, _)| *kind == self.kind) else { return false };
        write!(out, "{protocol} type ");
        nft::unless(self.invert, out);
        out.str(name);
        (self.min, self.max) == (0, u8::MAX)
    }

    /// Writes `struct ipt_icmp` or `struct ip6t_icmp`: type, codes, 1 for inverted.
    pub fn blob(self, b: &mut BlobWriter<'_>) {
        b.bytes(&[self.kind, self.min, self.max, u8::from(self.invert)]);
    }

    /// Reads the same.
    pub fn decode(info: &[u8]) -> Option<Self> {
        let [kind, min, max, invert, ..] = *info else { return None };
        Some(Self { kind, min, max, invert: invert != 0 })
    }

    /// The type that a native condition on the first two bytes of the transport header says; `last` is the type that the rule's last match
    /// has said, which a condition on the code completes. `Some((true, …))`: completed.
    pub fn raise(cond: &Cond, last: Option<Self>) -> Option<(bool, Self)> {
        let (Field::Payload { base: NFT_PAYLOAD_TRANSPORT_HEADER, offset, len }, None) = (cond.field, &cond.mask)
        else {
            return None;
        };
        let cmp = match &cond.test {
            Test::Cmp { op: NFT_CMP_EQ, data } => Some((false, data)),
            Test::Cmp { op: NFT_CMP_NEQ, data } => Some((true, data)),
            _ => None,
        };
        let all = Self::NEW;
        match (offset, len) {
            (0, 1) => cmp.and_then(|(invert, data)| Some((false, Self { kind: data.u8()?, invert, ..all }))),
            (0, 2) => cmp.and_then(|(invert, data)| {
                let [kind, code] = data.array()?;
                Some((false, Self { kind, min: code, max: code, invert }))
            }),
            (1, 1) => {
                let last = last.filter(|l| !l.invert)?;
                let (min, max) = match &cond.test {
                    Test::Cmp { op: NFT_CMP_EQ, data } => (data.u8()?, data.u8()?),
                    Test::Cmp { op: NFT_CMP_GTE, data } => (data.u8()?, all.max),
                    Test::Cmp { op: NFT_CMP_LTE, data } => (all.min, data.u8()?),
                    Test::Range { negated: false, from, to } => (from.u8()?, to.u8()?),
                    _ => return None,
                };
                let (min, max) = (last.min.max(min), last.max.min(max));
                (min <= max).then_some((true, Self { min, max, ..last }))
            }
            _ => None,
        }
    }
}

/// The types of IPv4 that nft(8) has names for.
const NFT_V4_NAMES: &[(u8, &str)] = &[
    (0, "echo-reply"),
    (3, "destination-unreachable"),
    (4, "source-quench"),
    (5, "redirect"),
    (8, "echo-request"),
    (9, "router-advertisement"),
    (10, "router-solicitation"),
    (11, "time-exceeded"),
    (12, "parameter-problem"),
    (13, "timestamp-request"),
    (14, "timestamp-reply"),
    (17, "address-mask-request"),
    (18, "address-mask-reply"),
];

/// Those of IPv6; the names that stock does not print are left out.
const NFT_V6_NAMES: &[(u8, &str)] = &[
    (1, "destination-unreachable"),
    (2, "packet-too-big"),
    (3, "time-exceeded"),
    (4, "parameter-problem"),
    (128, "echo-request"),
    (129, "echo-reply"),
    (133, "nd-router-solicit"),
    (134, "nd-router-advert"),
    (135, "nd-neighbor-solicit"),
    (136, "nd-neighbor-advert"),
    (137, "nd-redirect"),
];

/// A numeric type for the tables of examples: every number is one.
pub const EXAMPLES: &[&str] = &["8", "3/1", "0x3/0", "0", "254", "echo-request", "time-exceeded", "ping"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_name_stands_before_its_synonyms() {
        for table in [V4_NAMES, V6_NAMES] {
            for (at, (name, kind, min, max)) in table.iter().enumerate() {
                let first = table.iter().position(|(_, k, a, b)| (k, a, b) == (kind, min, max)).unwrap();
                assert!(first == at || first + 1 == at, "{name}");
            }
        }
    }
}
