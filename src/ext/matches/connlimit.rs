//! `-m connlimit`: how many connections a host or network has.
//!
//! # Matches
//! Packets whose source (destination) network has more than, or at most, so many connections that have come to this rule and still exist, the
//! packet's own included. A packet of which conntrack can make no connection is dropped at once.
//! # Options
//! `[!] --connlimit-upto N`, `[!] --connlimit-above N` (one of them; each is the other one inverted), `--connlimit-mask PREFIX`, by default the
//! whole address, `--connlimit-saddr` (the default) or `--connlimit-daddr`.
//! # Wire
//! xt `connlimit` revision 1: `struct xt_connlimit_info { union nf_inet_addr mask; u32 limit, flags; void *data; }`, host order but for the mask,
//! 32 bytes. Of IPv4, a mask that was given fills the first 4 bytes, the default all 16.
//! Native: none, because the counters of nf_tables are kept by a named set of the table, and not by conntrack zone.
//! # Evaluates
//! Known if the connection is a new one and the limit 0, or if fewer connections have come to the rule than the limit; else Unknown, for nothing
//! tells which of them still exist.
//! # Differs
//! A mask that is no prefix (`255.0.255.0`; `33`, which is 0.0.0.33) is refused: stock makes the whole address of it. `-C` and `-D` find a rule
//! without `--connlimit-mask` by what `-S` prints of it, with `--connlimit-mask 32`; stock does not. `iptables-translate` has no translation, for
//! it needs a set beside the rule, and stock's is not of the right type in IPv6.
//! # Sources
//! iptables-extensions(8) "connlimit"; `linux/netfilter/xt_connlimit.h`.

use crate::ext::options::{Given, Kind, Opt, UsageError, bit};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec, resolve};
use crate::packet::env::Env;
use crate::packet::{CtState, CtTuple, Packet};
use crate::types::{Family, Out, Tri, prefix_mask};
use crate::usage;
use crate::wire::BlobWriter;
use std::collections::HashSet;
use std::net::IpAddr;

/// A number of connections, and whose.
#[derive(Clone, Debug)]
pub struct ConnLimit {
    limit: u32,
    /// At most so many, instead of more.
    upto: bool,
    /// By destination, instead of by source.
    dest: bool,
    /// Length of the prefix in bits.
    prefix: u8,
    /// The mask's bytes behind an IPv4 address are ones, as in the default.
    long: bool,
}

/// What the bytes behind the mask are makes no difference to anything.
impl PartialEq for ConnLimit {
    fn eq(&self, other: &Self) -> bool {
        let key = |l: &Self| (l.limit, l.upto, l.dest, l.prefix);
        key(self) == key(other)
    }
}

impl Eq for ConnLimit {}

const UPTO: u8 = 0;
const ABOVE: u8 = 1;
const MASK: u8 = 2;
const SADDR: u8 = 3;
const DADDR: u8 = 4;

// XT_CONNLIMIT_* (xt_connlimit.h).
const FLAG_INVERT: u32 = 1;
const FLAG_DADDR: u32 = 2;

const LIMIT: Kind = Kind::Number { min: 0, max: u32::MAX as u64 };

const OPTIONS: &[Opt] = &[
    Opt::value("connlimit-upto", UPTO, LIMIT, "n", "at most n connections")
        .invertible()
        .excluding(bit(ABOVE))
        .examples(&["0", "1", "5", "100", "0x10", "4294967295"]),
    Opt::value("connlimit-above", ABOVE, LIMIT, "n", "more than n connections").invertible().examples(&[
        "0",
        "2",
        "16",
        "1000",
        "010",
        "4294967294",
    ]),
    Opt::value("connlimit-mask", MASK, Kind::Raw, "n", "length of the prefix of the networks that are counted")
        .examples(&[
            "0",
            "1",
            "8",
            "13",
            "24",
            "31",
            "32",
            "0x18",
            "v4:255.255.240.0",
            "v6:33",
            "v6:64",
            "v6:128",
            "v6:ffff:ff80::",
        ]),
    Opt::flag("connlimit-saddr", SADDR, "count by source address (the default)").excluding(bit(DADDR)),
    Opt::flag("connlimit-daddr", DADDR, "count by destination address"),
];

