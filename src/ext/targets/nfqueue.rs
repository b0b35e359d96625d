//! `-j NFQUEUE`: hands the packet to a program that listens to a queue of nfnetlink_queue.
//!
//! # Options
//! `--queue-num n` (0 to 65535, by default 0) or `--queue-balance first:last` (first < last), the latter with or without
//! `--queue-cpu-fanout`; `--queue-bypass`.
//! # Wire
//! xt `NFQUEUE` revision 3: `struct xt_NFQ_info_v3 { u16 queuenum, queues_total, flags; }`, host order; flags 1 bypass, 2 CPU fanout. Native:
//! none yet; kernels with `nft_queue` do the same with `queue`, but none was there to compare with.
//! # Evaluates
//! The packet is queued.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "NFQUEUE"; `linux/netfilter/xt_NFQUEUE.h`; measured.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError, bit, usage_bytes};
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Queues, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::BlobWriter;

/// The queues.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NfQueue {
    first: u16,
    /// The last one; the same as the first without `--queue-balance`.
    last: u16,
    bypass: bool,
    fanout: bool,
}

/// `NFQ_FLAG_BYPASS`.
const FLAG_BYPASS: u16 = 1;
/// `NFQ_FLAG_CPU_FANOUT`.
const FLAG_FANOUT: u16 = 2;

const NUM: u8 = 0;
const BALANCE: u8 = 1;
const BYPASS: u8 = 2;
const FANOUT: u8 = 3;

const OPTIONS: &[Opt] = &[
    Opt::value("queue-num", NUM, Kind::Number { min: 0, max: 65535 }, "number", "the queue, 0 to 65535")
        .excluding(bit(BALANCE))
        .examples(&["0", "1", "5", "0x10", "010", "100", "32768", "65535"]),
    Opt::value(
        "queue-balance",
        BALANCE,
        Kind::Range { min: 0, max: 65535 },
        "first:last",
        "spread flows over these queues",
    )
    .excluding(bit(NUM))
    .examples(&["0:3", "4:7", "1:65535", "0:1", ":5", "5:", "0x10:0x20", "65534:65535"]),
    Opt::flag("queue-bypass", BYPASS, "accept the packet if no program listens"),
    Opt { needs: bit(BALANCE), ..Opt::flag("queue-cpu-fanout", FANOUT, "choose the queue by the CPU") },
];

impl Extension for NfQueue {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        limits: &[Limit::never("--queue-balance 0:65535")],
        ..Spec::new("NFQUEUE", 3, "hands the packet to a program")
    };

    fn new(_: Family) -> Self {
        Self { first: 0, last: 0, bypass: false, fanout: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            NUM => (self.first, self.last) = (given.u16(), given.u16()),
            BALANCE => {
                let (first, last) = given.ports();
                if !given.bytes().contains(&b':') {
                    return Err(usage_bytes("Bad range \"", given.bytes(), "\""));
                }
                if first >= last {
                    return Err(usage!("{first} should be less than {last}"));
                }
                (self.first, self.last) = (first, last);
            }
            BYPASS => self.bypass = true,
            _ => self.fanout = true,
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        match (self.first, self.last) {
            (first, last) if first < last => write!(out, " --queue-balance {first}:{last}"),
            (first, _) => write!(out, " --queue-num {first}"),
        }
        out.str(if self.bypass { " --queue-bypass" } else { "" });
        out.str(if self.fanout { " --queue-cpu-fanout" } else { "" });
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        match (self.first, self.last) {
            (first, last) if first < last => write!(out, " NFQUEUE balance {first}:{last}"),
            (first, _) => write!(out, " NFQUEUE num {first}"),
        }
        out.str(if self.bypass { " bypass" } else { "" });
        out.str(if self.fanout { " cpu-fanout" } else { "" });
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u16(self.first);
        b.u16(self.total());
        b.u16(if self.bypass { FLAG_BYPASS } else { 0 } | if self.fanout { FLAG_FANOUT } else { 0 });
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [a, b, c, d, e, f, ..] = *info else { return None };
        let (first, total) = (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]));
        let flags = u16::from_ne_bytes([e, f]);
        let last = first.checked_add(total.checked_sub(1)?)?;
        let (bypass, fanout) = (flags & FLAG_BYPASS != 0, flags & FLAG_FANOUT != 0);
        // A fanout over one queue cannot be written.
        (flags <= 3 && (first < last || !fanout)).then_some(Self { first, last, bypass, fanout })
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        match (self.first, self.last) {
            (0, u16::MAX) => return false,
            (first, last) if first < last => write!(out, "queue num {first}-{last}"),
            (first, _) => write!(out, "queue num {first}"),
        }
        // The blanks at the end are stock's; they show in front of a comment.
        out.str(match (self.bypass, self.fanout) {
            (false, false) => " ",
            (true, false) => " bypass",
            (false, true) => " fanout ",
            (true, true) => " bypass,fanout ",
        });
        true
    }
}

