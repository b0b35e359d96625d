//! `-m set`: whether a packet is in a set of ipset.
//!
//! # Matches
//! Packets whose addresses, ports, … (the sides say whose) are an entry of the set; with counters, whose entry has seen as much.
//! # Options
//! `[!] --match-set NAME src|dst,…` (also `--set`, deprecated), `--return-nomatch`, `! --update-counters`, `! --update-subcounters`, one of
//! `[!] --packets-eq`, `--packets-lt`, `--packets-gt N`, one of `[!] --bytes-eq`, `--bytes-lt`, `--bytes-gt N`.
//! # Wire
//! xt `set` revision 4, `struct xt_set_info_match_v4` (48 bytes, host order). Native: none, because nf_tables does not look into an ipset.
//! # Evaluates
//! Unknown: the set's entries are the kernel's.
//! # Differs
//! A name with white space in it is printed in quotes by `-S`.
//! # Sources
//! iptables-extensions(8) "set"; `linux/netfilter/xt_set.h`, `linux/netfilter/ipset/ip_set.h`; fact sheet 3.4; observed with stock 1.8.9.

use crate::ext::options::{Given, Kind, Opt, UsageError, number, usage_bytes};
use crate::ext::set_use::SetUse;
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::BlobWriter;
use std::borrow::Cow;

/// A set, and what its entry's counters must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Set {
    /// `None` until it is read.
    set: Option<SetUse>,
    invert: bool,
    /// `IPSET_FLAG_*`.
    flags: u32,
    packets: Counter,
    bytes: Counter,
}

/// `struct ip_set_counter_match`: the operation is an index into [`OPERATIONS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Counter {
    op: u8,
    value: u64,
}

/// By their numbers in the kernel (`IPSET_COUNTER_*`); "ne" is said as `! … eq`.
const OPERATIONS: [&str; 5] = ["", "eq", "eq", "lt", "gt"];
const EQ: u8 = 1;
const NE: u8 = 2;

const SKIP_COUNTERS: u32 = 1 << 3;
const SKIP_SUBCOUNTERS: u32 = 1 << 4;
const RETURN_NOMATCH: u32 = 1 << 7;

const MATCH_SET: u8 = 0;
const NOMATCH: u8 = 1;
const UPDATE: u8 = 2;
const UPDATE_SUB: u8 = 3;
const PACKETS_EQ: u8 = 4;
const PACKETS_LT: u8 = 5;
const PACKETS_GT: u8 = 6;
const BYTES_EQ: u8 = 7;
const BYTES_LT: u8 = 8;
const BYTES_GT: u8 = 9;

/// Sets of these names are made by the lab.
const SETS: &[&str] = &[
    "v4:lab4 src",
    "v4:lab4 dst",
    "v6:lab6 src",
    "v4:labp4 src,dst",
    "v6:labp6 dst,dst",
    "v4:labp4 src,src,dst",
    "lablist dst",
];
const NUMBERS: &[&str] = &["0", "5", "0x10", "18446744073709551615"];

const fn many(opt: Opt) -> Opt {
    Opt { many: true, ..opt }
}

const OPTIONS: &[Opt] = &[
    Opt::value(
        "match-set",
        MATCH_SET,
        Kind::Pair,
        "name flags",
        "the set, and the sides to look up: src or dst, with commas",
    )
    .invertible()
    .mandatory()
    .examples(SETS),
    Opt::value("set", MATCH_SET, Kind::Pair, "name flags", "the same as --match-set (deprecated)")
        .invertible()
        .examples(SETS),
    many(Opt::flag("return-nomatch", NOMATCH, "an entry marked nomatch counts as one that matches")),
    many(Opt::flag("update-counters", UPDATE, "with `!` in front: leave the counters of the entry alone").invertible()),
    many(Opt::flag("update-subcounters", UPDATE_SUB, "the same for the counters of a set in a list:set").invertible()),
    Opt::value("packets-eq", PACKETS_EQ, Kind::Raw, "value", "the entry has seen so many packets")
        .invertible()
        .examples(NUMBERS),
    Opt::value("packets-lt", PACKETS_LT, Kind::Raw, "value", "the entry has seen fewer packets").examples(NUMBERS),
    Opt::value("packets-gt", PACKETS_GT, Kind::Raw, "value", "the entry has seen more packets").examples(NUMBERS),
    Opt::value("bytes-eq", BYTES_EQ, Kind::Raw, "value", "the entry has seen so many bytes")
        .invertible()
        .examples(NUMBERS),
    Opt::value("bytes-lt", BYTES_LT, Kind::Raw, "value", "the entry has seen fewer bytes").examples(NUMBERS),
    Opt::value("bytes-gt", BYTES_GT, Kind::Raw, "value", "the entry has seen more bytes").examples(NUMBERS),
];

