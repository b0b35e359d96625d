//! `-m hashlimit`: a token bucket for each address, or each pair, or each connection.
//!
//! # Matches
//! `--hashlimit-upto` matches while a flow has tokens, `--hashlimit-above` while it has none. What a flow is, `--hashlimit-mode` says; without
//! it there is one for all packets. With `--hashlimit-rate-match` nothing is taken: the rate of the last interval is compared.
//! # Options
//! `[!] --hashlimit-upto RATE` (also `--hashlimit`) or `[!] --hashlimit-above RATE`, a rate being `N[/second|/minute|/hour|/day]` or
//! `N[k|m]b/s`; `--hashlimit-burst N[k|m]` (default 5 packets), `--hashlimit-mode srcip,dstip,srcport,dstport`, `--hashlimit-name NAME`,
//! `--hashlimit-srcmask`, `--hashlimit-dstmask LENGTH`, `--hashlimit-htable-size`, `-max`, `-expire`, `-gcinterval N` (the last two in
//! milliseconds), `--hashlimit-rate-match`, `--hashlimit-rate-interval SECONDS`.
//! # Wire
//! xt `hashlimit` revision 3, `struct xt_hashlimit_mtinfo3` (312 bytes, host order, a pointer at the end). Native: none, because the buckets are
//! shared by all rules with that name, are shown and cleared in `/proc/net/ipt_hashlimit`, and count bytes in steps of 16.
//! # Evaluates
//! Always known, from the clock and what was evaluated before, but for the ports of an IPv6 fragment that is not the first. Rules of one name
//! share their buckets, and the first one's settings hold. The kernel counts time in jiffies; here it is continuous.
//! # Differs
//! A rate below 16 bytes a second is printed by `-S` as `1b/s`, where stock prints `0b/s`, which it does not read back; with a burst it is
//! refused, where stock is killed by its division by 0. A burst in bytes is printed in a unit that says it: stock cuts 2047kb down to 1mb.
//! Rates and bursts beyond 32 bits are refused, where stock takes what is left of them. A name with white space in it is printed in quotes.
//! No translation where stock's does not load (`(null)`, a rate of 0) or means something else: ports without `-p tcp`.
//! # Sources
//! iptables-extensions(8) "hashlimit"; `linux/netfilter/xt_hashlimit.h`; fact sheet 3.4; observed with stock 1.8.9.

use super::hashlimit_rate::{self as rates, BYTE_SHIFT, Rate, SCALE};
use crate::ext::options::{Given, Kind, Opt, UsageError, bit, number, usage_bytes};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec, resolve};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Network, Out, Tri, prefix_mask};
use crate::usage;
use crate::wire::BlobWriter;
use std::collections::HashMap;
use std::net::IpAddr;

/// A rate, a burst, and what a flow is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HashLimit {
    /// 1 to 254 bytes without NUL.
    name: Box<[u8]>,
    /// 1/1000000 seconds for a packet, or the cost of 16 bytes; with `RATE_MATCH` a packet's share of the interval, as if that were a second.
    avg: u64,
    /// In packets, or in seconds' worth of bytes; 0: none.
    burst: u64,
    /// `XT_HASHLIMIT_*`.
    mode: u32,
    /// Buckets and flows; 0: the kernel's choice.
    size: u32,
    max: u32,
    gc_interval_ms: u32,
    expire_ms: u32,
    /// In seconds; 0 where it was not given and is not used.
    interval: u32,
    /// Prefix lengths.
    src_len: u8,
    dst_len: u8,
    /// Seconds in the unit of the rate, while options are read.
    unit: u32,
}

const DIP: u32 = 1;
const DPT: u32 = 1 << 1;
const SIP: u32 = 1 << 2;
const SPT: u32 = 1 << 3;
const INVERT: u32 = 1 << 4;
const BYTES: u32 = 1 << 5;
const RATE_MATCH: u32 = 1 << 6;

/// The parts of a flow in the order of printing; in nft's words the order is that of the bits.
const MODES: [(&str, u32); 4] = [("srcip", SIP), ("srcport", SPT), ("dstip", DIP), ("dstport", DPT)];

