//! What `-vv` prints: tables, chains and rules as libnftnl words them, one bracketed line an expression, register contents as host-order words.
//!
//! Source: measured (`iptables -vv`, `nft --debug=netlink`). An expression of another kind is printed by its name alone.

use crate::types::{Family, Hook, Out};
use crate::wire::consts::*;
use crate::wire::msg::{ChainMsg, RuleMsg, TableMsg};
use crate::wire::{DecodeError, Expr, Exprs, Header, Verdict};

/// The names of the tests of `cmp`, by `NFT_CMP_*`.
const CMP: [&str; 6] = ["eq", "neq", "lt", "lte", "gt", "gte"];
/// The names of the bits of `log`, by `NF_LOG_*`.
const LOG_FLAGS: [&str; 6] = ["tcpseq", "tcpopt", "ipopt", "uid", "nflog", "macdecode"];

/// Prints a message of a batch; messages that libnftnl has no form for are left out.
pub fn message(message: &Header<'_>, out: &mut Out) -> Result<(), DecodeError> {
    let (family, attrs) = message.nfgen()?;
    let Some(family) = Family::from_nfproto(family) else { return Ok(()) };
    let word = family_word(family);
    match message.ty & 0xff {
        NFT_MSG_NEWTABLE => {
            out.str("table ");
            out.bytes(TableMsg::decode(attrs)?.name);
            writeln!(out, " {word} flags 0 use 0 handle 0");
        }
        NFT_MSG_NEWCHAIN | NFT_MSG_DELCHAIN => chain(family, ChainMsg::decode(attrs)?.into(), out),
        NFT_MSG_DELRULE if RuleMsg::decode_request(attrs)?.handle == 0 => {
            // A flush: libnftnl is given no family then.
            let flushed = RuleMsg::decode_request(attrs)?;
            out.bytes(flushed.table);
            out.byte(b' ');
            out.bytes(flushed.chain);
            out.str("\n\n");
        }
        NFT_MSG_NEWRULE | NFT_MSG_DELRULE => rule(family, &RuleMsg::decode_request(attrs)?, out),
        _ => {}
    }
    Ok(())
}

/// A chain as libnftnl knows it.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// Table.
    pub table: &'a [u8],
    /// Name.
    pub name: &'a [u8],
    /// Rules in it plus jumps to it.
    pub uses: u32,
    /// Type, hook (`NF_INET_*`), priority and policy of a base chain.
    pub base: Option<(&'a [u8], u32, i32, u32)>,
    /// Packets and bytes of its policy.
    pub counters: (u64, u64),
    /// `NFT_CHAIN_*`.
    pub flags: u32,
}

/// Prints a chain.
pub fn chain(family: Family, chain: Chain<'_>, out: &mut Out) {
    write!(out, "{} ", family_word(family));
    out.bytes(chain.table);
    out.byte(b' ');
    out.bytes(chain.name);
    write!(out, " use {}", chain.uses);
    if let Some((ty, hook, priority, policy)) = chain.base {
        out.str(" type ");
        out.bytes(ty);
        let name = Hook::from_num(hook).map_or("unknown", Hook::chain);
        let policy = if policy == NF_DROP.cast_unsigned() { "drop" } else { "accept" };
        let (packets, bytes) = chain.counters;
        let name = name.to_lowercase();
        write!(out, " hook {name} prio {priority} policy {policy} packets {packets} bytes {bytes}");
    }
    if chain.flags != 0 {
        write!(out, " flags {:x}", chain.flags);
    }
    out.byte(b'\n');
}

impl<'a> From<ChainMsg<'a>> for Chain<'a> {
    fn from(m: ChainMsg<'a>) -> Self {
        let base = m.hook.zip(m.ty);
        Self {
            table: m.table,
            name: m.name,
            uses: m.uses,
            base: base.map(|(h, ty)| (ty, h.num, h.priority, m.policy.unwrap_or(NF_ACCEPT.cast_unsigned()))),
            counters: m.counters.unwrap_or_default(),
            flags: m.flags,
        }
    }
}

