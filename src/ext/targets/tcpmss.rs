//! `-j TCPMSS`: lowers the maximum segment size in TCP SYN packets.
//!
//! # Options
//! `--set-mss VALUE` (0 to 65515 bytes, to 65495 with IPv6), or `--clamp-mss-to-pmtu`: the path MTU less the headers; exactly one of
//! them is meant, and of both the last one counts.
//! # Wire
//! xt `TCPMSS` revision 0: `struct xt_tcpmss_info { u16 mss; }`, host order; 0xffff is the clamp.
//! Native: none, because `exthdr` changes an option that is there and adds none.
//! # Evaluates
//! The verdict is known (the walk goes on); the packet's option is not rewritten here, and no match of these rules looks at it later than
//! `tcpmss`.
//! # Differs
//! There is no translation of a size below 536 bytes (1220 with IPv6): nft adds no option where there is none.
//! # Sources
//! iptables-extensions(8) "TCPMSS"; `linux/netfilter/xt_TCPMSS.h`.

use crate::ext::limits::{Limit, OUTGOING};
use crate::ext::options::{Given, Kind, Opt, UsageError, number};
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::BlobWriter;

/// The new maximum segment size in bytes, or [`CLAMP`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpMss {
    mss: u16,
}

/// `XT_TCPMSS_CLAMP_PMTU`.
const CLAMP: u16 = 0xffff;

/// 65535 less the 40 bytes of the IPv6 header.
const MAX_V6: u16 = 65495;
/// The same in IPv4.
const MAX_V4: u16 = 65515;

/// What a segment without the option means, in bytes (RFC 9293 3.7.1).
const MISSING_V6: u16 = 1220;
/// The same in IPv4.
const MISSING_V4: u16 = 536;

const SIZES: &[&str] = &[
    "0", "1", "07", "0x218", "88", "216", "536", "1000", "1220", "1240", "1280", "1300", "1360", "1380", "1400",
    "1412", "1440", "1452", "1460", "8960", "32767", "32768", "40000", "65000", "65494", "65495", "v4:65496",
    "v4:65514", "v4:65515",
];

const SET: u8 = 0;
const CLAMP_TO_PMTU: u8 = 1;

const OPTIONS: &[Opt] = &[
    Opt::value("set-mss", SET, Kind::Raw, "size", "set the MSS to this many bytes").examples(SIZES),
    Opt::flag("clamp-mss-to-pmtu", CLAMP_TO_PMTU, "clamp the MSS to the path MTU less the headers"),
];

impl Extension for TcpMss {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "-p tcp --syn @mangle/FORWARD",
        limits: &[Limit::protocols(&[6]), Limit::hooks(OUTGOING).with("--clamp-mss-to-pmtu")],
        ..Spec::new("TCPMSS", 0, "lowers the MSS in TCP SYN packets")
    };

    fn new(_: Family) -> Self {
        Self { mss: 0 }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        self.mss = match given.id() {
            CLAMP_TO_PMTU => CLAMP,
            _ => {
                let max = if cx.family == Family::V6 { MAX_V6 } else { MAX_V4 };
                let size = number(given.bytes(), 0, max.into()).and_then(|n| u16::try_from(n).ok());
                let name = "TCPMSS: bad value for option \"--set-mss\"";
                size.ok_or_else(|| usage!("{name}, or out of range (0-{max}).\n"))?
            }
        };
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen == 0 {
            return Err(usage!("TCPMSS target: At least one parameter is required"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        match self.mss {
            CLAMP => out.str(" --clamp-mss-to-pmtu"),
            mss => write!(out, " --set-mss {mss}"),
        }
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        match self.mss {
            CLAMP => out.str(" TCPMSS clamp to PMTU"),
            mss => write!(out, " TCPMSS set {mss}"),
        }
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str("tcp option maxseg size set ");
        match self.mss {
            CLAMP => out.str("rt mtu"),
            mss => write!(out, "{mss}"),
        }
        // To a segment without the option the kernel adds one of this size at most, which is what a missing one means; nft adds none.
        self.mss >= if cx.family == Family::V4 { MISSING_V4 } else { MISSING_V6 }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u16(self.mss);
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let [a, b, ..] = *info else { return None };
        // 65535 stands for the clamp; what lies between cannot be written.
        let max = if family == Family::V6 { MAX_V6 } else { MAX_V4 };
        Some(u16::from_ne_bytes([a, b])).filter(|mss| *mss <= max || *mss == CLAMP).map(|mss| Self { mss })
    }
}

impl TargetExt for TcpMss {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{TCP, error, row};
    use crate::types::Family;

    #[test]
    fn values_and_clamp() {
        row(Family::V4, TCP, "TCPMSS --set-mss 1400", "--set-mss 1400", " TCPMSS set 1400", "7805000000000000");
        let clamp = "TCPMSS --set-mss 1400 --clamp-mss-to-pmtu";
        row(Family::V6, TCP, clamp, "--clamp-mss-to-pmtu", " TCPMSS clamp to PMTU", "ffff000000000000");
        row(
            Family::V4,
            TCP,
            "TCPMSS --clamp-mss-to-pmtu --set-mss 8",
            "--set-mss 8",
            " TCPMSS set 8",
            "0800000000000000",
        );
        row(Family::V6, TCP, "TCPMSS --set-mss 65495", "--set-mss 65495", " TCPMSS set 65495", "d7ff000000000000");
        let range = "TCPMSS: bad value for option \"--set-mss\", or out of range (0-65495).\n";
        error(Family::V6, TCP, "TCPMSS --set-mss 65496", range);
        error(Family::V4, TCP, "TCPMSS", "TCPMSS target: At least one parameter is required");
    }
}