const DEFAULT_BURST: u64 = 5;
const MAX_BURST: u64 = 1_000_000;
const DEFAULT_GC_MS: u32 = 1000;
/// Milliseconds after which an idle flow of bytes is forgotten, without and with a burst.
const BYTE_EXPIRE_MS: u32 = 15_000;
const BYTE_EXPIRE_BURST_MS: u32 = 60_000;
/// The name and its NUL (`NAME_MAX`).
const NAME_SIZE: usize = 255;
/// Where the fields behind the name stand in the struct, and where the kernel's own begin.
const FIELDS_AT: usize = 256;
const PRIVATE_AT: usize = 298;

const UPTO: u8 = 0;
const ABOVE: u8 = 1;
const BURST: u8 = 2;
const MODE: u8 = 3;
const NAME: u8 = 4;
const SRCMASK: u8 = 5;
const DSTMASK: u8 = 6;
const SIZE: u8 = 7;
const MAX: u8 = 8;
const EXPIRE: u8 = 9;
const GC: u8 = 10;
const MATCH: u8 = 11;
const INTERVAL: u8 = 12;

const U32: Kind = Kind::Number { min: 0, max: u32::MAX as u64 };
const RATES: &[&str] = &[
    "5",
    "5/sec",
    "10/s",
    "100/minute",
    "7/hour",
    "20/day",
    "120/min",
    "300/s",
    "77777/day",
    "1kb/s",
    "512kb/s",
    "3mb/s",
    "100b/s",
    "1536kb/s",
    "1000000/s",
    "999/min",
];

const OPTIONS: &[Opt] = &[
    Opt::value("hashlimit-upto", UPTO, Kind::Raw, "rate", "matches flows while they keep to this rate")
        .invertible()
        .excluding(bit(ABOVE))
        .examples(RATES),
    Opt::value("hashlimit-above", ABOVE, Kind::Raw, "rate", "matches flows while they are faster than this rate")
        .invertible()
        .excluding(bit(UPTO))
        .examples(RATES),
    Opt::value("hashlimit", UPTO, Kind::Raw, "rate", "the same as --hashlimit-upto").invertible().examples(RATES),
    Opt::value(
        "hashlimit-srcmask",
        SRCMASK,
        Kind::Raw,
        "length",
        "source addresses with as many bits in common are one",
    )
    .examples(&["0", "8", "24", "32", "v6:64", "v6:128"]),
    Opt::value("hashlimit-dstmask", DSTMASK, Kind::Raw, "length", "the same for destination addresses").examples(&[
        "0",
        "9",
        "24",
        "32",
        "v4:255.255.0.0",
        "v6:48",
        "v6:128",
    ]),
    Opt::value("hashlimit-burst", BURST, Kind::Raw, "number", "what a flow may send at first; 5 packets if not given")
        .examples(&["5", "1", "8", "1000", "5000000b", "0x10"]),
    Opt::value("hashlimit-htable-size", SIZE, U32, "number", "buckets of the hash table")
        .examples(&["0", "16", "1024", "0x800"]),
    Opt::value("hashlimit-htable-max", MAX, U32, "number", "flows at most").examples(&[
        "0",
        "10",
        "4096",
        "4294967295",
    ]),
    Opt::value("hashlimit-htable-gcinterval", GC, U32, "ms", "time between looks for flows to forget")
        .examples(&["7", "1000", "60000"]),
    Opt::value("hashlimit-htable-expire", EXPIRE, U32, "ms", "time after which an idle flow is forgotten")
        .examples(&["5", "1000", "60000", "3600000", "4294967"]),
    Opt::value(
        "hashlimit-mode",
        MODE,
        Kind::Raw,
        "list",
        "what makes a flow: srcip, srcport, dstip, dstport, with commas",
    )
    .examples(&[
        "srcip",
        "dstip",
        "srcip,dstip",
        "dstport,srcport",
        "srcip,dstport",
        "dstip,srcport,dstport,srcip",
    ]),
    Opt::value("hashlimit-name", NAME, Kind::Text { min: 1, max: usize::MAX }, "name", "name of the table of flows")
        .mandatory()
        .examples(&["a", "ssh", "a-b_c", "x.y", "conn-limit-per-host"]),
    Opt::flag("hashlimit-rate-match", MATCH, "only compare the rate, without taking tokens"),
    Opt::value("hashlimit-rate-interval", INTERVAL, Kind::Raw, "seconds", "for --hashlimit-rate-match: over how long")
        .examples(&["1", "3", "10", "60", "86400"]),
];

