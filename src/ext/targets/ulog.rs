//! `-j ULOG`: logs the packet over netlink; no kernel since Linux 3.17 has it: see `NFLOG`.
//!
//! # Options
//! `--ulog-nlgroup n` (1 to 32), `--ulog-cprange bytes`, `--ulog-qthreshold n` (1 to 50), `--ulog-prefix text` (cut at 31 bytes).
//! # Wire
//! xt `ULOG` revision 0: `struct ipt_ulog_info { u32 nl_group; size_t copy_range, qthreshold; char prefix[32]; }`, host order; group n is bit n - 1.
//! Native: none, because its listeners are gone too.
//! # Evaluates
//! The packet is logged; the walk goes on.
//! # Differs
//! A copy range over 32 bits is printed whole; stock cuts it.
//! # Sources
//! iptables-extensions(8) of Linux 3.16's time; measured (on a kernel without it, from rules of another target put in its place).

use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Effect, Extension, LogSink, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::wire::BlobWriter;

/// Where and how it is logged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ulog {
    /// 1 to 32.
    group: u8,
    /// Bytes of each packet; 0 for all.
    range: u64,
    /// Packets that are collected before they are sent, 1 to 50.
    threshold: u64,
    /// Up to 31 bytes.
    prefix: Box<[u8]>,
}

/// `ULOG_PREFIX_LEN`: with the NUL.
const PREFIX_LEN: usize = 32;

const GROUP: u8 = 0;
const RANGE: u8 = 1;
const THRESHOLD: u8 = 2;
const PREFIX: u8 = 3;

const OPTIONS: &[Opt] =
    &[
        Opt::value("ulog-nlgroup", GROUP, Kind::Number { min: 1, max: 32 }, "group", "the netlink group, 1 to 32")
            .examples(&["1", "2", "0x10", "32"]),
        Opt::value(
            "ulog-cprange",
            RANGE,
            Kind::Number { min: 0, max: u64::MAX },
            "bytes",
            "bytes of each packet; 0 for all",
        )
        .examples(&["0", "100", "65535"]),
        Opt::value(
            "ulog-qthreshold",
            THRESHOLD,
            Kind::Number { min: 1, max: 50 },
            "packets",
            "packets that are sent at once",
        )
        .examples(&["1", "7", "50"]),
        Opt::value("ulog-prefix", PREFIX, Kind::Text { min: 1, max: usize::MAX }, "text", "a text in front")
            .examples(&["abc", "a b", "1234567890123456789012345678901", "123456789012345678901234567890123"]),
    ];

impl Extension for Ulog {
    const SPEC: Spec = Spec {
        families: &[Family::V4],
        options: OPTIONS,
        ..Spec::new("ULOG", 0, "logs the packet (no kernel has it any more; see NFLOG)")
    };

    fn new(_: Family) -> Self {
        Self { group: 1, range: 0, threshold: 1, prefix: Box::default() }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            GROUP => self.group = given.u8(),
            RANGE => self.range = given.number(),
            THRESHOLD => self.threshold = given.number(),
            _ => self.prefix = given.bytes().get(..PREFIX_LEN - 1).unwrap_or(given.bytes()).into(),
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        if !self.prefix.is_empty() {
            out.str(" --ulog-prefix");
            out.quoted(&self.prefix);
        }
        if self.group != 1 {
            write!(out, " --ulog-nlgroup {}", self.group);
        }
        if self.range != 0 {
            write!(out, " --ulog-cprange {}", self.range);
        }
        if self.threshold != 1 {
            write!(out, " --ulog-qthreshold {}", self.threshold);
        }
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, " ULOG copy_range {} nlgroup {}", self.range, self.group);
        if !self.prefix.is_empty() {
            out.str(" prefix \"");
            out.bytes(&self.prefix);
            out.byte(b'"');
        }
        write!(out, " queue_threshold {}", self.threshold);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(1u32.wrapping_shl(u32::from(self.group.saturating_sub(1))));
        b.align(8);
        b.u64(self.range);
        b.u64(self.threshold);
        b.fixed(&self.prefix, PREFIX_LEN);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let (groups, rest) = info.split_first_chunk()?;
        let (range, rest) = rest.get(4..)?.split_first_chunk()?;
        let (threshold, rest) = rest.split_first_chunk()?;
        let prefix = rest.get(..PREFIX_LEN)?;
        let len = prefix.iter().position(|b| *b == 0)?;
        let groups = u32::from_ne_bytes(*groups);
        let threshold = u64::from_ne_bytes(*threshold);
        let group = u8::try_from(groups.trailing_zeros() + 1).ok()?;
        Some(Self { group, range: u64::from_ne_bytes(*range), threshold, prefix: prefix.get(..len)?.into() })
            .filter(|_| groups.count_ones() == 1 && (1..=50).contains(&threshold))
    }

    fn scrub(info: &mut [u8]) {
        let prefix = info.get_mut(24..24 + PREFIX_LEN).unwrap_or_default();
        let end = prefix.iter().position(|b| *b == 0).unwrap_or(prefix.len());
        prefix.iter_mut().skip(end).for_each(|b| *b = 0);
    }
}

impl TargetExt for Ulog {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Log { prefix: self.prefix.to_vec(), sink: LogSink::Group(u16::from(self.group)) }
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{error, row};
    use crate::types::Family::V4;

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, save, list, group, range, threshold, prefix) in [
            ("", "", "copy_range 0 nlgroup 1 queue_threshold 1", "01", "00", "01", ""),
            (
                "--ulog-nlgroup 3 --ulog-cprange 5 --ulog-qthreshold 7 --ulog-prefix z",
                "--ulog-prefix z --ulog-nlgroup 3 --ulog-cprange 5 --ulog-qthreshold 7",
                "copy_range 5 nlgroup 3 prefix \"z\" queue_threshold 7",
                "04",
                "05",
                "07",
                "7a",
            ),
            (
                "--ulog-nlgroup 32 --ulog-prefix \"a b'\"",
                "--ulog-prefix \"a b\\'\" --ulog-nlgroup 32",
                "copy_range 0 nlgroup 32 prefix \"a b'\" queue_threshold 1",
                "00000080",
                "00",
                "01",
                "61206227",
            ),
        ] {
            let hex = format!("{group:0<16}{range:0<16}{threshold:0<16}{prefix:0<64}");
            row(V4, None, &format!("ULOG {words}"), save, &format!(" ULOG {list}"), &hex);
        }
        let range = |name, range| format!("ULOG: bad value for option \"--ulog-{name}\", or out of range ({range}).\n");
        error(V4, None, "ULOG --ulog-nlgroup 33", &range("nlgroup", "1-32"));
        error(V4, None, "ULOG --ulog-qthreshold 0", &range("qthreshold", "1-50"));
        error(V4, None, "ULOG --ulog-cprange -1", &range("cprange", "0-18446744073709551615"));
        let empty = "Argument must have a minimum length of 1 characters\n";
        error(V4, None, "ULOG --ulog-prefix \"\"", empty);
    }
}