impl Extension for Set {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        own_checks: true,
        stateful: true,
        ..Spec::new("set", 4, "matches packets that are in a set of ipset")
    };

    fn new(_: Family) -> Self {
        Self { set: None, invert: false, flags: 0, packets: Counter::default(), bytes: Counter::default() }
    }

    fn warning(given: &Given<'_>, _: &ParseCx<'_>) -> Option<Cow<'static, str>> {
        (given.opt.name == "set").then_some("--set option deprecated, please use --match-set".into())
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            MATCH_SET if self.set.is_some() => return Err(usage!("--match-set can be specified only once")),
            MATCH_SET => {
                self.set = Some(SetUse::read(given, "match-set", cx)?);
                self.invert = given.negated;
            }
            NOMATCH if given.negated => return Err(usage!("--return-nomatch flag cannot be inverted")),
            NOMATCH => self.flags |= RETURN_NOMATCH,
            UPDATE if given.negated => self.flags |= SKIP_COUNTERS,
            UPDATE_SUB if given.negated => self.flags |= SKIP_SUBCOUNTERS,
            UPDATE | UPDATE_SUB => {}
            id => {
                let (word, counter, op) = match id {
                    PACKETS_EQ | PACKETS_LT | PACKETS_GT => ("packets", &mut self.packets, id - PACKETS_EQ),
                    _ => ("bytes", &mut self.bytes, id.saturating_sub(BYTES_EQ)),
                };
                if counter.op != 0 {
                    return Err(usage!("only one of the --{word}-[eq|lt|gt] is allowed"));
                }
                if given.negated && op != 0 {
                    return Err(usage!("--{} option cannot be inverted", given.opt.name));
                }
                let value = number(given.bytes(), 0, u64::MAX)
                    .ok_or_else(|| usage_bytes("Cannot parse ", given.bytes(), " as a counter value"))?;
                let op = match (op, given.negated) {
                    (0, false) => EQ,
                    (0, true) => NE,
                    (other, _) => other + NE,
                };
                *counter = Counter { op, value };
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if self.set.is_none() {
            return Err(usage!("You must specify `--match-set' with proper arguments"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.print(out, cx, "--");
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.print(out, cx, "");
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        SetUse::blob(self.set.as_ref(), self.invert, b);
        b.align(8);
        for counter in [self.packets, self.bytes] {
            b.u64(counter.value);
            b.u8(counter.op);
            b.align(8);
        }
        b.u32(self.flags);
        b.align(8);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let (set, invert) = SetUse::decode(*info.first_chunk()?)?;
        let counter = |at: usize| {
            let (value, rest) = info.get(at..)?.split_first_chunk()?;
            let op = *rest.first()?;
            let value = u64::from_ne_bytes(*value);
            (usize::from(op) < OPERATIONS.len() && (op != 0 || value == 0)).then_some(Counter { op, value })
        };
        let flags = u32::from_ne_bytes(*info.get(40..)?.first_chunk()?);
        let known = flags & !(SKIP_COUNTERS | SKIP_SUBCOUNTERS | RETURN_NOMATCH) == 0;
        (set.is_some() && known).then_some(Self { set, invert, flags, packets: counter(8)?, bytes: counter(24)? })
    }
}

impl Set {
    fn print(&self, out: &mut Out, cx: &PrintCx<'_>, dashes: &str) {
        out.str(if self.invert { " ! " } else { " " });
        out.str(dashes);
        out.str("match-set");
        if let Some(set) = &self.set {
            set.print(out, cx);
        }
        for (flag, before, word) in [
            (RETURN_NOMATCH, " ", "return-nomatch"),
            (SKIP_COUNTERS, " ! ", "update-counters"),
            (SKIP_SUBCOUNTERS, " ! ", "update-subcounters"),
        ] {
            if self.flags & flag != 0 {
                write!(out, "{before}{dashes}{word}");
            }
        }
        for (word, counter) in [("packets", self.packets), ("bytes", self.bytes)] {
            let Some(op) = OPERATIONS.get(usize::from(counter.op)).filter(|op| !op.is_empty()) else { continue };
            let before = if counter.op == NE { " ! " } else { " " };
            write!(out, "{before}{dashes}{word}-{op} {}", counter.value);
        }
    }
}

impl MatchExt for Set {
    fn eval(&self, _: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row};
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        let both = |line: &str, said: &str, wire: &str| {
            let list = said.replace("--", "");
            row(V4, None, &format!("set {line}"), said, &list, &format!("match set 4 {wire}"));
        };
        both("--match-set s4 src", " --match-set s4 src", &format!("00000102{}", "00".repeat(44)));
        both("! --match-set s4 src,dst", " ! --match-set s4 src,dst", &format!("00000203{}", "00".repeat(44)));
        both(
            "--return-nomatch --match-set s4 dst --update-counters",
            " --match-set s4 dst --return-nomatch",
            &format!("00000100{}8000000000000000", "00".repeat(36)),
        );
        both(
            "--match-set s4 src ! --update-counters ! --update-subcounters --packets-gt 5 --bytes-lt 100",
            " --match-set s4 src ! --update-counters ! --update-subcounters --packets-gt 5 --bytes-lt 100",
            "000001020000000005000000000000000400000000000000640000000000000003000000000000001800000000000000",
        );
        both(
            "--match-set s4 src ! --bytes-eq 3 ! --packets-eq 0x5",
            " --match-set s4 src ! --packets-eq 5 ! --bytes-eq 3",
            &format!(
                "0000010200000000050000000000000002000000000000000300000000000000020000000000000{}",
                "0".repeat(17)
            ),
        );
        let list = format!("match set 4 08000102{}", "00".repeat(44));
        row(V6, None, "set --match-set list src", " --match-set list src", " match-set list src", &list);
        let warned = read(V4, None, "set --set s4 src").unwrap();
        assert_eq!(warned.warnings, ["--set option deprecated, please use --match-set"]);
        assert_eq!(warned.save(), " --match-set s4 src");
        assert_eq!(warned.matches(&(Ipv4::default() / Udp::default())), Tri::Unknown);
    }

    #[test]
    fn what_stock_refuses() {
        let sides = "You must spefify (the comma separated list of) 'src' or 'dst'.";
        let long = "x".repeat(32);
        for (line, text) in [
            ("", "You must specify `--match-set' with proper arguments"),
            (" --packets-eq 5", "You must specify `--match-set' with proper arguments"),
            (" --match-set s4", "--match-set requires two args."),
            (" --match-set s4 ! src", "--match-set requires two args."),
            (" --match-set nosuch foo", "Set nosuch doesn't exist.\n"),
            (" --match-set s4 src,", sides),
            (" --match-set s4 SRC", sides),
            (" --match-set s4 src,src,src,dst,src,src,src", "Can't be more src/dst options than 6."),
            (" --match-set s6 src", "The protocol family of set s6 is IPv6, which is not applicable.\n"),
            (&format!(" --match-set {long} src"), &format!("setname `{long}' too long, max 31 characters.")),
            (" --match-set s4 src --set s4", "--match-set can be specified only once"),
            (" ! --return-nomatch", "--return-nomatch flag cannot be inverted"),
            (" ! --bytes-gt 5", "--bytes-gt option cannot be inverted"),
            (" --bytes-gt 5x", "Cannot parse 5x as a counter value"),
            (" --packets-eq 5 --packets-lt 5", "only one of the --packets-[eq|lt|gt] is allowed"),
        ] {
            assert_eq!(error(V4, None, &format!("set{line}")), text, "{line}");
        }
    }

    #[test]
    fn what_other_programs_wrote() {
        let text = |head: [u8; 4], op: u8, value: u8, flags: u8| {
            let mut info = [0; 48];
            info[..4].copy_from_slice(&head);
            (info[8], info[16], info[40]) = (value, op, flags);
            raised_text(V4, None, |x| x.xt_match("set", 4, |b| b.bytes(&info)))
        };
        // No name can be asked for here.
        assert_eq!(text([5, 0, 1, 2], 0, 0, 0), " -m set --match-set [5] src");
        for (head, op, value, flags) in [
            ([5, 0, 0, 0], 0, 0, 0),
            ([5, 0, 7, 0], 0, 0, 0),
            ([5, 0, 1, 4], 0, 0, 0),
            ([0xff, 0xff, 0, 0], 0, 0, 0),
            ([5, 0, 1, 2], 5, 0, 0),
            ([5, 0, 1, 2], 0, 1, 0),
            ([5, 0, 1, 2], 0, 0, 1),
        ] {
            assert_eq!(text(head, op, value, flags), "opaque", "{head:?} {op} {value} {flags}");
        }
    }
}