impl Extension for HashLimit {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        stateful: true,
        ..Spec::new("hashlimit", 3, "matches flows by a rate that each has for itself")
    };

    fn new(family: Family) -> Self {
        Self {
            name: Box::default(),
            avg: 0,
            burst: DEFAULT_BURST,
            mode: 0,
            size: 0,
            max: 0,
            gc_interval_ms: DEFAULT_GC_MS,
            expire_ms: 0,
            interval: 0,
            src_len: family.addr_bits(),
            dst_len: family.addr_bits(),
            unit: 1,
        }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let text = given.bytes();
        match given.id() {
            UPTO => self.set_rate(text, "upto", given.negated)?,
            ABOVE => self.set_rate(text, "above", !given.negated)?,
            BURST => {
                let read = rates::burst(text).filter(|n| *n != 0);
                self.burst = read.ok_or_else(bad_burst)?;
            }
            MODE => {
                for part in text.split(|b| *b == b',').filter(|p| !p.is_empty()) {
                    let known = MODES.iter().find(|(name, _)| name.as_bytes() == part);
                    self.mode |= known.ok_or_else(|| bad_value("mode", text))?.1;
                }
            }
            NAME => self.name = text.get(..NAME_SIZE - 1).unwrap_or(text).into(),
            SRCMASK => self.src_len = prefix(text, cx, "srcmask")?,
            DSTMASK => self.dst_len = prefix(text, cx, "dstmask")?,
            SIZE => self.size = given.u32(),
            MAX => self.max = given.u32(),
            EXPIRE => self.expire_ms = given.u32(),
            GC => self.gc_interval_ms = given.u32(),
            MATCH => self.mode |= RATE_MATCH,
            _ => self.interval = seconds(text).ok_or_else(|| bad_value("rate-interval", text))?,
        }
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen & (bit(UPTO) | bit(ABOVE)) == 0 {
            return Err(usage!("You have to specify --hashlimit"));
        }
        if self.mode & BYTES != 0 {
            let step = rates::bytes_of(self.avg);
            self.burst = match seen & bit(BURST) {
                0 => 0,
                _ if step == 0 => return Err(usage!("a rate below 16b/s counts as 0 and cannot have a burst")),
                _ if self.burst < step => return Err(usage!("burst cannot be smaller than {step}b")),
                _ => self.burst.div_ceil(step),
            };
        } else if self.burst > MAX_BURST {
            return Err(bad_burst());
        }
        if seen & bit(EXPIRE) == 0 {
            self.expire_ms = self.usual_expiry(u64::from(self.unit));
        }
        if self.mode & RATE_MATCH != 0 {
            if seen & bit(INTERVAL) == 0 {
                self.interval = self.unit;
            }
            self.avg /= u64::from(self.unit);
        }
        // What follows is told by the other fields.
        self.unit = 1;
        Ok(())
    }

    fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(if self.mode & INVERT == 0 { " --hashlimit-upto " } else { " --hashlimit-above " });
        let unit = self.print_rate(out, self.avg, "1");
        self.print_burst(out, " --hashlimit-burst ");
        self.print_mode(out, " --hashlimit-mode ", b',');
        out.str(" --hashlimit-name");
        out.word(&self.name);
        self.print_table(out, unit, " --hashlimit-");
        self.print_masks(out, cx.family, " --hashlimit-");
        self.print_match(out, " --hashlimit-");
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(if self.mode & INVERT == 0 { " limit: up to " } else { " limit: above " });
        let avg = if self.interval == 0 { self.avg } else { self.avg.saturating_mul(u64::from(self.interval)) };
        let unit = self.print_rate(out, avg, "0");
        self.print_burst(out, " burst ");
        self.print_mode(out, " mode ", b'-');
        self.print_table(out, unit, " ");
        self.print_masks(out, cx.family, " ");
        self.print_match(out, " ");
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.fixed(&self.name, NAME_SIZE);
        b.align(8);
        b.u64(self.avg);
        b.u64(self.burst);
        for field in [self.mode, self.size, self.max, self.gc_interval_ms, self.expire_ms, self.interval] {
            b.u32(field);
        }
        b.u8(self.src_len);
        b.u8(self.dst_len);
        b.align(8);
        b.zeros(8);
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let name = info.get(..NAME_SIZE)?;
        let name = name.get(..name.iter().position(|b| *b == 0)?).filter(|n| !n.is_empty())?;
        let (avg, rest) = info.get(FIELDS_AT..)?.split_first_chunk()?;
        let (burst, mut rest) = rest.split_first_chunk()?;
        let mut fields = [0u32; 6];
        for field in &mut fields {
            let (bytes, behind) = rest.split_first_chunk()?;
            (*field, rest) = (u32::from_ne_bytes(*bytes), behind);
        }
        let [mode, size, max, gc_interval_ms, expire_ms, interval] = fields;
        let [src_len, dst_len, ..] = *rest else { return None };
        let found = Self {
            name: name.into(),
            avg: u64::from_ne_bytes(*avg),
            burst: u64::from_ne_bytes(*burst),
            mode,
            size,
            max,
            gc_interval_ms,
            expire_ms,
            interval,
            src_len,
            dst_len,
            unit: 1,
        };
        (mode < RATE_MATCH << 1 && src_len.max(dst_len) <= family.addr_bits() && found.is_said()).then_some(found)
    }

    fn scrub(info: &mut [u8]) {
        if let Some(private) = info.get_mut(PRIVATE_AT..) {
            private.fill(0);
        }
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        let ports = self.mode & (SPT | DPT) != 0;
        let flow = self.mode & (DIP | DPT | SIP | SPT);
        let name = self.name.first().is_some_and(u8::is_ascii_alphabetic)
            && self.name.iter().all(|b| b.is_ascii_alphanumeric() || b"/\\_.-".contains(b));
        if flow == 0 || self.mode & RATE_MATCH != 0 || !name || ports && cx.protocol != Some(6) || self.rate_is_zero() {
            return false;
        }
        out.str("meter ");
        out.bytes(&self.name);
        self.translate_flow(cx.family, out);
        if self.expire_ms != 1000 {
            write!(out, " timeout {}s", self.expire_ms / 1000);
        }
        out.str(if self.mode & INVERT == 0 { " limit rate " } else { " limit rate over " });
        if self.mode & BYTES == 0 {
            let (n, _, name) = rates::packets(self.avg);
            write!(
                out,
                "{n}/{}",
                if name == "sec" {
                    "second"
                } else if name == "min" {
                    "minute"
                } else {
                    name
                }
            );
            if self.burst != DEFAULT_BURST {
                write!(out, " burst {} packets", self.burst);
            }
        } else {
            let word = |unit: &str| unit.replace('b', "bytes");
            let (n, unit) = rates::byte_rate(self.avg);
            write!(out, "{n} {}/second", word(unit));
            if self.burst != 0 {
                let (n, unit) = rates::byte_burst(self.avg, self.burst);
                write!(out, " burst {n} {}", word(unit));
            }
        }
        out.str(" }");
        true
    }
}