impl Extension for ConnLimit {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        stateful: true,
        ..Spec::new("connlimit", 1, "matches the number of connections of a host or network")
    };

    fn new(family: Family) -> Self {
        Self { limit: 0, upto: false, dest: false, prefix: family.addr_bits(), long: true }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            UPTO | ABOVE => (self.limit, self.upto) = (given.u32(), (given.id() == UPTO) != given.negated),
            MASK => {
                self.prefix = prefix(given.bytes(), cx.family).ok_or_else(|| {
                    let bits = cx.family.addr_bits();
                    usage!(
                        "connlimit: bad value for option \"--connlimit-mask\", neither a valid network mask nor valid CIDR (0-{bits}).\n"
                    )
                })?;
                self.long = false;
            }
            DADDR => self.dest = true,
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match seen & (bit(UPTO) | bit(ABOVE)) {
            0 => Err(usage!("You must specify \"--connlimit-above\" or \"--connlimit-upto\".")),
            _ => Ok(()),
        }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        let (comparison, side) = (if self.upto { "upto" } else { "above" }, if self.dest { "daddr" } else { "saddr" });
        let (limit, prefix) = (self.limit, self.prefix);
        write!(out, " --connlimit-{comparison} {limit} --connlimit-mask {prefix} --connlimit-{side}");
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        let (side, comparison) = (if self.dest { "dst" } else { "src" }, if self.upto { "<=" } else { ">" });
        write!(out, " #conn {side}/{} {comparison} {}", self.prefix, self.limit);
    }

    fn blob(&self, family: Family, b: &mut BlobWriter<'_>) {
        let mask = match prefix_mask(family, self.prefix) {
            IpAddr::V4(mask) => mask.octets().to_vec(),
            IpAddr::V6(mask) => mask.octets().to_vec(),
        };
        let whole = self.long && self.prefix == family.addr_bits();
        b.bytes(&mask);
        b.bytes([if whole { 0xff } else { 0 }; 16].get(mask.len()..).unwrap_or_default());
        b.u32(self.limit);
        b.u32(if self.upto { FLAG_INVERT } else { 0 } | if self.dest { FLAG_DADDR } else { 0 });
        b.zeros(8);
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let (mask, rest) = info.split_first_chunk::<16>()?;
        let (limit, rest) = rest.split_first_chunk::<4>()?;
        let flags = u32::from_ne_bytes(*rest.first_chunk()?);
        let ones = mask.get(..usize::from(family.addr_bits() / 8))?.iter().map(|b| b.leading_ones()).sum::<u32>();
        Some(Self {
            limit: u32::from_ne_bytes(*limit),
            upto: flags & FLAG_INVERT != 0,
            dest: flags & FLAG_DADDR != 0,
            prefix: u8::try_from(ones).ok()?,
            long: mask == &[0xff; 16],
        })
    }

    fn scrub(info: &mut [u8]) {
        // The kernel's own pointer.
        info.get_mut(24..).unwrap_or_default().fill(0);
    }
}

/// A prefix length, or an address that is the mask of one.
fn prefix(text: &[u8], family: Family) -> Option<u8> {
    let bits = family.addr_bits();
    if let Some(len) = crate::ext::options::number(text, 0, u64::from(bits)) {
        return u8::try_from(len).ok();
    }
    let mask = resolve::numeric(text, family)?;
    (0..=bits).find(|len| prefix_mask(family, *len) == mask)
}