/// Prints a rule: its place, then its expressions.
pub fn rule(family: Family, rule: &RuleMsg<'_>, out: &mut Out) {
    write!(out, "{} ", family_word(family));
    out.bytes(rule.table);
    out.byte(b' ');
    out.bytes(rule.chain);
    if rule.handle != 0 {
        write!(out, " {}", rule.handle);
    }
    if let Some(position) = rule.position {
        write!(out, " {position}");
    }
    out.byte(b'\n');
    for expr in Exprs::new(rule.exprs) {
        out.str("  [ ");
        match expr {
            Ok(expr) => expression(&expr, out),
            Err(e) => write!(out, "{e} "),
        }
        out.str("]\n");
    }
    match rule.userdata {
        Some(data) => userdata(data, out),
        None => out.byte(b'\n'),
    }
}

/// Prints userdata: letters, digits and the like as they are, every other byte in hex.
fn userdata(data: &[u8], out: &mut Out) {
    out.str("  userdata = { ");
    for b in data {
        if b.is_ascii_graphic() || *b == b' ' { out.byte(*b) } else { write!(out, "\\x{b:02x}") }
    }
    out.str(" }\n");
}

fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// Prints an expression with a blank behind it.
fn expression(expr: &Expr<'_>, out: &mut Out) {
    match *expr {
        Expr::Meta { key, dreg } => write!(out, "meta load {} => reg {dreg} ", meta_key(key)),
        Expr::MetaSet { key, sreg } => write!(out, "meta set {} with reg {sreg} ", meta_key(key)),
        Expr::Payload { base, offset, len, dreg } => {
            let base = match base {
                NFT_PAYLOAD_LL_HEADER => "link",
                NFT_PAYLOAD_NETWORK_HEADER => "network",
                NFT_PAYLOAD_TRANSPORT_HEADER => "transport",
                _ => "inner",
            };
            write!(out, "payload load {len}b @ {base} header + {offset} => reg {dreg} ");
        }
        Expr::Cmp { op, sreg, data } => {
            write!(out, "cmp {} reg {sreg} ", usize::try_from(op).ok().and_then(|i| CMP.get(i)).unwrap_or(&"?"));
            words(data, out);
        }
        Expr::Bitwise { sreg, dreg, mask, xor, .. } => {
            write!(out, "bitwise reg {dreg} = ( reg {sreg} & ");
            words(mask, out);
            out.str(") ^ ");
            words(xor, out);
        }
        Expr::Range { op, sreg, from, to } => {
            write!(out, "range {} reg {sreg} ", if op == NFT_RANGE_EQ { "eq" } else { "neq" });
            words(from, out);
            words(to, out);
        }
        Expr::Immediate { dreg, data } => {
            write!(out, "immediate reg {dreg} ");
            words(data, out);
        }
        Expr::Verdict(verdict) => {
            out.str("immediate reg 0 ");
            print_verdict(verdict, out);
        }
        Expr::Counter { packets, bytes } => write!(out, "counter pkts {packets} bytes {bytes} "),
        Expr::Limit { rate, unit, burst, ty, flags } => {
            let unit = match unit {
                1 => "second",
                60 => "minute",
                3600 => "hour",
                86_400 => "day",
                604_800 => "week",
                _ => "?",
            };
            let ty = if ty == NFT_LIMIT_PKTS { "packets" } else { "bytes" };
            write!(out, "limit rate {rate}/{unit} burst {burst} type {ty} flags {flags:#x} ");
        }
        Expr::Log { group, prefix, snaplen, qthreshold, level, flags } => {
            out.str("log ");
            if let Some(prefix) = prefix {
                out.str("prefix ");
                out.bytes(prefix);
                out.byte(b' ');
            }
            match (group, level) {
                (Some(group), _) => {
                    let (snaplen, qthreshold) = (snaplen.unwrap_or(0), qthreshold.unwrap_or(0));
                    write!(out, "group {group} snaplen {snaplen} qthreshold {qthreshold} ");
                }
                (None, level) => {
                    write!(out, "level {} ", level.unwrap_or(4));
                    let set = LOG_FLAGS.iter().zip(0..).filter(|(_, bit)| flags.unwrap_or(0) & (1 << bit) != 0);
                    set.for_each(|(name, _)| write!(out, "{name} "));
                }
            }
        }
        Expr::Match { name, revision, .. } => compat("match", name, revision, out),
        Expr::Target { name, revision, .. } => compat("target", name, revision, out),
        Expr::Other { name, .. } => {
            out.bytes(name);
            out.byte(b' ');
        }
    }
}