fn bad_value(option: &str, text: &[u8]) -> UsageError {
    usage_bytes(&format!("hashlimit: Bad value for \"--hashlimit-{option}\" option: \""), text, "\"")
}

fn bad_burst() -> UsageError {
    usage!("bad value for option \"--hashlimit-burst\", or out of range (1-{MAX_BURST}).")
}

/// The number of seconds at the front of a text, in decimal.
fn seconds(text: &[u8]) -> Option<u32> {
    let n = i32::try_from(rates::leading_int(text)).ok()?;
    u32::try_from(n).ok().filter(|n| *n > 0)
}

/// A prefix length, as such or as a mask; 255, which the kernel refuses, for a mask that is none.
fn prefix(text: &[u8], cx: &ParseCx<'_>, option: &str) -> Result<u8, UsageError> {
    let bits = cx.family.addr_bits();
    if let Some(len) = number(text, 0, u64::from(bits)).and_then(|len| u8::try_from(len).ok()) {
        return Ok(len);
    }
    let mask = resolve::numeric(text, cx.family).ok_or_else(|| {
        usage!(
            "hashlimit: bad value for option \"--hashlimit-{option}\", neither a valid network mask nor valid CIDR (0-{bits}).\n"
        )
    })?;
    Ok(Network::new(mask, mask).and_then(|net| net.prefix_len()).unwrap_or(u8::MAX))
}