impl NfQueue {
    /// How many queues there are; all 65536 of them do not fit, and the kernel refuses the 0 that is left.
    fn total(&self) -> u16 {
        (self.last - self.first).wrapping_add(1)
    }
}

impl TargetExt for NfQueue {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Queue(Queues { first: self.first, count: self.total().max(1), bypass: self.bypass })
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{effect, error, row, ways};
    use crate::ext::{Effect, Queues, Target};
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, save, list, hex, nft) in [
            ("", "--queue-num 0", "num 0", "000001000000", "num 0"),
            ("--queue-num 65535", "--queue-num 65535", "num 65535", "ffff01000000", "num 65535"),
            (
                "--queue-num 5 --queue-bypass",
                "--queue-num 5 --queue-bypass",
                "num 5 bypass",
                "050001000100",
                "num 5 bypass",
            ),
            ("--queue-balance 5:", "--queue-balance 5:65535", "balance 5:65535", "0500fbff0000", "num 5-65535"),
            (
                "--queue-cpu-fanout --queue-balance 4:7 --queue-bypass",
                "--queue-balance 4:7 --queue-bypass --queue-cpu-fanout",
                "balance 4:7 bypass cpu-fanout",
                "040004000300",
                "num 4-7 bypass,fanout",
            ),
        ] {
            for family in [V4, V6] {
                let words = format!("NFQUEUE {words}");
                row(family, None, &words, save, &format!(" NFQUEUE {list}"), &format!("{hex}0000"));
                ways(
                    family,
                    None,
                    &words,
                    None,
                    Some(&format!("queue {nft}{}", if words.ends_with("5 --queue-bypass") { "" } else { " " })),
                );
            }
        }
        for (words, text) in [
            ("--queue-balance 5", "Bad range \"5\""),
            ("--queue-balance 5:3", "5 should be less than 3"),
            ("--queue-balance 4:4", "4 should be less than 4"),
            (
                "--queue-balance 3-5",
                "NFQUEUE: Argument to \"--queue-balance\" has unexpected characters near \"-5\".\n",
            ),
            (
                "--queue-num 1 --queue-cpu-fanout",
                "NFQUEUE: option \"--queue-cpu-fanout\" also requires \"--queue-balance\".\n",
            ),
            (
                "--queue-balance 1:2 --queue-num 3",
                "NFQUEUE: option \"--queue-num\" cannot be used together with \"--queue-balance\".\n",
            ),
        ] {
            error(V4, None, &format!("NFQUEUE {words}"), text);
        }
    }

    #[test]
    fn what_cannot_be_said_is_not_read() {
        let read = |info: [u8; 8]| Target::decode(b"NFQUEUE", 3, &info, V4, &mut Vec::new());
        for info in [[0; 8], [0, 0, 1, 0, 2, 0, 0, 0], [0, 0, 1, 0, 4, 0, 0, 0], [2, 0, 0xff, 0xff, 0, 0, 0, 0]] {
            assert_eq!(read(info), None, "{info:?}");
        }
    }

    #[test]
    fn it_names_the_queues() {
        let mut packet = Ipv4::default() / Udp::default();
        let queues = Queues { first: 4, count: 4, bypass: true };
        let words = "NFQUEUE --queue-balance 4:7 --queue-bypass";
        assert_eq!(effect(V4, None, words, &mut packet), Effect::Queue(queues));
    }
}