impl MatchExt for ConnLimit {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let ct = packet.meta.ct.as_ref();
        let tuple = ct.and_then(|ct| ct.entry.as_ref()).map(|entry| entry.original).or_else(|| tuple(packet));
        let Some(tuple) = tuple else {
            env.hotdrop = true;
            return Tri::False;
        };
        let addr = if self.dest { packet.dst() } else { packet.src() };
        let network = match (addr, prefix_mask(packet.family(), self.prefix)) {
            (IpAddr::V4(addr), IpAddr::V4(mask)) => u128::from(addr.to_bits() & mask.to_bits()),
            (IpAddr::V6(addr), IpAddr::V6(mask)) => addr.to_bits() & mask.to_bits(),
            _ => 0,
        };
        let key = [&env.place.key()[..], &network.to_ne_bytes()].concat();
        let seen = env.state.cell::<HashSet<CtTuple>>("connlimit", &key);
        seen.insert(tuple);
        let least = u32::from(ct.is_some_and(|ct| ct.state == CtState::New));
        let most = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        let above = match self.limit {
            limit if least > limit => Tri::True,
            limit if most <= limit => Tri::False,
            _ => Tri::Unknown,
        };
        above.xor(self.upto)
    }
}

/// The connection that conntrack makes of a packet that it does not know.
fn tuple(packet: &Packet) -> Option<CtTuple> {
    let protocol = packet.protocol()?;
    let (src_port, dst_port) = match protocol {
        6 | 17 | 33 | 132 | 136 => packet.ports()?,
        1 | 58 => packet
            .transport()?
            .first_chunk()
            .map(|[kind, code, _, _, a, b]| (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*kind, *code])))?,
        _ => (0, 0),
    };
    Some(CtTuple { src: packet.src(), dst: packet.dst(), protocol, src_port, dst_port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{entry, error, raised_text, read, row, with_env};
    use crate::packet::build::{Ipv4, Raw, Udp};
    use crate::packet::env::UnknownHost;
    use crate::types::Family::{V4, V6};
    use crate::types::Hook;

    fn ones(bytes: usize) -> String {
        format!("{:0<32}", "ff".repeat(bytes))
    }

    #[test]
    fn what_stock_writes_and_prints() {
        let one = |family, args: &str, save: &str, list: &str, mask: &str, limit: &str, flags: u8| {
            let wire = format!("match connlimit 1 {mask}{limit}0{flags}000000{}", "0".repeat(16));
            let line = format!("connlimit {args}");
            row(family, None, &line, &format!(" --connlimit-{save}"), &format!(" #conn {list}"), &wire);
        };
        let full = ones(16);
        let above = "above 5 --connlimit-mask 32 --connlimit-saddr";
        one(V4, "--connlimit-above 5", above, "src/32 > 5", &full, "05000000", 0);
        one(V4, "! --connlimit-upto 5 --connlimit-saddr", above, "src/32 > 5", &full, "05000000", 0);
        one(V4, "--connlimit-above 5 --connlimit-mask 32", above, "src/32 > 5", &ones(4), "05000000", 0);
        let upto = "upto 16 --connlimit-mask 24 --connlimit-daddr";
        let args = "! --connlimit-above 0x10 --connlimit-mask 255.255.255.0 --connlimit-daddr";
        one(V4, args, upto, "dst/24 <= 16", &ones(3), "10000000", 3);
        let upto = "upto 4294967295 --connlimit-mask 0 --connlimit-saddr";
        one(V4, "--connlimit-upto 4294967295 --connlimit-mask 0", upto, "src/0 <= 4294967295", &ones(0), "ffffffff", 1);
        let above = "above 5 --connlimit-mask 128 --connlimit-saddr";
        one(V6, "--connlimit-above 5", above, "src/128 > 5", &full, "05000000", 0);
        one(V6, "--connlimit-above 5 --connlimit-mask 128", above, "src/128 > 5", &full, "05000000", 0);
        let above = "above 5 --connlimit-mask 33 --connlimit-saddr";
        let mask = format!("{:0<32}", "ffffffff80");
        one(V6, "--connlimit-above 5 --connlimit-mask 33", above, "src/33 > 5", &mask, "05000000", 0);
    }

    #[test]
    fn what_is_written_without_a_mask_is_found_with_it() {
        let value = |args: &str| read(V4, None, &format!("connlimit --connlimit-above 5{args}")).unwrap().ext;
        assert_eq!(value(""), value(" --connlimit-mask 32 --connlimit-saddr"));
        assert_ne!(value(""), value(" --connlimit-mask 31"));
        let odd = |mask: [u8; 16]| {
            raised_text(V4, None, |x| {
                x.xt_match("connlimit", 1, |b| {
                    b.bytes(&mask);
                    b.zeros(16);
                });
            })
        };
        assert_eq!(odd([0; 16]), " -m connlimit --connlimit-above 0 --connlimit-mask 0 --connlimit-saddr");
        assert_eq!(odd([0xff, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "opaque");
        assert_eq!(odd([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "opaque");
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let mask = |bits: u8| {
            format!(
                "connlimit: bad value for option \"--connlimit-mask\", neither a valid network mask nor valid CIDR (0-{bits}).\n"
            )
        };
        let neither = "You must specify \"--connlimit-above\" or \"--connlimit-upto\".";
        let together = |a: &str, b: &str| {
            format!("connlimit: option \"--connlimit-{a}\" cannot be used together with \"--connlimit-{b}\".\n")
        };
        for (args, text) in [
            ("", neither.to_owned()),
            (" --connlimit-daddr --connlimit-mask 3", neither.to_owned()),
            (" --connlimit-above 1 --connlimit-upto 1", together("upto", "above")),
            (" --connlimit-above 1 --connlimit-daddr --connlimit-saddr", together("saddr", "daddr")),
            (" --connlimit-mask 33", mask(32)),
            (" --connlimit-mask 255.0.255.0", mask(32)),
            (" --connlimit-mask x", mask(32)),
            (" --connlimit-mask ", mask(32)),
            (
                " --connlimit-above -1",
                "connlimit: bad value for option \"--connlimit-above\", or out of range (0-4294967295).\n".to_owned(),
            ),
        ] {
            assert_eq!(error(V4, None, &format!("connlimit{args}")), text, "{args}");
        }
        assert_eq!(error(V6, None, "connlimit --connlimit-mask 129"), mask(128));
    }

    #[test]
    fn packets() {
        let from = |last: u8, port: u16| {
            let mut packet =
                Ipv4 { src: [192, 0, 2, last].into(), ..Ipv4::default() } / Udp { src_port: port, ..Udp::default() };
            packet.meta.ct = Some(entry(|e| {
                (e.original.src, e.original.src_port) = (packet.src(), port);
            }));
            packet
        };
        let rule = |args: &str| read(V4, None, &format!("connlimit {args}")).unwrap().ext;
        with_env(Hook::Input, &UnknownHost, |env| {
            let two = rule("--connlimit-above 2");
            let expected =
                [(1, 1, Tri::False), (1, 2, Tri::False), (2, 3, Tri::False), (1, 1, Tri::False), (1, 4, Tri::Unknown)];
            for (last, port, expected) in expected {
                assert_eq!(two.eval(&from(last, port), env), expected, "{last} {port}");
            }
            env.place.part = 1;
            let network = rule("--connlimit-upto 1 --connlimit-mask 24");
            assert_eq!(network.eval(&from(1, 1), env), Tri::True);
            assert_eq!(network.eval(&from(2, 1), env), Tri::Unknown);
            env.place.part = 2;
            assert_eq!(rule("--connlimit-above 0").eval(&from(1, 1), env), Tri::True);
        });
        let cut = Ipv4::default() / Raw { protocol: 6, payload: vec![0; 3] };
        assert_eq!(read(V4, None, "connlimit --connlimit-above 2").unwrap().judge(&cut), (Tri::False, true));
    }
}