impl HashLimit {
    fn set_rate(&mut self, text: &[u8], option: &str, above: bool) -> Result<(), UsageError> {
        let rate = Rate::parse(text).map_err(|bad| match bad {
            rates::Bad::Value => bad_value(option, text),
            rates::Bad::TooFast => usage_bytes("Rate too fast \"", text, "\""),
        })?;
        self.avg = rate.avg;
        self.unit = u32::try_from(rate.unit).unwrap_or(1);
        self.mode |= if rate.bytes { BYTES } else { 0 } | if above { INVERT } else { 0 };
        Ok(())
    }

    /// Milliseconds after which a flow is forgotten if nothing is said, for a rate in units of so many seconds.
    fn usual_expiry(&self, unit: u64) -> u32 {
        match (self.mode & BYTES, self.burst) {
            (0, _) => u32::try_from(unit * 1000).unwrap_or(u32::MAX),
            (_, 0) => BYTE_EXPIRE_MS,
            _ => BYTE_EXPIRE_BURST_MS,
        }
    }

    fn rate_is_zero(&self) -> bool {
        self.mode & BYTES != 0 && rates::bytes_of(self.avg) == 0
    }

    /// Whether its save form reads back as this value; a time for a packet may come out 1/1000000 seconds longer, as with stock.
    fn is_said(&self) -> bool {
        if self.mode & RATE_MATCH != 0 && self.interval == 0 {
            return false;
        }
        if self.mode & BYTES != 0 {
            let mut text = Out::new();
            self.print_rate(&mut text, self.avg, "1");
            let rate = Rate::parse(text.as_bytes()).is_ok_and(|rate| rate.avg == self.avg && rate.bytes);
            let (n, unit) = rates::byte_burst(self.avg, self.burst);
            let burst = rates::burst(format!("{n}{unit}").as_bytes());
            let step = rates::bytes_of(self.avg);
            return rate
                && (self.burst == 0
                    || burst.is_some_and(|b| b.checked_div(step).is_some() && b.div_ceil(step) == self.burst));
        }
        let (n, unit, _) = rates::packets(self.avg);
        let share = if self.mode & RATE_MATCH == 0 { 1 } else { unit };
        let again = (SCALE * unit).checked_div(n).map(|avg| avg / share);
        again.is_some_and(|again| again == self.avg || again == self.avg + 1) && (1..=MAX_BURST).contains(&self.burst)
    }

    /// Prints a rate of packets, or the own one of bytes, with `zero` for one of 0; says how many seconds its unit has.
    fn print_rate(&self, out: &mut Out, avg: u64, zero: &str) -> u64 {
        if self.mode & BYTES == 0 {
            return rates::print_packets(avg, out);
        }
        if self.rate_is_zero() {
            out.str(zero);
            out.str("b/s");
        } else {
            rates::print_byte_rate(self.avg, out);
        }
        1
    }

    fn print_burst(&self, out: &mut Out, word: &str) {
        if self.mode & BYTES == 0 {
            write!(out, "{word}{}", self.burst);
        } else if self.burst != 0 {
            let (n, unit) = rates::byte_burst(self.avg, self.burst);
            write!(out, "{word}{n}{unit}");
        }
    }

    fn print_mode(&self, out: &mut Out, word: &str, between: u8) {
        let mut first = true;
        for (name, _) in MODES.iter().filter(|(_, bit)| self.mode & bit != 0) {
            if first {
                out.str(word);
            } else {
                out.byte(between);
            }
            out.str(name);
            first = false;
        }
    }