fn compat(kind: &str, name: &[u8], revision: u32, out: &mut Out) {
    write!(out, "{kind} name ");
    out.bytes(name);
    write!(out, " rev {revision} ");
}

fn print_verdict(verdict: Verdict<'_>, out: &mut Out) {
    let (word, chain) = match verdict {
        Verdict::Accept => ("accept ", None),
        Verdict::Drop => ("drop ", None),
        Verdict::Return => ("return ", None),
        Verdict::Continue => ("continue ", None),
        Verdict::Jump(chain) => ("jump -> ", Some(chain)),
        Verdict::Goto(chain) => ("goto -> ", Some(chain)),
        Verdict::Other(_) => ("unknown ", None),
    };
    out.str(word);
    if let Some(chain) = chain {
        out.bytes(chain);
        out.byte(b' ');
    }
}

/// The data of a register as 32-bit words of the host, the last one filled with zeros.
fn words(data: &[u8], out: &mut Out) {
    for chunk in data.chunks(4) {
        let mut word = [0u8; 4];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        write!(out, "0x{:08x} ", u32::from_ne_bytes(word));
    }
}

/// The names of `meta`'s keys, by `NFT_META_*`.
const META: [&str; 35] = [
    "len",
    "protocol",
    "priority",
    "mark",
    "iif",
    "oif",
    "iifname",
    "oifname",
    "iiftype",
    "oiftype",
    "skuid",
    "skgid",
    "nftrace",
    "rtclassid",
    "secmark",
    "nfproto",
    "l4proto",
    "bri_iifname",
    "bri_oifname",
    "pkttype",
    "cpu",
    "iifgroup",
    "oifgroup",
    "cgroup",
    "prandom",
    "secpath",
    "iifkind",
    "oifkind",
    "bri_iifpvid",
    "bri_iifvproto",
    "time",
    "day",
    "hour",
    "sdif",
    "sdifname",
];

fn meta_key(key: u32) -> &'static str {
    usize::try_from(key).ok().and_then(|i| META.get(i)).unwrap_or(&"unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Attrs, ExprWriter, Writer};

    #[test]
    fn a_rule_as_libnftnl_prints_it() {
        let mut w = Writer::new();
        let list = w.nest(NFTA_RULE_EXPRESSIONS);
        let mut x = ExprWriter::new(&mut w);
        x.meta(NFT_META_IIFNAME);
        x.cmp_eq(false, b"lo\0");
        x.payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4);
        x.mask(&[255, 255, 255, 254]);
        x.range(true, &[0, 5], &[0, 9]);
        x.counter(0, 0);
        x.verdict(Verdict::Jump(b"foo"));
        w.close(list);
        let exprs = Attrs::new(w.as_bytes()).next().unwrap().unwrap().payload;
        let msg = RuleMsg { table: b"filter", chain: b"INPUT", handle: 3, position: Some(2), exprs, userdata: None };
        let mut out = Out::new();
        rule(Family::V4, &msg, &mut out);
        let expected = "ip filter INPUT 3 2\n  [ meta load iifname => reg 1 ]\n  [ cmp eq reg 1 0x00006f6c ]\n  \
             [ payload load 4b @ network header + 12 => reg 1 ]\n  \
             [ bitwise reg 1 = ( reg 1 & 0xfeffffff ) ^ 0x00000000 ]\n  [ range neq reg 1 0x00000500 0x00000900 ]\n  \
             [ counter pkts 0 bytes 0 ]\n  [ immediate reg 0 jump -> foo ]\n\n";
        assert_eq!(String::from_utf8_lossy(out.as_bytes()), expected);
    }
}