    /// What concerns the table, where it is not as usual for a rate in units of so many seconds.
    fn print_table(&self, out: &mut Out, unit: u64, before: &str) {
        for (word, value, usual) in [
            ("htable-size", self.size, 0),
            ("htable-max", self.max, 0),
            ("htable-gcinterval", self.gc_interval_ms, DEFAULT_GC_MS),
            ("htable-expire", self.expire_ms, self.usual_expiry(unit)),
        ] {
            if value != usual {
                write!(out, "{before}{word} {value}");
            }
        }
    }

    fn print_masks(&self, out: &mut Out, family: Family, before: &str) {
        for (word, len) in [("srcmask", self.src_len), ("dstmask", self.dst_len)] {
            if len != family.addr_bits() {
                write!(out, "{before}{word} {len}");
            }
        }
    }

    fn print_match(&self, out: &mut Out, before: &str) {
        if self.mode & RATE_MATCH != 0 {
            write!(out, "{before}rate-match");
            if self.interval != 1 {
                write!(out, "{before}rate-interval {}", self.interval);
            }
        }
    }

    fn translate_flow(&self, family: Family, out: &mut Out) {
        let ip = match family {
            Family::V4 => "ip",
            Family::V6 => "ip6",
        };
        let mut before = " { ";
        for (bit, what, len) in
            [(DIP, "daddr", self.dst_len), (DPT, "tcp dport", 0), (SIP, "saddr", self.src_len), (SPT, "tcp sport", 0)]
        {
            if self.mode & bit == 0 {
                continue;
            }
            out.str(before);
            before = " . ";
            if bit & (DPT | SPT) != 0 {
                out.str(what);
                continue;
            }
            write!(out, "{ip} {what}");
            if len != family.addr_bits() {
                match prefix_mask(family, len) {
                    IpAddr::V4(mask) => write!(out, " and {mask}"),
                    IpAddr::V6(mask) => {
                        let groups = mask.segments().map(|g| format!("{g:04x}"));
                        write!(out, " and {}", groups.join(":"));
                    }
                }
            }
        }
    }
}

/// The flows of one name.
#[derive(Debug, Default)]
struct Table {
    /// The settings of the rule that made it.
    settings: Option<HashLimit>,
    flows: HashMap<Key, Flow>,
}

/// The parts of a packet that make its flow; what does not count is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Key {
    src: [u8; 16],
    dst: [u8; 16],
    ports: (u16, u16),
}

/// The bucket of a flow.
#[derive(Debug)]
struct Flow {
    /// Nanoseconds of packets, or 2³² a second of bytes.
    credit: u64,
    /// Seconds' worth of bytes that are left beside the credit.
    bursts: u64,
    /// When credit was last given, or the interval began.
    since_ns: u64,
    last_ns: u64,
    /// Packets or bytes of this interval, and whether the one before was too fast.
    seen: u64,
    was_fast: bool,
}

/// What a second of bytes is worth.
const SECOND_OF_BYTES: u64 = 1 << 32;
const NS: u64 = 1_000_000_000;

impl MatchExt for HashLimit {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let now = env.now_ns;
        let mut cell = vec![u8::from(packet.family() == Family::V6)];
        cell.extend_from_slice(&self.name);
        let table = env.state.cell::<Table>("hashlimit", &cell);
        let settings = table.settings.get_or_insert_with(|| self.clone());
        let key = match settings.key(packet) {
            Ok(key) => key,
            Err(answer) => {
                env.hotdrop = answer == Tri::False;
                return answer;
            }
        };
        let expire = u64::from(settings.expire_ms) * 1_000_000;
        table.flows.retain(|_, flow| now.saturating_sub(flow.last_ns) <= expire);
        let full = settings.max != 0 && table.flows.len() >= usize::try_from(settings.max).unwrap_or(usize::MAX);
        if full && !table.flows.contains_key(&key) {
            env.hotdrop = true;
            return Tri::False;
        }
        let flow = table.flows.entry(key).or_insert_with(|| settings.fresh(now));
        let within = settings.count(flow, packet.total_len() as u64, now);
        Tri::from(within != (self.mode & INVERT != 0))
    }
}

impl HashLimit {
    /// The flow of a packet; `Err(False)` if it is too short for that, `Err(Unknown)` if it is not known what the kernel reads.
    fn key(&self, packet: &Packet) -> Result<Key, Tri> {
        let side = |bit, addr: IpAddr, len| {
            if self.mode & bit == 0 {
                return [0; 16];
            }
            match (addr, prefix_mask(packet.family(), len)) {
                (IpAddr::V4(addr), IpAddr::V4(mask)) => (addr & mask).to_ipv6_mapped().octets(),
                (IpAddr::V6(addr), IpAddr::V6(mask)) => (addr & mask).octets(),
                _ => [0; 16],
            }
        };
        let mut key = Key {
            src: side(SIP, packet.src(), self.src_len),
            dst: side(DIP, packet.dst(), self.dst_len),
            ports: (0, 0),
        };
        if self.mode & (SPT | DPT) != 0 {
            // TCP, UDP, UDP-Lite, SCTP, DCCP; of ESP and AH the kernel takes the SPI.
            let at = match packet.protocol() {
                Some(6 | 17 | 33 | 50 | 132 | 136) => 0,
                Some(51) => 4,
                Some(_) => return Ok(key),
                None => return Err(Tri::False),
            };
            if packet.family() == Family::V6 && packet.is_fragment_tail() {
                return Err(Tri::Unknown);
            }
            let bytes = packet.transport_as_loaded().and_then(|b| b.get(at..)).and_then(|b| b.first_chunk::<4>());
            let [a, b, c, d] = *bytes.ok_or(Tri::False)?;
            let port = |bit, bytes| if self.mode & bit == 0 { 0 } else { u16::from_be_bytes(bytes) };
            key.ports = (port(SPT, [a, b]), port(DPT, [c, d]));
        }
        Ok(key)
    }

    fn fresh(&self, now_ns: u64) -> Flow {
        let credit = if self.mode & BYTES == 0 { self.cost_ns().saturating_mul(self.burst) } else { SECOND_OF_BYTES };
        Flow { credit, bursts: self.burst, since_ns: now_ns, last_ns: now_ns, seen: 0, was_fast: false }
    }

    /// Nanoseconds for a packet.
    fn cost_ns(&self) -> u64 {
        self.avg.saturating_mul(1000)
    }

    /// Counts a packet; says whether its flow keeps to the rate.
    fn count(&self, flow: &mut Flow, len: u64, now_ns: u64) -> bool {
        let passed = now_ns.saturating_sub(flow.since_ns);
        let bytes = self.mode & BYTES != 0;
        flow.last_ns = now_ns;
        if self.mode & RATE_MATCH != 0 {
            let rate = if bytes { rates::bytes_of(self.avg) } else { SCALE.checked_div(self.avg).unwrap_or(0) };
            let interval = u64::from(self.interval) * NS;
            if passed >= interval {
                let (seen, interval) = (u128::from(flow.seen), u128::from(interval));
                flow.was_fast = seen * interval > u128::from(passed) * u128::from(rate);
                (flow.seen, flow.since_ns) = (0, now_ns);
            }
            flow.seen = flow.seen.saturating_add(if bytes { len } else { 1 });
            return !flow.was_fast && flow.seen <= rate;
        }
        flow.since_ns = now_ns;
        let cost = if bytes {
            let earned = u128::from(passed) * u128::from(SECOND_OF_BYTES) / u128::from(NS);
            let earned = u64::try_from(earned).unwrap_or(u64::MAX);
            flow.credit = flow.credit.saturating_add(earned).min(SECOND_OF_BYTES);
            let cost = ((len >> BYTE_SHIFT) + 1).saturating_mul(self.avg).min(SECOND_OF_BYTES);
            if cost > flow.credit && flow.bursts != 0 {
                flow.bursts -= 1;
                flow.credit = SECOND_OF_BYTES;
            }
            cost
        } else {
            let max = self.cost_ns().saturating_mul(self.burst);
            flow.credit = flow.credit.saturating_add(passed).min(max);
            self.cost_ns()
        };
        match flow.credit.checked_sub(cost) {
            Some(left) => {
                flow.credit = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
#[path = "hashlimit_tests.rs"]
mod tests;
